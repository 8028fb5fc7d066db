"""Steps downhill: what to do to the parameters once `backward()` has run.

An optimizer holds the parameters it moves and remembers what it needs of earlier steps.
A gradient that is not finite, or a step so long that a parameter would not be, raises
FloatingPointError before anything has moved: one NaN would otherwise spread to every
weight, and the step at which it came up would be lost.

    w   a parameter     g   its gradient     v, m   running sums     lr   learning rate
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf, isfinite, nan, sqrt
from numbers import Real
from typing import Any
from warnings import warn

from autograd import Value, brief

Column = Any  # a number for each parameter: a list of floats, or a NumPy array


class Optimizer:
    """What SGD and Adam share: the parameters, `zero_grad`, and the checks."""

    def __init__(self, params: Iterable[Value], lr: float) -> None:
        name = type(self).__name__
        found = list(params) if isinstance(params, Iterable) else [params]
        if not found:
            raise ValueError(
                f"{name}: params must hold at least one parameter, but is empty; "
                "pass model.parameters()"
            )
        for p in found:
            if not isinstance(p, Value) or p.args:
                raise TypeError(
                    f"{name}: params must be leaf Values, but one is {brief(p)}; "
                    "pass model.parameters()"
                )
        self.params = list(dict.fromkeys(found))  # a shared parameter moves once
        self.lr = _within(name, "lr", lr, 0.0, above=True)

    def __repr__(self) -> str:
        held = {k: x for k, x in vars(self).items() if isinstance(x, (float, tuple))}
        said = [f"{len(self.params)} parameter(s)"]
        said += [f"{name}={x!r}" for name, x in held.items()]
        return f"{type(self).__name__}({', '.join(said)})"

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0, since `backward()` adds to it.

        One that no sweep has reached stays as it is, which `step` looks for.
        """
        for p in self.params:
            if p.reached:
                p.grad = 0.0

    def step(self) -> None:
        """Move every parameter, or none and raise FloatingPointError, as said above.

        An interrupt (Ctrl-C) on the way leaves all as it was, running sums included.
        A RuntimeWarning says where no sweep has ever reached a parameter: `backward()`
        was forgotten, or ran on a model whose parameters these are not.
        """
        if not any(p.reached for p in self.params):
            warn(
                f"{type(self).__name__}.step: a sweep must have reached a parameter, "
                "but none has; call backward() first, and make an optimizer anew for "
                "a copy of the model, which has parameters of its own",
                RuntimeWarning,
                stacklevel=2,
            )
        weights = [p.data for p in self.params]
        with_sums = vars(self).copy()
        try:
            moved = self.moved(weights, [p.grad for p in self.params])
            for p, number in zip(self.params, moved):
                p.data = number
        except BaseException:
            vars(self).update(with_sums)
            for p, number in zip(self.params, weights):
                if p.data != number:
                    p.data = number
            raise

    def moved(self, weights: Column, gradients: Column) -> Column:
        """Where a step leads from these weights, with these gradients, and make it.

        Both are lists, or both NumPy arrays, which is faster for many parameters; the
        numbers are the same. The parameters stay where they are: `step` moves them.

        >>> w = Value(1.0)
        >>> SGD([w], lr=0.5).moved([w.data], [2.0]), w.data
        ([0.0], 1.0)

        Raises FloatingPointError if a number is not finite; then no step was made.
        """
        raise NotImplementedError

    def _require_finite(self, what: str, numbers: Column) -> None:
        if isinstance(numbers, list):
            if all(map(isfinite, numbers)):
                return
        elif abs(numbers).max() < inf:
            return
        for i, (p, x) in enumerate(zip(self.params, numbers)):
            if not isfinite(x):
                raise FloatingPointError(
                    f"{type(self).__name__}.step: every {what} must be finite, but "
                    f"that of {p.label or f'parameter {i}'} is {x}; lower lr, or find "
                    "where it arises with autograd.detect_anomaly()"
                )


class SGD(Optimizer):
    """Gradient descent: v ← momentum · v + g, then w ← w - lr · v.

    With weight_decay, g is ∂L/∂w + weight_decay · w, for every parameter. lr may be
    assigned between steps. Source: Sutskever et al. 2013, with lr outside v.

    >>> w = Value(1.0)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w.data
    0.8

    Raises ValueError for a hyperparameter out of range or no parameters. A step raises
    FloatingPointError, and moves nothing, if a number in it is not finite.
    """

    def __init__(
        self,
        params: Iterable[Value],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr)
        self.momentum = _within("SGD", "momentum", momentum, 0.0, 1.0)
        self.weight_decay = _within("SGD", "weight_decay", weight_decay, 0.0)
        self.v = [0.0] * len(self.params)

    def moved(self, weights: Column, gradients: Column) -> Column:
        self._require_finite("gradient", gradients)
        moved, v = _each(self._rule, weights, gradients, self.v)
        self._require_finite("moved parameter", moved)
        self.v = v
        return moved

    def _rule(self, w: Any, g: Any, v: Any) -> tuple[Any, Any]:
        v = self.momentum * v + g + self.weight_decay * w
        return w - self.lr * v, v


class Adam(Optimizer):
    """Steps of about lr in every coordinate, whatever the scale of its gradient.

    m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,  w ← w - lr · m̂ / (√v̂ + eps), where
    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) at step t undo the start from 0. lr may be
    assigned between steps. Source: Kingma and Ba 2015, algorithm 1.

    >>> w = Value(1.0)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> round(w.data, 6)
    0.9

    Raises ValueError for a hyperparameter out of range or no parameters. A step raises
    FloatingPointError, and moves nothing, if a number in it is not finite.
    """

    def __init__(
        self,
        params: Iterable[Value],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, lr)
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise TypeError(
                f"Adam: betas must be a pair of numbers, but is {brief(betas)}; usual "
                "are (0.9, 0.999)"
            )
        beta1, beta2 = betas
        self.betas = (
            _within("Adam", "betas[0]", beta1, 0.0, 1.0),
            _within("Adam", "betas[1]", beta2, 0.0, 1.0),
        )
        self.eps = _within("Adam", "eps", eps, 0.0, above=True)
        self.t = 0
        self.m = [0.0] * len(self.params)
        self.v = [0.0] * len(self.params)

    def moved(self, weights: Column, gradients: Column) -> Column:
        self._require_finite("gradient", gradients)
        beta1, beta2 = self.betas
        t, eps = self.t + 1, self.eps
        rate, unbias = self.lr / (1 - beta1**t), 1 - beta2**t

        def rule(w: Any, g: Any, m: Any, v: Any) -> tuple[Any, Any, Any]:
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            return w - rate * m / (_sqrt(v / unbias) + eps), m, v

        moved, m, v = _each(rule, weights, gradients, self.m, self.v)
        self._require_finite("mean squared gradient", v)
        self._require_finite("moved parameter", moved)
        self.m, self.v, self.t = m, v, t
        return moved


def _each(rule: Callable[..., tuple[Any, ...]], *columns: Column) -> list[Column]:
    """What the rule gives for each row of lists, or at once for arrays, in columns."""
    if isinstance(columns[0], list):
        rows = map(rule, *[c if isinstance(c, list) else c.tolist() for c in columns])
        return [list(column) for column in zip(*rows)]
    zeros = 0.0 * columns[0]
    return list(rule(*[zeros + c if isinstance(c, list) else c for c in columns]))


def _sqrt(x: Any) -> Any:
    return sqrt(x) if type(x) is float else x**0.5  # for arrays, this is sqrt


def _within(
    operation: str,
    argument: str,
    x: Any,
    low: float,
    high: float = inf,
    above: bool = False,
) -> float:
    """x as a float, if it is in [low, high), or in (low, high) with `above`."""
    number = float(x) if isinstance(x, Real) else nan
    if not low <= number < high or (above and number == low):
        least = "above" if above else "at least"
        most = "finite" if high == inf else f"below {high:g}"
        raise ValueError(
            f"{operation}: {argument} must be {least} {low:g} and {most}, but is "
            f"{brief(x)}; usual are 0.01 for lr, 0.9 for momentum, 1e-4 for "
            "weight_decay"
        )
    return number
