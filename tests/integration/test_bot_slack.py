"""What the bot says to Slack and asks it, against a local Slack that answers as Slack does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml
from slack_bolt import App, BoltRequest
from slack_sdk.errors import SlackApiError
from sqlalchemy import Engine, create_engine, text

from bot.announcer import Announcer
from bot.app import build_app
from bot.charts import Charts
from bot.commands.copy_verify import RESPOND_SECONDS, CopyVerify
from bot.commands.surface import Surface
from bot.config_file import CopySection, SlackSection
from bot.courier import Courier
from bot.i18n import translator
from bot.jobs.failure import Failure
from bot.jobs.ledger import Ledger
from bot.jobs.lifecycle import Claim
from bot.jobs.outbox import Kind
from bot.jobs.throughput import Throughput
from bot.messages import chooser
from bot.messages.chooser import Carried
from bot.messages.failures import explained
from bot.people import People
from bot.permissions import CACHE_SECONDS, Permissions
from bot.slack import Trouble, client, error_name, retry_after, trouble_of
from dev.guard import ROOT
from dev.slack.client import LocalSlack
from dev.slack.results import Message
from dev.slack.server import LocalSlackServer
from tests.services import surface_of
from tests.tracking import BOB, CHUNK, LOST, PLAN, TABLE, Jobs

CHANNEL = "C0PAYROLL"
ES = translator("es")
MANIFEST = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
COMMANDS = [entry["command"] for entry in MANIFEST["features"]["slash_commands"]]


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    with LocalSlackServer(manifest=ROOT / "manifest.yml") as server:
        slack = LocalSlack(server.url)
        yield slack
        slack.close()


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """An announcer and a courier for the tracking tables of this test."""

    def __init__(self, slack: LocalSlack, jobs: Jobs) -> None:
        self.slack = slack
        self.jobs = jobs
        self.edits_allowed = True
        web = client(slack.bot_token, slack.api_url)
        self.announcer = Announcer(web, jobs.store, jobs.cards, ES, lambda: self.edits_allowed)
        charts = Charts(web, Throughput(jobs.engine), ES)
        self.courier = Courier(jobs.outbox, jobs.store, jobs.cards, self.announcer, charts)

    def running(self, channel: str = CHANNEL) -> Claim:
        """A job whose card is posted and pinned."""
        claim = self.jobs.claimed(channel_id=channel)
        assert self.courier.deliver_due() == 1
        return claim

    def deliver(self) -> None:
        """What waits for its next try is due now."""
        self.jobs.run("UPDATE traspaso.outbox SET next_try_at = now()")
        self.courier.deliver_due()

    def messages(self, channel: str = CHANNEL) -> list[Message]:
        return self.slack.user("U0ANA").messages(channel)

    def replies(self, ts: str, channel: str = CHANNEL) -> list[Message]:
        return self.slack.user("U0ANA").thread(channel, ts)[1:]


@pytest.fixture
def desk(slack: LocalSlack, jobs: Jobs) -> Desk:
    return Desk(slack, jobs)


# ----------------------------------------------------------------------------------------- who may copy


def permissions(slack: LocalSlack, clock: Clock | None = None, **section: Any) -> Permissions:
    section = section or {"admin_groups": ["S0ADMINS"]}
    web = client(slack.bot_token, slack.api_url)
    return Permissions(web, SlackSection(**section), clock=clock or Clock())


def test_members_may_copy_and_others_are_told_whom_to_ask(slack: LocalSlack) -> None:
    asked = permissions(slack)
    assert asked.may_copy("U0ANA").allowed
    refused = asked.may_copy("U0CARLA")
    assert (refused.allowed, refused.groups, refused.reason) == (False, ["<!subteam^S0ADMINS>"], None)


@pytest.mark.parametrize("handle", ["liquidation-admins", "@liquidation-admins"])
def test_a_group_may_be_named_by_its_handle(slack: LocalSlack, handle: str) -> None:
    asked = permissions(slack, admin_groups=[handle])
    assert asked.may_copy("U0BOB").allowed
    assert asked.may_copy("U0CARLA").groups == ["@liquidation-admins"]


def test_slack_is_asked_once_a_minute_and_whenever_something_is_to_be_started(slack: LocalSlack) -> None:
    clock = Clock()
    asked = permissions(slack, clock)
    for _ in range(30):
        assert asked.may_copy("U0ANA").allowed
        assert not asked.may_copy("U0CARLA").allowed
    assert len(slack.calls("usergroups.users.list")) == 1
    slack.remove_from_group("U0ANA")
    assert asked.may_copy("U0ANA").allowed
    assert not asked.may_copy("U0ANA", anew=True).allowed
    assert not asked.may_copy("U0ANA").allowed
    slack.add_to_group("U0ANA")
    clock.now += CACHE_SECONDS
    assert asked.may_copy("U0ANA").allowed
    assert len(slack.calls("usergroups.users.list")) == 3


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"error": "no_such_subteam"}, "no_such_subteam"),
        ({"error": "missing_scope"}, "missing_scope"),
        ({"error": "token_revoked"}, "token_revoked"),
        ({"status": 429, "retry_after": 5}, "ratelimited"),
        ({"status": 500}, "internal_error"),
    ],
)
def test_nobody_gets_through_while_slack_doesn_t_say_who_is_in_the_group(
    slack: LocalSlack, trouble: dict[str, Any], reason: str
) -> None:
    asked = permissions(slack)
    slack.fault("usergroups.users.list", **trouble)
    verdict = asked.may_copy("U0ANA")
    assert (verdict.allowed, verdict.reason) == (False, reason)
    assert asked.may_copy("U0ANA").allowed


def test_a_group_that_is_not_there_lets_nobody_through(slack: LocalSlack) -> None:
    for group in ("S0NOSUCH", "no-such-handle"):
        verdict = permissions(slack, admin_groups=[group]).may_copy("U0ANA")
        assert not verdict.allowed
        assert verdict.reason
    slack.disable_usergroups("plan_upgrade_required")
    for group in ("S0ADMINS", "liquidation-admins"):
        verdict = permissions(slack, admin_groups=[group]).may_copy("U0ANA")
        assert (verdict.allowed, verdict.reason) == (False, "plan_upgrade_required")


def test_a_single_user_needs_no_group(slack: LocalSlack) -> None:
    slack.disable_usergroups()
    asked = permissions(slack, admin_users=["U0CARLA"])
    assert asked.may_copy("U0CARLA").allowed
    verdict = asked.may_copy("U0ANA")
    assert (verdict.allowed, verdict.groups, verdict.reason) == (False, [], None)
    assert slack.calls() == []


OWN = CopySection(name="notes", source_table=TABLE, target_table=TABLE, allowed_users=("U0CARLA",))
SHARED = CopySection(name="items", source_table=TABLE, target_table=TABLE)


def by_copy(slack: LocalSlack, *copies: CopySection) -> Permissions:
    section = SlackSection(admin_groups=("S0ADMINS",))
    return Permissions(client(slack.bot_token, slack.api_url), section, copies)


def test_a_copy_s_own_people_count_in_the_place_of_the_global_ones(slack: LocalSlack) -> None:
    asked = by_copy(slack, SHARED, OWN)
    assert asked.may_copy("U0CARLA", OWN).allowed
    assert not asked.may_copy("U0ANA", OWN).allowed
    assert not asked.may_copy("U0CARLA", SHARED).allowed
    assert asked.may_copy("U0ANA", SHARED).allowed
    assert asked.who_may(OWN) == ["<@U0CARLA>"]
    assert asked.who_may(SHARED) == ["<!subteam^S0ADMINS>"]


def test_what_starts_nothing_is_for_everybody_who_may_run_any_copy(slack: LocalSlack) -> None:
    asked = by_copy(slack, SHARED, OWN)
    assert asked.may_copy("U0CARLA").allowed
    assert asked.may_copy("U0ANA").allowed
    assert not by_copy(slack, SHARED).may_copy("U0CARLA").allowed


def test_a_group_that_can_t_be_asked_about_hides_no_member_of_another(slack: LocalSlack) -> None:
    broken = SHARED.model_copy(update={"allowed_groups": ("S0NOSUCH", "S0ADMINS")})
    asked = by_copy(slack, broken)
    assert asked.may_copy("U0ANA", broken).allowed
    nobody_knows = asked.may_copy("U0CARLA", broken)
    assert not nobody_knows.allowed
    assert nobody_knows.reason


# --------------------------------------------------------------------------------------------- who asks


def test_people_are_looked_up_once_and_answered_in_their_language(slack: LocalSlack) -> None:
    people = People(client(slack.bot_token, slack.api_url), "es")
    for _ in range(3):
        assert people.language_of("U0ANA").language == "es"
        assert people.language_of("U0BOB").language == "en"
    assert people.requester("T0ACME", "U0BOB").name == "Bob Brown"
    assert len(slack.calls("users.info")) == 2


def test_who_slack_doesn_t_tell_about_is_answered_in_the_channels_language(
    slack: LocalSlack,
) -> None:
    people = People(client(slack.bot_token, slack.api_url), "es")
    slack.fault("users.info", status=500)
    assert people.language_of("U0BOB").language == "es"
    assert people.language_of("U0BOB").language == "en"
    nobody = people.requester("T0ACME", "U0NOBODY")
    assert (nobody.name, nobody.locale) == ("U0NOBODY", None)


# ------------------------------------------------------------------------------------- cards and endings


def test_the_whole_life_of_a_card(desk: Desk) -> None:
    claim = desk.running()
    [card] = desk.messages()
    assert card.pinned
    assert desk.jobs.see(claim.job_id).message_ts == card.ts
    desk.jobs.lifecycle.planned(claim, PLAN)
    with desk.jobs.engine.begin() as connection:
        Ledger(desk.jobs.lifecycle, claim).record(connection, CHUNK)
    desk.announcer.progress(desk.jobs.see(claim.job_id))
    assert ES.percent(5 / 8) in desk.messages()[0].plain
    desk.jobs.lifecycle.failed(claim, LOST)
    desk.courier.deliver_due()
    [final] = desk.messages()
    assert (final.ts, final.pinned) == (card.ts, False)
    [reply] = desk.replies(card.ts)
    assert "<@U0ANA>" in reply.text
    link = desk.announcer.link(desk.jobs.see(claim.job_id))
    assert link is not None
    assert card.ts.replace(".", "") in link


def test_a_card_that_says_the_same_is_not_edited(desk: Desk) -> None:
    claim = desk.running()
    for _ in range(3):
        desk.announcer.progress(desk.jobs.see(claim.job_id))
    assert len(desk.slack.calls("chat.update")) == 1


def test_without_room_for_an_edit_there_is_none(desk: Desk) -> None:
    claim = desk.running()
    desk.edits_allowed = False
    desk.announcer.progress(desk.jobs.see(claim.job_id))
    assert desk.slack.calls("chat.update") == []


def test_a_press_is_shown_even_where_progress_has_no_room(desk: Desk) -> None:
    claim = desk.running()
    desk.edits_allowed = False
    desk.jobs.control.pause(claim.job_id, BOB)
    desk.courier.deliver_due()
    assert ES("pausing") in desk.messages()[0].text
    assert len(desk.slack.calls("pins.add")) == 1


def test_the_end_of_an_attempt_that_was_retried_meanwhile_is_not_told_as_another_one(desk: Desk) -> None:
    claim = desk.running()
    desk.slack.revoke_token()
    desk.jobs.lifecycle.failed(claim, LOST)
    desk.courier.deliver_due()
    desk.jobs.control.retry(claim.job_id, BOB)
    desk.slack.restore_token()
    desk.deliver()
    [card] = desk.messages()
    assert ES("waiting") in card.text
    assert card.pinned
    assert desk.replies(card.ts) == []
    desk.jobs.control.cancel(claim.job_id, BOB)
    desk.deliver()
    [reply] = desk.replies(card.ts)
    assert "<@U0BOB>" in reply.plain


def test_after_a_429_progress_is_dropped_for_as_long_as_slack_asks(desk: Desk) -> None:
    claim = desk.running()
    desk.slack.fault("chat.update", status=429, retry_after=30)
    desk.announcer.progress(desk.jobs.see(claim.job_id))
    desk.jobs.lifecycle.planned(claim, PLAN)
    desk.announcer.progress(desk.jobs.see(claim.job_id))
    assert len(desk.slack.calls("chat.update")) == 1
    desk.jobs.lifecycle.cancelled(claim)
    desk.courier.deliver_due()
    assert ES("cancelled") in desk.messages()[0].text


@pytest.mark.parametrize("error", ["is_archived", "channel_not_found", "invalid_blocks"])
def test_progress_that_can_t_be_shown_is_not_tried_again_and_again(desk: Desk, error: str) -> None:
    claim = desk.running()
    desk.slack.fault("chat.update", error=error, times=None)
    for step in (desk.jobs.lifecycle.verifying, desk.jobs.lifecycle.renew):
        step(claim)
        desk.announcer.progress(desk.jobs.see(claim.job_id))
    assert len(desk.slack.calls("chat.update")) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 500},
        {"accept_then_drop": True},
        {"status": 429, "retry_after": 1},
        {"error": "fatal_error"},
    ],
)
@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update", "pins.add", "pins.remove"])
def test_a_call_whose_fate_is_unknown_is_made_up_for_once(
    desk: Desk, method: str, trouble: dict[str, Any]
) -> None:
    for step in ("card", "ending"):
        desk.slack.fault(method, **trouble)
        if step == "card":
            claim = desk.running()
        else:
            desk.jobs.lifecycle.cancelled(claim)
            desk.courier.deliver_due()
        desk.deliver()
        desk.deliver()
        desk.slack.clear_faults()
        [card] = desk.messages()
        assert card.pinned == (step == "card")
    assert [ES("cancelled") in card.text, len(desk.replies(card.ts))] == [True, 1]
    assert not desk.jobs.is_pending(claim.job_id, Kind.ENDING)


def test_a_post_whose_answer_is_lost_in_a_channel_without_the_bot_is_there_once(desk: Desk) -> None:
    desk.slack.kick_bot(CHANNEL)
    desk.slack.fault("chat.postMessage", accept_then_drop=True)
    claim = desk.jobs.claimed(channel_id=CHANNEL)
    desk.courier.deliver_due()
    desk.deliver()
    [card] = desk.messages()
    job = desk.jobs.see(claim.job_id)
    assert (job.channel_id, job.message_ts) == (CHANNEL, card.ts)


def test_a_deleted_card_is_posted_anew_and_pinned_by_the_next_progress(desk: Desk) -> None:
    claim = desk.running()
    [card] = desk.messages()
    desk.slack.delete_message(CHANNEL, card.ts)
    desk.announcer.progress(desk.jobs.see(claim.job_id))
    desk.courier.deliver_due()
    [again] = desk.messages()
    assert again.ts != card.ts
    assert again.pinned
    assert desk.jobs.see(claim.job_id).message_ts == again.ts


def test_a_deleted_card_that_several_notice_at_once_is_posted_anew_once(desk: Desk) -> None:
    """Two tickers and two couriers, one of which has an update in hand."""
    desk.slack.rate_limits(False)
    other = Desk(desk.slack, desk.jobs)
    for number in range(1, 6):
        claim = desk.jobs.claimed(liquidation=number, channel_id=CHANNEL)
        desk.courier.deliver_due()
        seen = desk.jobs.see(claim.job_id)
        assert seen.message_ts is not None
        desk.slack.delete_message(CHANNEL, seen.message_ts)
        desk.jobs.control.pause(claim.job_id, BOB)
        with ThreadPoolExecutor(4) as pool:
            pool.map(lambda each, seen=seen: each.announcer.progress(seen), [desk, other])
            pool.map(lambda each: each.courier.deliver_due(), [desk, other])
        desk.courier.deliver_due()
        card = desk.messages()[-1]
        assert (card.ts, card.pinned) == (desk.jobs.see(claim.job_id).message_ts, True)
        assert len(desk.messages()) == number


def test_a_card_that_was_posted_when_the_bot_was_lost_is_found_again(desk: Desk) -> None:
    """The post arrived; whoever posted it died before it could write down where."""
    claim = desk.running()
    [card] = desk.messages()
    desk.jobs.run("UPDATE traspaso.copy_jobs SET message_ts = NULL")
    desk.jobs.run("UPDATE traspaso.outbox SET done_at = NULL, claimed_until = now() - interval '1 s'")
    desk.deliver()
    assert [message.ts for message in desk.messages()] == [card.ts]
    assert desk.jobs.see(claim.job_id).message_ts == card.ts


@pytest.mark.parametrize("fate", ["archive", "kick_bot"])
def test_when_the_channel_is_lost_the_requester_is_told_in_person(desk: Desk, fate: str) -> None:
    channel = "C0SECRET"
    desk.slack.invite_bot(channel)
    claim = desk.running(channel)
    getattr(desk.slack, fate)(channel)
    desk.jobs.lifecycle.cancelled(claim)
    desk.courier.deliver_due()
    [card] = desk.messages("D0ANA")
    assert ES("cancelled") in card.text
    [reply] = desk.replies(card.ts, "D0ANA")
    assert "<@U0ANA>" in reply.text
    assert desk.jobs.see(claim.job_id).channel_id != channel


def test_while_the_token_is_revoked_messages_wait_in_their_order(desk: Desk) -> None:
    claim = desk.jobs.claimed(channel_id=CHANNEL)
    desk.slack.revoke_token("account_inactive")
    for _ in range(5):
        desk.deliver()
    desk.jobs.lifecycle.cancelled(claim)
    desk.slack.restore_token()
    desk.deliver()
    [card] = desk.messages()
    assert len(desk.replies(card.ts)) == 1
    assert not card.pinned


def test_a_message_that_slack_will_never_take_is_given_up_and_the_next_one_is_told(desk: Desk) -> None:
    claim = desk.jobs.claimed(channel_id=CHANNEL)
    desk.slack.fault("chat.postMessage", error="invalid_blocks", times=None)
    for _ in range(5):
        desk.deliver()
    assert not desk.jobs.is_pending(claim.job_id, Kind.CARD)
    desk.slack.clear_faults()
    desk.jobs.lifecycle.cancelled(claim)
    desk.courier.deliver_due()
    [card] = desk.messages()
    assert len(desk.replies(card.ts)) == 1


def test_two_couriers_at_once_post_each_message_once(slack: LocalSlack, jobs: Jobs) -> None:
    slack.rate_limits(False)
    desks = [Desk(slack, jobs), Desk(slack, jobs)]
    ids = [jobs.create(number, channel_id=CHANNEL) for number in range(1, 16)]
    for desk in desks:
        desk.courier.start()
    slack.wait_for(lambda: len(desks[0].messages()) >= len(ids))
    for desk in desks:
        desk.courier.stop()
    posted = [(message.metadata or {})["event_payload"]["job"] for message in desks[0].messages()]
    assert sorted(posted, key=int) == [str(job_id) for job_id in ids]
    assert len(slack.pins(CHANNEL)) == len(ids)


def test_what_slack_s_errors_mean(slack: LocalSlack) -> None:
    web = client(slack.bot_token, slack.api_url)
    for fault, trouble, seconds in [
        ({"status": 429, "retry_after": 7}, Trouble.LATER, 7.0),
        ({"status": 503}, Trouble.AMBIGUOUS, 1.0),
        ({"error": "message_not_found"}, Trouble.MESSAGE_GONE, 1.0),
        ({"error": "is_archived"}, Trouble.CHANNEL_LOST, 1.0),
        ({"error": "too_many_pins"}, Trouble.UNPINNABLE, 1.0),
        ({"error": "token_revoked"}, Trouble.LOCKED_OUT, 1.0),
        ({"error": "something_new"}, Trouble.BROKEN, 1.0),
    ]:
        slack.fault("chat.postMessage", **fault)  # type: ignore[arg-type]
        with pytest.raises(SlackApiError) as caught:
            web.chat_postMessage(channel=CHANNEL, text="x")
        assert (trouble_of(caught.value), retry_after(caught.value)) == (trouble, seconds)
        if "error" in fault:
            assert error_name(caught.value) == fault["error"]


# -------------------------------------------------------------------------------------------- the app


def surface(slack: LocalSlack, jobs: Jobs, consulta: Engine) -> Surface:
    return surface_of(client(slack.bot_token, slack.api_url), jobs, consulta)


def typed(app: App, slack: LocalSlack, command: str, text: str = "") -> str:
    """What the bot acknowledges a command with; its answer goes to the response_url."""
    body = {"type": "slash_commands", "command": command, "team_id": "T0ACME", "user_id": "U0BOB"}
    body |= {"text": text, "response_url": f"{slack.url}/response/none", "channel_id": CHANNEL}
    response = app.dispatch(BoltRequest(body=body, mode="socket_mode"))
    assert response.status == 200
    return response.body


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
    words = explained(Failure("connection", "", side="consulta").as_json(), translator("en"))
    assert words.what in answer.args["text"]
    assert words.step in answer.args["text"]


# --------------------------------------------------------------------------- the modal without a catalogue


def submitted(app: App, number: str, **carried: Any) -> dict[str, Any]:
    """What the first step of the modal is acknowledged with."""
    name = chooser.NUMBER
    view = {
        "id": "V0",
        "type": "modal",
        "callback_id": chooser.CHOOSE_CALLBACK,
        "private_metadata": Carried(**carried).encoded(),
        "state": {"values": {name: {name: {"type": "plain_text_input", "value": number}}}},
    }
    body = {"type": "view_submission", "team": {"id": "T0ACME"}, "user": {"id": "U0BOB"}, "view": view}
    response = app.dispatch(BoltRequest(body=body, mode="socket_mode"))
    assert response.status == 200
    found: dict[str, Any] = json.loads(response.body)
    return found


@pytest.mark.parametrize("number", ["", "x", "0", "-1", "٤٢", "9223372036854775808", "<!channel>"])
def test_what_is_no_number_is_said_below_the_field(slack: LocalSlack, jobs: Jobs, number: str) -> None:
    app = build_app(surface(slack, jobs, jobs.engine), client(slack.bot_token, slack.api_url))
    answer = submitted(app, number)
    assert answer["response_action"] == "errors"
    assert "9223372036854775807" in answer["errors"][chooser.NUMBER]


def test_a_number_that_prod_doesn_t_have_is_said_in_the_modal(slack: LocalSlack, jobs: Jobs) -> None:
    jobs.run("CREATE TABLE IF NOT EXISTS items (id bigint PRIMARY KEY, liquidation_id bigint)")
    app = build_app(surface(slack, jobs, jobs.engine), client(slack.bot_token, slack.api_url))
    answer = submitted(app, " 42 ", channel=CHANNEL)
    assert answer["response_action"] == "update"
    words = translator("en")("Neither prod nor consulta has rows for liquidation {id}.", id=42)
    assert words in json.dumps(answer["view"])
    assert "submit" not in answer["view"]


# ------------------------------------------------------------------------------- a comparison's late verdict


def test_a_verdict_that_comes_too_late_for_slack_s_answer_is_a_direct_message(
    slack: LocalSlack, jobs: Jobs
) -> None:
    jobs.run("CREATE TABLE IF NOT EXISTS items (id bigint PRIMARY KEY, liquidation_id bigint)")
    clock = Clock()
    parts = surface(slack, jobs, jobs.engine)
    app = App(client=client(slack.bot_token, slack.api_url), token_verification_enabled=False)

    def later() -> float:
        clock.now += RESPOND_SECONDS
        return clock.now

    app.command("/copy-verify")(CopyVerify(parts, clock=later).command)
    assert typed(app, slack, "/copy-verify", "42") == ""
    agree = translator("en")("Both sides of liquidation {id} agree: {rows}.", id=42, rows="0 rows")
    [message] = slack.wait_for(lambda: slack.user("U0BOB").messages("D0BOB"))
    assert agree in message.plain
    assert len(slack.calls("response_url")) == 1


def test_a_comparison_that_the_end_of_the_bot_breaks_off_says_so(slack: LocalSlack, jobs: Jobs) -> None:
    jobs.run("CREATE TABLE IF NOT EXISTS items (id bigint PRIMARY KEY, liquidation_id bigint)")
    parts = surface(slack, jobs, jobs.engine)
    app = build_app(parts, client(slack.bot_token, slack.api_url))
    with jobs.engine.begin() as connection:
        connection.execute(text("LOCK TABLE items IN ACCESS EXCLUSIVE MODE"))
        for _ in range(3):
            typed(app, slack, "/copy-verify", "42")
        slack.wait_for(lambda: len(slack.calls("response_url")) == 3)
        stopping = threading.Thread(target=parts.comparisons.stop)
        stopping.start()
    stopping.join(20)
    assert not stopping.is_alive()
    broken = translator("en")(
        "The comparison of liquidation {id} was broken off: the bot is being restarted.", id=42
    )
    assert any(broken in call.args["text"] for call in slack.calls("response_url"))
