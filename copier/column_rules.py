"""What must not leave the source: a rule for a column, and the SQL by which the source keeps it.

A rule is kept in the source's own SELECT, so that the value doesn't leave its server, neither by itself nor
in a row's hash. A hash is HMAC-SHA256 (RFC 2104), written with PostgreSQL's own sha256. It is of the text
that PostgreSQL writes for the value, so that equal values of two tables have equal hashes.

The key of the hashes is a setting of the transaction, which only its own session can read. No statement has
it: the server chooses a random pad and answers it, and is then sent the key combined with the pad.
So neither the server's log, with the values of parameters or without, nor pg_stat_activity or
pg_stat_statements shows it.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from psycopg import sql

#: The shortest secret that hashes are keyed with, in characters.
SECRET_LENGTH = 32
#: Texts of fewer characters are masked as a whole, and what stands for the rest of any other one.
SHOWN_FROM, MASK = 4, "***"
#: Characters of a hash as text, and of a mask.
HASH_LENGTH, MASK_LENGTH = 64, 1 + len(MASK)

#: The setting of the transaction with the key: an array of four bigints. Outside of it the setting is empty,
#: or isn't there; both are errors and not another key.
_KEY = "traspaso.hash_key"
#: The bytes that HMAC combines the key with, each eight times.
_INNER, _OUTER = 0x3636363636363636, 0x5C5C5C5C5C5C5C5C


class Treatment(StrEnum):
    """What becomes of a column."""

    COPY = "copy"  # it is copied as it is
    OMIT = "omit"  # it isn't read; in the target it is NULL or its default, or isn't there
    NULL = "null"  # it is NULL in the target
    HASH = "hash"  # its keyed hash is copied
    MASK = "mask"  # its first character is copied, and a mask for the rest


class NewColumns(StrEnum):
    """What becomes of a column that came since the last completed copy, and for which there is no rule."""

    REFUSE = "refuse"
    COPY = "copy"
    OMIT = "omit"


@dataclass(frozen=True, slots=True, order=True)
class ColumnRule:
    """What becomes of one column, with its name in the system catalog."""

    column: str
    treatment: Treatment


@dataclass(frozen=True, slots=True)
class HashKey:
    """The key of all hashes; nothing shows it."""

    _key: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: str) -> Self:
        """From the secret of an installation, which itself never leaves the process.

        Raises:
            ValueError: it is shorter than `SECRET_LENGTH`.
        """
        if len(secret) < SECRET_LENGTH:
            raise ValueError(f"a secret of {SECRET_LENGTH} characters or more is needed")
        return cls(hmac.digest(secret.encode(), b"traspaso column hash 1", hashlib.sha256))

    @property
    def check(self) -> str:
        """Another text for another key, which doesn't reveal the key."""
        return hmac.digest(self._key, b"traspaso check 1", hashlib.sha256).hex()[:12]

    def statement(self, pad: str) -> sql.Composable:
        """Makes the key a setting of the transaction; ``pad`` is what `PAD` has given there just before.

        The server doesn't answer the key.
        """
        numbers = [
            int.from_bytes(self._key[at : at + 8], signed=True) ^ int(pad[2 * at : 2 * at + 16], 16)
            for at in range(0, 32, 8)
        ]
        padded = (sql.Literal(str(_signed(number))) for number in numbers)
        return sql.SQL(
            "SELECT set_config('{key}', ARRAY[{numbers}]::text, true) IS NULL "
            "FROM (SELECT current_setting('{key}')) AS own (pad)"
        ).format(
            key=sql.SQL(_KEY),
            numbers=sql.SQL(", ").join(
                sql.SQL("{}::bigint # ('x' || substr(own.pad, {}, 16))::bit(64)::bigint").format(
                    number, sql.Literal(1 + 16 * place)
                )
                for place, number in enumerate(padded)
            ),
        )


#: Has the server think of a pad for the key, in the setting that is to hold it, and gives it: 64 hexadecimal
#: digits.
PAD = sql.SQL("""
    SELECT set_config('{}', encode(pg_catalog.sha256(
             uuid_send(pg_catalog.gen_random_uuid()) || uuid_send(pg_catalog.gen_random_uuid())
             || uuid_send(pg_catalog.gen_random_uuid())), 'hex'), true)
""").format(sql.SQL(_KEY))


def as_text(value: sql.Composable) -> sql.Composable:
    return sql.SQL("{}::text").format(value)


def hashed(value: sql.Composable) -> sql.Composable:
    """The keyed hash of the value's text, as 32 bytes; NULL of NULL."""
    return sql.SQL("pg_catalog.sha256({} || pg_catalog.sha256({} || convert_to({}, 'UTF8')))").format(
        _padded_key(_OUTER), _padded_key(_INNER), as_text(value)
    )


def masked(value: sql.Composable) -> sql.Composable:
    """The first character and a mask of one length; a short text is a mask as a whole. NULL of NULL."""
    return sql.SQL(
        "CASE WHEN char_length({text}) < {shown} THEN {mask} ELSE left({text}, 1) || {mask} END"
    ).format(text=as_text(value), shown=sql.Literal(SHOWN_FROM), mask=sql.Literal(MASK))


def _padded_key(byte: int) -> sql.Composable:
    """The key as HMAC's block of 64 bytes, computed once for a statement."""
    parts = [sql.SQL("int8send(k[{}] # {})").format(place, sql.Literal(byte)) for place in range(1, 5)]
    return sql.SQL(
        "(SELECT {} || decode(repeat({}, 32), 'hex') "
        "FROM (SELECT current_setting('{}')::bigint[]) AS own (k))"
    ).format(sql.SQL(" || ").join(parts), sql.Literal(f"{byte & 0xFF:02x}"), sql.SQL(_KEY))


def _signed(number: int) -> int:
    """64 bits as PostgreSQL's bigint."""
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number
