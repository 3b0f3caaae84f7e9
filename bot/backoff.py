"""How long to wait before the next try, after so many failures in a row."""

from __future__ import annotations

from dataclasses import dataclass

#: More failures than this make no pause longer: no float runs over.
_MOST = 100


@dataclass(frozen=True, slots=True)
class Backoff:
    """The ``first`` pause, multiplied by ``factor`` after each further failure, up to the ``longest``.
    Seconds.
    """

    first: float
    longest: float
    factor: float = 2.0

    def pause(self, failures: int) -> float:
        """The pause after ``failures`` earlier ones in a row: 0 gives the first pause."""
        return min(self.longest, self.first * self.factor ** min(failures, _MOST))
