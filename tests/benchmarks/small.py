"""Every whole program, small enough for a test: tens of thousands of instructions.

On the engine in Python, which takes long to trace, some are smaller.
"""

from __future__ import annotations

from untried import convolution, orbit, recall, routed
from whole import (
    Program,
    binomial,
    chain,
    flow,
    gpt,
    heston,
    hidden,
    kalman,
    lorenz,
    lstm,
    mixture,
    mlp,
    pairs,
)

from autograd import accelerated

PROGRAMS: dict[str, Program] = {
    "gpt": gpt(3) if accelerated else gpt(2, width=8, heads=2),
    "mlp": mlp(points=12 if accelerated else 4),
    "lstm": lstm(characters=12 if accelerated else 5, size=5),
    "mixture": mixture(dimensions=4, components=3, points=4),
    "hidden": hidden(states=3, length=12),
    "lorenz": lorenz(steps=60 if accelerated else 20),
    "kalman": kalman(steps=25),
    "heston": heston(steps=24),
    "binomial": binomial(steps=14),
    "chain": chain(links=400),
    "flow": flow(buses=9),
    "pairs": pairs(count=7),
    "convolution": convolution(side=8, images=2, filters=2),
    "recall": recall(length=9 if accelerated else 5, size=4),
    "orbit": orbit(steps=40),
    "routed": routed(points=16),
}
