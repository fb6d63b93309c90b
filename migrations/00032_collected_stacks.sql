-- +goose NO TRANSACTION
-- Indexes of tables that are in use: each statement is by itself and keeps nobody out, readers and writers of the former version neither. One that was
-- interrupted leaves an index that is not valid, which is dropped first.

-- +goose Up

-- By when stacks were collected: what is left of them is deleted some time later.
DROP INDEX CONCURRENTLY IF EXISTS stacks_collected;
CREATE INDEX CONCURRENTLY stacks_collected ON stacks (collected_at) WHERE collected_at IS NOT NULL;

-- By what refers to a stack or to an object: it is looked for when that goes. Both former indexes were of no use for it, the first
-- because it was partial, though objects are never deleted alone, the second because it began with the agent.
DROP INDEX CONCURRENTLY IF EXISTS deployment_objects_newest;
CREATE INDEX CONCURRENTLY deployment_objects_newest ON deployment_objects (stack_id, sequence_id DESC);
DROP INDEX CONCURRENTLY IF EXISTS deployment_objects_live;
DROP INDEX CONCURRENTLY IF EXISTS agent_events_of_object;
CREATE INDEX CONCURRENTLY agent_events_of_object ON agent_events (object_id, agent_id, ordinal DESC);
DROP INDEX CONCURRENTLY IF EXISTS agent_events_object;
DROP INDEX CONCURRENTLY IF EXISTS assignment_status_stack;
CREATE INDEX CONCURRENTLY assignment_status_stack ON assignment_status (stack_id);
DROP INDEX CONCURRENTLY IF EXISTS diagnostic_requests_object;
CREATE INDEX CONCURRENTLY diagnostic_requests_object ON diagnostic_requests (object_id);
DROP INDEX CONCURRENTLY IF EXISTS drain_stacks_stack;
CREATE INDEX CONCURRENTLY drain_stacks_stack ON drain_stacks (stack_id);
DROP INDEX CONCURRENTLY IF EXISTS fleet_removals_stack;
CREATE INDEX CONCURRENTLY fleet_removals_stack ON fleet_removals (stack_id);

-- The list of those that can be restored, the last deletion first.
DROP INDEX CONCURRENTLY IF EXISTS stacks_restorable;
CREATE INDEX CONCURRENTLY stacks_restorable ON stacks (deleted_at, id) WHERE collected_at IS NULL AND deleted_at IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS stacks_deleted;
DROP INDEX CONCURRENTLY IF EXISTS stacks_of_generator_deleted;
CREATE INDEX CONCURRENTLY stacks_of_generator_deleted ON stacks (generator_id, deleted_at, id) WHERE collected_at IS NULL AND deleted_at IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS stacks_of_generator_deleted;
DROP INDEX CONCURRENTLY IF EXISTS stacks_deleted;
CREATE INDEX CONCURRENTLY stacks_deleted ON stacks (deleted_at) WHERE collected_at IS NULL AND deleted_at IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS stacks_restorable;
DROP INDEX CONCURRENTLY IF EXISTS fleet_removals_stack;
DROP INDEX CONCURRENTLY IF EXISTS drain_stacks_stack;
DROP INDEX CONCURRENTLY IF EXISTS diagnostic_requests_object;
DROP INDEX CONCURRENTLY IF EXISTS assignment_status_stack;
DROP INDEX CONCURRENTLY IF EXISTS agent_events_object;
CREATE INDEX CONCURRENTLY agent_events_object ON agent_events (agent_id, object_id, ordinal DESC);
DROP INDEX CONCURRENTLY IF EXISTS agent_events_of_object;
DROP INDEX CONCURRENTLY IF EXISTS deployment_objects_live;
CREATE INDEX CONCURRENTLY deployment_objects_live ON deployment_objects (stack_id, sequence_id DESC) WHERE deleted_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS deployment_objects_newest;
DROP INDEX CONCURRENTLY IF EXISTS stacks_collected;
