"""Both sides together, for the tests that copy."""

from __future__ import annotations

import pytest

from tests.copying import Sides
from tests.support import Database


@pytest.fixture
def sides(prod: Database, consulta: Database) -> Sides:
    """An empty database on either cluster."""
    return Sides(prod, consulta)
