package agent_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

func TestParseStatus(t *testing.T) {
	t.Parallel()
	known := map[string]agent.Status{
		"ACTIVE": agent.Active, "active": agent.Active, "Active": agent.Active,
		"INACTIVE": agent.Inactive, "inactive": agent.Inactive, "Inactive": agent.Inactive,
	}
	for s, want := range known {
		if got, err := agent.ParseStatus(s); err != nil || got != want {
			t.Errorf("parse %q: got %q, %v, want %q", s, got, err, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", " ACTIVE", "DELETED", "1"})).Draw(t, "text")
		if _, ok := known[s]; ok {
			return
		}
		if got, err := agent.ParseStatus(s); !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "invalid_agent" || got != "" {
			t.Fatalf("parse %q: got %q, %v, want Invalid", s, got, err)
		}
	})
}

func TestCheckLabel(t *testing.T) {
	t.Parallel()
	if err := agent.CheckLabel("env:prod"); err != nil {
		t.Errorf("env:prod: %v", err)
	}
	if err := agent.CheckLabel("two words"); !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "invalid_label" {
		t.Errorf("two words: got %v, want Invalid", err)
	}
}
