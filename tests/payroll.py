"""A payroll's tables: a head, payslips with the liquidation's number, and what hangs on them by steps."""

from __future__ import annotations

from copier import CopySpec, TableName, Via

TABLES = """
    CREATE TABLE liquidations (
        id bigint PRIMARY KEY, name text NOT NULL, closed boolean NOT NULL DEFAULT false
    );
    CREATE TABLE payslips (
        id bigint PRIMARY KEY,
        liquidation_id bigint NOT NULL REFERENCES liquidations,
        employee text NOT NULL
    );
    CREATE INDEX ON payslips (liquidation_id, id);
    CREATE TABLE payslip_lines (
        id bigint PRIMARY KEY,
        payslip_id bigint REFERENCES payslips,
        amount numeric NOT NULL,
        note text
    );
    CREATE INDEX ON payslip_lines (payslip_id, id);
    CREATE TABLE deductions (
        line_id bigint NOT NULL REFERENCES payslip_lines,
        no int NOT NULL,
        reason text,
        PRIMARY KEY (line_id, no)
    );
"""


def _table(name: str) -> TableName:
    return TableName("public", name)


HEAD = CopySpec("head", _table("liquidations"), _table("liquidations"), "id")
PAYSLIPS = CopySpec("payslips", _table("payslips"), _table("payslips"), "liquidation_id")
LINES = CopySpec(
    "lines", _table("payslip_lines"), _table("payslip_lines"), via=Via(("payslip_id",), PAYSLIPS, ("id",))
)
DEDUCTIONS = CopySpec(
    "deductions", _table("deductions"), _table("deductions"), via=Via(("line_id",), LINES, ("id",))
)
#: Parents first.
ALL = (HEAD, PAYSLIPS, LINES, DEDUCTIONS)

#: Which rows are of liquidation 42, as an oracle asks for them.
OF_42 = {
    "liquidations": "id = 42",
    "payslips": "liquidation_id = 42",
    "payslip_lines": "EXISTS (SELECT FROM payslips p WHERE p.id = payslip_id AND p.liquidation_id = 42)",
    "deductions": (
        "EXISTS (SELECT FROM payslip_lines l JOIN payslips p ON p.id = l.payslip_id "
        "WHERE l.id = line_id AND p.liquidation_id = 42)"
    ),
}
#: What orders each table's rows.
ORDER = {"liquidations": "id", "payslips": "id", "payslip_lines": "id", "deductions": "line_id, no"}


def filled(payslips: int, *, lines: int = 5) -> str:
    """The statements that fill liquidations 41, 42 and 43: payslips by turns, each with so many lines.

    Every second line has a deduction; one line belongs to no payslip.
    """
    return f"""
        INSERT INTO liquidations SELECT g, 'liquidation ' || g FROM generate_series(41, 43) g;
        INSERT INTO payslips SELECT g, 41 + g % 3, 'employee ' || g FROM generate_series(1, {payslips}) g;
        INSERT INTO payslip_lines SELECT g, 1 + g % {payslips}, g / 100.0, 'line ' || g
          FROM generate_series(1, {payslips * lines}) g;
        INSERT INTO payslip_lines VALUES (0, NULL, 0, 'of nobody');
        INSERT INTO deductions SELECT g, g % 3, 'because ' || g
          FROM generate_series(2, {payslips * lines}, 2) g;
        ANALYZE;
    """


#: The entries of a configuration that has a copy for each of them.
ENTRIES = """
[[copies]]
name = "head"
source_table = "liquidations"
target_table = "liquidations"
liquidation_column = "id"
[[copies]]
name = "payslips"
source_table = "payslips"
target_table = "payslips"
[[copies]]
name = "lines"
source_table = "payslip_lines"
target_table = "payslip_lines"
via = "payslip_id -> public.payslips.id"
[[copies]]
name = "deductions"
source_table = "deductions"
target_table = "deductions"
via = "line_id -> public.payslip_lines.id"
"""
#: A configuration that has them as the default set, and two of them as another one.
SETS = (
    ENTRIES.replace('name = "payslips"', 'name = "payslips"\ntitle = "Recibos"')
    + """
[[sets]]
name = "completa"
title = "Liquidación completa"
copies = ["head", "payslips", "lines", "deductions"]
default = true
[[sets]]
name = "corta"
copies = ["head", "payslips"]
[work]
chunk_rows = 100
parallel = 2
lock_timeout_seconds = 60
"""
)
#: Their names, in that order.
COPIES = ("head", "payslips", "lines", "deductions")
