"""What commits changed, as sums: real patches of odd contents, and that sums add up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_tracker.changes import read_changes
from agent_tracker.origins import lines_of
from gitrepo import GitRepo

if TYPE_CHECKING:
    from agent_tracker.changes import Changes


def changes_of(repo: GitRepo, *oids: str) -> list[Changes]:
    """Return the changes of commits; of one that changes nothing, git says nothing."""
    wanted = [bytes.fromhex(oid) for oid in oids]
    found = read_changes(str(repo.path / ".git"), wanted, timeout_s=30)
    return [found.get(oid, {}) for oid in wanted]


def added(*changes: Changes) -> Changes:
    """Return the sum of changes."""
    total: Changes = {}
    for each in changes:
        for line, times in each.items():
            total[line] = total.get(line, 0) + times
    return {line: times for line, times in total.items() if times}


def commit_bytes(repo: GitRepo, name: str, content: bytes | None) -> str:
    """Commit a file with this content, or without the file, and return the oid."""
    path = repo.path / os.fsdecode(name)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "--allow-empty", "-m", "x")
    return repo.head()


def test_lines_that_look_like_a_patch_are_lines(repo: GitRepo) -> None:
    """Content that has a patch's own marks is counted line by line."""
    text = b"-- a/x\n++ b/x\n@@ -1 +1 @@\ndiff --git a/x b/x\n" + b"a" * 40 + b"\nBinary files a and b differ\n"
    first = commit_bytes(repo, "x", text)
    second = commit_bytes(repo, "x", b"")
    there, gone = changes_of(repo, first, second)
    assert (lines_of(there), lines_of(gone)) == (6, 6)
    assert added(there, gone) == {}


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, b"", 1),
        (b"", b"one\n", 1),
        (b"one\n", b"one", 0),
        (b"a\nb\n", b"b\na\n", 0),
        (b"\0\1", b"\0\2", 2),
        (b"x\r\n", b"x\n", 0),
        (b"x\n" * 5, b"x\n" * 3, 2),
        (b"same\n", None, 1),
    ],
    ids=["empty file", "first line", "newline at the end", "moved", "binary", "line ends", "repeated", "deleted"],
)
def test_what_counts_as_a_line(repo: GitRepo, before: bytes | None, after: bytes | None, lines: int) -> None:
    """A change of so many lines; what has none is told by its mode or its blob."""
    commit_bytes(repo, "other", b"other\n")
    if before is not None:
        commit_bytes(repo, "x", before)
    (changes,) = changes_of(repo, commit_bytes(repo, "x", after))
    assert lines_of(changes) == lines


def test_a_name_in_bytes_is_a_name(repo: GitRepo) -> None:
    """Files are told apart by their bytes, whatever these are."""
    first = commit_bytes(repo, 'we$(touch PWN)r;d"b\n\udcff', b"line\n")
    second = commit_bytes(repo, "other\nname", b"line\n")
    one, other = changes_of(repo, first, second)
    assert lines_of(one) == lines_of(other) == 1
    assert one != other


def test_merges_are_left_out(repo: GitRepo) -> None:
    """A merge has no changes of its own."""
    base = repo.commit("base")
    repo.git("switch", "--quiet", "--create", "topic")
    repo.commit("a")
    repo.git("switch", "--quiet", "main")
    repo.git("merge", "--quiet", "--no-ff", "-m", "merged", "topic")
    found = read_changes(str(repo.path / ".git"), [bytes.fromhex(repo.head()), bytes.fromhex(base)], timeout_s=30)
    assert list(found) == [bytes.fromhex(base)]


def test_a_users_settings_change_nothing(repo: GitRepo) -> None:
    """External diffs, colours, prefixes and renames as the user likes them are none of our business."""
    first = commit_bytes(repo, "x", b"one\ntwo\n")
    plain = changes_of(repo, first)
    for key, value in {
        "diff.external": "false",
        "color.ui": "always",
        "diff.noprefix": "true",
        "diff.renames": "copies",
        "diff.context": "9",
        "core.quotePath": "false",
        "diff.algorithm": "patience",
    }.items():
        repo.git("config", key, value)
    assert changes_of(repo, first) == plain


LINES = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6)


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(states=st.lists(LINES, min_size=2, max_size=5))
def test_changes_of_commits_in_a_row_add_up(states: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """The sum over any commits in a row is what one commit from the first state to the last would change."""
    repo = GitRepo.init(tmp_path_factory.mktemp("sums") / "repo")
    contents = ["".join(f"{line}\n" for line in lines).encode() for lines in states]
    commit_bytes(repo, "x", contents[0])
    oids = [commit_bytes(repo, "x", content) for content in contents[1:]]
    repo.git("reset", "--quiet", "--soft", f"HEAD~{len(oids)}")
    repo.git("commit", "--quiet", "--allow-empty", "-m", "squashed")
    *each, squashed = changes_of(repo, *oids, repo.head())
    assert added(*each) == squashed
