"""Shows both sides of a liquidation in a terminal: before a copy, and compared at any later time."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

from bot.i18n import Translator
from bot.messages.outlook import counted, notes
from copier import Comparison, CopySpec, Digest, Plan, Preview, Proof


def print_preview(seen: Preview, spec: CopySpec, t: Translator) -> None:
    """Rows of both sides, and the statements that would make the copy faster."""
    console = Console(highlight=False)
    if seen.exists is False:
        console.print(t("It isn't in the catalogue of liquidations in prod."))
    if seen.label:
        console.print(seen.label, markup=False)
    console.print(f"prod      {spec.source_table}: {counted(seen.in_prod, t)}", markup=False)
    console.print(f"consulta  {spec.target_table}: {counted(seen.in_consulta, t)}", markup=False)
    for note in notes(seen, t, quoted=str):
        console.print(note, markup=False, soft_wrap=True)
    for advice in seen.advice:
        words = t(
            "No index serves this copy in {side}. Without one every chunk reads the whole table:",
            side=advice.side,
        )
        console.print(words, markup=False)
        console.print(f"  {advice.statement};", markup=False, soft_wrap=True)


class VerificationOutput:
    """The comparison of both sides, range by range. The bounds are keys of rows: they stay in the shell."""

    def __init__(self, as_json: bool, t: Translator) -> None:
        self._as_json = as_json
        self._t = t
        self._plan: Plan | None = None
        self._comparisons: list[Comparison] = []

    def begin(self, plan: Plan) -> None:
        self._plan = plan

    def add(self, comparison: Comparison) -> None:
        self._comparisons.append(comparison)
        if self._as_json:
            _write(range_as_json(comparison))
        elif not comparison.agrees:
            sys.stdout.write(f"{comparison}, keys {comparison.range}\n")

    @property
    def comparisons(self) -> list[Comparison]:
        return self._comparisons

    def finish(self, proof: Proof, known: bool | None = None) -> bool:
        """Says what came out; True where both sides agree on rows, or on having none.

        ``known`` says whether the catalogue has the liquidation, where neither side has rows; None where
        there is no catalogue.
        """
        missing = proof.is_empty and not known
        if self._as_json:
            as_of = self._plan.as_of.isoformat() if self._plan else None
            sides = {"prod": _side(proof.source), "consulta": _side(proof.target)}
            counted = {"prod": proof.counted.source, "consulta": proof.counted.target}
            found = {"agree": proof.holds, "as_of": as_of, **sides, "counted": counted}
            _write({**found, "known": known} if proof.is_empty else found)
        else:
            sys.stdout.write(f"{self._words(proof, known)}\n")
        return proof.holds and not missing

    def _words(self, proof: Proof, known: bool | None) -> str:
        t = self._t
        if proof.is_empty:
            return self._nothing_there(known)
        if proof.holds:
            rows = t.rows(proof.source.rows)
            return t("Both sides agree: {rows}, digest {digest}.", rows=rows, digest=proof.source.hex)
        if not proof.differences:
            return t(
                "Rows whose key is NULL lie in no key range: {prod} in prod, {consulta} in consulta.",
                prod=t.number(proof.counted.source - proof.source.rows),
                consulta=t.number(proof.counted.target - proof.target.rows),
            )
        return t(
            "Both sides differ in {n} key ranges: {prod} rows in prod, {consulta} in consulta.",
            n=len(proof.differences),
            prod=t.number(proof.counted.source),
            consulta=t.number(proof.counted.target),
        )

    def _nothing_there(self, known: bool | None) -> str:
        t = self._t
        words = [t("Neither prod nor consulta has rows of it.")]
        if known:
            words.append(t("The catalogue of liquidations in prod knows it: there is nothing to compare."))
        else:
            if known is False:
                words.append(t("The catalogue of liquidations in prod doesn't know it."))
            words.append(t("Check the number: nothing was compared."))
        return " ".join(words)


def range_as_json(comparison: Comparison) -> dict[str, Any]:
    part = comparison.range
    return {
        "number": part.number,
        "lower_key": part.lower,
        "upper_key": part.upper,
        "agree": comparison.agrees,
        "prod": _side(comparison.source),
        "consulta": _side(comparison.target),
    }


def _side(digest: Digest) -> dict[str, Any]:
    return {"rows": digest.rows, "digest": digest.hex}


def _write(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
    sys.stdout.flush()
