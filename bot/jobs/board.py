"""Reads the panel's snapshot, and tells by one cheap query whether anything has changed since."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import ColumnElement, Engine, literal_column, select

from bot.jobs.history import JobHistory
from bot.jobs.panel import HomeFilters, HomeView
from bot.jobs.store import JobRepository
from bot.jobs.wishes import active_freeze
from bot.jobs.workers import is_missing

#: So many ended jobs are shown.
LATEST = 20

# Whatever is live, the newest jobs, the freeze; and what changes no row: a lease that runs out, a worker that
# falls silent. Whether workers are there at all is asked for beside it.
_MARK: ColumnElement[str] = literal_column("""
    md5(concat_ws(' ',
      (SELECT string_agg(concat_ws(' ', job::text, job.lease_until < now()), ' ' ORDER BY job.id)
         FROM traspaso.copy_jobs job
        WHERE job.id IN (
          SELECT id FROM traspaso.copy_jobs WHERE status IN ('pending', 'running', 'paused')
          UNION ALL (SELECT id FROM traspaso.copy_jobs ORDER BY id DESC LIMIT 50))),
      (SELECT count(*) FROM traspaso.workers
        WHERE ended_at IS NULL AND beat_at < clock_timestamp() - interval '10 s'),
      (SELECT string_agg(active::text, ' ') FROM traspaso.copy_freezes active WHERE lifted_at IS NULL)))
""")


class HomeRepository:
    """The panel's reader of the tracking tables."""

    def __init__(self, engine: Engine, store: JobRepository | None = None) -> None:
        self._engine = engine
        self._store = store or JobRepository(engine)
        self._history = JobHistory(engine)

    def mark(self) -> str:
        """Another one whenever something that a panel shows has changed."""
        with self._engine.connect() as connection:
            mark, missing = connection.execute(select(_MARK, is_missing())).one()
        return f"{mark} {missing}"

    def read(self, reader_id: str, filters: HomeFilters) -> HomeView:
        """What this person sees; ``filters`` are those of the list of ended jobs."""
        with self._engine.connect() as connection:
            freeze = active_freeze(connection)
        return HomeView(
            reader_id=reader_id,
            live=tuple(self._store.live()),
            latest=tuple(self._history.page(replace(filters, ended=True), LATEST)),
            filters=filters,
            freeze=freeze,
            no_worker=self._store.no_worker(),
        )
