"""Every listener answers, whatever the payload: a part that isn't there, or one that nobody foresaw."""

from __future__ import annotations

import copy
import itertools
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.app import acknowledged, build_app
from bot.config import CopySection, File, SlackSection
from bot.i18n import translator
from bot.messages import answers, card, freshness, home, proposal, question, run, run_proposal, verification
from bot.slack.client import client
from dev.local_slack.client import LocalSlack
from tests.services import parts_of
from tests.tracking import TABLE, Jobs

ES = translator("es")
Payload = dict[str, Any]
ODD = (None, "\ud800", "\x00", [], {}, 12)
COMMANDS = ("/copy-liquidation", "/copy-status", "/copy-verify", "/copy-freeze", "/copy-audit", "/unheard-of")
ACTIONS = (
    card.PAUSE_ACTION,
    card.RESUME_ACTION,
    card.CANCEL_ACTION,
    card.RETRY_ACTION,
    card.DETAILS_ACTION,
    question.CONFIRM_ACTION,
    question.APPROVE_ACTION,
    question.REJECT_ACTION,
    proposal.COPY_ACTION,
    proposal.CANCEL_ACTION,
    verification.CANCEL_ACTION,
    answers.FREEZE_ACTION,
    answers.KEEP_ACTION,
    home.NEW_ACTION,
    home.STATUS_ACTION,
    home.WHO_ACTION,
    card.TELL_ACTION,
    card.UNTELL_ACTION,
    card.START_NOW_ACTION,
    proposal.LATER_ACTION,
    freshness.COPY_ACTION,
    run_proposal.COPY_SEVERAL_ACTION,
    run_proposal.LATER_SEVERAL_ACTION,
    run_proposal.LATER_WHOLE_ACTION,
    run_proposal.COPY_WHOLE_ACTION,
    run.PAUSE_ACTION,
    run.RESUME_ACTION,
    run.CANCEL_ACTION,
    run.RETRY_ACTION,
    run.START_NOW_ACTION,
    run.TELL_ACTION,
    run.UNTELL_ACTION,
    run.CONFIRM_ACTION,
    run.APPROVE_ACTION,
    run.REJECT_ACTION,
    "unheard.of",
)


CALLBACKS = (
    proposal.CHOOSE_CALLBACK,
    proposal.PRESS_CALLBACK,
    proposal.LATER_CALLBACK,
    question.REJECT_CALLBACK,
    question.APPROVE_CALLBACK,
    run.REJECT_CALLBACK,
    run.APPROVE_CALLBACK,
)


def payloads() -> Iterator[Payload]:
    """One for each listener."""
    person: Payload = {"user": {"id": "U0ANA", "team_id": "T0ACME"}, "team": {"id": "T0ACME"}}
    state = {proposal.NUMBER: {proposal.NUMBER: {"value": "42"}}}
    view = {"id": "V0", "private_metadata": '{"channel": "C0PAYROLL"}', "state": {"values": state}}
    for command in COMMANDS:
        yield {
            "type": "slash_commands",
            "command": command,
            "text": "42",
            "team_id": "T0ACME",
            "user_id": "U0ANA",
            "channel_id": "C0PAYROLL",
        }
    for action_id in ACTIONS:
        action = {"type": "button", "action_id": action_id, "block_id": "b", "value": "17"}
        place = {"container": {"channel_id": "C0PAYROLL"}, "channel": {"id": "C0PAYROLL"}, "view": view}
        yield {"type": "block_actions", "actions": [action], "trigger_id": "1.1", **person, **place}
    for callback in CALLBACKS:
        submitted = view | {"callback_id": callback, "type": "modal"}
        yield {"type": "view_submission", "view": submitted, **person}
    yield {"type": "block_suggestion", "action_id": proposal.LIQUIDATION, "value": "octubre", **person}
    opened = {"type": "app_home_opened", "user": "U0ANA", "tab": "home"}
    yield {"type": "event_callback", "team_id": "T0ACME", "event": opened}


def mutated(payload: Payload) -> Iterator[Payload]:
    """The payload without each of its parts in turn, and with something odd in its place."""
    for path in _paths(payload):
        for odd in ("gone", *ODD):
            changed = copy.deepcopy(payload)
            parent: Any = changed
            for step in path[:-1]:
                parent = parent[step]
            if odd == "gone":
                del parent[path[-1]]
            else:
                parent[path[-1]] = copy.deepcopy(odd)
            yield changed


def _paths(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    steps = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for step, below in steps:
        yield (*path, step)
        yield from _paths(below, (*path, step))


def test_there_is_a_payload_for_each_listener(slack: LocalSlack, jobs: Jobs) -> None:
    app = build_app(
        parts_of(client(slack.bot_token, slack.api_url), jobs), client(slack.bot_token, slack.api_url)
    )
    assert len(app._listeners) == len([*payloads()])


def test_every_payload_is_acknowledged_and_nothing_is_left_without_a_word(
    slack: LocalSlack, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    web = client(slack.bot_token, slack.api_url)
    section = CopySection(name="items", source_table=TABLE, target_table=TABLE)
    jobs.run("CREATE TABLE IF NOT EXISTS items (id bigint PRIMARY KEY, liquidation_id bigint)")
    file = File(slack=SlackSection(admin_users=("U0ANA",)), copies=(section,))
    app = build_app(parts_of(web, jobs, file=file), web)

    def status(numbered: tuple[int, Payload]) -> int:
        number, payload = numbered
        return acknowledged(app, SocketModeRequest(str(payload.get("type")), f"E{number}", payload)).status

    sent = [*itertools.chain.from_iterable(map(mutated, payloads()))]
    with ThreadPoolExecutor(4) as hands:  # Bolt looks every 10 ms whether a payload was acknowledged
        answered = [*hands.map(status, enumerate(sent))]
    assert [payload for payload, found in zip(sent, answered, strict=True) if found != 200] == []
    slow = [each for each in caplog.messages if "ack()" in each or "was not answered" in each]
    assert slow == []


def test_a_lone_surrogate_and_a_nul_are_a_typo_and_no_incident(slack: LocalSlack, jobs: Jobs) -> None:
    web = client(slack.bot_token, slack.api_url)
    app = build_app(parts_of(web, jobs), web)
    for command in COMMANDS[:3]:
        payload = next(each for each in payloads() if each.get("command") == command)
        payload["text"] = "4\ud8002 \x00"
        acknowledged(app, SocketModeRequest("slash_commands", command, payload))
    said = slack.wait_for(lambda: (calls := slack.calls("chat.postEphemeral")) and len(calls) == 3 and calls)
    incident = answers.incident("", ES).text.partition(".")[0]
    assert not any(incident in json.dumps(call.args) for call in said)


def test_a_press_without_its_button_is_acknowledged_and_its_sender_told(
    slack: LocalSlack, jobs: Jobs
) -> None:
    web = client(slack.bot_token, slack.api_url)
    app = build_app(parts_of(web, jobs), web)
    payload = next(each for each in payloads() if "view" in each and each["type"] == "view_submission")
    del payload["view"]["state"]
    response = acknowledged(app, SocketModeRequest("interactive", "E1", payload))
    assert response.status == 200
    words = ES("Something went wrong here.")
    slack.wait_for(lambda: any(words in message.plain for message in slack.user("U0ANA").messages("D0ANA")))


def test_a_command_of_a_second_app_is_answered_as_the_command_that_it_is(
    slack: LocalSlack, jobs: Jobs
) -> None:
    web = client(slack.bot_token, slack.api_url)
    app = build_app(parts_of(web, jobs), web)
    said = []
    for number, command in enumerate(("/copy-liquidation", "/copy-liquidation-dev"), 1):
        payload = next(each for each in payloads() if each.get("command") == "/copy-liquidation")
        response = acknowledged(
            app,
            SocketModeRequest("slash_commands", command, payload | {"command": command, "text": "mucho"}),
        )
        assert not response.body
        calls = slack.wait_for(
            lambda n=number: (calls := slack.calls("chat.postEphemeral")) and len(calls) == n and calls
        )
        said.append(calls[-1].args["text"])
    assert said[0] == said[1]
