"""`traspaso doctor` says of all that Traspaso needs how it is, and the next step where it isn't well."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.doctor.findings import IDS
from dev.guard import ROOT, Guard
from dev.local_slack.client import LocalSlack
from dev.local_slack.server import LocalSlackServer
from dev.postgres import PostgresServer
from dev.valkey import Valkey
from tests.installation import Installation


@pytest.fixture(scope="module")
def house(guard: Guard) -> Iterator[Installation]:
    """All of it is well; each test makes one thing wrong, and right again."""
    folder = guard.temp_folder()
    everywhere = {"listen_addresses": "*"}
    prod = PostgresServer(folder, "prod", everywhere, guard=guard)
    consulta = PostgresServer(folder, "consulta", everywhere, guard=guard)
    valkey = Valkey(folder, guard=guard)
    with ThreadPoolExecutor() as pool:
        for started in [pool.submit(each.start) for each in (prod, consulta, valkey)]:
            started.result()
    with LocalSlackServer(manifest=ROOT / "manifest.yml", rate_limits=False) as server:
        slack = LocalSlack(server.url)
        found = Installation(prod, consulta, valkey, slack, folder)
        found.set_up()
        yield found
        slack.close()
    for each in (prod, consulta):
        each.stop("immediate")
    valkey.stop()


def test_all_is_well(house: Installation) -> None:
    with house.a_worker():
        found = house.doctor()
    print(found.out)
    assert {each.id for each in found.findings} == set(IDS)
    assert (found.bad, found.code) == ({"redis.persistence"}, 0)
