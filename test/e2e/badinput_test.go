package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

// What cannot be applied is refused where it is published, with the place of the mistake; nothing of it travels.
func TestBadBundlesAreRefused(t *testing.T) {
	w := world.New(t, programs, world.Options{NoAgents: true})
	g := w.Tenant
	app := world.App{Name: "app", Namespace: "somewhere", Text: "one", Replicas: 1}
	agent := w.NewWireAgent("one", world.All)
	s := g.NewStack(t, "app", world.All)
	o := g.Publish(t, s.ID, app.Bundle())
	agent.WaitHas(t, o)
	good := world.ConfigMap(app.Namespace, "good", "x") // four lines; the separator is the fifth
	for name, c := range map[string]struct {
		bundle         string
		document, line int
		says           string
	}{
		"syntax":      {good + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad\n", 2, 8, ""},
		"tab":         {good + "---\napiVersion: v1\n\tkind: ConfigMap\n", 2, 7, ""},
		"no kind":     {good + "---\napiVersion: v1\nmetadata: {name: bad}\n", 2, 6, "kind is missing"},
		"no name":     {good + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", 2, 8, "name"},
		"duplicate":   {good + "---\n" + good, 2, 6, "twice"},
		"no object":   {good + "---\njust text\n", 2, 6, ""},
		"nothing":     {"# only a comment\n", 0, 0, "no manifests"},
		"too deep":    {good + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: deep}\ndata: " + strings.Repeat("{a: ", 200) + "1" + strings.Repeat("}", 200) + "\n", 2, 9, "deep"},
		"alias bomb":  {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\nx: &a [1,1,1,1,1,1,1,1,1]\n" + bomb(12), 1, 0, ""},
		"two of one":  {"apiVersion: v1\nkind: ConfigMap\nkind: Secret\nmetadata: {name: bad}\n", 1, 3, ""},
		"bad version": {good + "---\napiVersion: a/b/c\nkind: ConfigMap\nmetadata: {name: bad}\n", 2, 6, "a/b/c"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := g.Do(t.Context(), http.MethodPost, "/stacks/"+s.ID+"/deployment-objects", world.YAML(c.bundle))
			if err != nil {
				t.Fatal(err)
			}
			p := a.Problem()
			if a.Status != http.StatusBadRequest || p.Code != "invalid_deployment_object" || !strings.Contains(p.Message, c.says) {
				t.Fatalf("got %d %s, want 400 invalid_deployment_object that says %q", a.Status, a.Body, c.says)
			}
			if c.document > 0 && fmt.Sprint(p.Details["document"]) != fmt.Sprint(c.document) {
				t.Errorf("got document %v, want %d: %s", p.Details["document"], c.document, p.Message)
			}
			if c.line > 0 && (fmt.Sprint(p.Details["line"]) != fmt.Sprint(c.line) || !strings.Contains(p.Message, fmt.Sprintf("line %d", c.line))) {
				t.Errorf("got line %v, want %d: %s", p.Details["line"], c.line, p.Message)
			}
		})
	}
	t.Run("too large", func(t *testing.T) {
		a, err := g.Do(t.Context(), http.MethodPost, "/stacks/"+s.ID+"/deployment-objects", world.YAML(good+"# "+strings.Repeat("x", 16<<20)+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if (a.Status != http.StatusBadRequest && a.Status != http.StatusRequestEntityTooLarge) || a.Problem().Message == "" {
			t.Errorf("got %d %s, want a refusal with its reason", a.Status, a.Body)
		}
	})
	all, err := g.Objects(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].ID != o.ID {
		t.Errorf("the stack has %d objects, want the first one alone", len(all))
	}
	agent.WaitHas(t, o)
}

// bomb is YAML whose aliases expand to nine to the power of levels.
func bomb(levels int) string {
	var b strings.Builder
	for i := range levels {
		at := string(rune('a' + i))
		fmt.Fprintf(&b, "x%d: &%s [%s]\n", i, string(rune('b'+i)), strings.TrimSuffix(strings.Repeat("*"+at+",", 9), ","))
	}
	return b.String()
}

// What the API server refuses is reported with the API server's reason, is retried, and holds up no other stack.
func TestRefusedByTheClusterIsReported(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	bad, fine := g.NewStack(t, "bad", world.All), g.NewStack(t, "fine", world.All)
	o := g.Publish(t, bad.ID, strings.Replace(w.App("bad", "x", 1).Bundle(), "selector: {matchLabels: {app: bad}}\n  template", "selector: {matchLabels: {app: other}}\n  template", 1))
	g.WaitHealthy(t, g.Publish(t, fine.ID, w.App("fine", "x", 1).Bundle()), w.Agents...)
	world.Eventually(t, world.Patience, "the refusal is reported", func() error {
		s, err := g.Status(t.Context(), bad.ID)
		if err != nil {
			return err
		}
		for _, a := range w.Agents {
			c, ok := s.Of(a.ID)
			if !ok || c.Phase != "failed" || c.Wanted.SequenceID != o.SequenceID || !strings.Contains(c.Message, "selector") {
				return fmt.Errorf("%v", c)
			}
		}
		return nil
	})
	// The whole bundle is tried before any of it is applied.
	for _, c := range w.Clusters {
		if err := c.Gone(world.ConfigMaps, "bad"); err != nil {
			t.Error(err)
		}
	}
	o = g.Publish(t, bad.ID, w.App("bad", "x", 1).Bundle())
	g.WaitHealthy(t, o, w.Agents...)
}

// Ids that nobody has are answered 404, malformed ones not with a failure of ours.
func TestUnknownIDs(t *testing.T) {
	w := world.New(t, programs, world.Options{NoAgents: true})
	id := uuid.NewString()
	agent, key := w.NewAgent(w.Unique("by-hand"))
	self := world.NewClient(w.Gateways[0].URL(), key)
	for _, c := range []struct {
		client       *world.Client
		method, path string
		body         any
		code         string
	}{
		{w.Admin, http.MethodGet, "/stacks/" + id, nil, "stack_not_found"},
		{w.Admin, http.MethodDelete, "/stacks/" + id, nil, "stack_not_found"},
		{w.Admin, http.MethodGet, "/stacks/" + id + "/status", nil, "stack_not_found"},
		{w.Admin, http.MethodPost, "/stacks/" + id + "/deployment-objects", world.YAML(world.ConfigMap("x", "x", "x")), "stack_not_found"},
		{w.Admin, http.MethodPost, "/stacks/" + id + "/labels", "env:prod", "stack_not_found"},
		{w.Admin, http.MethodGet, "/agents/" + id, nil, "agent_not_found"},
		{w.Admin, http.MethodDelete, "/agents/" + id, nil, "agent_not_found"},
		{w.Admin, http.MethodPost, "/agents/" + id + "/rotate-pak", nil, "agent_not_found"},
		{w.Admin, http.MethodGet, "/generators/" + id, nil, "generator_not_found"},
		{w.Admin, http.MethodGet, "/deployment-objects/" + id, nil, "deployment_object_not_found"},
		{w.Admin, http.MethodGet, "/nowhere", nil, "not_found"},
		{w.Tenant.Client, http.MethodGet, "/stacks/" + id, nil, "stack_not_found"},
		{self, http.MethodGet, "/manifests/" + strings.Repeat("0", 64), nil, "manifest_not_found"},
		{self, http.MethodPost, "/agents/" + agent + "/events", map[string]any{
			"agent_id": agent, "deployment_object_id": id, "event_type": "DEPLOY", "status": "SUCCESS"}, "deployment_object_not_found"},
	} {
		a, err := c.client.Do(t.Context(), c.method, c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != http.StatusNotFound || a.Problem().Code != c.code {
			t.Errorf("%s %s: got %d %s, want 404 %s", c.method, c.path, a.Status, a.Body, c.code)
		}
	}
	for _, path := range []string{"/stacks/no-uuid", "/agents/no-uuid", "/generators/no-uuid", "/deployment-objects/no-uuid"} {
		a, err := w.Admin.Do(t.Context(), http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != http.StatusBadRequest && a.Status != http.StatusNotFound {
			t.Errorf("GET %s: got %d %s, want 400 or 404", path, a.Status, a.Body)
		}
	}
	// A tenant hears of another's stack what it hears of one that does not exist.
	s := w.Tenant.NewStack(t, "mine")
	other := w.NewGenerator("other")
	a, err := other.Do(t.Context(), http.MethodGet, "/stacks/"+s.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != http.StatusNotFound || a.Problem().Code != "stack_not_found" {
		t.Errorf("another tenant's stack: got %d %s, want 404 stack_not_found", a.Status, a.Body)
	}
}
