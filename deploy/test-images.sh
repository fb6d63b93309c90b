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
one=${SERVICES:-brokkr-cli} one=${one%% *} # what is tried with one program: the others are made alike
ARCHIVES=dist/archives SERVICES=$one deploy/images.sh

# Pushed, an image is told with its digest, by which a release scans and signs it; then it gets its names.
repository=$address_of_registry/brokkr/$one
rm -rf dist/sbom
told=$(SERVICES=$one deploy/images.sh "$address_of_registry/brokkr" "v${VERSION#v}" sha-0123456789ab 2>/dev/null)
digest=${told#*@}
[[ $told =~ ^$repository(:[^:@/]+)?@sha256:[0-9a-f]{64}$ ]] || { echo "pushed, it told '$told'" >&2; exit 1; }
[ -n "$(find dist/sbom -name '*.spdx.json')" ] || { echo "pushed, it left no bill of materials" >&2; exit 1; }
crane=$(tools/build.sh crane)
names() { # TAG...: each names the image
  local tag
  for tag in "$@"; do [ "$("$crane" digest "$repository:$tag")" = "$digest" ] || { echo "$repository:$tag names another image" >&2; exit 1; }; done
}
echo "$repository@$digest" >dist/digests.txt
tools/release/promote.sh dist/digests.txt v1.2.3 v1.2 latest
names v1.2.3 v1.2 latest

# A version is never moved, nor anything else before that is refused.
"$crane" copy "$BASE_IMAGE" "$repository:another" >/dev/null 2>&1
echo "$repository@$("$crane" digest "$repository:another")" >dist/another.txt
if said=$(tools/release/promote.sh dist/another.txt latest v1.2.3 2>&1) || [[ $said != *"a release is never made twice"* ]]; then echo "v1.2.3 was moved: $said" >&2; exit 1; fi
rm dist/another.txt
names v1.2.3 latest

# One command makes a registry from which both charts can be installed.
published=$(SERVICES=$one deploy/publish.sh "$address_of_registry/published" v1.2.3 2>/dev/null)
"$crane" digest "$address_of_registry/published/$one:v1.2.3" >/dev/null
helm=$(tools/build.sh helm)
while read -r _ _ name chart options; do
  # shellcheck disable=SC2086 # options are words
  rendered=$("$helm" template "$name" "$chart" $options)
  grep -q "image: $address_of_registry/published/$name:v1.2.3" <<<"$rendered" || { echo "the published $name does not run its published image" >&2; exit 1; }
done < <(grep '^helm install' <<<"$published")
[ "$(grep -c '^helm install' <<<"$published")" = 2 ] || { echo "published, it told '$published'" >&2; exit 1; }
if said=$(deploy/publish.sh "$address_of_registry/published" latest 2>&1) || [[ $said != *"no version of a chart"* ]]; then echo "latest was published: $said" >&2; exit 1; fi
if said=$(deploy/publish.sh registry.example.com 1.2.3 2>&1) || [[ $said != *"no place in a registry"* ]]; then echo "no place: $said" >&2; exit 1; fi

# The folder of make images, carried over a gap, is the same image in another registry.
"$crane" push "dist/images/$one" "$address_of_registry/carried/$one:v1.2.3" >/dev/null 2>&1
repository=$address_of_registry/carried/$one names v1.2.3
IMAGES=$PWD/dist/images ARCHIVES=$PWD/dist/archives go test -count=1 -v -run 'TestImages|TestArchives' ./deploy
