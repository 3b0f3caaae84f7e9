"""Notification targets: whether their hosts can be reached and, with ``--send``, whether they take a message.

`targets_of` says which there are. Nothing of a target's address but its kind and its host is ever shown.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot.config import Settings
from bot.doctor.examination import ANSWER_SECONDS, Check, Facts
from bot.doctor.findings import Finding, failed, ok, skipped

SUBJECT = "Traspaso: a test"
BODY = "`traspaso doctor --send` has sent this. Nothing has to be done."


@dataclass(frozen=True)
class Target:
    """Somewhere to notify: what to show as its ``name``, such as ``ops (mailto to mail.example.com)``.

    ``send`` sends a subject and a body, and gives whether they were taken.
    """

    name: str
    host: str
    port: int
    send: Callable[[str, str], bool]

    @classmethod
    def of(cls, name: str, url: str) -> Target | None:
        """The target of a URL of Apprise's; None where Apprise can't read it."""
        import apprise  # takes a moment to load

        found = apprise.Apprise.instantiate(url)
        if found is None:
            return None
        scheme = urlsplit(url).scheme
        own = urlsplit(str(getattr(found, "notify_url", None) or ""))
        host = getattr(found, "smtp_host", None) or own.hostname or found.host
        port = found.port if not own.hostname else own.port
        usual = 443 if own.scheme == "https" or getattr(found, "secure", False) else 80

        def send(subject: str, body: str) -> bool:
            return bool(found.notify(body=body, title=subject))

        return cls(f"{name} ({scheme} to {host})", str(host), int(port or usual), send)


def urls_of(settings: Settings) -> dict[str, str]:
    """Apprise's URL of every target that is configured, by the target's name."""
    return {}


def _reachable(facts: Facts) -> Iterator[Finding]:
    yield from examined(urls_of(facts.settings), sends=facts.sends)


def examined(urls: Mapping[str, str], *, sends: bool) -> Iterator[Finding]:
    """Whether each of them can be reached; and, where it ``sends``, whether it takes a message."""
    if not urls:
        yield skipped("notify.reachable", "no notification target is configured")
        yield skipped("notify.sent", "no notification target is configured")
        return
    with ThreadPoolExecutor(len(urls)) as at_once:
        for found in at_once.map(lambda each: [*_one(*each, sends=sends)], urls.items()):
            yield from found
    if not sends:
        yield skipped("notify.sent", "nothing was sent", "`traspaso doctor --send` sends one to each")


def _one(about: str, url: str, *, sends: bool) -> Iterator[Finding]:
    target = Target.of(about, url)
    if target is None:
        step = "correct it: Apprise's wiki shows each kind's URL"
        yield failed("notify.reachable", f"the URL of {about} can't be read", step, about)
        if sends:
            yield skipped("notify.sent", f"the URL of {about} can't be read", about=about)
        return
    yield _connected(target, about)
    if sends:
        yield _sent(target, about)


def _connected(target: Target, about: str) -> Finding:
    try:
        socket.create_connection((target.host, target.port), ANSWER_SECONDS).close()
    except OSError as error:
        why = error.strerror or type(error).__name__
        return failed(
            "notify.reachable",
            f"{target.name}, port {target.port}, can't be reached ({why})",
            "check its host and port, and whether a firewall lets this machine through",
            about,
        )
    return ok("notify.reachable", f"{target.name}, port {target.port}, can be reached", about)


def _sent(target: Target, about: str) -> Finding:
    if target.send(SUBJECT, BODY):
        return ok("notify.sent", f"{target.name} has taken a message", about)
    return failed(
        "notify.sent",
        f"{target.name} has not taken the message",
        "check its user, password and recipients; `traspaso -v doctor --send` logs what it said",
        about,
    )


CHECKS = (Check(("notify.reachable", "notify.sent"), _reachable),)
