package reconcile

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// contents keeps bundles of a stack by checksum, compressed, so that drift is corrected while the broker is away without
// holding every object in memory. There are two while a new revision has not come into force, three if one before it was
// superseded in the middle.
type contents map[string][]byte

// only forgets all other bundles.
func (c contents) only(checksums ...string) {
	for sum := range c {
		if !slices.Contains(checksums, sum) {
			delete(c, sum)
		}
	}
}

// objects returns the bundle's objects, fetched if they are not those that are kept. Each call returns new ones.
func (w *worker) objects(ctx context.Context, s wire.Stack) ([]bundle.Object, error) {
	plain, err := w.bundle(ctx, s)
	if err != nil {
		return nil, err
	}
	objects, err := bundle.Parse(plain, w.e.c.Limits)
	if err != nil {
		return nil, failure{step: stepParse, err: err}
	}
	if len(objects) == 0 {
		return nil, failure{step: stepParse, err: fault.New(fault.Refused, "empty_bundle",
			"the bundle has no objects; nothing was changed, for that would remove everything: delete the stack if that is meant")}
	}
	return objects, nil
}

func (w *worker) bundle(ctx context.Context, s wire.Stack) ([]byte, error) {
	if packed, ok := w.contents[s.Checksum]; ok {
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, fmt.Errorf("unpack the kept bundle: %w", err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			return nil, fmt.Errorf("unpack the kept bundle: %w", err)
		}
		return plain, nil
	}
	plain, err := w.e.c.Content.Manifest(ctx, s.Checksum, s.Size)
	if err != nil {
		return nil, failure{step: stepFetch, err: err}
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("pack the bundle: %w", err)
	}
	if _, err := z.Write(plain); err != nil {
		return nil, fmt.Errorf("pack the bundle: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack the bundle: %w", err)
	}
	w.contents.only(w.inForce.Checksum, w.begun.Checksum)
	w.contents[s.Checksum] = b.Bytes()
	return plain, nil
}
