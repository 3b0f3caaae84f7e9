"""Messages are functions of what they show: the same for the same, and valid whatever the names are."""

from __future__ import annotations

import dataclasses
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.i18n import translator
from bot.jobs.failure import CODES, Failure
from bot.jobs.panel import Filters, PanelSnapshot
from bot.jobs.snapshot import Freeze, JobSnapshot, Moved, Person
from bot.jobs.statuses import Approval, Phase, Status, Wish
from bot.jobs.timeline import Happening, SlowChunk, Timeline
from bot.messages import answers, approval, buttons, chooser, freezing, home, presses, status
from bot.messages.blocks import BUTTON_VALUE_LIMIT, Message, code, harmless
from bot.messages.card import card
from bot.messages.chooser import Carried
from bot.messages.ending import reply
from bot.messages.failures import WORDS, explained
from bot.messages.outlook import Outlook, preview_blocks
from bot.messages.preview import Offer, preview_card
from bot.messages.timeline import details, loading, telling
from copier import Advice, CopySpec, Count, Entry, Preview, TableName
from dev.slack.blocks import check_blocks, check_message_blocks
from dev.slack.checker import Checker
from dev.slack.elements import check_option
from dev.slack.plain import plain

BOB = Person("U0BOB", "T0ACME", "Bob")
ROOT_USER = Person("root", "shell", "root <!channel> *x*")
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
FREEZE = Freeze(BOB, "mantenimiento <!channel> *ya* `x`", NOW - timedelta(minutes=5))
EN, ES = translator("en"), translator("es")
LONGEST_TEXT = 4000
TABLE = TableName.parse("public.liquidation_items")
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


def job(**values: Any) -> JobSnapshot:
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
        "throttle": None,
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
    return JobSnapshot(**defaults | values)


def check(message: Message) -> Message:
    """What Slack would refuse raises; what would reach others by mistake fails."""
    check_message_blocks(message.blocks)
    assert message.text.strip()
    assert len(message.text) <= LONGEST_TEXT
    shown = json.dumps([message.text, message.blocks], ensure_ascii=False)
    assert not any(unseen in shown for unseen in TURNS_AROUND)
    formatted = [message.text, *(text for text in mrkdwn(message.blocks))]
    for text in formatted:
        assert "<!channel>" not in text
        assert "<@U1>" not in text
        assert "<https://evil" not in text
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
    "previewed": 200_000,
}
ANSWERED = {"approval_by": BOB, "approval_at": NOW}


def ended(status: Status, **values: Any) -> dict[str, Any]:
    return {"status": status, "phase": None, "finished_at": NOW, "error": None} | values


SHAPES = [
    {"status": Status.PENDING, "phase": None, "total": None, "copied": 0, "started_at": None, "attempt": 0},
    {"status": Status.PENDING, "phase": None, "ahead": 3, "total": None, "copied": 0, "attempt": 0},
    {"status": Status.PENDING, "phase": None, "attempt": 1},
    {"status": Status.PENDING, "phase": None, "error": {"code": "connection", "side": "prod"}},
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
    {"phase": Phase.COPYING, "throttle": {"code": "standby_lag", "mb": 12.5}},
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
        "error": {"code": "check", "constraint": "c"},
    },
    {"status": Status.FAILED, "phase": None, "finished_at": NOW, "error": None},
    {"wish": Wish.PAUSE, "stopped_by": BOB},
    {"wish": Wish.CANCEL, "stopped_by": BOB},
    {"freeze": FREEZE},
    {"status": Status.PENDING, "phase": None, "freeze": FREEZE},
    {"status": Status.PENDING, "phase": None, "freeze": Freeze(ROOT_USER, None, NOW)},
    {"status": Status.PAUSED, "phase": None, "stopped_by": BOB},
    {"status": Status.PAUSED, "phase": None, "stopped_by": ROOT_USER, "freeze": FREEZE},
    {"status": Status.PENDING, "phase": None, "error": {"code": "worker_lost", "seconds": 61}},
    {"status": Status.PENDING, "phase": None, "error": {"code": "lock", "side": "consulta"}},
    {"status": Status.CANCELLED, "phase": None, "finished_at": NOW, "stopped_by": BOB},
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("t", [EN, ES], ids=["en", "es"])
def test_every_state_has_a_card_and_an_ending_that_slack_takes(shape: dict[str, Any], t: Any) -> None:
    seen = job(**shape)
    assert check(card(seen, t)) == card(seen, t)
    assert "42" in plain(card(seen, t).blocks)
    if not seen.status.is_live:
        assert check(reply(seen, t)) == reply(seen, t)
        assert "<@U0ANA>" in reply(seen, t).text
    check(status.detail(seen, "https://acme.slack.com/archives/C0/p1", t))


def test_each_state_says_something_else() -> None:
    said = [plain(card(job(**shape), EN).blocks) for shape in SHAPES]
    assert len(set(said)) == len(SHAPES)


def test_a_card_is_not_changed_by_being_shown_twice() -> None:
    seen = job()
    before = card(seen, EN)
    status.detail(seen, "https://x", EN)
    assert card(seen, EN) == before
    assert card(dataclasses.replace(seen, copied=125_000), EN) != before


@settings(max_examples=40)
@given(name=names, table=names, user=names)
@example(name="&" * 3000, table="<" * 3000, user="`" * 100)
def test_hostile_names_break_no_message(name: str, table: str, user: str) -> None:
    error = {
        "code": "unique",
        "side": "consulta",
        "table": table,
        "constraint": name,
        "column": user,
        "lines": [name, table] * 5,
    }
    for shape, t in itertools.product(SHAPES, (EN, ES)):
        seen = job(
            **shape | {"label": name, "source_table": table, "target_table": table, "requester_name": user}
        )
        check(card(seen, t))
        check(answers.running_already(seen, None, t))
        check(answers.running_already(dataclasses.replace(seen, channel_id=None), "https://x", t))
        check(answers.pressed_before(seen, "https://x", t))
        for message in (approval.own, approval.approved, approval.rejected, approval.too_late):
            check(message(dataclasses.replace(seen, approval_by=Person("U0BOB", "T0", name)), t))
            check(message(seen, t))
        for side in (Count(None, False), Count(0, True), Count(7, True)):
            check(looked(name, table, side, seen, t))
    for failure_code in [*WORDS, "nosuch"]:
        failed = job(status=Status.FAILED, phase=None, finished_at=NOW, error={**error, "code": failure_code})
        check(card(failed, ES))
        check(reply(failed, ES))
        check(status.detail(failed, None, ES))
    for message in (
        answers.not_a_number(name, ES),
        status.usage(name, ES),
        answers.unknown_copy(name, ["items"] * 30, ES),
        answers.cannot_check(name, ES),
        answers.unknown_liquidation(42, table, ES),
        answers.empty_liquidation(42, name, ES),
        answers.problem(explained(error, ES)),
        answers.incident("0123abcd", ES),
        answers.refused("/copy-liquidation", ["<!subteam^S0ADMINS>"], ES),
        answers.refused("/copy-liquidation", [], ES),
        answers.refused("/copy-liquidation", [], ES, "items"),
        answers.not_a_number(name, ES, "/copy-liquidation 42"),
        answers.unknown_copy(name, ["a" * 31] * 30, ES, None, "/copy-liquidation 42 items"),
        answers.help_text(["a" * 31] * 60, [GROUP] * 60, ES, [("a" * 31, ["<@U0ANA>"] * 60)] * 60),
        approval.asked_job(17, (GROUP,) * 60, ES),
        approval.no_such(name, ES),
        approval.not_in_private("items", ES),
        freezing.still_frozen(Freeze(Person("U0BOB", "T0ACME", user), name, NOW), ES),
        freezing.refused_because_frozen(Freeze(Person(user, "shell", user), name, NOW), ES),
        presses.not_now(job(status=Status.COMPLETED, label=name), None, ES),
    ):
        check(message)
    detail = {"worker": name, "seconds": 5.0, **error}
    moved = Happening("card_moved", NOW, 1, None, {"channel": "C0", "reason": name})
    kinds = [*EVENTS, name or "?"]
    people = (None, Person("U0BOB", "T0ACME", name), Person(user, "shell", user))
    story = [Happening(kind, NOW, 1, person, detail) for kind in kinds for person in people]
    check_view(details(job(label=name), Timeline((*story, moved), (SlowChunk(3, 5, 1.5),)), ES))


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


EVENTS = [
    *("requested", "claimed", "released", "frozen", "worker_lost", "retry", "failed", "completed"),
    *("approved", "rejected", "approval_expired", "permission_not_known"),
    *("pause_requested", "paused", "resumed", "cancel_requested", "cancelled", "retried"),
]


@pytest.mark.parametrize("t", [EN, ES], ids=["en", "es"])
def test_the_details_of_every_state_fit_into_a_modal(t: Any) -> None:
    for shape in SHAPES:
        events = tuple(Happening(kind, NOW, 1, BOB, {"seconds": 5, "rows": 7}) for kind in EVENTS)
        check_view(details(job(**shape), Timeline(events, ()), t))
        check_view(details(job(**shape), Timeline((), ()), t))
    check_view(loading(t))
    check_view(telling(answers.unknown_job(17, t), t))


def test_a_long_story_shows_its_end_and_counts_the_rest() -> None:
    events = tuple(Happening("claimed", NOW, number, None, {"worker": "w"}) for number in range(1, 201))
    said = plain(details(job(), Timeline(events, ()), EN)["blocks"])
    assert "160 earlier events" in said
    assert "attempt 160 began" not in said
    assert "attempt 161 began" in said
    assert "attempt 200 began" in said


def offered(shape: dict[str, Any]) -> list[str]:
    [row] = buttons.buttons_for(job(**shape), EN)
    return [element["action_id"].removeprefix("job.") for element in row["elements"]]


def test_a_card_offers_what_fits_its_state_and_nothing_else() -> None:
    ways = {
        "pending": ({"status": Status.PENDING, "phase": None}, ["pause", "cancel", "details"]),
        "running": ({}, ["pause", "cancel", "details"]),
        "pausing": ({"wish": Wish.PAUSE}, ["resume", "cancel", "details"]),
        "cancelling": ({"wish": Wish.CANCEL}, ["details"]),
        "paused": ({"status": Status.PAUSED, "phase": None}, ["resume", "cancel", "details"]),
        "completed": (ended(Status.COMPLETED), ["details"]),
        "failed": (ended(Status.FAILED), ["retry", "details"]),
        "cancelled": (ended(Status.CANCELLED), ["details"]),
    }
    for shape, wanted in ways.values():
        assert offered(shape) == wanted


def test_cancelling_is_asked_about_before_it_counts() -> None:
    [row] = buttons.buttons_for(job(), ES)
    by_action = {element["action_id"]: element for element in row["elements"]}
    assert "confirm" in by_action[buttons.CANCEL_ACTION]
    assert "confirm" not in by_action[buttons.PAUSE_ACTION]


def test_the_time_left_is_not_available_until_it_is_known() -> None:
    assert "time left N/A" in plain(card(job(copied=0), EN).blocks)
    assert "time left 4.8 s" in plain(card(job(copied=125_000, total=200_000), EN).blocks)


def test_who_froze_and_why_stands_on_every_live_card() -> None:
    for shape in SHAPES:
        seen = job(**shape | {"freeze": FREEZE, "wish": None, "lease_until": None})
        said = plain(card(seen, EN).blocks)
        assert ("Frozen by <@U0BOB>: mantenimiento" in said) == seen.status.is_live


def looked(name: str, table: str, side: Count, last: JobSnapshot, t: Any) -> Message:
    """A confirm card with everything on it that a person or a database may have named."""
    seen = Preview(True, name, side, side, (Advice("prod", f"CREATE INDEX ON {table} (a)"),), NOW)
    spec = CopySpec("items", TableName("public", table[:60] or "t"), TABLE, "liquidation_id")
    last = dataclasses.replace(last, finished_at=NOW)
    outlook = Outlook(seen, last, 12.0, (last,) * 3, (GROUP,) * 60)
    offer = Offer("items", 42, "0" * 32, 1_900_000_000, side.rows, side.rows)
    return preview_card(offer, spec, outlook, 15, t, notice=answers.asked_anew(t, moved=True))


counts = st.builds(Count, st.none(), st.just(False)) | st.builds(
    Count, st.integers(0, 2**63 - 1), st.booleans()
)


@given(name=names, in_prod=counts, in_consulta=counts)
@example(name="\x01" * 300, in_prod=Count(0, True), in_consulta=Count(2, True))
@example(name='"' * 300, in_prod=Count(1, True), in_consulta=Count(None, False))
def test_every_offer_fits_into_its_button_and_comes_back_from_it(
    name: str, in_prod: Count, in_consulta: Count
) -> None:
    table = TableName.parse('"' + "x" * 63 + '"."' + "y" * 63 + '"')
    sides = (in_prod.rows, in_consulta.rows)
    offer = Offer("a" * 31, 2**63 - 1, "0" * 32, 1_900_000_000, *sides)
    message = preview_card(
        offer,
        CopySpec("a" * 31, table, table, "liquidation_id"),
        Outlook(
            Preview(
                True,
                name,
                in_prod,
                in_consulta,
                (Advice("prod", f"CREATE INDEX CONCURRENTLY ON {table} (a)"),),
            )
        ),
        15,
        ES,
    )
    check(message)
    [actions] = [block for block in message.blocks if block["type"] == "actions"]
    value = actions["elements"][0]["value"]
    assert len(value) <= BUTTON_VALUE_LIMIT
    assert Offer.decoded(value) == offer
    assert ("confirm" in actions["elements"][0]) == (in_prod == Count(0, True))


@settings(max_examples=50)
@given(st.lists(st.sampled_from(SHAPES), max_size=40), names)
def test_a_long_list_of_jobs_is_shown_within_slack_s_limits(shapes: list[dict[str, Any]], name: str) -> None:
    jobs = [job(**shape | {"id": number, "label": name}) for number, shape in enumerate(shapes, 1)]
    live = [each for each in jobs if each.status.is_live]
    latest = [each for each in jobs if not each.status.is_live][:10]
    links = {each.id: f"https://acme.slack.com/archives/C0PAYROLL/p{each.id:016}" for each in jobs}
    message = check(status.overview(live, latest, links, EN))
    hidden = len(live) - status.SHOWN
    assert (f"and {hidden} more" in plain(message.blocks)) == (hidden > 0)


def test_long_lists_of_latest_jobs_keep_their_links_whole() -> None:
    jobs = [job(**SHAPES[12] | {"id": number, "label": "&" * 300}) for number in range(1, 11)]
    links = {each.id: f"https://acme.slack.com/archives/C0PAYROLL/p{each.id:016}" for each in jobs}
    for message in (status.overview([], jobs, links, EN), status.of_user(jobs, links, EN)):
        [table] = [block for block in check(message).blocks if block["type"] == "table"]
        linked = [row[0]["elements"][0]["elements"][0]["url"] for row in table["rows"][1:]]
        assert linked == list(links.values())
        assert len(json.dumps(table["rows"])) < 10_000


@settings(max_examples=30)
@given(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=20), names)
def test_tables_take_any_name(shapes: list[dict[str, Any]], name: str) -> None:
    jobs = [
        job(**shape | {"id": number, "label": name, "requester_name": name, "channel_id": None})
        for number, shape in enumerate(shapes, 1)
    ]
    check(status.of_liquidation(42, jobs, {}, ES))
    check(status.of_user(jobs, {}, EN))


@pytest.mark.parametrize("t", [EN, ES], ids=["en", "es"])
@pytest.mark.parametrize("failure_code", sorted({*CODES.values(), *WORDS, "unknown", "nosuch"}))
def test_every_failure_has_words_and_a_next_step(failure_code: str, t: Any) -> None:
    failure = Failure(
        failure_code,
        "",
        side="consulta",
        table="public.t_x",
        column="c_x",
        constraint="k_x",
        sqlstate="23505",
    )
    words = explained(failure.as_json(), t)
    bare = explained({"code": failure_code}, t)
    for text in (words.what, words.step, bare.what, bare.step):
        assert text.strip()
        assert "{" not in text
    assert words.what != words.step


SPEC = CopySpec("items", TABLE, TABLE, "liquidation_id")
SEEN = Preview(True, "Sueldos", Count(200_000, True), Count(190_000, True), ())
DONE = job(status=Status.COMPLETED, phase=None, total=200_000, copied=200_000, finished_at=NOW)


def previewed(t: Any = EN, seen: Preview = SEEN, **outlook: Any) -> str:
    return plain(preview_blocks(SPEC, Outlook(seen, **outlook), t))


def test_a_preview_tells_when_and_by_whom_it_was_last_copied() -> None:
    assert EN("Not copied before.") in previewed()
    said = previewed(last=DONE)
    assert "<@U0ANA>" in said
    assert f"<!date^{int(NOW.timestamp())}^" in said
    assert "200,000" in said
    from_shell = dataclasses.replace(DONE, requester_team="shell", requester_name="ana_dba")
    assert "<@" not in previewed(last=from_shell)


@pytest.mark.parametrize(
    ("rows", "changed_at", "words"),
    [
        (200_007, None, "Changed since then: 7 rows more in prod."),
        (199_999, None, "Changed since then: 1 row fewer in prod."),
        (199_999, NOW - timedelta(days=9), "Changed since then: 1 row fewer in prod."),
        (200_000, None, "Whether it changed since then is not known: the number of rows is the same."),
        (200_000, NOW, "By the catalogue it changed since then"),
        (200_000, NOW - timedelta(days=9), "By the catalogue it has not changed since then."),
    ],
)
def test_a_preview_tells_whether_it_changed_since_and_never_more_than_is_known(
    rows: int, changed_at: datetime | None, words: str
) -> None:
    seen = dataclasses.replace(SEEN, in_prod=Count(rows, True), changed_at=changed_at)
    assert words in previewed(seen=seen, last=DONE)


def test_an_estimate_says_nothing_about_changes() -> None:
    seen = dataclasses.replace(SEEN, in_prod=Count(250_000, False))
    assert EN("Whether it changed since then is not known.") in previewed(seen=seen, last=DONE)


def test_a_preview_tells_how_long_it_will_take_or_that_nobody_knows() -> None:
    assert "1 min 5 s" in previewed(expected_seconds=65.0)
    assert "not known" in previewed()


def test_a_preview_warns_of_another_copy_and_of_rows_that_would_go() -> None:
    other = job(id=16, liquidation_id=41)
    assert "job 16, liquidation 41" in previewed(others=(other,))
    surplus = dataclasses.replace(SEEN, in_consulta=Count(200_003, True))
    assert "3 rows more than prod" in previewed(seen=surplus)
    assert "<!subteam^S1>" in previewed(approvers=("<!subteam^S1>",))
    assert "approves" not in previewed()


@pytest.mark.parametrize(
    ("shown", "now", "moved"),
    [
        ((100, 50), (100, 50), False),
        ((100, 50), (110, 55), False),
        ((100, 50), (90, 45), False),
        ((100, 50), (111, 50), True),
        ((100, 50), (89, 50), True),
        ((100, 50), (100, 56), True),
        ((100, 0), (100, 0), False),
        ((100, 0), (100, 1), True),
        ((None, 0), (None, 0), False),
        ((None, 0), (100, 0), True),
        ((100, 0), (None, 0), True),
    ],
)
def test_a_press_counts_for_numbers_that_are_within_a_tenth(
    shown: tuple[int | None, int | None], now: tuple[int | None, int | None], moved: bool
) -> None:
    offer = Offer("items", 42, "0" * 32, 1_900_000_000, *shown)
    in_prod, in_consulta = (Count(rows, rows is not None) for rows in now)
    assert offer.moved(Preview(True, None, in_prod, in_consulta, ())) is moved


def test_the_card_of_a_copy_that_waits_for_approval_says_who_and_until_when() -> None:
    waiting = job(status=Status.PENDING, **UNSTARTED, **ASKED)
    said = plain(card(waiting, EN).blocks)
    for part in ("<@U0ANA>", "<!subteam^S0ADMINS>", "<@U0CARLA>", "200,000", "Approve", "Reject"):
        assert part in said
    assert f"<!date^{int((NOW + timedelta(hours=24)).timestamp())}^" in said
    assert EN("waiting for approval") in card(waiting, EN).text
    approved = dataclasses.replace(waiting, approval=Approval.APPROVED, approval_by=BOB)
    assert "<@U0BOB>" in plain(card(approved, EN).blocks)
    assert "Reject" not in plain(card(approved, EN).blocks)


def test_the_receipt_says_who_approved() -> None:
    done = dataclasses.replace(DONE, approval=Approval.APPROVED, approval_by=BOB)
    assert EN("approved by {user}", user="<@U0BOB>") in plain(reply(done, EN).blocks)
    assert "approved" not in plain(reply(DONE, EN).blocks)


def test_all_codes_of_the_failures_have_words_of_their_own() -> None:
    assert sorted(set(CODES.values()) - set(WORDS)) == []


def test_a_name_in_code_can_be_copied_as_it_is() -> None:
    assert code("public.liquidation_items_2*") == "`public.liquidation_items_2*`"
    assert code("a`b<c>&\nd") == "`aˋb&lt;c&gt;&amp; d`"
    assert "_" not in harmless("_it_")


def test_what_slack_shows_at_the_time_of_the_snapshot_is_its_own_date() -> None:
    seen = job()
    assert seen.as_of is not None
    assert f"<!date^{int(seen.as_of.timestamp())}^" in plain(card(seen, EN).blocks)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(SHAPES), max_size=60), names)
@example([SHAPES[5]] * 60, "&" * 3000)
def test_app_home_takes_any_jobs_and_names(shapes: list[dict[str, Any]], name: str) -> None:
    jobs = [
        job(**shape | {"id": number, "label": name, "requester_name": name, "requester_team": "shell"})
        for number, shape in enumerate(shapes, 1)
    ]
    waiting = [
        dataclasses.replace(each, approval=Approval.WAITING, previewed=each.id)
        for each in jobs
        if each.status is Status.PENDING
    ]
    live = [each for each in jobs if each.status.is_live and each.status is not Status.PENDING]
    seen = PanelSnapshot(
        "U0BOB",
        (*live, *waiting),
        tuple(each for each in jobs if not each.status.is_live)[:20],
        Filters(Status.FAILED, "U0BOB"),
        Freeze(Person("U1", "shell", name), name, NOW),
    )
    links = {each.id: f"https://acme.slack.com/archives/C0PAYROLL/p{each.id:016}" for each in jobs}
    for t in (EN, ES):
        check_view(home.home(seen, links, t))


@given(name=names, period=names, query=names)
def test_the_modal_takes_any_name_and_period(name: str, period: str, query: str) -> None:
    entries = [Entry(2**63 - 1, name, period), Entry(1, None, None)]
    checker = Checker()
    for n, line in enumerate(chooser.options(entries, ES)):
        check_option(checker, line, f"/options/{n}")
    assert checker.reasons == []
    assert len(chooser.no_number(query, ES)[chooser.NUMBER]) < 300
    table = TableName.parse('"' + "x" * 63 + '"."' + "y" * 63 + '"')
    offer = Offer("a" * 31, 2**63 - 1, "0" * 32, 1_900_000_000, 7, 2)
    for rows in (0, 7):
        seen = Preview(True, name, Count(rows, True), Count(2, True), ())
        spec = CopySpec("a" * 31, table, table, "liquidation_id")
        card = preview_card(offer, spec, Outlook(seen), 15, ES)
        view = chooser.look(card, Carried("C0PAYROLL"), ES)
        check_view(view)
        assert Offer.decoded(Carried.decoded(view["private_metadata"]).offer or "") == offer


def test_what_a_menu_doesn_t_know_filters_nothing() -> None:
    assert home.filters_of("all", "all", "U0BOB") == Filters()
    assert home.filters_of("running", "x", "U0BOB") == Filters()
    assert home.filters_of("failed", "mine", "U0BOB") == Filters(Status.FAILED, "U0BOB")
