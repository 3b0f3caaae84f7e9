"""What the bot and a worker look at before they begin, so that all that is wrong is named at once."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from slack_sdk.errors import SlackApiError
from sqlalchemy.engine import URL

import migrations
from bot import app, config, logs
from bot.app import Databases
from bot.config import SIDES, VARIABLES, Need, Settings, sentence_of
from bot.errors import BotError, ConfigError
from bot.slack.client import CONNECTION_ERRORS, Trouble, client, error_name, trouble_of
from bot.work.queue import RedisHealth
from copier.connections import check_connection
from copier.errors import CopierError, Transient

log = logging.getLogger(__name__)

#: What a process exits with where the settings, or what they lead to, don't let it start.
EXIT_CONFIG = 78


@dataclass(frozen=True)
class Wrong:
    """A ``line`` about one thing. ``passes``: the process begins all the same, and says so.

    ``is_watched``: who watches it says so when the process begins.
    """

    line: str
    passes: bool = False
    is_watched: bool = False


def begin(*, needs_slack: bool) -> tuple[Settings, Databases]:
    """The settings, and the databases, after a look at all that they lead to.

    Ends the process where something is wrong that doesn't pass by itself: both databases, the tracking
    tables, and, where it ``needs_slack``, the bot token. Redis and Slack may be away.
    """
    problems = config.read_env_file()
    logs.set_up(is_service=True)
    wrong = [Wrong(line) for line in problems]
    settings, lines = config.read(os.environ, Need.EVERYTHING if needs_slack else Need.CALLING)
    wrong += [Wrong(line) for line in lines]
    looks: list[Callable[[], Iterator[Wrong]]] = [
        partial(_side, SIDES.source, settings.prod, settings.tracking_schema),
        partial(_side, SIDES.target, settings.consulta, settings.tracking_schema),
        partial(_redis, settings.redis_url),
        partial(_slack, settings, needs_slack=needs_slack),
        partial(_destinations, settings),
    ]
    with ThreadPoolExecutor(len(looks)) as pool:
        for found in pool.map(lambda look: list(look()), looks):
            wrong += found
    if any(not each.passes for each in wrong):
        for line in str(ConfigError([each.line for each in wrong])).splitlines():
            log.critical("%s", line)
        sys.exit(EXIT_CONFIG)
    for each in wrong:
        if not each.is_watched:
            log.error("%s", each.line)
    return settings, app.databases(settings, app.operators(settings))


def again() -> tuple[Settings, Databases]:
    """The same for one of several processes that `begin` has looked for: without another look.

    Raises:
        ConfigError: the settings have changed since, and are wrong now.
    """
    logs.set_up()
    settings = config.load(os.environ)
    return settings, app.databases(settings, app.operators(settings))


def _side(side: str, url: URL | None, tracking_schema: str) -> Iterator[Wrong]:
    """Prod may be away for a moment: what a copy does then is to wait for it. All else is in consulta."""
    if url is None:
        return
    engine = app.unpooled(url, execution_options=migrations.options(tracking_schema))
    try:
        check_connection(engine, side)
        if side == SIDES.target:
            app.check_schema(engine)
    except (CopierError, BotError) as error:
        yield Wrong(_line(side, error), passes=side == SIDES.source and isinstance(error, Transient))
    finally:
        engine.dispose()


def _line(side: str, error: Exception) -> str:
    said = sentence_of(error)
    if isinstance(error, BotError) or said.startswith(VARIABLES[side]):
        return said
    return f"{VARIABLES[side]}: {said}"


def _redis(url: str | None) -> Iterator[Wrong]:
    if url is None:
        return
    health = RedisHealth(url)
    if reason := health.reason():
        line = f"REDIS_URL: Redis at {health.place} can't be used: {reason}"
        yield Wrong(line, passes=True, is_watched=True)


def _destinations(settings: Settings) -> Iterator[Wrong]:
    """Whether a destination can be reached is seen with its first notification; whether it is one, here."""
    try:
        app.destinations(settings)
    except ConfigError as error:
        yield from map(Wrong, error.lines)


def _slack(settings: Settings, *, needs_slack: bool) -> Iterator[Wrong]:
    if settings.bot_token is None:
        return
    try:
        client(settings.bot_token, settings.slack_api_url).auth_test()
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        if trouble_of(error) is Trouble.LOCKED_OUT:
            step = "copy the bot token again from OAuth & Permissions, and install the app where it isn't"
            line = f"SLACK_BOT_TOKEN: Slack refuses it ({error_name(error)}): {step}"
            yield Wrong(line, passes=not needs_slack)
        else:
            yield Wrong(f"Slack doesn't answer auth.test now ({error_name(error)})", passes=True)
