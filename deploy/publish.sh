#!/usr/bin/env bash
# Pushes the images and the charts of one version into a registry, and says how they are installed from it.
#   deploy/publish.sh REGISTRY VERSION     REGISTRY/<program>:vVERSION and oci://REGISTRY/charts/<chart>:VERSION
# SERVICES, PLATFORMS and BASE_IMAGE are those of deploy/images.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
registry=${1%/} version=${2#v}
[[ $registry == */* ]] || { echo "publish.sh: '$registry' is no place in a registry: registry.example.com/brokkr, or 127.0.0.1:5000/brokkr" >&2; exit 2; }
[[ $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$ ]] ||
  { echo "publish.sh: '$version' is no version of a chart, such as 1.2.3: VERSION=1.2.3" >&2; exit 2; }
VERSION=v$version deploy/images.sh "$registry" "v$version"
charts=$(mktemp -d)
trap 'rm -rf "$charts"' EXIT
charts/package.sh "$version" "$charts" "oci://$registry/charts" >&2
plain=''; case $registry in localhost[:/]* | 127.0.0.1[:/]*) plain=' --plain-http' ;; esac
cat <<T

helm install brokkr-broker oci://$registry/charts/brokkr-broker --version $version$plain --set global.image.registry=$registry --set postgresql.enabled=true
helm install brokkr-agent oci://$registry/charts/brokkr-agent --version $version$plain --set image.registry=$registry --set broker.url=http://brokkr-broker:3000
T
