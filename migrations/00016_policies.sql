-- +goose Up

CREATE TABLE placement_policies (
    id           uuid PRIMARY KEY,
    generator_id uuid NOT NULL REFERENCES generators,
    name         text COLLATE "C" NOT NULL,
    revision     integer NOT NULL CONSTRAINT placement_policies_revision CHECK (revision > 0),
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    deleted_at   timestamptz,
    CONSTRAINT placement_policies_owner UNIQUE (id, generator_id)
);
CREATE UNIQUE INDEX placement_policies_name ON placement_policies (generator_id, name) WHERE deleted_at IS NULL;
CREATE INDEX placement_policies_by_name ON placement_policies (name, id) WHERE deleted_at IS NULL;
CREATE INDEX placement_policies_by_created ON placement_policies (created_at, id) WHERE deleted_at IS NULL;

-- A row never changes. The document is json, not jsonb: it comes back as it was written.
CREATE TABLE placement_policy_revisions (
    policy_id  uuid NOT NULL REFERENCES placement_policies,
    revision   integer NOT NULL CONSTRAINT placement_policy_revisions_revision CHECK (revision > 0),
    document   json NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (policy_id, revision)
);

-- The generator is in the keys, so that no policy can reach another generator's stack.
ALTER TABLE stacks ADD CONSTRAINT stacks_owner UNIQUE (id, generator_id);

CREATE TABLE placement_policy_stacks (
    stack_id     uuid PRIMARY KEY,
    policy_id    uuid NOT NULL,
    generator_id uuid NOT NULL REFERENCES generators,
    attached_at  timestamptz NOT NULL,
    FOREIGN KEY (stack_id, generator_id) REFERENCES stacks (id, generator_id),
    FOREIGN KEY (policy_id, generator_id) REFERENCES placement_policies (id, generator_id)
);
CREATE INDEX placement_policy_stacks_policy ON placement_policy_stacks (policy_id, stack_id);

CREATE TABLE placement_policy_labels (
    policy_id    uuid NOT NULL,
    label        text COLLATE "C" NOT NULL,
    generator_id uuid NOT NULL REFERENCES generators,
    attached_at  timestamptz NOT NULL,
    PRIMARY KEY (policy_id, label),
    FOREIGN KEY (policy_id, generator_id) REFERENCES placement_policies (id, generator_id)
);
CREATE INDEX placement_policy_labels_reach ON placement_policy_labels (generator_id, label, policy_id);

-- +goose Down
DROP TABLE placement_policy_labels;
DROP TABLE placement_policy_stacks;
ALTER TABLE stacks DROP CONSTRAINT stacks_owner;
DROP TABLE placement_policy_revisions;
DROP TABLE placement_policies;
