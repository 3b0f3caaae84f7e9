"""Redis, the workers, whether all clocks agree, and the destinations of notifications."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import func, select, text

from bot.config import REQUESTER, SIDES, variable_of
from bot.doctor.checks import (
    ANSWER_SECONDS,
    Check,
    Context,
    Finding,
    Prerequisite,
    Server,
    Unknown,
    failed,
    ok,
    skipped,
    warning,
)
from bot.doctor.databases import look_at
from bot.i18n import translator
from bot.jobs.models import CopyJob, Status, waits_for_somebody
from bot.jobs.transactions import with_limits
from bot.jobs.workers import Workers
from bot.messages import notification
from bot.messages.blocks import WORKER_COMMAND
from bot.notify.destinations import BadDestination, Destination, NotSent
from bot.work.queue import ANSWER_SECONDS as REDIS_SECONDS
from bot.work.queue import PROBE, RedisHealth, reason_of
from copier.errors import failures_of

#: The oldest Redis: its scripts may ask for the time before they write.
OLDEST_REDIS = 5
#: From how many seconds on a clock that differs is said, and from how many it fails.
UNEASY_SECONDS, WRONG_SECONDS = 2.0, 30.0

# ----------------------------------------------------------------------------
# Redis


def _redis(context: Context) -> Iterator[Finding]:
    url = context.settings.redis_url
    if url is None:
        yield failed("redis.reachable", "REDIS_URL can't be used: the settings say why", "set REDIS_URL")
        raise Unknown("REDIS_URL can't be used")
    place = RedisHealth(url).place
    options: dict[str, Any] = {
        "socket_connect_timeout": REDIS_SECONDS,
        "socket_timeout": REDIS_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    without = "without it copies go on, more slowly found: workers take jobs by their rows"
    try:
        with redis.Redis.from_url(url, **options) as server:
            server.ping()
            info = _info(server)
            why = _refuses_writes(server, info)
            if why is None:
                yield ok("redis.reachable", f"it answers at {place}")
            else:
                yield failed(
                    "redis.reachable", f"Redis at {place} can't be used: {why}; {without}", "mend that there"
                )
            yield of_version(info)
            yield _persistence(server, info)
            yield of_eviction(info)
    except (redis.RedisError, OSError, TypeError) as error:
        yield failed(
            "redis.reachable",
            f"Redis at {place} can't be used: {reason_of(error)}; {without}",
            "start it, or correct REDIS_URL",
        )
        raise Unknown("Redis can't be used") from None


def _info(server: redis.Redis) -> dict[str, Any]:
    """What it tells of itself; nothing where this user may not ask."""
    with suppress(redis.exceptions.NoPermissionError, redis.exceptions.ResponseError):
        found: dict[str, Any] = server.info()
        return found
    return {}


def _refuses_writes(server: redis.Redis, info: dict[str, Any]) -> str | None:
    """Why a write would be refused, without writing; None where nothing speaks against it."""
    if info.get("role") == "slave":
        return "it is a replica that can only be read: REDIS_URL has to name the primary"
    limit, used = int(info.get("maxmemory") or 0), int(info.get("used_memory") or 0)
    if limit and used >= limit and info.get("maxmemory_policy") == "noeviction":
        return "its memory is full (maxmemory), and it takes nothing more"
    with suppress(redis.RedisError):
        whoami = server.acl_whoami()
        user = whoami.decode() if isinstance(whoami, bytes) else str(whoami)
        answer = server.acl_dryrun(user, "SET", PROBE, "1")
        words = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
        if words not in {"OK", "True"}:
            return "the user of REDIS_URL may not write there"
    return None


def of_version(info: dict[str, Any]) -> Finding:
    """What its version means; ``info`` is what INFO gives."""
    check = "redis.version"
    found = str(info.get("valkey_version") or info.get("redis_version") or "")
    name = "Valkey" if "valkey_version" in info else "Redis"
    major = re.match(r"\d+", found)
    if major is None:
        return skipped(check, "this user may not ask for it (INFO)")
    if int(major[0]) < OLDEST_REDIS:
        step = "upgrade it, or give Traspaso another one: it keeps nothing that has to be moved"
        return failed(check, f"it is {name} {found}; Traspaso needs {OLDEST_REDIS} or newer", step)
    return ok(check, f"{name} {found}")


def _persistence(server: redis.Redis, info: dict[str, Any]) -> Finding:
    check = "redis.persistence"
    if not info:
        return skipped(check, "this user may not ask for it (INFO)")
    if info.get("aof_enabled"):
        return ok(check, "it keeps every write in a file (appendonly)")
    try:
        save = str(server.config_get("save").get("save", ""))
    except redis.RedisError:
        return skipped(check, "this user may not ask for it (CONFIG GET)")
    if save:
        return ok(check, f"it keeps a copy on disk now and then (save {save})")
    return warning(
        check,
        "it keeps nothing over a restart. Only ids of jobs and the calls of the last minute are there: no "
        "copy is lost, and workers find jobs by their rows some seconds later",
        "nothing has to be done; appendonly yes keeps them",
    )


def of_eviction(info: dict[str, Any]) -> Finding:
    """What it does when its memory is full; ``info`` is what INFO gives."""
    check = "redis.eviction"
    policy, limit = info.get("maxmemory_policy"), int(info.get("maxmemory") or 0)
    if policy is None:
        return skipped(check, "this user may not ask for it (INFO)")
    if not limit or policy == "noeviction":
        return ok(check, "it drops nothing by itself")
    return warning(
        check,
        f"when its memory is full it drops keys (maxmemory-policy {policy}): ids of jobs among them, which "
        "workers then find by their rows some seconds later",
        "set maxmemory-policy noeviction, or give Traspaso a Redis of its own",
    )


# ----------------------------------------------------------------------------
# Workers


def _workers(context: Context) -> Iterator[Finding]:
    context.schema.get()
    consulta = context.consulta.get()
    engine = with_limits(consulta.engine)
    own = version("traspaso")
    with consulta.permits, failures_of(SIDES.target):
        alive = [each for each in Workers(engine).alive() if each.takes_jobs]
        with engine.connect() as connection:
            waiting = connection.scalar(
                select(func.count()).where(
                    CopyJob.status.in_([Status.PENDING, Status.RUNNING]), ~waits_for_somebody()
                )
            )
    context.workers.set(len(alive))
    start = f"start one: {WORKER_COMMAND}"
    if alive:
        names = ", ".join(f"{each.host}:{each.process}" for each in alive)
        yield ok("workers.alive", f"{len(alive)} live: {names}")
    elif waiting:
        jobs = f"{waiting} job{'s wait' if waiting > 1 else ' waits'}"
        yield failed("workers.alive", f"no worker is alive, and {jobs} for one", start)
    else:
        yield warning("workers.alive", "no worker is alive, so nothing would be copied", start)
    yield _versions({each.version for each in alive}, own)


def _versions(found: set[str], own: str) -> Finding:
    check = "workers.version"
    if not found:
        return skipped(check, "no worker is alive")
    if found == {own}:
        return ok(check, f"all are of this release, {own}")
    others = ", ".join(sorted(found))
    if len(found) > 1:
        return warning(
            check,
            f"the workers are of several releases: {others}",
            f"restart those that aren't of {own}: two releases are for the time of a deploy only",
        )
    return warning(check, f"the workers are of {others}, and this is {own}", f"restart them with {own}")


# ----------------------------------------------------------------------------
# Clocks

_NOW = text("SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8")


def _clock_of(side: str, context: Context) -> Iterator[Finding]:
    server: Prerequisite[Server] = context.prod if side == SIDES.source else context.consulta
    with look_at(server.get()) as look, failures_of(side):
        before = context.clock()
        there = look.connection.execute(_NOW).scalar_one()
        after = context.clock()
    why = (
        "when a copy's moment was is said by prod's clock"
        if side == SIDES.source
        else "leases, schedules and the times on cards go by consulta's clock"
    )
    yield of_clock(f"clock.{side}", side, there - (before + after) / 2, (after - before) / 2, why)


def of_clock(check: str, whose: str, ahead: float, unsure: float, why: str) -> Finding:
    """How a clock that is ``ahead`` of this machine's, plus or minus ``unsure`` seconds, is to be taken."""
    apart = max(0.0, abs(ahead) - unsure)
    if apart <= UNEASY_SECONDS:
        return ok(check, f"{whose}'s clock and this machine's agree")
    words = (
        f"{whose}'s clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's: {why}"
    )
    step = f"have NTP (such as chrony or systemd-timesyncd) set the clocks of this machine and of {whose}"
    if apart > WRONG_SECONDS:
        return failed(check, words, step)
    return warning(check, words, step)


def _clock_of_slack(context: Context) -> Iterator[Finding]:
    ahead = context.slack_date.get()
    why = "requests that Slack signs are refused when they seem to be five minutes old"
    yield of_clock("clock.slack", "Slack", ahead, 0.5, why)


# ----------------------------------------------------------------------------
# Destinations of notifications
#
# Nothing of a destination's URL but its kind and its host is ever shown.


def _reachable(context: Context) -> Iterator[Finding]:
    language = context.settings.file.slack.language
    yield from of_destinations(context.settings.destination_urls, sends=context.sends, language=language)


def of_destinations(urls: Mapping[str, str], *, sends: bool, language: str = "en") -> Iterator[Finding]:
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


CHECKS = (
    Check(("redis.reachable", "redis.version", "redis.persistence", "redis.eviction"), _redis),
    Check(("workers.alive", "workers.version"), _workers, sets=("workers",)),
    Check(("clock.prod",), partial(_clock_of, SIDES.source)),
    Check(("clock.consulta",), partial(_clock_of, SIDES.target)),
    Check(("clock.slack",), _clock_of_slack),
    Check(("notify.reachable", "notify.sent"), _reachable),
)
