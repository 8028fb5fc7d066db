"""Compile a function: run it once, keep what it did, run that from then on.

One run gives a tape for the branches it took. A later call at which a guard fails runs
the function again and adds that path, so a compiled function is a tree: each path is a
whole tape from the start, each branch leads from a failed guard to the path that holds.

    form      the structure of the arguments: what is compiled, is compiled for one form
    closed    the Values from outside that the function used, read at every call
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Real
from operator import attrgetter
from threading import RLock
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Generic, Self

from .. import signatures
from ..copies import Version
from ..primitives import Primitive, clean
from ..signatures import F, seen_as
from ..trees import NUMBER, Form, fill, flatten
from ..value import Value, _node, tick, topological
from ..watch import point_at, tracing, watchers, watching
from . import calls, source
from .machine import in_a_thread
from .nodes import Several, Shares, Single
from .paths import MOST_PATHS, OnePath, Path, Paths, tell_of_paths
from .places import Places, Search, is_of_table, moved, of_numbers, settle, swaps
from .points import NEVER, short_code
from .portable import portable, restored
from .rolled.names import of_call
from .rolled.text import text
from .statics import NO_STATICS, Statics, statics_in, statics_of
from .tape import Tape
from .trace import Doubt, Trace, numbers_of, replay

READABLE: Final = 20_000  # instructions that are simplified before they are shown
MOST_FORMS: Final = 256  # of arguments, whose paths are kept
_FLOAT: Final = frozenset({float})


@seen_as(signatures.Jit)
def jit(
    f: Callable[..., Any],
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
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
    None, members of an Enum and the arguments named by static_argnums (positions) or
    static_argnames select what is compiled, while an array of bools is one of numbers;
    for the 256 forms of arguments used last the code is kept, until `clear()`.

    Values that f closes over are read at every call, where f would find them then: in
    the variables, attributes and items that held them when f was traced. Another Value
    in such a place is read in its stead, and where more has changed, f is traced again:

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
    where llvmlite is installed. A long one runs as a few loops from the start, which
    `rolled()` prints; llvmlite takes over, in a thread, what has no loops and is called
    often. The bits are the same.
    Of the paths, 64 are kept: a call that takes yet another one runs op by op, said
    once, with the line; where() in place of that branch makes it one path. Raises
    TypeError where f writes to its arguments, which would be lost.
    """
    if not callable(f):
        raise TypeError(
            f"jit: f must be a function, but is {type(f).__name__}; write jit(f) first "
            "and call the result with numbers"
        )
    return Compiled(f, statics_of(f, static_argnums, static_argnames))


@calls.called_in_c
class Compiled(Generic[F]):
    """A compiled function: for each form of arguments, a tree of paths."""

    ready: Any = None  # the path taken last, if C can call it
    doubt: Doubt | None = None  # why it is not compiled after all
    caller = "jit"  # whom its errors name
    _needs_values = False  # to run op by op: it calls methods of Values

    def __init__(self, f: Callable[..., Any], static: Statics = NO_STATICS) -> None:
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
        kept = tree.path is not None and self.static == NO_STATICS and not kwargs
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
        tree.improve()
        if calls.extension is not None:
            self.ready = tree.ready(on_values)

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else MethodType(self, owner)

    def tree(self, *args: Any, **kwargs: Any) -> tuple[Tree, list[Any]]:
        """The paths for arguments of this form, and the numbers in them."""
        numbers, form = self._flat(args, kwargs)
        tree = self.trees.pop(form, None)  # once: a long form takes long to be found
        if tree is None:
            tree = Tree(self, form)
            self._make_room()
        elif not tree.is_current():
            tree = tree.renewed()
            calls.forget(self)
        self.trees[form] = tree  # the last of them: it was used last
        return tree, numbers

    def _make_room(self) -> None:
        """Forget the form that was used longest ago, if there are too many."""
        if len(self.trees) >= MOST_FORMS:
            self.trees.pop(next(iter(self.trees)), None)
            self._of_floats.clear()
            calls.forget(self)

    def clear(self) -> None:
        """Forget all that was traced and compiled, and its memory.

        >>> f = jit(lambda x: x * x)
        >>> f(3.0), f.clear(), f
        (9.0, None, <jit of <lambda>: 0 paths>)
        """
        self.trees, self._of_floats, self._last = {}, {}, None
        calls.forget(self)

    def _flat(self, args: Sequence[Any], kwargs: Any) -> tuple[list[Any], Form]:
        """The numbers in arguments, and their form."""
        return flatten(self.static.marked(args, kwargs))

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
        return [self.f, *(each.item for each in statics_in(form))]

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
            return self._last.run(numbers_of(numbers))[0]
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

    def rolled(self, *args: Any, **kwargs: Any) -> str:
        """The loops that a path comes to, as a person would write them: print it.

        >>> from autograd import grad
        >>> f = jit(grad(lambda w, x: sum(a * b for a, b in zip(w, x)) ** 2))
        >>> print(f.rolled([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
        def gradient(w[3], x[3]):
            # sums add term by term, from the left; 0 + is not shown
            p1 = 2·(Σ_r w[r]·x[r])
            for i in 0..2: z1[i] = x[i]·p1
            return z1
        """
        path = self.path(*args, **kwargs)
        tree = next(tree for tree in self.trees.values() if path in tree.paths)
        labels = [x.label for x in tree.closed]
        names = of_call(self.f or self, tree.form, labels)[: path.long.inputs]
        brief = len(path.long.code) <= READABLE
        return text(path.short if brief else path.code.tape, names, self.__name__)

    def source(self, *args: Any, **kwargs: Any) -> str:
        """The Python generated for a path, which runs where LLVM is not installed."""
        return source.compile(self.tape(*args, **kwargs)).text

    def ir(self, *args: Any, **kwargs: Any) -> str:
        """The LLVM assembly generated for a path; needs llvmlite."""
        from .native import compile

        return compile(self.tape(*args, **kwargs)).ir()

    def __getstate__(self) -> dict[str, Any]:
        shared = {"trees": dict(self.trees), "_of_floats": {}}
        own = {**self.__dict__, **shared, "f": portable(self)}
        return {"version": Version("a compiled function"), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        del state["version"]
        self.__dict__.update(state)
        self.f = restored(self.f, type(self))


calls.connect(Compiled)


class Tree:
    """The paths of a function for arguments of one form."""

    caller = "jit"  # whom its errors name
    kind: type[Path] = Path

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
        self._missed: dict[int, int] = {}  # how often a branch to nowhere was taken
        self._told = False  # that there are more paths than are kept
        self._wait = MOST_PATHS
        self._locks: dict[int, RLock] = {}

    def __getstate__(self) -> Any:
        return self.owner, self.form, self.closed, self.paths, self.path

    def __setstate__(self, state: Any) -> None:
        self.owner, self.form, self.closed, self.paths, self.path = state
        self.places, self._before = Places(), ()
        self._missed, self._told, self._wait = {}, False, MOST_PATHS
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
        xs = numbers_of(numbers)
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
            return [self._node(path, inputs, ys[0])]
        return self.several(path).results(ys, tuple(inputs))

    def _node(self, path: Path, inputs: list[Any], y: float) -> Any:
        """One node for a call on Values; y itself if it depends on none of them.

        A constant is a Value if an argument is one, as derivatives are in eager code.
        """
        if not path.sources() and Value in map(type, inputs[: path.own]):
            return Value(y)
        if not any(type(inputs[i]) is Value for i in path.sources()):
            return y
        row = self.single(path)
        shares = zip(inputs, row.shares(numbers_of(inputs)))
        partials = tuple([d if type(x) is Value else None for x, d in shares])
        return _node(row, y, tuple(inputs), partials)

    def single(self, path: Path) -> Single:
        """The row of calls with one result."""
        if path.row is None:
            path.row = Single(self, path, Tree(Shares(path.long), NUMBER))
        return path.row

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
            code = path.code
            ys, failed = code.scalar(self.inputs(xs, path, closed))
            if failed < 0:
                path.count()
                if not isinstance(path, OnePath):
                    self.path = path
                return path, ys
            failed = code.kept[failed]
            path = self.after(path, failed) or self.add(xs, path, failed)

    def ready(self, on_values: bool) -> Any:
        """The path taken last for C to call, once it was taken often."""
        path = self.path
        if path is None or path.taken <= path.code.often:
            return None
        on_values = on_values or path.long.inputs > path.own
        if on_values not in path.ready:
            with self._lock:
                self._get_ready(path, on_values)
        return path.ready.get(on_values)  # another thread may have replaced the code

    def _get_ready(self, path: Path, on_values: bool) -> None:
        if on_values not in path.ready:  # no other thread has been here
            path.ready[on_values] = None  # whatever comes of it, it is tried once
            path.ready[on_values] = self._ready(path, on_values)
            self._lead(on_values)

    def improve(self) -> None:
        """Have LLVM compile a path that was taken often, while calls go on."""
        path = self.path
        if path is None or path.taken < path.until:
            return
        with self._lock:
            if path.until != NEVER:  # no other thread has been here
                path.until = NEVER
                in_a_thread(partial(self._replace_code, path))

    def _replace_code(self, path: Path) -> None:
        better = short_code(path.long)
        better.executable.entry()
        with self._lock:
            path.replace(better, partial(calls.forget, self.owner))

    def _ready(self, path: Path, on_values: bool) -> Any:
        if not on_values:
            ready = calls.ready(path, path.executable, self.form, self.places)
            if ready is not None:
                ready.until = path.until - path.taken
            return ready
        row = path.row or path.several
        return row and row.ready(self.closed, self.places)

    def _lead(self, on_values: bool) -> None:
        """Tell each path that C calls which other one holds where a guard fails."""
        for path in self.paths:
            here = path.ready.get(on_values)
            if here is None:
                continue
            kept = path.row.kept if on_values and path.row else path.code.kept
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
            full = missed is not None and len(self.paths) >= MOST_PATHS
            if full and not self._is_due(missed, failed):
                return self._traced(xs, kept=False)
            path = self._traced(xs)
            if isinstance(path, OnePath):
                return path  # for this call alone
            if full:
                self._drop_least()
            self._join(path, missed, failed)
            self.paths.append(path)
            self.path = self.path or path
            return path

    def _is_due(self, missed: Any, failed: int) -> bool:
        """Whether so many calls have missed this branch that a path is worth its place.

        Each path that gets one makes the next wait longer, lest they come and go.
        """
        if not self._told:
            self._told = True
            tell_of_paths(missed.long.guards[failed].place, self.caller)
        key = id(missed.branches[failed])
        self._missed[key] = self._missed.get(key, 0) + 1
        if self._missed[key] < self._wait:
            return False
        self._missed, self._wait = {}, 2 * self._wait
        return True

    def _drop_least(self) -> None:
        """Give up the path that was taken least since the last time."""
        least = min(self.paths, key=lambda path: path.taken - path.before)
        self.paths.remove(least)
        if self.path is least:
            self.path = self.paths[0]
        for i, branch in enumerate(least.branches):
            turn = least.long.guards[i].expected
            if branch[turn] is least:
                others = (p for p in self.paths if p.goes(i, branch, turn))
                branch[turn] = next(others, None)
        for path in self.paths:
            path.before = path.taken
            path.replace(path.code, partial(calls.forget, self.owner))

    def _traced(
        self, xs: Sequence[float], turns: Sequence[bool] = (), kept: bool = True
    ) -> Path:
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
            self.owner.doubt.tell(self.caller)
        if trace.doubts or not settled or not kept:
            return OnePath(tape, form, len(xs), truths)
        known = self._known(tape, form, truths)
        return known.again(self) if known else self.kind(tape, form, len(xs), truths)

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


def _compiled(f: Callable[..., Any]) -> Compiled[Any]:
    return Compiled(f)


# ---- what cannot be compiled ---------------------------------------------------------


def _lowered(y: Any, since: int) -> Any:
    """The number of y, unless an operand from before that time has a say in it."""
    if type(y) is not Value or tracing() is not None:
        return y
    nodes = topological(y, since=since, whole=True)
    operands = [y, *(x for node in nodes for x in node._args if type(x) is Value)]
    return y if any(x._made < since for x in operands) else y._data
