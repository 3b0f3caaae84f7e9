"""The samples as files: exact ones for the tests, and a page for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from bot.i18n import LANGUAGES, translator
from bot.messages.blocks import Message, View
from dev.guard import ROOT
from dev.local_slack.plain import plain
from dev.messages.samples import SAMPLES, Sample

GOLDEN = ROOT / "tests" / "golden"
PAGE = ROOT / "docs" / "messages.md"
IMAGES = ROOT / "docs" / "images"
RENEW = "make messages"

LARGEST_PICTURE_BYTES = 90_000
#: The samples that are drawn too, each with the file of its picture.
PICTURES = {
    (section, name, language): IMAGES / f"{section}-{name}.{language}.png"
    for section, name, language in [
        ("card", "copying", "es"),
        ("card", "copying", "en"),
        ("card", "completed", "es"),
        ("card", "failed", "en"),
        ("card", "waits-for-approval", "es"),
        ("preview", "new", "es"),
        ("status", "overview", "en"),
        ("home", "busy-and-frozen", "en"),
        ("modal", "choose", "es"),
        ("modal", "preview", "en"),
    ]
}

TITLES = {
    "card": "The card in the channel",
    "asking": "The reply in its thread where a copy asks again",
    "ending": "The reply in its thread",
    "preview": "The preview, for whoever typed `/copy-liquidation 42`",
    "approval": "A second pair of eyes",
    "buttons": "Buttons that come too late",
    "details": "*Details*, a job's whole story",
    "freeze": "Answers to `/copy-freeze`",
    "answers": "Answers that one person reads",
    "status": "Answers to `/copy-status`",
    "verify": "Answers to `/copy-verify 42`",
    "home": "App Home",
    "modal": "The modal of `/copy-liquidation`",
    "failures": "What each failure means",
}
INTRODUCTION = f"""# Everything that the bot says

Written by `{RENEW}` from the real messages of made-up situations, in both languages. `[…]` is a button,
`<…>` a menu or a field. The line in italics is what a notification and a screen reader say. The exact blocks
are in `tests/golden`; the pictures, by `make screenshots`, are from the page of the local Slack.
"""


def files() -> dict[Path, str]:
    """Each file of the catalogue with its contents."""
    golden = {
        GOLDEN / sample.section / f"{sample.name}.{language}.json": exact(made(sample, language))
        for sample in SAMPLES
        for language in LANGUAGES
    }
    return golden | {PAGE: page()}


def made(sample: Sample, language: str) -> Message | View:
    return sample.make(translator(language))


def exact(message: Message | View) -> str:
    """What is sent to Slack."""
    sent: Any = {"text": message.text, "blocks": message.blocks} if isinstance(message, Message) else message
    return json.dumps(sent, ensure_ascii=False, indent=1) + "\n"


def page() -> str:
    return "\n".join([INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for section, samples in groupby(SAMPLES, lambda sample: sample.section):
        yield f"## {TITLES[section]}\n"
        for sample in samples:
            yield f"### {sample.name.replace('-', ' ').replace('_', ' ')}\n"
            for language in LANGUAGES:
                yield from _shown(made(sample, language), language)
                picture = PICTURES.get((sample.section, sample.name, language))
                if picture is not None:
                    yield f"![The same in Slack]({picture.relative_to(PAGE.parent)})\n"


def _shown(message: Message | View, language: str) -> Iterator[str]:
    if isinstance(message, Message):
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
