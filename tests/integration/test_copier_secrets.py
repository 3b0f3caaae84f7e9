"""No value of a row is in any message of the engine nor in the log, whatever fails and wherever it does."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest

from bot.config import SIDES
from bot.logs import FORMAT, Redacting
from copier.errors import CopierError, DatabaseFailed, NotProven
from tests.copying import Begun, Sides, spec

#: They stand in the key, in a number, in a text and in a document of the row that is refused.
SECRETS = ("K3Y-", "424242", "S3CRET", "D0C-")
TABLE = """
    CREATE TABLE items (id text PRIMARY KEY, liquidation_id int NOT NULL, amount numeric, note text,
                        doc jsonb);
    CREATE INDEX ON items (liquidation_id, id);
"""
FILL = """
    INSERT INTO items SELECT 'K3Y-' || lpad(g::text, 3, '0'), 42, 424242 + g / 100.0, 'S3CRET ' || g,
                             jsonb_build_object('D0C-', g)
      FROM generate_series(1, 40) g
"""


@dataclass(frozen=True)
class Trap:
    """What makes a copy of these rows fail: done to consulta, or to prod."""

    consulta: str = ""
    prod: str = ""
    source: str = field(default=TABLE + FILL)


def trigger(action: str) -> str:
    return f"""
        CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.note LIKE '% 25' THEN {action}; END IF; RETURN NEW; END $$;
        CREATE TRIGGER guard BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION guard();
    """


TRAPS = {
    "check": Trap("ALTER TABLE items ADD CHECK (liquidation_id <> 42 OR note NOT LIKE '% 25') NOT VALID"),
    "unique": Trap("CREATE UNIQUE INDEX ON items ((right(note, 1)))  WHERE note LIKE 'S3CRET%'"),
    "foreign key": Trap("CREATE TABLE n (note text PRIMARY KEY); "
                        "ALTER TABLE items ADD FOREIGN KEY (note) REFERENCES n NOT VALID"),
    "deferred": Trap("CREATE TABLE n (note text PRIMARY KEY); ALTER TABLE items ADD FOREIGN KEY (note) "
                     "REFERENCES n DEFERRABLE INITIALLY DEFERRED NOT VALID"),
    "exclusion": Trap("ALTER TABLE items ADD EXCLUDE USING btree ((right(note, 1)) WITH =) "
                      "WHERE (note LIKE 'S3CRET%')"),
    "raise": Trap(trigger("RAISE EXCEPTION '% % % %', NEW.id, NEW.amount, NEW.note, NEW.doc")),
    "raise with a code": Trap(trigger("RAISE EXCEPTION '%', NEW.note USING ERRCODE = '23514', HINT = NEW.id, "
                                      "CONSTRAINT = 'c', TABLE = 'items'")),
    "raise with names": Trap(trigger("RAISE EXCEPTION 'no' USING ERRCODE = '23514', CONSTRAINT = NEW.note, "
                                     "TABLE = NEW.id, COLUMN = NEW.amount, DATATYPE = NEW.doc, "
                                     "SCHEMA = NEW.note")),
    "raise with names of a unique constraint": Trap(trigger(
        "RAISE unique_violation USING CONSTRAINT = NEW.note, TABLE = NEW.id, COLUMN = NEW.doc")),
    "raise with names and no code": Trap(trigger(
        "RAISE EXCEPTION 'no' USING CONSTRAINT = NEW.note, TABLE = NEW.id, COLUMN = NEW.amount")),
    "raise with names, worth a retry": Trap(trigger(
        "RAISE deadlock_detected USING CONSTRAINT = NEW.note, TABLE = NEW.id, COLUMN = NEW.doc")),
    "raise with names, caught and raised again": Trap(trigger(
        "BEGIN RAISE check_violation USING CONSTRAINT = NEW.note, TABLE = NEW.id; "
        "EXCEPTION WHEN check_violation THEN RAISE; END")),
    "cast": Trap(trigger("NEW.amount = NEW.note::numeric")),
    "dynamic SQL": Trap(trigger("EXECUTE NEW.note")),
    "sql function": Trap("""
        CREATE FUNCTION bad(text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1::int';
        CREATE INDEX ON items (bad(note)) WHERE note LIKE 'S3CRET%'
    """),
    "division": Trap(trigger("NEW.amount = NEW.amount / (NEW.amount - NEW.amount)")),
    "rows dropped": Trap(trigger("RETURN NULL")),
    "row altered": Trap(trigger("NEW.doc = NULL")),
    "index too wide": Trap(
        "ALTER TABLE items ALTER note SET STORAGE EXTERNAL; CREATE INDEX ON items (note)",
        source=TABLE + FILL + "; UPDATE items SET note = note || (SELECT string_agg(md5(g::text), '') "
        "FROM generate_series(1, 200) g) WHERE note LIKE '% 25'"),
    "a view that fails": Trap(prod="""
        ALTER TABLE items RENAME TO base;
        CREATE VIEW items AS SELECT id, liquidation_id, amount, note, (note::jsonb) AS doc FROM base
    """),
    "a key twice": Trap(prod="""
        ALTER TABLE items RENAME TO base;
        CREATE VIEW items AS SELECT * FROM base UNION ALL SELECT * FROM base WHERE note LIKE '% 25'
    """),
    "the name of an object": Trap(
        source=TABLE + """CREATE TABLE "S3CRET" (x int); ALTER TABLE items ADD object regclass;"""
        + FILL.replace("('D0C-', g)", """('D0C-', g), '"S3CRET"'::regclass"""),
        consulta="ALTER TABLE items ADD object regclass"),
    "a key that is NULL": Trap(prod="""
        ALTER TABLE items RENAME TO base; CREATE VIEW items AS
        SELECT nullif(id, 'K3Y-025') AS id, liquidation_id, amount, note, doc FROM base
    """),
}  # fmt: skip


@pytest.fixture(params=["into nothing", "over other rows, in lanes"])
def held(sides: Sides, request: pytest.FixtureRequest) -> Iterator[Sides]:
    sides.consulta.execute(TABLE)
    if request.param != "into nothing":
        sides.consulta.execute("""
            INSERT INTO items SELECT 'K3Y-' || lpad(g::text, 3, '0'), 42, 0, 'old ' || g
              FROM generate_series(1, 60, 2) g
        """)
    yield sides


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
def test_what_fails_is_told_without_a_value(held: Sides, trap: Trap, request: pytest.FixtureRequest) -> None:
    held.prod.execute(trap.source)
    if trap.prod:
        held.prod.execute(trap.prod)
    if trap.consulta:
        held.consulta.execute(trap.consulta)
    with pytest.raises(CopierError) as failed:
        parallel = 3 if "in lanes" in request.node.name else 1
        done = held.copy(spec(), chunk_rows=10, parallel=parallel)
        if not done.proof.holds:
            raise NotProven(done.proof.reasons(SIDES), [], SIDES)
    tells_nothing(failed.value)


def tells_nothing(error: CopierError) -> None:
    """Not in the sentence, nor in what else may be shown of the error, nor in its traceback in the log."""
    parts = [*vars(error).values()]
    failed = (type(error), error, error.__traceback__)
    parts.append(Redacting(FORMAT).format(logging.LogRecord("x", 40, "x", 1, "failed", (), failed)))
    assert type(error).__name__ in parts[-1]
    for sentence in [str(error), *map(str, parts)]:
        assert not any(secret in sentence for secret in SECRETS), sentence


#: What consulta refuses by itself, and the name that tells whoever has to mend it where to look.
REFUSALS = {
    "check": ("ALTER TABLE items ADD CONSTRAINT named CHECK (note NOT LIKE '% 25') NOT VALID", "named"),
    "unique": ("CREATE UNIQUE INDEX named ON items ((right(note, 1))) WHERE note LIKE 'S3CRET%'", "named"),
    "foreign key": ("CREATE TABLE n (note text PRIMARY KEY); ALTER TABLE items ADD CONSTRAINT named "
                    "FOREIGN KEY (note) REFERENCES n NOT VALID", "named"),
    "exclusion": ("ALTER TABLE items ADD CONSTRAINT named EXCLUDE USING btree ((right(note, 1)) WITH =) "
                  "WHERE (note LIKE 'S3CRET%')", "named"),
    "below a trigger": ("CREATE TABLE log (note text CONSTRAINT named CHECK (note NOT LIKE '% 25'));"
                        + trigger("INSERT INTO log VALUES (NEW.note)"), "named"),
}  # fmt: skip


@pytest.mark.parametrize(("refusal", "name"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_constraint_that_the_catalogue_knows_is_named(held: Sides, refusal: str, name: str) -> None:
    held.prod.execute(TABLE + FILL)
    held.consulta.execute(refusal)
    with pytest.raises(DatabaseFailed) as failed:
        held.copy(spec(), chunk_rows=10)
    assert failed.value.constraint == name
    assert re.search(rf"(constraint|foreign key) {name}\b", str(failed.value))
    tells_nothing(failed.value)


def test_a_lock_and_a_lost_session_tell_nothing(held: Sides) -> None:
    held.prod.execute(TABLE + FILL)
    with psycopg.connect(held.consulta.url) as somebody:
        somebody.execute("LOCK TABLE items IN SHARE MODE")
        with pytest.raises(CopierError) as failed:
            held.copy(spec(), chunk_rows=10, lock_timeout_seconds=0.05)
        tells_nothing(failed.value)
    with held.open(spec(), chunk_rows=10) as copy:
        run = Begun(copy)
        held.prod.execute("""
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
        """)
        with pytest.raises(CopierError) as failed:
            run.finish()
    tells_nothing(failed.value)
