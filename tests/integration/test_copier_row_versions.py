"""Row versions tell that rows are those of the last proof, and never where they are not."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.config import SIDES
from copier import Baseline, CopySpec, Counts
from dev.guard import Guard
from dev.postgres import PostgresServer
from dev.standby import Standby
from tests.copying import ITEMS, Done, Sides, spec
from tests.support import Database, until

ROWS = 2_000
#: Rows of a chunk: what is looked at by its values comes in so many chunks, what is told by versions in one.
CHUNK, CHUNKS = 200, 10
FILL = f"""
    INSERT INTO items SELECT g, 42, g / 100.0, md5(g::text) FROM generate_series(1, {ROWS}) g;
    INSERT INTO items SELECT -g, 7, 0, 'other' FROM generate_series(1, 100) g;
    ANALYZE items
"""
UNTOUCHED = ["unchanged"]
#: Of the server that prepares transactions, and of its standby. What was committed there survives a crash.
SETTINGS = {"max_prepared_transactions": "4", "synchronous_commit": "on"}


@dataclass
class Watched:
    """Two databases that agree, and what was proven of them."""

    sides: Sides
    baseline: Baseline
    spec: CopySpec
    options: dict[str, object]

    def again(self) -> Done:
        """Copies on the ground of what was proven; what is proven now takes its place."""
        return copied(self)

    def soon_untouched(self) -> bool:
        """Copies again; whether no value was read for that.

        A transaction of anybody on the server that was under way at the last proof makes what was committed
        beside it look new, once.
        """
        return any(self.told_untouched() for _ in range(3))

    def told_untouched(self) -> bool:
        """The same of one look."""
        done = self.again()
        assert done.counts == Counts(unchanged=done.plan.total)
        assert done.outcomes == UNTOUCHED or done.outcomes == ["unchanged"] * -(-done.plan.total // CHUNK)
        return done.outcomes == UNTOUCHED


def watched_from(sides: Sides, spec: CopySpec, **options: object) -> Watched:
    with sides.open(spec, chunk_rows=CHUNK, **options) as copy:
        assert copy.verify(copy.run()).holds
        baseline = copy.baseline()
    assert baseline is not None
    watched = Watched(sides, baseline, spec, options)
    assert watched.soon_untouched()
    return watched


def copied(watched: Watched) -> Done:
    options = {"chunk_rows": CHUNK, **watched.options}
    with watched.sides.open(watched.spec, baseline=watched.baseline, **options) as copy:
        result = copy.run()
        proof = copy.verify(result)
        baseline = copy.baseline()
    assert proof.holds, proof.reasons(SIDES)
    assert baseline is not None
    # As it comes back from where it was kept.
    watched.baseline = Baseline.from_json(json.loads(json.dumps(baseline.as_json())))
    return Done(result.plan, list(result.chunks), proof)


@pytest.fixture
def watched(sides: Sides) -> Watched:
    sides.both(ITEMS)
    sides.prod.execute(FILL)
    return watched_from(sides, spec())


# ---- What it tells ---------------------------------------------------------------------------


def test_nothing_changed_is_one_unchanged_chunk_with_the_digests_that_were_proven(watched: Watched) -> None:
    before = watched.baseline.digest
    done = watched.again()
    assert done.outcomes == UNTOUCHED
    assert done.counts == Counts(unchanged=ROWS)
    assert done.proof.source == done.proof.target == before
    assert watched.soon_untouched()


def test_few_changes_write_only_those_and_the_next_look_sees_nothing_new(watched: Watched) -> None:
    watched.sides.prod.execute("""
        UPDATE items SET note = 'changed' WHERE id % 100 = 7 AND liquidation_id = 42;
        UPDATE items SET note = note WHERE id = 1500;
        INSERT INTO items SELECT 30000 + g, 42, 0, 'new' FROM generate_series(1, 5) g;
        DELETE FROM items WHERE id IN (11, 12, 401);
        UPDATE items SET liquidation_id = 7 WHERE id = 702;
        UPDATE items SET liquidation_id = 42 WHERE id = -3;
    """)
    done = watched.again()
    assert done.counts == Counts(inserted=6, updated=20, deleted=4, unchanged=ROWS - 24)
    watched.sides.assert_same()
    assert watched.soon_untouched()
    with watched.sides.open(spec()) as anew:  # by all values
        assert anew.verify().source == watched.baseline.digest


def rows_read(database: Database) -> int:
    """Of the table, by all sessions so far; they have ended."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    while database.rows(others) != [(0,)]:
        time.sleep(0.01)
    [(read,)] = database.rows(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'items'"
    )
    return int(read)


def test_of_few_scattered_changes_only_the_changed_rows_are_looked_for_in_consulta(watched: Watched) -> None:
    watched.sides.prod.execute("UPDATE items SET note = 'new' WHERE id % 100 = 7 AND liquidation_id = 42")
    before = [rows_read(database) for database in (watched.sides.prod, watched.sides.consulta)]
    assert watched.again().counts == Counts(updated=20, unchanged=ROWS - 20)
    read = [rows_read(database) for database in (watched.sides.prod, watched.sides.consulta)]
    # Once to tell what has changed, and once: in prod for the keys, in consulta for the proof.
    few = 20 * 5
    assert read[0] - before[0] <= 2 * (ROWS + 100) + few
    assert read[1] - before[1] <= 2 * ROWS + few
    watched.sides.assert_same()


MEANWHILE = {
    "another row changes": "UPDATE items SET note = 'here' WHERE id = 900",
    "another row goes": "DELETE FROM items WHERE id = 900",
    "another row comes": "INSERT INTO items VALUES (40000, 42, 0, 'here')",
    "one goes and one comes": "DELETE FROM items WHERE id = 900; INSERT INTO items VALUES (8000, 42, 0, '')",
    "a changed row changes": "UPDATE items SET note = 'here' WHERE id = 7",
    "a changed row goes": "DELETE FROM items WHERE id = 7",
    "a changed row moves away": "UPDATE items SET liquidation_id = 7 WHERE id = 7",
    "a changed row goes and one comes": (
        "DELETE FROM items WHERE id = 7; INSERT INTO items VALUES (8000, 42, 0, 'x')"
    ),
    "the table changes": "ALTER TABLE items ADD COLUMN here integer DEFAULT 1",
}


@pytest.mark.parametrize("tampering", MEANWHILE.values(), ids=MEANWHILE.keys())
def test_what_somebody_does_in_consulta_between_look_and_write_is_never_proven(
    watched: Watched, tampering: str
) -> None:
    watched.sides.prod.execute("UPDATE items SET note = 'new' WHERE id % 100 = 7 AND liquidation_id = 42")
    columns = "id, liquidation_id, amount, note"
    with watched.sides.open(spec(), baseline=watched.baseline, chunk_rows=CHUNK) as copy:
        copy.plan()
        watched.sides.consulta.execute(tampering)
        holds = copy.verify(copy.run()).holds
        assert copy.builds_on_baseline
    held = [
        database.rows(f"SELECT {columns} FROM items WHERE liquidation_id = 42 ORDER BY id")
        for database in (watched.sides.prod, watched.sides.consulta)
    ]
    assert holds == (held[0] == held[1])
    watched.again()
    held = [
        database.rows(f"SELECT {columns} FROM items WHERE liquidation_id = 42 ORDER BY id")
        for database in (watched.sides.prod, watched.sides.consulta)
    ]
    assert held[0] == held[1]


@pytest.mark.parametrize("parallel", [1, 3])
def test_many_changes_are_looked_at_by_their_values(watched: Watched, parallel: int) -> None:
    watched.options["parallel"] = parallel
    watched.sides.prod.execute("UPDATE items SET amount = amount + 1 WHERE liquidation_id = 42")
    assert watched.again().counts == Counts(updated=ROWS)
    watched.sides.assert_same()
    assert watched.soon_untouched()


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE items SET note = 'somebody' WHERE id = 77",
        "DELETE FROM items WHERE id = 77",
        "INSERT INTO items VALUES (99999, 42, 1, 'somebody')",
        "DELETE FROM items WHERE id = 77; INSERT INTO items VALUES (99999, 42, 1, 'somebody')",
        "UPDATE items SET liquidation_id = 9 WHERE id = 77",
    ],
)
def test_what_somebody_did_in_consulta_is_seen_and_mended(watched: Watched, tampering: str) -> None:
    watched.sides.consulta.execute(tampering)
    watched.sides.prod.execute("UPDATE items SET note = 'here too' WHERE id = 78")
    assert watched.again().counts.unchanged >= ROWS - 3
    watched.sides.assert_same()
    assert watched.soon_untouched()


def test_as_many_rows_as_before_are_no_proof_where_one_was_exchanged(watched: Watched) -> None:
    watched.sides.prod.execute("DELETE FROM items WHERE id = 5; INSERT INTO items VALUES (5, 42, 0, 'new')")
    assert watched.again().counts == Counts(updated=1, unchanged=ROWS - 1)
    watched.sides.assert_same()


@pytest.mark.parametrize(
    "harmless",
    [
        "VACUUM (FREEZE) items",
        "SELECT 1 FROM items WHERE liquidation_id = 42 FOR UPDATE",
        "UPDATE items SET note = 'x' WHERE liquidation_id = 7",
        "ANALYZE items",
    ],
)
def test_what_leaves_the_rows_as_they_are_costs_no_look_at_their_values(
    watched: Watched, harmless: str
) -> None:
    for side in (watched.sides.prod, watched.sides.consulta):
        with psycopg.connect(side.url, autocommit=True) as connection:
            connection.execute(harmless.encode())
    assert watched.soon_untouched()


def test_an_empty_liquidation_stays_empty_and_is_seen_to_fill(sides: Sides) -> None:
    sides.both(ITEMS)
    watched = watched_from(sides, spec())
    assert watched.again().outcomes == UNTOUCHED
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 0, 'first')")
    assert watched.again().counts == Counts(inserted=1)
    sides.assert_same()


# ---- Transactions that were under way at the last proof ----------------------------------------


@pytest.fixture(scope="module")
def own_server(guard: Guard) -> Iterator[PostgresServer]:
    """A prod that may be stopped, that prepares transactions, and that a standby follows."""
    with PostgresServer(guard.temp_folder(), "own-prod", SETTINGS, guard=guard) as server:
        yield server


@pytest.fixture
def own_prod(own_server: PostgresServer) -> Iterator[Database]:
    name = f"own_{next(NUMBERS)}"
    own_server.create_database(name, template="template0")
    yield Database(own_server, name)
    own_server.drop_database(name)


NUMBERS = count()


@pytest.fixture
def watched_apart(own_prod: Database, consulta: Database) -> Watched:
    sides = Sides(own_prod, consulta)
    sides.both(ITEMS)
    sides.prod.execute(FILL)
    return watched_from(sides, spec())


def _plain(writer: psycopg.Connection) -> Callable[[], object]:
    writer.execute("INSERT INTO items VALUES (5000, 42, 0, 'late')")
    return writer.commit


def _subtransactions(writer: psycopg.Connection) -> Callable[[], object]:
    writer.execute("SELECT pg_current_xact_id()")
    for number in range(100):  # more than a server keeps in its memory
        with writer.transaction():
            writer.execute("INSERT INTO items VALUES (%s, 42, 0, 'late')", [5000 + number])
    return writer.commit


def _prepared(writer: psycopg.Connection) -> Callable[[], object]:
    writer.execute("DELETE FROM items WHERE id = 3")
    writer.execute("INSERT INTO items VALUES (5000, 42, 0, 'late')")
    writer.execute("PREPARE TRANSACTION 'late'")
    writer.commit()
    writer.autocommit = True
    return lambda: writer.execute("COMMIT PREPARED 'late'")


@pytest.mark.parametrize("begin", [_plain, _subtransactions, _prepared])
def test_what_was_begun_before_the_proof_and_committed_after_it_is_seen(
    watched_apart: Watched, begin: Callable[[psycopg.Connection], Callable[[], object]]
) -> None:
    sides = watched_apart.sides
    with psycopg.connect(sides.prod.url) as writer:
        commit = begin(writer)
        sides.prod.execute("UPDATE items SET note = 'meanwhile' WHERE id = 9")
        assert watched_apart.again().counts.updated == 1
        # What was committed behind the writer's back looks new until it ends: that costs, and no more.
        assert watched_apart.again().counts == Counts(unchanged=ROWS)
        commit()
        assert watched_apart.again().counts.inserted >= 1
    sides.assert_same()
    assert watched_apart.soon_untouched()


def test_what_a_transaction_undid_was_never_there(watched: Watched) -> None:
    with psycopg.connect(watched.sides.prod.url) as writer:
        writer.execute("UPDATE items SET note = 'no' WHERE liquidation_id = 42")
        writer.execute("DELETE FROM items WHERE id < 100")
        writer.rollback()
    assert watched.soon_untouched()


# ---- Another server, table or definition: then all values are compared -----------------------------


def test_a_server_that_was_restarted_is_looked_at_by_values_once(
    watched_apart: Watched, own_server: PostgresServer
) -> None:
    own_server.restart()
    assert not watched_apart.told_untouched()
    assert watched_apart.soon_untouched()


def test_a_server_that_went_on_after_the_crash_of_a_session_is_looked_at_by_values_once(
    watched_apart: Watched, own_server: PostgresServer
) -> None:
    """It may have lost commits that were seen, and given their numbers to others."""
    prod, own = (
        watched_apart.sides.prod,
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'",
    )
    before = prod.rows(own)
    with psycopg.connect(own_server.url(), autocommit=True) as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        with suppress(psycopg.OperationalError):
            victim.execute("SELECT 1")

    def recovered() -> bool:
        with suppress(psycopg.OperationalError):
            return prod.rows(own) not in ([], before)
        return False

    until(recovered, what="the server's recovery")
    assert not watched_apart.told_untouched()
    assert watched_apart.again().counts == Counts(unchanged=ROWS)


@contextmanager
def being_let_in(server: PostgresServer) -> Iterator[None]:
    """A session is being let in. From version 18 on the server shows it, still without a database and a user,
    as it shows its own processes."""

    def enter() -> None:
        with suppress(psycopg.OperationalError):
            psycopg.connect(server.url(), options="-c post_auth_delay=600").close()

    with psycopg.connect(server.url(), autocommit=True) as connection:

        def asked(what: LiteralString) -> list[tuple[Any, ...]]:
            starting: LiteralString = "FROM pg_stat_activity WHERE state = 'starting'"
            return connection.execute(f"SELECT {what} {starting}").fetchall()

        entering = threading.Thread(target=enter)
        entering.start()
        until(lambda: asked("pid"), what="a session that is being let in")
        try:
            yield
        finally:
            asked("pg_terminate_backend(pid)")
            entering.join(30)
        assert not entering.is_alive()


@pytest.mark.usefixtures("still")
def test_a_session_that_comes_or_goes_does_not_make_it_another_server(
    watched_apart: Watched, own_server: PostgresServer
) -> None:
    with being_let_in(own_server):
        assert watched_apart.told_untouched()
    assert watched_apart.told_untouched()


def test_a_prod_whose_transactions_were_counted_anew_is_looked_at_by_values(
    watched_apart: Watched, own_server: PostgresServer
) -> None:
    own_server.stop()
    own_server.reset_wal("--epoch=7")
    own_server.start()
    assert not watched_apart.told_untouched()


REDEFINED = {
    "a column with a default": "ALTER TABLE items ADD COLUMN extra int DEFAULT 7",
    "another type": "ALTER TABLE items ALTER note TYPE varchar(100)",
    "rewritten": "ALTER TABLE items ALTER amount TYPE numeric(20, 4)",
    "another default of a column": "ALTER TABLE items ALTER note SET DEFAULT 'x'",
    "a generated column": "ALTER TABLE items ADD twice numeric GENERATED ALWAYS AS (amount * 2) STORED",
    "emptied and filled again": """
        CREATE TABLE kept AS TABLE items; TRUNCATE items; INSERT INTO items TABLE kept; DROP TABLE kept
    """,
    "another table of that name": """
        ALTER TABLE items RENAME TO before; CREATE TABLE items (LIKE before INCLUDING ALL);
        INSERT INTO items TABLE before; DROP TABLE before
    """,
    "vacuumed in full": "VACUUM FULL items",
    "clustered": "CLUSTER items USING items_pkey",
}


@pytest.mark.parametrize("ddl", REDEFINED.values(), ids=REDEFINED.keys())
def test_after_ddl_on_both_sides_all_values_are_compared(watched: Watched, ddl: str) -> None:
    for side in (watched.sides.prod, watched.sides.consulta):
        with psycopg.connect(side.url, autocommit=True) as connection:
            connection.execute(ddl.encode())
    done = watched.again()
    assert done.outcomes != UNTOUCHED
    watched.sides.assert_same()
    assert watched.soon_untouched()


def test_a_trigger_in_consulta_that_is_new_has_all_values_compared(watched: Watched) -> None:
    watched.sides.consulta.execute("""
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER keeps BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION keep()
    """)
    assert not watched.told_untouched()


def test_a_renamed_label_of_an_enum_has_all_values_compared(sides: Sides) -> None:
    sides.both("CREATE TYPE mood AS ENUM ('ok', 'bad'); CREATE TABLE items (id int PRIMARY KEY, "
               "liquidation_id int, mood mood)")  # fmt: skip
    sides.prod.execute("INSERT INTO items SELECT g, 42, 'ok' FROM generate_series(1, 100) g")
    watched = watched_from(sides, spec())
    assert watched.soon_untouched()
    sides.both("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'")
    before = watched.baseline.digest
    assert watched.again().proof.holds
    assert watched.baseline.digest != before  # it is of the labels
    sides.assert_same()


def test_a_partition_that_was_exchanged_has_all_values_compared(sides: Sides) -> None:
    sides.both("""
        CREATE TABLE items (id int, liquidation_id int, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (100);
        CREATE TABLE high PARTITION OF items FOR VALUES FROM (100) TO (1000)
    """)
    sides.prod.execute("INSERT INTO items SELECT g, 42, 'n' FROM generate_series(1, 900) g")
    # Written before the proof, so its rows are older than the horizon.
    sides.prod.execute("CREATE TABLE other AS SELECT id, liquidation_id, 'other' AS note FROM low;"
                       "ALTER TABLE other ADD PRIMARY KEY (id)")  # fmt: skip
    watched = watched_from(sides, spec())
    assert watched.again().outcomes == UNTOUCHED
    sides.prod.execute("ALTER TABLE items DETACH PARTITION low;"
                       "ALTER TABLE items ATTACH PARTITION other FOR VALUES FROM (0) TO (100)")  # fmt: skip
    assert watched.again().counts.updated == 99
    sides.assert_same()


def test_another_server_of_the_same_rows_is_another_one(watched: Watched, own_prod: Database) -> None:
    """A restore keeps the rows and gives them new versions, or old ones that say nothing here."""
    own_prod.execute(ITEMS)
    own_prod.execute(FILL)
    own_prod.execute("UPDATE items SET note = 'restored otherwise' WHERE id = 4")
    watched.sides = Sides(own_prod, watched.sides.consulta)
    assert watched.again().counts == Counts(updated=1, unchanged=ROWS - 1)
    watched.sides.assert_same()


def test_a_hot_standby_of_prod_tells_it_too_and_its_promotion_is_another_server(
    own_server: PostgresServer, own_prod: Database, consulta: Database, guard: Guard
) -> None:
    sides = Sides(own_prod, consulta)
    sides.both(ITEMS)
    sides.prod.execute(FILL)
    with Standby(own_server, guard.temp_folder(), "row-versions-standby", SETTINGS, guard=guard) as standby:
        watched = watched_from(sides, spec(), prod_url=standby.url(own_prod.name))
        assert watched.soon_untouched()
        sides.prod.execute("UPDATE items SET note = 'new' WHERE id = 8")
        standby.catch_up()
        assert watched.again().counts == Counts(updated=1, unchanged=ROWS - 1)
        assert watched.soon_untouched()
        standby.psql("SELECT pg_promote()")
        assert not watched.told_untouched()


VERSIONLESS = {
    "a view": "CREATE TABLE base (id int PRIMARY KEY, liquidation_id int);CREATE VIEW items AS TABLE base",
    "an unlogged table": "CREATE UNLOGGED TABLE items (id int PRIMARY KEY, liquidation_id int)",
}


@pytest.mark.parametrize("ddl", VERSIONLESS.values(), ids=VERSIONLESS.keys())
def test_where_row_versions_tell_nothing_there_is_no_baseline(sides: Sides, ddl: str) -> None:
    sides.prod.execute(ddl)
    sides.consulta.execute("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int)")
    sides.prod.execute("INSERT INTO items SELECT g, 42 FROM generate_series(1, 10) g")
    with sides.open(spec(key=("id",))) as copy:
        assert copy.verify(copy.run()).holds
        assert copy.baseline() is None


def test_a_view_where_the_table_was_is_copied_by_its_values(watched: Watched) -> None:
    watched.sides.prod.execute("""
        ALTER TABLE items RENAME TO base; CREATE VIEW items AS TABLE base;
        UPDATE base SET note = 'behind the view' WHERE id = 4
    """)
    with watched.sides.open(spec(key=("id",)), baseline=watched.baseline, chunk_rows=CHUNK) as copy:
        result = copy.run()
        assert sum((chunk.counts for chunk in result.chunks), Counts()) == Counts(
            updated=1, unchanged=ROWS - 1
        )
        assert copy.verify(result).holds
        assert copy.baseline() is None


@pytest.mark.parametrize("what", ["EXECUTE ON FUNCTION pg_control_system()", "SELECT ON pg_stat_bgwriter"])
def test_who_may_not_ask_which_server_it_is_copies_by_values(watched: Watched, what: str) -> None:
    watched.sides.prod.execute(f"""
        REVOKE {what} FROM PUBLIC;
        CREATE ROLE watcher LOGIN PASSWORD 'x'; GRANT SELECT ON items TO watcher
    """)
    try:
        url = watched.sides.prod.url.replace("postgres@", "watcher:x@", 1)
        with watched.sides.open(spec(), baseline=watched.baseline, prod_url=url, chunk_rows=CHUNK) as copy:
            result = copy.run()
            assert [chunk.outcome for chunk in result.chunks] == ["unchanged"] * CHUNKS
            assert copy.verify(result).holds
            assert copy.baseline() is None
    finally:
        watched.sides.prod.execute("DROP OWNED BY watcher; DROP ROLE watcher")


def test_a_second_run_of_one_copy_looks_anew(watched: Watched) -> None:
    with watched.sides.open(spec(), baseline=watched.baseline, chunk_rows=CHUNK) as copy:
        assert [chunk.outcome for chunk in copy.run().chunks] == UNTOUCHED
        watched.sides.consulta.execute("DELETE FROM items WHERE id = 3")
        again = copy.run()
        assert sum((chunk.counts for chunk in again.chunks), Counts()).inserted == 1
        assert copy.verify(again).holds
    watched.sides.assert_same()


# ---- Whatever happens -----------------------------------------------------------------------------

EDITS = {
    "update": "UPDATE items SET amount = amount + 1 WHERE id BETWEEN {at} AND {at} + {many} AND {own}",
    "no change": "UPDATE items SET amount = amount WHERE id BETWEEN {at} AND {at} + {many} AND {own}",
    "delete": "DELETE FROM items WHERE id BETWEEN {at} AND {at} + {many} AND {own}",
    "insert": "INSERT INTO items SELECT g, 42, g, 'in' FROM generate_series({at}, {at} + {many}) g "
    "ON CONFLICT DO NOTHING",
    "move away": "UPDATE items SET liquidation_id = 7 WHERE id BETWEEN {at} AND {at} + {many} AND {own}",
    "move here": "UPDATE items SET liquidation_id = 42 WHERE id BETWEEN {at} AND {at} + {many}",
    "freeze": "VACUUM (FREEZE) items",
    "key": "UPDATE items SET id = id + 5000 WHERE id = {at} AND {own} "
    "AND NOT EXISTS (SELECT FROM items o WHERE o.id = {at} + 5000)",
}
edits = st.builds(
    lambda side, kind, at, many: (side, EDITS[kind].format(at=at, many=many, own="liquidation_id = 42")),
    st.sampled_from(["prod", "prod", "prod", "consulta", "held"]),
    st.sampled_from(sorted(EDITS)),
    st.integers(1, 400),
    st.integers(0, 15),
)


@given(st.lists(st.lists(edits, max_size=4), min_size=1, max_size=3), st.integers(1, 2))
@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_was_done_both_sides_are_the_same_afterwards(
    sides: Sides, rounds: list[list[tuple[str, str]]], parallel: int
) -> None:
    """What is ``held`` is done by a transaction that commits only after the next copy."""
    sides.both(f"DROP TABLE IF EXISTS items; {ITEMS}")
    sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' FROM generate_series(1, 400) g")
    watched = watched_from(sides, spec(), parallel=parallel)
    with psycopg.connect(sides.prod.url, options="-c lock_timeout=100") as holder:
        for round_ in rounds:
            for side, edit in round_:
                if side == "held":
                    with suppress(psycopg.Error), holder.transaction():
                        holder.execute(edit.encode())
                    continue
                where = sides.prod if side == "prod" else sides.consulta
                with (
                    psycopg.connect(where.url, autocommit=True, options="-c lock_timeout=100") as connection,
                    suppress(psycopg.errors.LockNotAvailable),
                ):
                    connection.execute(edit.encode())
            watched.again()
            sides.assert_same(formats=("text",))
            holder.commit()
        watched.again()
        sides.assert_same(formats=("text",))
    with sides.open(spec()) as anew:
        assert anew.verify().source == watched.baseline.digest
