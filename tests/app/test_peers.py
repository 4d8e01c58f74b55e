"""tools/bench_peers: what it reads, computes and says. The peer itself is not needed."""
import json
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import cli  # noqa: E402
sys.path.insert(0, os.path.join(cli.SOURCE, "tools"))
import bench_peers as peers  # noqa: E402

# Printed by llama.cpp 0.5.0 with SmolLM2-135M Q4_1; of llama-bench's 39 keys those that matter.
LLAMA_BENCH = """[
  {
    "build_commit": "0ad4a86",
    "cpu_info": "AMD EPYC",
    "gpu_info": "",
    "backends": "Vulkan",
    "devices": "none",
    "n_prompt": 16,
    "n_gen": 0,
    "n_depth": 0,
    "avg_ts": 117.403471,
    "samples_ns": [ 136282172 ],
    "samples_ts": [ 117.403 ]
  }
]
"""
BATCHED_BENCH = """
{"n_kv_max": 1024, "n_batch": 2048, "n_threads": 2, "n_threads_batch": 2, "pp": 1, "tg": 8, \
"pl": 4, "n_kv": 36, "t_pp": 0.766186, "speed_pp": 5.220665, "t_tg": 2.257677, \
"speed_tg": 14.173861, "t": 3.023863, "speed": 11.905301}
{"n_kv_max": 1024, "n_batch": 2048, "n_threads": 2, "n_threads_batch": 2, "pp": 1, "tg": 8, \
"pl": 4, "n_kv": 36, "t_pp": 0.184818, "speed_pp": 21.642914, "t_tg": 1.495829, \
"speed_tg": 21.392820, "t": 1.680647, "speed": 21.420322}

"""
PROGRESS = ["ggml_vulkan: Found 1 Vulkan devices:", "llama-bench: benchmark 1/1: starting",
            "llama-bench: benchmark 1/1: warmup prompt run",
            "llama-bench: benchmark 1/1: prompt run 1/3",
            "llama-bench: benchmark 1/1: prompt run 2/3"]
PREFILL, DECODE = peers.Case("prefill", 128), peers.Case("decode", 64)


def ok(value, rss=0):
    return peers.Run("ok", value=value, rss=rss)


class Reading(unittest.TestCase):
    def test_peer(self):
        self.assertEqual(peers.parse_llama_bench(LLAMA_BENCH, "quick"), 117.403)
        with self.assertRaisesRegex(ValueError, "found no device"):
            peers.parse_llama_bench(LLAMA_BENCH, "vulkan")
        self.assertAlmostEqual(peers.parse_batched_bench(BATCHED_BENCH),
                               (14.173861 + 21.392820) / 2)

    def test_ours(self):
        text = json.dumps({"speeds": [
            {"phase": "prefill", "tokens": 64, "tok_s": 1.0},
            {"phase": "decode", "tokens": 64, "depth": 0, "batch": 1, "tok_s": 2.0},
            {"phase": "decode", "tokens": 64, "depth": 2048, "batch": 1, "tok_s": 3.0},
            {"phase": "decode", "tokens": 64, "depth": 0, "batch": 4, "tok_s": 4.0}]})
        self.assertEqual([peers.parse_ours(text, c) for c in (
            peers.Case("prefill", 64), DECODE, peers.Case("decode", 64, depth=2048),
            peers.Case("batch", 64, batch=1), peers.Case("batch", 64, batch=4))], [1, 2, 3, 2, 4])
        with self.assertRaisesRegex(ValueError, "no speed of decode 64, 8 together"):
            peers.parse_ours(text, peers.Case("batch", 64, batch=8))

    def test_older_lectern(self):
        old, new = "--batch N   most tokens", "--depth N,N\n  --batch N,N   together"
        missing = [[peers.lacks(h, c) for c in peers.CASES] for h in (old, new)]
        batch = "--batch N,N"
        self.assertEqual(missing, [[None] * 3 + ["--depth"] + [batch] * 3 + [None], [None] * 8])

    def test_upper_bound(self):
        def bound(n, end):
            lines = list(zip((10, 20, 30, 90, 100), PROGRESS[:n]))
            return peers.upper_bound(lines, PREFILL, end)
        self.assertIsNone(bound(0, 50))
        self.assertIsNone(bound(2, 50)) # it was loading
        self.assertEqual(bound(3, 94), 128 / (94 - 30))  # an unfinished warm-up
        self.assertEqual(bound(4, 122), 128 / (122 - 90))  # what the warm-up took is not counted
        self.assertEqual(bound(5, 101), 128 / (100 - 90))  # the run that ended says more
        depth = [(1.0, "llama-bench: benchmark 1/1: depth run 1/1")]
        self.assertIsNone(peers.upper_bound(depth, DECODE, 100))


class Arithmetic(unittest.TestCase):
    def row(self, *pairs, case=PREFILL):
        return peers.summary(case, list(pairs), 60)

    def test_ratio(self):
        # Ratios 2, 0.5 and 3: their median is not the ratio of the medians, 20 / 20.
        row = self.row((ok(20.0), ok(10.0)), (ok(10.0), ok(20.0)), (ok(90.0), ok(30.0)))
        self.assertEqual((row["ours"], row["peer"], row["ratio"], row["low"], row["high"]),
                         (20, 20, 2, 0.5, 3))
        self.assertEqual(peers.cells(row), ["prefill 128", "20.00 tok/s", "20.00 tok/s",
                                            "2.00 x", "0.50 to 3.00"])

    def test_unfinished(self):
        slow, lost = peers.Run("slow", bound=2.0), peers.Run("slow")
        self.assertEqual(peers.cells(self.row((ok(30.0), slow)))[1:],
                         ["30.00 tok/s", "-", "> 15 x", "peer > 60 s"])
        self.assertEqual(peers.cells(self.row((ok(30.0), lost)))[3], "not finished")
        self.assertEqual(peers.cells(self.row((lost, ok(30.0))))[3:],
                         ["not finished", "lectern > 60 s"])
        load = peers.cells(self.row((ok(6.0), peers.Run("slow", bound=60.0)),
                                    case=peers.Case("load")))
        self.assertEqual(load[1:4], ["6.00 s", "-", "< 0.1 x"])
        self.assertEqual(self.row((ok(4.0), ok(2.0)), (ok(4.0), slow))["ratio"], 2)
        self.assertEqual(peers.cells(self.row((ok(1.0), peers.Run("failed"))))[3:],
                         ["failed", "peer failed"])

    def test_memory(self):
        mib = 2**20
        a, b = (ok(1, 30 * mib), ok(1, 10 * mib)), (ok(1, 20 * mib), ok(1, 40 * mib))
        row = peers.rss_row([[a], [b], [(ok(1, 99 * mib), peers.Run("slow", rss=mib))]])
        self.assertEqual((row["ours"], row["peer"], row["ratio"]), (30, 40, 0.75))
        self.assertIsNone(peers.rss_row([]))

    def test_width(self):
        slow = [(ok(12345.6), peers.Run("slow", bound=0.0001))]
        rows = [peers.summary(c, slow, 86400) for c in peers.CASES]
        rows += [peers.rss_row([[(ok(1, 2**40), ok(1, 2**40))]])]
        for row in rows:  # cut nowhere
            lines = peers.text_table("a model", [row]).splitlines()
            self.assertTrue(lines[-1].endswith(peers.cells(row)[-1]), lines[-1])
            self.assertEqual([x for x in lines if len(x) > 80], [])


class Processes(cli.Case):
    def options(self, *more):
        o = peers.options(["--lectern", cli.BINARY, "--model", "-", "--peer-dir", "cpu=-",
                           "--peer-label", "-", "--threads", "2", *more])
        o.env = {**self.env(), "LP_NUM_THREADS": "2"}
        return o

    def test_ours(self):
        """The binary takes the options and prints what is read."""
        o, model = self.options(), self.model("m.gguf", "ctx=256")
        help_text = peers.ours_text(o, "bench", "--help")
        for case in (peers.Case("prefill", 8), peers.Case("decode", 8), peers.Case("load"),
                     peers.Case("decode", 8, depth=32), peers.Case("batch", 8, batch=2)):
            if not peers.lacks(help_text, case):
                r = peers.measure(o, "ours", case, model, 1, o.env)
                self.assertEqual((r.state, r.why), ("ok", ""), case.name)
                self.assertGreater(r.value, 0)
                self.assertGreater(r.rss, 2**20)
        r = peers.measure(o, "ours", DECODE, self.path("none.gguf"), 1, o.env)
        self.assertEqual(r.state, "failed")
        self.assertIn("none.gguf", r.why)

    def test_limit(self):
        o, start = self.options("--limit", "1"), time.monotonic()
        program = "echo begun >&2; exec sleep 100"
        status, _, lines, wall, *_ = peers.run_process(["sh", "-c", program], o.env, o.limit)
        self.assertIsNone(status)
        self.assertEqual([x for _, x in lines], ["begun"])
        self.assertGreaterEqual(wall, 1)
        self.assertLess(time.monotonic() - start, 60)


class Script(cli.Case):
    def script(self, *args):
        r = subprocess.run([os.path.join(cli.SOURCE, "tools/bench_peers.sh"), *args],
                           env=self.env(), capture_output=True, text=True, check=False)
        self.assertEqual([x for x in (r.stdout + r.stderr).splitlines() if len(x) > 80
                          and self.dir not in x], [])
        return r

    def test_usage(self):
        r = self.script("-h")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        for args in (["--peer", "gpu"], ["--pairs", "0"], ["--pairs"], ["--threads", "2x"],
                     ["--only", "all"], ["--fast"], ["--peer", "avx2", "--quick"]):
            r = self.script(*args)
            self.assertEqual((r.returncode, r.stdout), (2, ""), args)
            self.assertRegex(r.stderr, r"^bench_peers.sh: .*\nusage: ")

    def test_missing(self):
        model = self.model("m.gguf", "ctx=256")
        for args, part in ((["--model", self.path("none.gguf")], "there is no model"),
                           (["--model", model, "--lectern", self.path("none")], "builds it"),
                           (["--model", model, "--lectern", cli.BINARY, "--driver", "none"],
                            "there is no driver none"),
                           (["--model", model, "--lectern", cli.BINARY, "--no-fetch"],
                            "--no-fetch forbids")):
            r = self.script(*args)
            self.assertEqual((r.returncode, r.stdout), (1, ""), args)
            self.assertIn(part, r.stderr.splitlines()[-1])
        self.assertEqual([f for f in self.files("cache", "lectern", "peers")
                          if not f.endswith("lock")], [])


if __name__ == "__main__":
    cli.main()
