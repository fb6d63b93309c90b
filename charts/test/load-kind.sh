#!/usr/bin/env bash
# Gives an image to the nodes of the cluster of kind.sh: load-kind.sh ghcr.io/colliery-io/brokkr-agent:TAG. Those of ARCHIVES are ours; others
# are pulled by the nodes.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=${1:?image}
name=${name##*/}
archive=${ARCHIVES:?folder of deploy/images.sh}/${name%%:*}.tar
[ -f "$archive" ] || { echo "load-kind.sh: there is no $archive for $1: ARCHIVES=$ARCHIVES deploy/images.sh makes it" >&2; exit 1; }
"${KIND:-$(tools/build.sh kind)}" load image-archive "$archive" --name "${CLUSTER:-brokkr-test}"
