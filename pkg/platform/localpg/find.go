package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// installation is a folder with initdb and postgres in it.
type installation struct {
	dir   string
	major int
}

// findFor returns the programs for a data directory: those of its major version, or the newest if it has none yet.
func findFor(ctx context.Context, pgdata string) (installation, error) {
	all := installed(ctx)
	if len(all) == 0 {
		return installation{}, ErrNotInstalled
	}
	b, err := readOwn(filepath.Join(pgdata, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return all[0], nil
	}
	if err != nil {
		return installation{}, fmt.Errorf("read version of the data directory: %w", err)
	}
	made := strings.TrimSpace(string(b))
	have := make([]string, 0, len(all))
	for _, in := range all {
		if strconv.Itoa(in.major) == made {
			return in, nil
		}
		have = append(have, strconv.Itoa(in.major))
	}
	return installation{}, fmt.Errorf("%w: it was made by PostgreSQL %s, installed is %s; install PostgreSQL %s, convert it by pg_upgrade, or choose another data directory",
		ErrVersion, made, strings.Join(have, ", "), made)
}

// installed lists the installations of this machine, newest first, each once.
func installed(ctx context.Context) []installation {
	var dirs []string
	for _, name := range []string{"initdb", "postgres"} {
		if path, err := exec.LookPath(name); err == nil {
			if real, err := filepath.EvalSymlinks(path); err == nil {
				dirs = append(dirs, filepath.Dir(real))
			}
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                   // Red Hat with PostgreSQL's own packages
		"/opt/homebrew/opt/postgresql*/bin",  // Homebrew on Apple silicon
		"/usr/local/opt/postgresql*/bin",     // Homebrew on Intel
		"/usr/local/pgsql/bin",               // built from source
		"/Applications/Postgres.app/*/*/bin", // Postgres.app
	} {
		matches, _ := filepath.Glob(pattern) // the only error is a bad pattern
		dirs = append(dirs, matches...)
	}
	var all []installation
	for _, dir := range dirs {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		if slices.ContainsFunc(all, func(in installation) bool { return in.dir == dir }) {
			continue
		}
		if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
		if err != nil {
			continue
		}
		if major, ok := majorOf(string(out)); ok {
			all = append(all, installation{dir, major})
		}
	}
	slices.SortStableFunc(all, func(a, b installation) int { return b.major - a.major })
	return all
}

// majorOf reads the major version from what postgres --version prints: "postgres (PostgreSQL) 15.14 (Debian 15.14-0)".
func majorOf(version string) (int, bool) {
	_, rest, ok := strings.Cut(version, "(PostgreSQL) ")
	if !ok {
		return 0, false
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	major, err := strconv.Atoi(rest[:end])
	return major, err == nil
}
