-- +goose Up

-- When what a deleted stack has kept was dropped, so that it cannot be restored any more; NULL: not yet. Until now that was done
-- with its last assignment.
ALTER TABLE stacks ADD COLUMN collected_at timestamptz CONSTRAINT stacks_collected CHECK (collected_at IS NULL OR deleted_at IS NOT NULL);
UPDATE stacks s SET collected_at = deleted_at
    WHERE deleted_at IS NOT NULL AND NOT EXISTS (SELECT FROM assignments x WHERE x.stack_id = s.id);
CREATE INDEX stacks_deleted ON stacks (deleted_at) WHERE collected_at IS NULL AND deleted_at IS NOT NULL;

-- +goose Down
DROP INDEX stacks_deleted;
ALTER TABLE stacks DROP COLUMN collected_at;
