"""A training step compiled from the model's own code: one function of all parameters.

The function takes the parameters as an array, has them stand in for the Values of a
copy of the model, and gives the loss at one point; `vmap` makes of it the mean over a
batch, and its gradient. So it is the mean of the losses of single points that is
computed, with the parameters of that copy. Where a loss is anything else, the first
points show it, and the training goes on as it would without this file.

    moving, frozen   the parameters that the optimizer has, and the model's others
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from itertools import count
from typing import Any, Final, NamedTuple

from autograd import Value, value_and_grad

from .losses import accuracy
from .module import give_all
from .optim import Optimizer

WORTH_COMPILING: Final = 20_000  # points, each counted in every epoch
WORTH_A_CALL: Final = 16  # points in a batch
MOST_PATHS: Final = 8  # ways that points may take through a model's `if`s
SAMPLE: Final = 32  # points on which both ways are compared
CLOSE: Final = 1e-6  # of the largest gradient: far above rounding, far below a mistake


class Found(NamedTuple):
    """At some weights, over some points: mean loss, share that is right, gradient."""

    loss: float
    right: float
    gradient: Any


def pays(points: int, at_once: int) -> bool:
    """Whether so many points are worth compiling for, if so many go into each call.

    It is decided by counting, not by the clock, so that a training gives the same
    numbers on a slow machine. Without NumPy and llvmlite there is nothing to gain.
    """
    enough = points >= WORTH_COMPILING and at_once >= WORTH_A_CALL
    return enough and _has_machine_code()


def _has_machine_code() -> bool:
    try:
        import llvmlite  # type: ignore[import-untyped]  # noqa: F401
        import numpy  # noqa: F401
    except Exception:  # a broken one is as good as none
        return False
    return True


class Compiled:
    """The loss of a model over a batch, and the steps of its optimizer, on arrays.

    measures  whether to measure the accuracy, too

    While it trains, `weights` has the numbers; `write_back` gives them to the Values.
    """

    def __init__(
        self, model: Any, loss: Callable[..., Any], optimizer: Any, measures: bool
    ) -> None:
        import numpy as np  # here, as it takes longer to load than all else

        from autograd import vmap

        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.measures = measures
        self.parameters = model.parameters()
        held = set(optimizer.params)
        self.moving = list(optimizer.params)
        self.frozen = [p for p in self.parameters if p not in held]
        self.weights = np.array([p.data for p in self.moving])
        self.rest = np.array([p.data for p in self.frozen])
        self.gradient = np.zeros(len(self.moving))
        self.on_arrays = _steps_on_arrays(optimizer)
        self._lanes = vmap(
            value_and_grad(_limited(self._at_point), has_aux=True),
            in_axes=(None, None, 0, 0),
            reduce="mean",
        )

    def agrees(self, xs: Any, ys: Any, eager: Callable[[Any], Any]) -> bool:
        """Whether it gives what the loss itself gives on a few points.

        eager   the loss over the points for a model
        """
        if not set(self.moving) <= set(self.parameters):
            return False
        found = self.at(xs, ys)
        own = value_and_grad(lambda *ws: eager(self._stand_in(*ws)), argnums=(0, 1))
        y, (gradient, _) = own(self.weights, self.rest)
        return (
            eager(self.model).data == y
            and _close(found.loss, y)
            and _close(found.gradient, gradient)
        )

    def at(self, xs: Any, ys: Any) -> Found:
        """The mean over a batch, given as arrays; raises whatever tracing it raises."""
        (loss, right), gradient = self._lanes(self.weights, self.rest, xs, ys)
        if self._lanes.doubt is not None:
            raise TypeError("fit: the model cannot be compiled, as a warning has said")
        if type(loss) is not float:
            raise TypeError(
                "fit: a compiled loss must use parameters through the model, but one "
                "closes over Values; pass what it needs by the model's results"
            )
        return Found(loss, right, gradient)

    def step(self, gradient: Any) -> None:
        """What the optimizer makes of a gradient."""
        import numpy as np

        self.gradient = gradient
        if self.on_arrays:
            self._step_on_arrays()
            return
        self.optimizer.zero_grad()
        for p, g in zip(self.moving, gradient.tolist()):
            p.grad += g
        self.optimizer.step()
        self.weights = np.array([p.data for p in self.moving])
        self.rest = np.array([p.data for p in self.frozen])

    def _step_on_arrays(self) -> None:
        """A whole step or, after an interrupt, none, as `Optimizer.step` makes it."""
        import numpy as np

        weights, with_sums = self.weights, vars(self.optimizer).copy()
        try:
            with np.errstate(all="ignore"):
                self.weights = self.optimizer.moved(weights, self.gradient)
        except BaseException:
            self.weights = weights
            vars(self.optimizer).update(with_sums)
            raise

    def write_back(self) -> None:
        """Give the Values their weights, and the gradients of the last step."""
        if self.on_arrays:
            give_all(self.moving, "data", self.weights.tolist())
            give_all(self.moving, "grad", self.gradient.tolist())

    def _at_point(self, moving: Any, frozen: Any, x: Any, t: Any) -> tuple[Any, Any]:
        """The loss at one point, and whether it is right."""
        predictions = [self._stand_in(moving, frozen)(x.tolist())]
        targets = [t.tolist() if hasattr(t, "tolist") else t]
        y = self.loss(predictions, targets)
        return y, accuracy(predictions, targets) if self.measures else 0.0

    def _stand_in(self, moving: Any, frozen: Any) -> Any:
        values = [*moving.tolist(), *frozen.tolist()]
        return _with(self.model, [*self.moving, *self.frozen], values)


def predictions(model: Any, rows: list[Any], first: list[Any]) -> list[Any] | None:
    """What the model gives for many rows; None if that cannot be compiled.

    first   what it gives for the first of them, which must come out again
    """
    import numpy as np

    from autograd import vmap

    try:
        parameters = model.parameters()
        weights = np.array([p.data for p in parameters])

        def at_point(values: Any, x: Any) -> Any:
            return _as_lists(_with(model, parameters, values.tolist())(x.tolist()))

        lanes = vmap(_limited(at_point), in_axes=(None, 0))
        xs, expected = np.asarray(rows, np.float64), np.asarray(first)
        again = np.asarray(lanes(weights, xs[: len(first)]))
        if not _close(again, expected):
            return None
        found = lanes(weights, xs)
        if lanes.doubt is not None:
            return None
    except Exception:  # if it is not for compiling, the model raises it again
        return None
    return list(found.tolist() if hasattr(found, "tolist") else found)


def _close(found: Any, expected: Any) -> bool:
    """Whether numbers differ by no more than rounding; those not finite always do."""
    import numpy as np

    with np.errstate(all="ignore"):
        differences, largest = np.abs(found - expected), np.max(np.abs(expected))
        return bool(np.all(differences <= CLOSE * largest))


def _with(model: Any, parameters: list[Value], values: list[Any]) -> Any:
    """A copy of the model that has these values for parameters.

    They are put in place while it is copied, wherever it holds them, be it in several
    places or in a tuple. The model itself is left alone.
    """
    return deepcopy(model, dict(zip(map(id, parameters), values)))


def _limited(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, to be traced on a few paths: each takes long, and one for each point would."""
    runs = count(1)

    def limited(*args: Any) -> Any:
        if next(runs) > MOST_PATHS:
            raise ValueError(
                f"fit: a model must take at most {MOST_PATHS} paths to be compiled, "
                "but takes more; write where(condition, a, b) in place of `if`"
            )
        return f(*args)

    return limited


def _as_lists(y: Any) -> Any:
    return [_as_lists(item) for item in y] if isinstance(y, (list, tuple)) else y


def _steps_on_arrays(optimizer: Any) -> bool:
    """Whether a step of the optimizer is that of nn, which arrays can make as well."""
    return isinstance(optimizer, Optimizer) and all(
        getattr(method, "__func__", None) is own
        for method, own in (
            (optimizer.step, Optimizer.step),
            (optimizer.zero_grad, Optimizer.zero_grad),
        )
    )
