-- +goose Up

-- Names are ordered by their bytes (COLLATE "C"), so that lists are the same on every server.
CREATE TABLE generators (
    id                  uuid PRIMARY KEY,
    name                text COLLATE "C" NOT NULL,
    description         text,
    is_active           boolean NOT NULL DEFAULT true,
    is_system           boolean NOT NULL DEFAULT false,
    registration_policy text NOT NULL DEFAULT 'approval'
        CONSTRAINT generators_registration_policy CHECK (registration_policy IN ('open', 'approval', 'closed')),
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    deleted_at          timestamptz,
    last_active_at      timestamptz
);
CREATE UNIQUE INDEX generators_name ON generators (name) WHERE deleted_at IS NULL;

CREATE TABLE agents (
    id           uuid PRIMARY KEY,
    name         text COLLATE "C" NOT NULL,
    cluster_name text COLLATE "C" NOT NULL,
    status       text NOT NULL CONSTRAINT agents_status CHECK (status IN ('INACTIVE', 'ACTIVE')),
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    deleted_at   timestamptz
);
CREATE UNIQUE INDEX agents_name_cluster ON agents (name, cluster_name) WHERE deleted_at IS NULL;

-- Every heartbeat writes here, and nothing else does: narrow, no index but the key, and more than half of each page free, so that
-- even a batch that updates every row of a page stays on it (HOT).
CREATE TABLE agent_liveness (
    agent_id        uuid PRIMARY KEY REFERENCES agents,
    last_heartbeat  timestamptz,
    k8s_reachable   boolean,
    k8s_latency_ms  integer,
    k8s_reported_at timestamptz,
    duplicate_since timestamptz
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE agent_labels (
    id       uuid PRIMARY KEY,
    agent_id uuid NOT NULL REFERENCES agents,
    label    text COLLATE "C" NOT NULL,
    CONSTRAINT agent_labels_label UNIQUE (agent_id, label)
);

CREATE TABLE agent_annotations (
    id       uuid PRIMARY KEY,
    agent_id uuid NOT NULL REFERENCES agents,
    key      text COLLATE "C" NOT NULL,
    value    text NOT NULL,
    CONSTRAINT agent_annotations_key UNIQUE (agent_id, key)
);

CREATE TABLE registrations (
    id            uuid PRIMARY KEY,
    agent_id      uuid NOT NULL REFERENCES agents,
    generator_id  uuid NOT NULL REFERENCES generators,
    state         text NOT NULL CONSTRAINT registrations_state CHECK (state IN ('pending', 'approved')),
    registered_at timestamptz NOT NULL,
    CONSTRAINT registrations_agent_generator UNIQUE (agent_id, generator_id)
);
CREATE INDEX registrations_generator ON registrations (generator_id, agent_id);

CREATE TABLE credentials (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    role         text NOT NULL
        CONSTRAINT credentials_role CHECK (role IN ('admin', 'operator', 'viewer', 'generator', 'agent')),
    generator_id uuid REFERENCES generators,
    agent_id     uuid REFERENCES agents,
    -- whose it is, with one value for those that have no subject, so that one index finds them all
    subject      uuid NOT NULL
        GENERATED ALWAYS AS (COALESCE(generator_id, agent_id, '00000000-0000-0000-0000-000000000000')) STORED,
    short        text COLLATE "C" NOT NULL CONSTRAINT credentials_short UNIQUE,
    hash         text NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    CONSTRAINT credentials_generator CHECK ((role = 'generator') = (generator_id IS NOT NULL)),
    CONSTRAINT credentials_agent CHECK ((role = 'agent') = (agent_id IS NOT NULL))
);
CREATE INDEX credentials_subject ON credentials (role, subject);

-- The two generators that exist from the first start.
INSERT INTO generators (id, name, description, is_system, registration_policy, created_at, updated_at) VALUES
    (gen_random_uuid(), '__system__', 'Owns what belongs to no tenant', true, 'closed', now(), now()),
    (gen_random_uuid(), 'admin-generator', 'Owns what an admin creates without naming a generator', false, 'approval', now(), now());

-- +goose Down
DROP TABLE credentials;
DROP TABLE registrations;
DROP TABLE agent_annotations;
DROP TABLE agent_labels;
DROP TABLE agent_liveness;
DROP TABLE agents;
DROP TABLE generators;
