"""One LMDB environment, open for one block: the only place that knows the library.

Owns opening it, beginning a transaction, and turning every lmdb error into ours. Never decides whether a file may be
opened: `store` does.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent_tracker.database_file import allocate_lock_file, translated_error
from agent_tracker.errors import ForeignFileError, StoreBusyError, StoreError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OTHER_PATH", "begun", "environment", "structure_problems", "table_names", "translated"]

OTHER_PATH = "agent-tracker config set databasePath FILE"
MAX_TABLES = 64
LITTLE_ROOM_BYTES = 1 << 20
_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE)


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


def table_names(path: str) -> set[str]:
    """Return the names of the tables in a file that nobody writes and whose pages are sound."""
    with environment(path, 0, readonly=True, is_locked=False) as env, translated(path), env.begin() as txn:
        return {name.decode("utf-8", "replace") for name in txn.cursor().iternext(values=False)}


def structure_problems(path: str) -> list[str]:
    """Return what is wrong with the pages of a file, which is read and never mapped: no damage can end the process."""
    from lmdb.verify import VerifyError, verify  # noqa: PLC0415 -- as above

    try:
        problems = [str(problem) for problem in verify(path)]  # type: ignore[no-untyped-call]
    except VerifyError as error:
        return [str(error)]
    return [] if problems and _is_spare(problems) else problems


def _is_spare(problems: list[str]) -> bool:
    """Tell whether all that is wrong is pages too many that long values have, as LMDB leaves them by itself.

    It does where a value of several pages is written over by a shorter one, and frees them with the value.
    """
    import re  # noqa: PLC0415 -- in a process of its own

    excess, uncounted, unreachable = 0, 0, 0
    for problem in problems:
        if found := re.search(r" mp_pages (\d+) != OVPAGES\(\d+\)=(\d+)$", problem):
            excess += int(found[1]) - int(found[2])
        elif found := re.search(r" walked (\d+) overflow pages, record says (\d+)$", problem):
            uncounted += int(found[2]) - int(found[1])
        elif found := re.match(r"(\d+) page\(s\) are neither reachable nor in the freeDB", problem):
            unreachable += int(found[1])
        else:
            return False
    return excess == uncounted == unreachable > 0


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
    """Return the error that LMDB's words stand for; most are the operating system's."""
    from agent_tracker.mounts import free_bytes  # noqa: PLC0415 -- only where something is wrong

    number = next((number for number in _NUMBERS if os.strerror(number) in said), 0)
    free = free_bytes(path) if number == errno.EIO else None
    if free is not None and free < LITTLE_ROOM_BYTES:
        number = errno.ENOSPC  # it writes less than it was to, and is told no more
    if number:
        return translated_error(path, OSError(number, os.strerror(number)), "use")
    return StoreError(f"cannot use the database {path}: {said}", "agent-tracker doctor")
