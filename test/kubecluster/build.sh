#!/usr/bin/env bash
# Builds the kubecluster binary once for each state of its sources and keeps it outside of the checkout.
# Prints the binary's path on stdout, progress on stderr. Callers at the same time share one build.
set -euo pipefail
cd "$(dirname "$0")"
export GOWORK=off CGO_ENABLED=0

cache=${BROKKR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/brokkr}/kubecluster
kubernetes=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod) # v1.36.3

digest() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
key=$({
  go env GOVERSION GOOS GOARCH
  find . -type f \( -name '*.go' ! -name '*_test.go' -o -name go.mod -o -name go.sum -o -name build.sh \) |
    LC_ALL=C sort | while read -r f; do echo "$f"; cat "$f"; done
} | digest | cut -c1-20)
binary=$cache/$key/kubecluster

if [ -x "$binary" ]; then echo "$binary"; exit 0; fi

# take LOCK: a link to nothing is a lock on every system, made with its holder's process id in one step. One whose holder is
# gone is taken away under a lock of its own: of many who find it, the second would take away the lock of the first.
told=
take() {
  local holder
  until ln -sn $$ "$1" 2>/dev/null; do
    holder=$(readlink "$1" || true)
    if [ -z "$holder" ]; then continue; fi
    if ! kill -0 "$holder" 2>/dev/null; then
      take "$1.$holder"
      if [ "$(readlink "$1" || true)" = "$holder" ]; then rm -f "$1"; fi
      rm -f "$1.$holder"
      continue
    fi
    if [ -x "$binary" ]; then echo "$binary"; exit 0; fi
    if [ -z "$told" ]; then told=1; echo "waiting for another build of the test control planes (process $holder)" >&2; fi
    sleep 1
  done
}
mkdir -p "$cache"
lock=$cache/$key.lock work=$cache/$key.work.$$
builder=
take "$lock"
trap '[ -z "$builder" ] || kill "$builder" 2>/dev/null || true; rm -rf "$work" "$lock"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -x "$binary" ]; then echo "$binary"; exit 0; fi

echo "building Kubernetes ${kubernetes#v} test control planes, about 8 minutes the first time on 2 cores, seconds later on" >&2
mkdir -p "$work" "$cache/$key"
version=k8s.io/component-base/version
minor=${kubernetes#v1.}
flags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"
flags="$flags -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes"
go build -v -ldflags "$flags" -o "$work/kubecluster" . 2>"$work/log" &
builder=$!

start=$(date +%s)
progress() {
  done_packages=$(grep -cv '^go: ' "$work/log" || true)
  seconds=$(($(date +%s) - start))
  line=$(printf '  %d:%02d  %d packages done' $((seconds / 60)) $((seconds % 60)) "$done_packages")
  if [ -t 2 ]; then printf '\r%s' "$line" >&2; else echo "$line" >&2; fi
}
ticks=0
while kill -0 "$builder" 2>/dev/null; do
  # every second on a terminal; in a log at first quickly, then each 15 seconds
  if [ -t 2 ] || [ $ticks -lt 3 ] || [ $((ticks % 15)) -eq 0 ]; then progress; fi
  ticks=$((ticks + 1))
  sleep 1
done
progress
if [ -t 2 ]; then echo >&2; fi
status=0
wait "$builder" || status=$?
builder=
if [ $status -ne 0 ]; then
  echo "building the test control planes failed:" >&2
  grep -E '^go: |^#|\.go:|error|cannot' "$work/log" | tail -30 >&2 || tail -30 "$work/log" >&2
  exit $status
fi
mv "$work/kubecluster" "$binary"
# Binaries of older sources are 120 MB each and would pile up.
find "$cache" -mindepth 1 -maxdepth 1 -type d ! -name "$key" ! -name '*.lock' -mtime +14 -exec rm -rf {} +
echo "built $binary" >&2
echo "$binary"
