"""The queue never keeps anybody from anything: without Redis it says no, and a card still moves a little."""

from __future__ import annotations

import re
import tomllib

import pytest

from bot.config import File
from bot.jobs.models import StopReason, StopRequest
from bot.messages.blocks import WORKER_COMMAND
from bot.slack.access import mentions
from bot.slack.rate_limit import EDIT, OWN_SPARE_A_MINUTE, CallWindow, Pacing
from bot.work.cancellation import StopSwitch
from bot.work.queue import JobQueue
from bot.work.slots import CopySlots, DirectRuns
from dev.guard import ROOT
from tests.support import Clock

NOBODY = "redis://:hunter2@127.0.0.1:1/0"


@pytest.mark.parametrize("url", [NOBODY, f"{NOBODY}?ssl_cert_reqs=none"])
def test_a_job_that_redis_doesn_t_take_raises_nothing_and_no_log_has_the_password(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = JobQueue(url, on_put=lambda job_id: None)
    assert queue.put(1) is False
    queue.health.see()
    assert queue.health.usable is False
    assert queue.put(1) is False
    assert "127.0.0.1:1 can't be used" in caplog.text
    assert "hunter2" not in caplog.text


def test_without_redis_a_process_has_a_few_edits_a_minute_of_its_own() -> None:
    pacing = Pacing(NOBODY)
    allowed = [pacing.has_spare(EDIT) for _ in range(OWN_SPARE_A_MINUTE + 2)]
    assert allowed.count(True) == OWN_SPARE_A_MINUTE
    clock = Clock()
    edits = CallWindow(2, clock=clock)
    assert [edits.take() for _ in range(3)] == [True, True, False]
    clock.now += 61
    assert edits.take()


def test_who_waits_for_a_slot_goes_when_the_process_stops_and_nothing_new_is_begun() -> None:
    slots, stop = CopySlots(), StopSwitch()
    direct = DirectRuns(slots, lambda job_id: None, stop)
    assert direct.take(1) is False  # no slot
    slots.open(1)
    assert slots.wait_for_one(stop)
    stop.request(StopRequest(StopReason.RELEASE))
    assert slots.wait_for_one(stop) is False
    slots.give_back()
    assert direct.take(1) is False
    assert slots.free == 1


def test_a_job_that_fails_in_an_unforeseen_way_gives_its_slot_back() -> None:
    def fails(job_id: int) -> None:
        raise RuntimeError

    slots = CopySlots()
    slots.open(1)
    direct = DirectRuns(slots, fails, StopSwitch())
    assert direct.take(1)
    direct.join(10)
    assert slots.free == 1


def test_operators_are_mentioned_whatever_they_are_named_by() -> None:
    found = mentions(("U0OPS", "W0OPS", "S0OPS", "sistemas", "@guardia"))
    assert found == ("<@U0OPS>", "<@W0OPS>", "<!subteam^S0OPS>", "@sistemas", "@guardia")
    example = (ROOT / "traspaso.example.toml").read_text("utf-8").replace("# operators", "operators")
    assert File.model_validate(tomllib.loads(example)).slack.operators == ("U0OPS",)


def test_the_command_that_messages_name_is_that_of_the_procfile() -> None:
    procfile = (ROOT / "Procfile").read_text("utf-8")
    worker = re.search(r"(?m)^worker: traspaso migrate && exec (.*)$", procfile)
    assert worker is not None
    assert worker[1] == WORKER_COMMAND
