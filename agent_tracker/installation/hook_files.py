"""One directory of hooks: ours put in, the ones that were there kept or left, and everything given back.

Owns the names by which a foreign hook waits for ours to run it. Never overwrites what it did not write.

A foreign hook becomes `<event>.agent-tracker-kept`, which ours runs: there is no moment at which it has no name. One
that may look at its own name is run by way of a link that bears it, in a directory of links beside the hooks. Where a
program that runs `<event>.legacy` has the event, ours is that, as it would be had that program come second: it then
survives that program's own installation and removal. Where a program regenerates its hooks, nothing is written.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import AgentTrackerError
from agent_tracker.files import read_bytes, read_text, replace_file
from agent_tracker.installation.hook_scripts import COMMIT_MSG, CORE, EVENTS, KEPT_SUFFIX, SHARED, is_ours
from agent_tracker.installation.neighbours import LEGACY_SUFFIX, is_same_program, manager_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "HookChange",
    "check_room",
    "is_covered",
    "is_left_to_another",
    "leftovers",
    "place_of",
    "put_in",
    "put_shared",
    "take_out",
]

OLD_SUFFIX = ".old"
OLD_DIRECTORY = "old-hooks"
_LOOKED_AT_BYTES = 1 << 20
_OWN_NAME = re.compile(rb"##\*/|basename|\$\{?0\b|\bargv|ARGV0|__file__|BASH_SOURCE|PROGRAM_NAME|__FILE__")
"""What stands in a script that may look at its own name."""

_NAMES = (*EVENTS, COMMIT_MSG, *SHARED)
_LEFTOVER = re.compile(rf"(?:{'|'.join(map(re.escape, _NAMES))})(?:{re.escape(LEGACY_SUFFIX)})?\.\d+\.tmp")


class HookChange(NamedTuple):
    """What became of one event's hook.

    `change` is installed, upgraded, unchanged or left (another program's own) on the way in; removed, restored, absent
    or left on the way out. `path` is where ours lies. `kept` is where a foreign hook lies that ours runs, empty where
    there is none.
    """

    event: str
    path: str
    change: str
    kept: str


def check_room(hooks_dir: str, events: Iterable[str]) -> None:
    """Refuse before anything is changed, not in the middle.

    Raises:
        AgentTrackerError: A file or directory in the way, or a second foreign hook for one event.
    """
    for name in SHARED:
        path = os.path.join(hooks_dir, name)
        if os.path.lexists(path) and not is_ours(path):
            raise AgentTrackerError(
                f"a file that is not ours is in the way: {path}", "move it away, then install-hooks"
            )
    for event in events:
        _check_event(os.path.join(hooks_dir, event))


def _check_event(path: str) -> None:
    place = place_of(path)
    if not place or not os.path.lexists(place) or _leads_to_ours(place):
        return
    if os.path.isdir(place) and not os.path.islink(place):
        raise AgentTrackerError(f"a directory is in the way: {place}", "move it away, then install-hooks")
    kept = path + KEPT_SUFFIX
    if os.path.lexists(kept) and not _is_spare(place, kept):
        raise AgentTrackerError(
            f"cannot keep {place}: another hook is kept already, {kept}",
            "merge the two or move one away, then install-hooks",
        )


def place_of(path: str) -> str:
    """Return where ours goes for the hook at `path`; empty where another program would overwrite it."""
    manager = manager_of(path)
    if manager is None:
        return path
    return path + LEGACY_SUFFIX if manager.runs_legacy else ""


def is_left_to_another(path: str) -> bool:
    """Tell whether a second foreign hook has the place of the one that is kept, so that ours can go nowhere."""
    place, kept = place_of(path), path + KEPT_SUFFIX
    is_foreign = bool(place) and os.path.lexists(place) and not _leads_to_ours(place)
    return is_foreign and os.path.lexists(kept) and not _is_spare(place, kept)


def _leads_to_ours(path: str) -> bool:
    """Tell our own hook, and a link to one of ours: run by ours, that would be run by itself."""
    return is_ours(os.path.realpath(path) if os.path.islink(path) else path)


def _is_spare(place: str, kept: str) -> bool:
    is_again = _leads_to_ours(kept) or _is_same_file(place, kept)
    return is_again or manager_of(kept) is not None or is_same_program(place, kept)


def _is_same_file(path: str, other: str) -> bool:
    """Tell two names of one file, neither followed where it is a link."""
    with suppress(OSError):
        return os.path.samestat(os.lstat(path), os.lstat(other))
    return False


def put_in(hooks_dir: str, events: Iterable[str], texts: Mapping[str, str]) -> tuple[HookChange, ...]:
    """Put our hooks into a directory, the shared files around them, and take out ours of events not wanted any more."""
    wanted = tuple(events)
    os.makedirs(hooks_dir, exist_ok=True)
    _remove_leftovers(hooks_dir)
    put_shared(hooks_dir, texts, SHARED[:-1])
    changes = [_put_hook(os.path.join(hooks_dir, event), event, texts[event]) for event in wanted]
    others = [event for event in (*EVENTS, COMMIT_MSG) if event not in wanted]
    stale = [event for event in others if any(is_ours(path) for path in _places(hooks_dir, event))]
    changes += [_take_out(hooks_dir, event) for event in stale]
    put_shared(hooks_dir, texts, (CORE,))
    _name_kept(hooks_dir)
    return tuple(changes)


def put_shared(directory: str, texts: Mapping[str, str], names: Iterable[str] = SHARED) -> None:
    """Write what the hooks source."""
    for name in names:
        _put(os.path.join(directory, name), texts[name], 0o644)


def _put_hook(path: str, event: str, text: str) -> HookChange:
    kept = path + KEPT_SUFFIX
    if os.path.islink(kept) and _leads_to_ours(kept):
        os.unlink(kept)
    if is_ours(path) and manager_of(kept):
        os.replace(kept, path)
    place = place_of(path)
    is_foreign = bool(place) and os.path.lexists(place) and not _leads_to_ours(place)
    if is_foreign:
        _keep(place, kept)
    elif place != path and manager_of(kept):
        os.unlink(kept)
    change = _put(place, text, 0o755, is_foreign=is_foreign) if place else "left"
    for copy in (path + LEGACY_SUFFIX, path + OLD_SUFFIX):
        if copy != place and is_ours(copy):
            _refresh(copy, text, is_useful=change == "left")
    return HookChange(event, place or path, change, kept if place and os.path.lexists(kept) else "")


def _keep(place: str, kept: str) -> None:
    """Give the foreign hook its other name besides the one that it has, which ours then takes over."""
    if _is_same_file(place, kept):
        return
    with suppress(FileNotFoundError):
        os.unlink(kept)
    try:
        os.link(place, kept, follow_symlinks=False)
    except (OSError, NotImplementedError):
        os.replace(place, kept)


def _refresh(copy: str, text: str, *, is_useful: bool) -> None:
    """Bring a hook of ours that another program put aside up to date, or remove it where ours is in its place again."""
    if is_useful:
        _put(copy, text, 0o755)
    else:
        os.unlink(copy)


def _put(path: str, text: str, mode: int, *, is_foreign: bool = False) -> str:
    is_there = os.path.lexists(path) and not is_foreign
    if is_there and is_ours(path) and _read(path) == text and os.stat(path).st_mode & 0o700 == mode & 0o700:
        return "unchanged"
    replace_file(path, text, mode=mode)
    return "upgraded" if is_there else "installed"


def _read(path: str) -> str:
    return read_text(path, newline="")


def _name_kept(hooks_dir: str) -> None:
    """Give each kept hook that may look at its own name a link of that name, among links to all that lies beside it.

    Nothing but links is in that directory, and each of them leads to where what it names always lies.
    """
    directory = _named_dir(hooks_dir)
    names = sorted(os.listdir(hooks_dir))
    kept = {name.removesuffix(KEPT_SUFFIX): name for name in names if name.endswith(KEPT_SUFFIX)}
    looking = [event for event, name in kept.items() if _may_look_at_its_name(os.path.join(hooks_dir, name))]
    if os.path.lexists(directory) and not _is_of_links(directory):
        return
    beside = [n for n in names if n not in {*_NAMES, *kept.values()} and not n.endswith((".sample", ".tmp"))]
    wanted = {event: kept[event] for event in looking} | {name: name for name in beside} if looking else {}
    _set_links(directory, {name: f"../{os.path.basename(hooks_dir)}/{aim}" for name, aim in wanted.items()})


def _named_dir(hooks_dir: str) -> str:
    return hooks_dir + KEPT_SUFFIX.replace(".", "-")


def _may_look_at_its_name(path: str) -> bool:
    """Tell a link, a program, and a script in which something of the kind stands."""
    text = read_bytes(path, _LOOKED_AT_BYTES)
    return os.path.islink(path) or not text.startswith(b"#!") or bool(_OWN_NAME.search(text))


def _is_of_links(directory: str) -> bool:
    if os.path.islink(directory) or not os.path.isdir(directory):
        return False
    return all(os.path.islink(os.path.join(directory, name)) for name in os.listdir(directory))


def _set_links(directory: str, wanted: Mapping[str, str]) -> None:
    found = {name: os.readlink(os.path.join(directory, name)) for name in _listed(directory)}
    for name, aim in found.items():
        if aim != wanted.get(name):
            os.unlink(os.path.join(directory, name))
    if wanted:
        os.makedirs(directory, exist_ok=True)
    for name, aim in wanted.items():
        if found.get(name) != aim:
            with suppress(OSError):  # a file system without links: it is run under the name by which it is kept
                os.symlink(aim, os.path.join(directory, name))
    if not wanted and os.path.isdir(directory):
        os.rmdir(directory)


def _listed(directory: str) -> list[str]:
    return os.listdir(directory) if os.path.isdir(directory) else []


def leftovers(hooks_dir: str) -> list[str]:
    """Return the files of ours that a process began in a hooks directory and never finished."""
    paths = [os.path.join(hooks_dir, name) for name in sorted(_listed(hooks_dir)) if _LEFTOVER.fullmatch(name)]
    return [path for path in paths if stat.S_ISREG(os.lstat(path).st_mode)]


def _remove_leftovers(hooks_dir: str) -> None:
    for path in leftovers(hooks_dir):
        os.unlink(path)


def is_covered(hooks_dir: str, event: str) -> bool:
    """Tell whether git runs a hook of ours for the event, be it by way of the program that has it."""
    place = place_of(os.path.join(hooks_dir, event))
    return bool(place) and is_ours(place)


def take_out(hooks_dir: str) -> tuple[HookChange, ...]:
    """Take our hooks of every event out of a directory, with what they source, and give back what they kept."""
    events = [*EVENTS]
    if any(os.path.lexists(path) for path in (*_places(hooks_dir, COMMIT_MSG), _kept(hooks_dir, COMMIT_MSG))):
        events.append(COMMIT_MSG)
    changes = tuple(_take_out(hooks_dir, event) for event in events)
    for path in (os.path.join(hooks_dir, name) for name in SHARED):
        if is_ours(path):
            os.unlink(path)
    _remove_leftovers(hooks_dir)
    if _is_of_links(_named_dir(hooks_dir)) and not any(change.kept for change in changes):
        shutil.rmtree(_named_dir(hooks_dir))
    return changes


def _places(hooks_dir: str, event: str) -> list[str]:
    """Return where a hook of ours may lie: in its place, or where another program moved it."""
    path = os.path.join(hooks_dir, event)
    return [path, path + LEGACY_SUFFIX, path + OLD_SUFFIX, os.path.join(hooks_dir, OLD_DIRECTORY, event)]


def _kept(hooks_dir: str, event: str) -> str:
    return os.path.join(hooks_dir, event + KEPT_SUFFIX)


def _take_out(hooks_dir: str, event: str) -> HookChange:
    path, kept = os.path.join(hooks_dir, event), _kept(hooks_dir, event)
    places = _places(hooks_dir, event)
    if any(_is_same_file(place, kept) for place in places) or (os.path.islink(kept) and _leads_to_ours(kept)):
        os.unlink(kept)
    ours = [place for place in places if is_ours(place)]
    is_kept = os.path.lexists(kept)
    target = ours[0] if ours else "" if os.path.lexists(path) else path
    if is_kept and target:
        os.replace(kept, target)
        change = "restored"
    elif ours:
        os.unlink(ours[0])
        change = "removed"
    else:
        change = "left" if os.path.lexists(path) else "absent"
    for place in ours[1:]:
        os.unlink(place)
    return HookChange(event, target or path, change, kept if is_kept and change == "left" else "")
