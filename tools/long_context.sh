#!/bin/sh
# A prompt of 100,000 tokens (or as many as given) on the engine, its last logits against double
# precision. ctest runs the same with 20,000; time grows with the square: about 80 s for 100,000 on
# two cores of lavapipe.
#
# usage: tools/long_context.sh [TOKENS]
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cmake -S "$root" -B "$root/build" -G Ninja >/dev/null
ninja -C "$root/build" test_long >/dev/null
cd "$root/build/tests/model"
exec "$root/build/test_long" "${1:-100000}"
