"""A local Slack for each test, and one for the whole session with a real Bolt app connected to it."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from slack_sdk import WebClient

from dev.local_slack.client import LocalSlack
from dev.local_slack.server import LocalSlackServer

from .office import Office

MANIFEST = Path(__file__).with_name("manifest.yml")
_rooms = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _no_proxy() -> Iterator[None]:
    """Socket Mode ignores NO_PROXY, so a proxy has to go."""
    names = [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]
    kept = {name: os.environ.pop(name) for name in names}
    yield
    os.environ.update(kept)


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    """A fresh workspace without a bot connected."""
    with LocalSlackServer(manifest=MANIFEST) as server:
        client = LocalSlack(server.url)
        yield client
        client.close()


@pytest.fixture
def web(slack: LocalSlack) -> WebClient:
    """The SDK as a bot would have it, except that it never repeats a call by itself."""
    return WebClient(token=slack.bot_token, base_url=slack.api_url, retry_handlers=[])


@pytest.fixture(scope="session")
def office() -> Iterator[Office]:
    with LocalSlackServer(manifest=MANIFEST, rate_limits=False) as server:
        place = Office(LocalSlack(server.url))
        yield place
        place.leave()


@pytest.fixture
def room(office: Office) -> Iterator[str]:
    """A channel of its own for each test, with everybody in it."""
    number = next(_rooms)
    channel = f"C0ROOM{number}"
    office.slack.add_channel(channel, f"room-{number}", ["U0ANA", "U0BOB", "U0CARLA", "U0BOT"])
    yield channel
    office.slack.clear_faults()
