"""In HTTP mode nothing is read but what Slack has signed just now, and that once."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from bot.web import TOLERANCE_SECONDS, Refusal, SignedRequests
from dev.valkey import Valkey

SECRET = "10ca1510ca1510ca1510ca1510ca1510"
NOBODY_THERE = "redis://127.0.0.1:1/0"
BODY = b"command=%2Fcopy-liquidation&text=42"
NOW = 1_800_000_000


def signed(body: bytes = BODY, at: int | str = NOW, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), b"v0:" + str(at).encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"x-slack-request-timestamp": str(at), "x-slack-signature": f"v0={digest}"}


def requests(redis_url: str = NOBODY_THERE, now: float = NOW) -> SignedRequests:
    return SignedRequests(SECRET, redis_url, clock=lambda: now)


def test_what_slack_has_signed_is_taken() -> None:
    assert requests().refusal(BODY, signed()) is None
    assert requests().refusal("año".encode(), signed("año".encode())) is None
    assert requests().refusal(b"", signed(b"")) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-slack-request-timestamp": str(NOW)},
        {"x-slack-signature": signed()["x-slack-signature"]},
        *({**signed(), "x-slack-request-timestamp": odd} for odd in ("", "-1", "1e9", "١٨٠٠", "9" * 400)),
    ],
)
def test_what_is_not_signed_is_refused(headers: dict[str, str]) -> None:
    assert requests().refusal(BODY, headers) is Refusal.UNSIGNED


@pytest.mark.parametrize(
    "headers",
    [
        signed(secret="another"),
        signed(at=NOW - 1) | {"x-slack-request-timestamp": str(NOW)},
        signed() | {"x-slack-signature": signed()["x-slack-signature"].upper()},
        signed() | {"x-slack-signature": signed()["x-slack-signature"].removeprefix("v0=")},
        signed() | {"x-slack-signature": "v0=ñ"},
    ],
)
def test_another_signature_is_refused(headers: dict[str, str]) -> None:
    assert requests().refusal(BODY, headers) is Refusal.FORGED


def test_a_body_that_is_no_text_is_refused() -> None:
    assert requests().refusal(b"\xff\xfe", signed(b"\xff\xfe")) is Refusal.FORGED


@given(place=st.integers(0, len(BODY) - 1), other=st.integers(1, 255))
def test_a_body_with_any_byte_changed_is_refused(place: int, other: int) -> None:
    changed = bytes(byte ^ other if n == place else byte for n, byte in enumerate(BODY))
    assert requests().refusal(changed, signed()) is Refusal.FORGED


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1, -86_400, 86_400])
def test_a_time_that_is_more_than_five_minutes_off_is_refused(seconds: int) -> None:
    assert requests().refusal(BODY, signed(at=NOW + seconds)) is Refusal.OLD


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS, TOLERANCE_SECONDS])
def test_a_time_within_five_minutes_is_taken(seconds: int) -> None:
    assert requests().refusal(BODY, signed(at=NOW + seconds)) is None


def test_a_repeated_request_is_refused_in_every_process(valkey: Valkey) -> None:
    one, another = requests(valkey.url), requests(valkey.url)
    assert one.refusal(BODY, signed()) is None
    assert one.refusal(BODY, signed()) is Refusal.REPEATED
    assert another.refusal(BODY, signed()) is Refusal.REPEATED
    assert another.refusal(BODY, signed(at=NOW + 1)) is None


def test_a_retry_of_slacks_is_signed_anew_and_is_taken(valkey: Valkey) -> None:
    one = requests(valkey.url)
    assert one.refusal(BODY, signed()) is None
    assert one.refusal(BODY, signed(at=NOW + 60) | {"x-slack-retry-num": "1"}) is None
    assert one.refusal(BODY, signed(at=NOW + 60) | {"x-slack-retry-num": "2"}) is Refusal.REPEATED


def test_redis_keeps_no_signature_and_forgets_each_when_its_time_is_over(valkey: Valkey) -> None:
    assert requests(valkey.url).refusal(BODY, signed()) is None
    assert requests(valkey.url).refusal(BODY, signed(at=NOW + TOLERANCE_SECONDS)) is None
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        keys = client.keys()
        assert not any(signed()["x-slack-signature"].removeprefix("v0=") in key for key in keys)
        assert sorted(client.ttl(key) // 100 for key in keys) == [3, 6]


def test_without_redis_each_process_knows_what_came_to_it_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, another = requests(), requests()
    assert one.refusal(BODY, signed()) is None
    assert one.refusal(BODY, signed()) is Refusal.REPEATED
    assert another.refusal(BODY, signed()) is None
    assert one.refusal(BODY, signed(at=NOW + 1)) is None
    assert [each for each in caplog.messages if "each process looks by itself" in each] == [
        "Redis isn't asked whether a request came before (ConnectionError): each process looks by itself"
    ] * 2


def test_a_process_forgets_signatures_whose_time_is_over() -> None:
    now = float(NOW)
    one = SignedRequests(SECRET, NOBODY_THERE, clock=lambda: now)
    for _ in range(50):
        assert one.refusal(BODY, signed(at=int(now))) is None
        now += 60
    assert len(one._taken) <= TOLERANCE_SECONDS / 60 + 2


def test_who_sends_many_forged_requests_doesnt_fill_the_log_and_nothing_of_them_is_in_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    one = requests()
    for number in range(500):
        one.refusal(b"hunter2 %d" % number, signed(secret="another"))
    one.refusal(BODY, {})
    assert len(caplog.messages) == 2
    assert "SLACK_SIGNING_SECRET is that of another app" in caplog.messages[0]
    assert not any("hunter2" in each or "v0=" in each or SECRET in each for each in caplog.messages)


def test_a_server_that_hangs_in_the_place_of_redis_costs_a_request_less_than_slacks_patience(
    valkey: Valkey,
) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.execute_command("CLIENT", "PAUSE", "3000")
    began = time.monotonic()
    assert requests(valkey.url).refusal(BODY, signed()) is None
    assert time.monotonic() - began < 2
