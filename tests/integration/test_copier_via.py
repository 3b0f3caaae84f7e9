"""Rows that belong to a liquidation through a parent are copied, moved and proven as those with its number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.config import SIDES
from copier import CopySpec, Counts, Via
from copier.errors import ColumnsDiffer, NoUsableKey, ParentsMissing
from tests.copying import Sides, engine, preview
from tests.payroll import ALL, DEDUCTIONS, HEAD, LINES, OF_42, ORDER, PAYSLIPS, TABLES, filled

PAYSLIPS_OF_ALL = 90


@pytest.fixture
def payroll(sides: Sides) -> Sides:
    """Prod has three liquidations; consulta has the tables."""
    sides.both(TABLES)
    sides.prod.execute(filled(PAYSLIPS_OF_ALL))
    return sides


@pytest.fixture
def whole(payroll: Sides) -> Sides:
    """The same, and consulta holds liquidation 42."""
    for each in ALL:
        payroll.copy_proven(each)
    return payroll


def assert_same(sides: Sides, *specs: CopySpec) -> None:
    for each in specs:
        name = each.source_table.name
        sides.assert_same(name, OF_42[name], ORDER[name])


def test_a_whole_liquidation_is_copied_with_all_that_hangs_on_it_and_nothing_of_others(
    payroll: Sides,
) -> None:
    for each in ALL:
        payroll.copy_proven(each, chunk_rows=37)
    assert_same(payroll, *ALL)
    for name, of_42 in OF_42.items():
        assert payroll.consulta.rows(f"SELECT count(*) FROM {name} WHERE ({of_42}) IS NOT TRUE") == [(0,)]


def test_the_head_is_one_row_and_follows_prod(whole: Sides) -> None:
    whole.prod.execute("UPDATE liquidations SET closed = true WHERE id = 42")
    done = whole.copy_proven(HEAD)
    assert (done.plan.total, done.counts) == (1, Counts(updated=1))
    assert_same(whole, HEAD)
    assert whole.copy_proven(HEAD).counts == Counts(unchanged=1)


@pytest.mark.parametrize("lanes", [1, 3])
def test_again_only_what_changed_is_written(whole: Sides, lanes: int) -> None:
    whole.prod.execute("""
        UPDATE payslip_lines SET note = 'changed' WHERE id IN (10, 100, 200, 400);
        INSERT INTO payslip_lines VALUES (1001, 1, 5, 'new'), (1002, 3, 5, 'of another liquidation');
        DELETE FROM deductions WHERE line_id = 300; DELETE FROM payslip_lines WHERE id = 300;
    """)
    done = whole.copy_proven(DEDUCTIONS, chunk_rows=20, parallel=lanes)
    assert done.counts == Counts(deleted=1, unchanged=done.plan.total)
    done = whole.copy_proven(LINES, chunk_rows=20, parallel=lanes)
    assert done.counts == Counts(inserted=1, updated=1, deleted=1, unchanged=done.plan.total - 2)
    assert_same(whole, LINES, DEDUCTIONS)
