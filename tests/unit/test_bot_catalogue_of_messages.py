"""Every message is in the catalogue, as it is sent, in both languages, and Slack takes it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from types import CodeType, FrameType
from typing import Any

import pytest
from apprise.conversion import html_to_text

import bot.messages
from bot.i18n import LANGUAGES, translator
from bot.messages.blocks import Message
from bot.messages.failure_texts import WORDS
from bot.messages.notification import SUBJECT_LIMIT, Notification
from dev.guard import ROOT
from dev.local_slack.blocks import check_blocks, check_message_blocks
from dev.local_slack.checker import Checker
from dev.messages import troubles
from dev.messages.catalogue import (
    GOLDEN,
    IMAGES,
    LARGEST_PICTURE_BYTES,
    PAGE,
    PICTURES,
    RENEW,
    TITLES,
    files,
    made,
    page,
    read,
)
from dev.messages.samples import SAMPLES, Sample

#: Helpers that any message is made with; they are no messages.
HELPERS = {"bot.messages.blocks"}
ELSEWHERE = [sample for sample in SAMPLES if sample.section == "notification"]
IN_SLACK = [sample for sample in SAMPLES if sample not in ELSEWHERE]


def test_the_catalogue_shows_what_is_said() -> None:
    stale = [
        str(path) for path, text in files().items() if not path.is_file() or path.read_text("utf-8") != text
    ]
    assert stale == [], f"renew them with `{RENEW}` and read the difference"


def test_the_catalogue_shows_nothing_else() -> None:
    assert sorted(set(GOLDEN.rglob("*.json")) - set(files())) == [], f"`{RENEW}` removes them"


def test_the_page_leads_to_each_message_and_repeats_none() -> None:
    shown = page()
    links = re.findall(r"\]\(\.\./(tests/golden/[^)]+)\)", shown)
    assert sorted(ROOT / link for link in links) == sorted(set(files()) - {PAGE, troubles.PAGE})
    for sample in SAMPLES:
        message = made(sample, "en")
        if isinstance(message, Message):
            assert message.text not in shown


def test_the_page_of_troubles_has_each_sentence_with_its_next_step() -> None:
    page = troubles.PAGE.read_text("utf-8")
    for code, (what, step) in WORDS.items():
        languages = [translator(language) for language in LANGUAGES]
        said = [t(sentence, **troubles.NAMES) for t in languages for sentence in (what, step)]
        assert any(
            f"`{code}`" in line and all(each in line for each in said) for line in page.splitlines()
        ), f"{code}: renew it with `{RENEW}`"


def test_each_section_can_be_read_in_plain_words() -> None:
    assert {sample.section for sample in SAMPLES} == set(TITLES)
    shown = read("ending")
    assert "@Ana the copy “Ítems” of liquidation 42 is in consulta: 1,000,000 rows" in shown
    assert "@Ana: la copia “Ítems” de la liquidación 42 está en consulta: 1.000.000 filas" in shown
    assert "[Retry]" in shown
    assert len(re.findall("^### ", shown, re.MULTILINE)) == sum(s.section == "ending" for s in SAMPLES)


def test_the_catalogues_pictures_are_there_and_small_and_no_others() -> None:
    sizes = {path: path.stat().st_size for path in IMAGES.iterdir()}
    assert sorted(sizes) == sorted(PICTURES.values()), "renew them with `make screenshots`"
    assert max(sizes.values()) <= LARGEST_PICTURE_BYTES
    assert {(section, name) for section, name, _ in PICTURES} <= {
        (sample.section, sample.name) for sample in SAMPLES
    }


def test_each_sample_has_a_name_of_its_own() -> None:
    names = [(sample.section, sample.name) for sample in SAMPLES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sample", IN_SLACK, ids=lambda sample: f"{sample.section}/{sample.name}")
def test_slack_takes_it(sample: Sample, language: str) -> None:
    message = made(sample, language)
    assert not isinstance(message, Notification)
    if isinstance(message, Message):
        check_message_blocks(message.blocks)
        assert message.text.strip()
        assert "{" not in message.text
    else:
        check = Checker()
        check_blocks(check, message["blocks"], "/view/blocks", message["type"])
        assert check.reasons == []
        for end in ("title", "submit", "close"):
            assert len(message.get(end, {}).get("text", "")) <= 24


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sample", ELSEWHERE, ids=lambda sample: sample.name)
def test_a_mail_says_the_same_in_both_its_parts_and_has_no_mark_of_slack_s_in_it(
    sample: Sample, language: str
) -> None:
    mail = made(sample, language)
    assert isinstance(mail, Notification)
    assert mail.subject.isprintable()
    assert len(mail.subject) <= SUBJECT_LIMIT
    assert "{" not in mail.subject + mail.text
    assert not re.search(r"[<>`]|&\w+;", mail.text)
    assert html_to_text(mail.html).split() == mail.text.split()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.section}/{sample.name}")
def test_it_reads_differently_in_each_language(sample: Sample) -> None:
    assert made(sample, "es") != made(sample, "en")


def test_every_message_of_the_house_has_a_sample() -> None:
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            called.add(frame.f_code)

    sys.setprofile(note)
    try:
        for sample in SAMPLES:
            made(sample, "en")
    finally:
        sys.setprofile(None)
    missing = [name for name, function in messages() if function.__code__ not in called]
    assert missing == [], "add a line for each to dev/messages/samples.py"


def messages() -> list[tuple[str, Any]]:
    """Functions of bot.messages that give a message or a view."""
    found = []
    for module in pkgutil.iter_modules(bot.messages.__path__, "bot.messages."):
        if module.name in HELPERS:
            continue
        for name, function in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
            gives = str(function.__annotations__.get("return"))
            own = function.__module__ == module.name and not name.startswith("_")
            if own and gives in {"Message", "View", "Message | View", "Notification"}:
                found.append((f"{module.name}.{name}", function))
    assert len(found) > 25
    return found
