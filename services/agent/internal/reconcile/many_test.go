package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// many is more than the engine holds at a time.
const many = 1000

func TestManyObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	var b strings.Builder
	for i := range many {
		b.WriteString(configMap(fmt.Sprintf("it-%d", i), "x"))
	}
	w.apply(w.stack(id, b.String()))
	w.reports.await(t, id, isHealthy)
	before := w.wire.writes.Load()
	w.patch("v1/configmaps/./it-500", `{"data":{"key":"theirs"}}`)
	w.eventually("the one to be corrected", func() bool { return w.value("v1/configmaps/./it-500") == "x" })
	if n := w.wire.writes.Load() - before; n != 1 {
		t.Errorf("%d writes for one drifted object: %v", n, w.wire.lines[before:])
	}
	w.remove(id)
	r, _ := w.at("v1/configmaps/./-")
	list, err := r.List(t.Context(), listOptions("brokkr.io/stack="+id))
	if err != nil || len(list.Items) != 0 {
		t.Errorf("%d are left, %v", len(list.Items), err)
	}
}
