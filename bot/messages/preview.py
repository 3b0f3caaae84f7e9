"""The confirm card: what a copy would do, with the buttons that decide; and what a press stands for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from bot.i18n import Translator
from bot.jobs.terms import AgreedCounts, apart
from bot.messages.blocks import (
    Block,
    Message,
    actions,
    button,
    context,
    cut,
    escaped,
    header,
    section,
)
from bot.messages.outlook import Proposal, counted, preview_blocks, removes_everything
from bot.messages.terms import removal_dialog
from copier import CopySpec, Preview

COPY_ACTION = "copy_liquidation.confirm"
CANCEL_ACTION = "copy_liquidation.cancel"


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
        shown_and_now = ((self.in_prod, seen.in_prod.rows), (self.in_consulta, seen.in_consulta.rows))
        return self.made_of != made_of(seen) or any(_apart(shown, now) for shown, now in shown_and_now)

    def terms(self, seen: Preview) -> AgreedCounts:
        """What the run is bound to; an estimate of consulta's rows says nothing about what may go."""
        return AgreedCounts(
            in_prod=self.in_prod,
            in_consulta=self.in_consulta if seen.in_consulta.exact else None,
            removal_confirmed=self.in_prod == 0 and removes_everything(seen),
        )


def made_of(seen: Preview) -> str:
    """Stands for the copy's tables, key and columns; another one for another copy."""
    return seen.fingerprint.digest if seen.fingerprint else ""


def preview_card(
    offer: Offer, spec: CopySpec, proposal: Proposal, minutes: int, t: Translator, *, notice: str = ""
) -> Message:
    """Shows both sides and asks. ``notice`` says first why it asks again."""
    seen = proposal.seen
    title = t("Copy liquidation {id}?", id=offer.liquidation_id)
    lines: list[Block] = [header(title)]
    if notice:
        lines.append(section(f"🔁 {notice}"))
    lines += preview_blocks(spec, proposal, t)
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
        copy["confirm"] = removal_dialog(offer.liquidation_id, t)
    return copy


def _apart(shown: int | None, now: int | None) -> bool:
    if shown is None or now is None:
        return shown is not now
    return apart(shown, now)
