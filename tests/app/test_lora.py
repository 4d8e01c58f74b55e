"""--lora FILE[:SCALE]: what it does to the logits, how its value is read, what is refused."""
import json
import random
import struct
import unittest

import cli

U32, F32, STRING = 4, 6, 8  # value types of GGUF


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def write_adapter(path, n_in, n_out, rank, seed, alpha=None, name="output.weight"):
    """An adapter of one tensor, rows as in A [rank][n_in] and B [n_out][rank]."""
    rng = random.Random(seed)
    keys = [("general.type", "adapter"), ("general.architecture", "llama"),
            ("adapter.type", "lora")]
    body = b"".join(text(k) + struct.pack("<I", STRING) + text(v) for k, v in keys)
    if alpha is not None:
        body += text("adapter.lora.alpha") + struct.pack("<If", F32, alpha)
    infos, data = b"", b""
    for half, row, rows in ("a", n_in, rank), ("b", rank, n_out):
        infos += text("%s.lora_%s" % (name, half))
        infos += struct.pack("<IQQIQ", 2, row, rows, 0, len(data))
        n = row * rows
        data += struct.pack("<%df" % n, *(rng.uniform(-.5, .5) for _ in range(n)))
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, len(keys) + (alpha is not None)) + body + infos
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32) + data)


class Lora(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.m = cls.model("m.gguf")
        cls.a, cls.b = cls.path("a.gguf"), cls.path("b:2.gguf")
        write_adapter(cls.a, 64, 320, 5, 1)
        write_adapter(cls.b, 64, 320, 3, 2, alpha=6)

    def logits(self, *adapters):
        options = [w for a in adapters for w in ("--lora", a)]
        return self.ok("logits", self.m, "--tokens", "5,9,11", *options).json()["logits"]

    def near(self, got, want):
        # The sums of A (64) and B (rank) in f32, and the printed and subtracted logits, all of
        # them below 8: 100 roundings of 2^-24 * 8.
        for g, w in zip(got, want):
            self.assertLess(abs(g - w), 100 * 8 * 2**-24)

    def change(self, *adapters):
        return [x - y for x, y in zip(self.logits(*adapters), self.plain)]

    def test_scales(self):
        """On the output matrix an adapter is linear in its scale, and adapters add up."""
        self.plain = self.logits()
        self.assertEqual(self.logits(self.a + ":0"), self.plain)
        a, b = self.change(self.a), self.change(self.b + ":1")
        self.assertGreater(max(map(abs, a)), 0.1)
        self.assertGreater(max(map(abs, b)), 0.1)
        self.assertEqual(self.change(self.a + ":1"), a)
        self.near(self.change(self.a + ":2"), [2 * x for x in a])
        self.near(self.change(self.a + ":-.5e0"), [-x / 2 for x in a])
        self.near(self.change(self.a, self.b + ":0.5"), [x + y / 2 for x, y in zip(a, b)])
        # A colon in a name, and no scale behind it.
        self.assertEqual(self.change(self.b), b)
        # alpha 6 of rank 3 is 2: the same matrices without alpha take scale 2 for that.
        bare = self.path("bare.gguf")
        write_adapter(bare, 64, 320, 3, 2)
        self.near(self.change(bare + ":2"), b)

    def test_misused(self):
        for name in "run", "logits", "bench", "eval", "perplexity":
            for scale in "x", "", "nan", "inf", "1e7", "1x", " ":
                self.misused("--lora FILE:SCALE", name, "--lora", self.a + ":" + scale)
            self.misused("--lora needs a file", name, "--lora", "")
            self.misused("--lora needs a file", name, "--lora", ":1")
            self.misused("--lora needs a value", name, "--lora")
            self.misused("at most 8 times", name, *["--lora", self.a] * 9)
        self.misused("too long", "run", "--lora", "x" * 2000)

    def test_refused(self):
        tokens = "--tokens", "1"
        self.fails("none.gguf", "logits", self.m, *tokens, "--lora", self.path("none.gguf"))
        self.fails("none:x", "logits", self.m, *tokens, "--lora", "none:x")
        self.fails("is not an adapter", "logits", self.m, *tokens, "--lora", self.m)
        wide = self.path("wide.gguf")
        write_adapter(wide, 96, 320, 4, 3)
        self.fails("rows of 96, the model's have 64", "logits", self.m, *tokens, "--lora", self.a,
                   "--lora", wide + ":0.5")
        tied = self.model("tied.gguf", "tied=1")
        self.fails("adapts no matrix", "logits", tied, *tokens, "--lora", self.a)

    def test_inspect(self):
        out = self.ok("inspect", self.a).out
        for part in b"adapter.type", b"output.weight.lora_a", b"output.weight.lora_b":
            self.assertIn(part, out)
        doc = self.ok("inspect", self.b, "--json").json()
        self.assertEqual([t["shape"] for t in doc["tensors"]], [[64, 3], [3, 320]])

    def test_eval(self):
        """The record of a run names its adapters, and --resume wants the same ones."""
        model, data = self.model("e.gguf", "ctx=4096"), self.path("data")
        cli.write_data(data)

        def args(out, *more):
            return ["eval", model, "--data", data, "--tasks", "mmlu", "--limit", "1", "--quiet",
                    "--out", self.path(out), *more]
        self.ok(*args("e", "--lora", self.a, "--lora", self.b + ":-0.25"))
        with open(self.path("e", "results.json"), encoding="utf-8") as f:
            doc = json.load(f)
        adapters = "%s:1,%s:-0.25" % (self.a, self.b)
        self.assertEqual(doc["model"]["adapters"], adapters)
        self.assertEqual(doc["run"]["adapters"], adapters)
        self.fails("another list of adapters", *args("e", "--resume"))
        self.fails("another list of adapters", *args("e", "--resume", "--lora", self.a))
        self.ok(*args("e", "--resume", "--lora", self.a, "--lora", self.b + ":-0.25"))
        self.ok(*args("plain"))
        with open(self.path("plain", "results.json"), encoding="utf-8") as f:
            self.assertNotIn("adapters", json.load(f)["model"])

    def test_bench(self):
        out = self.ok("bench", self.m, "--prefill", "0", "--decode", "2", "--runs", "1", "--lora",
                      self.a).out
        self.assertIn(b"\nadapters 1, ", out)
        args = "bench", self.m, "--json", "--prefill", "0", "--decode", "2", "--runs", "1"
        doc = self.ok(*args, "--lora", self.a, "--lora", self.b + ":-0.5").json()
        self.assertEqual(doc["model"]["adapters"], "%s:1,%s:-0.5" % (self.a, self.b))
        # A and B in F32, rows and columns padded to 32, of ranks 5 and 3: one or two matrices
        self.assertGreaterEqual(doc["memory"]["lora_bytes"], (32 * 64 + 320 * 32) * 4)
        doc = self.ok(*args).json()
        self.assertNotIn("adapters", doc["model"])
        self.assertEqual(doc["memory"]["lora_bytes"], 0)


if __name__ == "__main__":
    cli.main()
