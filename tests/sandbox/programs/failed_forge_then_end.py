# Bytes before the true verdict spoil it.
import os
os.write(4, b"0" * 32)
