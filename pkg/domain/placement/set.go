package placement

import "math/bits"

// set is a set of slots.
type set []uint64

func (s set) has(i int) bool { return i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0 }
func (s set) add(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s set) remove(i int)   { s[i>>6] &^= 1 << (i & 63) }

func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// each calls f with every member.
func (s set) each(f func(i int)) {
	for w, word := range s {
		for word != 0 {
			f(w<<6 + bits.TrailingZeros64(word))
			word &= word - 1
		}
	}
}

// sized returns s with room for so many words; what is new in it is empty.
func (s set) sized(words int) set {
	for len(s) < words {
		s = append(s, 0)
	}
	return s[:words]
}

// empty returns an empty set of so many words, in the memory of s if it is large enough.
func (s set) empty(words int) set {
	if cap(s) < words {
		return make(set, words)
	}
	s = s[:words]
	clear(s)
	return s
}

// sets are the slots for which an answer is yes, and unknown.
type sets struct{ yes, unknown set }

func (s *sets) empty(words int) { s.yes, s.unknown = s.yes.empty(words), s.unknown.empty(words) }

// and leaves what is yes in both, and unknown what one of them does not know and none denies.
func (s *sets) and(yes, unknown set) {
	for w := range s.yes {
		y := s.yes[w] & yes[w]
		s.unknown[w] = (s.yes[w] | s.unknown[w]) & (yes[w] | unknown[w]) &^ y
		s.yes[w] = y
	}
}
