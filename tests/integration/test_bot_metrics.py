"""What a process counts of its own work: calls of Slack by what came of them, failed threads, comparisons."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from slack_sdk.errors import SlackApiError

from bot import metrics
from bot.periodic import PeriodicThread
from bot.slack.client import error_name
from bot.slack.rate_limit import Allowance, PacedClient, Pacing
from dev.local_slack.client import LocalSlack
from dev.valkey import Valkey

CHANNEL = "C0PAYROLL"

Value = Callable[..., float]


@pytest.fixture
def grown() -> Value:
    """How much a sample has grown since the test began."""
    registry = metrics.begin(copies=["items"])
    before = {
        (each.name, frozenset(each.labels.items())): each.value
        for family in registry.collect()
        for each in family.samples
    }

    def since(name: str, **labels: str) -> float:
        now = registry.get_sample_value(name, labels) or 0.0
        return now - before.get((name, frozenset(labels.items())), 0.0)

    return since


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(SlackApiError) as error:
        call()
    return error_name(error.value)


def test_calls_of_slack_are_counted_by_what_came_of_them(
    slack: LocalSlack, valkey: Valkey, grown: Value
) -> None:
    allowed = {"chat.postMessage": Allowance(3)}
    web = PacedClient(Pacing(valkey.url, allowed), token=slack.bot_token, base_url=slack.api_url, timeout=10)

    def post(channel: str = CHANNEL) -> object:
        return web.chat_postMessage(channel=channel, text="hola")

    post()
    assert refused(lambda: post("C0NOWHERE")) == "channel_not_found"
    slack.fault("chat.postMessage", error="ratelimited", status=429, retry_after=1)
    assert refused(post) == "ratelimited"
    assert refused(post) == "ratelimited"  # here, and Slack isn't asked

    outcomes = {
        outcome: grown("traspaso_slack_calls_total", method="chat.postMessage", outcome=outcome)
        for outcome in ("ok", "not_here", "later", "paced")
    }
    assert outcomes == dict.fromkeys(outcomes, 1)
    assert grown("traspaso_slack_call_seconds_count", method="chat.postMessage") == 3
    assert grown("traspaso_slack_rate_limited_total", method="chat.postMessage") == 1


def test_seconds_that_a_call_waits_for_its_turn_are_counted(
    slack: LocalSlack, valkey: Valkey, grown: Value
) -> None:
    allowed = {"users.info": Allowance(1, window_seconds=0.5)}
    web = PacedClient(Pacing(valkey.url, allowed), token=slack.bot_token, base_url=slack.api_url, timeout=10)
    for _ in range(2):
        web.users_info(user="U0ANA")
    assert 0 < grown("traspaso_slack_waited_seconds_total", method="users.info") <= 0.6


def test_a_round_of_a_thread_that_fails_is_counted_without_its_job_s_number(grown: Value) -> None:
    def fails() -> None:
        raise RuntimeError

    for number in (17, 18):
        PeriodicThread(f"ticker-{number}", fails, every_seconds=3600).call()
    assert grown("traspaso_thread_failures_total", thread="ticker") == 2


def test_what_has_not_happened_yet_is_zero_for_each_copy_so_that_the_first_time_shows(grown: Value) -> None:
    registry = metrics.begin()
    for outcome in metrics.OUTCOMES:
        assert (
            registry.get_sample_value("traspaso_comparisons_total", {"copy": "items", "outcome": outcome})
            == 0
        )
    assert registry.get_sample_value("traspaso_throttle_pauses_total", {"copy": "items"}) == 0
    metrics.throttled("items")
    metrics.compared("items", metrics.DIFFERENT)
    assert grown("traspaso_comparisons_total", copy="items", outcome="different") == 1
    assert grown("traspaso_throttle_pauses_total", copy="items") == 1
