"""A set's offer fits into its button and comes back from it, and no name breaks a message of a set."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.i18n import translator
from bot.jobs.models import Status
from bot.jobs.view import RunView
from bot.messages import run as messages
from bot.messages import run_proposal, set_progress
from bot.messages.blocks import BUTTON_VALUE_LIMIT
from bot.messages.proposal import Carried, Offer, Shown
from bot.messages.run_proposal import WholeOffer, read_offer, whole_card, whole_preview
from copier import Count
from dev.messages import runs as r
from dev.messages import situations as s
from dev.messages import wholes as w
from tests.shown import check, check_view

EN, ES = translator("en"), translator("es")
LARGEST = 2**63 - 1
HOSTILE = "<!channel> <@U1> <https://evil|x> &*`" * 100
ROWS = st.none() | st.integers(0, LARGEST)


@given(st.lists(st.builds(Shown, ROWS, ROWS, ROWS, ROWS), min_size=2, max_size=25), st.integers(1, LARGEST))
def test_an_offer_of_up_to_25_tables_fits_into_its_button_and_is_read_as_it_was_written(
    shown: list[Shown], liquidation: int
) -> None:
    offer = WholeOffer("a" * 31, liquidation, "3f2a" * 8, 1_795_534_208, tuple(shown), "a1b2" * 4)
    assert len(offer.encoded()) <= BUTTON_VALUE_LIMIT
    assert offer.fits
    assert WholeOffer.decoded(offer.encoded()) == offer == read_offer(offer.encoded())


def test_an_offer_of_a_single_copy_is_told_from_that_of_a_set() -> None:
    assert read_offer(s.OFFER.encoded()) == s.OFFER
    assert isinstance(read_offer(s.OFFER.encoded()), Offer)
    for wrong in ("17", "[]", '["completa"]', "{}"):
        with pytest.raises((TypeError, ValueError)):
            read_offer(wrong)


def test_a_press_counts_only_while_no_table_has_moved() -> None:
    offer = w.offered(*w.CHANGED).offer
    offer = replace(offer, made_of=run_proposal.all_made_of(w.CHANGED))
    assert not offer.moved(w.CHANGED)
    *others, last = w.CHANGED
    assert last.seen is not None
    for seen in (
        replace(last.seen, in_source=Count(13_300, exact=True)),
        replace(last.seen, in_target=Count(13_300, exact=True)),
        replace(last.seen, expected_changes=None),
    ):
        assert offer.moved([*others, replace(last, seen=seen)])
    assert offer.moved(w.CHANGED[:3])
    assert offer.moved([*others, replace(last, copy_name="other")])


def test_a_set_of_fifty_tables_with_hostile_names_breaks_no_message() -> None:
    tables = [replace(w.CHANGED[2], copy_name=f"t{n}", title=HOSTILE[:60]) for n in range(50)]
    tables[0] = replace(tables[0], needs_approval=True, approvers=("<!subteam^S0ADMINS>",))
    tables[1] = replace(tables[1], seen=s.seen(0, 12_000, advice=True))
    offered = w.offered(*tables, label=HOSTILE, asks_why=True)
    offered = replace(offered, offer=replace(offered.offer, tables=offered.offer.tables[:20]))
    message = whole_card(offered, ES)
    check(message)
    check(replace(message, blocks=message.fallback or []))
    check_view(whole_preview(offered, Carried("C0PAYROLL"), ES))
    stuck = [replace(each, problem=w.with_a_problem(EN)[3].problem) for each in tables]
    check(run_proposal.not_possible(HOSTILE[:60], 42, stuck, EN))
    check(run_proposal.under_way(HOSTILE[:60], 42, [(each.title, s.COPYING) for each in tables], {}, EN))


@pytest.mark.parametrize("made", [r.SET, r.SET_COMPARED, r.SET_FAILED, r.SET_COMPLETED, r.SET_ASKS])
def test_hostile_names_break_no_card_and_no_reply_of_a_set(made: RunView) -> None:
    jobs = tuple(replace(job, copy_title=HOSTILE[:60], label=HOSTILE) for job in made.jobs)
    run = replace(made, jobs=jobs, set_title=HOSTILE[:60])
    for message in (messages.card(run, EN), messages.reply(run, EN), messages.shown_alone(run, None, ES)):
        check(message)
        check(replace(message, blocks=message.fallback or message.blocks))


def test_what_a_table_waits_for_is_what_is_being_written() -> None:
    words = [set_progress.table(r.SET, job, EN) for job in r.SET.jobs]
    assert [state for state, _ in words] == ["complete", "in_progress", "pending", "pending"]
    assert words[2][1] == "60,000 rows · waits for Recibos"


def test_a_reply_says_the_next_step_once_and_blames_only_what_failed() -> None:
    reply = messages.reply(r.SET_FAILED, EN)
    said = str(reply.blocks)
    assert said.count("Then copy again.") == 1
    assert "In place: Cabecera, Recibos. Not begun: Deducciones." in said
    assert "another table" not in said.lower()
    alike = replace(r.SET_FAILED, jobs=tuple(replace(job, error=s.FAILED.error) for job in r.SET_FAILED.jobs))
    assert str(messages.reply(alike, EN).blocks).count("Then copy again.") == 1


def test_a_set_is_steered_as_a_whole() -> None:
    def words(run: RunView) -> list[str]:
        [row] = messages.buttons_for(run, EN)
        return [each["text"]["text"] for each in row["elements"]]

    assert words(r.SET)[:2] == ["Pause", "Cancel"]
    assert words(r.SET_FAILED) == ["Retry the set"]
    assert words(r.SET_ASKS)[0] == "Copy all the same"
    assert words(r.SET_WAITS_FOR_APPROVAL)[:3] == ["Approve", "Reject", "Cancel"]
    assert all(job.status is Status.COMPLETED for job in r.SET_COMPLETED.jobs)
