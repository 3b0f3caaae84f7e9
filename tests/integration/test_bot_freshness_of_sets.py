"""What consulta holds of a whole liquidation is told as one: for people, and by one question for reports."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bot.config import File, WatchSection
from bot.i18n import translator
from bot.jobs.freshness import Freshness, FreshnessReader, Held, SetFreshness
from bot.jobs.models import FreshnessState, RunKind
from bot.jobs.receipts import Receipts, Wanted
from bot.jobs.repository import RunRequest
from bot.jobs.view import AgreedCounts
from bot.jobs.watch import Rounds
from bot.messages import freshness as words
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome, Runner
from bot.work.watch import Watch
from dev.guard import ROOT
from tests.copying import Sides, engine
from tests.payroll import COPIES, SETS, TABLES, filled
from tests.support import Database
from tests.tracking import ANA, Jobs

EN = translator("en")
FILE = File.model_validate(tomllib.loads(SETS))
TITLES = FILE.titles


@dataclass
class Desk:
    """Both sides of a payroll, whose liquidation 42 was copied as a set."""

    sides: Sides
    jobs: Jobs
    watch: Watch
    rounds: Rounds
    runner: Runner

    def copy(self, *names: str, ends: AttemptOutcome = AttemptOutcome.COMPLETED) -> int:
        """Copies the set, or one copy by itself; the number of the first of its jobs."""
        copies = [copy for copy in FILE.copies if copy.name in (names or COPIES)]
        shown = AgreedCounts(None, None, removal_confirmed=True, deleted=1000)  # all that may go
        requests = tuple(self.jobs.request(42, spec=copy.spec, terms=shown) for copy in copies)
        if names:
            [job_id] = [self.jobs.store.create(each)[0] for each in requests]
        else:
            run = self.jobs.store.create_run(RunRequest(RunKind.SET, requests, ANA, set_name="completa"))
            job_id = run.job_ids[0]
        assert self.runner.run(job_id, StopSwitch()).outcome is ends
        return job_id

    def look(self) -> None:
        """A round of the watch."""
        self.jobs.run("UPDATE traspaso.watch_rounds SET ended_at = now() WHERE ended_at IS NULL")
        self.jobs.run("INSERT INTO traspaso.watch_rounds (due_at) VALUES (clock_timestamp())")
        found = self.rounds.take()
        assert found is not None
        self.watch.run(found)

    @property
    def held(self) -> tuple[Held, ...]:
        return FreshnessReader(self.jobs.engine).of_liquidation(42)

    @property
    def whole(self) -> SetFreshness:
        [found] = self.held
        assert isinstance(found, SetFreshness)
        return found


@pytest.fixture
def desk(sides: Sides, tracked: Database) -> Iterator[Desk]:
    sides.both(TABLES)
    sides.prod.execute(filled(300))
    jobs, prod = Jobs(sides.consulta, are_there=True), engine(sides.prod.url)
    section = WatchSection.model_validate({"cron": "0 3 * * *", "channel": "C0PAYROLL"})
    rounds = Rounds(
        jobs.engine, section, [(str(each.source_table), str(each.target_table)) for each in FILE.copies]
    )
    watch = Watch(rounds, FILE.copies, prod=prod, consulta=jobs.engine, timeout_seconds=10, told=lambda: None)
    desk = Desk(sides, jobs, watch, rounds, Runner(prod, jobs.engine, jobs.executions, FILE, worker="host:1"))
    desk.copy()
    yield desk
    jobs.engine.dispose()


def asked(text: str) -> str:
    """The statement with these words of docs/whole-liquidation.md."""
    page = (ROOT / "docs/whole-liquidation.md").read_text("utf-8")
    [found] = [each for each in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if text in each]
    return str(found)


def is_whole(desk: Desk) -> list[tuple[Any, ...]]:
    """What the statement of the docs gives."""
    return desk.sides.consulta.rows(asked("HAVING count(*) = 4"))


def test_a_set_that_was_copied_is_one_line_and_is_whole_at_its_moment(desk: Desk) -> None:
    found = desk.whole
    assert (found.state, found.set_name, found.copies) == (FreshnessState.COMPLETE, "completa", 4)
    assert sorted(each.copy_name or "" for each in found.tables) == sorted(COPIES)
    [as_of] = {each.as_of for each in found.tables}
    assert is_whole(desk) == [(as_of,)]
    line = words.line(found, TITLES, EN)
    assert line.startswith("*“Liquidación completa” of liquidation 42*: equal to prod, known ")


def test_where_prod_has_moved_on_the_tables_are_named_and_one_line_says_all(desk: Desk) -> None:
    desk.sides.prod.execute("""
        UPDATE payslip_lines SET amount = amount + 1 WHERE payslip_id = 1;
        INSERT INTO payslip_lines VALUES (90001, 7, 1, 'new'), (90002, 7, 1, 'new');
        DELETE FROM deductions WHERE line_id IN (SELECT id FROM payslip_lines WHERE payslip_id = 7);
    """)
    desk.look()
    found = desk.whole
    assert found.state is FreshnessState.MOVED_ON
    line = words.line(found, TITLES, EN)
    assert ": prod has moved on: lines: 5 rows changed, 2 new rows; deductions: 5 rows gone; " in line
    assert "head, Recibos: the same" in line
    seen = FreshnessReader(desk.jobs.engine).watched(10)
    assert (seen.moved_on, seen.moved, seen.equal) == ((found,), 1, 0)
    message = words.moved_on(seen, TITLES, EN)
    assert message is not None
    assert "Prod has moved on since the copy of 1 liquidation." in message.text
    told = "SELECT detail->>'copy', detail->'liquidations' FROM traspaso.outbox WHERE occasion = 'drift'"
    assert desk.sides.consulta.rows(told) == [("completa", [42])]
    [as_of] = {each.as_of for each in found.tables}
    assert is_whole(desk) == [(as_of,)]  # it is still whole, of the moment of its copy

    desk.copy()
    desk.look()
    assert desk.whole.state is FreshnessState.COMPLETE
    seen = FreshnessReader(desk.jobs.engine).watched(10)
    assert (seen.moved_on, seen.moved, seen.equal) == ((), 0, 1)


def test_a_table_that_was_copied_by_itself_has_its_own_line_and_the_set_is_not_whole(desk: Desk) -> None:
    desk.copy("lines")
    whole = [each for each in desk.held if isinstance(each, SetFreshness)]
    alone = [each for each in desk.held if isinstance(each, Freshness)]
    assert [each.copy_name for each in alone] == ["lines"]
    assert "3 of its 4 tables: the others were copied by themselves since" in words.line(whole[0], TITLES, EN)
    assert is_whole(desk) == []
    desk.copy()
    assert len(desk.whole.tables) == 4
    assert len(is_whole(desk)) == 1


def test_a_set_that_failed_in_its_middle_is_incomplete_as_one_and_gives_reports_nothing(desk: Desk) -> None:
    desk.sides.prod.execute("""
        UPDATE payslips SET employee = 'somebody' WHERE id = 1;
        UPDATE payslip_lines SET amount = 5000 WHERE payslip_id = 1""")
    desk.sides.consulta.execute("ALTER TABLE payslip_lines ADD CONSTRAINT small CHECK (amount < 4000)")
    desk.copy(ends=AttemptOutcome.FAILED)
    found = desk.whole
    assert found.state is FreshnessState.INCOMPLETE
    assert f"incomplete: run {found.run_id} has ended in its middle" in words.line(found, TITLES, EN)
    assert is_whole(desk) == []


def test_while_a_set_is_copied_it_is_one_line_and_gives_reports_nothing(desk: Desk) -> None:
    copies = tuple(desk.jobs.request(42, spec=copy.spec) for copy in FILE.copies)
    run = desk.jobs.store.create_run(RunRequest(RunKind.SET, copies, ANA, set_name="completa"))
    assert len(desk.jobs.executions.claim_set(run.job_ids[0], "host:1")) == 4
    assert desk.whole.state is FreshnessState.BEING_COPIED
    assert f"run {run.run_id} is copying it" in words.line(desk.whole, TITLES, EN)
    assert is_whole(desk) == []


def test_each_receipt_says_of_which_set_and_of_which_run_it_is_and_a_single_one_says_none(desk: Desk) -> None:
    alone = desk.copy("lines")
    receipts = Receipts(desk.jobs.engine)
    found = [entry.content for entry in receipts.entries(Wanted(liquidation_id=42))]
    assert [each["set"] for each in found] == ["completa"] * 4 + [None]
    [run_id] = {each["run"] for each in found[:4]}
    assert desk.sides.consulta.rows("SELECT id FROM traspaso.copy_runs") == [(run_id,)]
    assert (found[4]["job"], found[4]["run"]) == (alone, None)
    assert receipts.verify().holds
