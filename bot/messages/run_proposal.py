"""What one press would begin as a run: a line for each liquidation, or for each table of a set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.i18n import Translator
from bot.jobs.view import NOTHING_SHOWN, AgreedCounts, JobView
from bot.messages.answers import to_card, usage
from bot.messages.blocks import (
    BUTTON_VALUE_LIMIT,
    COPY_COMMAND,
    Block,
    Dialog,
    Message,
    View,
    actions,
    at,
    button,
    code,
    context,
    copied,
    cut,
    escaped,
    header,
    mention,
    of_liquidation,
    plain,
    read_out,
    requester,
    sanitized,
    section,
    sentence,
)
from bot.messages.card import progress, state
from bot.messages.failure_texts import Explained
from bot.messages.proposal import (
    CANCEL_ACTION,
    Carried,
    Offer,
    Shown,
    counted,
    in_short,
    is_nothing,
    kept_blocks,
    kept_in_prod,
    lifetime,
    made_of,
    missing_indexes,
    press_word,
    read_short,
    removes_everything,
    to_be_pressed,
    warnings_of,
    why_input,
    would_do,
)
from bot.messages.question import confirm_removal, sides_in_short
from bot.messages.run import LINE_LIMIT, TITLE_LIMIT, in_sections, of_liquidations, together
from copier import Count, Counts, Preview


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the set: what both sides hold, or why it can't be copied now.

    ``title`` is what messages call its copy. ``taken`` is a live job that copies it already.
    ``needs_approval``: somebody else has to say yes, out of ``approvers``. ``last`` is its latest completed
    copy.
    """

    copy_name: str
    title: str
    seen: Preview | None = None
    problem: Explained | None = None
    taken: JobView | None = None
    needs_approval: bool = False
    approvers: tuple[str, ...] = ()
    last: JobView | None = None

    @property
    def is_nothing(self) -> bool:
        """Neither side has rows: that is as it may be in a set."""
        return self.seen is not None and is_nothing(self.seen)

    @property
    def removes(self) -> bool:
        """Prod has no rows for certain, and consulta's would go."""
        return self.seen is not None and removes_everything(self.seen) and not is_nothing(self.seen)


# ----------------------------------------------------------------------------
# Several liquidations, of one copy or of a set
#
# What a press stands for travels in its button's value, as with one liquidation. Of a set the sums of all
# tables are shown of each liquidation, and a press counts for these.


COPY_SEVERAL_ACTION = "copy_several.confirm"
LATER_SEVERAL_ACTION = "copy_several.later"
#: So many liquidations may be asked for at once.
MOST = 50
#: So many tables of sets, of all liquidations together.
MOST_TABLES = 200
#: So many characters of a reason stand in a table's cell.
CELL_LIMIT = 200
#: So many warnings are shown; of more there is said how many.
WARNINGS_SHOWN = 20
#: A warning names an index's statement.
WARNING_LIMIT = 560


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

    ``seen`` is of one copy; of a set ``tables`` are in the order in which they are written. ``taken`` is a
    live job that copies it, or one of its tables, already. ``needs_approval``: somebody else has to say yes.
    """

    liquidation_id: int
    seen: Preview | None = None
    refused: Refused | None = None
    taken: JobView | None = None
    problem: Explained | None = None
    needs_approval: bool = False
    tables: tuple[Table, ...] = ()

    @property
    def looks(self) -> tuple[tuple[int, str, Preview], ...]:
        """Its number with each table's title, which is empty of one copy, and what was seen of the table."""
        if self.seen is not None:
            return ((self.liquidation_id, "", self.seen),)
        return tuple((self.liquidation_id, each.title, each.seen) for each in self.tables if each.seen)

    @property
    def each_seen(self) -> tuple[Preview, ...]:
        """What was seen of its copies."""
        return tuple(seen for _, _, seen in self.looks)

    @property
    def can_be_copied(self) -> bool:
        return self.refused is None and bool(self.each_seen)

    @property
    def label(self) -> str | None:
        """The liquidation's name."""
        return next((seen.label for seen in self.each_seen if seen.label), None)

    @property
    def would(self) -> Counts | None:
        """What would be done to consulta's rows; None where that isn't known of each table."""
        if self.seen is not None:
            return self.seen.expected_changes.counts if self.seen.expected_changes is not None else None
        found = [Counts() if table.is_nothing else known_counts(table.seen) for table in self.tables]
        known = [counts for counts in found if counts is not None]
        return None if len(known) < len(found) or not known else sum(known[1:], start=known[0])

    @property
    def shown(self) -> Shown:
        """What its line shows."""
        if self.seen is not None:
            return Shown.of(self.seen)
        counts, seen = self.would, self.each_seen
        deleted, updated = (counts.deleted, counts.updated) if counts is not None else (None, None)
        prod, consulta = [each.in_source.rows for each in seen], [each.in_target.rows for each in seen]
        return Shown(_all_of(prod), _all_of(consulta), deleted, updated)

    @property
    def made_of(self) -> str:
        """Stands for the tables, keys and columns of its copies."""
        return made_of(self.seen) if self.seen is not None else all_made_of(self.tables)


def _all_of(rows: Sequence[int | None]) -> int | None:
    known = [each for each in rows if each is not None]
    return sum(known) if len(known) == len(rows) else None


@dataclass(frozen=True, slots=True)
class SeveralOffer:
    """What a press of *Copy* stands for. ``key`` makes it work once; ``expires_at`` is in seconds since 1970.

    ``parts`` are the liquidations, with what was shown of each. ``made_of`` stands for the tables, the key
    and the columns of the copy, or of those of a set. ``of_set``: the name is that of a set.
    """

    copy_name: str
    key: str
    expires_at: int
    parts: tuple[tuple[int, Shown], ...]
    made_of: str = ""
    of_set: bool = False

    def encoded(self) -> str:
        """Short: fifty liquidations have to fit into a button's value."""
        parts = ";".join(in_short(liquidation_id, *shown.numbers) for liquidation_id, shown in self.parts)
        whole = [
            self.copy_name,
            self.key,
            self.expires_at,
            self.made_of,
            parts,
            *([1] if self.of_set else []),
        ]
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))

    @property
    def fits(self) -> bool:
        return len(self.encoded()) <= BUTTON_VALUE_LIMIT

    @classmethod
    def decoded(cls, value: str) -> SeveralOffer:
        """Raises ValueError or TypeError for what isn't an offer."""
        copy_name, key, expires_at, made_of, parts, *of_set = json.loads(value)
        found = []
        for part in str(parts).split(";"):
            liquidation_id, *shown = read_short(part, 5)
            if liquidation_id is None:
                raise ValueError("an offer without a liquidation")
            found.append((liquidation_id, Shown(*shown)))
        return cls(str(copy_name), str(key), int(expires_at), tuple(found), str(made_of), of_set == [1])

    def moved(self, part: Part) -> bool:
        """Whether what was shown of it is no longer so, as with one liquidation."""
        shown = self._shown(part)
        if shown is None or not part.can_be_copied:
            return True
        return self.made_of != part.made_of or shown.moved_to(part.shown)

    def terms(self, part: Part) -> AgreedCounts:
        """What its job is bound to, of one copy."""
        shown = self._shown(part)
        if shown is None or part.seen is None:
            return NOTHING_SHOWN
        return shown.terms(part.seen)

    def _shown(self, part: Part) -> Shown | None:
        return next((shown for number, shown in self.parts if number == part.liquidation_id), None)


@dataclass(frozen=True, slots=True)
class SeveralOffered:
    """The lines with what may be pressed; ``offer`` is None where none of them can be copied.

    ``title`` is what messages call the copy or the set, ``expected_seconds`` None where nobody knows.
    ``approvers`` names, as messages show them, who would have to approve those that need it. ``minutes`` is
    how long the press works. ``notice`` says why it is asked again, or is empty. ``asks_why``: only with a
    reason. A set has so many ``tables``.
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
    tables: int = 0


def refusal_of_set(tables: Sequence[Table]) -> Refused | None:
    """Why a set whose tables were all looked at can't be copied together with others."""
    exists = next(
        (table.seen.exists for table in tables if table.seen and table.seen.exists is not None), None
    )
    nothing = all(table.is_nothing for table in tables)
    if exists is False or (exists is None and nothing):
        return Refused.UNKNOWN
    if nothing:
        return Refused.EMPTY
    return Refused.REMOVES if any(table.removes for table in tables) else None


def refusal_of(seen: Preview) -> Refused | None:
    """The same of one copy."""
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
    rows = sum(seen.in_source.rows or 0 for part in possible for seen in part.each_seen)
    total = t("Rows in prod: {rows}.", rows=t.number(rows))
    if offered.tables:
        total += " " + t(
            "The numbers are those of all {n} tables of the set, which are of one moment of prod for each "
            "liquidation.",
            n=offered.tables,
        )
    notice = [section(f"🔁 {offered.notice}")] if offered.notice else []
    head = [header(question), *notice, section(f"*{n}* {total} {_expected(offered, t)}".strip())]
    tail = [
        *_kept(possible, t),
        *in_sections(_to_mind([look for part in possible for look in part.looks], t), 5),
        *_approval(offered, t),
    ]
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
        tail.append(lifetime(word, offered.minutes, t))
    lines = [_line(part, offered, t) for part in offered.parts]
    text = f"{offered.notice} {escaped(question)} {n} {total}".strip()
    return Message(text, [*head, _table(offered, t), *tail], fallback=[*head, *in_sections(lines), *tail])


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
    first = next(iter(possible), None)
    if first is None or first.seen is None:
        return [] if first is None else _kept_of_tables(first.tables, t)
    return kept_blocks(first.seen, t)


def _to_mind(looks: Sequence[tuple[int, str, Preview]], t: Translator) -> list[str]:
    """What to mind of these looks, each at one table of a liquidation; of one copy without its title.

    It is said of which table it is so, and of which liquidations where it isn't so of all. An index that
    several tables lack is said of the first. At most so many are shown, and how many more there are.
    """
    concerned, first = dict[tuple[str, str], list[int]](), dict[str, str]()
    for number, title, seen in looks:
        indexes = missing_indexes(seen, t)
        for words in warnings_of(seen, t):
            of = first.setdefault(words, title) if words in indexes else title
            concerned.setdefault((of, words), []).append(number)
    every, found = {number for number, _, _ in looks}, list[str]()
    for (title, words), numbers in concerned.items():
        of_some = [cut(together(numbers), TITLE_LIMIT)] if {*numbers} < every else []
        heading = " · ".join([*of_some, *([sanitized(title)] if title else [])])
        found.append(cut(f"⚠️ *{heading}*: {words}" if heading else f"⚠️ {words}", WARNING_LIMIT))
    more = len(found) - WARNINGS_SHOWN
    return [*found[:WARNINGS_SHOWN], *([t.plural("and {n} more", "and {n} more", more)] if more > 0 else [])]


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


def _table(offered: SeveralOffered, t: Translator) -> Block:
    heads = [t("Liquidation"), t("Rows in prod"), t("Rows in consulta now"), t("What becomes of it")]
    rows = [[_cell(head) for head in heads]]
    for part in offered.parts:
        prod, consulta = _counts(part, t)
        name = f"{part.liquidation_id} · {part.label}" if part.label else str(part.liquidation_id)
        rows.append([_cell(name), _cell(prod), _cell(consulta), _cell(plain(_outcome(part, offered, t)))])
    right = {"align": "right"}
    return {
        "type": "table",
        "rows": rows,
        "column_settings": [{"is_wrapped": True}, right, right, {"is_wrapped": True}],
    }


def _cell(text: str) -> Block:
    return {"type": "raw_text", "text": cut(text, CELL_LIMIT) or "–"}


def _line(part: Part, offered: SeveralOffered, t: Translator) -> str:
    """The same as a line of mrkdwn."""
    prod, consulta = _counts(part, t)
    sign = "✅" if part.refused is None else "🚫"
    label = f" · {sanitized(part.label)}" if part.label else ""
    sides = sides_in_short(prod, consulta, t)
    return cut(f"{sign} *{part.liquidation_id}*{label} · {sides} · {_outcome(part, offered, t)}", LINE_LIMIT)


def _counts(of: Part | Table, t: Translator) -> tuple[str, str]:
    if isinstance(of, Part) and of.tables and not any(table.problem for table in of.tables):
        prod, consulta = [each.in_source for each in of.each_seen], [each.in_target for each in of.each_seen]
        return _sum(prod, t), _sum(consulta, t)
    if of.seen is None:
        return "–", "–"
    return counted(of.seen.in_source, t), counted(of.seen.in_target, t)


def _outcome(part: Part, offered: SeveralOffered, t: Translator) -> str:
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
            emptied = [table.title for table in part.tables if table.removes]
            if emptied:
                command = code(f"{COPY_COMMAND} {part.liquidation_id} {offered.copy_name}")
                return t(
                    "prod has no rows for {tables}: consulta's would be removed. Ask for it alone: {command}",
                    tables=sanitized(", ".join(emptied), 120),
                    command=command,
                )
            return t(
                "prod has no rows: consulta's would be removed. Ask for it alone: {command}", command=command
            )
        case _:
            stuck = next((table for table in part.tables if table.problem is not None), None)
            if stuck is not None and stuck.problem is not None:
                return f"{sanitized(stuck.title)}: {stuck.problem.what}"
            return part.problem.what if part.problem else t("can't be looked at now")


def _copied(part: Part, t: Translator) -> str:
    words = t("waits for approval") if part.needs_approval else t("is copied")
    return words if part.would is None else f"{words}. {would_do(part.would, t)}"


# -- What was typed


def too_many(n: int, t: Translator) -> Message:
    """More than may be asked for at once."""
    return sentence(
        t("At most {most} liquidations at a time: that would be {n}.", most=MOST, n=t.number(n)),
        hint=usage(t, example=f"{COPY_COMMAND} 40-45"),
    )


def too_many_tables_in_all(liquidations: int, tables: int, t: Translator) -> Message:
    """More tables of sets than may be asked for at once."""
    return sentence(
        t(
            "At most {most} tables at a time: {liquidations} liquidations with {tables} tables each would be "
            "{n}.",
            most=MOST_TABLES,
            liquidations=liquidations,
            tables=tables,
            n=liquidations * tables,
        ),
        hint=t("Ask for at most {n} liquidations of this set at a time.", n=max(1, MOST_TABLES // tables)),
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


# ----------------------------------------------------------------------------
# A set: a whole liquidation
#
# What a press stands for travels in its button's value, as with a single copy.


COPY_WHOLE_ACTION = "copy_whole.confirm"
LATER_WHOLE_ACTION = "copy_whole.later"


@dataclass(frozen=True, slots=True)
class WholeOffer:
    """What a press of *Copy* stands for. ``key`` makes it work once; ``expires_at`` is in seconds since 1970.

    ``tables`` are what was shown of each table, in the order in which the configuration names the copies of
    the set. ``made_of`` stands for these copies: their tables, keys and columns.
    """

    set_name: str
    liquidation_id: int
    key: str
    expires_at: int
    tables: tuple[Shown, ...]
    made_of: str = ""

    def encoded(self) -> str:
        tables = ";".join(in_short(*shown.numbers) for shown in self.tables)
        whole = [self.set_name, self.liquidation_id, self.key, self.expires_at, self.made_of, tables]
        return json.dumps(whole, separators=(",", ":"))

    @property
    def fits(self) -> bool:
        return len(self.encoded()) <= BUTTON_VALUE_LIMIT

    @classmethod
    def decoded(cls, value: str) -> WholeOffer:
        """Raises ValueError or TypeError for what isn't an offer."""
        set_name, liquidation_id, key, expires_at, made, tables = json.loads(value)
        shown = tuple(Shown(*read_short(each, 4)) for each in str(tables).split(";"))
        return cls(str(set_name), int(liquidation_id), str(key), int(expires_at), shown, str(made))

    def moved(self, tables: Sequence[Table]) -> bool:
        """Whether what was shown of any table is no longer so. ``tables`` in the configuration's order."""
        if self.made_of != all_made_of(tables) or len(self.tables) != len(tables):
            return True
        return any(
            table.seen is None or shown.moved(table.seen)
            for shown, table in zip(self.tables, tables, strict=True)
        )


def all_made_of(tables: Sequence[Table]) -> str:
    """Stands for the copies of a set, with their tables, keys and columns."""
    parts = [f"{table.copy_name} {made_of(table.seen) if table.seen else ''}" for table in tables]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class WholeOffered:
    """A set with what may be pressed: the confirm card and the modal are both rendered from it.

    ``title`` is what messages call the set, ``tables`` are in the order in which they are written. ``label``
    is the liquidation's name. ``minutes`` is how long the press works, ``expected_seconds`` None where nobody
    knows. ``others`` are live copies of other liquidations into the same tables. ``notice`` says why it is
    asked again, or is empty. ``asks_why``: a press counts only with a reason.
    """

    offer: WholeOffer
    title: str
    tables: tuple[Table, ...]
    minutes: int
    label: str | None = None
    expected_seconds: float | None = None
    others: tuple[JobView, ...] = ()
    notice: str = ""
    asks_why: bool = False

    @property
    def removing(self) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.removes)

    @property
    def approvers(self) -> tuple[str, ...] | None:
        """Who would have to approve, each once; None where nobody has to."""
        waiting = [table for table in self.tables if table.needs_approval]
        if not waiting:
            return None
        return tuple(dict.fromkeys(who for table in waiting for who in table.approvers))

    @property
    def asks(self) -> bool:
        """Whether somebody else has to approve it."""
        return self.approvers is not None


# -- The confirm card, and the same for a modal


def whole_card(offered: WholeOffered, t: Translator) -> Message:
    """The confirm card: a table with a line for each table of the set, and the buttons *Copy*, *Later…* and
    *Cancel*.

    Where Slack takes no table here, the lines are text.
    """
    head, tail = _head(offered, t), _tail(offered, t)
    tail += [
        *(why_input(t) if offered.asks_why else []),
        actions(
            copy_button(offered, t),
            _later_button(offered, t),
            button(t("Cancel"), CANCEL_ACTION, offered.offer.key),
        ),
        _lifetime(offered, t),
    ]
    blocks = [*head, _set_table(offered.tables, t), *tail]
    text = f"{offered.notice} {escaped(_question(offered, t))} {_sums(offered, t).replace('*', '')}".strip()
    return Message(text, blocks, fallback=[*head, *_lines(offered.tables, t), *tail])


def whole_body(offered: WholeOffered, t: Translator) -> list[Block]:
    """The same without buttons, for a modal that has its own. Slack takes no table there."""
    why = why_input(t) if offered.asks_why else []
    lines = _lines(offered.tables, t)
    return [*_head(offered, t), *lines, *_tail(offered, t), *why, _lifetime(offered, t)]


def whole_preview(offered: WholeOffered, carried: Carried, t: Translator) -> View:
    """The offer in the modal, to be submitted: what the confirm card is in a channel."""
    offer, dialog = offered.offer, removal_dialog(offered, t)
    body, word = whole_body(offered, t), press_word(t, asks=offered.asks)
    return to_be_pressed(body, carried, t, word=word, key=offer.key, offer=offer.encoded(), dialog=dialog)


def read_offer(value: str) -> Offer | WholeOffer:
    """What the modal carries: of a single copy or of a set. Raises ValueError or TypeError for neither."""
    return WholeOffer.decoded(value) if value.startswith("[") else Offer.decoded(value)


def choice(title: str, n: int, t: Translator) -> str:
    """What a menu calls a set of so many tables."""
    return f"{title} · " + t.plural("{n} table", "{n} tables", n)


def copy_button(offered: WholeOffered, t: Translator) -> Block:
    """*Copy*, with a dialog before it where it would remove all rows of a table."""
    style = "danger" if offered.removing else "primary"
    return button(
        press_word(t, asks=offered.asks),
        COPY_WHOLE_ACTION,
        offered.offer.encoded(),
        style=style,
        dialog=removal_dialog(offered, t),
    )


def _later_button(offered: WholeOffered, t: Translator) -> Block:
    """*Later…*, with the same dialog before it."""
    dialog = removal_dialog(offered, t)
    return button(t("Later…"), LATER_WHOLE_ACTION, offered.offer.encoded(), dialog=dialog)


def removal_dialog(offered: WholeOffered, t: Translator) -> Dialog | None:
    """Before a press that removes all rows of one of the tables from consulta."""
    if not offered.removing:
        return None
    tables = ", ".join(
        f"{table.title} ({counted(table.seen.in_target, t)})" for table in offered.removing if table.seen
    )
    names = cut(tables, 180)
    words = t("Prod has no rows for: {tables}. Their rows in consulta will be removed.", tables=names)
    return confirm_removal(words, t)


def _question(offered: WholeOffered, t: Translator) -> str:
    return t("Copy {what}?", what=of_liquidation(offered.title, offered.offer.liquidation_id, t))


def _head(offered: WholeOffered, t: Translator) -> list[Block]:
    notice = [section(f"🔁 {offered.notice}")] if offered.notice else []
    label = [context(sanitized(offered.label, 300))] if offered.label else []
    return [header(_question(offered, t)), *label, *notice, section(_sums(offered, t))]


def _sums(offered: WholeOffered, t: Translator) -> str:
    """How many tables and rows, and how long it should take."""
    n = t.plural("{n} table", "{n} tables", len(offered.tables))
    seen = [table.seen for table in offered.tables if table.seen]
    prod, consulta = (
        _sum([each.in_source for each in seen], t),
        _sum([each.in_target for each in seen], t),
    )
    sides = sides_in_short(prod, consulta, t)
    expected = ""
    if offered.expected_seconds is not None:
        duration = t.duration(offered.expected_seconds)
        expected = t(
            "It should take about {duration}, going by the last runs of this set.", duration=duration
        )
    return f"*{n}* · {sides}. {expected}".strip()


def _sum(counts: Sequence[Count], t: Translator) -> str:
    """All rows of a side; no number where one of them isn't known, and an estimate is said to be one."""
    known = [count.rows for count in counts if count.rows is not None]
    if len(known) < len(counts):
        return t("not known")
    if all(count.exact for count in counts):
        return t.number(sum(known))
    return t("about {n}", n=t.number(sum(known)))


def _tail(offered: WholeOffered, t: Translator) -> list[Block]:
    return [
        context(_last_copied(offered, t)),
        *_kept_of_tables(offered.tables, t),
        *in_sections(_warnings(offered, t), 5),
        *_set_approval(offered, t),
    ]


def _kept_of_tables(tables: Sequence[Table], t: Translator) -> list[Block]:
    """Which columns stay in prod, of each table."""
    kept = [
        f"🔒 *{sanitized(table.title)}*: {words}"
        for table in tables
        if table.seen and (words := kept_in_prod(table.seen, t, lambda names: code(names, 300)))
    ]
    return in_sections([cut(line, WARNING_LIMIT) for line in kept], 5)


def _last_copied(offered: WholeOffered, t: Translator) -> str:
    """When the whole was last copied; never what is true of a part of it only."""
    found = [table.last for table in offered.tables]
    last = found[0]
    if not any(found):
        return t("Never copied.")
    is_of_run = last is not None and last.run_id is not None
    if not is_of_run or len({each and each.run_id for each in found}) > 1:
        return t("Its tables were not all copied, or not at one moment.")
    assert last is not None  # noqa: S101 - it was looked at above
    return t(
        "Last copied {moment} by {user}: {rows}.",
        moment=at(last.finished_at or last.now, t),
        user=mention(requester(last)),
        rows=t.rows(sum(each.total or 0 for each in found if each)),
    )


def _warnings(offered: WholeOffered, t: Translator) -> list[str]:
    """What to mind, of each table, and which other copies are under way."""
    number = offered.offer.liquidation_id
    found = _to_mind([(number, table.title, table.seen) for table in offered.tables if table.seen], t)
    if offered.others:
        first, what = offered.others[0], copied(offered.others[0], t)
        words = t.plural(
            "{n} other copy into these tables is under way: job {job}, {what}.",
            "{n} other copies into these tables are under way, the first is job {job}, {what}.",
            len(offered.others),
            job=first.id,
            what=what,
        )
        found.append(f"⚠️ {words}")
    return found


def _set_approval(offered: WholeOffered, t: Translator) -> list[Block]:
    if offered.approvers is None:
        return []
    who = ", ".join(offered.approvers[:10]) or t("those who may copy")
    because = ", ".join(sanitized(table.title) for table in offered.tables if table.needs_approval)
    words = t(
        "The set starts only when somebody else approves it, out of {who}: {tables} asks for that.",
        who=who,
        tables=cut(because, 300),
    )
    return [section(f"👥 {words}")]


def _lifetime(offered: WholeOffered, t: Translator) -> Block:
    return lifetime(press_word(t, asks=offered.asks), offered.minutes, t, asks=offered.asks)


def _set_table(tables: Sequence[Table], t: Translator) -> Block:
    heads = [t("Table"), t("Rows in prod"), t("Rows in consulta now"), t("Insert / change / delete / leave")]
    rows = [[_cell(head) for head in heads]]
    for table in tables:
        prod, consulta = _counts(table, t)
        rows.append([_cell(text) for text in (table.title, prod, consulta, _would(table, t))])
    right = {"align": "right"}
    return {"type": "table", "rows": rows, "column_settings": [{"is_wrapped": True}, right, right, right]}


def _lines(tables: Sequence[Table], t: Translator) -> list[Block]:
    """The same as lines of mrkdwn, with the words above them."""
    lines = []
    for number, table in enumerate(tables, 1):
        prod, consulta = _counts(table, t)
        sides = sides_in_short(prod, consulta, t)
        heading = t("Insert / change / delete / leave")
        would = f"{heading}: {_would(table, t)}"
        lines.append(cut(f"{number}. *{sanitized(table.title)}* · {sides} · {would}", LINE_LIMIT))
    return in_sections(lines)


def _would(table: Table, t: Translator) -> str:
    """What would be done to consulta's rows, exactly; or that it isn't known before."""
    if table.is_nothing:
        return t("no rows on either side")
    counts = known_counts(table.seen) if table.seen is not None else None
    if counts is None:
        return t("not known")
    each = (counts.inserted, counts.updated, counts.deleted, counts.unchanged)
    return " / ".join(map(t.number, each))


def known_counts(seen: Preview | None) -> Counts | None:
    """By what an earlier copy has proven, or because one side has no rows."""
    if seen is None:
        return None
    if seen.expected_changes is not None:
        return seen.expected_changes.counts
    prod, consulta = seen.in_source.known, seen.in_target.known
    if prod is not None and consulta == 0 and seen.taken == Count(0, exact=True):
        return Counts(inserted=prod)
    return Counts(deleted=consulta) if prod == 0 and consulta is not None else None


# -- Why there is nothing to press


def not_possible(
    title: str, liquidation_id: int, tables: Sequence[Table], t: Translator, notice: str = ""
) -> Message:
    """One of the tables can't be copied, so the set can't: which, why, and what to do."""
    stuck = [table for table in tables if table.problem is not None]
    what = of_liquidation(sanitized(title), liquidation_id, t)
    text = t(
        "{what} can't be copied now: a set is copied whole, and these of its tables can't be: {tables}.",
        what=what,
        tables=", ".join(sanitized(table.title) for table in stuck),
    )
    lines = [
        cut(f"🚫 *{sanitized(table.title)}*: {table.problem.what} {table.problem.step}", 2 * LINE_LIMIT)
        for table in stuck
        if table.problem
    ]
    said = read_out(" ".join([notice, text, *lines]).strip())
    return Message(cut(said, 2000), [section(text), *in_sections(lines, 5)])


def under_way(
    title: str,
    liquidation_id: int,
    taken: Sequence[tuple[str, JobView]],
    links: dict[int, str],
    t: Translator,
) -> Message:
    """Some of the set's tables are being copied already: which, by which job, and where to see it.

    ``taken`` has the title of each table with the live job.
    """
    what = of_liquidation(sanitized(title), liquidation_id, t)
    text = t("Nothing was started: tables of {what} are being copied already.", what=what)
    lines = []
    for name, job in taken:
        words = t(
            "*{table}*: job {job}, {state}, {progress}, requested by {user}.",
            table=sanitized(name),
            job=job.id,
            state=state(job, t),
            progress=progress(job, t),
            user=mention(requester(job)),
        )
        lines.append(cut(f"{words} {to_card(links.get(job.id), t)}".strip(), 2 * LINE_LIMIT))
    hint = t("When they have ended, ask again.")
    return Message(
        cut(read_out(" ".join([text, *lines, hint])), 2000),
        [section(text), *in_sections(lines, 5), context(hint)],
    )


def too_many_tables(title: str, command: str, t: Translator) -> Message:
    """What a press stands for doesn't fit into a button."""
    return sentence(
        t("“{copy}” has too many tables for one press.", copy=sanitized(title)),
        hint=t("In a shell it works: `{command}`", command=command),
    )


# -- What was typed


def unknown_set(name: str, names: Sequence[str], t: Translator) -> Message:
    """The set of a press isn't configured any more."""
    configured = t("Configured: {names}.", names=", ".join(f"`{each}`" for each in names[:30]))
    return sentence(
        t("There is no set named “{word}”.", word=sanitized(name)),
        hint=configured if names else usage(t),
    )
