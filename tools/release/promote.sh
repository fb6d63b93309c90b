#!/usr/bin/env bash
# Gives images that were pushed, scanned and signed by their digest the names under which people use them: promote.sh DIGESTS TAG...
# DIGESTS is a file with a line REGISTRY/NAME@sha256:... of each image. A version tag never moves: one that names something else already is refused,
# before anything is named.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: promote.sh DIGESTS TAG..." >&2; exit 2; }
digests=$1
shift
cd "$(dirname "$0")/../.."
crane=$(tools/build.sh crane)
said=$(mktemp)
trap 'rm -f "$said"' EXIT
grep -qE '^[^@[:space:]]+@sha256:[0-9a-f]{64}$' "$digests" || { echo "promote.sh: $digests names no image by its digest" >&2; exit 1; }
while read -r image; do
  for tag in "$@"; do
    [[ $tag =~ ^v[0-9]+\.[0-9]+\.[0-9]+ ]] || continue
    if ! former=$("$crane" digest "${image%@*}:$tag" </dev/null 2>"$said"); then
      # Only a registry that has looked for the manifest knows that there is none: what crane was told at last counts, not its first try.
      reason=$(sed -n 's/^Error: //p' "$said" | tail -n 1)
      [[ $reason =~ ^GET\ [^\ ]+/manifests/[^\ ]+:\ (MANIFEST_UNKNOWN:|NAME_UNKNOWN:|unexpected\ status\ code\ 404\ ) ]] || {
        echo "promote.sh: whether ${image%@*}:$tag is there already is not known, so nothing was named: ${reason:-$(tail -n 1 "$said")}" >&2
        exit 1
      }
      former=
    fi
    if [ -n "$former" ] && [ "$former" != "${image#*@}" ]; then
      echo "promote.sh: ${image%@*}:$tag is $former already: a release is never made twice, take the next version" >&2
      exit 1
    fi
  done
done <"$digests"
while read -r image; do
  for tag in "$@"; do "$crane" tag "$image" "$tag" </dev/null 2>/dev/null || { echo "promote.sh: ${image%@*}:$tag could not be set" >&2; exit 1; }; done
  echo "${image%@*}: $*"
done <"$digests"
