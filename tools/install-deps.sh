#!/usr/bin/env bash
# Installs what tests and the demo need from the system: PostgreSQL's server programs, redis-server, and with --tests also
# Prometheus, for the tests of dashboards and alerts, a C compiler for the race detector, and curl and openssl for commands of the guides.
# Go itself is only checked. Does and says nothing if all is there; may be run again at any time.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "install-deps: $*" >&2; }

check_go() {
  local want have
  want=$(awk '$1 == "go" { print $2; exit }' go.mod)
  if ! command -v go >/dev/null; then
    say "Go $want or later is missing, see https://go.dev/doc/install"
    exit 1
  fi
  have=$(go env GOVERSION)
  have=${have#go}
  have=${have%% *}
  # sort -V knows that 1.26.8 comes after 1.26.0
  if [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" != "$want" ] &&
    [ "$(go env GOTOOLCHAIN)" = local ]; then
    say "Go $want or later is needed, this is $have, see https://go.dev/doc/install"
    exit 1
  fi
}

has_postgres() {
  command -v initdb >/dev/null && command -v postgres >/dev/null && return 0
  local dir
  for dir in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /usr/pgsql-*/bin; do
    if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then return 0; fi
  done
  command -v pg_config >/dev/null && [ -x "$(pg_config --bindir)/initdb" ]
}

has_redis() { command -v redis-server >/dev/null; }

has_cc() {
  local cc
  cc=$(go env CC) # may have options behind it
  command -v "${cc%% *}" >/dev/null
}

has_curl() { command -v curl >/dev/null; }

has_openssl() { command -v openssl >/dev/null; }

has_prometheus() { command -v prometheus >/dev/null && command -v promtool >/dev/null; }

# Debian starts a database cluster and a Redis service when it installs their packages. Neither is of use here: a
# configuration file that says so keeps the cluster from being made, policy-rc.d keeps the services from being started. Both are taken away
# afterwards.
install_debian() {
  local sudo=() policy=/usr/sbin/policy-rc.d made_policy= no_cluster=/etc/postgresql-common/createcluster.d/brokkr-none.conf
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      say "missing: $* (not found in PATH nor where systems keep it), and there is no sudo to install it with"
      say "run as root: apt-get install -y --no-install-recommends $*"
      exit 1
    fi
    sudo=(sudo)
  fi
  # also after an interrupt: with policy-rc.d there, no package could start its service any more
  trap 'undo_debian; trap - INT; kill -INT $$' INT
  trap 'undo_debian; exit 143' TERM
  undo_debian() {
    ${sudo[@]+"${sudo[@]}"} rm -f "$no_cluster"
    if [ -n "$made_policy" ]; then ${sudo[@]+"${sudo[@]}"} rm -f "$policy"; fi
  }
  ${sudo[@]+"${sudo[@]}"} mkdir -p "${no_cluster%/*}"
  echo 'create_main_cluster = false' | ${sudo[@]+"${sudo[@]}"} tee "$no_cluster" >/dev/null
  if [ ! -e "$policy" ]; then
    made_policy=1
    printf '#!/bin/sh\nexit 101\n' | ${sudo[@]+"${sudo[@]}"} tee "$policy" >/dev/null
    ${sudo[@]+"${sudo[@]}"} chmod 755 "$policy"
  fi
  local status=0
  say "installing $*"
  ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive sh -c '
    apt-get install -y -q --no-install-recommends "$@" ||
      { apt-get update -q && apt-get install -y -q --no-install-recommends "$@"; }' sh "$@" >&2 || status=$?
  undo_debian
  trap - INT TERM
  return $status
}

check_go
tests=${1:-}
postgres= redis= prometheus= cc= curl= openssl=
has_postgres || postgres=postgresql
has_redis || redis=redis
if [ "$tests" = --tests ]; then
  has_prometheus || prometheus=prometheus
  has_cc || cc=cc
  has_curl || curl=curl
  has_openssl || openssl=openssl
fi
if [ -z "$postgres$redis$prometheus$cc$curl$openssl" ]; then exit 0; fi

if command -v apt-get >/dev/null; then
  # shellcheck disable=SC2086 # an empty name is no package
  install_debian $postgres ${redis:+redis-server} $prometheus ${cc:+gcc libc6-dev} $curl $openssl
elif command -v brew >/dev/null; then
  if [ -n "$cc" ]; then
    say "a C compiler is missing: xcode-select --install"
    exit 1
  fi
  # shellcheck disable=SC2086
  brew install $postgres $redis $prometheus $curl $openssl
else
  say "install with your package manager: ${postgres:+PostgreSQL server }${redis:+redis-server }${prometheus:+prometheus }${cc:+a C compiler }${curl:+curl }$openssl"
  exit 1
fi

has_postgres || { say "PostgreSQL's server programs are still not found"; exit 1; }
has_redis || { say "redis-server is still not found"; exit 1; }
[ -z "$prometheus" ] || has_prometheus || { say "prometheus and promtool are still not found"; exit 1; }
[ -z "$cc" ] || has_cc || { say "the C compiler $(go env CC) is still not found"; exit 1; }
[ -z "$curl" ] || has_curl || { say "curl is still not found"; exit 1; }
[ -z "$openssl" ] || has_openssl || { say "openssl is still not found"; exit 1; }
