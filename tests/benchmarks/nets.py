"""The engines that race over networks: a mean loss and its gradient in all weights.

Started as a process of its own, `python nets.py ENGINE`, it serves one engine, as
`batches.py` does. Each is written as its own documentation writes it, on tensors where
it has them; autograd runs the loss of one point, mapped over the batch.

    small   MLP(2,16,16,1), relu, mean hinge loss, the 100 points of `programs.py`
    large   MLP(64,32,10), relu, cross-entropy, a batch of 128
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import programs
from engines import serve

BATCH, WIDTHS = 128, (64, 32, 10)

Task = Callable[[], Any]


def small_weights() -> list[Any]:
    """The weights of `programs.py` as matrices and biases, layer by layer."""
    found: list[Any] = []
    for neurons in programs.layered(programs.weights()):
        found.append(np.array([w for w, _ in neurons]))
        found.append(np.array([b for _, b in neurons]))
    return found


def large_weights() -> list[Any]:
    rng, found = np.random.default_rng(1), []
    for fan_in, fan_out in zip(WIDTHS, WIDTHS[1:]):
        found.append(rng.normal(size=(fan_out, fan_in)) * (2 / fan_in) ** 0.5)
        found.append(rng.normal(size=fan_out) * 0.1)
    return found


def large_batch() -> tuple[Any, Any]:
    """Features, and the classes as rows with a single 1."""
    rng = np.random.default_rng(2)
    classes = rng.integers(WIDTHS[-1], size=BATCH)
    return rng.normal(size=(BATCH, WIDTHS[0])), np.eye(WIDTHS[-1])[classes]


def small_batch() -> tuple[Any, Any]:
    xs, ys = programs.points()
    return np.array(xs), np.array(ys)


def listed(value: Any, gradients: Any) -> list[Any]:
    return [float(value), *[np.asarray(g).tolist() for g in gradients]]


# ---- autograd ------------------------------------------------------------------------


def autograd_tasks() -> dict[str, Task]:
    from autograd import dot, logsumexp, relu, value_and_grad, vmap

    def layers(weights: Any, x: Any) -> Any:
        for i in range(0, len(weights), 2):
            z = [dot(list(w), x) + b for w, b in zip(weights[i], weights[i + 1])]
            x = [relu(v) for v in z] if i + 2 < len(weights) else z
        return x

    def hinge(weights: Any, x: Any, y: Any) -> Any:
        return relu(1.0 - y * layers(weights, list(x))[0])

    def by_number(weights: Any, x: Any, y: Any) -> Any:
        score = programs.network(programs.layered(weights), x, relu)
        return relu(1.0 - y * score)

    def cross_entropy(weights: Any, x: Any, y: Any) -> Any:
        z = layers(weights, list(x))
        return logsumexp(z) - dot(list(y), z)

    def step(loss: Any) -> Any:
        return vmap(value_and_grad(loss), in_axes=(None, 0, 0), reduce="mean")

    small, numbers, large = map(step, (hinge, by_number, cross_entropy))
    weights, many = small_weights(), large_weights()
    flat = programs.weights()
    return {
        "small gradient": lambda: listed(*small(weights, *small_batch())),
        "small": bound(small, weights, *small_batch()),
        "small by number": bound(numbers, flat, *small_batch()),
        "large gradient": lambda: listed(*large(many, *large_batch())),
        "large": bound(large, many, *large_batch()),
    }


def bound(f: Callable[..., Any], *args: Any) -> Task:
    """The call with its arguments, often enough for the clock."""

    def run() -> None:
        for _ in range(REPEATS):
            f(*args)

    return run


REPEATS = 20


# ---- peers ---------------------------------------------------------------------------


def jax_tasks() -> dict[str, Task]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def layers(weights: Any, x: Any) -> Any:
        for w, b in zip(weights[:-2:2], weights[1:-2:2]):
            x = jax.nn.relu(x @ w.T + b)
        return x @ weights[-2].T + weights[-1]

    def hinge(weights: Any, x: Any, y: Any) -> Any:
        return jax.nn.relu(1.0 - y * layers(weights, x)[:, 0]).mean()

    def cross_entropy(weights: Any, x: Any, y: Any) -> Any:
        z = layers(weights, x)
        return (jax.nn.logsumexp(z, axis=1) - (y * z).sum(axis=1)).mean()

    found: dict[str, Task] = {}
    for name, loss, weights, batch in (
        ("small", hinge, small_weights(), small_batch()),
        ("large", cross_entropy, large_weights(), large_batch()),
    ):
        step = jax.jit(jax.value_and_grad(loss))
        args = [*map(jnp.asarray, weights)], *map(jnp.asarray, batch)
        found[f"{name} gradient"] = lambda f=step, a=args: listed(*f(*a))
        ready = lambda *a, f=step: jax.block_until_ready(f(*a))  # noqa: E731
        found[name] = bound(ready, *args)
    return found


def torch_tasks() -> dict[str, Task]:
    import torch

    torch.set_num_threads(1)

    def layers(weights: Any, x: Any) -> Any:
        linear = torch.nn.functional.linear
        for w, b in zip(weights[:-2:2], weights[1:-2:2]):
            x = linear(x, w, b).relu()
        return linear(x, weights[-2], weights[-1])

    def hinge(weights: Any, x: Any, y: Any) -> Any:
        return (1.0 - y * layers(weights, x)[:, 0]).relu().mean()

    def cross_entropy(weights: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(layers(weights, x), y)

    def stepped(loss: Any, weights: Any, x: Any, y: Any) -> Any:
        value = loss(weights, x, y)
        return value, torch.autograd.grad(value, weights)

    found: dict[str, Task] = {}
    for name, loss, weights, (x, y) in (
        ("small", hinge, small_weights(), small_batch()),
        ("large", cross_entropy, large_weights(), large_batch()),
    ):
        tensors = [torch.tensor(w, requires_grad=True) for w in weights]
        target = torch.tensor(y if name == "small" else y.argmax(axis=1))
        args = loss, tensors, torch.tensor(x), target
        found[f"{name} gradient"] = lambda a=args: listed(
            (r := stepped(*a))[0].detach(), r[1]
        )
        found[name] = bound(stepped, *args)
    return found


def numpy_tasks() -> dict[str, Task]:
    """By hand, as one writes it who knows the chain rule."""

    def step(weights: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = weights
        hidden = np.maximum(x @ w1.T + b1, 0.0)
        z = hidden @ w2.T + b2
        z -= z.max(axis=1, keepdims=True)
        e = np.exp(z)
        total = e.sum(axis=1, keepdims=True)
        value = (np.log(total[:, 0]) - (y * z).sum(axis=1)).mean()
        z_bar = (e / total - y) / len(x)
        hidden_bar = (z_bar @ w2) * (hidden > 0.0)
        return value, [
            hidden_bar.T @ x,
            hidden_bar.sum(axis=0),
            z_bar.T @ hidden,
            z_bar.sum(axis=0),
        ]

    weights, batch = large_weights(), large_batch()
    return {
        "large gradient": lambda: listed(*step(weights, *batch)),
        "large": bound(step, weights, *batch),
    }


ENGINES = {
    "autograd": autograd_tasks,
    "jax": jax_tasks,
    "torch": torch_tasks,
    "numpy": numpy_tasks,
}


def main() -> None:
    """Answer each line of stdin, the JSON of [task] or [task, seconds]."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--collector", choices=("on", "off"), default="on")
    serve(ENGINES[parser.parse_args().engine]())


if __name__ == "__main__":
    main()
