"""Is a liquidation the same on both sides? Asked without any of the product's code.

Both tables are read by COPY in the order of their key, at the same time and as streams, and compared byte
by byte: first as text, where a difference can be told row by row, then in PostgreSQL's binary format, where
only the digests are compared.

Where a value must not leave prod, consulta is compared with what it should have in its place, and searched
for the value: all its tables, the tracking tables too, and whatever texts are given beside.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import psycopg
from psycopg import sql

EXAMPLES = 5
#: Of a value that is searched for, in characters. A number as long as a CUIL can be found by chance.
SHORTEST, LONGEST_BY_CHANCE = 7, 11
TREATED = {"mask": "masked", "hash": "hashed", "null": "emptied", "omit": "left out"}
NULL = b"\\N"
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPED = {character: letter for letter, character in _ESCAPES.items()} | {"\\": "\\"}
ALL_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY 1, 2
"""
TEXT, BINARY = sql.SQL("text"), sql.SQL("binary")
SESSION = (
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c bytea_output=hex"
)


@dataclass
class Comparison:
    """What was found; true if both sides are the same. Printed, it is a sentence."""

    liquidation_id: int
    prod_rows: int = 0
    consulta_rows: int = 0
    missing: int = 0  # in prod only
    surplus: int = 0  # in consulta only
    altered: int = 0
    examples: dict[str, list[int]] = field(default_factory=dict)
    prod_sha256: str = ""
    consulta_sha256: str = ""
    prod_binary_sha256: str = ""
    consulta_binary_sha256: str = ""
    rules: Mapping[str, str] = field(default_factory=dict)  # what should have become of which column

    def __bool__(self) -> bool:
        return (
            self.missing == self.surplus == self.altered == 0
            and self.prod_rows == self.consulta_rows
            and self.prod_sha256 == self.consulta_sha256
            and self.prod_binary_sha256 == self.consulta_binary_sha256
        )

    @property
    def short(self) -> str:
        """For one of several tables; where they differ, the sentence."""
        if not self:
            return str(self)
        rows = f"{self.prod_rows:,} {'row' if self.prod_rows == 1 else 'rows'}"
        rules = ", ".join(f"{column} {TREATED[rule]}" for column, rule in self.rules.items())
        but = f"; {rules}, as they should be" if rules else ""
        return f"{rows}, the same byte by byte, sha256 {self.prod_sha256[:16]}…{but}"

    def __str__(self) -> str:
        if self:
            return (
                f"Liquidation {self.liquidation_id} is the same on both sides, byte by byte, as text and in "
                f"binary: {self.prod_rows:,} rows, sha256 {self.prod_sha256[:16]}…"
            )
        kinds = {
            "missing in consulta": ("missing", self.missing),
            "surplus in consulta": ("surplus", self.surplus),
            "altered": ("altered", self.altered),
        }
        found = [
            f"{count:,} {words} (id {', '.join(map(str, self.examples[kind]))}"
            + (", …)" if count > EXAMPLES else ")")
            for words, (kind, count) in kinds.items()
            if count
        ]
        return (
            f"Liquidation {self.liquidation_id} differs: prod has {self.prod_rows:,} rows, consulta "
            f"{self.consulta_rows:,}; {', '.join(found) or 'the same as text, but not in binary'}"
        )


@dataclass(frozen=True, slots=True)
class Table:
    """A table of both sides. ``belongs`` is the condition of SQL for the rows of ``%(liquidation)s``.

    ``key`` is a column of integers. ``rules`` say what consulta has in the place of a column's values:
    ``mask``, ``hash``, ``null`` or ``omit``; the others are as prod has them.
    """

    name: str
    belongs: str
    key: str = "id"
    rules: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Whole:
    """What was found of several tables, and where in consulta a value is that should have stayed in prod."""

    tables: dict[str, Comparison] = field(default_factory=dict)
    searched: Searched | None = None

    def __bool__(self) -> bool:
        return all(self.tables.values()) and (self.searched is None or bool(self.searched))

    def __str__(self) -> str:
        return "\n".join(text for _, text in self.lines())

    def lines(self) -> list[tuple[bool, str]]:
        """A sentence for each table and one for the search, each with whether all is as it should be."""
        found = [(bool(each), f"{name}: {each.short}") for name, each in self.tables.items()]
        return found if self.searched is None else [*found, (bool(self.searched), str(self.searched))]


def compare(
    prod_url: str,
    consulta_url: str,
    liquidation_id: int,
    *,
    table: str = "liquidation_items",
    column: str = "liquidation_id",
    key: str = "id",
) -> Comparison:
    """`key` is a column of integers. The columns are those of prod's table, by name."""
    one = Table(table, f"{column} = %(liquidation)s", key)
    with _both(prod_url, consulta_url) as (prod, consulta):
        return _compared(prod, consulta, one, liquidation_id, "")


def compare_whole(
    prod_url: str,
    consulta_url: str,
    liquidation_id: int,
    tables: Sequence[Table],
    *,
    secret: str = "",
    beside: Mapping[str, str] | None = None,
) -> Whole:
    """Compares the tables, each side at one moment, and searches for what should have stayed in prod.

    Hashes are keyed with ``secret``. ``beside`` are texts that are searched too, such as logs, by name.
    """
    whole = Whole()
    with _both(prod_url, consulta_url) as (prod, consulta):
        for table in tables:
            whole.tables[table.name] = _compared(prod, consulta, table, liquidation_id, secret)
        whole.searched = _searched(prod, consulta, tables, beside or {})
    return whole


@contextmanager
def _both(prod_url: str, consulta_url: str) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    with (
        psycopg.connect(prod_url, options=SESSION, client_encoding="UTF8") as prod,
        psycopg.connect(consulta_url, options=SESSION, client_encoding="UTF8") as consulta,
    ):
        for side in (prod, consulta):
            side.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            side.read_only = True
        yield prod, consulta


def _compared(
    prod: psycopg.Connection, consulta: psycopg.Connection, table: Table, liquidation_id: int, secret: str
) -> Comparison:
    result = Comparison(liquidation_id, rules=table.rules)
    columns = [name for name in _columns(prod, table) if table.rules.get(name) != "omit"]
    as_they_are = [name for name in columns if name not in table.rules]
    select = _select(table, columns, liquidation_id)
    meant = _treated(_stream(prod, select, TEXT), [table.rules.get(name, "") for name in columns], secret)
    _compare_text(meant, _stream(consulta, select, TEXT), result)
    select = _select(table, as_they_are, liquidation_id)
    result.prod_binary_sha256 = _digest(_stream(prod, select, BINARY))
    result.consulta_binary_sha256 = _digest(_stream(consulta, select, BINARY))
    return result


def _columns(prod: psycopg.Connection, table: Table) -> list[str]:
    """The key comes first, so that a line of text can be told by it."""
    name = sql.Identifier(*table.name.split("."))
    described = prod.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(name)).description or []
    return [table.key, *(c.name for c in described if c.name != table.key)]


def _select(table: Table, columns: Sequence[str], liquidation_id: int) -> sql.Composed:
    belongs = table.belongs.replace("%(liquidation)s", str(int(liquidation_id)))
    return sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.Identifier(*table.name.split(".")),
        sql.SQL(belongs),  # of this repository, never typed by anybody
        sql.Identifier(table.key),
    )


# -- What must not leave prod


def _treated(rows: Iterator[bytes], rules: Sequence[str], secret: str) -> Iterator[bytes]:
    """The rows as consulta should have them; docs/security.md and docs/whole-liquidation.md say how."""
    if not any(rules):
        yield from rows
        return
    key = hmac.digest(secret.encode(), b"traspaso column hash 1", "sha256")
    for row in rows:
        values = row.removesuffix(b"\n").split(b"\t")
        yield b"\t".join(map(partial(_value, key), rules, values)) + b"\n"


def _value(key: bytes, rule: str, value: bytes) -> bytes:
    if not rule or value == NULL:
        return value
    text = _unescaped(value)
    if rule == "hash":
        return hmac.digest(key, text.encode(), "sha256").hex().encode()
    if rule == "mask":
        return _escaped((text[0] if len(text) >= 4 else "") + "***")
    if rule == "null":
        return NULL
    raise ValueError(f"no such rule: {rule}")


def _unescaped(value: bytes) -> str:
    """A value of COPY's text format."""
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), value.decode(), flags=re.DOTALL)


def _escaped(text: str) -> bytes:
    return re.sub(r"[\b\f\n\r\t\v\\]", lambda found: "\\" + _ESCAPED[found[0]], text).encode()


@dataclass
class Searched:
    """For how many values, in how many tables and texts; and where there are any, which is never shown."""

    values: int = 0
    columns: list[str] = field(default_factory=list)
    tables: int = 0
    texts: list[str] = field(default_factory=list)
    found: dict[tuple[str, str], int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.values > 0 and not self.found

    def __str__(self) -> str:
        where = ", ".join([f"the {self.tables} tables of consulta", *self.texts])
        if not self.values:
            return f"There is no value in prod to search for in {where}"
        what = f"{self.values:,} values of {', '.join(self.columns)}"
        if not self.found:
            return f"None of the {what} is in {where}"
        places = (f"{n:,} of {column} in {place}" for (column, place), n in self.found.items())
        return f"Should have stayed in prod: {'; '.join(places)}"


def _searched(
    prod: psycopg.Connection, consulta: psycopg.Connection, tables: Sequence[Table], beside: Mapping[str, str]
) -> Searched:
    """Looks for the values of all liquidations that have a rule, in every column, of whatever type."""
    result = Searched(texts=list(beside))
    needles: dict[str, str] = {}  # each with its column
    for table in tables:
        for column in table.rules:
            name = f"{table.name}.{column}"
            result.columns.append(name)
            values = _values(prod, table, column)
            result.values += len(values)
            needles |= {form: name for value in values for form in _forms(value)}
    find = _Finder(needles)
    for schema, name in consulta.execute(ALL_TABLES).fetchall():
        result.tables += 1
        columns = consulta.execute(
            sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(schema, name))
        ).description
        select = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, name))
        for row in _stream(consulta, select, TEXT):
            for at, value in enumerate(row.removesuffix(b"\n").split(b"\t")):
                for needle in find(_unescaped(value)):
                    place = needles[needle], f"{schema}.{name}.{(columns or [])[at].name}"
                    result.found[place] = result.found.get(place, 0) + 1
    for name, text in beside.items():
        for needle in find(text):
            result.found[needles[needle], name] = result.found.get((needles[needle], name), 0) + 1
    return result


def _values(prod: psycopg.Connection, table: Table, column: str) -> list[str]:
    select = sql.SQL("SELECT DISTINCT {0}::text FROM {1} WHERE {0} IS NOT NULL").format(
        sql.Identifier(column), sql.Identifier(*table.name.split("."))
    )
    return [row[0] for row in prod.execute(select)]


def _forms(value: str) -> Iterator[str]:
    """How a value may have been written down: as it is, escaped, as bytes; a number without its hyphens, and
    its longer parts, as the DNI in a CUIL."""
    yield from {value, json.dumps(value)[1:-1], value.encode().hex()}
    if re.fullmatch(r"[\d-]+", value):
        yield value.replace("-", "")
        yield from (part for part in value.split("-") if len(part) >= SHORTEST)


class _Finder:
    """Finds which of many strings are in a text: by their first characters, then by all of them."""

    def __init__(self, needles: Iterable[str]) -> None:
        self._by_start: dict[str, list[str]] = {}
        for needle in needles:
            if len(needle) < SHORTEST:
                raise ValueError(f"a value of fewer than {SHORTEST} characters can't be searched for")
            self._by_start.setdefault(needle[:SHORTEST], []).append(needle)

    def __call__(self, text: str) -> Iterator[str]:
        starts = self._by_start
        for at in range(len(text) - SHORTEST + 1):
            for needle in starts.get(text[at : at + SHORTEST], ()):
                if text.startswith(needle, at) and not _by_chance(needle, text, at):
                    yield needle


def _by_chance(needle: str, text: str, at: int) -> bool:
    """A few digits within a longer number, or within a hash, are nobody's."""
    if not needle.isdigit() or len(needle) > LONGEST_BY_CHANCE:
        return False
    around = text[max(0, at - 1) : at] + text[at + len(needle) : at + len(needle) + 1]
    return any(each.isalnum() for each in around)


def _stream(side: psycopg.Connection, select: sql.Composed, form: sql.SQL) -> Iterator[bytes]:
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT {})").format(select, form)
    with side.cursor() as cursor, cursor.copy(statement) as copy:
        for row in copy:  # the server sends a message a row
            yield bytes(row)


def _digest(stream: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for row in stream:
        digest.update(row)
    return digest.hexdigest()


def _compare_text(prod: Iterator[bytes], consulta: Iterator[bytes], result: Comparison) -> None:
    """Walks down both sides as a merge does; a side that has ended has an infinite key."""
    prod_digest, consulta_digest = hashlib.sha256(), hashlib.sha256()
    left, right = next(prod, b""), next(consulta, b"")
    while left or right:
        left_key, right_key = _key(left), _key(right)
        if left_key < right_key:
            result.missing += 1
            _note(result, "missing", left_key)
        elif left_key > right_key:
            result.surplus += 1
            _note(result, "surplus", right_key)
        elif left != right:
            result.altered += 1
            _note(result, "altered", left_key)
        take_left, take_right = left_key <= right_key, right_key <= left_key
        if take_left:
            prod_digest.update(left)
            result.prod_rows += 1
            left = next(prod, b"")
        if take_right:
            consulta_digest.update(right)
            result.consulta_rows += 1
            right = next(consulta, b"")
    result.prod_sha256, result.consulta_sha256 = prod_digest.hexdigest(), consulta_digest.hexdigest()


def _key(row: bytes) -> float:
    return int(row.split(b"\t", 1)[0]) if row else math.inf


def _note(result: Comparison, kind: str, key: float) -> None:
    examples = result.examples.setdefault(kind, [])
    if len(examples) < EXAMPLES:
        examples.append(int(key))
