package transport

import (
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/api/openapi"
	"github.com/colliery-io/brokkr/internal/accesstest"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
)

// infos describes everything that the gateway serves below /api and /internal.
func infos() []rpc.Info {
	out := append([]rpc.Info{SyncInfo()}, SocketInfos()...)
	for _, r := range Routes(nil) {
		out = append(out, r.Info)
	}
	return out
}

func TestEveryRouteIsAsDocumented(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML())
	if err != nil {
		t.Fatal(err)
	}
	ops, seen := accesstest.Operations(doc), map[string]bool{}
	for _, r := range infos() {
		if seen[r.Op] {
			t.Errorf("%s is there twice", r.Op)
		}
		seen[r.Op] = true
		got := accesstest.Operation{ID: r.Op, Method: r.Method, Path: strings.TrimPrefix(r.Path, "/api/v1"), Access: r.Access, Service: accesstest.Gateway, Success: r.Status}
		if r.Op == "verify_pak" { // the api has it too, for those who ask it alone
			got.Service = accesstest.API
		}
		if diff := cmp.Diff(ops[r.Op], got); diff != "" {
			t.Errorf("%s differs between OpenAPI document (-) and route (+):\n%s", r.Op, diff)
		}
	}
	for op, o := range ops {
		if o.Service == accesstest.Gateway && !seen[op] {
			t.Errorf("%s is documented as the gateway's, but not mounted", op)
		}
	}
}

// Lists of the gateway are asked for by the parameters that the document has, and are whole when no page is asked for.
func TestListsAreAsDocumented(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML())
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, i := range infos() {
		if i.List == nil {
			continue
		}
		seen++
		if i.List.Page != 0 {
			t.Errorf("%s: %d items when no page is asked for, want all as published", i.Op, i.List.Page)
		}
		op := doc.Paths.Value(strings.TrimPrefix(i.Path, "/api/v1")).Get
		var documented []string
		for _, p := range op.Parameters {
			if p.Value.In == "query" {
				documented = append(documented, p.Value.Name)
			}
		}
		slices.Sort(documented)
		if diff := cmp.Diff(i.List.Params, documented); diff != "" {
			t.Errorf("%s: parameters (-read +documented):\n%s", i.Op, diff)
		}
	}
	if seen != 1 {
		t.Errorf("%d lists, want that of an agent's events", seen)
	}
}
