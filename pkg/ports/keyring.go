package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// CredentialFilter narrows a list of credentials; what is empty does not.
type CredentialFilter struct {
	Role      tenancy.Role
	Generator tenancy.GeneratorID
	Agent     tenancy.AgentID
	UsableAt  time.Time // only those that may authenticate then
	// Before and BeforeID are creation time and id of the last credential of the page before; zero: the first page.
	Before   time.Time
	BeforeID tenancy.CredentialID
	Limit    int // at most so many; required
}

// Keyring is the credentials one by one, as those see them who manage them.
type Keyring interface {
	// Get returns the credential if it is inside scope: All, or the generator's or agent's own. Else NotFound.
	Get(ctx context.Context, scope tenancy.Scope, id tenancy.CredentialID) (tenancy.Credential, error)
	// List returns credentials inside scope, newest first, then by id descending.
	List(ctx context.Context, scope tenancy.Scope, f CredentialFilter) ([]tenancy.Credential, error)
	// End revokes one credential from at on and announces it; an end that was earlier stays. It reports whether it
	// changed something. An admin's credential is Refused (code last_admin_credential) unless another one is usable at
	// that time and not revoked: of racers that end the last two, one is refused.
	End(ctx context.Context, id tenancy.CredentialID, at time.Time) (bool, error)
	// Purge deletes credentials that ended before the time, but those of admins, at most limit, and returns how many.
	Purge(ctx context.Context, before time.Time, limit int) (int, error)
}
