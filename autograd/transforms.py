"""Derivatives as functions of functions: grad, vjp, jvp, jacobian, hessian, hvp.

Each transform runs f once on fresh copies of its arguments, then walks the graph that
f recorded (see graph.py): backwards with adjoints (reverse mode) or forwards with
tangents (forward mode). These are kept apart from the nodes, and every call has its own
copies, so calls nest in any way without mixing up whose derivative is whose.

Derivatives are Values if an argument is one from outside f, or any operand that f
recorded, be it left out at this point or not; otherwise they are floats. A trace, made
of a function to compile, says which Values stand for floats of a later call.

    x_bar, y_bar   adjoints       fresh   the copies of the arguments that f receives
    x_dot, y_dot   tangents
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from threading import get_ident
from typing import Any, Final
from weakref import ref

from . import signatures
from .accelerator import in_c
from .graph import Graph, settled
from .primitives import brief, identity, number
from .signatures import ArgNums, T, seen_as
from .trees import (
    NUMBER,
    Container,
    Form,
    Static,
    Statics,
    Tree,
    alike,
    array_of,
    fill,
    flatten,
    is_array,
    parts,
    rebuilt,
    values_in,
)
from .value import Value, tick
from .watch import point_at, tracing, watching


@seen_as(signatures.Grad)
def grad(
    f: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The gradient function of a scalar f, in the structure of the argument(s) named.

    >>> grad(lambda x: x**3)(2.0)
    12.0
    >>> grad(grad(lambda x: x**3))(2.0)
    12.0
    >>> grad(lambda w, x: w[0] * x + w[1], argnums=(0, 1))([3.0, 1.0], 2.0)
    ([2.0, 1.0], 3.0)

    None stays where it is in a container, and so does a setting: a str, a bool or a
    member of an Enum under a name of its own (a key, a field).

    >>> grad(lambda p: p["w"] ** 2 if p["on"] else 0.0)({"w": 3.0, "on": True})
    {'w': 6.0, 'on': True}

    With has_aux, f returns (y, aux) and the gradient function (gradient, aux).
    Raises TypeError if f does not return one number, or for an argument that is neither
    a number nor a container: tell `register_tree` of classes of your own.
    """
    both = value_and_grad(f, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        y, x_bar = both(*args, **kwargs)
        return (x_bar, y[1]) if has_aux else x_bar

    return gradient


@seen_as(signatures.ValueAndGrad)
def value_and_grad(
    f: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that gives (value, gradient), or ((value, aux), gradient).

    >>> value_and_grad(lambda x: x * x)(3.0)
    (9.0, 6.0)
    """
    require_callable("grad", f)
    require_positions("grad", argnums)

    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        run = Recording("grad", f, args, argnums, kwargs)
        y, aux = run.out, None
        if has_aux:
            if not isinstance(y, tuple) or len(y) != 2:
                raise TypeError(
                    "grad: f must return (y, aux) when has_aux is set, but returned "
                    f"{type(y).__name__}; return a tuple of two"
                )
            y, aux = y
        y = require_scalar("grad", y)
        x_bar = run.unravel(run.pull([y], [1.0]))
        (value,) = run.given([y])
        return ((value, run.values(aux)) if has_aux else value), x_bar

    return value_and_gradient


@seen_as(signatures.Vjp)
def vjp(f: Callable[..., Any], *primals: Tree) -> tuple[Tree, Callable[[Tree], Any]]:
    """Reverse mode, once: (y, pullback), where pullback(y_bar) is y_barᵀ · J.

    >>> y, pullback = vjp(lambda x, y: [x * y, x + y], 2.0, 3.0)
    >>> y, pullback([1.0, 0.0])
    ([6.0, 5.0], (3.0, 2.0))
    """
    run = Recording("vjp", f, primals, tuple(range(len(primals))), {})
    ys, form = run.results()

    def pullback(y_bar: Tree) -> Any:
        y_bars = alike("vjp: y_bar", "y", form, y_bar)
        run.recall()
        return run.unravel(run.pull(ys, y_bars))

    return fill(form, run.given(ys)), pullback


@seen_as(signatures.Jvp)
def jvp(
    f: Callable[..., Any], primals: Sequence[Tree], tangents: Sequence[Tree]
) -> tuple[Tree, Tree]:
    """Forward mode, once: (y, J · x_dot), the derivative of f in one direction.

    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.0))
    (6.0, 3.0)
    """
    return _jvp("jvp", f, primals, tangents, "no truths")


def _jvp(
    operation: str, f: Callable[..., Any], primals: Any, tangents: Any, static: Statics
) -> tuple[Tree, Tree]:
    require_callable(operation, f)
    primals = _sequence(operation, "primals", primals)
    tangents = _sequence(operation, "tangents", tangents)
    run = Recording(operation, f, primals, tuple(range(len(primals))), {})
    form = Container(tuple, None, None, tuple(run.forms))
    x_dots = alike(f"{operation}: tangents", "the primals", form, tangents)
    ys, form = run.results(static)
    y_dots = run.push(ys, x_dots)
    return fill(form, run.given(ys)), fill(form, y_dots)


@seen_as(signatures.Jacobian)
def jacobian(
    f: Callable[..., Any], argnums: ArgNums = 0, sparse: bool = False
) -> Callable[..., Any]:
    """The function that gives ∂yᵢ/∂xⱼ, y's structure outside and x's inside.

    >>> jacobian(lambda x: [x[0] * x[1], x[0] + x[1]])([2.0, 3.0])
    [[3.0, 2.0], [1.0, 1.0]]

    f runs once. Where it takes fewer numbers than it gives, this is `jacfwd`, else
    `jacrev`.

    If sparse, it gives a csr_array of SciPy's, with a row for each number of y and a
    column for each of x, in the order of `ravel`. The entries are those of `sparsity`,
    and only they are computed.

    >>> jacobian(lambda x: [x[0] * x[1], x[2]], sparse=True)([2.0, 3.0, 5.0]).data
    array([3., 2., 1.])

    That raises ImportError without SciPy, and TypeError where f uses Values from
    outside, which such an array cannot hold.
    """
    if sparse:
        return _in_science("sparse_jacobian", f, argnums)
    return _jacobian("jacobian", f, argnums, "no truths", _are_fewer)


@seen_as(signatures.OfOneOrRows)
def jacfwd(f: Callable[..., Any], argnums: ArgNums = 0) -> Callable[..., Any]:
    """The Jacobian by forward mode: the tangents of all inputs, in one sweep.

    >>> jacfwd(lambda t: [t, t**2, t**3])(2.0)
    [1.0, 4.0, 12.0]

    Its price grows with the numbers that f takes; those that it gives are free.
    """
    return _jacobian("jacfwd", f, argnums, "no truths", lambda xs, ys: True)


@seen_as(signatures.OfOneOrRows)
def jacrev(f: Callable[..., Any], argnums: ArgNums = 0) -> Callable[..., Any]:
    """The Jacobian by reverse mode: one sweep for each number that f gives.

    >>> jacrev(lambda x: [x[0] * x[1] * x[2]])([2.0, 3.0, 5.0])
    [[15.0, 10.0, 6.0]]

    Its price grows with the numbers that f gives; those that it takes are free.
    """
    return _jacobian("jacrev", f, argnums, "no truths", lambda xs, ys: False)


def _are_fewer(xs: Sequence[Any], ys: Sequence[Any]) -> bool:
    """Whether fewer sweeps are made for the inputs than for the results.

    Those that are plain numbers count: compiled, they may be Values, and the bits are
    those of the same sweeps.
    """
    return len(xs) < len(ys)


def _jacobian(
    operation: str,
    f: Callable[..., Any],
    argnums: ArgNums,
    static: Statics,
    forward: Callable[[Sequence[Any], Sequence[Any]], bool],
) -> Callable[..., Any]:
    require_callable(operation, f)
    require_positions(operation, argnums)

    def jacobian_of_f(*args: Any, **kwargs: Any) -> Any:
        run = Recording(operation, f, args, argnums, kwargs)
        ys, form = run.results(static)
        if run.fresh and forward(run.fresh, ys):
            rows: Any = zip(*run.columns(ys))
        else:
            rows = [run.pull([y], [1.0]) for y in ys]
        return fill(form, map(run.unravel, rows))

    return jacobian_of_f


@seen_as(signatures.Hessian)
def hessian(
    f: Callable[..., Any], argnums: ArgNums = 0, sparse: bool = False
) -> Callable[..., Any]:
    """The function that gives ∂²y/∂xᵢ∂xⱼ of a scalar f.

    >>> hessian(lambda x: x[0] ** 2 * x[1])([2.0, 3.0])
    [[6.0, 4.0], [4.0, 0.0]]

    If sparse, it gives a csr_array of SciPy's, with a row and a column for each number
    of the argument(s) named, in the order of `ravel`. The entries are those of
    `sparsity`, and only they are computed, all in one sweep.

    >>> h = hessian(lambda x: x[0] ** 2 * x[1] + x[2] ** 3, sparse=True)
    >>> h([2.0, 3.0, 5.0]).toarray()
    array([[ 6.,  4.,  0.],
           [ 4.,  0.,  0.],
           [ 0.,  0., 30.]])

    Of a sum of many like elements, `vmap(hessian(element))` gives all blocks at once,
    for scipy.sparse.coo_array to add up. Sparse, it raises as `jacobian` does.
    """
    if sparse:
        return _in_science("sparse_hessian", f, argnums)
    require_callable("hessian", f)
    require_positions("hessian", argnums)
    gradient = grad(f, argnums)
    return _jacobian("hessian", gradient, argnums, "named", lambda xs, ys: False)


def _in_science(
    name: str, f: Callable[..., Any], argnums: ArgNums
) -> Callable[..., Any]:
    from .science import sparse  # which stands on this file, and few ask for

    made: Callable[..., Any] = getattr(sparse, name)(f, argnums)
    return made


@seen_as(signatures.Hvp)
def hvp(
    f: Callable[..., Any], primals: Sequence[Tree], tangents: Sequence[Tree]
) -> tuple[Any, ...]:
    """The Hessian of a scalar f times a vector, at about the price of two gradients.

    Forward over reverse: the tangent of the gradient, so no Hessian is ever formed.

    >>> hvp(lambda x: x[0] ** 2 * x[1], ([2.0, 3.0],), ([1.0, 0.0],))
    ([6.0, 4.0],)
    """
    require_callable("hvp", f)
    primals = _sequence("hvp", "primals", primals)
    places, found = tuple(range(len(primals))), []

    def gradient(*args: Any) -> Any:
        run = Recording("grad", f, args, places, {})
        y = require_scalar("grad", run.out)
        dots = run.along(y, tangents)
        if dots is None:
            return run.unravel(run.pull([y], [1.0]))
        found.append(run.unravel(dots))
        return ()

    product = _jvp("hvp", gradient, primals, tangents, "named")[1]
    return tuple(found[0] if found else product)


# ---- one run of f --------------------------------------------------------------------


class Recording:
    """One call of f on fresh inputs, and how its derivatives are handed out.

    fresh    the inputs, made for this call           out     what f gave
    graph    what f recorded between them, and its sweeps
    outside  the oldest Value from outside that has a say, or None
    """

    def __init__(
        self,
        operation: str,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        argnums: ArgNums,
        kwargs: dict[str, Any],
    ) -> None:
        require_callable(operation, f)
        self.operation = operation
        chosen = positions_of(operation, argnums, len(args), kwargs)
        flat = [_flat(args[i], f"{operation}: an argument") for i in chosen]
        self.forms = [form for _, form in flat]
        self.since = tick()
        self.numbers: Any = tracing() or _EAGER
        self.used: Used = {}  # what was outside for transforms inside f
        given = flat[0][0] if len(flat) == 1 else [x for xs, _ in flat for x in xs]
        self.fresh: list[Value] = self.numbers.copies(given)
        inputs = dict(zip(chosen, self.trees(self.fresh)))
        received = [inputs.get(i, arg) for i, arg in enumerate(args)]
        thread = get_ident()
        around = _running.get(thread)
        try:
            _running[thread] = ref(self)
            self.out = f(*received, **kwargs)
        except TypeError as error:
            point_at(f, error, operation)
            raise
        finally:
            _running[thread] = around
        self._one = not isinstance(argnums, (tuple, list))
        others = [arg for i, arg in enumerate(args) if i not in inputs]
        self._explore([*_values([*others, kwargs])] if others or kwargs else [])

    def results(self, static: Statics = "no truths") -> tuple[list[Any], Form]:
        """What f gave, taken apart: truths are numbers, as comparisons give them."""
        return _flat(self.out, f"{self.operation}: the result of f", static)

    def unravel(self, xs: Sequence[Any]) -> Any:
        """Numbers in the structure of the arguments named."""
        trees = self.trees(xs)
        return trees[0] if self._one else tuple(trees)

    def trees(self, xs: Sequence[Any]) -> list[Any]:
        numbers = iter(xs)
        return [fill(form, numbers) for form in self.forms]

    def pull(self, ys: Sequence[Any], y_bars: Sequence[Any]) -> list[Any]:
        """Reverse sweep: the adjoint of each input, given those of the results."""
        return self.derivatives(self.adjoints(ys, y_bars), y_bars)

    def adjoints(
        self, ys: Sequence[Any], y_bars: Sequence[Any], missing: Any = 0.0
    ) -> list[Any]:
        """Likewise, as the sweep leaves them, or `missing` where it gives none."""
        seen = self._shown_to("see_adjoints")
        return self.graph.pull(ys, y_bars, missing, self.partials_of, seen)

    def along(self, y: Any, tangents: Sequence[Tree]) -> list[Any] | None:
        """The tangents of y's gradient; None where that must be recorded to know."""
        if (
            self.used
            or type(y) is not Value
            or self.numbers is not _EAGER
            or watching()
        ):
            return None
        form = Container(tuple, None, None, tuple(self.forms))
        x_dots = alike("hvp: tangents", "the primals", form, tangents)
        return self.graph.along(y, x_dots)

    def push(self, ys: Sequence[Any], x_dots: Sequence[Any]) -> list[Any]:
        """Forward sweep: the tangent of each result, given those of the inputs."""
        return self.derivatives(self.tangents(ys, x_dots), x_dots)

    def tangents(
        self, ys: Sequence[Any], x_dots: Sequence[Any], missing: Any = 0.0
    ) -> list[Any]:
        """Likewise, as the sweep leaves them, or `missing` where it gives none."""
        seen = self._shown_to("see_tangents")
        return self.graph.push(ys, x_dots, missing, self.partials_of, seen)

    def columns(self, ys: Sequence[Any]) -> list[list[Any]]:
        """For each input, the tangents of the results where it alone moves."""
        seen = self._shown_to("see_tangents")
        found = self.graph.columns(ys, 0.0, self.partials_of, seen)
        return [self.derivatives(column) for column in found]

    def _shown_to(self, method: str) -> Any:
        """Who watches, by how it sees sweeps; not a trace, which sees all they make."""
        watcher = watching()
        hidden = watcher is None or watcher is self.numbers
        return None if hidden else getattr(watcher, method)

    def _explore(self, given: list[Value]) -> None:
        """Find what depends on the inputs, and which Values from outside have a say.

        Where there are such, a sweep leaves a graph, and visits what a select left out
        as well: then that graph has the same order whatever was selected.
        """
        out = self.out
        what = f"{self.operation}: the result of f"
        roots = [out] if type(out) is Value else [*values_in(out, what)]
        self.graph = Graph(roots, self.fresh, self.since, self.operation)
        self.partials_of = self.numbers.partials_of(self.graph)
        met = [*self.graph.older, *given, *self.used]
        if self.used:
            met += Graph([*self.used], [], self.since, self.operation).older
        self.outside = self._oldest(met)  # the oldest Value from outside that f used
        if self.outside is not None or self.graph.mark(False):
            self.graph.mark(True)

    def recall(self) -> None:
        """Tell the run around of Values from outside, where f has run before it did."""
        self._oldest([self.outside])

    def _oldest(self, xs: Sequence[Any]) -> Value | None:
        """The oldest Value from outside among xs; the run around is told of them all.

        For what f does by transforms counts as done by f, whatever came of it.
        """
        around = _running.get(get_ident())
        run = around and around()
        used = run.used if run else None
        return oldest(self.numbers.outside(xs), self.since, used)

    def derivatives(self, xs: list[Any], given: Sequence[Any] = ()) -> list[Any]:
        """What to hand out of adjoints or tangents, where those were given."""
        outside = self.outside
        if Value in map(type, given):
            outside = self._oldest([outside, *given])
        if outside is None and _FLOAT.issuperset(map(type, xs)):
            return xs
        if self.partials_of is not None:
            found: list[Any] = self.partials_of.derivatives(xs, outside)
            return found
        return [self._derivative(x, outside) for x in xs]

    def _derivative(self, x: Any, outside: Value | None) -> Any:
        """A Value or a number; never a leaf of the caller's, nor the number -0.0."""
        if type(x) is Value and x._row is None:
            x = identity(x)
        if outside is not None:
            return self.numbers.as_value(x, outside)
        x = settled(x, None)
        return x + 0.0 if type(x) is float else x

    def given(self, ys: Sequence[Any]) -> list[Any]:
        """Results of f to hand out: they stay Values if derivatives are."""
        lowered = self.graph.lower(ys, self.numbers.number)
        if self.outside is None:
            return lowered
        return [
            self.numbers.as_value(x, self.outside) if type(y) is Value else x
            for x, y in zip(lowered, ys)
        ]

    def values(self, tree: Tree) -> Tree:
        """Such results in nested containers; anything else stays as it is."""
        found = parts(tree, f"{self.operation}: aux")
        if found is not None:
            return rebuilt(tree, [self.values(item) for item in found[0]])
        if is_array(tree) and tree.dtype == object:
            return array_of(self.given(tree.ravel().tolist()), tree.shape)
        return self.given([tree])[0]


Used = dict[Value, None]

# By thread: the latest run of which f has not returned yet.
_running: dict[int, ref[Recording] | None] = {}
_PLAIN: Final = frozenset({float, int, bool, str, type(None)})
_FLOAT: Final = frozenset({float})


def _values(tree: Any) -> Iterator[Value]:
    """The Values in an argument that is not differentiated."""
    if type(tree) is Value:
        yield tree
    elif isinstance(tree, dict):
        yield from _values([*tree.values()])
    elif isinstance(tree, (list, tuple)):
        if not _PLAIN.issuperset(map(type, tree)):
            for item in tree:
                yield from _values(item)
    elif is_array(tree) and tree.dtype == object:
        yield from _values(tree.ravel().tolist())


@in_c
def copies(xs: Sequence[Any]) -> list[Value]:
    """Fresh inputs: a leaf for a number, an identity node for an outer Value."""
    found = [identity(x) if type(x) is Value else Value(x) for x in xs]
    for x, fresh in zip(xs, found):
        if type(x) is Value:
            fresh.label = x.label
    return found


@in_c
def oldest(xs: Sequence[Any], since: int, used: Used | None) -> Value | None:
    """The oldest Value among xs that was made before then, if any; all go to `used`."""
    older = [x for x in xs if type(x) is Value and x._made < since]
    if used is not None:
        used.update(dict.fromkeys(older))
    return min(older, key=attrgetter("_made"), default=None)


class _Eager:
    """What the numbers of a run are: plain ones. A trace has other answers."""

    number = None  # for that of a Value, as it is
    copies = staticmethod(copies)

    def outside(self, xs: Sequence[Any]) -> Sequence[Any]:
        """Those of xs that may be Values from outside: not what stands for a number."""
        return xs

    def as_value(self, x: Any, outside: Value) -> Any:
        """x, or a constant Value where it is a number."""
        return x if type(x) is Value else Value(x)

    def partials_of(self, graph: Graph) -> None:
        """How a sweep finds the partials of a node: by itself."""


_EAGER: Final = _Eager()


def require_scalar(operation: str, y: Any) -> Any:
    """What f gave, a number or a Value; raise if it is neither."""
    if getattr(y, "ndim", None) == 0:
        y = y.item()
    if type(y) is Value:
        return y
    try:
        return number(y, operation, "the result of f")
    except TypeError:
        several = "use jacobian for several, or sum them"
        remedy = "a function without return gives None" if y is None else several
        raise TypeError(
            f"{operation}: f must return one number, but returned {type(y).__name__}; "
            f"{remedy}"
        ) from None


def require_callable(operation: str, f: Any) -> None:
    """Raise unless f can be called, and show how it is meant."""
    if not callable(f):
        usual = f"{operation}(f) first and call the result with numbers"
        pairs = f"{operation}(f, (x,), (x_dot,))"
        usage = {"vjp": "vjp(f, x)", "jvp": pairs, "hvp": pairs}.get(operation, usual)
        raise TypeError(
            f"{operation}: f must be a function, but is {type(f).__name__}; write "
            f"{usage}"
        )


def require_positions(operation: str, argnums: Any) -> None:
    """Raise unless argnums can name arguments by position."""
    for i in argnums if isinstance(argnums, (tuple, list)) else [argnums]:
        if not hasattr(i, "__index__"):
            raise ValueError(
                f"{operation}: argnums must name arguments by position, but is "
                f"{brief(argnums)}; write a whole number from 0, or a tuple of them"
            )


def _sequence(operation: str, argument: str, xs: Any) -> tuple[Any, ...]:
    if isinstance(xs, (tuple, list)):
        return tuple(xs)
    raise TypeError(
        f"{operation}: {argument} must be a tuple, one entry for each argument of f, "
        f"but is {type(xs).__name__}; write (x,) for a single one"
    )


def positions_of(
    operation: str, argnums: ArgNums, count: int, names: dict[str, Any]
) -> list[int]:
    """The arguments that argnums names, counted from 0."""
    chosen = []
    for i in argnums if isinstance(argnums, (tuple, list)) else [argnums]:
        if not count:
            given = f"{[*names][0]!r} is given by name" if names else "there is none"
            raise ValueError(
                f"{operation}: arguments must be given by position, but {given}; write "
                f"{operation}(f)(2.0), or close over what is no number"
            )
        if not -count <= i < count:
            raise ValueError(
                f"{operation}: argnums must name arguments by position, 0 to "
                f"{count - 1} for this call, but is {brief(argnums)}; pass it by "
                "position"
            )
        chosen.append(i % count)
    if len(set(chosen)) < len(chosen):
        raise ValueError(
            f"{operation}: argnums must be distinct, but is {brief(argnums)}; name "
            "each once"
        )
    return chosen


# ---- nested containers ---------------------------------------------------------------


def ravel(
    tree: T, what: str = "ravel: the tree"
) -> tuple[list[Any], Callable[[Sequence[Any]], T]]:
    """The numbers of nested containers, and the way back.

    >>> flat, unravel = ravel({"w": [1.0, 2.0], "b": 3.0, "mode": "fast"})
    >>> flat, unravel([4.0, 5.0, 6.0])
    ([1.0, 2.0, 3.0], {'w': [4.0, 5.0], 'b': 6.0, 'mode': 'fast'})

    None stays in its place, and under a name of its own (a key, a field) so do str,
    bool and members of an Enum. Raises TypeError for anything else than numbers, and
    containers of a class that `register_tree` was not told of.
    """
    flat, form = _flat(tree, what)

    def unravel(numbers: Sequence[Any]) -> Any:
        count = len(numbers) if hasattr(numbers, "__len__") else "none"
        if count != len(flat):
            raise ValueError(
                f"unravel: numbers must have length {len(flat)}, but has {count}; give "
                "one for each number of the tree"
            )
        plain: Any = numbers
        return fill(form, plain.tolist() if is_array(plain) else plain)

    return flat, unravel


def _flat(tree: Tree, what: str, static: Statics = "named") -> tuple[list[Any], Form]:
    """`flatten` for what must be a number or hold some."""
    if type(tree) is float or type(tree) is Value:
        return [tree], NUMBER
    numbers, form = flatten(tree, what, static)
    if type(form) is Static:
        operation, _, argument = what.partition(": ")
        return [number(tree, operation, argument)], NUMBER
    return numbers, form
