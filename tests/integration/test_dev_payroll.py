"""The demo's payroll adds up, and the comparison at its end can fail: by a row, and by a value left there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from bot.config import SIDES, File
from copier import CopySet, CopySpec, HashKey, Limits
from dev.compare import Whole, compare_whole
from dev.payroll import (
    COPIES,
    PAYSLIPS,
    SECRET,
    TABLES,
    change_in_prod,
    seed_payroll_in_consulta,
    seed_payroll_in_prod,
)
from dev.seed import seed_prod
from tests.copying import engine
from tests.support import Database, Databases


@pytest.fixture(scope="module")
def prod(_prod_databases: Databases) -> Iterator[Database]:
    database = _prod_databases.take()
    seed_prod(database.url, rows=1)
    seed_payroll_in_prod(database.url)
    yield database
    _prod_databases.give_back(database)


@pytest.fixture(scope="module")
def copied(prod: Database, _consulta_databases: Databases) -> Iterator[Database]:
    """A consulta to which liquidation 42 was copied as the demo's configuration says."""
    database = _consulta_databases.take()
    seed_payroll_in_consulta(database.url)
    copy(prod, database)
    yield database
    _consulta_databases.give_back(database)


def specs() -> list[CopySpec]:
    """As before the first copy, when no column is new."""
    file = File.model_validate({"slack": {"admin_users": ["U0ANA"]}, **tomllib.loads(COPIES)})
    for each in file.copies:
        each.hash_with(HashKey.of(SECRET))
    return [replace(each.spec, known_columns=None) for each in file.copies]


def copy(prod: Database, consulta: Database) -> None:
    with CopySet(engine(prod.url), engine(consulta.url), specs(), 42, names=SIDES, limits=Limits()) as copies:
        assert copies.verify(copies.run()).holds


def compared(prod: Database, consulta: Database, **beside: str) -> Whole:
    return compare_whole(prod.url, consulta.url, 42, TABLES, secret=SECRET, beside=beside)


@contextmanager
def altered(database: Database, change: str, back: str) -> Iterator[None]:
    database.execute(change)
    try:
        yield
    finally:
        database.execute(back)


def test_every_amount_adds_up(prod: Database) -> None:
    [(payslips, lines, deductions)] = prod.rows("""
        SELECT (SELECT count(*) FROM payslips WHERE liquidation_id = 42),
               (SELECT count(*) FROM payslip_lines l JOIN payslips p ON p.id = l.payslip_id
                WHERE p.liquidation_id = 42),
               (SELECT count(*) FROM deductions d JOIN payslip_lines l ON l.id = d.line_id
                JOIN payslips p ON p.id = l.payslip_id WHERE p.liquidation_id = 42)
    """)
    assert payslips == PAYSLIPS[42]
    assert 10 <= lines / payslips <= 14
    assert 4 <= deductions / payslips <= 6
    assert (
        prod.rows("""
        SELECT p.id FROM payslips p JOIN payslip_lines l ON l.payslip_id = p.id GROUP BY p.id
        HAVING (p.gross, p.withheld, p.net) <> (
            sum(greatest(l.amount, 0)), -sum(least(l.amount, 0)), sum(l.amount))
    """)
        == []
    )
    assert (
        prod.rows("""
        SELECT l.id FROM payslip_lines l LEFT JOIN deductions d ON d.line_id = l.id WHERE l.amount < 0
        GROUP BY l.id HAVING coalesce(sum(d.amount), 0) <> -l.amount
    """)
        == []
    )
    assert (
        prod.rows("""
        SELECT d.id FROM deductions d WHERE amount <> round(base * percentage / 100, 2)
    """)
        == []
    )
    assert dict(prod.rows("SELECT liquidation_id, count(*) FROM payslips GROUP BY 1")) == PAYSLIPS
    [(switches,)] = prod.rows("""
        SELECT count(*) FROM (SELECT liquidation_id, lag(liquidation_id) OVER (ORDER BY id) AS before
                              FROM payslips) AS each WHERE liquidation_id <> before
    """)
    assert switches > PAYSLIPS[42]  # they lie among each other


def test_a_person_has_one_cuil_and_one_account_with_right_check_digits(prod: Database) -> None:
    people = prod.rows("SELECT DISTINCT employee_no, name, cuil, cbu FROM payslips")
    assert len(people) == len({cuil for _, _, cuil, _ in people}) == max(PAYSLIPS.values())
    for _, _, cuil, cbu in people:
        digits = [int(each) for each in cuil if each.isdigit()]
        assert sum(d * w for d, w in zip(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), strict=True)) % 11 == 0
        bank, account = [int(each) for each in cbu[:8]], [int(each) for each in cbu[8:]]
        assert sum(d * w for d, w in zip(bank, (7, 1, 3, 9, 7, 1, 3, 1), strict=True)) % 10 == 0
        weights = (3, 9, 7, 1, 3, 9, 7, 1, 3, 9, 7, 1, 3, 1)
        assert sum(d * w for d, w in zip(account, weights, strict=True)) % 10 == 0


def test_all_four_tables_are_found_the_same_and_no_value_was_left_in_consulta(
    prod: Database, copied: Database
) -> None:
    found = compared(prod, copied, **{"log of the worker": "job 1: completed"})
    assert found, str(found)
    assert list(found.tables) == ["liquidations", "payslips", "payslip_lines", "deductions"]
    assert found.tables["liquidations"].prod_rows == 1
    assert found.tables["payslips"].prod_rows == PAYSLIPS[42]
    words = str(found)
    assert "name masked, cuil hashed, cbu left out, as they should be" in words
    assert re.search(r"None of the 1,9\d\d values of payslips.name, payslips.cuil, payslips.cbu is in", words)
    assert "log of the worker" in words


OWN = "(SELECT min(id) FROM payslips WHERE liquidation_id = 42)"
LINE = f"(SELECT min(id) FROM payslip_lines WHERE payslip_id = {OWN})"
DEDUCTION = (
    f"(SELECT min(d.id) FROM deductions d JOIN payslip_lines l ON l.id = line_id WHERE payslip_id = {OWN})"
)
OTHER = "(SELECT min(id) FROM payslips WHERE liquidation_id = 39)"
CHANGES = {
    "liquidations": ("liquidations", "name = name || '.'", "name = rtrim(name, '.')", "42"),
    "payslips": ("payslips", "employee_no = employee_no + 1", "employee_no = employee_no - 1", OWN),
    "payslip_lines": ("payslip_lines", "amount = amount + 0.01", "amount = amount - 0.01", LINE),
    "deductions": ("deductions", "percentage = percentage + 1", "percentage = percentage - 1", DEDUCTION),
    "a mask": ("payslips", "name = name || '*'", "name = left(name, -1)", OWN),
    "a hash": ("payslips", "cuil = reverse(cuil)", "cuil = reverse(cuil)", OWN),
}


@pytest.mark.parametrize(("table", "change", "back", "key"), CHANGES.values(), ids=CHANGES.keys())
def test_one_row_that_differs_in_any_table_is_found(
    prod: Database, copied: Database, table: str, change: str, back: str, key: str
) -> None:
    update = f"UPDATE {table} SET {{}} WHERE id = {key}"
    with altered(copied, update.format(change), update.format(back)):
        found = compared(prod, copied)
    assert not found
    assert [name for name, each in found.tables.items() if not each] == [table]
    assert f"{table}: Liquidation 42 differs" in str(found)
    assert "1 altered (id " in str(found)


def test_rows_that_moved_with_their_parent_are_found_in_each_table_below_it(
    prod: Database, copied: Database
) -> None:
    move = f"UPDATE payslips SET liquidation_id = {{}} WHERE id = {OTHER.replace('39', '{}')}"
    with altered(copied, move.format(42, 39), "UPDATE payslips SET liquidation_id = 39 WHERE id >= 900000"):
        found = compared(prod, copied)
    surplus = {name: each.surplus for name, each in found.tables.items()}
    assert (surplus["liquidations"], surplus["payslips"]) == (0, 1)
    assert surplus["payslip_lines"] > 5
    assert surplus["deductions"] > 3


#: Where a value was left, and how it was written there.
LEFT = {
    "as it is": ("text", "'para ' || {name}", "payslips.name"),
    "in JSON": ("jsonb", "jsonb_build_object('who', {name})", "payslips.name"),
    "in JSON that is escaped": ("text", "'{{\"who\": \"' || {escaped} || '\"}}'", "payslips.name"),
    "in an array": ("text[]", "ARRAY['x', {cbu}]", "payslips.cbu"),
    "as bytes": ("bytea", "convert_to({name}, 'UTF8')", "payslips.name"),
    "without its hyphens": ("numeric", "replace({cuil}, '-', '')::numeric", "payslips.cuil"),
    "by the document number in it": ("int", "split_part({cuil}, '-', 2)::int", "payslips.cuil"),
}


@pytest.mark.parametrize(("kind", "value", "column"), LEFT.values(), ids=LEFT.keys())
def test_a_value_that_should_have_stayed_in_prod_is_found_wherever_it_was_left(
    prod: Database, copied: Database, kind: str, value: str, column: str
) -> None:
    """Of another liquidation than was copied, too, and in a table that nobody copies to."""
    [row] = prod.rows("SELECT name, cuil, cbu FROM payslips WHERE liquidation_id = 43 AND name ~ 'ñ' LIMIT 1")
    escaped = "".join(each if each.isascii() else f"\\u{ord(each):04x}" for each in str(row[0]))
    texts = dict(zip(("name", "cuil", "cbu", "escaped"), (*row, escaped), strict=True))
    literals = {name: sql.Literal(text).as_string(None) for name, text in texts.items()}
    select = f"SELECT {value.format(**literals)}::{kind} AS v"
    made = f"CREATE SCHEMA notes; CREATE TABLE notes.left_there AS {select}"
    with altered(copied, made, "DROP SCHEMA notes CASCADE"):
        found = compared(prod, copied)
    assert all(found.tables.values())
    assert not found
    assert f"Should have stayed in prod: 1 of {column} in notes.left_there.v" in str(found)
    assert not any(str(text) in str(found) for text in texts.values())


def test_a_value_in_a_log_is_found_and_digits_by_chance_are_not(prod: Database, copied: Database) -> None:
    [(cuil,)] = prod.rows("SELECT cuil FROM payslips WHERE liquidation_id = 43 LIMIT 1")
    found = compared(prod, copied, worker=f"job 1: key (cuil)=({cuil})", bot=f"digest 7{cuil[3:11]}f")
    assert not found
    assert "in worker" in str(found)
    assert "in bot" not in str(found)


def test_a_search_for_nothing_is_no_proof(consulta: Database, prod: Database) -> None:
    without = [table for table in TABLES if not table.rules]
    seed_payroll_in_consulta(consulta.url)
    found = compare_whole(prod.url, consulta.url, 42, without)
    assert not found
    assert "no value in prod to search for" in str(found.searched)


def test_what_changes_in_prod_later_is_found_until_it_is_copied(
    _prod_databases: Databases, consulta: Database
) -> None:
    prod = _prod_databases.take()
    try:
        seed_prod(prod.url, rows=1)
        seed_payroll_in_prod(prod.url)
        seed_payroll_in_consulta(consulta.url)
        copy(prod, consulta)
        change_in_prod(prod.url)
        found = compared(prod, consulta)
        kinds = {name: (each.altered, each.surplus > 0) for name, each in found.tables.items()}
        assert kinds == {
            "liquidations": (0, False),
            "payslips": (3, True),
            "payslip_lines": (3, True),
            "deductions": (0, True),
        }
        copy(prod, consulta)
        assert compared(prod, consulta)
    finally:
        _prod_databases.give_back(prod)


def test_a_payslip_that_does_not_add_up_is_refused_on_both_sides(prod: Database, copied: Database) -> None:
    for side in (prod, copied):
        with pytest.raises(psycopg.errors.CheckViolation):
            side.execute("UPDATE payslips SET net = net + 1")
