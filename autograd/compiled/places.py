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
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, ValuesView
from contextvars import ContextVar
from operator import attrgetter
from types import (
    BuiltinFunctionType,
    BuiltinMethodType,
    CodeType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any, Final, NamedTuple

from ..primitives import Primitive
from ..value import Value, is_left_over
from . import calls

ITEM, ENTRY, CELL, ATTRIBUTE, SIZE, KEYS, CALL = range(7)  # as `_call.c` numbers them
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
    lambda holder, _: len(holder), lambda holder, _: tuple(holder),
    lambda call, key: call(key),
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
    if place.kind == KEYS:
        return _same(now, place.held)
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


def settle(places: Places) -> bool:
    """Whether a run of f has left them as they were, less what it keeps of itself."""
    if places.changed() >= 0:
        places.set([p for p in places.all if _holds(p) or not _is_own(p)])
    return places.changed() < 0


def _is_own(place: Place) -> bool:
    """Whether what was blank now holds no Value but those of a run that is over."""
    if place.held is None:
        items = _held_at(place)
    elif place.kind == SIZE and place.held == 0:
        items = _listed(place.holder)
    else:
        return False
    return not Search(items).finds_a_value()


def _held_at(place: Place) -> list[Any]:
    try:
        return [found_at(place)]
    except LookupError:
        return []


def swaps(places: Places) -> bool:
    """Whether another Value, or what leads to one, has been put somewhere."""
    return any(
        place.kind not in (SIZE, KEYS) and place.held is not None
        for place in places.all
        if not _holds(place)
    )


def of_numbers(rows: Iterable[Primitive]) -> list[Place]:
    """What users' rows are made of: numbers, rows and functions, where they have them.

    In what was compiled they are constants.
    """
    todo = [f for row in rows for f in _functions(row)]
    found: dict[FunctionType, list[Place]] = {}
    for f in todo:  # which grows meanwhile
        if not isinstance(f, FunctionType) or f in found or _is_foreign(f):
            continue
        ways = [*_parts(f)]
        found[f] = [way for way, _ in ways]
        for x in (*[x for _, x in ways], *(f.__defaults__ or ())):
            todo += _functions(x) if isinstance(x, Primitive) else [x]
    return [way for ways in found.values() for way in ways]


def _parts(f: FunctionType) -> Iterator[tuple[Place, Any]]:
    """The numbers, rows and functions that f has, itself or by name in a module."""
    for name in ("__code__", "__defaults__", "__kwdefaults__"):
        yield Place(ATTRIBUTE, f, name, getattr(f, name)), None
    names, modules = set(_names(f.__code__)), set[ModuleType]()
    ways = [*_variables(f), *_entries(f.__kwdefaults__ or {}, f.__kwdefaults__ or ())]
    for way, x in ways:  # which grows meanwhile
        if isinstance(x, ModuleType) and x not in modules:
            modules.add(x)
            ways += _entries(vars(x), names)
        if isinstance(x, (*_PARTS, ModuleType)):
            yield way, x


_PARTS: Final = (int, float, FunctionType, BuiltinFunctionType, Primitive)


def _functions(row: Primitive) -> list[Any]:
    """The value and the rules of a user's row."""
    return [] if is_of_table(row) else [row.formula, row.ieee, *row.rules]


def is_of_table(row: Primitive) -> bool:
    return row.__module__ == Primitive.__module__


# ---- the search ----------------------------------------------------------------------

Way = Place | None
HIDDEN: Final = Place(-1, None, None, None)


class Search:
    """All that can be reached from the roots, and by which ways, as it is by now.

    blank   places that hold None, and containers that hold nothing: a Value may come
    """

    def __init__(self, roots: Sequence[Any], into_graphs: bool = False) -> None:
        self._roots = roots
        self._into_graphs = into_graphs
        self._names: set[str] = set()  # that some code uses
        self._modules: list[tuple[ModuleType, set[str]]] = []  # and what was looked at
        self._there: dict[int, Any] = {}  # by id, so that nothing is met twice
        self._ways_to: dict[int, list[tuple[int, Way]]] = {}  # by id: from whom, how
        self._blank: dict[int, list[Place]] = {}  # by the id of who has them
        self._shapes: dict[int, Place] = {}  # of containers, by id
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
            if child is None and way is not None:
                self._blank.setdefault(id(x), []).append(way)
            if type(child) in _LEAVES:
                continue
            self._ways_to.setdefault(id(child), []).append((id(x), way))
            if way is not None and id(way.holder) not in self._shapes:
                self._shapes.update(_shape(way))
            if type(child) in _GROWING and not child:
                empty = Place(SIZE, child, None, 0)
                self._blank.setdefault(id(x), []).append(empty)
            if id(child) not in self._there:
                self._todo.append(child)

    def _inside(self, x: Any) -> Iterable[tuple[Way, Any]]:
        if type(x) is Value:
            known = self._into_graphs and not is_left_over(x)
            return ((None, arg) for arg in x.args) if known else ()
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
            if getattr(f, name) is not None:
                yield Place(ATTRIBUTE, f, name, getattr(f, name)), getattr(f, name)
        yield from _attributes(f)
        if not _is_foreign(f):
            names = set(_names(f.__code__))
            self._names |= names
            for name in names - f.__globals__.keys() & sys.modules.keys():
                yield None, sys.modules[name]

    # ---- what was found --------------------------------------------------------------

    def found(self, wanted: Sequence[Value]) -> tuple[list[Place], list[Value]]:
        """The places of these Values, and those of them that have none."""
        lost = self._lost(wanted)
        if not lost or self._into_graphs:
            return self._places(wanted), lost
        return Search(self._roots, into_graphs=True).found(wanted)

    def reaches(self, wanted: Sequence[Value]) -> bool:
        """Whether a way leads to one of these Values."""
        return any(id(x) in self._ways_to for x in wanted)

    def finds_a_value(self) -> bool:
        """Whether there is any Value but results of a run that is over."""
        there = self._there.values()
        return any(type(x) is Value and not is_left_over(x) for x in there)

    def _lost(self, wanted: Sequence[Value]) -> list[Value]:
        """Those of the Values that no way leads to, or one that is hidden."""
        together = {id(x) for x in wanted} - self._ways_to.keys()
        if not together and all(way is not HIDDEN for way in self._ways(wanted)[0]):
            return []
        return [
            x
            for x in wanted
            if id(x) in together or any(way is HIDDEN for way in self._ways([x])[0])
        ]

    def _places(self, wanted: Sequence[Value]) -> list[Place]:
        """Every place on a way to one of the Values, and what containers there have."""
        passed, holders = self._ways(wanted)
        ways = {id(way): way for way in passed}
        found = [way for way in ways.values() if way and way is not HIDDEN]
        if self._into_graphs:  # another Value there has other operands as well
            found = [
                _as_a_whole(way) if type(way.held) is Value else way for way in found
            ]
        shapes = {
            id(way.holder): self._shapes[id(way.holder)]
            for way in found
            if id(way.holder) in self._shapes
        }
        first = {id(getattr(root, "__self__", root)) for root in self._roots}
        blank = [way for x in holders | first for way in self._blank.get(x, ())]
        # shapes first, so that an index is there when it is looked at
        return [*shapes.values(), *found, *blank]

    def _ways(self, wanted: Sequence[Value]) -> tuple[list[Way], set[int]]:
        """Every way that leads to one of the Values in the end, and from whom."""
        todo = deque(map(id, wanted))
        seen, ways = set(todo), []
        while todo:
            for holder, way in self._ways_to.get(todo.popleft(), ()):
                ways.append(way)
                if holder not in seen:
                    seen.add(holder)
                    todo.append(holder)
        return ways, seen


def _shape(way: Place) -> Iterator[tuple[int, Place]]:
    """How long the list is that a way leads out of, or which keys a dict has, in order.

    An object has a dict, too, if its attributes are looked up there.
    """
    x = way.holder
    if way.kind == ATTRIBUTE:
        own = getattr(x, "__dict__", None)
        if isinstance(x, (type, FunctionType, ModuleType)) or type(own) is not dict:
            return
        yield id(x), Place(KEYS, own, None, tuple(own))
    elif way.kind == ITEM:
        yield id(x), Place(SIZE, x, None, len(x))
    elif way.kind == ENTRY and isinstance(x, OrderedDict):  # it keeps its own order
        keys = tuple(x)
        yield id(x), Place(CALL, lambda _: _same(tuple(x), keys), None, True)
    elif way.kind == ENTRY and not _is_namespace(x):
        yield id(x), Place(KEYS, x, None, tuple(x))


def _same(xs: Sequence[Any], ys: Sequence[Any]) -> bool:
    return len(xs) == len(ys) and all(map(_is, xs, ys))


def _as_a_whole(place: Place) -> Place:
    """The same place, where no other Value can stand in for the one that is there."""
    return Place(CALL, lambda _: _holds(place), None, True)


_LEAVES: Final = frozenset(
    (str, bytes, int, float, complex, bool, type(None), type(...))
)
_GROWING: Final = frozenset((list, dict, set, deque, OrderedDict, defaultdict))
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
    yield from ((None, base) for base in (*kind.__bases__, type(kind)))
    for name, member in list(vars(kind).items()):
        if isinstance(member, (staticmethod, classmethod)):
            yield None, member.__func__
        elif isinstance(member, (property, functools.cached_property)):
            for each in ("fget", "fset", "func"):
                yield None, getattr(member, each, None)
        elif not _binds(member) or isinstance(member, FunctionType):
            yield Place(ATTRIBUTE, kind, name, member), member
        elif not _is_foreign(type(member)):  # a descriptor, which asking would bind
            yield Place(CALL, vars(kind).get, name, member), member


def _in_object(x: Any) -> Iterable[tuple[Way, Any]]:
    """What an object that is neither function, module nor class holds."""
    if type(x).__module__.startswith("autograd.compiled"):  # jit and vmap
        inner = getattr(x, "f", None), getattr(x, "lane", None)
        return ((None, each) for each in inner)
    if isinstance(x, Primitive):
        return ()
    return (*_contents_of(x), *_attributes(x), (None, type(x)))


def _contents_of(x: Any) -> Iterable[tuple[Way, Any]]:
    if _is_data(x):
        return ()
    if isinstance(x, (tuple, frozenset)):
        return [(None, item) for item in list(x)]
    if isinstance(x, list):
        return [(Place(ITEM, x, i, item), item) for i, item in enumerate(list(x))]
    if isinstance(x, dict):
        return [*_keys(x), *(() if _is_data(x.values()) else _entries(x, list(x)))]
    if isinstance(x, MethodType):
        return (None, x.__self__), (None, x.__func__)
    if isinstance(x, ContextVar):
        return ((Place(CALL, x.get, None, x.get(None)), x.get(None)),)
    if isinstance(x, (BuiltinMethodType, MethodWrapperType)):
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


def _is_data(x: Any) -> bool:
    """Whether a container, which may be long, holds plain things alone."""
    if not isinstance(x, (list, tuple, frozenset, ValuesView)):
        return False
    return _LEAVES.issuperset(map(type, x)) and None not in x


def _keys(x: dict[Any, Any]) -> Iterator[tuple[Way, Any]]:
    for key in list(x):
        if type(key) not in _LEAVES:
            yield Place(CALL, x.__contains__, key, True), key


def _by_copies(x: Any) -> Iterator[tuple[Way, Any]]:
    """The items of what cannot be asked for one of them by C: all are compared."""
    items = _listed(x)

    def same(_: Any) -> bool:
        return _same(_listed(x), items)

    place = Place(CALL, same, None, True)
    yield from ((place, item) for item in items)


def _is_of_objects(x: Any) -> bool:
    return type(x).__module__ == "numpy" and getattr(x, "dtype", "") == "O"


def _listed(x: Any) -> list[Any]:
    if isinstance(x, (dict, MappingProxyType)):
        return list(x.values())
    return list(x.ravel().tolist() if hasattr(x, "ravel") else x)


def _is(x: Any, y: Any) -> bool:
    return x is y


def _attributes(x: Any) -> Iterator[tuple[Way, Any]]:
    """What an object has of its own, in its dict or in slots, or from its class."""
    own = getattr(x, "__dict__", None)
    own = own if isinstance(own, dict) else None
    for name in [*(own or ()), *_of_class(_type(x))]:
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
