"""The reply to a long copy has a chart of its speed, and is posted all the same where it can't have one."""

from __future__ import annotations

from typing import Any

import pytest

from bot.i18n import translator
from bot.jobs.attempt import Attempt
from bot.jobs.outbox import MessageKind
from dev.local_slack.client import LocalSlack
from dev.local_slack.results import Message
from tests.desk import CHANNEL, Desk
from tests.tracking import BOB, CHART_SECONDS, CHUNK, LOST, PLAN, PROOF, SAME, Ends, Jobs

ES = translator("es")
WORDS = "Filas por segundo mientras copiaba el trabajo"


class Post(Desk):
    """An outbox relay, and the thread that it writes in."""

    def copied(self, seconds: float = CHART_SECONDS + 60, channel: str = CHANNEL) -> Attempt:
        """An attempt whose two chunks are in place, and that began to copy so long ago."""
        claim = self.jobs.claimed(channel_id=channel)
        claim.planned(PLAN)
        with self.jobs.engine.begin() as connection:
            for chunk in (CHUNK, SAME):
                claim.record(connection, chunk)
        self.jobs.run(
            "UPDATE traspaso.copy_jobs SET copying_since = now() - make_interval(secs => :seconds)",
            seconds=seconds,
        )
        return claim

    def deliver_all(self, times: int = 1) -> None:
        """What waits for its next try is due now."""
        for _ in range(times):
            self.jobs.run("UPDATE traspaso.outbox SET next_try_at = now()")
            self.outbox_relay.deliver_due()

    @property
    def card(self) -> Message:
        [card] = self.messages()
        return card

    @property
    def thread(self) -> list[Message]:
        return self.replies(self.card.ts)


def charts(*replies: Message) -> list[dict[str, Any]]:
    return [
        block for reply in replies for block in reply.blocks or [] if block["type"] == "data_visualization"
    ]


@pytest.fixture
def post(slack: LocalSlack, jobs: Jobs) -> Post:
    return Post(slack, jobs)


def pending(jobs: Jobs, claim: Attempt) -> bool:
    """Something that says how it ended is still owed."""
    return any(
        jobs.is_pending(claim.job_id, kind)
        for kind in set(MessageKind) - {MessageKind.REFRESH, MessageKind.DOUBLES}
    )


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_a_long_copy_gets_a_chart_in_its_reply_in_the_channel_s_language(
    post: Post, jobs: Jobs, end: str
) -> None:
    claim = post.copied()
    getattr(Ends(claim), end)({"completed": PROOF, "failed": LOST}[end])
    post.deliver_all(2)
    [ending] = post.thread
    assert "<@U0ANA>" in ending.text
    [block] = charts(ending)
    assert block["title"] == "Filas por segundo"
    [line] = block["chart"]["series"]
    assert line["name"] == "filas por segundo"
    assert [point["label"] for point in line["data"]] == block["chart"]["axis_config"]["categories"]
    assert line["data"][-1]["label"].startswith("6 min")
    [last, *before] = [point["value"] for point in reversed(line["data"])]
    assert last == pytest.approx(8 / 18, abs=0.05)  # both chunks came at the end
    assert set(before) == {0}
    # Whoever can't see it hears the same.
    assert f"{WORDS} {claim.job_id}, intento 1: " in ending.text
    assert not any(WORDS in str(element) for element in ending.blocks or [])
    assert not any(jobs.is_pending(claim.job_id, kind) for kind in MessageKind)


def test_a_short_copy_and_one_that_never_copied_get_none(post: Post, jobs: Jobs) -> None:
    Ends(post.copied(CHART_SECONDS - 60)).completed(PROOF)
    Ends(jobs.claimed(liquidation=43, channel_id="C0OPEN")).failed(LOST)
    post.deliver_all(2)
    assert len(post.thread) == 1
    assert charts(*post.thread) == []
    [elsewhere] = post.messages("C0OPEN")
    assert charts(*post.replies(elsewhere.ts, "C0OPEN")) == []
    assert WORDS not in post.thread[0].text


def test_a_copy_that_was_cancelled_after_a_long_time_gets_one_too(post: Post, jobs: Jobs) -> None:
    claim = post.copied()
    jobs.control.cancel(claim.job_id, BOB)
    Ends(claim).cancelled()
    post.deliver_all(2)
    [ending] = post.thread
    assert len(charts(ending)) == 1


@pytest.mark.parametrize(
    "trouble", [{"status": 500}, {"accept_then_drop": True}, {"status": 429, "retry_after": 1}]
)
def test_a_reply_with_a_chart_whose_fate_is_unknown_is_made_up_for_once(
    post: Post, slack: LocalSlack, jobs: Jobs, trouble: dict[str, Any]
) -> None:
    claim = post.copied()
    post.outbox_relay.deliver_due()
    Ends(claim).completed(PROOF)
    slack.fault("chat.postMessage", **trouble)
    post.deliver_all(3)
    assert slack.ask("faults_left") == 0
    assert len(charts(*post.thread)) == 1
    assert len(post.thread) == 1
    assert not pending(jobs, claim)


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_a_workspace_that_doesn_t_know_the_block_gets_a_sentence_in_its_place(
    post: Post, slack: LocalSlack, jobs: Jobs, end: str
) -> None:
    claim = post.copied()
    getattr(Ends(claim), end)({"completed": PROOF, "failed": LOST}[end])
    slack.fault("chat.postMessage", error="invalid_blocks", match={"block": "data_visualization"}, times=None)
    post.deliver_all()
    [ending] = post.thread
    assert charts(ending) == []
    assert f"{WORDS} {claim.job_id}, intento 1: " in ending.plain.splitlines()[-1]
    assert ending.plain.splitlines()[-1] in ending.text
    assert len(ending.plain.splitlines()) > 2
    assert [button.text for button in ending.buttons] == {"completed": [], "failed": ["Reintentar"]}[end]
    assert not pending(jobs, claim)
    assert jobs.see(claim.job_id).channel_id == CHANNEL
    tried = [
        call.response.get("error") for call in slack.calls("chat.postMessage") if "thread_ts" in call.args
    ]
    assert tried == ["invalid_blocks", None]


@pytest.mark.parametrize(
    "error", ["invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "block_mismatch"]
)
def test_where_slack_takes_no_blocks_at_all_the_text_says_it(
    post: Post, slack: LocalSlack, jobs: Jobs, error: str
) -> None:
    claim = post.copied()
    post.outbox_relay.deliver_due()
    Ends(claim).completed(PROOF)
    slack.fault("chat.postMessage", error=error, times=2)
    post.deliver_all()
    [ending] = post.thread
    assert ending.blocks is None
    assert "<@U0ANA>" in ending.text
    assert WORDS in ending.text
    assert slack.ask("faults_left") == 0
    assert not pending(jobs, claim)


def test_a_reply_that_doesn_t_get_through_holds_nothing_else_up(
    post: Post, slack: LocalSlack, jobs: Jobs
) -> None:
    claim = post.copied()
    post.outbox_relay.deliver_due()
    Ends(claim).failed(LOST)
    slack.fault("chat.postMessage", status=429, retry_after=600, times=None)
    post.deliver_all()
    jobs.control.retry(claim.job_id, BOB)
    slack.clear_faults()
    post.outbox_relay.deliver_due()
    assert post.card.pinned
    # The job goes on: the chart of what is over isn't put under it any more.
    post.deliver_all()
    assert charts(*post.thread) == []
    assert not pending(jobs, claim)


@pytest.mark.parametrize("moment", ["'infinity'", "'-infinity'"])
def test_a_ledger_that_can_t_be_drawn_costs_the_chart_and_nothing_else(
    post: Post, jobs: Jobs, moment: str
) -> None:
    claim = post.copied()
    jobs.run(f"UPDATE traspaso.copy_chunks SET created_at = {moment}")
    Ends(claim).completed(PROOF)
    post.deliver_all()
    assert len(post.thread) == 1
    assert charts(*post.thread) == []
    assert not pending(jobs, claim)


def test_the_chart_is_of_the_attempt_that_ended(post: Post, jobs: Jobs) -> None:
    claim = post.copied()
    Ends(claim).failed(LOST)
    post.deliver_all()
    jobs.control.retry(claim.job_id, BOB)
    again = jobs.executions.claim(claim.job_id, "host:1")
    assert again is not None
    again.planned(PLAN)
    jobs.run("UPDATE traspaso.copy_jobs SET copying_since = now() - interval '1 hour'")
    Ends(again).failed(LOST)
    post.deliver_all()
    first, second = post.thread
    assert (len(charts(first)), charts(second)) == (1, [])
