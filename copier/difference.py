"""Which rows of a range differ: told from 64-bit hashes, without a row leaving its server.

Both sides send the hashes of their rows in the order of the keys, joined into one byte string each (see
`copier.digest` for what is hashed). The rows that only one side has are named by their place in that
order; their keys are asked for afterwards, in the same snapshot.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

#: Rows that are compared at once.
STRETCH = 64


@dataclass(frozen=True, slots=True)
class Difference:
    """The places, from 0, of the rows that only prod has and of those that only consulta has."""

    missing: list[int]
    surplus: list[int]

    @classmethod
    def between(cls, source: array[int], target: array[int]) -> Difference:
        """Of the rows' hashes on both sides, in the order of the keys.

        Stretches that are equal, place by place, are passed over: few rows of a range differ as a rule.
        """
        length = max(len(source), len(target))
        starts = [
            at for at in range(0, length, STRETCH) if source[at : at + STRETCH] != target[at : at + STRETCH]
        ]
        return cls(_places(source, target, starts), _places(target, source, starts))


def _places(hashes: array[int], others: array[int], starts: list[int]) -> list[int]:
    """Where in these stretches a hash stands that is in none of the others'."""
    known = frozenset(each for at in starts for each in others[at : at + STRETCH])
    return [
        place
        for at in starts
        for place, each in enumerate(hashes[at : at + STRETCH], at)
        if each not in known
    ]
