"""The product's processes around one stack, and one test's part of it: a liquidation and a channel.

A copy is held in its middle by a roadblock, a key that an open transaction of the test occupies in
consulta: the worker is then provably inside a chunk, for as long as the test wants.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
import redis
from psycopg.rows import dict_row

from bot.i18n import translator
from bot.jobs.outbox import REMINDERS, MessageKind
from bot.messages.question import REJECT_CALLBACK
from bot.slack.access import TO_PRESS
from dev.compare import Comparison, compare
from dev.guard import ROOT
from dev.local_slack.client import LocalSlack, Person
from dev.local_slack.results import Interaction, Message
from dev.ports import candidate_port
from dev.processes import Child
from dev.stack import Stack
from tests.support import until

T = TypeVar("T")
Row = dict[str, Any]

#: Part of the URLs of both databases, and of each row's description: neither may turn up elsewhere.
PASSWORD = "hunter2-very-secret"
ROW_VALUE = "sueldo-de-Núñez"
CHUNK_ROWS = 1_000
ROWS = 8 * CHUNK_ROWS

ES, EN = translator("es"), translator("en")

#: Settings under which it is measured how soon a loss is noticed.
DEFAULTS = {"lease_seconds": 60.0, "sweep_seconds": 2.0, "overdue_seconds": 5.0}

ITEMS = """
INSERT INTO liquidation_items
SELECT %(liquidation)s::bigint * 1000000 + g, %(liquidation)s, 20000000 + g %% 97, 'C0001',
    %(value)s || '-' || g, g, 100.50, g::numeric / 100, 'ARS', date '2026-10-01', 'pagado',
    jsonb_build_object('nota', %(value)s),
    timestamptz '2026-10-01 00:00-03', timestamptz '2026-10-02 00:00-03'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS g
"""


class Office:
    """One stack for the session, a bot, and as many workers as a test asks for.

    ``settings`` are those of its processes beside the stack's: an installation beside the usual one has its
    tracking tables in ``schema``. ``tree`` is a working copy of the release that its next processes run.
    """

    def __init__(
        self,
        stack: Stack,
        settings: Mapping[str, str] | None = None,
        schema: str = "traspaso",
        tree: Path = ROOT,
    ) -> None:
        self.stack = stack
        self.tree = tree
        self.schema = schema
        self._settings = {**stack.environment(), **(settings or {})}
        self.slack = LocalSlack(self._settings["SLACK_API_URL"].removesuffix("/api/"))
        self.prod = psycopg.connect(stack.prod_url, autocommit=True, row_factory=dict_row)
        self.consulta = psycopg.connect(stack.consulta_url, autocommit=True, row_factory=dict_row)
        self.bot = self._start_bot()
        self._http_bot: tuple[Child, str] | None = None
        self._workers: list[Child] = []
        self._own: list[Child] = []
        self._names = itertools.count(1)

    def close(self) -> None:
        self.prod.close()
        self.consulta.close()
        self.slack.close()

    @property
    def secrets(self) -> dict[str, str]:
        """The settings of both databases with a password, which the servers don't ask for."""
        return {
            name: value.replace("postgres@", f"postgres:{PASSWORD}@")
            for name, value in self.stack.environment().items()
            if name.endswith("_DATABASE_URL")
        }

    def leave(self) -> None:
        """All its processes end; the servers stay."""
        self.workers(0)
        self.stop_bot()
        self.close()

    def restart_bot(self, *, kill: bool = False, **environment: str) -> None:
        if self.bot.running:
            if kill:
                self.bot.kill()
            else:
                self.bot.terminate()
                assert self.bot.wait(20) == 0
        self.bot = self._start_bot(environment)

    @contextmanager
    def over_http(self) -> Iterator[None]:
        """What people do comes as signed requests to a bot in HTTP mode, which stays for later tests."""
        if self._http_bot is None or not self._http_bot[0].running:
            self._http_bot = self.start_http_bot("bot-http")
        self.slack.use_request_url(self._http_bot[1])
        try:
            yield
        finally:
            self.slack.use_request_url(None)

    def start_http_bot(self, name: str, **environment: str) -> tuple[Child, str]:
        """A bot in HTTP mode, and its request URL."""
        port = candidate_port()
        env = {
            **self.secrets,
            "SLACK_APP_TOKEN": "",
            "SLACK_SIGNING_SECRET": self.slack.signing_secret,
            "PORT": str(port),
            "WEB_HOST": "127.0.0.1",
            **environment,
        }
        bot = self.stack.run(name, ["python", "-m", "bot"], ready="listening for Slack on", env=env)
        return bot, f"http://127.0.0.1:{port}/slack/events"

    def stop_bot(self) -> None:
        self.bot.terminate()
        assert self.bot.wait(20) == 0

    def stop_http_bot(self) -> None:
        """For a test that counts what the processes it knows have told: this one would tell some of it."""
        if self._http_bot is not None and self._http_bot[0].running:
            self._http_bot[0].terminate()
            assert self._http_bot[0].wait(20) == 0

    def workers(self, n: int) -> list[Child]:
        """Exactly so many workers run, and are ready."""
        self._workers = [worker for worker in self._workers if worker.running]
        while len(self._workers) > n:
            self._workers.pop().kill()
        while len(self._workers) < n:
            self._workers.append(self._start_worker({}))
        for worker in self._workers:
            worker.wait_for_line("ready for action")
        return list(self._workers)

    def pretend(self, *, silent_seconds: float = -3600.0) -> None:
        """No worker but one that only says that it lives, or that has been silent for so long."""
        self.workers(0)
        self.consulta.execute("UPDATE traspaso.workers SET beat_at = now() - interval '1 d', ended_at = NULL")
        self.consulta.execute(
            "INSERT INTO traspaso.workers (host, process, version, takes_jobs, beat_at) "
            "VALUES ('pretended', 1, '0', true, now() - make_interval(secs => %s))",
            [silent_seconds],
        )

    def own_worker(self, environment: Mapping[str, str]) -> Child:
        """A worker for this test alone, with other settings; only such ones run."""
        self.workers(0)
        worker = self._start_worker(environment)
        self._own.append(worker)
        worker.wait_for_line("ready for action")
        return worker

    def with_work(self, **settings: float) -> dict[str, str]:
        """The environment of a process with these settings under ``[work]``, in the place of the house's."""
        config = self.stack.config_path.read_text("utf-8").splitlines()
        lines = [line for line in config if line.partition(" =")[0] not in settings]
        place = lines.index("[work]") + 1
        lines[place:place] = [f"{name} = {value}" for name, value in settings.items()]
        path = self.stack.folder / f"{'-'.join(settings)}.toml"
        path.write_text("\n".join(lines), "utf-8")
        return {"TRASPASO_CONFIG": str(path)}

    def worker_of(self, job: Row) -> Child:
        """The one that holds this job, by the process that the row names."""
        pid = int(job["worker"].rpartition(":")[2])
        for worker in [*self._workers, *self._own]:
            if worker.running and pid in {child.pid for child in psutil.Process(worker.pid).children(True)}:
                return worker
        raise AssertionError(f"no worker has process {pid}")

    def logs(self) -> str:
        """What every process of the product has written."""
        return "\n".join(
            path.read_text("utf-8", "replace")
            for path in self.stack.folder.glob("*.log")
            if path.stem.startswith(("bot", "worker", "migrate"))
        )

    def clean_up(self) -> None:
        """As before the test: no job alive, nothing left to tell, no fault, workers as they come."""
        for worker in self._own:
            worker.kill()
        self._own.clear()
        self.consulta.execute("DELETE FROM traspaso.workers WHERE host = 'pretended'")
        if not self.stack.valkey.running:
            self.stack.valkey.start()
        self.consulta.execute(
            "UPDATE traspaso.copy_jobs SET status = 'cancelled', finished_at = now(), attempt = attempt + 1 "
            "WHERE status IN ('pending', 'running', 'paused')"
        )
        there = self.consulta.execute("SELECT to_regclass('traspaso.copy_runs') AS runs").fetchone()
        if there and there["runs"]:  # the release before has none
            self.consulta.execute("UPDATE traspaso.copy_runs SET ended_at = now() WHERE ended_at IS NULL")
        self.consulta.execute("UPDATE traspaso.copy_freezes SET lifted_at = now() WHERE lifted_at IS NULL")
        self.consulta.execute("UPDATE traspaso.outbox SET done_at = now() WHERE done_at IS NULL")
        slack = self.slack
        slack.clear_faults()
        slack.restore_token()
        slack.disable_usergroups(None)
        for person in ("U0ANA", "U0BOB"):
            slack.add_to_group(person)
        slack.rate_limits()
        self._forget_calls()
        if not self.bot.running:
            self.bot = self._start_bot()

    def _forget_calls(self) -> None:
        """The local Slack begins a new minute; so do the product's processes."""
        with redis.Redis.from_url(self.stack.valkey.url) as client:
            if calls := list(client.scan_iter("traspaso-pace:*")):
                client.delete(*calls)

    def _start_bot(self, environment: Mapping[str, str] | None = None) -> Child:
        settings = {**self._settings, **self.secrets, **(environment or {})}
        bot = self.stack.start_bot(env=settings, tree=self.tree)
        bot.wait_until(lambda: "connected to Slack" in bot.log(), what="connection to Slack")
        self.slack.wait_for(lambda: self.slack.ask("sockets")["connected"] == 1)
        return bot

    def _start_worker(self, environment: Mapping[str, str]) -> Child:
        return self.stack.start_worker(
            f"worker-{next(self._names)}" if self.schema == "traspaso" else f"worker-of-{self.schema}",
            arguments=("--processes", "1", "--threads", "2"),
            env={**self._settings, **self.secrets, **environment},
            tree=self.tree,
        )


@dataclass
class Scene:
    """One test: its liquidation, its channel, and the people in it."""

    office: Office
    liquidation: int
    channel: str
    name: str = ""
    first_call: int = 0
    _marks: dict[str, int] = field(default_factory=dict)

    @property
    def slack(self) -> LocalSlack:
        return self.office.slack

    @property
    def ana(self) -> Person:
        """An admin who reads Spanish."""
        return self.slack.user("U0ANA")

    @property
    def bob(self) -> Person:
        """An admin who reads English."""
        return self.slack.user("U0BOB")

    @property
    def carla(self) -> Person:
        """Not an admin."""
        return self.slack.user("U0CARLA")

    def leaves_the_group(self, person: Person) -> None:
        """No press after this rests on what Slack said of the group before."""
        self.slack.remove_from_group(person.id)
        self.let_a_press_ask_anew()

    def joins_the_group(self, person: Person) -> None:
        """The same the other way round."""
        self.slack.add_to_group(person.id)
        self.let_a_press_ask_anew()

    def let_a_press_ask_anew(self) -> None:
        """What the bot has been told of the groups is too old for a press then."""
        time.sleep(TO_PRESS.seconds)

    def was_pressed_a_while_ago(self, job_id: int) -> None:
        """As if a worker took the job so late that it asks about its requester again."""
        self.office.consulta.execute(
            "UPDATE traspaso.copy_jobs SET created_at = created_at - interval '1 minute' WHERE id = %s",
            [job_id],
        )

    # ------------------------------------------------------------------------------------------ the data

    def seed(self, rows: int = ROWS, *, first: int = 1, liquidation: int | None = None) -> None:
        """Rows of this liquidation in prod."""
        self._insert(self.office.prod, first, rows, liquidation)

    def seed_consulta(self, rows: int, *, first: int = 1, liquidation: int | None = None) -> None:
        self._insert(self.office.consulta, first, rows, liquidation)

    def key(self, row: int) -> int:
        return self.liquidation * 1_000_000 + row

    def compared(self, liquidation: int | None = None) -> Comparison:
        """Both sides, read without any of the product's code."""
        stack = self.office.stack
        return compare(stack.prod_url, stack.consulta_url, liquidation or self.liquidation)

    @contextmanager
    def roadblock(self, row: int = 5 * CHUNK_ROWS + CHUNK_ROWS // 2) -> Iterator[Roadblock]:
        """A copy of this liquidation gets as far as this row, by default within its sixth chunk."""
        with psycopg.connect(self.office.stack.consulta_url) as connection:
            parameters = {"liquidation": self.liquidation, "value": "", "first": row, "last": row}
            connection.execute(ITEMS, parameters)
            try:
                yield Roadblock(self, connection)
            finally:
                connection.rollback()

    @contextmanager
    def halfway(self, workers: int = 1) -> Iterator[tuple[int, Roadblock]]:
        """A copy that a worker holds within its sixth chunk, and the roadblock that it stands before."""
        self.office.workers(workers)
        self.seed()
        with self.roadblock() as roadblock:
            job_id = self.start()
            roadblock.reached(job_id)
            yield job_id, roadblock

    # ------------------------------------------------------------------------------------- the conversation

    def type(self, person: Person, line: str) -> tuple[Interaction, Message]:
        """Types a command; how Slack took it, and the answer that this person alone sees."""
        before = {message.ts for message in self.private(person)}
        taken = person.command(line, channel=self.channel)
        answer = self.slack.wait_for(
            lambda: next((each for each in self.private(person) if each.ts not in before), None)
        )
        return taken, answer

    def ask(self, person: Person, text: str, command: str = "/copy-liquidation") -> str:
        """What the person reads after the command with this text."""
        taken, answer = self.type(person, f"{command} {text}")
        assert taken.acked
        return answer.plain

    def offer(self, person: Person, copy: str = "") -> Message:
        """The confirm card of this liquidation."""
        _, answer = self.type(person, f"/copy-liquidation {self.liquidation} {copy}".rstrip())
        assert answer.buttons, answer.plain
        return answer

    def press(self, person: Person, offer: Message) -> str:
        """Presses *Copy*; what takes the place of the card."""
        taken = person.press(offer, "copy_liquidation.confirm")
        assert taken.acked
        return self.replaced(person, offer)

    def press_on_card(self, person: Person, card: Message, action: str) -> str:
        """Presses a button of a job's card; the answer that this person alone sees."""
        before = {message.ts for message in self.private(person)}
        assert person.press(card, action).acked
        return self.slack.wait_for(
            lambda: next((each for each in self.private(person) if each.ts not in before), None)
        ).plain

    def reject(self, person: Person, card: Message, reason: str = "", *, stale: bool = False) -> str:
        """Presses *Reject* and sends its modal; the answer that this person alone sees."""
        before = {message.ts for message in self.private(person)}
        assert person.press(card, "job.reject", stale=stale).acked
        self.slack.wait_for(lambda: (asks := person.modal()) and asks.callback_id == REJECT_CALLBACK)
        assert person.submit({"reason": reason}).acked
        return self.slack.wait_for(
            lambda: next((each for each in self.private(person) if each.ts not in before), None)
        ).plain

    def freeze(self, person: Person) -> str:
        """Freezes all copies without a reason; what takes the place of the question."""
        _, asked = self.type(person, "/copy-freeze")
        assert person.press(asked, "freeze.all").acked
        return self.replaced(person, asked)

    def replaced(self, person: Person, offer: Message) -> str:
        """What the card has become."""

        def changed() -> Message | None:
            now = next(each for each in self.private(person) if each.ts == offer.ts)
            return now if now.blocks != offer.blocks else None

        return self.slack.wait_for(changed).plain

    def private(self, person: Person) -> list[Message]:
        return [message for message in person.messages(self.channel) if message.ephemeral]

    def start(self, person: Person | None = None, copy: str = "") -> int:
        """The whole way to a job; its number."""
        person = person or self.ana
        self.press(person, self.offer(person, copy))
        return int(until(lambda: self.jobs(), what="a job")[-1]["id"])

    # -------------------------------------------------------------------------------------- what became of it

    def jobs(self) -> list[Row]:
        return self.rows(
            "SELECT * FROM traspaso.copy_jobs WHERE liquidation_id = %s ORDER BY id", self.liquidation
        )

    def job(self, job_id: int) -> Row:
        return self.rows("SELECT * FROM traspaso.copy_jobs WHERE id = %s", job_id)[0]

    def chunks(self, job_id: int, attempt: int) -> list[Row]:
        return self.rows(
            "SELECT * FROM traspaso.copy_chunks WHERE job_id = %s AND attempt = %s ORDER BY number",
            job_id,
            attempt,
        )

    def events(self, job_id: int) -> list[str]:
        found = self.rows("SELECT kind FROM traspaso.copy_events WHERE job_id = %s ORDER BY id", job_id)
        return [event["kind"] for event in found]

    def rows(self, query: str, *parameters: Any) -> list[Row]:
        named = query.replace("traspaso.", f"{self.office.schema}.")
        return self.office.consulta.execute(named.encode(), parameters).fetchall()

    def ended(self, job_id: int, status: str = "completed", timeout: float = 60.0) -> Row:
        """The job's row at its end, which must be this one."""

        def over() -> Row | None:
            job = self.job(job_id)
            return job if job["status"] in {"completed", "failed", "cancelled"} else None

        job = until(over, timeout, f"the end of job {job_id}")
        assert job["status"] == status, job
        return job

    def told(self, job_id: int, timeout: float = 60.0) -> None:
        """Everything that was to be said about the job has been said.

        What looks after calls that got no answer may go on.
        """
        left = (
            "SELECT count(*) AS n FROM traspaso.outbox WHERE job_id = %s AND done_at IS NULL "
            "AND kind NOT IN ('refresh', 'doubles', 'left')"
        )
        until(lambda: self.rows(left, job_id)[0]["n"] == 0, timeout, f"the last message of job {job_id}")

    def completed(self, job_id: int, timeout: float = 60.0) -> Row:
        """Completed, told, and the same on both sides."""
        job = self.ended(job_id, timeout=timeout)
        self.told(job_id)
        comparison = self.compared()
        assert comparison, str(comparison)
        assert comparison.prod_rows == job["total_records"] == job["copied_records"]
        return job

    def cards(self, job_id: int, channel: str | None = None, person: Person | None = None) -> list[Message]:
        return self._posted(job_id, "card", (person or self.ana).messages(channel or self.channel))

    def card_with(self, job_id: int, words: str) -> Message:
        """The card as soon as it says this."""
        return self.slack.wait_for(
            lambda: next((card for card in self.cards(job_id) if words in card.plain), None)
        )

    def card(self, job_id: int) -> Message:
        """The one card of the job, as soon as it is there."""
        found = self.slack.wait_for(lambda: self.cards(job_id))
        assert len(found) == 1, [card.plain for card in found]
        return found[0]

    def replies(self, job_id: int, channel: str | None = None, person: Person | None = None) -> list[Message]:
        """All endings and questions of the job, whichever thread they are in."""
        return [each for each in self.thread(job_id, channel, person) if not _is_aside(each)]

    def asides(self, job_id: int, part: str) -> list[Message]:
        """Replies of that kind that aren't about its end: that it was approved, that it still waits."""
        return [each for each in self.thread(job_id) if _part_of(each).startswith(f"{part}-")]

    def thread(self, job_id: int, channel: str | None = None, person: Person | None = None) -> list[Message]:
        """All replies about the job."""
        person = person or self.ana
        found = []
        for message in person.messages(channel or self.channel):
            if message.reply_count:
                found += person.thread(channel or self.channel, message.ts)[1:]
        return [
            each for each in found if (each.metadata or {}).get("event_payload", {}).get("job") == str(job_id)
        ]

    def reply(self, job_id: int) -> Message:
        found = self.slack.wait_for(lambda: self.replies(job_id))
        assert len(found) == 1, [reply.plain for reply in found]
        return found[0]

    def _posted(self, job_id: int, part: str, messages: list[Message]) -> list[Message]:
        wanted = {"job": str(job_id), "part": part}
        if self.office.schema != "traspaso":
            wanted["schema"] = self.office.schema
        return [each for each in messages if (each.metadata or {}).get("event_payload") == wanted]

    def _insert(self, side: psycopg.Connection[Row], first: int, rows: int, liquidation: int | None) -> None:
        parameters = {
            "liquidation": liquidation or self.liquidation,
            "value": ROW_VALUE,
            "first": first,
            "last": first + rows - 1,
        }
        side.execute(ITEMS, parameters)


@dataclass
class Roadblock:
    """Lifted by `lift`, or by the end of its block."""

    scene: Scene
    connection: psycopg.Connection[Any]

    def reached(self, job_id: int, *, attempt: int = 1, timeout: float = 60.0) -> Row:
        """The job's row once this attempt stands before the roadblock."""
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s AND wait_event_type = 'Lock'"
        )
        name = f"traspaso % job {job_id}/{attempt}"
        until(lambda: self.scene.rows(waiting, name), timeout, f"{name} before the roadblock")
        # Another lane may be before its first commit still.
        until(lambda: self.scene.job(job_id)["copied_records"], timeout, f"a first chunk of {name}")
        job = self.scene.job(job_id)
        assert job["attempt"] == attempt
        assert 0 < job["copied_records"] < job["total_records"]
        return job

    def lift(self) -> None:
        self.connection.rollback()


def _part_of(message: Message) -> str:
    return str((message.metadata or {}).get("event_payload", {}).get("part", ""))


def _is_aside(message: Message) -> bool:
    return _part_of(message).partition("-")[0] in {kind.value for kind in (MessageKind.APPROVED, *REMINDERS)}
