// Package ports holds the outbound interfaces that two or more services share. A port's comment is its
// contract; package porttest proves that an adapter keeps it. Errors are faults (package fault): unknown
// is NotFound, duplicate or stale is Conflict, an adapter that cannot reach its server is Unavailable.
// Every method may be called concurrently, honours its context, and returns copies that the caller owns.
// Times that a store gives have microsecond precision and are UTC.
package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Store is the system of record. The Repositories that it embeds read outside any transaction.
type Store interface {
	Repositories
	// Write runs fn in one transaction. An error or panic of fn rolls everything back; a failed commit is
	// returned. fn is run again after a serialization failure or deadlock (at most 5 times), so it must have
	// no other effects. What fn appends to the outbox is announced (Wakeups) only after the commit.
	Write(ctx context.Context, fn func(ctx context.Context, tx Repositories) error) error
	// Ping says whether the store answers; Unavailable if not.
	Ping(ctx context.Context) error
	Close() error
}

// Repositories are the roles of the store, of one transaction or of none.
type Repositories interface {
	Generators() Generators
	Credentials() Credentials
	Keyring() Keyring
	JoinTokens() JoinTokens
	Joins() Joins
	Registrations() Registrations
	Agents() Agents
	Stacks() Stacks
	Webhooks() Webhooks
	Deliveries() Deliveries
	Cursors() Cursors
	Objects() Objects
	Templates() Templates
	Policies() Policies
	Blobs() Blobs
	Secrets() Secrets
	Assignments() Assignments
	Reports() Reports
	Observations() Observations
	Facts() Facts
	Insights() Insights
	Diagnostics() Diagnostics
	Decisions() Decisions
	History() History
	Rollouts() Rollouts
	Removals() Removals
	Outbox() Outbox
	Leases() Leases
	Works() Works
	AuditLog() AuditLog
	AuditKeeper() AuditKeeper
	WorkOrders() WorkOrders
	WorkOrderLog() WorkOrderLog
	Idempotency() Idempotency
	Clusters() Clusters
	Drains() Drains
	Reachability() Reachability
	Locks() Locks
}

// Generators are the tenants.
type Generators interface {
	// Get returns a live generator that scope sees (All, or itself; an agent sees every live one).
	Get(ctx context.Context, scope tenancy.Scope, id tenancy.GeneratorID) (tenancy.Generator, error)
	ByName(ctx context.Context, name string) (tenancy.Generator, error)
	// List returns live generators by name.
	List(ctx context.Context, scope tenancy.Scope) ([]tenancy.Generator, error)
	// Page returns a page of live generators, as tenancy.GeneratorList says.
	Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[tenancy.Generator], error)
	Insert(ctx context.Context, g tenancy.Generator) error
	// Update stores name, description, active, registration policy and updated_at of a live generator, and announces the short
	// tokens of its credentials on the channel CredentialsRevoked when the transaction commits: what is known of them rests on active.
	Update(ctx context.Context, g tenancy.Generator) error
	// Delete soft-deletes the generator. Its registrations go; its stacks are the caller's affair.
	Delete(ctx context.Context, id tenancy.GeneratorID, at time.Time) error
}

// Credentials are the stored halves of PAKs.
type Credentials interface {
	// ByShort returns the credential with this short token, usable or not.
	ByShort(ctx context.Context, short string) (tenancy.Credential, error)
	// OfSubject returns the credentials of a role and subject (empty ids for admin, operator, viewer), newest first.
	OfSubject(ctx context.Context, role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID) ([]tenancy.Credential, error)
	// Insert stores c; a short token that exists is a Conflict.
	Insert(ctx context.Context, c tenancy.Credential) error
	// Revoke marks every usable credential of the subject as revoked from at on, but those in keep, and announces the
	// short tokens on the channel CredentialsRevoked when the transaction commits. It returns how many.
	Revoke(ctx context.Context, role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID, at time.Time, keep ...tenancy.CredentialID) (int, error)
	// Hold returns the credential, and keeps it from being ended until the transaction ends: who would end it waits, others who
	// hold it do not. NotFound if there is none.
	Hold(ctx context.Context, id tenancy.CredentialID) (tenancy.Credential, error)
	// Touch stores when credentials were last used, in one statement; unknown ids are ignored.
	Touch(ctx context.Context, used map[tenancy.CredentialID]time.Time) error
}

// Registrations are consents between agents and generators. Every change of state grows the agent's version.
type Registrations interface {
	Get(ctx context.Context, a agent.ID, g tenancy.GeneratorID) (tenancy.Registration, error)
	OfAgent(ctx context.Context, a agent.ID) ([]tenancy.Registration, error)
	OfGenerator(ctx context.Context, g tenancy.GeneratorID) ([]tenancy.Registration, error)
	// Insert stores r; a second one for the pair is a Conflict (code already_registered).
	Insert(ctx context.Context, r tenancy.Registration) error
	SetState(ctx context.Context, a agent.ID, g tenancy.GeneratorID, s tenancy.RegistrationState) error
	// Delete removes the registration and the agent's targets on the generator's stacks.
	Delete(ctx context.Context, a agent.ID, g tenancy.GeneratorID) error
}

// Agents are the clusters' agents with labels, annotations, targets and liveness. A generator's scope sees agents
// with which it has an approved registration, an agent's scope itself. Changes of labels, annotations, targets and
// of the row itself grow the agent's version; heartbeats do not.
type Agents interface {
	Get(ctx context.Context, scope tenancy.Scope, id agent.ID) (agent.Agent, error)
	ByName(ctx context.Context, name, cluster string) (agent.Agent, error)
	// List returns live agents by name, then cluster.
	List(ctx context.Context, scope tenancy.Scope) ([]agent.Agent, error)
	// Page returns a page of live agents, as cluster.List says. The filter generator_id passes those with an approved registration;
	// to a generator it passes none but for its own id.
	Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[agent.Agent], error)
	Insert(ctx context.Context, a agent.Agent) error
	// Update stores name, cluster name, status and updated_at of a live agent if its version is still a.Version; else Conflict. It
	// announces the agent on the channel AgentsChanged when the transaction commits.
	Update(ctx context.Context, a agent.Agent) error
	// Delete soft-deletes the agent; its labels, annotations, targets, registrations and assignments go with it.
	Delete(ctx context.Context, id agent.ID, at time.Time) error

	Labels(ctx context.Context, id agent.ID) ([]agent.Label, error)
	AddLabel(ctx context.Context, l agent.Label) error
	RemoveLabel(ctx context.Context, id agent.ID, label string) error
	Annotations(ctx context.Context, id agent.ID) ([]agent.Annotation, error)
	AddAnnotation(ctx context.Context, a agent.Annotation) error
	RemoveAnnotation(ctx context.Context, id agent.ID, key string) error
	Targets(ctx context.Context, id agent.ID) ([]agent.Target, error)
	AddTarget(ctx context.Context, t agent.Target) error
	RemoveTarget(ctx context.Context, id agent.ID, s stack.ID) error

	// Beat stores heartbeats in one statement (one more where a batch has several processes of an agent): never backwards in
	// time, nothing but liveness, unknown agents ignored. One from after the store's own clock, by which silence is measured, counts as
	// of now: the clock of a gateway that is ahead keeps nobody alive. The agent's DuplicateSince follows agent.Turns.
	Beat(ctx context.Context, beats []agent.Heartbeat) error
}

// Stacks are the named containers. A generator's scope sees its own, an agent's scope those assigned to it.
// Changes of labels, annotations and of the row grow the stack's version.
type Stacks interface {
	Get(ctx context.Context, scope tenancy.Scope, id stack.ID) (stack.Stack, error)
	ByName(ctx context.Context, g tenancy.GeneratorID, name string) (stack.Stack, error)
	// List returns live stacks by name, then id.
	List(ctx context.Context, scope tenancy.Scope) ([]stack.Stack, error)
	// Page returns a page of live stacks, as stack.List says.
	Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[stack.Stack], error)
	Insert(ctx context.Context, s stack.Stack) error
	// Update stores name, description and updated_at of a live stack if its version is still s.Version; else Conflict.
	Update(ctx context.Context, s stack.Stack) error
	// Delete soft-deletes the stack. Its labels, annotations, targets, policy and objects stay until it is collected.
	Delete(ctx context.Context, id stack.ID, at time.Time) error
	// Deleted returns a stack that is deleted and can be restored; one that is live or has been collected is NotFound.
	Deleted(ctx context.Context, scope tenancy.Scope, id stack.ID) (stack.Stack, error)
	// DeletedPage returns a page of the stacks that are deleted and can be restored, as stack.DeletedList says: those whose generator is
	// live. Agents see none.
	DeletedPage(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[stack.Stack], error)
	// Restore makes such a stack live again, with all that has stayed, and grows its version. Another live stack of its generator
	// with its name is a Conflict (code unique_violation); a generator that is gone is NotFound (code generator_not_found).
	Restore(ctx context.Context, id stack.ID, at time.Time) error
	// Collect drops labels, annotations, targets and policies of stacks that were deleted before and that no agent has any more,
	// tombstones included: they cannot be restored from then on. It collects at most limit and returns how many.
	Collect(ctx context.Context, before time.Time, limit int) (int, error)
	// Purge deletes stacks that were collected before, with all that is theirs: objects, records of decisions, rollouts. A stack
	// waits for what is kept for its own time and names it or its objects: events of agents, diagnostics, removals of the brake's
	// window. Contents stay until Blobs.Trim finds that nothing else refers to them. It deletes at most limit of each kind; more
	// says that there may be some left.
	Purge(ctx context.Context, before time.Time, limit int) (more bool, err error)

	Labels(ctx context.Context, id stack.ID) ([]stack.Label, error)
	AddLabel(ctx context.Context, l stack.Label) error
	RemoveLabel(ctx context.Context, id stack.ID, label string) error
	Annotations(ctx context.Context, id stack.ID) ([]stack.Annotation, error)
	AddAnnotation(ctx context.Context, a stack.Annotation) error
	RemoveAnnotation(ctx context.Context, id stack.ID, key string) error
}

// Objects are the deployment objects. Scope is that of their stack.
type Objects interface {
	// Insert stores o with the next sequence, which it returns in the copy, and grows the stack's version.
	// The stack must be live and its blob must have been put.
	Insert(ctx context.Context, o stack.Object) (stack.Object, error)
	Get(ctx context.Context, scope tenancy.Scope, id stack.ObjectID) (stack.Object, error)
	// Newest returns the live object of the stack with the highest sequence.
	Newest(ctx context.Context, s stack.ID) (stack.Object, error)
	// OfStack returns the stack's live objects, newest first.
	OfStack(ctx context.Context, s stack.ID) ([]stack.Object, error)
	// Page returns a page of the stack's live objects, by stack.ObjectList.
	Page(ctx context.Context, s stack.ID, q page.Query) (page.Page[stack.Object], error)
}

// Blobs are bundle contents by checksum, stored once, compressed by the adapter.
type Blobs interface {
	// Put stores content under its SHA-256, which it computes and returns. Storing it again changes nothing but when it was
	// last put, to the hour.
	Put(ctx context.Context, content []byte) (stack.Checksum, error)
	Get(ctx context.Context, sum stack.Checksum) ([]byte, error)
	// GetMany returns the contents that exist, by checksum, in one round trip.
	GetMany(ctx context.Context, sums []stack.Checksum) (map[stack.Checksum][]byte, error)
	// Trim deletes contents that were last put before and to which nothing refers: no deployment object (that of a deleted
	// stack counts for as long as it is there), assignment, work order or entry of their log. It deletes at most limit and returns how many.
	Trim(ctx context.Context, before time.Time, limit int) (int, error)
}

// Assignments are read by gateway and api; only the scheduler writes them, through Decisions.
type Assignments interface {
	// OfAgent returns the agent's revision and its assignments, tombstones included, by sequence descending,
	// read at one moment. An agent without any has revision 0.
	OfAgent(ctx context.Context, a agent.ID) (delivery.Revision, []delivery.Wanted, error)
	// Since returns of OfAgent only those that are newer than a revision of the agent, and the tally of all: that of those with the
	// ones that were there before, unless some went or the store has another past.
	Since(ctx context.Context, a agent.ID, r delivery.Revision) (now delivery.Revision, newer []delivery.Wanted, all delivery.Tally, err error)
	// Some returns the agent's assignments of these stacks, by stack id.
	Some(ctx context.Context, a agent.ID, stacks []stack.ID) ([]delivery.Wanted, error)
	// OfStack returns the stack's assignments by agent id.
	OfStack(ctx context.Context, s stack.ID) ([]delivery.Wanted, error)
	// Revisions returns the revisions of these agents in one statement; agents without one are absent.
	Revisions(ctx context.Context, agents []agent.ID) (map[agent.ID]delivery.Revision, error)
	// Refers reports whether the agent has an assignment whose content is sum.
	Refers(ctx context.Context, a agent.ID, sum stack.Checksum) (bool, error)
}

// Reports are what agents say. All are durable when the transaction has committed.
type Reports interface {
	// Advance moves the agent's report order to m and says what becomes of a report with that mark (delivery.Order.Accept). It locks
	// the agent's order until the transaction ends, so that reports of one agent are serial.
	Advance(ctx context.Context, a agent.ID, m delivery.Mark, at time.Time) (delivery.Reception, error)
	// Serial locks the agent's report order until the transaction ends, as Advance does, for reports that come without a mark. It comes
	// before what they rest on is read: what was read before it may be old. An agent that is not there is NotFound.
	Serial(ctx context.Context, a agent.ID) error
	// Record stores reports as the status of the agent's assignments (since moves only when phase or health changes).
	// A report for a stack that is not assigned to the agent, or that delivery.Status.YieldsTo refuses, is ignored: after a
	// rollback the assigned object is older than the last reported one.
	// It returns the statuses whose object, phase or health has changed.
	Record(ctx context.Context, a agent.ID, at time.Time, reports []delivery.Report) ([]delivery.Status, error)
	// Acknowledge deletes the tombstone (agent, stack) if its revision is not newer than r's and grows the agent's revision;
	// anything else changes nothing. It reports whether a tombstone went.
	Acknowledge(ctx context.Context, a agent.ID, r delivery.Removal) (bool, error)
	// AddEvent stores e, or updates time and count of the agent's last event for this object if type, status and
	// message are the same. The object must exist (else NotFound, code deployment_object_not_found).
	AddEvent(ctx context.Context, e agent.Event) (agent.Event, error)
	// AddEvents is AddEvent for events of one agent, in their order: all or none are stored.
	AddEvents(ctx context.Context, list []agent.Event) ([]agent.Event, error)
	// TrimEvents deletes events that were told last before, at most limit, and returns how many. Nothing rests on events: what an
	// agent has and how it is stays as it was reported.
	TrimEvents(ctx context.Context, before time.Time, limit int) (int, error)
}

// Facts are what placement reads, in bulk. Deleted stacks that still have assignments are included.
type Facts interface {
	// Clusters returns these live agents, or all if ids is nil.
	Clusters(ctx context.Context, ids []agent.ID) ([]placement.Cluster, error)
	// Subjects returns these stacks, or all if ids is nil.
	Subjects(ctx context.Context, ids []stack.ID) ([]placement.Subject, error)
	// Prior returns the assignments of these stacks, or all if ids is nil.
	Prior(ctx context.Context, ids []stack.ID) (map[stack.ID]placement.Prior, error)
}

// Lease is the right to decide for a shard until Until, in Epoch.
type Lease struct {
	Name   string
	Holder string
	Epoch  int64 // grows each time the holder changes
	Until  time.Time
}

// Commit is everything that one decision writes.
type Commit struct {
	Lease        Lease
	Stack        stack.ID
	StackVersion int64       // the decision rests on this version of the stack
	Generation   int64       // and on this generation of its decisions
	Policy       *policy.Ref // and on this revision of the policy that reaches it; nil: none does
	Changes      []placement.Change
	Hold         *placement.Hold // stored as it is: nil clears
	Record       placement.Record
	Rooms        []Room // of clusters that the decision gives away
}

// Room is what decisions that give room of a cluster rest on, beside the cluster itself: what else is there, or is to be.
type Room struct {
	Agent agent.ID // the decision changes what is assigned to it
	// Stacks are assigned there when everything that is committed together is written, as far as its decisions know; each once, in any order.
	Stacks []stack.ID
	// Spare is how many others there may be: somebody else has decided about these meanwhile, and for them there is room too.
	Spare int
}

// Decisions commit what the scheduler decided, and keep the record.
type Decisions interface {
	// Commit checks that the lease is held in its epoch and not over, that stack version, generation and policy are as expected,
	// and that the agent of each change is live and still has Change.Version; if one is not so, it is a Conflict and nothing is written.
	// It is one too if, of the stacks that are assigned to an agent then, more than Room.Spare are not in Room.Stacks. One that left unnoticed makes
	// up for none that came: what it used is free when the cluster says so.
	// The blobs of variants must have been put (else Refused, foreign_key_violation).
	// It then writes the assignments, grows the revision of each agent concerned, stores hold and record with the
	// next generation, and returns the new revisions. Several decisions, about a stack each, are committed together or not at all;
	// an agent that more than one of them concerns gets one new revision. Revisions have gaps: they grow by one or more.
	// The verdicts of a record, with all that they point to, are the caller's again when Commit returns.
	Commit(ctx context.Context, commits ...Commit) (map[agent.ID]delivery.Revision, error)
	// Latest returns the newest record of the stack and its hold, if there is one.
	Latest(ctx context.Context, s stack.ID) (placement.Record, *placement.Hold, error)
	// Approve marks the hold with this fingerprint as approved; Refused if nothing or something else waits.
	Approve(ctx context.Context, s stack.ID, fingerprint string) error
}

// Cursor is how far a reader of the outbox is, with the gaps that may still be filled by slower transactions.
type Cursor struct {
	Seq  int64
	Gaps map[int64]time.Time // missing sequence -> first missed at
}

// Outbox is the log of events, appended in the transaction that made them true.
type Outbox interface {
	Append(ctx context.Context, events ...event.Event) error
	// Read returns at most limit events that the cursor has not passed, in sequence order, and the cursor after them.
	// A gap is waited for until gapFor has passed; events are never returned twice for one line of cursors.
	Read(ctx context.Context, c Cursor, now time.Time, gapFor time.Duration, limit int) ([]event.Event, Cursor, error)
	// End returns the cursor behind the newest event.
	End(ctx context.Context) (Cursor, error)
	// Trim deletes events older than before, at most limit, and returns how many.
	Trim(ctx context.Context, before time.Time, limit int) (int, error)
}

// Leases share work among replicas. Time is the store's own clock.
type Leases interface {
	// Acquire takes or renews the lease for ttl. Another live holder is a Conflict.
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (Lease, error)
	// Release gives the lease up if holder has it.
	Release(ctx context.Context, name, holder string) error
	// Check is a Conflict (code lease_lost) unless the lease is held in its epoch and not over. In a transaction nobody else gets
	// it before the end, so that what is written there was written by the one who may.
	Check(ctx context.Context, l Lease) error
	// List returns the leases whose name begins with prefix and that are not over, by name.
	List(ctx context.Context, prefix string) ([]Lease, error)
}

// Channels of Wakeups.
const (
	OutboxGrew         = "brokkr_outbox"      // payload empty
	CredentialsRevoked = "brokkr_credentials" // payload: a short token
	WorkGrew           = "brokkr_work"        // payload: an agent's id; empty: several agents
	AgentsChanged      = "brokkr_agents"      // payload: the id of an agent whose row was updated: it may take part no more
)

// Wakeup is one notification; Lost says that notifications may have been missed before it (a new connection),
// so that the reader must look at everything. Deaf says that the connection is gone: notifications are missed from
// about now until a Lost one comes. Both stand alone, without channel and payload.
type Wakeup struct {
	Channel string
	Payload string
	Lost    bool
	Deaf    bool
}

// Wakeups tell of commits. They only save time: a reader that misses one finds the fact on its next round.
type Wakeups interface {
	// Listen delivers wakeups of the channels until ctx ends; then the returned channel is closed. The first
	// value is a Lost one. It reconnects by itself: it tells Deaf when it notices that the connection is gone (a
	// silent one within a second or so), and Lost when it listens again.
	Listen(ctx context.Context, channels ...string) (<-chan Wakeup, error)
}
