package pak_test

import (
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/pak"
)

// What is taken for a key is written back as it came, and tells its secret to nobody who does not ask for it.
func FuzzFromHeader(f *testing.F) {
	for _, s := range []string{
		"", "Bearer ", "bearer brokkr_BRx8Kp2m_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8", "brokkr_BRx8Kp2m_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8",
		"brokkr__", "brokkr_a_b_c", "Basic x", "Bearer \x00", "brokkr_BRx8Kp2m_0OIl",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		p, err := pak.FromHeader(header)
		if err != nil {
			return
		}
		whole := p.Reveal()
		if !strings.HasSuffix(header, whole) && !strings.Contains(header, whole) {
			t.Fatalf("%q became %q", header, whole)
		}
		again, err := pak.FromHeader("Bearer " + whole)
		if err != nil || again.Reveal() != whole || again.Hash() != p.Hash() || again.Short() != p.Short() || len(p.Hash()) != 64 || !p.Matches(p.Hash()) {
			t.Fatalf("%q read again is %q, %v", whole, again.Reveal(), err)
		}
		if strings.Count(whole, "_") != 2 {
			t.Fatalf("%q has not three parts", whole)
		}
	})
}
