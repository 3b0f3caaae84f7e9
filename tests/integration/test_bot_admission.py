"""Whether a job may start is asked once more when a worker takes it, and only a clear no counts."""

from __future__ import annotations

import pytest

from bot.config import CopySection, SlackSection
from bot.jobs.actions import Approvals
from bot.jobs.attempt import Attempt, SecondPerson
from bot.jobs.failure import Failure
from bot.jobs.repository import Requester
from bot.jobs.view import Question, Reason
from bot.slack.access import Access
from bot.slack.client import client
from bot.worker import JUST_PRESSED, Admission
from dev.local_slack.client import LocalSlack
from tests.support import Clock
from tests.tracking import ANA, BOB, CHUNK, LOST, TABLE, Ends, Jobs

MOVED = Question(Reason.MOVED, 150_500, 0, 500, 0)


def admission(slack: LocalSlack, jobs: Jobs, clock: Clock | None = None, **own: tuple[str, ...]) -> Admission:
    copies = (CopySection(name="items", source_table=TABLE, target_table=TABLE, **own),)
    section = SlackSection(admin_groups=("S0ADMINS",))
    web = client(slack.bot_token, slack.api_url)
    asked = Access(web, section, copies, clock=clock or Clock())
    return Admission(jobs.store, asked, copies)


def refusal(
    jobs: Jobs, claim: Attempt, asked: Admission, *, pressed_seconds_ago: float = JUST_PRESSED
) -> Failure | None:
    """What a worker says that takes this job so long after it was asked for."""
    jobs.run(
        "UPDATE traspaso.copy_jobs SET created_at = now() - :seconds * interval '1 s' WHERE id = :id",
        seconds=pressed_seconds_ago,
        id=claim.job_id,
    )
    return asked.refusal(claim)


def test_who_may_still_copy_is_let_through(slack: LocalSlack, jobs: Jobs) -> None:
    assert refusal(jobs, jobs.claimed(), admission(slack, jobs)) is None


def test_who_has_left_the_group_is_not_and_the_failure_names_it(slack: LocalSlack, jobs: Jobs) -> None:
    slack.remove_from_group("U0ANA")
    failure = refusal(jobs, jobs.claimed(), admission(slack, jobs))
    assert failure is not None
    assert (failure.code, failure.lines) == ("not_permitted", ["S0ADMINS"])


def test_a_copy_s_own_people_are_asked_about_and_not_the_global_ones(slack: LocalSlack, jobs: Jobs) -> None:
    claim = jobs.claimed()
    only_bob = refusal(jobs, claim, admission(slack, jobs, allowed_users=("U0BOB",)))
    assert only_bob is not None
    assert only_bob.lines == ["U0BOB"]
    assert refusal(jobs, claim, admission(slack, jobs, allowed_users=("U0ANA",))) is None


def test_whoever_pressed_a_moment_ago_was_checked_then(slack: LocalSlack, jobs: Jobs) -> None:
    slack.remove_from_group("U0ANA")
    moment = JUST_PRESSED - 5
    assert refusal(jobs, jobs.claimed(), admission(slack, jobs), pressed_seconds_ago=moment) is None
    assert slack.calls() == []


def test_a_worker_asks_twice_a_minute_at_most_for_all_who_may(slack: LocalSlack, jobs: Jobs) -> None:
    clock = Clock()
    asked = admission(slack, jobs, clock)
    for number in range(1, 13):
        assert refusal(jobs, jobs.claimed(liquidation=number), asked) is None
        clock.now += 5.0
    assert len(slack.calls("usergroups.users.list")) == 2


def test_who_joined_the_group_before_the_press_isn_t_refused_by_an_older_answer(
    slack: LocalSlack, jobs: Jobs
) -> None:
    clock = Clock()
    asked = admission(slack, jobs, clock)
    slack.remove_from_group("U0ANA")
    assert refusal(jobs, jobs.claimed(liquidation=1), asked) is not None
    slack.add_to_group("U0ANA")
    clock.now += JUST_PRESSED
    assert refusal(jobs, jobs.claimed(liquidation=2), asked) is None


@pytest.mark.parametrize(
    "trouble", [{"status": 500}, {"error": "no_such_subteam"}, {"accept_then_drop": True}]
)
def test_a_slack_that_doesn_t_answer_fails_no_copy_and_leaves_an_event(
    slack: LocalSlack, jobs: Jobs, trouble: dict[str, object]
) -> None:
    slack.fault("usergroups.users.list", times=None, **trouble)  # type: ignore[arg-type]
    claim = jobs.claimed()
    assert refusal(jobs, claim, admission(slack, jobs)) is None
    assert jobs.kinds(claim.job_id) == ["requested", "claimed", "permission_not_known"]


def test_a_login_of_the_shell_is_not_asked_about(slack: LocalSlack, jobs: Jobs) -> None:
    claim = jobs.claimed(requester=Requester("shell", "dba", "dba"))
    assert refusal(jobs, claim, admission(slack, jobs)) is None
    assert slack.calls() == []


def test_a_copy_that_has_begun_goes_on(slack: LocalSlack, jobs: Jobs) -> None:
    first = jobs.claimed()
    with jobs.engine.begin() as connection:
        first.record(connection, CHUNK)
    Ends(first).retry_later(LOST, 0.0)
    slack.remove_from_group("U0ANA")
    again = jobs.executions.claim(first.job_id, "host:2")
    assert again is not None
    assert refusal(jobs, again, admission(slack, jobs)) is None


def test_a_yes_to_the_numbers_that_it_asked_about_counts_as_a_press_of_its_own(
    slack: LocalSlack, jobs: Jobs
) -> None:
    first = jobs.claimed(channel_id="C0")
    Ends(first).ask(MOVED, None)
    jobs.control.confirm(first.job_id, ANA, MOVED.numbers)
    slack.remove_from_group("U0ANA")
    again = jobs.executions.claim(first.job_id, "host:2")
    assert again is not None
    assert refusal(jobs, again, admission(slack, jobs)) is None


def test_a_second_person_s_yes_stands_for_nobody_else_s_permission(slack: LocalSlack, jobs: Jobs) -> None:
    first = jobs.claimed(channel_id="C0")
    Ends(first).ask(MOVED, SecondPerson(("<@U0BOB>",), 60.0))
    Approvals(jobs.engine).approve(first.job_id, BOB, MOVED.numbers)
    slack.remove_from_group("U0ANA")
    again = jobs.executions.claim(first.job_id, "host:2")
    assert again is not None
    refused = refusal(jobs, again, admission(slack, jobs))
    assert refused is not None
    assert refused.code == "not_permitted"


def test_a_yes_from_before_the_first_attempt_is_no_check_of_the_requester(
    slack: LocalSlack, jobs: Jobs
) -> None:
    job_id = jobs.create(approvers=("<@U0BOB>",))
    Approvals(jobs.engine).approve(job_id, BOB)
    first = jobs.executions.claim(job_id, "host:1")
    assert first is not None
    Ends(first).retry_later(LOST, 0.0)
    slack.remove_from_group("U0ANA")
    again = jobs.executions.claim(job_id, "host:2")
    assert again is not None
    assert refusal(jobs, again, admission(slack, jobs)) is not None


def test_an_attempt_after_one_that_copied_nothing_asks_again(slack: LocalSlack, jobs: Jobs) -> None:
    first = jobs.claimed()
    Ends(first).retry_later(LOST, 0.0)
    slack.remove_from_group("U0ANA")
    again = jobs.executions.claim(first.job_id, "host:2")
    assert again is not None
    assert refusal(jobs, again, admission(slack, jobs)) is not None
