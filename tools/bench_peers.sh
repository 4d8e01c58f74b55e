#!/usr/bin/env bash
# Compares the speed of build/lectern with llama.cpp's on the same models, in turn, on this machine.
#
# llama.cpp stays outside the repository: its source comes out of a Python package and is compiled
# for this processor once, its Vulkan backend comes ready out of an npm package. Both are timed by
# llama.cpp's own llama-bench and llama-batched-bench; tools/bench_peers.py runs them.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

usage() {
    cat <<'EOT'
usage: tools/bench_peers.sh [OPTION]...

  --model FILE     GGUF to run on both engines; may be repeated (default: the
                   default model)
  --peer WHICH     llama.cpp's cpu backend (default), the same compiled for
                   AVX2 and no more (avx2), its vulkan backend, or both: cpu
                   and vulkan
  --quick          prebuilt CPU backend instead of compiling it (~15 min, once)
  --pairs N        runs of each engine, in turn (default 3)
  --threads N      for both engines (default: all)
  --driver D       Vulkan driver: an ICD's JSON file, lavapipe, or one that
                   tools/portability.sh has fetched: mesa25, swiftshader
  --only PHASE     prefill, decode, batch or load
  --limit S        seconds until a run is stopped (default 600)
  --json FILE      every run as JSON
  --markdown       tables as Markdown
  --no-fetch       no downloads: only what is in the cache
  --lectern FILE   another binary than build/lectern

Ratios are Lectern's speed to llama.cpp's, pair by pair. Peers are kept in
$XDG_CACHE_HOME/lectern/peers (else ~/.cache/lectern/peers).
EOT
}

die() { printf 'bench_peers.sh: %s\n' "$*" >&2; exit 1; }
misused() { printf 'bench_peers.sh: %s\n' "$*" >&2; usage >&2; exit 2; }
step() { printf '==> %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- options --------------------------------------------------------------------------------

models=() peer=cpu native=yes fetch=yes threads=$(nproc) driver='' lectern=build/lectern pass=()
from_here() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
whole() { # whole OPTION VALUE MOST
    case $2 in '' | *[!0-9]* | 0* | ???????*) misused "$1 takes a whole number from 1 to $3" ;; esac
    [ "$2" -le "$3" ] || misused "$1 takes a whole number from 1 to $3"
}
while [ $# -gt 0 ]; do
    option=$1
    case $option in
    --quick) native=no ;;
    --no-fetch) fetch=no ;;
    --markdown) pass+=(--markdown) ;;
    -h | --help) usage; exit 0 ;;
    --model | --peer | --pairs | --threads | --driver | --only | --limit | --json | --lectern)
        [ $# -gt 1 ] || misused "$option needs a value"
        shift
        case $option in
        --model) models+=("$(from_here "$1")") ;;
        --peer) peer=$1 ;;
        --threads) whole "$option" "$1" 1024; threads=$1 ;;
        --driver) driver=$1 ;;
        --lectern) lectern=$(from_here "$1") ;;
        --json) pass+=(--json "$(from_here "$1")") ;;
        --pairs) whole "$option" "$1" 1000; pass+=(--pairs "$1") ;;
        --limit) whole "$option" "$1" 86400; pass+=(--limit "$1") ;;
        --only)
            case $1 in
            prefill | decode | batch | load) ;;
            *) misused "there is no phase '$1'" ;;
            esac
            pass+=(--only "$1")
            ;;
        esac
        ;;
    *) misused "there is no option '$option'" ;;
    esac
    shift
done
case $peer in cpu | avx2 | vulkan | both) ;; *) misused "there is no peer '$peer'" ;; esac
[ $peer != avx2 ] || [ $native = yes ] || misused "--quick has no peer for AVX2 alone"

case ${XDG_CACHE_HOME:-} in
/*) cache=$XDG_CACHE_HOME/lectern ;; # a relative one is to be ignored, as base/file.c does
*) cache=${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache/lectern ;;
esac
peers=$cache/peers
[ ${#models[@]} -gt 0 ] || models=("$cache/models/SmolLM2-135M-Instruct.Q4_1.gguf")
for model in "${models[@]}"; do
    [ -r "$model" ] || die "there is no model $model; tools/setup.sh fetches the default one"
    pass+=(--model "$model")
done
[ -x "$lectern" ] || die "there is no $lectern; tools/setup.sh builds it"

case $driver in
'') ;;
*/* | *.json)
    driver=$(from_here "$driver")
    [ -r "$driver" ] || die "there is no driver $driver"
    export VK_ICD_FILENAMES=$driver
    ;;
lavapipe)
    VK_ICD_FILENAMES=$(ls /usr/share/vulkan/icd.d/lvp_icd*.json 2>/dev/null | head -n 1 || true)
    [ -n "$VK_ICD_FILENAMES" ] || die "lavapipe is not installed (mesa-vulkan-drivers)"
    export VK_ICD_FILENAMES
    ;;
*)
    [ -f "$cache/drivers/$driver/icd.json" ] ||
        die "there is no driver $driver in $cache/drivers; tools/portability.sh fetches them"
    export VK_ICD_FILENAMES=$cache/drivers/$driver/icd.json
    export LD_LIBRARY_PATH=$cache/drivers/$driver${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    ;;
esac

# --- the peers ------------------------------------------------------------------------------

# What the cache may hold: whole peers, under their final names, and .part folders. A .part is
# complete up to some step and is gone on with; a folder gets its name when all in it is there.
source_version=0.3.36 npm_version=3.22.1
source_sha=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
npm_sha=a0d9dd80eacd2ab1cfe71aee57ac8a806487fd70b3d2a38fbec637752d9e5c5f
binaries_sha=e10577190fc4bd1649d3b655588e5c7a85fc6b6dbf7136fee596cbe9e25521e7

sha256_of() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi |
        cut -d ' ' -f 1
}

need() { # need WHAT-FOR TOOL...
    local tool missing=() what=$1
    shift
    for tool; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [ ${#missing[@]} -eq 0 ] || die "not found: ${missing[*]}, for $what; install, then run again"
}

logged() { # logged LOG WHAT COMMAND...
    local log=$1 what=$2
    shift 2
    "$@" >"$log" 2>&1 </dev/null && return
    tail -n 8 "$log" >&2
    die "$what failed; $log has all of it"
}

may_fetch() { # may_fetch WHAT PATH
    [ $fetch = yes ] || [ -f "$2" ] || die "$1 is not in $peers, and --no-fetch forbids to fetch it"
}

# download WHAT FILE SHA256 FOLDER COMMAND...: the command leaves one .tar.gz or .tgz in "new"
download() {
    local what=$1 file=$2 sha=$3 part=$4
    shift 4
    [ ! -f "$part/$file" ] || return 0
    may_fetch "$what" "$part/$file"
    note "fetching $what"
    rm -rf "$part/new"
    mkdir -p "$part/new"
    (cd "$part/new" && logged "$part/fetch.log" "the download of $what" "$@")
    set -- "$part/new/"*gz
    [ "$(sha256_of "$1")" = "$sha" ] || die "$what has another hash than expected; it is not kept"
    mv -f "$1" "$part/$file"
    rm -rf "$part/new"
}

# Compiled for one processor: a cache that two machines share holds one folder for each.
processor() {
    (grep -m 2 -E '^(model name|flags)' /proc/cpuinfo || uname -a) | cksum | cut -d ' ' -f 1
}

# get_native SUFFIX WHAT OPTION...: OPTIONs of cmake tell the processor that is compiled for
get_native() {
    local name=llama-cpp-python-$source_version-$1 what=$2 part
    shift 2
    native_dir=$peers/$name
    [ ! -x "$native_dir/llama-bench" ] || return 0
    part=$peers/$name.part
    may_fetch "llama-cpp-python $source_version" "$part/source.tar.gz"
    need "compiling llama.cpp" python3 cmake ninja c++ tar
    mkdir -p "$part"
    download "llama-cpp-python $source_version" source.tar.gz $source_sha "$part" \
        python3 -m pip download -q --disable-pip-version-check --no-cache-dir --no-deps \
        --no-binary :all: -d . "llama-cpp-python==$source_version"
    if [ ! -d "$part/source" ]; then
        rm -rf "$part/unpacked"
        mkdir "$part/unpacked"
        tar -xzf "$part/source.tar.gz" -C "$part/unpacked" --strip-components 1
        mv "$part/unpacked/vendor/llama.cpp" "$part/source"
        rm -rf "$part/unpacked"
    fi
    note "compiling llama.cpp for $what (~15 minutes on 2 cores; it can be interrupted)"
    logged "$part/cmake.log" "cmake" cmake -S "$part/source" -B "$part/build" -G Ninja \
        -DCMAKE_BUILD_TYPE=Release "$@" -DBUILD_SHARED_LIBS=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF
    logged "$part/ninja.log" "the build" ninja -C "$part/build" llama-bench llama-batched-bench
    mkdir -p "$part/done"
    cp "$part/build/bin/llama-bench" "$part/build/bin/llama-batched-bench" "$part/source/LICENSE" \
        "$part/done/"
    mv "$part/done" "$native_dir"
    rm -rf "$part"
}

# The package has the libraries and, as a git bundle, the source that they were built from, but no
# benchmark: that is compiled from this source against these libraries.
get_prebuilt() {
    local name=node-llama-cpp-$npm_version part program
    prebuilt_dir=$peers/$name
    [ ! -x "$prebuilt_dir/llama-bench" ] || return 0
    part=$peers/$name.part
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        die "node-llama-cpp's Vulkan backend is taken for Linux on x86_64 only"
    need "node-llama-cpp $npm_version" npm git tar c++
    mkdir -p "$part/done"
    download "node-llama-cpp $npm_version" package.tgz $npm_sha "$part" \
        npm pack --silent --ignore-scripts "node-llama-cpp@$npm_version"
    download "its Vulkan binaries" binaries.tgz $binaries_sha "$part" \
        npm pack --silent --ignore-scripts "@node-llama-cpp/linux-x64-vulkan@$npm_version"
    rm -rf "$part/source" "$part/unpacked"
    mkdir "$part/unpacked"
    tar -xzf "$part/package.tgz" -C "$part/unpacked" package/llama/gitRelease.bundle
    tar -xzf "$part/binaries.tgz" -C "$part/unpacked" package/bins/linux-x64-vulkan
    logged "$part/git.log" "unpacking the source" git -c advice.detachedHead=false clone -q \
        "$part/unpacked/package/llama/gitRelease.bundle" "$part/source"
    mv "$part/unpacked/package/bins/linux-x64-vulkan/"*.so "$part/source/LICENSE" "$part/done/"
    note "compiling its benchmarks"
    for program in llama-bench batched-bench; do
        (cd "$part/source" && logged "$part/$program.log" "compiling $program" \
            c++ -std=c++17 -O2 -DNDEBUG -w -I include -I ggml/include -I common -I vendor \
            "tools/$program/main.cpp" "tools/$program/$program.cpp" \
            -o "$part/done/llama-${program#llama-}" -L "$part/done" -l:libllama-common.so \
            -l:libllama.vulkan.v0.5.0.so -l:libggml.vulkan.v0.5.0.so -l:libggml-base.so \
            -pthread "-Wl,-rpath,\$ORIGIN")
    done
    mv "$part/done" "$prebuilt_dir"
    rm -rf "$part"
}

step "peers, kept in $peers"
mkdir -p "$peers"
if command -v flock >/dev/null; then
    exec 9>"$peers/lock"
    flock -n 9 || die "another bench_peers.sh is at work here: two would slow each other"
fi
label=()
if [ $peer = avx2 ]; then
    grep -q -m 1 -w avx2 /proc/cpuinfo || die "this processor has no AVX2; --peer cpu has what it has"
    get_native avx2 "AVX2" -DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON \
        -DGGML_BMI2=ON
    pass+=(--peer-dir "avx2=$native_dir")
    label+=("of llama-cpp-python $source_version, compiled here for AVX2")
elif [ $peer != vulkan ] && [ $native = yes ]; then
    get_native "$(processor)" "this processor" -DGGML_NATIVE=ON
    pass+=(--peer-dir "cpu=$native_dir")
    label+=("of llama-cpp-python $source_version, compiled here")
fi
if [ $peer = vulkan ] || [ $peer = both ] || [ $native = no ]; then
    get_prebuilt
    [ $peer = vulkan ] || [ $native = yes ] || pass+=(--peer-dir "quick=$prebuilt_dir")
    [ $peer = cpu ] || pass+=(--peer-dir "vulkan=$prebuilt_dir")
    label+=("of node-llama-cpp $npm_version")
fi
joined=$(printf '; %s' "${label[@]}")

step "runs"
exec python3 -B tools/bench_peers.py --lectern "$lectern" --threads "$threads" \
    --peer-label "llama.cpp ${joined#; }" "${pass[@]}"
