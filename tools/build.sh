#!/usr/bin/env bash
# Builds a pinned tool once for each state of its module and keeps it outside of the checkout; prints its path.
#   tools/build.sh helm|kubectl|ko|registry|base|actionlint|otelcol|govulncheck|kind|trivy|crane
set -euo pipefail
cd "$(dirname "$0")"
tool=${1:?helm, kubectl, ko, registry, base, actionlint, otelcol, govulncheck, kind, trivy or crane}
export GOWORK=off CGO_ENABLED=0 GOFLAGS=-trimpath
flags="-s -w" experiment=
case $tool in
helm)
  package=helm.sh/helm/v3/cmd/helm module=helm
  # The Kubernetes version that charts are rendered for without a cluster; else Helm believes in 1.20.
  client=$(awk '$1 == "k8s.io/client-go" { print $2 }' helm/go.mod) # v0.37.0
  minor=$(cut -d. -f2 <<<"$client")
  flags+=" -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=$minor"
  flags+=" -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$minor"
  ;;
ko) package=github.com/google/ko module=ko ;;
crane) package=github.com/google/go-containerregistry/cmd/crane module=ko ;;
registry | base) package=./$tool module=ko ;;
kubectl | otelcol) package=. module=$tool ;;
kind) package=sigs.k8s.io/kind module=kind ;;
trivy) package=. module=trivy experiment=jsonv2 ;; # its libraries use encoding/json/v2
actionlint) package=github.com/rhysd/actionlint/cmd/actionlint module=actionlint ;;
govulncheck) package=golang.org/x/vuln/cmd/govulncheck module=govulncheck ;;
*) echo "tools/build.sh: no tool $tool: helm, kubectl, ko, registry, base, actionlint, otelcol, govulncheck, kind, trivy or crane" >&2; exit 2 ;;
esac
digest() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
export GOEXPERIMENT=$experiment
key=$({ go env GOVERSION GOOS GOARCH; echo "$package $flags $experiment"; cat "$module"/go.mod "$module"/go.sum; find "$module" -name '*.go' -exec cat {} +; } | digest | cut -c1-16)
cache=${BROKKR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/brokkr}/tools
binary=$cache/$tool-$key
if [ ! -x "$binary" ]; then
  echo "building $tool, a minute or more the first time" >&2
  mkdir -p "$cache"
  trap 'rm -f "$binary.$$"' EXIT
  go -C "$module" build -ldflags "$flags" -o "$binary.$$" "$package" >&2
  mv "$binary.$$" "$binary"
fi
echo "$binary"
