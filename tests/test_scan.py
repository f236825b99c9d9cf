"""Reading the history that is there already: each commit once, credited by its marks, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import agent_tracker.scan as scanning
from agent_tracker.context import Context, open_store
from agent_tracker.errors import AgentTrackerError
from agent_tracker.instructions import setup_of
from agent_tracker.locking import locked
from agent_tracker.marks import IMPORTED
from agent_tracker.paths import user_paths
from agent_tracker.records import UNCLAIMED, is_agent
from agent_tracker.registration import agent_id
from agent_tracker.repository import known_repository
from agent_tracker.scan import Scanned, scan
from agent_tracker.verify import verify
from gitrepo import GitRepo, run
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLAUDE = "Co-Authored-By: Claude <noreply@anthropic.com>"
OPUS = "Co-Authored-By: Claude Opus 4.5 <noreply@anthropic.com>"
CLAUDE_ID, OPUS_ID, CODEX_ID, DEVIN_ID = (
    agent_id(name, model, IMPORTED)
    for name, model in (("claude", "unknown"), ("claude", "opus-4.5"), ("codex", "gpt-5"), ("devin", "unknown"))
)
FIRST_AT = 1_700_000_000


def context() -> Context:
    """Return what the verb is given."""
    return Context(user_paths(os.environ), os.environ, time.time_ns())


def scanned(repo: GitRepo, *, since: int = 0, dry_run: bool = False) -> Scanned:
    """Scan a repository in this process."""
    return scan(known_repository(str(repo.path)), context(), since=since, dry_run=dry_run)


def credited() -> dict[str, str]:
    """Return whose each commit of the store is, by subject: ids joined by `+`, empty for nobody."""
    with open_store(context())[0].snapshot() as snapshot:
        assert snapshot is not None
        commits = list(snapshot.commits())
        assert len({commit.oid for commit in commits}) == len(commits)
        return {commit.subject: "+".join(name for name, _ in commit.credits) for commit in commits}


def counts() -> dict[str, int]:
    """Return how many commits each agent has in its standing."""
    with open_store(context())[0].snapshot() as snapshot:
        return {agent.id: agent.standing.total_commits for agent in snapshot.agents()} if snapshot else {}


def fast_import(repo: GitRepo, commits: list[tuple[str, str]], *, branch: str = "main") -> None:
    """Make commits of (who, message), one a second, on top of nothing."""
    parts = [f"feature done\nreset refs/heads/{branch}\n"]
    for number, (who, message) in enumerate(commits):
        text = message.encode()
        parts.append(f"commit refs/heads/{branch}\nmark :{number + 1}\n")
        parts.append(f"author {who} {FIRST_AT + number} +0000\ncommitter {who} {FIRST_AT + number} +0000\n")
        parts.append(f"data {len(text)}\n{message}\n")
        parts.append(f"from :{number}\n" if number else "")
        parts.append(f"M 644 inline f\ndata {len(str(number))}\n{number}\n")
    repo.git("fast-import", "--quiet", "--force", stdin="".join([*parts, "done\n"]))


def many(repo: GitRepo, count: int) -> None:
    """Make so many commits, every third one Claude's."""
    person = "A Person <person@example.org>"
    fast_import(repo, [(person, f"Number {n}\n\n{CLAUDE}\n" if n % 3 == 0 else f"Number {n}\n") for n in range(count)])


@pytest.fixture
def marked(repo: GitRepo) -> GitRepo:
    """A repository with commits of two models, of two agents together, and of nobody we can name."""
    repo.commit("Plain")
    repo.commit("Claude's", "-m", CLAUDE)
    repo.commit("Opus", "-m", OPUS, env={"GIT_AUTHOR_NAME": "Claude", "GIT_AUTHOR_EMAIL": "noreply@anthropic.com"})
    repo.commit("Both", "-m", f"{OPUS}\nCo-authored-by: D <1+devin-ai-integration[bot]@users.noreply.github.com>")
    return repo


def test_agents_are_found_by_their_marks(marked: GitRepo) -> None:
    """Two models are two agents, a commit of several is shared, and one without a mark is nobody's, nor a person's."""
    found = scanned(marked)
    assert (found.listed, found.new, found.stored, found.marked, found.gaps) == (4, 4, 4, 3, ())
    both = "+".join(sorted((OPUS_ID, DEVIN_ID)))
    assert credited() == {"Plain": UNCLAIMED, "Claude's": CLAUDE_ID, "Opus": OPUS_ID, "Both": both}
    assert counts() == {CLAUDE_ID: 1, OPUS_ID: 2, DEVIN_ID: 1}
    by_id = {agent.id: agent for agent in found.agents}
    assert by_id[OPUS_ID].sources == (("co-authored-by", 2), ("author", 1))
    assert by_id[OPUS_ID].share == 1_500_000


def test_imported_commits_and_agents_are_labelled_so(marked: GitRepo) -> None:
    """By the operation and the scope; the agents have no client, so that nothing live is tied to them."""
    scanned(marked)
    with open_store(context())[0].snapshot() as snapshot:
        assert snapshot is not None
        assert {commit.operation for commit in snapshot.commits()} == {IMPORTED}
        assert {(agent.scope, agent.client) for agent in snapshot.agents()} == {(IMPORTED, "")}


def test_a_second_scan_reads_what_is_new_alone(marked: GitRepo) -> None:
    """Nothing where nothing is, and one commit where one is, on whatever branch."""
    scanned(marked)
    assert scanned(marked).listed == 0
    marked.git("checkout", "-q", "-b", "other", "HEAD~2")
    marked.commit("Later", "-m", CLAUDE)
    found = scanned(marked)
    assert (found.listed, found.new) == (1, 1)
    assert counts()[CLAUDE_ID] == 2
    marked.git("branch", "-D", "main")
    assert scanned(marked).listed == 0


def test_tips_that_git_no_longer_has_are_passed_over(marked: GitRepo) -> None:
    """A branch was scanned, deleted and pruned; what is new on another is found all the same."""
    marked.git("checkout", "-q", "-b", "topic")
    marked.commit("Thrown away", "-m", CLAUDE)
    assert scanned(marked).listed == 5
    marked.git("checkout", "-q", "main")
    marked.git("branch", "-D", "topic")
    marked.git("reflog", "expire", "--expire=now", "--all")
    marked.git("gc", "-q", "--prune=now")
    marked.commit("New", "-m", CLAUDE)
    assert scanned(marked).listed == 1
    assert counts()[CLAUDE_ID] == 3


def test_a_commit_in_two_clones_counts_once(marked: GitRepo, tmp_path: Path) -> None:
    """A fact's id is the commit's oid."""
    clone = marked.clone(tmp_path / "clone")
    clone.commit("Theirs", "-m", CLAUDE)
    scanned(marked)
    found = scanned(clone)
    assert (found.listed, found.known, found.new) == (5, 4, 1)
    assert counts() == {CLAUDE_ID: 2, OPUS_ID: 2, DEVIN_ID: 1}


def test_a_dry_run_changes_nothing(marked: GitRepo, home: Path) -> None:
    """It finds the same, and there is not even a database after it."""
    found = scanned(marked, dry_run=True)
    assert not list(home.rglob("*"))[1:]
    assert scanned(marked) == found


def test_nothing_is_written_into_the_repository(marked: GitRepo) -> None:
    """Not even which project it is, where there are no hooks of ours."""
    scanned(marked)
    assert not (marked.path / ".git/agent-tracker").exists()
    assert marked.git("status", "--porcelain") == ""


# -- beside live agents


def test_what_a_hook_saw_stays_as_it_is(repo: GitRepo) -> None:
    """A commit that is stored already is not looked at again, marks or not."""
    repo.ok("install-hooks", "--no-scan")
    coder = repo.register("coder")
    repo.commit("Seen", "-m", CLAUDE, env={"AGENT_TRACKER_AGENT": "coder"})
    assert scanned(repo).new == 0
    assert credited() == {"Seen": coder}


def test_a_hook_s_late_word_counts_before_a_scan(repo: GitRepo, tmp_path: Path) -> None:
    """A clone was scanned before the spool in which the commit waits was flushed."""
    repo.ok("install-hooks", "--no-scan")
    coder = repo.register("coder")
    repo.commit("Seen", "-m", CLAUDE, env={"AGENT_TRACKER_AGENT": "coder"})
    scanned(repo.clone(tmp_path / "clone"))
    assert credited() == {"Seen": CLAUDE_ID}
    repo.ok("flush")
    assert credited() == {"Seen": coder}


def test_registering_later_changes_nothing_of_history(marked: GitRepo) -> None:
    """Neither before nor after the scan does a client's agent get what its client's marks are on."""
    before = marked.register("claude", client="claude")
    scanned(marked)
    credits = credited()
    after = marked.register("claude", model="model-2", client="claude")
    assert credited() == credits
    assert not {before, after} & set(credits.values())


def test_a_live_agent_of_the_same_name_still_commits(marked: GitRepo) -> None:
    """What history named claude does not make the name ambiguous, for the shell and for Python."""
    scanned(marked)
    marked.ok("install-hooks", "--no-scan")
    refused = marked.try_git("commit", "--allow-empty", "-m", "x", env={"AGENT_TRACKER_AGENT": "claude"})
    assert refused.code == 1
    live = marked.register("claude", client="claude")
    for number, env in enumerate(({"AGENT_TRACKER_AGENT": "claude"}, {"CLAUDECODE": "1"})):
        marked.commit(f"Live{number}", env=env)
    marked.ok("flush")
    assert {credited()[f"Live{number}"] for number in range(2)} == {live}


@pytest.mark.parametrize("argv", [("use", OPUS_ID), ("session", "start", "--agent", OPUS_ID)], ids=["use", "session"])
def test_an_agent_of_history_is_not_put_to_work(marked: GitRepo, argv: tuple[str, ...]) -> None:
    """It would mix what was with what is; the hint says how to register one."""
    marked.ok("install-hooks", "--scan")
    done = marked.tracker(*argv)
    assert done.code == 1
    assert "found in history" in done.err
    assert "register" in done.err


def test_an_amend_of_an_imported_commit_counts_once(marked: GitRepo) -> None:
    """The work goes on in the new commit, shared with whoever amended it."""
    marked.ok("install-hooks", "--no-scan")
    marked.register("coder")
    scanned(marked)
    marked.write("more.txt", "one\n")
    marked.git("add", "more.txt")
    marked.git("commit", "-q", "--amend", "-m", "Amended", env={"AGENT_TRACKER_AGENT": "coder"})
    marked.ok("flush")
    assert counts()[OPUS_ID] == 2
    assert {OPUS_ID, DEVIN_ID} < set(credited()["Amended"].split("+"))


# -- killed


def scan_by_chunks(repo: GitRepo, *, kill_after: int = -1, size: int = 5) -> subprocess.CompletedProcess[bytes]:
    """Scan in a process of its own, which is killed in the transaction after so many."""
    program = (
        "import os, signal, sys, time\n"
        "import agent_tracker.scan as s\n"
        "from agent_tracker.context import Context\n"
        "from agent_tracker.paths import user_paths\n"
        "from agent_tracker.repository import known_repository\n"
        "s.CHUNK, left, real = int(sys.argv[2]), int(sys.argv[3]), s.apply\n"
        "def apply(*args, **kwargs):\n"
        "    global left\n"
        "    applied = real(*args, **kwargs)\n"
        "    if left == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    left -= 1\n"
        "    return applied\n"
        "s.apply = apply\n"
        "found = s.scan(known_repository(sys.argv[1]), Context(user_paths(os.environ), os.environ, time.time_ns()))\n"
        "print(found.listed, found.new)\n"
    )
    argv = [sys.executable, "-c", program, str(repo.path), str(size), str(kill_after)]
    return subprocess.run(argv, capture_output=True, check=False, timeout=120)


def test_a_scan_that_is_killed_goes_on_where_it_was(repo: GitRepo) -> None:
    """In each transaction: what was applied is not read again, and nothing counts twice."""
    many(repo, 20)
    done = 0
    for kill_after in (0, 1, 0, 2):
        assert scan_by_chunks(repo, kill_after=kill_after).returncode == -signal.SIGKILL
        done += 5 * kill_after
        assert sum(counts().values()) == sum(1 for n in range(done) if n % 3 == 0)
    assert scan_by_chunks(repo).stdout.split() == [b"5", b"5"]
    assert counts() == {CLAUDE_ID: 7}


def test_a_scan_that_is_killed_at_any_moment_loses_and_doubles_nothing(repo: GitRepo) -> None:
    """As a person would, by the clock."""
    many(repo, 60)
    argv = [sys.executable, "-m", "agent_tracker", "scan", str(repo.path)]
    for delay_s in (0.05, 0.15, 0.25, 0.35, 0.45):
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay_s)
        process.kill()
        process.wait()
    scanned(repo)
    assert counts() == {CLAUDE_ID: 20}
    assert len(credited()) == 60


def test_two_scans_at_once_are_refused(marked: GitRepo) -> None:
    """The second one says so."""
    scanned(marked)
    with (
        locked(f"{context().paths.spool_dir}/scan.lock", timeout_s=0),
        pytest.raises(AgentTrackerError, match="another scan"),
    ):
        scanned(marked)


# -- clones that lack something


def test_a_shallow_clone_says_what_is_missing_and_is_read_on_later(repo: GitRepo, tmp_path: Path) -> None:
    """What came before is read once it is there."""
    many(repo, 9)
    run("git", "clone", "-q", "--depth=2", f"file://{repo.path}", tmp_path / "shallow", cwd=tmp_path)
    shallow = GitRepo(tmp_path / "shallow")
    found = scanned(shallow)
    assert found.listed == 2
    assert "shallow" in found.gaps[0]
    assert scanned(shallow).listed == 0
    shallow.git("fetch", "-q", "--unshallow")
    found = scanned(shallow)
    assert (found.new, found.gaps) == (7, ())
    assert counts() == {CLAUDE_ID: 3}


@pytest.mark.parametrize("kind", ["blob:none", "tree:0"])
def test_a_partial_clone_fetches_nothing(marked: GitRepo, tmp_path: Path, kind: str) -> None:
    """With its remote out of reach all commits are found; only what a tree would have said is not known."""
    marked.git("config", "uploadpack.allowFilter", "true")
    marked.commit("Told", "-m", CLAUDE, text="x")
    target = tmp_path / "partial"
    run("git", "clone", "-q", "--no-checkout", f"--filter={kind}", f"file://{marked.path}", target, cwd=tmp_path)
    marked.path.rename(tmp_path / "gone")
    objects = sorted((target / ".git/objects").rglob("*"))
    found = scanned(GitRepo(target))
    assert found.new == 5
    assert kind in found.gaps[0]
    assert sorted((target / ".git/objects").rglob("*")) == objects
    assert counts()[CLAUDE_ID] == 2


# -- what leads to history, and what is kept of a commit


def test_stashes_notes_and_refs_of_tools_are_no_history(marked: GitRepo) -> None:
    """A branch, a remote branch, a tag and a worktree's HEAD are."""
    marked.git("update-ref", "refs/pull/1/head", marked.git("commit-tree", "HEAD^{tree}", "-m", "Proposed"))
    marked.git("tag", "-a", "-m", "tag", "v1", marked.git("commit-tree", "HEAD^{tree}", "-m", "Tagged"))
    marked.git("tag", "blob", marked.git("hash-object", "-w", "--stdin", stdin="x"))
    marked.git("update-ref", "refs/remotes/r/b", marked.git("commit-tree", "HEAD^{tree}", "-m", "Remote"))
    marked.write("Plain.txt", "changed\n")
    marked.git("stash")
    marked.git("notes", "add", "-m", "a note")
    marked.git("worktree", "add", "-q", "--detach", marked.path.parent / "tree")
    GitRepo(marked.path.parent / "tree").commit("Detached")
    scanned(marked)
    assert credited().keys() == {"Plain", "Claude's", "Opus", "Both", "Tagged", "Remote", "Detached"}


def test_a_squash_merge_s_list_of_co_authors_shares_it(repo: GitRepo) -> None:
    """People in it take no share: marks say who else was there, not how much they did."""
    tail = f"* one\n\n* two\n\n---------\n\nCo-authored-by: A <a@b.example>\n{CLAUDE}\n{OPUS}"
    repo.commit("Squashed", "-m", tail)
    scanned(repo)
    assert credited() == {"Squashed": OPUS_ID}


def test_the_mailmap_tells_who_a_person_is(repo: GitRepo) -> None:
    """An agent's local address is the agent's; what the commit itself says is not taken away."""
    repo.commit("Local", env={"GIT_AUTHOR_NAME": "bot", "GIT_AUTHOR_EMAIL": "bot@localhost"})
    repo.commit("Aider", env={"GIT_AUTHOR_NAME": "Jane (aider)", "GIT_AUTHOR_EMAIL": "jane@work.example"})
    jane = "Jane <jane@home.example> <jane@work.example>"
    repo.write(".mailmap", f"Claude <noreply@anthropic.com> <bot@localhost>\n{jane}\n")
    scanned(repo)
    assert credited() == {"Local": CLAUDE_ID, "Aider": agent_id("aider", "unknown", IMPORTED)}


def test_a_hostile_mailmap_is_passed_over(marked: GitRepo) -> None:
    """It is a file like any other: bytes, lines without an end, a million of them."""
    (marked.path / ".mailmap").write_bytes(b"\xff\xfe<<<>>>\n" + b"<" * 100_000 + b"\n" + b"a <b> <c>\n" * 100_000)
    found = scanned(marked)
    assert found.marked == 3


def test_notes_of_git_ai_tell_the_agent_and_its_model(repo: GitRepo) -> None:
    """Of a commit that says nothing itself; a note that is none is passed over."""
    repo.commit("Noted")
    data = '{"sessions": {"s_1": {"agent_id": {"tool": "codex", "id": "1", "model": "gpt-5"}}}}'
    repo.git("notes", "--ref=ai", "add", "-m", f"f\n  s_1::t_1 1\n---\n{data}", "HEAD")
    repo.commit("Other")
    repo.git("notes", "--ref=ai", "add", "-m", "not json\n---\n{", "HEAD")
    found = scanned(repo)
    assert credited() == {"Noted": CODEX_ID, "Other": UNCLAIMED}
    assert found.agents[0].sources == (("note", 1),)


def test_the_setup_of_a_marked_commit_is_known(repo: GitRepo) -> None:
    """From its own tree, as a hook's is."""
    repo.write("CLAUDE.md", "rules\n")
    repo.commit("Marked", "-m", CLAUDE)
    scanned(repo)
    with open_store(context())[0].snapshot() as snapshot:
        assert snapshot is not None
        (commit,) = snapshot.commits()
        assert [path for path, _ in setup_of(snapshot.marks(commit.marks)).files] == ["CLAUDE.md"]


def test_fixes_and_reverts_are_counted(repo: GitRepo) -> None:
    """By what messages say, and by a tree that is what it was before, which nobody announces."""
    repo.commit("First")
    repo.commit("One", "-m", CLAUDE)
    repo.git("revert", "--no-edit", "HEAD")
    repo.commit("Two", "-m", CLAUDE)
    repo.git("rm", "-q", "Two.txt")
    repo.git("commit", "-q", "-m", "Quietly")
    repo.commit("fix: three", "-m", CLAUDE)
    (claude, nobody) = scanned(repo).agents
    assert (claude.commits, claude.reverted, claude.fixes) == (3, 2, 1)
    assert (nobody.id, nobody.commits, nobody.reverted) == (UNCLAIMED, 3, 0)


def test_a_revert_is_told_when_the_reverted_commit_was_scanned_before(repo: GitRepo) -> None:
    """The store knows whose it is, and git what its tree was."""
    repo.commit("First")
    repo.commit("One", "-m", CLAUDE)
    scanned(repo)
    repo.git("rm", "-q", "One.txt")
    repo.git("commit", "-q", "-m", "Quietly", "-m", OPUS)
    scanned(repo)
    with open_store(context())[0].snapshot() as snapshot:
        assert snapshot is not None
        newest = next(iter(snapshot.commits()))
        assert ("restores", repo.head("HEAD~1")) in snapshot.marks(newest.marks)


def test_since_leaves_out_what_is_older_until_all_is_asked_for(repo: GitRepo) -> None:
    """A scan without it reads the rest, and counts nothing twice."""
    many(repo, 10)
    assert scanned(repo, since=FIRST_AT + 7).new == 3
    assert scanned(repo, since=FIRST_AT + 8).listed == 0
    assert scanned(repo).new == 7
    assert counts() == {CLAUDE_ID: 4}


# -- the same work twice


def test_work_that_was_copied_counts_once(repo: GitRepo, tmp_path: Path) -> None:
    """A cherry-pick on a release branch, a rebased branch, and the branch as it was before."""
    repo.commit("Base")
    repo.git("checkout", "-q", "-b", "topic")
    repo.commit("Topic work", "-m", CLAUDE)
    repo.git("checkout", "-q", "-b", "release", "main")
    repo.commit("Release notes")
    repo.git("cherry-pick", "topic")
    repo.git("checkout", "-q", "-b", "rebased", "topic")
    repo.git("rebase", "-q", "release~1", env={"GIT_COMMITTER_DATE": f"{FIRST_AT} +0000"})
    found = scanned(repo)
    assert (found.new, found.copies) == (5, 2)
    assert counts() == {CLAUDE_ID: 1}
    assert {agent.id: agent.commits for agent in found.agents} == {CLAUDE_ID: 1, UNCLAIMED: 2}
    clone = repo.clone(tmp_path / "clone")
    clone.git("checkout", "-q", "origin/release~1")
    clone.git("cherry-pick", "origin/topic", env={"GIT_COMMITTER_DATE": f"{FIRST_AT + 1} +0000"})
    assert (scanned(clone).copies, counts()) == (1, {CLAUDE_ID: 1})


def test_a_dry_run_counts_copies_as_a_scan_does(repo: GitRepo) -> None:
    """What it shows is what comes."""
    repo.commit("Base")
    repo.git("checkout", "-q", "-b", "topic")
    repo.commit("Topic work", "-m", CLAUDE)
    repo.git("checkout", "-q", "-b", "other", "main")
    repo.commit("Other work")
    repo.git("cherry-pick", "topic")
    assert scanned(repo, dry_run=True) == scanned(repo)


@pytest.mark.parametrize(
    "second",
    [
        pytest.param({"parent": "first"}, id="on-top"),
        pytest.param({"file": "other"}, id="other-files"),
        pytest.param({"written_at": FIRST_AT + 1}, id="another-second"),
        pytest.param({"name": "Somebody"}, id="another-author"),
        pytest.param({"message": f"The same\n\n{CLAUDE}"}, id="another-agent"),
    ],
)
def test_what_only_looks_alike_counts_for_itself(repo: GitRepo, second: dict[str, object]) -> None:
    """A script makes several commits within a second, with one subject."""
    base = repo.commit("Base")

    def make(parent: str, file: str, *, written_at: int = FIRST_AT, name: str = "A", message: str = "The same") -> str:
        repo.git("read-tree", parent)
        blob = repo.git("hash-object", "-w", "--stdin", stdin=f"{parent}{file}")
        repo.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{file}")
        env = {"GIT_AUTHOR_DATE": f"{written_at} +0000", "GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": "a@b.example"}
        return repo.git("commit-tree", "-p", parent, repo.git("write-tree"), "-m", message, env=env)

    first = make(base, "file")
    parent = first if second.pop("parent", "") else base
    between = parent if parent == first else make(base, "between", message="Between")
    last = make(between, str(second.pop("file", "file")), **second)  # type: ignore[arg-type]
    for name, oid in (("one", first), ("two", last)):
        repo.git("update-ref", f"refs/heads/{name}", oid)
    found = scanned(repo)
    assert found.copies == 0


# -- hostile histories


def raw_commit(repo: GitRepo, head: bytes, message: bytes, ref: str) -> None:
    """Write a commit object, whatever it holds, and a ref to it."""
    tree = repo.git("mktree").encode()
    path = repo.path / "object"
    path.write_bytes(b"tree " + tree + b"\n" + head + b"\n\n" + message)
    oid = repo.git("hash-object", "-t", "commit", "--literally", "-w", path)
    repo.git("update-ref", f"refs/heads/{ref}", oid)
    path.unlink()


PERSON = b"author A <a@b> 1700000000 +0000\ncommitter A <a@b> 1700000000 +0000"


def test_a_hostile_history_is_read_to_its_end(repo: GitRepo) -> None:
    """Messages of ten megabytes, encodings that take for ever, control characters, times and people that are none."""
    claude = b"\n\n" + CLAUDE.encode()
    raw_commit(repo, PERSON, b"Long\n\n" + b"word " * 2_000_000 + claude, "long")
    raw_commit(repo, PERSON, b"Lines\n" + b"\n" * 3_000_000 + claude, "lines")
    raw_commit(repo, PERSON + b"\nencoding punycode", b"Puny" + b"-" * 200_000 + claude, "puny")
    raw_commit(repo, PERSON + b"\nencoding unicode_escape", b"Esc \\d" + claude, "escape")
    raw_commit(repo, PERSON + b"\nencoding \xff\x00", b"Enc \xff" + claude, "encoding")
    raw_commit(repo, PERSON, b"Ctl \x1b[31m\x00\x07\r" + claude, "control")
    raw_commit(repo, b"author\ncommitter < 99999999999999999999 +0000", b"Nobody" + claude, "nobody")
    raw_commit(repo, PERSON.replace(b"A <", b"\xff\x00\x1b <"), b"Bytes" + claude, "bytes")
    raw_commit(repo, PERSON, b"", "empty")
    raw_commit(repo, PERSON, b"Ref" + claude, "$(touch${IFS}x)\u202e;'")
    assert scanned(repo).new == 10
    subjects = credited()
    assert len(subjects) == 10
    assert sum(map(is_agent, subjects.values())) >= 6
    assert not subjects["Long"]
    shown = repo.ok("scan", "--dry-run", repo.path) + repo.ok("log") + repo.ok("agents")
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_a_history_that_names_many_agents_registers_some(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others' commits stay unclaimed, and it is said."""
    monkeypatch.setattr(scanning, "MAX_AGENTS", 3)
    person = "A <a@b.example>"
    trailers = [f"Co-Authored-By: Claude Opus {number} <noreply@anthropic.com>" for number in range(5)]
    fast_import(repo, [(person, f"Number {number}\n\n{line}\n") for number, line in enumerate(trailers)])
    found = scanned(repo)
    assert len(counts()) == 3
    assert "more than 3 agents" in found.gaps[0]
    assert sum(1 for who in credited().values() if not who) == 2


def test_a_giant_history_leaves_out_what_nobody_marked(repo: GitRepo) -> None:
    """Where it would fill half of the database; and says so."""
    repo.ok("config", "set", "maxDatabaseSize", "1000000")
    many(repo, 2100)
    found = scanned(repo)
    assert found.is_marked_only
    assert (found.new, found.stored) == (2100, 700)
    assert counts() == {CLAUDE_ID: 700}
    assert scanned(repo).listed == 0


def test_what_replaces_a_commit_is_not_read_in_its_place(marked: GitRepo) -> None:
    """An oid means the commit that has it."""
    other = marked.git("commit-tree", "HEAD^{tree}", "-m", "Replaced", "-m", CLAUDE)
    marked.git("replace", marked.head("HEAD~3"), other)
    scanned(marked)
    assert credited()["Plain"] == UNCLAIMED


# -- the command


def test_the_command_shows_what_it_found_and_how_it_knows(marked: GitRepo) -> None:
    """A line for the repository, a row for each agent, and the figures again as JSON."""
    dry = marked.ok("scan", "--dry-run")
    assert "Would add 4 commits" in dry
    rows = {line.split()[0]: line for line in marked.ok("scan").splitlines()}
    assert "co-authored-by 2, author 1" in rows[OPUS_ID]
    assert "opus-4.5" in rows[OPUS_ID]
    assert rows["unclaimed"].split()[3:5] == ["1", "1"]
    assert "Nothing new" in marked.ok("scan")
    shown = marked.json("scan", "--dry-run")
    assert shown["version"] == 1
    assert shown["scan"]["repositories"][0]["commits_read"] == 0


def test_a_narrow_terminal_shows_what_matters(marked: GitRepo) -> None:
    """Name and model instead of the id, on one line each."""
    with Terminal("scan", "--dry-run", cwd=marked.path, size=(80, 24)) as terminal:
        shown = terminal.until("many agents leave none")
    assert "opus-4.5" in shown
    assert "unclaimed" in shown
    assert OPUS_ID not in shown


def test_one_repository_that_fails_does_not_stop_the_rest(marked: GitRepo, tmp_path: Path) -> None:
    """The exit code tells, and a bare one is read as well."""
    bare = tmp_path / "bare.git"
    run("git", "clone", "-q", "--bare", marked.path, bare, cwd=tmp_path)
    done = marked.tracker("scan", tmp_path / "nothing", bare, marked.path)
    assert done.code == 1
    assert "not a git repository" in done.err
    assert counts() == {CLAUDE_ID: 1, OPUS_ID: 2, DEVIN_ID: 1}


def test_nothing_is_asked_or_scanned_in_a_pipe(marked: GitRepo) -> None:
    """Installing hooks in a script reads no history unless it is told to; then it ends with the comparison."""
    assert "opus" not in marked.ok("install-hooks", stdin="y\n")
    assert counts() == {}
    shown = marked.ok("install-hooks", "--scan")
    assert shown.index("Added 4 commits") < shown.index("LAST SEEN") < shown.index(OPUS_ID)
    assert "Next: agent-tracker register" in marked.ok("install-hooks")


@pytest.mark.parametrize(("answer", "commits"), [("y", 2), ("n", 0)])
def test_a_person_at_a_terminal_is_asked(marked: GitRepo, answer: str, commits: int) -> None:
    """Once: where the history was read, nobody is asked again."""
    with Terminal("install-hooks", "--no-auto-register", cwd=marked.path) as terminal:
        terminal.until("[Y/n]")
        terminal.send(f"{answer}\n")
        assert terminal.code() == 0
    assert counts().get(OPUS_ID, 0) == commits
    if commits:
        with Terminal("install-hooks", "--no-auto-register", cwd=marked.path) as terminal:
            assert terminal.code() == 0
            assert "[Y/n]" not in terminal.shown


def test_a_truth_that_is_known_is_found(make_repo: Callable[..., GitRepo]) -> None:
    """Of 300 commits with marks and what only looks like one, each agent's are found, and nobody else's."""
    repo = make_repo()
    person = "Claude Martin <claude@martin.example>"
    kinds = [
        (person, "Plain", UNCLAIMED),
        (person, f"Trailer\n\n{CLAUDE}", CLAUDE_ID),
        (person, f"Quoted\n\nThey wrote\n\n{CLAUDE}\n\nand more.", UNCLAIMED),
        (person, f"{CLAUDE}", UNCLAIMED),
        (person, "Review\n\nCo-authored-by: Copilot <175728472+Copilot@users.noreply.github.com>", UNCLAIMED),
        ("dependabot[bot] <49699333+dependabot[bot]@users.noreply.github.com>", "Bump", UNCLAIMED),
        ("Ashwin <ashwin@anthropic.com>", "Employee", UNCLAIMED),
        ("Claude <noreply@anthropic.com>", f"Author\n\n{OPUS}", OPUS_ID),
        (person, "Footer\n\n\N{ROBOT FACE} Generated with [Claude Code](https://claude.com/claude-code)", CLAUDE_ID),
        (person, "Kernel\n\nAssisted-by: Codex:gpt-5", CODEX_ID),
    ]
    fast_import(repo, [(who, text.replace("\n", f" {n}\n", 1)) for n in range(30) for who, text, _ in kinds])
    found = {agent.id: agent.commits for agent in scanned(repo).agents}
    truth = [who for _, _, who in kinds]
    assert found == {who: 30 * truth.count(who) for who in truth}
    with open_store(context())[0].snapshot() as snapshot:
        assert snapshot is not None
        assert verify(snapshot).problems == ()
