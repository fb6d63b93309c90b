package join_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
)

func TestSecret(t *testing.T) {
	t.Parallel()
	s, err := join.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	again, err := join.Parse(s.Reveal())
	if err != nil || again != s || !again.Matches(s.Hash()) || !strings.HasPrefix(s.Reveal(), "brokkrjoin_BR") {
		t.Errorf("parse %q: got %v, %v", s.Reveal(), again, err)
	}
	if shown := fmt.Sprint(s); strings.Contains(shown, strings.Split(s.Reveal(), "_")[2]) || !strings.Contains(shown, s.Short()) {
		t.Errorf("shown as %q", shown)
	}
	if _, err := pak.Parse(s.Reveal()); err == nil {
		t.Error("a join token is taken for a PAK")
	}
	for _, wrong := range []string{"", "x", "brokkrjoin_", strings.Replace(s.Reveal(), "brokkrjoin", "brokkr", 1), s.Reveal() + "x", " " + s.Reveal()} {
		if _, err := join.Parse(wrong); fault.CodeOf(err) != "join_refused" {
			t.Errorf("%q: got %v, want it refused", wrong, err)
		}
	}
}

func TestTokenEnds(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 8, 2, 10, 0, 0, 0, time.UTC)
	later := at.Add(time.Hour)
	for name, tt := range map[string]struct {
		token        join.Token
		open, usable bool
	}{
		"fresh":        {join.Token{ExpiresAt: later, MaxUses: 1}, true, true},
		"used up":      {join.Token{ExpiresAt: later, MaxUses: 1, Uses: 1}, true, false},
		"expired":      {join.Token{ExpiresAt: at, MaxUses: 1}, false, false},
		"revoked":      {join.Token{ExpiresAt: later, RevokedAt: &at, MaxUses: 1}, false, false},
		"ending later": {join.Token{ExpiresAt: later, RevokedAt: &later, MaxUses: 1}, true, true},
	} {
		if got := tt.token; got.Open(at) != tt.open || got.Usable(at) != tt.usable {
			t.Errorf("%s: open %v, usable %v, want %v, %v", name, got.Open(at), got.Usable(at), tt.open, tt.usable)
		}
	}
}

func TestTokenCheck(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 8, 2, 10, 0, 0, 0, time.UTC)
	for name, change := range map[string]func(*join.Token){
		"good":            func(*join.Token) {},
		"no name":         func(t *join.Token) { t.Name = "" },
		"no use":          func(t *join.Token) { t.MaxUses = 0 },
		"too many uses":   func(t *join.Token) { t.MaxUses = join.MaxUses + 1 },
		"expired":         func(t *join.Token) { t.ExpiresAt = at },
		"lives too long":  func(t *join.Token) { t.ExpiresAt = at.Add(join.MaxTTL + 1) },
		"bad label":       func(t *join.Token) { t.Labels = []string{"a b"} },
		"bad annotation":  func(t *join.Token) { t.Annotations = map[string]string{"a b": "c"} },
		"too many labels": func(t *join.Token) { t.Labels = strings.Split(strings.Repeat("a,", 101), ",") },
	} {
		token := join.Token{Name: "n", MaxUses: 1, ExpiresAt: at.Add(time.Hour), Labels: []string{"prod"}, Annotations: map[string]string{"region": "eu"}}
		change(&token)
		if err := token.Check(at); (err == nil) != (name == "good") || (err != nil && !fault.Is(err, fault.Invalid)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	claim := strings.Repeat("c", 32)
	j := join.Join{Claim: join.HashClaim(claim)}
	for given, want := range map[string]bool{claim: true, "": false, claim + "c": false, j.Claim: false} {
		if got := j.Claims(given); got != want {
			t.Errorf("%q: got %v, want %v", given, got, want)
		}
	}
	if (join.Join{}).Claims("") {
		t.Error("no claim claims what was joined without one")
	}
	for given, ok := range map[string]bool{"": true, claim: true, "short": false, strings.Repeat("c", 257): false} {
		if err := join.CheckClaim(given); (err == nil) != ok {
			t.Errorf("%d characters: got %v", len(given), err)
		}
	}
}
