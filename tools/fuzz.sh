#!/usr/bin/env bash
# Looks for inputs that break what reads files: coverage-guided fuzzing (libFuzzer) with the address
# and undefined-behaviour sanitizers. The corpus in tests/fuzz/corpus is the start and gets the
# smallest set of inputs that covers all that was found; ctest replays it without clang.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'EOT'
usage: tools/fuzz.sh [MINUTES] [TARGET...]

Runs each target (gguf, lora, tokenizer, template; without names: all of them)
for MINUTES (5). Installs clang if it is missing (apt; elsewhere it says so) and
builds in build-fuzz. A finding is kept in build-fuzz/findings and makes the
exit status 1.
EOT
}

note() { printf '    %s\n' "$*"; }
die() { printf 'fuzz.sh: %s\n' "$*" >&2; exit 1; }

minutes=5
case ${1:-} in
-h | --help) usage; exit 0 ;;
-*) usage >&2; exit 2 ;;
[0-9]*)
    [[ $1 =~ ^[0-9]{1,6}$ ]] || { usage >&2; exit 2; }
    minutes=$((10#$1))
    shift
    ;;
esac
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in tests/fuzz/fuzz_*.c; do
        name=${file##*/fuzz_}
        targets+=("${name%.c}")
    done
fi
for name in "${targets[@]}"; do
    [ -f "tests/fuzz/fuzz_$name.c" ] || die "there is no target '$name' (tests/fuzz/fuzz_$name.c)"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- clang ----------------------------------------------------------------------------------

have_libfuzzer() {
    command -v clang >/dev/null || return 1
    cat >"$work/probe.c" <<'EOT'
int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size);
int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size)
{
    return data == 0 && size;
}
EOT
    clang -fsanitize=fuzzer,address,undefined "$work/probe.c" -o "$work/probe" 2>/dev/null
}

install() {
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        die "there is no sudo: run as root
  apt-get install --no-install-recommends $*"
    note "apt-get install $*"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y
        -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
    # A failed update may be another repository's fault; the installation decides.
    "${apt[@]}" update >"$work/log" 2>&1 </dev/null || note "apt-get update had errors"
    if ! "${apt[@]}" install --no-install-recommends "$@" >>"$work/log" 2>&1 </dev/null; then
        tail -n 25 "$work/log" >&2
        die "apt-get could not install $*; its last words are above"
    fi
}

echo "==> clang"
if ! have_libfuzzer; then
    command -v apt-get >/dev/null ||
        die "clang with libFuzzer (compiler-rt) is missing; install it, then run again"
    command -v clang >/dev/null || install clang
    if ! have_libfuzzer; then # the runtime's package is called after clang's major version
        version=$(clang -dumpversion)
        install "libclang-rt-${version%%.*}-dev"
    fi
    have_libfuzzer || die "clang cannot link with -fsanitize=fuzzer,address,undefined"
fi
note "$(clang --version | head -n 1)"

# --- build ----------------------------------------------------------------------------------

echo "==> build"
if ! cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DLECTERN_FUZZ=ON \
    -DLECTERN_TESTS=ON >"$work/log" 2>&1; then
    cat "$work/log" >&2
    die "cmake could not configure; its words are above"
fi
seeds=()
for name in "${targets[@]}"; do
    [ ! -f "tests/fuzz/seeds_$name.c" ] || seeds+=("seeds_$name")
done
ninja -C build-fuzz "${targets[@]/#/fuzz_}" "${seeds[@]}"

# --- run ------------------------------------------------------------------------------------

stat_of() { sed -n "s/^stat::$1: *//p" "$2" | tail -n 1; }

# The corpus becomes the smallest set of inputs that reaches what corpus and finds reach.
minimise() {
    local name=$1 corpus=$2 finds=$3
    mkdir -p "$work/merged"
    # What 5 KB cannot reach stays in build-fuzz: the repository is no place for it.
    "build-fuzz/fuzz_$name" -merge=1 -max_len=5120 "$work/merged" "$corpus" "$finds" \
        >"$work/merge.log" 2>&1 ||
        { tail -n 25 "$work/merge.log" >&2; die "the corpus of $name could not be merged"; }
    find "$corpus" -type f -delete
    find "$work/merged" -type f -exec cp -t "$corpus" {} +
    rm -rf "$work/merged"
}

failed=0
for name in "${targets[@]}"; do
    echo "==> $name, $minutes minutes"
    corpus=tests/fuzz/corpus/$name finds=build-fuzz/corpus/$name found=build-fuzz/findings/$name
    log=build-fuzz/fuzz_$name.log
    mkdir -p "$corpus" "$finds" "$found"
    [ ! -f "tests/fuzz/seeds_$name.c" ] || "build-fuzz/seeds_$name" "$finds"
    options=(-max_total_time=$((minutes * 60)) -max_len=16384 -timeout=10 -rss_limit_mb=2048
        -print_final_stats=1 "-artifact_prefix=$found/")
    [ ! -f "tests/fuzz/$name.dict" ] || options+=("-dict=tests/fuzz/$name.dict")
    # A time of 0 would be no limit.
    [ "$minutes" -gt 0 ] || options+=(-runs=0)
    status=0
    "build-fuzz/fuzz_$name" "${options[@]}" "$finds" "$corpus" >"$log" 2>&1 || status=$?
    [ $status -ne 130 ] || exit 130
    if [ $status -ne 0 ]; then
        failed=1
        grep -aE 'ERROR|SUMMARY|runtime error|not true|Test unit written' "$log" >&2 || true
        echo "$name: FAILED, the input is in $found, the report in $log;" \
            "again with build-fuzz/fuzz_$name INPUT"
        continue
    fi
    minimise "$name" "$corpus" "$finds"
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    echo "$name: $(stat_of number_of_executed_units "$log") executions, ${edges:-0} edges covered," \
        "corpus of $(find "$corpus" -type f | wc -l) inputs," \
        "$(find "$corpus" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }') bytes"
done
exit $failed
