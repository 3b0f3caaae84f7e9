"""What was shown before the last press and what was found since, in words, and the buttons that answer."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.view import JobView, Question, Reason, RowCounts
from bot.messages.blocks import Block, Message, button, confirm, context, section
from bot.messages.naming import mention, requester

CONFIRM_ACTION = "job.confirm"

# -- Both sides in words


def sides(in_prod: int | None, in_consulta: int | None, t: Translator) -> str:
    """``500 rows in prod, 20 rows in consulta``; a side that wasn't counted is said not to be known."""

    def rows(n: int | None) -> str:
        return t("not known how many rows") if n is None else t.rows(n)

    return t("{prod} in prod, {consulta} in consulta", prod=rows(in_prod), consulta=rows(in_consulta))


def removal(in_prod: int | None, in_consulta: int | None, t: Translator) -> str:
    """What a copy would remove from consulta by these numbers; empty where that is nothing, or not known."""
    if in_prod == 0 and in_consulta is None:
        return t("Prod has no rows for it. Copying would remove its rows from consulta.")
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
    return f"{rows} {removal(terms.in_prod, terms.in_consulta, t)}".strip()


def question_text(question: Question, t: Translator) -> str:
    """Why a job asks again, with what was shown and what is there now."""
    goes = removal(question.in_prod, question.in_consulta, t)
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
    return f"{because} {numbers}" if because == goes else f"{because} {numbers} {goes}".strip()


def confirmation(job_id: int, question: Question) -> str:
    """The shell command that agrees to exactly these numbers."""
    remove = " --remove" if question.removed else ""
    return f"traspaso confirm {job_id} {question.in_prod} {question.in_consulta}{remove}"


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
    dialog = None
    if question.removes_everything if question else job.terms.in_prod == 0:
        dialog = removal_dialog(job.liquidation_id, t)
    elif question is not None and question.removed:
        rows = t.rows(question.removed)
        words_of_it = t(
            "Consulta has {rows} more than prod. What prod doesn't have will be removed.", rows=rows
        )
        dialog = confirm(t("Remove from consulta?"), words_of_it, t("Remove"), t("Keep"))
    block = button(words, action_id, value, style="danger" if dialog else "primary")
    return block | ({"confirm": dialog} if dialog else {})


def removal_dialog(liquidation_id: int, t: Translator) -> Block:
    """The dialog before a press that removes all of the liquidation's rows from consulta."""
    return confirm(
        t("Remove from consulta?"),
        t("Prod has no rows for liquidation {id}. Its rows in consulta will be removed.", id=liquidation_id),
        t("Remove"),
        t("Keep"),
    )


def pressed(value: str) -> tuple[str, RowCounts | None]:
    """The job's number as it was written, and the rows that the button showed; None where it showed none.

    Any other value gives no numbers, and so agrees to none.
    """
    number, *rows = value.split(" ")
    if len(rows) != 2 or not all(map(_is_count, rows)):
        return number, None
    return number, RowCounts(*map(int, rows))


def _is_count(text: str) -> bool:
    """A bigint of PostgreSQL, from 0 on."""
    return text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63


# -- The threaded reply of a job that asks again


def question_reply(job: JobView, question: Question, t: Translator) -> Message:
    """To whoever has to answer: what was shown, what is there now, and where the button is."""
    others = ", ".join(job.approvers[:10]) if job.waits_for_approval else ""
    text = t(
        "{mention} the copy of {liquidation} asks again. {what}",
        mention=others or mention(requester(job)),
        liquidation=t("liquidation {id}", id=job.liquidation_id),
        what=question_text(question, t),
    )
    hint = t("The button is on its card, above.")
    return Message(f"{text} {hint}", [section(f"❓ {text}"), context(hint)])
