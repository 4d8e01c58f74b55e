"""^C and kill in the middle: the process is soon gone, what was there is whole, --resume goes on."""
import glob
import json
import os
import pty
import select
import signal
import time

import cli

PROMPT = "the thing and the other " * 8


class Interrupt(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.slow = cls.model("slow.gguf", "ctx=16384", "embd=512", "heads=8", "layers=8", "ff=1024",
                             "type=Q8_0", "template=" + cli.CHATML)
        cls.m = cls.model("m.gguf", "ctx=4096", "embd=128", "layers=4", "type=Q8_0")
        cls.data = cls.path("data")
        cli.write_data(cls.data)

    def stopped(self, r):
        """130 and a sentence."""
        self.assertEqual(r.status, 130, r)
        lines = r.err.splitlines()
        self.assertTrue(lines and lines[-1].startswith("lectern: stopped by ^C"), r)
        self.assertLessEqual(len(lines), 1, r)

    # -------------------------------------------------------------------- without saved work

    def test_loading(self):
        """At many moments of the load; before main has run a signal may still kill."""
        for k in range(8):
            p = self.start("run", self.slow, "-p", "x", "-n", "16000", "--ctx", "16384",
                           "--ignore-eos", "--quiet")
            end = time.monotonic() + 0.02 + 0.06 * k
            r = self.interrupt(p, lambda t=end: time.monotonic() > t, ready=False)
            if r.status != -signal.SIGINT:
                self.stopped(r)

    def test_run(self):
        for more in [], ["--json"]:
            p = self.start("run", self.slow, "-p", PROMPT, "-n", "16000", "--ctx", "16384",
                           "--ignore-eos", "--quiet", *more)
            if more:
                time.sleep(2)
                r = self.interrupt(p, lambda: True)
                self.assertEqual(r.out, b"")
            else:
                first = p.stdout.read(5)
                self.assertEqual(len(first), 5)
                r = self.interrupt(p, lambda: True)
            self.stopped(r)

    def test_long_prefill(self):
        p = self.start("run", self.slow, "-p", PROMPT * 60, "-n", "1", "--ctx", "16384",
                       "--quiet")
        time.sleep(1.5)
        self.stopped(self.interrupt(p, lambda: True))

    def test_waiting_for_input(self):
        for args in ["run", self.m], ["tokenize", self.m], ["extract", "gsm8k/strict-match"], \
                ["sandbox", "-"], ["chat", self.slow], ["perplexity", self.m, "-"]:
            r, w = os.pipe()
            p = self.start(*args, stdin=r)
            os.close(r)
            time.sleep(0.6)
            self.stopped(self.interrupt(p, lambda: True))
            os.close(w)

    def test_bench_and_devices(self):
        for args in ["bench", self.slow, "--runs", "100", "--quiet"], \
                ["devices", self.slow, "--measure", "--out", self.path("h.json"), "--quiet"]:
            p = self.start(*args)
            time.sleep(1.0)
            r = self.interrupt(p, lambda: True)
            self.stopped(r)
            self.assertEqual(r.out, b"")
        self.assertFalse(os.path.exists(self.path("h.json")))

    def test_sandbox(self):
        p = self.start("sandbox", "-", "--timeout", "60", stdin=cli.subprocess.PIPE)
        p.stdin.write(b"while True: pass\n")
        p.stdin.close()
        p.stdin = None
        time.sleep(1.0)
        r = self.interrupt(p, lambda: True)
        self.assertEqual(r.status, 130, r)
        self.assertEqual(self.children_of_nobody(), [])

    @staticmethod
    def children_of_nobody():
        """Python programs of a sandbox that outlived it: they wait in a folder lectern-..."""
        left = []
        for status in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(status, "rb") as f:
                    words = f.read()
            except OSError:
                continue
            if b"while True: pass" in words:
                left.append(status)
        return left

    def test_twice(self):
        """A second ^C does not wait for anything."""
        p = self.start("run", self.slow, "-p", PROMPT * 60, "-n", "1", "--ctx", "16384", "--quiet")
        time.sleep(1.0)
        p.send_signal(signal.SIGINT)
        p.send_signal(signal.SIGINT)
        self.interrupt(p, lambda: True, ready=False)
        self.assertIn(p.returncode, (-signal.SIGINT, 130))

    def test_sigterm(self):
        p = self.start("run", self.slow, "-p", "x", "-n", "16000", "--ctx", "16384",
                       "--ignore-eos", "--quiet")
        p.stdout.read(3)
        r = self.interrupt(p, lambda: True, signal.SIGTERM)
        self.assertEqual(r.status, 130, r)

    # ------------------------------------------------------------------------------ a terminal

    def until(self, fd, wanted, seconds=60):
        """Reads a terminal until the bytes come."""
        got, end = b"", time.monotonic() + seconds
        while wanted not in got:
            self.assertLess(time.monotonic(), end, got[-500:])
            if select.select([fd], [], [], 0.1)[0]:
                try:
                    data = os.read(fd, 65536)
                except OSError:  # the other side is closed
                    data = b""
                self.assertNotEqual(data, b"", got[-500:])
                got += data
        return got

    def test_chat_in_a_terminal(self):
        """^C ends an answer and not the conversation; ^D ends that."""
        try:
            pid, fd = pty.fork()
        except OSError as e:  # a bare chroot has no /dev/pts
            self.skipTest("no terminal can be made here: %s" % e)
        if pid == 0:
            try:
                os.execve(cli.BINARY, ["lectern", "chat", self.slow, "-n", "16000", "--ctx", "16384",
                                       "--greedy", "--quiet"], self.env(TERM="dumb"))
            finally:
                os._exit(99)
        try:
            self.until(fd, b"> ")
            os.write(fd, b"hello\n")
            self.until(fd, b"hello")
            time.sleep(0.7)
            os.write(fd, b"\x03")
            self.until(fd, b"\n> ")
            time.sleep(0.5)  # until the line is being read
            os.write(fd, b"not sent\x03")  # while typing
            self.until(fd, b"ends the conversation")
            os.write(fd, b"/stats\n")
            self.until(fd, b"tokens read in")
            os.write(fd, b"\x04")
            end = time.monotonic() + cli.DEADLINE_S
            while True:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    break
                self.assertLess(time.monotonic(), end, "^D did not end the conversation")
                if select.select([fd], [], [], 0.05)[0]:
                    try:
                        os.read(fd, 65536)
                    except OSError:
                        pass
            pid = 0
            self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        finally:
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os.close(fd)

    # ------------------------------------------------------------------------------- harness

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
