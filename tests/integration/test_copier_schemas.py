"""Sets on schemas that no one here thought of: what real tables have beside rows and keys.

The published ones were tried with their own files; here are tables of the same names, keys, types and rules,
written anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.cli.output import print_explanation, print_mermaid
from bot.config import SIDES
from bot.i18n import translator
from copier import CopySet, CopySetResult, CopySpec, Explanation, Limits, TableName, Via, explain
from copier.errors import CascadeRefused, Permanent
from tests.copying import Sides, engine

SCHEMAS = Path(__file__).parent.parent / "fixtures" / "schemas"
public = partial(TableName, "public")


@contextmanager
def opened(sides: Sides, specs: Sequence[CopySpec], number: int = 42, **limits: Any) -> Iterator[CopySet]:
    with CopySet(
        engine(sides.prod.url),
        engine(sides.consulta.url),
        specs,
        number,
        names=SIDES,
        limits=Limits(**{"parallel": 2, "chunk_seconds": 60.0, "chunk_rows": 100, **limits}),
    ) as copies:
        yield copies


def copied(sides: Sides, specs: Sequence[CopySpec], number: int = 42, **limits: Any) -> CopySetResult:
    with opened(sides, specs, number, **limits) as copies:
        result = copies.run()
        proof = copies.verify(result)
    assert proof is not None
    assert proof.holds, proof.reasons(SIDES)
    return result


def explained(sides: Sides, specs: Sequence[CopySpec]) -> Explanation:
    return explain(engine(sides.prod.url), engine(sides.consulta.url), specs, names=SIDES)


def drawn(found: Explanation, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that a person reads."""
    print_explanation(None, found, translator("en"))
    return capsys.readouterr().out.splitlines()


# ------------------------------------------------------------------------------------------ an ERP's payroll

RUN = CopySpec("run", public("hr_payslip_run"), public("hr_payslip_run"), "id")
SLIPS = CopySpec("slips", public("hr_payslip"), public("hr_payslip"), "payslip_run_id")
LINES, INPUTS, DAYS = (
    CopySpec(name, public(table), public(table), via=Via((column,), SLIPS, ("id",)))
    for name, table, column in (
        ("lines", "hr_payslip_line", "slip_id"),
        ("inputs", "hr_payslip_input", "payslip_id"),
        ("days", "hr_payslip_worked_days", "payslip_id"),
    )
)
PAYROLL = (DAYS, INPUTS, LINES, SLIPS, RUN)
#: Which rows of each table are of run 42, as an oracle asks for them.
OF_42 = {
    "hr_payslip_run": "id = 42",
    "hr_payslip": "payslip_run_id = 42",
    "hr_payslip_line": "slip_id IN (SELECT id FROM hr_payslip WHERE payslip_run_id = 42)",
    "hr_payslip_input": "payslip_id IN (SELECT id FROM hr_payslip WHERE payslip_run_id = 42)",
    "hr_payslip_worked_days": "payslip_id IN (SELECT id FROM hr_payslip WHERE payslip_run_id = 42)",
}
REFERENCE = """
    INSERT INTO res_company VALUES (1, 'c'); INSERT INTO res_users VALUES (1, 'admin');
    INSERT INTO hr_employee SELECT g, 'e' || g FROM generate_series(1, 30) g;
    INSERT INTO hr_contract SELECT g, 'k' || g, g FROM generate_series(1, 30) g;
    INSERT INTO hr_payroll_structure VALUES (1, 's', 'S');
    INSERT INTO hr_contribution_register VALUES (1, 'r');
    INSERT INTO hr_salary_rule_category VALUES (1, 'basic', NULL), (2, 'net', 1);
    INSERT INTO hr_salary_rule VALUES (1, 'basic', 'BASIC', 1, NULL), (2, 'net', 'NET', 2, 1);
"""
#: Runs 42 and 43 with 30 payslips each, in turns; of each 4 lines in a tree, an input and worked days.
FILLED = """
    INSERT INTO hr_payslip_run (id, name, company_id, date_start, date_end, write_uid, write_date)
      SELECT g, 'run ' || g, 1, '2026-11-01', '2026-11-30', 1, '2026-11-27 10:00'
        FROM generate_series(42, 43) g;
    INSERT INTO hr_payslip (id, number, employee_id, date_from, date_to, contract_id, payslip_run_id,
                            refunded_id)
      SELECT g, 'SLIP/' || g, 1 + g % 30, '2026-11-01', '2026-11-30', 1 + g % 30, 42 + g % 2,
             CASE WHEN g > 50 THEN g - 2 END FROM generate_series(1, 60) g;
    INSERT INTO hr_payslip_line (id, name, code, sequence, condition_select, condition_python, amount_select,
                                 slip_id, parent_line_id, salary_rule_id, employee_id, contract_id, total)
      SELECT g, 'l', 'C', g % 4, 'none', '', 'fix', 1 + g / 4, CASE WHEN g % 4 > 0 THEN g - 1 END, 1 + g % 2,
             1 + g % 30, 1 + g % 30, g / 7.0 FROM generate_series(0, 239) g;
    INSERT INTO hr_payslip_input (id, name, payslip_id, sequence, code, amount, contract_id)
      SELECT g, 'i', g, 1, 'I', g / 3.0::float8, 1 FROM generate_series(1, 60) g;
    INSERT INTO hr_payslip_worked_days (id, name, payslip_id, sequence, code, number_of_days, contract_id)
      SELECT g, 'd', g, 1, 'D', 22, 1 FROM generate_series(1, 60) g;
"""


@pytest.fixture
def payroll(sides: Sides) -> Sides:
    sides.both((SCHEMAS / "odoo_payroll.sql").read_text("utf-8"))
    sides.both(REFERENCE)
    sides.prod.execute(FILLED)
    return sides


def assert_same_payroll(sides: Sides) -> None:
    for table, of_42 in OF_42.items():
        sides.assert_same(table, of_42, "id")


def of_others(sides: Sides) -> list[bytes]:
    return [sides.others(table, f"({of_42}) IS NOT TRUE") for table, of_42 in OF_42.items()]


def test_a_payroll_whose_lines_go_with_their_payslip_is_copied_again_and_again(payroll: Sides) -> None:
    """Odoo computes a payslip anew by deleting its lines and making others."""
    copied(payroll, PAYROLL, 43)
    others = of_others(payroll)
    copied(payroll, PAYROLL)
    assert_same_payroll(payroll)
    again = copied(payroll, PAYROLL)
    assert {chunk.outcome for each in again.results.values() for chunk in each.chunks} == {"unchanged"}
    payroll.prod.execute("""
        CREATE TEMPORARY TABLE old AS SELECT * FROM hr_payslip_line WHERE slip_id IN (2, 4, 6);
        DELETE FROM hr_payslip_line WHERE slip_id IN (2, 4, 6);
        UPDATE old SET id = id + 1000, total = total + 1, parent_line_id = parent_line_id + 1000;
        INSERT INTO hr_payslip_line SELECT * FROM old;
        UPDATE hr_payslip_input SET amount = 1 WHERE payslip_id = 8;
        UPDATE hr_payslip SET state = 'done', refunded_id = 2 WHERE id IN (10, 12);
        DELETE FROM hr_payslip WHERE id IN (14, 16, 54);
        UPDATE hr_payslip_run SET state = 'close' WHERE id = 42;
    """)
    result = copied(payroll, PAYROLL)
    assert_same_payroll(payroll)
    assert of_others(payroll) == others
    deleted = {
        name: sum(each.counts.deleted for each in found.chunks) for name, found in result.results.items()
    }
    assert deleted["run"] == 0


def test_a_payslip_that_moves_to_another_run_takes_its_lines_along(payroll: Sides) -> None:
    for number in (42, 43):
        copied(payroll, PAYROLL, number)
    payroll.prod.execute("""
        UPDATE hr_payslip SET payslip_run_id = 42 WHERE id IN (1, 3);
        UPDATE hr_payslip SET payslip_run_id = 43 WHERE id IN (2, 4);
        UPDATE hr_payslip_line SET slip_id = 6, parent_line_id = NULL WHERE slip_id = 8 AND sequence > 1;
        UPDATE hr_payslip SET payslip_run_id = NULL WHERE id = 10;
    """)
    for number in (42, 43):
        copied(payroll, PAYROLL, number)
    assert_same_payroll(payroll)
    for table, of_42 in OF_42.items():
        payroll.assert_same(table, of_42.replace("42", "43"), "id")


def test_a_run_that_prod_has_deleted_goes_with_all_that_hangs_on_it(payroll: Sides) -> None:
    """In Odoo its payslips stay, and are of no run any more."""
    for number in (42, 43):
        copied(payroll, PAYROLL, number)
    others = of_others(payroll)
    payroll.prod.execute("DELETE FROM hr_payslip_run WHERE id = 42")
    copied(payroll, PAYROLL)
    assert_same_payroll(payroll)
    assert payroll.consulta.rows("SELECT count(*) FROM hr_payslip_line") == [(120,)]
    assert of_others(payroll) == others


def test_what_consulta_has_beside_a_payslip_keeps_it_from_going_and_is_named(payroll: Sides) -> None:
    copied(payroll, PAYROLL)
    payroll.consulta.execute("""
        CREATE TABLE hr_payslip_remark (payslip_id integer NOT NULL
            CONSTRAINT hr_payslip_remark_payslip_id_fkey REFERENCES hr_payslip ON DELETE CASCADE);
        INSERT INTO hr_payslip_remark VALUES (2), (4)""")
    payroll.prod.execute("DELETE FROM hr_payslip WHERE id = 2; UPDATE hr_payslip SET note = 'n' WHERE id = 4")
    with (
        opened(payroll, PAYROLL) as copies,
        pytest.raises(CascadeRefused, match="hr_payslip_remark_payslip_id_fkey"),
    ):
        copies.run()
    assert payroll.consulta.rows("SELECT count(*) FROM hr_payslip_remark") == [(2,)]
    payroll.consulta.execute("DELETE FROM hr_payslip_remark WHERE payslip_id = 2")
    copied(payroll, PAYROLL)
    assert payroll.consulta.rows("SELECT payslip_id FROM hr_payslip_remark") == [(4,)]
    assert_same_payroll(payroll)


def test_what_a_payroll_would_do_reads_as_a_database_administrator_asks(
    payroll: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    payroll.consulta.execute("""
        CREATE TABLE remark (
            payslip_id integer CONSTRAINT remark_payslip REFERENCES hr_payslip ON DELETE CASCADE)
    """)
    found = explained(payroll, PAYROLL)
    assert not found.is_refused
    assert found.steps == (("run",), ("slips",), ("days", "inputs", "lines"))
    lines = drawn(found, capsys)
    assert (
        "  - lines (slip_id) -> slips (id), hr_payslip_line_slip_id_fkey ON DELETE CASCADE: "
        "the parent is written first, and deleted last: the action finds no row"
    ) in lines
    assert (
        "  - lines (parent_line_id) -> lines (id), hr_payslip_line_parent_line_id_fkey ON DELETE SET NULL: "
        "rows that need each other are written together"
    ) in lines
    needed = lines[lines.index("Rows of other tables that have to be in consulta before") :]
    assert (
        "  - lines (salary_rule_id) -> public.hr_salary_rule, hr_payslip_line_salary_rule_id_fkey "
        "ON DELETE RESTRICT"
    ) in needed
    keeping = lines[lines.index("Rows of other tables that keep a row of these from being deleted") :]
    assert keeping[1] == "  - public.remark (payslip_id) -> slips, remark_payslip ON DELETE CASCADE"
    missing = lines[
        lines.index("Indexes that are missing where a row is deleted to which others may refer") :
    ]
    assert "  - consulta: CREATE INDEX CONCURRENTLY ON public.hr_payslip_line (parent_line_id)" in missing
    assert "  - consulta: CREATE INDEX CONCURRENTLY ON public.remark (payslip_id)" in missing
    assert "  - consulta: CREATE INDEX CONCURRENTLY ON public.hr_payslip_line (slip_id, id)" in lines
    assert not any("(slip_id)" in line for line in missing)  # that one serves both
    print_mermaid(found)
    drawing = capsys.readouterr().out.splitlines()
    assert '    t5 -->|"slip_id"| t2' in drawing
    assert '    t5 -.->|"parent_line_id"| t5' in drawing


# ------------------------------------------------------------- customers, rentals and payments, in partitions
# As in Pagila: foreign keys that carry an UPDATE on and RESTRICT a DELETE, others that only some partitions
# have, a domain, an enum, a key GENERATED ALWAYS, and a trigger that stamps the time of each UPDATE.

RENTALS = """
    CREATE DOMAIN year AS integer CHECK (VALUE BETWEEN 1901 AND 2155);
    CREATE TYPE rating AS ENUM ('G', 'PG', 'PG-13');
    CREATE FUNCTION last_updated() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN NEW.last_update = CURRENT_TIMESTAMP; RETURN NEW; END';
    CREATE TABLE staff (staff_id integer PRIMARY KEY);
    CREATE TABLE customer (
        customer_id integer PRIMARY KEY, name text NOT NULL, since year, rating rating DEFAULT 'G',
        last_update timestamptz DEFAULT now(), uuid uuid DEFAULT gen_random_uuid() UNIQUE);
    CREATE TABLE rental (
        rental_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, rental_date timestamptz NOT NULL,
        customer_id integer NOT NULL CONSTRAINT rental_customer_id_fkey
          REFERENCES customer ON UPDATE CASCADE ON DELETE RESTRICT,
        staff_id integer NOT NULL CONSTRAINT rental_staff_id_fkey
          REFERENCES staff ON UPDATE CASCADE ON DELETE RESTRICT,
        return_date timestamptz,
        last_update timestamptz DEFAULT now() NOT NULL);
    CREATE TABLE payment (
        payment_id integer NOT NULL, customer_id integer NOT NULL, rental_id integer NOT NULL,
        amount numeric(5, 2) NOT NULL, payment_date timestamptz NOT NULL,
        PRIMARY KEY (payment_date, payment_id)
    ) PARTITION BY RANGE (payment_date);
    CREATE TABLE payment_p2022_01 PARTITION OF payment
      FOR VALUES FROM ('2022-01-01 00:00:00+00') TO ('2022-02-01 01:00:00+01');
    CREATE TABLE payment_p2022_02 PARTITION OF payment
      FOR VALUES FROM ('2022-02-01 01:00:00+01') TO ('2022-03-01 01:00:00+01');
    CREATE TABLE payment_rest PARTITION OF payment DEFAULT;
    ALTER TABLE payment_p2022_01 ADD FOREIGN KEY (customer_id) REFERENCES customer;
    ALTER TABLE payment_p2022_02 ADD FOREIGN KEY (customer_id) REFERENCES customer;
    ALTER TABLE payment_p2022_01 ADD FOREIGN KEY (rental_id) REFERENCES rental;
    ALTER TABLE payment_p2022_02 ADD FOREIGN KEY (rental_id) REFERENCES rental;
    CREATE INDEX ON rental (customer_id, rental_id); CREATE INDEX ON payment (rental_id);
    CREATE INDEX ON payment (customer_id, payment_date, payment_id);
    CREATE TRIGGER last_updated BEFORE UPDATE ON rental FOR EACH ROW EXECUTE FUNCTION last_updated();
    INSERT INTO staff VALUES (1);
"""
CUSTOMER, RENTAL, PAYMENT = (
    CopySpec(name, public(name), public(name), "customer_id") for name in ("customer", "rental", "payment")
)
SHOP = (PAYMENT, RENTAL, CUSTOMER)


@pytest.fixture
def rentals(sides: Sides) -> Sides:
    sides.both(RENTALS)
    sides.prod.execute("""
        INSERT INTO customer (customer_id, name, since) SELECT g, 'c' || g, 1990 + g % 30
          FROM generate_series(40, 45) g;
        INSERT INTO rental (rental_id, rental_date, customer_id, staff_id, last_update)
          OVERRIDING SYSTEM VALUE
          SELECT g, timestamptz '2022-01-01 00:00Z' + g * interval '3 hours', 40 + g % 6, 1, '2022-01-01'
            FROM generate_series(1, 900) g;
        INSERT INTO payment SELECT g, 40 + g % 6, g, g % 10,
          timestamptz '2022-01-01 00:00Z' + g * interval '3 hours' FROM generate_series(1, 900) g;
    """)
    return sides


def assert_same_rentals(sides: Sides, customers: str = "customer_id = 42") -> None:
    for table, key in (("customer", "customer_id"), ("rental", "rental_id"), ("payment", "payment_id")):
        sides.assert_same(table, customers, key)


def test_payments_in_partitions_with_keys_of_their_own_follow_prod(rentals: Sides) -> None:
    for number in (42, 43):
        copied(rentals, SHOP, number)
    rentals.prod.execute("""
        DELETE FROM payment WHERE rental_id = 8; DELETE FROM rental WHERE rental_id = 8;
        UPDATE payment SET payment_date = payment_date + interval '31 days' WHERE rental_id = 20;
        UPDATE payment SET rental_id = 38 WHERE rental_id = 2; DELETE FROM rental WHERE rental_id = 2;
        UPDATE customer SET name = 'changed', rating = 'PG-13' WHERE customer_id = 42;
        UPDATE rental SET customer_id = 42 WHERE rental_id IN (3, 9);
        UPDATE payment SET customer_id = 42 WHERE rental_id IN (3, 9);
    """)
    for number in (42, 43, 42):
        copied(rentals, SHOP, number, chunk_rows=40)
    assert_same_rentals(rentals, "customer_id IN (42, 43)")


def test_a_trigger_that_stamps_the_time_of_an_update_stamps_no_row_that_is_copied(rentals: Sides) -> None:
    """Rentals, to which payments refer, would be updated in place: they are replaced in one statement."""
    copied(rentals, SHOP)
    rentals.prod.execute("""
        ALTER TABLE rental DISABLE TRIGGER last_updated;
        UPDATE rental SET return_date = '2022-09-09' WHERE rental_id % 12 = 2""")
    copied(rentals, SHOP)
    assert_same_rentals(rentals)


def test_where_a_row_can_not_be_replaced_the_trigger_that_alters_it_is_named(
    rentals: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    """No rental lets its customer go."""
    rentals.consulta.execute("""
        CREATE TRIGGER stamped BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION last_updated()""")
    lines = drawn(explained(rentals, SHOP), capsys)
    assert "  - customer: stamped on public.customer, before each row: it may alter it" in lines
    copied(rentals, SHOP)
    rentals.prod.execute("UPDATE customer SET name = 'changed' WHERE customer_id = 42")
    with opened(rentals, SHOP) as copies:
        result = copies.run()
        proof = copies.verify(result)
        assert proof is not None
        assert not proof.holds
        blamed = copies.copies["customer"].blamed_triggers(
            result.results["customer"], proof.proofs["customer"]
        )
    assert blamed == ["stamped on public.customer"]


def test_foreign_keys_of_partitions_are_one_line_and_one_arrow(
    rentals: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    found = explained(rentals, SHOP)
    lines = drawn(found, capsys)
    assert (
        "  - payment (rental_id) -> rental (rental_id), payment_p2022_01_rental_id_fkey … "
        "payment_p2022_02_rental_id_fkey: the parent is written first"
    ) in lines
    assert (
        "  - rental (customer_id) -> customer (customer_id), rental_customer_id_fkey ON DELETE RESTRICT "
        "ON UPDATE CASCADE: the parent is written first"
    ) in lines
    print_mermaid(found)
    assert capsys.readouterr().out.count('t3 -->|"rental_id"| t2') == 1


# ------------------------------------------------------------------------------------ orders and their lines
# As in Northwind: smallint and real, a key of two columns, and articles that aren't in the set. In consulta
# the tables have another schema and quoted names, and a column is GENERATED there.

ORDERS = """
    CREATE TABLE {0}products (product_id smallint PRIMARY KEY);
    CREATE TABLE {0}orders (
        order_id smallint PRIMARY KEY, employee_id smallint NOT NULL, freight real, ship_name varchar(40));
    CREATE TABLE {0}{1} (
        order_id smallint CONSTRAINT fk_order_details_orders REFERENCES {0}orders,
        product_id smallint CONSTRAINT fk_order_details_products REFERENCES {0}products,
        unit_price real NOT NULL, quantity smallint NOT NULL, discount real NOT NULL,
        cost real GENERATED ALWAYS AS (unit_price * quantity) STORED,
        PRIMARY KEY (order_id, product_id));
    CREATE INDEX ON {0}orders (employee_id, order_id);
"""
ORDER = CopySpec("orders", public("orders"), TableName("Sales", "orders"), "employee_id")
DETAILS = CopySpec(
    "details",
    public("order_details"),
    TableName("Sales", "Order Details"),
    via=Via(("order_id",), ORDER, ("order_id",)),
)


@pytest.fixture
def orders(sides: Sides) -> Sides:
    sides.prod.execute(ORDERS.format("", "order_details"))
    sides.consulta.execute('CREATE SCHEMA "Sales";' + ORDERS.format('"Sales".', '"Order Details"'))
    sides.prod.execute("""
        INSERT INTO products SELECT generate_series(1, 9);
        INSERT INTO orders SELECT g, 42 + g % 2, g / 3.0, 'n' || g FROM generate_series(1, 60) g;
        INSERT INTO order_details (order_id, product_id, unit_price, quantity, discount)
          SELECT o, p, p / 3.0, p, 0 FROM generate_series(1, 60) o, generate_series(1, 5) p;
    """)
    sides.consulta.execute('INSERT INTO "Sales".products SELECT generate_series(1, 9)')
    return sides


def test_lines_of_two_key_columns_in_another_schema_with_quoted_names_follow_prod(orders: Sides) -> None:
    def same() -> None:
        asked = """
            SELECT order_id, product_id, unit_price, quantity, discount, cost FROM {0}{1} d
             WHERE order_id IN (SELECT order_id FROM {0}orders WHERE employee_id = 42) ORDER BY 1, 2"""
        ours = orders.prod.rows(asked.format("", "order_details"))
        assert orders.consulta.rows(asked.format('"Sales".', '"Order Details"')) == ours

    copied(orders, [DETAILS, ORDER])
    same()
    orders.prod.execute("""
        DELETE FROM order_details WHERE order_id = 6; DELETE FROM orders WHERE order_id = 6;
        UPDATE order_details SET order_id = 4, product_id = 9 WHERE order_id = 2 AND product_id = 5;
        UPDATE orders SET employee_id = 43 WHERE order_id = 8;
        UPDATE orders SET freight = 1 WHERE order_id = 10;
        UPDATE order_details SET quantity = 7 WHERE order_id = 10;
    """)
    copied(orders, [DETAILS, ORDER])
    same()


def test_reference_rows_that_consulta_lacks_stop_the_set_and_their_key_is_named(orders: Sides) -> None:
    orders.consulta.execute('DELETE FROM "Sales".products WHERE product_id = 3')
    with opened(orders, [DETAILS, ORDER]) as copies, pytest.raises(Permanent) as refused:
        copies.run()
    assert refused.value.table == '"Sales"."Order Details"'
    assert refused.value.constraint == "fk_order_details_products"


# ------------------------------------------------------------------------------------- what else tables have
# Slips of 42 and 43 in turns, with lines that go with them, in tables of several kinds.

SLIPS_AND_LINES = """
    CREATE TABLE slips (id int PRIMARY KEY, liquidation_id int NOT NULL, no int NOT NULL{more});
    CREATE TABLE lines (
        id int PRIMARY KEY, slip int NOT NULL REFERENCES slips ON DELETE CASCADE{deferred}, v int);
"""
SLIP_ROWS = """
    INSERT INTO slips (id, liquidation_id, no{columns})
      SELECT g, 42 + g % 2, g{values} FROM generate_series(1, 40) g;
    INSERT INTO lines SELECT g, 1 + g % 40, g FROM generate_series(1, 200) g;
"""
KINDS = {
    "plain keys": (
        SLIPS_AND_LINES.format(more="", deferred=""),
        SLIP_ROWS.format(columns="", values=""),
        "DELETE FROM slips WHERE id < 10; UPDATE slips SET no = -1 WHERE id > 30",
    ),
    "deferred foreign keys": (
        SLIPS_AND_LINES.format(more="", deferred=" DEFERRABLE INITIALLY DEFERRED"),
        SLIP_ROWS.format(columns="", values=""),
        "DELETE FROM slips WHERE id < 10; UPDATE slips SET no = -1 WHERE id > 30",
    ),
    "a column beside the key that no UPDATE may set": (
        SLIPS_AND_LINES.format(more=", seq int GENERATED ALWAYS AS IDENTITY", deferred=""),
        SLIP_ROWS.format(columns="", values=""),
        "DELETE FROM slips WHERE id < 10; UPDATE slips SET no = -1 WHERE id > 30",
    ),
    "slips that need another slip": (
        SLIPS_AND_LINES.format(more=", of int NOT NULL REFERENCES slips ON DELETE CASCADE", deferred=""),
        SLIP_ROWS.format(columns=", of", values=", 1 + (g + 1) % 40"),
        "UPDATE slips SET of = 2; DELETE FROM slips WHERE id > 20",
    ),
    "keys of a domain and of an enum": (
        """CREATE DOMAIN code AS text CHECK (VALUE ~ '^[a-z0-9]+$');
        CREATE TYPE kind AS ENUM ('zeta', 'alfa');
        CREATE TABLE slips (id code PRIMARY KEY, liquidation_id int NOT NULL, kind kind DEFAULT 'zeta');
        CREATE TABLE lines (
            slip code REFERENCES slips ON DELETE CASCADE, kind kind, v int, PRIMARY KEY (slip, kind));""",
        """INSERT INTO slips SELECT 's' || g, 42 + g % 2 FROM generate_series(1, 40) g;
        INSERT INTO lines
          SELECT 's' || g, k, g FROM generate_series(1, 40) g, unnest(enum_range(null::kind)) k""",
        "DELETE FROM slips WHERE id < 's20'; UPDATE lines SET v = 0 WHERE kind = 'alfa'",
    ),
}


@pytest.mark.parametrize(("tables", "rows", "change"), KINDS.values(), ids=KINDS.keys())
def test_slips_and_the_lines_that_go_with_them_follow_prod_whatever_their_keys_are(
    sides: Sides, tables: str, rows: str, change: str
) -> None:
    sides.both(tables)
    sides.prod.execute(rows)
    slips = CopySpec("slips", public("slips"), public("slips"), "liquidation_id")
    lines = CopySpec("lines", public("lines"), public("lines"), via=Via(("slip",), slips, ("id",)))
    of_42 = "slip IN (SELECT id FROM slips WHERE liquidation_id = 42)"
    for each in ("", "", change, "DELETE FROM slips"):
        sides.prod.execute(each or "SELECT")
        copied(sides, [lines, slips], chunk_rows=7)
        sides.assert_same("slips")
        sides.assert_same("lines", of_42, "slip, v, lines::text")


def test_slips_that_exchange_a_unique_value_and_have_lines_are_refused_by_its_name(sides: Sides) -> None:
    """They can't be updated one by one, and not be replaced: their lines would go."""
    sides.both(SLIPS_AND_LINES.format(more=", CONSTRAINT one_no UNIQUE (liquidation_id, no)", deferred=""))
    sides.prod.execute(SLIP_ROWS.format(columns="", values=""))
    slips = CopySpec("slips", public("slips"), public("slips"), "liquidation_id")
    lines = CopySpec("lines", public("lines"), public("lines"), via=Via(("slip",), slips, ("id",)))
    copied(sides, [lines, slips])
    sides.prod.execute("""
        UPDATE slips SET no = -no WHERE id IN (2, 4);
        UPDATE slips SET no = CASE id WHEN 2 THEN 4 ELSE 2 END WHERE id IN (2, 4)""")
    with opened(sides, [lines, slips]) as copies, pytest.raises(Permanent) as refused:
        copies.run()
    assert (refused.value.table, refused.value.constraint) == ("slips", "one_no")
    assert sides.consulta.rows("SELECT count(*) FROM lines") == [(100,)]
