-- +goose Up

-- Requests that were done, by the digest of who asked, for what, and the key that the client chose. Rows are inserted in the
-- transaction that did what was asked for, get their answer afterwards, and go after a day. A log: what came of a request is no
-- foreign key, for it may be gone before its row. The answer (status, headers, body) is packed and sealed like blobs are.
CREATE TABLE idempotency_keys (
    key           bytea PRIMARY KEY CONSTRAINT idempotency_keys_key CHECK (octet_length(key) = 32),
    request       bytea NOT NULL CONSTRAINT idempotency_keys_request CHECK (octet_length(request) = 32),
    at            timestamptz NOT NULL,
    resource_type text NOT NULL,
    resource_id   text NOT NULL,
    answer        bytea,
    key_id        text REFERENCES secret_keys,
    wrapped       bytea,
    CONSTRAINT idempotency_keys_sealed CHECK ((key_id IS NULL) = (wrapped IS NULL) AND (key_id IS NULL OR answer IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);
CREATE INDEX idempotency_keys_key_id ON idempotency_keys (COALESCE(key_id, ''), key) WHERE answer IS NOT NULL;

-- +goose Down
DROP TABLE idempotency_keys;
