"""Compares a whole liquidation: several tables at one moment of each side, and writes nothing.

A table that can't be compared, because it is missing or doesn't fit, keeps the others from nothing: it is
named with what stands against it, and the others are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from copier.connections import OnSilence
from copier.copy import Copy
from copier.copy_set import CopySet
from copier.errors import (
    DEFAULT_NAMES,
    CopierError,
    DatabaseFailed,
    SchemaError,
    SeveralMoments,
    SideNames,
    concerns_one_table,
)
from copier.model import Comparison, CopySpec, Limits, Proof


@dataclass(frozen=True, slots=True)
class SetComparison:
    """What was found of each table, by the names of the copies, in the order in which they were given.

    ``as_of`` is the one moment of the source, None where no table could be compared. ``refused`` says why a
    table couldn't; each other one has its proof, which says by how many rows it differs.
    """

    as_of: datetime | None
    proofs: Mapping[str, Proof]
    refused: Mapping[str, CopierError]

    @property
    def holds(self) -> bool:
        """Whether all tables were compared, and are the same on both sides."""
        return not self.refused and all(proof.holds for proof in self.proofs.values())

    @property
    def is_empty(self) -> bool:
        """All tables were compared, and neither side holds a row of any."""
        return not self.refused and all(proof.is_empty for proof in self.proofs.values())


def compare_set(
    source: Engine,
    target: Engine,
    specs: Sequence[CopySpec],
    liquidation_id: int,
    *,
    names: SideNames = DEFAULT_NAMES,
    limits: Limits | None = None,
    label: str = "traspaso",
    on_silence: OnSilence = lambda silent: None,
    on_comparison: Callable[[str, Comparison], object] = lambda name, comparison: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SetComparison | None:
    """Compares these tables of a liquidation; None where ``should_stop`` gave True.

    ``on_comparison`` gets the name of the copy and a range of it, ``should_stop`` is asked after each. All
    else is as in `copier.Copy`.

    Raises:
        SeveralMoments: no one snapshot of the source holds all of the tables.
        DatabaseFailed: a side can't be reached.
    """
    refused: dict[str, CopierError] = {}
    while left := [spec for spec in specs if spec.name not in refused]:
        try:
            with CopySet(
                source,
                target,
                left,
                liquidation_id,
                names=names,
                limits=limits,
                label=label,
                on_silence=on_silence,
                only_compares=True,
            ) as tables:
                found = tables.verify(on_comparison=on_comparison, should_stop=should_stop)
            if found is None:
                return None
            return SetComparison(found.as_of, found.proofs, _in_order(specs, refused))
        except SeveralMoments:
            raise
        except (SchemaError, DatabaseFailed) as error:
            if not concerns_one_table(error):
                raise
            alone: dict[str, CopierError] = {}
            for spec in left:
                if should_stop():
                    return None
                try:
                    with Copy(
                        source,
                        target,
                        spec,
                        liquidation_id,
                        names=names,
                        limits=limits,
                        label=label,
                        on_silence=on_silence,
                    ) as copy:
                        copy.plan()
                except (SchemaError, DatabaseFailed) as its_own:
                    if not concerns_one_table(its_own):
                        raise
                    alone[spec.name] = its_own
            if not alone:  # it has passed meanwhile, or is of none of them alone
                raise
            refused |= alone
    return SetComparison(None, {}, _in_order(specs, refused))


def _in_order(specs: Sequence[CopySpec], refused: Mapping[str, CopierError]) -> dict[str, CopierError]:
    return {spec.name: refused[spec.name] for spec in specs if spec.name in refused}
