package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/event"
)

// Each change of a cluster is made under a plan of just that change, as long as the plan is true, and under no other.
func TestChangesOfAClusterUnderAPlan(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	const label, annotate, taint = "/labels", "/annotations", "/taints"
	for name, tc := range map[string]struct {
		before       string // what the change takes away again, in the words of changes below
		planned      string
		method, path string
		body         string
	}{
		"cordon":                   {"", `"cordon":true`, "POST", "/cordon", `{"reason":"disks"}`},
		"uncordon":                 {"cordon", `"uncordon":true`, "POST", "/uncordon", ``},
		"drain":                    {"", `"drain":true`, "POST", "/drain", `{"budget":2}`},
		"taint":                    {"", `"add_taints":[{"key":"disks","value":"old","effect":"Evict"}]`, "PUT", taint, `{"key":"disks","value":"old","effect":"evict"}`},
		"taint removed":            {"taint", `"remove_taints":["disks"]`, "DELETE", taint + "/disks", ``},
		"taint of an effect":       {"taint", `"remove_taints":["disks:Evict"]`, "DELETE", taint + "/disks?effect=Evict", ``},
		"label":                    {"", `"add_labels":["tier/web"],"remove_labels":[]`, "POST", label, `{"label":"tier/web"}`},
		"label removed":            {"label", `"remove_labels":["tier/web"]`, "DELETE", label + "/tier%2Fweb", ``},
		"annotation":               {"", `"set_annotations":{"team":"x"}`, "POST", annotate, `{"key":"team","value":"x"}`},
		"annotation that is taken": {"annotation", `"remove_annotations":["team"]`, "DELETE", annotate + "/team", ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c)
			agent := "/agents/" + string(w.agent.ID)
			do := func(what string) {
				q := map[string]request{
					"cordon": {method: "POST", path: agent + "/cordon"}, "taint": {method: "PUT", path: agent + taint, body: `{"key":"disks","value":"old","effect":"Evict"}`},
					"label": {method: "POST", path: agent + label, body: `{"label":"tier/web"}`}, "annotation": {method: "POST", path: agent + annotate, body: `{"key":"team","value":"x"}`},
				}
				if what != "" {
					w.ok(asAdmin, q[what])
				}
			}
			do(tc.before)
			plan := func() string {
				t.Helper()
				return answer[planAnswer](w, asAdmin, "POST", "/placement/plan", `{"agents":[{"agent_id":"`+string(w.agent.ID)+`",`+tc.planned+`}]}`).ID
			}
			under := func(id string) request {
				sep := "?"
				if strings.Contains(tc.path, "?") {
					sep = "&"
				}
				return request{method: tc.method, path: agent + tc.path + sep + "plan=" + id, body: tc.body}
			}
			see := func() string {
				cl, err := w.store.Facts().Clusters(t.Context(), nil)
				must(t, err)
				for _, x := range cl {
					if x.Agent == w.agent.ID {
						return fmt.Sprint(x.Labels, x.Annotations, len(x.Taints), x.Cordon != nil, x.Drain != nil)
					}
				}
				return ""
			}
			as, events := see(), w.end()
			first := plan()
			lost := answer[planAnswer](w, asAdmin, "POST", "/placement/plan", `{"agents":[{"agent_id":"`+string(w.agent.ID)+`","lost":true}]}`).ID
			w.refused(asAdmin, under(lost), http.StatusConflict, "plan_outdated") // of another change
			// The world moves: what the owner's stacks are to have.
			w.publish(w.newStack("new")) // for who has the label tier/web or the annotation team
			second := plan()
			if second != first {
				w.refused(asAdmin, under(first), http.StatusConflict, "plan_outdated")
			} else if name == "label" || name == "annotation" {
				t.Error("another stack would come with it, and yet the plan is the same")
			}
			if now := see(); now != as {
				t.Errorf("refused, and yet: %s, was %s", now, as)
			}
			for _, e := range w.since(events) {
				if e.Type == event.AgentChanged {
					t.Errorf("refused, and yet told: %+v", e)
				}
			}
			w.ok(asAdmin, under(second))
			if now := see(); now == as {
				t.Errorf("under its plan: nothing has changed: %s", now)
			}
		})
	}
}
