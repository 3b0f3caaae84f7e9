"""The processes of one bot hear of each other over Redis, and go on without it."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from bot.slack import pubsub
from bot.slack.pubsub import CHANNEL, PubSub
from dev.valkey import Valkey
from tests.support import until

Heard = queue.SimpleQueue[dict[str, Any]]


@contextmanager
def several(valkey: Valkey, n: int) -> Iterator[list[tuple[PubSub, Heard]]]:
    """So many processes that listen, and what each of them hears about the weather."""
    made: list[tuple[PubSub, Heard]] = []
    for _ in range(n):
        heard: Heard = queue.SimpleQueue()
        one = PubSub(valkey.url)
        one.subscribe("weather", heard.put)
        made.append((one, heard))
        one.start()
    listening(valkey, n)
    yield made
    for one, _ in made:
        one.stop()


def listening(valkey: Valkey, n: int) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        until(lambda: client.pubsub_numsub(CHANNEL)[0][1] == n, 30, f"{n} listeners")


def test_what_one_says_all_others_hear_and_itself_not(valkey: Valkey) -> None:
    with several(valkey, 3) as processes:
        (first, own), (second, heard), (_, heard_too) = processes
        first.publish("weather", sky="blue")
        assert heard.get(timeout=10) == heard_too.get(timeout=10) == {"sky": "blue"}
        second.publish("weather", sky="grey")
        assert own.get(timeout=10) == {"sky": "grey"}
        assert own.empty()
        assert heard.empty()


def test_another_installation_over_the_same_redis_hears_nothing_of_it(valkey: Valkey) -> None:
    with several(valkey, 2) as processes:
        (first, _), (_, heard) = processes
        PubSub(valkey.url, "traspaso_test").publish("weather", sky="of others")
        first.publish("weather", sky="ours")
        assert heard.get(timeout=10) == {"sky": "ours"}


def test_what_cant_be_understood_or_concerns_nobody_holds_up_nothing(valkey: Valkey) -> None:
    with several(valkey, 2) as processes:
        (first, _), (_, heard) = processes
        with redis.Redis.from_url(valkey.url) as client:
            for odd in ("", "{", "[]", '{"subject": "weather"}', '{"from": "x", "subject": "weather"}'):
                client.publish(CHANNEL, odd)
        first.publish("politics", news="none")
        first.publish("weather", sky="clear")
        assert heard.get(timeout=10) == {"sky": "clear"}


def test_while_redis_is_away_nothing_is_said_or_heard_and_afterwards_it_is_again(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "AGAIN_SECONDS", 0.2)
    with several(valkey, 2) as processes:
        (first, _), (_, heard) = processes
        valkey.kill()
        first.publish("weather", sky="dark")  # raises nothing
        valkey.start()
        listening(valkey, 2)
        first.publish("weather", sky="bright")
        assert heard.get(timeout=10) == {"sky": "bright"}
