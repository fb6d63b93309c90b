package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// statements returns the package's SQL: every constant text that begins as a statement, by name.
func statements(t testing.TB) map[string]string {
	t.Helper()
	constants := map[string]ast.Expr{}
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatalf("list files: %v", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("parse %s: %v", name, err)
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec) //nolint:forcetypeassert // a const declaration has nothing else
				for i, n := range v.Names {
					if i < len(v.Values) {
						constants[n.Name] = v.Values[i]
					}
				}
			}
		}
	}
	out := map[string]string{}
	begins := regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE|WITH) `)
	for name, e := range constants {
		if text, ok := evaluate(constants, e); ok && begins.MatchString(text) {
			out[name] = text
		}
	}
	return out
}

// evaluate returns the text of a constant made of literals, other constants and +.
func evaluate(constants map[string]ast.Expr, e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.Ident:
		named, ok := constants[e.Name]
		if !ok {
			return "", false
		}
		return evaluate(constants, named)
	case *ast.BinaryExpr:
		x, ok1 := evaluate(constants, e.X)
		y, ok2 := evaluate(constants, e.Y)
		return x + y, ok1 && ok2
	default:
		return "", false
	}
}

// Every statement fits the migrated schema.
func TestStatementsPrepare(t *testing.T) {
	t.Parallel()
	all := statements(t)
	if len(all) < 100 {
		t.Fatalf("found %d statements, want all of them (about 120)", len(all))
	}
	db := connect(t, migrated(t))
	for name, text := range all {
		if err := prepare(t.Context(), db, text); err != nil {
			t.Errorf("prepare %s: %v\n%s", name, err, text)
		}
	}
}

func prepare(ctx context.Context, db *sql.DB, text string) (err error) {
	s, err := db.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return nil
}

// SQL is nowhere but in constants, so that the tests here see all of it.
func TestStatementsAreConstants(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatalf("list files: %v", err)
	}
	looksLikeSQL := regexp.MustCompile(`\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b`)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("parse %s: %v", name, err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && looksLikeSQL.MatchString(lit.Value) {
					t.Errorf("%s: %s holds SQL that is no constant: %s", name, f.Name.Name, lit.Value)
				}
				return true
			})
		}
	}
}

// readsAll lists the statements that read a whole table because that is what they are for.
func readsAll() map[string]bool {
	return map[string]bool{
		"selectGenerators": true, "listGenerators": true, "listGeneratorsAny": true, "selectAgents": true, "listAgents": true,
		"selectStacks": true, "listStacks": true, "selectObjects": true, "countObjects": true, "countDeletedStacks": true, "selectTemplates": true, "selectBlobs": true, "selectCredentials": true, "listCredentials": true, "selectJoinTokens": true, "listJoinTokens": true,
		"selectRegistrations": true, "selectClusters": true, "allClusters": true, "selectSubjects": true, "allSubjects": true,
		"selectPrior": true, "schemaVersion": true, "selectWorkOrders": true, "listWorkOrders": true, "selectWorkOrderLog": true, "listWorkOrderLog": true,
		"selectFleet": true, "listFleet": true, "listFeed": true, "selectDiagnostics": true,
		"selectPolicies": true, "selectRollouts": true, "allGoverning": true, "selectRecords": true, "countRecords": true, "allPolicies": true, "countPolicies": true, "selectWebhooks": true, "listWebhooks": true, "selectDeliveries": true, "listDeliveries": true,
		"selectKnown": true, "silence": true, "runningDrains": true, "countAssigned": true,
		// one row, or none at all
		"endOfOutbox": true, "trimOutbox": true, "readEvents": true,
		// a row for each process of an agent that has sent something lately
		"dropMarks": true,
	}
}

var scan = regexp.MustCompile(`Seq Scan on (\w+)`)

// Every statement that is about something finds it by an index: with sequential scans made dear, none is left.
func TestStatementsUseIndexes(t *testing.T) {
	t.Parallel()
	db := connect(t, migrated(t))
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close() //nolint:errcheck // the test's own
	for _, set := range []string{`SET enable_seqscan = off`, `SET plan_cache_mode = force_generic_plan`} {
		if _, err := conn.ExecContext(t.Context(), set); err != nil {
			t.Fatalf("%s: %v", set, err)
		}
	}
	parameter := regexp.MustCompile(`\$(\d+)`)
	for name, text := range statements(t) {
		if readsAll()[name] || strings.Contains(text, "pg_advisory") || strings.Contains(text, "pg_try_advisory") {
			continue
		}
		n := 0
		for _, m := range parameter.FindAllStringSubmatch(text, -1) {
			i, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatalf("parameter %s: %v", m[0], err)
			}
			n = max(n, i)
		}
		if _, err := conn.ExecContext(t.Context(), "PREPARE probe AS "+text); err != nil {
			t.Errorf("prepare %s: %v", name, err)
			continue
		}
		explain := "EXPLAIN EXECUTE probe"
		if n > 0 {
			explain += "(" + strings.TrimSuffix(strings.Repeat("NULL,", n), ",") + ")"
		}
		plan := lines(t, conn, explain)
		if m := scan.FindStringSubmatch(plan); m != nil {
			t.Errorf("%s reads all of %s:\n%s", name, m[1], plan)
		}
		if _, err := conn.ExecContext(t.Context(), "DEALLOCATE probe"); err != nil {
			t.Fatalf("deallocate %s: %v", name, err)
		}
	}
}

// lines returns what a query answers, a row a line.
func lines(t testing.TB, conn *sql.Conn, query string) string {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		out.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out.String()
}

// Foreign keys everywhere: every column that is named like a reference is one, but for the outbox and observations, which are
// logs.
func TestReferencesAreForeignKeys(t *testing.T) {
	t.Parallel()
	loose := column(t, connect(t, migrated(t)), `SELECT format('%s.%s', c.table_name, c.column_name)
		FROM information_schema.columns c
		WHERE c.table_schema = 'public' AND c.column_name ~ '^(agent|stack|object|generator)_id$' AND c.table_name NOT IN ('outbox', 'k8s_events', 'pod_logs')
			AND NOT EXISTS (SELECT FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
				WHERE k.contype = 'f' AND k.conrelid = format('public.%I', c.table_name)::regclass AND a.attname = c.column_name)`)
	if len(loose) != 0 {
		t.Errorf("columns without a foreign key: %v", loose)
	}
	if triggers := column(t, connect(t, migrated(t)), `SELECT tgname FROM pg_trigger WHERE NOT tgisinternal`); len(triggers) != 0 {
		t.Errorf("triggers hide logic: %v", triggers)
	}
}
