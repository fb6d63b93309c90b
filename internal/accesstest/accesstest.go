// Package accesstest is the authorization matrix: every operation of the OpenAPI document that a service serves, called
// with every kind of credential against the running handler. Who is admitted is read from the document
// (x-brokkr-access); a service says only how each operation is called, and where an answer differs from the rule.
package accesstest

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// The credentials that each operation is called with.
const (
	None           = "none"
	Garbage        = "garbage"
	Expired        = "expired"
	Revoked        = "revoked"
	AgentSelf      = "agent self"
	AgentOther     = "other agent"
	GeneratorOwner = "owner generator"
	GeneratorOther = "other generator"
	Viewer         = "viewer"
	Operator       = "operator"
	Admin          = "admin"
)

// Credentials returns all of them.
func Credentials() []string {
	return []string{None, Garbage, Expired, Revoked, AgentSelf, AgentOther, GeneratorOwner, GeneratorOther, Viewer, Operator, Admin}
}

// Services that an operation can belong to (x-brokkr-service); the api's own say nothing. Process: each serves it.
const (
	API     = ""
	Gateway = "gateway"
	Process = "process"
)

// Operation is what the document says of one.
type Operation struct {
	ID, Method, Path, Access, Service string
	Success                           int
}

// Operations returns the operations of the document by id.
func Operations(doc *openapi3.T) map[string]Operation {
	out := map[string]Operation{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			o := Operation{ID: op.OperationID, Method: method, Path: path}
			o.Access, _ = op.Extensions["x-brokkr-access"].(string)
			o.Service, _ = op.Extensions["x-brokkr-service"].(string)
			preview := op.Parameters.GetByInAndName("query", "dry_run") != nil // answers 200, and is not what the operation is for
			for status := range op.Responses.Map() {
				if preview && status == "200" {
					continue
				}
				if s, err := strconv.Atoi(status); err == nil && (s == 101 || s >= 200 && s < 300) && (o.Success == 0 || s < o.Success) {
					o.Success = s
				}
			}
			out[op.OperationID] = o
		}
	}
	return out
}

// Outcome is how an operation answers a credential.
type Outcome int

// The outcomes. NotThere is 404 or 403 with the same answer as for what does not exist, and so is Denied.
const (
	Unauthenticated Outcome = iota // 401 with an empty body
	Denied                         // 403, whatever is asked for
	NotThere                       // the thing is another's
	Seen                           // 403 for a thing that the caller sees and may not change
	Success
)

// By returns the outcome by the words of an access alone.
func By(access, credential string) Outcome {
	words := strings.Split(access, "|")
	has := func(any ...string) bool {
		return slices.ContainsFunc(any, func(w string) bool { return slices.Contains(words, w) })
	}
	if access == "public" {
		return Success
	}
	switch credential {
	case None, Garbage, Expired, Revoked:
		return Unauthenticated
	}
	if access == "any" {
		return Success
	}
	switch credential {
	case Admin, Operator, Viewer:
		return when(has(credential), Success)
	case AgentSelf:
		return when(has("agent", "agent-self", "agent-assigned"), Success)
	case AgentOther:
		return max(when(has("agent"), Success), when(has("agent-self", "agent-assigned"), NotThere))
	case GeneratorOwner:
		return when(has("generator", "generator-self", "generator-owner"), Success)
	case GeneratorOther:
		return max(when(has("generator"), Success), when(has("generator-self", "generator-owner"), NotThere))
	default:
		return Denied
	}
}

func when(yes bool, then Outcome) Outcome {
	if yes {
		return then
	}
	return Denied
}

// served returns the ids of the operations of a service, and those that every process serves.
func served(ops map[string]Operation, service string) []string {
	var out []string
	for _, op := range slices.Sorted(maps.Keys(ops)) {
		if s := ops[op].Service; s == service || s == Process {
			out = append(out, op)
		}
	}
	return out
}
