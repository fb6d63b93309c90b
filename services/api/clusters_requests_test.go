package api_test

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
)

// tainted gives the agent a taint; drained drains it.
func (w *world) tainted() {
	w.t.Helper()
	_, err := w.store.Clusters().Taint(w.t.Context(), w.agent.ID, cluster.Taint{Key: "maintenance", Effect: cluster.NoPlace, Since: time.Now().UTC()})
	must(w.t, err)
}

func (w *world) drained(budget int) {
	w.t.Helper()
	_, err := w.store.Drains().Start(w.t.Context(), w.agent.ID, cluster.Drain{Since: time.Now().UTC(), By: "admin", Budget: budget})
	must(w.t, err)
}

func clusterRequests() map[string]func(w *world) request {
	path := func(w *world, rest string) string { return "/agents/" + string(w.agent.ID) + rest }
	return map[string]func(w *world) request{
		"get_agent_cluster": func(w *world) request {
			w.tainted()
			w.drained(1)
			price := 2.5
			_, err := w.store.Clusters().Report(w.t.Context(), w.agent.ID, cluster.Status{
				KubernetesVersion: "v1.36.3", Nodes: 3, ReadyNodes: 3, APIs: []string{"v1"}, Facts: map[string]cluster.Fact{"price": {Number: &price}, "zone": {Text: "north"}},
				Unknown: map[cluster.Part]string{cluster.PartRequested: "pods are forbidden"},
			}, time.Now().UTC())
			must(w.t, err)
			return request{method: "GET", path: path(w, "/cluster")}
		},
		"list_clusters": func(w *world) request { return request{method: "GET", path: "/clusters"} },
		"cordon_agent": func(w *world) request {
			return request{method: "POST", path: path(w, "/cordon"), body: `{"reason":"new disks"}`}
		},
		"uncordon_agent": func(w *world) request {
			w.drained(0)
			return request{method: "POST", path: path(w, "/uncordon")}
		},
		"drain_agent": func(w *world) request {
			return request{method: "POST", path: path(w, "/drain"), body: `{"budget":2,"reason":"old iron"}`}
		},
		"end_agent_drain": func(w *world) request {
			w.drained(0)
			return request{method: "DELETE", path: path(w, "/drain")}
		},
		"agents_list_taints": func(w *world) request {
			w.tainted()
			return request{method: "GET", path: path(w, "/taints")}
		},
		"agents_put_taint": func(w *world) request {
			return request{method: "PUT", path: path(w, "/taints"), body: `{"key":"gpu","value":"a100","effect":"PreferNoPlace"}`}
		},
		"agents_remove_taint": func(w *world) request {
			w.tainted()
			return request{method: "DELETE", path: path(w, "/taints/maintenance?effect=NoPlace")}
		},
	}
}
