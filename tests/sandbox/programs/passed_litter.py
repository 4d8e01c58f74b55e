# Leaves a deep tree, folders without rights, links and a thread that never ends.
import os, threading, time
os.umask(0)
os.symlink("/etc", "link")
for i in range(20):
    open(f"file{i}", "w").write("x")
os.mkdir("closed", 0)
for i in range(200):  # a path of 12,000 bytes
    os.mkdir("d" * 60, 0o700)
    os.chdir("d" * 60)
    if i % 50 == 0:
        os.mkdir("closed", 0)
        open("file", "w").close()
threading.Thread(target=lambda: [time.sleep(0.1) for _ in iter(int, 1)]).start()
