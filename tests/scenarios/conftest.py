"""One stack, one bot and a few workers for all scenarios; a liquidation and a channel for each of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from dev.fork_server import ForkServer

from .house import open_office, set_scene
from .scene import Office, Scene

_numbers = itertools.count(1001)


@pytest.fixture(scope="session")
def office(forks: ForkServer) -> Iterator[Office]:
    with open_office(forks=forks) as office:
        yield office


@pytest.fixture
def scene(office: Office, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Over Socket Mode; or in HTTP mode, for a test that is marked with `both_ways`."""
    number = next(_numbers)
    over_http = getattr(request, "param", "socket") == "http"
    with (
        office.over_http() if over_http else nullcontext(),
        set_scene(office, number, f"Liquidación de prueba {number}", f"scene-{number}") as scene,
    ):
        yield scene
