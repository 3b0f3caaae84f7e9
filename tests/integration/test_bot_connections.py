"""A worker's copies get the sessions that they need: none waits for those of another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.engine import make_url

from bot import app
from bot.config import Settings
from copier import Chunk, Copy, Limits
from tests.copying import ITEMS, Sides, spec

#: The threads of a worker by the Procfile, and as many lanes as a machine with eight cores might be given.
THREADS, LANES = 4, 8
ROWS = 400


def test_copies_that_are_at_work_at_the_same_moment_do_not_wait_for_each_other_s_sessions(
    sides: Sides,
) -> None:
    sides.both(ITEMS)
    sides.prod.execute(
        f"INSERT INTO items SELECT n * 1000 + g, n, g, 'x' "
        f"FROM generate_series(1, {THREADS}) AS n, generate_series(1, {ROWS}) AS g"
    )
    prod, consulta = (
        make_url(each.url).set(drivername="postgresql+psycopg") for each in (sides.prod, sides.consulta)
    )
    parts = app.databases(Settings(prod=prod, consulta=consulta))
    together = threading.Barrier(THREADS, timeout=25)  # the pool's own patience is thirty seconds

    def copied(liquidation: int) -> bool:
        limits = Limits(parallel=LANES, chunk_rows=20)
        with Copy(parts.prod, parts.consulta, spec(), liquidation, limits=limits) as copy:
            waited = threading.Event()

            def wait(chunk: Chunk) -> None:  # every lane has its sessions
                if not waited.is_set():
                    waited.set()
                    together.wait()

            return copy.verify(copy.run(on_chunk=wait)).holds

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            assert all(pool.map(copied, range(1, THREADS + 1)))
    finally:
        parts.consulta.dispose()
