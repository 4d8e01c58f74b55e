"""draw_growth, which draws what tools/growth.sh measures."""
import os
import subprocess
import xml.etree.ElementTree

import cli

TOOL = os.path.join(os.path.dirname(cli.MAKER), "draw_growth")
SVG = "{http://www.w3.org/2000/svg}"
CAPTION = "caption\ta <device> & its driver\n"
FIGURES = [("context", "f16", x, 20 + x / 100) for x in (0, 512, 8192)] + \
          [("context", "q8_0", x, 30 + x / 100) for x in (0, 8192)] + \
          [("model", "Q4", x, x / 1e7) for x in (134515008, 1100048384, 8030261248)] + \
          [("batch", "135M", x, 20 / x) for x in (1, 2, 16)]
LIMITS = [("model", "weights", x, x / 2e7) for x in (134515008, 8030261248)]


def lines():
    return [CAPTION] + ["figure\t%s\t%s\t%d\t%.4g\t%.4g\t%.4g\n" % (p, s, x, ms, ms * .9, ms * 1.2)
                        for p, s, x, ms in FIGURES] + \
           ["limit\t%s\t%s\t%d\t%.4g\n" % row for row in LIMITS]


class Growth(cli.Case):
    def draw(self, text, out="g.svg", status=0):
        with open(self.path("g.tsv"), "w", encoding="utf-8") as f:
            f.write(text)
        r = subprocess.run([TOOL, "g.tsv", out], cwd=self.dir, capture_output=True, timeout=60)
        self.assertEqual(r.returncode, status, r.stderr)
        return r.stderr.decode()

    def test_chart(self):
        self.draw("".join(lines()))
        root = xml.etree.ElementTree.parse(self.path("g.svg")).getroot()
        figures = [c for c in root.iter(SVG + "circle") if c.get("class") == "figure"]
        self.assertEqual(len(figures), len(FIGURES))
        texts = [t.text for t in root.iter(SVG + "text")]
        for words in "f16", "q8_0", "Q4", "135M", "weights", "a <device> & its driver", "8,000", \
                "positions before the token", "1 B", "16":
            self.assertIn(words, texts)
        self.assertEqual(texts.count("not measured"), 1)  # threads
        self.assertEqual(texts.count("ms a token"), 3)
        # Inside the picture; a panel's larger figures are further right and, as they grow, higher.
        for c in figures:
            self.assertTrue(0 < float(c.get("cx")) < float(root.get("width")))
            self.assertTrue(0 < float(c.get("cy")) < float(root.get("height")))
        at = {c.find(SVG + "title").text.split(":")[0]: (float(c.get("cx")), float(c.get("cy")))
              for c in figures}
        small, large = at["Q4, 135 M parameters"], at["Q4, 8.03 B parameters"]
        self.assertTrue(small[0] < large[0] and small[1] > large[1])
        # 20 and 101.9 ms on an axis from 0: the heights are as the figures.
        zero = max(float(x.get("y1")) for x in root.iter(SVG + "line")
                   if x.get("y1") == x.get("y2") and float(x.get("y1")) < 350)
        first, last = (zero - at["f16, %s positions before the token" % x][1] for x in ("0", "8,192"))
        self.assertAlmostEqual(last / first, 101.92 / 20, delta=0.1)  # pixels have one decimal

    def test_wrong_lines(self):
        good = lines()
        for bad in ("figure\tspace\ts\t1\t1\t1\t1", "figure\tbatch\ts\t1\t1\t1", "x", "limit\tbatch\ts\t1",
                    "figure\tbatch\ts\t1\t2\t3\t4", "figure\tbatch\ts\tx\t1\t1\t1", "caption",
                    "figure\tmodel\ts\t0\t1\t1\t1", "figure\tbatch\ts\t1\t0\t0\t0",
                    "figure\tbatch\ts\t1\tnan\tnan\tnan", "figure\tbatch\ts\t1\t1\t1\t1\t1"):
            err = self.draw("".join(good[:3] + [bad + "\n"] + good[3:]), "bad.svg", 1)
            self.assertIn("line 4 is not understood", err, bad)
        self.assertIn("no figures", self.draw(CAPTION, "bad.svg", 1))
        self.assertIn("no/such", self.draw("".join(good), "no/such/g.svg", 1))
        self.assertFalse(os.path.exists(self.path("bad.svg")))


if __name__ == "__main__":
    cli.main()
