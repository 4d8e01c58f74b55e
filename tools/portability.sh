#!/usr/bin/env bash
# The engine on every Vulkan device: those of this machine, then software drivers that are fetched
# for it. On each the kernels against double precision, whole models against theirs, and one model
# however it is placed. Closing line: N passed, N failed.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'EOT'
usage: tools/portability.sh [--no-fetch] [--no-software] [--quick] [--only WORD]

  --no-fetch      no downloads; drivers fetched before are used
  --no-software   this machine's devices only
  --quick         the kernels and test_engine only
  --only WORD     of the runs only those whose name contains WORD

Drivers are unpacked, not installed, in $XDG_CACHE_HOME/lectern/drivers (else
~/.cache/lectern/drivers); what the tests print is kept in build/portability.
EOT
}

fetch=yes software=yes only=''
tests=(test_norm test_rope test_attention test_matmul test_tiers test_choose test_engine
    test_kv test_place test_lora test_fixtures test_shapes)
while [ $# -gt 0 ]; do
    case $1 in
    --no-fetch) fetch=no ;;
    --no-software) software=no ;;
    --quick) tests=(test_norm test_rope test_attention test_matmul test_tiers test_choose test_engine) ;;
    --only) shift; only=${1:?--only needs a word} ;;
    -h | --help) usage; exit 0 ;;
    *) echo "portability.sh: there is no option '$1'" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

step() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }

case ${XDG_CACHE_HOME:-} in
/*) cache=$XDG_CACHE_HOME/lectern ;;
*) cache=${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache/lectern ;;
esac
drivers=$cache/drivers
root=$PWD passed=0 failed=0

# --- drivers --------------------------------------------------------------------------------

icd() { # icd FOLDER LIBRARY VERSION: last, so that a folder with one is whole
    printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "%s"}}\n' \
        "$drivers/$1/$2" "$3" >"$drivers/$1/icd.part"
    mv "$drivers/$1/icd.part" "$drivers/$1/icd.json"
}

apt_options=()
# Package lists of our own, with Debian's backports beside what apt knows: nothing is installed.
backports() {
    local mirror # where apt has bookworm from
    mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' | sed -n 's/^bookworm //p' | head -n 1)
    [ -n "$mirror" ] || return 1
    mkdir -p "$drivers/apt/lists/partial" "$drivers/apt/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "$mirror bookworm-backports main" >"$drivers/apt/sources.list"
    apt_options=(-o "Dir::Etc::sourcelist=$drivers/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$drivers/apt/lists" -o "Dir::Cache=$drivers/apt/cache")
    apt-get -q "${apt_options[@]}" update
}

unpack() { # unpack FOLDER PACKAGE...: their libraries, in one folder
    local folder=$drivers/$1 work=$drivers/work.$$ file
    shift
    rm -rf "$work"
    mkdir -p "$work/root" "$folder"
    (cd "$work" && apt-get -q ${apt_options[@]+"${apt_options[@]}"} download "$@") || return 1
    for file in "$work"/*.deb; do
        dpkg -x "$file" "$work/root" || return 1
    done
    find "$work/root" -name '*.so*' -exec mv -f {} "$folder/" \;
    rm -rf "$work"
}

get_swiftshader() {
    apt_options=()
    unpack swiftshader chromium-common &&
        find "$drivers/swiftshader" -type f ! -name 'libvk_swiftshader.so' -delete && # a browser's own
        icd swiftshader libvk_swiftshader.so 1.3.0
}

get_mesa25() { # its dependencies that Debian 12 has in older versions
    backports && unpack mesa25 mesa-vulkan-drivers mesa-libgallium libdrm2 libdrm-amdgpu1 \
        libdrm-intel1 && icd mesa25 libvulkan_radeon.so 1.4.305 &&
        mv "$drivers/mesa25/icd.json" "$drivers/mesa25/radeon.json" &&
        icd mesa25 libvulkan_lvp.so 1.4.305
}

get() { # get NAME: fetches the driver unless it is there
    if [ -f "$drivers/$1/icd.json" ]; then
        note "have $1"
    elif [ $fetch = no ] || ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
        note "skipped: $1 is not in $drivers, and is fetched with apt only"
    elif mkdir -p "$drivers" && "get_$1" >"$drivers/$1.log" 2>&1; then
        note "fetched $1"
    else
        rm -rf "$drivers/work.$$"
        note "skipped: $1 could not be fetched ($drivers/$1.log tells why)"
    fi
}

# --- runs -----------------------------------------------------------------------------------

judge() { # judge NAME STATUS SECONDS LOG WHAT
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        note "$5: passed, $3 s$(grep -q 'skipped:' "$4" && echo ', in part skipped' || true)"
    else
        failed=$((failed + 1))
        note "$5: FAILED ($2), $3 s; $4"
        grep -E '^ERROR|Validation' "$4" | head -n 3 | cut -c 1-200 | sed 's/^/      /' || true
    fi
}

run() { # run NAME VARIABLE=VALUE...: every test, in a folder of its own
    local name=$1 dir=$root/build/portability/$1 t status start
    shift
    case $name in *"$only"*) ;; *) return 0 ;; esac
    step "$name"
    mkdir -p "$dir"
    if ! env "$@" build/lectern devices >"$dir/devices.log" 2>&1; then
        note "skipped: $(head -n 1 "$dir/devices.log")"
        return 0
    fi
    sed -n 1,2p "$dir/devices.log"
    for t in "${tests[@]}"; do
        start=$SECONDS status=0
        (cd "$dir" && env "$@" timeout "$limit_s" "$root/build/$t") >"$dir/$t.log" 2>&1 || status=$?
        judge "$name" $status $((SECONDS - start)) "$dir/$t.log" "$t"
    done
}

# A driver that assumes a GPU which is not here: pipelines are compiled, nothing is run.
compile() { # compile NAME VARIABLE=VALUE...
    local name=$1 dir=$root/build/portability status=0 start=$SECONDS
    shift
    case $name in *"$only"*) ;; *) return 0 ;; esac
    mkdir -p "$dir"
    env "$@" timeout "$limit_s" build/compile_kernels >"$dir/$name.log" 2>&1 || status=$?
    judge "$name" $status $((SECONDS - start)) "$dir/$name.log" "compiled for $name"
    tail -n 1 "$dir/$name.log" | sed 's/^/      /'
}

step "build"
[ -f build/build.ninja ] || cmake -S . -B build -G Ninja -DLECTERN_TESTS=ON >/dev/null
ninja -C build lectern test_vendors compile_kernels time_ways "${tests[@]}" | tail -n 1

unset LECTERN_DEVICES # which each run sets as it needs
limit_s=${LECTERN_LIMIT_S:-1800} # a test; software drivers on a busy machine take minutes
devices=$(build/lectern devices --json 2>/dev/null | grep -c '"index"' || true)
for ((i = 0; i < devices; i++)); do
    run "device-$i" "LECTERN_DEVICES=$i"
    # which kernels a GPU would choose, and by how much
    LECTERN_DEVICES=$i build/time_ways 2>&1 | sed 's/^/    /' || true
done

if [ $software = yes ]; then
    step "software drivers, kept in $drivers"
    get swiftshader
    get mesa25
    lavapipe=$(ls /usr/share/vulkan/icd.d/lvp_icd*.json 2>/dev/null | head -n 1 || true)
    [ -n "$lavapipe" ] || note "skipped: lavapipe is not installed (mesa-vulkan-drivers)"
    for bits in 128 256 512; do
        [ -z "$lavapipe" ] ||
            run "lavapipe-$bits" "VK_ICD_FILENAMES=$lavapipe" LP_NATIVE_VECTOR_WIDTH=$bits
    done
    for bits in 128 256 512; do
        [ ! -f "$drivers/mesa25/icd.json" ] ||
            run "lavapipe25-$bits" "VK_ICD_FILENAMES=$drivers/mesa25/icd.json" \
                "LD_LIBRARY_PATH=$drivers/mesa25" LP_NATIVE_VECTOR_WIDTH=$bits
    done
    all=("${tests[@]}")
    tests=(test_norm test_rope test_attention test_matmul test_tiers test_choose test_engine test_fixtures) # the others take
    [ ! -f "$drivers/swiftshader/icd.json" ] || # five minutes and more there
        run swiftshader "VK_ICD_FILENAMES=$drivers/swiftshader/icd.json"
    tests=("${all[@]}")
    radv=$(ls /usr/share/vulkan/icd.d/radeon_icd*.json 2>/dev/null | head -n 1 || true)
    for family in navi21 gfx1100 renoir polaris10; do
        [ -z "$radv" ] || compile "radv-$family" "VK_ICD_FILENAMES=$radv" RADV_FORCE_FAMILY=$family
    done
    for family in navi21 navi31 gfx1201; do
        [ ! -f "$drivers/mesa25/radeon.json" ] ||
            compile "radv25-$family" "VK_ICD_FILENAMES=$drivers/mesa25/radeon.json" \
                "LD_LIBRARY_PATH=$drivers/mesa25" RADV_FORCE_FAMILY=$family
    done
fi

tests=(test_vendors) # under synchronisation validation too
run two-drivers VK_LAYER_ENABLES=VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
