package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/colliery-io/brokkr/pkg/platform/localpg"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

// bystander is a stack that has nothing to do with what happens, and has to stay as it is.
type bystander struct {
	w      *world.World
	stack  string
	before []map[string]string
}

func newBystander(t *testing.T, w *world.World) bystander {
	t.Helper()
	app := w.App("steady", "one", 1)
	s := w.Tenant.NewStack(t, "steady", world.All)
	w.Tenant.WaitHealthy(t, w.Tenant.Publish(t, s.ID, app.Bundle()), w.Agents...)
	b := bystander{w: w, stack: s.ID}
	for _, c := range w.Clusters {
		b.before = append(b.before, c.Versions(s.ID, world.ConfigMaps, world.Services))
	}
	return b
}

func (b bystander) check(t *testing.T) {
	t.Helper()
	for i, c := range b.w.Clusters {
		stays(t, c, b.stack, b.before[i])
	}
}

// sameProcesses notes which processes run; the function that it returns fails the test if any is another one, or none.
func sameProcesses(t *testing.T, w *world.World) func() {
	pids := map[string]int{}
	for _, p := range w.Services() {
		pids[p.Name] = p.Proc().PID()
	}
	return func() {
		t.Helper()
		for _, p := range w.Services() {
			if p.Proc().PID() != pids[p.Name] {
				t.Errorf("%s is not the process that it was", p.Name)
			}
			select {
			case <-p.Proc().Done():
				t.Errorf("%s has ended", p.Name)
			default:
			}
		}
	}
}

// PostgreSQL is killed (kill -9) while a producer publishes: its main process alone, from which its others learn that it
// is over, and all of its processes in the middle of what they do. Whatever was acknowledged is there, also a removal;
// nothing else is removed; no process of ours has to be started again. The server writes as in production, since one that
// does not wait for its log loses acknowledged work with its memory. What this proves ends with the process: the system
// keeps what was written to it. That it is on the disk, when the machine goes, is PostgreSQL's promise (fsync), and not tried.
func TestPostgresKilled(t *testing.T) {
	db := newDatabase(t, localpg.Config{})
	w := world.New(t, programs, world.Options{Database: db.server.URL()})
	g := w.Tenant
	steady, same := newBystander(t, w), sameProcesses(t, w)
	s := g.NewStack(t, "app", world.All)
	p := publish(t.Context(), g, s.ID, func(n int) string { return w.App("app", fmt.Sprint(n), 1).Bundle() })
	for _, round := range []struct {
		name string
		all  bool
	}{{"main-process", false}, {"all-processes", true}} {
		doomed := w.App("doomed-"+round.name, "x", 1)
		sd := g.NewStack(t, doomed.Name, world.All)
		g.WaitHealthy(t, g.Publish(t, sd.ID, doomed.Bundle()), w.Agents...)
		p.await(t, len(p.seen)+5)
		g.DeleteStack(t, sd.ID)
		db.kill(t, round.all)
		db.start(t)
		p.await(t, len(p.seen)+5)
		for i, c := range w.Clusters {
			g.WaitUnassigned(t, sd.ID, w.Agents[i])
			absent(t, c, doomed)
		}
	}
	acknowledged := p.finish(t)
	t.Logf("%d revisions, the last one healthy after %s", len(acknowledged), g.WaitHealthy(t, acknowledged[len(acknowledged)-1], w.Agents...))
	runs(t, w, w.App("app", p.text, 1))
	wantAll(t, g, s.ID, acknowledged)
	steady.check(t)
	same()
}

// kill is kill -9 of the server's main process, or of all its processes, which are stopped from forking first.
func (d *database) kill(t *testing.T, all bool) {
	t.Helper()
	conn, err := sql.Open("postgres", d.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetMaxOpenConns(1)
	for setting, want := range map[string]string{"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"} {
		var got string
		if err := conn.QueryRowContext(t.Context(), "SHOW "+setting).Scan(&got); err != nil || got != want {
			t.Fatalf("%s is %q, %v, want %q: the server would lose acknowledged work", setting, got, err, want)
		}
	}
	text, err := os.ReadFile(d.config.DataDir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	main, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	victims := []int{main}
	if all {
		if err := syscall.Kill(main, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		rows, err := conn.QueryContext(t.Context(), "SELECT pid FROM pg_stat_activity")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var pid int
			if err := rows.Scan(&pid); err != nil {
				t.Fatal(err)
			}
			victims = append(victims, pid)
		}
		if err := rows.Err(); err != nil || len(victims) < 3 {
			t.Fatalf("processes of the server: %v, %v", victims, err)
		}
	}
	for _, pid := range victims {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !(all && err == syscall.ESRCH) { //nolint:errorlint // an errno is what it is
			t.Fatalf("kill process %d of the server: %v", pid, err)
		}
	}
	<-d.server.Done()
	d.stop(t)
}

// The control plane of one cluster is killed (kill -9) while a producer publishes: its API server with its controllers, then
// etcd as well. Its agent waits for it and goes on as the same process; the other cluster gets on meanwhile; nothing that was
// acknowledged is lost, nothing else is touched.
func TestControlPlaneKilled(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	steady, same := newBystander(t, w), sameProcesses(t, w)
	victim := w.Clusters[0]
	s := g.NewStack(t, "app", world.All)
	p := publish(t.Context(), g, s.ID, func(n int) string { return w.App("app", fmt.Sprint(n), 1).Bundle() })
	for _, round := range []struct {
		name string
		etcd bool
	}{{"api-server", false}, {"etcd-too", true}} {
		doomed := w.App("doomed-"+round.name, "x", 1)
		sd := g.NewStack(t, doomed.Name, world.All)
		g.WaitHealthy(t, g.Publish(t, sd.ID, doomed.Bundle()), w.Agents...)
		p.await(t, len(p.seen)+5)
		g.DeleteStack(t, sd.ID)
		victim.KillControlPlane(round.etcd)
		p.await(t, len(p.seen)+5)
		for _, c := range w.Clusters { // the end of etcd is felt by all
			world.Eventually(t, world.Patience, c.Name+" answers again", c.Answers)
		}
		p.await(t, len(p.seen)+5)
		for i, c := range w.Clusters {
			g.WaitUnassigned(t, sd.ID, w.Agents[i])
			absent(t, c, doomed)
		}
	}
	acknowledged := p.finish(t)
	t.Logf("%d revisions, the last one healthy after %s", len(acknowledged), g.WaitHealthy(t, acknowledged[len(acknowledged)-1], w.Agents...))
	runs(t, w, w.App("app", p.text, 1))
	wantAll(t, g, s.ID, acknowledged)
	steady.check(t)
	same()
}
