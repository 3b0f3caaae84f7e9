"""Tables from classes that are written as SQLAlchemy's ORM wants them, without the ORM.

Every statement here is one of SQLAlchemy Core, and no object is loaded or saved. So all that is needed of a
mapped class is its table and its columns, under their names. The ORM itself takes an eighth of a second of
each process to load and to set up. A type checker sees the ORM's classes (`bot.jobs.models`), which know the
type of each column; at run time they are these. A SELECT of several tables that joins says from which one it
begins, by `select_from`: the ORM takes the first one, Core asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast

from sqlalchemy import Boolean, Column, Float, MetaData, Table
from sqlalchemy.engine import Row
from sqlalchemy.sql.expression import FromClause
from sqlalchemy.types import TypeEngine

M = TypeVar("M")

#: What an annotation says: the type, and whether the column may be NULL.
_MAPPED = re.compile(r"Mapped\[(?P<type>.+?)(?P<nullable> \| None)?\]")


class _Declared:
    """What `mapped_column` was given; the column's name and type are not known yet."""

    def __init__(self, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.args, self.options = args, options

    def column(self, name: str, annotation: str, types: Mapping[str, TypeEngine[Any]]) -> Column[Any]:
        found = _MAPPED.fullmatch(annotation)
        if found is None:
            raise TypeError(f"the column {name} is annotated with {annotation}, which isn't Mapped[…]")
        args = list(self.args)
        if not (args and _is_type(args[0])):
            if found["type"] not in types:
                raise TypeError(f"the column {name} needs a type of SQL, as {found['type']} has several")
            args.insert(0, types[found["type"]])
        nullable = found["nullable"] is not None
        return Column(name, *args, **{"nullable": nullable, **self.options})


def mapped_column(*args: Any, **options: Any) -> _Declared:
    """As the ORM's: what `Column` takes, but for the name. The annotation says whether it may be NULL."""
    return _Declared(args, options)


class DeclarativeBase:
    """A class with a ``__tablename__`` gets a table of ``metadata``, and its columns as attributes.

    ``type_annotation_map`` has the types of columns whose `mapped_column` names none.
    """

    metadata: ClassVar[MetaData]
    type_annotation_map: ClassVar[dict[type, TypeEngine[Any]]]
    __table__: ClassVar[Table]

    def __init_subclass__(cls) -> None:
        if "__tablename__" not in cls.__dict__:
            return
        types: dict[str, TypeEngine[Any]] = {"bool": Boolean(), "float": Float()}
        types |= {each.__name__: found for each, found in cls.type_annotation_map.items()}
        columns = [
            cls.__dict__.get(name, mapped_column()).column(name, annotation, types)
            for name, annotation in cls.__annotations__.items()
        ]
        parts = cls.__dict__.get("__table_args__", ())
        cls.__table__ = Table(cls.__dict__["__tablename__"], cls.metadata, *columns, *parts)
        for column in columns:
            setattr(cls, column.name, column)

    @classmethod
    def __clause_element__(cls) -> Table:
        """What SQLAlchemy takes where a class stands in a statement."""
        return cls.__table__


class _Alias:
    """A second name of a table within a statement, with its columns as attributes."""

    def __init__(self, table: FromClause) -> None:
        self._table = table

    def __clause_element__(self) -> FromClause:
        return self._table

    def __getattr__(self, name: str) -> Any:
        try:
            return self._table.c[name]
        except KeyError:
            raise AttributeError(name) from None


def aliased(mapped: type[M], name: str | None = None) -> type[M]:
    """As the ORM's: the table of this class under another name, in one statement."""
    table: Table = mapped.__table__  # type: ignore[attr-defined]
    return cast("type[M]", _Alias(table.alias(name)))


def records(row: Row[*tuple[Any, ...]], *mapped: Any) -> list[Any]:
    """What a row has of each of these classes and aliases, with which its SELECT began, in their order.

    Of one that an outer join found no row for it is None.
    """
    found, at = [], 0
    for each in mapped:
        table: FromClause = each.__clause_element__()
        values = row[at : at + len(table.c)]
        at += len(table.c)
        is_there = any(value is not None for value in values)
        found.append(SimpleNamespace(**dict(zip(table.c.keys(), values, strict=True))) if is_there else None)
    return found


def _is_type(value: Any) -> bool:
    return isinstance(value, TypeEngine) or (isinstance(value, type) and issubclass(value, TypeEngine))
