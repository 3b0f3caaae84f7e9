"""What binds a run to its request: the copy that was asked for, the numbers that were shown, who agreed."""

from __future__ import annotations

from bot.config_file import CopySection
from bot.jobs.claim import Claim
from bot.jobs.failure import Failure
from bot.jobs.terms import Question
from copier import Plan


def question(claim: Claim, section: CopySection, plan: Plan, brought: int) -> Question | None:
    """What has to be asked before the first write; None where all is as it was shown and agreed to.

    ``brought`` are rows of consulta that earlier attempts of the job have put there.
    """
    return claim.terms.broken_by(
        plan.total,
        plan.held,
        needs_approval=section.needs_approval(plan.total, max(0, plan.held - brought)),
        approved=claim.approved,
        brought=brought,
    )


def needs_second_person(claim: Claim, section: CopySection, question: Question) -> bool:
    """Who agreed before has to agree anew; and whoever is needed for so many rows."""
    return claim.approved or section.needs_approval(question.in_prod, question.in_consulta)


def can_be_approved(claim: Claim) -> bool:
    """There is a card that others can see: neither a job of the shell nor one in a direct message has it."""
    return claim.channel_id is not None and not claim.channel_id.startswith("D")


def nobody_to_ask(claim: Claim, question: Question) -> Failure:
    """The copy needs a second person by now, and nobody else can see that it asks."""
    return Failure(
        "nobody_to_approve",
        f"at {question.in_prod} rows in prod and {question.in_consulta} in consulta the copy needs the "
        f"approval of a second person, and nobody else can see its card: write {_again(claim)} in a Slack "
        "channel",
        command=_again(claim),
    )


def copy_changed(claim: Claim, differences: list[str]) -> Failure:
    """The copy isn't the one that was asked for; each difference says what it was and what it is."""
    return Failure(
        "copy_changed",
        f"copy {claim.copy_name} isn't what it was when it was asked for: {'; '.join(differences)}; "
        f"ask again: {_again(claim)}",
        lines=differences,
        command=_again(claim),
    )


def _again(claim: Claim) -> str:
    return f"/copy-liquidation {claim.liquidation_id} {claim.copy_name}"
