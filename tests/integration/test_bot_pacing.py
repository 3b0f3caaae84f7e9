"""All processes together stay below Slack's rate limits: Slack is never asked for what it would refuse."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from slack_sdk.errors import SlackApiError

from bot.slack.client import Trouble, retry_after, says_when, trouble_of
from bot.slack.rate_limit import PER_MINUTE, Allowance, PacedClient, Pacing
from dev.local_slack import rates
from dev.local_slack.client import LocalSlack
from dev.valkey import Valkey

CHANNEL = "C0PAYROLL"
GROUPS = "usergroups.users.list"


def paced(
    slack: LocalSlack, valkey: Valkey, patience_seconds: float = 1.5, **allowed: Allowance
) -> PacedClient:
    """A client as in a process of its own."""
    pacing = Pacing(valkey.url, {name.replace("_", "."): each for name, each in allowed.items()} or None)
    return PacedClient(pacing, patience_seconds, token=slack.bot_token, base_url=slack.api_url)


def refused(slack: LocalSlack) -> list[str]:
    return [call.method for call in slack.calls() if call.status == 429]


def test_two_processes_post_to_one_channel_and_slack_refuses_none(slack: LocalSlack, valkey: Valkey) -> None:
    clients = [paced(slack, valkey, 30.0), paced(slack, valkey, 30.0)]
    with ThreadPoolExecutor(8) as pool:
        posts = [pool.submit(clients[n % 2].chat_postMessage, channel=CHANNEL, text=f"{n}") for n in range(8)]
        assert all(post.result()["ok"] for post in posts)
    assert len(slack.calls("chat.postMessage")) == 8
    assert refused(slack) == []


def test_a_busy_channel_holds_up_no_other(slack: LocalSlack, valkey: Valkey) -> None:
    client = paced(slack, valkey, 0.0)
    for n in range(3):
        client.chat_postMessage(channel=CHANNEL, text=f"{n}")
    with pytest.raises(SlackApiError):
        client.chat_postMessage(channel=CHANNEL, text="one too many")
    client.chat_postMessage(channel="C0OPEN", text="elsewhere")
    assert len(slack.calls("chat.postMessage")) == 4


def test_where_there_is_no_room_it_is_said_as_slack_says_it_without_asking_slack(
    slack: LocalSlack, valkey: Valkey
) -> None:
    clients = [paced(slack, valkey, chat_update=Allowance(2)), paced(slack, valkey, chat_update=Allowance(2))]
    ts = clients[0].chat_postMessage(channel=CHANNEL, text="card")["ts"]
    for client in clients:
        client.chat_update(channel=CHANNEL, ts=ts, text="edited")
    with pytest.raises(SlackApiError) as error:
        clients[0].chat_update(channel=CHANNEL, ts=ts, text="edited")
    assert trouble_of(error.value) is Trouble.LATER
    assert says_when(error.value)
    assert 50 < retry_after(error.value) <= 61
    assert len(slack.calls("chat.update")) == 2


def test_what_can_be_left_out_leaves_half_of_the_minute_to_what_has_to_be_said(
    slack: LocalSlack, valkey: Valkey
) -> None:
    client = paced(slack, valkey, chat_update=Allowance(4))
    ts = client.chat_postMessage(channel=CHANNEL, text="card")["ts"]
    for left in (True, True, False, False):
        assert client.pacing.has_spare("chat.update") is left
        client.chat_update(channel=CHANNEL, ts=ts, text="edited")


def test_room_comes_back_when_the_window_is_over(slack: LocalSlack, valkey: Valkey) -> None:
    client = paced(slack, valkey, 5.0, auth_test=Allowance(2, window_seconds=1.0))
    began = time.monotonic()
    for _ in range(3):
        client.auth_test()
    assert time.monotonic() - began >= 0.9


def test_what_slack_refuses_nevertheless_holds_every_process_back(slack: LocalSlack, valkey: Valkey) -> None:
    slack.fault(GROUPS, status=429, retry_after=30)
    first, second = paced(slack, valkey), paced(slack, valkey)
    for client in (first, second):
        with pytest.raises(SlackApiError) as error:
            client.usergroups_users_list(usergroup="S0ADMINS")
        assert 25 < retry_after(error.value) <= 31
    assert len(slack.calls(GROUPS)) == 1


def test_without_redis_calls_go_through(slack: LocalSlack, valkey: Valkey) -> None:
    client = paced(slack, valkey, auth_test=Allowance(1))
    valkey.kill()
    assert client.auth_test()["ok"]
    assert client.pacing.has_spare("auth.test")


def test_the_limits_are_those_that_the_local_slack_has() -> None:
    assert {method: rates.PER_MINUTE.get(method) for method in PER_MINUTE} == dict(PER_MINUTE)
