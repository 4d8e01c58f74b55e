"""The main job, end to end: the model, this machine, the bundled sets, a PDF that reads back."""
import json
import os
import shutil
import subprocess

import cli

WANTED = ["hardware.json", "results.json", "plan.json", "prompt.txt", "plan.pdf", "learner.json"]


class Study(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.m = cls.model("m.gguf", "ctx=4096", "type=Q4_1", "kv=2")

    def doc(self, *names):
        with open(self.path(*names), encoding="utf-8") as f:
            return json.load(f)

    def test_bundled(self):
        out = self.path("st")
        r = self.ok("study", self.m, "--limit", "1", "--out", out, "--level", "intermediate",
                    "--goal", "evaluate", "--hours", "3", "--weeks", "4", "--name", "Zo\u00eb \u0141",
                    "--start", "2026-03-02")
        files = self.files("st")
        for name in WANTED:
            self.assertIn(name, files, r)
        self.no_leftovers("st")
        for step in range(1, 5):
            self.assertIn("[%d/4] " % step, r.err)
        self.assertIn("st/plan.pdf", r.out.decode())
        self.assertIn("not comparable", " ".join(r.out.decode().split()))

        results = self.doc("st", "results.json")
        self.assertTrue(results["complete"])
        self.assertEqual([(s["task"], s["n"], s["set"]) for s in results["scores"]],
                         [("mmlu", 57, "bundled"), ("gsm8k", 1, "bundled"), ("gsm8k", 1, "bundled"),
                          ("humaneval", 1, "bundled")])
        self.assertEqual(results["model"]["path"], self.m)
        hardware, plan = self.doc("st", "hardware.json"), self.doc("st", "plan.json")
        self.assertGreater(hardware["measured"]["prefill_tok_s"], 0)
        self.assertEqual(plan["time"]["total"], 720)
        self.assertEqual(len(plan["sections"]), 9)
        self.assertEqual({s["task"] for s in plan["evidence"]["scores"]},
                         {"mmlu", "gsm8k", "humaneval"})
        self.read_back(self.path("st", "plan.pdf"), plan)
        self.same_bytes(out)

    def read_back(self, pdf, plan):
        if shutil.which("qpdf"):
            subprocess.run(["qpdf", "--check", pdf], check=True, stdout=subprocess.DEVNULL)
        if not shutil.which("pdftotext"):
            print("pdftotext is not installed: the PDF's text was not looked at")
            return
        text = subprocess.run(["pdftotext", pdf, "-"], check=True, capture_output=True).stdout
        words = " ".join(text.decode("utf-8").split())
        self.assertIn("Zo\u00eb \u0141", words)
        for section in plan["sections"]:
            self.assertIn(section["title"], words)

    def same_bytes(self, study):
        """plan and report on the study's files give the study's plan, and the same PDF twice."""
        pdfs = []
        for name in "one", "two":
            out = self.path(name)
            self.ok("plan", "--results", study + "/results.json", "--hardware",
                    study + "/hardware.json", "--learner", study + "/learner.json", "--out", out)
            self.ok("report", "--plan", out + "/plan.json", "--out", out + "/plan.pdf")
            files = self.files(name)
            pdfs.append(files["plan.pdf"])
            self.assertEqual(files["plan.json"], self.files("st")["plan.json"])
            self.assertEqual(files["prompt.txt"], self.files("st")["prompt.txt"])
        self.assertEqual(pdfs[0], pdfs[1])
        self.assertEqual(pdfs[0], self.files("st")["plan.pdf"])

    def test_minutes(self):
        """A time budget that holds only some items: it says which."""
        r = self.ok("study", self.m, "--minutes", "0.1", "--tasks", "gsm8k", "--quiet", "--out",
                    self.path("short"))
        self.assertEqual(r.err, "")
        score = self.doc("short", "results.json")["scores"][0]
        self.assertTrue(0 < score["n"] <= 40, score)
        self.assertTrue(score["subset"])
        self.assertTrue(os.path.getsize(self.path("short", "plan.pdf")) > 10000)

    def test_default_folder(self):
        where = self.path("cwd")
        os.mkdir(where)
        cli.write_data(where + "/data")
        self.ok("study", self.m, "--limit", "1", "--tasks", "humaneval", "--data", "data",
                "--quiet", cwd=where)
        self.assertLessEqual(set(WANTED), set(self.files("cwd", "lectern-plan")))

    def counts(self, *names):
        return [(s["task"], s["n"]) for s in self.doc(*names, "results.json")["scores"]]

    def test_default_items(self):
        """Without an option: as many items of each task as help says."""
        r = self.ok("study", self.m, "--tasks", "mmlu,gsm8k", "--out", self.path("fixed"))
        self.assertIn("Scoring mmlu=114,gsm8k=32\n", r.err)
        self.assertEqual(self.counts("fixed"), [("mmlu", 114), ("gsm8k", 32), ("gsm8k", 32)])
        self.assertIn("humaneval=32", self.ok("study", "--help").out.decode())

    def test_slow_machine(self):
        """Where the usual items would take too long there is a time limit instead, and it says
        so; a study that goes on decides as it did before."""
        out = self.path("slow")
        data = self.path("data")
        cli.write_data(data)
        args = ["study", self.m, "--tasks", "humaneval", "--data", data, "--out", out]
        self.ok(*args)
        hardware = self.doc("slow", "hardware.json")
        hardware["measured"]["prefill_tok_s"] = 10
        hardware["measured"]["decode_tok_s"] = 3
        shutil.rmtree(out)
        os.mkdir(out)
        with open(out + "/hardware.json", "w", encoding="utf-8") as f:
            json.dump(hardware, f)
        for _ in range(2):
            r = self.ok(*args, "--resume")  # 32 * (140 / 10 + 100 / 3) seconds
            self.assertIn("about 25 minutes here: what fits in 15", r.err)
            self.assertIn("Scoring humaneval for 15 minutes", r.err)
            self.assertEqual(self.counts("slow"), [("humaneval", 3)])
            self.assertEqual(self.doc("slow", "results.json")["run"]["minutes"], 15)


if __name__ == "__main__":
    cli.main()
