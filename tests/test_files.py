"""Small files: whole or not there, private, and no leftovers."""

from __future__ import annotations

import multiprocessing
import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from agent_tracker.files import MAX_BYTES, read_bytes, read_text, replace_file
from facts import listed

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_written_with_its_directories(tmp_path: Path) -> None:
    """The file is 0600, a directory made for it 0700."""
    path = tmp_path / "a" / "b" / "file"
    replace_file(str(path), "text\n")
    assert path.read_bytes() == b"text\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_writing_again_replaces(tmp_path: Path) -> None:
    """Twice is as good as once, a shorter text leaves nothing of the longer, and nothing else lies about."""
    path = tmp_path / "file"
    for text in ("long text\n", "short\n", "short\n"):
        replace_file(str(path), text, mode=0o644)
    assert path.read_text() == "short\n"
    assert listed(tmp_path) == ["file"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_reader_meets_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Whoever has the old file open reads it to its end."""
    path = tmp_path / "file"
    replace_file(str(path), "old")
    with path.open() as file:
        replace_file(str(path), "new")
        assert file.read() == "old"
    assert path.read_text() == "new"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """What a symbolic link points to is not ours to write."""
    target = tmp_path / "target"
    target.write_text("theirs")
    (tmp_path / "file").symlink_to(target)
    replace_file(str(tmp_path / "file"), "ours")
    assert target.read_text() == "theirs"
    assert not (tmp_path / "file").is_symlink()


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    """The place is taken by a directory: an OSError, and no file beside it."""
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        replace_file(str(tmp_path / "file"), "text")
    assert listed(tmp_path) == ["file"]


def test_text_that_is_no_utf8_is_written_and_read(tmp_path: Path) -> None:
    """A path in a foreign encoding, and newlines as they are."""
    path = str(tmp_path / "file")
    replace_file(path, "caf\udce9\r\n")
    assert (tmp_path / "file").read_bytes() == b"caf\xe9\r\n"
    replace_file(path, "caf\udce9\n")
    assert read_text(path) == "caf\udce9\n"


@pytest.mark.parametrize("name", ["missing", "missing/file", "."])
def test_what_cannot_be_read_is_empty(tmp_path: Path, name: str) -> None:
    """A missing file and a directory read as nothing."""
    assert not read_text(str(tmp_path / name))


@pytest.mark.parametrize("kind", ["pipe", "device", "link-to-device", "socket"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, kind: str) -> None:
    """Neither does anybody wait for a pipe, nor read a device for ever."""
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    elif kind == "link-to-device":
        path.symlink_to("/dev/zero")
    name = "/dev/zero" if kind == "device" else str(path)
    assert not read_text(name)
    assert not read_bytes(name)


def test_only_the_beginning_of_a_file_is_read(tmp_path: Path) -> None:
    """No more than the limit, the default one for a file of a gigabyte."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert read_bytes(str(path), 4) == b"0123"
    os.truncate(path, 1 << 30)
    assert len(read_bytes(str(path))) == MAX_BYTES


def test_ends_of_lines_stay_where_that_is_asked_for(tmp_path: Path) -> None:
    """Otherwise they are what Python makes of them."""
    path = tmp_path / "file"
    path.write_bytes(b"a\r\nb\n")
    assert read_text(str(path), newline="") == "a\r\nb\n"
    assert read_text(str(path)) == "a\nb\n"


def write_often(path: str, text: str) -> None:
    """Write one text again and again."""
    for _ in range(50):
        replace_file(path, text)


def test_writers_at_once_leave_one_of_their_texts(tmp_path: Path) -> None:
    """Each process has a file of its own aside."""
    path = str(tmp_path / "file")
    texts = [letter * 5000 for letter in "abcd"]
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_often, args=(path, text)) for text in texts]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert read_text(path) in {"", *texts}
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert read_text(path) in texts
    assert listed(tmp_path) == ["file"]
