#!/usr/bin/env bash
# Set-up, then every test. Options go to ctest: tools/test.sh -R sandbox
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
exec ctest --test-dir build --output-on-failure "$@"
