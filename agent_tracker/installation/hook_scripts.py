"""The text of the hooks: the events, and each script in one piece, as a file or as a value in git's configuration.

Owns what a hook of ours looks like and how it is told from others. Never writes.

Source: githooks(5); git-hook(1).
"""

from __future__ import annotations

import os
import re
import stat
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import AgentTrackerError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "COMMIT_MSG",
    "CORE",
    "EVENTS",
    "KEPT_SUFFIX",
    "SHARED",
    "ScriptTexts",
    "TextValues",
    "hook_files_dir",
    "hook_texts",
    "is_ours",
    "quoted",
    "render",
    "validating_events",
]

EVENTS = (
    "pre-commit",
    "pre-merge-commit",
    "pre-applypatch",
    "post-commit",
    "post-merge",
    "post-applypatch",
    "post-rewrite",
    "pre-push",
)
COMMIT_MSG = "commit-msg"
BEFORE_MESSAGE = frozenset({"pre-commit", "pre-merge-commit"})
CORE = "agent-tracker.sh"
SHARED = ("agent-tracker-common.sh", "agent-tracker-rare.sh", CORE)
"""What the hooks source where they need it. Written with the core last: a commit made meanwhile may meet a hook of the
version before, which knows no other file and gives the core another task."""

WHOLE_BODIES = frozenset({"post-commit"})
"""What git's configuration holds in one piece, so that no file can go missing. Every git command reads all of it,
several times and at 10 ns a byte: of the other events it holds the line that sources the script."""

KEPT_SUFFIX = ".agent-tracker-kept"
_ID = b"# agent-tracker-hook "
_ID_WITHIN_BYTES = 200
_BESIDE = "${0%/*}"
_GUARD = f'[ -d "{_BESIDE}/parts" ] || exit 0\n'
_PART = re.compile(r'^(\t*)\. "\$\{0%/\*\}/(parts/[a-z]+\.sh)"\n', re.MULTILINE)
_SAY_RAN = """\
if [ ! -h "$at_dir/ran" ] && { [ -f "$at_dir/ran" ] || [ ! -e "$at_dir/ran" ]; }; then
	printf '%s\\n' "$PPID $at_event" 2>&- >|"$at_dir/ran" || :
fi
"""
_LEAVE_IF_RAN = """\
at_x=
[ ! -s "$at_dir/ran" ] || [ ! -f "$at_dir/ran" ] || [ -h "$at_dir/ran" ] || read -r at_x <"$at_dir/ran" || :
case $at_x in
"$PPID $at_event") ;;
*" $at_event")
	at_need=ran
	[ -r "${0%/*}/agent-tracker.sh" ] && . "${0%/*}/agent-tracker.sh" || at_x=
	;;
*) at_x= ;;
esac
if [ -n "$at_x" ]; then
	: 2>&- >|"$at_dir/ran"
	. "${0%/*}/parts/leave.sh"
fi
"""
_ADOPT = """\
if [ "$at_need" = where ] && [ -d "$at_top/agent-tracker" ] && [ ! -e "$at_top/agent-tracker/project" ]; then
	chmod 700 "$at_top/agent-tracker" 2>/dev/null || :
	printf '\\n' 2>&- >"$at_top/agent-tracker/project" && case $PWD in
	*'
'*) ;;
	*) printf '%s\\n' "$PWD" 2>&- >>AT_LIST || : ;;
	esac
fi
"""
"""A clone made from a template knows no project yet: the first hook that runs there lists it."""


class TextValues(NamedTuple):
    """What is written into the scripts: an interpreter, where it finds our modules, the registry; absolute paths.

    `repositories` is the list to which a clone made from a template adds itself; empty everywhere else.
    """

    python: str
    sys_path: Sequence[str]
    registry: str
    repositories: str = ""


class ScriptTexts(NamedTuple):
    """The scripts of one installation by their names.

    `files` are for a hooks directory; `bodies` are for git's configuration, one per event, and `library` is what they
    source; both are empty where only files are wanted.
    """

    files: dict[str, str]
    bodies: dict[str, str]
    library: dict[str, str]


def validating_events(validate_in: str) -> tuple[str, ...]:
    """Return the events that get a hook, as the setting `validateIn` has it.

    In commit-msg mode no hook runs that makes git read its index once more; a merge runs commit-msg as well.
    """
    if validate_in != COMMIT_MSG:
        return EVENTS
    return (COMMIT_MSG, *(event for event in EVENTS if event not in BEFORE_MESSAGE))


def hook_files_dir() -> str:
    """Return the directory of the hook scripts: in the installed package, or beside it in a source checkout.

    Raises:
        AgentTrackerError: This installation has none.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for directory in (os.path.join(package, "hooks"), os.path.join(os.path.dirname(package), "hooks")):
        if os.path.isfile(os.path.join(directory, CORE)):
            return directory
    raise AgentTrackerError(f"this installation lacks its hook scripts: {package}/hooks", "install agent-tracker anew")


def hook_texts(python: str, sys_path: Sequence[str], registry: str) -> dict[str, str]:
    """Return the files to be installed by their names: each hook in one piece, because opening a file costs a commit.

    Raises:
        AgentTrackerError: No hook can use one of the paths, or this installation lacks a script.
    """
    return render(TextValues(python, sys_path, registry)).files


def render(values: TextValues, *, library_dir: str = "", is_beside_files: bool = False) -> ScriptTexts:
    """Return the texts of all scripts.

    Args:
        values: What is written into them.
        library_dir: Where `library` will lie, an absolute path; empty where git's configuration is not used.
        is_beside_files: Files and configuration are both installed: where git runs both, the file leaves it to the
            other.

    Raises:
        AgentTrackerError: No hook can use one of the paths, or this installation lacks a script.
    """
    _check_paths(values)
    directory = hook_files_dir()
    names = (*EVENTS, COMMIT_MSG)
    try:
        plain = {name: _filled_in(_in_one_piece(directory, name), values) for name in (*names, *SHARED)}
        files = plain
        if is_beside_files:
            files = plain | {n: _filled_in(_in_one_piece(directory, n, _LEAVE_IF_RAN), values) for n in names}
        said = _SAY_RAN if is_beside_files else ""
        bodies = {n: _filled_in(_in_one_piece(directory, n, said, leave="exit 0\n"), values) for n in names}
    except OSError as error:
        raise AgentTrackerError(
            f"this installation lacks its hook scripts: {error.filename}", "install agent-tracker anew"
        ) from error
    if values.repositories:
        first, _, rest = files[CORE].partition("\n")
        files = files | {CORE: f"{first}\n{_ADOPT.replace('AT_LIST', quoted(values.repositories))}{rest}"}
    if not library_dir:
        return ScriptTexts(files, {}, {})
    library = {name: plain[name].replace(_BESIDE, "$at_lib") for name in SHARED}
    library |= {name: text.replace(_BESIDE, "$at_lib") for name, text in bodies.items() if name not in WHOLE_BODIES}
    return ScriptTexts(files, {name: _as_body(name, text, library_dir) for name, text in bodies.items()}, library)


def _check_paths(values: TextValues) -> None:
    for path in (values.python, values.registry, *values.sys_path):
        if not os.path.isabs(path):
            raise AgentTrackerError(f"not an absolute path, so no hook can use it: {path!r}")
    for path in values.sys_path:
        if ":" in path:
            raise AgentTrackerError(f"a hook cannot import from a directory with a colon in its name: {path!r}")


def _in_one_piece(directory: str, name: str, after_where: str = "", leave: str = "") -> str:
    """Return a script with each part that it sources in the place where it does so, without the part's first line.

    Args:
        directory: Where the scripts are.
        name: Which one.
        after_where: Text that follows once the script knows where the repository is.
        leave: What stands in place of running the hook that was there before.
    """

    def part(match: re.Match[str]) -> str:
        if leave and match[2] == "parts/leave.sh":
            return match[1] + leave
        if leave and match[2] == "parts/kept.sh":
            return ""
        text = _in_one_piece(directory, match[2], after_where, leave).partition("\n")[2]
        return textwrap.indent(text, match[1])

    text = _read(os.path.join(directory, name)).replace(_GUARD, "", 1)
    if after_where and name == "parts/where.sh":
        text += after_where
    return _PART.sub(part, text)


def _filled_in(text: str, values: TextValues) -> str:
    baked = {"PYTHON": values.python, "PATH": ":".join(values.sys_path), "REGISTRY": values.registry}
    for name, value in baked.items():
        text = text.replace(f"\nAT_{name}=''\n", f"\nAT_{name}={quoted(value)}\n", 1)
    return text


def _as_body(name: str, text: str, library_dir: str) -> str:
    """Return a script as git's configuration can hold it.

    Git runs it as `sh -c` with `"$@"` appended, and `$0` is no file: what it sources lies in our own directory, found
    from the git directory where that is the common one, else by the absolute path.
    """
    here = "at_lib=${GIT_DIR:-.git}/agent-tracker/lib\n"
    there = f'[ -d "$at_lib" ] || at_lib={quoted(library_dir)}\n'
    rest = f'[ ! -r "$at_lib/{name}" ] || . "$at_lib/{name}"\n'
    if name in WHOLE_BODIES:
        rest = "".join(text.replace(_BESIDE, "$at_lib").splitlines(keepends=True)[2:])
    return f"{here}{there}{rest}:"


def quoted(value: str) -> str:
    """Return a text as one word of a shell."""
    return "'" + value.replace("'", "'\\''") + "'"


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def is_ours(path: str) -> bool:
    """Tell our scripts of any version by the id in their first lines. A symbolic link is never ours."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(_ID_WITHIN_BYTES)
    except OSError:
        return False
    return any(line.startswith(_ID) for line in head.split(b"\n")[:2])
