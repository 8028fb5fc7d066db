"""Compile a function: run it once, keep what it did, run that from then on.

One run gives a tape for the branches it took. A later call at which a guard fails runs
the function again and adds that path, so a compiled function is a tree: each path is a
whole tape from the start, each branch leads from a failed guard to the path that holds.

    form      the structure of the arguments: what is compiled, is compiled for one form
    closed    the Values from outside that the function used, read at every call
"""

from __future__ import annotations

import copyreg
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import takewhile
from numbers import Real
from operator import attrgetter
from threading import RLock
from types import MethodType, NoneType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Self

from .. import signatures
from ..absent import Share
from ..copies import Version
from ..primitives import Primitive, brief, clean
from ..signatures import F, seen_as
from ..transforms import _Recording
from ..trees import NUMBER, Form, Static, fill, flatten, static
from ..value import Value, _node, tick, topological
from ..watch import point_at, tracing, watchers, watching
from . import calls, source
from .machine import native
from .nodes import Several
from .places import Places, Search, is_of_table, moved, of_numbers, settle, swaps
from .simplify import simplify
from .structure import described, filler
from .tape import Executable, Instruction, Operand, Tape
from .trace import OPERATORS, Doubt, Trace, replay

MOST_PATHS: Final = 64
LONG: Final = 200  # instructions from which machine code pays off at one point
_FLOAT: Final = frozenset({float})


@seen_as(signatures.Jit)
def jit(
    f: Callable[..., Any], static_argnums: int | Sequence[int] = ()
) -> Compiled[Any]:
    """The function f, compiled: the same results, faster from the second call on.

    >>> from autograd import exp, grad, sin
    >>> f = jit(grad(lambda x: exp(sin(x * x))))
    >>> round(f(1.5), 6)
    -4.103116

    Branches work as ever; each one met is traced once:

    >>> g = jit(lambda x: x * x if x > 0 else -x)
    >>> g(-1.0), g(3.0), len(g.paths)
    (1.0, 9.0, 2)

    Numbers may come in nested containers, those of `register_tree` as well; str, bool,
    None, members of an Enum and the arguments named by static_argnums select what is
    compiled, while an array of bools is one of numbers. Values that f closes over are
    read at every call, where f would find them then: in the variables, attributes and
    items that held them when f was traced. Another Value in such a place is read in its
    stead, and where more has changed, f is traced again:

    >>> w = Value(2.0)
    >>> h = jit(lambda x: w * x)
    >>> first, w = h(3.0), Value(5.0)
    >>> first.data, h(3.0).data
    (6.0, 15.0)

    Plain numbers that f closes over or makes Values of, and randomness, stay as they
    were when f was traced. What f writes to others' variables, attributes and lists, it
    writes while it is traced and not in compiled calls: return it instead. What no tape
    can have (text made of a number, a refusal that f catches, a Value that f finds in
    no variable, or that it puts elsewhere itself) leaves f uncompiled: it runs op by op
    from then on, and a RuntimeWarning says so once, with the line.

    A path is generated Python for its first hundred calls, and machine code after them,
    where llvmlite is installed; a long one is so from the start. The bits are the same.
    Raises ValueError beyond 64 paths (write where() for that branch) and
    TypeError where f writes to its arguments, which would be lost.
    """
    if not callable(f):
        raise TypeError(
            f"jit: f must be a function, but is {type(f).__name__}; write jit(f) first "
            "and call the result with numbers"
        )
    several = isinstance(static_argnums, (tuple, list))
    chosen: Any = static_argnums if several else (static_argnums,)
    if not all(hasattr(i, "__index__") for i in chosen):
        raise TypeError(
            "jit: static_argnums must name arguments by position, but is "
            f"{brief(static_argnums)}; write a whole number from 0, or a tuple of them"
        )
    _require_positions(f, chosen)
    return Compiled(f, tuple(chosen))


def _require_positions(f: Callable[..., Any], static: Sequence[Any]) -> None:
    """Refuse positions that no call of f has, as far as its signature tells."""
    if not static:
        return
    from inspect import Parameter, signature  # which takes long to load

    try:
        kinds = [p.kind for p in signature(f).parameters.values()]
    except (TypeError, ValueError):  # some functions in C have none
        return
    if Parameter.VAR_POSITIONAL in kinds:
        return
    named = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD
    count = sum(kind in named for kind in kinds)
    for i in static:
        if not -count <= i < count:
            raise ValueError(
                f"jit: static_argnums must name arguments by position, of the {count} "
                f"that f has, but has {brief(i)}; count them from 0"
            )


@calls.called_in_c
class Compiled(Generic[F]):
    """A compiled function: for each form of arguments, a tree of paths."""

    ready: Any = None  # the path taken last, if C can call it
    doubt: Doubt | None = None  # why it is not compiled after all
    caller = "jit"  # whom its errors name
    _needs_values = False  # to run op by op: it calls methods of Values

    def __init__(self, f: Callable[..., Any], static: tuple[Any, ...]) -> None:
        self.f: Callable[..., Any] | None = f
        self.static = static
        self.trees: dict[Form, Tree] = {}
        self._of_floats: dict[int, Tree] = {}  # by number of arguments
        self._last: Tree | None = None  # that Python has called
        self._name_as(f)

    def _name_as(self, f: Any) -> None:
        name = f.name if isinstance(f, Primitive) else getattr(f, "__name__", "f")
        self.__name__ = name if name.isidentifier() else "f"
        self.__qualname__ = getattr(f, "__qualname__", name)
        self.__module__ = getattr(f, "__module__", __name__)
        self.__doc__ = getattr(f, "__doc__", None)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        if watchers and watching() is not None and self.f is not None:
            return self._plainly(args, kwargs)  # who watches sees each operation of f
        if self.doubt is not None:
            return self.op_by_op(args, kwargs)
        if not kwargs and _FLOAT.issuperset(map(type, args)):
            tree = self._of_floats.get(len(args))
            if tree is not None and not (tree.closed or tree.places.all):
                path: Any = tree.path
                ys, failed = path.scalar(args)
                if failed < 0:
                    path.count()
                    self._note(tree)
                    return path.fill(ys)
        tree, numbers = self.tree(*args, **kwargs)
        result = tree.call(numbers)
        if self.doubt is not None:
            return self.op_by_op(args, kwargs) if self.doubt.again else result
        self._note(tree, Value in map(type, numbers))
        kept = tree.path is not None and not self.static and not kwargs
        if kept and _FLOAT.issuperset(map(type, args)):
            self._of_floats[len(args)] = tree
        return result

    if TYPE_CHECKING:
        __call__: F  # what f takes and gives, of numbers and of Values
    else:
        __call__ = _call

    __wrapped__ = calls.Wrapped(lambda self: self.f)

    def __repr__(self) -> str:
        name, n = clean(self.__qualname__.split(".")[-1]), len(self.paths)
        paths = "runs op by op" if self.doubt else f"{n} path{'s' * (n != 1)}"
        return f"<jit of {name}: {paths}>"

    def _note(self, tree: Tree, on_values: bool = False) -> None:
        """Keep the paths called last, and let C have the next call if it can."""
        self._last = tree
        if calls.extension is not None:
            self.ready = tree.ready(on_values)

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else MethodType(self, owner)

    def tree(self, *args: Any, **kwargs: Any) -> tuple[Tree, list[Any]]:
        """The paths for arguments of this form, and the numbers in them."""
        numbers, form = self._flat(args, kwargs)
        tree = self.trees.get(form)  # once: a long form takes long to be found
        if tree is None:
            tree = self.trees[form] = Tree(self, form)
        elif not tree.is_current():
            tree = self.trees[form] = tree.renewed()
            calls.forget(self)
        return tree, numbers

    def _flat(self, args: Sequence[Any], kwargs: Any) -> tuple[list[Any], Form]:
        """The numbers in arguments, and their form."""
        marked = list(args)
        for i in self.static:
            if -len(args) <= i < len(args):
                marked[i] = _static(args[i])
        return flatten((tuple(marked), kwargs))

    def op_by_op(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What f itself gives, with numbers as a compiled function gives them."""
        out = self._plainly(args, kwargs)
        numbers, form = flatten(out, "jit: the result of f")
        return fill(form, numbers)

    def _plainly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """f on what was given, or on Values if it calls methods that numbers lack."""
        f = self._own()
        if not self._needs_values:
            try:
                return f(*args, **kwargs)
            except AttributeError as error:
                if not (
                    isinstance(error.obj, Real) and hasattr(Value, error.name or "")
                ):
                    raise
                self._needs_values = True
        numbers, form = self._flat(args, kwargs)
        since = tick()
        values = [x if type(x) is Value else Value(x) for x in numbers]
        args, kwargs = fill(form, values)
        ys, form = flatten(f(*args, **kwargs), "jit: the result of f")
        return fill(form, [_lowered(y, since) for y in ys])

    def run(self, form: Form, values: Sequence[Any]) -> Any:
        """What f itself gives for arguments of that form."""
        f = self._own()
        args, kwargs = fill(form, values)
        try:
            out = f(*args, **kwargs)
        except TypeError as error:
            point_at(f, error, self.caller)
            raise
        if not self._are_there(form, values, args, kwargs):
            raise TypeError(
                f"{self.caller}: f must leave its arguments as they are, but has "
                "written to one, and the caller would not see it; return what is new, "
                "or write to a copy"
            )
        return out

    def _own(self) -> Callable[..., Any]:
        if self.f is None:
            raise ValueError(
                f"jit: {self.__name__} must be importable to take a new path, but its "
                "source did not travel with the pickle; take the path before pickling, "
                "or define the function at the top of a module"
            )
        return self.f

    def _are_there(
        self, form: Form, values: Sequence[Any], args: Sequence[Any], kwargs: Any
    ) -> bool:
        """Whether arguments of that form still hold these values, and nothing else."""
        try:
            now, new_form = self._flat(args, kwargs)
        except TypeError:  # something else has come in
            return False
        return new_form == form and all(x is y for x, y in zip(now, values))

    def roots(self, form: Form) -> list[Any]:
        """Where f can begin to look for Values: itself, and static arguments."""
        return [self.f, *(each.item for each in _statics(form))]

    @property
    def paths(self) -> Paths:
        """The paths traced so far; printed, the tree, and how often each was taken.

        >>> f = jit(lambda x, how: -x if how == "minus" else x * x)
        >>> f(1.0, "minus"), f(3.0, "square"), f(4.0, "square")
        (-1.0, 9.0, 16.0)
        >>> f.paths
        (x, 'minus'):
          taken 1x
        (x, 'square'):
          taken 2x
        """
        return Paths({form: tree.paths for form, tree in list(self.trees.items())})

    def path(self, *args: Any, **kwargs: Any) -> Path:
        """The path taken at these arguments; without any, by the last call."""
        if args or kwargs:
            self._last, numbers = self.tree(*args, **kwargs)
            self.ready = None
            return self._last.run(_numbers(numbers))[0]
        if self.ready is not None:
            path: Path = self.ready.path
            return path
        if self._last is not None and self._last.path is not None:
            return self._last.path
        raise ValueError(
            f"jit: {self.__name__} must have been called, but has no tape yet; pass "
            "arguments to have it traced"
        )

    def tape(self, *args: Any, **kwargs: Any) -> Tape:
        """The tape of a path, made for reading: print it.

        >>> print(jit(lambda x: x * x if x > 0 else -x).tape(3.0))
        def tape(x0):
            v1 = less(0.0, x0)
            assert v1  # <doctest autograd.compiled.jit.Compiled.tape[0]>:1
            v2 = mul(x0, x0)
            return v2
        """
        return self.path(*args, **kwargs).short

    def source(self, *args: Any, **kwargs: Any) -> str:
        """The Python generated for a path, which runs where LLVM is not installed."""
        return source.compile(self.tape(*args, **kwargs)).text

    def ir(self, *args: Any, **kwargs: Any) -> str:
        """The LLVM assembly generated for a path; needs llvmlite."""
        from .native import compile

        return compile(self.tape(*args, **kwargs)).ir()

    def __getstate__(self) -> dict[str, Any]:
        shared = {"trees": dict(self.trees), "_of_floats": {}}
        own = {**self.__dict__, **shared, "f": _portable(self)}
        return {"version": Version("a compiled function"), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        del state["version"]
        self.__dict__.update(state)
        if isinstance(self.f, list):
            self.f = self.f[1]
        if isinstance(self.f, Name):
            self.f = self.f.found()


calls.connect(Compiled)


class Path:
    """One way through a function: its tape, and what its results are put into.

    truths   the outputs that are bools: 1.0 stands for True
    """

    def __init__(
        self, tape: Tape, form: Form, own: int, truths: frozenset[int] = frozenset()
    ) -> None:
        self.long, self.form, self.truths = tape, form, truths
        self.own = own  # how many inputs are arguments; the others were closed over
        self._taken = 0
        self.branches: list[list[Path | None]] = []  # for each guard, shared by paths
        self.fill = _filler(form, truths)
        self._compile()

    def _compile(self) -> None:
        self.short, self.kept = shortened(self.long)
        self.executable = executable(self.short)
        brief = len(self.short.code) <= LONG  # a call of machine code has its price
        at_point = source.compile(self.short) if brief else self.executable
        self.scalar = at_point.scalar
        self.row: Row | None = None  # for calls on Values, if there is one output
        self.several: Several | None = None  # if there are more
        self.derived: dict[Any, Any] = {}  # for gradients of sums, see `Sums.ways`
        self.often = calls.OFTEN if brief else 0  # calls after which C gets it
        self.ready: dict[bool, Any] = {}  # for C to call: on numbers, and on Values
        self._sources: frozenset[int] | None = None

    @property
    def taken(self) -> int:
        """How many calls went this way."""
        there: list[int] = [each.taken for each in list(self.ready.values()) if each]
        return self._taken + sum(there)

    def count(self) -> None:
        self._taken += 1

    def again(self, tree: Tree) -> Path:
        """The same code in another tree, for other Values that are closed over."""
        new = Path.__new__(Path)
        new.__dict__.update(self.__dict__)
        new._taken, new.branches, new.ready = 0, [], {}
        new.row = self.row and self.row.like(tree, new)
        new.several = self.several and self.several.like(tree, new)
        return new

    def sources(self) -> frozenset[int]:
        """The inputs that the first output depends on, other than by comparisons."""
        if self._sources is None:
            used = {x for x in self.long.outputs[:1] if type(x) is int}
            for k in reversed(range(len(self.long.code))):
                row, args = self.long.code[k]
                if self.long.inputs + k in used and row not in OPERATORS:
                    used.update(x for x in args if type(x) is int)
            inputs = range(self.long.inputs)
            self._sources = frozenset([i for i in inputs if i in used])
        return self._sources

    def __getstate__(self) -> Any:
        kept = self.long, self.form, self.own, self.truths
        return *kept, self.taken, self.branches

    def __setstate__(self, state: Any) -> None:
        *kept, self._taken, self.branches = state
        self.long, self.form, self.own, self.truths = kept
        self.fill = _filler(self.form, self.truths)
        self._compile()

    def __repr__(self) -> str:
        guards = "guard" if len(self.long.guards) == 1 else "guards"
        return f"<path: {len(self.long.guards)} {guards}, taken {self.taken}x>"


def _filler(form: Form, truths: frozenset[int]) -> Callable[[tuple[Any, ...]], Any]:
    """What puts the outputs of a path into their containers."""
    if not truths:
        return filler(form)
    return lambda ys: fill(
        form, [y != 0.0 if i in truths else y for i, y in enumerate(ys)]
    )


class OnePath(Path):
    """A path for one call, which is not worth compiling."""

    def _compile(self) -> None:
        self.short, self.kept = self.long, tuple(range(len(self.long.guards)))
        self.scalar, self.ready = self.long.run, {}
        self.row, self.several, self._sources = None, None, None


class Paths(tuple[Path, ...]):
    """Paths in a row; printed, as a tree for each form of the arguments."""

    forms: list[tuple[Form, list[Path]]]

    def __new__(cls, trees: Mapping[Form, Sequence[Path]]) -> Paths:
        forms = [(form, sorted(paths, key=_turns)) for form, paths in trees.items()]
        found = super().__new__(cls, [path for _, paths in forms for path in paths])
        found.forms = [(form, paths) for form, paths in forms if paths]
        return found

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for form, paths in self.forms:
            lines = _tree_lines(paths)
            if len(self.forms) > 1:
                yield f"{described(form)}:"
                lines = (f"  {line}" for line in lines)
            yield from lines


def _turns(path: Path) -> list[bool]:
    return [not guard.expected for guard in path.long.guards]


def _tree_lines(paths: Sequence[Path]) -> Iterator[str]:
    """Each branch once, further in than the one before it."""
    above: list[str] = []
    for path in paths:
        steps = list(_steps(path.short))
        same = takewhile(lambda pair: pair[0] == pair[1], zip(above, steps))
        known = len(list(same))
        for depth, step in enumerate(steps[known:], start=known):
            yield "  " * depth + step
        yield f"{'  ' * len(steps)}taken {path.taken}x"
        above = steps


def _steps(tape: Tape) -> Iterator[str]:
    """Each branch of a path in words."""
    for guard in tape.guards:
        k = guard.slot - tape.inputs
        what = tape.formula(k) if k >= 0 else f"x{guard.slot}"
        yield f"{what} is {'true' if guard.expected else 'false'}  # {guard.place}"


class Tree:
    """The paths of a function for arguments of one form."""

    caller = "jit"  # whom its errors name

    def __init__(self, owner: Any, form: Form, before: Sequence[Path] = ()) -> None:
        self.owner, self.form = owner, form
        self.closed: list[Value] = []
        self.places = Places()  # where f found them, and what else it rests on
        self._rows: set[Primitive] = set()  # that its tapes use
        self._travelled = False  # in a pickle, since when it has no places
        self.paths: list[Path] = []
        self.path: Path | None = None  # the one taken last: where the next call begins
        self._changed = ""  # the line of what f itself puts elsewhere, in its last run
        self._before = before  # paths for other Values, of which some may do again
        self._locks: dict[int, RLock] = {}

    def __getstate__(self) -> Any:
        return self.owner, self.form, self.closed, self.paths, self.path

    def __setstate__(self, state: Any) -> None:
        self.owner, self.form, self.closed, self.paths, self.path = state
        self.places, self._before = Places(), ()
        self._rows, self._travelled, self._changed = set(), True, ""
        self._locks = {}

    @property
    def _lock(self) -> RLock:
        """Of this process: where it was forked, no one frees what others held."""
        return self._locks.setdefault(os.getpid(), RLock())

    def is_current(self) -> bool:
        """Whether f would find the Values it closes over, or others in their place.

        Another in the same place is read from now on; if more has changed, f may run
        otherwise, and has to be traced again.
        """
        if self._travelled and not self._settle():
            return False
        if self.places.changed() < 0:
            return True
        with self._lock:
            now = moved(self.places.all)
            if now is None:
                return False
            self.closed[:] = [now.get(x, x) for x in self.closed]
            self.places.set([
                place._replace(held=now[place.held])
                if type(place.held) is Value
                else place
                for place in self.places.all
            ])  # fmt: skip
        return True

    def renewed(self) -> Self:
        """A tree for what f closes over by now; what comes again stays compiled."""
        self._before = ()
        new = type(self)(self.owner, self.form, self.paths)
        new._changed = self._changed
        return new

    def _search(self) -> Search:
        return Search(self.owner.roots(self.form))

    def _settle(self) -> bool:
        """Find the places again, after a pickle; whether f has the same Values here."""
        self._travelled = False
        if self.owner.f is None:
            return True
        places, lost = self._search().found(self.closed)
        self._rows = {row for path in self.paths for row in path.long.rows}
        self.places.set(places + of_numbers(self._rows))
        return not lost

    def call(self, numbers: Sequence[Any]) -> Any:
        """The result for arguments with these numbers or Values."""
        xs = _numbers(numbers)
        path, ys = self.run(xs)
        if not self.closed and Value not in map(type, numbers):
            return path.fill(ys)
        inputs = [*numbers, *self.closed][: path.long.inputs]
        if isinstance(path, OnePath):
            return path.fill(tuple(replay(path.long, inputs)))
        return path.fill(tuple(self.recorded(path, inputs, ys)))

    def recorded(
        self, path: Path, inputs: list[Any], ys: tuple[float, ...]
    ) -> Sequence[Any]:
        """What a call on Values gives, where the path has these outputs."""
        if len(ys) == 1:
            return [_recorded(self, path, inputs, ys[0])]
        return self.several(path).results(ys, tuple(inputs))

    def several(self, path: Path) -> Several:
        """The row of calls with several results."""
        if path.several is None:
            path.several = Several(self, path, _compiled)
        return path.several

    def run(
        self, xs: Sequence[float], closed: Sequence[float] = ()
    ) -> tuple[Path, tuple[float, ...]]:
        """The path that holds at a point, and its outputs there.

        closed   numbers in place of what is closed over
        """
        path = self.path or self.add(xs)
        while True:
            ys, failed = path.scalar(self.inputs(xs, path, closed))
            if failed < 0:
                path.count()
                if not isinstance(path, OnePath):
                    self.path = path
                return path, ys
            failed = path.kept[failed]
            path = self.after(path, failed) or self.add(xs, path, failed)

    def ready(self, on_values: bool) -> Any:
        """The path taken last for C to call, once it was taken often."""
        path = self.path
        if path is None or path.taken <= path.often:
            return None
        on_values = on_values or path.long.inputs > path.own
        if on_values not in path.ready:
            with self._lock:
                self._get_ready(path, on_values)
        return path.ready[on_values]

    def _get_ready(self, path: Path, on_values: bool) -> None:
        if on_values not in path.ready:  # no other thread has been here
            path.ready[on_values] = None  # whatever comes of it, it is tried once
            path.ready[on_values] = self._ready(path, on_values)
            self._lead(on_values)

    def _ready(self, path: Path, on_values: bool) -> Any:
        if not on_values:
            return calls.ready(path, path.executable, self.form, self.places)
        row = path.row or path.several
        return row and row.ready(self.closed, self.places)

    def _lead(self, on_values: bool) -> None:
        """Tell each path that C calls which other one holds where a guard fails."""
        for path in self.paths:
            here = path.ready.get(on_values)
            if here is None:
                continue
            kept = path.row.kept if on_values and path.row else path.kept
            for k, guard in enumerate(kept):
                other = self.after(path, guard)
                there = other.ready.get(on_values) if other else None
                if there is not None:
                    here.leads(k, there)

    def inputs(
        self, xs: Sequence[float], path: Path, closed: Sequence[float] = ()
    ) -> Sequence[float]:
        """The numbers a path runs on: those given, and those it closed over."""
        more = [*closed, *(x._data for x in self.closed[len(closed) :])]
        return [*xs, *more[: path.long.inputs - path.own]]

    def after(self, path: Path, failed: int) -> Path | None:
        """The path that goes the other way at a guard, if it was traced."""
        return path.branches[failed][not path.long.guards[failed].expected]

    def add(
        self, xs: Sequence[float], missed: Path | None = None, failed: int = -1
    ) -> Path:
        """Trace the path at a point, where that guard of another path has failed."""
        with self._lock:
            known = self.after(missed, failed) if missed else self.path
            if known is not None:  # another thread has been here
                return known
            if len(self.paths) >= MOST_PATHS:
                place = missed.long.guards[failed].place if missed else ""
                raise ValueError(
                    f"jit: f must take at most {MOST_PATHS} paths, but the comparison "
                    f"at {place} leads to one more; write where(condition, a, b) there"
                )
            path = self._traced(xs)
            if isinstance(path, OnePath):
                return path  # for this call alone
            self._join(path, missed, failed)
            self.paths.append(path)
            self.path = self.path or path
            return path

    def _traced(self, xs: Sequence[float], turns: Sequence[bool] = ()) -> Path:
        before = None if self.paths else self._search()
        trace = Trace(xs, self.closed, turns)
        try:
            out = trace.run(lambda values: self.owner.run(self.form, values))
            ys, form = self._results(out)
            tape = trace.tape(ys)
        finally:
            trace.close()
        truths = frozenset([
            i
            for i, y in enumerate(ys)
            if type(y) is bool or trace.is_truth(y)
        ])  # fmt: skip
        settled = self._find_places(trace, tape, before)
        self.closed[:] = trace.closed  # the same list: C looks whether it is empty
        if trace.doubts:
            self.owner.doubt = max(trace.doubts, key=attrgetter("again"))
            _tell(self.owner.doubt, self.caller)
        if trace.doubts or not settled:
            return OnePath(tape, form, len(xs), truths)
        known = self._known(tape, form, truths)
        return known.again(self) if known else Path(tape, form, len(xs), truths)

    def _results(self, out: Any) -> tuple[list[Any], Form]:
        """What f gave, taken apart."""
        return flatten(out, f"{self.caller}: the result of f")

    def _known(self, *what: Any) -> Path | None:
        """A path from before that is the same; users' rows may have changed since."""
        if not all(map(is_of_table, self._rows)):
            return None
        alike = (p for p in self._before if (p.long, p.form, p.truths) == what)
        return next(alike, None)

    def _find_places(self, trace: Trace, tape: Tape, before: Search | None) -> bool:
        """Look where the Values are that the trace has met, and doubt it without.

        Whether they still are there: f may have put others in their places itself, as
        it does where it makes them at its first call.
        """
        rows = self._rows | tape.rows
        if before or trace.met or rows != self._rows:
            places, lost = (before or self._search()).found(trace.closed)
            self.places.set(places + of_numbers(rows))
            self._rows = rows
            for x in lost[:1]:
                what = "use a Value that no variable, attribute or item holds"
                trace.doubts.append(Doubt(what, trace.met.get(x, ""), False))
        made = list(trace.made)
        settled = settle(self.places) and not (made and self._search().reaches(made))
        if swaps(self.places) and self._changed:
            what = "put other Values where it has found some"
            trace.doubts.append(Doubt(what, self._changed, False))
        lines = [*trace.met.values(), *trace.made.values(), self._changed]
        self._changed = "" if settled else lines[0]
        return settled

    def _join(self, path: Path, missed: Path | None, failed: int) -> None:
        """Hang a path into the tree: it shares the branches up to the failed guard."""
        guards = path.long.guards
        turns = [guard.expected for guard in guards]
        if missed is not None:
            before = [guard.expected for guard in missed.long.guards[: failed + 1]]
            before[failed] = not before[failed]
            if turns[: failed + 1] != before:
                raise ValueError(
                    "jit: f must branch on its arguments alone, but has taken another "
                    f"way at {missed.long.guards[failed].place} than its first run "
                    "says; pass what has changed as an argument"
                )
            path.branches = missed.branches[: failed + 1]
        path.branches += [[None, None] for _ in guards[len(path.branches) :]]
        for branch, turn in zip(
            path.branches[max(failed, 0) :], turns[max(failed, 0) :]
        ):
            branch[turn] = path


def shortened(tape: Tape) -> tuple[Tape, tuple[int, ...]]:
    """The tape simplified, and which of its guards each one left there was."""
    numbered = [g._replace(place=str(i)) for i, g in enumerate(tape.guards)]
    short = simplify(replace(tape, guards=tuple(numbered)))
    kept = tuple([int(guard.place) for guard in short.guards])
    places = [tape.guards[i].place for i in kept]
    guards = [g._replace(place=place) for g, place in zip(short.guards, places)]
    return replace(short, guards=tuple(guards)), kept


def joined(first: Tape, second: Tape) -> Tape:
    """A tape and another one on the same inputs, one after the other."""
    moved = len(first.code)

    def slot(x: Operand) -> Operand:
        return x if type(x) is float or x < first.inputs else x + moved

    code = [Instruction(row, tuple(map(slot, args))) for row, args in second.code]
    guards = [
        g._replace(after=g.after + moved, slot=int(slot(g.slot))) for g in second.guards
    ]
    return Tape(
        first.inputs,
        (*first.code, *code),
        (*first.outputs, *map(slot, second.outputs)),
        (*first.guards, *guards),
    )


def executable(tape: Tape) -> Executable:
    """The fastest way to run a tape on this machine: by LLVM, or as Python source."""
    found, _ = native()
    run: Executable = (found or source).compile(tape)
    return run


# ---- on Values: a compiled function is a row -----------------------------------------


class Row(Primitive):
    """A path as a primitive: its partials are compiled, too, once they are needed."""

    def __init__(self, tree: Tree, path: Path) -> None:
        name = getattr(tree.owner, "__name__", "f")
        super().__init__(name, self._value, self._rule)
        self.variadic, self.arity = True, 0
        self._tree, self._path = tree, path
        self._shares = Tree(_Shares(path.long), NUMBER)
        self.kept: tuple[int, ...] = ()  # of the path's guards, what C has to check
        self.executable: Executable | None = None  # of value and shares

    def __reduce__(self) -> Any:
        return _row, (self._tree, self._path)

    def inside(self, xs: Sequence[Any]) -> Any:
        """The result as the rows compute it, for who looks inside a call on Values."""
        return replay(self._path.long, xs)[0]

    def _value(self, *xs: float) -> float:
        """The value at any point, which may lie on another path."""
        ys, failed = self._path.scalar(xs)
        if failed < 0:
            return ys[0]
        own = self._path.own
        return self._tree.run(xs[:own], xs[own:])[1][0]

    def _rule(self, z: Any, *xs: Any) -> list[Any]:
        """The partials, 0.0 where a select has left an operand out."""
        return [0.0 if partial is None else partial for partial in self.shares(xs)]

    def derivatives(
        self, z: Any, *args: Any, wanted: Sequence[bool] | None = None
    ) -> tuple[Any, ...]:
        """The partials; None where a select has left an operand out."""
        return tuple(self.shares(args))

    def in_rows(self, z: Any, *xs: Any) -> list[Any]:
        """The partials as the rows compute them, for who writes them in symbols."""
        return self.shares(xs, lambda path, xs, ys: replay(path.long, xs))

    def shares(
        self, xs: Sequence[Any], on_values: Callable[..., Sequence[Any]] | None = None
    ) -> list[Any]:
        path, ys = self._shares.run(_numbers(xs))
        found: Sequence[Any] = ys
        if Value in map(type, xs):
            found = (on_values or self._shares.recorded)(path, [*xs], ys)
        half = len(xs)
        return [d if ys[half + i] == 0.0 else None for i, d in enumerate(found[:half])]

    def like(self, tree: Tree, path: Path) -> Row:
        """The same code as a row of another tree, where its path has come again."""
        row = Row(tree, path)
        row._shares, row.kept, row.executable = self._shares, self.kept, self.executable
        return row

    def ready(self, closed: list[Value], places: Places) -> Any:
        """The path as a node for C to make: its value, partials, and what is absent."""
        path = self._path
        shares = [each.long for each in self._shares.paths]
        if len(shares) != 1 or shares[0].guards:
            return None
        if self.executable is None:
            short, self.kept = shortened(joined(path.long, shares[0]))
            self.executable = executable(short)
        sources = bytes([i in path.sources() for i in range(path.long.inputs)])
        node = self, closed, sources, path.own
        return calls.ready(path, self.executable, self._tree.form, places, *node)


class _Shares:
    """The gradient of a tape as a function to trace: partials, then what is absent."""

    doubt: Doubt | None = None

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def roots(self, form: Form) -> list[Any]:
        return []

    def run(self, form: Form, xs: Sequence[Any]) -> list[Any]:
        every = tuple(range(len(xs)))
        run = _Recording(
            "jit", lambda *xs: replay(self.tape, xs)[0], tuple(xs), every, {}
        )
        found = run.adjoints([run.out], [1.0], missing=None)
        absent = [
            bar.absent if type(bar) is Share else float(bar is None) for bar in found
        ]
        return run.derivatives([0.0 if bar is None else bar for bar in found]) + absent


def _recorded(tree: Tree, path: Path, inputs: list[Any], y: float) -> Any:
    """One node for a call on Values; y itself if it depends on none of them.

    A constant is a Value if an argument is one, as derivatives are in eager code.
    """
    if not path.sources() and Value in map(type, inputs[: path.own]):
        return Value(y)
    if not any(type(inputs[i]) is Value for i in path.sources()):
        return y
    row = _row(tree, path)
    partials = row.shares(_numbers(inputs))
    return _node(
        row,
        y,
        tuple(inputs),
        tuple([d if type(x) is Value else None for x, d in zip(inputs, partials)]),
    )


def _compiled(f: Callable[..., Any]) -> Compiled[Any]:
    return Compiled(f, ())


def _row(tree: Tree, path: Path) -> Row:
    if path.row is None:
        path.row = Row(tree, path)
    return path.row


def _numbers(xs: Sequence[Any]) -> list[float]:
    if Value not in map(type, xs):
        return [*xs]
    return [x._data if type(x) is Value else x for x in xs]


# ---- what cannot be compiled ---------------------------------------------------------


def _tell(doubt: Doubt, operation: str) -> None:
    """Say, at the line that is the cause, that f runs op by op from now on."""
    file, _, line = doubt.place.rpartition(":")
    warnings.warn_explicit(
        f"{operation}: a compiled function must not {doubt.what}, which changes from "
        f"call to call, but f does at {doubt.place}; it runs op by op from now on",
        RuntimeWarning,
        file,
        int(line),
    )


def _lowered(y: Any, since: int) -> Any:
    """The number of y, unless an operand from before that time has a say in it."""
    if type(y) is not Value or tracing() is not None:
        return y
    nodes = topological(y, since=since, whole=True)
    operands = [y, *(x for node in nodes for x in node._args if type(x) is Value)]
    return y if any(x._made < since for x in operands) else y._data


# ---- arguments that are no numbers, and pickles --------------------------------------


def _statics(form: Form) -> Iterator[Static]:
    """What is no number in a form."""
    rest = form if isinstance(form, Static) else getattr(form, "rest", None)
    if rest is not None:
        yield rest
    for inner in getattr(form, "forms", ()):
        yield from _statics(inner)


def _static(x: Any) -> Static:
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            f"jit: a static argument must be hashable, but is {type(x).__name__}; "
            "pass its numbers as an ordinary argument, or close over it"
        ) from None
    return static(x)


def _portable(compiled: Compiled[Any]) -> Any:
    """f itself where it can be pickled, where it can be imported its name.

    Otherwise, for the pickler to take by value if it can, [what tells so, f or None].
    """
    name = Name(compiled.__module__, compiled.__qualname__)
    known = name if name.found() is compiled.f else None
    if known and name.module != "__main__":
        return known
    if not known:
        try:
            pickle.dumps(compiled.f)
        except Exception:  # whatever its parts raise, it cannot travel so
            pass
        else:
            return compiled.f
    travels = Travels(compiled.f, known)
    return [Asking("asking", (), {"mark": Mark(travels)}), travels]


class Asking(type):
    """Of a class of this kind, a pickler takes what it holds if it goes by value.

    So do cloudpickle and those that build on it, with functions as with classes, and
    ask nobody. For others `copyreg` says that nothing is to be taken.
    """


class Mark:
    """What such a class holds: once it is pickled, the function can be, too."""

    def __init__(self, travels: Travels) -> None:
        self.travels = travels

    def __reduce__(self) -> Any:
        self.travels.by_value = True
        return NoneType, ()


class Travels:
    """A function for picklers that take it by value, and what stands for it elsewhere.

    Dask goes on with cloudpickle where pickle has named __main__.
    """

    def __init__(self, f: Any, otherwise: Name | None) -> None:
        self.f, self.otherwise, self.by_value = f, otherwise, False

    def __reduce__(self) -> Any:
        return _arrived, (self.f,) if self.by_value else (self.otherwise, "__main__")


def _arrived(f: Any, *_: str) -> Any:
    return f


copyreg.pickle(Asking, lambda _: (NoneType, ()))  # type: ignore[arg-type, return-value]


class Name(NamedTuple):
    """Where a function can be imported from, be it compiled there or not."""

    module: str
    qualname: str

    def found(self) -> Any:
        try:
            f = attrgetter(self.qualname)(import_module(self.module))
        except (ImportError, AttributeError):
            return None
        return f.f if isinstance(f, Compiled) else f
