"""What was shown holds for a run, or there is a question: by the press's tolerance, and by what would go."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.jobs.models import Status
from bot.jobs.view import AgreedCounts, Question, Reason, RowCounts
from bot.messages.card import card
from bot.messages.question import approval_buttons, confirm_button, pressed, sides
from dev.local_slack.plain import plain
from tests.shown import ASKED, EN, QUESTIONS, UNSTARTED, job


def reason(
    shown: tuple[int | None, int | None],
    now: tuple[int, int],
    *,
    confirmed: bool = False,
    needs_approval: bool = False,
    approved: bool = False,
) -> Reason | None:
    terms = AgreedCounts(*shown, removal_confirmed=confirmed)
    question = terms.broken_by(*now, needs_approval=needs_approval, approved=approved)
    if question is not None:
        assert (question.numbers, question.shown_in_prod, question.shown_in_consulta) == (
            RowCounts(*now),
            *shown,
        )
    return question.reason if question else None


@pytest.mark.parametrize(
    ("shown", "now", "found"),
    [
        ((500, 0), (500, 0), None),
        ((500, 0), (550, 0), None),
        ((500, 0), (450, 0), None),
        ((500, 0), (551, 0), Reason.MOVED),
        ((500, 0), (449, 0), Reason.MOVED),
        ((500, 0), (0, 0), Reason.MOVED),
        ((0, 0), (1, 0), Reason.MOVED),
        ((0, 0), (0, 0), None),
        # Nobody knew how many: nothing to compare with.
        ((None, None), (150_500, 0), None),
        ((None, None), (0, 0), None),
        # An earlier attempt has brought some of the rows, or all of them.
        ((500, 0), (500, 300), None),
        ((500, 0), (500, 500), None),
        # More of consulta's rows would go than was shown, and a tenth of the larger side.
        ((500, 500), (500, 550), None),
        ((500, 500), (500, 551), Reason.SURPLUS),
        ((500, 520), (500, 572), None),
        ((500, 520), (500, 573), Reason.SURPLUS),
        ((500, 900), (500, 520), None),
        ((500, None), (500, 550), None),
        ((500, None), (500, 551), Reason.SURPLUS),
        ((None, 900), (500, 590), None),
        ((None, 900), (500, 591), Reason.SURPLUS),
        # Prod has nothing, and consulta has.
        ((500, 0), (0, 1), Reason.REMOVAL),
        ((None, None), (0, 1), Reason.REMOVAL),
        ((0, 300), (0, 300), Reason.REMOVAL),
    ],
)
def test_numbers_hold_within_a_tenth_and_nothing_goes_that_was_not_shown(
    shown: tuple[int | None, int | None], now: tuple[int, int], found: Reason | None
) -> None:
    assert reason(shown, now) is found


def test_a_removal_that_was_confirmed_is_for_the_rows_that_were_shown() -> None:
    assert reason((0, 300), (0, 300), confirmed=True) is None
    assert reason((0, 300), (0, 330), confirmed=True) is None
    assert reason((0, 300), (0, 331), confirmed=True) is Reason.SURPLUS
    assert reason((0, 300), (500, 300), confirmed=True) is Reason.MOVED
    assert reason((0, None), (0, 300), confirmed=True) is Reason.SURPLUS


def test_a_second_person_is_needed_for_as_long_as_none_has_approved() -> None:
    assert reason((500, 0), (500, 0), needs_approval=True) is Reason.APPROVAL
    assert reason((500, 0), (500, 0), needs_approval=True, approved=True) is None
    assert reason((1_500, 0), (101_500, 0), needs_approval=True, approved=True) is Reason.MOVED
    assert reason((500, 0), (0, 9), needs_approval=True) is Reason.REMOVAL


@pytest.mark.parametrize(
    ("shown", "now", "found"),
    [
        (0, 0, None),
        (0, 1, Reason.SURPLUS),
        (100, 110, None),
        (100, 111, Reason.SURPLUS),
        (100, 3, None),
        # It isn't known to the row now: at least what consulta has more than prod goes.
        (0, None, None),
    ],
)
def test_what_was_shown_to_be_deleted_to_the_row_is_what_may_go(
    shown: int, now: int | None, found: Reason | None
) -> None:
    terms = AgreedCounts(10_000, 10_000, removal_confirmed=False, deleted=shown)
    agreed = {"needs_approval": False, "approved": False}
    question = terms.broken_by(10_000, 10_000, deleted=now, **agreed)
    assert (question.reason if question else None) is found
    if question is not None:
        assert (question.deleted, question.shown_deleted, question.removed) == (now, shown, now)
    surplus = terms.broken_by(10_000, 10_000 + 2 * shown + 1, deleted=None, **agreed)
    assert surplus is not None
    assert surplus.reason is Reason.SURPLUS


def test_what_an_earlier_attempt_of_the_job_has_brought_may_go_again() -> None:
    terms = AgreedCounts(10_000, 10_000, removal_confirmed=False, deleted=0)
    agreed = {"needs_approval": False, "approved": False}
    assert terms.broken_by(10_500, 10_700, own_rows=700, deleted=200, **agreed) is None
    assert terms.broken_by(10_500, 10_700, own_rows=100, deleted=200, **agreed) is not None


counts = st.integers(0, 2**63 - 1)


@given(
    counts,
    counts,
    st.none() | counts,
    st.none() | counts,
    st.none() | counts,
    st.none() | counts,
    st.booleans(),
    st.booleans(),
)
def test_whoever_says_yes_to_a_question_isn_t_asked_the_same_again(
    total: int,
    held: int,
    prod: int | None,
    consulta: int | None,
    shown: int | None,
    deletes: int | None,
    confirmed: bool,
    needs: bool,
) -> None:
    # What would be deleted is a part of what is held, and no less than its surplus.
    deleted = None if deletes is None else max(0, held - total) + deletes % (min(held, total) + 1)
    terms = AgreedCounts(prod, consulta, removal_confirmed=confirmed, deleted=shown)
    question = terms.broken_by(total, held, needs_approval=needs, approved=False, deleted=deleted)
    if question is None:
        return
    assert Question.from_json(json.loads(json.dumps(question.as_json()))) == question
    agreed = AgreedCounts(
        question.in_prod,
        question.in_consulta,
        removal_confirmed=question.removes_everything,
        deleted=question.deleted,
    )
    assert agreed.broken_by(total, held, needs_approval=needs, approved=True, deleted=deleted) is None


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_button_says_the_new_number_and_brings_back_the_numbers_that_it_shows(question: Question) -> None:
    asking = job(status=Status.PENDING, **UNSTARTED, question=question)
    approving = job(status=Status.PENDING, **UNSTARTED, **ASKED, question=question)
    number = question.in_consulta if question.removes_everything else question.in_prod
    for button in (confirm_button(asking, question, EN), approval_buttons(approving, EN)[0]):
        assert EN.rows(number) in button["text"]["text"]
        assert pressed(button["value"]) == ("17", question.numbers)
        goes = question.removed > 0
        assert ("confirm" in button, button["style"]) == (goes, "danger" if goes else "primary")


def test_what_was_approved_without_a_question_has_no_numbers_of_its_own() -> None:
    waiting = job(status=Status.PENDING, **UNSTARTED, **ASKED)
    approve, reject = approval_buttons(waiting, EN)
    assert pressed(approve["value"]) == pressed(reject["value"]) == ("17", None)
    assert "confirm" not in approve
    removing = job(
        status=Status.PENDING, **UNSTARTED, **ASKED | {"terms": AgreedCounts(0, 300, removal_confirmed=True)}
    )
    assert "confirm" in approval_buttons(removing, EN)[0]
    assert EN(
        "Prod has no rows for it. Copying would remove {rows} from consulta.", rows="300 rows"
    ) in plain(card(removing, EN).blocks)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "17",
        "17 5",
        "17 5 6 7",
        "17 5 6:",
        "17 5 6:-7",
        "17 5 6:7:8",
        "17 5:7 6",
        "17 -5 6",
        "17 5 x",
        "17 ٥ 6",
        "17  6",
    ],
)
def test_what_isn_t_a_button_s_value_agrees_to_nothing(value: str) -> None:
    assert pressed(value)[1] is None


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_card_says_what_was_shown_and_what_is_there_now(question: Question) -> None:
    said = plain(card(job(status=Status.PENDING, **UNSTARTED, question=question), EN).blocks)
    assert sides(question.shown_in_prod, question.shown_in_consulta, EN) in said
    assert sides(question.in_prod, question.in_consulta, EN) in said
    assert EN("Waiting for confirmation by {user}", user="<@U0ANA>") in said
    assert "Pause" not in said


def test_a_number_that_nobody_knew_is_agreed_to_by_nobody_where_a_second_person_is_needed() -> None:
    unknown = AgreedCounts(None, 0, removal_confirmed=False)
    for needs, approved in ((True, False), (True, True), (False, True)):
        question = unknown.broken_by(60_500, 0, needs_approval=needs, approved=approved)
        assert question is not None
        assert question.reason is Reason.APPROVAL
    assert unknown.broken_by(60_500, 0, needs_approval=False, approved=False) is None


def test_rows_that_the_job_has_brought_are_no_surplus_but_go_by_nobody_s_leave() -> None:
    shown = AgreedCounts(8_000, 8_000, removal_confirmed=False)
    agreed = {"needs_approval": False, "approved": False}
    assert shown.broken_by(8_000, 14_000, own_rows=6_000, **agreed) is None
    more = shown.broken_by(8_000, 14_000, own_rows=0, **agreed)
    assert more is not None
    assert more.reason is Reason.SURPLUS
    gone = shown.broken_by(0, 8_000, own_rows=8_000, **agreed)
    assert gone is not None
    assert (gone.reason, gone.removed, gone.removes_everything) == (Reason.REMOVAL, 8_000, True)
