"""Processes that run one engine each, taking turns: what every race needs.

An engine has a process of its own, so that none shares its heap, collector or imports
with another. They take turns, so that what else the machine does slows all alike.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from figures import ROOT

ENGINES = Path(__file__).with_name("engines.py")
TOLERANCE = 1e-9  # to which all engines' gradients must be equal before they race


class Worker:
    """A process that runs one engine's tasks when asked.

    environment   variables it sees beside those of this process
    script        the file that serves the engine
    """

    def __init__(
        self,
        engine: str,
        python: str = sys.executable,
        collector: str = "on",
        environment: Mapping[str, str] | None = None,
        script: Path = ENGINES,
    ) -> None:
        self.engine = engine
        self.process = subprocess.Popen(
            [python, str(script), engine, "--collector", collector],
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, task: str, *seconds: float) -> Any:
        """What the task gives; with seconds, how many one run of it takes."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([task, *seconds]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.engine}: stopped at {task!r}; see its message above")
        return json.loads(answer)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.communicate()


@contextmanager
def python_with(**versions: str) -> Iterator[str]:
    """The path of a Python that has these packages: this one, or one in a new venv."""
    wanted = [f"{name}=={version}" for name, version in versions.items()]
    if all(_installed(name) == version for name, version in versions.items()):
        print(f"{' '.join(wanted)}: of this Python")
        yield sys.executable
        return
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        print(f"{' '.join(wanted)}: installed into a venv that is removed at the end")
        venv.create(folder, with_pip=True)
        python = str(Path(folder, "Scripts" if os.name == "nt" else "bin", "python"))
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        yield python


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name).partition("+")[0]  # "2.13.0+cpu"
    except importlib.metadata.PackageNotFoundError:
        return ""


Runner = tuple[Worker, str]  # who runs which task


def require_equal(what: str, runners: Mapping[str, Runner]) -> None:
    """Stop unless all give the same numbers: a wrong gradient may well be fast.

    What gives one number, as floats do, gives the value alone, which comes first.
    """
    answers = {name: flat(worker.ask(task)) for name, (worker, task) in runners.items()}
    (name, first), *others = answers.items()
    for other, numbers in others:
        expected = first if len(numbers) > 1 else first[:1]
        worst = max(abs(x - y) for x, y in zip(expected, numbers, strict=True))
        if not worst <= TOLERANCE:
            sys.exit(f"{what}: {name} and {other} differ by {worst:.3g}; nothing timed")
        print(f"{what}: {name} and {other} agree to {worst:.1g} in {len(numbers)}")


def flat(answer: Any) -> list[float]:
    if not isinstance(answer, list):
        return [answer]
    return [x for item in answer for x in flat(item)]


def race(
    runners: Mapping[str, Runner], samples: int, seconds: float
) -> dict[str, list[float]]:
    """The seconds of one run for each of them, sample by sample and in turn."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for i in range(samples + 1):
        for name, (worker, task) in runners.items():
            found = worker.ask(task, seconds)
            if i > 0:  # the first round warms up
                times[name].append(found)
    return times


def ratios(slow: Sequence[float], fast: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(slow, fast, strict=True)]
