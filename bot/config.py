"""Settings: the only reader of the environment; traspaso.toml is read in `bot.config_file`.

Everything that is missing or wrong is named at once, with what it should look like. No message
repeats the value of a password or a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Flag, auto

import redis
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from bot.config_file import CopySection, File, read_file
from bot.errors import ConfigError

SLACK_API_URL = "https://slack.com/api/"


class Need(Flag):
    """What a process is going to talk to; settings of the rest may be missing."""

    DATABASES = auto()
    REDIS = auto()
    SLACK = auto()
    COPIES = auto()
    EVERYTHING = DATABASES | REDIS | SLACK | COPIES


class Settings(BaseModel):
    """All settings of one process. Secrets are kept out of its repr."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    prod: URL | None = None
    consulta: URL | None = None
    redis_url: str | None = Field(default=None, repr=False)
    bot_token: str | None = Field(default=None, repr=False)
    app_token: str | None = Field(default=None, repr=False)
    slack_api_url: str = SLACK_API_URL
    file: File = File()

    def copy_named(self, name: str | None) -> CopySection | None:
        """The configured copy of that name; the first one for None."""
        return next((copy for copy in self.file.copies if name in {None, copy.name}), None)


def load(environ: Mapping[str, str], need: Need = Need.EVERYTHING) -> Settings:
    """Reads the settings once.

    Raises:
        ConfigError: with one line for each setting that is missing or wrong.
    """
    lines: list[str] = []
    read = _Environment(environ, lines)
    prod = read.database(
        "PROD_DATABASE_URL", Need.DATABASES in need, "reader:PASSWORD@pgsql-prod:5432/payroll"
    )
    consulta = read.database(
        "CONSULTA_DATABASE_URL", Need.DATABASES in need, "traspaso:PASSWORD@pgsql-consulta:5432/consulta"
    )
    redis_url = read.prefixed(
        "REDIS_URL",
        Need.REDIS in need,
        "a Redis URL, such as redis://redis:6379/0",
        ("redis://", "rediss://", "unix://"),
    )
    read.checked_redis(redis_url)
    bot_token = read.prefixed(
        "SLACK_BOT_TOKEN",
        Need.SLACK in need,
        "the bot token of the Slack app (xoxb-…, OAuth & Permissions)",
        ("xoxb-",),
    )
    app_token = read.prefixed(
        "SLACK_APP_TOKEN",
        Need.SLACK in need,
        "an app-level token with connections:write (xapp-…, Basic Information)",
        ("xapp-",),
    )
    api_url = read.prefixed(
        "SLACK_API_URL", False, "an http(s) URL (leave it out for Slack itself)", ("http://", "https://")
    )
    file = read_file(
        environ.get("TRASPASO_CONFIG") or "traspaso.toml",
        lines,
        copies=Need.COPIES in need,
        slack=Need.SLACK in need,
    )
    if lines:
        raise ConfigError(lines)
    return Settings(
        prod=prod,
        consulta=consulta,
        redis_url=redis_url,
        bot_token=bot_token,
        app_token=app_token,
        slack_api_url=f"{(api_url or SLACK_API_URL).rstrip('/')}/",
        file=file,
    )


class _Environment:
    """Reads variables and gathers what is wrong with them."""

    def __init__(self, environ: Mapping[str, str], lines: list[str]) -> None:
        self._environ = environ
        self._lines = lines

    def prefixed(self, name: str, wanted: bool, shape: str, prefixes: tuple[str, ...]) -> str | None:
        value = self._environ.get(name, "").strip()
        if value.startswith(prefixes):
            return value
        if value:
            self._lines.append(f"{name} is not {shape}")
        elif wanted:
            self._lines.append(f"{name} is missing: set it to {shape}")
        return None

    def checked_redis(self, url: str | None) -> None:
        """Notes a URL that can't be read; whether it leads to a Redis that can be used is seen later."""
        try:
            if url is not None:
                redis.ConnectionPool.from_url(url)
        except ValueError:
            self._lines.append("REDIS_URL can't be read: look at its port and at the values of its options")

    def database(self, name: str, wanted: bool, example: str) -> URL | None:
        shape = f"a PostgreSQL URL, such as postgresql://{example}"
        value = self.prefixed(name, wanted, shape, ("postgresql://", "postgres://", "postgresql+psycopg://"))
        if value is None:
            return None
        try:
            url = make_url(value)
        except (ArgumentError, ValueError):
            url = None
        if url is None or not url.database:
            self._lines.append(f"{name} is not {shape}")
            return None
        return url.set(drivername="postgresql+psycopg")
