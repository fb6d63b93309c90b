package config

import (
	"reflect"
	"strings"
	"sync"
)

// Change is a setting that has another value than before, both as a user writes them, secrets redacted.
type Change struct{ Key, Old, New string }

// Outcome is what became of a reload.
type Outcome struct {
	// Err says why nothing was changed; nil: all that follows is in force.
	Err     error
	Changes []Change
	// Restart are the keys that have another value than the process runs with, which it takes over only when it starts anew.
	Restart []string
}

// Message says in a sentence what a person should know of the outcome; empty if there is nothing.
func (o Outcome) Message() string {
	switch {
	case o.Err != nil:
		return "nothing was changed: " + o.Err.Error()
	case len(o.Restart) > 0:
		return "needs a restart: " + strings.Join(o.Restart, ", ")
	case len(o.Changes) == 0:
		return "nothing has changed"
	default:
		return ""
	}
}

// Live is the configuration that a process runs with, and those parts of it that may change meanwhile. It is safe for
// concurrent use, but for On, which comes before the first Reload.
type Live[S any] struct {
	load  func() (*S, error)
	mu    sync.Mutex
	now   map[string]leaf // what is in force
	keys  map[string]bool // those that can be changed
	parts []func(next *S) (commit func(), err error)
}

// leaf is the value of a setting: to show, and to compare.
type leaf struct{ shown, whole string }

// NewLive returns the configuration of a process that has begun with now; load reads and validates it anew.
func NewLive[S any](now *S, load func() (*S, error)) *Live[S] {
	l := &Live[S]{load: load, now: map[string]leaf{}, keys: map[string]bool{}}
	for _, s := range settings(reflect.ValueOf(now), "") {
		l.now[s.key] = leafOf(s)
	}
	return l
}

// On adds a part of the process that takes over keys while it runs. Prepare is asked at each reload; it changes nothing, and
// what it returns does. If one part's prepare fails, nothing of the reload comes into force.
func (l *Live[S]) On(prepare func(next *S) (commit func(), err error), keys ...string) {
	for _, k := range keys {
		l.keys[k] = true
	}
	l.parts = append(l.parts, prepare)
}

// Reload reads the configuration anew and puts into force what can be changed: all of it, or nothing.
func (l *Live[S]) Reload() Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, err := l.load()
	if err != nil {
		return Outcome{Err: err}
	}
	commits := make([]func(), len(l.parts))
	for i, prepare := range l.parts {
		if commits[i], err = prepare(next); err != nil {
			return Outcome{Err: err}
		}
	}
	for _, commit := range commits {
		commit()
	}
	var out Outcome
	for _, s := range settings(reflect.ValueOf(next), "") {
		was, is := l.now[s.key], leafOf(s)
		switch {
		case was == is:
		case l.keys[s.key]:
			l.now[s.key] = is
			out.Changes = append(out.Changes, Change{Key: s.key, Old: was.shown, New: is.shown})
		default:
			out.Restart = append(out.Restart, s.key)
		}
	}
	return out
}

func leafOf(s setting) leaf {
	v := shown(s)
	if secret, ok := s.value.Interface().(Secret); ok {
		return leaf{shown: v.String(), whole: secret.Reveal()}
	}
	return leaf{shown: v.String(), whole: v.String()}
}

// HasFile reports whether environ names a configuration file.
func HasFile(environ []string) bool {
	for _, kv := range environ {
		if path, ok := strings.CutPrefix(kv, FileVariable+"="); ok && path != "" {
			return true
		}
	}
	return false
}
