"""Whether machine code can be had here, or why not; and which thread compiles it when.

NumPy and llvmlite are not required: lists and generated Python give the same results.
One that is broken may raise anything when it is imported (OSError for a library that
is not there, AttributeError for a version that does not fit), and is as good as none.

A process is forked while no other thread imports them or is inside LLVM: the child has
no such thread, which would never let go of its locks.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from threading import Event, RLock, Thread, Timer, current_thread, main_thread
from types import ModuleType
from typing import Any, Final

PATIENCE: Final = 1.0  # seconds before it is said what takes so long

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


class Ended(BaseException):
    """The process ends, and what a thread compiles is of no use any more."""


_ending = Event()


def in_a_thread(work: Callable[[], None]) -> None:
    """Compile while all else goes on; at the end of the process, not at all."""
    if not _ending.is_set():
        Thread(target=_until_the_end, args=(work,), daemon=True).start()


def _until_the_end(work: Callable[[], None]) -> None:
    with suppress(Ended):
        work()


def go_on() -> None:
    """Between two modules: stop, if the process ends, and does not wait for more."""
    if _ending.is_set() and current_thread() is not main_thread():
        raise Ended


@atexit.register
def _end() -> None:
    """Let no thread be inside LLVM while its library is taken down."""
    _ending.set()
    with compiling:
        pass


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Say on stderr what it is that takes longer than a second, and how to stop it."""
    if current_thread() is not main_thread():  # no one waits for it
        yield
        return
    text = f"autograd: {what} ... (Ctrl-C stops it)"
    timer = Timer(PATIENCE, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


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
