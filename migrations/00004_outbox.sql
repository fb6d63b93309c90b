-- +goose Up

-- A log: its ids are no foreign keys, for it outlives what it speaks of.
CREATE TABLE outbox (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           text NOT NULL,
    type         text NOT NULL,
    agent_id     uuid,
    stack_id     uuid,
    object_id    uuid,
    generator_id uuid,
    traceparent  text NOT NULL DEFAULT '',
    data         jsonb,
    at           timestamptz NOT NULL
);
CREATE INDEX outbox_at ON outbox (at, seq);

-- The highest sequence that was trimmed: what is missing up to there is gone, not late.
CREATE TABLE outbox_floor (
    singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT outbox_floor_singleton CHECK (singleton),
    seq       bigint NOT NULL
);
INSERT INTO outbox_floor (seq) VALUES (0);

-- A lease that is over keeps its row: the next holder's epoch must be greater.
CREATE TABLE leases (
    name   text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    epoch  bigint NOT NULL,
    until  timestamptz NOT NULL
) WITH (fillfactor = 70);

-- +goose Down
DROP TABLE leases;
DROP TABLE outbox_floor;
DROP TABLE outbox;
