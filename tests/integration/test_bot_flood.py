"""One person can't take the bot from the others, and no locked table can either."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from slack_bolt import App
from sqlalchemy import Engine, text

from bot.app import build_app
from bot.commands import copy_liquidation
from bot.config import CatalogueSection, CopySection, File, SlackSection
from bot.i18n import translator
from bot.jobs.models import Status
from bot.messages import answers, card, proposal, verification
from bot.messages.blocks import of_liquidation
from bot.slack.access import OWN_A_MINUTE, SPARE_A_MINUTE
from bot.slack.client import client
from copier import TableName
from dev.local_slack.client import LocalSlack
from dev.messages.situations import NamedCopy
from tests.copying import engine
from tests.services import dispatched, parts_of
from tests.support import Database
from tests.tracking import TABLE, Jobs

EN, ES = translator("en"), translator("es")
CHANNEL = "C0PAYROLL"
COPY = NamedCopy("items", "items")
ITEMS = "CREATE TABLE IF NOT EXISTS items (id bigint PRIMARY KEY, liquidation_id bigint)"
#: People who may copy without a look at any group.
CROWD = tuple(f"U0P{n}" for n in range(60))
#: What acknowledging may take on a machine that does other things, and how long Slack waits for it.
SOON, SLACK_SECONDS = 2.0, 3.0
CATALOGUE = """
    CREATE TABLE base (id bigint PRIMARY KEY, name text);
    INSERT INTO base VALUES (42, 'Octubre');
    CREATE FUNCTION slowly() RETURNS boolean STABLE LANGUAGE sql AS 'SELECT pg_sleep(60) IS NOT NULL';
    CREATE VIEW liquidations AS SELECT * FROM base WHERE (SELECT slowly())
"""
SEARCHES = (
    "SELECT pid, xact_start FROM pg_stat_activity "
    "WHERE application_name = 'traspaso search' AND state = 'active'"
)


class Site:
    """A bot at a local Slack; `typed` and `pressed` give what it acknowledges with, and how soon."""

    def __init__(self, slack: LocalSlack, jobs: Jobs, prod: Engine, file: File) -> None:
        self.slack, self.jobs = slack, jobs
        web = client(slack.bot_token, slack.api_url)
        self.parts = parts_of(web, jobs, jobs.engine, prod, file)
        self.app: App = build_app(self.parts, web)
        self.slowest = 0.0
        self.typed("U0BOB", "/copy-status", "help")  # Bolt asks Slack once who the bot is
        self.heard("/copy-status")
        self.slowest = 0.0

    def typed(self, user: str, command: str, words: str = "") -> dict[str, Any]:
        return self._sent({"type": "slash_commands", "command": command, "text": words}, user)

    def pressed(self, user: str, action_id: str, value: str) -> dict[str, Any]:
        action = {"type": "button", "action_id": action_id, "block_id": "b", "value": value}
        return self._sent({"type": "block_actions", "actions": [action]}, user)

    def searched(self, user: str, value: str) -> list[str]:
        """The values of the menu's lines."""
        body = {"type": "block_suggestion", "action_id": proposal.LIQUIDATION, "value": value}
        body |= {"block_id": proposal.LIQUIDATION}
        return [option["value"] for option in self._sent(body, user)["options"]]

    def heard(self, words: str) -> str:
        """Who reads what, as soon as an answer with these words was given."""

        def said() -> str | None:
            calls = self.slack.calls("response_url")
            return next((text for call in calls if words in (text := str(call.args.get("text")))), None)

        return self.slack.wait_for(said, timeout=15.0)

    def _sent(self, body: dict[str, Any], user: str) -> dict[str, Any]:
        body |= {"team_id": "T0ACME", "user_id": user, "user": {"id": user}, "team": {"id": "T0ACME"}}
        body |= {"channel_id": CHANNEL, "response_url": f"{self.slack.url}/response/none"}
        if body["type"] == "slash_commands":
            del body["user"]
        began = time.monotonic()
        response = dispatched(self.app, body)
        self.slowest = max(self.slowest, time.monotonic() - began)
        return dict(json.loads(response.body)) if response.body else {}


Open = Callable[..., Site]


@pytest.fixture
def site(slack: LocalSlack, jobs: Jobs, prod: Database) -> Iterator[Open]:
    """With `admins` beside the group, and a catalogue that never answers where one is asked for."""
    prod.execute(ITEMS)
    jobs.run(ITEMS + "; TRUNCATE items")
    source = engine(prod.url)

    def opened(admins: tuple[str, ...] = CROWD, *, catalogue: bool = False) -> Site:
        if catalogue:
            prod.execute(CATALOGUE)
        listed = CatalogueSection(table=TableName.parse("public.liquidations"))
        file = File(
            slack=SlackSection(admin_groups=("S0ADMINS",), admin_users=admins),
            copies=(CopySection(name="items", source_table=TABLE, target_table=TABLE),),
            liquidations=listed if catalogue else None,
        )
        return Site(slack, jobs, source, file)

    yield opened
    source.dispose()


@contextmanager
def locked(table: str, in_engine: Engine) -> Iterator[None]:
    with in_engine.begin() as somebody:
        somebody.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


# ---------------------------------------------------------------------------------- acknowledgements, answers


def test_while_copy_jobs_is_locked_everything_is_acknowledged_and_help_is_answered(
    site: Open, jobs: Jobs
) -> None:
    bot = site()
    with locked("traspaso.copy_jobs", jobs.engine):
        with ThreadPoolExecutor(8) as pool:
            for answered in [pool.submit(bot.typed, user, "/copy-status", "17") for user in CROWD * 3]:
                answered.result()
        bot.typed("U0BOB", "/copy-verify", "help")
        bot.heard("/copy-freeze")
        assert bot.slowest < SOON


def test_while_a_table_of_prod_is_locked_everything_else_is_answered(
    site: Open, jobs: Jobs, prod: Database
) -> None:
    bot = site()
    job_id = jobs.create(7, channel_id=CHANNEL)
    source = engine(prod.url)
    with locked("items", source):
        with ThreadPoolExecutor(8) as pool:
            for answered in [pool.submit(bot.typed, user, "/copy-liquidation", "42") for user in CROWD * 2]:
                answered.result()
        bot.typed("U0BOB", "/copy-status", str(job_id))
        bot.heard(EN("Liquidation {id}", id=7))
        bot.pressed("U0BOB", card.CANCEL_ACTION, str(job_id))
        bot.slack.wait_for(lambda: jobs.see(job_id).status is Status.CANCELLED)
        assert bot.slowest < SOON
    source.dispose()


def test_who_asks_for_too_much_at_once_is_told_and_nobody_else_waits_for_it(site: Open, jobs: Jobs) -> None:
    bot = site(("U0EVE",))
    too_much = answers.at_capacity(True, ES)
    with locked("traspaso.copy_jobs", jobs.engine):
        said = [bot.typed("U0EVE", "/copy-status", "17") for _ in range(100)]
        told = [answer for answer in said if answer]
        assert len(told) > 50
        assert all(answer["text"] == too_much.text for answer in told)
        bot.pressed("U0EVE", card.CANCEL_ACTION, "17")  # an acknowledgement can't say it here
        bot.heard(too_much.text)
        assert bot.slowest < SOON
    bot.typed("U0BOB", "/copy-status", "17")
    bot.heard(EN("There is no job {id}.", id=17))


def test_600_commands_of_an_outsider_leave_the_look_ups_to_those_who_press(site: Open, jobs: Jobs) -> None:
    bot = site(())
    job_id = jobs.create(7, channel_id=CHANNEL)
    with ThreadPoolExecutor(8) as pool:
        commands = ("/copy-liquidation", "/copy-status", "/copy-freeze", "/copy-verify")
        words = {"/copy-freeze": "mantenimiento"}
        flood = [
            pool.submit(bot.typed, "U0CARLA", command, words.get(command, "42")) for command in commands * 150
        ]
        bot.pressed("U0BOB", card.CANCEL_ACTION, str(job_id))
        for sent in flood:
            sent.result()
        assert bot.slowest < SLACK_SECONDS
    bot.slack.wait_for(lambda: jobs.see(job_id).status is Status.CANCELLED)
    assert len(bot.slack.calls("usergroups.users.list")) <= SPARE_A_MINUTE + OWN_A_MINUTE + 1
    assert len(bot.slack.calls("users.info")) == 2


# ------------------------------------------------------------------------------------------------- searches


def test_the_search_asks_for_the_permission_and_tells_who_has_none(site: Open) -> None:
    bot = site(catalogue=True)
    assert bot.searched("U0CARLA", "octubre") == [proposal.NOT_FOR_YOU]
    assert all(len(line["text"]["text"]) <= 75 for line in proposal.not_for_you(ES))


def test_the_newest_search_wins_and_the_one_before_ends_on_the_server(
    site: Open, prod: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_liquidation, "SEARCH_SECONDS", 60.0)
    monkeypatch.setattr(copy_liquidation, "ANSWER_SECONDS", 60.0)
    bot = site(catalogue=True)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(bot.searched, CROWD[0], "octubre")
        [before] = bot.slack.wait_for(lambda: prod.rows(SEARCHES))
        second = pool.submit(bot.searched, CROWD[0], "noviembre")
        assert first.result(20) == []
        bot.slack.wait_for(lambda: (now := prod.rows(SEARCHES)) and before not in now)

        def cancelled() -> bool:
            prod.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'traspaso search'"
            )
            return second.done()

        bot.slack.wait_for(cancelled)
        assert second.result() in ([], [proposal.UNAVAILABLE])


def test_four_hundred_searches_of_one_person_are_one_at_a_time_and_each_is_answered(
    site: Open, prod: Database
) -> None:
    bot = site(catalogue=True)
    with ThreadPoolExecutor(20) as pool:
        typed = [pool.submit(bot.searched, CROWD[0], f"octubre {n}") for n in range(400)]
        for each in typed[:-1]:
            assert each.result() in ([], [proposal.UNAVAILABLE])
        assert bot.slowest < SLACK_SECONDS
        assert len(prod.rows(SEARCHES)) <= 2
        bot.typed(CROWD[1], "/copy-status", "17")
        bot.heard(ES("There is no job {id}.", id=17))


def test_searches_of_many_people_have_a_cap_and_who_is_over_it_reads_so(site: Open) -> None:
    bot = site(catalogue=True)
    many = CROWD[:30]
    with ThreadPoolExecutor(len(many)) as pool:
        found = [*pool.map(lambda user: bot.searched(user, "octubre"), many)]
    assert [proposal.TOO_MANY] in found
    assert all(each in ([], [proposal.TOO_MANY], [proposal.UNAVAILABLE]) for each in found)


# ---------------------------------------------------------------------------------------------- comparisons


def test_the_same_comparison_is_made_once_and_answers_everybody(
    site: Open, jobs: Jobs, prod: Database
) -> None:
    bot = site()
    source = engine(prod.url)
    with locked("items", source):
        for user in CROWD[:50]:
            bot.typed(user, "/copy-verify", "42")
        bot.heard(verification.same(COPY, 42, ES).text)
        bot.slack.wait_for(lambda: len(bot.slack.calls("response_url")) >= 51)
        running = "SELECT FROM pg_stat_activity WHERE application_name = 'traspaso verify'"
        assert len(prod.rows(running)) == 1
    nothing = ES("Neither prod nor consulta has rows for {what}.", what=of_liquidation("items", 42, ES))
    bot.slack.wait_for(
        lambda: sum(nothing in call.args["text"] for call in bot.slack.calls("response_url")) == 50
    )
    source.dispose()


def test_comparisons_have_a_cap_for_each_person_and_one_of_all(site: Open, jobs: Jobs) -> None:
    bot = site()
    with locked("items", jobs.engine):
        for number in range(1, 5):
            bot.typed(CROWD[0], "/copy-verify", str(number))
        bot.heard(verification.too_many(3, ES, is_ones_own=True).text)
        for user, number in zip(CROWD[1:20], range(5, 24), strict=True):
            bot.typed(user, "/copy-verify", str(number))
        bot.heard(verification.too_many(10, ES, is_ones_own=False).text)
        bot.parts.verifications.stop()


def test_a_comparison_that_its_only_asker_cancels_ends_on_both_servers(
    site: Open, jobs: Jobs, prod: Database
) -> None:
    bot = site()
    running = "SELECT FROM pg_stat_activity WHERE application_name = 'traspaso verify'"
    with locked("items", jobs.engine):
        for user in CROWD[:2]:
            bot.typed(user, "/copy-verify", "42")
        bot.heard(verification.same(COPY, 42, ES).text)
        bot.slack.wait_for(lambda: prod.rows(running))
        bot.pressed(CROWD[0], verification.CANCEL_ACTION, "42 items")
        bot.heard(verification.cancelled("items", 42, ES).text)
        assert prod.rows(running)  # somebody else waits for it
        bot.pressed(CROWD[1], verification.CANCEL_ACTION, "42 items")
        bot.slack.wait_for(lambda: not prod.rows(running))
