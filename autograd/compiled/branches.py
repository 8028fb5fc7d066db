"""The paths of one lane of a batch, and how each is run.

turns    the outcomes of a path's guards: they alone say which path a lane is on
way      a path ready to run, and how many lanes have taken it
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeVar
from weakref import ref

from ..trees import NUMBER, Container, Form, Static, size
from .columns import Column, other_containers
from .jit import Compiled, Tree
from .paths import MOST_PATHS, LanePath, OnePath, Path
from .tape import Executable, Operand, Tape
from .trace import numbers_of, replay

Turns = tuple[bool, ...]
T = TypeVar("T")
MOST_KEPT: Final = 64  # rows for batches of other lengths, and derivatives


@dataclass
class Way:
    """A path ready to run: the turns that lead to it, and how many lanes took it."""

    turns: Turns
    tape: Tape
    guards: Sequence[int]  # which turn each guard that is left on the tape checks
    executable: Executable
    counted: int = 0  # lanes that took it in Python
    ready: dict[Any, Any] = field(default_factory=dict)  # for C, by kinds of batches

    @property
    def taken(self) -> int:
        """How many lanes took it."""
        there: list[int] = [each.taken for each in list(self.ready.values()) if each]
        return self.counted + sum(there)

    def other(self, k: int) -> Turns:
        """The turns of a lane that fails guard k of the tape first."""
        turn = self.guards[k]
        return (*self.turns[:turn], not self.turns[turn])


class Away:
    """A compiled function that may be gone: nodes of its calls do not keep it."""

    doubt: Any = None

    def __init__(self, name: str, owner: Compiled[Any] | None = None) -> None:
        self.__name__ = name
        self._owner = None if owner is None else ref(owner)

    def __reduce__(self) -> Any:
        return Away, (self.__name__,)

    def roots(self, form: Form) -> list[Any]:
        """Nothing: it stands for paths that are known."""
        return []

    def run(self, form: Form, values: Sequence[Any]) -> Any:
        """What f gives, if it is still there."""
        owner = None if self._owner is None else self._owner()
        if owner is None:
            raise ValueError(
                f"vmap: {self.__name__} must be there to take a new path, but is gone; "
                "keep what vmap gave as long as its results"
            )
        return owner.run(form, values)


class Uncompiled(Exception):  # noqa: N818 - no error: see `Batched.__call__`
    """A path cannot be compiled: each lane has to be run by itself.

    What f gave where it was traced is its answer there: to run it again would change
    twice what f changes. Without an answer, it has to.
    """


class Crowded(Uncompiled, ValueError):  # noqa: N818 - as its first parent
    """More paths than are kept; it is an error for who cannot run lanes one by one."""


class Branches(Tree):
    """The paths of one lane; a new one can be made to take given turns.

    A lane of a batch can miss a guard that its numbers pass one by one, since vector
    code rounds its functions differently. It is on the path that its batch says.
    """

    caller = "vmap"
    kind = LanePath

    def __init__(
        self,
        owner: Any,
        form: Form,
        before: Sequence[Path] = (),
        frozen: Sequence[Path] = (),
    ) -> None:
        super().__init__(owner, form, before)
        self.paths += frozen
        self.path = next(iter(frozen), None)
        self._ways: list[Way] = list(map(_way, frozen))
        self._alone: Branches | None = None
        self._kept: dict[Any, Any] = {}

    def __getstate__(self) -> Any:
        return super().__getstate__(), [way.taken for way in self._ways]

    def __setstate__(self, state: Any) -> None:
        tree, taken = state
        super().__setstate__(tree)
        self._kept, self._alone = {}, None
        self._ways = list(map(_way, self.paths))
        for way, count in zip(self._ways, taken):
            way.counted = count

    def alone(self) -> Branches:
        """The paths known by now, without f and all that it leads to: for nodes."""
        if not isinstance(self.owner, Compiled):
            return self
        if self._alone is None or len(self._alone.paths) != len(self.paths):
            self._alone = Branches(
                Away(self.owner.__name__, self.owner), self.form, frozen=self.paths
            )
        return self._alone

    def kept(self, make: Callable[..., T], *what: Any) -> T:
        """What was made of this tree and these for an earlier call, or a new one."""
        key = make, *what
        if key not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = make(self, *what)
        found: T = self._kept[key]
        return found

    @property
    def ways(self) -> list[Way]:
        """The paths known, those that were taken most first."""
        return sorted(self._ways, key=lambda way: -way.taken)

    @property
    def outputs(self) -> tuple[Operand, ...]:
        return self.paths[0].long.outputs

    @property
    def outputs_form(self) -> Form:
        return self.paths[0].form

    @property
    def truths(self) -> frozenset[int]:
        """The outputs that are bools on every path."""
        return frozenset.intersection(*[path.truths for path in self.paths])

    def columns(self, inputs: Sequence[Column]) -> list[Column]:
        """The inputs, and those closed over, as numbers."""
        return numbers_of([*inputs, *self.closed])

    def _results(self, out: Any) -> tuple[list[Any], Form]:
        """What f gave for a lane; another may have another bool, so it is a number."""
        ys, form = super()._results(out)
        numbers: list[Any] = []
        return numbers, _with_bools(form, iter(ys), numbers)

    def grow(self, turns: Turns, xs: list[float]) -> None:
        """Trace the path that begins with these turns, at a point."""
        with self._lock:
            if way_of(self._ways, turns) is not None:
                return  # another thread has been here
            if len(self.paths) >= MOST_PATHS:
                raise self._crowded(self._place(turns))
            path = self._traced(xs, turns)
            if isinstance(path, OnePath):
                again = self.owner.doubt is not None and self.owner.doubt.again
                raise Uncompiled(*([] if again else [self._answer(path, xs)]))
            if self.paths and path.form != self.outputs_form:
                raise other_containers()
            self.paths.append(path)
            self.path = self.path or path
            self._ways.append(_way(path))

    def _crowded(self, place: str) -> Crowded:
        return Crowded(
            f"vmap: f must take at most {MOST_PATHS} paths, but the comparison at "
            f"{place} leads to one more; write where(condition, a, b) there"
        )

    def _answer(self, path: Path, xs: Sequence[float]) -> Any:
        """What the run gave that was traced."""
        inputs = [*xs[: path.own], *self.closed][: path.long.inputs]
        return path.fill(tuple(replay(path.long, inputs)))

    def _place(self, turns: Turns) -> str:
        """The source line of the last of these turns."""
        k = len(turns) - 1
        known = (path for path in self.paths if turns_of(path)[:k] == turns[:k])
        return next(known).long.guards[k].place


def _with_bools(form: Form, ys: Iterator[Any], numbers: list[Any]) -> Form:
    """The form with bools for numbers, which are added to `numbers` with the others."""
    if isinstance(form, Static) and type(form.item) is bool:
        numbers.append(form.item)
        return NUMBER
    if isinstance(form, Container):
        forms = tuple([_with_bools(each, ys, numbers) for each in form.forms])
        return form._replace(forms=forms)
    numbers += islice(ys, size(form))
    return form


def turns_of(path: Path) -> Turns:
    return tuple([guard.expected for guard in path.long.guards])


def _way(path: Path) -> Way:
    runs_lanes: Any = path.executable  # of a LanePath
    return Way(turns_of(path), path.code.tape, path.code.kept, runs_lanes)


def way_of(ways: Sequence[Way], turns: Turns) -> Way | None:
    """The first way that begins with these turns."""
    known = (way for way in ways if way.turns[: len(turns)] == turns)
    return next(known, None)
