"""The receipts: what each job that ended leaves as evidence, in a chain in which nothing changes unseen.

A receipt says who asked, who approved and why, what changed, as of when, and both digests. Its hash is
``sha256(previous hash + canonical JSON of the receipt)``, so whoever changes, removes or swaps one breaks the
chain there. It is written in the transaction that ends the job, under a lock: no gap and no fork, however
many workers end at once. A job that ends again, after a retry, leaves one more.

Only the removal of the newest ones can't be seen in the chain itself; a hash that was noted elsewhere shows
it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, Self

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Select,
    cast,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.engine import Row

from bot.jobs.events import Event, EventKind, event_of
from bot.jobs.models import LIVE, CopyEvent, CopyJob, CopyRun, Installation, ReceiptRow, Status, User
from copier.batch import Rows

Content = dict[str, Any]

#: The form of a receipt. Another number, where its fields are others.
FORMAT = 1
#: What stands for the hash before the first one.
BEFORE_THE_FIRST = "0" * 64
#: Receipts that are read at once.
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Receipt:
    """One link of the chain: ``content`` is the receipt, the rest what the row has beside it."""

    number: int
    job_id: int
    attempt: int
    at: datetime
    content: Content
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What a list shows of a job that ended.

    ``receipt`` is None for one of a release before the chain: ``content`` is what its row says now.
    """

    content: Content
    receipt: Receipt | None = None

    @property
    def hash(self) -> str | None:
        return self.receipt.hash if self.receipt else None


@dataclass(frozen=True, slots=True)
class Chain:
    """What a walk over all receipts has found.

    ``broken`` says where and why the chain breaks first, None where it holds. ``newest`` is the last receipt
    that was read, ``missing`` which of the noted hashes no receipt has.
    """

    receipts: int
    newest: Receipt | None
    broken: str | None
    missing: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return self.broken is None and not self.missing


# ----------------------------------------------------------------------------
# The hash


def canonical(content: Content) -> bytes:
    """The one way to write a receipt: UTF-8, keys sorted, no spaces."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def hash_of(previous_hash: str, content: Content) -> str:
    """In hexadecimal."""
    return hashlib.sha256(previous_hash.encode() + canonical(content)).hexdigest()


def walk(receipts: Iterable[Receipt], noted: Iterable[str] = ()) -> Chain:
    """Looks at each receipt in the order of their numbers, until the chain breaks.

    ``noted`` are hashes that were written down elsewhere; each has to be one of the chain's.
    """
    missing = {each.strip().lower() for each in noted}
    newest, broken, count = None, None, 0
    previous = BEFORE_THE_FIRST
    for receipt in receipts:
        broken = _break(receipt, count + 1, previous)
        if broken is not None:
            break
        newest, previous, count = receipt, receipt.hash, count + 1
        missing.discard(receipt.hash)
    return Chain(count, newest, broken, tuple(sorted(missing)) if broken is None else ())


def _break(receipt: Receipt, number: int, previous_hash: str) -> str | None:
    """Why this isn't the receipt of that number; None where it is."""
    if receipt.number != number:
        return f"receipt {number} is missing: receipt {receipt.number} comes in its place"
    what = f"receipt {number} (job {receipt.job_id}, attempt {receipt.attempt})"
    if receipt.previous_hash != previous_hash:
        return f"{what} doesn't follow on the one before it: another one was there when it was written"
    if hash_of(previous_hash, receipt.content) != receipt.hash:
        return f"{what} was changed after it was written: its hash isn't that of its content"
    beside = {
        "number": receipt.number,
        "job": receipt.job_id,
        "attempt": receipt.attempt,
        "at": _moment(receipt.at),
    }
    if any(receipt.content.get(key) != value for key, value in beside.items()):
        return f"{what} was changed after it was written: its row says something else than its content"
    return None


# ----------------------------------------------------------------------------
# Writing one


def questions(job_id: int, by: int | None) -> list[Executable]:
    """What is asked before the receipt of a job that ends, in the transaction that ends it, behind the step.

    Its first question takes the lock under which receipts are written: the transaction has to end soon.
    ``by`` is the row of the user who ended the job.
    """
    name = func.concat("traspaso receipts ", Installation.id)
    lock = func.pg_advisory_xact_lock(func.hashtextextended(name, 0))
    named = func.unnest(array([getattr(CopyJob, each) for each in _NAMED]))
    ids = select(named).where(CopyJob.id == job_id)
    run_id = select(CopyJob.run_id).where(CopyJob.id == job_id).scalar_subquery()
    of_set = select(CopyRun.set_name).where(CopyRun.id == run_id)
    return [
        # In this order, so that the moment is after that of the receipt before. The lock is nobody else's:
        # who has it waits for nothing but the row of a run, which nobody who holds that waits with for it.
        select(Installation.id, lock, func.clock_timestamp(), of_set.scalar_subquery()),
        # Another statement, so that it sees what was committed while this one waited.
        select(ReceiptRow.number, ReceiptRow.hash).order_by(ReceiptRow.number.desc()).limit(1),
        _users().where(or_(User.id.in_(ids), User.id == by)),
    ]


def receipt(job: Any, event: Event, by: int | None, answers: Sequence[Rows]) -> Executable:
    """The statement that adds the receipt of a job that ends.

    ``job`` is its row as it is at the end, ``answers`` what the `questions` gave.
    """
    [[installation, _, at, set_name]], newest, users = answers
    number, previous_hash = newest[0] if newest else (0, BEFORE_THE_FIRST)
    row = job._asdict()
    content = {
        "format": FORMAT,
        "release": version("traspaso"),
        "installation": installation,
        "number": number + 1,
        "at": _moment(at),
        **_content(row, event, _people(users), by),
        "set": set_name,
    }
    return insert(ReceiptRow).values(
        number=number + 1,
        job_id=row["id"],
        attempt=row["attempt"],
        at=at,
        receipt=content,
        previous_hash=previous_hash,
        hash=hash_of(previous_hash, content),
    )


def _content(
    job: Mapping[Any, Any], event: Event | None, people: Mapping[int | None, Content], by: int | None
) -> Content:
    """What a receipt says of a job. No number in it is a fraction: each reads back as it was written."""
    detail = event.as_json() if event is not None else {}
    stopped_by = job["stopped_by"] if job["status"] == Status.CANCELLED else None
    ended = by if by is not None else stopped_by
    is_rejected = event is not None and event.kind == EventKind.REJECTED
    return {
        "job": job["id"],
        "attempt": job["attempt"],
        "status": job["status"],
        "event": event.kind if event is not None else None,
        "copy": job["copy_name"],
        "source_table": job["source_table"],
        "target_table": job["target_table"],
        "liquidation": job["liquidation_id"],
        "label": job["liquidation_label"],
        "requested_by": people.get(job["user_id"]),
        "requested_at": _moment(job["created_at"]),
        "request_reason": job.get("request_reason"),
        "approval": job["approval"],
        "decided_by": people.get(job["approval_by"]),
        "decided_at": _moment(job["approval_at"]),
        "decision_reason": job.get("approval_reason"),
        "ended_by": people.get(ended),
        "ended_reason": detail.get("reason") if is_rejected else None,
        "started_at": _moment(job["started_at"]),
        "finished_at": _moment(job["finished_at"]),
        "milliseconds": _milliseconds(job["started_at"], job["finished_at"]),
        "as_of": _moment(job["as_of"]),
        "shown_in_prod": job["previewed_records"],
        "shown_in_consulta": job["previewed_target_records"],
        "shown_to_be_deleted": job.get("previewed_deletes"),
        "removal_confirmed": job["removal_confirmed"],
        "rows_in_prod": job["total_records"],
        "rows_in_consulta": job["target_records"],
        "inserted": job["inserted_records"],
        "updated": job["updated_records"],
        "deleted": job["deleted_records"],
        "unchanged": job["unchanged_records"],
        "moved": job["moved_records"],
        "bytes": job["copied_bytes"],
        "chunks": job["chunks_done"],
        "prod_digest": job["source_digest"],
        "consulta_digest": job["target_digest"],
        "failure": (job["error"] or {}).get("code"),
        "message": job["error_message"],
        "worker": job["worker"],
        "fingerprint": job["fingerprint"],
        "values_job": job.get("values_job_id"),
        "schedule": job.get("schedule"),
        "run": job.get("run_id"),
        "set": None,
    }


#: The columns of a job that name users.
_NAMED = ("user_id", "approval_by", "stopped_by")


def _users() -> Select[int, str, str, str]:
    return select(User.id, User.slack_team_id, User.slack_user_id, User.name)


def _people(users: Iterable[Any]) -> dict[int | None, Content]:
    """Whoever they are, by the number of their row."""
    return {user.id: {"team": user[1], "id": user[2], "name": user[3]} for user in users}


def _moment(at: datetime | None) -> str | None:
    """In UTC, to the microsecond, as it is hashed."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _milliseconds(began: datetime | None, ended: datetime | None) -> int | None:
    if began is None or ended is None:
        return None
    return max(0, (ended - began) // timedelta(milliseconds=1))


# ----------------------------------------------------------------------------
# Which ones


class WrongDateRange(ValueError):
    """It is no year, month or day, nor two of them."""


_DAY = re.compile(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class DateRange:
    """From ``begin``, and before ``end``, in UTC."""

    begin: datetime
    end: datetime

    @classmethod
    def parse(cls, text: str) -> Self:
        """A year, a month or a day (``2026``, ``2026-11``, ``2026-11-05``), or two with ``..`` between.

        Raises:
            WrongDateRange: it is none of these.
        """
        first, _, last = text.strip().partition("..")
        begin, end = _days(first)[0], _days(last or first)[1]
        if end <= begin:
            raise WrongDateRange(f"{text} ends before it begins")
        return cls(begin, end)

    @classmethod
    def month_of(cls, moment: datetime) -> Self:
        return cls.parse(moment.astimezone(UTC).strftime("%Y-%m"))


def _days(text: str) -> tuple[datetime, datetime]:
    """The first moment of a year, month or day, and of the next one."""
    found = _DAY.fullmatch(text.strip()) if text.isascii() else None
    if found is None:
        raise WrongDateRange(f"{text!r} is no year, month or day, such as 2026, 2026-11 or 2026-11-05")
    year, month, day = (int(each) if each else None for each in found.groups())
    try:
        begin = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
        if day is not None:
            return begin, begin + timedelta(days=1)
        years, months = divmod((month or 12), 12)
        return begin, datetime(begin.year + years, months + 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise WrongDateRange(f"there is no {text}") from None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which receipts a list has; a field that is None leaves none out."""

    period: DateRange | None = None
    job_id: int | None = None
    liquidation_id: int | None = None


class Receipts:
    """Reads them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def entries(self, wanted: Wanted, limit: int | None = None) -> list[Entry]:
        """What is wanted, the oldest first: those before the chain, and then the chain's.

        ``limit`` is for each of the two, the newest of them.
        """
        with self._engine.connect() as connection:
            return [*self._before_the_chain(connection, wanted, limit), *_linked(connection, wanted, limit)]

    def hash_of(self, job_id: int) -> str | None:
        """See `newest_hash`."""
        with self._engine.connect() as connection:
            return newest_hash(connection, job_id)

    def newest(self) -> Receipt | None:
        """The last one of the chain."""
        with self._engine.connect() as connection:
            found = connection.execute(
                select(ReceiptRow).order_by(ReceiptRow.number.desc()).limit(1)
            ).one_or_none()
        return _receipt(found) if found is not None else None

    def verify(self, noted: Iterable[str] = ()) -> Chain:
        """Walks over all of them; see `walk`."""
        return walk(self._all(), noted)

    def _all(self) -> Iterator[Receipt]:
        """Page by page: no transaction is open for as long as the walk takes."""
        after = 0
        while True:
            page = select(ReceiptRow).where(ReceiptRow.number > after).order_by(ReceiptRow.number)
            with self._engine.connect() as connection:
                rows = connection.execute(page.limit(AT_ONCE)).all()
            if not rows:
                return
            yield from map(_receipt, rows)
            after = rows[-1].number

    @staticmethod
    def _before_the_chain(connection: Connection, wanted: Wanted, limit: int | None) -> list[Entry]:
        """Jobs that ended without a receipt, as their rows are now."""
        conditions: list[ColumnElement[bool]] = [
            CopyJob.status.not_in(LIVE),
            ~select(ReceiptRow.number).where(ReceiptRow.job_id == CopyJob.id).exists(),
        ]
        if wanted.period is not None:
            conditions += [
                CopyJob.finished_at >= wanted.period.begin,
                CopyJob.finished_at < wanted.period.end,
            ]
        if wanted.job_id is not None:
            conditions.append(CopyJob.id == wanted.job_id)
        if wanted.liquidation_id is not None:
            conditions.append(CopyJob.liquidation_id == wanted.liquidation_id)
        rows = connection.execute(
            select(CopyJob.__table__).where(*conditions).order_by(CopyJob.id.desc()).limit(limit)
        ).all()
        if not rows:
            return []
        jobs = [row._mapping for row in reversed(rows)]
        ids = {job[name] for job in jobs for name in _NAMED} - {None}
        people = _people(connection.execute(_users().where(User.id.in_(ids))))
        events = _last_events(connection, [job["id"] for job in jobs])
        return [Entry(_content(job, events.get(job["id"]), people, None)) for job in jobs]


def newest_hash(connection: Connection, job_id: int) -> str | None:
    """That of the job's newest receipt; None where it has none."""
    newest = select(ReceiptRow.hash).where(ReceiptRow.job_id == job_id)
    return connection.scalar(newest.order_by(ReceiptRow.number.desc()).limit(1))


def _linked(connection: Connection, wanted: Wanted, limit: int | None) -> list[Entry]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.period is not None:
        conditions += [ReceiptRow.at >= wanted.period.begin, ReceiptRow.at < wanted.period.end]
    if wanted.job_id is not None:
        conditions.append(ReceiptRow.job_id == wanted.job_id)
    if wanted.liquidation_id is not None:
        conditions.append(cast(ReceiptRow.receipt["liquidation"], BigInteger) == wanted.liquidation_id)
    rows = connection.execute(
        select(ReceiptRow).where(*conditions).order_by(ReceiptRow.number.desc()).limit(limit)
    ).all()
    return [Entry(row.receipt, _receipt(row)) for row in reversed(rows)]


def _last_events(connection: Connection, jobs: list[int]) -> dict[int, Event]:
    newest = select(func.max(CopyEvent.id)).where(CopyEvent.job_id.in_(jobs)).group_by(CopyEvent.job_id)
    last = select(CopyEvent.job_id, CopyEvent.kind, CopyEvent.detail).where(CopyEvent.id.in_(newest))
    return {row.job_id: event_of(row.kind, row.detail) for row in connection.execute(last)}


def _receipt(row: Row[Any]) -> Receipt:
    return Receipt(row.number, row.job_id, row.attempt, row.at, row.receipt, row.previous_hash, row.hash)
