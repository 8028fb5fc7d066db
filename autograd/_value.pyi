"""The types of `_value.c`: what Python has too, as said there, and how they connect."""

from collections.abc import Callable
from typing import Any

from .absent import Share as Share
from .graph import Graph as Graph
from .graph import settled as settled
from .primitives import Primitive as Primitive
from .recorder import Recorder as Recorder
from .science.pushing import push_pairs as push_pairs
from .science.pushing import push_rows as push_rows
from .traced import Traced as Traced
from .transforms import copies as copies
from .transforms import oldest as oldest
from .value import Value as Value
from .value import _call_node as _call_node
from .value import _component as _component
from .value import _components as _components
from .value import _node as _node
from .value import doubles as doubles
from .value import tick as tick
from .value import topological as topological
from .watch import Block
from .watch import unwatch as unwatch
from .watch import watch as watch

class Hold:
    def acquire(self) -> bool: ...
    def locked(self) -> bool: ...
    def __exit__(self, *error: object) -> None: ...

def reader() -> Any: ...
def maker() -> Any: ...
def _link(
    row: Primitive,
    present: bytes,
    address: int,
    outputs: int,
    workspace: int,
    places: bytes,
    /,
) -> None: ...
def _absent(absent: Any, /) -> None: ...
def bind(row: Primitive, /) -> None: ...
def connect(
    *,
    value: type[Value],
    primitive: type[Primitive],
    number: Callable[..., float],
    operand: Callable[[Any, str], Any],
    record: Callable[[Primitive, tuple[Any, ...]], Value],
    shown: Callable[[Value], None],
    watchers: dict[Block, int],
    watching: Callable[[], Any],
    recording: Callable[[], Any],
    unreached: float,
    leftover: Any,
    current: Callable[[Value, str], None],
    written: Callable[..., Any],
    hashed: Callable[[Value, str], None],
    packages: tuple[str, ...],
    slopes: Callable[[Value, int], tuple[float | None, ...]],
    topological: Callable[..., list[Value]] | None,
) -> None: ...
