"""What an object says of one forward and backward pass through its layers of neurons.

`player(obj, …)` and its moving picture ask for it by `obj._play_(…)`, as `draw(obj)`
asks for `obj._draw_()`: numbers and words only, so that whoever has layers can answer.

    x   inputs      w, b  weights, bias      z = w · x + b      a = σ(z)
    δ   ∂L/∂z       Wᵀδ   what arrives at a from the layer after
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Neuron(Protocol):
    """One neuron's numbers, forward and backward."""

    @property
    def activation(self) -> str: ...
    @property
    def w(self) -> Sequence[float]: ...
    @property
    def b(self) -> float: ...
    @property
    def z(self) -> float: ...
    @property
    def a(self) -> float: ...
    @property
    def slope(self) -> float:
        """σ′(z)."""

    @property
    def arriving(self) -> float:
        """∂L/∂a: the sum of w·δ over the layer after, or the loss's own slope."""

    @property
    def delta(self) -> float:
        """∂L/∂z, which is ∂L/∂b."""

    @property
    def weights(self) -> Sequence[float]:
        """∂L/∂w, for each weight."""


class Play(Protocol):
    """One pass; layers are counted from 1, the first after the inputs."""

    @property
    def title(self) -> str: ...
    @property
    def inputs(self) -> Sequence[tuple[str, float]]: ...
    @property
    def layers(self) -> Sequence[Sequence[Neuron]]: ...
    @property
    def arriving(self) -> Sequence[float]:
        """∂L/∂x, what W₁ᵀδ₁ hands on to the inputs."""

    @property
    def target(self) -> str: ...
    @property
    def loss_name(self) -> str: ...
    @property
    def loss(self) -> float: ...
    @property
    def difference(self) -> float:
        """The largest one between the recursion and the sweep, relative."""


class Playable(Protocol):
    """What `player` plays by neurons."""

    def _play_(self, *args: object, **options: object) -> Play: ...
