"""A process copies ten times as many rows in the same memory, also with lanes, also where rows differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.copying import ITEMS, Sides

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


def peak(sides: Sides, liquidation: int) -> tuple[int, int, int]:
    """Rows, those that were updated, and the most memory that a process took to copy and to prove them."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, sides.prod.url, sides.consulta.url, str(liquidation)],
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
