package audit

import (
	"strings"
	"time"
)

// Filter chooses entries. What is empty chooses all.
type Filter struct {
	ActorType    string
	ActorID      string
	Action       string // whole, or its beginning with * at the end
	ResourceType string
	ResourceID   string
	From         time.Time // inclusive
	To           time.Time // exclusive
}

// ActionPrefix returns the beginning of the action that f asks for, and whether it is the whole.
func (f Filter) ActionPrefix() (prefix string, whole bool) {
	prefix, begins := strings.CutSuffix(f.Action, "*")
	return prefix, !begins && f.Action != ""
}

// Match reports whether f chooses e.
func (f Filter) Match(e Entry) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	prefix, whole := f.ActionPrefix()
	return is(f.ActorType, e.Actor.Type) && is(f.ActorID, e.Actor.ID) && is(f.ResourceType, e.ResourceType) && is(f.ResourceID, e.ResourceID) &&
		strings.HasPrefix(string(e.Action), prefix) && (!whole || string(e.Action) == prefix) &&
		(f.From.IsZero() || !e.At.Before(f.From)) && (f.To.IsZero() || e.At.Before(f.To))
}

// Mark is a place in a list, which is ordered by time and id, newest first.
type Mark struct {
	At time.Time
	ID ID
}

// Page is a part of a list: after a mark or after a number of entries, at most Limit.
type Page struct {
	After  *Mark
	Offset int
	Limit  int
}
