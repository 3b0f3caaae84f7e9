"""Types of one name that are made otherwise on each side are refused; made alike they are copied."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from copier.errors import ColumnsDiffer, NoUsableKey
from tests.copying import Sides, engine, preview, spec


@dataclass(frozen=True)
class Made:
    """How each side makes the type of a column, a value of it in prod, and what the refusal names.

    In the statements ``v`` stands for the type of the column.
    """

    ours: str
    theirs: str
    value: str
    words: str
    column: str = "v"


PAIR = "CREATE TYPE p AS (a int, b int); "
SWAPPED = "CREATE TYPE p AS (b int, a int); "
TIMES = "CREATE TYPE r AS RANGE (subtype = {}, multirange_type_name = rs); "
AMOUNT = "CREATE DOMAIN d AS {}; "
APART = "the base of public.d is numeric(14,4) in prod and numeric(14,2) in consulta"

OTHERWISE = {
    "a composite with its members in another order": Made(
        "CREATE TYPE v AS (gross numeric, net numeric)",
        "CREATE TYPE v AS (net numeric, gross numeric)",
        "'(100,80)'",
        "member 1 of public.v is gross in prod and net in consulta",
    ),
    "a composite with a member more": Made(
        "CREATE TYPE v AS (a int)",
        "CREATE TYPE v AS (a int, b int)",
        "'(1)'",
        "member 2 of public.v is nothing in prod and b in consulta",
    ),
    "a composite with a member of another type": Made(
        "CREATE TYPE v AS (a text, b numeric)",
        "CREATE TYPE v AS (a text, b float8)",
        "'(x,0.12345678901234567890123)'",
        "member b of public.v is numeric in prod and double precision in consulta",
    ),
    "a composite with a member of another length": Made(
        "CREATE TYPE v AS (a char(5))",
        "CREATE TYPE v AS (a char(9))",
        "'(ab)'",
        "member a of public.v is character(5) in prod and character(9) in consulta",
    ),
    "a composite in a composite": Made(
        PAIR + "CREATE TYPE v AS (p p, c int)",
        SWAPPED + "CREATE TYPE v AS (p p, c int)",
        """'("(1,2)",3)'""",
        "member 1 of public.p is a in prod and b in consulta",
    ),
    "an array of a composite": Made(PAIR, SWAPPED, """'{"(1,2)"}'""", "member 1 of public.p", "p[]"),
    "an array of an array's domain": Made(
        PAIR + "CREATE DOMAIN v AS p[]", SWAPPED + "CREATE DOMAIN v AS p[]", """ARRAY['{"(1,2)"}'::v]""",
        "member 1 of public.p", "v[]",
    ),
    "the rows of a table": Made(
        "CREATE TABLE v (a int, gone int, b int); ALTER TABLE v DROP COLUMN gone",
        "CREATE TABLE v (b int, a int)",
        "'(1,2)'",
        "member 1 of public.v is a in prod and b in consulta",
    ),
    "a range of time or of timestamp": Made(
        TIMES.format("time"),
        TIMES.format("timestamp"),
        "'[08:00,17:00)'",
        "the subtype of public.r is time without time zone in prod and timestamp without time zone in",
        "r",
    ),
    "a range of dates or of numbers": Made(
        TIMES.format("date"), TIMES.format("int4"), "'[2024-01-01,2024-02-01)'",
        "the subtype of public.r is date in prod and integer in consulta", "r",
    ),
    "a range of another order": Made(
        """CREATE TYPE v AS RANGE (subtype = text, collation = "C")""",
        """CREATE TYPE v AS RANGE (subtype = text, collation = "pg_c_utf8")""",
        "'[a,b)'",
        'public.v is sorted by text_ops "C" in prod and by text_ops pg_c_utf8 in consulta',
    ),
    "a multirange": Made(
        TIMES.format("date"), TIMES.format("int4"), "'{[2024-01-01,2024-02-01)}'",
        "the subtype of public.r is date in prod and integer in consulta", "rs",
    ),
    "an array of a range": Made(
        TIMES.format("date"), TIMES.format("int4"), """'{"[2024-01-01,2024-02-01)"}'""",
        "the subtype of public.r", "r[]",
    ),
    "a domain over a range": Made(
        TIMES.format("time") + "CREATE DOMAIN v AS r",
        TIMES.format("timestamp") + "CREATE DOMAIN v AS r",
        "'[08:00,17:00)'",
        "the subtype of public.r is time without",
    ),
    "a domain over a composite": Made(
        PAIR + "CREATE DOMAIN v AS p", SWAPPED + "CREATE DOMAIN v AS p", "'(1,2)'", "member 1 of public.p"
    ),
    "a domain of another scale": Made(
        AMOUNT.format("numeric(14,4)"), AMOUNT.format("numeric(14,2)"), "1.2345", APART, "d"
    ),
    "a domain of a finer scale": Made(
        AMOUNT.format("numeric(12,2)"), AMOUNT.format("numeric(14,4)"), "1.23",
        "the base of public.d is numeric(12,2) in prod and numeric(14,4) in consulta", "d",
    ),
    "a domain of a shorter length": Made(
        AMOUNT.format("varchar(9)"), AMOUNT.format("varchar(4)"), "'abcd     '",
        "the base of public.d is character varying(9) in prod and character varying(4) in consulta", "d",
    ),
    "a domain of a coarser time": Made(
        AMOUNT.format("timestamp"), AMOUNT.format("timestamp(0)"), "'2024-01-01 00:00:00.6'",
        "the base of public.d is timestamp without time zone in prod and timestamp(0) without", "d",
    ),
    "a domain over an array of another scale": Made(
        AMOUNT.format("numeric(14,4)[]"), AMOUNT.format("numeric(14,2)[]"), "'{1.2345}'",
        "an element of the base of public.d is numeric(14,4) in prod and numeric(14,2) in consulta", "d",
    ),
    "an array of a domain": Made(
        AMOUNT.format("numeric(14,4)"), AMOUNT.format("numeric(14,2)"), "'{1.2345}'", APART, "d[]"
    ),
    "a domain over a domain": Made(
        AMOUNT.format("numeric(14,4)") + "CREATE DOMAIN v AS d",
        AMOUNT.format("numeric(14,2)") + "CREATE DOMAIN v AS d",
        "1.2345",
        APART,
    ),
    "a composite with a domain": Made(
        AMOUNT.format("numeric(14,4)") + "CREATE TYPE v AS (a d)",
        AMOUNT.format("numeric(14,2)") + "CREATE TYPE v AS (a d)",
        "'(1.2345)'",
        APART,
    ),
    "a domain or an enum": Made(
        "CREATE DOMAIN v AS text",
        "CREATE TYPE v AS ENUM ('x', 'y')",
        "'x'",
        "public.v is of the kind domain in prod and enum in consulta",
    ),
}  # fmt: skip


def tables(sides: Sides, made: Made, theirs: str) -> None:
    for side, types in ((sides.prod, made.ours), (sides.consulta, theirs)):
        side.execute(f"{types}; CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v {made.column})")
    sides.prod.execute(f"INSERT INTO items VALUES (1, 42, {made.value}), (2, 42, NULL)")


@pytest.mark.parametrize("made", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_a_type_of_one_name_that_is_made_otherwise_is_refused_before_the_first_row(
    sides: Sides, made: Made
) -> None:
    tables(sides, made, made.theirs)
    with pytest.raises(ColumnsDiffer) as refused:
        sides.copy(spec())
    [line] = refused.value.lines
    assert line.startswith("v is public.")
    assert f"these are two types of one name, {made.words}" in line
    assert line.endswith(": make them the same")
    with pytest.raises(ColumnsDiffer, match="these are two types of one name"):
        preview(engine(sides.prod.url), engine(sides.consulta.url), spec(), 42)
    assert sides.consulta.rows("SELECT * FROM items") == []


@pytest.mark.parametrize("made", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_the_same_type_made_alike_is_copied(sides: Sides, made: Made) -> None:
    sides.consulta.execute("CREATE TYPE shifts_the_oids AS (a int)")
    tables(sides, made, made.ours)
    sides.copy_proven(spec())
    sides.assert_same(formats=("text",))
    assert sides.copy_proven(spec()).outcomes == ["unchanged"]


WIDER = {
    "a longer text": ("varchar(5)", "varchar(9)", "'abc'"),
    "any text": ("varchar(5)", "text", "'abc'"),
    "more digits": ("numeric(8,2)", "numeric(12,2)", "1.10"),
    "any number": ("numeric(8,2)", "numeric", "1.10"),
    "finer time": ("timestamp(0)", "timestamp(3)", "'2024-01-01 00:00:01'"),
}


@pytest.mark.parametrize(("ours", "theirs", "value"), WIDER.values(), ids=WIDER.keys())
def test_a_domain_that_only_takes_more_in_consulta_is_copied(
    sides: Sides, ours: str, theirs: str, value: str
) -> None:
    sides.prod.execute(AMOUNT.format(ours))
    sides.consulta.execute(AMOUNT.format(theirs))
    sides.both("""
        CREATE TYPE pair AS (a d, b d[]);
        CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v d, vs d[], p pair)
    """)
    sides.prod.execute(
        f"INSERT INTO items VALUES (1, 42, {value}, ARRAY[{value}]::d[], ROW({value}, ARRAY[{value}]::d[]))"
    )
    sides.copy_proven(spec())
    sides.assert_same(formats=("text",))
    assert sides.copy_proven(spec()).outcomes == ["unchanged"]


def test_a_composite_key_with_an_enum_whose_labels_are_in_another_order_is_refused(sides: Sides) -> None:
    sides.prod.execute("CREATE TYPE size AS ENUM ('s', 'm', 'l')")
    sides.consulta.execute("CREATE TYPE size AS ENUM ('l', 'm', 's')")
    sides.both("""
        CREATE TYPE sized AS (a size, b int);
        CREATE TABLE items (id sized PRIMARY KEY, liquidation_id int)
    """)
    sides.prod.execute("INSERT INTO items SELECT ('s', g)::sized, 42 FROM generate_series(1, 9) g")
    with pytest.raises(NoUsableKey, match="key column id is an enum whose labels are in another order"):
        sides.copy(spec(), chunk_rows=2)


def test_a_composite_key_of_two_enums_is_right_where_each_is_in_one_order(sides: Sides) -> None:
    sides.both("""
        CREATE TYPE one AS ENUM ('a', 'b', 'c'); CREATE TYPE other AS ENUM ('c', 'b', 'a');
        CREATE TYPE two AS (a one, b other);
        CREATE TABLE items (id two PRIMARY KEY, liquidation_id int)
    """)
    sides.prod.execute("""
        INSERT INTO items SELECT (a, b)::two, 42 FROM unnest(enum_range(NULL::one)) a,
                                                       unnest(enum_range(NULL::other)) b
    """)
    sides.copy_proven(spec(), chunk_rows=2)
    sides.assert_same(formats=("text",))


@pytest.mark.parametrize(
    ("types", "key", "value"),
    [
        ("CREATE TYPE k AS (a text {}, b int)", "k", "(chr(60 + g), g)::k"),
        ("CREATE TYPE k AS (a text[] {}, b int)", "k[]", "ARRAY[(ARRAY[chr(60 + g)], g)::k]"),
    ],
)
def test_a_composite_key_whose_text_each_side_sorts_otherwise_is_refused(
    sides: Sides, types: str, key: str, value: str
) -> None:
    for side, collation in ((sides.prod, 'COLLATE "C"'), (sides.consulta, "COLLATE pg_unicode_fast")):
        side.execute(types.format(collation))
        side.execute(f"CREATE TABLE items (id {key} PRIMARY KEY, liquidation_id int, code int UNIQUE)")
    sides.prod.execute(f"INSERT INTO items SELECT {value}, 42, g FROM generate_series(1, 9) g")
    with pytest.raises(NoUsableKey, match=r"key column id is public\.k.* holds text that consulta sorts"):
        sides.copy(spec(), chunk_rows=2)
    sides.consulta.execute("ALTER TABLE items ALTER code SET NOT NULL")
    sides.copy_proven(spec(key=("code",)))  # the values are the same, only their order isn't
    sides.assert_same(order="code", formats=("text",))
