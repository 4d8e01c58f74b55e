# Runs outside the sandbox, once: tells what this interpreter is and which files it needs, one a
# line. The real one is wanted, not a link, a virtual environment or a version manager's script.
import os
import sys
import sysconfig

exe = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
stdlib = {os.path.realpath(sysconfig.get_path(k)) for k in ("stdlib", "platstdlib")}
dynload = [p for p in sys.path if p.endswith("lib-dynload")]
dynload = os.path.realpath(dynload[0]) if dynload else os.path.join(max(stdlib), "lib-dynload")

# Libraries that modules of the standard library pull in show up in the memory map.
for name in ("ssl", "_hashlib", "lzma", "bz2", "zlib", "sqlite3", "decimal", "math", "random"):
    try:
        __import__(name)
    except ImportError:
        pass
mapped = set()
try:
    with open("/proc/self/maps") as maps:
        for line in maps:
            path = line.split(None, 5)[5:]
            if path and path[0].startswith("/") and ".so" in os.path.basename(path[0]):
                mapped.add(os.path.realpath(path[0].rstrip("\n")))
except OSError:
    pass
linkers = {p for p in mapped if os.path.basename(p).startswith(("ld-", "ld64"))}
trees = stdlib | {dynload} | {os.path.dirname(p) for p in mapped}
if not mapped:  # no /proc
    import glob
    trees |= {os.path.realpath(d) for d in ("/lib", "/lib64", "/usr/lib")}
    linkers = {os.path.realpath(p) for d in ("/lib", "/lib64") for p in glob.glob(d + "/ld-*.so*")}
trees.add("/etc/ld.so.cache")
# A folder inside another one of the list adds nothing.
trees = [t for t in trees if os.path.exists(t)
         and not any(t != o and t.startswith(o + "/") for o in trees)]

print("exe", exe)
print("version", ".".join(map(str, sys.version_info[:3])))
print("dynload", dynload)
for t in sorted(trees):
    print("tree", t)
for p in sorted({exe} | linkers):
    print("program", p)
print("end")
