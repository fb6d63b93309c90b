package kube_test

import (
	"context"
	"testing"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/ports/cluster/clustertest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	clustertest.Cluster(t, func(t *testing.T) clustertest.Parts {
		w := newWorld(t)
		return clustertest.Parts{
			Kinds: w.c, Objects: w.c, Contents: w.c, Prober: w.c, Inventories: w.c.Inventories(), Namespace: w.namespace,
			PodLogs: w.c.PodLogs(), Agent: w.agent,
			Watches: func(ctx context.Context, notify func(cluster.Change)) (cluster.Watches, <-chan struct{}) {
				return watching(ctx, w.c.Watches(notify))
			},
		}
	})
}

// watching runs watches until ctx ends.
func watching(ctx context.Context, x *kube.Watches) (cluster.Watches, <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = x.Run(ctx) // fails never
	}()
	return x, ended
}

func TestElection(t *testing.T) {
	t.Parallel()
	clustertest.Election(t, func(t *testing.T) clustertest.Contend {
		w := newWorld(t)
		return func(t *testing.T, name string, onChange func(bool, string)) func() {
			l := w.c.Lease(name, func(s kube.LeaseState, holder string) { onChange(s == kube.LeaseHeld, holder) })
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- l.Run(ctx) }()
			return func() {
				stop()
				if err := <-ended; err != nil {
					t.Errorf("lease: %v", err)
				}
			}
		}
	})
}
