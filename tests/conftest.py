"""Real servers for the tests: started once, when first asked for, and gone with pytest, however it ends."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import settings

from dev.fork_server import ForkServer
from dev.guard import Guard
from dev.postgres import PostgresServer
from dev.valkey import Valkey
from tests.distribution import Distribution, longest_first
from tests.support import Database, Databases, Servers

# A shell that begins the suite in the background has it ignore Ctrl-C, and so all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Where it is set, each of the many processes would compile every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same examples in every run, so that a red one is the change's doing; `--hypothesis-profile=search`
# looks for new ones.
settings.register_profile("search", deadline=None)
settings.register_profile("repeatable", settings.get_profile("search"), derandomize=True)
settings.load_profile("repeatable")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """What ``-n auto`` means: two processes more than cores, as the scenarios wait for most of their time."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else (os.cpu_count() or 1) + 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution | None:
    """Ours, unless another one was asked for."""
    return Distribution(config, log) if config.getvalue("dist") == "load" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process of several, the order in which the tests are given out; alone, that of their names."""
    if hasattr(config, "workerinput"):
        items.sort(key=longest_first)


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """A command of the shell that runs inside a test sets it, as in a process of its own."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays to the end: no collection of garbage goes through all of it, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def guard() -> Iterator[Guard]:
    with Guard() as guard:
        yield guard


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    """Starts the product's processes in a fraction of the time that an interpreter takes to import it."""
    forks = ForkServer()
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def servers(guard: Guard) -> Iterator[Servers]:
    folder = guard.temp_folder()
    servers = Servers(
        PostgresServer(folder, "prod", guard=guard), PostgresServer(folder, "consulta", guard=guard)
    )
    with ThreadPoolExecutor() as pool:
        for started in [pool.submit(servers.prod.start), pool.submit(servers.consulta.start)]:
            started.result()
    yield servers
    servers.prod.stop("immediate")
    servers.consulta.stop("immediate")


@pytest.fixture(scope="session")
def _prod_databases(servers: Servers) -> Iterator[Databases]:
    databases = Databases(servers.prod)
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def _consulta_databases(servers: Servers) -> Iterator[Databases]:
    databases = Databases(servers.consulta)
    yield databases
    databases.close()


@pytest.fixture
def prod(_prod_databases: Databases) -> Iterator[Database]:
    """An empty database on the cluster of prod."""
    database = _prod_databases.take()
    yield database
    _prod_databases.give_back(database)


@pytest.fixture
def consulta(_consulta_databases: Databases) -> Iterator[Database]:
    """An empty database on the cluster of consulta."""
    database = _consulta_databases.take()
    yield database
    _consulta_databases.give_back(database)


@pytest.fixture(scope="session")
def _valkey(guard: Guard) -> Iterator[Valkey]:
    with Valkey(guard.temp_folder(), guard=guard) as server:
        yield server


@pytest.fixture
def valkey(_valkey: Valkey) -> Valkey:
    """The session's Valkey, empty; started again if a test left it stopped."""
    if not _valkey.running:
        _valkey.start()
    _valkey.flush()
    return _valkey
