package wiring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/adapters/outbound"
	"github.com/colliery-io/brokkr/pkg/bundle"
	ident "github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/health"
	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/broker"
	"github.com/colliery-io/brokkr/services/agent/internal/courier"
	"github.com/colliery-io/brokkr/services/agent/internal/diagnose"
	"github.com/colliery-io/brokkr/services/agent/internal/heart"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
	"github.com/colliery-io/brokkr/services/agent/internal/reconcile"
	"github.com/colliery-io/brokkr/services/agent/internal/report"
	"github.com/colliery-io/brokkr/services/agent/internal/settings"
	"github.com/colliery-io/brokkr/services/agent/internal/survey"
	"github.com/colliery-io/brokkr/services/agent/internal/syncer"
	"github.com/colliery-io/brokkr/services/agent/internal/witness"
	"github.com/colliery-io/brokkr/services/agent/internal/work"
)

const (
	objectsNamespace = "default" // of objects that name none, as with kubectl
	namespaceRetry   = 2 * time.Second
)

// agent is the process once it runs; what needs its identity is built when the broker has told that.
type agent struct {
	settings  *settings.Settings
	version   string
	telemetry *telemetry.Telemetry
	peers     peers
	broker    *broker.Client
	heart     *heart.Heart
	office    office
	syncer    atomic.Pointer[syncer.Syncer]
	witness   atomic.Pointer[witness.Witness]
}

// heeding has the witness know, too, which stacks are the agent's.
type heeding struct {
	*reconcile.Engine
	witness *witness.Witness
}

// Desired implements syncer.Target.
func (h heeding) Desired(stacks []wire.Stack, removed []wire.Removed) {
	h.Engine.Desired(stacks, removed)
	here, gone := make([]string, 0, len(stacks)), make([]string, 0, len(removed))
	var told []string
	for i := range stacks {
		here = append(here, stacks[i].StackID)
		if stacks[i].StreamLogs {
			told = append(told, stacks[i].StackID)
		}
	}
	for i := range removed {
		gone = append(gone, removed[i].StackID)
	}
	h.witness.Assigned(here, told, gone)
}

func (a *agent) checks() *health.Checker {
	return health.New(a.version, a.telemetry.Log,
		health.Check{Name: "kubernetes", Required: true, Reason: "Kubernetes API unreachable", Probe: func(context.Context) error { return a.heart.Err() }},
		health.Check{Name: "broker", Probe: func(context.Context) error {
			if s := a.syncer.Load(); s != nil {
				return s.Err()
			}
			return errors.New("the broker has not answered yet")
		}},
		health.Check{Name: "lease", Probe: a.office.check},
		health.Check{Name: "telemetry", Probe: func(context.Context) error {
			if w := a.witness.Load(); w != nil {
				return w.Err()
			}
			return nil
		}},
	)
}

// run gets the agent's key, waits for the broker to say who this is, and then works until ctx ends. Whether the API server answers makes no
// difference to the conversation with the broker.
func (a *agent) run(ctx context.Context) error {
	log := a.telemetry.Log
	id, err := a.identify(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // being ended while waiting is no failure
	}
	if err != nil {
		return err
	}
	log = log.With("agent", string(id))
	boot := uuid.NewString()
	log.InfoContext(ctx, "the broker knows this agent", "broker", a.broker.URL(), "boot", boot)
	k, err := kube.New(a.peers.access, kube.Options{Agent: string(id), Namespace: a.settings.Agent.Namespace, Only: a.settings.Agent.Namespaced, Log: log})
	if err != nil {
		return err
	}
	compile := settings.Compiler()
	rules := a.settings.Rules(compile, func(int, string) {}) // Validate has refused others
	box := report.New()
	var engine *reconcile.Engine
	watches := k.Watches(func(c cluster.Change) { engine.Changed(c) })
	engine = reconcile.New(reconcile.Config{
		Agent: string(id), Namespace: a.settings.Agent.Namespace, Scope: a.scope(), Accounts: a.settings.Accounts(), Rules: rules, Compile: compile, Limits: bundle.DefaultLimits(), Resync: a.settings.Agent.Resync,
		Cluster: reconcile.Cluster{Kinds: k, Objects: k, Contents: k, Inventories: k.Inventories(), Watches: watches, Tenure: k},
		Content: a.broker, Reports: box, Metrics: reconcile.NewMetrics(a.telemetry.Registry), Tracer: a.telemetry.Tracer("agent"), Log: log,
	})
	a.heart.OnChange(func(reachable bool) {
		box.Ring() // the broker should know now, not when the parked sync ends
		if reachable {
			engine.Reachable()
		}
	})
	questions := diagnose.NewRunner(a.broker, id, diagnose.Collector{
		Kinds: k, Objects: k, Diagnosis: k, Inventories: k.Inventories(), Now: time.Now,
	}, log)
	runner := work.New(a.broker, id, work.Cluster{
		Agent: string(id), Home: a.settings.Agent.Namespace, Kinds: k, Objects: k, Makers: k, Contents: k, Inventories: k.Inventories(), Owned: k.Inventories(),
		Limits: bundle.DefaultLimits(), Scope: a.scope(), Rules: rules, Log: log,
	}, a.office.check, log)
	seen := a.watcher(k, id, boot, log)
	hooks := courier.New(a.broker, id, outbound.InsideACluster(a.settings.Networks()),
		a.telemetry.CountBy("agent", "brokkr_agent_webhooks_total", "Attempts to deliver webhooks, by how they ended.", "class", courier.Classes()...), log)
	look := survey.New(survey.Config{Cluster: k, Facts: a.settings.StatedFacts(), Every: a.settings.Agent.StatusEvery, Ring: box.Ring, Log: log})
	s := syncer.New(syncer.Config{
		Status: look,
		Waiting: func(p wire.Pending) {
			runner.Pending(p)
			if p.Webhooks > 0 {
				hooks.Ring()
			}
			if p.Diagnostics > 0 {
				questions.Ring()
			}
		},
		Broker: a.broker, Agent: id, Boot: boot, Box: box, Target: heeding{Engine: engine, witness: seen}, Heart: a.heart, Log: log,
		Count: a.telemetry.CountBy("agent", "brokkr_agent_syncs_total", "Syncs with the broker, by how they ended.", "outcome", outcomes()...),
	})
	a.syncer.Store(s)
	a.office.open(log)
	lease := k.Lease(boot, a.office.changed)

	// In the order of its end, backwards: the requests in hand are finished, their outcome is told, the next one may begin.
	g := lifecycle.Group{Log: log, Grace: workGrace}
	g.Add("lease", func(ctx context.Context) error {
		if err := ensureNamespace(ctx, k, log); err != nil {
			return err
		}
		return lease.Run(ctx)
	})
	g.Add("sync", func(ctx context.Context) error { return a.office.speak(ctx, s.Run) })
	g.Add("watches", watches.Run)
	g.Add("survey", func(ctx context.Context) error { return a.office.during(ctx, look.Run) })
	g.Add("events", func(ctx context.Context) error { return a.office.serve(ctx, seen.Run) })
	g.Add("work orders", func(ctx context.Context) error { return a.office.serve(ctx, runner.Run) })
	g.Add("webhooks", func(ctx context.Context) error { return a.office.during(ctx, hooks.Run) })
	g.Add("diagnostics", func(ctx context.Context) error { return a.office.during(ctx, questions.Run) })
	g.Add("engine", func(ctx context.Context) error { return a.office.serve(ctx, engine.Run) })
	return g.Run(ctx)
}

// watcher makes what tells the broker of the life of stacks.
func (a *agent) watcher(k *kube.Cluster, id ident.ID, boot string, log *slog.Logger) *witness.Witness {
	c := witness.Config{
		Events: k.KubeEvents(), Broker: a.broker, Agent: id, Boot: boot, Log: log,
		Count: a.telemetry.CountBy("agent", "brokkr_agent_events_total", "Kubernetes events of stacks, by what became of them.", "outcome", witness.Outcomes()...),
		CountLine: a.telemetry.CountBy("agent", "brokkr_agent_log_lines_total", "Lines of the logs of pods that opted in, by what became of them.",
			"outcome", witness.LineOutcomes()...),
	}
	if a.settings.Agent.PodLogs > 0 {
		c.Logs, c.Tails = k.PodLogs(), a.settings.Agent.PodLogs
	}
	w := witness.New(c)
	a.witness.Store(w)
	return w
}

func (a *agent) scope() plan.Scope {
	s := plan.Scope{Namespace: objectsNamespace, Home: a.settings.Agent.Namespace, Protected: a.settings.Protected(objectsNamespace)}
	if a.settings.Agent.PAK == "" {
		s.KeySecret = a.settings.Secret()
	}
	if a.settings.Agent.Namespaced {
		s.Namespace, s.Only = a.settings.Agent.Namespace, true
	}
	return s
}

func outcomes() []string {
	out := []string{"changed", "unchanged"}
	for _, k := range fault.Kinds() {
		out = append(out, k.String())
	}
	return out
}

// ensureNamespace makes the agent's namespace as soon as the API server answers. It fails if the agent may not.
func ensureNamespace(ctx context.Context, k *kube.Cluster, log *slog.Logger) error {
	for {
		err := k.EnsureNamespace(ctx)
		switch {
		case err == nil, ctx.Err() != nil:
			return nil //nolint:nilerr // being ended while waiting is no failure
		case fault.Is(err, fault.Forbidden):
			return fmt.Errorf("make the agent's namespace: %w", err)
		}
		log.DebugContext(ctx, "the agent's namespace is not there yet", "error", err.Error())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(namespaceRetry):
		}
	}
}
