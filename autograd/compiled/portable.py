"""The function of a compiled one in a pickle: by value, by name, or not at all.

Python's pickle takes a function by name, and refuses one that is found nowhere, such as
a lambda; cloudpickle takes that one by value. Neither says which of them is at work, so
what cannot be imported comes behind a `Mark` that only cloudpickle gets to see.
"""

from __future__ import annotations

import copyreg
import pickle
from importlib import import_module
from operator import attrgetter
from types import NoneType
from typing import Any, NamedTuple


def portable(compiled: Any) -> Any:
    """What goes into a pickle for f: its name where it can be imported, else f itself.

    Where pickle refuses that: [what tells whether f goes by value, f or its name].

    >>> from autograd import exp, jit
    >>> portable(jit(exp))
    Name(module='autograd.primitives', qualname='exp')
    """
    name = Name(compiled.__module__, compiled.__qualname__)
    known = name if name.found(type(compiled)) is compiled.f else None
    if known and name.module != "__main__":
        return known
    if not known:
        try:
            pickle.dumps(compiled.f)
        except Exception:  # whatever its parts raise, it cannot travel so
            pass
        else:
            return compiled.f
    travels = Travels(compiled.f, known)
    return [Asking("asking", (), {"mark": Mark(travels)}), travels]


def restored(f: Any, kind: type) -> Any:
    """The function again, from what `portable` gave; None where it is not to be had."""
    if isinstance(f, list):
        f = f[1]
    return f.found(kind) if isinstance(f, Name) else f


class Asking(type):
    """Of a class of this kind, a pickler takes what it holds if it goes by value.

    So do cloudpickle and those that build on it, with functions as with classes, and
    ask nobody. For others `copyreg` says that nothing is to be taken.
    """


class Mark:
    """What such a class holds: once it is pickled, the function can be, too."""

    def __init__(self, travels: Travels) -> None:
        self.travels = travels

    def __reduce__(self) -> Any:
        self.travels.by_value = True
        return NoneType, ()


class Travels:
    """A function for picklers that take it by value, and what stands for it elsewhere.

    Dask goes on with cloudpickle where pickle has named __main__.
    """

    def __init__(self, f: Any, otherwise: Name | None) -> None:
        self.f, self.otherwise, self.by_value = f, otherwise, False

    def __reduce__(self) -> Any:
        return _arrived, (self.f,) if self.by_value else (self.otherwise, "__main__")


def _arrived(f: Any, *_: str) -> Any:
    return f


copyreg.pickle(Asking, lambda _: (NoneType, ()))  # type: ignore[arg-type, return-value]


class Name(NamedTuple):
    """Where a function can be imported from, be it compiled there or not."""

    module: str
    qualname: str

    def found(self, kind: Any) -> Any:
        """It, or what was compiled of it, into one of that kind."""
        try:
            f: Any = attrgetter(self.qualname)(import_module(self.module))
        except (ImportError, AttributeError):
            return None
        return f.f if isinstance(f, kind) else f
