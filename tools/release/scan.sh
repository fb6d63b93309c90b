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
  echo "== $target" >&2
  # What is scanned, and what of it is a gate. Of the source, modules of tests and tools do not ship: what they bring is reported, and does not fail.
  what=("$target") gates=('vuln,secret')
  if [ -f "$target/index.json" ]; then
    scan=(trivy image --input "$target") what=()
  elif [ -d "$target" ]; then
    scan=(trivy fs --skip-dirs dist --skip-dirs bin) gates=('vuln --skip-dirs tools --skip-dirs test' secret)
  else
    scan=(trivy image)
  fi
  scan+=(--quiet --timeout 15m)
  "${scan[@]}" --scanners vuln,secret --format sarif --output "$reports/$name.all" ${what[@]+"${what[@]}"}
  awk -v id="trivy/$name/" '!found && sub(/"tool": *\{/, "\"automationDetails\": {\"id\": \"" id "\"}, &") { found = 1 } 1; END { exit !found }' "$reports/$name.all" \
    >"$reports/$name.sarif" || { echo "scan.sh: the report of $target has no run to name" >&2; exit 1; } # reports are told apart by it
  rm "$reports/$name.all"
  : >"$reports/$name.txt"
  code=0
  for gate in "${gates[@]}"; do
    status=0
    # shellcheck disable=SC2086 # a gate is words
    "${scan[@]}" --scanners $gate --severity HIGH,CRITICAL --ignore-unfixed --exit-code 3 --format table --output "$reports/$name.part" ${what[@]+"${what[@]}"} || status=$?
    case $status in
      0 | 3) [ $status = 0 ] || code=3 ;;
      *) echo "scan.sh: trivy could not look at $target (exit code $status), so nothing is known" >&2; exit 1 ;;
    esac
    cat "$reports/$name.part" >>"$reports/$name.txt"
    rm "$reports/$name.part"
  done
  [ $code = 0 ] || failed+=("$target")
  cat "$reports/$name.txt"
  if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    { echo "### $name"; if [ $code = 0 ]; then echo "Nothing high or critical that can be mended."; else echo '```'; cat "$reports/$name.txt"; echo '```'; fi; } >>"$GITHUB_STEP_SUMMARY"
  fi
done
[ ${#failed[@]} -eq 0 ] || { echo "scan.sh: high or critical, and it can be mended: ${failed[*]}" >&2; exit 3; }
