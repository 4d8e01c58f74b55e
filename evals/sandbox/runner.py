# Runs inside the sandbox: python -s -S -B -X utf8 -c THIS MAIN DYNLOAD, the program on descriptor
# 3, the verdict socket on 4. Header of evals/sandbox.h: what the verdict means.
import posix
import sys


# Refuses what would reach the nonce from Python. The function is in no variable once it is
# installed, looks up no name that the program could replace, and calls no method of an object of
# the program's (a subclass of str could lie about its text): so it cannot be switched off.
def hook(event, args, str=str, dynload=sys.argv[2] + "/", NoImport=ImportError,
         Refused=PermissionError):
    if event == "import":
        name, path = args[0], args[1]
        if str.startswith(name, ("_ctypes", "_test", "_xx", "xx", "_interp")):
            raise NoImport("lectern sandbox: this module is refused")
        if path is not None and (not str.startswith(path, dynload) or str.__contains__(path, "/..")
                                 or str.__contains__(path, "_ctypes")
                                 or str.__contains__(path, "_test")
                                 or str.__contains__(path, "/_xx")):
            raise NoImport("lectern sandbox: native code from here is refused")
    elif event.startswith(("ctypes.", "gc.get_", "sqlite3.enable", "sqlite3.load",
                           "cpython.PyInterpreterState_New", "cpython._PySys_ClearAuditHooks")):
        raise Refused("lectern sandbox: " + event + " is refused")


try:
    source = b""
    while chunk := posix.read(3, 1 << 20):
        source += chunk
    posix.close(3)
    posix.set_inheritable(4, False)
    program = compile(source.decode(), "program.py", "exec", dont_inherit=True)
    names = {"__name__": "__main__"} if sys.argv[1] == "1" else {}
    if sys.path and not sys.path[0]:
        del sys.path[0]  # the program's folder holds nothing yet, and need not be searched
    sys.argv[:] = ["program.py"]
    # All six operands leave the list for the value stack before exec is called. While the program
    # runs nothing that Python can name leads to the nonce or to the write that sends it; when
    # exec has returned None, nonce[None:] is the nonce, and no name is looked up any more.
    A = [names, program, exec, posix.read(4, 32), 4, posix.write]
    sys.addaudithook(hook)
    del source, chunk, program, names, hook, posix
    A.pop()(A.pop(), A.pop()[A.pop()(A.pop(), A.pop()):])
except BaseException as x:
    # The value stack is gone, and the nonce with it: nothing from here on can become a pass.
    import posix
    blocked = (isinstance(x, PermissionError)
               or isinstance(x, OSError) and x.errno in (30, 38)  # EROFS, ENOSYS
               or isinstance(x, ImportError) and str(x).startswith("lectern sandbox: "))
    text = str(x)
    posix.write(4, ("B" if blocked else "E").encode() + type(x).__name__.encode()
                + (": " + text if text else "").encode("utf-8", "replace")[:180])
    if not isinstance(x, SystemExit):
        sys.excepthook(type(x), x, x.__traceback__.tb_next)
    sys.exit(1)
