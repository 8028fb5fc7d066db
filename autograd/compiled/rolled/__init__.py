"""Long straight lines as few loops: like operations on one level, run side by side.

What runs is groups of lanes. `code.py` has C find and run them: the stages stand in
`_roll.h`, what comes out in `_rolled.h`, how it becomes vectors in `_blocks.h`. Where C
was not built, `groups.py` finds them, and `python.py` and `vectors.py` run them.

What `jit(f).rolled()` prints is found apart, since it is to be short and not fast:
`program.py` makes loops over arrays (`loops.py`), with indices from `regression.py`,
time from `repeats.py` and `names.py`, and `text.py` writes them down. Tests read the
text back and run it, which has to give the bits of the tape.
"""

from .code import compile as compile
