#!/usr/bin/env bash
# From nothing to a learning plan: set-up, then the main job on the default model.
# usage: tools/demo.sh [FOLDER]   (default: ./lectern-plan)
set -euo pipefail
case ${1:-} in
-h | --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;;
esac
out=${1:-lectern-plan}
case $out in
/*) ;;
*) out=$PWD/$out ;;
esac
cd "$(dirname "$0")/.."
tools/setup.sh
build/lectern study --out "$out"
[ -s "$out/plan.pdf" ] || { echo "demo.sh: study ended without $out/plan.pdf" >&2; exit 1; }
printf '\nYour plan: %s\n' "$out/plan.pdf"
