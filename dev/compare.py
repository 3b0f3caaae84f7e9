"""Is a liquidation the same on both sides? Asked without any of the product's code.

Both tables are read by COPY in the order of their key, at the same time and as streams, and compared byte
by byte: first as text, where a difference can be told row by row, then in PostgreSQL's binary format, where
only the digests are compared.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

EXAMPLES = 5
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

    def __bool__(self) -> bool:
        return (
            self.missing == self.surplus == self.altered == 0
            and self.prod_rows == self.consulta_rows
            and self.prod_sha256 == self.consulta_sha256
            and self.prod_binary_sha256 == self.consulta_binary_sha256
        )

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
    result = Comparison(liquidation_id)
    with (
        psycopg.connect(prod_url, options=SESSION, client_encoding="UTF8") as prod,
        psycopg.connect(consulta_url, options=SESSION, client_encoding="UTF8") as consulta,
    ):
        for side in (prod, consulta):
            side.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            side.read_only = True
        select = _select(prod, table, column, key, liquidation_id)
        _compare_text(_stream(prod, select, TEXT), _stream(consulta, select, TEXT), result)
        result.prod_binary_sha256 = _digest(_stream(prod, select, BINARY))
        result.consulta_binary_sha256 = _digest(_stream(consulta, select, BINARY))
    return result


def _select(prod: psycopg.Connection, table: str, column: str, key: str, liquidation_id: int) -> sql.Composed:
    """The key comes first, so that a line of text can be told by it."""
    name = sql.Identifier(*table.split("."))
    described = prod.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(name)).description or []
    columns = [key, *(c.name for c in described if c.name != key)]
    return sql.SQL("SELECT {} FROM {} WHERE {} = {} ORDER BY {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        name,
        sql.Identifier(column),
        sql.Literal(liquidation_id),
        sql.Identifier(key),
    )


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
