#!/usr/bin/env bash
# Generates a Go, a Python and a TypeScript client of api/openapi/brokkr-v1.yaml into a temporary folder, checks their types, and
# completes a publication with each of them against a broker of this checkout. Needs Go, Python 3 with venv, Node with npm, and
# PostgreSQL (DATABASE_URL, or installed: the broker then starts a private one). Versions of the generators are pinned here.
# usage: test/clients/run.sh [go] [python] [typescript]
set -euo pipefail

OAPI_CODEGEN=v2.8.2
OAPI_RUNTIME=v1.9.0
OPENAPI_PYTHON_CLIENT=0.29.1
MYPY=1.18.2
OPENAPI_TYPESCRIPT=7.13.0
OPENAPI_FETCH=0.17.0
TYPESCRIPT=5.9.3
TYPES_NODE=20.19.0

root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/test/clients
work=$(mktemp -d)
chmod 755 "$work" # as root, PostgreSQL runs as a user of its own
broker=
finish() {
  status=$?
  if [ -n "$broker" ]; then kill "$broker" 2>/dev/null || true; wait "$broker" 2>/dev/null || true; fi
  if [ "$status" != 0 ] && [ -f "$work/broker.log" ]; then echo "== the end of the broker's log"; tail -20 "$work/broker.log"; fi
  chmod -R u+w "$work" 2>/dev/null || true
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
say() { echo "== $*"; }

[ "$#" -gt 0 ] || set -- go python typescript
cp "$root/api/openapi/brokkr-v1.yaml" "$work/brokkr-v1.yaml"
operations=$(grep -cE '^ +operationId:' "$work/brokkr-v1.yaml")
# complete LANGUAGE COUNT: a generator that leaves operations out only warns of it.
complete() {
  [ "$2" = "$operations" ] || { echo "the $1 client has $2 of $operations operations" >&2; exit 1; }
  echo "$1: $2 of $operations operations"
}

say "broker"
(cd "$root" && go build -o "$work/brokkr-broker" ./cmd/brokkr-broker)
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export BROKKR_URL=http://127.0.0.1:$port
BROKKR__ADMIN__ADDR=off "$work/brokkr-broker" serve --addr "127.0.0.1:$port" --state-dir "$work/state" >"$work/broker.out" 2>"$work/broker.log" &
broker=$!
admin=
for _ in $(seq 1 240); do
  admin=$(grep -oE 'brokkr_BR[A-Za-z0-9]+_[A-Za-z0-9]+' "$work/broker.out" | head -1 || true)
  [ -n "$admin" ] && curl -fsS "$BROKKR_URL/readyz" >/dev/null 2>&1 && break
  kill -0 "$broker" 2>/dev/null || { echo "the broker has ended" >&2; exit 1; }
  sleep 0.5
done
[ -n "$admin" ] || { echo "the broker has not printed the admin's PAK; is DATABASE_URL a database that is in use already?" >&2; exit 1; }
BROKKR_PAK=$(curl -fsS -X POST "$BROKKR_URL/api/v1/generators" -H "Authorization: Bearer $admin" -H 'Content-Type: application/json' \
  -d '{"name":"generated-clients"}' | python3 -c 'import json, sys; print(json.load(sys.stdin)["pak"])')
export BROKKR_PAK

client_go() {
  mkdir -p "$work/go/brokkr" && cd "$work/go"
  go mod init example.com/publish 2>/dev/null
  GOFLAGS=-mod=mod GOWORK=off go run "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@$OAPI_CODEGEN" \
    -generate types,client -response-type-suffix Answer -package brokkr -o brokkr/brokkr.go "$work/brokkr-v1.yaml"
  complete go "$(grep -oE '^func New[A-Za-z0-9]+Request(WithBody)?\(' brokkr/brokkr.go | sed -E 's/^func New(.*)Request(WithBody)?\($/\1/' | sort -u | wc -l | tr -d ' ')"
  cp "$here/_go/publish.go" .
  GOFLAGS=-mod=mod GOWORK=off go get "github.com/oapi-codegen/runtime@$OAPI_RUNTIME" 2>/dev/null
  GOFLAGS=-mod=mod GOWORK=off go mod tidy 2>/dev/null
  GOWORK=off go vet ./...
  GOWORK=off go run .
}

client_python() {
  mkdir -p "$work/python" && cd "$work/python"
  python3 -m venv venv
  venv/bin/pip install --quiet --disable-pip-version-check "openapi-python-client==$OPENAPI_PYTHON_CLIENT" "mypy==$MYPY"
  printf 'post_hooks: []\n' >config.yaml
  # It has no words for bodies in YAML, which every operation takes as JSON too, and says so at length. What it left out beside them fails.
  venv/bin/openapi-python-client generate --config config.yaml --path "$work/brokkr-v1.yaml" --output-path brokkr_client --meta none >generated.log 2>&1 || { cat generated.log >&2; exit 1; }
  if grep -E '^(Unable to process|ERROR)|^(Cannot|Unsupported|Invalid)' generated.log | grep -vE 'content[_ ]type (application|text)/(x-)?yaml'; then cat generated.log >&2; exit 1; fi
  complete python "$(find brokkr_client/api -mindepth 2 -name '*.py' ! -name __init__.py | wc -l | tr -d ' ')"
  cp "$here/_python/publish.py" .
  # What is generated has a class named like one of Python's own, which confuses the type checker: its errors are not ours.
  venv/bin/mypy --no-error-summary --follow-imports=silent publish.py
  venv/bin/python publish.py
}

client_typescript() {
  mkdir -p "$work/typescript" && cd "$work/typescript"
  cp "$here/_typescript/publish.ts" .
  printf '{"private": true, "type": "module"}\n' >package.json
  npm install --silent --no-fund --no-audit "openapi-typescript@$OPENAPI_TYPESCRIPT" "openapi-fetch@$OPENAPI_FETCH" "typescript@$TYPESCRIPT" "@types/node@$TYPES_NODE"
  npx openapi-typescript "$work/brokkr-v1.yaml" -o brokkr.ts >/dev/null
  complete typescript "$(sed -n '/^export interface operations/,$p' brokkr.ts | grep -cE '^    [A-Za-z0-9_"]+: \{')"
  npx tsc --strict --target es2022 --module nodenext --moduleResolution nodenext --skipLibCheck publish.ts
  node publish.js
}

for language in "$@"; do
  case $language in
    go | python | typescript) say "$language"; (client_"$language") ;;
    *) echo "there is no client in $language; go, python or typescript" >&2; exit 2 ;;
  esac
done
say "clients: $# of $# generated, checked, and published with"
