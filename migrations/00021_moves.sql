-- +goose Up

-- When decisions of the last hour moved the stack, once for each move: it may be bounded, also over a restart of the scheduler.
ALTER TABLE stack_placements ADD COLUMN moved timestamptz[] NOT NULL DEFAULT '{}';

-- Since when the stack is in the cluster, whatever its object; NULL: since the row's since.
ALTER TABLE assignments ADD COLUMN placed timestamptz;

-- +goose Down
ALTER TABLE assignments DROP COLUMN placed;
ALTER TABLE stack_placements DROP COLUMN moved;
