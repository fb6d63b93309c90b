package memory

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// state is everything that the store knows at one moment. A published state never changes.
type state struct {
	now func() time.Time // the store's clock

	generators     table[one, tenancy.Generator]
	generatorNames table[one, tenancy.GeneratorID] // live only

	credentials       table[one, tenancy.Credential]
	credentialShorts  table[one, tenancy.CredentialID]
	subjectCredential table[two, nothing] // subject, credential

	joinTokens table[one, join.Token]
	joinShorts table[one, join.TokenID]
	joins      table[one, join.Join] // agent

	registrations       table[two, tenancy.Registration] // agent, generator
	generatorRegistered table[two, nothing]              // generator, agent

	agents           table[one, agent.Agent]
	agentNames       table[two, agent.ID]         // name, cluster; live only
	agentLabels      table[two, agent.Label]      // agent, label
	agentAnnotations table[two, agent.Annotation] // agent, key
	turns            table[one, agent.Turns]      // agent
	clusters         table[one, cluster.Known]    // agent
	targets          table[two, agent.Target]     // agent, stack
	stackTargets     table[two, nothing]          // stack, agent

	stacks           table[one, stack.Stack]
	stackNames       table[two, stack.ID]         // generator, name; live only
	stackLabels      table[two, stack.Label]      // stack, label
	stackAnnotations table[two, stack.Annotation] // stack, key
	deletedStacks    table[one, nothing]          // those that are deleted and not collected
	collectedStacks  table[one, time.Time]        // when

	webhooks      table[one, hook]
	deliveries    table[one, queued]
	deliveryPairs table[two, webhook.DeliveryID]      // subscription, event
	deliveryOrder table[numbered, webhook.DeliveryID] // order of insertion
	cursors       table[one, ports.Cursor]

	objects      table[one, stack.Object]
	stackObjects table[numbered, stack.ObjectID] // stack, sequence
	blobs        table[one, blob]

	templates           table[one, template.Template]
	templateVersions    table[two, int]                 // owner, name -> the highest version ever
	templateLabels      table[two, template.Label]      // template, label
	templateAnnotations table[two, template.Annotation] // template, key

	policies        table[one, policy.Policy]        // without documents
	policyNames     table[two, policy.ID]            // generator, name; live only
	policyRevisions table[numbered, policy.Revision] // policy, number
	policyStacks    table[one, policy.Attachment]    // stack
	stacksOfPolicy  table[two, nothing]              // policy, stack
	policyLabels    table[two, time.Time]            // policy, label
	labelPolicies   table[two, nothing]              // label, policy

	assignments  table[two, delivery.Assignment] // agent, stack
	stackAgents  table[two, nothing]             // stack, agent
	statuses     table[two, delivery.Status]     // agent, stack
	summaries    table[two, string]              // agent, stack: the health summary of the status
	revisions    table[one, delivery.Revision]
	reportOrders table[one, delivery.Order]

	events     table[numbered, agent.Event] // agent, order of insertion
	lastEvents table[two, int64]            // agent, object -> order of insertion

	seenEvents table[numbered, observation.Event] // stack, order of insertion
	seenLines  table[numbered, observation.Line]
	seenGaps   table[numbered, observation.Gap]
	seenMarks  table[two, int64] // agent, boot -> number of the last parcel

	decisions table[one, decision]
	records   table[numbered, placement.Record] // stack, generation
	outbox    table[numbered, event.Event]
	leases    table[one, ports.Lease] // those that are over too: their epoch must go on growing

	removals       table[numbered, placement.Removal] // in the order of insertion
	rollouts       table[one, rolloutRow]
	governing      table[one, rollout.ID]              // stack
	rolloutMembers table[two, rollout.Member]          // rollout, agent
	rolloutHistory table[numbered, rollout.Transition] // rollout, order of insertion
	rolloutWatches table[two, nothing]                 // stack, rollout

	workOrders   table[one, workorder.Order]
	workOrderLog table[one, workorder.Entry]

	auditEntries table[one, audit.Entry]
	auditWaiting table[two, nothing]       // time, entry
	auditTimes   table[two, nothing]       // time, entry
	auditSealed  table[numbered, audit.ID] // period, sequence
	auditChains  table[one, audit.Chain]   // period

	diagnostics table[one, diagnostic.Request]
	diagnoses   table[one, diagnostic.Result] // by request

	idempotency      table[one, idempotency.Record]
	idempotencyTimes table[two, nothing] // time, key
}

// decision is what is kept of a stack's decisions.
type decision struct {
	generation int64
	approved   int64
	hold       *placement.Hold
	record     placement.Record
	moved      []time.Time // in the hour before the record
}

func newState(now func() time.Time) *state {
	return &state{
		now:        now,
		generators: newTable[one, tenancy.Generator](), generatorNames: newTable[one, tenancy.GeneratorID](),
		credentials: newTable[one, tenancy.Credential](), credentialShorts: newTable[one, tenancy.CredentialID](),
		subjectCredential: newTable[two, nothing](),
		joinTokens:        newTable[one, join.Token](), joinShorts: newTable[one, join.TokenID](), joins: newTable[one, join.Join](),
		registrations: newTable[two, tenancy.Registration](), generatorRegistered: newTable[two, nothing](),
		agents: newTable[one, agent.Agent](), agentNames: newTable[two, agent.ID](),
		agentLabels: newTable[two, agent.Label](), agentAnnotations: newTable[two, agent.Annotation](), turns: newTable[one, agent.Turns](), clusters: newTable[one, cluster.Known](),
		targets: newTable[two, agent.Target](), stackTargets: newTable[two, nothing](),
		stacks: newTable[one, stack.Stack](), stackNames: newTable[two, stack.ID](),
		stackLabels: newTable[two, stack.Label](), stackAnnotations: newTable[two, stack.Annotation](), deletedStacks: newTable[one, nothing](), collectedStacks: newTable[one, time.Time](),
		webhooks: newTable[one, hook](), deliveries: newTable[one, queued](), deliveryPairs: newTable[two, webhook.DeliveryID](),
		deliveryOrder: newTable[numbered, webhook.DeliveryID](), cursors: newTable[one, ports.Cursor](),
		objects: newTable[one, stack.Object](), stackObjects: newTable[numbered, stack.ObjectID](),
		blobs:     newTable[one, blob](),
		templates: newTable[one, template.Template](), templateVersions: newTable[two, int](),
		templateLabels: newTable[two, template.Label](), templateAnnotations: newTable[two, template.Annotation](),
		policies: newTable[one, policy.Policy](), policyNames: newTable[two, policy.ID](), policyRevisions: newTable[numbered, policy.Revision](),
		policyStacks: newTable[one, policy.Attachment](), stacksOfPolicy: newTable[two, nothing](), policyLabels: newTable[two, time.Time](), labelPolicies: newTable[two, nothing](),
		assignments: newTable[two, delivery.Assignment](), stackAgents: newTable[two, nothing](),
		statuses: newTable[two, delivery.Status](), summaries: newTable[two, string](), revisions: newTable[one, delivery.Revision](),
		reportOrders: newTable[one, delivery.Order](),
		events:       newTable[numbered, agent.Event](), lastEvents: newTable[two, int64](),
		seenEvents: newTable[numbered, observation.Event](), seenLines: newTable[numbered, observation.Line](),
		seenGaps: newTable[numbered, observation.Gap](), seenMarks: newTable[two, int64](),
		diagnostics: newTable[one, diagnostic.Request](), diagnoses: newTable[one, diagnostic.Result](),
		removals: newTable[numbered, placement.Removal](),
		rollouts: newTable[one, rolloutRow](), governing: newTable[one, rollout.ID](), rolloutMembers: newTable[two, rollout.Member](),
		rolloutHistory: newTable[numbered, rollout.Transition](), rolloutWatches: newTable[two, nothing](),
		decisions: newTable[one, decision](), records: newTable[numbered, placement.Record](), outbox: newTable[numbered, event.Event](), leases: newTable[one, ports.Lease](),
		workOrders: newTable[one, workorder.Order](), workOrderLog: newTable[one, workorder.Entry](),
		auditEntries: newTable[one, audit.Entry](), auditWaiting: newTable[two, nothing](), auditTimes: newTable[two, nothing](),
		auditSealed: newTable[numbered, audit.ID](), auditChains: newTable[one, audit.Chain](),
		idempotency: newTable[one, idempotency.Record](), idempotencyTimes: newTable[two, nothing](),
	}
}

// clone returns a state that may be changed without changing s.
func (s *state) clone() *state {
	return &state{
		now:        s.now,
		generators: s.generators.clone(), generatorNames: s.generatorNames.clone(),
		credentials: s.credentials.clone(), credentialShorts: s.credentialShorts.clone(),
		subjectCredential: s.subjectCredential.clone(),
		joinTokens:        s.joinTokens.clone(), joinShorts: s.joinShorts.clone(), joins: s.joins.clone(),
		registrations: s.registrations.clone(), generatorRegistered: s.generatorRegistered.clone(),
		agents: s.agents.clone(), agentNames: s.agentNames.clone(),
		agentLabels: s.agentLabels.clone(), agentAnnotations: s.agentAnnotations.clone(), turns: s.turns.clone(), clusters: s.clusters.clone(),
		targets: s.targets.clone(), stackTargets: s.stackTargets.clone(),
		stacks: s.stacks.clone(), stackNames: s.stackNames.clone(),
		stackLabels: s.stackLabels.clone(), stackAnnotations: s.stackAnnotations.clone(), deletedStacks: s.deletedStacks.clone(), collectedStacks: s.collectedStacks.clone(),
		webhooks: s.webhooks.clone(), deliveries: s.deliveries.clone(), deliveryPairs: s.deliveryPairs.clone(),
		deliveryOrder: s.deliveryOrder.clone(), cursors: s.cursors.clone(),
		objects: s.objects.clone(), stackObjects: s.stackObjects.clone(),
		blobs:     s.blobs.clone(),
		templates: s.templates.clone(), templateVersions: s.templateVersions.clone(),
		templateLabels: s.templateLabels.clone(), templateAnnotations: s.templateAnnotations.clone(),
		policies: s.policies.clone(), policyNames: s.policyNames.clone(), policyRevisions: s.policyRevisions.clone(),
		policyStacks: s.policyStacks.clone(), stacksOfPolicy: s.stacksOfPolicy.clone(), policyLabels: s.policyLabels.clone(), labelPolicies: s.labelPolicies.clone(),
		assignments: s.assignments.clone(), stackAgents: s.stackAgents.clone(),
		statuses: s.statuses.clone(), summaries: s.summaries.clone(), revisions: s.revisions.clone(),
		reportOrders: s.reportOrders.clone(),
		events:       s.events.clone(), lastEvents: s.lastEvents.clone(),
		seenEvents: s.seenEvents.clone(), seenLines: s.seenLines.clone(), seenGaps: s.seenGaps.clone(), seenMarks: s.seenMarks.clone(),
		diagnostics: s.diagnostics.clone(), diagnoses: s.diagnoses.clone(),
		removals: s.removals.clone(),
		rollouts: s.rollouts.clone(), governing: s.governing.clone(), rolloutMembers: s.rolloutMembers.clone(),
		rolloutHistory: s.rolloutHistory.clone(), rolloutWatches: s.rolloutWatches.clone(),
		decisions: s.decisions.clone(), records: s.records.clone(), outbox: s.outbox.clone(), leases: s.leases.clone(),
		workOrders: s.workOrders.clone(), workOrderLog: s.workOrderLog.clone(),
		auditEntries: s.auditEntries.clone(), auditWaiting: s.auditWaiting.clone(), auditTimes: s.auditTimes.clone(),
		auditSealed: s.auditSealed.clone(), auditChains: s.auditChains.clone(),
		idempotency: s.idempotency.clone(), idempotencyTimes: s.idempotencyTimes.clone(),
	}
}

// liveGenerator returns the generator unless it is unknown or deleted.
func (s *state) liveGenerator(id tenancy.GeneratorID) (tenancy.Generator, bool) {
	g, ok := s.generators.get(one(id))
	return g, ok && g.DeletedAt == nil
}

func (s *state) liveAgent(id agent.ID) (agent.Agent, bool) {
	a, ok := s.agents.get(one(id))
	return a, ok && a.DeletedAt == nil
}

func (s *state) liveStack(id stack.ID) (stack.Stack, bool) {
	st, ok := s.stacks.get(one(id))
	return st, ok && st.DeletedAt == nil
}

// seesAgent reports whether scope sees the agent.
func (s *state) seesAgent(scope tenancy.Scope, id agent.ID) bool {
	switch {
	case scope.All:
		return true
	case scope.Generator != "":
		r, ok := s.registrations.get(two{string(id), string(scope.Generator)})
		return ok && r.State == tenancy.RegistrationApproved
	default:
		return scope.Agent != "" && scope.Agent == id
	}
}

// seesStack reports whether scope sees the stack; a tombstone shows an agent nothing.
func (s *state) seesStack(scope tenancy.Scope, st stack.Stack) bool {
	if scope.Agent != "" && !scope.All {
		a, ok := s.assignments.get(two{string(scope.Agent), string(st.ID)})
		return ok && a.State == delivery.Assigned
	}
	return scope.Owns(st.Generator)
}

// touchAgent grows the agent's version.
func (s *state) touchAgent(id agent.ID) {
	if a, ok := s.agents.get(one(id)); ok {
		a.Version++
		s.agents.put(one(id), a)
	}
}

// touchStack grows the stack's version.
func (s *state) touchStack(id stack.ID) {
	if st, ok := s.stacks.get(one(id)); ok {
		st.Version++
		s.stacks.put(one(id), st)
	}
}

// growRevision moves the agent to its next revision and returns it.
func (s *state) growRevision(id agent.ID) delivery.Revision {
	r, _ := s.revisions.get(one(id))
	r++
	s.revisions.put(one(id), r)
	return r
}

// newest returns the live object of the stack with the highest sequence.
func (s *state) newest(id stack.ID) (stack.Object, bool) {
	var found stack.Object
	var ok bool
	s.stackObjects.back(numbered{string(id), maxSequence}, func(k numbered, o stack.ObjectID) bool {
		if k.a != string(id) {
			return false
		}
		found, ok = s.objects.get(one(o))
		ok = ok && found.DeletedAt == nil
		return !ok
	})
	return found, ok
}

// dropAssignment forgets an assignment with its status.
func (s *state) dropAssignment(a agent.ID, st stack.ID) {
	s.assignments.drop(two{string(a), string(st)})
	s.stackAgents.drop(two{string(st), string(a)})
	s.statuses.drop(two{string(a), string(st)})
	s.summaries.drop(two{string(a), string(st)})
}

func (s *state) dropTarget(a agent.ID, st stack.ID) bool {
	s.stackTargets.drop(two{string(st), string(a)})
	return s.targets.drop(two{string(a), string(st)})
}

// dropRegistration forgets a consent with the agent's targets on the generator's stacks.
func (s *state) dropRegistration(a agent.ID, g tenancy.GeneratorID) {
	s.registrations.drop(two{string(a), string(g)})
	s.generatorRegistered.drop(two{string(g), string(a)})
	for _, id := range keysOf(s.targets, string(a)) {
		if st, ok := s.stacks.get(one(id)); ok && st.Generator == g {
			s.dropTarget(a, st.ID)
		}
	}
	s.touchAgent(a)
}
