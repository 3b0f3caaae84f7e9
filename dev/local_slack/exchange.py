"""One call from its arrival to its answer: the fault that it runs into, and the book that it stands in."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from dev.local_slack.args import Args
from dev.local_slack.core import Core
from dev.local_slack.errors import RateLimited, SlackError
from dev.local_slack.held import Held
from dev.local_slack.jsontypes import Json
from dev.local_slack.state import Call, Fault

NO_ANSWER = 0
RESPONSE_URL = "response_url"
_LOOK_SECONDS = 0.05
#: A fault's `match` may name the channel and the message as `chat.update` does, for every method. Its `block`
#: is a kind of block: of a workspace that doesn't know that kind.
_ALSO_CALLED = {"channel": ("channel_id", "channels"), "ts": ("timestamp", "message_ts")}


@dataclass
class Answer:
    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def refusing(cls, error: SlackError) -> "Answer":
        if isinstance(error, RateLimited):
            return cls(429, error.body(), {"Retry-After": str(error.retry_after_seconds)})
        return cls(200, error.body())


@dataclass
class Arrival:
    """A call as it came in, at `at` of the workspace's clock and `started` of the machine's."""

    request: web.Request
    method: str
    at: float
    args: Args = field(default_factory=lambda: Args({}))
    token: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> bool:
        """The client has given up and gone."""
        transport = self.request.transport
        return transport is None or transport.is_closing()


Work = Callable[[], Answer]


class Exchange:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._held = Held()

    async def carry_out(
        self, arrival: Arrival, admit: Callable[[], Work], about: Json | None = None
    ) -> Answer | None:
        """What to answer; None where the client gets no answer. `admit` lets the call in, or refuses it by a
        `SlackError`, and says how it is carried out. `about` is what faults may match besides arguments."""
        fault = self.take(arrival.method, arrival.args.values | (about or {}))
        if fault is None:
            return self._answered(arrival, _at_once(admit))
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.applied_after is not None:
            return await self._late(arrival, fault, admit)
        answer = _said(fault) or _at_once(admit)
        if not fault.silent:
            return self._answered(arrival, answer)
        self.write(arrival, NO_ANSWER, answer.body)
        await self._say_nothing(arrival, fault)
        return None

    async def let_go(self) -> int:
        """Carry out at once all calls that are held; how many that were."""
        return await self._held.let_go()

    def take(self, method: str, values: Json) -> Fault | None:
        """The fault that such a call runs into, once less to come."""
        for fault in self._core.ws.faults:
            everywhere = fault.method == "*" and method != RESPONSE_URL
            if (fault.method == method or everywhere) and self._fits(fault, values):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._core.ws.faults.remove(fault)
                self._core.changes.ring("faults")
                return fault
        return None

    def write(self, arrival: Arrival, status: int, body: Json, *, held: bool = False) -> Call:
        calls = self._core.ws.calls
        sent = {key: value for key, value in arrival.args.values.items() if key != "token"}
        seconds = time.monotonic() - arrival.started
        call = Call(
            len(calls) + 1, arrival.at, arrival.method, arrival.token, sent, status, body, seconds, held
        )
        calls.append(call)
        self._ring(call)
        return call

    async def _late(self, arrival: Arrival, fault: Fault, admit: Callable[[], Work]) -> Answer | None:
        """Let in as it arrives and carried out later, whether or not somebody still waits for the answer."""
        try:
            work = admit()
        except SlackError as error:
            return self._answered(arrival, Answer.refusing(error))
        said = None if fault.silent else _said(fault)
        call = self.write(arrival, said.status if said else NO_ANSWER, said.body if said else {}, held=True)

        def carry_out() -> Answer:
            answer = _outcome(work)
            call.applied_at, call.outcome = self._core.clock.now(), answer.body
            self._ring(call)
            return answer

        passed = time.monotonic() - arrival.started
        task = self._held.hold(max(0.0, (fault.applied_after or 0.0) - passed), carry_out)
        if fault.silent:
            await self._say_nothing(arrival, fault)
            return None
        if said is not None:
            return said
        answer = await asyncio.shield(task)
        if arrival.left:
            return None
        call.status, call.response = answer.status, answer.body
        call.seconds = time.monotonic() - arrival.started
        self._ring(call)
        return answer

    async def _say_nothing(self, arrival: Arrival, fault: Fault) -> None:
        """Close the connection at once, or leave it open until the client closes it."""
        if fault.hang:
            while not arrival.left:
                await asyncio.sleep(_LOOK_SECONDS)
        elif arrival.request.transport is not None:
            arrival.request.transport.abort()

    def _answered(self, arrival: Arrival, answer: Answer) -> Answer:
        self.write(arrival, answer.status, answer.body)
        return answer

    def _fits(self, fault: Fault, values: Json) -> bool:
        return all(self._same(key, wanted, values) for key, wanted in fault.match.items())

    def _same(self, key: str, wanted: Any, values: Json) -> bool:
        if key == "block":
            sent = values.get("blocks")
            return isinstance(sent, list) and any(
                isinstance(block, dict) and block.get("type") == wanted for block in sent
            )
        names = (key, *_ALSO_CALLED.get(key, ()))
        found = next((values[name] for name in names if values.get(name) not in (None, "")), None)
        if key == "channel" and found is not None:
            return self._core.channel_id(str(found)) == self._core.channel_id(str(wanted))
        return str(found) == str(wanted)

    def _ring(self, call: Call) -> None:
        self._core.changes.ring("call", str(call.seq))


def _at_once(admit: Callable[[], Work]) -> Answer:
    try:
        work = admit()
    except SlackError as error:
        return Answer.refusing(error)
    return _outcome(work)


def _outcome(work: Work) -> Answer:
    try:
        return work()
    except SlackError as error:
        return Answer.refusing(error)


def _said(fault: Fault) -> Answer | None:
    """The answer of a fault that takes the place of the call; None where the call is carried out."""
    if fault.error is None and fault.status is None:
        return None
    status = fault.status or (404 if fault.method == RESPONSE_URL else 200)
    error = fault.error or ("ratelimited" if status == 429 else "internal_error")
    retry_after = fault.retry_after or (1 if status == 429 else None)
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    return Answer(status, {"ok": False, "error": error}, headers)
