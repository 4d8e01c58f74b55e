import subprocess
subprocess.run(["/bin/sh", "-c", "echo x > @OUTSIDE@/shell"], check=True)
