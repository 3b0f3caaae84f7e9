"""The confirm card: what a copy would do, seen from both sides, with the buttons that decide."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from bot.i18n import Translator
from bot.messages.blocks import (
    Block,
    Message,
    actions,
    button,
    code,
    confirm,
    context,
    cut,
    escaped,
    fields,
    header,
    section,
)
from copier import CopySpec, Count, Preview

COPY_ACTION = "copy_liquidation.confirm"
CANCEL_ACTION = "copy_liquidation.cancel"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a press of *Copy* stands for; travels in the button's value. ``key`` makes it work once.

    ``expires_at`` is in seconds since 1970.
    """

    copy_name: str
    liquidation_id: int
    label: str | None
    key: str
    expires_at: int

    def encoded(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def decoded(cls, value: str) -> Offer:
        """Raises ValueError or TypeError for what isn't an offer."""
        offer = cls(**json.loads(value))
        return cls(
            str(offer.copy_name),
            int(offer.liquidation_id),
            None if offer.label is None else str(offer.label),
            str(offer.key),
            int(offer.expires_at),
        )


def preview_card(offer: Offer, spec: CopySpec, seen: Preview, minutes: int, t: Translator) -> Message:
    """Shows both sides and asks."""
    title = t("Copy liquidation {id}?", id=offer.liquidation_id)
    lines: list[Block] = [header(title)]
    pairs = [
        (t("Name"), offer.label or "–"),
        (t("What to copy"), spec.name),
        (t("Rows in prod"), counted(seen.in_prod, t)),
        (t("Rows in consulta now"), counted(seen.in_consulta, t)),
        (t("From"), f"pgsql-prod · {spec.source_table}"),
        (t("To"), f"pgsql-consulta · {spec.target_table}"),
    ]
    lines.append(fields(pairs))
    lines += [section(f"⚠️ {warning}") for warning in _warnings(seen, t)]
    removes = removes_everything(seen)
    copy = button(t("Copy"), COPY_ACTION, offer.encoded(), style="danger" if removes else "primary")
    if removes:
        copy["confirm"] = confirm(
            t("Remove from consulta?"),
            t(
                "Prod has no rows for liquidation {id}. Its rows in consulta will be removed.",
                id=offer.liquidation_id,
            ),
            t("Remove"),
            t("Keep"),
        )
    lines.append(actions(copy, button(t("Cancel"), CANCEL_ACTION, offer.key)))
    lines.append(context(t("Nothing happens until you press. The buttons work for {n} minutes.", n=minutes)))
    in_prod = t("Rows in prod")
    text = f"{title} {escaped(cut(offer.label or '', 200))} {in_prod}: {counted(seen.in_prod, t)}"
    return Message(text, lines)


def counted(count: Count, t: Translator) -> str:
    """A count, an estimate said to be one, or that it isn't known."""
    if count.rows is None:
        return t("not known: somebody holds the table")
    if count.exact:
        return t.number(count.rows)
    return t("about {n}, estimated: counting took too long", n=t.number(count.rows))


def _warnings(seen: Preview, t: Translator) -> list[str]:
    warnings = []
    if removes_everything(seen):
        held = seen.in_consulta.rows
        warnings.append(
            t("Prod has no rows for it. Copying would remove its rows from consulta.")
            if held is None
            else t("Prod has no rows for it. Copying would remove {rows} from consulta.", rows=t.rows(held))
        )
    elif surplus := _surplus(seen):
        warnings.append(
            t(
                "Consulta has {rows} more than prod: copying removes what prod doesn't have.",
                rows=t.rows(surplus),
            )
        )
    for advice in seen.advice:
        warnings.append(
            t(
                "{side} has no index for this, so each part of the copy reads the whole table. {statement}",
                side=advice.side,
                statement=code(advice.statement, 400),
            )
        )
    return warnings


def removes_everything(seen: Preview) -> bool:
    """Prod has no rows for certain."""
    return seen.in_prod.exact and seen.in_prod.rows == 0


def _surplus(seen: Preview) -> int:
    """Rows that consulta has more than prod, where both were counted."""
    if not (seen.in_prod.exact and seen.in_consulta.exact):
        return 0
    return max(0, (seen.in_consulta.rows or 0) - (seen.in_prod.rows or 0))
