"""What a copy would do is told beforehand to the row, or said not to be known; never anything else."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import copier
from bot.config import SIDES
from copier import Baseline, CopySpec, Counts
from dev.proxy import Proxy
from tests.copying import ITEMS, Sides, engine, spec
from tests.support import Database, until

pytestmark = pytest.mark.usefixtures("still")

ROWS = 500
FILL = f"""
    INSERT INTO items SELECT g, 42, g / 100.0, md5(g::text) FROM generate_series(1, {ROWS}) g;
    INSERT INTO items SELECT -g, 7, 0, 'other' FROM generate_series(1, 100) g;
    ANALYZE items
"""


@dataclass
class Proven:
    """Two databases that agreed, and what was proven of them then."""

    sides: Sides
    baseline: Baseline
    spec: CopySpec

    def expected_changes(
        self, *, prod_url: str = "", consulta_url: str = "", seconds: float = 10.0
    ) -> Counts | None:
        found = copier.expected_changes(
            engine(prod_url or self.sides.prod.url),
            engine(consulta_url or self.sides.consulta.url),
            self.spec,
            42,
            self.baseline,
            names=SIDES,
            timeout_seconds=seconds,
        )
        if found and self.is_unchanged():  # told of several together, it is said of no other than by itself
            assert found.counts == Counts(unchanged=found.counts.unchanged)
        return found.counts if found else None

    def is_unchanged(self) -> bool:
        """Whether that is told of it beside another liquidation, which holds something else."""
        sides = engine(self.sides.prod.url), engine(self.sides.consulta.url)
        found = copier.unchanged(*sides, self.spec, {7: self.baseline, 42: self.baseline}, names=SIDES)
        assert 7 not in found
        return 42 in found

    def oracle(self, *, key: str = "id") -> Counts:
        """From all rows of both sides, as the servers write them."""
        here, there = (_rows(side, key) for side in (self.sides.prod, self.sides.consulta))
        common = here.keys() & there.keys()
        same = sum(here[each] == there[each] for each in common)
        return Counts(len(here) - len(common), len(common) - same, len(there) - len(common), same)


def _rows(side: Database, key: str) -> dict[str, str]:
    found = side.rows(f"SELECT {key}::text, items::text FROM items WHERE liquidation_id = 42")
    rows = dict(found)
    assert len(rows) == len(found)
    return rows


def until_nobody_writes(sides: Sides) -> None:
    """Returns when no transaction that has a number is under way on either server."""
    quiet = "SELECT pg_snapshot_xmin(s) = pg_snapshot_xmax(s) FROM pg_current_snapshot() AS s"
    for side in (sides.prod, sides.consulta):
        until(
            lambda side=side: side.rows(quiet) == [(True,)], what="a moment in which nobody writes", every=0
        )


def proven_from(sides: Sides, spec: CopySpec) -> Proven:
    """Copies until row versions tell of both sides.

    A transaction of anybody on a server that was under way at a proof makes what was committed beside it look
    new. Databases for the next tests are made before: see the fixture `still`.
    """
    for _ in range(3):
        until_nobody_writes(sides)
        with sides.open(spec) as copy:
            assert copy.verify(copy.run()).holds
            baseline = copy.baseline()
        assert baseline is not None
        proven = Proven(sides, baseline, spec)
        if proven.expected_changes() is not None:
            break
    return proven


@pytest.fixture
def proven(sides: Sides) -> Proven:
    sides.both(ITEMS)
    sides.prod.execute(FILL)
    return proven_from(sides, spec())


def test_where_nothing_changed_every_row_would_be_left(proven: Proven) -> None:
    assert proven.expected_changes() == Counts(unchanged=ROWS)
    assert proven.is_unchanged()


def test_what_would_be_inserted_changed_deleted_and_left_is_told_to_the_row(proven: Proven) -> None:
    proven.sides.prod.execute("""
        UPDATE items SET note = 'changed' WHERE id % 50 = 7 AND liquidation_id = 42;
        UPDATE items SET note = note WHERE id = 120;
        INSERT INTO items SELECT 30000 + g, 42, 0, 'new' FROM generate_series(1, 5) g;
        DELETE FROM items WHERE id IN (11, 12, 401);
        UPDATE items SET liquidation_id = 7 WHERE id = 202;
        UPDATE items SET liquidation_id = 42 WHERE id = -3
    """)
    told = proven.expected_changes()
    assert told == Counts(inserted=6, updated=10, deleted=4, unchanged=ROWS - 14) == proven.oracle()
    with proven.sides.open(proven.spec, baseline=proven.baseline) as copy:
        result = copy.run()
    assert sum((chunk.counts for chunk in result.chunks), Counts()) == told


def test_looking_writes_nothing_on_either_side(proven: Proven) -> None:
    proven.sides.prod.execute("UPDATE items SET note = 'changed' WHERE id < 9 AND liquidation_id = 42")
    before = [side.rows("SELECT xmin, ctid, * FROM items ORDER BY id") for side in _both(proven)]
    assert proven.expected_changes() is not None
    assert before == [side.rows("SELECT xmin, ctid, * FROM items ORDER BY id") for side in _both(proven)]


def _both(proven: Proven) -> list[Database]:
    return [proven.sides.prod, proven.sides.consulta]


def test_as_of_is_the_moment_of_prod(proven: Proven) -> None:
    before = proven.sides.prod.rows("SELECT clock_timestamp()")[0][0]
    found = copier.expected_changes(
        engine(proven.sides.prod.url),
        engine(proven.sides.consulta.url),
        proven.spec,
        42,
        proven.baseline,
        names=SIDES,
    )
    assert found is not None
    assert before < found.as_of < proven.sides.prod.rows("SELECT clock_timestamp()")[0][0]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE items SET note = 'somebody' WHERE id = 77",
        "DELETE FROM items WHERE id = 77",
        "INSERT INTO items VALUES (99999, 42, 1, 'somebody')",
        "DELETE FROM items WHERE id = 77; INSERT INTO items VALUES (99999, 42, 1, 'somebody')",
        "UPDATE items SET liquidation_id = 9 WHERE id = 77",
        "UPDATE items SET note = 'here too' WHERE id = 78",
    ],
)
def test_what_somebody_did_in_consulta_is_told_too(proven: Proven, tampering: str) -> None:
    proven.sides.consulta.execute(tampering)
    proven.sides.prod.execute("UPDATE items SET note = 'in prod' WHERE id = 79")
    told = proven.expected_changes()
    assert told is not None
    assert told == proven.oracle()


def test_where_both_sides_have_lost_rows_it_is_not_known(proven: Proven) -> None:
    proven.sides.prod.execute("DELETE FROM items WHERE id = 5")
    proven.sides.consulta.execute("DELETE FROM items WHERE id = 6")
    assert proven.expected_changes() is None


def test_where_more_changed_than_is_looked_up_it_is_not_known(
    proven: Proven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["copier.row_versions"], "MOST_ROWS", 10)
    proven.sides.prod.execute("UPDATE items SET note = 'changed' WHERE id BETWEEN 1 AND 10")
    assert proven.expected_changes() == proven.oracle()
    proven.sides.prod.execute("UPDATE items SET note = 'changed' WHERE id = 11")
    assert proven.expected_changes() is None


def test_after_ddl_it_is_not_known(proven: Proven) -> None:
    proven.sides.both("ALTER TABLE items ADD COLUMN extra int DEFAULT 7")
    assert proven.expected_changes() is None


def test_a_view_in_the_place_of_the_table_is_not_known(proven: Proven) -> None:
    proven.sides.prod.execute("ALTER TABLE items RENAME TO base; CREATE VIEW items AS TABLE base")
    proven.spec = spec(key=("id",))
    assert proven.expected_changes() is None


def test_a_table_that_somebody_alters_is_not_waited_for(proven: Proven) -> None:
    with psycopg.connect(proven.sides.prod.url) as holder:
        holder.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        assert proven.expected_changes(seconds=0.3) is None


def test_too_little_time_is_said_to_be_not_known(proven: Proven) -> None:
    """Each look at rows takes longer than there is time for."""
    proven.sides.prod.execute("UPDATE items SET note = 'changed' WHERE id < 9 AND liquidation_id = 42")
    with Proxy(proven.sides.prod.server.port, round_trip_seconds=0.2) as way:
        url = proven.sides.prod.url.replace(f":{proven.sides.prod.server.port}/", f":{way.port}/")
        assert proven.expected_changes(prod_url=url, seconds=0.05) is None
        assert proven.expected_changes(prod_url=url) == proven.oracle()


KEYS = {
    "text of another collation": (
        'CREATE TABLE items (id text COLLATE "C" PRIMARY KEY, liquidation_id int, note text)',
        "CREATE TABLE items (id text PRIMARY KEY, liquidation_id int, note text)",
        "'k' || g",
    ),
    "a smaller number in prod": (
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, note text)",
        "CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id int, note text)",
        "g",
    ),
    "two columns": (
        "CREATE TABLE items (a int, id int, liquidation_id int, note text, PRIMARY KEY (id, a))",
        "CREATE TABLE items (a int, id int, liquidation_id int, note text, PRIMARY KEY (id, a))",
        "g",
    ),
}


@pytest.mark.parametrize(("in_prod", "in_consulta", "key"), KEYS.values(), ids=KEYS.keys())
def test_keys_of_any_type_are_found_on_the_other_side(
    sides: Sides, in_prod: str, in_consulta: str, key: str
) -> None:
    sides.prod.execute(in_prod)
    sides.consulta.execute(in_consulta)
    a, value = ("a, ", "g, ") if "(id, a)" in in_prod else ("", "")
    insert = f"INSERT INTO items ({a}id, liquidation_id, note) SELECT {value}{key}, 42, 'n'"
    sides.prod.execute(f"{insert} FROM generate_series(1, 50) g")
    proven = proven_from(sides, spec())
    sides.prod.execute(f"""
        {insert} FROM generate_series(101, 103) g;
        UPDATE items SET note = 'changed' WHERE id IN (SELECT {key} FROM generate_series(1, 4) g);
        UPDATE items SET note = note WHERE id IN (SELECT {key} FROM generate_series(5, 6) g);
        DELETE FROM items WHERE id IN (SELECT {key} FROM generate_series(20, 21) g)
    """)
    assert proven.expected_changes() == Counts(inserted=3, updated=4, deleted=2, unchanged=44)


def test_a_key_that_prod_writes_with_more_digits_is_the_same_key(sides: Sides) -> None:
    sides.both("CREATE TABLE items (id numeric PRIMARY KEY, liquidation_id int)")
    sides.prod.execute("INSERT INTO items SELECT g + 0.5, 42 FROM generate_series(1, 10) g")
    proven = proven_from(sides, spec())
    sides.prod.execute("UPDATE items SET id = 3.500 WHERE id = 3.5; UPDATE items SET id = id WHERE id = 4.5")
    assert proven.expected_changes() == Counts(updated=1, unchanged=9)


# ---- Whatever happens -----------------------------------------------------------------------------

OWN = "id BETWEEN {at} AND {at} + {many} AND liquidation_id = 42"
EDITS = {
    "update": f"UPDATE items SET amount = amount + 1 WHERE {OWN}",
    "no change": f"UPDATE items SET amount = amount WHERE {OWN}",
    "delete": f"DELETE FROM items WHERE {OWN}",
    "insert": "INSERT INTO items SELECT g, 42, g, 'in' FROM generate_series({at}, {at} + {many}) g "
    "ON CONFLICT DO NOTHING",
    "insert elsewhere": "INSERT INTO items SELECT g, 42, g, 'in' FROM generate_series({at} + 600, {at} + 600 "
    "+ {many}) g ON CONFLICT DO NOTHING",
    "move away": f"UPDATE items SET liquidation_id = 7 WHERE {OWN}",
    "move here": "UPDATE items SET liquidation_id = 42 WHERE id BETWEEN {at} AND {at} + {many}",
    "freeze": "VACUUM (FREEZE) items",
    "key": "UPDATE items SET id = id + 5000 WHERE id = {at} AND liquidation_id = 42 "
    "AND NOT EXISTS (SELECT FROM items o WHERE o.id = {at} + 5000)",
}
edits = st.builds(
    lambda side, kind, at, many: (side, EDITS[kind].format(at=at, many=many)),
    st.sampled_from(["prod", "prod", "prod", "consulta", "held"]),
    st.sampled_from(sorted(EDITS)),
    st.integers(1, 60),
    st.integers(0, 6),
)


@given(st.lists(st.lists(edits, max_size=5), min_size=1, max_size=3), st.booleans())
@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_was_done_it_tells_what_the_oracle_counts_or_that_it_is_not_known(
    sides: Sides, rounds: list[list[tuple[str, str]]], copied_between: bool
) -> None:
    """What is ``held`` is done by a transaction of prod that commits only after the look."""
    sides.both(f"DROP TABLE IF EXISTS items; {ITEMS}")
    sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' FROM generate_series(1, 60) g")
    proven = proven_from(sides, spec())
    touched = False
    with psycopg.connect(sides.prod.url, options="-c lock_timeout=100") as holder:
        for round_ in rounds:
            for side, edit in round_:
                if side == "held":
                    with suppress(psycopg.Error), holder.transaction():
                        holder.execute(edit.encode())
                    continue
                where = sides.prod if side == "prod" else sides.consulta
                touched |= side == "consulta"
                options = "-c lock_timeout=100"
                with (
                    psycopg.connect(where.url, autocommit=True, options=options) as connection,
                    suppress(psycopg.errors.LockNotAvailable),
                ):
                    connection.execute(edit.encode())
            told = proven.expected_changes()
            assert told in (None, proven.oracle())
            assert touched or told is not None, "where nobody writes in consulta it is always known"
            holder.commit()
            if copied_between:
                proven, touched = proven_from(sides, spec()), False
        assert proven.expected_changes() in (None, proven.oracle())
