"""The types of `_rolled.c`: rolled code, found and run in C."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from ..tape import Guard

kinds: Final[dict[str, int]]  # of rows that C computes, by name

class Rolled:
    """The arrays of a tape, as groups of like operations."""

    constants: tuple[float, ...]
    outputs: tuple[int, ...]
    guards: tuple[tuple[int, bool] | None, ...]
    counts: dict[str, int]
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
    ) -> Rolled: ...
    def scalar(self, xs: Sequence[float], /) -> tuple[tuple[float, ...], int]: ...
    def entry(self) -> tuple[int, int] | None: ...
    def groups(
        self,
    ) -> list[tuple[int, str | Callable[..., float], int, int, int, bytes, bytes]]: ...
