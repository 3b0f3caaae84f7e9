"""The data of the demo and of the tests: a payroll in prod, an earlier day in consulta.

All of it is made inside the servers, by one INSERT … SELECT from generate_series, and is the same each
time. The rows of the liquidations lie among each other in the order of their ids, as payrolls that were
settled at the same time do, and the ids have gaps. Liquidation 7 is small and awkward: it holds the
characters and numbers that break careless copies.
"""

from __future__ import annotations

import psycopg

ITEMS = """
CREATE TABLE IF NOT EXISTS liquidation_items (
    id bigint PRIMARY KEY,
    liquidation_id bigint NOT NULL,
    employee_id bigint NOT NULL,
    concept_code text NOT NULL,
    description text,
    quantity numeric(12,4),
    unit_amount numeric(14,2),
    amount numeric(14,2) NOT NULL,
    currency char(3) NOT NULL,
    period date NOT NULL,
    status text NOT NULL,
    metadata jsonb,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS liquidation_items_liq_id_idx ON liquidation_items (liquidation_id, id);
"""

CATALOGUE = """
CREATE TABLE liquidations (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    period date NOT NULL,
    kind text NOT NULL,
    created_at timestamptz NOT NULL
);
INSERT INTO liquidations VALUES
    (7, 'Ajustes retroactivos · Enero 2026', '2026-01-01', 'ajuste', '2026-02-03 09:12:44.120931-03'),
    (40, 'Adelantos quincenales · Septiembre 2026', '2026-09-01', 'adelanto', '2026-09-14 18:03:10.5-03'),
    (41, 'Sueldo anual complementario · Junio 2026', '2026-06-01', 'aguinaldo', '2026-06-24 11:47:02.7-03'),
    (42, 'Sueldos mensuales · Octubre 2026', '2026-10-01', 'mensual', '2026-10-29 20:15:36.004512-03'),
    (43, 'Liquidación final · Bajas de Octubre 2026', '2026-10-01', 'final', '2026-10-30 08:30:00-03'),
    (50, 'Vacaciones · Diciembre 2026', '2026-12-01', 'vacaciones', '2026-11-02 10:00:00-03');
"""

# How many rows each liquidation has; that of 42 is given by the caller, 50 has none.
SMALL = {40: 4_000, 41: 6_500, 43: 2_500}
LARGE = 42
AWKWARD, AWKWARD_ROWS = 7, 12
ELSEWHERE = 39  # in consulta from the beginning, and none of our business
STALE_SURPLUS_ID = 900_000_001  # from here on, ids that prod doesn't have

# The position in its own liquidation decides a row's place in the order of ids, so all are spread over the
# whole. From this number (g) and liquidation_id comes a row of a payroll; {id} makes its key.
ROWS = """
WITH sizes (liquidation_id, size) AS (
    SELECT * FROM unnest(%(liquidations)s::bigint[], %(sizes)s::bigint[])
),
places AS (
    SELECT row_number() OVER (ORDER BY (n - 0.5) / size, liquidation_id) AS g, liquidation_id
    FROM sizes, generate_series(1::bigint, size) AS n
),
words (concepts, people) AS (VALUES (
    ARRAY['Sueldo básico', 'Antigüedad', 'Presentismo', 'Horas extra 50 %%', 'Título universitario',
          'Jubilación', 'Ley 19.032', 'Obra social', 'Asignación por hijo', 'Viáticos', 'Compensación',
          'Bonificación día del año'],
    ARRAY['Núñez, María José', 'Peña, Íñigo', 'Agüero, Débora', 'Ibáñez, Ramón', 'Muñoz, Sofía',
          'D''Ángelo, Lucía', 'Güiraldes, Andrés', 'Çelik, Zoë']
))
INSERT INTO liquidation_items
SELECT {id},
    liquidation_id,
    20000000 + (g * 7919) %% 4800,
    'C' || lpad(((g * 31) %% 400)::text, 4, '0'),
    CASE WHEN g %% 23 = 0 THEN NULL ELSE concepts[1 + g %% 12] || ' – ' || people[1 + (g / 12) %% 8] END,
    CASE WHEN g %% 11 = 0 THEN NULL ELSE ((g * 13) %% 2400000)::numeric / 10000 END,
    CASE WHEN g %% 29 = 0 THEN NULL ELSE ((g * 17) %% 9000000)::numeric / 100 END,
    (CASE WHEN g %% 12 IN (5, 6, 7) THEN -1 ELSE 1 END) * ((g * 104729) %% 900000000)::numeric / 100,
    (ARRAY['ARS','ARS','ARS','USD','EUR'])[1 + g %% 5],
    date '2026-10-01' - ((g %% 24) * 30)::int,
    (ARRAY['pendiente','aprobado','pagado','rechazado','en revisión'])[1 + g %% 5],
    CASE WHEN g %% 15 = 0 THEN NULL ELSE jsonb_build_object(
        'origen', 'lote-' || g %% 997,
        'renglón', g %% 5000,
        'alícuota', ((g %% 40)::numeric / 2)::numeric(5,2),
        'etiquetas', jsonb_build_array('área ' || g %% 9, g %% 2 = 0, NULL),
        'nota', 'según "recibo" nº ' || g || E'\\t\\\\ fin') END,
    timestamptz '2026-10-01 00:00:00-03' + g * interval '1.123457 second',
    timestamptz '2026-10-15 00:00:00-03' + (g %% 1000000) * interval '0.731 second'
FROM places, words
ORDER BY 1
"""

AWKWARD_UPDATES = """
UPDATE liquidation_items AS item
SET description = odd.description, quantity = odd.quantity, amount = odd.amount, metadata = odd.metadata
FROM (
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM liquidation_items WHERE liquidation_id = 7
) AS numbered
JOIN (VALUES
    (1, '', 0, 0.00, '{}'::jsonb),
    (2, NULL, NULL, -0.01, NULL),
    (3, E'\\\\N', 99999999.9999, 999999999999.99, 'null'),
    (4, E'tab\\there, line\\nbreak\\r\\n', -99999999.9999, -999999999999.99, '[]'),
    (5, E'back\\\\slash \\\\t "quotes" ''s', 0.0001, 'NaN', '"text"'),
    (6, 'Año, ñandú, pingüino, ÁÉÍÓÚ, ¿¡', 'NaN', 0.10, '{"ñ": "á", "€": 1.10}'),
    (7, '日本語 Ελληνικά עברית', 1.5, 1.50, '{"n": 1.000, "big": 123456789012345678901234567890.5}'),
    (8, '👩‍👩‍👧 🇦🇷', 2, 2, '{"emoji": "🇦🇷"}'),
    (9, E'combining: n\\u0303 vs ñ', 3, 3, '{"a": {"b": [1, [2, {"c": null}]]}}'),
    (10, E'\\\\.', 4, 4, 'true'),
    (11, '   spaces   ', 5, 5, '{"quote": "\\"", "slash": "\\\\"}'),
    (12, repeat('larguísimo ', 3000), 6, 6, jsonb_build_object('x', repeat('ñ', 9000)))
) AS odd (n, description, quantity, amount, metadata) USING (n)
WHERE item.id = numbered.id
"""

STALE = "UPDATE liquidation_items SET status = 'pendiente', amount = amount + 1 WHERE liquidation_id = 42"


def seed_prod(connection_url: str, *, rows: int = 200_000) -> None:
    """The catalogue and its items: 42 of so many rows, some of thousands, 7 of twelve, 50 of none."""
    sizes = {AWKWARD: AWKWARD_ROWS, **SMALL, LARGE: rows}
    with psycopg.connect(connection_url) as connection:
        connection.execute(CATALOGUE)
        connection.execute(ITEMS)
        _insert(connection, sizes, "g + g / 1000 * 37")
        connection.execute(AWKWARD_UPDATES)
    _analyze(connection_url)


def seed_consulta(connection_url: str, *, stale_rows: int = 0) -> None:
    """The same table, with rows of liquidation 39 only, and if asked what an earlier copy of 42 left there.

    Of those `stale_rows` some are surplus (prod doesn't have their ids), the others altered; and some stand
    under 42 where prod has them under another liquidation.
    """
    with psycopg.connect(connection_url) as connection:
        connection.execute(ITEMS)
        _insert(connection, {ELSEWHERE: 500}, "800000000 + g")
        if stale_rows:
            surplus = max(1, stale_rows // 100)
            _insert(connection, {LARGE: stale_rows - surplus}, "g + g / 1000 * 37")
            _insert(connection, {LARGE: surplus}, f"{STALE_SURPLUS_ID - 1} + g")
            connection.execute(STALE)
    _analyze(connection_url)


def _insert(connection: psycopg.Connection, sizes: dict[int, int], key: str) -> None:
    parameters = {"liquidations": list(sizes), "sizes": list(sizes.values())}
    connection.execute(ROWS.replace("{id}", key).encode(), parameters)


def _analyze(connection_url: str) -> None:
    with psycopg.connect(connection_url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) liquidation_items")
