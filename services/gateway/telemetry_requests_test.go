package gateway_test

import (
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/wire"
)

func telemetryRequests() map[string]func(w *tenants) request {
	return map[string]func(w *tenants) request{
		"list_ws_connections": func(*tenants) request { return request{method: "GET", path: "/api/v1/admin/ws/connections"} },
		"report_telemetry": func(w *tenants) request {
			return request{method: "POST", path: "/api/v1/agents/" + string(w.agent.id) + "/telemetry", body: wire.TelemetryRequest{
				BootID: uuid.NewString(), Seq: 1, Lines: []wire.PodLogLine{lineOf(w.stack.ID, "a line")},
			}}
		},
	}
}
