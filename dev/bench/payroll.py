"""The five tables on which a set is measured: a settlement run with all that hangs on it.

``scale`` 1 gives liquidation 42 exactly 1,000,000 rows, in one piece between those of 41 and 43, which have
as many each. Three of the tables have no column of the liquidation: their rows belong through their parents.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from dev.bench.table import run

LIQUIDATION = 42

DDL = """
CREATE TABLE liquidations (
    id bigint primary key, title text not null, period date not null, closed_at timestamptz);
CREATE TABLE payslips (
    id bigint primary key, liquidation_id bigint not null references liquidations,
    employee_id bigint not null, name text not null, cbu char(22),
    gross numeric(14,2) not null, net numeric(14,2) not null,
    metadata jsonb, created_at timestamptz not null);
CREATE INDEX payslips_liquidation_id_id_idx ON payslips (liquidation_id, id);
CREATE TABLE payslip_inputs (
    id bigint primary key, payslip_id bigint not null references payslips, code text not null,
    hours numeric(8,2), note text, created_at timestamptz not null);
CREATE INDEX payslip_inputs_payslip_id_id_idx ON payslip_inputs (payslip_id, id);
CREATE TABLE payslip_lines (
    id bigint primary key, payslip_id bigint not null references payslips, concept_code text not null,
    description text, quantity numeric(12,4), unit_amount numeric(14,2), amount numeric(14,2) not null,
    currency char(3) not null, period date not null, metadata jsonb, created_at timestamptz not null);
CREATE INDEX payslip_lines_payslip_id_id_idx ON payslip_lines (payslip_id, id);
CREATE TABLE deductions (
    id bigint primary key, line_id bigint not null references payslip_lines, reason text not null,
    amount numeric(14,2) not null, agreed_at timestamptz);
CREATE INDEX deductions_line_id_id_idx ON deductions (line_id, id);
"""

CONFIG = """
[[copies]]
name = "head"
source_table = "public.liquidations"
target_table = "public.liquidations"
liquidation_column = "id"
[[copies]]
name = "payslips"
source_table = "public.payslips"
target_table = "public.payslips"
[[copies]]
name = "inputs"
source_table = "public.payslip_inputs"
target_table = "public.payslip_inputs"
via = "payslip_id -> public.payslips.id"
[[copies]]
name = "lines"
source_table = "public.payslip_lines"
target_table = "public.payslip_lines"
via = "payslip_id -> public.payslips.id"
[[copies]]
name = "deductions"
source_table = "public.deductions"
target_table = "public.deductions"
via = "line_id -> public.payslip_lines.id"
[[sets]]
name = "whole"
title = "Whole liquidation"
copies = ["head", "payslips", "inputs", "lines", "deductions"]
default = true
"""

#: Each row of a liquidation has a number from 1 in its table; those of 41, 42 and 43 follow each other.
_NUMBERED = "generate_series(1::bigint, 3 * %(rows)s::bigint) g"
FILL = {
    "liquidations": r"""
        SELECT 40 + g, 'Liquidación ' || g, date '2026-10-01', now() FROM generate_series(1, 3) g""",
    "payslips": rf"""
        SELECT g, 41 + (g - 1) / %(rows)s, 100000 + (g * 7919) %% 50000, 'Persona ' || md5(g::text),
          lpad((g * 104729)::text, 22, '0'), ((g * 104729) %% 900000000)::numeric / 100,
          ((g * 17) %% 9000000)::numeric / 100,
          CASE WHEN g %% 15 = 0 THEN NULL ELSE jsonb_build_object('origin', 'batch-' || (g %% 997)) END,
          timestamptz '2026-10-01 00:00:00+00' + (g || ' seconds')::interval
        FROM {_NUMBERED}""",
    "payslip_inputs": rf"""
        SELECT g, 1 + (g - 1) * %(parents)s / %(rows)s, 'I' || (g %% 40), (g %% 20000)::numeric / 100,
          CASE WHEN g %% 3 = 0 THEN 'Nota ' || md5(g::text) END,
          timestamptz '2026-10-01 00:00:00+00' + (g || ' seconds')::interval
        FROM {_NUMBERED}""",
    "payslip_lines": rf"""
        SELECT g, 1 + (g - 1) * %(parents)s / %(rows)s, 'C' || lpad(((g * 31) %% 400)::text, 4, '0'),
          CASE WHEN g %% 20 = 0 THEN NULL ELSE 'Concepto de liquidación ' || md5(g::text) END,
          CASE WHEN g %% 11 = 0 THEN NULL ELSE ((g * 13) %% 30000)::numeric / 100 END,
          ((g * 17) %% 9000000)::numeric / 100, ((g * 104729) %% 900000000)::numeric / 100,
          (ARRAY['ARS','USD','EUR'])[1 + (g %% 3)::int], date '2024-01-01' + ((g %% 24) * 30)::int,
          CASE WHEN g %% 15 = 0 THEN NULL ELSE jsonb_build_object('origin', 'batch-' || (g %% 997),
            'tags', jsonb_build_array('a' || (g %% 9), 'b' || (g %% 5))) END,
          timestamptz '2026-10-01 00:00:00+00' + (g || ' seconds')::interval
        FROM {_NUMBERED}""",
    "deductions": rf"""
        SELECT g, 1 + (g - 1) * %(parents)s / %(rows)s, 'Descuento ' || (g %% 50),
          ((g * 17) %% 900000)::numeric / 100, timestamptz '2026-10-01 00:00:00+00' + (g || ' days')::interval
        FROM {_NUMBERED}""",
}


@dataclass(frozen=True)
class Member:
    """One table of the set: its copy, and of which rows it is for who asks by SQL."""

    copy: str
    table: str
    of_42: str


#: Parents first.
MEMBERS = (
    Member("head", "liquidations", "id = 42"),
    Member("payslips", "payslips", "liquidation_id = 42"),
    Member("inputs", "payslip_inputs", "payslip_id IN (SELECT id FROM payslips WHERE liquidation_id = 42)"),
    Member("lines", "payslip_lines", "payslip_id IN (SELECT id FROM payslips WHERE liquidation_id = 42)"),
    Member(
        "deductions",
        "deductions",
        "line_id IN (SELECT id FROM payslip_lines WHERE payslip_id IN "
        "(SELECT id FROM payslips WHERE liquidation_id = 42))",
    ),
)


def rows_of(scale: float) -> dict[str, int]:
    """Of one liquidation, by table."""
    rows = {
        "liquidations": 1,
        "payslips": round(50_000 * scale),
        "payslip_inputs": round(100_000 * scale),
        "payslip_lines": round(600_000 * scale),
    }
    return {**rows, "deductions": round(1_000_000 * scale) - sum(rows.values())}


def make(prod_url: str, consulta_url: str, scale: float) -> None:
    """The filled tables in prod, the empty ones in consulta."""
    rows = rows_of(scale)
    parents = {"payslip_inputs": "payslips", "payslip_lines": "payslips", "deductions": "payslip_lines"}
    with psycopg.connect(prod_url) as prod:
        prod.execute(DDL.encode())
        for table, query in FILL.items():
            numbers = {"rows": rows[table], "parents": rows[parents.get(table, table)]}
            prod.execute(f"INSERT INTO {table} {query} ORDER BY g".encode(), numbers)
    with psycopg.connect(consulta_url) as consulta:
        consulta.execute(DDL.encode())
    run(prod_url, *(f"VACUUM (ANALYZE, FREEZE) {member.table}" for member in MEMBERS))


def empty(consulta_url: str) -> None:
    """As before the first copy, the checkpoint included."""
    run(consulta_url, f"TRUNCATE {', '.join(member.table for member in MEMBERS)}", "CHECKPOINT")


def columns(consulta_url: str) -> dict[str, list[str]]:
    """The columns of each table; the first is its key."""
    with psycopg.connect(consulta_url) as connection:
        return {
            member.table: [
                each.name
                for each in connection.execute(f"SELECT * FROM {member.table} LIMIT 0".encode()).description
                or []
            ]
            for member in MEMBERS
        }
