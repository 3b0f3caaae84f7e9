"""The table on which everything is measured: 14 columns of a payroll, half of liquidation 42 interleaved.

``scale`` 1 gives 3,000,000 rows, of which 1,000,000 are liquidation 42: 500,000 lie one in three among
other liquidations, 500,000 in one piece. A scale below makes the same shape smaller.
"""

from __future__ import annotations

import psycopg

LIQUIDATION = 42

DDL = """
CREATE TABLE liquidation_items (
    id bigint primary key, liquidation_id bigint not null, employee_id bigint not null,
    concept_code text not null, description text, quantity numeric(12,4), unit_amount numeric(14,2),
    amount numeric(14,2) not null, currency char(3) not null, period date not null, status text not null,
    metadata jsonb, created_at timestamptz not null, updated_at timestamptz not null);
CREATE INDEX liquidation_items_liq_id_idx ON liquidation_items (liquidation_id, id);
"""

FILL = r"""
INSERT INTO liquidation_items
SELECT g,
  CASE WHEN g <= %(half)s AND g %% 3 = 0 THEN 42
       WHEN g > %(from)s AND g <= %(to)s THEN 42
       ELSE 30 + (g %% 7) + (CASE WHEN g %% 2 = 0 THEN 0 ELSE 20 END) END,
  100000 + (g * 7919) %% 50000,
  'C' || lpad(((g * 31) %% 400)::text, 4, '0'),
  CASE WHEN g %% 20 = 0 THEN NULL ELSE 'Concepto de liquidación ' || md5(g::text) END,
  CASE WHEN g %% 11 = 0 THEN NULL ELSE ((g * 13) %% 30000)::numeric / 100 END,
  ((g * 17) %% 9000000)::numeric / 100,
  ((g * 104729) %% 900000000)::numeric / 100,
  (ARRAY['ARS','USD','EUR'])[1 + (g %% 3)::int],
  date '2024-01-01' + ((g %% 24) * 30)::int,
  (ARRAY['pending','approved','paid','rejected'])[1 + (g %% 4)::int],
  CASE WHEN g %% 15 = 0 THEN NULL ELSE jsonb_build_object('origin', 'batch-' || (g %% 997), 'line', g %% 5000,
    'tags', jsonb_build_array('a' || (g %% 9), 'b' || (g %% 5)),
    'note', 'línea "' || (g %% 1000) || E'"\t\\ fin') END,
  timestamptz '2024-01-01 00:00:00+00' + (g || ' seconds')::interval + interval '0.123456 second',
  timestamptz '2024-06-01 00:00:00+00' + (g %% 1000000 || ' seconds')::interval
FROM generate_series(1::bigint, %(rows)s::bigint) g ORDER BY g
"""

#: One row in a thousand, scattered over the whole liquidation.
ALTER_SOME = (
    "UPDATE liquidation_items SET amount = amount + 1 WHERE liquidation_id = 42 AND hashint8(id) % 1000 = 0"
)

#: The columns of a row as they were before each one changed.
OTHERWISE = (
    "id, liquidation_id, employee_id, concept_code, description, quantity, unit_amount, amount - 1, "
    "currency, period, status, metadata, created_at, updated_at"
)


def few(liquidation: int, rows: int) -> str:
    """Adds a liquidation of so few rows to prod."""
    return (
        f"INSERT INTO liquidation_items SELECT 10000000 + g, {liquidation}, g, 'C1', NULL, 1, 1, 1, 'ARS', "
        f"date '2026-10-01', 'paid', NULL, now(), now() FROM generate_series(1, {rows}) g"
    )


def make(prod_url: str, consulta_url: str, scale: float) -> None:
    """The filled table in prod, the empty one in consulta."""
    rows = round(3_000_000 * scale)
    places = {"rows": rows, "half": rows // 2, "from": rows * 2 // 3, "to": rows * 5 // 6}
    with psycopg.connect(prod_url) as prod:
        prod.execute(DDL)
        prod.execute(FILL.encode(), places)
    with psycopg.connect(consulta_url) as consulta:
        consulta.execute(DDL)
    run(prod_url, "VACUUM (ANALYZE, FREEZE) liquidation_items")


def empty(consulta_url: str) -> None:
    """As before the first copy, the checkpoint included."""
    run(consulta_url, "TRUNCATE liquidation_items", "CHECKPOINT")


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
