#!/usr/bin/env bash
# Prints the tags under which an image of a git ref is published, one a line.
#
#   tags.sh REF COMMIT
#
# A release tag v1.2.3 gives v1.2.3, and v1.2, v1 and latest where no higher release exists (RELEASES, one a line; default: the
# tags of the checkout), so that a late fix of an old line does not move them back; a pre-release v1.3.0-rc.1 gives v1.3.0-rc.1 alone, so that nobody gets it who
# did not ask for it. A branch gives its name, with what registries do not allow made a dash. Every ref gives sha-COMMIT (12 characters).
# v0 is not printed: minor versions below 1 may break.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: tags.sh REF COMMIT, such as: tags.sh refs/tags/v1.2.3 \$(git rev-parse HEAD)" >&2
  exit 2
fi
ref=$1 commit=$2
if ! [[ $commit =~ ^[0-9a-f]{12,40}$ ]]; then
  echo "tags.sh: $commit is not a commit" >&2
  exit 2
fi

releases=${RELEASES-$(git tag -l 'v*' 2>/dev/null || true)}

# is_newest LINE: no release of the line, an expression for major and minor, is higher than this one
is_newest() {
  [ "$({ echo "$version"; grep -E "^$1\.[0-9]+\$" <<<"$releases" || true; } | sort -V | tail -n 1)" = "$version" ]
}

case $ref in
  refs/tags/v*)
    version=${ref#refs/tags/}
    number='(0|[1-9][0-9]*)'
    if [[ $version =~ ^v$number\.$number\.$number$ ]]; then
      major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
      echo "$version"
      if is_newest "v$major\.$minor"; then echo "v$major.$minor"; fi
      if [ "$major" != 0 ] && is_newest "v$major\.[0-9]+"; then echo "v$major"; fi
      if is_newest "v[0-9]+\.[0-9]+"; then echo latest; fi
    elif [[ $version =~ ^v$number\.$number\.$number-[0-9A-Za-z]+([.-][0-9A-Za-z]+)*$ ]]; then
      echo "$version"
    else
      echo "tags.sh: $version is not a semantic version (v1.2.3, v1.2.3-rc.1; no build part: registries do not take +)" >&2
      exit 1
    fi
    ;;
  refs/heads/*)
    branch=${ref#refs/heads/}
    branch=$(printf %s "$branch" | tr -c 'A-Za-z0-9_.-' -)
    branch=${branch#"${branch%%[!.-]*}"} # a tag begins with a letter, a digit or _
    branch=${branch:0:128}
    if [ "$branch" = latest ] || [[ $branch =~ ^v[0-9] ]] || [ -z "$branch" ]; then
      echo "tags.sh: a branch named ${ref#refs/heads/} would take the place of a release" >&2
      exit 1
    fi
    echo "$branch"
    ;;
  *)
    echo "tags.sh: $ref is neither a tag of a version nor a branch" >&2
    exit 1
    ;;
esac
echo "sha-${commit:0:12}"
