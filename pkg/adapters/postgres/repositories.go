package postgres

import "github.com/colliery-io/brokkr/pkg/ports"

// repositories implements ports.Repositories on a session.
type repositories struct{ s session }

func (r repositories) Generators() ports.Generators       { return generators(r) }
func (r repositories) Credentials() ports.Credentials     { return credentials(r) }
func (r repositories) Keyring() ports.Keyring             { return keyring(r) }
func (r repositories) JoinTokens() ports.JoinTokens       { return joinTokens(r) }
func (r repositories) Joins() ports.Joins                 { return joins(r) }
func (r repositories) Registrations() ports.Registrations { return registrations(r) }
func (r repositories) Agents() ports.Agents               { return agents(r) }
func (r repositories) Stacks() ports.Stacks               { return stacks(r) }
func (r repositories) Webhooks() ports.Webhooks           { return webhooks(r) }
func (r repositories) Deliveries() ports.Deliveries       { return deliveries(r) }
func (r repositories) Cursors() ports.Cursors             { return cursors(r) }
func (r repositories) Objects() ports.Objects             { return objects(r) }
func (r repositories) Templates() ports.Templates         { return templates(r) }
func (r repositories) Policies() ports.Policies           { return policies(r) }
func (r repositories) Blobs() ports.Blobs                 { return blobs(r) }
func (r repositories) Secrets() ports.Secrets             { return secrets(r) }
func (r repositories) Assignments() ports.Assignments     { return assignments(r) }
func (r repositories) Reports() ports.Reports             { return reports(r) }
func (r repositories) Observations() ports.Observations   { return observations(r) }
func (r repositories) Facts() ports.Facts                 { return facts(r) }
func (r repositories) Insights() ports.Insights           { return insights(r) }
func (r repositories) Diagnostics() ports.Diagnostics     { return diagnostics(r) }
func (r repositories) Decisions() ports.Decisions         { return decisions(r) }
func (r repositories) History() ports.History             { return history(r) }
func (r repositories) Rollouts() ports.Rollouts           { return rollouts(r) }
func (r repositories) Outbox() ports.Outbox               { return outbox(r) }
func (r repositories) Leases() ports.Leases               { return leases(r) }
func (r repositories) Works() ports.Works                 { return works(r) }
func (r repositories) AuditLog() ports.AuditLog           { return auditLog(r) }
func (r repositories) AuditKeeper() ports.AuditKeeper     { return auditKeeper(r) }
func (r repositories) WorkOrders() ports.WorkOrders       { return workOrders(r) }
func (r repositories) WorkOrderLog() ports.WorkOrderLog   { return workOrderLog(r) }
func (r repositories) Locks() ports.Locks                 { return locks(r) }
func (r repositories) Removals() ports.Removals           { return removals(r) }
func (r repositories) Idempotency() ports.Idempotency     { return idempotencyKeys(r) }
func (r repositories) Clusters() ports.Clusters           { return clusters(r) }
func (r repositories) Drains() ports.Drains               { return drains(r) }
func (r repositories) Reachability() ports.Reachability   { return reachability(r) }
