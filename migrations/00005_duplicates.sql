-- +goose Up

-- Which processes use an agent's identity (the newest first), and when they last took turns: that is how two at a time are noticed,
-- whichever gateway each of them talks to.
ALTER TABLE agent_liveness
    ADD COLUMN boots     uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN turned_at timestamptz;

-- +goose Down
ALTER TABLE agent_liveness
    DROP COLUMN turned_at,
    DROP COLUMN boots;
