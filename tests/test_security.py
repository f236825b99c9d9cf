"""What others may have put there, and who may read what is ours: modes, owners, links, hostile records and texts."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker import journal_codec, packing, spool
from agent_tracker.errors import RecordError, SpoolError
from agent_tracker.escaping import escape_json
from agent_tracker.files import make_directory, make_private, replace_file
from agent_tracker.journal import ActivityFact, JournalFact, RetroFact
from agent_tracker.lines import agent_line, commit_line, fact_line, format_line, parse_line
from agent_tracker.locking import locked
from agent_tracker.records import AgentFact, SeenCommit
from agent_tracker.registry import is_current, read_agents, read_session, write_agents, write_session
from agent_tracker.spool import append, ensure_directory, read_segment, seal, segments, set_aside
from agent_tracker.store import Store
from every_command import Command, Shown, commands, run_all
from facts import NOW, SIZE_BYTES, agent, bug, fact_id, grade, oid, session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitrepo import GitRepo

NOW_NS = NOW * 10**9
LINE = commit_line(SeenCommit(oid("a"), "", "", "", (("AI_AGENT", "x"),)))
SEGMENT = f"seg-{1:020d}-abcdef01"
NOT_ROOT = 4242
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")


def mode(path: Path | str) -> int:
    """Return a file's mode, links not followed."""
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A spool directory that is ours."""
    ensure_directory(str(tmp_path / "agent-tracker"))
    return tmp_path / "agent-tracker"


@pytest.fixture(params=[0, 0o777, 0o002], ids=["umask 0", "umask 0777", "umask 0002"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the test under a umask that nobody should have."""
    before = os.umask(request.param)
    yield
    os.umask(before)


# -- modes -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("umask")
def test_what_is_made_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """Directories with those above them, the spool, a segment, what it is marked with, a lock, a small file."""
    top = tmp_path / "state"
    path = top / "agent-tracker" / "spool"
    ensure_directory(str(path))
    append(str(path), b"\nhello\n")
    seal(str(path), now_ns=NOW_NS)
    (segment,) = segments(str(path))
    set_aside(segment, read_segment(segment, ())[1])
    with locked(str(path / "flush.lock"), timeout_s=1):
        replace_file(str(top / "a" / "b" / "file"), "text")
    write_agents(str(top / "registry"), [agent("coder")])
    write_session(str(top / "registry"), "s-1", "coder", now_ns=NOW_NS)
    found = [top, *top.rglob("*")]
    assert len(found) > 12
    assert {mode(each) for each in found if each.is_dir()} == {0o700}
    assert {mode(each) for each in found if each.is_file()} == {0o600}


def test_sealing_closes_what_others_could_read(directory: Path) -> None:
    """A directory of 0755, and files as hooks under a usual umask leave them; one that may be run stays so."""
    directory.chmod(0o755)
    for name, bits in (("spool", 0o644), ("flush.lock", 0o666), (SEGMENT, 0o640), ("project", 0o604), ("run", 0o755)):
        (directory / name).write_bytes(LINE)
        (directory / name).chmod(bits)
    seal(str(directory), now_ns=NOW_NS)
    assert mode(directory) == 0o700
    assert {each.name: mode(each) for each in directory.iterdir() if each.name == "run"} == {"run": 0o700}
    assert {mode(each) for each in directory.iterdir() if each.name != "run"} == {0o600}


def test_appending_closes_the_directory_and_the_spool(directory: Path) -> None:
    """Nothing needs to be flushed for that, and the line is there."""
    directory.chmod(0o755)
    (directory / "spool").touch(0o644)
    append(str(directory), LINE)
    assert (mode(directory), mode(directory / "spool")) == (0o700, 0o600)
    assert (directory / "spool").read_bytes() == LINE


def test_the_state_directory_is_closed_by_the_next_flush(repo: GitRepo, home: Path) -> None:
    """Also where everything in it is as it should be otherwise, and nothing above it is touched."""
    repo.ok("install-hooks")
    repo.register("coder")
    repo.commit("one")
    repo.ok("flush")
    state = home / ".local" / "state" / "agent-tracker"
    ours = [state, state / "registry", state / "registry" / "ids", state / "spool"]
    above = [home / ".local", home / ".local" / "state", home / ".config", repo.path, repo.path / ".git"]
    for path in (*ours, *above):
        path.chmod(0o755)
    files = [path for path in state.rglob("*") if path.is_file() and path.parent in ours[:2]]
    for path in files:
        path.chmod(0o644)
    repo.commit("two")
    repo.ok("flush")
    assert {mode(path) for path in ours} == {0o700}
    assert files
    assert {mode(path) for path in files if path.exists()} == {0o600}
    assert {mode(path) for path in above} == {0o755}


def test_everything_of_ours_in_a_used_repository_is_private(repo: GitRepo, home: Path) -> None:
    """After hooks ran under an open umask: in the git directory, in the state directory, and the database."""
    before = os.umask(0)
    try:
        repo.ok("install-hooks")
        repo.register("coder")
        repo.commit("one", env={"AGENT_TRACKER_AGENT": "coder"})
        repo.ok("flush")
    finally:
        os.umask(before)
    places = [repo.path / ".git" / "agent-tracker", home / ".local" / "state" / "agent-tracker"]
    found = [each for place in places for each in (place, *place.rglob("*"))]
    assert [str(each) for each in found if each.is_dir() and mode(each) & 0o077] == []
    assert [str(each) for each in found if each.is_file() and mode(each) & 0o077] == []
    assert [mode(each) & 0o077 for each in home.rglob("*.lmdb")] == [0]


def test_no_link_is_followed_to_change_a_mode(tmp_path: Path, directory: Path) -> None:
    """Nor that of a file which has a second name elsewhere, or of a special file."""
    theirs = tmp_path / "theirs"
    theirs.write_text("x")
    theirs.chmod(0o644)
    (directory / "link").symlink_to(theirs)
    (directory / "project").hardlink_to(theirs)
    os.mkfifo(directory / "pipe")
    (directory / "pipe").chmod(0o644)
    for path in (directory / "link", directory / "project", directory / "pipe", tmp_path / "missing", Path("a\0b")):
        make_private(str(path))
    seal(str(directory), now_ns=NOW_NS)
    assert (mode(theirs), mode(directory / "pipe")) == (0o644, 0o644)


def test_a_linked_state_directory_keeps_the_mode_of_what_it_leads_to(tmp_path: Path) -> None:
    """A person may keep it elsewhere, among files of another kind."""
    (tmp_path / "elsewhere").mkdir(0o755)
    (tmp_path / "elsewhere").chmod(0o755)
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    write_agents(str(tmp_path / "state" / "registry"), [agent("coder")])
    assert mode(tmp_path / "elsewhere") == 0o755
    assert is_current(str(tmp_path / "state" / "registry"), [agent("coder")])


def test_a_shared_repository_s_group_stays_in(tmp_path: Path) -> None:
    """Where git keeps a repository for a group and a person let the group into our directory; others never."""
    git = tmp_path / "shared.git"
    git.mkdir()
    git.chmod(0o2775)
    ensure_directory(str(git / "agent-tracker"))
    assert mode(git / "agent-tracker") & 0o777 == 0o700
    (git / "agent-tracker").chmod(0o2777)
    append(str(git / "agent-tracker"), LINE)
    (git / "agent-tracker" / "spool").chmod(0o666)
    append(str(git / "agent-tracker"), LINE)
    assert mode(git / "agent-tracker") == 0o2770
    assert mode(git / "agent-tracker" / "spool") == 0o660
    git.chmod(0o775)
    append(str(git / "agent-tracker"), LINE)
    assert mode(git / "agent-tracker") & 0o777 == 0o700


def test_directories_that_are_there_are_left_as_they_are(tmp_path: Path) -> None:
    """What is made is private; what was there may be anybody's."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there").chmod(0o755)
    make_directory(str(tmp_path / "there" / "a" / "b"))
    assert [mode(tmp_path / name) for name in ("there", "there/a", "there/a/b")] == [0o755, 0o700, 0o700]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_directory(str(tmp_path / "file"))


# -- links, pipes, other users -----------------------------------------------------------------------------------------


def put_pipe(path: Path) -> None:
    """Put a pipe there, to which nobody writes and from which nobody reads."""
    os.mkfifo(path)


def put_link(path: Path) -> None:
    """Put a link there, to a file outside."""
    outside = path.parent.parent / "outside"
    outside.write_text("theirs")
    path.symlink_to(outside)


def put_device_link(path: Path) -> None:
    """Put a link there, to a device that never ends."""
    path.symlink_to("/dev/zero")


def put_directory(path: Path) -> None:
    """Put a directory there."""
    path.mkdir()


PUT = [put_pipe, put_link, put_device_link, put_directory]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("put", PUT)
@pytest.mark.parametrize("name", ["spool", "flush.lock", SEGMENT, f"{SEGMENT}.rejected"])
def test_nothing_is_followed_or_waited_for(directory: Path, name: str, put: Callable[[Path], None]) -> None:
    """Whatever stands in a file's place: an error that names it, and nothing outside changes."""
    put(directory / name)
    path = str(directory / name)
    segment = spool.Segment(str(directory / SEGMENT), SEGMENT, 1, 1)
    acts: dict[str, Callable[[], object]] = {
        "spool": lambda: append(str(directory), LINE),
        "flush.lock": lambda: locked(path, timeout_s=0.1).__enter__(),
        SEGMENT: lambda: read_segment(segment, (SeenCommit,)),
        f"{SEGMENT}.rejected": lambda: set_aside(segment, [spool.Rejected(b"x", "y")]),
    }
    with pytest.raises((SpoolError, OSError), match=re.escape(name)):
        acts[name]()
    assert segments(str(directory)) == []
    outside = directory.parent / "outside"
    assert not outside.exists() or outside.read_text() == "theirs"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("put", [put_pipe, put_link, put_device_link])
def test_what_stands_where_a_file_is_made_aside_goes(tmp_path: Path, put: Callable[[Path], None]) -> None:
    """A pipe or a link under the name that this process writes to first."""
    (tmp_path / "sub").mkdir()
    put(tmp_path / "sub" / f"file.{os.getpid()}.tmp")
    replace_file(str(tmp_path / "sub" / "file"), "ours")
    assert (tmp_path / "sub" / "file").read_text() == "ours"
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["file"]
    assert not (tmp_path / "outside").exists() or (tmp_path / "outside").read_text() == "theirs"


@needs_root
@pytest.mark.parametrize("name", ["spool", SEGMENT, f"{SEGMENT}.rejected", "flush.lock"])
def test_another_user_s_file_is_refused(directory: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory of one's own: what is in it may be forged. Root's files are believed, and root believes all."""
    path = directory / name
    path.write_bytes(LINE)
    segment = spool.Segment(str(directory / SEGMENT), SEGMENT, 1, 1)

    def act() -> None:
        if name == "flush.lock":
            with locked(str(path), timeout_s=0.1):
                pass
        elif name == SEGMENT:
            read_segment(segment, (SeenCommit,))
        elif name == "spool":
            append(str(directory), LINE)
        else:
            set_aside(segment, [])

    act()
    os.chown(directory, NOT_ROOT, -1)
    os.chown(path, NOT_ROOT + 1, -1)
    act()
    monkeypatch.setattr(os, "geteuid", lambda: NOT_ROOT)
    with pytest.raises((SpoolError, PermissionError), match="belongs to another user"):
        act()
    if name == "spool":
        with pytest.raises(SpoolError, match="belongs to another user"):
            seal(str(directory), now_ns=NOW_NS)
    assert segments(str(directory)) == []
    os.chown(path, 0, -1)
    act()


@needs_root
def test_another_user_s_file_keeps_its_mode(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not for us to change, though root could."""
    for name, user in (("a", 0), ("b", NOT_ROOT)):
        (directory / name).touch()
        (directory / name).chmod(0o644)
        os.chown(directory / name, user, -1)
    seal(str(directory), now_ns=NOW_NS)
    assert [mode(directory / name) for name in "ab"] == [0o600, 0o644]
    monkeypatch.setattr(os, "geteuid", lambda: NOT_ROOT)
    make_private(str(directory))
    (directory / "a").chmod(0o644)
    make_private(str(directory / "a"))
    assert mode(directory / "a") == 0o644


def test_a_linked_part_of_the_registry_is_not_emptied(tmp_path: Path) -> None:
    """Markers that no longer hold go; what a link in their directory's place leads to stays."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter").write_text("dear")
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "ids").symlink_to(tmp_path / "documents")
    write_agents(str(tmp_path / "registry"), [agent("coder")])
    assert (tmp_path / "documents" / "letter").read_text() == "dear"
    assert [path.name for path in (tmp_path / "registry" / "names").iterdir()] == ["coder"]
    assert [path.name for path in (tmp_path / "documents").iterdir()] == ["letter"]


def test_a_directory_among_the_markers_is_left(tmp_path: Path) -> None:
    """It is none of ours, and keeps nobody from a flush."""
    (tmp_path / "registry" / "ids" / "theirs").mkdir(parents=True)
    write_agents(str(tmp_path / "registry"), [agent("coder")])
    write_session(str(tmp_path / "registry"), "s", "coder", now_ns=NOW_NS)
    (tmp_path / "sessions" / "theirs").mkdir()
    write_session(str(tmp_path / "registry"), "s", "coder", now_ns=2 * NOW_NS)
    assert read_session(str(tmp_path / "registry"), "s") == "coder"


# -- hostile files -----------------------------------------------------------------------------------------------------

BOUNDED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, 400 << 20))
from agent_tracker.records import SeenCommit
from agent_tracker.spool import Segment, read_segment
seen, rejected = read_segment(Segment(sys.argv[1], "x", 1, 1), (SeenCommit,))
print(len(seen), len(rejected), sum(len(each.line) for each in rejected))
"""


@pytest.mark.parametrize(
    ("head", "size", "expected"),
    [
        (b"\0", 1 << 30, (1, 1)),
        (b"\n" * (64 << 20), 64 << 20, (1, 0)),
        (b"x\n" * (8 << 20), 16 << 20, (0, None)),
    ],
    ids=["a line of a gigabyte", "64 M empty lines", "8 M lines of nothing"],
)
def test_a_spool_s_size_is_not_taken_in_memory(
    tmp_path: Path, head: bytes, size: int, expected: tuple[int, int]
) -> None:
    """In 400 MB: what is good is read, and of what is not, no more than a person would look at is kept."""
    path = tmp_path / SEGMENT
    path.write_bytes(head)
    os.truncate(path, size - len(LINE) if expected[0] else size)
    if expected[0]:
        with path.open("ab") as file:
            file.write(LINE)
    done = subprocess.run([sys.executable, "-c", BOUNDED, str(path)], capture_output=True, text=True, check=True)
    seen, rejected, kept = map(int, done.stdout.split())
    assert seen == expected[0]
    assert rejected == expected[1] or (expected[1] is None and 1000 < rejected < 1 << 20)
    assert kept <= spool.MAX_REJECTED_BYTES


def test_a_spool_over_the_limit_is_refused(tmp_path: Path) -> None:
    """A file of more than a gigabyte is not even begun."""
    (tmp_path / SEGMENT).touch()
    os.truncate(tmp_path / SEGMENT, spool.MAX_SEGMENT_BYTES + 1)
    with pytest.raises(SpoolError, match="larger than"):
        read_segment(spool.Segment(str(tmp_path / SEGMENT), SEGMENT, 1, 1), (SeenCommit,))


@pytest.mark.parametrize(
    "fields",
    [
        ("agent", "a", "lone \ud800", "m", "s", "", "1"),
        ("commit", "a" * 40, "", "", "", "AI_AGENT=\udfff"),
        ("commit", "a" * 40, "", "", "", *["A=b"] * 300),
        ("commit", "a" * 40, "", "", "", f"{'A' * 300}=b"),
        ("commit", "a" * 40, "", "", "", "É=b"),
        ("credit", "a" * 40, "1", "why", *["x:1"] * 2000),
        ("agent", "a", "n", "m", "s", "", str((1 << 63) - 1)),
        ("agent", "a", "n", "m", "s", "", "1_0"),
        ("state", "a", "active", "\n-5"),
    ],
    ids=["surrogate", "surrogate value", "variables", "name", "foreign name", "shares", "year", "number", "newline"],
)
def test_a_line_that_could_not_be_stored_is_rejected(fields: tuple[str, ...]) -> None:
    """Though its checksum is right: one of these held up every later flush, or made a command fail. In one line."""
    with pytest.raises(RecordError) as caught:
        parse_line(format_line(*fields).strip(b"\n"))
    assert caught.value.message.isprintable()


def test_a_hostile_line_holds_no_flush_up(repo: GitRepo) -> None:
    """What lay in the spool with it is stored, and the line is set aside with its reason."""
    repo.ok("install-hooks")
    repo.register("coder")
    with (repo.path / ".git" / "agent-tracker" / "spool").open("ab") as file:
        file.write(format_line("commit", "a" * 40, "", "", "", "AI_AGENT=\ud800"))
        file.write(b"\n\x1b[31m\\\x1b]0;x\x07 =9\n")
    repo.commit("one", env={"AGENT_TRACKER_AGENT": "coder"})
    repo.ok("flush")
    assert repo.credited() == {"one": "coder-" + repo.commits()[0]["agent_id"].removeprefix("coder-")}
    (aside,) = (repo.path / ".git" / "agent-tracker").glob("*.rejected")
    reasons = [line for line in aside.read_bytes().split(b"\n") if line.startswith(b"# ")]
    assert len(reasons) == 2
    assert all(reason.decode().isprintable() for reason in reasons)


@pytest.mark.parametrize(
    "line",
    [
        "a\tn\\x00\tm\ts\tc\t5\t\t",
        "a\tn\\ud800\tm\ts\tc\t5\t\t",
        "a/../b\tn\tm\ts\tc\t5\t\t",
        "\tn\tm\ts\tc\t5\t\t",
        "a\tn\tm\ts\tc\t-5\t\t",
        f"a\tn\tm\ts\tc\t{1 << 63}\t\t",
        f"a\tn\tm\ts\tc\t5\t{1 << 64}:1\t",
        "a\tn\tm\ts\tc\t5\tx:1\t",
        "a\tn",
    ],
)
def test_an_agent_that_could_not_be_stored_is_passed_over(tmp_path: Path, line: str) -> None:
    """In the registry's list; the others are read."""
    (tmp_path / "agents").write_text(f"{line}\ngood\tn\tm\ts\tc\t5\t\t\n")
    assert [each.id for each in read_agents(str(tmp_path))] == ["good"]


@pytest.mark.parametrize(
    "name",
    [f"seg-{'9' * 20}-ABCDEF01", f"seg-{1:020d}-abcdefgh", f"seg-{1:020d}-abcdef0é", "seg-" + "1" * 200, "seg-\n-\x1b"],
    ids=ascii,
)
def test_a_name_that_sealing_never_gives_is_passed_over(directory: Path, name: str) -> None:
    """However like ours it looks."""
    (directory / name).write_bytes(LINE)
    assert segments(str(directory)) == []


# -- hostile records ---------------------------------------------------------------------------------------------------

RECORDS: list[tuple[str, Callable[[bytes], object], bytes]] = [
    ("commit", packing.unpack_commit, packing.pack_commit(oid("a"), 1, "commit", 1, NOW, NOW, b"s")),
    ("state", packing.unpack_commit_state, packing.pack_commit_state(1, "counted", ((2, 5), (3, 999_995)), NOW)),
    ("agent", lambda value: packing.unpack_agent("a", value), packing.pack_agent(agent("coder"), 2)),
    ("marks", packing.unpack_marks, packing.pack_marks((("a", "b"),))),
    ("bug", lambda value: packing.unpack_event(b"b" + oid("a"), value), journal_codec.pack(bug("a"))),
    ("session", lambda value: packing.unpack_event(b"ox", value), journal_codec.pack(session("s", "coder"))),
    ("activity", lambda value: journal_codec.unpack(b"v", value), b"\x01\x0c" + b"z" * 12),
]


@pytest.mark.parametrize(("read", "value"), [row[1:] for row in RECORDS], ids=[row[0] for row in RECORDS])
def test_a_record_of_other_contents_is_an_error_of_ours(read: Callable[[bytes], object], value: bytes) -> None:
    """Cut at each byte, and with each byte another: it is read as something, or a RecordError says that it is not."""
    errors: list[str] = []
    for changed in (
        *(value[:end] for end in range(len(value))),
        *(value[:at] + bytes([value[at] ^ 0xFF]) + value[at + 1 :] for at in range(len(value))),
    ):
        try:
            read(changed)
        except RecordError as error:
            errors.append(error.hint)
    assert errors
    assert set(errors) <= {"agent-tracker verify", "upgrade agent-tracker"}


def test_a_number_in_a_record_is_not_longer_than_one(tmp_path: Path) -> None:
    """A megabyte of digits would be a number that takes minutes to print."""
    value = bytearray(journal_codec.pack(bug("a")))
    assert tmp_path.exists()
    long = (
        bytes(value[: value.rindex(bytes([8]) + NOW_NS.to_bytes(8, "big"))])
        + b"\xff\x00\x00\x10\x00"
        + b"\1" * (1 << 20)
    )
    with pytest.raises(RecordError, match="a number of"):
        journal_codec.unpack(b"b", long)


# -- what a terminal would act on --------------------------------------------------------------------------------------

TEXTS = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]52;c;AAAA\x1b\\",
    "csi \x9b2J",
    "del \x7f bs \x08\x08 cr \rback",
    "\u202eevil\u2066inner\u2069\u200e",
    "zero\u200bwidth\ufeffline\u2028end",
    "lone \udc9b byte",
    "\U000e0001tag\U000e0041",
)
HOSTILE = " ".join(TEXTS)
NOTE = HOSTILE + " \x00 \ud800 \n\t next"
NOT_RUN = {("bench",), ("demo",), ("install-hooks",), ("uninstall-hooks",)}
"""They say nothing of what is stored, and take long."""

FORMS = ("--json", "--plain", "--csv", "--all", "--quick", "--jsonl")
RETRO, ACTIVITY, GIVEN = fact_id("retro"), fact_id("activity"), fact_id("grade")
SESSION = f"s{TEXTS[0]}{TEXTS[5]}"


HOSTILE_AGENTS = (
    AgentFact("coder-1", HOSTILE, HOSTILE, HOSTILE, HOSTILE, NOW),
    AgentFact("other-1", TEXTS[5], TEXTS[3], "", TEXTS[0], NOW),
)


def hostile_world(make_repo: Callable[[str], GitRepo], home: Path) -> GitRepo:
    """Return a repository of which everything that a person or a program may name has a hostile name."""
    repo = make_repo(f"re{TEXTS[0]}{TEXTS[3]}{TEXTS[5]}po")
    repo.git("commit", "--quiet", "--allow-empty", "-m", "first")
    repo.git("switch", "--quiet", "--create", "branch\u202e\u009bname")
    repo.ok("install-hooks")
    append(str(home / ".local" / "state" / "agent-tracker" / "spool"), b"".join(map(agent_line, HOSTILE_AGENTS)))
    repo.ok("flush")
    name = HOSTILE_AGENTS[0].id
    head = repo.commit(f"subject {HOSTILE}", text="x", env={"AGENT_TRACKER_AGENT": name})
    repo.commit("unknown", env={"AI_AGENT": HOSTILE, "AGENT_TRACKER_POLICY": "warn", "AGENT_TRACKER_AGENT": HOSTILE})
    commit = bytes.fromhex(head)
    facts: tuple[JournalFact, ...] = (
        session("s", name)._replace(id=SESSION, client=HOSTILE, model=HOSTILE, worktree=HOSTILE, capabilities=HOSTILE),
        grade("a", "bad", note=NOTE)._replace(id=GIVEN, oid=commit),
        bug("a", note=NOTE)._replace(oid=commit),
        RetroFact(RETRO, commit, SESSION, name, NOTE, "good", "bad", NOTE, NOTE, "", NOW_NS),
        ActivityFact(ACTIVITY, name, SESSION, commit, NOTE, NOTE, NOTE, NOTE, "", NOW_NS),
    )
    path = repo.path / ".git" / "agent-tracker" / "spool"
    with path.open("ab") as file:
        file.write(b"".join(map(fact_line, facts)) + b"\n\x1b[31mhostile\x9b\n")
    repo.ok("credit", head, name, "--why", HOSTILE)
    repo.ok("flush")
    with path.open("ab") as file:
        file.write(b"\n\x1b[31mwaiting\x9b\n")
    return repo


def given_to(command: Command, repo: GitRepo) -> tuple[str, ...]:
    """Return what a command is given so that it has something to show."""
    entry = {"retro": RETRO, "activity": ACTIVITY, "forget": GIVEN}.get(command.words[0], RETRO)
    values = {
        "agent": HOSTILE_AGENTS[0].id,
        "commit": repo.head(),
        "entry_id": entry,
        "session_id": SESSION,
        "name": "policy" if command.words[0] == "config" else "commitXp",
        "value": "warn" if command.words[0] == "config" else "7",
    }
    wanted = (*command.required, *(name for name in command.optional if name == "session_id"))
    return tuple(values.get(name, HOSTILE.replace("\udc9b", "")) for name in wanted)


def unsafe(shown: Shown) -> set[str]:
    """Return what a command wrote that a terminal would act on."""
    # A terminal's lines end so, and those of CSV.
    text = (shown.out + shown.err).replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")
    return {c for c in text if not (c.isprintable() or c == "\n")}


@pytest.mark.slow
def test_no_command_writes_what_a_terminal_would_act_on(
    make_repo: Callable[[str], GitRepo], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each, given what there is and hostile words, in each of its forms, to a pipe and to a terminal."""
    monkeypatch.setenv("TERM", "dumb")
    repo = hostile_world(make_repo, home)
    runs = []
    for command in commands():
        if command.words in NOT_RUN:
            continue
        given = given_to(command, repo)
        forms = ([], *([name] for name in FORMS if name in command.options))
        runs += [((*command.words, *given, *form), False) for form in forms]
        runs.append(((*command.words, *given), True))
        if command.required:
            hostile = (HOSTILE.replace("\udc9b", ""),) * len(command.required)
            runs.append(((*command.words, *hostile), True))
    everything = run_all(runs, cwd=repo.path)
    assert [(shown.argv[:3], shown.is_terminal, unsafe(shown)) for shown in everything if unsafe(shown)] == []
    assert [shown.argv for shown in everything if shown.code not in {0, 1, 2}] == []
    assert not list(home.rglob("error.log"))
    documents = [shown for shown in everything if shown.argv[-1] == "--json" and shown.out]
    assert len(documents) > 20
    for shown in documents:
        assert isinstance(json.loads(shown.out), dict), shown.argv
    quiet = {shown.argv[0] for shown in everything if shown.code == 0 and b"red" in shown.out}
    assert {"agents", "log", "grades", "bugs", "retro", "activity", "session"} <= quiet


def test_a_broken_configuration_is_named_without_its_escapes(repo: GitRepo, home: Path) -> None:
    """An unknown key, a value and a path with escapes in them."""
    path = home / ".config" / "agent-tracker" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    for text in (
        f'"{TEXTS[3]}{TEXTS[5]}" = 1\n',
        f'policy = "{TEXTS[5]}\\u001b[31m"\n',
        "\x1b[31m",
        '"\\u001b]0;x" = 1',
    ):
        path.write_text(text)
        done = repo.tracker("config", "list")
        assert done.code == 1
        assert all(c.isprintable() or c == "\n" for c in done.out + done.err), text


@pytest.mark.parametrize("text", [*TEXTS, NOTE, "plain", "é\U0001f600"], ids=ascii)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_says_the_same_without_what_a_terminal_acts_on(text: str, encoding: str) -> None:
    """By numbers in its strings, also what the stream's encoding does not know."""
    document = json.dumps({text: [text, 1]}, ensure_ascii=False, indent=2)
    shown = escape_json(document, encoding)
    assert json.loads(shown) == {text: [text, 1]}
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert shown.encode(encoding)


def test_an_agent_s_line_with_a_far_time_is_refused_before_it_is_stored() -> None:
    """Up to the last second that a calendar of ours knows."""
    last = AgentFact("a", "n", "m", "s", "", (1 << 40) - 1)
    assert parse_line(agent_line(last).strip(b"\n")) == last
    with pytest.raises(RecordError, match="out of range"):
        parse_line(agent_line(last._replace(recorded_at=1 << 40)).strip(b"\n"))


# -- a store of other contents -----------------------------------------------------------------------------------------

BODIES = (b"", b"\x01", b"\x01" + b"\xff" * 60, b"\x7fgarbage", b"\x01\x00")
READING = (
    *(("log", "--all"), ("agents",), ("status",), ("grades", "--all"), ("bugs", "--all"), ("retro", "list", "--all")),
    *(("activity", "list", "--all"), ("session", "list", "--all"), ("verify",)),
)
DAMAGED = (
    *("commits", "commits.oid", "agents", "events", "communication", "health", "metrics", "sessions"),
    *("marks", "projects", "spools", "retrospectives", "activities"),
)


@pytest.mark.slow
@pytest.mark.damages
def test_records_of_other_contents_are_errors_and_no_bugs(
    make_repo: Callable[[str], GitRepo], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With checksums that are right: whoever wrote them, every command ends in an answer or a line about it."""
    monkeypatch.setenv("TERM", "dumb")
    repo = hostile_world(make_repo, home)
    database = next(home.rglob("*.lmdb"))
    good = database.read_bytes()
    failed: list[object] = []
    for number, name in enumerate(DAMAGED):
        body = BODIES[number % len(BODIES)]
        database.write_bytes(good)
        database.with_name(database.name + ".fingerprint").unlink(missing_ok=True)
        with Store(str(database), SIZE_BYTES).writer(timeout_s=5) as writer:
            table = writer.table(name)
            for key, _ in list(table.items()):
                table.put(key, body)
        shown = run_all([(argv, False) for argv in READING], cwd=repo.path)
        failed += [(name, body, each.argv, each.err) for each in shown if each.code not in {0, 1}]
        for path in home.rglob("error.log"):
            failed.append((name, body, path.read_text()[-700:]))
            path.unlink()
    assert failed == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["use", "settled", "project", "pending", "refs", "reflog", "policy"])
@pytest.mark.parametrize("put", [put_pipe, put_device_link], ids=["pipe", "device"])
def test_a_pipe_among_a_repository_s_files_holds_nobody_up(
    repo: GitRepo, name: str, put: Callable[[Path], None]
) -> None:
    """A repository that came from elsewhere: a commit, a flush and a look at it end."""
    repo.ok("install-hooks")
    path = repo.path / ".git" / "agent-tracker" / name
    path.unlink(missing_ok=True)
    put(path)
    os.utime(path, (4e9, 4e9), follow_symlinks=False)
    repo.commit("one")
    for command in ("flush", "whoami", "status"):
        done = repo.tracker(command)
        assert done.code in {0, 1}, done
    assert repo.git("log", "--format=%s") == "one"
