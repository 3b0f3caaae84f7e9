"""Whoever wants to be told of a job's end is told of it once, in person, whatever Slack or a process does."""

from __future__ import annotations

import pytest

from bot.errors import UnknownJob, UnknownRun
from bot.jobs.actions import Followed, Followers
from bot.jobs.models import RunKind
from bot.jobs.repository import Requester, RunRequest
from dev.local_slack.client import LocalSlack
from tests.desk import CHANNEL, Desk
from tests.tracking import ANA, LOST, PLAN, PROOF, Ends, Jobs

BOB = Requester("T0ACME", "U0BOB", "Bob", "en-US")
CARLA = Requester("T0ACME", "U0CARLA", "Carla", "es-ES")


@pytest.fixture
def desk(slack: LocalSlack, jobs: Jobs) -> Desk:
    slack.rate_limits(False)
    return Desk(slack, jobs)


def told(desk: Desk, user: str) -> list[str]:
    """What that person reads in their conversation with the bot."""
    reader = desk.slack.user(user)
    return [message.text for message in reader.messages(reader.dm_with("U0BOT"))]


def test_each_of_them_is_told_once_in_their_own_language_and_nobody_else_is(desk: Desk) -> None:
    followers = Followers(desk.jobs.engine)
    attempt = desk.running()
    assert followers.follow(attempt.job_id, BOB) is Followed.NOTED
    assert followers.follow(attempt.job_id, BOB) is Followed.BEFORE
    assert followers.follow(attempt.job_id, CARLA) is Followed.NOTED
    attempt.planned(PLAN)
    Ends(attempt).completed(PROOF)
    for _ in range(2):
        desk.deliver()
    assert told(desk, "U0BOB") == ["You wanted to be told: the copy “items” of liquidation 42 is completed."]
    assert told(desk, "U0CARLA") == [
        "Pidió que se le avisara: la copia “items” de la liquidación 42 está completada."
    ]
    assert told(desk, "U0ANA") == []


def test_who_took_it_back_is_not_told_and_after_the_end_there_is_nothing_to_note(desk: Desk) -> None:
    followers = Followers(desk.jobs.engine)
    attempt = desk.running()
    followers.follow(attempt.job_id, BOB)
    assert followers.unfollow(attempt.job_id, BOB) is Followed.TAKEN_BACK
    Ends(attempt).cancelled()
    desk.deliver()
    assert told(desk, "U0BOB") == []
    assert followers.follow(attempt.job_id, BOB) is Followed.ENDED
    with pytest.raises(UnknownJob):
        followers.follow(attempt.job_id + 1, BOB)


def test_a_failure_is_told_too_and_its_retry_only_to_who_presses_again(desk: Desk) -> None:
    followers = Followers(desk.jobs.engine)
    attempt = desk.running()
    followers.follow(attempt.job_id, BOB)
    Ends(attempt).failed(LOST)
    desk.deliver()
    desk.jobs.control.retry(attempt.job_id, CARLA)
    again = desk.jobs.executions.claim(attempt.job_id, "host:1")
    assert again is not None
    Ends(again).cancelled()
    desk.deliver()
    assert told(desk, "U0BOB") == ["You wanted to be told: the copy “items” of liquidation 42 is failed."]


def test_a_post_without_an_answer_is_looked_for_and_not_repeated(desk: Desk) -> None:
    attempt = desk.running()
    Followers(desk.jobs.engine).follow(attempt.job_id, BOB)
    Ends(attempt).cancelled()
    channel = desk.slack.user("U0BOB").dm_with("U0BOT")
    desk.slack.fault("chat.postMessage", accept_then_drop=True, match={"channel": channel})
    for _ in range(3):
        desk.deliver()
    assert len(told(desk, "U0BOB")) == 1


def test_a_person_to_whom_slack_lets_nobody_write_holds_up_neither_the_end_nor_another_person(
    desk: Desk,
) -> None:
    followers = Followers(desk.jobs.engine)
    attempt = desk.running()
    followers.follow(attempt.job_id, CARLA)
    followers.follow(attempt.job_id, BOB)
    channel = desk.slack.user("U0CARLA").dm_with("U0BOT")
    desk.slack.fault("chat.postMessage", error="is_archived", times=None, match={"channel": channel})
    Ends(attempt).cancelled()
    desk.deliver()
    assert len(desk.endings(attempt.job_id)) == 1
    assert len(told(desk, "U0BOB")) == 1
    job = desk.jobs.see(attempt.job_id)
    assert job.moved_from is None, "the card stays where it is"


# ---- Of a run ----------------------------------------------------------------------------------


def test_whoever_follows_a_run_is_told_once_when_its_last_job_has_ended(desk: Desk) -> None:
    followers, jobs = Followers(desk.jobs.engine, of_runs=True), desk.jobs
    requests = (jobs.request(40), jobs.request(41))
    created = jobs.store.create_run(RunRequest(RunKind.SEVERAL, requests, ANA, channel_id=CHANNEL))
    run_id = created.run_id or 0
    assert followers.follow(run_id, BOB) is Followed.NOTED
    assert followers.follow(run_id, BOB) is Followed.BEFORE
    assert followers.follow(run_id, CARLA) is Followed.NOTED
    assert followers.unfollow(run_id, CARLA) is Followed.TAKEN_BACK
    for number, job_id in enumerate(created.job_ids):
        attempt = jobs.executions.claim(job_id, "host:1")
        assert attempt is not None
        attempt.planned(PLAN)
        Ends(attempt).completed(PROOF) if number == 0 else Ends(attempt).failed(LOST)
        for _ in range(2):
            desk.deliver()
        assert len(told(desk, "U0BOB")) == number, "only after the last one"
    what = "the copies “items” of liquidations 40, 41"
    states = "completed: 1 · failed: 1"
    assert told(desk, "U0BOB") == [f"You wanted to be told: {what} have ended: {states}."]
    assert told(desk, "U0CARLA") == []
    assert followers.follow(run_id, CARLA) is Followed.ENDED
    with pytest.raises(UnknownRun):
        followers.follow(run_id + 1, BOB)


def test_a_lost_answer_to_what_is_told_of_a_run_makes_no_second_message(desk: Desk) -> None:
    jobs = desk.jobs
    created = jobs.store.create_run(RunRequest(RunKind.SEVERAL, (jobs.request(40),), ANA, channel_id=CHANNEL))
    Followers(jobs.engine, of_runs=True).follow(created.run_id or 0, BOB)
    jobs.control.cancel(created.job_ids[0], BOB)
    channel = desk.slack.user("U0BOB").dm_with("U0BOT")
    desk.slack.fault("chat.postMessage", accept_then_drop=True, match={"channel": channel})
    for _ in range(3):
        desk.deliver()
    assert len(told(desk, "U0BOB")) == 1
