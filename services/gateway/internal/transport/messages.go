package transport

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
)

// The messages of contract part A.4 that the gateway speaks.

type heartbeatReport struct {
	K8sReachable    *bool  `json:"k8s_reachable"`
	K8sAPILatencyMS *int32 `json:"k8s_api_latency_ms"`
}

type authResponse struct {
	Admin     bool    `json:"admin"`
	Agent     *string `json:"agent"`
	Generator *string `json:"generator"`
	Readonly  bool    `json:"readonly"`
	Role      string  `json:"role"`
}

func authOf(p tenancy.Principal) authResponse {
	out := authResponse{Admin: p.IsAdmin(), Readonly: p.Role == tenancy.RoleViewer, Role: string(p.Role)}
	if p.Agent != "" {
		a := string(p.Agent)
		out.Agent = &a
	}
	if p.Generator != "" {
		g := string(p.Generator)
		out.Generator = &g
	}
	return out
}

func eventOf(e agent.Event) wire.AgentEvent {
	return wire.AgentEvent{
		ID: string(e.ID), CreatedAt: e.CreatedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(), AgentID: string(e.Agent),
		DeploymentObjectID: string(e.Object), EventType: e.Type, Status: e.Status, Message: e.Message,
	}
}

// emptyChecksum is the SHA-256 of no bytes: what a removal carries.
const emptyChecksum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// objectOf is d without its content.
func objectOf(d app.Desired) wire.DeploymentObject {
	out := wire.DeploymentObject{
		ID: string(d.ID), CreatedAt: d.CreatedAt.UTC(), UpdatedAt: d.UpdatedAt.UTC(), DeletedAt: d.DeletedAt, SequenceID: int64(d.Sequence),
		StackID: string(d.Stack), YAMLChecksum: string(d.Checksum), SubmittedAt: d.SubmittedAt.UTC(),
		IsDeletionMarker: d.Removal,
	}
	if d.Removal {
		out.YAMLChecksum = emptyChecksum
	}
	return out
}

type healthStatusUpdate struct {
	DeploymentObjects []objectHealth `json:"deployment_objects"`
}

type objectHealth struct {
	ID        string         `json:"id"`
	Status    string         `json:"status"`
	CheckedAt time.Time      `json:"checked_at"`
	Summary   *healthSummary `json:"summary"`
}

type healthSummary struct {
	PodsReady  int32            `json:"pods_ready"`
	PodsTotal  int32            `json:"pods_total"`
	Conditions []string         `json:"conditions"`
	Resources  []resourceHealth `json:"resources,omitempty"`
}

type resourceHealth struct {
	Kind      string  `json:"kind"`
	Name      string  `json:"name"`
	Namespace string  `json:"namespace"`
	Ready     bool    `json:"ready"`
	Message   *string `json:"message,omitempty"`
}

// maxHealthSummary bounds what is kept of a summary, in bytes.
const maxHealthSummary = 64 << 10

// json is the summary as it is kept and shown. One that is too long loses its resources and, if that is not enough, its conditions,
// and says so as a condition.
func (s *healthSummary) json() string {
	if s == nil {
		return ""
	}
	kept := *s
	if kept.Conditions == nil {
		kept.Conditions = []string{}
	}
	text, err := json.Marshal(kept)
	if err == nil && len(text) > maxHealthSummary {
		kept.Resources, kept.Conditions = nil, append(slices.Clone(kept.Conditions), "the list of resources was too long to be kept")
		text, err = json.Marshal(kept)
	}
	if err == nil && len(text) > maxHealthSummary {
		kept.Conditions = []string{"resources and conditions were too long to be kept"}
		text, err = json.Marshal(kept)
	}
	if err != nil { // numbers, strings and lists of them always can be written
		return ""
	}
	return string(text)
}

// maxHealthMessage bounds what a summary becomes, in bytes.
const maxHealthMessage = 4 << 10

// text says in words what is not well; it is what a person reads as the reason of a status.
func (s *healthSummary) text() string {
	if s == nil {
		return ""
	}
	parts := []string{fmt.Sprintf("%d of %d pods ready", s.PodsReady, s.PodsTotal)}
	parts = append(parts, s.Conditions...)
	for _, r := range s.Resources {
		if r.Ready {
			continue
		}
		line := fmt.Sprintf("%s %s/%s is not ready", r.Kind, r.Namespace, r.Name)
		if r.Message != nil && *r.Message != "" {
			line += ": " + *r.Message
		}
		parts = append(parts, line)
	}
	out := strings.Join(parts, "; ")
	if len(out) > maxHealthMessage {
		out = strings.ToValidUTF8(out[:maxHealthMessage], "") + " (shortened)"
	}
	return out
}
