"""NIST's nonlinear regressions to certified digits: `python tests/benchmarks/nist.py`.

Each of the 27 datasets of the Statistical Reference Datasets (StRD) is fitted from both
of its starts by SciPy's `least_squares` (method trf), with exact Jacobians; then
Newton's method goes on with exact Hessians. All have the same settings. Printed are the
digits in which the worst parameter agrees with the certified ones, which have eleven;
for comparison, those of the same fits with SciPy's differences for the Jacobian.

The datasets are not part of this project. They are taken from a folder of NIST's files
(`nist.py FOLDER`), else from the sources of lmfit, which pip downloads into a temporary
folder.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from figures import Figure, print_figures
from scipy.linalg import solve
from scipy.optimize import least_squares

from autograd import atan, cos, exp, hessian, jacobian, jit, log, sin, value_and_grad

PACKAGE, INSIDE = "lmfit", "NIST_STRD"
MOST_DIGITS = 11.0  # those of a certified value
TIGHT = 3e-16
POLISHING = 20  # steps at most

_parameter = re.compile(r"\s*b\d+\s*=" + 4 * r"\s+(\S+)" + r"\s*")


# ---- the models, as published: of parameters b and one observation x -----------------


def decay(b: Any, x: Any) -> Any:
    return b[0] * (1 - exp(-b[1] * x))


def quotient(b: Any, x: Any) -> Any:
    return exp(-b[0] * x) / (b[1] + b[2] * x)


def exponentials(b: Any, x: Any) -> Any:
    return sum(a * exp(-rate * x) for a, rate in zip(b[::2], b[1::2]))


def peaks(b: Any, x: Any) -> Any:
    first = b[2] * exp(-((x - b[3]) ** 2) / b[4] ** 2)
    second = b[5] * exp(-((x - b[6]) ** 2) / b[7] ** 2)
    return b[0] * exp(-b[1] * x) + first + second


def cubics(b: Any, x: Any) -> Any:
    above = b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3
    return above / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def quadratics(b: Any, x: Any) -> Any:
    return (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2)


def cycles(b: Any, x: Any) -> Any:
    def wave(of_cos: Any, of_sin: Any, months: Any) -> Any:
        angle = 2 * math.pi * x / months
        return of_cos * cos(angle) + of_sin * sin(angle)

    return b[0] + wave(b[1], b[2], 12) + wave(b[4], b[5], b[3]) + wave(b[7], b[8], b[6])


MODELS: dict[str, Callable[..., Any]] = {
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
    "BoxBOD": decay,
    "Chwirut1": quotient,
    "Chwirut2": quotient,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "ENSO": cycles,
    "Eckerle4": lambda b, x: b[0] / b[1] * exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "Gauss1": peaks,
    "Gauss2": peaks,
    "Gauss3": peaks,
    "Hahn1": cubics,
    "Kirby2": quadratics,
    "Lanczos1": exponentials,
    "Lanczos2": exponentials,
    "Lanczos3": exponentials,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * exp(-x * b[3]) + b[2] * exp(-x * b[4]),
    "Misra1a": decay,
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "Nelson": lambda b, time, heat: b[0] - b[1] * time * exp(-b[2] * heat),
    "Rat42": lambda b, x: b[0] / (1 + exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / (1 + exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Roszman1": lambda b, x: b[0] - b[1] * x - atan(b[2] / (x - b[3])) / math.pi,
    "Thurber": cubics,
}


# ---- the datasets --------------------------------------------------------------------


class Dataset(NamedTuple):
    """What one file holds: observations (y, x, …), two starts, certified parameters."""

    name: str
    rows: list[list[float]]
    starts: list[list[float]]
    certified: list[float]

    def residuals(self, b: Any) -> list[Any]:
        model = MODELS[self.name]
        seen = (lambda y: log(y)) if self.name == "Nelson" else float
        return [model(b, *xs) - seen(y) for y, *xs in self.rows]


def read(path: Path) -> Dataset:
    head, _, table = path.read_text().rpartition("\nData:")
    found = [_parameter.match(line) for line in head.splitlines()]
    numbers = [[*map(float, match.groups())] for match in found if match]
    first, second, certified, _ = map(list, zip(*numbers))
    rows = [[*map(float, line.split())] for line in table.splitlines()[1:]]
    return Dataset(path.stem, [*filter(None, rows)], [first, second], certified)


@contextmanager
def folder_of_datasets(given: Path | None) -> Iterator[Path | None]:
    """The folder with NIST's files; None where it cannot be had."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as there:
        yield downloaded(Path(there))


def downloaded(folder: Path) -> Path | None:
    options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder)]
    run = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, PACKAGE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    sources = [*folder.glob("*.tar.gz")]
    if run.returncode or not sources:
        print(*run.stderr.strip().splitlines()[-1:])
        return None
    with tarfile.open(sources[0]) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob(f"*/{INSIDE}"), None)


# ---- fits ----------------------------------------------------------------------------


class Fit(NamedTuple):
    """The digits of one dataset from each start: by differences, with the exact
    Jacobian, and after Newton's method; and the calls of the residuals for the second.
    """

    name: str
    by_differences: list[float]
    fitted: list[float]
    polished: list[float]
    calls: list[int]
    seconds: float


def digits(found: Any, certified: list[float]) -> float:
    """Those in which the worst parameter agrees; 0 where one is not a number."""
    off = np.abs(np.asarray(found) / np.asarray(certified) - 1).max()
    return min(-math.log10(max(off, 1e-16)), MOST_DIGITS) if off < 1 else 0.0


def fit(data: Dataset) -> Fit:
    def loss(b: Any) -> Any:
        return sum(r * r for r in data.residuals(b)) / 2

    def right(ends: list[Any]) -> list[float]:
        return [digits(end, data.certified) for end in ends]

    began = process_time()
    residuals, slopes = jit(data.residuals), jit(jacobian(data.residuals))
    sloped, curved = jit(value_and_grad(loss)), jit(hessian(loss))
    exact = [solved(residuals, start, slopes) for start in data.starts]
    polished = [newton(sloped, curved, found.x) for found in exact]
    seconds = process_time() - began
    rough = [solved(residuals, start, "2-point") for start in data.starts]
    return Fit(
        data.name, right([found.x for found in rough]),
        right([found.x for found in exact]), right(polished),
        [found.nfev for found in exact], seconds,
    )  # fmt: skip


def solved(residuals: Callable[..., Any], start: list[float], jac: Any) -> Any:
    with np.errstate(over="ignore"):  # in steps that are too long, and not taken
        return least_squares(
            residuals, start, jac=jac, method="trf", x_scale="jac",
            ftol=TIGHT, xtol=TIGHT, gtol=TIGHT, max_nfev=5000,
        )  # fmt: skip


def newton(sloped: Callable[..., Any], curved: Callable[..., Any], b: Any) -> Any:
    """Newton's steps, for as long as they get smaller. The Hessian has a diagonal of
    ones: units of parameters lie up to 10¹⁵ apart."""
    before = math.inf
    for _ in range(POLISHING):
        matrix = np.array(curved(b))
        units = 1 / np.sqrt(np.abs(np.diag(matrix)))
        gradient = sloped(b)[1] * units
        step = units * solve(matrix * np.outer(units, units), gradient, assume_a="sym")
        size = np.abs(step / b).max()
        if not size < before:
            break
        b, before = b - step, size
    return b


# ---- what is printed -----------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="with NIST's 27 files")
    with folder_of_datasets(parser.parse_args().folder) as folder:
        if folder is None:
            print(
                f"skipped: {PACKAGE}'s sources, which have the datasets, cannot be "
                "had; download NIST's files and name their folder"
            )
            return
        files = [folder / f"{name}.dat" for name in MODELS]
        missing = [path.name for path in files if not path.exists()]
        if missing:
            parser.error(f"{folder} must have NIST's files, but lacks {missing}")
        fits = [fit(read(path)) for path in files]
    report(fits)


def report(fits: list[Fit]) -> None:
    print("             differences      exact Jacobian   then Newton        calls")
    for name, *columns, calls, seconds in fits:
        shown = "      ".join(f"{a:5.1f} {b:5.1f}" for a, b in columns)
        print(f"{name:10} {shown} {calls[0]:8} {calls[1]:5} {seconds:7.2f} s")
    print()
    rough = sum(there >= 6 for each in fits for there in each.by_differences)
    six = sum(there >= 6 for each in fits for there in each.fitted)
    nine = sum(min(each.polished) >= 9 for each in fits)
    print_figures([
        Figure("fits with 6 digits by differences", [rough], ""),
        Figure("fits with 6 digits by exact Jacobians", [six], "", "at least", 54),
        Figure("datasets with 9 after Newton", [nine], "", "at least", 27),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
