package api

import (
	"context"
	"io"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/trail"
	"github.com/colliery-io/brokkr/pkg/turn"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

// What bootstrap commands say of new things; the same as over HTTP. Generators may be given by id or by name.
type (
	NewAgent     = app.NewAgent
	NewGenerator = app.NewGenerator
	NewStack     = app.NewStack
	Preset       = app.Preset
)

func useCases(store ports.Store, now func() time.Time, random io.Reader, bundleLimit int64, keep time.Duration) *app.App {
	d := Defaults()
	return &app.App{Store: trail.Store(store, now), Now: now, Random: random, Check: checkBundle(bundleLimit), Templates: templates{}, Policies: policies{cel: noCEL}, Rules: noRules, Connected: (&channels{}).since, Trace: telemetry.TraceParent, Keep: keep,
		Turns: app.Foresight(d.Plans, d.PlansEach, func(turn.Outcome) {})}
}

func direct(store ports.Store, now func() time.Time, random io.Reader) *app.App {
	return useCases(store, now, random, Defaults().Bundle, observation.Ceiling)
}

// admin is in whose name commands act that have the store itself.
func admin() tenancy.Principal { return tenancy.Principal{Role: tenancy.RoleAdmin} }

// EnsureAdmin makes a store ready for use: the builtin generators and an admin credential. The first start mints an
// admin PAK and returns it; every other start returns nil. A preset hash (64 hexadecimal digits: the SHA-256 of the
// PAK's long token) makes that key an admin's instead, and nothing is returned. It is safe in racing replicas.
func EnsureAdmin(ctx context.Context, store ports.Store, now func() time.Time, random io.Reader, presetHash string) (*pak.PAK, error) {
	return Prepare(ctx, store, now, random, Preset{PAKHash: presetHash})
}

// Prepare is EnsureAdmin with all that can be preset: a join token too, by which agents may join for a day. It is made with
// the first start on a database, and never again.
func Prepare(ctx context.Context, store ports.Store, now func() time.Time, random io.Reader, given Preset) (*pak.PAK, error) {
	return direct(store, now, random).EnsureAdmin(trail.Host(ctx, "ensure_admin"), given)
}

// CreateGenerator makes a generator and its PAK.
func CreateGenerator(ctx context.Context, store ports.Store, now func() time.Time, random io.Reader, n NewGenerator) (tenancy.Generator, pak.PAK, error) {
	return direct(store, now, random).CreateGenerator(trail.Host(ctx, "create_generator"), n)
}

// CreateAgent makes an agent and its PAK.
func CreateAgent(ctx context.Context, store ports.Store, now func() time.Time, random io.Reader, n NewAgent) (agent.Agent, pak.PAK, error) {
	return direct(store, now, random).CreateAgent(trail.Host(ctx, "create_agent"), n)
}

// CreateStack makes a stack of the named generator, or of the admin-generator.
func CreateStack(ctx context.Context, store ports.Store, now func() time.Time, n NewStack) (stack.Stack, error) {
	return direct(store, now, nil).CreateStack(trail.Host(ctx, "create_stack"), admin(), n)
}

// RotateAdmin makes a new admin PAK and revokes every other admin credential.
func RotateAdmin(ctx context.Context, store ports.Store, now func() time.Time, random io.Reader) (pak.PAK, error) {
	return direct(store, now, random).RotateAdmin(trail.Host(ctx, "rotate_admin"))
}

// RotateAgent gives an agent a new PAK and revokes the former.
func RotateAgent(ctx context.Context, store ports.Store, now func() time.Time, random io.Reader, id agent.ID) (agent.Agent, pak.PAK, error) {
	return direct(store, now, random).RotateAgent(trail.Host(ctx, "rotate_agent_pak"), admin(), id, 0)
}

// RotateGenerator gives a generator a new PAK and revokes the former.
func RotateGenerator(ctx context.Context, store ports.Store, now func() time.Time, random io.Reader, id tenancy.GeneratorID) (tenancy.Generator, pak.PAK, error) {
	return direct(store, now, random).RotateGenerator(trail.Host(ctx, "rotate_generator_pak"), admin(), id, 0)
}
