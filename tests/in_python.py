"""The package a second time, its engine in Python, to hold beside the first one.

    autograd        as imported everywhere: in C where it was built
    python_engine   the same files under another name, loaded with AUTOGRAD_PURE set

Whatever happens to one can so be compared with what happens to the other, as text: a
number by its bits (any NaN is "nan"), an error by its type and message.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest

import autograd

needs_c = pytest.mark.skipif(
    not autograd.accelerated, reason="this is about the engine in C, and Python runs"
)


def _load(name: str) -> ModuleType:
    path = autograd.__file__
    assert path is not None
    folders = list(autograd.__path__)
    spec = importlib.util.spec_from_file_location(
        name, path, submodule_search_locations=folders
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOGRAD_PURE", "1")
        spec.loader.exec_module(module)
        # locks are taken in one order before a fork, which two packages cannot agree on
        patch.setattr(os, "register_at_fork", lambda **hooks: None)
        importlib.import_module(f"{name}.compiled.machine")
    return module


python_engine: Any = _load("autograd_in_python")
ENGINES = (autograd, python_engine)

ROWS = sorted(
    name
    for name, row in vars(autograd.primitives).items()
    if isinstance(row, autograd.Primitive)
)


def row_of(engine: Any, name: str) -> Any:
    return getattr(engine.primitives, name)


def bits(x: float) -> str:
    """All bits of a float as text, except that any NaN equals any other."""
    return "nan" if x != x else x.hex()


def told(x: Any) -> Any:
    """What x is, in text that both engines must agree on."""
    if type(x) is float:
        return bits(x)
    if hasattr(x, "_apply"):
        operands = [
            bits(arg.data) if hasattr(arg, "_apply") else ("plain", told(arg))
            for arg in x.args
        ]
        partials = [*map(told, x._partials)] if x.op else []  # a leaf keeps the time
        return "Value", bits(x.data), x.op, operands, partials
    if isinstance(x, (list, tuple)):
        return type(x).__name__, [*map(told, x)]
    if type(x).__module__ == "numpy" and getattr(x, "ndim", 0) > 0:
        return "array", [*map(told, x.ravel().tolist())]
    return type(x).__name__, plainly(repr(x))


def plainly(text: str) -> str:
    """Text without addresses and without the name of the engine."""
    text = re.sub(r"0x[0-9a-f]{6,}", "0x…", text)
    text = text.replace("autograd.value.Value", "Value")  # as C types are named
    return text.replace(python_engine.__name__, autograd.__name__)


def outcome(job: Callable[[], Any]) -> Any:
    """What comes of a job: its result, or the type and the message of its error."""
    try:
        result = job()
    except Exception as error:  # noqa: BLE001
        return "raised", type(error).__name__, plainly(str(error))
    return told(result)


def on_both(call: Callable[..., Any], *args: Any) -> list[Any]:
    """What comes of call(engine, *args) on either engine."""
    return [outcome(partial(call, engine, *args)) for engine in ENGINES]
