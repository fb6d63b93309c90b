package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/api/openapi"
	"github.com/colliery-io/brokkr/internal/accesstest"
	"github.com/colliery-io/brokkr/pkg/adapters/cel/healthrule"
	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/observed"
	"github.com/colliery-io/brokkr/pkg/adapters/outbound"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

const manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n"

// contract is the OpenAPI document, ready to check against.
type contract struct {
	doc    *openapi3.T
	router routers.Router
}

func loadContract(t *testing.T) contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML())
	if err != nil {
		t.Fatalf("load the OpenAPI document: %v", err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the OpenAPI document is not valid: %v", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatalf("route the OpenAPI document: %v", err)
	}
	return contract{doc: doc, router: router}
}

// world is an api on a memory store with two tenants, each with an agent: those of the owner and those of the other.
type world struct {
	t       *testing.T
	store   ports.Store
	handler http.Handler
	tel     *telemetry.Telemetry
	api     contract
	keys    map[string]string // credential name -> PAK
	reload  config.Outcome    // of the configuration

	owner, other           tenancy.Generator
	agent, otherAgent      agent.Agent
	stack, held, unpinned  stack.Stack // held: its decision waits; unpinned: not a target yet
	object                 stack.Object
	template               template.Template // the owner's, for stacks with its labels
	policyID               policy.ID         // of the owner's, once it is stored
	rolloutID              rollout.ID        // of the stack's, once it is stored
	pendingAgent, newAgent agent.Agent       // one that waits for the owner's approval, one without any registration
}

// The credentials of a world.
const (
	asAdmin      = accesstest.Admin
	asOperator   = accesstest.Operator
	asViewer     = accesstest.Viewer
	asOwner      = accesstest.GeneratorOwner
	asOther      = accesstest.GeneratorOther
	asSelf       = accesstest.AgentSelf
	asOtherAgent = accesstest.AgentOther
	asNobody     = accesstest.None
	asGarbage    = accesstest.Garbage
	asExpired    = accesstest.Expired
	asRevoked    = accesstest.Revoked
)

func newWorld(t *testing.T, c contract) *world {
	t.Helper()
	return newWorldOf(t, c, api.Config{}, memory.New(time.Now))
}

// newWorldOf is newWorld with a configuration and a store of one's own; the api hears that store's wakeups.
func newWorldOf(t *testing.T, c contract, conf api.Config, store interface {
	ports.Store
	ports.Wakeups
}) *world {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{Service: "api-test", Output: io.Discard})
	must(t, err)
	w := &world{t: t, store: store, tel: tel, api: c, policyID: policy.ID(uuid.NewString()), rolloutID: rollout.ID(uuid.NewString()), keys: map[string]string{asGarbage: "not-a-key"}}
	svc, err := api.New(t.Context(), conf, api.Deps{
		Store: observed.Store(store, tel.Tracer("store"), tel.Registry), Telemetry: tel, Clock: time.Now, Version: "1.2.3",
		Verifier: identity.NewVerifier(store.Credentials(), store, time.Now), Wakeups: store,
		Sender: outbound.ToTheWorld([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}),
		Reload: func(context.Context) config.Outcome { return w.reload }, HealthRules: healthrule.New().Check,
	})
	must(t, err)
	w.handler = svc.Handler()
	w.populate()
	return w
}

// handlerOf returns another replica, on store.
func (w *world) handlerOf(store interface {
	ports.Store
	ports.Wakeups
}, changes ...func(*api.Deps)) http.Handler {
	w.t.Helper()
	return w.handlerWith(api.Config{}, store, changes...)
}

// handlerWith is handlerOf with a configuration of one's own.
func (w *world) handlerWith(conf api.Config, store interface {
	ports.Store
	ports.Wakeups
}, changes ...func(*api.Deps)) http.Handler {
	w.t.Helper()
	tel, err := telemetry.New(w.t.Context(), telemetry.Config{Service: "api-test", Output: io.Discard})
	must(w.t, err)
	deps := api.Deps{
		Store: store, Telemetry: tel, Clock: time.Now, Version: "1.2.3",
		Verifier: identity.NewVerifier(store.Credentials(), store, time.Now), Wakeups: store,
		Sender: outbound.ToTheWorld([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}),
		Reload: func(context.Context) config.Outcome { return w.reload },
	}
	for _, change := range changes {
		change(&deps)
	}
	svc, err := api.New(w.t.Context(), conf, deps)
	must(w.t, err)
	return svc.Handler()
}

func (w *world) populate() {
	t, ctx := w.t, w.t.Context()
	key, err := api.EnsureAdmin(ctx, w.store, time.Now, rand.Reader, "")
	must(t, err)
	w.keys[asAdmin] = key.Reveal()
	w.owner = w.generator("owner", asOwner)
	w.other = w.generator("other", asOther)
	w.agent = w.newAgentOf("a1", asSelf, w.owner)
	w.otherAgent = w.newAgentOf("a2", asOtherAgent, w.other)
	w.pendingAgent = w.newAgentOf("a3", "pending agent")
	w.newAgent = w.newAgentOf("a4", "new agent")
	must(t, w.store.Registrations().Insert(ctx, tenancy.Registration{ID: tenancy.RegistrationID(uuid.NewString()),
		Agent: w.pendingAgent.ID, Generator: w.owner.ID, State: tenancy.RegistrationPending, RegisteredAt: time.Now()}))
	w.stack = w.newStack("web")
	w.held = w.newStack("held")
	w.unpinned = w.newStack("unpinned")
	w.object = w.publish(w.stack)
	w.publish(w.held)
	w.decide(w.stack, nil, w.agent)
	w.decide(w.held, nil, w.agent)
	w.decide(w.held, &placement.Hold{Since: time.Now(), Reason: "too many removals", Removes: []agent.ID{w.agent.ID}, Of: 1, Fingerprint: "f1"})
	w.staff(asOperator, tenancy.RoleOperator)
	w.staff(asViewer, tenancy.RoleViewer)
	w.template = w.newTemplate(&w.owner.ID, "web", nameTemplate)
	must(t, w.store.Templates().AddLabel(ctx, template.Label{ID: template.LabelID(uuid.NewString()), Template: w.template.ID, Label: "tier/web", CreatedAt: time.Now()}))
	must(t, w.store.Templates().AddAnnotation(ctx, template.Annotation{ID: template.AnnotationID(uuid.NewString()), Template: w.template.ID, Key: "team", Value: "x", CreatedAt: time.Now()}))
	w.spent(asExpired, func(c *tenancy.Credential, past time.Time) { c.ExpiresAt = &past })
	w.spent(asRevoked, func(c *tenancy.Credential, past time.Time) { c.RevokedAt = &past })
}

// newTemplate stores a template; without an owner it is the platform's.
func (w *world) newTemplate(owner *tenancy.GeneratorID, name, content string) template.Template {
	w.t.Helper()
	out, err := w.store.Templates().Insert(w.t.Context(), template.Template{ID: template.ID(uuid.NewString()), Generator: owner, Name: name,
		Content: content, Schema: nameSchema, Checksum: stack.Checksum(strings.Repeat("0", 64)), CreatedAt: time.Now(), UpdatedAt: time.Now()})
	must(w.t, err)
	return out
}

const (
	nameTemplate = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ name }}\n"
	nameSchema   = `{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}`
)

func (w *world) generator(name, as string) tenancy.Generator {
	w.t.Helper()
	g, key, err := api.CreateGenerator(w.t.Context(), w.store, time.Now, rand.Reader, api.NewGenerator{Name: name})
	must(w.t, err)
	w.keys[as] = key.Reveal()
	return g
}

func (w *world) newAgentOf(name, as string, of ...tenancy.Generator) agent.Agent {
	w.t.Helper()
	n := api.NewAgent{Name: name, ClusterName: "c-" + name, Labels: []string{"prod"}, Annotations: map[string]string{"region": "eu"}}
	for _, g := range of {
		n.Generators, n.Status = append(n.Generators, string(g.ID)), string(agent.Active)
	}
	v, key, err := api.CreateAgent(w.t.Context(), w.store, time.Now, rand.Reader, n)
	must(w.t, err)
	w.keys[as] = key.Reveal()
	return v
}

func (w *world) newStack(name string) stack.Stack {
	w.t.Helper()
	s, err := api.CreateStack(w.t.Context(), w.store, time.Now, api.NewStack{Name: name, Generator: "owner"})
	must(w.t, err)
	ctx := w.t.Context()
	must(w.t, w.store.Stacks().AddLabel(ctx, stack.Label{ID: stack.LabelID(uuid.NewString()), Stack: s.ID, Label: "tier/web"}))
	must(w.t, w.store.Stacks().AddAnnotation(ctx, stack.Annotation{ID: stack.AnnotationID(uuid.NewString()), Stack: s.ID, Key: "team", Value: "x"}))
	if name == "web" {
		must(w.t, w.store.Agents().AddTarget(ctx, agent.Target{ID: agent.TargetID(uuid.NewString()), Agent: w.agent.ID, Stack: s.ID}))
	}
	return s
}

func (w *world) publish(s stack.Stack) stack.Object {
	w.t.Helper()
	sum, err := w.store.Blobs().Put(w.t.Context(), []byte(manifest))
	must(w.t, err)
	o, err := w.store.Objects().Insert(w.t.Context(), stack.Object{ID: stack.ObjectID(uuid.NewString()), Stack: s.ID, Checksum: sum,
		Size: int64(len(manifest)), SubmittedAt: time.Now(), CreatedAt: time.Now(), UpdatedAt: time.Now()})
	must(w.t, err)
	return o
}

// decide commits, as the scheduler would, that the agents get the newest object of s.
func (w *world) decide(s stack.Stack, hold *placement.Hold, to ...agent.Agent) {
	w.t.Helper()
	w.commit(s, hold, delivery.Assigned, to...)
}

func (w *world) commit(s stack.Stack, hold *placement.Hold, state delivery.State, to ...agent.Agent) {
	t, ctx := w.t, w.t.Context()
	t.Helper()
	lease, err := w.store.Leases().Acquire(ctx, "shard", "test", time.Minute)
	must(t, err)
	subs, err := w.store.Facts().Subjects(ctx, []stack.ID{s.ID})
	must(t, err)
	sub := subs[0]
	co := ports.Commit{Lease: lease, Stack: s.ID, StackVersion: sub.Version, Generation: sub.Generation, Policy: sub.Policy, Hold: hold}
	co.Record = placement.Record{Stack: s.ID, Cause: "deployment.created", At: time.Now(), Object: sub.Newest.ID,
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	for _, v := range to {
		now, err := w.store.Agents().Get(ctx, tenancy.Everything(), v.ID)
		must(t, err)
		co.Changes = append(co.Changes, placement.Change{Agent: v.ID, State: state, Object: sub.Newest.ID, Reason: "target", Version: now.Version})
	}
	for _, v := range []agent.Agent{w.agent, w.otherAgent} {
		co.Record.Decision.Verdicts = append(co.Record.Decision.Verdicts, placement.Verdict{Agent: v.ID, Cluster: v.ClusterName, Picked: v.ID == w.agent.ID,
			Reasons: []placement.Reason{{Rule: placement.RuleTarget, Message: "because"}}})
	}
	co.Record.Decision.Changes, co.Record.Decision.Hold = co.Changes, hold
	_, err = w.store.Decisions().Commit(ctx, co)
	must(t, err)
}

// spent stores an admin credential that is not usable any more.
func (w *world) spent(as string, mark func(*tenancy.Credential, time.Time)) {
	w.t.Helper()
	past := time.Now().Add(-time.Hour)
	c := tenancy.Credential{Name: as, Role: tenancy.RoleAdmin, CreatedAt: past}
	mark(&c, past)
	w.keep(c)
}

// staff stores a credential of the platform's own.
func (w *world) staff(as string, role tenancy.Role) {
	w.t.Helper()
	w.keep(tenancy.Credential{Name: as, Role: role, CreatedAt: time.Now()})
}

// keep gives c a key, which is that of the credential with c's name from now on.
func (w *world) keep(c tenancy.Credential) tenancy.Credential {
	w.t.Helper()
	key, err := pak.Generate(rand.Reader)
	must(w.t, err)
	c.ID, c.Short, c.Hash = tenancy.CredentialID(uuid.NewString()), key.Short(), key.Hash()
	must(w.t, w.store.Credentials().Insert(w.t.Context(), c))
	w.keys[c.Name] = key.Reveal()
	return c
}

// request is one call in the words of the contract: path below /api/v1.
type request struct {
	method, path string
	root         bool // the path is not below /api/v1
	body         string
	contentType  string // application/json if empty and there is a body
	header       map[string]string
}

// do calls the api as a credential of the world.
func (w *world) do(as string, q request) *httptest.ResponseRecorder {
	w.t.Helper()
	r := w.build(as, q)
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	if rec.Header().Get("X-Request-Id") == "" || !q.root && len(rec.Header().Get("Traceparent")) != 55 { // by which it is found
		w.t.Errorf("%s %s: answer %d has request id %q and traceparent %q", q.method, q.path, rec.Code, rec.Header().Get("X-Request-Id"), rec.Header().Get("Traceparent"))
	}
	return rec
}

func (w *world) build(as string, q request) *http.Request {
	path := "/api/v1" + q.path
	if q.root {
		path = q.path
	}
	r := httptest.NewRequestWithContext(w.t.Context(), q.method, path, strings.NewReader(q.body))
	if key := w.keys[as]; key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.contentType != "" {
		r.Header.Set("Content-Type", q.contentType)
	}
	for k, v := range maps.All(q.header) {
		r.Header.Set(k, v)
	}
	return r
}

// checked is do with request and answer held against the OpenAPI document.
func (w *world) checked(as string, q request) *httptest.ResponseRecorder {
	w.t.Helper()
	r := w.build(as, q)
	route, params, err := w.api.router.FindRoute(r)
	if err != nil {
		w.t.Fatalf("%s %s is not in the OpenAPI document: %v", q.method, q.path, err)
	}
	raw := strings.Contains(q.contentType, "yaml")
	in := &openapi3filter.RequestValidationInput{Request: r, Route: route, PathParams: params, Options: &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, ExcludeRequestBody: raw,
	}}
	if err := openapi3filter.ValidateRequest(w.t.Context(), in); err != nil {
		w.t.Errorf("%s %s: request does not keep the contract: %v", q.method, q.path, err)
	}
	rec := w.do(as, q)
	w.checkAnswer(in, rec)
	return rec
}

func (w *world) checkAnswer(in *openapi3filter.RequestValidationInput, rec *httptest.ResponseRecorder) {
	w.t.Helper()
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Options: &openapi3filter.Options{
		IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		ExcludeResponseBody: strings.Contains(rec.Header().Get("Content-Type"), "yaml"),
	}}
	out.SetBodyBytes(bytes.Clone(rec.Body.Bytes()))
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		w.t.Errorf("%s %s: answer %d does not keep the contract: %v\n%s", in.Request.Method, in.Request.URL.Path, rec.Code, err, rec.Body)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func decode[T any](t *testing.T, rec *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("answer %d is not JSON: %v\n%s", rec.Code, err, rec.Body)
	}
	return v
}

func code(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	if rec.Body.Len() == 0 {
		return ""
	}
	return decode[struct {
		Code string `json:"code"`
	}](t, rec).Code
}
