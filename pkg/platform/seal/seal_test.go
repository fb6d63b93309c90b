package seal_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/platform/seal"
)

func ring(t testing.TB, texts ...string) *seal.Keyring {
	t.Helper()
	r, err := seal.Parse(texts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatIsSealedOpensInItsPlaceAlone(t *testing.T) {
	t.Parallel()
	one := seal.Generate("k1")
	rapid.Check(t, func(rt *rapid.T) {
		r := ring(t, one)
		plain := rapid.SliceOf(rapid.Byte()).Draw(rt, "plain")
		place := rapid.String().Draw(rt, "place")
		s, err := r.Seal(place, plain)
		if err != nil {
			rt.Fatal(err)
		}
		if len(plain) > 8 && (bytes.Contains(s.Content, plain) || bytes.Contains(s.Wrapped, plain)) {
			rt.Fatal("the plain text shows")
		}
		got, err := r.Open(place, s)
		if err != nil || !bytes.Equal(got, plain) {
			rt.Fatalf("opened %q, %v, want %q", got, err, plain)
		}
		if _, err := r.Open(place+"x", s); err == nil {
			rt.Fatal("it opens in another place")
		}
	})
}

func TestStamps(t *testing.T) {
	t.Parallel()
	first, second := seal.Generate("k1"), seal.Generate("k2")
	r := ring(t, second, first)
	rapid.Check(t, func(rt *rapid.T) {
		content, place := rapid.SliceOf(rapid.Byte()).Draw(rt, "content"), rapid.String().Draw(rt, "place")
		stamped := r.Stamp(place, content)
		if got, ok := r.Stamped(place, stamped); !ok || !bytes.Equal(got, content) {
			rt.Fatalf("got %q, %v, want the content", got, ok)
		}
		if _, ok := r.Stamped(place+"x", stamped); ok {
			rt.Fatal("the stamp is good in another place")
		}
		at := rapid.IntRange(0, len(stamped)-1).Draw(rt, "at")
		forged := slices.Clone(stamped)
		forged[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "flip"))
		if _, ok := r.Stamped(place, forged); ok {
			rt.Fatalf("the stamp is good with another byte %d", at)
		}
		if _, ok := r.Stamped(place, stamped[:at]); ok {
			rt.Fatalf("the stamp is good when only %d bytes are left", at)
		}
		if _, ok := r.Stamped(place, rapid.SliceOf(rapid.Byte()).Draw(rt, "anything")); ok {
			rt.Fatal("anything has a good stamp")
		}
	})
	stamped := ring(t, first).Stamp("p", []byte("x"))
	if _, ok := r.Stamped("p", stamped); !ok {
		t.Error("a stamp of the former key is not good")
	}
	for name, other := range map[string]*seal.Keyring{"without the key": ring(t, second), "another key of that name": ring(t, seal.Generate("k1"))} {
		if _, ok := other.Stamped("p", stamped); ok {
			t.Errorf("%s: the stamp is good", name)
		}
	}
}

func TestDamageAndOtherKeysAreNoticed(t *testing.T) {
	t.Parallel()
	first, second := seal.Generate("k1"), seal.Generate("k2")
	r := ring(t, first, second)
	s, err := r.Seal("blobs/1", []byte("password: hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := r.Seal("blobs/1", []byte("other"))
	if err != nil {
		t.Fatal(err)
	}
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[i] ^= 1
		return b
	}
	for name, bad := range map[string]seal.Sealed{
		"content":            {KeyID: "k1", Wrapped: s.Wrapped, Content: flip(s.Content, len(s.Content)-1)},
		"nonce":              {KeyID: "k1", Wrapped: s.Wrapped, Content: flip(s.Content, 0)},
		"data key":           {KeyID: "k1", Wrapped: flip(s.Wrapped, 20), Content: s.Content},
		"another's content":  {KeyID: "k1", Wrapped: s.Wrapped, Content: other.Content},
		"another key's id":   {KeyID: "k2", Wrapped: s.Wrapped, Content: s.Content},
		"too short":          {KeyID: "k1", Wrapped: s.Wrapped[:5], Content: s.Content},
		"nothing":            {KeyID: "k1"},
		"content is missing": {KeyID: "k1", Wrapped: s.Wrapped},
	} {
		if got, err := r.Open("blobs/1", bad); err == nil {
			t.Errorf("%s: opened %q, want an error", name, got)
		}
	}
	var unknown *seal.UnknownKeyError
	if _, err := ring(t, second).Open("blobs/1", s); !errors.As(err, &unknown) || unknown.KeyID != "k1" {
		t.Errorf("without the key: %v, want an UnknownKeyError for k1", err)
	}
	// The same id with another secret.
	if _, err := ring(t, seal.Generate("k1")).Open("blobs/1", s); err == nil {
		t.Error("another key of the same id opens it")
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	old, fresh := seal.Generate("2025"), seal.Generate("2026")
	s, err := ring(t, old).Seal("p", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	both := ring(t, fresh, old)
	w, err := both.Rewrap("p", seal.Sealed{KeyID: s.KeyID, Wrapped: s.Wrapped})
	if err != nil || w.KeyID != "2026" {
		t.Fatalf("rewrapped by %q, %v, want 2026", w.KeyID, err)
	}
	w.Content = s.Content
	if got, err := ring(t, fresh).Open("p", w); err != nil || string(got) != "x" {
		t.Errorf("with the new key alone: %q, %v", got, err)
	}
	if got := both.IDs(); both.Current() != "2026" || !slices.Equal(got, []string{"2026", "2025"}) {
		t.Errorf("ids %v, current %s", got, both.Current())
	}
}

func TestCheckTellsKeysApart(t *testing.T) {
	t.Parallel()
	text := seal.Generate("k")
	a, _ := ring(t, text).Check("k")
	same, _ := ring(t, text).Check("k")
	other, _ := ring(t, seal.Generate("k")).Check("k")
	if !bytes.Equal(a, same) || bytes.Equal(a, other) {
		t.Errorf("checks: %x, the same %x, another %x", a, same, other)
	}
	if _, ok := ring(t, text).Check("nobody"); ok {
		t.Error("a key that is not there has a check")
	}
}

func TestParseSaysWhatIsWrongAndShowsNoKey(t *testing.T) {
	t.Parallel()
	const secret = "c2VjcmV0LXRoYXQtaXMtdG9vLXNob3J0"
	good := seal.Generate("k1")
	for want, texts := range map[string][]string{
		"there is no key":                          nil,
		"key 1 is not of the form id:base64":       {secret},
		"key 2 is not of the form id:base64":       {good, "a b:" + secret},
		"key k2 is not 32 bytes in base64":         {good, "k2:" + secret},
		"key k3 is not 32 bytes in base64":         {"k3:***"},
		"key k1 appears twice":                     {good, seal.Generate("k1")},
		"key 1 is not of the form id:base64, with": {":" + secret},
	} {
		_, err := seal.Parse(texts)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", texts, err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}
