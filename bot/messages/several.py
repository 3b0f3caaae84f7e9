"""What copying several liquidations at once would do: a line for each, and one press for those that can be.

What a press stands for travels in its button's value, as with one liquidation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.i18n import Translator
from bot.jobs.view import NOTHING_SHOWN, AgreedCounts, JobView
from bot.messages.answers import usage
from bot.messages.blocks import (
    BUTTON_VALUE_LIMIT,
    COPY_COMMAND,
    Block,
    Message,
    actions,
    button,
    code,
    context,
    cut,
    escaped,
    header,
    plain,
    sanitized,
    section,
    sentence,
)
from bot.messages.card import state
from bot.messages.failures import Explained
from bot.messages.proposal import (
    CANCEL_ACTION,
    Shown,
    counted,
    in_short,
    is_nothing,
    kept_blocks,
    made_of,
    read_short,
    removes_everything,
    why_input,
    would_do,
)
from bot.messages.run import LINE_LIMIT, in_sections, of_liquidations
from copier import Preview

COPY_SEVERAL_ACTION = "copy_several.confirm"
LATER_SEVERAL_ACTION = "copy_several.later"
#: So many liquidations may be asked for at once.
MOST = 50
#: So many characters of a reason stand in a table's cell.
CELL_LIMIT = 200


class Refused(StrEnum):
    """Why one of them can't be copied together with the others."""

    TAKEN = "taken"  # it is being copied already
    UNKNOWN = "unknown"  # there is no such liquidation
    EMPTY = "empty"  # neither side has rows of it
    REMOVES = "removes"  # prod has no rows: copying would only remove, which is asked for alone
    PROBLEM = "problem"  # it can't be looked at, or not be copied


@dataclass(frozen=True, slots=True)
class Part:
    """One liquidation of several: what both sides hold, or why it can't be copied now.

    ``taken`` is the live job that copies it already. ``needs_approval``: somebody else has to say yes.
    """

    liquidation_id: int
    seen: Preview | None = None
    refused: Refused | None = None
    taken: JobView | None = None
    problem: Explained | None = None
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class SeveralOffer:
    """What a press of *Copy* stands for. ``key`` makes it work once; ``expires_at`` is in seconds since 1970.

    ``parts`` are the liquidations, with what was shown of each. ``made_of`` stands for the tables, the key
    and the columns of the copy.
    """

    copy_name: str
    key: str
    expires_at: int
    parts: tuple[tuple[int, Shown], ...]
    made_of: str = ""

    def encoded(self) -> str:
        """Short: fifty liquidations have to fit into a button's value."""
        parts = ";".join(in_short(liquidation_id, *shown.numbers) for liquidation_id, shown in self.parts)
        whole = [self.copy_name, self.key, self.expires_at, self.made_of, parts]
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))

    @property
    def fits(self) -> bool:
        return len(self.encoded()) <= BUTTON_VALUE_LIMIT

    @classmethod
    def decoded(cls, value: str) -> SeveralOffer:
        """Raises ValueError or TypeError for what isn't an offer."""
        copy_name, key, expires_at, made_of, parts = json.loads(value)
        found = []
        for part in str(parts).split(";"):
            liquidation_id, *shown = read_short(part, 5)
            if liquidation_id is None:
                raise ValueError("an offer without a liquidation")
            found.append((liquidation_id, Shown(*shown)))
        return cls(str(copy_name), str(key), int(expires_at), tuple(found), str(made_of))

    def moved(self, part: Part) -> bool:
        """Whether what was shown of it is no longer so, as with one liquidation."""
        shown = self._shown(part)
        if shown is None or part.seen is None:
            return True
        return self.made_of != made_of(part.seen) or shown.moved(part.seen)

    def terms(self, part: Part) -> AgreedCounts:
        """What its job is bound to."""
        shown = self._shown(part)
        if shown is None or part.seen is None:
            return NOTHING_SHOWN
        return shown.terms(part.seen)

    def _shown(self, part: Part) -> Shown | None:
        return next((shown for number, shown in self.parts if number == part.liquidation_id), None)


@dataclass(frozen=True, slots=True)
class SeveralOffered:
    """The lines with what may be pressed; ``offer`` is None where none of them can be copied.

    ``title`` is what messages call the copy, ``expected_seconds`` None where nobody knows. ``approvers``
    names, as messages show them, who would have to approve those that need it. ``minutes`` is how long the
    press works. ``notice`` says why it is asked again, or is empty. ``asks_why``: only with a reason.
    """

    title: str
    copy_name: str
    parts: tuple[Part, ...]
    offer: SeveralOffer | None
    minutes: int
    approvers: tuple[str, ...] = ()
    expected_seconds: float | None = None
    notice: str = ""
    asks_why: bool = False


def refusal_of(seen: Preview) -> Refused | None:
    """Why a liquidation that was looked at can't be copied together with others."""
    nothing = is_nothing(seen)
    if seen.exists is False or (seen.exists is None and nothing):
        return Refused.UNKNOWN
    if nothing:
        return Refused.EMPTY
    return Refused.REMOVES if removes_everything(seen) else None


def several_card(offered: SeveralOffered, t: Translator) -> Message:
    """The confirm card: a table with a line for each, and the buttons *Copy*, *Later…* and *Cancel*.

    Where Slack takes no table here, the lines are text.
    """
    possible = [part for part in offered.parts if part.refused is None]
    numbers = [part.liquidation_id for part in offered.parts]
    question = t("Copy {what}?", what=of_liquidations(offered.title, numbers, t))
    n = t.plural(
        "{n} of {all} can be copied now.", "{n} of {all} can be copied now.", len(possible), all=len(numbers)
    )
    rows = sum(part.seen.in_source.rows or 0 for part in possible if part.seen)
    total = t("Rows in prod: {rows}.", rows=t.number(rows))
    notice = [section(f"🔁 {offered.notice}")] if offered.notice else []
    head = [header(question), *notice, section(f"*{n}* {total} {_expected(offered, t)}".strip())]
    tail = [*_kept(possible, t), *_approval(offered, t)]
    if offered.offer is None:
        tail.append(section(t("None of them can be copied now, so there is nothing to press.")))
    else:
        word = _press_word(offered, t)
        tail += why_input(t) if offered.asks_why else []
        tail.append(
            actions(
                button(word, COPY_SEVERAL_ACTION, offered.offer.encoded(), style="primary"),
                button(t("Later…"), LATER_SEVERAL_ACTION, offered.offer.encoded()),
                button(t("Cancel"), CANCEL_ACTION, offered.offer.key),
            )
        )
        tail.append(
            context(
                t(
                    "Nothing is copied until you press {button}. Expires in {n} min.",
                    button=word,
                    n=offered.minutes,
                )
            )
        )
    lines = [_line(part, t) for part in offered.parts]
    text = f"{offered.notice} {escaped(question)} {n} {total}".strip()
    return Message(
        text, [*head, _table(offered.parts, t), *tail], fallback=[*head, *in_sections(lines), *tail]
    )


def _press_word(offered: SeveralOffered, t: Translator) -> str:
    n = len([part for part in offered.parts if part.refused is None])
    return t("Copy {n}", n=t.number(n))


def _expected(offered: SeveralOffered, t: Translator) -> str:
    if offered.expected_seconds is None:
        return ""
    duration = t.duration(offered.expected_seconds)
    return t("One after the other they should take about {duration}.", duration=duration)


def _kept(possible: Sequence[Part], t: Translator) -> list[Block]:
    """Which columns stay in prod: the same of each liquidation."""
    first = next((part.seen for part in possible if part.seen is not None), None)
    return [] if first is None else kept_blocks(first, t)


def _approval(offered: SeveralOffered, t: Translator) -> list[Block]:
    waiting = [part for part in offered.parts if part.refused is None and part.needs_approval]
    if not waiting:
        return []
    words = t.plural(
        "{n} of them starts only when somebody else approves it, out of {who}.",
        "{n} of them start only when somebody else approves them, out of {who}.",
        len(waiting),
        who=", ".join(offered.approvers[:10]) or t("those who may copy"),
    )
    return [section(f"👥 {words}")]


def _table(parts: Sequence[Part], t: Translator) -> Block:
    heads = [t("Liquidation"), t("Rows in prod"), t("Rows in consulta now"), t("What becomes of it")]
    rows = [[_cell(head) for head in heads]]
    for part in parts:
        prod, consulta = _counts(part, t)
        name = str(part.liquidation_id)
        if part.seen is not None and part.seen.label:
            name = f"{name} · {part.seen.label}"
        rows.append([_cell(name), _cell(prod), _cell(consulta), _cell(plain(_outcome(part, t)))])
    right = {"align": "right"}
    return {
        "type": "table",
        "rows": rows,
        "column_settings": [{"is_wrapped": True}, right, right, {"is_wrapped": True}],
    }


def _cell(text: str) -> Block:
    return {"type": "raw_text", "text": cut(text, CELL_LIMIT) or "–"}


def _line(part: Part, t: Translator) -> str:
    """The same as a line of mrkdwn."""
    prod, consulta = _counts(part, t)
    sign = "✅" if part.refused is None else "🚫"
    label = f" · {sanitized(part.seen.label)}" if part.seen is not None and part.seen.label else ""
    sides = t("prod {prod}, consulta {consulta}", prod=prod, consulta=consulta)
    return cut(f"{sign} *{part.liquidation_id}*{label} · {sides} · {_outcome(part, t)}", LINE_LIMIT)


def _counts(part: Part, t: Translator) -> tuple[str, str]:
    if part.seen is None:
        return "–", "–"
    return counted(part.seen.in_source, t), counted(part.seen.in_target, t)


def _outcome(part: Part, t: Translator) -> str:
    """What a press would make of it, or why it makes nothing of it."""
    match part.refused:
        case None:
            return _copied(part, t)
        case Refused.TAKEN if part.taken is not None:
            return t("under way already: job {id}, {state}", id=part.taken.id, state=state(part.taken, t))
        case Refused.UNKNOWN:
            return t("there is no such liquidation")
        case Refused.EMPTY:
            return t("neither side has rows: nothing to copy")
        case Refused.REMOVES:
            command = code(f"{COPY_COMMAND} {part.liquidation_id}")
            return t(
                "prod has no rows: consulta's would be removed. Ask for it alone: {command}", command=command
            )
        case _:
            return part.problem.what if part.problem else t("can't be looked at now")


def _copied(part: Part, t: Translator) -> str:
    words = t("waits for approval") if part.needs_approval else t("is copied")
    if part.seen is None or part.seen.outlook is None:
        return words
    return f"{words}. {would_do(part.seen.outlook.counts, t)}"


# -- What was typed


def too_many(n: int, t: Translator) -> Message:
    """More than may be asked for at once."""
    return sentence(
        t("At most {most} liquidations at a time: that would be {n}.", most=MOST, n=t.number(n)),
        hint=usage(t, example=f"{COPY_COMMAND} 40-45"),
    )


def not_numbers(word: str, t: Translator, meant: str | None = None) -> Message:
    """Several numbers were meant, and not written so that they are read exactly."""
    return sentence(
        t("“{word}” isn't how several liquidations are written.", word=sanitized(word)),
        hint=t("Write `40-45`, `42,43`, or both: `40-42,45`.") + " " + usage(t, meant),
    )


def read_as_several(one: int, t: Translator) -> str:
    """A number with separated thousands looks like a list."""
    return t(
        "This was read as several liquidations. One would be `{command}`.", command=f"{COPY_COMMAND} {one}"
    )


def too_long(t: Translator) -> Message:
    """Their numbers don't fit into a button together."""
    return sentence(
        t("These are too many long numbers for one press."),
        hint=usage(t, example=f"{COPY_COMMAND} 40-45"),
    )
