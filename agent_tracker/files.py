"""Small files written so that no reader ever meets half of one, and read so that nothing in their place can harm.

Owns create aside, then rename. Never decides where a file lies, and never waits for a pipe or reads a device.
"""

from __future__ import annotations

import errno
import io
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "GROUP",
    "is_others",
    "is_own",
    "is_private",
    "make_directory",
    "make_private",
    "own_files",
    "read_bytes",
    "read_text",
    "remedy",
    "replace_file",
]

MAX_BYTES = 16 << 20
GROUP = 0o070
_OTHERS = 0o077
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def remedy(error: OSError) -> str:
    """Return what to do about what could not be written: there may be no room."""
    is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return "free some space" if is_full else "check the directory's permissions"


def replace_file(path: str, text: str, *, mode: int = 0o600) -> None:
    """Write `text` to a new file beside `path` and rename it over `path`; directories are made (0700).

    A mode that lets in nobody else is what the file gets; of another, the umask takes its part.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    aside = f"{path}.{os.getpid()}.tmp"
    if mode & _OTHERS:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    else:
        make_directory(os.path.dirname(path))
    descriptor = _create(aside, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            if not mode & _OTHERS:
                _set_mode(descriptor, mode)
            file.write(text)
        os.replace(aside, path)
    except (OSError, ValueError):
        try:  # noqa: SIM105 -- contextlib takes longer to import than a flush with nothing to do takes in all
            os.unlink(aside)
        except OSError:
            pass
        raise


def _create(path: str, mode: int) -> int:
    """Open a file that is new for certain; what a killed process of the same number left there, or a pipe, goes."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW
    try:
        return os.open(path, flags, mode)
    except FileExistsError:
        os.unlink(path)
        return os.open(path, flags, mode)


def _set_mode(descriptor: int, mode: int) -> None:
    """Give an open file its mode, where the system has modes: the umask may have taken away the owner's part too."""
    if hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
        os.fchmod(descriptor, mode)


# -- who else may


def is_own(status: os.stat_result) -> bool:
    """Tell whether a file is this user's."""
    return not hasattr(os, "geteuid") or os.geteuid() == status.st_uid


def is_others(status: os.stat_result) -> bool:
    """Tell whether a file is another user's, who is not root: what is in it may be forged. Root trusts everybody's."""
    return hasattr(os, "geteuid") and os.geteuid() != 0 and status.st_uid not in {0, os.geteuid()}


def make_directory(path: str) -> None:
    """Make a directory and those above it that are missing, each 0700, whatever the umask.

    Raises:
        OSError: It cannot be made, or there is something else.
    """
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    if above and not os.path.isdir(above):
        make_directory(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return
    make_private(path)


def is_private(status: os.stat_result, *, keep: int = 0) -> bool:
    """Tell whether nobody but its owner may use a file or directory, who may read and write it.

    Args:
        status: Without following a link; what is another's, or no file and no directory, is not for us to judge.
        keep: The bits of others that may be set.
    """
    return not _is_to_mend(status) or stat.S_IMODE(status.st_mode) == _private_mode(status, keep)


def make_private(path: str, *, keep: int = 0) -> None:
    """Take a file or directory of this user's own from everybody else: 0700, or 0600 with x where it is executable.

    A link, a special file, another user's file and one with a second name elsewhere are let be. What cannot be changed
    stays as it is.

    Args:
        path: Where it lies.
        keep: The bits of others that may stay.
    """
    try:
        status = os.lstat(path)
        if is_private(status, keep=keep):
            return
        mode = _private_mode(status, keep)
        try:
            descriptor = os.open(path, _FLAGS | _NOFOLLOW)
        except PermissionError:
            os.chmod(path, mode)
            return
        try:
            if os.path.samestat(status, os.fstat(descriptor)):
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return


def _is_to_mend(status: os.stat_result) -> bool:
    if not hasattr(os, "fchmod") or not is_own(status):
        return False
    return stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)


def _private_mode(status: os.stat_result, keep: int) -> int:
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        return 0o700 | mode & (keep | stat.S_ISGID)
    return 0o600 | mode & (0o100 | keep)


def own_files(directory: str, *, is_sure: bool = False) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the path and status of what lies in a directory, links not followed; nothing where it cannot be read.

    Raises:
        OSError: It, or something in it, cannot be read and `is_sure`; what is not there is no error.
    """
    missing = FileNotFoundError if is_sure else OSError
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except missing:
                    continue
                yield entry.path, status
    except missing:
        return


# -- reading


def read_bytes(path: str, limit: int = MAX_BYTES) -> bytes:
    """Return the beginning of a regular file, empty where there is none or it cannot be read."""
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def read_own(path: str) -> str:
    """Return the text of a small file of ours, empty where there is none.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(MAX_BYTES).decode("utf-8", "surrogateescape")


def read_text(path: str, *, newline: str | None = None) -> str:
    """Return a small file's text, empty where it is not there, is no regular file or cannot be read.

    Args:
        path: Where it lies; a link is followed.
        newline: As `open` has it: empty where the ends of lines are to stay as they are.
    """
    content = io.BytesIO(read_bytes(path))
    return io.TextIOWrapper(content, encoding="utf-8", errors="surrogateescape", newline=newline).read()
