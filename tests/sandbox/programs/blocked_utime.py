import os
os.utime("@OUTSIDE@/keep", (0, 0))
