import os, subprocess, multiprocessing
while True:
    for attempt in (os.fork, lambda: os.spawnv(os.P_NOWAIT, "/bin/sh", ["sh"]),
                    lambda: subprocess.Popen(["/bin/sleep", "60"]),
                    lambda: multiprocessing.Process(target=print).start()):
        try:
            attempt()
            open("@OUTSIDE@/forked", "w")
        except Exception:
            pass
