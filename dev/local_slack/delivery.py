"""How the app hears of what people do: over its sockets, or at its request URL."""

from dev.local_slack.core import Core
from dev.local_slack.jsontypes import Json
from dev.local_slack.request_urls import RequestUrls
from dev.local_slack.sockets import Sockets
from dev.local_slack.state import Envelope


class Delivery:
    """The way that the app is set to now."""

    def __init__(self, core: Core, sockets: Sockets, request_urls: RequestUrls) -> None:
        self._core = core
        self._sockets = sockets
        self._request_urls = request_urls

    async def deliver(self, kind: str, payload: Json, *, accepts_payload: bool) -> Envelope:
        """Send one payload and wait for its ack, 3 s at most; `error` says what went wrong."""
        return await self._way.deliver(kind, payload, accepts_payload=accepts_payload)

    async def deliver_event(self, payload: Json) -> Envelope:
        """The same for an event, which comes again where it isn't acked."""
        return await self._way.deliver_event(payload)

    @property
    def _way(self) -> Sockets | RequestUrls:
        return self._request_urls if self._core.ws.app.request_url else self._sockets
