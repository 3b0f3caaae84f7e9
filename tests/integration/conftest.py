"""Both sides together, for the tests that copy, and a local Slack for those that talk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.guard import ROOT
from dev.slack.client import LocalSlack
from dev.slack.server import LocalSlackServer
from tests.copying import Sides
from tests.support import Database, Databases
from tests.tracking import Jobs


@pytest.fixture
def sides(prod: Database, consulta: Database) -> Sides:
    """An empty database on either cluster."""
    return Sides(prod, consulta)


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
