package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	boot    = "6f1f3c1e-7a43-4f6f-9a2e-0d7f4c1b2a30"
	stackID = "0d9c4b9e-2a9b-4a62-8d6e-3b1f5f1c9a77"
	object  = "b3f0a6a4-5f0e-4a1f-8a0c-9f6f7f4d2e11"
	sum     = "4c697273df3d764cba950bb5c04368097685f09259f5bd880d892cf1ff9f4cdd"
)

// messages are one of each shape that crosses the wire.
func messages() map[string]any {
	yes, ms, mark, turn := true, int32(12), int64(1767323045678000), int64(3)
	stacks := []wire.Stack{{
		StackID: stackID, StackName: "web", GeneratorID: "2b5e1b36-8f0a-4b5f-9d53-6a1c0f3e7d42", DeploymentObjectID: object, SequenceID: 42,
		Checksum: sum, Size: 1234, Revision: 7, Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		Policy: wire.Policy{
			Prune: "orphan", PruneAdopted: true, PruneProtected: true, Adopt: "never", Drift: "report",
			IgnorePaths: []string{"/spec/replicas"}, ServiceAccount: "team/deployer",
			HealthRules: []string{"Certificate.cert-manager.io='healthy'"},
		},
	}}
	none := []wire.Stack{}
	removed := []wire.Removed{{StackID: stackID, Revision: 7, Message: "removed nothing: no inventory was found"}}
	told := []wire.Removed{{StackID: stackID, Revision: 7, GeneratorID: stacks[0].GeneratorID, Policy: &wire.Policy{Prune: "orphan"}}}
	return map[string]any{
		"request_idle": wire.SyncRequest{BootID: boot, Seq: 3, Revision: 7, WaitSeconds: 55, Heartbeat: wire.Heartbeat{K8sReachable: &yes, K8sAPILatencyMS: &ms}},
		"request_full": wire.SyncRequest{
			BootID: boot, Seq: 4, Revision: 7, WaitSeconds: 55, Heartbeat: wire.Heartbeat{K8sReachable: &yes, K8sAPILatencyMS: &ms},
			Status: json.RawMessage(`{"kubernetes_version":"v1.37.2"}`),
			Applied: []wire.Applied{{
				StackID: stackID, DeploymentObjectID: object, SequenceID: 42, Phase: "applied", Health: "degraded",
				Message: "1 of 2 pods ready", ObservedAt: time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC),
			}},
			Removed: removed, Work: &mark, Turn: &turn,
		},
		"response_unchanged": wire.SyncResponse{Revision: 7, Next: wire.Next{WaitSeconds: wire.MaxWaitSeconds}},
		"response_empty":     wire.SyncResponse{Revision: 7, Stacks: &none, Next: wire.Next{WaitSeconds: wire.MaxWaitSeconds}},
		"response_changed": wire.SyncResponse{
			Revision: 8, Stacks: &stacks, Removed: told, Pending: wire.Pending{WorkOrders: 1, Diagnostics: 2, Webhooks: 3, Mark: mark},
			Next: wire.Next{WaitSeconds: wire.MaxWaitSeconds},
		},
		"response_turn": wire.SyncResponse{Revision: 7, Next: wire.Next{WaitSeconds: wire.MaxWaitSeconds}, Turn: turn},
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for name, m := range messages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.MarshalIndent(m, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("the shape on the wire changed (-golden +now); fields are only ever added:\n%s", diff)
			}
		})
	}
}

func TestGoldenFilesAreUnderstood(t *testing.T) {
	t.Parallel()
	for name, m := range messages() {
		b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var back any
		switch m.(type) {
		case wire.SyncRequest:
			back = decode[wire.SyncRequest](t, b)
		case wire.SyncResponse:
			back = decode[wire.SyncResponse](t, b)
		}
		if diff := cmp.Diff(m, back, cmp.Comparer(sameJSON)); diff != "" {
			t.Errorf("%s: lost on the way (-sent +received):\n%s", name, diff)
		}
	}
}

func decode[T any](t *testing.T, b []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return len(a) == 0 && len(b) == 0 || json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

func TestAbsentStacksAreNotEmptyOnes(t *testing.T) {
	t.Parallel()
	unchanged, empty := decode[wire.SyncResponse](t, []byte(`{"revision":1}`)), decode[wire.SyncResponse](t, []byte(`{"revision":1,"stacks":[]}`))
	if unchanged.Stacks != nil || empty.Stacks == nil || len(*empty.Stacks) != 0 {
		t.Errorf("got %v and %v, want nil and an empty list", unchanged.Stacks, empty.Stacks)
	}
}
