package kube

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// seen is what a watch says of an object: its name, resource version and stack, or none.
func seen(name, version, stack string) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, ResourceVersion: version,
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m", FieldsV1: metav1.NewFieldsV1(strings.Repeat(" ", 1000))}}}}
	if stack != "" {
		o.Labels = map[string]string{cluster.LabelStack: stack}
	}
	return o
}

func list(objects ...*metav1.PartialObjectMetadata) []any {
	var out []any
	for _, o := range objects {
		out = append(out, o)
	}
	return out
}

// TestTracker tells what is new, and only that, whatever way it hears of it.
func TestTracker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(x *tracker) error
		want []string
	}{
		"the same list":      {func(x *tracker) error { return x.Replace(list(seen("a", "1", "s"), seen("b", "2", "s")), "2") }, nil},
		"a change in a list": {func(x *tracker) error { return x.Replace(list(seen("a", "3", "s"), seen("b", "2", "s")), "3") }, []string{"s a 3"}},
		"an absence in one":  {func(x *tracker) error { return x.Replace(list(seen("b", "2", "s")), "4") }, []string{"s a 1 gone"}},
		"an empty list":      {func(x *tracker) error { return x.Replace(nil, "4") }, []string{"s a 1 gone", "s b 2 gone"}},
		"one more in a list": {func(x *tracker) error {
			return x.Replace(list(seen("a", "1", "s"), seen("b", "2", "s"), seen("c", "3", "o")), "4")
		}, []string{"o c 3"}},
		"a label moved in it": {func(x *tracker) error { return x.Replace(list(seen("a", "3", "o"), seen("b", "2", "s")), "4") }, []string{"o a 3", "s a 3 gone"}},
		"a new one":           {func(x *tracker) error { return x.Add(seen("c", "3", "o")) }, []string{"o c 3"}},
		"one that is known":   {func(x *tracker) error { return x.Add(seen("a", "1", "s")) }, nil},
		"a change":            {func(x *tracker) error { return x.Update(seen("a", "3", "s")) }, []string{"s a 3"}},
		"a label moved":       {func(x *tracker) error { return x.Update(seen("a", "3", "o")) }, []string{"o a 3", "s a 3 gone"}},
		"a label emptied":     {func(x *tracker) error { return x.Update(seen("a", "3", "")) }, []string{"s a 3 gone"}},
		"a deletion":          {func(x *tracker) error { return x.Delete(seen("a", "3", "s")) }, []string{"s a 3 gone"}},
		"a label taken off":   {func(x *tracker) error { return x.Delete(seen("a", "3", "")) }, []string{"s a 3 gone"}},
		"one that is unknown": {func(x *tracker) error { return x.Delete(seen("c", "3", "s")) }, nil},
		"no object":           {func(x *tracker) error { return x.Update("no object") }, nil},
		"a stack that joins":  {func(x *tracker) error { x.join("s"); return nil }, []string{"s has 2"}},
		"one without any":     {func(x *tracker) error { x.join("o"); return nil }, []string{"o has 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told []string
			x := &tracker{kind: schema.GroupKind{Kind: "ConfigMap"}, users: func() []string { return []string{"s", "u"} }, tell: func(c cluster.Change) {
				text := fmt.Sprintf("%s %s %s", c.Stack, c.Key.Name, c.Version)
				if c.Present != nil {
					text = fmt.Sprintf("%s has %d", c.Stack, len(c.Present))
				}
				if c.Gone {
					text += " gone"
				}
				told = append(told, text)
			}}
			x.join("early") // is told with the others if it uses the kind
			if err := x.Replace(list(seen("a", "1", "s"), seen("b", "2", "s")), "2"); err != nil {
				t.Fatal(err)
			}
			slices.Sort(told)
			if diff := cmp.Diff([]string{"s a 1", "s b 2", "s has 2", "u has 0"}, told); diff != "" {
				t.Fatalf("told at first (-want +got):\n%s", diff)
			}
			told = nil
			if err := c.do(x); err != nil {
				t.Fatal(err)
			}
			slices.Sort(told)
			if diff := cmp.Diff(c.want, told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// TestListsAreStripped has the reflector keep no more of an object than the tracker does.
func TestListsAreStripped(t *testing.T) {
	t.Parallel()
	o := seen("a", "1", "s")
	out, err := (&tracker{}).Transformer()(o)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := out.(*stripped)
	if !ok {
		t.Fatalf("stripped: got %T", out)
	}
	if diff := cmp.Diff(metav1.ObjectMeta{Namespace: "n", Name: "a", ResourceVersion: "1"}, got.ObjectMeta); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if got.sight.fingerprint != cluster.Fingerprint(o) {
		t.Error("the fingerprint is not the object's")
	}
}
