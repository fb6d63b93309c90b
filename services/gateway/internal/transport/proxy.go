package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
	"github.com/colliery-io/brokkr/pkg/platform/problem"
)

// proxyBodyLimit is far above what the api accepts: the limit that counts is its own.
const proxyBodyLimit = 64 << 20

// Proxy passes requests on to the api at target, so that one URL serves everything. An api that does not answer is a
// 503 problem that names it. Without trust the system's authorities are those of the api.
func Proxy(target *url.URL, trust *tls.Config, log *slog.Logger) http.Handler {
	errors := onError(problem.Writer{Log: log})
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			TLSClientConfig: trust, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, ResponseHeaderTimeout: 2 * time.Minute, DisableCompression: true,
		},
		// The gateway says itself what browsers may do here.
		ModifyResponse: func(r *http.Response) error {
			for _, name := range httpserver.ForBrowsers() {
				r.Header.Del(name)
			}
			return nil
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				err = context.Canceled
			} else {
				err = fault.Newf(fault.Unavailable, "api_unavailable", "the api at %s does not answer", target.Redacted()).With("api_url", target.Redacted()).Because(err)
			}
			errors(r.Context(), w, err)
		},
	}
	return httpserver.Standard(log, service, proxyBodyLimit, errors)(proxy)
}
