"""Nested containers taken apart into numbers and a form, which other numbers can fill.

Lists, tuples, dicts, dataclasses, NumPy arrays and what `register_tree` was told of
hold numbers. Each comes back as its own class, subclasses too, made from its items: no
`__init__` or `__new__` runs again on what it has made of its arguments before. str,
bool, None and members of an Enum are no numbers: they belong to the form.

    form      hashable, and equal for trees that differ in their numbers alone
    parts     of a container: its items, their names, and whatever else it takes to make
              another (rest): hashable, too
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from functools import cache, cached_property
from itertools import islice
from math import prod
from numbers import Number
from types import MappingProxyType, NoneType, SimpleNamespace
from typing import Any, Final, Literal, NamedTuple
from weakref import WeakKeyDictionary

from .absent import may_be_absent
from .primitives import brief, clean, number
from .value import Value

Tree = Any  # a number, an array, or nested lists, tuples, dicts … of them
Form = Any  # NUMBER, or one of the following
NUMBER: Final = "number"
Statics = Literal["all", "named", "no truths"]  # what belongs to a form: see `flatten`
MOST_DEEP: Final = 250  # containers in one another
HEAP_TYPE: Final = 1 << 9  # the flag of a class made by a `class` statement


class Static(NamedTuple):
    """What is no number; `kind` tells apart what is equal, as 1 == True."""

    kind: Any
    item: Any


class Container(NamedTuple):
    """A container of forms; its names are keys of a dict or fields of a dataclass."""

    kind: type
    names: tuple[Any, ...] | None
    rest: Static | None
    forms: tuple[Form, ...]


class Array(NamedTuple):
    """An array of numbers."""

    shape: tuple[int, ...]


class Objects(NamedTuple):
    """An array of objects that are not all numbers."""

    shape: tuple[int, ...]
    forms: tuple[Form, ...]


Parts = tuple[Sequence[Any], tuple[Any, ...] | None, Static | None]


def static(item: Any) -> Static:
    """A form for what is the same at each call, told apart from all that equals it.

    >>> static(1) == static(True), static(0.0) == static(-0.0), static(2) == static(2)
    (False, False, True)
    """
    return Static(_exactly(item), item)


def _exactly(x: Any) -> Any:
    kind = type(x)
    if kind is bool or kind is int or kind is str:
        return kind
    if isinstance(x, tuple):
        return kind, tuple(map(_exactly, x))
    if isinstance(x, frozenset):
        return kind, frozenset([(_exactly(item), item) for item in x])
    return (kind, repr(x)) if isinstance(x, Number) else kind


# ---- containers ----------------------------------------------------------------------

_registered: dict[type, tuple[Callable[..., Any], Callable[..., Any]]] = {
    deque: (lambda x: (x, x.maxlen), lambda most, items: deque(items, most)),
}
_fields: Final[WeakKeyDictionary[type, tuple[str, ...]]] = WeakKeyDictionary()
_LEAVES: Final = frozenset((int, bool, str, NoneType, Static))
_TEXT: Final = frozenset((str,))
_FLOAT: Final = frozenset((float,))
_PLAIN: Final = frozenset((float, Value))
_SEQUENCES: Final = frozenset((list, tuple))
_BASES: Final[tuple[Any, ...]] = (tuple, list, OrderedDict, defaultdict, dict)


def register_tree(
    kind: type,
    flatten: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten: Callable[[Any, list[Any]], Any],
) -> None:
    """Have containers of a class of your own taken apart, by every transform and jit.

    flatten(x) gives (items, rest): what holds numbers, and, hashable, what else it
    takes to make another; unflatten(rest, items) makes it.

    >>> from autograd import grad
    >>> class Interval:
    ...     def __init__(self, low, high):
    ...         self.low, self.high = low, high
    >>> register_tree(Interval, lambda x: ((x.low, x.high), None),
    ...               lambda rest, items: Interval(*items))
    >>> slope = grad(lambda x: x.high ** 2 - x.low)(Interval(1.0, 3.0))
    >>> slope.low, slope.high
    (-1.0, 6.0)

    The items need not be numbers while f is looked at, so that unflatten should not
    check them. A subclass has to be registered itself.
    """
    own = isinstance(kind, type) and kind.__module__ not in ("builtins", "numpy")
    if not own or kind in (*_registered, *_BASES, SimpleNamespace, Value):
        raise ValueError(
            "register_tree: kind must be a class of your own, not registered yet, but "
            f"is {brief(kind)}; register a subclass of it"
        )
    if not callable(flatten) or not callable(unflatten):
        raise TypeError(
            "register_tree: flatten and unflatten must be functions, but are "
            f"{brief(flatten)} and {brief(unflatten)}; see help(register_tree)"
        )
    _registered[kind] = flatten, unflatten


def parts(tree: Tree, what: str = "ravel: the tree") -> Parts | None:
    """What a container is made of; None if tree is none."""
    kind = type(tree)
    if kind is list or kind is tuple:
        return tree, None, None
    if kind is dict:
        names = tuple(tree)
        rest = None if _texts(names) else _rest(tree, names, what)
        return [*tree.values()], names, rest
    if kind in _registered:
        return _registered_parts(tree, what)
    if kind is MappingProxyType:
        return parts(dict(tree), what)
    if kind is SimpleNamespace:
        return parts(vars(tree), what)
    base = _base(kind)
    if base is tuple or base is list:
        return [*base.__iter__(tree)], None, _rest(tree, None, what)
    if base is not object:
        names = tuple(base.__iter__(tree))
        items = [dict.__getitem__(tree, name) for name in names]
        return items, names, _rest(tree, names, what)
    if hasattr(kind, "__dataclass_fields__"):
        return _field_parts(tree, what)
    return None


def _base(kind: type) -> Any:
    """The class in C that holds the items of this one."""
    for base in kind.__mro__:
        if base in _BASES:
            return base
    return object


def _texts(names: Sequence[Any]) -> bool:
    return _TEXT.issuperset(map(type, names))


def _registered_parts(tree: Tree, what: str) -> Parts:
    items, rest = _registered[type(tree)][0](tree)
    _require_hashable(rest, type(tree), what)
    return [*items], None, static(rest)


def _field_parts(tree: Tree, what: str) -> Parts | None:
    if isinstance(tree, type):
        return None
    names = _field_names(type(tree))
    names = tuple([name for name in names if hasattr(tree, name)])
    items = [getattr(tree, name) for name in names]
    return items, names, _rest(tree, names, what, fields=names)


def _field_names(kind: type) -> tuple[str, ...]:
    if kind not in _fields:
        from dataclasses import fields  # whoever has one has loaded it

        _fields[kind] = tuple([each.name for each in fields(kind)])
    return _fields[kind]


def _rest(
    tree: Tree, names: Any, what: str, fields: Sequence[str] = ()
) -> Static | None:
    """What a container has besides its items: its attributes, if they are no numbers.

    What a cached_property keeps is left out: it is to be computed of the new items.
    """
    kind, state = type(tree), object.__getstate__(tree)
    found = ["default_factory"] if isinstance(tree, defaultdict) else []
    for each in state if isinstance(state, tuple) else (state,):
        found += each or ()
    attributes = []
    for name in found:
        if name in fields or isinstance(getattr(kind, name, None), cached_property):
            continue
        item = object.__getattribute__(tree, name)
        if name != "default_factory" and not is_static(item):
            raise TypeError(
                f"{what} must hold its numbers as its items, but the {kind.__name__} "
                f"has an attribute {brief(name)} besides; "
                f"register_tree({kind.__name__}, …) says what is to become of it"
            )
        attributes.append((name, item))
    exact = names if names is None or not _texts(names) else None
    return static((exact, tuple(attributes))) if exact or attributes else None


def _require_hashable(rest: Any, kind: type, what: str) -> None:
    try:
        hash(rest)
    except TypeError:
        raise TypeError(
            f"{what} must have a hashable rest, but flatten of the {kind.__name__} "
            f"gives {type(rest).__name__}; make it a tuple, or hand it out as an item"
        ) from None


def build(kind: type, names: Any, rest: Any, items: list[Any]) -> Any:
    """A container of that kind, with names and rest of another, of these items."""
    if kind is list:
        return items
    if kind is tuple:
        return tuple(items)
    if kind is dict:
        return dict(zip(names, items))
    if kind in _registered:
        return _registered[kind][1](rest.item, items)
    if kind is MappingProxyType:
        return MappingProxyType(dict(zip(names, items)))
    if kind is SimpleNamespace:
        return SimpleNamespace(**dict(zip(names, items)))
    base = _base(kind)
    if base is tuple:
        made: Any = tuple.__new__(kind, items)
    else:
        made = base.__new__(kind)
        _put(made, base, names, items)
    for name, item in rest.item[1] if rest else ():
        object.__setattr__(made, name, item)
    return made


def _put(made: Any, base: Any, names: Any, items: list[Any]) -> None:
    if base is list:
        list.extend(made, items)
        return
    put = object.__setattr__ if base is object else base.__setitem__
    for name, item in zip(names, items):
        put(made, name, item)


def rebuilt(tree: Tree, items: list[Any]) -> Any:
    """A container like that one, of other items."""
    found = parts(tree)
    assert found is not None
    return build(type(tree), *found[1:], items)


def has_names(kind: type, names: Any) -> bool:
    """Whether each item of a container has a name: a key or a field."""
    return names is not None or hasattr(kind, "_fields")


def items_of(tree: Tree) -> Sequence[Any]:
    """The items of a container."""
    found = parts(tree)
    assert found is not None
    return found[0]


def is_array(x: Any) -> bool:
    """Whether x is a NumPy array with at least one axis."""
    return type(x).__module__ == "numpy" and getattr(x, "ndim", 0) > 0


# ---- taken apart ---------------------------------------------------------------------


def flatten(
    tree: Tree, what: str = "jit: an argument", static: Statics = "all"
) -> tuple[list[Any], Form]:
    """The numbers and Values in a tree, and its form.

    >>> flatten({"w": [1.0, 2], "mode": "fast"})[0]
    [1.0, 2.0]

    static   "all": whatever is no number is static; "named": None is, and the others
             under a name of their own (a key, a field), as settings are: elsewhere a
             bool is a number, and a str none; "no truths": likewise, but bools never
    Raises TypeError for what is neither a number nor a container nor static, and
    ValueError for containers nested more than 250 deep.
    """
    numbers: list[Any] = []
    return numbers, _form(tree, numbers, what, static, False, 0)


def _form(
    tree: Tree, numbers: list[Any], what: str, static: Statics, named: bool, depth: int
) -> Form:
    kind = type(tree)
    if kind is float or kind is Value:
        numbers.append(tree)
        return NUMBER
    if kind is list or kind is tuple:
        forms = _forms(tree, numbers, what, static, False, depth)
        return Container(kind, None, None, forms)
    found = parts(tree, what) if kind not in _LEAVES else None
    if found is not None:
        items, names, rest = found
        named = has_names(kind, names) or kind in _registered
        forms = _forms(items, numbers, what, static, named, depth)
        return Container(kind, names, rest, forms)
    if kind is Static:
        return tree
    if is_static(tree) and _stays(tree, static, named):
        return Static(kind, tree)
    if is_array(tree):
        return _array_form(tree, numbers, what, static, depth)
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":  # it has no axes
        return _form(tree[()], numbers, what, static, named, depth)
    numbers.append(_number(tree, what))
    return NUMBER


def _forms(
    items: Sequence[Any],
    numbers: list[Any],
    what: str,
    static: Statics,
    named: bool,
    depth: int,
) -> tuple[Form, ...]:
    kinds = set(map(type, items))
    if kinds <= _PLAIN:
        numbers += items
        return (NUMBER,) * len(items)
    if all(map(_is_number, kinds)):
        numbers += _as_numbers(items, kinds, what)
        return (NUMBER,) * len(items)
    if depth >= MOST_DEEP:
        raise ValueError(
            f"{what} must be nested at most {MOST_DEEP} deep, but is deeper, or holds "
            "itself; put its numbers side by side, in one list or array"
        )
    deeper = depth + 1
    return tuple([_form(x, numbers, what, static, named, deeper) for x in items])


def _as_numbers(items: Sequence[Any], kinds: set[type], what: str) -> Iterable[Any]:
    if Value not in kinds:
        with suppress(OverflowError):
            return list(map(float, items))
    return [x if type(x) in _PLAIN else _number(x, what) for x in items]


def _is_number(kind: type) -> bool:
    """Whether all of a type are numbers, of Python or of NumPy."""
    if kind in _PLAIN or kind is int:
        return True
    return kind.__module__ == "numpy" and _is_number_of_numpy(kind)


@cache
def _is_number_of_numpy(kind: type) -> bool:
    import numpy as np

    return issubclass(kind, np.number) and np.dtype(kind).kind in "fiu"


def _stays(x: Any, static: Statics, named: bool) -> bool:
    """Whether what is no number belongs to the form here."""
    if static == "no truths" and _is_truth(x):
        return False
    return x is None or named or static == "all"


def is_static(x: Any) -> bool:
    """Whether x is a str, a truth, None or a member of an Enum: it is no number."""
    return isinstance(x, (str, bool, NoneType, Enum)) or _is_truth(x)


def _is_truth(x: Any) -> bool:
    kind = type(x)
    return kind is bool or kind.__module__ == "numpy" and kind.__name__ == "bool"


def _array_form(
    array: Any, numbers: list[Any], what: str, static: Statics, depth: int
) -> Form:
    """The form of an array; truths in it are the numbers 0.0 and 1.0."""
    import numpy as np

    kind = array.dtype.kind
    if type(array) not in (np.ndarray, np.memmap) or kind not in "fiubO":
        raise TypeError(
            f"{what} must be a plain array of numbers, but is a "
            f"{type(array).__name__} of {array.dtype}; np.asarray(x, float) may be one"
        )
    if kind != "O":
        numbers += array.astype(np.float64).ravel().tolist()
        return Array(array.shape)
    items = array.ravel().tolist()
    forms = _forms(items, numbers, what, static, False, depth)
    whole = forms.count(NUMBER) == len(forms)
    return Array(array.shape) if whole else Objects(array.shape, forms)


def _number(x: Any, what: str) -> Any:
    if may_be_absent(x):
        return x
    operation, _, argument = what.partition(": ")
    try:
        return number(x, operation, argument)
    except TypeError:
        kind = type(x)
        compiled = operation in ("jit", "vmap")
        own = kind.__flags__ & HEAP_TYPE and not hasattr(kind, "__float__")
        if not own and not compiled:
            raise
        register = f"register_tree({kind.__name__}, …) if it holds numbers, "
        position = "name its position in static_argnums, "
        raise TypeError(
            f"{what} must be a number, a str, None or nested containers of them, but "
            f"is {kind.__name__}; {register * bool(own)}{position * compiled}or let "
            "the function close over it"
        ) from None


def values_in(tree: Tree, what: str) -> Iterator[Value]:
    """Every Value in nested containers, whatever else they hold."""
    if type(tree) is Value:
        yield tree
        return
    found = parts(tree, what) if type(tree) is not float else None
    if found is not None and _PLAIN.issuperset(map(type, found[0])):
        yield from [item for item in found[0] if type(item) is Value]
    elif found is not None:
        for item in found[0]:
            yield from values_in(item, what)
    elif type(tree).__module__ == "numpy" and hasattr(tree, "ravel"):
        yield from values_in(tree.ravel().tolist(), what)


def alike(what: str, model: str, form: Form, tree: Tree) -> list[Any]:
    """The numbers of a tree in the order of a form; ValueError unless they match."""
    flat: list[Any] = []
    todo = [(form, tree)]
    while todo:
        expected, given = todo.pop()
        if type(given) in _PLAIN and expected == NUMBER:
            flat.append(given)
            continue
        if _is_plain(expected, given):
            flat += given
            continue
        pairs = _pairs(expected, given)
        if pairs is None and not _fits(expected, given):
            raise ValueError(
                f"{what} must have the structure of {model}, but has another: "
                f"{_kind(given)} in place of {described(expected)}; give one number "
                "for each of its numbers, in the same containers"
            )
        if expected == NUMBER:
            flat += flatten(given, what, "named")[0]
        todo.extend(reversed(pairs or []))
    return flat


def _is_plain(expected: Form, given: Tree) -> bool:
    """Whether it is a list of numbers in place of one, with nothing to be matched."""
    kinds = (getattr(expected, "kind", None), type(given))
    if not _SEQUENCES.issuperset(kinds) or len(expected.forms) != len(given):
        return False
    whole = expected.forms.count(NUMBER) == len(given)
    return whole and _PLAIN.issuperset(map(type, given))


def _fits(expected: Form, given: Tree) -> bool:
    """Whether there is a number for a number, or what is no number again."""
    if expected == NUMBER:
        return parts(given) is None and not is_array(given)
    return isinstance(expected, Static) and expected == flatten(given)[1]


def _pairs(expected: Form, given: Tree) -> list[tuple[Form, Any]] | None:
    """The forms in a container, each with what is given for it; None unless alike."""
    if isinstance(expected, (Array, Objects)):
        inside = _nested(given, expected.shape)
        forms = getattr(expected, "forms", (NUMBER,) * prod(expected.shape))
        return None if inside is None else list(zip(forms, inside))
    if is_array(given) and getattr(expected, "kind", None) is list:
        given = list(given)
    found = parts(given) if isinstance(expected, Container) else None
    if found is None or len(found[0]) != len(expected.forms):
        return None
    items, names, rest = found
    if expected.names is not None and names is not None:
        by_name = dict(zip(names, items))
        if by_name.keys() != set(expected.names):
            return None
        return [(f, by_name[name]) for f, name in zip(expected.forms, expected.names)]
    sequences = all(issubclass(k, (list, tuple)) for k in (expected.kind, type(given)))
    same = expected.kind is type(given) and expected.rest == rest
    return list(zip(expected.forms, items)) if sequences or same else None


def _nested(given: Tree, shape: tuple[int, ...]) -> list[Any] | None:
    """The items of an array of that shape, or of lists of lists as long; else None."""
    if is_array(given):
        flat: list[Any] = given.ravel().tolist()
        return flat if given.shape == shape else None
    if not shape:
        return [given]
    if not isinstance(given, (list, tuple)) or len(given) != shape[0]:
        return None
    rows = [_nested(row, shape[1:]) for row in given]
    return None if None in rows else [x for row in rows for x in row or ()]


def _kind(x: Any) -> str:
    found = parts(x)
    if found is None:
        return f"an array of shape {x.shape}" if is_array(x) else "a number"
    items, names, _ = found
    if names is None:
        return f"a {type(x).__name__} of {len(items)}"
    said = clean(", ".join(map(brief, names)), 200)
    return f"a {type(x).__name__} of {said or 'nothing'}"


def described(form: Form) -> str:
    """A form in a line.

    >>> described(flatten(([1.0, 2.0, 3.0], {"w": (4.0, None)}))[1])
    "([x] * 3, {'w': (x, None)})"
    """
    if form == NUMBER:
        return "x"
    if isinstance(form, Static):
        return brief(form.item)
    if not isinstance(form, Container):
        return f"array of {form.shape}"
    texts = list(map(described, form.forms))
    if form.kind is list:
        alike = len(texts) > 1 and len(set(texts)) == 1
        return f"[{texts[0]}] * {len(texts)}" if alike else f"[{', '.join(texts)}]"
    name = form.kind.__name__ if form.kind not in (tuple, dict) else ""
    if form.names is not None:
        entries = [f"{brief(k)}: {text}" for k, text in zip(form.names, texts)]
        return f"{name}{{{', '.join(entries)}}}"
    return f"{name}({', '.join(texts)}{',' if len(texts) == 1 else ''})"


# ---- put together --------------------------------------------------------------------


def fill(form: Form, numbers: Iterable[Any]) -> Any:
    """The tree of that form with these numbers.

    >>> numbers, form = flatten({"w": [1.0, 2.0], "mode": "fast"})
    >>> fill(form, [3.0, 4.0])
    {'w': [3.0, 4.0], 'mode': 'fast'}
    """
    return _filled(form, iter(numbers))


def _filled(form: Form, numbers: Iterator[Any]) -> Any:
    if form == NUMBER:
        return next(numbers)
    if isinstance(form, Container):
        kind, names, rest, forms = form
        return build(kind, names, rest, _items(forms, numbers))
    if isinstance(form, Objects):
        return _object_array(_items(form.forms, numbers), form.shape)
    if isinstance(form, Array):
        return array_of(list(islice(numbers, prod(form.shape))), form.shape)
    return form.item


def _items(forms: Sequence[Form], numbers: Iterator[Any]) -> list[Any]:
    if forms.count(NUMBER) == len(forms):
        return list(islice(numbers, len(forms)))
    return [_filled(form, numbers) for form in forms]


def size(form: Form) -> int:
    """How many numbers fill a form."""
    if form == NUMBER:
        return 1
    if isinstance(form, Array):
        return prod(form.shape)
    return sum(map(size, getattr(form, "forms", ())))


def replaced(form: Form, forms: Iterator[Form]) -> Form:
    """The form with others in the place of its numbers."""
    if form == NUMBER:
        return next(forms)
    if not isinstance(form, Container):
        return form
    return form._replace(forms=tuple([replaced(each, forms) for each in form.forms]))


def outline(form: Form) -> Any:
    """What a form has in common with another that can take its place.

    Numbers stand for what is no number, and lists for tuples; names have no order.
    """
    if isinstance(form, Container):
        inside = list(map(outline, form.forms))
        if form.names is not None:
            return frozenset(zip(form.names, inside))
        kind = list if _base(form.kind) is tuple else form.kind
        return kind, tuple(inside)
    return form.shape if hasattr(form, "shape") else NUMBER


def array_of(items: list[Any], shape: tuple[int, ...]) -> Any:
    """An array of that shape: float64 where all items are numbers or such arrays.

    Items that are containers give a container of arrays.
    """
    import numpy as np

    first: Any = items[0] if items else None
    found = parts(first)
    if found is not None:
        columns = zip(*[items_of(item) for item in items])
        return rebuilt(first, [array_of(list(column), shape) for column in columns])
    if is_array(first):
        return np.stack(items).reshape(shape + first.shape)
    if _FLOAT.issuperset(map(type, items)):
        return np.array(items, dtype=np.float64).reshape(shape)
    return _object_array(items, shape) if not is_static(first) else first


def _object_array(items: list[Any], shape: tuple[int, ...]) -> Any:
    import numpy as np

    out = np.empty(len(items), dtype=object)
    out[:] = items
    return out.reshape(shape)
