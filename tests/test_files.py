"""Writing files: whole or not at all, and what is no file stays what it is."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autograd import Value, brief, draw, draw_network, player, write_file
from nn import MLP, Module

ROOT = Path(__file__).resolve().parent.parent
posix = pytest.mark.skipif(os.name != "posix", reason="pipes and modes are POSIX's")
full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")


def sine() -> Value:
    return Value(0.5, label="x").sin()


def network() -> Any:
    return draw_network([("inputs", [("x0", "", {"value": 0.5})])], [], title="one")


WRITERS: dict[str, Callable[[Any], object]] = {
    "write_file": lambda path: write_file(path, b"content"),
    "svg": lambda path: draw(sine()).svg(path),
    "png": lambda path: draw(sine()).png(path),
    "draw_network": lambda path: network().svg(path),
    "player": lambda path: player(sine()).save(path),
    "animated": lambda path: player(sine()).animated_svg(path),
    "save": lambda path: MLP(2, [1], seed=1).save(path),
}
each_writer = pytest.mark.parametrize("name", WRITERS)


def expected(name: str, folder: Path) -> bytes:
    WRITERS[name](folder / "expected")
    return (folder / "expected").read_bytes()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


# ---- what is no regular file ---------------------------------------------------------


@posix
@each_writer
def test_pipe_is_written_into_and_stays_a_pipe(name: str, tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    WRITERS[name](pipe)
    reader.join()
    assert read == [expected(name, tmp_path)]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["expected", "pipe"]


@posix
@each_writer
def test_device_is_written_into_also_through_a_link(name: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(os.devnull)
    WRITERS[name](os.devnull)
    WRITERS[name](tmp_path / "link")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert (tmp_path / "link").is_symlink()


@full
@each_writer
def test_full_device_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/full")
    for path in "/dev/full", str(tmp_path / "link"):
        with pytest.raises(OSError, match=f"must name .* is '{path}' .No space left"):
            WRITERS[name](path)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


SAY_AND_WRITE = """
import sys
from autograd import write_file
print("before")
write_file(sys.argv[1], b"content\\n")
print("after")
"""


def told(path: str, stdout: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", SAY_AND_WRITE, path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=stdout,
        check=True,
    )


@posix
@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "link"])
def test_standard_output_is_written_in_turn(path: str, tmp_path: Path) -> None:
    if not os.path.exists("/dev/fd"):
        pytest.skip("no /dev/fd")
    if path == "link":
        path = str(tmp_path / "link")
        os.symlink("/dev/stdout", path)
    assert told(path, subprocess.PIPE).stdout == b"before\ncontent\nafter\n"
    with (tmp_path / "out").open("wb") as file:  # a regular file, but already open
        file.write(b"first\n")
        file.flush()
        told(path, file)
    assert (tmp_path / "out").read_bytes() == b"first\nbefore\ncontent\nafter\n"


@posix
def test_socket_is_not_replaced(tmp_path: Path, monkeypatch: Any) -> None:
    import socket

    monkeypatch.chdir(tmp_path)  # the address must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(OSError, match="write_file: path must name"):
            write_file("s", b"content")
        assert stat.S_ISSOCK(os.stat("s").st_mode)


# ---- regular files -------------------------------------------------------------------


@posix
@each_writer
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_file_keeps_its_mode(name: str, mode: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    WRITERS[name](path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == expected(name, tmp_path)


@posix
def test_new_file_has_the_mode_that_open_gives(tmp_path: Path) -> None:
    (tmp_path / "by open").write_text("")
    write_file(tmp_path / "new", b"")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "by open").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="not root")
def test_file_of_another_keeps_its_owner(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    os.chown(tmp_path / "file", 65534, 65533)
    write_file(tmp_path / "file", b"new")
    status = (tmp_path / "file").stat()
    assert (status.st_uid, status.st_gid) == (65534, 65533)


@posix
@each_writer
def test_link_stays_a_link_to_what_is_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("sub/real")
    (tmp_path / "link of link").symlink_to("link")
    for _ in range(2):  # the first makes what the links lead to
        WRITERS[name](tmp_path / "link of link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "link of link").is_symlink()
    assert (tmp_path / "sub" / "real").read_bytes() == expected(name, tmp_path)
    assert os.listdir(tmp_path / "sub") == ["real"]


@each_writer
@pytest.mark.parametrize("base", ["a" * 255, "é" * 127, " ", "-", "a\nb", "'"])
def test_every_name_that_a_folder_takes_will_do(
    name: str, base: str, tmp_path: Path
) -> None:
    WRITERS[name](tmp_path / base)
    WRITERS[name](tmp_path / base)
    assert os.listdir(tmp_path) == [base]


@each_writer
def test_disk_that_is_full_leaves_the_old_file(
    name: str, tmp_path: Path, monkeypatch: Any
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def no_room(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match=r"must name .*\(No space left on device\)"):
        WRITERS[name](path)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]


def test_interrupt_leaves_no_draft(tmp_path: Path, monkeypatch: Any) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    for step in "fsync", "replace", "chmod":
        (tmp_path / "file").write_text("old")
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(os, step, interrupt)
            write_file(tmp_path / "file", b"new")
        assert os.listdir(tmp_path) == ["file"]
        assert (tmp_path / "file").read_text() == "old"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="not root")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_is_read_only_is_refused_and_kept(what: str, folder: Path) -> None:
    path = folder / "file"
    path.write_text("old")
    os.chown(path, 65534, 65534)
    path.chmod(0o444 if what == "file" else 0o666)
    os.chmod(folder, 0o777 if what == "file" else 0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="write_file: path must name .* is '"):
            write_file(path, b"new")
        assert path.read_text() == "old" and os.listdir(folder) == ["file"]
    finally:
        os.seteuid(0)


REFUSED: dict[str, tuple[type[Exception], str]] = {
    "": (IsADirectoryError, r"is '' \(it names a folder\)"),
    ".": (IsADirectoryError, r"is '.' \(it names a folder\)"),
    "sub": (IsADirectoryError, r"\(it is a folder\)"),
    "absent/": (IsADirectoryError, r"\(it names a folder\)"),
    "absent/file": (FileNotFoundError, r"\(No such file or directory\)"),
    "file/below": (NotADirectoryError, r"\(Not a directory\)"),
    "loop": (OSError, r"\(Too many levels of symbolic links\)"),
    "a" * 256: (OSError, r"\(File name too long\)"),
    "a" * 1_000_000: (OSError, r"\(File name too long\)"),
    "nul\0": (ValueError, "null"),
    "\ud800": (ValueError, "surrogates"),
}


@posix
@each_writer
@pytest.mark.parametrize("path", REFUSED, ids=lambda path: ascii(path[:9]))
def test_name_that_cannot_be_written_is_refused(
    name: str, path: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    Path("file").write_text("old")
    Path("loop").symlink_to("loop")
    kind, reason = REFUSED[path]
    with pytest.raises(kind, match=rf"^[\w.]+: path must name .*{reason}") as caught:
        WRITERS[name](path)
    assert len(str(caught.value)) < 700
    assert sorted(os.listdir()) == ["file", "loop", "sub"] and not os.listdir("sub")
    assert Path("file").read_text() == "old"


@each_writer
@pytest.mark.parametrize("path", [1, 2.5, b"bytes", ["a"]])
def test_what_is_no_name_is_refused(name: str, path: Any) -> None:
    with pytest.raises(TypeError, match="path must be a str or a Path, but is"):
        WRITERS[name](path)


def test_command_line_writes_where_it_is_told_or_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autograd", "x*x", "x=2", "--svg"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(path: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, path],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run(str(tmp_path / "x.svg")).returncode == 0
    assert (tmp_path / "x.svg").read_text().startswith("<svg")
    failed = run(str(tmp_path))
    assert failed.returncode == 2 and failed.stderr.startswith("autograd: --svg: draw")
    if os.path.exists("/dev/stdout"):
        assert "<svg" in run("/dev/stdout").stdout


# ---- loading -------------------------------------------------------------------------


class Holder(Module):
    def __init__(self, **parameters: Value) -> None:
        vars(self).update(parameters)


def refused(path: Any, reason: str, kind: type[Exception] = ValueError) -> None:
    model = Holder(w=Value(3.0))
    with pytest.raises(kind, match=rf"^Holder.load: path must .*{reason}") as caught:
        model.load(path)
    assert len(str(caught.value)) < 700 and model.w.data == 3.0


@posix
def test_load_refuses_what_is_no_file_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    refused(tmp_path / "pipe", "is a device or a pipe")
    refused(tmp_path / "link", "is a device or a pipe")
    refused("/dev/zero", "is a device or a pipe")
    refused(tmp_path, "is a folder")
    refused("a" * 1_000_000, "too long", OSError)


def test_load_reads_no_more_than_the_model_could_take(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)  # of nothing: it takes no room
    refused(tmp_path / "huge", "has more than the 1048[0-9]+ bytes")


def test_load_takes_another_layout_of_the_same_text(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    model = MLP(3, [40, 40, 1], seed=1)
    model.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=40))
    fresh = MLP(3, [40, 40, 1], seed=2)
    fresh.load(path)
    assert fresh([1.0, 2.0, 3.0]).data == model([1.0, 2.0, 3.0]).data


HEAD = '{"format": "scalar-autograd weights 1", "parameters": '


@pytest.mark.parametrize(
    "content, reason",
    [
        (HEAD + '{"w": 1.0, "w": 2.0}}', "it has 'w' twice"),
        (HEAD + '{"w": 1.0}, "parameters": {"w": 2.0}}', "it has 'parameters' twice"),
        ('{"format": "other", ' + HEAD[1:] + '{"w": 1.0}}', "it has 'format' twice"),
        (HEAD + '{"%s": 1}}' % ("k" * 900_000), "has 1 for 'kkk"),
        (HEAD + '{"w": %s}}' % ("9" * 4000), "has 999"),
        (HEAD + '{"w": %s}}' % ("9" * 900_000), "is no whole JSON text"),
        (HEAD + '{"w": "%s"}}' % ("v" * 900_000), "has 'vvv"),
        (HEAD + '{"w": [%s1]}}' % ("1, " * 100_000), r"has \[1, 1"),
        (HEAD + '{"%s": 1.0, "%s": 1.0}}' % (("k" * 400_000,) * 2), "twice"),
    ],
    ids=range(9),
)
def test_load_refuses_text_that_says_two_things_or_none(
    tmp_path: Path, content: str, reason: str
) -> None:
    (tmp_path / "w.json").write_text(content)
    refused(tmp_path / "w.json", reason)


def test_load_names_a_parameter_too_many_in_brief(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text(HEAD + '{"w": 1.0, "%s": 1.0}}' % ("k" * 900_000))
    with pytest.raises(ValueError, match="and also has 'kkk") as caught:
        Holder(w=Value(3.0)).load(tmp_path / "w.json")
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "name", ["\ud800", "{0}", "a b", "é", "\n", "", '"', "\\", "👍"]
)
def test_save_and_load_take_any_name_of_an_attribute(name: str, tmp_path: Path) -> None:
    saved, fresh = Holder(**{name: Value(2.0)}), Holder(**{name: Value(0.0)})
    saved.save(tmp_path / "w.json")
    fresh.load(tmp_path / "w.json")
    assert vars(fresh)[name].data == 2.0


# ---- what messages say ---------------------------------------------------------------


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    "x",
    ["a" * 10**6, [1.0] * 10**6, 10**6000, [10**6000], {"k" * 10**6: [0] * 10**6}]
    + [Silent(), [[[["a" * 99] * 9] * 9] * 9] * 9, "\ud800\n\x00", b"b" * 10**6]
    + [Value(1.0, label="l" * 10**6), {*range(10**5)}, (None,) * 10**6],
    ids=range(12),
)
def test_brief_is_short_and_printable_whatever_it_is_of(x: Any) -> None:
    for most in 12, 60:
        text = brief(x, most)
        assert 0 < len(text) <= most and text.isprintable()
