#!/usr/bin/env python3
"""Makes curriculum/resources.json from the shared table: convert_resources.py TABLE.tsv OUT.json.

The table's columns: id, title, url, sections ("1,2"), level (B, I, A), minutes, verified. Rows whose
host has moved are given the address the project names as its successor.
"""
import csv
import json
import sys

MOVED = {"https://llama.meta.com/": "https://www.llama.com/"}
STALE = ["llama.meta.com", "python.langchain.com", "docs.llamaindex.ai", "chat.lmsys.org",
         "ggerganov/llama.cpp", "github.com/ollama/ollama/blob"]


def row(r):
    url = r["url"]
    for old, new in MOVED.items():
        url = url.replace(old, new)
    if any(s in url for s in STALE):
        sys.exit(f"{url}: stale host")
    title = r["title"].split(" (NOT ")[0]  # a remark of the table's author
    verified = r["verified"] if url == r["url"] else "moved"
    return {"id": int(r["id"]), "title": title, "url": url,
            "sections": [int(s) for s in r["sections"].split(",")], "level": r["level"],
            "minutes": int(r["minutes"]), "verified": verified}


def main():
    with open(sys.argv[1], encoding="utf-8", newline="") as f:
        rows = [row(r) for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)]
    doc = {
        "version": 1,
        "checked": "2026-11",
        "note": "No link was opened live: each was checked in stored copies. Verified P: the page's "
                "text was seen; F: the file is in the first-party repository; R: a first-party "
                "course or repository cites it; C: it is cited widely (weakest); "
                "moved: the host has a new name and the path was kept.",
        "resources": rows,
    }
    lines = ",\n    ".join(json.dumps(r, ensure_ascii=False) for r in rows)
    head = json.dumps({k: doc[k] for k in ("version", "checked", "note")}, ensure_ascii=False,
                      indent=2)
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write(head[:-2] + ',\n  "resources": [\n    ' + lines + "\n  ]\n}\n")


main()
