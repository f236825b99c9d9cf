"""agent-tracker with one thing about it made wrong from outside, or at another time: what the laws are tried on.

As a script: `altered.py ALTERATION COMMAND...`. The program itself knows nothing of this, and has no switch for it.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ALTERATIONS", "KIND", "LATER", "alter", "program"]

KIND = "AGENT_TRACKER_TEST_KIND"
"""To which kind of line it is deaf in `deaf`."""
LATER = "AGENT_TRACKER_TEST_LATER_S"
"""By how many seconds the clock is ahead in `later`, and in `later, without grace`."""


def program(alteration: str) -> tuple[str, ...]:
    """Return the words with which the altered program is started."""
    return (sys.executable, "-P", __file__, alteration)


def alter(alteration: str) -> None:
    """Make this process's agent-tracker another one."""
    ALTERATIONS[alteration]()


def _replace(module: str, name: str, make: Callable[[Any], Any]) -> None:
    """Put what `make` makes of a function in its place, also where a module imported it by name."""
    owner: Any = importlib.import_module(f"agent_tracker.{module}")
    *holders, last = name.split(".")
    for holder in holders:
        owner = getattr(owner, holder)
    before = getattr(owner, last)
    after = make(before)
    setattr(owner, last, after)
    importlib.import_module("agent_tracker.flush")
    for other in list(sys.modules.values()):
        if other and other.__name__.startswith("agent_tracker.") and getattr(other, last, None) is before:
            setattr(other, last, after)


def _later() -> None:
    ahead_s = float(os.environ[LATER])
    real_ns, real = time.time_ns, time.time
    time.time_ns = lambda: real_ns() + int(ahead_s * 10**9)
    time.time = lambda: real() + ahead_s


def _without_dedupe() -> None:
    """Take whatever is read for new: nothing is put only if absent."""
    _replace("flush", "_known_marks", lambda _: lambda _: lambda _: None)
    _replace("table", "Table.has", lambda _: lambda *_: False)


def _apply_then_delete() -> None:
    """Rely on what was applied being gone: no ids looked at, no sizes kept, segments deleted once all is stored."""
    _without_dedupe()
    _replace("tables", "Writer.put_applied_size", lambda _: lambda *_: None)
    _no_grace()


def _delete_first() -> None:
    """Delete a segment when it has been read, before the transaction that holds what it says."""

    def make(read_segment: Callable[..., Any]) -> Callable[..., Any]:
        def read_and_delete(segment: Any, *rest: Any) -> Any:  # noqa: ANN401 -- whatever it is
            found = read_segment(segment, *rest)
            Path(segment.path).unlink()
            return found

        return read_and_delete

    _replace("spool", "read_segment", make)


def _no_grace() -> None:
    """Delete every segment at the end of the flush that applied it, whoever may still write to it."""

    def make(mark_applied: Callable[[str], None]) -> Callable[[str], None]:
        def mark_and_delete(directory: str) -> None:
            for path in sorted(Path(directory).glob("seg-*")):
                path.unlink()
            mark_applied(directory)

        return mark_and_delete

    _replace("spool", "mark_applied", make)


def _later_without_grace() -> None:
    """Ahead of time, and with segments that go as soon as two backups hold them, whoever may still write to them."""
    _later()
    importlib.import_module("agent_tracker.flush").KEEP_SEGMENTS_S = 0  # type: ignore[attr-defined]


def _without_fingerprint() -> None:
    """Believe that nobody but us was at the file."""
    _replace("durability.fingerprint", "matches", lambda _: lambda path: Path(path).exists())


def _restless() -> None:
    """Write something anew in each flush, though nothing happened."""

    def make(apply: Callable[..., Any]) -> Callable[..., Any]:
        def apply_and_touch(writer: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401 -- whatever they are
            found = apply(writer, *rest, **options)
            for agent in writer.agents():
                writer.put_agent(agent._replace(updated_at=time.monotonic_ns() >> 10))
            return found

        return apply_and_touch

    _replace("flush", "_is_needed", lambda _: lambda *_: True)
    _replace("apply", "apply", make)


def _deaf() -> None:
    """Apply a segment, but for the lines of one kind in it."""
    lines = importlib.import_module("agent_tracker.lines")
    kind = os.environ[KIND].encode()

    def make(read_segment: Callable[..., Any]) -> Callable[..., Any]:
        def read_some(segment: Any, *rest: Any) -> Any:  # noqa: ANN401 -- whatever it is
            content = Path(segment.path).read_bytes().split(b"\n")
            unheard = [lines.parse_line(line) for line in content if line.startswith(b"1\t%s\t" % kind)]
            seen, rejected = read_segment(segment, *rest)
            return [said for said in seen if said not in unheard], rejected

        return read_some

    _replace("spool", "read_segment", make)


ALTERATIONS: dict[str, Callable[[], None]] = {
    "as it is": lambda: None,
    "later": _later,
    "later, without grace": _later_without_grace,
    "without dedupe": _without_dedupe,
    "apply, then delete": _apply_then_delete,
    "delete first": _delete_first,
    "no grace": _no_grace,
    "without fingerprint": _without_fingerprint,
    "restless": _restless,
    "deaf": _deaf,
}


def main() -> int:
    """Run the command that follows the alteration's name."""
    alteration, *command = sys.argv[1:]
    alter(alteration)
    sys.argv = ["agent-tracker", *command]
    return int(importlib.import_module("agent_tracker.__main__").main())


if __name__ == "__main__":
    raise SystemExit(main())
