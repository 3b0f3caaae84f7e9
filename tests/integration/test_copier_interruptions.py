"""Lines that break, servers that go away, locks: nothing of the chunk is left, the next run ends right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from copier import Chunk
from copier.batch import run_batch
from copier.errors import Transient, failures_of
from dev.guard import Guard
from dev.postgres import PostgresServer
from dev.proxy import Proxy
from tests.copying import ITEMS, Begun, Sides, engine, spec
from tests.support import Database

CHUNK = 2_000
FIELD = 400  # bytes of each row's note: a chunk is 0.9 MB, several blocks of the pump


@pytest.fixture
def full(sides: Sides) -> Sides:
    """Three chunks in prod; consulta holds half of the rows, all of them outdated."""
    sides.both(ITEMS)
    sides.prod.execute(f"""
        INSERT INTO items SELECT g, 42, g, repeat(chr(97 + g % 26), {FIELD})
          FROM generate_series(1, {CHUNK * 3}) g
    """)
    sides.consulta.execute(f"""
        INSERT INTO items SELECT g, 42, -1, 'old' FROM generate_series(2, {CHUNK * 3}, 2) g;
        INSERT INTO items VALUES (0, 7, 0, 'other');
    """)
    return sides


@pytest.fixture
def line_to_prod(full: Sides) -> Iterator[Proxy]:
    with Proxy(full.prod.server.port) as proxy:
        yield proxy


@pytest.fixture
def line_to_consulta(full: Sides) -> Iterator[Proxy]:
    with Proxy(full.consulta.server.port) as proxy:
        yield proxy


def through(proxy: Proxy, database: Database) -> str:
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/{database.name}"


def outdated(sides: Sides) -> list[tuple[int, int]]:
    """Of each chunk the rows that are still old, and the rows that are new."""
    return [
        (old, new)
        for _, old, new in sides.consulta.rows(f"""
            SELECT (id - 1) / {CHUNK}, count(*) FILTER (WHERE note = 'old'),
                   count(*) FILTER (WHERE note <> 'old')
              FROM items WHERE liquidation_id = 42 GROUP BY 1 ORDER BY 1
        """)
    ]


def ends_right(sides: Sides) -> None:
    sides.copy_proven(spec(), chunk_rows=CHUNK)
    sides.assert_same()
    assert sides.consulta.rows("SELECT id, note FROM items WHERE liquidation_id <> 42") == [(0, "other")]


@pytest.mark.parametrize("count", [100, 300_000, 700_000])
def test_the_line_to_prod_cut_inside_a_chunk(full: Sides, line_to_prod: Proxy, count: int) -> None:
    with full.open(spec(), chunk_rows=CHUNK, prod_url=through(line_to_prod, full.prod)) as copy:
        run = Begun(copy)
        line_to_prod.cut_after(count, "received")
        with pytest.raises(Transient) as failed:
            run.finish()
    assert failed.value.side == "prod"
    assert outdated(full) == [(0, CHUNK), (CHUNK // 2, 0), (CHUNK // 2, 0)]
    ends_right(full)


@pytest.mark.parametrize(
    ("count", "direction"), [(10, "sent"), (300_000, "sent"), (700_000, "sent"), (1, "received")]
)
def test_the_line_to_consulta_cut_inside_a_chunk(
    full: Sides, line_to_consulta: Proxy, count: int, direction: str
) -> None:
    with full.open(spec(), chunk_rows=CHUNK, consulta_url=through(line_to_consulta, full.consulta)) as copy:
        run = Begun(copy)
        line_to_consulta.cut_after(count, direction)  # type: ignore[arg-type]
        with pytest.raises(Transient) as failed:
            run.finish()
    assert failed.value.side == "consulta"
    assert outdated(full) == [(0, CHUNK), (CHUNK // 2, 0), (CHUNK // 2, 0)]
    ends_right(full)


def test_a_line_cut_during_the_proof_is_transient(full: Sides, line_to_prod: Proxy) -> None:
    full.consulta.execute("DELETE FROM items WHERE liquidation_id = 42")
    with full.open(spec(), chunk_rows=CHUNK, prod_url=through(line_to_prod, full.prod)) as copy:
        result = copy.run(hashed=False)  # else the proof asks prod for nothing
        line_to_prod.cut()
        with pytest.raises(Transient) as failed:
            copy.verify(result)
    assert failed.value.side == "prod"


def test_lines_that_break_when_all_is_done_do_no_harm(
    full: Sides, line_to_prod: Proxy, line_to_consulta: Proxy
) -> None:
    with full.open(
        spec(),
        chunk_rows=CHUNK,
        prod_url=through(line_to_prod, full.prod),
        consulta_url=through(line_to_consulta, full.consulta),
    ) as copy:
        result = copy.run()
        assert copy.verify(result).holds
        line_to_prod.cut()
        line_to_consulta.cut()
    full.assert_same()


@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_a_side_that_refuses_connections_is_transient(
    full: Sides, line_to_prod: Proxy, line_to_consulta: Proxy, side: str
) -> None:
    proxy, database = (line_to_prod, full.prod) if side == "prod" else (line_to_consulta, full.consulta)
    proxy.refuse()
    urls = {f"{side}_url": through(proxy, database)}
    with pytest.raises(Transient) as failed:
        full.copy(spec(), **urls)
    assert failed.value.side == side
    proxy.allow()
    full.copy_proven(spec(), chunk_rows=CHUNK, **urls)


class GaveUp(Exception):
    """What the caller of a copy raises while it waits."""


WAITS_AT_ROW_3000 = """
    CREATE FUNCTION passes(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN IF id = 3000 THEN
        PERFORM pg_advisory_lock_shared(1); PERFORM pg_advisory_unlock_shared(1);
    END IF; RETURN true; END $$;
"""


def test_a_caller_can_give_up_while_consulta_is_silent(full: Sides) -> None:
    full.consulta.execute(WAITS_AT_ROW_3000 + "ALTER TABLE items ADD CHECK (passes(id))")
    given_up_in_the_chunk_after(1, full, full.consulta)
    full.consulta.execute("ALTER TABLE items DROP CONSTRAINT items_id_check")
    ends_right(full)


def test_a_caller_can_give_up_while_prod_is_silent(full: Sides) -> None:
    full.prod.execute(f"""
        {WAITS_AT_ROW_3000}; ALTER TABLE items RENAME TO base;
        CREATE VIEW items AS SELECT * FROM base WHERE passes(id)
    """)
    full.consulta.execute("DELETE FROM items WHERE liquidation_id = 42")
    given_up_in_the_chunk_after(3, full, full.prod)  # of a view's rows no size is known: chunks begin small
    ends_right(full)


def given_up_in_the_chunk_after(finished: int, sides: Sides, silent: Database) -> None:
    """The caller is asked while the side is silent, is obeyed, and both connections end with the copy."""

    def waiting(silent: float) -> None:
        raise GaveUp

    before = sides.consulta.rows("SELECT id FROM items WHERE note = 'old'")
    with psycopg.connect(silent.url) as somebody:
        with sides.open(spec(), chunk_rows=CHUNK, on_silence=waiting) as copy:
            seen: list[Chunk] = []

            def on_chunk(chunk: Chunk) -> None:
                seen.append(chunk)
                if len(seen) == finished:
                    somebody.execute("SELECT pg_advisory_lock(1)")

            with pytest.raises(GaveUp):
                copy.run(on_chunk=on_chunk)
            assert len(seen) == finished
            rows = sum(chunk.rows for chunk in seen)
        somebody.execute("""
            SELECT pg_advisory_unlock(1);
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'traspaso'
        """)
    assert 0 < rows < 3000
    assert sides.consulta.rows("SELECT id FROM items WHERE note = 'old'") == [
        (key,) for (key,) in before if key > rows
    ]
    assert sides.consulta.rows("SELECT count(*), max(id) FROM items WHERE note <> 'old'") == [
        (rows + 1, rows)
    ]


def test_a_lock_on_the_table_of_consulta_is_transient(full: Sides) -> None:
    with psycopg.connect(full.consulta.url) as somebody:
        somebody.execute("LOCK TABLE items IN SHARE MODE")
        with pytest.raises(Transient) as failed:
            full.copy(spec(), chunk_rows=CHUNK, lock_timeout_seconds=0.05)
    assert (failed.value.side, failed.value.condition) == ("consulta", "LockNotAvailable")
    ends_right(full)


def test_a_lock_on_the_table_of_consulta_does_not_hang_the_proof(full: Sides) -> None:
    with full.open(spec(), chunk_rows=CHUNK, lock_timeout_seconds=0.05) as copy:
        result = copy.run()
        with psycopg.connect(full.consulta.url) as somebody:
            somebody.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(Transient, match=r"table public\.items of consulta is being altered"):
                copy.verify(result)
        assert copy.verify(result).holds


def test_a_lock_on_a_row_of_another_writer_is_transient(full: Sides) -> None:
    with psycopg.connect(full.consulta.url) as somebody:
        somebody.execute("UPDATE items SET amount = 0 WHERE id = 4000")
        with full.open(spec(), chunk_rows=CHUNK, lock_timeout_seconds=0.05) as copy:
            run = Begun(copy)
            with pytest.raises(Transient, match="LockNotAvailable"):
                run.finish()
    assert outdated(full) == [(0, CHUNK), (CHUNK // 2, 0), (CHUNK // 2, 0)]
    ends_right(full)


@pytest.mark.parametrize("action", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_statement_cancelled_or_a_session_ended_by_an_administrator_is_transient(
    full: Sides, action: str
) -> None:
    full.consulta.execute(f"""
        CREATE FUNCTION at_row_3000() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.id = 3000 THEN PERFORM {action}(pg_backend_pid()); END IF; RETURN NEW; END $$;
        CREATE TRIGGER at_row_3000 BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION at_row_3000();
    """)
    with pytest.raises(Transient) as failed:
        full.copy(spec(), chunk_rows=CHUNK)
    assert failed.value.side == "consulta"
    assert (failed.value.condition == "QueryCanceled") == (action == "pg_cancel_backend")
    assert outdated(full) == [(0, CHUNK), (CHUNK // 2, 0), (CHUNK // 2, 0)]
    full.consulta.execute("DROP TRIGGER at_row_3000 ON items")
    ends_right(full)


def test_a_session_of_prod_ended_between_two_chunks_is_transient(full: Sides) -> None:
    with full.open(spec(), chunk_rows=CHUNK) as copy:
        run = Begun(copy)
        full.prod.execute("""
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
        """)
        with pytest.raises(Transient) as failed:
            run.finish()
    assert failed.value.side == "prod"
    assert outdated(full) == [(0, CHUNK), (CHUNK // 2, 0), (CHUNK // 2, 0)]
    ends_right(full)


@pytest.fixture
def own_server(guard: Guard) -> Iterator[PostgresServer]:
    """A cluster that this test may stop and crash."""
    with PostgresServer(Path(guard.temp_folder()), "own", guard=guard) as server:
        yield server


def test_consulta_restarted_or_crashed_between_chunks_is_transient_and_goes_on(
    prod: Database, own_server: PostgresServer
) -> None:
    own_server.create_database("own")
    sides = Sides(prod, Database(own_server, "own"))
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g FROM generate_series(1, 50) g")
    for end in (lambda: own_server.restart("fast"), lambda: (own_server.crash(), own_server.start())):
        with sides.open(spec(), chunk_rows=10) as copy:
            run = Begun(copy)
            end()
            with pytest.raises(Transient) as failed:
                run.finish()
        assert failed.value.side == "consulta"
        assert sides.consulta.rows("SELECT count(*) % 10 FROM items") == [(0,)]
    own_server.stop()
    with pytest.raises(Transient):
        sides.copy(spec())
    own_server.start()
    sides.copy_proven(spec(), chunk_rows=10)
    sides.assert_same()


def test_why_a_server_ended_a_session_is_said(sides: Sides) -> None:
    with engine(sides.prod.url).connect() as connection:
        with (
            pytest.raises(Transient, match="AdminShutdown in prod: terminating connection"),
            failures_of("prod"),
        ):
            run_batch(connection, "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT pg_sleep(30)")
        connection.invalidate()
