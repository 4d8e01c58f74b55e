"""Where a model lies: --plan, --max-vram, several devices, and what is said of it."""
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import cli  # noqa: E402

SHAPE = ("ctx=256", "embd=512", "heads=8", "layers=8", "ff=1024", "type=Q4_0")


class Layout(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.m = cls.model("m.gguf", *SHAPE)

    def plan(self, *args):
        return self.ok("run", self.m, "--plan=json", *args).json()

    def test_json_adds_up(self):
        whole = self.plan()
        d = whole["devices"][0]
        parts = ("weight_bytes", "stream_bytes", "adapter_bytes", "kv_bytes", "scratch_bytes")
        self.assertEqual(sum(d[k] for k in parts), d["total_bytes"])
        self.assertEqual((d["n_layers"], d["n_resident"], d["stream_bytes"]), (8, 8, 0))
        self.assertLess(d["total_bytes"], d["budget_bytes"])
        self.assertGreater(whole["token_s"], 0)
        less = self.plan("--max-vram", str(d["total_bytes"] - 1))
        self.assertTrue(less["smaller_batch"])
        self.assertLess(less["devices"][0]["total_bytes"], d["total_bytes"])
        q8 = self.plan("--kv", "q8_0")["devices"][0]
        self.assertLess(q8["kv_bytes"], d["kv_bytes"] * 0.6)

    def test_streamed(self):
        few = str(self.plan("--batch", "16")["devices"][0]["total_bytes"] * 7 // 10)
        small = ("--batch", "16", "--max-vram", few)
        d = self.plan(*small)["devices"][0]
        self.assertLess(d["n_resident"], 8)
        self.assertGreater(d["streamed_file_bytes"], 0)
        self.assertLessEqual(d["total_bytes"], int(few))
        table = self.ok("run", self.m, "--plan", *small).out.decode()
        self.assertIn("are streamed", table)
        self.assertEqual([x for x in table.splitlines() if len(x) > 80], [])
        run = ("run", self.m, "-p", "hello", "-n", "8", "--greedy", "--json")
        want = self.ok(*run, "--batch", "16")
        got = self.ok(*run, *small)
        self.assertEqual(got.json()["ids"], want.json()["ids"])
        self.assertRegex(got.err, r"\d of 8 layers do not fit: .* read from the file for every")
        self.assertEqual([x for x in got.err.splitlines() if len(x) > 80], [])
        self.assertEqual(self.ok(*run, *small, "--quiet").err, "")

    def test_two_devices(self):
        two = self.plan("--device", "0,0", "--max-vram", "300M,100M")["devices"]
        self.assertEqual([d["n_layers"] for d in two], [6, 2])
        self.assertEqual([d["first_layer"] for d in two], [0, 6])
        run = ("run", self.m, "-p", "hello", "-n", "8", "--greedy", "--json")
        self.assertEqual(self.ok(*run, "--device", "0,0").json()["ids"],
                         self.ok(*run).json()["ids"])

    def test_wrong(self):
        for size in ("", "x", "4Q", "4GB", "-1", "0", "1G,", ",", "1,1,1,1,1,1,1,1,1", "nan"):
            self.misused("--max-vram", "run", self.m, "-p", "x", "--max-vram", size)
        self.misused("--plan=json", "run", self.m, "--plan=table")
        self.fails("devices", "run", self.m, "-p", "x", "--device", "0,0,0,0,0,0,0,0,0")
        self.fails("layers", "run", self.model("one.gguf", "layers=1"), "-p", "x", "--device",
                   "0,0")


if __name__ == "__main__":
    cli.main()
