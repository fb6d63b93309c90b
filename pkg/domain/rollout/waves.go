package rollout

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// pin says for each pick its wave. Which clusters a percentage takes follows from a hash of object and cluster, so that it is
// not the same ones that go first each time.
func pin(s Spec, object stack.ObjectID, picks []Pick) map[agent.ID]int {
	out := make(map[agent.ID]int, len(picks))
	left := slices.Clone(picks)
	slices.SortFunc(left, func(a, b Pick) int {
		return cmp.Or(cmp.Compare(draw(object, a.Agent), draw(object, b.Agent)), cmp.Compare(a.Agent, b.Agent))
	})
	for i, w := range s.Waves {
		var fits []agent.ID
		for _, p := range left {
			if !w.Selective || p.fits(i) {
				fits = append(fits, p.Agent)
			}
		}
		n := len(fits)
		if w.Percent > 0 {
			of := len(left)
			if w.Selective {
				of = len(fits)
			}
			n = min(n, (of*w.Percent+99)/100)
		}
		for _, a := range fits[:n] {
			out[a] = i
		}
		left = slices.DeleteFunc(left, func(p Pick) bool { _, taken := out[p.Agent]; return taken })
	}
	return out
}

func draw(object stack.ObjectID, a agent.ID) uint64 {
	sum := sha256.Sum256([]byte(string(object) + "/" + string(a)))
	return binary.BigEndian.Uint64(sum[:8])
}

// triedAndLeft reports whether a cluster of the wave was given the object, and is there no longer. What has become of it there nobody
// knows: it may have left because the object broke it.
func (s *stepper) triedAndLeft(wave int) bool {
	return slices.ContainsFunc(s.r.Members, func(m Member) bool { return m.Wave == wave && m.Gone && m.AdmittedAt != nil })
}
