"""The chart of a long copy goes into its thread once, and holds nothing up where it can't."""

from __future__ import annotations

from typing import Any

import pytest

from bot.i18n import translator
from bot.jobs.execution import Attempt
from bot.jobs.outbox import Kind
from bot.jobs.repository import Throughput
from bot.slack.card_publisher import CardPublisher
from bot.slack.charts import Charts
from bot.slack.client import client
from bot.slack.outbox_relay import OutboxRelay
from dev.local_slack.client import LocalSlack
from dev.local_slack.results import Message
from tests.tracking import BOB, CHART_SECONDS, CHUNK, LOST, PLAN, PROOF, SAME, Jobs

CHANNEL = "C0PAYROLL"
ES = translator("es")
STEPS = ["files.getUploadURLExternal", "upload", "files.completeUploadExternal"]


class Post:
    """A outbox relay, and the thread that it writes in."""

    def __init__(self, slack: LocalSlack, jobs: Jobs) -> None:
        web = client(slack.bot_token, slack.api_url)
        card_publisher = CardPublisher(web, jobs.store, jobs.cards, ES, lambda: True)
        self._jobs = jobs
        self._slack = slack
        self.outbox_relay = OutboxRelay(
            jobs.outbox, jobs.store, jobs.cards, card_publisher, Charts(web, Throughput(jobs.engine), ES)
        )

    def copied(self, seconds: float = CHART_SECONDS + 60, channel: str = CHANNEL) -> Attempt:
        """An attempt whose two chunks are in place, and that began to copy so long ago."""
        claim = self._jobs.claimed(channel_id=channel)
        claim.planned(PLAN)
        with self._jobs.engine.begin() as connection:
            for chunk in (CHUNK, SAME):
                claim.record(connection, chunk)
        self._jobs.run(
            "UPDATE traspaso.copy_jobs SET copying_since = now() - make_interval(secs => :seconds)",
            seconds=seconds,
        )
        return claim

    def deliver(self, times: int = 1) -> None:
        """What waits for its next try is due now."""
        for _ in range(times):
            self._jobs.run("UPDATE traspaso.outbox SET next_try_at = now()")
            self.outbox_relay.deliver_due()

    @property
    def card(self) -> Message:
        [card] = self._slack.user("U0ANA").messages(CHANNEL)
        return card

    @property
    def replies(self) -> list[Message]:
        return self._slack.user("U0ANA").thread(CHANNEL, self.card.ts)[1:]

    @property
    def charts(self) -> list[Message]:
        return [reply for reply in self.replies if reply.files]


@pytest.fixture
def post(slack: LocalSlack, jobs: Jobs) -> Post:
    return Post(slack, jobs)


def pending(jobs: Jobs, claim: Attempt) -> bool:
    return any(jobs.is_pending(claim.job_id, kind) for kind in Kind)


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_a_long_copy_gets_a_chart_after_its_reply_in_the_channel_s_language(
    post: Post, slack: LocalSlack, jobs: Jobs, end: str
) -> None:
    claim = post.copied()
    getattr(claim, end)({"completed": PROOF, "failed": LOST}[end])
    post.deliver(2)
    ending, picture = post.replies
    assert "<@U0ANA>" in ending.text
    assert picture.text.startswith("Filas por segundo")
    [file] = picture.files
    assert file["alt_txt"] == picture.text
    assert slack.download(file).startswith(b"\x89PNG")
    assert not pending(jobs, claim)


def test_a_short_copy_and_one_that_never_copied_get_none(post: Post, jobs: Jobs) -> None:
    post.copied(CHART_SECONDS - 60).completed(PROOF)
    jobs.claimed(liquidation=43, channel_id="C0OPEN").failed(LOST)
    post.deliver(2)
    assert len(post.replies) == 1
    assert post.charts == []


@pytest.mark.parametrize(
    "trouble", [{"status": 500}, {"accept_then_drop": True}, {"status": 429, "retry_after": 1}]
)
@pytest.mark.parametrize("step", STEPS)
def test_an_upload_whose_fate_is_unknown_is_made_up_for_once(
    post: Post, slack: LocalSlack, jobs: Jobs, step: str, trouble: dict[str, Any]
) -> None:
    claim = post.copied()
    claim.completed(PROOF)
    slack.fault(step, **trouble)
    post.deliver(3)
    assert slack.ask("faults_left") == 0
    assert len(post.charts) == 1
    assert len(post.replies) == 2
    assert not pending(jobs, claim)


@pytest.mark.parametrize(
    "error", ["missing_scope", "not_in_channel", "file_uploads_disabled", "invalid_auth"]
)
def test_where_a_chart_may_not_be_there_is_none_and_all_else_is_as_ever(
    post: Post, slack: LocalSlack, jobs: Jobs, error: str
) -> None:
    claim = post.copied()
    claim.completed(PROOF)
    slack.fault("files.completeUploadExternal", error=error, times=None)
    post.deliver()
    assert not pending(jobs, claim)
    assert jobs.see(claim.job_id).channel_id == CHANNEL
    assert len(post.replies) == 1


def test_a_chart_that_doesn_t_get_through_is_given_up_after_a_few_tries(
    post: Post, slack: LocalSlack, jobs: Jobs
) -> None:
    claim = post.copied()
    claim.completed(PROOF)
    slack.fault("files.getUploadURLExternal", status=500, times=None)
    post.deliver(10)
    assert not pending(jobs, claim)
    assert len(slack.calls("files.getUploadURLExternal")) < 10


def test_what_comes_after_a_chart_doesn_t_wait_for_it(post: Post, slack: LocalSlack, jobs: Jobs) -> None:
    claim = post.copied()
    claim.failed(LOST)
    slack.fault("files.getUploadURLExternal", status=429, retry_after=600)
    post.deliver()
    assert not post.card.pinned
    jobs.control.retry(claim.job_id, BOB)
    post.outbox_relay.deliver_due()
    assert post.card.pinned
    # The job goes on: the chart of what is over isn't put under it any more.
    post.deliver()
    assert post.charts == []
    assert not pending(jobs, claim)


def test_a_ledger_that_can_t_be_drawn_costs_the_chart_and_nothing_else(post: Post, jobs: Jobs) -> None:
    claim = post.copied()
    jobs.run("UPDATE traspaso.copy_chunks SET created_at = 'infinity'")
    claim.completed(PROOF)
    post.deliver()
    assert len(post.replies) == 1
    assert not pending(jobs, claim)
