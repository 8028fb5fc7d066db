"""Networks of neurons: a = activation(w · x + b), layer upon layer.

A Neuron has one weight for each feature and a bias, a Layer has neurons that look at
the same features, and an MLP (multi-layer perceptron) feeds each layer's results to the
next. There is no limit to how many layers, and no layer knows how to differentiate
itself: the graph of Values does that.

    x   the features     w, b   weights, bias     z = w · x + b     a = activation(z)
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from math import sqrt
from numbers import Real
from operator import index
from typing import TYPE_CHECKING, Any, Final, Protocol

import autograd
from autograd import Primitive, Value, brief, dot

from .losses import mse
from .module import Module

ROWS: Final[dict[Any, Any]] = {
    "linear": None,
    **{
        row.name: row
        for row in vars(autograd).values()
        if isinstance(row, Primitive) and row.arity - len(row.defaults) == 1
    },
}
ACTIVATIONS: Final = tuple(ROWS)[1:]
OTHER_NAMES: Final = {"swish": "silu", "logistic": "sigmoid", "expit": "sigmoid"}
RELU_LIKE: Final = frozenset({"relu", "leaky_relu", "gelu", "silu", "softplus"})

Activation = str | Primitive
Seed = int | random.Random | None
Draw = Callable[[random.Random, int, int], float]


class Row(Protocol):
    """A point in an array, as type checkers know it."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def tolist(self) -> Any: ...
    def __len__(self) -> int: ...


class Picture(Protocol):
    """A drawing of a network, as type checkers know it: see `autograd.draw_network`."""

    @property
    def description(self) -> str: ...
    def svg(self, path: str | os.PathLike[str] | None = None) -> str: ...
    def save(self, path: str | os.PathLike[str]) -> str: ...


Features = Sequence[Value | float] | Row
if TYPE_CHECKING:
    from .pictures import Play

    class Outputs(Value):  # type: ignore[misc]  # whose subclasses are for checkers
        """A Value or, of several neurons, a list of them: only the widths say which."""

        def __len__(self) -> int: ...
        def __getitem__(self, i: int) -> Value: ...
        def __iter__(self) -> Iterator[Value]: ...


INITS: Final[dict[str, Draw]] = {
    "he": lambda rng, nin, fan_out: rng.gauss(0.0, sqrt(2 / nin)),
    "glorot": lambda rng, nin, fan_out: rng.uniform(-1, 1) * sqrt(6 / (nin + fan_out)),
    "uniform": lambda rng, nin, fan_out: rng.uniform(-1, 1),
}


class Neuron(Module):
    """a = activation(w · x + b), with nin weights drawn at random and b = 0.

    nin         how many features it takes
    activation  the name of a row with one argument ("relu", "tanh", "sigmoid", "gelu",
                "sin", …), "linear" for none, or a Primitive of one's own
    nonlin      False is another way to say "linear", as in micrograd
    init        how weights are drawn; by default "he" where the activation is like
                relu, else "glorot":
                "he"       normal, variance 2 / nin (He et al. 2015, equation 10)
                "glorot"   uniform, variance 2 / (nin + fan_out) (Glorot and Bengio
                           2010, equation 16)
                "uniform"  from -1 to 1, as in micrograd
    seed        an int for the same weights every time; without one they come from
                Python's own `random`, and so follow `random.seed`
    fan_out     how many neurons share the features

    >>> neuron = Neuron(2, "tanh", seed=0)
    >>> a = neuron([0.5, -1.0])
    >>> a.backward()
    >>> neuron.b.grad == 1 - a.data**2
    True

    Raises ValueError for an unknown activation or init, or a width below 1.
    """

    def __init__(
        self,
        nin: int,
        activation: Activation = "relu",
        *,
        nonlin: bool = True,
        init: str | None = None,
        seed: Seed = None,
        fan_out: int = 1,
    ) -> None:
        nin = _width("Neuron", "nin", nin)
        self.activation = _known("Neuron", activation if nonlin else "linear")
        draw, rng = _draw("Neuron", init, self.activation), _random(seed)
        self.w = [Value(draw(rng, nin, fan_out), label=f"w{i}") for i in range(nin)]
        self.b = Value(0.0, label="b")

    def __call__(self, x: Features) -> Value:
        """a, a Value, for nin numbers or Values."""
        try:
            nin = len(x)
        except TypeError:
            raise _no_list("Neuron", len(self.w), x) from None
        if nin != len(self.w):
            raise _wrong_width("Neuron", len(self.w), nin)
        z = dot(self.w, x) + self.b
        row = ROWS.get(self.activation, self.activation)
        return z if row is None else row(z)

    def __repr__(self) -> str:
        return f"Neuron({len(self.w)}, activation={_name(self.activation)!r})"


class Layer(Module):
    """nout neurons that take the same nin features; the other arguments as for Neuron.

    >>> layer = Layer(3, 2, "tanh", seed=0)
    >>> layer
    Layer(3, 2, activation='tanh')
    >>> [a.op for a in layer([1.0, 2.0, 3.0])]
    ['tanh', 'tanh']

    Raises ValueError for an unknown activation or init, or a width below 1.
    """

    def __init__(
        self,
        nin: int,
        nout: int,
        activation: Activation = "relu",
        *,
        nonlin: bool = True,
        init: str | None = None,
        seed: Seed = None,
    ) -> None:
        nin, nout = _width("Layer", "nin", nin), _width("Layer", "nout", nout)
        activation = _known("Layer", activation if nonlin else "linear")
        rng = _random(seed)
        self.neurons = [
            Neuron(nin, activation, init=init, seed=rng, fan_out=nout)
            for _ in range(nout)
        ]
        self.label_parameters()

    def __call__(self, x: Features) -> Outputs:
        """The list of the neurons' a, or that of the only neuron, for nin features."""
        features = _features("Layer", x, len(self.neurons[0].w))
        return _outputs(self.activations(features))

    def activations(self, x: Sequence[Any]) -> list[Value]:
        """The list of the neurons' a, for features that have been checked."""
        return [neuron(x) for neuron in self.neurons]

    def __repr__(self) -> str:
        first = self.neurons[0]
        return (
            f"Layer({len(first.w)}, {len(self.neurons)}, "
            f"activation={_name(first.activation)!r})"
        )


class MLP(Module):
    """Layers of the widths nouts, one after the other; the last one is linear.

    nin    how many features it takes
    nouts  the width of every layer, in order

    activation, init and seed as for Neuron, whose default for init is applied layer by
    layer. Parameters are labelled by their place: `layers.0.neurons.1.w0`.

    >>> model = MLP(2, [16, 16, 1], seed=0)
    >>> model
    MLP(2, [16, 16, 1], activation='relu')
    >>> y = model([0.5, -1.0])
    >>> y.backward()
    >>> model.layers[2].neurons[0].b.grad
    1.0

    Raises ValueError for an unknown activation or init, no layers, or a width below 1.
    """

    def __init__(
        self,
        nin: int,
        nouts: Sequence[int],
        activation: Activation = "relu",
        *,
        init: str | None = None,
        seed: Seed = None,
    ) -> None:
        if not isinstance(nouts, Sequence) or isinstance(nouts, str) or not nouts:
            raise ValueError(
                "MLP: nouts must be a list of the widths of all layers, but is "
                f"{brief(nouts)}; for one linear layer with one result write [1]"
            )
        self.activation = _known("MLP", activation)
        widths = [_width("MLP", "nin", nin)]
        widths += [_width("MLP", "every width in nouts", nout) for nout in nouts]
        rng, last = _random(seed), len(nouts) - 1
        self.layers = [
            Layer(
                widths[i],
                widths[i + 1],
                activation if i < last else "linear",
                init=init,
                seed=rng,
            )
            for i in range(len(nouts))
        ]
        self.label_parameters()

    def __call__(self, x: Features) -> Outputs:
        """A Value if the last layer has one neuron, else a list of Values.

        x is one point: a list, tuple or NumPy row of nin numbers or Values. Raises
        ValueError for another number of features, TypeError for anything else in x.
        """
        a = _features("MLP", x, len(self.layers[0].neurons[0].w))
        for layer in self.layers:
            a = layer.activations(a)
        return _outputs(a)

    def draw(
        self,
        x: Any = None,
        y: Any = None,
        loss: Callable[[Any, Any], Any] = mse,
        by: str = "weight",
        *,
        backward: bool = False,
        outcome: bool = False,
    ) -> Picture:
        """A picture of the network: a card for each neuron, a line for each weight.

        x     a point, whose z and a each neuron then shows
        y     its target: with it they also show δ = ∂L/∂z, L being loss(model(x), y)
        by    what lines show, "weight" or "grad": ∂L/∂w with y, else the weights' own
              `.grad`, as `backward()` left it
        backward  with y: each neuron also shows σ′(z) and the Wᵀδ that arrives, the
                  factors of δ
        outcome   with y: a last card shows the target and L

        Of a deep network the first and last layers are drawn, and a count between them.
        A notebook shows the picture, and `.save(path)` writes it as SVG, PNG or PDF.
        `draw(model)` is the same without a point. The model is left as it was,
        gradients included.

        >>> picture = MLP(2, [3, 1], "tanh", seed=0).draw([0.5, -1.0], 1.0)
        >>> picture.description
        'Columns of cards from left to right, of 2, 3, 1. Lines are w, in blue ...'

        Raises ValueError for another number of features, y without x, backward or
        outcome without y, another `by`, or by="grad" where no sweep has been.
        """
        from .pictures import network_drawing

        return network_drawing(self, x, y, loss, by, backward, outcome)

    def _draw_(self) -> Picture:
        return self.draw()

    def _play_(self, x: Any, y: Any, *, loss: Callable[[Any, Any], Any] = mse) -> Play:
        """What `player(model, x, y)` plays: one point, forward and backward."""
        from .pictures import play

        return play(self, x, y, loss)

    def __repr__(self) -> str:
        nin = len(self.layers[0].neurons[0].w)
        nouts = [len(layer.neurons) for layer in self.layers]
        return f"MLP({nin}, {nouts}, activation={_name(self.activation)!r})"


# ---- what the arguments may be -------------------------------------------------------


def _width(operation: str, argument: str, width: Any) -> int:
    try:
        found = index(width)
    except TypeError:
        found = 0
    if found < 1:
        raise ValueError(
            f"{operation}: {argument} must be a whole number of at least 1, but is "
            f"{brief(width)}; every layer needs a feature and a neuron"
        )
    return found


def _outputs(a: Sequence[Any]) -> Outputs:
    outputs: Any = a[0] if len(a) == 1 else a
    return outputs  # type: ignore[no-any-return]


def _known(operation: str, activation: Activation) -> Activation:
    if isinstance(activation, Primitive):
        return _of_one(operation, activation)
    if activation in ("linear", *ACTIVATIONS):
        return activation
    if not isinstance(activation, str):
        raise TypeError(
            f"{operation}: activation must be a name or a Primitive, but is "
            f"{brief(activation)}; write 'relu', 'tanh' or 'linear', or make a "
            "Primitive of a function of your own"
        )
    raise _unknown(operation, "activation", activation, ("linear", *ACTIVATIONS))


def _of_one(operation: str, row: Primitive) -> Primitive:
    if row.arity - len(row.defaults) != 1:
        raise ValueError(
            f"{operation}: activation must be a row of one argument, but is "
            f"{brief(row)}; write a Primitive of one, or a Module of your own"
        )
    return row


def _draw(operation: str, init: str | None, activation: Activation) -> Draw:
    scheme = init or ("he" if _name(activation) in RELU_LIKE else "glorot")
    if scheme not in INITS:
        raise _unknown(operation, "init", scheme, tuple(INITS))
    return INITS[scheme]


def _unknown(
    operation: str, argument: str, name: Any, known: tuple[str, ...]
) -> ValueError:
    meant = OTHER_NAMES.get(str(name).lower(), str(name).lower())
    near = " or ".join(map(repr, get_close_matches(meant, known, 2)))
    remedy = f"did you mean {near}?" if near else f"known are {', '.join(known)}"
    return ValueError(
        f"{operation}: {argument} must be a name it knows, but is {brief(name)}; "
        f"{remedy}"
    )


def _name(activation: Activation) -> str:
    return activation if isinstance(activation, str) else activation.name


def _random(seed: Seed) -> random.Random:
    if isinstance(seed, random.Random):
        return seed
    return random.Random(random.getrandbits(64) if seed is None else seed)


def _features(operation: str, x: Any, nin: int) -> Sequence[Any]:
    """x as a sequence of nin floats and Values, which the neurons need not check."""
    if hasattr(x, "tolist"):
        x = x.tolist()  # a NumPy row, as Python floats
    if not isinstance(x, Sequence) or isinstance(x, str):
        raise _no_list(operation, nin, x)
    if len(x) != nin:
        raise _wrong_width(operation, nin, len(x))
    for feature in x:
        if type(feature) is not float and type(feature) is not Value:
            return [_feature(operation, feature, i) for i, feature in enumerate(x)]
    return x


def _feature(operation: str, feature: Any, i: int) -> Any:
    if isinstance(feature, Value):
        return feature
    if isinstance(feature, Real):
        return float(feature)
    raise TypeError(
        f"{operation}: x must hold numbers and Values, but x[{i}] is "
        f"{type(feature).__name__}; call the model once for each point"
    )


def _no_list(operation: str, nin: int, x: Any) -> TypeError:
    return TypeError(
        f"{operation}: x must be a list of {nin} feature(s), but is "
        f"{type(x).__name__}; a point is a list, even with one feature"
    )


def _wrong_width(operation: str, nin: int, found: int) -> ValueError:
    return ValueError(
        f"{operation}: x must have {nin} feature(s), but has {found}; give one number "
        "for each, or build the model with as many inputs as the data has features"
    )
