package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// The encodings of blobs.
const (
	encodingPlain = "plain"
	encodingZstd  = "zstd"
)

type blobs struct{ s session }

func noBlob(sum stack.Checksum) error { return notFound("manifest_not_found", "manifest", sum) }

type blobRow struct {
	SHA256   []byte `db:"sha256"`
	Encoding string `db:"encoding"`
	Size     int64  `db:"size"`
	Content  []byte `db:"content"`
}

const putBlob = `INSERT INTO blobs (sha256, encoding, size, content) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`

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
	err := r.s.atomically(ctx, func(ctx context.Context, in session) error {
		_, err := in.exec(ctx, "put blob", putBlob, sum[:], encoding, len(content), stored)
		return err
	})
	if err != nil {
		return "", err
	}
	return checksumOf(sum[:]), nil
}

const selectBlobs = `SELECT sha256, encoding, size, content FROM blobs`

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

// unpack returns the plain bytes, and checks that they are those that were put.
func (r blobs) unpack(row blobRow) ([]byte, error) {
	content := row.Content
	switch row.Encoding {
	case encodingPlain:
	case encodingZstd:
		var err error
		if content, err = r.s.store.opener.DecodeAll(row.Content, make([]byte, 0, min(row.Size, maxBundle))); err != nil {
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
