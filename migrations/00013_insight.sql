-- +goose Up

-- The health summary of published agents, as JSON; NULL if the agent sends none.
ALTER TABLE assignment_status ADD COLUMN summary text;

-- The feed of all agents, newest first, and the last event of each.
CREATE INDEX agent_events_feed ON agent_events (ordinal);
CREATE INDEX agent_events_latest ON agent_events (agent_id, updated_at DESC);

-- What an agent is asked to look at, and what it saw. Both are deleted soon after expires_at.
CREATE TABLE diagnostic_requests (
    id           uuid PRIMARY KEY,
    agent_id     uuid NOT NULL REFERENCES agents,
    object_id    uuid NOT NULL REFERENCES deployment_objects,
    status       text NOT NULL CONSTRAINT diagnostic_requests_status CHECK (status IN ('pending', 'claimed', 'completed')),
    requested_by text,
    created_at   timestamptz NOT NULL,
    claimed_at   timestamptz,
    completed_at timestamptz,
    expires_at   timestamptz NOT NULL,
    CONSTRAINT diagnostic_requests_claimed CHECK ((status = 'pending') = (claimed_at IS NULL)),
    CONSTRAINT diagnostic_requests_completed CHECK ((status = 'completed') = (completed_at IS NOT NULL))
);
CREATE INDEX diagnostic_requests_open ON diagnostic_requests (agent_id, created_at) WHERE status <> 'completed';
CREATE INDEX diagnostic_requests_expiry ON diagnostic_requests (expires_at);

CREATE TABLE diagnostic_results (
    request_id   uuid PRIMARY KEY REFERENCES diagnostic_requests ON DELETE CASCADE,
    id           uuid NOT NULL,
    pod_statuses text NOT NULL,
    events       text NOT NULL,
    log_tails    text,
    collected_at timestamptz NOT NULL,
    created_at   timestamptz NOT NULL
);

-- +goose Down
DROP TABLE diagnostic_results;
DROP TABLE diagnostic_requests;
DROP INDEX agent_events_latest;
DROP INDEX agent_events_feed;
ALTER TABLE assignment_status DROP COLUMN summary;
