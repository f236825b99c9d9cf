"""The dictionary by which lmdb-js compresses long values: a file of the npm package `lmdb`.

Owns where it is looked for, and knowing it: a dictionary that is found counts only where it is the one that every
version of the package since 2.0 has had, for with another one texts would come out wrong and nothing would say so.
"""

from __future__ import annotations

import glob
import hashlib
import os
from itertools import islice
from typing import TYPE_CHECKING

from agent_tracker.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["find_dictionary", "is_known", "read_dictionary"]

_FILE = os.path.join("lmdb", "dict", "dict.txt")
_DIGEST = "7ce5943f129acb0603ee487a1f45b358b8ddf829a6814be32e42286d31928104"
MAX_BYTES = 1 << 16
"""A match reaches no farther back."""

MAX_PARENTS = 12
MAX_LOOKED_AT = 2000
_INSIDE = (
    _FILE,
    os.path.join(".pnpm", "lmdb@*", "node_modules", _FILE),
    os.path.join(".bun", "lmdb@*", "node_modules", _FILE),
    os.path.join("*", "node_modules", _FILE),
    os.path.join("@*", "*", "node_modules", _FILE),
)
"""Where the package lies in a directory `node_modules`, by npm, pnpm and bun."""

_OF_CONFIG = ("", "plugin/*", "plugins/*")
_OF_CACHE = ("", "packages/*", "plugins/*")
_OF_HOME = ("", ".opencode", ".bun/install/global", ".npm-global/lib", ".nvm/versions/node/*/lib")
_OF_SYSTEM = ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")


def find_dictionary(source: str, home: str, env: Mapping[str, str]) -> bytes:
    """Return the dictionary of a package near a database, or where OpenCode keeps its plugins; empty where none is.

    Args:
        source: The database.
        home: The user's home directory.
        env: Where XDG's directories are.
    """
    for path in islice(_candidates(source, home, env), MAX_LOOKED_AT):
        data = _read(path)
        if is_known(data):
            return data
    return b""


def is_known(dictionary: bytes) -> bool:
    """Tell whether it is the package's own."""
    return hashlib.sha256(dictionary).hexdigest() == _DIGEST


def read_dictionary(path: str) -> bytes:
    """Return the dictionary in a file, or in a directory of the package.

    Raises:
        SourceError: There is none, or it is none.
    """
    if os.path.isdir(path):
        path = os.path.join(path, "dict", "dict.txt")
    data = _read(path)
    if not data:
        raise SourceError(f"no dictionary: {path}", "it is dict/dict.txt in the directory node_modules/lmdb")
    # What is left of a word of eight bytes does not count with lmdb-js.
    return data[: len(data) // 8 * 8]


def _read(path: str) -> bytes:
    """Return what a regular file holds, nothing where it is longer than a dictionary or cannot be read."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > MAX_BYTES:
            return b""
        with open(path, "rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return b""


def _candidates(source: str, home: str, env: Mapping[str, str]) -> Iterator[str]:
    for place in _places(source, home, env):
        for inside in _INSIDE:
            pattern = os.path.join("node_modules", inside)
            yield from (os.path.join(place, found) for found in glob.iglob(pattern, root_dir=place))
    cache = os.path.join(home, ".bun", "install", "cache")
    yield from (os.path.join(cache, found) for found in glob.iglob("lmdb@*/dict/dict.txt", root_dir=cache))


def _places(source: str, home: str, env: Mapping[str, str]) -> Iterator[str]:
    """Yield the directories in which a `node_modules` may lie, the nearest to the database first."""
    directory = os.path.dirname(os.path.abspath(source))
    for _ in range(MAX_PARENTS):
        yield directory
        yield os.path.join(directory, ".opencode")
        if directory in (os.path.dirname(directory), home):
            break
        directory = os.path.dirname(directory)
    for variable, default, inside in (("CONFIG", ".config", _OF_CONFIG), ("CACHE", ".cache", _OF_CACHE)):
        named = env.get(f"XDG_{variable}_HOME", "")
        for base in dict.fromkeys((named if os.path.isabs(named) else "", os.path.join(home, default))):
            yield from _matching(os.path.join(base, "opencode"), inside) if base else ()
    yield from _matching(home, _OF_HOME)
    yield from _OF_SYSTEM


def _matching(base: str, patterns: tuple[str, ...]) -> Iterator[str]:
    for pattern in patterns:
        if pattern:
            yield from (os.path.join(base, found) for found in glob.iglob(pattern, root_dir=base))
        else:
            yield base
