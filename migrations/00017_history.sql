-- +goose Up

-- Records of decisions are kept packed; those of earlier releases as they are.
ALTER TABLE decisions
    ADD COLUMN packed bytea,
    ALTER COLUMN decision DROP NOT NULL,
    ADD CONSTRAINT decisions_content CHECK (num_nonnulls(decision, packed) = 1);
ALTER TABLE decisions ALTER COLUMN packed SET STORAGE EXTERNAL; -- compressed already
CREATE INDEX decisions_by_time ON decisions (decided_at);

-- The policy that the newest record followed.
ALTER TABLE stack_placements ADD COLUMN followed jsonb;

-- +goose Down
ALTER TABLE stack_placements DROP COLUMN followed;
DROP INDEX decisions_by_time;
DELETE FROM decisions WHERE decision IS NULL;
ALTER TABLE decisions
    DROP CONSTRAINT decisions_content,
    ALTER COLUMN decision SET NOT NULL,
    DROP COLUMN packed;
