"""A thread that does something again and again goes on whatever happens, and ends when it is told to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError

from bot.periodic import Backoff, PeriodicThread

LONG = 3600.0


class Work:
    """Counts its calls; raises what it is given, once each."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self._called = threading.Condition()
        self.calls = 0

    def __call__(self) -> None:
        with self._called:
            self.calls += 1
            self._called.notify_all()
        if self._errors:
            raise self._errors.pop(0)

    def wait_for(self, calls: int) -> bool:
        with self._called:
            return self._called.wait_for(lambda: self.calls >= calls, 10)


def test_what_work_raises_is_logged_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    lost = OperationalError("SELECT 'secret'", {}, Exception("secret"))
    work = Work(lost, RuntimeError("nobody foresaw this"))
    thread = PeriodicThread("test", work, every_seconds=0.01, what="nothing was done")
    with caplog.at_level(logging.WARNING):
        thread.start()
        assert work.wait_for(3)
        thread.stop(10)
    passing, unforeseen = caplog.records[:2]
    assert passing.getMessage() == "nothing was done: OperationalError"
    assert not passing.exc_info
    assert unforeseen.exc_info
    assert "secret" not in passing.getMessage()


def test_an_event_of_somebody_else_wakes_it_as_often_as_it_is_set() -> None:
    work, freed = Work(), threading.Event()
    with PeriodicThread("woken", work, every_seconds=LONG, woken_by=freed):
        freed.set()
        assert work.wait_for(1)
        freed.set()
        assert work.wait_for(2)


def test_it_waits_first_or_works_at_once_and_can_be_woken() -> None:
    waits, at_once = Work(), Work()
    first = PeriodicThread("first", waits, every_seconds=LONG)
    second = PeriodicThread("second", at_once, every_seconds=LONG, at_once=True)
    first.start()
    second.start()
    assert at_once.wait_for(1)
    assert waits.calls == 0
    first.wake()
    assert waits.wait_for(1)
    first.stop(10)
    second.stop(10)
    assert (waits.calls, at_once.calls) == (1, 1)


def test_it_works_a_last_time_where_it_is_told_to() -> None:
    work = Work()
    thread = PeriodicThread("test", work, every_seconds=LONG, at_once=True, once_more=True)
    thread.start()
    assert work.wait_for(1)
    thread.stop(10)
    assert work.calls == 2


def test_a_stop_is_waited_for_no_longer_than_is_said() -> None:
    free = threading.Event()
    thread = PeriodicThread("test", lambda: free.wait(10), every_seconds=LONG, at_once=True)
    thread.start()
    began = time.monotonic()
    thread.stop(0.1)
    assert time.monotonic() - began < 5
    free.set()


def test_a_stop_waits_for_the_work_in_hand_as_long_as_the_thread_says() -> None:
    begun, free, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        free.wait(10)
        ended.set()

    thread = PeriodicThread("test", work, every_seconds=60, at_once=True, leave_seconds=10)
    thread.start()
    assert begun.wait(10)
    threading.Timer(0.2, free.set).start()
    thread.stop()
    assert ended.is_set()


def test_work_can_end_its_own_thread(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[Callable[[], None]] = []

    def once() -> None:
        calls.append(once)
        thread.stop()

    thread = PeriodicThread("test", once, every_seconds=0.001, leave_seconds=10)
    thread.start()
    thread._thread.join(10)
    assert not thread._thread.is_alive()
    assert len(calls) == 1
    assert not caplog.records


def test_a_pause_grows_with_each_failure_up_to_the_longest() -> None:
    backoff = Backoff(5.0, 300.0)
    assert [backoff.pause(failures) for failures in range(8)] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert backoff.pause(10**6) == 300
