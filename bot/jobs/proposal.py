"""What was shown before the last press, and whether it still holds when a worker has counted both sides.

Where it doesn't, nothing is written and the job asks again, with the numbers of that moment: a `Question`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


class Reason(StrEnum):
    """Why a job asks again, the strongest first."""

    REMOVAL = "removal"  # prod has no rows, and nobody has confirmed that consulta's are to go
    APPROVAL = "approval"  # so many rows need a second person, and none has approved them
    MOVED = "moved"  # prod holds another number of rows than was shown
    SURPLUS = "surplus"  # more of consulta's rows would go than was shown


def apart(shown: int, now: int) -> bool:
    """Whether a number is more than a tenth away from the one that was shown."""
    return abs(now - shown) * 10 > shown


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows of the liquidation on both sides, as a button shows them: a press of it counts for these only."""

    in_prod: int
    in_consulta: int


@dataclass(frozen=True, slots=True)
class Question:
    """The rows of both sides now, and those that had been shown; None for what wasn't known."""

    reason: Reason
    in_prod: int
    in_consulta: int
    shown_in_prod: int | None
    shown_in_consulta: int | None

    @property
    def numbers(self) -> RowCounts:
        return RowCounts(self.in_prod, self.in_consulta)

    @property
    def removed(self) -> int:
        """How many rows of consulta would go at least."""
        return max(0, self.in_consulta - self.in_prod)

    @property
    def removes_everything(self) -> bool:
        return self.in_prod == 0 and self.in_consulta > 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        return cls(
            Reason(found["reason"]),
            found["in_prod"],
            found["in_consulta"],
            found["shown_in_prod"],
            found["shown_in_consulta"],
        )


@dataclass(frozen=True, slots=True)
class AgreedCounts:
    """The rows that were shown, None for what wasn't known, and whether a removal of all was confirmed."""

    in_prod: int | None
    in_consulta: int | None
    removal_confirmed: bool

    def broken_by(
        self, total: int, held: int, *, needs_approval: bool, approved: bool, own_rows: int = 0
    ) -> Question | None:
        """What to ask where ``total`` rows in prod and ``held`` ones in consulta aren't what was shown.

        Consulta's number alone is not compared: earlier attempts of the job may have put ``own_rows`` there,
        which are no surplus. Where prod has none any more, they would go all the same, and are asked about.
        """
        unseen = self.in_prod is None and (needs_approval or approved)  # nobody has agreed to a number
        unapproved = unseen or (needs_approval and not approved)
        reason = self._reason(total, held, max(0, held - own_rows), unapproved=unapproved)
        return Question(reason, total, held, self.in_prod, self.in_consulta) if reason else None

    def _reason(self, total: int, held: int, of_others: int, *, unapproved: bool) -> Reason | None:
        if total == 0 and held > 0 and not self.removal_confirmed:
            return Reason.REMOVAL
        if unapproved:
            return Reason.APPROVAL
        if self.in_prod is not None and apart(self.in_prod, total):
            return Reason.MOVED
        if max(0, of_others - total) > self._removable:
            return Reason.SURPLUS
        return None

    @property
    def _removable(self) -> float:
        """So many rows of consulta may go by what was shown, and a tenth of the larger side more."""
        prod, consulta = self.in_prod or 0, self.in_consulta or 0
        surplus = 0 if self.in_prod is None else max(0, consulta - prod)
        return surplus + max(prod, consulta) / 10


#: Of a job of which nobody was shown anything.
NOTHING_SHOWN = AgreedCounts(None, None, removal_confirmed=False)
