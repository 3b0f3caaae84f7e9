"""What stands for a row: a 64-bit hash of its compared values, computed by PostgreSQL's own functions.

Each value is hashed with a seed of its column's own, and the exclusive-or of these hashes is hashed once
more, so that two rows that exchange a value don't cancel out. Every bit of a value is taken in: where equal
values are identical, its type's own hash is asked, and for all other types that of the bytes which the
binary output sends. So 1.0 and 1.00, -0.0 and 0.0, or two spellings of one interval do differ; and so do
1 and 2^32, which have one hash as bigint.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from copier.columns import Pair, modifier
from copier.model import Digest

#: Types whose equality is identity, and the hash that takes in every bit of theirs; that of a bigint folds
#: it to 32 bits, and so is asked for its upper half too. All others are hashed through their binary output:
#: numeric's hash ignores the sign and the scale, and those of 64-bit times fold them.
IDENTICAL_WHEN_EQUAL = {
    "boolean": "hashboolextended",
    "smallint": "hashint2extended",
    "integer": "hashint4extended",
    "bigint": "hashint8extended",
    "oid": "hashoidextended",
    "text": "hashtextextended",
    "character varying": "hashtextextended",
    "name": "hashnameextended",
    "bytea": "hashbyteaextended",
    "date": "hashdateextended",
    "uuid": "uuid_hash_extended",
}

#: What SQL can't call in older versions, other than by hashing a record.
SINCE_18 = frozenset({"hashboolextended", "hashbyteaextended", "hashdateextended"})
_TYPES_SINCE_18: dict[str, LiteralString] = {
    "hashboolextended": "boolean",
    "hashbyteaextended": "bytea",
    "hashdateextended": "date",
}


@dataclass(frozen=True, slots=True)
class Hashed:
    """What is hashed in a value's place: the value itself or the bytes that are sent for it, and by what."""

    value: sql.Composable
    function: str


def hashed(pair: Pair, *, of_source: bool) -> Hashed:
    """Both sides hash a value as the target's type, each by its own functions.

    Types that only text can carry are hashed as text. What a server sends is in the client's encoding, so
    sides of different encodings hash alike.
    """
    value = pair.selected if of_source else sql.Identifier(pair.target.name)
    found = _hashed(pair, value, of_source=of_source)
    if of_source and pair.is_emptied:
        return _of_null(found.function)
    return found


def _hashed(pair: Pair, value: sql.Composable, *, of_source: bool) -> Hashed:
    if pair.target.type.kind.form == "domain" and pair.target.type.kind.base.form == "enum":
        return _as_text(value)  # enum_send takes no domain
    send = (pair.source if of_source and not pair.is_cast else pair.target).type.send
    if send is None or not pair.crosses_in_binary:
        return _as_text(value)
    function = _function(pair)
    same_text = pair.target.deterministic and pair.source.deterministic
    if function and same_text and pair.source.encoding == pair.target.encoding:
        return Hashed(value, function)
    return Hashed(sql.SQL("{}({})").format(sql.Identifier(*send), value), "hashbyteaextended")


def _of_null(function: str) -> Hashed:
    """A NULL in the place of a value that this function hashes: of a type that the source has too."""
    if function in SINCE_18:
        return Hashed(sql.SQL("NULL::{}").format(sql.SQL(_TYPES_SINCE_18[function])), function)
    return Hashed(sql.SQL("NULL::text"), "hashtextextended")


def identical_when_equal(pair: Pair) -> bool:
    """Whether two values of the target's type that are equal are the same to the bit."""
    return pair.target.type.base in IDENTICAL_WHEN_EQUAL and pair.target.deterministic


def _as_text(value: sql.Composable) -> Hashed:
    return Hashed(sql.SQL("pg_catalog.textsend(({})::text)").format(value), "hashbyteaextended")


def row_hash(values: Iterable[Hashed], *, version: int) -> sql.Composable:
    """The expression whose value is one row's hash: an int8, NULL never.

    ``version`` is the lower one of both sides': they hash by the functions that it has.
    """
    hashes: list[sql.Composable] = []
    record: list[sql.Composable] = []
    for number, each in enumerate(values, 1):
        if each.function in SINCE_18 and version < 18:
            record.append(each.value)
            continue
        hashes.append(_hash(each.function, each.value, number))
        if each.function == "hashint8extended":
            hashes.append(_hash(each.function, sql.SQL("{} >> 32").format(each.value), -number))
    if record:
        hashes.append(
            sql.SQL("pg_catalog.hash_record_extended(ROW({}), 0)").format(sql.SQL(", ").join(record))
        )
    return sql.SQL("pg_catalog.hashint4extended(0, {})").format(sql.SQL(" # ").join(hashes or [sql.SQL("0")]))


def _hash(function: str, value: sql.Composable, seed: int) -> sql.Composable:
    """That of NULL is 0."""
    return sql.SQL("coalesce(pg_catalog.{}({}, {}), 0)").format(sql.SQL(function), value, sql.SQL(str(seed)))


def _function(pair: Pair) -> str | None:
    """Of one length, char(n) is padded alike: only its blanks would not be hashed."""
    here, there = pair.source.type, pair.target.type
    if there.base == "bpchar" and here.sql == there.sql and modifier(there.sql):
        return "hashbpcharextended"
    return IDENTICAL_WHEN_EQUAL.get(there.base)


# -------------------------------------------------------------------------- rows' hashes as one byte string


def digest_of(hashes: array[int]) -> Digest:
    """The digest of the rows that have these hashes: folded in halves, until one is left."""
    folded, left = int.from_bytes(hashes.tobytes(), sys.byteorder), len(hashes)
    while left > 1:
        half = left // 2
        folded = folded >> 64 * half ^ folded & (1 << 64 * half) - 1
        left -= half
    return Digest(len(hashes), int.from_bytes(folded.to_bytes(8), signed=True))


def unpacked(packed: bytes | bytearray | None) -> array[int]:
    """Big-endian 64-bit numbers as the server joined them; None stands for no rows."""
    numbers = array("q", packed or b"")
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
