"""Checks the bundled GSM8K-format set: recomputes every annotation, every answer, and the form.

An answer is lines of text with annotations <<expression=value>>value, then a last line `#### N`:

    One tray holds 6 * 4 = <<6*4=24>>24 rolls.
    Two trays and one more roll make 2 * 24 + 1 = <<2*24+1=49>>49 rolls.
    #### 49

second.tsv holds a second solution of each item as one expression; it must give the same N, because
annotations that agree with each other can still answer another question than the one asked.

usage: check_gsm8k.py [FOLDER]      exit status 1 and a sentence per defect on stderr
"""
import ast
import collections
import json
import operator
import pathlib
import re
import sys
from fractions import Fraction

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "evals" / "data" / "gsm8k"
COUNTS = {"train": 8, "test": 40}
STEPS = range(2, 8)
NUMBER = r"\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?"
ANNOTATION = re.compile(r"<<([^<>=]+)=([^<>=]+)>>(" + NUMBER + r")?")
LAST_LINE = re.compile(r"#### (-?(?:\d{1,3}(?:,\d{3})+|\d+))")
COT_END = re.compile(r"(.*[^ ]) The answer is (-?\d+)\.", re.DOTALL)
COT_STEP = re.compile(r"((?:\d+ [-+*/] )+\d+) = (\d+)")
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
             ast.Div: operator.truediv}


def evaluate(text):
    """Value of an expression of numbers, + - * / and parentheses, exact; ValueError otherwise."""
    # A float would be a binary fraction: each literal is taken from its spelling.
    if not re.fullmatch(r"[-+*/() .0-9]+", text):
        raise ValueError(f"'{text}' holds something other than numbers, + - * / and parentheses")

    def walk(node):
        if isinstance(node, ast.Expression):
            return walk(node.body)
        if isinstance(node, ast.Constant):
            return Fraction(ast.get_source_segment(source, node))
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](walk(node.left), walk(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -walk(node.operand)
        raise ValueError(f"'{text}' is not plain arithmetic")

    source = text.strip()
    try:
        return walk(ast.parse(source, mode="eval"))
    except (SyntaxError, ZeroDivisionError) as e:
        raise ValueError(f"'{text}' cannot be computed ({e})") from None


def number(text):
    return Fraction(text.replace(",", ""))


def check_answer(answer, where, defects):
    """Checks the annotations and the last line; returns (steps, final value or None)."""
    body, _, last = answer.rpartition("\n")
    steps, value = 0, None
    for expression, claimed, shown in ANNOTATION.findall(body):
        steps += 1
        try:
            value, claim = evaluate(expression), number(claimed)
        except ValueError as e:
            defects.append(f"{where}: {e}.")
            continue
        if value != claim:
            defects.append(f"{where}: {expression} is {value}, not {claimed}.")
        if not shown or number(shown) != claim:
            defects.append(f"{where}: after <<{expression}={claimed}>> stands '{shown}'.")
    if body.count("<<") != steps or body.count(">>") != steps:
        defects.append(f"{where}: an annotation is malformed.")
    for line in body.split("\n"):
        if "<<" not in line:
            defects.append(f"{where}: the line '{line}' computes nothing.")
    m = LAST_LINE.fullmatch(last)
    if not m:
        defects.append(f"{where}: the last line '{last}' is not '#### N'.")
        return steps, None
    final = number(m[1])
    if value is not None and value != final:
        defects.append(f"{where}: the last computation gives {value} but the answer is {m[1]}.")
    return steps, final


def read_lines(path, defects):
    """The objects of a JSONL file with the keys question and answer, in this order."""
    rows = []
    for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        if list(row) != ["question", "answer"] or not all(isinstance(v, str) for v in row.values()):
            defects.append(f"{path.name} line {i}: the keys are not question and answer.")
        else:
            rows.append(row)
    return rows


def check_cot(path, defects):
    shots = json.loads(path.read_text(encoding="utf-8"))
    if len(shots) != 8:
        defects.append(f"{path.name}: {len(shots)} exemplars, 8 are expected.")
    for i, shot in enumerate(shots, 1):
        where = f"{path.name} exemplar {i}"
        if list(shot) != ["question", "target"]:
            defects.append(f"{where}: the keys are not question and target.")
            continue
        m = COT_END.fullmatch(shot["target"])
        steps = COT_STEP.findall(shot["target"])
        if not m or not steps:
            defects.append(f"{where}: it has no computation or does not end in 'The answer is N.'.")
            continue
        for expression, claimed in steps:
            if evaluate(expression) != number(claimed):
                defects.append(f"{where}: {expression} is not {claimed}.")
        if number(steps[-1][1]) != number(m[2]):
            defects.append(f"{where}: the last computation is not the answer {m[2]}.")
    return [shot.get("question", "") for shot in shots]


def check_second(path, finals, defects):
    """second.tsv: one expression an item, computed apart from the annotations."""
    seen = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, row, expression = line.split("\t")
        key = (name, int(row))
        seen.add(key)
        if key not in finals:
            defects.append(f"{path.name}: there is no item {name} line {row}.")
        elif evaluate(expression) != finals[key]:
            defects.append(f"{path.name}: {expression} is not the answer of {name} line {row}.")
    for name, row in sorted(set(finals) - seen):
        defects.append(f"{path.name}: {name} line {row} has no second solution.")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    defects, questions, finals, with_comma = [], [], {}, 0
    spread = {name: collections.Counter() for name in COUNTS}
    for name, count in COUNTS.items():
        rows = read_lines(folder / f"{name}.jsonl", defects)
        if len(rows) != count:
            defects.append(f"{name}.jsonl: {len(rows)} items, {count} are expected.")
        for i, row in enumerate(rows, 1):
            where = f"{name}.jsonl line {i}"
            questions.append(row["question"])
            steps, finals[name, i] = check_answer(row["answer"], where, defects)
            spread[name][steps] += 1
            with_comma += bool(re.search(r"\d,\d{3}$", row["answer"]))
            if steps not in STEPS:
                defects.append(f"{where}: {steps} steps, 2 to 7 are expected.")
    questions += check_cot(folder / "cot_shots.json", defects)
    check_second(folder / "second.tsv", finals, defects)
    for text, n in collections.Counter(" ".join(q.lower().split()) for q in questions).items():
        if n > 1:
            defects.append(f"The question '{text[:60]}' stands {n} times.")
    for steps in STEPS:
        if not spread["test"][steps] or spread["test"][steps] > 12:
            defects.append(f"test.jsonl: {spread['test'][steps]} items of {steps} steps (1 to 12).")
    if with_comma < 2:
        defects.append("Fewer than two answers have a thousands separator.")
    for text in defects:
        print(text, file=sys.stderr)
    if not defects:
        print("gsm8k: test steps", {k: spread["test"][k] for k in STEPS}, "and", len(finals),
              "second solutions agree")
    return 1 if defects else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError) as error:  # a missing file, broken JSON or a broken line
        sys.exit(f"gsm8k: the set cannot be read: {error}")
