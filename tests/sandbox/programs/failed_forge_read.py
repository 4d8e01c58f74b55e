# Looks for the nonce on every descriptor, and sends what it found.
import os
found = []
for fd in range(64):
    try:
        os.set_blocking(fd, False)
        found.append(os.read(fd, 4096))
    except OSError:
        pass
for x in found:
    os.write(4, x)
os._exit(0)
