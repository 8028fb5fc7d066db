"""What every model shares: its parameters are found, named, saved and loaded here.

A parameter is a leaf Value that can be reached from a Module through its attributes:
directly, in another Module, or in lists, tuples and dicts of those. Its name is the way
to it, `layers.0.neurons.1.w.0`. Its label, which drawings show and group by, is the
name with the trailing indices attached, `layers.0.neurons.1.w0`: what stands before the
last dot is the neuron, what stands after it the weight.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, Final

from autograd import Value, brief, write_file

FORMAT: Final = "scalar-autograd weights 2"
READ: Final = ("scalar-autograd weights 1", FORMAT)  # the first has no activations
LONGEST_NUMBER: Final = 24  # characters: "-2.2250738585072014e-308"
_TRAILING_INDICES: Final = re.compile(r"\.(\d+(?:\.\d+)*)$")


class Module:
    """A model or a part of one; its parameters are the leaf Values it holds.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Value(2.0), Value(1.0)
    ...     def __call__(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> line(3.0).data
    7.0
    >>> [name for name, _ in line.named_parameters()]
    ['slope', 'offset']

    Computed Values among the attributes are results, not parameters: they are left out.
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.parameters())} parameter(s)>"

    def parameters(self) -> list[Value]:
        """Every parameter once, in the order of the attributes, shared ones too.

        >>> from nn import MLP
        >>> len(MLP(2, [16, 16, 1]).parameters())
        337
        """
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> list[tuple[str, Value]]:
        """(name, parameter) for every parameter; a shared one has its first name.

        >>> from nn import Neuron
        >>> [name for name, _ in Neuron(2).named_parameters()]
        ['w.0', 'w.1', 'b']

        Raises ValueError if two parameters would have one name.
        """
        named: dict[str, Value] = {}
        for name, parameter in _leaves(self):
            if name in named:
                raise ValueError(
                    f"{type(self).__name__}: every parameter must have a name of its "
                    f"own, but {brief(name)} names two; rename a key or an attribute"
                )
            named[name] = parameter
        return list(named.items())

    def label_parameters(self) -> None:
        """Label every parameter by its name, for drawings, messages and explanations.

        The models of nn call it when they are made. A Module of one's own calls it at
        the end of its `__init__`, so that the labels say where in it a parameter is.

        >>> from nn import Layer
        >>> class Net(Module):
        ...     def __init__(self):
        ...         self.first = Layer(2, 2)
        ...         self.label_parameters()
        >>> Net().first.neurons[1].w[0].label
        'first.neurons.1.w0'
        """
        for name, parameter in self.named_parameters():
            parameter.label = _TRAILING_INDICES.sub(_attached, name)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0, since `backward()` adds to it.

        One that no sweep has reached stays as it is, 0 and known to be so.
        """
        for parameter in self.parameters():
            if parameter.reached:
                parameter.grad = 0.0

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters to a JSON file, whole or not at all, without rounding.

        The names of activations go with them: `load` refuses a model with others.

        The shortest decimal that reads back as the same float64 stands for each, so
        that `load` restores every bit. An existing file is replaced in one step, and
        keeps its mode; what is no regular file, a pipe say, is written into.

        Raises ValueError if a parameter is not finite (JSON has no such numbers),
        OSError if the file cannot be written; an existing file then stays as it was.
        """
        numbers = {name: p.data for name, p in self.named_parameters()}
        for name, number in numbers.items():
            if not isfinite(number):
                raise ValueError(
                    f"{type(self).__name__}.save: every parameter must be finite, but "
                    f"{brief(name)} is {number}; go back to weights from before it "
                    "diverged"
                )
        content = {
            "format": FORMAT,
            "activations": _activations(self),
            "parameters": numbers,
        }
        text = json.dumps(content, indent=1)
        write_file(path, (text + "\n").encode(), f"{type(self).__name__}.save")

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read parameters that `save` wrote for a model of the same shape.

        >>> import tempfile
        >>> from nn import MLP
        >>> trained, fresh = MLP(2, [3, 1], seed=1), MLP(2, [3, 1], seed=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trained.save(folder + "/weights.json")
        ...     fresh.load(folder + "/weights.json")
        >>> fresh([0.5, -0.5]).data == trained([0.5, -0.5]).data
        True

        Raises ValueError if the file is truncated, foreign, no regular file, of another
        shape or of other activations, OSError if it cannot be read; the model then
        stays as it was.
        """
        operation = f"{type(self).__name__}.load"
        if not isinstance(path, str | os.PathLike):
            raise TypeError(
                f"{operation}: path must be a str or a Path, but is {brief(path)}; "
                "write the name of a file"
            )
        named, activations = dict(self.named_parameters()), _activations(self)
        most = _most([*named, *activations, *activations.values()])
        saved, others = _read(operation, Path(path), most)
        _require_same_names(operation, named, saved)
        _require_same_activations(operation, activations, others)
        give_all(named.values(), "data", [saved[name] for name in named])


def give_all(values: Iterable[Value], name: str, numbers: Iterable[float]) -> None:
    """Set an attribute of all Values; an interrupt (Ctrl-C) is raised after that."""
    pairs = list(zip(values, numbers))
    try:
        for value, number in pairs:
            setattr(value, name, number)
    except BaseException:
        for value, number in pairs:
            setattr(value, name, number)
        raise


# ---- walking -------------------------------------------------------------------------


def _leaves(root: Any) -> Iterator[tuple[str, Value]]:
    """(name, leaf) for every leaf Value under root."""
    return ((path, x) for path, x in _found(root) if isinstance(x, Value))


def _activations(root: Any) -> dict[str, str]:
    """The name of the activation of every Module under root that has one."""
    found = {path: getattr(x, "activation", None) for path, x in _found(root)}
    named = {path: getattr(x, "name", x) for path, x in found.items()}
    return {path: name for path, name in named.items() if isinstance(name, str)}


def _found(root: Any) -> Iterator[tuple[str, Any]]:
    """(name, item) for Modules and leaf Values, each once, without recursion."""
    seen: dict[int, Any] = {}  # keeps them alive, so that no id is used twice
    todo: list[tuple[str, Any]] = [("", root)]
    while todo:
        path, item = todo.pop()
        if id(item) in seen:
            continue
        if isinstance(item, Value):
            seen[id(item)] = item
            if not item.args:
                yield path, item
            continue
        if isinstance(item, Module):
            yield path, item
        if parts := list(_parts(item)):
            seen[id(item)] = item
            prefix = path + "." if path else ""
            todo.extend((f"{prefix}{key}", part) for key, part in reversed(parts))


def _parts(item: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(item, Module):
        return vars(item).items()
    if isinstance(item, dict):
        return item.items()
    if isinstance(item, (list, tuple)):
        return enumerate(item)
    if getattr(getattr(item, "dtype", None), "hasobject", False):  # a NumPy array
        return enumerate(item.tolist())
    return ()


def _attached(indices: re.Match[str]) -> str:
    return indices[1].replace(".", "_")


# ---- files ---------------------------------------------------------------------------


def _most(named: Iterable[str]) -> int:
    """How large a file of these parameters may be, with room for other layouts."""
    return 2**20 + 8 * sum(len(json.dumps(name)) + LONGEST_NUMBER for name in named)


def _text(operation: str, path: Path, most: int) -> str:
    """The text of a file: of no pipe, which would wait, and of no endless device."""
    try:
        mode = path.stat().st_mode
        if not S_ISREG(mode):
            kind = "a folder" if S_ISDIR(mode) else "a device or a pipe"
            raise _foreign(operation, path, f"is {kind}")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise type(error)(
            f"{operation}: path must name a file that can be read, but is "
            f"{brief(str(path), 400)} ({error.strerror}); look for the file"
        ) from None
    if len(content) > most:
        reason = f"has more than the {most} bytes that this model could take"
        raise _foreign(operation, path, reason)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _foreign(operation, path, f"is no text ({error})") from None


def _read(
    operation: str, path: Path, most: int
) -> tuple[dict[str, float], dict[str, str] | None]:
    """What a file that `save` wrote has: parameters, and activations (or None)."""
    text = _text(operation, path, most)
    try:
        content = json.loads(text, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise _foreign(operation, path, f"is no whole JSON text ({error})") from None
    said = content.get("format") if isinstance(content, dict) else None
    if said not in READ:
        raise _foreign(operation, path, f"says format {brief(said)}, not {FORMAT!r}")
    saved = content.get("parameters")
    if not isinstance(saved, dict):
        raise _foreign(operation, path, "has no table of parameters")
    for name, number in saved.items():
        if type(number) is not float or not isfinite(number):
            reason = f"has {brief(number)} for {brief(name)}"
            raise _foreign(operation, path, reason)
    if said != FORMAT:
        return saved, None
    activations = content.get("activations")
    if not isinstance(activations, dict):
        raise _foreign(operation, path, "has no table of activations")
    return saved, activations


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names differ: of two numbers for one name, which is meant?"""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(
            name for name, n in Counter(name for name, _ in pairs).items() if n > 1
        )
        raise ValueError(f"it has {brief(twice)} twice")
    return found


def _foreign(operation: str, path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{operation}: path must be a file written by save, but "
        f"{brief(str(path), 400)} {reason}; save the model again"
    )


def _require_same_names(
    operation: str, named: dict[str, Value], saved: dict[str, float]
) -> None:
    missing = [name for name in named if name not in saved]
    extra = [name for name in saved if name not in named]
    if missing or extra:
        lacks = (
            f"lacks {brief(missing[0])}" if missing else f"also has {brief(extra[0])}"
        )
        raise ValueError(
            f"{operation}: the file must hold the {len(named)} parameter(s) of this "
            f"model, but has {len(saved)} and {lacks}; build the model with the widths "
            "it was saved with"
        )


def _require_same_activations(
    operation: str, ours: dict[str, str], theirs: dict[str, str] | None
) -> None:
    if theirs is None:
        return
    for name in sorted({**ours, **theirs}):
        found, own = theirs.get(name), ours.get(name)
        if found != own:
            raise ValueError(
                f"{operation}: the file must be of a model with the same activations, "
                f"but has {brief(found)} for {name or 'all'}, where this one has "
                f"{brief(own)}; build the model with the activation it was saved with"
            )
