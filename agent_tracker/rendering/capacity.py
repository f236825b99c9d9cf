"""How large the store is and what was archived, in words and as JSON.

Owns those shapes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.durability.remedies import NEARLY_FULL, WORTH_BYTES, ways_out
from agent_tracker.mounts import readable_size
from agent_tracker.rendering.text import counted, iso, local, padded, place, safe

if TYPE_CHECKING:
    from agent_tracker.contents import Kind
    from agent_tracker.verbs.archive import Archived, Gone
    from agent_tracker.verbs.capacity import Compacted, StoreReport

__all__ = [
    "archived_json",
    "archived_lines",
    "compacted_json",
    "compacted_line",
    "gone_line",
    "store_json",
    "store_lines",
]

UNKNOWN = "not known"
A_YEAR, A_CENTURY = 365, 36_500
DATE = len("2026-11-21")
WIDTH = 12
NOUNS = {
    "commit": "commits",
    "agent": "agents",
    "project": "projects",
    "state": "retirements and returns",
    "rewrite": "rewrites",
    "credit": "corrections",
    "sighting": "late words of hooks",
    "undone": "commits taken back",
    "loss": "losses",
    "grade": "grades",
    "bug": "bugs",
    "withdrawal": "withdrawn bugs",
    "session": "sessions",
    "binding": "bindings of sessions",
    "pulse": "signs of life of sessions",
    "push": "pushes",
    "rules": "changes of the rules",
    "forget": "forgotten texts",
    "retro": "retrospectives",
    "activity": "activities",
    "archived": "archived entries",
}
"""What the records of a kind are called."""

_ONE = {"activities": "activity"}
"""What one of several is called where that is not they without their s."""

REGISTRATIONS = "registrations"
"""What the events of the kind `agent` are called, beside the agents' own records."""


# -- the store


def store_lines(report: StoreReport) -> list[str]:
    """Return a database as lines of at most 80 columns, but for paths."""
    lines = [_row("database", place(report.path))]
    if report.file_bytes is None:
        return [*lines, _row("", f"not there yet ({safe(report.trouble or report.detail)})"), *_backup_lines(report)]
    if report.trouble:
        lines += [_row("", "cannot be opened; of the file alone:"), _row("trouble", safe(report.trouble))]
    share = f", {report.share:.1%} in use" if report.share is not None else ""
    lines += [_row("limit", f"{readable_size(report.limit_bytes)}{share}"), _row("file", _file(report))]
    if report.version:
        lines.append(_row("schema", f"version {safe(report.version)}"))
        lines += [_row("room for", _commits(report)), _row("at this rate", _reach(report.days_left))]
    if report.share is not None and report.share >= NEARLY_FULL:
        ways = ways_out(report.limit_bytes, report.file_bytes, report.free_bytes or 0)
        lines += [_row("to make room" if not number else "or", way) for number, way in enumerate(ways)]
    lines += _backup_lines(report)
    return [*lines, *_kind_lines(report.kinds)]


def _row(name: str, text: str) -> str:
    return f"{padded(name, WIDTH)}  {text}"


def _file(report: StoreReport) -> str:
    file = readable_size(report.file_bytes or 0)
    if report.used_bytes is None or report.free_bytes is None:
        return file
    return f"{file}: {readable_size(report.used_bytes)} in use, {readable_size(report.free_bytes)} free"


def _commits(report: StoreReport) -> str:
    return f"{report.commits_left:,} more commits" if report.commits_left is not None else UNKNOWN


def _reach(days: int | None) -> str:
    if days is None:
        return f"{UNKNOWN}: too little was recorded"
    if days >= A_CENTURY:
        return "full in more than 100 years"
    return f"full in {days // A_YEAR} years" if days >= 2 * A_YEAR else f"full in {counted(days, 'day')}"


def _backup_lines(report: StoreReport) -> list[str]:
    backups = report.backups
    lines = ["none: agent-tracker backup"]
    if backups.number:
        last = f", the last of {local(backups.last_at)}" if backups.last_at else ""
        lines = [f"{backups.number}, {readable_size(backups.size)}{last}"]
    checked = local(report.checked_at) if report.checked_at else UNKNOWN
    beside = [_row("beside it", f"{place(each.path)} ({readable_size(each.size)})") for each in report.beside]
    return [_row("backups", lines[0]), _row("last checked", checked), *beside]


def _kind_lines(kinds: tuple[Kind, ...]) -> list[str]:
    if not kinds:
        return []
    names = _names(kinds)
    width = max(map(len, names))
    lines = ["", f"{'RECORDS':{width}}  {'NUMBER':>12}  {'SIZE':>10}  {'BYTES EACH':>10}"]
    for name, kind in zip(names, kinds, strict=True):
        each = f"{kind.each:.0f}" if kind.each is not None else "-"
        lines.append(f"{name:{width}}  {kind.number:>12,}  {readable_size(kind.size):>10}  {each:>10}")
    return lines


def _names(kinds: tuple[Kind, ...]) -> list[str]:
    names: list[str] = []
    for kind in kinds:
        name = NOUNS.get(kind.word, f"{kind.word}s")
        names.append(REGISTRATIONS if name in names else name)
    return names


def store_json(report: StoreReport) -> dict[str, object]:
    """Return a database as JSON; what is not known is null."""
    return {
        "path": safe(report.path),
        "detail": safe(report.detail),
        "schema_version": safe(report.version) or None,
        "limit_bytes": report.limit_bytes,
        "file_bytes": report.file_bytes,
        "used_bytes": report.used_bytes,
        "free_bytes": report.free_bytes,
        "share": report.share,
        "commits_left": report.commits_left,
        "days_left": report.days_left,
        "records": [
            {
                "kind": name,
                "count": kind.number,
                "bytes": kind.size,
                "bytes_each": kind.each,
                "last_30_days": kind.recent,
            }
            for name, kind in zip(_names(report.kinds), report.kinds, strict=True)
        ],
        "backups": {
            "count": report.backups.number,
            "bytes": report.backups.size,
            "last_at": iso(report.backups.last_at) if report.backups.last_at else None,
        },
        "checked_at": iso(report.checked_at) if report.checked_at else None,
        "beside": [{"path": safe(each.path), "bytes": each.size} for each in report.beside],
        "trouble": safe(report.trouble) or None,
    }


# -- compact


def compacted_line(done: Compacted | None) -> str:
    """Return what compacting came to."""
    if done is None:
        return "There is no database yet."
    before, after = readable_size(done.before_bytes), readable_size(done.after_bytes)
    if done.before_bytes == done.after_bytes:
        return f"Compacting is not worth it: {before}, and less than {readable_size(WORTH_BYTES)} to gain."
    gained = readable_size(done.before_bytes - done.after_bytes)
    return f"Compacted {place(done.path)}: {before} before, {after} now, {gained} less."


def compacted_json(done: Compacted | None) -> dict[str, object]:
    """Return what compacting came to as JSON."""
    if done is None:
        return {"path": None, "before_bytes": None, "after_bytes": None}
    return {**done._asdict(), "path": safe(done.path)}


# -- archive


def archived_lines(done: Archived, *, is_dry_run: bool) -> list[str]:
    """Return what was archived, or would be."""
    day = iso(done.before)[:DATE]
    if not done.counts:
        return [f"Nothing to archive: no retrospective and no activity is from before {day}."]
    what = " and ".join(f"{count:,} {_noun(word, count)}" for word, count in done.counts.items())
    if is_dry_run:
        return [f"Would move {what} from before {day} to a file of {done.size:,} bytes."]
    lines = [f"Moved {what} from before {day} to {place(done.path)} ({done.size:,} bytes)."]
    if done.left:
        lines.append(f"{counted(done.left, 'of them')[:-1]} changed meanwhile and stayed in the database too.")
    lines.append("Keep that file; this brings them back: agent-tracker import FILE")
    if done.is_compacted:
        lines.append("The database's file was compacted: it has nothing of them any more.")
    else:
        lines.append("Their bytes are in the free pages of the database's file until those are used again.")
    return lines


def _noun(word: str, count: int) -> str:
    several = NOUNS[word]
    return several if count != 1 else _ONE.get(several, several.removesuffix("s"))


def archived_json(done: Archived, *, is_dry_run: bool) -> dict[str, object]:
    """Return what was archived, or would be, as JSON."""
    return {
        "path": safe(done.path) or None,
        "before": iso(done.before),
        "counts": {NOUNS[word]: count for word, count in done.counts.items()},
        "bytes": done.size,
        "left": done.left,
        "compacted": done.is_compacted,
        "dry_run": is_dry_run,
        "trouble": safe(done.trouble) or None,
    }


def gone_line(gone: Gone, noun: str) -> str:
    """Return what is missing from a list of journals, by their noun in the plural."""
    oldest = f"; the oldest kept is of {local(gone.oldest_at)[:DATE]}" if gone.oldest_at else ""
    if gone.number == 1:
        return f"1 older {_ONE.get(noun, noun.removesuffix('s'))} was archived{oldest}"
    return f"{gone.number:,} older {noun} were archived{oldest}"
