"""How a user asks: help, version, wrong options, wrong values."""
import cli
from cli import COMMANDS

WITH_MODEL = ["study", "devices", "run", "chat", "bench", "eval", "logits"]  # at most that one


class Usage(cli.Case):
    def test_help(self):
        for name in COMMANDS:
            for option in "--help", "-h":
                r = self.ok(name, option)
                self.assertEqual(r.err, "")
                text = r.out.decode()
                self.assertTrue(text.startswith("usage: lectern %s" % name), r)
                wide = [line for line in text.splitlines() if len(line) > 80]
                self.assertEqual(wide, [], name)
                self.assertNotIn("\t", text)
                self.assertNotIn("\n\n\n", text)

    def test_help_of_all(self):
        text = self.ok("--help").out
        self.assertEqual(self.ok("help").out, text)
        self.assertEqual(self.ok("-h").out, text)
        for name in COMMANDS:
            self.assertIn(b"\n  %-10s " % name.encode(), text)
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 80)
        self.assertRegex(self.ok("--version").out, rb"^lectern \d+\.\d+\.\d+\n$")

    def test_no_command(self):
        r = self.call()
        self.assertEqual(r.status, 2)
        self.assertEqual(r.out, b"")
        self.assertIn("usage: lectern COMMAND", r.err)

    def test_wrong_command(self):
        for name in "bogus", "--bogus", "Run", "":
            self.misused("there is no command '%s'" % name, name)

    def test_wrong_option(self):
        for name in COMMANDS:
            for option in "--bogus", "-Z", "--bogus=1":
                self.misused(option.split("=")[0], name, option)

    def test_missing_value(self):
        for name in WITH_MODEL:
            self.misused("--device needs a value", name, "--device")
        for name, option in ("run", "-p"), ("run", "-n"), ("run", "--prompt"), ("chat", "-n"), \
                ("plan", "--out"), ("plan", "--level"), ("report", "--plan"), \
                ("eval", "--tasks"), ("study", "--out"), ("sandbox", "--timeout"):
            self.misused(option + " needs a value", name, option)

    def test_value_not_wanted(self):
        for name in WITH_MODEL:
            self.misused("--validate takes no value", name, "--validate=1")
        self.misused("--kernels takes no value", "bench", "--kernels=1")
        self.misused("--special takes no value", "tokenize", "--special=yes")

    def test_one_too_many(self):
        for name in WITH_MODEL + ["tokenize", "inspect"]:
            self.misused("'b.gguf'", name, "a.gguf", "b.gguf")
        self.misused("'c'", "perplexity", "a.gguf", "b", "c")
        self.misused("FILE is missing", "inspect")
        self.misused("TEXTFILE is missing", "perplexity")
        for name in "plan", "report":
            self.misused("'stray'", name, "stray")
        self.misused("name one filter", "extract", "gsm8k/strict-match", "stray")

    def test_wrong_values(self):
        for name in WITH_MODEL:
            for option, values in {
                    "--ctx": ["0", "-5", "1e3", "12x", "", "99999999999999999999", "31"],
                    "--batch": ["0", "many", "9000"],
                    "--tier": ["4", "-1", "", "two"],
                    "--disable": ["", "fp32", "texel,", ",texel", "int-dot,x"],
                    "--kv": ["f8", "", "F16", "q8", "q8_0 "]}.items():
                for v in values:
                    self.misused(option, name, option, v)
        for option, values in {
                "--temp": ["-1", "11", "nan", "inf", "warm", ""],
                "--top-p": ["1.5", "-0.1"], "--min-p": ["2"], "--top-k": ["-1", "x"],
                "--seed": ["-1", "x", "4294967296"], "-n": ["0", "-1", "x"]}.items():
            for v in values:
                for name in "run", "chat":
                    self.misused(option, name, option, v)
        for name in "run", "logits":
            for v in "", ",", "1,", ",1", "1,,2", "a", "1;2", "-1", "1,99999999999", "1 2":
                self.misused("--tokens", name, "--tokens", v)
        self.misused("--tokens", "run", "--tokens", "1", "-p", "x")
        self.misused("--tokens is missing", "logits")
        for option, values in {"--runs": ["0", "x"], "--prefill": ["", "1,", "x", "0,1"],
                               "--depth": ["", "-1", "1,", "x", "131073", "0," * 8 + "0"],
                               "--batch": ["", "0", "1,0", "257", "1," * 8 + "1"],
                               "--n-batch": ["0", "9000", "1,2"], "--decode": ["-1"]}.items():
            for v in values:
                self.misused(option, "bench", option, v)
        self.misused("--chart needs a file", "bench", "--chart", "")
        self.misused("--chart needs a value", "bench", "--chart")
        self.misused("nothing to measure", "bench", "--prefill", "0", "--decode", "0")

    def test_wrong_values_of_the_harness(self):
        for name in "eval", "study":
            for v in "0", "-1", "x", "1.5":
                self.misused("--limit", name, "--limit", v)
            for v in "0", "-1", "x", "nan":
                self.misused("--minutes", name, "--minutes", v)
            for v in "", "bogus", "mmlu,bogus", "mmlu,mmlu", "mmlu,":
                self.misused("", name, "--tasks", v)
            for v in "", "0", "x", "mmlu", "mmlu=0", "bogus=1", "mmlu=1,mmlu=2":
                self.misused("--items", name, "--items", v)
            self.misused("exclude each other", name, "--limit", "1", "--minutes", "1")
            self.misused("exclude each other", name, "--items", "1", "--minutes", "1")
            self.misused("exclude each other", name, "--items", "1", "--limit", "1")
        for v in "0", "17", "x":
            self.misused("--seqs", "eval", "--seqs", v)
        for v in "gsm8k", "gsm8k/", "/strict-match", "mmlu/bogus", "":
            self.misused("there is no filter '%s'" % v, "extract", v)
        for v in "0", "-1", "601", "x":
            self.misused("--timeout", "sandbox", "--timeout", v, "x.py")
        self.misused("which program", "sandbox")
        self.misused("'bogus'", "sandbox", "--tier", "bogus", "x.py")

    def test_wrong_learner(self):
        for option, values in {
                "--level": ["expert", ""], "--goal": ["fame", ""],
                "--hours": ["0", "41", "x", "1.1"], "--weeks": ["0", "53", "1.5"],
                "--start": ["tomorrow", "2026-02-30", "2026-1-1"],
                "--interests": ["a,b,c,d,e,f,g,h,i"]}.items():
            for v in values:
                self.misused(option, "plan", "--out", self.path("p"), option, v)
                self.misused(option, "study", "--out", self.path("p"), option, v)
        self.misused("--out", "plan")
        self.assertEqual(self.files(), {})  # nothing was made


if __name__ == "__main__":
    cli.main()
