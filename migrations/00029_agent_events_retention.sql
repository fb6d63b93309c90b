-- +goose Up

-- By when they were told last: so they are trimmed.
CREATE INDEX agent_events_told ON agent_events (updated_at);

-- +goose Down
DROP INDEX agent_events_told;
