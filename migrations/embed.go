// Package migrations holds the schema of the database as goose migrations, embedded into the programs.
//
// A migration expands: it adds tables, columns with defaults, indexes. What an older program still uses is removed by
// a later release (contract), never in the one that stops using it, so that old and new programs run side by side
// during an upgrade. Every migration has a way down, which the tests walk.
package migrations

import "embed"

// Files are the migrations, NNNNN_name.sql.
//
//go:embed *.sql
var Files embed.FS
