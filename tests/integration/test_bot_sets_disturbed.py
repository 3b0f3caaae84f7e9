"""A set under every disturbance is what one copy is: its jobs wait, ask, stop, fail and go on together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from bot import app
from bot.config import Need, load
from bot.errors import AlreadyRunning
from bot.i18n import translator
from bot.jobs.actions import ApprovalOutcome, Approvals, Became, RunApprovals, RunControl
from bot.jobs.attempt import Attempt
from bot.jobs.failure import Failure
from bot.jobs.models import Approval, RunKind, Status, StopReason, StopRequest
from bot.jobs.repository import Request, RunRequest
from bot.jobs.view import NOTHING_SHOWN, AgreedCounts, JobView, RunView, answered
from bot.messages.failure_texts import explained
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome, Ended
from copier import CopySpec, TableName
from dev.guard import Guard
from dev.postgres import PostgresServer
from tests.copying import Sides
from tests.payroll import ENTRIES, OF_42, ORDER, TABLES, filled
from tests.shell import Shell
from tests.support import Database
from tests.tracking import ANA, BOB, LOST, Ends, Jobs

FILE = (
    ENTRIES
    + """
[[sets]]
name = "completa"
copies = ["lines", "deductions", "payslips", "head"]
[slack]
admin_groups = ["S0ADMINS"]
"""
)
WORK = """
[work]
chunk_rows = 100
parallel = 1
lease_seconds = 60
retry_seconds = 0.1
"""
WHO = ("<!subteam^S0ADMINS>",)


class Moments:
    """Does something once, in the thread that comes to a point of a copy (`sys.audit`)."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Callable[[tuple[Any, ...]], bool], Callable[[], object]]] = {}
        sys.addaudithook(self._look)

    @contextmanager
    def at(
        self, name: str, do: Callable[[], object], when: Callable[[tuple[Any, ...]], bool] = lambda _: True
    ) -> Iterator[None]:
        """``when`` gets what the point says; the first time that it is True counts. It has to come."""
        self._waiting[name] = when, do
        try:
            yield
            assert name not in self._waiting, f"{name} was not reached"
        finally:
            self._waiting.pop(name, None)

    def _look(self, name: str, said: tuple[Any, ...]) -> None:
        if (found := self._waiting.get(name)) is not None and found[0](said):
            del self._waiting[name]
            found[1]()


MOMENTS = Moments()


class Whole:
    """The set of liquidation 42 as it was asked for, and a worker for it in this process."""

    def __init__(self, sides: Sides, folder: Path, *, are_there: bool = False) -> None:
        """``are_there``: consulta has the tracking tables."""
        self.sides = sides
        self.shell = Shell(sides, folder)
        self.jobs = Jobs(sides.consulta, are_there=are_there)
        self.store, self.control = self.jobs.store, self.jobs.control
        self.configure()
        self.run_id = 0

    def configure(self, file: str = FILE, work: str = "") -> None:
        """What the worker finds from now on."""
        lines = dict(line.split(" = ") for line in (WORK + work).splitlines() if " = " in line)
        path = Path(self.shell.environment["TRASPASO_CONFIG"])
        path.write_text(file + "[work]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items()), "utf-8")
        self._settings = load(self.shell.environment, Need.DATABASES | Need.COPIES)
        self._worker = app.databases(self._settings)

    def ask(self, shown: Mapping[str, AgreedCounts] | None = None, channel: str | None = "C0PAYROLL") -> None:
        """Somebody presses: ``shown`` are the rows that they saw, by copy."""
        file, more = self._settings.file, shown or {}
        requests = tuple(
            Request(copy.spec, 42, None, ANA, terms=more.get(copy.name, NOTHING_SHOWN))
            for copy in file.copies_of(file.sets[0])
        )
        created = self.store.create_run(
            RunRequest(RunKind.SET, requests, ANA, set_name="completa", channel_id=channel)
        )
        assert created.run_id is not None
        self.run_id = created.run_id

    def work(self, stop: StopSwitch | None = None) -> Ended:
        """A worker takes it, and works until its attempt ends."""
        return self._worker.runner.run(self["lines"].id, stop or StopSwitch())

    def completes(self) -> None:
        assert self.work().outcome is AttemptOutcome.COMPLETED
        assert self.statuses == {Status.COMPLETED}
        assert len({job.as_of for job in self.run.jobs}) == 1
        for table, of_42 in OF_42.items():
            self.sides.assert_same(table, of_42, ORDER[table])

    @property
    def run(self) -> RunView:
        found = self.store.run(self.run_id)
        assert found is not None
        return found

    def __getitem__(self, name: str) -> JobView:
        [job] = [job for job in self.run.jobs if job.copy_name == name]
        return job

    @property
    def statuses(self) -> set[Status]:
        return {job.status for job in self.run.jobs}

    def failure(self, name: str) -> Failure:
        found = self[name].error
        assert found is not None
        return found

    def in_the_third_table(
        self, do: Callable[[], object], *, number: int = 2
    ) -> AbstractContextManager[None]:
        """Does it while this chunk of the lines is about to be committed."""
        job_id = self["lines"].id
        return MOMENTS.at("traspaso.chunk_recorded", do, lambda said: said[0] == job_id and said[2] == number)

    def rows(self, table: str = "payslip_lines") -> int:
        [(found,)] = self.sides.consulta.rows(f"SELECT count(*) FROM {table}")
        return int(found)

    def end_sessions(self, side: str) -> None:
        """The server ends all sessions of the copy."""
        database = self.sides.prod if side == "prod" else self.sides.consulta
        of_copy = "datname = current_database() AND application_name LIKE 'traspaso % job %'"
        with psycopg.connect(database.url, autocommit=True) as connection:
            # Waits until each of them is gone.
            connection.execute(
                f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {of_copy}"
            )


@pytest.fixture
def own_server(guard: Guard) -> Iterator[PostgresServer]:
    """A cluster that this test may stop and crash; what it has said is committed stays."""
    settings = {"synchronous_commit": "on"}
    with PostgresServer(Path(guard.temp_folder()), "own", settings, guard=guard) as server:
        yield server


@pytest.fixture
def whole(sides: Sides, tracked: Database, tmp_path: Path) -> Iterator[Whole]:
    """Both sides have the tables, prod has 100 payslips of liquidation 42, consulta has nothing."""
    sides.both(TABLES)
    sides.prod.execute(filled(300))
    found = Whole(sides, tmp_path, are_there=True)
    yield found
    found.jobs.engine.dispose()


# ---------------------------------------------------------------------- connections that break in the middle


@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_a_session_that_ends_in_the_third_table_is_tried_again_at_another_moment(
    whole: Whole, side: str
) -> None:
    whole.ask()
    moments: set[datetime | None] = set()

    def end() -> None:
        moments.update(job.as_of for job in whole.run.jobs)
        whole.end_sessions(side)

    with whole.in_the_third_table(end):
        assert whole.work().outcome is AttemptOutcome.RETRY
    assert whole.statuses == {Status.PENDING}
    assert whole.failure("lines").code in {"connection", "server_down"}
    assert whole.failure("deductions").lines == [
        f"failed: lines (job {whole['lines'].id})",
        "in place: head, payslips",
        "not begun: deductions",
    ]
    assert 0 < whole.rows() < 500
    whole.jobs.run("UPDATE traspaso.copy_jobs SET run_after = now()")
    whole.completes()
    assert whole["payslips"].unchanged == 100
    assert {job.attempt for job in whole.run.jobs} == {2}
    assert not {job.as_of for job in whole.run.jobs} & moments


@pytest.mark.parametrize("how", ["restarted", "crashed"])
def test_consulta_itself_may_be_restarted_in_the_third_table_and_the_set_ends_proven(
    prod: Database, own_server: PostgresServer, tmp_path: Path, how: str
) -> None:
    """Rows, ledger and tracking tables go away and come back together: what was committed is there again."""
    own_server.create_database("own")
    sides = Sides(prod, Database(own_server, "own"))
    sides.both(TABLES)
    sides.prod.execute(filled(300))
    whole = Whole(sides, tmp_path)
    whole.ask()

    def end() -> None:
        sides.consulta.execute("CREATE TABLE later ()")  # what was committed before is written with it
        if how == "restarted":
            own_server.restart("immediate")
        else:
            own_server.crash()
            own_server.start()
        whole.jobs.engine.dispose()  # the sessions of this test's own looks are gone too

    with whole.in_the_third_table(end, number=4):
        assert whole.work().outcome is AttemptOutcome.RETRY
    assert whole.statuses == {Status.PENDING}
    assert 0 < whole.rows() < 500
    whole.jobs.run("UPDATE traspaso.copy_jobs SET run_after = now()")
    whole.completes()
    assert whole["payslips"].unchanged == 100
    whole.jobs.engine.dispose()


def test_the_failures_of_a_set_that_gets_on_do_not_add_up(whole: Whole) -> None:
    """Three lost connections, each after new ground in some table: none is the second in a row."""
    whole.configure(work="max_failures = 2")
    whole.ask()
    for number in (2, 3, 4):
        with whole.in_the_third_table(lambda: whole.end_sessions("prod"), number=number):
            assert whole.work().outcome is AttemptOutcome.RETRY, number
        whole.jobs.run("UPDATE traspaso.copy_jobs SET run_after = now()")
    whole.completes()


def test_where_the_failures_are_too_many_each_job_says_what_the_admin_needs(whole: Whole) -> None:
    whole.configure(work="max_failures = 1")
    whole.ask()
    with whole.in_the_third_table(lambda: whole.end_sessions("prod")):
        assert whole.work().outcome is AttemptOutcome.FAILED
    assert whole.statuses == {Status.FAILED}
    assert whole.failure("lines").code == "connection"
    assert {whole.failure(name).code for name in ("head", "payslips", "deductions")} == {"set_failed"}
    assert whole.failure("head").lines[1:] == ["in place: head, payslips", "not begun: deductions"]


# ----------------------------------------------------------- pause, cancel, freeze and SIGTERM, in each phase


def stopped(whole: Whole, do: Callable[[], object], point: str) -> AttemptOutcome:
    """How the attempt ends where this is done once it is planned, in its third table, or as it verifies."""
    if point == "lines":
        with whole.in_the_third_table(do):
            return whole.work().outcome
    with MOMENTS.at(f"traspaso.{point}", do):
        return whole.work().outcome


@pytest.mark.parametrize("point", ["planned", "lines", "verifying"])
def test_a_set_that_somebody_pauses_goes_on_when_it_is_resumed(whole: Whole, point: str) -> None:
    whole.ask()
    assert stopped(whole, lambda: whole.control.pause(whole["head"].id, ANA), point) is AttemptOutcome.PAUSED
    assert whole.statuses == {Status.PAUSED}
    assert whole.control.resume(whole["deductions"].id, ANA).became is Became.DONE
    whole.completes()


@pytest.mark.parametrize("point", ["planned", "lines", "verifying"])
def test_a_set_that_somebody_cancels_keeps_what_is_in_place_and_is_over(whole: Whole, point: str) -> None:
    whole.ask()
    assert (
        stopped(whole, lambda: whole.control.cancel(whole["head"].id, ANA), point) is AttemptOutcome.CANCELLED
    )
    assert whole.statuses == {Status.CANCELLED}
    assert whole.rows("payslips") == (0 if point == "planned" else 100)
    whole.ask()
    whole.completes()


def test_a_freeze_and_a_worker_that_is_told_to_end_give_the_whole_set_back(whole: Whole) -> None:
    whole.ask()
    assert stopped(whole, lambda: whole.jobs.freezes.freeze(BOB, "closing"), "lines") is AttemptOutcome.FROZEN
    assert whole.statuses == {Status.PENDING}
    assert whole.work().outcome is AttemptOutcome.NOT_OURS
    whole.jobs.freezes.lift(BOB)
    stop = StopSwitch()
    job_id = whole["deductions"].id
    with MOMENTS.at(
        "traspaso.chunk_recorded",
        lambda: stop.request(StopRequest(StopReason.RELEASE)),
        lambda said: said[0] == job_id,
    ):
        assert whole.work(stop).outcome is AttemptOutcome.RELEASED
    assert whole.statuses == {Status.PENDING}
    whole.completes()


def test_a_worker_that_lost_one_of_the_leases_writes_no_more_rows(whole: Whole) -> None:
    whole.ask()
    found: list[Attempt] = []

    def take_over() -> None:
        while Status.RUNNING in whole.statuses:  # another lane may have the lines' row in hand
            whole.jobs.run(
                "UPDATE traspaso.copy_jobs SET lease_until = now() - interval '1 s' WHERE status = 'running'"
            )
            whole.jobs.sweep()
        found.extend(whole.jobs.executions.claim_set(whole["head"].id, "other:1"))

    with whole.in_the_third_table(take_over):
        assert whole.work().outcome is AttemptOutcome.STALE
    assert len(found) == 4
    before = whole.rows()
    assert before < 500
    assert {(job.attempt, job.status) for job in whole.run.jobs} == {(2, Status.RUNNING)}
    for attempt in found:
        Ends(attempt).released()
    whole.completes()
    assert whole["lines"].inserted == 500 - before


def test_a_worker_that_lost_one_of_its_jobs_gives_the_others_back(whole: Whole) -> None:
    whole.ask()
    lost = whole["deductions"].id
    take = f"UPDATE traspaso.copy_jobs SET status = 'pending', attempt = attempt + 1 WHERE id = {lost}"
    with whole.in_the_third_table(lambda: whole.jobs.run(take)):
        assert whole.work().outcome is AttemptOutcome.STALE
    assert whole.statuses == {Status.PENDING}
    whole.completes()


# ------------------------------------------------------------------ what was pressed for, and what is asked


def test_all_tables_that_moved_since_the_press_are_asked_about_together(whole: Whole) -> None:
    shown = {
        "lines": AgreedCounts(200, 0, removal_confirmed=False),
        "payslips": AgreedCounts(10, 0, removal_confirmed=False),
    }
    whole.ask(shown)
    assert whole.work().outcome is AttemptOutcome.ASKED
    assert whole.rows("liquidations") == 0
    asking = whole.run.waiting_for_confirmation
    assert {job.copy_name for job in asking} == {"lines", "payslips"}
    assert whole.work().outcome is AttemptOutcome.NOT_OURS
    assert whole.jobs.sweep(overdue_seconds=0, room=5).overdue == []
    control = RunControl(whole.jobs.engine, whole.store)
    assert control.confirm(whole.run_id, ANA, answered(asking)).became is Became.DONE
    whole.completes()


def test_a_set_that_would_delete_more_than_was_shown_asks(whole: Whole) -> None:
    whole.ask()
    whole.completes()
    whole.sides.prod.execute(f"DELETE FROM deductions WHERE {OF_42['deductions']}")
    shown = AgreedCounts(0, 250, removal_confirmed=True, deleted=3)
    whole.ask({"deductions": shown})
    assert whole.work().outcome is AttemptOutcome.ASKED
    question = whole["deductions"].question
    assert question is not None
    assert (question.deleted, question.shown_deleted) == (whole.rows("deductions"), 3)
    assert whole.control.confirm(whole["deductions"].id, ANA, question.numbers).became is Became.DONE
    whole.completes()


def test_a_table_that_needs_a_second_person_by_now_has_the_set_wait_for_them(whole: Whole) -> None:
    over = FILE.replace('target_table = "payslips"\n', 'target_table = "payslips"\napproval_over_rows = 50\n')
    whole.configure(over)
    whole.ask()
    assert whole.work().outcome is AttemptOutcome.ASKED
    assert [job.copy_name for job in whole.run.waiting_for_approval] == ["payslips"]
    approvals = RunApprovals(whole.jobs.engine, whole.store)
    shown = answered(whole.run.waiting_for_approval)
    assert approvals.approve(whole.run_id, ANA, shown).outcome is ApprovalOutcome.OWN
    assert approvals.approve(whole.run_id, BOB, shown).outcome is ApprovalOutcome.DONE
    whole.completes()
    whole.ask(channel=None)
    assert whole.work().outcome is AttemptOutcome.FAILED
    assert whole.failure("payslips").command == "/copy-liquidation 42 completa"


@pytest.mark.parametrize("change", ["a copy is gone", "a copy goes to another table"])
def test_a_worker_that_knows_another_configuration_refuses_the_set(whole: Whole, change: str) -> None:
    whole.ask()
    if change == "a copy is gone":
        begin, _, rest = FILE.partition('[[copies]]\nname = "deductions"')
        file = begin + "[[sets]]" + rest.partition("[[sets]]")[2].replace('"deductions", ', "")
        code = "no_such_copy"
    else:
        file, code = FILE.replace('target_table = "deductions"', 'target_table = "others"'), "copy_changed"
    whole.configure(file)
    assert whole.work().outcome is AttemptOutcome.FAILED
    failure = whole.failure("deductions")
    assert failure.code == code
    assert failure.command in {None, "/copy-liquidation 42 completa"}
    assert whole.failure("head").lines == [f"failed: deductions (job {whole['deductions'].id})"]
    assert whole.rows("liquidations") == 0


# ------------------------------------------------------------ tables that don't fit, and what the admin reads


class Refused(NamedTuple):
    """What is done to a side, which table's job fails by it, and what its words name beside its table."""

    side: str
    change: str
    copy: str
    code: str
    names: tuple[str, ...] = ()


REFUSALS = {
    "a parent that prod has no more": Refused(
        "prod",
        "ALTER TABLE payslips DROP CONSTRAINT payslips_liquidation_id_fkey; "
        "DELETE FROM liquidations WHERE id = 42; ALTER TABLE payslips ADD CONSTRAINT "
        "payslips_liquidation_id_fkey FOREIGN KEY (liquidation_id) REFERENCES liquidations NOT VALID",
        "payslips",
        "of_no_parent",
        ("public.liquidations", "payslips_liquidation_id_fkey", "correct its rows"),
    ),
    "a foreign key of consulta to a table that no copy has": Refused(
        "consulta",
        "CREATE TABLE staff (name text PRIMARY KEY); "
        "ALTER TABLE payslips ADD CONSTRAINT of_staff FOREIGN KEY (employee) REFERENCES staff",
        "payslips",
        "points_nowhere",
        ("Copy or create those rows of `public.staff`", "of_staff"),
    ),
    "a table that no copy has and that points to a surplus row": Refused(
        "consulta",
        "CREATE TABLE notes (payslip_id bigint CONSTRAINT of_payslip REFERENCES payslips); "
        "INSERT INTO liquidations VALUES (42, 'x'); INSERT INTO payslips VALUES (9000, 42, 'surplus'); "
        "INSERT INTO notes VALUES (9000)",
        "payslips",
        "still_referenced",
        ("Copy `public.notes` first", "of_payslip"),
    ),
    "a line of no liquidation that points to a surplus row": Refused(
        "consulta",
        "ALTER TABLE deductions ADD payslip_id bigint CONSTRAINT of_payslip REFERENCES payslips; "
        "INSERT INTO liquidations VALUES (42, 'x'), (43, 'x'); "
        "INSERT INTO payslips VALUES (9000, 42, 'surplus'), (9001, 43, 'other'); "
        "INSERT INTO payslip_lines VALUES (9001, 9001, 1, 'other'); "
        "INSERT INTO deductions VALUES (9001, 1, 'other', 9000)",
        "payslips",
        "referenced_by_others",
        ("public.deductions", "of_payslip", "Copy that liquidation first"),
    ),
    "a column of consulta that takes no NULL": Refused(
        "consulta", "ALTER TABLE deductions ALTER reason SET NOT NULL", "deductions", "not_null", ("reason",)
    ),
    "a unique value that another liquidation has": Refused(
        "consulta",
        "CREATE UNIQUE INDEX one_employee ON payslips (employee); INSERT INTO liquidations VALUES (43, 'x'); "
        "INSERT INTO payslips VALUES (9000, 43, 'employee 1')",
        "payslips",
        "unique",
        ("one_employee", "copy that one first"),
    ),
    "a table that is not there": Refused("consulta", "DROP TABLE deductions", "deductions", "missing_table"),
    "a column of another type": Refused(
        "consulta",
        "ALTER TABLE payslip_lines ALTER amount TYPE date USING NULL",
        "lines",
        "columns_differ",
        ("amount",),
    ),
    "a column that was dropped": Refused(
        "prod", "ALTER TABLE payslips RENAME employee TO who", "payslips", "columns_differ", ("who",)
    ),
}


@pytest.mark.parametrize("refused", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_table_that_refuses_is_named_with_the_next_step_and_the_others_say_which(
    whole: Whole, refused: Refused
) -> None:
    whole.sides.prod.execute("UPDATE deductions SET reason = NULL WHERE line_id = 6")
    (whole.sides.prod if refused.side == "prod" else whole.sides.consulta).execute(refused.change)
    whole.ask()
    assert whole.work().outcome is AttemptOutcome.FAILED
    failures = {job.copy_name: whole.failure(job.copy_name) for job in whole.run.jobs}
    own = failures.pop(refused.copy)
    assert own.code == refused.code, own.sentence
    said = explained(own, translator("en"))
    assert all(name in f"{said.what} {said.step}" for name in refused.names), said
    assert {found.code for found in failures.values()} == {"set_failed"}
    assert all(f"failed: {refused.copy}" in found.lines[0] for found in failures.values())


def test_a_column_that_comes_to_prod_is_refused_where_rules_stand_and_else_needs_both_sides(
    whole: Whole,
) -> None:
    ruled = FILE.replace(
        'target_table = "payslips"\n', 'target_table = "payslips"\ncolumns = { employee = "mask" }\n'
    )
    whole.configure(ruled)
    whole.ask()
    assert whole.work().outcome is AttemptOutcome.COMPLETED
    whole.sides.both("ALTER TABLE payslips ADD phone text; ALTER TABLE payslip_lines ADD unit text")
    whole.sides.prod.execute("UPDATE payslips SET phone = 'secret'; UPDATE payslip_lines SET unit = 'day'")
    whole.ask()
    assert whole.work().outcome is AttemptOutcome.FAILED
    assert (whole.failure("payslips").code, whole.failure("payslips").lines) == ("new_columns", ["phone"])
    assert whole.failure("lines").code == "set_failed"
    assert whole.sides.consulta.rows("SELECT count(*) FROM payslip_lines WHERE unit IS NOT NULL") == [(0,)]
    whole.configure(ruled.replace('employee = "mask"', 'employee = "mask", phone = "omit"'))
    whole.ask()
    assert whole.work().outcome is AttemptOutcome.COMPLETED
    assert whole.sides.consulta.rows("SELECT count(*) FROM payslips WHERE phone IS NOT NULL") == [(0,)]
    assert whole.sides.consulta.rows(
        "SELECT count(DISTINCT unit), count(*) FILTER (WHERE unit IS NULL) FROM payslip_lines"
    ) == [(1, 0)]


def test_hashes_of_one_value_are_the_same_in_all_tables_and_changed_rules_change_all_rows(
    whole: Whole,
) -> None:
    whole.shell.environment["TRASPASO_HASH_SECRET"] = "0123456789abcdef0123456789abcdef"
    whole.sides.prod.execute("UPDATE deductions SET reason = 'employee 1' WHERE line_id % 2 = 0")
    hashed = FILE
    for table, columns in (("payslips", 'employee = "hash"'), ("deductions", 'reason = "hash"')):
        line = f'target_table = "{table}"\n'
        hashed = hashed.replace(line, f"{line}columns = {{ {columns} }}\n")
    whole.configure(hashed)
    whole.ask()
    assert whole.work().outcome is AttemptOutcome.COMPLETED
    joined = "FROM payslips p JOIN deductions ON employee = reason"
    found = whole.sides.consulta.rows(f"SELECT count(DISTINCT p.id), max(length(reason)) {joined}")
    assert found == [(1, 64)]
    whole.configure(hashed.replace('reason = "hash"', 'reason = "null"'))
    whole.ask()
    assert whole.work().outcome is AttemptOutcome.COMPLETED
    assert (whole["deductions"].updated, whole["payslips"].updated) == (whole.rows("deductions"), 0)
    assert whole.sides.consulta.rows("SELECT count(reason) FROM deductions") == [(0,)]


# ---------------------------------------------------------------------- its jobs as rows, without any worker


def spec(name: str) -> CopySpec:
    return CopySpec(name, TableName("public", name), TableName("public", name), "liquidation_id")


def created(jobs: Jobs, *approved: str, names: str = "abc") -> tuple[int, tuple[int, ...]]:
    """A set of these copies, of which those ``approved`` wait for a second person: its run and its jobs."""
    requests = tuple(
        jobs.request(42, spec=spec(name), approvers=WHO if name in approved else None) for name in names
    )
    made = jobs.store.create_run(
        RunRequest(RunKind.SET, requests, ANA, set_name="completa", channel_id="C0PAYROLL")
    )
    assert made.run_id is not None
    return made.run_id, made.job_ids


def statuses(jobs: Jobs, members: tuple[int, ...]) -> list[Status]:
    return [jobs.see(each).status for each in members]


@pytest.mark.parametrize("how", ["the card", "a job"])
def test_a_set_of_which_one_copy_is_rejected_is_over(jobs: Jobs, how: str) -> None:
    run_id, members = created(jobs, "b", "c")
    if how == "the card":
        decision = RunApprovals(jobs.engine, jobs.store).reject(run_id, BOB, "not today")
        assert decision.decided == members[1:]
    else:
        assert Approvals(jobs.engine).reject(members[1], BOB).outcome is ApprovalOutcome.DONE
    assert statuses(jobs, members) == [Status.CANCELLED] * 3
    assert jobs.see(members[1]).approval is Approval.REJECTED
    run = jobs.store.run(run_id)
    assert run is not None
    assert not run.is_live
    assert created(jobs)[1]


def test_a_set_that_nobody_approves_in_time_is_over(jobs: Jobs) -> None:
    _, members = created(jobs, "b")
    jobs.run(
        "UPDATE traspaso.copy_jobs SET approval_until = now() - interval '1 s' WHERE approval IS NOT NULL"
    )
    assert jobs.sweep().not_approved == [members[1]]
    assert statuses(jobs, members) == [Status.CANCELLED] * 3
    assert [jobs.see(each).approval for each in members] == [None, Approval.EXPIRED, None]


def test_a_set_of_which_a_press_has_a_job_in_hand_is_over_a_little_later(jobs: Jobs) -> None:
    _, members = created(jobs, "b")
    jobs.run(
        "UPDATE traspaso.copy_jobs SET approval_until = now() - interval '1 s' WHERE approval IS NOT NULL"
    )
    with jobs.engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT FROM traspaso.copy_jobs WHERE id = {members[0]} FOR UPDATE")
        assert jobs.sweep().not_approved == []
    assert jobs.sweep().not_approved == [members[1]]


def test_a_set_that_waits_for_somebody_is_not_paused_and_takes_nobody_s_place(jobs: Jobs) -> None:
    run_id, members = created(jobs, "b")
    behind = jobs.create(43)
    assert jobs.control.pause(members[0], ANA).became is Became.NOT_NOW
    assert RunControl(jobs.engine, jobs.store).pause(run_id, ANA).became is Became.NOT_NOW
    assert statuses(jobs, members) == [Status.PENDING] * 3
    swept = jobs.sweep(overdue_seconds=0, room=1)
    assert (swept.to_enqueue, swept.overdue) == ([behind], [behind])
    assert Approvals(jobs.engine).approve(members[1], BOB).outcome is ApprovalOutcome.DONE
    assert jobs.control.pause(members[2], ANA).became is Became.DONE
    assert statuses(jobs, members) == [Status.PAUSED] * 3


def test_a_set_is_retried_whole_or_not_at_all(jobs: Jobs) -> None:
    run_id, members = created(jobs)
    for attempt in jobs.executions.claim_set(members[0], "host:1"):
        Ends(attempt).failed(LOST)
    single = jobs.create(42, spec=spec("b"))
    with pytest.raises(AlreadyRunning) as refused:
        jobs.control.retry(members[0], ANA)
    assert refused.value.job_id == single
    assert RunControl(jobs.engine, jobs.store).retry(run_id, ANA).became is Became.NOT_NOW
    assert statuses(jobs, members) == [Status.FAILED] * 3
    jobs.control.cancel(single, ANA)
    assert RunControl(jobs.engine, jobs.store).retry(run_id, ANA).became is Became.DONE
    assert statuses(jobs, members) == [Status.PENDING] * 3


def test_of_sets_and_copies_that_share_a_table_one_is_live_whoever_asks_at_once(jobs: Jobs) -> None:
    def ask(number: int) -> int:
        if number % 3 == 0:
            try:
                jobs.create(42, spec=spec("b"))
            except AlreadyRunning:
                return 0
            return 1
        requests = tuple(jobs.request(42, spec=spec(name)) for name in ("ab", "bc", "cba")[number % 3])
        return len(jobs.store.create_run(RunRequest(RunKind.SET, requests, ANA, set_name="s")).job_ids)

    for _ in range(4):
        with ThreadPoolExecutor(9) as pool:
            made = sum(pool.map(ask, range(9)))
        live = jobs.store.live()
        assert len(live) == made
        assert len([job for job in live if job.target_table == "public.b"]) == 1
        for job in live:
            jobs.control.cancel(job.id, ANA)


def test_a_second_group_and_reminders_are_for_the_job_that_asks(jobs: Jobs) -> None:
    _, members = created(jobs, "b")
    jobs.run(
        "UPDATE traspaso.copy_jobs SET approval_asked_at = now() - interval '20 hours', "
        "approval_until = now() + interval '4 hours' WHERE approval IS NOT NULL"
    )
    jobs.tell_all()
    jobs.sweep()
    assert [str(kind) for kind in jobs.tell_all()] == ["reminder"]
    assert statuses(jobs, members) == [Status.PENDING] * 3
