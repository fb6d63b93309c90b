package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// maxManifest is more than any broker takes for a bundle.
const maxManifest = 32 << 20

// Manifest fetches the content with this checksum and proves that it is. size, in bytes, is what it should have; nothing
// larger is read. What comes damaged is fetched once more, past all caches, before it is Unavailable.
func (c *Client) Manifest(ctx context.Context, checksum string, size int64) ([]byte, error) {
	if size < 0 || size > maxManifest {
		return nil, fault.Newf(fault.Invalid, "manifest_too_large", "manifest %s is said to have %d bytes; an agent takes %d at most", checksum, size, maxManifest)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	content, err := c.fetch(ctx, checksum, size, nil)
	if fault.CodeOf(err) == codeDamaged {
		return c.fetch(ctx, checksum, size, http.Header{"Cache-Control": {"no-cache"}})
	}
	return content, err
}

const codeDamaged = "manifest_damaged"

func (c *Client) fetch(ctx context.Context, checksum string, size int64, header http.Header) ([]byte, error) {
	res, err := c.do(ctx, http.MethodGet, "/api/v1/manifests/"+url.PathEscape(checksum), nil, header)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()          //nolint:errcheck // nothing was written
	content := make([]byte, size+1) // one more, to see whether it ends
	n, err := io.ReadFull(res.Body, content)
	switch {
	case err == nil:
		return nil, fault.Newf(fault.Unavailable, codeDamaged, "what came for manifest %s is longer than its %d bytes; it is fetched again", checksum, size)
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		return nil, c.unreachable(ctx, err)
	}
	content = content[:n]
	if h := sha256.Sum256(content); hex.EncodeToString(h[:]) != checksum {
		return nil, fault.Newf(fault.Unavailable, codeDamaged, "what came for manifest %s is damaged (%d of %d bytes); it is fetched again", checksum, n, size)
	}
	return content, nil
}
