"""The verb doctor: every check of the user's side and of repositories, and mending what is safe to mend.

Owns the table of checks with their stable names, and that a check that fails is a problem like any other. Never prints.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.checks import backup_checks, hook_checks, spool_checks, user_checks
from agent_tracker.checks.mending import DEEDS
from agent_tracker.checks.spool_checks import of_repository
from agent_tracker.checks.symptoms import Finding, Problem
from agent_tracker.checks.user_checks import of_user
from agent_tracker.errors import AgentTrackerError, GitError, UsageError
from agent_tracker.files import read_text
from agent_tracker.flush import known_repositories
from agent_tracker.repository import find_repository, known_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from agent_tracker.context import Context
    from agent_tracker.repository import Repository

    UserCheck = Callable[[Context], Iterable[Finding]]
    RepositoryCheck = Callable[[Repository, Context], Iterable[Finding]]

__all__ = ["REPOSITORY_CHECKS", "USER_CHECKS", "Diagnosis", "doctor"]

USER_CHECKS: dict[str, UserCheck] = {
    "git": user_checks.git,
    "configuration": user_checks.configuration,
    "clients": user_checks.clients,
    "database-file-system": user_checks.database_file_system,
    "database-owner": user_checks.database_owner,
    "database-access": user_checks.database_access,
    "database-disk": user_checks.database_disk,
    "database": user_checks.database,
    "database-size": user_checks.database_size,
    "database-place": user_checks.database_place,
    "database-leftovers": user_checks.database_leftovers,
    "backups": backup_checks.backups,
    "backups-access": backup_checks.backups_access,
    "user-spool": of_user(spool_checks.directory_access),
    "user-rejected-lines": of_user(spool_checks.rejected_lines),
    "user-flush-lock": of_user(spool_checks.flush_lock),
    "user-spool-waiting": of_user(spool_checks.spool_waiting),
    "user-stale-files": of_user(spool_checks.stale_files),
    "user-spool-disk": of_user(user_checks.spool_disk),
    "registry": user_checks.registry,
    "agent": user_checks.agent,
}
REPOSITORY_CHECKS: dict[str, RepositoryCheck] = {
    "hooks-owner": hook_checks.hooks_owner,
    "hooks-path": hook_checks.hooks_path,
    "hooks-missing": hook_checks.hooks_missing,
    "hooks-displaced": hook_checks.hooks_displaced,
    "hooks-old": hook_checks.hooks_old,
    "hooks-mode": hook_checks.hooks_mode,
    "hooks-interpreter": hook_checks.hooks_interpreter,
    "hooks-registry": hook_checks.hooks_registry,
    "hooks-slow": hook_checks.hooks_slow,
    "index-size": spool_checks.index_size,
    "reflog": spool_checks.reflog,
    "spool": of_repository(spool_checks.directory_access),
    "spool-size": of_repository(spool_checks.spool_size),
    "rejected-lines": of_repository(spool_checks.rejected_lines),
    "flush-lock": of_repository(spool_checks.flush_lock),
    "spool-waiting": of_repository(spool_checks.spool_waiting),
    "stale-files": of_repository(spool_checks.stale_files),
    "spool-disk": of_repository(user_checks.spool_disk),
    "use": spool_checks.use,
}
"""The names are for programs: they stay when a check changes. `repositories` and `repository` are found on the way."""


class Diagnosis(NamedTuple):
    """What was looked at and found.

    `repositories` are the paths of those looked at, none where only the user's side was. `checked` are the checks'
    names. `mended` says what was done, a line each.
    """

    repositories: tuple[str, ...]
    problems: tuple[Problem, ...]
    checked: tuple[str, ...]
    mended: tuple[str, ...] = ()


def doctor(path: str, context: Context, *, is_all: bool = False, is_fix: bool = False) -> Diagnosis:
    """Check the user's side and the repository that `path` is in, or with `is_all` every one that is known.

    Args:
        path: A directory, which need not be in a repository.
        context: Paths, environment, time.
        is_all: Every repository in the store and in the list of installations.
        is_fix: Mend what is safe to mend, and look again.

    Raises:
        UsageError: There is no such directory.
    """
    if not os.path.isdir(path):
        raise UsageError(f"no such directory: {path}", "agent-tracker doctor [PATH]")
    places, lost = _find_places(path, context, is_all=is_all)
    found = _examine(places, lost, context, is_all=is_all)
    if not is_fix or not any(problem.is_fixable for problem in found.problems):
        return found
    mended, failed = _mend(found.problems, {place.main_path: place for place in places}, context)
    again = _examine(places, lost, context, is_all=is_all)
    left = (problem._replace(is_fixable=False) for problem in again.problems)
    return again._replace(problems=(*left, *failed), mended=tuple(mended))


def _find_places(path: str, context: Context, *, is_all: bool) -> tuple[list[Repository], list[Problem]]:
    """Return the repositories to look at, and those that were meant and cannot be."""
    places, lost = [], []
    for place in _known(context) if is_all else [path]:
        try:
            places.append(known_repository(place) if is_all else find_repository(place, context.env))
        except (AgentTrackerError, OSError, ValueError) as error:
            if is_all or _has_git_file(place):
                lost.append(_failed("repository", place, error))
    return places, lost


def _examine(places: list[Repository], lost: list[Problem], context: Context, *, is_all: bool) -> Diagnosis:
    checks = USER_CHECKS | ({"repositories": user_checks.repositories} if is_all else {})
    problems = [p for name, check in checks.items() for p in _problems(name, "", partial(check, context))]
    problems += lost
    for place in places:
        for name, check in REPOSITORY_CHECKS.items():
            problems += _problems(name, place.main_path, partial(check, place, context))
    names = (*checks, *(["repository", *REPOSITORY_CHECKS] if places or lost else []))
    return Diagnosis(tuple(place.main_path for place in places), tuple(_each_once(problems)), names)


def _known(context: Context) -> list[str]:
    try:
        return known_repositories(context)
    except AgentTrackerError:
        listed = read_text(context.paths.repositories).split("\n")
        return [path for path in dict.fromkeys(listed) if path and os.path.isdir(path)]


def _has_git_file(path: str) -> bool:
    """Tell whether `path` was meant to be in a repository: something called .git is there or above."""
    directory = os.path.abspath(path)
    while not os.path.lexists(os.path.join(directory, ".git")):
        if directory == os.path.dirname(directory):
            return False
        directory = os.path.dirname(directory)
    return True


def _problems(name: str, repository: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Problem]:
    """Yield what a check finds; its own failure is a problem too, whatever lies in its way."""
    try:
        for finding in check():
            yield Problem(name, *finding, repository)
    except GitError as error:
        if shutil.which("git"):
            yield _failed(name, repository, error)
    except (AgentTrackerError, OSError, ValueError) as error:
        yield _failed(name, repository, error)


def _failed(name: str, repository: str, error: Exception) -> Problem:
    if isinstance(error, AgentTrackerError):
        return Problem(name, error.message, error.hint, is_fixable=False, repository=repository)
    where = getattr(error, "filename", None)
    remedy = f"ls -ld {where}" if where else "git fsck"
    return Problem(name, f"cannot be checked: {error}", remedy, is_fixable=False, repository=repository)


def _each_once(problems: Sequence[Problem]) -> Iterator[Problem]:
    """Yield the problems without those that repeat what another check met: one broken thing is one problem."""
    said: set[tuple[str, str]] = set()
    for problem in problems:
        if not said & {(problem.message, ""), (problem.message, problem.repository)}:
            said.add((problem.message, problem.repository))
            yield problem


def _mend(
    problems: Sequence[Problem], places: Mapping[str, Repository], context: Context
) -> tuple[list[str], list[Problem]]:
    """Do what the fixable problems lead to, each deed once a repository; return what was done and what failed."""
    deeds = {(DEEDS[p.check], p.repository): p for p in problems if p.is_fixable}
    mended, failed = [], []
    for (deed, path), problem in deeds.items():
        try:
            done = deed(places.get(path), context)
            mended.append(f"{path}: {done}" if path else done)
        except (AgentTrackerError, OSError) as error:
            failed.append(_failed(problem.check, path, error))
    return mended, failed
