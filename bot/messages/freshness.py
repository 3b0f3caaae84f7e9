"""What is said of what consulta holds: equal to prod, or that prod has moved on, and by how many rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.i18n import Translator
from bot.jobs.freshness import Freshness, Held, SetFreshness, Watched
from bot.jobs.models import FreshnessState
from bot.messages.blocks import (
    COPY_COMMAND,
    Block,
    Message,
    at,
    button,
    context,
    of_liquidation,
    read_out,
    sanitized,
    section,
)

#: *Copy* beside a liquidation that prod has moved on from, or that was compared and differs; its value is the
#: name of the copy or set, and the number.
COPY_ACTION = "freshness.copy"
#: So many liquidations get a button; more are counted. So many are listed on App Home and in the shell.
OFFERED, LISTED = 10, 15
#: So many lines fit into one section, however long their names are.
TOGETHER = 5


def moved_on(seen: Watched, titles: Mapping[str, str], t: Translator) -> Message | None:
    """To the channel of the watch: where prod has moved on; None where it hasn't, or was copied meanwhile."""
    if not seen.moved_on:
        return None
    head = t.plural(
        "Prod has moved on since the copy of {n} liquidation.",
        "Prod has moved on since the copies of {n} liquidations.",
        seen.moved,
    )
    shown = seen.moved_on[:OFFERED]
    lines = [line(each, titles, t) for each in shown]
    blocks: list[Block] = [section(f"🔎 {head}")]
    for each, words in zip(shown, lines, strict=True):
        name = each.set_name if isinstance(each, SetFreshness) else each.copy_name
        offers = {}
        if name in titles:
            value = f"{name} {each.liquidation_id}"
            offers = {"accessory": button(t("Copy"), COPY_ACTION, value)}
        blocks.append(section(words) | offers)
    small = [t("Consulta holds what prod held then. A press shows what would be copied, and asks first.")]
    if (more := seen.moved - len(shown)) > 0:
        small.insert(0, t.plural("and {n} more", "and {n} more", more))
    blocks.append(context(" · ".join(small)))
    return Message(read_out(" ".join([head, *lines])).replace("*", ""), blocks)


def line(found: Held, titles: Mapping[str, str], t: Translator) -> str:
    """What consulta holds of one liquidation in one target table, or in those of a set, in mrkdwn.

    ``titles`` are what messages call copies and sets, by their names.
    """
    label = f" · {sanitized(found.label)}" if found.label else ""
    if isinstance(found, SetFreshness):
        title = sanitized(titles.get(found.set_name, found.set_name))
        what = of_liquidation(title, found.liquidation_id, t)
        return f"*{what}*{label}: {words_of_set(found, titles, t)}"
    what = of_liquidation(sanitized(_name(found, titles)), found.liquidation_id, t)
    return f"*{what}*{label}: {words(found, t)}"


def words_of_set(found: SetFreshness, titles: Mapping[str, str], t: Translator) -> str:
    """The state of a set, without a full stop."""
    known = at(found.known_at, t) if found.known_at is not None else ""
    match found.state:
        case FreshnessState.BEING_COPIED:
            return t("run {run} is copying it, so its rows are of two moments", run=found.run_id)
        case FreshnessState.INCOMPLETE:
            return t("incomplete: run {run} has ended in its middle", run=found.run_id)
        case FreshnessState.COMPLETE if not known:
            said = t("complete, by run {run}", run=found.run_id)
        case FreshnessState.COMPLETE:
            said = t("equal to prod, known {moment}", moment=known)
        case FreshnessState.MOVED_ON:
            said = t("prod has moved on: {changes}", changes=_changes_of_set(found, titles, t))
            said += " · " + t("known {moment}", moment=known) if known else ""
    if len(found.tables) < found.copies:  # the others have lines of their own
        said += " · " + t(
            "{n} of its {all} tables: the others were copied by themselves since",
            n=t.number(len(found.tables)),
            all=t.number(found.copies),
        )
    return said


def _changes_of_set(found: SetFreshness, titles: Mapping[str, str], t: Translator) -> str:
    """By how many rows of which tables, in the order of ``titles``; the others are the same."""
    place = {name: number for number, name in enumerate(titles)}
    tables = sorted(found.tables, key=lambda each: place.get(each.copy_name or "", len(place)))
    moved = [each for each in tables if each in found.moved]
    parts = [f"{sanitized(_name(each, titles))}: {_changes(each, t)}" for each in moved]
    same = [sanitized(_name(each, titles)) for each in tables if each not in moved]
    if same:
        parts.append(t("{tables}: the same", tables=", ".join(same)))
    return "; ".join(parts)


def _name(found: Freshness, titles: Mapping[str, str]) -> str:
    return titles.get(found.copy_name or "", found.copy_name or found.target_table)


def words(found: Freshness, t: Translator) -> str:
    """The state, without a full stop."""
    match found.state:
        case FreshnessState.COMPLETE:
            if found.known_equal_at is None:
                return t("complete, by job {job}", job=found.job_id)
            return t("equal to prod, known {moment}", moment=at(found.known_equal_at, t))
        case FreshnessState.MOVED_ON:
            said = t("prod has moved on: {changes}", changes=_changes(found, t))
            return said if found.moved_at is None else f"{said} · " + _known(found, t)
        case FreshnessState.BEING_COPIED:
            return t("job {job} is copying it, so its rows are of two moments", job=found.job_id)
        case FreshnessState.INCOMPLETE:
            return t("incomplete: job {job} has ended in its middle", job=found.job_id)


def of_watch(seen: Watched, titles: Mapping[str, str], t: Translator) -> Sequence[str]:
    """What the watch knows, a line each, in mrkdwn; empty where it knows nothing."""
    lines = [f"🔎 {line(each, titles, t)}" for each in seen.moved_on[:LISTED]]
    if lines and (more := seen.moved - len(lines)) > 0:
        lines.append(t.plural("and {n} more", "and {n} more", more))
    return lines


def summary(seen: Watched, t: Translator) -> str:
    """How many are equal, and when the last round ended; empty where there was none."""
    if seen.ended_at is None:
        return ""
    equal = t.plural("{n} liquidation is equal to prod.", "{n} liquidations are equal to prod.", seen.equal)
    return f"{equal} " + t("The last round of the watch ended {moment}.", moment=at(seen.ended_at, t))


def how_to_copy(t: Translator) -> str:
    """The next step, for small print."""
    return t("`{command}` shows what would be copied, and asks first.", command=f"{COPY_COMMAND} 42")


def _changes(found: Freshness, t: Translator) -> str:
    """By how many rows."""
    parts = []
    if found.updated:
        parts.append(t.plural("{n} row changed", "{n} rows changed", found.updated))
    if found.inserted:
        parts.append(t.plural("{n} new row", "{n} new rows", found.inserted))
    if found.deleted:
        parts.append(t.plural("{n} row gone", "{n} rows gone", found.deleted))
    return ", ".join(parts)


def _known(found: Freshness, t: Translator) -> str:
    assert found.moved_at is not None  # noqa: S101 - whoever calls this has looked
    return t("known {moment}", moment=at(found.moved_at, t))
