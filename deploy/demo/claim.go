package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// The namespaces of a run say whose they are, and that it lives: they are marked anew as long as it does. Clocks are not compared, since
// runs may be on different machines: who finds such a namespace looks whether the mark changes.
const (
	runAnnotation   = "brokkr.io/demo-run"
	aliveAnnotation = "brokkr.io/demo-alive"
	aliveEvery      = 5 * time.Second
	deadAfter       = 30 * time.Second // without a new mark
)

// newRun names a run, for others who come upon its namespaces.
func newRun(started time.Time) string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("process %d on %s, begun %s, %s", os.Getpid(), host, started.Format(time.RFC3339), rand.Text()[:8])
}

// claim is a namespace of a run, as it was seen last.
type claim struct {
	cluster    *cluster
	name       string
	uid        types.UID
	version    string // empty: it is going
	run, alive string
}

func (c *cluster) claimOf(o *unstructured.Unstructured) claim {
	cl := claim{cluster: c, name: o.GetName(), uid: o.GetUID(), run: o.GetAnnotations()[runAnnotation], alive: o.GetAnnotations()[aliveAnnotation]}
	if o.GetDeletionTimestamp() == nil {
		cl.version = o.GetResourceVersion()
	}
	return cl
}

// unchanged is what has to hold for the namespace to be removed: it is this one and, unless it goes already, it is as it was seen.
func (cl claim) unchanged() metav1.Preconditions {
	if cl.version == "" {
		return metav1.Preconditions{UID: &cl.uid}
	}
	return metav1.Preconditions{UID: &cl.uid, ResourceVersion: &cl.version}
}

func (cl claim) running() error {
	return fmt.Errorf("namespace %s in %s (kubeconfig %s) is that of a demo that runs now (%s): end that one first (Ctrl-C), or use other clusters",
		cl.name, cl.cluster.name, cl.cluster.kubeconfig, cl.run)
}

// claims are the demo's namespaces that are there already. One that is not the demo's, or does not say of which run it is, is an error.
func (c *cluster) claims(ctx context.Context) ([]claim, error) {
	var out []claim
	for _, name := range []string{namespace, agentNamespace} {
		there, err := c.client.Resource(namespaces()).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, fmt.Errorf("look for namespace %s in %s: %w", name, c.name, err)
		case there.GetLabels()[madeByLabel] != madeByDemo:
			return nil, fmt.Errorf("namespace %s in %s (kubeconfig %s) was not made by the demo, which would put its own things there: delete or rename it, or use another cluster", name, c.name, c.kubeconfig)
		case there.GetAnnotations()[runAnnotation] == "":
			return nil, fmt.Errorf("namespace %s in %s does not say of which run of the demo it is; if none runs, kubectl --kubeconfig %s delete namespace %s removes it", name, c.name, c.kubeconfig, name)
		default:
			out = append(out, c.claimOf(there))
		}
	}
	return out, nil
}

// clear removes what runs that are dead have left in the clusters. If one of them lives, nothing is removed and that is the error.
func (d *demo) clear(ctx context.Context) error {
	var left []claim
	for _, c := range d.clusters {
		there, err := c.claims(ctx)
		if err != nil {
			return err
		}
		left = append(left, there...)
	}
	if len(left) == 0 {
		return nil
	}
	say("%d namespaces of another run are there (%s); looking for %s whether it still runs", len(left), left[0].run, deadAfter)
	for end := time.Now().Add(deadAfter); time.Now().Before(end); {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		for i, was := range left {
			is, err := was.cluster.client.Resource(namespaces()).Get(ctx, was.name, metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err): // taken away by its own run, at its end
			case err != nil:
				return fmt.Errorf("look at namespace %s in %s: %w", was.name, was.cluster.name, err)
			case is.GetUID() != was.uid || is.GetAnnotations()[aliveAnnotation] != was.alive:
				return was.cluster.claimOf(is).running()
			default:
				left[i] = was.cluster.claimOf(is)
			}
		}
	}
	for _, cl := range left {
		say("removing namespace %s, which that run left in %s", cl.name, cl.cluster.name)
		if err := cl.cluster.deleteNamespace(ctx, cl.name, cl.unchanged()); err != nil {
			return err
		}
	}
	return nil
}

// makeNamespaces makes those that the demo keeps to, and marks them until alive ends. lost hears if one of them is taken away.
func (c *cluster) makeNamespaces(ctx, alive context.Context, run string, lost func(error)) error {
	for _, name := range []string{namespace, agentNamespace} {
		made := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
			"name":        name,
			"labels":      map[string]any{madeByLabel: madeByDemo},
			"annotations": map[string]any{runAnnotation: run, aliveAnnotation: rand.Text()},
		}}}
		made, err := c.client.Resource(namespaces()).Create(ctx, made, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("namespace %s in %s (kubeconfig %s) was made by somebody else at this moment, perhaps by another demo: end that one first (Ctrl-C), or use other clusters", name, c.name, c.kubeconfig)
		}
		if err != nil {
			return fmt.Errorf("make namespace %s in %s: %w", name, c.name, err)
		}
		mine := c.claimOf(made)
		c.made = append(c.made, mine)
		c.alive.Go(func() { mine.keepAlive(alive, lost) })
	}
	return nil
}

// keepAlive marks the namespace anew until ctx ends. A cluster that does not answer for a while changes nothing.
func (cl claim) keepAlive(ctx context.Context, lost func(error)) {
	for {
		select {
		case <-time.After(aliveEvery):
		case <-ctx.Done():
			return
		}
		// With another UID it is refused: the namespace of that name is somebody else's by now.
		patch := fmt.Appendf(nil, `{"metadata":{"uid":%q,"annotations":{%q:%q}}}`, cl.uid, aliveAnnotation, rand.Text())
		_, err := cl.cluster.client.Resource(namespaces()).Patch(ctx, cl.name, types.MergePatchType, patch, metav1.PatchOptions{})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			lost(fmt.Errorf("namespace %s in %s was taken away from this run: %w", cl.name, cl.cluster.name, err))
			return
		}
	}
}

// removeNamespaces removes those that this run made, with all that is in them. The run has to have ended.
func (c *cluster) removeNamespaces(ctx context.Context) error {
	c.alive.Wait()
	var errs []error
	for _, cl := range c.made {
		errs = append(errs, c.deleteNamespace(ctx, cl.name, metav1.Preconditions{UID: &cl.uid}))
	}
	return errors.Join(errs...)
}

// deleteNamespace removes the namespace that the preconditions mean and waits until it is gone. If another one has taken its place, that
// one stays.
func (c *cluster) deleteNamespace(ctx context.Context, name string, only metav1.Preconditions) error {
	ctx, cancel := context.WithTimeout(ctx, removalLimit)
	defer cancel()
	client := c.client.Resource(namespaces())
	err := client.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &only})
	for err == nil {
		select {
		case <-time.After(200 * time.Millisecond):
			var there *unstructured.Unstructured
			if there, err = client.Get(ctx, name, metav1.GetOptions{}); err == nil && there.GetUID() != *only.UID {
				return nil
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	if apierrors.IsConflict(err) {
		return fmt.Errorf("namespace %s in %s was changed at the moment when it was to be removed, so somebody uses it: it is left as it is: %w", name, c.name, err)
	}
	return fmt.Errorf("remove namespace %s from %s: %w; kubectl --kubeconfig %s delete namespace %s does it by hand", name, c.name, err, c.kubeconfig, name)
}
