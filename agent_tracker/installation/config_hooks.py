"""Hooks in a repository's own git configuration, for git 2.54 and newer: each body stands there in one piece.

Owns the sections `hook.agent-tracker-*` and which of the gits on this machine read them. Writes the file by
`git config`; taken out again, it is the same to the byte.

Source: git-config(1), hook.*; git-hook(1).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import GitError
from agent_tracker.files import read_text, replace_file
from agent_tracker.git import clean_environment, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_tracker.repository import Repository

__all__ = [
    "AUTO",
    "BOTH",
    "CONFIG",
    "FILES",
    "LOCK",
    "STYLES",
    "FoundGit",
    "choose_style",
    "configured_events",
    "find_gits",
    "put_into_config",
    "reads_config_hooks",
    "take_out_of_config",
]

AUTO, FILES, CONFIG, BOTH = "auto", "files", "config", "both"
STYLES = (AUTO, FILES, CONFIG)
FIRST_VERSION = (2, 54)
PREFIX = "agent-tracker-"
LOCK = "config.lock"
ENABLED = "enabled"
END_FILE = "config-end"
"""Our note of a configuration whose last line had no end: its digest, so that the end git adds can be taken back."""

USUAL_GITS = (
    "/usr/bin/git",
    "/usr/local/bin/git",
    "/opt/homebrew/bin/git",
    "/opt/local/bin/git",
    "/Library/Developer/CommandLineTools/usr/bin/git",
    "/Applications/Xcode.app/Contents/Developer/usr/bin/git",
    "/Applications/GitHub Desktop.app/Contents/Resources/app/git/bin/git",
    "/Applications/Sourcetree.app/Contents/Resources/git_local/bin/git",
)
"""Where a git may be that is not on the PATH of this process, but on that of a graphical client."""

_VERSION = re.compile(rb"git version (\d+)\.(\d+)")
_VERSION_TIMEOUT_S = 5


class FoundGit(NamedTuple):
    """A git on this machine: its path, and (major, minor)."""

    path: str
    version: tuple[int, int]


def find_gits(search_path: str, usual: tuple[str, ...] = USUAL_GITS) -> list[FoundGit]:
    """Return every git in the directories of `search_path` and in the usual places, each once, with its version.

    What does not say its version is left out.
    """
    candidates = [os.path.join(directory, "git") for directory in search_path.split(os.pathsep) if directory]
    found: dict[str, FoundGit] = {}
    for path in (*candidates, *usual):
        real = os.path.realpath(path)
        if real in found or not os.access(path, os.X_OK) or _opens_a_dialog(path):
            continue
        version = _version(path)
        if version:
            found[real] = FoundGit(path, version)
    return list(found.values())


def _opens_a_dialog(path: str) -> bool:
    """Tell the /usr/bin/git of macOS that asks to install the developer tools where they are not."""
    is_stub = sys.platform == "darwin" and path == "/usr/bin/git"
    return is_stub and not any(os.path.exists(usual) for usual in USUAL_GITS if "Developer" in usual)


def _version(path: str) -> tuple[int, int] | None:
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            [path, "--version"], capture_output=True, timeout=_VERSION_TIMEOUT_S, check=False, env=clean_environment()
        )
        match = _VERSION.match(done.stdout)
        if match:
            return int(match[1]), int(match[2])
    return None


def choose_style(style: str, gits: list[FoundGit]) -> str:
    """Return `files`, `config` or `both`: for `auto`, what every git found can use.

    Args:
        style: One of STYLES.
        gits: From `find_gits`; empty where there is none.

    Raises:
        GitError: Hooks are wanted in the configuration, and no git found reads them there.
    """
    readers = [git.version >= FIRST_VERSION for git in gits]
    if style == CONFIG and not any(readers):
        found = ", ".join(f"{git.path} is {git.version[0]}.{git.version[1]}" for git in gits)
        raise GitError(f"git 2.54 or newer reads hooks from its configuration; {found}", "--style files")
    if style != AUTO:
        return style
    if not any(readers):
        return FILES
    return CONFIG if all(readers) else BOTH


def reads_config_hooks() -> bool:
    """Tell whether the git that this process runs is new enough."""
    version = _VERSION.match(run(["--version"], cwd=os.sep))
    return version is not None and (int(version[1]), int(version[2])) >= FIRST_VERSION


def configured_events(repository: Repository) -> dict[str, str]:
    """Return our bodies in the repository's own configuration by event; those that git does not run are left out."""
    values = _read(repository)
    commands = {name: value for (name, key), value in values.items() if key == "command"}
    events = {name: value for (name, key), value in values.items() if key == "event"}
    names = [name for name in events if name in commands and _is_enabled(repository, name, values)]
    return {events[name]: commands[name] for name in names}


def _is_enabled(repository: Repository, name: str, values: Mapping[tuple[str, str], str]) -> bool:
    if (name, ENABLED) not in values:
        return True
    try:
        said = run(_git(repository, "--type=bool", "--get", f"hook.{name}.{ENABLED}"), cwd=repository.common_dir)
    except GitError:
        return True
    return said.strip() != b"false"


def _read(repository: Repository) -> dict[tuple[str, str], str]:
    try:
        out = run(_git(repository, "--null", "--get-regexp", rf"^hook\.{PREFIX}.*"), cwd=repository.common_dir)
    except GitError:
        return {}
    found = {}
    for entry in os.fsdecode(out).split("\0"):
        key, _, value = entry.partition("\n")
        name, _, variable = key.removeprefix("hook.").rpartition(".")
        if name:
            found[name, variable] = value
    return found


def _git(repository: Repository, *argv: str) -> list[str]:
    return [f"--git-dir={repository.common_dir}", "config", "--local", *argv]


def put_into_config(repository: Repository, bodies: Mapping[str, str], spool_dir: str) -> dict[str, str]:
    """Write the bodies, each before the event that runs it, and take out events that are not wanted any more.

    Returns:
        What became of each event: installed, upgraded, unchanged; removed.

    Raises:
        GitError: The configuration cannot be written.
        OSError: Our own note beside it cannot.
    """
    before = _read(repository)
    if not before:
        _note_end(repository, spool_dir)
    changes = {}
    for event, body in bodies.items():
        name = PREFIX + event
        wanted = {"command": body, "event": event}
        stale = [key for key, value in wanted.items() if before.get((name, key)) != value]
        for key in stale:
            _change(repository, "--replace-all", f"hook.{name}.{key}", wanted[key])
        if (name, ENABLED) in before and not _is_enabled(repository, name, before):
            _change(repository, "--unset-all", f"hook.{name}.{ENABLED}")
            stale.append(ENABLED)
        known = (name, "event") in before
        changes[event] = ("upgraded" if known else "installed") if stale else "unchanged"
    wanted_names = {PREFIX + event for event in bodies}
    for name in dict.fromkeys(name for name, _ in before if name not in wanted_names):
        _remove_section(repository, name)
        changes[name.removeprefix(PREFIX)] = "removed"
    return changes


def take_out_of_config(repository: Repository, spool_dir: str) -> list[str]:
    """Remove our sections and return the events that had one; the file is as it was before they came.

    Raises:
        GitError: The configuration cannot be written.
        OSError: It cannot be given back its last line.
    """
    names = list(dict.fromkeys(name for name, _ in _read(repository)))
    for name in names:
        _remove_section(repository, name)
    if names:
        _give_back_end(repository, spool_dir)
    return [name.removeprefix(PREFIX) for name in names]


def _remove_section(repository: Repository, name: str) -> None:
    try:
        _change(repository, "--remove-section", f"hook.{name}")
    except GitError:
        if any(name == left for left, _ in _read(repository)):
            raise


def _change(repository: Repository, *argv: str) -> None:
    try:
        run(_git(repository, *argv), cwd=repository.common_dir)
    except GitError as error:
        lock = os.path.join(repository.common_dir, LOCK)
        if not os.path.lexists(lock):
            raise
        raise GitError(error.message, f"if no git is running there: rm '{lock}'") from error


def _note_end(repository: Repository, spool_dir: str) -> None:
    content = _content(repository)
    if content and not content.endswith(b"\n"):
        replace_file(os.path.join(spool_dir, END_FILE), hashlib.sha256(content).hexdigest() + "\n")


def _give_back_end(repository: Repository, spool_dir: str) -> None:
    """Take back the line feed that git put after the last line, if nothing else has changed."""
    if os.path.islink(spool_dir):
        return
    note = os.path.join(spool_dir, END_FILE)
    noted = read_text(note).strip()
    content = _content(repository)
    if noted and content.endswith(b"\n") and hashlib.sha256(content[:-1]).hexdigest() == noted:
        for lock in _locked(repository):
            os.truncate(lock, len(content) - 1)
    with suppress(FileNotFoundError):
        os.unlink(note)


def _locked(repository: Repository) -> Iterator[str]:
    """Yield a copy of the configuration under git's own lock, which then becomes the configuration."""
    path = os.path.realpath(os.path.join(repository.common_dir, "config"))
    lock = f"{path}.lock"
    mode = os.stat(path).st_mode & 0o7777
    descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_content(repository))
        yield lock
        os.chmod(lock, mode)
        os.replace(lock, path)
    except OSError:
        os.unlink(lock)
        raise


def _content(repository: Repository) -> bytes:
    with open(os.path.join(repository.common_dir, "config"), "rb") as file:
        return file.read()
