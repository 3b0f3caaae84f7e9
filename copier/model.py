"""The values that the engine takes and gives: what is copied, within what limits, and what was found.

They hold no connection, and all are immutable. Most are public, see `copier`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Self

from psycopg import sql

from copier.column_rules import ColumnRule, HashKey, NewColumns, Treatment
from copier.errors import BadName, SideNames

#: The largest liquidation number: PostgreSQL's bigint.
MAX_LIQUIDATION_ID = 2**63 - 1

#: PostgreSQL cuts longer names silently (NAMEDATALEN - 1), so they are refused here.
MAX_BYTES = 63

#: PostgreSQL's words that can't stand bare for a table or a column (reserved, also where it allows some
#: of them for functions and types); a test compares them with the server's own list.
RESERVED = frozenset(
    """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate
    collation column concurrently constraint create cross current_catalog current_date current_role
    current_schema current_time current_timestamp current_user default deferrable desc distinct do else end
    except false fetch for foreign freeze from full grant group having ilike in initially inner intersect
    into is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null
    offset on only or order outer overlaps placing primary references returning right select session_user
    similar some symmetric system_user table tablesample then to trailing true union unique user using
    variadic verbose when where window with
    """.split()  # noqa: SIM905
)

#: One bound of a key range: the key's values as PostgreSQL writes them.
Bound = tuple[str, ...]
ChunkOutcome = Literal["copied", "updated", "replaced", "unchanged", "removed"]

_PART = re.compile(r'"(?P<quoted>(?:[^"\x00]|"")+)"|(?P<plain>[^\W\d][\w$]*)')
_NAME = r'(?:"(?:[^"\x00]|"")+"|[^\W\d][\w$]*)'
_COLUMNS = rf"{_NAME}|\(\s*{_NAME}\s*(?:,\s*{_NAME}\s*)*\)"
_REFERENCE = re.compile(
    rf"(?P<columns>{_COLUMNS})\s*->\s*(?P<table>{_NAME}(?:\s*\.\s*{_NAME})?)\s*\.\s*"
    rf"(?P<parent_columns>{_COLUMNS})"
)


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A schema-qualified table name, parts unquoted as the system catalog holds them.

    It is read as SQL reads it: ``public.items`` and ``Public.ITEMS`` are one table, and
    ``"Weird Schema"."Items"`` keeps its capitals.
    """

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Reads ``schema.table`` or ``table`` (then in ``public``).

        Raises:
            BadName: the text isn't one or two SQL identifiers.
        """
        parts = _split(text.strip())
        if len(parts) == 1:
            parts = ["public", *parts]
        if len(parts) != 2:
            raise BadName(f"{text!r} is not a table name: write schema.table, quoted where SQL needs it")
        return cls(*parts)

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def quoted(name: str) -> str:
    """The name as SQL must write it: bare where that reads back as the same name."""
    if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) and name not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def _folded(name: str) -> str:
    """As a server folds it that isn't of a single-byte encoding: A to Z only."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


def _split(text: str) -> list[str]:
    parts: list[str] = []
    position = 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise BadName(f"{text!r} is not a table name: write schema.table, quoted where SQL needs it")
        part = match["quoted"].replace('""', '"') if match["quoted"] else _folded(match["plain"])
        if len(part.encode()) > MAX_BYTES:
            raise BadName(f"{part!r} is longer than PostgreSQL's {MAX_BYTES} bytes for a name")
        parts.append(part)
        position = match.end()
        if position == len(text):
            return parts
        if text[position] != ".":
            raise BadName(f"{text!r} is not a table name: write schema.table, quoted where SQL needs it")
        position += 1


def _names(text: str) -> tuple[str, ...]:
    """The names in a text that has nothing else than what stands between them."""
    return tuple(_split(found[0])[0] for found in _PART.finditer(text))


# --------------------------------------------------------------------------------------- what is to be copied


@dataclass(frozen=True, slots=True)
class ParentReference:
    """Columns of a table that point to a row of another one: to the row with these ``parent_columns``."""

    columns: tuple[str, ...]
    table: TableName
    parent_columns: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> ParentReference:
        """Reads ``payslip_id -> public.payslips.id`` or ``(a, b) -> public.payslips.(a, b)``.

        Names are read as SQL reads them; a table without a schema is in ``public``.

        Raises:
            BadName: the text isn't that.
        """
        if found := _REFERENCE.fullmatch(text.strip()):
            columns, parent_columns = _names(found["columns"]), _names(found["parent_columns"])
            table = TableName(*["public", *_names(found["table"])][-2:])
            # As many columns on both sides, and none twice.
            if len(columns) == len(parent_columns) == len({*columns}) == len({*parent_columns}):
                return cls(columns, table, parent_columns)
        raise BadName(
            f"{text!r} doesn't say to what the rows belong: write column -> schema.table.column, such as "
            "payslip_id -> public.payslips.id, or (a, b) -> schema.table.(a, b)"
        )

    def __str__(self) -> str:
        here, there = (", ".join(map(quoted, each)) for each in (self.columns, self.parent_columns))
        if len(self.columns) == 1:
            return f"{here} -> {self.table}.{there}"
        return f"({here}) -> {self.table}.({there})"


@dataclass(frozen=True, slots=True)
class Via:
    """Rows belong to the liquidation of the row that their ``columns`` point to, in the ``parent``'s table.

    ``parent`` is another copy, whose rows have the liquidation's column or belong through a parent as well;
    ``parent_columns`` are a unique key of its table, on both sides.
    """

    columns: tuple[str, ...]
    parent: CopySpec
    parent_columns: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.columns or len(self.columns) != len(self.parent_columns):
            raise ValueError("as many columns as parent_columns, and at least one")

    @property
    def reference(self) -> ParentReference:
        """To the source's table."""
        return ParentReference(self.columns, self.parent.source_table, self.parent_columns)


@dataclass(frozen=True, slots=True)
class CopySpec:
    """One filtered table on both sides.

    Its rows belong to a liquidation by the ``liquidation_column``, or through a parent, by ``via``: one of
    the two is given. ``key`` names the columns of a unique key whose columns are NOT NULL; empty means the
    primary key of the target.

    ``rules`` say what becomes of columns that are not copied as they are. ``new_columns`` is for those that
    have no rule and aren't among the ``known_columns``; None stands for nobody knows, as before the first
    copy, and then none is new. ``hash_key`` is the key of the hashes.
    """

    name: str
    source_table: TableName
    target_table: TableName
    liquidation_column: str = ""
    key: tuple[str, ...] = ()
    via: Via | None = None
    rules: tuple[ColumnRule, ...] = ()
    new_columns: NewColumns = NewColumns.COPY
    known_columns: frozenset[str] | None = None
    hash_key: HashKey | None = None

    def __post_init__(self) -> None:
        if bool(self.liquidation_column) == (self.via is not None):
            raise ValueError("give either liquidation_column or via")

    @property
    def line(self) -> tuple[CopySpec, ...]:
        """This copy, then the copies through whose rows its own belong: the last has the column."""
        return (self,) if self.via is None else (self, *self.via.parent.line)

    @property
    def belongs_by(self) -> str:
        """In words how a row belongs to a liquidation: another text for another way."""
        if self.via is None:
            return self.liquidation_column
        parent = self.via.parent
        there = "" if parent.target_table == parent.source_table else f" ({parent.target_table})"
        return f"{self.via.reference}{there}, there {parent.belongs_by}"

    @property
    def altering(self) -> tuple[ColumnRule, ...]:
        """The rules that don't let a column through as it is, in the order of their columns."""
        return tuple(sorted(rule for rule in self.rules if rule.treatment is not Treatment.COPY))

    @property
    def hashes_with(self) -> HashKey | None:
        """The key of the hashes; None where no column is hashed."""
        return self.hash_key if any(rule.treatment is Treatment.HASH for rule in self.rules) else None


@dataclass(frozen=True, slots=True)
class Referring:
    """A foreign key of the target by which the rows of another ``table`` refer to rows of this one.

    ``columns`` are that table's, ``to`` this one's.
    """

    table: TableName
    columns: tuple[str, ...]
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The source's table of liquidations: which exist, their names, when they changed, their period."""

    table: TableName
    id_column: str
    label_column: str
    changed_column: str | None = None
    period_column: str | None = None


class Period(StrEnum):
    """A month, seen from a day: its own, or the one before."""

    CURRENT = "current"
    PREVIOUS = "previous"

    def of(self, day: date) -> date:
        """The first day of that month."""
        first = day.replace(day=1)
        return first if self is Period.CURRENT else (first - timedelta(days=1)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Choice:
    """The newest entries of the catalogue that fit, at most ``limit``.

    ``where`` is a condition in SQL, of whoever configures the copies. ``period`` is a month as seen from
    ``day``. None for no such condition.
    """

    where: str | None
    period: Period | None
    day: date
    limit: int


# ---------------------------------------------------------------------------------- key ranges and their rows


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Chunk ``number`` (from 1) of a plan: the rows with lower < key <= upper.

    What is done beside the ranges of a plan has numbers below zero; see `copier.copy_set`.
    """

    number: int
    lower: Bound | None
    upper: Bound | None
    rows: int

    def __str__(self) -> str:
        low = "-∞" if self.lower is None else ", ".join(self.lower)
        high = "∞" if self.upper is None else ", ".join(self.upper)
        return f"({low}, {high}]"


#: All keys, as one range.
WHOLE = KeyRange(1, None, None, 0)


@dataclass(frozen=True, slots=True)
class Digest:
    """``rows`` of a range and the exclusive-or of their 64-bit hashes, see `copier.row_hash`.

    It needs no order; and since a key names each row once, no two equal hashes cancel out.
    """

    rows: int
    value: int

    @property
    def hex(self) -> str:
        """The value as 16 hexadecimal digits."""
        return f"{self.value & 0xFFFFFFFFFFFFFFFF:016x}"

    @classmethod
    def from_hex(cls, rows: int, written: str) -> Self:
        """From what `hex` has written."""
        return cls(rows, int.from_bytes(bytes.fromhex(written), signed=True))

    def __add__(self, other: Digest) -> Digest:
        return Digest(self.rows + other.rows, self.value ^ other.value)

    def __sub__(self, other: Digest) -> Digest:
        return Digest(self.rows - other.rows, self.value ^ other.value)


#: The digest of no rows.
EMPTY = Digest(0, 0)


@dataclass(frozen=True, slots=True)
class Seen:
    """The target's rows of a range, compared by value with the source's at one moment.

    Every transaction before ``base`` (an xid8) had ended by then. So a row that was written before it is
    one that agreed, and of those written since there have to be exactly the ``written`` ones, as long as the
    table's ``definition`` is the same.
    """

    base: str
    written: Digest
    definition: str


@dataclass(frozen=True, slots=True)
class Written:
    """One transaction of this copy wrote all rows of the target in a range, and they are the source's.

    Their values were compared after it was committed. ``xid`` is its number, or that of its subtransaction.
    It says something of what is read later as long as the server and the table have the same identity, see
    `copier.row_versions.Vantage`.
    """

    xid: str


@dataclass(frozen=True, slots=True)
class RangeComparison:
    """Both sides of one range."""

    range: KeyRange
    source: Digest
    target: Digest

    @property
    def agrees(self) -> bool:
        return self.source == self.target

    def sentence(self, names: SideNames) -> str:
        """What the comparison of this range has found, without a value of any row."""
        if self.source.rows != self.target.rows:
            return (
                f"chunk {self.range.number}: {self.source.rows} rows in {names.source}, "
                f"{self.target.rows} in {names.target}"
            )
        verdict = "identical" if self.agrees else "column values differ"
        return f"chunk {self.range.number}: {self.source.rows} rows on both sides, {verdict}"


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows of the whole liquidation, counted without the key's ranges, at the moments that are compared."""

    source: int
    target: int


@dataclass(frozen=True, slots=True)
class Proof:
    """Both sides of a whole liquidation, compared range by range, and what each was counted to be as a whole.

    A row whose key is NULL lies in no range: it is only in what was ``counted``. ``differences`` are in the
    order of the ranges. ``apart`` says by how many rows these differ, as what a copy would do to the target;
    None where that wasn't asked.
    """

    source: Digest
    target: Digest
    counted: Counted
    differences: tuple[RangeComparison, ...]
    apart: Counts | None = None

    @classmethod
    def of(
        cls, comparisons: Iterable[RangeComparison], counted: Counted, apart: Counts | None = None
    ) -> Proof:
        source, target = EMPTY, EMPTY
        differences = []
        for each in comparisons:
            source += each.source
            target += each.target
            if not each.agrees:
                differences.append(each)
        differences.sort(key=lambda each: each.range.number)  # lanes end in another order than they begin
        return cls(source, target, counted, tuple(differences), apart)

    @property
    def holds(self) -> bool:
        return not self.differences and self.is_whole

    @property
    def is_whole(self) -> bool:
        """Whether the ranges hold all rows of both sides."""
        return (self.source.rows, self.target.rows) == (self.counted.source, self.counted.target)

    @property
    def is_empty(self) -> bool:
        """Neither side holds a row."""
        return (self.counted.source, self.counted.target) == (0, 0) and self.holds

    def reasons(self, names: SideNames) -> list[str]:
        """Why it doesn't hold, a line each, without a value of any row."""
        lines = [each.sentence(names) for each in self.differences]
        sides = (
            (names.source, self.source.rows, self.counted.source),
            (names.target, self.target.rows, self.counted.target),
        )
        lines += [
            f"{side}: {counted} rows in all, {rows} in the key ranges"
            for side, rows, counted in sides
            if rows != counted
        ]
        return lines


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a range's rows in the target, by key."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.unchanged + other.unchanged,
        )

    @classmethod
    def of(cls, missing: Collection[object], surplus: Collection[object], unchanged: int) -> Counts:
        """From the keys whose rows only the source has and those whose rows only the target has."""
        updated = len(frozenset(missing) & frozenset(surplus))
        return cls(len(missing) - updated, updated, len(surplus) - updated, unchanged)


# ------------------------------------------------------------------------------- a copy: limits, plan, chunks


def cores() -> int:
    """How many ranges are worth copying at once: the cores, at most four."""
    return max(1, min(4, os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard a copy may press.

    ``chunk_rows`` is the most that a chunk may have, ``chunk_seconds`` what it should take;
    ``parallel`` how many ranges are copied at once; ``rows_per_second`` caps the whole copy;
    ``lock_timeout_seconds`` is how long a chunk waits for a lock in the target;
    ``standby_lag_mb`` pauses the copy while a standby of the target is that far behind; ``lost_seconds`` is
    after what silence of the client a server ends its sessions.
    """

    chunk_rows: int = 100_000
    chunk_seconds: float = 1.0
    parallel: int = field(default_factory=cores)
    rows_per_second: float | None = None
    lock_timeout_seconds: float = 10.0
    standby_lag_mb: float | None = None
    lost_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """``total`` rows in the source at ``as_of``; ``held`` rows of the liquidation in the target just then."""

    as_of: datetime
    total: int
    held: int

    @property
    def holds(self) -> bool:
        """Whether the target has any row of it."""
        return self.held > 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range that is in place, and what it took.

    ``rows`` are the source's; ``moved`` those among the inserted ones that the target held under another
    liquidation; ``bytes`` those of the COPY stream; ``source`` the source's digest where it was needed, or
    came with the rows. ``seen`` is what the target's rows were found to be: those that it held already, or
    all of them where they were compared after the commit.
    """

    range: KeyRange
    outcome: ChunkOutcome
    rows: int
    counts: Counts
    moved: int = 0
    bytes: int = 0
    seconds: float = 0.0
    source: Digest | None = None
    seen: Seen | Written | None = None


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a copy is made of: both tables, the liquidation column, the key in its order, and all columns.

    Of rows that belong through a parent, ``liquidation_column`` has the way in words (`CopySpec.belongs_by`).
    ``columns`` are those that are copied as they are, hashed or masked. ``rules`` are pairs of a column and
    what becomes of it, where it isn't copied as it is; ``hash_check`` tells another key of the hashes, and is
    empty where nothing is hashed. It is kept with a job, so that what runs later is what was asked for.
    """

    source_table: str
    target_table: str
    liquidation_column: str
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    hash_check: str = ""

    @property
    def as_they_are(self) -> frozenset[str]:
        """The columns that are copied as they are."""
        return frozenset(self.columns) - {name for name, _ in self.rules}

    def configured(self, spec: CopySpec) -> Self:
        """This one, with what a configuration alone says about it put in its place."""
        rules, hash_check = rules_of(spec)
        return replace(
            self,
            source_table=str(spec.source_table),
            target_table=str(spec.target_table),
            liquidation_column=spec.belongs_by,
            key=spec.key or self.key,
            rules=rules,
            hash_check=hash_check,
        )

    def as_json(self) -> dict[str, object]:
        """Rules are only in it where there are any, as in releases before there were."""
        found = asdict(self) | {"key": list(self.key), "columns": list(self.columns)}
        rules, hash_check = dict(found.pop("rules")), found.pop("hash_check")
        found |= {"rules": rules} if rules else {}
        return found | ({"hash_check": hash_check} if hash_check else {})

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        return cls(
            str(found["source_table"]),
            str(found["target_table"]),
            str(found["liquidation_column"]),
            tuple(found["key"]),
            tuple(found["columns"]),
            tuple(sorted((str(name), str(rule)) for name, rule in found.get("rules", {}).items())),
            str(found.get("hash_check", "")),
        )

    @property
    def digest(self) -> str:
        """Short, and another one for another copy."""
        return hashlib.sha256(json.dumps(self.as_json()).encode()).hexdigest()[:16]

    def differences(self, now: Fingerprint, names: SideNames) -> list[str]:
        """What has changed from this one to that one, a line each."""
        lines = [
            f"{what} was {before}, is {after}"
            for what, before, after in (
                (f"table of {names.source}", self.source_table, now.source_table),
                (f"table of {names.target}", self.target_table, now.target_table),
                ("liquidation column", self.liquidation_column, now.liquidation_column),
                ("key", f"({', '.join(self.key)})", f"({', '.join(now.key)})"),
            )
            if before != after
        ]
        ruled = {name for name, _ in (*self.rules, *now.rules)}
        gone = [name for name in self.columns if name not in now.columns and name not in ruled]
        new = [name for name in now.columns if name not in self.columns and name not in ruled]
        before, after = dict(self.rules), dict(now.rules)
        lines += [
            f"rule of column {name} was {before.get(name, 'copy')}, is {after.get(name, 'copy')}"
            for name in sorted(ruled)
            if before.get(name) != after.get(name)
        ]
        if self.hash_check and now.hash_check and self.hash_check != now.hash_check:
            lines.append("the secret of the hashes is another one")
        lines += [f"column {name} is not copied any more" for name in gone]
        lines += [f"column {name} is copied since" for name in new]
        return lines


def rules_of(spec: CopySpec) -> tuple[tuple[tuple[str, str], ...], str]:
    """The rules as a fingerprint has them, and what tells another key of the hashes."""
    key = spec.hashes_with
    return tuple((rule.column, str(rule.treatment)) for rule in spec.altering), key.check if key else ""
