"""What the watch costs for each of many small liquidations in which nothing has changed, beside the pipe.

A round is the worker's own: its connections, the question whether copies run, and what it writes down are
part of it. The pipe copies some of the same liquidations one after the other, two processes for each.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from rich.console import Console

from bot import app, config
from bot.app import Databases
from bot.config import Need, Settings
from bot.jobs.repository import Request, Requester
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome
from bot.work.watch import Watch
from dev.bench import table
from dev.binaries import postgres_programs
from dev.stack import Stack

#: How many liquidations of how many rows there are, and how many of them the pipe copies in a round.
LIQUIDATIONS, ROWS, PIPED = 300, 1_000, 20

WATCHED = """
[watch]
cron = "0 3 * * *"
channel = "C0PAYROLL"
"""

FILL = f"""
INSERT INTO liquidation_items
SELECT l * 100000 + g, l, g, 'C1', 'Concepto ' || md5(g::text), 1, g, g * 2, 'ARS', date '2026-10-01', 'paid',
       jsonb_build_object('line', g), now(), now()
  FROM generate_series(1, {ROWS}) g, generate_series(1, {LIQUIDATIONS}) l
"""

console = Console(highlight=False)


@dataclass(frozen=True)
class WatchRound:
    """Seconds for each liquidation, of one round of the watch and of the pipe before it."""

    watch: float
    pipe: float

    @property
    def ratio(self) -> float:
        return self.watch / self.pipe


def measure(rounds: int, settings: dict[str, str], copies: str) -> list[WatchRound]:
    """``copies`` is the configuration of what is copied."""
    found = []
    with Stack(config=copies + WATCHED, on_disk=True, settings=settings) as stack:
        console.print(f"Copying {LIQUIDATIONS} liquidations of {ROWS:,} rows …")
        table.run(stack.prod_url, table.DDL, FILL, "VACUUM (ANALYZE, FREEZE) liquidation_items")
        table.run(stack.consulta_url, table.DDL, "CREATE TABLE piped (LIKE liquidation_items INCLUDING ALL)")
        stack.migrate()
        own = config.load(stack.environment(), Need.DATABASES | Need.COPIES)
        parts = app.databases(own)
        watch = app.watch(own, parts, lambda: None)
        assert watch is not None
        _copy_all(parts, own)
        for number in range(1, rounds + 1):
            pipe, looks = _pipe(stack), _round(stack, watch)
            found.append(WatchRound(looks, pipe))
            console.print(
                f"  round {number}  the pipe {1000 * pipe:6.1f} ms, the watch {1000 * looks:6.1f} ms a "
                f"liquidation  {looks / pipe:5.2f}"
            )
    return found


def _copy_all(parts: Databases, settings: Settings) -> None:
    """As a worker does, so that each has a proof of its own."""
    [copy] = settings.file.copies
    for liquidation in range(1, LIQUIDATIONS + 1):
        asked = Request(copy.spec, liquidation, None, Requester("shell", "bench", "bench"))
        job_id, _ = parts.store.create(asked)
        if parts.runner.run(job_id, StopSwitch()).outcome is not AttemptOutcome.COMPLETED:
            raise SystemExit(f"liquidation {liquidation} was not copied")


def _pipe(stack: Stack) -> float:
    """Seconds for each of the liquidations that it copies."""
    table.run(stack.consulta_url, "TRUNCATE piped", "CHECKPOINT")
    psql = postgres_programs(stack.guard) / "psql"
    query = "SELECT * FROM liquidation_items WHERE liquidation_id = $each"
    out = f'{psql} -Xqd {stack.prod_url} -c "COPY ({query}) TO STDOUT (FORMAT binary)"'
    into = f'{psql} -Xqd {stack.consulta_url} -c "COPY piped FROM STDIN (FORMAT binary)"'
    all_of_them = f"set -eo pipefail; for each in $(seq 1 {PIPED}); do {out} | {into}; done"
    began = time.perf_counter()
    subprocess.run(["bash", "-c", all_of_them], env=stack.environment(), check=True)
    return (time.perf_counter() - began) / PIPED


def _round(stack: Stack, watch: Watch) -> float:
    """Seconds for each of all liquidations."""
    table.run(stack.consulta_url, "INSERT INTO traspaso.watch_rounds (due_at) VALUES (clock_timestamp())")
    began = time.perf_counter()
    watch.run_due()
    return (time.perf_counter() - began) / LIQUIDATIONS
