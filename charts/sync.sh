#!/usr/bin/env bash
# Copies charts/shared.tpl into the charts of the broker; with --check it fails if a copy differs.
set -euo pipefail
cd "$(dirname "$0")"
for chart in brokkr-broker brokkr-broker/charts/{api,gateway,scheduler,postgresql,redis}; do
  copy=$chart/templates/_shared.tpl
  if [ "${1:-}" = --check ]; then
    cmp -s shared.tpl "$copy" || { echo "$copy is not a copy of charts/shared.tpl: run charts/sync.sh" >&2; exit 1; }
  else
    cp shared.tpl "$copy"
  fi
done
