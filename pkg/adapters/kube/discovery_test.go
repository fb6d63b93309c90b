package kube

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

func discoverer(t *testing.T, cfg *rest.Config, accept string) discovery {
	t.Helper()
	c, err := newPlainClient(cfg, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	return discovery{client: c, accept: accept}
}

// TestOldAndNewDiscoveryAgree asks a real API server in both ways. Other tests define kinds meanwhile: those are left out.
func TestOldAndNewDiscoveryAgree(t *testing.T) {
	t.Parallel()
	cfg, err := Config(Access{Kubeconfig: testenv.Kubeconfigs(t, 1)[0]})
	if err != nil {
		t.Fatal(err)
	}
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newPlainClient(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(accept string) []offer {
		all, err := discovery{client: c, accept: accept}.discover(t.Context())
		if err != nil {
			t.Fatalf("discover: %v", err)
		}
		list := slices.DeleteFunc(all.list, func(o offer) bool { return strings.HasSuffix(o.mapping.Kind.Group, ".test") })
		for i := range list {
			slices.Sort(list[i].verbs)
		}
		slices.SortFunc(list, func(a, b offer) int { return strings.Compare(a.mapping.Resource.String(), b.mapping.Resource.String()) })
		return list
	}
	found, old := ask(aggregated), ask("application/json")
	if len(found) < 40 {
		t.Fatalf("discover: got %d resources, want all that Kubernetes has", len(found))
	}
	if diff := cmp.Diff(old, found, cmp.AllowUnexported(offer{})); diff != "" {
		t.Fatalf("the old way (-) and the new one (+):\n%s", diff)
	}
}

// said serves documents by path; what is not there is 404, and an empty one 503.
func said(t *testing.T, documents map[string]string) *rest.Config {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		doc, ok := documents[r.URL.Path]
		switch {
		case !ok:
			http.NotFound(w, r)
		case doc == "":
			http.Error(w, "away", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(doc))
		}
	}))
	t.Cleanup(s.Close)
	return &rest.Config{Host: s.URL}
}

func resources(all offers) []string {
	var out []string
	for _, o := range all.list {
		out = append(out, o.mapping.Resource.String())
	}
	slices.Sort(out)
	return out
}

func TestDiscoveryWithBrokenParts(t *testing.T) {
	t.Parallel()
	const none = `{"kind":"APIGroupDiscoveryList","items":[]}`
	for name, documents := range map[string]map[string]string{
		"aggregated": {"/api": none, "/apis": `{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2beta1","items":[
			{"metadata":{"name":"good"},"versions":[{"version":"v1","freshness":"Current","resources":[
				{"resource":"as","responseKind":{"group":"","version":"","kind":"A"},"scope":"Cluster","verbs":["list"]},
				{"resource":"statusonly","scope":"Cluster"}]}]},
			{"metadata":{"name":"bad"},"versions":[{"version":"v1","freshness":"Stale"}]}]}`},
		"groups": {
			"/api": `{"kind":"APIVersions","versions":[]}`,
			"/apis": `{"kind":"APIGroupList","groups":[
				{"name":"good","versions":[{"groupVersion":"good/v1","version":"v1"}],"preferredVersion":{"version":"v1"}},
				{"name":"went","versions":[{"groupVersion":"went/v1","version":"v1"}]},
				{"name":"bad","versions":[{"groupVersion":"bad/v1","version":"v1"}]}]}`,
			"/apis/good/v1": `{"kind":"APIResourceList","resources":[{"name":"as","kind":"A","verbs":["list"]},{"name":"as/status","kind":"A"}]}`,
			"/apis/bad/v1":  "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, err := discoverer(t, said(t, documents), aggregated).discover(t.Context())
			if err != nil {
				t.Fatalf("discover: %v", err)
			}
			if diff := cmp.Diff([]string{"good/v1, Resource=as"}, resources(all)); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]schema.GroupVersion{{Group: "bad", Version: "v1"}}, all.broken); diff != "" {
				t.Errorf("broken (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDiscoveryThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		documents map[string]string
		want      fault.Kind
	}{
		"away":       {map[string]string{"/api": ""}, fault.Unavailable},
		"half away":  {map[string]string{"/api": `{"kind":"APIVersions"}`, "/apis": ""}, fault.Unavailable},
		"no JSON":    {map[string]string{"/api": "<html>"}, fault.Internal},
		"other JSON": {map[string]string{"/api": `{"kind":"APIGroupDiscoveryList","items":{}}`}, fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := discoverer(t, said(t, c.documents), aggregated).discover(t.Context())
			if !fault.Is(err, c.want) {
				t.Fatalf("discover: got %v (%v), want %v", err, fault.KindOf(err), c.want)
			}
		})
	}
}
