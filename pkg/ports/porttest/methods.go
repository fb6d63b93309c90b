package porttest

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// method calls one repository method with arguments that are well-formed but need not exist.
type method func(ctx context.Context, r ports.Repositories) error

// discard drops what a method returns besides its error.
func discard[T any](_ T, err error) error { return err }

// methods is every method of every repository, by name.
func (w *world) methods() map[string]method {
	all := map[string]method{}
	for _, part := range []map[string]method{
		w.webhookMethods(),
		w.templateMethods(), w.policyMethods(), w.historyMethods(),
		w.tenancyMethods(), w.agentMethods(), w.stackMethods(), w.deliveryMethods(), w.insightMethods(), w.diagnosticMethods(), w.controlMethods(), w.workMethods(), w.auditMethods(),
		w.observationMethods(), w.rolloutMethods(), w.removalMethods(),
		w.accessMethods(), w.idempotencyMethods(), w.clusterMethods(),
	} {
		for name, m := range part {
			all[name] = m
		}
	}
	return all
}

func (w *world) tenancyMethods() map[string]method {
	g, a := newID[tenancy.GeneratorID](), newID[agent.ID]()
	c := tenancy.Credential{ID: newID[tenancy.CredentialID](), Role: tenancy.RoleAdmin, Short: "BRxxxxxx", Hash: someHash, CreatedAt: w.at}
	reg := tenancy.Registration{ID: newID[tenancy.RegistrationID](), Agent: a, Generator: g, State: tenancy.RegistrationPending, RegisteredAt: w.at}
	return map[string]method{
		"Generators.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Generators().Get(ctx, everything, g))
		},
		"Generators.ByName": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Generators().ByName(ctx, "nobody"))
		},
		"Generators.List": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Generators().List(ctx, everything))
		},
		"Generators.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Generators().Page(ctx, everything, tenancy.GeneratorList().All(10)))
		},
		"Generators.Insert": func(ctx context.Context, r ports.Repositories) error {
			return r.Generators().Insert(ctx, w.newGenerator("inserted"))
		},
		"Generators.Update": func(ctx context.Context, r ports.Repositories) error {
			return r.Generators().Update(ctx, w.newGenerator("updated"))
		},
		"Generators.Delete": func(ctx context.Context, r ports.Repositories) error {
			return r.Generators().Delete(ctx, g, w.at)
		},
		"Credentials.ByShort": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Credentials().ByShort(ctx, "BRnobody"))
		},
		"Credentials.OfSubject": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Credentials().OfSubject(ctx, tenancy.RoleAgent, "", a))
		},
		"Credentials.Insert": func(ctx context.Context, r ports.Repositories) error {
			return r.Credentials().Insert(ctx, c)
		},
		"Credentials.Revoke": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Credentials().Revoke(ctx, tenancy.RoleAgent, "", a, w.at))
		},
		"Credentials.Hold": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Credentials().Hold(ctx, c.ID))
		},
		"Credentials.Touch": func(ctx context.Context, r ports.Repositories) error {
			return r.Credentials().Touch(ctx, map[tenancy.CredentialID]time.Time{c.ID: w.at})
		},
		"Registrations.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Registrations().Get(ctx, a, g))
		},
		"Registrations.OfAgent": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Registrations().OfAgent(ctx, a))
		},
		"Registrations.OfGenerator": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Registrations().OfGenerator(ctx, g))
		},
		"Registrations.Insert": func(ctx context.Context, r ports.Repositories) error {
			return r.Registrations().Insert(ctx, reg)
		},
		"Registrations.SetState": func(ctx context.Context, r ports.Repositories) error {
			return r.Registrations().SetState(ctx, a, g, tenancy.RegistrationApproved)
		},
		"Registrations.Delete": func(ctx context.Context, r ports.Repositories) error {
			return r.Registrations().Delete(ctx, a, g)
		},
	}
}

func (w *world) agentMethods() map[string]method {
	a, s := newID[agent.ID](), newID[stack.ID]()
	return map[string]method{
		"Agents.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Agents().Get(ctx, everything, a))
		},
		"Agents.ByName": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Agents().ByName(ctx, "nobody", "nowhere"))
		},
		"Agents.List": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Agents().List(ctx, everything))
		},
		"Agents.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Agents().Page(ctx, everything, agent.List().All(10)))
		},
		"Agents.Insert": func(ctx context.Context, r ports.Repositories) error {
			return r.Agents().Insert(ctx, w.newAgent("inserted"))
		},
		"Agents.Update": func(ctx context.Context, r ports.Repositories) error {
			return r.Agents().Update(ctx, w.newAgent("updated"))
		},
		"Agents.Delete": func(ctx context.Context, r ports.Repositories) error {
			return r.Agents().Delete(ctx, a, w.at)
		},
		"Agents.Labels": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Agents().Labels(ctx, a))
		},
		"Agents.AddLabel": func(ctx context.Context, r ports.Repositories) error {
			return r.Agents().AddLabel(ctx, agent.Label{ID: newID[agent.LabelID](), Agent: a, Label: "x"})
		},
		"Agents.RemoveLabel": func(ctx context.Context, r ports.Repositories) error {
			return r.Agents().RemoveLabel(ctx, a, "x")
		},
		"Agents.Annotations": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Agents().Annotations(ctx, a))
		},
		"Agents.AddAnnotation": func(ctx context.Context, r ports.Repositories) error {
			return r.Agents().AddAnnotation(ctx, agent.Annotation{ID: newID[agent.AnnotationID](), Agent: a, Key: "k", Value: "v"})
		},
		"Agents.RemoveAnnotation": func(ctx context.Context, r ports.Repositories) error {
			return r.Agents().RemoveAnnotation(ctx, a, "k")
		},
		"Agents.Targets": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Agents().Targets(ctx, a))
		},
		"Agents.AddTarget": func(ctx context.Context, r ports.Repositories) error {
			return r.Agents().AddTarget(ctx, agent.Target{ID: newID[agent.TargetID](), Agent: a, Stack: s})
		},
		"Agents.RemoveTarget": func(ctx context.Context, r ports.Repositories) error {
			return r.Agents().RemoveTarget(ctx, a, s)
		},
		"Agents.Beat": func(ctx context.Context, r ports.Repositories) error {
			return r.Agents().Beat(ctx, []agent.Heartbeat{{Agent: a, At: w.at}})
		},
	}
}

func (w *world) stackMethods() map[string]method {
	g, s := newID[tenancy.GeneratorID](), newID[stack.ID]()
	sum := stack.Checksum(someHash)
	return map[string]method{
		"Stacks.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Stacks().Get(ctx, everything, s))
		},
		"Stacks.ByName": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Stacks().ByName(ctx, g, "nothing"))
		},
		"Stacks.List": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Stacks().List(ctx, everything))
		},
		"Stacks.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Stacks().Page(ctx, everything, stack.List().All(10)))
		},
		"Stacks.Insert": func(ctx context.Context, r ports.Repositories) error {
			return r.Stacks().Insert(ctx, w.newStack(g, "inserted"))
		},
		"Stacks.Update": func(ctx context.Context, r ports.Repositories) error {
			return r.Stacks().Update(ctx, w.newStack(g, "updated"))
		},
		"Stacks.Delete": func(ctx context.Context, r ports.Repositories) error {
			return r.Stacks().Delete(ctx, s, w.at)
		},
		"Stacks.Deleted": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Stacks().Deleted(ctx, everything, s))
		},
		"Stacks.DeletedPage": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Stacks().DeletedPage(ctx, everything, stack.DeletedList().All(10)))
		},
		"Stacks.Restore": func(ctx context.Context, r ports.Repositories) error {
			return r.Stacks().Restore(ctx, s, w.at)
		},
		"Stacks.Collect": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Stacks().Collect(ctx, w.at, 10))
		},
		"Stacks.Purge": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Stacks().Purge(ctx, w.at, 10))
		},
		"Stacks.Labels": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Stacks().Labels(ctx, s))
		},
		"Stacks.AddLabel": func(ctx context.Context, r ports.Repositories) error {
			return r.Stacks().AddLabel(ctx, stack.Label{ID: newID[stack.LabelID](), Stack: s, Label: "x"})
		},
		"Stacks.RemoveLabel": func(ctx context.Context, r ports.Repositories) error {
			return r.Stacks().RemoveLabel(ctx, s, "x")
		},
		"Stacks.Annotations": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Stacks().Annotations(ctx, s))
		},
		"Stacks.AddAnnotation": func(ctx context.Context, r ports.Repositories) error {
			return r.Stacks().AddAnnotation(ctx, stack.Annotation{ID: newID[stack.AnnotationID](), Stack: s, Key: "k", Value: "v"})
		},
		"Stacks.RemoveAnnotation": func(ctx context.Context, r ports.Repositories) error {
			return r.Stacks().RemoveAnnotation(ctx, s, "k")
		},
		"Objects.Insert": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Objects().Insert(ctx, stack.Object{ID: newID[stack.ObjectID](), Stack: s, Checksum: sum, SubmittedAt: w.at, CreatedAt: w.at, UpdatedAt: w.at}))
		},
		"Objects.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Objects().Get(ctx, everything, newID[stack.ObjectID]()))
		},
		"Objects.Newest": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Objects().Newest(ctx, s))
		},
		"Objects.OfStack": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Objects().OfStack(ctx, s))
		},
		"Objects.Page": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Objects().Page(ctx, s, page.Query{Limit: 1}))
		},
		"Locks.Generator": func(ctx context.Context, r ports.Repositories) error {
			return r.Locks().Generator(ctx, newID[tenancy.GeneratorID]())
		},
		"Locks.Agent": func(ctx context.Context, r ports.Repositories) error { return r.Locks().Agent(ctx, newID[agent.ID]()) },
		"Locks.Policy": func(ctx context.Context, r ports.Repositories) error {
			return r.Locks().Policy(ctx, newID[policy.ID]())
		},
		"Locks.Stack": func(ctx context.Context, r ports.Repositories) error { return r.Locks().Stack(ctx, s) },
		"Locks.Template": func(ctx context.Context, r ports.Repositories) error {
			return r.Locks().Template(ctx, newID[template.ID]())
		},
		"Locks.Webhook": func(ctx context.Context, r ports.Repositories) error {
			return r.Locks().Webhook(ctx, newID[webhook.ID]())
		},
		"Locks.Credential": func(ctx context.Context, r ports.Repositories) error {
			return r.Locks().Credential(ctx, newID[tenancy.CredentialID]())
		},
		"Locks.JoinToken": func(ctx context.Context, r ports.Repositories) error {
			return r.Locks().JoinToken(ctx, newID[join.TokenID]())
		},
		"Locks.WorkOrder": func(ctx context.Context, r ports.Repositories) error {
			return r.Locks().WorkOrder(ctx, newID[workorder.ID]())
		},
		"Blobs.Put": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Blobs().Put(ctx, []byte("content")))
		},
		"Blobs.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Blobs().Get(ctx, sum))
		},
		"Blobs.GetMany": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Blobs().GetMany(ctx, []stack.Checksum{sum}))
		},
		"Blobs.Trim": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Blobs().Trim(ctx, w.at, 10))
		},
		"Secrets.Rewrap": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Secrets().Rewrap(ctx, 10))
		},
		"Secrets.Usage": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Secrets().Usage(ctx))
		},
	}
}

func (w *world) deliveryMethods() map[string]method {
	a, s, o := newID[agent.ID](), newID[stack.ID](), newID[stack.ObjectID]()
	return map[string]method{
		"Assignments.OfAgent": func(ctx context.Context, r ports.Repositories) error {
			_, _, err := r.Assignments().OfAgent(ctx, a)
			return err
		},
		"Assignments.Since": func(ctx context.Context, r ports.Repositories) error {
			_, _, _, err := r.Assignments().Since(ctx, a, 1)
			return err
		},
		"Assignments.Some": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Assignments().Some(ctx, a, []stack.ID{s}))
		},
		"Assignments.OfStack": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Assignments().OfStack(ctx, s))
		},
		"Assignments.Revisions": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Assignments().Revisions(ctx, []agent.ID{a}))
		},
		"Assignments.Refers": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Assignments().Refers(ctx, a, stack.Checksum(someHash)))
		},
		"Reports.Advance": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Reports().Advance(ctx, a, delivery.Mark{Boot: newID[string](), Seq: 1}, w.at))
		},
		"Reports.Serial": func(ctx context.Context, r ports.Repositories) error {
			return r.Reports().Serial(ctx, a)
		},
		"Reports.Record": func(ctx context.Context, r ports.Repositories) error {
			rep := delivery.Report{Stack: s, Object: o, Sequence: 1, Phase: delivery.PhaseApplied, Health: delivery.HealthHealthy, ObservedAt: w.at}
			return discard(r.Reports().Record(ctx, a, w.at, []delivery.Report{rep}))
		},
		"Reports.Acknowledge": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Reports().Acknowledge(ctx, a, delivery.Removal{Stack: s, Revision: 1}))
		},
		"Reports.AddEvent": func(ctx context.Context, r ports.Repositories) error {
			e := agent.Event{ID: newID[agent.EventID](), Agent: a, Object: o, Type: "DEPLOY", Status: "SUCCESS", CreatedAt: w.at, UpdatedAt: w.at}
			return discard(r.Reports().AddEvent(ctx, e))
		},
		"Reports.AddEvents": func(ctx context.Context, r ports.Repositories) error {
			e := agent.Event{ID: newID[agent.EventID](), Agent: a, Object: o, Type: "DEPLOY", Status: "SUCCESS", CreatedAt: w.at, UpdatedAt: w.at}
			return discard(r.Reports().AddEvents(ctx, []agent.Event{e}))
		},
		"Reports.TrimEvents": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Reports().TrimEvents(ctx, w.at, 10))
		},
		"Facts.Clusters": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Facts().Clusters(ctx, nil))
		},
		"Facts.Subjects": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Facts().Subjects(ctx, nil))
		},
		"Facts.Prior": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Facts().Prior(ctx, nil))
		},
	}
}

func (w *world) controlMethods() map[string]method {
	s := newID[stack.ID]()
	return map[string]method{
		"Decisions.Commit": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Decisions().Commit(ctx, ports.Commit{
				Lease: ports.Lease{Name: "shard-0", Holder: "nobody", Epoch: 1}, Stack: s,
				Record: placement.Record{Stack: s, At: w.at},
			}))
		},
		"Decisions.Latest": func(ctx context.Context, r ports.Repositories) error {
			_, _, err := r.Decisions().Latest(ctx, s)
			return err
		},
		"Decisions.Approve": func(ctx context.Context, r ports.Repositories) error {
			return r.Decisions().Approve(ctx, s, "print")
		},
		"Outbox.Append": func(ctx context.Context, r ports.Repositories) error {
			return r.Outbox().Append(ctx, w.newEvent("appended"))
		},
		"Outbox.Read": func(ctx context.Context, r ports.Repositories) error {
			_, _, err := r.Outbox().Read(ctx, ports.Cursor{}, w.at, time.Minute, 10)
			return err
		},
		"Outbox.End": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Outbox().End(ctx))
		},
		"Outbox.Trim": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Outbox().Trim(ctx, w.at, 10))
		},
		"Leases.Acquire": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Leases().Acquire(ctx, "shard-9", "somebody", time.Minute))
		},
		"Leases.Check": func(ctx context.Context, r ports.Repositories) error {
			return r.Leases().Check(ctx, ports.Lease{Name: "shard-9", Holder: "somebody", Epoch: 1})
		},
		"Leases.Release": func(ctx context.Context, r ports.Repositories) error {
			return r.Leases().Release(ctx, "shard-9", "somebody")
		},
		"Leases.List": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Leases().List(ctx, "shard-"))
		},
	}
}
