#!/usr/bin/env bash
# Holds what a release is made of to what it promises: check.sh VERSION DIR [PART...], parts: binaries, charts, images, notes (all by default).
#   DIR/binaries  the command line for every system, with checksums.txt
#   DIR/charts    both charts, with their parts and images in this version
#   DIR/images    an OCI layout of each program, with the bill of materials of each architecture
#   DIR/notes.md
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: check.sh VERSION DIR [binaries|charts|images|notes...]" >&2; exit 2; }
version=$1
dir=$(cd "$2" && pwd)
shift 2
[ $# -gt 0 ] || set -- binaries charts images notes
cd "$(dirname "$0")/../.."
wrong=0
digest() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }
tell() { echo "check.sh: $*" >&2; wrong=1; }

binaries() {
  local platform os arch suffix file info want=()
  for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do
    os=${platform%/*} arch=${platform#*/} suffix=
    [ "$os" != windows ] || suffix=.exe
    file=brokkr-$version-$os-$arch$suffix
    want+=("$file")
    if ! [ -f "$dir/binaries/$file" ]; then tell "binaries/$file is missing"; continue; fi
    info=$(go version -m "$dir/binaries/$file" 2>/dev/null || true)
    for fact in "GOOS=$os" "GOARCH=$arch" CGO_ENABLED=0 -trimpath=true; do
      grep -q "build[[:space:]]*$fact\$" <<<"$info" || tell "binaries/$file was not built with $fact"
    done
    grep -q "X main.version=$version" <<<"$info" || grep -aqF "$version" "$dir/binaries/$file" || tell "binaries/$file does not know that it is $version"
    if [ "$os/$arch" = "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" ]; then
      [[ $("$dir/binaries/$file" --version 2>&1) == *"$version"* ]] || tell "binaries/$file --version does not say $version"
    fi
  done
  (cd "$dir/binaries" && digest --check --strict --status checksums.txt 2>/dev/null) || tell "binaries/checksums.txt does not fit"
  [ "$(awk '{ print $2 }' "$dir/binaries/checksums.txt" | sort | paste -sd ' ' -)" = "$(printf '%s\n' ${want[@]+"${want[@]}"} | sort | paste -sd ' ' -)" ] ||
    tell "binaries/checksums.txt does not name each program once"
}

charts() {
  local helm name file part n rendered images
  helm=$(tools/build.sh helm)
  for name in brokkr-broker brokkr-agent; do
    file=$dir/charts/$name-${version#v}.tgz
    if ! [ -f "$file" ]; then tell "charts/${file##*/} is missing"; continue; fi
    n=0
    for part in $(tar -tzf "$file" | grep '/Chart.yaml$'); do
      n=$((n + 1))
      [ "$(tar -xzOf "$file" "$part" | grep -cxE "(version|appVersion): ${version#v}")" = 2 ] || tell "charts/${file##*/}: $part is not of this version"
    done
    [ "$n" -gt 0 ] || tell "charts/${file##*/} has no chart"
    set -- --set broker.url=http://broker:3000
    [ "$name" = brokkr-agent ] || set -- --set postgresql.enabled=true --set redis.enabled=true --set microservices.enabled=true
    rendered=$("$helm" template "$name" "$file" "$@" 2>&1 || true)
    grep -q 'image: ' <<<"$rendered" || tell "charts/${file##*/} renders no image"
    images=$(grep -E 'image: |^Error' <<<"$rendered" | grep -vE "image: \"?(ghcr\.io/colliery-io/brokkr-[a-z]+:v${version#v}|docker\.io/library/(postgres|redis):[^\"]+)\"?\$" || true)
    [ -z "$images" ] || tell "charts/${file##*/} does not run images of $version:" $images
  done
}

images() {
  local name sboms
  for name in brokkr-broker brokkr-api brokkr-gateway brokkr-scheduler brokkr-agent brokkr-cli; do
    [ -f "$dir/images/$name/index.json" ] || { tell "images/$name is no OCI layout"; continue; }
    sboms=$(find "$dir/images/$name.sbom" -name '*.json' 2>/dev/null | wc -l)
    [ "$sboms" -ge 2 ] || tell "images/$name has $sboms bills of materials, want one of each architecture"
  done
}

notes() { [ -s "$dir/notes.md" ] || tell "notes.md is missing or empty"; }

for part in "$@"; do
  case $part in
    binaries | charts | images | notes) $part ;;
    *) echo "check.sh: no part $part" >&2; exit 2 ;;
  esac
done
[ $wrong = 0 ] || exit 1
echo "release $version: $* are complete"
