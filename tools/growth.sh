#!/usr/bin/env bash
# What a token costs as context, model, batch and threads grow: engine/growth.svg, and its figures
# beside it. Models of random weights are made in the cache folder, one at a time, and removed.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'EOT'
usage: tools/growth.sh [--quick] [--redraw] [--runs N]

  --redraw   draw engine/growth.svg from engine/growth.tsv, measure nothing
  --quick    few, small and once, into build/growth.tsv and build/growth.svg
  --runs N   runs of each figure (5)

Takes about a quarter of an hour on two cores, 6 GB of disk and 10 GB of memory. Leave the machine
alone meanwhile. LECTERN_GROWTH_ARGS: more options of lectern bench (--device 1).
EOT
}

quick=no redraw=no runs=5
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=yes ;;
    --redraw) redraw=yes ;;
    --runs)
        case ${2:-} in
        [1-9] | [1-9][0-9]) runs=$2 ;;
        *) echo "growth.sh: --runs takes a whole number from 1 to 99" >&2; exit 2 ;;
        esac
        shift
        ;;
    -h | --help) usage; exit 0 ;;
    *) echo "growth.sh: there is no option '$1'" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

case ${XDG_CACHE_HOME:-} in
/*) cache=$XDG_CACHE_HOME/lectern ;;
*) cache=${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache/lectern ;;
esac

mix=Q4_K_M base=smollm2-135m tokens=32
depths=0,512,1024,2048,3072,4096,6144,8192 batches=1,2,4,8,16 out=engine/growth
shapes=(smollm2-135m smollm2-360m tinyllama-1.1b llama-3.2-3b llama-3.1-8b)
make_args=() more=(${LECTERN_GROWTH_ARGS:-})
if [ $quick = yes ]; then
    runs=2 tokens=4 depths=0,64,256 batches=1,2,4 out=build/growth
    shapes=(smollm2-135m smollm2-360m) make_args=(--layers 4 --vocab 4000)
fi

cmake -S . -B build -G Ninja >/dev/null
ninja -C build lectern gen_model draw_growth >/dev/null
if [ $redraw = yes ]; then
    exec build/draw_growth "$out.tsv" "$out.svg"
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/growth.XXXXXX")
trap 'rm -rf "$work"' EXIT
tsv=$work/growth.tsv

model() { # model SHAPE: makes it, once
    [ -e "$work/$1.gguf" ] ||
        build/gen_model --shape "$1" --mix $mix --quiet ${make_args[@]+"${make_args[@]}"} --out "$work/$1.gguf"
}

bench() { # bench SHAPE OPTION...: $work/bench.json
    local shape=$1
    shift
    echo "==> $shape: $*" >&2
    build/lectern bench "$work/$shape.gguf" --json --runs $runs ${more[@]+"${more[@]}"} "$@" >"$work/bench.json"
}

value() { # value KEY...: of the last bench, one level after the other
    python3 -B - "$work/bench.json" "$@" <<'EOP'
import json, sys
with open(sys.argv[1], encoding="utf-8") as f:
    at = json.load(f)
for key in sys.argv[2:]:
    at = at[key]
print(at)
EOP
}

figures() { # figures PHASE PANEL SERIES X: lines of the last bench; X: depth, batch or a number
    python3 -B - "$work/bench.json" "$@" <<'EOP'
import json, sys
path, phase, panel, series, x = sys.argv[1:]
with open(path, encoding="utf-8") as f:
    speeds = [s for s in json.load(f)["speeds"] if s["phase"] == phase]
for s in speeds:
    ms = ["%.4g" % (1000 / s[key]) for key in ("tok_s", "tok_s_high", "tok_s_low")]
    print("figure", panel, series, s.get(x, x), *ms, sep="\t")
EOP
}

# --- context, batch, threads ------------------------------------------------------------------

model $base
for kv in f16 q8_0; do
    bench $base --prefill 0 --decode $tokens --depth $depths --kv $kv
    figures decode context "cache $kv" depth >>"$tsv"
done
driver=$(value device driver) type=$(value device type)

bench $base --prefill 0 --decode $tokens --batch $batches
figures decode batch 135M batch >>"$tsv"
if [ "$type" = cpu ]; then # llvmpipe takes its threads from the environment
    for ((n = 1; n <= $(nproc) && n <= 16; n *= 2)); do
        LP_NUM_THREADS=$n bench $base --prefill 128 --decode $tokens
        figures decode threads 'writing' $n >>"$tsv"
        figures prefill threads 'reading a prompt of 128' $n >>"$tsv"
    done
fi

# --- models -----------------------------------------------------------------------------------

rate='' # of reading weights, measured with the first model
for shape in "${shapes[@]}"; do
    model "$shape"
    bench "$shape" --prefill 0 --decode $tokens --ctx 512 --kernels
    params=$(value model n_params) bytes=$(value memory device_bytes)
    figures decode model "$mix" "$params" >>"$tsv"
    [ -n "$rate" ] || rate=$(printf '%.1f' "$(value peak gb_s)")
    awk -v r="$rate" -v n="$params" -v b="$bytes" 'BEGIN {
        OFS = "\t"; print "limit", "model", "weights alone at " r " GB/s", n, b / r / 1e6 }' >>"$tsv"
    if [ "$shape" = tinyllama-1.1b ]; then
        bench "$shape" --prefill 0 --decode $tokens --batch $batches
        figures decode batch 1.1B batch >>"$tsv"
    fi
    rm "$work/$shape.gguf"
done

# --- caption, chart ----------------------------------------------------------------------------

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
{
    printf 'caption\t%s, %s cores%s, %s\n' "$driver" "$(nproc)" "${cpu:+ of $cpu}" "$(date +%F)"
    printf 'caption\tRandom weights in the shapes of SmolLM2, TinyLlama and Llama 3, %s; context and threads: 135M.\n' $mix
    printf 'caption\tDots: medians of %s runs of %s tokens; lines from the lowest to the highest. %s\n' \
        $runs $tokens 'Together: the time of a pass divided by its sequences.'
    [ $quick = no ] || printf 'caption\tA quick run: models of 4 layers and 4,000 words, which say nothing of those named.\n'
    cat "$tsv"
} >"$work/all.tsv"
build/draw_growth "$work/all.tsv" "$work/growth.svg"
cp "$work/all.tsv" "$out.tsv"
cp "$work/growth.svg" "$out.svg"
echo "$out.svg, $out.tsv"
