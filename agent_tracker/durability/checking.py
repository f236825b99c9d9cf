"""Having a database's file checked by a process of its own, which a damaged file may end as it likes.

Owns starting that process and understanding how it ended. What it does there is `inspecting`. Never opens the file.
"""

from __future__ import annotations

from typing import NamedTuple

from agent_tracker.durability import fingerprint
from agent_tracker.durability.child import is_by_damage, last_words, run_child, signal_name
from agent_tracker.errors import UncheckedError

__all__ = ["COMPLETE", "LEVELS", "CheckReport", "check_file"]

LEVELS = ("records", "file")
"""How much is looked at: each record's checksum and the tables' counts; before these every page of the file."""

TIMEOUT_S = 600.0
COMPLETE = "."
"""The last line of a check that came to its end."""


class CheckReport(NamedTuple):
    """How many records each table has, and what is wrong with the file, a line each; nothing means that it is sound.

    `transaction` is the number of the last one, 0 where it could not be read.
    """

    counts: dict[str, int]
    problems: tuple[str, ...]
    transaction: int = 0

    @property
    def records(self) -> int:
        """How many records there are in all."""
        return sum(self.counts.values())


def check_file(path: str, *, level: str = "file", timeout_s: float = TIMEOUT_S) -> CheckReport:
    """Have a child process read all of a database.

    Nobody may write it meanwhile.

    Args:
        path: The database, or a copy of one.
        level: One of LEVELS.
        timeout_s: When to give up.

    Raises:
        UncheckedError: It takes longer, or no process can be started: nothing is known then.
    """
    import subprocess  # noqa: PLC0415 -- only for a file that is not known to be sound

    try:
        done = run_child("inspecting", level, path, timeout_s=timeout_s)
    except subprocess.TimeoutExpired as error:
        message = f"the database is being checked, which takes longer than {timeout_s:g} s: {path}"
        raise UncheckedError(message, "agent-tracker flush") from error
    except OSError as error:
        raise UncheckedError(f"no process can be started to check {path}: {error.strerror}", "try again") from error
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    if done.returncode < 0 and is_by_damage(-done.returncode):
        end = f"reading it ended a process by {signal_name(-done.returncode)}"
        return CheckReport({}, (*_problems(lines), end))
    if done.returncode or lines[-1:] != [COMPLETE]:
        said = last_words(done.stderr)
        raise UncheckedError(f"the check of {path} could not be made: {said}", "agent-tracker doctor")
    rows = (line.removeprefix("= ").rpartition(" ") for line in lines if line.startswith("= "))
    counts = {name: int(count) for name, _, count in rows if count.isdigit()}
    transaction, problems = counts.pop(fingerprint.TRANSACTION, 0), _problems(lines)
    if counts and not problems and fingerprint.is_rolled_back(path, transaction):
        problems = ("its last transactions are missing",)
    return CheckReport(counts, problems, transaction)


def _problems(lines: list[str]) -> tuple[str, ...]:
    return tuple(line.removeprefix("- ") for line in lines if line.startswith("- "))
