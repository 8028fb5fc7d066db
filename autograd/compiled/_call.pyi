"""The types of `_call.c`: what `jit.py` has too, and what of it C can call."""

from collections.abc import Callable
from typing import Any

from .batch import Batched as Batched
from .calls import Step
from .jit import Compiled as Compiled
from .places import Places as Places

class Ready:
    """A path that C can call."""

    taken: int
    until: int
    path: Any
    def __new__(
        cls,
        path: Any,
        code: tuple[int, int, Any],
        sizes: tuple[int, int, int, int],
        takes: list[Step],
        names: tuple[str, ...],
        gives: list[Step],
        slow: bool,
        places: Places,
        row: Any = ...,
        closed: list[Any] = ...,
        sources: bytes = ...,
        own: int = ...,
        /,
    ) -> Ready: ...
    def leads(self, guard: int, other: Ready, /) -> None: ...

class Mapped:
    """A batch that C can call, summed or in arrays."""

    taken: int
    def __new__(
        cls,
        way: Any,
        code: tuple[int, int, Callable[[], tuple[Any, int, int, list[int | str]]]],
        sizes: tuple[int, int, int, int, int],
        takes: list[Step],
        gives: list[Step],
        dense: bytes,
        closed: list[Any],
        places: Places,
        mean: bool,
        most: int,
        patient: int,
        /,
    ) -> Mapped: ...

def connect(
    kind: type,
    call: Callable[..., Any],
    watchers: dict[Any, int],
    value: type,
    node: Callable[..., Any],
    reader: Any,
    maker: Any,
    items: Callable[..., Any],
    build: Callable[..., Any],
    /,
) -> None: ...
def know_numpy(
    array: type, float64: type, scalars: frozenset[type], empty: Callable[..., Any], /
) -> None: ...
