"""The settings: the environment and traspaso.toml, each read here and nowhere else.

Everything that is missing or wrong is named at once, with what it should look like. No message repeats the
value of a password or a token.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Flag, StrEnum, auto
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from sqlalchemy.engine import URL

from bot import logs, time_expressions
from bot.errors import ConfigError
from copier import (
    MAX_LIQUIDATION_ID,
    Catalogue,
    Choice,
    ColumnRule,
    CopySpec,
    HashKey,
    Limits,
    NewColumns,
    ParentReference,
    Period,
    SideNames,
    TableName,
    Treatment,
    Via,
    cores,
    login_failures,
)
from copier.column_rules import SECRET_LENGTH
from copier.errors import BadName, DatabaseFailed
from migrations import SCHEMA

SLACK_API_URL = "https://slack.com/api/"
SOCKET_MODE_NEEDS = (
    "an app-level token with connections:write (xapp-…, Basic Information), or set SLACK_SIGNING_SECRET and "
    "PORT in its place, for HTTP mode"
)

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
    if isinstance(error, DatabaseFailed) and error.condition in login_failures.CONDITIONS:
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


def _reference(value: Any) -> ParentReference:
    if isinstance(value, ParentReference):
        return value
    try:
        return ParentReference.parse(str(value))
    except BadName as error:
        raise ValueError(str(error)) from None


Table = Annotated[TableName, BeforeValidator(_table), PlainSerializer(str)]
Pointing = Annotated[ParentReference, BeforeValidator(_reference), PlainSerializer(str)]
ColumnName = Annotated[str, AfterValidator(_column)]
Days = Annotated[int, Field(ge=1, le=36_500)]


class _Section(BaseModel):
    # A section is made ready with the file that it is in, and not once more for itself.
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True)


class SlackSection(_Section):
    """Who may copy, who runs Traspaso, and the language of the channels."""

    admin_groups: tuple[str, ...] = ()
    admin_users: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    language: Literal["es", "en"] = "es"


class Occasion(StrEnum):
    """What destinations are told of (`bot.jobs.notifications.notify`)."""

    COMPLETED = "completed"  # a copy is in consulta, and proven
    FAILED = "failed"
    CANCELLED = "cancelled"  # by somebody, or because nobody approved it
    APPROVAL = "approval"  # a copy waits for somebody's approval
    NO_WORKER = "no_worker"  # nobody takes copies
    WORKER_BACK = "worker_back"  # somebody does again
    DRIFT = "drift"  # prod has moved on since a copy
    MISSED_SCHEDULE = "missed_schedule"  # a scheduled copy was not started


#: The name of whoever asked for a copy, among the destinations; and what they are told of.
REQUESTER = "requester"
FOR_REQUESTER = (Occasion.COMPLETED, Occasion.FAILED, Occasion.CANCELLED)


def _destination_of_its_own(value: str) -> str:
    if value == REQUESTER:
        raise ValueError(f"{REQUESTER!r} is whoever asked for a copy: set mail_requester = true instead")
    return value


#: What a destination is called here; its URL, which holds its passwords, is in the environment.
DestinationName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
OwnDestination = Annotated[DestinationName, AfterValidator(_destination_of_its_own)]


class NotifySection(_Section):
    """Who is told elsewhere than in Slack, and of what; a copy may name its own destinations."""

    destinations: tuple[OwnDestination, ...] = ()
    occasions: tuple[Occasion, ...] = tuple(Occasion)
    only: dict[DestinationName, tuple[Occasion, ...]] = Field(default_factory=dict)
    mail_requester: bool = False
    give_up_hours: Annotated[float, Field(gt=0)] = 24.0


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
    """One table that can be copied, and who may where that isn't for everybody of `SlackSection`.

    With ``via`` its rows belong to a liquidation through the rows of another copy's ``source_table``: the
    file finds that one.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
    title: Annotated[str, AfterValidator(_title)] | None = None
    source_table: Table
    target_table: Table
    liquidation_column: ColumnName = "liquidation_id"
    via: Pointing | None = None
    key: tuple[ColumnName, ...] = ()
    columns: dict[ColumnName, Treatment] = Field(default_factory=dict)
    new_columns: NewColumns | None = None
    allowed_groups: tuple[str, ...] = ()
    allowed_users: tuple[str, ...] = ()
    require_approval: bool = False
    approval_over_rows: Annotated[int, Field(ge=0)] | None = None
    approval_second_group: str | None = None
    approval_second_after_hours: Annotated[float, Field(gt=0)] | None = None
    require_reason: bool = False
    notify: tuple[OwnDestination, ...] | None = None
    _hash_key: HashKey | None = PrivateAttr(default=None)
    _parent: CopySection | None = PrivateAttr(None)

    def __hash__(self) -> int:
        """By its name, which no other copy has: its rules are no value that can be hashed."""
        return hash(self.name)

    @model_validator(mode="after")
    def _belongs_one_way(self) -> Self:
        if self.via is not None and "liquidation_column" in self.model_fields_set:
            raise ValueError(
                "via and liquidation_column exclude each other: name the liquidation's column, or through "
                "which table the rows belong to it"
            )
        return self

    @property
    def line(self) -> tuple[CopySection, ...]:
        """This copy, then those through whose rows its own belong, as far as the file has them."""
        return (self,) if self._parent is None else (self, *self._parent.line)

    @property
    def parent(self) -> CopySection | None:
        """The copy through whose rows its own belong to a liquidation; None where its table says it."""
        return self._parent

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
    def second_group_seconds(self) -> float | None:
        """After so long a second group is asked to approve too; None for never."""
        hours = self.approval_second_after_hours
        return None if hours is None or self.approval_second_group is None else hours * 3600

    @property
    def spec(self) -> CopySpec:
        """The copy as the engine takes it.

        `bot.jobs.baseline.spec_of` adds which columns are known. Who copies without asking that knows
        none: then every column without a rule is new, and nothing leaves prod by mistake.
        """
        return CopySpec(
            self.name,
            self.source_table,
            self.target_table,
            "" if self.via else self.liquidation_column,
            self.key,
            via=self._via,
            rules=tuple(ColumnRule(name, treatment) for name, treatment in self.columns.items()),
            new_columns=self.for_new_columns,
            known_columns=None if self.for_new_columns is NewColumns.COPY else frozenset(),
            hash_key=self._hash_key,
        )

    @property
    def _via(self) -> Via | None:
        if self.via is None:
            return None
        if self._parent is None:
            raise ValueError(f"the file has no copy of {self.via.table}")
        return Via(self.via.columns, self._parent.spec, self.via.parent_columns)

    @property
    def for_new_columns(self) -> NewColumns:
        """As soon as there is a rule, a column that came since the last copy isn't copied by itself."""
        return self.new_columns or (NewColumns.REFUSE if self.columns else NewColumns.COPY)

    @property
    def hashed(self) -> tuple[str, ...]:
        """The columns of which the keyed hash is copied."""
        return tuple(name for name, each in self.columns.items() if each is Treatment.HASH)

    def hash_with(self, key: HashKey) -> None:
        """The environment has this key for the hashes: said once, when the settings are read."""
        self._hash_key = key


class SetSection(_Section):
    """Copies that are made together, at one moment: a whole liquidation. ``copies`` are their names."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
    title: Annotated[str, AfterValidator(_title)] | None = None
    copies: tuple[str, ...]
    default: bool = False

    @property
    def shown(self) -> str:
        """What messages call it; people write its ``name``."""
        return self.title or self.name


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
    full_proof_days: Annotated[float, Field(ge=0, le=365)] = 7.0

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


class HealthSection(_Section):
    """From when on a process says of itself that it isn't ready."""

    outbox_seconds: Annotated[float, Field(gt=0)] = 300.0


# What is done by the clock.


def _cron(value: str) -> str:
    value = " ".join(value.split())
    time_expressions.Cron(value, "UTC").check()
    return value


def _zone(value: str) -> str:
    time_expressions.zone(value)
    return value


def _length(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else time_expressions.length(str(value))


def _time(value: str) -> str:
    return time_expressions.time_of_day(value).strftime("%H:%M")


def _where(value: str) -> str:
    """A condition that stays one: nothing in it ends the statement or hides what follows."""
    if not value.strip() or "\x00" in value or any(each in value for each in (";", "--", "/*")):
        raise ValueError("write one condition of SQL, without ; and comments, such as status = 'open'")
    depth = 0
    for part in re.split(r"'[^']*'|\"[^\"]*\"", value):
        for sign in part:
            depth += (sign == "(") - (sign == ")")
            if depth < 0:
                break
        if "'" in part or '"' in part:
            raise ValueError("a quote in it is not closed")
        if depth < 0:
            break
    if depth:
        raise ValueError("a parenthesis in it has no other one")
    return value.strip()


ClockName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
CronExpression = Annotated[str, AfterValidator(_cron)]
ZoneName = Annotated[str, AfterValidator(_zone)]


class ChosenSection(_Section):
    """Which liquidations of the catalogue a schedule copies: all that fit each of the named conditions."""

    where: Annotated[str, AfterValidator(_where)] | None = None
    newest: Annotated[int, Field(ge=1, le=500)] | None = None
    period: Period | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.where is None and self.newest is None and self.period is None:
            raise ValueError("name at least one of where, newest and period")
        return self

    def choice(self, due: datetime, time_zone: str, limit: int) -> Choice:
        """At most so many of them, at that moment."""
        most = limit if self.newest is None else min(limit, self.newest)
        return Choice(self.where, self.period, due.astimezone(time_expressions.zone(time_zone)).date(), most)


class _ClockSection(_Section):
    """What begins by the clock, at the times of ``begins``."""

    name: ClockName
    cron: CronExpression
    time_zone: ZoneName = "UTC"

    @property
    def begins(self) -> time_expressions.Cron:
        return time_expressions.Cron(self.cron, self.time_zone)


class ScheduleSection(_ClockSection):
    """Copies that begin by the clock, of one table or of a set. ``copy_name`` is ``copy`` in the file, and
    ``set_name`` is ``set``.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True
    )

    copy_name: Annotated[str | None, Field(alias="copy")] = None
    set_name: Annotated[str | None, Field(alias="set")] = None
    liquidation: Annotated[int, Field(ge=1, le=MAX_LIQUIDATION_ID)] | None = None
    liquidations: ChosenSection | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    as_user: Annotated[str, Field(pattern=r"^[UW][A-Z0-9]{2,20}$")]
    channel: Annotated[str, Field(pattern=r"^[CG][A-Z0-9]{2,20}$")]
    reason: Annotated[str, AfterValidator(_title)] | None = None
    catch_up: bool = False
    grace_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 60

    @model_validator(mode="after")
    def _names_what(self) -> Self:
        if (self.copy_name is None) == (self.set_name is None):
            raise ValueError("name either copy, one of [[copies]], or set, one of [[sets]]")
        if (self.liquidation is None) == (self.liquidations is None):
            raise ValueError("name either liquidation, a number, or liquidations, a choice of the catalogue")
        return self

    @property
    def copied(self) -> str:
        """The name of its copy, or of its set."""
        return self.copy_name or self.set_name or ""

    @property
    def grace(self) -> timedelta:
        return timedelta(minutes=self.grace_minutes)


class FreezeSection(_ClockSection):
    """A time that comes again and again, in which nothing is written: until a time of the day, or so long."""

    until: Annotated[str, AfterValidator(_time)] | None = None
    lasts: Annotated[timedelta, BeforeValidator(_length)] | None = None
    reason: Annotated[str, AfterValidator(_title)] | None = None

    @model_validator(mode="after")
    def _names_its_end(self) -> Self:
        if (self.until is None) == (self.lasts is None):
            raise ValueError("name either until, such as 18:00, or lasts, such as 2h")
        return self


class WatchSection(_Section):
    """When it is looked whether prod has moved on since each copy, at which of them, and who is told.

    ``months`` counts from the end of the last copy, ``newest`` is of those the most. ``max_seconds`` is how
    long a round may take.
    """

    cron: CronExpression
    time_zone: ZoneName = "UTC"
    months: Annotated[int, Field(ge=1, le=120)] = 3
    newest: Annotated[int, Field(ge=1, le=100_000)] | None = None
    channel: Annotated[str, Field(pattern=r"^[CG][A-Z0-9]{2,20}$")]
    max_seconds: Annotated[float, Field(ge=1, le=24 * 3600)] = 3600

    @property
    def begins(self) -> time_expressions.Cron:
        return time_expressions.Cron(self.cron, self.time_zone)


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
    sets: tuple[SetSection, ...] = ()
    schedules: tuple[ScheduleSection, ...] = ()
    freezes: tuple[FreezeSection, ...] = ()
    watch: WatchSection | None = None
    notify: NotifySection = NotifySection()
    work: WorkSection = WorkSection()
    health: HealthSection = HealthSection()
    keep: KeepSection = KeepSection()

    @model_validator(mode="after")
    def _finds_parents(self) -> Self:
        for copy in self.copies:
            if copy.via is not None and self.why_without_parent(copy) is None:
                [copy._parent] = self._copies_of(copy.via.table)
        return self

    def why_without_parent(self, copy: CopySection) -> str | None:
        """Why it can't be told through what the copy's rows belong to a liquidation; None where it can."""
        line = [copy]
        while (via := line[-1].via) is not None:
            found = self._copies_of(via.table)
            if not found:
                return (
                    f"via of {line[-1].name!r} names {via.table}, which is the source_table of no copy: add "
                    "[[copies]] for it, as its rows are to be in consulta before"
                )
            if len(found) > 1:
                names = " and ".join(repr(each.name) for each in found)
                return (
                    f"via of {line[-1].name!r} names {via.table}, which is the source_table of {names}: "
                    "keep one of them"
                )
            if found[0] in line:
                names = " -> ".join(each.name for each in [*line, found[0]])
                return (
                    f"via goes round in a circle ({names}): one of these tables has to have the "
                    "liquidation_column"
                )
            line += found
        return None

    def _copies_of(self, table: TableName) -> list[CopySection]:
        return [copy for copy in self.copies if copy.source_table == table]

    @property
    def titles(self) -> dict[str, str]:
        """What messages call each copy and each set, by its name: no two have one."""
        return {each.name: each.shown for each in self.sets} | {copy.name: copy.shown for copy in self.copies}

    @property
    def catalogue(self) -> Catalogue | None:
        """Where prod lists its liquidations; None where the file doesn't say."""
        return self.liquidations.catalogue if self.liquidations else None

    @property
    def default_set(self) -> SetSection | None:
        """The set that a liquidation is copied as where nobody names a copy; None for the first copy."""
        return next((each for each in self.sets if each.default), None)

    def copies_of(self, chosen: SetSection) -> tuple[CopySection, ...]:
        """The copies of a set, in the order in which it names them."""
        named = {copy.name: copy for copy in self.copies}
        return tuple(named[name] for name in chosen.copies)

    @property
    def destinations(self) -> tuple[str, ...]:
        """Each destination that is told of anything, once."""
        own = [name for copy in self.copies for name in copy.notify or ()]
        requester = [REQUESTER] if self.notify.mail_requester else []
        return tuple(dict.fromkeys([*self.notify.destinations, *own, *requester]))

    def told(self, occasion: Occasion, copy_name: str | None) -> tuple[str, ...]:
        """The destinations that are told of it; ``copy_name`` is None where it concerns no copy."""
        copy = next((each for each in self.copies if each.name == copy_name), None)
        names = self.notify.destinations if copy is None or copy.notify is None else copy.notify
        wanted, only = self.notify.occasions, self.notify.only
        found = [name for name in names if occasion in only.get(name, wanted)]
        theirs = only.get(REQUESTER, tuple(each for each in FOR_REQUESTER if each in wanted))
        if self.notify.mail_requester and copy_name is not None and occasion in theirs:
            found.append(REQUESTER)
        return tuple(dict.fromkeys(found))


# ----------------------------------------------------------------------------
# The settings of a process


class Need(Flag):
    """What a process is going to talk to; settings of the rest may be missing.

    ``SLACK`` is to call it; ``LISTENING`` to hear what people type and press, which the bot alone does.
    """

    DATABASES = auto()
    REDIS = auto()
    SLACK = auto()
    COPIES = auto()
    LISTENING = auto()
    CALLING = DATABASES | REDIS | SLACK | COPIES
    EVERYTHING = CALLING | LISTENING


@dataclass(frozen=True)
class HttpMode:
    """How the bot listens where Slack sends requests to it, in the place of Socket Mode."""

    signing_secret: str = field(repr=False)
    port: int
    host: str = "0.0.0.0"  # noqa: S104 - a proxy or a container's network leads to it
    processes: int = 1


class Settings(BaseModel):
    """All settings of one process. Secrets are kept out of its repr."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    prod: URL | None = Field(default=None, repr=False)
    consulta: URL | None = Field(default=None, repr=False)
    redis_url: str | None = Field(default=None, repr=False)
    bot_token: str | None = Field(default=None, repr=False)
    app_token: str | None = Field(default=None, repr=False)
    http: HttpMode | None = None
    config_token: str | None = Field(default=None, repr=False)
    slack_api_url: str = SLACK_API_URL
    tracking_schema: str = SCHEMA
    health_host: str = "127.0.0.1"
    health_port: int | None = None
    worker_health_port: int | None = None
    destination_urls: dict[str, str] = Field(default_factory=dict, repr=False)
    file: File = File()

    def copy_named(self, name: str | None) -> CopySection | None:
        """The configured copy of that name; the first one for None."""
        return next((copy for copy in self.file.copies if name in {None, copy.name}), None)

    def set_named(self, name: str) -> SetSection | None:
        """The configured set of that name."""
        return next((each for each in self.file.sets if each.name == name), None)


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
    listening = Need.LISTENING in need  # whoever only calls Slack has no use for complaints about it
    app_token, http = _Environment(environ, lines if listening else []).way_in(listening)
    config_token = found.prefixed(
        "SLACK_CONFIG_TOKEN",
        False,
        "an app configuration token (xoxe.xoxp-…, api.slack.com/apps), which `traspaso doctor` alone uses",
        ("xoxe.xoxp-", "xoxe.xoxb-", "xoxe-"),
    )
    api_url = found.prefixed(
        "SLACK_API_URL", False, "an http(s) URL (leave it out for Slack itself)", ("http://", "https://")
    )
    api_url = found.encrypted("SLACK_API_URL", api_url)
    health_port = found.port("HEALTH_PORT")
    found.one_of("LOG_LEVEL", logs.LEVELS)
    found.one_of("LOG_FORMAT", logs.FORMATS)
    file = _read_file(
        environ.get("TRASPASO_CONFIG") or "traspaso.toml",
        lines,
        copies=Need.COPIES in need,
        slack=Need.SLACK in need,
    )
    if any(copy.hashed for copy in file.copies):
        key = found.hash_key("TRASPASO_HASH_SECRET", file.copies)
        if key is not None:
            for copy in file.copies:
                copy.hash_with(key)
    urls = {name: found.destination(name) for name in file.destinations} if Need.SLACK in need else {}
    settings = Settings(
        prod=prod,
        consulta=consulta,
        redis_url=redis_url,
        bot_token=bot_token,
        app_token=app_token,
        http=http,
        config_token=config_token,
        slack_api_url=f"{(api_url or SLACK_API_URL).rstrip('/')}/",
        tracking_schema=found.schema("TRASPASO_SCHEMA") or SCHEMA,
        health_host=environ.get("HEALTH_HOST", "").strip() or "127.0.0.1",
        health_port=health_port,
        worker_health_port=found.port("WORKER_HEALTH_PORT") or health_port,
        destination_urls={name: url for name, url in urls.items() if url is not None},
        file=file,
    )
    return settings, lines


def variable_of(destination: str) -> str:
    """The environment's variable that holds a destination's URL: ``NOTIFY_OPS_MAIL`` of ``ops-mail``."""
    return f"NOTIFY_{destination.upper().replace('-', '_')}"


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

    def one_of(self, name: str, words: tuple[str, ...]) -> None:
        """Notes a value that is none of these, in whatever case."""
        value = self._environ.get(name, "").strip()
        if value and value.upper() not in {word.upper() for word in words}:
            self._lines.append(f"{name} is not known: write one of {', '.join(words)}")

    def port(self, name: str) -> int | None:
        """A port's number; None where there is none."""
        return self._whole(name, False, "a port: write a number from 1 to 65535, such as 9108", 65535)

    def destination(self, name: str) -> str | None:
        """The URL of a destination of notifications. Whether Apprise takes it is seen later."""
        variable = variable_of(name)
        url = self._environ.get(variable, "").strip()
        if "://" in url:
            return url
        example = "mailtos://USER:PASSWORD@smtp.example.com?from=traspaso@example.com"
        if name == REQUESTER:
            shape = f"the mail server for those who ask for copies, such as {example}"
        else:
            shape = f"an Apprise URL for the destination {name}, such as {example}&to=ops@example.com"
        self._lines.append(f"{variable} is {'not' if url else 'missing: set it to'} {shape}")
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

    def hash_key(self, name: str, copies: Sequence[CopySection]) -> HashKey | None:
        """The key with which these copies hash; None, and a line, where there is no secret for it."""
        secret = self._given(name)
        if len(secret) >= SECRET_LENGTH:
            return HashKey.of(secret)
        shape = (
            f"a secret of {SECRET_LENGTH} characters or more that nobody can guess, such as what "
            "`openssl rand -hex 32` prints"
        )
        hashed = "; ".join(f"{copy.name}: {', '.join(copy.hashed)}" for copy in copies if copy.hashed)
        self._lines.append(
            f"{name} is not {shape}"
            if secret
            else f"{name} is missing: set it to {shape}; columns are hashed with it ({hashed})"
        )
        return None

    def way_in(self, wanted: bool) -> tuple[str | None, HttpMode | None]:
        """The token of Socket Mode, or the settings of HTTP mode, in which Slack sends requests.

        Where both are set, ``SLACK_MODE`` chooses. Both are None, with a line, where that can't be told.
        """
        mode = self._given("SLACK_MODE")
        if mode not in {"", "socket", "http"}:
            self._lines.append("SLACK_MODE is not socket or http")
            return None, None
        token, secret, port = map(self._given, ("SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "PORT"))
        if not mode and token and secret and port:
            self._lines.append(
                "SLACK_APP_TOKEN is set (Socket Mode), and SLACK_SIGNING_SECRET with PORT (HTTP mode): "
                "remove those of the mode that the app doesn't have, or choose by SLACK_MODE=socket or "
                "SLACK_MODE=http"
            )
            return None, None
        if mode == "http" or (not mode and secret and not token):
            return None, self._http_mode(wanted)
        return self.prefixed("SLACK_APP_TOKEN", wanted, SOCKET_MODE_NEEDS, ("xapp-",)), None

    def _http_mode(self, wanted: bool) -> HttpMode | None:
        secret = self._matching(
            "SLACK_SIGNING_SECRET",
            wanted,
            "the signing secret of the Slack app (letters and digits, Basic Information)",
            "[0-9A-Za-z]{16,128}",
        )
        port = self._whole("PORT", wanted, "the port on which HTTP mode listens, such as 3000", 65535)
        processes = self._whole("WEB_PROCESSES", False, "a number of processes from 1 to 64", 64)
        host = self._matching(
            "WEB_HOST",
            False,
            "an address of this machine, such as 127.0.0.1; the default is 0.0.0.0",
            r"[0-9A-Za-z.:%_-]+",
        )
        if secret is None or port is None:
            return None
        return HttpMode(secret, port, host or HttpMode.host, processes or HttpMode.processes)

    def _given(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def _matching(self, name: str, wanted: bool, shape: str, pattern: str) -> str | None:
        value = self._given(name)
        if re.fullmatch(pattern, value):
            return value
        if value:
            self._lines.append(f"{name} is not {shape}")
        elif wanted:
            self._lines.append(f"{name} is missing: set it to {shape}")
        return None

    def _whole(self, name: str, wanted: bool, shape: str, most: int) -> int | None:
        """A number from 1 to ``most``."""
        value = self._matching(name, wanted, shape, r"[0-9]{1,5}")
        if value is None:
            return None
        if 1 <= int(value) <= most:
            return int(value)
        self._lines.append(f"{name} is not {shape}")
        return None

    def checked_redis(self, url: str | None) -> None:
        """Notes a URL that can't be read; whether it leads to a Redis that can be used is seen later."""
        if url is None or PLAIN_REDIS_URL.fullmatch(url):
            return
        import redis  # takes as long to load as all the rest of the settings

        try:
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
        if problem := login_failures.wrong_value(options):
            self._lines.append(f"{name}: libpq says {problem}")
            return None
        return _url(options)


#: Schemas that are there for something else.
OTHERS = ("public", "information_schema")
#: A URL of Redis in which there is nothing to misread: no options, and a port that exists in any case.
PLAIN_REDIS_URL = re.compile(
    r"rediss?://(?:[^\s:/?#@\[\]]*:[^\s:/?#@\[\]]*@)?[a-z0-9.-]+(?::[1-5]?[0-9]{1,4})?(?:/[0-9]{1,2})?"
)
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

    Gives a line for each thing that is wrong.
    """
    values, problems = env_file_values(path)
    for name, value in values.items():
        os.environ.setdefault(name, value)
    return problems


def env_file_values(path: str = ".env") -> tuple[dict[str, str], list[str]]:
    """The variables of the file, and a line for each thing that is wrong.

    Written as process managers read it: NAME=value a line, with or without ``export`` and quotes.
    """
    try:
        text = _decoded(Path(path).read_bytes())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return {}, []
    except OSError as error:
        return {}, [f"{path} can't be read ({error.strerror}): let this process's user read it"]
    except UnicodeDecodeError as error:
        return {}, [f"{path} {_encoding_problem(error)}"]
    values: dict[str, str] = {}
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
        values.setdefault(name, value)
    return values, problems


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
    usable = tuple(copy for copy in file.copies if file.why_without_parent(copy) is None)
    return file if usable == file.copies else file.model_copy(update={"copies": usable})


def _problems(name: str, file: File, *, copies: bool, slack: bool) -> list[str]:
    problems = []
    if copies and not file.copies:
        problems.append(f"{name}: no [[copies]] entry: name at least one table to copy")
    for table, sections in (
        ("copies", file.copies),
        ("sets", file.sets),
        ("schedules", file.schedules),
        ("freezes", file.freezes),
    ):
        names = [section.name for section in sections]
        problems += [
            f"{name}: {table}.name {twice!r} is used twice"
            for twice in sorted({each for each in names if names.count(each) > 1})
        ]
    circles = (file.why_without_parent(copy) for copy in file.copies)
    problems += [f"{name}: copies: {why}" for why in dict.fromkeys(circles) if why is not None]
    problems += [f"{name}: {line}" for each in file.schedules for line in _schedule_problems(each, file)]
    problems += [f"{name}: {line}" for each in file.sets for line in _set_problems(each, file)]
    if len(defaults := [each.name for each in file.sets if each.default]) > 1:
        problems.append(
            f"{name}: sets {', '.join(map(repr, defaults))} are all the default: leave default = true to one"
        )
    problems += [
        f"{name}: copies[{place}]: approval_second_group and approval_second_after_hours belong together: "
        "set both, or neither"
        for place, copy in enumerate(file.copies, 1)
        if (copy.approval_second_group is None) != (copy.approval_second_after_hours is None)
    ]
    problems += [
        f"{name}: copies[{place}].columns: {column} {why}, so it has to be copied as it is: take its rule "
        f"{treatment} away"
        for place, copy in enumerate(file.copies, 1)
        for column, treatment in copy.columns.items()
        if treatment is not Treatment.COPY and (why := _found_by(column, copy))
    ]
    problems += [
        f"{name}: notify.only names {each!r}, which is no destination: add it to notify.destinations, or to "
        "the notify of a copy"
        for each in sorted(set(file.notify.only) - set(file.destinations))
    ]
    everybody_named = file.copies and all(copy.names_its_people for copy in file.copies)
    if slack and not (file.slack.admin_groups or file.slack.admin_users or everybody_named):
        problems.append(
            f"{name}: slack.admin_groups and slack.admin_users are both empty, so nobody could copy: "
            'name a user group (its id or handle), such as admin_groups = ["S0123ABC"]'
        )
    return problems


def _set_problems(chosen: SetSection, file: File) -> list[str]:
    """What keeps the copies that the set names from being one set."""
    named = {copy.name: copy for copy in file.copies}
    problems = [
        f"sets {chosen.name!r}: there is no copy {each!r} in [[copies]]"
        for each in dict.fromkeys(chosen.copies)
        if each not in named
    ]
    twice = sorted({each for each in chosen.copies if chosen.copies.count(each) > 1})
    problems += [f"sets {chosen.name!r}: copy {each!r} is named twice" for each in twice]
    if len(set(chosen.copies)) < 2:
        problems.append(f"sets {chosen.name!r}: name at least two copies; one alone needs no set")
    if chosen.name in named:
        problems.append(f"sets {chosen.name!r}: a copy has that name already: give the set another one")
    targets: dict[str, list[str]] = {}
    for each in dict.fromkeys(chosen.copies):
        if each in named:
            targets.setdefault(str(named[each].target_table), []).append(each)
    problems += [
        f"sets {chosen.name!r}: copies {', '.join(names)} have one target_table, {table}: leave one of them"
        for table, names in targets.items()
        if len(names) > 1
    ]
    return problems


def _found_by(column: str, copy: CopySection) -> str:
    """What the column is needed for as it is; empty for nothing that the file tells."""
    if copy.via is not None and column in copy.via.columns:
        return "points to the rows through which its own belong"
    if copy.via is None and column == copy.liquidation_column:
        return "is the liquidation column"
    return "is part of the key" if column in copy.key else ""


def _schedule_problems(schedule: ScheduleSection, file: File) -> list[str]:
    """What the rest of the file doesn't have that the schedule needs."""
    listed, chosen, problems = file.liquidations, schedule.liquidations, []
    copies, sets = {each.name for each in file.copies}, {each.name for each in file.sets}
    if schedule.copy_name in sets:
        problems.append(
            f"schedules {schedule.name!r}: {schedule.copy_name!r} is a set: write set in the place of copy"
        )
    elif schedule.copy_name is not None and schedule.copy_name not in copies:
        problems.append(f"schedules {schedule.name!r}: there is no copy {schedule.copy_name!r} in [[copies]]")
    if schedule.set_name is not None and schedule.set_name not in sets:
        problems.append(f"schedules {schedule.name!r}: there is no set {schedule.set_name!r} in [[sets]]")
    of_set = next((each.copies for each in file.sets if each.name == schedule.set_name), ())
    asking = [
        each.name
        for each in file.copies
        if each.require_reason and each.name in {schedule.copy_name, *of_set}
    ]
    if asking and schedule.reason is None:
        problems.append(
            f"schedules {schedule.name!r}: copying {', '.join(asking)} needs a reason (require_reason): "
            'add reason = "why it is copied" to the schedule'
        )
    if chosen is not None and listed is None:
        problems.append(
            f"schedules {schedule.name!r}: liquidations are chosen from the catalogue: add [liquidations]"
        )
    elif (
        schedule.liquidations is not None and schedule.liquidations.period and not (listed and listed.period)
    ):
        problems.append(
            f"schedules {schedule.name!r}: period needs the catalogue's column: add period to [liquidations]"
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
