"""A set of five tables beside five single copies, and beside pgsync's way, in interleaved rounds.

pgsync copies each table by COPY to a temporary table of the target, and from there by INSERT … ON CONFLICT
DO UPDATE: table by table, each of another moment, with nothing removed and nothing compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from dev.bench import payroll, report
from dev.bench.measure import Run, run_command
from dev.binaries import postgres_programs
from dev.processes import PRODUCT_PROGRAMS
from dev.stack import Stack

console = Console(highlight=False)


class SetBench:
    """The contenders, each a method that gives one measured run."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.psql = str(postgres_programs(stack.guard) / "psql")
        self.traspaso = str(PRODUCT_PROGRAMS / "traspaso")
        self.columns = payroll.columns(stack.consulta_url)

    def singles(self) -> Run:
        """A process for each table, one after the other."""
        return _sum([self._run(self.traspaso, "copy", "42", member.copy) for member in payroll.MEMBERS])

    def set(self) -> Run:
        return self._run(self.traspaso, "copy", "42", "--set", "whole")

    def singles_in_worker(self) -> Run:
        """The same without the start of a process, as in a worker that has been up for a while."""
        return self._run(sys.executable, "-m", "dev.bench.engine", "singles", str(payroll.LIQUIDATION))

    def set_in_worker(self) -> Run:
        return self._run(sys.executable, "-m", "dev.bench.engine", "set", str(payroll.LIQUIDATION))

    def pgsync(self) -> Run:
        steps = " && ".join(self._upsert(member) for member in payroll.MEMBERS)
        return self._run("bash", "-c", f"set -o pipefail; {steps}")

    def contenders(self) -> dict[str, tuple[Callable[[], Run], bool]]:
        """By name, with whether each begins with an empty target; each of the others finds what is there."""
        return {
            report.PGSYNC: (self.pgsync, True),
            report.PGSYNC_AGAIN: (self.pgsync, False),
            report.SINGLES: (self.singles, True),
            report.SINGLES_AGAIN: (self.singles, False),
            report.SET: (self.set, True),
            report.SET_AGAIN: (self.set, False),
            report.SINGLES_WORKER: (self.singles_in_worker, True),
            report.SINGLES_WORKER_AGAIN: (self.singles_in_worker, False),
            report.SET_WORKER: (self.set_in_worker, True),
            report.SET_WORKER_AGAIN: (self.set_in_worker, False),
        }

    def _upsert(self, member: payroll.Member) -> str:
        key, *others = self.columns[member.table]
        fields = ", ".join([key, *others])
        setter = ", ".join(f"{each} = EXCLUDED.{each}" for each in others)
        query = f"SELECT {fields} FROM {member.table} WHERE {member.of_42}"
        commands = (
            f"CREATE TEMPORARY TABLE pgsync_rows AS TABLE {member.table} WITH NO DATA",
            f"COPY pgsync_rows ({fields}) FROM STDIN",
            f"INSERT INTO {member.table} ({fields}) (SELECT {fields} FROM pgsync_rows) "
            f"ON CONFLICT ({key}) DO UPDATE SET {setter}",
        )
        into = " ".join(f'-c "{each}"' for each in commands)
        return (
            f'{self.psql} -Xqd {self.stack.prod_url} -c "COPY ({query}) TO STDOUT" '
            f"| {self.psql} -Xqd {self.stack.consulta_url} -v ON_ERROR_STOP=1 {into}"
        )

    def _run(self, *argv: str) -> Run:
        return run_command(self.stack, argv)


def _sum(runs: list[Run]) -> Run:
    return replace(
        runs[0],
        seconds=sum(run.seconds for run in runs),
        client_cpu=sum(run.client_cpu for run in runs),
        server_cpu=sum(run.server_cpu for run in runs),
        wal_mb=sum(run.wal_mb for run in runs),
        peak_mb=max(run.peak_mb for run in runs),
    )


def measure(scale: float, rounds: int, settings: dict[str, str]) -> dict[str, list[Run]]:
    """All runs of all contenders, round by round, on one stack; every other round in another order."""
    runs: dict[str, list[Run]] = {}
    with Stack(config=payroll.CONFIG, on_disk=True, settings=settings) as stack:
        console.print(f"Filling five tables: liquidation 42 has {round(1_000_000 * scale):,} rows …")
        payroll.make(stack.prod_url, stack.consulta_url, scale)
        stack.migrate()
        contenders = SetBench(stack).contenders()
        names = [*contenders]
        pairs = [names[at : at + 2] for at in range(0, len(names), 2)]
        for number in range(1, rounds + 1):
            for name in [name for pair in (pairs if number % 2 else pairs[::-1]) for name in pair]:
                contender, is_first = contenders[name]
                if is_first:
                    payroll.empty(stack.consulta_url)
                run = contender()
                runs.setdefault(name, []).append(run)
                console.print(
                    f"  round {number}  {name:64} {run.seconds:7.2f} s  CPU {run.client_cpu:5.2f} "
                    f"+ {run.server_cpu:5.2f} s  {run.peak_mb:4.0f} MB"
                )
    return runs
