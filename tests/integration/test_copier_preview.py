"""A look at both sides: what is there, bounded in time, and nothing written."""

from __future__ import annotations

import psycopg
import pytest

from copier import Catalogue, CopySpec, Preview, TableName, preview
from copier.errors import ColumnMissing, ColumnsDiffer, NoUsableKey, TableMissing, Transient
from tests.copying import ITEMS, Sides, engine, sessions_end, spec

CATALOGUE = Catalogue(TableName.parse("liquidations"), "id", "name")


@pytest.fixture
def full(sides: Sides) -> Sides:
    sides.both(ITEMS)
    sides.prod.execute("""
        INSERT INTO items SELECT g, 42 + g % 2 FROM generate_series(1, 100) g;
        CREATE TABLE liquidations (id int PRIMARY KEY, name text);
        INSERT INTO liquidations VALUES (42, 'Año 50% "julio"'), (44, NULL), (45, 'empty');
    """)
    sides.consulta.execute("INSERT INTO items SELECT g, 42 FROM generate_series(1, 7) g")
    return sides


def look(
    sides: Sides,
    liquidation: int = 42,
    catalogue: Catalogue | None = CATALOGUE,
    wanted: CopySpec | None = None,
    timeout_seconds: float = 10.0,
) -> Preview:
    return preview(
        engine(sides.prod.url),
        engine(sides.consulta.url),
        wanted or spec(),
        liquidation,
        catalogue=catalogue,
        timeout_seconds=timeout_seconds,
    )


def test_a_preview_tells_the_name_and_the_rows_of_both_sides(full: Sides) -> None:
    assert look(full) == Preview(exists=True, label='Año 50% "julio"', in_prod=50, in_consulta=7)


def test_without_a_catalogue_existence_is_not_known(full: Sides) -> None:
    assert look(full, catalogue=None) == Preview(exists=None, label=None, in_prod=50, in_consulta=7)


def test_an_unknown_an_unnamed_and_an_empty_liquidation_are_told_apart(full: Sides) -> None:
    assert look(full, 4242) == Preview(exists=False, label=None, in_prod=0, in_consulta=0)
    assert look(full, 44) == Preview(exists=True, label=None, in_prod=0, in_consulta=0)
    assert look(full, 45) == Preview(exists=True, label="empty", in_prod=0, in_consulta=0)
    assert look(full, 2**63 - 1) == Preview(exists=False, label=None, in_prod=0, in_consulta=0)


@pytest.mark.parametrize("type_name", ["text", "char(6)", "numeric(9,0)"])
def test_the_catalogue_may_number_liquidations_in_another_type(full: Sides, type_name: str) -> None:
    full.prod.execute(f"ALTER TABLE liquidations ALTER id TYPE {type_name}")
    assert look(full).label == 'Año 50% "julio"'
    assert look(full, 4).exists is False


def test_awkward_names_in_the_catalogue_are_only_names(full: Sides) -> None:
    full.prod.execute("""
        CREATE SCHEMA "50% {x}";
        CREATE TABLE "50% {x}"."a""b %s" ("the id" int, "%(name)s" varchar(20));
        INSERT INTO "50% {x}"."a""b %s" VALUES (42, 'found');
    """)
    wanted = Catalogue(TableName("50% {x}", 'a"b %s'), "the id", "%(name)s")
    assert look(full, catalogue=wanted).label == "found"


@pytest.mark.parametrize("timeout_seconds", [0.2, 0.0001])
def test_a_count_that_would_take_too_long_is_not_known(full: Sides, timeout_seconds: float) -> None:
    full.consulta.execute("DELETE FROM items")
    full.prod.execute("""
        ALTER TABLE items RENAME TO base;
        CREATE VIEW items AS SELECT * FROM base WHERE pg_sleep(30) IS NOT NULL
    """)
    if timeout_seconds < 0.01:  # too short for anything: that is said, and nobody waits for half a minute
        with pytest.raises(Transient):
            look(full, timeout_seconds=timeout_seconds)
    else:
        seen = look(full, timeout_seconds=timeout_seconds)
        assert (seen.exists, seen.in_prod, seen.in_consulta) == (True, None, 0)


def test_a_count_of_consulta_that_waits_for_a_lock_is_not_known(full: Sides) -> None:
    with psycopg.connect(full.consulta.url) as somebody:
        somebody.execute("LOCK TABLE items")
        seen = look(full, timeout_seconds=0.2)
    assert (seen.in_prod, seen.in_consulta) == (50, None)


def test_a_preview_refuses_what_a_copy_would_refuse(full: Sides) -> None:
    with pytest.raises(TableMissing, match=r"public\.nothing"):
        look(full, wanted=spec("nothing"))
    with pytest.raises(ColumnMissing, match="liq"):
        look(full, wanted=spec(column="liq"))
    with pytest.raises(NoUsableKey):
        look(full, wanted=spec(key=("note",)))
    with pytest.raises(TableMissing):
        look(full, catalogue=Catalogue(TableName.parse("no_catalogue"), "id", "name"))
    full.consulta.execute("ALTER TABLE items DROP COLUMN amount")
    with pytest.raises(ColumnsDiffer):
        look(full)


def test_a_preview_leaves_no_session_behind(full: Sides) -> None:
    look(full)
    with pytest.raises(TableMissing):
        look(full, wanted=spec("nothing"))
    assert sessions_end(full.prod)
    assert sessions_end(full.consulta)
