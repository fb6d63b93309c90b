package janitor

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	blobBatch  = 200
	blobsEvery = time.Hour // all contents are looked at
)

// Blobs deletes contents to which nothing has referred for stack.UnusedFor.
func Blobs(b ports.Blobs) Task {
	var last time.Time
	return Task{Name: "delete unused contents", Step: func(ctx context.Context, now time.Time) (bool, error) {
		if now.Sub(last) < blobsEvery {
			return false, nil
		}
		n, err := b.Trim(ctx, now.Add(-stack.UnusedFor), blobBatch)
		if err == nil && n < blobBatch {
			last = now
		}
		return n == blobBatch, err
	}}
}
