package transport

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/gateway/internal/bundle"
)

type manifestRequest struct {
	sum    string
	gzip   bool
	unless string // If-None-Match
}

func manifest(r *http.Request) (manifestRequest, error) {
	return manifestRequest{sum: rpc.Var(r, "sha256"), gzip: acceptsGzip(r.Header.Values("Accept-Encoding")), unless: r.Header.Get("If-None-Match")}, nil
}

// acceptsGzip reports whether an Accept-Encoding header takes gzip; a weight of zero refuses it.
func acceptsGzip(headers []string) bool {
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name = strings.TrimSpace(name); !strings.EqualFold(name, "gzip") && name != "*" {
			continue
		}
		weight, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !found || (err == nil && q > 0)
	}
	return false
}

// manifestAnswer is a bundle's content, which never changes.
type manifestAnswer struct {
	bundle  bundle.Bundle
	request manifestRequest
}

// Respond implements rpc.Responder.
func (m manifestAnswer) Respond(_ context.Context, w http.ResponseWriter, status int) error {
	plainTag, gzipTag := `"`+string(m.bundle.Sum)+`"`, `"`+string(m.bundle.Sum)+`-gzip"`
	h := w.Header()
	h.Set("Cache-Control", "private, immutable, max-age=31536000")
	h.Set("Vary", "Accept-Encoding, Authorization")
	tag := plainTag
	if m.request.gzip {
		tag = gzipTag
	}
	h.Set("ETag", tag)
	for given := range strings.SplitSeq(m.request.unless, ",") {
		given = strings.TrimPrefix(strings.TrimSpace(given), "W/")
		if given == plainTag || given == gzipTag || given == "*" {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	content := m.bundle.Gzip
	if m.request.gzip {
		h.Set("Content-Encoding", "gzip")
	} else {
		var err error
		if content, err = m.bundle.Plain(); err != nil {
			return err
		}
	}
	h.Set("Content-Type", "application/yaml")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(status)
	_, err := w.Write(content)
	return err
}
