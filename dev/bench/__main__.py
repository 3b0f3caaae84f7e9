"""Runs all contenders in rounds and writes docs/benchmarks.md.

make bench            five rounds on the table of a million rows, and ten million rows once
make bench QUICK=1    three rounds on a table of a fifth, within three minutes, nothing written
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from rich.console import Console

from dev.bench import report, table
from dev.bench.measure import Run, run_command
from dev.binaries import postgres_programs
from dev.guard import ROOT
from dev.stack import Stack

CONFIG = """
[[copies]]
name = "items"
source_table = "public.liquidation_items"
target_table = "public.liquidation_items"
liquidation_column = "liquidation_id"
"""

#: As a server would have it, everything safe.
CLUSTER = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}

COPY_IN = "COPY liquidation_items FROM STDIN (FORMAT binary)"

console = Console(highlight=False)


class Bench:
    """The contenders, each a method that gives one measured run, with what it needs done before."""

    def __init__(self, stack: Stack, scale: float) -> None:
        self.stack = stack
        self.rows = round(1_000_000 * scale)
        self.psql = str(postgres_programs(stack.guard) / "psql")

    def pipe(self) -> Run:
        self._empty()
        return self._shell(self._pipe("true"))

    def two_pipes(self) -> Run:
        self._empty()
        middle = self.rows * 3 // 2
        return self._shell(f"{self._pipe(f'id <= {middle}')} & {self._pipe(f'id > {middle}')} & wait")

    def without_proof(self) -> Run:
        self._empty()
        return self._engine("unproven")

    def everything_on(self) -> Run:
        self._empty()
        return self._engine("proven")

    def again_unchanged(self) -> Run:
        return self._engine("proven")

    def again_some_changed(self) -> Run:
        table.run(self.stack.consulta_url, table.ALTER_SOME, "CHECKPOINT")
        return self._engine("proven")

    def again_all_changed(self) -> Run:
        self._copied_otherwise()
        return self._engine("proven")

    def delete_and_pipe(self) -> Run:
        self._copied_otherwise()
        delete = "DELETE FROM liquidation_items WHERE liquidation_id = 42"
        return self._shell(self._out("true") + " | " + self._psql_in(f'-1 -c "{delete}" -c "{COPY_IN}"'))

    def contenders(self) -> dict[str, Callable[[], Run]]:
        """In the order of a round: each leaves what the next one starts from."""
        return {
            report.PIPE: self.pipe,
            report.TWO_PIPES: self.two_pipes,
            report.UNPROVEN: self.without_proof,
            report.PROVEN: self.everything_on,
            report.UNCHANGED: self.again_unchanged,
            report.SOME: self.again_some_changed,
            report.DELETE_PIPE: self.delete_and_pipe,
            report.ALL: self.again_all_changed,
        }

    def _empty(self) -> None:
        table.empty(self.stack.consulta_url)

    def _copied_otherwise(self) -> None:
        """As a plain earlier copy left it, of rows that have all changed in prod since."""
        self._empty()
        self._shell(self._pipe("true", table.OTHERWISE))
        table.run(self.stack.consulta_url, "VACUUM (ANALYZE) liquidation_items", "CHECKPOINT")

    def _pipe(self, where: str, columns: str = "*") -> str:
        return self._out(where, columns) + " | " + self._psql_in(f'-c "{COPY_IN}"')

    def _out(self, where: str, columns: str = "*") -> str:
        query = f"SELECT {columns} FROM liquidation_items WHERE liquidation_id = 42 AND {where}"
        return f'{self.psql} -Xqd {self.stack.prod_url} -c "COPY ({query}) TO STDOUT (FORMAT binary)"'

    def _psql_in(self, commands: str) -> str:
        return f"{self.psql} -Xqd {self.stack.consulta_url} {commands}"

    def _shell(self, command: str) -> Run:
        return run_command(self.stack, ["bash", "-c", f"set -o pipefail; {command}"])

    def _engine(self, mode: str) -> Run:
        return run_command(
            self.stack, [sys.executable, "-m", "dev.bench.engine", mode, str(table.LIQUIDATION)]
        )


def measure(scale: float, rounds: int, *, only: list[str] | None = None) -> dict[str, list[Run]]:
    """All runs of all contenders, round by round, on one stack."""
    runs: dict[str, list[Run]] = {}
    with Stack(config=CONFIG, on_disk=True, settings=CLUSTER) as stack:
        console.print(f"Filling the table: liquidation 42 has {round(1_000_000 * scale):,} rows …")
        table.make(stack.prod_url, stack.consulta_url, scale)
        stack.migrate()
        contenders = Bench(stack, scale).contenders()
        for number in range(1, rounds + 1):
            for name, contender in contenders.items():
                if only is not None and name not in only:
                    continue
                run = contender()
                runs.setdefault(name, []).append(run)
                console.print(
                    f"  round {number}  {name:52} {run.seconds:7.2f} s  "
                    f"{run.seconds / runs[report.PIPE][-1].seconds:5.2f}"
                )
    return runs


def main() -> int:
    options = argparse.ArgumentParser(prog="make bench")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--rounds", type=int)
    options.add_argument("--no-scale", action="store_true", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    began = time.monotonic()
    scale, rounds = (0.2, 3) if arguments.quick else (1.0, 5)
    runs = measure(scale, arguments.rounds or rounds)
    large: dict[str, list[Run]] = {}
    if not arguments.quick and not arguments.no_scale:
        large = measure(10.0, 1, only=[report.PIPE, report.PROVEN])
    page = report.page(runs, large, rows=round(1_000_000 * scale))
    console.print(page, markup=False, soft_wrap=True)
    if not arguments.quick:
        (ROOT / "docs" / "benchmarks.md").write_text(page, "utf-8")
        console.print("Written to docs/benchmarks.md.")
    console.print(f"Took {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
