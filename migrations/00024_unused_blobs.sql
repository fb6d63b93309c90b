-- +goose Up

-- Contents to which nothing refers any more are deleted a while after they were last put.
ALTER TABLE blobs
    DROP COLUMN created_at,
    ADD COLUMN put_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX assignments_by_variant ON assignments (variant) WHERE variant IS NOT NULL;

-- +goose Down
DROP INDEX assignments_by_variant;
ALTER TABLE blobs
    DROP COLUMN put_at,
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
