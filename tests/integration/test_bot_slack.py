"""What the app answers, against a local Slack that answers as Slack does."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pytest
import yaml
from slack_bolt import App
from sqlalchemy import Engine, create_engine, text

from bot.app import build_app
from bot.commands import copy_verify
from bot.commands.conversation import BotParts, Callers
from bot.i18n import translator
from bot.jobs.failure import Failure
from bot.messages import proposal
from bot.messages.blocks import of_liquidation
from bot.messages.failure_texts import explained
from bot.messages.proposal import Carried
from bot.slack.client import client
from bot.slack.ephemeral import RESPOND_SECONDS, Replies
from dev.guard import ROOT
from dev.local_slack.client import LocalSlack
from tests.copying import engine
from tests.services import dispatched, parts_of
from tests.support import Clock, Database
from tests.tracking import Jobs

CHANNEL = "C0PAYROLL"
ES = translator("es")
MANIFEST = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
COMMANDS = [entry["command"] for entry in MANIFEST["features"]["slash_commands"]]


def surface(slack: LocalSlack, jobs: Jobs, consulta: Engine, prod: Engine | None = None) -> BotParts:
    return parts_of(client(slack.bot_token, slack.api_url), jobs, consulta, prod)


def typed(app: App, slack: LocalSlack, command: str, text: str = "") -> str:
    """What the bot acknowledges a command with; its answer goes to the response_url."""
    body = {"type": "slash_commands", "command": command, "team_id": "T0ACME", "user_id": "U0BOB"}
    body |= {"text": text, "response_url": f"{slack.url}/response/none", "channel_id": CHANNEL}
    return dispatched(app, body).body


def test_the_manifest_s_commands_are_answered_and_an_unknown_one_too(slack: LocalSlack, jobs: Jobs) -> None:
    app = build_app(surface(slack, jobs, jobs.engine), client(slack.bot_token, slack.api_url))
    for command in COMMANDS:
        assert typed(app, slack, command) == ""
    assert "/copy-everything" in typed(app, slack, "/copy-everything")
    slack.wait_for(lambda: len(slack.calls("response_url")) == len(COMMANDS))


@pytest.mark.parametrize(("command", "text"), [("/copy-liquidation", "42"), ("/copy-status", "")])
def test_while_consulta_is_away_every_question_is_answered_with_that(
    slack: LocalSlack, jobs: Jobs, command: str, text: str
) -> None:
    away = create_engine("postgresql+psycopg://postgres@127.0.0.1:1/consulta")
    app = build_app(surface(slack, jobs, away), client(slack.bot_token, slack.api_url))
    assert typed(app, slack, command, text) == ""
    [answer] = slack.wait_for(lambda: slack.calls("response_url"))
    words = explained(
        Failure("unreachable", "", side="consulta", lines=["Connection refused"]), translator("en")
    )
    assert words.what in answer.args["text"]
    assert words.step in answer.args["text"]


# --------------------------------------------------------------------------- the modal without a catalogue


def submitted(app: App, number: str, **carried: Any) -> dict[str, Any]:
    """What the first step of the modal is acknowledged with."""
    name = proposal.NUMBER
    view = {
        "id": "V0",
        "type": "modal",
        "callback_id": proposal.CHOOSE_CALLBACK,
        "private_metadata": Carried(**carried).encoded(),
        "state": {"values": {name: {name: {"type": "plain_text_input", "value": number}}}},
    }
    body = {"type": "view_submission", "team": {"id": "T0ACME"}, "user": {"id": "U0BOB"}, "view": view}
    found: dict[str, Any] = json.loads(dispatched(app, body).body)
    return found


WRONG_NUMBERS = ("A number is digits only.", "It is too long.", "Numbers begin at 1.")
WHAT = "“items” of liquidation 42"


@pytest.mark.parametrize("number", ["", "x", "0", "-1", "٤٢", "9223372036854775808", "<!channel>"])
def test_what_is_no_number_is_said_below_the_field(slack: LocalSlack, jobs: Jobs, number: str) -> None:
    parts = surface(slack, jobs, jobs.engine)
    parts.callers.people.language_of("U0BOB")  # known since the modal was opened
    answer = submitted(build_app(parts, client(slack.bot_token, slack.api_url)), number)
    assert answer["response_action"] == "errors"
    said = answer["errors"][proposal.NUMBER]
    assert any(translator("en")(each) in said for each in WRONG_NUMBERS)
    assert "9223372036854775807" not in said


ITEMS = "CREATE TABLE IF NOT EXISTS items (id bigint PRIMARY KEY, liquidation_id bigint)"


def test_a_number_that_prod_doesn_t_have_is_said_in_the_modal(
    slack: LocalSlack, jobs: Jobs, prod: Database
) -> None:
    prod.execute(ITEMS)
    jobs.run(ITEMS)
    app = build_app(
        surface(slack, jobs, jobs.engine, engine(prod.url)), client(slack.bot_token, slack.api_url)
    )
    answer = submitted(app, " 42 ", channel=CHANNEL)
    assert answer["response_action"] == "update"
    words = translator("en")("Neither prod nor consulta has rows for {what}.", what=WHAT)
    assert words in json.dumps(answer["view"], ensure_ascii=False)
    assert "submit" not in answer["view"]


# ------------------------------------------------------------------------------ a comparison's late result


def test_a_comparison_that_is_over_soon_is_answered_once(
    slack: LocalSlack, jobs: Jobs, prod: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack takes back nothing that a command was answered with: no "Comparing…" stays beside the answer."""
    monkeypatch.setattr(copy_verify, "SOON_SECONDS", 60.0)
    prod.execute(ITEMS)
    jobs.run(ITEMS)
    app = build_app(
        surface(slack, jobs, jobs.engine, engine(prod.url)), client(slack.bot_token, slack.api_url)
    )
    nothing = translator("en")("Neither prod nor consulta has rows for {what}.", what=WHAT)
    typed(app, slack, "/copy-verify", "42")
    [said] = slack.wait_for(lambda: slack.calls("response_url"))
    assert nothing in said.args["text"]


def test_a_comparison_that_takes_longer_says_that_it_runs(
    slack: LocalSlack, jobs: Jobs, prod: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_verify, "SOON_SECONDS", 0.0)
    prod.execute(ITEMS)
    jobs.run(ITEMS)
    parts = surface(slack, jobs, jobs.engine, engine(prod.url))
    app = build_app(parts, client(slack.bot_token, slack.api_url))
    runs = translator("en")("Comparing both sides of {what}…", what=WHAT)
    nothing = translator("en")("Neither prod nor consulta has rows for {what}.", what=WHAT)
    with jobs.engine.begin() as connection:
        connection.execute(text("LOCK TABLE items IN ACCESS EXCLUSIVE MODE"))
        typed(app, slack, "/copy-verify", "42")
        slack.wait_for(lambda: slack.calls("response_url"))
    slack.wait_for(lambda: len(slack.calls("response_url")) == 2)
    first, then = (call.args["text"] for call in slack.calls("response_url"))
    assert runs in first
    assert nothing in then


def test_a_verification_result_that_comes_too_late_for_slack_s_answer_is_a_direct_message(
    slack: LocalSlack, jobs: Jobs, prod: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_verify, "SOON_SECONDS", 60.0)
    prod.execute(ITEMS + "; INSERT INTO items VALUES (1, 42)")
    jobs.run(ITEMS + "; TRUNCATE items; INSERT INTO items VALUES (1, 42)")
    clock = Clock()
    web = client(slack.bot_token, slack.api_url)
    parts = surface(slack, jobs, jobs.engine, engine(prod.url))

    def later() -> float:
        clock.now += RESPOND_SECONDS
        return clock.now

    parts = replace(
        parts, callers=Callers(parts.callers.people, Replies(web, parts.card_publisher, clock=later))
    )
    app = App(client=web, token_verification_enabled=False)
    copy_verify.connect(app, parts)
    assert typed(app, slack, "/copy-verify", "42") == ""
    agree = translator("en")("Both sides of {what} agree: {rows}.", what=WHAT, rows="1 row")
    [message] = slack.wait_for(lambda: slack.user("U0BOB").messages("D0BOB"))
    assert agree in message.plain
    assert not slack.calls("response_url")


def test_a_comparison_that_the_end_of_the_bot_breaks_off_says_so(
    slack: LocalSlack, jobs: Jobs, prod: Database
) -> None:
    prod.execute(ITEMS)
    jobs.run(ITEMS)
    parts = surface(slack, jobs, jobs.engine, engine(prod.url))
    app = build_app(parts, client(slack.bot_token, slack.api_url))
    with jobs.engine.begin() as connection:
        connection.execute(text("LOCK TABLE items IN ACCESS EXCLUSIVE MODE"))
        for number in (42, 43, 44):
            typed(app, slack, "/copy-verify", str(number))
        slack.wait_for(lambda: len(slack.calls("response_url")) == 3)
        stopping = threading.Thread(target=parts.verifications.stop)
        stopping.start()
        stopping.join(20)
    assert not stopping.is_alive()
    broken = [
        translator("en")(
            "The comparison of {what} was broken off: the bot is being restarted.",
            what=of_liquidation("items", number, translator("en")),
        )
        for number in (42, 43, 44)
    ]
    said = [call.args["text"] for call in slack.calls("response_url")]
    assert all(any(words in each for each in said) for words in broken)
