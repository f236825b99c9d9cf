"""Databases that the OpenCode plugin left behind: where they may lie, and which of them were looked into.

Owns those places and the list `migrated`, a line for each file that was merged or could not be: what it looked like
then, beside which file of ours. A hint that may be lost: what was merged is met again and changes nothing. Asked
before every flush, so it imports next to nothing. Never reads a database.

The plugin took `~` for a directory's name, so that its first databases lie in whatever directory OpenCode was started
in; later ones lie in the home directory, where ours would lie.
"""

from __future__ import annotations

import os
import stat

from agent_tracker.errors import GitError, StoreError
from agent_tracker.files import is_own, read_text, replace_file
from agent_tracker.repository import working_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent_tracker.paths import UserPaths
    from agent_tracker.repository import Repository

__all__ = ["BY_HAND", "INSIDE", "find_all", "find_waiting", "forget", "remember"]

BY_HAND = "agent-tracker migrate"
INSIDE = os.path.join("~", ".config", "opencode", "agent-tracker.lmdb")
"""Where such a database lies in a project's directory."""

MAX_REMEMBERED = 500


def find_waiting(paths: UserPaths, repository: Repository | None, database: str) -> list[str]:
    """Return the plugin's databases that were not looked into as they are now: here, and the central one.

    Args:
        paths: The user's.
        repository: Where one is at hand.
        database: Ours.
    """
    found = _candidates(paths, repository, database)
    if not found:
        return []
    known = set(read_text(paths.migrated).split("\n"))
    return [path for path in found if _line(path, database) not in known and _is_the_plugins(path)]


def find_all(paths: UserPaths, repository: Repository | None, database: str) -> list[str]:
    """Return all of the plugin's databases that lie here, and the central one; arguments as `find_waiting` has them."""
    return [path for path in _candidates(paths, repository, database) if _is_the_plugins(path)]


def _candidates(paths: UserPaths, repository: Repository | None, database: str) -> list[str]:
    places = [repository.work_tree, repository.main_path] if repository else []
    try:  # noqa: SIM105 -- contextlib takes longer to import than a flush with nothing to do takes in all
        places.append(working_directory())
    except GitError:
        pass  # it is gone, and so is what lay in it
    found = [path for place in dict.fromkeys(places) if _is_whole(place, path := os.path.join(place, INSIDE))]
    if paths.default_database != database and os.path.isfile(paths.default_database):
        found.append(paths.default_database)
    return found


def remember(paths: UserPaths, path: str, database: str) -> None:
    """Note that a database was looked into as it is now.

    Raises:
        OSError: It cannot be noted.
    """
    line = _line(path, database)
    known = [each for each in read_text(paths.migrated).split("\n") if each and not each.endswith(f"\t{path!a}")]
    replace_file(paths.migrated, "\n".join([*known[-MAX_REMEMBERED:], line, ""]))


def forget(paths: UserPaths) -> None:
    """Forget what was looked into: there is no database of ours, and a new one may be taken for the one that was."""
    try:  # noqa: SIM105 -- contextlib takes longer to import than a flush with nothing to do takes in all
        os.unlink(paths.migrated)
    except OSError:
        pass  # there is none, or it stays a hint


def _line(path: str, database: str) -> str:
    """Return what a file looks like, and which database of ours this is: a new one has nothing of it."""
    return f"{_look(path)} {_look(database).partition(' ')[0]}\t{path!a}"


def _look(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return "-"
    return f"{status.st_dev}:{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _is_whole(place: str, path: str) -> bool:
    """Tell whether a file of this user's lies there, with no link on the way: a work tree may hold anything."""
    step = place
    for name in INSIDE.split(os.sep):
        step = os.path.join(step, name)
        try:
            status = os.lstat(step)
        except (OSError, ValueError):
            return False
        if stat.S_ISLNK(status.st_mode) or not is_own(status):
            return False
    return step == path and stat.S_ISREG(status.st_mode)


def _is_the_plugins(path: str) -> bool:
    from agent_tracker.database_kinds import classify  # noqa: PLC0415 -- only where there is such a file

    try:
        return classify(path).kind == "lmdb-js"
    except StoreError:
        return False
