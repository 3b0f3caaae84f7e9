"""A text key that consulta's own locale sorts otherwise than prod's.

What locales a machine has can't be relied on, so one is made here, which puts small letters before capitals
and digits behind both: not one neighbour is where its code point would have it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.guard import Guard
from dev.postgres import PostgresServer
from tests.copying import Sides, spec
from tests.support import Database

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ORDER = "".join(small + small.upper() for small in LETTERS) + "_" + "9876543210"

SOURCE = """
LC_CTYPE
upper <U0041>..<U005A>
lower <U0061>..<U007A>
digit <U0030>..<U0039>
space <U0009>..<U000D>;<U0020>
END LC_CTYPE
LC_COLLATE
order_start forward
{}
order_end
END LC_COLLATE
"""
CHARMAP = """
<code_set_name> UTF-8
<comment_char> %
<escape_char> /
<mb_cur_min> 1
<mb_cur_max> 6
CHARMAP
<U0000>..<U007F> /x00 <ascii>
END CHARMAP
"""


def make_locale(folder: Path, name: str) -> None:
    """Only what PostgreSQL asks for: localedef warns of all else, and writes it as the C locale has it."""
    program = shutil.which("localedef")
    if program is None:
        pytest.skip("this machine's C library has no localedef to make a locale with")
    order = "\n".join(f"<U{ord(letter):04X}>" for letter in ORDER)
    (folder / "source").write_text(SOURCE.format(order))
    (folder / "charmap").write_text(CHARMAP)
    command = [program, "--quiet", "--force", "-i", "./source", "-f", "./charmap", str(folder / name)]
    subprocess.run(command, cwd=folder, stderr=subprocess.DEVNULL, check=False)
    assert (folder / name / "LC_COLLATE").exists()


@pytest.fixture
def otherwise(prod: Database, guard: Guard) -> Iterator[Sides]:
    """Consulta is a server of that locale, with a collation ``otherwise``."""
    folder = guard.temp_folder()
    make_locale(folder, "otherwise.utf8")
    environment = {"LOCPATH": str(folder)}
    with PostgresServer(folder, "other", guard=guard, environment=environment) as server:
        server.create_database("own")
        sides = Sides(prod, Database(server, "own"))
        sides.consulta.execute("CREATE COLLATION otherwise (provider = libc, locale = 'otherwise.utf8')")
        yield sides


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_text_key_that_consulta_sorts_otherwise_is_cut_alike_on_both_sides(
    otherwise: Sides, parallel: int
) -> None:
    columns = "PRIMARY KEY, liquidation_id int, v int); CREATE INDEX ON items (liquidation_id, k)"
    otherwise.prod.execute(f"CREATE TABLE items (k text {columns}")
    otherwise.consulta.execute(f"CREATE TABLE items (k text COLLATE otherwise {columns}")
    otherwise.prod.execute("""
        INSERT INTO items SELECT (ARRAY['a', 'B', 'ä', '_', 'Z', 'z'])[1 + g % 6] || g, 42, g
          FROM generate_series(1, 99) g
    """)
    otherwise.copy_proven(spec(), chunk_rows=10, parallel=parallel)
    otherwise.assert_same(order='k COLLATE "C"')
    sorted_by_both = [
        [key for (key,) in side.rows("SELECT k FROM items ORDER BY k")]
        for side in (otherwise.prod, otherwise.consulta)
    ]
    assert sorted_by_both[0] != sorted_by_both[1], "both sides sort alike, which shows nothing"

    otherwise.prod.execute("UPDATE items SET v = -v WHERE v % 10 = 0; DELETE FROM items WHERE v % 7 = 0")
    again = otherwise.copy_proven(spec(), chunk_rows=10, parallel=parallel)
    assert (again.counts.updated, again.counts.deleted) == (8, 14)
    otherwise.assert_same(order='k COLLATE "C"')
