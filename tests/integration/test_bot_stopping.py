"""A bot that is told to stop ends, in whatever its connection to Slack is at that moment."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from slack_bolt import App

from bot import __main__ as bot_main
from bot.__main__ import DrainingHandler
from bot.app import build_app
from bot.monitoring.health import socket_threads
from bot.slack.client import client
from dev.local_slack.client import LocalSlack
from tests.services import parts_of
from tests.tracking import Jobs

SECONDS = 30.0


def living(handler: DrainingHandler) -> set[str]:
    """The threads of its client that still live."""
    return {name for name, lives in socket_threads(handler.client).items() if lives}


class Halt(logging.Handler):
    """Whoever logs a line with these words stands still there, until it is let go."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.reached, self.goes_on = threading.Event(), threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage() and not self.reached.is_set():
            self.reached.set()
            assert self.goes_on.wait(SECONDS)


@contextmanager
def halted(app: App, words: str) -> Iterator[Halt]:
    halt = Halt(words)
    app.logger.addHandler(halt)
    try:
        yield halt
    finally:
        halt.goes_on.set()
        app.logger.removeHandler(halt)


@pytest.fixture
def handler(slack: LocalSlack, jobs: Jobs) -> DrainingHandler:
    web = client(slack.bot_token, slack.api_url)
    return DrainingHandler(build_app(parts_of(web, jobs), web), slack.app_token, ping_interval=2.0)


def connected(slack: LocalSlack) -> bool:
    return bool(slack.ask("sockets")["connected"])


def test_a_stop_ends_a_connection_that_is_about_to_be_read(
    handler: DrainingHandler, slack: LocalSlack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, handler.app.logger.name)
    closing = threading.Thread(target=handler.close)
    with halted(handler.app, "Starting to receive messages") as halt:
        handler.connect()  # type: ignore[no-untyped-call]
        assert halt.reached.wait(SECONDS)
        closing.start()
        slack.wait_for(lambda: handler.client.current_session_state.terminated)
    closing.join(SECONDS)
    assert not closing.is_alive()
    slack.wait_for(lambda: not connected(slack))


def test_a_stop_ends_a_connection_that_is_made_in_the_place_of_another(
    handler: DrainingHandler, slack: LocalSlack
) -> None:
    handler.connect()  # type: ignore[no-untyped-call]
    slack.wait_connected()
    slack.fault("apps.connections.open", delay=1.0)
    slack.disconnect_sockets()
    slack.wait_for(lambda: not slack.faults_left())
    handler.close()
    assert not living(handler)
    assert not handler.client.is_connected()
    slack.wait_for(lambda: not connected(slack))


def test_a_stop_does_not_wait_for_a_slack_that_is_silent(
    handler: DrainingHandler, slack: LocalSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot_main, "CLOSE_SECONDS", 0.3)
    handler.connect()  # type: ignore[no-untyped-call]
    slack.wait_connected()
    slack.fault("apps.connections.open", hang=True)
    slack.disconnect_sockets()
    slack.wait_for(lambda: not slack.faults_left())
    handler.close()
    assert "socket-messages" in living(handler)
