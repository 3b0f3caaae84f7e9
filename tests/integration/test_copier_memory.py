"""A process copies ten times as many rows in the same memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.copying import ITEMS, Sides

SCRIPT = """
import resource, sys
from tests.copying import Sides, engine, spec
from copier import Copy, Limits
prod, consulta, liquidation = sys.argv[1:]
with Copy(engine(prod), engine(consulta), spec(), int(liquidation), limits=Limits(chunk_rows=20_000)) as copy:
    for chunk in copy.chunks():
        pass
    assert copy.prove().holds
    print(copy.plan().total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_stays_flat_whatever_the_size_of_the_liquidation(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("""
        INSERT INTO items SELECT g, CASE WHEN g <= 40000 THEN 1 ELSE 2 END, g, repeat(md5(g::text), 4)
          FROM generate_series(1, 440000) g;
        ANALYZE items
    """)

    def peak(liquidation: int) -> tuple[int, int]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, sides.prod.url, sides.consulta.url, str(liquidation)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        rows, kilobytes = done.stdout.split()
        return int(rows), int(kilobytes)

    few, small = peak(1)
    many, large = peak(2)
    assert (few, many) == (40_000, 400_000)
    assert large < small * 1.2, f"{small:,} kB for 40,000 rows, {large:,} kB for 400,000"
