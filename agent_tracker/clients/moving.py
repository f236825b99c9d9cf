"""Commits of a client in whose shell no git hook runs: who made them, as the hook would have told.

Owns those lines. Never asks git: what a commit is, the next flush reads.
"""

from __future__ import annotations

import os

from agent_tracker.appending import SPOOL
from agent_tracker.files import read_bytes
from agent_tracker.lines import commit_line, parse_oid
from agent_tracker.marks import CLIENTS, SESSION_VARIABLE
from agent_tracker.paths import RepositoryPaths
from agent_tracker.records import SeenCommit
from agent_tracker.reflog import operation_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent_tracker.repository import Repository

__all__ = ["lines_of_commits"]

DURING = {"rebase": "rebase", "squash": "rebase", "am": "am", "merge": "merge"}


def lines_of_commits(added: bytes, session: str, client: str, repository: Repository) -> bytes:
    """Return a line for each commit that HEAD's reflog tells of and no hook has written down.

    Args:
        added: What the reflog was longer by.
        session: The one in which they were made.
        client: Its client.
        repository: Where.
    """
    written = read_bytes(os.path.join(RepositoryPaths(repository.common_dir).spool_dir, SPOOL))
    marks = (*((name, "1") for name in CLIENTS[client][:1]), (SESSION_VARIABLE, session))
    lines = []
    for entry in added.split(b"\n"):
        facts, _, message = entry.partition(b"\t")
        operation = operation_of(message.decode("utf-8", "replace"))
        oid = facts.split(b" ")[1] if operation and facts.count(b" ") else b""
        try:
            raw = parse_oid(oid.decode("ascii"))
        except ValueError:
            continue
        if b"\t" + oid not in written:
            lines.append(commit_line(SeenCommit(raw, "", "", DURING.get(operation or "", ""), marks)))
    return b"".join(lines)
