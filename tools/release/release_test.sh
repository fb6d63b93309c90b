#!/usr/bin/env bash
# Tests of the scripts in this folder.
set -euo pipefail
cd "$(dirname "$0")"
digest() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }
commit=0123456789abcdef0123456789abcdef01234567
failed=0

# gives WANT COMMAND...: the lines of the output, joined by spaces
gives() {
  local want=$1 got
  shift
  got=$("$@" 2>/dev/null | paste -sd ' ' -) || true
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

sha='sha-0123456789ab'
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
printf '## [1.0.0]\n- [a](docs/a.md#b-c), [b](README.md) ([c](https://example.com/x))\n' >"$CHANGELOG"
GITHUB_REPOSITORY='' gives "- [a](docs/a.md#b-c), [b](README.md) ([c](https://example.com/x))" ./notes.sh v1.0.0
at=https://github.example/o/r/blob/v1.0.0
GITHUB_SERVER_URL=https://github.example GITHUB_REPOSITORY=o/r gives "- [a]($at/docs/a.md#b-c), [b]($at/README.md) ([c](https://example.com/x))" ./notes.sh v1.0.0

# The commits since the release before: a pre-release in between does not count for a release, and does for another pre-release.
repository=$dir/repository
git init -q "$repository"
commit() { git -C "$repository" -c user.name=a -c user.email=a@example.com -c commit.gpgsign=false commit -q --allow-empty -m "$1"; }
tag() { git -C "$repository" -c tag.gpgsign=false tag "$1"; }
printf '## [Unreleased]\n- soon\n## [1.0.0]\n- first\n## [1.1.0]\n- second\n' >"$repository/CHANGELOG.md"
CHANGELOG=$repository/CHANGELOG.md
hash() { git -C "$repository" log -1 --format=%h "$1"; }
commit one; tag v1.0.0; commit two; tag v1.1.0-rc.1; commit three
gives "- first" ./notes.sh v1.0.0
gives "- soon  ### Commits since v1.0.0  - two ($(hash HEAD~1))" ./notes.sh v1.1.0-rc.1
gives "- soon  ### Commits since v1.1.0-rc.1  - three ($(hash HEAD))" ./notes.sh v1.1.0-rc.2
gives "- second  ### Commits since v1.0.0  - three ($(hash HEAD)) - two ($(hash HEAD~1))" ./notes.sh v1.1.0
tag v1.1.0; commit four
gives "- second  ### Commits since v1.0.0  - three ($(hash HEAD~1)) - two ($(hash HEAD~2))" ./notes.sh v1.1.0
for n in $(seq 251); do commit "$n"; done
gives "- and 2 more" bash -c './notes.sh v1.2.0-rc.1 | tail -n 1'

# Who is told, and what: a gh and a curl that write down what they are called with.
mkdir "$dir/bin"
printf '#!/bin/sh\necho "gh $*" >>"$CALLS"\n[ -z "$MUTE" ] || exit 1\n[ "$2" != list ] || printf %%s "$OPEN"\n' >"$dir/bin/gh"
printf '#!/bin/sh\necho "curl $*" >>"$CALLS"\n[ -z "$DOWN" ]\n' >"$dir/bin/curl"
chmod +x "$dir/bin/gh" "$dir/bin/curl"
export CALLS=$dir/calls OPEN='' DOWN='' MUTE=''
# tells WANT [NAME=VALUE...] ARGUMENTS...: what it asked of the two, without the search for an open issue
tells() {
  local want=$1 got
  shift
  : >"$CALLS"
  env PATH="$dir/bin:$PATH" "$@" >/dev/null 2>&1 || true
  got=$({ grep -v '^gh issue list' "$CALLS" || true; } | paste -sd ' ' -)
  # shellcheck disable=SC2053 # the * in it is meant
  [[ $got == $want ]] || { echo "FAIL $*: it called '$got', want '$want'" >&2; failed=1; }
}
tells "gh issue create --title Release v1.2.3 failed --body Release v1.2.3 failed (gate=success images=failure): https://ci *" ./tell.sh failure v1.2.3 https://ci gate=success images=failure
tells "gh issue comment 7 --body Release v1.2.3 failed (gate=failure): https://ci" OPEN=7 ./tell.sh failure v1.2.3 https://ci gate=failure
tells "" ./tell.sh success v1.2.3 https://ci
tells "gh issue close 7 --comment Release v1.2.3 is out: https://ci" OPEN=7 ./tell.sh success v1.2.3 https://ci
tells 'curl *--data {"text": "Release v1.2.3 is out: https://ci"} https://chat' RELEASE_WEBHOOK=https://chat ./tell.sh success v1.2.3 https://ci
tells 'curl *--data {"text": "Release v1.2.3 failed (gate=failure): https://ci"} https://chat' MUTE=1 RELEASE_WEBHOOK=https://chat ./tell.sh failure v1.2.3 https://ci gate=failure
refuses "could not be looked for or written" env PATH="$dir/bin:$PATH" MUTE=1 RELEASE_WEBHOOK=https://chat ./tell.sh failure v1.2.3 https://ci
refuses "neither success nor failure" ./tell.sh cancelled v1.2.3 https://ci
if env PATH="$dir/bin:$PATH" RELEASE_WEBHOOK=https://chat DOWN=1 ./tell.sh success v1.2.3 https://ci >/dev/null 2>&1; then echo "FAIL tell.sh: nobody heard it, and it succeeded" >&2; failed=1; fi

# Scans: a trivy that finds what is in FOUND, and is not to be asked where DOWN is set.
cat >"$dir/bin/trivy" <<'J'
#!/bin/sh
echo "trivy $*" >>"$CALLS"
[ -z "$DOWN" ] || exit 1
out= gate=
while [ $# -gt 0 ]; do case $1 in --output) out=$2 ;; --exit-code) gate=$2 ;; esac; last=$1; shift; done
case $out in *.all) echo '{"runs": [{"tool": {"driver": {}}}]}' >"$out" ;; *) echo report >"$out" ;; esac
[ -z "$gate" ] || [ "$last" != "$FOUND" ] || exit "$gate"
J
chmod +x "$dir/bin/trivy"
mkdir -p "$dir/layout" "$dir/reports" && touch "$dir/layout/index.json"
export FOUND='' PATH=$dir/bin:$PATH
tells "trivy image --input $dir/layout --quiet * --scanners vuln,secret --format sarif --output $dir/reports/layout.all trivy image *--scanners vuln,secret --severity HIGH,CRITICAL --ignore-unfixed --exit-code 3 *" ./scan.sh "$dir/reports" "$dir/layout"
tells "trivy fs *--scanners vuln,secret --format sarif --output $dir/reports/source.all . trivy fs *--scanners vuln --skip-dirs tools --skip-dirs test --severity * . trivy fs *--scanners secret --severity * ." ./scan.sh "$dir/reports" .
tells "* --output $dir/reports/brokkr-api.part ghcr.io/x/brokkr-api@sha256:1" ./scan.sh "$dir/reports" ghcr.io/x/brokkr-api@sha256:1
gives "report report" ./scan.sh "$dir/reports" image-1 image-2
gives '{"runs": [{"automationDetails": {"id": "trivy/image-1/"}, "tool": {"driver": {}}}]}' cat "$dir/reports/image-1.sarif"
FOUND=image-1
refuses "can be mended: image-1" ./scan.sh "$dir/reports" image-1 image-2
DOWN=1
if ./scan.sh "$dir/reports" image-2 >/dev/null 2>&1; then echo "FAIL scan.sh: it could not look, and succeeded" >&2; failed=1; fi
DOWN=''

# Actions that are neither GitHub's nor ours are named by commit: tags move.
gives "" bash -c "grep -hoE 'uses: +[^ ]+' ../../.github/workflows/*.yml | grep -vE 'uses: +(actions/|github/|\./)' | grep -vE '@[0-9a-f]{40}\$'"

# The loader of a cluster of kind
mkdir "$dir/archives" && touch "$dir/archives/brokkr-agent.tar"
export KIND=echo ARCHIVES=$dir/archives
gives "load image-archive $dir/archives/brokkr-agent.tar --name brokkr-test" ../../charts/test/load-kind.sh ghcr.io/colliery-io/brokkr-agent:v1.2.3
refuses "there is no $dir/archives/brokkr-api.tar" ../../charts/test/load-kind.sh ghcr.io/colliery-io/brokkr-api:v1.2.3

# Scripts in a checkout where each tool is tools/fake, which writes down what it is called with. A registry answers what is in ANSWER: a digest, or an error.
checkout=$dir/checkout
mkdir -p "$checkout/tools/release" "$checkout/charts/test" "$checkout/charts/brokkr-broker" "$checkout/deploy"
cp promote.sh "$checkout/tools/release/"
cp ../../charts/test/kind.sh ../../charts/test/live.sh "$checkout/charts/test/"
printf '#!/bin/sh\necho "%s/tools/fake"\n' "$checkout" >"$checkout/tools/build.sh"
cat >"$checkout/tools/fake" <<'J'
#!/bin/sh
echo "$*" >>"$CALLS"
case "$1 $ANSWER" in
  "digest sha256:"*) echo "$ANSWER" ;;
  digest*) printf '2026/01/01 00:00:00 HEAD request failed, falling back on GET: HEAD https://r/v2/x/api/manifests/v1.2.3: unexpected status code 404 Not Found\nError: %s\n' "$ANSWER" >&2; exit 1 ;;
  create*) [ -z "$DOWN" ] ;;
esac
J
printf '#!/bin/sh\n[ -z "$UNBUILT" ]\n' >"$checkout/deploy/images.sh"
printf '#!/bin/sh\n' >"$dir/bin/docker"
chmod +x "$checkout/tools/build.sh" "$checkout/tools/fake" "$checkout/deploy/images.sh" "$dir/bin/docker"
echo 'appVersion: 1.2.3' >"$checkout/charts/brokkr-broker/Chart.yaml"

# Version tags never move, and what cannot be asked about them has not said that there is none.
one=sha256:$(printf '1%.0s' $(seq 64)) two=sha256:$(printf '2%.0s' $(seq 64))
echo "r/x/api@$one" >"$dir/digests"
promote=("$checkout/tools/release/promote.sh" "$dir/digests" v1.2.3 latest) get='GET https://r/v2/x/api/manifests/v1.2.3:'
named="digest r/x/api:v1.2.3 tag r/x/api@$one v1.2.3 tag r/x/api@$one latest"
for answer in "$one" "$get MANIFEST_UNKNOWN: manifest unknown; map[Tag:v1.2.3]" "$get NAME_UNKNOWN: repository name not known to registry" "$get unexpected status code 404 Not Found"; do
  tells "$named" ANSWER="$answer" "${promote[@]}"
done
for answer in "$two" "$get unexpected status code 503 Service Unavailable" "$get UNAUTHORIZED: authentication required" "$get TOOMANYREQUESTS: retry" \
  'Get "https://r/v2/": dial tcp 127.0.0.1:443: connect: connection refused' 'GET https://r/token?scope=x: unexpected status code 404 Not Found'; do
  tells "digest r/x/api:v1.2.3" ANSWER="$answer" "${promote[@]}"
done
refuses "v1.2.3 is $two already" env ANSWER="$two" "${promote[@]}"
refuses "whether r/x/api:v1.2.3 is there already is not known, so nothing was named: $get UNAUTHORIZED" env ANSWER="$get UNAUTHORIZED: authentication required" "${promote[@]}"

# A cluster that the run did not make is not its to delete.
printf '#!/bin/sh\n' >"$dir/bin/live" && chmod +x "$dir/bin/live"
live=$checkout/charts/test/live.sh
mv "$live" "$live.true" && cp "$dir/bin/live" "$live"
cluster=(KIND="$checkout/tools/fake" "$checkout/charts/test/kind.sh" all-in-one)
tells "create cluster --name brokkr-test --wait 3m delete cluster --name brokkr-test" "${cluster[@]}"
tells "create cluster --name brokkr-test --wait 3m" KEEP=1 "${cluster[@]}"
tells "create cluster --name brokkr-test --wait 3m" DOWN=1 "${cluster[@]}"
tells "" UNBUILT=1 "${cluster[@]}"
mv "$live.true" "$live"
said=$(KUBECONFIG=none BROKKR=true LOAD='sh -c false' "$live" all-in-one 2>&1) && { echo "FAIL live.sh: no image was loaded, and it succeeded" >&2; failed=1; }
[ -z "$said" ] || { echo "FAIL live.sh: it ended early with '$said'" >&2; failed=1; }

# A release that is not whole. That a whole one passes is seen by make release-dry-run.
mkdir -p "$dir/dist/binaries" "$dir/dist/images/brokkr-api.sbom" "$dir/dist/charts"
for file in linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64.exe; do echo x >"$dir/dist/binaries/brokkr-v1.2.3-$file"; done
(cd "$dir/dist/binaries" && digest brokkr-* >checksums.txt && echo y >brokkr-v1.2.3-linux-arm64)
refuses "brokkr-v1.2.3-windows-arm64.exe is missing" ./check.sh v1.2.3 "$dir/dist" binaries
refuses "brokkr-v1.2.3-linux-amd64 was not built with GOARCH=amd64" ./check.sh v1.2.3 "$dir/dist" binaries
refuses "checksums.txt does not fit" ./check.sh v1.2.3 "$dir/dist" binaries
refuses "checksums.txt does not name each program once" ./check.sh v1.2.3 "$dir/dist" binaries
refuses "images/brokkr-cli is no OCI layout" ./check.sh v1.2.3 "$dir/dist" images
mkdir "$dir/dist/images/brokkr-api" && touch "$dir/dist/images/brokkr-api/index.json"
refuses "images/brokkr-api has 0 bills of materials" ./check.sh v1.2.3 "$dir/dist" images
refuses "notes.md is missing or empty" ./check.sh v1.2.3 "$dir/dist" notes
refuses "brokkr-agent-1.2.3.tgz is missing" ./check.sh v1.2.3 "$dir/dist" charts
mkdir "$dir/brokkr-agent" && printf 'version: 1.2.3\nappVersion: 1.2.2\n' >"$dir/brokkr-agent/Chart.yaml"
tar -czf "$dir/dist/charts/brokkr-agent-1.2.3.tgz" -C "$dir" brokkr-agent
refuses "brokkr-agent/Chart.yaml is not of this version" ./check.sh v1.2.3 "$dir/dist" charts
refuses "no part chart" ./check.sh v1.2.3 "$dir/dist" chart

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
