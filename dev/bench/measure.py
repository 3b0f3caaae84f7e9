"""One run of a command, measured: wall time, CPU of the client and of both servers, WAL of consulta."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil
import psycopg

from dev.postgres import PostgresServer
from dev.stack import Stack


@dataclass(frozen=True)
class Run:
    """Seconds of wall time and CPU, megabytes of WAL written by consulta and of the client's peak memory.

    ``plan_seconds`` are those before the first chunk: the count and the matching of both tables.
    """

    seconds: float
    client_cpu: float
    server_cpu: float
    wal_mb: float
    peak_mb: float
    plan_seconds: float = 0.0
    chunks: int = 0


def run_command(stack: Stack, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Measures a process; one that prints a JSON object knows its own seconds, CPU and memory better."""
    before_wal, before_cpu = _wal(stack), _cpu(stack)
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            argv, env={**stack.environment(), **(environment or {})}, stdout=output, stderr=output
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} failed:\n{said}")
    told = json.loads(said) if said.startswith("{") else {}
    return Run(
        seconds=told.get("seconds", seconds),
        client_cpu=told.get("client_cpu", used.ru_utime + used.ru_stime),
        server_cpu=_cpu(stack) - before_cpu,
        wal_mb=(_wal(stack) - before_wal) / 2**20,
        peak_mb=told.get("peak_mb", used.ru_maxrss / 1024),
        plan_seconds=told.get("plan_seconds", 0.0),
        chunks=told.get("chunks", 0),
    )


def _wal(stack: Stack) -> int:
    with psycopg.connect(stack.consulta_url) as connection:
        row = connection.execute(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
        ).fetchone()
    return int(row[0]) if row else 0


def _cpu(stack: Stack) -> float:
    for url in (stack.prod_url, stack.consulta_url):
        _wait_for_backends(url)
    return sum(_cluster_cpu(server) for server in (stack.prod, stack.consulta))


def _wait_for_backends(url: str) -> None:
    """A backend's CPU is its postmaster's to tell once it has ended."""
    others = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(others).fetchone() != (0,):
            time.sleep(0.02)
    time.sleep(0.1)


def _cluster_cpu(server: PostgresServer) -> float:
    """Of the postmaster, its living backends and those that have ended."""
    postmaster = psutil.Process(server.pid)
    total = sum(postmaster.cpu_times()[:4])
    for child in postmaster.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total
