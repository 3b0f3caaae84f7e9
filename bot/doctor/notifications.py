"""Notification targets: whether their hosts can be reached and, with ``--send``, whether they take a message.

`targets_of` says which there are. Nothing of a target's address but its kind and its host is ever shown.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot.config import Settings
from bot.doctor.examination import ANSWER_SECONDS, Check, Facts
from bot.doctor.findings import Finding, failed, ok, skipped

SUBJECT = "Traspaso: a test"
BODY = "`traspaso doctor --send` has sent this. Nothing has to be done."


@dataclass(frozen=True)
class Target:
    """Somewhere to notify: ``name`` to show, such as ``mailto to smtp.example.com``; ``host`` and ``port``.

    ``send`` sends a subject and a body, and gives whether they were taken.
    """

    name: str
    host: str
    port: int
    send: Callable[[str, str], bool]

    @classmethod
    def of(cls, url: str) -> Target | None:
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

        return cls(f"{scheme} to {host}", str(host), int(port or usual), send)


def urls_of(settings: Settings) -> list[str]:
    """Every Apprise URL that the configuration names, each once."""
    return []


def _reachable(facts: Facts) -> Iterator[Finding]:
    yield from examined(urls_of(facts.settings), sends=facts.sends)


def examined(urls: list[str], *, sends: bool) -> Iterator[Finding]:
    """Whether each of them can be reached; and, where it ``sends``, whether it takes a message."""
    if not urls:
        yield skipped("notify.reachable", "no notification target is configured")
        yield skipped("notify.sent", "no notification target is configured")
        return
    for url in urls:
        target = Target.of(url)
        if target is None:
            scheme = urlsplit(url).scheme
            words = f"a target of the kind {scheme} can't be read"
            yield failed(
                "notify.reachable", words, "correct it: Apprise's wiki shows each kind's URL", scheme
            )
            continue
        yield _connected(target)
        if sends:
            yield _sent(target)
    if not sends:
        yield skipped("notify.sent", "nothing was sent", "`traspaso doctor --send` sends one to each")


def _connected(target: Target) -> Finding:
    try:
        socket.create_connection((target.host, target.port), ANSWER_SECONDS).close()
    except OSError as error:
        why = error.strerror or type(error).__name__
        return failed(
            "notify.reachable",
            f"{target.name}:{target.port} can't be reached ({why})",
            "check its host and port, and whether a firewall lets this machine through",
            target.name,
        )
    return ok("notify.reachable", f"{target.name}:{target.port} can be reached", target.name)


def _sent(target: Target) -> Finding:
    if target.send(SUBJECT, BODY):
        return ok("notify.sent", f"{target.name} has taken a message", target.name)
    return failed(
        "notify.sent",
        f"{target.name} has not taken the message",
        "check its user, password and recipients; `traspaso -v doctor --send` logs what it said",
        target.name,
    )


CHECKS = (Check(("notify.reachable", "notify.sent"), _reachable),)
