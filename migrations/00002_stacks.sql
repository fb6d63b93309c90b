-- +goose Up

CREATE TABLE stacks (
    id           uuid PRIMARY KEY,
    name         text COLLATE "C" NOT NULL,
    description  text,
    generator_id uuid NOT NULL REFERENCES generators,
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    deleted_at   timestamptz
);
CREATE UNIQUE INDEX stacks_name ON stacks (generator_id, name) WHERE deleted_at IS NULL;

CREATE TABLE stack_labels (
    id       uuid PRIMARY KEY,
    stack_id uuid NOT NULL REFERENCES stacks,
    label    text COLLATE "C" NOT NULL,
    CONSTRAINT stack_labels_label UNIQUE (stack_id, label)
);

CREATE TABLE stack_annotations (
    id       uuid PRIMARY KEY,
    stack_id uuid NOT NULL REFERENCES stacks,
    key      text COLLATE "C" NOT NULL,
    value    text NOT NULL,
    CONSTRAINT stack_annotations_key UNIQUE (stack_id, key)
);

CREATE TABLE agent_targets (
    id       uuid PRIMARY KEY,
    agent_id uuid NOT NULL REFERENCES agents,
    stack_id uuid NOT NULL REFERENCES stacks,
    CONSTRAINT agent_targets_stack UNIQUE (agent_id, stack_id)
);
CREATE INDEX agent_targets_by_stack ON agent_targets (stack_id);

-- Bundles, stored once under the SHA-256 of their plain bytes. The encoding says what content is.
CREATE TABLE blobs (
    sha256     bytea PRIMARY KEY CONSTRAINT blobs_sha256 CHECK (octet_length(sha256) = 32),
    encoding   text NOT NULL CONSTRAINT blobs_encoding CHECK (encoding IN ('plain', 'zstd')),
    size       bigint NOT NULL, -- of the plain bytes
    content    bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- It is compressed already.
ALTER TABLE blobs ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE deployment_objects (
    id                 uuid PRIMARY KEY,
    sequence_id        bigint GENERATED ALWAYS AS IDENTITY,
    stack_id           uuid NOT NULL REFERENCES stacks,
    checksum           bytea NOT NULL REFERENCES blobs,
    size               bigint NOT NULL,
    traceparent        text NOT NULL DEFAULT '',
    is_deletion_marker boolean NOT NULL DEFAULT false,
    submitted_at       timestamptz NOT NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    deleted_at         timestamptz,
    CONSTRAINT deployment_objects_sequence UNIQUE (sequence_id),
    -- so that whoever refers to an object of a stack cannot refer to another stack's
    CONSTRAINT deployment_objects_of_stack UNIQUE (id, stack_id)
);
CREATE INDEX deployment_objects_live ON deployment_objects (stack_id, sequence_id DESC) WHERE deleted_at IS NULL;
CREATE INDEX deployment_objects_checksum ON deployment_objects (checksum);

-- +goose Down
DROP TABLE deployment_objects;
DROP TABLE blobs;
DROP TABLE agent_targets;
DROP TABLE stack_annotations;
DROP TABLE stack_labels;
DROP TABLE stacks;
