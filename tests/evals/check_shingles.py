#!/usr/bin/env python3
"""Finds bundled evaluation items that share wording with published ones.

    check_shingles.py OURS... --against PUBLISHED...
    check_shingles.py     the bundled sets against ../shared/data/official, where that is present

Each path is a file or a folder that is searched for *.csv and *.jsonl. A CSV row is an MMLU item
(question, A, B, C, D, letter); a JSON line is a GSM8K item ("question") or a HumanEval item
("prompt"). A JSON line that has a "completion" and neither of the two is a candidate program, not
an item: it is passed over.

A text is lower-cased and cut into words (runs of letters and digits; punctuation goes). Eight words
in a row are a shingle. An item of ours is reported when
  - its question or one of its options shares a shingle with the question or an option of a
    published item, or
  - its question is shorter than a shingle and equal, word for word, to a published question.
Not counted, since they carry no wording: import lines of programs, and shingles made of nothing but
numbers and single letters ("1 2 3 4 5 6 7 8" in a doctest).

Exit status: 0 nothing shared, 1 something shared (each case printed), 2 a path that cannot be read.
"""
import csv
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "evals" / "data"
OFFICIAL = ROOT.parent / "shared" / "data" / "official"
SIZE = 8
WORD = re.compile(r"[^\W_]+")
IMPORT = re.compile(r"^(from\s+\S+\s+import|import)\s.*$", re.MULTILINE)


class Unreadable(Exception):
    """A path or a line that does not hold what it should; the text says which."""


def words(text):
    # An apostrophe joins ("don't" is one word, however it is typed); other punctuation separates.
    return WORD.findall(re.sub(r"['\u2019]", "", IMPORT.sub(" ", text).lower()))


def shingles(tokens):
    for i in range(len(tokens) - SIZE + 1):
        piece = tokens[i:i + SIZE]
        if any(len(w) > 1 and not w.isdigit() for w in piece):
            yield " ".join(piece)


def csv_items(path):
    with open(path, newline="", encoding="utf-8") as f:
        for n, row in enumerate(csv.reader(f), 1):
            if len(row) != 6:
                raise Unreadable(f"{path}: row {n} has {len(row)} columns instead of 6.")
            yield f"{path} row {n}", row[0], row[1:5]


def jsonl_items(path):
    with open(path, encoding="utf-8") as f:
        for n, line in enumerate(f, 1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
            except ValueError as e:
                raise Unreadable(f"{path}: line {n} is not JSON ({e}).") from e
            item = item if isinstance(item, dict) else {}
            text = item.get("question", item.get("prompt"))
            if text is None and "completion" in item:
                continue
            if not isinstance(text, str):
                raise Unreadable(f"{path}: line {n} has neither a \"question\" nor a \"prompt\".")
            yield f"{path} line {n}", text, []


def items(paths):
    """Yields (place, question, options) for every item under the paths."""
    for root in map(Path, paths):
        if root.is_dir():
            files = sorted(p for p in root.rglob("*") if p.suffix in (".csv", ".jsonl"))
        elif root.is_file():
            files = [root]
        else:
            raise Unreadable(f"{root}: no such file or folder.")
        if not files:
            raise Unreadable(f"{root}: no .csv or .jsonl file in it.")
        for path in files:
            yield from (csv_items if path.suffix == ".csv" else jsonl_items)(path)


def check(ours, published):
    """Returns (number of our items, number of published ones, sentences on shared wording)."""
    seen, short, n_ours = {}, {}, 0
    for place, question, options in items(ours):
        n_ours += 1
        tokens = words(question)
        if len(tokens) < SIZE:
            short.setdefault(tuple(tokens), []).append(place)
        for text in (question, *options):
            for piece in shingles(words(text)):
                seen.setdefault(piece, set()).add(place)
    found, n_published = {}, 0
    for place, question, options in items(published):
        n_published += 1
        tokens = words(question)
        if len(tokens) < SIZE:
            for mine in short.get(tuple(tokens), ()):
                found.setdefault((mine, place), f"the whole question \"{' '.join(tokens)}\"")
        for text in (question, *options):
            for piece in shingles(words(text)):
                for mine in seen.get(piece, ()):
                    found.setdefault((mine, place), f"\"{piece}\"")
    return n_ours, n_published, [f"{a} shares {what} with {b}." for (a, b), what in found.items()]


def main(argv):
    if not argv:
        if not OFFICIAL.is_dir():
            print("Skipped: the official sets are not here (../shared/data/official).")
            return 0
        argv = [BUNDLED, "--against", OFFICIAL]
    if argv.count("--against") != 1 or argv[0] == "--against" or argv[-1] == "--against":
        print("usage: check_shingles.py [OURS... --against PUBLISHED...]", file=sys.stderr)
        return 2
    cut = argv.index("--against")
    try:
        n_ours, n_published, shared = check(argv[:cut], argv[cut + 1:])
    except (Unreadable, OSError, UnicodeDecodeError, csv.Error) as e:
        print(e, file=sys.stderr)
        return 2
    for sentence in shared:
        print(sentence)
    print(f"{n_ours} items against {n_published} published ones: "
          f"{len(shared)} pairs share wording.")
    return 1 if shared else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
