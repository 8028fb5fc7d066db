"""The types of `_rolled.c`: rolled code, found and run in C."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from ..tape import Guard

kinds: Final[dict[str, int]]  # of rows that C computes, by name
sets: Final[tuple[str, ...]]  # of instructions that this machine has, the best first

class Rolled:
    """The arrays of a tape, as groups of like operations."""

    constants: tuple[float, ...]
    outputs: tuple[int, ...]
    guards: tuple[tuple[int, bool] | None, ...]
    counts: dict[str, int]
    set: str
    def __new__(
        cls,
        inputs: int,
        rows: tuple[int | Callable[..., float], ...],
        row: Any,
        start: Any,
        operand: Any,
        constants: Any,
        outputs: Any,
        guards: tuple[Guard, ...],
        set: str | None = None,
    ) -> Rolled: ...
    def scalar(self, xs: Sequence[float], /) -> tuple[tuple[float, ...], int]: ...
    def entry(self) -> tuple[int, int] | None: ...
    def is_sound(self) -> bool: ...
    def groups(
        self,
    ) -> list[tuple[int, str | Callable[..., float], int, int, int, bytes, bytes]]: ...
