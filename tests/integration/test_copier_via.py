"""Rows that belong to a liquidation through a parent are copied and proven as those with its number."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest

from copier import Advice, ColumnRule, CopySpec, Counts, Preview, TableName, Treatment, Via, statements
from copier.discovery import discover
from copier.errors import ColumnsDiffer, NoUsableKey, ParentsMissing, PrivilegeMissing, RowsHidden
from copier.model import KeyRange
from copier.table_slice import TableSlice
from tests.copying import Sides, engine, preview, stream
from tests.payroll import ALL, DEDUCTIONS, HEAD, LINES, OF_42, ORDER, PAYSLIPS, TABLES, filled
from tests.support import Database

PAYSLIPS_OF_ALL = 90


@pytest.fixture
def payroll(sides: Sides) -> Sides:
    """Prod has three liquidations; consulta has the tables."""
    sides.both(TABLES)
    sides.prod.execute(filled(PAYSLIPS_OF_ALL))
    return sides


@pytest.fixture
def whole(payroll: Sides) -> Sides:
    """The same, and consulta holds liquidation 42."""
    for each in ALL:
        payroll.copy_proven(each)
    return payroll


def look(sides: Sides, spec: CopySpec, **options: Any) -> Preview:
    return preview(engine(sides.prod.url), engine(sides.consulta.url), spec, 42, **options)


def assert_same(sides: Sides, *specs: CopySpec) -> None:
    for each in specs:
        name = each.source_table.name
        sides.assert_same(name, OF_42[name], ORDER[name])


def test_a_whole_liquidation_is_copied_with_all_that_hangs_on_it_and_nothing_of_others(
    payroll: Sides,
) -> None:
    for each in ALL:
        payroll.copy_proven(each, chunk_rows=37)
    assert_same(payroll, *ALL)
    for name, of_42 in OF_42.items():
        assert payroll.consulta.rows(f"SELECT count(*) FROM {name} WHERE ({of_42}) IS NOT TRUE") == [(0,)]


def test_the_head_is_one_row_and_follows_prod(whole: Sides) -> None:
    whole.prod.execute("UPDATE liquidations SET closed = true WHERE id = 42")
    done = whole.copy_proven(HEAD)
    assert (done.plan.total, done.counts) == (1, Counts(updated=1))
    assert_same(whole, HEAD)
    assert whole.copy_proven(HEAD).counts == Counts(unchanged=1)


@pytest.mark.parametrize("lanes", [1, 3])
def test_again_only_what_changed_is_written(whole: Sides, lanes: int) -> None:
    whole.prod.execute("""
        UPDATE payslip_lines SET note = 'changed' WHERE id IN (9, 99, 198, 402, 10);
        INSERT INTO payslip_lines VALUES (1001, 1, 5, 'new'), (1002, 3, 5, 'of another liquidation');
        DELETE FROM deductions WHERE line_id = 300; DELETE FROM payslip_lines WHERE id = 300;
    """)
    done = whole.copy_proven(DEDUCTIONS, chunk_rows=20, parallel=lanes)
    assert done.counts == Counts(deleted=1, unchanged=done.plan.total)
    done = whole.copy_proven(LINES, chunk_rows=20, parallel=lanes)
    assert done.counts == Counts(inserted=1, updated=4, deleted=1, unchanged=done.plan.total - 5)
    assert_same(whole, LINES, DEDUCTIONS)


# ---- Rows that move --------------------------------------------------------------------------


def test_a_row_that_has_moved_to_another_parent_moves_whatever_is_copied_first(whole: Sides) -> None:
    for each in ALL:
        whole.copy_proven(each, 43)
    # Payslips 1 and 4 are of 42, 2 and 5 of 43: one line moves within 42, one to it, one away from it.
    whole.prod.execute("""
        UPDATE payslip_lines SET payslip_id = 4 WHERE id = 90;
        UPDATE payslip_lines SET payslip_id = 1 WHERE id = 91;
        UPDATE payslip_lines SET payslip_id = 2 WHERE id = 93
    """)
    of_line = whole.consulta.rows("SELECT payslip_id FROM payslip_lines WHERE id IN (90, 91, 93) ORDER BY id")
    assert of_line == [(1,), (2,), (4,)]
    for each in (DEDUCTIONS, LINES):
        for liquidation in (42, 43):
            whole.copy_proven(each, liquidation, chunk_rows=20)
    assert_same(whole, LINES, DEDUCTIONS)
    of_line = whole.consulta.rows("SELECT payslip_id FROM payslip_lines WHERE id IN (90, 91, 93) ORDER BY id")
    assert of_line == [(4,), (1,), (2,)]


def test_a_row_is_taken_from_another_liquidation_and_counted_as_moved(whole: Sides) -> None:
    for each in ALL[:3]:
        whole.copy_proven(each, 43)
    whole.prod.execute("UPDATE payslip_lines SET payslip_id = 1 WHERE id = 91")
    assert look(whole, LINES).taken.rows == 1
    done = whole.copy_proven(LINES, chunk_rows=1000)
    assert (sum(chunk.moved for chunk in done.chunks), done.counts.inserted) == (1, 1)
    assert_same(whole, LINES)
    assert whole.copy_proven(LINES, 43).counts == Counts(unchanged=149)


def test_a_line_of_nobody_is_found_by_its_key_where_it_has_come_to_a_payslip(whole: Sides) -> None:
    whole.consulta.execute("INSERT INTO payslip_lines VALUES (0, NULL, 0, 'of nobody')")
    whole.copy_proven(LINES)
    assert whole.consulta.rows("SELECT payslip_id FROM payslip_lines WHERE id = 0") == [(None,)]
    whole.prod.execute("UPDATE payslip_lines SET payslip_id = 1 WHERE id = 0")
    whole.copy_proven(LINES)
    assert_same(whole, LINES)


def test_with_a_payslip_that_moves_its_lines_move_and_no_line_is_lost(whole: Sides) -> None:
    for each in ALL:
        whole.copy_proven(each, 43)
    whole.prod.execute("UPDATE payslips SET liquidation_id = 43 WHERE id = 1")
    # In prod its lines are of 43 now. Copied with 42 alone, they are surplus there, and go.
    with pytest.raises(ParentsMissing) as refused:
        whole.copy(LINES, 43)
    assert (refused.value.copy, refused.value.rows) == ("payslips", 1)
    whole.copy_proven(PAYSLIPS, 43)
    assert whole.consulta.rows("SELECT liquidation_id FROM payslips WHERE id = 1") == [(43,)]
    lines = whole.consulta.rows("SELECT count(*) FROM payslip_lines WHERE payslip_id = 1")
    # The payslip took its lines with it: nothing is left to write in either liquidation.
    for liquidation in (42, 43):
        for each in (LINES, DEDUCTIONS):
            done = whole.copy_proven(each, liquidation)
            assert done.counts == Counts(unchanged=done.plan.total)
    assert whole.consulta.rows("SELECT count(*) FROM payslip_lines WHERE payslip_id = 1") == lines
    assert_same(whole, *ALL)


def test_lines_of_a_payslip_that_has_left_go_where_only_the_old_liquidation_is_copied(whole: Sides) -> None:
    whole.prod.execute("UPDATE payslips SET liquidation_id = 41 WHERE id = 1")
    for each in (DEDUCTIONS, LINES, PAYSLIPS):
        whole.copy_proven(each)
    assert whole.consulta.rows("SELECT count(*) FROM payslip_lines WHERE payslip_id = 1") == [(0,)]
    assert_same(whole, *ALL)


# ---- What has to be there before ---------------------------------------------------------------


def test_before_the_first_row_it_is_said_which_copy_has_to_come_first(payroll: Sides) -> None:
    payroll.copy_proven(HEAD)
    sentence = (
        "rows of public.payslip_lines belong to the liquidation through public.payslips, and consulta lacks "
        "30 of the rows that prod has there: copy payslips first, then this"
    )
    for ask in (payroll.copy, partial(look, payroll)):
        with pytest.raises(ParentsMissing) as refused:
            ask(LINES)
        assert str(refused.value) == sentence
    assert payroll.consulta.rows("SELECT count(*) FROM payslip_lines") == [(0,)]
    # In the same run they come before: then the look says nothing of them.
    found = look(payroll, LINES, parents_too=True)
    assert (found.in_source.rows, found.in_target.rows) == (150, 0)


def test_without_a_foreign_key_a_missing_parent_is_refused_all_the_same(whole: Sides) -> None:
    whole.consulta.execute("ALTER TABLE payslip_lines DROP CONSTRAINT payslip_lines_payslip_id_fkey")
    whole.prod.execute("""
        INSERT INTO payslips VALUES (1000, 42, 'new'); INSERT INTO payslip_lines VALUES (5000, 1000, 1, 'new')
    """)
    with pytest.raises(ParentsMissing):
        whole.copy(LINES)
    whole.copy_proven(PAYSLIPS)
    assert whole.copy_proven(LINES).counts.inserted == 1
    assert_same(whole, LINES)


def test_a_payslip_without_lines_needs_not_be_there(whole: Sides) -> None:
    whole.prod.execute("INSERT INTO payslips VALUES (1000, 42, 'new')")
    done = whole.copy_proven(LINES)
    assert done.counts == Counts(unchanged=done.plan.total)


def test_a_parent_that_leaves_meanwhile_is_no_proof(whole: Sides) -> None:
    whole.copy_proven(HEAD, 41)
    with whole.open(LINES) as copy:
        result = copy.run()
        whole.consulta.execute("UPDATE payslips SET liquidation_id = 41 WHERE id = 1")
        proof = copy.verify(result)
    assert not proof.holds
    assert proof.source.rows - proof.target.rows == 5


def test_parents_that_change_places_meanwhile_are_no_proof_though_the_numbers_are_the_same(
    whole: Sides,
) -> None:
    for each in ALL[:3]:
        whole.copy_proven(each, 43)
    with whole.open(LINES, chunk_rows=1000) as copy:
        result = copy.run()
        assert [chunk.outcome for chunk in result.chunks] == ["unchanged"]
        whole.consulta.execute("UPDATE payslips SET liquidation_id = 85 - liquidation_id WHERE id IN (1, 2)")
        proof = copy.verify(result)
    assert proof.source.rows == proof.target.rows
    assert not proof.holds


# ---- What is refused ----------------------------------------------------------------------------


def refused(sides: Sides, spec: CopySpec, kind: type[Exception]) -> str:
    with pytest.raises(kind) as error, sides.open(spec):
        pass
    return str(error.value)


def test_a_parent_whose_key_may_name_two_rows_is_refused_with_the_index_to_create(payroll: Sides) -> None:
    payroll.prod.execute("""
        ALTER TABLE payslip_lines DROP CONSTRAINT payslip_lines_payslip_id_fkey;
        ALTER TABLE payslips DROP CONSTRAINT payslips_pkey
    """)
    assert refused(payroll, DEDUCTIONS, NoUsableKey) == (
        "(id) may name several rows of table public.payslips of prod, so that a row of public.payslip_lines "
        "could belong to several liquidations: create a unique index on (id) of that table, or name other "
        "columns in via"
    )


def test_columns_that_cant_be_compared_are_named_with_their_types(payroll: Sides) -> None:
    payroll.consulta.execute("""
        ALTER TABLE payslip_lines DROP CONSTRAINT payslip_lines_payslip_id_fkey;
        ALTER TABLE payslips ALTER id TYPE text
    """)
    assert (
        "payslip_id is bigint and id of public.payslips, to which it points, is text in consulta: make them "
        "the same type"
    ) in refused(payroll, LINES, ColumnsDiffer)


def test_what_leads_to_a_parent_may_have_no_rule_on_either_side(payroll: Sides) -> None:
    emptied = replace(LINES, rules=(ColumnRule("payslip_id", Treatment.NULL),))
    assert refused(payroll, emptied, NoUsableKey) == (
        "column payslip_id points to the row of public.payslips through which a row belongs to a "
        "liquidation, so it has to be copied as it is: take its rule null away"
    )
    hashed = replace(PAYSLIPS, rules=(ColumnRule("id", Treatment.MASK),))
    assert LINES.via is not None
    assert refused(payroll, replace(LINES, via=replace(LINES.via, parent=hashed)), NoUsableKey) == (
        "rows of public.payslip_lines belong to a liquidation through column id of public.payslips, so it "
        "has to be copied as it is there: take the rule mask of the copy payslips away"
    )


def test_lines_are_found_through_payslips_whose_names_do_not_leave_prod(payroll: Sides) -> None:
    payslips = replace(PAYSLIPS, rules=(ColumnRule("employee", Treatment.MASK),))
    assert LINES.via is not None
    lines = replace(
        LINES, via=replace(LINES.via, parent=payslips), rules=(ColumnRule("note", Treatment.OMIT),)
    )
    for each in (HEAD, payslips, lines):
        payroll.copy_proven(each, chunk_rows=40)
    assert payroll.consulta.rows("SELECT DISTINCT employee FROM payslips") == [("e***",)]
    assert payroll.consulta.rows("SELECT count(*), count(note) FROM payslip_lines") == [(150, 0)]


def test_a_parent_whose_rows_are_hidden_or_may_not_be_read_is_named(payroll: Sides) -> None:
    role = f"reader_{payroll.prod.name}"
    url = payroll.prod.server.url(payroll.prod.name, role)
    payroll.prod.execute(f"CREATE ROLE {role} LOGIN; GRANT SELECT ON payslip_lines TO {role}")
    try:
        with pytest.raises(PrivilegeMissing) as lacking, payroll.open(LINES, prod_url=url):
            pass
        assert lacking.value.lines == [f"GRANT SELECT ON TABLE public.payslips TO {role}"]
        payroll.prod.execute(f"""
            GRANT SELECT ON payslips TO {role}; ALTER TABLE payslips ENABLE ROW LEVEL SECURITY
        """)
        with pytest.raises(RowsHidden) as hidden, payroll.open(LINES, prod_url=url):
            pass
        assert "table public.payslips hides rows" in str(hidden.value)
    finally:
        payroll.prod.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


# ---- Keys of several columns, and other names on the other side ------------------------------------


def test_a_composite_key_may_lead_to_a_parent_of_another_name_in_consulta(sides: Sides) -> None:
    tables = """
        CREATE TABLE {slips} (company text, no int, liquidation_id int NOT NULL, PRIMARY KEY (company, no));
        CREATE INDEX ON {slips} (liquidation_id);
        CREATE TABLE lines (company text, slip int, line int, id text, PRIMARY KEY (company, slip, line));
    """
    sides.prod.execute(tables.format(slips="slips"))
    sides.consulta.execute(tables.format(slips='"Slips of prod"'))
    sides.prod.execute("""
        INSERT INTO slips SELECT c, n, 40 + n % 4 FROM unnest('{a,b,c}'::text[]) c, generate_series(1, 20) n;
        INSERT INTO lines SELECT company, no, l, 'l' FROM slips, generate_series(1, 3) l
    """)
    table = TableName.parse
    slips = CopySpec("slips", table("slips"), table('"Slips of prod"'), "liquidation_id")
    lines = CopySpec(
        "lines", table("lines"), table("lines"), via=Via(("company", "slip"), slips, ("company", "no"))
    )
    sides.copy_proven(slips)
    done = sides.copy_proven(lines, chunk_rows=7)
    assert (done.plan.total, len(done.chunks)) == (45, 7)
    of_42 = "(company, slip) IN (SELECT company, no FROM {} WHERE liquidation_id = 42)"
    here, there = (
        stream(side.url, "lines", of_42.format(name), "company, slip, line")
        for side, name in ((sides.prod, "slips"), (sides.consulta, '"Slips of prod"'))
    )
    assert here == there
    assert done.proof.counted.source == sides.consulta.rows("SELECT count(*) FROM lines")[0][0] == 45


# ---- The indexes -----------------------------------------------------------------------------------


def test_the_missing_index_is_named_for_each_table_on_the_way(payroll: Sides) -> None:
    for each in ALL[:3]:
        payroll.copy_proven(each)
    payroll.both("""
        DROP INDEX payslip_lines_payslip_id_id_idx; DROP INDEX payslips_liquidation_id_id_idx;
    """)
    advised = look(payroll, DEDUCTIONS).advice
    wanted = [
        "CREATE INDEX CONCURRENTLY ON public.payslip_lines (payslip_id, id)",
        "CREATE INDEX CONCURRENTLY ON public.payslips (liquidation_id, id)",
    ]
    assert advised == tuple(Advice(side, statement) for side in ("prod", "consulta") for statement in wanted)
    assert look(payroll, LINES).advice == advised
    for statement in wanted:
        for side in (payroll.prod, payroll.consulta):
            side.server.psql(statement, side.name)
    for spec in (LINES, DEDUCTIONS):
        assert look(payroll, spec).advice == ()


#: Of 480 liquidations, each with 10 payslips of 10 lines; ``place`` is a payslip's liquidation from 0 on.
MANY = """
    CREATE TABLE payslips (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, employee text);
    CREATE INDEX by_liquidation ON payslips (liquidation_id, id);
    CREATE TABLE payslip_lines (
        id bigint PRIMARY KEY, payslip_id bigint REFERENCES payslips, amount numeric, note text);
    CREATE INDEX by_payslip ON payslip_lines (payslip_id, id);
    INSERT INTO payslips SELECT g, {place}, 'employee ' || g FROM generate_series(0, 4799) g;
    INSERT INTO payslip_lines SELECT g, {payslip}, g / 100.0, md5(g::text) FROM generate_series(0, 47999) g;
    ANALYZE;
"""
SHAPES = {
    "together": {"place": "g / 10", "payslip": "g / 10"},
    "scattered": {"place": "g % 480", "payslip": "g % 4800"},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_each_range_is_read_by_indexes_of_the_lines_and_of_their_payslips(
    sides: Sides, shape: dict[str, str]
) -> None:
    sides.both(MANY.format(**shape))
    with sides.open(LINES, chunk_rows=25) as copy:
        assert copy.plan().total == 100
        chunks = copy.run().chunks
        ours, theirs = copy._source, copy._target
    assert len(chunks) == 4
    for part in (chunks[0].range, chunks[2].range, chunks[3].range):
        for rows, database in ((ours, sides.prod), (theirs, sides.consulta)):
            for statement in reads(rows, part):
                found = scans(plan(database, rows, statement))
                assert {table for table, *_ in found} == {"payslip_lines", "payslips"}
                assert all("Seq" not in kind for _, kind, _ in found), statement
                of_lines = sum(read for table, _, read in found if table == "payslip_lines")
                assert of_lines <= 60, (statement, found)


def reads(rows: TableSlice, part: KeyRange) -> list[str]:
    """What is asked of a side for a range, as it can be explained."""
    asked = [statements.copy_out, statements.digest, statements.hashes]
    asked += [statements.copy_out_hashed] if rows.is_source else [statements.delete]
    texts = [ask(rows, part).as_string() for ask in asked]
    texts.append(statements.arrived(rows, 3, part).as_string())
    return [
        text.removeprefix("COPY (").removesuffix(") TO STDOUT (FORMAT binary)").removesuffix(" TO STDOUT")
        for text in texts
    ]


def plan(database: Database, rows: TableSlice, statement: str) -> dict[str, Any]:
    with psycopg.connect(database.url) as connection:
        connection.execute(statements.lane_of(rows, reads=True).encode())
        found = connection.execute(f"EXPLAIN (ANALYZE, FORMAT json) {statement}".encode()).fetchone()
        connection.rollback()
    assert found is not None
    top: dict[str, Any] = found[0][0]["Plan"]
    return top


def scans(node: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Each scan of a table: the table, how it is read, and how many rows were read, also those in vain."""
    below = [scan for child in node.get("Plans", []) for scan in scans(child)]
    if "Relation Name" not in node or "Scan" not in node["Node Type"]:
        return below
    vain = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    read = round((node["Actual Rows"] + vain) * node["Actual Loops"])
    return [*below, (node["Relation Name"], node["Node Type"], read)]


def test_a_discovery_finds_what_belongs_through_a_table_by_its_foreign_keys(payroll: Sides) -> None:
    found = discover(engine(payroll.prod.url), engine(payroll.consulta.url), "liquidation_id")
    assert [each.spec.source_table.name for each in found.candidates] == ["payslips"]
    assert [(each.spec.source_table.name, each.spec.belongs_by) for each in found.through] == [
        ("payslip_lines", LINES.belongs_by),
        ("deductions", DEDUCTIONS.belongs_by),
    ]


def test_the_tables_on_the_way_are_locked_before_the_snapshot_is_taken(payroll: Sides) -> None:
    with (
        payroll.open(DEDUCTIONS),
        psycopg.connect(payroll.prod.url, autocommit=True, options="-c lock_timeout=100") as other,
    ):
        for table in ("deductions", "payslip_lines", "payslips"):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute(f"ALTER TABLE {table} REPLICA IDENTITY FULL".encode())


# ---- A schema that nobody made for this ---------------------------------------------------------------

#: The shape of the sample database Pagila, written anew: a store has customers, these have rentals, and
#: these have payments, which are partitioned by month and have no index on what they point to.
RENTALS = """
    CREATE TABLE customer (
        customer_id int PRIMARY KEY, store_id int NOT NULL, last_name text NOT NULL, active boolean
    );
    CREATE INDEX ON customer (store_id);
    CREATE TABLE rental (
        rental_id int PRIMARY KEY, rental_date timestamptz NOT NULL, inventory_id int NOT NULL,
        customer_id int NOT NULL REFERENCES customer ON UPDATE CASCADE ON DELETE RESTRICT,
        UNIQUE (rental_date, inventory_id, customer_id)
    );
    CREATE TABLE payment (
        payment_id int NOT NULL, customer_id int NOT NULL REFERENCES customer, rental_id int NOT NULL,
        amount numeric(5,2) NOT NULL, payment_date timestamptz NOT NULL,
        PRIMARY KEY (payment_date, payment_id)
    ) PARTITION BY RANGE (payment_date);
    CREATE TABLE payment_01 PARTITION OF payment FOR VALUES FROM ('2022-01-01') TO ('2022-02-01');
    CREATE TABLE payment_02 PARTITION OF payment FOR VALUES FROM ('2022-02-01') TO ('2022-03-01');
    ALTER TABLE payment_01 ADD FOREIGN KEY (rental_id) REFERENCES rental;
    ALTER TABLE payment_02 ADD FOREIGN KEY (rental_id) REFERENCES rental;
"""
CUSTOMER, RENTAL, PAYMENT = map(TableName.parse, ("customer", "rental", "payment"))
CUSTOMERS = CopySpec("customers", CUSTOMER, CUSTOMER, "store_id")
OF_RENTALS = CopySpec("rentals", RENTAL, RENTAL, via=Via(("customer_id",), CUSTOMERS, ("customer_id",)))
PAYMENTS = CopySpec("payments", PAYMENT, PAYMENT, via=Via(("rental_id",), OF_RENTALS, ("rental_id",)))


def test_payments_of_a_store_are_copied_over_two_steps_into_their_partitions(sides: Sides) -> None:
    sides.both(RENTALS)
    sides.prod.execute("""
        INSERT INTO customer SELECT g, 41 + g % 3, 'name ' || g, true FROM generate_series(1, 60) g;
        INSERT INTO rental SELECT g, timestamptz '2022-01-01' + g * interval '1 hour', g, 1 + g % 60
          FROM generate_series(1, 900) g;
        INSERT INTO payment SELECT 1000 - g, 1 + g % 60, g, g / 100.0,
               timestamptz '2022-01-01 12:00Z' + g * interval '1 hour' FROM generate_series(1, 900) g
    """)
    sides.copy_proven(CUSTOMERS)
    sides.copy_proven(OF_RENTALS, chunk_rows=50)
    done = sides.copy_proven(PAYMENTS, chunk_rows=50, parallel=2)
    assert (done.plan.total, len(done.chunks)) == (300, 6)
    # A rental that goes to another customer takes its payments along; one payment comes later than it was.
    sides.prod.execute("""
        UPDATE rental SET customer_id = 4 WHERE rental_id = 60;
        UPDATE payment SET payment_date = '2022-02-02' WHERE rental_id = 3
    """)
    assert sides.copy_proven(OF_RENTALS).counts.updated == 1
    assert sides.copy_proven(PAYMENTS, chunk_rows=50).counts == Counts(inserted=1, deleted=1, unchanged=299)
    of_42 = (
        "rental_id IN (SELECT rental_id FROM rental JOIN customer USING (customer_id) WHERE store_id = 42)"
    )
    sides.assert_same("payment", of_42, "payment_date, payment_id")
    sides.assert_same("rental", of_42, "rental_id")
    assert {each.statement for each in look(sides, PAYMENTS).advice} == {
        "CREATE INDEX ON public.payment (rental_id, payment_date, payment_id)",
        "CREATE INDEX CONCURRENTLY ON public.rental (customer_id, rental_id)",
    }
