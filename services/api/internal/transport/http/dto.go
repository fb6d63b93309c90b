package http

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/template"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

// The messages of the v1 contract, part A.4. Every field is written even if it is null: published clients require it.
type (
	authJSON struct {
		Admin     bool    `json:"admin"`
		Agent     *string `json:"agent"`
		Generator *string `json:"generator"`
		ReadOnly  bool    `json:"readonly"`
		Role      string  `json:"role"`
	}
	pakJSON struct {
		ID   tenancy.GeneratorID `json:"id"`
		Name string              `json:"name"`
	}
	agentJSON struct {
		ID             agent.ID     `json:"id"`
		CreatedAt      time.Time    `json:"created_at"`
		UpdatedAt      time.Time    `json:"updated_at"`
		DeletedAt      *time.Time   `json:"deleted_at"`
		Name           string       `json:"name"`
		ClusterName    string       `json:"cluster_name"`
		LastHeartbeat  *time.Time   `json:"last_heartbeat"`
		Status         agent.Status `json:"status"`
		K8sReachable   *bool        `json:"k8s_reachable"`
		K8sLatencyMS   *int32       `json:"k8s_api_latency_ms"`
		K8sReportedAt  *time.Time   `json:"k8s_reported_at"`
		DuplicateSince *time.Time   `json:"duplicate_since"`
	}
	agentCreatedJSON struct {
		Agent      agentJSON `json:"agent"`
		InitialPAK string    `json:"initial_pak"`
	}
	agentRotatedJSON struct {
		Agent agentJSON `json:"agent"`
		PAK   string    `json:"pak"`
	}
	agentLabelJSON struct {
		ID      agent.LabelID `json:"id"`
		AgentID agent.ID      `json:"agent_id"`
		Label   string        `json:"label"`
	}
	agentAnnotationJSON struct {
		ID      agent.AnnotationID `json:"id"`
		AgentID agent.ID           `json:"agent_id"`
		Key     string             `json:"key"`
		Value   string             `json:"value"`
	}
	targetJSON struct {
		ID      agent.TargetID `json:"id"`
		AgentID agent.ID       `json:"agent_id"`
		StackID stack.ID       `json:"stack_id"`
	}
	registrationJSON struct {
		ID           tenancy.RegistrationID    `json:"id"`
		AgentID      agent.ID                  `json:"agent_id"`
		GeneratorID  tenancy.GeneratorID       `json:"generator_id"`
		RegisteredAt time.Time                 `json:"registered_at"`
		State        tenancy.RegistrationState `json:"state"`
	}
	generatorJSON struct {
		ID                 tenancy.GeneratorID        `json:"id"`
		CreatedAt          time.Time                  `json:"created_at"`
		UpdatedAt          time.Time                  `json:"updated_at"`
		DeletedAt          *time.Time                 `json:"deleted_at"`
		Name               string                     `json:"name"`
		Description        *string                    `json:"description"`
		IsActive           bool                       `json:"is_active"`
		IsSystem           bool                       `json:"is_system"`
		LastActiveAt       *time.Time                 `json:"last_active_at"`
		RegistrationPolicy tenancy.RegistrationPolicy `json:"registration_policy"`
	}
	generatorKeyJSON struct {
		Generator generatorJSON `json:"generator"`
		PAK       string        `json:"pak"`
	}
	stackJSON struct {
		ID          stack.ID            `json:"id"`
		CreatedAt   time.Time           `json:"created_at"`
		UpdatedAt   time.Time           `json:"updated_at"`
		DeletedAt   *time.Time          `json:"deleted_at"`
		Name        string              `json:"name"`
		Description *string             `json:"description"`
		GeneratorID tenancy.GeneratorID `json:"generator_id"`
		Treatment   treatmentJSON       `json:"treatment"`
	}
	deletedStackJSON struct {
		stackJSON
		RestorableUntil *time.Time `json:"restorable_until"`
	}
	stackLabelJSON struct {
		ID      stack.LabelID `json:"id"`
		StackID stack.ID      `json:"stack_id"`
		Label   string        `json:"label"`
	}
	stackAnnotationJSON struct {
		ID      stack.AnnotationID `json:"id"`
		StackID stack.ID           `json:"stack_id"`
		Key     string             `json:"key"`
		Value   string             `json:"value"`
	}
	objectJSON struct {
		ID           stack.ObjectID `json:"id"`
		CreatedAt    time.Time      `json:"created_at"`
		UpdatedAt    time.Time      `json:"updated_at"`
		DeletedAt    *time.Time     `json:"deleted_at"`
		SequenceID   stack.Sequence `json:"sequence_id"`
		StackID      stack.ID       `json:"stack_id"`
		YAMLContent  string         `json:"yaml_content"`
		YAMLChecksum stack.Checksum `json:"yaml_checksum"`
		SubmittedAt  time.Time      `json:"submitted_at"`
		Marker       bool           `json:"is_deletion_marker"`
		Template     *originJSON    `json:"template,omitempty"`
	}
	originJSON struct {
		ID         template.ID    `json:"id"`
		Version    int            `json:"version"`
		Parameters stack.Checksum `json:"parameters_sha256"`
	}
)

func agentOf(v agent.Agent) agentJSON {
	return agentJSON{
		ID: v.ID, CreatedAt: v.CreatedAt.UTC(), UpdatedAt: v.UpdatedAt.UTC(), DeletedAt: v.DeletedAt, Name: v.Name, ClusterName: v.ClusterName,
		LastHeartbeat: v.Liveness.LastHeartbeat, Status: v.Status, K8sReachable: v.Liveness.K8sReachable,
		K8sLatencyMS: v.Liveness.K8sLatencyMS, K8sReportedAt: v.Liveness.K8sReportedAt, DuplicateSince: v.Liveness.DuplicateSince,
	}
}

func agentLabelOf(l agent.Label) agentLabelJSON {
	return agentLabelJSON{ID: l.ID, AgentID: l.Agent, Label: l.Label}
}

func agentAnnotationOf(a agent.Annotation) agentAnnotationJSON {
	return agentAnnotationJSON{ID: a.ID, AgentID: a.Agent, Key: a.Key, Value: a.Value}
}

func targetOf(t agent.Target) targetJSON {
	return targetJSON{ID: t.ID, AgentID: t.Agent, StackID: t.Stack}
}

func registrationOf(r tenancy.Registration) registrationJSON {
	return registrationJSON{ID: r.ID, AgentID: r.Agent, GeneratorID: r.Generator, RegisteredAt: r.RegisteredAt.UTC(), State: r.State}
}

func generatorOf(g tenancy.Generator) generatorJSON {
	return generatorJSON{
		ID: g.ID, CreatedAt: g.CreatedAt.UTC(), UpdatedAt: g.UpdatedAt.UTC(), DeletedAt: g.DeletedAt, Name: g.Name, Description: g.Description,
		IsActive: g.Active, IsSystem: g.System, LastActiveAt: g.LastActiveAt, RegistrationPolicy: g.RegistrationPolicy,
	}
}

func stackOf(s stack.Stack) stackJSON {
	return stackJSON{
		ID: s.ID, CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(), DeletedAt: s.DeletedAt, Name: s.Name,
		Description: s.Description, GeneratorID: s.Generator, Treatment: treatmentOf(s.Treatment),
	}
}

func stackLabelOf(l stack.Label) stackLabelJSON {
	return stackLabelJSON{ID: l.ID, StackID: l.Stack, Label: l.Label}
}

func stackAnnotationOf(a stack.Annotation) stackAnnotationJSON {
	return stackAnnotationJSON{ID: a.ID, StackID: a.Stack, Key: a.Key, Value: a.Value}
}

func objectOf(o app.Published) objectJSON {
	out := objectJSON{
		ID: o.ID, CreatedAt: o.CreatedAt.UTC(), UpdatedAt: o.UpdatedAt.UTC(), DeletedAt: o.DeletedAt, SequenceID: o.Sequence, StackID: o.Stack,
		YAMLContent: string(o.Content), YAMLChecksum: o.Checksum, SubmittedAt: o.SubmittedAt.UTC(), Marker: o.Marker,
	}
	if o.Origin != nil {
		out.Template = &originJSON{ID: o.Origin.Template, Version: o.Origin.Version, Parameters: o.Origin.Parameters}
	}
	return out
}
