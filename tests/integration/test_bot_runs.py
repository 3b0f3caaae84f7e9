"""Several jobs of one press: one card, one reply when the last has ended, and presses that act on all."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.commands import buttons
from bot.jobs.actions import ApprovalOutcome, Became, RunApprovals, RunControl
from bot.jobs.attempt import Attempt
from bot.jobs.models import RunKind, Status
from bot.jobs.outbox import MessageKind, Outbox
from bot.jobs.repository import CreatedRun, RunRequest
from bot.jobs.totals import RUNS
from bot.jobs.view import AgreedCounts, Question, Reason, RunView, answered
from bot.messages import run as messages
from bot.monitoring import queries
from bot.slack.client import client
from dev.local_slack.client import LocalSlack
from dev.local_slack.results import Message
from tests.desk import CHANNEL, ES, Desk
from tests.services import parts_of
from tests.tracking import ANA, BOB, CHUNK, LOST, PLAN, PROOF, Ends, Jobs

MOVED = Question(Reason.MOVED, 150_500, 0, 500, 0)
SHOWN = AgreedCounts(500, 0, removal_confirmed=False)
WHO = ("<!subteam^S0ADMINS>",)


class Runs:
    """Runs of one test, and what people read of them."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.jobs = desk, desk.jobs
        self.control = RunControl(self.jobs.engine, self.jobs.store)
        self.approvals = RunApprovals(self.jobs.engine, self.jobs.store)

    def ask(self, *numbers: int, key: str | None = None, **values: Any) -> CreatedRun:
        requests = tuple(self.jobs.request(number, **values) for number in numbers)
        wanted = RunRequest(RunKind.SEVERAL, requests, ANA, channel_id=CHANNEL, key=key)
        return self.jobs.store.create_run(wanted)

    def begin(self, *numbers: int, **values: Any) -> RunView:
        created = self.ask(*numbers, **values)
        assert created.is_new
        assert created.run_id is not None
        self.desk.outbox_relay.deliver_due()
        return self.see(created.run_id)

    def see(self, run_id: int) -> RunView:
        run = self.jobs.store.run(run_id)
        assert run is not None
        return run

    def claim(self, job_id: int) -> Attempt:
        attempt = self.jobs.executions.claim(job_id, "host:1")
        assert attempt is not None
        return attempt

    def end(self, job_id: int, *, fails: bool = False) -> None:
        attempt = self.claim(job_id)
        attempt.planned(PLAN)
        Ends(attempt).failed(LOST) if fails else Ends(attempt).completed(PROOF)

    def deliver(self) -> None:
        self.desk.outbox_relay.deliver_due()

    @property
    def card(self) -> Message:
        [card] = self.desk.messages()
        return card

    @property
    def replies(self) -> list[Message]:
        return self.desk.replies(self.card.ts)


@pytest.fixture
def runs(slack: LocalSlack, jobs: Jobs) -> Runs:
    return Runs(Desk(slack, jobs))


def task_states(card: Message) -> list[str]:
    [plan] = [block for block in card.blocks or [] if block["type"] == "plan"]
    return [task["status"] for task in plan["tasks"]]


def test_a_run_has_one_pinned_card_and_one_reply_when_its_last_job_has_ended(runs: Runs) -> None:
    run = runs.begin(40, 41, 42)
    first, second, third = [job.id for job in run.jobs]
    assert runs.card.pinned
    assert runs.card.ts == run.message_ts == runs.jobs.see(second).message_ts
    assert task_states(runs.card) == ["pending"] * 3
    runs.end(first)
    runs.end(second, fails=True)
    runs.deliver()
    assert task_states(runs.card) == ["complete", "error", "pending"]
    assert runs.replies == []
    runs.end(third)
    runs.deliver()
    [reply] = runs.replies
    assert "<@U0ANA>" in reply.text
    assert [line.split(" ")[1] for line in reply.plain.splitlines()[1:4]] == ["*40*", "*41*", "*42*"]
    assert "2 de 3" in reply.text
    assert not runs.card.pinned
    runs.deliver()
    assert len(runs.replies) == 1


def test_of_two_jobs_that_end_at_the_same_moment_one_ends_the_run(runs: Runs) -> None:
    for round_ in range(8):
        run = runs.begin(2 * round_ + 1, 2 * round_ + 2)
        attempts = [runs.claim(job.id) for job in run.jobs]
        together = threading.Barrier(2)

        def end(attempt: Attempt, together: threading.Barrier = together) -> None:
            together.wait()
            Ends(attempt).failed(LOST)

        threads = [threading.Thread(target=end, args=[attempt]) for attempt in attempts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert runs.see(run.id).ended_at is not None
        endings = []
        while due := runs.jobs.outbox.take():
            runs.jobs.outbox.done(due)
            endings += [due] if due.kind is MessageKind.ENDING else []
        assert [due.run_id for due in endings] == [run.id]


def test_what_is_under_way_already_is_named_and_not_doubled(runs: Runs) -> None:
    live = runs.jobs.create(41)
    created = runs.ask(40, 41)
    assert created.taken == (live,)
    assert [job.liquidation_id for job in runs.see(created.run_id or 0).jobs] == [40]
    again = runs.ask(40, 41)
    assert (again.run_id, set(again.taken)) == (None, {live, *created.job_ids})
    assert len(runs.jobs.store.live()) == 2


def test_a_press_makes_one_run_however_often_it_is_delivered(runs: Runs) -> None:
    first = runs.ask(40, 41, key="k1")
    second = runs.ask(40, 41, key="k1")
    assert (second.run_id, second.is_new, second.job_ids) == (first.run_id, False, first.job_ids)


def test_what_failed_is_tried_again_on_the_same_card_and_has_a_reply_of_its_own(runs: Runs) -> None:
    run = runs.begin(40, 41)
    done, failed = [job.id for job in run.jobs]
    runs.end(done)
    runs.end(failed, fails=True)
    runs.deliver()
    assert not runs.card.pinned
    effect = runs.control.retry(run.id, BOB)
    assert (effect.became, effect.to_enqueue, effect.after.round) == (Became.DONE, (failed,), 1)
    runs.deliver()
    assert runs.card.pinned
    assert task_states(runs.card) == ["complete", "pending"]
    runs.end(failed)
    runs.deliver()
    assert ["2 de 2" in reply.text or "verificadas" in reply.text for reply in runs.replies] == [True, True]
    assert task_states(runs.card) == ["complete", "complete"]
    assert runs.control.retry(run.id, BOB).became is Became.NOT_NOW


def test_pause_resume_and_cancel_act_on_all_that_is_live(runs: Runs) -> None:
    run = runs.begin(40, 41, 42)
    ended, running, waiting = [job.id for job in run.jobs]
    runs.end(ended)
    attempt = runs.claim(running)

    def states() -> list[tuple[Status, object]]:
        return [(job.status, job.stop_requested) for job in runs.see(run.id).jobs]

    assert runs.control.pause(run.id, BOB).became is Became.DONE
    assert states() == [(Status.COMPLETED, None), (Status.RUNNING, "pause"), (Status.PAUSED, None)]
    assert runs.control.resume(run.id, BOB).to_enqueue == (waiting,)
    assert states() == [(Status.COMPLETED, None), (Status.RUNNING, None), (Status.PENDING, None)]
    assert runs.control.cancel(run.id, BOB).became is Became.DONE
    assert states() == [(Status.COMPLETED, None), (Status.RUNNING, "cancel"), (Status.CANCELLED, None)]
    runs.deliver()
    assert runs.replies == []
    Ends(attempt).released()
    runs.deliver()
    assert len(runs.replies) == 1
    assert runs.control.cancel(run.id, BOB).became is Became.BEFORE


def test_a_run_whose_jobs_need_approval_asks_once_and_one_press_decides(runs: Runs) -> None:
    run = runs.begin(40, 41, 42, approvers=WHO)
    shown = answered(run.waiting_for_approval)
    assert str([block for block in runs.card.blocks or [] if block["type"] == "actions"]).count(shown) == 1
    assert runs.approvals.approve(run.id, ANA, shown).outcome is ApprovalOutcome.OWN
    assert runs.approvals.approve(run.id, BOB, "others").outcome is ApprovalOutcome.STALE
    decision = runs.approvals.approve(run.id, BOB, shown)
    assert (decision.outcome, len(decision.decided)) == (ApprovalOutcome.DONE, 3)
    runs.deliver()
    [told] = runs.replies
    assert "<@U0BOB>" in told.text
    assert runs.approvals.reject(run.id, BOB).outcome is ApprovalOutcome.LATE


def test_those_who_may_approve_are_reminded_once_for_all_of_them(runs: Runs) -> None:
    run = runs.begin(40, 41, approvers=WHO)
    runs.jobs.run("UPDATE traspaso.copy_jobs SET approval_asked_at = now() - interval '30 hours'")
    runs.jobs.sweep()
    runs.jobs.sweep()
    runs.deliver()
    [reminder] = runs.replies
    assert WHO[0] in reminder.text
    decision = runs.approvals.reject(run.id, BOB, "not today")
    assert (decision.outcome, len(decision.decided)) == (ApprovalOutcome.DONE, 2)
    runs.deliver()
    assert len(runs.replies) == 2
    assert not runs.see(run.id).is_live


def test_a_job_that_asks_again_asks_on_the_run_s_card_and_one_press_answers(runs: Runs) -> None:
    run = runs.begin(40, 41, terms=SHOWN)
    for job in run.jobs:
        Ends(runs.claim(job.id)).ask(MOVED, None)
    runs.deliver()
    [asks] = runs.replies
    assert "40, 41" in asks.text
    shown = answered(runs.see(run.id).waiting_for_confirmation)
    assert runs.control.confirm(run.id, BOB, shown).became is Became.NOT_YOURS
    assert runs.control.confirm(run.id, ANA, "others").became is Became.STALE
    effect = runs.control.confirm(run.id, ANA, shown)
    assert effect.became is Became.DONE
    assert set(effect.to_enqueue) == {job.id for job in run.jobs}


def test_where_slack_takes_no_plan_the_card_says_the_same_in_lines(runs: Runs) -> None:
    runs.desk.slack.fault("chat.postMessage", error="invalid_blocks", match={"block": "plan"})
    run = runs.begin(40, 41)
    assert not any(block["type"] == "plan" for block in runs.card.blocks or [])
    assert all(f"*{job.liquidation_id}*" in runs.card.plain for job in run.jobs)


def test_progress_is_shown_on_the_run_s_card_whichever_job_moves(runs: Runs) -> None:
    run = runs.begin(40, 41, terms=AgreedCounts(8, 0, removal_confirmed=False))
    attempt = runs.claim(run.jobs[1].id)
    attempt.planned(PLAN)
    with runs.jobs.engine.begin() as connection:
        attempt.record(connection, CHUNK)
    runs.desk.card_publisher.progress(runs.jobs.see(attempt.job_id))
    assert ES.percent(5 / 16) in runs.card.plain
    assert task_states(runs.card) == ["pending", "in_progress"]


def test_a_deleted_card_of_a_run_comes_back_and_ends_with_a_reply(runs: Runs) -> None:
    run = runs.begin(40, 41)
    runs.desk.slack.delete_message(CHANNEL, runs.card.ts)
    attempt = runs.claim(run.jobs[0].id)
    runs.desk.card_publisher.progress(runs.jobs.see(attempt.job_id))
    runs.deliver()
    assert runs.card.pinned
    Ends(attempt).failed(LOST)
    runs.end(run.jobs[1].id)
    runs.deliver()
    assert len(runs.replies) == 1


def test_a_lost_answer_to_the_card_s_post_makes_no_second_card(runs: Runs) -> None:
    runs.desk.slack.fault("chat.postMessage", accept_then_drop=True)
    runs.ask(40, 41)
    runs.deliver()
    runs.desk.deliver()
    assert runs.card.pinned


def test_a_channel_that_takes_nothing_has_the_run_s_card_in_person(runs: Runs) -> None:
    requests = (runs.jobs.request(40), runs.jobs.request(41))
    created = runs.jobs.store.create_run(RunRequest(RunKind.SEVERAL, requests, ANA, channel_id="C0NOWHERE"))
    runs.deliver()
    runs.desk.deliver()
    run = runs.see(created.run_id or 0)
    assert run.channel_id == "D0ANA"
    assert run.moved_from is not None
    for job in run.jobs:
        runs.end(job.id)
    runs.deliver()
    [card] = [each for each in runs.desk.messages("D0ANA") if each.ts == run.message_ts]
    assert len(runs.desk.replies(card.ts, "D0ANA")) == 1


def test_a_run_whose_last_job_a_worker_of_the_release_before_has_ended_is_ended_by_the_sweep(
    runs: Runs,
) -> None:
    run = runs.begin(40, 41)
    runs.jobs.run("UPDATE traspaso.copy_jobs SET status = 'completed', finished_at = now()")
    runs.jobs.sweep()
    runs.jobs.sweep()
    runs.deliver()
    assert not runs.see(run.id).is_live
    assert len(runs.replies) == 1


def test_a_press_that_asks_for_approval_of_a_run_knows_the_run_s_channel(runs: Runs) -> None:
    run = runs.begin(40, terms=SHOWN)
    assert runs.claim(run.jobs[0].id).claim.channel_id == CHANNEL


def test_what_was_shown_to_be_deleted_binds_a_job_alone_and_each_of_a_run(runs: Runs) -> None:
    shown = AgreedCounts(5, 7, removal_confirmed=False, deleted=2)
    alone = runs.jobs.create(39, terms=shown)
    run = runs.begin(40, 41, terms=shown)
    assert [job.terms for job in (runs.jobs.see(alone), *run.jobs)] == [shown] * 3


def test_every_button_of_a_run_s_card_has_a_listener(slack: LocalSlack, jobs: Jobs) -> None:
    listened = set()

    class Listening:
        def action(self, action_id: str) -> Any:
            listened.add(action_id)
            return lambda listener: listener

        view = action

    app: Any = Listening()
    buttons.connect(app, parts_of(client(slack.bot_token, slack.api_url), jobs))
    known = {value for name, value in vars(messages).items() if name.endswith(("_ACTION", "_CALLBACK"))}
    assert known <= listened


def test_the_messages_of_a_run_are_claimed_one_at_a_time(runs: Runs) -> None:
    runs.ask(40, 41)
    first = runs.jobs.outbox.take()
    assert first is not None
    assert (first.job_id, first.kind) == (None, MessageKind.CARD)
    run = runs.see(first.run_id or 0)
    runs.control.pause(run.id, BOB)
    assert Outbox(runs.jobs.engine).take() is None
    runs.jobs.outbox.done(first)
    second = runs.jobs.outbox.take()
    assert second is not None
    assert (second.run_id, second.kind) == (run.id, MessageKind.UPDATE)


def test_a_run_for_later_says_when_and_one_press_has_all_of_it_begin_now(runs: Runs) -> None:
    tonight = datetime.now(UTC) + timedelta(hours=6)
    run = runs.begin(40, 41, start_at=tonight)
    assert runs.jobs.executions.claim(run.jobs[0].id, "host:1") is None
    assert f"<!date^{int(tonight.timestamp())}^" in str(runs.card.blocks)
    pressable = [button.action_id for button in runs.card.buttons]
    assert pressable == [messages.START_NOW_ACTION, messages.CANCEL_ACTION, messages.TELL_ACTION]
    effect = runs.control.start_now(run.id, BOB)
    assert (effect.became, len(effect.to_enqueue)) == (Became.DONE, 2)
    runs.deliver()
    assert messages.START_NOW_ACTION not in {button.action_id for button in runs.card.buttons}
    for job in run.jobs:
        runs.end(job.id)
    assert not runs.see(run.id).is_live


def test_a_run_for_later_can_be_cancelled_before_it_begins(runs: Runs) -> None:
    run = runs.begin(40, 41, start_at=datetime.now(UTC) + timedelta(hours=6))
    assert runs.control.cancel(run.id, BOB).became is Became.DONE
    runs.deliver()
    assert [job.status for job in runs.see(run.id).jobs] == [Status.CANCELLED] * 2
    assert len(runs.replies) == 1


def test_a_run_that_ended_is_counted_once_whatever_its_jobs_are(runs: Runs) -> None:
    live = runs.begin(50, 51)
    run = runs.begin(40, 41)
    for job in run.jobs:
        runs.end(job.id, fails=True)
    with runs.jobs.engine.begin() as connection:
        found = queries.installation(connection)
    assert found.runs == {"several": 1}
    ended = {(each.copy_name, each.label): each.value for each in found.sums if each.name == RUNS}
    assert ended["items", "several failed"] >= 1
    before = ended["items", "several failed"]
    runs.control.retry(run.id, BOB)
    for job in run.jobs:
        runs.end(job.id, fails=True)
    runs.control.cancel(live.id, BOB)
    with runs.jobs.engine.begin() as connection:
        found = queries.installation(connection)
    ended = {each.label: each.value for each in found.sums if each.name == RUNS}
    assert found.runs == {}
    assert ended["several failed"] == before + 1
    assert ended["several cancelled"] >= 1


def test_a_copy_by_itself_that_ended_is_counted_as_one_of_its_own_kind(runs: Runs) -> None:
    def counted() -> float:
        with runs.jobs.engine.begin() as connection:
            found = queries.installation(connection)
        return sum(each.value for each in found.sums if (each.name, each.label) == (RUNS, "single failed"))

    before = counted()
    runs.end(runs.jobs.create(60), fails=True)
    assert counted() == before + 1
    run = runs.begin(61, 62)
    for job in run.jobs:
        runs.end(job.id, fails=True)
    assert counted() == before + 1


def test_a_freeze_in_the_middle_of_a_run_is_on_its_card_and_nothing_more_begins(runs: Runs) -> None:
    run = runs.begin(40, 41)
    attempt = runs.claim(run.jobs[0].id)
    runs.jobs.freezes.freeze(BOB, "closing")
    Ends(attempt).released()
    runs.deliver()
    assert "🧊" in runs.card.plain
    assert "closing" in runs.card.plain
    assert [runs.jobs.executions.claim(job.id, "host:1") for job in run.jobs] == [None, None]
    runs.jobs.freezes.lift(BOB)
    runs.deliver()
    assert "🧊" not in runs.card.plain
    for job in run.jobs:
        runs.end(job.id)
    runs.deliver()
    assert len(runs.replies) == 1


@pytest.mark.parametrize("error", ["is_archived", "not_in_channel", "channel_not_found"])
def test_a_channel_that_is_lost_in_the_middle_of_a_run_has_its_ending_in_person(
    runs: Runs, error: str
) -> None:
    run = runs.begin(40, 41)
    runs.end(run.jobs[0].id)
    runs.deliver()
    for method in ("chat.postMessage", "chat.update"):
        runs.desk.slack.fault(method, error=error, times=None, match={"channel": CHANNEL})
    runs.end(run.jobs[1].id)
    for _ in range(3):
        runs.desk.deliver()
    now = runs.see(run.id)
    assert now.channel_id == "D0ANA"
    [card] = [each for each in runs.desk.messages("D0ANA") if each.ts == now.message_ts]
    assert task_states(card) == ["complete", "complete"]
    [reply] = runs.desk.replies(card.ts, "D0ANA")
    assert "40, 41" in reply.text
