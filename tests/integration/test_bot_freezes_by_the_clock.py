"""Freezes that end by themselves, and the windows of the configuration: every process sees them, by the clock
of consulta, and none has to be up at their begin or end.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from bot.config import FreezeSection
from bot.errors import Frozen
from bot.jobs.freezes import FreezeWindows
from bot.jobs.models import Status, StopReason
from bot.jobs.outbox import MessageKind, Notices
from bot.messages.card import card
from dev.local_slack.plain import plain
from tests.shown import EN
from tests.tracking import ANA, BOB, CHUNK, Ends, Jobs

#: A window that is open now, whenever that is.
BEGAN = datetime.now(UTC) - timedelta(minutes=30)
ALWAYS = FreezeSection(
    name="closing", cron=f"{BEGAN.minute} {BEGAN.hour} * * *", lasts="3h", reason="cierre de mes"
)


def in_a(minutes: float) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def windows(jobs: Jobs, *freezes: FreezeSection) -> FreezeWindows:
    """Those of a process that starts now."""
    return FreezeWindows(jobs.engine, freezes)


def the_windows_are_over(jobs: Jobs) -> None:
    jobs.run("UPDATE traspaso.freeze_windows SET ends_at = clock_timestamp() WHERE ends_at > now()")


def the_freeze_is_over(jobs: Jobs) -> None:
    jobs.run("UPDATE traspaso.copy_freezes SET until = clock_timestamp() WHERE lifted_at IS NULL")


def test_a_freeze_with_an_end_is_over_then_though_nobody_is_there_to_lift_it(jobs: Jobs) -> None:
    waiting = jobs.create()
    freeze, is_new = jobs.freezes.freeze(ANA, "mantenimiento", "C0", until=in_a(60))
    assert (is_new, freeze.until is not None) == (True, True)
    assert jobs.executions.claim(waiting, "host:1") is None
    the_freeze_is_over(jobs)
    assert jobs.freezes.active() is None
    assert jobs.see(waiting).freeze is None
    assert jobs.executions.claim(waiting, "host:1") is not None


def test_its_channel_and_the_cards_are_told_of_that_end_once(jobs: Jobs) -> None:
    job_id = jobs.create(channel_id="C0")
    jobs.freezes.freeze(ANA, "mantenimiento", "C0", until=in_a(60))
    jobs.store.enqueued(job_id)
    jobs.tell_all()
    look = [windows(jobs).look, windows(jobs).look]
    assert [each() for each in look] == [False, False]
    the_freeze_is_over(jobs)
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda each: each(), look)) == [False, True]
    assert jobs.tell_all() == [MessageKind.UPDATE]
    assert jobs.sweep().to_enqueue == [job_id]  # its message may have been laid aside meanwhile
    notices = Notices(jobs.engine)
    notice, nothing = notices.take(), notices.take()
    assert notice is not None
    assert (notice.kind, notice.channel_id, nothing) == ("freeze_over", "C0", None)
    over = jobs.freezes.of(notice.subject_id)
    assert over is not None
    assert over.reason == "mantenimiento"


def test_a_new_freeze_can_be_made_as_soon_as_the_one_before_is_over(jobs: Jobs) -> None:
    jobs.freezes.freeze(ANA, "mantenimiento", until=in_a(60))
    the_freeze_is_over(jobs)
    freeze, is_new = jobs.freezes.freeze(BOB, "cierre")
    assert (is_new, freeze.reason, freeze.until) == (True, "cierre", None)
    assert jobs.freezes.lift(ANA) is not None
    assert jobs.freezes.lift(ANA) is None


def test_in_a_window_no_job_is_created_none_is_claimed_and_a_running_one_stops_at_its_chunk(
    jobs: Jobs,
) -> None:
    waiting, attempt = jobs.create(1, channel_id="C0"), jobs.claimed(liquidation=2, channel_id="C0")
    jobs.tell_all()
    assert windows(jobs, ALWAYS).look()
    assert jobs.tell_all() == [MessageKind.UPDATE, MessageKind.UPDATE]
    with pytest.raises(Frozen, match="the freeze window closing of the configuration"):
        jobs.create(3)
    assert jobs.executions.claim(waiting, "host:2") is None
    with jobs.engine.begin() as connection:
        request = attempt.record(connection, CHUNK)
    assert request is not None
    assert request.reason is StopReason.FREEZE
    assert Ends(attempt).released(frozen=True) is Status.PENDING
    shown = plain(card(jobs.see(waiting), EN).blocks, "")
    assert "Frozen by the window `closing`: cierre de mes · until" in shown
    the_windows_are_over(jobs)
    assert windows(jobs).look()
    assert jobs.sweep().to_enqueue == [waiting, attempt.job_id]
    assert jobs.executions.claim(attempt.job_id, "host:2") is not None


def test_a_window_counts_before_the_first_process_has_seen_it_begin(jobs: Jobs) -> None:
    begin = in_a(90)
    later = FreezeSection(name="later", cron=f"{begin.minute} {begin.hour} * * *", lasts="1h")
    assert not windows(jobs, later).look()
    jobs.run("UPDATE traspaso.freeze_windows SET starts_at = clock_timestamp()")
    with pytest.raises(Frozen, match="later"):
        jobs.create()


def test_of_several_processes_one_tells_of_a_window_s_begin_and_one_of_its_end(jobs: Jobs) -> None:
    jobs.create(channel_id="C0")
    jobs.tell_all()
    processes = [windows(jobs, ALWAYS) for _ in range(4)]

    def all_look() -> list[bool]:
        with ThreadPoolExecutor(4) as pool:
            return [*pool.map(lambda each: each.look(), processes)]

    assert any(all_look())
    assert jobs.tell_all() == [MessageKind.UPDATE]
    assert not any(all_look())


@pytest.mark.parametrize("seconds, stays", [(30, True), (90, False)])
def test_a_window_goes_a_minute_after_the_last_process_that_has_it(
    jobs: Jobs, seconds: int, stays: bool
) -> None:
    windows(jobs, ALWAYS).look()
    jobs.run(
        "UPDATE traspaso.freeze_windows SET seen_at = now() - make_interval(secs => :seconds)",
        seconds=seconds,
    )
    windows(jobs).look()
    assert (jobs.freezes.active() is not None) == stays


def test_somebody_s_freeze_is_shown_before_a_window_and_lifting_it_leaves_the_window(jobs: Jobs) -> None:
    job_id = jobs.create()
    windows(jobs, ALWAYS).look()
    jobs.freezes.freeze(ANA, "mantenimiento")
    shown = jobs.see(job_id).freeze
    assert shown is not None
    assert (shown.by and shown.by.name, shown.window) == ("Ana", None)
    lifted = jobs.freezes.lift(BOB)
    assert lifted is not None
    assert lifted.still is not None
    assert (lifted.still.window, lifted.waiting) == ("closing", [])
    assert jobs.freezes.lift(BOB) is None


def test_a_window_whose_end_was_changed_in_the_file_ends_then(jobs: Jobs) -> None:
    windows(jobs, ALWAYS).look()
    first = jobs.freezes.active()
    windows(jobs, ALWAYS.model_copy(update={"lasts": timedelta(hours=5)})).look()
    second = jobs.freezes.active()
    assert first is not None
    assert second is not None
    assert first.until is not None
    assert second.until is not None
    assert second.until - first.until >= timedelta(hours=1)


def later_job(jobs: Jobs, minutes: float = 600, **values: object) -> int:
    return jobs.create(start_at=in_a(minutes), channel_id="C0", **values)


def its_time_has_come(jobs: Jobs) -> None:
    jobs.run("UPDATE traspaso.copy_jobs SET start_at = clock_timestamp(), run_after = clock_timestamp()")


def test_a_copy_for_later_is_taken_by_nobody_before_its_time_and_put_on_the_queue_then(jobs: Jobs) -> None:
    job_id = later_job(jobs)
    assert jobs.see(job_id).waits_for_its_time
    swept = jobs.sweep(overdue_seconds=0, room=5)
    assert (swept.to_enqueue, swept.overdue) == ([], [])
    assert jobs.executions.claim(job_id, "host:1") is None
    its_time_has_come(jobs)
    assert jobs.sweep().to_enqueue == [job_id]
    assert jobs.executions.claim(job_id, "host:1") is not None


def test_the_release_before_doesn_t_take_it_either_while_one_of_this_release_sweeps(jobs: Jobs) -> None:
    # That one knows run_after alone, and takes a moment that is more than ten minutes ahead for over.
    old = (
        "SELECT count(*) FROM traspaso.copy_jobs "
        "WHERE run_after <= clock_timestamp() OR run_after > clock_timestamp() + interval '10 min'"
    )
    later_job(jobs)
    for minutes in (0, 4, 8):
        jobs.run("UPDATE traspaso.copy_jobs SET run_after = run_after - make_interval(mins => :m)", m=minutes)
        jobs.sweep()
        with jobs.engine.connect() as connection:
            assert connection.exec_driver_sql(old).scalar_one() == 0


def test_a_copy_for_later_holds_up_nothing_else_and_is_no_reason_to_miss_a_worker(jobs: Jobs) -> None:
    later, now = later_job(jobs, liquidation=1), jobs.create(2, channel_id="C0")
    assert jobs.see(now).ahead == 0
    jobs.run(
        "UPDATE traspaso.workers SET ended_at = now() - interval '1 h', beat_at = now() - interval '1 h'"
    )
    assert not jobs.see(later).waits_for_a_worker
    assert jobs.see(now).waits_for_a_worker


def test_a_copy_for_later_can_be_cancelled_or_begun_at_once(jobs: Jobs) -> None:
    first, second = later_job(jobs, liquidation=1), later_job(jobs, liquidation=2)
    assert jobs.control.cancel(first, BOB).after.status is Status.CANCELLED
    effect = jobs.control.start_now(second, BOB)
    assert (effect.to_enqueue, effect.after.start_at) == ((second,), None)
    assert jobs.kinds(second)[-1] == "started_now"
    assert jobs.executions.claim(second, "host:1") is not None


def test_a_paused_copy_for_later_that_is_resumed_waits_for_its_time_again(jobs: Jobs) -> None:
    job_id = later_job(jobs)
    jobs.control.pause(job_id, ANA)
    effect = jobs.control.resume(job_id, ANA)
    assert (effect.after.waits_for_its_time, effect.to_enqueue) == (True, ())
    assert jobs.executions.claim(job_id, "host:1") is None
