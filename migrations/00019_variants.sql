-- +goose Up

-- What a cluster has in place of the content of its object: the object with the overrides of a policy.
ALTER TABLE assignments ADD COLUMN variant bytea CONSTRAINT assignments_variant REFERENCES blobs (sha256);

-- +goose Down
ALTER TABLE assignments DROP COLUMN variant;
