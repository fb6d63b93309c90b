package command_test

import (
	"testing"

	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/command"
	"github.com/colliery-io/brokkr/internal/guides"
)

// Every command line of the guides is one that the program understands.
func TestGuides(t *testing.T) {
	t.Parallel()
	cmds, err := guides.Commands("../../../..", "brokkr-broker")
	if err != nil || len(cmds) < 8 {
		t.Fatalf("got %d commands, %v", len(cmds), err)
	}
	for _, c := range cmds {
		root := command.New("dev", nil, func(string) string { return "" })
		root.InitDefaultVersionFlag()
		cmd, rest, err := root.Find(c.Args[1:])
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil && !c.Mention {
			err = cmd.ValidateRequiredFlags()
		}
		if err != nil {
			t.Errorf("%s: `%s`: %v", c.Where, c, err)
			continue
		}
		if args := cmd.Flags().Args(); len(args) > 0 {
			t.Errorf("%s: `%s`: %s takes no %q", c.Where, c, cmd.CommandPath(), args[0])
		}
	}
}
