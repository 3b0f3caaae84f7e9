"""A network that fails on command: a TCP proxy between a client and a real server.

`cut` drops the connections as a broken line does (RST), `refuse` makes the port a closed one, `stall` keeps
connections open while nothing arrives any more, `cut_after` cuts, and `stall_after` stalls, at an exact byte.
The client and the server are the real ones and know nothing of it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Literal, TypeVar

from dev.ports import ATTEMPTS, candidate_port

Direction = Literal["sent", "received"]  # as the client sees it
BLOCK_BYTES = 65_536
#: So many blocks are on a long way at once, in either direction.
BLOCKS_UNDER_WAY = 128
T = TypeVar("T")


class Proxy:
    """127.0.0.1:`port` leads to the target. A context manager; its loop runs in a thread of its own."""

    def __init__(
        self, target_port: int, target_host: str = "127.0.0.1", *, round_trip_seconds: float = 0.0
    ) -> None:
        """``round_trip_seconds`` is what the way there and back adds to every answer."""
        self.target = (target_host, target_port)
        self.port = 0
        #: Answers that were waited for: the client had sent something since it last received anything.
        self.round_trips = 0
        self._one_way = round_trip_seconds / 2
        self.sent_bytes = 0
        self.received_bytes = 0
        self.connections_seen = 0
        self._lines: dict[asyncio.Task[None], tuple[socket.socket, socket.socket]] = {}
        self._door: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._limits: dict[Direction, int] = {}
        self._stalling: set[Direction] = set()
        self._limit_reached = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def open_connections(self) -> int:
        return len(self._lines)

    def start(self) -> None:
        self._thread.start()
        self._flowing = self._call(asyncio.Event)
        self._call(self._flowing.set)
        self._door = self._bind()
        self.allow()

    def stop(self) -> None:
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._door is not None:
            self._door.close()

    def cut(self) -> None:
        """Resets all connections, at both ends. New ones are still welcome."""
        self._run(self._cut())

    def refuse(self) -> None:
        """New connections are refused, as by a port where nobody listens. Open ones go on."""
        self._run(self._refuse())

    def allow(self) -> None:
        """New connections are accepted again, on the same port."""
        self._call(self._allow)

    def stall(self) -> None:
        """Nothing is forwarded any more in either direction, and nothing closed."""
        self._call(self._flowing.clear)

    def resume(self) -> None:
        self._call(self._flowing.set)

    def cut_after(self, count: int, direction: Direction = "received") -> None:
        """Once: cuts all connections when exactly so many more bytes have passed in this direction."""
        self._limit_reached.clear()
        self._call(lambda: self._limits.__setitem__(direction, count))

    def stall_after(self, count: int, direction: Direction = "received") -> None:
        """Once: stalls, as `stall` does, when exactly so many more bytes have passed in this direction."""
        self._call(lambda: self._stalling.add(direction))
        self.cut_after(count, direction)

    def wait_until_cut(self, timeout_seconds: float = 30.0) -> bool:
        """Whether what `cut_after` or `stall_after` asked for came about in this time."""
        return self._limit_reached.wait(timeout_seconds)

    # -------------------------------------------------------------------------------- in the loop's thread

    def _bind(self) -> socket.socket:
        """A socket that holds the port; connections are refused while it doesn't listen."""
        for attempt in range(ATTEMPTS):
            door = socket.socket()
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.setblocking(False)
            try:
                door.bind(("127.0.0.1", self.port or candidate_port()))
            except OSError:
                door.close()
                if self.port or attempt == ATTEMPTS - 1:
                    raise
            else:
                self.port = door.getsockname()[1]
                return door
        raise AssertionError("unreachable")

    def _allow(self) -> None:
        if self._accepting is None:
            assert self._door is not None
            self._door.listen(128)
            self._accepting = self._loop.create_task(self._accept(self._door))

    async def _refuse(self) -> None:
        if self._accepting is not None and self._door is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
            self._accepting = None
            self._door.close()
            self._door = self._bind()

    async def _accept(self, door: socket.socket) -> None:
        while True:
            client, _ = await self._loop.sock_accept(door)
            client.setblocking(False)
            server = socket.socket()
            server.setblocking(False)
            self.connections_seen += 1
            task = self._loop.create_task(self._line(client, server))
            self._lines[task] = (client, server)
            task.add_done_callback(self._hang_up)

    def _hang_up(self, task: asyncio.Task[None]) -> None:
        client, server = self._lines.pop(task)
        broken = task.cancelled() or task.exception() is not None
        for end in (client, server):
            if broken:
                end.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )  # close sends RST
            end.close()

    async def _line(self, client: socket.socket, server: socket.socket) -> None:
        await self._loop.sock_connect(server, self.target)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        trips = _RoundTrips(self)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pump(client, server, "sent", trips))
            both.create_task(self._pump(server, client, "received", trips))

    async def _pump(
        self, source: socket.socket, sink: socket.socket, direction: Direction, trips: _RoundTrips
    ) -> None:
        async for arrived in self._arriving(source, trips.sent if direction == "sent" else lambda: None):
            if direction == "received":
                trips.received()
            await self._flowing.wait()
            block, rest = arrived, b""
            limit = self._limits.get(direction)
            if limit is not None:
                block, rest = arrived[:limit], arrived[limit:]
                self._limits[direction] = limit - len(block)
            await self._forward(sink, block, direction)
            if self._limits.get(direction) == 0:
                del self._limits[direction]
                self._limit_reached.set()
                if direction in self._stalling:
                    self._stalling.remove(direction)
                    self._flowing.clear()
                    await self._flowing.wait()
                    await self._forward(sink, rest, direction)
                    continue
                for line in list(self._lines):
                    line.cancel()
                raise ConnectionAbortedError("cut here")  # before the next block, which may be there already
        await self._flowing.wait()
        sink.shutdown(socket.SHUT_WR)

    async def _arriving(self, source: socket.socket, read: Callable[[], None]) -> AsyncIterator[bytes]:
        """The source's blocks, each after its way; ``read`` is called when one begins it."""
        if not self._one_way:
            while block := await self._loop.sock_recv(source, BLOCK_BYTES):
                read()
                yield block
            return
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(BLOCKS_UNDER_WAY)

        async def depart() -> None:
            block = b"-"
            while block:
                try:
                    block = await self._loop.sock_recv(source, BLOCK_BYTES)
                except OSError:  # a reset: whoever waits at the other end has to see an end
                    block = b""
                if block:
                    read()
                await under_way.put((self._loop.time() + self._one_way, block))

        departing = self._loop.create_task(depart())
        try:
            while True:
                due, block = await under_way.get()
                if (left := due - self._loop.time()) > 0:
                    await asyncio.sleep(left)
                if not block:
                    return
                yield block
        finally:
            departing.cancel()

    async def _forward(self, sink: socket.socket, block: bytes, direction: Direction) -> None:
        await self._loop.sock_sendall(sink, block)
        if direction == "sent":
            self.sent_bytes += len(block)
        else:
            self.received_bytes += len(block)

    async def _cut(self) -> None:
        tasks = list(self._lines)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)  # their callbacks have closed the sockets

    # --------------------------------------------------------------------------------- from other threads

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def _call(self, work: Callable[[], T]) -> T:
        async def run() -> T:
            return work()

        return self._run(run())

    def __enter__(self) -> Proxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _RoundTrips:
    """Of one connection, as its client sees it."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._waits = False

    def sent(self) -> None:
        self._waits = True

    def received(self) -> None:
        if self._waits:
            self._waits = False
            self._proxy.round_trips += 1
