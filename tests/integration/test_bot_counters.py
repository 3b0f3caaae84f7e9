"""What a copy writes of its progress stays small, however many chunks it has."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import text

from copier.model import KeyRange
from tests.support import Database, until
from tests.tracking import CHUNK, PLAN, Jobs

CHUNKS = 50


def test_no_index_is_written_when_a_chunk_moves_the_counters_of_its_job(consulta: Database) -> None:
    jobs = Jobs(consulta)
    attempt = jobs.claimed()
    attempt.planned(PLAN)

    def updates() -> tuple[int, int]:
        query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'copy_jobs'"
        with jobs.engine.connect() as connection:
            connection.execute(text("SELECT pg_stat_force_next_flush()"))
            [(all_, cheap)] = connection.execute(text(query)).all()
        return all_, cheap

    for number in range(CHUNKS):
        with attempt.transaction() as connection:
            connection.execute(text("SELECT pg_stat_force_next_flush()"))
            attempt.record(connection, replace(CHUNK, range=KeyRange(number + 1, None, ("5",), rows=5)))
    found = until(lambda: (counted := updates())[0] >= CHUNKS and counted, what="the count of all updates")
    jobs.engine.dispose()
    # But for those that find their page full of versions that somebody still reads.
    assert found[1] > 0.8 * CHUNKS
