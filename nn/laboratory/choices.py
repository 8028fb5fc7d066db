"""What can be chosen in the laboratory, and what its words mean to the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cache
from itertools import product
from math import cos, isfinite, pi, sin
from numbers import Integral, Real
from typing import Any, Final

from autograd import Value, brief, sigmoid

from ..layers import MLP
from ..losses import binary_cross_entropy, hinge, mse

Floats = list[float]


@dataclass(frozen=True)
class Cost:
    """A cost function of the last layer's numbers and targets 0 or 1."""

    loss: Callable[[Any, Any], Any]
    threshold: float  # the class is 1 above it
    code: str  # what to write in Python for `fit`


def _squared_on_sigmoid(zs: Any, ts: Any) -> Any:
    return mse([sigmoid(z) for z in zs], ts)


def _hinge(zs: Any, ts: Any) -> Any:
    return hinge(zs, [2 * t - 1 for t in ts])


COSTS: Final = {
    "squared error": Cost(mse, 0.5, "mse"),
    "squared error on a sigmoid": Cost(
        _squared_on_sigmoid, 0.0, "lambda zs, ts: mse([sigmoid(z) for z in zs], ts)"
    ),
    "cross-entropy": Cost(binary_cross_entropy, 0.0, "binary_cross_entropy"),
    "hinge": Cost(_hinge, 0.0, "lambda zs, ts: hinge(zs, [2 * t - 1 for t in ts])"),
}
ACTIVATIONS: Final = (  # whose formula the page's script has, for its maps
    "tanh", "relu", "leaky_relu", "sigmoid", "softplus", "silu", "sin", "linear",
)  # fmt: skip
STARTS: Final = {
    "random": "weights drawn at random",
    "equal": "all weights and biases at 0.5",
    "sure": "random, and the output's bias at 20",
}
EQUAL, SURE = 0.5, 20.0
MOST_LAYERS, MOST_NEURONS = 6, 8
WATCHED: Final = 4  # points whose δ and pulls are recorded


# ---- data ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """Points of two classes, and the square of the plane that shows them."""

    points: list[Floats]
    targets: list[int]
    low: float
    high: float

    @property
    def watched(self) -> list[int]:
        """All of four points; of more, two of each class."""
        count = len(self.points)
        return [*range(count)] if count <= WATCHED else [0, count // 2, 1, -1 + count]


def dataset(name: str) -> tuple[list[Floats], list[int]]:
    """Points and targets of that name, as `fit` takes them.

    >>> dataset("xor")
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])

    The others are "moons", "circles" and "spiral". Raises ValueError for no such name.
    """
    found = DATA[_known("dataset", "name", name, DATA)]()
    return found.points, found.targets


@cache
def _xor() -> Data:
    points = [[float(i), float(j)] for i, j in product(range(2), repeat=2)]
    return Data(points, [0, 1, 1, 0], -0.5, 1.5)


def _two(first: Iterable[Floats], second: Iterable[Floats]) -> Data:
    """One class and the other, in digits that a person would type."""
    classes = [[[round(x, 3) for x in p] for p in points] for points in (first, second)]
    targets = [0] * len(classes[0]) + [1] * len(classes[1])
    return Data(classes[0] + classes[1], targets, -1.5, 1.5)


@cache
def _moons() -> Data:
    angles = [pi * k / 11 for k in range(12)]
    return _two(
        ([0.8 * cos(a) - 0.4, 0.8 * sin(a) - 0.2] for a in angles),
        ([0.4 - 0.8 * cos(a), 0.2 - 0.8 * sin(a)] for a in angles),
    )


@cache
def _circles() -> Data:
    angles = [2 * pi * k / 12 for k in range(12)]
    return _two(
        ([1.2 * cos(a), 1.2 * sin(a)] for a in angles),
        ([0.5 * cos(a), 0.5 * sin(a)] for a in angles),
    )


@cache
def _spiral() -> Data:
    arm = [(0.2 + 1.1 * k / 15, 3 * pi * k / 15) for k in range(16)]
    return _two(
        ([r * cos(a), r * sin(a)] for r, a in arm),
        ([-r * cos(a), -r * sin(a)] for r, a in arm),
    )


DATA: Final = {
    "xor": _xor, "moons": _moons, "circles": _circles, "spiral": _spiral,
}  # fmt: skip


# ---- a combination -------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """One training's settings."""

    cost: str
    rate: float
    data: str
    activation: str
    depth: int
    width: int
    seed: int
    start: str

    @property
    def points(self) -> Data:
        return DATA[self.data]()

    @property
    def nouts(self) -> list[int]:
        return [self.width] * self.depth + [1]

    def model(self) -> MLP:
        """The network before its first step."""
        model = MLP(2, self.nouts, self.activation, seed=self.seed)
        if self.start == "equal":
            for parameter in model.parameters():
                parameter.data = EQUAL
        elif self.start == "sure":
            model.layers[-1].neurons[0].b.data = SURE
        return model

    def loss(self, model: MLP) -> Value:
        """The mean over all points, recorded."""
        data = self.points
        zs = [model(x) for x in data.points]
        found: Value = COSTS[self.cost].loss(zs, data.targets)
        return found

    def share(self, model: MLP, point: int) -> Value:
        """One point's share of that mean."""
        data = self.points
        x, t = data.points[point], data.targets[point]
        found: Value = COSTS[self.cost].loss([model(x)], [t]) / len(data.points)
        return found

    @property
    def code(self) -> str:
        """The training in Python, up to a step to be filled in, for who wants to check.

        The last line prints the loss at that step.
        """
        cost = COSTS[self.cost].code
        names = {"MLP", "SGD", "fit", *(n for n in _LOSSES if n in cost)}
        lines = ["from autograd import sigmoid"] if "sigmoid" in cost else []
        lines += [
            f"from nn import {', '.join(sorted(names))}",
            "from nn.laboratory import dataset",
            "",
            f'model = MLP(2, {self.nouts}, "{self.activation}", seed={self.seed})',
        ]
        if self.start == "equal":
            lines += ["for p in model.parameters():", f"    p.data = {EQUAL}"]
        elif self.start == "sure":
            lines += [f"model.layers[-1].neurons[0].b.data = {SURE}"]
        return "\n".join(
            [
                *lines,
                f"sgd = SGD(model.parameters(), lr={self.rate!r})",
                f'xs, ts = dataset("{self.data}")',
                f"cost = {cost}",
                "history = fit(model, xs, ts, cost, sgd, epochs=STEP + 1,",
                "              progress=False)",
                'print(f"{history.loss[-1]:.4g}")',
            ]
        )


_LOSSES: Final = ("binary_cross_entropy", "hinge", "mse")
NAMES: Final = tuple(field.name for field in fields(Choice))


def combinations(lists: dict[str, Any]) -> list[Choice]:
    """Every combination of the lists; a choice that is no list stands alone."""
    checked = [_options(name, lists[name]) for name in NAMES]
    return [Choice(*found) for found in product(*checked)]


def _options(name: str, given: Any) -> list[Any]:
    if hasattr(given, "tolist"):
        given = given.tolist()
    several = isinstance(given, Iterable) and not isinstance(given, str)
    options = [*given] if several else [given]
    if not options:
        raise ValueError(
            f"lab: {name} must name at least one choice, but is empty; leave it out "
            "for the usual one"
        )
    return list(dict.fromkeys(_checked(name, option) for option in options))


def _checked(name: str, option: Any) -> Any:
    if name in _NAMED:
        return _known("lab", name, option, _NAMED[name])
    if name == "rate":
        return _rate(option)
    low, high = {"depth": (0, MOST_LAYERS), "width": (1, MOST_NEURONS)}.get(
        name, (0, 10**9)
    )
    return whole(name, option, low, high)


_NAMED: Final[dict[str, Iterable[str]]] = {
    "cost": COSTS, "data": DATA, "activation": ACTIVATIONS, "start": STARTS,
}  # fmt: skip


def _rate(rate: Any) -> float:
    plain = isinstance(rate, Real) and not isinstance(rate, bool)
    if not plain or not isfinite(rate) or rate <= 0:
        raise ValueError(
            f"lab: rate must be a finite number above 0, but is {brief(rate)}; write "
            "rate=[0.03, 0.3, 3.0]"
        )
    return float(rate)


def whole(name: str, number: Any, low: int, high: int) -> int:
    """The number, if it is a whole one within the bounds."""
    plain = isinstance(number, Integral) and not isinstance(number, bool)
    if not plain or not low <= number <= high:
        raise ValueError(
            f"lab: {name} must be a whole number from {low} to {high}, but is "
            f"{brief(number)}; choose one the page has room for"
        )
    return int(number)


def _known(operation: str, name: str, option: Any, known: Iterable[str]) -> str:
    names = [*known]
    if isinstance(option, str) and option in names:
        return option
    near = get_close_matches(str(option).lower(), names, 1)
    remedy = f"did you mean {near[0]!r}?" if near else f"known are {_listed(names)}"
    raise ValueError(
        f"{operation}: {name} must be a name it knows, but is {brief(option)}; {remedy}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
