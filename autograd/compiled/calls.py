"""What `_call.c` is told, so that it can call what is ready.

A path that has been taken often is compiled to machine code, and called from C from
then on, by any call that looks like one of the last: a form is written down as steps,
one for each container in it and each number that is not in a container of numbers
alone, which C goes through. So are the sums over a batch. Python's `Compiled.__call__`
and `Batched.__call__` do everything else, and all of it where C was not built.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from math import prod
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any, Final, NamedTuple, TypeVar

from ..accelerator import in_c, load, maker, python_twins, reader
from ..trees import (
    NUMBER,
    Array,
    Container,
    Form,
    Static,
    build,
    is_static,
    parts,
    replaced,
    size,
)
from ..value import Value, _node
from ..watch import watchers
from .source import Source
from .tape import AtPoint

T = TypeVar("T", bound=Any)
Step = tuple[int, int, Any, bool]  # kind, items, what else C has to know, plain or not
Group = tuple[int, int, bool]  # a slot, how many columns, whether it is one, and dense

OFTEN: Final = 100  # calls after which machine code is worth its compilation
SLOW: Final = 5000  # instructions after which other threads should get their turn
PATIENCE: Final = 2**17  # the same in a batch, instructions times lanes
WORTH_A_THREAD: Final = 2**25  # instructions times lanes: some 2 ms of machine code
TRUTH: Final = "truth"  # in place of a number: 1.0 stands for True
ALL_LANES: Final = 2**62
BLOCK: Final = 1024  # lanes that are summed together; batches are cut between blocks
KINDS: Final = (
    "number", "static", "list", "tuple", "named", "dict", "other", "array", "rows",
    "lanes", "truth",
)  # fmt: skip
CONSTANT: Final = frozenset(  # what is the same as long as it is the same object
    (str, bool, int, float, NoneType, FunctionType, BuiltinFunctionType, type)
)

extension, reason = load("compiled._call")


def called_in_c(python: T) -> T:
    """Give the C twin of a class, which is called without going through Python."""
    twin: T = in_c(python, extension)
    return twin


class Wrapped(property):
    """The function that a compiled one has its signature from; their class has none."""

    def __get__(self, each: Any, kind: type | None = None) -> Any:
        f = None if each is None else super().__get__(each, kind)
        if f is None:
            raise AttributeError("__wrapped__")
        return f


def connect(kind: Any) -> None:
    """Lend C what it calls where a call is not as the last one was."""
    if extension is not None:
        call = python_twins[kind].__call__
        lent = watchers, Value, _node, reader, maker, _items, _built
        extension.connect(kind, call, *lent)


def forget(compiled: Any) -> None:
    """Have C forget how to make calls like the last ones."""
    if extension is not None:
        del compiled.ready


def ready(path: Any, executable: AtPoint, form: Form, places: Any, *node: Any) -> Any:
    """The path, taken by arguments of this form, for C to call; None if it cannot.

    places what f closes over must be there at every call: see places.py
    node   where it is called on Values: its row, the Values that it closes over, which
           inputs its value depends on, and how many are arguments
    """
    arguments, keywords = form.forms
    given = *arguments.forms, *keywords.forms
    takes = [step for argument in given for step in steps(argument)]
    gives = list(steps(_with_truths(path), taken=False))
    if None in takes or None in gives:
        return None
    if (node or path.truths) and not _holds_objects(gives):
        return None
    entry = executable.entry()
    if entry is None:
        return None
    _know_numpy()
    tape = executable.tape
    sizes = tape.inputs, len(tape.outputs), entry.workspace, len(tape.guards)
    slow = len(tape.code) > SLOW
    code = entry.address, entry.context, executable
    return extension.Ready(
        path, code, sizes, takes, keywords.names, gives, slow, places, *node
    )


def _with_truths(path: Any) -> Form:
    """The form of the results, with those numbers told apart that stand for bools."""
    kinds = [TRUTH if i in path.truths else NUMBER for i in range(size(path.form))]
    return replaced(path.form, iter(kinds)) if path.truths else path.form


def _holds_objects(gives: Sequence[Any]) -> bool:
    return "array" not in [KINDS[kind] for kind, *_ in gives]


class Batch(NamedTuple):
    """One leaf of a batch: an array, dense or not, or a list, and a lane's form."""

    is_array: bool
    dense: bool  # one number for each lane, one next to the other
    form: Form


def mapped(
    way: Any,
    outputs: Form,
    arguments: Sequence[Form | Sequence[Any]],
    closed: list[Any],
    places: Any,
    reduce: str | None,
) -> Any:
    """A batch on one way for C to call, summed or not; None if it cannot.

    Each argument is a form, or for a batch the steps to its leaves and those.
    """
    batches = [argument for argument in arguments if isinstance(argument, list)]
    leaves = [leaf for batch in batches for leaf in batch if isinstance(leaf, Batch)]
    arrays = any(leaf.is_array for leaf in leaves)
    gives = list(steps(outputs, taken=False) if reduce else _rows(outputs, arrays))
    takes, ins = _takes(arguments)
    if None in takes or None in gives:
        return None
    loop = way.executable.loop(ins, None if reduce else _groups(gives))
    if loop is None:
        return None
    _know_numpy()
    tape = way.tape
    addresses = loop.prologue, loop.address, loop.room
    sizes = tape.inputs, len(tape.outputs), len(tape.guards), loop.block, loop.fields
    dense = bytes([dense for _, _, dense in ins])
    work = max(len(tape.code), 1)
    return extension.Mapped(
        way, addresses, sizes, takes, gives, dense, closed, places, reduce == "mean",
        _lanes_for_two(way), -(-PATIENCE // work),
    )  # fmt: skip


def threads_for(way: Any, n: int) -> int:
    """How many threads a batch of n lanes is worth, which is cut between blocks.

    Only machine code runs without the interpreter's lock; generated Python would wait
    for it most of the time.
    """
    if isinstance(way.executable, Source):
        return 1
    most = min(n * len(way.tape.code) // WORTH_A_THREAD, -(-n // BLOCK))
    return min(most, _processors()) if most > 1 else 1


def _lanes_for_two(way: Any) -> int:
    """The lanes from which on a batch is worth two threads."""
    if _processors() < 2:
        return ALL_LANES
    work = max(len(way.tape.code), 1)
    return max(-(-2 * WORTH_A_THREAD // work), BLOCK + 1)


def _processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _rows(form: Form, arrays: bool) -> Iterator[Step | None]:
    """The steps that make arrays or lists of results, with an item for each lane."""
    if isinstance(form, Container) and not issubclass(form.kind, list):
        yield container(form, plain=False)
        for item in form.forms:
            yield from _rows(item, arrays)
    else:
        shape = shape_of(form)
        kind = "rows" if arrays or holds_array(form) else "lanes"
        yield None if shape is None else _step(kind, len(shape), shape)


def shape_of(form: Form) -> tuple[int, ...] | None:
    """The shape of a number, an array, or lists of such, each as long as the others."""
    if isinstance(form, Array):
        return form.shape
    if isinstance(form, Container) and form.kind is list:
        inside = set(map(shape_of, form.forms)) or {()}
        mixed = len(set(map(holds_array, form.forms))) > 1
        first = inside.pop()
        if mixed or inside or first is None:
            return None
        return len(form.forms), *first
    return () if form == NUMBER else None


def holds_array(form: Form) -> bool:
    """Whether it is an array, or lists of some."""
    inside = form.forms if isinstance(form, Container) and form.kind is list else ()
    return isinstance(form, Array) or any(map(holds_array, inside))


def _groups(gives: Sequence[Any]) -> list[Group]:
    """The groups of columns in arrays of results."""
    groups: list[Group] = []
    slot = 0
    for kind, _, shape, _ in gives:
        if KINDS[kind] in ("rows", "lanes") and prod(shape):
            groups.append((slot, prod(shape), prod(shape) == 1))
            slot += prod(shape)
    return groups


def _takes(arguments: Sequence[Any]) -> tuple[list[Step | None], list[Group]]:
    """The steps into the arguments, and the groups of columns that they find."""
    takes: list[Step | None] = []
    groups: list[Group] = []
    slot = 0
    for argument in arguments:
        if not isinstance(argument, list):
            takes += steps(argument)
            slot += size(argument)
            continue
        for part in argument:
            if not isinstance(part, Batch):
                takes.append(part)
                continue
            count = size(part.form)
            takes += _leaf(part, count)
            groups += [(slot, count, part.dense)] if count else []
            slot += count
    return takes, groups


def _leaf(batch: Batch, count: int) -> list[Step | None]:
    if not batch.is_array:
        return [_step("lanes", count), *steps(batch.form)]
    if batch.form != NUMBER and not isinstance(batch.form, Array):
        return [None]
    shape = batch.form.shape if isinstance(batch.form, Array) else ()
    return [_step("rows", len(shape), shape)]


def _know_numpy() -> None:
    """Tell C the types of NumPy; where that is not, types that nothing is of."""
    try:
        import numpy as np
    except Exception:  # not there, or broken: see machine.py
        extension.know_numpy(_NoArray, _NoArray, frozenset(), _NoArray)
        return
    scalars = frozenset(map(np.dtype, "efbhilqBHILQ"))
    types = frozenset([each.type for each in scalars])
    extension.know_numpy(np.ndarray, np.float64, types, np.empty)


class _NoArray:
    """In place of what NumPy would lend."""


def steps(form: Form, taken: bool = True) -> Iterator[Step | None]:
    """The steps that take a form apart, or put it together; None is one too many."""
    if isinstance(form, Container):
        plain = bool(form.forms) and form.forms.count(NUMBER) == len(form.forms)
        yield container(form, plain)
        for item in () if plain else form.forms:
            yield from steps(item, taken)
    elif form == NUMBER:
        yield _step("number", 1)
    elif form == TRUTH:
        yield _step("truth", 1)
    elif isinstance(form, Array):
        yield _step("array", len(form.shape), form.shape)
    elif isinstance(form, Static) and (not taken or _is_constant(form.item)):
        yield _step("static", 0, form.item)
    else:
        yield None


def _step(kind: str, count: int, what: Any = None, plain: bool = False) -> Step:
    return KINDS.index(kind), count, what, plain


def _is_constant(item: Any) -> bool:
    return type(item) in CONSTANT or is_static(item)


def container(form: Container, plain: bool) -> Step:
    """The step into a container; plain if its items are numbers, without steps."""
    kind: Any
    kind, count = form.kind, len(form.forms)
    if kind is dict:
        return _step("dict", count, form.names, plain)
    if kind is list or kind is tuple:
        return _step(kind.__name__, count, kind, plain)
    bare = issubclass(kind, tuple) and not kind.__dictoffset__  # but its items
    if bare and not form.rest:
        return _step("named", count, kind, plain)
    return _step("other", count, form, plain)


def _items(form: Container, tree: Any) -> list[Any] | None:
    """The items of a container like that one, for C; None if this is another."""
    found = parts(tree, "jit: an argument")
    if found is None or found[1:] != form[1:3]:
        return None
    return [*found[0]]


def _built(form: Container, items: list[Any]) -> Any:
    """A container like that one, for C."""
    return build(*form[:3], items)
