#!/usr/bin/env bash
# Builds all images for both architectures as a release does, on a base that is made here, and holds them to what they promise.
# It needs no registry of the net. SERVICES and PLATFORMS narrow it.
set -euo pipefail
cd "$(dirname "$0")/.."
registry=$(tools/build.sh registry)
base=$(tools/build.sh base)
address=$(mktemp)
"$registry" -addr 127.0.0.1:0 >"$address" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; rm -f "$address"' EXIT
for _ in $(seq 100); do [ -s "$address" ] && break; sleep 0.1; done
BASE_IMAGE=$(cat "$address")/base/static:nonroot
export BASE_IMAGE
"$base" "$BASE_IMAGE"
VERSION=${VERSION:-0.0.0-test.1} deploy/images.sh
IMAGES=$PWD/dist/images go test -count=1 -v -run TestImages ./deploy
