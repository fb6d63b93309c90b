package identity_test

import (
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
)

func TestAdmit(t *testing.T) {
	t.Parallel()
	for access, want := range map[string]map[tenancy.Role]string{ // the code of the refusal, "" if admitted
		identity.Authenticated:  {"admin": "", "operator": "", "viewer": "", "generator": "", "agent": ""},
		identity.Public:         {"admin": "", "operator": "", "viewer": "", "generator": "", "agent": "", "": ""},
		identity.Admin:          {"admin": "", "operator": "admin_required", "viewer": "admin_required", "generator": "admin_required", "agent": "admin_required"},
		"admin|operator":        {"admin": "", "operator": "", "viewer": "operator_required", "generator": "admin_required", "agent": "admin_required"},
		"admin|operator|viewer": {"admin": "", "operator": "", "viewer": "", "generator": "admin_required", "agent": "admin_required"},
		identity.AgentItself:    {"admin": "agent_pak_required", "operator": "agent_pak_required", "viewer": "agent_pak_required", "generator": "agent_pak_required", "agent": ""},
		identity.AgentAssigned:  {"admin": "agent_pak_required", "generator": "agent_pak_required", "agent": ""},
		identity.AgentSelf:      {"admin": "", "operator": "admin_required", "generator": "agent_pak_required", "agent": ""},
		identity.Agent:          {"admin": "", "generator": "forbidden", "agent": ""},
		identity.Generator:      {"admin": "", "generator": "", "agent": "generator_required"},
		identity.GeneratorSelf:  {"admin": "", "generator": "", "agent": "not_authorized"},
		identity.StackOwner:     {"admin": "", "generator": "", "agent": "stack_not_accessible"},
		identity.StackReader:    {"admin": "", "operator": "admin_required", "generator": "", "agent": "", "": "stack_not_accessible"},
		"":                      {"admin": "admin_required", "agent": "admin_required", "": "admin_required"},
		"admin|stranger":        {"admin": "admin_required", "viewer": "admin_required"},
		"admin|any":             {"admin": "admin_required", "agent": "admin_required"},
		"public|admin":          {"admin": "admin_required"},
	} {
		for role, code := range want {
			err := identity.Admit(access, role)
			if fault.CodeOf(err) != code && (err != nil || code != "") || (err != nil && !fault.Is(err, fault.Forbidden)) {
				t.Errorf("%q for role %q: got %v, want code %q", access, role, err, code)
			}
		}
	}
}

func TestOperateAndViewAddToAdmins(t *testing.T) {
	t.Parallel()
	if got, want := identity.Operate(identity.StackReader), "admin|operator|generator-owner|agent-assigned"; got != want {
		t.Errorf("operate: got %s, want %s", got, want)
	}
	if got, want := identity.View(identity.Admin), "admin|operator|viewer"; got != want {
		t.Errorf("view: got %s, want %s", got, want)
	}
}
