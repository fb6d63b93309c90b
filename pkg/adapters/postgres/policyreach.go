package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

const (
	hasPolicy            = `SELECT 1 FROM placement_policies p WHERE p.deleted_at IS NULL AND p.id = $1`
	hasPolicyOfGenerator = hasPolicy + ` AND p.generator_id = $2`

	policyRevisions = `SELECT r.policy_id, r.revision, '{}'::json AS document, r.created_at FROM placement_policy_revisions r
		WHERE r.policy_id = $1 ORDER BY r.revision DESC`
	policyRevision = `SELECT r.policy_id, r.revision, r.document, r.created_at FROM placement_policy_revisions r WHERE r.policy_id = $1 AND r.revision = $2`
)

type policyRevisionRow struct {
	Policy    policy.ID `db:"policy_id"`
	Number    int       `db:"revision"`
	Document  []byte    `db:"document"`
	CreatedAt time.Time `db:"created_at"`
}

func (r policyRevisionRow) revision() (policy.Revision, error) {
	out := policy.Revision{Policy: r.Policy, Number: r.Number, CreatedAt: micro(r.CreatedAt)}
	if err := json.Unmarshal(r.Document, &out.Document); err != nil {
		return policy.Revision{}, fmt.Errorf("read revision %d of policy %s: %w", r.Number, r.Policy, err)
	}
	return out, nil
}

// sees returns an error unless scope sees the live policy.
func (r policies) sees(ctx context.Context, scope tenancy.Scope, id policy.ID) error {
	query, args, ok := views{all: hasPolicy, generator: hasPolicyOfGenerator}.of(scope, uid(id))
	if !ok || query == "" {
		return noPolicy(id)
	}
	_, err := one[int](ctx, r.s, "look for placement policy", noPolicy(id), query, args...)
	return err
}

// Revisions implements ports.Policies.
func (r policies) Revisions(ctx context.Context, scope tenancy.Scope, id policy.ID) ([]policy.Revision, error) {
	if err := r.sees(ctx, scope, id); err != nil {
		return nil, err
	}
	rows, err := many[policyRevisionRow](ctx, r.s, "list revisions of placement policy", policyRevisions, uid(id))
	if err != nil {
		return nil, err
	}
	out := make([]policy.Revision, len(rows))
	for i, row := range rows {
		out[i] = policy.Revision{Policy: row.Policy, Number: row.Number, CreatedAt: micro(row.CreatedAt)}
	}
	return out, nil
}

// Revision implements ports.Policies.
func (r policies) Revision(ctx context.Context, scope tenancy.Scope, id policy.ID, number int) (policy.Revision, error) {
	if err := r.sees(ctx, scope, id); err != nil {
		return policy.Revision{}, err
	}
	missing := notFound("placement_policy_revision_not_found", "revision", number)
	row, err := one[policyRevisionRow](ctx, r.s, "get revision of placement policy", missing, policyRevision, uid(id), number)
	if err != nil {
		return policy.Revision{}, err
	}
	return row.revision()
}

func notAttached(what string, id any) error {
	return notFound("placement_policy_not_attached", "a placement policy attached to the "+what, id)
}

// The stack is locked already; the policy is locked here.
const attachPolicy = `WITH p AS (
		SELECT p.id, p.generator_id FROM placement_policies p JOIN stacks s ON s.generator_id = p.generator_id
		WHERE p.id = $1 AND p.deleted_at IS NULL AND s.id = $2 FOR SHARE OF p)
	INSERT INTO placement_policy_stacks (stack_id, policy_id, generator_id, attached_at) SELECT $2, p.id, p.generator_id, $3 FROM p
	ON CONFLICT (stack_id) DO UPDATE SET policy_id = EXCLUDED.policy_id, attached_at = EXCLUDED.attached_at`

// Attach implements ports.Policies.
func (r policies) Attach(ctx context.Context, a policy.Attachment) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.touchLiveStack(ctx, a.Stack); err != nil {
			return err
		}
		n, err := in.exec(ctx, "attach placement policy", attachPolicy, uid(a.Policy), uid(a.Stack), micro(a.At))
		if err == nil && n == 0 {
			return noPolicy(a.Policy)
		}
		return err
	})
}

const detachPolicy = `DELETE FROM placement_policy_stacks WHERE stack_id = $1 RETURNING policy_id`

// Detach implements ports.Policies.
func (r policies) Detach(ctx context.Context, id stack.ID) (policy.ID, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (policy.ID, error) {
		if err := in.touchLiveStack(ctx, id); err != nil {
			return "", err
		}
		return one[policy.ID](ctx, in, "detach placement policy", notAttached("stack", id), detachPolicy, uid(id))
	})
}

const attachPolicyLabel = `INSERT INTO placement_policy_labels (policy_id, label, generator_id, attached_at)
	SELECT p.id, $2, p.generator_id, $3 FROM placement_policies p WHERE p.id = $1 ON CONFLICT (policy_id, label) DO NOTHING`

// AttachLabel implements ports.Policies.
func (r policies) AttachLabel(ctx context.Context, id policy.ID, label string, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.keepPolicy(ctx, id); err != nil {
			return err
		}
		_, err := in.exec(ctx, "attach placement policy to label", attachPolicyLabel, uid(id), label, micro(at))
		return err
	})
}

const detachPolicyLabel = `DELETE FROM placement_policy_labels WHERE policy_id = $1 AND label = $2`

// DetachLabel implements ports.Policies.
func (r policies) DetachLabel(ctx context.Context, id policy.ID, label string) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.keepPolicy(ctx, id); err != nil {
			return err
		}
		n, err := in.exec(ctx, "detach placement policy from label", detachPolicyLabel, uid(id), label)
		if err == nil && n == 0 {
			return notAttached("label", label)
		}
		return err
	})
}

// reachStack finds what decides about the stack s, in the order of policy.Effective.
const reachStack = ` LEFT JOIN LATERAL (
		SELECT p.id AS policy_id, p.name AS policy_name, p.revision AS policy_revision, x.label AS policy_label
		FROM (SELECT ps.policy_id, NULL::text COLLATE "C" AS label FROM placement_policy_stacks ps WHERE ps.stack_id = s.id
			UNION ALL
			SELECT pl.policy_id, pl.label FROM stack_labels sl JOIN placement_policy_labels pl ON pl.generator_id = s.generator_id AND pl.label = sl.label
			WHERE sl.stack_id = s.id) x
		JOIN placement_policies p ON p.id = x.policy_id AND p.deleted_at IS NULL
		ORDER BY x.label IS NOT NULL, p.name, x.label LIMIT 1) e ON true`

const refColumns = `e.policy_id, e.policy_name, e.policy_revision, e.policy_label`

// refRow is what reachStack finds.
type refRow struct {
	ID       *policy.ID `db:"policy_id"`
	Name     *string    `db:"policy_name"`
	Revision *int       `db:"policy_revision"`
	Label    *string    `db:"policy_label"`
}

func (r refRow) ref() *policy.Ref {
	if r.ID == nil || r.Name == nil || r.Revision == nil {
		return nil
	}
	out := &policy.Ref{ID: *r.ID, Name: *r.Name, Revision: *r.Revision, By: policy.ByStack}
	if r.Label != nil {
		out.By, out.Label = policy.ByLabel, *r.Label
	}
	return out
}

const effectivePolicy = `SELECT ` + refColumns + ` FROM stacks s` + reachStack + ` WHERE s.id = $1 AND s.deleted_at IS NULL`

// Effective implements ports.Policies.
func (r policies) Effective(ctx context.Context, id stack.ID) (*policy.Ref, error) {
	row, err := one[refRow](ctx, r.s, "get policy of stack", noStack(id), effectivePolicy, uid(id))
	if err != nil {
		return nil, err
	}
	return row.ref(), nil
}

const reachedByPolicy = `SELECT s.id FROM stacks s WHERE s.deleted_at IS NULL AND s.id IN (
		SELECT stack_id FROM placement_policy_stacks WHERE policy_id = $1
		UNION ALL
		SELECT x.id FROM placement_policy_labels pl JOIN stack_labels sl ON sl.label = pl.label JOIN stacks x ON x.id = sl.stack_id AND x.generator_id = pl.generator_id
		WHERE pl.policy_id = $1)
	ORDER BY s.id`

// Reaches implements ports.Policies.
func (r policies) Reaches(ctx context.Context, id policy.ID) ([]stack.ID, error) {
	return many[stack.ID](ctx, r.s, "list stacks of policy", reachedByPolicy, uid(id))
}
