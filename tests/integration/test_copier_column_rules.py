"""What must not leave prod stays there: it is left out, emptied, masked or hashed in prod's own SELECT."""

from __future__ import annotations

import hashlib
import hmac
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from copier import (
    Baseline,
    ColumnRule,
    CopySpec,
    Counts,
    ExpectedChanges,
    HashKey,
    NewColumns,
    Treatment,
    expected_changes,
)
from copier.errors import ColumnsAreNew, ColumnsDiffer, NoUsableKey, RulesDontFit
from dev.proxy import Direction, Proxy
from tests.copying import ITEMS, Sides, engine, preview, spec
from tests.payroll import ALL, LINES, PAYSLIPS, TABLES, filled

SECRET = "a secret of the tests, which is long enough"
KEY = HashKey.of(SECRET)
PEOPLE = """
    CREATE TABLE people (
        id bigint PRIMARY KEY,
        liquidation_id bigint NOT NULL,
        cbu text,
        dni text,
        email text,
        name text,
        amount numeric
    );
    CREATE INDEX ON people (liquidation_id, id);
"""
#: Each value has a mark of its own, which no key, number or name has.
FILL = """
    INSERT INTO people SELECT g, 42, 'CBU-' || g, 'DNI-' || g % 7, 'MAIL-' || g, 'Zoe-NAME-' || g, g * 1.5
      FROM generate_series(1, {rows}) g
"""
RULES = {"cbu": "omit", "dni": "hash", "email": "null", "name": "mask"}
MARKS = (b"CBU-", b"DNI-", b"MAIL-", b"NAME-")


def ruled(table: str = "people", rules: dict[str, str] | None = None, **options: Any) -> CopySpec:
    found = RULES if rules is None else rules
    given = tuple(ColumnRule(name, Treatment(rule)) for name, rule in found.items())
    return replace(spec(table), rules=given, hash_key=KEY, new_columns=NewColumns.REFUSE, **options)


def hash_of(text: str) -> str:
    """By an implementation of HMAC that knows nothing of PostgreSQL."""
    key = hmac.digest(SECRET.encode(), b"traspaso column hash 1", "sha256")
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Listener(Proxy):
    """Keeps all that a server says."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self.heard = bytearray()

    async def _forward(self, sink: socket.socket, block: bytes, direction: Direction) -> None:
        if direction == "received":
            self.heard += block
        await super()._forward(sink, block, direction)


@pytest.fixture
def people(sides: Sides) -> Sides:
    sides.both(PEOPLE)
    sides.prod.execute(FILL.format(rows=40))
    return sides


@pytest.fixture
def listened(people: Sides) -> Iterator[tuple[Sides, Listener, str]]:
    """The sides, with one who listens to all that prod says, and the URL that leads past them."""
    listener = Listener(people.prod.server.port)
    with listener:
        yield people, listener, people.prod.url.replace(f":{people.prod.server.port}/", f":{listener.port}/")


def test_each_rule_makes_of_a_column_what_it_says(people: Sides) -> None:
    done = people.copy_proven(ruled(), chunk_rows=15)
    assert done.counts.inserted == 40
    rows = people.consulta.rows("SELECT id, cbu, dni, email, name, amount FROM people ORDER BY id")
    assert len(rows) == 40
    for number, cbu, dni, email, name, amount in rows:
        assert (cbu, email, name, amount) == (None, None, "Z***", number * 1.5)
        assert dni == hash_of(f"DNI-{number % 7}")


def test_no_value_under_a_rule_ever_leaves_prod(listened: tuple[Sides, Listener, str]) -> None:
    """Copied, copied again where rows differ, and compared: all that prod says is looked through."""
    sides, listener, url = listened
    sides.copy_proven(ruled(), chunk_rows=15, prod_url=url)
    sides.prod.execute("UPDATE people SET name = 'Ana-NAME-', dni = 'DNI-9', amount = 0 WHERE id IN (3, 30)")
    done = sides.copy_proven(ruled(), chunk_rows=15, prod_url=url)
    assert done.counts.updated == 2
    with sides.open(ruled(), prod_url=url) as copy:
        assert copy.verify().holds
    assert len(listener.heard) > 5_000
    assert not [mark for mark in MARKS if mark in listener.heard]
    dump = sides.consulta.rows("SELECT people::text FROM people")
    assert not [mark for mark in MARKS if mark.decode() in str(dump)]


def test_the_listener_hears_values_that_no_rule_keeps(listened: tuple[Sides, Listener, str]) -> None:
    """Else the test above would prove nothing."""
    sides, listener, url = listened
    sides.copy_proven(spec("people"), prod_url=url)
    assert all(mark in listener.heard for mark in MARKS)


def test_the_key_of_the_hashes_is_in_no_log_of_prod_and_in_no_statement(people: Sides) -> None:
    name = people.prod.name
    people.prod.execute(f"""
        ALTER DATABASE {name} SET log_statement = 'all';
        ALTER DATABASE {name} SET log_min_duration_statement = 0;
        ALTER DATABASE {name} SET log_parameter_max_length = -1;
        ALTER DATABASE {name} SET log_duration = on;
    """)
    log = people.prod.server.log_path
    begin = log.stat().st_size
    people.copy_proven(ruled(), chunk_rows=15, parallel=2)
    said = log.read_bytes()[begin:].decode()
    assert "traspaso.hash_key" in said
    assert "COPY (SELECT" in said
    key = hmac.digest(SECRET.encode(), b"traspaso column hash 1", "sha256")
    parts = [key[at : at + 8] for at in range(0, 32, 8)]
    secrets = [SECRET, key.hex(), *(part.hex() for part in parts)]
    secrets += [str(int.from_bytes(part, signed=signed)) for part in parts for signed in (True, False)]
    assert not [each for each in secrets if each in said]


def test_equal_values_have_one_hash_in_every_table_and_type(sides: Sides) -> None:
    columns = "id bigint PRIMARY KEY, liquidation_id bigint, dni"
    sides.prod.execute(f"CREATE TABLE as_text ({columns} text); CREATE TABLE as_number ({columns} integer)")
    sides.consulta.execute(f"CREATE TABLE as_text ({columns} text); CREATE TABLE as_number ({columns} text)")
    sides.prod.execute("INSERT INTO as_text SELECT g, 42, g * 1000 FROM generate_series(1, 20) g")
    sides.prod.execute("INSERT INTO as_number SELECT g, 42, (21 - g) * 1000 FROM generate_series(1, 20) g")
    for table in ("as_text", "as_number"):
        sides.copy_proven(ruled(table, {"dni": "hash"}))
    assert sides.consulta.rows("SELECT count(*) FROM as_text JOIN as_number USING (dni)") == [(20,)]
    assert sides.consulta.rows("SELECT dni FROM as_text WHERE id = 7") == [(hash_of("7000"),)]


def test_another_secret_gives_other_hashes(people: Sides) -> None:
    people.copy_proven(ruled())
    other = replace(ruled(), hash_key=HashKey.of("another secret of the tests, as long as it"))
    done = people.copy_proven(other)
    assert done.counts.updated == 40
    assert people.consulta.rows(f"SELECT count(*) FROM people WHERE dni = '{hash_of('DNI-1')}'") == [(0,)]


HASHED = [
    ("text", "text", "abc", hash_of("abc")),
    ("varchar(20)", "varchar(64)", "abc", hash_of("abc")),
    ("char(5)", "char(64)", "abc", hash_of("abc")),
    ("integer", "text", "1234", hash_of("1234")),
    ("date", "text", "2026-11-27", hash_of("2026-11-27")),
    ("uuid", "uuid", "12345678-1234-1234-1234-123456789abc",
     str(UUID(hash_of("12345678-1234-1234-1234-123456789abc")[:32]))),
    ("text", "bytea", "ñandú", "\\x" + hash_of("ñandú")),
]  # fmt: skip


@pytest.mark.parametrize(("here", "there", "value", "expected"), HASHED)
def test_a_value_of_any_type_is_hashed_into_what_consulta_has(
    sides: Sides, here: str, there: str, value: str, expected: str
) -> None:
    columns = "id bigint PRIMARY KEY, liquidation_id bigint, v"
    sides.prod.execute(f"CREATE TABLE items ({columns} {here}); INSERT INTO items VALUES (1, 42, '{value}')")
    sides.prod.execute("INSERT INTO items VALUES (2, 42, NULL)")
    sides.consulta.execute(f"CREATE TABLE items ({columns} {there})")
    sides.copy_proven(ruled("items", {"v": "hash"}))
    assert sides.consulta.rows("SELECT v::text FROM items ORDER BY id") == [(expected,), (None,)]
    assert sides.copy_proven(ruled("items", {"v": "hash"})).outcomes == ["unchanged"]


@pytest.mark.parametrize("kind", ["text", "varchar(20)", "char(12)"])
def test_a_mask_shows_one_character_and_no_length(sides: Sides, kind: str) -> None:
    sides.both(f"CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, v {kind})")
    sides.prod.execute("""
        INSERT INTO items
        VALUES (1, 42, 'María'), (2, 42, 'ÑandúÑandú'), (3, 42, 'Ana'), (4, 42, ''), (5, 42, NULL)
    """)
    sides.copy_proven(ruled("items", {"v": "mask"}))
    found = sides.consulta.rows("SELECT v::text FROM items ORDER BY id")
    assert found == [("M***",), ("Ñ***",), ("***",), ("***",), (None,)]
    assert sides.copy_proven(ruled("items", {"v": "mask"})).outcomes == ["unchanged"]


EMPTIED = ["boolean", "date", "bytea", "bigint", "numeric(10,2)", "uuid", "jsonb", "text[]", "mood", "mood[]"]


@pytest.mark.parametrize("rule", ["null", "omit"])
def test_a_column_of_any_type_is_emptied_and_what_consulta_held_there_goes(sides: Sides, rule: str) -> None:
    """The types are consulta's own: prod needn't have them."""
    columns = ", ".join(f"v{place} {kind}" for place, kind in enumerate(EMPTIED))
    texts = ", ".join(f"v{place} text" for place, _ in enumerate(EMPTIED))
    names = [f"v{place}" for place, _ in enumerate(EMPTIED)]
    begin = "CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint"
    sides.prod.execute(f"{begin}, {texts})")
    sides.consulta.execute(f"CREATE TYPE mood AS ENUM ('ok'); {begin}, {columns})")
    sides.prod.execute(
        f"INSERT INTO items SELECT g, 42, {', '.join(repr(name) for name in names)} "
        "FROM generate_series(1, 10) g"
    )
    sides.consulta.execute(
        "INSERT INTO items (id, liquidation_id, v1, v8) VALUES (3, 42, '2026-01-01', 'ok')"
    )
    rules = dict.fromkeys(names, rule)
    done = sides.copy_proven(ruled("items", rules))
    assert done.counts.updated == 1
    assert sides.consulta.rows(f"SELECT count(*), max(num_nonnulls({', '.join(names)})) FROM items") == [
        (10, 0)
    ]
    assert sides.copy_proven(ruled("items", rules)).outcomes == ["unchanged"]


def test_a_rule_that_comes_later_takes_the_values_out_of_consulta(people: Sides) -> None:
    people.copy_proven(spec("people"))
    assert people.copy_proven(ruled()).counts.updated == 40
    assert "CBU-" not in str(people.consulta.rows("SELECT people::text FROM people"))


def test_what_was_proven_under_other_rules_proves_nothing_now(people: Sides) -> None:
    with people.open(ruled()) as copy:
        assert copy.verify(copy.run()).holds
        baseline = copy.baseline()
    assert baseline is not None
    with people.open(ruled(), baseline=baseline) as again:
        result = again.run()
        assert (again.builds_on_baseline, [each.outcome for each in result.chunks]) == (True, ["unchanged"])
    for other in (
        ruled(rules={**RULES, "name": "null"}),
        replace(ruled(), hash_key=HashKey.of("another secret of the tests, as long as it")),
    ):
        with people.open(other, baseline=baseline) as copy:
            result = copy.run()
            assert (copy.builds_on_baseline, copy.verify(result).holds) == (False, True)
            assert sum(each.counts.updated for each in result.chunks) == 40


def test_what_a_copy_would_change_is_told_by_what_the_rules_make_of_the_values(people: Sides) -> None:
    baseline = proven(people)
    people.prod.execute("""
        UPDATE people SET dni = 'DNI-9' WHERE id = 3; UPDATE people SET cbu = 'CBU-other', name = 'Zed-NAME-'
         WHERE id IN (4, 5); INSERT INTO people VALUES (41, 42, 'CBU-41', 'DNI-41', NULL, 'Zoe-NAME-', 1)
    """)
    told = told_since(people, baseline)
    assert told is not None
    assert told.counts == Counts(inserted=1, updated=1, unchanged=39)
    assert people.copy_proven(ruled(), baseline=baseline).counts == told.counts


def proven(sides: Sides) -> Baseline:
    """Of a copy under the rules, by which row versions tell: no other transaction was under way beside it."""
    for _ in range(5):
        with sides.open(ruled()) as copy:
            assert copy.verify(copy.run()).holds
            baseline = copy.baseline()
        assert baseline is not None
        told = told_since(sides, baseline)
        if told is not None and told.counts == Counts(unchanged=40):
            return baseline
    raise AssertionError("something else has written on these servers all the time")


def told_since(sides: Sides, baseline: Baseline) -> ExpectedChanges | None:
    return expected_changes(engine(sides.prod.url), engine(sides.consulta.url), ruled(), 42, baseline)


@pytest.mark.parametrize("referenced", [False, True])
def test_a_column_that_is_left_out_has_consultas_default_in_every_row(sides: Sides, referenced: bool) -> None:
    """Also in rows from before the rule, which can't be told by comparing."""
    sides.both(PEOPLE)
    sides.consulta.execute("ALTER TABLE people ALTER cbu SET DEFAULT 'none', ALTER cbu SET NOT NULL")
    if referenced:
        sides.consulta.execute("CREATE TABLE refers (person bigint REFERENCES people)")
    sides.prod.execute(FILL.format(rows=30))
    sides.copy_proven(spec("people"))
    if referenced:
        sides.consulta.execute("INSERT INTO refers VALUES (7)")
    sides.copy_proven(ruled(rules={"cbu": "omit"}), chunk_rows=10)
    assert sides.consulta.rows("SELECT DISTINCT cbu FROM people") == [("none",)]


def test_a_column_that_is_left_out_may_be_missing_in_consulta(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("ALTER TABLE items ADD cbu text; INSERT INTO items VALUES (1, 42, 1, 'n', 'CBU-1')")
    sides.copy_proven(ruled("items", {"cbu": "omit"}))
    assert sides.consulta.rows("SELECT id, note FROM items") == [(1, "n")]


def test_where_rows_travel_as_text_the_rules_are_kept_too(people: Sides) -> None:
    people.both("CREATE TYPE mood AS ENUM ('ok'); ALTER TABLE people ADD moods mood[]")
    people.prod.execute("UPDATE people SET moods = '{ok}'")
    people.copy_proven(ruled())
    assert people.consulta.rows(
        f"SELECT count(*) FROM people WHERE name = 'Z***' AND dni = '{hash_of('DNI-3')}' "
        "AND cbu IS NULL AND moods = '{ok}'"
    ) == [(6,)]


def test_a_view_of_prod_is_copied_under_rules_too(people: Sides) -> None:
    """There the session that holds the snapshot reads as well."""
    people.prod.execute("ALTER TABLE people RENAME TO base; CREATE VIEW people AS SELECT * FROM base")
    people.copy_proven(ruled())
    assert people.consulta.rows(f"SELECT count(*) FROM people WHERE dni = '{hash_of('DNI-3')}'") == [(6,)]


PAYROLL_RULES = {
    "payslips": {"employee": "mask"},
    "lines": {"note": "omit"},
    "deductions": {"reason": "hash"},
}


def under_rules(given: CopySpec, rules: dict[str, str]) -> CopySpec:
    return replace(given, rules=ruled("x", rules).rules, hash_key=KEY)


def test_a_whole_liquidation_keeps_the_rules_of_each_of_its_tables(sides: Sides) -> None:
    sides.both(TABLES)
    sides.prod.execute(filled(30))
    for each in ALL:
        given = under_rules(each, PAYROLL_RULES.get(each.name, {}))
        sides.copy_proven(given)
        assert set(sides.copy_proven(given).outcomes) == {"unchanged"}
    assert sides.consulta.rows("SELECT DISTINCT employee FROM payslips") == [("e***",)]
    assert sides.consulta.rows("SELECT count(*) > 0, count(note) FROM payslip_lines") == [(True, 0)]
    assert sides.consulta.rows("SELECT reason FROM deductions WHERE line_id = 6") == [(hash_of("because 6"),)]


def test_what_rows_belong_by_is_never_altered_neither_in_the_table_nor_in_its_parents(sides: Sides) -> None:
    sides.both(TABLES)
    assert LINES.via is not None
    parent = under_rules(PAYSLIPS, {"id": "hash"})
    for given, words in (
        (
            under_rules(LINES, {"payslip_id": "null"}),
            "column payslip_id points to the row of public.payslips through which a row belongs to a "
            "liquidation, so it has to be copied as it is",
        ),
        (
            replace(LINES, via=replace(LINES.via, parent=parent)),
            "rows of public.payslip_lines belong to a liquidation through column id of public.payslips, so "
            "it has to be copied as it is there: take the rule hash of the copy payslips away",
        ),
    ):
        with pytest.raises(NoUsableKey) as refused:
            sides.copy(given)
        assert words in str(refused.value)


# ------------------------------------------------------------------------------------------------ new columns


def known(sides: Sides, given: CopySpec) -> frozenset[str]:
    """The columns that a copy carries as they are."""
    with sides.open(given) as copy:
        return copy.fingerprint.as_they_are


def test_a_column_that_came_between_two_copies_is_refused_until_a_rule_names_it(people: Sides) -> None:
    people.copy_proven(ruled())
    before = known(people, ruled())
    assert before == {"id", "liquidation_id", "amount"}
    people.both("ALTER TABLE people ADD phone text")
    people.prod.execute("UPDATE people SET phone = 'PHONE-' || id")
    with pytest.raises(ColumnsAreNew) as refused:
        people.copy(ruled(known_columns=before))
    assert refused.value.lines == [
        "phone (text) of prod has no rule, and the last completed copy didn't have it as it is: add it to "
        'the columns of the copy, as phone = "copy" or phone = "omit"'
    ]
    with pytest.raises(ColumnsAreNew):
        preview_of(people, ruled(known_columns=before))
    people.copy_proven(ruled(rules={**RULES, "phone": "omit"}, known_columns=before))
    assert people.consulta.rows("SELECT count(phone) FROM people") == [(0,)]
    people.copy_proven(ruled(rules={**RULES, "phone": "copy"}, known_columns=before))
    assert people.consulta.rows("SELECT count(phone) FROM people") == [(40,)]


def test_a_rule_that_is_taken_away_lets_nothing_out_by_itself(people: Sides) -> None:
    before = known(people, ruled())
    without = {name: rule for name, rule in RULES.items() if name != "cbu"}
    with pytest.raises(ColumnsAreNew) as refused:
        people.copy(ruled(rules=without, known_columns=before))
    assert "cbu" in str(refused.value)


def test_new_columns_may_be_left_out_or_copied_by_the_configuration(people: Sides) -> None:
    before = known(people, ruled())
    people.both("ALTER TABLE people ADD phone text")
    people.prod.execute("ALTER TABLE people ADD only_prod text; UPDATE people SET phone = 'PHONE-' || id")
    left_out = replace(ruled(known_columns=before), new_columns=NewColumns.OMIT)
    people.copy_proven(left_out)
    assert people.consulta.rows("SELECT count(phone) FROM people") == [(0,)]
    assert [each.column for each in preview_of(people, left_out).rules if each.column not in RULES] == [
        "only_prod",
        "phone",
    ]
    people.prod.execute("ALTER TABLE people DROP only_prod")
    people.copy_proven(replace(left_out, new_columns=NewColumns.COPY))
    assert people.consulta.rows("SELECT count(phone) FROM people") == [(40,)]


# --------------------------------------------------------------------------------------------------- refusals


def preview_of(sides: Sides, given: CopySpec) -> Any:
    return preview(engine(sides.prod.url), engine(sides.consulta.url), given, 42)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"id": "hash"}, "column id is part of the key (id), by which rows are found on both sides"),
        ({"liquidation_id": "null"}, "column liquidation_id says which liquidation a row belongs to"),
    ],
)
def test_what_rows_are_found_by_is_never_altered(people: Sides, rules: dict[str, str], words: str) -> None:
    with pytest.raises(NoUsableKey) as refused:
        people.copy(ruled(rules=rules))
    assert words in str(refused.value)
    assert "take its rule" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "rules", "line"),
    [
        ("ALTER dni TYPE bigint USING NULL", {"dni": "hash"},
         "dni has the rule hash, and is bigint in consulta: make it text there"),
        ("ALTER dni TYPE varchar(20)", {"dni": "hash"},
         "dni has the rule hash, and is character varying(20) in consulta, too short for 64 characters: "
         "make it text there"),
        ("ALTER name TYPE varchar(3)", {"name": "mask"},
         "name has the rule mask, and is character varying(3) in consulta, too short for 4 characters: "
         "make it text there"),
        ("ALTER amount TYPE text", {"amount": "mask"},
         "amount has the rule mask, and is numeric in prod, which is no text: use null, hash or omit"),
        ("ADD UNIQUE (liquidation_id, name)", {"name": "mask"},
         "name has the rule mask, and is part of a unique key in consulta, which two rows of one mask would "
         "break: use hash"),
        ("ALTER email SET NOT NULL", {"email": "null"},
         "email has the rule null, and is NOT NULL in consulta: drop NOT NULL there, or omit it where it has "
         "a default"),
        ("ALTER cbu SET NOT NULL", {"cbu": "omit"},
         "cbu has the rule omit, and is NOT NULL without a default in consulta: drop NOT NULL there, or give "
         "it a default"),
        ("DROP name", {"name": "mask"},
         "name has the rule mask, and is missing in consulta: add it there, or omit it"),
        ("ADD x int", {"cuil": "omit"},
         "cuil has the rule omit, and is missing in prod: correct its name, or take the rule away"),
        ("DROP name, ADD name text GENERATED ALWAYS AS (upper(email)) STORED", {"name": "mask"},
         "name has the rule mask, and consulta computes it itself: omit it, and have it computed from what "
         "is copied"),
    ],
)  # fmt: skip
def test_a_rule_that_cant_be_kept_is_refused_before_the_first_row(
    people: Sides, change: str, rules: dict[str, str], line: str
) -> None:
    people.consulta.execute(f"ALTER TABLE people {change}")
    for refused_by in (people.copy, lambda given: preview_of(people, given)):
        with pytest.raises(RulesDontFit) as refused:
            refused_by(ruled(rules=rules))
        assert refused.value.lines == [line]
    assert people.consulta.rows("SELECT count(*) FROM people") == [(0,)]


def test_without_a_key_nothing_is_hashed(people: Sides) -> None:
    with pytest.raises(RulesDontFit) as refused:
        people.copy(replace(ruled(), hash_key=None))
    assert "there is no key to hash with" in str(refused.value)


def test_a_column_that_consulta_lacks_may_be_left_in_prod(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("ALTER TABLE items ADD phone text")
    with pytest.raises(ColumnsDiffer) as refused:
        sides.copy(ruled("items", {"note": "mask"}))
    assert refused.value.lines == [
        'phone (text) is missing in consulta: add it there, or leave it in prod, as phone = "omit"'
    ]
