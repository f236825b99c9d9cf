"""What keeps the database from being used: what else lies at its path, where it lies, and what the system refuses.

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
import sys
from typing import NamedTuple

from agent_tracker.errors import (
    AgentTrackerError,
    DamageError,
    DiskFullError,
    ForeignFileError,
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
    "FileKind",
    "ForeignFormatError",
    "Location",
    "cause_of",
    "check_access",
    "check_file_system",
    "check_owner",
    "check_place",
    "classify",
    "companions",
    "locate",
    "quoted",
    "refusal",
    "translate",
]

_OTHER_PATH = "agent-tracker config set databasePath FILE"
_LOCAL_PATH = f"{_OTHER_PATH}   (FILE on a disk of this machine)"
_SUFFIXES = ("-lock", ".write", ".fingerprint")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")

# -- what lies at the path ---------------------------------------------------------------------------------------------

_MAGIC = {b"\xde\xc0\xef\xbe": "little", b"\xbe\xef\xc0\xde": "big"}
_OFFSETS = _OURS, _LONGER, _OF_32_BITS = 16, 24, 12
"""Where the magic is: a page's header has 12 bytes where a word has 32 bits, 16 in LMDB 0.9, 24 in 1.0 and lmdb-js."""
_DATA_VERSION, _LMDB_JS_VERSION = 1, 2
_HEAD_BYTES = 40
_SECOND_META = b"\1" + b"\0" * 9 + b"\x08\0" + b"\0" * 4
"""The header of the second meta page, as a little-endian machine writes it."""
_PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)
_SPECIAL = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FileKind(NamedTuple):
    """What lies at a database's path, and words for a person.

    `kind` is `absent`, `empty`, `lmdb` (0.9, which is ours to open, damaged or not), `lmdb-newer` (1.0), `lmdb-js`,
    `lmdb-other` (of another kind of machine) or `foreign`.
    """

    kind: str
    detail: str


class Location(NamedTuple):
    """Where the database is. `avoided` is the foreign file it makes way for, else empty."""

    path: str
    avoided: str


class ForeignFormatError(ForeignFileError):
    """A file that is left alone; `kind` is that of `FileKind`."""

    def __init__(self, message: str, hint: str, kind: str) -> None:
        super().__init__(message, hint)
        self.kind = kind


def classify(path: str) -> FileKind:
    """Tell what is at `path` without opening it as a database.

    Raises:
        StoreError: It is a directory or special file, or cannot be read.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise ForeignFileError(f"the database path is {_special(path, mode)}: {path}", _OTHER_PATH)
        with open(path, "rb", opener=_without_waiting) as file:
            head = file.read(_HEAD_BYTES)
            if not head:
                return FileKind("empty", "an empty file")
            return _kind_of(head) or _kind_of_damaged(file.fileno()) or FileKind("foreign", "no LMDB database")
    except FileNotFoundError:
        return _absent(path)
    except OSError as error:
        raise translate(path, error, doing="read") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a file so that a pipe in its place, put there a moment ago, is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _special(path: str, mode: int) -> str:
    if stat.S_ISDIR(mode):
        data = os.path.join(path, "data.mdb")
        return "a directory with another program's LMDB database in it" if os.path.isfile(data) else "a directory"
    return next((words for test, words in _SPECIAL if test(mode)), "not a regular file")


def _absent(path: str) -> FileKind:
    if not os.path.islink(path):
        return FileKind("absent", "nothing there yet")
    target = os.path.realpath(path)
    if os.path.isdir(os.path.dirname(target)):
        return FileKind("absent", f"a link to {target}, where nothing is yet")
    raise StoreError(
        f"the database path is a link to {target}, where there is not even a directory: {path}",
        f"mount what it lies on, or: rm {quoted(path)}",
    )


def _kind_of(head: bytes) -> FileKind | None:
    """Return the kind by the first bytes of a file, None where nothing of LMDB's is in them."""
    found = [(offset, order) for offset in _OFFSETS if (order := _MAGIC.get(head[offset : offset + 4]))]
    if not found:
        return None
    offset, order = found[0]
    if offset == _OF_32_BITS:
        return FileKind("lmdb-other", "an LMDB database of a 32-bit machine")
    if order != sys.byteorder:
        return FileKind("lmdb-other", "an LMDB database of a machine with the other byte order")
    if offset == _OURS:
        return FileKind("lmdb", "an LMDB database")
    if int.from_bytes(head[offset + 4 : offset + 8], sys.byteorder) > _LMDB_JS_VERSION:
        return FileKind("lmdb-newer", "a database of a newer LMDB (1.0), which this program cannot read")
    return FileKind("lmdb-js", "a database of the OpenCode plugin (lmdb-js)")


def _kind_of_damaged(descriptor: int) -> FileKind | None:
    """Return the kind of a file whose first page is damaged and whose second still says what it is, else None."""
    for offset in _PAGE_SIZES:
        os.lseek(descriptor, offset, os.SEEK_SET)
        head = os.read(descriptor, _HEAD_BYTES)
        if head.startswith(_SECOND_META) and head[_OURS : _OURS + 4] in _MAGIC and head[_OURS + 4] == _DATA_VERSION:
            return FileKind("lmdb", "an LMDB database whose first page is damaged")
    return None


def refusal(path: str, found: FileKind) -> StoreError:
    """Return the error for a file that is not ours to open."""
    hints = {
        "lmdb-newer": "pip install --upgrade agent-tracker lmdb",
        "lmdb-other": "on the machine that it comes from: agent-tracker export --jsonl",
    }
    message = f"not our database, left alone: {path} is {found.detail}"
    return ForeignFormatError(message, hints.get(found.kind, _OTHER_PATH), found.kind)


def locate(path: str) -> Location:
    """Return where the database really is: beside an lmdb-js file at that path, which stays untouched.

    Raises:
        StoreError: What is there can be no database.
    """
    if classify(path).kind != "lmdb-js":
        return Location(path, "")
    stem, extension = os.path.splitext(path)
    return Location(f"{stem}-2{extension}", path)


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
