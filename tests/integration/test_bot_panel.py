"""App Home as Slack gets it: the right view for each reader, anew when something changes, not too often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from bot.config import CopySection, SlackSection
from bot.i18n import translator
from bot.jobs.attempt import SecondPerson
from bot.jobs.failure import Failure
from bot.jobs.models import Status
from bot.jobs.repository import LATEST, HomeRepository, Requester
from bot.jobs.view import HomeFilters, Question, Reason
from bot.messages.failure_texts import explained
from bot.messages.home import SHOWN
from bot.messages.question import pressed
from bot.slack import home_publisher as panel_module
from bot.slack.access import Access, People
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import client
from bot.slack.home_publisher import REFRESHES_A_MINUTE, HomePublisher
from dev.local_slack.client import LocalSlack
from dev.local_slack.plain import plain
from dev.local_slack.results import View
from dev.proxy import Proxy
from tests.tracking import PLAN, TABLE, Ends, Jobs

ES, EN = translator("es"), translator("en")
BOB = Requester("T0ACME", "U0BOB", "Bob Brown", "en-US")


@pytest.fixture
def home_publisher(slack: LocalSlack, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> HomePublisher:
    """Refreshed when the test says so; nobody waits between two views of theirs."""
    monkeypatch.setattr(panel_module, "PERSON_SECONDS", 0.0)
    return panel_of(slack, jobs, jobs.engine)


@pytest.fixture
def consulta_line(jobs: Jobs) -> Iterator[Proxy]:
    """The way to consulta, which the test can close."""
    port = jobs.engine.url.port
    assert port is not None
    with Proxy(port) as proxy:
        yield proxy


def panel_of(slack: LocalSlack, jobs: Jobs, engine: Engine) -> HomePublisher:
    web = client(slack.bot_token, slack.api_url)
    card_publisher = CardPublisher(web, jobs.store, jobs.cards, ES, lambda: True)
    copy = CopySection(name="items", source_table=TABLE, target_table=TABLE)
    permissions = Access(web, SlackSection(admin_groups=("S0ADMINS",)), [copy])
    return HomePublisher(web, HomeRepository(engine), card_publisher, permissions, People(web, "es"))


def seen(slack: LocalSlack, user_id: str = "U0BOB") -> View:
    view = slack.user(user_id).home()
    assert view is not None
    return view


def test_everybody_reads_it_in_their_language_and_only_who_may_copy_sees_jobs(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    job_id = jobs.create(channel_id="C0PAYROLL")
    for user_id, t in (("U0ANA", ES), ("U0BOB", EN)):
        home_publisher.opened(user_id)
        assert t("Job {id}", id=job_id) in seen(slack, user_id).plain
        assert t("New copy") in seen(slack, user_id).plain
    home_publisher.opened("U0CARLA")
    said = seen(slack, "U0CARLA").plain
    assert "<!subteam^S0ADMINS>" in said
    assert ES("You may not use `{command}`.", command="/copy-liquidation") in said
    assert not seen(slack, "U0CARLA").buttons
    assert ES("Job {id}", id=job_id) not in said


def test_it_is_published_again_when_something_has_changed_and_only_then(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    home_publisher.opened("U0BOB")
    assert EN("Nothing is running.") in seen(slack).plain
    home_publisher.refresh()
    assert home_publisher.refresh() == 0
    claim = jobs.claimed()
    assert home_publisher.refresh() == 1
    assert EN("Counting the rows in prod") in seen(slack).plain
    assert home_publisher.refresh() == 0
    claim.planned(PLAN)
    assert home_publisher.refresh() == 1
    assert "0 of 8 rows" in seen(slack).plain
    jobs.run("UPDATE traspaso.copy_jobs SET lease_until = lease_until + interval '1 s'")
    assert home_publisher.refresh() == 0  # another row, the same view


def test_a_worker_that_falls_silent_changes_it_although_no_row_does(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    claim = jobs.claimed()
    jobs.run("UPDATE traspaso.copy_jobs SET lease_until = clock_timestamp() + interval '1 s'")
    home_publisher.opened("U0BOB")
    home_publisher.refresh()
    assert "silent" not in seen(slack).plain
    slack.wait_for(lambda: home_publisher.refresh())
    assert "silent" in seen(slack).plain
    assert jobs.see(claim.job_id).status is Status.RUNNING


def test_it_asks_for_the_links_of_the_jobs_that_it_shows_and_no_others(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    for number in range(1, 61):
        jobs.create(number, channel_id="C0PAYROLL")
    jobs.run("UPDATE traspaso.copy_jobs SET message_ts = id || '.000100'")
    home_publisher.opened("U0BOB")
    asked = {call.args["message_ts"] for call in slack.calls("chat.getPermalink")}
    assert len(asked) == SHOWN
    assert EN.plural("and {n} more", "and {n} more", 60 - SHOWN) in seen(slack).plain


def test_it_says_who_froze_the_copies_and_why(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    jobs.create(requester=BOB)
    home_publisher.opened("U0BOB")
    jobs.run(
        "INSERT INTO traspaso.copy_freezes (reason, frozen_by) "
        "SELECT 'month-end <!channel>', id FROM traspaso.users WHERE slack_user_id = 'U0BOB'"
    )
    assert home_publisher.refresh() == 1
    said = seen(slack).plain
    assert "<@U0BOB>" in said
    assert "month-end &lt;!channel&gt;" in said
    jobs.run("UPDATE traspaso.copy_freezes SET lifted_at = now(), lifted_by = frozen_by")
    assert home_publisher.refresh() == 1
    assert "🧊" not in seen(slack).plain


def test_a_copy_that_waits_for_approval_can_be_approved_by_everybody_but_who_asked(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    job_id = jobs.create(requester=BOB)
    jobs.run("UPDATE traspaso.copy_jobs SET approval = 'waiting', previewed_records = 1234")
    home_publisher.opened("U0ANA")
    home_publisher.opened("U0BOB")
    offered = {button.action_id: button.value for button in seen(slack, "U0ANA").buttons}
    assert offered["job.approve"] == offered["job.reject"] == str(job_id)
    assert "1.234 filas" in seen(slack, "U0ANA").plain
    assert "job.approve" not in {button.action_id for button in seen(slack, "U0BOB").buttons}
    assert EN("Somebody else has to approve it.") in seen(slack, "U0BOB").plain


def test_an_approval_for_a_copy_that_the_bot_doesn_t_know_is_offered_to_nobody(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    job_id = jobs.create(requester=BOB, approvers=("<!subteam^S0ADMINS>",))
    home_publisher.opened("U0ANA")
    assert "job.approve" in {button.action_id for button in seen(slack, "U0ANA").buttons}
    jobs.run("UPDATE traspaso.copy_jobs SET copy_name = 'renamed' WHERE id = :id", id=job_id)
    assert home_publisher.refresh() == 1
    assert "job.approve" not in {button.action_id for button in seen(slack, "U0ANA").buttons}
    assert ES("They may approve it: {who}.", who="<!subteam^S0ADMINS>") in seen(slack, "U0ANA").plain


def test_a_question_to_a_second_person_is_offered_with_its_numbers(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    claim = jobs.claimed(requester=BOB, channel_id="C0")
    question = Question(Reason.APPROVAL, 150_500, 0, 500, 0)
    Ends(claim).ask(question, SecondPerson(("<!subteam^S0ADMINS>",), 60.0))
    home_publisher.opened("U0ANA")
    [approve] = [each for each in seen(slack, "U0ANA").buttons if each.action_id == "job.approve"]
    assert approve.text == ES("Approve {rows}", rows=ES.rows(150_500))
    assert pressed(approve.value) == (str(claim.job_id), question.numbers)
    assert ES.rows(500) in seen(slack, "U0ANA").plain


def test_the_filters_stay_when_something_changes(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    done, failed = jobs.create(1), jobs.create(2, requester=BOB)
    jobs.run("UPDATE traspaso.copy_jobs SET status = 'completed' WHERE id = :id", id=done)
    jobs.run("UPDATE traspaso.copy_jobs SET status = 'failed' WHERE id = :id", id=failed)
    home_publisher.opened("U0BOB")
    assert str(done) in seen(slack).plain
    home_publisher.filtered("U0BOB", HomeFilters(status=Status.FAILED, user_id="U0BOB"))

    def shown() -> tuple[bool, bool]:
        [table] = [block for block in seen(slack).blocks if block["type"] == "table"]
        numbers = {plain([{"type": "table", "rows": [row[:1]]}]) for row in table["rows"]}
        return str(done) in numbers, str(failed) in numbers

    assert shown() == (False, True)
    jobs.create(3)
    assert home_publisher.refresh() == 1
    assert shown() == (False, True)
    [menus] = [block for block in seen(slack).blocks if block["block_id"] == "home.filters"]
    assert [menu["initial_option"]["value"] for menu in menus["elements"]] == ["failed", "mine"]


def test_where_slack_takes_no_table_in_app_home_the_latest_are_lines_with_date_person_and_seconds(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    done = jobs.create(requester=BOB)
    jobs.run(
        "UPDATE traspaso.copy_jobs SET status = 'completed', finished_at = now() WHERE id = :id", id=done
    )
    slack.fault("views.publish", error="invalid_blocks")
    home_publisher.opened("U0BOB")
    view = seen(slack)
    assert [block for block in view.blocks if block["type"] == "table"] == []
    [line] = [each for each in view.plain.splitlines() if EN("Job {id}", id=done) in each]
    assert "<@U0BOB>" in line
    assert "<!date^" in line
    home_publisher.opened("U0BOB")
    assert [call.response["ok"] for call in slack.calls("views.publish")] == [False, True, True]


def test_many_people_and_jobs_stay_below_what_slack_takes_in_a_minute(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    for number in range(1, LATEST + 5):
        jobs.create(number, label="&" * 300)
    people = [slack.add_user(f"U0N{n}", f"n{n}", f"Person {n}").id for n in range(25)]
    for person in people:
        slack.add_to_group(person)
    for person in people:
        home_publisher.opened(person)
    for number in range(1, 10):
        jobs.run("UPDATE traspaso.copy_jobs SET copied_records = :n, total_records = 9", n=number)
        home_publisher.refresh()
    calls = slack.calls("views.publish")
    assert all(call.status == 200 and call.response["ok"] for call in calls)
    assert len(calls) == REFRESHES_A_MINUTE
    shown = [sum(call.args["user_id"] == person for call in calls) for person in people]
    assert max(shown) - min(shown) <= 1  # in turn, nobody is left out


def test_a_view_that_slack_had_no_room_for_comes_later(
    slack: LocalSlack, home_publisher: HomePublisher, jobs: Jobs
) -> None:
    home_publisher.opened("U0BOB")
    home_publisher.refresh()
    jobs.create()
    slack.fault("views.publish", status=429, retry_after=1)
    assert home_publisher.refresh() == 0
    slack.wait_for(lambda: home_publisher.refresh())
    assert EN("Queued: the next free worker takes it") in seen(slack).plain


def test_while_consulta_is_away_it_says_so_until_it_is_back(
    slack: LocalSlack, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, consulta_line: Proxy
) -> None:
    monkeypatch.setattr(panel_module, "PERSON_SECONDS", 0.0)
    url = jobs.engine.url.set(host="127.0.0.1", port=consulta_line.port)
    home_publisher = panel_of(slack, jobs, create_engine(url, poolclass=NullPool))
    consulta_line.refuse()
    home_publisher.opened("U0BOB")
    words = explained(Failure("unreachable", "", side="consulta", lines=["Connection refused"]), EN)
    assert words.what in seen(slack).plain
    assert words.step in seen(slack).plain
    with pytest.raises(SQLAlchemyError):
        home_publisher.refresh()
    consulta_line.allow()
    assert home_publisher.refresh() == 1
    assert EN("Nothing is running.") in seen(slack).plain
