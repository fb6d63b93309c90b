package reconcile_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/account"
)

const (
	heldService = "---\napiVersion: v1\nkind: Service\nmetadata: {name: held, finalizers: [example.com/hold]}\nspec: {ports: [{port: 80}]}\n"
	shortJob    = "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {ttlSecondsAfterFinished: 60, template: {spec: {restartPolicy: Never, containers: [{name: c, image: \"registry.example/c:1\"}]}}}\n"
	theJob      = "batch/v1/jobs/./once"
)

// What a revision drops goes as a whole stack does: what something needs that is still going, stays until that is gone.
func TestWhatARevisionDropsGoesRankByRank(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("stays", "x")+configMap("needed", "x")+heldService))
	dropping := w.stack(id, configMap("stays", "x"))
	w.apply(dropping)
	r := w.reports.await(t, id, func(a wire.Applied) bool { return strings.Contains(a.Message, "finalizers: example.com/hold") })
	if r.Phase != "applied" {
		t.Errorf("the revision is %s, want it applied", r.Phase)
	}
	needed := func() bool {
		u := w.get("v1/configmaps/./needed")
		return u != nil && u.GetDeletionTimestamp() == nil
	}
	if u := w.get("v1/services/./held"); u == nil || u.GetDeletionTimestamp() == nil || !needed() {
		t.Fatalf("the service is %v, and what comes before it there: %v; want it being deleted, and that there", u, needed())
	}
	w.restart() // what is left to do is not lost
	w.apply(dropping)
	if !needed() {
		t.Error("after a restart, what comes before it is gone")
	}
	w.patch("v1/services/./held", `{"metadata":{"finalizers":null}}`)
	w.eventually("the rest to go by itself", func() bool { return w.get("v1/configmaps/./needed") == nil })
	w.remove(id)
}

// A process that does not act for the agent any more takes nothing away: what it remembers is of before another took over.
func TestWithoutTheLeaseNothingIsTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "x")+configMap("dropped", "x")))
	w.tenure.lost.Store(true)
	said := func(a wire.Applied) bool {
		return strings.Contains(a.Message, "prune: another process acts for this agent")
	}
	w.engine.Desired([]wire.Stack{w.stack(id, configMap("it", "x"))}, nil)
	w.reports.await(t, id, said)
	w.seq++
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq}})
	w.reports.await(t, id, func(a wire.Applied) bool { return a.Phase == "removing" && said(a) })
	if w.get("v1/configmaps/./it") == nil || w.get("v1/configmaps/./dropped") == nil || w.get("v1/configmaps/./inventory."+id+"."+w.agent) == nil {
		t.Error("something is gone")
	}
	w.tenure.lost.Store(false)
	w.engine.Reachable()
	w.reports.awaitRemoved(t, id)
	if w.get("v1/configmaps/./it") != nil || w.get("v1/configmaps/./dropped") != nil {
		t.Error("something stays")
	}
}

// failing waits until a stack has failed that often.
func (w *world) failing(id string, attempts string) {
	w.t.Helper()
	w.reports.await(w.t, id, func(a wire.Applied) bool { return strings.Contains(a.Message, "(attempt "+attempts) })
}

// What cannot be taken away is no reason to take what is wanted for new work again and again.
func TestARevisionIsInForceAlsoWhileSomethingCannotBeTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.accounts = account.Rules{Allowed: []account.Allowed{{Namespace: w.namespace, Name: "agent"}}}
	})
	w.entitled([]any{map[string]any{"apiGroups": []any{"", "batch"}, "resources": []any{"configmaps", "jobs"}, "verbs": []any{"get", "list", "watch", "create", "patch"}}})
	id, p := uuid.NewString(), wire.Policy{ServiceAccount: w.namespace + "/agent", Drift: "report"}
	w.apply(w.stack(id, configMap("it", "ours")+configMap("old", "x"), p))
	s := w.stack(id, configMap("it", "ours")+shortJob, p)
	w.engine.Desired([]wire.Stack{s}, nil)
	w.reports.await(t, id, func(a wire.Applied) bool {
		return a.Phase == "failed" && strings.HasPrefix(a.Message, "prune: ConfigMap") && strings.Contains(a.Message, "delete")
	})
	w.drop(theJob) // as Kubernetes does when it has ended
	w.patch("v1/configmaps/./it", `{"data":{"key":"theirs"}}`)
	w.failing(id, "4")
	if w.get(theJob) != nil {
		t.Error("the job runs again")
	}
	if v := w.value("v1/configmaps/./it"); v != "theirs" {
		t.Errorf("the value is %q: drift that is to be reported was corrected", v)
	}
	p.Drift, p.Prune = "", "orphan"
	s.Policy, s.Revision = p, s.Revision+1
	w.engine.Desired([]wire.Stack{s}, nil)
	w.reports.await(t, id, isHealthy)
	if v := w.value("v1/configmaps/./it"); v != "ours" || w.get(theJob) != nil {
		t.Errorf("with another treatment the value is %q, the job there: %v", v, w.get(theJob) != nil)
	}
}

// A job that has run for a revision does not run again because something else of the revision cannot be applied.
func TestAJobThatHasRunDoesNotRunAgainWhileTheRestFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	w.apply(w.stack(id, configMap("it", "x")))
	cut := func(r *http.Request) bool {
		return r.Method == http.MethodPatch && r.URL.Query().Get("dryRun") == "" && strings.HasSuffix(r.URL.Path, "/deployments/web")
	}
	w.wire.fail.Store(&cut)
	w.engine.Desired([]wire.Stack{w.stack(id, configMap("it", "x")+application+shortJob)}, nil)
	w.failing(id, "1")
	if w.get(theJob) == nil {
		t.Fatal("the job was not made")
	}
	w.drop(theJob)
	w.failing(id, "4")
	if w.get(theJob) != nil {
		t.Error("the job runs again")
	}
	w.wire.fail.Store(nil)
	w.eventually("the rest", func() bool { return w.get("apps/v1/deployments/./web") != nil })
	w.apply(w.stack(id, configMap("it", "x")+shortJob)) // the next revision
	if w.get(theJob) == nil {
		t.Error("the job does not run for the next revision")
	}
	w.remove(id)
}
