#!/usr/bin/env bash
# Builds the images of all programs for linux/amd64 and linux/arm64, without Docker.
#   deploy/images.sh                     OCI layouts in dist/images/<name>
#   deploy/images.sh REGISTRY [TAG...]   pushes REGISTRY/<name>:TAG, with their SBOMs (also in dist/sbom), and prints the digests
#   ARCHIVES=DIR deploy/images.sh        DIR/<name>.tar of one platform, for nodes and runtimes without a registry (kind load image-archive,
#                                        ctr images import, docker load)
# VERSION is what the programs say they are; TAG is v<VERSION> unless others are given. SERVICES, PLATFORMS and BASE_IMAGE narrow
# or replace what is built, which platforms, and on what.
set -euo pipefail
cd "$(dirname "$0")/.."
registry=${1:-}; shift || true
export VERSION=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo dev)}
[ $# -gt 0 ] || set -- "v${VERSION#v}"
packages='
brokkr-broker ./cmd/brokkr-broker
brokkr-cli ./cmd/brokkr
brokkr-agent ./services/agent/cmd/brokkr-agent
brokkr-api ./services/api/cmd/brokkr-api
brokkr-gateway ./services/gateway/cmd/brokkr-gateway
brokkr-scheduler ./services/scheduler/cmd/brokkr-scheduler
'
ko=$(tools/build.sh ko)
[ -z "${ARCHIVES:-}" ] || PLATFORMS=${PLATFORMS-linux/$(go env GOARCH)}
export GOWORK=off GOFLAGS='' KO_DEFAULTBASEIMAGE=${BASE_IMAGE:-gcr.io/distroless/static-debian12:nonroot}
source=https://github.com/colliery-io/brokkr
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)} # of images and bills: the same commit on the same base gives the same bytes
created=$(TZ=UTC0 git log -1 --date=format-local:%FT%TZ --format=%cd 2>/dev/null || date -u +%FT%TZ)
for name in ${SERVICES:-brokkr-broker brokkr-api brokkr-gateway brokkr-scheduler brokkr-agent brokkr-cli}; do
  package=$(awk -v name="$name" '$1 == name { print $2 }' <<<"$packages")
  [ -n "$package" ] || { echo "images.sh: there is no image $name" >&2; exit 2; }
  out=dist/images/$name
  labels=(--image-label "org.opencontainers.image.title=$name" --image-label "org.opencontainers.image.source=$source"
    --image-label "org.opencontainers.image.version=$VERSION" --image-label "org.opencontainers.image.revision=$revision"
    --image-label "org.opencontainers.image.created=$created" --image-label org.opencontainers.image.licenses=Apache-2.0)
  common=(--bare --platform "${PLATFORMS:-linux/amd64,linux/arm64}" --image-user 10001:10001 --sbom spdx "${labels[@]}")
  echo "== $name" >&2
  if [ -n "${ARCHIVES:-}" ]; then
    mkdir -p "$ARCHIVES"
    KO_DOCKER_REPO=ghcr.io/colliery-io/$name "$ko" build "${common[@]}" --push=false --tarball "$ARCHIVES/$name.tar" --tags "$1" "$package" >/dev/null
    echo "$ARCHIVES/$name.tar"
  elif [ -n "$registry" ]; then
    tags=$(IFS=,; echo "$*")
    mkdir -p dist/sbom
    insecure=(); case $registry in localhost[:/]* | 127.0.0.1[:/]*) insecure=(--insecure-registry) ;; esac
    KO_DOCKER_REPO=$registry/$name "$ko" build "${common[@]}" ${insecure[@]+"${insecure[@]}"} --sbom-dir dist/sbom --tags "$tags" "$package"
  else
    rm -rf "$out" "$out.sbom"; mkdir -p "$out.sbom"
    KO_DOCKER_REPO=ghcr.io/colliery-io/$name "$ko" build "${common[@]}" --push=false --oci-layout-path "$out" --sbom-dir "$out.sbom" --tags "$1" "$package" >/dev/null
    echo "$out"
  fi
done
