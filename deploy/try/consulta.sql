-- The table that copies fill; empty at first.
CREATE TABLE liquidation_items (
    id bigint PRIMARY KEY,
    liquidation_id bigint NOT NULL,
    employee_id bigint NOT NULL,
    concept text NOT NULL,
    amount numeric(14, 2) NOT NULL
);
CREATE INDEX ON liquidation_items (liquidation_id, id);
