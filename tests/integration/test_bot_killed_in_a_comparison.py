"""A copy that asks row versions what has changed may be killed at any moment: the next one is right."""

from __future__ import annotations

import json

import pytest

from bot import app, config
from bot.config import Need
from bot.jobs.view import JobView
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome
from tests.shell import DIES_AT, ROWS, Shell

#: Where it is killed (-9).
BEFORE_THE_LOOK = "traspaso.claimed"
AFTER_THE_LOOK = "traspaso.planned"
IN_THE_CHUNKS = "traspaso.chunk_recorded 2"
BETWEEN_CHUNKS = "traspaso.chunk_committed 3"
BEFORE_THE_PROOF = "traspaso.verifying"
BEFORE_THE_END = "traspaso.completing"

CHANGES = """
UPDATE items SET note = 'new', amount = 0 WHERE id % 1000 IN (1, 2);
DELETE FROM items WHERE id = 2500;
INSERT INTO items VALUES (100001, 42, 1, 'arrived');
"""


@pytest.fixture
def copied(shell: Shell) -> Shell:
    """The liquidation is copied and proven."""
    assert shell.run("copy", "42")[0] == 0
    return shell


def killed(shell: Shell, at: str) -> None:
    process = shell.begin("copy", "42", **{DIES_AT: at})
    process.communicate(timeout=60)
    assert process.returncode == -9


def taken_over(shell: Shell) -> JobView:
    """The job at its end: as a worker takes it when the lease of the one that was killed has run out."""
    parts = app.databases(config.load(shell.environment, Need.DATABASES | Need.COPIES))
    try:
        shell.sides.consulta.execute(
            "UPDATE traspaso.copy_jobs SET lease_until = now() WHERE status = 'running'"
        )
        [job_id] = parts.sweep.run().to_enqueue
        assert parts.runner.run(job_id, StopSwitch()).outcome is AttemptOutcome.COMPLETED
        job = parts.store.job(job_id)
    finally:
        for engine in (parts.prod, parts.consulta):
            engine.dispose()
    assert job is not None
    assert job.attempt == 2
    shell.sides.assert_same()
    return job


@pytest.mark.parametrize(
    "at",
    [BEFORE_THE_LOOK, AFTER_THE_LOOK, IN_THE_CHUNKS, BETWEEN_CHUNKS, BEFORE_THE_PROOF, BEFORE_THE_END],
)
def test_a_copy_of_few_changes_that_is_killed_is_right_after_the_next_attempt(copied: Shell, at: str) -> None:
    copied.sides.prod.execute(CHANGES)
    killed(copied, at)
    assert taken_over(copied).total == ROWS
    again = json.loads(copied.run("copy", "42", "--json")[1].splitlines()[-1])
    assert (again["chunks_done"], again["unchanged_records"]) == (1, ROWS)


@pytest.mark.parametrize("at", [AFTER_THE_LOOK, "traspaso.chunk_recorded", BEFORE_THE_END])
def test_a_copy_of_what_has_not_changed_that_is_killed_still_tells_what_changes_then(
    copied: Shell, at: str
) -> None:
    killed(copied, at)
    copied.sides.prod.execute(CHANGES)
    taken_over(copied)


def test_somebody_who_writes_in_consulta_after_the_kill_is_not_overlooked(copied: Shell) -> None:
    copied.sides.prod.execute(CHANGES)
    killed(copied, IN_THE_CHUNKS)
    copied.sides.consulta.execute("UPDATE items SET note = 'by hand' WHERE id IN (1, 4999)")
    taken_over(copied)
