"""What the manifest offers, the bot answers; what the bot answers and asks for, the manifest offers."""

from __future__ import annotations

import ast
import copy
import importlib
import json
import pkgutil
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from slack_bolt import App

import bot
import bot.messages
from bot.app import build_app, without_suffix
from bot.cli import main
from bot.commands import parsing, registry
from bot.commands.registry import Arguments, SlashCommand
from bot.i18n import translator
from bot.slack.client import client
from dev.guard import ROOT
from dev.local_slack import chat, conversations, files, people, pins, views
from dev.local_slack.method import Method
from tests.services import parts_of
from tests.tracking import Jobs

MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
SCHEMA = json.loads((ROOT / "tests/architecture/manifest.schema.json").read_text("utf-8"))
METHODS: dict[str, Method] = {
    **chat.METHODS,
    **conversations.METHODS,
    **files.METHODS,
    **people.METHODS,
    **pins.METHODS,
    **views.METHODS,
}
#: Scopes of reading a channel depend on its kind.
CHANNEL_KINDS = {
    "conversations.history": {"channels:history", "groups:history", "im:history"},
    "conversations.replies": {"channels:history", "groups:history", "im:history"},
    "conversations.info": {"channels:read", "groups:read"},
}
#: Scopes that no method asks for: to receive commands, to write where the bot isn't a member, and for one
#: field of users.info.
ALWAYS = {"commands", "chat:write.public", "users:read.email"}
Registered = dict[str, list[Any]]


@pytest.fixture
def registered(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> Registered:
    """What `build_app` registers with Bolt: commands, events, actions and so on, by kind."""
    found: Registered = defaultdict(list)

    def noting(kind: str, register: Callable[..., Any]) -> Callable[..., Any]:
        def note(app: App, what: Any, *more: Any, **named: Any) -> Any:
            found[kind].append(what)
            return register(app, what, *more, **named)

        return note

    for kind in ("command", "event", "action", "options", "view", "shortcut"):
        monkeypatch.setattr(App, kind, noting(kind, getattr(App, kind)))
    web = client("xoxb-nobody", "http://127.0.0.1:1/api/")
    build_app(parts_of(web, jobs), web)
    return found


def test_the_manifest_is_valid_by_slack_s_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(MANIFEST)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("display_information", "name"), "x" * 36),
        (("display_information", "background_color"), "blue"),
        (("features", "slash_commands", 0, "command"), "copy"),
        (("features", "slash_commands", 0, "command"), "/" + "x" * 32),
        (("features", "slash_commands", 0, "help"), "me"),
        (("oauth_config", "scopes", "bot", 0), 42),
        (("settings", "interactivity"), {}),
        (("settings", "socket_mode"), True),
        (("_metadata", "major_version"), 1),
    ],
)
def test_a_mistake_in_the_manifest_would_be_noticed(place: tuple[Any, ...], value: Any) -> None:
    wrong = copy.deepcopy(MANIFEST)
    inside: Any = wrong
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(wrong)


def test_every_command_of_the_manifest_has_its_conversation_and_the_other_way_round(
    registered: Registered,
) -> None:
    offered = [entry["command"] for entry in MANIFEST["features"]["slash_commands"]]
    answered = [what for what in registered["command"] if isinstance(what, str)]
    assert sorted(offered) == sorted(answered)


def test_the_manifest_s_usage_hints_have_the_examples_of_the_commands() -> None:
    assert disagreements(MANIFEST) == []


def test_a_command_that_registers_itself_is_in_help_in_did_you_mean_and_wanted_in_the_manifest(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, registered: Registered
) -> None:
    """Nothing else has to know of it."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    connected: list[App] = []
    registry.register(
        SlashCommand(
            name="/copy-archive",
            example="42",
            arguments=Arguments.LIQUIDATION,
            help=lambda names, t: [("/copy-archive 42", t("archives a liquidation"))],
            connect=lambda app, parts: connected.append(app) or app.command("/copy-archive")(print),
            aliases={"archive": "", "archivar": ""},
        )
    )
    web = client("xoxb-nobody", "http://127.0.0.1:1/api/")
    parts = parts_of(web, jobs)
    app = build_app(parts, web)
    assert connected == [app]
    assert "/copy-archive" in registered["command"]
    help_text = parts.guard.help(translator("en")).text
    assert "/copy-archive 42 – archives a liquidation" in help_text
    assert help_text.index("/copy-freeze") < help_text.index("/copy-archive")
    assert parsing.suggestion(["archvie", "42"], ["items"], "/copy-liquidation") == "/copy-archive 42"
    assert parsing.suggestion(["archivar"], ["items"], "/copy-status") == "/copy-archive 42"
    assert not parsing.is_reason(["archive"], ["items"])
    assert disagreements(MANIFEST) == ["/copy-archive is not in the manifest"]
    offered = copy.deepcopy(MANIFEST)
    offered["features"]["slash_commands"].append({"command": "/copy-archive", "usage_hint": "17"})
    assert disagreements(offered) == ["/copy-archive: the hint '17' has no example '42'"]
    offered["features"]["slash_commands"][-1]["usage_hint"] = "42 [items]"
    assert disagreements(offered) == []


def test_a_word_can_t_mean_two_commands() -> None:
    with pytest.raises(ValueError, match=r"\['freeze'\] of /copy-thaw mean /copy-freeze already"):
        registry.register(replace(registry.commands()[0], name="/copy-thaw", aliases={"freeze": ""}))


def test_the_manifest_subscribes_to_the_events_that_are_listened_to(registered: Registered) -> None:
    subscribed = MANIFEST["settings"].get("event_subscriptions", {}).get("bot_events", [])
    assert sorted(subscribed) == sorted(set(registered["event"]))
    home = MANIFEST["features"].get("app_home", {}).get("home_tab_enabled", False)
    assert home == ("app_home_opened" in subscribed)


def test_buttons_can_be_pressed(registered: Registered) -> None:
    assert registered["action"]
    assert MANIFEST["settings"]["interactivity"] == {"is_enabled": True}
    assert MANIFEST["settings"]["socket_mode_enabled"] is True


def test_every_button_that_a_message_may_have_has_its_handler(registered: Registered) -> None:
    """Action ids are constants of the messages, named …_ACTION."""
    made = dict(actions_of_messages())
    assert len(made) >= 4
    handled = [what for what in registered["action"] if isinstance(what, str)]
    patterns = [
        what for what in registered["action"] if isinstance(what, re.Pattern) and what.pattern != ".*"
    ]
    assert [
        name
        for name, action in made.items()
        if action not in handled and not any(pattern.fullmatch(action) for pattern in patterns)
    ] == []


def test_the_scopes_are_those_of_the_methods_that_are_called_and_no_others() -> None:
    granted = set(MANIFEST["oauth_config"]["scopes"]["bot"])
    needed = set(ALWAYS)
    for method in methods_called():
        scopes = CHANNEL_KINDS.get(method) or set(METHODS[method].scopes[:1])
        assert scopes <= granted, f"{method} needs {scopes}"
        needed |= scopes
    assert granted - needed == set(), "no call of the bot uses these"
    assert needed <= granted


def test_the_docs_say_what_each_scope_is_for() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    _, _, rest = page.partition("## What the Slack app may do")
    section, _, _ = rest.partition("\n## ")
    listed = re.findall(r"^\| `([a-z.]+(?::[a-z.]+)?)` \| \S.* \|$", section, re.MULTILINE)
    assert sorted(listed) == sorted(MANIFEST["oauth_config"]["scopes"]["bot"])


def disagreements(manifest: dict[str, Any]) -> list[str]:
    """What the registered commands say, and the manifest doesn't."""
    hints = {each["command"]: each["usage_hint"] for each in manifest["features"]["slash_commands"]}
    commands = {command.name: command.example for command in registry.commands()}
    return [
        *(f"{name} is not in the manifest" for name in commands if name not in hints),
        *(f"{name} is not registered" for name in hints if name not in commands),
        *(
            f"{name}: the hint {hints[name]!r} has no example {example!r}"
            for name, example in commands.items()
            if name in hints and example not in re.findall(r"[\w-]+", hints[name])
        ),
    ]


def actions_of_messages() -> Iterator[tuple[str, str]]:
    for module in pkgutil.iter_modules(bot.messages.__path__, "bot.messages."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if name.endswith("_ACTION") and isinstance(value, str):
                yield name, value


def methods_called() -> set[str]:
    """Web API methods by the names of the SDK's client: ``chat_postMessage`` is chat.postMessage."""
    by_sdk_name = {name.replace(".", "_"): name for name in METHODS}
    found = set()
    for path in Path(bot.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in by_sdk_name:
                found.add(by_sdk_name[node.attr])
            if isinstance(node, ast.Attribute) and node.attr == "files_upload_v2":  # the SDK's word for both
                found |= {"files.getUploadURLExternal", "files.completeUploadExternal"}
    assert "chat.postMessage" in found
    return found


# ---- What `traspaso manifest` prints ---------------------------------------------------------


def printed(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, ["manifest", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_the_printed_manifest_is_the_one_of_the_file_in_yaml_and_in_json() -> None:
    assert yaml.safe_load(printed()) == MANIFEST
    assert json.loads(printed("--json")) == MANIFEST


@pytest.mark.parametrize("written", ["https://bot.example.com", "https://bot.example.com/"])
def test_for_http_mode_everything_that_slack_sends_goes_to_the_public_address(written: str) -> None:
    found = yaml.safe_load(printed("--http", written))
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    url = "https://bot.example.com/slack/events"
    assert {entry["url"] for entry in found["features"]["slash_commands"]} == {url}
    settings = found["settings"]
    assert settings["socket_mode_enabled"] is False
    assert settings["event_subscriptions"] == {"request_url": url, "bot_events": ["app_home_opened"]}
    assert settings["interactivity"] == {
        "is_enabled": True,
        "request_url": url,
        "message_menu_options_url": url,
    }
    assert found["oauth_config"] == MANIFEST["oauth_config"]


def test_an_address_with_a_path_keeps_it_and_one_that_slack_cannot_call_is_refused() -> None:
    found = yaml.safe_load(printed("--http", "https://example.com/traspaso/slack"))
    assert found["settings"]["interactivity"]["request_url"] == "https://example.com/traspaso/slack"
    for wrong in ("http://example.com", "example.com", "https://", "https://example.com/?a=1"):
        assert "https URL" in printed("--http", wrong, code=2)


def test_a_second_app_has_a_name_and_commands_of_its_own_which_the_bot_takes_as_the_same(
    jobs: Jobs,
) -> None:
    found = yaml.safe_load(printed("--suffix", "dev"))
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert found["display_information"]["name"] == "Traspaso (dev)"
    offered = [entry["command"] for entry in found["features"]["slash_commands"]]
    assert offered == [f"{entry['command']}-dev" for entry in MANIFEST["features"]["slash_commands"]]
    middleware = without_suffix([command.name for command in registry.commands()])
    for command in [*offered, "/copy-status", "/copy-statusx", "/something-dev"]:
        body = {"command": command}
        middleware(body, lambda: None)
        known = command.removesuffix("-dev") in {c.name for c in registry.commands()}
        assert body["command"] == (command.removesuffix("-dev") if known else command)
    assert "ten of a-z" in printed("--suffix", "Développement", code=2)
