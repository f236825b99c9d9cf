"""A text that must go is gone: from every file of ours, for good, and nothing else with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_tracker import journal_tables, packing
from agent_tracker.apply import FORGOTTEN
from agent_tracker.context import Context, open_store
from agent_tracker.errors import SpoolError, StoreError
from agent_tracker.flush import flush
from agent_tracker.journal import ActivityFact, BugFact, ForgetFact, GradeFact, RetroFact
from agent_tracker.lines import credit_line, fact_line, format_line
from agent_tracker.locking import locked
from agent_tracker.paths import user_paths
from agent_tracker.records import COUNTED, CreditFact, Fact
from agent_tracker.redact import redact_spool
from agent_tracker.repository import find_repository
from agent_tracker.spool import append
from agent_tracker.store import Store
from agent_tracker.verbs.noting import new_id, note
from facts import (
    NOW,
    SIZE_BYTES,
    UNHURRIED,
    agent_fact,
    apply_all,
    bug,
    by_agent,
    commit_fact,
    correction,
    fact_id,
    grade,
    oid,
    problems,
    project_fact,
    reading,
    store_at,
    withdrawal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.journal import JournalFact
    from agent_tracker.tables import Snapshot
    from gitrepo import GitRepo

SECRET = "hunter2-π-geheim"  # noqa: S105 -- nobody's
LONG = (SECRET + " ") * (20_000 // (len(SECRET) + 1))


def context() -> Context:
    """Return what a verb is given."""
    return Context(user_paths(os.environ), os.environ, time.time_ns())


@pytest.fixture
def coder(repo: GitRepo) -> Iterator[str]:
    """An agent that made three commits here; at the end the store is in order."""
    repo.ok("install-hooks")
    agent = repo.register("coder")
    for subject in ("one", "two", f"three {SECRET}"):
        repo.commit(subject, text=subject[:5], env={"AGENT_TRACKER_AGENT": agent})
    repo.ok("flush")
    yield agent
    assert repo.json("verify")["verify"]["clean"]


def holders(home: Path, repo: GitRepo, text: str = SECRET) -> list[str]:
    """Return every file of ours in which a text is."""
    roots = [home, repo.path / ".git" / "agent-tracker", repo.path / ".journal", repo.path / ".agent"]
    forms = {text.encode(), text.encode("unicode_escape"), text.encode("utf-16-le")}
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(form in path.read_bytes() for form in forms)]


def write_down(repo: GitRepo, *facts: JournalFact) -> None:
    """Write facts down and flush."""
    assert note(find_repository(str(repo.path), {}), context(), *facts).report


def facts_with(text: str, head: bytes, agent: str) -> dict[str, GradeFact | BugFact | RetroFact | ActivityFact]:
    """Return a fact of each kind that has a text, with this one in each of its fields."""
    now_ns = time.time_ns()
    return {
        "grade": GradeFact(new_id(), head, "", "user", "good", text, now_ns),
        "bug": BugFact(new_id(), head, "", text, b"", "", now_ns),
        "retro": RetroFact(new_id(), head, "", agent, text, "", "", text, text, "", now_ns),
        "activity": ActivityFact(new_id(), agent, "", b"", text, text, text, text, "", now_ns),
    }


@pytest.mark.parametrize("text", [SECRET, LONG], ids=["short", "20,000 characters"])
@pytest.mark.parametrize("kind", ["grade", "bug", "retro", "activity"])
def test_no_byte_of_a_text_is_left(repo: GitRepo, home: Path, coder: str, kind: str, text: str) -> None:
    """Not in the database, nor in its free pages, nor in any spool or segment; all else stays."""
    others = [GradeFact(new_id(), bytes.fromhex(repo.head()), "", "agent", "good", f"note {i}", i) for i in range(50)]
    write_down(repo, *others[:25])
    fact = facts_with(text, bytes.fromhex(repo.head("HEAD~1")), coder)[kind]
    write_down(repo, fact)
    write_down(repo, *others[25:])
    head = repo.head("HEAD~2")
    repo.ok("credit", head, "coder")
    before = repo.json("agents", "show", coder)
    assert holders(home, repo)
    done = json.loads(repo.ok("forget", str(fact[0]), "--yes", "--json"))["forgotten"]
    assert (done["kind"], done["id"], done["troubles"]) == (kind, fact[0], [])
    assert done["lines"] >= 1
    # The subject of the third commit is another text.
    assert [path for path in holders(home, repo) if path.endswith(".lmdb")] == holders(home, repo)
    repo.ok("forget", repo.head(), "--yes")
    assert holders(home, repo) == []
    assert repo.json("agents", "show", coder) == before
    store, _ = open_store(context())
    notes = reading(store, lambda snapshot: {each.note for each in journal_tables.facts(snapshot, GradeFact)})
    assert notes - {""} == {f"note {i}" for i in range(50)}


def test_a_commits_subject_and_the_reasons_of_its_credit(repo: GitRepo, home: Path, coder: str) -> None:
    """Both go with its whole oid; git keeps its own."""
    repo.ok("credit", "HEAD", "coder", "--why", f"why {SECRET}")
    shown = repo.ok("forget", repo.head(), "--yes")
    assert "Git itself keeps" in shown
    assert holders(home, repo) == []
    assert repo.commits()[0]["task_description"] == FORGOTTEN
    assert SECRET in repo.git("log", "-1", "--format=%s")
    assert len(repo.commits()) == 3
    assert coder


@pytest.mark.usefixtures("coder")
def test_a_withdrawals_reason(repo: GitRepo, home: Path) -> None:
    """It has the bug's id, so both texts go at once."""
    repo.ok("forget", repo.head(), "--yes")
    repo.ok("bug", "HEAD", "--note", SECRET)
    (found,) = repo.json("bugs")["bugs"]
    repo.ok("bug", "--withdraw", found["id"], "--why", f"{SECRET} again")
    assert holders(home, repo)
    repo.ok("forget", found["id"][:6], "--yes")
    assert holders(home, repo) == []


def test_lists_say_forgotten(repo: GitRepo, coder: str) -> None:
    """A tombstone stays: the entry is there, and its text is not."""
    repo.ok("retro", "add", "--task", SECRET, "--user-grade", "good")
    repo.ok("activity", "add", "--agent", coder, "--task", SECRET)
    for group, kind in (("retro", "retrospectives"), ("activity", "activities")):
        (entry,) = repo.json(group, "list")[kind]
        repo.ok("forget", entry["id"], "--yes")
        (entry,) = repo.json(group, "list")[kind]
        assert (entry["forgotten"], entry["task_description"]) == (True, None)
        assert "(forgotten)" in repo.ok(group, "list")
        assert "(forgotten)" in repo.ok(group, "show", entry["id"])
    assert repo.json("agents", "show", coder)["agent"]["communication_score"] == 62


def test_it_is_kept_out_when_it_comes_again(repo: GitRepo, home: Path, coder: str) -> None:
    """From another clone's spool, or from a segment of which nobody knows any more that it was applied."""
    head = bytes.fromhex(repo.head("HEAD~1"))
    fact = facts_with(LONG, head, coder)["grade"]
    write_down(repo, fact)
    repo.ok("forget", repo.head(), "--yes")
    repo.ok("forget", str(fact[0]), "--yes")
    clone = repo.clone(repo.path.parent / "clone")
    clone.ok("install-hooks")
    append(str(clone.path / ".git" / "agent-tracker"), fact_line(fact))
    clone.ok("flush")
    assert [path for path in holders(home, repo) if path.startswith(str(home))] == []
    assert holders(home, clone)
    # Again, it finds the new place too.
    repo.ok("forget", str(fact[0]), "--yes")
    assert holders(home, clone) == []


@pytest.mark.usefixtures("coder")
def test_rejected_lines_and_the_log_are_gone_through(repo: GitRepo, home: Path) -> None:
    """A torn line that begins with the id, one in which only the text is known, and a command line in the log."""
    repo.ok("forget", repo.head(), "--yes")
    directory = repo.path / ".git" / "agent-tracker"
    fact = GradeFact(new_id(), bytes.fromhex(repo.head()), "", "user", "good", LONG, time.time_ns())
    line = fact_line(fact)
    append(str(directory), line + line[: len(line) // 2] + b"\n" + line[200:] + b"\nno line of ours\n")
    done = repo.tracker("flush")
    assert "set aside" in done.err
    log = Path(user_paths(os.environ).log_file)
    log.write_text(f"a line\n['agent-tracker', 'grade', '--note', {LONG!r}]\nanother line\n")
    assert len(holders(home, repo)) >= 4
    repo.ok("forget", fact.id, "--yes")
    assert holders(home, repo) == []
    assert [line for line in log.read_text().split("\n") if line] == ["a line", "another line"]
    rejected = "".join(path.read_text() for path in directory.glob("*.rejected"))
    assert "no line of ours" in rejected


def test_exit_codes_and_questions(repo: GitRepo, coder: str) -> None:
    """An unknown id is an error, so is a pipe without a yes, and an agent's shell."""
    entry = json.loads(repo.ok("activity", "add", "--agent", coder, "--task", "t", "--json"))["activity"]["id"]
    for unknown in ("0000" if not entry.startswith("0000") else "ffff", "abc", "f" * 40, "z" * 40, "HEAD"):
        done = repo.tracker("forget", unknown, "--yes")
        assert (done.code, len(done.err.strip().split("\n"))) == (2, 2), done
    done = repo.tracker("forget", entry)
    assert (done.code, f"forget {entry} --yes" in done.err) == (2, True)
    done = repo.tracker("forget", entry, "--yes", env={"CLAUDECODE": "1"})
    assert (done.code, "AGENT_TRACKER_AGENT=human" in done.err) == (1, True)
    assert repo.json("activity", "list")["activities"][0]["task_description"] == "t"
    repo.ok("forget", entry, "--yes")
    repo.ok("forget", entry, "--yes")


@pytest.mark.usefixtures("coder")
def test_what_waits_in_another_repository_is_found(repo: GitRepo, home: Path) -> None:
    """An id that is not known yet is looked for in every repository that is."""
    repo.ok("forget", repo.head(), "--yes")
    elsewhere = type(repo).init(repo.path.parent / "elsewhere")
    fact = GradeFact(new_id(), bytes.fromhex(repo.head()), "", "user", "good", SECRET, time.time_ns())
    append(str(repo.path / ".git" / "agent-tracker"), fact_line(fact))
    elsewhere.ok("forget", fact.id, "--yes")
    assert holders(home, repo) == []


@pytest.mark.usefixtures("coder")
def test_a_repository_that_is_not_there_is_named(repo: GitRepo) -> None:
    """It may come back, on a disk that is put in again, with the text in its spool."""
    gone = repo.clone(repo.path.parent / "gone")
    gone.ok("install-hooks")
    gone.path.rename(repo.path.parent / "moved")
    done = repo.tracker("forget", repo.head(), "--yes")
    assert (done.code, f"not looked at, for it is not there: {gone.path}" in done.err) == (0, True), done


def test_a_repository_that_was_moved_forgets_when_it_is_flushed(repo: GitRepo, home: Path, coder: str) -> None:
    """Nobody knew where it lay when the text had to go; afterwards its old path is nobody's trouble any more."""
    fact = facts_with(SECRET, bytes.fromhex(repo.head("HEAD~1")), coder)["activity"]
    other = type(repo).init(repo.path.parent / "other")
    other.ok("install-hooks")
    write_down(other, fact)
    old_path = other.path
    other.path = other.path.rename(repo.path.parent / "moved")
    assert f"it is not there: {old_path}" in repo.tracker("forget", str(fact[0]), "--yes").err
    assert holders(home, other)
    other.ok("flush")
    repo.ok("forget", repo.head(), "--yes")
    assert holders(home, other) == []
    listed = Path(context().paths.repositories).read_text().splitlines()
    assert (str(old_path) in listed, str(other.path) in listed) == (False, True)
    assert repo.tracker("forget", str(fact[0]), "--yes").err == ""


# -- spools that grow


def test_a_spool_that_grows_loses_nothing(repo: GitRepo, home: Path, coder: str) -> None:
    """Processes append all the while, one of them through a file that it opened before: each line arrives."""
    repo.ok("forget", repo.head(), "--yes")
    spool = repo.path / ".git" / "agent-tracker" / "spool"
    head = repo.head("HEAD~1")
    fact = facts_with(SECRET, bytes.fromhex(head), coder)["grade"]
    append(str(spool.parent), fact_line(fact))
    late = os.open(spool, os.O_WRONLY | os.O_APPEND)
    program = (
        "import sys, time; from agent_tracker.journal import GradeFact; from agent_tracker.lines import fact_line;"
        "from agent_tracker.spool import append\n"
        "for i in range(300):\n"
        "    fact = GradeFact('%06x%06x' % (int(sys.argv[3]), i), bytes.fromhex(sys.argv[2]), '', 'agent', 'good',"
        " 'n' * 500, i)\n"
        "    append(sys.argv[1], fact_line(fact))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(spool.parent), head, str(number)]) for number in range(2)
    ]
    for _ in range(3):
        redact_spool(str(spool.parent), fact.id, [SECRET], timeout_s=5)
        repo.ok("forget", fact.id, "--yes")
    assert [writer.wait() for writer in writers] == [0, 0]
    last = GradeFact("ffffff000000", bytes.fromhex(head), "", "agent", "good", "late", 1)
    os.write(late, fact_line(last))
    os.close(late)
    repo.ok("flush")
    store, _ = open_store(context())
    ids = reading(store, lambda snapshot: {each.id for each in journal_tables.facts(snapshot, GradeFact)})
    assert ids == {f"{number:06x}{i:06x}" for number in range(2) for i in range(300)} | {fact.id, last.id}
    assert holders(home, repo) == []


def test_a_line_keeps_its_place_and_the_file_its_length(tmp_path: Path) -> None:
    """So what was applied of a segment is still known, and whoever has it open writes on at its end."""
    keep, gone = grade("a", "c", note="kept"), grade("b", "c", note=LONG)
    why = correction("c", "human")._replace(why=SECRET)
    path = tmp_path / "seg-00000000000000000001-abcdefab"
    before = fact_line(keep) + fact_line(gone) + credit_line(why) + b"\nnot ours\n" + fact_line(keep)
    path.write_bytes(before)
    inode = path.stat().st_ino
    assert redact_spool(str(tmp_path), fact_id("b"), [LONG], timeout_s=1) == 1
    assert redact_spool(str(tmp_path), oid("c").hex(), [SECRET], timeout_s=1) == 1
    assert redact_spool(str(tmp_path), fact_id("b"), [], timeout_s=1) == 0
    after = path.read_bytes()
    assert (len(after), path.stat().st_ino) == (len(before), inode)
    lines = [line for line in after.split(b"\n") if line]
    blank = [fact_line(keep), fact_line(gone._replace(note="")), credit_line(why._replace(why=""))]
    assert lines == [*(line.strip() for line in blank), b"not ours", fact_line(keep).strip()]


def test_a_line_half_overwritten_is_finished(tmp_path: Path) -> None:
    """It is done from its end backwards, so its id is there until the last."""
    line = fact_line(grade("b", "c", note=LONG)).strip(b"\n")
    path = tmp_path / "spool"
    for kept in (100, 4096, 8192, len(line) - 1):
        path.write_bytes(b"\n" + line[:kept] + b"\n" * (len(line) - kept) + b"\n")
        redact_spool(str(tmp_path), fact_id("b"), [], timeout_s=1)
        assert path.read_bytes().strip(b"\n") == b""


def test_a_last_line_without_an_end_is_left_to_its_writer(tmp_path: Path) -> None:
    """Somebody is writing it, and would write the rest behind what was blanked."""
    path = tmp_path / "spool"
    path.write_bytes(format_line("grade", "x")[:-1])
    before = path.read_bytes()
    assert redact_spool(str(tmp_path), "grade", ["grade"], timeout_s=1) == 0
    assert path.read_bytes() == before


def test_links_and_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    """A link in the spool's place leads nowhere, and a pipe does not hang."""
    target = tmp_path / "target"
    target.write_bytes(fact_line(grade("b", "c", note=SECRET)))
    directory = tmp_path / "spool-dir"
    directory.mkdir()
    os.mkfifo(directory / "seg-fifo")
    redact_spool(str(directory), fact_id("b"), [SECRET], timeout_s=1)
    (directory / "spool").symlink_to(target)
    with pytest.raises(SpoolError, match="cannot rewrite"):
        redact_spool(str(directory), fact_id("b"), [SECRET], timeout_s=1)
    assert SECRET.encode() in target.read_bytes()


def test_a_running_flush_is_not_waited_for_forever(tmp_path: Path) -> None:
    """The lock is the flush's own, and it has a deadline."""
    with locked(str(tmp_path / "flush.lock"), timeout_s=1), pytest.raises(SpoolError, match="another flush is running"):
        redact_spool(str(tmp_path), fact_id("b"), [], timeout_s=0.05)


# -- the store


READER = """
import sys
from agent_tracker.store import Store
from agent_tracker.verify import verify
store = Store(sys.argv[1], 16 << 20)
with store.snapshot() as snapshot:
    assert snapshot is not None
    print(len(list(snapshot.commits())), flush=True)
    sys.stdin.readline()
    print(len(list(snapshot.commits())), *verify(snapshot).problems, flush=True)
"""


def reader(path: str) -> subprocess.Popen[str]:
    """Start a process that reads the store, waits for a line, and reads it again in the same moment."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.first = process.stdout.readline().strip()  # type: ignore[attr-defined]
    return process


def test_readers_and_writers_go_on_while_the_file_is_replaced(tmp_path: Path) -> None:
    """Those that have the old one open read on; new ones read the new one; writers write to it; nothing is lost."""
    store = store_at(tmp_path)
    apply_all(store, [project_fact(), agent_fact("coder", at=NOW - 100)])
    for index in range(7):
        apply_all(
            store, [commit_fact(f"c{index}", marks=by_agent("coder")), grade(f"g{index}", f"c{index}", note=LONG)]
        )
        if index % 2:
            apply_all(store, [ForgetFact(fact_id(f"g{index}"), NOW)])
        old = reader(store.path)
        inode = Path(store.path).stat().st_ino
        store.compact(timeout_s=5)
        assert Path(store.path).stat().st_ino != inode
        assert Path(store.path).stat().st_mode & 0o777 == 0o600
        new = reader(store.path)
        apply_all(store, [commit_fact(f"d{index}", marks=by_agent("coder"))])
        newest = reader(store.path)
        count = 2 * index + 1
        firsts = [process.first for process in (old, new, newest)]  # type: ignore[attr-defined]
        assert firsts == [str(count), str(count), str(count + 1)]
        for process, expected in ((old, count), (new, count), (newest, count + 1)):
            out, _ = process.communicate("\n", timeout=60)
            assert (process.returncode, out.strip()) == (0, str(expected))
        assert problems(store) == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "store.lmdb",
        "store.lmdb-lock",
        "store.lmdb.fingerprint",
        "store.lmdb.write",
    ]


def test_what_was_killed_is_cleaned_up(tmp_path: Path) -> None:
    """A copy that a killed process left beside the database goes with the next one."""
    store = store_at(tmp_path)
    apply_all(store, [project_fact()])
    for name in ("store.lmdb.999999.new", "store.lmdb.999999.new-lock"):
        (tmp_path / name).write_bytes(b"left")
    (tmp_path / "store.lmdb.mine").write_bytes(b"mine")
    store.compact(timeout_s=5)
    names = sorted(path.name for path in tmp_path.iterdir())
    ours = ["store.lmdb", "store.lmdb-lock", "store.lmdb.fingerprint"]
    assert names == [*ours, "store.lmdb.mine", "store.lmdb.write"]


def test_a_database_behind_a_link_stays_behind_it(tmp_path: Path) -> None:
    """The file that the link leads to is replaced, not the link."""
    (tmp_path / "elsewhere").mkdir()
    store = store_at(tmp_path)
    apply_all(store, [project_fact(), agent_fact("coder")])
    real = tmp_path / "elsewhere" / "real.lmdb"
    link = Path(store.path)
    link.rename(real)
    link.symlink_to(real)
    store = Store(str(link), SIZE_BYTES)
    store.compact(timeout_s=5)
    assert link.is_symlink()
    assert not real.is_symlink()
    assert problems(store) == ()


def test_scrubbing_waits_for_a_writer_and_gives_up(tmp_path: Path) -> None:
    """The write lock keeps every writer out, and its deadline keeps it from hanging."""
    store = store_at(tmp_path)
    store.compact(timeout_s=1)
    assert not store.exists()
    apply_all(store, [project_fact()])
    before = Path(store.path).read_bytes()
    with locked(store.path + ".write", timeout_s=1), pytest.raises(StoreError, match="being written"):
        store.compact(timeout_s=0.05)
    assert Path(store.path).read_bytes() == before


def texts_of(snapshot: Snapshot) -> list[str | tuple[bytes, str, bool]]:
    """Return every text in the store, without what the order of arrival decides."""
    events = (packing.unpack_event(key, value) for key, value in snapshot.table("events").items())
    texts = [event for event in events if isinstance(event, GradeFact | BugFact | CreditFact)]
    commits = sorted((commit.oid, commit.subject, commit.status == COUNTED) for commit in snapshot.commits())
    return [*sorted(map(repr, texts)), *commits]


@pytest.mark.usefixtures("coder")
def test_backups_and_copies_of_a_migration_are_gone_through(repo: GitRepo, home: Path) -> None:
    """No byte of a text is left in any, and each of them still counts and passes."""
    repo.ok("forget", repo.head(), "--yes")
    fact = GradeFact(new_id(), bytes.fromhex(repo.head()), "", "user", "good", SECRET, time.time_ns())
    write_down(repo, fact)
    for _ in range(2):
        repo.ok("backup")
    (directory,) = (home / ".local" / "state" / "agent-tracker" / "backups").iterdir()
    newest = max(directory.glob("*.lmdb"))
    (directory / "agent-tracker-schema-1-01234567.lmdb").write_bytes(newest.read_bytes())
    assert len([path for path in holders(home, repo) if path.startswith(str(directory))]) == 3
    done = json.loads(repo.ok("forget", fact.id, "--yes", "--json"))["forgotten"]
    assert done["troubles"] == []
    assert holders(home, repo) == []
    found = json.loads(repo.ok("backups", "--check", "--json"))["backups"]["list"]
    assert [each["passes"] for each in found] == [True] * 3


@pytest.mark.usefixtures("coder")
def test_what_was_set_aside_is_named(repo: GitRepo, home: Path) -> None:
    """A database that a restore or a recovery set aside is a person's to delete; until then not all was reached."""
    repo.ok("backup")
    repo.ok("restore", "--yes")
    database = Path(context().paths.default_database)
    (kept,) = database.parent.glob("*.before-restore-*")
    damaged = database.with_name(f"{database.name}.damaged-20260101T000000Z")
    damaged.write_bytes(SECRET.encode())
    done = repo.tracker("forget", repo.head(), "--yes")
    assert done.code == 1
    assert holders(home, repo) == sorted(map(str, (kept, damaged)))
    for path in (kept, damaged):
        assert f"the text may still be in {path}" in done.err
        path.unlink()
    assert repo.tracker("forget", repo.head(), "--yes").code == 0


def test_what_was_archived_is_forgotten_too(repo: GitRepo, home: Path, coder: str) -> None:
    """By its id, which stays known: no byte is left but in the archive, which is named until a person deletes it."""
    repo.ok("forget", repo.head(), "--yes")
    fact = facts_with(SECRET, bytes.fromhex(repo.head()), coder)["activity"]
    write_down(repo, fact)
    repo.ok("backup")
    time.sleep(1)  # what is of this very second is not of before now
    ours = json.loads(repo.ok("archive", "--before", "0d", "--json"))["archived"]["path"]
    assert len(holders(home, repo)) > 2
    done = repo.tracker("forget", str(fact[0])[:8], "--yes")
    assert (done.code, f"the text may still be in {ours}: delete it" in done.err) == (1, True), done
    assert holders(home, repo) == [ours]
    kept = repo.path.parent / "kept.jsonl"
    Path(ours).rename(kept)
    assert repo.tracker("forget", str(fact[0]), "--yes").code == 0
    repo.ok("import", kept)
    assert holders(home, repo) == []
    assert repo.json("activity", "list")["activities"][0]["forgotten"]


FACTS = st.sampled_from(
    [
        *(commit_fact(name, marks=by_agent("coder")) for name in ("c0", "c1")),
        *(grade(f"g{i}", f"c{i}", note=f"{SECRET} {i}", at=NOW + i) for i in range(2)),
        bug("b", "c0", note=SECRET),
        withdrawal("b"),
        *(correction(name, "human", at=NOW + 3)._replace(why=SECRET) for name in ("c0", "c1")),
        *(ForgetFact(fact_id(name), NOW) for name in ("g0", "b")),
        ForgetFact(oid("c0").hex(), NOW),
    ]
)


@settings(UNHURRIED, max_examples=40)
@given(st.lists(FACTS, max_size=12), st.randoms(use_true_random=False), st.integers(1, 4))
def test_the_order_of_arrival_does_not_show(facts: list[Fact], random: object, parts: int) -> None:
    """Texts that must go are not there, whichever came first; the others are."""
    shuffled = list(facts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = []
    for order in (facts, shuffled):
        with tempfile.TemporaryDirectory() as directory:
            store = store_at(Path(directory))
            apply_all(store, [project_fact(), agent_fact("coder", at=NOW - 100)])
            for start in range(parts):
                apply_all(store, order[start::parts])
            assert problems(store) == ()
            found.append(reading(store, texts_of))
            targets = {fact.target for fact in facts if isinstance(fact, ForgetFact)}
            for each in found[-1]:
                if isinstance(each, tuple):
                    assert (each[1] == FORGOTTEN) is (each[0].hex() in targets)
                else:
                    is_gone = any(target in each for target in targets) or (
                        "CreditFact" in each and repr(oid("c0")) in each and oid("c0").hex() in targets
                    )
                    assert (SECRET not in each) is is_gone
    assert found[0] == found[1]


@pytest.mark.usefixtures("coder")
def test_forgetting_goes_on_where_it_was_interrupted(repo: GitRepo, home: Path) -> None:
    """The tombstone alone was written: the same command does the rest."""
    repo.ok("forget", repo.head(), "--yes")
    fact = GradeFact(new_id(), bytes.fromhex(repo.head()), "", "user", "good", SECRET, time.time_ns())
    write_down(repo, fact)
    assert note(None, context(), ForgetFact(fact.id, time.time_ns())).report
    assert holders(home, repo)
    repo.ok("forget", fact.id, "--yes")
    assert holders(home, repo) == []
    assert not flush(find_repository(str(repo.path), {}), context()).rejected


@pytest.mark.usefixtures("coder")
@pytest.mark.parametrize("digits", [7, 12, 20])
def test_a_commit_wants_its_whole_oid(repo: GitRepo, digits: int) -> None:
    """A short one is not guessed at; the hint is the command that says it in full."""
    done = repo.tracker("forget", repo.head()[:digits], "--yes")
    assert (done.code, "wants its whole oid" in done.err) == (2, True), done
    assert f"agent-tracker forget {repo.head()}" in done.err
    assert SECRET in repo.commits()[0]["task_description"]
