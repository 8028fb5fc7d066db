"""Whether machine code can be had here, or why not.

NumPy and llvmlite are not required: lists and generated Python give the same results.
One that is broken may raise anything when it is imported (OSError for a library that
is not there, AttributeError for a version that does not fit), and is as good as none.

A process is forked while no other thread imports them or is inside LLVM: the child has
no such thread, which would never let go of its locks.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cache
from threading import RLock
from types import ModuleType
from typing import Any, Final

compiling: Final = RLock()  # one thread at a time
before_a_fork: Final[list[AbstractContextManager[Any]]] = [compiling]  # in this order
_entered: Final[list[AbstractContextManager[Any]]] = []


def _enter_all() -> None:
    for lock in list(before_a_fork):
        lock.__enter__()
        _entered.append(lock)


def _leave_all() -> None:
    while _entered:
        _entered.pop().__exit__(None, None, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_enter_all, after_in_parent=_leave_all, after_in_child=_leave_all
    )


@cache
def native() -> tuple[ModuleType | None, str]:
    """The module that compiles by LLVM and its reason "", or None and why not."""
    try:
        with compiling:
            from . import native as found
    except ModuleNotFoundError as error:
        return None, f"{error.name} is not installed"
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return None, f"NumPy or llvmlite cannot be imported ({text[:200]})"
    return found, ""
