"""Runs all contenders in rounds and writes docs/benchmarks.md.

make bench              five rounds on the table of a million rows, over all `LINKS` too, a set of five
                        tables, the commands of the shell, and ten million rows once
make bench QUICK=1      three rounds on a table of a fifth, nothing written
make bench SETS=1       only a set of five tables beside five copies; nothing written (QUICK=1 too)
make bench WATCH=1      only the watch over many small liquidations; nothing written
make bench DELAYS="50"  only links of so many milliseconds there and back; nothing written
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from dev.bench import report, sets, table, watch
from dev.bench.measure import Run, run_command
from dev.bench.report import Link, OverALink
from dev.binaries import postgres_programs
from dev.guard import ROOT
from dev.pgbouncer import PgBouncer
from dev.processes import PRODUCT_PROGRAMS
from dev.proxy import Proxy
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

#: What lies between the client and each of the servers.
LINKS = (Link(0), Link(10), Link(50), Link(0, pooled=True), Link(0, pooled=True, tls=True))
#: A liquidation of ten rows, for the shell's commands, and how often each of these is run.
SMALL, COMMAND_RUNS = 7, 7

COPY_IN = "COPY liquidation_items FROM STDIN (FORMAT binary)"

console = Console(highlight=False)


class Bench:
    """The contenders, each a method that gives one measured run, with what it needs done before."""

    def __init__(
        self, stack: Stack, scale: float, *, prod_url: str | None = None, consulta_url: str | None = None
    ) -> None:
        """Both URLs are how the contenders reach the servers, where a way lies in between."""
        self.stack = stack
        self.prod_url = prod_url or stack.prod_url
        self.consulta_url = consulta_url or stack.consulta_url
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
        table.run(self.stack.prod_url, table.ALTER_SOME, "CHECKPOINT")
        return self._engine("proven")

    def preview(self) -> Run:
        """As a process, of what a copy has proven, after one row in a thousand has changed in prod."""
        table.run(self.stack.prod_url, table.ALTER_SOME, "VACUUM (ANALYZE) liquidation_items")
        program = Path(sys.executable).with_name("traspaso")
        return run_command(self.stack, [str(program), "preview", str(table.LIQUIDATION), "items"])

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
            report.PREVIEW: self.preview,
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
        return f'{self.psql} -Xqd {self.prod_url} -c "COPY ({query}) TO STDOUT (FORMAT binary)"'

    def _psql_in(self, commands: str) -> str:
        return f"{self.psql} -Xqd {self.consulta_url} {commands}"

    def _shell(self, command: str) -> Run:
        return run_command(self.stack, ["bash", "-c", f"set -o pipefail; {command}"])

    def _engine(self, mode: str) -> Run:
        return run_command(
            self.stack,
            [sys.executable, "-m", "dev.bench.engine", mode, str(table.LIQUIDATION)],
            {"PROD_DATABASE_URL": self.prod_url, "CONSULTA_DATABASE_URL": self.consulta_url},
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


def measure_over_links(scale: float, rounds: int, links: Sequence[Link]) -> list[OverALink]:
    """The pipe, a first copy and the same again, over each of the links."""
    found: list[OverALink] = []
    with Stack(config=CONFIG, on_disk=True, settings=CLUSTER) as stack:
        console.print(f"Filling the table: liquidation 42 has {round(1_000_000 * scale):,} rows …")
        table.make(stack.prod_url, stack.consulta_url, scale)
        stack.migrate()
        with (
            _pooler(stack, tls=False) as pooler,
            _pooler(stack, tls=True) as pooler_with_tls,
        ):
            for number in range(1, rounds + 1):
                for link in links:
                    port = (pooler_with_tls if link.tls else pooler).port if link.pooled else None
                    found += _round_over_a_link(stack, scale, number, link, port)
    return found


def _pooler(stack: Stack, *, tls: bool) -> PgBouncer:
    folder = stack.folder / ("pooler-tls" if tls else "pooler")
    folder.mkdir()
    folder.chmod(0o755)
    urls = {"prod": stack.prod_url, "consulta": stack.consulta_url}
    # The servers' CPU is known when their backends have ended.
    return PgBouncer(folder, urls, guard=stack.guard, settings=["server_idle_timeout = 1"], tls=tls)


def _round_over_a_link(
    stack: Stack, scale: float, number: int, link: Link, pooler: int | None
) -> list[OverALink]:
    """``pooler`` is its port, where one is in between."""
    servers = {"prod": stack.prod.port, "consulta": stack.consulta.port}
    proxies = [Proxy(pooler or port, round_trip_seconds=link.delay / 1000) for port in servers.values()]
    with proxies[0] as prod, proxies[1] as consulta:
        urls = {
            "prod_url": _by(stack.prod_url, stack.prod.port, prod.port),
            "consulta_url": _by(stack.consulta_url, stack.consulta.port, consulta.port),
        }
        plain = Bench(stack, scale, **urls)
        # The pipe's programs speak no TLS here: it goes the same way without.
        own = {name: f"{url}?sslmode=require" for name, url in urls.items()} if link.tls else urls
        bench = Bench(stack, scale, **own)
        found: list[OverALink] = []
        contenders = {
            report.PIPE: plain.pipe,
            report.PROVEN: bench.everything_on,
            report.UNCHANGED: bench.again_unchanged,
        }
        for name, contender in contenders.items():
            before = [proxy.round_trips for proxy in proxies]
            run = contender()
            trips = [proxy.round_trips - earlier for proxy, earlier in zip(proxies, before, strict=True)]
            pipe = found[0].run.seconds if found else run.seconds
            found.append(OverALink(number, link, name, run, run.seconds / pipe, trips[0], trips[1]))
            console.print(
                f"  round {number}  {link!s:22} {name:54} {run.seconds:7.2f} s  {run.seconds / pipe:5.2f}  "
                f"round trips {trips[0]} + {trips[1]}, {run.chunks} chunks"
            )
    return found


def measure_commands(scale: float) -> dict[str, list[float]]:
    """Seconds of the shell's commands, each a process of its own, from its start to its end."""
    commands = {
        "traspaso --help": ["--help"],
        "traspaso copy, of 10 rows that are new": ["copy", str(SMALL), "items"],
        f"traspaso preview, of {round(1_000_000 * scale):,} rows that were copied": [
            "preview",
            "42",
            "items",
        ],
    }
    seconds: dict[str, list[float]] = {}
    with Stack(config=CONFIG, on_disk=True, settings=CLUSTER) as stack:
        table.make(stack.prod_url, stack.consulta_url, scale)
        table.run(stack.prod_url, table.few(SMALL, 10))
        stack.migrate()
        Bench(stack, scale).everything_on()
        for _ in range(COMMAND_RUNS):
            for name, arguments in commands.items():
                table.run(stack.consulta_url, f"DELETE FROM liquidation_items WHERE liquidation_id = {SMALL}")
                run = run_command(stack, [str(PRODUCT_PROGRAMS / "traspaso"), *arguments])
                seconds.setdefault(name, []).append(run.seconds)
                console.print(f"  {name:60} {run.seconds:7.2f} s")
    return seconds


def _by(url: str, port: int, another: int) -> str:
    """The same address by another port."""
    assert url.count(f":{port}/") == 1, url
    return url.replace(f":{port}/", f":{another}/")


def main() -> int:
    options = argparse.ArgumentParser(prog="make bench")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--rounds", type=int)
    options.add_argument("--delays", help="only over links of these milliseconds, such as 0,10,50")
    options.add_argument("--sets", action="store_true", help="only a set beside five single copies")
    options.add_argument("--watch", action="store_true", help="only the watch over many liquidations")
    options.add_argument("--no-scale", action="store_true", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    began = time.monotonic()
    scale, rounds = (0.2, 3) if arguments.quick else (1.0, 5)
    if arguments.delays is not None:
        links = [Link(int(delay)) for delay in arguments.delays.replace(",", " ").split()]
        over = measure_over_links(scale, arguments.rounds or rounds, links)
        console.print(report.over_links(over, rows=round(1_000_000 * scale)), markup=False, soft_wrap=True)
        return 0
    if arguments.watch:
        looks = watch.measure(arguments.rounds or rounds, CLUSTER, CONFIG)
        console.print(report.of_watch(looks), markup=False, soft_wrap=True)
        return 0
    if arguments.sets:
        whole = sets.measure(scale, arguments.rounds or rounds, CLUSTER)
        console.print(report.of_sets(whole, rows=round(1_000_000 * scale)), markup=False, soft_wrap=True)
        return 0
    runs = measure(scale, arguments.rounds or rounds)
    over = measure_over_links(scale, arguments.rounds or rounds, LINKS)
    whole = sets.measure(scale, arguments.rounds or rounds, CLUSTER)
    looks = watch.measure(arguments.rounds or rounds, CLUSTER, CONFIG)
    commands = measure_commands(scale)
    large: dict[str, list[Run]] = {}
    if not arguments.quick and not arguments.no_scale:
        large = measure(10.0, 1, only=[report.PIPE, report.PROVEN])
    page = report.page(runs, large, over, whole, looks, commands, rows=round(1_000_000 * scale))
    console.print(page, markup=False, soft_wrap=True)
    if not arguments.quick:
        (ROOT / "docs" / "benchmarks.md").write_text(page, "utf-8")
        console.print("Written to docs/benchmarks.md.")
    console.print(f"Took {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
