#!/usr/bin/env bash
# Set-up, then every test, as many at once as there are cores: most of their time is a driver that
# compiles on one. Options go to ctest: tools/test.sh -R sandbox
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
exec ctest --test-dir build --output-on-failure --parallel "$(nproc)" "$@"
