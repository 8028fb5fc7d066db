"""Files written whole or not at all, and what is no file written into.

A regular file is replaced: the text is written beside it and takes its place in one
step, so that readers see the old file or the new one, and a full disk loses nothing.
What else has a name (a device, a pipe, /dev/stdout) must stay what it is.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from errno import EACCES, EISDIR
from pathlib import PurePath
from secrets import token_hex
from stat import S_IMODE, S_ISDIR, S_ISREG
from typing import Final

from .primitives import brief, clean

KINDS: Final = frozenset({".svg", ".png", ".html", ".pdf", ".jpg", ".jpeg", ".gif"})
MOST_LINKS: Final = 40  # on the way to a file: as many as Linux follows

Name = str | os.PathLike[str]


def write_file(path: Name, content: bytes, operation: str = "write_file") -> str:
    """Write content to the file of that name, whole or not at all, and return the name.

    An existing file keeps its mode, a link stays a link to it; a device or a pipe is
    written into.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = write_file(folder + "/hello.txt", b"hello")
    ...     with open(name) as file:
    ...         file.read()
    'hello'

    Raises TypeError or ValueError for what can be no name, OSError where it cannot be
    written; the file is then as it was. `operation` is what the message begins with.
    """
    name = _named(path, operation)
    if not isinstance(content, bytes):
        raise TypeError(
            f"{operation}: content must be bytes, but is {type(content).__name__}; "
            "write text.encode()"
        )
    try:
        _write(name, content)
    except (OSError, ValueError) as error:
        kind = type(error) if isinstance(error, OSError) else ValueError
        reason = getattr(error, "strerror", None) or clean(str(error), 80)
        raise kind(
            f"{operation}: path must name a file that can be written, but is "
            f"{brief(name, 400)} ({reason}); choose a folder that exists and is yours"
        ) from None
    return name


def require_suffix(path: Name, suffix: str, operation: str) -> None:
    """Refuse a name that says it is a file of another kind.

    >>> require_suffix("y.svg", ".svg", "draw"), require_suffix("y", ".svg", "draw")
    (None, None)
    >>> require_suffix("y.png", ".svg", "draw")
    Traceback (most recent call last):
    ValueError: draw: path must name a file of kind .svg, but is 'y.png'; write 'y.svg'
    """
    name = PurePath(_named(path, operation))
    if name.suffix.lower() in KINDS and name.suffix.lower() != suffix:
        other = name.with_suffix(suffix)
        raise ValueError(
            f"{operation}: path must name a file of kind {suffix}, but is "
            f"{brief(str(name), 400)}; write {brief(str(other), 400)}"
        )


def _named(path: Name, operation: str) -> str:
    if isinstance(path, str | os.PathLike):
        name = os.fspath(path)
        if isinstance(name, str):
            return name
    raise TypeError(
        f"{operation}: path must be a str or a Path, but is {brief(path)} "
        f"({type(path).__name__}); write the name of a file"
    )


def _write(name: str, content: bytes) -> None:
    if os.path.basename(name) in ("", os.curdir, os.pardir):
        raise IsADirectoryError(EISDIR, "it names a folder")
    stream, old = _stream(name), _status(name)
    if stream is not None:
        _write_into(stream, content)
    elif old is None or S_ISREG(old.st_mode):
        _replace(os.path.realpath(name), content, old)
    elif S_ISDIR(old.st_mode):
        raise IsADirectoryError(EISDIR, "it is a folder")
    else:
        _write_into(os.open(name, os.O_WRONLY), content)


def _status(name: str) -> os.stat_result | None:
    """What the file is, or what the link leads to; None if there is none yet."""
    try:
        return os.stat(name)
    except FileNotFoundError:
        return None


def _stream(name: str) -> int | None:
    """A copy of the descriptor that a name such as /dev/stdout or /dev/fd/3 means.

    To open it anew by its name would begin at the start of the file it leads to, over
    what was written before.
    """
    for _ in range(MOST_LINKS):
        folder, last = os.path.split(name)
        if last.isdecimal() and os.path.realpath(folder) == os.path.realpath("/dev/fd"):
            for stream in filter(None, (sys.stdout, sys.stderr)):
                stream.flush()
            return os.dup(int(last))
        if not os.path.islink(name):
            break
        name = os.path.join(folder, os.readlink(name))
    return None


def _write_into(descriptor: int, content: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(content)


def _replace(target: str, content: bytes, old: os.stat_result | None) -> None:
    """Write beside the target, then take its place, its mode and its owner."""
    ours = os.access in os.supports_effective_ids
    if old and not os.access(target, os.W_OK, effective_ids=ours):
        raise PermissionError(EACCES, "it is read-only")
    draft = os.path.join(os.path.dirname(target), f".{token_hex(8)}.part")
    mode = S_IMODE(old.st_mode) if old is not None else 0o666
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(draft, flags, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if old is not None:
            _hand_over(draft, old)
        os.replace(draft, target)
    finally:
        with suppress(FileNotFoundError):
            os.remove(draft)


def _hand_over(draft: str, old: os.stat_result) -> None:
    """Give the draft the owner of the file it replaces, where we may, and its mode."""
    with suppress(OSError, AttributeError):
        os.chown(draft, old.st_uid, old.st_gid)
    os.chmod(draft, S_IMODE(old.st_mode))
