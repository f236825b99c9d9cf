"""What commits changed, line by line, as sums that can be added up.

Owns reading git's patches into `Changes`. Never keeps a line's text, and never reads more than it was told to.

A commit's changes say of each line of each file how many times more or fewer it stands there than before. That is a
property of the two states alone, whatever the diff looks like: the changes of several commits in a row add up to
those of the commit that squashes them, also where other work moved the lines or lies in between.

Source: git-diff-tree(1), --stdin; diff-generate-patch in git's documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from agent_tracker.errors import GitError
from agent_tracker.git import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

__all__ = ["Changes", "read_changes"]

MAX_LINES = 200_000
"""Changed lines of one commit that are looked at: what is bigger is generated, or an import, and is not compared."""
MAX_LINE_BYTES = 1 << 20
MAX_BYTES = 256 << 20
"""Bytes of patches that are read at one time, for all commits together."""

Changes = dict[int, int]
"""How many times more (or fewer) each line stands in its file, by a hash of both. Of a binary file the old and the new
one stand for lines, and of a file without lines that comes or goes its mode."""

_OID_LENGTHS = frozenset({40, 64})


def read_changes(common_dir: str, commits: Sequence[bytes], *, timeout_s: float) -> dict[bytes, Changes]:
    """Return what each commit changed against its first parent; merges, and what is too big, are left out.

    Args:
        common_dir: The repository.
        commits: Their oids. Git must have them.
        timeout_s: For all of them; what was not read by then is left out.

    Raises:
        GitError: Git cannot be run.
    """
    if not commits:
        return {}
    import subprocess  # noqa: PLC0415 -- a flush that compares nothing need not pay for it
    import threading  # noqa: PLC0415

    argv = ["git", f"--git-dir={common_dir}", "-c", "core.quotePath=true", "diff-tree", "--stdin", "--root", "-r", "-p"]
    argv += ["-U0", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index", "--submodule=short"]
    argv += ["--diff-algorithm=default", "--no-indent-heuristic", "--src-prefix=a/", "--dst-prefix=b/"]
    questions = b"".join(b"%s\n" % oid.hex().encode() for oid in commits)
    try:
        process = subprocess.Popen(
            argv,
            cwd=common_dir,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
        )
    except OSError as error:
        raise GitError(f"cannot run git in {common_dir}: {error.strerror}", "install git 2.30 or newer") from error
    timer = threading.Timer(timeout_s, process.kill)
    timer.start()
    # A thread asks: git answers before it has read all the questions, and a pipe holds no more than so much.
    writer = threading.Thread(target=_ask, args=(process.stdin, questions))
    writer.start()
    try:
        with cast("IO[bytes]", process.stdout) as patches:
            found = dict(_commits(patches))
    finally:
        is_cut = process.wait() != 0
        timer.cancel()
        writer.join()
    # The last one may be there in part.
    if is_cut and found:
        found.popitem()
    return found


def _ask(stdin: IO[bytes], questions: bytes) -> None:
    try:
        with stdin:
            stdin.write(questions)
    except OSError:
        return


def _commits(patches: IO[bytes]) -> Iterator[tuple[bytes, Changes]]:
    """Yield (oid, changes) of each commit in git's answer."""
    commit, changes = b"", _Patch()
    for line in _lines(patches):
        if len(line) - 1 in _OID_LENGTHS and not line.strip(b"0123456789abcdef\n"):
            changes.end_file()
            if commit and not changes.is_over:
                yield commit, changes.by_line
            commit, changes = bytes.fromhex(line.decode()), _Patch()
        else:
            changes.read(line)
    changes.end_file()
    if commit and not changes.is_over:
        yield commit, changes.by_line


class _Patch:
    """One commit's changes being added up, until there are too many of them."""

    def __init__(self) -> None:
        self.by_line: Changes = {}
        self._budget = MAX_LINES
        self._file = self._index = b""
        self._to_come = 0
        self._mode: list[tuple[bytes, int]] = []

    @property
    def is_over(self) -> bool:
        return self._budget < 0

    def read(self, line: bytes) -> None:
        """Take in the patch's next line."""
        first = line[:1]
        if self._to_come and first in {b"-", b"+"}:
            self._to_come -= 1
            self._add(line[1:].rstrip(b"\r\n"), 1 if first == b"+" else -1)
        elif first == b"@":
            self._to_come = _hunk_lines(line)
            self._mode = []
        elif line.startswith(b"diff --git "):
            self.end_file()
            self._file = line
        elif line.startswith(b"index "):
            self._index = line
        elif line.startswith(b"new file mode "):
            self._mode.append((line, 1))
        elif line.startswith(b"deleted file mode "):
            self._mode.append((line, -1))
        elif line.startswith(b"Binary files "):
            old, _, new = self._index.split(b" ")[1].rstrip(b"\n").partition(b"..")
            self._add(old, -1)
            self._add(new, 1)

    def end_file(self) -> None:
        """Take in what stands for lines in a file that has none: its mode."""
        for line, times in self._mode:
            self._add(line.rpartition(b" ")[2], times)
        self._mode = []

    def _add(self, line: bytes, times: int) -> None:
        self._budget -= 1
        if self._budget < 0:
            self.by_line.clear()
            return
        key = hash((self._file, line))
        count = self.by_line.get(key, 0) + times
        if count:
            self.by_line[key] = count
        else:
            del self.by_line[key]


def _lines(patches: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines, long ones without their end, as far as may be read."""
    to_read = MAX_BYTES
    is_new = True
    while to_read > 0 and (piece := patches.readline(MAX_LINE_BYTES)):
        to_read -= len(piece)
        if is_new:
            yield piece
        is_new = piece.endswith(b"\n")


def _hunk_lines(header: bytes) -> int:
    """Return how many lines follow a hunk's header, `@@ -old[,lines] +new[,lines] @@`."""
    ranges = header.split(b" ", 3)[1:3]
    counts = (part.partition(b",")[2] for part in ranges)
    return sum(int(count) if count.isdigit() else 1 for count in counts)
