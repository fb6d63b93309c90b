#!/usr/bin/env bash
# Asks Go's vulnerability database for what our programs call: vulnerabilities.sh [PACKAGE...], by default all of them.
# It ends with 0 where nothing is known, with 3 where something is, and with 1 where nothing could be found out: then it is not known that
# all is well. GOVULNDB names another database, such as a copy (file:///...).
set -euo pipefail
[ $# -gt 0 ] || set -- ./...
cd "$(dirname "$0")/../.."
govulncheck=$(tools/build.sh govulncheck)
said=$(mktemp)
trap 'rm -f "$said"' EXIT
code=0
"$govulncheck" ${GOVULNDB:+-db "$GOVULNDB"} "$@" >"$said" 2>&1 || code=$?
cat "$said"
case $code in
  0) grep -q '^No vulnerabilities found' "$said" || { echo "vulnerabilities.sh: govulncheck ended without saying that it found nothing" >&2; exit 1; } ;;
  3) echo "vulnerabilities.sh: what our programs call is vulnerable, see above: raise the module or the Go version (go.mod)" >&2; exit 3 ;;
  *)
    if grep -qE 'fetching vulnerabilities|creating client' "$said"; then
      echo "vulnerabilities.sh: the database ${GOVULNDB:-https://vuln.go.dev} did not answer like one, so nothing is known: try again, or set GOVULNDB to a copy that can be reached" >&2
    else
      echo "vulnerabilities.sh: govulncheck failed (exit code $code), so nothing is known: its reason is above" >&2
    fi
    exit 1
    ;;
esac
