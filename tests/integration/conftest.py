"""Both sides together, for the tests that copy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.copying import Sides
from tests.support import Database, Databases
from tests.tracking import Jobs


@pytest.fixture
def sides(prod: Database, consulta: Database) -> Sides:
    """An empty database on either cluster."""
    return Sides(prod, consulta)


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
