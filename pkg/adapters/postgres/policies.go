package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type policies struct{ s session }

func noPolicy(id any) error { return notFound("placement_policy_not_found", "placement policy", id) }

type policyRow struct {
	ID        policy.ID           `db:"id"`
	Generator tenancy.GeneratorID `db:"generator_id"`
	Name      string              `db:"name"`
	Revision  int                 `db:"revision"`
	Document  []byte              `db:"document"`
	Stacks    int                 `db:"stacks"`
	Labels    pq.StringArray      `db:"labels"`
	CreatedAt time.Time           `db:"created_at"`
	UpdatedAt time.Time           `db:"updated_at"`
}

func (r policyRow) policy() (policy.Policy, error) {
	p := policy.Policy{
		ID: r.ID, Generator: r.Generator, Name: r.Name, Revision: r.Revision, Stacks: r.Stacks,
		CreatedAt: micro(r.CreatedAt), UpdatedAt: micro(r.UpdatedAt),
	}
	if len(r.Labels) > 0 {
		p.Labels = r.Labels
	}
	if err := json.Unmarshal(r.Document, &p.Document); err != nil {
		return policy.Policy{}, fmt.Errorf("read policy %s: %w", r.ID, err)
	}
	return p, nil
}

const selectPolicies = `SELECT p.id, p.generator_id, p.name, p.revision, r.document, p.created_at, p.updated_at,
	(SELECT count(*) FROM placement_policy_stacks x JOIN stacks s ON s.id = x.stack_id AND s.deleted_at IS NULL WHERE x.policy_id = p.id) AS stacks,
	ARRAY(SELECT l.label FROM placement_policy_labels l WHERE l.policy_id = p.id ORDER BY l.label) AS labels
	FROM placement_policies p JOIN placement_policy_revisions r ON r.policy_id = p.id AND r.revision = p.revision WHERE p.deleted_at IS NULL`

const (
	getPolicy            = selectPolicies + ` AND p.id = $1`
	getPolicyOfGenerator = selectPolicies + ` AND p.id = $1 AND p.generator_id = $2`
)

// Get implements ports.Policies.
func (r policies) Get(ctx context.Context, scope tenancy.Scope, id policy.ID) (policy.Policy, error) {
	query, args, ok := views{all: getPolicy, generator: getPolicyOfGenerator}.of(scope, uid(id))
	if !ok || query == "" { // agents see none
		return policy.Policy{}, noPolicy(id)
	}
	row, err := one[policyRow](ctx, r.s, "get placement policy", noPolicy(id), query, args...)
	if err != nil {
		return policy.Policy{}, err
	}
	return row.policy()
}

const (
	countPolicies       = `SELECT count(*) FROM placement_policies p WHERE p.deleted_at IS NULL`
	policiesOfGenerator = ` AND p.generator_id = ?`
	policiesFound       = ` AND position(lower(?::text) IN lower(p.name)) > 0`
)

func policyPages() listing[policyRow, policyRow] {
	list := policy.List()
	rows := page.List[policyRow]{ID: func(r policyRow) string { return string(r.ID) }, Descending: list.Descending, Chunk: list.Chunk}
	for _, s := range list.Sorts {
		rows.Sorts = append(rows.Sorts, page.Sort[policyRow]{Name: s.Name, Kind: s.Kind, Key: func(r policyRow) string {
			return s.Key(policy.Policy{Name: r.Name, CreatedAt: r.CreatedAt})
		}})
	}
	for _, f := range list.Filters {
		rows.Filters = append(rows.Filters, page.Filter[policyRow]{Name: f.Name})
	}
	return listing[policyRow, policyRow]{
		list: rows, act: "list placement policies", rows: selectPolicies, count: countPolicies, id: "p.id",
		sorts:   map[string]string{"name": "p.name", "created_at": "p.created_at"},
		filters: map[string]string{"name": " AND p.name = ?", "generator_id": policiesOfGenerator},
		search:  policiesFound, to: func(r policyRow) policyRow { return r },
	}
}

// Page implements ports.Policies.
func (r policies) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[policy.Policy], error) {
	var only part
	switch {
	case scope.All:
	case scope.Generator != "":
		only = part{policiesOfGenerator, []any{uid(scope.Generator)}}
	default:
		return page.Page[policy.Policy]{}, nil
	}
	got, err := policyPages().page(ctx, r.s, only, q)
	if err != nil {
		return page.Page[policy.Policy]{}, err
	}
	items, err := policiesOf(got.Items)
	return page.Page[policy.Policy]{Items: items, Next: got.Next, Total: got.Total}, err
}

func policiesOf(rows []policyRow) ([]policy.Policy, error) {
	out := make([]policy.Policy, len(rows))
	for i, row := range rows {
		var err error
		if out[i], err = row.policy(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const (
	allPolicies  = selectPolicies + ` ORDER BY p.id`
	somePolicies = selectPolicies + ` AND p.id = ANY ($1::uuid[]) ORDER BY p.id`
)

// Live implements ports.Policies.
func (r policies) Live(ctx context.Context, ids []policy.ID) ([]policy.Policy, error) {
	rows, err := some[policyRow](ctx, r.s, "read placement policies", allPolicies, somePolicies, ids)
	if err != nil {
		return nil, err
	}
	return policiesOf(rows)
}

const insertPolicy = `WITH p AS (
		INSERT INTO placement_policies (id, generator_id, name, revision, created_at, updated_at) VALUES ($1, $2, $3, 1, $4, $5) RETURNING id, updated_at)
	INSERT INTO placement_policy_revisions (policy_id, revision, document, created_at) SELECT p.id, 1, $6, p.updated_at FROM p`

// Insert implements ports.Policies.
func (r policies) Insert(ctx context.Context, p policy.Policy) error {
	document, err := p.Document.Encode()
	if err != nil {
		return err
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.keepGenerator(ctx, p.Generator); err != nil {
			return err
		}
		_, err := in.exec(ctx, "insert placement policy", insertPolicy, uid(p.ID), uid(p.Generator), p.Name, micro(p.CreatedAt), micro(p.UpdatedAt), string(document))
		return err
	})
}

const (
	revisePolicy = `WITH p AS (
		UPDATE placement_policies SET name = $3, revision = revision + 1, updated_at = $4 WHERE id = $1 AND revision = $2 AND deleted_at IS NULL
		RETURNING id, revision, updated_at),
	old AS (DELETE FROM placement_policy_revisions r USING p WHERE r.policy_id = $1 AND r.policy_id = p.id AND r.revision <= p.revision - $6)
	INSERT INTO placement_policy_revisions (policy_id, revision, document, created_at) SELECT p.id, p.revision, $5, p.updated_at FROM p`
	keepPolicy = `SELECT 1 FROM placement_policies WHERE id = $1 AND deleted_at IS NULL FOR SHARE`
)

// keepPolicy holds a live policy alive until the transaction ends.
func (s session) keepPolicy(ctx context.Context, id policy.ID) error {
	_, err := one[int](ctx, s, "lock placement policy", noPolicy(id), keepPolicy, uid(id))
	return err
}

// Revise implements ports.Policies.
func (r policies) Revise(ctx context.Context, p policy.Policy) error {
	document, err := p.Document.Encode()
	if err != nil {
		return err
	}
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "revise placement policy", revisePolicy, uid(p.ID), p.Revision, p.Name, micro(p.UpdatedAt), string(document), policy.KeepRevisions)
		if err != nil || n > 0 {
			return err
		}
		if err := in.keepPolicy(ctx, p.ID); err != nil {
			return err
		}
		return stale("placement policy", p.ID)
	})
}

const deletePolicy = `WITH gone AS (UPDATE placement_policies SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING id),
	stacks AS (DELETE FROM placement_policy_stacks WHERE policy_id IN (SELECT id FROM gone)),
	labels AS (DELETE FROM placement_policy_labels WHERE policy_id IN (SELECT id FROM gone))
	SELECT count(*) FROM gone`

// Delete implements ports.Policies.
func (r policies) Delete(ctx context.Context, id policy.ID, at time.Time) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := one[int](ctx, in, "delete placement policy", noPolicy(id), deletePolicy, uid(id), micro(at))
		if err == nil && n == 0 {
			return noPolicy(id)
		}
		return err
	})
}
