"""Compiled functions called on Values: nodes of one result or several, and derivatives.

The pullback of a path is a function as any, of the operands and of the adjoints that
have come: traced from the path's tape and compiled in turn, once for each set of
results that are used. Called on Values it is a call of several results itself, so that
derivatives of any order are compiled. Likewise the pushforward.

Where a select leaves an operand out at this point, its share is not zero but absent:
None if that is so at every point of the path, else a flag says so.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

from ..absent import Share
from ..accelerator import twin
from ..primitives import Primitive
from ..transforms import Recording
from ..trees import Form, static
from ..value import Value, _components
from ..vector import Call
from . import calls
from .points import PathCode, code_of
from .tape import Tape, joined
from .trace import OPERATORS, Doubt, numbers_of, replay

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]

NONE: Final = static(None)  # the form of what is absent throughout
Present = tuple[bool, ...]  # which results, or operands, have an adjoint or a tangent


def _nothing(*what: Any) -> None:
    """Where the engine is in Python, it has no sweep in C to lend code to."""


link: Callable[..., None] = twin("_link", _nothing)


class Single(Primitive):
    """A path with one output as a primitive, whose partials are compiled, too.

    shares   the tree of their paths
    """

    def __init__(self, tree: Any, path: Any, shares: Any) -> None:
        name = getattr(tree.owner, "__name__", "f")
        super().__init__(name, self._value, self._rule)
        self.variadic, self.arity = True, 0
        self._tree, self._path, self._shares = tree, path, shares
        self._code: PathCode | None = None  # of value and shares

    def __reduce__(self) -> Any:
        return self._tree.single, (self._path,)

    def inside(self, xs: Sequence[Any]) -> Any:
        """The result as the rows compute it, for who looks inside a call on Values."""
        return replay(self._path.long, xs)[0]

    def _value(self, *xs: float) -> float:
        """The value at any point, which may lie on another path."""
        ys, failed = self._path.scalar(xs)
        if failed < 0:
            return float(ys[0])
        own = self._path.own
        return float(self._tree.run(xs[:own], xs[own:])[1][0])

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
        path, ys = self._shares.run(numbers_of(xs))
        found: Sequence[Any] = ys
        if Value in map(type, xs):
            found = (on_values or self._shares.recorded)(path, [*xs], ys)
        half = len(xs)
        return [d if ys[half + i] == 0.0 else None for i, d in enumerate(found[:half])]

    def like(self, tree: Any, path: Any) -> Single:
        """The same code as a row of another tree, where its path has come again."""
        row = Single(tree, path, self._shares)
        row._code = self._code
        return row

    def ready(self, closed: list[Value], places: Any) -> Any:
        """The path as a node for C to make: its value, partials, and what is absent."""
        path = self._path
        shares = [each.long for each in self._shares.paths]
        if len(shares) != 1 or shares[0].guards:
            return None
        if self._code is None:
            self._code = code_of(joined(path.long, shares[0]))
        sources = bytes([i in path.sources() for i in range(path.long.inputs)])
        node = self, closed, sources, path.own
        run = self._code.executable
        return calls.ready(path, run, self._tree.form, places, *node)

    @property
    def kept(self) -> Sequence[int]:
        """Of the path's guards, what C has to check."""
        return self._code.kept if self._code else ()


class Shares:
    """The gradient of a tape as a function to trace: partials, then what is absent."""

    doubt: Doubt | None = None

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def roots(self, form: Form) -> list[Any]:
        return []

    def run(self, form: Form, xs: Sequence[Any]) -> list[Any]:
        every = tuple(range(len(xs)))
        run = Recording(
            "jit", lambda *xs: replay(self.tape, xs)[0], tuple(xs), every, {}
        )
        found = run.adjoints([run.out], [1.0], missing=None)
        absent = [
            bar.absent if type(bar) is Share else float(bar is None) for bar in found
        ]
        return run.derivatives([0.0 if bar is None else bar for bar in found]) + absent


class Several(Call):
    """A path with several outputs, as the row of its calls on Values."""

    uses_results = False

    def __init__(self, tree: Any, path: Any, compile: Compile) -> None:
        super().__init__(getattr(tree.owner, "__name__", "f"))
        self._tree, self._path, self._compile = tree, path, compile
        self._pulls: dict[Present, Callable[..., Any]] = {}
        self._pushes: dict[Present, Callable[..., Any]] = {}
        self._linked: dict[bytes, Any] = {}
        self._masks: list[int] = []
        self._plans: dict[bytes, list[Any] | None] = {}

    def __reduce__(self) -> Any:
        return self._tree.several, (self._path,)

    def like(self, tree: Any, path: Any) -> Several:
        """The same code in another tree, where its path has come again."""
        row = Several(tree, path, self._compile)
        row._pulls, row._pushes, row._masks = self._pulls, self._pushes, self._masks
        return row

    def at(self, xs: Sequence[float]) -> tuple[float, ...]:
        """The results at any point, which may lie on another path."""
        ys, failed = self._path.scalar(xs)
        if failed < 0:
            return tuple(ys)
        own = self._path.own
        return tuple(self._tree.run(xs[:own], xs[own:])[1])

    def inside(self, xs: Sequence[Any]) -> list[Any]:
        """The results as the rows compute them, for who looks inside a call."""
        return replay(self._path.long, xs)

    # ---- derivatives -----------------------------------------------------------------

    def pull(self, ys: Sequence[Any], xs: Sequence[Any], y_bars: Sequence[Any]) -> Any:
        """x_bars, by code compiled for the results that have an adjoint."""
        given = [y_bar for y_bar in y_bars if y_bar is not None]
        pull = self._pull(y_bars)
        found = pull([*xs], given)
        if pull.ready is not None and link is not _nothing:
            self._link(bytes([y_bar is not None for y_bar in y_bars]), pull.ready.path)
        return _with_gaps(*found)

    def _link(self, present: bytes, path: Any) -> None:
        """Lend a pullback's machine code to C, which calls it in sweeps."""
        if present in self._linked:
            return
        run = self._linked[present] = path.executable  # which keeps the code in memory
        entry = run.entry()
        if entry is None:
            return
        shares, absent = path.form.forms
        places, flags = array("i"), len(shares.forms) - shares.forms.count(NONE)
        of_flag = {i: flags + k for k, i in enumerate(absent.names)}
        slots = count()
        for i, form in enumerate(shares.forms):
            place = -1 if form == NONE else next(slots)
            places.extend([place, of_flag.get(i, -1)])
        tape = run.tape
        sizes = len(tape.outputs), entry.workspace
        link(self, present, entry[:2], *sizes, places.tobytes())

    def pull_in_rows(
        self, ys: Sequence[Any], xs: Sequence[Any], y_bars: Sequence[Any]
    ) -> Any:
        """The same by the tape of that code, run on Values."""
        given = [y_bar for y_bar in y_bars if y_bar is not None]
        path = self._pull(y_bars).path(numbers_of(xs), numbers_of(given))
        return _with_gaps(*path.fill(tuple(replay(path.long, [*xs, *given]))))

    def _pull(self, y_bars: Sequence[Any]) -> Any:
        present = tuple([y_bar is not None for y_bar in y_bars])
        pull = self._pulls.get(present)
        if pull is None:
            made = Pullback(self._path.long, present, self.name)
            pull = self._pulls[present] = self._compile(made)
        return pull

    def push(self, ys: Sequence[Any], xs: Sequence[Any], x_dots: Sequence[Any]) -> Any:
        """y_dots, by code compiled for the operands that have a tangent."""
        present = tuple([x_dot is not None for x_dot in x_dots])
        push = self._pushes.get(present)
        if push is None:
            made = Pushforward(self._path.long, present, self.name)
            push = self._pushes[present] = self._compile(made)
        return _with_gaps(*push([*xs], [dot for dot in x_dots if dot is not None]))

    # ---- the results of a call -------------------------------------------------------

    def ready(self, closed: list[Value], places: Any) -> Any:
        """The path for C to call, which makes nodes by `results`."""
        path = self._path
        node = self, closed, bytes(path.long.inputs), path.own
        return calls.ready(path, path.executable, self._tree.form, places, *node)

    def results(
        self, ys: tuple[float, ...], xs: tuple[Any, ...], kinds: bytes | None = None
    ) -> Sequence[Any]:
        """What a call on these gives: components, operands as they are, and numbers.

        kinds   for each operand, whether it is a Value
        """
        if kinds is None:
            kinds = bytes([type(x) is Value for x in xs])
        if kinds not in self._plans:
            self._plans[kinds] = self._plan(kinds)
        plan = self._plans[kinds]
        if plan is None:
            return tuple(_components(self, ys, xs))
        nodes: Sequence[Any] = ys
        if None in plan:
            nodes = _components(self, ys, xs)
        found = zip(plan, ys, nodes)
        return [
            node if source is None else y if source < 0 else xs[source]
            for source, y, node in found
        ]

    def _plan(self, kinds: bytes) -> list[int | None] | None:
        """For each output an operand that it is, -1 for a number, or None for a node.

        None where all are nodes.
        """
        tape = self._path.long
        self._masks = self._masks or sources(tape)
        values = sum([1 << i for i, is_value in enumerate(kinds) if is_value])
        plan = [
            y if type(y) is int and y < tape.inputs else None if mask & values else -1
            for y, mask in zip(tape.outputs, self._masks)
        ]
        return plan if set(plan) != {None} else None


def _with_gaps(shares: list[Any], absent: dict[int, Any]) -> list[Any]:
    """The shares, less those that a select leaves out at this point."""
    for i, flag in absent.items():
        if flag != 0.0:
            shares[i] = None
    return shares


def sources(tape: Tape) -> list[int]:
    """For each output the inputs it depends on, other than by comparisons: a bit each.

    >>> from autograd.primitives import less, mul
    >>> code = (mul, (0, 1)), (less, (0, 1))
    >>> sources(Tape(2, code, (2, 3, 1, 0.5)))
    [3, 0, 2, 0]
    """
    masks = [1 << i for i in range(tape.inputs)]
    for row, args in tape.code:
        mask = 0
        if row not in OPERATORS:
            for x in args:
                mask |= masks[x] if type(x) is int else 0
        masks.append(mask)
    return [masks[y] if type(y) is int else 0 for y in tape.outputs]


class Derivative:
    """What the pullback and the pushforward of a path have in common."""

    def __init__(self, tape: Tape, present: Present, name: str) -> None:
        self.tape, self.present = tape, present
        self.__name__ = f"{type(self).__name__.lower()}_{name}"

    def _run(self, xs: list[Any], wanted: Sequence[int]) -> Recording:
        return Recording(
            "jit", lambda *xs: replay(self.tape, xs), tuple(xs), tuple(wanted), {}
        )

    def _handed_out(
        self, run: Recording, found: list[Any], given: list[Any]
    ) -> tuple[list[Any], dict[int, Any]]:
        """The shares, None for what is absent throughout, and flags for some others."""
        absent = {i: x.absent for i, x in enumerate(found) if type(x) is Share}
        shares = run.derivatives([0.0 if x is None else x for x in found], given)
        gaps = [None if x is None else share for x, share in zip(found, shares)]
        return gaps, absent


class Pullback(Derivative):
    """(xs, y_bars) -> x_bars, of the results that are present."""

    def __call__(self, xs: list[Any], y_bars: list[Any]) -> Any:
        """Traced, it is the reverse sweep over the tape."""
        run = self._run(xs, range(len(xs)))
        ys = [y for y, there in zip(run.out, self.present) if there]
        return self._handed_out(run, run.adjoints(ys, y_bars, missing=None), y_bars)


class Pushforward(Derivative):
    """(xs, x_dots) -> y_dots, of the operands that are present."""

    def __call__(self, xs: list[Any], x_dots: list[Any]) -> Any:
        """Traced, it is the forward sweep over the tape."""
        run = self._run(xs, [i for i, there in enumerate(self.present) if there])
        return self._handed_out(run, run.tangents(run.out, x_dots, None), x_dots)
