"""Whoever starts a process learns at once all that is wrong; what may pass is waited for."""

from __future__ import annotations

import psycopg
import pytest

from dev.processes import Child

from .scene import PASSWORD, Office, Scene

WRONG = {
    "PROD_DATABASE_URL": f"postgresql://postgres:{PASSWORD}@no-such-host.invalid/prod",
    "CONSULTA_DATABASE_URL": "",
    "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
    "SLACK_BOT_TOKEN": "xoxb-wrong",
}
NAMED = (
    "PROD_DATABASE_URL: nobody knows the host of prod",
    "CONSULTA_DATABASE_URL: consulta has no such database",
    "REDIS_URL: Redis at 127.0.0.1:1 can't be used: nobody listens there",
    "SLACK_BOT_TOKEN: Slack refuses it (invalid_auth)",
)


def started(office: Office, program: str, name: str, **environment: str) -> Child:
    env = {**office.secrets, **environment}
    if program == "bot":
        return office.stack.run(name, ["python", "-m", "bot"], env=env)
    return office.stack.start_worker(name, env=env)


@pytest.mark.parametrize("program", ["bot", "worker"])
def test_all_that_is_wrong_is_named_at_once_and_the_process_ends(office: Office, program: str) -> None:
    consulta = office.stack.consulta.url("no_such_database")
    child = started(office, program, f"wrong-{program}", **{**WRONG, "CONSULTA_DATABASE_URL": consulta})
    child.wait_until(lambda: not child.running or NAMED[-1] in child.log(), what="the list")
    log = child.log()
    assert [line for line in NAMED if log.count(line) != 1] == []
    assert log.count("Traspaso can't start") == 1
    assert PASSWORD not in log
    assert child.wait(30) != 0


def test_a_setting_that_is_missing_doesn_t_hide_what_the_others_lead_to(office: Office) -> None:
    child = started(office, "bot", "wrong-missing", SLACK_APP_TOKEN="", SLACK_BOT_TOKEN="xoxb-wrong")
    assert child.wait(30) == 78
    assert "SLACK_APP_TOKEN is missing" in child.log()
    assert "SLACK_BOT_TOKEN: Slack refuses it" in child.log()


def test_tables_that_were_never_migrated_are_named_with_the_rest(office: Office) -> None:
    office.stack.consulta.create_database("unmigrated")
    child = started(
        office,
        "bot",
        "wrong-unmigrated",
        CONSULTA_DATABASE_URL=office.stack.consulta.url("unmigrated"),
        SLACK_BOT_TOKEN="xoxb-wrong",
    )
    assert child.wait(30) == 78
    assert "run `traspaso migrate`" in child.log()
    assert "SLACK_BOT_TOKEN: Slack refuses it" in child.log()


def test_a_worker_copies_whatever_slack_says_of_its_token_and_names_it(office: Office, scene: Scene) -> None:
    worker = office.own_worker({"SLACK_BOT_TOKEN": "xoxb-wrong"})
    worker.wait_for_line("SLACK_BOT_TOKEN: Slack refuses it (invalid_auth)")
    scene.seed(50)
    job_id = scene.start()
    scene.ended(job_id)
    assert scene.compared()


def test_a_bot_that_starts_while_slack_is_away_waits_for_it(office: Office, scene: Scene) -> None:
    office.stop_bot()
    faults = [
        scene.slack.fault(each, status=503, times=None) for each in ("auth.test", "apps.connections.open")
    ]
    bot = started(office, "bot", "bot-early")
    office.bot = bot
    bot.wait_for_line("Slack doesn't answer auth.test now")
    bot.wait_for_line("Slack doesn't let the bot in")
    for fault in faults:
        scene.slack.remove_fault(fault)
    bot.wait_for_line("connected to Slack")
    assert "42" in scene.ask(scene.bob, "help")


def test_a_bot_whose_prod_is_away_starts_and_says_so(office: Office) -> None:
    office.stop_bot()
    url = "postgresql://postgres@127.0.0.1:1/prod"
    office.bot = office.stack.run(
        "bot-without-prod", ["python", "-m", "bot"], env={**office.secrets, "PROD_DATABASE_URL": url}
    )
    office.bot.wait_for_line("PROD_DATABASE_URL: nobody listens where prod should be")
    office.bot.wait_for_line("connected to Slack")
    office.restart_bot()


def test_a_token_that_is_revoked_while_the_bot_runs_ends_in_our_own_words(
    office: Office, scene: Scene
) -> None:
    office.restart_bot()
    scene.slack.revoke_token()
    answer = scene.ask(scene.carla, "42")
    scene.slack.restore_token()
    office.restart_bot()  # what it was told of the groups is no longer known
    assert "apologize" not in answer
    assert "token_revoked" in answer


def test_a_prod_that_refuses_the_login_is_named_in_slack_with_its_reason(
    office: Office, scene: Scene
) -> None:
    scene.seed(5)
    with psycopg.connect(office.stack.prod.url(), autocommit=True) as admin:
        admin.execute("ALTER DATABASE prod ALLOW_CONNECTIONS false")
        try:
            answer = scene.ask(scene.bob, str(scene.liquidation))
        finally:
            admin.execute("ALTER DATABASE prod ALLOW_CONNECTIONS true")
    assert "not currently accepting connections" in answer
