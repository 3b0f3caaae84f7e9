"""Whether a job may still start: who asked for it may have lost the permission.

Only Slack's clear no counts, and only one that is younger than the press. Where Slack doesn't answer, the
check at the press does: Slack never fails a copy. All processes share 20 looks a minute, so a press of a
moment ago isn't asked about again.
"""

from __future__ import annotations

import logging

from bot.config import CopySection
from bot.jobs.events import SETS_GOING, PermissionNotKnown
from bot.jobs.execution import Attempt
from bot.jobs.failure import Failure
from bot.jobs.repository import JobRepository
from bot.jobs.view import SHELL, JobView
from bot.slack.access import TO_DECIDE, Access, MaxAge

log = logging.getLogger(__name__)

#: So long ago, in seconds, the press itself was the check.
JUST_PRESSED = 10.0
#: How old an answer may be that lets a job through.
ADMISSION = MaxAge(30.0, 30.0)


class Admission:
    """Asks Slack about the requester before the first row; jobs of the shell aren't asked about."""

    def __init__(self, store: JobRepository, access: Access, copies: tuple[CopySection, ...]) -> None:
        self._store = store
        self._access = access
        self._copies = {copy.name: copy for copy in copies}

    def refusal(self, attempt: Attempt) -> Failure | None:
        """Why the job must not start; None where it may."""
        job = self._store.job(attempt.job_id)
        copy = self._copies.get(attempt.claim.copy_name)
        if job is None or copy is None or job.requester_team == SHELL:
            return None
        if _was_just_pressed(job) or self._has_begun(attempt):
            return None
        decision = self._access.may_run(job.requester_id, copy, ADMISSION)
        if not decision.allowed and decision.reason is None:
            # That may be from before the press, which Slack was asked about, too.
            decision = self._access.may_run(job.requester_id, copy, TO_DECIDE)
        if decision.allowed:
            return None
        if decision.reason is not None:
            log.warning("job %s: permission not known, Slack answered %s", attempt.job_id, decision.reason)
            self._store.add_event(attempt.job_id, attempt.number, PermissionNotKnown(decision.reason))
            return None
        sentence = f"{job.requester_id} may not copy {attempt.claim.copy_name} any more"
        return Failure("not_permitted", sentence, lines=self._access.listed(copy))

    def _has_begun(self, attempt: Attempt) -> bool:
        """Rows are in place, or somebody has set it going again since, by a press that was checked itself."""
        if attempt.number == 1:
            return False
        # A press before the first attempt is older than the check that was made then.
        kinds = {event.kind for event in self._store.events(attempt.job_id) if event.attempt}
        return bool(kinds & set(SETS_GOING) or self._store.chunks(attempt.job_id))


def _was_just_pressed(job: JobView) -> bool:
    return (job.now - job.created_at).total_seconds() < JUST_PRESSED
