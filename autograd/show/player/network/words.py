"""What is said of a network's forward and backward pass: formulas, and three digits.

z₁ = W₁x + b₁, a₁ = σ(z₁), …     δ₂ = ∂L/∂z₂, δ₁ = (W₂ᵀδ₂) ⊙ σ′(z₁)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ....primitives import clean
from ...names import vector_name
from .played import Neuron, Play

MOST_FORMULAS: Final = 4  # layers, of which each has its own


def number(x: float, digits: int = 3) -> str:
    """So many digits of it, and no minus on a zero."""
    return f"{x + 0.0:.{digits}g}"


def product(factors: Sequence[float], found: float) -> str:
    """The product in numbers; the sign is ≈ where three digits do not give it."""
    shown = 1.0
    for factor in factors:
        shown *= float(number(factor))
    sign = "=" if number(shown) == number(found) else "≈"
    written = " · ".join(map(_in_product, factors))
    return f"{written} {sign} {number(found)}"


def _in_product(x: float) -> str:
    return f"({number(x)})" if x < 0.0 else number(x)


def forward_words(play: Play, c: int) -> list[str]:
    if c == 0:
        head = "Forward: numbers run along the edges, each times its weight"
    else:
        head = "… and on to the next layer in the same way"
    return [head, "; ".join(forward_formulas(play, c))]


def forward_formulas(play: Play, c: int) -> list[str]:
    below = vector_name("a", c) if c else "x"
    n = c + 1
    formulas = [
        f"{vector_name('z', n)} = {vector_name('W', n)}{below} + {vector_name('b', n)}"
    ]
    names = [x.activation for x in play.layers[c] if not is_linear(x)]
    for name in dict.fromkeys(names):
        formulas.append(
            f"{vector_name('a', n)} = {clean(name, 16)}({vector_name('z', n)})"
        )
    return formulas


def delta_formula(play: Play, n: int) -> str:
    if n == len(play.layers):
        return f"{vector_name('δ', n)} = ∂L/∂{vector_name('z', n)}"
    after = f"({vector_name('W', n + 1)}ᵀ{vector_name('δ', n + 1)})"
    return f"{vector_name('δ', n)} = {after} ⊙ σ′({vector_name('z', n)})"


def back_words(play: Play, layer: int) -> list[str]:
    first = play.layers[layer - 2][0]
    head = "… and runs back along the same edges, times the same weights"
    return [head, delta_formula(play, layer - 1), _above(play, layer, first)]


def _above(play: Play, layer: int, first: Neuron) -> str:
    """What happens to the uppermost neuron, in numbers."""
    own = product([first.arriving, first.slope], first.delta)
    last = play.layers[layer - 1]
    if len(last) > 1 or is_linear(first):
        return f"upper neuron: {own}"
    came = product([last[0].w[0], last[0].delta], first.arriving)
    return f"upper neuron: {came}, then {own}"


def sum_words(play: Play, name: str) -> list[str]:
    first = play.layers[0]
    terms = [f"{_in_product(n.w[0])} · {_in_product(n.delta)}" for n in first]
    rough = sum(float(number(n.w[0])) * float(number(n.delta)) for n in first)
    arriving = play.arriving[0]
    sign = "=" if number(rough) == number(arriving) else "≈"
    head = "Where errors meet, they add up" if len(first) > 1 else "… and further"
    return [
        head,
        f"{name}: what a layer before these would get",
        f"upper input: {' + '.join(terms)} {sign} {number(arriving)}",
    ]


def weights_words(play: Play) -> list[str]:
    rows = [vector(neuron.weights) for neuron in play.layers[0]]
    matrix = f"[{', '.join(rows)}]" if len(" ".join(rows)) < 44 else "…"
    return [
        "Each weight's gradient: its δ times the number that it multiplied",
        f"∂L/∂W₁ = δ₁xᵀ = {matrix}",
    ]


def last_words(play: Play) -> list[str]:
    """The whole method: each layer's formulas, or of many layers those of any one."""
    count = len(play.layers)
    if count > MOST_FORMULAS:
        forward = ["zₗ = Wₗaₗ₋₁ + bₗ", "aₗ = σ(zₗ)"]
        deltas = [delta_formula(play, count), "δₗ = (Wₗ₊₁ᵀδₗ₊₁) ⊙ σ′(zₗ)"]
        weights = ["∂L/∂Wₗ = δₗaₗ₋₁ᵀ", "∂L/∂bₗ = δₗ"]
    else:
        forward = [f for c in range(count) for f in forward_formulas(play, c)]
        deltas = [delta_formula(play, n) for n in range(count, 0, -1)]
        weights = ["∂L/∂W₁ = δ₁xᵀ", "∂L/∂b₁ = δ₁"]
    return [
        *_filled("Forward: ", forward),
        *_filled("Backward: ", deltas),
        *_filled("Weights: ", weights),
    ]


def vector(numbers: Sequence[float]) -> str:
    if len(numbers) == 1:
        return number(numbers[0])
    return f"[{', '.join(map(number, numbers))}]"


def is_linear(neuron: Neuron) -> bool:
    return neuron.activation == "linear"


def _filled(head: str, parts: list[str], width: int = 62) -> list[str]:
    """The parts on lines of a width that the picture has."""
    lines = [head + parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) < width:
            lines[-1] += f"; {part}"
        else:
            lines.append(f"  {part}")
    return lines
