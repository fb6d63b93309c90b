package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// ManifestChange is what happens to one manifest between two deployment objects.
type ManifestChange struct {
	Change     string        `json:"change"` // added | removed | changed
	APIVersion string        `json:"api_version"`
	Kind       string        `json:"kind"`
	Namespace  string        `json:"namespace"`
	Name       string        `json:"name"`
	Fields     []FieldChange `json:"fields"`
	MoreFields int           `json:"more_fields"` // changed fields that are not in Fields
}

// FieldChange is a value that differs; the broker shows *** in place of the values of Secrets.
type FieldChange struct {
	Path string          `json:"path"`           // JSON pointer into the manifest
	From json.RawMessage `json:"from,omitempty"` // empty: there was nothing, which is something else than null
	To   json.RawMessage `json:"to,omitempty"`
}

// ComparedObject is a deployment object without its content.
type ComparedObject struct {
	DeploymentObjectID string `json:"deployment_object_id"`
	SequenceID         int64  `json:"sequence_id"`
	YAMLChecksum       string `json:"yaml_checksum"`
	IsDeletionMarker   bool   `json:"is_deletion_marker"`
}

// PreviewedCluster is what publishing would do to the stack in one cluster.
type PreviewedCluster struct {
	AgentID     string   `json:"agent_id"`
	AgentName   string   `json:"agent_name"`
	ClusterName string   `json:"cluster_name"`
	Effect      string   `json:"effect"` // gain | keep | update | lose
	Reasons     []Reason `json:"reasons"`
}

// Preview is what publishing would change.
type Preview struct {
	StackID          string             `json:"stack_id"`
	Base             *ComparedObject    `json:"base"` // the newest object; nil if nothing was published
	YAMLChecksum     string             `json:"yaml_checksum"`
	IsDeletionMarker bool               `json:"is_deletion_marker"`
	Changes          []ManifestChange   `json:"changes"`
	Unchanged        int                `json:"unchanged"`
	Masked           int                `json:"secrets_not_compared"` // whose values you may not know
	Clusters         []PreviewedCluster `json:"clusters"`
	Hold             *Hold              `json:"hold"`     // removals that would go on waiting for approval
	Warnings         []PolicyProblem    `json:"warnings"` // of the overrides of the stack's policy
}

// Outcome returns what publishing would come to.
func (p Preview) Outcome() Outcome {
	switch {
	case p.Base == nil:
		return Created
	case p.Base.YAMLChecksum == p.YAMLChecksum && p.Base.IsDeletionMarker == p.IsDeletionMarker:
		return Unchanged
	default:
		return Updated
	}
}

// ObjectDiff is what makes one deployment object of another.
type ObjectDiff struct {
	StackID   string           `json:"stack_id"`
	From      ComparedObject   `json:"from"`
	To        ComparedObject   `json:"to"`
	Changes   []ManifestChange `json:"changes"`
	Unchanged int              `json:"unchanged"`
	Masked    int              `json:"secrets_not_compared"` // whose values you may not know
}

// PreviewBundle asks what publishing b to a stack would change, and changes nothing.
func (c *Client) PreviewBundle(ctx context.Context, stack string, b Bundle) (Preview, error) {
	var p Preview
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/stacks/" + seg(stack) + "/deployment-objects", query: url.Values{"dry_run": {"true"}},
		body: map[string]string{"yaml_content": string(b.Content)}, repeatable: true}, &p)
	return p, err
}

// DiffObjects returns what makes the deployment object to of the object from, which is one of the same stack.
func (c *Client) DiffObjects(ctx context.Context, from, to string) (ObjectDiff, error) {
	var d ObjectDiff
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/deployment-objects/" + seg(to) + "/diff", query: url.Values{"against": {from}}}, &d)
	return d, err
}

// objectsPage is how many deployment objects, which may be large, are read at once.
const objectsPage = 20

// ObjectAt returns the deployment object of a stack with this sequence, and whether there is one. It reads page by page, newest
// first, no further than it must.
func (c *Client) ObjectAt(ctx context.Context, stack string, sequence int64) (Object, bool, error) {
	query := url.Values{"limit": {strconv.Itoa(objectsPage)}}
	for query != nil {
		var page []Object
		header, err := c.do(ctx, call{method: http.MethodGet, path: "/stacks/" + seg(stack) + "/deployment-objects", query: query}, &page)
		if err != nil {
			return Object{}, false, err
		}
		for _, o := range page {
			if o.SequenceID <= sequence {
				return o, o.SequenceID == sequence, nil
			}
		}
		query = nextPage(header.Values("Link"))
	}
	return Object{}, false, nil
}
