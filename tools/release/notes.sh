#!/usr/bin/env bash
# Prints the section of CHANGELOG.md for a version: notes.sh v1.2.3. A pre-release without a section of its own gets that of what is
# unreleased.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: notes.sh VERSION" >&2; exit 2; }
version=${1#v}
changelog=${CHANGELOG:-$(dirname "$0")/../../CHANGELOG.md}

section() {
  awk -v name="$1" '
    /^## / { inside = ($0 == "## [" name "]" || index($0, "## [" name "] - ") == 1); next }
    /^\[[^]]+\]: / { next }
    inside { print }
  ' "$changelog"
}

text=$(section "$version")
if [ -z "${text//[[:space:]]/}" ] && [[ $version == *-* ]]; then text=$(section Unreleased); fi
if [ -z "${text//[[:space:]]/}" ]; then
  echo "notes.sh: CHANGELOG.md has no section '## [$version]'" >&2
  exit 1
fi
printf '%s\n' "$text" | sed -e '/./,$!d'
