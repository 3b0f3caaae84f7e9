"""Prod's catalogue is searched as people write, newest first, and in bounded time however long it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from copier import Catalogue, Choice, Entry, Period, TableName, choose
from copier.errors import ColumnMissing, CopierError, TableMissing
from tests.copying import search
from tests.support import Database, Databases

TABLE = TableName.parse("public.liquidations")
CATALOGUE = Catalogue(TABLE, "id", "name", period_column="period")
MILLION = 1_000_000
#: Slack drops an answer that comes later.
SLACK_WAITS = 3.0


def engine_of(database: Database) -> Engine:
    url = database.url.replace("postgresql://", "postgresql+psycopg://", 1)
    return create_engine(url, poolclass=NullPool)


@pytest.fixture
def prod_engine(prod: Database) -> Engine:
    prod.execute(
        r"""
        CREATE TABLE liquidations (id bigint PRIMARY KEY, name text, period date);
        INSERT INTO liquidations VALUES
            (4, 'Sueldos 100% \ mensuales', '2026-09-01'),
            (42, 'Liquidación final · ÑANDÚ', '2026-10-01'),
            (420, 'Vacaciones_2', '2026-12-15'),
            (4200, NULL, NULL),
            (9223372036854775807, 'La última (42)', '2027-01-01');
        """
    )
    return engine_of(prod)


def numbers(engine: Engine, wanted: str, catalogue: Catalogue = CATALOGUE, limit: int = 100) -> list[int]:
    return [entry.id for entry in search(engine, catalogue, wanted, limit=limit)]


LAST = 9223372036854775807


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", [LAST, 4200, 420, 42, 4]),
        ("42", [42, LAST, 4200, 420]),  # that number, then what begins or is called so
        ("liquidacion", [42]),
        ("LIQUIDACIÓN FINAL", [42]),
        ("final liq", [42]),
        ("ñandu", [42]),
        ("nandú", [42]),
        ("2026-1", [420, 42]),
        ("sueldos 2026-09", [4]),
        ("100%", [4]),
        ("%", [4]),
        ("_", [420]),
        ("\\", [4]),
        ("(42)", [LAST]),
        (".*", []),
        ("[", []),
        ("***:", []),
        ("'; DROP TABLE liquidations; --", []),
        ("\x00", []),
        ("99999999999999999999", []),
        ("0", [LAST, 420, 42, 4]),  # in their names or periods
        ("🎉" * 500, []),
    ],
)
def test_number_name_and_period_are_searched_as_people_write_them(
    prod_engine: Engine, wanted: str, found: list[int]
) -> None:
    assert numbers(prod_engine, wanted) == found


def test_an_entry_has_its_name_and_period(prod_engine: Engine) -> None:
    assert search(prod_engine, CATALOGUE, "420")[0] == Entry(420, "Vacaciones_2", "2026-12-15")
    assert search(prod_engine, CATALOGUE, "4200")[0] == Entry(4200, None, None)


def test_a_catalogue_without_periods_is_searched_too(prod_engine: Engine) -> None:
    bare = Catalogue(TABLE, "id", "name")
    assert numbers(prod_engine, "vacaciones", bare) == [420]
    assert search(prod_engine, bare, "420")[0].period is None


def test_no_more_than_asked_for_is_found(prod_engine: Engine) -> None:
    assert numbers(prod_engine, "", limit=2) == [LAST, 4200]
    assert numbers(prod_engine, "42", limit=1) == [42]


def test_what_is_missing_in_prod_is_named(prod_engine: Engine) -> None:
    with pytest.raises(TableMissing):
        search(prod_engine, Catalogue(TableName.parse("public.nosuch"), "id", "name"), "")
    with pytest.raises(ColumnMissing):
        search(prod_engine, Catalogue(TABLE, "id", "nosuch"), "")


#: How a catalogue may number: a type, what else its column may hold, and what it holds for a number.
OTHERWISE = {
    "text": ("text", ["''", "'2026-01'", "'007'", "' 5'", "'5 '", "'-3'", "'0'", "'1e3'", "'９'", "'3.0'"]),
    "varchar": ("varchar(30)", ["'2026-01'", "'99999999999999999999'", "'9223372036854775808'"]),
    "char": ("char(30)", ["'2026-01'", "''", "'007'"]),
    "numeric": ("numeric", ["0", "-3", "1.5", "'NaN'", "'Infinity'", "9223372036854775808", "1e30"]),
    "numeric with a scale": ("numeric(30,2)", ["1.5", "-3"]),
    "a domain over text": ("code", ["'2026-01'"]),
    "a float": ("float8", ["1.5", "'NaN'", "1e300"]),
    "an integer": ("int8", ["0", "-3", "NULL"]),
}


@pytest.fixture(params=OTHERWISE.values(), ids=OTHERWISE.keys())
def numbered(prod: Database, request: pytest.FixtureRequest) -> Engine:
    """The numbers 3, 42, 420 and 1000, among entries that have none."""
    type_name, others = request.param
    prod.execute(f"""
        CREATE DOMAIN code AS text CHECK (VALUE <> '');
        CREATE TABLE liquidations (id {type_name}, name text, period date);
        INSERT INTO liquidations VALUES ('3', 'Sueldos', '2026-01-01'), ('42', 'Vacaciones', '2026-02-01'),
                                        ('1000', 'Aguinaldo', NULL), ('420', NULL, '2026-03-01');
    """)
    for other in others:
        prod.execute(f"INSERT INTO liquidations VALUES ({other}, 'Sueldos de nadie', '2026-01-01')")
    return engine_of(prod)


def test_a_catalogue_may_number_in_any_type_and_what_is_no_number_is_left_out(numbered: Engine) -> None:
    for wanted, found in (
        ("", [1000, 420, 42, 3]),  # the newest is the highest number, not the last text
        ("42", [42, 420]),
        ("4", [420, 42]),
        ("1000", [1000]),
        ("5", []),
        ("007", []),
        ("2026-01", [3]),
        ("sueldos", [3]),
        ("sueldos 3", [3]),
    ):
        assert (wanted, numbers(numbered, wanted)) == (wanted, found)
        assert numbers(numbered, wanted, limit=1) == found[:1]


def test_an_uuid_is_no_number(prod: Database) -> None:
    prod.execute("""
        CREATE TABLE liquidations (id uuid PRIMARY KEY, name text, period date);
        INSERT INTO liquidations VALUES (gen_random_uuid(), 'Sueldos 42', NULL)
    """)
    for wanted in ("", "42", "sueldos"):
        assert numbers(engine_of(prod), wanted) == []


@pytest.fixture(scope="module")
def million(_prod_databases: Databases) -> Iterator[Engine]:
    database = _prod_databases.take()
    database.execute(
        f"""
        CREATE TABLE liquidations (id bigint PRIMARY KEY, name text NOT NULL, period date NOT NULL);
        INSERT INTO liquidations
        SELECT g,
               (ARRAY['Sueldos mensuales', 'Liquidación final', 'Vacaciones'])[1 + g % 3] || ' · Lote ' || g,
               date '1990-01-01' + (g % 430) * interval '1 month'
        FROM generate_series(1, {MILLION}) AS g;
        UPDATE liquidations SET name = 'La más antigua' WHERE id = 1;
        ANALYZE liquidations;
        """
    )
    yield engine_of(database)
    _prod_databases.give_back(database)


@pytest.mark.parametrize(
    ("wanted", "first"),
    [("", MILLION), ("liquidacion", MILLION), ("123456", 123456), ("Lote 999 sueldos", 999999), ("1", 1)],
)
def test_a_million_entries_are_searched_within_what_slack_waits(
    million: Engine, wanted: str, first: int
) -> None:
    began = time.monotonic()
    found = search(million, CATALOGUE, wanted)
    assert time.monotonic() - began < SLACK_WAITS
    assert found[0].id == first
    assert len(found) <= 100
    assert [entry.id for entry in found[1:]] == sorted((entry.id for entry in found[1:]), reverse=True)


def test_a_search_for_what_is_nowhere_ends_in_time(million: Engine) -> None:
    began = time.monotonic()
    assert search(million, CATALOGUE, "nowhere to be found") == []
    assert time.monotonic() - began < SLACK_WAITS


def test_the_oldest_of_a_million_is_found_where_there_is_time(million: Engine) -> None:
    assert [entry.id for entry in search(million, CATALOGUE, "mas antigua", timeout_seconds=60)] == [1]


def test_when_the_time_is_over_what_was_found_is_the_answer(million: Engine) -> None:
    assert search(million, CATALOGUE, "1", timeout_seconds=1e-9)[0].id == 1


def test_a_long_catalogue_that_numbers_in_text_is_searched_within_what_slack_waits(million: Engine) -> None:
    with million.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE TABLE in_text AS SELECT id::varchar(20), name, period FROM liquidations "
            f"WHERE id > {MILLION - 100_000}"
        )
        connection.exec_driver_sql("ALTER TABLE in_text ADD PRIMARY KEY (id)")
    in_text = Catalogue(TableName.parse("public.in_text"), "id", "name", period_column="period")
    for wanted, first in (("", MILLION), ("923456", 923456), ("99999", 999999), ("liquidacion", MILLION)):
        began = time.monotonic()
        assert search(million, in_text, wanted)[0].id == first
        assert time.monotonic() - began < SLACK_WAITS


def test_when_the_time_is_over_for_a_catalogue_in_text_that_very_number_is_the_answer(
    prod: Database,
) -> None:
    prod.execute("""
        CREATE TABLE liquidations (id text PRIMARY KEY, name text, period date);
        INSERT INTO liquidations VALUES ('42', 'Sueldos', NULL), ('420', 'Sueldos', NULL)
    """)
    found = search(engine_of(prod), CATALOGUE, "42", timeout_seconds=1e-9)
    assert [entry.id for entry in found] == [42]


def chosen(engine: Engine, **names: Any) -> list[int]:
    choice = Choice(**{"where": None, "period": None, "day": date(2026, 10, 15), "limit": 50, **names})
    return [entry.id for entry in choose(engine, CATALOGUE, choice)]


def test_a_schedule_chooses_by_a_condition_a_period_and_the_newest_and_no_more_than_its_limit(
    prod_engine: Engine,
) -> None:
    assert chosen(prod_engine, limit=2) == [LAST, 4200]
    assert chosen(prod_engine, period=Period.CURRENT) == [42]
    assert chosen(prod_engine, period=Period.PREVIOUS) == [4]
    assert chosen(prod_engine, where="name LIKE '%100\\%%' OR id = 420") == [420, 4]
    assert chosen(prod_engine, where="id = 420", period=Period.CURRENT) == []


def test_a_period_is_found_in_a_text_too(prod: Database, prod_engine: Engine) -> None:
    prod.execute("ALTER TABLE liquidations ALTER period TYPE text USING to_char(period, 'YYYY-MM')")
    assert chosen(prod_engine, period=Period.CURRENT) == [42]


def test_a_condition_writes_nothing_and_one_that_can_t_be_read_is_an_error_of_prod(
    prod: Database, prod_engine: Engine
) -> None:
    prod.execute(
        "CREATE FUNCTION forget() RETURNS boolean LANGUAGE sql AS "
        "$$ DELETE FROM liquidations RETURNING true $$"
    )
    with pytest.raises(CopierError):
        chosen(prod_engine, where="forget()")
    assert len(chosen(prod_engine)) == 5
    with pytest.raises(CopierError):
        chosen(prod_engine, where="no_such_column = 1")
