"""What a copy waits for on the wire, counted by proxies between the worker and both servers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from bot import app, config
from bot.config import Need
from bot.jobs.repository import Request
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome
from dev.proxy import Proxy
from tests.copying import ITEMS, Sides
from tests.support import Database
from tests.tracking import ANA

CHUNK_ROWS = 100
CONFIG = f"""
[[copies]]
name = "items"
source_table = "public.items"
target_table = "public.items"
liquidation_column = "liquidation_id"

[work]
chunk_rows = {CHUNK_ROWS}
parallel = 2
"""
FEW, MANY = 10, 50


@dataclass(frozen=True)
class Trips:
    """Round trips of one copy to either side."""

    chunks: int
    prod: int
    consulta: int


#: Beside the chunks: two lanes with connections of their own, and the proof's messages.
BESIDE = Trips(chunks=0, prod=15, consulta=20)
#: What a chunk costs on prod and on consulta: at most, and where a lane seldom waits for the next chunk (one
#: that waits begins its next transaction in a message of its own).
MOST, USUAL = (3.0, 3.0), (1.5, 2.5)
#: A copy of one chunk, of which prod answers one message and consulta four: a dozen of consulta beside it,
#: and half as many of prod, where the session that has counted the rows reads them too.
SMALL = Trips(chunks=1, prod=1 + 6, consulta=4 + 12)
UNCHANGED = Trips(chunks=1, prod=5, consulta=11)


def assert_within(found: Trips, chunk: tuple[float, float]) -> None:
    """``chunk`` is what one chunk may cost on prod and on consulta."""
    assert found.prod <= BESIDE.prod + chunk[0] * found.chunks, found
    assert found.consulta <= BESIDE.consulta + chunk[1] * found.chunks, found


@pytest.fixture
def fitted(sides: Sides, tracked: Database, tmp_path: Path) -> Sides:
    sides.prod.execute(ITEMS)
    sides.consulta.execute(ITEMS)
    (tmp_path / "traspaso.toml").write_text(CONFIG, "utf-8")
    return sides


def copied(sides: Sides, tmp_path: Path, liquidation: int) -> Trips:
    """One job through the product's own runner, with a proxy before each server."""
    with Proxy(sides.prod.server.port) as prod, Proxy(sides.consulta.server.port) as consulta:
        environment = {
            "PROD_DATABASE_URL": sides.prod.url.replace(str(sides.prod.server.port), str(prod.port)),
            "CONSULTA_DATABASE_URL": sides.consulta.url.replace(
                str(sides.consulta.server.port), str(consulta.port)
            ),
            "TRASPASO_CONFIG": str(tmp_path / "traspaso.toml"),
        }
        settings = config.load(environment, Need.DATABASES | Need.COPIES)
        parts = app.databases(settings)
        job_id, _ = parts.store.create(Request(settings.file.copies[0].spec, liquidation, None, ANA))
        before = prod.round_trips, consulta.round_trips
        assert parts.runner.run(job_id, StopSwitch()).outcome is AttemptOutcome.COMPLETED
        found = Trips(0, prod.round_trips - before[0], consulta.round_trips - before[1])
        job = parts.store.job(job_id)
        parts.consulta.dispose()
    assert job is not None
    return Trips(job.chunks_done, found.prod, found.consulta)


def fewest(sides: Sides, tmp_path: Path, alike: tuple[int, ...]) -> Trips:
    """Of copies that are alike: on a busy machine lanes wait for their next chunk more often."""
    found = [copied(sides, tmp_path, liquidation) for liquidation in alike]
    [chunks] = {each.chunks for each in found}
    return Trips(chunks, min(each.prod for each in found), min(each.consulta for each in found))


def fill(sides: Sides) -> None:
    """Liquidations 41 and 43 have few chunks, 42 and 44 have many."""
    for liquidation, chunks in ((41, FEW), (42, MANY), (43, FEW), (44, MANY)):
        sides.prod.execute(
            f"INSERT INTO items SELECT {liquidation} * 100000 + g, {liquidation}, g, 'note ' || g "
            f"FROM generate_series(1, {chunks * CHUNK_ROWS}) g"
        )
    sides.prod.execute("ANALYZE items")


def test_a_first_copy_waits_for_few_answers_a_chunk(fitted: Sides, tmp_path: Path) -> None:
    fill(fitted)
    few, many = (fewest(fitted, tmp_path, alike) for alike in ((41, 43), (42, 44)))
    assert_within(few, MOST)
    assert_within(many, USUAL)


def test_a_copy_of_a_few_rows_waits_for_a_dozen_answers_a_side(fitted: Sides, tmp_path: Path) -> None:
    for liquidation in (39, 40):
        fitted.prod.execute(
            f"INSERT INTO items SELECT {liquidation} * 100 + g, {liquidation}, g, 'note ' || g "
            "FROM generate_series(1, 10) g"
        )
    found = fewest(fitted, tmp_path, (39, 40))
    assert found.chunks == SMALL.chunks
    assert found.prod <= SMALL.prod
    assert found.consulta <= SMALL.consulta


def test_connecting_waits_for_nothing_but_being_let_in(sides: Sides) -> None:
    with Proxy(sides.prod.server.port) as prod:
        there = make_url(sides.prod.url.replace(str(sides.prod.server.port), str(prod.port)))
        with app.unpooled(there).connect():
            assert prod.round_trips == 2  # whether there is TLS, and the greeting


def test_a_copy_that_compares_all_values_waits_for_few_answers_a_chunk(fitted: Sides, tmp_path: Path) -> None:
    (tmp_path / "traspaso.toml").write_text(f"{CONFIG}full_proof_days = 0\n", "utf-8")
    fill(fitted)
    for liquidation in (41, 42):
        copied(fitted, tmp_path, liquidation)
    few, many = (fewest(fitted, tmp_path, alike) for alike in ((41, 41), (42, 42)))
    assert_within(few, MOST)
    assert_within(many, USUAL)


def test_a_copy_of_what_has_not_changed_waits_for_as_few_answers_however_large_it_is(
    fitted: Sides, tmp_path: Path
) -> None:
    fill(fitted)
    for liquidation in (41, 42):
        copied(fitted, tmp_path, liquidation)
    few, many = (fewest(fitted, tmp_path, alike) for alike in ((41, 41), (42, 42)))
    assert (few.chunks, many.chunks) == (1, 1)
    for found in (few, many):
        assert found.prod <= UNCHANGED.prod
        assert found.consulta <= UNCHANGED.consulta
