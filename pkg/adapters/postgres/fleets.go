package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/lib/pq"
)

const (
	// They stay as long as the transaction lasts.
	findFleets = `SELECT id, digest FROM decision_fleets WHERE digest = ANY ($1::bytea[]) ORDER BY digest FOR KEY SHARE`
	// Who comes second waits for the first, and gets what it has put.
	putFleets = `INSERT INTO decision_fleets AS f (digest, packed) SELECT * FROM unnest($1::bytea[], $2::bytea[]) AS c (digest, packed) ORDER BY digest
		ON CONFLICT (digest) DO UPDATE SET digest = f.digest RETURNING id, digest`
)

type aboutRow struct {
	ID     int64  `db:"id"`
	Digest []byte `db:"digest"`
}

// fleets returns under which numbers it is kept whom the decisions are about; what is not kept yet is put.
func (s session) fleets(ctx context.Context, rows []decidedRow) ([]int64, error) {
	digests, packed := make([][sha256.Size]byte, len(rows)), map[[sha256.Size]byte][]byte{}
	for i, r := range rows {
		if i > 0 && bytes.Equal(r.packed.Whom, rows[i-1].packed.Whom) {
			digests[i] = digests[i-1]
			continue
		}
		digests[i] = sha256.Sum256(r.packed.Whom)
		packed[digests[i]] = r.packed.Whom
	}
	wanted := func() (digests, contents pq.ByteaArray) {
		for d, content := range packed {
			digests, contents = append(digests, d[:]), append(contents, content)
		}
		return digests, contents
	}
	known := make(map[[sha256.Size]byte]int64, len(packed))
	learn := func(found []aboutRow) {
		for _, f := range found {
			d := [sha256.Size]byte(f.Digest)
			known[d] = f.ID
			delete(packed, d)
		}
	}
	of, _ := wanted()
	found, err := many[aboutRow](ctx, s, "find fleets of decisions", findFleets, of)
	if err != nil {
		return nil, err
	}
	if learn(found); len(packed) > 0 {
		of, contents := wanted()
		if found, err = many[aboutRow](ctx, s, "put fleets of decisions", putFleets, of, contents); err != nil {
			return nil, err
		}
		learn(found)
	}
	out := make([]int64, len(rows))
	for i, d := range digests {
		out[i] = known[d]
	}
	return out, nil
}
