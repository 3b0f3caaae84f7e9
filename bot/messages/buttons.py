"""The buttons under a card: those that fit what the job is, and no others."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import JobView
from bot.jobs.statuses import Status, Wish
from bot.messages.approval import approval_buttons
from bot.messages.blocks import Block, actions, button, confirm
from bot.messages.terms import confirm_button

PAUSE_ACTION = "job.pause"
RESUME_ACTION = "job.resume"
CANCEL_ACTION = "job.cancel"
RETRY_ACTION = "job.retry"
DETAILS_ACTION = "job.details"


def buttons_for(job: JobView, t: Translator) -> list[Block]:
    """One row of buttons; the value of each is the job's number, with the rows that it shows if it does."""
    details = button(t("Details"), DETAILS_ACTION, str(job.id))
    match job.status:
        case Status.PENDING if job.waits_for_approval:
            row = [*approval_buttons(job, t), _cancel(job, t)]
        case Status.PENDING if job.question is not None:
            row = [confirm_button(job, job.question, t), _cancel(job, t), details]
        case Status.RUNNING if job.wish is Wish.CANCEL:
            row = [details]
        case Status.RUNNING if job.wish is Wish.PAUSE:
            row = [_resume(job, t), _cancel(job, t), details]
        case Status.PENDING | Status.RUNNING:
            row = [button(t("Pause"), PAUSE_ACTION, str(job.id)), _cancel(job, t), details]
        case Status.PAUSED:
            row = [_resume(job, t, style="primary"), _cancel(job, t), details]
        case Status.FAILED:
            row = [retry(job, t), details]
        case _:
            row = [details]
    return [actions(*row)]


def retry(job: JobView, t: Translator) -> Block:
    return button(t("Retry"), RETRY_ACTION, str(job.id), style="primary")


def _resume(job: JobView, t: Translator, style: str | None = None) -> Block:
    return button(t("Resume"), RESUME_ACTION, str(job.id), style=style)


def _cancel(job: JobView, t: Translator) -> Block:
    block = button(t("Cancel"), CANCEL_ACTION, str(job.id), style="danger")
    block["confirm"] = confirm(
        t("Cancel this copy?"),
        t("What is in place in consulta stays there, and the rest of the rows is not copied."),
        t("Cancel the copy"),
        t("Let it go on"),
    )
    return block
