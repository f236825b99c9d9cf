"""Crediting every commit anew by its marks, as this version of the program knows them.

Owns that verb. The marks are raw facts: a better table of them says more of the same commits. Never prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_tracker.context import open_store
from agent_tracker.derivation import derive, rederive
from agent_tracker.errors import SchemaError
from agent_tracker.flush import flush, tell_hooks
from agent_tracker.marks import MARKS_VERSION
from agent_tracker.reasons import Reasons
from agent_tracker.verbs.grading import check_person

if TYPE_CHECKING:
    from agent_tracker.context import Context
    from agent_tracker.credit import Why
    from agent_tracker.records import Commit, Credits
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot, Writer

__all__ = ["Reattributed", "Reattribution", "reattribute"]


class Reattributed(NamedTuple):
    """A commit as it was, to whom it goes, and why."""

    commit: Commit
    after: Credits
    why: Why


class Reattribution(NamedTuple):
    """What crediting every commit anew changes, or changed, the newest first.

    `since` is the version of the table of marks under which the credits were derived (`marks.SEVERAL_VERSIONS` if so),
    `version` the one there is now.
    """

    changed: tuple[Reattributed, ...]
    unchanged: int
    since: int
    version: int


def reattribute(repository: Repository | None, context: Context, *, dry_run: bool) -> Reattribution:
    """Derive the credit of every commit of all projects anew, and everything that follows from it.

    Args:
        repository: What waits in its spool goes first; may be None.
        context: Paths, environment, time.
        dry_run: Change nothing, and say what would change.

    Raises:
        RegistrationError: An agent asks for it.
        SchemaError: A newer version of the program knows more marks.
        StoreError: The store cannot be used, or a fact in it is damaged.
        AgentTrackerError: As `flush.flush`, which goes first.
    """
    if not dry_run:
        check_person(context.env, "the credit for commits", "reattribute")
    flush(repository, context)
    store, _ = open_store(context)
    if dry_run or not store.exists():
        with store.snapshot() as snapshot:
            return _planned(snapshot) if snapshot else Reattribution((), 0, MARKS_VERSION, MARKS_VERSION)

    def work(writer: Writer) -> Reattribution:
        done = _planned(writer)
        rederive(writer, context.now, is_reattributed=True)
        return done

    done = store.write(work, timeout_s=context.timeout_s)
    tell_hooks(context)
    return done


def _planned(snapshot: Snapshot) -> Reattribution:
    since = snapshot.marks_version()
    if since > MARKS_VERSION:
        raise SchemaError(
            f"the credits follow from table {since} of marks, this program has {MARKS_VERSION}",
            "pip install --upgrade agent-tracker",
        )
    moved = derive(snapshot, is_reattributed=True).moved
    reasons = Reasons(snapshot)
    changed = [
        Reattributed(each.stored, each.state.credits, reasons.why(each.stored)._replace(is_outdated=False))
        for each in moved
        if each.state.credits != each.stored.credits
    ]
    changed.sort(key=lambda each: (each.commit.committed_at, each.commit.oid), reverse=True)
    total = snapshot.table("commits").count()
    return Reattribution(tuple(changed), total - len(changed), since, MARKS_VERSION)
