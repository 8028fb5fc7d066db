"""Compiled speed against C and peers: `python tests/benchmarks/compiled.py`.

The C is what an expert would write for this processor: eight lanes at a time with
gcc's vectors and libmvec's sines, rows transposed in registers, -O3 -march=native
-ffast-math. It is compiled into a folder that is removed at the end. Peers run in
processes of their own (see `batches.py`). All take turns, on one processor, so that
what else the machine does slows all alike.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from batches import POINTS, points
from figures import Figure, print_figures
from programs import spiked_rosenbrock
from workers import Runner, Worker, python_with, race, require_equal
from workers import ratios as quotients

from autograd import exp, grad, sin, vmap
from autograd import primitives as p
from autograd.compiled.jit import jit
from autograd.compiled.native import compile
from autograd.compiled.tape import Guard, Instruction, Tape
from autograd.compiled.trace import replay

PEERS = {"jax": "0.10.2", "heyoka": "7.13.2"}
SAMPLE_SECONDS = 0.1
LENGTHS = (100, 10_000, 100_000)  # of the tapes whose compilation is timed
BRANCHES = 20
CALLS = 2000  # of a scalar function in one sample

BOUNDS = [
    ("jax", "autograd", 3.0),
    ("jax by number", "autograd", 3.0),
    ("heyoka", "autograd", 1.0),
    ("heyoka on columns", "autograd on columns", 1.0),
]

ROSENBROCK = r"""
#include <immintrin.h>
#include <stddef.h>
typedef double v8 __attribute__((vector_size(64), aligned(8)));
typedef long w8 __attribute__((vector_size(64)));
v8 _ZGVeN8v_sin(v8), _ZGVeN8v_cos(v8), _ZGVeN8v_exp(v8);
#define MIX(a, b, ...) __builtin_shuffle(a, b, (w8){__VA_ARGS__})
static inline void transpose(v8 *r) {
  v8 t[8];
  for (int i = 0; i < 4; i++) {
    t[i] = MIX(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    t[i + 4] = MIX(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int g = 0; g < 8; g += 4)
    for (int i = g; i < g + 2; i++) {
      r[i] = MIX(t[i], t[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      r[i + 2] = MIX(t[i], t[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 8; i += 2) {
    v8 a = r[i], b = r[i + 1];
    r[i] = MIX(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
    r[i + 1] = MIX(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
  }
}
void gradient(const double *X, double *G, size_t n) {  /* n: a multiple of 8 */
  for (size_t i = 0; i < n; i += 8) {
    v8 a[8], b[8], x[10], g[10];
    for (int l = 0; l < 8; l++) {
      a[l] = *(const v8 *)(X + (i + l) * 10);
      b[l] = *(const v8 *)(X + (i + l) * 10 + 2);
    }
    transpose(a), transpose(b);
    for (int j = 0; j < 8; j++) x[j] = a[j];
    x[8] = b[6], x[9] = b[7];
    v8 q = x[0] * x[0];
    g[0] = _ZGVeN8v_exp(_ZGVeN8v_sin(q)) * _ZGVeN8v_cos(q) * 2 * x[0];
    for (int j = 1; j < 10; j++) g[j] = x[0] - x[0];
    for (int j = 0; j < 9; j++) {
      v8 d = x[j + 1] - x[j] * x[j];
      g[j + 1] += 200 * d;
      g[j] -= 400 * d * x[j] + 2 * (1 - x[j]);
    }
    for (int j = 0; j < 8; j++) a[j] = g[j], b[j] = g[j + 2];
    transpose(a), transpose(b);
    for (int l = 0; l < 8; l++) {
      *(v8 *)(G + (i + l) * 10) = a[l];
      *(v8 *)(G + (i + l) * 10 + 2) = b[l];
    }
  }
}
"""


def gradient(x: Any) -> Any:
    return grad(lambda x: spiked_rosenbrock(x, exp, sin))(x)


def seconds(f: Callable[[], object]) -> float:
    start = perf_counter()
    f()
    return perf_counter() - start


def ratios(
    ours: Callable[[], object], theirs: Callable[[], object], samples: int
) -> list[float]:
    """How many times as long ours takes, once for each pair of runs."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(samples + 3)]
    return [our / their for our, their in pairs[3:]]  # the first ones warm up


def built(source: str, folder: str) -> ctypes.CDLL:
    code, library = Path(folder, "reference.c"), Path(folder, "reference.so")
    code.write_text(source)
    fast = ["-O3", "-march=native", "-ffast-math", "-Wno-psabi", "-shared", "-fPIC"]
    names = [str(code), "-o", str(library), "-lmvec", "-lm"]
    subprocess.run(["gcc", *fast, *names], check=True)
    return ctypes.CDLL(str(library))


def rosenbrock_figures(samples: int) -> list[Figure]:
    """The ready executable, and the whole call of a user, each in turn with C."""
    executable = compile(jit(gradient).tape([0.1] * 10))
    mapped = vmap(gradient)
    x = points()
    ours, theirs = np.empty_like(x), np.empty_like(x)
    failed = np.empty(POINTS, dtype=np.int32)
    columns, outs = ([a[:, j] for j in range(10)] for a in (x, ours))
    with tempfile.TemporaryDirectory(prefix="reference-") as folder:
        library = built(ROSENBROCK, folder)
        addresses = [ctypes.c_void_p(a.ctypes.data) for a in (x, theirs)]

        def reference() -> None:
            library.gradient(*addresses, ctypes.c_size_t(POINTS))

        def ready() -> None:
            executable.batch(columns, POINTS, outs, failed)

        found = {
            "ready": ratios(ready, reference, samples),
            "call of vmap(grad(f))": ratios(lambda: mapped(x), reference, samples),
        }
    for result in (ours, mapped(x)):
        np.testing.assert_allclose(result, theirs, rtol=1e-9, atol=1e-9)
    return [
        Figure(
            f"Rosenbrock-10, {POINTS} points: {who} over C", times, "x", "at most", 1.2
        )
        for who, times in found.items()
    ]


def peer_figures(samples: int) -> list[Figure]:
    script = Path(__file__).with_name("batches.py")
    with ExitStack() as stack:
        python = stack.enter_context(python_with(**PEERS))
        workers = {
            name: stack.enter_context(Worker(name, which, script=script))
            for name, which in (
                ("autograd", sys.executable),
                *dict.fromkeys(PEERS, python).items(),
            )
        }
        runners: dict[str, Runner] = {
            name: (worker, "gradients") for name, worker in workers.items()
        }
        by_number = workers["jax"], "gradients by number"
        require_equal("Rosenbrock-10", {**runners, "jax by number": by_number})
        tasks = {name: (worker, "rows") for name, worker in workers.items()}
        tasks["jax by number"] = workers["jax"], "rows by number"
        for name in ("autograd", "heyoka"):
            tasks[f"{name} on columns"] = workers[name], "columns"
        times = race(tasks, samples, SAMPLE_SECONDS)
    return [
        Figure(
            f"Rosenbrock-10: {slow} over {fast}",
            quotients(times[slow], times[fast]),
            "x",
            "at least",
            bound,
        )
        for slow, fast, bound in BOUNDS
    ]


def random_tape(length: int) -> Tape:
    source, rows = random.Random(0), (p.add, p.mul, p.sub, p.sin)
    code = []
    for k in range(length):
        row = source.choice(rows)
        near = range(max(0, k - 30), 10 + k)
        code.append(Instruction(row, tuple(source.choices(near, k=row.arity))))
    return Tape(10, tuple(code), tuple(range(length, length + 10)))


def first_call(compiler: Any, tape: Tape, argument: Any) -> float:
    """The seconds of the first call, which traces and compiles."""
    compiled = compiler(lambda x: replay(tape, x))
    return seconds(lambda: compiled(argument))


def compilation_figures(samples: int) -> list[Figure]:
    """First calls at one point and over a batch: of short tapes, and how they grow."""
    short, longer, longest = [(length, random_tape(length)) for length in LENGTHS]
    figures = []
    for compiler, argument in ((jit, [0.1] * 10), (vmap, np.full((16, 10), 0.1))):
        first = partial(first_call, compiler)
        name = f"first call of {compiler.__name__}"
        times = [1e3 * first(short[1], argument) for _ in range(samples)]
        pairs = [
            (first(longer[1], argument), first(longest[1], argument)) for _ in range(5)
        ]
        each = [1e6 * time / longest[0] for _, time in pairs]
        growth = [long / less for less, long in pairs]
        figures += [
            Figure(f"{name}, {short[0]} operations", times, " ms", "at most", 30.0),
            Figure(f"{name}, {longest[0]}: each", each, " µs", "at most", 30.0),
            Figure(
                f"{name}, {longest[0]} over {longer[0]}", growth, "x", "at most", 12.0
            ),
        ]
    return figures


def guard_figures(samples: int) -> list[Figure]:
    """20 branches that are never missed, over the same without guards."""
    code: list[Instruction] = []
    for k in range(BRANCHES):
        first = 1 + 3 * k
        code.append(Instruction(p.sin, (first - 1 if k else 0,)))
        code.append(Instruction(p.greater, (first, -2.0)))
        code.append(Instruction(p.exp, (first,)))
    guards = tuple(Guard(3 * k + 2, 3 * k + 2, True) for k in range(BRANCHES))
    plain = Tape(1, tuple(code), (3 * BRANCHES,))
    guarded = Tape(1, plain.code, plain.outputs, guards)
    return [
        Figure(
            f"{BRANCHES} branches never missed, {where}",
            ratios(run(guarded), run(plain), samples),
            "x",
            "at most",
            1.05,
        )
        for where, run in (("at a point", calls), ("over a batch", batches))
    ]


def batches(tape: Tape) -> Callable[[], object]:
    """The ready tape over a batch."""
    executable = compile(tape)
    x = np.random.default_rng(0).normal(size=POINTS)
    out, failed = np.empty(POINTS), np.empty(POINTS, dtype=np.int32)
    return lambda: executable.batch([x], POINTS, [out], failed)


def calls(tape: Tape) -> Callable[[], object]:
    """Many calls of the ready tape at one point."""
    executable = compile(tape)
    return lambda: [executable.scalar([0.3]) for _ in range(CALLS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=21, help="for each figure")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print_figures(
        [
            *rosenbrock_figures(options.samples),
            *peer_figures(options.samples),
            *guard_figures(options.samples),
            *compilation_figures(options.samples),
        ]
    )


if __name__ == "__main__":
    main()
