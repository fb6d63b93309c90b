-- +goose Up

-- How many stacks are assigned to the agent in revision counted_in: as of now only if that is its revision. A process of an older version that
-- makes the revision grow leaves both as they are, so that nobody believes the number any more, and the next commit counts anew.
ALTER TABLE agent_revisions ADD COLUMN assigned integer, ADD COLUMN counted_in bigint;

-- +goose Down
ALTER TABLE agent_revisions DROP COLUMN counted_in, DROP COLUMN assigned;
