package fault_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	want := []string{"internal", "invalid", "unauthenticated", "forbidden", "not_found", "conflict", "refused", "limited", "unavailable"}
	var got []string
	for i, k := range fault.Kinds() {
		if int(k) != i {
			t.Errorf("kind %d of Kinds is %d", i, k)
		}
		got = append(got, k.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	var zero fault.Kind
	if zero != fault.Internal {
		t.Errorf("the zero kind is %v: what nobody classified would be shown", zero)
	}
	for k := len(want); k < 256; k++ {
		if got := fault.Kind(k).String(); got != "internal" {
			t.Errorf("the unknown kind %d is %q, want internal", k, got)
		}
	}
}

// anyFault draws a fault, any error that wraps it, and how often.
func anyFault(t *rapid.T) (*fault.Error, error) {
	f := fault.New(rapid.SampledFrom(fault.Kinds()).Draw(t, "kind"), rapid.StringMatching(`[a-z_]{1,20}`).Draw(t, "code"), rapid.String().Draw(t, "message"))
	if rapid.Bool().Draw(t, "caused") {
		// An inner fault must not show through.
		f = f.Because(fault.New(fault.Invalid, "inner", "inner").Because(io.ErrUnexpectedEOF))
	}
	var err error = f
	for range rapid.IntRange(0, 4).Draw(t, "wraps") {
		if rapid.Bool().Draw(t, "joined") {
			err = errors.Join(errors.New("another"), err)
		} else {
			err = fmt.Errorf("insert stack: %w", err)
		}
	}
	return f, err
}

func TestWrappingKeepsTheKind(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, err := anyFault(t)
		if got, ok := fault.As(err); !ok || got != f {
			t.Fatalf("as: got %v, %v, want the outermost fault %v", got, ok, f)
		}
		if fault.KindOf(err) != f.Kind || fault.CodeOf(err) != f.Code {
			t.Fatalf("got %v %s, want %v %s", fault.KindOf(err), fault.CodeOf(err), f.Kind, f.Code)
		}
		for _, k := range fault.Kinds() {
			if got := fault.Is(err, k); got != (k == f.Kind) {
				t.Fatalf("is %v: got %v of a %v", k, got, f.Kind)
			}
		}
		if f.Cause != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal("the cause cannot be found")
		}
	})
}

func TestUnclassified(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"plain": io.EOF, "without a code": &fault.Error{Message: "x"}} {
		if fault.KindOf(err) != fault.Internal || fault.CodeOf(err) != "internal_error" || !fault.Is(err, fault.Internal) {
			t.Errorf("%s: got %v %s, want internal internal_error", name, fault.KindOf(err), fault.CodeOf(err))
		}
	}
	if _, ok := fault.As(io.EOF); ok {
		t.Error("a plain error is a fault")
	}
	if _, ok := fault.As(nil); ok {
		t.Error("no error is a fault")
	}
	for _, k := range fault.Kinds() {
		if fault.Is(nil, k) {
			t.Errorf("no error is of kind %v", k)
		}
	}
}

func TestMessageAndCause(t *testing.T) {
	t.Parallel()
	plain := fault.Newf(fault.NotFound, "stack_not_found", "stack %s is not there", "web")
	caused := plain.Because(io.EOF)
	for _, c := range []struct {
		err           *fault.Error
		text, message string
		cause         error
	}{
		{plain, "stack web is not there", "stack web is not there", nil},
		{caused, "stack web is not there: EOF", "stack web is not there", io.EOF},
		{fault.New(fault.Unavailable, "unavailable", "no connection: EOF").Because(io.EOF), "no connection: EOF", "no connection: EOF", io.EOF},
	} {
		if c.err.Error() != c.text || c.err.Message != c.message || !errors.Is(c.err.Unwrap(), c.cause) {
			t.Errorf("got %q, message %q, cause %v", c.err.Error(), c.err.Message, c.err.Unwrap())
		}
	}
}

// TestCopies has faults that are shared, as package values are, stay as they are.
func TestCopies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := fault.New(fault.Conflict, "unique_violation", "exists already")
		want := map[string]any{}
		for i, k := range rapid.SliceOf(rapid.StringMatching(`[a-c]`)).Draw(t, "keys") {
			before := maps.Clone(base.Details)
			next := base.With(k, i)
			want[k] = i
			if !cmp.Equal(base.Details, before) {
				t.Fatalf("With changed its receiver: %v, before %v", base.Details, before)
			}
			if diff := cmp.Diff(want, next.Details); diff != "" {
				t.Fatalf("details (-want +got):\n%s", diff)
			}
			if next.Kind != base.Kind || next.Code != base.Code || next.Message != base.Message {
				t.Fatalf("With lost something: %v", next)
			}
			base = next
		}
		if because := base.Because(io.EOF); base.Cause != nil || because.Cause != io.EOF { //nolint:errorlint // identity is meant
			t.Fatalf("Because changed its receiver or not its copy: %v, %v", base.Cause, because.Cause)
		}
	})
}
