package testenv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lib/pq"
	"github.com/redis/go-redis/v9"
)

// DumpPostgres returns all rows of all tables of a database as text; binary columns show as hexadecimal digits.
func DumpPostgres(t testing.TB, dsn string) string {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatalf("open database: %v", err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	rows, err := db.QueryContext(t.Context(), `SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY relname`)
	if err != nil {
		t.Fatalf("list tables: %v", err)
	}
	tables := texts(t, rows)
	if len(tables) == 0 {
		t.Fatal("the database has no table")
	}
	var out strings.Builder
	for _, table := range tables {
		name := pq.QuoteIdentifier(table)
		rows, err := db.QueryContext(t.Context(), "SELECT x::text FROM "+name+" x")
		if err != nil {
			t.Fatalf("read %s: %v", table, err)
		}
		for _, row := range texts(t, rows) {
			fmt.Fprintf(&out, "%s: %s\n", table, row)
		}
	}
	return out.String()
}

// texts returns the one text column of rows.
func texts(t testing.TB, rows *sql.Rows) []string {
	t.Helper()
	defer rows.Close() //nolint:errcheck // Err tells
	var out []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatalf("read row: %v", err)
		}
		out = append(out, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("read rows: %v", err)
	}
	return out
}

// Dump returns all keys and values of a server as text.
func (s *RedisServer) Dump(ctx context.Context) (string, error) {
	c := redis.NewClient(&redis.Options{Addr: s.Addr()})
	defer c.Close() //nolint:errcheck // nothing was written
	var out strings.Builder
	for it := c.Scan(ctx, 0, "*", 1000).Iterator(); it.Next(ctx); {
		key := it.Val()
		kind, err := c.Type(ctx, key).Result()
		if err != nil {
			return "", err
		}
		var value any
		switch kind {
		case "string":
			value, err = c.Get(ctx, key).Result()
		case "hash":
			value, err = c.HGetAll(ctx, key).Result()
		case "list":
			value, err = c.LRange(ctx, key, 0, -1).Result()
		case "set":
			value, err = c.SMembers(ctx, key).Result()
		case "zset":
			value, err = c.ZRangeWithScores(ctx, key, 0, -1).Result()
		case "stream":
			value, err = c.XRange(ctx, key, "-", "+").Result()
		case "none": // it has expired
		default:
			return "", fmt.Errorf("key %s has the type %s, which is not read", key, kind)
		}
		if err != nil && !errors.Is(err, redis.Nil) {
			return "", fmt.Errorf("read %s: %w", key, err)
		}
		fmt.Fprintf(&out, "%s: %v\n", key, value)
	}
	return out.String(), nil
}
