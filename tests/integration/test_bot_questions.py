"""A job that asks again, as the database holds it: nobody takes it, and one yes counts, for its numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from bot.errors import StaleAttempt
from bot.jobs.actions import ApprovalOutcome, Approvals, Became, Effect
from bot.jobs.attempt import Attempt, NobodyCanApprove, SecondPerson
from bot.jobs.models import Approval, Status
from bot.jobs.outbox import MessageKind
from bot.jobs.repository import Requester
from bot.jobs.view import AgreedCounts, JobView, Question, Reason, RowCounts
from tests.tracking import ANA, BOB, CHUNK, LOST, Ends, Jobs

WHO = ("<!subteam^S0ADMINS>",)
CARLA = Requester("T0", "U0CARLA", "Carla")
DBA = Requester("shell", "dba", "dba")
SHOWN = AgreedCounts(500, 0, removal_confirmed=False)
MOVED = Question(Reason.MOVED, 150_500, 0, 500, 0)
REMOVAL = Question(Reason.REMOVAL, 0, 300, 500, 0)
SECOND = SecondPerson(WHO, 3600.0)


def asked(
    jobs: Jobs, question: Question = MOVED, second: SecondPerson | None = None, **values: Any
) -> Attempt:
    """The claim of a job that asks again since."""
    claim = jobs.claimed(**{"terms": SHOWN, "channel_id": "C0"} | values)
    assert Ends(claim).ask(question, second) is Status.PENDING
    return claim


def confirm(
    jobs: Jobs, job_id: int, by: Requester = ANA, numbers: RowCounts | None = MOVED.numbers
) -> Effect[JobView]:
    return jobs.control.confirm(job_id, by, numbers)


@pytest.mark.parametrize("second", [None, SECOND], ids=["its-requester", "a-second-person"])
def test_a_job_that_asks_is_not_taken_nor_queued_nor_paused_and_stands_in_nobody_s_way(
    jobs: Jobs, second: SecondPerson | None
) -> None:
    claim = asked(jobs, second=second)
    behind = jobs.create(43)
    assert jobs.executions.claim(claim.job_id, "host:2") is None
    assert jobs.sweep().to_enqueue == [behind]
    assert jobs.see(behind).ahead == 0
    jobs.freezes.freeze(BOB, None)
    lifted = jobs.freezes.lift(BOB)
    assert lifted is not None
    assert lifted.waiting == [behind]
    assert jobs.control.pause(claim.job_id, BOB).became is Became.NOT_NOW
    job = jobs.see(claim.job_id)
    assert (job.status, job.question, job.total, job.error) == (Status.PENDING, MOVED, None, None)
    assert (job.waits_for_approval, job.waits_for_confirmation) == (second is not None, second is None)
    assert job.approvers == (WHO if second else ())
    assert jobs.kinds(job.id) == ["requested", "claimed", "asked_again"]


def test_the_worker_that_asked_can_write_nothing_more(jobs: Jobs) -> None:
    claim = asked(jobs)
    with pytest.raises(StaleAttempt):
        claim.renew()
    with pytest.raises(StaleAttempt):
        Ends(claim).ask(REMOVAL, None)
    assert jobs.see(claim.job_id).question == MOVED


@pytest.mark.parametrize("name", ["pause", "cancel"])
def test_what_somebody_asked_the_worker_for_comes_before_the_question(jobs: Jobs, name: str) -> None:
    claim = jobs.claimed(channel_id="C0", terms=SHOWN)
    getattr(jobs.control, name)(claim.job_id, BOB)
    status = Status.PAUSED if name == "pause" else Status.CANCELLED
    assert Ends(claim).ask(MOVED, SECOND) is status
    job = jobs.see(claim.job_id)
    assert (job.status, job.question, job.approval) == (status, None, None)


def test_the_requester_s_yes_makes_the_numbers_those_that_were_shown(jobs: Jobs) -> None:
    claim = asked(jobs)
    effect = confirm(jobs, claim.job_id)
    assert (effect.became, effect.to_enqueue) == (Became.DONE, (claim.job_id,))
    assert (effect.after.question, effect.after.terms) == (
        None,
        AgreedCounts(150_500, 0, removal_confirmed=False),
    )
    assert jobs.sweep().to_enqueue == [claim.job_id]
    again = jobs.executions.claim(claim.job_id, "host:2")
    assert again is not None
    assert (
        again.claim.terms.broken_by(150_500, 0, needs_approval=False, approved=again.claim.approved) is None
    )
    assert jobs.kinds(claim.job_id)[2:] == ["asked_again", "confirmed", "claimed"]


def test_a_removal_is_confirmed_only_by_a_yes_to_one(jobs: Jobs) -> None:
    claim = asked(jobs, REMOVAL)
    agreed = confirm(jobs, claim.job_id, numbers=REMOVAL.numbers).after.terms
    assert agreed == AgreedCounts(0, 300, removal_confirmed=True)
    again = jobs.executions.claim(claim.job_id, "host:2")
    assert again is not None
    Ends(again).ask(MOVED, None)
    assert confirm(jobs, claim.job_id).after.terms == AgreedCounts(150_500, 0, removal_confirmed=False)


def test_a_yes_to_rows_that_would_be_deleted_is_for_so_many(jobs: Jobs) -> None:
    deletes = Question(Reason.SURPLUS, 500, 500, 500, 500, deleted=9, shown_deleted=0)
    terms = AgreedCounts(500, 500, removal_confirmed=False, deleted=0)
    claim = asked(jobs, deletes, terms=terms)
    assert jobs.see(claim.job_id).terms == terms
    for numbers in (RowCounts(500, 500), RowCounts(500, 500, 8)):
        assert confirm(jobs, claim.job_id, numbers=numbers).became is Became.STALE
    agreed = confirm(jobs, claim.job_id, numbers=deletes.numbers).after.terms
    assert agreed == AgreedCounts(500, 500, removal_confirmed=False, deleted=9)
    again = jobs.executions.claim(claim.job_id, "host:2")
    assert again is not None
    Ends(again).ask(MOVED, SECOND)
    approvals = Approvals(jobs.engine)
    assert approvals.approve(claim.job_id, BOB, deletes.numbers).outcome is ApprovalOutcome.STALE
    assert approvals.approve(claim.job_id, BOB, MOVED.numbers).outcome is ApprovalOutcome.DONE
    assert jobs.see(claim.job_id).terms == AgreedCounts(150_500, 0, removal_confirmed=False)


def test_only_the_requester_can_confirm_or_whoever_has_the_settings_in_a_shell(jobs: Jobs) -> None:
    claim = asked(jobs)
    assert confirm(jobs, claim.job_id, BOB).became is Became.NOT_YOURS
    elsewhere = Requester("T1", "U0ANA", "Ana, in another workspace of the organisation")
    assert jobs.see(claim.job_id).question == MOVED
    assert confirm(jobs, claim.job_id, elsewhere).became is Became.DONE
    other = asked(jobs, liquidation=43)
    assert confirm(jobs, other.job_id, DBA).became is Became.DONE


def test_a_press_for_other_numbers_changes_nothing_and_has_the_card_told_anew(jobs: Jobs) -> None:
    claim = asked(jobs)
    jobs.cards.posted(claim.job_id, "C0", "1.1")
    for numbers in (None, REMOVAL.numbers, RowCounts(150_501, 0), RowCounts(150_500, 1)):
        jobs.tell_all()
        assert confirm(jobs, claim.job_id, numbers=numbers).became is Became.STALE
        assert jobs.tell_all() == [MessageKind.UPDATE]
    assert jobs.see(claim.job_id).question == MOVED
    assert "confirmed" not in jobs.kinds(claim.job_id)


def test_of_many_presses_at_once_one_counts(jobs: Jobs) -> None:
    claim = asked(jobs)
    with ThreadPoolExecutor(10) as pool:
        became = [each.became for each in pool.map(lambda _: confirm(jobs, claim.job_id), range(10))]
    assert sorted(became) == sorted([Became.DONE] + [Became.BEFORE] * 9)
    assert jobs.kinds(claim.job_id).count("confirmed") == 1
    assert confirm(jobs, jobs.create(43)).became is Became.BEFORE
    jobs.control.cancel(claim.job_id, BOB)
    assert confirm(jobs, claim.job_id).became is Became.NOT_NOW


def test_a_job_that_asks_can_be_cancelled_by_anybody(jobs: Jobs) -> None:
    claim = asked(jobs)
    assert jobs.control.cancel(claim.job_id, BOB).after.status is Status.CANCELLED
    assert not jobs.see(claim.job_id).waits_for_somebody
    assert jobs.create() != claim.job_id


def test_the_database_has_no_job_with_a_question_that_runs(jobs: Jobs) -> None:
    claim = asked(jobs)
    with pytest.raises(IntegrityError):
        jobs.run("UPDATE traspaso.copy_jobs SET status = 'running' WHERE id = :id", id=claim.job_id)


# ------------------------------------------------------------------------------------- a second person


def test_a_yes_given_before_is_none_for_the_new_numbers(jobs: Jobs) -> None:
    approvals = Approvals(jobs.engine)
    job_id = jobs.create(
        approvers=WHO, terms=AgreedCounts(1_500, 0, removal_confirmed=False), channel_id="C0"
    )
    assert approvals.approve(job_id, BOB).decided == (job_id,)
    claim = jobs.executions.claim(job_id, "host:1")
    assert claim is not None
    assert claim.claim.approved
    question = Question(Reason.MOVED, 101_500, 0, 1_500, 0)
    Ends(claim).ask(question, SECOND)
    job = jobs.see(job_id)
    assert (job.approval, job.approval_by, job.approval_at) == (Approval.WAITING, None, None)
    # The button of the first card, and one with other numbers.
    for numbers in (None, RowCounts(101_500, 1)):
        assert approvals.approve(job_id, BOB, numbers).outcome is ApprovalOutcome.STALE
    assert confirm(jobs, job_id, numbers=question.numbers).became is Became.NOT_NOW
    assert approvals.approve(job_id, ANA, question.numbers).outcome is ApprovalOutcome.OWN
    assert jobs.see(job_id).waits_for_approval
    decision = approvals.approve(job_id, CARLA, question.numbers)
    assert (decision.outcome, decision.decided) == (ApprovalOutcome.DONE, (job_id,))
    assert decision.after is not None
    assert (decision.after.question, decision.after.terms.in_prod) == (None, 101_500)
    again = jobs.executions.claim(job_id, "host:2")
    assert again is not None
    assert again.claim.approved


def test_a_yes_to_a_removal_confirms_it_and_a_no_ends_the_job(jobs: Jobs) -> None:
    approvals = Approvals(jobs.engine)
    yes, no = asked(jobs, REMOVAL, SECOND), asked(jobs, REMOVAL, SECOND, liquidation=43)
    decision = approvals.approve(yes.job_id, BOB, REMOVAL.numbers)
    assert decision.after is not None
    assert decision.after.terms == AgreedCounts(0, 300, removal_confirmed=True)
    rejected = approvals.reject(no.job_id, BOB)
    assert rejected.after is not None
    assert rejected.after.status is Status.CANCELLED
    assert jobs.is_pending(no.job_id, MessageKind.ENDING)


def test_a_plain_yes_leaves_what_was_shown_and_confirmed_as_it_was(jobs: Jobs) -> None:
    terms = AgreedCounts(0, 300, removal_confirmed=True)
    job_id = jobs.create(approvers=WHO, terms=terms)
    Approvals(jobs.engine).approve(job_id, BOB)
    assert jobs.see(job_id).terms == terms


def test_a_question_to_a_second_person_ends_when_nobody_answers_in_time(jobs: Jobs) -> None:
    claim = asked(jobs, second=SECOND)
    assert jobs.sweep().not_approved == []
    jobs.run("UPDATE traspaso.copy_jobs SET approval_until = now() - interval '1 s'")
    assert jobs.sweep().not_approved == [claim.job_id]
    assert jobs.see(claim.job_id).status is Status.CANCELLED


def test_each_question_is_told_and_one_that_was_answered_is_told_no_more(jobs: Jobs) -> None:
    claim = asked(jobs)
    assert jobs.tell_all() == [MessageKind.CARD, MessageKind.QUESTION]
    confirm(jobs, claim.job_id)
    again = jobs.executions.claim(claim.job_id, "host:2")
    assert again is not None
    Ends(again).ask(REMOVAL, None)
    assert jobs.tell_all() == [MessageKind.QUESTION, MessageKind.UPDATE]


def test_errors_of_before_are_no_reason_any_more(jobs: Jobs) -> None:
    first = jobs.claimed(terms=SHOWN, channel_id="C0")
    Ends(first).retry_later(LOST, 0.0)
    claim = jobs.executions.claim(first.job_id, "host:2")
    assert claim is not None
    Ends(claim).ask(MOVED, None)
    assert jobs.see(claim.job_id).error is None


def test_whoever_set_a_job_going_again_is_no_second_person_for_it(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    Ends(claim).failed(LOST)
    jobs.control.retry(claim.job_id, BOB)
    again = jobs.executions.claim(claim.job_id, "host:2")
    assert again is not None
    question = Question(Reason.APPROVAL, 150_500, 0, 500, 0)
    Ends(again).ask(question, SecondPerson(("<@U0BOB>", "<@U0EVE>"), 3600.0))
    approvals = Approvals(jobs.engine)
    assert approvals.approve(claim.job_id, BOB, question.numbers).outcome is ApprovalOutcome.OWN
    assert approvals.approve(claim.job_id, ANA, question.numbers).outcome is ApprovalOutcome.OWN
    assert jobs.see(claim.job_id).waits_for_approval
    third = Requester("T0", "U0EVE", "Eve")
    assert approvals.approve(claim.job_id, third, question.numbers).outcome is ApprovalOutcome.DONE


def test_a_question_whose_card_has_left_its_channel_is_put_to_nobody(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    jobs.cards.moved(jobs.see(claim.job_id), "D0ANA", "is_archived")
    question = Question(Reason.APPROVAL, 150_500, 0, 500, 0)
    with pytest.raises(NobodyCanApprove):
        Ends(claim).ask(question, SecondPerson(("<@U0BOB>",), 3600.0))
    assert jobs.see(claim.job_id).status is Status.RUNNING


def test_rows_that_the_job_itself_has_brought_are_not_counted_as_consulta_s(jobs: Jobs) -> None:
    claim = jobs.claimed()
    with jobs.engine.begin() as connection:
        claim.record(connection, CHUNK)
    Ends(claim).released()
    again = jobs.executions.claim(claim.job_id, "host:2")
    assert again is not None
    assert again.earlier(7).rows == CHUNK.counts.inserted - CHUNK.counts.deleted
