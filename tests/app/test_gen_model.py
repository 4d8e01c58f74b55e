"""gen_model, the maker of random models, as a user sees it."""
import os
import subprocess

import cli

TOOL = os.path.join(os.path.dirname(cli.MAKER), "gen_model")


class GenModel(cli.Case):
    def gen(self, *args, status=0):
        r = subprocess.run([TOOL, *args], cwd=self.dir, capture_output=True, timeout=60)
        err = r.stderr.decode()
        self.assertEqual(r.returncode, status, err)
        if status:
            self.assertEqual(err.count("\n"), 1, err)
            self.assertTrue(err.startswith("gen_model: "), err)
        return err

    def types(self, name):
        found = self.ok("inspect", self.path(name), "--json").json()
        return {t["name"]: t["type"] for t in found["tensors"]}, found

    def test_shape(self):
        self.gen("--shape", "smollm2-135m", "--layers", "2", "--mix", "Q4_K_M", "--vocab", "400",
                 "--ctx", "256", "--out", "a.gguf")
        types, found = self.types("a.gguf")
        values = {m["key"]: m["value"] for m in found["metadata"]}
        self.assertEqual(values["llama.embedding_length"], 576)
        self.assertEqual(values["llama.context_length"], 256)
        self.assertEqual(values["llama.attention.head_count_kv"], 3)
        self.assertEqual(values["llama.rope.freq_base"], 100000)
        self.assertEqual(values["general.name"], "SmolLM2 135M")
        # Rows of 576 are not whole blocks of 256: Q4_K is Q5_0; down's rows of 1,536 are.
        self.assertEqual(types["blk.0.attn_q.weight"], "Q5_0")
        self.assertEqual(types["blk.0.ffn_down.weight"], "Q4_K")
        self.assertEqual(types["blk.1.ffn_down.weight"], "Q6_K")
        self.assertNotIn("output.weight", types)
        self.ok("run", "a.gguf", "-p", "the thing", "-n", "2", "--quiet")

    def test_dims(self):
        self.gen("--pure", "Q8_0", "--n-embd", "64", "--n-heads", "4", "--n-kv-heads", "2",
                 "--head-dim", "32", "--n-ff", "96", "--rope-scaling", "yarn", "--rope-factor",
                 "4", "--rope-orig-ctx", "64", "--seed", "7", "--quiet", "--out", "b.gguf")
        _, found = self.types("b.gguf")
        values = {m["key"]: m["value"] for m in found["metadata"]}
        self.assertEqual(values["llama.rope.scaling.type"], "yarn")
        self.assertEqual(values["llama.rope.scaling.original_context_length"], 64)
        self.assertEqual(values["llama.attention.key_length"], 32)
        self.gen("--lora", "b.gguf", "--rank", "4", "--targets", "attn_q", "--out", "l.gguf")
        types, found = self.types("l.gguf")
        self.assertEqual(sorted(types), ["blk.%d.attn_q.weight.lora_%s" % (i, h)
                                         for i in (0, 1) for h in "ab"])

    def test_interrupt(self):
        process = subprocess.Popen([TOOL, "--shape", "llama-3.2-1b", "--mix", "F16", "--out",
                                    "big.gguf"], cwd=self.dir, stderr=subprocess.PIPE)
        growing = lambda: any(f.startswith("big.gguf.tmp") for f in os.listdir(self.dir))
        r = self.interrupt(process, growing)
        self.assertEqual(r.status, 130, r)
        self.assertEqual([f for f in os.listdir(self.dir) if f.startswith("big")], [])

    def test_misuse(self):
        for args in (["--mix", "Q4_K"], ["--mix", "Q4_0", "--shape", "llama-9"],
                     ["--pure", "Q9"], ["--pure", "F32", "--n-embd", "x"],
                     ["--pure", "F32", "--layers", "0"], ["--bogus"], ["stray"], [],
                     ["--pure", "F32", "--rope-scaling", "ntk"]):
            with self.subTest(args):
                r = subprocess.run([TOOL, "--out", "c.gguf", *args], cwd=self.dir,
                                   capture_output=True, timeout=60)
                self.assertIn(r.returncode, (1, 2))
                self.assertTrue(r.stderr.startswith(b"gen_model: "), r.stderr)
        self.gen("--lora", "missing.gguf", "--out", "c.gguf", status=1)
        self.gen("--pure", "F32", "--out", "no/such/c.gguf", status=1)
        self.assertFalse(os.path.exists(self.path("c.gguf")))


if __name__ == "__main__":
    cli.main()
