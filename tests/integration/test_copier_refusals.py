"""What consulta or prod refuses: the failure names the place, leaves nothing half done, tells no value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from copier import TableName
from copier.errors import (
    CascadeRefused,
    ColumnMissing,
    DatabaseFailed,
    Permanent,
    ReferencesCascade,
    TableMissing,
)
from copier.model import CopySpec
from tests.copying import ITEMS, Begun, Sides, spec

SECRET = "424242.77"
ROWS = f"""
    INSERT INTO items
    SELECT g, 42, CASE WHEN g = 25 THEN {SECRET} ELSE g END, CASE WHEN g = 25 THEN 'S3CRET' END
      FROM generate_series(1, 40) g
"""


@pytest.fixture
def full(sides: Sides) -> Sides:
    """40 rows in prod, of which the one with id 25, in the third chunk of ten, holds the secrets."""
    sides.both(ITEMS)
    sides.prod.execute(ROWS)
    return sides


@contextmanager
def refused(kind: type[DatabaseFailed] = Permanent, **place: str | None) -> Iterator[None]:
    with pytest.raises(kind) as failed:
        yield
    said = str(failed.value)
    assert not re.search(r"S3CRET|424242|\b25\b", said), said
    assert re.search(r"\b(in|of) (consulta|prod)\b|consulta took", said)
    for name, wanted in place.items():
        assert getattr(failed.value, name) == wanted, said
        assert wanted is None or name in {"side", "sqlstate", "condition"} or wanted in said


CONSTRAINTS = {
    "check": (
        "ALTER TABLE items ADD CONSTRAINT small CHECK (amount < 1000)",
        {"table": "items", "constraint": "small", "condition": "CheckViolation"},
    ),
    "unique": (
        "CREATE UNIQUE INDEX one_note ON items (note) NULLS NOT DISTINCT",
        {"table": "items", "constraint": "one_note", "condition": "UniqueViolation"},
    ),
    "not null": (
        "ALTER TABLE items ALTER note SET NOT NULL",
        {"table": "items", "column": "note", "condition": "NotNullViolation"},
    ),
    "foreign key": (
        "CREATE TABLE notes (note text PRIMARY KEY); "
        "ALTER TABLE items ADD CONSTRAINT known FOREIGN KEY (note) REFERENCES notes",
        {"table": "public.items", "constraint": "known", "condition": "ForeignKeyViolation"},
    ),
    "deferred foreign key": (
        "CREATE TABLE notes (note text PRIMARY KEY); ALTER TABLE items ADD CONSTRAINT known "
        "FOREIGN KEY (note) REFERENCES notes DEFERRABLE INITIALLY DEFERRED",
        {"table": "public.items", "constraint": "known", "condition": "ForeignKeyViolation"},
    ),
    "exclusion": (
        "ALTER TABLE items ADD CONSTRAINT apart EXCLUDE USING btree ((coalesce(note, 'x')) WITH =)",
        {"table": "items", "constraint": "apart", "condition": "ExclusionViolation"},
    ),
}


@pytest.mark.parametrize(("ddl", "place"), CONSTRAINTS.values(), ids=CONSTRAINTS.keys())
def test_a_constraint_of_consulta_is_named_and_its_chunk_leaves_nothing(
    full: Sides, ddl: str, place: dict[str, str]
) -> None:
    full.consulta.execute(ddl)
    with refused(side="consulta", **place):
        full.copy(spec(), chunk_rows=10)
    assert full.consulta.rows("SELECT count(*) % 10, count(*) < 40 FROM items") == [(0, True)]
    assert full.consulta.rows("SELECT count(*) FROM items WHERE id = 25") == [(0,)]


def test_a_refused_chunk_keeps_the_rows_that_consulta_had(full: Sides) -> None:
    full.consulta.execute("INSERT INTO items VALUES (25, 42, 1, 'old'), (7, 8, 1, 'mine')")
    full.consulta.execute("ALTER TABLE items ADD CONSTRAINT small CHECK (amount < 1000)")
    with refused(constraint="small"):
        full.copy(spec(), chunk_rows=10)
    assert full.consulta.rows("SELECT note FROM items WHERE id = 25") == [("old",)]


def test_a_partition_that_is_missing_is_a_permanent_failure(sides: Sides) -> None:
    sides.prod.execute(ITEMS + ";" + ROWS)
    sides.consulta.execute("""
        CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, amount numeric, note text)
            PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (21);
    """)
    with refused(table="items", condition="CheckViolation"):
        sides.copy(spec(), chunk_rows=10)
    assert sides.consulta.rows("SELECT count(*) FROM items") == [(20,)]


TRIGGERS = {
    "an exception": "RAISE EXCEPTION 'too much: % %', NEW.amount, NEW.note",
    "an exception with a borrowed code": "RAISE EXCEPTION 'too much: % %', NEW.amount, NEW.note "
    "USING ERRCODE = 'check_violation', DETAIL = NEW.note, HINT = NEW.note",
    "a syntax error": "EXECUTE NEW.note || ' ' || NEW.amount",
    "a bad cast": "NEW.id = NEW.note::int",
}


@pytest.mark.parametrize("action", TRIGGERS.values(), ids=TRIGGERS.keys())
def test_a_trigger_of_consulta_that_raises_tells_no_value(full: Sides, action: str) -> None:
    full.consulta.execute(f"""
        CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.note IS NOT NULL THEN {action}; END IF; RETURN NEW; END $$;
        CREATE TRIGGER guard BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION guard();
    """)
    with refused(side="consulta"):
        full.copy(spec(), chunk_rows=10)
    assert full.consulta.rows("SELECT count(*) FROM items") == [(20,)]


def test_a_trigger_that_drops_rows_is_a_permanent_failure(full: Sides) -> None:
    full.consulta.execute("""
        CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.note IS NOT NULL THEN RETURN NULL; END IF; RETURN NEW; END $$;
        CREATE TRIGGER drop_it BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION drop_it();
    """)
    with refused(side="consulta", table="items", condition="RowsDropped"):
        full.copy(spec(), chunk_rows=10)
    assert full.consulta.rows("SELECT count(*) FROM items") == [(20,)]


def test_a_trigger_that_alters_rows_breaks_the_proof(full: Sides) -> None:
    full.consulta.execute("""
        CREATE FUNCTION alter_it() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.note = upper(NEW.note) || '!'; RETURN NEW; END $$;
        CREATE TRIGGER alter_it BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION alter_it();
    """)
    done = full.copy(spec(), chunk_rows=10)
    assert [each.range.number for each in done.proof.differences] == [3]


def test_a_value_that_an_enum_of_consulta_lacks_tells_no_value(sides: Sides) -> None:
    sides.prod.execute("CREATE TYPE mood AS ENUM ('ok', 'S3CRET')")
    sides.consulta.execute("CREATE TYPE mood AS ENUM ('ok')")
    sides.both("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v mood)")
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 'S3CRET')")
    with refused(side="consulta", condition="InvalidTextRepresentation"):
        sides.copy(spec())


def test_a_function_of_a_view_in_prod_that_fails_tells_no_value(full: Sides) -> None:
    full.prod.execute(
        "ALTER TABLE items RENAME TO base; "
        "CREATE VIEW items AS SELECT id, liquidation_id, amount, (note::int)::text AS note FROM base"
    )
    with refused(side="prod", condition="InvalidTextRepresentation"):
        full.copy(spec(), chunk_rows=10)
    assert full.consulta.rows("SELECT count(*) FROM items") == [(20,)]


@pytest.fixture
def reader(full: Sides) -> Iterator[str]:
    """A role without rights on either side."""
    for side in (full.prod, full.consulta):
        side.execute("CREATE ROLE poor LOGIN")
    yield "poor"
    for side in (full.prod, full.consulta):
        side.execute("DROP OWNED BY poor; DROP ROLE poor")


def url_of(full: Sides, side: str, role: str) -> str:
    database = full.prod if side == "prod" else full.consulta
    return database.server.url(database.name, user=role)


def test_a_role_that_may_not_read_prod_is_told_the_table(full: Sides, reader: str) -> None:
    with refused(side="prod", condition="InsufficientPrivilege", sqlstate="42501"):
        full.copy(spec(), prod_url=url_of(full, "prod", reader))


@pytest.mark.parametrize("rights", ["", "SELECT", "SELECT, DELETE"])
def test_a_role_that_may_not_write_consulta_is_told_the_table(full: Sides, reader: str, rights: str) -> None:
    full.consulta.execute("INSERT INTO items VALUES (1, 42, 0, 'old')")
    if rights:
        full.consulta.execute(f"GRANT {rights} ON items TO poor")
    with refused(side="consulta", condition="InsufficientPrivilege"):
        full.copy(spec(), consulta_url=url_of(full, "consulta", reader))
    assert full.consulta.rows("SELECT note FROM items") == [("old",)]


def test_a_role_with_just_the_rights_that_a_copy_needs_can_copy(full: Sides, reader: str) -> None:
    full.prod.execute("GRANT SELECT ON items TO poor")
    full.consulta.execute(
        "GRANT SELECT, INSERT, DELETE ON items TO poor; INSERT INTO items VALUES (1, 7, 0, '')"
    )
    done = full.copy_proven(
        spec(), prod_url=url_of(full, "prod", reader), consulta_url=url_of(full, "consulta", reader)
    )
    assert done.chunks[0].moved == 1
    full.assert_same()


@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_row_security_that_hides_rows_is_refused_and_never_mistaken_for_all_rows(
    full: Sides, reader: str, side: str
) -> None:
    full.both("""
        GRANT SELECT, INSERT, DELETE ON items TO poor;
        ALTER TABLE items ENABLE ROW LEVEL SECURITY;
        CREATE POLICY a_few ON items TO poor USING (id < 5);
    """)
    urls = {f"{side}_url": url_of(full, side, reader)}
    with refused(side=side, condition="RowsHidden"):
        full.copy(spec(), **urls)
    assert full.consulta.rows("SELECT count(*) FROM items") == [(0,)]


def test_a_missing_table_or_column_is_named_before_anything_is_written(full: Sides) -> None:
    public = TableName.parse
    with pytest.raises(TableMissing, match=r"table public\.nothing not found in prod"):
        full.copy(CopySpec("x", public("nothing"), public("items"), "liquidation_id"))
    with pytest.raises(TableMissing, match=r'table public\."Nothing" not found in consulta'):
        full.copy(CopySpec("x", public("items"), public('"Nothing"'), "liquidation_id"))
    with pytest.raises(ColumnMissing, match=r"column liq not found in table public\.items of prod"):
        full.copy(spec(column="liq"))


def test_a_database_that_is_not_there_is_a_permanent_failure(full: Sides) -> None:
    with pytest.raises(Permanent, match="prod has no such database"):
        full.copy(spec(), prod_url=full.prod.server.url("no_such_database"))
    with pytest.raises(Permanent, match="consulta refused the login"):
        full.copy(spec(), consulta_url=url_of(full, "consulta", "nobody_at_all"))


def test_a_table_dropped_while_the_copy_runs_is_a_permanent_failure(full: Sides) -> None:
    with full.open(spec(), chunk_rows=10) as copy:
        run = Begun(copy)
        full.consulta.execute("DROP TABLE items")
        with refused(side="consulta", condition="UndefinedTable"):
            run.finish()


PAYMENTS = """
    CREATE TABLE payments (item bigint CONSTRAINT paid_item REFERENCES items ON DELETE {});
    INSERT INTO payments VALUES ({});
"""


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT"])
def test_a_row_that_other_tables_refer_to_is_updated_in_place(full: Sides, action: str) -> None:
    full.consulta.execute("INSERT INTO items VALUES (1, 42, 0, 'old');" + PAYMENTS.format(action, 1))
    assert full.copy_proven(spec(), chunk_rows=10).counts.updated == 1
    full.assert_same()
    assert full.consulta.rows("SELECT item FROM payments") == [(1,)]


def test_a_row_that_other_tables_refer_to_and_prod_lacks_stays_and_the_constraint_is_named(
    full: Sides,
) -> None:
    full.consulta.execute("INSERT INTO items VALUES (0, 42, 0, 'old');" + PAYMENTS.format("NO ACTION", 0))
    with refused(table="public.items", constraint="paid_item"):
        full.copy(spec(), chunk_rows=10)
    assert full.consulta.rows("SELECT note FROM items WHERE id = 0") == [("old",)]
    assert full.consulta.rows("SELECT item FROM payments") == [(0,)]


def test_a_failure_of_the_record_is_one_of_consulta(full: Sides) -> None:
    def record(connection: object, chunk: object) -> None:
        connection.exec_driver_sql("INSERT INTO no_ledger VALUES (1)")  # type: ignore[attr-defined]

    with refused(side="consulta", condition="UndefinedTable"):
        full.copy(spec(), record=record)
    assert full.consulta.rows("SELECT count(*) FROM items") == [(0,)]


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
def test_a_foreign_key_never_carries_a_delete_on_to_other_tables(sides: Sides, action: str) -> None:
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 1, 'new')")
    sides.consulta.execute(f"""
        INSERT INTO items VALUES (1, 42, 1, 'old');
        CREATE TABLE remarks (item bigint CONSTRAINT remarks_item REFERENCES items ON DELETE {action});
        INSERT INTO remarks VALUES (1);
    """)
    sides.copy_proven(spec())  # in place
    assert sides.consulta.rows("SELECT note, item FROM items, remarks") == [("new", 1)]
    sides.prod.execute("DELETE FROM items")
    with pytest.raises(
        CascadeRefused, match=r"remarks_item of public\.remarks.*as a set, or first"
    ) as refused:
        sides.copy(spec())
    assert (refused.value.table, refused.value.constraint) == ("remarks", "remarks_item")
    assert sides.consulta.rows("SELECT note, item FROM items, remarks") == [("new", 1)]
    sides.consulta.execute("DELETE FROM remarks")
    sides.copy_proven(spec())
    assert sides.consulta.rows("SELECT FROM items") == []


def test_where_the_server_counts_no_changes_a_foreign_key_that_cascades_is_refused(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.consulta.execute(f"""
        CREATE TABLE remarks (item bigint CONSTRAINT remarks_item REFERENCES items ON DELETE CASCADE);
        ALTER DATABASE {sides.consulta.name} SET track_counts = off
    """)
    with pytest.raises(ReferencesCascade, match=r"remarks_item of public\.remarks .*track_counts is off"):
        sides.copy(spec())
