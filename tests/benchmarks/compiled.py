"""Compiled speed against C written by hand: `python tests/benchmarks/compiled.py`.

The C is what an expert would write for this processor: eight lanes at a time with
gcc's vectors and libmvec's sines, rows transposed in registers, -O3 -march=native
-ffast-math. It is compiled into a folder that is removed at the end. Machine code and C
take turns, so that what else the machine does slows both alike.
"""

from __future__ import annotations

import argparse
import ctypes
import random
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from figures import Figure, print_figures

from autograd import exp, grad, sin
from autograd import primitives as p
from autograd.compiled.jit import jit
from autograd.compiled.native import compile
from autograd.compiled.tape import Guard, Instruction, Tape

POINTS = 100_000
LENGTHS = (100, 1000, 10_000, 100_000)  # of the tapes whose compilation is timed
BRANCHES = 20
CALLS = 2000  # of a scalar function in one sample

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


def rosenbrock(x: list[Any]) -> Any:
    y = exp(sin(x[0] ** 2))
    for a, b in zip(x, x[1:]):
        y = y + 100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2
    return y


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


def rosenbrock_figure(samples: int) -> Figure:
    gradient = jit(grad(rosenbrock))
    gradient([0.1] * 10)
    executable = compile(gradient.tape())
    x = np.random.default_rng(0).normal(size=(POINTS, 10))
    ours, theirs = np.empty_like(x), np.empty_like(x)
    failed = np.empty(POINTS, dtype=np.int32)
    columns, outs = ([a[:, j] for j in range(10)] for a in (x, ours))
    with tempfile.TemporaryDirectory(prefix="reference-") as folder:
        library = built(ROSENBROCK, folder)
        addresses = [ctypes.c_void_p(a.ctypes.data) for a in (x, theirs)]
        found = ratios(
            lambda: executable.batch(columns, POINTS, outs, failed),
            lambda: library.gradient(*addresses, ctypes.c_size_t(POINTS)),
            samples,
        )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    what = f"gradient of Rosenbrock-10, {POINTS} points, time over C's"
    return Figure(what, found, "x", "at most", 1.2)


def random_tape(length: int) -> Tape:
    source, rows = random.Random(0), (p.add, p.mul, p.sub, p.sin)
    code = []
    for k in range(length):
        row = source.choice(rows)
        near = range(max(0, k - 30), 10 + k)
        code.append(Instruction(row, tuple(source.choices(near, k=row.arity))))
    return Tape(10, tuple(code), tuple(range(length, length + 10)))


def compilation_figures(samples: int) -> list[Figure]:
    figures = []
    for length in LENGTHS:
        tape = random_tape(length)
        runs = min(samples, 3 if length > 10_000 else 9)
        times = [
            seconds(lambda t=tape: compile(t).scalar([0.1] * 10)) for _ in range(runs)
        ]
        if length == LENGTHS[0]:
            what, unit, scale, bound = "for a call at a point", " ms", 1e3, 30.0
        else:
            what, unit, scale, bound = "an operation", " µs", 1e6 / length, 30.0
        name = f"compile {length} operations, {what}"
        samples_ = [scale * time for time in times]
        figures.append(Figure(name, samples_, unit, "at most", bound))
    return figures


def guard_figure(samples: int) -> Figure:
    """A call of 20 branches that are never missed, over the same without guards."""
    code: list[Instruction] = []
    for k in range(BRANCHES):
        first = 1 + 3 * k
        code.append(Instruction(p.sin, (first - 1 if k else 0,)))
        code.append(Instruction(p.greater, (first, -2.0)))
        code.append(Instruction(p.exp, (first,)))
    guards = tuple(Guard(3 * k + 2, 3 * k + 2, True) for k in range(BRANCHES))
    plain = Tape(1, tuple(code), (3 * BRANCHES,))
    guarded = Tape(1, plain.code, plain.outputs, guards)
    what = f"{BRANCHES} branches never missed, over none"
    found = ratios(calls(guarded), calls(plain), samples)
    return Figure(what, found, "x", "at most", 1.05)


def calls(tape: Tape) -> Callable[[], object]:
    """Many calls of the ready tape at one point."""
    executable = compile(tape)
    return lambda: [executable.scalar([0.3]) for _ in range(CALLS)]


def call_figure(samples: int) -> Figure:
    run = calls(Tape(1, (Instruction(p.sin, (0,)),), (1,)))
    times = [seconds(run) for _ in range(samples)]
    scaled = [1e6 * time / CALLS for time in times]
    return Figure("one call of a ready tape, sin(x)", scaled, " µs", "at most", 0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=21, help="for each figure")
    options = parser.parse_args()
    print_figures(
        [
            rosenbrock_figure(options.samples),
            guard_figure(options.samples),
            call_figure(options.samples),
            *compilation_figures(options.samples),
        ]
    )


if __name__ == "__main__":
    main()
