"""The confirm card: what a copy would do, with the buttons that decide; and what a press stands for."""

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
    header,
    section,
)
from bot.messages.outlook import Outlook, counted, preview_blocks, removes_everything
from copier import CopySpec, Preview

COPY_ACTION = "copy_liquidation.confirm"
CANCEL_ACTION = "copy_liquidation.cancel"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a press of *Copy* stands for; travels in the button's value. ``key`` makes it work once.

    ``expires_at`` is in seconds since 1970. ``in_prod`` and ``in_consulta`` are the rows that the person was
    shown, None for those that weren't known: the press counts only for them.
    """

    copy_name: str
    liquidation_id: int
    key: str
    expires_at: int
    in_prod: int | None
    in_consulta: int | None

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
        )

    def moved(self, seen: Preview) -> bool:
        """Whether a side is more than a tenth away from what was shown, or known only now, or no more."""
        shown_and_now = ((self.in_prod, seen.in_prod.rows), (self.in_consulta, seen.in_consulta.rows))
        return any(_apart(shown, now) for shown, now in shown_and_now)


def preview_card(
    offer: Offer, spec: CopySpec, outlook: Outlook, minutes: int, t: Translator, *, notice: str = ""
) -> Message:
    """Shows both sides and asks. ``notice`` says first why it asks again."""
    seen = outlook.seen
    title = t("Copy liquidation {id}?", id=offer.liquidation_id)
    lines: list[Block] = [header(title)]
    if notice:
        lines.append(section(f"🔁 {notice}"))
    lines += preview_blocks(spec, outlook, t)
    lines.append(actions(copy_button(offer, seen, t), button(t("Cancel"), CANCEL_ACTION, offer.key)))
    lines.append(context(t("Nothing happens until you press. The buttons work for {n} minutes.", n=minutes)))
    in_prod, in_consulta = t("Rows in prod"), t("Rows in consulta now")
    sides = f"{in_prod}: {counted(seen.in_prod, t)}. {in_consulta}: {counted(seen.in_consulta, t)}."
    named = f" {escaped(cut(seen.label, 200))}." if seen.label else ""
    return Message(f"{notice} {title}{named} {sides}".strip(), lines)


def copy_button(offer: Offer, seen: Preview, t: Translator) -> Block:
    """*Copy*, with a dialog before it where it would only remove rows."""
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
    return copy


def _apart(shown: int | None, now: int | None) -> bool:
    if shown is None or now is None:
        return shown is not now
    return abs(now - shown) * 10 > shown
