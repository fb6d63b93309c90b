package api_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/services/api"
)

// cyclic has policies, and what attaches them.
type cyclic struct{ *world }

// depends makes a policy whose stacks depend on another.
func (w cyclic) depends(name, on string) string {
	w.t.Helper()
	return answer[policyAnswer](w.world, asOwner, "POST", "/placement-policies", `{"name":"`+name+`","depends_on":[{"stack":"`+on+`"}]}`).ID
}

func (w cyclic) free(name string) string {
	w.t.Helper()
	return answer[policyAnswer](w.world, asOwner, "POST", "/placement-policies", `{"name":"`+name+`"}`).ID
}

func attachTo(s stack.Stack, policy string) request {
	return request{method: "PUT", path: "/stacks/" + string(s.ID) + "/placement-policy", body: `{"policy_id":"` + policy + `"}`}
}

func attachLabel(policy, label string) request {
	return request{method: "PUT", path: "/placement-policies/" + policy + "/stack-labels/" + label}
}

func labelled(s stack.Stack, label string) request {
	return request{method: "POST", path: "/stacks/" + string(s.ID) + "/labels", body: `"` + label + `"`}
}

// What takes a policy away lets another one decide, which may close a cycle as well.
func TestTakingAPolicyAwayClosesNoCycle(t *testing.T) {
	t.Parallel()
	contract := loadContract(t)
	for name, tc := range map[string]struct {
		covers func(w cyclic, free string) request // how the policy comes between that is taken away
		take   func(w cyclic, free string) request // what takes it away
	}{
		"detaching it": {func(w cyclic, free string) request { return attachTo(w.held, free) }, func(w cyclic, _ string) request {
			return request{method: "DELETE", path: "/stacks/" + string(w.held.ID) + "/placement-policy"}
		}},
		"deleting it": {func(w cyclic, free string) request { return attachTo(w.held, free) }, func(_ cyclic, free string) request {
			return request{method: "DELETE", path: "/placement-policies/" + free + "?detach=true"}
		}},
		"detaching it from a label": {func(_ cyclic, free string) request { return attachLabel(free, "aaa") }, func(_ cyclic, free string) request {
			return request{method: "DELETE", path: "/placement-policies/" + free + "/stack-labels/aaa"}
		}},
		"deleting it with its label": {func(_ cyclic, free string) request { return attachLabel(free, "aaa") }, func(_ cyclic, free string) request {
			return request{method: "DELETE", path: "/placement-policies/" + free + "?detach=true"}
		}},
		"taking its label from the stack": {func(_ cyclic, free string) request { return attachLabel(free, "aaa") }, func(w cyclic, _ string) request {
			return request{method: "DELETE", path: "/stacks/" + string(w.held.ID) + "/labels/aaa"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cyclic{newWorld(t, contract)}
			onHeld, onWeb, free := w.depends("on-held", "held"), w.depends("zz-on-web", "web"), w.free("aa-free")
			w.ok(asOwner, labelled(w.held, "aaa"))
			w.ok(asOwner, tc.covers(w, free))
			w.ok(asOwner, labelled(w.held, "zzz"))
			w.ok(asOwner, attachTo(w.stack, onHeld)) // web -> held
			w.ok(asOwner, attachLabel(onWeb, "zzz")) // held -> web, but for the policy that comes before
			before := w.end()
			rec := w.checked(asOwner, tc.take(w, free))
			if rec.Code != http.StatusUnprocessableEntity || !strings.Contains(rec.Body.String(), `"dependency_cycle"`) || !strings.Contains(rec.Body.String(), `"cycle":["held","web","held"]`) {
				t.Errorf("got %d %s, want 422 dependency_cycle held -> web -> held", rec.Code, rec.Body)
			}
			if events := w.since(before); len(events) != 0 {
				t.Errorf("the refused call has written %+v", events)
			}
			w.ok(asOwner, request{method: "DELETE", path: "/stacks/" + string(w.stack.ID) + "/placement-policy"})
			w.ok(asOwner, tc.take(w, free)) // without a cycle nothing keeps it
		})
	}
}

// Of two changes at one moment that close a cycle together one is refused, whatever they are.
func TestRacersCloseNoCycle(t *testing.T) {
	t.Parallel()
	contract := loadContract(t)
	for database, open := range databases(t) {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			w := cyclic{newWorldOf(t, contract, api.Config{}, store)}
			replicas := []http.Handler{w.handler, w.handlerOf(store)}
			onHeld, onWeb, free := w.depends("on-held", "held"), w.depends("on-web", "web"), w.free("free")
			renamed := func(name string) request {
				return request{method: "PUT", path: "/stacks/" + string(w.held.ID), body: `{"name":"` + name + `"}`}
			}
			revised := func(id, document string) request {
				return request{method: "PUT", path: "/placement-policies/" + id, body: document}
			}
			pairs := map[string]struct {
				before []request
				racers [2]request
				after  []request
			}{
				"attachments": {nil, [2]request{attachTo(w.stack, onHeld), attachTo(w.held, onWeb)}, nil},
				"a label and its policy": {[]request{attachTo(w.stack, onHeld)}, [2]request{labelled(w.held, "slow"), attachLabel(onWeb, "slow")}, []request{
					{method: "DELETE", path: "/stacks/" + string(w.held.ID) + "/labels/slow"}, {method: "DELETE", path: "/placement-policies/" + onWeb + "/stack-labels/slow"}}},
				"a name and an attachment": {[]request{renamed("other"), attachTo(w.stack, onHeld)}, [2]request{renamed("held"), attachTo(w.held, onWeb)}, []request{renamed("held")}},
				"a revision and an attachment": {[]request{attachTo(w.stack, onHeld)}, [2]request{
					revised(free, `{"name":"free","depends_on":[{"stack":"web"}]}`), attachTo(w.held, free)}, []request{revised(free, `{"name":"free"}`)}},
				"a revision and a label": {[]request{attachTo(w.stack, onHeld), labelled(w.held, "fast")}, [2]request{
					revised(free, `{"name":"free","depends_on":[{"stack":"web"}]}`), attachLabel(free, "fast")}, []request{revised(free, `{"name":"free"}`),
					{method: "DELETE", path: "/placement-policies/" + free + "/stack-labels/fast"}, {method: "DELETE", path: "/stacks/" + string(w.held.ID) + "/labels/fast"}}},
				"a detachment and a label": {[]request{attachTo(w.stack, onHeld), attachTo(w.held, free), labelled(w.held, "late")}, [2]request{
					{method: "DELETE", path: "/stacks/" + string(w.held.ID) + "/placement-policy"}, attachLabel(onWeb, "late")}, []request{
					{method: "DELETE", path: "/placement-policies/" + onWeb + "/stack-labels/late"}, {method: "DELETE", path: "/stacks/" + string(w.held.ID) + "/labels/late"}}},
			}
			for name, tc := range pairs {
				for range 5 {
					for _, q := range tc.before {
						w.ok(asOwner, q)
					}
					var codes [2]int
					var wg sync.WaitGroup
					for i, q := range tc.racers {
						wg.Go(func() { codes[i] = w.on(replicas[i], asOwner, q).Code })
					}
					wg.Wait()
					if refused := http.StatusUnprocessableEntity; (codes[0] == refused) == (codes[1] == refused) {
						t.Errorf("%s: answers %v, want one of them refused", name, codes)
					}
					for _, q := range append([]request{{method: "DELETE", path: "/stacks/" + string(w.stack.ID) + "/placement-policy"},
						{method: "DELETE", path: "/stacks/" + string(w.held.ID) + "/placement-policy"}}, tc.after...) {
						w.on(w.handler, asOwner, q) // as far as it is there
					}
				}
			}
		})
	}
}
