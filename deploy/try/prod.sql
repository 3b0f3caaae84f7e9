-- A small payroll for a try: the catalogue of liquidations, and their items. traspaso.example.toml names both.
CREATE TABLE liquidations (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    period date NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO liquidations (id, name, period) VALUES
    (41, 'Sueldo anual complementario · Junio 2026', '2026-06-01'),
    (42, 'Sueldos mensuales · Octubre 2026', '2026-10-01');

CREATE TABLE liquidation_items (
    id bigint PRIMARY KEY,
    liquidation_id bigint NOT NULL REFERENCES liquidations,
    employee_id bigint NOT NULL,
    concept text NOT NULL,
    amount numeric(14, 2) NOT NULL
);
CREATE INDEX ON liquidation_items (liquidation_id, id);
INSERT INTO liquidation_items
SELECT n, 41 + n % 2, n % 4800, 'C' || lpad((n % 400)::text, 4, '0'), (n * 7919 % 1000000)::numeric / 100
  FROM generate_series(1, 100000) AS n;
ANALYZE;
