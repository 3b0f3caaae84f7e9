"""The threaded reply at the end of a job: it mentions the requester and has the receipt, or the reason."""

from __future__ import annotations

from collections.abc import Sequence

from bot.i18n import Translator
from bot.jobs.status import Status
from bot.jobs.view import JobView, Stretch
from bot.messages.approval import approved_by, ask_again, no_approval_reason
from bot.messages.blocks import Message, actions, at, code, context, section
from bot.messages.card import progress, rate, retry
from bot.messages.chart import chart
from bot.messages.failures import explained
from bot.messages.naming import mention


def reply(job: JobView, t: Translator, stretches: Sequence[Stretch] = ()) -> Message:
    """What the requester is told in the thread; with a chart where ``stretches`` are enough for one."""
    message = _ending(job, t)
    drawn = chart(job, stretches, t)
    if drawn is None:
        return message
    return Message(
        f"{message.text} {drawn.words}",
        [*message.blocks, drawn.block],
        fallback=[*message.blocks, context(drawn.words)],
    )


def _ending(job: JobView, t: Translator) -> Message:
    who = f"<@{job.requester_id}>"
    liquidation = t("liquidation {id}", id=job.liquidation_id)
    match job.status:
        case Status.COMPLETED:
            text = t(
                "{mention} {liquidation} is in consulta: {rows} in {duration} ({rate}), verified.",
                mention=who,
                liquidation=liquidation,
                rows=t.rows(job.total or 0),
                duration=t.duration(job.seconds or 0.0),
                rate=rate(job, t),
            )
            return Message(text, [section(f"✅ {text}"), context(receipt(job, t)), context(_basis(job, t))])
        case Status.FAILED:
            words = explained(job.error or {}, t)
            text = t(
                "{mention} {liquidation} was not copied. {what}",
                mention=who,
                liquidation=liquidation,
                what=words.what,
            )
            return Message(
                f"{text} {words.step}",
                [
                    section(f"❌ {text}"),
                    section(words.step),
                    context(_class_of(job, t), _left(job, t)),
                    actions(retry(job, t)),
                ],
            )
        case _ if unapproved := no_approval_reason(job, t):
            text = t(
                "{mention} {liquidation} was not copied. {what}",
                mention=who,
                liquidation=liquidation,
                what=f"{unapproved}.",
            )
            return Message(text, [section(f"🚫 {text}"), context(ask_again(job, t))])
        case _:
            text = t(
                "{mention} the copy of {liquidation} was cancelled.", mention=who, liquidation=liquidation
            )
            if job.stopped_by is not None:
                text = t(
                    "{mention} the copy of {liquidation} was cancelled by {user}.",
                    mention=who,
                    liquidation=liquidation,
                    user=mention(job.stopped_by),
                )
            return Message(text, [section(f"🚫 {text}"), context(_left(job, t))])


def receipt(job: JobView, t: Translator) -> str:
    """What was done to consulta, and the proof's digest."""
    parts = [
        t("inserted {rows}", rows=t.number(job.inserted)),
        t("updated {rows}", rows=t.number(job.updated)),
        t("deleted {rows}", rows=t.number(job.deleted)),
        t("unchanged {rows}", rows=t.number(job.unchanged)),
    ]
    if job.moved:
        parts.append(t("taken over from other liquidations {rows}", rows=t.number(job.moved)))
    if job.target_digest:
        parts.append(t("digest {digest}", digest=f"`{job.target_digest}`"))
    if approval := approved_by(job, t):
        parts.append(approval)
    return " · ".join(parts)


def _basis(job: JobView, t: Translator) -> str:
    """Which moment of prod it is, and in how many attempts."""
    parts = [t("as of {moment}", moment=at(job.as_of, t))] if job.as_of else []
    if job.attempt > 1:
        parts.append(t.plural("{n} attempt", "{n} attempts", job.attempt))
    parts.append(t("job {id}", id=job.id))
    return " · ".join(parts)


def _class_of(job: JobView, t: Translator) -> str:
    error = job.error or {}
    name = " ".join(str(error[key]) for key in ("code", "sqlstate") if error.get(key))
    return t("Class of the error: {name}", name=code(name)) if name else ""


def _left(job: JobView, t: Translator) -> str:
    if not job.copied:
        return t("The last attempt wrote nothing.") if job.attempt > 1 else t("Nothing was written.")
    return t(
        "In place when it ended: {progress}. Copying again goes on from there.", progress=progress(job, t)
    )
