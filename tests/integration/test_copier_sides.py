"""Two servers that differ: in encoding, in the order of keys, in the shape of the table. Right or refused."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from copier import Copy
from copier.errors import EncodingUnknown, NoUsableKey
from tests.copying import Sides, engine, preview, spec
from tests.support import Database

SIMPLE = "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, note text)"


@pytest.fixture
def encoded(sides: Sides) -> Iterator[dict[str, Sides]]:
    """The sides' databases, and databases of other encodings beside them: `prod`-`consulta`."""
    made: dict[tuple[str, str], Database] = {}
    for side, base in (("prod", sides.prod), ("consulta", sides.consulta)):
        made[side, "UTF8"] = base
        for encoding in ("SQL_ASCII", "LATIN1"):
            name = f"{base.name}_{encoding.lower()}"
            base.server.create_database(name, encoding=encoding, locale="C")
            made[side, encoding] = Database(base.server, name)
    yield {
        f"{ours}-{theirs}": Sides(made["prod", ours], made["consulta", theirs])
        for ours in ("UTF8", "LATIN1", "SQL_ASCII")
        for theirs in ("UTF8", "LATIN1", "SQL_ASCII")
    }
    for (_, encoding), database in made.items():
        if encoding != "UTF8":
            database.server.drop_database(database.name)


def test_a_database_that_does_not_know_its_encoding_is_refused_and_named(encoded: dict[str, Sides]) -> None:
    for pair in ("SQL_ASCII-UTF8", "UTF8-SQL_ASCII", "SQL_ASCII-SQL_ASCII"):
        sides = encoded[pair]
        sides.both("DROP TABLE IF EXISTS items;" + SIMPLE)
        sides.consulta.execute("INSERT INTO items VALUES (9, 42, 'kept')")
        for ask in ("", "?client_encoding=utf8"):  # without it SQLAlchemy itself can't read such a database
            urls = {"prod_url": sides.prod.url + ask, "consulta_url": sides.consulta.url + ask}
            with pytest.raises(EncodingUnknown) as refused:
                sides.copy(spec(), **urls)
            assert refused.value.side == ("consulta" if pair.startswith("UTF8") else "prod")
            assert f"the database of {refused.value.side} has the encoding SQL_ASCII" in str(refused.value)
            with pytest.raises(EncodingUnknown):
                preview(engine(urls["prod_url"]), engine(urls["consulta_url"]), spec(), 42)
        assert sides.consulta.rows("SELECT id FROM items") == [(9,)]


def test_characters_are_the_same_whichever_side_has_the_narrower_encoding(encoded: dict[str, Sides]) -> None:
    for pair in ("LATIN1-UTF8", "UTF8-LATIN1", "LATIN1-LATIN1"):
        sides = encoded[pair]
        sides.both("DROP TABLE IF EXISTS items;" + SIMPLE)
        sides.prod.execute("INSERT INTO items SELECT g, 42, 'ñandú ¿' || g FROM generate_series(1, 20) g")
        sides.copy_proven(spec(), chunk_rows=6, parallel=2)
        assert set(sides.copy_proven(spec(), chunk_rows=6).outcomes) == {"unchanged"}
        sides.assert_same()


def test_an_enum_key_whose_labels_are_in_another_order_is_refused(sides: Sides) -> None:
    sides.prod.execute("CREATE TYPE size AS ENUM ('s', 'm', 'l')")
    sides.consulta.execute("CREATE TYPE size AS ENUM ('l', 'm', 's')")
    sides.both("""
        CREATE DOMAIN sized AS size;
        CREATE TABLE plain (id size PRIMARY KEY, liquidation_id int);
        CREATE TABLE nested (id sized PRIMARY KEY, liquidation_id int);
        CREATE TABLE several (id size[] PRIMARY KEY, liquidation_id int);
    """)
    for table in ("plain", "several"):
        with pytest.raises(NoUsableKey, match="key column id is an enum whose labels are in another order"):
            sides.copy(spec(table))
    with pytest.raises(NoUsableKey, match=r"key column id is public\.sized, a domain over an enum"):
        sides.copy(spec("nested"))


def test_an_enum_key_with_more_labels_on_one_side_is_right_where_the_common_ones_are_in_order(
    sides: Sides,
) -> None:
    sides.prod.execute("CREATE TYPE size AS ENUM ('s', 'm', 'l')")
    sides.consulta.execute("CREATE TYPE size AS ENUM ('xs', 's', 'between', 'm', 'l', 'xl')")
    sides.both("CREATE TABLE items (id size PRIMARY KEY, liquidation_id int, v int)")
    sides.prod.execute("INSERT INTO items VALUES ('s', 42, 1), ('m', 42, 2), ('l', 42, 3)")
    sides.consulta.execute("INSERT INTO items VALUES ('xs', 42, 0), ('between', 42, 0), ('xl', 42, 0)")
    sides.copy_proven(spec(), chunk_rows=1)
    sides.assert_same()


def test_an_enum_in_another_order_that_is_no_key_is_copied(sides: Sides) -> None:
    sides.prod.execute("CREATE TYPE size AS ENUM ('s', 'm', 'l')")
    sides.consulta.execute("CREATE TYPE size AS ENUM ('l', 'm', 's')")
    sides.both("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v size)")
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 's'), (2, 42, 'l'), (3, 42, NULL)")
    sides.copy_proven(spec(), chunk_rows=2)
    sides.assert_same()


def test_a_real_key_that_is_a_double_in_consulta_is_refused(sides: Sides) -> None:
    sides.prod.execute("CREATE TABLE items (id real PRIMARY KEY, liquidation_id int)")
    sides.consulta.execute("CREATE TABLE items (id float8 PRIMARY KEY, liquidation_id int)")
    sides.prod.execute("INSERT INTO items SELECT g / 10.0, 42 FROM generate_series(1, 9) g")
    with pytest.raises(NoUsableKey, match="key column id is real in prod and double precision in consulta"):
        sides.copy(spec(), chunk_rows=2)
    assert sides.consulta.rows("SELECT count(*) FROM items") == [(0,)]


WIDER = {
    "smallint to int": ("smallint", "int", "g - 30"),
    "int to bigint": ("int", "bigint", "(g - 30) * 30000001"),
    "bigint to numeric": ("bigint", "numeric", "(g - 30) * 1000000000000007"),
    "numeric": ("numeric(8,2)", "numeric(12,4)", "(g - 30) / 7.0"),
    "varchar to text": ("varchar(9)", "text", "chr(200 + g) || g"),
    "date to timestamp": ("date", "timestamp", "date '0003-01-01 BC' + g * 50"),
}


@pytest.mark.parametrize(("ours", "theirs", "value"), WIDER.values(), ids=WIDER.keys())
def test_a_key_that_is_wider_in_consulta_cuts_both_sides_alike(
    sides: Sides, ours: str, theirs: str, value: str
) -> None:
    sides.prod.execute(f"CREATE TABLE items (id {ours} PRIMARY KEY, liquidation_id int, v int)")
    sides.consulta.execute(f"CREATE TABLE items (id {theirs} PRIMARY KEY, liquidation_id bigint, v int)")
    sides.prod.execute(f"INSERT INTO items SELECT {value}, 42, g FROM generate_series(1, 60) g")
    sides.consulta.execute(f"""
        INSERT INTO items SELECT {value}, 42, g * (g % 5) FROM generate_series(1, 90, 3) g
    """)
    sides.copy_proven(spec(), chunk_rows=7, parallel=2)
    sides.assert_same(columns=f"id::{theirs}, v", formats=("text",))
    assert set(sides.copy_proven(spec(), chunk_rows=7).outcomes) == {"unchanged"}


def test_a_partitioned_source_is_read_partition_by_partition_and_once(sides: Sides) -> None:
    sides.prod.execute("""
        CREATE TABLE items (id int, liquidation_id int, v text, PRIMARY KEY (id, liquidation_id))
            PARTITION BY LIST (liquidation_id);
        CREATE TABLE of_42 PARTITION OF items FOR VALUES IN (42) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF of_42 FOR VALUES FROM (MINVALUE) TO (100);
        CREATE TABLE high PARTITION OF of_42 FOR VALUES FROM (100) TO (MAXVALUE);
        CREATE TABLE others PARTITION OF items DEFAULT;
        CREATE INDEX ON items (liquidation_id, id);
        INSERT INTO items SELECT g, 40 + g % 4, 'v' || g FROM generate_series(1, 400) g;
        ANALYZE items;
    """)
    sides.consulta.execute("""
        CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v text) PARTITION BY HASH (id);
        CREATE TABLE even PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE odd PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    """)
    done = sides.copy_proven(spec(), chunk_rows=9, parallel=2)
    assert done.plan.total == 100
    sides.assert_same()
    sides.prod.execute("UPDATE items SET v = 'new' WHERE id IN (2, 398)")
    assert sides.copy_proven(spec(), chunk_rows=9, parallel=2).counts.updated == 2
    sides.assert_same()


def test_a_materialized_view_is_a_source_too(sides: Sides) -> None:
    sides.prod.execute("""
        CREATE MATERIALIZED VIEW items AS SELECT g AS id, 42 AS liquidation_id, 'v' || g AS note
          FROM generate_series(1, 50) g
    """)
    sides.consulta.execute(SIMPLE)
    sides.copy_proven(spec(), chunk_rows=9, parallel=2)
    sides.assert_same()


def test_one_column_beside_the_key_is_enough_to_differ(sides: Sides) -> None:
    sides.both("CREATE TABLE items (liquidation_id int, id int, v int, PRIMARY KEY (liquidation_id, id))")
    sides.prod.execute("INSERT INTO items SELECT 42, g, g FROM generate_series(1, 30) g")
    sides.consulta.execute("INSERT INTO items SELECT 42, g, g % 29 FROM generate_series(1, 30) g")
    assert sides.copy_proven(spec(), chunk_rows=9).counts.updated == 2
    sides.assert_same()


def test_a_key_that_consulta_generates_is_refused_and_another_one_taken(sides: Sides) -> None:
    sides.prod.execute("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, code int)")
    sides.consulta.execute("""
        CREATE TABLE items (id int GENERATED ALWAYS AS (code + 1) STORED PRIMARY KEY, liquidation_id int,
                            code int NOT NULL)
    """)
    sides.prod.execute("INSERT INTO items SELECT g + 1, 42, g FROM generate_series(1, 30) g")
    sides.consulta.execute("INSERT INTO items (liquidation_id, code) VALUES (7, 5), (42, 99)")
    with pytest.raises(NoUsableKey):
        sides.copy(spec())
    with pytest.raises(NoUsableKey):
        sides.copy(spec(key=("id",)))
    sides.consulta.execute("ALTER TABLE items ADD UNIQUE (code)")
    done = sides.copy_proven(spec(), chunk_rows=9)
    assert sum(chunk.moved for chunk in done.chunks) == 1
    sides.assert_same()


@pytest.mark.parametrize("parallel", [1, 2])
def test_rows_of_megabytes_go_in_many_chunks_though_a_chunk_may_have_many_rows(
    sides: Sides, parallel: int
) -> None:
    sides.both(SIMPLE + "; ALTER TABLE items ALTER note SET STORAGE EXTERNAL")
    sides.prod.execute("""
        INSERT INTO items SELECT g, 42, repeat(md5(g::text), 65536) FROM generate_series(1, 24) g
    """)
    done = sides.copy_proven(spec(), chunk_rows=50_000, chunk_seconds=1e-6, parallel=parallel)
    assert done.chunks[0].rows <= 4
    assert len(done.chunks) > 12  # each took longer than was wanted, so they go on smaller
    sides.prod.execute("ANALYZE items; UPDATE items SET note = note || '!' WHERE id = 20")
    again = sides.copy_proven(spec(), chunk_rows=50_000, parallel=parallel)
    assert again.counts.updated == 1
    assert len(again.chunks) > 2
    sides.assert_same()


def test_a_cap_in_rows_per_second_is_kept_by_waiting_between_chunks(sides: Sides) -> None:
    sides.both(SIMPLE)
    sides.prod.execute("INSERT INTO items SELECT g, 42, 'n' FROM generate_series(1, 100) g")
    waits: list[float] = []
    done = sides.copy_proven(spec(), rows_per_second=10.0, sleep=waits.append)
    assert [chunk.rows for chunk in done.chunks] == [10] * 10
    assert len(waits) == 10  # before the first one too
    assert sum(waits[-1:]) > 8.0  # nobody really waited, and so what is owed grows by about a second a chunk
    assert waits == sorted(waits)


def test_a_cap_holds_from_the_first_second_with_several_lanes(sides: Sides) -> None:
    sides.both(SIMPLE)
    sides.prod.execute("INSERT INTO items SELECT g, 42, 'n' FROM generate_series(1, 1500) g")
    began: list[float] = []
    in_place: list[tuple[float, int]] = []

    def sleep(seconds: float) -> None:
        began.append(time.monotonic())
        time.sleep(seconds)

    with sides.open(spec(), rows_per_second=1000.0, parallel=2, sleep=sleep) as copy:
        for chunk in copy.run(on_chunk=lambda chunk: in_place.append((time.monotonic(), chunk.rows))).chunks:
            assert chunk.rows <= 1000
    rows = 0
    for moment, more in in_place:
        rows += more
        assert rows <= 1000.0 * (moment - min(began)) + 1
    assert rows == 1500


def test_a_copy_that_waits_for_its_cap_can_be_told_to_stop(sides: Sides) -> None:
    sides.both(SIMPLE)
    sides.prod.execute("INSERT INTO items SELECT g, 42, 'n' FROM generate_series(1, 100) g")
    stops = iter((False, True))
    with sides.open(spec(), rows_per_second=10.0, sleep=lambda seconds: next(stops)) as copy:
        result = copy.run()
        assert [chunk.rows for chunk in result.chunks] == [10]
        assert not copy.verify(result).holds


def test_a_notebook_needs_two_engines_and_five_lines(sides: Sides) -> None:
    sides.both(SIMPLE)
    sides.prod.execute("INSERT INTO items SELECT g, 42, 'n' FROM generate_series(1, 100) g")
    with Copy(engine(sides.prod.url), engine(sides.consulta.url), spec(), 42) as copy:
        result = copy.run()
        assert sum(chunk.rows for chunk in result.chunks) == 100
        assert copy.verify(result).holds
