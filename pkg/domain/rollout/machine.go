package rollout

import (
	"fmt"
	"strings"
)

// Edge is a transition that a rollout can make.
type Edge struct {
	From, To Phase
	Why      string
}

// Edges returns every transition. The tests compare it with what rollouts do, and with docs/state/rollout.md.
func Edges() []Edge {
	out := []Edge{
		{PhasePending, PhaseProgressing, "the first wave begins"},
		{PhasePending, PhaseWaitingWindow, "no window is open"},
		{PhaseWaitingWindow, PhaseProgressing, "a window opens"},
		{PhaseProgressing, PhaseWaitingWindow, "the next wave finds no open window"},
		{PhaseProgressing, PhaseWaitingApproval, "the wave is healthy and has soaked, and must be approved"},
		{PhaseWaitingApproval, PhaseProgressing, "approve, or who was away is back"},
		{PhaseProgressing, PhaseCompleted, "the last wave is through"},
		{PhaseProgressing, PhaseFailed, "too many failed, on_failure rollback"},
		{PhaseProgressing, PhasePaused, "pause, or too many failed, on_failure pause"},
		{PhaseWaitingApproval, PhaseFailed, "too many failed, on_failure rollback"},
		{PhaseWaitingApproval, PhasePaused, "pause, or too many failed, on_failure pause"},
		{PhasePending, PhasePaused, "pause"},
		{PhaseWaitingWindow, PhasePaused, "pause, or too many failed, on_failure pause"},
		{PhaseWaitingWindow, PhaseFailed, "too many failed, on_failure rollback"},
		{PhasePaused, PhaseProgressing, "resume"},
		{PhasePaused, PhasePending, "resume before a wave has begun"},
		{PhaseFailed, PhaseRollingBack, "at once"},
		{PhaseRollingBack, PhaseRolledBack, "the clusters are back, or out of time"},
		{PhaseCompleted, PhaseRollingBack, "undo"},
		{PhaseAborted, PhaseRollingBack, "undo"},
	}
	for _, p := range []Phase{PhasePending, PhaseProgressing, PhaseWaitingApproval, PhaseWaitingWindow, PhasePaused} {
		out = append(out, Edge{p, PhaseAborted, "abort"}, Edge{p, PhaseRollingBack, "undo"})
	}
	for _, p := range Phases() {
		if p.Open() && p != PhaseFailed {
			out = append(out, Edge{p, PhaseSuperseded, "a newer object, or the stack goes"})
		}
	}
	return out
}

// Mermaid draws Edges.
func Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> pending\n")
	for _, e := range Edges() {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", e.From, e.To, e.Why)
	}
	for _, p := range Phases() {
		if !p.Open() {
			fmt.Fprintf(&b, "    %s --> [*]\n", p)
		}
	}
	return b.String()
}
