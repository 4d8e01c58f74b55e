"""What the tests of the command line share.

A test program is called with three arguments: the binary, the model maker, the source tree.
Every command runs with an environment of its own: an empty cache folder, no Lectern settings.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BINARY, MAKER, SOURCE = (os.path.abspath(p) for p in sys.argv[1:4])
COMMANDS = ["study", "devices", "run", "chat", "bench", "eval", "plan", "report", "tokenize",
            "logits", "extract", "sandbox", "inspect", "perplexity"]
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
          "message['content'] + '<|im_end|>\\n'}}{% endfor %}")
DEFAULT_MODEL = os.path.join(os.environ.get("XDG_CACHE_HOME")
                             or os.path.join(os.environ.get("HOME", "/"), ".cache"),
                             "lectern/models/SmolLM2-135M-Instruct.Q4_1.gguf")
DEADLINE_S = 120


class Result:
    def __init__(self, args, status, out, err):
        self.args, self.status, self.out, self.err = args, status, out, err.decode("utf-8")

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return "lectern %s: status %d\nstdout: %r\nstderr: %s" % (
            " ".join(self.args), self.status, self.out[:400], self.err)


class Case(unittest.TestCase):
    """Adds a temporary folder, self.dir, and the ways to call the binary."""

    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="lectern-cli-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.dir, *names)

    @classmethod
    def model(cls, name, *settings):
        """A small seeded model, made once; keys as in make_tiny_gguf.c."""
        path = cls.path(name)
        if not os.path.exists(path):
            subprocess.run([MAKER, path, *settings], check=True)
        return path

    @classmethod
    def env(cls, **more):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("LECTERN_", "VK_INSTANCE_LAYERS", "SOURCE_DATE_EPOCH"))}
        env["XDG_CACHE_HOME"] = cls.path("cache")
        # Mesa would compile the kernels anew for every process in an empty cache folder.
        env.setdefault("MESA_SHADER_CACHE_DIR", os.path.join(tempfile.gettempdir(),
                                                             "lectern-test-mesa"))
        for key, value in more.items():
            env.pop(key, None)
            if value is not None:
                env[key] = value
        return env

    def start(self, *args, env=None, cwd=None, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([BINARY, *args], env=env or self.env(), cwd=cwd or self.dir, **kw)

    def call(self, *args, stdin=b"", env=None, cwd=None, stdout=subprocess.PIPE, limits=None):
        run = subprocess.run([BINARY, *args], input=stdin, stdout=stdout, stderr=subprocess.PIPE,
                             env=env or self.env(), cwd=cwd or self.dir, timeout=DEADLINE_S,
                             preexec_fn=limits)
        return Result(args, run.returncode, run.stdout or b"", run.stderr)

    def ok(self, *args, **kw):
        r = self.call(*args, **kw)
        self.assertEqual(r.status, 0, r)
        return r

    def assert_sentence(self, r, part):
        """One line on stderr that begins with the program's name and holds `part`."""
        lines = r.err.splitlines()
        self.assertEqual(len(lines), 1, r)
        self.assertRegex(lines[0], r"^lectern: \S.{8,}", r)
        self.assertIn(part, lines[0], r)
        self.assertNotIn("Success", lines[0], r)  # an errno that was lost

    def fails(self, part, *args, **kw):
        r = self.call(*args, **kw)
        self.assertEqual(r.status, 1, r)
        self.assert_sentence(r, part)
        return r

    def misused(self, part, *args, **kw):
        r = self.call(*args, **kw)
        self.assertEqual(r.status, 2, r)
        self.assertEqual(r.out, b"", r)
        lines = r.err.splitlines()
        self.assertEqual(len(lines), 2, r)
        name = "lectern " + args[0] if args[0] in COMMANDS else "lectern"
        self.assertTrue(lines[0].startswith(name + ": "), r)
        self.assertIn(part, lines[0], r)
        self.assertEqual(lines[1], "try: %s --help" % name, r)
        return r

    def stopped(self, r):
        """^C: status 130 and one sentence."""
        self.assertEqual(r.status, 130, r)
        lines = r.err.splitlines()
        self.assertTrue(lines and lines[-1].startswith("lectern: stopped by ^C"), r)
        self.assertLessEqual(len(lines), 1, r)

    def files(self, *names):
        """Every file below a folder, with its bytes."""
        found = {}
        for folder, _, files in os.walk(self.path(*names)):
            for f in files:
                with open(os.path.join(folder, f), "rb") as h:
                    found[os.path.relpath(os.path.join(folder, f), self.path(*names))] = h.read()
        return found

    def no_leftovers(self, *names):
        left = [f for f in self.files(*names) if ".tmp" in f]
        self.assertEqual(left, [])

    @staticmethod
    def listens(process, sig):
        """True once the process has a handler for sig: before, a signal would kill it."""
        try:
            with open("/proc/%d/status" % process.pid, encoding="ascii") as f:
                caught = [line for line in f if line.startswith("SigCgt:")]
        except OSError:
            return True  # gone, or no /proc: poll() tells
        return bool(int(caught[0].split()[1], 16) >> (sig - 1) & 1)

    def interrupt(self, process, condition, sig=signal.SIGINT, ready=True):
        """Sends sig once condition() holds (and, if ready, the process listens for it). The process
        must be gone before the deadline, which only a hang reaches. Returns its Result."""
        end = time.monotonic() + DEADLINE_S
        ready = ready and sig != signal.SIGKILL
        while not (condition() and (not ready or self.listens(process, sig))):
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                out, err = process.communicate()
                self.fail("it ended or hung before it could be stopped: %d %r %s" % (
                    process.returncode, out[:300], err.decode()))
            time.sleep(0.005)
        process.send_signal(sig)
        out, err = process.communicate(timeout=DEADLINE_S)
        return Result(process.args[1:], process.returncode, out or b"", err or b"")


def write_data(folder):
    """A small set in the official layout: two mmlu subjects, gsm8k, humaneval."""
    def put(name, text):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    for s, subject in enumerate(["anatomy", "astronomy"]):
        row = "Which is %d?,%d,%d,%d,%d,%s\n"
        for part, n in ("dev", 5), ("test", 4):
            rows = [row % (i, *[(i + k + s) % 7 for k in range(4)], "ABCD"[(i + s) % 4])
                    for i in range(n)]
            put("mmlu/%s/%s_%s.csv" % (part, subject, part), "".join(rows))
    sums = [json.dumps({"question": "What is %d plus %d?" % (i, i),
                        "answer": "It is %d.\n#### %d" % (2 * i, 2 * i)}) for i in range(12)]
    put("gsm8k/train.jsonl", "\n".join(sums[:8]) + "\n")
    put("gsm8k/test.jsonl", "\n".join(sums[2:]) + "\n")
    put("humaneval/HumanEval.jsonl", "".join(json.dumps(
        {"task_id": "HumanEval/%d" % i, "prompt": "def f(x):\n    \"\"\"add %d\"\"\"\n" % i,
         "canonical_solution": "    return x + %d\n" % i, "entry_point": "f",
         "test": "def check(candidate):\n    assert candidate(1) == %d\n" % (1 + i)}) + "\n"
        for i in range(3)))


def main():
    if not os.path.exists(BINARY):
        sys.exit("there is no %s" % BINARY)
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=1)
