"""What came of it, by the books of the local Slack and the rows of consulta.

Both clocks are this machine's. A reply's time is its ``ts``; a card shows what its last edit brought.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import create_engine

from bot.i18n import Translator, translator
from bot.jobs.repository import JobRepository
from bot.messages.card import card
from dev.compare import compare
from dev.load.site import CHANNELS, Site
from dev.local_slack.plain import plain
from dev.local_slack.rates import PER_MINUTE
from dev.local_slack.results import Call, Envelope

Row = dict[str, Any]

OWED = "SELECT count(*) AS n FROM traspaso.outbox WHERE done_at IS NULL"
#: What people do to a job that its card has to show.
PRESSES = ("paused", "pause_requested", "resumed", "cancel_requested", "cancelled")


@dataclass(frozen=True)
class Spread:
    """Of some seconds: how many, the middle one, the one that 99 of 100 don't exceed, the longest."""

    n: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """All zero where there are none."""
        ordered = sorted(values)
        if not ordered:
            return cls(0, 0.0, 0.0, 0.0)
        return cls(len(ordered), percentile(ordered, 0.50), percentile(ordered, 0.99), ordered[-1])

    def __str__(self) -> str:
        if not self.n:
            return "none"
        return f"p50 {self.p50:.2f} s, p99 {self.p99:.2f} s, longest {self.most:.2f} s ({self.n:,})"


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that this part of all doesn't exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def most_in_a_minute(times: Sequence[float]) -> int:
    """The most of these moments within any sixty seconds."""
    ordered = sorted(times)
    return max((n + 1 - bisect_left(ordered, at - 60.0 + 1e-6) for n, at in enumerate(ordered)), default=0)


@dataclass(frozen=True)
class Told:
    """What Slack shows of one job, beside its row."""

    job: int
    status: str
    cards: int
    replies: int
    is_pinned: bool
    shows: str
    should_show: str
    reply_seconds: float | None
    card_seconds: float | None

    @property
    def is_true(self) -> bool:
        return self.shows == self.should_show


@dataclass
class Books:
    """Read once, after everything has been said."""

    jobs: list[Row]
    events: list[Row]
    calls: list[Call]
    envelopes: list[Envelope]
    messages: list[Row]
    differing: list[str]
    cards: dict[int, str]
    owed: int
    told: list[Told] = field(init=False)

    @classmethod
    def read(cls, site: Site) -> Books:
        with psycopg.connect(site.stack.consulta_url, row_factory=dict_row) as consulta:
            jobs = consulta.execute("SELECT * FROM traspaso.copy_jobs ORDER BY id").fetchall()
            events = consulta.execute("SELECT * FROM traspaso.copy_events ORDER BY id").fetchall()
            owed = consulta.execute(OWED).fetchone()
        comparisons = [
            compare(site.stack.prod_url, site.stack.consulta_url, number)
            for number in sorted({job["liquidation_id"] for job in jobs if job["status"] == "completed"})
        ]
        channels = {each["id"]: each for each in site.slack.snapshot()["channels"]}
        return cls(
            jobs=jobs,
            events=events,
            calls=site.slack.calls(),
            envelopes=site.slack.envelopes(),
            messages=[message for name in CHANNELS for message in channels[name]["messages"]],
            differing=[str(each) for each in comparisons if not each],
            cards=_cards(site, [job["id"] for job in jobs]),
            owed=int(owed["n"]) if owed else 0,
        )

    def __post_init__(self) -> None:
        edits: dict[str, list[Call]] = defaultdict(list)
        for call in self.calls:
            if call.method == "chat.update" and call.response.get("ok"):
                edits[str(call.args.get("ts"))].append(call)
        self._edits = edits
        self.told = [self._told(job) for job in self.jobs]

    # ---------------------------------------------------------------------------------- what Slack was asked

    def acks(self) -> Spread:
        """From the envelope sent to its ack."""
        return Spread.of(each.ack_seconds for each in self.envelopes if each.ack_seconds is not None)

    def unacked(self) -> list[Envelope]:
        """Acked late, or never."""
        return [each for each in self.envelopes if each.error is not None]

    def refused(self, since: float = 0.0) -> dict[str, int]:
        """Calls that were answered with 429, by method."""
        refused = (call.method for call in self.calls if call.status == 429 and call.at >= since)
        return dict(Counter(refused).most_common())

    def busiest_minute(self) -> dict[str, tuple[int, int]]:
        """Of each method with a limit: the most accepted calls in any minute, and Slack's limit."""
        times: dict[str, list[float]] = defaultdict(list)
        for call in self.calls:
            if call.method in PER_MINUTE and call.status != 429:
                times[call.method].append(call.at)
        return {method: (most_in_a_minute(at), PER_MINUTE[method]) for method, at in sorted(times.items())}

    # ------------------------------------------------------------------------------------- what people saw

    def seconds_to_the_card(self) -> Spread:
        """From the request to the card."""
        begun = {job["id"]: job for job in self.jobs}
        return Spread.of(
            float(job["message_ts"]) - job["created_at"].timestamp()
            for job in begun.values()
            if job["message_ts"] is not None
        )

    def seconds_to_the_reply(self) -> Spread:
        return Spread.of(each.reply_seconds for each in self.told if each.reply_seconds is not None)

    def seconds_to_the_last_edit(self) -> Spread:
        """From the job's end to the edit that shows it."""
        return Spread.of(each.card_seconds for each in self.told if each.card_seconds is not None)

    def seconds_to_show_a_press(self) -> Spread:
        """From what somebody did to the first edit of the card afterwards."""
        cards = {job["id"]: str(job["message_ts"]) for job in self.jobs}
        seconds = []
        for event in self.events:
            if event["kind"] in PRESSES and event["user_id"] is not None:
                at = event["created_at"].timestamp()
                later = (call.at for call in self._edits[cards[event["job_id"]]] if call.at >= at)
                if (shown := next(later, None)) is not None:
                    seconds.append(shown - at)
        return Spread.of(seconds)

    def seconds_pinned_too_long(self) -> Spread:
        """From the job's end to the accepted `pins.remove` of its card."""
        gone = {
            str(call.args.get("timestamp")): call.at
            for call in self.calls
            if call.method == "pins.remove" and call.response.get("ok")
        }
        return Spread.of(
            gone[job["message_ts"]] - job["finished_at"].timestamp()
            for job in self.jobs
            if job["message_ts"] in gone and job["finished_at"] is not None
        )

    def left_pinned(self) -> int:
        return sum(1 for message in self.messages if message["pinned"])

    def twice(self) -> list[int]:
        """Liquidations of which there is more than one job: each was asked for once."""
        return [n for n, count in Counter(job["liquidation_id"] for job in self.jobs).items() if count > 1]

    def statuses(self) -> dict[str, int]:
        return dict(Counter(job["status"] for job in self.jobs).most_common())

    def event_kinds(self) -> dict[str, int]:
        return dict(Counter(event["kind"] for event in self.events).most_common())

    def _told(self, job: Row) -> Told:
        mine = [message for message in self.messages if _job_of(message) == str(job["id"])]
        cards = [message for message in mine if _part_of(message) == "card"]
        endings = [message for message in mine if _part_of(message).startswith("ending")]
        ended = job["finished_at"].timestamp() if job["finished_at"] else None
        shows = plain(cards[-1]["blocks"]) if cards else ""
        return Told(
            job=job["id"],
            status=job["status"],
            cards=len(cards),
            replies=len(endings),
            is_pinned=any(message["pinned"] for message in cards),
            shows=shows,
            should_show=self.cards.get(job["id"], ""),
            reply_seconds=float(endings[0]["ts"]) - ended if endings and ended else None,
            card_seconds=self._card_seconds(cards[-1] if cards else None, ended),
        )

    def _card_seconds(self, message: Row | None, ended: float | None) -> float | None:
        """To the first edit from which on the card shows what it shows now; 0 where it was posted so."""
        if message is None or ended is None:
            return None
        final = plain(message["blocks"])
        at = None
        for call in reversed(self._edits[message["ts"]]):
            if plain(call.args.get("blocks")) != final:
                break
            at = call.at
        return max(0.0, (float(message["ts"]) if at is None else at) - ended)


def _job_of(message: Row) -> str:
    return str(((message.get("metadata") or {}).get("event_payload") or {}).get("job", ""))


def _part_of(message: Row) -> str:
    return str(((message.get("metadata") or {}).get("event_payload") or {}).get("part", ""))


def _cards(site: Site, jobs: list[int]) -> dict[int, str]:
    """What each card has to say, by the row and this release's own messages."""
    engine = create_engine(site.stack.consulta_url.replace("postgresql://", "postgresql+psycopg://"))
    store, spanish = JobRepository(engine), translator("es")
    try:
        return {job: text for job in jobs if (text := _card(store, job, spanish)) is not None}
    finally:
        engine.dispose()


def _card(store: JobRepository, job: int, t: Translator) -> str | None:
    snapshot = store.job(job)
    return None if snapshot is None else plain(card(snapshot, t).blocks)
