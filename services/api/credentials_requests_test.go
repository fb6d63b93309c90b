package api_test

import (
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func credentialRequests() map[string]func(w *world) request {
	one := func(method, rest, body string) func(w *world) request {
		return func(w *world) request {
			return request{method: method, path: "/credentials/" + string(w.newestCredential(tenancy.RoleGenerator, w.owner.ID, "").ID) + rest, body: body}
		}
	}
	return map[string]func(w *world) request{
		"list_credentials": func(*world) request { return request{method: "GET", path: "/credentials"} },
		"create_credential": func(w *world) request {
			return request{method: "POST", path: "/credentials", body: `{"name":"ci-2","role":"generator","generator_id":"` + string(w.owner.ID) + `"}`}
		},
		"get_credential":    one("GET", "", ""),
		"rotate_credential": one("POST", "/rotate", `{"grace_seconds":60}`),
		"revoke_credential": one("DELETE", "", ""),
	}
}

// credentialOf returns the newest credential of a subject.
func (w *world) newestCredential(role tenancy.Role, g tenancy.GeneratorID, a tenancy.AgentID) tenancy.Credential {
	w.t.Helper()
	all, err := w.store.Credentials().OfSubject(w.t.Context(), role, g, a)
	must(w.t, err)
	return all[0]
}
