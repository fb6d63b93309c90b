// Package docs serves the API's document as a page to read and try: Swagger UI out of a Go module, nothing of it from
// elsewhere.
package docs

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/swaggest/swgui/v5/static"
)

// Prefix is where the page is.
const Prefix = "/swagger-ui"

//go:embed index.html
var index []byte

//go:embed start.js
var start []byte

// policy lets the page load what this server serves, and nothing else. Swagger UI sets styles on its elements.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

// Handler serves the page and its parts below Prefix; what else is asked for goes to missing.
func Handler(missing http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.Trim(strings.TrimPrefix(r.URL.Path, Prefix), "/")
		content, packed := file(name)
		if content == nil {
			missing.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Type", contentType(name))
		if packed {
			h.Set("Vary", "Accept-Encoding")
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				unpack(w, content)
				return
			}
			h.Set("Content-Encoding", "gzip")
		}
		h.Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content) // a reader that went away asks again
	})
}

// file returns a part of the page, nil if it is none, and whether it is compressed by gzip.
func file(name string) (content []byte, packed bool) {
	switch name {
	case "":
		return index, false
	case "start.js":
		return start, false
	case "swagger-ui.css", "swagger-ui-bundle.js":
		content, _ = static.FS.ReadFile(name + ".gz") // embedded: it is there, or the test says so
		return content, true
	case "favicon-16x16.png", "favicon-32x32.png":
		content, _ = static.FS.ReadFile(name)
		return content, false
	default:
		return nil, false
	}
}

func contentType(name string) string {
	if name == "" {
		return "text/html; charset=utf-8"
	}
	return mime.TypeByExtension(path.Ext(name))
}

func unpack(w io.Writer, content []byte) {
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil { // embedded by the compiler
		return
	}
	_, _ = io.Copy(w, r) //nolint:gosec // our own files
}
