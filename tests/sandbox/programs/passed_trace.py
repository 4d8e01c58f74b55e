# The same watching, to the end: it must not see the nonce. The test looks for SEEN in stderr.
import builtins, os, sys
def look(values, isinstance=isinstance, bytes=bytes, len=len, write=os.write):
    for x in values:
        for y in x if isinstance(x, (list, tuple)) else (x,):
            if isinstance(y, bytes) and len(y) == 32:
                write(2, b"SEEN " + y)
def watch(frame, event, arg):
    look((arg, *frame.f_locals.values(), *frame.f_globals.values()))
    frame.f_trace_opcodes = True
    return watch
if hasattr(sys, "monitoring"):
    m = sys.monitoring
    m.use_tool_id(3, "watch")
    m.register_callback(3, m.events.CALL, lambda code, offset, f, arg0: look((f, arg0)))
    m.register_callback(3, m.events.C_RETURN, lambda code, offset, f, arg0: look((f, arg0)))
    m.set_events(3, m.events.CALL)
# Replaced builtins are not looked up by the runner.
for name in ("exec", "len", "isinstance", "str", "bytes"):
    setattr(builtins, name, None)
sys.setprofile(watch)
sys.settrace(watch)
f = sys._getframe()
while f:
    f.f_trace = watch
    f.f_trace_opcodes = True
    f = f.f_back
