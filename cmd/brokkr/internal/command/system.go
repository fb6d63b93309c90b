package command

import (
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/term"
)

const pollEvery = 500 * time.Millisecond

// System returns the environment of a real process of the given version.
func System(version string) Env {
	return Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Getenv: os.Getenv,
		Now:    time.Now,
		Terminal: Terminal{
			In: isTerminal(os.Stdin), Out: isTerminal(os.Stdout), Err: isTerminal(os.Stderr),
			ReadSecret: func() (string, error) {
				line, err := term.ReadPassword(int(os.Stdin.Fd()))
				return string(line), err
			},
		},
		Build: buildOf(version),
		Poll:  pollEvery,
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// buildOf adds what the Go tool wrote into the program.
func buildOf(version string) Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: version}
	}
	b := Build{Version: version, Go: info.GoVersion}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = short(s.Value)
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty {
		b.Commit += "-dirty"
	}
	return b
}
