#!/usr/bin/env bash
# Prints the notes of a version: notes.sh v1.2.3. They are its section of CHANGELOG.md, and the commits since the release before it. A
# pre-release without a section of its own gets that of what is unreleased; where there is no release before, there is no list of commits.
# Links to files lead nowhere from a page of releases: with GITHUB_REPOSITORY they lead to the files of the tag.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: notes.sh VERSION" >&2; exit 2; }
version=${1#v}
changelog=${CHANGELOG:-$(dirname "$0")/../../CHANGELOG.md}
most=250 # commits: what a page of a release can hold

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
files='' # where they are
if [ -n "${GITHUB_REPOSITORY:-}" ]; then files="${GITHUB_SERVER_URL:-https://github.com}/$GITHUB_REPOSITORY/blob/v$version/"; fi
printf '%s\n' "$text" | sed -E -e '/./,$!d' -e "s@\]\(([^):#]+(#[^)]*)?)\)@](${files}\1)@g"

# The commits: a tag that is not there yet is what is checked out. A release is compared with the release before it, a pre-release also with
# the pre-release before it.
repository() { git -C "$(dirname "$changelog")" "$@"; }
here=v$version
repository rev-parse -q --verify "$here^{commit}" >/dev/null 2>&1 || here=HEAD
before=(--exclude "$here")
[[ $version == *-* ]] || before+=(--exclude '*-*')
former=$(repository describe --tags --abbrev=0 --match 'v[0-9]*' "${before[@]}" "$here" 2>/dev/null || true)
if [ -n "$former" ]; then
  total=$(repository rev-list --count --no-merges "$former..$here")
  printf '\n### Commits since %s\n\n' "$former"
  repository log --no-merges --max-count "$most" --format='- %s (%h)' "$former..$here"
  [ "$total" -le "$most" ] || printf -- '- and %d more\n' $((total - most))
fi
