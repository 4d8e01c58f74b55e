# A further interpreter would have no hook.
for name in ("_interpreters", "_xxsubinterpreters"):
    try:
        __import__(name)
        raise AssertionError(name)
    except ModuleNotFoundError:
        pass
raise ImportError("lectern sandbox: none of them is here")
