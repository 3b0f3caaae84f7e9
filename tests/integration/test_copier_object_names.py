"""A regclass and its like name an object of their own server: the copy names the same one in consulta."""

from __future__ import annotations

import pytest

from copier import Preview
from copier.errors import NoUsableKey
from tests.copying import Sides, engine, preview, spec

#: The same names in two schemas, of which each side looks into another one first.
OBJECTS = "".join(
    f"""
    CREATE SCHEMA {schema};
    CREATE TABLE {schema}.t (a int);
    CREATE TYPE {schema}.kind AS ENUM ('x');
    CREATE FUNCTION {schema}.f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
    CREATE FUNCTION {schema}.g(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
    CREATE OPERATOR {schema}.<<<< (FUNCTION = {schema}.f, RIGHTARG = int);
    CREATE COLLATION {schema}.sorted (LOCALE = 'C');
    CREATE TEXT SEARCH DICTIONARY {schema}.words (TEMPLATE = simple);
    CREATE TEXT SEARCH CONFIGURATION {schema}.search (COPY = pg_catalog.simple);
    """
    for schema in ("app", "other")
)

NAMES = {
    "regclass": ("regclass", "app.t"),
    "regtype": ("regtype", "app.kind"),
    "regproc": ("regproc", "app.g"),
    "regprocedure": ("regprocedure", "app.f(integer)"),
    "regoper": ("regoper", "app.<<<<"),
    "regoperator": ("regoperator", "app.<<<<(NONE,integer)"),
    "regcollation": ("regcollation", "app.sorted"),
    "regdictionary": ("regdictionary", "app.words"),
    "regconfig": ("regconfig", "app.search"),
    "regrole": ("regrole", "postgres"),
    "regnamespace": ("regnamespace", "app"),
    "an array": ("regclass[]", "{app.t,NULL,pg_class}"),
    "a domain": ("named", "app.t"),
    "a composite": ("pair", "(1,app.t)"),
    "an array of a composite": ("pair[]", '{"(1,app.t)"}'),
    "a range": ("named_range", "[app.t,)"),
}

TYPES = """
    CREATE DOMAIN named AS regclass;
    CREATE TYPE pair AS (a int, b named);
    CREATE TYPE named_range AS RANGE (subtype = regclass);
"""


@pytest.fixture
def apart(sides: Sides) -> Sides:
    """Unqualified, a name means that of ``app`` in prod and that of ``other`` in consulta."""
    sides.consulta.execute("CREATE TABLE shifts_the_oids (a int); CREATE TYPE and_more AS (a int)")
    sides.both(OBJECTS + TYPES)
    sides.prod.execute(f"ALTER DATABASE {sides.prod.name} SET search_path = app, public")
    sides.consulta.execute(f"ALTER DATABASE {sides.consulta.name} SET search_path = other, public")
    return sides


def qualified(sides: Sides) -> list[list[str]]:
    """What both sides' values name, written whole."""
    ask = "SELECT set_config('search_path', '', false); SELECT id, v::text FROM public.items ORDER BY id"
    return [side.server.psql(ask, side.name).split() for side in (sides.prod, sides.consulta)]


@pytest.mark.parametrize(("type_name", "value"), NAMES.values(), ids=NAMES.keys())
def test_a_name_is_that_of_the_same_object_though_each_side_has_its_own_search_path(
    apart: Sides, type_name: str, value: str
) -> None:
    apart.both(f"CREATE TABLE public.items (id int PRIMARY KEY, liquidation_id int, v {type_name})")
    apart.prod.execute(
        f"INSERT INTO public.items VALUES (1, 42, '{value}'), (2, 42, NULL), (3, 42, '{value}')"
    )
    assert apart.copy_proven(spec()).outcomes == ["copied"]
    ours, theirs = qualified(apart)
    assert ours == theirs
    assert value.replace('"', "") in ours[0].replace('"', "")
    assert apart.copy_proven(spec()).outcomes == ["unchanged"]
    apart.prod.execute("UPDATE public.items SET v = NULL WHERE id = 3")
    assert apart.copy_proven(spec()).counts.updated == 1
    ours, theirs = qualified(apart)
    assert ours == theirs


def test_a_name_of_another_object_in_consulta_is_found_and_put_right(apart: Sides) -> None:
    apart.both("CREATE TABLE public.items (id int PRIMARY KEY, liquidation_id int, v regclass)")
    apart.prod.execute("INSERT INTO public.items VALUES (1, 42, 'app.t'), (2, 42, 'other.t')")
    apart.consulta.execute("INSERT INTO public.items VALUES (1, 42, 'other.t'), (2, 42, 'other.t')")
    with apart.open(spec()) as copy:
        assert not copy.verify().holds
    assert apart.copy_proven(spec()).counts.updated == 1
    assert qualified(apart)[1] == ["1|app.t", "2|other.t"]


def test_a_trigger_of_consulta_has_its_search_path_where_a_row_with_names_is_written(apart: Sides) -> None:
    apart.both("CREATE TABLE public.items (id int PRIMARY KEY, liquidation_id int, v regclass)")
    apart.consulta.execute("""
        CREATE TABLE other.seen (id int);
        CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO seen VALUES (NEW.id); RETURN NEW; END $$;
        CREATE TRIGGER note BEFORE INSERT ON public.items FOR EACH ROW EXECUTE FUNCTION public.note();
    """)
    apart.prod.execute("INSERT INTO public.items SELECT g, 42, 'app.t' FROM generate_series(1, 9) g")
    apart.copy_proven(spec(), chunk_rows=4)
    assert apart.consulta.rows("SELECT count(*) FROM other.seen") == [(9,)]


def test_a_view_without_names_is_read_by_the_search_path_that_its_functions_need(apart: Sides) -> None:
    apart.both("CREATE TABLE public.items (id int PRIMARY KEY, liquidation_id int, v int)")
    apart.prod.execute("""
        CREATE FUNCTION public.counted() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM t';
        ALTER TABLE public.items RENAME TO base;
        CREATE VIEW public.items AS SELECT id, liquidation_id, counted()::int AS v FROM public.base;
        INSERT INTO app.t VALUES (1);
        INSERT INTO public.base VALUES (1, 42), (2, 42);
    """)
    apart.copy_proven(spec())
    assert apart.consulta.rows("SELECT v FROM public.items") == [(1,), (1,)]


@pytest.mark.parametrize("type_name", ["regclass", "named", "regclass[]", "pair", "named_range"])
def test_a_key_that_each_server_numbers_for_itself_is_refused(apart: Sides, type_name: str) -> None:
    apart.both(f"CREATE TABLE public.items (id {type_name} PRIMARY KEY, liquidation_id int)")
    with pytest.raises(NoUsableKey, match=r"key column id is .* numbers that each server gives for itself"):
        apart.copy(spec())
    with pytest.raises(NoUsableKey):
        look(apart)


def look(sides: Sides) -> Preview:
    return preview(engine(sides.prod.url), engine(sides.consulta.url), spec(), 42)


LARGE = """
    CREATE EXTENSION lo;
    CREATE DOMAIN scan AS oid;
    CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, a oid, b scan, c oid[], d lo, e lo[])
"""


def test_a_preview_names_the_columns_that_point_to_large_objects(sides: Sides) -> None:
    sides.both(LARGE)
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 1, 2, '{3}', 4, '{5}')")
    assert look(sides).large_object_columns == ("d", "e")  # prod has none yet: other oids aren't theirs
    sides.prod.execute("UPDATE items SET a = lo_from_bytea(0, 'payslip')")
    assert look(sides).large_object_columns == ("a", "b", "c", "d", "e")
    sides.copy_proven(spec())


def test_a_preview_of_a_table_without_such_columns_names_none(sides: Sides) -> None:
    sides.both("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, note text)")
    sides.prod.execute("SELECT lo_from_bytea(0, 'payslip')")
    assert look(sides).large_object_columns == ()
