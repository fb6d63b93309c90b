package reconcile

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
)

// state is what was last known of a desired object: what a watch tells is compared with it.
type state struct {
	uid         string
	version     string
	fingerprint uint64
	health      health.Object
	expired     bool // it is not there, because it has run
}

// stateOf is an object's state by the rules that hold for it; of nil it is that of an object that is missing.
func stateOf(rules health.Rules, k cluster.Key, u *unstructured.Unstructured) state {
	s := state{health: rules.Of(k, u)}
	if u != nil {
		s.uid, s.version, s.fingerprint = string(u.GetUID()), u.GetResourceVersion(), cluster.Fingerprint(u)
	}
	return s
}

// expired is the state of a job that Kubernetes took away after its end, as it says.
func expired(k cluster.Key) state {
	return state{health: health.Object{Key: k, Health: delivery.HealthHealthy}, expired: true}
}

func (s state) isHealthy() bool { return s.health.Health == delivery.HealthHealthy }
