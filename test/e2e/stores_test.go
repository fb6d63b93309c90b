package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/localpg"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

// Redis is emptied, hangs, and dies. Only speed suffers: changes and removals arrive all the same, and nothing else happens.
func TestRedisComesAndGoes(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	steady := w.App("steady", "one", 1)
	ss := g.NewStack(t, "steady", world.All)
	g.WaitHealthy(t, g.Publish(t, ss.ID, steady.Bundle()), w.Agents...)
	before := w.Clusters[0].Versions(ss.ID, world.ConfigMaps, world.Services)
	app := w.App("app", "", 1)
	s := g.NewStack(t, "app", world.All)
	changes := func(what string) {
		t.Helper()
		doomed := w.App("doomed-"+what, "x", 1)
		sd := g.NewStack(t, doomed.Name, world.All)
		g.WaitHealthy(t, g.Publish(t, sd.ID, doomed.Bundle()), w.Agents...)
		app.Text = what
		o := g.Publish(t, s.ID, app.Bundle())
		g.DeleteStack(t, sd.ID)
		t.Logf("redis %s: healthy after %s", what, g.WaitHealthy(t, o, w.Agents...))
		runs(t, w, app)
		for _, c := range w.Clusters {
			absent(t, c, doomed)
		}
		stays(t, w.Clusters[0], ss.ID, before)
	}
	changes("there")

	if err := w.FlushRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	stays(t, w.Clusters[0], ss.ID, before)
	changes("flushed")

	if err := w.Redis.Pause(); err != nil {
		t.Fatal(err)
	}
	changes("hanging")
	if err := w.Redis.Resume(); err != nil {
		t.Fatal(err)
	}
	changes("resumed")

	w.Redis.Kill()
	changes("dead")
	// A process that starts meanwhile does its work, too.
	for _, p := range []*world.Service{w.API, w.Gateways[0], w.Schedulers[0], w.Schedulers[1]} {
		p.Kill()
		p.Start()
	}
	changes("dead-from-the-start")
	if err := w.Redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	changes("back")
}

// Postgres is stopped and started again. Callers are told why nothing goes; the clusters stay as they are and drift is
// corrected; no process has to be restarted for all to go on.
func TestPostgresRestarted(t *testing.T) {
	db := newDatabase(t, localpg.Config{FsyncOff: true})
	w := world.New(t, programs, world.Options{Database: db.server.URL()})
	g := w.Tenant
	app := w.App("app", "one", 1)
	s := g.NewStack(t, "app", world.All)
	g.WaitHealthy(t, g.Publish(t, s.ID, app.Bundle()), w.Agents...)
	same := sameProcesses(t, w)

	p := publish(t.Context(), g, s.ID, func(n int) string { return w.App("app", fmt.Sprint(n), 1).Bundle() })
	p.await(t, 3)
	db.stop(t)
	world.Eventually(t, world.Patience, "readiness says why not", func() error {
		a, err := w.Admin.Do(t.Context(), http.MethodGet, "//readyz", nil)
		if err != nil {
			return err
		}
		if a.Status != http.StatusServiceUnavailable || !strings.Contains(string(a.Body), "database unavailable") {
			return fmt.Errorf("got %d %s", a.Status, a.Body)
		}
		return nil
	})
	// With a key that is remembered, so that the answer is about the stacks.
	a, err := w.Admin.Do(t.Context(), http.MethodGet, "/stacks", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("a list without a database: got %d, Retry-After %q, %s; want 503 and when to come back", a.Status, a.Header.Get("Retry-After"), a.Body)
	}
	for _, c := range w.Clusters {
		c.Delete(world.Services, app.Name)
	}
	for _, c := range w.Clusters {
		world.Eventually(t, world.Patience, "drift is corrected in "+c.Name, func() error {
			_, err := c.Get(world.Services, app.Name)
			return err
		})
	}
	db.start(t)
	acknowledged := p.finish(t)
	o := acknowledged[len(acknowledged)-1]
	t.Logf("healthy after %s", g.WaitHealthy(t, o, w.Agents...))
	runs(t, w, w.App("app", p.text, 1))
	wantAll(t, g, s.ID, acknowledged)
	g.DeleteStack(t, s.ID)
	for _, c := range w.Clusters {
		absent(t, c, app)
	}
	same()
}

// database is a PostgreSQL server that the test may stop and start at the same address.
type database struct {
	config localpg.Config
	server *localpg.Server
}

// newDatabase starts a server with these settings, in a folder of its own.
func newDatabase(t *testing.T, config localpg.Config) *database {
	t.Helper()
	dir, err := os.MkdirTemp("", "brokkr-e2e-pg-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the server may run as another user, who has to get through
		t.Fatal(err)
	}
	config.DataDir = dir + "/postgres"
	d := &database{config: config}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(d.server.Stop(ctx), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	d.start(t)
	return d
}

func (d *database) start(t *testing.T) {
	t.Helper()
	server, err := localpg.Start(t.Context(), d.config)
	if err != nil {
		t.Fatal(err)
	}
	if d.server != nil && server.URL() != d.server.URL() {
		t.Fatal("the database is at another address now")
	}
	d.server = server
}

func (d *database) stop(t *testing.T) {
	t.Helper()
	if err := d.server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
