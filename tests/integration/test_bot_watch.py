"""The watch knows of each copied liquidation whether prod has moved on, writes nothing else, gives way to
copies, and tells once a day at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event

from bot.config import CopySection, File, WatchSection, WorkSection
from bot.i18n import translator
from bot.jobs.freshness import Freshness, FreshnessReader
from bot.jobs.models import ClaimLost, FreshnessState
from bot.jobs.outbox import NoticeKind, Notices
from bot.jobs.watch import Round, Rounds
from bot.messages import freshness as words
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome, Runner
from bot.work.watch import Watch
from dev.proxy import Proxy
from tests.copying import ITEMS, Sides, engine
from tests.shell import Shell
from tests.support import Database, Servers
from tests.tracking import CHUNK, Ends, Jobs

THREE = datetime(2026, 11, 27, 3, tzinfo=UTC)
DAY = timedelta(days=1)
NIGHTLY: dict[str, Any] = {"cron": "0 3 * * *", "channel": "C0PAYROLL"}
COPY = CopySection.model_validate(
    {"name": "items", "source_table": "public.items", "target_table": "public.items"}
)
TABLES = [("public.items", "public.items")]
EN = translator("en")
LIQUIDATIONS, ROWS = (41, 42, 43), 300


@dataclass
class Desk:
    """Both sides with three copied liquidations, and a watch that rings when it has told."""

    sides: Sides
    jobs: Jobs
    watch: Watch
    rounds: Rounds
    opened: list[str]

    def round_due(self) -> None:
        self.jobs.run("UPDATE traspaso.watch_rounds SET ended_at = now() WHERE ended_at IS NULL")
        self.jobs.run("INSERT INTO traspaso.watch_rounds (due_at) VALUES (clock_timestamp())")

    def round(self) -> Round:
        """One that is due and claimed."""
        self.round_due()
        found = self.rounds.take()
        assert found is not None
        return found

    def look(self) -> None:
        self.watch.run(self.round())

    def held(self, liquidation: int) -> Freshness:
        [found] = FreshnessReader(self.jobs.engine).of_liquidation(liquidation)
        assert isinstance(found, Freshness)
        return found

    def known(self, liquidation: int) -> tuple[FreshnessState, tuple[int | None, ...]]:
        found = self.held(liquidation)
        return found.state, (found.inserted, found.updated, found.deleted)

    def copy(self, liquidation: int) -> None:
        runner = Runner(
            engine(self.sides.prod.url),
            self.jobs.engine,
            self.jobs.executions,
            File(copies=(COPY,), work=WorkSection(parallel=1)),
            worker="host:1",
        )
        job_id = self.jobs.create(liquidation, spec=COPY.spec)
        assert runner.run(job_id, StopSwitch()).outcome is AttemptOutcome.COMPLETED

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.sides.consulta.rows(query)


def section(**values: Any) -> WatchSection:
    return WatchSection.model_validate(NIGHTLY | values)


def pooled(url: str, name: str, opened: list[str]) -> Engine:
    """As the watch has it; notes each connection that it opens."""
    made = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=1,
        max_overflow=0,
        pool_timeout=5,
        connect_args={"prepare_threshold": None},
    )
    event.listen(made, "connect", lambda driver, record: opened.append(name))
    return made


@pytest.fixture
def desk(prod: Database, jobs: Jobs, servers: Servers) -> Iterator[Desk]:
    consulta = Database(servers.consulta, str(jobs.engine.url.database))
    sides = Sides(prod, consulta)
    consulta.execute("DROP TABLE IF EXISTS items")
    sides.both(ITEMS)
    for liquidation in LIQUIDATIONS:
        prod.execute(
            f"INSERT INTO items SELECT {liquidation} * 100000 + g, {liquidation}, g, 'n' "
            f"FROM generate_series(1, {ROWS}) g"
        )
    opened: list[str] = []
    rounds = Rounds(jobs.engine, section(), TABLES)
    watch = Watch(
        rounds,
        [COPY],
        prod=pooled(prod.url, "prod", opened),
        consulta=pooled(consulta.url, "consulta", opened),
        timeout_seconds=10,
        told=lambda: None,
    )
    desk = Desk(sides, jobs, watch, rounds, opened)
    for liquidation in LIQUIDATIONS:
        desk.copy(liquidation)
    yield desk
    consulta.execute("DROP TABLE items")


# ---------------------------------------------------------------------------------------- what it finds out


def test_it_knows_which_liquidations_are_equal_to_prod_and_by_how_much_prod_has_moved_on(desk: Desk) -> None:
    prod = desk.sides.prod
    prod.execute("UPDATE items SET note = 'new' WHERE liquidation_id = 42 AND id % 100000 <= 12")
    prod.execute("INSERT INTO items SELECT 4900000 + g, 42, 1, 'more' FROM generate_series(1, 3) g")
    prod.execute("DELETE FROM items WHERE liquidation_id = 43 AND id % 100000 <= 2")
    before = desk.held(41)
    there = desk.rows("SELECT ctid, xmin, xmax FROM items ORDER BY ctid")
    desk.look()
    assert desk.known(41) == (FreshnessState.COMPLETE, (None, None, None))
    assert desk.known(42) == (FreshnessState.MOVED_ON, (3, 12, 0))
    assert desk.known(43) == (FreshnessState.MOVED_ON, (0, 0, 2))
    after = desk.held(41)
    assert before.known_equal_at is not None
    assert after.known_equal_at is not None
    assert after.known_equal_at > before.known_equal_at == before.as_of == after.as_of
    assert desk.rows("SELECT ctid, xmin, xmax FROM items ORDER BY ctid") == there
    assert desk.held(42).known_equal_at == desk.held(42).as_of
    line = words.line(desk.held(42), {"items": "Items"}, EN)
    assert "“Items” of liquidation 42*: prod has moved on: 12 rows changed, 3 new rows · known " in line


def test_a_copy_settles_it_and_a_later_look_finds_it_equal(desk: Desk) -> None:
    desk.sides.prod.execute("UPDATE items SET note = 'new' WHERE liquidation_id = 42 AND id % 100000 <= 12")
    desk.look()
    assert desk.held(42).state is FreshnessState.MOVED_ON
    desk.copy(42)
    found = desk.held(42)
    assert (found.state, found.known_equal_at) == (FreshnessState.COMPLETE, found.as_of)
    desk.look()
    assert desk.held(42).state is FreshnessState.COMPLETE


def test_what_prod_takes_back_is_equal_only_where_it_is_proven_so(desk: Desk) -> None:
    prod = desk.sides.prod
    prod.execute("UPDATE items SET note = note || '!' WHERE liquidation_id = 42 AND id % 100000 = 1")
    desk.look()
    prod.execute("UPDATE items SET note = rtrim(note, '!') WHERE liquidation_id = 42 AND id % 100000 = 1")
    desk.look()
    assert desk.known(42) == (FreshnessState.COMPLETE, (None, None, None))


def test_where_row_versions_tell_nothing_it_keeps_what_it_knew_and_says_no_more(desk: Desk) -> None:
    desk.look()
    known = desk.held(42).known_equal_at
    desk.sides.prod.execute("ALTER TABLE items ALTER note TYPE varchar(500)")
    desk.sides.prod.execute("UPDATE items SET note = 'new' WHERE liquidation_id = 42 AND id % 100000 <= 12")
    desk.look()
    assert (desk.held(42).state, desk.held(42).known_equal_at) == (FreshnessState.COMPLETE, known)
    assert desk.rows("SELECT looked, unknown FROM traspaso.watch_rounds ORDER BY id DESC LIMIT 1") == [(3, 3)]


def test_a_thousand_looks_open_one_connection_to_each_side(desk: Desk) -> None:
    desk.look()
    desk.look()
    assert sorted(desk.opened) == ["consulta", "prod"]


def test_it_leaves_alone_what_was_not_copied_lately_or_is_configured_no_more(desk: Desk) -> None:
    desk.jobs.run(
        "UPDATE traspaso.standings SET proven_at = now() - interval '4 months' WHERE liquidation_id = 41"
    )
    desk.jobs.run("UPDATE traspaso.standings SET source_table = 'public.other' WHERE liquidation_id = 42")
    desk.look()
    assert desk.rows("SELECT liquidation_id FROM traspaso.drift") == [(43,)]


def test_of_the_newest_only_so_many_are_looked_at(desk: Desk) -> None:
    desk.watch._rounds = desk.rounds = Rounds(desk.jobs.engine, section(newest=2), TABLES)
    desk.look()
    assert desk.rows("SELECT liquidation_id FROM traspaso.drift ORDER BY 1") == [(42,), (43,)]


# -------------------------------------------------------------------------------------- when, and how long


def test_of_ten_processes_that_see_a_due_time_at_once_one_works_on_it(desk: Desk) -> None:
    processes = [Rounds(desk.jobs.engine, section(), TABLES) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        new = list(pool.map(lambda each: each.look(now=THREE + timedelta(seconds=1)), processes))
        taken = [each for each in pool.map(lambda each: each.take(), processes) if each]
    assert (sum(new), len(taken)) == (1, 1)
    assert not processes[0].look(now=THREE + timedelta(seconds=2))
    assert not processes[0].look(now=THREE + timedelta(hours=5))


def test_a_round_that_nobody_saw_in_time_is_left_out(desk: Desk) -> None:
    assert not desk.rounds.look(now=THREE + timedelta(minutes=3))
    assert desk.rounds.look(now=THREE + DAY + timedelta(seconds=100))


def test_each_of_many_liquidations_that_have_not_changed_costs_less_than_an_answer_of_a_side(
    desk: Desk,
) -> None:
    few = answers_in_a_round(desk)
    more = range(50, 62)
    desk.sides.prod.execute(
        "INSERT INTO items SELECT l * 100000 + g, l, g, 'n' "
        f"FROM generate_series(1, 5) g, generate_series({more[0]}, {more[-1]}) l"
    )
    for liquidation in more:
        desk.copy(liquidation)
    many = answers_in_a_round(desk)
    assert {desk.known(each)[0] for each in (*LIQUIDATIONS, *more)} == {FreshnessState.COMPLETE}
    assert desk.rows("SELECT count(*) FROM traspaso.drift WHERE equal") == [(len(LIQUIDATIONS) + len(more),)]
    for before, after in zip(few, many, strict=True):
        assert after < before + len(more)


def answers_in_a_round(desk: Desk) -> tuple[int, int]:
    """So many answers of prod and of consulta are waited for, beside what is written down."""
    sides = desk.sides
    with Proxy(sides.prod.server.port) as prod, Proxy(sides.consulta.server.port) as consulta:
        watch = Watch(
            desk.rounds,
            [COPY],
            prod=pooled(sides.prod.url.replace(f":{sides.prod.server.port}/", f":{prod.port}/"), "prod", []),
            consulta=pooled(
                sides.consulta.url.replace(f":{sides.consulta.server.port}/", f":{consulta.port}/"),
                "consulta",
                [],
            ),
            timeout_seconds=10,
            told=lambda: None,
        )
        desk.round_due()
        assert watch.run_due() == 1
        return prod.round_trips, consulta.round_trips


def test_while_a_round_is_under_way_no_other_one_begins(desk: Desk) -> None:
    assert desk.rounds.look(now=THREE)
    assert not desk.rounds.look(now=THREE + DAY)
    desk.jobs.run("UPDATE traspaso.watch_rounds SET ended_at = now()")
    assert desk.rounds.look(now=THREE + 2 * DAY)


def test_a_round_of_a_lost_process_goes_on_where_it_was_and_the_lost_one_writes_nothing(desk: Desk) -> None:
    lost = desk.round()
    [first] = desk.rounds.next(lost)
    desk.rounds.saw(lost, [(first, None)])
    [second] = desk.rounds.next(lost)
    assert desk.rounds.take() is None
    desk.jobs.run("UPDATE traspaso.watch_rounds SET claimed_until = now() - interval '1 s'")
    again = desk.rounds.take()
    assert again is not None
    assert (again.id, again.began_at) == (lost.id, lost.began_at)
    [following] = desk.rounds.next(again)
    assert following.liquidation_id == second.liquidation_id
    with pytest.raises(ClaimLost):
        desk.rounds.saw(lost, [(second, None)])
    assert desk.rows("SELECT liquidation_id FROM traspaso.drift") == [(first.liquidation_id,)]


def test_at_its_time_limit_it_stops_and_the_next_round_begins_with_what_is_left(desk: Desk) -> None:
    found = desk.round()
    [first] = desk.rounds.next(found)
    desk.rounds.saw(found, [(first, None)])
    desk.jobs.run(
        "UPDATE traspaso.watch_rounds SET began_at = began_at - interval '2 hours', claimed_until = NULL"
    )
    desk.jobs.run("UPDATE traspaso.drift SET looked_at = looked_at - interval '1 hour'")
    over = desk.rounds.take()
    assert over is not None
    assert over.seconds < 0
    desk.watch.run(over)
    assert desk.rows("SELECT looked, left_over FROM traspaso.watch_rounds WHERE left_over IS NOT NULL") == [
        (1, 2)
    ]
    order = []
    later = desk.round()
    while several := desk.rounds.next(later):
        desk.rounds.saw(later, [(each, None) for each in several])
        order += [each.liquidation_id for each in several]
    assert len(order) == 3
    assert order[-1] == first.liquidation_id


def test_it_gives_way_while_a_copy_runs_or_could_run_and_not_while_one_waits_for_somebody(desk: Desk) -> None:
    assert not desk.rounds.is_busy()
    waits = desk.jobs.create(7, approvers=("@admins",))
    assert not desk.rounds.is_busy()
    desk.jobs.run("UPDATE traspaso.copy_jobs SET approval = 'approved' WHERE id = :id", id=waits)
    assert desk.rounds.is_busy()
    attempt = desk.jobs.executions.claim(waits, "host:1")
    assert attempt is not None
    assert desk.rounds.is_busy()
    Ends(attempt).cancelled()
    assert not desk.rounds.is_busy()


def test_a_round_waits_for_a_copy_that_runs_and_goes_on_after_it(desk: Desk) -> None:
    attempt = desk.jobs.claimed(liquidation=42)
    found = desk.round()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(desk.watch.run, found)
        desk.watch._over.wait(0.3)
        assert desk.rows("SELECT count(*) FROM traspaso.drift") == [(0,)]
        assert not running.done()
        Ends(attempt).cancelled()
        running.result(30)
    assert desk.rows("SELECT count(*) FROM traspaso.drift") == [(3,)]


def test_a_liquidation_that_a_copy_has_left_incomplete_is_not_looked_at(desk: Desk) -> None:
    attempt = desk.jobs.claimed(liquidation=42)
    with attempt.transaction() as connection:
        attempt.record(connection, CHUNK)
    Ends(attempt).cancelled()
    desk.look()
    assert desk.rows("SELECT liquidation_id FROM traspaso.drift ORDER BY 1") == [(41,), (43,)]
    assert desk.held(42).state is FreshnessState.INCOMPLETE


# ------------------------------------------------------------------------------------------ what it tells


def told(desk: Desk) -> int:
    return int(
        desk.rows(f"SELECT count(*) FROM traspaso.channel_notices WHERE kind = '{NoticeKind.DRIFT}'")[0][0]
    )


def test_the_channel_is_told_once_a_day_and_only_of_what_is_new(desk: Desk) -> None:
    prod = desk.sides.prod
    desk.look()
    assert told(desk) == 0
    prod.execute("UPDATE items SET note = 'new' WHERE liquidation_id = 42 AND id % 100000 <= 12")
    desk.look()
    assert told(desk) == 1
    prod.execute("UPDATE items SET note = 'new' WHERE liquidation_id = 43")
    desk.look()
    assert told(desk) == 1  # today it has been told already
    desk.jobs.run("UPDATE traspaso.channel_notices SET created_at = created_at - interval '1 day'")
    desk.look()
    assert told(desk) == 2
    desk.jobs.run("UPDATE traspaso.channel_notices SET created_at = created_at - interval '1 day'")
    desk.look()
    assert told(desk) == 2  # nothing is new
    prod.execute("UPDATE items SET note = 'newer' WHERE liquidation_id = 42 AND id % 100000 <= 13")
    desk.look()
    assert told(desk) == 3
    facts = desk.rows(
        "SELECT detail->>'copy', detail->'liquidations' FROM traspaso.outbox "
        "WHERE occasion = 'drift' ORDER BY id"
    )
    assert facts == [("items", [42]), ("items", [43]), ("items", [42])]


def test_the_message_names_what_has_moved_on_and_offers_to_copy_it(desk: Desk) -> None:
    desk.sides.prod.execute("UPDATE items SET note = 'new' WHERE liquidation_id IN (42, 43)")
    desk.look()
    notice = Notices(desk.jobs.engine).take()
    assert notice is not None
    assert (notice.kind, notice.channel_id) == (NoticeKind.DRIFT, "C0PAYROLL")
    reader = FreshnessReader(desk.jobs.engine)
    message = words.moved_on(reader.watched(words.OFFERED), {"items": "Items"}, EN)
    assert message is not None
    assert message.text.startswith("Prod has moved on since the copies of 2 liquidations.")
    offered = [each["accessory"]["value"] for each in message.blocks if "accessory" in each]
    assert offered == ["items 43", "items 42"]
    for liquidation in (42, 43):
        desk.copy(liquidation)
    assert words.moved_on(reader.watched(words.OFFERED), {"items": "Items"}, EN) is None


def test_the_shell_says_what_the_watch_knows(desk: Desk, tmp_path: Path) -> None:
    shell = Shell(desk.sides, tmp_path)
    assert "watch" not in shell.run("status")[1]
    desk.sides.prod.execute("UPDATE items SET note = 'new' WHERE liquidation_id = 42")
    desk.look()
    out = shell.run("status", LANG="en_US.UTF-8")[1]
    assert f"“items” of liquidation 42: prod has moved on: {ROWS} rows changed" in out
    assert "2 liquidations are equal to prod. The last round of the watch ended " in out
