// Package seal encrypts what must not be readable at rest. Each value has a data key of its own; the data key is wrapped by
// a key-encryption key from the configuration (envelope encryption, AES-256-GCM both times). So a change of the
// key-encryption key re-wraps 32 bytes a value and never touches the content.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// KeyBytes is the length of keys, in bytes.
const KeyBytes = 32

// Sealed is an encrypted value as it is stored. KeyID names the key-encryption key that wraps the data key.
type Sealed struct {
	KeyID   string
	Wrapped []byte // the data key: nonce, ciphertext, tag
	Content []byte // the value: nonce, ciphertext, tag
}

// UnknownKeyError means that a value is wrapped by a key that the keyring does not have.
type UnknownKeyError struct{ KeyID string }

// Error names the key.
func (e *UnknownKeyError) Error() string {
	return fmt.Sprintf("sealed with key %q, which is not among the keys", e.KeyID)
}

// errDamaged says no more on purpose: which part does not fit is no help to anybody but an attacker.
var errDamaged = errors.New("the sealed value is damaged, or the key or its place is another one")

type key struct {
	id     string
	secret [KeyBytes]byte
}

// Keyring holds the current key-encryption key, which seals, and former ones, which only open. It is safe for concurrent use.
type Keyring struct {
	keys []key // the current one first
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Parse reads keys of the form id:base64, the current one first. Its errors name the id or the position and repeat nothing
// of a key.
func Parse(texts []string) (*Keyring, error) {
	if len(texts) == 0 {
		return nil, errors.New("there is no key")
	}
	r := &Keyring{}
	seen := map[string]bool{}
	for i, text := range texts {
		id, encoded, ok := strings.Cut(strings.TrimSpace(text), ":")
		if !ok || !idPattern.MatchString(id) {
			return nil, fmt.Errorf("key %d is not of the form id:base64, with an id of at most 63 letters, digits, dots, dashes and underscores", i+1)
		}
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(secret) != KeyBytes {
			return nil, fmt.Errorf("key %s is not %d bytes in base64", id, KeyBytes)
		}
		if seen[id] {
			return nil, fmt.Errorf("key %s appears twice", id)
		}
		seen[id] = true
		k := key{id: id}
		copy(k.secret[:], secret)
		r.keys = append(r.keys, k)
	}
	return r, nil
}

// Generate returns a new key in the form that Parse reads.
func Generate(id string) string {
	var secret [KeyBytes]byte
	_, _ = rand.Read(secret[:]) // never fails: see crypto/rand
	return id + ":" + base64.StdEncoding.EncodeToString(secret[:])
}

// Current returns the id of the key that seals.
func (r *Keyring) Current() string { return r.keys[0].id }

// IDs returns the ids of all keys, the current one first.
func (r *Keyring) IDs() []string {
	out := make([]string, 0, len(r.keys))
	for _, k := range r.keys {
		out = append(out, k.id)
	}
	return out
}

// Check returns a value by which two holders of a key can see that it is the same one, without showing it.
func (r *Keyring) Check(id string) ([]byte, bool) {
	k, ok := r.find(id)
	if !ok {
		return nil, false
	}
	m := hmac.New(sha256.New, k.secret[:])
	m.Write([]byte("brokkr key check v1:" + id))
	return m.Sum(nil)[:16], true
}

func (r *Keyring) find(id string) (key, bool) {
	for _, k := range r.keys {
		if k.id == id {
			return k, true
		}
	}
	return key{}, false
}

// Seal encrypts plain for a place, such as a table and the row's key: it opens there alone, so that a sealed value that is
// copied to another row is noticed.
func (r *Keyring) Seal(place string, plain []byte) (Sealed, error) {
	var dataKey [KeyBytes]byte
	_, _ = rand.Read(dataKey[:]) // never fails
	content, err := encrypt(dataKey[:], contentData(place), plain)
	if err != nil {
		return Sealed{}, err
	}
	return r.wrap(dataKey[:], place, content)
}

func (r *Keyring) wrap(dataKey []byte, place string, content []byte) (Sealed, error) {
	current := r.keys[0]
	wrapped, err := encrypt(current.secret[:], wrapData(current.id, place), dataKey)
	if err != nil {
		return Sealed{}, err
	}
	return Sealed{KeyID: current.id, Wrapped: wrapped, Content: content}, nil
}

// Open decrypts s, which must have been sealed for this place. A key that is not there is an UnknownKeyError.
func (r *Keyring) Open(place string, s Sealed) ([]byte, error) {
	dataKey, err := r.unwrap(place, s)
	if err != nil {
		return nil, err
	}
	return decrypt(dataKey, contentData(place), s.Content)
}

// Rewrap returns the data key of s wrapped by the current key; the content stays as it is and need not be given.
func (r *Keyring) Rewrap(place string, s Sealed) (Sealed, error) {
	dataKey, err := r.unwrap(place, s)
	if err != nil {
		return Sealed{}, err
	}
	return r.wrap(dataKey, place, s.Content)
}

func (r *Keyring) unwrap(place string, s Sealed) ([]byte, error) {
	k, ok := r.find(s.KeyID)
	if !ok {
		return nil, &UnknownKeyError{KeyID: s.KeyID}
	}
	return decrypt(k.secret[:], wrapData(k.id, place), s.Wrapped)
}

// Stamp puts a code before content by which a holder of the keys sees that another one made it, for this place. The content stays
// readable. Unlike sealing it may be done any number of times with one key.
func (r *Keyring) Stamp(place string, content []byte) []byte {
	current := r.keys[0]
	out := make([]byte, 0, 1+len(current.id)+sha256.Size+len(content))
	out = append(append(out, byte(len(current.id))), current.id...) // an id has at most 63 bytes
	out = append(out, current.code(place, content)...)
	return append(out, content...)
}

// Stamped returns the content of what Stamp made for this place with one of the keys, and whether it is that.
func (r *Keyring) Stamped(place string, stamped []byte) ([]byte, bool) {
	if len(stamped) == 0 || len(stamped) < 1+int(stamped[0])+sha256.Size {
		return nil, false
	}
	id, rest := stamped[1:1+int(stamped[0])], stamped[1+int(stamped[0]):]
	k, ok := r.find(string(id))
	if !ok {
		return nil, false
	}
	code, content := rest[:sha256.Size], rest[sha256.Size:]
	return content, hmac.Equal(code, k.code(place, content))
}

// code is made with a key of its own, which is made of k.
func (k key) code(place string, content []byte) []byte {
	of := hmac.New(sha256.New, k.secret[:])
	of.Write([]byte("brokkr stamp v1\x00" + k.id))
	m := hmac.New(sha256.New, of.Sum(nil))
	m.Write([]byte(place + "\x00"))
	m.Write(content)
	return m.Sum(nil)
}

// What the ciphertexts are bound to, so that one cannot stand for another.
func wrapData(id, place string) []byte { return []byte("brokkr wrap v1\x00" + id + "\x00" + place) }
func contentData(place string) []byte  { return []byte("brokkr content v1\x00" + place) }

func encrypt(secret, bound, plain []byte) ([]byte, error) {
	aead, err := gcm(secret)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, bound), nil //nolint:gosec // it makes its nonce itself, and takes none
}

func decrypt(secret, bound, sealed []byte) ([]byte, error) {
	aead, err := gcm(secret)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, bound)
	if err != nil {
		return nil, errDamaged
	}
	return plain, nil
}

// gcm prepends a random nonce by itself. A data key seals one value; a key-encryption key may wrap 2^32 of them.
func gcm(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return aead, nil
}
