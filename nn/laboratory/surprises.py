"""What a training does that one would not expect: found in its numbers, told by `why`.

Each surprise is a question with three answers, asked before the training is played, and
what is told afterwards. All numbers are those of this very run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import dist, hypot
from typing import Final

from autograd import Value, why

from ..layers import MLP
from ..textbook import forward
from .record import Training

FLAT: Final = 1e-2  # a sigmoid's slope from which on it is saturated
STUCK: Final = 0.8  # of the first loss: not even a fifth was learned
STILL: Final = 1.1  # times the last loss: no more than that in the last third
FADED: Final = 0.05  # of the last layer's gradient, in the first layer
LITTLE: Final = 0.1  # of their length: weights that hardly move

_SUBSCRIPTS: Final = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class Surprise:
    """A question, which of its options is right, and the reason, line by line."""

    kind: str
    question: str
    options: tuple[str, str, str]
    answer: int
    said: list[str]


def surprise(training: Training) -> Surprise | None:
    """The first one that is found, or None: the training does what one expects."""
    for find in (_too_fast, _saturated, _dead, _alike, _faded):
        found = find(training)
        if found:
            return found
    return None


def parameter_names(widths: list[int]) -> list[str]:
    """What the parameters are called, in the order of model.parameters().

    >>> parameter_names([2, 1])
    ['W₁[0,0]', 'W₁[0,1]', 'b₁']
    """
    names = []
    for layer, (before, here) in enumerate(zip(widths, widths[1:]), start=1):
        for k in range(here):
            names += [f"{_layered('W', layer)}[{k},{i}]" for i in range(before)]
            names.append(_layered("b", layer) + (f"[{k}]" if here > 1 else ""))
    return names


def _why(training: Training, step: int, pick: Callable[[MLP], Value]) -> list[str]:
    """What `why` says of L and one parameter at a step, in the page's names."""
    model = training.model(step)
    widths = [2, *training.choice.nouts]
    for parameter, name in zip(model.parameters(), parameter_names(widths)):
        parameter.label = name
    loss = training.choice.loss(model)
    loss.label = "L"
    return why(loss, pick(model)).lines


def _output_bias(model: MLP) -> Value:
    return model.layers[-1].neurons[0].b


def _first_weight(model: MLP) -> Value:
    return model.layers[0].neurons[0].w[0]


def _steepest(training: Training, model: MLP, step: int) -> Value:
    """The parameter that the step moves furthest."""
    before, after = training.path[step], training.path[min(step + 1, training.last)]
    moves = [abs(b - a) for a, b in zip(before, after)]
    return model.parameters()[moves.index(max(moves))]


# ---- one by one ----------------------------------------------------------------------


def _too_fast(training: Training) -> Surprise | None:
    if not training.diverged:
        return None
    losses, rate, last = training.losses, training.choice.rate, training.last
    k = _first_jump(losses)
    return Surprise(
        "γ too large",
        f"The learning rate is γ = {rate:g}. What will the loss do?",
        (
            "It grows without bound",
            "It falls faster than with a smaller γ",
            "It falls, but stumbles now and then",
        ),
        0,
        [
            f"L is {losses[0]:.4g} at step 0 and {losses[-1]:.4g} at step {last}.",
            *_why(training, k, lambda model: _steepest(training, model, k)),
            *_overshoot(training, k),
            "remedy: a smaller γ",
        ],
    )


def _first_jump(losses: Sequence[float]) -> int:
    """The first step that doubles the loss."""
    steps = range(len(losses) - 1)
    return next((k for k in steps if losses[k + 1] > 2 * losses[k]), 0)


def _overshoot(training: Training, k: int) -> Iterator[str]:
    """How far a step goes, and whether it is steeper where it ends."""
    losses, path, rate = training.losses, training.path, training.choice.rate
    moves = [dist(a, b) for a, b in pairwise(path[k : k + 3])]
    if moves and losses[k + 1] > losses[k]:
        yield (
            f"Each derivative is right, but holds near its point only. Step {k} moves "
            f"the weights, of length {hypot(*path[k]):.4g}, by {moves[0]:.4g}, which "
            f"is γ = {rate:g} times the gradient's length: beyond the valley and up "
            f"its other side, from L = {losses[k]:.4g} to {losses[k + 1]:.4g}."
        )
    if len(moves) == 2 and moves[1] > moves[0]:
        yield f"It is steeper there: the next step is {moves[1]:.4g} long."


def _saturated(training: Training) -> Surprise | None:
    choice, first = training.choice, training.frames[0]
    if choice.cost != "squared error on a sigmoid" or training.learned:
        return None
    if training.losses[-1] < STUCK * training.losses[0]:
        return None
    data = choice.points
    for p, z in zip(data.watched, (row[-1] for row in first.z)):
        t, s = data.targets[p], Value(z).sigmoid().data
        slope = s * (1 - s)
        if abs(s - t) > 0.5 and slope < FLAT:
            break
    else:
        return None
    return Surprise(
        "saturation",
        f"At step 0 the output is z = {z:.4g} at the point {_point(data.points[p])}, "
        f"whose target is {t}: sure, and wrong. What will the squared error do?",
        (
            "It corrects the largest errors first, and fast",
            "It corrects them slowly and steadily",
            "It hardly moves at all",
        ),
        2,
        [
            f"L is {training.losses[0]:.4g} at step 0 and {training.losses[-1]:.4g} at "
            f"step {training.last}.",
            *_why(training, 0, _output_bias),
            f"There the error σ(z) - t is {s - t:.4g}, but the slope σ′(z) = "
            f"{slope:.4g} is a factor of δ. With the cross-entropy it cancels: δ is "
            "the error itself.",
        ],
    )


def _dead(training: Training) -> Surprise | None:
    choice, losses = training.choice, training.losses
    if choice.activation != "relu" or training.learned:
        return None
    largest = _largest_z(training, training.last)
    dead = [place for place, z in largest.items() if z <= 0]
    if not dead or losses[2 * training.last // 3] > losses[-1] * STILL:
        return None
    at_first = _largest_z(training, 0)
    born = sum(at_first[place] <= 0 for place in dead)
    c, k = dead[0]
    name = _layered("z", c + 1) + (f"[{k}]" if choice.width > 1 else "")
    return Surprise(
        "dead relus",
        f"Relus, and γ = {choice.rate:g}. What will the loss do?",
        (
            "It falls until every point is right",
            "It stops while points are still wrong",
            "It grows without bound",
        ),
        1,
        [
            f"L is {losses[-1]:.4g} at step {training.last}, and {len(dead)} of "
            f"{len(largest)} relus are dead, {born} of them from the start: z is not "
            f"above 0 at any point. The largest {name} is {largest[c, k]:.4g}.",
            *_why(training, training.last, lambda m: m.layers[c].neurons[k].b),
            "The gradient of its weights is exactly 0 at every point, whatever the "
            "error is, so that no step moves them.",
        ],
    )


def _largest_z(training: Training, step: int) -> dict[tuple[int, int], float]:
    """For each hidden neuron, (layer, number), its largest z over all points."""
    model = training.model(step)
    passes = [forward(model, x)[:-1] for x in training.choice.points.points]
    return {
        (c, k): max(layers[c][k].z for layers in passes)
        for c in range(training.choice.depth)
        for k in range(training.choice.width)
    }


def _alike(training: Training) -> Surprise | None:
    choice = training.choice
    if choice.start != "equal" or choice.width < 2 or not choice.depth:
        return None
    neurons = training.model(training.last).layers[0].neurons
    rows = [[*(w.data for w in n.w), n.b.data] for n in neurons]
    if any(row != rows[0] for row in rows):
        return None
    last = training.frames[-1]
    shares = ", ".join(f"{g:.4g}" for g in last.gradient[2 : 3 * choice.width : 3])
    return Surprise(
        "equal weights",
        f"All weights and biases begin at {training.path[0][0]:g}. What will the "
        f"{choice.width} neurons of a layer become?",
        (
            "Different: each learns a line of its own",
            "Equal for ever, so that they work as one",
            "Equal at first, and different in time",
        ),
        1,
        [
            f"After {training.last} steps each neuron of layer 1 still has w = "
            f"{rows[0][0]:.4g}, {rows[0][1]:.4g} and b = {rows[0][2]:.4g}, the same "
            "in every bit.",
            *_why(training, 0, _first_weight),
            f"It is only the same for all: ∂L/∂b₁ is {shares} at the end. Equal "
            "neurons get equal δ, so they make equal steps. remedy: weights drawn at "
            "random",
        ],
    )


def _faded(training: Training) -> Surprise | None:
    first, last = training.sizes[0][0], training.sizes[0][-1]
    if training.choice.depth < 2 or training.learned or not first < FADED * last:
        return None
    count = 3 * training.choice.width  # parameters of layer 1
    start, end = training.path[0][:count], training.path[-1][:count]
    if dist(start, end) > LITTLE * hypot(*start):
        return None
    sizes = ", ".join(f"{size:.4g}" for size in training.sizes[0])
    return Surprise(
        "vanishing δ",
        f"{training.choice.depth} hidden layers of {training.choice.activation}. What "
        "will the first of them learn?",
        (
            "Hardly anything: too little error arrives there",
            "More than one layer alone would",
            "As much as the last one",
        ),
        0,
        [
            f"At step 0 the gradient's length is {sizes} from layer 1 to the output, "
            f"and at the end L is still {training.losses[-1]:.4g}. In "
            f"{training.last} steps the weights of layer 1, of length "
            f"{hypot(*start):.4g}, have moved by {dist(start, end):.4g}.",
            *_why(training, 0, _first_weight),
            "On its way through each layer δ is multiplied by the slope σ′, for a "
            "sigmoid at most ¼. remedy: tanh or relu, or fewer layers",
        ],
    )


def _layered(letter: str, layer: int) -> str:
    return letter + str(layer).translate(_SUBSCRIPTS)


def _point(x: list[float]) -> str:
    return f"({', '.join(f'{number:g}' for number in x)})"
