"""Handwritten digits by `fit` and by PyTorch: `python tests/benchmarks/digits.py`.

The same network from the same weights, MLP(64, [32, 10]), with cross-entropy, Adam and
shuffled batches of 128, on the same points; each in a process of its own, on one
thread, in turn. An epoch is what a longer training takes more than a shorter one,
divided by the epochs between them, so that neither side's preparations are in it: those
are in the time of a whole training, for which `fit` checks the data and compiles.

PyTorch is at its best for this: single precision, modules of its own, Adam as one fused
kernel, the loss summed without asking for it. `fit` computes in double precision, and
keeps the accuracy, too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from figures import ROOT, Figure, print_figures
from workers import python_with, ratios

TORCH = "2.13.0"
WIDTHS, BATCH, RATE = (64, 32, 10), 128, 0.01
EPOCHS = 60  # of a whole training
SHORT, LONG = 20, 120  # epochs of the two trainings whose difference is timed
ALIKE = 1e-3  # to which both have the same loss after one full step: torch has 7 digits

Layers = list[tuple[list[list[float]], list[float]]]  # (weights, biases) of each


def problem() -> dict[str, Any]:
    """The digits as `6_digits.ipynb` has them, and the weights at the start."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from nn import MLP

    images, digits = load_digits(return_X_y=True)
    train_xs, test_xs, train_ys, test_ys = train_test_split(
        images / 8 - 1, digits, test_size=0.2, stratify=digits, random_state=0
    )
    model = MLP(WIDTHS[0], WIDTHS[1:], seed=0)
    return {
        "train": [train_xs.tolist(), train_ys.tolist()],
        "test": [test_xs.tolist(), test_ys.tolist()],
        "layers": [
            ([[w.data for w in n.w] for n in layer.neurons], [0.0] * len(layer.neurons))
            for layer in model.layers
        ],
    }


# ---- one side each -------------------------------------------------------------------


def train_here(given: dict[str, Any], epochs: int, size: int | None) -> dict[str, Any]:
    """By `fit`: its seconds, the losses, and the share of other digits it has right."""
    from nn import MLP, Adam, accuracy, cross_entropy, fit, predict

    model = MLP(WIDTHS[0], WIDTHS[1:], seed=0)
    start = process_time()
    adam = Adam(model.parameters(), lr=RATE)
    history = fit(
        model,
        *given["train"],
        cross_entropy,
        adam,
        epochs=epochs,
        batch_size=size,
        seed=0,
        progress=False,
    )
    seconds = process_time() - start
    xs, ys = given["test"]
    right = accuracy(predict(model, xs), ys)
    return {"seconds": seconds, "losses": history.loss, "right": right}


def train_torch(given: dict[str, Any], epochs: int, size: int | None) -> dict[str, Any]:
    """The same by PyTorch."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    start = process_time()
    xs, ys = map(torch.tensor, given["train"])
    first, last = map(torch_layer, given["layers"])
    model = torch.nn.Sequential(first, torch.nn.ReLU(), last)
    adam = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    loss, losses = torch.nn.CrossEntropyLoss(), []
    for _ in range(epochs):
        total = torch.zeros(())
        order = torch.randperm(len(xs))
        for chosen in order.split(size or len(xs)):
            y = loss(model(xs[chosen]), ys[chosen])
            adam.zero_grad()
            y.backward()
            adam.step()
            total += y.detach() * len(chosen)
        losses.append(total.item() / len(xs))
    seconds = process_time() - start
    xs, ys = map(torch.tensor, given["test"])
    right = (model(xs).argmax(1) == ys).double().mean().item()
    return {"seconds": seconds, "losses": losses, "right": right}


def torch_layer(numbers: tuple[list[list[float]], list[float]]) -> Any:
    import torch

    weights, biases = map(torch.tensor, numbers)
    layer = torch.nn.Linear(weights.shape[1], weights.shape[0])
    layer.weight.data, layer.bias.data = weights, biases
    return layer


SIDES = {"fit": train_here, "torch": train_torch}


def serve(side: str, file: str) -> None:
    """Answer each line of stdin, [epochs, points in a batch], by a line of JSON."""
    given = json.loads(Path(file).read_text())
    for line in sys.stdin:
        print(json.dumps(SIDES[side](given, *json.loads(line))), flush=True)


# ---- the race ------------------------------------------------------------------------


class Side:
    """A process that trains on one side when asked."""

    def __init__(self, name: str, python: str, file: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [python, __file__, "--serve", name, file],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def train(self, epochs: int, size: int | None = BATCH) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([epochs, size]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"digits: {self.name} has stopped; see its message above")
        return dict(json.loads(answer))

    def epoch(self) -> float:
        """The seconds of one epoch, without what comes before the first."""
        short, long = self.train(SHORT), self.train(LONG)
        return (long["seconds"] - short["seconds"]) / (LONG - SHORT)

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.communicate()


def require_same_steps(ours: Side, theirs: Side) -> None:
    """Stop unless both descend alike, from the same loss, by full batches."""
    pairs = list(zip(ours.train(20, None)["losses"], theirs.train(20, None)["losses"]))
    worst = max(abs(a - b) / b for a, b in pairs)
    if not worst <= ALIKE:
        sys.exit(f"digits: losses differ by {worst:.2g} of themselves; nothing timed")
    print(f"20 full steps: the losses agree to {worst:.1g} of themselves")


def figures(ours: Side, theirs: Side, samples: int) -> list[Figure]:
    require_same_steps(ours, theirs)
    epochs, wholes = [], []
    for _ in range(samples):
        epochs.append((ours.epoch(), theirs.epoch()))
        wholes.append((ours.train(EPOCHS), theirs.train(EPOCHS)))
    for i, side in enumerate((ours, theirs)):
        print(
            f"{side.name}: {1e3 * median(e[i] for e in epochs):.2f} ms an epoch, "
            f"{median(w[i]['seconds'] for w in wholes):.2f} s for {EPOCHS} epochs, "
            f"then {wholes[0][i]['right']:.1%} right"
        )
    here, there = zip(*epochs)
    seconds = [ours["seconds"] for ours, _ in wholes]
    right = [100 * wholes[0][0]["right"]]
    return [
        Figure("one epoch: torch over fit", ratios(there, here), "x", "at least", 1.0),
        Figure(f"{EPOCHS} epochs by fit, all in all", seconds, " s", "at most", 5.0),
        Figure("of the test digits right", right, " %", "at least", 97.0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=5, help="trainings of each kind")
    parser.add_argument("--serve", nargs=2, metavar=("SIDE", "FILE"), help="for itself")
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    with ExitStack() as stack:
        start = stack.enter_context
        file = Path(start(tempfile.TemporaryDirectory(prefix="digits-")), "given.json")
        file.write_text(json.dumps(problem()))
        python = start(python_with(torch=TORCH))
        ours = start(Side("fit", sys.executable, str(file)))
        theirs = start(Side("torch", python, str(file)))
        print_figures(figures(ours, theirs, options.samples))


if __name__ == "__main__":
    main()
