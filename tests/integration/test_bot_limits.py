"""No statement of the tracking tables waits for ever: not for a lock, not for a server that stands still."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from bot.jobs import transactions
from bot.jobs.actions import Control
from bot.jobs.repository import JobRepository
from tests.tracking import ANA, Ends, Jobs, over

SETTINGS = """
    SELECT current_setting('lock_timeout'), current_setting('statement_timeout'),
           current_setting('idle_in_transaction_session_timeout'), current_setting('application_name')
"""


@pytest.fixture
def tracking(jobs: Jobs) -> Iterator[Engine]:
    """As `bot.app` makes it."""
    engine = create_engine(jobs.engine.url, pool_pre_ping=True)
    transactions.give_up_silent_servers(engine)
    yield transactions.with_limits(engine)
    engine.dispose()


def test_each_transaction_begins_with_its_limits_and_leaves_none_behind(tracking: Engine) -> None:
    with tracking.begin() as connection:
        assert tuple(connection.execute(text(SETTINGS)).one()) == ("5s", "10s", "1min", "traspaso")
        driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    assert driver.execute(SETTINGS).fetchone() == ("0", "0", "0", "")


def test_a_row_that_somebody_holds_is_not_waited_for_longer_than_its_limit(
    jobs: Jobs, tracking: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "LOCK_SECONDS", 0.1)
    claim = over(tracking, jobs.claimed())
    with jobs.engine.begin() as somebody:
        somebody.execute(text(f"SELECT FROM traspaso.copy_jobs WHERE id = {claim.job_id} FOR UPDATE"))
        for step in (
            claim.renew,
            Ends(claim).released,
            lambda: Control(tracking).cancel(claim.job_id, ANA),
        ):
            with pytest.raises(OperationalError, match="lock timeout"):
                step()
    claim.renew()


def test_a_session_that_its_server_never_answers_is_given_up_and_the_next_one_works(
    tracking: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "SILENT_SECONDS", 1.0)
    with tracking.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(OperationalError, match="has not answered"):
                connection.execute(text("SELECT 1"))
            assert time.monotonic() - began < 8
            assert JobRepository(tracking).live() == []
        finally:
            os.kill(pid, signal.SIGCONT)
