"""Whole files of facts: a header, a fact a line, and a trailer by which a file that was cut off or edited is known.

Owns the format that `docs/facts-format.md` describes, but for the facts themselves, which are `fact_json`. Reads and
writes streams a line at a time, and never opens a file. A file is hostile until it was read to its end: whatever is
wrong with it is a `RecordError` that names the file and the line.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeGuard

from agent_tracker import __version__
from agent_tracker.errors import RecordError
from agent_tracker.fact_json import MAX_LINE_BYTES, fact_from_json, fact_to_json, format_object, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent_tracker.records import Fact

__all__ = ["ARCHIVE", "EXPORT", "FORMAT", "VERSION", "FactReader", "Header", "Written", "write_facts"]

FORMAT = "agent-tracker-facts"
VERSION = 1
"""1: the first."""

EXPORT, ARCHIVE = "export", "archive"
MAX_FACTS = (1 << 53) - 1
PROGRESS_EVERY = 5000
DIGITS = 64
_MEND = "export it anew where it came from; nothing of this file was imported"
_FOREIGN = "agent-tracker export --jsonl FILE writes such a file"


class Header(NamedTuple):
    """A file's first line: what kind of file, how many facts, when it was written (ISO 8601, UTC)."""

    kind: str
    facts: int
    exported_at: str


class Written(NamedTuple):
    """What was written: how many facts, and how many bytes, header and trailer included."""

    facts: int
    size: int


def write_facts(  # noqa: PLR0913 -- what the header says
    out: BinaryIO,
    facts: Iterable[Fact],
    *,
    kind: str,
    count: int,
    exported_at: int,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write a whole file of facts.

    Args:
        out: Where to; it is neither flushed nor closed.
        facts: In the order in which they are to stand; projects before what is of them.
        kind: EXPORT or ARCHIVE.
        count: How many facts there are.
        exported_at: Unix seconds.
        progress: Is told now and then how many facts were written, of how many.

    Raises:
        RecordError: There were not so many facts, or one is too long for a line.
        OSError: It cannot be written.
    """
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(exported_at))
    header: dict[str, object] = {"format": FORMAT, "version": VERSION, "kind": kind, "exported_at": at, "facts": count}
    line = format_object(header | {"program": f"agent-tracker {__version__}"})
    checksum = hashlib.sha256(line)
    size = out.write(line)
    written = 0
    for fact in facts:
        line = format_object(fact_to_json(fact))
        checksum.update(line)
        size += out.write(line)
        written += 1
        if progress and written % PROGRESS_EVERY == 0:
            progress(written, count)
    if written != count:
        raise RecordError(f"{written} facts were written, and {count} are there", "agent-tracker verify")
    return Written(
        written, size + out.write(format_object({"end": FORMAT, "facts": written, "sha256": checksum.hexdigest()}))
    )


class FactReader:
    """A file of facts, read a line at a time.

    Args:
        stream: At its beginning.
        name: What the file is called in an error.

    Raises:
        RecordError: It does not begin as a file of facts that this program knows.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._number = 0
        self._checksum = hashlib.sha256()
        self.header = self._read_header()

    def __iter__(self) -> Iterator[tuple[Fact, int]]:
        """Yield every fact and the length of its line in bytes. The file is known to be whole once this has ended.

        Raises:
            RecordError: A line is no fact, or the file was cut off or changed since it was written.
        """
        count = 0
        while True:
            line = self._next_line()
            try:
                value = parse_object(line)
                if "end" not in value:
                    fact = fact_from_json(value)
            except RecordError as error:
                self._refuse_cut(line)
                raise self.error(error.message, _MEND) from error
            if "end" in value:
                self._end(value, count)
                return
            self._refuse_cut(line)
            self._checksum.update(line)
            count += 1
            yield fact, len(line)

    def error(self, reason: str, hint: str) -> RecordError:
        """Return an error about the line that was read last."""
        return RecordError(f"{self._name}:{self._number}: {reason}", hint)

    def _next_line(self) -> bytes:
        line = self._stream.readline(MAX_LINE_BYTES + 1)
        if not line:
            raise self._cut()
        self._number += 1
        if len(line) > MAX_LINE_BYTES:
            raise self.error(f"longer than {MAX_LINE_BYTES} bytes", _MEND)
        return line

    def _cut(self) -> RecordError:
        return self.error(f"cut off: of {self.header.facts} facts and a last line, not all is there", _MEND)

    def _refuse_cut(self, line: bytes) -> None:
        """Raise where a line has no end, which the last one alone may have lost."""
        if not line.endswith(b"\n"):
            raise self._cut()

    # -- the first line and the last

    def _read_header(self) -> Header:
        line = self._stream.readline(MAX_LINE_BYTES + 1)
        self._number = 1
        self._checksum.update(line)
        try:
            value = parse_object(line)
        except RecordError as error:
            reason = f"not a file of facts: {error.message}" if line else "an empty file, not one of facts"
            raise self.error(reason, _FOREIGN) from error
        if value.get("format") != FORMAT:
            raise self.error("not a file of facts: its first line does not say so", _FOREIGN)
        version = value.get("version")
        if type(version) is not int or version < 1:
            raise self.error("its format has no version", _MEND)
        if version > VERSION:
            raise self.error(
                f"written by a newer agent-tracker: format version {version if version < MAX_FACTS else '...'}, "
                f"this program knows {VERSION}",
                "upgrade agent-tracker",
            )
        kind, facts, at = value.get("kind"), value.get("facts"), value.get("exported_at")
        if kind not in {EXPORT, ARCHIVE} or type(at) is not str or not _is_count(facts):
            raise self.error("the header says neither what it is nor how many facts follow", _MEND)
        if not line.endswith(b"\n"):
            raise self.error("cut off after its first line", _MEND)
        return Header(kind, facts, at)

    def _end(self, value: dict[str, Any], count: int) -> None:
        """Compare a trailer with what was read.

        Raises:
            RecordError: It belongs to another file, or something follows.
        """
        if value.keys() != {"end", "facts", "sha256"} or value["end"] != FORMAT or not _is_count(value["facts"]):
            raise self.error("malformed last line", _MEND)
        if value["facts"] != count or count != self.header.facts:
            said = self.header.facts if count == value["facts"] else value["facts"]
            raise self.error(f"changed since it was written: {count} facts where there were {said}", _MEND)
        if value["sha256"] != self._checksum.hexdigest():
            raise self.error("changed since it was written: its checksum is another", _MEND)
        if self._stream.read(1):
            self._number += 1
            raise self.error("goes on after its last line", "import one file after another, not one made of several")


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MAX_FACTS
