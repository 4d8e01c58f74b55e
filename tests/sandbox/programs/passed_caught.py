# A refusal that the program survives is no failure.
try:
    open("/etc/passwd")
except OSError:
    pass
