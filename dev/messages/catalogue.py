"""The samples as files: one for each message and language, and a page that lists them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.i18n import LANGUAGES, translator
from bot.messages.blocks import Message, View
from bot.messages.notification import Notification
from dev.guard import ROOT
from dev.local_slack.plain import plain
from dev.messages import troubles
from dev.messages.samples import SAMPLES, Sample

GOLDEN = ROOT / "tests" / "golden"
PAGE = ROOT / "docs" / "messages.md"
IMAGES = ROOT / "docs" / "images"
RENEW = "make messages"

LARGEST_PICTURE_BYTES = 130_000
#: The samples that are drawn too, each with the file of its picture.
PICTURES = {
    (section, name, language): IMAGES / f"{section}-{name}.{language}.png"
    for section, name, language in [
        ("preview", "new", "es"),
        ("several", "some-can-be-copied", "es"),
        ("run", "under-way", "es"),
        ("whole", "copied-before", "es"),
        ("run", "of-a-set", "es"),
        ("run", "ended-in-part", "es"),
        ("preview", "surplus", "es"),
        ("modal", "choose", "es"),
        ("modal", "preview", "en"),
        ("card", "copying", "es"),
        ("card", "copying", "en"),
        ("card", "paused", "es"),
        ("card", "completed", "es"),
        ("card", "failed", "es"),
        ("card", "failed", "en"),
        ("card", "asks-again", "es"),
        ("card", "for-later", "es"),
        ("card", "waits-for-approval", "es"),
        ("ending", "completed", "es"),
        ("asking", "half-of-the-time-is-over", "es"),
        ("modal", "later", "es"),
        ("modal", "preview-asks-why", "es"),
        ("freeze", "channel-is-told-until", "es"),
        ("home", "next-by-the-clock", "es"),
        ("audit", "beside-the-file", "es"),
        ("ending", "completed-after-a-long-time", "en"),
        ("details", "story", "es"),
        ("status", "overview", "es"),
        ("status", "overview", "en"),
        ("status", "liquidation", "es"),
        ("verify", "agrees", "es"),
        ("verify", "differs", "es"),
        ("freeze", "channel-is-told", "es"),
        ("home", "busy-and-frozen", "es"),
        ("home", "busy-and-frozen", "en"),
    ]
}

TITLES = {
    "card": "The card in the channel",
    "asking": "The reply in its thread where a copy asks again",
    "ending": "The reply in its thread",
    "run": "Several copies of one press: one card, one reply",
    "preview": "The preview, for whoever typed `/copy-liquidation 42`",
    "whole": "The preview of a set, as `/copy-liquidation 42`",
    "several": "The preview of several, as `/copy-liquidation 40-45`",
    "approval": "A second pair of eyes",
    "buttons": "Buttons that come too late",
    "details": "*Details*, a job's whole story",
    "freeze": "Answers to `/copy-freeze`",
    "answers": "Answers that one person reads",
    "status": "Answers to `/copy-status`",
    "verify": "Answers to `/copy-verify 42`",
    "audit": "Answers to `/copy-audit 2026-11`",
    "notification": "What is told elsewhere: by e-mail, or to a webhook",
    "schedules": "What is told of schedules",
    "watch": "What is told of the watch",
    "home": "App Home",
    "modal": "The modal of `/copy-liquidation`",
    "failures": "What each failure means",
}
INTRODUCTION = f"""# Everything that the bot says

Written by `{RENEW}`. Each message, in a made-up situation and in both languages, is a file in `tests/golden`:
exactly what is sent to Slack, and what the tests compare. This page has the way to each file, and no sentence
of them. The pictures, by `make screenshots`, are from the page of the local Slack.

To read them in plain words: `.venv/bin/python -m dev.messages` and the name of a section, such as `card`.
"""


def files() -> dict[Path, str]:
    """Each file of the catalogue with its contents."""
    golden = {
        golden_of(sample, language): exact(made(sample, language))
        for sample in SAMPLES
        for language in LANGUAGES
    }
    trouble = troubles.page(troubles.PAGE.read_text("utf-8"))
    return golden | {PAGE: page(), troubles.PAGE: trouble}


def golden_of(sample: Sample, language: str) -> Path:
    """The file that holds exactly what is sent."""
    return GOLDEN / sample.section / f"{sample.name}.{language}.json"


def made(sample: Sample, language: str) -> Message | View | Notification:
    return sample.make(translator(language))


def exact(message: Message | View | Notification) -> str:
    """What is sent to Slack, or to a destination."""
    sent: Any = message
    if isinstance(message, Message):
        sent = {"text": message.text, "blocks": message.blocks}
    elif isinstance(message, Notification):
        sent = {each: getattr(message, each).split("\n") for each in ("subject", "text", "html")}
        sent["tone"] = message.tone
    return json.dumps(sent, ensure_ascii=False, indent=1) + "\n"


def page() -> str:
    """docs/messages.md: the pictures, and a line for each message with links to its files."""
    return "\n".join([INTRODUCTION, *(line for section in TITLES for line in _contents(section))])


def _contents(section: str) -> Iterator[str]:
    yield f"## {TITLES[section]}\n\nSection `{section}`.\n"
    samples = [sample for sample in SAMPLES if sample.section == section]
    for sample in samples:
        for language in LANGUAGES:
            if picture := PICTURES.get((section, sample.name, language)):
                yield f"![{_title(sample)}, {language}]({picture.relative_to(PAGE.parent)})\n"
    for sample in samples:
        links = [
            f"[{language}](../{golden_of(sample, language).relative_to(ROOT)})" for language in LANGUAGES
        ]
        yield f"- {_title(sample)}: {', '.join(links)}"
    yield ""


def read(section: str) -> str:
    """The messages of a section in plain words; ``[…]`` is a button, ``<…>`` a menu or a field.

    The line in italics is what a notification and a screen reader say.
    """
    lines = [f"## {TITLES[section]}\n"]
    for sample in SAMPLES:
        if sample.section == section:
            lines.append(f"### {_title(sample)}\n")
            lines += [line for language in LANGUAGES for line in _shown(made(sample, language), language)]
    return "\n".join(lines)


def _title(sample: Sample) -> str:
    return sample.name.replace("-", " ").replace("_", " ")


def _shown(message: Message | View | Notification, language: str) -> Iterator[str]:
    if isinstance(message, Notification):
        yield f"{language}: *{_one_line(message.subject)}*\n"
        body = message.text
    elif isinstance(message, Message):
        yield f"{language}: *{_one_line(message.text)}*\n"
        body = plain(message.blocks)
    else:
        yield f"{language}:\n"
        body = _view(message)
    yield f"```text\n{readable(body)}\n```\n"


def _view(view: View) -> str:
    ends = " ".join(f"[{view[end]['text']}]" for end in ("close", "submit") if end in view)
    title = view.get("title", {}).get("text", "")
    return "\n".join(part for part in (title, plain(view["blocks"]), ends) if part)


def readable(text: str) -> str:
    """Mentions, links and dates as Slack shows them."""
    names = {"<@U0ANA>": "@Ana", "<@U0BOB>": "@Bob", "@U0ANA": "@Ana", "@U0BOB": "@Bob"}
    for mention, name in names.items():
        text = text.replace(mention, name)
    text = text.replace("<!subteam^S0ADMINS>", "@liquidation-admins").replace("<#C0PAYROLL>", "#payroll")
    text = re.sub(r"<!date\^\d+\^[^|]*\|([^>]*)>", r"\1", text)
    text = re.sub(r"<https?://[^|>]*\|([^>]*)>", r"\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _one_line(text: str) -> str:
    return readable(text).replace("\n", " ").replace("*", "\\*").strip()
