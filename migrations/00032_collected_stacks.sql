-- +goose Up

-- By when stacks were collected: what is left of them is deleted some time later.
CREATE INDEX stacks_collected ON stacks (collected_at) WHERE collected_at IS NOT NULL;

-- By what refers to a stack or to an object: it is looked for when that goes. Both former indexes were of no use for it, the first
-- because it was partial, though objects are never deleted alone, the second because it began with the agent.
DROP INDEX deployment_objects_live;
CREATE INDEX deployment_objects_newest ON deployment_objects (stack_id, sequence_id DESC);
DROP INDEX agent_events_object;
CREATE INDEX agent_events_object ON agent_events (object_id, agent_id, ordinal DESC);
CREATE INDEX assignment_status_stack ON assignment_status (stack_id);
CREATE INDEX diagnostic_requests_object ON diagnostic_requests (object_id);
CREATE INDEX drain_stacks_stack ON drain_stacks (stack_id);
CREATE INDEX fleet_removals_stack ON fleet_removals (stack_id);


-- The list of those that can be restored, the last deletion first.
DROP INDEX stacks_deleted;
CREATE INDEX stacks_deleted ON stacks (deleted_at, id) WHERE collected_at IS NULL AND deleted_at IS NOT NULL;
CREATE INDEX stacks_of_generator_deleted ON stacks (generator_id, deleted_at, id) WHERE collected_at IS NULL AND deleted_at IS NOT NULL;

-- +goose Down
DROP INDEX stacks_of_generator_deleted;
DROP INDEX stacks_deleted;
CREATE INDEX stacks_deleted ON stacks (deleted_at) WHERE collected_at IS NULL AND deleted_at IS NOT NULL;
DROP INDEX fleet_removals_stack;
DROP INDEX drain_stacks_stack;
DROP INDEX diagnostic_requests_object;
DROP INDEX assignment_status_stack;
DROP INDEX agent_events_object;
CREATE INDEX agent_events_object ON agent_events (agent_id, object_id, ordinal DESC);
DROP INDEX deployment_objects_newest;
CREATE INDEX deployment_objects_live ON deployment_objects (stack_id, sequence_id DESC) WHERE deleted_at IS NULL;
DROP INDEX stacks_collected;
