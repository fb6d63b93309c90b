package janitor

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	purgeBatch = 1000

	// keepEnded is how long a credential or join token is listed after its end.
	keepEnded = 90 * 24 * time.Hour
)

// Credentials deletes those of others than admins that ended 90 days ago.
func Credentials(k ports.Keyring) Task {
	return Task{Name: "delete ended credentials", Step: func(ctx context.Context, now time.Time) (bool, error) {
		n, err := k.Purge(ctx, now.Add(-keepEnded), purgeBatch)
		return n == purgeBatch, err
	}}
}

// JoinTokens deletes those that ended 90 days ago.
func JoinTokens(t ports.JoinTokens) Task {
	return Task{Name: "delete ended join tokens", Step: func(ctx context.Context, now time.Time) (bool, error) {
		n, err := t.Purge(ctx, now.Add(-keepEnded), purgeBatch)
		return n == purgeBatch, err
	}}
}
