-- +goose Up

-- How agents treat what the stack has in their clusters; NULL: as by default.
ALTER TABLE stacks ADD COLUMN treatment jsonb CONSTRAINT stacks_treatment CHECK (treatment IS NULL OR (
    jsonb_typeof(treatment) = 'object'
    AND COALESCE(treatment ->> 'prune', 'delete') IN ('delete', 'orphan')
    AND COALESCE(treatment ->> 'adopt', 'always') IN ('always', 'if_no_diff', 'never')
    AND COALESCE(treatment ->> 'drift', 'correct') IN ('correct', 'report', 'ignore')));

-- The treatment with which the agent was given the stack, or is to take it away.
ALTER TABLE assignments ADD COLUMN treatment jsonb;

-- +goose Down
ALTER TABLE assignments DROP COLUMN treatment;
ALTER TABLE stacks DROP COLUMN treatment;
