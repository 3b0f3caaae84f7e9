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
    confirm,
    context,
    cut,
    escaped,
    fields,
    header,
    section,
)
from copier import CopySpec, Preview

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
        (t("Copy"), spec.name),
        (t("Rows in prod"), counted(seen.in_prod, t)),
        (t("Rows in consulta now"), counted(seen.in_consulta, t)),
        (t("From"), f"pgsql-prod · {spec.source_table}"),
        (t("To"), f"pgsql-consulta · {spec.target_table}"),
    ]
    lines.append(fields(pairs))
    if warning := _warning(seen, t):
        lines.append(section(f"⚠️ {warning}"))
    removes = seen.in_prod == 0
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


def counted(rows: int | None, t: Translator) -> str:
    """A count, or that it took too long to know."""
    return t("not known: counting took too long") if rows is None else t.number(rows)


def _warning(seen: Preview, t: Translator) -> str | None:
    if seen.in_prod == 0:
        return t(
            "Prod has no rows for it. Copying would remove {rows} from consulta.",
            rows=t.rows(seen.in_consulta or 0),
        )
    if seen.in_prod is not None and (seen.in_consulta or 0) > seen.in_prod:
        return t(
            "Consulta has {rows} more than prod: copying removes what prod doesn't have.",
            rows=t.rows((seen.in_consulta or 0) - seen.in_prod),
        )
    return None
