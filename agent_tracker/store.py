"""The central database: one LMDB environment in one file.

Owns opening, creating, growing, replacing and locking it, and turning every lmdb error into ours. Never lets a handle
outlive its block: an environment may be open once a process and must not cross a fork. What lies in it is `tables`.

A database that is not ours is never written to. Ours is created aside and renamed in, so that a kill leaves no
half-made file, and its lock file is allocated before LMDB maps it, so that a full disk is an error and not a signal.
Before a file is opened its fingerprint is compared: where it does not match, a process of its own checks it first.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from agent_tracker.database_file import (
    keep_to_owner,
    new_file,
    sync_directory,
    translated_error,
    translated_os,
    unlink,
    unlink_killed,
)
from agent_tracker.database_kinds import FileKind, Location, classify, locate, refusal
from agent_tracker.durability import fingerprint, migrations
from agent_tracker.environment import OTHER_PATH, begun, environment, translated
from agent_tracker.errors import DamageError, ForeignFileError, SchemaError, StoreBusyError, StoreError, StoreFullError
from agent_tracker.locking import LockTimeoutError, locked
from agent_tracker.marks import MARKS_VERSION
from agent_tracker.table import Table
from agent_tracker.tables import TABLES, VERSION, Snapshot, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent_tracker.durability.checking import CheckReport
    from agent_tracker.figures import Figures

__all__ = ["SCHEMA_VERSION", "FileKind", "Location", "Store", "classify", "damage", "locate", "read_fixed"]

SCHEMA_VERSION = migrations.CURRENT
CHECK_TIMEOUT_S = 600.0
FIRST_MAP_BYTES = 64 << 20
"""How large the map is at first, or the file if that is larger; it doubles where that is not enough."""

SPARE_BYTES = 1 << 20
"""How much larger than its limit a database may get where its format changes: one that is full must not stay old."""

T = TypeVar("T")
_checked: dict[str, tuple[str, dict[str, int]]] = {}
"""What the files looked like that this process had checked, and the counts of their records: some can keep no other."""


class Store:
    """The database at one path, opened for a block at a time.

    Args:
        path: Absolute; its directory is made when the database is. A link is followed once and for all.
        size_bytes: How large it may grow.
        backups_dir: Where a copy goes before a migration; beside the database, if empty.
        check_timeout_s: How long a check of the file may take, if one is needed.
    """

    def __init__(
        self, path: str, size_bytes: int, backups_dir: str = "", *, check_timeout_s: float = CHECK_TIMEOUT_S
    ) -> None:
        # What lies beside it, the locks above all, must be the same by whichever link it is reached.
        self.path = os.path.realpath(path)
        self.size_bytes = size_bytes
        self.backups_dir = backups_dir
        self._check_timeout_s = check_timeout_s
        self._map_bytes = size_bytes or FIRST_MAP_BYTES

    def exists(self) -> bool:
        """Tell whether the database is there, damaged or not.

        Raises:
            ForeignFileError: Something else is at its path.
            StoreError: It cannot be told.
        """
        found = classify(self.path)
        if found.kind in {"empty", "foreign"} and fingerprint.was_here(self.path):
            return True
        if found.kind in {"lmdb", "absent", "empty"}:
            return found.kind == "lmdb"
        raise refusal(self.path, found)

    # -- reading

    @contextmanager
    def snapshot(self, *, is_fixed: bool = False) -> Iterator[Snapshot | None]:
        """Yield typed reads as of now; None where there is no database yet.

        Args:
            is_fixed: A file that nobody writes, and that was checked or is being: no lock file is made beside it. It
                may be of an older version, and have fewer tables then.

        Raises:
            DamageError: The file is damaged.
            StoreError: It cannot be opened.
        """
        if not self.exists():
            yield None
            return
        if not is_fixed:
            self._check_before_reading()
        with ExitStack() as stack:
            env = stack.enter_context(environment(self.path, self._map_bytes, readonly=True, is_locked=not is_fixed))
            with translated(self.path):
                version = _version_of(env, self.path)
            if version in migrations.STEPS and not is_fixed:
                stack.close()
                with suppress(StoreError):  # one that cannot be brought up to date now is read as it is
                    self.write(lambda _: None, timeout_s=1.0)
                env = stack.enter_context(environment(self.path, self._map_bytes, readonly=True))
                with translated(self.path):
                    version = _version_of(env, self.path)
            with self._forgotten_where_damaged(), translated(self.path), begun(env, write=False) as txn:
                names = migrations.tables_of(version)
                yield Snapshot(txn, {name: env.open_db(name.encode(), txn, create=False) for name in names})

    @contextmanager
    def _forgotten_where_damaged(self) -> Iterator[None]:
        """Take the fingerprint away where a record proves to be damaged: whoever opens the file next has it checked."""
        try:
            yield
        except DamageError:
            with suppress(OSError):
                fingerprint.forget(self.path)
            raise

    def _check_before_reading(self) -> None:
        """Have the file checked, unless it is known to be sound or somebody writes it, who did so before."""
        if fingerprint.matches(self.path) or _checked.get(self.path, ("",))[0] == fingerprint.look(self.path):
            return
        try:
            with locked(self.path + ".write", timeout_s=0):
                self._check_alone()
        except LockTimeoutError:
            return
        except OSError:
            self._check_alone(is_kept=False)

    def _check_alone(self, *, is_kept: bool = True) -> None:
        """Have the file checked unless it is known to be sound, and keep it in mind if it is.

        Raises:
            DamageError: It is damaged.
            UncheckedError: It takes longer.
        """
        if fingerprint.matches(self.path) or not self.exists():
            return
        now = fingerprint.look(self.path)
        if self.path not in _checked or _checked[self.path][0] != now:
            report = _read_in_full(self.path, timeout_s=self._check_timeout_s)
            if report.problems:
                raise damage(self.path, report.problems)
            _checked[self.path] = (now, {**report.counts, fingerprint.TRANSACTION: report.transaction})
        counts = _checked[self.path][1]
        if is_kept and len(counts) > 1:  # another program's has none that we know of
            fingerprint.remember(self.path, counts)

    # -- writing

    def write(self, work: Callable[[Writer], T], *, timeout_s: float) -> T:
        """Return what `work` does in one write transaction, which is committed and synced; dropped on any exception.

        Args:
            work: Done again from its beginning, in a new transaction, where the map was full and could be doubled.
            timeout_s: How long to wait for another process that writes.

        Raises:
            StoreFullError: The database reached its size.
            DamageError: It is damaged.
            StoreError: It is locked, cannot be opened, or cannot be written.
        """
        map_bytes = self._first_map_bytes()
        while True:
            try:
                with self.writer(timeout_s=timeout_s, map_bytes=map_bytes) as writer:
                    return work(writer)
            except StoreFullError as error:
                if map_bytes >= self.size_bytes:
                    raise self._at_limit() from error
                map_bytes = min(2 * map_bytes, self.size_bytes)

    def _at_limit(self) -> StoreFullError:
        """Return the error that says which ways out there are."""
        from agent_tracker.durability.remedies import in_a_line, ways_out  # noqa: PLC0415 -- for a full one alone
        from agent_tracker.mounts import readable_size  # noqa: PLC0415 -- as above

        found = None
        with suppress(StoreError):
            found = self.figures()
        sizes = (found.file_bytes, found.spare_bytes) if found else (0, 0)
        return StoreFullError(
            f"the database is full: {self.path} has reached its limit of {readable_size(self.size_bytes)}",
            in_a_line(ways_out(self.size_bytes, *sizes)),
        )

    def _first_map_bytes(self) -> int:
        try:
            size = os.stat(self.path).st_size
        except OSError:
            size = 0
        return min(max(FIRST_MAP_BYTES, 1 << size.bit_length()), self.size_bytes)

    @contextmanager
    def writer(self, *, timeout_s: float, map_bytes: int | None = None) -> Iterator[Writer]:
        """Yield the write transaction of `write`, once, at a map of that size; of the largest, if it is not given."""
        self._make_directory()
        with self._locked(timeout_s):
            self._make_ready()
            with ExitStack() as stack:
                env = stack.enter_context(environment(self.path, map_bytes or self._map_bytes, readonly=False))
                with translated(self.path):
                    version = _version_of(env, self.path)
                if version in migrations.STEPS:
                    stack.close()
                    self._migrate(version)
                    env = stack.enter_context(environment(self.path, map_bytes or self._map_bytes, readonly=False))
                for suffix in ("", "-lock", ".write"):
                    keep_to_owner(self.path + suffix)
                with self._unremembered(stack) as counts, translated(self.path), begun(env, write=True) as txn:
                    writer = Writer(txn, {name: env.open_db(name.encode(), txn, create=False) for name in TABLES})
                    yield writer
                    counts.update(writer.put_counts())
                    counts[fingerprint.TRANSACTION] = txn.id()

    @contextmanager
    def _unremembered(self, opened: ExitStack) -> Iterator[dict[str, int]]:
        """Take the fingerprint away while the file is written, and keep the new one unless the file itself failed.

        Who dies meanwhile leaves none. What else is raised is ours, not the file's: the transaction was dropped.

        Yields:
            The tables' counts, to be brought up to date.
        """
        counts = fingerprint.counts(self.path)
        fingerprint.forget(self.path)
        is_failed = False
        try:
            yield counts
        except StoreError as error:
            is_failed = not isinstance(error, StoreFullError)
            raise
        finally:
            opened.close()
            if not is_failed:
                fingerprint.remember(self.path, counts)

    def _make_ready(self) -> None:
        """Create the database, or have it checked if it is not known to be sound; the write lock must be held."""
        if not self.exists():
            _check_place(self.path)
            self._create()
            return
        if not fingerprint.matches(self.path):
            _check_place(self.path)
            self._check_alone()

    def _migrate(self, version: str) -> None:
        """Bring the database to this program's version, in one transaction, having made a copy of what it was.

        Raises:
            StoreError: There can be no copy, or it cannot be written: it stays as it was.
        """
        copy = self._copy_before(version)
        fingerprint.forget(self.path)
        try:
            with self._changing(self.path) as (env, txn):
                migrations.migrate(
                    version, lambda names: Writer(txn, {name: env.open_db(name.encode(), txn) for name in names})
                )
        except StoreError:
            unlink(copy)  # or each attempt would leave one
            raise
        self._remember_counted()

    def _copy_before(self, version: str) -> str:
        """Return the path of a new copy that was read in full."""
        directory = self.backups_dir or os.path.dirname(self.path)
        name = os.path.join(directory, f"{os.path.splitext(os.path.basename(self.path))[0]}-schema-{version}")
        aside, copy = f"{name}.copying", f"{name}-{os.urandom(4).hex()}.lmdb"
        with translated_os(self.path, "copy"):
            os.makedirs(directory, mode=0o700, exist_ok=True)
            unlink(aside)  # of a process that was killed
            self.copy_to(aside)
            problems = _read_in_full(aside).problems
            if problems:
                unlink(aside)
                raise damage(self.path, problems)
            os.rename(aside, copy)
            sync_directory(directory)
        return copy

    @contextmanager
    def _changing(self, path: str) -> Iterator[tuple[Any, Any]]:
        """Yield an environment and a write transaction that has room for a few records where the limit is reached."""
        map_bytes = max(self._map_bytes, os.path.getsize(path)) + SPARE_BYTES
        with environment(path, map_bytes, readonly=False) as env, translated(path), env.begin(write=True) as txn:
            yield env, txn

    def _remember_counted(self) -> None:
        """Keep the fingerprint of a file that was just closed, and the counts that it holds itself."""
        with read_fixed(self.path) as snapshot:
            fingerprint.remember(self.path, snapshot.counts() if snapshot else {})

    # -- the file as a whole

    def copy_to(self, copy: str, *, is_fixed: bool = False) -> None:
        """Write a compact copy to a new file (0600), synced; it is of one moment, and takes no writer's lock.

        Args:
            copy: Its path; nothing may be there.
            is_fixed: Nobody writes the database, and it was checked.

        Raises:
            OSError: It cannot be written.
            StoreError: The database cannot be read.
        """
        if not is_fixed:
            self._check_before_reading()
        descriptor = new_file(copy)
        try:
            with (
                environment(self.path, self._map_bytes, readonly=True, is_locked=not is_fixed) as env,
                translated(self.path),
            ):
                _version_of(env, self.path)
                env.copyfd(descriptor, compact=True)
            os.fsync(descriptor)
        except BaseException:
            unlink(copy)
            raise
        finally:
            os.close(descriptor)

    def compact(self, *, timeout_s: float) -> None:
        """Put a copy of what the records hold in the place of the file: no page that was freed is left, nor its bytes.

        LMDB keeps pages that it freed as they were, and what was moved within a page. Whoever has the old file open
        goes on reading it.

        Args:
            timeout_s: How long to wait for another process that writes.

        Raises:
            DamageError: It, or the copy, is damaged; it stays as it is.
            StoreError: It is locked, cannot be read, or there is no room for a copy; it stays as it is.
        """
        with self._locked(timeout_s):
            if not self.exists():
                return
            self._check_alone()
            with self._aside() as aside:
                self.copy_to(aside)
                self._put_in_place(aside, "")

    def replace(self, source: str, *, keep_as: str, timeout_s: float, only_damaged: bool = False) -> tuple[str, ...]:
        """Put a copy of another database, or an empty one, in the place of this one, which is kept.

        Args:
            source: A file that need not be sound: its copy is checked. An empty database, if it is empty.
            keep_as: The path that this one gets, damaged or not; nothing may be there.
            timeout_s: How long to wait for another process that writes.
            only_damaged: Nothing is done if this one is sound, which is found out while nobody else can write it.

        Returns:
            What is wrong with this one, if that was asked; nothing where nothing was done for it is sound.

        Raises:
            DamageError: The source is damaged; all stays as it is.
            StoreError: This one is locked, or there is no room for a copy; all stays as it is.
        """
        self._make_directory()
        with self._locked(timeout_s):
            problems = _read_in_full(self.path).problems if only_damaged else ()
            if only_damaged and not problems:
                return ()
            _check_place(self.path)
            with self._aside() as aside:
                if source:
                    self._copy_sound(source, aside)
                else:
                    self._make_empty(aside)
                self._put_in_place(aside, keep_as)
            return problems

    def _copy_sound(self, source: str, aside: str) -> None:
        """Write a compact copy of a file that passes its check: whoever has the old one open counts transactions on.

        In a copy of its bytes there would be pages that are said to be free since a transaction that is to come.
        """
        problems = _read_in_full(source).problems
        if problems:
            raise DamageError(f"{source} is damaged: {problems[0]}", "agent-tracker backups --check")
        Store(source, self.size_bytes).copy_to(aside, is_fixed=True)

    @contextmanager
    def _aside(self) -> Iterator[str]:
        aside = f"{self.path}.{os.getpid()}.new"
        try:
            unlink_killed(self.path)
            with translated_os(self.path, "write a copy of"):
                yield aside
        finally:
            for leftover in (aside, aside + "-lock"):
                unlink(leftover)

    def _put_in_place(self, aside: str, keep_as: str) -> None:
        """Check a file, and rename it to where the database is; the write lock must be held.

        The lock file stays in use by whoever has the old file open, and the number of the last transaction in it is
        another than the new file's: that is why both metas of the new one must be good, whichever a reader takes.
        """
        report = _read_in_full(aside)
        if report.problems:
            raise DamageError(f"the copy for {self.path} is damaged: {report.problems[0]}", "agent-tracker backups")
        with read_fixed(aside) as snapshot:
            version = snapshot.schema_version() if snapshot else ""
        names = migrations.tables_of(version)
        for _ in range(2):
            with self._changing(aside) as (env, txn):
                handles = {name: env.open_db(name.encode(), txn, create=False) for name in names}
                Writer(txn, handles).set_schema_version(version)
        fingerprint.forget(self.path)
        if keep_as and os.path.lexists(self.path):
            try:
                os.link(self.path, keep_as)
            except OSError:
                os.rename(self.path, keep_as)
        os.replace(aside, self.path)
        sync_directory(os.path.dirname(self.path))
        fingerprint.remember(self.path, report.counts)

    def figures(self) -> Figures | None:
        """Return how large the database is, None where there is none.

        Raises:
            StoreError: It cannot be opened.
        """
        if not self.exists():
            return None
        self._check_before_reading()
        with environment(self.path, self._map_bytes, readonly=True) as env, translated(self.path):
            names = migrations.tables_of(_version_of(env, self.path))
            with begun(env, write=False) as txn:
                tables = {name: env.open_db(name.encode(), txn, create=False) for name in names}
                from agent_tracker.figures import measured  # noqa: PLC0415 -- not needed to read or to write

                return measured(env, self.path, Snapshot(txn, tables))

    # -- the parts of it

    @contextmanager
    def _locked(self, timeout_s: float) -> Iterator[None]:
        """Keep other writers out.

        Raises:
            StoreBusyError: One is at work for longer.
            StoreError: The file cannot be written.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path + ".write", timeout_s=timeout_s))
            except LockTimeoutError as error:
                raise StoreBusyError(
                    f"the database is being written or checked by another process: {self.path}",
                    "try again: agent-tracker flush",
                ) from error
            except OSError as error:
                raise translated_error(self.path, error, "write") from error
            with translated_os(self.path, "write"):
                yield

    def _make_directory(self) -> None:
        directory = os.path.dirname(self.path)
        with translated_os(self.path, "create"):
            os.makedirs(directory, mode=0o700, exist_ok=True)

    def _create(self) -> None:
        with self._aside() as aside:
            self._make_empty(aside)
            os.replace(aside, self.path)
            sync_directory(os.path.dirname(self.path))
            self._remember_counted()

    def _make_empty(self, path: str) -> None:
        with (
            environment(path, self._map_bytes, readonly=False) as env,
            translated(path),
            env.begin(write=True) as txn,
        ):
            writer = Writer(txn, {name: env.open_db(name.encode(), txn) for name in TABLES})
            writer.set_schema_version(SCHEMA_VERSION)
            writer.set_lineage()
            writer.set_marks_version(MARKS_VERSION)
            writer.put_counts()


@contextmanager
def read_fixed(path: str) -> Iterator[Snapshot | None]:
    """Yield the state of a file that nobody writes, a backup say, and that was checked or is being; None if it is not.

    Raises:
        StoreError: It cannot be opened.
    """
    with Store(path, 0).snapshot(is_fixed=True) as snapshot:
        yield snapshot


def damage(path: str, problems: Sequence[str]) -> DamageError:
    """Return the error that says of a database what is wrong with it first."""
    return DamageError(f"the database {path} is damaged: {problems[0]}", "agent-tracker recover")


def _check_place(path: str) -> None:
    from agent_tracker.obstacles import check_place  # noqa: PLC0415 -- where the fingerprint matches it was looked at

    check_place(path)


def _read_in_full(path: str, *, timeout_s: float = CHECK_TIMEOUT_S) -> CheckReport:
    from agent_tracker.durability.checking import check_file  # noqa: PLC0415 -- only for what is not known to be sound

    return check_file(path, timeout_s=timeout_s)


def _version_of(env: Any, path: str) -> str:
    """Return the version of the layout.

    Raises:
        SchemaError: This program does not know it.
        ForeignFileError: There is none.
    """
    with begun(env, write=False) as txn:
        value = Table(txn, env.open_db(b"schema", txn, create=False), "schema").get(VERSION)
    version = (value or b"").decode("ascii", "replace")
    if version == SCHEMA_VERSION or version in migrations.STEPS:
        return version
    if not version:
        raise ForeignFileError(f"not agent-tracker's database, left alone: {path}", OTHER_PATH)
    raise SchemaError(
        f"the database {path} is version {version[:20]}; this program knows version {SCHEMA_VERSION}",
        "upgrade agent-tracker, or set another databasePath",
    )
