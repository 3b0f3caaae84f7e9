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
from bot.jobs.snapshot import Freeze, JobSnapshot, Person
from bot.jobs.statuses import Approval, Phase, Status
from bot.messages import answers, chooser, home, status
from bot.messages.blocks import BUTTON_VALUE_LIMIT, Message, code, harmless
from bot.messages.card import card
from bot.messages.chooser import Carried
from bot.messages.ending import reply
from bot.messages.failures import WORDS, explained
from bot.messages.preview import Offer, preview_card
from copier import Advice, CopySpec, Count, Entry, Preview, TableName
from dev.slack.blocks import check_blocks, check_message_blocks
from dev.slack.checker import Checker
from dev.slack.elements import check_option
from dev.slack.plain import plain

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
EN, ES = translator("en"), translator("es")
LONGEST_TEXT = 4000

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


def ended(status: Status, **values: Any) -> dict[str, Any]:
    return {"status": status, "phase": None, "finished_at": NOW, "error": None} | values


SHAPES = [
    {"status": Status.PENDING, "phase": None, "total": None, "copied": 0, "started_at": None, "attempt": 0},
    {"status": Status.PENDING, "phase": None, "ahead": 3, "total": None, "copied": 0, "attempt": 0},
    {"status": Status.PENDING, "phase": None, "attempt": 1},
    {"status": Status.PENDING, "phase": None, "error": {"code": "connection", "side": "prod"}},
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


@settings(deadline=None, max_examples=40)
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
    ):
        check(message)


counts = st.builds(Count, st.none(), st.just(False)) | st.builds(
    Count, st.integers(0, 2**63 - 1), st.booleans()
)


@settings(deadline=None)
@given(name=names, in_prod=counts, in_consulta=counts)
@example(name="\x01" * 300, in_prod=Count(0, True), in_consulta=Count(2, True))
@example(name='"' * 300, in_prod=Count(1, True), in_consulta=Count(None, False))
def test_every_offer_fits_into_its_button_and_comes_back_from_it(
    name: str, in_prod: Count, in_consulta: Count
) -> None:
    table = TableName.parse('"' + "x" * 63 + '"."' + "y" * 63 + '"')
    offer = Offer("a" * 31, 2**63 - 1, name[:300] or None, "0" * 32, 1_900_000_000)
    message = preview_card(
        offer,
        CopySpec("a" * 31, table, table, "liquidation_id"),
        Preview(
            True, name, in_prod, in_consulta, (Advice("prod", f"CREATE INDEX CONCURRENTLY ON {table} (a)"),)
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


@settings(deadline=None, max_examples=50)
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


@settings(deadline=None, max_examples=30)
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


@settings(deadline=None, max_examples=40)
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


@settings(deadline=None)
@given(name=names, period=names, query=names)
def test_the_modal_takes_any_name_and_period(name: str, period: str, query: str) -> None:
    entries = [Entry(2**63 - 1, name, period), Entry(1, None, None)]
    checker = Checker()
    for n, line in enumerate(chooser.options(entries, ES)):
        check_option(checker, line, f"/options/{n}")
    assert checker.reasons == []
    assert len(chooser.no_number(query, ES)[chooser.NUMBER]) < 300
    table = TableName.parse('"' + "x" * 63 + '"."' + "y" * 63 + '"')
    offer = Offer("a" * 31, 2**63 - 1, name[:300] or None, "0" * 32, 1_900_000_000)
    for rows in (0, 7):
        seen = Preview(True, name, Count(rows, True), Count(2, True), ())
        spec = CopySpec("a" * 31, table, table, "liquidation_id")
        view = chooser.look(preview_card(offer, spec, seen, 15, ES), Carried("C0PAYROLL"), ES)
        check_view(view)
        assert Offer.decoded(Carried.decoded(view["private_metadata"]).offer or "") == offer


def test_what_a_menu_doesn_t_know_filters_nothing() -> None:
    assert home.filters_of("all", "all", "U0BOB") == Filters()
    assert home.filters_of("running", "x", "U0BOB") == Filters()
    assert home.filters_of("failed", "mine", "U0BOB") == Filters(Status.FAILED, "U0BOB")
