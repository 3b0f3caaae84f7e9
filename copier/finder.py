"""Finds out what of a range differs, by asking both sides at the same time, coarse first, then fine.

Digests tell that a range differs. After one that did, the rows of the next one are compared at once; after
one of which most rows differed, a sample decides whether that is worth the while.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg.sql import Composable
from sqlalchemy import Connection

from copier import statements
from copier.difference import Counts, Difference, Hashes, counts_by_key, unpacked
from copier.digest import Digest
from copier.errors import Side
from copier.failure import failures_of
from copier.keyset import KeyRange
from copier.session import run
from copier.slices import Slice

#: After a range of which most differed, so many rows of the next one stand for one that is looked at.
SAMPLE = 16
#: From this share of differing rows on, a range is replaced as a whole.
MOST = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """What of a range is to be replaced: nothing, all, or the rows with these ``keys``' hashes.

    ``source`` is prod's digest where it was computed, ``kept`` the digest of consulta's rows that stay,
    ``versions`` that of consulta's row versions.
    """

    nothing: bool
    counts: Counts
    source: Digest | None = None
    keys: frozenset[int] | None = None
    kept: Digest | None = None
    versions: Digest | None = None


class Finder:
    """One lane's eyes: a reader of prod's snapshot, and consulta in the chunk's transaction."""

    def __init__(self, reader: Connection, source: Slice, target: Slice) -> None:
        self._reader = reader
        self._source = source
        self._target = target
        self._differed = self._mostly = False

    def look(self, connection: Connection, part: KeyRange) -> Found:
        """Compares prod's range with consulta's, as ``connection`` sees it."""
        if not self._differed:
            ours, theirs, versions = self._digests(connection, part)
            if ours == theirs:
                return Found(True, Counts(unchanged=ours.rows), ours, versions=versions)
            if not theirs.rows:
                return Found(False, Counts(inserted=ours.rows), ours)
        if self._mostly and (found := self._sampled(connection, part)):
            return found
        return self._by_rows(connection, part)

    def _digests(self, connection: Connection, part: KeyRange) -> tuple[Digest, Digest, Digest | None]:
        ours, (rows, value, version) = self._both(
            connection,
            lambda side: (
                statements.digest(side, part)
                if side.is_source
                else statements.digest_and_versions(side, part)
            ),
            lambda result: tuple(result.one()),
        )
        return Digest(*ours), Digest(rows, value), None if version is None else Digest(rows, version)

    def _sampled(self, connection: Connection, part: KeyRange) -> Found | None:
        """The range as one to replace, where most of a sample differs."""
        ours, theirs = self._both(
            connection,
            lambda side: statements.sample(side, part, SAMPLE),
            lambda result: result.one(),
        )
        here, there = frozenset(unpacked(ours[2])), frozenset(unpacked(theirs[2]))
        if len(here ^ there) <= MOST * (len(here) + len(there)):
            return None
        if Digest(ours[0], ours[1]) == Digest(theirs[0], theirs[1]):
            return Found(False, Counts(updated=ours[0]))
        keys = self._both(
            connection,
            lambda side: statements.key_hashes(side, part),
            lambda result: unpacked(result.scalar_one()),
        )
        return Found(False, counts_by_key(*keys))

    def _by_rows(self, connection: Connection, part: KeyRange) -> Found:
        ours, theirs = self._both(
            connection,
            lambda side: statements.hashes(side, part),
            lambda result: Hashes.unpacked(*result.one()),
        )
        difference = Difference.between(ours, theirs)
        source, keys = ours.digest, difference.keys
        self._differed = bool(keys)
        self._mostly = len(keys) > MOST * max(len(ours.rows), len(theirs.rows))
        if not keys or self._mostly:
            return Found(not keys, difference.counts, source)
        return Found(
            nothing=False,
            counts=difference.counts,
            source=source,
            keys=keys,
            kept=theirs.digest - theirs.digest_of(keys),
        )

    def _both(
        self,
        connection: Connection,
        question: Callable[[Slice], Composable],
        read: Callable[[Any], T],
    ) -> tuple[T, T]:
        """Asks prod and consulta at the same time."""
        with ThreadPoolExecutor(1) as other_side:
            ours = other_side.submit(_asked, "prod", self._reader, question(self._source), read)
            theirs = _asked("consulta", connection, question(self._target), read)
            return ours.result(), theirs


def _asked(side: Side, connection: Connection, statement: Composable, read: Callable[[Any], T]) -> T:
    with failures_of(side):
        return read(run(connection, statement))
