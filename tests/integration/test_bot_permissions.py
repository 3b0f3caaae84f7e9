"""Who may copy, by what a local Slack says of its groups, and who asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bot.commands.conversation import Guard
from bot.config import CopySection, File, SlackSection
from bot.i18n import translator
from bot.messages.blocks import Message
from bot.slack.access import FAILED_SECONDS, OWN_A_MINUTE, SPARE_A_MINUTE, TO_PRESS, TO_SHOW, Access, People
from bot.slack.client import client
from dev.local_slack.client import LocalSlack
from tests.support import Clock
from tests.tracking import TABLE, Jobs

EN = translator("en")


def permissions(slack: LocalSlack, clock: Clock | None = None, **section: Any) -> Access:
    section = section or {"admin_groups": ["S0ADMINS"]}
    web = client(slack.bot_token, slack.api_url)
    return Access(web, SlackSection(**section), clock=clock or Clock())


def looks(slack: LocalSlack) -> int:
    """How often Slack was asked who is in a group."""
    return len(slack.calls("usergroups.users.list"))


def test_members_may_copy_and_others_are_told_whom_to_ask(slack: LocalSlack) -> None:
    asked = permissions(slack)
    assert asked.may_use("U0ANA").allowed
    refused = asked.may_use("U0CARLA")
    assert (refused.allowed, refused.groups, refused.reason) == (False, ["<!subteam^S0ADMINS>"], None)


@pytest.mark.parametrize("handle", ["liquidation-admins", "@liquidation-admins"])
def test_a_group_may_be_named_by_its_handle(slack: LocalSlack, handle: str) -> None:
    asked = permissions(slack, admin_groups=[handle])
    assert asked.may_use("U0BOB").allowed
    assert asked.may_use("U0CARLA").groups == ["@liquidation-admins"]


def test_a_look_rests_on_an_answer_of_the_last_minute_and_a_press_on_one_of_the_last_seconds(
    slack: LocalSlack,
) -> None:
    clock = Clock()
    asked = permissions(slack, clock)
    for _ in range(30):
        assert asked.may_use("U0ANA").allowed
        assert not asked.may_use("U0CARLA", TO_PRESS).allowed
    assert looks(slack) == 1
    slack.remove_from_group("U0ANA")
    clock.now += TO_PRESS.seconds
    assert asked.may_use("U0ANA").allowed
    assert not asked.may_use("U0ANA", TO_PRESS).allowed
    assert not asked.may_use("U0ANA").allowed
    slack.add_to_group("U0ANA")
    clock.now += TO_SHOW.seconds
    assert asked.may_use("U0ANA").allowed
    assert looks(slack) == 3


def test_presses_for_a_minute_on_end_stay_below_what_slack_allows(slack: LocalSlack) -> None:
    clock = Clock()
    asked = permissions(slack, clock)
    for _ in range(240):
        assert asked.may_use("U0ANA", TO_PRESS).allowed
        clock.now += 0.25
    assert looks(slack) == 15


@pytest.mark.parametrize("group", ["S0ADMINS", "@liquidation-admins"])
def test_all_who_press_at_once_share_one_look(slack: LocalSlack, group: str) -> None:
    asked = permissions(slack, admin_groups=[group])
    slack.fault("usergroups.users.list", delay=0.5)
    with ThreadPoolExecutor(24) as pool:
        presses = [pool.submit(asked.may_use, user, TO_PRESS) for user in ["U0ANA", "U0CARLA"] * 12]
        assert [press.result().allowed for press in presses] == [True, False] * 12
    assert looks(slack) == 1
    assert len(slack.calls("usergroups.list")) == (group != "S0ADMINS")


def test_a_slow_look_delays_nobody_who_asks_about_another_group(slack: LocalSlack) -> None:
    finance = SHARED.model_copy(update={"name": "finance", "allowed_groups": ("S0FINANCE",)})
    asked = by_copy(slack, SHARED, finance)
    slack.fault("usergroups.users.list", delay=5.0, match={"usergroup": "S0ADMINS"})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(asked.may_run, "U0ANA", SHARED)
        slack.wait_for(lambda: slack.faults_left() == 0)
        asked.may_run("U0ANA", finance)
        assert not slow.done()
        assert slow.result().allowed


def test_who_presses_while_too_old_a_look_is_under_way_waits_for_the_next_one_which_all_share(
    slack: LocalSlack,
) -> None:
    clock = Clock()
    asked = permissions(slack, clock)
    slack.fault("usergroups.users.list", delay=2.0)
    with ThreadPoolExecutor(13) as pool:
        slow = pool.submit(asked.may_use, "U0ANA", TO_PRESS)
        slack.wait_for(lambda: slack.faults_left() == 0)
        slack.remove_from_group("U0ANA")
        clock.now += TO_PRESS.seconds
        presses = [pool.submit(asked.may_use, "U0ANA", TO_PRESS) for _ in range(12)]
        assert not any(press.result().allowed for press in presses)
        assert slow.done()  # never two looks at one group at once
    assert looks(slack) == 2


def test_an_outsider_who_presses_all_the_time_leaves_the_minute_to_the_admins(slack: LocalSlack) -> None:
    clock = Clock()
    asked = permissions(slack, clock)
    for _ in range(240):
        assert not asked.may_use("U0CARLA", TO_PRESS).allowed
        clock.now += 0.25
    assert looks(slack) <= SPARE_A_MINUTE + OWN_A_MINUTE
    assert asked.may_use("U0ANA", TO_PRESS).allowed


def test_an_outsider_of_many_groups_costs_no_more_looks_than_of_one(slack: LocalSlack) -> None:
    clock = Clock()
    groups = [f"S0GROUP{n}" for n in range(5)]
    for group in groups:
        slack.add_group(group, group.lower(), [])
    asked = permissions(slack, clock, admin_groups=[*groups, "S0ADMINS"])
    assert asked.may_use("U0ANA", TO_PRESS).allowed
    for _ in range(240):
        assert not asked.may_use("U0CARLA", TO_PRESS).allowed
        assert asked.may_use("U0ANA", TO_PRESS).allowed
        clock.now += 0.25
    # Slack allows 20 within a minute; a second one has begun.
    assert looks(slack) <= 20


def test_who_has_just_joined_is_let_through_by_the_next_look_while_there_are_some_to_spare(
    slack: LocalSlack,
) -> None:
    clock = Clock()
    asked = permissions(slack, clock)
    assert not asked.may_use("U0CARLA", TO_PRESS).allowed
    slack.add_to_group("U0CARLA")
    clock.now += TO_PRESS.seconds
    assert asked.may_use("U0CARLA", TO_PRESS).allowed


def test_who_joins_in_a_busy_minute_is_let_through_too(slack: LocalSlack) -> None:
    clock = Clock()
    asked = permissions(slack, clock)
    for _ in range(SPARE_A_MINUTE + 1):
        assert asked.may_use("U0ANA", TO_PRESS).allowed
        clock.now += TO_PRESS.seconds
    slack.add_to_group("U0CARLA")
    assert asked.may_use("U0CARLA", TO_PRESS).allowed


def test_an_admin_of_one_of_many_groups_costs_one_look(slack: LocalSlack) -> None:
    clock = Clock()
    asked = permissions(slack, clock, admin_groups=["S0NOSUCH", "S0ADMINS"])
    assert asked.may_use("U0ANA").allowed
    before = looks(slack)
    clock.now += TO_SHOW.seconds
    assert asked.may_use("U0ANA", TO_PRESS).allowed
    assert looks(slack) == before + 1


def test_a_look_that_fails_is_shared_by_who_waited_and_not_believed_for_long(slack: LocalSlack) -> None:
    clock = Clock()
    asked = permissions(slack, clock)
    slack.fault("usergroups.users.list", status=500, delay=0.5)
    with ThreadPoolExecutor(24) as pool:
        presses = [pool.submit(asked.may_use, "U0ANA", TO_PRESS) for _ in range(24)]
        assert {press.result().reason for press in presses} == {"internal_error"}
    assert asked.may_use("U0ANA", TO_PRESS).reason == "internal_error"
    assert looks(slack) == 1
    clock.now += FAILED_SECONDS
    assert asked.may_use("U0ANA", TO_PRESS).allowed


def test_while_slack_asks_for_a_pause_it_is_left_alone_and_only_looks_rest_on_older_answers(
    slack: LocalSlack,
) -> None:
    clock = Clock()
    asked = permissions(slack, clock)
    assert asked.may_use("U0ANA").allowed
    clock.now += TO_SHOW.seconds
    slack.fault("usergroups.users.list", status=429, retry_after=30)
    assert asked.may_use("U0ANA").allowed
    for _ in range(29):
        press = asked.may_use("U0ANA", TO_PRESS)
        assert (press.allowed, press.reason) == (False, "ratelimited")
        assert asked.may_use("U0ANA").allowed
        assert not asked.may_use("U0CARLA").allowed
        clock.now += 1.0
    assert looks(slack) == 2
    clock.now += 1.0
    assert asked.may_use("U0ANA", TO_PRESS).allowed
    clock.now += TO_SHOW.in_a_pause
    slack.fault("usergroups.users.list", status=429, retry_after=30)
    assert asked.may_use("U0ANA").reason == "ratelimited"


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
    clock = Clock()
    asked = permissions(slack, clock)
    slack.fault("usergroups.users.list", **trouble)
    decision = asked.may_use("U0ANA")
    assert (decision.allowed, decision.reason) == (False, reason)
    clock.now += trouble.get("retry_after", FAILED_SECONDS)
    assert asked.may_use("U0ANA").allowed


def test_a_group_that_is_not_there_lets_nobody_through(slack: LocalSlack) -> None:
    for group in ("S0NOSUCH", "no-such-handle"):
        decision = permissions(slack, admin_groups=[group]).may_use("U0ANA")
        assert not decision.allowed
        assert decision.reason
    slack.disable_usergroups("plan_upgrade_required")
    for group in ("S0ADMINS", "liquidation-admins"):
        decision = permissions(slack, admin_groups=[group]).may_use("U0ANA")
        assert (decision.allowed, decision.reason) == (False, "plan_upgrade_required")


def test_a_single_user_needs_no_group(slack: LocalSlack) -> None:
    slack.disable_usergroups()
    asked = permissions(slack, admin_users=["U0CARLA"])
    assert asked.may_use("U0CARLA").allowed
    decision = asked.may_use("U0ANA")
    assert (decision.allowed, decision.groups, decision.reason) == (False, [], None)
    assert slack.calls() == []


OWN = CopySection(name="notes", source_table=TABLE, target_table=TABLE, allowed_users=("U0CARLA",))
SHARED = CopySection(name="items", source_table=TABLE, target_table=TABLE)


def by_copy(slack: LocalSlack, *copies: CopySection, clock: Clock | None = None) -> Access:
    section = SlackSection(admin_groups=("S0ADMINS",))
    return Access(client(slack.bot_token, slack.api_url), section, copies, clock=clock or Clock())


def test_a_copy_s_own_people_count_in_the_place_of_the_global_ones(slack: LocalSlack) -> None:
    asked = by_copy(slack, SHARED, OWN)
    assert asked.may_run("U0CARLA", OWN).allowed
    assert not asked.may_run("U0ANA", OWN).allowed
    assert not asked.may_run("U0CARLA", SHARED).allowed
    assert asked.may_run("U0ANA", SHARED).allowed
    assert asked.who_may(OWN) == ["<@U0CARLA>"]
    assert asked.who_may(SHARED) == ["<!subteam^S0ADMINS>"]


def test_what_somebody_may_surely_not_run_includes_what_nobody_knows(slack: LocalSlack) -> None:
    asked = by_copy(slack, SHARED, OWN)
    names = {"items", "notes", "renamed"}
    assert asked.not_for("U0ANA", names) == {"notes", "renamed"}
    assert asked.not_for("U0CARLA", names) == {"items", "renamed"}
    slack.fault("usergroups.users.list", status=500)
    # Slack doesn't say it now: then it isn't sure, but of an unknown copy it is.
    assert by_copy(slack, SHARED).not_for("U0ANA", {"items", "renamed"}) == {"renamed"}


def test_what_starts_nothing_is_for_everybody_who_may_run_any_copy(slack: LocalSlack) -> None:
    asked = by_copy(slack, SHARED, OWN)
    assert asked.may_use("U0CARLA").allowed
    assert asked.may_use("U0ANA").allowed
    assert not by_copy(slack, SHARED).may_use("U0CARLA").allowed


def test_a_group_that_can_t_be_asked_about_hides_no_member_of_another(slack: LocalSlack) -> None:
    broken = SHARED.model_copy(update={"allowed_groups": ("S0NOSUCH", "S0ADMINS")})
    asked = by_copy(slack, broken)
    assert asked.may_run("U0ANA", broken).allowed
    nobody_knows = asked.may_run("U0CARLA", broken)
    assert not nobody_knows.allowed
    assert nobody_knows.reason


def test_a_command_without_a_copy_s_name_means_the_first_one_that_its_writer_may_run(
    slack: LocalSlack, jobs: Jobs
) -> None:
    file = File(slack=SlackSection(admin_groups=("S0ADMINS",)), copies=(SHARED, OWN))
    clock = Clock()
    web = client(slack.bot_token, slack.api_url)
    guard = Guard(file, Access(web, file.slack, file.copies, clock=clock))

    def meant(user_id: str, name: str | None = None) -> str | None:
        found = guard.chosen_copy("/copy-liquidation", name, user_id, EN)
        return found.text.partition(". ")[0] + "." if isinstance(found, Message) else found and found.name

    slack.fault("usergroups.users.list", status=500)
    assert meant("U0CARLA") == EN("I can't check your permission now, so nothing was started.")
    clock.now += FAILED_SECONDS
    assert meant("U0CARLA") == "notes"
    assert meant("U0ANA") == "items"
    assert meant("U0DAN") == EN("You may not use `{command}`.", command="/copy-liquidation")
    assert meant("U0ANA", "notes") == "notes"
    assert meant("U0ANA", "nosuch") is None


def test_people_are_looked_up_once_and_answered_in_their_language(slack: LocalSlack) -> None:
    people = People(client(slack.bot_token, slack.api_url), "es")
    for _ in range(3):
        assert people.language_of("U0ANA").language == "es"
        assert people.language_of("U0BOB").language == "en"
    assert people.requester("T0ACME", "U0BOB").name == "Bob Brown"
    assert len(slack.calls("users.info")) == 2


def test_a_person_who_asks_many_times_at_once_is_looked_up_once(slack: LocalSlack) -> None:
    people = People(client(slack.bot_token, slack.api_url), "es")
    slack.fault("users.info", delay=0.5)
    with ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(people.language_of, "U0BOB") for _ in range(24)]
        assert {each.result().language for each in asked} == {"en"}
    assert len(slack.calls("users.info")) == 1


def test_who_slack_doesn_t_tell_about_is_answered_in_the_channels_language(
    slack: LocalSlack,
) -> None:
    people = People(client(slack.bot_token, slack.api_url), "es")
    slack.fault("users.info", status=500)
    assert people.language_of("U0BOB").language == "es"
    assert people.language_of("U0BOB").language == "en"
    nobody = people.requester("T0ACME", "U0NOBODY")
    assert (nobody.name, nobody.locale) == ("U0NOBODY", None)
