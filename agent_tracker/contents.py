"""What a store holds by kind, what each takes, and how long there is room at the rate of the last days.

Owns those figures. What cannot be known is None. Never opens a store, and never reads more than a sample of the events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import packing
from agent_tracker.fact_json import word_of
from agent_tracker.records import SightingFact
from agent_tracker.tables import number_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.figures import Figures
    from agent_tracker.tables import Snapshot

__all__ = ["Kind", "commits_left", "days_left", "kinds_in"]

DAY_S = 86_400
NS = 10**9
WINDOW_DAYS, LEAST_DAYS = 30, 7
"""Over how many days the rate is taken, and how old a store must be for there to be one."""

LEAST_RECORDS = 100
"""Of fewer, what one takes is mostly the page that it lies in."""

SAMPLES = 100_000
MAX_DAYS = 100 * 365

_TABLES = {
    "commit": ("commits", "commits.oid", "commits.project"),
    "agent": ("agents",),
    "project": ("projects",),
    "retro": ("retrospectives",),
    "activity": ("activities",),
    "archived": ("archived",),
}
"""The tables that hold nothing but one kind, that of the records first."""

_BY_TIME = {"retro": b"r", "activity": b"v"}
"""The letters before the time in the keys of those that are kept by time."""


class Kind(NamedTuple):
    """One kind of record: how many, the bytes that they take with their indexes, how many are of the last days.

    `oldest_at` is when the oldest happened, as far as that was looked for (Unix seconds, or None).
    """

    word: str
    number: int
    size: int
    recent: int = 0
    oldest_at: int | None = None

    @property
    def each(self) -> float | None:
        """How many bytes one takes, None where there are too few to tell."""
        return self.size / self.number if self.number >= LEAST_RECORDS else None


def kinds_in(snapshot: Snapshot, figures: Figures, *, now: int) -> tuple[Kind, ...]:
    """Return what a store holds: commits first, then what they are of, then the events and journals by their number.

    Args:
        snapshot: The store.
        figures: Of the same store.
        now: Unix seconds.
    """
    since = now - WINDOW_DAYS * DAY_S
    found = {word: _whole(word, figures) for word in _TABLES}
    found["commit"] = _dated(found["commit"], _commit_times(snapshot), since)
    for word, letter in _BY_TIME.items():
        keys = snapshot.table(_TABLES[word][0]).keys(letter, newest_first=True)
        oldest = next(snapshot.table(_TABLES[word][0]).keys(letter), None)
        kind = _dated(found[word], (int.from_bytes(key[1:9], "big") // NS for key in keys), since)
        found[word] = kind._replace(oldest_at=int.from_bytes(oldest[1:9], "big") // NS if oldest else None)
    first = [found.pop(word) for word in ("commit", "agent", "project")]
    rest = [*_events(snapshot, figures, since), *found.values()]
    return (*first, *sorted((kind for kind in rest if kind.number), key=lambda kind: -kind.number))


def _whole(word: str, figures: Figures) -> Kind:
    tables = _TABLES[word]
    count = figures.records.get(tables[0], 0)
    return Kind(word, count, sum(figures.bytes_by_table.get(table, 0) for table in tables) if count else 0)


def _commit_times(snapshot: Snapshot) -> Iterator[int]:
    """Yield when commits were made (Unix seconds), each project's from its newest one backwards, until told to stop."""
    index = snapshot.table("commits.project")
    for number in snapshot.numbered_projects():
        for key in index.keys(number_key(number), newest_first=True):
            yield int.from_bytes(key[4:9], "big")


def _dated(kind: Kind, times: Iterator[int], since: int) -> Kind:
    recent, oldest = 0, None
    for at in times:
        recent += at >= since
        oldest = at if oldest is None else min(oldest, at)
    return kind._replace(recent=recent, oldest_at=oldest)


def _events(snapshot: Snapshot, figures: Figures, since: int) -> list[Kind]:
    """Return the kinds that share the table of events, of which an even sample is looked into."""
    table = snapshot.table("events")
    step = max(figures.records.get("events", 0) // SAMPLES, 1)
    counts: dict[bytes, int] = {}
    looked: dict[bytes, list[tuple[str, int, int]]] = {}
    for number, key in enumerate(table.keys()):
        letter = key[:1]
        counts[letter] = counts.get(letter, 0) + 1
        # The first of each kind, and then every so manieth of all.
        if number % step == 0 or letter not in looked:
            value = table.get(key) or b""
            fact = packing.unpack_event(key, value)
            at = fact.recorded_at if isinstance(fact, SightingFact) else _time_of(fact)
            looked.setdefault(letter, []).append((word_of(fact), len(key) + len(value), at))
    lengths = {letter: sum(size for _, size, _ in rows) / len(rows) * counts[letter] for letter, rows in looked.items()}
    share = figures.bytes_by_table.get("events", 0) / max(sum(lengths.values()), 1)
    return [
        Kind(
            rows[0][0],
            counts[letter],
            int(lengths[letter] * share),
            round(sum(at >= since for _, _, at in rows) / len(rows) * counts[letter]),
            min(at for _, _, at in rows),
        )
        for letter, rows in looked.items()
    ]


def _time_of(fact: packing.EventFact) -> int:
    at_ns = getattr(fact, "recorded_ns", None)
    return int(getattr(fact, "recorded_at", 0)) if at_ns is None else int(at_ns) // NS


def commits_left(kinds: tuple[Kind, ...], room_bytes: int) -> int | None:
    """Return how many more commits fit, None where there are too few to tell what one takes."""
    each = next((kind.each for kind in kinds if kind.word == "commit"), None)
    return int(room_bytes / each) if each else None


def days_left(kinds: tuple[Kind, ...], room_bytes: int, *, now: int) -> int | None:
    """Return for how many days there is room at the rate of the last ones, at most a hundred years.

    Returns:
        None where the store is not old enough for a rate, or too little came into it.
    """
    oldest = min((kind.oldest_at for kind in kinds if kind.oldest_at is not None), default=now)
    days = min((now - oldest) / DAY_S, WINDOW_DAYS)
    recent = sum(kind.recent for kind in kinds)
    if days < LEAST_DAYS or recent < LEAST_RECORDS:
        return None
    a_day = sum(kind.size / kind.number * kind.recent for kind in kinds if kind.number) / days
    return min(int(room_bytes / a_day), MAX_DAYS) if a_day else None
