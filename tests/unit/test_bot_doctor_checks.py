"""No check of the doctor hides another one, whatever becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from bot.config import Settings
from bot.doctor import CHECKS
from bot.doctor.checks import IDS, Check, Context, Finding, FindingStatus, Unknown, ok, run_checks
from bot.doctor.databases import wanted_by_a_copy
from copier.errors import BadName

Look = Callable[[Context], Iterator[Finding]]


def examined(look: Look, *, seconds: float = 20.0) -> dict[str, Finding]:
    """What comes of it beside a check that is well."""
    ids = ("prod.reachable", "prod.version")
    checks = [
        Check(ids, look, sets=("prod",)),
        Check(("redis.version",), well),
        Check(("clock.prod",), builds),
    ]
    found = run_checks(Context(Settings()), checks, limit_seconds=seconds)
    return {each.id: each for each in found}


def well(context: Context) -> Iterator[Finding]:
    yield ok("redis.version", "fine")


def builds(context: Context) -> Iterator[Finding]:
    context.prod.get()
    yield ok("clock.prod", "fine")


def test_a_check_that_breaks_off_fails_with_its_class_and_no_words_of_the_error() -> None:
    def look(context: Context) -> Iterator[Finding]:
        yield ok("prod.reachable", "fine")
        raise RuntimeError("a value of a row")

    found = examined(look)
    assert found["prod.reachable"].status is FindingStatus.OK
    assert found["prod.version"].status is FindingStatus.FAILED
    assert found["prod.version"].sentence == "the look at it broke off (RuntimeError)"
    assert found["prod.version"].step == "`traspaso -v doctor` says where"
    assert found["clock.prod"].status is FindingStatus.SKIPPED
    assert found["redis.version"].status is FindingStatus.OK


def test_an_error_that_is_meant_for_people_is_said_as_it_is() -> None:
    def look(context: Context) -> Iterator[Finding]:
        raise BadName("that is no name")
        yield ok("", "")

    found = examined(look)
    assert (found["prod.reachable"].status, found["prod.reachable"].sentence) == ("failed", "that is no name")
    assert found["prod.version"].status is FindingStatus.SKIPPED


def test_what_builds_upon_something_unknown_is_skipped_with_its_reason() -> None:
    def look(context: Context) -> Iterator[Finding]:
        raise Unknown("prod is closed today")
        yield ok("", "")

    found = examined(look)
    for check in ("prod.reachable", "prod.version", "clock.prod"):
        assert (found[check].status, found[check].sentence) == ("skipped", "prod is closed today")


def test_a_check_that_takes_too_long_is_not_waited_for() -> None:
    over = threading.Event()

    def look(context: Context) -> Iterator[Finding]:
        yield ok("prod.reachable", "fine")
        over.wait(60)

    try:
        found = examined(look, seconds=0.5)
    finally:
        over.set()
    assert found["prod.reachable"].status is FindingStatus.OK
    assert (found["prod.version"].status, found["prod.version"].sentence) == (
        "failed",
        "no answer within 0.5 s",
    )
    assert found["redis.version"].status is FindingStatus.OK


def test_each_id_belongs_to_one_check_and_has_a_title() -> None:
    owned = ["settings", *(each for check in CHECKS for each in check.ids)]
    assert sorted(owned) == sorted(IDS)


def test_a_set_of_many_tables_wants_no_more_sessions_than_those_that_take_turns() -> None:
    assert wanted_by_a_copy("prod", 2) == 4
    assert [wanted_by_a_copy("prod", 2, tables) for tables in (3, 5, 12, 40)] == [10, 16, 16, 16]
    assert [wanted_by_a_copy("prod", parallel, 12) for parallel in (1, 4, 6, 8)] == [15, 16, 15, 19]
    assert wanted_by_a_copy("consulta", 2, 4) == 19
