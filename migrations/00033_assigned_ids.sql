-- +goose Up

-- Which stacks these are: the last eight bytes of their ids, XORed. As of now if assigned is; NULL is not known, and the next commit that
-- assigns to the agent finds it out. The schema of 00031 was in no release: no process keeps the one and not the other.
ALTER TABLE agent_revisions ADD COLUMN assigned_ids bigint;

-- +goose Down
ALTER TABLE agent_revisions DROP COLUMN assigned_ids;
