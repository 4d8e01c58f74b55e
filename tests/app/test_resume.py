"""eval and study stopped in the middle: what was there is whole, --resume ends where a run ends."""
import glob
import json
import os
import signal

import cli


class Resume(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.m = cls.model("m.gguf", "ctx=4096", "embd=128", "layers=4", "type=Q8_0")
        cls.data = cls.path("data")
        cli.write_data(cls.data)

    def eval_args(self, out, *more):
        return ["eval", self.m, "--data", self.data, "--tasks", "mmlu,gsm8k,humaneval", "--quiet",
                "--out", self.path(out), *more]

    def answers(self, out):
        """Every answer of a folder's samples by task, document and filter, without its times."""
        got = {}
        for path in glob.glob(self.path(out, "samples_*.jsonl")):
            task = os.path.basename(path).split("_20")[0]
            with open(path, encoding="utf-8") as f:
                for line in f.read().splitlines():
                    s = json.loads(line)
                    key = (task, s.get("subject"), s["doc_hash"], s.get("filter"))
                    value = {k: s[k] for k in ("target", "resps", "filtered_resps", "acc",
                                               "exact_match", "pass@1") if k in s}
                    self.assertEqual(got.setdefault(key, value), value, "answered twice")
        return got

    def scores(self, out):
        with open(self.path(out, "results.json"), encoding="utf-8") as f:
            doc = json.load(f)
        return doc["complete"], [(s["task"], s["filter"], s["n"], s["n_total"], s["correct"])
                                 for s in doc["scores"]]

    def lines(self, out):
        n = 0
        for path in glob.glob(self.path(out, "samples_*.jsonl")):
            with open(path, "rb") as f:
                n += f.read().count(b"\n")
        return n

    def whole_run(self):
        if not os.path.exists(self.path("whole")):
            self.ok(*self.eval_args("whole"))
        return self.scores("whole"), self.answers("whole")

    def cut_and_resume(self, out, sig, cuts):
        """Stops at each number of sample lines, resumes, and must end where a whole run ends."""
        more, seen = [], 0
        for lines in cuts:
            p = self.start(*self.eval_args(out, *more))
            r = self.interrupt(p, lambda n=max(lines, seen + 1): self.lines(out) >= n, sig)
            if sig == signal.SIGINT:
                self.stopped(r)
                if os.path.exists(self.path(out, "results.json")):
                    self.assertIn("--resume", r.err)
                self.no_leftovers(out)
            else:
                self.assertEqual(r.status, -sig)
            if os.path.exists(self.path(out, "results.json")):
                complete, _ = self.scores(out)
                self.assertFalse(complete)
            self.assertGreaterEqual(self.lines(out), seen)  # nothing lost
            seen = self.lines(out)
            more = ["--resume"]
        r = self.ok(*self.eval_args(out, "--resume"))
        scores, answers = self.whole_run()
        self.assertEqual(self.scores(out), scores)
        self.assertEqual(self.answers(out), answers)
        self.assertEqual([f for f in self.files(out) if f.startswith("results_")], [],
                         "it began anew instead")
        self.ok(*self.eval_args(out, "--resume"))  # nothing left to do
        self.assertEqual(self.scores(out), scores)
        self.assertEqual(self.answers(out), answers)

    def test_eval(self):
        self.cut_and_resume("c", signal.SIGINT, (1, 6, 11))

    def test_eval_killed(self):
        self.cut_and_resume("k", signal.SIGKILL, (1, 9))

    def test_eval_half_a_line(self):
        """What a kill in the middle of a write leaves."""
        self.whole_run()
        out = self.path("half")
        p = self.start(*self.eval_args("half"))
        self.interrupt(p, lambda: self.lines("half") >= 10, signal.SIGKILL)
        for path in glob.glob(os.path.join(out, "samples_gsm8k*.jsonl")):
            with open(path, "r+b") as f:
                data = f.read()
                f.truncate(max(0, len(data) - 20))
        self.ok(*self.eval_args("half", "--resume"))
        self.assertEqual(self.scores("half"), self.whole_run()[0])

    def test_again_keeps_the_old(self):
        self.ok("eval", self.m, "--data", self.data, "--tasks", "mmlu", "--quiet", "--out",
                self.path("two"))
        old = self.files("two")
        p = self.start("eval", self.m, "--data", self.data, "--tasks", "mmlu", "--quiet", "--out",
                       self.path("two"))
        self.interrupt(p, lambda: self.lines("two") > 8, signal.SIGKILL)
        new = self.files("two").values()
        for data in old.values():
            self.assertIn(data, new)

    # --------------------------------------------------------------------------------- study

    def test_study(self):
        out = self.path("st")
        args = ["study", self.m, "--data", self.data, "--tasks", "mmlu,gsm8k", "--limit", "3",
                "--quiet", "--out", out]
        p = self.start(*args)  # while it measures
        self.stopped(self.interrupt(p, lambda: os.path.isdir(out)))
        self.assertEqual([f for f in self.files("st") if f.endswith((".pdf", "plan.json"))], [])
        p = self.start(*args, "--resume")
        r = self.interrupt(p, lambda: self.lines("st") >= 3)
        self.stopped(r)
        self.assertIn("study --resume --out " + out, r.err)
        hardware = self.files("st")["hardware.json"]
        kept = self.lines("st")
        self.ok(*args, "--resume")
        done = self.files("st")
        self.assertEqual(done["hardware.json"], hardware)
        self.assertGreater(self.lines("st"), kept)
        self.assertTrue(self.scores("st")[0])
        for name in "plan.json", "plan.pdf", "prompt.txt", "learner.json":
            self.assertIn(name, done)
        self.no_leftovers("st")


if __name__ == "__main__":
    cli.main()
