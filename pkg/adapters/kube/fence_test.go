package kube

import (
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// frozen is the way of a process whose renewals do not arrive; what else it does does.
type frozen struct {
	*leaseServer
	now atomic.Bool
}

func (f *frozen) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.now.Load() && r.Method == http.MethodPut {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return f.leaseServer.RoundTrip(r)
}

func TestWithoutTheLeaseNothingIsWritten(t *testing.T) {
	t.Parallel()
	m := cluster.Mapping{Kind: kind("", "v1", "ConfigMap"), Resource: configMaps(), Namespaced: true}
	target := cluster.Target{Mapping: m, Namespace: "n", Name: "x"}
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x", "namespace": "n"}}}
	writes := func(t *testing.T, k *Cluster) map[string]func() error {
		return map[string]func() error{
			"apply":   func() error { _, err := k.Apply(t.Context(), "", m, obj, false); return err },
			"make":    func() error { _, err := k.Make(t.Context(), "", m, obj); return err },
			"delete":  func() error { return k.Delete(t.Context(), "", target) },
			"release": func() error { return k.Release(t.Context(), "", target) },
			"save":    func() error { _, err := k.Inventories().Save(t.Context(), cluster.Inventory{Stack: "s"}); return err },
			"forget":  func() error { return k.Inventories().Delete(t.Context(), "s", "") },
		}
	}
	for name, c := range map[string]struct {
		happens func(*leaseServer, *frozen)
		after   time.Duration
		refused []string // all if it is one "*"
		code    string
		reads   bool
	}{
		"just renewed":                         {happens: func(*leaseServer, *frozen) {}, after: time.Minute},
		"not renewed, and nobody has taken it": {happens: func(_ *leaseServer, f *frozen) { f.now.Store(true) }, after: time.Minute, reads: true},
		"not renewed, and another has it": {happens: func(s *leaseServer, f *frozen) {
			f.now.Store(true)
			s.heldBy(elsewhere, time.Now())
		}, after: leaseFresh + time.Second, refused: []string{"*"}, code: codeNotHolding, reads: true},
		"another has taken it this moment": {happens: func(s *leaseServer, f *frozen) {
			f.now.Store(true)
			s.heldBy(elsewhere, time.Now())
		}, after: 0, refused: []string{"forget"}, code: codeNotHolding},
		"another was seen to have it":    {happens: func(s *leaseServer, _ *frozen) { s.heldBy(elsewhere, time.Now()) }, after: 2 * leaseRenew, refused: []string{"*"}, code: codeNotHolding, reads: true},
		"not renewed, and it is gone":    {happens: func(s *leaseServer, f *frozen) { f.now.Store(true); s.set(func() { s.object = nil }) }, after: leaseFresh + 4*leaseRenew, refused: nil, reads: true},
		"the API server does not answer": {happens: func(s *leaseServer, _ *frozen) { s.set(func() { s.down = syscall.ECONNREFUSED }) }, after: time.Minute, refused: []string{"*"}, code: cluster.CodeUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &leaseServer{}
				f := &frozen{leaseServer: s}
				holding := s.enterBy(t, "one", f)
				synctest.Wait()
				holding.want(t, "at first", LeaseHeld, 1)
				c.happens(s, f)
				time.Sleep(c.after)
				synctest.Wait()
				for act, write := range writes(t, holding.lease.cluster) {
					before, reads := s.count()
					err := write()
					after, readsAfter := s.count()
					refused := len(c.refused) > 0 && (c.refused[0] == "*" || c.refused[0] == act)
					if refused && (!fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != c.code || after != before) {
						t.Errorf("%s: got %v after %d requests, want it refused", act, err, after-before)
					}
					if !refused && (err != nil || after == before) {
						t.Errorf("%s: got %v after %d requests, want it done", act, err, after-before)
					}
					if read := readsAfter > reads; c.code != cluster.CodeUnreachable && read != (c.reads || act == "forget") {
						t.Errorf("%s: the lease was read: %v", act, read)
					}
				}
				s.set(func() { s.down = nil })
				f.now.Store(false)
				holding.leave(t)
			})
		})
	}
}

// count returns how often anything but the lease was asked for, and how often the lease was read.
func (s *leaseServer) count() (written, reads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written, s.reads
}
