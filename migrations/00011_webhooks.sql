-- +goose Up

-- Where a subscription's deliveries go (URL, authorization, key of the signature) is one value, sealed like blobs are.
CREATE TABLE webhook_subscriptions (
    id              uuid PRIMARY KEY,
    name            text COLLATE "C" NOT NULL,
    target          bytea NOT NULL,
    key_id          text REFERENCES secret_keys,
    wrapped         bytea,
    has_auth_header boolean NOT NULL,
    event_types     text[] NOT NULL CONSTRAINT webhook_subscriptions_event_types CHECK (cardinality(event_types) > 0),
    filters         jsonb,
    target_labels   text[] COLLATE "C" CONSTRAINT webhook_subscriptions_target_labels CHECK (cardinality(target_labels) > 0),
    enabled         boolean NOT NULL,
    max_retries     integer NOT NULL CONSTRAINT webhook_subscriptions_max_retries CHECK (max_retries >= 0),
    timeout_ms      integer NOT NULL CONSTRAINT webhook_subscriptions_timeout CHECK (timeout_ms > 0),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    created_by      text,
    CONSTRAINT webhook_subscriptions_sealed CHECK ((key_id IS NULL) = (wrapped IS NULL))
);
CREATE INDEX webhook_subscriptions_key ON webhook_subscriptions (COALESCE(key_id, ''), id);
CREATE INDEX webhook_subscriptions_enabled ON webhook_subscriptions (id) WHERE enabled;

-- The queues. due_at says from when on a delivery may be claimed: at once, at its next retry, or when its claim is over.
CREATE TABLE webhook_deliveries (
    id              uuid PRIMARY KEY,
    ordinal         bigint GENERATED ALWAYS AS IDENTITY, -- order of insertion
    subscription_id uuid NOT NULL REFERENCES webhook_subscriptions ON DELETE CASCADE,
    event_type      text NOT NULL,
    event_id        text COLLATE "C" NOT NULL,
    payload         text NOT NULL,
    target_labels   text[] COLLATE "C",
    status          text NOT NULL DEFAULT 'pending' CONSTRAINT webhook_deliveries_status
        CHECK (status IN ('pending', 'acquired', 'success', 'failed', 'dead')),
    due_at          timestamptz NOT NULL,
    acquired_by     uuid REFERENCES agents,
    acquired_until  timestamptz,
    attempts        integer NOT NULL DEFAULT 0,
    last_attempt_at timestamptz,
    next_retry_at   timestamptz,
    last_error      text,
    created_at      timestamptz NOT NULL,
    completed_at    timestamptz,
    CONSTRAINT webhook_deliveries_once UNIQUE (subscription_id, event_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE UNIQUE INDEX webhook_deliveries_ordinal ON webhook_deliveries (ordinal);
CREATE INDEX webhook_deliveries_subscription ON webhook_deliveries (subscription_id, ordinal);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (subscription_id, due_at) WHERE status IN ('pending', 'failed', 'acquired');
CREATE INDEX webhook_deliveries_agents ON webhook_deliveries (due_at)
    WHERE status IN ('pending', 'failed', 'acquired') AND target_labels IS NOT NULL;
CREATE INDEX webhook_deliveries_acquirer ON webhook_deliveries (acquired_by) WHERE acquired_by IS NOT NULL;

-- How far readers of the outbox are.
CREATE TABLE outbox_cursors (
    name text COLLATE "C" PRIMARY KEY,
    seq  bigint NOT NULL,
    gaps jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 70);

-- +goose Down
DROP TABLE outbox_cursors;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_subscriptions;
