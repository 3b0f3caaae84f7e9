"""One stack, one bot and a few workers for all scenarios; a liquidation and a channel for each of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from .house import open_office, set_scene
from .scene import Office, Scene

_numbers = itertools.count(1001)


@pytest.fixture(scope="session")
def office() -> Iterator[Office]:
    with open_office() as office:
        yield office


@pytest.fixture
def scene(office: Office) -> Iterator[Scene]:
    number = next(_numbers)
    with set_scene(office, number, f"Liquidación de prueba {number}", f"scene-{number}") as scene:
        yield scene
