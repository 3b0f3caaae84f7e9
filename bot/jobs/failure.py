"""What failed, as a job keeps it: a code to look up, the names of things, never a row's value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from copier.errors import (
    BadName,
    CascadeRefused,
    CircularReferences,
    ColumnMissing,
    ColumnsAreNew,
    ColumnsDiffer,
    CopierError,
    DatabaseFailed,
    EncodingUnknown,
    KeySharedInSource,
    NotProven,
    NoUsableKey,
    ParentsMissing,
    PointsNowhere,
    ReferencesCascade,
    RulesDontFit,
    RulesRewrite,
    SameTable,
    SeveralMoments,
    StillReferenced,
    TableMissing,
)

#: SQLSTATEs, or their classes, that messages have words of their own for.
CODES = {
    "23505": "unique",
    "23503": "foreign_key",
    "23001": "restrict",
    "23502": "not_null",
    "23514": "check",
    "23P01": "exclusion",
    "42501": "privilege",
    "42P01": "missing_object",
    "42703": "missing_object",
    "55P03": "lock",
    "53100": "disk_full",
    "22P02": "no_such_label",
    "25006": "recovering",
    "54": "too_large",
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
    "NoConnect": "no_connect",
    "NoSuchDatabase": "no_database",
    "HostNotAllowed": "host_not_allowed",
    "EncryptionWanted": "encryption_wanted",
    "NoEncryption": "no_encryption",
    "CertificateRefused": "certificate",
    "TooManyConnections": "too_many_connections",
    "NotReady": "unreachable",
    "HostUnknown": "unreachable",
    "NobodyListens": "unreachable",
    "NoAnswer": "unreachable",
    "NoFittingHost": "unreachable",
    "ConnectionFailed": "unreachable",
    "UrlWrong": "url_wrong",
    "RowsDropped": "rows_dropped",
    "RowsHidden": "rows_hidden",
    "ReadOnly": "read_only",
    "StandbyLagHidden": "standby_hidden",
    "TableAltered": "altered",
    "RowsChanged": "rows_changed",
}


#: Codes that have other words where the error has something to say: the GRANT, or the server's sentence.
SAID = {"privilege": "privilege_missing", "database": "database_says"}

#: The copier's other errors.
CLASSES: dict[type, str] = {
    TableMissing: "missing_table",
    ColumnMissing: "missing_column",
    ColumnsDiffer: "columns_differ",
    ColumnsAreNew: "new_columns",
    RulesDontFit: "rules_dont_fit",
    NotProven: "not_proven",
    KeySharedInSource: "key_shared",
    ParentsMissing: "parents_missing",
    CascadeRefused: "cascades",
    ReferencesCascade: "uncounted",
    RulesRewrite: "rules",
    SeveralMoments: "several_moments",
    CircularReferences: "circular_references",
    SameTable: "same_table",
    EncodingUnknown: "encoding",
    NoUsableKey: "no_key",
    BadName: "no_key",
}

#: So many lines of an error are kept.
MOST_LINES = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """``code`` names the class of the error; ``sentence`` is English, for the row and the log.

    ``command`` is what to write in Slack next, ``seconds`` how long a lost worker was silent.
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
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Without what is empty; `code` is always there."""
        return {name: value for name, value in asdict(self).items() if value and name != "sentence"}

    @classmethod
    def from_json(cls, found: Mapping[str, Any], sentence: str = "") -> Self:
        """From what `as_json` gave; ``sentence`` is kept beside it."""
        names = (each.name for each in fields(cls) if each.name not in {"code", "sentence"})
        return cls(found.get("code", ""), sentence, **{name: found[name] for name in names if name in found})


def failure_of(error: CopierError) -> Failure:
    """The failure for an error of the copier's tree."""
    sqlstate = constraint = None
    if isinstance(error, DatabaseFailed):
        sqlstate, constraint = error.sqlstate, error.constraint
        code = CLASSES.get(type(error)) or _code(sqlstate, error.condition)
        if isinstance(error, PointsNowhere):
            code = "of_no_parent" if error.is_copied else "points_nowhere"
        elif isinstance(error, StillReferenced) and code != "restrict":
            code = "referenced_by_others" if error.is_copied else "still_referenced"
        if error.lines:
            code = SAID.get(code, code)
    elif isinstance(error, NotProven) and error.triggers:
        code = "altered_by_trigger"
    else:
        code = next((CLASSES[kind] for kind in type(error).__mro__ if kind in CLASSES), "unknown")
    sentence = str(error)
    lines = list(error.lines[:MOST_LINES])
    if code == "no_key":
        lines = [sentence]
    elif isinstance(error, ColumnsAreNew):
        lines = error.names[:MOST_LINES]
    return Failure(
        code=code,
        sentence=sentence,
        side=error.side,
        table=error.table,
        column=error.column,
        constraint=constraint,
        sqlstate=sqlstate,
        lines=lines,
    )


def _code(sqlstate: str | None, condition: str) -> str:
    if sqlstate is None:
        return CONDITIONS.get(condition, "connection")
    return CODES.get(sqlstate) or CODES.get(sqlstate[:2]) or "database"
