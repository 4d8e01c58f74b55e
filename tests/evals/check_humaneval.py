"""Checks the bundled HumanEval-format set by running it.

For each of the 20 problems, program = prompt + completion + "\\n" + test + "\\ncheck(entry_point)":
the canonical solution must pass and its docstring examples must hold (doctest); the plausible wrong
completion of wrong.jsonl and an empty body must fail an assertion. The programs are our own, so
they run without the sandbox, in a child with a time limit.

usage: check_humaneval.py [FOLDER]      exit status 1 and a sentence per defect on stderr
"""
import ast
import json
import pathlib
import subprocess
import sys
import tempfile

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "evals" / "data" / "humaneval"
COUNT = 20
KEYS = ["task_id", "prompt", "entry_point", "canonical_solution", "test"]
MODULES = {"typing", "math", "collections", "itertools", "functools", "heapq", "re", "string"}
FORBIDDEN = {"open", "input", "print", "exec", "eval", "__import__"}
STOPS = ["\nclass", "\ndef", "\n#", "\nif", "\nprint"]
MIN_ASSERTS = 6
LIMIT_S = 10  # generous, for a busy machine; each must report less than SLOW_S of CPU time itself
SLOW_S = 0.5

# A program says "verdict" only by coming to its end: exit status 0 alone could be sys.exit(0).
TAIL = """
import time as _time
assert _time.process_time() < %g, 'too slow'
print('verdict')
""" % SLOW_S
DOCTEST = """
import doctest as _doctest
_r = _doctest.testmod()
print('verdict' if _r.attempted >= 2 and not _r.failed else '')
"""


def run(program):
    """(came to its end, last line of what it wrote to stderr)"""
    with tempfile.TemporaryDirectory() as folder:
        try:
            p = subprocess.run([sys.executable, "-I", "-B", "-"], input=program, text=True,
                               capture_output=True, timeout=LIMIT_S, cwd=folder, check=False)
        except subprocess.TimeoutExpired:
            return False, "timeout"
    ended = p.returncode == 0 and p.stdout.strip() == "verdict"
    said = (p.stderr.strip() or p.stdout.strip()).splitlines()
    return ended, said[-1] if said else ""


def check_source(row, where, defects):
    """What can be seen without running: names, imports, number of assertions, docstring."""
    tree = ast.parse(row["prompt"] + row["canonical_solution"] + "\n" + row["test"])
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            if name not in MODULES:
                defects.append(f"{where}: it imports {name}.")
        if isinstance(node, ast.Name) and node.id in FORBIDDEN:
            defects.append(f"{where}: it uses {node.id}.")
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    if list(functions) != [row["entry_point"], "check"]:
        defects.append(f"{where}: its functions are {list(functions)}.")
        return
    f = functions[row["entry_point"]]
    if not f.returns or not all(a.annotation for a in f.args.args):
        defects.append(f"{where}: a type hint is missing.")
    if (ast.get_docstring(f) or "").count(">>> ") < 2:
        defects.append(f"{where}: the docstring has fewer than two examples.")
    n = sum(isinstance(a, ast.Assert) for a in ast.walk(functions["check"]))
    if n < MIN_ASSERTS:
        defects.append(f"{where}: {n} assertions, {MIN_ASSERTS} are expected.")
    if not row["prompt"].endswith('"""\n'):
        defects.append(f"{where}: the prompt does not end with its docstring and a newline.")
    for stop in STOPS:
        if stop in "\n" + row["canonical_solution"]:
            defects.append(f"{where}: the solution holds the stop string {stop!r}.")


def check_runs(row, wrong, where, defects):
    def program(body):
        return (row["prompt"] + body + "\n" + row["test"] + "\ncheck(" + row["entry_point"] + ")"
                + TAIL)

    passed, said = run(program(row["canonical_solution"]))
    if not passed:
        defects.append(f"{where}: the canonical solution fails ({said}).")
    passed, said = run(row["prompt"] + row["canonical_solution"] + DOCTEST)
    if not passed:
        defects.append(f"{where}: the examples of the docstring do not hold ({said}).")
    for what, body in (("wrong completion", wrong), ("empty body", "    pass\n")):
        passed, said = run(program(body))
        if passed:
            defects.append(f"{where}: the tests let the {what} pass.")
        elif not said.startswith("AssertionError"):
            defects.append(f"{where}: the {what} fails by '{said}', not by an assertion.")


def read_jsonl(path, keys, defects):
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if len(rows) != COUNT:
        defects.append(f"{path.name}: {len(rows)} lines, {COUNT} are expected.")
    for i, row in enumerate(rows):
        if list(row) != keys or row["task_id"] != f"Lectern/{i}":
            defects.append(f"{path.name} line {i + 1}: wrong keys or task_id.")
            return []
    return rows


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    defects = []
    rows = read_jsonl(folder / "HumanEval.jsonl", KEYS, defects)
    wrong = read_jsonl(folder / "wrong.jsonl", ["task_id", "completion"], defects)
    if len({row["entry_point"] for row in rows}) != len(rows):
        defects.append("Two problems have the same entry point.")
    for row, other in zip(rows, wrong):
        try:
            check_source(row, row["task_id"], defects)
            check_runs(row, other["completion"], row["task_id"], defects)
        except SyntaxError as e:
            defects.append(f"{row['task_id']}: it is not Python ({e}).")
    for text in defects:
        print(text, file=sys.stderr)
    if not defects:
        print(f"humaneval: {len(rows)} canonical solutions pass, their examples hold, "
              f"{len(wrong)} wrong completions fail")
    return 1 if defects else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError) as error:  # a missing file, broken JSON or a broken line
        sys.exit(f"humaneval: the set cannot be read: {error}")
