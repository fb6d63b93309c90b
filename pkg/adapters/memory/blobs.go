package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

type blobs struct{ s session }

type blob struct {
	content []byte
	put     time.Time // the last time
}

func noBlob(sum stack.Checksum) error { return notFound("manifest_not_found", "manifest", sum) }

func (r blobs) Put(ctx context.Context, content []byte) (stack.Checksum, error) {
	h := sha256.Sum256(content)
	sum := stack.Checksum(hex.EncodeToString(h[:]))
	return write(ctx, r.s, func(c *change) (stack.Checksum, error) {
		b, ok := c.blobs.get(one(sum))
		if !ok {
			b.content = append([]byte{}, content...)
		}
		b.put = c.now()
		c.blobs.put(one(sum), b)
		return sum, nil
	})
}

func (r blobs) Get(ctx context.Context, sum stack.Checksum) ([]byte, error) {
	return read(ctx, r.s, func(s *state) ([]byte, error) {
		b, ok := s.blobs.get(one(sum))
		if !ok {
			return nil, noBlob(sum)
		}
		return bytes.Clone(b.content), nil
	})
}

func (r blobs) GetMany(ctx context.Context, sums []stack.Checksum) (map[stack.Checksum][]byte, error) {
	return read(ctx, r.s, func(s *state) (map[stack.Checksum][]byte, error) {
		out := make(map[stack.Checksum][]byte, len(sums))
		for _, sum := range sums {
			if b, ok := s.blobs.get(one(sum)); ok {
				out[sum] = bytes.Clone(b.content)
			}
		}
		return out, nil
	})
}

func (r blobs) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return write(ctx, r.s, func(c *change) (int, error) {
		used := c.usedBlobs()
		var unused []one
		c.blobs.each(func(sum one, b blob) bool {
			if b.put.Before(before) && !used[stack.Checksum(sum)] {
				unused = append(unused, sum)
			}
			return len(unused) < limit
		})
		for _, sum := range unused {
			c.blobs.drop(sum)
		}
		return len(unused), nil
	})
}

// usedBlobs are the contents that something refers to.
func (s *state) usedBlobs() map[stack.Checksum]bool {
	used := map[stack.Checksum]bool{}
	s.objects.each(func(_ one, o stack.Object) bool {
		used[o.Checksum] = true
		return true
	})
	s.assignments.each(func(_ two, a delivery.Assignment) bool {
		used[a.Variant] = true
		return true
	})
	s.workOrders.each(func(_ one, o workorder.Order) bool {
		used[o.Checksum] = true
		return true
	})
	s.workOrderLog.each(func(_ one, e workorder.Entry) bool {
		used[e.Checksum] = true
		return true
	})
	return used
}
