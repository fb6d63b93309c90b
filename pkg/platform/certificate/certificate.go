// Package certificate gives TLS listeners what they have in files that may change while they are in use: a certificate that is
// renewed needs no restart.
package certificate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often the files are read again.
const lookEvery = 10 * time.Second

// Files name what a listener has, in PEM.
type Files struct {
	Cert, Key string // the chain, its own certificate first, and its key
	ClientCA  string // authorities of clients' certificates; empty: clients are not asked for one
}

// Source is the present content of the files. It is safe for concurrent use.
type Source struct {
	log     *slog.Logger
	current atomic.Pointer[content]

	mu    sync.Mutex
	files Files
	bad   [sha256.Size]byte // of the content that was complained of last
}

// content is what was read at a time.
type content struct {
	sum    [sha256.Size]byte
	config *tls.Config
	until  time.Time
}

// Load reads the files; it is an error that names the file if one cannot be used.
func Load(f Files, log *slog.Logger) (*Source, error) {
	s := &Source{files: f, log: log}
	c, err := read(f)
	if err != nil {
		return nil, err
	}
	s.current.Store(c)
	return s, nil
}

// Config is that of a listener: each connection gets what the files have then, TLS 1.2 at least, HTTP/1.1 or 2. A client that
// shows a certificate shows one of the files' authorities; whether one is wanted is for the handlers to say.
func (s *Source) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols(),
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().config, nil },
	}
}

func protocols() []string { return []string{"h2", "http/1.1"} }

// Until is when the certificate ends.
func (s *Source) Until() time.Time { return s.current.Load().until }

// Prepare reads other files, or the same anew. Commit has new connections use them; before that nothing changes.
func (s *Source) Prepare(f Files) (commit func(), err error) {
	c, err := read(f)
	if err != nil {
		return nil, err
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.files = f
		s.current.Store(c)
	}, nil
}

// Run looks for changes of the files until ctx ends. What cannot be used is logged once, and what was read before stays.
func (s *Source) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.look(ctx)
		}
	}
}

func (s *Source) look(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := read(s.files)
	switch {
	case err != nil:
		sum := sha256.Sum256([]byte(err.Error()))
		if sum != s.bad {
			s.log.ErrorContext(ctx, "the changed TLS certificate cannot be used; the former one stays", "error", err.Error())
		}
		s.bad = sum
	case c.sum != s.current.Load().sum:
		s.current.Store(c)
		s.log.InfoContext(ctx, "the TLS certificate has changed", "file", s.files.Cert, "until", c.until)
		s.bad = [sha256.Size]byte{}
	}
}

func read(f Files) (*content, error) {
	cert, err := readFile(f.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readFile(f.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s cannot be used: %w", f.Cert, f.Key, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols(), Certificates: []tls.Certificate{pair}}
	var authorities []byte
	if f.ClientCA != "" {
		if authorities, err = readFile(f.ClientCA); err != nil {
			return nil, err
		}
		if c.ClientCAs, err = parse(f.ClientCA, authorities); err != nil {
			return nil, err
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return &content{config: c, until: pair.Leaf.NotAfter, sum: sha256.Sum256(bytes.Join([][]byte{cert, key, authorities}, []byte{0}))}, nil
}

// Authorities reads a file of certificates, PEM, in which somebody trusts.
func Authorities(file string) (*x509.CertPool, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	return parse(file, text)
}

func parse(file string, text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the file %s has no certificate in PEM (-----BEGIN CERTIFICATE-----)", file)
	}
	return pool, nil
}

func readFile(file string) ([]byte, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names it
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err // the path is said already
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return text, nil
}
