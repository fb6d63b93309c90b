package kube_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

var (
	serviceAccounts = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	roles           = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}
	roleBindings    = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}
)

// rule is one of a Role's.
func rule(group, resource string, verbs ...any) map[string]any {
	return map[string]any{"apiGroups": []any{group}, "resources": []any{resource}, "verbs": verbs}
}

func (w *world) create(r schema.GroupVersionResource, u *unstructured.Unstructured, sub ...string) *unstructured.Unstructured {
	w.Helper()
	got, err := w.admin.Resource(r).Namespace(w.namespace).Create(w.Context(), u, metav1.CreateOptions{}, sub...)
	if err != nil {
		w.Fatalf("create %s %s: %v", r.Resource, u.GetName(), err)
	}
	return got
}

// grant gives a service account rights in the world's namespace.
func (w *world) grant(name string, rules ...any) {
	w.Helper()
	role := name + "-" + uuid.NewString()[:8]
	w.create(roles, w.object(roles.GroupVersion().WithKind("Role"), role, map[string]any{"rules": rules}))
	w.create(roleBindings, w.object(roles.GroupVersion().WithKind("RoleBinding"), role, map[string]any{
		"roleRef":  map[string]any{"apiGroup": roles.Group, "kind": "Role", "name": role},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": w.namespace, "name": name}},
	}))
}

// account makes a service account with rights in the world's namespace and returns a configuration with its token.
func (w *world) account(name string, rules []any) *rest.Config {
	w.Helper()
	w.create(serviceAccounts, w.object(serviceAccounts.GroupVersion().WithKind("ServiceAccount"), name, nil))
	if len(rules) > 0 {
		w.grant(name, rules...)
	}
	request := object(schema.GroupVersionKind{Group: "authentication.k8s.io", Version: "v1", Kind: "TokenRequest"}, w.namespace, name,
		map[string]any{"spec": map[string]any{"expirationSeconds": int64(3600)}})
	got := w.create(serviceAccounts, request, "token")
	token, _, err := unstructured.NestedString(got.Object, "status", "token")
	if err != nil || token == "" {
		w.Fatalf("token of %s: got none, %v", name, err)
	}
	cfg := rest.AnonymousClientConfig(w.config)
	cfg.BearerToken = token
	return cfg
}

func TestServiceAccountsAreImpersonated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.account("deployer", []any{rule("", "configmaps", "get", "create", "patch", "delete")})
	as := cluster.Identity(w.namespace + "/deployer")
	// The agent has no right but to be this service account of this namespace.
	narrow := w.cluster(w.account("agent", []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"serviceaccounts"},
		"resourceNames": []any{"deployer"}, "verbs": []any{"impersonate"}}}), kube.Options{})
	u := w.labelled("a", "s", "one")
	m := w.mapping(configMap)
	for _, dry := range []bool{true, false} {
		if _, err := narrow.Apply(t.Context(), as, m, u, dry); err != nil {
			t.Fatalf("apply: %v", err)
		}
	}
	target := cluster.Target{Mapping: m, Namespace: w.namespace, Name: "a"}
	live, err := narrow.Get(t.Context(), as, target)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if got := live.GetManagedFields(); len(got) != 1 || got[0].Manager != cluster.FieldManager {
		t.Errorf("managed fields: got %v, want those of %s: the agent works, whoever it works as", got, cluster.FieldManager)
	}
	if err := narrow.Release(t.Context(), as, target); err != nil {
		t.Fatalf("release: %v", err)
	}
	if err := narrow.Delete(t.Context(), as, target); err != nil {
		t.Fatalf("delete: %v", err)
	}

	hidden := w.object(secret, "a", nil)
	elsewhere := w.labelled("a", "s", "one")
	elsewhere.SetNamespace("default")
	for act, try := range map[string]func(as cluster.Identity) error{
		"apply of a kind without rights": func(as cluster.Identity) error {
			_, err := w.c.Apply(t.Context(), as, w.mapping(secret), hidden, false)
			return err
		},
		"apply in another namespace": func(as cluster.Identity) error {
			_, err := w.c.Apply(t.Context(), as, m, elsewhere, true)
			return err
		},
		"strangers": func(as cluster.Identity) error {
			_, err := w.c.Strangers(t.Context(), as, w.namespace, nil, 1)
			return err
		},
		"instances": func(as cluster.Identity) error {
			_, err := w.c.Instances(t.Context(), as, m, nil, 1)
			return err
		},
	} {
		if err := try(as); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s as the service account: got %v, want Forbidden", act, err)
		} else if act == "apply in another namespace" && !strings.Contains(err.Error(), "system:serviceaccount:"+w.namespace+":deployer") {
			t.Errorf("%s: got %q, want that it names the service account", act, err)
		}
		if err := try(""); err != nil {
			t.Errorf("%s as the agent itself: %v", act, err)
		}
	}
}

// TestImpersonationNeedsARight has an agent that may not act as others.
func TestImpersonationNeedsARight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.cluster(w.account("agent", []any{rule("", "configmaps", "*")}), kube.Options{})
	_, err := c.Apply(t.Context(), cluster.Identity(w.namespace+"/other"), w.mapping(configMap), w.labelled("a", "s", "one"), false)
	if !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "impersonate") {
		t.Fatalf("apply: got %v, want Forbidden that says that it may not impersonate", err)
	}
}

// TestServiceAccountsShareConnections uses a configuration that client-go cannot compare, as one with a proxy is.
func TestServiceAccountsShareConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, cfg := newProxy(t, w.config)
	cfg.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // no proxy, and no error
	c := w.cluster(cfg, kube.Options{})
	m := w.mapping(configMap)
	w.apply(w.labelled("a", "s", "one"))
	for range 3 {
		for i := range 300 { // more than are kept
			as := cluster.Identity(w.namespace + "/account-" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
			if _, err := c.Get(t.Context(), as, cluster.Target{Mapping: m, Namespace: w.namespace, Name: "a"}); !fault.Is(err, fault.Forbidden) {
				t.Fatalf("get as %s: got %v, want Forbidden", as, err)
			}
		}
	}
	if _, err := c.Instances(t.Context(), "", m, nil, 1); err != nil {
		t.Fatal(err)
	}
	if n := p.connections(); n > 2 {
		t.Errorf("connections: got %d, want that all identities share one", n)
	}
}

// recorder remembers the paths that are asked for.
type recorder struct {
	mu    sync.Mutex
	paths []string
}

func (r *recorder) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		r.mu.Lock()
		r.paths = append(r.paths, req.URL.Path)
		r.mu.Unlock()
		return next.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestConfinedToANamespace works with a service account that has rights in one namespace only: any other request would
// be refused.
func TestConfinedToANamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.account("agent", []any{rule("*", "*", "*")})
	var asked recorder
	cfg.Wrap(asked.wrap)
	c := w.cluster(cfg, kube.Options{Only: true})
	ctx, x := t.Context(), newTold()
	ok := func(act string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", act, err)
		}
	}
	_, err := c.Probe(ctx)
	ok("probe", err)
	ok("ensure namespace", c.EnsureNamespace(ctx))
	m, err := c.Mapping(ctx, configMap)
	ok("mapping", err)
	everywhere, err := c.Mapping(ctx, namespace)
	ok("mapping", err)
	watches, _ := watching(ctx, c.Watches(x.notify))
	watches.Use(x.stack, []cluster.Mapping{m, everywhere})
	u := w.labelled("a", x.stack, "one")
	live, err := c.Apply(ctx, "", m, u, false)
	ok("apply", err)
	x.want(t, live)
	target := cluster.Target{Mapping: m, Namespace: w.namespace, Name: "a"}
	_, err = c.Get(ctx, "", target)
	ok("get", err)
	_, err = c.Instances(ctx, "", m, nil, 10)
	ok("instances", err)
	_, err = c.Pods(ctx, w.namespace, "app")
	ok("pods", err)
	found, err := c.Strangers(ctx, "", w.namespace, nil, 100)
	ok("strangers", err)
	if len(found) == 0 {
		t.Error("strangers: got none, want the account and its role")
	}
	ok("release", c.Release(ctx, "", target))
	ok("delete", c.Delete(ctx, "", target))
	inv := cluster.Inventory{Stack: x.stack}
	inv.Version, err = c.Inventories().Save(ctx, inv)
	ok("save", err)
	_, err = c.Inventories().Load(ctx, x.stack)
	ok("load", err)
	ok("delete inventory", c.Inventories().Delete(ctx, x.stack, ""))
	w.wantLease(c)

	elsewhere := cluster.Target{Mapping: m, Namespace: "default", Name: "a"}
	whole := cluster.Target{Mapping: everywhere, Name: w.namespace}
	for act, try := range map[string]func() error{
		"get elsewhere":   func() error { _, err := c.Get(ctx, "", elsewhere); return err },
		"get a namespace": func() error { _, err := c.Get(ctx, "", whole); return err },
		"apply a namespace": func() error {
			_, err := c.Apply(ctx, "", everywhere, object(namespace, "", "a", nil), true)
			return err
		},
		"apply elsewhere":     func() error { _, err := c.Apply(ctx, "", m, object(configMap, "default", "a", nil), true); return err },
		"delete elsewhere":    func() error { return c.Delete(ctx, "", elsewhere) },
		"delete a namespace":  func() error { return c.Delete(ctx, "", whole) },
		"release elsewhere":   func() error { return c.Release(ctx, "", elsewhere) },
		"strangers elsewhere": func() error { _, err := c.Strangers(ctx, "", "default", nil, 1); return err },
		"instances elsewhere": func() error { _, err := c.Instances(ctx, "", everywhere, nil, 1); return err },
		"pods elsewhere":      func() error { _, err := c.Pods(ctx, "default", "app"); return err },
	} {
		if err := try(); !fault.Is(err, fault.Forbidden) || fault.CodeOf(err) != "outside_namespace" || !strings.Contains(err.Error(), w.namespace) {
			t.Errorf("%s: got %v, want outside_namespace", act, err)
		}
	}
	asked.mu.Lock()
	defer asked.mu.Unlock()
	for _, path := range asked.paths {
		if path != "/api" && path != "/apis" && path != "/version" && !strings.Contains(path+"/", "/namespaces/"+w.namespace+"/") {
			t.Errorf("a request left the namespace: %s", path)
		}
	}
}

func TestEnsureNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 2 { // it is there
		if err := w.c.EnsureNamespace(t.Context()); err != nil {
			t.Fatalf("ensure namespace: %v", err)
		}
	}
	cfg := w.account("agent", nil)
	if err := w.cluster(cfg, kube.Options{}).EnsureNamespace(t.Context()); err != nil {
		t.Fatalf("ensure namespace without the right to look: %v", err)
	}
	absent := "ensured-" + uuid.NewString()[:8]
	c, err := kube.New(w.config, kube.Options{Agent: w.agent, Namespace: absent})
	if err != nil {
		t.Fatal(err)
	}
	w.removeNamespace(absent)
	if err := c.EnsureNamespace(t.Context()); err != nil {
		t.Fatalf("ensure namespace that is absent: %v", err)
	}
	if _, err := w.c.Get(t.Context(), "", cluster.Target{Mapping: w.mapping(namespace), Name: absent}); err != nil {
		t.Fatalf("get: %v", err)
	}
}

// TestEnsureNamespaceThatMayNotBeMade has an agent that may look at namespaces and no more.
func TestEnsureNamespaceThatMayNotBeMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.account("agent", nil)
	name := "look-" + uuid.NewString()[:8]
	for _, u := range []*unstructured.Unstructured{
		object(roles.GroupVersion().WithKind("ClusterRole"), "", name, map[string]any{"rules": []any{rule("", "namespaces", "get")}}),
		object(roles.GroupVersion().WithKind("ClusterRoleBinding"), "", name, map[string]any{
			"roleRef":  map[string]any{"apiGroup": roles.Group, "kind": "ClusterRole", "name": name},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": w.namespace, "name": "agent"}},
		}),
	} {
		w.apply(u)
		target := cluster.Target{Mapping: w.mapping(u.GroupVersionKind()), Name: name}
		t.Cleanup(func() {
			if err := w.c.Delete(context.WithoutCancel(t.Context()), "", target); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
	}
	c, err := kube.New(cfg, kube.Options{Agent: w.agent, Namespace: "absent-" + name})
	if err != nil {
		t.Fatal(err)
	}
	absent := cluster.Target{Mapping: w.mapping(namespace), Name: "absent-" + name}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the right comes into force
		if _, err = c.Get(t.Context(), "", absent); fault.Is(err, fault.NotFound) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("get: %v, want NotFound", err)
		}
	}
	err = c.EnsureNamespace(t.Context())
	if !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "absent-"+name) || !strings.Contains(err.Error(), "BROKKR__AGENT__NAMESPACE") {
		t.Fatalf("ensure namespace: got %v, want Forbidden that says what to do", err)
	}
}
