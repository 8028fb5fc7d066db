"""Arguments that are no numbers to f, but say what is compiled: for each, other code.

They are named by position or by name; where f has a signature, one says the other, and
f may be called either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ..primitives import brief
from ..trees import Form, Static, static


class Statics(NamedTuple):
    """Which arguments are static."""

    positions: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def marked(
        self, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, with the static ones marked."""
        by_position, by_name = list(args), kwargs
        for i in self.positions:
            if -len(args) <= i < len(args):
                by_position[i] = _static(args[i])
        if kwargs and not kwargs.keys().isdisjoint(self.names):
            by_name = {
                name: _static(x) if name in self.names else x
                for name, x in kwargs.items()
            }
        return tuple(by_position), by_name


NO_STATICS: Final = Statics()


def statics_of(
    f: Callable[..., Any], static_argnums: Any, static_argnames: Any
) -> Statics:
    """The static arguments of f, as they were given to jit."""
    several = isinstance(static_argnums, (tuple, list))
    positions = static_argnums if several else (static_argnums,)
    names = [static_argnames] if isinstance(static_argnames, str) else static_argnames
    if not all(hasattr(i, "__index__") for i in positions):
        raise TypeError(
            "jit: static_argnums must name arguments by position, but is "
            f"{brief(static_argnums)}; write a whole number from 0, or a tuple of them"
        )
    if not isinstance(names, (tuple, list)) or not all(type(n) is str for n in names):
        raise TypeError(
            "jit: static_argnames must name arguments, but is "
            f"{brief(static_argnames)}; write a str, or a tuple of them"
        )
    if not positions and not names:
        return NO_STATICS
    return _completed(f, [int(i) for i in positions], [*names])


def _completed(f: Any, positions: list[int], names: list[str]) -> Statics:
    """By position and by name, as far as f's signature tells."""
    from inspect import Parameter, signature  # which takes long to load

    try:
        parameters = signature(f).parameters.values()
    except (TypeError, ValueError):  # some functions in C have none
        return Statics(tuple(positions), tuple(names))
    kinds = [p.kind for p in parameters]
    places = [
        p.name
        for p in parameters
        if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    count = len(places)
    if Parameter.VAR_POSITIONAL not in kinds:
        for i in positions:
            if not -count <= i < count:
                raise ValueError(
                    "jit: static_argnums must name arguments by position, of the "
                    f"{count} that f has, but has {brief(i)}; count them from 0"
                )
    known = [p.name for p in parameters]
    if Parameter.VAR_KEYWORD not in kinds:
        for name in names:
            if name not in known:
                raise ValueError(
                    "jit: static_argnames must name arguments of f, which are "
                    f"{', '.join(known)}, but has {name!r}; spell it as f does"
                )
    names += [places[i] for i in positions if -count <= i < count]
    positions += [places.index(name) for name in names if name in places]
    return Statics(tuple(dict.fromkeys(positions)), tuple(dict.fromkeys(names)))


def statics_in(form: Form) -> Iterator[Static]:
    """What is no number in a form."""
    rest = form if isinstance(form, Static) else getattr(form, "rest", None)
    if rest is not None:
        yield rest
    for inner in getattr(form, "forms", ()):
        yield from statics_in(inner)


def _static(x: Any) -> Static:
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            f"jit: a static argument must be hashable, but is {type(x).__name__}; "
            "pass its numbers as an ordinary argument, or close over it"
        ) from None
    return static(x)
