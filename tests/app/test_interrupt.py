"""^C in the middle: the process is soon gone with status 130 and a sentence, nothing is left."""
import glob
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
        cls.m = cls.model("m.gguf")

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
            end = time.monotonic() + cli.DEADLINE_S
            again = 0
            while True:
                if time.monotonic() > again:  # lost when it comes before the line is being read
                    os.write(fd, b"\x04")
                    again = time.monotonic() + 1
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


if __name__ == "__main__":
    cli.main()
