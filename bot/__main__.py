"""``python -m bot``: the bot, which listens to Slack over Socket Mode; or in HTTP mode, as `bot.web` does."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
from contextlib import suppress

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.socket_mode.internals import send_response
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot import app, startup_checks, tracing
from bot.app import ACK_THREADS, acknowledged
from bot.monitoring import health
from bot.periodic import Backoff
from bot.slack.client import CONNECTION_ERRORS, Trouble, error_name, trouble_of

log = logging.getLogger("bot")

#: How soon a connection to Slack is tried again.
BACKOFF = Backoff(1.0, 60.0)
#: Seconds between two pings. A connection that broke without being closed is given up after five of them.
PING_SECONDS = 2.0
#: How often the main thread looks whether it has to stop, and how long a stop waits for acknowledgements.
LOOK_SECONDS, DRAIN_SECONDS = 1.0, 3.0
#: How long a stop waits for the threads of the connection, and how often they are told to end.
CLOSE_SECONDS, CLOSE_LOOK_SECONDS = 5.0, 0.1


def main() -> int:
    """Runs until SIGTERM or SIGINT. Ends with 78 where something is wrong that doesn't pass by itself."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    settings, parts = startup_checks.begin(needs_slack=True)
    tracing.begin("bot")
    if settings.http is not None:
        from bot import web

        return web.serve(settings, parts)
    bot = app.bot(settings, parts)
    handler = DrainingHandler(bot.app, settings.app_token, ping_interval=PING_SECONDS)
    monitoring = app.monitoring(
        settings,
        bot.queue,
        "bot",
        slack=lambda: health.socket_sentence(handler.client),
        others=lambda: health.socket_threads(handler.client),
    )
    bot.start()
    if monitoring is not None:
        monitoring.start()
    connect(handler, over)
    while not over.wait(LOOK_SECONDS):
        pass
    log.info("stopping")
    handler.drain(DRAIN_SECONDS)
    handler.close()
    bot.stop()
    if monitoring is not None:
        monitoring.stop()
    tracing.end()
    return 0


class DrainingHandler(SocketModeHandler):
    """Knows which payloads are in hand, so that none is dropped without its acknowledgement at a stop."""

    def __init__(self, app: App, app_token: str | None, ping_interval: float) -> None:
        super().__init__(app, app_token, ping_interval=ping_interval, concurrency=ACK_THREADS)
        self._in_hand = 0
        self._changed = threading.Condition()

    def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        """Returns when the payload is acknowledged; its conversation may go on."""
        with self._changed:
            self._in_hand += 1
        try:
            send_response(client, req, acknowledged(self.app, req), time.time())
        finally:
            with self._changed:
                self._in_hand -= 1
                self._changed.notify_all()

    def drain(self, timeout_seconds: float) -> None:
        """Waits for a moment in which nothing is in hand."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_hand, timeout_seconds)

    def close(self) -> None:
        """Ends the connection at once: the client alone waits for Slack's next pong, then a second more.

        Its threads are told until they have ended: one that has just begun to read a new connection, or makes
        one, takes back that it is over, and the client would wait for it for ever
        (`slack_sdk.socket_mode.builtin.client`, 3.47; github.com/slackapi/python-slack-sdk/pull/1962).
        """
        client = self.client
        client.closed = True
        client.message_queue.put(None)  # who waits for a message looks whether it is over
        runners = health.socket_runners(client).values()
        for runner in runners:
            runner.event.set()
        until = time.monotonic() + CLOSE_SECONDS
        while running := [runner.thread for runner in runners if runner.is_alive()]:
            if time.monotonic() > until:
                log.warning("the connection to Slack didn't end in time: it ends with the process")
                return
            self._break_connection()
            running[0].join(CLOSE_LOOK_SECONDS)
        super().close()  # type: ignore[no-untyped-call]

    def _break_connection(self) -> None:
        """Whoever reads the present connection is woken, and doesn't go on."""
        client = self.client
        client.auto_reconnect_enabled = False
        client.current_session_state.terminated = True
        session = client.current_session
        if session is not None and (wire := session.sock) is not None:
            with suppress(OSError):  # it is broken, or closed already
                socket.socket.shutdown(wire, socket.SHUT_RDWR)


def connect(handler: SocketModeHandler, over: threading.Event) -> None:
    """Connects as soon as Slack lets us; the handler reconnects by itself afterwards."""
    failures = 0
    while not over.is_set():
        try:
            handler.connect()  # type: ignore[no-untyped-call]
            log.info("connected to Slack")
            return
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            pause = BACKOFF.pause(failures)
            where = " with SLACK_APP_TOKEN" if trouble_of(error) is Trouble.LOCKED_OUT else ""
            log.error(  # noqa: TRY400
                "Slack doesn't let the bot in%s: %s; next try in %.0f s", where, error_name(error), pause
            )
            over.wait(pause)
            failures += 1


if __name__ == "__main__":
    sys.exit(main())
