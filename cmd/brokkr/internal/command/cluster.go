package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

// What the API calls states, phases and healths.
const (
	stateRemoving     = "removing"
	phasePending      = "pending"
	phaseFetching     = "fetching"
	phaseApplying     = "applying"
	phaseApplied      = "applied"
	phaseFailed       = "failed"
	healthHealthy     = "healthy"
	healthProgressing = "progressing"
	healthDegraded    = "degraded"
	healthFailing     = "failing"
	statusActive      = "ACTIVE"
	statusInactive    = "INACTIVE"
)

// silentAfter is how old a heartbeat may be before it is worth a word.
const silentAfter = 90 * time.Second

func isFailed(c client.ClusterStatus) bool {
	if c.Phase == phaseFailed {
		return true
	}
	return c.Phase == phaseApplied && c.Health == healthFailing && isCurrent(c)
}

// isCurrent reports whether what is applied is what is wanted.
func isCurrent(c client.ClusterStatus) bool {
	return c.Applied != nil && c.Applied.DeploymentObjectID == c.Wanted.DeploymentObjectID
}

// describeCluster says in one line where a stack stands in a cluster, and what stands in its way.
func describeCluster(c client.ClusterStatus, now time.Time) string {
	parts := []string{stage(c)}
	if c.Message != "" {
		parts = append(parts, render.Clean(c.Message))
	}
	why := ""
	if c.AgentName != "" && (c.Phase != phaseApplied || c.State == stateRemoving) {
		why = silence(c, now)
	}
	if why == "" {
		why = blockedOn(c.BlockedOn)
	}
	if why != "" {
		parts = append(parts, why)
	}
	return strings.Join(parts, ": ")
}

func stage(c client.ClusterStatus) string {
	switch {
	case c.State == stateRemoving:
		return "removing"
	case c.Phase == phaseFailed:
		return fmt.Sprintf("sequence %d failed", c.Wanted.SequenceID)
	case c.Phase == phaseFetching || c.Phase == phaseApplying:
		return fmt.Sprintf("%s sequence %d", c.Phase, c.Wanted.SequenceID)
	case c.Phase == phaseApplied && isCurrent(c):
		return fmt.Sprintf("applied sequence %d, %s", c.Wanted.SequenceID, orUnknown(c.Health))
	default:
		return fmt.Sprintf("waiting for the agent to take sequence %d", c.Wanted.SequenceID)
	}
}

// silence says why nothing may be heard of an agent; empty if it seems well.
func silence(c client.ClusterStatus, now time.Time) string {
	switch {
	case c.AgentStatus != "" && c.AgentStatus != statusActive:
		return fmt.Sprintf("its agent is %s (brokkr agent activate %s)", c.AgentStatus, render.Clean(c.AgentName))
	case c.LastHeartbeat == nil && c.Phase == phasePending && c.Applied == nil:
		return "its agent has never connected"
	case c.LastHeartbeat == nil: // it has reported, so its heartbeat is on the way
		return ""
	case now.Sub(*c.LastHeartbeat) > silentAfter:
		// A fixed time, so that what is told does not change while nothing happens.
		return "its agent is silent since " + c.LastHeartbeat.UTC().Format(time.RFC3339)
	default:
		return ""
	}
}

// blockedOn writes what a cluster waits for: a text, or anything else as compact JSON.
func blockedOn(raw json.RawMessage) string {
	var text *string
	if json.Unmarshal(raw, &text) == nil {
		if text == nil {
			return ""
		}
		return render.Clean(*text)
	}
	return render.Clean(string(raw))
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func healthTone(health string) render.Tone {
	switch health {
	case healthHealthy:
		return render.Good
	case healthProgressing:
		return render.Busy
	case healthDegraded, healthFailing:
		return render.Bad
	default:
		return render.Plain
	}
}

func phaseTone(phase string) render.Tone {
	switch phase {
	case phaseApplied:
		return render.Good
	case phaseFailed:
		return render.Bad
	case phasePending, phaseFetching, phaseApplying:
		return render.Busy
	default:
		return render.Plain
	}
}

// refusals returns the verdicts of the clusters that were not picked, one line each.
func refusals(p client.Placement) []string {
	var lines []string
	for _, v := range sorted(p.Verdicts, func(v client.Verdict) string { return v.Cluster }) {
		if !v.Picked {
			lines = append(lines, fmt.Sprintf("%s: %s", render.Clean(v.Cluster), reasons(v)))
		}
	}
	return lines
}

// reasons writes why a cluster was picked or not.
func reasons(v client.Verdict) string {
	texts := make([]string, 0, len(v.Reasons))
	for _, r := range v.Reasons {
		text := r.Message
		if text == "" {
			text = r.Rule
		}
		texts = append(texts, render.Clean(text))
	}
	if len(texts) == 0 {
		return render.None
	}
	return strings.Join(texts, "; ")
}
