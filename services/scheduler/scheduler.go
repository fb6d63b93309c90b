// Package scheduler is the face of the scheduler service: it decides which clusters run what and commits that as
// assignments. Any number of replicas share the work by leases.
package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/health"
	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/scheduler/internal/cycle"
	"github.com/colliery-io/brokkr/services/scheduler/internal/drain"
	"github.com/colliery-io/brokkr/services/scheduler/internal/janitor"
	"github.com/colliery-io/brokkr/services/scheduler/internal/orders"
	"github.com/colliery-io/brokkr/services/scheduler/internal/reach"
	"github.com/colliery-io/brokkr/services/scheduler/internal/sealer"
	"github.com/colliery-io/brokkr/services/scheduler/internal/shard"
)

// Config of the scheduler's behaviour.
type Config struct {
	Shards       int           `koanf:"shards"`            // shares into which stacks are divided; the same on all replicas
	LeaseTTL     time.Duration `koanf:"lease_ttl"`         // a dead replica's shards are taken over after this long
	Poll         time.Duration `koanf:"poll"`              // how often the outbox is read without a notification
	Resync       time.Duration `koanf:"resync"`            // how often everything is read and decided again
	BrakeShare   float64       `koanf:"brake_share"`       // largest share of a stack's clusters that one decision may remove it from
	BrakeAtLeast int           `koanf:"brake_at_least"`    // fewer removals are never held
	BrakeFleet   int           `koanf:"brake_fleet_floor"` // removals that every window admits, whatever the fleet's size
	BrakeWindow  time.Duration `koanf:"brake_window"`      // window of the fleet's brake
	KeepEvents   time.Duration `koanf:"keep_events"`       // outbox retention
	AuditSeal    time.Duration `koanf:"audit_seal"`        // how often new entries of the audit log are sealed
	KeepAudit    time.Duration `koanf:"keep_audit"`        // retention of the audit log, which drops whole months

	KeepDecisions time.Duration `koanf:"keep_decisions"` // retention of the records of decisions; the newest of each stack stays

	UnreachableAfter time.Duration `koanf:"unreachable_after"` // an agent that is not heard for longer is unreachable
	OutageShare      float64       `koanf:"outage_share"`      // more than this share falling silent at once is doubted
	OutageWait       time.Duration `koanf:"outage_wait"`       // for so long

	KeepAgentEvents     time.Duration `koanf:"keep_agent_events"`     // retention of what agents tell of deployments
	KeepDeletedStacks   time.Duration `koanf:"keep_deleted_stacks"`   // how long at least a deleted stack can be restored
	KeepCollectedStacks time.Duration `koanf:"keep_collected_stacks"` // how long what is left of one is kept after that
	KeepWorkOrders      time.Duration `koanf:"keep_work_orders"`      // retention of the work order log
	UnclaimedWorkOrders time.Duration `koanf:"unclaimed_work_orders"` // an order that no agent claims for this long fails
}

// Defaults returns the configuration that is used where nothing else is said.
func Defaults() Config {
	brake := placement.UsualBrake() // by which the api foretells, too
	return Config{Shards: 16, LeaseTTL: 6 * time.Second, Poll: 2 * time.Second, Resync: 5 * time.Minute,
		BrakeShare: brake.Share, BrakeAtLeast: brake.AtOne, BrakeFleet: brake.Fleet.Floor, BrakeWindow: brake.Fleet.Length, KeepEvents: 24 * time.Hour,
		UnreachableAfter: 90 * time.Second, OutageShare: 0.3, OutageWait: 2 * time.Minute,
		AuditSeal: time.Second, KeepAudit: 400 * 24 * time.Hour,
		KeepDecisions: 30 * 24 * time.Hour, KeepDeletedStacks: stack.RestorableFor, KeepCollectedStacks: 30 * 24 * time.Hour, KeepAgentEvents: 30 * 24 * time.Hour, KeepWorkOrders: 90 * 24 * time.Hour, UnclaimedWorkOrders: 7 * 24 * time.Hour}
}

// Validate reports every value that cannot work.
func (c Config) Validate() error {
	var p config.Problems
	p.Add(c.Shards < 1 || c.Shards > 1000, "scheduler.shards", "is %d, not between 1 and 1000", c.Shards)
	p.Add(c.LeaseTTL < time.Second, "scheduler.lease_ttl", "is %s, less than 1s", c.LeaseTTL)
	p.Add(c.Poll < 10*time.Millisecond, "scheduler.poll", "is %s, less than 10ms", c.Poll)
	p.Add(c.Resync < time.Second, "scheduler.resync", "is %s, less than 1s", c.Resync)
	p.Add(c.BrakeShare <= 0 || c.BrakeShare > 1, "scheduler.brake_share", "is %v, not above 0 and at most 1", c.BrakeShare)
	p.Add(c.BrakeAtLeast < 1, "scheduler.brake_at_least", "is %d, less than 1", c.BrakeAtLeast)
	p.Add(c.BrakeFleet < 1, "scheduler.brake_fleet_floor", "is %d, less than 1", c.BrakeFleet)
	p.Add(c.BrakeWindow < time.Second, "scheduler.brake_window", "is %s, less than 1s", c.BrakeWindow)
	p.Add(c.KeepEvents < time.Hour, "scheduler.keep_events", "is %s, less than 1h", c.KeepEvents)
	p.Add(c.AuditSeal < 100*time.Millisecond || c.AuditSeal > time.Hour, "scheduler.audit_seal", "is %s, not between 100ms and 1h", c.AuditSeal)
	p.Add(c.KeepAudit < 24*time.Hour, "scheduler.keep_audit", "is %s, less than 24h", c.KeepAudit)
	p.Add(c.KeepDecisions < time.Hour, "scheduler.keep_decisions", "is %s, less than 1h", c.KeepDecisions)
	p.Add(c.UnreachableAfter < leastSilence, "scheduler.unreachable_after", "is %s, less than %s: an agent that has nothing to do is heard every %d s", c.UnreachableAfter, leastSilence, wire.MaxWaitSeconds)
	p.Add(c.OutageShare <= 0 || c.OutageShare > 1, "scheduler.outage_share", "is %v, not above 0 and at most 1", c.OutageShare)
	p.Add(c.OutageWait < 0 || c.OutageWait > 24*time.Hour, "scheduler.outage_wait", "is %s, not between 0 and 24h", c.OutageWait)
	p.Add(c.KeepAgentEvents < time.Hour, "scheduler.keep_agent_events", "is %s, less than 1h", c.KeepAgentEvents)
	p.Add(c.KeepDeletedStacks < 0, "scheduler.keep_deleted_stacks", "is %s, less than 0", c.KeepDeletedStacks)
	p.Add(c.KeepCollectedStacks < 0, "scheduler.keep_collected_stacks", "is %s, less than 0", c.KeepCollectedStacks)
	p.Add(c.KeepWorkOrders < time.Hour, "scheduler.keep_work_orders", "is %s, less than 1h", c.KeepWorkOrders)
	p.Add(c.UnclaimedWorkOrders < time.Minute, "scheduler.unclaimed_work_orders", "is %s, less than 1m", c.UnclaimedWorkOrders)
	return p.Err()
}

// leastSilence is how long an agent that is well and has nothing to do may be silent: a parked sync, and what it takes to store a heartbeat.
const leastSilence = wire.MaxWaitSeconds*time.Second + 10*time.Second

// outageFloor is how many agents must fall silent at once to be an outage of something else.
const outageFloor = 3

// Deps are what the scheduler works with.
type Deps struct {
	Store     ports.Store
	Wakeups   ports.Wakeups
	Signals   ports.Signals
	Telemetry *telemetry.Telemetry
	Clock     func() time.Time
	Version   string
	Retention time.Duration // of events and logs; the longest if zero
	// CEL compiles the expressions of policies; nil: what a policy with one reaches is not decided.
	CEL func(expression string) (placement.Expr, error)

	NewID  func() string       // of the replica, rollouts and events, safe for concurrent use; random ones if nil
	Random func(n int64) int64 // below n, for what replicas are not to do at once; the process's if nil
}

// Service is a scheduler replica.
type Service struct {
	log    *slog.Logger
	engine *cycle.Engine
	keeper *shard.Keeper
	tidy   *janitor.Janitor
	seals  *sealer.Sealer
	orders *orders.Clock
	reach  *reach.Sweep
	drains *drain.Stepper
	health *health.Checker
}

// New builds a replica; nothing runs yet.
func New(_ context.Context, c Config, d Deps) (*Service, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("read the host's name: %w", err)
	}
	if d.NewID == nil {
		d.NewID = uuid.NewString
	}
	holder := host + "/" + d.NewID()
	log := d.Telemetry.Log.With("component", "scheduler", "replica", holder)
	keeper := shard.NewKeeper(d.Store.Leases(), holder, c.Shards, c.LeaseTTL, d.Clock, log)
	engine := cycle.New(d.Store, d.Wakeups, d.Signals, keeper, d.Clock, log, d.Telemetry.Tracer("scheduler"), cycle.NewMetrics(d.Telemetry.Registry), cycle.Options{
		Poll: c.Poll, Resync: c.Resync, Share: c.BrakeShare, AtOne: c.BrakeAtLeast, FleetFloor: c.BrakeFleet, Window: c.BrakeWindow, CEL: d.CEL, NewID: d.NewID, Random: d.Random,
	})
	d.Telemetry.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "brokkr_scheduler_shards_held", Help: "Shards that this replica holds.",
	}, func() float64 { return float64(keeper.Held()) }))
	sealed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "brokkr_audit_sealed_total", Help: "Entries of the audit log that this replica has sealed.",
	})
	d.Telemetry.Registry.MustRegister(sealed)
	return &Service{
		log: log, engine: engine, keeper: keeper,
		tidy: janitor.New(d.Store.Leases(), holder, d.Clock, log,
			janitor.Observations(d.Store.Observations(), cmp.Or(d.Retention, observation.Ceiling)),
			janitor.Outbox(d.Store.Outbox(), c.KeepEvents), janitor.Secrets(d.Store.Secrets()), janitor.Credentials(d.Store.Keyring()), janitor.JoinTokens(d.Store.JoinTokens()), janitor.Diagnostics(d.Store.Diagnostics()),
			janitor.Blobs(d.Store.Blobs()), janitor.Idempotency(d.Store.Idempotency()), janitor.Rollouts(d.Store.Rollouts()), janitor.Removals(d.Store.Removals(), c.BrakeWindow), janitor.Decisions(d.Store.History(), c.KeepDecisions),
			janitor.Audit(d.Store.AuditLog(), d.Store.AuditKeeper(), c.KeepAudit), janitor.WorkOrderLog(d.Store.WorkOrderLog(), c.KeepWorkOrders),
			janitor.DeletedStacks(d.Store.Stacks(), c.KeepDeletedStacks), janitor.AgentEvents(d.Store.Reports(), c.KeepAgentEvents),
			janitor.CollectedStacks(d.Store.Stacks(), c.KeepCollectedStacks)),
		seals: sealer.New(d.Store, holder, c.AuditSeal, func(n int) { sealed.Add(float64(n)) }, log),
		reach: reach.New(d.Store, holder, c.UnreachableAfter, cluster.Caution{Share: c.OutageShare, Floor: outageFloor, Wait: c.OutageWait}, d.Clock, log,
			reach.NewMetrics(d.Telemetry.Registry)),
		drains: drain.New(d.Store, holder, d.Clock, log, drain.NewMetrics(d.Telemetry.Registry)),
		orders: orders.New(d.Store, holder, c.UnclaimedWorkOrders, d.Clock, log),
		health: health.New(d.Version, log,
			health.Check{Name: "database", Required: true, Private: true, Reason: "database unavailable", Probe: d.Store.Ping},
			health.Check{Name: "leases", Probe: func(context.Context) error {
				if keeper.Held() == 0 {
					return fault.New(fault.Unavailable, "no_lease", "no shard is held: other replicas have them, or the database is away")
				}
				return nil
			}},
			health.Check{Name: "signals", Private: true, Reason: "gateways cannot be told of changes; they find them by asking the database every second",
				Probe: signalsProbe(d.Signals)}),
	}, nil
}

// signalsProbe sends what every gateway hears and none heeds: news of an agent that nobody is.
func signalsProbe(s ports.Signals) func(context.Context) error {
	nobody := agent.ID(uuid.NewString())
	return func(ctx context.Context) error { return s.Publish(ctx, []ports.Signal{{Agent: nobody}}) }
}

// Handler serves health.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health.Live)
	mux.HandleFunc("GET /readyz", s.health.Ready)
	mux.HandleFunc("GET /health", s.health.Detail)
	return mux
}

// Run schedules until ctx ends; then it finishes the decision in hand and gives up its leases.
func (s *Service) Run(ctx context.Context) error {
	g := lifecycle.Group{Log: s.log}
	g.Add("leases", s.keeper.Run)
	g.Add("janitor", s.tidy.Run)
	g.Add("audit sealer", s.seals.Run)
	g.Add("work orders", s.orders.Run)
	g.Add("reachability", s.reach.Run)
	g.Add("drains", s.drains.Run)
	g.Add("engine", s.engine.Run)
	if err := g.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("scheduler: %w", err)
	}
	return nil
}
