"""The seeded payroll is what the demo promises, and the independent comparison can fail."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from dev.compare import Comparison, compare
from dev.seed import seed_consulta, seed_prod
from tests.support import Database, Databases

ROWS = 3_000


@pytest.fixture(scope="module")
def seeded(_prod_databases: Databases) -> Iterator[Database]:
    database = _prod_databases.take()
    seed_prod(database.url, rows=ROWS)
    yield database
    _prod_databases.give_back(database)


@pytest.fixture
def copied(seeded: Database, consulta: Database) -> Database:
    """A consulta that holds the very rows of prod, by psycopg alone."""
    seed_consulta(consulta.url)
    with psycopg.connect(seeded.url) as source, psycopg.connect(consulta.url) as target:
        read = "COPY (SELECT * FROM liquidation_items WHERE liquidation_id IN (7, 42)) TO STDOUT"
        with (
            source.cursor().copy(read) as rows,
            target.cursor().copy("COPY liquidation_items FROM STDIN") as sink,
        ):
            for row in rows:
                sink.write(row)
    return consulta


def compared(seeded: Database, copied: Database, liquidation: int = 42) -> Comparison:
    return compare(seeded.url, copied.url, liquidation)


def test_liquidation_42_lies_among_the_others_and_50_is_empty(seeded: Database) -> None:
    counts = dict(seeded.rows("SELECT liquidation_id, count(*) FROM liquidation_items GROUP BY 1"))
    assert counts == {7: 12, 40: 4_000, 41: 6_500, 42: ROWS, 43: 2_500}
    names = dict(seeded.rows("SELECT id, name FROM liquidations"))
    assert names[42] == "Sueldos mensuales · Octubre 2026"
    assert set(names) == {*counts, 50}
    [(switches,)] = seeded.rows("""
        SELECT count(*) FROM (
            SELECT liquidation_id = 42 AS own, lag(liquidation_id = 42) OVER (ORDER BY id) AS before
            FROM liquidation_items) AS rows
        WHERE own IS DISTINCT FROM before
    """)
    assert switches > ROWS


def test_consulta_begins_with_rows_of_another_liquidation_and_stale_ones_if_asked(
    seeded: Database, consulta: Database
) -> None:
    seed_consulta(consulta.url, stale_rows=1_000)
    assert dict(consulta.rows("SELECT liquidation_id, count(*) FROM liquidation_items GROUP BY 1")) == {
        39: 500,
        42: 1_000,
    }
    found = compared(seeded, consulta)
    assert found.missing and found.surplus and found.altered


@pytest.mark.parametrize("liquidation", [42, 7, 50])
def test_equal_sides_are_found_equal(seeded: Database, copied: Database, liquidation: int) -> None:
    found = compared(seeded, copied, liquidation)
    assert found
    assert f"Liquidation {liquidation} is the same on both sides" in str(found)


CHANGES = {
    "one cent": ("UPDATE {t} SET amount = amount + 0.01 WHERE id = {id}", "1 altered (id {id})"),
    "NULL or empty": ("UPDATE {t} SET description = '' WHERE id = {null}", "1 altered (id {null})"),
    "a microsecond": (
        "UPDATE {t} SET updated_at = updated_at + interval '1 microsecond' WHERE id = {id}",
        "1 altered (id {id})",
    ),
    "a row missing": ("DELETE FROM {t} WHERE id = {id}", "1 missing in consulta (id {id})"),
    "a row moved": ("UPDATE {t} SET liquidation_id = 39 WHERE id = {id}", "1 missing in consulta (id {id})"),
    "another id": ("UPDATE {t} SET id = 77777777 WHERE id = {id}", "1 surplus in consulta (id 77777777)"),
    "nothing there": ("DELETE FROM {t} WHERE liquidation_id = 42", f"{ROWS:,} missing in consulta"),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES.keys())
def test_a_difference_is_found_and_named(seeded: Database, copied: Database, change: str, words: str) -> None:
    own = "FROM liquidation_items WHERE liquidation_id = 42"
    [(key,)] = seeded.rows(f"SELECT id {own} ORDER BY id OFFSET 99 LIMIT 1")
    [(null,)] = seeded.rows(f"SELECT min(id) {own} AND description IS NULL")
    copied.execute(change.format(t="liquidation_items", id=key, null=null))
    found = compared(seeded, copied)
    assert not found
    assert words.format(id=key, null=null) in str(found)


def test_a_changed_scale_of_a_number_is_a_difference(seeded: Database, copied: Database) -> None:
    copied.execute("ALTER TABLE liquidation_items ALTER amount TYPE numeric(15,3)")
    found = compared(seeded, copied)
    assert found.altered == ROWS


def test_a_changed_type_with_the_same_text_is_a_difference(seeded: Database, copied: Database) -> None:
    copied.execute("ALTER TABLE liquidation_items ALTER employee_id TYPE numeric")
    found = compared(seeded, copied)
    assert not found
    assert "not in binary" in str(found)
