package process

import (
	"net/http"

	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
)

// CORS says which pages may call from browsers; without origins none.
type CORS struct {
	Origins []string `koanf:"origins"` // scheme://host[:port], exactly
}

// Check reports what cannot work.
func (c CORS) Check(p *config.Problems) {
	for _, o := range c.Origins {
		err := httpserver.CheckOrigin(o)
		p.Add(err != nil, "cors.origins", "has an origin that cannot be allowed: %v", err)
	}
}

// CORSKeys are the settings that a listener for browsers takes over while it runs.
func CORSKeys() []string { return []string{"cors.origins"} }

// Public is h as browsers may meet it, and what changes the origins that may call it.
func Public(h http.Handler, c CORS) (http.Handler, func(CORS)) {
	allowed := httpserver.NewCORS(c.Origins)
	return httpserver.Chain(h, httpserver.Secure, allowed.Middleware), func(c CORS) { allowed.Configure(c.Origins) }
}
