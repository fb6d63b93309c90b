package porttest

import (
	"context"
	"sync/atomic"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// Faulty returns a store whose nth repository call (counted from 1, inside and outside of Write together) fails with
// err and reaches the store not at all; all others pass through. A use case is safe against a failure anywhere if a
// test that runs it with n = 1, 2, ... until it succeeds finds nothing half-done.
func Faulty(store ports.Store, nthCall int, err error) ports.Store {
	f := &faults{nth: int64(nthCall), err: err}
	return &faultyStore{faultyRepositories{store, f}, store, f}
}

// faults counts the calls of all repositories of one store.
type faults struct {
	calls atomic.Int64
	nth   int64
	err   error
}

func (f *faults) next() error {
	if f.calls.Add(1) == f.nth {
		return f.err
	}
	return nil
}

type faultyStore struct {
	faultyRepositories
	store ports.Store
	f     *faults
}

func (s *faultyStore) Write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	return s.store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error {
		return fn(ctx, faultyRepositories{tx, s.f})
	})
}

func (s *faultyStore) Ping(ctx context.Context) error { return s.store.Ping(ctx) }

func (s *faultyStore) Close() error { return s.store.Close() }

func (r faultyRepositories) Webhooks() ports.Webhooks { return faultyWebhooks{r.in.Webhooks(), r.f} }

func (r faultyRepositories) Deliveries() ports.Deliveries {
	return faultyDeliveries{r.in.Deliveries(), r.f}
}

func (r faultyRepositories) Cursors() ports.Cursors { return faultyCursors{r.in.Cursors(), r.f} }

type faultyRepositories struct {
	in ports.Repositories
	f  *faults
}

func (r faultyRepositories) Generators() ports.Generators {
	return faultyGenerators{r.in.Generators(), r.f}
}

func (r faultyRepositories) Credentials() ports.Credentials {
	return faultyCredentials{r.in.Credentials(), r.f}
}

func (r faultyRepositories) Keyring() ports.Keyring { return faultyKeyring{r.in.Keyring(), r.f} }

func (r faultyRepositories) JoinTokens() ports.JoinTokens {
	return faultyJoinTokens{r.in.JoinTokens(), r.f}
}

func (r faultyRepositories) Locks() ports.Locks { return faultyLocks{r.in.Locks(), r.f} }

func (r faultyRepositories) Joins() ports.Joins { return faultyJoins{r.in.Joins(), r.f} }

func (r faultyRepositories) Registrations() ports.Registrations {
	return faultyRegistrations{r.in.Registrations(), r.f}
}

func (r faultyRepositories) Agents() ports.Agents   { return faultyAgents{r.in.Agents(), r.f} }
func (r faultyRepositories) Stacks() ports.Stacks   { return faultyStacks{r.in.Stacks(), r.f} }
func (r faultyRepositories) Objects() ports.Objects { return faultyObjects{r.in.Objects(), r.f} }
func (r faultyRepositories) Templates() ports.Templates {
	return faultyTemplates{r.in.Templates(), r.f}
}

func (r faultyRepositories) Policies() ports.Policies { return faultyPolicies{r.in.Policies(), r.f} }

func (r faultyRepositories) Blobs() ports.Blobs { return faultyBlobs{r.in.Blobs(), r.f} }

func (r faultyRepositories) Secrets() ports.Secrets { return faultySecrets{r.in.Secrets(), r.f} }

func (r faultyRepositories) Assignments() ports.Assignments {
	return faultyAssignments{r.in.Assignments(), r.f}
}

func (r faultyRepositories) Reports() ports.Reports { return faultyReports{r.in.Reports(), r.f} }

func (r faultyRepositories) Observations() ports.Observations {
	return faultyObservations{r.in.Observations(), r.f}
}

func (r faultyRepositories) Facts() ports.Facts { return faultyFacts{r.in.Facts(), r.f} }

func (r faultyRepositories) Insights() ports.Insights {
	return faultyInsights{r.in.Insights(), r.f}
}

func (r faultyRepositories) Diagnostics() ports.Diagnostics {
	return faultyDiagnostics{r.in.Diagnostics(), r.f}
}

func (r faultyRepositories) Decisions() ports.Decisions {
	return faultyDecisions{r.in.Decisions(), r.f}
}

func (r faultyRepositories) History() ports.History { return faultyHistory{r.in.History(), r.f} }

func (r faultyRepositories) Rollouts() ports.Rollouts {
	return faultyRollouts{r.in.Rollouts(), r.f}
}

func (r faultyRepositories) Outbox() ports.Outbox { return faultyOutbox{r.in.Outbox(), r.f} }
func (r faultyRepositories) Leases() ports.Leases { return faultyLeases{r.in.Leases(), r.f} }
func (r faultyRepositories) Works() ports.Works   { return faultyWorks{r.in.Works(), r.f} }

func (r faultyRepositories) WorkOrders() ports.WorkOrders {
	return faultyWorkOrders{r.in.WorkOrders(), r.f}
}

func (r faultyRepositories) WorkOrderLog() ports.WorkOrderLog {
	return faultyWorkOrderLog{r.in.WorkOrderLog(), r.f}
}
