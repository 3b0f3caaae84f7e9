"""The tracking tables for the tests of the bot, on a real database, and short ways to a job in some state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

import migrations
from bot.jobs.actions import Control
from bot.jobs.attempt import Attempt, Attempts, Executions, Proven, SecondPerson
from bot.jobs.baseline import KnownProof
from bot.jobs.cards import Cards
from bot.jobs.failure import Failure
from bot.jobs.freezes import Freezes
from bot.jobs.models import Status
from bot.jobs.outbox import MessageKind, Outbox
from bot.jobs.recovery import Sweep, Swept
from bot.jobs.repository import JobRepository, Request, Requester
from bot.jobs.view import JobView, Question
from bot.jobs.workers import UnbrokenBeats, Workers
from copier import (
    Baseline,
    Chunk,
    CopySpec,
    Counted,
    Counts,
    Digest,
    Fingerprint,
    Plan,
    Proof,
    RangeComparison,
    TableName,
)
from copier.model import KeyRange
from tests.support import Database

TABLE = TableName.parse("public.items")
SPEC = CopySpec("items", TABLE, TABLE, "liquidation_id")
ANA = Requester("T0", "U0ANA", "Ana", "es-ES")
BOB = Requester("T0", "U0BOB", "Bob", "en-US")
RANGE = KeyRange(1, None, ("5",), rows=5)
CHUNK = Chunk(RANGE, "updated", 5, Counts(inserted=2, updated=2, deleted=1, unchanged=1), 2, 100, 0.1)
SAME = Chunk(KeyRange(2, ("5",), None, rows=3), "unchanged", 3, Counts(unchanged=3), seconds=0.1)
COMPARED = RangeComparison(RANGE, Digest(5, 7), Digest(5, 7))
PROOF = Proof.of([COMPARED], Counted(5, 5))
WRONG = Proof.of([RangeComparison(RANGE, Digest(5, 7), Digest(4, 7))], Counted(5, 4))
LOST = Failure("connection", "the connection to prod was lost", side="prod")

CHART_SECONDS = 300.0

PLAN = Plan(datetime.now(UTC), total=8, held=8)


def over(engine: Engine, attempt: Attempt) -> Attempt:
    """The same attempt, with its sessions from another engine."""
    minute = timedelta(seconds=60)
    return Attempt(engine, attempt.claim, None, lease=minute)


class Ends:
    """The steps that end the attempt of a job alone."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempts = Attempts([attempt])
        self._name = attempt.copy_name

    def completed(
        self,
        proof: Proof,
        baseline: Baseline | None = None,
        since: KnownProof | None = None,
        made_of: Fingerprint | None = None,
    ) -> None:
        self._attempts.completed({self._name: Proven(proof, baseline, since, made_of)})

    def failed(self, failure: Failure, proof: Proof | None = None) -> None:
        self._attempts.failed({self._name: failure}, {} if proof is None else {self._name: proof})

    def cancelled(self) -> None:
        self._attempts.cancelled()

    def retry_later(self, failure: Failure, seconds: float) -> Status:
        return self._attempts.retry_later({self._name: failure}, seconds)

    def released(self, *, frozen: bool = False) -> Status:
        return self._attempts.released(frozen=frozen)

    def ask(self, question: Question, second: SecondPerson | None) -> Status:
        return self._attempts.ask({self._name: question}, {} if second is None else {self._name: second})


class Jobs:
    """The tracking tables, and what reads and writes them."""

    def __init__(
        self,
        database: Database,
        lease_seconds: float = 60.0,
        *,
        schema: str = migrations.SCHEMA,
        are_there: bool = False,
    ) -> None:
        """Makes the tables unless they ``are_there``."""
        url = database.url.replace("postgresql://", "postgresql+psycopg://", 1)
        self.engine: Engine = create_engine(
            url, pool_size=20, max_overflow=30, execution_options=migrations.options(schema)
        )
        if not are_there:
            migrations.upgrade(self.engine)
        self.store = JobRepository(self.engine)
        self.executions = Executions(self.engine, lease_seconds=lease_seconds)
        self.cards = Cards(self.engine)
        self.outbox = Outbox(self.engine)
        self.control = Control(self.engine)
        self.freezes = Freezes(self.engine)
        self.workers = Workers(self.engine)

    def empty(self) -> None:
        """As before the first job, but for the numbers."""
        while True:
            try:
                self.run(
                    "TRUNCATE traspaso.users, traspaso.copy_jobs, traspaso.workers, traspaso.receipts CASCADE"
                )
                break
            except OperationalError as error:
                # The test before may have left a look that takes its locks in another order.
                if not isinstance(error.orig, psycopg.errors.DeadlockDetected):
                    raise
        self.run("TRUNCATE traspaso.schedules, traspaso.schedule_firings, traspaso.freeze_windows")
        self.run("TRUNCATE traspaso.standings, traspaso.drift, traspaso.watch_rounds")
        self.run("TRUNCATE traspaso.channel_notices")
        self.somebody_works()

    def somebody_works(self, takes_jobs: bool = True, **since: float) -> int:
        """A worker that goes on living, or that was last heard of so many ``seconds`` ago; its number."""
        worker_id, _ = self.workers.begin("host", 1, "0.1.0", takes_jobs=takes_jobs)
        seconds = since.get("seconds", -24 * 3600)
        self.run(
            "UPDATE traspaso.workers SET started_at = now() - interval '2 days', "
            "beat_at = clock_timestamp() - make_interval(secs => :seconds) WHERE id = :id",
            id=worker_id,
            seconds=seconds,
        )
        return worker_id

    def request(self, liquidation: int = 42, **values: Any) -> Request:
        return Request(
            **{"spec": SPEC, "liquidation_id": liquidation, "label": None, "requester": ANA} | values
        )

    def create(self, liquidation: int = 42, **values: Any) -> int:
        return self.store.create(self.request(liquidation, **values))[0]

    def claimed(self, **values: Any) -> Attempt:
        claim = self.executions.claim(self.create(**values), "host:1")
        assert claim is not None
        return claim

    def see(self, job_id: int) -> JobView:
        job = self.store.job(job_id)
        assert job is not None
        return job

    def kinds(self, job_id: int) -> list[str]:
        return [event.kind for event in self.store.events(job_id)]

    def sweep(
        self,
        *,
        overdue_seconds: float = 5.0,
        max_attempts: int = 50,
        own: UnbrokenBeats | None = None,
        room: int = 0,
    ) -> Swept:
        return Sweep(self.engine, overdue_seconds=overdue_seconds, max_attempts=max_attempts).run(own, room)

    def tell_all(self) -> list[MessageKind]:
        """Takes the outbox through, as a outbox relay whom Slack never fails; what it had to tell."""
        told = []
        while due := self.outbox.take():
            self.outbox.done(due)
            told.append(due.kind)
        return told

    def is_pending(self, job_id: int, kind: MessageKind) -> bool:
        """The outbox still has this to tell about the job."""
        left = "SELECT FROM traspaso.outbox WHERE job_id = :id AND kind = :kind AND done_at IS NULL"
        with self.engine.connect() as connection:
            return connection.execute(text(left), {"id": job_id, "kind": kind.value}).first() is not None

    def let_the_lease_run_out(self, job_id: int) -> None:
        self.run(
            "UPDATE traspaso.copy_jobs SET lease_until = now() - interval '1 s' WHERE id = :id", id=job_id
        )

    def run(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)
