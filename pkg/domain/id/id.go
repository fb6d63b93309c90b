// Package id checks identifiers. Every id of the product is a UUID in its canonical lower-case text form;
// each aggregate defines its own string type, so that two ids cannot be swapped.
package id

import (
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Parse returns s as an id of type T in canonical form, or an Invalid fault that names what.
func Parse[T ~string](what, s string) (T, error) {
	s = strings.ToLower(s)
	if !Valid(s) {
		return "", fault.Newf(fault.Invalid, "invalid_id", "%s %q is not a UUID", what, s)
	}
	return T(s), nil
}

// Valid reports whether s is a UUID in canonical lower-case form.
func Valid(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
