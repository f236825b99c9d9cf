"""Tree objects as git stores them: which instruction files they hold.

Owns reading a tree's bytes, and which subtrees are worth a look. Never asks git itself: whoever calls passes in how.

A tree is untrusted. Names are compared with those that are looked for and never kept; a tree that is no tree, is cut
off, is too large or is not there makes a setup that nobody knows, and nothing else.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from agent_tracker.errors import GitError
from agent_tracker.instructions import PATHS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agent_tracker.instructions import Files

    Ask = Callable[[Sequence[bytes]], Iterator[tuple[bytes, bytes | None]]]

__all__ = ["MAX_TREE_BYTES", "find_setups"]

MAX_TREE_BYTES = 4 << 20
"""Trees with more bytes than this, a hundred thousand names, are not looked through."""

FILE_MODES = (b"100644", b"100755", b"100664", b"120000")
"""A file, an executable one, one as early versions of git wrote them, a symbolic link."""
LINK_MODE = b"120000"
TREE_MODES = (b"40000", b"040000")
"""A directory; with a zero before it, as some other programs write it."""

Entries = dict[str, tuple[bytes, bytes]]
"""(mode, oid) of what a tree holds of the names that are looked for."""
Heads = dict[bytes, tuple[bytes, str]]
"""(mode, name) by the bytes with which an entry begins: `<mode> <name>`."""


def find_setups(roots: Iterable[bytes], ask: Ask) -> dict[bytes, Files]:
    """Return the instruction files in each root tree, by its oid; trees that cannot be read whole are left out.

    Each tree is asked for once, however many commits share it.

    Args:
        roots: The oids of trees.
        ask: Returns (oid, body) for each tree asked for, in that order; None for the body of one that cannot be had.
            A GitError ends the search with what was found before it.
    """
    leaves, directories = _wanted()
    wanted = _heads(leaves, (*FILE_MODES, *TREE_MODES)) | _heads(directories, (LINK_MODE, *TREE_MODES))
    tops: dict[bytes, Entries] = {}
    for root, body in _answers(ask, roots):
        entries = _scan(body, wanted, len(root))
        if entries is not None:
            tops[root] = entries
    below = _below(tops, directories, ask)
    found = {root: _files(entries, directories, below) for root, entries in tops.items()}
    return {root: files for root, files in found.items() if files is not None}


def _wanted() -> tuple[list[str], dict[str, list[str]]]:
    """Return the paths in the root, and the names in each directory that is looked into."""
    leaves = [path for path in PATHS if "/" not in path]
    directories: dict[str, list[str]] = {}
    for path in PATHS:
        directory, separator, name = path.partition("/")
        if separator:
            directories.setdefault(directory, []).append(name)
    return leaves, directories


def _heads(names: Iterable[str], modes: Iterable[bytes]) -> Heads:
    return {b"%s %s" % (mode, name.encode()): (mode, name) for name in names for mode in modes}


def _answers(ask: Ask, oids: Iterable[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield what git answers for each tree once, until it answers no more."""
    with suppress(GitError):
        yield from ask(list(dict.fromkeys(oids)))


def _scan(body: bytes | None, wanted: Heads, oid_bytes: int) -> Entries | None:
    r"""Return the entries of a tree that are looked for, None where it is none.

    An entry is `<mode> <name>\0<oid>`. Of two with the same name, the first counts.
    """
    if body is None:
        return None
    found: Entries = {}
    start, end = 0, len(body)
    while start < end:
        stop = body.find(b"\0", start)
        if stop < 0:
            return None
        known = wanted.get(body[start:stop])
        start = stop + 1 + oid_bytes
        if known is not None:
            mode, name = known
            found.setdefault(name, (mode, body[stop + 1 : start]))
    return found if start == end else None


def _below(tops: dict[bytes, Entries], directories: dict[str, list[str]], ask: Ask) -> dict[tuple[str, bytes], Entries]:
    """Return what the directories hold, by their names and oids."""
    names: dict[bytes, set[str]] = {}
    for entries in tops.values():
        for name, (mode, oid) in entries.items():
            if name in directories and mode in TREE_MODES:
                names.setdefault(oid, set()).add(name)
    wanted = {name: _heads(below, (*FILE_MODES, *TREE_MODES)) for name, below in directories.items()}
    found = {}
    for oid, body in _answers(ask, names):
        for name in names[oid]:
            inner = _scan(body, wanted[name], len(oid))
            if inner is not None:
                found[name, oid] = inner
    return found


def _files(top: Entries, directories: dict[str, list[str]], below: dict[tuple[str, bytes], Entries]) -> Files | None:
    """Return the instruction files of a root, None where one of its directories could not be read."""
    files = {}
    for name, (mode, oid) in top.items():
        if name not in directories or mode not in TREE_MODES:
            files[name] = oid.hex()
            continue
        inner = below.get((name, oid))
        if inner is None:
            return None
        files |= {f"{name}/{each}": inner_oid.hex() for each, (_, inner_oid) in inner.items()}
    return tuple(sorted(files.items()))
