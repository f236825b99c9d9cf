"""Git, by its own executable.

Owns asking git. Never writes to a repository's history, and never lets a hook's GIT_* variables reach a question about
another repository.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self

from agent_tracker.errors import GitError
from agent_tracker.files import read_bytes
from agent_tracker.trees import MAX_TREE_BYTES, find_setups

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from agent_tracker.instructions import Files

__all__ = [
    "CommitObject",
    "changed_lines",
    "config_get",
    "config_set",
    "each_blob",
    "each_commit",
    "find_commits",
    "find_missing",
    "find_root",
    "is_tracked",
    "list_commits",
    "list_refs",
    "read_commits",
    "read_setups",
    "reflogs",
    "resolve_commit",
    "run",
]

BATCH = 200
"""Requests written before their answers are read: 200 oids fit in the smallest pipe buffer (16 KiB)."""
CHUNK_BYTES = 1 << 20
"""What is read at once of an object that is not wanted."""
OID_DIGITS = (40, 64)


class CommitObject(NamedTuple):
    """What a commit object says. Times are Unix seconds; `author` and `committer` are `Name <mail>`.

    `setup` are the instruction files in its `tree`, None where nobody looked or the tree could not be read.
    """

    parents: tuple[bytes, ...]
    author: str
    committer: str
    authored_at: int
    committed_at: int
    message: str
    tree: bytes = b""
    setup: Files | None = None


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what a hook's git has set, and without network or prompts."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # Before 2.45 git knows no other way to be kept from fetching what a partial clone lacks than to allow no protocol.
    env |= {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
    return env | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def run(argv: Sequence[str], *, cwd: str, stdin: bytes = b"", timeout_s: float = 60) -> bytes:
    """Return what `git argv` prints, run in `cwd` in a clean environment.

    Raises:
        GitError: It failed, timed out, or git is not installed.
    """
    import subprocess  # noqa: PLC0415 -- 9 ms that a flush on push need not pay

    try:
        done = subprocess.run(
            ["git", *argv],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            env=clean_environment(),
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise GitError(f"cannot run git in {cwd}: {error.strerror}", "install git 2.30 or newer") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {argv[0]} took longer than {timeout_s:g} s in {cwd}") from error
    if done.returncode:
        stderr = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GitError(f"git {argv[0]} failed in {cwd}: {stderr[-1] if stderr else f'exit {done.returncode}'}")
    return done.stdout


def config_get(key: str, *, cwd: str, scope: str = "") -> str:
    """Return a value of git's configuration as it is in force in `cwd`, empty where it is not set.

    Args:
        key: Its name.
        cwd: In the repository.
        scope: `--local` for what the repository itself says.
    """
    try:
        return (
            run(["config", *([scope] if scope else []), "--get", key], cwd=cwd)
            .decode("utf-8", "surrogateescape")
            .rstrip("\n")
        )
    except GitError:
        return ""


def config_set(key: str, value: str, *, cwd: str) -> None:
    """Set `key` in the repository's own configuration; an empty value takes it out."""
    if value:
        run(["config", "--local", key, value], cwd=cwd)
    elif config_get(key, cwd=cwd, scope="--local"):
        run(["config", "--local", "--unset-all", key], cwd=cwd)


def resolve_commit(revision: str, *, git_dir: str) -> bytes:
    """Return the oid of the commit that `revision` names in the worktree of `git_dir`.

    Raises:
        GitError: It names none.
    """
    # In `:/text` what follows is text to the end.
    name = revision if revision.startswith(":/") else f"{revision}^{{commit}}"
    try:
        argv = ["rev-parse", "--verify", "--quiet", "--end-of-options", name]
        out = run([f"--git-dir={git_dir}", *argv], cwd=git_dir)
    except GitError as error:
        raise GitError(f"no commit {revision!r} in {git_dir}", "git log --oneline shows what there is") from error
    return bytes.fromhex(out.decode().strip())


def find_root(git_dir: str, common_dir: str, *, timeout_s: float) -> str:
    """Return the root commit (hexadecimal) that HEAD descends from, the smallest of several.

    `-` where it took too long to find, or the clone is shallow and its first commit is not the first; empty where there
    is no commit yet.
    """
    if os.path.exists(os.path.join(common_dir, "shallow")):
        return "-"
    try:
        run([f"--git-dir={git_dir}", "rev-parse", "--verify", "--quiet", "HEAD"], cwd=git_dir)
    except GitError:
        return ""
    try:
        out = run([f"--git-dir={git_dir}", "rev-list", "--max-parents=0", "HEAD"], cwd=git_dir, timeout_s=timeout_s)
    except GitError:
        return "-"
    return min(out.decode().split(), default="-")


def reflogs(git_dir: str, which: str) -> dict[str, bytes]:
    """Return reflogs as git's files have them, by the refs' full names, for repositories that keep them in a table.

    A table does not show what an entry moved its ref from: each is taken to go on from the one before it.

    Args:
        git_dir: Of the worktree.
        which: `HEAD` or `--branches`.

    Source: git-log(1), --walk-reflogs.
    """
    argv = [f"--git-dir={git_dir}", "log", "--walk-reflogs", "--no-show-signature", "--date=raw", "-z"]
    try:
        out = run([*argv, "--format=%H%x1f%gn <%ge>%x1f%gD%x1f%gs", which], cwd=git_dir)
    except GitError:
        return {}
    lines: dict[str, list[bytes]] = {}
    olds: dict[str, bytes] = {}
    for record in reversed(out.split(b"\0")):
        new, who, selector, message = [*record.split(b"\x1f", 3), b"", b"", b""][:4]
        short, _, when = selector.rstrip(b"}").rpartition(b"@{")
        name = "HEAD" if which == "HEAD" else "refs/heads/" + os.fsdecode(short).removeprefix("refs/heads/")
        if new:
            old = olds.get(name, b"0" * len(new))
            text = message.replace(b"\n", b" ")
            lines.setdefault(name, []).append(b"%s %s %s %s\t%s\n" % (old, new, who, when, text))
            olds[name] = new
    return {name: b"".join(found) for name, found in lines.items()}


def list_commits(
    common_dir: str, tips: Sequence[bytes], *, but: Sequence[bytes] = (), options: Sequence[str] = (), limit: int
) -> dict[bytes, tuple[bytes, ...]]:
    """Return the commits that `tips` descend from and `but` do not, newest first, each with its parents.

    Tips that git does not have are passed over; where git fails, for want of an object say, nothing is returned.

    Args:
        common_dir: The repository.
        tips: Where to begin.
        but: Where to end.
        options: More of git rev-list's, behind the tips.
        limit: At most so many.

    Source: git-rev-list(1).
    """
    if not tips and not options:
        return {}
    lines = [oid.hex() for oid in tips] + [f"^{oid.hex()}" for oid in but]
    argv = ["rev-list", "--parents", "--ignore-missing", f"--max-count={limit}", "--stdin", *options]
    out = b""
    with suppress(GitError):
        out = _answer([f"--git-dir={common_dir}", *argv], "\n".join([*lines, ""]).encode())
    rows = ([bytes.fromhex(word) for word in line.split()] for line in out.decode().splitlines())
    return {oid: tuple(parents) for oid, *parents in rows}


def list_refs(common_dir: str, *prefixes: str) -> dict[str, bytes]:
    """Return the oid of each ref under the prefixes, by its name; of a tag, the commit.

    Raises:
        GitError: Git cannot be run.
    """
    out = run(
        [f"--git-dir={common_dir}", "for-each-ref", "--format=%(objectname) %(refname)", *prefixes], cwd=common_dir
    )
    rows = (line.partition(b" ") for line in out.splitlines())
    return {os.fsdecode(name): bytes.fromhex(oid.decode()) for oid, _, name in rows}


def find_missing(common_dir: str, oids: Sequence[bytes]) -> set[bytes]:
    """Return those of the objects that git does not have.

    Raises:
        GitError: Git cannot be run.
    """
    questions = b"".join(b"%s\n" % oid.hex().encode() for oid in oids)
    out = run([f"--git-dir={common_dir}", "cat-file", "--batch-check"], cwd=common_dir, stdin=questions)
    return {bytes.fromhex(line.split()[0].decode()) for line in out.splitlines() if line.endswith(b" missing")}


def find_commits(common_dir: str, names: Sequence[str]) -> dict[str, bytes]:
    """Return the commits that beginnings of oids mean, by these; those that mean none, or several, are left out.

    Args:
        common_dir: The repository.
        names: Hexadecimal digits.

    Raises:
        GitError: Git cannot be run.
    """
    questions = "".join(f"{name}^{{commit}}\n" for name in names).encode()
    out = run([f"--git-dir={common_dir}", "cat-file", "--batch-check"], cwd=common_dir, stdin=questions)
    answers = zip(names, (line.split() for line in out.decode("ascii", "replace").splitlines()), strict=False)
    return {name: bytes.fromhex(words[0]) for name, words in answers if words[1:2] == ["commit"]}


def is_tracked(path: str) -> bool:
    """Tell whether git tracks a file in the work tree in which it lies; False where it lies in none.

    Raises:
        GitError: Git cannot be run.
    """
    where, name = os.path.split(path)
    argv = ["-c", "core.fsmonitor=false", "ls-files", "-z", "--", f":(literal){name}"]
    try:
        run(["rev-parse", "--is-inside-work-tree"], cwd=where)
    except GitError:
        return False
    return bool(run(argv, cwd=where))


def _answer(argv: list[str], stdin: bytes) -> bytes:
    """Return what a git command prints that reads all of its input first, without the cost of the subprocess module.

    Raises:
        GitError: It cannot be run, or failed.
    """
    with _Process(["git", *argv]) as process:
        process.request(stdin)
        out = process.rest()
    if process.code:
        raise GitError(f"git {argv[1]} ended with code {process.code}", "git fsck")
    return out


def read_commits(
    common_dir: str, oids: Iterable[bytes], *, setups_of: Container[bytes] = ()
) -> dict[bytes, CommitObject]:
    """Return the commit objects of `oids`; those that git no longer has are left out.

    One `git cat-file --batch` for all, started without the subprocess module where the platform allows.

    Args:
        common_dir: The repository.
        oids: The commits.
        setups_of: Those of them whose trees are looked through for instruction files.
    """
    wanted = list(dict.fromkeys(oids))
    if not wanted:
        return {}
    with _Process(["git", f"--git-dir={common_dir}", "cat-file", "--batch"]) as batch:
        bodies = batch.objects(wanted, b"commit")
        found = {oid: _parse_commit(body) for oid, body in bodies if body is not None}
        trees = {oid: commit.tree for oid, commit in found.items() if len(commit.tree) == len(oid) and oid in setups_of}
        if trees and _has_its_trees(common_dir):
            setups = find_setups(trees.values(), lambda asked: batch.objects(asked, b"tree", MAX_TREE_BYTES))
            found |= {oid: found[oid]._replace(setup=setups.get(tree)) for oid, tree in trees.items()}
    return found


def each_commit(common_dir: str, oids: Sequence[bytes], *, limit: int) -> Iterator[tuple[bytes, CommitObject]]:
    """Yield the commits that git has, each as it is read: of one with more bytes than `limit`, the subject alone.

    What stands for a commit (git-replace) is not read in its place.

    Raises:
        GitError: Git ended early.
    """
    with _Process(["git", "--no-replace-objects", f"--git-dir={common_dir}", "cat-file", "--batch"]) as batch:
        for oid, body in batch.objects(oids, b"commit", limit, is_cut=True):
            if body is not None:
                head, mark, message = body.partition(b"\n\n")
                subject = message.lstrip(b"\n").partition(b"\n")[0]
                yield oid, _parse_commit(head + mark + (message if len(body) < limit else subject))


def each_blob(common_dir: str, oids: Iterable[bytes], *, limit: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield blobs with their oids, each as it is read; what git does not have, or is longer than `limit`, is left out.

    Raises:
        GitError: Git ended early.
    """
    with _Process(["git", f"--git-dir={common_dir}", "cat-file", "--batch"]) as batch:
        for oid, body in batch.objects(list(dict.fromkeys(oids)), b"blob", limit):
            if body is not None:
                yield oid, body


def read_setups(common_dir: str, trees: Iterable[bytes]) -> dict[bytes, Files]:
    """Return the instruction files of root trees by their oids; trees that cannot be read are left out.

    Raises:
        GitError: Git cannot be run.
    """
    wanted = list(dict.fromkeys(trees))
    if not wanted or not _has_its_trees(common_dir):
        return {}
    with _Process(["git", "--no-replace-objects", f"--git-dir={common_dir}", "cat-file", "--batch"]) as batch:
        return find_setups(wanted, lambda asked: batch.objects(asked, b"tree", MAX_TREE_BYTES))


def _has_its_trees(common_dir: str) -> bool:
    """Tell whether this is no clone without trees: in one, git goes through all it has for the first that is missing.

    Source: git-rev-list(1), --filter.
    """
    text = read_bytes(os.path.join(common_dir, "config")).lower()
    return b"promisor" not in text or not any(kind in text for kind in (b"tree:", b"sparse:", b"object:", b"combine:"))


class _Process:
    """A git process with pipes: requests in, answers out."""

    def __init__(self, argv: list[str]) -> None:
        to_child, self._requests = os.pipe()
        answers, from_child = os.pipe()
        try:
            self._pid = _spawn(argv, to_child, from_child)
        except OSError as error:
            os.close(self._requests)
            os.close(answers)
            raise GitError(f"cannot run git: {error.strerror}", "install git 2.30 or newer") from error
        finally:
            os.close(to_child)
            os.close(from_child)
        self._answers = os.fdopen(answers, "rb")
        self._is_open = True
        self.code = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._answers.close()
        self.code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _close(self) -> None:
        if self._is_open:
            os.close(self._requests)
        self._is_open = False

    def request(self, text: bytes) -> None:
        view = memoryview(text)
        try:
            while view:
                view = view[os.write(self._requests, view) :]
        except BrokenPipeError as error:
            raise GitError("git ended early", "git fsck") from error

    def rest(self) -> bytes:
        """Return all that is still to come, once there are no more requests."""
        self._close()
        return self._answers.read()

    def objects(
        self, oids: Sequence[bytes], kind: bytes, limit: int | None = None, *, is_cut: bool = False
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield (oid, body) as `cat-file --batch` answers; no body where it is missing, of another kind or too large.

        Where it `is_cut`, what is too large has a body that ends at the limit.

        Raises:
            GitError: Git ended early.
        """
        for start in range(0, len(oids), BATCH):
            chunk = oids[start : start + BATCH]
            self.request(b"".join(b"%s\n" % oid.hex().encode() for oid in chunk))
            for oid in chunk:
                found, body = self._object(limit, is_cut=is_cut)
                yield oid, body if found == kind else None

    def _object(self, limit: int | None, *, is_cut: bool = False) -> tuple[bytes, bytes | None]:
        """Return the type and the body of the next object."""
        header = self._answers.readline().split()
        if len(header) < 2:  # noqa: PLR2004 -- oid and type, or oid and "missing"
            raise GitError("git cat-file ended early", "git fsck")
        if len(header) == 2:  # noqa: PLR2004 -- "<oid> missing"
            return header[1], None
        size = int(header[2])
        body = None
        if limit is None or size <= limit or is_cut:
            body = self._answers.read(size if limit is None else min(size, limit))
            size -= len(body)
        self._skip(size + 1)
        return header[1], body

    def _skip(self, size: int) -> None:
        while size:
            skipped = len(self._answers.read(min(size, CHUNK_BYTES)))
            if not skipped:
                raise GitError("git cat-file ended early", "git fsck")
            size -= skipped


def _spawn(argv: list[str], stdin: int, stdout: int) -> int:
    if hasattr(os, "posix_spawnp"):
        devnull = os.open(os.devnull, os.O_WRONLY)
        try:
            actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
            actions.append((os.POSIX_SPAWN_DUP2, devnull, 2))
            return os.posix_spawnp(argv[0], argv, clean_environment(), file_actions=actions)
        finally:
            os.close(devnull)
    import subprocess  # noqa: PLC0415 -- Windows only

    return subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, env=clean_environment()).pid


def _parse_commit(body: bytes) -> CommitObject:
    head, _, message = body.partition(b"\n\n")
    parents, people = [], {b"author": (b"", 0), b"committer": (b"", 0)}
    encoding = "utf-8"
    tree = head.partition(b"\n")[0].removeprefix(b"tree ")
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name == b"parent":
            parents.append(bytes.fromhex(value.decode("ascii", "replace")))
        elif name in people:
            people[name] = _parse_person(value)
        elif name == b"encoding":
            encoding = value.decode("ascii", "replace")
    return CommitObject(
        tuple(parents),
        _decode(people[b"author"][0], encoding),
        _decode(people[b"committer"][0], encoding),
        people[b"author"][1],
        people[b"committer"][1],
        _decode(message, encoding),
        _parse_oid(tree),
    )


def _parse_oid(digits: bytes) -> bytes:
    """Return an oid, empty where this is none."""
    is_oid = len(digits) in OID_DIGITS and digits.isalnum()
    try:
        return bytes.fromhex(digits.decode("ascii")) if is_oid else b""
    except ValueError:
        return b""


def _parse_person(value: bytes) -> tuple[bytes, int]:
    person, _, when = value.rpartition(b"> ")
    seconds = when.split(b" ", 1)[0]
    try:
        return person + b">", min(max(int(seconds), 0), (1 << 40) - 1)
    except ValueError:
        return person + b">", 0


def _decode(text: bytes, encoding: str) -> str:
    # Python knows codecs that take for ever, or warn: a commit may name any.
    is_charset = not encoding.lower().startswith(("idna", "punycode", "raw", "unicode", "undefined"))
    try:
        return text.decode(encoding if is_charset else "utf-8")
    except (ValueError, LookupError):
        return text.decode("utf-8", "replace")


def changed_lines(common_dir: str, pairs: Sequence[tuple[bytes, bytes | None]], *, timeout_s: float) -> list[int]:
    """Return how many lines each pair changes, added and deleted together, binary files not counted.

    Args:
        pairs: (commit, base); without a base, the commit's own first parent.
        timeout_s: For all of them.

    Raises:
        GitError: Git failed or took too long.

    Source: git-diff-tree(1), --stdin and --numstat.
    """
    # Git keeps the base it was given for a commit, so those asked without one come first.
    order = sorted(range(len(pairs)), key=lambda index: pairs[index][1] is not None)
    lines = [b" ".join(oid.hex().encode() for oid in pairs[index] if oid) + b"\n" for index in order]
    argv = ["--git-dir=" + common_dir, "diff-tree", "--stdin", "--always", "--root", "-r", "-M", "--numstat"]
    argv += ["--no-ext-diff", "--no-textconv"]
    totals = _totals(run(argv, cwd=common_dir, stdin=b"".join(lines), timeout_s=timeout_s))
    if len(totals) != len(pairs):
        raise GitError(f"git diff-tree answered {len(totals)} of {len(pairs)} questions in {common_dir}", "git fsck")
    by_index = dict(zip(order, totals, strict=True))
    return [by_index[index] for index in range(len(pairs))]


def _totals(numstat: bytes) -> list[int]:
    """Return the lines added and deleted below each commit's own line."""
    totals: list[int] = []
    for line in numstat.splitlines():
        added, mark, rest = line.partition(b"\t")
        if not mark:
            totals.append(0)
        else:
            totals[-1] += sum(int(n) for n in (added, rest.partition(b"\t")[0]) if n.isdigit())
    return totals
