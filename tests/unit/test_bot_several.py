"""Several liquidations are read exactly, shown with a line for each, and fit into one button."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.parsing import grouped, looks_like_several, several, several_meant
from bot.i18n import translator
from bot.jobs.view import JobView, together
from bot.messages import run as messages
from bot.messages.blocks import BUTTON_VALUE_LIMIT, Message
from bot.messages.proposal import Shown
from bot.messages.run_proposal import MOST, Part, SeveralOffer, several_card, whole_card
from bot.messages.status import jobs_table
from copier import Count
from dev.messages import runs as r
from dev.messages import situations as s
from dev.messages import wholes as w
from tests.shown import check

NAMES = ["items", "notes"]
LARGEST = 2**63 - 1
EN = translator("en")


@pytest.mark.parametrize(
    ("text", "values", "rest"),
    [
        ("40-45", (40, 41, 42, 43, 44, 45), []),
        ("42,43", (42, 43), []),
        ("42, 43", (42, 43), []),
        ("40-42,45 items", (40, 41, 42, 45), ["items"]),
        ("45,40-42", (40, 41, 42, 45), []),
        ("42,42", (42,), []),
        ("42-42", (42,), []),
        ("142,143", (142, 143), []),
    ],
)
def test_ranges_and_lists_are_read_in_order_each_once(
    text: str, values: tuple[int, ...], rest: list[str]
) -> None:
    found = several(text.split())
    assert found is not None
    assert (found[0].values, found[0].count, found[1]) == (values, len(values), rest)


@pytest.mark.parametrize(
    "text",
    [
        "42",
        "42 43",
        "45-40",
        "42,",
        ",42",
        "42-",
        "-42",
        "40–45",
        "40 - 45",
        "42;43",
        "0-3",
        "42,x",
        "42,43items",
        "２,３",
        "2026-10-01",
        "1-9223372036854775808",
        "",
    ],
)
def test_what_is_not_exactly_several_is_not_read_as_several(text: str) -> None:
    assert several(text.split()) is None


def test_a_range_that_nobody_can_mean_is_counted_and_never_listed() -> None:
    found = several([f"1-{LARGEST}"])
    assert found is not None
    assert (found[0].count, found[0].values) == (LARGEST, ())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("40–45", "40-45"),
        ("40 - 45", "40-45"),
        ("40 a 45 itmes", "40-45 items"),
        ("45-40", "40-45"),
        ("42 43", "42,43"),
        ("42 y 43", "42,43"),
        ("42;43 & 44", "42,43,44"),
        ("1 to 99", None),
        ("42 nosuch", None),
    ],
)
def test_what_was_probably_meant_is_proposed(text: str, meant: str | None) -> None:
    wanted = None if meant is None else f"/copy-liquidation {meant}"
    assert several_meant(text.split(), NAMES, "/copy-liquidation", MOST) == wanted


@given(st.text(st.sampled_from("0123456789,- .;y–aitems"), max_size=40))
def test_a_proposal_works_as_it_is(text: str) -> None:
    meant = several_meant(text.split(), NAMES, "/copy-liquidation", MOST)
    if meant is not None:
        assert several(meant.split()[1:]) is not None


def test_a_date_is_no_range_and_thousands_may_be_a_list() -> None:
    assert not looks_like_several(["2026-10-01"])
    assert looks_like_several(["45", "-", "40"])
    assert (grouped("1,234"), grouped("42,43"), grouped("1.234")) == (1234, None, None)


@given(
    st.lists(
        st.tuples(
            st.integers(1, LARGEST),
            st.builds(Shown, *[st.none() | st.integers(0, 10**12)] * 4),
        ),
        min_size=1,
        max_size=MOST,
    )
)
def test_an_offer_is_read_as_it_was_written(parts: list[tuple[int, Shown]]) -> None:
    offer = SeveralOffer("items", "3f2a" * 8, 1_795_534_208, tuple(parts), "a1b2" * 4)
    assert SeveralOffer.decoded(offer.encoded()) == offer


def test_fifty_liquidations_of_a_billion_rows_fit_into_a_button() -> None:
    parts = tuple((10**9 + n, Shown(10**9, 10**9, 10**6, 10**6)) for n in range(MOST))
    offer = SeveralOffer("payment-orders", "3f2a" * 8, 1_795_534_208, parts, "a1b2" * 4)
    assert len(offer.encoded()) <= BUTTON_VALUE_LIMIT
    assert offer.fits


def test_fifty_lines_of_a_preview_fit_into_slack_s_limits_also_without_a_table() -> None:
    parts = [replace(r.seen(n, 12_000, 0), liquidation_id=10**9 + n) for n in range(MOST)]
    card = several_card(r.offered(*parts), EN)
    for blocks in (card.blocks, card.fallback or []):
        assert 0 < len(blocks) <= 50
        texts = [block["text"]["text"] for block in blocks if block["type"] == "section"]
        assert all(len(text) <= 3000 and not text.endswith("…") for text in texts)


def warnings(card: Message) -> list[str]:
    texts = [block["text"]["text"] for block in card.blocks if block["type"] == "section"]
    lines = [line for text in texts for line in text.splitlines()]
    return [line for line in lines if line.startswith("⚠️") or line.startswith("and ")]


def test_fifty_liquidations_with_something_to_mind_each_fit_and_it_is_said_how_many_more_there_are() -> None:
    seen = replace(s.seen(12_000, 0), triggers=("t" * 900,))
    parts = [Part(10**9 + n, replace(seen, taken=Count(n, exact=True))) for n in range(1, MOST + 1)]
    card = several_card(r.offered(*parts), EN)
    check(card)
    check(replace(card, blocks=card.fallback or []))
    assert len(warnings(card)) == 21
    assert warnings(card)[-1] == "and 31 more"


def test_what_is_to_be_minded_is_said_once_of_all_or_with_the_numbers_of_some() -> None:
    stamped = replace(s.seen(10, 0), triggers=("stamp on public.items",))
    moves = replace(stamped, taken=Count(5, exact=True))
    of_some, of_all = warnings(
        several_card(r.offered(Part(40, moves), Part(41, moves), Part(45, stamped)), EN)
    )
    assert of_some.startswith("⚠️ *40, 41*: 5 rows of other liquidations in consulta move to this one")
    assert of_all.startswith("⚠️ Triggers of consulta fire before each row that is written: `stamp on public")
    assert not warnings(several_card(r.offered(r.seen(42, 10, 0), r.seen(43, 10, 0)), EN))


def test_an_index_that_tables_of_a_set_lack_is_said_once_and_what_has_the_same_number_of_each() -> None:
    slow = s.seen(60_000, None, exact=False, advice=True)
    tables = [w.table(name, replace(slow, taken=Count(3, exact=True))) for name in ("payslips", "lines")]
    for card in (
        whole_card(w.offered(*tables), EN),
        several_card(replace(r.offered(Part(40, tables=tuple(tables))), tables=2), EN),
    ):
        index, of_payslips, of_lines = warnings(card)
        assert index.startswith(f"⚠️ *{tables[0].title}*: prod has no index for this")
        assert of_payslips.startswith(f"⚠️ *{tables[0].title}*: 3 rows of other liquidations")
        assert of_lines.startswith(f"⚠️ *{tables[1].title}*: 3 rows of other liquidations")


@pytest.mark.parametrize("made", [s.ASKS_MOVED, s.APPROVAL, s.FAILED, s.COPYING])
def test_fifty_jobs_with_hostile_names_break_no_message_of_a_run(made: JobView) -> None:
    name = "<!channel> <@U1> <https://evil|x> &" * 100
    jobs = [replace(r.part(made, n), label=name, copy_title=name[:60]) for n in range(1, MOST + 1)]
    run = r.run(*jobs)
    shown = [messages.card(run, EN), messages.reply(run, EN), messages.shown_alone(run, None, EN)]
    if run.asking:
        shown.append(messages.question_reply(run, EN))
    for message in shown:
        check(message)
        check(replace(message, blocks=message.fallback or message.blocks))
    assert len(messages.entry(run, None, EN)) <= 3000


def test_a_list_shows_a_run_once_with_its_parts_below_it() -> None:
    jobs = [s.COPYING, *r.IN_PART.jobs[::-1], s.COMPLETED]
    assert together(jobs, {7: r.IN_PART}) == [s.COPYING, r.IN_PART, s.COMPLETED]
    rows = jobs_table(jobs, {}, EN, {7: r.IN_PART})["rows"]
    assert [row[0]["text"] for row in rows[1:]] == ["17", "Run 7", "140", "141", "144", "17"]


def test_a_run_is_whole_only_when_each_of_its_jobs_is_completed() -> None:
    assert r.COMPLETED.fraction == 1.0
    assert r.IN_PART.fraction < 1.0
    assert 0 < r.FIFTY.fraction < 0.5
    assert r.run(r.QUEUED).fraction == 0.0


def test_what_stays_in_prod_is_said_once_for_all_of_them() -> None:
    ruled = s.under_rules().seen
    card = several_card(r.offered(*(replace(r.seen(number, 10, 0), seen=ruled) for number in (42, 43))), EN)
    said = str(card.blocks)
    assert said.count("Not copied: `bonus, cbu`. Emptied: `email`. Masked: `name`. Hashed: `dni`.") == 1
    assert "🔒" not in str(several_card(r.offered(r.seen(42, 10, 0), r.seen(43, 10, 0)), EN).blocks)
