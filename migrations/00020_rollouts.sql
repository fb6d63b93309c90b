-- +goose Up

-- How deployment objects move across their stacks' clusters. The one that governs says which object each cluster has; it may
-- have ended long ago. Others are kept for a while, as history.
CREATE TABLE rollouts (
    id         uuid PRIMARY KEY,
    stack_id   uuid NOT NULL REFERENCES stacks,
    object_id  uuid NOT NULL,
    phase      text NOT NULL CONSTRAINT rollouts_phase CHECK (phase IN ('pending', 'progressing', 'waiting_approval', 'waiting_window',
        'paused', 'failed', 'rolling_back', 'rolled_back', 'completed', 'aborted', 'superseded')),
    governs    boolean NOT NULL,
    document   jsonb NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at   timestamptz,
    FOREIGN KEY (object_id, stack_id) REFERENCES deployment_objects (id, stack_id)
);
CREATE UNIQUE INDEX rollouts_governing ON rollouts (stack_id) WHERE governs;
CREATE INDEX rollouts_of_stack ON rollouts (stack_id, created_at DESC, id DESC);
CREATE INDEX rollouts_over ON rollouts (ended_at) WHERE NOT governs;

CREATE TABLE rollout_members (
    rollout_id uuid NOT NULL REFERENCES rollouts ON DELETE CASCADE,
    agent_id   uuid NOT NULL REFERENCES agents,
    wave       integer NOT NULL,
    state      text NOT NULL CONSTRAINT rollout_members_state
        CHECK (state IN ('pending', 'deploying', 'healthy', 'failed', 'skipped', 'returning', 'returned')),
    member     jsonb NOT NULL,
    PRIMARY KEY (rollout_id, agent_id)
) WITH (fillfactor = 80);

CREATE TABLE rollout_history (
    rollout_id uuid NOT NULL REFERENCES rollouts ON DELETE CASCADE,
    ordinal    bigint GENERATED ALWAYS AS IDENTITY, -- order of insertion
    at         timestamptz NOT NULL,
    from_phase text NOT NULL,
    to_phase   text NOT NULL,
    wave       integer NOT NULL,
    by         text NOT NULL DEFAULT '', -- the credential of who asked for it
    reason     text NOT NULL DEFAULT '',
    PRIMARY KEY (rollout_id, ordinal)
);

-- Whose reports an open rollout waits for: those of its own stack, and of the stacks that it depends on.
CREATE TABLE rollout_watches (
    stack_id   uuid NOT NULL REFERENCES stacks,
    rollout_id uuid NOT NULL REFERENCES rollouts ON DELETE CASCADE,
    PRIMARY KEY (stack_id, rollout_id)
);
CREATE INDEX rollout_watches_rollout ON rollout_watches (rollout_id);

-- +goose Down
DROP TABLE rollout_watches;
DROP TABLE rollout_history;
DROP TABLE rollout_members;
DROP TABLE rollouts;
