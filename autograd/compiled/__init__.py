"""For speed: what a function records on Values, kept as a tape and run as machine code.

Read `tape.py` (the straight line that everything here works on), `trace.py` (how a
function becomes one), `jit.py` (the tree of paths that a compiled function is).
"""
