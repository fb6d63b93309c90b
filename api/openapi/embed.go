// Package openapi embeds the public wire contract, so that the api serves the file against which its tests check it.
package openapi

import _ "embed"

//go:embed brokkr-v1.yaml
var document []byte //nolint:gochecknoglobals // go:embed needs a variable

// YAML returns the OpenAPI 3.0.3 document of the v1 API.
func YAML() []byte { return append([]byte(nil), document...) }
