"""Schedules: each due time is one firing, whoever sees it first and whoever dies; what is missed is told, and
nothing is confirmed by the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.app import build_app
from bot.config import CatalogueSection, CopySection, File, ScheduleSection, SetSection, SlackSection
from bot.i18n import translator
from bot.jobs.freezes import Freezes
from bot.jobs.models import Approval, ClaimLost, FiringState, RunKind
from bot.jobs.notifications import Fact, Notifications
from bot.jobs.outbox import Notices
from bot.jobs.repository import HomeRepository
from bot.jobs.schedules import BACK, MISSED_ROWS, Calendar, Firing, Schedules
from bot.jobs.view import HomeFilters, JobView, RunView
from bot.messages import run as run_words
from bot.messages import schedules as words
from bot.slack.access import Access, People
from bot.slack.client import client
from bot.slack.outbox_relay import NoticeRelay
from bot.work.scheduler import FiringRunner
from copier import TableName
from dev.local_slack.client import LocalSlack
from dev.local_slack.plain import plain
from tests.copying import ITEMS, Sides, engine
from tests.services import dispatched, parts_of
from tests.support import Clock
from tests.tracking import ANA, Jobs

TABLE, CHANNEL = TableName.parse("public.items"), "C0PAYROLL"
NOTES = TableName.parse("public.notes")
PLAIN_NOTES = CopySection(name="notes", source_table=NOTES, target_table=NOTES)
TWO = datetime(2026, 11, 27, 2, tzinfo=UTC)
DAY = timedelta(days=1)
NIGHTLY: dict[str, Any] = {
    "name": "nightly",
    "cron": "0 2 * * *",
    "copy": "items",
    "liquidation": 42,
    "as_user": "U0ANA",
    "channel": CHANNEL,
}
CATALOGUE = "CREATE TABLE liquidations (id bigint PRIMARY KEY, name text, status text)"
EN = translator("en")


def schedule(**values: Any) -> ScheduleSection:
    return ScheduleSection.model_validate(NIGHTLY | values)


def process(jobs: Jobs, *schedules: ScheduleSection) -> Schedules:
    """What one process knows."""
    return Schedules(jobs.engine, schedules)


def begun(jobs: Jobs, *schedules: ScheduleSection) -> Schedules:
    """A process that has had them since the evening before."""
    found = process(jobs, *schedules)
    assert not found.look(now=TWO - timedelta(hours=4))
    return found


def states(found: Schedules, name: str = "nightly") -> list[tuple[datetime, FiringState]]:
    return [(each.due_at, each.state) for each in found.latest(name, 100)]


# ------------------------------------------------------------------------------------------- what is due


def test_a_schedule_counts_from_the_first_process_that_has_it(jobs: Jobs) -> None:
    found = process(jobs, schedule())
    assert not found.look(now=TWO + timedelta(minutes=1))
    assert states(found) == []
    assert found.look(now=TWO + DAY)
    assert states(found) == [(TWO + DAY, FiringState.DUE)]


def test_of_ten_processes_that_see_a_due_time_at_once_one_makes_the_firing(jobs: Jobs) -> None:
    processes = [begun(jobs, schedule()) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda each: each.look(now=TWO + timedelta(seconds=1)), processes))
    assert states(processes[0]) == [(TWO, FiringState.DUE)]
    with ThreadPoolExecutor(10) as pool:
        taken = [each for each in pool.map(lambda each: each.take(), processes) if each]
    assert len(taken) == 1


def test_a_process_that_restarts_within_two_minutes_makes_the_firing_all_the_same(jobs: Jobs) -> None:
    begun(jobs, schedule())
    late = process(jobs, schedule())
    late.look(now=TWO + timedelta(seconds=110))
    assert states(late) == [(TWO, FiringState.DUE)]


def test_what_nobody_was_up_for_is_missed_and_told_once_and_not_made_up_for(jobs: Jobs) -> None:
    begun(jobs, schedule())
    later = TWO + 3 * DAY + timedelta(hours=5)
    processes = [process(jobs, schedule()) for _ in range(3)]
    for each in processes:
        each.look(now=later)
    assert states(processes[0]) == [(TWO + n * DAY, FiringState.MISSED) for n in (3, 2, 1, 0)]
    assert processes[0].take() is None
    notices = Notices(jobs.engine)
    notice, nothing = notices.take(), notices.take()
    assert notice is not None
    assert nothing is None
    told = processes[0].firing(notice.subject_id)
    assert told is not None
    assert (told.due_at, told.missed_before) == (TWO + 3 * DAY, 3)
    text = words.firing(told, {"items": "Ítems"}, EN, ("<@U0OPS>",)).text
    assert "missed, because neither the bot nor a worker was running. So were 3 due times before it." in text


def test_with_catch_up_the_newest_missed_one_is_run_within_its_grace(jobs: Jobs) -> None:
    nightly = schedule(catch_up=True, grace_minutes=120)
    begun(jobs, nightly)
    found = process(jobs, nightly)
    found.look(now=TWO + DAY + timedelta(hours=1))
    assert states(found) == [(TWO + DAY, FiringState.DUE), (TWO, FiringState.MISSED)]
    found.look(now=TWO + 2 * DAY + timedelta(hours=3))
    assert states(found)[0] == (TWO + 2 * DAY, FiringState.MISSED)


def test_after_a_year_of_nobody_a_schedule_of_each_minute_leaves_a_bounded_number_of_rows(
    jobs: Jobs,
) -> None:
    often = schedule(cron="*/30 * * * *")
    begun(jobs, often)
    found = process(jobs, often)
    found.look(now=TWO + 365 * DAY)
    due = [each for each in found.latest("nightly", 1000) if each.state is FiringState.DUE]
    assert len(found.latest("nightly", 1000)) == MISSED_ROWS + len(due)
    newest = next(each for each in found.latest("nightly") if each.state is FiringState.MISSED)
    assert newest.missed_before == BACK / timedelta(minutes=30) - len(due) - 1


def test_a_changed_time_fires_nothing_of_the_past_and_the_history_stays(jobs: Jobs) -> None:
    begun(jobs, schedule()).look(now=TWO)
    changed = process(jobs, schedule(cron="0 1 * * *"))
    changed.look(now=TWO + timedelta(hours=2))
    assert states(changed) == [(TWO, FiringState.DUE)]
    changed.look(now=TWO + timedelta(hours=23))
    assert states(changed)[0] == (TWO + timedelta(hours=23), FiringState.DUE)


def test_a_schedule_that_was_out_of_the_file_for_days_has_missed_nothing_when_it_comes_back(
    jobs: Jobs,
) -> None:
    begun(jobs, schedule())
    without = process(jobs)
    without.look(now=TWO - timedelta(hours=3))
    again = process(jobs, schedule())
    again.look(now=TWO + 5 * DAY + timedelta(hours=1))
    assert states(again) == []
    again.look(now=TWO + 6 * DAY)
    assert states(again) == [(TWO + 6 * DAY, FiringState.DUE)]


def test_on_both_days_on_which_the_clocks_change_it_fires_once(jobs: Jobs) -> None:
    ny = schedule(cron="30 1,2 * * *", time_zone="America/New_York")
    for day in (datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)):
        found = process(jobs, schedule(name=f"on-{day.month}", cron=ny.cron, time_zone=ny.time_zone))
        found.look(now=day)
        moment = day
        while moment < day + timedelta(hours=12):
            moment += timedelta(minutes=1)
            found.look(now=moment)
        local = [each.due_at for each in reversed(found.latest(f"on-{day.month}", 10))]
        expected = {3: [(6, 30), (7, 0)], 11: [(5, 30), (7, 30)]}[day.month]
        assert [(each.hour, each.minute) for each in local] == expected


def test_a_firing_is_left_to_processes_that_have_its_schedule(jobs: Jobs) -> None:
    begun(jobs, schedule()).look(now=TWO)
    assert process(jobs, schedule(name="other")).take() is None
    assert process(jobs, schedule()).take() is not None


# ------------------------------------------------------------------------------------- what a firing does


class Killed(BaseException):
    """The process is gone in the middle of what it did."""


@dataclass
class Site:
    """Both sides with a table and a catalogue, the tracking tables, and a workspace."""

    jobs: Jobs
    sides: Sides
    slack: LocalSlack
    clock: Clock

    def runner(self, found: Schedules, *schedules: ScheduleSection, **copy: Any) -> FiringRunner:
        file = File(
            slack=SlackSection(admin_groups=("S0ADMINS",)),
            liquidations=CatalogueSection(table=TableName.parse("public.liquidations")),
            copies=(CopySection(name="items", source_table=TABLE, target_table=TABLE, **copy), self.notes),
            sets=(SetSection(name="completa", title="Completa", copies=("items", "notes")),),
            schedules=schedules,
        )
        web = client(self.slack.bot_token, self.slack.api_url)
        return FiringRunner(
            found,
            file,
            prod=engine(self.prod_url or self.sides.prod.url),
            consulta=engine(self.sides.consulta.url),
            store=self.jobs.store,
            freezes=Freezes(self.jobs.engine),
            access=Access(web, file.slack, file.copies, clock=self.clock),
            people=People(web, "es"),
            enqueue=self.enqueue,
            wake=lambda: None,
        )

    enqueue: Callable[[int], bool] = lambda job_id: True
    prod_url: str = ""
    notes: CopySection = PLAIN_NOTES

    def due(self, **values: Any) -> tuple[Schedules, ScheduleSection]:
        """The one firing that is due now, of a schedule with these settings."""
        each = schedule(**{"cron": "* * * * *"} | values)
        found = process(self.jobs, each)
        now = datetime.now(UTC)
        found.look(
            now=now - timedelta(minutes=1)
        )  # whatever the second: one minute begins after it, up to now
        assert found.look(now=now)
        return found, each

    def fired(self, **values: Any) -> Firing:
        """What became of it."""
        copy = values.pop("copy_settings", {})
        found, each = self.due(**values)
        assert self.runner(found, each, **copy).run_due() == 1
        return found.latest("nightly", 1)[0]

    def created(self) -> list[JobView]:
        return sorted(self.jobs.store.live(), key=lambda job: job.id)


@pytest.fixture
def site(jobs: Jobs, sides: Sides, slack: LocalSlack) -> Site:
    sides.both(ITEMS)
    sides.prod.execute(
        CATALOGUE + "; INSERT INTO liquidations VALUES (42, 'Octubre', 'open'), (43, 'Bajas', 'open'), "
        "(44, 'Vacaciones', 'closed'), (45, 'Nada', 'open'); "
        "INSERT INTO items SELECT g, 42 + g % 3, 1, 'x' FROM generate_series(1, 300) g"
    )
    return Site(jobs, sides, slack, Clock())


def test_a_firing_asks_for_its_copy_as_its_user_and_says_so_on_the_card(site: Site) -> None:
    firing = site.fired()
    [job] = site.created()
    assert (firing.state, firing.jobs, firing.needs_notice) == (FiringState.DONE, [job.id], False)
    assert (job.liquidation_id, job.requester_id, job.channel_id, job.schedule) == (
        42,
        "U0ANA",
        CHANNEL,
        "nightly",
    )
    assert (job.terms.in_prod, job.label, job.requester_team) == (100, "Octubre", "T0ACME")
    assert Notices(site.jobs.engine).take() is None


def test_the_reason_of_a_schedule_is_that_of_its_copies(site: Site) -> None:
    site.fired(reason="copia nocturna", copy_settings={"require_reason": True})
    assert [job.request_reason for job in site.created()] == ["copia nocturna"]


def test_the_open_ones_of_the_catalogue_are_copied_newest_first_up_to_the_limit(site: Site) -> None:
    firing = site.fired(liquidation=None, liquidations={"where": "status = 'open'"}, limit=2)
    assert [job.liquidation_id for job in site.created()] == [43]
    outcomes = [(each["liquidation"], each["outcome"]) for each in firing.results]
    assert (outcomes, firing.more_fit) == ([(45, "nothing"), (43, "started")], True)
    text = words.firing(firing, {}, EN).text
    assert "1 copy was asked for. More liquidations fit than its limit lets through" in text
    assert "• 45: has rows on neither side" in text


def test_a_liquidation_that_is_being_copied_already_gets_no_second_job(site: Site) -> None:
    live = site.jobs.store.create(site.jobs.request(42))[0]
    firing = site.fired()
    assert firing.results == ({"liquidation": 42, "outcome": "live", "job": live},)
    assert f"• 42: job {live} copies it already" in words.firing(firing, {}, EN).text


def test_who_may_not_copy_any_more_gets_nothing_and_the_channel_is_told(site: Site) -> None:
    site.slack.remove_from_group("U0ANA")
    firing = site.fired()
    assert (firing.state, site.created()) == (FiringState.REFUSED, [])
    assert "<@U0ANA> may not copy" in words.firing(firing, {}, EN).text


def test_while_slack_doesn_t_say_whether_they_may_it_waits_and_then_gives_up(site: Site) -> None:
    site.slack.fault("usergroups.users.list", times=50, error="internal_error")
    firing = site.fired()
    assert (firing.state, firing.reason, site.created()) == (FiringState.DUE, "permission_not_known", [])
    site.jobs.run(
        "UPDATE traspaso.schedule_firings SET due_at = due_at - interval '16 min', next_try_at = now()"
    )
    found = process(site.jobs, schedule(cron="* * * * *"))
    assert site.runner(found, schedule(cron="* * * * *")).run_due() == 1
    assert states(found)[0][1] is FiringState.FAILED
    assert "Slack didn't say in time" in words.firing(found.latest("nightly")[0], {}, EN).text


@pytest.mark.parametrize("catch_up, state", [(False, FiringState.FROZEN), (True, FiringState.DUE)])
def test_in_a_freeze_nothing_begins_and_only_who_catches_up_waits_for_its_end(
    site: Site, catch_up: bool, state: FiringState
) -> None:
    site.jobs.freezes.freeze(ANA, "cierre")
    firing = site.fired(catch_up=catch_up)
    assert (firing.state, site.created()) == (state, [])
    site.jobs.freezes.lift(ANA)
    site.jobs.run("UPDATE traspaso.schedule_firings SET next_try_at = now()")
    each = schedule(cron="* * * * *", catch_up=catch_up)
    site.runner(process(site.jobs, each), each).run_due()
    assert len(site.created()) == catch_up


def test_what_needs_an_approval_waits_for_it_as_after_a_press(site: Site) -> None:
    queued: list[int] = []
    site.enqueue = lambda job_id: queued.append(job_id) is None
    site.fired(copy_settings={"require_approval": True})
    [job] = site.created()
    assert (job.approval, queued) == (Approval.WAITING, [])
    assert job.approvers == ("<!subteam^S0ADMINS>",)


def test_the_clock_agrees_to_no_removal(site: Site) -> None:
    site.sides.consulta.execute("INSERT INTO items SELECT g, 42, 1, 'x' FROM generate_series(1, 500) g")
    site.fired()
    [job] = site.created()
    assert job.terms.broken_by(100, 500, needs_approval=False, approved=False) is not None
    assert job.terms.broken_by(0, 500, needs_approval=False, approved=False) is not None
    assert job.terms.broken_by(100, 105, needs_approval=False, approved=False) is None


def test_a_firing_whose_process_was_killed_is_gone_on_with_and_no_copy_is_asked_for_twice(
    site: Site,
) -> None:
    each = schedule(cron="* * * * *", liquidation=None, liquidations={"where": "id < 45"}, as_user="U0BOB")
    found, _ = site.due(**each.model_dump(by_alias=True, exclude={"name"}))

    def killed(job_id: int) -> bool:
        raise Killed

    site.enqueue = killed
    with pytest.raises(Killed):
        site.runner(found, each).run_due()
    assert [job.liquidation_id for job in site.created()] == [44]
    # The catalogue changes meanwhile: what was chosen stays.
    site.sides.prod.execute("DELETE FROM items WHERE liquidation_id = 43; DELETE FROM liquidations")
    site.sides.prod.execute("INSERT INTO liquidations VALUES (42, 'a', ''), (43, 'b', ''), (41, 'c', '')")
    site.enqueue = lambda job_id: True
    other = process(site.jobs, each)
    assert other.take() is None  # it is in the hands of the lost one
    site.jobs.run("UPDATE traspaso.schedule_firings SET claimed_until = now() - interval '1 s'")
    assert site.runner(other, each).run_due() == 1
    assert [job.liquidation_id for job in site.created()] == [44, 42]
    firing = other.latest("nightly", 1)[0]
    outcomes = [(line["liquidation"], line["outcome"]) for line in firing.results]
    assert outcomes == [(44, "started"), (43, "nothing"), (42, "started")]


def test_a_process_back_from_a_long_pause_can_change_nothing_of_a_firing_that_another_one_has(
    site: Site,
) -> None:
    found, each = site.due()
    first = found.take()
    assert first is not None
    site.jobs.run("UPDATE traspaso.schedule_firings SET claimed_until = now() - interval '1 s'")
    second = process(site.jobs, each).take()
    assert second is not None
    for step in (
        lambda: found.hold(first),
        lambda: found.add(first, {}),
        lambda: found.end(first, FiringState.DONE),
    ):
        with pytest.raises(ClaimLost):
            step()


def test_while_prod_is_away_a_firing_is_tried_again(site: Site) -> None:
    site.prod_url = "postgresql://postgres@127.0.0.1:1/prod"
    firing = site.fired()
    assert (firing.state, firing.reason, site.created()) == (FiringState.DUE, "unreachable", [])
    site.prod_url = ""
    site.jobs.run("UPDATE traspaso.schedule_firings SET next_try_at = now()")
    each = schedule(cron="* * * * *")
    site.runner(process(site.jobs, each), each).run_due()
    assert [job.liquidation_id for job in site.created()] == [42]


def test_a_catalogue_that_is_missing_ends_a_firing_at_once_and_is_named(site: Site) -> None:
    site.sides.prod.execute("DROP TABLE liquidations")
    firing = site.fired(liquidation=None, liquidations={"newest": 1})
    assert (firing.state, firing.needs_notice) == (FiringState.FAILED, True)
    assert "liquidations" in words.firing(firing, {}, EN).text


# --------------------------------------------------------------------------------------- what is told of it


# ------------------------------------------------------------------------------------ a schedule of a set


SET = {"copy": None, "set": "completa"}


@pytest.fixture
def whole(site: Site) -> Site:
    """A second table of the same liquidations, which a set copies with the first."""
    site.sides.both("CREATE TABLE notes (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, body text)")
    site.sides.prod.execute("INSERT INTO notes SELECT g, 42 + g % 3, 'x' FROM generate_series(1, 30) g")
    return site


def runs(site: Site) -> list[RunView]:
    found = site.jobs.store.runs_of(site.created())
    return [found[number] for number in sorted(found)]


def test_a_schedule_of_a_set_asks_for_one_run_of_each_liquidation_with_all_its_tables(whole: Site) -> None:
    # Nobody has a row of 45 in any of the tables.
    firing = whole.fired(**SET, liquidation=None, liquidations={"where": "id IN (42, 44, 45)"})
    assert [(line["liquidation"], line["outcome"]) for line in firing.results] == [
        (45, "nothing"),
        (44, "started"),
        (42, "started"),
    ]
    first, second = runs(whole)
    assert [(run.kind, run.set_name, run.liquidations, run.channel_id) for run in (first, second)] == [
        (RunKind.SET, "completa", (number,), CHANNEL) for number in (44, 42)
    ]
    assert [(job.copy_name, job.schedule, job.terms.in_prod) for job in first.jobs] == [
        ("items", "nightly", 100),
        ("notes", "nightly", 10),
    ]
    assert "Requested by the schedule `nightly`, as <@U0ANA>" in str(run_words.card(first, EN).blocks)
    text = words.firing(firing, {"completa": "Completa"}, EN).text
    assert "“Completa”" in text
    assert "The set of 2 liquidations was asked for." in text


def test_a_set_of_which_a_table_is_being_copied_already_gets_no_second_job(whole: Site) -> None:
    live = whole.jobs.create(42, spec=whole.notes.spec)
    firing = whole.fired(**SET)
    assert firing.results == ({"liquidation": 42, "outcome": "live", "job": live},)
    assert [job.id for job in whole.created()] == [live]
    assert f"• 42: job {live} copies a table of it already" in words.firing(firing, {}, EN).text


def test_who_may_not_run_one_copy_of_a_set_has_nothing_of_it_copied_by_the_clock(whole: Site) -> None:
    whole.notes = CopySection(
        name="notes", source_table=NOTES, target_table=NOTES, allowed_users=("U0SOMEBODY",)
    )
    assert whole.fired(**SET).state is FiringState.REFUSED
    assert whole.created() == []


def test_a_set_of_which_one_copy_needs_an_approval_waits_for_it_with_the_others(whole: Site) -> None:
    whole.notes = CopySection(name="notes", source_table=NOTES, target_table=NOTES, require_approval=True)
    queued = list[int]()
    whole.enqueue = lambda job_id: bool(queued.append(job_id)) or True
    whole.fired(**SET)
    [run] = runs(whole)
    assert [job.copy_name for job in run.waiting_for_approval] == ["notes"]
    assert queued == []
    assert whole.jobs.executions.claim_set(run.jobs[0].id, "host:1") == []


def test_a_firing_of_a_set_whose_process_was_killed_is_gone_on_with_and_asks_for_no_second_run(
    whole: Site,
) -> None:
    found, each = whole.due(**SET)

    def killed(job_id: int) -> bool:
        raise Killed

    whole.enqueue = killed
    with pytest.raises(Killed):
        whole.runner(found, each).run_due()
    [run] = runs(whole)
    whole.enqueue = lambda job_id: True
    whole.jobs.run("UPDATE traspaso.schedule_firings SET claimed_until = now() - interval '1 s'")
    assert whole.runner(process(whole.jobs, each), each).run_due() == 1
    assert [each.id for each in runs(whole)] == [run.id]
    assert found.latest("nightly", 1)[0].results == (
        {"liquidation": 42, "outcome": "started", "job": run.jobs[0].id, "run": run.id},
    )


def test_in_a_freeze_no_set_begins_by_the_clock(whole: Site) -> None:
    Freezes(whole.jobs.engine).freeze(ANA, "cierre", None)
    assert whole.fired(**SET).state is FiringState.FROZEN
    assert whole.created() == []


def test_a_missed_set_is_told_to_whoever_any_of_its_copies_names(jobs: Jobs) -> None:
    nightly = schedule(**SET)
    begun(jobs, nightly)
    process(jobs, nightly).look(now=TWO + DAY - timedelta(hours=1))
    copies = [{"name": n, "source_table": f"public.{n}", "target_table": f"public.{n}"} for n in ("a", "b")]
    copies[0] |= {"notify": ["a-mail"]}  # type: ignore[dict-item]
    chosen = {"name": "completa", "copies": ["a", "b"]}
    file = File.model_validate({"copies": copies, "sets": [chosen], "notify": {"destinations": ["ops"]}})
    told = list[tuple[str, ...]]()

    def destinations_of(fact: Fact) -> list[str]:
        told.append((fact.occasion, fact.set_name or ""))
        return [name for copy in chosen["copies"] for name in file.told(fact.occasion, copy)]

    assert Notifications(jobs.engine).spread(destinations_of) == ["a-mail", "ops"]
    assert told == [("missed_schedule", "completa")]


def test_a_notice_is_posted_once_though_slack_s_first_answer_was_lost(site: Site) -> None:
    site.slack.remove_from_group("U0ANA")
    firing = site.fired()
    site.slack.fault("chat.postMessage", accept_then_drop=True)
    web = client(site.slack.bot_token, site.slack.api_url)
    relay = NoticeRelay(
        Notices(site.jobs.engine), web, lambda notice: words.firing(firing, {"items": "Ítems"}, EN)
    )
    relay.deliver_due()
    site.jobs.run("UPDATE traspaso.channel_notices SET next_try_at = now()")
    relay.deliver_due()
    told = [each for each in site.slack.user("U0ANA").messages(CHANNEL) if "nightly" in each.text]
    assert len(told) == 1
    assert "“Ítems”" in plain(told[0].blocks, "")
    assert Notices(site.jobs.engine).take() is None


def test_where_its_channel_takes_nothing_its_user_is_told_in_person(site: Site) -> None:
    site.slack.remove_from_group("U0ANA")
    firing = site.fired()
    site.slack.archive(CHANNEL)
    web = client(site.slack.bot_token, site.slack.api_url)
    NoticeRelay(Notices(site.jobs.engine), web, lambda notice: words.firing(firing, {}, EN)).deliver_due()
    person = site.slack.user("U0ANA")
    assert any("nightly" in each.text for each in person.messages(person.dm_with("U0BOT")))


# ------------------------------------------------------------------------------------------ what comes next


FILE = {
    "slack": {"admin_groups": ["S0ADMINS"]},
    "copies": [{"name": "items", "title": "Ítems", "source_table": "items", "target_table": "items"}],
    "schedules": [NIGHTLY, NIGHTLY | {"name": "noon", "cron": "0 12 * * *"}],
    "freezes": [{"name": "closing", "cron": "0 8 1 * *", "lasts": "2h"}],
}


def test_app_home_names_what_is_next_and_is_shown_anew_when_it_begins(jobs: Jobs) -> None:
    found = begun(jobs, schedule())
    reader = HomeRepository(jobs.engine, jobs.store, Calendar(File.model_validate(FILE)))
    seen = reader.read("U0ANA", HomeFilters())
    assert {each.schedule for each in seen.coming} == {"noon", "nightly"}
    assert seen.window is not None
    assert seen.window.begin > datetime.now(UTC)
    before = reader.mark()
    assert reader.mark() == before
    found.look(now=TWO)
    due = reader.mark()
    assert due != before
    firing = found.take()
    assert firing is not None
    found.end(firing, FiringState.DONE)
    assert reader.mark() != due


def test_copy_status_names_the_schedule_that_is_next(jobs: Jobs, slack: LocalSlack) -> None:
    web = client(slack.bot_token, slack.api_url)
    app = build_app(parts_of(web, jobs, file=File.model_validate(FILE)), web)
    body = {"type": "slash_commands", "command": "/copy-status", "team_id": "T0ACME", "user_id": "U0BOB"}
    body |= {"text": "", "response_url": f"{slack.url}/response/none", "channel_id": CHANNEL}
    dispatched(app, body)
    [answer] = slack.wait_for(lambda: slack.calls("response_url"))
    coming = Calendar(File.model_validate(FILE)).next_firings(datetime.now(UTC))[0]
    assert f"Schedule `{coming.schedule}`, “Ítems”" in str(answer.args["blocks"])


def test_the_calendar_names_the_next_due_times_and_the_next_window() -> None:
    calendar = Calendar(File.model_validate(FILE))
    coming = calendar.next_firings(TWO)
    assert [(each.schedule, each.copy_shown, each.at) for each in coming] == [
        ("noon", "Ítems", TWO + timedelta(hours=10)),
        ("nightly", "Ítems", TWO + DAY),
    ]
    window = calendar.next_window(TWO)
    assert window is not None
    assert (window.name, window.begin, window.end - window.begin) == (
        "closing",
        datetime(2026, 12, 1, 8, tzinfo=UTC),
        timedelta(hours=2),
    )
