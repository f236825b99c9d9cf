"""What `doctor --fix` does: for each check, the one thing that is safe to do about what it finds.

Owns those deeds. Never touches what is not ours, never loses a fact, and never moves a hook of somebody else's that
`install-hooks` would not move.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from agent_tracker.checks.spool_checks import temporary_files
from agent_tracker.checks.user_checks import gone_repositories, open_to_others
from agent_tracker.context import open_store
from agent_tracker.files import read_text, replace_file
from agent_tracker.flush import tell_hooks
from agent_tracker.installation.installing import install
from agent_tracker.paths import RepositoryPaths
from agent_tracker.verbs.agents import stop_using

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.context import Context
    from agent_tracker.repository import Repository

    Deed = Callable[[Repository | None, Context], str]

__all__ = ["DEEDS"]


def _reinstall(repository: Repository | None, context: Context) -> str:
    assert repository is not None  # noqa: S101 -- only a repository's checks lead here
    install(repository, context)
    return "installed the hooks anew"


def _stop_using(repository: Repository | None, _context: Context) -> str:
    assert repository is not None  # noqa: S101 -- as above
    stop_using(repository)
    return "ended a use that had expired"


def _close_spool(repository: Repository | None, context: Context) -> str:
    directory = _spool_dir(repository, context)
    os.chmod(directory, stat.S_IRWXU)
    return f"closed to others: {directory}"


def _remove_stale(repository: Repository | None, context: Context) -> str:
    paths = temporary_files(_spool_dir(repository, context))
    for path in paths:
        os.unlink(path)
    return f"removed {', '.join(paths)}"


def _spool_dir(repository: Repository | None, context: Context) -> str:
    return RepositoryPaths(repository.common_dir).spool_dir if repository else context.paths.spool_dir


def _close_database(_repository: Repository | None, context: Context) -> str:
    store, _ = open_store(context)
    paths = open_to_others(store.path)
    for path in paths:
        os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
    return f"closed to others: {', '.join(paths)}"


def _tell_hooks(_repository: Repository | None, context: Context) -> str:
    tell_hooks(context)
    return f"wrote {context.paths.registry} anew"


def _forget_gone(_repository: Repository | None, context: Context) -> str:
    gone = gone_repositories(context)
    kept = [path for path in read_text(context.paths.repositories).split("\n") if path and path not in gone]
    replace_file(context.paths.repositories, "".join(f"{path}\n" for path in kept))
    return f"took off the list: {', '.join(gone)}"


DEEDS: dict[str, Deed] = {
    **dict.fromkeys(
        ("hooks-missing", "hooks-displaced", "hooks-old", "hooks-mode", "hooks-interpreter", "hooks-registry"),
        _reinstall,
    ),
    "use": _stop_using,
    "spool": _close_spool,
    "user-spool": _close_spool,
    "stale-files": _remove_stale,
    "user-stale-files": _remove_stale,
    "database-access": _close_database,
    "registry": _tell_hooks,
    "repositories": _forget_gone,
}
"""By the check's name; several checks may lead to one deed, which is done once."""
