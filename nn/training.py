"""The training loop: points in batches, a loss, a step, and what came of every epoch.

`fit` is the loop that one writes by hand,

    for each epoch, for each batch:
        L = loss([model(x) for x in batch], targets)
        optimizer.zero_grad(); L.backward(); optimizer.step()

with the data checked before the first step, a progress bar, a record, and a way to stop
early with the best weights. A long training compiles the part between model and step.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any, Final, Protocol

from tqdm import tqdm

from autograd import Value, brief

from .compiled import SAMPLE, Compiled, Found, pays, predictions
from .losses import (
    accuracy,
    binary_cross_entropy,
    cross_entropy,
    hinge,
    mse,
    require_loss,
)
from .module import give_all
from .optim import Adam

Loss = Callable[[Any, Any], Any]
Data = tuple[list[list[float]], list[Any]]

CLASSIFIES: Final = (hinge, binary_cross_entropy, cross_entropy)


class Model(Protocol):
    """What fit asks of a model: a Module that can be called on one point."""

    def __call__(self, x: Any) -> Any: ...
    def parameters(self) -> list[Value]: ...


class Steps(Protocol):
    """What fit asks of an optimizer."""

    params: list[Value]

    def zero_grad(self) -> None: ...
    def step(self) -> None: ...


@dataclass(repr=False)
class History:
    """One number per finished epoch, and how the training ended.

    loss                 the mean over the epoch's points, each before its batch's step
    accuracy             likewise; empty unless the loss is one of nn's for classes
    validation_loss      over the validation data at the end of the epoch; empty without
    validation_accuracy  likewise
    stopped              "" if all epochs ran, else "early" or "interrupted"

    >>> History(loss=[0.7, 0.1], accuracy=[0.5, 1.0])
    History(2 epochs, loss 0.7 -> 0.1, accuracy 0.5 -> 1)
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    stopped: str = ""

    def record(self, trained: _Measured, measured: _Measured | None) -> None:
        """Add an epoch: what was measured in training and on the validation data."""
        self.loss.append(trained.loss)
        if trained.accuracy is not None:
            self.accuracy.append(trained.accuracy)
        if measured is not None:
            self.validation_loss.append(measured.loss)
            if measured.accuracy is not None:
                self.validation_accuracy.append(measured.accuracy)

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the lowest validation loss, from 0; None without validation."""
        epochs = range(len(self.validation_loss))
        return min(epochs, key=lambda i: _or_inf(self.validation_loss[i]), default=None)

    def __repr__(self) -> str:
        epochs = len(self.loss)
        said = [f"{epochs} epoch" if epochs == 1 else f"{epochs} epochs"]
        for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
            if series := getattr(self, name):
                said.append(
                    f"{name.replace('_', ' ')} {series[0]:.6g} -> {series[-1]:.6g}"
                )
        if self.stopped:
            said.append(f"stopped: {self.stopped}")
        return f"History({', '.join(said)})"


def fit(
    model: Model,
    xs: Any,
    ys: Any,
    loss: Loss = mse,
    optimizer: Steps | None = None,
    *,
    epochs: int = 100,
    batch_size: int | None = None,
    validation: tuple[Any, Any] | None = None,
    patience: int | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> History:
    """Train model on the points xs with the targets ys, and tell how it went.

    xs, ys      n rows of features, n targets as the loss wants them; lists or arrays
    loss        (predictions, targets) -> Value, for lists with one item for each point
    optimizer   by default Adam(model.parameters(), lr=0.01)
    batch_size  points per step, shuffled in every epoch; by default all of them
    validation  (xs, ys) to measure after every epoch, never trained on
    patience    how many epochs the validation loss may fail to improve before training
                stops; the model then has the weights of its best epoch, as it also does
                if training ends before that
    seed        of the shuffling; without one it follows Python's own `random`
    progress    whether to show a bar

    >>> from nn import MLP, SGD
    >>> model = MLP(1, [1], seed=0)
    >>> xs, ys = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> sgd = SGD(model.parameters(), lr=0.3)
    >>> history = fit(model, xs, ys, optimizer=sgd, epochs=200, progress=False)
    >>> [round(p.data, 6) for p in model.parameters()]
    [2.0, 1.0]

    Ctrl-C ends training where it is and gives the history of the epochs finished.

    A long training runs compiled where NumPy and llvmlite are installed: one of 20 000
    points or more, each counted in every epoch, in batches of at least 16. Its steps
    agree with those of the loop above to rounding, not in every bit. The model and the
    loss are then run once for each way that their `if`s go, in place of at each point:
    plain numbers that they read from elsewhere, and randomness, stay as they were. This
    needs a loss that is the mean of the losses of single points, and depends on
    parameters through the model alone. The losses of nn are, and others may be: the
    first points are computed both ways, and if they differ, the plain loop runs.

    Raises TypeError or ValueError for data that are empty, ragged, not finite or do not
    fit each other, the model or the loss, and leaves the weights as they were;
    FloatingPointError for a step that is not finite, before that step is made.
    """
    _require_model(model)
    require_loss("fit", loss)
    epochs = _count("epochs", epochs)
    train = _checked("xs", "ys", xs, ys)
    held_out = _checked_validation(validation, patience, len(train[0][0]))
    size = len(train[0]) if batch_size is None else _count("batch_size", batch_size)
    best = _Best(model, None if patience is None else _count("patience", patience))
    steps = _checked_steps(optimizer, model)
    rng = random.Random(random.getrandbits(64) if seed is None else seed)
    start, history = _weights(model), History()
    try:
        with (
            _Training(model, train, held_out, loss, steps) as training,
            tqdm(range(epochs), disable=not progress, unit="epoch") as bar,
        ):
            if pays(epochs * len(train[0]), min(size, len(train[0]))):
                training.compile()
            for _ in bar:
                trained = training.epoch(_batches(len(train[0]), size, rng))
                measured = training.measure()
                history.record(trained, measured)
                bar.set_postfix_str(f"loss {trained.loss:.6g}", refresh=False)
                if measured and best.out_of_patience(measured.loss):
                    history.stopped = "early"
                    break
    except KeyboardInterrupt:
        history.stopped = "interrupted"
    except (TypeError, ValueError):
        _restore(model, start)
        raise
    except FloatingPointError:  # it diverged
        best.restore()
        raise
    best.restore()
    return history


def predict(model: Callable[[Any], Any], xs: Any) -> list[Any]:
    """The model's results on every point of xs as plain numbers, or lists of them.

    >>> from nn import MLP
    >>> model = MLP(2, [1], seed=0)
    >>> predict(model, [[0.0, 0.0], [0.0, 0.0]])
    [0.0, 0.0]

    A Module is compiled for 20 000 points or more, on the terms that `fit` names.
    Raises TypeError or ValueError if xs is not a list of rows that the model takes.
    """
    if not callable(model) or isinstance(model, type):
        raise TypeError(
            "predict: model must be a Module or a function of one point, but is "
            f"{brief(model)}; write predict(model, xs)"
        )
    rows = _listed("predict", "xs", xs)
    if pays(len(rows), len(rows)):
        first = [_number(model(x)) for x in rows[:SAMPLE]]
        found = predictions(model, rows, first)
        if found is not None:
            return found
    return [_number(model(x)) for x in rows]


# ---- one epoch -----------------------------------------------------------------------


@dataclass
class _Measured:
    """The mean loss over some points, and the share it has right (or None)."""

    loss: float
    accuracy: float | None


def _batches(points: int, size: int, rng: random.Random) -> Iterator[list[int]]:
    """The points' numbers in batches: as they are if one holds all, else shuffled."""
    order = list(range(points))
    if size < points:
        rng.shuffle(order)
    for i in range(0, points, size):
        yield order[i : i + size]


class _Training:
    """Steps of an optimizer over batches of points, compiled if that pays.

    The compiled step has the weights while it trains; the model has them again when
    the training ends, however it does, and whenever it is measured.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        held_out: Data | None,
        loss: Loss,
        optimizer: Steps,
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.data, self.held_out = data, held_out
        self.compiled: Compiled | None = None
        self.arrays: Any = None  # data and held_out, for what is compiled

    def __enter__(self) -> _Training:
        return self

    def __exit__(self, *exception: object) -> None:
        self._write_back()

    def epoch(self, batches: Iterator[list[int]]) -> _Measured:
        """One step for each batch; the mean of what was measured before each step."""
        points, total, right = 0, 0.0, 0.0
        for chosen in batches:
            found = self.step(chosen)
            points += len(chosen)
            total += len(chosen) * found.loss
            right += len(chosen) * (found.accuracy or 0.0)
        classifies = self.loss in CLASSIFIES
        return _Measured(total / points, right / points if classifies else None)

    def step(self, chosen: list[int]) -> _Measured:
        """A step that follows the gradient at some points; what was found before it."""
        if self.compiled is not None:
            found = self._at(self.arrays[0], chosen)
            if found is not None:
                self.compiled.step(found.gradient)
                return self._measured(found)
        xs, ys = self.data
        batch = [xs[i] for i in chosen], [ys[i] for i in chosen]
        y, measured = _measure(self.model, batch, self.loss)
        self.optimizer.zero_grad()
        y.backward()
        self.optimizer.step()
        return measured

    def measure(self) -> _Measured | None:
        """What the model gets wrong on the points held out."""
        if self.held_out is None:
            return None
        self._write_back()
        if self.compiled is not None:
            found = self._at(self.arrays[1])
            if found is not None:
                return self._measured(found)
        return _measure(self.model, self.held_out, self.loss)[1]

    def _measured(self, found: Found) -> _Measured:
        return _Measured(found.loss, found.right if self.loss in CLASSIFIES else None)

    # ---- compiled, as long as that goes well -----------------------------------------

    def compile(self) -> None:
        """Compile the step, if it gives what the first points give without."""
        xs, ys = self.data
        few = xs[:SAMPLE], ys[:SAMPLE]
        try:
            compiled = Compiled(
                self.model, self.loss, self.optimizer, self.loss in CLASSIFIES
            )
            arrays = _arrays(self.data), self.held_out and _arrays(self.held_out)
            agrees = compiled.agrees(
                *_arrays(few), lambda model: _measure(model, few, self.loss)[0]
            )
        except Exception:  # if it is not for compiling, the first step raises it again
            return
        if agrees:
            self.compiled, self.arrays = compiled, arrays

    def _at(self, points: Any, chosen: list[int] | None = None) -> Found | None:
        """What the compiled step finds; None, and never again, if it cannot be had."""
        assert self.compiled is not None
        xs, ys = points
        if chosen is not None and len(chosen) < len(xs):
            xs, ys = xs[chosen], ys[chosen]
        try:
            return self.compiled.at(xs, ys)
        except Exception:  # if it is not for compiling, the eager step raises it again
            self._write_back()
            self.compiled = None
            return None

    def _write_back(self) -> None:
        if self.compiled is not None:
            self.compiled.write_back()


def _arrays(data: Data) -> tuple[Any, Any]:
    import numpy as np

    xs, ys = data
    return np.asarray(xs, np.float64), np.asarray(ys, np.float64)


def _measure(model: Model, data: Data, loss: Loss) -> tuple[Value, _Measured]:
    xs, ys = data
    predictions = [model(x) for x in xs]
    y = loss(predictions, ys)
    if not isinstance(y, Value):
        raise TypeError(
            f"fit: loss must return a Value, but returned {type(y).__name__}; compute "
            "it from the predictions without taking their data"
        )
    right = accuracy(predictions, ys) if loss in CLASSIFIES else None
    return y, _Measured(y.data, right)


class _Best:
    """The weights of the epoch with the lowest validation loss, if someone asks."""

    def __init__(self, model: Model, patience: int | None) -> None:
        self.model, self.patience = model, patience
        self.loss, self.waited = inf, 0
        self.weights: list[float] | None = None

    def out_of_patience(self, loss: float) -> bool:
        if self.patience is None:
            return False
        if self.weights is None or loss < self.loss:
            self.loss, self.waited = _or_inf(loss), 0
            self.weights = _weights(self.model)
        else:
            self.waited += 1
        return self.waited >= self.patience

    def restore(self) -> None:
        if self.weights is not None:
            _restore(self.model, self.weights)


def _weights(model: Model) -> list[float]:
    return [p.data for p in model.parameters()]


def _restore(model: Model, weights: list[float]) -> None:
    give_all(model.parameters(), "data", weights)


def _number(y: Any) -> Any:
    if isinstance(y, (list, tuple)):
        return [_number(item) for item in y]
    return y.data if isinstance(y, Value) else y


def _or_inf(loss: float) -> float:
    """The loss, with NaN counted as the worst."""
    return inf if loss != loss else loss


# ---- what the data may be ------------------------------------------------------------


def _require_model(model: Any) -> None:
    known = callable(model) and hasattr(model, "parameters")
    if not known or isinstance(model, type):
        raise TypeError(
            "fit: model must be a Module that can be called, such as MLP(2, [4, 1]), "
            f"but is {brief(model)}; write fit(model, xs, ys)"
        )


def _count(argument: str, n: Any) -> int:
    if not isinstance(n, Integral) or n < 1:
        raise ValueError(
            f"fit: {argument} must be a whole number of at least 1, but is {brief(n)}; "
            "leave it out for the usual one"
        )
    return int(n)


def _listed(operation: str, name: str, data: Any) -> list[Any]:
    data = data.tolist() if hasattr(data, "tolist") else data
    if not isinstance(data, Iterable):
        raise TypeError(
            f"{operation}: {name} must be a list with one item for each point, but is "
            f"{brief(data)}; write [[x]] for one point with one feature"
        )
    return list(data)


def _checked(xs_name: str, ys_name: str, xs: Any, ys: Any) -> Data:
    """Rows of floats of one width, and as many targets; raises for anything else."""
    rows = [
        _checked_row(f"{xs_name}[{i}]", x)
        for i, x in enumerate(_listed("fit", xs_name, xs))
    ]
    targets = [
        y.tolist() if hasattr(y, "tolist") else y for y in _listed("fit", ys_name, ys)
    ]
    if not rows:
        raise ValueError(
            f"fit: {xs_name} must hold at least one point, but is empty; "
            "look at how the data was read"
        )
    if len(rows) != len(targets):
        raise ValueError(
            f"fit: {ys_name} must have one target for each of the {len(rows)} points, "
            f"but has {len(targets)}; pair {xs_name} and {ys_name} first"
        )
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"fit: {xs_name}[{i}] must have {len(rows[0])} feature(s), as the "
                f"first row has, but has {len(row)}; fill or drop that row"
            )
    for i, y in enumerate(targets):
        _require_finite(f"{ys_name}[{i}]", y if isinstance(y, (list, tuple)) else [y])
    return rows, targets


def _checked_row(name: str, x: Any) -> list[float]:
    x = x.tolist() if hasattr(x, "tolist") else x
    if not isinstance(x, Sequence) or isinstance(x, str) or not x:
        raise TypeError(
            f"fit: {name} must be a row of features, but is {brief(x)}; write [[x] for "
            "x in xs] for points with one feature, df.to_numpy() for a data frame"
        )
    _require_finite(name, x)
    return [float(feature) for feature in x]


def _require_finite(name: str, numbers: Sequence[Any]) -> None:
    for x in numbers:
        if type(x) is not float and not isinstance(x, Real):  # which takes much longer
            raise TypeError(
                f"fit: {name} must hold plain numbers, but has {brief(x)} "
                f"({type(x).__name__}); convert the data first"
            )
        if not isfinite(x):
            raise ValueError(
                f"fit: {name} must be finite, but has {brief(x)}; fill or drop that "
                "point"
            )


def _checked_steps(optimizer: Steps | None, model: Model) -> Steps:
    parameters = model.parameters()
    if optimizer is None:
        return Adam(parameters, lr=0.01)
    asked = ("params", "zero_grad", "step")
    if isinstance(optimizer, type) or not all(hasattr(optimizer, x) for x in asked):
        raise TypeError(
            "fit: optimizer must be one that has its parameters, but is "
            f"{brief(optimizer)}; write optimizer=Adam(model.parameters(), lr=0.01)"
        )
    if not set(optimizer.params) & set(parameters):
        raise ValueError(
            "fit: optimizer must move parameters of this model, but has none of them; "
            "make it anew from model.parameters() whenever the model is"
        )
    return optimizer


def _checked_validation(
    validation: tuple[Any, Any] | None, patience: int | None, width: int
) -> Data | None:
    if validation is None:
        if patience is not None:
            raise ValueError(
                "fit: validation must be given where patience is, but is None with "
                f"patience {brief(patience)}; hold out a part of the data as (xs, ys)"
            )
        return None
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise ValueError(
            "fit: validation must be a pair (xs, ys), but is "
            f"{type(validation).__name__}; hold out a part of the data"
        )
    data = _checked("validation xs", "validation ys", *validation)
    if len(data[0][0]) != width:
        raise ValueError(
            f"fit: validation xs must have {width} feature(s), as xs has, but has "
            f"{len(data[0][0])}; prepare both alike"
        )
    return data
