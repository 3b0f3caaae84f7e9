"""Jobs in every state, hostile names, and what Slack would say of a message: for the tests of messages."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from bot.i18n import translator
from bot.jobs.failure import Failure
from bot.jobs.models import Approval, Phase, Status, StopReason
from bot.jobs.view import AgreedCounts, Freeze, JobView, Moved, Person, Question, Reason
from bot.messages import answers
from bot.messages.blocks import Message
from bot.messages.proposal import Offer, Offered, Proposal, proposal_card
from copier import Advice, Count, Preview
from dev.local_slack.blocks import check_blocks, check_message_blocks
from dev.local_slack.checker import Checker

BOB = Person("U0BOB", "T0ACME", "Bob")
ROOT_USER = Person("root", "shell", "root <!channel> *x*")
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
FREEZE = Freeze(BOB, "mantenimiento <!channel> *ya* `x`", NOW - timedelta(minutes=5))
EN, ES = translator("en"), translator("es")
LONGEST_TEXT = 4000
GROUP = "<!subteam^S0ADMINS>"
TURNS_AROUND = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
HOSTILE = [
    "x" * 3000,
    "<!channel>",
    "<@U1> <#C1> <https://evil.example|click>",
    "`code` ```block``` *bold* _it_ ~no~",
    "👩‍👩‍👧 :boom: 🇦🇷" * 100,
    "\u202eعكس שלום\u202c",
    "&" * 3000,
    "<" * 3000,
    "\x01" * 3000,
    "\n> quote\r\n\n",
    '{"a": "\\u0000"} {id} {}',
    " ",
    "",
]
counts = st.none() | st.integers(0, 2**63 - 1)
names = st.sampled_from(HOSTILE) | st.text(max_size=400)


def job(**values: Any) -> JobView:
    defaults: dict[str, Any] = {
        "id": 17,
        "copy_name": "items",
        "source_table": "public.liquidation_items",
        "target_table": "public.liquidation_items",
        "liquidation_id": 42,
        "label": "Sueldos mensuales",
        "status": Status.RUNNING,
        "phase": Phase.COPYING,
        "attempt": 1,
        "failures": 0,
        "ahead": 0,
        "total": 200_000,
        "copied": 124_000,
        "verified": 0,
        "inserted": 119_990,
        "updated": 10,
        "deleted": 10,
        "unchanged": 4_000,
        "moved": 3,
        "bytes": 1_000_000,
        "chunks_done": 2,
        "target_records": None,
        "source_digest": None,
        "target_digest": None,
        "lag_mb": None,
        "error": None,
        "error_message": None,
        "requester_id": "U0ANA",
        "requester_team": "T0ACME",
        "requester_name": "Ana",
        "requester_locale": "es-ES",
        "channel_id": "C0",
        "message_ts": "1.000001",
        "worker": "host:1",
        "created_at": NOW - timedelta(seconds=12),
        "started_at": NOW - timedelta(seconds=10),
        "claimed_at": NOW - timedelta(seconds=10),
        "copying_since": NOW - timedelta(seconds=8),
        "verifying_since": None,
        "finished_at": None,
        "as_of": NOW - timedelta(seconds=9),
        "run_after": NOW - timedelta(seconds=12),
        "lease_until": NOW + timedelta(seconds=60),
        "now": NOW,
    }
    return JobView(**defaults | values)


#: Hashes of the messages that `check` found good: many shapes of a job give the same one.
_GOOD: set[bytes] = set()


def check(message: Message) -> Message:
    """What Slack would refuse raises; what would reach others by mistake fails."""
    shown = json.dumps([message.text, message.blocks], ensure_ascii=False)
    known = hashlib.blake2b(shown.encode(errors="surrogatepass")).digest()
    if known in _GOOD:
        return message
    check_message_blocks(message.blocks)
    assert message.text.strip()
    assert len(message.text) <= LONGEST_TEXT
    assert not any(unseen in shown for unseen in TURNS_AROUND)
    formatted = [message.text, *(text for text in mrkdwn(message.blocks))]
    for text in formatted:
        assert "<!channel>" not in text
        assert "<@U1>" not in text
        assert "<https://evil" not in text
    _GOOD.add(known)
    return message


def mrkdwn(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for each in value for text in mrkdwn(each)]
    if isinstance(value, dict):
        if value.get("type") == "mrkdwn":
            return [value["text"]]
        return [text for each in value.values() for text in mrkdwn(each)]
    return []


BOB = Person("U0BOB", "T0ACME", "Bob")
UNSTARTED = {"phase": None, "total": None, "copied": 0, "started_at": None, "attempt": 0}
ASKED = {
    "approval": Approval.WAITING,
    "approval_until": NOW + timedelta(hours=24),
    "approvers": ("<!subteam^S0ADMINS>", "<@U0CARLA>"),
    "terms": AgreedCounts(200_000, 150, removal_confirmed=False),
}
QUESTIONS = [
    Question(Reason.MOVED, 150_500, 0, 500, 0),
    Question(Reason.APPROVAL, 2**63 - 1, 2**63 - 1, None, None),
    Question(Reason.REMOVAL, 0, 2**63 - 1, 500, None),
    Question(Reason.SURPLUS, 500, 900, 500, 20),
    Question(Reason.MOVED, 0, 0, 500, 0),
    Question(Reason.SURPLUS, 500, 500, 500, 500, 20, 0),
    Question(Reason.MOVED, 700, 500, 500, 500, 0, 0),
]
ANSWERED = {"approval_by": BOB, "approval_at": NOW}


def ended(status: Status, **values: Any) -> dict[str, Any]:
    return {"status": status, "phase": None, "finished_at": NOW, "error": None} | values


SHAPES = [
    {"status": Status.PENDING, "phase": None, "total": None, "copied": 0, "started_at": None, "attempt": 0},
    {"status": Status.PENDING, "phase": None, "ahead": 3, "total": None, "copied": 0, "attempt": 0},
    {"status": Status.PENDING, "phase": None, "attempt": 1},
    {"status": Status.PENDING, "phase": None, "error": Failure("connection", "", side="prod")},
    {"status": Status.PENDING, **UNSTARTED, **ASKED},
    {"status": Status.PENDING, **UNSTARTED, **ASKED, **ANSWERED, "approval": Approval.APPROVED},
    {"status": Status.CANCELLED, **UNSTARTED, **ASKED, **ANSWERED, "approval": Approval.REJECTED},
    {"status": Status.CANCELLED, **UNSTARTED, **ASKED, "approval": Approval.EXPIRED, "finished_at": NOW},
    {
        **{
            "status": Status.CANCELLED,
            **UNSTARTED,
            **ASKED,
            "approval": Approval.EXPIRED,
            "finished_at": NOW,
        },
        **{"approval_until": NOW + timedelta(hours=1), "moved_from": Moved("C0", "is_archived")},
    },
    {"phase": Phase.COPYING, "moved_from": Moved("C0", "not_in_channel")},
    {"phase": Phase.COPYING, "moved_from": Moved("C0", "restricted_action")},
    {"phase": Phase.COUNTING, "total": None, "copied": 0, "copying_since": None},
    {"phase": Phase.COPYING},
    {"phase": Phase.COPYING, "lag_mb": 12.5},
    {"phase": Phase.COPYING, "copied": 0},
    {"phase": Phase.COPYING, "total": 0, "copied": 0, "chunks_done": 0},
    {"phase": Phase.VERIFYING, "copied": 200_000, "verified": 100_000, "verifying_since": NOW},
    {"lease_until": NOW - timedelta(seconds=75)},
    {"status": Status.PAUSED, "phase": None},
    {
        "status": Status.COMPLETED,
        "phase": None,
        "copied": 200_000,
        "target_digest": "5515acfba491b3a3",
        "finished_at": NOW,
    },
    {"status": Status.COMPLETED, "phase": None, "total": 0, "copied": 0, "finished_at": NOW},
    {"status": Status.CANCELLED, "phase": None, "finished_at": NOW},
    {
        "status": Status.CANCELLED,
        "phase": None,
        "total": None,
        "copied": 0,
        "started_at": None,
        "finished_at": NOW,
    },
    {
        "status": Status.FAILED,
        "phase": None,
        "finished_at": NOW,
        "error": Failure("check", "", constraint="c"),
    },
    {"status": Status.FAILED, "phase": None, "finished_at": NOW, "error": None},
    {"stop_requested": StopReason.PAUSE, "stopped_by": BOB},
    {"stop_requested": StopReason.CANCEL, "stopped_by": BOB},
    {"freeze": FREEZE},
    {"status": Status.PENDING, "phase": None, "freeze": FREEZE},
    {"status": Status.PENDING, "phase": None, "freeze": Freeze(ROOT_USER, None, NOW)},
    {"status": Status.PAUSED, "phase": None, "stopped_by": BOB},
    {"status": Status.PAUSED, "phase": None, "stopped_by": ROOT_USER, "freeze": FREEZE},
    {"status": Status.PENDING, "phase": None, "error": Failure("worker_lost", "", seconds=61.0)},
    {"status": Status.PENDING, "phase": None, "error": Failure("lock", "", side="consulta")},
    {"status": Status.CANCELLED, "phase": None, "finished_at": NOW, "stopped_by": BOB},
    {"status": Status.PENDING, **UNSTARTED, **ASKED, "terms": AgreedCounts(0, 300, removal_confirmed=True)},
    {
        "status": Status.PENDING,
        **UNSTARTED,
        **ASKED,
        "terms": AgreedCounts(None, None, removal_confirmed=False),
    },
    *({"status": Status.PENDING, **UNSTARTED, "question": question} for question in QUESTIONS),
    *({"status": Status.PENDING, **UNSTARTED, **ASKED, "question": question} for question in QUESTIONS),
    {"status": Status.PENDING, **UNSTARTED, "question": QUESTIONS[0], "freeze": FREEZE},
    {
        "status": Status.CANCELLED,
        **UNSTARTED,
        "question": QUESTIONS[0],
        "stopped_by": BOB,
        "finished_at": NOW,
    },
]


def check_view(view: dict[str, Any]) -> None:
    """What Slack would refuse raises; what would reach others by mistake fails."""
    checker = Checker()
    check_blocks(checker, view["blocks"], "/view/blocks", view["type"])
    assert checker.reasons == []
    assert len(view.get("private_metadata", "")) <= 3000
    assert len(json.dumps(view, ensure_ascii=False).encode()) <= 250_000
    for text in mrkdwn(view["blocks"]):
        assert "<!channel>" not in text
        assert "<@U1>" not in text
        assert "<https://evil" not in text


#: What an event says beside who and when, where that has a form of its own.
DETAILS: dict[str, dict[str, Any]] = {
    "asked_again": QUESTIONS[0].as_json(),
    "confirmed": {"in_prod": 150_500, "in_consulta": 0},
}
EVENTS = [
    *("requested", "claimed", "released", "frozen", "worker_lost", "retry", "failed", "completed"),
    *("approved", "rejected", "approval_expired", "permission_not_known"),
    *("asked_again", "confirmed"),
    *("pause_requested", "paused", "resumed", "cancel_requested", "cancelled", "retried"),
]


def looked(name: str, table: str, side: Count, last: JobView, t: Any) -> Message:
    """A confirm card with everything on it that a person or a database may have named."""
    seen = Preview(
        True,
        name,
        side,
        side,
        (Advice("prod", f"CREATE INDEX ON {table} (a)"),),
        NOW,
        taken=side,
        triggers=(table, name),
        large_object_columns=(table, name),
    )
    last = dataclasses.replace(last, finished_at=NOW)
    proposal = Proposal(seen, last, 12.0, (last,) * 3, (GROUP,) * 60)
    offer = Offer("items", 42, "0" * 32, 1_900_000_000, side.rows, side.rows)
    return proposal_card(
        Offered(offer, name[:60] or "items", proposal, 15, answers.asked_anew(t, moved=True)), t
    )


counts = st.builds(Count, st.none(), st.just(False)) | st.builds(
    Count, st.integers(0, 2**63 - 1), st.booleans()
)
DONE = job(status=Status.COMPLETED, phase=None, total=200_000, copied=200_000, finished_at=NOW)
