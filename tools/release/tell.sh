#!/usr/bin/env bash
# Tells how a release went: tell.sh success|failure VERSION URL [JOB=RESULT...]
# A failure opens an issue, or writes to the one that is open for this version already; a success closes it. RELEASE_WEBHOOK, if it is set,
# gets the same line as {"text": ...}, as chats take it.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: tell.sh success|failure VERSION URL [JOB=RESULT...]" >&2; exit 2; }
result=$1 version=$2 url=$3
shift 3
title="Release $version failed"
case $result in
  success) text="Release $version is out: $url" ;;
  failure) text="Release $version failed ($*): $url" ;;
  *) echo "tell.sh: $result is neither success nor failure" >&2; exit 2 ;;
esac

# What becomes of the issue. It is called where set -e does not hold.
issue() {
  local open
  open=$(gh issue list --state open --search "in:title \"$title\"" --json number,title --jq ".[] | select(.title == \"$title\") | .number") || return 1
  open=${open%%$'\n'*}
  if [ "$result" = failure ]; then
    if [ -n "$open" ]; then
      gh issue comment "$open" --body "$text"
    else
      gh issue create --title "$title" --body "$text

Nothing carries the release's tags before all images were scanned and signed; run the failed jobs again once the reason is gone, or delete the tag."
    fi
  elif [ -n "$open" ]; then
    gh issue close "$open" --comment "$text"
  fi
}

echo "$text"
missed=''
issue || missed="the issue \"$title\" could not be looked for or written"
if [ -n "${RELEASE_WEBHOOK:-}" ]; then # also if there is no issue: somebody has to hear it
  body=$(printf '%s' "$text" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g')
  curl --fail --silent --show-error --max-time 20 -H 'Content-Type: application/json' --data "{\"text\": \"$body\"}" "$RELEASE_WEBHOOK" >/dev/null ||
    missed="${missed:+$missed; }RELEASE_WEBHOOK did not take it"
fi
[ -z "$missed" ] || { echo "tell.sh: $missed" >&2; exit 1; }
