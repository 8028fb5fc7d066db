"""Hessians and Jacobians that are mostly zero, as arrays of SciPy's.

An entry is there if the derivative may be other than zero somewhere, as long as f goes
through the same Python branches: that is its structure, not a matter of this point. So
a select counts with all of its operands, and an entry that happens to be zero stays.
Columns (of a Hessian, rows as well) are the numbers of the arguments named, in the
order of `ravel`; rows of a Jacobian are the numbers that f gives, in the same order.

In a trace, a matrix of Values stands for the one that a compiled function will give: it
has a pattern, found from the path that is traced, and its numbers are what is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from math import isfinite
from typing import Any, Final, Literal, NoReturn

from .. import signatures
from ..primitives import brief, number
from ..signatures import ArgNums, seen_as
from ..transforms import (
    Recording,
    hvp,
    positions_of,
    require_callable,
    require_positions,
    require_scalar,
)
from ..trees import register_tree
from ..value import Value
from ..watch import tracing, watching
from .pushing import hessian_entries, jacobian_entries

Order = Literal[1, 2]
_known: Final[list[Any]] = []  # csr_array, once it was registered


def sparse_hessian(f: Callable[..., Any], argnums: ArgNums = 0) -> Callable[..., Any]:
    """The function that gives ∂²y/∂xᵢ∂xⱼ of a scalar f as a csr_array.

    >>> from autograd import hessian
    >>> h = sparse_hessian(lambda x: x[0] ** 2 * x[1] + x[2] ** 2)([2.0, 3.0, 5.0])
    >>> h.toarray().tolist(), h.nnz
    ([[6.0, 4.0, 0.0], [4.0, 0.0, 0.0], [0.0, 0.0, 2.0]], 4)
    """
    return _made("hessian", f, argnums, lambda run: _hessian(run, False))


def sparse_jacobian(f: Callable[..., Any], argnums: ArgNums = 0) -> Callable[..., Any]:
    """The function that gives ∂yᵢ/∂xⱼ as a csr_array.

    >>> sparse_jacobian(lambda x: [x[0] * x[1], x[2]])([2.0, 3.0, 5.0]).toarray()
    array([[3., 2., 0.],
           [0., 0., 1.]])
    """
    return _made("jacobian", f, argnums, lambda run: _jacobian(run, False))


@seen_as(signatures.Sparsity)
def sparsity(
    f: Callable[..., Any], argnums: ArgNums = 0, order: Order | None = None
) -> Callable[..., Any]:
    """The function that gives the pattern of f's derivatives: a csr_array of bools.

    Of the Jacobian, where order is 1, or of the Hessian of a scalar f, where it is 2;
    without an order, of the Hessian where f gives a number, else of the Jacobian.

    >>> sparsity(lambda x: [x[0] * x[1], x[2]])([2.0, 3.0, 5.0]).toarray()
    array([[ True,  True, False],
           [False, False,  True]])

    It holds wherever f goes through the same branches of Python's `if` and `while`: a
    select counts with all its operands, and a derivative that is zero at this point
    only is there. What `hessian` and `jacobian` give with sparse=True has this pattern.
    Of calls of a VectorPrimitive, all results may depend on all operands.

    Raises ImportError without SciPy, and ValueError for another order.
    """
    if order not in (None, 1, 2):
        raise ValueError(
            f"sparsity: order must be 1 or 2, but is {brief(order)}; 1 is of the "
            "Jacobian, 2 of the Hessian"
        )

    def pattern(run: Recording) -> Any:
        second = order == 2 or order is None and _is_number(run.out)
        return _hessian(run, True) if second else _jacobian(run, True)

    return _made("sparsity", f, argnums, pattern)


def _is_number(y: Any) -> bool:
    if type(y) is Value:
        return True
    try:
        number(y)
    except (TypeError, ValueError):
        return False
    return True


def _made(
    operation: str,
    f: Callable[..., Any],
    argnums: ArgNums,
    derivative: Callable[[Recording], Any],
) -> Callable[..., Any]:
    """What runs f, and gives of that run a derivative."""
    require_callable(operation, f)
    require_positions(operation, argnums)
    _require_scipy(operation)

    def derivative_of_f(*args: Any, **kwargs: Any) -> Any:
        run = Recording(operation, f, args, argnums, kwargs)
        _require_plain(run)
        found = derivative(run)
        watched = operation == "hessian" and watching() is not None
        if watched and tracing() is None and not _is_finite(found):
            chosen = positions_of(operation, argnums, len(args), kwargs)
            _look_again(f, args, kwargs, chosen, run)
        return found

    return derivative_of_f


def _is_finite(matrix: Any) -> bool:
    return all(map(isfinite, matrix.data))


def _look_again(
    f: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    chosen: Sequence[int],
    run: Recording,
) -> None:
    """Let who watches see how second derivatives come about that are not finite."""

    def of_numbers(xs: list[Any]) -> Any:
        given = dict(zip(chosen, run.trees(xs)))
        return f(*[given.get(i, arg) for i, arg in enumerate(args)], **kwargs)

    xs = [x._data for x in run.fresh]
    hvp(of_numbers, (xs,), ([1.0] * len(xs),))


def _require_scipy(operation: str) -> None:
    """Load SciPy, before f runs, and tell trees of its arrays."""
    try:
        from scipy.sparse import csr_array  # type: ignore[import-untyped]
    except ImportError:
        what = "" if operation == "sparsity" else " with sparse=True"
        raise ImportError(
            f"{operation}: SciPy must be installed to give sparse arrays{what}, but is "
            "not there; run pip install 'scalar-autograd[science]'"
        ) from None
    if not _known:
        _known.append(csr_array)
        with suppress(ValueError):  # its user may have said how before
            register_tree(csr_array, _taken_apart, _put_together)


def _require_plain(run: Recording) -> None:
    if run.outside is None:
        return
    dense = "" if run.operation == "sparsity" else f"use {run.operation}(f), or "
    raise TypeError(
        f"{run.operation}: arguments, and what f uses from outside, must be plain "
        "numbers if sparse, as SciPy's arrays hold no others, but "
        f"{brief(run.outside)} is among them; {dense}pass its number (x.data)"
    )


def _hessian(run: Recording, pattern_alone: bool) -> Any:
    y = require_scalar(run.operation, run.out)
    _show(run, [y])
    size = len(run.fresh)
    return _matrix(run, hessian_entries(run, y), (size, size), pattern_alone, True)


def _jacobian(run: Recording, pattern_alone: bool) -> Any:
    ys, _ = run.results()
    _show(run, ys)
    shape = len(ys), len(run.fresh)
    return _matrix(run, jacobian_entries(run, ys), shape, pattern_alone, False)


def _show(run: Recording, ys: Sequence[Any]) -> None:
    """Let who watches, other than a trace, see the adjoints."""
    if watching() is not None and tracing() is None:
        for y in ys:
            run.adjoints([y], [1.0])


# ---- matrices ------------------------------------------------------------------------


class Pattern:
    """Where the entries of a matrix are, and which number each of them has.

    source   for each entry the number that it is; None where there are no numbers
    """

    def __init__(
        self, shape: tuple[int, int], indices: Any, indptr: Any, source: Any
    ) -> None:
        self.shape, self.source = shape, source
        self.indices, self.indptr = indices, indptr

    @cached_property
    def key(self) -> Any:
        """What tells it apart."""
        parts = self.indices, self.indptr, self.source
        return self.shape, *(None if x is None else x.tobytes() for x in parts)

    def __eq__(self, other: object) -> bool:
        return type(other) is Pattern and bool(self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def filled(self, numbers: Any) -> Any:
        """The matrix of these numbers."""
        from scipy.sparse import csr_array

        data = _true(len(self.indices)) if self.source is None else numbers[self.source]
        parts = data, self.indices.copy(), self.indptr.copy()
        return csr_array(parts, shape=self.shape)


def _true(count: int) -> Any:
    import numpy as np

    return np.ones(count, dtype=bool)


def _pattern(
    rows: Any, columns: Any, shape: tuple[int, int], symmetric: bool, truths: bool
) -> Pattern:
    """The pattern of these entries, and, if symmetric, of those across the diagonal."""
    import numpy as np

    rows, columns = np.asarray(rows, np.int64), np.asarray(columns, np.int64)
    source = np.arange(len(rows))
    if symmetric:
        off = np.flatnonzero(rows != columns)
        below, above = rows[off], columns[off]
        rows = np.concatenate([rows, above])
        columns = np.concatenate([columns, below])
        source = np.concatenate([source, off])
    order = np.argsort(rows * shape[1] + columns, kind="stable")
    indptr = np.zeros(shape[0] + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=indptr[1:])
    indices = columns[order].astype(np.int32)
    return Pattern(shape, indices, indptr, None if truths else source[order])


def _matrix(
    run: Recording,
    entries: Any,
    shape: tuple[int, int],
    pattern_alone: bool,
    symmetric: bool,
) -> Any:
    import numpy as np

    rows, columns, found = entries
    pattern = _pattern(rows, columns, shape, symmetric, pattern_alone)
    if type(found) is list:  # of Python's, where what is left out is None
        found = [0.0 if x is None else x for x in found]
    if tracing() is None:
        return pattern.filled(np.asarray(found, np.float64) + 0.0)
    found = [] if pattern_alone else found
    return Traced(pattern, run.derivatives(found))


class Traced:
    """A sparse matrix while a function is traced; a compiled call gives a csr_array.

    data      the numbers of the entries, by rows: Values, or floats if constant
    indices   the column of each, and indptr: where each row begins
    """

    def __init__(self, pattern: Pattern, numbers: Sequence[Any]) -> None:
        self.pattern, self.numbers = pattern, _object_array(numbers)

    @property
    def shape(self) -> tuple[int, int]:
        return self.pattern.shape

    @property
    def indices(self) -> Any:
        return self.pattern.indices.copy()

    @property
    def indptr(self) -> Any:
        return self.pattern.indptr.copy()

    @property
    def data(self) -> Any:
        if self.pattern.source is None:
            return _true(len(self.pattern.indices))
        return self.numbers[self.pattern.source]

    @property
    def nnz(self) -> int:
        return len(self.pattern.indices)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f".{name}")

    def _refuse(self, what: str) -> NoReturn:
        raise TypeError(
            "jit: a sparse matrix must be returned from a compiled function, or used "
            f"by its data, indices and indptr, but f uses {what}; compute with the "
            "matrix outside"
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        self._refuse("it as an array")


def _refused(name: str) -> Callable[..., NoReturn]:
    return lambda self, *_: self._refuse(name.strip("_"))


for _name in ("add", "sub", "mul", "matmul", "truediv", "pow"):
    for _prefix in ("", "r"):
        setattr(Traced, f"__{_prefix}{_name}__", _refused(_name))
for _name in ("neg", "abs", "getitem", "iter", "len", "bool"):
    setattr(Traced, f"__{_name}__", _refused(_name))
del _name, _prefix


def _object_array(numbers: Sequence[Any]) -> Any:
    import numpy as np

    out = np.empty(len(numbers), dtype=object)
    out[:] = numbers
    return out


def _filled(pattern: Pattern, items: list[Any]) -> Any:
    """What a path gives: a matrix, or in another trace again one of Values."""
    (numbers,) = items
    if numbers.dtype == object:
        return Traced(pattern, numbers)
    if numbers.ndim > 1:
        return [pattern.filled(each) for each in numbers]
    return pattern.filled(numbers)


register_tree(Traced, lambda m: ((m.numbers,), m.pattern), _filled)

# csr_array, which a function may hand out as well that runs op by op in place of jit


def _taken_apart(matrix: Any) -> tuple[Any, Pattern]:
    import numpy as np

    truths = matrix.dtype == bool
    source = None if truths else np.arange(matrix.nnz)
    rest = Pattern(matrix.shape, matrix.indices, matrix.indptr, source)
    return ((np.zeros(0) if truths else matrix.data,), rest)


def _put_together(pattern: Pattern, items: list[Any]) -> Any:
    (numbers,) = items
    if numbers.dtype == object:
        raise TypeError(
            "jit: a sparse matrix must not be an argument of what is compiled or "
            "differentiated; pass its data, and close over indices and indptr"
        )
    return pattern.filled(numbers)
