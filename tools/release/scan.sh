#!/usr/bin/env bash
# Looks for known vulnerabilities, and for secrets that were left in, with the trivy on the path: scan.sh REPORTS TARGET...
# A target is a folder of source, an OCI layout, or an image in a registry. All that is found goes to REPORTS as SARIF, a file of each target; what is
# high or critical and can be mended makes it fail, after all targets were looked at, and is printed (on GitHub also in the summary of the run).
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: scan.sh REPORTS TARGET..." >&2; exit 2; }
reports=$1
shift
mkdir -p "$reports"
failed=()
for target in "$@"; do
  name=$(basename "${target%@*}")
  name=${name%%:*}
  if [ "$target" = . ]; then name=source; fi
  if [ -f "$target/index.json" ]; then
    what=(image --input "$target")
  elif [ -d "$target" ]; then
    what=(fs --skip-dirs dist --skip-dirs bin)
  else
    what=(image)
  fi
  scan=(trivy "${what[@]}" --scanners 'vuln,secret' --timeout 15m)
  what=()
  [ -f "$target/index.json" ] || what=("$target")
  echo "== $target" >&2
  "${scan[@]}" --quiet --format sarif --output "$reports/$name.all" "${what[@]}"
  jq --arg id "trivy/$name/" '.runs[].automationDetails = {id: $id}' "$reports/$name.all" >"$reports/$name.sarif" # by which reports are told apart
  rm "$reports/$name.all"
  code=0
  "${scan[@]}" --quiet --severity 'HIGH,CRITICAL' --ignore-unfixed --exit-code 3 --format table --output "$reports/$name.txt" "${what[@]}" || code=$?
  case $code in
    0) ;;
    3) failed+=("$target") ;;
    *) echo "scan.sh: trivy could not look at $target (exit code $code), so nothing is known" >&2; exit 1 ;;
  esac
  cat "$reports/$name.txt"
  if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    { echo "### $name"; if [ $code = 0 ]; then echo "Nothing high or critical that can be mended."; else echo '```'; cat "$reports/$name.txt"; echo '```'; fi; } >>"$GITHUB_STEP_SUMMARY"
  fi
done
[ ${#failed[@]} -eq 0 ] || { echo "scan.sh: high or critical, and it can be mended: ${failed[*]}" >&2; exit 3; }
