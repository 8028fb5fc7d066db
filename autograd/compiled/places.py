"""Where a function finds the Values that it closes over, so that a change is noticed.

A compiled function reads the number of such a Value at every call. Whether f would
still find that Value is another question, which the places answer: the variable, cell,
attribute or item that held it when f was traced, and each one on the way there from f.
The search goes where f's code can go: through its cells, through the globals that it
and the functions it calls name, and from there through containers and attributes.

    place      (kind, holder, key, held): holder[key] was held, by that kind of access
    way        a place, or None where nothing can be put elsewhere: a tuple, a method
    hidden     what an iterator holds, which moves on without any place changing
"""

from __future__ import annotations

import functools
import gc
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from types import (
    BuiltinMethodType,
    CodeType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, Final, NamedTuple

from ..primitives import Primitive
from ..value import Value
from . import calls

ITEM, ENTRY, CELL, ATTRIBUTE, SIZE, CALL = range(6)  # as `_call.c` numbers them
MOST: Final = 1_000_000  # things that a search looks at


class Place(NamedTuple):
    """What was found where: it is there as long as reading it gives `held`."""

    kind: int
    holder: Any
    key: Any
    held: Any


_contents: Final = attrgetter("cell_contents")
READ: Final[tuple[Callable[[Any, Any], Any], ...]] = (
    list.__getitem__, dict.__getitem__, lambda cell, _: _contents(cell), getattr,
    lambda holder, _: len(holder), lambda call, key: call(key),
)  # fmt: skip


def found_at(place: Place) -> Any:
    """What is there now; raises LookupError if there is nothing."""
    try:
        return READ[place.kind](place.holder, place.key)
    except Exception as error:  # a name deleted, an empty cell, or what a property does
        raise LookupError from error


@calls.called_in_c
class Places:
    """Places that are looked at before each call: one list, and later another."""

    __slots__ = ("all",)

    def __init__(self) -> None:
        self.all: list[Place] = []

    def set(self, places: Sequence[Place]) -> None:
        """These from now on."""
        self.all = list(places)

    def changed(self) -> int:
        """The first that holds something else by now, or -1."""
        return next((i for i, place in enumerate(self.all) if not _holds(place)), -1)


def _holds(place: Place) -> bool:
    try:
        now = found_at(place)
    except LookupError:
        return False
    return now == place.held if place.kind == SIZE else now is place.held


def moved(places: Sequence[Place]) -> dict[Value, Value] | None:
    """The Values that have others in their places now, and those; None if more changed.

    No two may have become one, nor one two: then f could run otherwise.
    """
    now: dict[Value, Value] = {}
    for place in places:
        if type(place.held) is not Value:
            if not _holds(place):
                return None
            continue
        try:
            new = found_at(place)
        except LookupError:
            return None
        if type(new) is not Value or now.setdefault(place.held, new) is not new:
            return None
    return now if len(set(now.values())) == len(now) else None


def find(
    roots: Sequence[Any], wanted: Sequence[Value]
) -> tuple[list[Place], list[Value]]:
    """The places of these Values as seen from the roots, and those that have none."""
    search = _Search(roots)
    lost = search.lost(wanted)
    if lost:  # perhaps operands of what was found
        search = _Search(roots, into_graphs=True)
        lost = search.lost(wanted)
    return search.places(wanted), lost


def of_numbers(rows: Iterable[Primitive]) -> list[Place]:
    """The numbers that the rules of users' rows have from variables and closures.

    In a tape they are constants, while the row's value, called back, has those of now.
    """
    functions = {
        f
        for row in rows
        if not is_of_table(row)
        for f in (row.raw, row.ieee, *row.rules)
        if isinstance(f, FunctionType) and f.__module__ != Primitive.__module__
    }
    return [
        way
        for f in functions
        for way, held in _variables(f)
        if type(held) in (int, float, bool)
    ]


def is_of_table(row: Primitive) -> bool:
    return row.__module__ == Primitive.__module__


# ---- the search ----------------------------------------------------------------------

Way = Place | None
HIDDEN: Final = Place(-1, None, None, None)


class _Search:
    """All that can be reached from the roots, and by which ways."""

    def __init__(self, roots: Iterable[Any], into_graphs: bool = False) -> None:
        self._into_graphs = into_graphs
        self._names: set[str] = set()  # that some code uses
        self._modules: list[tuple[ModuleType, set[str]]] = []  # and what was looked at
        self._there: dict[int, Any] = {}  # by id, so that nothing is met twice
        self._ways_to: dict[int, list[tuple[int, Way]]] = {}  # by id: from whom, how
        self._todo: deque[Any] = deque(roots)
        while self._todo and len(self._there) < MOST:
            self._enter(self._todo.popleft())
            for module, done in [] if self._todo else self._modules:
                names = self._names - done
                done |= names
                self._look(module, _entries(vars(module), names))

    def _enter(self, x: Any) -> None:
        if id(x) not in self._there:
            self._there[id(x)] = x
            self._look(x, self._inside(x))

    def _look(self, x: Any, ways: Iterable[tuple[Way, Any]]) -> None:
        for way, child in ways:
            if type(child) in _LEAVES:
                continue
            self._ways_to.setdefault(id(child), []).append((id(x), way))
            if id(child) not in self._there:
                self._todo.append(child)

    def _inside(self, x: Any) -> Iterable[tuple[Way, Any]]:
        if type(x) is Value:
            return ((None, arg) for arg in x.args) if self._into_graphs else ()
        if isinstance(x, FunctionType):
            return self._in_function(x)
        if isinstance(x, ModuleType):
            self._modules.append((x, set()))
            return ()
        if isinstance(x, type):
            return _in_class(x) if not _is_foreign(x) else ()
        return _in_object(x)

    def _in_function(self, f: FunctionType) -> Iterator[tuple[Way, Any]]:
        yield from _variables(f)
        for name in ("__defaults__", "__kwdefaults__"):
            yield Place(ATTRIBUTE, f, name, getattr(f, name)), getattr(f, name)
        yield from _attributes(f)
        if not _is_foreign(f):
            names = set(_names(f.__code__))
            self._names |= names
            for name in names - f.__globals__.keys() & sys.modules.keys():
                yield None, sys.modules[name]

    # ---- what was found --------------------------------------------------------------

    def lost(self, wanted: Sequence[Value]) -> list[Value]:
        """Those of the Values that no way leads to, or one that is hidden."""
        together = {id(x) for x in wanted} - self._ways_to.keys()
        if not together and all(way is not HIDDEN for way in self._ways(wanted)):
            return []
        return [
            x
            for x in wanted
            if id(x) in together or any(way is HIDDEN for way in self._ways([x]))
        ]

    def places(self, wanted: Sequence[Value]) -> list[Place]:
        """Every place on a way to one of the Values, with the sizes of containers."""
        ways = {id(way): way for way in self._ways(wanted)}
        found = [way for way in ways.values() if way and way is not HIDDEN]
        if self._into_graphs:  # another Value there has other operands as well
            found = [
                _as_a_whole(way) if type(way.held) is Value else way for way in found
            ]
        sized = {
            id(way.holder): way.holder
            for way in found
            if way.kind == ITEM or (way.kind == ENTRY and not _is_namespace(way.holder))
        }
        sizes = [Place(SIZE, x, None, len(x)) for x in sized.values()]
        return sizes + found  # so that an index is there when it is looked at

    def _ways(self, wanted: Sequence[Value]) -> Iterator[Way]:
        """Every way that leads to one of the Values, in the end."""
        todo = deque(map(id, wanted))
        seen = set(todo)
        while todo:
            for holder, way in self._ways_to.get(todo.popleft(), ()):
                yield way
                if holder not in seen:
                    seen.add(holder)
                    todo.append(holder)


def _as_a_whole(place: Place) -> Place:
    """The same place, where no other Value can stand in for the one that is there."""
    return Place(CALL, lambda _: _holds(place), None, True)


_LEAVES: Final = frozenset(
    (str, bytes, int, float, complex, bool, type(None), type(...))
)
_FOREIGN: Final = frozenset({"autograd", "nn", "numpy", "scipy"}).union(
    sys.stdlib_module_names
)


def _is_foreign(x: Any) -> bool:
    """Whether it is of a library whose globals hold no Value of a user."""
    name = getattr(x, "__module__", None)
    if type(name) is not str or name.partition(".")[0] not in _FOREIGN:
        return False
    own = vars(sys.modules[name]) if name in sys.modules else None
    return not isinstance(x, FunctionType) or x.__globals__ is own  # not a doctest's


def _is_namespace(x: Any) -> bool:
    return "__builtins__" in x or "__spec__" in x


def _names(code: CodeType) -> Iterator[str]:
    """The names of globals and attributes that some code uses."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _variables(f: FunctionType) -> Iterator[tuple[Place, Any]]:
    """What a function has from around it, by its cells and by the names of globals."""
    for cell in f.__closure__ or ():
        try:
            yield Place(CELL, cell, None, _contents(cell)), _contents(cell)
        except ValueError:  # an empty one
            continue
    if not _is_foreign(f):
        yield from _entries(f.__globals__, set(_names(f.__code__)))


def _entries(
    holder: Mapping[Any, Any], keys: Iterable[Any]
) -> Iterator[tuple[Place, Any]]:
    for key in keys:
        if key in holder:
            yield Place(ENTRY, holder, key, holder[key]), holder[key]


def _in_class(kind: type) -> Iterator[tuple[Way, Any]]:
    """The members of a class; what makes methods of functions is looked into."""
    yield from ((None, base) for base in kind.__bases__)
    for name, member in list(vars(kind).items()):
        if isinstance(member, (staticmethod, classmethod)):
            yield None, member.__func__
        elif isinstance(member, (property, functools.cached_property)):
            for each in ("fget", "fset", "func"):
                yield None, getattr(member, each, None)
        elif not _binds(member) or isinstance(member, FunctionType):
            yield Place(ATTRIBUTE, kind, name, member), member


def _in_object(x: Any) -> Iterable[tuple[Way, Any]]:
    """What an object that is neither function, module nor class holds."""
    if type(x).__module__.startswith("autograd.compiled"):  # jit and vmap
        inner = getattr(x, "f", None), getattr(x, "lane", None)
        return ((None, each) for each in inner)
    if isinstance(x, Primitive):
        return ()
    return (*_contents_of(x), *_attributes(x), (None, type(x)))


def _contents_of(x: Any) -> Iterable[tuple[Way, Any]]:
    if isinstance(x, (tuple, frozenset)):
        return [(None, item) for item in list(x)]
    if isinstance(x, list):
        return [(Place(ITEM, x, i, item), item) for i, item in enumerate(list(x))]
    if isinstance(x, dict):
        return [*_keys(x), *_entries(x, list(x))]
    if isinstance(x, MethodType):
        return (None, x.__self__), (None, x.__func__)
    if isinstance(x, BuiltinMethodType):
        return ((None, x.__self__),) if type(x.__self__) is not ModuleType else ()
    if isinstance(x, functools.partial):
        return (None, x.func), (None, x.args), (None, x.keywords)
    if isinstance(x, (set, deque, MappingProxyType)) or _is_of_objects(x):
        return _by_copies(x)
    if isinstance(x, weakref.ref):
        return ((Place(CALL, lambda _: x(), None, x()), x()),)
    if isinstance(x, GeneratorType):
        frame = x.gi_frame
        return [
            (HIDDEN, item) for item in list(frame.f_locals.values() if frame else ())
        ]
    if hasattr(type(x), "__next__"):
        return [(HIDDEN, item) for item in gc.get_referents(x)]
    return ()


def _keys(x: dict[Any, Any]) -> Iterator[tuple[Way, Any]]:
    for key in list(x):
        if type(key) not in _LEAVES:
            yield Place(CALL, x.__contains__, key, True), key


def _by_copies(x: Any) -> Iterator[tuple[Way, Any]]:
    """The items of what cannot be asked for one of them by C: all are compared."""
    items = _listed(x)

    def same(_: Any) -> bool:
        now = _listed(x)
        return len(now) == len(items) and all(map(_is, now, items))

    place = Place(CALL, same, None, True)
    yield from ((place, item) for item in items)


def _is_of_objects(x: Any) -> bool:
    return type(x).__module__ == "numpy" and getattr(x, "dtype", "") == "O"


def _listed(x: Any) -> list[Any]:
    if isinstance(x, MappingProxyType):
        return list(x.values())
    return list(x.ravel().tolist() if hasattr(x, "ravel") else x)


def _is(x: Any, y: Any) -> bool:
    return x is y


def _attributes(x: Any) -> Iterator[tuple[Way, Any]]:
    """What an object has of its own, in its dict or in slots, or from its class."""
    own = getattr(x, "__dict__", None)
    for name in [*(own if isinstance(own, dict) else ()), *_of_class(_type(x))]:
        try:
            member = getattr(x, name)
        except Exception:  # a slot that is empty, or whatever a property raises
            continue
        if own is None or name not in own or member is own[name]:
            yield Place(ATTRIBUTE, x, name, member), member
        else:  # a property of that name comes first
            yield Place(ENTRY, own, name, own[name]), own[name]


def _type(x: Any) -> Any:
    return type(x)


@functools.lru_cache(maxsize=256)
def _of_class(kind: Any) -> tuple[str, ...]:
    """The slots of its instances, and what it has itself that is no function."""
    if _is_foreign(kind) and not kind.__module__.startswith("nn"):
        return ()
    members = [item for each in kind.__mro__[:-1] for item in vars(each).items()]
    return tuple([
        name
        for name, member in members
        if isinstance(member, MemberDescriptorType)
        or not (name.startswith("__") or type(member) in _LEAVES or _binds(member))
    ])  # fmt: skip


def _binds(member: Any) -> bool:
    return hasattr(type(member), "__get__")
