"""Whether a type of consulta keeps every value of prod's: the same type, a wider one, or why it doesn't.

A column's own type may be wider in consulta, because prod casts its values. What a type is made of is
never cast, so there a value has to stay the same to the bit.
"""

from __future__ import annotations

import re
from itertools import zip_longest

from copier.kinds import ColumnType, Kind

#: Widenings between base types that keep every value.
WIDENINGS = {
    "smallint": {"integer", "bigint", "numeric"},
    "integer": {"bigint", "numeric"},
    "bigint": {"numeric"},
    "real": {"double precision"},
    "character varying": {"text"},
    "name": {"text"},
    "text": {"character varying"},
    "date": {"timestamp without time zone"},
}

#: Types that hold any text, and send it alike.
TEXTS = {"text", "character varying"}


def loss(source: ColumnType, target: ColumnType) -> str | None:
    """Why a value of the source type may not survive in the target type; None where it does."""
    ours, theirs = source.kind, target.kind
    if ours.name != theirs.name and source.base != target.base:
        return _too_narrow(source.sql, source.base, target.sql, target.base)
    if found := _difference(ours, theirs, ""):
        return f"these are two types of one name, {found}: make them the same"
    if _decimals(ours) != _decimals(theirs):
        return (
            f"money has {_decimals(ours)} in prod and {_decimals(theirs)} in consulta by the lc_monetary of "
            f"each database: set it alike on both"
        )
    if not (source.portable and target.portable) and ours.spellings != theirs.spellings:
        return "it holds money, which the lc_monetary of each database writes otherwise: set it alike on both"
    if not ours.is_builtin:  # what a modifier means only its extension knows
        kept = theirs.written in {ours.written, theirs.name}
        return None if kept else f"make consulta's column {source.sql}"
    return _too_narrow(source.sql, source.base, target.sql, target.base)


def modifier(type_sql: str) -> tuple[int, ...]:
    """``(14, 2)`` of ``numeric(14,2)``; empty where the type has none."""
    found = re.search(r"\((-?\d+)(?:,(-?\d+))?\)", type_sql)
    return tuple(int(part) for part in found.groups() if part is not None) if found else ()


def _difference(ours: Kind, theirs: Kind, what: str) -> str | None:
    """How two types differ, in words; None where a value is the same in both.

    ``what`` names the part that is looked at. It is empty for a column's own type and its elements, whose
    modifier may be wider.
    """
    if ours == theirs:
        return None
    if ours.form == theirs.form == "base":
        return _difference_of_base(ours, theirs, what)
    if ours.name != theirs.name:
        return f"{what or 'the type'} is {ours.written} in prod and {theirs.written} in consulta"
    if ours.form != theirs.form:
        return f"{ours.name} is of the kind {ours.form} in prod and {theirs.form} in consulta"
    if ours.form == "composite":
        return _difference_of_members(ours, theirs)
    names = {
        "domain": f"the base of {ours.name}",
        "range": f"the subtype of {ours.name}",
        "array": what and f"an element of {what}",
    }
    for (_, our_part), (_, their_part) in zip(ours.parts, theirs.parts, strict=False):
        if found := _difference(our_part, their_part, names.get(ours.form, what)):
            return found
    if ours.details != theirs.details:
        return f"{ours.name} is sorted by {ours.details} in prod and by {theirs.details} in consulta"
    return None


def _difference_of_base(ours: Kind, theirs: Kind, what: str) -> str | None:
    same_name = ours.name == theirs.name
    if same_name and ours.details != theirs.details and not ours.spelled:  # money has words of its own
        return f"{ours.name} is sent by {ours.details} in prod and by {theirs.details} in consulta"
    if (same_name and not what) or _keeps_every_bit(ours, theirs):
        return None
    return f"{what or 'the type'} is {ours.written} in prod and {theirs.written} in consulta"


def _difference_of_members(ours: Kind, theirs: Kind) -> str | None:
    pairs = list(zip_longest(ours.parts, theirs.parts))
    for number, (our_member, their_member) in enumerate(pairs, 1):
        here, there = (member[0] if member else "nothing" for member in (our_member, their_member))
        if here != there:
            return f"member {number} of {ours.name} is {here} in prod and {there} in consulta"
    for (name, our_part), (_, their_part) in pairs:
        if found := _difference(our_part, their_part, f"member {name} of {ours.name}"):
            return found
    return None


def _keeps_every_bit(ours: Kind, theirs: Kind) -> bool:
    """Whether a base type within another one takes any value as it is: another scale would not."""
    if not ours.is_builtin:
        return theirs.written in {ours.written, theirs.name} and ours.name == theirs.name
    if ours.name != theirs.name and not {ours.name, theirs.name} <= TEXTS:
        return False
    if _too_narrow(ours.written, ours.name, theirs.written, theirs.name):
        return False
    here, there = modifier(ours.written), modifier(theirs.written)
    return ours.name != "numeric" or not there or (*here, 0)[1] == (*there, 0)[1]


def _decimals(kind: Kind) -> str:
    return ", ".join(sorted({each.details for each in kind.all() if each.spelled}))


def _too_narrow(source_sql: str, source_base: str, target_sql: str, target_base: str) -> str | None:
    """What consulta's column has to be, where its type may not hold every value; None where it does."""
    if source_sql == target_sql:
        return None
    if source_base != target_base:
        if target_base not in WIDENINGS.get(source_base, ()):
            return f"make consulta's column {source_sql}"
        if target_base == "character varying" and modifier(target_sql):
            return "make consulta's column text"
        if target_base == "numeric" and modifier(target_sql):
            return "make consulta's column numeric without precision"
        return None
    wide, narrow = modifier(target_sql), modifier(source_sql)
    element = source_base.removesuffix("[]")
    if element in {"bpchar", '"bit"'} or (element == "interval" and _fields(target_sql)):
        return f"make consulta's column {source_sql}"
    if not wide:
        return None
    if not narrow:
        # Without a modifier times and intervals keep six digits, and every other type has no limit.
        full = _is_time(source_base) and wide == (6,)
        return None if full else f"make consulta's column {source_sql}"
    if element == "numeric":
        precision, scale = (*wide, 0)[:2]
        old_precision, old_scale = (*narrow, 0)[:2]
        fits = scale >= old_scale and precision - scale >= old_precision - old_scale
        return None if fits else f"make consulta's column {source_sql} or wider"
    return None if wide >= narrow else f"make consulta's column {source_sql} or wider"


def _fields(interval_sql: str) -> bool:
    """Whether an interval keeps only some of its fields, as ``interval year to month`` does."""
    return " " in interval_sql


def _is_time(base: str) -> bool:
    return base.startswith(("time", "interval"))
