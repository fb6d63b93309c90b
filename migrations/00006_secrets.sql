-- +goose Up

-- The key-encryption keys that have sealed something here: by key_check a process sees at its start that it has the same ones.
CREATE TABLE secret_keys (
    id         text PRIMARY KEY,
    key_check  bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A blob is sealed with a data key of its own, which the key key_id wraps; without both it lies readable.
ALTER TABLE blobs
    ADD COLUMN key_id text REFERENCES secret_keys,
    ADD COLUMN wrapped bytea,
    ADD CONSTRAINT blobs_sealed CHECK ((key_id IS NULL) = (wrapped IS NULL));
CREATE INDEX blobs_key ON blobs (COALESCE(key_id, ''), sha256);

-- +goose Down
-- What is sealed cannot be read without its columns, so it must not lose them.
ALTER TABLE blobs ADD CONSTRAINT blobs_readable CHECK (key_id IS NULL);
ALTER TABLE blobs DROP CONSTRAINT blobs_readable;
DROP INDEX blobs_key;
ALTER TABLE blobs
    DROP CONSTRAINT blobs_sealed,
    DROP COLUMN wrapped,
    DROP COLUMN key_id;
DROP TABLE secret_keys;
