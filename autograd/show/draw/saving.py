"""Pictures as files, in the format that the name's ending says."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import PurePath

from ...files import write_file
from ...primitives import brief

Writers = Mapping[str, Callable[[], bytes]]  # by suffix


def save_picture(path: str | os.PathLike[str], writers: Writers, operation: str) -> str:
    """Write what the writer of the name's suffix gives, and return the name.

    >>> save_picture("y.gif", {".svg": bytes, ".png": bytes}, "draw")
    Traceback (most recent call last):
    ValueError: draw: path must end in .svg or .png, but is 'y.gif'; write 'y.svg'
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"{operation}: path must be a str or a Path, but is {brief(path)} "
            f"({type(path).__name__}); write the name of a file"
        )
    name = PurePath(path)
    writer = writers.get(name.suffix.lower())
    if writer is None:
        *most, last = writers
        other = f"{os.fspath(name.with_suffix('')) if name.name else 'y'}{most[0]}"
        raise ValueError(
            f"{operation}: path must end in {', '.join(most)} or {last}, but is "
            f"{brief(os.fspath(path), 400)}; write {brief(other, 400)}"
        )
    return write_file(path, writer(), operation)
