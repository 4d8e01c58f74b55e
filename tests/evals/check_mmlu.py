#!/usr/bin/env python3
"""Checks the form of the bundled MMLU-format set.

    check_mmlu.py [FOLDER]        FOLDER holds dev/ and test/; the bundled one when left out

    dev/<subject>_dev.csv     5 rows   question,A,B,C,D,letter
    test/<subject>_test.csv   2 rows

Whether the keys are right is not decided here: CHECKED.md in the folder says how that was done.
Exit status 1, and a sentence on each defect, when something is wrong.
"""
import csv
import io
import sys
import unicodedata
from collections import Counter
from pathlib import Path

DEFAULT = Path(__file__).resolve().parents[2] / "evals" / "data" / "mmlu"
ROWS = {"dev": 5, "test": 2}
# Distinct letters that one subject's items must show at least.
VARIETY = {"dev": 3, "test": 2}
LETTERS = "ABCD"
# A guesser who always takes the longest (or the shortest) option must gain nothing by it.
MAX_EXTREME = 0.30
SUBJECTS = """abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology
college_chemistry college_computer_science college_mathematics college_medicine college_physics
computer_security conceptual_physics econometrics electrical_engineering elementary_mathematics
formal_logic global_facts high_school_biology high_school_chemistry high_school_computer_science
high_school_european_history high_school_geography high_school_government_and_politics
high_school_macroeconomics high_school_mathematics high_school_microeconomics high_school_physics
high_school_psychology high_school_statistics high_school_us_history high_school_world_history
human_aging human_sexuality international_law jurisprudence logical_fallacies machine_learning
management marketing medical_genetics miscellaneous moral_disputes moral_scenarios nutrition
philosophy prehistory professional_accounting professional_law professional_medicine
professional_psychology public_relations security_studies sociology us_foreign_policy virology
world_religions""".split()


def plain(text):
    """The text as a reader compares it: case and runs of white space do not count."""
    return " ".join(text.casefold().split())


def unprintable(text):
    # A line break is the one control character a question may hold (passages, programs).
    bad = [c for c in text if c != "\n" and unicodedata.category(c)[0] == "C"]
    # U+FFFD stands where a decoder gave up.
    return bad + [c for c in text if c == "\ufffd"]


def check_text(place, name, text, defects):
    if not text:
        defects.append(f"{place}: {name} is empty.")
    elif text != text.strip():
        defects.append(f"{place}: {name} begins or ends with white space.")
    if "  " in text.replace("\n    ", "\n"):
        defects.append(f"{place}: {name} holds two spaces in a row.")
    for c in unprintable(text):
        defects.append(f"{place}: {name} holds the unprintable character U+{ord(c):04X}.")


def check_row(place, row, defects):
    """Returns the row when it can be used by the checks that follow, else None."""
    if len(row) != 6:
        defects.append(f"{place}: {len(row)} columns instead of 6.")
        return None
    for name, text in zip(("the question", "option A", "option B", "option C", "option D"), row):
        check_text(place, name, text, defects)
    if any("\n" in option for option in row[1:5]):
        defects.append(f"{place}: an option holds a line break.")
    if len({plain(option) for option in row[1:5]}) != 4:
        defects.append(f"{place}: two options are the same.")
    if len(row[5]) != 1 or row[5] not in LETTERS:
        defects.append(f"{place}: the answer is \"{row[5]}\" instead of A, B, C or D.")
        return None
    return row


def read(path, defects):
    """The rows of one file; [] when it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as e:
        defects.append(f"{path}: cannot be read ({e.strerror}).")
        return []
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        defects.append(f"{path}: not UTF-8 at byte {e.start}.")
        return []
    if text.startswith("\ufeff"):
        defects.append(f"{path}: begins with a byte order mark.")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as e:
        defects.append(f"{path}: not a CSV file ({e}).")
        return []
    # The same rows written by Python's csv module must give the same bytes: quoting and line ends.
    again = io.StringIO(newline="")
    csv.writer(again, lineterminator="\n").writerows(rows)
    if again.getvalue() != text:
        defects.append(f"{path}: quotes or line ends differ from what Python's csv module writes.")
    return rows


def check_balance(part, answers, defects):
    count = Counter(answers)
    even = len(answers) / len(LETTERS)
    for letter in LETTERS:
        if abs(count[letter] - even) >= 1:
            defects.append(f"{part}: {count[letter]} of {len(answers)} answers are {letter}; "
                           f"a balanced set has {even:g}, give or take less than one.")


def check_lengths(items, defects):
    for word, beats in (("longest", lambda a, b: a > b), ("shortest", lambda a, b: a < b)):
        n = 0
        for row in items:
            key = LETTERS.index(row[5])
            right = len(row[1 + key])
            n += all(beats(right, len(o)) for i, o in enumerate(row[1:5]) if i != key)
        if n > MAX_EXTREME * len(items):
            defects.append(f"The right option is the {word} one in {n} of {len(items)} items; "
                           f"at most {MAX_EXTREME:.0%} are allowed.")


def check_part(root, part, first_place, defects):
    """Checks dev/ or test/; returns its sound rows."""
    wanted = {f"{s}_{part}.csv" for s in SUBJECTS}
    found = {p.name for p in (root / part).glob("*")}
    defects += [f"{root / part / n}: no such file." for n in sorted(wanted - found)]
    defects += [f"{root / part / n}: not a file of this set." for n in sorted(found - wanted)]
    sound = []
    for name in sorted(wanted & found):
        path, kept = root / part / name, []
        rows = read(path, defects)
        if len(rows) != ROWS[part]:
            defects.append(f"{path}: {len(rows)} rows instead of {ROWS[part]}.")
        for n, row in enumerate(rows, 1):
            place = f"{path} row {n}"
            if check_row(place, row, defects) is None:
                continue
            kept.append(row)
            earlier = first_place.setdefault(plain(row[0]), place)
            if earlier != place:
                defects.append(f"{place}: the same question as {earlier}.")
        if len({row[5] for row in kept}) < VARIETY[part]:
            defects.append(f"{path}: fewer than {VARIETY[part]} different answer letters.")
        sound += kept
    check_balance(part, [row[5] for row in sound], defects)
    return sound


def main(argv):
    if len(argv) > 1:
        print("usage: check_mmlu.py [FOLDER]", file=sys.stderr)
        return 2
    root = Path(argv[0]) if argv else DEFAULT
    defects, first_place, items = [], {}, []
    for part in ROWS:
        items += check_part(root, part, first_place, defects)
    check_lengths(items, defects)
    for sentence in defects:
        print(sentence, file=sys.stderr)
    print(f"{len(SUBJECTS)} subjects, {len(items)} sound items, {len(defects)} defects.")
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
