// Package precondition carries the condition under which a caller wants a change: the states of the thing, one of which it
// must still be in. It is checked where the thing has been read in order to be changed, in the same transaction.
package precondition

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Any is the state that everything is in that exists.
const Any = "*"

// Code of the fault of Check.
const Code = "precondition_failed"

type key struct{}

// With returns a context in which Check holds a thing against these states. No states at all fit nothing.
func With(ctx context.Context, states []string) context.Context {
	return context.WithValue(ctx, key{}, states)
}

// Check returns a Conflict if the caller has named states and the thing is in none of them.
func Check(ctx context.Context, state string) error {
	states, asked := ctx.Value(key{}).([]string)
	if !asked || slices.Contains(states, state) || slices.Contains(states, Any) {
		return nil
	}
	return fault.New(fault.Conflict, Code, "it has changed since you read it; read it again")
}

// State returns the state of something as a short text: a digest of the fields that callers decide on.
func State(fields ...any) string {
	text, err := json.Marshal(fields)
	if err != nil {
		text = fmt.Append(nil, fields...) // what JSON cannot say still has a text
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}
