"""Lists of jobs stay within the limits of Slack: /copy-status, its tables and App Home."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.jobs.models import Approval, Status
from bot.jobs.view import AgreedCounts, Freeze, HomeFilters, HomeView, Person
from bot.messages import home, status
from dev.local_slack.plain import plain
from tests.shown import EN, ES, NOW, QUESTIONS, SHAPES, check, check_view, job, names


@settings(max_examples=50)
@given(st.lists(st.sampled_from(SHAPES), max_size=40), names)
def test_a_long_list_of_jobs_is_shown_within_slack_s_limits(shapes: list[dict[str, Any]], name: str) -> None:
    jobs = [job(**shape | {"id": number, "label": name}) for number, shape in enumerate(shapes, 1)]
    live = [each for each in jobs if each.status.is_live]
    latest = [each for each in jobs if not each.status.is_live][:10]
    links = {each.id: f"https://acme.slack.com/archives/C0PAYROLL/p{each.id:016}" for each in jobs}
    message = check(status.overview(live, latest, links, EN))
    hidden = len(live) - status.SHOWN
    assert (f"and {hidden} more" in plain(message.blocks)) == (hidden > 0)


def test_long_lists_of_latest_jobs_keep_their_links_whole() -> None:
    jobs = [job(**SHAPES[12] | {"id": number, "label": "&" * 300}) for number in range(1, 11)]
    links = {each.id: f"https://acme.slack.com/archives/C0PAYROLL/p{each.id:016}" for each in jobs}
    for message in (status.overview([], jobs, links, EN), status.of_user(jobs, links, EN)):
        [table] = [block for block in check(message).blocks if block["type"] == "table"]
        linked = [row[0]["elements"][0]["elements"][0]["url"] for row in table["rows"][1:]]
        assert linked == list(links.values())
        assert len(json.dumps(table["rows"])) < 10_000


@settings(max_examples=30)
@given(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=20), names)
def test_tables_take_any_name(shapes: list[dict[str, Any]], name: str) -> None:
    jobs = [
        job(**shape | {"id": number, "label": name, "requester_name": name, "channel_id": None})
        for number, shape in enumerate(shapes, 1)
    ]
    check(status.of_liquidation(42, jobs, {}, ES))
    check(status.of_user(jobs, {}, EN))


@settings(max_examples=40)
@given(st.lists(st.sampled_from(SHAPES), max_size=60), names)
@example([SHAPES[5]] * 60, "&" * 3000)
def test_app_home_takes_any_jobs_and_names(shapes: list[dict[str, Any]], name: str) -> None:
    jobs = [
        job(**shape | {"id": number, "label": name, "requester_name": name, "requester_team": "shell"})
        for number, shape in enumerate(shapes, 1)
    ]
    waiting = [
        dataclasses.replace(
            each, approval=Approval.WAITING, terms=AgreedCounts(each.id, None, removal_confirmed=False)
        )
        for each in jobs
        if each.status is Status.PENDING
    ]
    live = [each for each in jobs if each.status.is_live and each.status is not Status.PENDING]
    seen = HomeView(
        "U0BOB",
        (*live, *waiting),
        tuple(each for each in jobs if not each.status.is_live)[:20],
        HomeFilters(Status.FAILED, "U0BOB"),
        Freeze(Person("U1", "shell", name), name, NOW),
    )
    links = {each.id: f"https://acme.slack.com/archives/C0PAYROLL/p{each.id:016}" for each in jobs}
    for t in (EN, ES):
        check_view(home.home(seen, links, frozenset(job.copy_name for job in jobs[::2]), t))


def test_a_copy_that_is_queued_names_only_those_before_it_that_stand_in_its_way() -> None:
    running, queued = job(id=1), job(**SHAPES[0] | {"id": 5, "ahead": 1})
    asking = [job(**SHAPES[4] | {"id": 2}), job(**SHAPES[0] | {"id": 3, "question": QUESTIONS[0]})]
    said = status.waits_for(queued, [running, *asking, queued], EN)
    assert said.endswith("(job 1)")


def test_what_a_menu_doesn_t_know_filters_nothing() -> None:
    assert home.filters_of("all", "all", "U0BOB") == HomeFilters()
    assert home.filters_of("running", "x", "U0BOB") == HomeFilters()
    assert home.filters_of("failed", "mine", "U0BOB") == HomeFilters(Status.FAILED, "U0BOB")
