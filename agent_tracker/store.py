"""The central database: one LMDB environment in one file.

Owns opening, creating, locking, and turning every lmdb error into ours. Never lets a handle outlive its block: an
environment may be open once a process and must not cross a fork. What lies in it is `tables`.

A database that is not ours is never written to. Ours is created aside and renamed in, so that a kill leaves no
half-made file, and its lock file is allocated before LMDB maps it, so that a full disk is an error and not a signal.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from agent_tracker.errors import SchemaError, StoreError, StoreFullError
from agent_tracker.locking import LockTimeoutError, locked
from agent_tracker.tables import TABLES, Snapshot, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SCHEMA_VERSION", "FileKind", "Location", "Store", "classify", "locate"]

SCHEMA_VERSION = "1"
"""1: the first layout."""

LOCK_FILE_BYTES = 8192
REBUILD = "agent-tracker flush --all"
S = TypeVar("S", bound=Snapshot)
_OTHER_PATH = "agent-tracker config set databasePath FILE"
_MAGIC = b"\xde\xc0\xef\xbe"
_OURS_OFFSET, _LMDB_JS_OFFSET = 16, 24
_META = struct.Struct("<16x4s20xI92xQQ")
"""LMDB 0.9's meta page: magic, page size, last page, transaction id. Source: lmdb.h and mdb.c, struct MDB_meta."""
READ_ALL_S = 60
MAX_EXTENDED_BYTES = 4 << 30
_READ_ALL = """
import sys
path, *sys.path = sys.argv[1:]
import lmdb
with lmdb.open(path, subdir=False, readonly=True, lock=False, max_dbs=100) as env, env.begin() as txn:
    for name in list(txn.cursor().iternext(values=False)):
        for item in txn.cursor(env.open_db(name, txn, create=False)):
            pass
"""


class FileKind(NamedTuple):
    """What lies at a database's path: one of `absent`, `lmdb`, `lmdb-js`, `foreign`, and words for a person."""

    kind: str
    detail: str


class Location(NamedTuple):
    """Where the database is. `avoided` is the foreign file it makes way for, else empty."""

    path: str
    avoided: str


def classify(path: str) -> FileKind:
    """Tell what is at `path` without opening it as a database.

    Raises:
        StoreError: It is a directory or special file, or cannot be read.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            what = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise StoreError(f"the database path is {what}: {path}", _OTHER_PATH)
        with open(path, "rb") as file:
            head = file.read(40)
    except FileNotFoundError:
        return FileKind("absent", "nothing there yet")
    except NotADirectoryError as error:
        raise StoreError(f"the database path leads through a file: {path}", _OTHER_PATH) from error
    except OSError as error:
        raise StoreError(f"cannot read the database {path}: {error.strerror}", "check its permissions") from error
    if not head:
        return FileKind("absent", "an empty file")
    if head[_OURS_OFFSET : _OURS_OFFSET + 4] == _MAGIC:
        return FileKind("lmdb", "an LMDB database")
    if head[_LMDB_JS_OFFSET : _LMDB_JS_OFFSET + 4] == _MAGIC:
        return FileKind("lmdb-js", "a database of the OpenCode plugin (lmdb-js)")
    return FileKind("foreign", "no LMDB database")


def locate(path: str) -> Location:
    """Return where the database really is: beside an lmdb-js file at that path, which stays untouched.

    Raises:
        StoreError: What is there can be no database.
    """
    if classify(path).kind != "lmdb-js":
        return Location(path, "")
    stem, extension = os.path.splitext(path)
    return Location(f"{stem}-2{extension}", path)


class Store:
    """The database at one path, opened for a block at a time.

    Args:
        path: Absolute; its directory is made when the database is.
        size_bytes: How large it may grow.
    """

    def __init__(self, path: str, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes

    def exists(self) -> bool:
        """Tell whether the database is there.

        Raises:
            StoreError: Something else is at its path.
        """
        kind, detail = classify(self.path)
        if kind in {"foreign", "lmdb-js"}:
            raise StoreError(f"not our database, left alone: {self.path} is {detail}", _OTHER_PATH)
        return kind == "lmdb"

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot | None]:
        """Yield typed reads as of now, without any lock; None where there is no database yet.

        Raises:
            StoreError: The database cannot be opened or a record is damaged.
        """
        if not self.exists():
            yield None
            return
        with self._environment(readonly=True) as env, _translated(self.path):
            handles = _open_tables(env, create=False)
            with env.begin() as txn:
                yield _checked(Snapshot(txn, handles), self.path)

    @contextmanager
    def writer(self, *, timeout_s: float) -> Iterator[Writer]:
        """Yield one write transaction, committed and synced at the end of the block, dropped on any exception.

        Args:
            timeout_s: How long to wait for another process that writes.

        Raises:
            StoreFullError: The database reached its size.
            StoreError: It is locked, cannot be opened, or cannot be written.
        """
        self._make_directory()
        with self._locked(timeout_s):
            if not self.exists():
                self._create()
            with self._environment(readonly=False) as env, _translated(self.path):
                handles = _open_tables(env, create=False)
                with env.begin(write=True) as txn:
                    yield _checked(Writer(txn, handles), self.path)

    def scrub(self, *, timeout_s: float) -> None:
        """Put a copy of what the records hold in the place of the file, so that no byte of what was taken out is left.

        LMDB keeps pages that it freed as they were, and what was moved within a page. Whoever has the old file open
        goes on reading it. Its lock file stays in use, in which the number of the last transaction is another than the
        new file's: that is why both metas of the new one must be good, whichever a reader takes.

        Args:
            timeout_s: How long to wait for another process that writes.

        Raises:
            StoreError: It is locked, cannot be read, or there is no room for a copy; it stays as it is.
        """
        with self._locked(timeout_s):
            if not self.exists():
                return
            real = os.path.realpath(self.path)
            aside = f"{real}.{os.getpid()}.new"
            try:
                _unlink_killed(real)
                self._copy(real, aside)
                for _ in range(2):
                    with self._environment(readonly=False, path=aside) as env, _translated(aside):
                        handles = _open_tables(env, create=False)
                        with env.begin(write=True) as txn:
                            Writer(txn, handles).set_schema_version(SCHEMA_VERSION)
                os.replace(aside, real)
                _sync_directory(os.path.dirname(real))
            finally:
                for leftover in (aside, aside + "-lock"):
                    _unlink(leftover)

    def _copy(self, real: str, aside: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(aside, flags, 0o600)
        try:
            os.chmod(aside, stat.S_IMODE(os.stat(real).st_mode))
            with self._environment(readonly=True) as env, _translated(self.path):
                handles = _open_tables(env, create=False)
                with env.begin() as txn:
                    _checked(Snapshot(txn, handles), self.path)
                env.copyfd(descriptor, compact=True)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self, timeout_s: float) -> Iterator[None]:
        """Keep other writers out.

        Raises:
            StoreError: One is at work for longer, or the file cannot be written.
        """
        try:
            with locked(self.path + ".write", timeout_s=timeout_s):
                yield
        except LockTimeoutError as error:
            raise StoreError(
                f"the database is being written by another process: {self.path}", "try again: agent-tracker flush"
            ) from error
        except OSError as error:
            raise StoreError(
                f"cannot write the database {self.path}: {error.strerror}",
                "check the path's permissions, or: agent-tracker config set databasePath FILE",
            ) from error

    def _make_directory(self) -> None:
        directory = os.path.dirname(self.path)
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot create the database's directory {directory}: {error.strerror}",
                _OTHER_PATH,
            ) from error

    def _create(self) -> None:
        aside = f"{self.path}.{os.getpid()}.new"
        try:
            with self._environment(readonly=False, path=aside) as env, _translated(aside):
                handles = _open_tables(env, create=True)
                with env.begin(write=True) as txn:
                    Writer(txn, handles).set_schema_version(SCHEMA_VERSION)
            os.replace(aside, self.path)
        finally:
            for leftover in (aside, aside + "-lock"):
                _unlink(leftover)

    @contextmanager
    def _environment(self, *, readonly: bool, path: str = "") -> Iterator[Any]:
        import lmdb  # noqa: PLC0415 -- the only importer, and lazily: a flush with nothing to do never needs it

        path = path or self.path
        _check_length(path, may_extend=not readonly)
        can_lock = _allocate_lock_file(path + "-lock", required=not readonly)
        with _translated(path):
            env = lmdb.open(
                path,
                map_size=self.size_bytes,
                subdir=False,
                readonly=readonly,
                create=not readonly,
                lock=can_lock,
                max_dbs=len(TABLES) + 8,
                mode=0o600,
                readahead=False,
            )
        try:
            if not readonly:
                with _translated(path):
                    env.reader_check()
            yield env
        finally:
            env.close()


def _check_length(path: str, *, may_extend: bool) -> None:
    """Refuse a truncated file, which would end this process by a signal where it is read.

    A healthy file may be shorter than its metas imply, by pages that nothing refers to: a child reads all of it then.

    Args:
        path: The database.
        may_extend: The write lock is held: a healthy file is made as long as it says, and not looked at again.

    Raises:
        StoreError: It is damaged.
    """
    try:
        with open(path, "rb") as file:
            first = _META.unpack(file.read(_META.size).ljust(_META.size, b"\0"))
            page_bytes = first[1]
            file.seek(page_bytes)
            second = _META.unpack(file.read(_META.size).ljust(_META.size, b"\0"))
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return
    implied = (max(first, second, key=lambda meta: meta[3])[2] + 1) * page_bytes
    if first[0] == second[0] == _MAGIC and size >= implied:
        return
    import subprocess  # noqa: PLC0415 -- only for a file that looks cut off

    argv = [sys.executable, "-ISc", _READ_ALL, path, *sys.path]
    try:
        is_whole = not subprocess.run(argv, capture_output=True, timeout=READ_ALL_S, check=False).returncode
    except (OSError, subprocess.TimeoutExpired):
        is_whole = False
    if not is_whole:
        raise StoreError(f"the database {path} is damaged: it was cut off", f"move {path} away, then: {REBUILD}")
    if may_extend and size < implied < MAX_EXTENDED_BYTES:
        with suppress(OSError):
            os.truncate(path, implied)


def _checked(snapshot: S, path: str) -> S:
    version = snapshot.schema_version()
    if version != SCHEMA_VERSION:
        found = f"version {version[:20]}" if version else "not agent-tracker's"
        raise SchemaError(
            f"the database {path} is {found}; this program knows version {SCHEMA_VERSION}",
            "upgrade agent-tracker, or set another databasePath",
        )
    return snapshot


def _open_tables(env: Any, *, create: bool) -> dict[str, Any]:
    return {name: env.open_db(name.encode(), create=create) for name in TABLES}


def _allocate_lock_file(path: str, *, required: bool) -> bool:
    """Give LMDB's lock file its blocks: a sparse one on a full disk kills the process that maps it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError:
        if required:
            raise
        return False
    try:
        if hasattr(os, "posix_fallocate") and os.fstat(descriptor).st_size < LOCK_FILE_BYTES:
            os.posix_fallocate(descriptor, 0, LOCK_FILE_BYTES)
    finally:
        os.close(descriptor)
    return True


def _unlink_killed(path: str) -> None:
    """Take out what a process left that was killed while it made a database aside; the write lock must be held."""
    directory, name = os.path.split(path)
    for found in os.listdir(directory):
        number = found.removeprefix(name + ".").removesuffix("-lock").removesuffix(".new")
        if found.startswith(name + ".") and number.isdigit() and ".new" in found:
            _unlink(os.path.join(directory, found))


def _sync_directory(path: str) -> None:
    """Make a rename outlive a power cut, where the system can."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


@contextmanager
def _translated(path: str) -> Iterator[None]:
    import lmdb  # noqa: PLC0415 -- as above

    try:
        yield
    except lmdb.MapFullError as error:
        raise StoreFullError(
            f"the database is full: {path}", "agent-tracker config set maxDatabaseSize BYTES (up to 2 GB)"
        ) from error
    except (lmdb.InvalidError, lmdb.VersionMismatchError) as error:
        raise SchemaError(
            f"not a database of ours, or of a newer format, left alone: {path}",
            _OTHER_PATH,
        ) from error
    except lmdb.NotFoundError as error:
        raise SchemaError(f"not agent-tracker's database, left alone: {path}", _OTHER_PATH) from error
    except lmdb.Error as error:
        is_full = "No space" in str(error)
        hint = "free some space; the spool keeps everything" if is_full else f"move {path} away, then: {REBUILD}"
        raise StoreError(f"cannot use the database {path}: {error}", hint) from error
