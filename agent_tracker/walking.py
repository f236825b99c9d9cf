"""A repository's history as a whole: which commits there are, what people and programs noted of them, what is missing.

Owns those questions to git. Never writes, never fetches: a partial clone stays as it is. Only branches, remote
branches, tags and the worktrees' HEADs lead to history: stashes, notes, a forge's pull requests and what tools keep
under refs of their own do not.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from agent_tracker.errors import GitError
from agent_tracker.files import read_bytes
from agent_tracker.git import config_get, list_refs, run
from agent_tracker.notes import NOTES_REF
from agent_tracker.repository import head_oid, worktrees

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent_tracker.repository import Repository

__all__ = ["Listed", "Place", "find_gaps", "list_history", "list_notes", "look_at_refs", "map_people", "shallow_sum"]

LIST_TIMEOUT_S = 600.0
TIMEOUT_S = 60.0
_PERSON = re.compile(r"[^<>\n\0]*<[^<>\n\0]*>")
_FILTER = re.compile(r"partialclonefilter\s*=\s*([\w:=.-]{1,60})", re.IGNORECASE)
_OID_DIGITS = (40, 64)


class Place(NamedTuple):
    """A commit's place in history."""

    oid: bytes
    parents: tuple[bytes, ...]


class Listed:
    """Commits with their parents, oldest first, none before one that it descends from; kept as git wrote them."""

    def __init__(self, lines: bytes) -> None:
        self._lines = lines
        self._count = lines.count(b"\n")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Place]:
        start = 0
        while (end := self._lines.find(b"\n", start)) >= 0:
            oid, *parents = map(bytes.fromhex, self._lines[start:end].decode("ascii").split())
            yield Place(oid, tuple(parents))
            start = end + 1


def list_history(repository: Repository, *, but: Sequence[bytes] = (), since: int = 0) -> Listed:
    """Return the commits of a repository's history.

    Args:
        repository: Any of its worktrees.
        but: Commits of which nothing that they descend from is wanted; those that git does not have are passed over.
        since: Unix seconds; the walk ends at commits that are older.

    Raises:
        GitError: Git cannot be run, or lacks an object.

    Source: git-rev-list(1).
    """
    lines = _heads(repository) + [f"^{oid.hex()}" for oid in but]
    options = ["--topo-order", "--reverse", "--parents", "--ignore-missing", "--branches", "--remotes", "--tags"]
    age = [f"--max-age={since}"] if since else []
    argv = ["--no-replace-objects", f"--git-dir={repository.common_dir}", "rev-list", *options, *age, "--stdin"]
    stdin = "".join(f"{line}\n" for line in lines).encode()
    return Listed(run(argv, cwd=repository.common_dir, stdin=stdin, timeout_s=LIST_TIMEOUT_S))


def _heads(repository: Repository) -> list[str]:
    """Return what the worktrees' HEADs are at, in hexadecimal."""
    heads = {head_oid(git_dir, repository.common_dir) for _, git_dir in worktrees(repository.common_dir)}
    return [oid for oid in sorted(heads) if len(oid) in _OID_DIGITS]


def look_at_refs(repository: Repository) -> tuple[int, set[bytes]]:
    """Return a checksum of all that leads to history, and the branches' commits.

    While the checksum is the same, there is nothing new: git may take a second to find that out, where it has to walk
    down to the oldest tag.

    Raises:
        GitError: Git cannot be run.
    """
    refs = list_refs(repository.common_dir, "refs/heads", "refs/remotes", "refs/tags")
    branches = {oid for name, oid in refs.items() if not name.startswith("refs/tags/")}
    return crc32(repr((sorted(refs.items()), _heads(repository))).encode("utf-8", "surrogateescape")), branches


def list_notes(common_dir: str) -> dict[bytes, bytes]:
    """Return git-ai's notes: the blob of each commit that has one; nothing where there are none.

    Raises:
        GitError: Git cannot read them.

    Source: git-notes(1), list.
    """
    where = f"--git-dir={common_dir}"
    if not run([where, "for-each-ref", "--format=%(objectname)", NOTES_REF], cwd=common_dir, timeout_s=TIMEOUT_S):
        return {}
    out = run([where, "notes", f"--ref={NOTES_REF}", "list"], cwd=common_dir, timeout_s=TIMEOUT_S)
    pairs = (line.split() for line in out.decode("ascii", "replace").splitlines())
    return {bytes.fromhex(pair[1]): bytes.fromhex(pair[0]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004 -- two


def map_people(repository: Repository, people: Iterable[str]) -> dict[str, str]:
    """Return what the mailmap makes of people (`Name <address>`): those alone whom it changes.

    Raises:
        GitError: Git cannot read it.

    Source: git-check-mailmap(1).
    """
    wanted = [person for person in dict.fromkeys(people) if _PERSON.fullmatch(person)]
    if not wanted:
        return {}
    stdin = "".join(f"{person}\n" for person in wanted).encode("utf-8", "replace")
    argv = [f"--git-dir={repository.git_dir}", f"--work-tree={repository.work_tree}", "check-mailmap", "--stdin"]
    out = run(argv, cwd=repository.work_tree, stdin=stdin, timeout_s=TIMEOUT_S).decode("utf-8", "replace")
    mapped = out.split("\n")[:-1]
    if len(mapped) != len(wanted):
        raise GitError(f"git check-mailmap answered {len(mapped)} of {len(wanted)} questions", "check .mailmap")
    return {person: real for person, real in zip(wanted, mapped, strict=True) if person != real}


def has_mailmap(repository: Repository) -> bool:
    """Tell whether the repository, or its user, has a mailmap."""
    if os.path.isfile(os.path.join(repository.work_tree, ".mailmap")):
        return True
    return any(config_get(key, cwd=repository.common_dir) for key in ("mailmap.file", "mailmap.blob"))


def shallow_sum(common_dir: str) -> int:
    """Return a checksum of where a shallow clone ends, 0 where the clone is none."""
    return crc32(read_bytes(os.path.join(common_dir, "shallow")))


def find_gaps(common_dir: str) -> list[str]:
    """Return what of the history is not in this clone, and how to get it: a sentence each."""
    gaps = []
    ends = read_bytes(os.path.join(common_dir, "shallow")).split()
    if ends:
        gaps.append(f"a shallow clone: what came before {len(ends)} commits is not here; git fetch --unshallow")
    config = read_bytes(os.path.join(common_dir, "config")).decode("utf-8", "replace")
    if "promisor" in config.lower() or "partialclone" in config.lower():
        kind = _FILTER.search(config)
        gaps.append(f"a partial clone ({kind[1] if kind else 'filtered'}): nothing is fetched, setups may be unknown")
    return gaps
