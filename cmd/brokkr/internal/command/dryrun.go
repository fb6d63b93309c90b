package command

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/client"
)

// change is what publishing would do to one manifest of the stack.
type change struct {
	Change string `json:"change"` // added | changed | removed | unknown
	Object string `json:"object"`
}

type planned struct {
	applied
	Changes []change `json:"changes"`
}

// dryRun says what an apply would do. It reads only.
func (a *app) dryRun(cmd *cobra.Command, c *client.Client, o *applyOptions, b client.Bundle, found []client.Stack) error {
	plan := planned{applied: applied{Stack: o.stack, Outcome: client.Created, DryRun: true, Checksum: b.Checksum(), Objects: len(b.Objects)}}
	var newest *client.Object
	if len(found) == 1 {
		var err error
		if newest, err = c.NewestObject(cmd.Context(), found[0].ID); err != nil {
			return fmt.Errorf("read what stack %s has now: %w", found[0].Name, err)
		}
		plan.Stack, plan.StackID, plan.GeneratorID, plan.Outcome = found[0].Name, found[0].ID, found[0].GeneratorID, client.Compare(newest, b)
	}
	changes, err := compare(newest, b)
	if err != nil {
		return err
	}
	plan.Changes = changes
	return a.show(cmd, &o.out, view{data: plan, names: []string{"stack/" + plan.Stack}, table: func(w io.Writer, _ bool) error {
		for _, ch := range plan.Changes {
			sign, tone := signOf(ch.Change)
			if _, err := fmt.Fprintln(w, render.Paint(sign+" "+ch.Object, tone, a.colour())); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(w, "stack/%s %s (dry run, %s)\n", plan.Stack, pick(plan.Outcome == client.Unchanged, string(client.Unchanged), "would be "+string(plan.Outcome)), count(len(b.Objects), "object"))
		return err
	}})
}

func signOf(change string) (string, render.Tone) {
	switch change {
	case "added":
		return "+", render.Good
	case "removed":
		return "-", render.Bad
	case "unknown":
		return "?", render.Faint
	default:
		return "~", render.Busy
	}
}

// compare says manifest by manifest what differs between the newest object and b. Secrets whose values the broker
// does not show cannot be compared.
func compare(newest *client.Object, b client.Bundle) ([]change, error) {
	before := map[bundle.Key]bundle.Object{}
	redacted := false
	if newest != nil && !newest.IsDeletionMarker {
		old, err := bundle.Parse([]byte(newest.YAMLContent), bundle.DefaultLimits())
		if err != nil {
			return nil, fmt.Errorf("read the newest deployment object %s for comparison: %w", newest.ID, err)
		}
		for _, o := range old {
			before[o.Key()] = o
		}
		redacted = (client.Bundle{Content: []byte(newest.YAMLContent)}).Checksum() != newest.YAMLChecksum
	}
	changes := []change{}
	for _, o := range b.Objects {
		old, had := before[o.Key()]
		delete(before, o.Key())
		switch secret := o.Key().GroupKind() == (schema.GroupKind{Kind: "Secret"}); {
		case !had:
			changes = append(changes, change{"added", o.Key().String()})
		case secret && redacted:
			if newest.YAMLChecksum != b.Checksum() {
				changes = append(changes, change{"unknown", o.Key().String() + " (the broker does not show its values)"})
			}
		case !reflect.DeepEqual(old.Object, o.Object):
			changes = append(changes, change{"changed", o.Key().String()})
		}
	}
	removed := make([]change, 0, len(before))
	for k := range before {
		removed = append(removed, change{"removed", k.String()})
	}
	slices.SortFunc(removed, func(x, y change) int { return strings.Compare(x.Object, y.Object) })
	return append(changes, removed...), nil
}
