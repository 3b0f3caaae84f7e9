"""Locales of consulta that mean something else: a text key is sorted otherwise, and money has other decimals.

What locales a machine has can't be relied on, so they are made here. One puts small letters before capitals
and digits behind both: not one neighbour is where its code point would have it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from copier.errors import ColumnsDiffer, NoUsableKey
from dev.guard import Guard
from dev.postgres import PostgresServer
from tests.copying import Sides, engine, preview, spec
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
LC_MONETARY
int_curr_symbol "<U0058><U0058><U0058><U0020>"
currency_symbol "<U0024>"
mon_decimal_point "{}"
mon_thousands_sep "{}"
mon_grouping 3
positive_sign ""
negative_sign "<U002D>"
int_frac_digits {}
frac_digits {}
p_cs_precedes 1
p_sep_by_space 0
n_cs_precedes 1
n_sep_by_space 0
p_sign_posn 1
n_sign_posn 1
END LC_MONETARY
"""
POINT, COMMA = "<U002E>", "<U002C>"
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


def make_locale(
    folder: Path, name: str, *, decimals: int = 2, signs: tuple[str, str] = (POINT, COMMA)
) -> None:
    """Only what PostgreSQL asks for: localedef warns of all else, and writes it as the C locale has it."""
    program = shutil.which("localedef")
    if program is None:
        pytest.skip("this machine's C library has no localedef to make a locale with")
    order = "\n".join(f"<U{ord(letter):04X}>" for letter in ORDER)
    (folder / "source").write_text(SOURCE.format(order, *signs, decimals, decimals))
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


@pytest.fixture
def moneyed(prod: Database, guard: Guard) -> Iterator[Sides]:
    """Consulta is a server that knows money without decimals (``yen``), and with a comma (``comma``)."""
    folder = guard.temp_folder()
    make_locale(folder, "yen.utf8", decimals=0)
    make_locale(folder, "comma.utf8", signs=(COMMA, POINT))
    environment = {"LOCPATH": str(folder)}
    with PostgresServer(folder, "moneyed", guard=guard, environment=environment) as server:
        server.create_database("own")
        yield Sides(prod, Database(server, "own"))


#: The type of a column of money, and a value of prod's.
MONEY = {
    "money": ("money", "1234.56"),
    "an array": ("money[]", "'{1234.56}'"),
    "a domain": ("net", "1234.56"),
    "an array of a domain": ("net[]", "'{1234.56}'"),
    "a composite": ("pay", "'(1,1234.56)'"),
    "a range": ("span", "'[1234.56,2000)'"),
}
KINDS = """
    CREATE DOMAIN net AS money;
    CREATE TYPE pay AS (a int, b money);
    CREATE TYPE span AS RANGE (subtype = money);
"""


def pays(sides: Sides, lc_monetary: str, kind: str, value: str) -> None:
    """Consulta's database has this lc_monetary; prod's is C, with two decimals and a point."""
    sides.consulta.execute(f"ALTER DATABASE own SET lc_monetary = '{lc_monetary}'")
    sides.both(f"{KINDS}; CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v {kind})")
    sides.prod.execute(f"INSERT INTO items VALUES (1, 42, {value}), (2, 42, NULL)")


@pytest.mark.parametrize(("kind", "value"), MONEY.values(), ids=MONEY.keys())
def test_money_that_has_other_decimals_in_consulta_is_refused_before_the_first_row(
    moneyed: Sides, kind: str, value: str
) -> None:
    pays(moneyed, "yen.utf8", kind, value)
    with pytest.raises(ColumnsDiffer) as refused:
        moneyed.copy(spec())
    [line] = refused.value.lines
    assert line.endswith(
        "money has 2 decimals in prod and 0 decimals in consulta by the lc_monetary of each database: "
        "set it alike on both"
    )
    with pytest.raises(ColumnsDiffer, match="2 decimals in prod and 0 decimals"):
        preview(engine(moneyed.prod.url), engine(moneyed.consulta.url), spec(), 42)
    assert moneyed.consulta.rows("SELECT * FROM items") == []


@pytest.mark.parametrize(("kind", "value"), MONEY.values(), ids=MONEY.keys())
def test_money_that_is_only_written_otherwise_is_copied_where_no_text_carries_it(
    moneyed: Sides, kind: str, value: str
) -> None:
    pays(moneyed, "comma.utf8", kind, value)
    if kind in {"pay", "net[]"}:  # their binary form holds OIDs
        with pytest.raises(ColumnsDiffer, match="holds money, which the lc_monetary of each database writes"):
            moneyed.copy(spec())
        assert moneyed.consulta.rows("SELECT * FROM items") == []
        moneyed.consulta.execute("ALTER DATABASE own SET lc_monetary = 'C'")
    moneyed.copy_proven(spec())
    moneyed.consulta.execute("ALTER DATABASE own SET lc_monetary = 'C'")
    moneyed.assert_same(formats=("text",))
    assert moneyed.copy_proven(spec()).outcomes == ["unchanged"]


@pytest.mark.parametrize("kind", ["money", "money[]", "net", "span"])
def test_a_key_of_money_that_each_side_writes_otherwise_is_refused(moneyed: Sides, kind: str) -> None:
    moneyed.consulta.execute("ALTER DATABASE own SET lc_monetary = 'comma.utf8'")
    moneyed.both(f"{KINDS}; CREATE TABLE items (id {kind} PRIMARY KEY, liquidation_id int)")
    with pytest.raises(
        NoUsableKey, match=r"key column id is .*, whose bounds the lc_monetary of each database"
    ):
        moneyed.copy(spec())
