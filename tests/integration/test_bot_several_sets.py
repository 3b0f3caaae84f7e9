"""The sets of several liquidations with one press: one run, each set whole and proven at its own moment."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from bot import app
from bot.commands.conversation import Caller
from bot.commands.copy_runs import CopyOfSet, CopySeveral
from bot.commands.job_creation import JobCreation
from bot.config import File, Need, load
from bot.i18n import translator
from bot.jobs.actions import ApprovalOutcome, Became, RunApprovals, RunControl
from bot.jobs.freshness import FreshnessReader, SetFreshness
from bot.jobs.models import RunKind, Status
from bot.jobs.repository import CreatedRun, RunRequest
from bot.jobs.view import RunView, answered
from bot.messages.blocks import Message
from bot.messages.proposal import Shown
from bot.messages.run_proposal import MOST, SeveralOffer
from bot.slack.client import client
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome
from copier import CopySpec, TableName
from dev.local_slack.client import LocalSlack
from tests.copying import Sides, engine
from tests.desk import CHANNEL, Desk
from tests.payroll import ENTRIES, OF_42, ORDER, TABLES, filled
from tests.services import parts_of
from tests.shell import PROCESSES, Shell, worker
from tests.tracking import ANA, BOB, LOST, Ends, Jobs

EN = translator("en")
WHO = ("<!subteam^S0ADMINS>",)
FILE = (
    ENTRIES
    + """
[slack]
admin_groups = ["S0ADMINS"]
[[sets]]
name = "completa"
title = "Liquidación completa"
copies = ["lines", "deductions", "payslips", "head"]
default = true
[work]
chunk_rows = 100
parallel = 2
lease_seconds = 2
"""
)


class Office:
    """Both sides with liquidations 41 to 43, somebody at Slack, and workers in this process."""

    def __init__(self, sides: Sides, folder: Path, slack: LocalSlack) -> None:
        self.sides, self.slack = sides, slack
        self.jobs = Jobs(sides.consulta)
        self.control = RunControl(self.jobs.engine, self.jobs.store)
        self._environment = Shell(sides, folder).environment
        self.queued: list[int] = []
        self.configure(FILE)

    def configure(self, file: str) -> None:
        Path(self._environment["TRASPASO_CONFIG"]).write_text(file, "utf-8")
        self._settings = load(self._environment, Need.DATABASES | Need.COPIES)
        self.file: File = self._settings.file

    def several(self) -> CopySeveral:
        web = client(self.slack.bot_token, self.slack.api_url)
        parts = parts_of(
            web,
            self.jobs,
            prod=engine(self.sides.prod.url),
            file=self.file,
            enqueue=lambda job_id: self.queued.append(job_id) or True,
        )
        creation = JobCreation.of(parts)
        return CopySeveral(creation, CopyOfSet(creation))

    def caller(self, bot: CopySeveral) -> Caller:
        reply = bot._callers.replies.to({"user_id": "U0ANA", "command": "/copy-liquidation"})
        return Caller("T0ACME", "U0ANA", EN, reply)

    def offer(self, *words: str, bot: CopySeveral | None = None) -> Message:
        """The answer to these words, of this bot or of one that has only begun."""
        bot = bot or self.several()
        said = bot.answer([*words], self.caller(bot))
        assert said is not None
        return said

    def press(self, offer: Message, reason: str = "") -> Message:
        bot, value = self.several(), buttons(offer)["copy_several.confirm"]["value"]
        return bot.start_or_ask(SeveralOffer.decoded(value), self.caller(bot), CHANNEL, reason)

    @property
    def run(self) -> RunView:
        [found] = self.jobs.store.runs_of(self.jobs.store.live() or self.jobs.store.latest(200)).values()
        return found

    def work(self, job_id: int) -> AttemptOutcome:
        """A worker takes what this job belongs to."""
        return app.databases(self._settings).runner.run(job_id, StopSwitch()).outcome

    def killed_while_working(self, job_id: int, chunks: int) -> None:
        """A worker in a process of its own takes what this job belongs to; it dies after so many chunks."""
        arguments = (job_id, self._environment, "traspaso.chunk_recorded", chunks + 1)
        process = PROCESSES.Process(target=worker, args=arguments, daemon=True)
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL

    def assert_same(self, number: int) -> None:
        for table, of_42 in OF_42.items():
            self.sides.assert_same(table, of_42.replace("42", str(number)), ORDER[table])


def buttons(message: Message) -> dict[str, Any]:
    elements = (each for block in message.blocks if block["type"] == "actions" for each in block["elements"])
    return {each["action_id"]: each for each in elements}


def lines(message: Message) -> dict[str, list[str]]:
    """The cells of each liquidation in the preview."""
    [table] = [block for block in message.blocks if block["type"] == "table"]
    cells = [[cell["text"] for cell in row] for row in table["rows"][1:]]
    return {row[0].split(" ")[0]: row[1:] for row in cells}


@pytest.fixture
def office(sides: Sides, tmp_path: Path, slack: LocalSlack) -> Iterator[Office]:
    sides.both(TABLES)
    sides.prod.execute(filled(300))
    found = Office(sides, tmp_path, slack)
    yield found
    found.jobs.engine.dispose()


# --------------------------------------------------------------------------------- from the words to the run


@pytest.mark.parametrize("words", [("41-43",), ("41,42,43", "completa")])
def test_one_preview_has_a_line_for_each_liquidation_and_one_press_begins_all_of_them(
    office: Office, words: tuple[str, ...]
) -> None:
    offer = office.offer(*words)
    assert {number: cells[:2] for number, cells in lines(offer).items()} == {
        "41": ["851", "0"],
        "42": ["851", "0"],
        "43": ["851", "0"],
    }
    assert "Would insert 851" in lines(offer)["42"][2]
    said = office.press(offer)
    run = office.run
    assert (run.kind, run.set_name, run.liquidations) == (RunKind.SET, "completa", (41, 42, 43))
    assert [(job.liquidation_id, job.copy_name) for job in run.jobs] == [
        (number, name) for number in (41, 42, 43) for name in ("head", "payslips", "lines", "deductions")
    ]
    assert {job.terms.in_prod for job in run.jobs if job.copy_name == "lines"} == {500}
    assert sorted(office.queued) == sorted(job.id for job in run.jobs)
    assert "3 copies" in said.text
    assert "You pressed this before" in office.press(offer).text
    assert len(office.jobs.store.live()) == 12


@pytest.mark.usefixtures("still")
def test_each_set_is_proven_at_one_moment_of_its_own_and_they_are_copied_side_by_side(office: Office) -> None:
    office.press(office.offer("41-43"))
    by_number = {own.liquidations[0]: own for own in office.run.sets}
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(office.work, (own.jobs[2].id for own in by_number.values())))
    assert ended == [AttemptOutcome.COMPLETED] * 3
    run = office.run
    assert not run.is_live
    for own in run.sets:
        assert {job.status for job in own.jobs} == {Status.COMPLETED}
        assert len({job.as_of for job in own.jobs}) == 1
        assert len({job.finished_at for job in own.jobs}) == 1
        office.assert_same(own.liquidations[0])
    assert len({job.as_of for job in run.jobs}) == 3
    [receipts] = office.sides.consulta.rows(
        "SELECT count(*), count(DISTINCT receipt->>'run') FROM traspaso.receipts"
    )
    assert receipts == (12, 1)
    for number in (41, 42, 43):
        [held] = FreshnessReader(office.jobs.engine).of_liquidation(number)
        assert isinstance(held, SetFreshness)
        assert (held.run_id, len(held.tables)) == (run.id, 4)
    same, bot = "Prod and consulta hold the same 851 rows: nothing would be written.", office.several()

    def says(sentence: str, number: str) -> bool:
        return sentence in lines(office.offer("41-43", bot=bot))[number][2]

    # Each is known to the row as soon as no transaction is left that was begun before its proof; on a busy
    # machine a look may end before that is found.
    for number in ("41", "42", "43"):
        office.slack.wait_for(partial(says, same, number))
    office.slack.wait_for(lambda: "should take" not in str(office.offer("43,42", bot=bot).blocks))
    office.sides.prod.execute("UPDATE payslips SET employee = 'other' WHERE liquidation_id = 41")
    assert "should take" in str(office.offer("43,41", bot=bot).blocks)


def test_a_worker_killed_in_the_set_of_one_liquidation_holds_up_no_other_and_that_set_goes_on(
    office: Office,
) -> None:
    office.configure(FILE.replace("parallel = 2", "parallel = 1"))
    office.press(office.offer("41-43"))
    first, second, third = ([job.id for job in own.jobs] for own in office.run.sets)
    assert office.work(first[0]) is AttemptOutcome.COMPLETED
    office.killed_while_working(second[2], chunks=4)  # its head, its payslips, and two of its five of lines
    assert office.work(third[1]) is AttemptOutcome.COMPLETED
    assert [own.jobs[2].status for own in office.run.sets] == ["completed", "running", "completed"]

    for job_id in second:
        office.jobs.let_the_lease_run_out(job_id)
    office.jobs.run("UPDATE traspaso.workers SET beat_at = now() - interval '1 hour'")
    office.jobs.sweep()
    assert office.work(second[3]) is AttemptOutcome.COMPLETED
    run = office.run
    assert {job.status for job in run.jobs} == {Status.COMPLETED}
    assert [{job.attempt for job in own.jobs} for own in run.sets] == [{1}, {2}, {1}]
    assert [job.unchanged for job in run.sets[1].jobs] == [1, 100, 200, 0]
    assert not run.is_live
    for number in run.liquidations:
        office.assert_same(number)


def test_what_can_t_be_copied_is_named_in_its_line_and_the_others_are_copied(office: Office) -> None:
    office.sides.consulta.execute(filled(300))
    office.sides.prod.execute(
        "DELETE FROM deductions d USING payslip_lines l JOIN payslips p ON p.id = l.payslip_id "
        "WHERE l.id = d.line_id AND p.liquidation_id = 43"
    )
    taken = office.jobs.create(
        42, spec=CopySpec(*["lines", *[TableName("public", "payslip_lines")] * 2], "id")
    )
    offer = office.offer("41-44")
    said = {number: cells[2] for number, cells in lines(offer).items()}
    assert f"under way already: job {taken}" in said["42"]
    assert "prod has no rows for deductions" in said["43"]
    assert "there is no such liquidation" in said["44"]
    assert buttons(offer)["copy_several.confirm"]["text"]["text"] == "Copy 1"
    office.press(offer)
    [run] = office.jobs.store.runs_of(office.jobs.store.live()).values()
    assert (run.liquidations, len(run.jobs), run.is_one_set) == ((41,), 4, True)


def test_what_consulta_lacks_of_other_tables_is_said_with_the_liquidation_that_needs_it(
    office: Office,
) -> None:
    office.sides.both(
        "CREATE TABLE employees (name text PRIMARY KEY);"
        "INSERT INTO employees SELECT 'employee ' || g FROM generate_series(1, 300) g"
    )
    office.sides.consulta.execute(
        "DELETE FROM employees WHERE name = 'employee 1';"
        "ALTER TABLE payslips ADD CONSTRAINT of_employee FOREIGN KEY (employee) REFERENCES employees"
    )
    said = str(office.offer("41-43").blocks)
    assert "⚠️ *42 · payslips*: Consulta lacks 1 row of `public.employees` to which rows of prod point" in said
    assert said.count("Consulta lacks") == 1


def test_rows_that_moved_before_the_press_are_shown_and_asked_about_anew(office: Office) -> None:
    offer = office.offer("41-42")
    office.sides.prod.execute("DELETE FROM deductions WHERE line_id > 600")
    again = office.press(offer)
    assert "has changed since" in again.text
    assert office.jobs.store.live() == []
    office.press(again)
    assert len(office.jobs.store.live()) == 8


def test_sets_with_a_table_that_needs_a_second_person_wait_for_one_who_is_named_before_the_press(
    office: Office,
) -> None:
    office.configure(FILE.replace('name = "payslips"', 'name = "payslips"\nrequire_approval = true', 1))
    offer = office.offer("41-42")
    assert "2 of them start only when somebody else approves them, out of <!subteam^S0ADMINS>" in str(
        offer.blocks
    )
    office.press(offer)
    run = office.run
    assert [job.liquidation_id for job in run.waiting_for_approval] == [41, 42]
    assert {office.jobs.executions.claim(job.id, "host:1") for job in run.jobs} == {None}
    assert all(office.jobs.executions.claim_set(own.jobs[0].id, "host:1") == [] for own in run.sets)
    approvals = RunApprovals(office.jobs.engine, office.jobs.store)
    shown = answered(run.waiting_for_approval)
    assert approvals.approve(run.id, ANA, shown).outcome is ApprovalOutcome.OWN
    assert approvals.approve(run.id, BOB, shown).outcome is ApprovalOutcome.DONE
    assert all(len(office.jobs.executions.claim_set(own.jobs[0].id, "host:1")) == 4 for own in run.sets)


def test_sets_with_a_table_that_asks_for_a_reason_are_not_begun_without_one(office: Office) -> None:
    office.configure(FILE.replace('name = "lines"', 'name = "lines"\nrequire_reason = true', 1))
    offer = office.offer("41-42")
    again = office.press(offer, " ")
    assert office.jobs.store.live() == []
    assert "copy_several.confirm" in buttons(again)
    office.press(again, "October is closed")
    assert {job.request_reason for job in office.run.jobs} == {"October is closed"}


def test_a_mistyped_set_is_named_with_the_one_that_was_meant(office: Office) -> None:
    said = office.offer("41-42", "complta")
    assert "There is no copy named “complta”." in said.text
    assert "/copy-liquidation 41-42 completa" in str(said.blocks)


def test_more_tables_than_may_be_asked_for_are_refused_with_how_many_may_be(office: Office) -> None:
    said = office.offer("1-51")
    assert "At most 50 liquidations at a time" in said.text
    [whole] = office.file.sets
    twice = whole.model_copy(update={"copies": whole.copies * 2})
    office.file = office.file.model_copy(update={"sets": (twice,)})
    said = office.offer("1-30")
    assert "At most 200 tables at a time: 30 liquidations with 8 tables each would be 240." in said.text
    assert "at most 25 liquidations" in str(said.blocks)


def test_what_fifty_liquidations_were_shown_fits_into_the_button() -> None:
    parts = tuple((900_000 + n, Shown(8_000_000 + n, 7_900_000 + n, 4_000, 60_000)) for n in range(MOST))
    offer = SeveralOffer("completa", "f" * 32, 1_795_000_000, parts, "a" * 16, of_set=True)
    assert offer.fits
    assert SeveralOffer.decoded(offer.encoded()) == offer
    before = json.dumps(["items", "f", 1, "m", "2a:1"])
    assert SeveralOffer.decoded(before).of_set is False


def test_a_set_whose_table_is_taken_at_the_press_is_left_out_whole(office: Office) -> None:
    jobs = office.jobs
    single = jobs.create(42, spec=spec("b"))
    created = ask(jobs)
    assert created.taken == (single,)
    run = see(jobs, created)
    assert run.liquidations == (41, 43)
    assert {job.liquidation_id for job in run.jobs} == {41, 43}
    assert len(created.job_ids) == 6
    assert ask(jobs).run_id is None


# ------------------------------------------------------------------------------------------ its jobs as rows


def spec(name: str) -> CopySpec:
    return CopySpec(name, TableName("public", name), TableName("public", name), "liquidation_id")


def ask(jobs: Jobs, *approved: int) -> CreatedRun:
    """Sets of three tables of liquidations 41 to 43; those ``approved`` wait for a second person."""
    requests = tuple(
        jobs.request(number, spec=spec(name), approvers=WHO if number in approved and name == "b" else None)
        for number in (41, 42, 43)
        for name in "abc"
    )
    wanted = RunRequest(RunKind.SET, requests, ANA, set_name="completa", channel_id=CHANNEL)
    return jobs.store.create_run(wanted)


def see(jobs: Jobs, created: CreatedRun) -> RunView:
    assert created.run_id is not None
    found = jobs.store.run(created.run_id)
    assert found is not None
    return found


def states(run: RunView) -> dict[int, set[Status]]:
    return {own.liquidations[0]: {job.status for job in own.jobs} for own in run.sets}


def test_a_worker_takes_the_set_of_one_liquidation_and_another_one_the_next(jobs: Jobs) -> None:
    run = see(jobs, ask(jobs))
    first, second, third = run.sets
    taken = jobs.executions.claim_set(first.jobs[1].id, "host:1")
    assert {attempt.job_id for attempt in taken} == {job.id for job in first.jobs}
    assert {attempt.job_id for attempt in jobs.executions.claim_set(second.jobs[0].id, "host:2")} == {
        job.id for job in second.jobs
    }
    assert jobs.executions.claim_set(first.jobs[0].id, "host:3") == []
    assert jobs.executions.claim(third.jobs[0].id, "host:3") is None


def test_a_worker_of_the_release_before_can_t_take_several_sets_as_one(jobs: Jobs) -> None:
    run = see(jobs, ask(jobs))
    with pytest.raises(IntegrityError, match="copy_jobs_one_set_at_once"):
        jobs.run(
            "UPDATE traspaso.copy_jobs SET status = 'running', attempt = 1, claimed_at = now(), worker_id = "
            "(SELECT min(id) FROM traspaso.workers)"
        )
    assert states(see_again(jobs, run)) == {number: {Status.PENDING} for number in (41, 42, 43)}


def see_again(jobs: Jobs, run: RunView) -> RunView:
    found = jobs.store.run(run.id)
    assert found is not None
    return found


def test_of_sets_of_which_some_wait_for_approval_the_others_go_on_and_one_press_decides(jobs: Jobs) -> None:
    run = see(jobs, ask(jobs, 42, 43))
    control, approvals = RunControl(jobs.engine, jobs.store), RunApprovals(jobs.engine, jobs.store)
    assert control.pause(run.id, ANA).became is Became.DONE
    pending, paused = {Status.PENDING}, {Status.PAUSED}
    assert states(see_again(jobs, run)) == {41: paused, 42: pending, 43: pending}
    assert control.resume(run.id, ANA).became is Became.DONE
    waiting = see_again(jobs, run).waiting_for_approval
    assert [job.liquidation_id for job in waiting] == [42, 43]
    decided = approvals.approve(run.id, BOB, answered(waiting))
    assert (decided.outcome, len(decided.decided)) == (ApprovalOutcome.DONE, 2)
    assert len(jobs.executions.claim_set(run.sets[1].jobs[0].id, "host:1")) == 3


def test_a_rejection_ends_the_sets_that_waited_and_no_other(jobs: Jobs) -> None:
    run = see(jobs, ask(jobs, 42, 43))
    assert RunApprovals(jobs.engine, jobs.store).reject(run.id, BOB).outcome is ApprovalOutcome.DONE
    cancelled = {Status.CANCELLED}
    assert states(see_again(jobs, run)) == {41: {Status.PENDING}, 42: cancelled, 43: cancelled}


def test_sets_that_nobody_approves_in_time_are_over_and_the_others_are_not(jobs: Jobs) -> None:
    run = see(jobs, ask(jobs, 43))
    jobs.run(
        "UPDATE traspaso.copy_jobs SET approval_until = now() - interval '1 s' WHERE approval IS NOT NULL"
    )
    jobs.sweep()
    pending = {Status.PENDING}
    assert states(see_again(jobs, run)) == {41: pending, 42: pending, 43: {Status.CANCELLED}}


def test_each_set_that_failed_is_retried_whole_or_not_at_all(jobs: Jobs) -> None:
    run = see(jobs, ask(jobs))
    for own in run.sets:
        for attempt in jobs.executions.claim_set(own.jobs[0].id, "host:1"):
            Ends(attempt).failed(LOST)
    jobs.create(42, spec=spec("b"))
    failed, pending = {Status.FAILED}, {Status.PENDING}
    effect = RunControl(jobs.engine, jobs.store).retry(run.id, ANA)
    assert effect.became is Became.DONE
    assert states(see_again(jobs, run)) == {41: pending, 42: failed, 43: pending}
    assert len(effect.to_enqueue) == 6
    assert see_again(jobs, run).round == 1


def test_a_press_on_one_job_is_for_the_set_of_its_liquidation(jobs: Jobs) -> None:
    run = see(jobs, ask(jobs))
    jobs.control.cancel(run.sets[1].jobs[2].id, ANA)
    pending = {Status.PENDING}
    assert states(see_again(jobs, run)) == {41: pending, 42: {Status.CANCELLED}, 43: pending}


# --------------------------------------------------------------------------------------- the card, the reply


def test_one_card_has_a_line_for_each_liquidation_and_one_reply_when_the_last_has_ended(
    slack: LocalSlack, jobs: Jobs
) -> None:
    desk, run = Desk(slack, jobs), see(jobs, ask(jobs))
    desk.outbox_relay.deliver_due()
    [card] = desk.messages()
    assert card.pinned
    for place, own in enumerate(run.sets):
        [card] = desk.messages()
        assert [task["status"] for task in tasks(card)] == ["error"] * place + ["pending"] * (3 - place)
        assert desk.replies(card.ts) == []
        for attempt in jobs.executions.claim_set(own.jobs[0].id, "host:1"):
            Ends(attempt).failed(LOST)
        desk.outbox_relay.deliver_due()
    [card] = desk.messages()
    assert [task["title"].split(" ")[0] for task in tasks(card)] == ["41", "42", "43"]
    [reply] = desk.replies(card.ts)
    assert "<@U0ANA>" in reply.text
    assert [line.split(" ")[1] for line in reply.plain.splitlines()[1:4]] == ["*41*", "*42*", "*43*"]
    assert not card.pinned


def tasks(card: Any) -> list[dict[str, Any]]:
    [plan] = [block for block in card.blocks or [] if block["type"] == "plan"]
    found: list[dict[str, Any]] = plan["tasks"]
    return found
