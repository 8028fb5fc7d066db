"""Whole programs under `jit`: `python tests/benchmarks/rolled.py`.

What a program costs without a compiler is one recording and one `backward()`. Compiled,
it costs its first result, by a `jit` made for it, and then calls, arrays in and out.
These take turns, so each ratio is of one run; times are CPU times, of calls that of the
thread that makes them, so that code made meanwhile in another thread is not counted.

Every program is first held against eager code, bit for bit. Memory is the peak of a
fresh process less that of one that compiles next to nothing. Names of rows, given on
the command line, choose what is measured.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from time import process_time, thread_time
from typing import Any

import numpy as np
import programs
import small
import untried
import whole
from figures import ROOT, Figure, print_figures
from whole import Program

from autograd import Value, hessian, jit, relu, value_and_grad, vmap
from autograd.trees import fill, flatten

SAMPLE_SECONDS = 0.02
FEW = 30  # calls right after the first result
WARM_CALLS, WARM_SECONDS = 20_000, 20.0  # after which code that is used often is there
FASTER = {"avx512": 130.0, "avx2": 75.0}  # a call than a recording; else 60

Job = Callable[[], Any]
Times = dict[str, list[float]]


# ---- what is timed -------------------------------------------------------------------


def leaves(program: Program) -> list[Any]:
    """The arguments, with Values where the program is differentiated."""
    args: list[Any] = list(program.args)
    for i in program.argnums:
        numbers, form = flatten(args[i])
        args[i] = fill(form, [Value(x) for x in numbers])
    return args


def recorded(loss: Callable[..., Any], args: Sequence[Any]) -> None:
    loss(*args).backward()


def slopes(program: Program) -> Callable[..., Any]:
    return value_and_grad(program.loss, argnums=program.argnums)


def in_arrays(tree: Any) -> Any:
    """The same numbers, with an array for each list."""
    if isinstance(tree, dict):
        return {key: in_arrays(item) for key, item in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map(in_arrays, tree))
    return np.array(tree) if isinstance(tree, list) else tree


def cpu(job: Job) -> float:
    """CPU seconds of one run, whatever thread they are spent in."""
    start = process_time()
    job()
    return process_time() - start


def each(job: Job) -> float:
    """CPU seconds of a run in this thread, of as many as fill a sample."""
    start, runs = thread_time(), 0
    while (spent := thread_time() - start) < SAMPLE_SECONDS:
        job()
        runs += 1
    return spent / runs


def race(samples: int, seconds: float, **jobs: Callable[[], float]) -> Times:
    """What each job says it took, once in every turn, until it is enough."""
    times: Times = {name: [] for name in jobs}
    start = process_time()
    while len(times[next(iter(times))]) < samples:
        for name, job in jobs.items():
            times[name].append(job())
        if process_time() - start > seconds:
            break
    return times


def ratios(over: Iterable[float], under: Iterable[float]) -> list[float]:
    return [x / y for x, y in zip(over, under)]


class Subject:
    """A program, what it costs to record, and the same under `jit`."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.args = in_arrays(program.args)
        self.compiled: Any = None
        self.record = partial(recorded, program.loss, leaves(program))

    def first(self) -> float:
        """CPU seconds to the first result; the function is kept for calls."""
        self.compiled = jit(slopes(self.program))
        return cpu(self.call)

    def call(self) -> Any:
        return self.compiled(*self.args)

    def few(self) -> float:
        """CPU seconds of a call right after the first result."""
        start = thread_time()
        for _ in range(FEW):
            self.call()
        return (thread_time() - start) / FEW

    def require_agreement(self, name: str) -> None:
        """End the run unless the last call gives the bits of eager code."""
        if bits(self.call()) != bits(slopes(self.program)(*self.program.args)):
            raise SystemExit(f"rolled: {name} must give the bits of eager code, but no")

    def warm_up(self) -> None:
        start = process_time()
        for _ in range(WARM_CALLS):
            self.call()
            if process_time() - start > WARM_SECONDS:
                break

    def run_of(self, samples: int, seconds: float) -> Times:
        """Recordings, first results and early calls, in turns."""
        self.record()
        return race(
            samples, seconds, recording=partial(each, self.record), first=self.first,
            early=self.few, call=partial(each, self.call),
        )  # fmt: skip

    def by_llvm(self) -> Job:
        """Machine code of the whole tape, on numbers that lie ready.

        Where a row of it calls Python back, these come from a list, as they must.
        """
        from autograd.compiled.native import compile

        executable = compile(self.compiled.tape(*self.args))
        entry, tape = executable.entry(), executable.tape
        if entry is None:
            return partial(executable.scalar, flatten(self.args)[0])
        sizes = tape.inputs, len(tape.outputs), entry.workspace + 1
        rooms = [(ctypes.c_double * size)() for size in sizes]
        rooms[0][:] = flatten(self.args)[0]
        code = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3)(entry.address)
        places = [ctypes.addressof(room) for room in rooms]
        return lambda keep=(executable, rooms): code(*places)  # type: ignore[misc]


def bits(tree: Any) -> list[str]:
    """All bits of each number, any NaN like any other."""
    return ["nan" if x != x else float(x).hex() for x in flatten(tree)[0]]


# ---- rows of the table ---------------------------------------------------------------


class Rows:
    """How long each row may be measured, and what they all print."""

    def __init__(self, samples: int, seconds: float, operations: int) -> None:
        self.samples, self.seconds = samples, seconds
        self.operations = operations

    def run(self, name: str, program: Program) -> tuple[Subject, Times]:
        """Measure a program, and print what one run of each kind takes."""
        subject = Subject(program)
        times = subject.run_of(self.samples, self.seconds)
        subject.require_agreement(name)
        middle = {what: statistics.median(found) for what, found in times.items()}
        print(f"{name}: {told(middle)}", flush=True)
        return subject, times

    def gpt(self, positions: int) -> list[Figure]:
        name = f"gpt, {positions} positions"
        _, times = self.run(name, whole.gpt(positions))
        ran = instruction_set()
        return [
            first(name, times, 5.0),
            calls(f"{name}, {ran or 'no rolled code'}", times, FASTER.get(ran, 60.0)),
        ]

    def mlp(self) -> list[Figure]:
        name, program = "MLP, 100 points in a loop", whole.mlp()
        subject, found = self.run(name, program)
        step = vmap(value_and_grad(hinge_of_one), in_axes=(None, 0, 0), reduce="mean")
        mapped = partial(step, *subject.args)
        np.testing.assert_allclose(
            mapped()[0], float(subject.call()[0]), rtol=1e-12, atol=0.0
        )
        times = race(
            self.samples, self.seconds, loop=partial(each, subject.call),
            mapped=partial(each, mapped),
        )  # fmt: skip
        over = ratios(times["loop"], times["mapped"])
        return [
            first(name, found),
            Figure(f"{name}: a call over vmap(reduce=)", over, "x", "at most", 2.0),
        ]

    def beside_llvm(self, name: str, program: Program) -> list[Figure]:
        subject, found = self.run(name, program)
        code = subject.by_llvm()
        times = race(
            self.samples, self.seconds, call=partial(each, subject.call),
            code=partial(each, code),
        )  # fmt: skip
        over = ratios(times["call"], times["code"])
        return [
            first(name, found, 6.0),
            calls(name, found, 25.0),
            Figure(f"{name}: a call over its LLVM code", over, "x", "at most", 1.0),
        ]

    def lstm(self) -> list[Figure]:
        return self.beside_llvm("LSTM, 100 characters", whole.lstm(100))

    def mixture(self) -> list[Figure]:
        return self.beside_llvm("mixture, 10 x 25", whole.mixture(10, 25, points=10))

    def lorenz(self) -> list[Figure]:
        name = "RK4, 300 steps"
        subject, found = self.run(name, whole.lorenz(300))
        subject.warm_up()
        warm = race(
            self.samples, self.seconds, recording=partial(each, subject.record),
            call=partial(each, subject.call),
        )  # fmt: skip
        at_once = ratios(found["recording"], found["early"])
        return [
            first(name, found, 6.0),
            Figure(f"{name}: recording over a call at once", at_once, "x",
                   "at least", 12.0),
            calls(f"{name}, warm", warm, 40.0),
        ]  # fmt: skip

    def second(self) -> list[Figure]:
        """Second derivatives."""
        program = whole.pairs(20)
        (x,), compiled = program.args, [jit(hessian(program.loss))]

        def made() -> Any:
            compiled[0] = jit(hessian(program.loss))
            return compiled[0](x)

        eager = partial(hessian(program.loss), x)
        eager()
        times = race(
            self.samples, self.seconds, eager=partial(each, eager),
            made=partial(cpu, made),
        )  # fmt: skip
        if bits(compiled[0](x)) != bits(eager()):
            raise SystemExit("rolled: a hessian must give the bits of eager code")
        middle = {what: statistics.median(found) for what, found in times.items()}
        print(f"hessian of 20: {told(middle)}", flush=True)
        over = ratios(times["made"], times["eager"])
        return [Figure("hessian of 20, first result over an eager one", over, "x",
                       "at most", 6.0)]  # fmt: skip

    def plain(self, name: str, program: Program) -> list[Figure]:
        """As it comes out: without a target."""
        _, times = self.run(name, program)
        return [first(name, times), calls(name, times)]

    # ---- memory, and growth with the number of operations ----------------------------

    def memory(self, shape: str) -> list[Figure]:
        few, many = self.operations // 5, self.operations
        figures = []
        for how in ("value", "gradient"):
            base, start = fresh(shape, how, 1)
            found = {n: fresh(shape, how, n) for n in (few, many)}
            size = {n: (peak - base) / n for n, (peak, _) in found.items()}
            seconds = {n: spent - start for n, (_, spent) in found.items()}
            what = f"{shape} of {many:.0e} operations, {how}"
            print(f"{what}: {seconds[many]:.1f} s", flush=True)
            figures += [
                Figure(f"{what}: peak of each", [size[many]], " B", "at most", 200.0),
                Figure(f"{what}: its bytes over those of a fifth",
                       [size[many] / size[few]], "x", "at most", 1.2),
                Figure(f"{what}: time over that of a fifth",
                       [seconds[many] / seconds[few]], "x", "at most", 6.0),
            ]  # fmt: skip
        return figures


def hinge_of_one(weights: Any, x: Any, label: Any) -> Any:
    score = programs.network(programs.layered(weights), x, relu)
    return relu(1 - label * score)


def first(name: str, times: Times, most: float | None = None) -> Figure:
    over = ratios(times["first"], times["recording"])
    return Figure(f"{name}: first result over recording", over, "x", "at most", most)


def calls(name: str, times: Times, least: float | None = None) -> Figure:
    over = ratios(times["recording"], times["call"])
    return Figure(f"{name}: recording over a call", over, "x", "at least", least)


def told(seconds: dict[str, float]) -> str:
    return ", ".join(f"{what} {1e6 * time:,.0f} µs" for what, time in seconds.items())


def instruction_set() -> str:
    """The widest that rolled code runs by here; "" where it was not built."""
    try:
        return str(import_module("autograd.compiled.rolled._rolled").sets[0])
    except ImportError:
        return ""


# ---- a fresh process for each peak ---------------------------------------------------


SHAPES: dict[str, tuple[Callable[[int], Program], int]] = {
    "chain": (whole.chain, 3),  # operations of each link
    "lstm": (whole.lstm, 578),  # of each character
}


def fresh(shape: str, how: str, operations: int) -> tuple[float, float]:
    """(bytes at the peak, CPU seconds) of a first result in a process of its own."""
    request = [shape, how, str(operations)]
    done = subprocess.run(
        [sys.executable, __file__, "--peak", *request],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    peak, seconds = map(float, done.stdout.split())
    return peak, seconds


def report_peak(shape: str, how: str, operations: int) -> None:
    make, each_has = SHAPES[shape]
    program = make(max(1, operations // each_has))
    f = slopes(program) if how == "gradient" else program.loss
    seconds = cpu(lambda: jit(f)(*program.args))
    print(peak_bytes(), seconds)


def peak_bytes() -> float:
    """The most memory that this process has had, not that of who started it."""
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return float(fields["VmHWM"].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


# ---- all of it -----------------------------------------------------------------------


def require_agreement() -> None:
    """Every program, small: compiled the bits of eager code."""
    for name, program in small.PROGRAMS.items():
        subject = Subject(program)
        subject.first()
        subject.require_agreement(name)


def all_rows(rows: Rows) -> dict[str, Callable[[], list[Figure]]]:
    found: dict[str, Callable[[], list[Figure]]] = {
        f"gpt{n}": partial(rows.gpt, n) for n in (4, 7, 10)
    }
    for job in (rows.mlp, rows.lstm, rows.mixture, rows.lorenz, rows.second):
        found[job.__name__] = job
    plain = {
        "hidden": whole.hidden(6, 100),
        "kalman": whole.kalman(200),
        "heston": whole.heston(60),
        "binomial": whole.binomial(60),
        "flow": whole.flow(60),
        "convolution": untried.convolution(12, 4),
        "recall": untried.recall(20),
        "orbit": untried.orbit(300),
        "routed": untried.routed(100),
    }
    for name, program in plain.items():
        found[name] = partial(rows.plain, name, program)
    for shape in SHAPES:
        found[f"memory-{shape}"] = partial(rows.memory, shape)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("rows", nargs="*", help="names of rows; all, if none is given")
    parser.add_argument("--samples", type=int, default=9, help="turns of each row")
    parser.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        help="after which a row takes no turn more",
    )
    parser.add_argument("--operations", type=int, default=1_000_000, help="for memory")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        report_peak(given.peak[0], given.peak[1], int(given.peak[2]))
        return
    rows = all_rows(Rows(given.samples, given.seconds, given.operations))
    unknown = [name for name in given.rows if name not in rows]
    if unknown:
        parser.error(f"rows must be among {', '.join(rows)}, but are {unknown}")
    require_agreement()
    figures = [figure for name in given.rows or rows for figure in rows[name]()]
    print_figures(figures)


if __name__ == "__main__":
    main()
