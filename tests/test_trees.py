"""Trees read for their instruction files: every kind of entry, hostile trees, and trees that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.git import read_commits
from agent_tracker.instructions import PATHS
from agent_tracker.trees import MAX_TREE_BYTES, find_setups
from facts import UNHURRIED
from gitrepo import GitRepo, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agent_tracker.instructions import Files

FILE, EXECUTABLE, LINK, MODULE, TREE = "100644", "100755", "120000", "160000", "40000"
TYPES = {TREE: "tree", MODULE: "commit"}


def blob(repo: GitRepo, text: str) -> str:
    """Write a blob and return its oid."""
    return repo.git("hash-object", "-w", "--stdin", stdin=text)


def tree(repo: GitRepo, *entries: tuple[str, str, str]) -> str:
    """Write a tree of (mode, name, oid), which need not be there, and return its oid."""
    lines = (f"{mode} {TYPES.get(mode, 'blob')} {oid}\t{name}\0" for mode, name, oid in entries)
    return repo.git("mktree", "-z", "--missing", stdin="".join(lines))


def commit(repo: GitRepo, root: str) -> bytes:
    """Commit a tree, whatever it is, and return the oid."""
    who = "A Person <person@example.org> 1700000000 +0000"
    text = f"tree {root}\nauthor {who}\ncommitter {who}\n\nsubject\n"
    return bytes.fromhex(repo.git("hash-object", "-t", "commit", "--literally", "-w", "--stdin", stdin=text))


def setups(repo: GitRepo, *commits: bytes) -> list[Files | None]:
    """Return the instruction files of each commit as they are read."""
    found = read_commits(str(repo.path / ".git"), commits, setups_of=set(commits))
    assert found.keys() == set(commits)
    return [found[oid].setup for oid in commits]


def remove(repo: GitRepo, oid: str) -> None:
    """Take a loose object away."""
    (repo.path / ".git" / "objects" / oid[:2] / oid[2:]).unlink()


# -- what counts


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_every_path_of_the_table_is_found(tmp_path: Path, object_format: str) -> None:
    """All at once, each with its own oid, in the order of the paths; what is beside them does not count."""
    repo = GitRepo.init(tmp_path / "repo", f"--object-format={object_format}")
    oids = {path: blob(repo, path) for path in PATHS}
    inner: dict[str, list[tuple[str, str, str]]] = {}
    for path in PATHS:
        directory, _, name = path.rpartition("/")
        inner.setdefault(directory, []).append((FILE, name, oids[path]))
    other = blob(repo, "other")
    top = [(TREE, name, tree(repo, (FILE, "other", other), *below)) for name, below in inner.items() if name]
    root = tree(repo, (FILE, "README.md", other), *inner[""], *top)
    assert setups(repo, commit(repo, root)) == [tuple(sorted(oids.items()))]


@pytest.mark.parametrize("mode", [FILE, EXECUTABLE, LINK, TREE])
@pytest.mark.parametrize("path", [".clinerules", ".cursor/rules"])
def test_files_links_and_directories_count_by_their_oid(repo: GitRepo, mode: str, path: str) -> None:
    """A file by its blob, a symbolic link by what it says, a directory by its tree."""
    content = blob(repo, "rules")
    oid = tree(repo, (FILE, "a.md", content)) if mode == TREE else content
    directory, _, name = path.rpartition("/")
    entry = (mode, name, oid)
    root = tree(repo, (TREE, directory, tree(repo, entry)) if directory else entry)
    assert setups(repo, commit(repo, root)) == [((path, oid),)]


def test_a_submodule_does_not_count(repo: GitRepo) -> None:
    """Neither in place of a file nor in place of a directory that is looked into."""
    elsewhere = "1" * 40
    root = tree(
        repo, (MODULE, "AGENTS.md", elsewhere), (MODULE, ".clinerules", elsewhere), (MODULE, ".claude", elsewhere)
    )
    assert setups(repo, commit(repo, root)) == [()]


def test_a_directory_that_is_a_link_counts_itself(repo: GitRepo) -> None:
    """What it leads to is not followed."""
    link = blob(repo, ".agents")
    skills = tree(repo, (FILE, "a.md", link))
    root = tree(repo, (LINK, ".claude", link), (TREE, ".agents", tree(repo, (TREE, "skills", skills))))
    assert setups(repo, commit(repo, root)) == [((".agents/skills", skills), (".claude", link))]


def test_a_file_in_the_place_of_a_directory_does_not_count(repo: GitRepo) -> None:
    """There is nothing in it to look for."""
    assert setups(repo, commit(repo, tree(repo, (FILE, ".claude", blob(repo, "x"))))) == [()]


def test_two_directories_with_the_same_content(repo: GitRepo) -> None:
    """One tree, read once, has other instructions where it lies under another name."""
    rules = blob(repo, "rules")
    same = tree(repo, (FILE, "rules", rules), (FILE, "workflows", rules))
    root = tree(repo, (TREE, ".agent", same), (TREE, ".cursor", same))
    files = ((".agent/rules", rules), (".agent/workflows", rules), (".cursor/rules", rules))
    assert setups(repo, commit(repo, root)) == [files]


def test_only_the_commits_asked_for_are_looked_into(repo: GitRepo) -> None:
    """The others are read as ever."""
    one, two = (commit(repo, tree(repo, (FILE, "AGENTS.md", blob(repo, text)))) for text in "12")
    found = read_commits(str(repo.path / ".git"), [one, two], setups_of={two})
    assert found[one].setup is None
    assert found[two].setup == (("AGENTS.md", blob(repo, "2")),)


def test_more_commits_than_one_batch(repo: GitRepo) -> None:
    """Each commit has its own tree's files, and a tree that several share is read once for all."""
    stream = "".join(
        f"commit refs/heads/main\ncommitter C <c@example.org> {1_700_000_000 + i} +0000\ndata 1\nc\n"
        f"M 100644 inline {'AGENTS.md' if i % 2 else 'other'}\ndata {len(str(i // 4))}\n{i // 4}\n"
        for i in range(450)
    )
    repo.git("fast-import", "--quiet", stdin=stream)
    oids = [bytes.fromhex(line) for line in repo.git("rev-list", "main").split()]
    expected = [
        tuple(
            (name, oid) for _, _, oid, name in map(str.split, repo.git("ls-tree", oid.hex(), "AGENTS.md").splitlines())
        )
        for oid in oids[::50]
    ]
    assert setups(repo, *oids)[::50] == expected
    assert len(set(expected)) > 5


# -- what is hostile


@pytest.mark.parametrize(
    "name",
    [
        "AGENTS.md\n",
        "\nAGENTS.md",
        "AGENTS.md\t",
        "x AGENTS.md",
        "100644 AGENTS.md",
        "agents.MD",
        "AGENTS.md\udcff",
        "\x1b[31mAGENTS.md",
        "A" * 5000,
    ],
)
def test_a_name_that_only_looks_like_one_does_not_count(repo: GitRepo, name: str) -> None:
    """Names are compared whole, whatever bytes are in them, and what comes after is still found."""
    rules = blob(repo, "x")
    root = tree(repo, (FILE, name, rules), (FILE, ".rules", rules), (FILE, "opencode.json", rules))
    assert setups(repo, commit(repo, root)) == [((".rules", rules), ("opencode.json", rules))]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("", (), id="empty"),
        pytest.param("garbage", None, id="garbage"),
        pytest.param("100644 AGENTS.md", None, id="no-oid"),
        pytest.param("100644 AGENTS.md\0short", None, id="short-oid"),
        pytest.param("100644 a\0" + "x" * 20 + "1", None, id="more-at-the-end"),
        pytest.param("100644 AGENTS.md\0" + "x" * 20 + "100644 AGENTS.md\0" + "y" * 20, "78" * 20, id="twice"),
        pytest.param("0100644 AGENTS.md\0" + "x" * 20, (), id="unknown-mode"),
        pytest.param("040000 .clinerules\0" + "x" * 20, ((".clinerules", "78" * 20),), id="padded-mode"),
        pytest.param("40000 .claude\0" + "x" * 20, None, id="subtree-not-there"),
    ],
)
def test_a_tree_that_git_would_not_write(repo: GitRepo, body: str, expected: Files | str | None) -> None:
    """What can be read counts, what cannot is not known, and the next commit is read as if nothing were."""
    bad = repo.git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=body)
    rules = blob(repo, "x")
    good = commit(repo, tree(repo, (FILE, "AGENTS.md", rules)))
    files = (("AGENTS.md", expected),) if isinstance(expected, str) else expected
    assert setups(repo, commit(repo, bad), good) == [files, (("AGENTS.md", rules),)]


@pytest.mark.parametrize("root", ["blob", "f" * 40, "f" * 64, "f" * 8, "HEAD:", "", "../../x", "\udcff"])
def test_a_commit_whose_tree_is_none(repo: GitRepo, root: str) -> None:
    """A file in its place, nothing there, no oid at all: the commit is read, its setup is not known."""
    text = blob(repo, "x")
    good = commit(repo, tree(repo, (FILE, "AGENTS.md", text)))
    assert setups(repo, commit(repo, text if root == "blob" else root), good) == [None, (("AGENTS.md", text),)]


def test_a_large_root_is_looked_through(repo: GitRepo) -> None:
    """Tens of thousands of names before and after the one that counts."""
    text = blob(repo, "x")
    many = [(FILE, f"{where}{i:05d}", text) for where in ("A0", "z") for i in range(20_000)]
    assert setups(repo, commit(repo, tree(repo, *many, (FILE, "AGENTS.md", text)))) == [(("AGENTS.md", text),)]


def test_a_root_beyond_the_limit_is_passed_over(repo: GitRepo) -> None:
    """It is not kept in memory, its setup is not known, and the next answer is found behind it."""
    text = blob(repo, "x")
    name = "n" * 4000
    many = [(FILE, f"{name}{i:05d}", text) for i in range(MAX_TREE_BYTES // 4000)]
    large = commit(repo, tree(repo, *many, (FILE, "AGENTS.md", text)))
    assert setups(repo, large, commit(repo, tree(repo, (FILE, "AGENTS.md", text)))) == [None, (("AGENTS.md", text),)]


@UNHURRIED
@given(st.lists(st.one_of(st.none(), st.binary(max_size=200)), min_size=1, max_size=5))
def test_any_bytes_make_a_setup_or_none(bodies: list[bytes | None]) -> None:
    """Whatever git may answer, nothing is raised, and only paths of the table are told."""
    heads = [b"40000 .claude\0", b"100644 AGENTS.md\0", b"120000 .github\0"]
    answers = {bytes([i]) * 20: body and heads[i % 3] + body for i, body in enumerate(bodies)}

    def ask(oids: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        yield from ((oid, answers.get(oid, next(iter(answers.values())))) for oid in oids)

    for files in find_setups(answers, ask).values():
        assert {path for path, _ in files} <= PATHS | {".github"}


# -- what is not there


@pytest.mark.parametrize("lost", ["root", "subtree"])
def test_a_tree_that_is_lost(repo: GitRepo, lost: str) -> None:
    """Half a look is none: the setup is not known, and other commits have theirs."""
    text = blob(repo, "x")
    inner = tree(repo, (FILE, "rules", text))
    root = tree(repo, (FILE, "AGENTS.md", text), (TREE, ".cursor", inner))
    broken, good = commit(repo, root), commit(repo, tree(repo, (FILE, "AGENTS.md", text)))
    remove(repo, root if lost == "root" else inner)
    assert setups(repo, broken, good) == [None, (("AGENTS.md", text),)]


@pytest.mark.parametrize("damaged", ["root", "subtree"])
def test_git_giving_up_at_a_damaged_tree(repo: GitRepo, damaged: str) -> None:
    """The commits are read all the same; what could be looked into before stays known."""
    text = blob(repo, "x")
    inner = tree(repo, (FILE, "rules", text))
    root = tree(repo, (FILE, "AGENTS.md", text), (TREE, ".cursor", inner))
    first, broken = commit(repo, tree(repo, (FILE, "AGENTS.md", text))), commit(repo, root)
    oid = root if damaged == "root" else inner
    path = repo.path / ".git" / "objects" / oid[:2] / oid[2:]
    path.chmod(0o600)
    path.write_bytes(b"no object at all")
    assert setups(repo, first, broken) == [(("AGENTS.md", text),), None]


@pytest.fixture
def origin(make_repo: Callable[..., GitRepo]) -> GitRepo:
    """A repository of which parts can be fetched."""
    made = make_repo("origin")
    made.git("config", "uploadpack.allowFilter", "true")
    made.git("config", "uploadpack.allowAnySHA1InWant", "true")
    made.write("AGENTS.md", "one\n")
    made.write(".cursor/rules/a.md", "rule\n")
    made.commit("one")
    made.write("AGENTS.md", "two\n")
    made.commit("two")
    return made


def clone_of(origin: GitRepo, path: Path, what: str) -> GitRepo:
    """Clone a part of a repository, without a work tree."""
    source = f"file://{origin.path}"
    done = run("git", "clone", "--quiet", "--no-checkout", f"--filter={what}", source, path, cwd=origin.path)
    assert done.code == 0, done
    return GitRepo(path)


def objects(repo: GitRepo) -> set[str]:
    """Return the files that hold a repository's objects."""
    return {str(path) for path in (repo.path / ".git" / "objects").rglob("*") if path.is_file()}


def test_a_clone_without_blobs_is_looked_into(origin: GitRepo, tmp_path: Path) -> None:
    """Its trees are all there; the files that it lacks need not be."""
    partial = clone_of(origin, tmp_path / "partial", "blob:none")
    before = objects(partial)
    oids = [bytes.fromhex(origin.head(revision)) for revision in ("HEAD", "HEAD~1")]
    expected = setups(origin, *oids)
    assert setups(partial, *oids) == expected
    assert None not in expected
    assert objects(partial) == before


@pytest.mark.parametrize("told", [True, False], ids=["as-configured", "filter-unknown"])
def test_a_clone_without_trees_fetches_nothing(origin: GitRepo, tmp_path: Path, *, told: bool) -> None:
    """The setup is not known, the commits are read, and nothing is fetched, whatever the configuration tells."""
    partial = clone_of(origin, tmp_path / "partial", "tree:0")
    if not told:
        partial.git("config", "remote.origin.partialclonefilter", "blob:none")
    before = objects(partial)
    oids = [bytes.fromhex(origin.head(revision)) for revision in ("HEAD", "HEAD~1")]
    assert setups(partial, *oids) == [None, None]
    assert objects(partial) == before


def test_nobody_looks_in_a_clone_without_trees(origin: GitRepo, tmp_path: Path) -> None:
    """Not even at a tree that is there: for the first that is not, git would go through all that it has."""
    partial = clone_of(origin, tmp_path / "partial", "tree:0")
    there = commit(partial, tree(partial, (FILE, "AGENTS.md", blob(partial, "x"))))
    assert setups(partial, there) == [None]
