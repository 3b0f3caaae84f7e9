"""What failed, as a job keeps it: a code to look up, the names of things, never a row's value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from copier.errors import (
    BadName,
    ColumnMissing,
    ColumnsDiffer,
    CopierError,
    DatabaseFailed,
    EncodingUnknown,
    NotProven,
    NoUsableKey,
    ReferencesCascade,
    TableMissing,
)

#: SQLSTATEs, or their classes, that messages have words of their own for.
CODES = {
    "23505": "unique",
    "23503": "foreign_key",
    "23502": "not_null",
    "23514": "check",
    "23P01": "exclusion",
    "42501": "privilege",
    "42P01": "missing_object",
    "42703": "missing_object",
    "55P03": "lock",
    "53100": "disk_full",
    "57014": "timeout",
    "40P01": "deadlock",
    "22": "value",
    "53": "resources",
    "57": "server_down",
    "08": "connection",
}

#: Failures that have no SQLSTATE, by the copier's own names for them.
CONDITIONS = {
    "LoginRefused": "login",
    "RowsDropped": "rows_dropped",
    "StandbyLagHidden": "standby_hidden",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """``code`` names the class of the error; ``sentence`` is English, for the row and the log.

    ``command`` is what to write in Slack next.
    """

    code: str
    sentence: str
    side: str | None = None
    table: str | None = None
    column: str | None = None
    constraint: str | None = None
    sqlstate: str | None = None
    command: str | None = None
    lines: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Without what is empty; `code` is always there."""
        return {name: value for name, value in asdict(self).items() if value and name != "sentence"}


def failure_of(error: CopierError) -> Failure:
    """The failure for an error of the copier's tree."""
    sentence = str(error)
    match error:
        case DatabaseFailed():
            return Failure(
                code=_code(error.sqlstate, error.condition),
                sentence=sentence,
                side=error.side,
                table=error.table,
                column=error.column,
                constraint=error.constraint,
                sqlstate=error.sqlstate,
            )
        case TableMissing():
            return Failure("missing_table", sentence, side=error.side, table=error.table)
        case ColumnMissing():
            return Failure(
                "missing_column", sentence, side=error.side, table=error.table, column=error.column
            )
        case ColumnsDiffer():
            return Failure("columns_differ", sentence, table=error.table, lines=error.lines)
        case NotProven():
            return Failure("not_proven", sentence, lines=[str(each) for each in error.differences[:10]])
        case ReferencesCascade():
            return Failure("cascades", sentence, table=error.table, lines=error.constraints)
        case EncodingUnknown():
            return Failure("encoding", sentence, side=error.side)
        case NoUsableKey() | BadName():
            return Failure("no_key", sentence, lines=[sentence])
        case _:
            return Failure("unknown", sentence)


def _code(sqlstate: str | None, condition: str) -> str:
    if sqlstate is None:
        return CONDITIONS.get(condition, "connection")
    return CODES.get(sqlstate) or CODES.get(sqlstate[:2]) or "database"
