-- +goose Up

-- Where a stack's decisions stand. The row is made with the stack.
CREATE TABLE stack_placements (
    stack_id   uuid PRIMARY KEY REFERENCES stacks,
    generation bigint NOT NULL DEFAULT 0,
    hold       jsonb,
    approved   bigint NOT NULL DEFAULT 0 -- the generation whose hold was approved; 0 none
);

-- What was decided and why, kept for explanation.
CREATE TABLE decisions (
    stack_id    uuid NOT NULL REFERENCES stacks,
    generation  bigint NOT NULL,
    object_id   uuid,
    decision    jsonb NOT NULL,
    cause       text NOT NULL DEFAULT '',
    traceparent text NOT NULL DEFAULT '',
    decided_at  timestamptz NOT NULL,
    PRIMARY KEY (stack_id, generation),
    FOREIGN KEY (object_id, stack_id) REFERENCES deployment_objects (id, stack_id)
);

CREATE TABLE agent_revisions (
    agent_id uuid PRIMARY KEY REFERENCES agents,
    revision bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE assignments (
    agent_id    uuid NOT NULL REFERENCES agents,
    stack_id    uuid NOT NULL REFERENCES stacks,
    object_id   uuid NOT NULL,
    state       text NOT NULL CONSTRAINT assignments_state CHECK (state IN ('assigned', 'removing')),
    revision    bigint NOT NULL,
    reason      text NOT NULL DEFAULT '',
    traceparent text NOT NULL DEFAULT '',
    since       timestamptz NOT NULL,
    PRIMARY KEY (agent_id, stack_id),
    FOREIGN KEY (object_id, stack_id) REFERENCES deployment_objects (id, stack_id)
);
CREATE INDEX assignments_stack ON assignments (stack_id, agent_id);

-- What agents last reported. It goes with its assignment.
CREATE TABLE assignment_status (
    agent_id    uuid NOT NULL,
    stack_id    uuid NOT NULL,
    object_id   uuid NOT NULL,
    sequence_id bigint NOT NULL,
    phase       text NOT NULL CONSTRAINT assignment_status_phase
        CHECK (phase IN ('pending', 'fetching', 'applying', 'applied', 'failed', 'removing', 'removed')),
    health      text NOT NULL CONSTRAINT assignment_status_health
        CHECK (health IN ('unknown', 'healthy', 'progressing', 'degraded', 'failing')),
    message     text NOT NULL DEFAULT '',
    observed_at timestamptz NOT NULL,
    reported_at timestamptz NOT NULL,
    since       timestamptz NOT NULL,
    PRIMARY KEY (agent_id, stack_id),
    FOREIGN KEY (agent_id, stack_id) REFERENCES assignments ON DELETE CASCADE,
    FOREIGN KEY (object_id, stack_id) REFERENCES deployment_objects (id, stack_id)
) WITH (fillfactor = 80);

-- Which report of an agent is news; its row lock makes the reports of one agent serial. The row is made with the agent.
CREATE TABLE agent_report_order (
    agent_id   uuid PRIMARY KEY REFERENCES agents,
    boot       text NOT NULL DEFAULT '',
    seq        bigint NOT NULL DEFAULT 0,
    former     text[] NOT NULL DEFAULT '{}', -- boots that are over, newest last
    updated_at timestamptz
) WITH (fillfactor = 70);

CREATE TABLE agent_events (
    id         uuid PRIMARY KEY,
    ordinal    bigint GENERATED ALWAYS AS IDENTITY, -- order of insertion
    agent_id   uuid NOT NULL REFERENCES agents,
    object_id  uuid NOT NULL REFERENCES deployment_objects,
    event_type text NOT NULL,
    status     text NOT NULL,
    message    text,
    count      bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX agent_events_agent ON agent_events (agent_id, ordinal DESC);
CREATE INDEX agent_events_object ON agent_events (agent_id, object_id, ordinal DESC);

-- +goose Down
DROP TABLE agent_events;
DROP TABLE agent_report_order;
DROP TABLE assignment_status;
DROP TABLE assignments;
DROP TABLE agent_revisions;
DROP TABLE decisions;
DROP TABLE stack_placements;
