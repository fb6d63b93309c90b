package http

import (
	"net/http"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	manifestChangeJSON struct {
		Change     bundle.ChangeKind `json:"change"`
		APIVersion string            `json:"api_version"`
		Kind       string            `json:"kind"`
		Namespace  string            `json:"namespace"`
		Name       string            `json:"name"`
		Fields     []fieldChangeJSON `json:"fields"`
		MoreFields int               `json:"more_fields"`
	}
	fieldChangeJSON struct {
		Path string `json:"path"`
		From *any   `json:"from,omitempty"` // absent: there was nothing; null is null
		To   *any   `json:"to,omitempty"`
	}
	baseJSON struct {
		revisionJSON
		Checksum stack.Checksum `json:"yaml_checksum"`
		Marker   bool           `json:"is_deletion_marker"`
	}
	previewJSON struct {
		StackID   stack.ID             `json:"stack_id"`
		Base      *baseJSON            `json:"base"`
		Checksum  stack.Checksum       `json:"yaml_checksum"`
		Marker    bool                 `json:"is_deletion_marker"`
		Changes   []manifestChangeJSON `json:"changes"`
		Unchanged int                  `json:"unchanged"`
		Masked    int                  `json:"secrets_not_compared"`
		Clusters  []moveJSON           `json:"clusters"`
		Hold      *placement.Hold      `json:"hold"`
		Warnings  []problemJSON        `json:"warnings"`
	}
	moveJSON struct {
		AgentID     agent.ID           `json:"agent_id"`
		AgentName   string             `json:"agent_name"`
		ClusterName string             `json:"cluster_name"`
		Effect      app.Effect         `json:"effect"`
		Reasons     []placement.Reason `json:"reasons"`
	}
	objectDiffJSON struct {
		StackID   stack.ID             `json:"stack_id"`
		From      baseJSON             `json:"from"`
		To        baseJSON             `json:"to"`
		Changes   []manifestChangeJSON `json:"changes"`
		Unchanged int                  `json:"unchanged"`
		Masked    int                  `json:"secrets_not_compared"`
	}
)

func changeOf(c bundle.Change) manifestChangeJSON {
	return manifestChangeJSON{
		Change: c.Kind, APIVersion: c.Object.APIVersion(), Kind: c.Key.Kind, Namespace: c.Key.Namespace, Name: c.Key.Name,
		Fields: each(c.Fields, func(f bundle.Field) fieldChangeJSON { return fieldChangeJSON(f) }), MoreFields: c.More,
	}
}

func baseOf(o stack.Object) baseJSON {
	return baseJSON{revisionJSON: revisionJSON{ObjectID: o.ID, SequenceID: o.Sequence}, Checksum: o.Checksum, Marker: o.Marker}
}

func previewOf(p app.Preview) previewJSON {
	out := previewJSON{
		StackID: p.Stack, Checksum: p.Checksum, Marker: p.Marker, Changes: each(p.Changes, changeOf), Unchanged: p.Unchanged, Masked: p.Masked, Hold: holdOf(p.Hold),
		Warnings: each(p.Warnings, func(w app.PolicyProblem) problemJSON { return problemJSON{w.Path, w.Message} }),
		Clusters: each(p.Clusters, func(m app.Move) moveJSON {
			return moveJSON{AgentID: m.Agent, AgentName: m.Name, ClusterName: m.Cluster, Effect: m.Effect, Reasons: m.Reasons}
		}),
	}
	if p.Base != nil {
		base := baseOf(*p.Base)
		out.Base = &base
	}
	return out
}

func objectDiffOf(d app.ObjectDiff) objectDiffJSON {
	return objectDiffJSON{StackID: d.To.Stack, From: baseOf(d.From), To: baseOf(d.To), Changes: each(d.Changes, changeOf), Unchanged: d.Unchanged, Masked: d.Masked}
}

// objectPair reads {id} and ?against=.
func objectPair(r *http.Request) (of[stack.ObjectID, stack.ObjectID], error) {
	return idWith[stack.ObjectID](r, func(r *http.Request) (stack.ObjectID, error) {
		v := r.URL.Query().Get("against")
		if v == "" {
			return "", fault.New(fault.Invalid, "invalid_query", "against is missing: the id of the deployment object to compare with")
		}
		return id.Parse[stack.ObjectID]("against", v)
	})
}
