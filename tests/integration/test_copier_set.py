"""A whole liquidation: several tables that refer to each other, copied at one moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from bot.config import SIDES
from copier import Chunk, CopySet, CopySetResult, CopySpec, Limits, SetProof, TableName, TableOptions, Via
from copier.errors import (
    CircularReferences,
    Permanent,
    PointsNowhere,
    SeveralMoments,
    StillReferenced,
    TableMissing,
)
from dev.proxy import Proxy
from tests.copying import Sides, engine
from tests.payroll import ALL, OF_42, ORDER, filled
from tests.payroll import TABLES as TABLES_BY_PARENTS

PAYROLL = """
    CREATE TABLE heads (
        id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, total numeric NOT NULL DEFAULT 0);
    CREATE TABLE payslips (
        id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, head_id bigint NOT NULL REFERENCES heads,
        employee integer NOT NULL, total numeric NOT NULL DEFAULT 0, UNIQUE (liquidation_id, employee));
    CREATE TABLE lines (
        id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, amount numeric NOT NULL,
        payslip_id bigint NOT NULL CONSTRAINT lines_payslip_fkey REFERENCES payslips);
    CREATE TABLE deductions (
        id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, amount numeric NOT NULL,
        payslip_id bigint NOT NULL REFERENCES payslips, line_id bigint REFERENCES lines);
    CREATE INDEX ON payslips (liquidation_id, id); CREATE INDEX ON payslips (head_id);
    CREATE INDEX ON lines (liquidation_id, id); CREATE INDEX ON lines (payslip_id);
    CREATE INDEX ON deductions (liquidation_id, id);
"""
#: 20 payslips of 3 lines and a deduction each, of liquidation 42; the same of 43.
ROWS = """
    INSERT INTO heads SELECT l, l, 0 FROM (VALUES (42), (43)) v (l);
    INSERT INTO payslips
      SELECT l * 1000 + g, l, l, g FROM (VALUES (42), (43)) v (l), generate_series(1, 20) g;
    INSERT INTO lines
      SELECT p.id * 10 + g, p.liquidation_id, g, p.id FROM payslips p, generate_series(1, 3) g;
    INSERT INTO deductions
      SELECT p.id, p.liquidation_id, 1, p.id, p.id * 10 + 1 FROM payslips p;
    UPDATE payslips SET total = 6; UPDATE heads SET total = 120;
"""
TABLES = ["heads", "payslips", "lines", "deductions"]


def spec(table: str) -> CopySpec:
    name = TableName("public", table)
    return CopySpec(table, name, name, "liquidation_id")


@contextmanager
def opened(
    sides: Sides, tables: list[str] = TABLES, *, options: dict[str, TableOptions] | None = None, **limits: Any
) -> Iterator[CopySet]:
    with CopySet(
        engine(sides.prod.url),
        engine(sides.consulta.url),
        [spec(table) for table in tables],
        42,
        names=SIDES,
        limits=Limits(**{"parallel": 2, "chunk_seconds": 60.0, "chunk_rows": 1000, **limits}),
        options=options,
    ) as copies:
        yield copies


def copied(sides: Sides, tables: list[str] = TABLES, **options: Any) -> tuple[CopySetResult, SetProof]:
    with opened(sides, tables, **options) as copies:
        result = copies.run()
        proof = copies.verify(result)
    assert proof is not None
    assert proof.holds, proof.reasons(SIDES)
    assert result.is_whole
    for table in tables:
        sides.assert_same(table)
    return result, proof


@pytest.fixture
def payroll(sides: Sides) -> Sides:
    sides.both(PAYROLL)
    sides.prod.execute(ROWS)
    return sides


def test_a_whole_liquidation_arrives_with_its_foreign_keys_and_no_row_of_another_one(payroll: Sides) -> None:
    with opened(payroll, TABLES[::-1]) as copies:
        assert copies.order.steps == (("heads",), ("payslips",), ("lines",), ("deductions",))
        result = copies.run()
        proof = copies.verify(result)
        assert proof is not None
        assert proof.holds
        assert proof.as_of == result.as_of == copies.as_of
        assert {plan.as_of for plan in copies.plan().values()} == {copies.as_of}
    for table in TABLES:
        payroll.assert_same(table)
        assert payroll.consulta.rows(f"SELECT count(*) FROM {table} WHERE liquidation_id <> 42") == [(0,)]


def test_surplus_rows_of_all_levels_go_though_they_refer_to_each_other(payroll: Sides) -> None:
    copied(payroll)
    payroll.consulta.execute("""
        INSERT INTO heads VALUES (99, 42, 1);
        INSERT INTO payslips VALUES (99000, 42, 99, 999, 1), (99001, 42, 42, 998, 1);
        INSERT INTO lines VALUES (990000, 42, 1, 99000), (990001, 42, 1, 42001);
        INSERT INTO deductions VALUES (99000, 42, 1, 99000, 990000), (99001, 42, 1, 42001, 990001);
        UPDATE lines SET amount = 77 WHERE payslip_id = 42003;
    """)
    seen: list[tuple[str, Chunk]] = []

    def record(name: str) -> Callable[[Connection, Chunk], None]:
        return lambda connection, chunk: seen.append((name, chunk))

    with opened(payroll) as copies:
        result = copies.run(record)
        proof = copies.verify(result)
        assert proof is not None
        assert proof.holds
    for table in TABLES:
        payroll.assert_same(table)
    removed = {name: chunk.counts.deleted for name, chunk in seen if chunk.outcome == "removed"}
    assert removed == {"deductions": 2, "lines": 2, "payslips": 2, "heads": 1}
    assert all(chunk.range.number < 0 for _, chunk in seen if chunk.outcome == "removed")


def test_a_payslip_that_was_calculated_anew_takes_the_place_of_the_one_before(payroll: Sides) -> None:
    """The new one has another id and the same employee, who may have one payslip only."""
    copied(payroll)
    payroll.prod.execute("""
        DELETE FROM deductions WHERE payslip_id = 42007; DELETE FROM lines WHERE payslip_id = 42007;
        DELETE FROM payslips WHERE id = 42007;
        INSERT INTO payslips VALUES (42700, 42, 42, 7, 6);
        INSERT INTO lines SELECT 427000 + g, 42, g, 42700 FROM generate_series(1, 3) g;
        INSERT INTO deductions VALUES (42700, 42, 1, 42700, 427001);
    """)
    copied(payroll)


def test_a_row_that_refers_to_another_parent_now_lets_the_old_one_go(payroll: Sides) -> None:
    copied(payroll)
    payroll.prod.execute("""
        INSERT INTO heads VALUES (4200, 42, 120);
        INSERT INTO payslips VALUES (42800, 42, 4200, 800, 6);
        UPDATE payslips SET head_id = 4200 WHERE liquidation_id = 42;
        UPDATE lines SET payslip_id = 42800 WHERE payslip_id = 42008;
        UPDATE deductions SET payslip_id = 42800 WHERE payslip_id = 42008;
        DELETE FROM payslips WHERE id = 42008; DELETE FROM heads WHERE id = 42;
    """)
    copied(payroll)


def test_a_liquidation_without_rows_in_prod_is_emptied_children_first(payroll: Sides) -> None:
    copied(payroll)
    payroll.prod.execute("TRUNCATE heads, payslips, lines, deductions")
    copied(payroll)


def test_a_row_of_another_liquidation_that_refers_to_a_surplus_row_is_not_touched(payroll: Sides) -> None:
    payroll.consulta.execute("""
        INSERT INTO heads VALUES (99, 42, 1);
        INSERT INTO payslips VALUES (5, 50, 99, 1, 0);
    """)
    with opened(payroll) as copies, pytest.raises(Permanent) as refused:
        copies.run()
    assert isinstance(refused.value, StillReferenced)
    assert (refused.value.constraint, refused.value.side) == ("payslips_head_id_fkey", "consulta")
    assert (refused.value.table, refused.value.lines) == ("public.heads", ["public.payslips"])
    assert refused.value.is_copied
    assert payroll.consulta.rows("SELECT count(*) FROM payslips WHERE liquidation_id = 50") == [(1,)]


def test_all_tables_show_one_moment_of_prod_while_others_write_there(payroll: Sides) -> None:
    """Each transaction keeps the sums of the three levels equal: a mixture of moments would show."""
    over, written = threading.Event(), 0

    def write() -> None:
        nonlocal written
        with psycopg.connect(payroll.prod.url, autocommit=True) as connection:
            while not over.is_set():
                written += 1
                new = 500_000 + written
                connection.execute(f"""
                    BEGIN;
                    INSERT INTO payslips VALUES ({new}, 42, 42, {new}, 3);
                    INSERT INTO lines VALUES ({new}, 42, 3, {new});
                    DELETE FROM deductions WHERE payslip_id = {new - 9};
                    DELETE FROM lines WHERE payslip_id = {new - 9};
                    DELETE FROM payslips WHERE id = {new - 9};
                    UPDATE lines SET amount = amount + 1 WHERE payslip_id = 42001;
                    UPDATE payslips SET total = total + 3 WHERE id = 42001;
                    UPDATE heads SET total = (SELECT sum(total) FROM payslips WHERE head_id = 42)
                     WHERE id = 42;
                    COMMIT""")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(4):
            before = written
            with opened(payroll, chunk_rows=10) as copies:
                result = copies.run(on_chunk=lambda name, chunk: None)
                while written < before + 3:
                    over.wait(0.01)
                proof = copies.verify(result)
            assert proof is not None
            assert proof.holds, proof.reasons(SIDES)
            assert payroll.consulta.rows("""
                SELECT count(*) FROM payslips p WHERE p.liquidation_id = 42
                   AND p.total <> (SELECT sum(amount) FROM lines l WHERE l.payslip_id = p.id)""") == [(0,)]
            assert payroll.consulta.rows("""
                SELECT h.total = (SELECT sum(total) FROM payslips p WHERE p.head_id = h.id)
                  FROM heads h WHERE h.id = 42""") == [(True,)]
    finally:
        over.set()
        writer.join()


def test_what_breaks_off_in_the_third_table_leaves_whole_rows_and_is_gone_on_with(payroll: Sides) -> None:
    class Lost(Exception):
        pass

    def record(name: str) -> Callable[[Connection, Chunk], None]:
        def keep(connection: Connection, chunk: Chunk) -> None:
            if (name, chunk.range.number) == ("lines", 2):
                raise Lost

        return keep

    with opened(payroll, chunk_rows=10, parallel=1) as copies:
        with pytest.raises(Lost):
            copies.run(record)
        assert {name: str(state) for name, state in copies.states.items()} == {
            "heads": "in_place",
            "payslips": "in_place",
            "lines": "copying",
            "deductions": "waits",
        }
    assert payroll.consulta.rows("SELECT count(*) FROM lines") == [(10,)]
    result, _ = copied(payroll, chunk_rows=10)
    assert [chunk.outcome for chunk in result.results["payslips"].chunks] == ["unchanged"] * 2


def test_a_missing_table_is_named_before_the_first_row(payroll: Sides) -> None:
    payroll.consulta.execute("DROP TABLE deductions")
    with pytest.raises(TableMissing, match=r"public\.deductions not found in consulta"), opened(payroll):
        pass
    payroll.prod.execute("DROP TABLE lines CASCADE")
    with pytest.raises(TableMissing, match=r"public\.lines not found in prod"), opened(payroll):
        pass
    assert payroll.consulta.rows("SELECT count(*) FROM heads") == [(0,)]


def test_a_row_without_its_parent_in_prod_stops_the_set_and_names_the_foreign_key(payroll: Sides) -> None:
    payroll.prod.execute("""
        ALTER TABLE lines DROP CONSTRAINT lines_payslip_fkey;
        INSERT INTO lines VALUES (1, 42, 1, 123456);
        ALTER TABLE lines ADD CONSTRAINT lines_payslip_fkey
          FOREIGN KEY (payslip_id) REFERENCES payslips NOT VALID""")
    with opened(payroll) as copies:
        with pytest.raises(Permanent) as refused:
            copies.run()
        states = {name: str(state) for name, state in copies.states.items()}
    assert isinstance(refused.value, PointsNowhere)
    assert (refused.value.table, refused.value.constraint) == ("public.lines", "lines_payslip_fkey")
    assert (refused.value.lines, refused.value.is_copied) == (["public.payslips"], True)
    assert "123456" not in str(refused.value)
    assert (states["payslips"], states["lines"], states["deductions"]) == ("in_place", "copying", "waits")


def test_an_unchanged_set_is_told_by_row_versions(payroll: Sides) -> None:
    with opened(payroll) as copies:
        assert copies.verify(copies.run()) is not None
        options = {name: TableOptions(baseline=copy.baseline()) for name, copy in copies.copies.items()}
    result, _ = copied(payroll, options=options)
    assert {len(each.chunks) for each in result.results.values()} == {1}
    assert all(copy.chunks[0].outcome == "unchanged" for copy in result.results.values())
    with opened(payroll, options=options) as copies:
        copies.run()
        assert all(copy.builds_on_baseline for copy in copies.copies.values())


# ------------------------------------------------------------------------- rows that belong through a parent


@contextmanager
def opened_by_parents(sides: Sides, **limits: Any) -> Iterator[CopySet]:
    with CopySet(
        engine(sides.prod.url),
        engine(sides.consulta.url),
        ALL[::-1],
        42,
        names=SIDES,
        limits=Limits(**{"parallel": 2, "chunk_seconds": 60.0, "chunk_rows": 100, **limits}),
    ) as copies:
        yield copies


def copied_by_parents(sides: Sides) -> CopySetResult:
    with opened_by_parents(sides) as copies:
        result = copies.run()
        proof = copies.verify(result)
    assert proof is not None
    assert proof.holds, proof.reasons(SIDES)
    for table, of_42 in OF_42.items():
        sides.assert_same(table, of_42, ORDER[table])
    return result


@pytest.fixture
def by_parents(sides: Sides) -> Sides:
    """The same with a column of the liquidation in the payslips alone."""
    sides.both(TABLES_BY_PARENTS)
    sides.prod.execute(filled(60))
    return sides


def test_rows_that_belong_through_a_parent_come_with_their_set(by_parents: Sides) -> None:
    with opened_by_parents(by_parents) as copies:
        assert copies.order.steps == (("head",), ("payslips",), ("lines",), ("deductions",))
    copied_by_parents(by_parents)
    again = copied_by_parents(by_parents)
    assert {chunk.outcome for each in again.results.values() for chunk in each.chunks} == {"unchanged"}


def test_a_row_belongs_through_its_parent_without_any_foreign_key(by_parents: Sides) -> None:
    by_parents.consulta.execute("""
        ALTER TABLE payslips DROP CONSTRAINT payslips_liquidation_id_fkey;
        ALTER TABLE payslip_lines DROP CONSTRAINT payslip_lines_payslip_id_fkey;
        ALTER TABLE deductions DROP CONSTRAINT deductions_line_id_fkey;
    """)
    with opened_by_parents(by_parents) as copies:
        assert copies.order.steps == (("payslips", "head"), ("lines",), ("deductions",))
    copied_by_parents(by_parents)
    [(kept,), (gone,)] = by_parents.prod.rows(
        "SELECT id FROM payslips WHERE liquidation_id = 42 ORDER BY id LIMIT 2"
    )
    by_parents.prod.execute(f"""
        UPDATE payslip_lines SET payslip_id = {kept} WHERE payslip_id = {gone};
        DELETE FROM payslips WHERE id = {gone}""")
    by_parents.consulta.execute("""
        INSERT INTO payslips VALUES (9000, 42, 'surplus');
        INSERT INTO payslip_lines VALUES (90000, 9000, 1, 'surplus');
        INSERT INTO deductions VALUES (90000, 1, 'surplus');
    """)
    copied_by_parents(by_parents)
    for table, column in (("payslip_lines", "id"), ("deductions", "line_id")):
        assert by_parents.consulta.rows(f"SELECT count(*) FROM {table} WHERE {column} = 90000") == [(0,)]


def test_what_hangs_on_a_payslip_that_prod_has_no_more_goes_with_it(by_parents: Sides) -> None:
    copied_by_parents(by_parents)
    [(gone,), (moved,)] = by_parents.prod.rows(
        "SELECT id FROM payslips WHERE liquidation_id = 42 ORDER BY id LIMIT 2"
    )
    by_parents.prod.execute(f"""
        DELETE FROM deductions d USING payslip_lines l WHERE l.id = d.line_id AND l.payslip_id = {gone};
        DELETE FROM payslip_lines WHERE payslip_id = {gone}; DELETE FROM payslips WHERE id = {gone};
        UPDATE payslips SET liquidation_id = 43 WHERE id = {moved};
    """)
    by_parents.consulta.execute("""
        INSERT INTO payslips VALUES (9000, 42, 'surplus');
        INSERT INTO payslip_lines VALUES (90000, 9000, 1, 'surplus');
        INSERT INTO deductions VALUES (90000, 1, 'surplus');
    """)
    copied_by_parents(by_parents)
    assert by_parents.consulta.rows("SELECT count(*) FROM payslip_lines WHERE payslip_id = 9000") == [(0,)]


# --------------------------------------------------------------- circles, and tables that refer to themselves

CIRCLE = """
    CREATE TABLE a (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, note text, b_id bigint);
    CREATE TABLE b (
        id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, a_id bigint NOT NULL REFERENCES a);
    ALTER TABLE a ADD CONSTRAINT a_b_fkey FOREIGN KEY (b_id) REFERENCES b;
    CREATE INDEX ON a (liquidation_id, id); CREATE INDEX ON b (liquidation_id, id);
"""
IN_A_CIRCLE = """
    INSERT INTO a SELECT g, 42, 'n' || g FROM generate_series(1, 30) g;
    INSERT INTO b SELECT g, 42, 31 - g FROM generate_series(1, 30) g;
    UPDATE a SET b_id = 1 + id * 7 % 30;
"""


def test_a_circle_is_closed_by_a_second_pass_and_each_row_counts_once(sides: Sides) -> None:
    sides.both(CIRCLE)
    sides.prod.execute(IN_A_CIRCLE)
    seen: list[Chunk] = []

    def record(name: str) -> Callable[[Connection, Chunk], None]:
        return lambda connection, chunk: seen.append(chunk) if name == "a" else None

    with opened(sides, ["a", "b"], chunk_rows=7) as copies:
        assert copies.order.waits("a") == {"b_id"}
        result = copies.run(record)
        proof = copies.verify(result)
        assert proof is not None
        assert proof.holds
    for table in ("a", "b"):
        sides.assert_same(table)
    assert sum(chunk.rows for chunk in seen) == 30
    assert sum(chunk.counts.inserted + chunk.counts.updated for chunk in seen) == 30
    numbers = [chunk.range.number for chunk in seen]
    assert len(set(numbers)) == len(numbers)


def test_surplus_rows_in_a_circle_go_and_changed_ones_are_changed(sides: Sides) -> None:
    sides.both(CIRCLE)
    sides.prod.execute(IN_A_CIRCLE)
    copied(sides, ["a", "b"], chunk_rows=7)
    sides.consulta.execute("""
        INSERT INTO a VALUES (100, 42, 'surplus', NULL); INSERT INTO b VALUES (100, 42, 100);
        UPDATE a SET b_id = 100 WHERE id IN (100, 5); UPDATE a SET note = 'other' WHERE id = 6;
    """)
    sides.prod.execute("UPDATE a SET b_id = 2 WHERE id IN (7, 9); UPDATE b SET a_id = 3 WHERE id = 4")
    copied(sides, ["a", "b"], chunk_rows=7)


def test_a_circle_in_which_nothing_may_be_null_is_refused_before_the_first_row(sides: Sides) -> None:
    sides.both(CIRCLE.replace("note text, b_id bigint", "note text, b_id bigint NOT NULL"))
    with pytest.raises(CircularReferences) as refused, opened(sides, ["a", "b"]):
        pass
    assert {"a_b_fkey of a", "b_a_id_fkey of b"} == set(refused.value.lines)


def test_a_table_that_refers_to_itself_is_copied_with_its_set(sides: Sides) -> None:
    sides.both("""
        CREATE TABLE lines (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL,
                            parent_id bigint REFERENCES lines);
        CREATE TABLE inputs (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL,
                             line_id bigint NOT NULL REFERENCES lines);
        CREATE INDEX ON lines (liquidation_id, id);
    """)
    sides.prod.execute("""
        INSERT INTO lines SELECT g, 42, NULL FROM generate_series(1, 40) g;
        UPDATE lines SET parent_id = 1 + id * 11 % 40;
        INSERT INTO inputs SELECT g, 42, g FROM generate_series(1, 40) g;
    """)
    copied(sides, ["inputs", "lines"], chunk_rows=7)
    sides.prod.execute("""
        DELETE FROM inputs WHERE id > 20; UPDATE lines SET parent_id = NULL WHERE id > 20 OR parent_id > 20;
        DELETE FROM lines WHERE id > 20;
    """)
    copied(sides, ["inputs", "lines"], chunk_rows=7)


# -------------------------------------------------------------------- what the two servers make of the tables


def test_a_view_of_prod_is_read_at_the_moment_of_the_other_tables(payroll: Sides) -> None:
    payroll.prod.execute("ALTER TABLE lines RENAME TO own; CREATE VIEW lines AS SELECT * FROM own")
    copied(payroll)


def test_partitions_on_either_side_are_one_table_with_one_place_in_the_order(sides: Sides) -> None:
    sides.both("""
        CREATE TABLE rental (id bigint, liquidation_id bigint NOT NULL, PRIMARY KEY (id));
        CREATE TABLE payment (id bigint, liquidation_id bigint NOT NULL, month integer NOT NULL,
                              rental_id bigint NOT NULL REFERENCES rental, PRIMARY KEY (id, month))
          PARTITION BY LIST (month);
        CREATE TABLE payment_1 PARTITION OF payment FOR VALUES IN (1);
        CREATE TABLE payment_2 PARTITION OF payment FOR VALUES IN (2);
        CREATE INDEX ON payment (liquidation_id, id, month);
    """)
    sides.prod.execute("""
        INSERT INTO rental SELECT g, 42 FROM generate_series(1, 30) g;
        INSERT INTO payment SELECT g, 42, 1 + g % 2, g FROM generate_series(1, 30) g;
    """)
    with opened(sides, ["payment", "rental"]) as copies:
        assert copies.order.steps == (("rental",), ("payment",))
        assert len(copies.order.foreign_keys) == 1
    copied(sides, ["payment", "rental"])
    sides.consulta.execute("INSERT INTO rental VALUES (99, 42); INSERT INTO payment VALUES (99, 42, 1, 99)")
    copied(sides, ["payment", "rental"])


def test_a_foreign_table_of_prod_beside_a_local_one_is_of_no_one_moment(payroll: Sides) -> None:
    payroll.prod.execute(f"""
        CREATE EXTENSION postgres_fdw; ALTER TABLE deductions RENAME TO own;
        CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
            OPTIONS (host '127.0.0.1', port '{payroll.prod.server.port}', dbname '{payroll.prod.name}');
        CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'postgres');
        CREATE FOREIGN TABLE deductions (id bigint NOT NULL, liquidation_id bigint, amount numeric,
            payslip_id bigint, line_id bigint) SERVER far OPTIONS (table_name 'own');
    """)
    try:
        with pytest.raises(SeveralMoments, match=r"deductions is on the server far, .* is here"):
            copied(payroll)
    finally:
        payroll.prod.execute("DROP EXTENSION postgres_fdw CASCADE")
    assert payroll.consulta.rows("SELECT count(*) FROM heads") == [(0,)]


#: What the tables of a set may use on a side, and what holds the moment there, or looks something up.
CONNECTIONS = 16


@pytest.fixture
def few_connections(sides: Sides) -> Iterator[Sides]:
    """Both servers let only so many sessions in for the role."""
    role = f"few_{sides.consulta.name}"
    for side in (sides.prod, sides.consulta):
        side.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {CONNECTIONS}")
        side.execute(f"GRANT pg_read_all_data, pg_write_all_data TO {role}")
    yield sides
    for side in (sides.prod, sides.consulta):
        side.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_set_of_many_tables_needs_no_more_sessions_than_a_small_server_has(few_connections: Sides) -> None:
    sides, role = few_connections, f"few_{few_connections.consulta.name}"
    tables = ["t0", *(f"t{number}" for number in range(1, 12))]
    sides.both("CREATE TABLE t0 (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, note text)")
    for table in tables[1:]:
        sides.both(
            f"CREATE TABLE {table} (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, note text, "
            f"t0_id bigint REFERENCES t0); CREATE INDEX ON {table} (t0_id)"
        )
    sides.prod.execute("INSERT INTO t0 SELECT g, 42, 'n' FROM generate_series(1, 300) g")
    for table in tables[1:]:
        sides.prod.execute(f"INSERT INTO {table} SELECT g, 42, 'n', g FROM generate_series(1, 300) g")
    baselines: dict[str, TableOptions] = {}

    def copy_as_poor() -> None:
        with CopySet(
            engine(sides.prod.server.url(sides.prod.name, role)),
            engine(sides.consulta.server.url(sides.consulta.name, role)),
            [spec(table) for table in tables],
            42,
            names=SIDES,
            limits=Limits(parallel=2, chunk_rows=100),
            options=baselines,
        ) as copies:
            proof = copies.verify(copies.run())
            assert proof is not None
            assert proof.holds, proof.reasons(SIDES)
            baselines.update(
                {name: TableOptions(baseline=copy.baseline()) for name, copy in copies.copies.items()}
            )

    copy_as_poor()
    sides.prod.execute("UPDATE t7 SET note = 'new' WHERE id = 7; DELETE FROM t3 WHERE id < 50")
    sides.consulta.execute(
        "INSERT INTO t0 VALUES (900, 42, 'surplus'); INSERT INTO t9 VALUES (900, 42, 'n', 900)"
    )
    copy_as_poor()
    for table in tables:
        sides.assert_same(table, formats=("text",))


def test_two_copies_into_one_table_are_no_set(payroll: Sides) -> None:
    with pytest.raises(ValueError, match=r"same target table: public\.lines"):
        CopySet(
            engine(payroll.prod.url),
            engine(payroll.consulta.url),
            [spec("lines"), CopySpec("other", TableName("public", "own"), spec("lines").target_table, "x")],
            42,
        )


# ------------------------------------------------------------------------- tables that no payroll has
# As of a shop: customers with somebody to look after them, who report to each other; invoices and their
# lines, which point to articles that aren't in the set. The names are those of the Chinook sample database
# (MIT licence), the tables are written anew.

SHOP = """
    CREATE TABLE employee (employee_id int PRIMARY KEY, reports_to int REFERENCES employee);
    CREATE TABLE track (track_id int PRIMARY KEY, name varchar(200) NOT NULL);
    CREATE TABLE customer (
        customer_id int PRIMARY KEY, last_name varchar(20) NOT NULL,
        support_rep_id int REFERENCES employee);
    CREATE TABLE invoice (
        invoice_id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer,
        total numeric(10, 2) NOT NULL);
    CREATE TABLE invoice_line (
        invoice_line_id int PRIMARY KEY, invoice_id int NOT NULL REFERENCES invoice,
        track_id int NOT NULL REFERENCES track, quantity int NOT NULL);
    CREATE INDEX ON invoice (customer_id); CREATE INDEX ON invoice_line (invoice_id);
    INSERT INTO employee VALUES (1, NULL), (2, 1), (3, 2); INSERT INTO track VALUES (1, 'a'), (2, 'b');
"""


def test_a_customer_with_all_invoices_is_a_set_as_well(sides: Sides) -> None:
    name = partial(TableName, "public")
    customer = CopySpec("customer", name("customer"), name("customer"), "customer_id")
    invoice = CopySpec("invoice", name("invoice"), name("invoice"), "customer_id")
    line = CopySpec(
        "line",
        name("invoice_line"),
        name("invoice_line"),
        via=Via(("invoice_id",), invoice, ("invoice_id",)),
    )
    sides.both(SHOP)
    sides.prod.execute("""
        INSERT INTO customer VALUES (42, 'Ana', 3), (43, 'Bob', 2);
        INSERT INTO invoice SELECT g, 42 + g % 2, g FROM generate_series(1, 20) g;
        INSERT INTO invoice_line SELECT g, 1 + g % 20, 1 + g % 2, 1 FROM generate_series(1, 100) g;
    """)
    sides.consulta.execute("""
        INSERT INTO customer VALUES (42, 'old', 1); INSERT INTO invoice VALUES (900, 42, 1);
        INSERT INTO invoice_line VALUES (900, 900, 1, 1);
    """)
    with CopySet(
        engine(sides.prod.url), engine(sides.consulta.url), [line, invoice, customer], 42, names=SIDES
    ) as copies:
        assert copies.order.steps == (("customer",), ("invoice",), ("line",))
        proof = copies.verify(copies.run())
        assert proof is not None
        assert proof.holds, proof.reasons(SIDES)
    sides.assert_same("customer", "customer_id = 42", "customer_id")
    sides.assert_same("invoice", "customer_id = 42", "invoice_id")
    of_42 = "invoice_id IN (SELECT invoice_id FROM invoice WHERE customer_id = 42)"
    sides.assert_same("invoice_line", of_42, "invoice_line_id")
    assert sides.consulta.rows("SELECT count(*) FROM invoice_line") == [(50,)]


# ------------------------------------------------------------------------------------------- what it costs


def test_a_set_in_which_nothing_changed_asks_consulta_nothing_for_its_proof(
    payroll: Sides,
) -> None:
    copied(payroll)
    with opened(payroll) as copies:  # the horizon of the first proof may lie before what was written then
        assert copies.verify(copies.run()) is not None
        baselines = {name: copy.baseline() for name, copy in copies.copies.items()}
    options = {name: TableOptions(baseline=baseline) for name, baseline in baselines.items()}
    with Proxy(payroll.prod.server.port) as prod, Proxy(payroll.consulta.server.port) as consulta:
        ways = (
            engine(database.url.replace(f":{database.server.port}/", f":{proxy.port}/"))
            for proxy, database in ((prod, payroll.prod), (consulta, payroll.consulta))
        )
        with CopySet(*ways, [spec(table) for table in TABLES], 42, names=SIDES, options=options) as copies:
            result = copies.run()
            before = consulta.round_trips
            proof = copies.verify(result)
            assert consulta.round_trips == before
    assert proof is not None
    assert proof.holds
    assert all(each.chunks[0].outcome == "unchanged" for each in result.results.values())
