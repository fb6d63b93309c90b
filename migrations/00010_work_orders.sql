-- +goose Up

-- Work that an admin orders: whichever targeted agent claims it first does it. What is finished moves to the log.
CREATE TABLE work_orders (
    id                    uuid PRIMARY KEY,
    work_type             text COLLATE "C" NOT NULL,
    checksum              bytea NOT NULL REFERENCES blobs,
    size                  bigint NOT NULL,
    status                text NOT NULL CONSTRAINT work_orders_status CHECK (status IN ('PENDING', 'CLAIMED', 'RETRY_PENDING')),
    claim_timeout_seconds integer NOT NULL,
    max_retries           integer NOT NULL,
    backoff_seconds       integer NOT NULL,
    retry_count           integer NOT NULL DEFAULT 0,
    claimed_by            uuid REFERENCES agents,
    claimed_at            timestamptz,
    claim_ends_at         timestamptz, -- the claim is stale from then on
    next_retry_after      timestamptz,
    last_error            text,
    last_error_at         timestamptz,
    available_at          timestamptz NOT NULL, -- when it last became PENDING
    traceparent           text NOT NULL DEFAULT '',
    version               bigint NOT NULL DEFAULT 1,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    CONSTRAINT work_orders_claim CHECK ((status = 'CLAIMED') = (claimed_by IS NOT NULL)
        AND (status = 'CLAIMED') = (claimed_at IS NOT NULL) AND (status = 'CLAIMED') = (claim_ends_at IS NOT NULL)),
    CONSTRAINT work_orders_retry CHECK ((status = 'RETRY_PENDING') = (next_retry_after IS NOT NULL))
);
CREATE INDEX work_orders_created ON work_orders (created_at DESC, id DESC);
CREATE INDEX work_orders_pending ON work_orders (available_at, id) WHERE status = 'PENDING';
CREATE INDEX work_orders_claims ON work_orders (claim_ends_at) WHERE status = 'CLAIMED';
CREATE INDEX work_orders_retries ON work_orders (next_retry_after) WHERE status = 'RETRY_PENDING';
CREATE INDEX work_orders_claimed_by ON work_orders (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX work_orders_checksum ON work_orders (checksum);

-- Whom an order is for: agents by name, and every agent that carries one of the labels or annotations.
CREATE TABLE work_order_agents (
    work_order_id uuid NOT NULL REFERENCES work_orders ON DELETE CASCADE,
    agent_id      uuid NOT NULL REFERENCES agents,
    PRIMARY KEY (work_order_id, agent_id)
);
CREATE INDEX work_order_agents_agent ON work_order_agents (agent_id);

CREATE TABLE work_order_labels (
    work_order_id uuid NOT NULL REFERENCES work_orders ON DELETE CASCADE,
    label         text COLLATE "C" NOT NULL,
    PRIMARY KEY (work_order_id, label)
);

CREATE TABLE work_order_annotations (
    work_order_id uuid NOT NULL REFERENCES work_orders ON DELETE CASCADE,
    key           text COLLATE "C" NOT NULL,
    value         text NOT NULL,
    PRIMARY KEY (work_order_id, key)
);

-- What became of work orders. An entry has the id of its order.
CREATE TABLE work_order_log (
    id                uuid PRIMARY KEY,
    work_type         text COLLATE "C" NOT NULL,
    checksum          bytea NOT NULL REFERENCES blobs,
    size              bigint NOT NULL,
    success           boolean NOT NULL,
    result_message    text,
    retries_attempted integer NOT NULL,
    claimed_by        uuid REFERENCES agents,
    claimed_at        timestamptz,
    created_at        timestamptz NOT NULL,
    completed_at      timestamptz NOT NULL
);
CREATE INDEX work_order_log_completed ON work_order_log (completed_at DESC, id DESC);
CREATE INDEX work_order_log_agent ON work_order_log (claimed_by, completed_at DESC) WHERE claimed_by IS NOT NULL;
CREATE INDEX work_order_log_checksum ON work_order_log (checksum);

-- +goose Down
DROP TABLE work_order_log;
DROP TABLE work_order_annotations;
DROP TABLE work_order_labels;
DROP TABLE work_order_agents;
DROP TABLE work_orders;
