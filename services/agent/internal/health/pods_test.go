package health_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
)

const (
	notReady  = "{type: Ready, status: 'False', reason: ContainersNotReady, message: 'containers with unready status: [app]'}"
	readyPod  = "{status: {phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: app, ready: true, state: {running: {}}}]}}"
	crashing  = "{status: {phase: Running, conditions: [" + notReady + "], containerStatuses: [{name: app, restartCount: 4, state: {waiting: {reason: CrashLoopBackOff, message: back-off 40s restarting failed container=app pod=web-1}}, lastState: {terminated: {reason: Error, exitCode: 2, message: \"no such file\\n\"}}}]}}"
	pulling   = "{status: {phase: Pending, conditions: [" + notReady + "], containerStatuses: [{name: app, image: 'shop/web:9', state: {waiting: {reason: ImagePullBackOff, message: 'Back-off pulling image \"shop/web:9\"'}}}]}}"
	nowhere   = "{status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/3 nodes are available: 3 Insufficient cpu.'}]}}"
	creating  = "{status: {phase: Pending, conditions: [" + notReady + "], containerStatuses: [{name: app, state: {waiting: {reason: ContainerCreating}}}]}}"
	unprobed  = "{status: {phase: Running, conditions: [" + notReady + "], containerStatuses: [{name: app, started: true, state: {running: {}}}]}}"
	evicted   = "{status: {phase: Failed, reason: Evicted, message: 'The node was low on resource: memory.'}}"
	attempt   = "{metadata: {ownerReferences: [{kind: Job, name: j}]}, status: {phase: Failed, containerStatuses: [{name: app, state: {terminated: {reason: Error, exitCode: 1}}}]}}"
	leaving   = "{metadata: {deletionTimestamp: '2026-11-24T02:22:48Z'}, status: {phase: Running}}"
	succeeded = "{status: {phase: Succeeded, conditions: [{type: Ready, status: 'False', reason: PodCompleted}]}}"
)

func podsOf(t *testing.T, texts []string) []corev1.Pod {
	t.Helper()
	pods := make([]corev1.Pod, len(texts))
	for i, text := range texts {
		if err := yaml.UnmarshalStrict([]byte(text), &pods[i]); err != nil {
			t.Fatalf("bad pod: %v\n%s", err, text)
		}
	}
	return pods
}

func TestPodsExplainTheirWorkload(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		was    delivery.Health
		pods   []string
		health delivery.Health
		says   string
	}{
		"healthy stays so":              {healthy, []string{crashing}, healthy, "as before"},
		"no pods":                       {progressing, nil, progressing, "as before"},
		"pods that are ready or leave":  {progressing, []string{readyPod, leaving, succeeded}, progressing, "as before"},
		"a pod nobody has seen":         {progressing, []string{"{}"}, progressing, "as before"},
		"crash loop":                    {progressing, []string{crashing, crashing}, failing, "container app: CrashLoopBackOff: last exit: Error, code 2, no such file (2 pods)"},
		"crash loop while others serve": {progressing, []string{readyPod, crashing}, degraded, "container app: CrashLoopBackOff"},
		"nothing gets better by pods":   {failing, []string{readyPod, crashing}, failing, "container app: CrashLoopBackOff"},
		"image":                         {progressing, []string{pulling}, failing, "container app: ImagePullBackOff: Back-off pulling image \"shop/web:9\""},
		"nowhere to go":                 {progressing, []string{nowhere}, degraded, "unschedulable: 0/3 nodes are available: 3 Insufficient cpu."},
		"the worst first":               {progressing, []string{creating, creating, nowhere, crashing}, failing, "container app: CrashLoopBackOff"},
		"then the most frequent":        {progressing, []string{crashing, pulling, pulling}, failing, "ImagePullBackOff: Back-off pulling image \"shop/web:9\" (2 pods)"},
		"then the first":                {progressing, []string{unprobed, creating}, progressing, "readiness probe fails"},
		"being made":                    {progressing, []string{creating}, progressing, "container app: ContainerCreating"},
		"a memory of a pod":             {progressing, []string{evicted, evicted, nowhere}, degraded, "unschedulable"},
		"nothing but memories":          {progressing, []string{evicted}, progressing, "pod failed: Evicted The node was low on resource: memory."},
		"an attempt of a job":           {progressing, []string{attempt}, degraded, "container app: ended: Error, code 1"},
		"not known, and pods tell":      {unknown, []string{nowhere}, degraded, "unschedulable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := cluster.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
			got := health.WithPods(health.Object{Key: k, Health: tc.was, Message: "as before"}, podsOf(t, tc.pods))
			if got.Key != k || got.Health != tc.health || !strings.Contains(got.Message, tc.says) {
				t.Errorf("got %+v, want %s %q", got, tc.health, tc.says)
			}
		})
	}
}

// TestPod takes pods that are objects of their own, which shows each reason alone.
func TestPod(t *testing.T) {
	t.Parallel()
	running := func(containers string) string {
		return "status: {phase: Running, conditions: [" + notReady + "], containerStatuses: [" + containers + "]}"
	}
	initializing := func(containers string) string {
		return "status: {phase: Pending, conditions: [{type: PodScheduled, status: 'True'}, " + notReady + "], initContainerStatuses: [" + containers +
			"], containerStatuses: [{name: app, state: {waiting: {reason: PodInitializing}}}]}"
	}
	check(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\n", map[string]state{
		"new":                        {"", progressing, "it is not ready yet"},
		"ready":                      {"status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}", healthy, ""},
		"succeeded":                  {"status: {phase: Succeeded, conditions: [{type: Ready, status: 'False'}]}", healthy, ""},
		"failed":                     {"status: {phase: Failed, containerStatuses: [{name: app, state: {terminated: {reason: Error, exitCode: 3}}}]}", failing, "container app: ended: Error, code 3"},
		"failed without a container": {"status: {phase: Failed, reason: DeadlineExceeded}", failing, "pod failed: DeadlineExceeded"},
		"unreadable":                 {"status: {containerStatuses: text}", unknown, "its status cannot be read: "},
		"nowhere to go":              {"status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: pod has unbound immediate PersistentVolumeClaims}]}", degraded, "unschedulable: pod has unbound immediate PersistentVolumeClaims"},
		"gated":                      {"status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]}", progressing, "scheduling gates"},
		"not scheduled, no matter":   {"status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Other}]}", progressing, "it is not ready yet"},
		"crash loop without a past":  {running("{name: app, state: {waiting: {reason: CrashLoopBackOff, message: back-off}}}"), failing, "container app: CrashLoopBackOff: back-off"},
		"crash loop of memory":       {running("{name: app, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {reason: OOMKilled, exitCode: 137}}}"), failing, "last exit: OOMKilled, code 137"},
		"config error":               {running("{name: app, state: {waiting: {reason: CreateContainerConfigError, message: configmap \"web\" not found}}}"), failing, "CreateContainerConfigError: configmap \"web\" not found"},
		"image never":                {running("{name: app, image: web, state: {waiting: {reason: ErrImageNeverPull}}}"), failing, "ErrImageNeverPull: image web"},
		"waits without a reason":     {running("{name: app, state: {waiting: {}}}"), progressing, "it is not ready yet"},
		"ended once":                 {running("{name: app, state: {terminated: {exitCode: 1}}}"), degraded, "container app: ended: Error, code 1"},
		"ended again":                {running("{name: app, restartCount: 1, state: {terminated: {reason: OOMKilled, exitCode: 137}}}"), failing, "container app: ended: OOMKilled, code 137"},
		"ended well":                 {running("{name: app, state: {terminated: {reason: Completed, exitCode: 0}}}"), progressing, "it is not ready yet"},
		"killed, and back":           {running("{name: app, started: true, state: {running: {}}, lastState: {terminated: {reason: OOMKilled, exitCode: 137}}}"), failing, "container app: OOMKilled: raise its memory limit"},
		"killed, back and ready":     {running("{name: app, ready: true, state: {running: {}}, lastState: {terminated: {reason: OOMKilled, exitCode: 137}}}"), progressing, "it is not ready yet"},
		"startup probe":              {running("{name: app, started: false, state: {running: {}}}"), progressing, "container app is running and its startup probe has not succeeded yet"},
		"readiness probe":            {running("{name: side, ready: true, state: {running: {}}}, {name: app, started: true, state: {running: {}}}"), progressing, "container app is running and its readiness probe fails"},
		"the worst container":        {running("{name: one, state: {waiting: {reason: ContainerCreating}}}, {name: two, state: {waiting: {reason: ErrImagePull, message: not found}}}"), failing, "container two: ErrImagePull: not found"},
		"init container runs":        {initializing("{name: migrate, started: false, state: {running: {}}}"), progressing, "init container migrate is still running"},
		"init container crashes":     {initializing("{name: migrate, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {reason: Error, exitCode: 1}}}"), failing, "container migrate: CrashLoopBackOff: last exit: Error, code 1"},
		"init container done":        {initializing("{name: migrate, ready: true, state: {terminated: {reason: Completed, exitCode: 0}}}"), progressing, "it is not ready yet"},
		"sidecar runs":               {initializing("{name: mesh, started: true, ready: true, state: {running: {}}}, {name: migrate, state: {running: {}}}"), progressing, "init container migrate is still running"},
		"readiness gate":             {"status: {phase: Running, conditions: [{type: Ready, status: 'False', reason: ReadinessGatesNotReady, message: 'corresponding condition of pod readiness gate \"x\" does not exist.'}], containerStatuses: [{name: app, ready: true, state: {running: {}}}]}", progressing, "ReadinessGatesNotReady: corresponding condition"},
		"node away":                  {"status: {phase: Running, conditions: [{type: Ready, status: 'False', reason: NodeNotReady}], containerStatuses: [{name: app, ready: true, state: {running: {}}}]}", progressing, "NodeNotReady"},
		"not ready, without a word":  {"status: {phase: Running, conditions: [{type: Ready, status: 'False'}]}", progressing, "it is not ready yet"},
	})
}

func TestPodSelector(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text, want string
	}{
		"deployment":            {"{apiVersion: apps/v1, kind: Deployment, spec: {selector: {matchLabels: {app: web, tier: front}}}}", "app=web,tier=front"},
		"expressions":           {"{apiVersion: apps/v1, kind: StatefulSet, spec: {selector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: NotIn, values: [back]}]}}}", "app=web,tier notin (back)"},
		"daemon set":            {"{apiVersion: apps/v1, kind: DaemonSet, spec: {selector: {matchLabels: {app: web}}}}", "app=web"},
		"replica set":           {"{apiVersion: apps/v1, kind: ReplicaSet, spec: {selector: {matchLabels: {app: web}}}}", "app=web"},
		"job":                   {"{apiVersion: batch/v1, kind: Job, spec: {selector: {matchLabels: {batch.kubernetes.io/controller-uid: abc}}}}", "batch.kubernetes.io/controller-uid=abc"},
		"job without one yet":   {"{apiVersion: batch/v1, kind: Job, spec: {}}", ""},
		"service":               {"{apiVersion: v1, kind: Service, spec: {selector: {app: web}}}", ""},
		"a namesake":            {"{apiVersion: x.io/v1, kind: Deployment, spec: {selector: {matchLabels: {app: web}}}}", ""},
		"selects everything":    {"{apiVersion: apps/v1, kind: Deployment, spec: {selector: {}}}", ""},
		"unknown operator":      {"{apiVersion: apps/v1, kind: Deployment, spec: {selector: {matchExpressions: [{key: a, operator: Like}]}}}", ""},
		"selector is text":      {"{apiVersion: apps/v1, kind: Deployment, spec: {selector: app=web}}", ""},
		"labels of other forms": {"{apiVersion: apps/v1, kind: Deployment, spec: {selector: {matchLabels: [web]}}}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := health.PodSelector(object(t, tc.text))
			if got != tc.want || ok != (tc.want != "") {
				t.Errorf("got %q %v, want %q", got, ok, tc.want)
			}
		})
	}
}
