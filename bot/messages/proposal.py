"""What a copy would do, seen from both sides, and what a press of *Copy* stands for.

The confirm card in a channel and the modal are rendered from the same `Offered`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bot.i18n import Translator
from bot.jobs.view import AgreedCounts, JobView, apart
from bot.messages.blocks import (
    Block,
    Message,
    actions,
    at,
    button,
    code,
    context,
    cut,
    escaped,
    fields,
    header,
    section,
)
from bot.messages.naming import mention, requester
from bot.messages.question import removal, removal_dialog
from copier import CopySpec, Count, Preview

COPY_ACTION = "copy_liquidation.confirm"
CANCEL_ACTION = "copy_liquidation.cancel"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Both sides as they are ``seen`` now, and what earlier and present jobs say about them.

    ``last`` is the latest completed copy of this liquidation, ``others`` the live copies of other ones into
    the same table. ``approvers`` names, as messages show them, who would have to approve; None: nobody.
    """

    seen: Preview
    last: JobView | None = None
    expected_seconds: float | None = None
    others: tuple[JobView, ...] = ()
    approvers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What a press of *Copy* stands for; travels in the button's value. ``key`` makes it work once.

    ``expires_at`` is in seconds since 1970. ``in_prod`` and ``in_consulta`` are the rows that the person was
    shown, None for those that weren't known: the press counts only for them. ``made_of`` stands for the
    tables, the key and the columns that the copy had then.
    """

    copy_name: str
    liquidation_id: int
    key: str
    expires_at: int
    in_prod: int | None
    in_consulta: int | None
    made_of: str = ""

    def encoded(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def decoded(cls, value: str) -> Offer:
        """Raises ValueError or TypeError for what isn't an offer."""
        offer = cls(**json.loads(value))
        return cls(
            str(offer.copy_name),
            int(offer.liquidation_id),
            str(offer.key),
            int(offer.expires_at),
            None if offer.in_prod is None else int(offer.in_prod),
            None if offer.in_consulta is None else int(offer.in_consulta),
            str(offer.made_of),
        )

    def moved(self, seen: Preview) -> bool:
        """Whether a side is more than a tenth away from what was shown, or known only now, or no more.

        Or whether the copy is made of something else than it was.
        """
        shown_and_now = ((self.in_prod, seen.in_source.rows), (self.in_consulta, seen.in_target.rows))
        return self.made_of != made_of(seen) or any(_apart(shown, now) for shown, now in shown_and_now)

    def terms(self, seen: Preview) -> AgreedCounts:
        """What the run is bound to; an estimate of consulta's rows says nothing about what may go."""
        return AgreedCounts(
            in_prod=self.in_prod,
            in_consulta=self.in_consulta if seen.in_target.exact else None,
            removal_confirmed=self.in_prod == 0 and removes_everything(seen),
        )


@dataclass(frozen=True, slots=True)
class Offered:
    """A proposal with what may be pressed: the confirm card and the modal are both rendered from it.

    ``minutes`` is how long the press works. ``notice`` says why it is asked again, or is empty.
    """

    offer: Offer
    spec: CopySpec
    proposal: Proposal
    minutes: int
    notice: str = ""


def made_of(seen: Preview) -> str:
    """Stands for the copy's tables, key and columns; another one for another copy."""
    return seen.fingerprint.digest if seen.fingerprint else ""


def removes_everything(seen: Preview) -> bool:
    """Prod has no rows for certain."""
    return seen.in_source.exact and seen.in_source.rows == 0


def _apart(shown: int | None, now: int | None) -> bool:
    if shown is None or now is None:
        return shown is not now
    return apart(shown, now)


# -- The confirm card, and the same for a modal


def proposal_card(offered: Offered, t: Translator) -> Message:
    """The confirm card: both sides, and the buttons *Copy* and *Cancel*."""
    offer, seen = offered.offer, offered.proposal.seen
    title = t("Copy liquidation {id}?", id=offer.liquidation_id)
    buttons = actions(copy_button(offer, seen, t), button(t("Cancel"), CANCEL_ACTION, offer.key))
    in_prod, in_consulta = t("Rows in prod"), t("Rows in consulta now")
    sides = f"{in_prod}: {counted(seen.in_source, t)}. {in_consulta}: {counted(seen.in_target, t)}."
    named = f" {escaped(cut(seen.label, 200))}." if seen.label else ""
    text = f"{offered.notice} {title}{named} {sides}".strip()
    return Message(text, [*_shown(offered, t), buttons, _lifetime(offered, t)])


def proposal_body(offered: Offered, t: Translator) -> list[Block]:
    """The same without buttons, for a modal that has its own."""
    return [*_shown(offered, t), _lifetime(offered, t)]


def copy_button(offer: Offer, seen: Preview, t: Translator) -> Block:
    """*Copy*, with a dialog before it where it would only remove rows."""
    removes = removes_everything(seen)
    copy = button(t("Copy"), COPY_ACTION, offer.encoded(), style="danger" if removes else "primary")
    if removes:
        copy["confirm"] = removal_dialog(offer.liquidation_id, t)
    return copy


def _shown(offered: Offered, t: Translator) -> list[Block]:
    title = header(t("Copy liquidation {id}?", id=offered.offer.liquidation_id))
    notice = [section(f"🔁 {offered.notice}")] if offered.notice else []
    return [title, *notice, *preview_blocks(offered.spec, offered.proposal, t)]


def _lifetime(offered: Offered, t: Translator) -> Block:
    return context(t("Nothing happens until you press. The buttons work for {n} minutes.", n=offered.minutes))


# -- Both sides, the past, and what to mind


def preview_blocks(spec: CopySpec, proposal: Proposal, t: Translator) -> list[Block]:
    """Rows of both sides, the last copy, the expected time, and what to mind."""
    seen = proposal.seen
    pairs = [
        (t("Name"), seen.label or "–"),
        (t("What to copy"), spec.name),
        (t("Rows in prod"), counted(seen.in_source, t)),
        (t("Rows in consulta now"), counted(seen.in_target, t)),
        (t("From"), f"pgsql-prod · {spec.source_table}"),
        (t("To"), f"pgsql-consulta · {spec.target_table}"),
    ]
    past = f"{last_copied(proposal, t)}\n{_expected(proposal, t)}"
    warnings = [section(f"⚠️ {warning}") for warning in _warnings(spec, proposal, t)]
    return [fields(pairs), section(past), *warnings, *_approval(proposal, t)]


def last_copied(proposal: Proposal, t: Translator) -> str:
    """When and by whom the liquidation was last copied, and whether prod has changed since."""
    last = proposal.last
    if last is None or last.finished_at is None:
        return t("Not copied before.")
    when = t(
        "Last copied {moment} by {user}: {rows}.",
        moment=at(last.finished_at, t),
        user=mention(requester(last)),
        rows=t.rows(last.total or 0),
    )
    return f"{when} {_changed(proposal.seen, last, t)}"


def _changed(seen: Preview, last: JobView, t: Translator) -> str:
    """A different number of rows tells for certain, else the catalogue's time does, else nothing."""
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
        return t("Whether it changed since then is not known: the number of rows is the same.")
    return t("Whether it changed since then is not known.")


def _expected(proposal: Proposal, t: Translator) -> str:
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


def _warnings(spec: CopySpec, proposal: Proposal, t: Translator) -> list[str]:
    seen, warnings = proposal.seen, []
    held = seen.in_target.rows if removes_everything(seen) else seen.in_target.known
    if goes := removal(seen.in_source.known, held, t):
        warnings.append(goes)
    warnings += [
        t(
            "{side} has no index for this, so each part of the copy reads the whole table. {statement}",
            side=advice.side,
            statement=code(advice.statement, 400),
        )
        for advice in seen.advice
    ]
    warnings += notes(seen, t, lambda names: code(names, 400))
    if proposal.others:
        first = proposal.others[0]
        warnings.append(
            t.plural(
                "{n} copy into {table} is under way: job {job}, liquidation {id}.",
                "{n} copies into {table} are under way, the first is job {job}, liquidation {id}.",
                len(proposal.others),
                table=code(str(spec.target_table), 150),
                job=first.id,
                id=first.liquidation_id,
            )
        )
    return warnings


def _approval(proposal: Proposal, t: Translator) -> list[Block]:
    if proposal.approvers is None:
        return []
    who = ", ".join(proposal.approvers[:10])
    words = t("It starts only when somebody else approves it, out of {who}.", who=who)
    return [section(f"👥 {words}")]
