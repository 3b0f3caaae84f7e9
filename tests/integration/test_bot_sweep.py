"""The sweep takes over from lost workers, once, and queues what waits."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import TextClause, event, text

from bot.config import ScheduleSection, WatchSection
from bot.errors import StaleAttempt
from bot.jobs.attempt import Attempt
from bot.jobs.failure import Failure
from bot.jobs.models import Status
from bot.jobs.notifications import Notifications
from bot.jobs.outbox import MessageKind, Notices
from bot.jobs.retention import Pruning, Retention
from bot.jobs.schedules import Schedules
from bot.jobs.watch import Rounds
from bot.jobs.workers import UnbrokenBeats
from bot.work.background import LivenessBeat, WorkersMissing
from bot.work.queue import JobQueue
from dev.valkey import Valkey
from tests.support import Clock, until
from tests.tracking import ANA, PROOF, Ends, Jobs


def test_a_lively_worker_keeps_its_job_and_a_silent_one_loses_it(jobs: Jobs) -> None:
    lively, silent = jobs.claimed(liquidation=1), jobs.claimed(liquidation=2)
    for claim in (lively, silent):
        jobs.let_the_lease_run_out(claim.job_id)
    lively.renew()
    swept = jobs.sweep()
    assert (swept.lost, swept.to_enqueue, swept.given_up) == ([silent.job_id], [silent.job_id], [])
    assert jobs.see(lively.job_id).status is Status.RUNNING
    assert jobs.kinds(silent.job_id) == ["requested", "claimed", "worker_lost"]


def test_twenty_sweeps_at_once_take_a_lost_job_once(jobs: Jobs) -> None:
    claim = jobs.claimed()
    jobs.let_the_lease_run_out(claim.job_id)
    with ThreadPoolExecutor(20) as pool:
        swept = list(pool.map(lambda _: jobs.sweep(), range(20)))
    assert [each.lost for each in swept if each.lost] == [[claim.job_id]]
    assert jobs.kinds(claim.job_id).count("worker_lost") == 1


def test_a_job_that_ends_while_it_is_taken_from_its_worker_is_one_or_the_other(jobs: Jobs) -> None:
    for liquidation in range(1, 21):
        claim = jobs.claimed(liquidation=liquidation)
        jobs.let_the_lease_run_out(claim.job_id)

        def complete(claim: Attempt = claim) -> bool:
            try:
                Ends(claim).completed(PROOF)
            except StaleAttempt:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            ended, swept = pool.submit(complete), pool.submit(jobs.sweep)
        lost = claim.job_id in swept.result().lost
        assert ended.result() != lost
        assert jobs.see(claim.job_id).status is (Status.PENDING if lost else Status.COMPLETED)
        assert jobs.kinds(claim.job_id)[2:] == ["worker_lost" if lost else "completed"]


def test_a_job_that_loses_all_its_workers_is_given_up_and_told(jobs: Jobs) -> None:
    job_id = jobs.create(channel_id="C0")
    for attempt in (1, 2):
        claim = jobs.executions.claim(job_id, f"host:{attempt}")
        assert claim is not None
        jobs.let_the_lease_run_out(job_id)
        swept = jobs.sweep(max_attempts=2)
        assert (swept.given_up, swept.lost) == (([], [job_id]) if attempt == 1 else ([job_id], []))
    job = jobs.see(job_id)
    assert (job.status, job.error) == (Status.FAILED, Failure("workers_lost", job.error_message or ""))
    assert job.error_message
    assert jobs.is_pending(job_id, MessageKind.ENDING)
    assert jobs.kinds(job_id)[-1] == "failed"


def test_attempts_that_were_paused_or_released_are_no_lost_workers(jobs: Jobs) -> None:
    """A long copy that lives through many deploys loses one worker, and goes on."""
    job_id = jobs.create()
    for number in range(1, 6):
        claim = jobs.executions.claim(job_id, f"host:{number}")
        assert claim is not None
        Ends(claim).released()
    jobs.executions.claim(job_id, "host:6")
    jobs.let_the_lease_run_out(job_id)
    swept = jobs.sweep(max_attempts=2)
    assert (swept.given_up, swept.lost) == ([], [job_id])


def test_a_waiting_job_is_put_on_the_queue_once(jobs: Jobs) -> None:
    job_id = jobs.create()
    assert jobs.sweep().to_enqueue == [job_id]
    jobs.store.enqueued(job_id)
    jobs.run("UPDATE traspaso.copy_jobs SET run_after = now() - interval '1 h', enqueued_at = run_after")
    assert jobs.sweep().to_enqueue == []


def test_a_worker_with_room_takes_jobs_that_no_message_brought_and_no_more_than_it_has_room_for(
    jobs: Jobs,
) -> None:
    late = [jobs.create(liquidation=number) for number in (1, 2, 3)]
    fresh = jobs.create(liquidation=4)
    for job_id in (*late, fresh):
        jobs.store.enqueued(job_id)
    assert jobs.sweep(room=4).overdue == []
    old = "UPDATE traspaso.copy_jobs SET run_after = now() - interval '6 s', {} WHERE id <> :fresh"
    jobs.run(old.format("enqueued_at = now()"), fresh=fresh)
    assert jobs.sweep(room=4).overdue == []
    jobs.run(old.format("enqueued_at = now() - interval '6 s'"), fresh=fresh)
    assert jobs.sweep(room=0).overdue == []
    assert jobs.sweep(room=2).overdue == late[:2]
    assert jobs.sweep(room=4).overdue == late


def test_nobody_takes_what_waits_for_somebody_or_is_frozen_or_is_due_later(jobs: Jobs) -> None:
    job_id = jobs.create()
    jobs.create(liquidation=43, approvers=("<@U0BOB>",))
    jobs.create(liquidation=44)
    jobs.run("UPDATE traspaso.copy_jobs SET run_after = now() - interval '1 h' WHERE liquidation_id <> 44")
    jobs.run("UPDATE traspaso.copy_jobs SET run_after = now() + interval '1 min' WHERE liquidation_id = 44")
    assert jobs.sweep(room=9).overdue == [job_id]
    jobs.freezes.freeze(ANA, None)
    assert jobs.sweep(room=9).overdue == []
    jobs.freezes.lift(ANA)


def test_a_job_that_can_t_be_noted_as_queued_is_on_the_queue_all_the_same(valkey: Valkey) -> None:
    def fails(job_id: int) -> None:
        raise RuntimeError

    assert JobQueue(valkey.url, on_put=fails).put(1) is True


# ------------------------------------------------------------------------------ processes that live or don't


def held_by(jobs: Jobs, worker_id: int | None, liquidation: int = 42) -> int:
    claim = jobs.executions.claim(jobs.create(liquidation), "host:1", worker_id)
    assert claim is not None
    return claim.job_id


def beats(jobs: Jobs, *, since: float, last: float = 0.0) -> UnbrokenBeats:
    """Own beats that have gone through since so many seconds."""
    [[now]] = [list(row) for row in jobs.engine.connect().execute(text("SELECT clock_timestamp()"))]
    return UnbrokenBeats(now - timedelta(seconds=since), now - timedelta(seconds=last))


def test_a_job_whose_process_is_silent_for_ten_seconds_goes_to_another_one_long_before_its_lease(
    jobs: Jobs,
) -> None:
    silent, lively = jobs.somebody_works(seconds=11), jobs.somebody_works(seconds=8)
    lost, kept, of_an_older_release = (
        held_by(jobs, silent, 1),
        held_by(jobs, lively, 2),
        held_by(jobs, None, 3),
    )
    assert jobs.sweep(own=beats(jobs, since=60)).lost == [lost]
    assert {jobs.see(each).status for each in (kept, of_an_older_release)} == {Status.RUNNING}


def test_silence_counts_only_for_who_was_heard_all_the_time(jobs: Jobs) -> None:
    """While consulta was away nobody could say that it lives: afterwards all have time to."""
    job_id = held_by(jobs, jobs.somebody_works(seconds=60))
    for own in (None, beats(jobs, since=9), beats(jobs, since=60, last=6)):
        assert jobs.sweep(own=own).lost == []
    assert jobs.sweep(own=beats(jobs, since=11)).lost == [job_id]


def test_a_gap_between_two_beats_begins_the_count_anew() -> None:
    begin = datetime(2026, 11, 26, tzinfo=UTC)
    at = [begin + timedelta(seconds=seconds) for seconds in (0, 2, 4, 10, 12)]
    beats = UnbrokenBeats(at[0], at[0]).and_then(at[1]).and_then(at[2])
    assert (beats.since, beats.last) == (at[0], at[2])
    beats = beats.and_then(at[3]).and_then(at[4])
    assert (beats.since, beats.last) == (at[3], at[4])


def test_a_job_of_a_process_that_has_ended_is_taken_at_once(jobs: Jobs) -> None:
    worker_id = jobs.somebody_works(seconds=1)
    job_id = held_by(jobs, worker_id)
    assert jobs.sweep().lost == []
    jobs.workers.end(worker_id)
    assert jobs.sweep().lost == [job_id]


def test_a_job_that_a_worker_of_an_older_release_took_next_is_its_own(jobs: Jobs) -> None:
    """It writes its name into the job's row, and leaves the number of the process before it there."""
    job_id = held_by(jobs, jobs.somebody_works(seconds=60))
    jobs.run("UPDATE traspaso.copy_jobs SET worker = 'older:7'")
    assert jobs.sweep(own=beats(jobs, since=60)).lost == []
    assert jobs.see(job_id).seconds_silent is None


def test_a_container_that_is_started_again_takes_over_from_itself(jobs: Jobs) -> None:
    """It has the same host name and the same process number."""
    before = jobs.somebody_works(seconds=6)
    job_id = held_by(jobs, before)
    assert jobs.sweep().lost == []
    jobs.workers.begin("other", 1, "0.1.0", takes_jobs=True)
    jobs.workers.begin("host", 2, "0.1.0", takes_jobs=True)
    assert jobs.sweep().lost == []
    jobs.workers.begin("host", 1, "0.1.0", takes_jobs=True)
    assert jobs.sweep().lost == [job_id]


def test_two_processes_of_the_same_name_that_both_live_leave_each_other_their_jobs(jobs: Jobs) -> None:
    first = jobs.somebody_works(seconds=1)
    job_id = held_by(jobs, first)
    jobs.workers.begin("host", 1, "0.1.0", takes_jobs=True)
    assert jobs.workers.beat(first)
    jobs.run(
        "UPDATE traspaso.workers SET beat_at = beat_at - interval '6 s', started_at = now() - interval '1 h'"
    )
    assert jobs.sweep().lost == []
    assert jobs.see(job_id).status is Status.RUNNING


def test_a_process_whose_row_was_forgotten_gets_a_new_one(jobs: Jobs) -> None:
    jobs.run("TRUNCATE traspaso.workers CASCADE")
    presence = LivenessBeat(jobs.workers, every_seconds=0.05)
    presence.start(takes_jobs=True)
    try:
        first = presence.worker_id
        jobs.run("DELETE FROM traspaso.workers")
        until(lambda: presence.worker_id != first, 10, "a new row")
        [alive] = jobs.workers.alive()
        assert (alive.id, alive.process) == (presence.worker_id, os.getpid())
    finally:
        presence.stop()
    assert jobs.workers.alive() == []


def test_rows_of_processes_lost_long_ago_go_but_for_that_of_the_last_worker(jobs: Jobs) -> None:
    jobs.run("TRUNCATE traspaso.workers CASCADE")
    day = 24 * 3600
    jobs.somebody_works(seconds=3 * day)
    last = jobs.somebody_works(seconds=2 * day)
    jobs.somebody_works(seconds=2 * day - 60, takes_jobs=False)
    assert Pruning(jobs.engine, Retention(workers_days=1)).run().workers == 2
    none = jobs.workers.missing()
    assert none is not None
    assert none.since is not None
    assert jobs.workers.beat(last) is not None
    assert jobs.workers.missing() is None


# ---------------------------------------------------------------------------------------------- nobody works


def test_nobody_is_missed_in_the_seconds_of_a_restart(jobs: Jobs) -> None:
    jobs.run("TRUNCATE traspaso.workers CASCADE")
    never = jobs.workers.missing()
    assert never is not None
    assert never.since is None
    jobs.workers.end(jobs.somebody_works(seconds=1))
    assert jobs.workers.missing() is None
    jobs.run(
        "UPDATE traspaso.workers SET ended_at = now() - interval '16 s', beat_at = now() - interval '20 s'"
    )
    none = jobs.see(jobs.create()).no_worker
    assert none is not None
    assert none.since is not None


def test_a_shell_that_runs_its_own_copy_is_no_worker_for_others(jobs: Jobs) -> None:
    jobs.run("TRUNCATE traspaso.workers CASCADE")
    jobs.somebody_works(takes_jobs=False)
    assert jobs.workers.missing() is not None


def test_workers_of_an_older_release_count_while_they_hold_a_job(jobs: Jobs) -> None:
    jobs.run("TRUNCATE traspaso.workers CASCADE")
    job_id = held_by(jobs, None)
    assert jobs.workers.missing() is None
    jobs.let_the_lease_run_out(job_id)
    assert jobs.workers.missing() is not None


def test_cards_are_told_once_that_nobody_works_and_once_that_somebody_does(jobs: Jobs) -> None:
    jobs.run("TRUNCATE traspaso.workers CASCADE")
    job_id = jobs.create(channel_id="C0")
    jobs.cards.posted(job_id, "C0", "1.1")
    jobs.create(liquidation=43)  # of a shell: no card
    jobs.tell_all()
    clock = Clock()
    told: list[str] = []
    watches = [WorkersMissing(jobs.workers, lambda: told.append("told"), clock=clock) for _ in range(2)]

    def look(times: int) -> None:
        for _ in range(times):
            clock.now += 5
            for watch in watches:
                watch.look()

    look(3)
    assert told == []  # a bot that has just started can't tell yet
    look(3)
    assert (told, jobs.tell_all()) == (["told"], [MessageKind.UPDATE])
    jobs.somebody_works()
    look(3)
    assert (told, jobs.tell_all()) == (["told"] * 2, [MessageKind.UPDATE])


def test_a_card_that_said_so_before_the_watch_could_tell_is_told_that_somebody_works(jobs: Jobs) -> None:
    """An edit of the card finds nobody at once; a watch that has just begun announces nothing yet."""
    jobs.run("TRUNCATE traspaso.workers CASCADE")
    job_id = jobs.create(channel_id="C0")
    jobs.cards.posted(job_id, "C0", "1.1")
    jobs.tell_all()
    clock = Clock()
    watch = WorkersMissing(jobs.workers, lambda: None, clock=clock)
    watch.look()
    jobs.workers.begin("host", 1, "1", takes_jobs=True)
    for announced in ([MessageKind.UPDATE], []):
        clock.now += 5
        watch.look()
        assert jobs.tell_all() == announced


def test_what_was_written_before_consulta_s_clock_was_set_back_waits_no_longer(jobs: Jobs) -> None:
    """An hour ahead: a retry's time, a message's next try and claim, the last beat of a lost worker."""
    ahead = "now() + interval '1 h'"
    waiting = jobs.create(channel_id="C0")
    jobs.run(f"UPDATE traspaso.copy_jobs SET run_after = {ahead}, enqueued_at = now()")
    jobs.run(f"UPDATE traspaso.outbox SET next_try_at = {ahead}, claimed_until = {ahead}")
    assert jobs.sweep(overdue_seconds=0.0, room=1).overdue == [waiting]
    assert jobs.outbox.take() is not None
    worker_id, _ = jobs.workers.begin("elsewhere", 1, "1", takes_jobs=True)
    claim = jobs.executions.claim(waiting, "elsewhere:1", worker_id)
    assert claim is not None
    jobs.run(f"UPDATE traspaso.workers SET beat_at = {ahead}")
    now = datetime.now(UTC)
    assert jobs.sweep(own=UnbrokenBeats(now - timedelta(seconds=60), now)).lost == [waiting]


def test_a_clock_that_is_set_back_begins_the_count_of_beats_anew() -> None:
    then = datetime(2026, 11, 26, tzinfo=UTC)
    beats = UnbrokenBeats(then, then).and_then(then - timedelta(hours=1))
    assert beats.since == then - timedelta(hours=1)


def test_a_card_that_a_short_lived_worker_made_hopeful_is_told_once_that_nobody_works(jobs: Jobs) -> None:
    """It started and died between two looks: nothing has changed since the last one."""
    job_id = jobs.create(channel_id="C0")
    jobs.workers.begin("host", 1, "1", takes_jobs=True)
    jobs.cards.posted(job_id, "C0", "1.0")
    jobs.tell_all()
    jobs.run("UPDATE traspaso.workers SET beat_at = now() - interval '60 s'")
    jobs.run("UPDATE traspaso.outbox SET announced_at = now() - interval '61 s'")
    jobs.run("UPDATE traspaso.installation SET workers_missing = true")
    assert jobs.workers.announce_change(may_be_missing=True) is None
    assert jobs.tell_all() == [MessageKind.UPDATE]
    assert jobs.workers.announce_change(may_be_missing=True) is None
    assert jobs.tell_all() == []


def test_processes_without_work_send_the_same_statements_and_build_none_anew(jobs: Jobs) -> None:
    """Every second or two each of them looks for work: to build a statement takes longer than to send it."""
    schedule = ScheduleSection(
        name="nightly", cron="0 2 * * *", copy="items", liquidation=42, as_user="U0OPS", channel="C0PAYROLL"
    )
    watch = WatchSection(cron="0 3 * * *", channel="C0PAYROLL")
    looks: dict[str, Callable[[], object]] = {
        "sweep": lambda: jobs.sweep(own=beats(jobs, since=60), room=4),
        "workers": lambda: jobs.workers.announce_change(may_be_missing=True),
        "outbox": jobs.outbox.take,
        "notices": Notices(jobs.engine).take,
        "deliveries": lambda: Notifications(jobs.engine).take("ops"),
        "facts": lambda: Notifications(jobs.engine).spread(lambda fact: []),
        "firings": Schedules(jobs.engine, [schedule]).take,
        "rounds": Rounds(jobs.engine, watch, []).take,
    }
    for name, look in looks.items():
        look()  # which finds whether somebody works, and says so
        first, second = (_statements_of(jobs, look) for _ in range(2))
        assert first, name
        assert [id(each) for each in first] == [id(each) for each in second], name


def _statements_of(jobs: Jobs, look: Callable[[], object]) -> list[object]:
    """What SQLAlchemy is given to execute, but for plain text."""
    found: list[object] = []

    def executes(connection: object, statement: object, *_: object) -> None:
        if not isinstance(statement, TextClause):
            found.append(statement)

    event.listen(jobs.engine, "before_execute", executes)
    try:
        look()
    finally:
        event.remove(jobs.engine, "before_execute", executes)
    return found
