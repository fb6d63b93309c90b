-- +goose Up

-- What placement sees of a cluster beside its agent's labels. Each change of one of these grows the agent's version.
ALTER TABLE agents
    ADD COLUMN cordoned_at       timestamptz,
    ADD COLUMN cordoned_by       text NOT NULL DEFAULT '',
    ADD COLUMN cordon_reason     text NOT NULL DEFAULT '',
    ADD COLUMN unreachable_since timestamptz; -- the last heartbeat of an agent that is silent; written on transitions only
CREATE INDEX agents_unreachable ON agents (id) WHERE unreachable_since IS NOT NULL AND deleted_at IS NULL;

-- What an agent last told of its cluster: one row an agent, written only when it tells something.
CREATE TABLE cluster_status (
    agent_id    uuid PRIMARY KEY REFERENCES agents,
    status      jsonb NOT NULL,
    digest      bytea NOT NULL CONSTRAINT cluster_status_digest CHECK (octet_length(digest) = 32),
    reported_at timestamptz NOT NULL, -- when it was last told, changed or not
    changed_at  timestamptz NOT NULL
);

CREATE TABLE agent_taints (
    agent_id uuid NOT NULL REFERENCES agents,
    key      text COLLATE "C" NOT NULL,
    effect   text COLLATE "C" NOT NULL CONSTRAINT agent_taints_effect CHECK (effect IN ('PreferNoPlace', 'NoPlace', 'Evict')),
    value    text NOT NULL DEFAULT '',
    since    timestamptz NOT NULL,
    PRIMARY KEY (agent_id, key, effect)
);

-- A drain goes with its stacks when it ends.
CREATE TABLE drains (
    agent_id     uuid PRIMARY KEY REFERENCES agents,
    since        timestamptz NOT NULL,
    requested_by text NOT NULL DEFAULT '',
    reason       text NOT NULL DEFAULT '',
    budget       integer NOT NULL CONSTRAINT drains_budget CHECK (budget >= 0) -- 0: no bound
);
CREATE TABLE drain_stacks (
    agent_id    uuid NOT NULL REFERENCES drains ON DELETE CASCADE,
    stack_id    uuid NOT NULL REFERENCES stacks,
    released_at timestamptz NOT NULL,
    PRIMARY KEY (agent_id, stack_id)
);

-- +goose Down
DROP TABLE drain_stacks;
DROP TABLE drains;
DROP TABLE agent_taints;
DROP TABLE cluster_status;
DROP INDEX agents_unreachable;
ALTER TABLE agents
    DROP COLUMN unreachable_since,
    DROP COLUMN cordon_reason,
    DROP COLUMN cordoned_by,
    DROP COLUMN cordoned_at;
