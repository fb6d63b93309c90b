package charts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/colliery-io/brokkr/internal/testenv"
)

// place is a namespace of a real API server, where pods have to be restricted. They only pretend to run there: Deployments become ready,
// and what is to end ends well. Where they truly run is charts/test/live.sh.
type place struct {
	kubeconfig, namespace string
	client                dynamic.Interface
	namespaced            []schema.GroupVersionResource // of everything that can be listed
}

func newPlace(t *testing.T) *place {
	t.Helper()
	if os.Getenv("HELM") == "" {
		t.Skip("HELM is not set: run the tests by `make test-charts`")
	}
	p := &place{kubeconfig: testenv.Kubeconfigs(t, 1)[0]}
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 200, 400
	if p.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := disco.ServerPreferredNamespacedResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists) {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			p.namespaced = append(p.namespaced, group.WithResource(r.Name))
		}
	}
	namespaces := p.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	ns := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
		"generateName": "releases-", "labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted"}}}}
	if ns, err = namespaces.Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p.namespace = ns.GetName()
	t.Cleanup(func() { _ = namespaces.Delete(context.Background(), p.namespace, metav1.DeleteOptions{}) })
	return p
}

// helm runs it in the place, and fails the test if it fails.
func (p *place) helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := helm(t, append(args, "--kubeconfig", p.kubeconfig, "-n", p.namespace)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.pods(t))
	}
	return out
}

func (p *place) list(t *testing.T, of schema.GroupVersionResource) []unstructured.Unstructured {
	t.Helper()
	list, err := p.client.Resource(of).Namespace(p.namespace).List(t.Context(), metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) { // a kind that another test has taken away meanwhile
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// pods are the names of the pods that are not about to end, and how each is.
func (p *place) pods(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, u := range p.list(t, schema.GroupVersionResource{Version: "v1", Resource: "pods"}) {
		if u.GetDeletionTimestamp() == nil {
			out[u.GetName()], _, _ = unstructured.NestedString(u.Object, "status", "phase")
		}
	}
	return out
}

// secrets are what the charts' Secrets hold, by name and key, as text.
func (p *place) secrets(t *testing.T) string {
	t.Helper()
	held := map[string]any{}
	for _, u := range p.list(t, schema.GroupVersionResource{Version: "v1", Resource: "secrets"}) {
		if !strings.HasPrefix(u.GetName(), "sh.helm.release") {
			held[u.GetName()] = u.Object["data"]
		}
	}
	text, err := json.Marshal(held) // sorted
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// left is what of the charts is there still, but what a namespace has by itself.
func (p *place) left(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, of := range p.namespaced {
		if of.Resource == "events" {
			continue
		}
		for _, u := range p.list(t, of) {
			name := of.Resource + "/" + u.GetName()
			if name != "configmaps/kube-root-ca.crt" && name != "serviceaccounts/default" {
				out = append(out, name)
			}
		}
	}
	for _, kind := range []string{"clusterroles", "clusterrolebindings"} {
		list, err := p.client.Resource(schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: kind}).
			List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=brokkr"})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range list.Items {
			if strings.HasPrefix(u.GetName(), p.namespace+"-") {
				out = append(out, kind+"/"+u.GetName())
			}
		}
	}
	slices.Sort(out)
	return out
}

// former writes the charts of the release before this one into a folder: of the revision FROM, of the newest tag before this commit, or, before
// there is one, those of the last change of the charts.
func former(t *testing.T) (dir, revision string) {
	t.Helper()
	git := func(args ...string) (string, error) {
		var out, errs bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", ".."}, args...)...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, &errs)
		}
		return strings.TrimSpace(out.String()), nil
	}
	var err error
	if revision = os.Getenv("FROM"); revision == "" {
		if revision, err = git("describe", "--tags", "--abbrev=0", "HEAD^"); err != nil {
			var none error
			revision, none = git("log", "-1", "--format=%H^", "--", "charts/"+broker, "charts/"+agent)
			err = errors.Join(err, none)
			if none == nil && revision != "" {
				err = nil
			}
		}
	}
	archive := filepath.Join(t.TempDir(), "charts.tar")
	if err == nil {
		_, err = git("archive", "--format=tar", "-o", archive, revision, "charts/"+broker, "charts/"+agent)
	}
	if err != nil {
		testenv.Missing(t, "no former charts are known here: "+err.Error())
	}
	dir = t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "charts"), revision
}

// Both charts on a real API server, through the life of a release: the former charts are installed, tested, upgraded to these and rolled back, keys
// and passwords are made once, pods are made anew when the configuration changes and not else, and nothing is left at the end but what has
// to be kept.
func TestReleases(t *testing.T) {
	t.Parallel()
	if os.Getenv("HELM") == "" {
		t.Skip("HELM is not set: run the tests by `make test-charts`")
	}
	old, revision := former(t)
	t.Logf("the former charts are those of %s", revision)
	const noVolume = "postgresql.persistence.enabled=false"
	for name, c := range map[string]struct {
		broker, agent []string
		keeps         []string // what stays
	}{
		"one process":    {broker: set("postgresql.enabled=true", noVolume)},
		"services apart": {broker: set("postgresql.enabled=true", noVolume, "redis.enabled=true", "microservices.enabled=true", "gateway.replicas=2"), agent: set("rbac.scope=namespace")},
		"a database of yours": {broker: set("global.database.url=postgres://u:p@db.example.com/brokkr"),
			keeps: []string{"secrets/brokkr-broker-admin", "secrets/brokkr-broker-database", "secrets/brokkr-broker-keys"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			of := func(release, charts string, values []string, more ...string) []string {
				return slices.Concat([]string{release, filepath.Join(charts, release)}, values, []string{"--wait", "--timeout", "3m"}, more)
			}
			agentValues := slices.Concat(set("broker.url=http://brokkr-broker:3000"), c.agent)
			p.helm(t, append([]string{"install"}, of(broker, old, c.broker)...)...)
			p.helm(t, append([]string{"install"}, of(agent, old, agentValues)...)...)
			p.tested(t)
			secrets := p.secrets(t)
			kept := func(after string) {
				t.Helper()
				if now := p.secrets(t); now != secrets {
					t.Errorf("after the %s there are other Secrets: %s, before %s", after, now, secrets)
				}
			}

			p.helm(t, append([]string{"upgrade"}, of(broker, ".", nil, "--reset-then-reuse-values")...)...)
			p.helm(t, append([]string{"upgrade"}, of(agent, ".", agentValues)...)...)
			kept("upgrade")
			p.tested(t)

			pods := p.pods(t)
			p.helm(t, append([]string{"upgrade"}, of(broker, ".", nil, "--reset-then-reuse-values")...)...)
			if now := p.pods(t); !maps.Equal(now, pods) {
				t.Errorf("an upgrade without a change made other pods: %v, before %v", now, pods)
			}
			p.helm(t, append([]string{"upgrade"}, of(broker, ".", set("global.config.log.level=debug"), "--reset-then-reuse-values")...)...)
			p.helm(t, append([]string{"upgrade"}, of(agent, ".", append(agentValues, set("log.level=debug")...))...)...)
			kept("change of the configuration")
			for pod := range p.pods(t) {
				_, stayed := pods[pod]
				if bundled := strings.Contains(pod, "postgresql") || strings.Contains(pod, "redis"); stayed != bundled {
					t.Errorf("the configuration has changed, and the pod %s is the former one: %v, want %v", pod, stayed, bundled)
				}
			}

			p.helm(t, "rollback", broker, "1", "--wait", "--timeout", "3m")
			p.helm(t, "rollback", agent, "1", "--wait", "--timeout", "3m")
			kept("rollback")

			p.helm(t, "uninstall", agent, "--wait")
			p.helm(t, "uninstall", broker, "--wait")
			p.wantLeft(t, c.keeps)
			if len(c.keeps) == 0 {
				return
			}
			p.helm(t, append([]string{"install"}, of(broker, ".", c.broker)...)...)
			for _, name := range c.keeps { // the key that unseals what is stored
				_, name, _ := strings.Cut(name, "/")
				if before, now := held(t, secrets, name), held(t, p.secrets(t), name); before != now {
					t.Errorf("installed again, the Secret %s is %s, before %s", name, now, before)
				}
			}
		})
	}
}

// held is the data of one Secret in what place.secrets says.
func held(t *testing.T, secrets, name string) string {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(secrets), &all); err != nil {
		t.Fatal(err)
	}
	if len(all[name]) < 10 {
		t.Errorf("no Secret %s in %s", name, secrets)
	}
	return string(all[name])
}

// tested runs the tests of both releases.
func (p *place) tested(t *testing.T) {
	t.Helper()
	for _, release := range []string{broker, agent} {
		if out := p.helm(t, "test", release, "--timeout", "2m"); !strings.Contains(out, "Succeeded") {
			t.Errorf("helm test %s has no test:\n%s", release, out)
		}
	}
}

// wantLeft waits until nothing else is left; pods end within their grace.
func (p *place) wantLeft(t *testing.T, want []string) {
	t.Helper()
	await(t, "nothing is left but what is kept", func() error {
		if left := p.left(t); !slices.Equal(left, want) {
			return fmt.Errorf("left is %v, want %v", left, want)
		}
		return nil
	})
}

// A volume goes with the release, or stays with the Secrets without which it is of no use. Here nobody binds volumes, so nobody waits for pods.
func TestVolumesGoOrStayWithTheirSecrets(t *testing.T) {
	t.Parallel()
	kept := []string{"persistentvolumeclaims/data-brokkr-broker-postgresql-0", "secrets/brokkr-broker-admin", "secrets/brokkr-broker-database", "secrets/brokkr-broker-keys"}
	for keep, want := range map[string][]string{"false": nil, "true": kept, "unless told otherwise": kept} {
		t.Run(keep, func(t *testing.T) {
			t.Parallel()
			old, _ := former(t)
			p := newPlace(t)
			values := set("postgresql.enabled=true")
			if keep == "true" || keep == "false" {
				values = append(values, set("postgresql.persistence.keepOnUninstall="+keep)...)
			}
			p.helm(t, slices.Concat([]string{"install", broker, filepath.Join(old, broker)}, values)...)
			await(t, "the claim is there", func() error {
				if claims := p.list(t, schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}); len(claims) != 1 {
					return fmt.Errorf("there are %d", len(claims))
				}
				return nil
			})
			secrets := p.secrets(t)
			p.helm(t, slices.Concat([]string{"upgrade", broker, broker}, values)...) // what a StatefulSet cannot change has not changed
			p.helm(t, "uninstall", broker)
			p.wantLeft(t, want)
			p.helm(t, slices.Concat([]string{"install", broker, broker}, values)...)
			for _, name := range []string{"brokkr-broker-admin", "brokkr-broker-database", "brokkr-broker-keys"} {
				if before, now := held(t, secrets, name), held(t, p.secrets(t), name); (before == now) != (keep != "false") {
					t.Errorf("installed again, the Secret %s is %s, before %s", name, now, before)
				}
			}
			p.helm(t, "uninstall", broker)
		})
	}
}
