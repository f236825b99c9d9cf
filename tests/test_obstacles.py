"""What keeps the database from being used: real files, mounts, owners and full disks, each with its remedy."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmdb
import pytest

from agent_tracker import errors, mounts
from agent_tracker.database_kinds import FileKind, Location, classify, locate, refusal
from agent_tracker.errors import (
    AgentTrackerError,
    DiskFullError,
    ForeignFileError,
    ForeignOwnerError,
    NetworkFileSystemError,
    ReadOnlyError,
    StoreError,
)
from agent_tracker.obstacles import (
    cause_of,
    check_access,
    check_file_system,
    check_owner,
    check_place,
    companions,
    quoted,
    translate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAGIC = b"\xde\xc0\xef\xbe"
OTHER_PATH = "agent-tracker config set databasePath FILE"
is_root = hasattr(os, "geteuid") and os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root or sys.platform != "linux", reason="mounting and chown need root on Linux")
NOBODY = 65534


def header(offset: int, version: int, *, order: str = "little") -> bytes:
    """Return the beginning of an LMDB file: the magic and the version of its data at an offset."""
    magic = MAGIC if order == "little" else MAGIC[::-1]
    return b"\0" * offset + magic + version.to_bytes(4, "little" if order == "little" else "big") + b"\0" * 20


def real_database(path: Path) -> Path:
    """Make an LMDB database with a record in it, in one file."""
    with lmdb.open(str(path), subdir=False) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    return path


def refused(call: Callable[[], object]) -> StoreError:
    """Return the error of ours that a call raises."""
    with pytest.raises(StoreError) as caught:
        call()
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def failing(call: Callable[[], object]) -> OSError:
    """Return the error that the system really gives."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 -- which it is, is what the test asks
        call()
    return caught.value


DROPPED = """
import json, os, sys, pwd
from agent_tracker import database_kinds, obstacles
from agent_tracker.errors import AgentTrackerError
uid = int(sys.argv[1])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
path, code = sys.argv[2], sys.argv[3]
try:
    exec(code)
except AgentTrackerError as error:
    print(json.dumps([type(error).__name__, error.message, error.hint, obstacles.cause_of(error)]))
else:
    print("null")
"""


def as_nobody(path: Path, code: str) -> Any:  # noqa: ANN401 -- JSON
    """Run code in a process of another user; return the error of ours it ends with: class, message, hint, cause."""
    argv = [sys.executable, "-c", DROPPED, str(NOBODY), str(path), code]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sh_as_nobody(command: str) -> None:
    """Run a remedy as another user."""
    program = "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); os.execv('/bin/sh', sys.argv[1:])"
    subprocess.run([sys.executable, "-c", program, "sh", "-c", command], check=True, timeout=60, cwd="/")


OPENING = """
try:
    os.open(path, os.O_RDWR | os.O_CREAT)
except OSError as error:
    raise obstacles.translate(path, error, doing="open")
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may enter, unlike pytest's own."""
    tops = [top for top in (tempfile.gettempdir(), "/var/tmp", "/dev/shm") if _is_open_to_all(Path(top))]  # noqa: S108
    if not tops:
        pytest.skip("no directory for temporary files is open to every user")
    made = Path(tempfile.mkdtemp(prefix="at-obstacles-", dir=tops[0]))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _is_open_to_all(top: Path) -> bool:
    return top.is_dir() and all(each.stat().st_mode & 0o001 for each in (top.resolve(), *top.resolve().parents))


@pytest.fixture
def mount(place: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that mounts something below the place; skips where the system does not let it."""
    made: list[Path] = []

    def mounted(name: str, *argv: str) -> Path:
        point = place / name
        point.mkdir(exist_ok=True)
        done = subprocess.run([*argv, str(point)], capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            pytest.skip(f"cannot mount here: {done.stderr.strip()}")
        made.append(point)
        return point

    yield mounted
    for point in reversed(made):
        subprocess.run(["umount", "-l", str(point)], check=False, capture_output=True)


# -- what lies at the path ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        pytest.param(None, "absent", "nothing there yet", id="nothing"),
        pytest.param(b"", "empty", "an empty file", id="empty"),
        pytest.param(header(16, 1), "lmdb", "an LMDB database", id="lmdb"),
        pytest.param(header(24, 3), "lmdb-newer", "newer LMDB (1.0)", id="lmdb-1.0"),
        pytest.param(header(24, 4), "lmdb-newer", "newer LMDB", id="newer-than-that"),
        pytest.param(header(24, 2), "lmdb-js", "OpenCode plugin", id="lmdb-js"),
        pytest.param(header(12, 1), "lmdb-other", "32-bit", id="32-bit"),
        pytest.param(header(16, 1, order="big"), "lmdb-other", "byte order", id="big-endian"),
        pytest.param(header(24, 3, order="big"), "lmdb-other", "byte order", id="big-endian-1.0"),
        pytest.param(b"\0" * 70000, "foreign", "no LMDB database", id="zeros"),
        pytest.param(b"SQLite format 3\0" + b"x" * 100, "foreign", "no LMDB database", id="sqlite"),
        pytest.param(b"x", "foreign", "no LMDB database", id="one-byte"),
        pytest.param(header(16, 1)[:19], "foreign", "no LMDB database", id="cut-off"),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the samples are those of a little-endian machine")
def test_each_kind_of_file_is_told_apart(tmp_path: Path, content: bytes | None, kind: str, words: str) -> None:
    """By its first bytes, with words that a person understands."""
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    found = classify(str(path))
    assert found.kind == kind
    assert words in found.detail


def test_a_database_whose_first_page_is_gone_is_still_known(tmp_path: Path) -> None:
    """What is damaged is a database all the same, and no foreign file; with both first pages gone nobody can tell."""
    path = real_database(tmp_path / "file")
    assert classify(str(path)) == FileKind("lmdb", "an LMDB database")
    content = path.read_bytes()
    page = os.sysconf("SC_PAGE_SIZE")
    path.write_bytes(b"\xff" * page + content[page:])
    assert classify(str(path)) == FileKind("lmdb", "an LMDB database whose first page is damaged")
    path.write_bytes(b"\xff" * page * 2 + content[page * 2 :])
    assert classify(str(path)).kind == "foreign"


@pytest.mark.parametrize(
    ("kind", "hint", "cause"),
    [
        ("lmdb-newer", "pip install --upgrade agent-tracker lmdb", "newer-lmdb"),
        ("lmdb-other", "on the machine that it comes from: agent-tracker export --jsonl", "foreign-file"),
        ("lmdb-js", OTHER_PATH, "lmdb-js"),
        ("foreign", OTHER_PATH, "foreign-file"),
    ],
)
def test_what_is_not_ours_is_refused_with_its_own_remedy(kind: str, hint: str, cause: str) -> None:
    """The message says what it is, the hint what to do, one word why for programs."""
    error = refusal("/somewhere/file", FileKind(kind, "a thing of its own"))
    assert isinstance(error, ForeignFileError)
    assert error.message == "not our database, left alone: /somewhere/file is a thing of its own"
    assert (error.hint, cause_of(error)) == (hint, cause)


def test_ours_makes_way_for_the_plugin_s(tmp_path: Path) -> None:
    """Ours lies beside it; any other file is where it is."""
    path = tmp_path / "agent-tracker.lmdb"
    assert locate(str(path)) == Location(str(path), "")
    path.write_bytes(header(24, 2))
    assert locate(str(path)) == Location(str(tmp_path / "agent-tracker-2.lmdb"), str(path))


def make_directory(path: Path) -> None:
    """Put a directory there."""
    path.mkdir()


def make_environment(path: Path) -> None:
    """Put an LMDB database there that is a directory."""
    lmdb.open(str(path)).close()


def make_pipe(path: Path) -> None:
    """Put a named pipe there, that nobody writes to."""
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    """Put a socket there; its name must be short, so it is bound elsewhere."""
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"{short}/s")
        Path(f"{short}/s").rename(path)


def make_device(path: Path) -> None:
    """Put a device there."""
    path.symlink_to("/dev/zero")


def make_circle(path: Path) -> None:
    """Put a link there that leads to itself by way of another."""
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def make_lost_link(path: Path) -> None:
    """Put a link there to a drive that is not mounted."""
    path.symlink_to(path.with_name("drive") / "deep" / "file")


@pytest.mark.parametrize(
    ("make", "words", "cause"),
    [
        (make_directory, "the database path is a directory: ", "foreign-file"),
        (make_environment, "a directory with another program's LMDB database in it", "foreign-file"),
        (make_pipe, "a named pipe", "foreign-file"),
        (make_socket, "a socket", "foreign-file"),
        (make_device, "a device", "foreign-file"),
        (make_circle, "links lead in a circle", "other"),
        (make_lost_link, "where there is not even a directory", "other"),
    ],
)
def test_what_can_be_no_file_is_named(tmp_path: Path, make: Callable[[Path], None], words: str, cause: str) -> None:
    """Nothing is waited for, read or replaced."""
    path = tmp_path / "file"
    try:
        make(path)
    except PermissionError:
        pytest.skip("cannot be made here")
    error = refused(lambda: classify(str(path)))
    assert words in error.message
    assert str(path) in error.message
    assert cause_of(error) == cause
    assert os.path.lexists(path)


def test_a_link_to_where_nothing_is_yet_is_no_error(tmp_path: Path) -> None:
    """The database is made there, as long as there is a directory."""
    (tmp_path / "file").symlink_to(tmp_path / "target")
    assert classify(str(tmp_path / "file")) == FileKind("absent", f"a link to {tmp_path}/target, where nothing is yet")


def test_a_path_through_a_file_names_the_file(tmp_path: Path) -> None:
    """Not the path alone: which part of it is in the way."""
    (tmp_path / "file").touch()
    error = refused(lambda: classify(str(tmp_path / "file/deep/er")))
    assert f"through a file, {tmp_path}/file" in error.message
    assert error.hint == OTHER_PATH


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    """It is said that it is too long."""
    error = refused(lambda: classify(str(tmp_path / ("x" * 300))))
    assert "longer than the file system allows" in error.message


# -- which file system -------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("subtype", ["sshfs", "rclone", "davfs", "glusterfs", "ceph"])
def test_a_remote_drive_behind_fuse_is_refused(place: Path, mount: Callable[..., Path], subtype: str) -> None:
    """By the name that such a mount really has in the kernel's table; below it at any depth, there or not yet."""
    if not shutil.which("bindfs"):
        pytest.skip("bindfs is not installed")
    (place / "source").mkdir()
    point = mount("drive", "bindfs", "-o", f"subtype={subtype}", str(place / "source"))
    error = refused(lambda: check_place(str(point / "a/b/agent-tracker.lmdb")))
    assert isinstance(error, NetworkFileSystemError)
    assert f"a network drive (fuse.{subtype}, mounted at {point})" in error.message
    assert error.hint.startswith(OTHER_PATH)
    assert cause_of(error) == "network-file-system"
    real_database(place / "source/file")
    assert isinstance(refused(lambda: check_place(str(point / "file"))), NetworkFileSystemError)
    check_file_system(str(place / "file"))


@needs_root
def test_a_real_sshfs_is_refused(place: Path, mount: Callable[..., Path]) -> None:
    """Sshfs itself, speaking with a real server of files."""
    server = Path("/usr/lib/openssh/sftp-server")
    if not shutil.which("sshfs") or not server.exists():
        pytest.skip("sshfs and an sftp-server are not installed")
    (place / "source").mkdir()
    (place / "ssh").write_text(f"#!/bin/sh\nexec {server}\n")
    (place / "ssh").chmod(0o755)
    point = mount("drive", "sshfs", "-o", f"ssh_command={place}/ssh", f"nowhere:{place}/source")
    error = refused(lambda: check_place(str(point / "agent-tracker.lmdb")))
    assert f"(fuse.sshfs, mounted at {point})" in error.message


@needs_root
def test_a_local_drive_behind_fuse_is_fine(place: Path, mount: Callable[..., Path]) -> None:
    """FUSE is no reason: encrypted homes and NTFS are FUSE too."""
    if not shutil.which("bindfs"):
        pytest.skip("bindfs is not installed")
    (place / "source").mkdir()
    check_place(str(mount("drive", "bindfs", str(place / "source")) / "agent-tracker.lmdb"))


@needs_root
@pytest.mark.parametrize("name", ["plain", "with space", "tab\tstop", "back\\slash", "hash#"])
def test_a_drive_that_does_not_answer(place: Path, name: str) -> None:
    """A FUSE mount whose program died: the kernel's own error, and the mount's name as it is, not as it is escaped."""
    if not shutil.which("bindfs"):
        pytest.skip("bindfs is not installed")
    (place / "source").mkdir()
    point = place / name
    point.mkdir(exist_ok=True)
    argv = ["bindfs", "-f", "-o", "subtype=sshfs", str(place / "source"), str(point)]
    with subprocess.Popen(argv) as served:
        try:
            deadline = time.monotonic() + 30
            while not os.path.ismount(point) and time.monotonic() < deadline:
                time.sleep(0.01)
            found = refused(lambda: check_place(str(point / "file")))
            assert f"mounted at {point})" in found.message
            served.kill()
            served.wait()
            error = refused(lambda: classify(str(point / "file")))
            assert "does not answer" in error.message
            assert cause_of(error) == "network-file-system"
        finally:
            served.kill()
            subprocess.run(["umount", "-l", str(point)], check=False)


@needs_root
def test_what_is_mounted_over_another_counts(place: Path, mount: Callable[..., Path]) -> None:
    """A mount that a later one covers is not taken for where the path leads, though its name is the longer one."""
    if not shutil.which("bindfs"):
        pytest.skip("bindfs is not installed")
    (place / "source").mkdir()
    (place / "top").mkdir()
    deep = mount("top/deep", "bindfs", "-o", "subtype=sshfs", str(place / "source"))
    assert isinstance(refused(lambda: check_place(str(deep / "file"))), NetworkFileSystemError)
    mount("top", "mount", "-t", "tmpfs", "covers")
    check_place(str(deep / "file"))
    deep.mkdir()
    check_place(str(deep / "file"))


@needs_root
def test_a_single_file_that_is_mounted_counts(place: Path, mount: Callable[..., Path]) -> None:
    """As containers are given a file: the drive of that file, not of its directory."""
    if not shutil.which("bindfs"):
        pytest.skip("bindfs is not installed")
    (place / "source").mkdir()
    real_database(place / "source/file")
    drive = mount("drive", "bindfs", "-o", "subtype=sshfs", str(place / "source"))
    (place / "file").touch()
    subprocess.run(["mount", "--bind", str(drive / "file"), str(place / "file")], check=True)
    try:
        assert isinstance(refused(lambda: check_place(str(place / "file"))), NetworkFileSystemError)
        check_place(str(place / "file-2"))
    finally:
        subprocess.run(["umount", "-l", str(place / "file")], check=True)


NFS = b"98 26 0:52 / /home rw,relatime shared:5 - nfs4 server:/home rw,vers=4.2,addr=10.0.0.1"
CIFS = b"99 26 0:53 / /mnt/s rw - cifs //server/share rw,vers=3.1.1,cache=strict"
WINDOWS = (
    rb"60 26 0:50 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\;uid=1000,mmap,access=client,trans=fd"
)
GVISOR = b"1 0 0:10 / / rw - 9p none rw,trans=fd,rfd=4,wfd=4,aname=/,dfltuid=4294967294,cache=remote_revalidating"
KATA = b"25 1 0:22 / / rw,nodev,relatime - 9p kataShared rw,dirsync,mmap,access=client,trans=virtio"
QEMU = b"70 26 0:40 / /mnt/q rw,relatime - 9p hostshare rw,sync,access=any,trans=virtio,version=9p2000.L"
PLAN_9 = b"71 26 0:41 / /mnt/9 rw - 9p 10.10.1.2 rw,mmap,access=user,trans=tcp,port=564"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(NFS, "a network drive", id="nfs"),
        pytest.param(CIFS, "a network drive", id="cifs"),
        pytest.param(b"1 2 0:3 / /a rw - davfs https://x/ rw", "a network drive", id="davfs"),
        pytest.param(b"1 2 0:3 / /a rw - fuse https://x/dav rw,user_id=0", "a network drive", id="davfs2"),
        pytest.param(b"1 2 0:3 / /a rw - lustre 10.0.0.1@tcp:/l rw", "a network drive", id="lustre"),
        pytest.param(b"1 2 0:3 / /a rw - ceph 1,2:/ rw", "a network drive", id="ceph"),
        pytest.param(b"1 2 0:3 / /a rw - fuse.s3fs s3fs rw", "a network drive", id="s3fs"),
        pytest.param(b"1 2 0:3 / /a rw - vboxsf share rw", "a drive that the host system lends", id="vboxsf"),
        pytest.param(b"1 2 0:3 / /mnt/c rw - drvfs C: rw", "a drive that the host system lends", id="wsl-1"),
        pytest.param(WINDOWS, "a drive of Windows", id="wsl-2"),
        pytest.param(PLAN_9, "a network drive", id="9p-tcp"),
        pytest.param(QEMU, "a drive that the host system lends without a cache", id="9p-qemu"),
        pytest.param(GVISOR, "", id="9p-gvisor"),
        pytest.param(KATA, "", id="9p-kata"),
        pytest.param(b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard", "", id="ext4"),
        pytest.param(b"1 2 0:3 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/b", "", id="overlay"),
        pytest.param(b"1 2 0:3 / /a rw - fuse.gocryptfs /home/x rw", "", id="gocryptfs"),
        pytest.param(b"1 2 8:1 / /a rw - fuseblk /dev/sdb1 rw", "", id="ntfs-3g"),
        pytest.param(b"1 2 0:3 / /a rw - virtiofs share rw", "", id="virtiofs"),
    ],
)
def test_each_drive_is_judged_by_who_else_writes_it(row: bytes, words: str) -> None:
    """Rows of the kernel's table as these file systems have them: the kind alone says nothing of 9p and FUSE."""
    mounted = mounts._mount_of(row)
    assert mounted is not None
    assert mounts.remote(mounted) == words


def test_the_mount_is_found_by_its_name_where_the_kernel_gives_no_number(tmp_path: Path) -> None:
    """The longest name that leads there, the device's own before another's, of equals the later; broken rows pass."""
    status = tmp_path.stat()
    device = b"%d:%d" % (os.major(status.st_dev), os.minor(status.st_dev))
    place = tmp_path / "with space"
    place.mkdir()
    escaped = os.fsencode(place).replace(b" ", b"\\040")
    above = os.fsencode(tmp_path)
    rows = [b"1 0 0:99 / / rw - rootfs a rw", b"", b"short", b"2 1 0:99 / %b rw - one a rw" % above]
    assert b" one " in mounts._row_by_name(b"\n".join(rows), str(place))
    rows += [b"3 1 0:99 / %b rw - two a rw" % escaped, b"4 1 0:99 / %b rw - three a rw" % escaped]
    assert b" three " in mounts._row_by_name(b"\n".join(rows), str(place))
    rows += [b"5 1 %b / %b rw - four a rw" % (device, above), b"6 1 0:99 / %b-not rw - five a rw" % escaped]
    found = mounts._mount_of(mounts._row_by_name(b"\n".join(rows), str(place)))
    assert found == mounts.Mount("four", str(tmp_path), "a", ("rw", "rw"))


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="the kernel shows no table of mounts")
@pytest.mark.parametrize("where", ["/", "/proc/self", "/dev/null", "/nowhere/at/all"])
def test_both_ways_lead_to_the_same_mount(where: str) -> None:
    """By number, which is exact, and by name."""
    table = Path("/proc/self/mountinfo").read_bytes()
    there = mounts.existing(where)
    assert mounts._row_by_id(table, there) == mounts._row_by_name(table, there) != b""


def test_a_system_that_does_not_tell_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, and where /proc is not mounted."""
    monkeypatch.setattr(mounts, "_MOUNTS", str(tmp_path / "not there"))
    assert mounts.find_mount(str(tmp_path)) is None
    check_file_system(str(tmp_path))
    assert mounts.mount_point(str(tmp_path / "a/b")) == str(tmp_path)


def test_here_nothing_is_refused(tmp_path: Path) -> None:
    """A plain directory, there or not, passes; so does a database in it."""
    check_place(str(tmp_path / "not/yet/there.lmdb"))
    check_place(str(real_database(tmp_path / "file")))


# -- whose it is -------------------------------------------------------------------------------------------------------


@needs_root
def test_root_leaves_another_s_database_alone(place: Path) -> None:
    """Both users are named, and the command that runs as the owner."""
    path = real_database(place / "file")
    os.chown(path, NOBODY, -1)
    error = refused(lambda: check_place(str(path)))
    assert isinstance(error, ForeignOwnerError)
    assert f"{path} belongs to nobody" in error.message
    assert "root" in error.message
    assert error.hint == "su nobody -c 'agent-tracker flush'"
    assert cause_of(error) == "foreign-owner"


@needs_root
def test_root_may_begin_one_in_another_s_directory(place: Path) -> None:
    """In a container the home is often another user's, and everything runs as root."""
    os.chown(place, NOBODY, -1)
    check_owner(str(place / "deep/file"))


@needs_root
@pytest.mark.parametrize("suffix", ["", "-lock", ".write", ".fingerprint"])
def test_what_root_left_behind_is_given_back_by_the_remedy(place: Path, suffix: str) -> None:
    """After one `sudo`: the file is named, and the hint, run by root, is all that is needed."""
    place.chmod(0o777)
    path = real_database(place / "a file")
    for each in companions(str(path)):
        os.chown(each, NOBODY, -1)
    left = Path(f"{path}{suffix}")
    left.touch()
    os.chown(left, 0, -1)
    kind, message, hint, cause = as_nobody(path, "obstacles.check_place(path)")
    assert (kind, cause) == ("ForeignOwnerError", "foreign-owner")
    assert f"{left} belongs to root, and this is nobody" in message
    assert hint.startswith("sudo chown nobody ")
    subprocess.run(shlex.split(hint)[1:], check=True)
    assert as_nobody(path, "obstacles.check_place(path)") is None


@needs_root
def test_a_user_may_use_a_directory_of_somebody_else_s(place: Path) -> None:
    """What a user makes there is the user's own."""
    place.chmod(0o1777)
    assert as_nobody(place / "file", "obstacles.check_place(path)") is None


@needs_root
def test_a_user_without_a_name_is_a_number(place: Path) -> None:
    """As in containers: nobody can become that user there."""
    path = real_database(place / "file")
    os.chown(path, 54321, -1)
    error = refused(lambda: check_owner(str(path)))
    assert "belongs to 54321, and this is root" in error.message
    assert error.hint == OTHER_PATH


# -- what the system refuses -------------------------------------------------------------------------------------------


@needs_root
def test_a_full_disk_is_named_with_what_is_free(mount: Callable[..., Path]) -> None:
    """The system's own error of a full tmpfs."""
    point = mount("full", "mount", "-t", "tmpfs", "-o", "size=256k", "none")
    path = point / "file"
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, 200 << 10)
        error = translate(str(path), failing(lambda: os.posix_fallocate(file.fileno(), 0, 512 << 10)), doing="write")
    assert isinstance(error, DiskFullError)
    free = os.statvfs(point).f_bavail * os.statvfs(point).f_frsize
    assert error.message == f"cannot write the database {path}: the disk is full ({point}, {free / 1000:.1f} kB free)"
    assert error.hint == f"delete or move files on {point}"
    assert cause_of(error) == "full-disk"


@needs_root
def test_a_disk_without_room_for_another_file(mount: Callable[..., Path]) -> None:
    """There is room, but no number for one more file: deleting a large one would not help."""
    point = mount("full", "mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=2", "none")
    (point / "one").touch()
    path = point / "file"
    error = translate(str(path), failing(path.touch), doing="create")
    assert isinstance(error, DiskFullError)
    assert f"{point} can hold no more files" in error.message


@needs_root
def test_a_disk_that_is_mounted_read_only(place: Path, mount: Callable[..., Path]) -> None:
    """Root cannot write there either; the hint, run, is all that is needed."""
    source = place / "source"
    source.mkdir()
    path = mount("drive", "mount", "--bind", str(source)) / "file"
    subprocess.run(["mount", "-o", "remount,ro,bind", str(path.parent)], check=True)
    error = translate(str(path), failing(path.touch), doing="create")
    assert isinstance(error, ReadOnlyError)
    assert error.message == f"cannot create the database {path}: {path.parent} is mounted read-only"
    assert error.hint == f"sudo mount -o remount,rw {path.parent}"
    assert refused(lambda: check_access(str(path))).hint == error.hint
    subprocess.run(["mount", "-o", "remount,rw,bind", str(path.parent)], check=True)
    check_access(str(path))


@needs_root
@pytest.mark.parametrize(
    ("closed", "mode", "words"),
    [
        ("dir", 0o600, "the directory {place}/dir may not be entered"),
        ("dir/deep", 0o600, "the directory {place}/dir/deep may not be entered"),
        ("dir/deep", 0o500, "the directory {place}/dir/deep is not writable"),
        ("dir/deep/file", 0o400, "the file {place}/dir/deep/file is not writable"),
        ("dir/deep/file", 0o000, "the file {place}/dir/deep/file is not writable"),
    ],
)
def test_what_is_closed_is_named_and_opened_by_the_remedy(place: Path, closed: str, mode: int, words: str) -> None:
    """A directory above, the directory, the file: each is named, and the hint, run by its owner, opens it."""
    path = place / "dir/deep/file"
    path.parent.mkdir(parents=True)
    if closed.endswith("file"):
        path.touch()
    for each in (place, place / "dir", path.parent, path):
        if each.exists():
            os.chown(each, NOBODY, -1)
    (place / closed).chmod(mode)
    kind, message, hint, cause = as_nobody(path, OPENING)
    assert (kind, cause) == ("ReadOnlyError", "read-only")
    assert message == f"cannot open the database {path}: {words.format(place=place)}"
    assert as_nobody(path, "obstacles.check_access(path)")[2] == hint
    sh_as_nobody(hint)
    assert as_nobody(path, OPENING) is None
    assert as_nobody(path, "obstacles.check_access(path)") is None


@needs_root
def test_what_another_user_closed_is_said_to_be_another_s(place: Path) -> None:
    """No command of one's own opens it: another path is the remedy for a directory, the owner's for a file."""
    path = place / "file"
    kind, message, hint, _ = as_nobody(path, OPENING)
    assert (kind, hint) == ("ReadOnlyError", OTHER_PATH)
    assert f"the directory {place} is not writable, which belongs to root" in message
    real_database(path).chmod(0o600)
    kind, message, hint, _ = as_nobody(path, OPENING)
    assert (kind, hint.split()[:3]) == ("ForeignOwnerError", ["sudo", "chown", "nobody"])
    assert as_nobody(path, "database_kinds.classify(path)")[:2] == [kind, message]


@needs_root
def test_a_file_that_is_locked_against_changes(place: Path) -> None:
    """The permissions are right, and root is refused all the same."""
    path = place / "file"
    path.touch(0o600)
    done = subprocess.run(["chattr", "+i", str(path)], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("this file system locks no files")
    try:
        error = translate(str(path), failing(lambda: path.open("ab")), doing="write")
        assert f"the file {path} is locked against changes" in error.message
    finally:
        subprocess.run(shlex.split(error.hint)[1:], check=True)
    path.open("ab").close()


def test_a_link_in_the_place_of_a_file_of_ours(tmp_path: Path) -> None:
    """It is refused where it is opened, which the system reports as a circle; the hint takes it away."""
    link = tmp_path / "file-lock"
    link.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").touch()
    raised = failing(lambda: os.open(link, os.O_RDWR | os.O_NOFOLLOW))
    error = translate(str(tmp_path / "file"), raised, doing="lock")
    assert f"a link in the place of a file of ours is refused, {link}" in error.message
    assert error.hint == f"rm {link}"


LIMITED = """
import os, resource, sys
from agent_tracker import obstacles
what, limit, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
resource.setrlimit(getattr(resource, what), (limit, limit))
try:
    files = [open(path, "ab", buffering=0) for _ in range(64)]
    files[0].write(b"x" * 4096) and files[0].write(b"x" * 4096)
except OSError as error:
    print(obstacles.translate(path, error, doing="write").message)
"""


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [("RLIMIT_NOFILE", 32, "too many files are open in this process"), ("RLIMIT_FSIZE", 4096, "no file may be that")],
)
def test_the_limits_of_a_process(tmp_path: Path, limit: str, value: int, words: str) -> None:
    """A process that really reaches its limit says so, and does not blame the disk."""
    argv = [sys.executable, "-c", LIMITED, limit, str(value), str(tmp_path / "file")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert words in done.stdout


@pytest.mark.parametrize(
    ("number", "words", "kind"),
    [
        (errno.EDQUOT, "your share of", DiskFullError),
        (errno.EIO, "the disk reports an error", StoreError),
        (errno.ENFILE, "too many files are open on this machine", StoreError),
        (errno.EINTR, "interrupted", StoreError),
        (errno.ESTALE, "does not answer", NetworkFileSystemError),
        (errno.ENOLCK, os.strerror(errno.ENOLCK), StoreError),
    ],
)
def test_what_cannot_be_provoked_here_has_its_words(
    tmp_path: Path, number: int, words: str, kind: type[StoreError]
) -> None:
    """One line and one action for each; a number that is not known keeps the system's words."""
    error = translate(str(tmp_path / "file"), OSError(number, os.strerror(number)), doing="write")
    assert type(error) is kind
    assert words in error.message
    assert error.message.startswith(f"cannot write the database {tmp_path}/file: ")
    assert error.hint
    assert "\n" not in error.message + error.hint


def test_a_descriptor_is_no_name(tmp_path: Path) -> None:
    """Python puts the number of a descriptor where a name would be."""
    error = translate(str(tmp_path / "file"), OSError(errno.EACCES, "denied", 3), doing="write")
    assert isinstance(error, ReadOnlyError)


def test_an_undecodable_path_is_no_obstacle(tmp_path: Path) -> None:
    """Paths are bytes underneath."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")
    check_place(path)
    Path(path).touch()
    assert classify(path).kind == "empty"
    check_access(path)


# -- for programs, and for a shell -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("DiskFullError", "full-disk"),
        ("ReadOnlyError", "read-only"),
        ("ForeignOwnerError", "foreign-owner"),
        ("NetworkFileSystemError", "network-file-system"),
        ("SchemaError", "newer-schema"),
        ("ForeignFileError", "foreign-file"),
        ("DamageError", "damaged"),
        ("StoreBusyError", "busy"),
        ("StoreFullError", "full"),
        ("StoreError", "other"),
        ("GitError", "other"),
    ],
)
def test_each_cause_has_its_word(kind: str, word: str) -> None:
    """A program never has to read a message."""
    error = getattr(errors, kind)("a message", "a hint")
    assert isinstance(error, AgentTrackerError)
    assert cause_of(error) == word


@pytest.mark.parametrize("word", ["plain", "with space", "it's", "$(touch x)", "", "a;b", "\n", "~user", "\udcff"])
def test_a_path_in_a_hint_is_one_word(word: str) -> None:
    """Whatever a path contains, a shell takes the hint as it is meant."""
    assert shlex.split(quoted(word)) == [word]
    assert quoted("/plain/path-1.lmdb") == "/plain/path-1.lmdb"


def test_it_loads_nothing_that_is_not_loaded_anyway() -> None:
    """Every flush imports it."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import agent_tracker.{}; print(*sys.modules)"
    where = str(Path(errors.__file__).parent.parent)

    def loaded(name: str) -> set[str]:
        argv = [sys.executable, "-ISc", program.format(name), where]
        return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())

    ours = {f"agent_tracker.{name}" for name in ("mounts", "obstacles", "files", "errors")}
    new = loaded("obstacles") - loaded("locking")
    assert "agent_tracker.obstacles" in new
    assert new <= {*ours, "errno"}


def test_nothing_is_changed_by_asking(tmp_path: Path) -> None:
    """No file is made, and a database that is there keeps its mode."""
    path = real_database(tmp_path / "file")
    path.chmod(0o640)
    before = sorted(tmp_path.iterdir())
    for ask in (classify, locate, check_place, check_access):
        ask(str(path))
        ask(str(tmp_path / "new/file"))
    assert sorted(tmp_path.iterdir()) == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
