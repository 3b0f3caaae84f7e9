"""Both sides together, for the tests that copy, and a local Slack for those that talk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import migrations
from dev.guard import ROOT
from dev.local_slack.client import LocalSlack
from dev.local_slack.server import LocalSlackServer
from tests.copying import ITEMS, Sides, engine
from tests.shell import ROWS, Shell
from tests.support import Database, Databases, Servers
from tests.tracking import Jobs


@pytest.fixture
def sides(prod: Database, consulta: Database) -> Sides:
    """An empty database on either cluster."""
    return Sides(prod, consulta)


@pytest.fixture(scope="session")
def _tracked_databases(servers: Servers, _consulta_databases: Databases) -> Iterator[Databases]:
    """Copies of what the migrations make, in a tenth of their time."""
    template = _consulta_databases.take()
    own = engine(template.url)
    migrations.upgrade(own)
    own.dispose()
    databases = Databases(servers.consulta, template.name)
    yield databases
    databases.close()
    _consulta_databases.give_back(template)


@pytest.fixture
def consulta(request: pytest.FixtureRequest, _consulta_databases: Databases) -> Iterator[Database]:
    """The test's database on the cluster of consulta: empty, or `tracked` where the test asks for that."""
    is_tracked = "tracked" in request.fixturenames
    databases: Databases = (
        request.getfixturevalue("_tracked_databases") if is_tracked else _consulta_databases
    )
    database = databases.take()
    yield database
    databases.give_back(database)


@pytest.fixture
def tracked(consulta: Database) -> Database:
    """The test's consulta, which has the tracking tables and nothing else."""
    return consulta


@pytest.fixture
def still(
    prod: Database,
    consulta: Database,
    _prod_databases: Databases,
    _consulta_databases: Databases,
    _tracked_databases: Databases,
) -> None:
    """Nothing but the test writes on the clusters: for tests of their WAL, and of transactions under way."""
    for databases in (_prod_databases, _consulta_databases, _tracked_databases):
        databases.settle()


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    """A workspace of this test alone."""
    with LocalSlackServer(manifest=ROOT / "manifest.yml") as server:
        slack = LocalSlack(server.url)
        yield slack
        slack.close()


@pytest.fixture(scope="session")
def _jobs(_consulta_databases: Databases) -> Iterator[Jobs]:
    database = _consulta_databases.take()
    jobs = Jobs(database)
    yield jobs
    jobs.engine.dispose()
    _consulta_databases.give_back(database)


@pytest.fixture
def jobs(_jobs: Jobs) -> Jobs:
    """The tracking tables, empty."""
    _jobs.empty()
    return _jobs


@pytest.fixture
def shell(sides: Sides, tracked: Database, tmp_path: Path) -> Shell:
    """Both sides have the table, consulta has the tracking tables."""
    sides.both(ITEMS)
    sides.prod.execute(f"INSERT INTO items SELECT g, 42, g, 'n' || g FROM generate_series(1, {ROWS}) g")
    return Shell(sides, tmp_path)
