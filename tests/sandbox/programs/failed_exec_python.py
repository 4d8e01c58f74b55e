# A second interpreter has no hook, but the nonce went with the first one's memory.
import os, sys
os.set_inheritable(4, True)
os.execv(sys.executable, ["python3", "-c", "import os; os.write(4, b'0' * 32)"])
