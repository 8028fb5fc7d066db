"""The engines that race over a batch: gradients of Rosenbrock-10 + exp(sin(x₀²)).

Started as a process of its own, `python batches.py ENGINE`, it serves one engine, as
`engines.py` does. Each engine takes the same points and is written as its own
documentation writes it; where there are two ways, both are there.

    autograd    vmap(grad(f)) on rows; the ready executable on columns
    jax         jit(vmap(grad(f))), f on arrays or number by number
    heyoka      a compiled function of its gradient, on columns; rows are transposed
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from engines import serve
from programs import spiked_rosenbrock

POINTS, INPUTS = 100_000, 10
SHOWN = 20  # points whose gradients are compared

Task = Callable[[], Any]


def points() -> Any:
    return np.random.default_rng(0).normal(size=(POINTS, INPUTS))


def autograd_tasks() -> dict[str, Task]:
    from autograd import exp, grad, sin, vmap
    from autograd.compiled.jit import jit
    from autograd.compiled.native import compile

    x = points()
    gradient = grad(lambda x: spiked_rosenbrock(x, exp, sin))
    rows = vmap(gradient)
    columns, outs = x.T.copy(), np.empty((INPUTS, POINTS))
    failed = np.empty(POINTS, np.int32)
    executable = compile(jit(gradient).tape([0.1] * INPUTS))

    def by_columns() -> None:
        executable.batch([*columns], POINTS, [*outs], failed)

    return {
        "gradients": lambda: rows(x[:SHOWN]).tolist(),
        "rows": lambda: rows(x),
        "columns": by_columns,
    }


def jax_tasks() -> dict[str, Task]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x = jnp.asarray(points())

    def on_arrays(x: Any) -> Any:
        valley = 100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2
        return jnp.exp(jnp.sin(x[0] ** 2)) + valley.sum()

    def by_number(x: Any) -> Any:
        return spiked_rosenbrock(x, jnp.exp, jnp.sin)

    arrays, numbers = [jax.jit(jax.vmap(jax.grad(f))) for f in (on_arrays, by_number)]
    return {
        "gradients": lambda: arrays(x[:SHOWN]).tolist(),
        "gradients by number": lambda: numbers(x[:SHOWN]).tolist(),
        "rows": lambda: arrays(x).block_until_ready(),
        "rows by number": lambda: numbers(x).block_until_ready(),
    }


def heyoka_tasks() -> dict[str, Task]:
    import heyoka

    x = points()
    names = heyoka.make_vars(*[f"x{i}" for i in range(INPUTS)])
    y = spiked_rosenbrock(names, heyoka.exp, heyoka.sin)
    tensors = heyoka.diff_tensors([y], diff_args=names, diff_order=1)
    function = heyoka.cfunc(tensors.gradient, vars=names)
    columns, outs = x.T.copy(), np.empty((INPUTS, POINTS))

    def by_rows() -> Any:
        return np.ascontiguousarray(function(np.ascontiguousarray(x.T)).T)

    return {
        "gradients": lambda: function(columns[:, :SHOWN].copy()).T.tolist(),
        "rows": by_rows,
        "columns": lambda: function(columns, outputs=outs),
    }


ENGINES = {"autograd": autograd_tasks, "jax": jax_tasks, "heyoka": heyoka_tasks}


def main() -> None:
    """Answer each line of stdin, the JSON of [task] or [task, seconds]."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--collector", choices=("on", "off"), default="on")
    serve(ENGINES[parser.parse_args().engine]())


if __name__ == "__main__":
    main()
