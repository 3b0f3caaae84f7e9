"""One run: the data, the writers, the people, the faults at their moments, the end, and what is left then."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg

from dev.chaos.data import Lines, RowCounts, Truth, Writer, lines, truth_at
from dev.chaos.draw import Plan
from dev.chaos.faults import KINDS, Fault, Timers
from dev.chaos.figures import measured, told
from dev.chaos.house import House, Offsets, Process, Row, until
from dev.chaos.oracle import shown
from dev.chaos.people import People
from dev.chaos.wire import Event, nothing
from dev.compare import SESSION

FINAL = {"completed", "failed", "cancelled"}
#: After the end and the last fault the world is watched for so long: nothing more may happen.
QUIET_SECONDS = 1.5


@dataclass(slots=True)
class Struck:
    """A fault that was applied: when, to whom, and how long it took until the job went on."""

    fault: Fault
    at: float
    victim: str


@dataclass
class Story:
    """What happened in a run, as far as the summary needs it."""

    seed: int
    plan: Plan
    status: str = "none"
    attempts: int = 0
    seconds: float = 0.0
    struck: list[Struck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    recoveries: dict[str, float] = field(default_factory=dict)
    told: float | None = None
    violations: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the summary: nothing of it is a value of a row."""
        return {
            "seed": self.seed,
            "profile": self.plan.profile,
            "plan": str(self.plan),
            "status": self.status,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 2),
            "struck": [
                {
                    "kind": struck.fault.kind,
                    "detail": struck.fault.detail,
                    "moment": struck.fault.moment,
                    "victim": struck.victim,
                    "told_after": None if self.told is None else round(max(0.0, self.told - struck.at), 2),
                }
                for struck in self.struck
            ],
            "recoveries": {name: round(seconds, 2) for name, seconds in self.recoveries.items()},
            "notes": self.notes,
            "violations": self.violations,
        }


class Run:
    """Plays a plan in a house; `judge` then asks the oracle."""

    def __init__(self, house: House, plan: Plan, number: int) -> None:
        self.house = house
        self.plan = plan
        self.numbers = RowCounts(10 * number + 1)
        self.channel = f"C0RUN{number}"
        self.people = People(house, self.channel, self.numbers.liquidation)
        self.story = Story(plan.seed, plan)
        self.job: Row = {}
        self.before: Lines = {}
        self.truths: dict[int, Truth] = {}
        self.truth_errors: list[str] = []
        self.writer = Writer(lambda: house.prod_url, self.numbers, plan.shape, random.Random(plan.seed))
        self.offsets = Offsets(house)
        self.first_call = 0
        self.began_at = datetime.now(UTC)
        self.events: list[Event] = []
        self.deleted_at: float | None = None
        self._rng = random.Random(plan.seed)
        self._counts: Counter[str] = Counter()
        self._claimed: dict[tuple[int, int], tuple[int, int]] = {}
        self._armed = [fault for fault in plan.faults if fault.point is not None]
        self._lock = threading.Lock()
        self._awaited: dict[str, Callable[[], None]] = {}
        self._timers = Timers(self.failed)
        self._started = time.monotonic()

    # ---------------------------------------------------------------------------------- what faults use

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        self._timers.later(seconds, do)

    def at(self, moment: str, do: Callable[[], None]) -> None:
        """Once, when a process stands there next; it waits meanwhile."""
        with self._lock:
            self._awaited[moment] = do

    def note(self, what: str) -> None:
        self.story.notes.append(what)

    def failed(self, error: BaseException) -> None:
        """The campaign's own trouble: a run with it proves nothing."""
        self.story.violations.append(f"the campaign failed: {type(error).__name__}: {error}")

    def freeze(self, seconds: float) -> None:
        """Somebody freezes all copies, and lifts it again after so long, however often that takes."""
        query = "SELECT 1 FROM traspaso.copy_freezes WHERE lifted_at IS NULL"

        def typed(line: str, wanted: bool) -> bool:
            self.people.command(line)
            return until(lambda: bool(self.house.ask("consulta", query)) is wanted, 5.0) is not None

        if until(lambda: typed("/copy-freeze mantenimiento programado", True), 30.0):
            time.sleep(seconds)
            until(lambda: typed("/copy-freeze off", False), 60.0)

    # ------------------------------------------------------------------------------------------ the play

    def play(self) -> None:
        """From the data to the last message."""
        house = self.house
        house.api.add_channel(
            self.channel, self.channel.lower(), ["U0ANA", "U0BOB", "U0CARLA", house.api.bot_user]
        )
        house.fresh(self.numbers, self.plan.shape)
        self.before = self._consulta()
        self.offsets = Offsets(house)
        calls = house.api.calls()
        self.first_call = calls[-1].seq if calls else 0
        self._started = time.monotonic()
        self.began_at = datetime.now(UTC)
        house.listener.told = self._told
        self.writer.start()
        try:
            for fault in self.plan.faults:
                if fault.point is None:
                    self.later(fault.after or 0.0, partial(self._strike, fault, None))
            job = self.people.start(self.plan.copy, self.plan.way)
            if job is None:
                self.story.violations.append("nobody got a copy to start")
                return
            self.job = job
            self._to_the_end(job["id"])
            self._timers.finish()
            self._all_running()
            self._told_everything(job["id"])
            time.sleep(QUIET_SECONDS)
        finally:
            self._timers.finish()
            self.writer.stop()
            house.listener.told = nothing
            self.story.seconds = time.monotonic() - self._started
            self.story.violations += [
                f"the listener failed: {type(error).__name__}: {error}" for error in house.listener.failed
            ]
            house.listener.failed.clear()
            self.job = self.house.newest(self.numbers.liquidation) or self.job
            self.story.status = self.job.get("status", "none")
            self.story.attempts = self.job.get("attempt", 0)
            self.story.recoveries |= measured(self)
            self.story.told = told(self)

    def _to_the_end(self, job_id: int) -> None:
        """Until the job has ended for good; people answer and press meanwhile."""
        deadline = time.monotonic() + self.house.profile.end_seconds
        next_press = 0.0
        retries = 0
        while time.monotonic() < deadline:
            job = self.house.newest(self.numbers.liquidation)
            if job is None or job["id"] != job_id:
                time.sleep(0.1)
                continue
            wanted = self._answer(job)
            if wanted == "end":
                return
            if wanted is not None and time.monotonic() > next_press:
                if wanted == "retry" and retries >= 5:
                    return
                if self.people.press(wanted, job):
                    retries += wanted == "retry"
                    self.note(f"answered {wanted}")
                next_press = time.monotonic() + 1.0
            time.sleep(0.05)
        self.story.violations.append(
            f"the job did not end in {self.house.profile.end_seconds:g} s: {self._state(job_id)}"
        )

    def _answer(self, job: Row) -> str | None:
        """What somebody has to press now; ``end`` where nothing more comes."""
        match job["status"]:
            case "failed" if (job["error"] or {}).get("code") in self.plan.codes():
                return "retry"
            case "completed" | "failed" | "cancelled":
                return "end"
            case "paused":
                return "resume"
            case "pending" if job["approval"] == "waiting":
                return "approve"
            case "pending" if job["question"] is not None:
                return "confirm"
        return None

    def _all_running(self) -> None:
        for process in self.house.processes.values():
            process.go_on()
            process.start()
        for process in self.house.processes.values():
            process.wait_ready()

    def _told_everything(self, job_id: int) -> None:
        """The end is told, and Slack shows what the row says; what makes up for a lost answer may go on."""
        query = (
            "SELECT kind, tries, last_error FROM traspaso.outbox WHERE job_id = %s AND done_at IS NULL "
            "AND kind NOT IN ('refresh', 'doubles', 'pin', 'left')"
        )
        patience = self.house.profile.told_seconds
        if until(lambda: not self.house.ask("consulta", query, job_id), patience) is None:
            left = self.house.ask("consulta", query, job_id)
            words = "; ".join(
                f"{row['kind']} after {row['tries']} tries: {row['last_error']}" for row in left
            )
            self.story.violations.append(f"not told in {patience:g} s: {words or 'no answer'}")
        self.job = self.house.newest(self.numbers.liquidation) or self.job
        until(lambda: not self.house.api.held_calls(), 30.0, step=0.2)
        began = time.monotonic()
        until(lambda: not list(shown(self)), patience, step=0.2)
        if (seconds := time.monotonic() - began) > 1.0:
            self.note(f"Slack showed what the row says {seconds:.1f} s later")

    def _state(self, job_id: int) -> str:
        job = self.house.newest(self.numbers.liquidation) or {}
        return f"job {job_id} is {job.get('status')}, attempt {job.get('attempt')}, error {job.get('error')}"

    def _consulta(self) -> Lines:
        with psycopg.connect(self.house.consulta_url, options=SESSION) as consulta:
            return lines(consulta)

    # ---------------------------------------------------------------------------------------- the points

    def _told(self, event: Event) -> None:
        """A process stands at a point. Truth first, then what is to strike here."""
        self.events.append(event)
        thread = (event.pid, event.thread)
        match event.point:
            case "claimed":
                self._claimed[thread] = (int(event.args[0]), int(event.args[1]))
            case "snapshot" if event.args[0] == "prod" and thread in self._claimed:
                self._read_truth(self._claimed[thread], event.args[1])
            case "sweep_taken" | "swept" if not event.args:
                return
        fault = None
        with self._lock:
            self._counts[event.moment] += 1
            for armed in self._armed:
                if armed.point == event.moment and self._counts[event.moment] >= armed.nth:
                    fault = armed
                    break
            if fault is not None:
                self._armed.remove(fault)
            awaited = self._awaited.pop(event.moment, None)
        if awaited is not None:
            awaited()
        if fault is not None:
            self._strike(fault, self.house.processes[event.name])

    def _strike(self, fault: Fault, victim: Process | None) -> None:
        if victim is None:
            victim = self._rng.choice(list(self.house.processes.values()))
        self.story.struck.append(Struck(fault, time.monotonic(), victim.name))
        KINDS[fault.kind].do(self, victim, fault)

    def _read_truth(self, attempt: tuple[int, int], snapshot: Any) -> None:
        job_id, number = attempt
        if self.job and job_id != self.job["id"]:
            return
        try:
            self.truths[number] = truth_at(self.house.prod_url, str(snapshot), self.numbers.liquidation)
        except psycopg.Error as error:
            self.truth_errors.append(f"attempt {number}: {type(error).__name__}")
