import os
os.remove("@OUTSIDE@/keep")
