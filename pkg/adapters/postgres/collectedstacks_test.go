package postgres_test

import (
	"slices"
	"strings"
	"testing"
)

// What can name a stack or its objects goes with them or is waited for, and is found by an index.
func TestPurgeKnowsWhatNamesStacks(t *testing.T) {
	t.Parallel()
	db := connect(t, migrated(t))
	all := statements(t)
	var purge string
	for name, text := range all {
		if strings.HasPrefix(name, "purge") || name == "findCollected" {
			purge += text + "\n"
		}
	}
	named := column(t, db, `SELECT DISTINCT conrelid::regclass::text FROM pg_constraint
		WHERE contype = 'f' AND confdeltype <> 'c' AND conparentid = 0 AND confrelid IN ('stacks'::regclass, 'deployment_objects'::regclass) ORDER BY 1`)
	if len(named) < 12 {
		t.Fatalf("named by %v, want all tables of stacks", named)
	}
	// A day of records is a part of their table, and a status goes with its assignment, which is waited for.
	others := map[string]bool{"decisions_rest": true, "assignment_status": true}
	for _, table := range named {
		if !others[table] && !strings.Contains(purge, " "+table+" ") {
			t.Errorf("%s names stacks or objects, and no statement of a purge knows it", table)
		}
	}
	slow := column(t, db, `SELECT format('%s %s', c.conrelid::regclass, c.conname) FROM pg_constraint c
		WHERE c.contype = 'f' AND c.confrelid IN ('stacks'::regclass, 'deployment_objects'::regclass, 'rollouts'::regclass)
			AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indpred IS NULL AND i.indkey[0] = ANY (c.conkey)) ORDER BY 1`)
	if len(slow) > 0 {
		t.Errorf("no index finds what names a stack, an object or a rollout that goes: %v", slices.Compact(slow))
	}
}
