"""What begins by the clock: schedules, and the freezes of the configuration. In the bot and in each worker.

One thread looks whether something is due, another one works on the firings: it checks the person, chooses the
liquidations, and asks for a copy of each, or for the set of each, as a press would. It confirms nothing: a
copy that has to ask asks on its card.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Engine

from bot.config import SIDES, CopySection, File, ScheduleSection
from bot.errors import AlreadyRunning, Frozen
from bot.jobs.baseline import look_at_both_sides
from bot.jobs.failure import Failure, failure_of
from bot.jobs.freezes import Freezes, FreezeWindows
from bot.jobs.models import ClaimLost, FiringState, RunKind
from bot.jobs.repository import JobRepository, Request, RunRequest
from bot.jobs.schedules import (
    FAILED,
    LIVE_ALREADY,
    NOTHING,
    PATIENCE,
    STARTED,
    Firing,
    Schedules,
)
from bot.jobs.view import AgreedCounts
from bot.messages.blocks import LABEL_LIMIT, cut
from bot.periodic import PeriodicThread
from bot.slack.access import TO_DECIDE, Access, People
from bot.slack.outbox_relay import NoticeRelay
from bot.work.watch import Watch
from copier import Count, Preview, choose
from copier.errors import CopierError, Transient

log = logging.getLogger(__name__)

#: Seconds between two looks at the clock, and two looks for a firing that another process has left.
LOOK_SECONDS, LEFT_SECONDS = 1.0, 5.0
#: In so many seconds what can't be asked now is asked again, and whether copies are still frozen.
AGAIN_SECONDS, FROZEN_SECONDS = 20.0, 10.0


class FiringRunner:
    """Asks for the copies of a firing. Holds no state of one."""

    def __init__(
        self,
        schedules: Schedules,
        file: File,
        *,
        prod: Engine,
        consulta: Engine,
        store: JobRepository,
        freezes: Freezes,
        access: Access,
        people: People,
        enqueue: Callable[[int], bool],
        wake: Callable[[], None],
    ) -> None:
        """``enqueue`` puts a job's id on the queue; ``wake`` tells those who deliver that there is something
        new.
        """
        self._schedules = schedules
        self._file = file
        self._by_name = {each.name: each for each in file.schedules}
        self._prod = prod
        self._consulta = consulta
        self._store = store
        self._freezes = freezes
        self._access = access
        self._people = people
        self._enqueue = enqueue
        self._wake = wake

    def run_due(self) -> int:
        """Works on what is due now; how many firings it took in hand."""
        taken = 0
        while firing := self._schedules.take():
            taken += 1
            try:
                self.run(firing)
            except ClaimLost:
                log.warning("schedule %s: firing %s is another process's by now", firing.schedule, firing.id)
            self._wake()
        return taken

    def run(self, firing: Firing) -> None:
        """Goes on with a claimed firing to its end, or says when to try again.

        Raises:
            ClaimLost: another process works on it.
        """
        schedule = self._by_name[firing.schedule]
        copies = self._copies_of(firing)
        if not copies:
            self._schedules.end(firing, FiringState.FAILED, "no_such_copy")
            return
        decisions = [self._access.may_run(firing.as_user, copy, TO_DECIDE) for copy in copies]
        refused = any(not decision.allowed and decision.reason is None for decision in decisions)
        if refused:
            log.error("schedule %s: %s may not run %s", firing.schedule, firing.as_user, firing.copy_name)
            self._schedules.end(firing, FiringState.REFUSED)
        elif any(decision.reason is not None for decision in decisions):
            log.warning("schedule %s: permission of %s not known", firing.schedule, firing.as_user)
            self._not_now(firing, schedule, FiringState.FAILED, "permission_not_known")
        elif self._freezes.active() is not None:
            self._frozen(firing, schedule)
        else:
            self._copy(firing, schedule, copies)

    def _copies_of(self, firing: Firing) -> tuple[CopySection, ...]:
        """The copy of the firing, or those of its set; none where the file has none of that name."""
        if firing.set_name is not None:
            chosen = [each for each in self._file.sets if each.name == firing.set_name]
            return self._file.copies_of(chosen[0]) if chosen else ()
        return tuple(each for each in self._file.copies if each.name == firing.copy_name)

    def _copy(self, firing: Firing, schedule: ScheduleSection, copies: Sequence[CopySection]) -> None:
        try:
            liquidations = firing.liquidations
            if liquidations is None:
                liquidations = self._chosen(firing, schedule)
            for liquidation in liquidations:
                if liquidation in firing.done:
                    continue
                self._schedules.hold(firing)
                outcome = self._asked_for(firing, copies, liquidation)
                self._schedules.add(firing, {"liquidation": liquidation, **outcome})
        except Frozen:
            self._frozen(firing, schedule)
            return
        except CopierError as error:
            failure = failure_of(error)
            log.warning("schedule %s: %s", firing.schedule, error)
            if isinstance(error, Transient):
                self._not_now(firing, schedule, FiringState.FAILED, failure.code, failure)
            else:
                self._schedules.end(firing, FiringState.FAILED, failure.code, failure.as_json())
            return
        ended = self._schedules.end(firing, FiringState.DONE)
        log.info("schedule %s: due %s, copies asked for: %s", ended.schedule, ended.due_at, len(ended.jobs))

    def _chosen(self, firing: Firing, schedule: ScheduleSection) -> tuple[int, ...]:
        """Raises CopierError."""
        listed = self._file.liquidations
        if schedule.liquidation is not None:
            found, more = [schedule.liquidation], False
        elif schedule.liquidations is not None and listed is not None:
            choice = schedule.liquidations.choice(firing.due_at, schedule.time_zone, schedule.limit)
            entries = choose(
                self._prod,
                listed.catalogue,
                replace(choice, limit=choice.limit + 1),
                names=SIDES,
                timeout_seconds=self._file.work.preview_timeout_seconds,
            )
            found = [entry.id for entry in entries[: choice.limit]]
            newest = schedule.liquidations.newest
            more = len(entries) > choice.limit and (newest is None or newest > schedule.limit)
        else:  # the file is checked when it is read
            found, more = [], False
        self._schedules.chosen(firing, found, more_fit=more)
        return tuple(found)

    def _asked_for(
        self, firing: Firing, copies: Sequence[CopySection], liquidation: int
    ) -> dict[str, object]:
        """What became of one liquidation: a job, or a run of the set. The same key gives the same to whoever
        goes on with a firing.

        Raises:
            Frozen: copies have been frozen meanwhile.
            Transient: a side is away.
        """
        key = f"schedule {firing.id} {liquidation}"
        if before := self._begun_before(firing, key):
            return before
        for copy in copies:
            if live := self._store.live_job(str(copy.target_table), liquidation):
                return {"outcome": LIVE_ALREADY, "job": live.id}
        seen = self._seen(firing, copies, liquidation)
        if isinstance(seen, Failure):
            return {"outcome": FAILED, "error": seen.as_json()}
        if not _is_there(seen):
            return {"outcome": NOTHING}
        requests = [self._request(firing, copy, liquidation, seen[copy.name]) for copy in copies]
        if firing.set_name is None:
            return self._begin_job(replace(requests[0], channel_id=firing.channel_id, key=key))
        return self._begin_run(
            RunRequest(
                RunKind.SET,
                tuple(requests),
                requests[0].requester,
                set_name=firing.set_name,
                channel_id=firing.channel_id,
                key=key,
            )
        )

    def _begun_before(self, firing: Firing, key: str) -> dict[str, object] | None:
        """The job or the run of that key; None where there is none yet."""
        if firing.set_name is None:
            job = self._store.by_key(key)
            return {"outcome": STARTED, "job": job.id} if job else None
        run = self._store.run_by_key(key)
        return _started_run(run.id, run.jobs[0].id) if run else None

    def _begin_job(self, request: Request) -> dict[str, object]:
        try:
            job_id, _ = self._store.create(request)
        except AlreadyRunning as running:
            return {"outcome": LIVE_ALREADY, "job": running.job_id}
        self._wake()
        if request.approvers is None:
            self._enqueue(job_id)
        return {"outcome": STARTED, "job": job_id}

    def _begin_run(self, request: RunRequest) -> dict[str, object]:
        created = self._store.create_run(request)
        if created.run_id is None:
            return {"outcome": LIVE_ALREADY, "job": created.taken[0]}
        self._wake()
        if all(each.approvers is None for each in request.requests):
            for job_id in created.job_ids:
                self._enqueue(job_id)
        return _started_run(created.run_id, created.job_ids[0])

    def _seen(
        self, firing: Firing, copies: Sequence[CopySection], liquidation: int
    ) -> dict[str, Preview] | Failure:
        """What both sides hold for each copy, by its name; or why one of them can't be copied.

        Raises:
            Transient: a side is away.
        """
        try:
            return {
                copy.name: look_at_both_sides(
                    self._prod, self._consulta, self._file, copy, liquidation, together=copies
                )
                for copy in copies
            }
        except Transient:
            raise
        except CopierError as error:
            log.warning("schedule %s: liquidation %s: %s", firing.schedule, liquidation, error)
            return failure_of(error)

    def _request(self, firing: Firing, copy: CopySection, liquidation: int, seen: Preview) -> Request:
        needed = copy.needs_approval(seen.in_source.known, seen.in_target.known)
        schedule = self._by_name.get(firing.schedule)
        return Request(
            spec=copy.spec,
            liquidation_id=liquidation,
            label=cut(seen.label, LABEL_LIMIT) if seen.label else None,
            requester=self._people.named(firing.as_user),
            # Nobody has seen consulta's rows, and nobody has agreed that they go: where many would, it asks.
            terms=AgreedCounts(seen.in_source.known, None, removal_confirmed=False),
            fingerprint=seen.fingerprint,
            approvers=tuple(self._access.who_may(copy)) if needed else None,
            approval_seconds=self._file.work.approval_seconds,
            second_group_seconds=copy.second_group_seconds,
            reason=schedule.reason if schedule is not None else None,
            schedule=firing.schedule,
        )

    def _frozen(self, firing: Firing, schedule: ScheduleSection) -> None:
        """What is frozen waits where the schedule catches up; else nothing is copied."""
        if schedule.catch_up:
            self._not_now(firing, schedule, FiringState.FROZEN, "frozen")
        else:
            self._schedules.end(firing, FiringState.FROZEN)

    def _not_now(
        self,
        firing: Firing,
        schedule: ScheduleSection,
        state: FiringState,
        reason: str,
        failure: Failure | None = None,
    ) -> None:
        """Tried again, or over as this where it has been tried for long enough."""
        patience = schedule.grace if state is FiringState.FROZEN else PATIENCE
        if schedule.catch_up:
            patience = max(patience, schedule.grace)
        if firing.late < patience:
            seconds = FROZEN_SECONDS if state is FiringState.FROZEN else AGAIN_SECONDS
            self._schedules.later(firing, seconds, reason)
        else:
            self._schedules.end(firing, state, reason, failure.as_json() if failure else None)


def _is_there(seen: Mapping[str, Preview]) -> bool:
    """Prod has the liquidation, and one side has rows of it in one of the tables."""
    empty = Count(0, exact=True)
    nothing = all(each.in_source == empty and each.in_target == empty for each in seen.values())
    return not nothing and all(each.exists is not False for each in seen.values())


def _started_run(run_id: int, job_id: int) -> dict[str, object]:
    """The line of a liquidation whose set is copied now."""
    return {"outcome": STARTED, "job": job_id, "run": run_id}


class Scheduler:
    """The threads of one process: its looks at the clock, its work on firings, and what is told of them."""

    def __init__(
        self,
        windows: FreezeWindows,
        schedules: Schedules,
        firings: FiringRunner,
        notices: NoticeRelay,
        *,
        changed: Callable[[], None],
        watch: Watch | None = None,
    ) -> None:
        """``changed`` is called where cards have something new to say. ``watch`` is a worker's, where it is
        configured.
        """
        self._watch = watch
        self._windows = windows
        self._schedules = schedules
        self._firings = PeriodicThread(
            "firings",
            firings.run_due,
            every_seconds=LEFT_SECONDS,
            at_once=True,
            what="the firings of the schedules can't be worked on",
        )
        self._notices = notices
        self._changed = changed
        self._clock = PeriodicThread(
            "schedule-clock",
            self.look,
            every_seconds=LOOK_SECONDS,
            what="consulta can't be asked for schedules and freezes",
        )

    def start(self) -> None:
        """Looks once before it returns: no copy begins in a window that this process is the first to know."""
        self._clock.call()
        self._clock.start()
        self._firings.start()
        self._notices.start()
        if self._watch is not None:
            self._watch.start()

    def stop(self, timeout_seconds: float = 15.0) -> None:
        """Waits so long for a firing in hand; what is left of it another process goes on with."""
        self._clock.stop()
        if self._watch is not None:
            self._watch.stop(timeout_seconds)
        self._firings.stop(timeout_seconds)
        self._notices.stop(timeout_seconds)

    def look(self) -> None:
        """One look at the clock, and what follows from it."""
        if self._windows.look():
            self._changed()
            self._notices.wake()
        if self._schedules.look():
            self._firings.wake()
            self._notices.wake()
        if self._watch is not None:
            self._watch.look()
