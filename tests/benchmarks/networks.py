"""Networks, compiled, against C and tensors: `python tests/benchmarks/networks.py`.

The C takes eight points at a time with gcc's vectors, keeps the sums of all gradients
in the fastest cache, and is compiled with -O3 -march=native -ffast-math into a folder
that is removed at the end. It takes turns with the ready executable, and with the whole
call of a user. JAX, PyTorch and NumPy run in processes of their own on one thread, each
from the version named here. All gradients are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import programs
from compiled import built, seconds
from figures import Figure, print_figures
from nets import REPEATS, small_batch
from workers import Worker, python_with, race, require_equal
from workers import ratios as quotients

from autograd import relu, tanh, value_and_grad, vmap
from autograd.compiled.jit import jit
from autograd.compiled.native import Layout, compile
from autograd.compiled.rows import address_of, find_groups

PEERS = {"torch": "2.13.0", "jax": "0.10.2", "numpy": "2.4.6"}
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
SCRIPT = Path(__file__).with_name("nets.py")
CALLS = 200  # of what takes microseconds, in one sample

NETWORK = r"""
#include <stddef.h>
#include <string.h>
typedef double v8 __attribute__((vector_size(64), aligned(8)));
typedef long w8 __attribute__((vector_size(64)));
#define N 16
static inline v8 chosen(w8 mask, v8 x) { return (v8)(mask & (w8)x); }
void gradient(const double *p, const double *xs, const double *ys, size_t n,
              double *out) {
  const double *q = p + 3 * N, *r = q + (N + 1) * N;
  v8 g1[3 * N], g2[(N + 1) * N], g3[N + 1], loss = {0};
  memset(g1, 0, sizeof g1), memset(g2, 0, sizeof g2), memset(g3, 0, sizeof g3);
  for (size_t i = 0; i < n; i += 8) {
    v8 x0, x1, t, a1[N], a2[N], d1[N], d2[N];
    w8 there;
    for (int l = 0; l < 8; l++) {
      size_t k = i + l < n ? i + l : n - 1;
      x0[l] = xs[2 * k], x1[l] = xs[2 * k + 1], t[l] = ys[k];
      there[l] = -(long)(i + l < n);
    }
    for (int j = 0; j < N; j++) {
      v8 z = p[3 * j] * x0 + p[3 * j + 1] * x1 + p[3 * j + 2];
      a1[j] = chosen(z > 0, z);
    }
    for (int j = 0; j < N; j++) {
      v8 z = a1[0] * q[(N + 1) * j] + q[(N + 1) * j + N];
      for (int k = 1; k < N; k++) z += q[(N + 1) * j + k] * a1[k];
      a2[j] = chosen(z > 0, z);
    }
    v8 y = a2[0] * r[0] + r[N];
    for (int k = 1; k < N; k++) y += r[k] * a2[k];
    v8 h = 1 - t * y;
    w8 wrong = (h > 0) & there;
    loss += chosen(wrong, h);
    v8 d = chosen(wrong, -t);
    for (int k = 0; k < N; k++) g3[k] += d * a2[k], d1[k] = h - h;
    g3[N] += d;
    for (int j = 0; j < N; j++) {
      d2[j] = chosen(a2[j] > 0, d * r[j]);
      for (int k = 0; k < N; k++) {
        g2[(N + 1) * j + k] += d2[j] * a1[k];
        d1[k] += q[(N + 1) * j + k] * d2[j];
      }
      g2[(N + 1) * j + N] += d2[j];
    }
    for (int j = 0; j < N; j++) {
      v8 e = chosen(a1[j] > 0, d1[j]);
      g1[3 * j] += e * x0, g1[3 * j + 1] += e * x1, g1[3 * j + 2] += e;
    }
  }
#define SUM(x) ((x[0] + x[1] + x[2] + x[3] + x[4] + x[5] + x[6] + x[7]) / n)
  *out++ = SUM(loss);
  for (int j = 0; j < 3 * N; j++) *out++ = SUM(g1[j]);
  for (int j = 0; j < (N + 1) * N; j++) *out++ = SUM(g2[j]);
  for (int j = 0; j < N + 1; j++) *out++ = SUM(g3[j]);
}
"""


def loss(weights: Any, x: Any, y: Any, activation: Any = relu) -> Any:
    score = programs.network(programs.layered(weights), x, activation)
    return relu(1.0 - y * score)


def machine_code(weights: list[float], xs: Any, ys: Any) -> Any:
    """The ready code for the sums over the batch, and where it puts them."""
    executable = compile(jit(value_and_grad(loss)).tape(weights, list(xs[0]), ys[0]))
    n, columns = len(xs), [*weights, *xs.T, ys]
    failed = np.full(n, -1, np.int32)
    executable.block_totals(columns, n, failed)
    ins = find_groups(columns)
    lanes = executable._for(Layout(ins.groups, None))
    room = lanes._begin(columns, ins.table)
    sums = np.empty((1, 1 + len(weights)))
    arguments = (
        n, len(ins.table) // 3, sums.size, lanes.body, room.addresses[0], room.vectors,
        address_of(failed), *room.common, room.tails[0], room.flags, address_of(sums),
    )  # fmt: skip
    return lambda keep=(lanes, room, ins, failed): lanes._total(*arguments), sums


def c_figures(samples: int) -> list[Figure]:
    xs, ys = small_batch()
    weights = programs.weights()
    step = vmap(value_and_grad(loss), in_axes=(None, 0, 0), reduce="mean")
    given, theirs = np.array(weights), np.empty(1 + len(weights))
    code, sums = machine_code(weights, xs, ys)
    with tempfile.TemporaryDirectory(prefix="reference-") as folder:
        library = built(NETWORK, folder)
        to = [ctypes.c_void_p(a.ctypes.data) for a in (given, xs, ys, theirs)]
        where, n = (*to[:3], ctypes.c_size_t(len(xs)), to[3]), len(xs)

        def reference() -> None:
            library.gradient(*where)

        reference(), code()
        value, gradient = step(weights, xs, ys)
        np.testing.assert_allclose(theirs, [value, *gradient], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(theirs, sums[0] / n, rtol=1e-9, atol=1e-12)
        calls = (
            code, lambda: step(given, xs, ys), lambda: step(weights, xs, ys), reference
        )  # fmt: skip
        step(given, xs, ys)
        ready, arrays, lists, c = [], [], [], []
        for _ in range(samples + 3):
            times = [seconds(lambda f=f: [f() for _ in range(CALLS)]) for f in calls]
            for found, time in zip((ready, arrays, lists, c), times):
                found.append(1e6 * time / CALLS)
    what = "MLP(2,16,16,1), 100 points"
    medians = [f"{np.median(found[3:]):.1f} µs" for found in (c, ready, arrays, lists)]
    print(f"{what}: C {{}}, ready code {{}}, calls {{}} and {{}}".format(*medians))
    return [
        Figure(f"{what}: {name} over C", quotients(found, c)[3:], "x", "at most", 2.0)
        for name, found in (
            ("ready code", ready),
            ("whole call, arrays", arrays),
            ("whole call, lists", lists),
        )
    ]


def tanh_figure(samples: int) -> Figure:
    """What 32 tanh cost, whose slopes need no exponential of their own."""
    xs, ys = small_batch()
    weights, times = np.array(programs.weights()), []
    for activation in (tanh, relu):
        net = partial(loss, activation=activation)
        step = vmap(value_and_grad(net), in_axes=(None, 0, 0), reduce="mean")
        step(weights, xs, ys)
        times.append(lambda f=step: [f(weights, xs, ys) for _ in range(CALLS)])
    pairs = [[seconds(f) for f in times] for _ in range(samples + 3)][3:]
    what = "MLP(2,16,16,1), 100 points: tanh over relu"
    return Figure(what, quotients(*zip(*pairs)), "x", "at most", 1.5)


def peer_figures(samples: int, length: float) -> list[Figure]:
    figures = []
    with ExitStack() as stack:
        python = stack.enter_context(python_with(**PEERS))

        def start(name: str, which: str) -> Worker:
            worker = Worker(name, which, environment=ONE_THREAD, script=SCRIPT)
            return stack.enter_context(worker)

        workers = {name: start(name, python) for name in ("jax", "torch", "numpy")}
        workers["autograd"] = start("autograd", sys.executable)
        bounds = {
            "small": {"jax": 3.0, "torch": 20.0},
            "large": {"torch": 1.5, "numpy": 1.5},
        }
        names = {
            "small": "MLP(2,16,16,1), 100 points",
            "large": "MLP(64,32,10), batch 128",
        }
        for net, peers in bounds.items():
            who = {name: workers[name] for name in ("autograd", *peers)}
            require_equal(net, {n: (w, f"{net} gradient") for n, w in who.items()})
            times = race({n: (w, net) for n, w in who.items()}, samples, length)
            for name, found in times.items():
                print(f"{net}: {name} {1e6 * np.median(found) / REPEATS:.1f} µs")
            figures += [
                Figure(
                    f"{names[net]}: {name} over autograd",
                    quotients(times[name], times["autograd"]),
                    "x",
                    "at least",
                    bound,
                )
                for name, bound in peers.items()
            ]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=15, help="for each figure")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one sample")
    options = parser.parse_args()
    figures = [*c_figures(options.samples), tanh_figure(options.samples)]
    figures += peer_figures(options.samples, options.seconds)
    print_figures(figures)


if __name__ == "__main__":
    main()
