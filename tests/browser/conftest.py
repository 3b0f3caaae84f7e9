"""One browser, a small Bolt app that shows every kind of interaction, and the real bot on real servers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from dev.browser import chromium
from dev.fork_server import ForkServer
from dev.local_slack.client import LocalSlack, Person
from dev.local_slack.server import LocalSlackServer
from tests.local_slack.conftest import MANIFEST, _no_proxy  # noqa: F401 - a fixture
from tests.local_slack.office import Office
from tests.scenarios.house import open_office, set_scene
from tests.scenarios.scene import Office as Company
from tests.scenarios.scene import Scene

from .desk import Desk

#: Whatever is waited for may take its time on a busy machine.
expect.set_options(timeout=45_000)

OpenDesk = Callable[..., Desk]
_rooms = itertools.count(1)
_numbers = itertools.count(3001)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """For this folder only: while Playwright runs, no other test could have an event loop of its own."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the screenshots of this run are, to be looked at."""
    return tmp_path_factory.mktemp("screenshots")


@pytest.fixture
def open_desk(browser: Browser) -> Iterator[OpenDesk]:
    """Windows of one test. Each must have gone without an error and without a request to elsewhere."""
    desks: list[Desk] = []

    def open_one(url: str, user: str, place: str, *, phone: bool = False) -> Desk:
        desks.append(Desk(browser, url, user, place, phone=phone))
        return desks[-1]

    yield open_one
    for desk in desks:
        desk.close()
    assert [trouble for desk in desks for trouble in desk.troubles] == []


@pytest.fixture(scope="package")
def office() -> Iterator[Office]:
    with LocalSlackServer(manifest=MANIFEST, rate_limits=False) as server:
        place = Office(LocalSlack(server.url))
        yield place
        place.leave()


@pytest.fixture
def room(office: Office) -> Iterator[str]:
    """A channel of its own for each test, with everybody in it."""
    channel = f"C0BROWSER{next(_rooms)}"
    office.slack.add_channel(channel, channel.lower(), ["U0ANA", "U0BOB", "U0CARLA", "U0BOT"])
    office.submission = {}
    office.held.clear()
    yield channel
    office.held.set()
    office.slack.clear_faults()
    close_modals(office.ana, office.bob)


def close_modals(*people: Person) -> None:
    """They would stand before the page of the next test."""
    for person in people:
        if person.modal() is not None:
            person.close_modal(everything=True)


@pytest.fixture(scope="package")
def company(forks: ForkServer) -> Iterator[Company]:
    """The product: both databases, a bot and a worker."""
    with open_office(forks=forks) as company:
        company.slack.wait_connected()
        yield company


@pytest.fixture
def scene(company: Company) -> Iterator[Scene]:
    number = next(_numbers)
    company.workers(1)
    with set_scene(company, number, f"Sueldos mensuales {number}", f"nomina-{number}") as scene:
        yield scene
        close_modals(scene.ana, scene.bob)
