"""Which engine runs: Python, or the same in C (`_value.c`), where that was built.

Everything in C stands in Python too, in `primitives.py` and `value.py`, which is what
people read, what runs without a C compiler, and what C is tested against. `in_c` puts
the C twin of a class or function in its place. A class in C holds only what must be
fast: its twin lends it the rest (labels, copies, texts, refusals).
"""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])


def load(name: str) -> tuple[Any, str]:
    """An extension of this package, or None and in words why it does not run."""
    if os.environ.get("AUTOGRAD_PURE", "0") not in ("", "0"):
        return None, "AUTOGRAD_PURE is set"
    try:
        return import_module(f".{name}", __package__), ""
    except ModuleNotFoundError:
        return None, f"autograd.{name} was not built (no C compiler at install time?)"
    except Exception as error:  # whatever a broken one raises
        return None, str(error) or type(error).__name__


_engine, reason = load("_value")
reader: Any = _engine.reader() if _engine else None  # how C reads a Value's number
maker: Any = _engine.maker() if _engine else None  # and makes the results of a call
python_twins: dict[Any, Any] = {}  # of what C replaced: the original of each


def in_c(python: T, extension: Any = _engine) -> T:
    """Give the C twin of a class or function, or the same back where there is none.

    >>> in_c(len) is len
    True
    """
    in_place = twin(python.__name__, python, extension)
    if in_place is not python:
        python_twins[in_place] = python
        if isinstance(python, type):
            _lend(python, in_place)
    return in_place


def twin(name: str, python: T, extension: Any = _engine) -> T:
    """What C has of that name, or else Python's."""
    return getattr(extension, name, python)


def _lend(python: type, twin: Any) -> None:
    """Give the C class every attribute that only the Python one has.

    Where Python fixes the fields by `__slots__`, C has its own, and makes the object.
    """
    left_out = {"__dict__", "__weakref__", "__slots__"}
    if "__slots__" in vars(python):
        left_out |= {"__init__", *vars(python)["__slots__"]}
    for name in vars(python).keys() - vars(twin).keys() - left_out:
        setattr(twin, name, vars(python)[name])
    twin.__doc__ = python.__doc__


def bind(row: Any) -> None:
    """Tell C of a row of the table, which it computes itself if it knows the name."""
    if _engine is not None:
        _engine.bind(row)


def connect(**helpers: Any) -> None:
    """Lend C the Python that it calls where things are rare."""
    if _engine is not None:
        _engine.connect(**helpers)
