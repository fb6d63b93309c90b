package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

// newTestCluster is a cluster that gives each namespace a UID and refuses what is meant for another one, as an API server does.
func newTestCluster(name string) (*cluster, *fake.FakeDynamicClient) {
	client := fake.NewSimpleDynamicClient(runtime.NewScheme())
	var uids atomic.Int64
	client.PrependReactor("create", "namespaces", func(a clienttesting.Action) (bool, runtime.Object, error) {
		o := a.(clienttesting.CreateAction).GetObject().(*unstructured.Unstructured)
		o.SetUID(types.UID(name + "-" + strconv.FormatInt(uids.Add(1), 10)))
		return false, nil, nil
	})
	of := func(name string) types.UID {
		o, err := client.Tracker().Get(namespaces(), "", name)
		if err != nil {
			return ""
		}
		return o.(*unstructured.Unstructured).GetUID()
	}
	client.PrependReactor("delete", "namespaces", func(a clienttesting.Action) (bool, runtime.Object, error) {
		d := a.(clienttesting.DeleteActionImpl)
		if only := d.DeleteOptions.Preconditions; only == nil || only.UID == nil {
			return true, nil, errors.New("whichever namespace has this name is to be deleted")
		} else if is := of(d.Name); is != "" && is != *only.UID {
			return true, nil, apierrors.NewConflict(namespaces().GroupResource(), d.Name, errors.New("UID"))
		}
		return false, nil, nil
	})
	client.PrependReactor("patch", "namespaces", func(a clienttesting.Action) (bool, runtime.Object, error) {
		p := a.(clienttesting.PatchActionImpl)
		if is := of(p.Name); is != "" && !strings.Contains(string(p.Patch), string(is)) {
			return true, nil, apierrors.NewConflict(namespaces().GroupResource(), p.Name, errors.New("UID"))
		}
		return false, nil, nil
	})
	return &cluster{name: name, kubeconfig: name + ".yaml", client: client}, client
}

// beside is the same cluster, as another run has it.
func beside(c *cluster) *cluster {
	return &cluster{name: c.name, kubeconfig: c.kubeconfig, client: c.client}
}

func uidOf(t *testing.T, c *cluster, name string) types.UID {
	t.Helper()
	o, err := c.client.Resource(namespaces()).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return o.GetUID()
}

func notLost(t *testing.T) func(error) { return func(err error) { t.Error(err) } }

// A second demo on clusters where one runs is refused and told why, and the first one keeps all that it has; once it has ended, there is
// nothing in the way.
func TestARunningDemoKeepsItsNamespaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		east, _ := newTestCluster("east")
		west, _ := newTestCluster("west")
		alive, end := context.WithCancel(t.Context())
		defer end()
		for _, c := range []*cluster{east, west} {
			if err := c.makeNamespaces(t.Context(), alive, "the first run", notLost(t)); err != nil {
				t.Fatal(err)
			}
		}
		before := uidOf(t, west, namespace)
		time.Sleep(10 * time.Minute)

		second := &demo{clusters: []*cluster{beside(east), beside(west)}}
		err := second.clear(t.Context())
		if err == nil || !strings.Contains(err.Error(), "the first run") || !strings.Contains(err.Error(), "end that one first") {
			t.Fatalf("beside a demo that runs: %v", err)
		}
		if err := second.clusters[0].makeNamespaces(t.Context(), alive, "the second run", notLost(t)); err == nil {
			t.Error("its namespaces were made although they are there")
		}
		for _, c := range second.clusters { // as a demo does that ends, with whatever error
			if err := c.removeNamespaces(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if got := uidOf(t, west, namespace); got != before {
			t.Errorf("the first run's namespace was %q and is %q", before, got)
		}

		end()
		for _, c := range []*cluster{east, west} {
			if err := c.removeNamespaces(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if err := second.clear(t.Context()); err != nil || time.Since(began) > 0 {
			t.Errorf("after the first run's end: %v, after %s", err, time.Since(began))
		}
	})
}

// What a run left that was killed is removed, after a while in which it might have shown that it lives.
func TestLeftoversOfAKilledDemoAreRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		east, _ := newTestCluster("east")
		alive, kill := context.WithCancel(t.Context())
		if err := east.makeNamespaces(t.Context(), alive, "the first run", notLost(t)); err != nil {
			t.Fatal(err)
		}
		kill()
		second := &demo{clusters: []*cluster{beside(east)}}
		if err := second.clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{namespace, agentNamespace} {
			if uid := uidOf(t, east, name); uid != "" {
				t.Errorf("namespace %s is still there", name)
			}
		}
		again, end := context.WithCancel(t.Context())
		if err := second.clusters[0].makeNamespaces(t.Context(), again, "the second run", notLost(t)); err != nil {
			t.Error(err)
		}
		// The dead one comes back (a machine that slept): it takes nothing from its successor.
		if err := east.removeNamespaces(t.Context()); err == nil || uidOf(t, east, namespace) == "" {
			t.Errorf("the namespace of the second run is gone, or nothing was said of it: %v", err)
		}
		end()
	})
}

// A run whose namespaces somebody else has removed, or made anew, hears of it.
func TestALostNamespaceIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		east, client := newTestCluster("east")
		alive, end := context.WithCancel(t.Context())
		defer end()
		lost := make(chan error, 2)
		if err := east.makeNamespaces(t.Context(), alive, "the first run", func(err error) { lost <- err }); err != nil {
			t.Fatal(err)
		}
		if err := client.Tracker().Delete(namespaces(), "", namespace); err != nil {
			t.Fatal(err)
		}
		if err := client.Tracker().Delete(namespaces(), "", agentNamespace); err != nil {
			t.Fatal(err)
		}
		other := beside(east)
		if err := other.makeNamespaces(t.Context(), alive, "the second run", notLost(t)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-lost; !strings.Contains(err.Error(), "taken away from this run") {
				t.Error(err)
			}
		}
	})
}

// Namespaces that somebody else made, or of which it is not known whose they are, are left alone.
func TestOthersNamespacesAreLeftAlone(t *testing.T) {
	t.Parallel()
	for name, labels := range map[string]map[string]string{"somebody else's": nil, "of an unknown run": {madeByLabel: madeByDemo}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			east, client := newTestCluster("east")
			theirs := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": agentNamespace}}}
			theirs.SetLabels(labels)
			if err := client.Tracker().Add(theirs); err != nil {
				t.Fatal(err)
			}
			err := (&demo{clusters: []*cluster{east}}).clear(t.Context())
			if err == nil || !strings.Contains(err.Error(), agentNamespace) || !strings.Contains(err.Error(), "delete") {
				t.Errorf("cleared with %v", err)
			}
			if _, err := client.Tracker().Get(namespaces(), "", agentNamespace); err != nil {
				t.Errorf("the namespace: %v", err)
			}
		})
	}
}
