#!/usr/bin/env bash
# Tests of the scripts in this folder.
set -euo pipefail
cd "$(dirname "$0")"
commit=0123456789abcdef0123456789abcdef01234567
failed=0

# gives WANT COMMAND...: the lines of the output, joined by spaces
gives() {
  local want=$1 got
  shift
  got=$("$@" 2>/dev/null | paste -sd ' ') || true
  [ "$got" = "$want" ] || { echo "FAIL $*: got '$got', want '$want'" >&2; failed=1; }
}

# refuses TEXT COMMAND...: it fails and says TEXT
refuses() {
  local want=$1 got
  shift
  if got=$("$@" 2>&1); then
    echo "FAIL $*: it succeeded with '$got'" >&2
    failed=1
  elif [[ $got != *"$want"* ]]; then
    echo "FAIL $*: it said '$got', want '$want'" >&2
    failed=1
  fi
}

sha=sha-0123456789ab
export RELEASES=''
gives "v1.2.3 v1.2 v1 latest $sha" ./tags.sh refs/tags/v1.2.3 $commit
export RELEASES=$'v1.2.2\nv1.2.3\nv1.10.0\nv2.0.0\nv3.0.0-rc.1'
gives "v1.2.3 v1.2 $sha" ./tags.sh refs/tags/v1.2.3 $commit
gives "v1.2.1 $sha" ./tags.sh refs/tags/v1.2.1 $commit
gives "v1.10.1 v1.10 v1 $sha" ./tags.sh refs/tags/v1.10.1 $commit
gives "v2.0.1 v2.0 v2 latest $sha" ./tags.sh refs/tags/v2.0.1 $commit
export RELEASES=''
gives "v0.9.0 v0.9 latest $sha" ./tags.sh refs/tags/v0.9.0 $commit
gives "v10.20.30 v10.20 v10 latest $sha" ./tags.sh refs/tags/v10.20.30 $commit
gives "v1.3.0-rc.1 $sha" ./tags.sh refs/tags/v1.3.0-rc.1 $commit
gives "main $sha" ./tags.sh refs/heads/main $commit
gives "fix-the-gateway_2 $sha" ./tags.sh 'refs/heads/fix/the gateway_2' $commit
gives "dot $sha" ./tags.sh refs/heads/.-dot $commit
for bad in v1.2 v1.2.3.4 v01.2.3 v1.2.3+build v1.2.3- vfoo; do refuses "is not a semantic version" ./tags.sh refs/tags/$bad $commit; done
for bad in latest v1 v1.2-fixes; do refuses "would take the place of a release" ./tags.sh refs/heads/$bad $commit; done
refuses "neither a tag" ./tags.sh refs/pull/7/merge $commit
refuses "is not a commit" ./tags.sh refs/heads/main HEAD
refuses usage ./tags.sh refs/heads/main

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CHANGELOG=$dir/CHANGELOG.md
printf '# Changelog\n\n## [Unreleased]\n\n- soon\n\n## [1.2.3] - 2026-01-02\n\n### Added\n- this\n\n## [1.2.30] - 2026-01-01\n- other\n\n[1.2.3]: link\n' >"$CHANGELOG"
gives "### Added - this" ./notes.sh v1.2.3
gives "- other" ./notes.sh v1.2.30
gives "- soon" ./notes.sh v1.3.0-rc.1
refuses "has no section '## [1.2.4]'" ./notes.sh v1.2.4

# A database with one vulnerability of errors.As, which fault calls; with none; and none at all.
mkdir -p "$dir/db/index" "$dir/db/ID"
echo '{"modified":"2026-01-01T00:00:00Z"}' >"$dir/db/index/db.json"
cat >"$dir/db/ID/GO-2026-0001.json" <<'J'
{"schema_version": "1.3.1", "id": "GO-2026-0001", "modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z", "summary": "a test",
 "affected": [{"package": {"name": "stdlib", "ecosystem": "Go"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "999.0.0"}]}],
   "ecosystem_specific": {"imports": [{"path": "errors", "symbols": ["As"]}]}}],
 "database_specific": {"url": "https://pkg.go.dev/vuln/GO-2026-0001"}}
J
export GOVULNDB=file://$dir/db
echo '[]' >"$dir/db/index/modules.json"
gives "No vulnerabilities found." ./vulnerabilities.sh ./pkg/domain/fault
echo '[{"path": "stdlib", "vulns": [{"id": "GO-2026-0001", "modified": "2026-01-01T00:00:00Z", "fixed": "999.0.0"}]}]' >"$dir/db/index/modules.json"
refuses "what our programs call is vulnerable" ./vulnerabilities.sh ./pkg/domain/fault
refuses "failed (exit code" ./vulnerabilities.sh ./pkg/nothing-of-ours
GOVULNDB=http://127.0.0.1:1
refuses "http://127.0.0.1:1 did not answer like one, so nothing is known" ./vulnerabilities.sh ./pkg/domain/fault
unset GOVULNDB

[ $failed = 0 ] && echo "release scripts: ok"
exit $failed
