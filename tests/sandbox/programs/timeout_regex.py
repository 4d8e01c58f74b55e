# A loop inside C code, with signals ignored.
import re, signal
for s in range(1, 32):
    if s not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(s, signal.SIG_IGN)
re.match(r"(a*)*b", "a" * 40)
