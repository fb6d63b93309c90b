// Package rollout holds how a new deployment object moves across the clusters that placement picked: in waves, each released
// by what the clusters report of this very object. Step is a pure function: no clock, no I/O, and the same input gives the
// same output in any order of the input.
package rollout

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// ID identifies a rollout.
type ID string

// Keep is how long a rollout that is over and governs nothing is remembered.
const Keep = 90 * 24 * time.Hour

// Phase is where a rollout stands.
type Phase string

// The phases. PhasePending is where each begins.
const (
	PhasePending         Phase = "pending"
	PhaseProgressing     Phase = "progressing"
	PhaseWaitingApproval Phase = "waiting_approval"
	PhaseWaitingWindow   Phase = "waiting_window"
	PhasePaused          Phase = "paused"
	PhaseFailed          Phase = "failed" // on the way to rolling_back
	PhaseRollingBack     Phase = "rolling_back"
	PhaseRolledBack      Phase = "rolled_back"
	PhaseCompleted       Phase = "completed"
	PhaseAborted         Phase = "aborted"
	PhaseSuperseded      Phase = "superseded"
)

// Phases returns every phase.
func Phases() []Phase {
	return []Phase{PhasePending, PhaseProgressing, PhaseWaitingApproval, PhaseWaitingWindow, PhasePaused, PhaseFailed,
		PhaseRollingBack, PhaseRolledBack, PhaseCompleted, PhaseAborted, PhaseSuperseded}
}

// ParsePhase returns the phase named s, or Invalid.
func ParsePhase(s string) (Phase, error) {
	for _, p := range Phases() {
		if string(p) == s {
			return p, nil
		}
	}
	return "", fault.Newf(fault.Invalid, "invalid_rollout", "rollout phase %q is not known", s)
}

// Open reports whether the rollout still goes on by itself or waits for somebody.
func (p Phase) Open() bool {
	switch p {
	case PhasePending, PhaseProgressing, PhaseWaitingApproval, PhaseWaitingWindow, PhasePaused, PhaseFailed, PhaseRollingBack:
		return true
	case PhaseRolledBack, PhaseCompleted, PhaseAborted, PhaseSuperseded:
		return false
	default:
		return false
	}
}

// Stage is how far the current wave is.
type Stage string

// The stages of a wave.
const (
	StageDeploying Stage = "deploying" // clusters are admitted, and reports are waited for
	StageSoaking   Stage = "soaking"   // all is well; it must stay so for a while
	StageGated     Stage = "gated"     // nothing but an approval or a window lies before the next wave
)

// MemberState is how far one cluster is.
type MemberState string

// The states of a member.
const (
	MemberPending   MemberState = "pending"   // its turn has not come
	MemberDeploying MemberState = "deploying" // it has been given the object, and is not known to be healthy with it: in flight
	MemberHealthy   MemberState = "healthy"   // it reports the object applied and healthy
	MemberFailed    MemberState = "failed"    // it reports a failure, or was not healthy in time
	MemberSkipped   MemberState = "skipped"   // it cannot be reached, and nobody waits for it
	MemberReturning MemberState = "returning" // it has been given its former object back
	MemberReturned  MemberState = "returned"  // it reports the former object applied and healthy
)

// MemberStates returns every state of a member.
func MemberStates() []MemberState {
	return []MemberState{MemberPending, MemberDeploying, MemberHealthy, MemberFailed, MemberSkipped, MemberReturning, MemberReturned}
}

// Waits reports whether the rollout may come to another outcome by what is reported: it goes on, or it is over and there are
// clusters that lack what the stack depends on.
func (r Rollout) Waits() bool { return r.Phase.Open() || len(r.Blockers) > 0 }

// Member is one cluster of a rollout.
type Member struct {
	Agent      agent.ID       `json:"agent_id"`
	Wave       int            `json:"wave"` // pinned
	State      MemberState    `json:"state"`
	Since      time.Time      `json:"since"` // of State; of deploying: since when the deadline runs
	From       stack.ObjectID `json:"from,omitempty"`
	Good       stack.ObjectID `json:"good,omitempty"` // the last object that was healthy there before this one
	AdmittedAt *time.Time     `json:"admitted_at,omitempty"`
	WasHealthy bool           `json:"was_healthy,omitempty"`
	Offline    bool           `json:"offline,omitempty"`
	Excused    bool           `json:"excused,omitempty"` // its failure was accepted when somebody resumed
	Gone       bool           `json:"gone,omitempty"`    // placement picks it no longer; it counts for nothing
	Joined     bool           `json:"joined,omitempty"`  // it came after the start
	Message    string         `json:"message,omitempty"`
}

// Target is what the member goes back to in a rollback; empty: there is nothing, it keeps what it has.
func (m Member) Target() stack.ObjectID {
	if m.Good != "" {
		return m.Good
	}
	return m.From
}

// BlockerKind names what a rollout waits for.
type BlockerKind string

// The kinds of blockers.
const (
	BlockedByHealth      BlockerKind = "health"
	BlockedByConcurrency BlockerKind = "max_concurrent"
	BlockedByDependency  BlockerKind = "dependency"
	BlockedByOverride    BlockerKind = "override"
	BlockedByOffline     BlockerKind = "offline"
	BlockedBySoak        BlockerKind = "soak"
	BlockedByApproval    BlockerKind = "approval"
	BlockedByWindow      BlockerKind = "window"
	BlockedByPause       BlockerKind = "paused"
	BlockedByReturn      BlockerKind = "returning"
)

// BlockerKinds returns every kind.
func BlockerKinds() []BlockerKind {
	return []BlockerKind{BlockedByHealth, BlockedByConcurrency, BlockedByDependency, BlockedByOverride, BlockedByOffline, BlockedBySoak,
		BlockedByApproval, BlockedByWindow, BlockedByPause, BlockedByReturn}
}

// maxNamed is how many clusters a blocker names.
const maxNamed = 20

// Blocker is one thing that a rollout waits for, and what would release it.
type Blocker struct {
	Kind    BlockerKind `json:"kind"`
	Since   time.Time   `json:"since"`
	Message string      `json:"message"`
	Release string      `json:"release"`
	Until   *time.Time  `json:"until,omitempty"`  // when it ends by itself
	Agents  []agent.ID  `json:"agents,omitempty"` // the first of them
	Count   int         `json:"count,omitempty"`  // of clusters concerned
}

// Transition is one step of a rollout's history.
type Transition struct {
	Rollout ID        `json:"rollout_id"`
	At      time.Time `json:"at"`
	From    Phase     `json:"from"`
	To      Phase     `json:"to"`
	Wave    int       `json:"wave"`
	By      string    `json:"by,omitempty"` // the credential of who asked for it; empty: it came by itself
	Reason  string    `json:"reason"`
}

// Rollout is one object's way across the clusters. The newest of a stack governs which object each cluster has.
type Rollout struct {
	ID           ID             `json:"id"`
	Stack        stack.ID       `json:"stack_id"`
	Object       stack.ObjectID `json:"deployment_object_id"`
	Base         stack.ObjectID `json:"base,omitempty"` // what clusters have that it has not reached and that had nothing
	Spec         Spec           `json:"spec"`
	Phase        Phase          `json:"phase"`
	Since        time.Time      `json:"since"` // of Phase
	Reason       string         `json:"reason,omitempty"`
	Wave         int            `json:"wave"` // the current one
	Stage        Stage          `json:"stage,omitempty"`
	BegunAt      *time.Time     `json:"begun_at,omitempty"` // of the current wave; nil: the first has not begun
	HealthySince *time.Time     `json:"healthy_since,omitempty"`
	Approved     int            `json:"approved,omitempty"` // how many waves have been approved to be followed, counted from the first
	Blockers     []Blocker      `json:"blockers,omitempty"`
	WakeAt       *time.Time     `json:"wake_at,omitempty"`
	CreatedAt    time.Time      `json:"created_at"`
	EndedAt      *time.Time     `json:"ended_at,omitempty"`
	Members      []Member       `json:"-"` // by agent; stored apart
	Version      int64          `json:"-"` // grows with each save, for compare-and-set
}

// Clone returns a copy that shares nothing with r.
func (r Rollout) Clone() Rollout {
	r.Spec = r.Spec.clone()
	r.BegunAt, r.HealthySince, r.WakeAt, r.EndedAt = copied(r.BegunAt), copied(r.HealthySince), copied(r.WakeAt), copied(r.EndedAt)
	blockers := r.Blockers
	r.Blockers = nil
	for _, b := range blockers {
		b.Until, b.Agents = copied(b.Until), append([]agent.ID(nil), b.Agents...)
		r.Blockers = append(r.Blockers, b)
	}
	members := r.Members
	r.Members = nil
	for _, m := range members {
		m.AdmittedAt = copied(m.AdmittedAt)
		r.Members = append(r.Members, m)
	}
	return r
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// move goes to another phase; transitions that Edges does not have are a defect that the tests look for.
func (r *Rollout) move(to Phase, now time.Time, by, reason string) Transition {
	t := Transition{Rollout: r.ID, At: now, From: r.Phase, To: to, Wave: r.Wave, By: by, Reason: reason}
	r.Phase, r.Since, r.Reason = to, now, reason
	switch {
	case to.Open():
		r.EndedAt = nil
	case r.EndedAt == nil:
		r.EndedAt = &now
	}
	return t
}

// Changed returns the members of after that before (nil: nothing) does not have as they are.
func Changed(before, after *Rollout) []Member {
	var out []Member
	for _, m := range after.Members {
		if before != nil {
			if i, ok := before.find(m.Agent); ok && m.same(before.Members[i]) {
				continue
			}
		}
		out = append(out, m)
	}
	return out
}

func (m Member) same(o Member) bool {
	if (m.AdmittedAt == nil) != (o.AdmittedAt == nil) || (m.AdmittedAt != nil && !m.AdmittedAt.Equal(*o.AdmittedAt)) {
		return false
	}
	m.AdmittedAt, o.AdmittedAt = nil, nil
	return m == o
}
