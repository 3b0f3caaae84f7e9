"""The two questions of a card. To the requester: what was shown before the last press, and what was found
since. To a second person: whether they approve. Each with its buttons, and the answers to a press.
"""

from __future__ import annotations

from collections.abc import Callable

from bot.i18n import Translator
from bot.jobs.models import Approval, Status
from bot.jobs.outbox import MessageKind
from bot.jobs.view import JobView, Question, Reason, RowCounts
from bot.messages.blocks import (
    COPY_COMMAND,
    STATUS_COMMAND,
    Block,
    Dialog,
    Message,
    View,
    ask_for,
    at,
    button,
    context,
    copied,
    mention,
    move_reason,
    of_liquidation,
    requester,
    sanitized,
    section,
    sentence,
)

CONFIRM_ACTION = "job.confirm"

# -- Both sides in words


def sides_in_short(prod: str, consulta: str, t: Translator) -> str:
    """What both sides hold, in a line of a list; the numbers as they are to be read."""
    return t("prod {prod}, consulta {consulta}", prod=prod, consulta=consulta)


def sides(in_prod: int | None, in_consulta: int | None, t: Translator) -> str:
    """``500 rows in prod, 20 rows in consulta``; a side that wasn't counted is said not to be known."""

    def rows(n: int | None) -> str:
        return t("not known how many rows") if n is None else t.rows(n)

    return t("{prod} in prod, {consulta} in consulta", prod=rows(in_prod), consulta=rows(in_consulta))


def removal(in_prod: int | None, in_consulta: int | None, t: Translator, deleted: int | None = None) -> str:
    """What a copy would remove from consulta by these numbers; empty where that is nothing, or not known.

    ``deleted`` are the rows that it would delete there, where that is known to the row.
    """
    if in_prod == 0 and in_consulta is None:
        return t("Prod has no rows for it. Copying would remove its rows from consulta.")
    if deleted is not None and in_prod != 0:
        return (
            t("Copying removes {rows} from consulta that prod doesn't have.", rows=t.rows(deleted))
            if deleted
            else ""
        )
    if in_prod is None or in_consulta is None or in_consulta <= in_prod:
        return ""
    if in_prod == 0:
        return t(
            "Prod has no rows for it. Copying would remove {rows} from consulta.", rows=t.rows(in_consulta)
        )
    return t(
        "Consulta has {rows} more than prod: copying removes what prod doesn't have.",
        rows=t.rows(in_consulta - in_prod),
    )


def request_text(job: JobView, t: Translator) -> str:
    """What a job that waits for an answer shows: the rows of both sides, and how many would be removed."""
    if job.question is not None:
        return question_text(job.question, t)
    terms = job.terms
    rows = t("Shown: {shown}.", shown=sides(terms.in_prod, terms.in_consulta, t))
    return f"{rows} {removal(terms.in_prod, terms.in_consulta, t, terms.deleted)}".strip()


def question_text(question: Question, t: Translator) -> str:
    """Why a job asks again, with what was shown and what is there now."""
    goes = removal(question.in_prod, question.in_consulta, t, question.deleted)
    because = {
        Reason.REMOVAL: goes,
        Reason.APPROVAL: t("So many rows need the approval of a second person."),
        Reason.MOVED: t("Prod doesn't hold as many rows as were shown."),
        Reason.SURPLUS: t("More rows would go from consulta than was shown."),
    }[question.reason]
    numbers = t(
        "Shown: {shown}. Now: {now}. Nothing is written until somebody answers.",
        shown=sides(question.shown_in_prod, question.shown_in_consulta, t),
        now=sides(question.in_prod, question.in_consulta, t),
    )
    if question.shown_deleted is not None:
        n = t.number(question.shown_deleted)
        numbers += " " + t("Rows of consulta that would be deleted, as shown: {n}.", n=n)
    return f"{because} {numbers}" if because == goes else f"{because} {numbers} {goes}".strip()


def confirmation(job_id: int, question: Question) -> str:
    """The shell command that agrees to exactly these numbers."""
    deleted = "" if question.deleted is None else f" {question.deleted}"
    remove = " --remove" if question.removed else ""
    return f"traspaso confirm {job_id} {question.in_prod} {question.in_consulta}{deleted}{remove}"


# -- The buttons, and what a press of one stands for


def confirm_button(job: JobView, question: Question, t: Translator) -> Block:
    """For the requester, with the new number; with a dialog where rows of consulta would be removed."""
    if question.removes_everything:
        words = t("Remove {rows}", rows=t.rows(question.in_consulta))
    elif question.removed:
        words = t("Copy {rows}, remove {n}", rows=t.rows(question.in_prod), n=t.number(question.removed))
    else:
        words = t("Copy {rows}", rows=t.rows(question.in_prod))
    return _answer(job, words, CONFIRM_ACTION, t)


def approve_button(job: JobView, action_id: str, t: Translator) -> Block:
    """For the second person; with the new number where the job asks again."""
    question = job.question
    if question is None:
        words = t("Approve")
    elif question.removes_everything:
        words = t("Approve removing {rows}", rows=t.rows(question.in_consulta))
    elif question.removed:
        words = t("Approve {rows}, remove {n}", rows=t.rows(question.in_prod), n=t.number(question.removed))
    else:
        words = t("Approve {rows}", rows=t.rows(question.in_prod))
    return _answer(job, words, action_id, t)


def _answer(job: JobView, words: str, action_id: str, t: Translator) -> Block:
    question = job.question
    value = str(job.id)
    if question is not None:
        value = f"{job.id} {question.in_prod} {question.in_consulta}"
        if question.deleted is not None:
            value += f":{question.deleted}"
    dialog = None
    if question.removes_everything if question else job.terms.in_prod == 0:
        dialog = removal_dialog(job.copy_shown, job.liquidation_id, t)
    elif question is not None and question.removed:
        rows = t.rows(question.removed)
        words_of_it = (
            surplus(question.removed, t)
            if question.deleted is None
            else t("Copying removes {rows} from consulta that prod doesn't have.", rows=rows)
        )
        dialog = confirm_removal(words_of_it, t)
    return button(words, action_id, value, style="danger" if dialog else "primary", dialog=dialog)


def surplus(rows: int, t: Translator) -> str:
    """That consulta has so many rows more, which would go."""
    return t("Consulta has {rows} more than prod. What prod doesn't have will be removed.", rows=t.rows(rows))


def confirm_removal(words: str, t: Translator) -> Dialog:
    """The dialog before a press that removes rows from consulta; ``words`` say which."""
    return Dialog(t("Remove from consulta?"), words, t("Remove"), t("Keep"))


def removal_dialog(copy: str, liquidation_id: int, t: Translator) -> Dialog:
    """Before a press that removes all of the liquidation's rows of this copy from consulta."""
    what = of_liquidation(copy, liquidation_id, t)
    words = t("Prod has no rows for {what}. Its rows in consulta will be removed.", what=what)
    return confirm_removal(words, t)


def pressed(value: str) -> tuple[str, RowCounts | None]:
    """The job's number as it was written, and the rows that the button showed; None where it showed none.

    Any other value gives no numbers, and so agrees to none.
    """
    number, *rows = value.split(" ")
    if len(rows) != 2:
        return number, None
    in_consulta, known, deleted = rows[1].partition(":")
    counts = [rows[0], in_consulta, *([deleted] if known else [])]
    if not all(map(_is_count, counts)):
        return number, None
    return number, RowCounts(*map(int, counts))


def _is_count(text: str) -> bool:
    """A bigint of PostgreSQL, from 0 on."""
    return text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63


# -- The threaded reply of a job that asks again


def question_reply(job: JobView, question: Question, t: Translator) -> Message:
    """To whoever has to answer: what was shown, what is there now, and where the button is."""
    others = ", ".join(job.approvers[:10]) if job.waits_for_approval else ""
    text = t(
        "{mention} the copy {what} asks again. {reason}",
        mention=others or mention(requester(job)),
        what=copied(job, t),
        reason=question_text(question, t),
    )
    hint = t("The button is on its card, above.")
    return Message(f"{text} {hint}", [section(f"❓ {text}"), context(hint)])


# ----------------------------------------------------------------------------
# Approval by a second person


APPROVE_ACTION = "job.approve"
REJECT_ACTION = "job.reject"
#: The modal that asks why, and its input.
REJECT_CALLBACK, REASON = "job.reject.why", "reason"
#: The same of an approval, where the copy asks for a reason.
APPROVE_CALLBACK = "job.approve.why"
#: So many characters of a reason are shown.
REASON_LIMIT = 300


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


def approval_reminder(job: JobView, kind: MessageKind, t: Translator) -> Message:
    """To those who may approve it: that it still waits. To a second group: that they may approve it now."""
    return reminder(lambda moment: _reminded(job, kind, moment, t), job, t)


def reminder(said: Callable[[str], str], job: JobView, t: Translator) -> Message:
    """What is ``said`` of the moment until which the job waits, with who asked for it."""
    until = job.approval_until or job.now
    hint = t("The button is on its card, above.")
    asked = t("{user} asked for it.", user=mention(requester(job)))
    read_out = f"{said(t.moment(until))} {asked} {hint}"
    return Message(read_out, [section(f"⏰ {said(at(until, t))}"), context(asked, hint)])


def _reminded(job: JobView, kind: MessageKind, moment: str, t: Translator) -> str:
    who = ", ".join(job.approvers[:10]) or t("those who may copy")
    names = {"mention": who, "what": copied(job, t), "moment": moment}
    if kind is MessageKind.LAST_REMINDER:
        return t("{mention} the copy {what} ends without approval at {moment}.", **names)
    if kind is not MessageKind.SECOND_GROUP:
        return t("{mention} the copy {what} still waits for approval, until {moment}.", **names)
    names["mention"] = job.approvers[-1] if job.approvers else who
    return t(
        "{mention} the copy {what} still waits for approval: you may approve it now too, until {moment}.",
        **names,
    )


def approval_reply(job: JobView, t: Translator) -> Message:
    """To the requester, at once: somebody approved it."""
    return approval_given(job, copied(job, t), t)


def approval_given(job: JobView, what: str, t: Translator, *, several: bool = False) -> Message:
    """The same of ``what`` was approved with the job: itself, its set, or ``several`` copies."""
    by = mention(job.approval_by) if job.approval_by else "?"
    names = {"mention": mention(requester(job)), "user": by, "what": what}
    if several:
        text = t("{mention} {user} approved the copies {what}: the next free workers take them.", **names)
    else:
        text = t("{mention} {user} approved the copy {what}: the next free worker takes it.", **names)
    why = said_why(job.approval_reason, t)
    return Message(f"{text} {why}".strip(), [section(f"👍 {text}"), *([context(why)] if why else [])])


def said_why(reason: str | None, t: Translator) -> str:
    """A reason in the words of whoever gave it; empty where nobody did."""
    return t("Why: {reason}", reason=sanitized(reason, REASON_LIMIT)) if reason else ""


def because(said: str, reason: str | None, t: Translator) -> str:
    """A sentence without full stop, and the reason where somebody gave one."""
    return t("{said}: {reason}", said=said, reason=sanitized(reason, REASON_LIMIT)) if reason else said


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
        return rejected_by(f"<@{job.approval_by.id}>", job.rejection_reason, t)
    if job.moved_from is not None and job.had_nobody_to_ask:
        reason = move_reason(job.moved_from, t)
        return t("Nobody could be asked for approval, because {reason}", reason=reason)
    if job.approval is Approval.EXPIRED:
        return t("Nobody approved it in time")
    return ""


def rejected_by(user: str, reason: str | None, t: Translator) -> str:
    """Who said no, and why where they said that."""
    if reason:
        return t("{user} rejected it: {reason}", user=user, reason=sanitized(reason, REASON_LIMIT))
    return t("{user} rejected it", user=user)


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
    return sentence(t("Approved: job {id}, {what}.", id=job.id, what=copied(job, t)))


def why_rejected(job: JobView, origin: str, t: Translator) -> View:
    """The modal in which somebody rejects the copy, and may say why; ``origin`` comes back with it."""
    what = t(
        "Reject the copy of liquidation {number} that {user} asked for?",
        number=job.liquidation_id,
        user=mention(requester(job)),
    )
    why = why_field(t("Why? Whoever asked for it reads this.")) | {"optional": True}
    return asking_why(
        REJECT_CALLBACK,
        origin,
        title=t("Reject a copy"),
        submit=t("Reject"),
        blocks=[section(what), why],
        t=t,
    )


def why_approved(job: JobView, origin: str, t: Translator) -> View:
    """The modal in which somebody approves the copy and says why; ``origin`` comes back with it."""
    what = t(
        "Approve the copy of liquidation {number} that {user} asked for?",
        number=job.liquidation_id,
        user=mention(requester(job)),
    )
    asked = said_why(job.request_reason, t)
    blocks = [
        section(what),
        section(request_text(job, t)),
        *([context(asked)] if asked else []),
        why_field(t("Why? The card and the receipt say it.")),
    ]
    return asking_why(
        APPROVE_CALLBACK, origin, title=t("Approve a copy"), submit=t("Approve"), blocks=blocks, t=t
    )


def asking_why(
    callback: str, origin: str, *, title: str, submit: str, blocks: list[Block], t: Translator
) -> View:
    """A modal with these blocks, which is submitted with this callback; ``origin`` comes back with it."""
    return {
        "type": "modal",
        "callback_id": callback,
        "private_metadata": origin,
        "title": {"type": "plain_text", "text": title},
        "submit": {"type": "plain_text", "text": submit},
        "close": {"type": "plain_text", "text": t("Cancel")},
        "blocks": blocks,
    }


def why_field(label: str) -> Block:
    """The field for a reason."""
    field = {
        "type": "plain_text_input",
        "action_id": REASON,
        "multiline": True,
        "max_length": REASON_LIMIT,
        "focus_on_load": True,
    }
    return {
        "type": "input",
        "block_id": REASON,
        "label": {"type": "plain_text", "text": label},
        "element": field,
    }


def reason_missing(t: Translator) -> dict[str, str]:
    """The error below the input of a reason that was left empty."""
    return {REASON: t("This copy asks for a reason: write one.")}


def not_asked_why_approved(t: Translator) -> Message:
    """Slack didn't open the modal in which a copy is approved."""
    return sentence(t("Slack didn't show the window, so nothing was approved. Press Approve again."))


def not_asked_why(t: Translator) -> Message:
    """Slack didn't open the modal in which a copy is rejected."""
    return sentence(t("Slack didn't show the window, so nothing was rejected. Press Reject again."))


def rejected(job: JobView, t: Translator) -> Message:
    return sentence(t("Rejected: job {id}, {what}.", id=job.id, what=copied(job, t)))


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


def not_in_private(copy: str, t: Translator) -> Message:
    """A copy that needs approval was asked for in a direct message: nobody else would see its card."""
    return sentence(
        t(
            "A copy of “{name}” needs somebody else's approval, and nobody else can see this place.",
            name=sanitized(copy),
        ),
        hint=t("Ask again in a channel where those who may approve it are."),
    )
