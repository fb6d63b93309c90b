package http

import (
	"context"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	settingChangeJSON struct {
		Key string `json:"key"`
		Old string `json:"old_value"`
		New string `json:"new_value"`
	}
	configReloadJSON struct {
		ReloadedAt time.Time           `json:"reloaded_at"`
		Success    bool                `json:"success"`
		Changes    []settingChangeJSON `json:"changes"`
		Restart    []string            `json:"needs_restart"`
		Message    *string             `json:"message"`
	}
)

func configReloadOf(r app.Reload) configReloadJSON {
	return configReloadJSON{ReloadedAt: r.At, Success: r.Done, Message: unlessEmpty(r.Message), Restart: append([]string{}, r.Restart...),
		Changes: each(r.Changes, func(c app.SettingChange) settingChangeJSON { return settingChangeJSON(c) })}
}

func configurationRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		act("reload_config", "/admin/config/reload", Admin, none, func(ctx context.Context, _ struct{}) (configReloadJSON, error) {
			r, err := a.ReloadConfiguration(ctx)
			return configReloadOf(r), err
		}),
	}
}
