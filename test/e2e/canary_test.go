package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

const canary = "canary-b7c1f2d09a"

// What a Secret holds reaches the clusters and its owner, and shows nowhere else: not at rest, not in the cache, not in logs (at
// debug), traces, metrics or in what an admin is answered; also where it cannot be applied, and where it is changed by hand.
func TestWhatASecretHoldsShowsNowhere(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	namespace := w.Clusters[0].Namespace
	secret := func(kind, data string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: %s}\ntype: %s\n%s", namespace, kind, data)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(canary))
	s := g.NewStack(t, "secretive", world.All)
	o := g.Publish(t, s.ID, secret("Opaque", "stringData: {password: "+canary+"}\ndata: {token: "+encoded+"}\n"))
	g.WaitHealthy(t, o, w.Agents...)

	secrets := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	holds := func(c *world.Cluster, key, want string) error {
		u, err := c.Get(secrets, "login")
		if err != nil {
			return err
		}
		data, _ := u.Object["data"].(map[string]any)
		if data[key] != want {
			return fmt.Errorf("%s of %s is not as published", key, c.Name)
		}
		return nil
	}
	for _, c := range w.Clusters {
		c.Patch(secrets, "login", `{"data":{"token":"`+base64.StdEncoding.EncodeToString([]byte(canary+" by hand"))+`"}}`)
		world.Eventually(t, world.Patience, "the change by hand is undone", func() error { return holds(c, "token", encoded) })
	}

	// A Secret's type cannot be changed, and this one is none of its type; the API server's refusal may speak of what it was given.
	bad := g.Publish(t, s.ID, secret("kubernetes.io/tls", "stringData: {tls.crt: "+canary+"}\n"))
	world.Eventually(t, world.Patience, "the refusal is reported", func() error {
		status, err := g.Status(t.Context(), s.ID)
		if err != nil {
			return err
		}
		for _, a := range w.Agents {
			if c, ok := status.Of(a.ID); !ok || c.Phase != "failed" {
				return fmt.Errorf("%s: %s", a.Name, c)
			}
		}
		return nil
	})
	if _, err := g.TryPublish(t.Context(), s.ID, secret("Opaque", "stringData: {password: "+canary+", password: "+canary+"}\n")); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("a bad bundle: %v, want a refusal that does not repeat the value", err)
	}

	if own := answer(t, g.Client, "/deployment-objects/"+bad.ID); !strings.Contains(own, canary) {
		t.Error("the owner does not see what it published")
	}
	seen := map[string]string{"traces": w.Traces.Raw(), "database": testenv.DumpPostgres(t, w.Database)}
	var err error
	if seen["redis"], err = w.Redis.Dump(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, svc := range w.Services() {
		seen["log of "+svc.Name] = svc.Logs()
		seen["metrics of "+svc.Name] = answer(t, w.Admin.At(svc.URL()), "//metrics")
		seen["health of "+svc.Name] = answer(t, w.Admin.At(svc.URL()), "//health")
	}
	for _, path := range []string{"/stacks/" + s.ID + "/deployment-objects", "/deployment-objects/" + o.ID, "/stacks/" + s.ID + "/status", "/stacks/" + s.ID + "/placement"} {
		seen[path] = answer(t, w.Admin, path)
	}
	for _, a := range w.Agents {
		for _, path := range []string{"/agents/" + a.ID + "/target-state", "/agents/" + a.ID + "/events"} {
			seen[path] = answer(t, w.Admin.At(w.Gateways[0].URL()), path)
		}
	}
	for place, text := range seen {
		if text == "" {
			t.Errorf("%s is empty: nothing was looked at", place)
		}
		for form, value := range map[string]string{"plain": canary, "base64": strings.TrimRight(encoded, "="), "hex": hex.EncodeToString([]byte(canary))} {
			if i := strings.Index(text, value); i >= 0 {
				t.Errorf("%s shows the Secret (%s): ...%s...", place, form, text[max(0, i-200):min(len(text), i+100)])
			}
		}
	}
}

func answer(t *testing.T, c *world.Client, path string) string {
	t.Helper()
	return string(c.Must(t, http.MethodGet, path, nil, http.StatusOK, nil).Body)
}
