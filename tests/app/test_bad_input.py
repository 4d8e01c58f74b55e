"""Bad files, bad devices, no room: one sentence on stderr, status 1, nothing lost, no crash."""
import glob
import json
import os
import random
import resource
import signal
import struct
import subprocess
import threading
import unittest

import cli

WITH_MODEL = {  # a command that only needs a model, with the rest of what it wants
    "run": ["-p", "x", "-n", "2"],
    "chat": [],
    "logits": ["--tokens", "1"],
    "bench": ["--runs", "1", "--prefill", "4", "--decode", "2"],
    "devices": ["--json"],
    "eval": ["--tasks", "gsm8k", "--limit", "1", "--out", "made"],
    "study": ["--tasks", "gsm8k", "--limit", "1", "--out", "made"],
}


def string(s):
    return struct.pack("<Q", len(s)) + s.encode()


def kv_string(key, value):
    return string(key) + struct.pack("<I", 8) + string(value)


def header(n_tensors, n_kvs, version=3, magic=b"GGUF"):
    return magic + struct.pack("<IQQ", version, n_tensors, n_kvs)


class BadModels(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.model("good.gguf", "ctx=256", "type=Q4_0")
        with open(cls.good, "rb") as f:
            cls.bytes = f.read()

    def put(self, data, name="bad.gguf"):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def refused(self, part, model, commands=("tokenize", "inspect", "run")):
        for name in commands:
            r = self.fails(part, name, model, *WITH_MODEL.get(name, []), stdin=b"x")
            self.assertEqual(r.out, b"", r)

    def test_not_there(self):
        for name, more in {**WITH_MODEL, "tokenize": []}.items():
            self.fails("none.gguf", name, "./none.gguf", *more)
            r = self.fails("no model of that name", name, "none.gguf", *more)
            self.assertIn("none.gguf", r.err)
            if name != "devices":  # alone it only lists them
                r = self.fails("default model", name, *more)
                self.assertIn("setup.sh", r.err)
        self.fails("default model", "devices", "--measure")
        self.assertFalse(os.path.exists(self.path("made")))

    def test_not_a_file(self):
        os.mkfifo(self.path("fifo"))
        for name in (*WITH_MODEL, "tokenize"):
            more = WITH_MODEL.get(name, [])
            self.fails("not a regular file", name, self.dir, *more)
            self.fails("not a regular file", name, self.path("fifo"), *more)
        self.fails("not a regular file", "tokenize", "/dev/zero")
        self.fails("", "tokenize", "./" + "x" * 300)
        self.fails("longer than", "tokenize", "./" + "x/" * 4000)

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_not_allowed(self):
        path = self.put(self.bytes, "secret.gguf")
        os.chmod(path, 0)
        self.refused("Permission denied", path)

    def test_wrong_bytes(self):
        self.refused("empty", self.put(b""))
        self.refused("cut short", self.put(b"GGU"))
        for junk in b"GGML" + self.bytes[4:], b"PK\x03\x04" * 9, b"\0" * 64, \
                b"FUGG" + self.bytes[4:]:
            self.refused("is not a GGUF file", self.put(junk))
        self.refused("big-endian", self.put(b"GGUF\0\0\0\3" + self.bytes[8:]))
        for version in 0, 1, 4, 0xffffffff:
            self.refused("version", self.put(b"GGUF" + struct.pack("<I", version)
                                             + self.bytes[8:]))

    def test_absurd_sizes(self):
        huge = (1 << 64) - 1
        for data in (header(huge, 0), header(0, huge), header(1 << 40, 1 << 40),
                     header(0, 1) + struct.pack("<Q", huge),
                     header(0, 1) + struct.pack("<Q", 1 << 40) + b"key",
                     header(0, 1) + string("k") + struct.pack("<I", 8) + struct.pack("<Q", huge),
                     header(0, 1) + string("k") + struct.pack("<IIQ", 9, 4, huge),
                     header(0, 1) + string("k") + struct.pack("<IIQ", 9, 9, 1 << 60),
                     header(0, 1) + string("k") + struct.pack("<I", 99)):
            self.refused("bad.gguf", self.put(data))
        name = struct.pack("<Q", 17) + b"token_embd.weight"
        at = self.bytes.index(name) + len(name)
        for field, value in ((at, struct.pack("<I", 9)),                  # dimensions
                             (at, struct.pack("<I", 0)),
                             (at + 4, struct.pack("<Q", huge)),           # a row
                             (at + 4, struct.pack("<QQ", 1 << 33, 1 << 33)),
                             (at + 4, struct.pack("<Q", 0)),
                             (at + 20, struct.pack("<I", 4)),             # a type that is gone
                             (at + 20, struct.pack("<I", 250)),
                             (at + 20, struct.pack("<I", 0xffffffff)),
                             (at + 24, struct.pack("<Q", huge)),          # where it is
                             (at + 24, struct.pack("<Q", 1 << 50)),
                             (at + 24, struct.pack("<Q", 1))):
            data = bytearray(self.bytes)
            data[field:field + len(value)] = value
            self.refused("", self.put(bytes(data)), ("run",))

    def test_hyperparameters(self):
        """Each number of the header set to what no model has."""
        keys = ["block_count", "embedding_length", "feed_forward_length", "attention.head_count",
                "attention.head_count_kv", "rope.dimension_count", "context_length"]
        for key in keys:
            name = string("llama." + key)
            at = self.bytes.index(name) + len(name) + 4
            for value in 0, 1, 3, 0x7fffffff, 0xffffffff:
                data = bytearray(self.bytes)
                data[at:at + 4] = struct.pack("<I", value)
                r = self.call("run", self.put(bytes(data)), "-p", "x", "-n", "1", "--quiet")
                if r.status != 0:
                    self.assertEqual(r.status, 1, (key, value, str(r)))
                    self.assert_sentence(r, "")
                elif value == 0 or key == "embedding_length":
                    self.fail("%s = %d was taken" % (key, value))

    def test_cut_anywhere(self):
        """Every length near the front and the seams, a sample of the rest; C tests do all."""
        end = len(self.bytes)
        random.seed(3)
        cuts = {*range(0, 100), *random.sample(range(end), 60), end - 1, end - 32, end // 2}
        for n in sorted(cuts):
            path = self.put(self.bytes[:n])
            r = self.call("run", path, "-p", "x", "-n", "1")
            self.assertEqual(r.status, 1, "%d of %d bytes: %s" % (n, end, r))
            self.assert_sentence(r, "bad.gguf")

    def test_any_byte_changed(self):
        random.seed(4)
        for _ in range(60):
            data = bytearray(self.bytes)
            for _ in range(random.choice((1, 1, 4))):
                data[random.randrange(min(len(data), 12000))] = random.randrange(256)
            r = self.call("run", self.put(bytes(data)), "-p", "x", "-n", "1", "--quiet")
            self.assertIn(r.status, (0, 1), r)
            if r.status:
                self.assert_sentence(r, "")

    def test_other_architecture(self):
        self.refused("qwen2", self.model("qwen.gguf", "arch=qwen2"), ("run", "logits", "eval"))
        self.refused("architecture", self.put(header(0, 1) + kv_string("a", "b")), ("run",))

    def test_vocabulary_only(self):
        vocab = self.model("vocab.gguf", "vocab-only=1")
        self.ok("tokenize", vocab, stdin=b"the")
        self.refused("vocab", vocab, ("run", "logits", "bench", "eval", "study"))

    def test_prompts(self):
        self.fails("empty", "run", self.good, stdin=b"")
        self.fails("empty", "run", self.good, "-p", "")
        self.fails("larger --ctx", "run", self.good, "-p", "x" * 1000)
        self.fails("--ctx", "run", self.good, "-p", "x", "-n", "900", "--ignore-eos", "--quiet")
        self.fails("320", "logits", self.good, "--tokens", "1,320")
        self.fails("320", "run", self.good, "--tokens", "2147483647")


class Devices(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.model("good.gguf", "ctx=256")

    def test_no_device(self):
        env = self.env(VK_ICD_FILENAMES="/nonexistent.json", VK_DRIVER_FILES="/nonexistent.json")
        for name, more in WITH_MODEL.items():
            r = self.fails("Vulkan", name, self.good, *more, env=env)
            self.assertIn("mesa-vulkan-drivers", r.err)
        self.fails("Vulkan", "devices", env=env)
        self.ok("tokenize", self.good, stdin=b"x", env=env)  # needs none
        self.ok("plan", "--out", self.path("p"), env=env)

    def test_other_device(self):
        for d in "99", "GeForce 256", "-1":
            self.fails("lectern devices", "run", self.good, "-p", "x", "--device", d)
        self.misused("--device needs", "run", self.good, "--device", "")
        name = self.ok("devices", "--json").json()
        name = (name if isinstance(name, list) else name["devices"])[0]["name"]
        for d in "0", name, name[2:8].upper():
            self.ok("run", self.good, "-p", "x", "-n", "1", "--device", d)

    def test_no_folders(self):
        env = self.env(XDG_CACHE_HOME=None, HOME=None)
        self.fails("HOME", "run", "-p", "x", env=env)
        self.ok("run", self.good, "-p", "x", "-n", "1", env=env)
        self.ok("tokenize", os.path.basename(self.good), stdin=b"x", env=env)
        env = self.env(XDG_CACHE_HOME="relative", HOME=self.dir)
        self.assertIn(self.dir + "/.cache", self.fails("default", "run", "-p", "x", env=env).err)


class Memory(cli.Case):
    def test_context_too_large(self):
        m = self.model("m.gguf", "ctx=256", "embd=512", "heads=8", "layers=4", "ff=64")
        r = self.ok("run", m, "-p", "x", "-n", "1", "--ctx", "1048576", "--max-vram", "64M")
        self.assertRegex(r.err, r"The context is \d+ positions, so that the model fits")
        self.fails("smaller model", "run", m, "-p", "x", "--max-vram", "1M")

    def test_little_address_space(self):
        """A sentence or a success, wherever the allocation is that fails.

        Mesa's software device itself dies of SIGSEGV or SIGABRT when vkCreateDevice or its
        compiler finds no memory; that happens at some limits and is not ours to mend.
        """
        m = self.model("big.gguf", "ctx=2048", "embd=512", "heads=8", "layers=4", "ff=2048")
        env = self.env(MALLOC_ARENA_MAX="1")
        ends = {}
        for mib in (60, 100, 150, 200, *range(320, 480, 10), 4000):
            def limit(size=mib << 20):
                resource.setrlimit(resource.RLIMIT_AS, (size, size))
            r = self.call("run", m, "-p", "x", "-n", "1", "--quiet", limits=limit, env=env)
            ends[mib] = r.status
            if r.status == 1:
                self.assert_sentence(r, "")
        ended = list(ends.values())
        driver = [s for s in ended if s in (-signal.SIGSEGV, -signal.SIGABRT)]
        # 127: the loader had no room for the libraries
        self.assertEqual([s for s in ended if s not in (0, 1, 127, *driver)], [], ends)
        self.assertEqual((ends[4000], 1 in ended), (0, True), ends)


class NoRoom(cli.Case):
    """/dev/full for what is printed; for files a limit on their size, as a full disk gives."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.m = cls.model("m.gguf", "ctx=2048", "template=" + cli.CHATML)
        cls.data = cls.path("data")
        cli.write_data(cls.data)

    def test_stdout(self):
        plan = self.path("plan")
        self.ok("plan", "--out", plan)
        harness = ["--data", self.data, "--tasks", "mmlu", "--quiet", "--out"]
        calls = [["tokenize", self.m], ["run", self.m, "-p", "x", "-n", "4", "--quiet"],
                 ["run", self.m, "-p", "x", "-n", "4", "--json"],
                 ["logits", self.m, "--tokens", "1,2"], ["devices"], ["devices", "--json"],
                 ["bench", self.m, "--runs", "1", "--prefill", "4", "--decode", "2", "--quiet"],
                 ["extract", "gsm8k/strict-match"], ["sandbox", "-"], ["--version"], ["--help"],
                 ["eval", self.m, *harness, self.path("e1")],
                 ["eval", self.m, "--json", *harness, self.path("e2")],
                 ["eval", "--tasks", "mmlu", "--data", self.data, "--prompts-only", "/dev/full"],
                 ["plan", "--out", plan],
                 ["report", "--plan", plan + "/plan.json", "--out", self.path("p.pdf")],
                 ["chat", self.m, "-n", "4", "--greedy", "--quiet"],
                 ["perplexity", self.m, "-", "--quiet"], ["perplexity", self.m, "-", "--json"],
                 ["inspect", self.m], ["inspect", self.m, "--json"],
                 *([name, "--help"] for name in cli.COMMANDS)]
        stdin = {"extract": b'{"resp": "#### 1"}', "chat": b"hi\n", "perplexity": b"the thing"}
        for args in calls:
            with open("/dev/full", "wb") as full:
                r = self.call(*args, stdin=stdin.get(args[0], b"pass"), stdout=full)
            self.assertEqual(r.status, 1, r)
            self.assert_sentence(r, "No space left on device")

    def test_closed_stdout(self):
        """A reader that goes away: an error soon, not a death and not a run to the end."""
        m = self.model("long.gguf", "ctx=65536", "embd=256", "layers=4")
        p = self.start("run", m, "-p", "the", "-n", "60000", "--ctx", "65536", "--ignore-eos",
                       "--quiet")
        p.stdout.read(10)
        p.stdout.close()
        self.assertEqual(p.wait(20), 1)
        err = p.stderr.read().decode()
        p.stderr.close()
        self.assertIn("Broken pipe", err)
        self.assertEqual(len(err.splitlines()), 1)

    @staticmethod
    def limited(size):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        return limit

    def no_room(self, sizes, out, *args):
        """Fails cleanly at each size, over nothing and over an older whole result."""
        for size in sizes:
            before = self.files(out) if os.path.exists(self.path(out)) else {}
            r = self.call(*args, limits=self.limited(size))
            self.assertEqual(r.status, 1, "%d bytes: %s" % (size, r))
            self.assert_sentence(r, "")
            if "became shorter or unreadable" in r.err:
                self.skipTest("the driver keeps device memory in files, which the limit stops too")
            self.assertRegex(r.err, "File too large|No space|" + out)
            after = self.files(out) if os.path.exists(self.path(out)) else {}
            self.assertEqual([f for f in after if ".tmp" in f], [])
            for name, data in after.items():
                if name.endswith(".json"):
                    json.loads(data)
                if name.endswith(".pdf"):
                    self.assertIn(b"%%EOF", data[-16:])
            yield size, before, after

    def test_plan_and_report(self):
        for _, before, after in self.no_room((0, 60, 3000, 50000), "p1", "plan", "--out",
                                             self.path("p1")):
            self.assertNotIn("plan.json", after)
        self.ok("plan", "--out", self.path("p1"))
        old = self.files("p1")["plan.json"]
        for _, before, after in self.no_room((0, 3000, 50000), "p1", "plan", "--level", "advanced",
                                             "--out", self.path("p1")):
            self.assertEqual(after["plan.json"], old)
        os.mkdir(self.path("r"))
        report = ["report", "--plan", self.path("p1", "plan.json"), "--out",
                  self.path("r", "plan.pdf")]
        for _, before, after in self.no_room((0, 1000, 200000), "r", *report):
            self.assertEqual(after, {})
        self.ok(*report)
        old = self.files("r")
        for _, before, after in self.no_room((0, 1000, 200000), "r", *report):
            self.assertEqual(after, old)

    def test_eval(self):
        args = ["eval", self.m, "--data", self.data, "--tasks", "mmlu,gsm8k", "--quiet", "--out",
                self.path("ev")]
        for _ in self.no_room((0, 1000, 4000), "ev", *args):
            pass
        self.ok(*args)
        good = self.files("ev")["results.json"]
        names = set(self.files("ev"))
        for _, before, after in self.no_room((0, 4000), "ev", *args):
            kept = [v for k, v in after.items() if k.startswith("results")]
            self.assertIn(good, kept)  # set aside under another name, or still in its place
            self.assertLessEqual(names - {"results.json"}, set(after))
        prompts = ["eval", "--tasks", "mmlu", "--data", self.data, "--prompts-only",
                   self.path("pr", "x.jsonl")]
        os.mkdir(self.path("pr"))
        for _, before, after in self.no_room((0, 500), "pr", *prompts):
            self.assertEqual(after, {})

    def test_study(self):
        args = ["study", self.m, "--data", self.data, "--tasks", "mmlu", "--limit", "2", "--quiet",
                "--out", self.path("st")]
        for _, before, after in self.no_room((0, 3000, 100000, 300000), "st", *args):
            self.assertNotIn("plan.pdf", after)
        self.ok(*args)
        old = self.files("st")
        for _, before, after in self.no_room((0, 100000), "st", *args):
            self.assertEqual(after["plan.pdf"], old["plan.pdf"])

    def test_devices(self):
        os.mkdir(self.path("hw"))
        args = ["devices", self.m, "--quiet", "--out", self.path("hw", "h.json")]
        for _, before, after in self.no_room((0, 2000), "hw", *args):
            self.assertEqual(after, {})

    @unittest.skipUnless(os.geteuid() == 0, "a tiny file system needs root")
    def test_full_file_system(self):
        full = self.path("full")
        os.mkdir(full)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", full],
                          stderr=subprocess.DEVNULL, check=False).returncode:
            self.skipTest("no file system can be mounted here")
        try:
            self.fails("No space left", "plan", "--out", full + "/p")
            r = self.call("study", self.m, "--data", self.data, "--tasks", "mmlu", "--limit", "1",
                          "--quiet", "--out", full + "/s")
            self.assertEqual(r.status, 1, r)
            self.assert_sentence(r, "No space left")
            for f in glob.glob(full + "/**/*.json", recursive=True):
                with open(f, encoding="utf-8") as h:
                    json.load(h)
            self.no_leftovers("full")
        finally:
            subprocess.run(["umount", "-l", full], check=True)


class OtherFiles(cli.Case):
    def put(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def test_plan_inputs(self):
        out = self.path("p")
        for option in "--results", "--hardware", "--learner":
            for text in "", "{", "[]", "null", "{}", '{"version": 99}', '{"version": "1"}', "\0":
                r = self.call("plan", "--out", out, option, self.put("in.json", text))
                self.assertEqual(r.status, 1, (option, text, str(r)))
                self.assert_sentence(r, ".json")
            self.fails("none.json", "plan", "--out", out, option, self.path("none.json"))
            self.fails("", "plan", "--out", out, option, self.dir)
        self.assertFalse(os.path.exists(self.path("p", "plan.json")))
        self.put("file", "x")
        self.fails("file", "plan", "--out", self.path("file"))
        self.fails("file", "plan", "--out", self.path("file", "below"))

    def test_report_inputs(self):
        pdf = self.path("x.pdf")
        for text in "", "{", "[]", "{}", '{"version": 1}', '{"version": 99}':
            self.fails("plan.json", "report", "--plan", self.put("plan.json", text), "--out", pdf)
        self.fails("plan.json", "report", cwd=self.make_empty())
        self.ok("plan", "--out", self.path("q"))
        plan = self.path("q", "plan.json")
        self.fails("none", "report", "--plan", plan, "--out", self.path("none", "x.pdf"))
        self.fails("", "report", "--plan", plan, "--out", self.dir)
        self.assertFalse(os.path.exists(pdf))

    def make_empty(self):
        os.makedirs(self.path("empty"), exist_ok=True)
        return self.path("empty")

    def test_data_folders(self):
        m = self.model("m.gguf", "ctx=1024")
        self.fails("", "eval", m, "--data", self.path("none"), "--tasks", "mmlu", "--out",
                   self.path("e"))
        for task in "mmlu", "gsm8k", "humaneval":
            self.fails("", "eval", "--data", self.make_empty(), "--tasks", task, "--prompts-only",
                       self.path("x"))
        self.assertFalse(os.path.exists(self.path("x")))
        data = self.path("data")
        for name in ("gsm8k/test.jsonl", "humaneval/HumanEval.jsonl", "mmlu/test/anatomy_test.csv",
                     "mmlu/dev/anatomy_dev.csv"):
            for text in "", "{\n", "[]\n", '{"question": 3}\n', "a,b\n", '"open\n', "\0\0\n":
                cli.write_data(data)
                with open(os.path.join(data, name), "w", encoding="utf-8") as f:
                    f.write(text)
                r = self.call("eval", "--data", data, "--tasks", name.split("/")[0],
                              "--prompts-only", self.path("x"))
                self.assertEqual(r.status, 1, (name, text, str(r)))
                self.assert_sentence(r, "")

    def test_resume_of_nonsense(self):
        m = self.model("m.gguf", "ctx=1024")
        data = self.path("data2")
        cli.write_data(data)
        args = ["eval", m, "--data", data, "--tasks", "mmlu", "--resume", "--quiet", "--out"]
        for k, text in enumerate(("", "{", "{}", '{"version": 1}', '{"version": 9}', "[]")):
            out = self.path("e%d" % k)
            os.mkdir(out)
            with open(out + "/results.json", "w", encoding="utf-8") as f:
                f.write(text)
            self.fails("results.json", *args, out)
            with open(out + "/results.json", encoding="utf-8") as f:
                self.assertEqual(f.read(), text)
        out = self.path("e")
        self.ok(*args, out)
        other = self.model("other.gguf", "ctx=1024", "seed=9")
        before = self.files("e")
        self.fails("", args[0], other, *args[2:], out)  # another model's answers are not mixed in
        self.assertEqual(self.files("e"), before)

    def test_programs(self):
        self.fails("none.py", "sandbox", self.path("none.py"))
        self.fails("", "sandbox", self.dir)
        self.fails("", "sandbox", "-", "--python", "/nonexistent", stdin=b"pass")
        self.assertEqual(self.ok("sandbox", "-", stdin=b"\0\xff(").json()["verdict"], "failed")


class Hang(cli.Case):
    def test_fifo_as_input_can_be_stopped(self):
        os.mkfifo(self.path("fifo"))
        p = self.start("report", "--plan", self.path("fifo"))
        threading.Event().wait(0.3)
        r = self.interrupt(p, lambda: True)
        self.assertEqual(r.status, 130, r)


if __name__ == "__main__":
    cli.main()
