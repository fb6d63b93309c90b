package id_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
)

type stackID string

var canonical = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func TestParse(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]stackID{
		"6f1d3c52-5b1a-4a8e-9c57-0a1b2c3d4e5f": "6f1d3c52-5b1a-4a8e-9c57-0a1b2c3d4e5f",
		"6F1D3C52-5B1A-4A8E-9C57-0A1B2C3D4E5F": "6f1d3c52-5b1a-4a8e-9c57-0a1b2c3d4e5f",
		"00000000-0000-0000-0000-000000000000": "00000000-0000-0000-0000-000000000000",
	} {
		if got, err := id.Parse[stackID]("stack id", s); err != nil || got != want {
			t.Errorf("parse %q: got %q, %v, want %q", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "6f1d3c52", "6f1d3c525b1a4a8e9c570a1b2c3d4e5f", "{6f1d3c52-5b1a-4a8e-9c57-0a1b2c3d4e5f}", "urn:uuid:6f1d3c52-5b1a-4a8e-9c57-0a1b2c3d4e5f",
		"6f1d3c52-5b1a-4a8e-9c57-0a1b2c3d4e5g", "6f1d3c52_5b1a_4a8e_9c57_0a1b2c3d4e5f", "6f1d3c52-5b1a-4a8e-9c57-0a1b2c3d4e5", "6f1d3c52-5b1a-4a8e-9c57-0a1b2c3d4e5f0",
		"6f1d3c5-25b1a-4a8e-9c57-0a1b2c3d4e5f", " 6f1d3c52-5b1a-4a8e-9c57-0a1b2c3d4e5", "../../../../../../../../../../etc/pw", "6f1d3c52-5b1a-4a8e-9c57-0a1b2c3d4e\x00f",
	} {
		got, err := id.Parse[stackID]("stack id", s)
		if !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "invalid_id" || got != "" {
			t.Errorf("parse %q: got %q, %v, want Invalid", s, got, err)
			continue
		}
		if !strings.Contains(err.Error(), "stack id") {
			t.Errorf("parse %q: %v does not say what is wrong", s, err)
		}
	}
}

func TestValidIsTheCanonicalForm(t *testing.T) {
	t.Parallel()
	near := rapid.Custom(func(t *rapid.T) string {
		b := []byte(rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`).Draw(t, "uuid"))
		if rapid.Bool().Draw(t, "spoiled") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "by")
		}
		return string(b)
	})
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(near, rapid.String()).Draw(t, "text")
		want := canonical.MatchString(s)
		if got := id.Valid(s); got != want {
			t.Fatalf("valid %q: got %v, want %v", s, got, want)
		}
		parsed, err := id.Parse[stackID]("id", strings.ToUpper(s))
		if want && (err != nil || string(parsed) != s) {
			t.Fatalf("parse %q in capitals: got %q, %v", s, parsed, err)
		}
	})
}
