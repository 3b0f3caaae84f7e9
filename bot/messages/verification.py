"""The answers to ``/copy-verify``: both sides compared now, without a value of any row.

A copy is told part by part, a set table by table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, Self

from bot.i18n import Translator
from bot.jobs.failure import Failure, failure_of
from bot.messages.blocks import (
    COPY_COMMAND,
    Block,
    Message,
    actions,
    at,
    button,
    cell,
    code,
    context,
    cut,
    data_of,
    of_liquidation,
    read_out,
    sanitized,
    section,
    sentence,
)
from bot.messages.failure_texts import explained
from bot.messages.freshness import COPY_ACTION
from bot.messages.question import sides_in_short
from bot.messages.run import LINE_LIMIT, in_sections
from copier import Proof, RangeComparison

if TYPE_CHECKING:
    from copier import SetComparison

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


@dataclass(frozen=True, slots=True)
class TableResult:
    """One table of a set: its proof, or the failure that kept it from one."""

    copy_name: str
    copy_title: str
    proof: Proof | None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class SetVerificationResult:
    """A comparison of a set that has ended. ``as_of`` is the one moment of prod of all tables.

    It is None where no table could be compared. ``known`` as in `VerificationResult`.
    """

    liquidation_id: int
    set_name: str
    set_title: str
    tables: tuple[TableResult, ...]
    as_of: datetime | None
    seconds: float
    known: bool | None = None

    @classmethod
    def of(
        cls,
        chosen: NamedCopy,
        copies: Sequence[NamedCopy],
        liquidation_id: int,
        found: SetComparison,
        *,
        seconds: float,
        known: bool | None,
    ) -> Self:
        """What was found of the set's copies, in their order."""
        refused = {name: failure_of(error) for name, error in found.refused.items()}
        tables = (
            TableResult(copy.name, copy.shown, found.proofs.get(copy.name), refused.get(copy.name))
            for copy in copies
        )
        return cls(liquidation_id, chosen.name, chosen.shown, tuple(tables), found.as_of, seconds, known)

    @property
    def differing(self) -> list[TableResult]:
        return [each for each in self.tables if each.proof is not None and not each.proof.holds]

    @property
    def refused(self) -> list[TableResult]:
        return [each for each in self.tables if each.proof is None]

    @property
    def holds(self) -> bool:
        """Whether all tables were compared, and are the same."""
        return not self.differing and not self.refused

    @property
    def is_empty(self) -> bool:
        """Neither side holds a row of any table."""
        return all(each.proof is not None and each.proof.is_empty for each in self.tables)

    @property
    def rows(self) -> int:
        """Of all tables in prod."""
        return sum(each.proof.counted.source for each in self.tables if each.proof is not None)


class NamedCopy(Protocol):
    """A configured copy or set: ``name`` as it is typed, ``shown`` as messages call it."""

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
    """The liquidation and the copy, or the set, of a button's value.

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


def result(found: VerificationResult | SetVerificationResult, t: Translator) -> Message:
    """That both sides agree; or the parts in which they differ, and the command that makes them agree.

    Of a set see `set_result`.
    """
    if isinstance(found, SetVerificationResult):
        return set_result(found, t)
    if found.proof.is_empty:
        return _nothing_there(found, t)
    return _agrees(found, t) if found.proof.holds else _differs(found, t)


def set_result(found: SetVerificationResult, t: Translator) -> Message:
    """That the set is the same, as of when; or which tables differ by how many rows, and what to do.

    A table block with a row for each; where Slack takes none here, lines of text.
    """
    if found.is_empty:
        return _nothing_there(found, t)
    sign, text = words_of_set(found, t)
    steps = [_refused(each, t) for each in found.refused]
    offer: list[Block] = []
    if found.differing:
        value = f"{found.set_name} {found.liquidation_id}"
        offer = [actions(button(t("Copy"), COPY_ACTION, value, style="primary"))]
        command = code(f"{COPY_COMMAND} {found.liquidation_id} {found.set_name}")
        steps.append(t("To make them agree: {command}", command=command))
    about = t("compared in {duration}", duration=t.duration(found.seconds))
    head, tail = [section(f"{sign} {text}")], [*in_sections(steps, 5), *offer, context(about)]
    lines = [_table_line(each, t) for each in found.tables]
    return Message(
        read_out(" ".join([text, *steps])).replace("*", ""),
        [*head, _table(found.tables, t), *tail],
        fallback=[*head, *in_sections(lines), *tail],
    )


def words_of_set(found: SetVerificationResult, t: Translator) -> tuple[str, str]:
    """A sign, and one line: whether the set is the same, and as of when."""
    names: dict[str, object] = {
        "what": _what(found, t),
        "n": t.number(len(found.differing)),
        "refused": t.number(len(found.refused)),
        "all": t.number(len(found.tables)),
    }
    if found.as_of is None:
        return "❌", t("No table of {what} could be compared.", **names)
    names["moment"] = at(found.as_of, t)
    if found.holds:
        text = t(
            "{what} is the same on both sides, as prod held it at {moment}: {rows} in {all} tables.",
            rows=t.rows(found.rows),
            **names,
        )
        return "✅", text
    if not found.refused:
        return "⚠️", t("{what} differs in {n} of {all} tables, as prod held it at {moment}.", **names)
    if not found.differing:
        text = t(
            "{what}: {refused} of {all} tables couldn't be compared; the others are the same, as prod held "
            "them at {moment}.",
            **names,
        )
        return "⚠️", text
    text = t(
        "{what} differs in {n} of {all} tables, as prod held it at {moment}, and {refused} couldn't be "
        "compared.",
        **names,
    )
    return "⚠️", text


def _table(tables: tuple[TableResult, ...], t: Translator) -> Block:
    heads = [t("Which copy"), t("Rows in prod"), t("Rows in consulta"), t("Result")]
    rows = [[cell(head) for head in heads]]
    for each in tables:
        prod, consulta = rows_of_table(each, t)
        rows.append([cell(each.copy_title), cell(prod), cell(consulta), cell(table_words(each, t), 200)])
    right = {"align": "right"}
    settings = [{"is_wrapped": True}, right, right, {"is_wrapped": True}]
    return {"type": "table", "rows": rows, "column_settings": settings}


def _table_line(each: TableResult, t: Translator) -> str:
    """The same as a line of mrkdwn."""
    prod, consulta = rows_of_table(each, t)
    sign = "❌" if each.proof is None else "✅" if each.proof.holds else "⚠️"
    sides = sides_in_short(prod, consulta, t)
    return cut(f"{sign} *{sanitized(each.copy_title)}* · {sides} · {table_words(each, t)}", LINE_LIMIT)


def rows_of_table(each: TableResult, t: Translator) -> tuple[str, str]:
    """In prod and in consulta; dashes where it wasn't compared."""
    if each.proof is None:
        return "–", "–"
    return t.number(each.proof.counted.source), t.number(each.proof.counted.target)


def table_words(each: TableResult, t: Translator) -> str:
    """What was found of a table: the same, or by how many rows it differs. Plain text."""
    if each.proof is None:
        return t("not compared")
    if each.proof.holds:
        return t("the same")
    parts = _outside(each.proof, t)
    if (apart := each.proof.apart) is not None:
        if apart.updated:
            parts.append(t.plural("{n} row differs", "{n} rows differ", apart.updated))
        if apart.inserted:
            parts.append(t.plural("{n} row missing", "{n} rows missing", apart.inserted))
        if apart.deleted:
            parts.append(t.plural("{n} surplus row", "{n} surplus rows", apart.deleted))
    return ", ".join(parts) or t("differs")


def _refused(each: TableResult, t: Translator) -> str:
    """Why a table couldn't be compared, and the next step."""
    words = explained(each.failure, t)
    return cut(f"*{sanitized(each.copy_title)}*: {words.what} {words.step}", 2 * LINE_LIMIT)


def _nothing_there(found: VerificationResult | SetVerificationResult, t: Translator) -> Message:
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


def _part(comparison: RangeComparison, t: Translator) -> str:
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


def _what(found: VerificationResult | SetVerificationResult, t: Translator) -> str:
    title = found.set_title if isinstance(found, SetVerificationResult) else found.copy_title
    return of_liquidation(sanitized(title), found.liquidation_id, t)


def _about(found: VerificationResult, t: Translator) -> str:
    parts = [
        data_of(found.as_of, t),
        t("compared in {duration}", duration=t.duration(found.seconds)),
    ]
    return " · ".join(parts)
