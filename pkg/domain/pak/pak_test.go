package pak_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
)

// The example of the published contract.
const (
	publishedLong = "GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"
	publishedHash = "4c697273df3d764cba950bb5c04368097685f09259f5bd880d892cf1ff9f4cdd"
	published     = "brokkr_BR7yPgkz_" + publishedLong
)

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

var form = regexp.MustCompile(`^brokkr_BR[` + base58 + `]{6}_[` + base58 + `]{32,33}$`)

func parse(t *testing.T, s string) pak.PAK {
	t.Helper()
	p, err := pak.Parse(s)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return p
}

func TestPublishedExample(t *testing.T) {
	t.Parallel()
	p := parse(t, published)
	if got := p.Hash(); got != publishedHash {
		t.Errorf("hash: got %s, want %s", got, publishedHash)
	}
	if got := p.Short(); got != "BR7yPgkz" {
		t.Errorf("short: got %s", got)
	}
	for hash, want := range map[string]bool{
		publishedHash: true, strings.ToUpper(publishedHash): true,
		"": false, publishedHash[1:]: false, publishedHash + "0": false, "5" + publishedHash[1:]: false, publishedLong: false,
	} {
		if got := p.Matches(hash); got != want {
			t.Errorf("matches %q: got %v, want %v", hash, got, want)
		}
	}
}

func TestGenerateParsesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "random")
		// Should the drawn bytes give too short a key, the next ones come from the system.
		p, err := pak.Generate(io.MultiReader(bytes.NewReader(seed), rand.Reader))
		if err != nil {
			t.Fatalf("generate: %v", err)
		}
		key := p.Reveal()
		if !form.MatchString(key) {
			t.Fatalf("key %q has not the published form", key)
		}
		again, err := pak.Parse(key)
		if err != nil || again != p {
			t.Fatalf("parse: got %v, %v, want the same key", again, err)
		}
		long := key[strings.LastIndex(key, "_")+1:]
		if again.Short() != p.Short() || !again.Matches(p.Hash()) || len(p.Hash()) != 64 {
			t.Fatalf("short %q, hash %q of %q do not come back", again.Short(), again.Hash(), key)
		}
		for _, shown := range []string{p.String(), fmt.Sprint(p), fmt.Sprintf("%v %s", p, p)} {
			if strings.Contains(shown, long) || !strings.Contains(shown, p.Short()) {
				t.Fatalf("shown as %q, want the short token and not the long one", shown)
			}
		}
	})
}

func TestGenerateGivesDifferentKeys(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 500 {
		p, err := pak.Generate(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if seen[p.Hash()] {
			t.Fatalf("the key %v came twice", p)
		}
		seen[p.Hash()] = true
	}
}

func TestGenerateFailsWithItsSource(t *testing.T) {
	t.Parallel()
	broken := errors.New("no entropy")
	for name, r := range map[string]io.Reader{"at once": iotest.ErrReader(broken), "in the midst": io.MultiReader(bytes.NewReader(make([]byte, 20)), iotest.ErrReader(broken))} {
		p, err := pak.Generate(r)
		if !errors.Is(err, broken) || !fault.Is(err, fault.Internal) || p != (pak.PAK{}) {
			t.Errorf("%s: got %v, %v, want no key and the source's error", name, p, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	long := publishedLong
	for name, s := range map[string]string{
		"nothing":              "",
		"two parts":            "brokkr_BR7yPgkz",
		"four parts":           published + "_x",
		"no long token":        "brokkr_BR7yPgkz_",
		"another prefix":       "broker_BR7yPgkz_" + long,
		"prefix in capitals":   "BROKKR_BR7yPgkz_" + long,
		"no prefix":            "_BR7yPgkz_" + long,
		"short too short":      "brokkr_BR7yPgk_" + long,
		"short too long":       "brokkr_BR7yPgkzz_" + long,
		"short without BR":     "brokkr_XX7yPgkz_" + long,
		"short not base58":     "brokkr_BR0yPgkz_" + long,
		"long too short":       "brokkr_BR7yPgkz_" + long[:31],
		"long too long":        published + "1",
		"long not base58":      "brokkr_BR7yPgkz_" + strings.Replace(long, "U", "0", 1),
		"long with l":          "brokkr_BR7yPgkz_" + strings.Replace(long, "U", "l", 1),
		"white space around":   " " + published,
		"a line break":         published + "\n",
		"a zero byte":          published[:20] + "\x00" + published[21:],
		"not ASCII":            strings.Replace(published, "U", "Ü", 1),
		"an enormous text":     published + strings.Repeat("1", 1<<20),
		"invalid UTF-8":        published[:30] + "\xff" + published[31:],
		"another product's":    "mullvad_BR7yPgkz_" + long,
		"separators elsewhere": "brokkr-BR7yPgkz-" + long,
	} {
		p, err := pak.Parse(s)
		if !fault.Is(err, fault.Unauthenticated) || fault.CodeOf(err) != "unauthorized" || p != (pak.PAK{}) {
			t.Errorf("%s: got %v, %v, want Unauthenticated", name, p, err)
			continue
		}
		if len(s) > 20 && strings.Contains(err.Error(), s[len(s)-10:]) {
			t.Errorf("%s: the error repeats the input: %v", name, err)
		}
	}
}

// TestParseTakesOnlyWhatGenerateMakes gives Parse garbage that is near a key.
func TestParseTakesOnlyWhatGenerateMakes(t *testing.T) {
	t.Parallel()
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"brokkr", "_", "__", "BR", "BR7yPgkz", publishedLong, publishedLong[:32], "0", "l", " ", "\x00", "é"}),
		rapid.StringOfN(rapid.RuneFrom([]rune(base58)), 0, 34, -1),
		rapid.StringN(0, 4, -1),
	)
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "pieces"), "")
		p, err := pak.Parse(s)
		if want := form.MatchString(s); (err == nil) != want {
			t.Fatalf("parse %q: got %v, want accepted %v", s, err, want)
		}
		if err == nil && p.Reveal() != s {
			t.Fatalf("parse %q: reveals %q", s, p.Reveal())
		}
	})
}

func TestFromHeader(t *testing.T) {
	t.Parallel()
	want := parse(t, published)
	for _, h := range []string{published, "Bearer " + published, "bearer " + published, "BEARER  " + published, "  Bearer " + published + "  "} {
		if got, err := pak.FromHeader(h); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want the key", h, got, err)
		}
	}
	for _, h := range []string{"", "Bearer", "Bearer ", "Basic " + published, "Bearer Bearer " + published, "Bearer" + published, "Bearer " + published + " x"} {
		if got, err := pak.FromHeader(h); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%q: got %v, %v, want Unauthenticated", h, got, err)
		}
	}
}
