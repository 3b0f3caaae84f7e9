"""HTTP mode: Slack sends requests to the bot, where in Socket Mode the bot connects to Slack.

Bolt's own ASGI adapter on uvicorn. What is not a signed request of Slack's is answered here, before anything
reads it; the rest goes to the same app as what comes over a socket. Several processes share one port: each
has its own app and background threads, which are made for that (see `bot.slack.pubsub`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any

import redis
import uvicorn
from redis.backoff import NoBackoff
from redis.retry import Retry
from slack_bolt.adapter.asgi.builtin import SlackRequestHandler
from slack_bolt.adapter.asgi.http_request import AsgiHttpRequest
from slack_bolt.adapter.asgi.http_response import AsgiHttpResponse
from slack_bolt.request import BoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from bot import app, startup_checks, tracing
from bot.app import ACK_THREADS, Databases, answered
from bot.config import HttpMode, Settings
from bot.periodic import PeriodicThread

log = logging.getLogger(__name__)


log = logging.getLogger("bot")

#: The request URL ends with this, for commands, buttons, menus and events alike.
PATH = "/slack/events"
#: What Slack sends: a form for commands and what people do, JSON for events.
CONTENT_TYPES = ("application/x-www-form-urlencoded", "application/json")
#: A view with all that may be in it, written as a form, stays below this.
LARGEST_BODY_BYTES = 4 * 1024 * 1024
#: Seconds for the head of a request, and for its body. Slack waits three for the answer.
HEAD_SECONDS, BODY_SECONDS = 10.0, 5.0
#: Connections at once in one process. What comes beside them is answered with 503.
MOST_CONNECTIONS = 512
#: How long a stop waits for the requests in hand.
DRAIN_SECONDS = 3
#: One of several processes that hangs for so long is ended, and started again.
HUNG_SECONDS = 30
#: How often a process looks whether the one that started it is still there.
PARENT_SECONDS = 2.0


def serve(settings: Settings, parts: Databases) -> int:
    """Listens until SIGTERM or SIGINT; gives the exit code, 78 where nobody can listen there."""
    http = settings.http
    if http is None:
        raise ValueError("the settings are not those of HTTP mode")
    try:
        listener = listen(http)
    except OSError as error:
        log.critical(
            "PORT: nobody can listen on %s, port %s (%s): choose another PORT or WEB_HOST",
            http.host,
            http.port,
            os.strerror(error.errno) if error.errno and error.errno > 0 else error,
        )
        return startup_checks.EXIT_CONFIG
    with listener:
        if http.processes == 1:
            _serve_here(settings, parts, listener)
        else:
            config = _config("bot.web:application", factory=True, workers=http.processes)
            Multiprocess(config, sockets=[listener]).run()
    tracing.end()
    log.info("stopped")
    return 0


def listen(http: HttpMode) -> socket.socket:
    """A socket that listens already: no request is lost while the processes start."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    listener = socket.create_server((http.host, http.port), family=family, backlog=1024)
    listener.set_inheritable(True)
    return listener


def _serve_here(settings: Settings, parts: Databases, listener: socket.socket) -> None:
    """In this process. uvicorn raises the signal that ended it once more: then all is done."""
    server = uvicorn.Server(_config(SlackRequests(settings, parts)))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    server.run(sockets=[listener])


def application() -> SlackRequests:
    """One of several processes. It ends with the process that started it, whatever that died of."""
    settings, parts = startup_checks.again()
    tracing.begin("bot")
    parent = os.getppid()

    def look() -> None:
        if os.getppid() != parent:
            log.error("the process that started this one is gone: stopping")
            os.kill(os.getpid(), signal.SIGTERM)

    PeriodicThread("parent-watch", look, every_seconds=PARENT_SECONDS).start()
    return SlackRequests(settings, parts)


def _config(application: SlackRequests | str, **options: Any) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=ImpatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_worker_healthcheck=HUNG_SECONDS,
        **options,
    )


class ImpatientProtocol(H11Protocol):
    """Closes a connection over which no request has begun in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS, self._look)

    def _look(self) -> None:
        if self.cycle is None:
            self.transport.close()


class SlackRequests(SlackRequestHandler):
    """The ASGI application: it starts and stops the bot with the server."""

    def __init__(self, settings: Settings, parts: Databases) -> None:
        if settings.http is None:
            raise ValueError("the settings are not those of HTTP mode")
        self._bot = app.bot(settings, parts)
        super().__init__(self._bot.app, PATH)
        self._monitoring = app.monitoring(
            settings, self._bot.queue, "bot", several=settings.http.processes > 1
        )
        self._place = f"{settings.http.host}, port {settings.http.port}"
        self._signed = SignedRequests(settings.http.signing_secret, settings.redis_url or "")
        # As many as acknowledge over a socket; what waits here has Slack's three seconds all the same.
        self._threads = ThreadPoolExecutor(ACK_THREADS, thread_name_prefix="request")

    async def _get_http_response(self, method: str, path: str, request: AsgiHttpRequest) -> AsgiHttpResponse:
        if path != PATH:
            return _plain(404, f"Slack's request URL ends with {PATH}")
        if method in {"GET", "HEAD"} and "ssl_check=1" in request.query_string.split("&"):
            return _plain(200, "")  # Slack looks at the certificate from time to time
        if method != "POST":
            return _plain(405, "Slack sends POST here", allow="POST")
        headers = _headers(request)
        if headers.get("content-type", "").partition(";")[0].strip().lower() not in CONTENT_TYPES:
            return _plain(415, f"send {' or '.join(CONTENT_TYPES)}")
        if not headers.get("content-length", "0").isdigit():
            return _plain(400, "the length of the body is no number", connection="close")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                if int(headers.get("content-length", "0")) > LARGEST_BODY_BYTES:
                    await _read_away(request)
                    return _too_large()
                body = await _body(request)
        except TimeoutError:
            return _plain(408, "the body took too long", connection="close")
        except _TooLarge:
            return _too_large()
        except _Gone:
            return _plain(400, "")  # nobody reads this
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(self._threads, self._answer, body, headers, request)
        return AsgiHttpResponse(response.status, response.headers, response.body)

    def _answer(self, body: bytes, headers: dict[str, str], request: AsgiHttpRequest) -> BoltResponse:
        if self._signed.refusal(body, headers) is not None:
            return BoltResponse(status=401, body={"error": "invalid_signature"})

        def run() -> BoltResponse:
            asked = BoltRequest(body=body.decode(), query=request.query_string, headers=dict(headers))
            response: BoltResponse = self.app.dispatch(asked)
            return response

        return answered(run, "request")

    async def _handle_lifespan(self, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        loop = asyncio.get_running_loop()
        while (await receive())["type"] == "lifespan.startup":
            await loop.run_in_executor(None, self._bot.start)
            if self._monitoring is not None:
                self._monitoring.start()
            log.info("listening for Slack on %s, path %s", self._place, PATH)
            await send({"type": "lifespan.startup.complete"})
        log.info("stopping")
        await loop.run_in_executor(None, self._bot.stop)
        if self._monitoring is not None:
            await loop.run_in_executor(None, self._monitoring.stop)
        tracing.end()
        await send({"type": "lifespan.shutdown.complete"})


class _TooLarge(Exception):
    """The body is longer than any of Slack's."""


class _Gone(Exception):
    """Whoever sent the request has left."""


async def _body(request: AsgiHttpRequest) -> bytes:
    """All of it.

    Raises:
        _TooLarge, _Gone: see there.
    """
    body = bytearray()
    more = True
    while more:
        part = await request.receive()
        if part["type"] != "http.request":
            raise _Gone
        body += part.get("body", b"")
        more = part.get("more_body", False)
        if len(body) > LARGEST_BODY_BYTES:
            if more:
                await _read_away(request)
            raise _TooLarge
    return bytes(body)


async def _read_away(request: AsgiHttpRequest) -> None:
    """The rest of a body, up to a limit: a connection that is closed before may take the answer with it."""
    left = 2 * LARGEST_BODY_BYTES
    while left > 0:
        part = await request.receive()
        if part["type"] != "http.request" or not part.get("more_body", False):
            return
        left -= len(part.get("body", b""))


def _headers(request: AsgiHttpRequest) -> dict[str, str]:
    """By their names in small letters, as ASGI has them."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.raw_headers}


def _too_large() -> AsgiHttpResponse:
    return _plain(413, f"a request has at most {LARGEST_BODY_BYTES} bytes", connection="close")


def _plain(status: int, text: str, **headers: str) -> AsgiHttpResponse:
    sent = {"content-type": "text/plain;charset=utf-8", **headers}
    return AsgiHttpResponse(status, {name: [value] for name, value in sent.items()}, text)


# ----------------------------------------------------------------------------
# Signed requests
#
# Which requests are Slack's own, and new: by their signature, their time, and whether they came before.
#
# Slack signs each request with the app's signing secret, over its time and its body. Who has seen one
# could send it again within the five minutes for which its time is good; so a signature is taken once.
# Redis keeps those that were taken, for all processes, and each process its own. Where Redis can't be used
# a repetition is known in the process that it came to before, and only there: requests go on then, because
# a repeated one can do no harm in the tables (a press has one job, a decision is one update).


#: Seconds by which the time of a request may differ from ours. Slack's recommendation.
TOLERANCE_SECONDS = 5 * 60
#: A Redis that has failed is asked again after so many seconds.
WITHOUT_SECONDS = 5.0
#: The same reason is logged once in so many seconds.
QUIET_SECONDS = 10.0

SIGNATURE, TIMESTAMP = "x-slack-signature", "x-slack-request-timestamp"


class Refusal(Enum):
    """Why a request is not taken; its value is said in the log."""

    UNSIGNED = "it has no signature, or no time: it isn't Slack's"
    FORGED = "its signature isn't Slack's; if Slack sent it, SLACK_SIGNING_SECRET is that of another app"
    OLD = "its time is more than five minutes from now; if Slack sent it, set this machine's clock right"
    REPEATED = "the same request came before"


class SignedRequests:
    """Looks at each request before anything reads it."""

    def __init__(
        self, signing_secret: str, redis_url: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Connects with the first request. ``clock`` is that of the world, in seconds since 1970."""
        self._verifier = SignatureVerifier(signing_secret)
        self._clock = clock
        self._client = redis.Redis.from_url(
            redis_url, socket_connect_timeout=0.5, socket_timeout=0.5, retry=Retry(NoBackoff(), 0)
        )
        self._without_until = 0.0
        self._lock = threading.Lock()
        self._taken: dict[str, float] = {}
        self._said: dict[Refusal, tuple[float, int]] = {}

    def refusal(self, body: bytes, headers: Mapping[str, str]) -> Refusal | None:
        """Why this request is not to be taken; None where it is, for this once.

        ``headers`` have small letters. Logs each reason now and then, without anything of the request.
        """
        refusal = self._refusal(body, headers)
        if refusal is not None:
            self._say(refusal)
        return refusal

    def _refusal(self, body: bytes, headers: Mapping[str, str]) -> Refusal | None:
        signature, timestamp = headers.get(SIGNATURE, ""), headers.get(TIMESTAMP, "")
        if not signature or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
            return Refusal.UNSIGNED
        if abs(self._clock() - int(timestamp)) > TOLERANCE_SECONDS:
            return Refusal.OLD
        if not self._is_signed(body, timestamp, signature):
            return Refusal.FORGED
        return None if self._is_new(signature, int(timestamp)) else Refusal.REPEATED

    def _is_signed(self, body: bytes, timestamp: str, signature: str) -> bool:
        try:
            own = self._verifier.generate_signature(timestamp=timestamp, body=body)
        except UnicodeDecodeError:
            return False
        return own is not None and hmac.compare_digest(own.encode(), signature.encode())

    def _is_new(self, signature: str, timestamp: int) -> bool:
        """Takes the signature, once: here, and in Redis for all processes."""
        now = self._clock()
        until = timestamp + TOLERANCE_SECONDS + 1
        name = hashlib.sha256(signature.encode()).hexdigest()
        with self._lock:
            # In the order in which they came, which is nearly that in which they end.
            while self._taken and next(iter(self._taken.values())) < now:
                del self._taken[next(iter(self._taken))]
            if name in self._taken:
                return False
            self._taken[name] = until
        return self._is_new_to_all(name, max(1, int(until - now) + 1))

    def _is_new_to_all(self, name: str, seconds: int) -> bool:
        if time.monotonic() < self._without_until:
            return True
        try:
            return bool(self._client.set(f"traspaso-request:{name}", 1, nx=True, ex=seconds))
        except Exception as error:  # whatever a server answers that is no Redis, or not ours
            log.warning(
                "Redis isn't asked whether a request came before (%s): each process looks by itself",
                type(error).__name__,
            )
            self._without_until = time.monotonic() + WITHOUT_SECONDS
            return True

    def _say(self, refusal: Refusal) -> None:
        """Whoever sends many doesn't fill the log."""
        now = time.monotonic()
        with self._lock:
            quiet_until, unsaid = self._said.get(refusal, (0.0, 0))
            if now < quiet_until:
                self._said[refusal] = (quiet_until, unsaid + 1)
                return
            self._said[refusal] = (now + QUIET_SECONDS, 0)
        more = f" (and {unsaid} more like it before)" if unsaid else ""
        log.warning("a request was refused: %s%s", refusal.value, more)
