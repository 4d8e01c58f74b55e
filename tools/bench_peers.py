"""Times this engine and llama.cpp in turn, A B A B; tools/bench_peers.sh fetches the other one.

A measurement is one process of each engine, both at their defaults and with the same threads.
The ratio is ours to the peer's, taken pair by pair: what else runs on the machine slows both
halves of a pair, so a pair's ratio moves less than either speed.
"""
import argparse
import datetime
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PEERS = {"cpu": "CPU", "avx2": "CPU, AVX2", "quick": "CPU, prebuilt", "vulkan": "Vulkan, prebuilt"}
REPEATS = {"cpu": 3, "avx2": 3, "quick": 3, "vulkan": 1}  # measured runs within a process


class Case:
    def __init__(self, phase, tokens=0, depth=0, batch=1):
        self.phase, self.tokens, self.depth, self.batch = phase, tokens, depth, batch

    @property
    def name(self):
        if self.phase == "load":
            return "load to first token"
        if self.phase == "batch":
            return "decode %s, %d together" % (self.tokens, self.batch)
        return "%s %d%s" % (self.phase, self.tokens,
                            " at {:,}".format(self.depth) if self.depth else "")

    @property
    def positions(self):
        return max(256, self.tokens + self.depth)


CASES = [Case("prefill", 128), Case("prefill", 512), Case("decode", 64),
         Case("decode", 64, depth=2048), Case("batch", 64, batch=1), Case("batch", 64, batch=4),
         Case("batch", 64, batch=8), Case("load")]


class Run:
    """One process: state is "ok", "slow" (stopped at the limit) or "failed"."""

    def __init__(self, state, value=None, bound=None, rss=0, wall=0.0, why=""):
        self.state, self.value, self.bound = state, value, bound
        self.rss, self.wall, self.why = rss, wall, why


# --- what the engines print ------------------------------------------------------------------

def parse_ours(text, case):
    want = {"phase": "decode" if case.phase == "batch" else case.phase, "tokens": case.tokens,
            "depth": case.depth, "batch": case.batch}
    usual = {"depth": 0, "batch": 1}
    for speed in json.loads(text)["speeds"]:
        if all(speed.get(k, usual.get(k)) == v for k, v in want.items()):
            return speed["tok_s"]
    raise ValueError("it printed no speed of " + case.name)


def parse_llama_bench(text, peer):
    (result,) = json.loads(text)
    if peer == "vulkan" and not result["gpu_info"]:
        raise ValueError("its Vulkan backend found no device")  # it would compute on the CPU
    return statistics.median(result["samples_ts"])


def parse_batched_bench(text):
    lines = [json.loads(x) for x in text.splitlines() if x.startswith("{")]
    return statistics.median(x["speed_tg"] for x in lines)


STEP = re.compile(r"llama-bench: benchmark \S+ (warmup prompt|warmup generation|prompt|"
                  r"generation|depth|starting)")


def upper_bound(lines, case, end):
    """Tokens a second that a llama-bench stopped at `end` did not reach, from its progress lines
    [(time, text)]: a step of n tokens that began at t runs below n / (end - t). None where it was
    not computing what is measured."""
    steps = [(t, m.group(1)) for t, m in ((t, STEP.search(x)) for t, x in lines) if m]
    tokens = {case.phase.replace("prefill", "prompt").replace("decode", "generation"): case.tokens,
              "warmup prompt": case.tokens, "warmup generation": 1}
    bounds = []
    for (start, step), (stop, _) in zip(steps, steps[1:] + [(end, "")]):
        # A warm-up that ended also compiled; one that did not end still bounds the speed.
        if step in tokens and stop > start and (stop == end or not step.startswith("warmup")):
            bounds.append(tokens[step] / (stop - start))
    return min(bounds) if bounds else None


# --- processes -------------------------------------------------------------------------------

def run_process(argv, env, limit_s):
    """Returns (status or None at the limit, stdout, [(time, stderr line)], seconds, peak RSS in
    bytes, end). No other way out leaves the process alive."""
    lines = []
    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.PIPE, env=env)
        late = threading.Event()

        def stop():
            late.set()
            child.kill()

        def read():
            for line in child.stderr:
                lines.append((time.monotonic(), line.decode("utf-8", "replace").rstrip()))

        timer, reader = threading.Timer(limit_s, stop), threading.Thread(target=read)
        timer.start()
        reader.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)  # subprocess would drop the usage
            end = time.monotonic()
            child.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            child.kill()
            child.wait()
            raise
        finally:
            timer.cancel()
            reader.join()
            child.stderr.close()
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    rss = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return None if late.is_set() else child.returncode, text, lines, end - start, rss, end


def ours_argv(o, case, model, repeats):
    if case.phase == "load":
        return [o.lectern, "run", model, "-p", "a", "-n", "1", "--greedy", "--ignore-eos",
                "--ctx", str(case.positions), "--quiet"]
    argv = [o.lectern, "bench", model, "--json", "--quiet", "--runs", str(repeats),
            "--ctx", str(case.positions)]
    if case.phase == "prefill":
        return argv + ["--prefill", str(case.tokens), "--decode", "0"]
    argv += ["--prefill", "0", "--decode", str(case.tokens)]
    if case.phase == "batch":
        return argv + ["--batch", str(case.batch)]
    return argv + (["--depth", str(case.depth)] if case.depth else [])


def peer_argv(o, peer, case, model, repeats):
    folder = o.peer_dirs[peer]
    common = ["-m", model, "-t", str(o.threads)]
    common += ["-ngl", "99"] if peer == "vulkan" else ["-dev", "none"]
    if case.phase == "batch":
        context = case.batch * -(-(case.tokens + 1) // 256) * 256
        return [os.path.join(folder, "llama-batched-bench"), *common, "-c", str(context),
                "-npp", "1", "-ntg", str(case.tokens),
                "-npl", ",".join([str(case.batch)] * repeats), "--output-format", "jsonl"]
    argv = [os.path.join(folder, "llama-bench"), *common, "-o", "json"]
    if case.phase == "load":
        return argv + ["-p", "0", "-n", "1", "-r", "1", "--no-warmup"]
    prompt, answer = (case.tokens, 0) if case.phase == "prefill" else (0, case.tokens)
    return argv + ["-p", str(prompt), "-n", str(answer), "-d", str(case.depth),
                   "-r", str(repeats), "--progress"]


def measure(o, engine, case, model, repeats, env):
    ours = engine == "ours"
    argv = (ours_argv(o, case, model, repeats) if ours
            else peer_argv(o, engine, case, model, repeats))
    status, text, lines, wall, rss, end = run_process(argv, env, o.limit)
    if status is None:
        bound = None
        if case.phase == "load":
            bound = o.limit
        elif not ours and case.phase != "batch":
            bound = upper_bound(lines, case, end)
        return Run("slow", bound=bound, rss=rss, wall=wall)
    try:
        if status:
            raise ValueError(lines[-1][1] if lines else "it ended with status %d" % status)
        if ours:
            value = parse_ours(text, case) if case.phase != "load" else None
        else:
            value = (parse_batched_bench(text) if case.phase == "batch"
                     else parse_llama_bench(text, engine))
        if case.phase == "load":
            value = wall
    except (ValueError, KeyError, TypeError, statistics.StatisticsError) as e:
        return Run("failed", rss=rss, wall=wall, why=str(e) or type(e).__name__)
    return Run("ok", value=value, rss=rss, wall=wall)


# --- arithmetic ------------------------------------------------------------------------------

def compare(pairs):
    """[(ours, peer)] of numbers: their medians, the median of the pairs' ratios, its range."""
    ratios = [a / b for a, b in pairs]
    return {"ours": statistics.median(a for a, _ in pairs),
            "peer": statistics.median(b for _, b in pairs),
            "ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def summary(case, pairs, limit_s):
    """A row from [(Run, Run)]: of the whole pairs where there are any, else what can be said."""
    row = {"name": case.name, "unit": "s" if case.phase == "load" else "tok/s", "note": ""}
    whole = [(a.value, b.value) for a, b in pairs if a.state == b.state == "ok"]
    if whole:
        return {**row, **compare(whole), "pairs": len(whole)}
    for who, runs in ("lectern", [a for a, _ in pairs]), ("peer", [b for _, b in pairs]):
        done = [r.value for r in runs if r.state == "ok"]
        if done:
            row["ours" if who == "lectern" else who] = statistics.median(done)
        elif any(r.state == "failed" for r in runs):
            row["note"] = who + " failed"
        elif runs:
            row["note"] = "%s > %g s" % (who, limit_s)
    bounds = [b.bound for _, b in pairs if b.state == "slow" and b.bound]
    if "ours" in row and bounds:
        row["bound"] = row["ours"] / min(bounds)
    return row


def rss_row(cases):
    """Peak memory, pair by pair: the highest of the cases that both engines finished."""
    n = max((len(pairs) for pairs in cases), default=0)
    highest = []
    for i in range(n):
        done = [p[i] for p in cases if len(p) > i and p[i][0].state == p[i][1].state == "ok"]
        if done:
            highest.append((max(a.rss for a, _ in done) / 2**20,
                            max(b.rss for _, b in done) / 2**20))
    if not highest:
        return None
    return {"name": "peak RSS", "unit": "MiB", "note": "", **compare(highest),
            "pairs": len(highest)}


# --- tables ----------------------------------------------------------------------------------

def number(value, unit):
    if value is None:
        return "-"
    digits = 0 if unit == "MiB" or value >= 1000 else 1 if value >= 100 else 2
    return "{:,.{}f} {}".format(value, digits, unit)


def ratio_text(row):
    if "ratio" in row:
        return "%.2f x" % row["ratio"]
    if "bound" in row:
        return "%s %.3g x" % ("<" if row["unit"] == "s" else ">", row["bound"])
    return "failed" if "failed" in row["note"] else "-" if row.get("skipped") else "not finished"


def cells(row):
    spread = "%.2f to %.2f" % (row["low"], row["high"]) if "ratio" in row else row["note"]
    return [row["name"], number(row.get("ours"), row["unit"]),
            number(row.get("peer"), row["unit"]), ratio_text(row), spread]


def text_table(title, rows):
    form = "%-22s %11s %11s %12s  %s"
    lines = [title, form % ("", "lectern", "llama.cpp", "ratio", "lowest to highest")]
    lines += [form % tuple(cells(row)) for row in rows]
    return "\n".join(x[:80].rstrip() for x in lines)


def markdown_table(title, rows):
    lines = ["| %s | Lectern | llama.cpp | ratio | lowest to highest |" % title,
             "|---|--:|--:|--:|---|"]
    return "\n".join(lines + ["| %s |" % " | ".join(cells(row)) for row in rows])


NOTE = ("Ratios are Lectern / llama.cpp of the same pair: for tok/s higher is better, for\n"
        "seconds and MiB lower. Files and compiled shaders were cached before.")


def head_lines(head):
    return [("%-8s %s" % (k, v))[:80] for k, v in head.items()]


# --- the whole -------------------------------------------------------------------------------

def say(text):
    print(text, file=sys.stderr, flush=True)


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            for line in f:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def ours_text(o, *args):
    status, text, lines, *_ = run_process([o.lectern, *args], o.env, 120)
    if status:
        sys.exit("bench_peers: " + (lines[-1][1] if lines else "lectern %s failed" % args[0]))
    return text


def make_head(o):
    device = next((d for d in json.loads(ours_text(o, "devices", "--json")) if d["usable"]), None)
    if not device:
        sys.exit("bench_peers: lectern finds no device that it can use")
    return {"lectern": ours_text(o, "--version").split()[-1], "device": device["name"],
            "driver": device["driver"],
            "CPU": "%s, %d of %d threads" % (cpu_name(), o.threads, os.cpu_count() or 1),
            "peer": o.peer_label,
            "pairs": "%d, at most %g s a process" % (o.pairs, o.limit),
            "date": datetime.date.today().isoformat()}


def lacks(help_text, case):
    """The option that an older binary has not."""
    if case.phase == "batch" and not re.search(r"--batch +N,N", help_text):
        return "--batch N,N"
    return "--depth" if case.depth and "--depth" not in help_text else None


def measure_case(o, peer, case, model):
    pairs, envs = [], {"ours": o.env, peer: o.peer_env}
    for i in range(o.pairs):
        pair = []
        for engine in "ours", peer:
            r = measure(o, engine, case, model, REPEATS[peer], envs[engine])
            unit = "s" if case.phase == "load" else "tok/s"
            say("  %s, pair %d of %d, %s: %s" % (
                case.name, i + 1, o.pairs, "lectern" if engine == "ours" else "peer",
                {"ok": number(r.value, unit), "slow": "stopped at %g s" % o.limit,
                 "failed": "failed, " + r.why}[r.state]))
            pair.append(r)
            if r.state == "failed":
                break
        pairs.append(tuple(pair) if len(pair) == 2 else (pair[0], Run("slow")))
        if any(r.state != "ok" for r in pair):
            break  # it would not go better another time
    return pairs


def measure_model(o, peer, model, help_text):
    """Returns rows and the raw runs of one model against one peer."""
    rows, raw, done = [], {}, []
    say("%s against llama.cpp %s" % (os.path.basename(model), PEERS[peer]))
    for engine, env in ("ours", o.env), (peer, o.peer_env):  # not measured: it fills the caches
        r = measure(o, engine, Case("load"), model, 1, env)
        if r.state == "failed":
            who = "lectern" if engine == "ours" else "peer"
            say("bench_peers: %s cannot run %s: %s" % (who, model, r.why))
            return [{"name": "load", "unit": "s", "note": who + " failed"}], {}
    for case in CASES:
        if o.only and case.phase != o.only:
            continue
        missing = lacks(help_text, case)
        if missing:
            say("  %s: this lectern has no bench %s" % (case.name, missing))
            rows.append({"name": case.name, "unit": "tok/s", "note": "no " + missing,
                         "skipped": True})
            continue
        pairs = measure_case(o, peer, case, model)
        rows.append(summary(case, pairs, o.limit))
        raw[case.name] = [[vars(r) for r in pair] for pair in pairs]
        done.append(pairs)
    memory = rss_row(done)
    return rows + ([memory] if memory else []), raw


def options(argv):
    p = argparse.ArgumentParser(prog="bench_peers.py", description=__doc__.splitlines()[0])
    p.add_argument("--lectern", required=True)
    p.add_argument("--model", action="append", required=True)
    p.add_argument("--peer-dir", action="append", required=True, metavar="NAME=FOLDER")
    p.add_argument("--peer-label", required=True)
    p.add_argument("--pairs", type=int, default=3)
    p.add_argument("--threads", type=int, required=True)
    p.add_argument("--limit", type=float, default=600)
    p.add_argument("--only", choices=["prefill", "decode", "batch", "load"])
    p.add_argument("--json")
    p.add_argument("--markdown", action="store_true")
    o = p.parse_args(argv)
    o.peer_dirs = dict(x.split("=", 1) for x in o.peer_dir)
    o.env = {**os.environ, "LP_NUM_THREADS": str(o.threads)}
    o.peer_env = {"GGML_VK_VISIBLE_DEVICES": "0", **o.env}  # named, it may be a software device
    return o


def main(argv):
    o = options(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    head, results, failed = make_head(o), [], False
    help_text = ours_text(o, "bench", "--help")
    print("\n".join(("- " if o.markdown else "") + x for x in head_lines(head)), flush=True)
    for model in o.model:
        for peer in o.peer_dirs:
            rows, raw = measure_model(o, peer, model, help_text)
            title = "%s, llama.cpp %s" % (os.path.basename(model), PEERS[peer])
            print("\n" + (markdown_table if o.markdown else text_table)(title, rows), flush=True)
            results.append({"model": model, "peer": peer, "rows": rows, "runs": raw})
            failed = failed or any("failed" in row["note"] for row in rows)
    print("\n" + NOTE)
    if o.json:
        with open(o.json + ".part", "w", encoding="utf-8") as f:
            json.dump({"version": 1, "head": head, "results": results}, f, indent=1)
            f.write("\n")
        os.replace(o.json + ".part", o.json)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("bench_peers: stopped; no engine is left running")
        sys.exit(130)
    except OSError as e:
        sys.exit("bench_peers: " + str(e))
