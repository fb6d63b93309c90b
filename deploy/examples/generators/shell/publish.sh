#!/bin/sh
# Publishes the manifests of a folder as a stack, and does nothing if they are published already.
#
#   BROKKR_URL=http://localhost:3000 BROKKR_PAK=brokkr_... publish.sh STACK FOLDER [LABEL...]
#
# It needs a POSIX shell with awk, sed and sort, curl 7.55 or newer, and sha256sum. It prints created, updated or
# unchanged; on a failure it says why on standard error and ends with 1. Running it again is always safe.
set -eu
LC_ALL=C
export LC_ALL

fail() {
    echo "publish.sh: $*" >&2
    exit 1
}

[ $# -ge 2 ] || fail "usage: publish.sh STACK FOLDER [LABEL...]"
stack=$1 folder=$2
shift 2
: "${BROKKR_URL:?is not set: the URL of the broker}" "${BROKKR_PAK:?is not set: the key of a generator}"
api=${BROKKR_URL%/}/api/v1
case $stack in '' | *[!A-Za-z0-9._-]*) fail "the name of the stack may hold letters, digits, dots, hyphens and underscores" ;; esac
for label; do
    case $label in '' | *[!A-Za-z0-9._:/=-]*) fail "label \"$label\" holds something else than letters, digits and ._:/=-" ;; esac
done

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
printf 'Authorization: Bearer %s\n' "$BROKKR_PAK" >"$work/key" # in a file: arguments show in process lists

# The bundle: *.yaml and *.yml of the folder by name, each without white space at its end, "---" between, one line break last.
for f in "$folder"/*.yaml "$folder"/*.yml; do
    [ -f "$f" ] || continue
    printf '%s\n' "${f##*/}"
done | sort >"$work/names"
[ -s "$work/names" ] || fail "$folder holds no *.yaml or *.yml file"
first=1
while IFS= read -r name; do
    [ $first = 1 ] || printf '\n---\n'
    first=0
    awk '{ text = text $0 "\n" } END { sub(/[[:space:]]+$/, "", text); printf "%s", text }' "$folder/$name"
done <"$work/names" >"$work/bundle"
echo >>"$work/bundle"
digest() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
want=$(digest <"$work/bundle" | cut -d ' ' -f 1)

# ask METHOD PATH [CONTENT-TYPE FILE]: one request. The answer is in $work/answer, its status (000: none came) in $status.
ask() {
    method=$1 path=$2
    shift 2
    if [ $# -gt 0 ]; then
        set -- -H "Content-Type: $1" --data-binary "@$2"
    fi
    case $path in */deployment-objects) set -- -H "Idempotency-Key: $key" "$@" ;; esac # the others find out themselves what is there
    : >"$work/answer"
    status=$(curl -sS --connect-timeout 10 --max-time 60 -o "$work/answer" -w '%{http_code}' -X "$method" \
        -H "@$work/key" "$@" "$api$path" 2>"$work/trouble") || true
    [ -n "$status" ] || status=000
}

# again ASK...: a request that may be repeated, up to 5 times while the broker is away or busy.
again() {
    wait=1
    for attempt in 1 2 3 4 5; do
        ask "$@"
        case $status in
        000 | 429 | 502 | 503 | 504) [ $attempt = 5 ] || sleep $wait ;;
        *) return 0 ;;
        esac
        wait=$((wait * 2))
    done
}

# refused WHAT: the broker said no, or nothing.
refused() {
    if [ "$status" = 000 ]; then
        fail "$1: no answer from $BROKKR_URL: $(cat "$work/trouble")"
    fi
    code=$(sed -n 's/^.*"code":"\([a-z0-9_]*\)".*$/\1/p' "$work/answer")
    message=$(sed -n 's/^.*"message":"\(\([^"\\]\|\\.\)*\)".*$/\1/p' "$work/answer")
    fail "$1: $status ${code:-without a code}: ${message:-the key is missing, unknown, expired or revoked}"
}

# field NAME: the first value of a text field in the answer. A quote within a text is escaped, so that it is never taken for one.
field() {
    tr ',{' '\n\n' <"$work/answer" | sed -n "s/^\"$1\":\"\([^\"]*\)\".*\$/\1/p" | head -n 1
}

# The same key for every attempt to publish: a broker knows a publication again whose answer was lost.
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

again POST /auth/pak
[ "$status" = 200 ] || refused "log in"
generator=$(field generator)
[ -n "$generator" ] || fail "the key is not a generator's (brokkr generator create NAME makes one)"

# The stack, found or made. Somebody else may make it at the same time: then it is found the second time.
id=
for attempt in 1 2 3; do
    again GET "/stacks?name=$stack"
    [ "$status" = 200 ] || refused "look for stack $stack"
    id=$(tr '{' '\n' <"$work/answer" | sed -n "/\"name\":\"$stack\"/p" | sed -n "/\"generator_id\":\"$generator\"/p" | sed -n 's/^"id":"\([0-9a-f-]*\)".*$/\1/p' | head -n 1)
    [ -z "$id" ] || break
    printf '{"name":"%s","generator_id":"%s"}' "$stack" "$generator" >"$work/body"
    ask POST /stacks application/json "$work/body"
    case $status in
    201) id=$(field id) && break ;;
    000 | 409 | 429 | 502 | 503 | 504) sleep 1 ;;
    *) refused "make stack $stack" ;;
    esac
done
[ -n "$id" ] || refused "make stack $stack"

for label; do
    printf '"%s"' "$label" >"$work/body"
    again POST "/stacks/$id/labels" application/json "$work/body"
    case $status in 201 | 409) ;; *) refused "label stack $stack with $label" ;; esac # 409: it has it
done

# Compare, publish, and after an answer that did not come compare again: that is what makes it safe to repeat.
outcome=unchanged wait=1
for attempt in 1 2 3 4 5; do
    again GET "/stacks/$id/deployment-objects?limit=1"
    [ "$status" = 200 ] || refused "read what stack $stack has"
    have=$(sed -n 's/^[^{]*{\(.*\)$/\1/p' "$work/answer" | sed 's/"yaml_checksum":"\([0-9a-f]\{64\}\)".*$/\
\1/' | sed -n '2p')
    marker=$(sed 's/"is_deletion_marker":\(true\|false\).*$/\
\1/' "$work/answer" | sed -n '2p')
    if [ "$have" = "$want" ] && [ "$marker" != true ]; then
        echo "$outcome"
        exit 0
    fi
    outcome=updated
    [ -n "$have" ] || outcome=created
    ask POST "/stacks/$id/deployment-objects" application/yaml "$work/bundle"
    case $status in
    201)
        [ "$(sed 's/"yaml_checksum":"\([0-9a-f]\{64\}\)".*$/\
\1/' "$work/answer" | sed -n '2p')" = "$want" ] || fail "the broker stored something else than was sent"
        echo "$outcome"
        exit 0
        ;;
    000 | 409 | 429 | 502 | 503 | 504) sleep $wait ;;
    *) refused "publish to stack $stack" ;;
    esac
    wait=$((wait * 2))
done
refused "publish to stack $stack (it may have been published all the same; run this again)"
