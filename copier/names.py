"""Names of tables as an administrator writes them, read the way SQL reads them.

``public.items`` and ``Public.ITEMS`` are one table; ``"Weird Schema"."Items"`` keeps its capitals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import sql

from copier.errors import BadName

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

_PART = re.compile(r'"(?P<quoted>(?:[^"\x00]|"")+)"|(?P<plain>[^\W\d][\w$]*)')


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A schema-qualified table name, parts unquoted as the catalog holds them."""

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
