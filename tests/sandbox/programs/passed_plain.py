import asyncio, collections, dataclasses, datetime, decimal, enum, functools, hashlib, heapq
import itertools, json, math, random, re, statistics, string, tempfile, threading, typing, uuid

assert sum(math.gcd(a, 12) for a in range(10)) == 37
assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf")
assert asyncio.run(asyncio.sleep(0, "x")) == "x"
out = []
t = threading.Thread(target=lambda: out.append(1))
t.start()
t.join()
assert out == [1]
with tempfile.NamedTemporaryFile("w+", suffix=".txt") as f:
    f.write("Grüße")
    f.flush()
    assert open(f.name).read() == "Grüße"
