"""A look at both sides: what is there, bounded in time, and nothing written."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from copier import Baseline, Catalogue, CopySpec, Count, Counts, Fingerprint, Lacking, Preview, TableName
from copier.errors import ColumnMissing, ColumnsDiffer, NoUsableKey, TableMissing, Transient
from dev.proxy import Proxy
from tests.copying import ITEMS, Sides, engine, preview, sessions_end, spec
from tests.payroll import ALL, TABLES, filled

CATALOGUE = Catalogue(TableName.parse("liquidations"), "id", "name")
COLUMNS = ("amount", "id", "liquidation_id", "note")
MADE_OF = Fingerprint("public.items", "public.items", "liquidation_id", ("id",), COLUMNS)


@pytest.fixture
def full(sides: Sides) -> Sides:
    sides.both(ITEMS)
    sides.prod.execute("""
        INSERT INTO items SELECT g, 42 + g % 2 FROM generate_series(1, 100) g;
        CREATE TABLE liquidations (id int PRIMARY KEY, name text);
        INSERT INTO liquidations VALUES (42, 'Año 50% "julio"'), (44, NULL), (45, 'empty');
    """)
    sides.consulta.execute("INSERT INTO items SELECT g, 42 FROM generate_series(1, 7) g")
    return sides


def look(
    sides: Sides,
    liquidation: int = 42,
    catalogue: Catalogue | None = CATALOGUE,
    wanted: CopySpec | None = None,
    timeout_seconds: float = 10.0,
) -> Preview:
    return preview(
        engine(sides.prod.url),
        engine(sides.consulta.url),
        wanted or spec(),
        liquidation,
        catalogue=catalogue,
        timeout_seconds=timeout_seconds,
    )


def seen(exists: bool | None, label: str | None, in_prod: int, in_consulta: int) -> Preview:
    """Both counts exact, and no advice."""
    sides = Count(in_prod, exact=True), Count(in_consulta, exact=True)
    return Preview(exists, label, *sides, (), fingerprint=MADE_OF)


def test_a_preview_tells_the_name_and_the_rows_of_both_sides(full: Sides) -> None:
    assert look(full) == seen(True, 'Año 50% "julio"', 50, 7)


def test_without_a_catalogue_existence_is_not_known(full: Sides) -> None:
    assert look(full, catalogue=None) == seen(None, None, 50, 7)


def test_an_unknown_an_unnamed_and_an_empty_liquidation_are_told_apart(full: Sides) -> None:
    assert look(full, 4242) == seen(False, None, 0, 0)
    assert look(full, 44) == seen(True, None, 0, 0)
    assert look(full, 45) == seen(True, "empty", 0, 0)
    assert look(full, 2**63 - 1) == seen(False, None, 0, 0)


@pytest.mark.parametrize("type_name", ["text", "char(6)", "numeric(9,0)"])
def test_the_catalogue_may_number_liquidations_in_another_type(full: Sides, type_name: str) -> None:
    full.prod.execute(f"ALTER TABLE liquidations ALTER id TYPE {type_name}")
    assert look(full).label == 'Año 50% "julio"'
    assert look(full, 4).exists is False


def test_a_catalogue_whose_column_takes_no_number_has_no_such_liquidation(full: Sides) -> None:
    full.prod.execute("""
        CREATE DOMAIN code AS text CHECK (VALUE LIKE 'L%');
        DROP TABLE liquidations;
        CREATE TABLE liquidations (id code PRIMARY KEY, name text, also uuid DEFAULT gen_random_uuid());
        INSERT INTO liquidations VALUES ('L42', 'named')
    """)
    for column in ("id", "also"):
        wanted = Catalogue(TableName.parse("liquidations"), column, "name")
        assert look(full, catalogue=wanted) == seen(False, None, 50, 7)


@pytest.mark.parametrize("type_name", ["uuid", "date", "boolean", "int[]", "int4range", "jsonb"])
def test_a_liquidation_column_that_takes_no_number_is_refused_in_words(full: Sides, type_name: str) -> None:
    full.both(f"ALTER TABLE items ADD liq {type_name}")
    for ask in (lambda: look(full, wanted=spec(column="liq")), lambda: full.copy(spec(column="liq"))):
        with pytest.raises(ColumnsDiffer) as refused:
            ask()
        shown = {"int[]": "integer[]"}.get(type_name, type_name)
        wanted = "liquidations have numbers here, so make it an integer, a numeric or a text"
        assert refused.value.lines == [f"liq is {shown} in {side}: {wanted}" for side in ("prod", "consulta")]


@pytest.mark.parametrize(
    ("type_name", "written", "moment"),
    [
        ("timestamptz", "2026-10-01 12:00+00", datetime(2026, 10, 1, 12, tzinfo=UTC)),
        ("timestamp", "2026-10-01 09:00", datetime(2026, 10, 1, 12, tzinfo=UTC)),
        ("date", "2026-10-01", datetime(2026, 10, 1, 3, tzinfo=UTC)),
        ("timestamptz", "infinity", None),
        ("text", "yesterday", None),
    ],
)
def test_the_catalogue_tells_when_a_liquidation_changed_in_the_server_s_own_time(
    full: Sides, type_name: str, written: str, moment: datetime | None
) -> None:
    full.prod.execute(f"""
        ALTER TABLE liquidations ADD "changed at" {type_name};
        UPDATE liquidations SET "changed at" = '{written}' WHERE id = 42;
        ALTER DATABASE {full.prod.name} SET TimeZone = 'America/Argentina/Buenos_Aires';
    """)
    wanted = Catalogue(TableName.parse("liquidations"), "id", "name", "changed at")
    assert look(full, catalogue=wanted).changed_at == moment
    assert look(full, 45, catalogue=wanted).changed_at is None


def test_awkward_names_in_the_catalogue_are_only_names(full: Sides) -> None:
    full.prod.execute("""
        CREATE SCHEMA "50% {x}";
        CREATE TABLE "50% {x}"."a""b %s" ("the id" int, "%(name)s" varchar(20));
        INSERT INTO "50% {x}"."a""b %s" VALUES (42, 'found');
    """)
    wanted = Catalogue(TableName("50% {x}", 'a"b %s'), "the id", "%(name)s")
    assert look(full, catalogue=wanted).label == "found"


@pytest.mark.parametrize("timeout_seconds", [0.2, 0.0001])
def test_a_count_that_would_take_too_long_is_an_estimate(full: Sides, timeout_seconds: float) -> None:
    full.consulta.execute("DELETE FROM items")
    full.prod.execute("""
        ANALYZE items;
        ALTER TABLE items RENAME TO base;
        CREATE VIEW items AS SELECT * FROM base WHERE pg_sleep(30)::text = ''
    """)
    if timeout_seconds < 0.01:  # too short for anything: that is said, and nobody waits for half a minute
        with pytest.raises(Transient):
            look(full, timeout_seconds=timeout_seconds)
    else:
        found = look(full, timeout_seconds=timeout_seconds)
        assert (found.exists, found.in_target) == (True, Count(0, exact=True))
        assert not found.in_source.exact
        assert found.in_source.rows is not None
        assert 0 <= found.in_source.rows <= 50


def test_the_estimate_is_the_planners_and_near_what_is_there(full: Sides) -> None:
    """A count is slow here because each row's check waits; the planner knows nothing of that."""
    full.prod.execute("""
        INSERT INTO items SELECT g, 42 FROM generate_series(1000, 20000) g;
        ANALYZE items;
        CREATE FUNCTION slowly() RETURNS boolean STABLE LANGUAGE sql AS 'SELECT pg_sleep(30) IS NOT NULL';
        ALTER TABLE items RENAME TO base;
        CREATE VIEW items AS SELECT * FROM base WHERE (SELECT slowly())
    """)
    found = look(full, timeout_seconds=0.5)
    assert found.in_source == Count(found.in_source.rows, exact=False)
    assert found.in_source.rows is not None
    assert 8_000 < found.in_source.rows < 30_000


def test_a_count_of_consulta_that_waits_for_a_lock_is_not_known(full: Sides) -> None:
    with psycopg.connect(full.consulta.url) as somebody:
        somebody.execute("LOCK TABLE items")
        found = look(full, timeout_seconds=0.2)
    assert (found.in_source, found.in_target) == (Count(50, exact=True), Count(None, exact=False))


def test_a_preview_refuses_what_a_copy_would_refuse(full: Sides) -> None:
    with pytest.raises(TableMissing, match=r"public\.nothing"):
        look(full, wanted=spec("nothing"))
    with pytest.raises(ColumnMissing, match="liq"):
        look(full, wanted=spec(column="liq"))
    with pytest.raises(NoUsableKey):
        look(full, wanted=spec(key=("note",)))
    with pytest.raises(TableMissing):
        look(full, catalogue=Catalogue(TableName.parse("no_catalogue"), "id", "name"))
    full.consulta.execute("ALTER TABLE items DROP COLUMN amount")
    with pytest.raises(ColumnsDiffer):
        look(full)


def test_a_preview_leaves_no_session_behind(full: Sides) -> None:
    look(full)
    with pytest.raises(TableMissing):
        look(full, wanted=spec("nothing"))
    assert sessions_end(full.prod)
    assert sessions_end(full.consulta)


@pytest.mark.parametrize("moment", ["20000-01-01", "0044-03-15 BC", "infinity", "-infinity"])
def test_a_time_of_change_that_no_calendar_of_ours_has_is_not_known(sides: Sides, moment: str) -> None:
    sides.both(ITEMS)
    sides.prod.execute(
        "CREATE TABLE liquidations (id int PRIMARY KEY, name text, changed timestamptz); "
        f"INSERT INTO liquidations VALUES (42, 'x', '{moment}')"
    )
    listed = Catalogue(TableName.parse("liquidations"), "id", "name", changed_column="changed")
    seen = preview(engine(sides.prod.url), engine(sides.consulta.url), spec(), 42, catalogue=listed)
    assert (seen.exists, seen.changed_at) == (True, None)


def test_rows_whose_key_is_null_are_refused_before_anybody_presses(sides: Sides) -> None:
    sides.prod.execute("CREATE TABLE items (id bigint, liquidation_id bigint, amount numeric, note text)")
    sides.prod.execute("INSERT INTO items VALUES (1, 42), (NULL, 42)")
    sides.consulta.execute(ITEMS)
    with pytest.raises(NoUsableKey, match=r"key \(id\) is NULL in 1 row of table public\.items of prod"):
        preview(engine(sides.prod.url), engine(sides.consulta.url), spec(), 42)


def test_a_look_for_keys_that_takes_too_long_ends_and_the_rest_is_shown(sides: Sides) -> None:
    sides.prod.execute(
        "CREATE TABLE base (id bigint, liquidation_id bigint, scan oid); "
        "CREATE FUNCTION slow(bigint) RETURNS bigint LANGUAGE sql VOLATILE AS "
        "$$ SELECT $1 FROM pg_sleep(0.05) $$; "
        "CREATE VIEW items AS SELECT slow(id) AS id, liquidation_id, scan FROM base; "
        "INSERT INTO base SELECT g, 42, lo_create(0) FROM generate_series(1, 50) g"
    )
    sides.consulta.execute("CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, scan oid)")
    seen = preview(engine(sides.prod.url), engine(sides.consulta.url), spec(), 42, timeout_seconds=0.7)
    assert not seen.taken.exact
    assert seen.large_object_columns == ("scan",)


# ---- What a copy would do, where an earlier one has proven the liquidation --------------------------


def _proven(sides: Sides) -> Baseline:
    with sides.open(spec()) as copy:
        assert copy.verify(copy.run()).holds
        baseline = copy.baseline()
    assert baseline is not None
    return baseline


def _look_again(sides: Sides, baseline: Baseline, seconds: float = 10.0) -> Preview:
    prod, consulta = engine(sides.prod.url), engine(sides.consulta.url)
    return preview(prod, consulta, spec(), 42, baseline=baseline, timeout_seconds=seconds)


def test_after_a_proof_a_preview_tells_exactly_what_a_copy_would_do(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' FROM generate_series(1, 100) g")
    baseline = _proven(sides)
    assert preview(engine(sides.prod.url), engine(sides.consulta.url), spec(), 42).expected_changes is None
    sides.prod.execute("""
        UPDATE items SET note = 'changed' WHERE id <= 12;
        INSERT INTO items SELECT g, 42, g, 'new' FROM generate_series(201, 203) g;
        DELETE FROM items WHERE id = 50
    """)
    seen = _look_again(sides, baseline)
    assert seen.expected_changes is not None
    assert seen.expected_changes.counts == Counts(inserted=3, updated=12, deleted=1, unchanged=87)
    assert (seen.in_source, seen.in_target, seen.taken) == (
        Count(102, True),
        Count(100, True),
        Count(0, True),
    )


def test_rows_that_another_liquidation_would_lose_are_counted_among_the_new_keys(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' FROM generate_series(1, 100) g")
    sides.both("INSERT INTO items SELECT g, 7, g, 'n' FROM generate_series(201, 205) g")
    baseline = _proven(sides)
    sides.prod.execute("UPDATE items SET liquidation_id = 42 WHERE id IN (202, 203)")
    seen = _look_again(sides, baseline)
    assert seen.taken == Count(2, True)
    assert seen.expected_changes is not None
    assert seen.expected_changes.counts == Counts(inserted=2, unchanged=100)


def test_what_a_proof_says_nothing_of_any_more_is_counted_as_before(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' FROM generate_series(1, 100) g")
    baseline = _proven(sides)
    sides.both("ALTER TABLE items ADD COLUMN extra int DEFAULT 7")
    seen = _look_again(sides, baseline)
    assert seen == preview(engine(sides.prod.url), engine(sides.consulta.url), spec(), 42)
    assert (seen.in_source, seen.expected_changes) == (Count(100, True), None)


def test_a_table_that_somebody_holds_is_previewed_as_without_a_proof(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' FROM generate_series(1, 100) g")
    baseline = _proven(sides)
    with psycopg.connect(sides.consulta.url) as holder:
        holder.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        seen = _look_again(sides, baseline, 0.5)
    assert (seen.in_source, seen.in_target, seen.expected_changes) == (
        Count(100, True),
        Count(None, False),
        None,
    )


# ------------------------------------------------------------ rows of other tables, which a set doesn't bring


def test_foreign_keys_within_a_set_cost_its_preview_no_message_and_one_to_another_table_one_a_side(
    sides: Sides,
) -> None:
    sides.both(TABLES + "CREATE TABLE employees (name text PRIMARY KEY)")
    sides.prod.execute(filled(30))
    together = [each.target_table for each in ALL]
    with Proxy(sides.prod.server.port) as prod, Proxy(sides.consulta.server.port) as consulta:
        here, there = (
            engine(side.url.replace(str(side.server.port), str(proxy.port)))
            for side, proxy in ((sides.prod, prod), (sides.consulta, consulta))
        )

        def asked(brought: list[TableName] | None) -> tuple[int, int, list[Lacking]]:
            """The messages of a preview of all tables to either side, and what consulta lacks."""
            before = prod.round_trips, consulta.round_trips
            seen = [preview(here, there, each, 42, parents_too=True, brought=brought) for each in ALL]
            lacking = [found for each in seen for found in each.lacking]
            return prod.round_trips - before[0], consulta.round_trips - before[1], lacking

        asked(None)  # what a server is, is asked once
        of_prod, of_consulta, _ = asked(None)
        assert asked(together) == (of_prod, of_consulta, [])
        sides.consulta.execute(
            "ALTER TABLE payslips ADD CONSTRAINT of_employee FOREIGN KEY (employee) REFERENCES employees"
        )
        lacking = Lacking("of_employee", "public.employees", 10, exact=True)
        assert asked(together) == (of_prod + 1, of_consulta + 1, [lacking])


def test_what_a_partitioned_table_lacks_of_others_is_counted_once_for_all_its_partitions(
    sides: Sides,
) -> None:
    sides.both("""
        CREATE TABLE concepts (code text PRIMARY KEY) PARTITION BY LIST (code);
        CREATE TABLE concepts_a PARTITION OF concepts DEFAULT;
        CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, "Code" text)
            PARTITION BY RANGE (id);
        CREATE TABLE items_a PARTITION OF items FOR VALUES FROM (0) TO (50);
        CREATE TABLE items_b PARTITION OF items FOR VALUES FROM (50) TO (101);
    """)
    sides.prod.execute("INSERT INTO items SELECT g, 42, 'c' || g % 4 FROM generate_series(1, 100) g")
    sides.consulta.execute("""
        INSERT INTO concepts VALUES ('c0');
        ALTER TABLE items ADD CONSTRAINT "of Concept" FOREIGN KEY ("Code") REFERENCES concepts
    """)
    seen = preview(
        engine(sides.prod.url), engine(sides.consulta.url), spec(), 42, brought=[spec().target_table]
    )
    assert seen.lacking == (Lacking('"of Concept"', "public.concepts", 3, exact=True),)
