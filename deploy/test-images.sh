#!/usr/bin/env bash
# Builds all images for both architectures as a release does, on a base that is made here, and holds them to what they promise.
# It needs no registry of the net, unless BASE_IMAGE names a base. SERVICES and PLATFORMS narrow it. Left are dist/images and, in dist/archives,
# what a node takes without a registry.
set -euo pipefail
cd "$(dirname "$0")/.."
registry=$(tools/build.sh registry)
address=$(mktemp)
"$registry" -addr 127.0.0.1:0 >"$address" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; rm -f "$address"' EXIT
for _ in $(seq 100); do [ -s "$address" ] && break; sleep 0.1; done
address_of_registry=$(cat "$address")
if [ -z "${BASE_IMAGE:-}" ]; then
  base=$(tools/build.sh base)
  BASE_IMAGE=$address_of_registry/base/static:nonroot
  "$base" "$BASE_IMAGE"
fi
export BASE_IMAGE
export VERSION=${VERSION:-0.0.0-test.1}
deploy/images.sh
ARCHIVES=dist/archives SERVICES=${SERVICES:-brokkr-cli} deploy/images.sh # of one program: the others are made alike
# Pushed, an image is told with its digest, by which a release scans and signs it.
told=$(SERVICES=brokkr-cli deploy/images.sh "$address_of_registry/brokkr" "v${VERSION#v}" sha-0123456789ab 2>/dev/null)
[[ $told =~ ^$address_of_registry/brokkr/brokkr-cli(:[^:@/]+)?@sha256:[0-9a-f]{64}$ ]] || { echo "pushed, it told '$told'" >&2; exit 1; }
echo "${told/:v${VERSION#v}@/@}" >dist/digests.txt
tools/release/promote.sh dist/digests.txt v1.2.3 v1.2 latest
crane=$(tools/build.sh crane)
for tag in v1.2.3 v1.2 latest; do
  [ "$("$crane" digest "$address_of_registry/brokkr/brokkr-cli:$tag")" = "${told#*@}" ] || { echo "$tag names another image" >&2; exit 1; }
done
# The folder of make images, carried over a gap, is the same image in another registry; its name there is a version, and stays what it is.
"$crane" push dist/images/brokkr-cli "$address_of_registry/carried/brokkr-cli:v1.2.3" >/dev/null 2>&1
[ "$("$crane" digest "$address_of_registry/carried/brokkr-cli:v1.2.3")" = "${told#*@}" ] || { echo "carried over, it is another image" >&2; exit 1; }
"$crane" copy "$BASE_IMAGE" "$address_of_registry/brokkr/brokkr-cli:another" >/dev/null 2>&1
echo "$address_of_registry/brokkr/brokkr-cli@$("$crane" digest "$address_of_registry/brokkr/brokkr-cli:another")" >dist/another.txt
if said=$(tools/release/promote.sh dist/another.txt latest v1.2.3 2>&1) || [[ $said != *"a release is never made twice"* ]]; then echo "v1.2.3 was moved: $said" >&2; exit 1; fi
[ "$("$crane" digest "$address_of_registry/brokkr/brokkr-cli:latest")" = "${told#*@}" ] || { echo "latest was moved before v1.2.3 was refused" >&2; exit 1; }
rm dist/another.txt
ls dist/sbom/*-linux-arm64.spdx.json >/dev/null
IMAGES=$PWD/dist/images ARCHIVES=$PWD/dist/archives go test -count=1 -v -run 'TestImages|TestArchives' ./deploy
