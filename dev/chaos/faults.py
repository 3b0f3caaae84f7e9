"""What can go wrong in a run, and how each of it is done and made good again.

A fault strikes when a process of the product stands at a named point for the n-th time, or so many seconds
after the press. It is applied while that process waits, so the moment is exact. What it breaks it mends after
`seconds`, and a process that was ended is started again, as a process manager does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from dev.chaos.house import SIDES, Database, Process, Side
from dev.chaos.shim import DATA, WAL

if TYPE_CHECKING:
    from dev.chaos.run import Run


@dataclass(frozen=True, slots=True)
class Fault:
    """``point`` and ``nth``, or else ``after`` seconds, say when; ``detail`` says more of what."""

    kind: str
    seconds: float
    point: str | None = None
    nth: int = 1
    after: float | None = None
    detail: str = ""

    @property
    def moment(self) -> str:
        return self.point or "some time"

    def __str__(self) -> str:
        when = f"at {self.point} no. {self.nth}" if self.point else f"after {self.after:g} s"
        what = f"{self.kind} {self.detail}".strip()
        return f"{what} ({self.seconds:g} s) {when}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Kind:
    """``codes`` are those of failures that may follow from it, after which somebody presses *Retry*."""

    says: str
    do: Callable[[Run, Process, Fault], None]
    codes: frozenset[str] = frozenset()
    least: float = 0.5
    most: float = 4.0
    details: tuple[str, ...] = ("",)


# ------------------------------------------------------------------------------------------ processes


def kill(run: Run, victim: Process, fault: Fault) -> None:
    victim.kill()
    run.later(fault.seconds, victim.start)


def terminate(run: Run, victim: Process, fault: Fault) -> None:
    def again() -> None:
        victim.ended()
        victim.start()

    victim.terminate()
    run.later(fault.seconds, again)


def freeze(run: Run, victim: Process, fault: Fault) -> None:
    victim.stop()
    run.later(fault.seconds, victim.go_on)


# --------------------------------------------------------------------------------------------- servers


def prod_down(run: Run, victim: Process, fault: Fault) -> None:
    run.house.down("prod")
    run.later(fault.seconds, lambda: run.house.up("prod"))


def consulta_down(run: Run, victim: Process, fault: Fault) -> None:
    run.house.down("consulta", crash=fault.detail == "crash")
    run.later(fault.seconds, lambda: run.house.up("consulta"))


def redis_down(run: Run, victim: Process, fault: Fault) -> None:
    run.house.redis(up=False)
    run.later(fault.seconds, lambda: run.house.redis(up=True))


def redis_flushed(run: Run, victim: Process, fault: Fault) -> None:
    if run.house.valkey.running:
        run.house.valkey.flush()


def message_lost(run: Run, victim: Process, fault: Fault) -> None:
    """At a press: Redis forgets the message before a worker has seen it, and nobody notices."""
    workers = [process for process in run.house.processes.values() if process.is_worker]
    for worker in workers:
        worker.stop()

    def resume() -> None:
        for worker in workers:
            worker.go_on()

    def lose() -> None:
        redis_flushed(run, victim, fault)
        resume()

    run.at("enqueued", lose)
    run.later(5.0, resume)  # should it never be queued


def sessions_ended(run: Run, victim: Process, fault: Fault) -> None:
    """An administrator ends all sessions of the product on both sides."""
    sides: tuple[Literal["prod", "consulta"], ...] = ("prod", "consulta")
    for side in sides:
        with suppress(psycopg.Error):
            run.house.ask(
                side,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename IN ('reader', 'traspaso')",
            )


def locked_out(run: Run, victim: Process, fault: Fault) -> None:
    """The product's role may not log in for a while; the sessions that it has go on."""
    side, role = ("prod", "reader") if fault.detail == "prod" else ("consulta", "traspaso")
    with suppress(psycopg.Error):
        run.house.ask(side, f"ALTER ROLE {role} NOLOGIN")  # type: ignore[arg-type]
    run.later(fault.seconds, lambda: run.house.ask(side, f"ALTER ROLE {role} LOGIN"))  # type: ignore[arg-type]


def table_locked(run: Run, victim: Process, fault: Fault) -> None:
    """Somebody alters the table: nobody else reads or writes it meanwhile."""

    def hold() -> None:
        with suppress(psycopg.Error), run.house.connect(fault.detail) as connection:  # type: ignore[arg-type]
            connection.execute("SET lock_timeout = '3s'")
            with connection.transaction():
                connection.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
                time.sleep(fault.seconds)

    run.later(0.0, hold)


def failed_over(run: Run, victim: Process, fault: Fault) -> None:
    """The primary is gone for good; its standby, which every commit has waited for, takes its place."""
    run.house.fail_over("prod" if fault.detail == "prod" else "consulta")


def clock_set(run: Run, victim: Process, fault: Fault) -> None:
    """The clock of one process, or of a server with all its sessions, is set and later set right again."""
    whose, seconds = fault.detail.split()
    control = victim.shim if whose == "its" else run.house.shims[whose]
    if control is not None:
        control.set_clock(float(seconds))
        run.later(fault.seconds, lambda: control.set_clock(0.0))


def disk_full(run: Run, victim: Process, fault: Fault) -> None:
    """No file of the server can grow. Where its log can't, it goes down, and up when there is room."""
    name, what = fault.detail.split()
    side: Database = "prod" if name == "prod" else "consulta"
    control = run.house.shims[side]
    if control is None:
        return
    control.fill_disk(WAL if what == "log" else DATA)

    def write() -> None:
        with suppress(psycopg.Error), run.house.connect(side) as connection:
            for _ in range(64):
                connection.execute("SELECT pg_logical_emit_message(true, 'chaos', repeat('x', 1000000))")

    def mend() -> None:
        control.fill_disk(0)
        time.sleep(0.5)
        run.house.up(side)

    if what == "log":
        run.later(0.0, write)
    run.later(fault.seconds, mend)


def stands_still(run: Run, victim: Process, fault: Fault) -> None:
    """All of a server is stopped: its lines are alive, and nothing answers."""
    side: Database = "prod" if fault.detail == "prod" else "consulta"
    stopped = run.house.suspend(side)
    run.later(fault.seconds, lambda: run.house.resume(stopped))


def rows_locked(run: Run, victim: Process, fault: Fault) -> None:
    """Somebody has changed rows of the liquidation in consulta, and rolls back in the end."""

    def hold() -> None:
        with suppress(psycopg.Error), run.house.connect("consulta") as connection:
            connection.execute("SET lock_timeout = '3s'")
            with connection.transaction(force_rollback=True):
                connection.execute(
                    "UPDATE items SET code = 'locked' WHERE liquidation_id = %s", [run.numbers.liquidation]
                )
                connection.execute(
                    "INSERT INTO items VALUES (%s, %s, 'locked', '', 0, NULL, now()) ON CONFLICT DO NOTHING",
                    [run.numbers.base + run.plan.shape.rows // 2, run.numbers.liquidation],
                )
                time.sleep(fault.seconds)

    run.later(0.0, hold)


# ----------------------------------------------------------------------------------------------- lines


def _lines(run: Run, victim: Process, fault: Fault) -> list[tuple[Process, Side]]:
    whose, _, side = fault.detail.partition(" ")
    processes = [victim] if whose == "its" else list(run.house.processes.values())
    return [(process, each) for process in processes for each in SIDES if each == side]


def cut(run: Run, victim: Process, fault: Fault) -> None:
    for process, side in _lines(run, victim, fault):
        process.lines[side].cut()


def refused(run: Run, victim: Process, fault: Fault) -> None:
    lines = _lines(run, victim, fault)
    for process, side in lines:
        process.lines[side].refuse()
        process.lines[side].cut()

    def mend() -> None:
        for process, side in lines:
            process.lines[side].allow()

    run.later(fault.seconds, mend)


def swallowed(run: Run, victim: Process, fault: Fault) -> None:
    """Half-open: the lines stay up and nothing arrives; then they break."""
    lines = _lines(run, victim, fault)
    for process, side in lines:
        process.lines[side].stall()

    def mend() -> None:
        for process, side in lines:
            process.lines[side].cut()
            process.lines[side].resume()

    run.later(fault.seconds, mend)


def slow(run: Run, victim: Process, fault: Fault) -> None:
    """Nothing is lost, all of it comes late."""
    lines = _lines(run, victim, fault)
    over = time.monotonic() + fault.seconds

    def hold_back() -> None:
        while time.monotonic() < over:
            for process, side in lines:
                process.lines[side].stall()
            time.sleep(0.3)
            for process, side in lines:
                process.lines[side].resume()
            time.sleep(0.02)

    run.later(0.0, hold_back)


LINES = tuple(f"{whose} {side}" for whose in ("its", "all") for side in SIDES)

# ----------------------------------------------------------------------------------------------- Slack


def slack_errs(run: Run, victim: Process, fault: Fault) -> None:
    """``detail`` is a method and what becomes of its calls."""
    method, how, times = fault.detail.split()
    hows: dict[str, dict[str, Any]] = {
        "500": {"status": 500},
        "429": {"status": 429, "retry_after": 1},
        "fatal": {"error": "fatal_error"},
        "dropped": {"accept_then_drop": True},
        "hangs": {"hang": True},
        "late": {"hang": True, "applied_after": 11.5},
        "refused-yet-done": {"error": "internal_error", "applied_after": 3.0},
        "slow": {"delay": 2.0},
        "internal": {"error": "internal_error"},
    }
    run.house.api.fault(method, times=int(times), **hows[how])


METHODS = (
    *("chat.postMessage", "chat.update", "pins.add", "pins.remove"),
    *("conversations.history", "conversations.replies", "usergroups.users.list", "*"),
)
HOWS = ("500", "429", "fatal", "dropped", "hangs", "slow", "internal")
#: Calls that Slack carries out after their client has given up, or has been told otherwise.
LATE = ("late", "refused-yet-done")
SLACK = (
    *(f"{method} {how} {times}" for method in METHODS for how in HOWS for times in (1, 2)),
    *(f"{method} {how} 1" for method in METHODS[:4] for how in LATE for _ in range(3)),
)


def answers_refused(run: Run, victim: Process, fault: Fault) -> None:
    """What the bot says to one person alone doesn't arrive."""
    run.house.api.refuse_response_urls(int(fault.detail), times=2)


def token_revoked(run: Run, victim: Process, fault: Fault) -> None:
    run.house.api.revoke_token()
    run.later(fault.seconds, run.house.api.restore_token)


def card_deleted(run: Run, victim: Process, fault: Fault) -> None:
    def delete() -> None:
        job = run.house.newest(run.numbers.liquidation)
        card = run.people.card(job) if job is not None else None
        if card is not None:
            with suppress(LookupError):
                run.house.api.delete_message(card.channel, card.ts)
                run.deleted_at = time.monotonic()

    run.later(0.0, delete)


def channel_lost(run: Run, victim: Process, fault: Fault) -> None:
    """For good."""
    if fault.detail == "archived":
        run.house.api.archive(run.people.channel)
    else:
        run.house.api.kick_bot(run.people.channel)


def sockets_cut(run: Run, victim: Process, fault: Fault) -> None:
    run.house.api.disconnect_sockets(None if fault.detail == "cut" else "warning")


def comes_twice(run: Run, victim: Process, fault: Fault) -> None:
    run.house.api.duplicate_next_envelope()


# ---------------------------------------------------------------------------------------------- people


def pressed(run: Run, victim: Process, fault: Fault) -> None:
    """Ana presses a button of the card, as soon as there is one; what she paused she resumes later."""

    def press() -> None:
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline:
            job = run.house.newest(run.numbers.liquidation)
            if job is not None and run.people.press(fault.detail, job):
                run.note(f"pressed {fault.detail}")
                return
            time.sleep(0.2)

    run.later(0.0, press)


def frozen(run: Run, victim: Process, fault: Fault) -> None:
    run.later(0.0, lambda: run.freeze(fault.seconds))


LOST = frozenset({"workers_lost"})
DOWN = LOST | {"connection", "server_down", "unreachable", "too_many_connections", "resources", "timeout"}

KINDS: dict[str, Kind] = {
    "kill -9": Kind("the process is killed and started again", kill, LOST),
    "SIGTERM": Kind("the process is told to end, and started again", terminate),
    "SIGSTOP": Kind("the process stands still", freeze, LOST, least=1.0, most=6.0),
    "prod down": Kind("prod stops at once and comes back", prod_down, DOWN),
    "consulta down": Kind(
        "consulta stops at once and comes back", consulta_down, DOWN, details=("", "crash")
    ),
    "Redis down": Kind("Redis is killed and comes back empty", redis_down),
    "Redis flushed": Kind("Redis forgets everything", redis_flushed),
    "message lost": Kind("Redis forgets a message that nobody has seen", message_lost),
    "sessions ended": Kind("an administrator ends the product's sessions", sessions_ended, DOWN),
    "locked out": Kind(
        "the product's role may not log in",
        locked_out,
        DOWN | {"login", "database"},
        details=("prod", "consulta"),
    ),
    "table locked": Kind(
        "somebody holds the table", table_locked, DOWN | {"lock", "altered"}, details=("prod", "consulta")
    ),
    "failed over": Kind(
        "a standby takes the place of the primary", failed_over, DOWN, details=("prod", "consulta")
    ),
    "clock set": Kind(
        "a clock jumps, and later back",
        clock_set,
        details=(
            "its -3600",
            "its 3600",
            "consulta -8",
            "consulta 8",
            "prod -30",
            "prod 30",
        ),
    ),
    "disk full": Kind(
        "a server's files can't grow",
        disk_full,
        DOWN | {"disk_full", "resources", "database"},
        least=1.5,
        details=("consulta data", "consulta log", "prod data", "prod log"),
    ),
    "stands still": Kind(
        "a server is stopped with its lines alive",
        stands_still,
        DOWN | {"lock"},
        details=("prod", "consulta"),
    ),
    "rows locked": Kind("somebody holds rows in consulta", rows_locked, DOWN | {"lock"}),
    "lines cut": Kind("connections are reset", cut, DOWN, details=LINES),
    "lines refused": Kind("connections are reset and refused", refused, DOWN, details=LINES),
    "lines swallow": Kind("nothing arrives, then the lines break", swallowed, DOWN, details=LINES, most=6.0),
    "lines slow": Kind("all of it comes late", slow, DOWN, details=LINES),
    "Slack errs": Kind("Slack answers with errors, late, or not at all", slack_errs, details=SLACK),
    "answers refused": Kind("Slack takes no answer to one person", answers_refused, details=("404", "500")),
    "token revoked": Kind("Slack locks the app out", token_revoked),
    "card deleted": Kind("somebody deletes the card", card_deleted),
    "channel lost": Kind("the channel takes no more", channel_lost, details=("archived", "kicked")),
    "sockets cut": Kind("Slack closes the bots' sockets", sockets_cut, details=("cut", "goodbye")),
    "comes twice": Kind("Slack sends the next envelope twice", comes_twice),
    "pressed": Kind("somebody presses a button", pressed, details=("pause", "pause", "cancel")),
    "frozen": Kind("somebody freezes all copies", frozen, least=1.0),
}


class Timers:
    """What is to be done later in a run, each in a thread of its own."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._threads: list[threading.Thread] = []

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        def wait() -> None:
            time.sleep(seconds)
            try:
                do()
            except Exception as error:
                self._failed(error)

        thread = threading.Thread(target=wait, name="chaos-timer", daemon=True)
        self._threads.append(thread)
        thread.start()

    def finish(self, timeout_seconds: float = 60.0) -> None:
        """Waits until all of it is done."""
        deadline = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
