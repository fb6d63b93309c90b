#!/usr/bin/env bash
# Makes a cluster with kind, gives it the images of this checkout, installs the charts there in all ways (live.sh), and removes it.
#   charts/test/kind.sh [VARIANT...]
# It needs Docker. Upgrades begin with the charts of FROM, by default the release before. KIND is the program to use, by default a pinned one that is built; BASE_IMAGE is what the images stand on; KEEP=1 leaves the cluster.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CLUSTER=${CLUSTER:-brokkr-test} KIND=${KIND:-$(tools/build.sh kind)}
docker info >/dev/null 2>&1 || { echo "kind.sh: kind makes its nodes with Docker, and no Docker answers here: use a cluster of yours with make test-charts-live KUBECONFIG=..." >&2; exit 1; }
work=$(mktemp -d)
TAG=v$(awk '$1 == "appVersion:" { print $2 }' charts/brokkr-broker/Chart.yaml) # what the charts ask for by themselves, as the quick start does
export KUBECONFIG=$work/kubeconfig ARCHIVES=$work/archives TAG
registry_pid='' made=''
cleanup() {
  [ -z "$registry_pid" ] || kill "$registry_pid" 2>/dev/null || true
  [ -z "$made" ] || [ -n "${KEEP:-}" ] || "$KIND" delete cluster --name "$CLUSTER" >/dev/null 2>&1 || true
  [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
if [ $# -eq 0 ]; then
  set -- all-in-one microservices apart external-postgres namespaced tls external-broker oci quickstart
  if [ -n "${FROM:=$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null || true)}" ]; then
    export FROM
    set -- "$@" upgrade
  else
    echo "kind.sh: no release before this one, and FROM names no revision: no upgrade is tried" >&2
  fi
fi

VERSION=$TAG deploy/images.sh
"$KIND" create cluster --name "$CLUSTER" --wait 3m
made=1 # one that was there before is somebody else's, and stays
for variant in "$@"; do
  if [ "$variant" = oci ]; then # the charts alone: the nodes have the images
    "$(tools/build.sh registry)" -addr 127.0.0.1:0 >"$work/registry" &
    registry_pid=$!
    for _ in $(seq 100); do [ -s "$work/registry" ] && break; sleep 0.1; done
    REGISTRY=$(cat "$work/registry")
    export REGISTRY
  fi
done
case " $* " in *" external-broker "*) # this machine, as the nodes see it; its PostgreSQL is the broker's
  tools/install-deps.sh
  [ -n "${BROKER_HOST:-}" ] || BROKER_HOST=$(docker network inspect kind --format '{{range .IPAM.Config}}{{println .Gateway}}{{end}}' | grep -m1 -F .)
  export BROKER_HOST ;;
esac
KUBECTL=$(tools/build.sh kubectl)
export KUBECTL LOAD="charts/test/load-kind.sh"
charts/test/live.sh "$@"
