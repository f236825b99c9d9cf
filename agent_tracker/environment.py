"""One LMDB environment, open for one block: the only place that knows the library.

Owns opening it, beginning a transaction, and turning every lmdb error into ours. Never decides whether a file may be
opened: `store` does.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent_tracker.database_file import allocate_lock_file
from agent_tracker.errors import (
    DiskFullError,
    ForeignFileError,
    ReadOnlyError,
    StoreBusyError,
    StoreError,
    StoreFullError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OTHER_PATH", "begun", "environment", "structure_problems", "translated"]

OTHER_PATH = "agent-tracker config set databasePath FILE"
MAX_TABLES = 64


@contextmanager
def environment(path: str, map_bytes: int, *, readonly: bool, is_locked: bool = True) -> Iterator[Any]:
    """Open the environment in the file at `path`; it is closed at the end of the block, and must not be forked.

    Args:
        path: The file; it is made if it is not there and may be written.
        map_bytes: How large the map is, or the file if that is larger.
        readonly: It is read alone.
        is_locked: Readers are written into the lock file, which is made if it is missing. Nobody may write otherwise.

    Raises:
        StoreError: It cannot be opened.
        OSError: Its lock file cannot be made.
    """
    import lmdb  # noqa: PLC0415 -- the only importer, and lazily: a flush with nothing to do never needs it

    can_lock = is_locked and allocate_lock_file(path + "-lock", required=not readonly)
    with translated(path):
        env = lmdb.open(
            path,
            map_size=map_bytes,
            subdir=False,
            readonly=readonly,
            create=not readonly,
            lock=can_lock,
            max_dbs=MAX_TABLES,
            mode=0o600,
            readahead=False,
        )
    try:
        if not readonly:
            with translated(path):
                env.reader_check()
        yield env
    finally:
        env.close()


def begun(env: Any, *, write: bool) -> Any:
    """Return a transaction, following what another process made of the map's size."""
    import lmdb  # noqa: PLC0415 -- as above

    try:
        return env.begin(write=write)
    except lmdb.MapResizedError:
        env.set_mapsize(0)
        return env.begin(write=write)


def structure_problems(path: str) -> list[str]:
    """Return what is wrong with the pages of a file, which is read and never mapped: no damage can end the process."""
    from lmdb.verify import VerifyError, verify  # noqa: PLC0415 -- as above

    try:
        return [str(problem) for problem in verify(path)]  # type: ignore[no-untyped-call]
    except VerifyError as error:
        return [str(error)]


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn what LMDB raises in the block into an error of ours."""
    import lmdb  # noqa: PLC0415 -- as above

    try:
        yield
    except lmdb.MapFullError as error:
        raise StoreFullError(
            f"the database is full: {path}", "agent-tracker config set maxDatabaseSize BYTES (up to 2 GB)"
        ) from error
    except (lmdb.InvalidError, lmdb.VersionMismatchError) as error:
        raise ForeignFileError(
            f"not a database of ours, or of a newer format, left alone: {path}", OTHER_PATH
        ) from error
    except lmdb.NotFoundError as error:
        raise ForeignFileError(f"not agent-tracker's database, left alone: {path}", OTHER_PATH) from error
    except lmdb.ReadersFullError as error:
        raise StoreBusyError(f"too many processes read the database: {path}", "try again") from error
    except lmdb.Error as error:
        raise _of_lmdb(path, str(error)) from error


def _of_lmdb(path: str, said: str) -> StoreError:
    """Return the error that LMDB's words for one of the operating system's stand for."""
    for words, kind, hint in _SAID:
        if words in said:
            return kind(f"cannot use the database {path}: {words}", hint)
    return StoreError(f"cannot use the database {path}: {said}", "agent-tracker doctor")


_SAID: tuple[tuple[str, type[StoreError], str], ...] = (
    ("No space left on device", DiskFullError, "free some space; the spool keeps everything"),
    ("Disk quota exceeded", DiskFullError, "free some space; the spool keeps everything"),
    ("Read-only file system", ReadOnlyError, OTHER_PATH),
    ("Permission denied", ReadOnlyError, "check its permissions"),
    ("Input/output error", StoreError, "check the disk; then: agent-tracker verify"),
)
