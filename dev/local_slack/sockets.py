"""Socket Mode: tickets, up to ten connections, envelopes out, acks in, and the 3 s clock of every ack."""

import asyncio
import contextlib
import time
import uuid
from dataclasses import dataclass

from aiohttp import WSMessage, WSMsgType, web

from dev.local_slack.args import Args
from dev.local_slack.clock import new_id
from dev.local_slack.core import Core
from dev.local_slack.jsontypes import Json
from dev.local_slack.method import Method
from dev.local_slack.state import Envelope

ACK_SECONDS = 3.0
MOST_CONNECTIONS = 10
_GRACE_SECONDS = {"warning": 10.0}


@dataclass(eq=False)
class Connection:
    """`reading` once the client answered a ping: slack_sdk opens a socket up to 3 s before it reads it."""

    id: str
    socket: web.WebSocketResponse
    request: web.Request
    reading: bool = False
    leaving: bool = False


class Sockets:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._tickets: set[str] = set()
        self._connections: list[Connection] = []
        self._turn = 0
        self._waiting: dict[str, asyncio.Future[Json | None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.methods = {"apps.connections.open": Method(self._open, app_token=True)}

    @property
    def count(self) -> int:
        """How many connections are there to stay."""
        return sum(1 for connection in self._connections if connection.reading and not connection.leaving)

    def duplicate_next_envelope(self, twice: bool = True) -> None:
        self._core.ws.next_comes_twice = twice
        self._core.changes.ring("faults")

    def _open(self, core: Core, args: Args) -> Json:
        ticket = uuid.uuid4().hex
        self._tickets.add(ticket)
        return {
            "ok": True,
            "url": f"{core.url.replace('http', 'ws', 1)}/link/?ticket={ticket}&app_id={core.ws.app.id}",
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection from `hello` to its end. A ticket is good for one."""
        if request.query.get("ticket") not in self._tickets:
            return web.Response(status=408, text="link not valid")
        self._tickets.discard(request.query["ticket"])
        socket = web.WebSocketResponse(heartbeat=20.0, autoping=False)
        await socket.prepare(request)
        connection = Connection(new_id("L"), socket, request)
        if len(self._connections) >= MOST_CONNECTIONS:
            await socket.send_json(self._disconnect_message("too_many_websockets"))
            await socket.close(code=1008, message=b"too_many_websockets")
            return socket
        self._connections.append(connection)
        with contextlib.suppress(ConnectionError):
            await socket.send_json(self._hello())
            await socket.ping(b"Ping from applink-local")
        try:
            async for message in socket:
                await self._take(connection, message)
        finally:
            self._connections.remove(connection)
            self._core.changes.ring("sockets")
        return socket

    async def _take(self, connection: Connection, message: WSMessage) -> None:
        if message.type is WSMsgType.TEXT:
            self._receive(message.json())
        elif message.type is WSMsgType.PING:
            with contextlib.suppress(ConnectionError):
                await connection.socket.pong(message.data)
        elif message.type is WSMsgType.PONG and not connection.reading:
            connection.reading = True
            self._core.changes.ring("sockets")

    async def deliver_event(self, payload: Json) -> Envelope:
        """An event that is not acked comes again at once, as a retry (Slack tries twice more, later)."""
        envelope = await self.deliver("events_api", payload, accepts_payload=False)
        if envelope.error == "operation_timeout":
            envelope = await self.deliver("events_api", payload, accepts_payload=False, retry=1)
        return envelope

    async def deliver(self, kind: str, payload: Json, *, accepts_payload: bool, retry: int = 0) -> Envelope:
        """Send one envelope and wait for its ack, 3 s at most; `error` says what went wrong."""
        envelope = Envelope(str(uuid.uuid4()), kind, payload, sent_at=self._core.clock.now())
        self._core.ws.envelopes.append(envelope)
        self._core.changes.ring("envelope", envelope.id)
        ack: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        self._waiting[envelope.id] = ack
        started = time.monotonic()
        body: Json = {
            "envelope_id": envelope.id,
            "type": kind,
            "accepts_response_payload": accepts_payload,
            "payload": payload,
        }
        if kind == "events_api":
            body |= {"retry_attempt": retry, "retry_reason": "timeout" if retry else ""}
        await self._send(envelope, body)
        if self._core.ws.next_comes_twice:
            self.duplicate_next_envelope(False)
            await self._send(envelope, body)
        if envelope.deliveries == 0:
            envelope.error = "dispatch_failed"
        else:
            try:
                envelope.ack_payload = await asyncio.wait_for(asyncio.shield(ack), ACK_SECONDS)
            except TimeoutError:
                envelope.error = "operation_timeout"
                ack.add_done_callback(lambda _: self._late(envelope, started))
                self._core.changes.ring("envelope", envelope.id)
                return envelope
            envelope.ack_seconds = time.monotonic() - started
        self._core.changes.ring("envelope", envelope.id)
        return envelope

    async def disconnect(self, reason: str | None) -> None:
        """Say goodbye and close, 10 s later after a warning; without a reason just cut the wire."""
        for connection in list(self._connections):
            connection.leaving = True
            if reason is None:
                if connection.request.transport is not None:
                    connection.request.transport.abort()
                continue
            with contextlib.suppress(ConnectionError):
                await connection.socket.send_json(self._disconnect_message(reason))
            task = asyncio.create_task(self._close_later(connection, _GRACE_SECONDS.get(reason, 0.0)))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._core.changes.ring("sockets")

    async def stop(self) -> None:
        for task in list(self._closing):
            task.cancel()
        for connection in list(self._connections):
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(connection.socket.close(code=1001), 0.3)
        for future in self._waiting.values():
            future.cancel()

    async def _send(self, envelope: Envelope, body: Json) -> None:
        """To the connections in turn; to those that are leaving, or not read yet, if there is no other."""
        reading = [c for c in self._connections if c.reading]
        ready = [c for c in reading if not c.leaving] or reading or self._connections
        for _ in range(len(ready)):
            self._turn += 1
            connection = ready[self._turn % len(ready)]
            with contextlib.suppress(ConnectionError):
                await connection.socket.send_json(body)
                envelope.deliveries += 1
                envelope.connection = connection.id
                return

    def _receive(self, ack: Json) -> None:
        envelope = next(
            (e for e in reversed(self._core.ws.envelopes) if e.id == ack.get("envelope_id")), None
        )
        if envelope is None:
            return
        envelope.acks += 1
        future = self._waiting.get(envelope.id)
        if future is not None and not future.done():
            future.set_result(ack.get("payload"))
        self._core.changes.ring("envelope", envelope.id)

    def _late(self, envelope: Envelope, started: float) -> None:
        envelope.late = True
        envelope.ack_seconds = time.monotonic() - started
        self._core.changes.ring("envelope", envelope.id)

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._connections),
            "debug_info": {"host": "applink-local", "build_number": 1, "approximate_connection_time": 18060},
            "connection_info": {"app_id": self._core.ws.app.id},
        }

    @staticmethod
    def _disconnect_message(reason: str) -> Json:
        return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-local"}}

    @staticmethod
    async def _close_later(connection: Connection, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(ConnectionError):
            await connection.socket.close(code=1000)
