"""`typed_use.py` as mypy and pyright see it, and whether what it says holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "tests" / "typed_use.py"


def run(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *argv],
        env={**os.environ, "MYPYPATH": str(ROOT)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_mypy_sees_the_types_and_the_faults(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    pytest.importorskip("numpy")
    done = run("mypy", "--strict", str(PROGRAM), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_pyright_sees_the_types_and_the_faults(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    if find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    try:  # it may have to fetch itself and node
        started = run("pyright", "--version", cwd=tmp_path)
    except subprocess.TimeoutExpired:
        pytest.skip("pyright does not start in time")
    if started.returncode:
        pytest.skip(f"pyright does not start: {started.stderr[-200:]}")
    settings = {
        "extraPaths": [str(ROOT)],
        "reportUnnecessaryTypeIgnoreComment": True,
        "reportUnusedExpression": False,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    (tmp_path / PROGRAM.name).write_text(PROGRAM.read_text())
    done = run("pyright", "--pythonpath", sys.executable, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def is_of(x: Any, kind: Any) -> bool:
    """Whether x is exactly of a type, as far as that says one."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is UnionType:
        return any(is_of(x, each) for each in inner)
    if origin is None:
        return type(x) is kind
    if origin is tuple:
        kinds = inner[:1] * len(x) if inner[1:] == (...,) else inner
        return type(x) is tuple and list(map(is_of, x, kinds)) == [True] * len(kinds)
    if origin is list:
        return type(x) is list and all(is_of(item, inner[0]) for item in x)
    if origin is dict:
        return all(is_of(k, inner[0]) and is_of(v, inner[1]) for k, v in x.items())
    return type(x) is origin and x.dtype == get_args(inner[1])[0]


def test_a_type_is_told_from_others_where_the_program_runs() -> None:
    assert is_of([1.0], list[float]) and not is_of([1], list[float])
    assert is_of((1.0, [2.0]), tuple[float, list[float]])
    assert not is_of((1.0,), tuple[float, float])
    assert is_of((1.0, 2.0), tuple[float, ...]) and not is_of((1,), tuple[float, ...])
    assert is_of(None, str | None) and not is_of(1.0, str | None)


def test_what_the_checkers_are_told_holds_where_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("numpy")
    import typed_use

    seen = 0

    def assert_type(x: Any, kind: Any) -> None:
        nonlocal seen
        seen += 1
        assert is_of(x, kind), (x, kind)

    monkeypatch.setattr(typed_use, "assert_type", assert_type)
    for name, use in vars(typed_use).items():
        if name.startswith("right_"):
            use()
    said = PROGRAM.read_text().count("    assert_type(")
    assert seen == said > 100


def wrong_lines() -> list[tuple[str, str]]:
    """The function and the text of each line that has a fault."""
    found, function = [], ""
    for line in PROGRAM.read_text().splitlines():
        if line.startswith("def "):
            function = line[4 : line.index("(")]
        elif "# type: ignore" in line:
            found.append((function, line.split("  #")[0].strip()))
    return found


@pytest.mark.parametrize("function, line", wrong_lines())
def test_what_the_checkers_refuse_is_refused_where_it_runs(
    function: str, line: str
) -> None:
    import typed_use

    from autograd import Value
    from nn import MLP

    names: dict[str, Any] = {"v": Value(0.5), "model": MLP(1, [1], seed=0)}
    run_line: Callable[..., object] = exec
    with pytest.raises((TypeError, ValueError, AttributeError)):
        run_line(line, {**vars(typed_use), **names})
