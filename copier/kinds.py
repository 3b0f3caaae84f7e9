"""What a column's type is, down to what it is made of: its name alone doesn't tell.

A domain has a base, an array its elements, a range its bounds, a composite its members in their order. Two
servers may have another type of the same name, and one extension's type in two schemas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Form = Literal["base", "enum", "domain", "array", "range", "multirange", "composite"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A type as both sides can compare it: two that are equal are the same type.

    ``written`` is ``name`` with its modifier; a type of an extension is named by the extension, whatever its
    schema. ``details`` is what else makes it what it is: how a range sorts its bounds, how many decimals
    money has, how a type that isn't PostgreSQL's own is sent. ``parts`` are its base, elements, subtype,
    range or members, by their names.

    What isn't compared is known to one server only: whether it ``is_builtin``, its OID ``is_everywhere``,
    it ``has_binary`` form; the ``labels`` of an enum; the ``collations`` that it compares by; the schema of
    its ``operators``; how it is ``spelled``.
    """

    form: Form
    name: str
    written: str
    details: str = ""
    parts: tuple[tuple[str, Kind], ...] = ()
    is_builtin: bool = field(default=True, compare=False)
    is_everywhere: bool = field(default=True, compare=False)
    has_binary: bool = field(default=True, compare=False)
    labels: tuple[str, ...] = field(default=(), compare=False)
    collations: tuple[str, ...] = field(default=(), compare=False)
    operators: str = field(default="pg_catalog", compare=False)
    spelled: str = field(default="", compare=False)

    def all(self) -> Iterator[Kind]:
        """This type and all that it is made of."""
        yield self
        for _, part in self.parts:
            yield from part.all()

    @property
    def base(self) -> Kind:
        """What a domain is made of; else the type itself."""
        return self.parts[0][1].base if self.form == "domain" and self.parts else self

    @property
    def spellings(self) -> set[str]:
        """How the server writes what another may read as another value: money, by its lc_monetary."""
        return {each.spelled for each in self.all()}

    @property
    def names_objects(self) -> bool:
        """Whether it holds a regclass or its like: a number of one server, written as a name."""
        return any(_is_name(each) for each in self.all())

    def crosses_in_binary(self, *, with_oid: bool = False) -> bool:
        """Whether its binary form carries no OID that only one server knows.

        An array sends its elements ``with_oid`` of their type, and a composite its members.
        """
        if not self.has_binary or _is_name(self):
            return False
        if (with_oid or self.form == "composite") and not self.is_everywhere:
            return False
        inner = self.form in {"array", "composite"}
        return all(part.crosses_in_binary(with_oid=inner) for _, part in self.parts)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type. ``sql`` is how SQL writes it (``numeric(14,2)``); ``base`` drops the modifier.

    The base of ``character(9)`` is ``bpchar``, because ``character`` alone means one character.

    ``send`` is schema and name of the binary output function, None where the type has none;
    ``kind`` is what the type is, which the other side's can be compared with.
    """

    sql: str
    base: str
    send: tuple[str, str] | None
    kind: Kind

    @property
    def portable(self) -> bool:
        """Whether another server reads its binary form as the same value."""
        return self.send is not None and self.kind.crosses_in_binary()


def _is_name(kind: Kind) -> bool:
    return kind.is_builtin and kind.form == "base" and kind.name.startswith("reg")
