-- +goose Up

-- A page of a list begins behind a key: each order of a long list has an index that ends with the id, which breaks ties.
CREATE INDEX stacks_by_name ON stacks (name, id) WHERE deleted_at IS NULL;
CREATE INDEX stacks_by_created ON stacks (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX stacks_of_generator_by_name ON stacks (generator_id, name, id) WHERE deleted_at IS NULL;
CREATE INDEX stacks_of_generator_by_created ON stacks (generator_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX agents_by_name ON agents (name, id) WHERE deleted_at IS NULL;
CREATE INDEX agents_by_cluster ON agents (cluster_name, id) WHERE deleted_at IS NULL;
CREATE INDEX agents_by_created ON agents (created_at, id) WHERE deleted_at IS NULL;

-- Who has a label or an annotation, for filters that pass few.
CREATE INDEX stack_labels_by_label ON stack_labels (label, stack_id);
CREATE INDEX stack_annotations_by_value ON stack_annotations (key, value, stack_id);
CREATE INDEX agent_labels_by_label ON agent_labels (label, agent_id);
CREATE INDEX agent_annotations_by_value ON agent_annotations (key, value, agent_id);

-- +goose Down
DROP INDEX agent_annotations_by_value;
DROP INDEX agent_labels_by_label;
DROP INDEX stack_annotations_by_value;
DROP INDEX stack_labels_by_label;
DROP INDEX agents_by_created;
DROP INDEX agents_by_cluster;
DROP INDEX agents_by_name;
DROP INDEX stacks_of_generator_by_created;
DROP INDEX stacks_of_generator_by_name;
DROP INDEX stacks_by_created;
DROP INDEX stacks_by_name;
