import os
os.truncate("@OUTSIDE@/keep", 0)
