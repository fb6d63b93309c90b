package database

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/colliery-io/brokkr/pkg/platform/seal"
)

// keysFile holds the key that seals what a private database keeps. It is readable by its owner alone.
const keysFile = "secret-keys"

// KeysFile returns the file with the key of a private database in stateDir, and makes it at the first start.
func KeysFile(stateDir string) (string, error) {
	file := filepath.Join(stateDir, keysFile)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // below the operator's state folder
	switch {
	case errors.Is(err, fs.ErrExist):
		return file, nil
	case err != nil:
		return "", fmt.Errorf("make the key of the private database: %w", err)
	}
	_, err = f.WriteString("# Seals the manifests in the private database beside it. Without it they cannot be read: keep a copy where backups go.\n" +
		seal.Generate("local") + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write the key of the private database: %w", err), os.Remove(file))
	}
	return file, nil
}
