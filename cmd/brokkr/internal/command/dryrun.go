package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/client"
)

// planned is what an apply would do, as data.
type planned struct {
	applied
	Changes   []client.ManifestChange   `json:"changes"`
	Unchanged int                       `json:"unchanged"`
	Clusters  []client.PreviewedCluster `json:"clusters"`
	Hold      *client.Hold              `json:"hold"`
	Warnings  []client.PolicyProblem    `json:"warnings"`
}

// dryRun says what an apply would do, as the broker foretells it. A stack that is not there yet has nothing to compare with and no
// place yet.
func (a *app) dryRun(cmd *cobra.Command, c *client.Client, o *applyOptions, b client.Bundle, found []client.Stack) error {
	plan := planned{applied: applied{Stack: o.stack, Outcome: client.Created, DryRun: true, Checksum: b.Checksum(), Objects: len(b.Objects)},
		Changes: []client.ManifestChange{}, Clusters: []client.PreviewedCluster{}, Warnings: []client.PolicyProblem{}}
	known := len(found) == 1
	if known {
		p, err := c.PreviewBundle(cmd.Context(), found[0].ID, b)
		if err != nil {
			return fmt.Errorf("ask what would change in stack %s: %w", found[0].Name, err)
		}
		plan.Stack, plan.StackID, plan.GeneratorID, plan.Outcome = found[0].Name, found[0].ID, found[0].GeneratorID, p.Outcome()
		plan.Changes, plan.Unchanged, plan.Clusters, plan.Hold = p.Changes, p.Unchanged, p.Clusters, p.Hold
		plan.Warnings = append(plan.Warnings, p.Warnings...)
		a.warnings(p.Warnings)
	} else {
		for _, m := range b.Objects {
			plan.Changes = append(plan.Changes, client.ManifestChange{Change: string(bundle.Added), APIVersion: m.APIVersion(), Kind: m.Kind(),
				Namespace: m.Namespace(), Name: m.Name(), Fields: []client.FieldChange{}})
		}
	}
	if len(o.labels)+len(o.annotations)+len(o.targets) > 0 {
		a.progress("the labels, annotations and targets given here are not added, so they do not count for where the stack would go")
	}
	if o.treatment.given() {
		var now client.Treatment
		if known && found[0].Treatment != nil {
			now = *found[0].Treatment
		}
		then := o.treatment.over(now)
		a.progress("stack/%s would be treated: %s (now: %s)", plan.Stack, treatmentText(&then), treatmentText(&now))
	}
	return a.show(cmd, &o.out, view{data: plan, names: []string{"stack/" + plan.Stack}, table: func(w io.Writer, wide bool) error {
		if err := a.writeChanges(w, plan.Changes); err != nil {
			return err
		}
		if known {
			if err := a.writeMoves(w, plan.Clusters, plan.Hold, plan.Stack, wide, o.out.bare); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(w, "stack/%s %s (dry run, %s)\n", plan.Stack, pick(plan.Outcome == client.Unchanged, string(client.Unchanged), "would be "+string(plan.Outcome)), count(len(b.Objects), "object"))
		return err
	}})
}

func signOf(change string) (string, render.Tone) {
	switch change {
	case string(bundle.Added):
		return "+", render.Good
	case string(bundle.Removed):
		return "-", render.Bad
	default:
		return "~", render.Busy
	}
}

// manifestName returns `Kind.group namespace/name`.
func manifestName(c client.ManifestChange) string {
	group := schema.FromAPIVersionAndKind(c.APIVersion, c.Kind).Group
	return render.Clean(bundle.Key{Group: group, Kind: c.Kind, Namespace: c.Namespace, Name: c.Name}.String())
}

// writeChanges writes a line for each manifest that differs, and one for each field below it.
func (a *app) writeChanges(w io.Writer, changes []client.ManifestChange) error {
	for _, ch := range changes {
		sign, tone := signOf(ch.Change)
		lines := []string{render.Paint(sign+" "+manifestName(ch), tone, a.colour())}
		for _, f := range ch.Fields {
			path := render.Clean(f.Path)
			switch {
			case len(f.From) == 0:
				lines = append(lines, fmt.Sprintf("    + %s: %s", path, valueText(f.To)))
			case len(f.To) == 0:
				lines = append(lines, fmt.Sprintf("    - %s: %s", path, valueText(f.From)))
			default:
				lines = append(lines, fmt.Sprintf("    ~ %s: %s -> %s", path, valueText(f.From), valueText(f.To)))
			}
		}
		if ch.MoreFields > 0 {
			lines = append(lines, fmt.Sprintf("    and %d more", ch.MoreFields))
		}
		if _, err := fmt.Fprintln(w, strings.Join(lines, "\n")); err != nil {
			return err
		}
	}
	return nil
}

// shortValue is how many characters of a value are shown to a person.
const shortValue = 120

// valueText returns JSON in one line, its end left out if it is long.
func valueText(value json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil { // not JSON: it is shown as it came
		b.Reset()
		b.Write(value)
	}
	text := []rune(render.Clean(b.String()))
	if len(text) > shortValue {
		return string(text[:shortValue]) + "..."
	}
	return string(text)
}

// writeMoves writes what publishing would do in which clusters, and why.
func (a *app) writeMoves(w io.Writer, moves []client.PreviewedCluster, hold *client.Hold, stack string, wide, bare bool) error {
	if len(moves) == 0 {
		_, err := fmt.Fprintf(w, "no cluster has the stack or would get it; brokkr placement %s says why\n", stack)
		return err
	}
	g := &render.Grid{Columns: render.Columns("CLUSTER", "AGENT", "EFFECT", "WHY", "+AGENT-ID")}
	for _, m := range moves {
		effect := render.Cell{Text: m.Effect, Tone: render.Busy}
		switch m.Effect {
		case "gain":
			effect.Tone = render.Good
		case "lose":
			effect.Tone = render.Bad
			if hold != nil && slices.Contains(hold.Removes, m.AgentID) {
				effect.Text = "lose (held)"
			}
		case "keep":
			effect.Tone = render.Faint
		}
		g.Add(render.Text(m.ClusterName), render.Text(orNone(m.AgentName)), effect, render.Text(reasons(client.Verdict{Reasons: m.Reasons})), render.Text(m.AgentID))
	}
	return g.Write(w, wide, a.colour(), bare)
}
