"""The formats that other tools read, and that the same question gets the same answer."""
import glob
import hashlib
import json
import math
import os
import re
import unittest
import xml.etree.ElementTree

import cli
from cli import CHATML, DEFAULT_MODEL


class Formats(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.m = cls.model("m.gguf", "type=Q8_0", "ctx=4096", "kv=2", "template=" + CHATML)

    def ids(self, text, *options, model=None):
        lines = self.ok("tokenize", model or self.m, *options, stdin=text).out.splitlines()
        return [json.loads(line) for line in lines]

    # ------------------------------------------------------------------------------- tokenize

    def test_tokenize(self):
        vocab = self.model("v.gguf", "vocab-only=1")
        for model in self.m, vocab:
            got = self.ids(b"the thing\0\0 and\nmore", model=model)
            self.assertEqual(len(got), 3)
            self.assertEqual(got[1], [])
            self.assertTrue(all(isinstance(i, int) for row in got for i in row))
            self.assertEqual(self.ids(b"the thing", model=model), [got[0]])
        self.assertEqual(self.ids(b""), [[]])
        self.assertEqual(self.ids(b"the\0"), self.ids(b"the"))
        out = self.ok("tokenize", self.m, stdin=b"the").out
        self.assertRegex(out, rb"^\[\d+(,\d+)*\]\n$")

    def test_tokenize_pieces(self):
        text = "the h\u00e9 \"q\" \u20ac\n".encode()
        pieces = self.ids(text, "--pieces")[0]
        self.assertEqual([p["id"] for p in pieces], self.ids(text)[0])
        self.assertEqual([sorted(p) for p in pieces], [["id", "text"]] * len(pieces))
        self.assertIn("\ufffd", "".join(p["text"] for p in pieces))  # bytes of the euro sign

    def test_tokenize_special(self):
        marked = b"<|im_start|>the<|im_end|>"
        plain, special = self.ids(marked)[0], self.ids(marked, "--special")[0]
        self.assertEqual((special[0], special[-1]), (1, 2))
        self.assertNotIn(1, plain)
        self.assertLess(len(special), len(plain))

    # --------------------------------------------------------------------------------- logits

    def logits(self, tokens, *options):
        doc = self.ok("logits", self.m, "--tokens", ",".join(map(str, tokens)), *options).json()
        self.assertEqual(list(doc), ["tokens", "logits"])
        self.assertEqual(doc["tokens"], tokens)
        return doc["logits"]

    def test_logits(self):
        tokens = [1, 100, 7, 42, 5]
        last, rows = self.logits(tokens), self.logits(tokens, "--all-positions")
        self.assertEqual(len(last), 320)
        self.assertTrue(all(math.isfinite(x) for x in last))
        self.assertGreater(max(last) - min(last), 0.5)
        self.assertEqual([len(r) for r in rows], [320] * len(tokens))
        for n in range(1, len(tokens) + 1):  # a row is what the tokens before it say
            alone = self.logits(tokens[:n])
            self.assertLess(max(abs(a - b) for a, b in zip(alone, rows[n - 1])), 0.02)
        self.assertGreater(max(abs(a - b) for a, b in zip(rows[0], rows[1])), 0.1)
        self.assertEqual(self.logits([9], "--all-positions"), [self.logits([9])])

    def test_logits_of_cache_types(self):
        """The coarser the cache, the further from f32; tests/model bounds by how much."""
        full = self.logits([1, 2, 3], "--kv", "f32")
        def off(kv):
            got = self.logits([1, 2, 3], "--kv", kv)
            return max(abs(a - b) for a, b in zip(got, full))
        half, q8, q4 = off("f16"), off("q8_0"), off("q4_0")
        self.assertEqual(off("f32"), 0)
        self.assertTrue(0 < half < 0.02)
        self.assertTrue(half < q8 < q4 < 3, [half, q8, q4])

    # --------------------------------------------------------------------- perplexity, inspect

    def test_perplexity_is_the_mean_of_logits(self):
        text = b"the thing and the other in the end"
        with open(self.path("text"), "wb") as f:
            f.write(text)
        tokens = self.ids(text)[0]
        rows = self.logits(tokens, "--all-positions")
        nll = 0.0
        for row, after in zip(rows, tokens[1:]):
            nll += math.log(sum(math.exp(x) for x in row)) - row[after]
        doc = self.ok("perplexity", self.m, self.path("text"), "--json", "--quiet").json()
        self.assertEqual((doc["tokens"], doc["scored"]), (len(tokens), len(tokens) - 1))
        self.assertAlmostEqual(doc["mean_nll"], nll / (len(tokens) - 1), delta=0.01)
        self.assertAlmostEqual(doc["perplexity"], math.exp(doc["mean_nll"]), delta=0.01)
        self.assertEqual(self.ok("perplexity", self.m, "-", "--json", stdin=text).json()["mean_nll"],
                         doc["mean_nll"])
        table = self.ok("perplexity", self.m, self.path("text")).out.decode()
        self.assertIn("perplexity  %.4f" % doc["perplexity"], table)

    def test_inspect(self):
        doc = self.ok("inspect", self.m, "--json").json()
        self.assertEqual((doc["version"], doc["file_bytes"]), (3, os.path.getsize(self.m)))
        meta = {kv["key"]: kv.get("value") for kv in doc["metadata"]}
        self.assertEqual((len(meta), meta["general.architecture"], meta["llama.block_count"]),
                         (doc["n_metadata"], "llama", 2))
        table = self.ok("inspect", self.m).out.decode()
        self.assertLessEqual(max(map(len, table.splitlines())), 80 + len(self.m))
        for key in meta:
            self.assertIn(key[:30], table)
        self.ok("inspect", self.model("v.gguf", "vocab-only=1"))

    # ------------------------------------------------------------------------------------ run

    def run_json(self, *options, **kw):
        doc = self.ok("run", self.m, "--json", "--quiet", *options, **kw).json()
        self.assertEqual(list(doc)[:3], ["ids", "text", "timings"])
        for key in "prompt_n", "prompt_ms", "predicted_n", "predicted_ms":
            self.assertGreater(doc["timings"][key], 0, key)
        self.assertEqual(doc["timings"]["predicted_n"], len(doc["ids"]))
        self.assertIn(doc["stopped"], ("limit", "eos"))
        return doc

    def test_run_is_the_chain_of_logits(self):
        tokens = [1, 100, 7]
        doc = self.run_json("--tokens", "1,100,7", "-n", "10", "--greedy", "--ignore-eos")
        self.assertEqual(len(doc["ids"]), 10)
        self.assertEqual(doc["timings"]["prompt_n"], 3)
        for got in doc["ids"]:
            row = self.logits(tokens)
            # a cached and a recomputed position may round differently
            self.assertLess(max(row) - row[got], 0.02, tokens)
            tokens.append(got)

    def test_run_twice(self):
        args = ["run", self.m, "-p", "the thing", "-n", "40", "--greedy"]
        first = self.ok(*args).out
        self.assertEqual(self.ok(*args).out, first)
        self.assertEqual(self.ok(*args, "--batch", "1").out, first)
        self.assertEqual(self.ok("run", self.m, "-p", "the thing", "-n", "40").out, first)
        text = self.run_json("-p", "the thing", "-n", "40")["text"]
        whole = [t.replace("\ufffd", "") for t in (first.decode("utf-8", "replace"), text + "\n")]
        self.assertEqual(whole[0], whole[1])  # of broken characters Python shows fewer signs

    def test_run_from_stdin(self):
        by_option = self.run_json("-p", "in the end\n", "-n", "8")
        by_pipe = self.run_json("-n", "8", stdin=b"in the end\n")
        by_ids = self.run_json("-n", "8", "--tokens",
                               ",".join(map(str, self.ids(b"in the end\n")[0])))
        self.assertEqual(by_pipe["ids"], by_option["ids"])
        self.assertEqual(by_ids["ids"], by_option["ids"])  # this vocabulary adds no BOS

    def test_sampling(self):
        def sample(seed, *more):
            return self.run_json("-p", "the", "-n", "24", "--ignore-eos", "--temp", "1.2",
                                 "--seed", seed, *more)["ids"]
        self.assertEqual(sample("7"), sample("7"))
        self.assertNotEqual(sample("7"), sample("8"))
        greedy = self.run_json("-p", "the", "-n", "24", "--ignore-eos", "--greedy")["ids"]
        self.assertNotEqual(sample("7"), greedy)
        self.assertEqual(sample("7", "--top-k", "1"), greedy)
        self.assertEqual(sample("9", "--top-p", "0"), greedy)
        self.assertEqual(sample("9", "--min-p", "1"), greedy)

    def test_run_chat_template(self):
        marked = b"<|im_start|>system\nbe<|im_end|>\n<|im_start|>user\nthe<|im_end|>\n" \
                 b"<|im_start|>assistant\n"
        tokens = ",".join(map(str, self.ids(marked, "--special")[0]))
        want = self.run_json("--tokens", tokens, "-n", "6")["ids"]
        self.assertEqual(self.run_json("--chat", "--system", "be", "-p", "the", "-n", "6")["ids"],
                         want)
        bare = self.model("bare.gguf")
        self.fails("no chat template that Lectern knows", "run", bare, "--chat", "-p", "x")
        self.fails("--chat-template (llama3.1, llama3, llama2, chatml", "chat", bare)
        self.ok("run", bare, "--chat", "-p", "x", "-n", "2", "--chat-template", "llama2")

    def test_run_chat_tools(self):
        tools = self.path("tools.json")
        with open(tools, "w") as f:
            f.write('[{"name": "rain", "parameters": {}}]')
        header = (b"<|start_header_id|>system<|end_header_id|>\n\n%sCutting Knowledge Date: "
                  b"December 2023\nToday Date: 01 Jan 2025\n\n<|eot_id|><|start_header_id|>user"
                  b"<|end_header_id|>\n\n")
        end = b"x<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        rules = (b"Given the following functions, please respond with a JSON for a function call "
                 b"with its proper arguments that best answers the given prompt.\n\nRespond in "
                 b'the format {"name": function name, "parameters": dictionary of argument name '
                 b"and its value}.Do not use variables.\n\n{\n    \"name\": \"rain\",\n"
                 b"    \"parameters\": {}\n}\n\n")
        dated = ["--chat", "-p", "x", "-n", "4", "--chat-template", "llama3.1", "--date",
                 "01 Jan 2025"]
        for options, text in (dated, header % b"" + end), \
                (dated + ["--tools", tools], header % b"Environment: ipython\n" + rules + end):
            bos = "<|im_start|>".encode()  # of the small vocabulary
            tokens = ",".join(map(str, self.ids(bos + text, "--special")[0]))
            self.assertEqual(self.run_json(*options)["ids"],
                             self.run_json("--tokens", tokens, "-n", "4")["ids"])
        self.fails("no words for tools", "run", self.m, "--chat", "-p", "x", "--tools", tools)
        self.misused("need --chat", "run", self.m, "-p", "x", "--tools", tools)

    def test_chat(self):
        talk = b"hello\n/stats\n/clear\nhello\n/help\n"
        args = ["chat", self.m, "-n", "5", "--greedy", "--quiet"]
        r = self.ok(*args, stdin=talk)
        text = r.out.decode("utf-8", "replace")
        self.assertEqual(len(re.findall(r"tokens read in .* written at", text)), 1, r)
        self.assertRegex(text, r"/clear +forgets the conversation")
        first = self.ok(*args, stdin=b"hello\n").out
        self.assertTrue(r.out.startswith(first), r)
        self.assertEqual(r.out.count(first), 2, r)  # after /clear it begins anew
        self.assertEqual(self.ok(*args, stdin=b"hello\n\nnever read\n").out, first)
        self.assertEqual(self.ok(*args, stdin=b"").out, b"")

    def test_run_shifts(self):
        """Up to the first shift the text is that of a large context; without one it ends there."""
        args = ["-p", "the thing", "--ignore-eos", "--greedy"]
        whole = self.run_json(*args, "-n", "200")["ids"]
        n_prompt = len(self.ids(b"the thing")[0])
        shifted = self.run_json(*args, "-n", "300", "--ctx", "96", "--shift")["ids"]
        self.assertEqual(len(shifted), 300)
        until = 96 - n_prompt + 1  # the last of these is chosen behind a full context
        self.assertEqual(shifted[:until], whole[:until])
        r = self.call("run", self.m, *args, "-n", "300", "--ctx", "96")
        self.assertEqual(r.status, 1, r)
        self.assertIn("larger --ctx", r.err)
        r = self.call("run", self.m, *args, "-n", "300", "--ctx", "64", "--shift")  # one page to halve
        self.assertIn("larger --ctx", r.err)

    def test_chat_shifts(self):
        """A full context goes on: across turns, within an answer, said once."""
        args = ["chat", self.m, "--ctx", "128", "--greedy", "--quiet"]
        r = self.ok(*args, "-n", "8", stdin=b"the thing and the thing\n" * 12 + b"/stats\n")
        self.assertEqual(r.err.count("the older half"), 1, r)
        self.assertNotIn("the oldest exchange", r.err)
        read = int(re.search(rb"(\d+) tokens read", r.out).group(1))
        self.assertLess(read, 64, r)  # what is left in the cache is not read again
        r = self.ok(*args, "-n", "400", "--system", "be", stdin=b"the thing\n/stats\nthe\n/stats\n")
        self.assertEqual(r.err.count("the older half"), 1, r)
        counts = [int(n) for n in re.findall(rb"read in .*?, (\d+) written", r.out)]
        if counts[0] < 400:  # it ended by itself: no shift to speak of
            self.fail("the model does not fill its context: choose another seed")
        used = [int(n) for n in re.findall(rb"context (\d+) of 128", r.out)]
        self.assertTrue(all(64 <= n <= 128 for n in used), r)

    def test_chat_forgets_the_oldest(self):
        """Where the cache is too short to be halved, messages are dropped instead."""
        r = self.ok("chat", self.m, "--ctx", "96", "-n", "8", "--greedy",
                    stdin=b"x\n" + b"the thing and " * 14 + b"\n")
        self.assertIn("the oldest exchange was forgotten", r.err)
        r = self.call("chat", self.m, "--ctx", "64", stdin=b"x" * 500 + b"\n")
        self.assertEqual(r.status, 1, r)
        self.assert_sentence(r, "larger --ctx")

    # -------------------------------------------------------------------------- devices, bench

    def test_devices(self):
        doc = self.ok("devices", "--json").json()
        devices = doc if isinstance(doc, list) else doc["devices"]
        self.assertGreaterEqual(len(devices), 1)
        for d in devices:
            for key in ("index", "name", "driver", "type", "uuid", "tier", "api_version",
                        "heap_bytes", "budget_bytes", "max_buffer_range", "usable"):
                self.assertIn(key, d)
        table = self.ok("devices").out.decode()
        self.assertIn(devices[0]["name"][:50], table)

    def test_devices_measured(self):
        out = self.path("hardware.json")
        self.ok("devices", self.m, "--out", out, "--quiet")
        with open(out, encoding="utf-8") as f:
            hw = json.load(f)
        self.assertEqual(hw["version"], 1)
        for key in "device", "devices", "host", "model", "measured", "memory_budget_bytes", "fits":
            self.assertIn(key, hw)
        self.assertGreater(hw["measured"]["decode_tok_s"], 0)
        self.assertGreater(hw["measured"]["matvec_gb_s"], 0)
        self.assertGreater(len(hw["fits"]), 20)
        self.assertLessEqual({f["verdict"] for f in hw["fits"]},
                             {"fits", "fits with less context", "streamed",
                              "larger than memory"})

    def test_bench(self):
        doc = self.ok("bench", self.m, "--json", "--runs", "2", "--prefill", "8,16", "--decode",
                      "4", "--quiet").json()
        self.assertEqual([(s["phase"], s["tokens"]) for s in doc["speeds"]],
                         [("prefill", 8), ("prefill", 16), ("decode", 4)])
        for s in doc["speeds"]:
            self.assertLessEqual(s["tok_s_low"], s["tok_s"])
            self.assertLessEqual(s["tok_s"], s["tok_s_high"])
            self.assertGreater(s["tok_s_low"], 0)
        self.assertEqual(doc["model"]["file_type"], "Q8_0")
        self.assertEqual(doc["n_devices"], 1)
        self.assertEqual(doc["memory"]["n_resident"], doc["model"]["n_layers"])
        self.assertEqual(doc["memory"]["kv"], "f16")
        table = self.ok("bench", self.m, "--runs", "1", "--prefill", "0", "--decode", "4").out
        self.assertIn(b"decode", table)
        self.assertNotIn(b"prefill", table)
        self.assertLessEqual(max(map(len, table.splitlines())), 80)

    def test_bench_depth_and_batch(self):
        args = "bench", self.m, "--json", "--runs", "2", "--prefill", "8", "--decode", "3", "--quiet"
        doc = self.ok(*args, "--depth", "0,40", "--batch", "1,3").json()
        self.assertEqual([(s["phase"], s["tokens"], s["depth"], s["batch"], s["runs"])
                          for s in doc["speeds"]],
                         [("prefill", 8, 0, 1, 2)] +
                         [("decode", 3, depth, batch, 2) for depth in (0, 40) for batch in (1, 3)])
        self.assertEqual(doc["memory"]["n_ctx"], 64)  # 43 in whole pages
        self.assertEqual(self.ok(*args, "--depth", "40", "--ctx", "96").json()["memory"]["n_ctx"],
                         96)
        self.assertEqual(self.ok(*args, "--n-batch", "16").json()["memory"]["n_batch"], 16)
        self.fails("larger --ctx", *args, "--depth", "64", "--ctx", "64")

    def test_bench_kernels(self):
        args = "bench", self.m, "--runs", "3", "--prefill", "20,8", "--decode", "2", "--kernels"
        doc = self.ok(*args, "--json", "--depth", "0,33", "--batch", "2", "--quiet").json()
        key = lambda o: (o["phase"], o["tokens"], o["depth"], o["batch"])
        self.assertEqual([key(p) for p in doc["passes"]],
                         [("prefill", 20, 0, 1), ("decode", 1, 0, 2), ("decode", 1, 33, 2)])
        for p in doc["passes"]:
            rows = [k for k in doc["kernels"] if key(k) == key(p)]
            self.assertEqual(p["runs"], 3)
            self.assertGreater(p["wall_ms"], p["kernels_ms"])
            self.assertEqual(p["phase"] == "decode", "cache" in [k["reads"] for k in rows])
            self.assertAlmostEqual(sum(k["ms"] for k in rows), p["kernels_ms"],
                                   delta=1e-6 * (len(rows) + 1))  # six digits each
            for k in rows:
                self.assertGreater(k["dispatches"], 0)
                self.assertEqual(k["dispatches"] % 1, 0)
                self.assertAlmostEqual(k["us"] * k["dispatches"] / 1000, k["ms"],
                                       delta=1e-6 * (k["dispatches"] + 1))
                self.assertEqual(k["gb_s"] is None, k["reads"] == "")
                if k["reads"] == "cache":  # 2 layers of K, V: 2 heads of 64 (with padding) f16
                    self.assertEqual(k["bytes"], 2 * 2 * 2 * 64 * 2 * (p["depth"] + 1) * p["batch"])
                elif k["reads"]:
                    self.assertRegex(k["kernel"], "^matmul_(wide_)?q8")
                if k["reads"]:
                    self.assertAlmostEqual(k["of_peak"] * doc["peak"]["gb_s"], k["gb_s"],
                                           delta=0.001 + 0.00005 * doc["peak"]["gb_s"])
        table = self.ok(*args).out
        self.assertRegex(table, rb"matmul_(wide_)?q8, 1 token ")
        self.assertLessEqual(max(map(len, table.decode().splitlines())), 80)

    def test_bench_chart(self):
        model = self.model("named.gguf", "type=Q8_0")
        with open(model, "r+b") as f:  # a name that XML does not take as it is
            data = f.read()
            f.seek(data.index(b"tiny", data.index(b"general.name")))
            f.write(b"<&\x07\xff")
        args = "bench", model, "--runs", "2", "--prefill", "8,16", "--decode", "2", "--quiet"
        out = self.path("chart.svg")
        doc = self.ok(*args, "--depth", "0,33", "--batch", "1,2", "--chart", out, "--json").json()
        root = xml.etree.ElementTree.parse(out).getroot()
        svg = "{http://www.w3.org/2000/svg}"
        self.assertEqual(root.tag, svg + "svg")
        figures = [c.find(svg + "title").text for c in root.iter(svg + "circle")
                   if c.get("class") == "figure"]
        words = ["8 tokens", "16 tokens", "empty context", "2 together, empty context",
                 "behind 33", "2 together, behind 33"]
        self.assertEqual(len(figures), len(doc["speeds"]))
        for s, figure, w in zip(doc["speeds"], figures, words):
            got, median = re.match(r"(.*): ([0-9.]+) tokens/s, ", figure).groups()
            self.assertEqual(got, w)
            self.assertAlmostEqual(float(median), s["tok_s"], delta=0.0056)  # 2 and 3 decimals
        texts = [t.text for t in root.iter(svg + "text")]
        self.assertEqual(texts[0][:6], "<& \ufffd, ")
        width = float(root.get("width"))
        for c in root.iter(svg + "circle"):
            self.assertTrue(0 < float(c.get("cx")) < width)
        self.fails("no/such", *args, "--chart", self.path("no/such/chart.svg"))

    # -------------------------------------------------------------------------------- harness

    def test_prompts_only(self):
        data, out = self.path("data"), self.path("prompts.jsonl")
        cli.write_data(data)
        self.ok("eval", "--prompts-only", out, "--data", data,
                "--tasks", "mmlu,gsm8k,gsm8k_cot,humaneval")
        with open(out, encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        self.assertEqual([r["task"] for r in rows],
                         ["mmlu"] * 8 + ["gsm8k"] * 10 + ["gsm8k_cot"] * 10 + ["humaneval"] * 3)
        for r in rows:
            self.assertEqual(set(r) & {"task", "subject", "doc_id", "prompt", "sha256", "target"},
                             {"task", "subject", "doc_id", "prompt", "sha256", "target"})
            self.assertEqual(hashlib.sha256(r["prompt"].encode()).hexdigest(), r["sha256"])
        self.assertTrue(rows[0]["prompt"].startswith(
            "The following are multiple choice questions (with answers) about anatomy.\n\n"))
        self.assertTrue(rows[0]["prompt"].endswith("\nAnswer:"))
        self.ok("eval", "--prompts-only", "/dev/stdout", "--data", data, "--tasks", "mmlu")

    def test_eval(self):
        data, out = self.path("data2"), self.path("ev")
        cli.write_data(data)
        r = self.ok("eval", self.m, "--data", data, "--out", out, "--quiet", "--json", "--tasks",
                    "mmlu,gsm8k,gsm8k_cot,humaneval")
        self.assertEqual(r.err, "")
        doc = r.json()
        with open(os.path.join(out, "results.json"), encoding="utf-8") as f:
            self.assertEqual(doc, json.load(f))
        self.assertEqual((doc["version"], doc["complete"]), (1, True))
        self.assertEqual([(s["task"], s["filter"], s["n"], s["n_total"]) for s in doc["scores"]],
                         [("mmlu", "none", 8, 8), ("gsm8k", "strict-match", 10, 10),
                          ("gsm8k", "flexible-extract", 10, 10),
                          ("gsm8k_cot", "strict-match", 10, 10),
                          ("gsm8k_cot", "flexible-extract", 10, 10),
                          ("humaneval", "create_test", 3, 3)])
        for s in doc["scores"]:
            low, high = s["wilson"]
            self.assertTrue(0 <= low <= s["score"] <= high <= 1, s)
            self.assertEqual(s["score"], s["correct"] / s["n"])
            self.assertEqual(s["set"], "custom")
            self.assertFalse(s["comparable"])
        samples = {os.path.basename(p).split("_20")[0]: p
                   for p in glob.glob(os.path.join(out, "samples_*.jsonl"))}
        self.assertEqual(sorted(samples), ["samples_gsm8k", "samples_gsm8k_cot",
                                           "samples_humaneval", "samples_mmlu"])
        with open(samples["samples_mmlu"], encoding="utf-8") as f:
            self.assertEqual(len({json.loads(line)["doc_id"] for line in f}), 4)
        for text in self.files("ev").values():
            self.assertNotIn(b"NaN", text)
        self.no_leftovers("ev")

    def test_extract(self):
        lines = [{"resp": "It is 5.\n#### 1,234"}, {"resp": "no number"}, {"resp": "so 7 or 8."}]
        stdin = "\n".join(json.dumps(r) for r in lines).encode() + b"\n\n"
        strict = self.ok("extract", "gsm8k/strict-match", stdin=stdin).out.splitlines()
        loose = self.ok("extract", "gsm8k/flexible-extract", stdin=stdin).out.splitlines()
        self.assertEqual([json.loads(s) for s in strict], ["1,234", "[invalid]", "[invalid]"])
        self.assertEqual([json.loads(s) for s in loose], ["1,234", "[invalid]", "8."])
        for bad in b"{", b"[]", b'{"resp": 3}', b'{"other": "x"}':
            self.fails("line 1", "extract", "gsm8k/strict-match", stdin=bad)

    def test_sandbox(self):
        def verdict(program, *options):
            doc = self.ok("sandbox", "-", *options, stdin=program).json()
            for key in "verdict", "tier", "seconds", "reason":
                self.assertIn(key, doc)
            return doc["verdict"]
        self.assertEqual(verdict(b"assert 1 + 1 == 2\n"), "passed")
        self.assertEqual(verdict(b"assert 1 + 1 == 3\n"), "failed")
        self.assertEqual(verdict(b"import sys\nsys.exit(0)\n"), "failed")
        self.assertEqual(verdict(b"while True: pass\n", "--timeout", "0.5"), "timeout")
        self.assertNotEqual(verdict(b"open('/etc/passwd').read()\n"), "passed")
        file = self.path("p.py")
        with open(file, "w", encoding="utf-8") as f:
            f.write("print('hi')\n")
        self.assertEqual(self.ok("sandbox", file).json()["stdout"], "hi\n")
        self.assertRegex(self.ok("sandbox", file, "--text").out, rb"^passed in ")

    # ------------------------------------------------------------------------- plan and report

    def test_plan(self):
        out = self.path("plan")
        args = ["plan", "--level", "advanced", "--goal", "rag", "--hours", "2.25", "--weeks", "3",
                "--name", "Ada \u00c5", "--interests", "history,chess", "--start", "2026-01-05"]
        self.ok(*args, "--out", out)
        self.ok("plan", "--out", self.path("again"), "--learner", os.path.join(out, "learner.json"))
        first, again = self.files("plan"), self.files("again")
        self.assertEqual(sorted(first), ["learner.json", "plan.json", "prompt.txt"])
        self.assertEqual(first, again)
        learner, plan = json.loads(first["learner.json"]), json.loads(first["plan.json"])
        self.assertEqual(learner["name"], "Ada \u00c5")
        self.assertEqual((plan["version"], plan["time"]["total"]), (1, 405))
        self.assertEqual([s["number"] for s in plan["sections"]], list(range(1, 10)))
        self.assertEqual(sum(s["minutes"] for s in plan["sections"]) + plan["time"]["reviews"]
                         + plan["time"]["buffer"], 405)
        pdfs = []
        for name in "a.pdf", "b.pdf":
            r = self.ok("report", "--plan", os.path.join(out, "plan.json"), "--out", self.path(name))
            self.assertEqual(r.out.decode().strip(), self.path(name))
            with open(self.path(name), "rb") as f:
                pdfs.append(f.read())
        self.assertEqual(pdfs[0], pdfs[1])
        self.assertTrue(pdfs[0].startswith(b"%PDF-"))

    # ----------------------------------------------------------------------------- validation

    def test_validation_layer(self):
        r = self.call("run", self.m, "--validate", "-p", "the", "-n", "4")
        if r.status == 1 and "layer" in r.err and "install" in r.err:
            self.skipTest("the Khronos validation layer is not installed")
        self.assertEqual((r.status, r.err), (0, ""), r)
        data = self.path("data3")
        cli.write_data(data)
        r = self.ok("eval", self.m, "--validate", "--quiet", "--data", data, "--out",
                    self.path("ev3"), "--tasks", "mmlu,gsm8k")
        self.assertEqual(r.err, "")

    # -------------------------------------------------------------------------- default model

    @unittest.skipUnless(os.path.exists(DEFAULT_MODEL), "the default model is not in the cache")
    def test_default_model(self):
        env = self.env(XDG_CACHE_HOME=os.path.dirname(os.path.dirname(os.path.dirname(
            DEFAULT_MODEL))))
        hello = self.ok("tokenize", stdin=b"Hello world", env=env).json()
        self.assertEqual(hello, [19556, 905])
        for name in [], ["SmolLM2-135M-Instruct.Q4_1"], ["SmolLM2-135M-Instruct.Q4_1.gguf"], \
                [DEFAULT_MODEL]:
            self.assertEqual(self.ok("tokenize", *name, stdin=b"Hello world", env=env).json(), hello)
        r = self.ok("run", "--chat", "-p", "What is the capital of France?", "-n", "24",
                    "--greedy", "--quiet", env=env)
        self.assertIn(b"Paris", r.out)


if __name__ == "__main__":
    cli.main()
