package fleet

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/wire"
)

// Life is how simulated agents live. The zero Life applies everything at once, never fails and parks as long as it may.
type Life struct {
	Wait      time.Duration // that a sync parks, which is how often an idle agent is heard; at most 55 s, the default
	ThinkMin  time.Duration // an application takes a time between these
	ThinkMax  time.Duration
	FailShare float64       // of applications that fail; each is tried again, with the same chance
	Retry     time.Duration // after a failure; default 1 s
	Status    bool          // clusters tell their status when they start, as Cluster makes it
}

func (l Life) withDefaults() Life {
	if l.Wait <= 0 || l.Wait > wire.MaxWaitSeconds*time.Second {
		l.Wait = wire.MaxWaitSeconds * time.Second
	}
	if l.Retry <= 0 {
		l.Retry = time.Second
	}
	l.ThinkMax = max(l.ThinkMax, l.ThinkMin)
	return l
}

// mind is what one agent knows and has in hand. It does nothing by itself: answers and the time go in, requests come out.
// The same answers give the same requests for the same seed.
type mind struct {
	life   Life
	chance *rand.Rand

	boot     string
	seq      int64
	revision int64
	work     int64
	turn     int64
	status   json.RawMessage // not told yet

	has     map[string]string // object that is applied, by stack
	jobs    map[string]*job   // by stack
	applied map[string]wire.Applied
	removed map[string]wire.Removed
}

// job is an application or a removal in hand.
type job struct {
	stack   wire.Stack
	removal *wire.Removed
	fetched bool
	due     time.Time // once it is fetched
	fails   bool
}

// newMind returns the agent of this number in the fleet that has this seed.
func newMind(life Life, seed uint64, number int) *mind {
	m := &mind{life: life.withDefaults(), chance: rand.New(rand.NewPCG(seed, uint64(number))), //nolint:gosec // it has to be reproducible
		has: map[string]string{}, jobs: map[string]*job{}, applied: map[string]wire.Applied{}, removed: map[string]wire.Removed{}}
	m.boot = uuid(m.chance)
	if m.life.Status {
		m.status = status(m.chance, number)
	}
	return m
}

// uuid is a random one; seeded, so that a run can be repeated.
func uuid(chance *rand.Rand) string {
	const digits = "0123456789abcdef"
	b := []byte("xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx")
	for i, c := range b {
		if c == 'x' {
			b[i] = digits[chance.IntN(16)]
		}
	}
	return string(b)
}

// request is the next sync: with reports it is not to park.
func (m *mind) request() wire.SyncRequest {
	m.seq++
	yes, latency := true, int32(1+m.seq%9)
	req := wire.SyncRequest{BootID: m.boot, Seq: m.seq, Revision: m.revision, Work: &m.work, Turn: &m.turn,
		Heartbeat: wire.Heartbeat{K8sReachable: &yes, K8sAPILatencyMS: &latency}}
	for _, id := range slices.Sorted(maps.Keys(m.applied)) {
		req.Applied = append(req.Applied, m.applied[id])
	}
	for _, id := range slices.Sorted(maps.Keys(m.removed)) {
		req.Removed = append(req.Removed, m.removed[id])
	}
	if len(req.Applied)+len(req.Removed) == 0 {
		req.Status = m.status
	}
	if len(req.Applied)+len(req.Removed)+len(req.Status) == 0 {
		req.WaitSeconds = int(m.life.Wait / time.Second)
	}
	return req
}

// answered takes the answer to req. What req carried is told, unless the answer gives a turn to tell it again with; what the answer brings is
// in hand.
func (m *mind) answered(req wire.SyncRequest, res wire.SyncResponse) {
	if m.turn = max(m.turn, res.Turn); res.Turn == 0 {
		m.told(req)
	}
	m.target(res)
}

func (m *mind) told(req wire.SyncRequest) {
	for _, a := range req.Applied {
		if m.applied[a.StackID] == a {
			delete(m.applied, a.StackID)
		}
	}
	for _, r := range req.Removed {
		if m.removed[r.StackID] == r {
			delete(m.removed, r.StackID)
		}
	}
	if req.Status != nil {
		m.status = nil
	}
}

func (m *mind) target(res wire.SyncResponse) {
	m.work = max(m.work, res.Pending.Mark)
	if res.Stacks == nil {
		return
	}
	m.revision = res.Revision
	for _, s := range *res.Stacks {
		if j, ok := m.jobs[s.StackID]; ok && j.removal == nil && j.stack.DeploymentObjectID == s.DeploymentObjectID && j.stack.Checksum == s.Checksum {
			continue
		}
		if m.jobs[s.StackID] == nil && m.has[s.StackID] == name(s) {
			continue
		}
		m.jobs[s.StackID] = &job{stack: s}
	}
	for _, r := range res.Removed {
		if j, ok := m.jobs[r.StackID]; ok && j.removal != nil && *j.removal == r {
			continue
		}
		m.jobs[r.StackID] = &job{removal: &r}
	}
}

// name is what an agent has of a stack: an object, in the variant for its cluster.
func name(s wire.Stack) string { return s.DeploymentObjectID + "/" + s.Checksum }

// wants are the manifests to be fetched, by stack; removals need none and begin at once.
func (m *mind) wants(now time.Time) []wire.Stack {
	var out []wire.Stack
	for _, id := range slices.Sorted(maps.Keys(m.jobs)) {
		switch j := m.jobs[id]; {
		case j.fetched:
		case j.removal != nil:
			m.begin(j, now)
		default:
			out = append(out, j.stack)
		}
	}
	return out
}

// fetched says that the manifest of a stack is here, so that it is applied now.
func (m *mind) fetched(s wire.Stack, now time.Time) {
	if j, ok := m.jobs[s.StackID]; ok && j.removal == nil && j.stack.Checksum == s.Checksum {
		m.begin(j, now)
	}
}

// forget drops an application whose manifest is not to be had. The target state is asked for anew, so that a stack that is
// still wanted comes again.
func (m *mind) forget(s wire.Stack) {
	if j, ok := m.jobs[s.StackID]; ok && j.removal == nil && j.stack.Checksum == s.Checksum {
		delete(m.jobs, s.StackID)
		m.revision = 0
	}
}

func (m *mind) begin(j *job, now time.Time) {
	j.fetched, j.due = true, now.Add(m.think())
	j.fails = j.removal == nil && m.chance.Float64() < m.life.FailShare
}

func (m *mind) think() time.Duration {
	return m.life.ThinkMin + time.Duration(m.chance.Int64N(int64(m.life.ThinkMax-m.life.ThinkMin)+1))
}

// next is when the first application in hand is done; false if there is none.
func (m *mind) next() (time.Time, bool) {
	var first time.Time
	for _, j := range m.jobs {
		if j.fetched && (first.IsZero() || j.due.Before(first)) {
			first = j.due
		}
	}
	return first, !first.IsZero()
}

// finish makes reports of what is done by now.
func (m *mind) finish(now time.Time) {
	for _, id := range slices.Sorted(maps.Keys(m.jobs)) {
		j := m.jobs[id]
		if !j.fetched || j.due.After(now) {
			continue
		}
		if j.removal != nil {
			delete(m.jobs, id)
			delete(m.has, id)
			delete(m.applied, id)
			m.removed[id] = *j.removal
			continue
		}
		a := wire.Applied{StackID: id, DeploymentObjectID: j.stack.DeploymentObjectID, SequenceID: j.stack.SequenceID, ObservedAt: now.UTC()}
		if j.fails {
			a.Phase, a.Health, a.Message = "failed", "degraded", "simulated failure: the admission webhook denied the request"
			j.due, j.fails = now.Add(m.life.Retry+m.think()), m.chance.Float64() < m.life.FailShare
		} else {
			a.Phase, a.Health = "applied", "healthy"
			m.has[id] = name(j.stack)
			delete(m.jobs, id)
		}
		m.applied[id] = a
	}
}

// idle reports whether nothing is in hand and everything is told.
func (m *mind) idle() bool { return len(m.jobs)+len(m.applied)+len(m.removed)+len(m.status) == 0 }
