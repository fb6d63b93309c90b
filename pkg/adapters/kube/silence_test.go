package kube_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// calls are all calls of the adapter that ask the API server, by name.
func (w *world) calls(c *kube.Cluster) map[string]func(context.Context) error {
	m := w.mapping(configMap)
	target := cluster.Target{Mapping: m, Namespace: w.namespace, Name: "a"}
	unknown := schema.GroupVersionKind{Group: "absent", Version: "v1", Kind: "Absent"}
	return map[string]func(context.Context) error{
		"probe":   func(ctx context.Context) error { _, err := c.Probe(ctx); return err },
		"mapping": func(ctx context.Context) error { _, err := c.Mapping(ctx, unknown); return err },
		"any":     func(ctx context.Context) error { _, err := c.Any(ctx, unknown); return err },
		"get":     func(ctx context.Context) error { _, err := c.Get(ctx, "", target); return err },
		"get as":  func(ctx context.Context) error { _, err := c.Get(ctx, "a/b", target); return err },
		"apply": func(ctx context.Context) error {
			_, err := c.Apply(ctx, "", m, w.labelled("a", "s", "1"), true)
			return err
		},
		"delete":    func(ctx context.Context) error { return c.Delete(ctx, "", target) },
		"release":   func(ctx context.Context) error { return c.Release(ctx, "", target) },
		"strangers": func(ctx context.Context) error { _, err := c.Strangers(ctx, "", w.namespace, nil, 1); return err },
		"instances": func(ctx context.Context) error { _, err := c.Instances(ctx, "", m, nil, 1); return err },
		"pods":      func(ctx context.Context) error { _, err := c.Pods(ctx, w.namespace, "app"); return err },
		"load":      func(ctx context.Context) error { _, err := c.Inventories().Load(ctx, "s"); return err },
		"save": func(ctx context.Context) error {
			_, err := c.Inventories().Save(ctx, cluster.Inventory{Stack: "s"})
			return err
		},
		"delete inventory": func(ctx context.Context) error { return c.Inventories().Delete(ctx, "s", "") },
		"ensure namespace": c.EnsureNamespace,
	}
}

// TestAPIServerRefuses has nobody listen: each call says so at once.
func TestAPIServerRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, cfg := newProxy(t, w.config)
	p.cut()
	for act, call := range w.calls(w.cluster(cfg, kube.Options{})) {
		err := call(t.Context())
		if !fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != "cluster_unreachable" || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: got %v, want cluster_unreachable, connection refused", act, err)
		}
	}
}

// TestAPIServerIsSilent has connections that are taken and not answered: each call ends when its caller has had enough.
func TestAPIServerIsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, cfg := newProxy(t, w.config)
	c := w.cluster(cfg, kube.Options{})
	if _, err := c.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.lose(true)
	const enough = 100 * time.Millisecond
	for act, call := range w.calls(c) {
		ctx, cancel := context.WithTimeout(t.Context(), enough)
		began := time.Now()
		err := call(ctx)
		cancel()
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "no answer in time") {
			t.Errorf("%s: got %v, want Unavailable, no answer in time", act, err)
		}
		if took := time.Since(began); took > 20*enough {
			t.Errorf("%s: it took %v, want about %v", act, took, enough)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(enough, cancel)
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: got %v, want context.Canceled", act, err)
		}
	}
}
