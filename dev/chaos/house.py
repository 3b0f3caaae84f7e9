"""What the runs of a campaign play in: real servers, the product's real processes, and a proxy on each line.

Each process has lines of its own to prod, consulta, Redis and Slack, so that one of them can be cut off while
the others go on. The product connects with roles as in production, and with a password that must turn up
nowhere.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import psutil
import psycopg
from psycopg.rows import dict_row
from sqlalchemy.exc import SQLAlchemyError

from dev.chaos import data, hook, shim
from dev.chaos.wire import Listener
from dev.local_slack.client import LocalSlack
from dev.pgbouncer import PgBouncer
from dev.postgres import PostgresServer
from dev.processes import PRODUCT_PROGRAMS, Child, ChildError
from dev.proxy import Proxy
from dev.stack import Stack
from dev.standby import Standby

T = TypeVar("T")
Row = dict[str, Any]
Side = Literal["prod", "consulta", "redis", "slack"]
Database = Literal["prod", "consulta"]
SIDES: tuple[Side, ...] = ("prod", "consulta", "redis", "slack")

#: What a server that is killed loses is in memory only: the machine itself goes on, so nothing is synced.
CLUSTER = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off"}

CONFIG = """
[slack]
admin_groups = ["S0ADMINS"]
language = "es"

[liquidations]
table = "public.liquidations"
id = "id"
label = "name"
period = "period"

[[copies]]
name = "items"
source_table = "public.items"
target_table = "public.items"

[[copies]]
name = "checked"
source_table = "public.items"
target_table = "public.items"
require_approval = true

[work]
"""

ROLES = {
    "prod": "CREATE ROLE reader LOGIN; GRANT SELECT ON items, liquidations TO reader",
    "consulta": "CREATE ROLE traspaso LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON items TO traspaso; "
    "GRANT CREATE ON DATABASE consulta TO traspaso",
}
USERS = {"prod": "reader", "consulta": "traspaso"}


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of house: its settings, how many processes, how long an end and its telling may take.

    ``bouncer`` puts PgBouncer in transaction mode before both databases, ``tls`` has it speak TLS only;
    ``standby`` gives both databases a standby that every commit waits for.
    """

    name: str
    work: Mapping[str, float]
    workers: int = 2
    bots: int = 1
    bouncer: bool = False
    tls: bool = False
    standby: bool = False
    end_seconds: float = 90.0
    told_seconds: float = 60.0


SHORT = {
    "lease_seconds": 3,
    "sweep_seconds": 0.5,
    "overdue_seconds": 2,
    "lost_seconds": 20,
    "retry_seconds": 0.2,
    "card_seconds": 1,
    "lock_timeout_seconds": 3,
    "chunk_rows": 200,
    "parallel": 2,
}
FEW = {"parallel": 1, "chunk_rows": 100, "max_failures": 3, "max_attempts": 4}
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("plain", SHORT),
        Profile(
            "one lane",
            {**SHORT, "parallel": 1, "chunk_rows": 100, "max_failures": 3, "max_attempts": 4},
            workers=1,
        ),
        Profile("two bots", {**SHORT, "parallel": 4, "chunk_rows": 500}, workers=2, bots=2),
        Profile("PgBouncer", SHORT, bouncer=True),
        Profile("TLS", SHORT, bouncer=True, tls=True),
        Profile("standby", SHORT, standby=True),
        Profile("defaults", {"chunk_rows": 500}, end_seconds=300.0, told_seconds=180.0),
    )
}


class Lines:
    """One process's way to everything that it talks to."""

    def __init__(self, ports: Mapping[Side, int]) -> None:
        self._proxies: dict[Side, Proxy] = {side: Proxy(port) for side, port in ports.items()}
        for proxy in self._proxies.values():
            proxy.start()

    def __getitem__(self, side: Side) -> Proxy:
        return self._proxies[side]

    def lead(self, side: Side, port: int) -> None:
        """From the next connection on this side is there."""
        self._proxies[side].target = ("127.0.0.1", port)

    def mend(self) -> None:
        for proxy in self._proxies.values():
            proxy.resume()
            proxy.allow()

    def close(self) -> None:
        for proxy in self._proxies.values():
            with suppress(Exception):
                proxy.resume()
                proxy.stop()


class Process:
    """A bot or a worker, which can be ended and started again under its name."""

    def __init__(self, house: House, name: str, lines: Lines) -> None:
        self.name = name
        self.is_worker = name.startswith("worker")
        self.lines = lines
        self._house = house
        self._lock = threading.Lock()
        self._stopped = False
        self.child: Child | None = None
        self.shim = house.shim_of(name)

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.running

    def start(self) -> None:
        with self._lock:
            if not self.running:
                self.child = self._house.launch(self)

    def kill(self) -> None:
        """kill -9 of the whole process group."""
        with self._lock:
            if self.child is not None:
                self.child.kill()
                self._stopped = False

    def terminate(self) -> None:
        if self.child is not None and self.running:
            self.child.terminate()

    def ended(self, timeout_seconds: float = 60.0) -> None:
        if self.child is not None:
            self.child.wait(timeout_seconds)

    def stop(self) -> None:
        """SIGSTOP: it neither works nor dies."""
        self._signal(signal.SIGSTOP)
        self._stopped = True

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        self._stopped = False

    def wait_ready(self, timeout_seconds: float = 60.0) -> None:
        """Started again, as a supervisor does, where it found a server away and ended."""
        words = "ready for action" if self.is_worker else "connected to Slack"
        deadline = time.monotonic() + timeout_seconds
        while True:
            assert self.child is not None
            try:
                self.child.wait_for_line(words, timeout_seconds)
            except ChildError:
                if self.running or time.monotonic() > deadline:
                    raise
                time.sleep(1.0)
                self.start()
            else:
                return

    def _signal(self, number: signal.Signals) -> None:
        if self.child is not None and self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.child.pid, number)


class House(Stack):
    """A context manager, as the stack is."""

    def __init__(self, profile: Profile) -> None:
        work = "\n".join(f"{name} = {value}" for name, value in profile.work.items())
        super().__init__(config=CONFIG + work, slack=True, settings=CLUSTER)
        self.profile = profile
        self.processes: dict[str, Process] = {}
        self._generations = itertools.count(1)
        self._lines: list[Lines] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        self._library = shim.compiled(self.folder)
        self.shims: dict[str, shim.Shim | None] = {name: self.shim_of(name) for name in ("prod", "consulta")}
        self.standbys: dict[str, Standby] = {}
        if self._library is not None:
            self.prod, self.consulta = (self._shimmed(name) for name in ("prod", "consulta"))
        super().start()
        self.api = LocalSlack(self.environment()["SLACK_API_URL"].removesuffix("/api/"))
        for server in (self.prod, self.consulta):
            name = server.name
            server.psql(data.TABLES + (data.ONLY_PROD if name == "prod" else ""), name)
            server.psql(ROLES[name], name)
        self._bouncer = self._start_bouncer() if self.profile.bouncer else None
        self.migrate()
        self.listener = Listener(self.folder / "points")
        names = [f"worker-{n + 1}" for n in range(self.profile.workers)]
        names += [f"bot-{n + 1}" for n in range(self.profile.bots)]
        for name in names:
            lines = Lines(
                {
                    "prod": self._bouncer.port if self._bouncer else self.prod.port,
                    "consulta": self._bouncer.port if self._bouncer else self.consulta.port,
                    "redis": self.valkey.port,
                    "slack": urlsplit(self.api.url).port or 0,
                }
            )
            self._lines.append(lines)
            self.processes[name] = Process(self, name, lines)
        self.all_up()

    def close(self) -> None:
        super().close()
        for lines in self._lines:
            lines.close()
        self._lines.clear()
        if hasattr(self, "listener"):
            self.listener.close()
        if hasattr(self, "api"):
            self.api.close()

    def environment(self) -> dict[str, str]:
        """The roles of production, with passwords; not yet over the lines of a process."""
        found = super().environment()
        for side in ("prod", "consulta"):
            name = f"{side.upper()}_DATABASE_URL"
            found[name] = found[name].replace("postgres@", f"{USERS[side]}:{data.PASSWORD}@")
        return found

    def launch(self, process: Process) -> Child:
        """Starts it; doesn't wait until it is ready."""
        environment = self.environment()
        over = {
            "PROD_DATABASE_URL": "prod",
            "CONSULTA_DATABASE_URL": "consulta",
            "REDIS_URL": "redis",
            "SLACK_API_URL": "slack",
        }
        for name, side in over.items():
            port = urlsplit(environment[name]).port
            environment[name] = environment[name].replace(f":{port}/", f":{process.lines[side].port}/")  # type: ignore[index]
            if self.profile.tls and name.endswith("_DATABASE_URL"):
                environment[name] += "?sslmode=require"
        environment |= {hook.SOCKET: str(self.listener.path), hook.NAME: process.name}
        if process.shim is not None:
            environment |= process.shim.environment
        if process.is_worker:
            argv: list[object] = [PRODUCT_PROGRAMS / "dramatiq", "dev.chaos.worker:boot"]
            argv += ["--processes", "1", "--threads", "2"]
        else:
            argv = [sys.executable, "-m", "dev.chaos.bot"]
        return self.run(process.name, argv, env=environment)

    # ------------------------------------------------------------------------------------------ between runs

    def all_up(self) -> None:
        """Every server and process runs and every line is whole, whatever the run before has left."""
        for each in [*self.shims.values(), *(process.shim for process in self.processes.values())]:
            if each is not None:
                each.reset()
        with self._lock:
            self.prod.start()
            self.consulta.start()
            self.valkey.start()
        if self.profile.standby:
            self._start_standbys()
        self.api.clear_faults()
        self.api.restore_token()
        for process in self.processes.values():
            process.lines.mend()
            process.go_on()
            process.start()
        for process in self.processes.values():
            process.wait_ready()
        self.api.wait_connected(30.0, self.profile.bots)

    def fresh(self, numbers: data.RowCounts, shape: data.Shape) -> None:
        """No job alive, nothing to tell, the data of this run on both sides."""
        self.all_up()
        self.ask(
            "consulta",
            "UPDATE traspaso.copy_jobs SET status = 'cancelled', finished_at = now(), attempt = attempt + 1, "
            "question = NULL WHERE status IN ('pending', 'running', 'paused'); "
            "UPDATE traspaso.copy_freezes SET lifted_at = now() WHERE lifted_at IS NULL; "
            "UPDATE traspaso.outbox SET done_at = now() WHERE done_at IS NULL",
        )
        with (
            psycopg.connect(self.prod_url) as prod,
            psycopg.connect(self.consulta_url) as consulta,
        ):
            data.seed(prod, consulta, numbers, shape)

    # ------------------------------------------------------------------------------------------ the servers

    def down(self, side: Database, *, crash: bool = False) -> None:
        with self._lock:
            server = self.prod if side == "prod" else self.consulta
            if server.running:
                if crash:
                    server.crash()
                else:
                    server.stop("immediate")

    def up(self, side: Database) -> None:
        with self._lock:
            (self.prod if side == "prod" else self.consulta).start()

    def suspend(self, side: Database) -> list[psutil.Process]:
        """SIGSTOP of the server and all its sessions."""
        server = self.prod if side == "prod" else self.consulta
        stopped: list[psutil.Process] = []
        with self._lock, suppress(psutil.Error):
            if server.pid is not None and server.running:
                postmaster = psutil.Process(server.pid)
                postmaster.suspend()
                for process in (postmaster, *postmaster.children(recursive=True)):
                    with suppress(psutil.Error):
                        process.suspend()
                        stopped.append(process)
        return stopped

    @staticmethod
    def resume(stopped: list[psutil.Process]) -> None:
        for process in reversed(stopped):
            with suppress(psutil.Error):
                process.resume()

    def fail_over(self, side: Database) -> None:
        """The primary is gone for good, its standby takes its place, and the lines lead there."""
        with self._lock:
            standby = self.standbys.pop(side, None)
            if standby is None:
                return
            old = self.prod if side == "prod" else self.consulta
            old.crash()
            with psycopg.connect(standby.url(), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
                connection.execute("SELECT pg_promote()")
                connection.execute("SELECT pg_reload_conf()")
            if side == "prod":
                self.prod = standby
            else:
                self.consulta = standby
            for process in self.processes.values():
                process.lines.lead(side, standby.port)

    def _start_standbys(self) -> None:
        for side in ("prod", "consulta"):
            if side in self.standbys:
                continue
            primary = self.prod if side == "prod" else self.consulta
            name = f"{side}-{next(self._generations)}"
            standby = Standby(primary, self.folder, name, CLUSTER, guard=self.guard)
            standby.start()
            self.standbys[side] = standby
            primary.psql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.psql("SELECT pg_reload_conf()")

    def shim_of(self, name: str) -> shim.Shim | None:
        """For a process or a server of this name; None where the library can't be made."""
        return shim.Shim(self._library, self.folder, name) if self._library is not None else None

    def _shimmed(self, name: str) -> PostgresServer:
        found = self.shims[name]
        environment = found.environment if found is not None else {}
        return PostgresServer(self.folder, name, CLUSTER, guard=self.guard, environment=environment)

    def _start_bouncer(self) -> PgBouncer:
        urls = {
            "prod": self.prod.url("prod", user=USERS["prod"]),
            "consulta": self.consulta.url("consulta", user=USERS["consulta"]),
        }
        bouncer = PgBouncer(self.folder, urls, guard=self.guard, tls=self.profile.tls)
        bouncer.start()
        return bouncer

    def redis(self, *, up: bool) -> None:
        with self._lock:
            if up:
                self.valkey.start()
            elif self.valkey.running:
                self.valkey.kill()

    def connect(self, side: Database) -> psycopg.Connection[Row]:
        """As the superuser, past all proxies."""
        url = self.prod_url if side == "prod" else self.consulta_url
        return psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def ask(self, side: Database, query: str, *parameters: Any) -> list[Row]:
        """The rows, if any. Raises while the server is down."""
        with self.connect(side) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def newest(self, liquidation: int) -> Row | None:
        """The newest job of this liquidation; None where there is none, or consulta is down."""
        query = "SELECT * FROM traspaso.copy_jobs WHERE liquidation_id = %s ORDER BY id DESC LIMIT 1"
        with suppress(psycopg.Error):
            found = self.ask("consulta", query, liquidation)
            return found[0] if found else None
        return None

    def strangers(self) -> list[int]:
        """Processes of the product that none of ours leads any more."""
        groups = {each.child.pid for each in self.processes.values() if each.child is not None}
        mark = set(self.guard.mark.items())
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                ours = "dev.chaos" in " ".join(process.cmdline()) and mark <= set(process.environ().items())
                if ours and os.getpgid(process.pid) not in groups:
                    found.append(process.pid)
        return found


def until(look: Callable[[], T], timeout: float, step: float = 0.05) -> T | None:
    """The first truthy result of `look`; None after so many seconds. A server may be down."""
    deadline = time.monotonic() + timeout
    while True:
        with suppress(psycopg.Error, SQLAlchemyError):
            if found := look():
                return found
        if time.monotonic() > deadline:
            return None
        time.sleep(step)


@dataclass
class Offsets:
    """How long each log was at one moment, so that what was written since can be read."""

    house: House
    sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sizes = {path.name: path.stat().st_size for path in self.house.folder.glob("*.log")}

    def since(self) -> dict[str, str]:
        """By name, what every process of the product has written since."""
        found = {}
        for path in sorted(self.house.folder.glob("*.log")):
            if path.stem.startswith(("bot", "worker", "migrate")):
                with path.open("rb") as log:
                    log.seek(self.sizes.get(path.name, 0))
                    found[path.stem] = log.read().decode(errors="replace")
        return found
