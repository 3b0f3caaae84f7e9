"""Messages are functions of what they show: the same for the same, and valid whatever the names are."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings

from bot.commands.registry import help_lines
from bot.jobs.events import CardMoved, event_of
from bot.jobs.failure import CODES, Failure
from bot.jobs.models import Approval, Status, StopReason
from bot.jobs.repository import Happening, SlowChunk, Timeline
from bot.jobs.view import Freeze, Moved, NoWorker, Person
from bot.messages import answers, proposal, question, status
from bot.messages.blocks import Message, code, sanitized
from bot.messages.card import CANCEL_ACTION, PAUSE_ACTION, buttons_for, card, reply
from bot.messages.failure_texts import WORDS, explained
from bot.messages.proposal import Carried
from bot.messages.status import details
from copier import Count
from dev.local_slack.plain import plain
from dev.messages.samples import SAMPLES
from tests.shown import (
    ASKED,
    BOB,
    DETAILS,
    DONE,
    EN,
    ES,
    EVENTS,
    FREEZE,
    GROUP,
    NOW,
    SHAPES,
    UNSTARTED,
    check,
    check_view,
    ended,
    job,
    looked,
    names,
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("t", [EN, ES], ids=["en", "es"])
def test_every_state_has_a_card_and_an_ending_that_slack_takes(shape: dict[str, Any], t: Any) -> None:
    seen = job(**shape)
    assert check(card(seen, t)) == card(seen, t)
    assert "42" in plain(card(seen, t).blocks)
    if not seen.status.is_live:
        assert check(reply(seen, t)) == reply(seen, t)
        assert "<@U0ANA>" in reply(seen, t).text
    check(status.detail(seen, "https://acme.slack.com/archives/C0/p1", t))


def test_each_state_says_something_else() -> None:
    said = [plain(card(job(**shape), EN).blocks) for shape in SHAPES]
    assert len(set(said)) == len(SHAPES)


@pytest.mark.parametrize("t", [EN, ES], ids=["en", "es"])
def test_slack_makes_no_link_and_no_mention_of_what_others_wrote(t: Any) -> None:
    """Only with ``verbatim`` an address, a channel or a name stays what it is in the words: text."""

    def texts(found: Any) -> Iterator[dict[str, Any]]:
        if isinstance(found, list):
            for each in found:
                yield from texts(each)
        elif isinstance(found, dict):
            if found.get("type") == "mrkdwn":
                yield found
            yield from texts(list(found.values()))

    for sample in SAMPLES:
        made = sample.make(t)
        for text in texts(made.blocks if isinstance(made, Message) else made):
            assert text["verbatim"] is True, (sample.section, sample.name, text)


def test_channels_that_are_shared_with_others_are_not_offered_in_the_modal() -> None:
    view = proposal.choose(Carried(asks_channel=True), ["items"], has_catalogue=True, t=EN)
    [menu] = [each["element"] for each in view["blocks"] if each["element"]["type"] == "conversations_select"]
    assert menu["filter"]["exclude_external_shared_channels"] is True


def test_a_card_is_not_changed_by_being_shown_twice() -> None:
    seen = job()
    before = card(seen, EN)
    status.detail(seen, "https://x", EN)
    assert card(seen, EN) == before
    assert card(dataclasses.replace(seen, copied=125_000), EN) != before


@settings(max_examples=40)
@given(name=names, table=names, user=names)
@example(name="&" * 3000, table="<" * 3000, user="`" * 100)
def test_hostile_names_break_no_message(name: str, table: str, user: str) -> None:
    error = Failure(
        "unique", "", side="consulta", table=table, constraint=name, column=user, lines=[name, table] * 5
    )
    for shape, t in itertools.product(SHAPES, (EN, ES)):
        seen = job(
            **shape
            | {"label": name, "source_table": table, "target_table": table, "requester_name": user}
            | {"copy_title": name[:60]}
        )
        check(card(seen, t))
        check(answers.running_already(seen, None, t))
        check(answers.running_already(dataclasses.replace(seen, channel_id=None), "https://x", t))
        check(answers.pressed_before(seen, "https://x", t))
        for message in (question.own_request, question.approved, question.rejected, question.too_late):
            check(message(dataclasses.replace(seen, approval_by=Person("U0BOB", "T0", name)), t))
            check(message(seen, t))
        for side in (Count(None, False), Count(0, True), Count(7, True)):
            check(looked(name, table, side, seen, t))
    for failure_code in [*WORDS, "nosuch"]:
        failed = job(
            status=Status.FAILED,
            phase=None,
            finished_at=NOW,
            error=dataclasses.replace(error, code=failure_code),
        )
        check(card(failed, ES))
        check(reply(failed, ES))
        check(status.detail(failed, None, ES))
    for message in (
        answers.not_a_number(name, ES),
        status.usage(name, ES),
        answers.unknown_copy(name, ["items"] * 30, ES),
        answers.cannot_check(name, ES),
        answers.unknown_liquidation(name[:60], 42, table, ES),
        answers.empty_liquidation(name[:60], 42, name, ES),
        answers.problem(explained(error, ES)),
        answers.incident("0123abcd", ES),
        answers.refused("/copy-liquidation", ["<!subteam^S0ADMINS>"], ES),
        answers.refused("/copy-liquidation", [], ES),
        answers.refused("/copy-liquidation", [], ES, "items"),
        answers.not_a_number(name, ES, "/copy-liquidation 42"),
        answers.unknown_copy(name, ["a" * 31] * 30, ES, None, "/copy-liquidation 42 items"),
        answers.help_text(
            help_lines(["a" * 31] * 60, ES), [GROUP] * 60, ES, [("a" * 31, ["<@U0ANA>"] * 60)] * 60
        ),
        answers.requested(
            job(status=Status.PENDING, approval=Approval.WAITING, approvers=(GROUP,) * 60), None, ES
        ),
        card(job(status=Status.PENDING, no_worker=NoWorker(NOW, (GROUP,) * 60)), ES),
        question.no_such(name, ES),
        question.not_in_private("items", ES),
        answers.still_frozen(Freeze(Person("U0BOB", "T0ACME", user), name, NOW), ES),
        answers.refused_because_frozen(Freeze(Person(user, "shell", user), name, NOW), ES),
        answers.not_now(job(status=Status.COMPLETED, label=name), None, ES),
        answers.not_yours(job(requester_team="shell", requester_name=user), ES),
        answers.copy_not_configured(job(copy_name=name), ES),
    ):
        check(message)
    detail = {"worker": name, "seconds": 5.0, **error.as_json()}
    moved = Happening(CardMoved(Moved("C0", name)), NOW, 1, None)
    kinds = [*EVENTS, name or "?"]
    people = (None, Person("U0BOB", "T0ACME", name), Person(user, "shell", user))
    story = [
        Happening(event_of(kind, DETAILS.get(kind, detail)), NOW, 1, person)
        for kind in kinds
        for person in people
    ]
    check_view(details(job(label=name), Timeline((*story, moved), (SlowChunk(3, 5, 1.5),)), ES))


def offered(shape: dict[str, Any]) -> list[str]:
    [row] = buttons_for(job(**shape), EN)
    return [element["action_id"].removeprefix("job.") for element in row["elements"]]


def test_a_card_offers_what_fits_its_state_and_nothing_else() -> None:
    ways = {
        "pending": ({"status": Status.PENDING, "phase": None}, ["pause", "cancel", "details", "tell"]),
        "running": ({}, ["pause", "cancel", "details", "tell"]),
        "pausing": ({"stop_requested": StopReason.PAUSE}, ["resume", "cancel", "details", "tell"]),
        "cancelling": ({"stop_requested": StopReason.CANCEL}, ["details", "tell"]),
        "paused": ({"status": Status.PAUSED, "phase": None}, ["resume", "cancel", "details", "tell"]),
        "completed": (ended(Status.COMPLETED), ["details"]),
        "failed": (ended(Status.FAILED), ["retry", "details"]),
        "cancelled": (ended(Status.CANCELLED), ["details"]),
    }
    for shape, wanted in ways.values():
        assert offered(shape) == wanted


def test_cancelling_is_asked_about_before_it_counts() -> None:
    [row] = buttons_for(job(), ES)
    by_action = {element["action_id"]: element for element in row["elements"]}
    assert "confirm" in by_action[CANCEL_ACTION]
    assert "confirm" not in by_action[PAUSE_ACTION]


def test_the_time_left_is_not_available_until_it_is_known() -> None:
    assert "time left N/A" in plain(card(job(copied=0), EN).blocks)
    assert "time left 4.8 s" in plain(card(job(copied=125_000, total=200_000), EN).blocks)


def test_who_froze_and_why_stands_on_every_live_card() -> None:
    for shape in SHAPES:
        seen = job(**shape | {"freeze": FREEZE, "stop_requested": None, "lease_until": None})
        said = plain(card(seen, EN).blocks)
        assert ("Frozen by <@U0BOB>: mantenimiento" in said) == seen.status.is_live


@pytest.mark.parametrize("t", [EN, ES], ids=["en", "es"])
@pytest.mark.parametrize("failure_code", sorted({*CODES.values(), *WORDS, "unknown", "nosuch"}))
def test_every_failure_has_words_and_a_next_step(failure_code: str, t: Any) -> None:
    failure = Failure(
        failure_code,
        "",
        side="consulta",
        table="public.t_x",
        column="c_x",
        constraint="k_x",
        sqlstate="23505",
    )
    words = explained(failure, t)
    bare = explained(Failure(failure_code, ""), t)
    for text in (words.what, words.step, bare.what, bare.step):
        assert text.strip()
        assert "{" not in text
    assert words.what != words.step


def test_the_card_of_a_copy_that_waits_for_approval_says_who_and_until_when() -> None:
    waiting = job(status=Status.PENDING, **UNSTARTED, **ASKED)
    said = plain(card(waiting, EN).blocks)
    for part in ("<@U0ANA>", "<!subteam^S0ADMINS>", "<@U0CARLA>", "200,000", "Approve", "Reject"):
        assert part in said
    assert f"<!date^{int((NOW + timedelta(hours=24)).timestamp())}^" in said
    assert EN("waiting for approval") in card(waiting, EN).text
    approved = dataclasses.replace(waiting, approval=Approval.APPROVED, approval_by=BOB)
    assert "<@U0BOB>" in plain(card(approved, EN).blocks)
    assert "Reject" not in plain(card(approved, EN).blocks)


def test_the_receipt_says_who_approved() -> None:
    done = dataclasses.replace(DONE, approval=Approval.APPROVED, approval_by=BOB)
    assert EN("approved by {user}", user="<@U0BOB>") in plain(reply(done, EN).blocks)
    assert "approved" not in plain(reply(DONE, EN).blocks)


def test_all_codes_of_the_failures_have_words_of_their_own() -> None:
    assert sorted(set(CODES.values()) - set(WORDS)) == []


def test_a_name_in_code_can_be_copied_as_it_is() -> None:
    assert code("public.liquidation_items_2*") == "`public.liquidation_items_2*`"
    assert code("a`b<c>&\nd") == "`aˋb&lt;c&gt;&amp; d`"
    assert "_" not in sanitized("_it_")


def test_what_slack_shows_at_the_time_of_the_snapshot_is_its_own_date() -> None:
    seen = job()
    assert seen.as_of is not None
    assert f"<!date^{int(seen.as_of.timestamp())}^" in plain(card(seen, EN).blocks)
