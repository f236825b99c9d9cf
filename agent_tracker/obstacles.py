"""What keeps the database from being used: where it lies, whose it is, and what the system refuses.

Owns telling these causes apart, and the words and the remedy for each. Never opens a database, never changes anything,
and never reads a pipe or a device.

What matters about a file system is who else may write the file: LMDB maps it and locks by what lies in shared memory,
neither of which another machine sees. Its own caveats forbid remote file systems, even between processes of one host.

Source: lmdb.h, "Caveats"; mdb.c, struct MDB_page and MDB_meta.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from agent_tracker.errors import (
    AgentTrackerError,
    DamageError,
    DiskFullError,
    ForeignFileError,
    ForeignFormatError,
    ForeignOwnerError,
    NetworkFileSystemError,
    ReadOnlyError,
    SchemaError,
    StoreBusyError,
    StoreError,
    StoreFullError,
)
from agent_tracker.mounts import (
    existing,
    find_mount,
    free_bytes,
    is_read_only,
    mount_point,
    readable_size,
    remote,
    steps,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "cause_of",
    "check_access",
    "check_file_system",
    "check_owner",
    "check_place",
    "companions",
    "quoted",
    "translate",
]

_OTHER_PATH = "agent-tracker config set databasePath FILE"
_LOCAL_PATH = f"{_OTHER_PATH}   (FILE on a disk of this machine)"
_SUFFIXES = ("-lock", ".write", ".fingerprint")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")

# -- where it lies, and whose it is -----------------------------------------------------------------------------------


def check_place(path: str) -> None:
    """Refuse a place at which a database would not be safe, or not be the user's; cheap, but not for every reading.

    Raises:
        NetworkFileSystemError: It is on a file system that other machines can write, or whose maps do not hold.
        ForeignOwnerError: It belongs to another user than the one who runs this.
    """
    check_file_system(path)
    check_owner(path)


def check_file_system(path: str) -> None:
    """Refuse a remote file system; where the system does not tell, nothing is refused.

    Raises:
        NetworkFileSystemError: The file, or the directory in which it would be made, lies on one.
    """
    mount = find_mount(path)
    if mount and (words := remote(mount)):
        raise NetworkFileSystemError(
            f"the database {path} would not be safe on {words} ({mount.kind}, mounted at {mount.point})", _LOCAL_PATH
        )


def companions(path: str) -> list[str]:
    """Return the database and the files that lie beside it, those that are there; a link is taken for itself there."""
    beside = (path + suffix for suffix in _SUFFIXES)
    return [each for each in (path, *beside) if os.path.lexists(each)]


def check_owner(path: str) -> None:
    """Refuse a database of another user, whom root too would lock out: what root makes, the owner cannot write.

    Raises:
        ForeignOwnerError: The database, or a file beside it, is not the user's.
    """
    error = _foreign_owner(path)
    if error:
        raise error


def _foreign_owner(path: str) -> ForeignOwnerError | None:
    if not hasattr(os, "geteuid"):
        return None
    here = os.geteuid()
    owners = {each: _owner(each, follow=each == path) for each in companions(path)}
    foreign = {each: owner for each, owner in owners.items() if owner not in {here, None}}
    if not foreign:
        return None
    which, owner = next(iter(foreign.items()))
    theirs, mine = _user(owner), _user(here)
    message = f"the database {path} is another user's: {which} belongs to {theirs}, and this is {mine}"
    if here == 0:
        message += f": what {mine} writes, {theirs} could not"
        return ForeignOwnerError(message, _OTHER_PATH if theirs.isdigit() else f"su {theirs} -c 'agent-tracker flush'")
    return ForeignOwnerError(message, f"sudo chown {mine} {' '.join(quoted(each) for each in foreign)}")


def _owner(path: str, *, follow: bool) -> int | None:
    try:
        return os.stat(path, follow_symlinks=follow).st_uid
    except OSError:
        return None


def _user(uid: int | None) -> str:
    """Return a user's name as a shell takes it, or the number, as containers often have no more."""
    try:
        import pwd  # noqa: PLC0415 -- absent on Windows

        return quoted(pwd.getpwuid(uid or 0).pw_name)
    except (ImportError, KeyError):
        return str(uid)


# -- what the system refuses -------------------------------------------------------------------------------------------


class _Refused(NamedTuple):
    """What the system refused: of which database, as the beginning of a message, which file, the error's number."""

    path: str
    what: str
    where: str
    number: int | None


def translate(path: str, error: OSError, *, doing: str) -> StoreError:
    """Return the error of ours for what the system refused, its cause looked for where the number alone does not tell.

    Args:
        path: The database.
        error: `filename` is what it is about, where that is known.
        doing: What was attempted, one word or two: `open`, `read`, `write`, `create`.
    """
    name = error.filename
    where = os.fsdecode(name) if isinstance(name, str | bytes) and name else path
    what = f"cannot {doing} the database {path}"
    if error.errno in _TOLD:
        why, hint = _TOLD[error.errno]
        return StoreError(f"{what}: {why}", hint)
    asked = _ASKED.get(error.errno or 0)
    if asked:
        return asked(_Refused(path, what, where, error.errno))
    return StoreError(f"{what}: {error.strerror or error}", "agent-tracker doctor")


def check_access(path: str) -> None:
    """Refuse what cannot be read and written, as far as that can be told without doing so.

    Raises:
        StoreError: The database, or the directory in which it lies or would be made, is closed to this user.
    """
    place = existing(path)
    directory = place if os.path.isdir(place) else os.path.dirname(place)
    closed = [each for each in companions(path) if not os.access(each, os.R_OK | os.W_OK)]
    if closed or not os.access(directory, os.W_OK | os.X_OK):
        raise _denied(_Refused(path, f"cannot write the database {path}", next(iter(closed), path), None))


def _full(refused: _Refused) -> StoreError:
    _, what, where, number = refused
    point = mount_point(where)
    if number == errno.EDQUOT:
        return DiskFullError(f"{what}: your share of {point} is used up", f"delete or move files of yours on {point}")
    free = free_bytes(where)
    try:
        is_out_of_names = bool(free) and os.statvfs(existing(where)).f_favail == 0
    except (AttributeError, OSError):
        is_out_of_names = False
    if is_out_of_names:
        return DiskFullError(f"{what}: {point} can hold no more files", f"delete files on {point}, however small")
    left = "" if free is None else f", {readable_size(free)} free"
    return DiskFullError(f"{what}: the disk is full ({point}{left})", f"delete or move files on {point}")


def _denied(refused: _Refused) -> StoreError:
    path, what, where, number = refused
    closed = _closed_directory(where)
    if closed:
        return ReadOnlyError(f"{what}: the directory {closed} may not be entered", _opened(closed, "u+x"))
    place = existing(where)
    if number == errno.EROFS or is_read_only(place):
        point = mount_point(place)
        return ReadOnlyError(f"{what}: {point} is mounted read-only", f"sudo mount -o remount,rw {quoted(point)}")
    if not os.path.isdir(place):
        foreign = None if os.access(place, os.R_OK | os.W_OK) else _foreign_owner(path)
        if foreign:
            return foreign
        if not os.access(place, os.R_OK | os.W_OK):
            return _closed(what, f"the file {place}", place, "u+rw")
        place = os.path.dirname(place)
    if not os.access(place, os.W_OK | os.X_OK):
        return _closed(what, f"the directory {place}", place, "u+rwx")
    message = f"{what}: the permissions allow it, but something else does not (SELinux, AppArmor, a sandbox)"
    return ReadOnlyError(message, f"ls -ldZ {quoted(place)} {quoted(where)}")


def _closed(what: str, words: str, place: str, mode: str) -> StoreError:
    """Return the error for a file or directory that takes no writing though it can be reached."""
    status = os.stat(place)
    is_ours = not hasattr(os, "geteuid") or os.geteuid() in (0, status.st_uid)
    needed = stat.S_IRUSR | stat.S_IWUSR | (stat.S_IXUSR if stat.S_ISDIR(status.st_mode) else 0)
    if is_ours and status.st_mode & needed == needed:
        return ReadOnlyError(f"{what}: {words} is locked against changes", f"sudo chattr -i {quoted(place)}")
    whose = "" if is_ours else f", which belongs to {_user(status.st_uid)}"
    return ReadOnlyError(f"{what}: {words} is not writable{whose}", _opened(place, mode))


def _opened(place: str, mode: str) -> str:
    is_ours = hasattr(os, "geteuid") and _owner(place, follow=True) == os.geteuid()
    return f"chmod {mode} {quoted(place)}" if is_ours else _OTHER_PATH


def _through_a_file(refused: _Refused) -> StoreError:
    _, what, where, _ = refused
    inside = (step for step in steps(os.path.realpath(where)) if os.path.lexists(step) and not os.path.isdir(step))
    return StoreError(f"{what}: the path leads through a file, {next(inside, where)}", _OTHER_PATH)


def _looping(refused: _Refused) -> StoreError:
    _, what, where, _ = refused
    links = [step for step in steps(os.path.abspath(where)) if os.path.islink(step)]
    circle = next((link for link in links if _fails(link, errno.ELOOP)), "")
    if circle:
        return StoreError(f"{what}: links lead in a circle, {circle}", f"rm {quoted(circle)}")
    return StoreError(f"{what}: a link in the place of a file of ours is refused, {where}", f"rm {quoted(where)}")


def _unanswered(refused: _Refused) -> StoreError:
    _, what, where, _ = refused
    point = mount_point(where)
    return NetworkFileSystemError(f"{what}: the network drive at {point} does not answer", _LOCAL_PATH)


def _closed_directory(where: str) -> str:
    """Return the directory on the way that may not be entered, empty where there is none."""
    for step in steps(os.path.realpath(where)):
        if _fails(step, errno.EACCES):
            above = os.path.dirname(step)
            return step if os.access(above, os.X_OK) else above
    return ""


def _fails(path: str, number: int) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == number
    return False


_TOLD = {
    errno.ENAMETOOLONG: ("the path is longer than the file system allows", _OTHER_PATH),
    errno.EIO: (
        "the disk reports an error and may be failing",
        "copy what matters to another disk; what it reports: sudo dmesg | tail",
    ),
    errno.EMFILE: ("too many files are open in this process", "ulimit -n 4096"),
    errno.ENFILE: ("too many files are open on this machine", "sudo sysctl fs.file-max=1000000"),
    errno.EINTR: ("it was interrupted", "agent-tracker flush"),
    errno.EFBIG: ("no file may be that large here", "ulimit -f unlimited"),
    errno.ENOMEM: ("there is not enough memory", "close other programs, then: agent-tracker flush"),
    errno.ENOENT: ("its directory is gone", "agent-tracker flush"),
}
_ASKED: dict[int, Callable[[_Refused], StoreError]] = {
    errno.ENOSPC: _full,
    errno.EDQUOT: _full,
    errno.EROFS: _denied,
    errno.EACCES: _denied,
    errno.EPERM: _denied,
    errno.ENOTDIR: _through_a_file,
    errno.ELOOP: _looping,
    **{
        getattr(errno, name): _unanswered
        for name in ("ESTALE", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ETIMEDOUT", "EREMOTEIO")
        if hasattr(errno, name)
    },
}

# -- for programs, and for a shell -------------------------------------------------------------------------------------

_CAUSES: tuple[tuple[type[AgentTrackerError], str], ...] = (
    (DiskFullError, "full-disk"),
    (ReadOnlyError, "read-only"),
    (ForeignOwnerError, "foreign-owner"),
    (NetworkFileSystemError, "network-file-system"),
    (SchemaError, "newer-schema"),
    (ForeignFileError, "foreign-file"),
    (DamageError, "damaged"),
    (StoreBusyError, "busy"),
    (StoreFullError, "full"),
)
_FORMATS = {"lmdb-newer": "newer-lmdb", "lmdb-js": "lmdb-js"}


def cause_of(error: AgentTrackerError) -> str:
    """Return one word for why the database cannot be used, for programs: these words stay when a message changes."""
    if isinstance(error, ForeignFormatError) and error.kind in _FORMATS:
        return _FORMATS[error.kind]
    return next((word for kind, word in _CAUSES if isinstance(error, kind)), "other")


def quoted(word: str) -> str:
    """Return a word as a shell takes it; `shlex` costs more than all of this module."""
    return word if word and _PLAIN.issuperset(word) else "'" + word.replace("'", "'\"'\"'") + "'"
