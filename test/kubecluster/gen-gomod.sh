#!/usr/bin/env bash
# Writes go.mod for another version of Kubernetes: ./gen-gomod.sh v1.36.3
# k8s.io/kubernetes requires its staging modules as v0.0.0 and replaces them by folders of its own; a consumer has to map
# each to its published version v0.X.Y instead. The list of them is read from Kubernetes' own go.mod.
set -euo pipefail
cd "$(dirname "$0")"
export GOWORK=off
version=${1:?version of Kubernetes, such as v1.36.3}
staging="v0.${version#v1.}"
gomod=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p')
rm -f go.mod go.sum
go mod init github.com/colliery-io/brokkr/test/kubecluster
go mod edit -go=1.26.0
sed -n 's#^[[:space:]]*\(k8s.io/[a-z0-9-]*\) => ./staging/.*#\1#p' "$gomod" | while read -r module; do
  go mod edit -replace "$module=$module@$staging"
done
go mod edit -require "k8s.io/kubernetes@$version"
# the etcd that this version of Kubernetes is tested with
etcd=$(awk '$1 == "go.etcd.io/etcd/client/v3" { print $2; exit }' "$gomod")
go mod edit -require "go.etcd.io/etcd/server/v3@$etcd"
go mod tidy
