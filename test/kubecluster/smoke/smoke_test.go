// Package smoke checks a built kubecluster binary from outside, the way that tests use it.
package smoke

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// running is an "up" under test.
type running struct {
	binary, dir string
	cmd         *exec.Cmd
	kubeconfigs []string
	exited      chan error
}

// start boots count clusters with the binary named by KUBECLUSTER, which build.sh prints.
func start(t *testing.T, count int) *running {
	t.Helper()
	binary := os.Getenv("KUBECLUSTER")
	if binary == "" {
		t.Skip("KUBECLUSTER is not set: KUBECLUSTER=$(./build.sh) GOWORK=off go test ./smoke")
	}
	r := &running{binary: binary, dir: t.TempDir()}
	r.up(t, count)
	t.Cleanup(func() {
		r.stop(t, syscall.SIGTERM)
		r.wantNoProcess(t)
	})
	return r
}

func (r *running) up(t *testing.T, count int) {
	t.Helper()
	begin := time.Now()
	r.cmd = exec.Command(r.binary, "up", "--dir", r.dir, "--count", strconv.Itoa(count))
	r.cmd.Stderr = os.Stderr
	out := &bytes.Buffer{}
	r.cmd.Stdout = out
	if err := r.cmd.Start(); err != nil {
		t.Fatalf("start: %v", err)
	}
	cmd, exited := r.cmd, make(chan error, 1)
	r.exited = exited
	go func() { exited <- cmd.Wait() }()
	ready := filepath.Join(r.dir, "ready")
	eventually(t, 2*time.Minute, "clusters ready", func() bool {
		select {
		case err := <-exited:
			t.Fatalf("up ended: %v\n%s", err, out)
		default:
		}
		b, err := os.ReadFile(ready)
		r.kubeconfigs = strings.Split(strings.TrimSpace(string(b)), ",")
		return err == nil
	})
	if len(r.kubeconfigs) != count {
		t.Fatalf("got kubeconfigs %q, want %d", r.kubeconfigs, count)
	}
	t.Logf("%d clusters ready after %.1f s", count, time.Since(begin).Seconds())
}

func (r *running) stop(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: %v", err)
	}
	select {
	case <-r.exited:
	case <-time.After(10 * time.Second):
		t.Errorf("up still runs 10 s after %s", sig)
	}
}

// wantNoProcess waits until no process has the folder among its arguments.
func (r *running) wantNoProcess(t *testing.T) {
	t.Helper()
	eventually(t, 10*time.Second, "no process left", func() bool {
		out, err := exec.Command("ps", "-A", "-o", "args").Output()
		if err != nil {
			t.Fatalf("ps: %v", err)
		}
		return !bytes.Contains(out, []byte(r.dir))
	})
}

func client(t *testing.T, kubeconfig string) *kubernetes.Clientset {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatalf("kubeconfig: %v", err)
	}
	cfg.QPS = -1
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	return c
}

func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("%s after %.1f s", what, time.Since(begin).Seconds())
}

func podTemplate(labels, annotations map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example.test/app:1"}}},
	}
}

func deployment(name string, replicas int32, annotations map[string]string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: podTemplate(labels, annotations),
		},
	}
}

const crd = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"things.example.test"},
"spec":{"group":"example.test","scope":"Namespaced","names":{"kind":"Thing","plural":"things","singular":"thing"},
"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object",
"properties":{"size":{"type":"integer"}}}}}}}]}}`

func TestClusters(t *testing.T) {
	r := start(t, 2)
	ctx := t.Context()
	c1, c2 := client(t, r.kubeconfigs[0]), client(t, r.kubeconfigs[1])

	t.Run("version", func(t *testing.T) {
		v, err := c1.Discovery().ServerVersion()
		if err != nil || !strings.HasPrefix(v.GitVersion, "v1.36.") {
			t.Fatalf("got %v, %v, want v1.36", v, err)
		}
	})
	t.Run("deployment becomes available", func(t *testing.T) {
		if _, err := c1.AppsV1().Deployments("default").Create(ctx, deployment("web", 3, nil), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, "3 available", func() bool {
			d, err := c1.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{})
			return err == nil && d.Status.AvailableReplicas == 3
		})
	})
	t.Run("a node that was given up comes back", func(t *testing.T) {
		const gone = `{"status":{"conditions":[{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown"}]}}`
		if _, err := c1.CoreV1().Nodes().Patch(ctx, "c1-node-1", types.StrategicMergePatchType, []byte(gone), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "node ready", func() bool {
			n, err := c1.CoreV1().Nodes().Get(ctx, "c1-node-1", metav1.GetOptions{})
			return err == nil && slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
				return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
			})
		})
	})
	t.Run("clusters are apart", func(t *testing.T) {
		if _, err := c2.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Fatalf("got %v, want not found", err)
		}
	})
	t.Run("job completes", func(t *testing.T) {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "once"}, Spec: batchv1.JobSpec{Template: podTemplate(nil, nil)}}
		job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
		if _, err := c1.BatchV1().Jobs("default").Create(ctx, job, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, "job complete", func() bool {
			j, err := c1.BatchV1().Jobs("default").Get(ctx, "once", metav1.GetOptions{})
			return err == nil && j.Status.Succeeded == 1 && j.Status.CompletionTime != nil
		})
	})
	for phase, reason := range map[string]string{"crash": "CrashLoopBackOff", "imagepull": "ImagePullBackOff"} {
		t.Run(phase, func(t *testing.T) {
			d := deployment(phase, 1, map[string]string{"kubecluster/phase": phase})
			if _, err := c1.AppsV1().Deployments("default").Create(ctx, d, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, 20*time.Second, reason, func() bool {
				pods, err := c1.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=" + phase})
				if err != nil || len(pods.Items) != 1 || len(pods.Items[0].Status.ContainerStatuses) != 1 {
					return false
				}
				w := pods.Items[0].Status.ContainerStatuses[0].State.Waiting
				return w != nil && w.Reason == reason
			})
		})
	}
	t.Run("custom resource", func(t *testing.T) {
		rest := c2.RESTClient()
		if err := rest.Post().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").Body([]byte(crd)).Do(ctx).Error(); err != nil {
			t.Fatal(err)
		}
		thing := []byte(`{"apiVersion":"example.test/v1","kind":"Thing","metadata":{"name":"a"},"spec":{"size":1}}`)
		eventually(t, 20*time.Second, "custom resource created", func() bool {
			return rest.Post().AbsPath("/apis/example.test/v1/namespaces/default/things").Body(thing).Do(ctx).Error() == nil
		})
	})
	t.Run("namespace deletion", func(t *testing.T) {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "gone"}}
		if _, err := c1.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c1.AppsV1().Deployments("gone").Create(ctx, deployment("web", 2, nil), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, "2 available", func() bool {
			d, err := c1.AppsV1().Deployments("gone").Get(ctx, "web", metav1.GetOptions{})
			return err == nil && d.Status.AvailableReplicas == 2
		})
		if err := c1.CoreV1().Namespaces().Delete(ctx, "gone", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, 40*time.Second, "namespace gone", func() bool {
			_, err := c1.CoreV1().Namespaces().Get(ctx, "gone", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	})
	t.Run("write requests can be counted", func(t *testing.T) {
		b, err := c1.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "apiserver_request_total{") && strings.Contains(line, `resource="deployments"`) && strings.Contains(line, `verb="POST"`) {
				t.Log(strings.TrimSpace(line))
				return
			}
		}
		t.Fatal("apiserver_request_total has no line about created deployments")
	})
	t.Run("kill one, it comes back with its data", func(t *testing.T) {
		if out, err := exec.Command(r.binary, "kill", "--dir", r.dir, "--name", "c1").CombinedOutput(); err != nil {
			t.Fatalf("kill: %v\n%s", err, out)
		}
		if err := c2.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
			t.Errorf("c2 suffers from the end of c1: %v", err)
		}
		eventually(t, time.Minute, "c1 back", func() bool {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			d, err := c1.AppsV1().Deployments("default").Get(short, "web", metav1.GetOptions{})
			return err == nil && d.Status.AvailableReplicas == 3
		})
		if _, err := c1.AppsV1().Deployments("default").Create(ctx, deployment("later", 1, nil), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "a new deployment available", func() bool {
			d, err := c1.AppsV1().Deployments("default").Get(ctx, "later", metav1.GetOptions{})
			return err == nil && d.Status.AvailableReplicas == 1
		})
	})
	t.Run("kill -9 of up leaves no process, the folder can be used again", func(t *testing.T) {
		r.stop(t, syscall.SIGKILL)
		r.wantNoProcess(t)
		_ = os.Remove(filepath.Join(r.dir, "ready"))
		r.up(t, 2)
		if _, err := client(t, r.kubeconfigs[0]).AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{}); err != nil {
			t.Errorf("data lost: %v", err)
		}
	})
	t.Run("a second up on the folder is refused", func(t *testing.T) {
		out, err := exec.Command(r.binary, "up", "--dir", r.dir).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "in use by another kubecluster") {
			t.Errorf("got %v, %s", err, out)
		}
	})
}
