package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// did notes in the transaction of a change what it was; who asks and from where the store adds by itself. Each use case that
// changes something calls it once, with the thing before and after (audit.Did), without secrets.
func (*App) did(ctx context.Context, tx ports.Repositories, e audit.Entry) error {
	if err := tx.AuditLog().Append(ctx, e); err != nil {
		return fmt.Errorf("note %s: %w", e.Action, err)
	}
	return nil
}

// agentState is what an agent's digest is of: what somebody said about it, not how it is.
func agentState(v agent.Agent) agent.Agent {
	v.Liveness = agent.Liveness{}
	return v
}

func generatorState(g tenancy.Generator) tenancy.Generator {
	g.LastActiveAt = nil
	return g
}

// changedPart is the entry of a label, an annotation or a target that was added to a thing or removed from it.
func changedPart(act audit.Action, id string, part map[string]any) audit.Entry {
	e := audit.Did(act, id, nil, part)
	if strings.HasSuffix(string(act), "_removed") {
		e = audit.Did(act, id, part, nil)
	}
	for k, v := range part {
		e = e.With(k, fmt.Sprint(v))
	}
	return e
}

// rotated is the entry of a new key in place of all former ones: of its subject, or of the credential for those that have none.
func rotated(c tenancy.Credential) audit.Entry {
	id := string(c.ID)
	switch {
	case c.Agent != "":
		id = string(c.Agent)
	case c.Generator != "":
		id = string(c.Generator)
	}
	return audit.Did(audit.PAKRotated, id, nil, nil).With("credential_id", string(c.ID)).With("role", string(c.Role)).With("name", c.Name)
}
