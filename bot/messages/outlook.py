"""What a copy would do, seen from both sides before it starts: for the confirm card and the modal alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.i18n import Translator
from bot.jobs.snapshot import JobView
from bot.messages.blocks import Block, at, code, fields, section
from bot.messages.naming import mention, requester
from bot.messages.terms import removal
from copier import CopySpec, Count, Preview


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


def preview_blocks(spec: CopySpec, proposal: Proposal, t: Translator) -> list[Block]:
    """Rows of both sides, the last copy, the expected time, and what to mind."""
    seen = proposal.seen
    pairs = [
        (t("Name"), seen.label or "–"),
        (t("What to copy"), spec.name),
        (t("Rows in prod"), counted(seen.in_prod, t)),
        (t("Rows in consulta now"), counted(seen.in_consulta, t)),
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
    said = t(
        "Last copied {moment} by {user}: {rows}.",
        moment=at(last.finished_at, t),
        user=mention(requester(last)),
        rows=t.rows(last.total or 0),
    )
    return f"{said} {_changed(proposal.seen, last, t)}"


def counted(count: Count, t: Translator) -> str:
    """A count, an estimate said to be one, or that it isn't known."""
    if count.rows is None:
        return t("not known: somebody holds the table")
    if count.exact:
        return t.number(count.rows)
    return t("about {n}, estimated: counting took too long", n=t.number(count.rows))


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


def removes_everything(seen: Preview) -> bool:
    """Prod has no rows for certain."""
    return seen.in_prod.exact and seen.in_prod.rows == 0


def _changed(seen: Preview, last: JobView, t: Translator) -> str:
    """A different number of rows tells for certain, else the catalogue's time does, else nothing."""
    if seen.in_prod.exact and seen.in_prod.rows is not None and last.total is not None:
        more = seen.in_prod.rows - last.total
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
    if seen.in_prod.exact:
        return t("Whether it changed since then is not known: the number of rows is the same.")
    return t("Whether it changed since then is not known.")


def _expected(proposal: Proposal, t: Translator) -> str:
    if proposal.expected_seconds is None:
        return t("How long it will take is not known: there are no past runs of this copy to go by.")
    return t(
        "It should take about {duration}, going by the last runs of this copy.",
        duration=t.duration(proposal.expected_seconds),
    )


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


def _warnings(spec: CopySpec, proposal: Proposal, t: Translator) -> list[str]:
    seen, warnings = proposal.seen, []
    held = seen.in_consulta.rows if removes_everything(seen) else seen.in_consulta.known
    if goes := removal(seen.in_prod.known, held, t):
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
