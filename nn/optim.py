"""Steps downhill: what to do to the parameters once `backward()` has run.

An optimizer holds the parameters it moves and remembers what it needs of earlier steps.
A gradient that is not finite, or a step so long that a parameter would not be, raises
FloatingPointError before anything has moved: one NaN would otherwise spread to every
weight, and the step at which it came up would be lost.

    w   a parameter     g   its gradient     v, m   running sums     lr   learning rate
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite, nan, sqrt
from numbers import Real
from typing import Any

from autograd import Value


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
            if not isinstance(p, Value) or p.op:
                raise TypeError(
                    f"{name}: params must be leaf Values, but one is {p!r}; "
                    "pass model.parameters()"
                )
        self.params = list(dict.fromkeys(found))  # a shared parameter moves once
        self.lr = _within(name, "lr", lr, 0.0, above=True)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0, since `backward()` adds to it."""
        for p in self.params:
            p.grad = 0.0

    def _gradients(self) -> list[float]:
        gradients = [p.grad for p in self.params]
        self._require_finite("gradient", gradients)
        return gradients

    def _assign(self, moved: list[float]) -> None:
        self._require_finite("moved parameter", moved)
        for p, number in zip(self.params, moved):
            p.data = number

    def _require_finite(self, what: str, numbers: list[float]) -> None:
        if all(map(isfinite, numbers)):
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

    def step(self) -> None:
        """Move every parameter, or none and raise FloatingPointError, as said above."""
        gradients, params = self._gradients(), self.params
        v = [
            self.momentum * v + g + self.weight_decay * p.data
            for v, g, p in zip(self.v, gradients, params)
        ]
        self._assign([p.data - self.lr * v for p, v in zip(params, v)])
        self.v = v


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
        beta1, beta2 = betas
        self.betas = (
            _within("Adam", "betas[0]", beta1, 0.0, 1.0),
            _within("Adam", "betas[1]", beta2, 0.0, 1.0),
        )
        self.eps = _within("Adam", "eps", eps, 0.0, above=True)
        self.t = 0
        self.m = [0.0] * len(self.params)
        self.v = [0.0] * len(self.params)

    def step(self) -> None:
        """Move every parameter, or none and raise FloatingPointError, as said above."""
        gradients, t = self._gradients(), self.t + 1
        beta1, beta2 = self.betas
        m = [beta1 * m + (1 - beta1) * g for m, g in zip(self.m, gradients)]
        v = [beta2 * v + (1 - beta2) * g * g for v, g in zip(self.v, gradients)]
        self._require_finite("mean squared gradient", v)
        rate, unbias = self.lr / (1 - beta1**t), 1 - beta2**t
        self._assign(
            [
                p.data - rate * m / (sqrt(v / unbias) + self.eps)
                for p, m, v in zip(self.params, m, v)
            ]
        )
        self.m, self.v, self.t = m, v, t


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
            f"{x!r}; usual are 0.01 for lr, 0.9 for momentum, 1e-4 for weight_decay"
        )
    return number
