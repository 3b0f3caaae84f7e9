"""The messages owed to Slack: written in the transaction of the fact, delivered when Slack can.

Each message is owed by itself: one that Slack refuses holds no other one back. Of a job's messages one at a
time is in a relay's hands, the ending first. A message whose delivery was begun before may have arrived:
whoever takes it up again looks before it posts.

A job of a run owes no messages of its own: what is announced of it is a message of its run.

What belongs to no job is a notice: a message to a channel, in a table of its own. What goes elsewhere than to
Slack is in `bot.jobs.notifications`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Connection,
    Engine,
    Select,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.engine import Row
from sqlalchemy.orm import aliased

from bot.jobs.models import (
    LONGEST,
    ChannelNotice,
    ClaimedRow,
    ClaimLost,
    CopyJob,
    CopyRun,
    JobFollower,
    OutboxMessage,
    RunFollower,
    User,
    has_come,
)
from bot.periodic import still_working
from migrations import schema_of

#: How long a message is in the hands of one relay. Longer than one call of Slack may take (10 s): the
#: claim is asked again, and prolonged, before each.
CLAIM = timedelta(seconds=15)

#: The same of a notice: longer than its calls of Slack may take together.
NOTICE_CLAIM = timedelta(seconds=60)

#: Seconds after an edit without an answer at which the card is brought to the newest state once more: Slack
#: may still apply it, after the client gave up waiting, and over a later one.
REFRESHES = (15.0, 45.0, 120.0)

#: So many messages are looked at to find one of a job of which nobody has one in hand.
CANDIDATES = 20

#: The longest pause before a try, but of what is in `PUT_OFF`.
LONGEST_PAUSE = LONGEST / 2


class MessageKind(StrEnum):
    """What a message is about."""

    CARD = "card"  # post the card and pin it
    UPDATE = "update"  # somebody did something to the job: the card says so, at once
    QUESTION = "question"  # the job asks again: the card, and a threaded reply to whoever has to answer
    ENDING = "ending"  # the final card, the threaded reply, and the pin taken off
    REFRESH = "refresh"  # an edit of the card got no answer: the newest state once more
    PIN = "pin"  # the card's pin: on while the job is live, else off
    DOUBLES = "doubles"  # a post got no answer and was repeated: if the first one arrives after all, it goes
    APPROVED = "approved"  # a threaded reply to the requester: a second person said yes
    REMINDER = "reminder"  # half of the time for an approval is over: a reply to those who may give it
    LAST_REMINDER = "last_reminder"  # the same, an hour before the end
    SECOND_GROUP = "second_group"  # the same, to a second group, who may approve it from then on
    FOLLOWER = (
        "tell"  # a direct message to somebody who wanted to be told of the end; the kind ends in their id
    )
    LEFT = "left"  # the card that stayed in a channel which took no more: its last words, and its pin off


#: What this release can deliver. During a rollout the other release may add rows of kinds that are not here.
KINDS = tuple(MessageKind)
#: What brings the card to the job's state.
SHOWING = (MessageKind.CARD, MessageKind.UPDATE)
#: To those who may approve, while it waits for that.
REMINDERS = (MessageKind.REMINDER, MessageKind.LAST_REMINDER, MessageKind.SECOND_GROUP)
#: Messages beside the card, which doesn't move to another place where Slack refuses them.
ASIDE = (MessageKind.APPROVED, MessageKind.FOLLOWER, *REMINDERS)
#: What may have posted a card, or a reply.
POSTING = (
    MessageKind.CARD,
    MessageKind.UPDATE,
    MessageKind.QUESTION,
    MessageKind.ENDING,
    MessageKind.APPROVED,
    *REMINDERS,
)
#: What may be put off for longer than `bot.jobs.models.LONGEST`.
PUT_OFF = (MessageKind.PIN, MessageKind.LEFT)

#: A job's attempt has one message of each kind.
ONE_EACH = [OutboxMessage.job_id, OutboxMessage.kind, OutboxMessage.attempt]
#: And so has a run's round. The release before doesn't know these kinds, and leaves them alone.
ONE_EACH_OF_RUN = [OutboxMessage.run_id, OutboxMessage.kind, OutboxMessage.attempt]
OF_RUN = OutboxMessage.run_id.is_not(None)
RUN_PREFIX = "run:"
#: What an announcement of a job is to its run, where it isn't the same: the run's own card and ending come
#: with its begin and its end (`begun`, `ended`).
TO_ITS_RUN = {MessageKind.CARD: MessageKind.UPDATE, MessageKind.ENDING: MessageKind.UPDATE}

#: What a delivery leaves behind.
_SETTLED: dict[str, Any] = {"begun": False, "claimed_until": None, "failures": 0, "failing_since": None}

_OTHER = aliased(OutboxMessage)
_OF_THE_SAME = and_(
    or_(_OTHER.job_id == OutboxMessage.job_id, _OTHER.run_id == OutboxMessage.run_id),
    _OTHER.id != OutboxMessage.id,
)


@dataclass(frozen=True, slots=True)
class Due:
    """A message that this relay has claimed: about a job, or about a run, where ``job_id`` is None.

    ``attempt`` is the job's, or the run's round. ``tries`` is its fencing token. ``look_first``: something of
    it, or of the card, may have arrived already.
    ``failures`` in a row, for ``failing_seconds``. ``shown`` are the other messages of the job, with their
    versions, that were open when it was claimed and that ask for no more than the card's newest state.
    ``channel_id`` and ``message_ts`` are of the message that it is about, where that isn't the job's card.
    ``recipient`` is the Slack id of whom it is for, where it is a direct message, and ``locale`` theirs.
    """

    id: int
    job_id: int | None
    attempt: int
    kind: MessageKind
    tries: int
    version: int
    look_first: bool
    failures: int
    failing_seconds: float
    shown: tuple[tuple[int, int], ...] = ()
    channel_id: str | None = None
    message_ts: str | None = None
    recipient: str | None = None
    locale: str | None = None
    run_id: int | None = None

    @property
    def named(self) -> str:
        """For the log: ``job 17: ending``, ``run 3: card``."""
        about = f"run {self.run_id}" if self.job_id is None else f"job {self.job_id}"
        return f"{about}: {self.kind}"


def announce(connection: Connection, kind: MessageKind, *jobs: ColumnElement[bool]) -> None:
    """Adds a message for each job that fits these conditions and has a channel, in the caller's transaction;
    for those of a run, one for the run.

    A job's attempt has one of each kind: where it was announced before, it is to be delivered again. A
    relay that has the message in hand keeps it; the next one delivers what is new since.
    """
    connection.execute(announcement(kind, *jobs))


def announcement(kind: MessageKind, *jobs: ColumnElement[bool]) -> Insert:
    """The same as a statement, for who sends it time and again."""
    of_runs = _of_runs(TO_ITS_RUN.get(kind, kind), CopyRun.id.in_(select(CopyJob.run_id).where(*jobs)))
    statement = insert(OutboxMessage).from_select(["job_id", "attempt", "kind"], _of_jobs(kind, *jobs))
    statement = statement.on_conflict_do_update(index_elements=ONE_EACH, set_=_due_anew())
    return statement.add_cte(_again_for_runs(of_runs).cte("of_runs"))


def announced(moved: CTE, kind: MessageKind, *, to_run: bool) -> list[CTE]:
    """The same as parts of the statement whose ``moved`` has the rows of these jobs; ``to_run``: where they
    belong to a run, on its card.
    """
    chosen = select(moved.c.id, moved.c.attempt, literal(kind.value)).where(moved.c.channel_id.is_not(None))
    statement = insert(OutboxMessage).from_select(["job_id", "attempt", "kind"], chosen)
    statement = statement.on_conflict_do_update(index_elements=ONE_EACH, set_=_due_anew())
    parts = [statement.returning(OutboxMessage.id).cte("announced")]
    if to_run:
        of_runs = _of_runs(TO_ITS_RUN.get(kind, kind), CopyRun.id.in_(select(moved.c.run_id)))
        parts.append(_again_for_runs(of_runs).cte("announced_to_run"))
    return parts


def announce_once(connection: Connection, kind: MessageKind, *jobs: ColumnElement[bool]) -> list[int]:
    """The same, for what a job's attempt, or a run's round, is told at most once.

    Gives the ids of the jobs that will be told, or whose runs will be.
    """
    return list(connection.scalars(announcement_once(kind, *jobs)))


def announcement_once(kind: MessageKind, *jobs: ColumnElement[bool]) -> CompoundSelect[int]:
    """The same as a statement that gives these ids, for who sends it time and again."""
    of_jobs = insert(OutboxMessage).from_select(["job_id", "attempt", "kind"], _of_jobs(kind, *jobs))
    told = of_jobs.on_conflict_do_nothing().returning(OutboxMessage.job_id).cte("told")
    fitting = _of_runs(kind, CopyRun.id.in_(select(CopyJob.run_id).where(*jobs)))
    of_runs = insert(OutboxMessage).from_select(["run_id", "attempt", "kind"], fitting)
    told_runs = of_runs.on_conflict_do_nothing().returning(OutboxMessage.run_id).cte("told_runs")
    parts = select(CopyJob.id).where(CopyJob.run_id.in_(select(told_runs.c.run_id)), *jobs)
    return union_all(select(told.c.job_id), parts)


def announce_run(connection: Connection, kind: MessageKind, run_id: int) -> None:
    """The same for a run that has a channel, whatever its jobs are."""
    connection.execute(_again_for_runs(_of_runs(kind, CopyRun.id == run_id)))


def _of_jobs(kind: MessageKind, *jobs: ColumnElement[bool]) -> Select[int, int, str]:
    chosen = select(CopyJob.id, CopyJob.attempt, literal(kind.value))
    return chosen.where(*jobs, CopyJob.channel_id.is_not(None)).order_by(CopyJob.id)


def _of_runs(kind: MessageKind, which: ColumnElement[bool]) -> Select[int, int, str]:
    chosen = select(CopyRun.id, CopyRun.round, literal(f"{RUN_PREFIX}{kind}"))
    return chosen.where(which, CopyRun.channel_id.is_not(None)).order_by(CopyRun.id)


def _again_for_runs(chosen: Select[int, int, str]) -> Any:
    statement = insert(OutboxMessage).from_select(["run_id", "attempt", "kind"], chosen)
    statement = statement.on_conflict_do_update(
        index_elements=ONE_EACH_OF_RUN, index_where=OF_RUN, set_=_due_anew()
    )
    return statement.returning(OutboxMessage.id)


def _due_anew() -> dict[str, Any]:
    return _anew(next_try_at=func.now(), failures=0, failing_since=None)


def notified_followers(moved: CTE) -> list[CTE]:
    """Parts of the statement whose ``moved`` has the row of a job that ends: whoever wanted to be told of it
    will be, once; nobody follows it any more.
    """
    gone = (
        delete(JobFollower)
        .where(JobFollower.job_id == select(moved.c.id).scalar_subquery())
        .returning(JobFollower.user_id)
        .cte("gone")
    )
    found = (
        select(
            moved.c.id,
            moved.c.attempt,
            func.concat(f"{MessageKind.FOLLOWER}:", User.slack_user_id),
            User.slack_user_id,
            func.jsonb_build_object("locale", User.locale),
        )
        .select_from(moved)
        .join(gone, true())
        .join(User, User.id == gone.c.user_id)
    )
    names = ["job_id", "attempt", "kind", "destination", "detail"]
    told = insert(OutboxMessage).from_select(names, found.order_by(User.id))
    return [gone, told.on_conflict_do_nothing().returning(OutboxMessage.id).cte("notified_followers")]


def notify_followers_of_run(connection: Connection, run_id: int) -> None:
    """The same of a run that ends, in the transaction that locks its row."""
    gone = delete(RunFollower).where(RunFollower.run_id == run_id).returning(RunFollower.user_id).cte("gone")
    found = (
        select(
            CopyRun.id,
            CopyRun.round,
            func.concat(f"{RUN_PREFIX}{MessageKind.FOLLOWER}:", User.slack_user_id),
            User.slack_user_id,
            func.jsonb_build_object("locale", User.locale),
        )
        .select_from(CopyRun)
        .join(gone, true())
        .join(User, User.id == gone.c.user_id)
        .where(CopyRun.id == run_id)
    )
    names = ["run_id", "attempt", "kind", "destination", "detail"]
    told = insert(OutboxMessage).from_select(names, found.order_by(User.id))
    connection.execute(told.on_conflict_do_nothing())


def leave(
    connection: Connection,
    line: dict[str, Any],
    channel_id: str,
    message_ts: str,
) -> None:
    """The card of this ``line`` (`line_of`) has moved elsewhere: it is to say so, and to lose its pin."""
    statement = insert(OutboxMessage).values(**line, channel_id=channel_id, message_ts=message_ts)
    connection.execute(statement.on_conflict_do_nothing())


def line_of(kind: MessageKind, attempt: int, *, job_id: int | None, run_id: int | None) -> dict[str, Any]:
    """What names the message of this kind about a job's attempt, or about a run's round."""
    if run_id is None:
        return {"job_id": job_id, "attempt": attempt, "kind": kind.value}
    return {"run_id": run_id, "attempt": attempt, "kind": f"{RUN_PREFIX}{kind}"}


def one_each(*, of_run: bool) -> dict[str, Any]:
    """The index that allows one message of each kind, for ``ON CONFLICT``."""
    return (
        {"index_elements": ONE_EACH_OF_RUN, "index_where": OF_RUN} if of_run else {"index_elements": ONE_EACH}
    )


def _anew(**values: Any) -> dict[str, Any]:
    """What changes in a message that is to be delivered, or done, again."""
    return {
        "version": OutboxMessage.version + 1,
        "announced_at": func.clock_timestamp(),
        "done_at": None,
        **values,
    }


class _SlackMessages:
    """A table of messages of which one relay at a time has each in hand, for as long as its claim lasts."""

    _table: type[OutboxMessage] | type[ChannelNotice]
    _claim_lasts: timedelta

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def hold(self, due: ClaimedRow) -> None:
        """Asks whether the message is still in this relay's hands, and keeps it for the next call.

        Raises:
            ClaimLost: it was away for too long, and another one has taken it.
        """
        self._settle(due, **self._table.held(self._claim_lasts))

    def _settle(self, due: ClaimedRow, **values: Any) -> None:
        with self._engine.begin() as connection:
            self._table.write(connection, due, **values)


class Outbox(_SlackMessages):
    """The relays' view of the messages about jobs and runs."""

    _table, _claim_lasts = OutboxMessage, CLAIM

    def take(self) -> Due | None:
        """Claims the most pressing message that is due, of a job of which nobody has one in hand.

        Whoever takes one locks out, for that moment, whoever wants another one of the same job.
        """
        with self._engine.begin() as connection:
            for id_, job_id, run_id in connection.execute(_due()).all():
                about = job_id if run_id is None else f"{RUN_PREFIX}{run_id}"
                name = f"{schema_of(connection)} outbox {about}"
                lock = func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0))
                if not connection.scalar(select(lock)):
                    continue
                if row := connection.execute(_claim(), {"taken": id_}).one_or_none():
                    return _due_of(row)
        return None

    def done(self, due: Due, *, shown: bool = False, note: str | None = None) -> None:
        """Delivered, or never deliverable (then ``note`` says why). With ``shown`` the card says what else
        was announced of it by then.

        What was announced again in the meantime stays owed.

        Raises:
            ClaimLost: another one has taken it.
        """
        sys.audit("traspaso.delivered", due.job_id, due.kind)
        with self._engine.begin() as connection:
            unchanged = OutboxMessage.version == due.version
            OutboxMessage.write(
                connection, due, done_at=case((unchanged, func.now())), **_SETTLED, last_error=note
            )
            if shown:
                self._show(connection, due.shown)

    def later(self, due: Due, seconds: float, error: str, *, unsure: bool = True) -> None:
        """To be tried again, in ``seconds``. ``unsure``: nobody knows whether this try had an effect.

        Raises:
            ClaimLost: another one has taken it.
        """
        with self._engine.begin() as connection:
            same = OutboxMessage.version == due.version  # else it was announced anew, and is due at once
            failing_since = func.coalesce(OutboxMessage.failing_since, func.now())
            OutboxMessage.write(
                connection,
                due,
                next_try_at=case((same, func.now() + _pause(due, seconds)), else_=OutboxMessage.next_try_at),
                claimed_until=None,
                begun=OutboxMessage.begun if unsure else due.look_first,
                failures=case((same, OutboxMessage.failures + 1), else_=OutboxMessage.failures),
                failing_since=case((same, failing_since), else_=OutboxMessage.failing_since),
                last_error=error,
            )

    def wait(self, due: Due, seconds: float) -> None:
        """Its turn comes in so many seconds. Slack hasn't been asked, so that is no failure.

        Raises:
            ClaimLost: another one has taken it.
        """
        with self._engine.begin() as connection:
            same = OutboxMessage.version == due.version
            turn = case((same, func.now() + _pause(due, seconds)), else_=OutboxMessage.next_try_at)
            OutboxMessage.write(connection, due, next_try_at=turn, claimed_until=None, begun=due.look_first)

    def again(self, due: Due) -> None:
        """What makes up for a call without an answer was done: once more, while Slack may still get to it.

        Raises:
            ClaimLost: another one has taken it.
        """
        # One that lies ahead was written before consulta's clock was set back.
        announced_at = func.least(OutboxMessage.announced_at, func.clock_timestamp())
        since = func.extract("epoch", func.clock_timestamp() - announced_at)
        following = case(
            *((since < seconds - 1, announced_at + timedelta(seconds=seconds)) for seconds in REFRESHES)
        )
        over = and_(OutboxMessage.version == due.version, following.is_(None))
        with self._engine.begin() as connection:
            OutboxMessage.write(
                connection,
                due,
                done_at=case((over, func.now())),
                next_try_at=func.coalesce(following, OutboxMessage.next_try_at),
                announced_at=announced_at,
                **_SETTLED | {"begun": ~over},
            )

    def add(self, due: Due, kind: MessageKind, *, seconds: float) -> None:
        """What this delivery leaves undone is owed by itself, due in so many seconds."""
        self._owe(due, kind, min(timedelta(seconds=seconds), LONGEST_PAUSE), failures=0, failing_since=None)

    def left_behind(self, due: Due) -> frozenset[str]:
        """The ts of each card that the job, or the run, had to leave in a channel."""
        same = (
            OutboxMessage.job_id == due.job_id if due.run_id is None else OutboxMessage.run_id == due.run_id
        )
        cards = select(OutboxMessage.message_ts).where(same, about_what() == MessageKind.LEFT)
        with self._engine.connect() as connection:
            return frozenset(connection.scalars(cards))

    def unsure(self, due: Due, kind: MessageKind, *, first: float = REFRESHES[0]) -> None:
        """A call got no answer: Slack may still get to it, after a later one.

        This kind of message makes up for it, in ``first`` seconds and then as `REFRESHES` says.
        """
        self._owe(due, kind, timedelta(seconds=first), begun=True)

    def _owe(self, due: Due, kind: MessageKind, pause: timedelta, **values: Any) -> None:
        values["next_try_at"] = func.now() + pause
        line = line_of(kind, due.attempt, job_id=due.job_id, run_id=due.run_id)
        owed = insert(OutboxMessage).values(**line, **values)
        one = one_each(of_run=due.run_id is not None)
        with self._engine.begin() as connection:
            connection.execute(owed.on_conflict_do_update(**one, set_=_anew(**values)))

    @staticmethod
    def _show(connection: Connection, messages: Sequence[tuple[int, int]]) -> None:
        if messages:
            same = [
                and_(OutboxMessage.id == id_, OutboxMessage.version == version) for id_, version in messages
            ]
            connection.execute(
                update(OutboxMessage).where(or_(*same)).values(done_at=func.now(), begun=False)
            )


# Which message is taken next.


def about_what(message: Any = OutboxMessage) -> ColumnElement[str]:
    """The kind without whom it is for, and whether it is about a run."""
    return func.split_part(func.regexp_replace(message.kind, f"^{RUN_PREFIX}", ""), ":", 1, type_=Text)


def _may_be_taken() -> ColumnElement[bool]:
    kind, other = about_what(), about_what(_OTHER)
    # The release before claims for longer, also what it doesn't know and can't deliver.
    known = or_(other.in_(POSTING), _OTHER.claimed_until <= func.now() + CLAIM)
    in_hand = exists().where(_OF_THE_SAME, other.in_(KINDS), _OTHER.claimed_until > func.now(), known)
    # The card itself is on its way: it will say what an update has to say.
    comes = and_(
        kind == MessageKind.UPDATE,
        exists().where(_OF_THE_SAME, other == MessageKind.CARD, _OTHER.done_at.is_(None)),
    )
    return and_(
        OutboxMessage.done_at.is_(None),
        kind.in_(KINDS),
        or_(
            OutboxMessage.next_try_at <= func.now(),
            and_(kind.not_in(PUT_OFF), has_come(OutboxMessage.next_try_at)),
        ),
        OutboxMessage.is_free(),
        ~in_hand,
        ~comes,
    )


@cache
def _due() -> Select[int, int | None, int | None]:
    """Of what is due, the ending before the refresh of a card."""
    kind = about_what()
    rank = case(
        (kind == MessageKind.ENDING, 0), (kind.in_([MessageKind.QUESTION, MessageKind.CARD]), 1), else_=2
    )
    chosen = select(OutboxMessage.id, OutboxMessage.job_id, OutboxMessage.run_id).where(_may_be_taken())
    return chosen.order_by(rank, OutboxMessage.id).limit(CANDIDATES)


@cache
def _claim() -> Any:
    """Of the message whose number is the parameter ``taken``."""
    other = about_what(_OTHER)
    posted = exists().where(_OF_THE_SAME, other.in_(POSTING), _OTHER.begun, _OTHER.done_at.is_(None))
    # The release before notes an error, and counts no failure.
    before = and_(OutboxMessage.failures == 0, OutboxMessage.last_error.is_not(None))
    shown = (
        select(func.jsonb_agg(func.jsonb_build_object("id", _OTHER.id, "version", _OTHER.version)))
        .where(_OF_THE_SAME, other.in_(SHOWING), _OTHER.done_at.is_(None))
        .scalar_subquery()
    )
    chosen = (
        select(
            OutboxMessage.id,
            or_(OutboxMessage.begun, posted, before).label("look_first"),
            func.extract("epoch", func.now() - OutboxMessage.failing_since).label("failing_seconds"),
            shown.label("shown"),
        )
        .where(OutboxMessage.id == bindparam("taken"), _may_be_taken())
        .with_for_update(skip_locked=True, of=OutboxMessage)
        .cte("chosen")
    )
    return (
        update(OutboxMessage)
        .where(OutboxMessage.id == chosen.c.id)
        .values(begun=True, **OutboxMessage.taken(CLAIM))
        .returning(
            OutboxMessage.id,
            OutboxMessage.job_id,
            OutboxMessage.run_id,
            OutboxMessage.attempt,
            OutboxMessage.kind,
            OutboxMessage.tries,
            OutboxMessage.version,
            OutboxMessage.failures,
            OutboxMessage.channel_id,
            OutboxMessage.message_ts,
            OutboxMessage.destination,
            OutboxMessage.detail,
            chosen.c.look_first,
            chosen.c.failing_seconds,
            chosen.c.shown,
        )
    )


def _pause(due: Due, seconds: float) -> timedelta:
    pause = timedelta(seconds=seconds)
    return pause if due.kind in PUT_OFF else min(pause, LONGEST_PAUSE)


def _due_of(row: Row[Any]) -> Due:
    return Due(
        id=row.id,
        job_id=row.job_id,
        run_id=row.run_id,
        attempt=row.attempt,
        kind=MessageKind(row.kind.removeprefix(RUN_PREFIX).partition(":")[0]),
        tries=row.tries,
        version=row.version,
        look_first=row.look_first,
        failures=row.failures,
        failing_seconds=float(row.failing_seconds or 0.0),
        shown=tuple((each["id"], each["version"]) for each in row.shown or ()),
        channel_id=row.channel_id,
        message_ts=row.message_ts,
        recipient=row.destination,
        locale=(row.detail or {}).get("locale"),
    )


# ----------------------------------------------------------------------------
# Notices: each is about one thing that is no job, and is owed to its channel once. Whoever takes up one whose
# post got no answer looks for it before it posts.


class NoticeKind(StrEnum):
    """What a notice is about; its subject is the row of that thing."""

    FIRING = "firing"  # what became of a due time of a schedule
    FREEZE_OVER = "freeze_over"  # a freeze has ended by itself
    DRIFT = "drift"  # a round of the watch has found that prod has moved on


@dataclass(frozen=True, slots=True)
class Notice:
    """One that this relay has claimed. ``tries`` is its fencing token; ``user_id`` gets it in the place
    of a channel that takes nothing.
    """

    id: int
    kind: str
    subject_id: int
    channel_id: str
    user_id: str | None
    tries: int
    look_first: bool
    created_at: datetime
    seconds: float

    @property
    def named(self) -> str:
        """For the log."""
        return f"notice {self.id}"


def owe_notice(
    connection: Connection, kind: NoticeKind, subject_id: int, channel_id: str, user_id: str | None = None
) -> None:
    """Adds the notice in the caller's transaction, once for each subject."""
    statement = insert(ChannelNotice).values(
        kind=kind, subject_id=subject_id, channel_id=channel_id, user_id=user_id
    )
    connection.execute(statement.on_conflict_do_nothing())


class Notices(_SlackMessages):
    """The relays' view of the notices."""

    _table, _claim_lasts = ChannelNotice, NOTICE_CLAIM

    def take(self) -> Notice | None:
        """Claims one that is due; of a kind that this release knows."""
        with self._engine.begin() as connection:
            row = connection.execute(_claim_notice()).one_or_none()
        if row is None:
            return None
        return Notice(
            row.id,
            row.kind,
            row.subject_id,
            row.channel_id,
            row.user_id,
            row.tries,
            row.look_first,
            row.created_at,
            float(row.seconds),
        )

    def done(self, notice: Notice, note: str | None = None) -> None:
        """Delivered, or given up (then ``note`` says why)."""
        self._settle(notice, done_at=func.now(), claimed_until=None, last_error=note)

    def later(self, notice: Notice, seconds: float, error: str, *, unsure: bool) -> None:
        """Tried again in so many seconds. ``unsure``: nobody knows whether the post arrived."""
        self._settle(
            notice,
            next_try_at=func.now() + timedelta(seconds=seconds),
            claimed_until=None,
            begun=unsure or notice.look_first,
            last_error=error,
        )

    def elsewhere(self, notice: Notice, channel_id: str, error: str) -> None:
        """The channel takes it no more: it is owed to this one, at once."""
        self._settle(
            notice,
            channel_id=channel_id,
            user_id=None,
            next_try_at=func.now(),
            claimed_until=None,
            begun=False,
            last_error=error,
        )


@cache
def _claim_notice() -> Any:
    due = (
        select(ChannelNotice.id, ChannelNotice.begun)
        .where(
            ChannelNotice.done_at.is_(None),
            ChannelNotice.kind.in_([*NoticeKind]),
            has_come(ChannelNotice.next_try_at),
            ChannelNotice.is_free(),
        )
        .order_by(ChannelNotice.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(ChannelNotice)
        .where(ChannelNotice.id == due.c.id)
        .values(begun=True, **ChannelNotice.taken(NOTICE_CLAIM))
        .returning(
            ChannelNotice,
            due.c.begun.label("look_first"),
            func.extract("epoch", func.now() - ChannelNotice.created_at).label("seconds"),
        )
    )


# ----------------------------------------------------------------------------
# What each relay does with what it is owed.


class Named(ClaimedRow, Protocol):
    """Something that a relay has taken in hand."""

    @property
    def named(self) -> str:
        """For the log."""


InHand = TypeVar("InHand", bound=Named)


def deliver_each(
    take: Callable[[], InHand | None], deliver: Callable[[InHand], None], log: logging.Logger
) -> int:
    """Delivers what ``take`` gives until that is nothing; returns how many were taken in hand.

    One that another process has taken in the meantime is left to it.
    """
    taken = 0
    while (owed := take()) is not None:
        taken += 1
        try:
            deliver(owed)
        except ClaimLost:
            log.warning("%s is in another process's hands by now", owed.named)
        still_working()
    return taken
