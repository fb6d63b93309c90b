package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

// An agent that is restarted, and one that looks at everything again, writes nothing if nothing has changed: counted
// before the API server, at the API server, and in the objects themselves.
func TestRestartAndResyncWriteNothing(t *testing.T) {
	const resync = time.Second
	w := world.New(t, programs, world.Options{AgentEnv: []string{"BROKKR__AGENT__RESYNC=" + resync.String()}})
	g := w.Tenant
	app := w.App("shop", "one", 2)
	s := g.NewStack(t, "shop", world.All)
	o := g.Publish(t, s.ID, app.Bundle())
	g.WaitHealthy(t, o, w.Agents...)
	settle(t, w, s.ID)

	for _, restart := range []string{"none", "SIGTERM", "kill -9"} {
		for _, a := range w.Agents {
			versions, writes := a.Cluster.Versions(s.ID, world.AppKinds()...), a.Cluster.ServerWrites(world.AppKinds()...)
			if len(versions) != len(world.AppKinds()) {
				t.Fatalf("%s has %v, want one of each kind", a.Cluster.Name, versions)
			}
			if writes == 0 {
				t.Fatalf("%s counts no write at all, though the application was applied: the count sees nothing", a.Cluster.Name)
			}
			a.Gate.Forget()
			switch restart {
			case "SIGTERM":
				a.Stop()
				a.Start()
			case "kill -9":
				a.Kill()
				a.Start()
			}
			// It has looked: at least three times at the Deployment, by a read or a dry run.
			world.Eventually(t, world.Patience, "agent looks at everything again", func() error {
				looks := 0
				for _, r := range a.Gate.Seen() {
					if strings.HasSuffix(r.Path, "/deployments/"+app.Name) && (r.Method == http.MethodGet || r.DryRun) {
						looks++
					}
				}
				if looks < 3 {
					return fmt.Errorf("it has looked %d times", looks)
				}
				return nil
			})
			if got := a.Gate.Writes(); len(got) > 0 {
				t.Errorf("restart %s: agent %s wrote %v", restart, a.Name, got)
			}
			if got := a.Cluster.ServerWrites(world.AppKinds()...); got != writes {
				t.Errorf("restart %s: %s counts %v writes, before %v", restart, a.Cluster.Name, got, writes)
			}
			if now := a.Cluster.Versions(s.ID, world.AppKinds()...); fmt.Sprint(now) != fmt.Sprint(versions) {
				t.Errorf("restart %s: got versions %v, before %v", restart, now, versions)
			}
			g.WaitHealthy(t, o, a)
		}
	}
}

// settle waits until the cluster's own controllers have written all that they have to say about a new application.
func settle(t *testing.T, w *world.World, stack string) {
	t.Helper()
	for _, c := range w.Clusters {
		last, since := "", time.Now()
		world.Eventually(t, world.Patience, c.Name+" settles", func() error {
			now := fmt.Sprint(c.Versions(stack, world.AppKinds()...))
			if now != last {
				last, since = now, time.Now()
			}
			if quiet := time.Since(since); quiet < 17*time.Second { // the autoscaler's controller comes by every 15 s
				return fmt.Errorf("quiet for %s", quiet)
			}
			return nil
		})
	}
}
