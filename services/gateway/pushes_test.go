package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

func TestChangesArePushed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, s := w.agent("a", agent.Active), w.stack("web")
		r := w.gateway(options{})
		said, _ := w.dial(r.listen(), agentPath, a.key)
		o := w.publish(s.ID, "v: 1")
		w.assign(o, a)
		if got := said.heard(); !strings.Contains(got, `{"type":"stack_changed","body":{"id":"`+string(s.ID)) || strings.Contains(got, "\n") {
			t.Errorf("assigned: heard %s, want stack_changed once", got)
		} else {
			w.has(got, "stack_changed", "id created_at updated_at deleted_at name description generator_id")
		}
		w.remove(o, a)
		if got := said.heard(); !strings.Contains(got, `"type":"target_changed"`) || !strings.Contains(got, string(s.ID)) {
			t.Errorf("removed: heard %s, want target_changed", got)
		} else {
			w.has(got, "target_changed", "id agent_id stack_id")
		}
	})
}

// A work order is pushed to the agents that it is for, once; the next announcement pushes what is new alone.
func TestWorkOrdersArePushed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		a, other := w.agent("a", agent.Active), w.agent("other", agent.Active)
		c := w.gateway(options{}).listen()
		mine, _ := w.dial(c, agentPath, a.key)
		theirs, _ := w.dial(c, agentPath, other.key)
		mine.heard()
		o := w.workOrder(workorder.Spec{Type: "custom"}, a)
		w.ring(a.id)
		if got := mine.heard(); !strings.HasPrefix(got, `{"type":"work_order","body":{"id":"`+string(o.ID)) || !strings.Contains(got, `"status":"PENDING"`) || !strings.Contains(got, `"yaml_content":"`) || strings.Contains(got, "\n") {
			t.Errorf("heard %s, want the order once", got)
		} else {
			w.has(got, "work_order", "id created_at updated_at work_type yaml_content status claimed_by claimed_at claim_timeout_seconds max_retries retry_count "+
				"backoff_seconds next_retry_after last_error last_error_at")
		}
		w.ring(a.id)
		if got := mine.heard(); got != "" {
			t.Errorf("heard %s, want nothing twice", got)
		}
		time.Sleep(time.Second)
		next := w.workOrder(workorder.Spec{Type: "build"}, a)
		w.ring()
		if got := mine.heard(); !strings.Contains(got, string(next.ID)) || strings.Contains(got, string(o.ID)) {
			t.Errorf("heard %s, want the new order alone", got)
		}
		if got := theirs.heard(); got != "" {
			t.Errorf("another agent heard %s", got)
		}
	})
}
