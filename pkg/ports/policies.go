package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Policies are the placement policies with their revisions, and what they are attached to. A generator's scope sees its
// own, an agent's none. A policy reaches stacks of its own generator only. An unknown or deleted policy is NotFound, code
// placement_policy_not_found.
type Policies interface {
	// Get returns a live policy in its newest revision.
	Get(ctx context.Context, scope tenancy.Scope, id policy.ID) (policy.Policy, error)
	// Page returns a page of live policies, as policy.List says.
	Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[policy.Policy], error)
	// Insert stores p with its document as revision 1, attached to nothing. The generator must be live; a name that it has
	// already is a Conflict.
	Insert(ctx context.Context, p policy.Policy) error
	// Revise stores p's document as the next revision of the policy, with p's name and updated_at, if its revision is still
	// p.Revision; else Conflict. Of its revisions the newest policy.KeepRevisions are kept.
	Revise(ctx context.Context, p policy.Policy) error
	// Delete soft-deletes the policy and detaches it from everything.
	Delete(ctx context.Context, id policy.ID, at time.Time) error

	// Revisions returns the kept revisions of a live policy, the newest first, without their documents.
	Revisions(ctx context.Context, scope tenancy.Scope, id policy.ID) ([]policy.Revision, error)
	// Revision returns one of them; NotFound, code placement_policy_revision_not_found, if it is not kept.
	Revision(ctx context.Context, scope tenancy.Scope, id policy.ID, number int) (policy.Revision, error)

	// Attach gives a live stack this policy in place of the one it has by id, and grows the stack's version. A policy of
	// another generator is not there.
	Attach(ctx context.Context, a policy.Attachment) error
	// Detach takes from a live stack the policy that it has by id, which it returns, and grows the stack's version;
	// NotFound, code placement_policy_not_attached, if it has none.
	Detach(ctx context.Context, s stack.ID) (policy.ID, error)
	// AttachLabel lets the policy reach the stacks of its generator that have the label; a second time changes nothing.
	AttachLabel(ctx context.Context, id policy.ID, label string, at time.Time) error
	// DetachLabel undoes AttachLabel; NotFound, code placement_policy_not_attached, if it was not done.
	DetachLabel(ctx context.Context, id policy.ID, label string) error
	// Effective returns what decides about a live stack, as policy.Effective says; nil if no policy reaches it.
	Effective(ctx context.Context, s stack.ID) (*policy.Ref, error)

	// Reaches returns the live stacks to which the policy is attached, by id or by a label, whether another one decides about them or
	// not, by id. Of an unknown policy there are none.
	Reaches(ctx context.Context, id policy.ID) ([]stack.ID, error)

	// Live returns these policies as far as they are live, or all live ones if ids is nil, by id.
	Live(ctx context.Context, ids []policy.ID) ([]policy.Policy, error)
}
