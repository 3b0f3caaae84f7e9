"""A whole liquidation compared: all tables at one moment, and each with what differs, or why it can't be."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from bot.config import SIDES
from copier import ColumnRule, CopySet, CopySpec, Counts, Limits, SetComparison, Treatment, compare_set
from copier.errors import PrivilegeMissing, TableMissing, Transient
from tests.copying import Sides, engine
from tests.payroll import ALL, DEDUCTIONS, HEAD, LINES, PAYSLIPS, TABLES, filled


def compared(
    sides: Sides, specs: tuple[CopySpec, ...] = ALL, *, limits: dict[str, Any] | None = None, **options: Any
) -> SetComparison:
    found = compare_set(
        engine(sides.prod.url),
        engine(sides.consulta.url),
        specs,
        42,
        names=SIDES,
        limits=Limits(**{"parallel": 2, "chunk_rows": 100, **(limits or {})}),
        **options,
    )
    assert found is not None
    return found


def copy(sides: Sides, specs: tuple[CopySpec, ...] = ALL) -> None:
    with CopySet(engine(sides.prod.url), engine(sides.consulta.url), specs, 42, names=SIDES) as copies:
        assert copies.run().is_whole


@pytest.fixture
def payroll(sides: Sides) -> Sides:
    """Both sides hold the same of liquidation 42."""
    sides.both(TABLES)
    sides.prod.execute(filled(300))
    copy(sides)
    return sides


def test_all_tables_are_the_same_at_one_moment(payroll: Sides) -> None:
    found = compared(payroll)
    assert found.holds
    assert found.as_of is not None
    assert list(found.proofs) == ["head", "payslips", "lines", "deductions"]
    assert {name: proof.counted.source for name, proof in found.proofs.items()} == {
        "head": 1,
        "payslips": 100,
        "lines": 500,
        "deductions": 250,
    }
    assert {proof.apart for proof in found.proofs.values()} == {Counts()}


def test_a_table_that_differs_says_by_how_many_rows_of_which_kind(payroll: Sides) -> None:
    payroll.consulta.execute("""
        UPDATE payslip_lines SET amount = amount + 1 WHERE payslip_id = 1;
        DELETE FROM deductions WHERE line_id IN (SELECT id FROM payslip_lines WHERE payslip_id IN (4, 7));
        DELETE FROM payslip_lines WHERE payslip_id = 4;
        INSERT INTO payslip_lines VALUES (90001, 7, 1, 'surplus'), (90002, 7, 1, 'surplus');
    """)
    found = compared(payroll)
    assert not found.holds
    assert {name: proof.holds for name, proof in found.proofs.items()} == {
        "head": True,
        "payslips": True,
        "lines": False,
        "deductions": False,
    }
    lines, deductions = found.proofs["lines"].apart, found.proofs["deductions"].apart
    assert lines is not None
    assert (lines.inserted, lines.updated, lines.deleted) == (5, 5, 2)
    assert deductions is not None
    assert (deductions.updated, deductions.deleted) == (0, 0)
    [(missing,)] = payroll.prod.rows("""
        SELECT count(*) FROM deductions d JOIN payslip_lines l ON l.id = d.line_id
         WHERE l.payslip_id IN (4, 7)""")
    assert deductions.inserted == missing > 0


def test_a_range_of_which_most_rows_differ_is_counted_to_the_row_too(payroll: Sides) -> None:
    payroll.consulta.execute("""
        UPDATE payslip_lines SET amount = amount + 1
         WHERE id <> (SELECT min(id) FROM payslip_lines WHERE payslip_id IS NOT NULL)""")
    apart = compared(payroll).proofs["lines"].apart
    assert apart is not None
    assert (apart.inserted, apart.updated, apart.deleted) == (0, 499, 0)
    payroll.consulta.execute("TRUNCATE deductions")
    apart = compared(payroll).proofs["deductions"].apart
    assert apart is not None
    assert (apart.inserted, apart.updated, apart.deleted) == (250, 0, 0)


def test_a_masked_column_is_the_same_where_consulta_holds_the_mask(payroll: Sides) -> None:
    masked = replace(PAYSLIPS, rules=(ColumnRule("employee", Treatment.MASK),))
    specs = (HEAD, masked, replace(LINES, via=replace(LINES.via, parent=masked)) if LINES.via else LINES)
    found = compared(payroll, specs)
    assert {name: proof.holds for name, proof in found.proofs.items()} == {
        "head": True,
        "payslips": False,
        "lines": True,
    }
    copy(payroll, specs)
    assert payroll.consulta.rows("SELECT DISTINCT employee FROM payslips") == [("e***",)]
    assert compared(payroll, specs).holds


def test_a_missing_table_is_named_and_the_others_are_compared(payroll: Sides) -> None:
    payroll.consulta.execute("DROP TABLE deductions")
    found = compared(payroll)
    assert not found.holds
    assert list(found.refused) == ["deductions"]
    assert isinstance(found.refused["deductions"], TableMissing)
    assert [name for name, proof in found.proofs.items() if proof.holds] == ["head", "payslips", "lines"]
    assert found.as_of is not None


def test_where_no_table_can_be_compared_each_says_why(payroll: Sides) -> None:
    payroll.consulta.execute("DROP TABLE deductions")
    payroll.prod.execute("DROP TABLE payslip_lines CASCADE")
    found = compared(payroll, (LINES, DEDUCTIONS))
    assert (found.as_of, found.proofs) == (None, {})
    assert {name: error.side for name, error in found.refused.items()} == {
        "lines": "prod",
        "deductions": "prod",
    }


def test_tables_whose_foreign_keys_form_a_circle_are_compared_all_the_same(sides: Sides) -> None:
    """They can't be copied as a set, and that is no reason not to know how they are."""
    sides.both("""
        CREATE TABLE a (id int PRIMARY KEY, liquidation_id int NOT NULL, b int NOT NULL);
        CREATE TABLE b (id int PRIMARY KEY, liquidation_id int NOT NULL, a int NOT NULL REFERENCES a);
        INSERT INTO a VALUES (1, 42, 1); INSERT INTO b VALUES (1, 42, 1);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
    """)
    name = HEAD.source_table
    specs = tuple(
        CopySpec(each, replace(name, name=each), replace(name, name=each), "liquidation_id") for each in "ab"
    )
    assert compared(sides, specs).holds


def test_a_table_that_somebody_has_locked_is_named_and_the_others_are_compared(payroll: Sides) -> None:
    with psycopg.connect(payroll.consulta.url) as connection:
        connection.execute("LOCK TABLE deductions IN ACCESS EXCLUSIVE MODE")
        found = compared(payroll, limits={"lock_timeout_seconds": 0.2})
    assert list(found.refused) == ["deductions"]
    assert isinstance(found.refused["deductions"], Transient)
    assert list(found.proofs) == ["head", "payslips", "lines"]


def test_a_comparison_that_waits_for_prod_is_broken_off_at_once(payroll: Sides) -> None:
    class Enough(Exception):
        pass

    silent = threading.Event()

    def on_silence(seconds: float) -> None:
        silent.set()
        raise Enough

    with psycopg.connect(payroll.prod.url) as connection:
        connection.execute("LOCK TABLE deductions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Enough):
            compared(payroll, on_silence=on_silence)
    assert silent.is_set()
    payroll.prod.execute("LOCK TABLE deductions IN ACCESS EXCLUSIVE MODE NOWAIT")  # nobody reads it any more


def test_nobody_who_writes_waits_for_a_comparison(payroll: Sides) -> None:
    seen: list[str] = []

    def write(name: str, comparison: object) -> None:
        if name not in seen:
            seen.append(name)
            for database in (payroll.prod, payroll.consulta):
                database.execute("""
                    SET lock_timeout = '2s';
                    UPDATE liquidations SET closed = true WHERE id = 42;
                    UPDATE payslip_lines SET note = note WHERE id = 5;""")

    found = compared(payroll, on_comparison=write)
    assert found.holds  # as of its moment
    assert seen == ["head", "payslips", "lines", "deductions"]


def test_a_role_that_may_not_read_one_table_is_told_the_grant_for_it(payroll: Sides) -> None:
    payroll.prod.execute("""
        DROP ROLE IF EXISTS compares; CREATE ROLE compares LOGIN;
        GRANT SELECT ON liquidations, payslips, payslip_lines TO compares""")
    try:
        found = compare_set(
            engine(payroll.prod.url.replace("postgres@", "compares@")),
            engine(payroll.consulta.url),
            ALL,
            42,
            names=SIDES,
        )
        assert found is not None
        assert isinstance(found.refused["deductions"], PrivilegeMissing)
        assert list(found.proofs) == ["head", "payslips", "lines"]
    finally:
        payroll.prod.execute("DROP OWNED BY compares; DROP ROLE compares")
