"""Disks of a test's own: small ones that fill up, and ones that are mounted for reading alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BLOCK_BYTES", "Disk", "disk_over", "read_only", "why_not"]

BLOCK_BYTES = 4096
_BALLAST = ".ballast"


class Disk:
    """A small file system in memory, mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / _BALLAST

    @contextmanager
    def full_of(self, what: str, *, left: int) -> Iterator[None]:
        """Take all `blocks`, or all `names`, but so many, until the end of the block."""
        {"blocks": self._fill, "names": self._fill_names}[what](left)
        try:
            yield
        finally:
            shutil.rmtree(self._ballast)

    def _fill(self, left: int) -> None:
        self._ballast.mkdir()
        with (self._ballast / "blocks").open("wb") as file:
            # What is asked of it first is an inode and a directory's entry, so the rest is counted now.
            free = os.statvfs(self.path).f_bavail - left
            if free > 0:
                os.posix_fallocate(file.fileno(), 0, free * BLOCK_BYTES)

    def _fill_names(self, left: int) -> None:
        self._ballast.mkdir()
        for number in range(os.statvfs(self.path).f_favail - left):
            (self._ballast / str(number)).touch()


@contextmanager
def disk_over(path: Path, *, size_bytes: int, names: int = 10_000) -> Iterator[Disk]:
    """Mount a disk in the place of a directory, with what is in it, until the end of the block."""
    kept = path.with_name(f"{path.name}.below")
    shutil.copytree(path, kept, symlinks=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes},nr_inodes={names},mode=755", "tmpfs", str(path))
    try:
        shutil.copytree(kept, path, symlinks=True, dirs_exist_ok=True)
        yield Disk(path)
    finally:
        _unmount(path)


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Mount a directory upon itself so that it takes no writing, until the end of the block."""
    _run("mount", "--bind", str(path), str(path))
    try:
        _run("mount", "-o", "remount,ro,bind", str(path))
        yield
    finally:
        _unmount(path)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=60)


def _unmount(path: Path) -> None:
    """Take a mount away at once, also where a process that hangs still has a file open there."""
    _run("umount", "--lazy", str(path))


@cache
def why_not() -> str:
    """Return why nothing can be mounted here, empty where it can."""
    with TemporaryDirectory() as directory:
        try:
            with disk_over(Path(directory) / ".", size_bytes=BLOCK_BYTES):
                return ""
        except FileNotFoundError:
            return "there is no mount"
        except subprocess.CalledProcessError as error:
            return f"nothing can be mounted: {error.stderr.decode(errors='replace').strip()}"
