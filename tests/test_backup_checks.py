"""What the doctor says of backups."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.checks.backup_checks import backups, backups_access
from agent_tracker.checks.doctor import USER_CHECKS
from agent_tracker.context import Context, open_store
from agent_tracker.durability.backups import make_backup
from agent_tracker.durability.maintenance import BEGUN, FAILED
from agent_tracker.durability.manifests import manifest_of
from agent_tracker.paths import user_paths
from agent_tracker.verbs import backups as verb
from facts import NOW, apply_all, commit_fact, project_fact

if TYPE_CHECKING:
    from agent_tracker.store import Store

DAY_S = 86_400
WANTED = {"AGENT_TRACKER_BACKUP_INTERVAL": "3600"}


def context(now: int = NOW, *, is_wanted: bool = True) -> Context:
    """Return the sealed world's context."""
    return Context(user_paths(os.environ), {**os.environ, **(WANTED if is_wanted else {})}, now * 10**9)


@pytest.fixture
def store() -> Store:
    """The default database, with a project of today."""
    made, _ = open_store(context())
    apply_all(made, [project_fact(), commit_fact("one")])
    Path(made.backups_dir).mkdir(parents=True)
    return made


def said(context: Context) -> list[str]:
    """Return what the check of backups says."""
    return [finding.message for finding in backups(context)]


def test_the_names_are_known() -> None:
    """Programs know the checks by these."""
    assert (USER_CHECKS["backups"], USER_CHECKS["backups-access"]) == (backups, backups_access)


def test_none_for_a_week(store: Store) -> None:
    """It counts from the first project; a backup settles it; one that is old does not, once there is more."""
    assert said(context(NOW + 6 * DAY_S)) == []
    assert said(context(NOW + 8 * DAY_S)) == ["there is no backup of the database"]
    assert said(context(NOW + 8 * DAY_S, is_wanted=False)) == []
    make_backup(store, now=NOW, limit=24, timeout_s=5)
    assert said(context(NOW + 8 * DAY_S)) == []
    apply_all(store, [commit_fact("two")])
    assert said(context(NOW + 6 * DAY_S)) == []
    assert said(context(NOW + 8 * DAY_S)) == ["the last backup is 8 days old, and it has changed since"]


@pytest.mark.parametrize(
    ("outcome", "after_s", "shown"),
    [
        (f"{FAILED}No space left", 10, "the last backup failed: No space left"),
        (BEGUN, 10, ""),
        (BEGUN, 2000, "the last backup was begun, and its process was killed"),
        ("made x", 10, ""),
        ("nothing to do", 10, ""),
    ],
)
def test_what_the_process_said_last(store: Store, outcome: str, after_s: int, shown: str) -> None:
    """A failure, and one that never came to its end, until there is a newer backup."""
    (Path(store.backups_dir) / "outcome").write_text(f"{NOW} {outcome}\n")
    assert said(context(NOW + after_s)) == [shown] * bool(shown)
    make_backup(store, now=NOW + 1, limit=24, timeout_s=5)
    assert said(context(NOW + after_s)) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_directory_that_cannot_be_written(store: Store) -> None:
    """Nothing else would tell, as no process is started then."""
    Path(store.backups_dir).chmod(0o500)
    (finding,) = backups_access(context())
    assert "cannot be written" in finding.message
    Path(store.backups_dir).chmod(0o700)
    assert list(backups_access(context())) == []


def test_something_else_in_the_directory_s_place(store: Store) -> None:
    """A file there, or above it; and nothing where no backup is wanted, or the directory is not made yet."""
    directory = Path(store.backups_dir)
    assert list(backups_access(context())) == []
    directory.rmdir()
    assert list(backups_access(context())) == []
    directory.write_text("mine")
    (finding,) = backups_access(context())
    assert "is not a directory" in finding.message
    assert list(backups_access(context(is_wanted=False))) == []


def begun_anew(store: Store) -> None:
    """Delete the database and begin another."""
    for suffix in ("", "-lock", ".write", ".fingerprint"):
        Path(store.path + suffix).unlink(missing_ok=True)
    apply_all(store, [project_fact(), commit_fact("new")])


def test_a_database_that_was_begun_anew(store: Store) -> None:
    """It is said, with the way back, also where no backups are wanted, until a person chose or deleted the old."""
    made = make_backup(store, now=NOW, limit=24, timeout_s=5).backup
    begun_anew(store)
    make_backup(store, now=NOW + 1, limit=24, timeout_s=5)
    (finding,) = backups(context(is_wanted=False))
    assert finding.message.startswith("the database was begun anew: of the one before there are backups, the last of ")
    assert finding.remedy == "agent-tracker restore 20231114T221320Z"
    verb.restore(context(), verb.plan(context(), made.path))
    assert said(context()) == []
    begun_anew(store)
    assert len(said(context())) == 1


@pytest.mark.damages
def test_backups_that_do_not_count(store: Store) -> None:
    """Those without a manifest until the next is made, and those that were set aside until they are deleted."""
    made = [make_backup(store, now=NOW + number, limit=24, timeout_s=5).backup for number in range(2)]
    for each in made:
        Path(manifest_of(each.path)).write_text("version 2\n")
    (finding,) = backups(context())
    assert finding.message.startswith("2 of the backups have no sound manifest")
    Path(made[0].path).write_bytes(b"\xff" * 8192)
    make_backup(store, now=NOW + 2, limit=24, timeout_s=5)
    (finding,) = backups(context())
    assert finding.message.startswith("a backup failed its check, and is kept: ")
    assert finding.remedy == f"rm {made[0].path}.damaged"
