"""The proof: rows and a digest of each key range, of hashes that the servers compute, on both sides.

A range's digest is the exclusive-or of its rows' hashes (see `copier.rowhash`): no order, no sorting, and
since a key names each row once, no two equal hashes that would cancel out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from copier.key_range import KeyRange


@dataclass(frozen=True, slots=True)
class Digest:
    """``rows`` of a range and the exclusive-or of their 64-bit hashes."""

    rows: int
    value: int

    @property
    def hex(self) -> str:
        """The value as 16 hexadecimal digits."""
        return f"{self.value & 0xFFFFFFFFFFFFFFFF:016x}"

    def __add__(self, other: Digest) -> Digest:
        return Digest(self.rows + other.rows, self.value ^ other.value)

    def __sub__(self, other: Digest) -> Digest:
        return Digest(self.rows - other.rows, self.value ^ other.value)


#: The digest of no rows.
EMPTY = Digest(0, 0)


@dataclass(frozen=True, slots=True)
class Seen:
    """Consulta's rows of a range, compared by value with prod's at one moment.

    Every transaction before ``base`` (an xid8) had ended by then. So a row that was written before it is
    one that agreed, and of those written since there have to be exactly the ``written`` ones, as long as the
    table's ``definition`` is the same.
    """

    base: str
    written: Digest
    definition: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides of one range."""

    range: KeyRange
    source: Digest
    target: Digest

    @property
    def agrees(self) -> bool:
        return self.source == self.target

    def __str__(self) -> str:
        if self.source.rows != self.target.rows:
            return (
                f"chunk {self.range.number}: {self.source.rows} rows in prod, {self.target.rows} in consulta"
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

    A row whose key is NULL lies in no range: the sums tell that it is there.
    """

    source: Digest
    target: Digest
    counted: Counted
    differences: tuple[Comparison, ...]

    @classmethod
    def of(cls, comparisons: Iterable[Comparison], counted: Counted) -> Proof:
        source, target = EMPTY, EMPTY
        differences = []
        for each in comparisons:
            source += each.source
            target += each.target
            if not each.agrees:
                differences.append(each)
        return cls(source, target, counted, tuple(differences))

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

    @property
    def reasons(self) -> list[str]:
        """Why it doesn't hold, a line each, without a value of any row."""
        lines = [str(each) for each in self.differences]
        sides = (
            ("prod", self.source.rows, self.counted.source),
            ("consulta", self.target.rows, self.counted.target),
        )
        lines += [
            f"{side}: {counted} rows in all, {rows} in the key ranges"
            for side, rows, counted in sides
            if rows != counted
        ]
        return lines
