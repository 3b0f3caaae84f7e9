"""The answers to ``/copy-verify``: both sides compared now, part by part, without a value of any row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.i18n import Translator
from bot.messages.blocks import (
    COPY_COMMAND,
    Message,
    actions,
    button,
    code,
    context,
    data_of,
    of_liquidation,
    sanitized,
    section,
    sentence,
)
from copier import Comparison, Proof

#: The button under a comparison that runs or waits.
CANCEL_ACTION = "copy_verify.cancel"
#: More parts that differ than this are counted, not listed.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """A comparison that has ended. ``parts`` counts the key ranges; ``as_of`` is prod's moment.

    ``copy_title`` is what messages call the copy. ``known`` says whether prod's catalogue has the
    liquidation, where neither side has rows; None where there is no catalogue, and where it wasn't asked.
    """

    liquidation_id: int
    copy_name: str
    copy_title: str
    proof: Proof
    parts: int
    as_of: datetime
    seconds: float
    known: bool | None = None


class NamedCopy(Protocol):
    """A configured copy: ``name`` as it is typed, ``shown`` as messages call it."""

    @property
    def name(self) -> str: ...

    @property
    def shown(self) -> str: ...


def comparing(copy: NamedCopy, liquidation_id: int, t: Translator) -> Message:
    """Shown while the comparison runs."""
    what = of_liquidation(sanitized(copy.shown), liquidation_id, t)
    return _under_way(t("Comparing both sides of {what}…", what=what), copy, liquidation_id, t)


def waiting(copy: NamedCopy, liquidation_id: int, running: int, t: Translator) -> Message:
    """Shown while ``running`` other comparisons, at least two, come first."""
    text = t(
        "The comparison of {what} begins when one of {n} others has ended.",
        what=of_liquidation(sanitized(copy.shown), liquidation_id, t),
        n=t.number(running),
    )
    return _under_way(text, copy, liquidation_id, t)


def same(copy: NamedCopy, liquidation_id: int, t: Translator) -> Message:
    """The same comparison was asked for before, and isn't made twice."""
    what = of_liquidation(sanitized(copy.shown), liquidation_id, t)
    text = t("The comparison of {what} is under way already: you get that answer too.", what=what)
    return _under_way(text, copy, liquidation_id, t)


def _under_way(text: str, copy: NamedCopy, liquidation_id: int, t: Translator) -> Message:
    said = sentence(text, hint=t("Nothing is written. The answer comes here."))
    value = f"{liquidation_id} {copy.name}"
    return Message(said.text, [*said.blocks, actions(button(t("Cancel"), CANCEL_ACTION, value))])


def to_be_cancelled(value: str) -> tuple[int, str]:
    """The liquidation and the copy of a button's value.

    Raises:
        ValueError: it is of no such button.
    """
    number, _, copy_name = value.partition(" ")
    return int(number), copy_name


def cancelled(copy: str, liquidation_id: int, t: Translator) -> Message:
    """This person doesn't wait for it any more; ``copy`` is what messages call it."""
    what = of_liquidation(sanitized(copy), liquidation_id, t)
    return sentence(t("The comparison of {what} was cancelled for you.", what=what))


def too_many(most: int, t: Translator, *, is_ones_own: bool) -> Message:
    """So many comparisons are under way already."""
    if is_ones_own:
        return sentence(
            t("Nothing was compared: {n} of your comparisons are under way already.", n=t.number(most)),
            hint=t("Wait for one of them, or cancel it."),
        )
    return sentence(
        t("Nothing was compared: {n} comparisons are under way already.", n=t.number(most)),
        hint=t("Ask again when one of them has ended."),
    )


def interrupted(copy: str, liquidation_id: int, t: Translator) -> Message:
    """The bot ended before the comparison did."""
    return sentence(
        t(
            "The comparison of {what} was broken off: the bot is being restarted.",
            what=of_liquidation(sanitized(copy), liquidation_id, t),
        ),
        hint=t("Ask again in a minute."),
    )


def verdict(found: VerificationResult, t: Translator) -> Message:
    """That both sides agree; or the parts in which they differ, and the command that makes them agree."""
    if found.proof.is_empty:
        return _nothing_there(found, t)
    return _agrees(found, t) if found.proof.holds else _differs(found, t)


def _nothing_there(found: VerificationResult, t: Translator) -> Message:
    if found.known:
        return sentence(
            t("Neither prod nor consulta has rows for {what}.", what=_what(found, t)),
            hint=t("The catalogue of liquidations in prod knows it: there is nothing to compare."),
        )
    return sentence(
        t("Neither prod nor consulta has rows for {what}.", what=_what(found, t))
        if found.known is None
        else t(
            "Neither prod nor consulta has rows for {what}, "
            "and the catalogue of liquidations doesn't know it.",
            what=_what(found, t),
        ),
        hint=t("Check the number: nothing was compared."),
    )


def _agrees(found: VerificationResult, t: Translator) -> Message:
    text = t(
        "Both sides of {what} agree: {rows}.",
        what=_what(found, t),
        rows=t.rows(found.proof.source.rows),
    )
    digest = t("digest {digest}", digest=f"`{found.proof.source.hex}`")
    return Message(text, [section(f"✅ {text}"), context(f"{digest} · {_about(found, t)}")])


def _differs(found: VerificationResult, t: Translator) -> Message:
    proof = found.proof
    rows = {"prod": t.number(proof.counted.source), "consulta": t.number(proof.counted.target)}
    text = (
        t(
            "Both sides of {what} differ in {n} of {parts} parts: "
            "{prod} rows in prod, {consulta} in consulta.",
            what=_what(found, t),
            n=t.number(len(proof.differences)),
            parts=t.number(found.parts),
            **rows,
        )
        if proof.differences
        else t(
            "Both sides of {what} differ: {prod} rows in prod, {consulta} in consulta.",
            what=_what(found, t),
            **rows,
        )
    )
    lines = [*_outside(proof, t), *(_part(each, t) for each in proof.differences[:SHOWN])]
    hidden = len(proof.differences) - SHOWN
    if hidden > 0:
        lines.append(t.plural("and {n} more", "and {n} more", hidden))
    step = t(
        "To make them agree: {command}",
        command=code(f"{COPY_COMMAND} {found.liquidation_id} {found.copy_name}"),
    )
    blocks = [section(f"⚠️ {text}"), section("\n".join(f"• {line}" for line in lines)), section(step)]
    return Message(f"{text} {step}", [*blocks, context(_about(found, t))])


def _outside(proof: Proof, t: Translator) -> list[str]:
    """Rows that are in no part, because their key is NULL."""
    sides = (
        ("prod", proof.counted.source - proof.source.rows),
        ("consulta", proof.counted.target - proof.target.rows),
    )
    return [
        t("{rows} of {side} in no part: their key is empty", rows=t.rows(rows), side=side)
        for side, rows in sides
        if rows
    ]


def _part(comparison: Comparison, t: Translator) -> str:
    number, source, target = comparison.range.number, comparison.source.rows, comparison.target.rows
    if source != target:
        return t(
            "part {number}: {prod} rows in prod, {consulta} in consulta",
            number=t.number(number),
            prod=t.number(source),
            consulta=t.number(target),
        )
    return t(
        "part {number}: {rows} on both sides, values differ", number=t.number(number), rows=t.rows(source)
    )


def _what(found: VerificationResult, t: Translator) -> str:
    return of_liquidation(sanitized(found.copy_title), found.liquidation_id, t)


def _about(found: VerificationResult, t: Translator) -> str:
    parts = [
        data_of(found.as_of, t),
        t("compared in {duration}", duration=t.duration(found.seconds)),
    ]
    return " · ".join(parts)
