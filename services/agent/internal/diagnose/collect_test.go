package diagnose_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/diagnose"
)

var now = time.Date(2026, 8, 2, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // constant

// fakeCluster is a cluster of one namespace, web.
type fakeCluster struct {
	cluster.Kinds
	cluster.Objects
	inventory cluster.Inventory
	secret    string
	running   cluster.Running
	events    []corev1.Event
	log       func(cluster.Tail) (string, error)
	refuse    error
	asked     []string // namespaces
}

func (f *fakeCluster) Mapping(_ context.Context, kind schema.GroupVersionKind) (cluster.Mapping, error) {
	return cluster.Mapping{Kind: kind, Namespaced: true}, nil
}

func (f *fakeCluster) Get(context.Context, cluster.Identity, cluster.Target) (*unstructured.Unstructured, error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	return &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"password": base64.StdEncoding.EncodeToString([]byte(f.secret))}}}, nil
}

// shelf has the one inventory.
type shelf struct {
	cluster.Inventories
	f *fakeCluster
}

func (s shelf) Load(context.Context, string) (cluster.Inventory, error) { return s.f.inventory, nil }

func (f *fakeCluster) Running(_ context.Context, namespace string, _ map[string]bool, _ int) (cluster.Running, error) {
	f.asked = append(f.asked, namespace)
	return f.running, f.refuse
}

func (f *fakeCluster) Happened(context.Context, string, map[string]bool, int) ([]corev1.Event, error) {
	return f.events, f.refuse
}

func (f *fakeCluster) LogTail(_ context.Context, t cluster.Tail) (string, error) { return f.log(t) }

func (f *fakeCluster) collector() diagnose.Collector {
	return diagnose.Collector{Kinds: f, Objects: f, Diagnosis: f, Inventories: shelf{f: f}, Now: func() time.Time { return now }}
}

func entry(kind, name string) cluster.Entry {
	return cluster.Entry{Key: cluster.Key{Kind: kind, Namespace: "web", Name: name}, Version: "v1", UID: "uid-" + name}
}

func pod(name string, containers ...corev1.ContainerStatus) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "web", UID: types.UID("uid-" + name)},
		Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: containers, Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady"},
		}},
	}
}

func crashing(name string) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: name, RestartCount: 3,
		State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off"}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error"}},
	}
}

// answer is an answer that can be read.
type answer struct {
	pods   []wire.DiagnosticPod
	events []wire.DiagnosticEvent
	tails  map[string]string
	raw    string
}

func collect(t *testing.T, f *fakeCluster) answer {
	t.Helper()
	got, err := f.collector().Collect(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	if got.LogTails == nil || !got.CollectedAt.Equal(now) {
		t.Fatalf("got %+v, want log tails and the moment of collection", got)
	}
	out := answer{raw: got.PodStatuses + got.Events + *got.LogTails}
	for text, into := range map[string]any{got.PodStatuses: &out.pods, got.Events: &out.events, *got.LogTails: &out.tails} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return out
}

func (a answer) reasons() string {
	var out []string
	for _, e := range a.events {
		out = append(out, e.Reason)
	}
	return strings.Join(out, " ")
}

func TestWhatIsCollected(t *testing.T) {
	t.Parallel()
	p := pod("web-1", crashing("app"))
	p.Spec.Containers = []corev1.Container{{Name: "app", Env: []corev1.EnvVar{{Name: "API_TOKEN", Value: "tok-12345"}, {Name: "MODE", Value: "verbose"}}}}
	f := &fakeCluster{
		inventory: cluster.Inventory{Version: "1", Entries: []cluster.Entry{entry("Deployment", "web"), entry("Secret", "keys")}},
		secret:    "hunter2hunter2",
		running:   cluster.Running{Pods: []corev1.Pod{p}, Family: map[string]bool{"uid-web": true}},
		events: []corev1.Event{{
			Type: "Warning", Reason: "BackOff", Message: "restarting, password hunter2hunter2", Count: 4, FirstTimestamp: metav1.NewTime(now),
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "web-1"},
		}},
		log: func(l cluster.Tail) (string, error) {
			return fmt.Sprintf("previous=%v %s\nlogin hunter2hunter2 with tok-12345 verbose", l.Previous, l.Container), nil
		},
	}
	got := collect(t, f)
	if len(got.pods) != 1 || got.pods[0].Name != "web-1" || got.pods[0].Namespace != "web" || got.pods[0].Phase != "Pending" ||
		got.pods[0].Conditions[0].Type != "Ready" || *got.pods[0].Conditions[0].Reason != "ContainersNotReady" {
		t.Errorf("pods: got %+v", got.pods)
	}
	if c := got.pods[0].Containers[0]; c.Name != "app" || c.RestartCount != 3 || c.State != "waiting" || *c.StateReason != "CrashLoopBackOff" || *c.StateMessage != "back-off" {
		t.Errorf("container: got %+v", c)
	}
	if e := got.events[0]; e.Reason != "BackOff" || e.InvolvedKind != "Pod" || e.InvolvedObject != "web-1" || e.Count != 4 || e.Message != "restarting, password ***" {
		t.Errorf("event: got %+v", e)
	}
	if got.tails["web-1/app"] != "previous=false app\nlogin *** with *** verbose" || got.tails["web-1/app (previous)"] != "previous=true app\nlogin *** with *** verbose" {
		t.Errorf("log tails: got %+v, want that of each run, without secrets", got.tails)
	}
	if strings.Contains(got.raw, "hunter2") || strings.Contains(got.raw, "tok-12345") {
		t.Errorf("a secret is in the answer: %s", got.raw)
	}
}

func TestRefusalsAreToldInTheAnswer(t *testing.T) {
	t.Parallel()
	f := &fakeCluster{
		inventory: cluster.Inventory{Version: "1", Entries: []cluster.Entry{entry("Secret", "keys")}},
		refuse:    fault.New(fault.Forbidden, "cluster_forbidden", "pods is forbidden: no"),
		running:   cluster.Running{Refused: []string{"Job"}, More: true},
		log:       func(cluster.Tail) (string, error) { return "", errors.New("no") },
	}
	got := collect(t, f)
	if want := "SecretNotRead PodsNotSeen KindsNotSeen PodsLeftOut EventsNotSeen"; got.reasons() != want {
		t.Errorf("reasons: got %s, want %s", got.reasons(), want)
	}
	for _, e := range got.events {
		if e.InvolvedKind != "Brokkr" || e.Message == "" || e.FirstTimestamp == nil {
			t.Errorf("got %+v, want it told of the diagnosis itself", e)
		}
	}
	f.refuse = nil
	f.running = cluster.Running{Pods: []corev1.Pod{pod("web-1", corev1.ContainerStatus{Name: "app", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})}}
	if got := collect(t, f); got.reasons() != "LogNotSeen" || len(got.pods) != 1 {
		t.Errorf("a log that cannot be read: got %s with %d pods, want it told and the rest kept", got.reasons(), len(got.pods))
	}
}

func TestNothingAppliedIsAnAnswer(t *testing.T) {
	t.Parallel()
	got := collect(t, &fakeCluster{})
	if got.reasons() != "NothingApplied" || len(got.pods) != 0 || len(got.tails) != 0 {
		t.Errorf("got %+v, want one event that says so", got)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	f := &fakeCluster{inventory: cluster.Inventory{Version: "1"}}
	for n := range 15 {
		e := entry("Deployment", "web")
		e.Key.Namespace = fmt.Sprintf("ns-%02d", n)
		f.inventory.Entries = append(f.inventory.Entries, e)
	}
	for n := range 30 {
		f.running.Pods = append(f.running.Pods, pod(fmt.Sprintf("web-%d", n), crashing("a"), crashing("b")))
	}
	read := 0
	f.log = func(l cluster.Tail) (string, error) {
		read++
		if l.Lines > 100 || l.Bytes > 16<<10 {
			t.Errorf("%d lines and %d bytes are asked for", l.Lines, l.Bytes)
		}
		return strings.Repeat("x", int(l.Bytes)), nil
	}
	got := collect(t, f)
	if len(f.asked) != 10 || !strings.Contains(got.reasons(), "NamespacesLeftOut") {
		t.Errorf("looked into %d namespaces (%s), want 10 and a word about the others", len(f.asked), got.reasons())
	}
	if read > 120 || len(got.raw) > 5<<20 {
		t.Errorf("read %d logs, %d bytes", read, len(got.raw))
	}
	if !strings.Contains(got.reasons(), "LogsLeftOut") && !strings.Contains(got.reasons(), "LogsCutShort") {
		t.Errorf("reasons: got %s, want a word about logs that were not read", got.reasons())
	}
}
