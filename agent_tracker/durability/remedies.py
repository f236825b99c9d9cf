"""When a database is nearly full, and what a person can do about it.

Owns that share and those commands. Pure.
"""

from __future__ import annotations

from agent_tracker.config import MAX_SIZE_BYTES

__all__ = ["A_YEAR", "NEARLY_FULL", "WORTH_BYTES", "in_a_line", "is_worth_compacting", "ways_out"]

NEARLY_FULL = 0.8
WORTH_BYTES = 1 << 17
"""How much must be gained by a compact copy for it to be worth making: one that was just made has a few free pages."""

_WORTH_SHARE = 20
A_YEAR = "365d"


def is_worth_compacting(file_bytes: int, spare_bytes: int) -> bool:
    """Tell whether a compact copy is so much smaller that a person should be told of it."""
    return spare_bytes >= max(WORTH_BYTES, file_bytes // _WORTH_SHARE)


def ways_out(limit_bytes: int, file_bytes: int, spare_bytes: int, *, before: str = A_YEAR) -> tuple[str, ...]:
    """Return the commands that make room, the one to try first at the front.

    Args:
        limit_bytes: How large the database may grow.
        file_bytes: How large it is.
        spare_bytes: How much smaller a compact copy would be.
        before: What journals may go, as `archive` takes it.
    """
    ways = []
    if limit_bytes < MAX_SIZE_BYTES:
        ways.append(f"agent-tracker config set maxDatabaseSize {min(2 * limit_bytes, MAX_SIZE_BYTES)}")
    if is_worth_compacting(file_bytes, spare_bytes):
        ways.append("agent-tracker compact")
    return (*ways, f"agent-tracker archive --before {before}")


def in_a_line(ways: tuple[str, ...]) -> str:
    """Return commands of which any will do as one line."""
    return ", or: ".join(ways)
