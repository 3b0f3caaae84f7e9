"""Four eyes, as the database decides it: one decision, whoever presses how often at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.errors import AlreadyRunning
from bot.jobs.actions import ApprovalOutcome, Approvals, Decision
from bot.jobs.models import Approval, Status
from bot.jobs.outbox import MessageKind
from bot.jobs.repository import Requester
from bot.jobs.view import JobView
from tests.tracking import ANA, LOST, PROOF, Ends, Jobs

WHO = ("<!subteam^S0ADMINS>",)
BOB = Requester("T0", "U0BOB", "Bob", "en-US")
CARLA = Requester("T0", "U0CARLA", "Carla")


class Office:
    """Jobs that ask for approval, and those who give it."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.approvals = Approvals(jobs.engine)

    def asked(self, liquidation: int = 42, **values: object) -> int:
        return self.jobs.create(liquidation, approvers=WHO, **values)

    def let_the_time_pass(self, job_id: int) -> None:
        self.jobs.run(
            "UPDATE traspaso.copy_jobs SET approval_until = now() - interval '1 s' WHERE id = :id", id=job_id
        )


@pytest.fixture
def office(jobs: Jobs) -> Office:
    return Office(jobs)


def test_a_job_that_waits_for_approval_is_not_claimed_nor_queued_and_stands_in_nobody_s_way(
    office: Office,
) -> None:
    job_id = office.asked()
    behind = office.jobs.create(43)
    assert office.jobs.executions.claim(job_id, "host:1") is None
    assert office.jobs.sweep().to_enqueue == [behind]
    assert office.jobs.see(behind).ahead == 0
    job = office.jobs.see(job_id)
    assert (job.approval, job.waits_for_approval, job.approvers) == (Approval.WAITING, True, WHO)
    assert job.approval_until is not None
    assert (job.approval_until - job.now).total_seconds() == pytest.approx(24 * 60 * 60, abs=60)


def test_it_holds_its_liquidation_so_that_nobody_asks_twice(office: Office) -> None:
    job_id = office.asked()
    with pytest.raises(AlreadyRunning) as caught:
        office.jobs.create()
    assert caught.value.job_id == job_id


def test_after_somebody_else_s_yes_it_runs_like_any_other(office: Office) -> None:
    job_id = office.asked()
    decision = office.approvals.approve(job_id, BOB)
    assert (decision.outcome, decision.decided) == (ApprovalOutcome.DONE, (job_id,))
    assert office.jobs.sweep().to_enqueue == [job_id]
    claim = office.jobs.executions.claim(job_id, "host:1")
    assert claim is not None
    Ends(claim).completed(PROOF)
    job = office.jobs.see(job_id)
    assert job.approval_by is not None
    assert (job.approval, job.approval_by.id, job.approval_at is not None) == (
        Approval.APPROVED,
        "U0BOB",
        True,
    )
    assert office.jobs.kinds(job_id) == ["requested", "approved", "claimed", "completed"]


def test_the_end_that_follows_a_yes_does_not_wait_for_it_to_be_told(office: Office) -> None:
    job_id = office.asked(channel_id="C0")
    office.jobs.tell_all()
    office.approvals.approve(job_id, BOB)
    claim = office.jobs.executions.claim(job_id, "host:1")
    assert claim is not None
    Ends(claim).completed(PROOF)
    assert office.jobs.tell_all() == [MessageKind.ENDING, MessageKind.UPDATE, MessageKind.APPROVED]


def test_a_retry_needs_no_new_approval(office: Office) -> None:
    job_id = office.asked()
    office.approvals.approve(job_id, BOB)
    claim = office.jobs.executions.claim(job_id, "host:1")
    assert claim is not None
    Ends(claim).retry_later(LOST, 0.0)
    assert office.jobs.sweep().to_enqueue == [job_id]
    assert office.jobs.executions.claim(job_id, "host:2") is not None


def test_a_no_cancels_it_and_is_told(office: Office) -> None:
    job_id = office.asked(channel_id="C0")
    decision = office.approvals.reject(job_id, BOB)
    assert decision.after is not None
    assert (decision.outcome, decision.after.status) == (ApprovalOutcome.DONE, Status.CANCELLED)
    assert decision.after.approval is Approval.REJECTED
    assert office.jobs.is_pending(job_id, MessageKind.ENDING)
    assert office.jobs.executions.claim(job_id, "host:1") is None
    assert office.jobs.create() != job_id


def test_nobody_decides_about_a_copy_that_they_asked_for(office: Office) -> None:
    job_id = office.asked()
    for decide in (office.approvals.approve, office.approvals.reject):
        for by in (ANA, Requester("T1", "U0ANA", "Ana, in another workspace of the organisation")):
            assert decide(job_id, by).outcome is ApprovalOutcome.OWN
    assert office.jobs.see(job_id).waits_for_approval
    assert office.jobs.kinds(job_id) == ["requested"]


def test_the_same_press_twice_counts_once_and_says_the_same(office: Office) -> None:
    job_id = office.asked()
    decisions = [office.approvals.approve(job_id, BOB) for _ in range(3)]
    assert [each.outcome for each in decisions] == [ApprovalOutcome.DONE] * 3
    assert [each.decided for each in decisions] == [(job_id,), (), ()]
    assert office.jobs.kinds(job_id).count("approved") == 1


def test_of_twenty_presses_at_once_one_counts_and_all_learn_what_was_decided(office: Office) -> None:
    for number in range(1, 6):
        job_id = office.asked(number)
        people = [Requester("T0", f"U{index}", f"Person {index}") for index in range(20)]

        def press(pair: tuple[int, Requester], job_id: int = job_id) -> Decision[JobView]:
            index, person = pair
            decide = office.approvals.approve if index % 2 else office.approvals.reject
            return decide(job_id, person)

        with ThreadPoolExecutor(20) as pool:
            decisions = list(pool.map(press, enumerate(people)))
        job = office.jobs.see(job_id)
        assert sum(len(each.decided) for each in decisions) == 1
        assert sum(each.outcome is ApprovalOutcome.DONE for each in decisions) == 1
        assert {each.outcome for each in decisions} == {ApprovalOutcome.DONE, ApprovalOutcome.LATE}
        assert {each.after.approval for each in decisions if each.after} == {job.approval}
        assert job.status is (Status.PENDING if job.approval is Approval.APPROVED else Status.CANCELLED)
        assert len(office.jobs.kinds(job_id)) == 2


def test_the_time_runs_out_in_one_sweep_of_many_and_is_told(office: Office) -> None:
    job_id = office.asked(channel_id="C0")
    assert office.jobs.sweep().not_approved == []
    office.let_the_time_pass(job_id)
    assert office.approvals.approve(job_id, BOB).outcome is ApprovalOutcome.LATE
    with ThreadPoolExecutor(10) as pool:
        swept = list(pool.map(lambda _: office.jobs.sweep().not_approved, range(10)))
    assert sorted(swept) == [[]] * 9 + [[job_id]]
    job = office.jobs.see(job_id)
    assert (job.status, job.approval, job.approval_by) == (Status.CANCELLED, Approval.EXPIRED, None)
    assert office.jobs.is_pending(job_id, MessageKind.ENDING)
    assert office.jobs.kinds(job_id) == ["requested", "approval_expired"]


def test_an_approval_and_the_end_of_the_time_at_one_moment_are_one_of_both(office: Office) -> None:
    for number in range(1, 11):
        job_id = office.asked(number, approval_seconds=0.02)
        with ThreadPoolExecutor(2) as pool:
            yes = pool.submit(office.approvals.approve, job_id, BOB)
            swept = pool.submit(office.jobs.sweep)
            decided, expired = bool(yes.result().decided), job_id in swept.result().not_approved
        assert not (decided and expired)
        job = office.jobs.see(job_id)
        assert (job.approval is Approval.APPROVED) == decided


def test_what_needs_no_approval_can_be_neither_approved_nor_rejected(office: Office) -> None:
    for job_id in (office.jobs.create(), 987654321):
        assert office.approvals.approve(job_id, BOB).outcome is ApprovalOutcome.UNKNOWN
        assert office.approvals.reject(job_id, CARLA).outcome is ApprovalOutcome.UNKNOWN
    assert office.jobs.see(office.jobs.create(7)).approvers == ()
