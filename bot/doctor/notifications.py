"""Destinations of notifications: whether their hosts can be reached and, with ``--send``, take a message.

Nothing of a destination's URL but its kind and its host is ever shown.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from bot.config import REQUESTER, variable_of
from bot.doctor.examination import ANSWER_SECONDS, Check, Facts
from bot.doctor.findings import Finding, failed, ok, skipped
from bot.i18n import translator
from bot.messages import notification
from bot.notify.destinations import BadDestination, Destination, NotSent


def _reachable(facts: Facts) -> Iterator[Finding]:
    language = facts.settings.file.slack.language
    yield from examined(facts.settings.destination_urls, sends=facts.sends, language=language)


def examined(urls: Mapping[str, str], *, sends: bool, language: str = "en") -> Iterator[Finding]:
    """Whether each of them can be reached; and, where it ``sends``, whether it takes a message."""
    if not urls:
        yield skipped("notify.reachable", "no destination is configured")
        yield skipped("notify.sent", "no destination is configured")
        return
    with ThreadPoolExecutor(len(urls)) as at_once:
        found = at_once.map(lambda each: [*_one(*each, sends=sends, language=language)], urls.items())
        for findings in found:
            yield from findings
    if not sends:
        yield skipped("notify.sent", "nothing was sent", "`traspaso doctor --send` sends one to each")


def _one(name: str, url: str, *, sends: bool, language: str) -> Iterator[Finding]:
    try:
        destination = Destination(name, url)
    except BadDestination:
        step = f"correct {variable_of(name)}: Apprise's wiki shows each kind's URL"
        yield failed("notify.reachable", f"the URL of {name} can't be read", step, name)
        if sends:
            yield skipped("notify.sent", f"the URL of {name} can't be read", about=name)
        return
    yield _connected(destination)
    if sends:
        yield _sent(destination, language)


def _shown(destination: Destination) -> str:
    """Such as ``ops (mailto to mail.example.com)``."""
    return f"{destination.name} ({destination.kind} to {destination.place[0]})"


def _connected(destination: Destination) -> Finding:
    shown, port = _shown(destination), destination.place[1]
    try:
        socket.create_connection(destination.place, ANSWER_SECONDS).close()
    except OSError as error:
        why = error.strerror or type(error).__name__
        return failed(
            "notify.reachable",
            f"{shown}, port {port}, can't be reached ({why})",
            "check its host and port, and whether a firewall lets this machine through",
            destination.name,
        )
    return ok("notify.reachable", f"{shown}, port {port}, can be reached", destination.name)


def _sent(destination: Destination, language: str) -> Finding:
    name, shown = destination.name, _shown(destination)
    if name == REQUESTER:
        return skipped("notify.sent", f"{shown} sends to whoever asks for a copy, and nobody did", about=name)
    try:
        destination.send(notification.trial(translator(language)), uuid4().hex)
    except NotSent as refusal:
        return failed(
            "notify.sent",
            f"{shown} has not taken the message: {refusal.reason}",
            f"check user, password and recipients in {variable_of(name)}",
            name,
        )
    return ok("notify.sent", f"{shown} has taken a message", name)


CHECKS = (Check(("notify.reachable", "notify.sent"), _reachable),)
