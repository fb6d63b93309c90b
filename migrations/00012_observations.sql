-- +goose Up

-- What agents see of their stacks' lives: tens of thousands of rows a second, kept for hours. A partition holds what was taken in
-- one hour (UTC); retention drops it whole. Partitions are made by the program (pkg/adapters/postgres), so there is none here.
-- These are logs like the outbox: their ids are no foreign keys. They are joined with assignments when they are written; a
-- foreign key would lock the agent's and the stack's row for each line, and both tables for each partition that is dropped.
CREATE TABLE k8s_events (
    id          uuid NOT NULL,
    agent_id    uuid NOT NULL,
    stack_id    uuid NOT NULL,
    observed_at timestamptz NOT NULL,
    reason      text NOT NULL,
    message     text NOT NULL,
    event_type  text NOT NULL,
    source      text NOT NULL,
    api_version text NOT NULL,
    kind        text NOT NULL,
    namespace   text NOT NULL,
    name        text NOT NULL,
    uid         text NOT NULL,
    created_at  timestamptz NOT NULL
) PARTITION BY RANGE (created_at);
CREATE INDEX k8s_events_stack ON k8s_events (stack_id, observed_at, id);

-- A row with a reason is a gap: dropped lines are missing from observed_at on, and the row has no line.
CREATE TABLE pod_logs (
    id          uuid NOT NULL,
    agent_id    uuid NOT NULL,
    stack_id    uuid NOT NULL,
    observed_at timestamptz NOT NULL,
    namespace   text NOT NULL,
    pod         text NOT NULL,
    container   text NOT NULL,
    line        text NOT NULL,
    dropped     bigint,
    reason      text CONSTRAINT pod_logs_reason CHECK (reason IN ('rate_limit', 'buffer_full', 'disconnected')),
    created_at  timestamptz NOT NULL,
    CONSTRAINT pod_logs_gap CHECK ((reason IS NULL) = (dropped IS NULL))
) PARTITION BY RANGE (created_at);
CREATE INDEX pod_logs_stack ON pod_logs (stack_id, observed_at, id);

-- The last parcel of each process of an agent, so that one that is sent again is known.
CREATE TABLE observation_marks (
    agent_id   uuid NOT NULL REFERENCES agents,
    boot       uuid NOT NULL,
    seq        bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (agent_id, boot)
) WITH (fillfactor = 70);

-- +goose Down
DROP TABLE observation_marks;
DROP TABLE pod_logs;
DROP TABLE k8s_events;
