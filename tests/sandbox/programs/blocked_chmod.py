import os
os.chmod("@OUTSIDE@/keep", 0o777)
