-- +goose Up

-- Who changed what. Rows are inserted in the transaction of the change and never changed, but that seq and link, their place
-- in the chain of their period, are set once. A log: its ids are no foreign keys, for it outlives what it speaks of.
CREATE TABLE audit_log (
    period        date NOT NULL, -- the first day of the month of at
    id            uuid NOT NULL,
    at            timestamptz NOT NULL,
    actor_type    text COLLATE "C" NOT NULL CONSTRAINT audit_log_actor CHECK (actor_type <> '' AND (actor_type = 'system' OR actor_id IS NOT NULL)),
    actor_id      uuid,
    credential_id uuid,
    action        text COLLATE "C" NOT NULL CONSTRAINT audit_log_action CHECK (action ~ '^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$'),
    resource_type text COLLATE "C" NOT NULL,
    resource_id   uuid,
    before        text NOT NULL DEFAULT '',
    after         text NOT NULL DEFAULT '',
    details       text NOT NULL DEFAULT '{}', -- JSON as it was hashed
    request_id    text NOT NULL DEFAULT '',
    ip            text NOT NULL DEFAULT '',
    user_agent    text NOT NULL DEFAULT '',
    traceparent   text NOT NULL DEFAULT '',
    hash          bytea NOT NULL CONSTRAINT audit_log_hash CHECK (octet_length(hash) = 32),
    seq           bigint CONSTRAINT audit_log_seq CHECK (seq > 0),
    link          bytea,
    CONSTRAINT audit_log_sealed CHECK ((seq IS NULL) = (link IS NULL)),
    PRIMARY KEY (period, id)
) PARTITION BY RANGE (period);
CREATE UNIQUE INDEX audit_log_seq ON audit_log (period, seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_log_waiting ON audit_log (period, at, id) WHERE seq IS NULL;
CREATE INDEX audit_log_at ON audit_log (at, id);
CREATE INDEX audit_log_resource ON audit_log (resource_id, at) WHERE resource_id IS NOT NULL;
CREATE INDEX audit_log_actor ON audit_log (actor_id, at) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_log_id ON audit_log (id);

-- Periods for which nobody made a partition in time.
CREATE TABLE audit_log_rest PARTITION OF audit_log DEFAULT;

-- One chain a period; kept for ever, so that what is left after a drop still hangs on what went before.
CREATE TABLE audit_chains (
    period       date PRIMARY KEY,
    number       integer NOT NULL UNIQUE, -- in the order in which they began
    after_period date REFERENCES audit_chains (period),
    after_seq    bigint,
    after_link   bytea,
    entries      bigint NOT NULL,
    head         bytea NOT NULL CONSTRAINT audit_chains_head CHECK (octet_length(head) = 32),
    dropped_at   timestamptz,
    CONSTRAINT audit_chains_after CHECK ((after_period IS NULL) = (after_seq IS NULL) AND (after_period IS NULL) = (after_link IS NULL))
);

-- +goose Down
DROP TABLE audit_chains;
DROP TABLE audit_log;
