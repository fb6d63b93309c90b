// Package bundle serves manifest blobs by checksum: each is read and compressed once and shared by all agents.
package bundle

import (
	"bytes"
	"compress/gzip"
	"container/list"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// overhead is about what an entry costs besides its content, in bytes.
const overhead = 256

// loadLimit bounds one read of a blob.
const loadLimit = 30 * time.Second

// Bundle is a blob as it is kept: compressed.
type Bundle struct {
	Sum  stack.Checksum
	Gzip []byte // shared: not to be changed
	Size int64  // uncompressed
}

// Open returns the content to be read.
func (b Bundle) Open() (io.Reader, error) {
	z, err := gzip.NewReader(bytes.NewReader(b.Gzip))
	if err != nil {
		return nil, fmt.Errorf("open the compressed bundle %s: %w", b.Sum, err)
	}
	return z, nil
}

// Plain returns the content.
func (b Bundle) Plain() ([]byte, error) {
	z, err := b.Open()
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(make([]byte, 0, b.Size))
	if _, err := io.Copy(out, z); err != nil { //nolint:gosec // we compressed it ourselves from a bounded bundle
		return nil, fmt.Errorf("decompress the bundle %s: %w", b.Sum, err)
	}
	return out.Bytes(), nil
}

// Cache holds the most recently used blobs, at most so many bytes. It is safe for concurrent use.
type Cache struct {
	blobs ports.Blobs
	max   int64
	count func(hit bool)
	once  singleflight.Group

	mu      sync.Mutex
	used    int64
	recent  *list.List // of Bundle
	entries map[stack.Checksum]*list.Element
}

// New returns an empty cache of at most maxBytes; count is told of each question.
func New(blobs ports.Blobs, maxBytes int64, count func(hit bool)) *Cache {
	return &Cache{blobs: blobs, max: maxBytes, count: count, recent: list.New(), entries: map[stack.Checksum]*list.Element{}}
}

// Get returns the blob, or NotFound. Several callers that miss the same blob share one read.
func (c *Cache) Get(ctx context.Context, sum stack.Checksum) (Bundle, error) {
	b, ok := c.find(sum)
	c.count(ok)
	if ok {
		return b, nil
	}
	// the reading outlives the caller that began it, because others wait for it
	shared := c.once.DoChan(string(sum), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadLimit)
		defer cancel()
		return c.load(ctx, sum)
	})
	select {
	case <-ctx.Done():
		return Bundle{}, ctx.Err()
	case got := <-shared:
		if got.Err != nil {
			return Bundle{}, got.Err
		}
		return got.Val.(Bundle), nil //nolint:forcetypeassert // load returns nothing else
	}
}

func (c *Cache) find(sum stack.Checksum) (Bundle, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[sum]
	if !ok {
		return Bundle{}, false
	}
	c.recent.MoveToFront(e)
	return value(e), true
}

func (c *Cache) load(ctx context.Context, sum stack.Checksum) (Bundle, error) {
	plain, err := c.blobs.Get(ctx, sum)
	if fault.Is(err, fault.NotFound) {
		return Bundle{}, err
	}
	if err != nil {
		return Bundle{}, fmt.Errorf("read blob %s: %w", sum, err)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(plain); err != nil {
		return Bundle{}, fmt.Errorf("compress blob %s: %w", sum, err)
	}
	if err := w.Close(); err != nil {
		return Bundle{}, fmt.Errorf("compress blob %s: %w", sum, err)
	}
	b := Bundle{Sum: sum, Gzip: bytes.Clone(z.Bytes()), Size: int64(len(plain))}
	c.keep(b)
	return b, nil
}

func (c *Cache) keep(b Bundle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[b.Sum]; ok || cost(b) > c.max {
		return
	}
	for c.used+cost(b) > c.max {
		old := c.recent.Back()
		delete(c.entries, value(old).Sum)
		c.used -= cost(value(old))
		c.recent.Remove(old)
	}
	c.entries[b.Sum] = c.recent.PushFront(b)
	c.used += cost(b)
}

func cost(b Bundle) int64 { return int64(len(b.Gzip)) + overhead }

func value(e *list.Element) Bundle {
	return e.Value.(Bundle) //nolint:forcetypeassert // the list holds nothing else
}
