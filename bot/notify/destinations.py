"""Where notifications go: each destination is a URL of Apprise, which nothing but this module knows.

Its URL holds its passwords. So nothing that Apprise logs gets into our log: the reason of a failure is told
in words of our own, with a code that the server gave where there is one. Apprise is loaded with the first
destination.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from bot.messages.notification import Notification

#: Seconds that a server may be silent at each step of a delivery, where the URL doesn't say; and that the
#: whole of one may take.
SILENT_SECONDS, WHOLE_SECONDS = 10.0, 45.0
#: The header by which a receiver can tell a delivery that was made twice.
ID_HEADER = "X-Traspaso-Id"

#: Answers of SMTP and HTTP in Apprise's own words, of which no more than the number is taken.
_SMTP = re.compile(r"\((\d{3}), b?['\"]")
_HTTP = re.compile(r"error=(\d{3})\b")
_REFUSED = re.compile(r"was refused: (\d{3}) ")
_MEANING = {
    "530": "it wants a user and a password",
    "534": "it refuses the user or the password",
    "535": "it refuses the user or the password",
    "401": "it refuses the user or the password",
    "403": "it refuses the user, the password or the token",
    "404": "there is nothing at this address",
    "429": "it takes no more for now",
}
_LIBRARY = re.compile(r"certificate verify failed|CERTIFICATE_VERIFY_FAILED")


class NotSent(Exception):
    """A destination didn't take it; ``reason`` is fit for a log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadDestination(ValueError):
    """Apprise doesn't take the URL."""


class Destination:
    """One place to send to. Its URL is in no repr, no error and no log."""

    def __init__(self, name: str, url: str) -> None:
        """Raises BadDestination."""
        self.name = name
        self._url = url
        self._service = _service_of(url, name)

    def __repr__(self) -> str:
        return f"Destination({self.name!r})"

    @property
    def kind(self) -> str:
        """What it is, such as mailto or json: the scheme of its URL."""
        return self._url.partition(":")[0]

    @property
    def place(self) -> tuple[str, int]:
        """Host and port that a message goes to first."""
        service = self._service
        own = urlsplit(str(getattr(service, "notify_url", None) or ""))
        host = getattr(service, "smtp_host", None) or own.hostname or service.host
        port = own.port if own.hostname else service.port
        is_encrypted = own.scheme == "https" or getattr(service, "secure", False)
        return str(host), int(port or (443 if is_encrypted else 80))

    def addressed_to(self, address: str) -> Destination:
        """The same mail server, with this one recipient. Raises BadDestination where it is no mail server."""
        return MailDestination(self.name, self._url, address)

    def send(self, notification: Notification, key: str) -> str | None:
        """Sends it, as HTML where that is shown, else as text; ``key`` names it for the receiver.

        Gives a note where some of several recipients didn't get it: it isn't sent again to all of them.

        Raises:
            NotSent: nobody got it.
        """
        apprise = _apprise()
        service = self._service
        if isinstance(headers := getattr(service, "headers", None), dict):
            headers[ID_HEADER] = key
        is_html = service.resolve_format() == "html"
        sender = apprise.Apprise(asset=service.asset)
        sender.add(service)
        with _heard() as said:
            result = sender.notify(
                body=notification.html if is_html else notification.text,
                title=notification.subject,
                notify_type=notification.tone.value,
                body_format="html" if is_html else "text",
                timeout=WHOLE_SECONDS,
            )
        if result:
            return None
        reason = _reason(said)
        if any(message.startswith("Sent ") for message in said):
            return f"some recipients didn't get it: {reason}"
        raise NotSent(reason)


class MailDestination(Destination):
    """A mail server, and one recipient."""

    def __init__(self, name: str, url: str, address: str) -> None:
        """Raises BadDestination."""
        super().__init__(name, url)
        if not hasattr(self._service, "from_addr") or not isinstance(self._service.targets, list):
            raise BadDestination(f"the URL of {name} is no mail server's")
        self._service.targets = [(False, address)]


def _service_of(url: str, name: str) -> Any:
    apprise = _apprise()
    asset = apprise.AppriseAsset(
        app_id="Traspaso",
        app_desc="Traspaso",
        async_mode=False,
        secure_logging=True,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        raise BadDestination(f"Apprise doesn't take the URL of {name}")
    if "cto=" not in url:
        service.socket_connect_timeout = SILENT_SECONDS
    if "rto=" not in url:
        service.socket_read_timeout = SILENT_SECONDS
    service.request_rate_per_sec = min(service.request_rate_per_sec, 1.0)
    return service


class _Unheard(logging.Filter):
    """Lets nothing through to any handler. What is logged during `_heard` is kept there."""

    def filter(self, record: logging.LogRecord) -> bool:
        if (said := _said.get()) is not None:
            said.append(record.getMessage())
        return False


_said: ContextVar[list[str] | None] = ContextVar("said", default=None)
_UNHEARD = _Unheard()


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What Apprise logs meanwhile, in this context."""
    said: list[str] = []
    token = _said.set(said)
    try:
        yield said
    finally:
        _said.reset(token)


def _apprise() -> Any:
    """The library. Its words may hold a URL, or the path of one, so they get to no handler."""
    own = logging.getLogger("apprise")
    own.addFilter(_UNHEARD)
    own.setLevel(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    import apprise

    return apprise


def _reason(said: Sequence[str]) -> str:
    """Why it wasn't sent, of what Apprise logged; nothing of its words is repeated."""
    for message in said:
        for pattern in (_REFUSED, _SMTP, _HTTP):
            if found := pattern.search(message):
                meaning = _MEANING.get(found[1])
                return f"the server answers {found[1]}" + (f": {meaning}" if meaning else "")
    together = " ".join(said)
    if _LIBRARY.search(together):
        return "its certificate isn't trusted"
    if "Name or service not known" in together or "getaddrinfo" in together or "NameResolution" in together:
        return "its host isn't known"
    if "refused" in together:
        return "the connection was refused"
    if "timed out" in together or "timeout" in together.lower():
        return "the server didn't answer in time"
    return "the connection failed"
