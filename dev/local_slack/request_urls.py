"""HTTP mode: signed requests to the request URL, answers in the HTTP body, and events that come again."""

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from urllib.parse import urlencode, urlsplit

import aiohttp

from dev.local_slack.core import Core
from dev.local_slack.errors import NotPossible
from dev.local_slack.jsontypes import Json
from dev.local_slack.sockets import ACK_SECONDS
from dev.local_slack.state import Envelope

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
NO_CHALLENGE = "Your URL didn't respond with the value of the challenge parameter"
HERE = {"127.0.0.1", "localhost"}
#: What Slack says in X-Slack-Retry-Reason, by what went wrong.
_REASONS = {"operation_timeout": "http_timeout", "dispatch_failed": "connection_failed"}


class RequestUrls:
    """Sends what Socket Mode would send as an envelope to the app's request URL."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def set(self, url: str | None) -> None:
        """All goes to this URL from now on; to the sockets for None. Slack asks the URL for a word first.

        Raises:
            NotPossible: it doesn't give the word back, or isn't on this machine.
        """
        if url is not None:
            if urlsplit(url).hostname not in HERE:
                raise NotPossible("nothing leaves this machine: write a URL of 127.0.0.1")
            challenge = uuid.uuid4().hex
            body = {
                "token": self._core.ws.app.verification_token,
                "challenge": challenge,
                "type": "url_verification",
            }
            try:
                async with asyncio.timeout(ACK_SECONDS):
                    status, said, _ = await self._post(url, json.dumps(body), JSON, {})
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                raise NotPossible(f"{NO_CHALLENGE}: {type(error).__name__}") from None
            if status != 200 or challenge not in said:
                raise NotPossible(f"{NO_CHALLENGE}: {status} {said[:200]}")
        self._core.ws.app.request_url = url
        self._core.changes.ring("sockets")

    async def deliver_event(self, payload: Json) -> Envelope:
        """An event that isn't answered with 200 comes again at once (Slack tries twice more, later)."""
        envelope = await self.deliver("events_api", payload, accepts_payload=False)
        if envelope.error is not None:
            reason = _REASONS.get(envelope.error, "http_error")
            envelope = await self.deliver(
                "events_api", payload, accepts_payload=False, retry=1, retry_reason=reason
            )
        return envelope

    async def deliver(
        self,
        kind: str,
        payload: Json,
        *,
        accepts_payload: bool,
        retry: int = 0,
        retry_reason: str = "http_timeout",
    ) -> Envelope:
        """Sends one request and waits for its answer, 3 s at most; `error` says what went wrong."""
        envelope = Envelope(str(uuid.uuid4()), kind, payload, sent_at=self._core.clock.now())
        self._core.ws.envelopes.append(envelope)
        self._core.changes.ring("envelope", envelope.id)
        body, content_type = _written(kind, payload)
        headers = {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": retry_reason} if retry else {}
        url = self._core.ws.app.request_url or ""
        envelope.connection = url
        started = time.monotonic()
        try:
            async with asyncio.timeout(ACK_SECONDS):
                status, said, found = await self._post(url, body, content_type, headers)
        except TimeoutError:
            envelope.deliveries, envelope.error = 1, "operation_timeout"
        except (aiohttp.ClientError, OSError):
            envelope.error = "dispatch_failed"
        else:
            envelope.deliveries, envelope.status = 1, status
            envelope.ack_seconds = time.monotonic() - started
            self._take(envelope, status, said, found, accepts_payload=accepts_payload)
        self._core.changes.ring("envelope", envelope.id)
        return envelope

    def _take(
        self, envelope: Envelope, status: int, said: str, content_type: str, *, accepts_payload: bool
    ) -> None:
        if status != 200:
            envelope.error = "http_service_error" if status >= 500 else "http_client_error"
            return
        envelope.acks = 1
        if not accepts_payload or not said:
            return
        if content_type != JSON:
            envelope.ack_payload = {"text": said}
            return
        try:
            envelope.ack_payload = json.loads(said)
        except ValueError:
            envelope.error = "invalid_response"

    async def _post(
        self, url: str, body: str, content_type: str, headers: dict[str, str]
    ) -> tuple[int, str, str]:
        """Status, body and content type of the answer. It goes twice where that is asked for."""
        signed = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            **self.signature(body),
            **headers,
        }
        times = 2 if self._core.ws.next_comes_twice else 1
        self._core.ws.next_comes_twice = False
        answers = []
        async with aiohttp.ClientSession(trust_env=False) as session:
            for _ in range(times):
                async with session.post(
                    url, data=body.encode(), headers=signed, allow_redirects=False
                ) as answer:
                    answers.append((answer.status, await answer.text(), answer.content_type))
                    self._core.ws.answered.append(answer.status)
        return answers[0]

    def signature(self, body: str) -> dict[str, str]:
        """The headers with which Slack signs a body now."""
        # The clock of whoever gets it isn't advanced with this Slack's.
        at = str(int(time.time() + self._core.ws.app.signature_skew))
        secret = self._core.ws.app.signing_secret.encode()
        signature = hmac.new(secret, f"v0:{at}:{body}".encode(), hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={signature}"}


def _written(kind: str, payload: Json) -> tuple[str, str]:
    """The body, and its content type: a form for commands, a form around JSON for what people do, JSON."""
    match kind:
        case "slash_commands":
            return urlencode({key: value for key, value in payload.items() if value is not None}), FORM
        case "interactive":
            return urlencode({"payload": json.dumps(payload)}), FORM
        case _:
            return json.dumps(payload), JSON
