// Package account says as whom an agent may apply stacks. Producers name service accounts in their stacks' treatments; which of
// them they may name is for the cluster's owners to say, so that naming one gives nobody rights.
package account

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// Any in place of a name stands for every service account of the namespace.
const Any = "*"

// CodeNotAllowed is of stacks that name an account that they may not.
const CodeNotAllowed = "service_account_not_allowed"

// Allowed is one account that stacks may name, or all of a namespace.
type Allowed struct {
	Generator string // id: its stacks alone; empty: those of all generators
	Namespace string
	Name      string // or Any
}

// Rules are what the cluster's owners have said. The zero value lets stacks name no account, and applies them as the agent.
type Rules struct {
	// Default is namespace/name, as which stacks are applied that name none; empty: the agent itself.
	Default string
	Allowed []Allowed
}

// Parse returns the account or accounts that s allows: namespace/name or namespace/*, for one generator as id=namespace/name.
func Parse(s string) (Allowed, error) {
	var a Allowed
	rest := s
	if g, after, of := strings.Cut(s, "="); of {
		if !id.Valid(g) {
			return a, fmt.Errorf("has %q, where %q is not a generator's id", s, g)
		}
		a.Generator, rest = g, after
	}
	var ok bool
	if a.Namespace, a.Name, ok = split(rest); !ok && !(a.Name == Any && isNamespace(a.Namespace)) {
		return a, fmt.Errorf("has %q, which is not namespace/name, namespace/%s, or one of them after a generator's id and =", s, Any)
	}
	return a, nil
}

// Valid reports whether s is namespace/name of one service account.
func Valid(s string) bool {
	_, _, ok := split(s)
	return ok
}

func split(s string) (namespace, name string, ok bool) {
	namespace, name, _ = strings.Cut(s, "/")
	return namespace, name, isNamespace(namespace) && len(validation.IsDNS1123Subdomain(name)) == 0
}

func isNamespace(s string) bool { return len(validation.IsDNS1123Label(s)) == 0 }

// As returns as whom the objects of a stack of the generator are read and written whose treatment names the account, empty for
// none. It is Refused if the stack may not name it. The default may be named by all: it is what they are given anyway.
func (r Rules) As(generator, named string) (cluster.Identity, error) {
	if named == "" || named == r.Default {
		return cluster.Identity(r.Default), nil
	}
	namespace, name, ok := split(named)
	if !ok {
		return "", fault.Newf(fault.Refused, CodeNotAllowed, "the stack's treatment names service_account %q, which is not namespace/name", named)
	}
	allowed := slices.ContainsFunc(r.Allowed, func(a Allowed) bool {
		return (a.Generator == "" || a.Generator == generator) && a.Namespace == namespace && (a.Name == name || a.Name == Any)
	})
	if !allowed {
		return "", fault.Newf(fault.Refused, CodeNotAllowed,
			"the stack's treatment names service_account %s, as which this agent may not apply stacks of generator %s: its owner allows it with agent.service_accounts", named, orUnknown(generator))
	}
	return cluster.Identity(named), nil
}

func orUnknown(generator string) string {
	if generator == "" {
		return "(unknown)"
	}
	return generator
}
