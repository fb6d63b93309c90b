package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout/window"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

// policies is the language of policies as use cases see it.
type policies struct {
	cel func(expression string) (uint64, error)
}

// Read tells YAML from JSON by itself.
func (p policies) Read(content []byte, _ bool) (policy.Document, []app.PolicyProblem) {
	d, problems := policy.Parse(content, policy.Checks{CEL: p.cel, Cron: checkCron, Zone: checkZone})
	out := make([]app.PolicyProblem, 0, len(problems))
	for _, x := range problems {
		message := x.Message
		if x.Line > 0 {
			message = fmt.Sprintf("%s (line %d)", message, x.Line)
		}
		out = append(out, app.PolicyProblem{Path: x.Path, Message: message, Warning: x.Severity == policy.Warning})
	}
	return d, out
}

// UsualBrake is that of a scheduler whose configuration says nothing of it.
func UsualBrake() placement.Brake { return placement.UsualBrake() }

// BrakeOf is the brake over one stack, and that over the fleet, whose window admits the share too, but never less than the floor.
// What is in the window is read when it is asked for.
func BrakeOf(share float64, atLeast, floor int, window time.Duration) placement.Brake {
	return placement.Brake{Share: share, AtOne: atLeast, Fleet: &placement.FleetWindow{Share: share, Floor: floor, Length: window}}
}

func checkCron(expression string) error {
	_, err := window.Parse(expression)
	return err
}

func checkZone(name string) error {
	if _, err := time.LoadLocation(name); err != nil {
		return fmt.Errorf("the time zone %q is not known", name)
	}
	return nil
}

func noCEL(string) (uint64, error) { return 0, errors.New("expressions in CEL are not read here") }

// noRules refuses health rules as noCEL refuses policies.
func noRules(expression string) error {
	_, err := noCEL(expression)
	return err
}
