"""Every text after a command gets an answer that says what to write instead, and starts nothing."""

from __future__ import annotations

import itertools
import re

import pytest

from bot.commands.registry import help_lines
from bot.messages.answers import help_text
from dev.local_slack.plain import plain

from .scene import EN, ES, Scene

GROUPS = ["<!subteam^S0ADMINS>"]


@pytest.mark.parametrize(
    "text",
    [
        "42x",
        "٤٢",
        "４２",
        "-1",
        "+42",
        "0",
        "9223372036854775808",
        "4_2",
        "4e1",
        "0x2a",
        "42;--",
        "'; DROP TABLE liquidation_items; --",
        "<!channel>",
        "<@U0BOB>",
        "x" * 3000,
        "9" * 3000,
        "*42*",
        "`42`",
        "42 items extra",
        "42 nosuch",
        "42 <!here>",
        "items 42",
        "42,",
        "#42",
        '"42"',
        "42 itmes",
    ],
)
def test_what_is_no_liquidation_gets_its_sentence_with_an_example(scene: Scene, text: str) -> None:
    taken, answer = scene.type(scene.bob, f"/copy-liquidation {text}".rstrip())
    assert taken.acked
    assert not answer.buttons
    assert re.search(r"`/copy-liquidation [1-9]\d*( (items|notes))?`", answer.plain)
    for told in (answer.text, answer.plain):
        assert not any(mention in told for mention in ("<!channel>", "<!here>", "<@U0BOB>"))
        assert len(told) < 600
    assert not [
        call
        for call in scene.slack.calls("chat.postMessage", since=scene.first_call)
        if call.args["channel"] == scene.channel
    ]
    assert scene.rows(
        "SELECT count(*) AS n FROM traspaso.copy_jobs WHERE status IN ('pending', 'running')"
    ) == [{"n": 0}]


@pytest.mark.parametrize(
    ("text", "command", "meant"),
    [
        ("42,", "/copy-liquidation", "/copy-liquidation 42"),
        ("#42", "/copy-liquidation", "/copy-liquidation 42"),
        ("42 itmes", "/copy-liquidation", "/copy-liquidation 42 items"),
        ("hlep", "/copy-liquidation", "/copy-liquidation help"),
        ("status", "/copy-liquidation", "/copy-status"),
        ("verficar 42", "/copy-liquidation", "/copy-verify 42"),
        ("42 itmes", "/copy-verify", "/copy-verify 42 items"),
        ("#17", "/copy-status", "/copy-status 17"),
        ("liqudation 42", "/copy-status", "/copy-status liquidation 42"),
        ("minee", "/copy-status", "/copy-status mine"),
        ("of", "/copy-freeze", "/copy-freeze off"),
        ("stauts", "/copy-freeze", "/copy-status"),
    ],
)
def test_what_was_nearly_right_is_answered_with_the_command_that_would_work(
    scene: Scene, text: str, command: str, meant: str
) -> None:
    for person, t in ((scene.ana, ES), (scene.bob, EN)):
        assert t("Did you mean `{command}`?", command=meant) in scene.ask(person, text, command)
    assert not scene.jobs()
    assert not scene.rows("SELECT FROM traspaso.copy_freezes WHERE lifted_at IS NULL")


def test_each_mistake_has_its_own_sentence(scene: Scene) -> None:
    texts = ["42x", "42 nosuch", "42 items extra"]
    assert len({scene.ask(scene.bob, text).splitlines()[0] for text in texts}) == len(texts)


@pytest.mark.parametrize("text", ["help", "ayuda", "?", " HELP "])
@pytest.mark.parametrize("command", ["/copy-liquidation", "/copy-status"])
def test_help_is_for_everybody(scene: Scene, command: str, text: str) -> None:
    said = scene.ask(scene.carla, text, command)
    own = [("bobs", ["<@U0BOB>"])]
    lines = help_lines(["items", "notes", "checked", "large", "bobs"], ES)
    assert said == plain(help_text(lines, GROUPS, ES, own).blocks)
    assert "/copy-liquidation 42 items" in said
    assert "/copy-status 17" in said


def test_a_liquidation_that_is_not_in_the_catalogue_is_unknown(scene: Scene) -> None:
    said = scene.ask(scene.bob, "4242424242")
    assert EN("There is no liquidation {id} in prod.", id=4242424242) in said
    assert "public.liquidations" in said
    assert "9223372036854775807" in scene.ask(scene.bob, "9223372036854775807")
    too_long = scene.ask(scene.bob, "9223372036854775808")
    assert EN("It is too long.") in too_long
    assert "9223372036854775807" not in too_long
    assert not scene.jobs()


@pytest.mark.parametrize(
    ("command", "text"),
    [
        *itertools.product(["/copy-verify"], ["42,43", "42, 43", "42 43", "42 43 items"]),
        ("/copy-status liquidation", "42,43"),
    ],
)
def test_liquidations_are_compared_and_looked_up_one_at_a_time(scene: Scene, command: str, text: str) -> None:
    name, _, word = command.partition(" ")
    said = scene.ask(scene.bob, f"{word} {text}".strip(), name)
    assert EN("One liquidation at a time.") in said
    assert f"{command} 42" in said
    assert not scene.jobs()


@pytest.mark.parametrize("text", ["42 43", "42 y 43 items", "42–43", "43-42", "42 .. 43 itmes"])
def test_several_that_are_nearly_written_right_are_answered_with_what_would_work(
    scene: Scene, text: str
) -> None:
    said = scene.ask(scene.bob, text)
    assert EN("Write `40-45`, `42,43`, or both: `40-42,45`.").replace("`", "") in said.replace("`", "")
    assert "/copy-liquidation 42" in said
    assert not scene.jobs()


def test_more_than_fifty_at_once_are_refused(scene: Scene) -> None:
    assert EN("At most {most} liquidations at a time: that would be {n}.", most=50, n=51) in scene.ask(
        scene.bob, "1-51"
    )
    assert not scene.jobs()


def test_a_liquidation_without_rows_is_empty_and_not_unknown(scene: Scene) -> None:
    said = scene.ask(scene.bob, "50")
    assert "Vacaciones · Diciembre 2026" in said
    assert EN("There is no liquidation {id} in prod.", id=50) not in said
    assert "50" in said
    assert scene.rows("SELECT id FROM traspaso.copy_jobs WHERE liquidation_id = 50") == []


def test_a_name_of_a_copy_may_be_written_after_the_number(scene: Scene) -> None:
    scene.seed(10)
    assert scene.type(scene.bob, f"/copy-liquidation   {scene.liquidation}\u00a0items ")[1].buttons
