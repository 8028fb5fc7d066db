"""A way through a compiled function: its tape, what runs it, and how it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any, Final

from ..trees import Form, fill
from .nodes import Several, Single
from .points import PathCode, code_of, patience, short_code, shortened, uncompiled
from .structure import described, filler
from .tape import AtPoint, Tape
from .trace import OPERATORS, warn_at

MOST_PATHS: Final = 64  # that are kept


class Path:
    """One way through a function: its tape, and what its results are put into.

    long     the tape as it was traced; `short` is the same, simplified for reading
    code     what runs it at one point, until `until` calls were made: see points.py
    ready    what C calls instead, once it was taken often: see calls.py
    truths   the outputs that are bools: 1.0 stands for True
    """

    def __init__(
        self, tape: Tape, form: Form, own: int, truths: frozenset[int] = frozenset()
    ) -> None:
        self.long, self.form, self.truths = tape, form, truths
        self.own = own  # how many inputs are arguments; the others were closed over
        self._taken = self.before = 0  # calls; and how many when a path was dropped
        self.branches: list[list[Path | None]] = []  # for each guard, shared by paths
        self.fill = _filler(form, truths)
        self._compile()

    def _compile(self) -> None:
        self.code = self._first_code()
        self.scalar = self.code.scalar
        self.row: Single | None = None  # for calls on Values, if there is one output
        self.several: Several | None = None  # if there are more
        self.derived: dict[Any, Any] = {}  # for gradients of sums, see `Sums.ways`
        self.ready: dict[bool, Any] = {}  # for C to call: on numbers, and on Values
        self._sources: frozenset[int] | None = None

    def _first_code(self) -> PathCode:
        return code_of(self.long)

    @property
    def executable(self) -> AtPoint:
        """What runs it."""
        return self.code.executable

    @cached_property
    def short(self) -> Tape:
        """The tape simplified, for reading."""
        return self.code.tape if self.code.simple else shortened(self.long)[0]

    @property
    def taken(self) -> int:
        """How many calls went this way."""
        there: list[int] = [each.taken for each in list(self.ready.values()) if each]
        return self._taken + sum(there)

    def count(self) -> None:
        self._taken += 1

    @cached_property
    def until(self) -> int:
        """Calls after which LLVM has a try."""
        return patience(self.code)

    def goes(self, i: int, branch: list[Path | None], turn: bool) -> bool:
        """Whether it goes that way at guard i, which is that branch."""
        known = i < len(self.branches) and self.branches[i] is branch
        return known and self.long.guards[i].expected is turn

    def replace(self, code: PathCode, forget: Callable[[], None]) -> None:
        """Run by other code from now on, once C has forgotten what it has of this.

        Calls are counted there until then.
        """
        before, self.ready = self.ready, {}
        forget()
        self._taken += sum([each.taken for each in before.values() if each])
        self.code, self.scalar = code, code.scalar

    def again(self, tree: Any) -> Path:
        """The same code in another tree, for other Values that are closed over."""
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__)
        new._taken, new.before, new.branches, new.ready = 0, 0, [], {}
        new.row = self.row and self.row.like(tree, new)
        new.several = self.several and self.several.like(tree, new)
        return new

    def sources(self) -> frozenset[int]:
        """The inputs that the first output depends on, other than by comparisons."""
        if self._sources is None:
            used = {x for x in self.long.outputs[:1] if type(x) is int}
            for k in reversed(range(len(self.long.code))):
                row, args = self.long.code[k]
                if self.long.inputs + k in used and row not in OPERATORS:
                    used.update(x for x in args if type(x) is int)
            inputs = range(self.long.inputs)
            self._sources = frozenset([i for i in inputs if i in used])
        return self._sources

    def __getstate__(self) -> Any:
        kept = self.long, self.form, self.own, self.truths
        return *kept, self.taken, self.branches

    def __setstate__(self, state: Any) -> None:
        *kept, self._taken, self.branches = state
        self.before = self._taken
        self.long, self.form, self.own, self.truths = kept
        self.fill = _filler(self.form, self.truths)
        self._compile()

    def __repr__(self) -> str:
        guards = "guard" if len(self.long.guards) == 1 else "guards"
        return f"<path: {len(self.long.guards)} {guards}, taken {self.taken}x>"


def _filler(form: Form, truths: frozenset[int]) -> Callable[[tuple[Any, ...]], Any]:
    """What puts the outputs of a path into their containers."""
    if not truths:
        return filler(form)
    return lambda ys: fill(
        form, [y != 0.0 if i in truths else y for i, y in enumerate(ys)]
    )


class OnePath(Path):
    """A path for one call, which is not worth compiling."""

    def _first_code(self) -> PathCode:
        return uncompiled(self.long)


class LanePath(Path):
    """A path for the lanes of a batch."""

    def _first_code(self) -> PathCode:
        return short_code(self.long)


class Paths(tuple[Path, ...]):
    """Paths in a row; printed, as a tree for each form of the arguments."""

    forms: list[tuple[Form, list[Path]]]

    def __new__(cls, trees: Mapping[Form, Sequence[Path]]) -> Paths:
        forms = [(form, sorted(paths, key=_turns)) for form, paths in trees.items()]
        found = super().__new__(cls, [path for _, paths in forms for path in paths])
        found.forms = [(form, paths) for form, paths in forms if paths]
        return found

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for form, paths in self.forms:
            lines = _tree_lines(paths)
            if len(self.forms) > 1:
                yield f"{described(form)}:"
                lines = (f"  {line}" for line in lines)
            yield from lines


def _turns(path: Path) -> list[bool]:
    return [not guard.expected for guard in path.long.guards]


def _tree_lines(paths: Sequence[Path]) -> Iterator[str]:
    """Each branch once, further in than the one before it."""
    above: list[str] = []
    for path in paths:
        steps = list(_steps(path.short))
        same = takewhile(lambda pair: pair[0] == pair[1], zip(above, steps))
        known = len(list(same))
        for depth, step in enumerate(steps[known:], start=known):
            yield "  " * depth + step
        yield f"{'  ' * len(steps)}taken {path.taken}x"
        above = steps


def _steps(tape: Tape) -> Iterator[str]:
    """Each branch of a path in words."""
    for guard in tape.guards:
        k = guard.slot - tape.inputs
        what = tape.formula(k) if k >= 0 else f"x{guard.slot}"
        yield f"{what} is {'true' if guard.expected else 'false'}  # {guard.place}"


def tell_of_paths(place: str, operation: str) -> None:
    """Say, at the comparison, that there are more paths than are kept."""
    warn_at(
        place,
        f"{operation}: f has taken {MOST_PATHS} paths, and the comparison at {place} "
        "leads to more; a call that takes a new one runs op by op, the known ones stay "
        "compiled; write where(condition, a, b) there",
    )
