"""What a copy would do, seen from both sides, and what a press of *Copy* stands for.

The confirm card in a channel and the modal are rendered from the same `Offered`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, astuple, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from bot.i18n import Translator
from bot.jobs.view import AgreedCounts, JobView, apart, more
from bot.messages.answers import wrong_number
from bot.messages.blocks import (
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
    fields,
    header,
    mention,
    of_liquidation,
    option,
    requester,
    sanitized,
    section,
    sentence,
)
from bot.messages.question import REASON_LIMIT, removal, removal_dialog
from bot.untrusted_text import clean_name, one_line
from copier import Count, Counts, Preview, Treatment

if TYPE_CHECKING:
    from copier import Entry, Lacking

COPY_ACTION = "copy_liquidation.confirm"
CANCEL_ACTION = "copy_liquidation.cancel"
LATER_ACTION = "copy_liquidation.later"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Both sides as they are ``seen`` now, and what earlier and present jobs say about them.

    ``last`` is the latest completed copy of this liquidation, ``others`` the live copies of other ones into
    the same table. ``approvers`` names, as messages show them, who would have to approve; None: nobody.
    ``most_a_second`` is the cap in rows; None where there is none.
    """

    seen: Preview
    last: JobView | None = None
    expected_seconds: float | None = None
    others: tuple[JobView, ...] = ()
    approvers: tuple[str, ...] | None = None
    most_a_second: float | None = None

    @property
    def asks(self) -> bool:
        """Whether somebody else has to approve it."""
        return self.approvers is not None


@dataclass(frozen=True, slots=True)
class Shown:
    """The rows of both sides that somebody was shown of one copy, and how many of consulta's it would delete
    and change; None for what wasn't known. A press counts only for them.
    """

    in_prod: int | None
    in_consulta: int | None
    deleted: int | None = None
    updated: int | None = None

    @property
    def numbers(self) -> tuple[int | None, ...]:
        """In short, as `in_short` writes them."""
        return (self.in_prod, self.in_consulta, self.deleted, self.updated)

    @classmethod
    def of(cls, seen: Preview) -> Self:
        counts = seen.expected_changes.counts if seen.expected_changes is not None else None
        deleted, updated = (counts.deleted, counts.updated) if counts else (None, None)
        return cls(seen.in_source.rows, seen.in_target.rows, deleted, updated)

    def moved(self, seen: Preview) -> bool:
        """Whether a side is more than a tenth away from what was shown, or known only now, or no more.

        Or whether the copy would delete more rows than was shown, or change so many more that it is a tenth
        of all, or this isn't known any more.
        """
        return self.moved_to(Shown.of(seen))

    def moved_to(self, now: Shown) -> bool:
        """The same, by what would be shown now."""
        sides = ((self.in_prod, now.in_prod), (self.in_consulta, now.in_consulta))
        return any(apart_from(shown, seen) for shown, seen in sides) or self._would_do_more(now)

    def _would_do_more(self, now: Shown) -> bool:
        if self.deleted is None:
            return False
        if now.deleted is None or now.updated is None:
            return True
        changes_more = self.updated is not None and (now.updated - self.updated) * 10 > (now.in_consulta or 0)
        return more(self.deleted, now.deleted) or changes_more

    def terms(self, seen: Preview) -> AgreedCounts:
        """What the job is bound to; an estimate of consulta's rows says nothing about what may go."""
        return AgreedCounts(
            in_prod=self.in_prod,
            in_consulta=self.in_consulta if seen.in_target.exact else None,
            removal_confirmed=self.in_prod == 0 and removes_everything(seen) and not is_nothing(seen),
            deleted=self.deleted,
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """What a press of *Copy* stands for; travels in the button's value. ``key`` makes it work once.

    ``expires_at`` is in seconds since 1970. ``in_prod`` and ``in_consulta`` are the rows that the person was
    shown, None for those that weren't known: the press counts only for them. ``made_of`` stands for the
    tables, the key and the columns that the copy had then. ``would`` are the rows that the copy would insert,
    change, delete and leave, None where that wasn't known.
    """

    copy_name: str
    liquidation_id: int
    key: str
    expires_at: int
    in_prod: int | None
    in_consulta: int | None
    made_of: str = ""
    would: Counts | None = None

    def encoded(self) -> str:
        found = asdict(self)
        del found["would"]
        if self.would is not None:
            found["would"] = astuple(self.would)
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def decoded(cls, value: str) -> Offer:
        """One of the release before has no ``would``. Raises ValueError or TypeError for no offer."""
        offer = cls(**json.loads(value))
        would: Any = offer.would
        return cls(
            str(offer.copy_name),
            int(offer.liquidation_id),
            str(offer.key),
            int(offer.expires_at),
            None if offer.in_prod is None else int(offer.in_prod),
            None if offer.in_consulta is None else int(offer.in_consulta),
            str(offer.made_of),
            None if would is None else Counts(*map(int, would)),
        )

    def moved(self, seen: Preview) -> bool:
        """Whether what was shown is no longer so, or the copy is made of something else than it was."""
        return self.made_of != made_of(seen) or self._shown.moved(seen)

    def terms(self, seen: Preview) -> AgreedCounts:
        """What the run is bound to."""
        return self._shown.terms(seen)

    @property
    def _shown(self) -> Shown:
        deleted, updated = (self.would.deleted, self.would.updated) if self.would else (None, None)
        return Shown(self.in_prod, self.in_consulta, deleted, updated)


@dataclass(frozen=True, slots=True)
class Offered:
    """A proposal with what may be pressed: the confirm card and the modal are both rendered from it.

    ``title`` is what messages call the copy. ``minutes`` is how long the press works. ``notice`` says why it
    is asked again, or is empty. ``asks_why``: a press counts only with a reason.
    """

    offer: Offer
    title: str
    proposal: Proposal
    minutes: int
    notice: str = ""
    asks_why: bool = False


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def in_short(*numbers: int | None) -> str:
    """Numbers from 0 on, with 36 digits: many of them have to fit into a button's value."""
    return ":".join(map(_short, numbers)).rstrip(":")


def read_short(text: str, n: int) -> list[int | None]:
    """So many numbers as `in_short` wrote them. Raises ValueError for anything else."""
    found = [int(part, len(_DIGITS)) if part else None for part in text.split(":")]
    if len(found) > n:
        raise ValueError("more numbers than there may be")
    return found + [None] * (n - len(found))


def _short(number: int | None) -> str:
    if number is None:
        return ""
    found = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        found = _DIGITS[digit] + found
    return found or "0"


def made_of(seen: Preview) -> str:
    """Stands for the copy's tables, key and columns; another one for another copy."""
    return seen.fingerprint.digest if seen.fingerprint else ""


def removes_everything(seen: Preview) -> bool:
    """Prod has no rows for certain."""
    return seen.in_source.exact and seen.in_source.rows == 0


def is_nothing(seen: Preview) -> bool:
    """Neither side has rows, for certain."""
    return removes_everything(seen) and seen.in_target == Count(0, exact=True)


def apart_from(shown: int | None, now: int | None) -> bool:
    """Whether a number is more than a tenth away from the one that was shown, or known only on one side."""
    if shown is None or now is None:
        return shown is not now
    return apart(shown, now)


# -- The confirm card, and the same for a modal


def proposal_card(offered: Offered, t: Translator) -> Message:
    """The confirm card: both sides, and the buttons *Copy* and *Cancel*."""
    offer, seen = offered.offer, offered.proposal.seen
    title = escaped(cut(_question(offered, t), 200))
    buttons = actions(
        copy_button(offered, t),
        button(t("Later…"), LATER_ACTION, offer.encoded()),
        button(t("Cancel"), CANCEL_ACTION, offer.key),
    )
    in_prod, in_consulta = t("Rows in prod"), t("Rows in consulta now")
    sides = f"{in_prod}: {counted(seen.in_source, t)}. {in_consulta}: {counted(seen.in_target, t)}."
    if seen.expected_changes is not None:
        sides += f" {would_do(seen.expected_changes.counts, t)}"
    label = clean_name(seen.label or "")
    named = f" {escaped(cut(label, 200))}." if label else ""
    text = f"{offered.notice} {title}{named} {sides}".strip()
    return Message(text, [*_shown(offered, t), *_why(offered, t), buttons, _lifetime(offered, t)])


def proposal_body(offered: Offered, t: Translator) -> list[Block]:
    """The same without buttons, for a modal that has its own."""
    return [*_shown(offered, t), *_why(offered, t), _lifetime(offered, t)]


def _why(offered: Offered, t: Translator) -> list[Block]:
    """The input for a reason, where the copy asks for one."""
    return why_input(t) if offered.asks_why else []


def why_input(t: Translator, written: str = "") -> list[Block]:
    """The input in which a reason is written; what is ``written`` by then stands in it."""
    field: Block = {"type": "plain_text_input", "multiline": True, "max_length": REASON_LIMIT}
    if written.strip():
        field["initial_value"] = written
    return [_input(WHY, t("Why is it copied?"), field, hint=t("The card and the receipt say it."))]


def why_missing(t: Translator) -> str:
    """To whoever pressed without a reason."""
    return t("This copy asks for a reason: write why it is copied, then press again.")


def copy_button(offered: Offered, t: Translator) -> Block:
    """*Copy*, with a dialog before it where it would only remove rows."""
    offer, removes = offered.offer, removes_everything(offered.proposal.seen)
    style = "danger" if removes else "primary"
    dialog = removal_dialog(offered.title, offer.liquidation_id, t) if removes else None
    word = press_word(t, asks=offered.proposal.asks)
    return button(word, COPY_ACTION, offer.encoded(), style=style, dialog=dialog)


def press_word(t: Translator, *, asks: bool) -> str:
    """What stands on the button that starts the copy, or ``asks`` somebody else to approve it."""
    return t("Ask for approval") if asks else t("Copy")


def _question(offered: Offered, t: Translator) -> str:
    return t("Copy {what}?", what=of_liquidation(offered.title, offered.offer.liquidation_id, t))


def _shown(offered: Offered, t: Translator) -> list[Block]:
    title = header(_question(offered, t))
    notice = [section(f"🔁 {offered.notice}")] if offered.notice else []
    return [title, *notice, *preview_blocks(offered.title, offered.proposal, t)]


def lifetime(word: str, minutes: int, t: Translator, *, asks: bool = False) -> Block:
    """That nothing happens before a press of the button with this word, and until when it works."""
    names = {"button": word, "n": minutes}
    if asks:
        return context(t("Nothing is asked for until you press {button}. Expires in {n} min.", **names))
    return context(t("Nothing is copied until you press {button}. Expires in {n} min.", **names))


def _lifetime(offered: Offered, t: Translator) -> Block:
    asks = offered.proposal.asks
    return lifetime(press_word(t, asks=asks), offered.minutes, t, asks=asks)


# -- Both sides, the past, and what to mind


def preview_blocks(title: str, proposal: Proposal, t: Translator) -> list[Block]:
    """Rows of both sides, the last copy, the expected time, what stays in prod, and what to mind.

    ``title`` names the copy.
    """
    seen = proposal.seen
    pairs = [
        (t("Name"), sanitized(clean_name(seen.label or ""), 300)),
        (t("What to copy"), sanitized(title)),
        (t("Rows in prod"), counted(seen.in_source, t)),
        (t("Rows in consulta now"), counted(seen.in_target, t)),
    ]
    past = f"{last_copied(proposal, t)}\n{_expected(proposal, t)}".strip()
    warnings = [section(f"⚠️ {warning}") for warning in _warnings(proposal, t)]
    would = [section(would_do(seen.expected_changes.counts, t))] if seen.expected_changes else []
    return [fields(pairs), *would, section(past), *kept_blocks(seen, t), *warnings, *_approval(proposal, t)]


def is_unchanged(seen: Preview) -> bool:
    """Whether it is known that consulta holds the same rows, so that nothing would be written."""
    return seen.expected_changes is not None and _unchanged_only(seen.expected_changes.counts)


def _unchanged_only(counts: Counts) -> bool:
    return counts.unchanged > 0 and counts == Counts(unchanged=counts.unchanged)


def rows_to_write(seen: Iterable[Preview]) -> int | None:
    """The rows of prod whose copies write something, or may; None where they aren't known of each."""
    rows = [each.in_source.rows for each in seen if not is_unchanged(each)]
    known = [each for each in rows if each is not None]
    return sum(known) if len(known) == len(rows) else None


def would_do(counts: Counts, t: Translator) -> str:
    """What a copy would do to consulta's rows."""
    if _unchanged_only(counts):
        return t(
            "Prod and consulta hold the same {rows}: nothing would be written.", rows=t.rows(counts.unchanged)
        )
    return t(
        "Would insert {inserted} · change {updated} · delete {deleted} · leave {unchanged}.",
        inserted=t.number(counts.inserted),
        updated=t.number(counts.updated),
        deleted=t.number(counts.deleted),
        unchanged=t.number(counts.unchanged),
    )


def last_copied(proposal: Proposal, t: Translator) -> str:
    """When and by whom the liquidation was last copied, and whether prod has changed since."""
    last = proposal.last
    if last is None or last.finished_at is None:
        return t("Never copied.")
    when = t(
        "Last copied {moment} by {user}: {rows}.",
        moment=at(last.finished_at, t),
        user=mention(requester(last)),
        rows=t.rows(last.total or 0),
    )
    return f"{when} {_changed(proposal.seen, last, t)}".strip()


def _changed(seen: Preview, last: JobView, t: Translator) -> str:
    """A different number of rows tells for certain, else the catalogue's time does, else nothing.

    Empty where it is told to the row what a copy would do.
    """
    if seen.expected_changes is not None:
        return ""
    if seen.in_source.exact and seen.in_source.rows is not None and last.total is not None:
        more = seen.in_source.rows - last.total
        if more > 0:
            return t.plural(
                "Changed since then: {n} row more in prod.",
                "Changed since then: {n} rows more in prod.",
                more,
            )
        if more < 0:
            return t.plural(
                "Changed since then: {n} row fewer in prod.",
                "Changed since then: {n} rows fewer in prod.",
                -more,
            )
    if seen.changed_at is not None and last.as_of is not None:
        if seen.changed_at > last.as_of:
            changed = at(seen.changed_at, t)
            return t("By the catalogue it changed since then, {moment}.", moment=changed)
        return t("By the catalogue it has not changed since then.")
    if seen.in_source.exact:
        return t("Prod has as many rows as then; there may be changes in them.")
    return t("Whether it changed since then is not known.")


def _expected(proposal: Proposal, t: Translator) -> str:
    """Empty where nothing would be written, which takes a moment."""
    rows, cap = proposal.seen.in_source.rows, proposal.most_a_second
    if is_unchanged(proposal.seen):
        return ""
    if proposal.expected_seconds is None and rows and cap is not None:
        return t(
            "It will take at least {duration}: no more than {n} rows a second are copied.",
            duration=t.duration(rows / cap),
            n=t.number(cap),
        )
    if proposal.expected_seconds is None:
        return t("How long it will take is not known: there are no past runs of this copy to go by.")
    return t(
        "It should take about {duration}, going by the last runs of this copy.",
        duration=t.duration(proposal.expected_seconds),
    )


def counted(count: Count, t: Translator) -> str:
    """A count, an estimate said to be one, or that it isn't known."""
    if count.rows is None:
        return t("not known: somebody holds the table")
    if count.exact:
        return t.number(count.rows)
    return t("about {n}, estimated: counting took too long", n=t.number(count.rows))


def notes(seen: Preview, t: Translator, quoted: Callable[[str], str]) -> list[str]:
    """What consulta does to the copy, what the copy does to other liquidations, and what stays in prod.

    ``quoted`` writes names as the reader's medium does.
    """
    found = []
    if seen.taken.rows:
        rows = t.rows(seen.taken.rows)
        found.append(
            t("{rows} of other liquidations in consulta move to this one, as they have in prod.", rows=rows)
            if seen.taken.exact
            else t(
                "At least {rows} of other liquidations in consulta move to this one, as they have in prod.",
                rows=rows,
            )
        )
    found += [_lacking(each, t, quoted) for each in seen.lacking]
    if seen.triggers:
        found.append(
            t(
                "Triggers of consulta fire before each row that is written: {names}. "
                "If they alter rows, the comparison at the end fails.",
                names=quoted(", ".join(seen.triggers)),
            )
        )
    if seen.large_object_columns:
        found.append(_large_objects(seen, quoted(", ".join(seen.large_object_columns)), t))
    return found


def _lacking(found: Lacking, t: Translator, quoted: Callable[[str], str]) -> str:
    """Rows that the copy doesn't bring, and without which a foreign key of consulta refuses its own."""
    names = {"rows": t.rows(found.rows), "table": quoted(found.table), "key": quoted(found.constraint)}
    if found.exact:
        return t(
            "Consulta lacks {rows} of {table} to which rows of prod point: its foreign key {key} would "
            "refuse these. Bring what is missing there first.",
            **names,
        )
    return t(
        "Consulta lacks at least {rows} of {table} to which rows of prod point: its foreign key {key} would "
        "refuse these. Bring what is missing there first.",
        **names,
    )


def kept_in_prod(seen: Preview, t: Translator, quoted: Callable[[str], str]) -> str:
    """What becomes of the columns that aren't copied as they are; empty where all are.

    ``quoted`` writes names as the reader's medium does.
    """

    def names(treatment: Treatment) -> str:
        return quoted(", ".join(rule.column for rule in seen.rules if rule.treatment is treatment))

    words = {
        Treatment.OMIT: t("Not copied: {columns}.", columns=names(Treatment.OMIT)),
        Treatment.NULL: t("Emptied: {columns}.", columns=names(Treatment.NULL)),
        Treatment.MASK: t("Masked: {columns}.", columns=names(Treatment.MASK)),
        Treatment.HASH: t("Hashed: {columns}.", columns=names(Treatment.HASH)),
    }
    found = {rule.treatment for rule in seen.rules}
    return " ".join(sentence for treatment, sentence in words.items() if treatment in found)


def kept_blocks(seen: Preview, t: Translator) -> list[Block]:
    """The same on a card; nothing where all columns are copied as they are."""
    kept = kept_in_prod(seen, t, lambda names: code(names, 400))
    return [section(f"🔒 {kept}")] if kept else []


def _large_objects(seen: Preview, columns: str, t: Translator) -> str:
    """That these columns, as they are written here, will point to nothing in consulta."""
    return t.plural(
        "Column {columns} points to large objects, which are not copied: in consulta its numbers point to "
        "nothing.",
        "Columns {columns} point to large objects, which are not copied: in consulta their numbers point to "
        "nothing.",
        len(seen.large_object_columns),
        columns=columns,
    )


def warnings_of(seen: Preview, t: Translator) -> list[str]:
    """What a copy would remove, `missing_indexes`, and `notes`. mrkdwn."""
    held = seen.in_target.rows if removes_everything(seen) else seen.in_target.known
    deleted = seen.expected_changes.counts.deleted if seen.expected_changes else None
    goes = removal(seen.in_source.known, held, t, deleted)
    noted = notes(seen, t, lambda names: code(names, 400))
    return [*([goes] if goes else []), *missing_indexes(seen, t), *noted]


def missing_indexes(seen: Preview, t: Translator) -> list[str]:
    """Which indexes a copy lacks, those of the tables through which its rows belong too. mrkdwn."""
    return [
        t(
            "{side} has no index for this, so each part of the copy reads the whole table. {statement}",
            side=advice.side,
            statement=code(advice.statement, 400),
        )
        for advice in seen.advice
    ]


def _warnings(proposal: Proposal, t: Translator) -> list[str]:
    warnings = warnings_of(proposal.seen, t)
    if proposal.others:
        first, what = proposal.others[0], copied(proposal.others[0], t)
        warnings.append(
            t.plural(
                "{n} other copy into the same table is under way: job {job}, {what}.",
                "{n} other copies into the same table are under way, the first is job {job}, {what}.",
                len(proposal.others),
                job=first.id,
                what=what,
            )
        )
    return warnings


def _approval(proposal: Proposal, t: Translator) -> list[Block]:
    if proposal.approvers is None:
        return []
    who = ", ".join(proposal.approvers[:10])
    words = t("It starts only when somebody else approves it, out of {who}.", who=who)
    return [section(f"👥 {words}")]


# ----------------------------------------------------------------------------
# The modal: a copy is chosen, previewed and started there; each step replaces the one before


CHOOSE_CALLBACK, PRESS_CALLBACK = "choosing.choose", "choosing.press"
LATER_CALLBACK = "choosing.later"
#: Each is the block's and the element's id.
LIQUIDATION, NUMBER, COPY, CHANNEL, UNDERSTOOD, WHY, START = (
    "choosing.liquidation",
    "choosing.number",
    "choosing.copy",
    "choosing.channel",
    "choosing.understood",
    "choosing.why",
    "choosing.start",
)
#: The values of the menu's only line, where it says why it has no other.
UNAVAILABLE, TOO_MANY, NOT_FOR_YOU = NO_ANSWERS = ("unavailable", "too_many", "not_for_you")

TITLE_LIMIT = 24


@dataclass(frozen=True, slots=True)
class Carried:
    """What the modal carries from step to step in its ``private_metadata``.

    ``channel`` is where the card will be; None for a direct message. ``asks_channel`` where the modal was
    opened from App Home. ``offer`` is the encoded one that a press stands for. ``copy`` is the only one that
    this person may run; None where there is a choice. ``later`` where it was opened to choose a moment.
    """

    channel: str | None = None
    asks_channel: bool = False
    offer: str | None = None
    copy: str | None = None
    later: bool = False

    def encoded(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def decoded(cls, value: str) -> Carried:
        return cls(**json.loads(value))


def wait(words: str, t: Translator) -> View:
    """Shown within Slack's three seconds, before any database is asked."""
    return _modal([section(f"⏳ {words}")], t)


def choose(carried: Carried, copies: dict[str, str], *, has_catalogue: bool, t: Translator) -> View:
    """The liquidation, the copy where this person may run several, and the channel where none is known.

    ``copies`` has what messages call each copy and set, by its name; the first one is chosen at first.
    """
    blocks = [_liquidation(t) if has_catalogue else _number(t)]
    if len(copies) > 1:
        options = [option(title, name) for name, title in copies.items()]
        menu = {"type": "static_select", "options": options, "initial_option": options[0]}
        blocks.append(_input(COPY, t("What to copy"), menu))
    else:
        carried = replace(carried, copy=next(iter(copies)))
    if carried.asks_channel:
        menu = {
            "type": "conversations_select",
            "filter": {
                "include": ["public", "private"],
                "exclude_bot_users": True,
                "exclude_external_shared_channels": True,
            },
            "placeholder": _plain(t("A direct message to me")),
        }
        hint = t("Where its card will be. In a private channel, invite the bot first.")
        blocks.append(_input(CHANNEL, t("Channel"), menu, hint=hint) | {"optional": True})
    return _modal(blocks, t, submit=t("Preview"), callback=CHOOSE_CALLBACK, carried=carried)


def preview(offered: Offered, carried: Carried, t: Translator) -> View:
    """The proposal in the modal, to be submitted: what the confirm card is in a channel."""
    offer, dialog = offered.offer, None
    if removes_everything(offered.proposal.seen):
        dialog = removal_dialog(offered.title, offer.liquidation_id, t)
    body, word = proposal_body(offered, t), press_word(t, asks=offered.proposal.asks)
    return to_be_pressed(body, carried, t, word=word, key=offer.key, offer=offer.encoded(), dialog=dialog)


def to_be_pressed(
    body: list[Block],
    carried: Carried,
    t: Translator,
    *,
    word: str,
    key: str,
    offer: str,
    dialog: Dialog | None,
) -> View:
    """The step of the modal in which an encoded offer is submitted with this ``word``.

    A modal's submit has no dialog of its own: what the ``dialog`` would ask has to be ticked.
    """
    blocks = [*body]
    if dialog is not None:
        blocks.append(_understood(dialog, key))
    blocks.append(_start(t, None) | {"optional": not carried.later})
    carried = replace(carried, offer=offer)
    return _modal(blocks, t, submit=word, callback=PRESS_CALLBACK, carried=carried)


def later(offer: Offer, title: str, at_first: datetime, carried: Carried, t: Translator) -> View:
    """When the copy of an offer on a card is to begin; ``title`` names it, ``at_first`` stands in the picker.

    What the offer shows is on the card, above which this opens.
    """
    head = t("Copy {what} later", what=of_liquidation(title, offer.liquidation_id, t))
    rows = t(
        "Rows in prod: {prod}. Rows in consulta now: {consulta}.",
        prod=_known(offer.in_prod, t),
        consulta=_known(offer.in_consulta, t),
    )
    if offer.would is not None:
        rows += f"\n{would_do(offer.would, t)}"
    blocks = [
        section(f"*{sanitized(head, 200)}*\n{rows}"),
        _start(t, at_first),
        context(
            t(
                "Your permission is checked again when it begins. Where the rows aren't about those any "
                "more, its card asks before anything is written."
            )
        ),
    ]
    if offer.in_prod == 0:
        blocks.insert(1, _understood(removal_dialog(title, offer.liquidation_id, t), offer.key))
    carried = replace(carried, offer=offer.encoded(), later=True)
    return _modal(blocks, t, submit=t("Plan the copy"), callback=PRESS_CALLBACK, carried=carried)


def later_for_run(
    what: str, origin: str, at_first: datetime, t: Translator, *, why: str | None = None
) -> View:
    """When all copies of an offer on a card are to begin: of several liquidations, or of a set.

    ``what`` names them, ``at_first`` stands in the picker. ``origin`` comes back with what is chosen. ``why``
    is the reason as it was typed by then; None where no copy asks for one.
    """
    head = t("Copy {what} later", what=what)
    words = t(
        "Your permission is checked again when they begin. Where the rows aren't about those any more, their "
        "card asks before anything is written."
    )
    blocks = [section(f"*{sanitized(head, 200)}*"), _start(t, at_first), context(words)]
    if why is not None:
        blocks += why_input(t, why)
    view = _modal(blocks, t, submit=t("Plan the copies"), callback=LATER_CALLBACK)
    return view | {"private_metadata": origin}


def _known(rows: int | None, t: Translator) -> str:
    return t("not known") if rows is None else t.number(rows)


def _start(t: Translator, at_first: datetime | None) -> Block:
    """The picker of a moment, which Slack shows in the reader's own time zone."""
    picker: Block = {"type": "datetimepicker"}
    if at_first is not None:
        picker["initial_date_time"] = int(at_first.timestamp())
    hint = t("By your own clock, within 31 days. Empty: at once.") if at_first is None else ""
    return _input(START, t("Begin at"), picker, hint=hint)


def bad_start(t: Translator) -> dict[str, str]:
    """The error below the picker."""
    return {START: t("Choose a moment that is still to come, within 31 days.")}


def result(message: Message, t: Translator) -> View:
    """An answer with nothing to press: a refusal, or what became of the press."""
    return _modal(message.blocks, t)


def not_shown(t: Translator) -> Message:
    """Slack didn't open the window, or showed nothing after its first step."""
    return sentence(
        t("Slack didn't show the next step, so nothing was started."),
        hint=t(
            "Close the window if it is still open, and try again. `{command}` works without it.",
            command=f"{COPY_COMMAND} 42",
        ),
    )


def options(entries: list[Entry], t: Translator) -> list[Block]:
    """The lines of the searchable menu: number and name, with the period below."""
    return [_line(entry, t) for entry in entries]


def unavailable(t: Translator) -> list[Block]:
    """The only line of the menu when prod can't be asked."""
    return [option(_no_answer(UNAVAILABLE, t), UNAVAILABLE)]


def too_many_searches(t: Translator) -> list[Block]:
    """The only line of the menu when other people's searches take all the room."""
    return [option(_no_answer(TOO_MANY, t), TOO_MANY)]


def not_for_you(t: Translator) -> list[Block]:
    """The only line of the menu for whoever may run no copy."""
    return [option(_no_answer(NOT_FOR_YOU, t), NOT_FOR_YOU)]


def not_chosen(line: str, t: Translator) -> dict[str, str]:
    """The error below the menu when its only line was chosen, of which this is the value."""
    return {LIQUIDATION: _no_answer(line, t)}


def _no_answer(line: str, t: Translator) -> str:
    """At most 75 characters: Slack takes no more in a menu."""
    match line:
        case "too_many":
            return t("Too many people are searching. Type on in a moment.")
        case "not_for_you":
            return t("You may not search liquidations, or it can't be checked now.")
        case _:
            return t("Prod can't be asked now. Type the number after the command.")


def no_number(word: str, t: Translator) -> dict[str, str]:
    """The error below the input of a number."""
    wrong = t("“{word}” is not the number of a liquidation.", word=cut(one_line(word), 60))
    return {NUMBER: f"{wrong} " + wrong_number(word, t)}


def _line(entry: Entry, t: Translator) -> Block:
    label = clean_name(entry.label or "")
    line = option(f"{entry.id} · {label}" if label else str(entry.id), str(entry.id))
    period = _plain(cut(one_line(t.period(entry.period)), 75)) if entry.period else None
    if period and period["text"].strip():
        line["description"] = period
    return line


def _liquidation(t: Translator) -> Block:
    menu = {
        "type": "external_select",
        "min_query_length": 0,
        "placeholder": _plain(t("Search by number, name or period")),
        "focus_on_load": True,
    }
    return _input(LIQUIDATION, t("Liquidation"), menu)


def _number(t: Translator) -> Block:
    field = {
        "type": "plain_text_input",
        "max_length": 19,
        "placeholder": _plain("42"),
        "focus_on_load": True,
    }
    return _input(NUMBER, t("Number of the liquidation"), field)


def _understood(dialog: Dialog, key: str) -> Block:
    """What the dialog asks, to be ticked. Of each offer its own: a tick is for the numbers above it."""
    boxes = {"type": "checkboxes", "options": [option(dialog.yes, "yes")]}
    return _input(f"{UNDERSTOOD}.{key}", dialog.text, boxes)


def _input(name: str, label: str, element: Block, *, hint: str = "") -> Block:
    block: Block = {
        "type": "input",
        "block_id": name,
        "label": _plain(label),
        "element": element | {"action_id": name},
    }
    return block | ({"hint": _plain(hint)} if hint else {})


def _modal(
    blocks: list[Block],
    t: Translator,
    *,
    submit: str | None = None,
    callback: str | None = None,
    carried: Carried | None = None,
) -> View:
    view: View = {
        "type": "modal",
        "title": _plain(cut(t("Copy a liquidation"), TITLE_LIMIT)),
        "close": _plain(cut(t("Cancel") if submit else t("Close"), TITLE_LIMIT)),
        "blocks": blocks,
    }
    if submit:
        view["submit"] = _plain(cut(submit, TITLE_LIMIT))
    if callback:
        view["callback_id"] = callback
    if carried:
        view["private_metadata"] = carried.encoded()
    return view


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}
