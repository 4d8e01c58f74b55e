# The kernel sends the signal: a file's owner is told when it can be read.
import fcntl, os
r, w = os.pipe()
fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())
