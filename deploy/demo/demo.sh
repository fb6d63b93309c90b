#!/usr/bin/env bash
# Prepares the demo and runs it: installs what is missing, compiles with progress from the first second, then hands over to
# the program in this folder.
#   KUBECONFIGS=a,b,c   three clusters of yours instead of the test control planes; with two, what needs a third is left out
#   DEMO_EXIT=1         end by itself with an exit code instead of waiting for Ctrl-C; so does CI=true
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf '\033[1m==\033[0m %s\n' "$*"; }
log=$(mktemp)
builder=
trap '[ -z "$builder" ] || kill "$builder" 2>/dev/null || true; rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# compile -o WHERE PACKAGES..., showing time and packages done: each second on a terminal, each 15 seconds in a log.
compile() {
  local start seconds ticks=0 line status=0
  start=$(date +%s)
  CGO_ENABLED=0 go build -v "$@" 2>"$log" &
  builder=$!
  while kill -0 "$builder" 2>/dev/null; do
    seconds=$(($(date +%s) - start))
    line=$(printf '   %d:%02d  %d packages compiled' $((seconds / 60)) $((seconds % 60)) "$(grep -cv '^go: ' "$log" || true)")
    if [ -t 1 ]; then printf '\r%s' "$line"; elif [ $ticks -lt 2 ] || [ $((ticks % 15)) -eq 0 ]; then echo "$line"; fi
    ticks=$((ticks + 1))
    sleep 1
  done
  if [ -t 1 ]; then echo; fi
  wait "$builder" || status=$?
  builder=
  if [ $status -ne 0 ]; then
    echo "compiling failed:" >&2
    grep -vE '^(go: downloading|[a-z0-9./_-]+$)' "$log" | tail -30 >&2 || true
    exit $status
  fi
}

# What is wrong is told before anything is compiled.
if [ -n "${KUBECONFIGS:-}" ]; then
  IFS=, read -ra given <<<"$KUBECONFIGS"
  if [ ${#given[@]} -lt 2 ] || [ ${#given[@]} -gt 3 ]; then
    echo "demo: KUBECONFIGS names ${#given[@]} kubeconfigs; it takes three, or two and leaves something out: KUBECONFIGS=a,b,c make demo" >&2
    exit 1
  fi
  for file in "${given[@]}"; do
    if [ ! -f "$file" ] || [ ! -r "$file" ]; then
      echo "demo: KUBECONFIGS names '$file', which is not a file that can be read (from $PWD)" >&2
      exit 1
    fi
  done
fi

say "looking for PostgreSQL and Go"
tools/install-deps.sh
say "compiling Brokkr (a few minutes the first time, seconds later on)"
mkdir -p bin
compile -o bin/ ./cmd/brokkr ./cmd/brokkr-broker ./services/agent/cmd/brokkr-agent
compile -o bin/brokkr-demo ./deploy/demo
kubecluster=
if [ -z "${KUBECONFIGS:-}" ]; then
  say "three Kubernetes control planes: etcd, API server, controllers and scheduler, as processes"
  kubecluster=$(test/kubecluster/build.sh)
fi
rm -f "$log"
trap - EXIT INT TERM
exec bin/brokkr-demo --bin bin --kubecluster "$kubecluster"
