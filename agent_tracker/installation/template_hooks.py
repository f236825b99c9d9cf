"""Hooks for repositories that do not exist yet: the directory that git copies into each new one.

Owns that directory where the user has none, and `init.templateDir` then. Where the user has one, only our hooks in it.
Never prints.

Source: git-init(1), template directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import AgentTrackerError, GitError
from agent_tracker.files import replace_file
from agent_tracker.git import run
from agent_tracker.installation.hook_files import HookChange, check_room, put_in, take_out
from agent_tracker.installation.hook_scripts import TextValues, render, validating_events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.paths import UserPaths

__all__ = ["TemplateReport", "install_template", "uninstall_template"]

KEY = "init.templateDir"
OURS = "agent-tracker"
BASELINE = "reflog"
"""Empty in the template: in a repository that begins with our hooks, all of the reflog counts."""


class TemplateReport(NamedTuple):
    """What was done in which template directory; `directory` is empty where there is none."""

    directory: str
    changes: tuple[HookChange, ...]


def install_template(
    paths: UserPaths, env: Mapping[str, str], values: TextValues, *, validate_in: str = "pre-commit"
) -> TemplateReport:
    """Put the hooks into the user's template directory, or make one and name it in the user's git configuration.

    Raises:
        GitError: The configuration cannot be written.
        AgentTrackerError: Something foreign is in the way, or a file cannot be written.
    """
    directory = _configured(env)
    is_new = not directory
    directory = directory or _own(paths)
    events = validating_events(validate_in)
    texts = render(values._replace(repositories=paths.repositories)).files
    hooks_dir = os.path.join(directory, "hooks")
    try:
        check_room(hooks_dir, events)
        if directory == _own(paths):
            _copy_gits_own(directory)
        changes = put_in(hooks_dir, events, texts)
        baseline = os.path.join(directory, OURS, BASELINE)
        if not os.path.lexists(baseline):
            replace_file(baseline, "")
    except OSError as error:
        raise _failure(directory, error) from error
    if is_new:
        run(["config", *_scope(env), KEY, directory], cwd=os.sep)
    return TemplateReport(directory, changes)


def _own(paths: UserPaths) -> str:
    return os.path.join(paths.state_dir, "template")


def _failure(directory: str, error: OSError) -> AgentTrackerError:
    return AgentTrackerError(
        f"cannot change the template directory {directory}: {error.strerror}: {error.filename or directory}",
        f"ls -ld '{directory}'",
    )


def _scope(env: Mapping[str, str]) -> list[str]:
    named = env.get("GIT_CONFIG_GLOBAL", "")
    return ["--file", named] if named else ["--global"]


def _configured(env: Mapping[str, str]) -> str:
    for scope in (_scope(env), []):
        try:
            out = run(["config", *scope, "--type=path", "--get", KEY], cwd=os.sep)
        except GitError:
            continue
        return os.fsdecode(out).removesuffix("\n")
    return ""


def _copy_gits_own(directory: str) -> None:
    """Copy what a new repository has from git's own template, but for the samples: ours takes that one's place."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="agent-tracker-") as aside:
        made = os.path.join(aside, "made")
        run(["init", "--quiet", "--bare", made], cwd=aside)
        for name in ("description", "info"):
            source, target = os.path.join(made, name), os.path.join(directory, name)
            if os.path.isdir(source) and not os.path.lexists(target):
                shutil.copytree(source, target)
            elif os.path.isfile(source) and not os.path.lexists(target):
                shutil.copyfile(source, target)


def uninstall_template(paths: UserPaths, env: Mapping[str, str]) -> TemplateReport:
    """Take the hooks out of the template directory, and with them the directory if it was ours.

    Raises:
        GitError: The configuration cannot be written.
        AgentTrackerError: A file cannot be removed or given back.
    """
    directory = _configured(env)
    own = _own(paths)
    if not directory and not os.path.isdir(own):
        return TemplateReport("", ())
    directory = directory or own
    hooks_dir = os.path.join(directory, "hooks")
    try:
        changes = take_out(hooks_dir)
        _remove_ours(os.path.join(directory, OURS))
        if directory == own:
            run(["config", *_scope(env), "--unset-all", KEY], cwd=os.sep)
            shutil.rmtree(own)
        elif os.path.isdir(hooks_dir) and not os.listdir(hooks_dir):
            os.rmdir(hooks_dir)
    except OSError as error:
        raise _failure(directory, error) from error
    return TemplateReport(directory, changes)


def _remove_ours(directory: str) -> None:
    """Remove what stands for our directory, unless somebody put more into it."""
    if os.path.isdir(directory) and not os.path.islink(directory) and os.listdir(directory) == [BASELINE]:
        shutil.rmtree(directory)
