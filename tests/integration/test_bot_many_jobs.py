"""With 200,000 jobs behind it, what people look up often is read by an index: a few rows, and not all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event, text

import migrations
from bot.jobs.repository import JobHistory
from bot.jobs.view import HomeFilters
from tests.support import Database
from tests.tracking import BOB, Jobs

MANY, PENDING = 200_000, 3_000
#: More rows than any of these questions needs, those that wait included, and far fewer than there are.
FEW = PENDING + 2_000

ENDED = """
INSERT INTO traspaso.copy_jobs (user_id, copy_name, source_table, target_table, liquidation_id, status,
    total_records, inserted_records, claimed_at, started_at, finished_at)
SELECT users[1 + g % 40], CASE WHEN g = 7 THEN 'rare' ELSE 'items' END, 'public.items', 'public.items',
    g % 5000 + 1, CASE WHEN g % 10 = 0 THEN 'failed' ELSE 'completed' END, 100, 100,
    now() - interval '10 s', now() - interval '10 s', now()
FROM generate_series(1, :many) g, (SELECT array_agg(id ORDER BY id) AS users FROM traspaso.users) people
"""
QUEUED = """
INSERT INTO traspaso.copy_jobs (user_id, copy_name, source_table, target_table, liquidation_id, status)
SELECT (SELECT min(id) FROM traspaso.users), 'items', 'public.items', 'public.items', 100000 + g, 'pending'
FROM generate_series(1, :pending) g
"""


@pytest.fixture(scope="module")
def crowded(_consulta_databases: Any) -> Iterator[Jobs]:
    """Tables with that history, which these tests only read."""
    database: Database = _consulta_databases.take()
    jobs = Jobs(database)
    jobs.somebody_works()
    jobs.run(
        "INSERT INTO traspaso.users (slack_team_id, slack_user_id, name) "
        "SELECT 'T0', 'U0P' || g, 'P' || g FROM generate_series(1, 40) g"
    )
    jobs.run(ENDED, many=MANY)
    # One of few jobs, the first of which lies far back.
    jobs.create(777_777, requester=BOB)
    jobs.run(
        "UPDATE traspaso.copy_jobs SET user_id = "
        "(SELECT id FROM traspaso.users WHERE slack_user_id = 'U0BOB') "
        "WHERE id = (SELECT min(id) + 5 FROM traspaso.copy_jobs)"
    )
    jobs.run(QUEUED, pending=PENDING)
    # These jobs have ended before the view for reports was there.
    migrations.downgrade(jobs.engine, "0013")
    migrations.upgrade(jobs.engine)
    with jobs.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) traspaso.copy_jobs, traspaso.users, traspaso.standings"))
    yield jobs
    jobs.engine.dispose()
    _consulta_databases.give_back(database)


def rows_read(jobs: Jobs, ask: Callable[[], object]) -> int:
    """How many rows of copy_jobs the statements of this question look at, by EXPLAIN (ANALYZE)."""
    statements: list[tuple[str, Any]] = []

    def noted(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        statements.append((statement, parameters))

    event.listen(jobs.engine, "before_cursor_execute", noted)
    try:
        ask()
    finally:
        event.remove(jobs.engine, "before_cursor_execute", noted)
    total = 0
    with jobs.engine.connect() as connection:
        for statement, parameters in statements:
            explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
            [plan] = connection.exec_driver_sql(explain, parameters).scalar_one()
            total += sum(_read(node) for node in _nodes(plan["Plan"]))
    assert statements
    return total


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _nodes(part)


def _read(node: dict[str, Any]) -> int:
    if node.get("Relation Name") != "copy_jobs" and not str(node.get("Index Name")).startswith("copy_jobs"):
        return 0
    skipped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + skipped) * node["Actual Loops"])


def test_what_a_person_asked_for_is_read_by_an_index(crowded: Jobs) -> None:
    history = JobHistory(crowded.engine)
    assert len(history.of_user("U0BOB")) == 2
    assert rows_read(crowded, lambda: history.of_user("U0BOB")) < FEW
    assert rows_read(crowded, lambda: history.of_user("U0P7")) < FEW
    assert rows_read(crowded, lambda: history.page(HomeFilters(user_id="U0BOB", ended=True))) < FEW
    assert rows_read(crowded, lambda: history.of_user("U0NOBODY")) < FEW


def test_the_past_of_a_liquidation_is_read_by_an_index(crowded: Jobs) -> None:
    history = JobHistory(crowded.engine)
    assert len(history.of_liquidation(42)) == 20
    assert rows_read(crowded, lambda: history.of_liquidation(42)) < FEW
    assert rows_read(crowded, lambda: history.of_liquidation(999_999)) < FEW


def test_the_last_completed_copy_is_read_by_an_index(crowded: Jobs) -> None:
    history = JobHistory(crowded.engine)
    assert history.last_completed("public.items", 42) is not None
    for liquidation in (42, 999_999):
        assert rows_read(crowded, lambda n=liquidation: history.last_completed("public.items", n)) < FEW  # type: ignore[misc]


def test_the_rate_of_a_copy_that_hardly_ever_ran_is_read_by_an_index(crowded: Jobs) -> None:
    history = JobHistory(crowded.engine)
    assert history.expected_seconds("rare", 100) is not None
    for name in ("items", "rare", "never"):
        assert rows_read(crowded, lambda n=name: history.expected_seconds(n, 100)) < FEW  # type: ignore[misc]


def test_the_place_in_the_queue_is_counted_once_over_for_all_and_not_for_each_anew(crowded: Jobs) -> None:
    live = crowded.store.live()
    assert [job.ahead for job in live] == list(range(PENDING + 1))
    one = crowded.store.job(live[-1].id)
    assert one is not None
    assert one.ahead == PENDING
    assert rows_read(crowded, crowded.store.live) < 4 * PENDING


def test_the_view_for_reports_reads_no_job_that_has_ended(crowded: Jobs) -> None:
    everything = "SELECT * FROM traspaso.freshness"
    one = f"{everything} WHERE target_table = 'public.items' AND liquidation_id = 42"
    with crowded.engine.connect() as connection:
        assert connection.scalar(text(f"SELECT count(*) FROM ({everything}) f")) == 5000
        [plan] = connection.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {one}")) or [{}]
        assert not [node for node in _nodes(plan["Plan"]) if node["Node Type"] == "Seq Scan"]

    def read(query: str) -> None:
        with crowded.engine.connect() as connection:
            connection.exec_driver_sql(query).all()

    assert rows_read(crowded, lambda: read(one)) <= 1
    assert rows_read(crowded, lambda: read(everything)) < FEW
