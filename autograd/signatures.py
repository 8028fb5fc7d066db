"""What transforms take and give, as editors and type checkers see it.

A function may be written for numbers or for Values, and what a transform makes of it is
called on either. Its results follow from what it is called on, which overloads can say:
plain numbers give floats, Values give Values, and a gradient has the structure of its
argument. Where more decides, as a container of both does, they are Any. Values that a
function closes over are not seen here. At run time nothing of this is looked at.

The first half says what the functions give that the transforms of the second half make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    overload,
)

from .primitives import Array, Number
from .value import Value

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy import float64
    from numpy.typing import NDArray

    from .compiled.batch import Axes, Batched
    from .compiled.jit import Compiled

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Floats = TypeVar("Floats", list[float], tuple[float, ...], dict[str, float])
Numbers = TypeVar("Numbers", bound=Callable[Concatenate[float, ...], Any])

ArgNums = int | tuple[int, ...]
OfOne = Callable[..., float | Value]  # a function that gives one number


def seen_as(kind: Callable[..., T]) -> Callable[[Callable[..., Any]], T]:
    """Have type checkers see a function as a protocol; it stays what it is."""
    return lambda f: f  # type: ignore[return-value]


# ---- functions that a transform gives ------------------------------------------------


class OfNumbers(Protocol):
    """One number, of numbers or Values."""

    @overload
    def __call__(self, *args: Number | Sequence[Number] | Array) -> float: ...
    @overload
    def __call__(
        self, x: Value | Sequence[Value], /, *args: Any, **kwargs: Any
    ) -> Value: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class Same(Protocol[P, R]):
    """As it was written; and on Values in place of numbers, or numbers of Values."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class Gradient(Protocol):
    """The gradient with respect to the first argument."""

    @overload
    def __call__(self, x: Value, /, *args: Any, **kwargs: Any) -> Value: ...
    @overload
    def __call__(self, x: Number, /, *args: Any, **kwargs: Any) -> float: ...
    @overload
    def __call__(self, x: list[int], /, *args: Any, **kwargs: Any) -> list[float]: ...
    @overload
    def __call__(self, x: T, /, *args: Any, **kwargs: Any) -> T: ...


class GradientAt(Protocol):
    """The gradient with respect to one of the arguments."""

    @overload
    def __call__(self, *args: Number) -> float: ...
    @overload
    def __call__(self, *args: Value) -> Value: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class Gradients(Protocol):
    """The gradients with respect to several arguments."""

    @overload
    def __call__(self, *args: Number) -> tuple[float, ...]: ...
    @overload
    def __call__(self, *args: Value) -> tuple[Value, ...]: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]: ...


class ValueAndGradient(Protocol):
    """The value, and the gradient with respect to the first argument."""

    @overload
    def __call__(
        self, x: Value, /, *args: Any, **kwargs: Any
    ) -> tuple[Value, Value]: ...
    @overload
    def __call__(
        self, x: Number, /, *args: Any, **kwargs: Any
    ) -> tuple[float, float]: ...
    @overload
    def __call__(
        self, x: list[int], /, *args: Any, **kwargs: Any
    ) -> tuple[float, list[float]]: ...
    @overload
    def __call__(
        self, x: Floats, /, *args: Any, **kwargs: Any
    ) -> tuple[float, Floats]: ...
    @overload
    def __call__(self, x: T, /, *args: Any, **kwargs: Any) -> tuple[Any, T]: ...


class Rows(Protocol):
    """One derivative with respect to the first argument for each result in a list."""

    @overload
    def __call__(self, x: Value, /, *args: Any, **kwargs: Any) -> list[Value]: ...
    @overload
    def __call__(self, x: Number, /, *args: Any, **kwargs: Any) -> list[float]: ...
    @overload
    def __call__(
        self, x: list[int], /, *args: Any, **kwargs: Any
    ) -> list[list[float]]: ...
    @overload
    def __call__(self, x: T, /, *args: Any, **kwargs: Any) -> list[T]: ...


class Seconds(Protocol):
    """The second derivatives with respect to the first argument."""

    @overload
    def __call__(self, x: Value, /, *args: Any, **kwargs: Any) -> Value: ...
    @overload
    def __call__(self, x: Number, /, *args: Any, **kwargs: Any) -> float: ...
    @overload
    def __call__(
        self, x: list[float], /, *args: Any, **kwargs: Any
    ) -> list[list[float]]: ...
    @overload
    def __call__(
        self, x: list[Value], /, *args: Any, **kwargs: Any
    ) -> list[list[Value]]: ...
    @overload
    def __call__(self, x: Any, /, *args: Any, **kwargs: Any) -> Any: ...


class OfLanes(Protocol):
    """One number for each lane of a batch: a list, or an array where one comes in."""

    @overload
    def __call__(
        self, x: Sequence[Number], /, *args: Sequence[Number] | Number
    ) -> list[float]: ...
    @overload
    def __call__(
        self, x: NDArray[Any], /, *args: Any, **kwargs: Any
    ) -> NDArray[float64]: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


# ---- transforms ----------------------------------------------------------------------


class Grad(Protocol):
    @overload
    def __call__(  # type: ignore[overload-overlap]  # 0 is told apart as it stands
        self,
        f: Callable[..., Any],
        argnums: Literal[0] = 0,
        has_aux: Literal[False] = False,
    ) -> Gradient: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], argnums: int, has_aux: Literal[False] = False
    ) -> GradientAt: ...
    @overload
    def __call__(
        self,
        f: Callable[..., Any],
        argnums: tuple[int, ...],
        has_aux: Literal[False] = False,
    ) -> Gradients: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], argnums: ArgNums = 0, *, has_aux: Literal[True]
    ) -> Callable[..., tuple[Any, Any]]: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False
    ) -> Callable[..., Any]: ...


class ValueAndGrad(Protocol):
    @overload
    def __call__(
        self,
        f: Callable[..., Any],
        argnums: Literal[0] = 0,
        has_aux: Literal[False] = False,
    ) -> ValueAndGradient: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False
    ) -> Callable[..., tuple[Any, Any]]: ...


class Vjp(Protocol):
    @overload
    def __call__(
        self, f: OfOne, x: Number, /
    ) -> tuple[float, Callable[[Number], tuple[float]]]: ...
    @overload
    def __call__(
        self, f: OfOne, /, *primals: Number
    ) -> tuple[float, Callable[[Number], tuple[float, ...]]]: ...
    @overload
    def __call__(
        self, f: OfOne, /, *primals: Value
    ) -> tuple[Value, Callable[[Any], tuple[Value, ...]]]: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], /, *primals: Any
    ) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]: ...


class Jvp(Protocol):
    @overload
    def __call__(
        self, f: OfOne, primals: Sequence[Number], tangents: Sequence[Number]
    ) -> tuple[float, float]: ...
    @overload
    def __call__(
        self, f: OfOne, primals: Sequence[Value], tangents: Sequence[Value | Number]
    ) -> tuple[Value, Value]: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[Any, Any]: ...


class OfOneOrRows(Protocol):
    """Of a function of one number a gradient, of one of several a row for each."""

    @overload
    def __call__(self, f: OfOne, argnums: Literal[0] = 0) -> Gradient: ...
    @overload
    def __call__(
        self, f: Callable[..., list[float] | list[Value]], argnums: Literal[0] = 0
    ) -> Rows: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], argnums: ArgNums = 0
    ) -> Callable[..., Any]: ...


class Jacobian(Protocol):
    @overload
    def __call__(
        self, f: Callable[..., Any], argnums: ArgNums = 0, *, sparse: Literal[True]
    ) -> Callable[..., Any]: ...
    @overload
    def __call__(
        self, f: OfOne, argnums: Literal[0] = 0, sparse: Literal[False] = False
    ) -> Gradient: ...
    @overload
    def __call__(
        self,
        f: Callable[..., list[float] | list[Value]],
        argnums: Literal[0] = 0,
        sparse: Literal[False] = False,
    ) -> Rows: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], argnums: ArgNums = 0, sparse: bool = False
    ) -> Callable[..., Any]: ...


class Hessian(Protocol):
    @overload
    def __call__(
        self, f: Callable[..., Any], argnums: ArgNums = 0, *, sparse: Literal[True]
    ) -> Callable[..., Any]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # likewise
        self,
        f: Callable[..., Any],
        argnums: Literal[0] = 0,
        sparse: Literal[False] = False,
    ) -> Seconds: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], argnums: int, sparse: Literal[False] = False
    ) -> GradientAt: ...
    @overload
    def __call__(
        self,
        f: Callable[..., Any],
        argnums: tuple[int, ...],
        sparse: Literal[False] = False,
    ) -> Callable[..., tuple[Any, ...]]: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], argnums: ArgNums = 0, sparse: bool = False
    ) -> Callable[..., Any]: ...


class Sparsity(Protocol):
    """SciPy has no types, so its arrays are Any."""

    def __call__(
        self,
        f: Callable[..., Any],
        argnums: ArgNums = 0,
        order: Literal[1, 2] | None = None,
    ) -> Callable[..., Any]: ...


class Taylor(Protocol):
    @overload
    def __call__(
        self, f: OfOne, x: Number, order: int, direction: Number | None = None
    ) -> list[float]: ...
    @overload
    def __call__(
        self, f: OfOne, x: Value, order: int, direction: Any = None
    ) -> list[Value]: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], x: Any, order: int, direction: Any = None
    ) -> list[Any]: ...


class Derivatives(Protocol):
    @overload
    def __call__(self, f: OfOne, x: Number, order: int) -> list[float]: ...
    @overload
    def __call__(self, f: OfOne, x: Value, order: int) -> list[Value]: ...
    @overload
    def __call__(self, f: Callable[..., Any], x: Any, order: int) -> list[Any]: ...


class Root(Protocol):
    @overload
    def __call__(self, f: OfOne, x0: Number | Value) -> OfNumbers: ...
    @overload
    def __call__(self, f: Callable[..., Any], x0: Any) -> Callable[..., Any]: ...


class Bracket(Protocol):
    def __call__(
        self,
        f: OfOne,
        low: Number | Value | Callable[..., Any],
        high: Number | Value | Callable[..., Any],
    ) -> OfNumbers: ...


class Hvp(Protocol):
    @overload
    def __call__(
        self,
        f: Callable[..., Any],
        primals: tuple[float, ...] | list[float],
        tangents: Sequence[Number],
    ) -> tuple[float, ...]: ...
    @overload
    def __call__(
        self,
        f: Callable[..., Any],
        primals: tuple[Value, ...] | list[Value],
        tangents: Sequence[Value | Number],
    ) -> tuple[Value, ...]: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], primals: tuple[list[float]], tangents: Any
    ) -> tuple[list[float]]: ...
    @overload
    def __call__(
        self, f: Callable[..., Any], primals: Sequence[Any], tangents: Any
    ) -> tuple[Any, ...]: ...


class Jit(Protocol):
    @overload
    def __call__(
        self,
        f: Numbers,
        static_argnums: int | Sequence[int] = (),
        static_argnames: str | Sequence[str] = (),
    ) -> Compiled[Numbers]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # of what the next would take, too
        self,
        f: Callable[..., Value],
        static_argnums: int | Sequence[int] = (),
        static_argnames: str | Sequence[str] = (),
    ) -> Compiled[OfNumbers]: ...
    @overload
    def __call__(
        self,
        f: Callable[P, T],
        static_argnums: int | Sequence[int] = (),
        static_argnames: str | Sequence[str] = (),
    ) -> Compiled[Same[P, T]]: ...


class Vmap(Protocol):
    @overload
    def __call__(
        self,
        f: OfOne,
        in_axes: Axes = 0,
        reduce: None = None,
        executor: Executor | None = None,
    ) -> Batched[OfLanes]: ...
    @overload
    def __call__(
        self,
        f: OfOne,
        in_axes: Axes,
        reduce: Literal["sum", "mean"],
        executor: Executor | None = None,
    ) -> Batched[OfNumbers]: ...
    @overload
    def __call__(
        self,
        f: OfOne,
        in_axes: Axes = 0,
        *,
        reduce: Literal["sum", "mean"],
        executor: Executor | None = None,
    ) -> Batched[OfNumbers]: ...
    @overload
    def __call__(
        self,
        f: Callable[..., Any],
        in_axes: Axes = 0,
        reduce: Literal["sum", "mean"] | None = None,
        executor: Executor | None = None,
    ) -> Batched[Callable[..., Any]]: ...
