package postgres

import (
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

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
