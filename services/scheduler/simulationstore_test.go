package scheduler_test

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// What a scheduler asks of the store outside of transactions, each in its turn. What a janitor does follows at once on the turn in which it
// has renewed its lease.

func (u unsure) Leases() ports.Leases     { return turnedLeases{u.Store.Leases(), u} }
func (u unsure) Outbox() ports.Outbox     { return turnedOutbox{u.Store.Outbox(), u} }
func (u unsure) Facts() ports.Facts       { return turnedFacts{u.Store.Facts(), u} }
func (u unsure) Rollouts() ports.Rollouts { return turnedRollouts{u.Store.Rollouts(), u} }
func (u unsure) Removals() ports.Removals { return turnedRemovals{u.Store.Removals(), u} }
func (u unsure) Policies() ports.Policies { return turnedPolicies{u.Store.Policies(), u} }
func (u unsure) Objects() ports.Objects   { return turnedObjects{u.Store.Objects(), u} }
func (u unsure) Blobs() ports.Blobs       { return turnedBlobs{u.Store.Blobs(), u} }
func (u unsure) Reachability() ports.Reachability {
	return turnedReachability{u.Store.Reachability(), u}
}
func (u unsure) Drains() ports.Drains           { return turnedDrains{u.Store.Drains(), u} }
func (u unsure) WorkOrders() ports.WorkOrders   { return turnedWorkOrders{u.Store.WorkOrders(), u} }
func (u unsure) AuditKeeper() ports.AuditKeeper { return turnedAuditKeeper{u.Store.AuditKeeper(), u} }

type turnedLeases struct {
	ports.Leases
	u unsure
}

func (x turnedLeases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (ports.Lease, error) {
	x.u.turn(ctx, "Acquire")
	return x.Leases.Acquire(ctx, name, holder, ttl)
}

func (x turnedLeases) Release(ctx context.Context, name, holder string) error {
	x.u.turn(ctx, "Release")
	return x.Leases.Release(ctx, name, holder)
}

func (x turnedLeases) List(ctx context.Context, prefix string) ([]ports.Lease, error) {
	x.u.turn(ctx, "List")
	return x.Leases.List(ctx, prefix)
}

type turnedOutbox struct {
	ports.Outbox
	u unsure
}

func (x turnedOutbox) Read(ctx context.Context, c ports.Cursor, now time.Time, gapFor time.Duration, limit int) ([]event.Event, ports.Cursor, error) {
	x.u.turn(ctx, "Read")
	return x.Outbox.Read(ctx, c, now, gapFor, limit)
}

func (x turnedOutbox) End(ctx context.Context) (ports.Cursor, error) {
	x.u.turn(ctx, "End")
	return x.Outbox.End(ctx)
}

type turnedFacts struct {
	ports.Facts
	u unsure
}

func (x turnedFacts) Clusters(ctx context.Context, ids []agent.ID) ([]placement.Cluster, error) {
	x.u.turn(ctx, "Clusters")
	return x.Facts.Clusters(ctx, ids)
}

func (x turnedFacts) Subjects(ctx context.Context, ids []stack.ID) ([]placement.Subject, error) {
	x.u.turn(ctx, "Subjects")
	return x.Facts.Subjects(ctx, ids)
}

func (x turnedFacts) Prior(ctx context.Context, ids []stack.ID) (map[stack.ID]placement.Prior, error) {
	x.u.turn(ctx, "Prior")
	return x.Facts.Prior(ctx, ids)
}

type turnedRollouts struct {
	ports.Rollouts
	u unsure
}

func (x turnedRollouts) Governing(ctx context.Context, stacks []stack.ID) (map[stack.ID]rollout.Rollout, error) {
	x.u.turn(ctx, "Governing")
	return x.Rollouts.Governing(ctx, stacks)
}

func (x turnedRollouts) Statuses(ctx context.Context, stacks []stack.ID) (map[stack.ID]map[agent.ID]delivery.Status, error) {
	x.u.turn(ctx, "Statuses")
	return x.Rollouts.Statuses(ctx, stacks)
}

type turnedRemovals struct {
	ports.Removals
	u unsure
}

func (x turnedRemovals) Since(ctx context.Context, after time.Time) ([]placement.Removal, error) {
	x.u.turn(ctx, "Since")
	return x.Removals.Since(ctx, after)
}

type turnedPolicies struct {
	ports.Policies
	u unsure
}

func (x turnedPolicies) Live(ctx context.Context, ids []policy.ID) ([]policy.Policy, error) {
	x.u.turn(ctx, "Live")
	return x.Policies.Live(ctx, ids)
}

type turnedObjects struct {
	ports.Objects
	u unsure
}

func (x turnedObjects) Get(ctx context.Context, scope tenancy.Scope, id stack.ObjectID) (stack.Object, error) {
	x.u.turn(ctx, "Get object")
	return x.Objects.Get(ctx, scope, id)
}

type turnedBlobs struct {
	ports.Blobs
	u unsure
}

func (x turnedBlobs) Get(ctx context.Context, sum stack.Checksum) ([]byte, error) {
	x.u.turn(ctx, "Get blob")
	return x.Blobs.Get(ctx, sum)
}

func (x turnedBlobs) Put(ctx context.Context, content []byte) (stack.Checksum, error) {
	x.u.turn(ctx, "Put blob")
	return x.Blobs.Put(ctx, content)
}

type turnedReachability struct {
	ports.Reachability
	u unsure
}

func (x turnedReachability) Silence(ctx context.Context, after time.Duration) (cluster.Silence, error) {
	x.u.turn(ctx, "Silence")
	return x.Reachability.Silence(ctx, after)
}

type turnedDrains struct {
	ports.Drains
	u unsure
}

func (x turnedDrains) Running(ctx context.Context) (map[agent.ID]cluster.Drain, error) {
	x.u.turn(ctx, "Running")
	return x.Drains.Running(ctx)
}

type turnedWorkOrders struct {
	ports.WorkOrders
	u unsure
}

func (x turnedWorkOrders) Due(ctx context.Context, now, unclaimed time.Time, limit int) ([]workorder.Order, error) {
	x.u.turn(ctx, "Due")
	return x.WorkOrders.Due(ctx, now, unclaimed, limit)
}

type turnedAuditKeeper struct {
	ports.AuditKeeper
	u unsure
}

func (x turnedAuditKeeper) Seal(ctx context.Context, limit int) (int, error) {
	x.u.turn(ctx, "Seal")
	return x.AuditKeeper.Seal(ctx, limit)
}
