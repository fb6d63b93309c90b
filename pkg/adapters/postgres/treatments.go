package postgres

import (
	"encoding/json"
	"fmt"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// treatmentText returns t as it is stored; empty: everything as by default.
func treatmentText(t stack.Treatment) (string, error) {
	if t.IsZero() {
		return "", nil
	}
	return asJSON(t)
}

// treatmentColumn reads what treatmentText wrote; NULL is the default.
type treatmentColumn stack.Treatment

// Scan implements sql.Scanner.
func (t *treatmentColumn) Scan(src any) error {
	*t = treatmentColumn{}
	switch v := src.(type) {
	case nil:
		return nil
	case []byte:
		if err := json.Unmarshal(v, (*stack.Treatment)(t)); err != nil {
			return fmt.Errorf("read a stored treatment: %w", err)
		}
		return nil
	default:
		return fmt.Errorf("a treatment is stored as %T", src)
	}
}
