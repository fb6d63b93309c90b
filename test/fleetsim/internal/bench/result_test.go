package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A row that is not measured anew keeps what was said of the run that measured it.
func TestRowsKeepTheirRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, row := range []string{"8", "13"} {
		began := Start{At: time.Date(2026, 1, 1+i, 10, 0, 0, 0, time.UTC), Load: []string{"9.00 8.00 7.00 2/99 1", "0.10 0.20 0.30 1/99 2"}[i], Cores: 2}
		if err := (Report{Results: []Result{{Row: row, What: "w", Run: began}}}).Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "fleet.md"))
	if err != nil {
		t.Fatal(err)
	}
	for row, want := range map[string]string{"| 8 |": "| 2026-01-01 10:00 UTC, 9.00 8.00 7.00, 2 |", "| 13 |": "| 2026-01-02 10:00 UTC, 0.10 0.20 0.30, 2 |"} {
		found := false
		for line := range strings.Lines(string(text)) {
			found = found || (strings.HasPrefix(line, row) && strings.Contains(line, want))
		}
		if !found {
			t.Errorf("no line %s ... %s in\n%s", row, want, text)
		}
	}
}
