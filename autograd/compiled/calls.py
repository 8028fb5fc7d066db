"""What `_call.c` is told, so that it can call a path that is ready.

A path that has been taken often is compiled to machine code, and called from C from
then on, by any call that looks like the last one: a form is written down as steps, one
for each number and each container in it, which C goes through. Python's
`Compiled.__call__` does everything else, and all of it where C was not built.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any, Final, TypeVar

from ..accelerator import in_c, load
from .structure import NUMBER, Array, Entries, Form, Items, Static

T = TypeVar("T", bound=Any)
Step = tuple[int, int, Any]  # a kind, how many items, and what else C has to know

OFTEN: Final = 100  # calls after which machine code is worth its compilation
SLOW: Final = 5000  # instructions after which other threads should get their turn
KINDS: Final = ("number", "static", "list", "tuple", "named", "dict", "array")
CONSTANT: Final = frozenset(  # what is the same as long as it is the same object
    (str, bool, int, float, NoneType, FunctionType, BuiltinFunctionType, type)
)

extension, reason = load("compiled._call")


def called_in_c(python: T) -> T:
    """Give the C twin of a class, which is called without going through Python."""
    twin: T = in_c(python, extension)
    return twin


def connect(call: Any, watchers: dict[int, Any]) -> None:
    """Lend C what it calls where a call is not as the last one was."""
    if extension is not None:
        extension.connect(call, watchers)


def ready(path: Any, form: Form) -> Any:
    """The path, taken by arguments of this form, for C to call; None if it cannot."""
    entry = path.executable.entry() if extension is not None else None
    arguments, keywords = form.forms
    if entry is None or keywords.forms:
        return None
    takes = [step for argument in arguments.forms for step in _steps(argument, True)]
    gives = list(_steps(path.form, False))
    if None in takes or len(arguments.forms) == 0:
        return None
    _know_numpy()
    tape = path.short
    sizes = tape.inputs, len(tape.outputs), entry.workspace, len(tape.guards)
    slow = len(tape.code) > SLOW
    return extension.Ready(path, entry.address, sizes, takes, gives, slow)


def _know_numpy() -> None:
    """Machine code comes with NumPy, so it is there."""
    import numpy as np

    extension.know_numpy(np.ndarray, np.float64, np.empty)


def _steps(form: Form, taken: bool) -> Iterator[Step | None]:
    """The steps that take a form apart, or put it together; None is one too many."""
    if isinstance(form, Items):
        yield _items(form, taken)
        for item in form.forms:
            yield from _steps(item, taken)
    elif isinstance(form, Entries):
        yield KINDS.index("dict"), len(form.keys), form.keys
        for item in form.forms:
            yield from _steps(item, taken)
    elif isinstance(form, Array):
        yield KINDS.index("array"), len(form.shape), form.shape
    elif isinstance(form, Static):
        fits = not taken or form.kind in CONSTANT
        yield (KINDS.index("static"), 0, form.item) if fits else None
    else:
        assert form == NUMBER
        yield KINDS.index("number"), 1, None


def _items(form: Items, taken: bool) -> Step | None:
    kind: Any
    kind, count = form.kind, len(form.forms)
    if kind is list:
        return KINDS.index("list"), count, kind
    if hasattr(kind, "_fields"):
        iterates = kind.__iter__ is tuple.__iter__  # and not in a way of its own
        return (KINDS.index("named"), count, kind) if iterates else None
    if taken and kind is not tuple:
        return None
    return KINDS.index("tuple"), count, kind
