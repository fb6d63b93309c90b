#!/usr/bin/env bash
# Builds the command line for every system into a folder, with checksums: binaries.sh VERSION DIR. The same version gives the same bytes.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: binaries.sh VERSION DIR" >&2; exit 2; }
version=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
cd "$(dirname "$0")/../.."

for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do
  os=${platform%/*} arch=${platform#*/} suffix=
  [ "$os" != windows ] || suffix=.exe
  out=brokkr-$version-$os-$arch$suffix
  echo "$out" >&2
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOFLAGS='' go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$dir/$out" ./cmd/brokkr
done
cd "$dir"
digest() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }
digest brokkr-"$version"-* >checksums.txt
