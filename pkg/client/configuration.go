package client

import (
	"context"
	"net/http"
	"time"
)

// ConfigReload is what became of a reload of the broker's configuration.
type ConfigReload struct {
	ReloadedAt   time.Time       `json:"reloaded_at"`
	Success      bool            `json:"success"` // false: nothing was changed, Message says why
	Changes      []SettingChange `json:"changes"`
	NeedsRestart []string        `json:"needs_restart"`
	Message      *string         `json:"message"`
}

// SettingChange is a setting before and after, secrets redacted.
type SettingChange struct {
	Key string `json:"key"`
	Old string `json:"old_value"`
	New string `json:"new_value"`
}

// ReloadConfig lets the api process that answers read its configuration file anew.
func (c *Client) ReloadConfig(ctx context.Context) (ConfigReload, error) {
	var out ConfigReload
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/admin/config/reload"}, &out)
	return out, err
}
