package postgres

import (
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// A server that is too old is named, with what to do, before anything is written.
func TestAServerThatIsTooOldIsRefused(t *testing.T) {
	t.Parallel()
	to, err := newTarget("postgres://brokkr@db.example.com:5432/brokkr", Options{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	for major, version := range map[int]string{9: "9.6.24", 13: "13.22"} {
		err := to.suits(major, version)
		if !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), `db.example.com:5432, database "brokkr" is of version `+version+`, and 14 or newer is needed`) {
			t.Errorf("%s: %v", version, err)
		}
	}
	for _, major := range []int{14, 15, 18} {
		if err := to.suits(major, "any"); err != nil {
			t.Errorf("%d: %v", major, err)
		}
	}
}

func TestIDsOfStacksAreAddedUp(t *testing.T) {
	t.Parallel()
	x, y := stack.ID("01234567-89ab-4cde-8f01-23456789abcd"), stack.ID("ffffffff-ffff-4fff-bfff-ffffffffffff")
	for want, list := range map[int64][]stack.ID{
		0: nil, -0x70fedcba98765433: {x}, -0x4000000000000001: {y}, 0x30fedcba98765432: {y, x}, // one after the other: 8f01 ^ bfff is 30fe
	} {
		if got, err := bitsOf(list); err != nil || got != want {
			t.Errorf("%v: %#x, %v; want %#x", list, got, err, want)
		}
	}
	if _, err := bitsOf([]stack.ID{"x"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("what is no id: %v", err)
	}
}
