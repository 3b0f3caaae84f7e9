"""Whatever a role or a database has as its defaults, each transaction of a copy says its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.copying import ITEMS, Sides, spec
from tests.support import Database

ROWS = "INSERT INTO items SELECT g, 42, g, repeat('x', 200) FROM generate_series(1, 40000) g"


@contextmanager
def role(database: Database, *settings: str) -> Iterator[str]:
    """The URL of a role that may do all and has these defaults."""
    name = f"role_{database.name}"
    database.execute(f"CREATE ROLE {name} SUPERUSER LOGIN")
    for setting in settings:
        database.execute(f"ALTER ROLE {name} SET {setting}")
    try:
        yield database.url.replace("postgres@", f"{name}@")
    finally:
        database.execute(f"DROP ROLE {name}")


TIMEOUTS = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")


@pytest.mark.parametrize("side", ["prod", "consulta"])
@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_a_timeout_of_the_role_cuts_nothing_off(sides: Sides, timeout: str, side: str) -> None:
    """The COPY takes longer in consulta, and prod waits for it as long."""
    sides.both(ITEMS)
    sides.prod.execute(ROWS)
    slow = """
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(1.3); RETURN NULL; END $$;
        CREATE TRIGGER slow AFTER INSERT ON items FOR EACH STATEMENT EXECUTE FUNCTION slow();
    """
    sides.consulta.execute(slow)
    database = sides.prod if side == "prod" else sides.consulta
    with role(database, f"{timeout} = '1s'") as url:
        sides.copy_proven(spec(), **{f"{side}_url": url})
    sides.assert_same()


def test_sessions_that_consulta_ends_while_a_cap_is_kept_are_opened_again(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g FROM generate_series(1, 900) g")
    # The cap keeps a second between two chunks; a busy machine may take some of that between two messages.
    with role(sides.consulta, "idle_session_timeout = '600ms'") as url:
        done = sides.copy_proven(spec(), consulta_url=url, chunk_rows=300, rows_per_second=300)
    assert len(done.chunks) == 3
    sides.assert_same()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable", "read uncommitted"])
@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_the_default_isolation_of_the_role_does_not_matter(sides: Sides, isolation: str, side: str) -> None:
    """Lanes that record in one row, as the job's, would fail each other."""
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g FROM generate_series(1, 4000) g")
    sides.consulta.execute("CREATE TABLE job (rows int); INSERT INTO job VALUES (0)")
    database = sides.prod if side == "prod" else sides.consulta
    with role(database, f"default_transaction_isolation = '{isolation}'") as url:
        sides.copy_proven(
            spec(),
            **{f"{side}_url": url},
            parallel=4,
            chunk_rows=100,
            record=lambda connection, chunk: connection.exec_driver_sql(
                f"UPDATE job SET rows = rows + {chunk.rows}"
            ),
        )
    assert sides.consulta.rows("SELECT rows FROM job") == [(4000,)]
