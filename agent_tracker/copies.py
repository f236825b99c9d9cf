"""Commits of a history that hold the same work: what a rebase, a cherry-pick or a forge's merge made of another.

Owns finding them without comparing every commit with every other: a copy keeps its author, the second in which it was
written, its subject and, nearly always, its files. Never writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import GitError
from agent_tracker.git import each_commit, run
from agent_tracker.marks import find_signs, setups_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from agent_tracker.records import Marks
    from agent_tracker.tables import Snapshot

__all__ = ["Candidate", "Copies"]

MAX_ALIKE = 8
"""Commits with the same author and subject that one is compared with: more of them are a robot's."""

MIN_SUBJECT = 4
LIKENESS = 0.5
"""How many of the files that two commits change must be the same."""

TIMEOUT_S = 60.0
MAX_COMMIT_BYTES = 256 << 10


class Candidate(NamedTuple):
    """A commit that may be a copy, or have some; `written_at` (Unix seconds) is -1 where nobody has looked yet."""

    oid: bytes
    parents: tuple[bytes, ...]
    author: str
    subject: str
    written_at: int
    marks: Marks


class Copies:
    """The commits that others may be copies of.

    Args:
        common_dir: The repository.
    """

    def __init__(self, common_dir: str) -> None:
        self._common_dir = common_dir
        self._alike: dict[int, list[Candidate]] = {}

    def know(self, snapshot: Snapshot, subjects: Container[str] | None = None) -> None:
        """Take in the commits that are stored, whatever repository they are of; of those with these subjects alone.

        Args:
            snapshot: The store.
            subjects: None for all.
        """
        from agent_tracker.packing import unpack_commit  # noqa: PLC0415 -- beside the loop

        marks: dict[int, tuple[Marks, str]] = {}
        for value in snapshot.table("commits").values():
            oid, _, operation, number, _, _, subject = unpack_commit(value)
            if subjects is not None and subject not in subjects:
                continue
            if number not in marks:
                found = snapshot.marks(number)
                marks[number] = found, dict(found).get("author", "")
            of, author = marks[number]
            if operation != "gone" and author:
                self._add(Candidate(oid, (), author, subject, -1, of))

    def find(self, fresh: Sequence[Candidate]) -> dict[bytes, bytes]:
        """Return what new commits are copies of, and take in the others.

        A commit on top of another is new work, however alike they look: a script makes several within a second. One
        with the marks of other agents is not taken for a copy.

        Args:
            fresh: None before one that it descends from.
        """
        self._look_up(fresh)
        pairs = {}
        for each in fresh:
            origin = next((o for o in self._like(each) if _is_same(o, each)), None)
            if origin:
                pairs[each.oid] = origin.oid
            else:
                self._add(each)
        return self._with_same_files(pairs) if pairs else {}

    def _add(self, each: Candidate) -> None:
        if len(each.parents) < 2 and len(each.subject) >= MIN_SUBJECT:  # noqa: PLR2004 -- a merge has two
            alike = self._alike.setdefault(hash((each.author, each.subject)), [])
            if len(alike) <= MAX_ALIKE:
                alike.append(each)

    def _like(self, each: Candidate) -> list[Candidate]:
        alike = self._alike.get(hash((each.author, each.subject)), ())
        is_ordinary = len(each.parents) < 2 and len(alike) <= MAX_ALIKE  # noqa: PLR2004 -- as above
        return list(alike) if is_ordinary else []

    def _look_up(self, fresh: Sequence[Candidate]) -> None:
        """Find out when stored commits were written of which a new one may be a copy."""
        unknown = {o.oid: o for each in fresh for o in self._like(each) if o.written_at < 0}
        found = dict(each_commit(self._common_dir, list(unknown), limit=MAX_COMMIT_BYTES)) if unknown else {}
        for oid, origin in unknown.items():
            alike = self._alike[hash((origin.author, origin.subject))]
            alike.remove(origin)
            if oid in found:
                alike.append(origin._replace(written_at=found[oid].authored_at, parents=found[oid].parents))

    def _with_same_files(self, pairs: dict[bytes, bytes]) -> dict[bytes, bytes]:
        try:
            files = dict(_changed_files(self._common_dir, [*pairs, *pairs.values()]))
        except GitError:
            return {}  # trees that are not here
        nothing: set[bytes] = set()
        return {
            copy: origin
            for copy, origin in pairs.items()
            if _likeness(files.get(copy, nothing), files.get(origin, nothing)) >= LIKENESS
        }


def _is_same(origin: Candidate, each: Candidate) -> bool:
    return (
        (origin.author, origin.subject, origin.written_at) == (each.author, each.subject, each.written_at)
        and origin.oid not in each.parents
        and (origin.marks == each.marks or setups_of(find_signs(origin.marks)) == setups_of(find_signs(each.marks)))
    )


def _likeness(one: set[bytes], other: set[bytes]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0


def _changed_files(common_dir: str, oids: Iterable[bytes]) -> Iterator[tuple[bytes, set[bytes]]]:
    """Yield the files that each commit changes.

    Raises:
        GitError: Git lacks a tree, or takes too long.

    Source: git-diff-tree(1), --stdin.
    """
    asked = {oid.hex().encode(): oid for oid in oids}
    argv = ["--no-replace-objects", f"--git-dir={common_dir}", "diff-tree", "--stdin", "--root", "-r", "--name-only"]
    out = run([*argv, "--no-renames"], cwd=common_dir, stdin=b"\n".join([*asked, b""]), timeout_s=TIMEOUT_S)
    files: set[bytes] = set()
    for line in out.splitlines():
        if line in asked:
            files = set()
            yield asked[line], files
        else:
            files.add(line)
