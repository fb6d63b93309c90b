package kube

import (
	"encoding/json"
	"testing"

	status "github.com/colliery-io/brokkr/pkg/domain/cluster"
)

func TestWhatAPodRequests(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spec string
		want status.Resources
	}{
		"nothing":          {`{}`, status.Resources{Pods: 1}},
		"two containers":   {`{"containers":[{"resources":{"requests":{"cpu":"100m","memory":"1Gi"}}},{"resources":{"requests":{"cpu":"1","nvidia.com/gpu":"2"}}}]}`, status.Resources{CPU: 1100, Memory: 1 << 30, GPU: 2, Pods: 1}},
		"a greedy start":   {`{"containers":[{"resources":{"requests":{"cpu":"100m"}}}],"initContainers":[{"resources":{"requests":{"cpu":"2"}}}]}`, status.Resources{CPU: 2000, Pods: 1}},
		"one beside":       {`{"containers":[{"resources":{"requests":{"cpu":"100m"}}}],"initContainers":[{"restartPolicy":"Always","resources":{"requests":{"cpu":"50m"}}}]}`, status.Resources{CPU: 150, Pods: 1}},
		"overhead":         {`{"containers":[{"resources":{"requests":{"cpu":"100m"}}}],"overhead":{"cpu":"10m"}}`, status.Resources{CPU: 110, Pods: 1}},
		"a GPU of another": {`{"containers":[{"resources":{"requests":{"gpu.intel.com/i915":"1"}}}]}`, status.Resources{GPU: 1, Pods: 1}},
	} {
		var p pod
		if err := json.Unmarshal([]byte(`{"spec":`+tc.spec+`}`), &p); err != nil {
			t.Fatal(err)
		}
		if got := p.requests(); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
}
