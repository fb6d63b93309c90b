-- +goose Up

-- Stack templates, a row a version. Without a generator they are the platform's.
CREATE TABLE templates (
    id                uuid PRIMARY KEY,
    generator_id      uuid REFERENCES generators,
    name              text COLLATE "C" NOT NULL,
    description       text,
    version           integer NOT NULL CONSTRAINT templates_version CHECK (version > 0),
    template_content  text NOT NULL,
    parameters_schema text NOT NULL,
    checksum          bytea NOT NULL CONSTRAINT templates_checksum CHECK (octet_length(checksum) = 32),
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    deleted_at        timestamptz
);
-- Deleted versions keep their numbers: objects name them. The platform stands as a generator of zeros.
CREATE UNIQUE INDEX templates_name ON templates (coalesce(generator_id, '00000000-0000-0000-0000-000000000000'), name, version);
CREATE INDEX templates_by_generator ON templates (generator_id) WHERE deleted_at IS NULL;

CREATE TABLE template_labels (
    id          uuid PRIMARY KEY,
    template_id uuid NOT NULL REFERENCES templates,
    label       text COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT template_labels_label UNIQUE (template_id, label)
);

CREATE TABLE template_annotations (
    id          uuid PRIMARY KEY,
    template_id uuid NOT NULL REFERENCES templates,
    key         text COLLATE "C" NOT NULL,
    value       text NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT template_annotations_key UNIQUE (template_id, key)
);

-- What an object was made of; nothing for those that were published as they are.
ALTER TABLE deployment_objects
    ADD COLUMN template_id       uuid REFERENCES templates,
    ADD COLUMN template_version  integer,
    ADD COLUMN parameters_sha256 bytea CONSTRAINT deployment_objects_parameters CHECK (octet_length(parameters_sha256) = 32),
    ADD CONSTRAINT deployment_objects_origin CHECK (num_nonnulls(template_id, template_version, parameters_sha256) IN (0, 3));
CREATE INDEX deployment_objects_template ON deployment_objects (template_id) WHERE template_id IS NOT NULL;

-- +goose Down
ALTER TABLE deployment_objects
    DROP CONSTRAINT deployment_objects_origin,
    DROP COLUMN parameters_sha256,
    DROP COLUMN template_version,
    DROP COLUMN template_id;
DROP TABLE template_annotations;
DROP TABLE template_labels;
DROP TABLE templates;
