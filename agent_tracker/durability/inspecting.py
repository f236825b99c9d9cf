"""Reading all of a database's file: its pages, each record's checksum, and how many records each table has.

Owns that one pass, which runs in a process of its own (`checking` starts it): a damaged page may end it by a signal.
Never writes, and takes no lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.durability import fingerprint
from agent_tracker.durability.checking import COMPLETE
from agent_tracker.environment import structure_problems, table_names
from agent_tracker.errors import DamageError, ForeignFileError, RecordError, SchemaError, StoreError
from agent_tracker.store import read_fixed
from agent_tracker.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_tracker.tables import Snapshot

__all__ = ["main", "record_problems"]

MAX_PROBLEMS = 20


def main(level: str, path: str) -> int:
    """Print a line for each problem and for each table's count; return 0, whatever is wrong."""
    problems = structure_problems(path)[:MAX_PROBLEMS] if level == "file" else []
    _print(f"- {problem}" for problem in problems)
    if not problems:
        try:
            _read_all(path)
        except SchemaError:
            pass  # of a newer version: what is in it is not for us to judge
        except ForeignFileError as error:
            if _is_ours(path):
                _print([f"- {error.message}"])
        except (StoreError, RecordError) as error:
            _print([f"- {error.message}"])
    _print([COMPLETE])
    return 0


def _read_all(path: str) -> None:
    with read_fixed(path) as snapshot:
        if snapshot is not None:
            _print(f"- {problem}" for problem in record_problems(snapshot))
            _print(f"= {name} {snapshot.table(name).count()}" for name in snapshot.names)
            _print([f"= {fingerprint.TRANSACTION} {snapshot.transaction()}"])


def _is_ours(path: str) -> bool:
    """Tell whether a file that has not all of our tables has so many that no other program's can have."""
    return fingerprint.was_here(path) or len(table_names(path).intersection(TABLES)) >= len(TABLES) // 2


def _print(lines: Iterable[str]) -> None:
    """Print each line at once: what follows may end this process."""
    for line in lines:
        print(line.replace("\n", " "), flush=True)


def record_problems(snapshot: Snapshot) -> list[str]:
    """Return what is wrong with the checksums and the counts of all tables, a line each."""
    return list(_first(_problems(snapshot)))


def _problems(snapshot: Snapshot) -> Iterator[str]:
    expected = snapshot.totals()
    for name in snapshot.names:
        table = snapshot.table(name)
        try:
            count, total = table.check()
        except DamageError as error:
            yield error.message
            continue
        if count != table.count():
            yield f"{name}: {count} records are there, {table.count()} are counted"
        elif name in expected and expected[name][0] != count:
            yield f"{name}: {count} records are there, {expected[name][0]} were written"
        elif name in expected and expected[name][1] != total:
            yield f"{name}: the records are sound, and not those that were last written"


def _first(problems: Iterator[str]) -> Iterator[str]:
    for number, problem in enumerate(problems):
        if number == MAX_PROBLEMS:
            return
        yield problem
