package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
)

// Plaintext in place of keys means: nothing is sealed at rest.
const Plaintext = "plaintext"

// Secrets says with which keys manifests and other secrets are sealed at rest.
type Secrets struct {
	Keys     config.Secret `koanf:"keys"`      // id:base64 of 32 bytes, with commas, the current one first; or plaintext
	KeysFile string        `koanf:"keys_file"` // a file with one key a line, the current one first; in place of Keys
}

func (s Secrets) validate(p *config.Problems) {
	p.Add(s.Keys != "" && s.KeysFile != "", "secrets.keys_file", "is set, and so is secrets.keys; keep one of them")
	if s.Keys != "" && s.Keys != Plaintext {
		_, err := seal.Parse(strings.Split(s.Keys.Reveal(), ","))
		p.Add(err != nil, "secrets.keys", "cannot be used: %v", err)
	}
}

// keyring returns the keys; nil without an error means that nothing is to be sealed.
func (s Secrets) keyring() (*seal.Keyring, error) {
	switch {
	case s.Keys == Plaintext:
		return nil, nil //nolint:nilnil // nil is a keyring's way to say that nothing is sealed
	case s.Keys != "":
		return seal.Parse(strings.Split(s.Keys.Reveal(), ","))
	case s.KeysFile != "":
		return readKeys(s.KeysFile)
	default:
		return nil, fmt.Errorf("no key to seal manifests at rest: set BROKKR__SECRETS__KEYS (secrets.keys) or secrets.keys_file, the same for all processes; "+
			"`brokkr-broker generate-key` makes a key; %q in its place stores manifests readable", Plaintext)
	}
}

func readKeys(file string) (*seal.Keyring, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err // the path is said already
		}
		return nil, fmt.Errorf("read the keys of %s (secrets.keys_file): %w", file, err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	ring, err := seal.Parse(lines)
	if err != nil {
		return nil, fmt.Errorf("the keys of %s (secrets.keys_file) cannot be used: %w", file, err)
	}
	return ring, nil
}

// aboutKeys adds to err what a person can do about it, if it says that keys do not fit the database.
func aboutKeys(err error) error {
	switch fault.CodeOf(err) {
	case "secret_key_missing":
		return fmt.Errorf("%w (secrets.keys: keep former keys behind the current one until `brokkr-broker keys` shows no value of theirs)", err)
	case "secret_key_changed":
		return fmt.Errorf("%w (secrets.keys: give the former one, and a new key another id)", err)
	default:
		return AboutDatabase(err)
	}
}
