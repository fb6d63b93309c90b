-- +goose Up

-- What decisions took away of late, over the whole fleet: the brake of all replicas counts it.
CREATE TABLE fleet_removals (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stack_id uuid NOT NULL REFERENCES stacks,
    count    integer NOT NULL CONSTRAINT fleet_removals_count CHECK (count > 0),
    at       timestamptz NOT NULL
);
CREATE INDEX fleet_removals_at ON fleet_removals (at, id) INCLUDE (count);

-- +goose Down
DROP TABLE fleet_removals;
