package command

import (
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/guides"
)

// Every command line of the guides is one that the program understands: its words, its flags and, where it is told whole, its arguments.
func TestGuides(t *testing.T) {
	t.Parallel()
	cmds, err := guides.Commands("../../../..", "brokkr")
	if err != nil || len(cmds) < 30 {
		t.Fatalf("got %d commands, %v", len(cmds), err)
	}
	for _, c := range cmds {
		root := (&app{env: Env{In: strings.NewReader(""), Getenv: func(string) string { return "" }}}).root()
		root.InitDefaultHelpCmd()
		words := c.Args[1:]
		for n, w := range words {
			if c.Mention && strings.ToUpper(w) == w && w != "" {
				words[n] = "1" // a NAME or a NUMBER
			}
		}
		cmd, rest, err := root.Find(words)
		if err == nil {
			cmd.InitDefaultHelpFlag()
			err = cmd.ParseFlags(rest)
		}
		if err != nil {
			t.Errorf("%s: `%s`: %v", c.Where, c, err)
			continue
		}
		args := cmd.Flags().Args()
		if cmd.HasSubCommands() && !strings.Contains(cmd.Use, " ") {
			if len(args) > 0 {
				t.Errorf("%s: `%s`: %s has no command %q", c.Where, c, cmd.CommandPath(), args[0])
			}
			continue
		}
		if c.Mention {
			continue
		}
		if err := cmd.ValidateArgs(args); err != nil {
			t.Errorf("%s: `%s`: %v", c.Where, c, err)
		}
		if err := cmd.ValidateRequiredFlags(); err != nil {
			t.Errorf("%s: `%s`: %v", c.Where, c, err)
		}
	}
}
