"""The settings: the environment and traspaso.toml, each read here and nowhere else.

Everything that is missing or wrong is named at once, with what it should look like. No message repeats the
value of a password or a token.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from enum import Flag, auto
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg.conninfo import conninfo_to_dict
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)
from sqlalchemy.engine import URL

from bot.errors import ConfigError
from copier import Catalogue, CopySpec, Limits, SideNames, TableName, cores, logins
from copier.errors import BadName, DatabaseFailed
from migrations import SCHEMA

SLACK_API_URL = "https://slack.com/api/"

#: What the engine's sentences and errors call the two sides.
SIDES = SideNames(
    source="prod",
    target="consulta",
    apart="set PROD_DATABASE_URL and CONSULTA_DATABASE_URL to two databases",
)

#: The setting by which a side is reached.
VARIABLES = {SIDES.source: "PROD_DATABASE_URL", SIDES.target: "CONSULTA_DATABASE_URL"}


def sentence_of(error: Exception) -> str:
    """Its sentence, after the name of the setting to look at where a side lets nobody in."""
    if isinstance(error, DatabaseFailed) and error.condition in logins.CONDITIONS:
        return f"{VARIABLES.get(error.side or '', '')}: {error}"
    return str(error)


# ----------------------------------------------------------------------------
# The contents of traspaso.toml


def _table(value: Any) -> TableName:
    if isinstance(value, TableName):
        return value
    try:
        return TableName.parse(str(value))
    except BadName as error:
        raise ValueError(str(error)) from None


def _column(value: str) -> str:
    if not value or len(value.encode()) > 63 or "\x00" in value:
        raise ValueError("write the plain name of a column, such as liquidation_id")
    return value


def _title(value: str) -> str:
    if not value.strip() or len(value) > 60 or not value.isprintable():
        raise ValueError("write a name of one line, of 1 to 60 characters")
    return value.strip()


Table = Annotated[TableName, BeforeValidator(_table), PlainSerializer(str)]
ColumnName = Annotated[str, AfterValidator(_column)]
Days = Annotated[int, Field(ge=1, le=36_500)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class SlackSection(_Section):
    """Who may copy, who runs Traspaso, and the language of the channels."""

    admin_groups: tuple[str, ...] = ()
    admin_users: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    language: Literal["es", "en"] = "es"


class CatalogueSection(_Section):
    """Where prod lists its liquidations: for existence, names, and to choose from."""

    table: Table
    id: ColumnName = "id"
    label: ColumnName = "name"
    changed: ColumnName | None = None
    period: ColumnName | None = None

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.table, self.id, self.label, self.changed, self.period)


class CopySection(_Section):
    """One table that can be copied, and who may where that isn't for everybody of `SlackSection`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
    title: Annotated[str, AfterValidator(_title)] | None = None
    source_table: Table
    target_table: Table
    liquidation_column: ColumnName = "liquidation_id"
    key: tuple[ColumnName, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    allowed_users: tuple[str, ...] = ()
    require_approval: bool = False
    approval_over_rows: Annotated[int, Field(ge=0)] | None = None

    @property
    def shown(self) -> str:
        """What messages call it; people write its ``name``."""
        return self.title or self.name

    @property
    def names_its_people(self) -> bool:
        """Its own lists count then, in the place of the global ones."""
        return bool(self.allowed_groups or self.allowed_users)

    def needs_approval(self, *rows: int | None) -> bool:
        """Whether somebody else has to approve a copy of so many rows; None stands for nobody knows."""
        if self.require_approval or self.approval_over_rows is None:
            return self.require_approval
        return any(n is None or n > self.approval_over_rows for n in rows)

    @property
    def spec(self) -> CopySpec:
        return CopySpec(self.name, self.source_table, self.target_table, self.liquidation_column, self.key)


class WorkSection(_Section):
    """How the work is done. Every default is meant to be left alone."""

    parallel: Annotated[int, Field(ge=1, le=16)] = Field(default_factory=cores)
    chunk_rows: Annotated[int, Field(ge=100, le=1_000_000)] = 100_000
    chunk_seconds: Annotated[float, Field(gt=0)] = 1.0
    rows_per_second: Annotated[float, Field(gt=0)] | None = None
    standby_lag_mb: Annotated[float, Field(gt=0)] | None = None
    lock_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    preview_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    confirm_seconds: Annotated[float, Field(gt=0)] = 15 * 60
    approval_seconds: Annotated[float, Field(gt=0)] = 24 * 60 * 60
    stop_seconds: Annotated[float, Field(gt=0)] = 3.0
    lost_seconds: Annotated[float, Field(ge=2)] = 60.0
    lease_seconds: Annotated[float, Field(ge=2)] = 60.0
    sweep_seconds: Annotated[float, Field(gt=0)] = 2.0
    overdue_seconds: Annotated[float, Field(gt=0)] = 5.0
    retry_seconds: Annotated[float, Field(gt=0)] = 5.0
    max_failures: Annotated[int, Field(ge=1)] = 8
    max_attempts: Annotated[int, Field(ge=1)] = 50
    card_seconds: Annotated[float, Field(ge=1)] = 3.0
    chart_seconds: Annotated[float, Field(gt=0)] = 300.0

    @property
    def limits(self) -> Limits:
        return Limits(
            chunk_rows=self.chunk_rows,
            chunk_seconds=self.chunk_seconds,
            parallel=self.parallel,
            rows_per_second=self.rows_per_second,
            lock_timeout_seconds=self.lock_timeout_seconds,
            standby_lag_mb=self.standby_lag_mb,
            lost_seconds=self.lost_seconds,
        )


class KeepSection(_Section):
    """For how many days old rows of the tracking tables are kept. ``jobs_days`` None is for ever."""

    ledger_days: Days = 90
    events_days: Days = 400
    outbox_days: Days = 30
    workers_days: Days = 1
    jobs_days: Days | None = None


class File(_Section):
    """The contents of traspaso.toml."""

    slack: SlackSection = SlackSection()
    liquidations: CatalogueSection | None = None
    copies: tuple[CopySection, ...] = ()
    work: WorkSection = WorkSection()
    keep: KeepSection = KeepSection()

    @property
    def titles(self) -> dict[str, str]:
        """What messages call each copy, by its name."""
        return {copy.name: copy.shown for copy in self.copies}


# ----------------------------------------------------------------------------
# The settings of a process


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

    prod: URL | None = Field(default=None, repr=False)
    consulta: URL | None = Field(default=None, repr=False)
    redis_url: str | None = Field(default=None, repr=False)
    bot_token: str | None = Field(default=None, repr=False)
    app_token: str | None = Field(default=None, repr=False)
    slack_api_url: str = SLACK_API_URL
    tracking_schema: str = SCHEMA
    file: File = File()

    def copy_named(self, name: str | None) -> CopySection | None:
        """The configured copy of that name; the first one for None."""
        return next((copy for copy in self.file.copies if name in {None, copy.name}), None)


def load(environ: Mapping[str, str], need: Need = Need.EVERYTHING) -> Settings:
    """Reads the settings once.

    Raises:
        ConfigError: with one line for each setting that is missing or wrong.
    """
    settings, lines = read(environ, need)
    if lines:
        raise ConfigError(lines)
    return settings


def read(environ: Mapping[str, str], need: Need = Need.EVERYTHING) -> tuple[Settings, list[str]]:
    """The settings as far as they can be read, and one line for each that is missing or wrong."""
    lines: list[str] = []
    found = _Environment(environ, lines)
    prod = found.database(
        "PROD_DATABASE_URL", Need.DATABASES in need, "reader:PASSWORD@pgsql-prod:5432/payroll"
    )
    consulta = found.database(
        "CONSULTA_DATABASE_URL", Need.DATABASES in need, "traspaso:PASSWORD@pgsql-consulta:5432/consulta"
    )
    redis_url = found.prefixed(
        "REDIS_URL",
        Need.REDIS in need,
        "a Redis URL, such as redis://redis:6379/0",
        ("redis://", "rediss://", "unix://"),
    )
    found.checked_redis(redis_url)
    bot_token = found.prefixed(
        "SLACK_BOT_TOKEN",
        Need.SLACK in need,
        "the bot token of the Slack app (xoxb-…, OAuth & Permissions)",
        ("xoxb-",),
    )
    app_token = found.prefixed(
        "SLACK_APP_TOKEN",
        Need.SLACK in need,
        "an app-level token with connections:write (xapp-…, Basic Information)",
        ("xapp-",),
    )
    api_url = found.prefixed(
        "SLACK_API_URL", False, "an http(s) URL (leave it out for Slack itself)", ("http://", "https://")
    )
    api_url = found.encrypted("SLACK_API_URL", api_url)
    file = _read_file(
        environ.get("TRASPASO_CONFIG") or "traspaso.toml",
        lines,
        copies=Need.COPIES in need,
        slack=Need.SLACK in need,
    )
    settings = Settings(
        prod=prod,
        consulta=consulta,
        redis_url=redis_url,
        bot_token=bot_token,
        app_token=app_token,
        slack_api_url=f"{(api_url or SLACK_API_URL).rstrip('/')}/",
        tracking_schema=found.schema("TRASPASO_SCHEMA") or SCHEMA,
        file=file,
    )
    return settings, lines


# ----------------------------------------------------------------------------
# Reading the environment


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

    def encrypted(self, name: str, url: str | None) -> str | None:
        """The URL; None, and a line, where a token would travel to another machine without encryption."""
        if url is None or not url.startswith("http://"):
            return url
        try:
            host = urlsplit(url).hostname or ""
            is_here = host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            is_here = False
        if is_here:
            return url
        self._lines.append(
            f"{name} begins with http://, so the token would travel unencrypted: write https:// "
            "(http:// is only for a Slack on this machine, such as http://127.0.0.1:8080/api/)"
        )
        return None

    def schema(self, name: str) -> str | None:
        """A name that is the same whether it is quoted or not, and of no schema that holds other tables."""
        value = self._environ.get(name, "").strip()
        if not value or (re.fullmatch(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", value) and value not in OTHERS):
            return value or None
        self._lines.append(
            f"{name} is not the name of a schema for the tracking tables, such as traspaso_test: at most 63 "
            "small letters, digits and _, no digit first, not pg_…, public or information_schema"
        )
        return None

    def checked_redis(self, url: str | None) -> None:
        """Notes a URL that can't be read; whether it leads to a Redis that can be used is seen later."""
        try:
            if url is not None:
                redis.ConnectionPool.from_url(url)
        except ValueError:
            self._lines.append("REDIS_URL can't be read: look at its port and at the values of its options")

    def database(self, name: str, wanted: bool, example: str) -> URL | None:
        """What libpq takes: a host, several, a socket's folder, or a service that names them."""
        shape = f"a PostgreSQL URL, such as postgresql://{example}"
        value = self.prefixed(name, wanted, shape, ("postgresql://", "postgres://", "postgresql+psycopg://"))
        if value is None:
            return None
        value = value.replace("postgresql+psycopg://", "postgresql://", 1)
        if _hides_its_password(value):
            self._lines.append(f"{name} {ENCODE}")
            return None
        try:
            taken = conninfo_to_dict(_hosts_as_libpq_writes_them(value))
        except psycopg.ProgrammingError as error:
            option = re.search(r'invalid URI query parameter: "(\w+)"', str(error))
            unknown = (
                f"has an option that PostgreSQL doesn't know: {option[1]}. Remove it" if option else None
            )
            self._lines.append(f"{name} {unknown or f'is not {shape}'}")
            return None
        options = {key: str(found) for key, found in taken.items() if found is not None}
        named = options.get("dbname") or "service" in options or "PGSERVICE" in self._environ
        if not named or not re.fullmatch(r"[\d,]*", options.get("port", "")):
            self._lines.append(f"{name} is not {shape}")
            return None
        if not options.get("connect_timeout", "0").strip().lstrip("-").isdigit():
            self._lines.append(f"{name}: connect_timeout is a number of seconds")
            return None
        if problem := logins.wrong_value(options):
            self._lines.append(f"{name}: libpq says {problem}")
            return None
        return _url(options)


#: Schemas that are there for something else.
OTHERS = ("public", "information_schema")
#: Whoever writes a password as it is may lead half of it elsewhere.
ENCODE = (
    "has a character in its user or password that a URL doesn't take as it is: percent-encode it, "
    "such as %40 for @, %2F for /, %3F for ? and %23 for #"
)


def _hides_its_password(url: str) -> bool:
    """Whether libpq would take part of the password for a host, a port or a database."""
    authority = re.split(r"[/?]", url.partition("://")[2], maxsplit=1)[0]
    return authority.count("@") > 1 or ("@" not in authority and "@" in url)


def _hosts_as_libpq_writes_them(url: str) -> str:
    """SQLAlchemy also takes ``?host=a:1&host=b:2``, of which libpq would keep the last."""
    place, mark, query = url.partition("?")
    options = query.split("&") if mark else []
    hosts = [option[5:] for option in options if option.startswith("host=")]
    named = [re.fullmatch(r"([^:/%]+)(?::(\d+))?", host) for host in hosts]
    if not hosts or not all(named) or not (len(hosts) > 1 or ":" in hosts[0]):
        return url
    names = ",".join(host[1] for host in named if host)
    ports = ",".join(host[2] or "" for host in named if host)
    others = [option for option in options if not option.startswith("host=")]
    return f"{place}?{'&'.join([f'host={names}', f'port={ports}', *others])}"


def _url(options: dict[str, str]) -> URL:
    """The same for SQLAlchemy. Hosts that aren't one name, and their ports, are options of libpq there."""
    host, port = options.pop("host", None), options.pop("port", None)
    user, password, database = (options.pop(key, None) for key in ("user", "password", "dbname"))
    query: dict[str, str | tuple[str, ...]] = dict(options)
    is_one = host is not None and not re.search(r"[,/]", host) and "," not in (port or "")
    if not is_one:
        query |= {key: found for key, found in (("host", host), ("port", port)) if found}
    return URL.create(
        "postgresql+psycopg",
        user,
        password,
        host if is_one else None,
        int(port) if is_one and port else None,
        database,
        query,
    )


# ----------------------------------------------------------------------------
# Reading .env


def read_env_file(path: str = ".env") -> list[str]:
    """Sets the variables of ``.env`` in the working directory that the process was not started with.

    Written as process managers read it: NAME=value a line, with or without ``export`` and quotes. Gives a
    line for each thing that is wrong.
    """
    try:
        text = _decoded(Path(path).read_bytes())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return []
    except OSError as error:
        return [f"{path} can't be read ({error.strerror}): let this process's user read it"]
    except UnicodeDecodeError as error:
        return [f"{path} {_encoding_problem(error)}"]
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*", line)
        if found is None:
            problems.append(f"{path}, line {number}: is not NAME=value")
            continue
        name, value = found.groups()
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        elif len(value) > 1 and value[0] == value[-1] == "'":
            value = value[1:-1]
        os.environ.setdefault(name, value)
    return problems


def _decoded(raw: bytes) -> str:
    """Text in UTF-8. The mark that some editors begin it with is let pass, as others don't show it."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnicodeDecodeError("utf-16", raw, 0, 2, "it begins as UTF-16 does")
    return raw.decode("utf-8-sig")


def _encoding_problem(error: UnicodeDecodeError) -> str:
    if error.encoding == "utf-16":
        return "is written in UTF-16: save it as UTF-8"
    line = bytes(error.object)[: error.start].count(b"\n") + 1
    return f"is not UTF-8 (line {line}): save it as UTF-8"


# ----------------------------------------------------------------------------
# Reading traspaso.toml


def _read_file(name: str, lines: list[str], *, copies: bool, slack: bool) -> File:
    """Reads the file and adds a line for each thing that is wrong in it.

    ``copies`` and ``slack`` tell what the process needs it for; without them much may be missing.
    """
    try:
        file = File.model_validate(tomllib.loads(_decoded(Path(name).read_bytes())))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        if copies:
            lines.append(
                f"{name} is missing: `traspaso init` writes one like traspaso.example.toml to adapt; "
                "or name another file in TRASPASO_CONFIG"
            )
        return File()
    except OSError as error:
        lines.append(f"{name} can't be read ({error.strerror}): let this process's user read it")
        return File()
    except UnicodeDecodeError as error:
        lines.append(f"{name} {_encoding_problem(error)}")
        return File()
    except tomllib.TOMLDecodeError as error:
        lines.append(f"{name} is not valid TOML: {error}")
        return File()
    except ValidationError as error:
        lines += [f"{name}: {_place(problem['loc'])} {_problem(problem)}" for problem in error.errors()]
        return File()
    lines += _problems(name, file, copies=copies, slack=slack)
    return file


def _problems(name: str, file: File, *, copies: bool, slack: bool) -> list[str]:
    problems = []
    if copies and not file.copies:
        problems.append(f"{name}: no [[copies]] entry: name at least one table to copy")
    names = [copy.name for copy in file.copies]
    problems += [
        f"{name}: copies.name {twice!r} is used twice"
        for twice in sorted({each for each in names if names.count(each) > 1})
    ]
    everybody_named = file.copies and all(copy.names_its_people for copy in file.copies)
    if slack and not (file.slack.admin_groups or file.slack.admin_users or everybody_named):
        problems.append(
            f"{name}: slack.admin_groups and slack.admin_users are both empty, so nobody could copy: "
            'name a user group (its id or handle), such as admin_groups = ["S0123ABC"]'
        )
    return problems


def _place(location: tuple[int | str, ...]) -> str:
    parts = [f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).lstrip(".") + ":"


def _problem(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "is not a setting of Traspaso"
    if problem["type"] == "missing":
        return "is missing"
    return str(problem["msg"]).removeprefix("Value error, ")
