package ports

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// Keyring is the credentials one by one, as those see them who manage them.
type Keyring interface {
	// Get returns the credential if it is inside scope: All, or the generator's or agent's own. Else NotFound.
	Get(ctx context.Context, scope tenancy.Scope, id tenancy.CredentialID) (tenancy.Credential, error)
	// Page returns a page of the credentials inside scope, as tenancy.CredentialList says.
	Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[tenancy.Credential], error)
	// End revokes one credential from at on and announces it; an end that was earlier stays. It reports whether it
	// changed something. An admin's credential is Refused (code last_admin_credential) unless another one is usable at
	// that time and not revoked: of racers that end the last two, one is refused.
	End(ctx context.Context, id tenancy.CredentialID, at time.Time) (bool, error)
	// Purge deletes credentials that ended before the time, but those of admins, at most limit, and returns how many.
	Purge(ctx context.Context, before time.Time, limit int) (int, error)
}
