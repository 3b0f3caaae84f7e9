"""Approval by a second person: the two buttons, who is asked, and the answers to a press."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.status import Approval, Status
from bot.jobs.view import JobView
from bot.messages.blocks import Block, Message, at, button, sanitized, sentence
from bot.messages.naming import COPY_COMMAND, STATUS_COMMAND, ask_for, move_reason
from bot.messages.question import approve_button

APPROVE_ACTION = "job.approve"
REJECT_ACTION = "job.reject"


def approval_buttons(job: JobView, t: Translator) -> list[Block]:
    """*Approve*, for the rows that it shows where the job asks again, and *Reject*."""
    return [
        approve_button(job, APPROVE_ACTION, t),
        button(t("Reject"), REJECT_ACTION, str(job.id), style="danger"),
    ]


def approval_request(job: JobView, t: Translator) -> str:
    """Who may approve it, and until when."""
    until = job.approval_until or job.now
    return t(
        "Waiting for approval until {moment}: any of {who} may give it, but not {user}",
        user=f"<@{job.requester_id}>",
        who=", ".join(job.approvers[:10]) or t("those who may copy"),
        moment=at(until, t),
    )


def approved_by(job: JobView, t: Translator) -> str:
    """``approved by …``, for the card and the receipt; empty where nobody approved."""
    if job.approval is not Approval.APPROVED or job.approval_by is None:
        return ""
    return t("approved by {user}", user=f"<@{job.approval_by.id}>")


def no_approval_reason(job: JobView, t: Translator) -> str:
    """Why the copy ended without approval: rejected, expired, or nobody to ask. Empty for other endings."""
    if job.status is not Status.CANCELLED:
        return ""
    if job.approval is Approval.REJECTED and job.approval_by is not None:
        return t("{user} rejected it", user=f"<@{job.approval_by.id}>")
    if job.moved_from is not None and job.had_nobody_to_ask:
        reason = move_reason(job.moved_from, t)
        return t("Nobody could be asked for approval, because {reason}", reason=reason)
    if job.approval is Approval.EXPIRED:
        return t("Nobody approved it in time")
    return ""


def ask_again(job: JobView, t: Translator) -> str:
    """The command for another try, and where to type it if the last place was none for an approval."""
    command = f"{COPY_COMMAND} {job.liquidation_id} {job.copy_name}"
    if job.had_nobody_to_ask:
        return t("Ask again in a channel where those who may approve it are: `{command}`", command=command)
    return t("Ask again: `{command}`", command=command)


def possible_approvers(job: JobView, t: Translator) -> str:
    """Who may approve the job, for a reader who may not."""
    if not job.approvers:
        return t("Somebody else has to approve it.")
    return t("They may approve it: {who}.", who=", ".join(job.approvers[:10]))


def own_request(job: JobView, t: Translator) -> Message:
    """To a requester who pressed *Approve*."""
    return sentence(
        t("You asked for this copy, or set it going again, yourself: somebody else has to approve it."),
        hint=t("They may: {who}.", who=", ".join(job.approvers[:10])) if job.approvers else "",
    )


def approved(job: JobView, t: Translator) -> Message:
    return sentence(t("Approved: job {id}, liquidation {number}.", id=job.id, number=job.liquidation_id))


def rejected(job: JobView, t: Translator) -> Message:
    return sentence(t("Rejected: job {id}, liquidation {number}.", id=job.id, number=job.liquidation_id))


def too_late(job: JobView, t: Translator) -> Message:
    """It was decided before, or the time is over: says which."""
    by = f"<@{job.approval_by.id}>" if job.approval_by else sanitized(job.requester_name)
    match job.approval:
        case Approval.APPROVED:
            words = t("{user} has approved job {id} already.", user=by, id=job.id)
        case Approval.REJECTED:
            words = t("{user} has rejected job {id} already.", user=by, id=job.id)
        case _ if job.status is Status.CANCELLED and job.approval is not Approval.EXPIRED:
            words = t("Job {id} was cancelled before anybody approved it.", id=job.id)
        case _ if job.moved_from is not None and job.had_nobody_to_ask:
            words = f"{no_approval_reason(job, t)}."
        case _:
            words = t("The time to approve job {id} is over.", id=job.id)
    if job.status is Status.CANCELLED:
        return sentence(words, hint=ask_again(job, t))
    return sentence(words, hint=ask_for(job.id, t))


def no_such(job_id: str, t: Translator) -> Message:
    """The button's job doesn't exist."""
    latest = t("`{command}` lists the latest ones.", command=STATUS_COMMAND)
    return sentence(t("There is no job {id} to approve.", id=sanitized(job_id, 20)), hint=latest)


def not_in_private(copy_name: str, t: Translator) -> Message:
    """A copy that needs approval was asked for in a direct message: nobody else would see its card."""
    return sentence(
        t(
            "A copy of `{name}` needs somebody else's approval, and nobody else can see this place.",
            name=copy_name,
        ),
        hint=t("Ask again in a channel where those who may approve it are."),
    )
