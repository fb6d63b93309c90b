package command

import (
	"bytes"
	"testing"

	"github.com/colliery-io/brokkr/internal/guides"
)

// Every command line of the guides is one that the program understands. Without a configuration it goes no further.
func TestGuides(t *testing.T) {
	t.Parallel()
	cmds, err := guides.Commands("../../../..", name)
	if err != nil || len(cmds) < 4 {
		t.Fatalf("got %d commands, %v", len(cmds), err)
	}
	for _, c := range cmds {
		var out, errs bytes.Buffer
		if status := Main("dev", c.Args[1:], nil, &out, &errs); status == exitUsage {
			t.Errorf("%s: `%s`: %s", c.Where, c, &errs)
		}
	}
}
