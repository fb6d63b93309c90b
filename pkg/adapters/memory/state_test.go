package memory

import (
	"reflect"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// TestCloneOwnsNoTable finds a table that newState or clone forgot: it would leak uncommitted changes to readers.
func TestCloneOwnsNoTable(t *testing.T) {
	t.Parallel()
	s := newState(time.Now)
	a, b := reflect.ValueOf(*s), reflect.ValueOf(*s.clone())
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		if a.Field(i).Kind() == reflect.Func {
			if b.Field(i).IsNil() {
				t.Errorf("%s: the clone has none", name)
			}
			continue
		}
		if a.Field(i).FieldByName("tree").IsNil() || b.Field(i).FieldByName("tree").IsNil() || !b.Field(i).FieldByName("shared").Bool() {
			t.Errorf("%s: there is none, or the clone takes it for its own", name)
		}
	}
}

// TestCloneIsIndependent changes the clone of a state, which does not see it.
func TestCloneIsIndependent(t *testing.T) {
	t.Parallel()
	s := newState(time.Now)
	for i := range 1000 {
		s.generators.put(one(rune(i)), tenancy.Generator{Name: "old"})
	}
	c := s.clone()
	for i := range 1000 {
		switch {
		case i%3 == 0:
			c.generators.drop(one(rune(i)))
		case i%3 == 1:
			c.generators.put(one(rune(i)), tenancy.Generator{Name: "new"})
		}
	}
	for i := range 1000 {
		if g, ok := s.generators.get(one(rune(i))); !ok || g.Name != "old" {
			t.Fatalf("row %d of the original: got %q, %v", i, g.Name, ok)
		}
		g, ok := c.generators.get(one(rune(i)))
		if want := []string{"", "new", "old"}[i%3]; g.Name != want || ok != (want != "") {
			t.Fatalf("row %d of the clone: got %q, %v, want %q", i, g.Name, ok, want)
		}
	}
}
