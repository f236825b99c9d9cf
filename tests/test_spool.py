"""The spool: no line lost or torn by writers at once, nothing followed that is not ours, and bad lines set aside."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.errors import SpoolError
from agent_tracker.lines import agent_line, commit_line, format_line
from agent_tracker.records import AgentFact, SeenCommit, SeenRewrite
from agent_tracker.spool import Segment, append, ensure_directory, read_segment, seal, segments, set_aside
from facts import NOW, listed, oid

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = (SeenCommit, SeenRewrite)
NOW_NS = NOW * 10**9


def seen(number: int, *, text: str = "x") -> SeenCommit:
    """Return what a hook says of a commit; the number is in it."""
    variables = (("AI_AGENT", text),)
    return SeenCommit(number.to_bytes(20, "big"), "", "", during="", variables=variables)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """A spool directory that is ours."""
    path = str(tmp_path / "agent-tracker")
    ensure_directory(path)
    return path


def sealed(directory: str, *, now_ns: int = NOW_NS) -> Segment:
    """Seal the spool and return the segment, the newest one."""
    assert seal(directory, now_ns=now_ns)
    return segments(directory)[-1]


# -- append


def test_what_is_appended_is_read_back_in_order(directory: str) -> None:
    """Several lines, several kinds."""
    rewrite = SeenRewrite(oid("a"), oid("b"), "amend")
    for line in (
        commit_line(seen(1)),
        format_line("rewrite", rewrite.operation, rewrite.old.hex(), rewrite.new.hex()),
        commit_line(seen(2)),
    ):
        append(directory, line)
    assert read_segment(sealed(directory), KINDS) == ([seen(1), rewrite, seen(2)], [])


def test_directory_and_spool_are_private(directory: str) -> None:
    """0700 and 0600."""
    append(directory, commit_line(seen(1)))
    assert stat.S_IMODE(Path(directory).stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(directory, "spool").stat().st_mode) == 0o600


def test_ensuring_a_directory_twice_is_ensuring_it(directory: str) -> None:
    """What is in it stays."""
    append(directory, commit_line(seen(1)))
    ensure_directory(directory)
    assert listed(directory) == ["spool"]


def write_lines(directory: str, writer: int, count: int) -> None:
    """Append lines of different lengths, one by one."""
    for number in range(count):
        append(directory, commit_line(seen(writer * 100_000 + number, text="x" * (number * 37 % 3000 + 1))))


def test_eight_writers_at_once_lose_and_tear_nothing(directory: str) -> None:
    """While the spool is sealed under their hands, every line of each arrives once, and whole."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_lines, args=(directory, writer, 250)) for writer in range(8)]
    for writer in writers:
        writer.start()
    at = NOW_NS
    while any(writer.is_alive() for writer in writers):
        at += 1
        seal(directory, now_ns=at)
    seal(directory, now_ns=at + 1)
    assert [writer.exitcode for writer in writers] == [0] * 8
    read = [read_segment(segment, KINDS) for segment in segments(directory)]
    assert not [rejected for _, rejected in read if rejected]
    numbers = [int.from_bytes(one.oid, "big") for said, _ in read for one in said if isinstance(one, SeenCommit)]
    assert sorted(numbers) == [writer * 100_000 + number for writer in range(8) for number in range(250)]


def test_a_torn_line_takes_no_other_along(directory: str) -> None:
    """A writer that died in the middle at any byte: the lines before and after it are read."""
    torn = commit_line(seen(2))
    for end in range(1, len(torn) - 1):
        append(directory, commit_line(seen(1)))
        append(directory, torn[:end])
        append(directory, commit_line(seen(3)))
        said, rejected = read_segment(sealed(directory, now_ns=end), KINDS)
        assert [one for one in said if one != seen(2)] == [seen(1), seen(3)]
        assert len(said) + len(rejected) == (2 if end == 1 else 3)


# -- what is not ours


def make_link(path: Path) -> None:
    """Put a symbolic link in the spool's place."""
    path.symlink_to(path.parent.parent / "elsewhere")


def make_fifo(path: Path) -> None:
    """Put a FIFO in the spool's place; a writer must not wait for its reader."""
    os.mkfifo(path)


def make_directory(path: Path) -> None:
    """Put a directory in the spool's place."""
    path.mkdir()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [make_link, make_fifo, make_directory])
def test_a_spool_that_is_no_regular_file_is_refused(directory: str, make: Callable[[Path], None]) -> None:
    """Neither appending nor sealing follows it or waits, and the error names it."""
    make(Path(directory, "spool"))
    for act in (lambda: append(directory, commit_line(seen(1))), lambda: seal(directory, now_ns=NOW_NS)):
        with pytest.raises(SpoolError, match="spool"):
            act()
    assert not Path(directory).with_name("elsewhere").exists()
    assert segments(directory) == []


@pytest.mark.timeout(20)
def test_a_fifo_with_a_reader_is_refused(directory: str) -> None:
    """One that can be opened is no file either."""
    path = Path(directory, "spool")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(SpoolError, match="not a regular file"):
            append(directory, commit_line(seen(1)))
    finally:
        os.close(reader)


@pytest.mark.parametrize("is_link", [True, False], ids=["link", "file"])
def test_a_directory_that_is_none_is_refused(tmp_path: Path, *, is_link: bool) -> None:
    """A link to a directory and a file in its place: for making, appending and sealing alike."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "agent-tracker"
    if is_link:
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text("")
    for act in (
        lambda: ensure_directory(str(path)),
        lambda: append(str(path), commit_line(seen(1))),
        lambda: seal(str(path), now_ns=NOW_NS),
    ):
        with pytest.raises(SpoolError, match="not a directory"):
            act()
    assert listed(tmp_path / "elsewhere") == []


def test_another_user_s_directory_is_refused(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns it could read and forge what is in it; root may."""
    monkeypatch.setattr(os, "geteuid", lambda: Path(directory).stat().st_uid + 1000)
    with pytest.raises(SpoolError, match="belongs to another user"):
        append(directory, commit_line(seen(1)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    append(directory, commit_line(seen(1)))


def test_no_directory_is_an_error_with_a_hint(tmp_path: Path) -> None:
    """The hooks were not installed here."""
    with pytest.raises(SpoolError, match="no spool directory") as caught:
        append(str(tmp_path / "agent-tracker"), commit_line(seen(1)))
    assert caught.value.hint == "agent-tracker install-hooks"


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """Something else is on the way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="file/agent-tracker"):
        ensure_directory(str(tmp_path / "file" / "agent-tracker"))


# -- seal


def test_sealing_nothing_makes_nothing(directory: str) -> None:
    """No spool, and an empty one."""
    assert not seal(directory, now_ns=NOW_NS)
    Path(directory, "spool").touch()
    assert not seal(directory, now_ns=NOW_NS)
    assert segments(directory) == []


def test_a_segment_is_named_by_its_time(directory: str) -> None:
    """Its name tells when it was sealed, and its size is what was written."""
    line = commit_line(seen(1))
    append(directory, line)
    segment = sealed(directory)
    assert segment.name.startswith(f"seg-{NOW_NS:020d}-")
    assert (segment.sealed_ns, segment.size) == (NOW_NS, len(line))
    assert segment.path == str(Path(directory, segment.name))
    assert not Path(directory, "spool").exists()


def test_two_segments_of_one_moment_have_two_names(directory: str) -> None:
    """A clock that stands still overwrites nothing."""
    for number in range(20):
        append(directory, commit_line(seen(number)))
        seal(directory, now_ns=NOW_NS)
    assert len({segment.name for segment in segments(directory)}) == 20


def test_segments_come_oldest_first(directory: str) -> None:
    """In the order of their times, whatever the order of the directory."""
    for at in (3, 1, 2, 10**18):
        append(directory, commit_line(seen(at)))
        seal(directory, now_ns=at)
    assert [segment.sealed_ns for segment in segments(directory)] == [1, 2, 3, 10**18]


@pytest.mark.parametrize(
    "name",
    [
        "spool",
        "seg-",
        "seg-1-abcdef01",
        f"seg-{1:020d}",
        f"seg-{1:020d}-",
        f"seg-{1:020d}-abcdef01.rejected",
        f"seg-{1:021d}-abcdef01",
        f"seg-{'٣' * 20}-abcdef01",
        f"seg-{1:020d}-../../x",
        f"seg-{1:020d}-abcdef0\udcff",
    ],
    ids=ascii,
)
def test_a_file_with_another_name_is_no_segment(directory: str, name: str) -> None:
    """Whatever lies there is passed over."""
    path = Path(directory, name)
    if ".." not in name:
        path.write_bytes(commit_line(seen(1)))
    assert segments(directory) == []


def test_a_segment_that_is_a_link_or_directory_is_passed_over(directory: str, tmp_path: Path) -> None:
    """Only regular files are read."""
    (tmp_path / "elsewhere").write_bytes(commit_line(seen(1)))
    Path(directory, f"seg-{1:020d}-abcdef01").symlink_to(tmp_path / "elsewhere")
    Path(directory, f"seg-{2:020d}-abcdef01").mkdir()
    assert segments(directory) == []
    assert segments(str(tmp_path / "gone")) == []


def test_a_time_out_of_range_is_a_time(directory: str) -> None:
    """Twenty nines fit no 64 bits; the segment is read all the same."""
    Path(directory, f"seg-{'9' * 20}-abcdef01").write_bytes(commit_line(seen(1)))
    assert segments(directory)[0].sealed_ns == (1 << 63) - 1


def test_a_late_writer_makes_the_segment_grow(directory: str) -> None:
    """A hook that opened the spool before it was sealed: its line is there, and the size tells."""
    append(directory, commit_line(seen(1)))
    late = os.open(Path(directory, "spool"), os.O_WRONLY | os.O_APPEND)
    before = sealed(directory)
    os.write(late, commit_line(seen(2)))
    os.close(late)
    (after,) = segments(directory)
    assert after.name == before.name
    assert after.size == before.size + len(commit_line(seen(2)))
    assert read_segment(after, KINDS) == ([seen(1), seen(2)], [])


# -- read and set aside


def test_lines_that_are_not_ours_are_told_apart(directory: str) -> None:
    """Each with its reason; the others are read."""
    agent = AgentFact("a", "a", "m", "s", "", NOW)
    lines = (b"hello\n", commit_line(seen(1)), b"\xff\x00\n", agent_line(agent), b"\n\n", commit_line(seen(2)))
    Path(directory, "spool").write_bytes(b"".join(lines))
    said, rejected = read_segment(sealed(directory), KINDS)
    assert said == [seen(1), seen(2)]
    assert [one.line for one in rejected[:2]] == [b"hello", b"\xff\x00"]
    assert "no place in this spool" in rejected[2].reason
    assert len(rejected) == 3


def test_rejected_lines_are_kept_with_their_reasons(directory: str) -> None:
    """In a file beside the segment, which is no segment itself; a second time changes nothing."""
    Path(directory, "spool").write_bytes(b"hello\n\xff\n")
    segment = sealed(directory)
    _, rejected = read_segment(segment, KINDS)
    path = set_aside(segment, rejected)
    content = Path(path).read_bytes()
    assert path == segment.path + ".rejected"
    reason = b"# torn, or not written by agent-tracker\n"
    assert content == reason + b"hello\n" + reason + b"\xff\n"
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert set_aside(segment, rejected) == path
    assert Path(path).read_bytes() == content
    assert segments(directory) == [segment]


def test_a_link_in_the_rejected_file_s_place_is_refused(directory: str, tmp_path: Path) -> None:
    """Nothing is written elsewhere."""
    Path(directory, "spool").write_bytes(b"hello\n")
    segment = sealed(directory)
    Path(segment.path + ".rejected").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpoolError, match=r"\.rejected"):
        set_aside(segment, read_segment(segment, KINDS)[1])
    assert not (tmp_path / "elsewhere").exists()


def test_a_segment_that_is_gone_is_a_spool_error(directory: str) -> None:
    """Deleted between listing and reading."""
    append(directory, commit_line(seen(1)))
    segment = sealed(directory)
    Path(segment.path).unlink()
    with pytest.raises(SpoolError, match="cannot read"):
        read_segment(segment, KINDS)
