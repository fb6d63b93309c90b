package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
)

// The encodings of blobs.
const (
	encodingPlain = "plain"
	encodingZstd  = "zstd"
)

type blobs struct{ s session }

func noBlob(sum stack.Checksum) error { return notFound("manifest_not_found", "manifest", sum) }

type blobRow struct {
	SHA256   []byte  `db:"sha256"`
	Encoding string  `db:"encoding"`
	Size     int64   `db:"size"`
	Content  []byte  `db:"content"`
	KeyID    *string `db:"key_id"`
	Wrapped  []byte  `db:"wrapped"`
}

const putBlob = `INSERT INTO blobs (sha256, encoding, size, content, key_id, wrapped) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (sha256) DO UPDATE SET put_at = now() WHERE blobs.put_at < now() - interval '1 hour'`

// Put implements ports.Blobs.
func (r blobs) Put(ctx context.Context, content []byte) (stack.Checksum, error) {
	if r.s.store.closed.Load() {
		return "", closedFault()
	}
	sum := sha256.Sum256(content)
	encoding, stored := encodingZstd, r.s.store.packer.EncodeAll(content, make([]byte, 0, len(content)/4+64))
	if len(stored) >= len(content) {
		encoding, stored = encodingPlain, append([]byte{}, content...)
	}
	var keyID *string
	var wrapped []byte
	if keys := r.s.store.keys; keys != nil {
		s, err := keys.Seal(blobPlace(sum[:]), stored)
		if err != nil {
			return "", fmt.Errorf("seal blob %x: %w", sum, err)
		}
		stored, keyID, wrapped = s.Content, &s.KeyID, s.Wrapped
	}
	err := r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "put blob", putBlob, sum[:], encoding, len(content), stored, keyID, wrapped)
		return err
	})
	if err != nil {
		return "", err
	}
	return checksumOf(sum[:]), nil
}

const selectBlobs = `SELECT sha256, encoding, size, content, key_id, wrapped FROM blobs`

const getBlob = selectBlobs + ` WHERE sha256 = $1`

// Get implements ports.Blobs.
func (r blobs) Get(ctx context.Context, sum stack.Checksum) ([]byte, error) {
	row, err := one[blobRow](ctx, r.s, "get blob", noBlob(sum), getBlob, bytesOf(sum))
	if err != nil {
		return nil, err
	}
	return r.unpack(row)
}

const getBlobs = selectBlobs + ` WHERE sha256 = ANY ($1::bytea[])`

// GetMany implements ports.Blobs.
func (r blobs) GetMany(ctx context.Context, sums []stack.Checksum) (map[stack.Checksum][]byte, error) {
	keys := make([][]byte, 0, len(sums))
	for _, s := range sums {
		if b := bytesOf(s); b != nil {
			keys = append(keys, b)
		}
	}
	rows, err := many[blobRow](ctx, r.s, "get blobs", getBlobs, pq.Array(keys))
	if err != nil {
		return nil, err
	}
	out := make(map[stack.Checksum][]byte, len(rows))
	for _, row := range rows {
		content, err := r.unpack(row)
		if err != nil {
			return nil, err
		}
		out[checksumOf(row.SHA256)] = content
	}
	return out, nil
}

const trimBlobs = `DELETE FROM blobs WHERE sha256 = ANY (ARRAY(
	SELECT b.sha256 FROM blobs b WHERE b.put_at < $1
		AND NOT EXISTS (SELECT FROM deployment_objects o WHERE o.checksum = b.sha256)
		AND NOT EXISTS (SELECT FROM assignments a WHERE a.variant = b.sha256)
		AND NOT EXISTS (SELECT FROM work_orders w WHERE w.checksum = b.sha256)
		AND NOT EXISTS (SELECT FROM work_order_log l WHERE l.checksum = b.sha256)
	LIMIT $2 FOR UPDATE OF b SKIP LOCKED)) AND put_at < $1`

// Trim implements ports.Blobs. One that is put at the same moment waits for the deletion and is stored anew, or is passed over;
// one that something comes to refer to meanwhile is held by the foreign key.
func (r blobs) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		n, err := in.exec(ctx, "trim blobs", trimBlobs, micro(before), limit)
		return int(n), err
	})
}

// unpack returns the plain bytes, and checks that they are those that were put.
func (r blobs) unpack(row blobRow) ([]byte, error) {
	content := row.Content
	if row.KeyID != nil {
		var err error
		if content, err = r.open(row); err != nil {
			return nil, fmt.Errorf("open blob %x: %w", row.SHA256, err)
		}
	}
	switch row.Encoding {
	case encodingPlain:
	case encodingZstd:
		var err error
		if content, err = r.s.store.opener.DecodeAll(content, make([]byte, 0, min(row.Size, maxBundle))); err != nil {
			return nil, fmt.Errorf("unpack blob %x: %w", row.SHA256, err)
		}
	default:
		return nil, fmt.Errorf("unpack blob %x: encoding %q is not known to this version", row.SHA256, row.Encoding)
	}
	if sum := sha256.Sum256(content); string(sum[:]) != string(row.SHA256) {
		return nil, fmt.Errorf("unpack blob %x: the stored content is damaged", row.SHA256)
	}
	return content, nil
}

func (r blobs) open(row blobRow) ([]byte, error) {
	if r.s.store.keys == nil {
		return nil, &seal.UnknownKeyError{KeyID: *row.KeyID}
	}
	return r.s.store.keys.Open(blobPlace(row.SHA256), seal.Sealed{KeyID: *row.KeyID, Wrapped: row.Wrapped, Content: row.Content})
}
