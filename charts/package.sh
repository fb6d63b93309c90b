#!/usr/bin/env bash
# Packages both charts with one version for charts, subcharts and programs, and pushes them if a repository is given.
#   charts/package.sh VERSION DIR [oci://registry/charts]
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?version, such as 1.2.3} out=${2:?folder} repository=${3:-}
version=${version#v}
helm=$(tools/build.sh helm)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
charts/sync.sh --check
cp -R charts/brokkr-broker charts/brokkr-agent "$work"/
find "$work" -name Chart.yaml | while read -r file; do
  sed -e "s/^version: .*/version: $version/" -e "s/^appVersion: .*/appVersion: $version/" "$file" > "$file.new" && mv "$file.new" "$file"
done
for chart in brokkr-broker brokkr-agent; do
  "$helm" package "$work/$chart" -d "$out"
  if [ -n "$repository" ]; then
    plain=(); case $repository in oci://localhost[:/]* | oci://127.0.0.1[:/]*) plain=(--plain-http) ;; esac
    "$helm" push "$out/$chart-$version.tgz" "$repository" ${plain[@]+"${plain[@]}"}
  fi
done
