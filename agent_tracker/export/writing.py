"""Writing the exports where the user asked for them: into the main work tree, kept out of git.

Owns when a file may be written: only a new one or one of ours, in a directory that is none of git's, through no link.
What lies there is compared and never parsed. A failure costs a line and nothing else.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from operator import add
from typing import TYPE_CHECKING

from agent_tracker.config import EXPORT, find_setting, read_settings
from agent_tracker.errors import AgentTrackerError
from agent_tracker.files import read_bytes, read_text, replace_file
from agent_tracker.git import config_get, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent_tracker.export.base import Exporter, ProjectView
    from agent_tracker.paths import UserPaths
    from agent_tracker.repository import Repository
    from agent_tracker.store import Store
    from agent_tracker.tables import Snapshot

__all__ = ["EXPORT_OFF", "refresh_exports", "take_out_block", "wanted_exports", "write_exports"]

BEGIN = "# agent-tracker export: begin\n"
END = "# agent-tracker export: end\n"
TEMPORARY = ".{}.agent-tracker-tmp"
EXPORT_OFF = "false"
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


class _LeftAloneError(Exception):
    """What is there is not ours; the message says what it is."""


def write_exports(
    repository: Repository, paths: UserPaths, env: Mapping[str, str], store: Store, project: str
) -> tuple[str, ...]:
    """Write the exports that are turned on, where what they say has changed; return what could not be, a line each.

    Where they are turned off, what is there stays, and git is told nothing of it any more.
    """
    try:
        wanted = wanted_exports(repository, paths, env)
        if wanted == EXPORT_OFF:
            take_out_block(repository.common_dir)
            return ()
        return _write(repository, store, project, wanted, only_existing=False)
    except (AgentTrackerError, OSError) as error:
        return (f"cannot export: {error}",)


def refresh_exports(repository: Repository, store: Store, project: str) -> tuple[str, ...]:
    """Write those files anew that are there, turned on or not; return what could not be, a line each."""
    try:
        return _write(repository, store, project, "true", only_existing=True)
    except (AgentTrackerError, OSError) as error:
        return (f"cannot export: {error}",)


def wanted_exports(repository: Repository, paths: UserPaths, env: Mapping[str, str]) -> str:
    """Return what is turned on in a repository: `true` for all, the name of one, or `false`.

    Git is asked only where one of its files has something of ours to say, or names another file.

    Raises:
        ConfigError: The configuration is not valid.
    """
    key = find_setting(EXPORT).git_key
    value = config_get(key, cwd=repository.common_dir) if _may_be_configured(repository, paths, env) else ""
    values = read_settings(paths, env, repository={key: value} if value else {}, checks_export=True)
    return str(values[EXPORT].value)


def _may_be_configured(repository: Repository, paths: UserPaths, env: Mapping[str, str]) -> bool:
    files = [
        os.path.join(repository.common_dir, "config"),
        os.path.join(repository.git_dir, "config.worktree"),
        os.path.join(paths.home, ".gitconfig"),
        os.path.join(env.get("XDG_CONFIG_HOME") or os.path.join(paths.home, ".config"), "git", "config"),
        "/etc/gitconfig",
        "/usr/local/etc/gitconfig",
        "/opt/homebrew/etc/gitconfig",
    ]
    contents = map(bytes.lower, map(read_bytes, files))
    return any(b"[include" in content or (b"agenttracker" in content and b"export" in content) for content in contents)


def _write(repository: Repository, store: Store, project: str, wanted: str, *, only_existing: bool) -> tuple[str, ...]:
    from agent_tracker.export.registry import EXPORTERS  # noqa: PLC0415 -- for those alone who asked for an export

    root = _find_work_tree(repository)
    if not root:
        return ()
    if os.open not in os.supports_dir_fd:
        return ("exports are not written on this system",)
    exporters = [exporter for name, exporter in EXPORTERS.items() if wanted in {name, "true"}]
    with store.snapshot() as snapshot:
        if snapshot is None:
            return ()
        view = _view(snapshot, project)
    if not only_existing:
        _put_block(repository.common_dir, [pattern for exporter in exporters for pattern in exporter.IGNORED])
    warnings: list[str] = []
    for exporter in exporters:
        try:
            _export(root, exporter, view, only_existing=only_existing)
        except _LeftAloneError as error:
            warnings.append(f"not exported: {os.path.join(root, exporter.DIRECTORY)} {error}")
        except OSError as error:
            where = os.path.join(root, exporter.DIRECTORY)
            warnings.append(f"cannot export to {where}: {error.strerror}")
    return tuple(warnings)


def _view(snapshot: Snapshot, project: str) -> ProjectView:
    from agent_tracker import journal_tables  # noqa: PLC0415 -- as above
    from agent_tracker.derived import Tally  # noqa: PLC0415
    from agent_tracker.export.base import ProjectView  # noqa: PLC0415
    from agent_tracker.journal_entries import activities, retros  # noqa: PLC0415
    from agent_tracker.views.journal import Chosen  # noqa: PLC0415

    numbers = snapshot.joined_projects(project)
    here: dict[int, Tally] = {}
    for place, tally in journal_tables.tallies(snapshot).items():
        if place.project in numbers:
            old = here.get(place.agent, Tally())
            here[place.agent] = Tally._make(map(add, old, tally))._replace(last_at=max(old.last_at, tally.last_at))
    agents = tuple((agent, here[number]) for agent, number in snapshot.numbered_agents().values() if number in here)
    numbered = snapshot.numbered_projects()
    chosen = Chosen(frozenset(numbered[number].id for number in numbers))
    oldest_first = slice(None, None, -1)
    return ProjectView(
        project,
        agents,
        tuple(retros(snapshot, chosen)[oldest_first]),
        tuple(activities(snapshot, chosen)[oldest_first]),
        snapshot.timeline().current,
    )


# -- where


def _find_work_tree(repository: Repository) -> str:
    """Return the main work tree, empty where there is none, or where nothing in it says that it is this repository's.

    A hook of a submodule is told of the git directory alone, whose parent is no work tree.
    """
    common_dir = repository.common_dir
    parent, name = os.path.split(common_dir)
    has_words = b"worktree" in read_bytes(os.path.join(common_dir, "config")).lower()
    configured = config_get("core.worktree", cwd=common_dir) if has_words else ""
    places = [os.path.join(common_dir, configured)] if configured else []
    places += [parent] if name == ".git" else [repository.work_tree]
    for place in map(os.path.normpath, places):
        if _leads_to(place, common_dir):
            return "" if config_get("core.bare", cwd=common_dir) == "true" else place
    return ""


def _leads_to(work_tree: str, common_dir: str) -> bool:
    path = os.path.join(work_tree, ".git")
    target = read_text(path).strip().removeprefix("gitdir: ") if os.path.isfile(path) else path
    with suppress(OSError):
        return os.path.samefile(os.path.join(work_tree, target), common_dir)
    return False


# -- files


def _export(root: str, exporter: Exporter, view: ProjectView, *, only_existing: bool) -> None:
    """Write the files of one exporter that are not as they must be.

    Raises:
        _LeftAloneError: What is there is not ours.
        OSError: It cannot be written.
    """
    wanted: dict[str, str] = {}
    exporter.write(view, wanted)
    is_there = os.path.lexists(os.path.join(root, exporter.DIRECTORY))
    if not wanted or (only_existing and not is_there):
        return
    with _directory(root, exporter.DIRECTORY) as directory:
        encoded = {name: text.encode("utf-8", "backslashreplace") for name, text in wanted.items()}
        found = {name: _read(directory, name) for name in encoded}
        mark = exporter.MARK.encode()
        changed = [
            name
            for name, content in encoded.items()
            if found[name] != content and not (only_existing and not (found[name] or b"").startswith(mark))
        ]
        if not changed:
            return
        if run(["ls-files", "-z", "--", exporter.DIRECTORY], cwd=root):
            raise _LeftAloneError("is tracked by git")
        for name in changed:
            content = found[name]
            if content is not None and not content.startswith(mark):
                raise _LeftAloneError(f"holds a {name} that agent-tracker did not write")
            _replace(directory, name, encoded[name])


@contextmanager
def _directory(root: str, name: str) -> Iterator[int]:
    """Yield a descriptor of a directory of the work tree, which is made unless it is there.

    Raises:
        _LeftAloneError: It is a link, or no directory.
        OSError: It cannot be made.
    """
    top = os.open(root, _DIRECTORY)
    try:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=top)
        if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
            raise _LeftAloneError("is a link or a file, not a directory")
        descriptor = os.open(name, _DIRECTORY | _NOFOLLOW, dir_fd=top)
    finally:
        os.close(top)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(directory: int, name: str) -> bytes | None:
    """Return what a file holds, None where there is none.

    Raises:
        _LeftAloneError: It is a link, or no regular file.
    """
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise _LeftAloneError(f"holds a {name} that is no file")
        descriptor = os.open(name, os.O_RDONLY | _NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _replace(directory: int, name: str, content: bytes) -> None:
    aside = TEMPORARY.format(name)
    with suppress(FileNotFoundError):
        os.unlink(aside, dir_fd=directory)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with suppress(OSError):
            os.unlink(aside, dir_fd=directory)
        raise


# -- kept out of git


def _put_block(common_dir: str, patterns: Iterable[str]) -> None:
    """Tell git, for this repository alone, that the exports are none of its business."""
    lines = [line for pattern in patterns for line in (pattern, _temporary(pattern))]
    block = BEGIN + "".join(f"{line}\n" for line in dict.fromkeys(lines) if line) + END
    path, text = _excluded(common_dir)
    if block in text:
        return
    rest = _without_block(text)
    separator = "\n" if rest and not rest.endswith("\n") else ""
    _write_excluded(path, rest + separator + block)


def _temporary(pattern: str) -> str:
    """Return the pattern of a file's temporary name; of a directory's there is none."""
    directory, name = os.path.split(pattern)
    return f"{directory}/{TEMPORARY.format(name)}" if name else ""


def take_out_block(common_dir: str) -> None:
    """Take out what `info/exclude` says of the exports, if it says anything.

    Raises:
        OSError: It cannot be written.
    """
    path, text = _excluded(common_dir)
    if BEGIN in text and END in text:
        _write_excluded(path, _without_block(text))


def _excluded(common_dir: str) -> tuple[str, str]:
    path = os.path.realpath(os.path.join(common_dir, "info", "exclude"))
    return path, read_text(path, newline="")


def _without_block(text: str) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return before + after if begin and end else text


def _write_excluded(path: str, text: str) -> None:
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o644
    replace_file(path, text, mode=mode)
