"""Git by its own executable: objects read in one go, lines counted, and a clean environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agent_tracker.errors import GitError
from agent_tracker.git import (
    BATCH,
    changed_lines,
    clean_environment,
    config_get,
    config_set,
    read_commits,
    resolve_commit,
    run,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gitrepo import GitRepo


def common(repo: GitRepo) -> str:
    """Return a repository's common directory."""
    return str(repo.path / ".git")


def raw(repo: GitRepo, revision: str = "HEAD") -> bytes:
    """Return an oid."""
    return bytes.fromhex(repo.head(revision))


def test_a_loose_commit(repo: GitRepo) -> None:
    """Parents, people, time and the whole message."""
    repo.commit("one")
    repo.commit("two\n\nbody\n\nAgent: x", env={"GIT_COMMITTER_DATE": "1700000000 +0200", "GIT_COMMITTER_NAME": "C"})
    found = read_commits(common(repo), [raw(repo)])[raw(repo)]
    assert found.parents == (raw(repo, "HEAD~1"),)
    assert found.author == "A Person <person@example.org>"
    assert found.committer == "C <person@example.org>"
    assert found.committed_at == 1_700_000_000
    assert found.message == "two\n\nbody\n\nAgent: x\n"


def test_packed_commits(repo: GitRepo) -> None:
    """After gc, the same is read."""
    repo.commit("one")
    repo.commit("two")
    before = read_commits(common(repo), [raw(repo), raw(repo, "HEAD~1")])
    repo.git("gc", "-q")
    assert read_commits(common(repo), [raw(repo), raw(repo, "HEAD~1")]) == before
    assert len(before) == 2


def test_what_git_does_not_have_is_left_out(repo: GitRepo) -> None:
    """A commit that is gone, and an object that is no commit."""
    repo.commit("one")
    tree = raw(repo, "HEAD^{tree}")
    assert read_commits(common(repo), [bytes(20), tree, raw(repo), b"\xff" * 20]).keys() == {raw(repo)}


def test_nothing_is_asked_for_nothing(tmp_path: Path) -> None:
    """No process is started, so the directory need not be a repository."""
    assert read_commits(str(tmp_path), []) == {}


def test_more_commits_than_one_batch(repo: GitRepo) -> None:
    """Requests and answers keep in step over several batches, with repetitions and gaps."""
    stream = "".join(
        f"commit refs/heads/main\ncommitter C <c@example.org> {1_700_000_000 + i} +0000\ndata 4\nc{i:03d}\n"
        for i in range(2 * BATCH + 50)
    )
    repo.git("fast-import", "--quiet", stdin=stream)
    oids = [bytes.fromhex(line) for line in repo.git("rev-list", "main").split()]
    gaps = [
        oid
        for index, oid in enumerate(oids)
        for oid in ([oid, oid, index.to_bytes(20, "big")] if index % 7 == 0 else [oid])
    ]
    found = read_commits(common(repo), gaps)
    assert found.keys() == set(oids)
    assert [found[oid].message for oid in oids] == [f"c{i:03d}" for i in reversed(range(2 * BATCH + 50))]


def test_a_repository_that_is_none_is_a_git_error(tmp_path: Path) -> None:
    """Git ends at once; that is no answer."""
    with pytest.raises(GitError):
        read_commits(str(tmp_path), [bytes(20)])


def test_no_git_is_a_git_error(repo: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where git is not installed, the hint says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for ask in (lambda: read_commits(common(repo), [bytes(20)]), lambda: run(["status"], cwd=str(repo.path))):
        with pytest.raises(GitError, match="cannot run git") as caught:
            ask()
        assert "install git" in caught.value.hint


def hashed(repo: GitRepo, *headers: bytes, message: bytes = b"m\n") -> bytes:
    """Write a commit object as it stands and return its oid."""
    tree = repo.git("hash-object", "-t", "tree", "-w", "--stdin")
    body = b"tree " + tree.encode() + b"\n" + b"".join(header + b"\n" for header in headers) + b"\n" + message
    text = body.decode("utf-8", "surrogateescape")
    return bytes.fromhex(repo.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=text))


PERSON = b"P <p@example.org> 1700000000 +0000"


@pytest.mark.parametrize(
    ("encoding", "message", "expected"),
    [
        pytest.param(b"ISO-8859-1", b"caf\xe9\n", "café\n", id="latin-1"),
        pytest.param(b"", "日本\n".encode(), "日本\n", id="utf-8"),
        pytest.param(b"Shift_JIS", "日本\n".encode("shift_jis"), "日本\n", id="shift-jis"),
        pytest.param(b"no-such-encoding", b"caf\xc3\xa9\n", "café\n", id="unknown-encoding"),
        pytest.param(b"", b"caf\xe9\n", "caf\ufffd\n", id="undeclared"),
        pytest.param(b"ascii", b"caf\xc3\xa9\n", "café\n", id="wrongly-declared"),
        pytest.param(b"rot13", b"abc\n", "abc\n", id="codec-that-is-no-encoding"),
        pytest.param(b"\xff\x00", b"abc\n", "abc\n", id="encoding-not-a-name"),
    ],
)
def test_odd_encodings(repo: GitRepo, encoding: bytes, message: bytes, expected: str) -> None:
    """A message is decoded as it says, else as UTF-8 with replacements: never an exception."""
    headers = [b"author " + PERSON, b"committer " + PERSON, *([b"encoding " + encoding] if encoding else [])]
    oid = hashed(repo, *headers, message=message)
    assert read_commits(common(repo), [oid])[oid].message == expected


@pytest.mark.parametrize(
    ("committer", "who", "at"),
    [
        pytest.param(b"P <p@example.org> 1700000000 +0000", "P <p@example.org>", 1_700_000_000, id="usual"),
        pytest.param(b"P <p@example.org> -5 +0000", "P <p@example.org>", 0, id="before-1970"),
        pytest.param(b"P <p@example.org> 99999999999999999999 +0000", "P <p@example.org>", (1 << 40) - 1, id="far-off"),
        pytest.param(b"P <p@example.org> soon +0000", "P <p@example.org>", 0, id="no-number"),
        pytest.param(b"P> <p@example.org> 7 +0000", "P> <p@example.org>", 7, id="bracket-in-name"),
        pytest.param(b"<> 7 +0000", "<>", 7, id="nobody"),
    ],
)
def test_odd_people_and_times(repo: GitRepo, committer: bytes, who: str, at: int) -> None:
    """Whatever old tools wrote is read; times are kept within what the store can sort."""
    oid = hashed(repo, b"author " + PERSON, b"committer " + committer)
    found = read_commits(common(repo), [oid])[oid]
    assert (found.committer, found.committed_at) == (who, at)


def test_a_commit_without_people_is_read(repo: GitRepo) -> None:
    """A broken object is no reason to stop."""
    oid = hashed(repo)
    assert read_commits(common(repo), [oid])[oid].committed_at == 0


def test_a_signature_is_not_taken_for_headers(repo: GitRepo) -> None:
    """Continuation lines of a header begin with a blank."""
    signature = b"gpgsig -----BEGIN\n author Impostor <i@example.org> 1 +0000\n -----END"
    oid = hashed(repo, b"author " + PERSON, b"committer " + PERSON, signature, message=b"subject\n\nbody\n")
    found = read_commits(common(repo), [oid])[oid]
    assert (found.author, found.message) == ("P <p@example.org>", "subject\n\nbody\n")


# -- lines


@pytest.fixture
def lined(repo: GitRepo) -> GitRepo:
    """A repository with commits of 3, 2 and 5 changed lines: HEAD~2, HEAD~1, HEAD."""
    repo.commit("one", text="1\n2\n3\n")
    repo.commit("two", text="1\n2\n")
    repo.commit("one again", text="1\n4\n5\n6\n")
    return repo


def test_lines_come_in_the_order_of_the_questions(lined: GitRepo) -> None:
    """Added and deleted together; a root commit against nothing."""
    oids = [raw(lined, f"HEAD~{back}") for back in (0, 2, 1)]
    assert changed_lines(common(lined), [(oid, None) for oid in oids], timeout_s=10) == [5, 3, 2]


def test_a_commit_asked_twice_is_answered_twice(lined: GitRepo) -> None:
    """Also in a row, and alone or against a base."""
    head, root = raw(lined), raw(lined, "HEAD~2")
    pairs = [(head, None), (head, None), (head, root), (head, None), (root, None), (head, head)]
    assert changed_lines(common(lined), pairs, timeout_s=10) == [5, 5, 7, 5, 3, 0]


def test_a_chain_of_amends_is_weighed(lined: GitRepo) -> None:
    """Each commit once against what it amended, once against its own parent: no answer colours another."""
    first = raw(lined)
    lined.write("one.txt", "1\n4\n5\n6\n7\n")
    lined.git("commit", "-q", "--all", "--amend", "-m", "more")
    pairs = [(first, None), (raw(lined), first), (raw(lined), None)]
    assert changed_lines(common(lined), pairs, timeout_s=10) == [5, 1, 6]


def test_commits_without_lines_count_nothing(lined: GitRepo) -> None:
    """An empty commit, and one with a binary file only, keep their place in the answer."""
    lined.git("commit", "-q", "--allow-empty", "-m", "empty")
    (lined.path / "blob").write_bytes(bytes(range(256)))
    lined.git("add", "blob")
    lined.git("commit", "-q", "-m", "binary")
    pairs = [(raw(lined), None), (raw(lined, "HEAD~1"), None), (raw(lined, "HEAD~2"), None)]
    assert changed_lines(common(lined), pairs, timeout_s=10) == [0, 0, 5]


def test_a_renamed_file_counts_only_what_changed(lined: GitRepo) -> None:
    """Moving a file is not writing it."""
    lined.git("mv", "one.txt", 'tab\tand "quotes"')
    lined.git("commit", "-q", "-m", "move")
    assert changed_lines(common(lined), [(raw(lined), None)], timeout_s=10) == [0]


def test_a_merge_keeps_its_place(lined: GitRepo) -> None:
    """A merge is answered with a number of its own, and its neighbours keep theirs."""
    lined.git("checkout", "-q", "-b", "side", "HEAD~1")
    lined.commit("side")
    lined.git("merge", "-q", "--no-edit", "main")
    answers = changed_lines(
        common(lined), [(raw(lined, "main"), None), (raw(lined), None), (raw(lined, "main"), None)], timeout_s=10
    )
    assert (len(answers), answers[0], answers[2]) == (3, 5, 5)


def test_no_questions_have_no_answers(lined: GitRepo) -> None:
    """An empty list is a list."""
    assert changed_lines(common(lined), [], timeout_s=10) == []


def test_a_commit_that_is_gone_is_a_git_error(lined: GitRepo) -> None:
    """Half an answer is not passed off as one."""
    with pytest.raises(GitError):
        changed_lines(common(lined), [(raw(lined), None), (bytes(20), None)], timeout_s=10)


def test_the_user_s_diff_settings_change_nothing(lined: GitRepo) -> None:
    """External diffs, text conversion, colours and relative paths are the user's for reading."""
    for key, value in (
        ("diff.external", "false"),
        ("color.ui", "always"),
        ("diff.noprefix", "true"),
        ("diff.relative", "true"),
    ):
        lined.git("config", key, value)
    (lined.path / ".git" / "info").mkdir(exist_ok=True)
    (lined.path / ".git" / "info" / "attributes").write_text("*.txt diff=odd\n")
    lined.git("config", "diff.odd.textconv", "false")
    assert changed_lines(common(lined), [(raw(lined), None)], timeout_s=10) == [5]


# -- asking


def test_a_hook_s_variables_do_not_reach_git(repo: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Git sets GIT_DIR and GIT_INDEX_FILE for a hook; a question about another repository must not see them."""
    repo.commit("one")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nothing"))
    assert "GIT_DIR" not in clean_environment()
    assert run(["rev-parse", "HEAD"], cwd=str(repo.path)).strip()
    assert "GIT_DIR" in os.environ


def test_a_failure_names_command_place_and_reason(repo: GitRepo) -> None:
    """The last line of what git says is in the message."""
    with pytest.raises(GitError, match=r"git rev-list failed in .*: .+"):
        run(["rev-list", "nothing"], cwd=str(repo.path))


def test_a_timeout_is_a_git_error(repo: GitRepo) -> None:
    """Nobody waits for a git that hangs."""
    with pytest.raises(GitError, match=r"longer than 0\.2 s"):
        run(["-c", "alias.wait=!sleep 5", "wait"], cwd=str(repo.path), timeout_s=0.2)


def test_configuration_is_set_and_taken_out(repo: GitRepo) -> None:
    """Setting twice keeps one value; an empty one takes it out, twice without error."""
    cwd = str(repo.path)
    assert not config_get("agenttracker.policy", cwd=cwd)
    for value in ("warn", "off", "", ""):
        config_set("agenttracker.policy", value, cwd=cwd)
        assert config_get("agenttracker.policy", cwd=cwd) == value


@pytest.mark.parametrize("revision", ["HEAD", "main", "v1", "HEAD~0"])
def test_a_revision_is_resolved_to_its_commit(repo: GitRepo, revision: str) -> None:
    """A tag object leads to what it tags."""
    repo.commit("one")
    repo.git("tag", "-a", "-m", "tag", "v1")
    assert resolve_commit(revision, git_dir=common(repo)) == raw(repo)
    assert resolve_commit(repo.head()[:8], git_dir=common(repo)) == raw(repo)


@pytest.mark.parametrize("revision", ["nothing", "", "--all", "HEAD^{tree}", "-h", "HEAD..HEAD", "a b", "$(x)"])
def test_what_names_no_commit_is_an_error(repo: GitRepo, revision: str) -> None:
    """An option is not taken for one, and the error shows what was asked."""
    repo.commit("one")
    with pytest.raises(GitError, match="no commit"):
        resolve_commit(revision, git_dir=common(repo))


def test_a_linked_worktree_has_its_own_head(repo: GitRepo, tmp_path: Path) -> None:
    """The revision is read where the commit was made."""
    repo.commit("one")
    repo.git("worktree", "add", "-q", "-b", "other", tmp_path / "linked")
    linked = type(repo)(tmp_path / "linked")
    linked.commit("two")
    assert resolve_commit("HEAD", git_dir=linked.git("rev-parse", "--absolute-git-dir")) == raw(linked) != raw(repo)
