-- +goose Up

-- Which of an agent's processes began later: a process that knows of turns takes over with the turn that it was given.
ALTER TABLE agent_report_order
    ADD COLUMN turn  bigint NOT NULL DEFAULT 0, -- of the current process
    ADD COLUMN given bigint NOT NULL DEFAULT 0; -- the highest one that was given

-- +goose Down
ALTER TABLE agent_report_order DROP COLUMN turn, DROP COLUMN given;
