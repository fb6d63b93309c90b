package database_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/database"
)

func TestKeyOfAPrivateDatabaseIsMadeOnceForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, err := database.KeysFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := database.KeysFile(dir)
	if err != nil || again != file {
		t.Errorf("again: %s, %v", again, err)
	}
	if second, err := os.ReadFile(file); err != nil || string(second) != string(first) {
		t.Errorf("the key was made anew (%v)", err)
	}
	if _, err := database.KeysFile(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("no error where no file can be made")
	}
}
