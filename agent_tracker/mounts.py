"""Which file system a path lies on, what is known of it, and how much room it has.

Owns reading the kernel's table of mounts. Never writes, and says nothing where the system does not tell.

Source: proc(5), mountinfo and fdinfo; the kernel's Documentation/filesystems/9p.rst.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from agent_tracker.files import read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Mount",
    "existing",
    "find_mount",
    "free_bytes",
    "is_read_only",
    "mount_point",
    "readable_size",
    "remote",
    "steps",
]

_MOUNTS = "/proc/self/mountinfo"
_DEVICE, _POINT, _OPTIONS = 2, 4, 5
"""Where they stand in a row of that table."""
_SERVED = ("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "afs", "coda", "ncpfs", "ncp", "davfs", "sshfs")
_CLUSTERED = ("ceph", "glusterfs", "lustre", "gpfs", "beegfs", "orangefs", "pvfs2", "panfs", "wekafs", "gfs2", "ocfs2")
_CLOUDS = ("rclone", "s3fs", "s3ql", "goofys", "gcsfuse", "blobfuse", "blobfuse2", "geesefs", "juicefs", "onedriver")
_PROGRAMS = ("ceph-fuse", "mfs", "moosefs", "hdfs", "curlftpfs", "smbnetfs", "gvfsd-fuse", "google-drive-ocamlfuse")
_REMOTE = frozenset([*_SERVED, *_CLUSTERED])
_REMOTE_FUSE = frozenset([*_REMOTE, *_CLOUDS, *_PROGRAMS])
_OF_THE_HOST = frozenset(["drvfs", "wslfs", "lxfs", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse", "prl_fs"])
"""What a Windows or a virtual machine's host lends: maps and writes are known not to agree there."""
_SOCKETS = ("trans=tcp", "trans=unix", "trans=rdma")
_MAPPED = ("loose", "mmap", "fscache", "cache=")


class Mount(NamedTuple):
    """A file system as it is mounted: its type, the directory, what is mounted there, all its options."""

    kind: str
    point: str
    source: str
    options: tuple[str, ...]


def remote(mount: Mount) -> str:
    """Return words for what a mount is where a database must not lie on it, else an empty string.

    9p is a protocol and no place: the root of gVisor and Kata is one, local and mapped as it should be. It is refused
    over a socket, as a drive of Windows, and over a channel of a virtual machine without a cache, where nothing can
    be mapped.
    """
    kind, _, below = mount.kind.partition(".")
    if kind in _REMOTE or (kind == "fuse" and (below in _REMOTE_FUSE or "://" in mount.source)):
        return "a network drive"
    if mount.kind in _OF_THE_HOST:
        return "a drive that the host system lends"
    if kind == "9p":
        if any(option.startswith("aname=drvfs") for option in mount.options):
            return "a drive of Windows"
        if any(option in _SOCKETS for option in mount.options):
            return "a network drive"
        if "trans=virtio" in mount.options and not any(option.startswith(_MAPPED) for option in mount.options):
            return "a drive that the host system lends without a cache"
    return ""


def find_mount(path: str) -> Mount | None:
    """Return what is mounted where `path` is or would be, None where the system does not tell."""
    table = read_bytes(_MOUNTS)
    if not table:
        return None
    place = existing(path)
    return _mount_of(_row_by_id(table, place) or _row_by_name(table, place))


def _mount_of(row: bytes) -> Mount | None:
    fields, _, rest = row.partition(b" - ")
    before, after = fields.split(b" "), rest.split(b" ")
    if len(before) <= _OPTIONS or len(after) <= 1:
        return None
    options = b",".join([before[_OPTIONS], *after[2:3]]).split(b",")
    kind, source, point = (_unescaped(field) for field in (after[0], after[1], before[_POINT]))
    return Mount(kind, point, source, tuple(_unescaped(each) for each in options))


def _row_by_id(table: bytes, place: str) -> bytes:
    """Return the mount of an open file, as the kernel has it: exact, whatever is mounted over what."""
    try:
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)  # which opens no pipe and no device
    except (AttributeError, OSError):
        return b""
    try:
        _, _, known = read_bytes(f"/proc/self/fdinfo/{descriptor}").partition(b"mnt_id:")
    finally:
        os.close(descriptor)
    number = known.split(b"\n", 1)[0].strip()
    at = (b"\n" + table).find(b"\n%b " % number) if number else -1
    return table[at : (table + b"\n").index(b"\n", at)] if at >= 0 else b""


def _row_by_name(table: bytes, place: str) -> bytes:
    """Return the mount with the longest name that leads to a place, of the same device if there is one."""
    try:
        device = os.stat(place).st_dev
    except OSError:
        return b""
    number = b"%d:%d" % (os.major(device), os.minor(device)) if hasattr(os, "major") else b""
    above = {_escaped(directory) for directory in steps(place)}
    rows = [row.split(b" ", _OPTIONS) for row in reversed(table.split(b"\n"))]  # the later one covers the earlier
    candidates = [row for row in rows if len(row) > _POINT and row[_POINT] in above]
    best = max(candidates, key=lambda row: (row[_DEVICE] == number, len(row[_POINT])), default=None)
    return b" ".join(best) if best else b""


def _escaped(path: str) -> bytes:
    raw = os.fsencode(path).replace(b"\\", b"\\134")
    return raw.replace(b" ", b"\\040").replace(b"\t", b"\\011").replace(b"\n", b"\\012")


def _unescaped(field: bytes) -> str:
    for character in (b" ", b"\t", b"\n", b"#", b"\\"):
        field = field.replace(b"\\%03o" % ord(character), character)
    return os.fsdecode(field)


def existing(path: str) -> str:
    """Return `path`, links resolved, or the nearest directory above it that is there."""
    place = os.path.realpath(path)
    while not os.path.lexists(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    return place


def steps(path: str) -> Iterator[str]:
    """Yield the root, each directory on the way to `path`, and `path`."""
    directory = os.path.dirname(path)
    if directory != path:
        yield from steps(directory)
    yield path


def free_bytes(path: str) -> int | None:
    """Return how much the user may still write where `path` is or would be, None where the system does not tell."""
    try:
        there = os.statvfs(existing(path))
    except (AttributeError, OSError):
        return None
    return there.f_bavail * there.f_frsize


def is_read_only(place: str) -> bool:
    """Tell whether nothing can be written where `place` is, whoever asks; not where the system does not tell."""
    try:
        return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    except (AttributeError, OSError):
        return False


def mount_point(where: str) -> str:
    """Return the directory at which the file system of `where` is mounted, or one on it."""
    mount = find_mount(where)
    if mount:
        return mount.point
    place = existing(where)
    return place if os.path.isdir(place) else os.path.dirname(place)


def readable_size(size: int) -> str:
    """Return a number of bytes as people read it, in decimal units."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
