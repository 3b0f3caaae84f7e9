"""A process copies ten times as many rows in the same memory, also with lanes, also where rows differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.copying import ITEMS, Sides
from tests.payroll import TABLES

MOST_KB = 150_000

SCRIPT = """
import sys
from dev.memory import peak_kb
from tests.copying import engine, spec
from copier import Copy, Limits
prod, consulta, liquidation = sys.argv[1:]
limits = Limits(chunk_rows=10_000, parallel=2)  # of which the smaller liquidation has full chunks too
with Copy(engine(prod), engine(consulta), spec(), int(liquidation), limits=limits) as copy:
    result = copy.run()
    updated = sum(chunk.counts.updated for chunk in result.chunks)
    assert copy.verify(result).holds
    print(copy.plan().total, updated, peak_kb())
"""


def peak(sides: Sides, liquidation: int, script: str = SCRIPT) -> tuple[int, int, int]:
    """Rows, those that were updated, and the most memory that a process took to copy and to prove them."""
    done = subprocess.run(
        [sys.executable, "-c", script, sides.prod.url, sides.consulta.url, str(liquidation)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, updated, kilobytes = done.stdout.split()
    return int(rows), int(updated), int(kilobytes)


def assert_flat(small: int, large: int) -> None:
    assert large < small * 1.2, f"{small:,} kB for 40,000 rows, {large:,} kB for 400,000"
    assert large < MOST_KB


def test_memory_stays_flat_whatever_the_size_of_the_liquidation(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("""
        INSERT INTO items SELECT g, CASE WHEN g <= 40000 THEN 1 ELSE 2 END, g, repeat(md5(g::text), 4)
          FROM generate_series(1, 440000) g;
        ANALYZE items
    """)
    few, _, small = peak(sides, 1)
    many, _, large = peak(sides, 2)
    assert (few, many) == (40_000, 400_000)
    assert_flat(small, large)

    sides.prod.execute("UPDATE items SET amount = -amount WHERE id % 3 = 0")
    _, updated_few, small = peak(sides, 1)
    _, updated_many, large = peak(sides, 2)
    assert (updated_few, updated_many) == (13_333, 133_333)
    assert_flat(small, large)


OF_A_SET = """
import sys
from dev.memory import peak_kb
from tests.copying import engine
from tests.payroll import ALL
from copier import CopySet, Limits
prod, consulta, liquidation = sys.argv[1:]
limits = Limits(chunk_rows=500, parallel=2)
with CopySet(engine(prod), engine(consulta), ALL, int(liquidation), limits=limits) as copies:
    result = copies.run()
    assert copies.verify(result).holds
    print(sum(each.total for each in copies.plan().values()), 0, peak_kb())
"""


def test_memory_stays_flat_where_the_rows_of_a_set_are_wide(sides: Sides) -> None:
    """Lines of 10 kB each, 10 MB of one liquidation and 100 MB of the other."""
    sides.both(TABLES)
    sides.both("ALTER TABLE payslip_lines ALTER COLUMN note SET STORAGE EXTERNAL")
    sides.prod.execute("""
        INSERT INTO liquidations SELECT g, 'liquidation ' || g FROM generate_series(1, 2) g;
        INSERT INTO payslips SELECT g, 1 + (g > 100)::int, 'x' FROM generate_series(1, 1100) g;
        INSERT INTO payslip_lines SELECT g, 1 + g % 1100, g, repeat(md5(g::text), 320)
          FROM generate_series(1, 11000) g;
        ANALYZE
    """)
    few, _, small = peak(sides, 1, OF_A_SET)
    many, _, large = peak(sides, 2, OF_A_SET)
    assert (few, many) == (1 + 100 + 1000, 1 + 1000 + 10_000)
    assert large < small * 1.2, f"{small:,} kB for 10 MB of a set, {large:,} kB for 100 MB"
    assert large < MOST_KB
