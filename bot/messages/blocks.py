"""Slack's building blocks as the bot uses them, cut to Slack's limits, and what several messages say alike.

What comes from a database or a configuration goes into ``plain_text``, where nothing is a mention, a link
or a format. The mrkdwn parts are our own sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.i18n import Translator
from bot.jobs.view import SHELL, Freeze, JobView, Moved, NoWorker, Person, RunView
from bot.untrusted_text import one_line, visible

Block = dict[str, Any]

HEADER_LIMIT = 150
TEXT_LIMIT = 3000
FIELD_LIMIT = 2000
BUTTON_VALUE_LIMIT = 2000
OPTION_LIMIT = 75
#: Of a `data_visualization` block: its title, any label in it, its series, and the points of each.
CHART_TITLE_LIMIT = 50
CHART_LABEL_LIMIT = 20
#: So much of a liquidation's name is kept with its job.
LABEL_LIMIT = 300
CHART_SERIES = 6
CHART_POINTS = 20


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: blocks, and the text for notifications and screen readers.

    ``fallback`` are the blocks for a workspace that refuses ``blocks``, because it doesn't know a new kind.
    """

    text: str
    blocks: list[Block]
    fallback: list[Block] | None = None


#: A modal or a home tab, as Slack's views.* take it.
View = dict[str, Any]


def header(text: str) -> Block:
    return {"type": "header", "text": _plain(one_line(text), HEADER_LIMIT)}


def section(mrkdwn: str) -> Block:
    return {"type": "section", "text": _mrkdwn(mrkdwn)}


def plain_section(text: str) -> Block:
    return {"type": "section", "text": _plain(text, TEXT_LIMIT)}


def fields(pairs: list[tuple[str, str]]) -> Block:
    """A bold label above its value, which is mrkdwn; an empty one is shown as a dash."""
    texts = [cut(f"*{label}*\n{value or '–'}", FIELD_LIMIT) for label, value in pairs]
    return {
        "type": "section",
        "fields": [{"type": "mrkdwn", "text": each, "verbatim": True} for each in texts],
    }


def context(*mrkdwn: str) -> Block:
    return {
        "type": "context",
        "elements": [_mrkdwn(each) for each in mrkdwn if each],
    }


@dataclass(frozen=True, slots=True)
class Dialog:
    """What somebody has to confirm before a press counts: Slack shows it before a button's press."""

    title: str
    text: str
    yes: str
    no: str

    def block(self) -> Block:
        """As a part of a button."""
        return {
            "title": {"type": "plain_text", "text": cut(self.title, 100)},
            "text": {"type": "plain_text", "text": cut(self.text, 300)},
            "confirm": {"type": "plain_text", "text": cut(self.yes, 30)},
            "deny": {"type": "plain_text", "text": cut(self.no, 30)},
            "style": "danger",
        }


def button(
    text: str, action_id: str, value: str, style: str | None = None, *, dialog: Dialog | None = None
) -> Block:
    if len(value) > BUTTON_VALUE_LIMIT:
        raise ValueError(f"the value of button {action_id} is longer than Slack takes")
    block: Block = {
        "type": "button",
        "text": {"type": "plain_text", "text": cut(text, 75)},
        "action_id": action_id,
        "value": value,
    }
    block |= {"style": style} if style else {}
    return block | ({"confirm": dialog.block()} if dialog else {})


def actions(*elements: Block, block_id: str | None = None) -> Block:
    """A row of buttons and menus; the same ``block_id`` keeps what was chosen when a view is shown anew."""
    block: Block = {"type": "actions", "elements": list(elements)}
    return block | ({"block_id": block_id} if block_id else {})


def line_chart(title: str, series: dict[str, list[tuple[str, float]]]) -> Block:
    """A line for each name, through its points (label, value); all lines have the same labels, none twice.

    slack_sdk 3.47 has no class for this block. Its fields and limits are from Slack's reference:
    https://docs.slack.dev/reference/block-kit/blocks/data-visualization-block (June 2026).
    """
    names = [[label for label, _ in points] for points in series.values()]
    if not 1 <= len(series) <= CHART_SERIES or not 1 <= len(names[0]) <= CHART_POINTS:
        raise ValueError("more lines or points than Slack takes, or none")
    if any(each != names[0] for each in names) or len(set(names[0])) < len(names[0]):
        raise ValueError("the lines of a chart have the same labels, none twice")
    lines = [
        {
            "name": cut(name, CHART_LABEL_LIMIT),
            "data": [{"label": cut(label, CHART_LABEL_LIMIT), "value": value} for label, value in points],
        }
        for name, points in series.items()
    ]
    axis = {"categories": [cut(label, CHART_LABEL_LIMIT) for label in names[0]]}
    chart = {"type": "line", "series": lines, "axis_config": axis}
    return {"type": "data_visualization", "title": cut(title, CHART_TITLE_LIMIT), "chart": chart}


def task_card(task_id: str, title: str, status: str, *, details: str = "", output: str = "") -> Block:
    """A task of a `plan`: ``status`` is pending, in_progress, complete or error. All texts are plain."""
    block: Block = {"type": "task_card", "task_id": task_id, "title": one_line(title), "status": status}
    texts = {"details": details, "output": output}
    return block | {name: rich_text(text) for name, text in texts.items() if text}


def plan(title: str, tasks: list[Block]) -> Block:
    """Tasks, one below the other. Without a ``block_id``: Slack wants a new one at each edit and makes it."""
    return {"type": "plan", "title": one_line(title), "tasks": tasks}


def rich_text(text: str) -> Block:
    """Plain text where Slack wants its rich text."""
    shown = {"type": "text", "text": one_line(text)}
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [shown]}]}


def cell(text: str, limit: int = 60) -> Block:
    """One of a table, as raw text: nothing in it is a mention, a link or a format."""
    return {"type": "raw_text", "text": cut(text, limit) or "–"}


def option(text: str, value: str) -> Block:
    """One line of a menu."""
    return {"text": _plain(one_line(text), OPTION_LIMIT), "value": value}


def menu(action_id: str, options: list[Block], chosen: str) -> Block:
    """A menu in which the option with this value is chosen."""
    initial = next(each for each in options if each["value"] == chosen)
    return {"type": "static_select", "action_id": action_id, "options": options, "initial_option": initial}


def escaped(text: str) -> str:
    """For mrkdwn and for ``text``: no mention, no link. https://docs.slack.dev/messaging/formatting-message-text"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


#: What would end a piece of code, and one that looks alike.
_ENDS_CODE = str.maketrans({"`": "ˋ"})
#: These beside what formats in mrkdwn.
_LOOK_ALIKE = _ENDS_CODE | str.maketrans({"*": "∗", "_": "ˍ", "~": "∼"})


def sanitized(text: str, limit: int = 60) -> str:
    """Somebody's words inside a mrkdwn sentence: no mention, no link, no format, one line, not long."""
    return escaped(_cut(text, limit, lambda part: one_line(part).translate(_LOOK_ALIKE)))


def sentence(text: str, *, hint: str = "") -> Message:
    """A message of one sentence, with ``hint`` below it in small print."""
    blocks = [section(text)] + ([context(hint)] if hint else [])
    return Message(read_out(f"{text} {hint}".strip()), blocks)


def code(text: str, limit: int = 200) -> str:
    """A name as code, to be read and copied as it is; nothing formats in there but a backtick ends it."""
    return f"`{escaped(_cut(text, limit, lambda part: one_line(part).translate(_ENDS_CODE)))}`"


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, all of which can be seen."""
    return _cut(text, limit, visible)


def _cut(text: str, limit: int, change: Callable[[str], str]) -> str:
    """At most ``limit`` characters of the changed text; of a long one no more is changed than that takes."""
    changed = change(text[: limit + 1])
    if len(changed) <= limit < len(text):  # some went away, so later ones come into their place
        changed = change(text)
    return changed if len(changed) <= limit else changed[: limit - 1] + "…"


def at(when: datetime, t: Translator) -> str:
    """A moment in mrkdwn, in the reader's own time zone; in UTC where Slack can't show it."""
    return f"<!date^{int(when.timestamp())}^{{date_short_pretty}} {{time_secs}}|{t.moment(when)}>"


def read_out(mrkdwn: str) -> str:
    """Our own mrkdwn as a message's text, which notifications show and screen readers say: moments in UTC."""
    return re.sub(r"<!date\^[^|>]*\|([^>]*)>", r"\1", mrkdwn)


def data_of(when: datetime, t: Translator) -> str:
    """Which moment of prod rows are from, in mrkdwn; never "today", which the sentence would not bear."""
    moment = f"<!date^{int(when.timestamp())}^{{date_short}}, {{time}}|{t.moment(when)}>"
    return t("data of prod as of {moment}", moment=moment)


def bar(fraction: float, cells: int = 20) -> str:
    """A text bar; full only when all is there. Not as code, which Slack writes in red."""
    full = int(fraction * cells)
    return "█" * full + "░" * (cells - full)


def _mrkdwn(text: str) -> Block:
    """Only what we mark as one is a mention or a link: an address or ``@name`` in a name is none."""
    return {"type": "mrkdwn", "text": cut(text, TEXT_LIMIT), "verbatim": True}


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": cut(text, limit) or "–", "emoji": False}


# ----------------------------------------------------------------------------
# Said alike by several messages: commands, people, a freeze, no worker, a card that had to move


COPY_COMMAND = "/copy-liquidation"
STATUS_COMMAND = "/copy-status"
VERIFY_COMMAND = "/copy-verify"
FREEZE_COMMAND = "/copy-freeze"
AUDIT_COMMAND = "/copy-audit"
#: What starts a worker, as the Procfile has it.
WORKER_COMMAND = "dramatiq bot.worker:boot --processes 1 --threads 4"

#: Slack's answers where the bot is no member of the channel, or can't even see it.
NO_MEMBER = frozenset({"not_in_channel", "channel_not_found"})
#: Slack's answers where the channel is archived, to a post and to an edit.
ARCHIVED = frozenset({"is_archived", "is_inactive"})

#: Turns a person into words: `mention` in Slack, the bare name in a terminal.
Named = Callable[[Person], str]


def mention(person: Person) -> str:
    """A mention where Slack knows them, else the login that the shell knows."""
    return sanitized(person.name) if person.team == SHELL else f"<@{person.id}>"


def bare_name(person: Person) -> str:
    """Somebody, where there are no mentions: in a terminal, in a mail."""
    return escaped(person.name)


def plain(mrkdwn: str) -> str:
    """Our own mrkdwn without its marks, moments in UTC."""
    return (
        re.sub(r"<!date\^[^|>]*\|([^>]*)>", r"\1", mrkdwn)
        .replace("`", "")
        .replace("*", "")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )


def requester(job: JobView) -> Person:
    """Who asked for the job."""
    return Person(job.requester_id, job.requester_team, job.requester_name)


def of_liquidation(copy: str, liquidation_id: int, t: Translator) -> str:
    """``“Items” of liquidation 42``, for plain text: one of several configured copies isn't all of it."""
    return t("“{copy}” of liquidation {id}", copy=copy, id=liquidation_id)


def copied(job: JobView, t: Translator) -> str:
    """What the job copies, as `of_liquidation` says it, for mrkdwn."""
    return of_liquidation(sanitized(job.copy_shown), job.liquidation_id, t)


def title_of(job: JobView, t: Translator) -> str:
    """What heads a job: its liquidation, which copy of it, and the liquidation's name. Plain text."""
    liquidation = t("Liquidation {id}", id=job.liquidation_id)
    title = f"{liquidation} · {job.copy_shown}"
    return f"{title} · {job.label}" if job.label else title


def frozen_by(freeze: Freeze, t: Translator, named: Named = mention) -> str:
    """Who froze all copies, why and until when, without a full stop."""
    reason = sanitized(freeze.reason or "", limit=200)
    if freeze.by is None:
        names: dict[str, object] = {"name": code(freeze.window or "")}
        words = (
            t("Frozen by the window {name}: {reason}", reason=reason, **names)
            if reason
            else t("Frozen by the window {name}", **names)
        )
    else:
        names = {"user": named(freeze.by)}
        words = (
            t("Frozen by {user}: {reason}", reason=reason, **names)
            if reason
            else t("Frozen by {user}", **names)
        )
    return words + _until(freeze, t)


def frozen_since(freeze: Freeze, t: Translator) -> str:
    """The same and since when, for answers and App Home."""
    if freeze.by is None:
        return frozen_by(freeze, t)
    names = {"user": mention(freeze.by), "moment": at(freeze.since, t)}
    if freeze.reason:
        reason = sanitized(freeze.reason, limit=300)
        return t("Frozen by {user} since {moment}: {reason}", reason=reason, **names) + _until(freeze, t)
    return t("Frozen by {user} since {moment}", **names) + _until(freeze, t)


def _until(freeze: Freeze, t: Translator) -> str:
    return " · " + t("until {moment}", moment=at(freeze.until, t)) if freeze.until else ""


def card_will_appear(channel_id: str | None, t: Translator) -> str:
    """Where the card is going to be, while it isn't there yet; empty for a job that has none."""
    if channel_id is None:
        return ""
    if channel_id.startswith("D"):
        return t("Its card will appear in a direct message.")
    return t("Its card will appear in {channel}.", channel=f"<#{channel_id}>")


def ask_for(job_id: int, t: Translator) -> str:
    """The command that tells about the job, wherever its card is."""
    return t("`{command}` answers at any time.", command=f"{STATUS_COMMAND} {job_id}")


# -- Nobody works: since when, who is to be told, and what they have to do


def nobody_works(none: NoWorker, t: Translator) -> str:
    """Since when, and how to start a worker; for cards, answers, App Home and the terminal."""
    if none.since is None:
        begin = t("No worker has ever run: copies wait until one is started.")
    else:
        moment = at(none.since, t)
        begin = t("No worker has been alive since {moment}: copies wait until one is started.", moment=moment)
    if none.operators:
        who = ", ".join(none.operators[:10])
        return f"{begin} " + t("Tell {who}: `{command}` starts one.", who=who, command=WORKER_COMMAND)
    return f"{begin} " + t("Tell whoever runs Traspaso: `{command}` starts one.", command=WORKER_COMMAND)


def and_nobody_works(text: str, none: NoWorker, t: Translator, hint: str = "") -> Message:
    """An answer, and below it that nobody works. The text has no moment, which only blocks can show."""
    read_out = f"{text} {t('No worker is alive: copies wait until one is started.')}"
    blocks = [section(f"{text}\n⚠️ {nobody_works(none, t)}"), *([context(hint)] if hint else [])]
    return Message(f"{read_out} {hint}".strip(), blocks)


# -- A job's card is in a direct message, and not where the copy was asked for


def moved_line(job: JobView | RunView, t: Translator) -> str:
    """Why the card is here, in one line; empty where the card is where it was asked for."""
    if job.moved_from is None:
        return ""
    line = t("In a direct message, because {reason}.", reason=move_reason(job.moved_from, t))
    if job.moved_from.reason in NO_MEMBER and not _is_private(job.moved_from):
        line += " " + t(
            "Before the next copy, invite it there with `{command}`.", command="/invite @traspaso"
        )
    return line


def moved_away(job: JobView, t: Translator) -> Message:
    """What stays of the card in the channel that it had to leave while the job goes on."""
    text = t(
        "The copy {what} goes on in a direct message with {user}.",
        what=copied(job, t),
        user=f"<@{job.requester_id}>",
    )
    reason = (
        t("Slack took nothing more for this channel ({error}).", error=code(job.moved_from.reason, 60))
        if job.moved_from
        else ""
    )
    return Message(text, [section(f"↪️ {text}"), context(reason, t("job {id}", id=job.id))])


def move_reason(moved: Moved, t: Translator) -> str:
    """Why a card moved, as the end of a sentence."""
    if moved.reason in NO_MEMBER and _is_private(moved):
        return t("the bot takes no part in that conversation")
    channel = f"<#{moved.channel}>"
    if moved.reason in NO_MEMBER:
        return t("the bot is not in {channel}", channel=channel)
    if moved.reason in ARCHIVED:
        return t("{channel} is archived", channel=channel)
    return t("the bot may not write in {channel} ({error})", channel=channel, error=code(moved.reason, 60))


def _is_private(moved: Moved) -> bool:
    """A direct message between people, or to oneself: no bot can be invited there, and it has no name."""
    return moved.channel.startswith("D")
