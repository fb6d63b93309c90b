package localpg

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The files beside pgdata are this process's own. Where it is root's, the folder is as well, and the account that PostgreSQL runs as may pass
// through it alone: what root writes there could otherwise be led elsewhere by links, and with it root.

// ownLimit bounds what is read of a file of ours; all are a line long.
const ownLimit = 4096

// readOwn returns what a file of ours holds.
func readOwn(path string) ([]byte, error) {
	f, err := openOwn(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, ownLimit))
	return text, errors.Join(err, f.Close())
}

// writeOwn puts a file of ours in place whole, also if the machine loses its power meanwhile.
func writeOwn(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes durable which files a folder has.
func syncDir(path string) error {
	d, err := os.Open(path) //nolint:gosec // the data directory
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lend writes text to a file that the account may read; the caller removes it.
func lend(dir, text string, a *account) (path string, err error) {
	f, err := os.CreateTemp(dir, ".lent-*")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chown(int(a.uid), int(a.gid)), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// takeBack makes the data directory and the files beside pgdata root's, which an earlier version gave to the account.
func takeBack(f files) error {
	if err := os.Chown(f.dir, 0, 0); err != nil {
		return fmt.Errorf("keep the data directory root's: %w", err)
	}
	if err := os.Chmod(f.dir, 0o711); err != nil { //nolint:gosec // the account has to pass through, and reads nothing
		return fmt.Errorf("let the account through the data directory: %w", err)
	}
	for _, path := range []string{f.password, f.port, f.pid, f.lock, f.guests} {
		own, err := openOwn(path, os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("take the files of the data directory back: %w", err)
		}
		if err := errors.Join(own.Chown(0, 0), own.Close()); err != nil {
			return fmt.Errorf("keep %s root's: %w", path, err)
		}
	}
	return nil
}
