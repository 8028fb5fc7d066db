"""Ctrl-C at every bytecode of some files, one run after the other."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class Interrupt:
    """Raises KeyboardInterrupt before the nth bytecode run in some files.

    Those that end an `except` by themselves have no line, and CPython looks for no
    interrupt there: one that came would leave the handled exception behind.
    """

    def __init__(self, n: int, files: tuple[str, ...]) -> None:
        self.files, self.left, self.came = files, n, False

    def __call__(self, frame: FrameType, event: str, _: Any) -> Interrupt | None:
        if frame.f_code.co_filename not in self.files:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if event == "opcode" and frame.f_lineno is not None:
            self.left -= 1
            if self.left == 0:
                self.came = True
                raise KeyboardInterrupt
        return self


def interrupted_everywhere(
    work: Callable[[], object], *files: str
) -> Iterator[list[KeyboardInterrupt]]:
    """Run work with an interrupt at each bytecode; gives each, kept in a list."""
    outer = sys.gettrace()
    for n in itertools.count(1):
        interrupt = Interrupt(n, files)
        kept = []
        try:
            sys.settrace(interrupt)
            work()
        except KeyboardInterrupt as caught:
            kept.append(caught)
        finally:
            sys.settrace(outer)
        if not interrupt.came:
            assert n > 3, "nothing was interrupted"
            return
        yield kept
