"""One directory of hooks: ours put in, the ones that were there kept or left, and everything given back.

Owns the names by which a foreign hook waits for ours to run it. Never overwrites what it did not write.

A foreign hook becomes `<event>.agent-tracker-kept`, which ours runs. Where a program that runs `<event>.legacy` has the
event, ours is that, as it would be had that program come second: it then survives that program's own installation
and removal. Where a program regenerates its hooks, nothing is written.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.errors import AgentTrackerError
from agent_tracker.files import replace_file
from agent_tracker.hook_scripts import COMMIT_MSG, CORE, EVENTS, KEPT_SUFFIX, SHARED, is_ours
from agent_tracker.neighbours import LEGACY_SUFFIX, is_same_program, manager_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["HookChange", "check_room", "is_covered", "put_in", "put_shared", "take_out"]

OLD_SUFFIX = ".old"
OLD_DIRECTORY = "old-hooks"


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
    place = _place(path)
    if not place or not os.path.lexists(place) or is_ours(place):
        return
    if os.path.isdir(place) and not os.path.islink(place):
        raise AgentTrackerError(f"a directory is in the way: {place}", "move it away, then install-hooks")
    kept = path + KEPT_SUFFIX
    if os.path.lexists(kept) and not _is_spare(place, kept):
        raise AgentTrackerError(
            f"cannot keep {place}: another hook is kept already, {kept}",
            "merge the two or move one away, then install-hooks",
        )


def _place(path: str) -> str:
    """Return where ours goes for the hook at `path`; empty where another program would overwrite it."""
    manager = manager_of(path)
    if manager is None:
        return path
    return path + LEGACY_SUFFIX if manager.runs_legacy else ""


def _is_spare(place: str, kept: str) -> bool:
    return manager_of(kept) is not None or is_same_program(place, kept)


def put_in(hooks_dir: str, events: Iterable[str], texts: Mapping[str, str]) -> tuple[HookChange, ...]:
    """Put our hooks into a directory, the shared files around them, and take out ours of events not wanted any more."""
    wanted = tuple(events)
    os.makedirs(hooks_dir, exist_ok=True)
    put_shared(hooks_dir, texts, SHARED[:-1])
    changes = [_put_hook(os.path.join(hooks_dir, event), event, texts[event]) for event in wanted]
    others = [event for event in (*EVENTS, COMMIT_MSG) if event not in wanted]
    stale = [event for event in others if any(is_ours(path) for path in _places(hooks_dir, event))]
    changes += [_take_out(hooks_dir, event) for event in stale]
    put_shared(hooks_dir, texts, (CORE,))
    return tuple(changes)


def put_shared(directory: str, texts: Mapping[str, str], names: Iterable[str] = SHARED) -> None:
    """Write what the hooks source."""
    for name in names:
        _put(os.path.join(directory, name), texts[name], 0o644)


def _put_hook(path: str, event: str, text: str) -> HookChange:
    kept = path + KEPT_SUFFIX
    if is_ours(path) and manager_of(kept):
        os.replace(kept, path)
    place = _place(path)
    if place and os.path.lexists(place) and not is_ours(place):
        os.replace(place, kept)
    elif place != path and manager_of(kept):
        os.unlink(kept)
    change = _put(place, text, 0o755) if place else "left"
    for copy in (path + LEGACY_SUFFIX, path + OLD_SUFFIX):
        if copy != place and is_ours(copy):
            _refresh(copy, text, is_useful=change == "left")
    return HookChange(event, place or path, change, kept if place and os.path.lexists(kept) else "")


def _refresh(copy: str, text: str, *, is_useful: bool) -> None:
    """Bring a hook of ours that another program put aside up to date, or remove it where ours is in its place again."""
    if is_useful:
        _put(copy, text, 0o755)
    else:
        os.unlink(copy)


def _put(path: str, text: str, mode: int) -> str:
    is_there = os.path.lexists(path)
    if is_there and _read(path) == text and os.stat(path).st_mode & 0o700 == mode & 0o700:
        return "unchanged"
    replace_file(path, text, mode=mode)
    return "upgraded" if is_there else "installed"


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def is_covered(hooks_dir: str, event: str) -> bool:
    """Tell whether git runs a hook of ours for the event, be it by way of the program that has it."""
    place = _place(os.path.join(hooks_dir, event))
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
