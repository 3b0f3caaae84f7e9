"""The preview tells what a copy would do, and its button brings back what was offered."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given

from bot.jobs.view import AgreedCounts
from bot.messages import proposal
from bot.messages.blocks import BUTTON_VALUE_LIMIT
from bot.messages.proposal import Carried, Offer, Offered, Proposal, made_of, preview_blocks, proposal_card
from copier import Advice, Count, Counts, Entry, ExpectedChanges, Fingerprint, Preview, TableName
from dev.local_slack.checker import Checker
from dev.local_slack.elements import check_option
from dev.local_slack.plain import plain
from tests.shown import DONE, EN, ES, NOW, check, check_view, counts, job, names


@given(name=names, in_prod=counts, in_consulta=counts)
@example(name="\x01" * 300, in_prod=Count(0, True), in_consulta=Count(2, True))
@example(name='"' * 300, in_prod=Count(1, True), in_consulta=Count(None, False))
def test_every_offer_fits_into_its_button_and_comes_back_from_it(
    name: str, in_prod: Count, in_consulta: Count
) -> None:
    table = TableName.parse('"' + "x" * 63 + '"."' + "y" * 63 + '"')
    sides = (in_prod.rows, in_consulta.rows)
    would = Counts(2**63 - 1, 2**63 - 1, 2**63 - 1, 2**63 - 1)
    offer = Offer("a" * 31, 2**63 - 1, "0" * 32, 1_900_000_000, *sides, "f" * 16, would)
    offered = Offered(
        offer,
        "a" * 60,
        Proposal(
            Preview(
                True,
                name,
                in_prod,
                in_consulta,
                (Advice("prod", f"CREATE INDEX CONCURRENTLY ON {table} (a)"),),
            )
        ),
        15,
    )
    message = proposal_card(offered, ES)
    check(message)
    [actions] = [block for block in message.blocks if block["type"] == "actions"]
    value = actions["elements"][0]["value"]
    assert len(value) <= BUTTON_VALUE_LIMIT
    assert Offer.decoded(value) == offer
    assert ("confirm" in actions["elements"][0]) == (in_prod == Count(0, True))


SEEN = Preview(True, "Sueldos", Count(200_000, True), Count(190_000, True), ())


def previewed(t: Any = EN, seen: Preview = SEEN, **proposal: Any) -> str:
    return plain(preview_blocks("Items", Proposal(seen, **proposal), t))


def test_a_preview_tells_when_and_by_whom_it_was_last_copied() -> None:
    assert EN("Never copied.") in previewed()
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
        (200_000, None, "Prod has as many rows as then; there may be changes in them."),
        (200_000, NOW, "By the catalogue it changed since then"),
        (200_000, NOW - timedelta(days=9), "By the catalogue it has not changed since then."),
    ],
)
def test_a_preview_tells_whether_it_changed_since_and_never_more_than_is_known(
    rows: int, changed_at: datetime | None, words: str
) -> None:
    seen = dataclasses.replace(SEEN, in_source=Count(rows, True), changed_at=changed_at)
    assert words in previewed(seen=seen, last=DONE)


def test_an_estimate_says_nothing_about_changes() -> None:
    seen = dataclasses.replace(SEEN, in_source=Count(250_000, False))
    assert EN("Whether it changed since then is not known.") in previewed(seen=seen, last=DONE)


def test_a_preview_tells_how_long_it_will_take_or_that_nobody_knows() -> None:
    assert "1 min 5 s" in previewed(expected_seconds=65.0)
    assert "not known" in previewed()


def test_a_preview_warns_of_another_copy_and_of_rows_that_would_go() -> None:
    other = job(id=16, liquidation_id=41)
    assert "job 16, “items” of liquidation 41" in previewed(others=(other,))
    surplus = dataclasses.replace(SEEN, in_target=Count(200_003, True))
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


SHOWN = Counts(inserted=3, updated=12, deleted=10, unchanged=978)


@pytest.mark.parametrize(
    ("now", "moved"),
    [
        (SHOWN, False),
        (Counts(inserted=30, updated=12, deleted=10, unchanged=978), False),
        (Counts(inserted=3, updated=12, deleted=11, unchanged=977), False),
        (Counts(inserted=3, updated=12, deleted=12, unchanged=976), True),
        (Counts(inserted=3, updated=112, deleted=10, unchanged=878), False),
        (Counts(inserted=3, updated=113, deleted=10, unchanged=877), True),
        (Counts(inserted=3, updated=0, deleted=0, unchanged=1_000), False),
        (None, True),
    ],
)
def test_a_press_counts_for_no_more_deletions_and_not_many_more_changes_than_were_shown(
    now: Counts | None, moved: bool
) -> None:
    offer = Offer("items", 42, "0" * 32, 1_900_000_000, 1_000, 1_000, would=SHOWN)
    seen = Preview(
        True,
        None,
        Count(1_000, True),
        Count(1_000, True),
        (),
        expected_changes=now and ExpectedChanges(now, NOW),
    )
    assert offer.moved(seen) is moved
    assert offer.terms(seen).deleted == SHOWN.deleted
    unknown = dataclasses.replace(offer, would=None)
    assert not unknown.moved(seen)
    assert unknown.terms(seen).deleted is None


def test_a_button_brings_back_what_the_copy_would_do_and_an_older_one_is_read_as_before() -> None:
    offer = Offer("items", 42, "0" * 32, 1_900_000_000, 1_000, 1_000, "f" * 16, SHOWN)
    assert Offer.decoded(offer.encoded()) == offer
    before = {name: value for name, value in json.loads(offer.encoded()).items() if name != "would"}
    assert Offer.decoded(json.dumps(before)) == dataclasses.replace(offer, would=None)


def test_a_preview_says_to_the_row_what_a_copy_would_do_and_no_guess_beside_it() -> None:
    known = dataclasses.replace(SEEN, expected_changes=ExpectedChanges(SHOWN, NOW))
    said = previewed(seen=known, last=DONE)
    assert "Would insert 3 · change 12 · delete 10 · leave 978." in said
    assert "Copying removes 10 rows from consulta that prod doesn't have." in said
    assert "there may be changes in them" not in said
    assert "Insertaría 3" in previewed(ES, seen=known)
    same = dataclasses.replace(SEEN, expected_changes=ExpectedChanges(Counts(unchanged=200_000), NOW))
    assert "hold the same 200,000 rows" in previewed(seen=same)
    assert "Would" not in previewed()


def test_a_press_counts_only_for_the_copy_as_it_was_made_then() -> None:
    made = Fingerprint("public.items", "public.items", "liquidation_id", ("id",), ("id",))
    seen = dataclasses.replace(SEEN, fingerprint=made)
    offer = Offer("items", 42, "0" * 32, 1_900_000_000, 200_000, 190_000, made_of(seen))
    assert not offer.moved(seen)
    assert not Offer.decoded(offer.encoded()).moved(seen)
    other = dataclasses.replace(made, target_table="public.others")
    assert offer.moved(dataclasses.replace(seen, fingerprint=other))


@pytest.mark.parametrize(
    ("shown", "in_prod", "in_consulta", "terms"),
    [
        ((100, 50), Count(105, True), Count(51, True), (100, 50, False)),
        ((100, 50), Count(105, False), Count(51, False), (100, None, False)),
        ((None, None), Count(None, False), Count(None, False), (None, None, False)),
        ((0, 50), Count(0, True), Count(50, True), (0, 50, True)),
        ((0, None), Count(0, True), Count(None, False), (0, None, True)),
    ],
)
def test_a_job_is_bound_to_what_was_shown_and_an_estimate_is_no_promise_of_what_may_go(
    shown: tuple[int | None, int | None],
    in_prod: Count,
    in_consulta: Count,
    terms: tuple[int | None, int | None, bool],
) -> None:
    offer = Offer("items", 42, "0" * 32, 1_900_000_000, *shown)
    prod, consulta, confirmed = terms
    assert offer.terms(Preview(True, None, in_prod, in_consulta, ())) == AgreedCounts(
        prod, consulta, removal_confirmed=confirmed
    )


@given(name=names, period=names, query=names)
def test_the_modal_takes_any_name_and_period(name: str, period: str, query: str) -> None:
    entries = [Entry(2**63 - 1, name, period), Entry(1, None, None)]
    checker = Checker()
    for n, line in enumerate(proposal.options(entries, ES)):
        check_option(checker, line, f"/options/{n}")
    assert checker.reasons == []
    assert len(proposal.no_number(query, ES)[proposal.NUMBER]) < 300
    offer = Offer("a" * 31, 2**63 - 1, "0" * 32, 1_900_000_000, 7, 2)
    for rows in (0, 7):
        seen = Preview(True, name, Count(rows, True), Count(2, True), ())
        offered = Offered(offer, query[:60] or "a", Proposal(seen), 15)
        view = proposal.preview(offered, Carried("C0PAYROLL"), ES)
        check_view(view)
        assert Offer.decoded(Carried.decoded(view["private_metadata"]).offer or "") == offer
