# Not even root may change what the next program will run.
import os
open(os.path.dirname(os.__file__) + "/antigravity.py", "a").write("x")
