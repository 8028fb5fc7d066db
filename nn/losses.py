"""What a model gets wrong, as one number to minimise: the mean over all points.

Each loss takes predictions and targets for one point or for a list of them, and gives a
Value (a float if the predictions are floats). Classification takes the model's raw
scores, called logits: the probability is never formed, because near 0 and 1 it would
have rounded away what the loss is about.

Targets are numbers. Where a loss is traced they are Values, as all arguments are then,
and choose by `where`: a class is no index then, and each `if` would double the paths.

    p   prediction     z   logit, any number     t   target     n   number of points
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from numbers import Real
from typing import Any, ParamSpec, Protocol, overload

from autograd import Value, brief, dot, logsumexp, relu, softplus, where

Point = tuple[list[Any], list[Any]]
Values = Value | Sequence[Value] | Sequence[Sequence[Value]]
Floats = float | Sequence[float] | Sequence[Sequence[float]]


P = ParamSpec("P")


class Loss(Protocol[P]):
    """A loss as type checkers see it: a Value of Values, a float of floats."""

    @overload
    def __call__(self, predictions: Values, targets: Any, /) -> Value: ...
    @overload
    def __call__(self, predictions: Floats, targets: Floats, /) -> float: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...


def _loss(f: Callable[P, Any]) -> Loss[P]:
    return f  # type: ignore[return-value]


@_loss
def mse(predictions: Any, targets: Any) -> Any:
    """Mean squared error, Σ (p - t)² / n.

    A number and a number, n and n, or n rows of m and n rows of m (n is then n · m).

    >>> mse([Value(1.0), Value(2.0)], [1.0, 4.0]).data
    2.0

    Raises ValueError if the numbers of predictions and targets differ.
    """
    errors = [p - t for p, t in _elements("mse", predictions, targets)]
    return dot(errors, errors) / len(errors)


@_loss
def hinge(scores: Any, targets: Any) -> Any:
    """Maximum-margin loss, Σ max(0, 1 - t · z) / n, for targets -1 and 1.

    Shapes as for mse. Points on the right side by a margin of 1 or more have no part in
    the gradient. Source: Cortes and Vapnik 1995.

    >>> hinge([Value(0.5), Value(3.0)], [1, 1]).data
    0.25

    Raises ValueError for any other target.
    """
    pairs = _elements("hinge", scores, targets)
    for _, t in pairs:
        if abs(t) != 1:
            raise ValueError(
                f"hinge: every target must be -1 or 1, but one is {t}; "
                "write 2 * t - 1 for targets 0 and 1"
            )
    return _mean([relu(1.0 - t * z) for z, t in pairs])


@_loss
def binary_cross_entropy(logits: Any, targets: Any) -> Any:
    """-Σ (t · ln σ(z) + (1 - t) · ln(1 - σ(z))) / n, for targets from 0 to 1.

    Shapes as for mse. Computed as softplus(-z) + (1 - t) · z or, for z < 0 and t < 1,
    softplus(z) - t · z, which keeps its digits for every z: a sure and right answer
    costs e^-|z|, a wrong one |z|. The derivative along a target is -z.

    >>> binary_cross_entropy(Value(-1000.0), 1).data
    1000.0
    >>> binary_cross_entropy(Value(100.0), 1).data
    3.720075976020836e-44

    Raises ValueError for a target outside [0, 1].
    """
    pairs = _elements("binary_cross_entropy", logits, targets)
    for _, t in pairs:
        if not 0 <= t <= 1:
            raise ValueError(
                "binary_cross_entropy: every target must be from 0 to 1, but one is "
                f"{t}; write (t + 1) / 2 for targets -1 and 1"
            )
    return _mean([_binary_cross_entropy(z, t) for z, t in pairs])


def _binary_cross_entropy(z: Any, t: Any) -> Any:
    if not isinstance(t, Value) and t in (0, 1):
        return softplus(-z if t else z)
    is_right = where(t == 1, 1.0, where(t == 0, 0.0, z > 0))
    right, wrong = softplus(-z) + _part(1 - t, z), softplus(z) + _part(t, -z)
    return where(is_right, right, wrong)


def _part(share: Any, z: Any) -> Any:
    """share · z, which is 0 for a share of 0, be z infinite."""
    return where(abs(z) < inf, share * z, where(share == 0, 0.0, share * z))


@_loss
def cross_entropy(logits: Any, target_class: Any) -> Any:
    """-Σ ln softmax(z)[c] / n, for a class c from 0 to k - 1 and k logits per point.

    k logits and a class, or n rows of k logits and n classes. Computed from
    differences, softplus(logsumexp(zⱼ - z_c over j ≠ c)), which is logsumexp(z) - z_c
    without the cancellation: a sure and right answer is no 0, but has a logarithm good
    to its last place.

    >>> cross_entropy([Value(1.0), Value(1.0)], 0).data
    0.6931471805599453
    >>> cross_entropy([[Value(100.0), Value(0.0)]], [0]).data
    3.720075976020836e-44

    Raises ValueError if there is no such class, or fewer than 2 logits.
    """
    points = _points("cross_entropy", logits, target_class)
    classes = [_class("cross_entropy", z, t) for z, t in points]
    return _mean([_cross_entropy(z, c) for (z, _), c in zip(points, classes)])


def _cross_entropy(z: list[Any], c: Any) -> Any:
    return softplus(logsumexp(_differences(z, c)))


def _differences(z: list[Any], c: Any) -> list[Any]:
    """zⱼ - z_c for each j but c; where c is a Value for that, too, but as -inf."""
    if not isinstance(c, Value):
        return [z[j] - z[c] for j in range(len(z)) if j != c]
    chosen = [c == j for j in range(len(z))]
    z_c = z[0]
    for is_c, score in zip(chosen[1:], z[1:]):
        z_c = where(is_c, score, z_c)
    return [where(is_c, -inf, score - z_c) for is_c, score in zip(chosen, z)]


def accuracy(predictions: Any, targets: Any) -> float:
    """The share of points on which the prediction has the target's class.

    With several scores per point, the class is the number of the largest. With one, it
    is whether it is above 0, and the target says so with -1 or 1, or with 0 or 1.

    >>> accuracy([0.5, -2.0, 1.0, -1.0], [1, 0, 0, -1])
    0.75
    >>> accuracy([[0.1, 3.0], [2.0, 0.0]], [1, 0])
    1.0

    Raises ValueError as the losses do.
    """
    points = _points("accuracy", predictions, targets)
    if len(points[0][0]) > len(points[0][1]):
        classes = [_class("accuracy", z, t) for z, t in points]
        right = [_is_largest(z, c) for (z, _), c in zip(points, classes)]
    else:
        pairs = _elements("accuracy", predictions, targets)
        right = [(z > 0) == (t > 0.5) for z, t in pairs]
    share: float = sum(right) / len(right)
    return share


def _is_largest(z: list[Any], c: Any) -> Any:
    """Whether z_c is the largest, and the first of those as large."""
    if not isinstance(c, Value):
        return c == max(range(len(z)), key=z.__getitem__)
    largest, number = z[0], 0.0
    for j, score in enumerate(z[1:], start=1):
        above = score > largest
        largest, number = where(above, score, largest), where(above, float(j), number)
    return c == number


def require_loss(operation: str, loss: Any) -> None:
    """Refuse what is no loss, such as the name of one."""
    if not callable(loss) or isinstance(loss, type):
        known = ("mse", "hinge", "binary_cross_entropy", "cross_entropy")
        remedy = (
            f"write loss=nn.{loss}, without quotes"
            if loss in known
            else ("pass one of nn's, as loss=nn.mse, or a function of your own")
        )
        raise TypeError(
            f"{operation}: loss must be a function of (predictions, targets), but is "
            f"{brief(loss)}; {remedy}"
        )


# ---- shapes --------------------------------------------------------------------------


def _mean(terms: list[Any]) -> Any:
    """The mean by one n-ary node, whatever the number of terms."""
    return dot(terms, [1.0] * len(terms)) / len(terms)


def _points(operation: str, predictions: Any, targets: Any) -> list[Point]:
    """(row of predictions, row of targets) for every point; the rows may differ."""
    predictions, targets = _plain(predictions), _plain(targets)
    if not isinstance(targets, Sequence):
        return [(_row(operation, predictions), _row(operation, targets))]
    if not isinstance(predictions, Sequence) or len(predictions) != len(targets):
        found = len(predictions) if isinstance(predictions, Sequence) else "only one"
        raise ValueError(
            f"{operation}: predictions and targets must be equally many, but there are "
            f"{found} prediction(s) for {len(targets)} target(s); pair them first"
        )
    if not targets:
        raise ValueError(
            f"{operation}: targets must hold at least one point, but is empty; "
            "the mean of nothing is no number"
        )
    return [
        (_row(operation, p), _row(operation, t)) for p, t in zip(predictions, targets)
    ]


def _elements(operation: str, predictions: Any, targets: Any) -> list[tuple[Any, Any]]:
    """(prediction, target) for every number, point after point."""
    pairs: list[tuple[Any, Any]] = []
    for p, t in _points(operation, predictions, targets):
        if len(p) != len(t):
            raise ValueError(
                f"{operation}: each point must have as many targets as predictions, "
                f"{len(p)}, but one has {len(t)}; classes by number go with "
                "cross_entropy"
            )
        pairs.extend(zip(p, t))
    return pairs


def _class(operation: str, z: list[Any], t: list[Any]) -> Any:
    if len(z) < 2 or len(t) != 1:
        raise ValueError(
            f"{operation}: each point must have at least 2 logits and one class, but "
            f"one has {len(z)} and {len(t)}; with one logit use binary_cross_entropy"
        )
    classes = range(len(z))
    if isinstance(t[0], Value):  # the sum is one comparison, where `in` would be many
        known = sum([t[0] == j for j in classes])
    else:
        known = t[0] in classes
    if not known:
        raise ValueError(
            f"{operation}: every class must be a whole number from 0 to "
            f"{len(z) - 1}, but one is {t[0]}; number the classes from 0"
        )
    return t[0] if isinstance(t[0], Value) else int(t[0])


def _plain(numbers: Any) -> Any:
    return numbers.tolist() if hasattr(numbers, "tolist") else numbers


def _row(operation: str, numbers: Any) -> list[Any]:
    row = _plain(numbers)
    row = list(row) if isinstance(row, Sequence) else [row]
    for x in row:
        if not isinstance(x, (Value, Real)) or isinstance(x, str):
            raise TypeError(
                f"{operation}: predictions and targets must be numbers or Values, but "
                f"one is {brief(x)} ({type(x).__name__}); give a number, a list, or "
                "rows"
            )
    return row
