"""The contents of traspaso.toml: what it may hold, and what is said where it doesn't."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from copier import Catalogue, CopySpec, Limits, TableName, cores
from copier.errors import BadName


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


Table = Annotated[TableName, BeforeValidator(_table), PlainSerializer(str)]
ColumnName = Annotated[str, AfterValidator(_column)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class SlackSection(_Section):
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
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
    source_table: Table
    target_table: Table
    liquidation_column: ColumnName = "liquidation_id"
    key: tuple[ColumnName, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    allowed_users: tuple[str, ...] = ()
    require_approval: bool = False
    approval_over_rows: Annotated[int, Field(ge=0)] | None = None

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


class File(_Section):
    """The contents of traspaso.toml."""

    slack: SlackSection = SlackSection()
    liquidations: CatalogueSection | None = None
    copies: tuple[CopySection, ...] = ()
    work: WorkSection = WorkSection()


def read_file(name: str, lines: list[str], *, copies: bool, slack: bool) -> File:
    """Reads the file and adds a line for each thing that is wrong in it.

    ``copies`` and ``slack`` tell what the process needs it for; without them much may be missing.
    """
    try:
        file = File.model_validate(tomllib.loads(Path(name).read_text("utf-8")))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        if copies:
            lines.append(
                f"{name} is missing: copy traspaso.example.toml to it, "
                "or name another file in TRASPASO_CONFIG"
            )
        return File()
    except OSError as error:
        lines.append(f"{name} can't be read ({error.strerror}): let this process's user read it")
        return File()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        lines.append(f"{name} is not valid TOML: {error}")
        return File()
    except ValidationError as error:
        lines += [f"{name}: {_place(problem['loc'])} {_said(problem)}" for problem in error.errors()]
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


def _said(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "is not a setting of Traspaso"
    if problem["type"] == "missing":
        return "is missing"
    return str(problem["msg"]).removeprefix("Value error, ")
