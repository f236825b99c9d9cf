"""The user's review: the agents' commits that wait for a grade, and what one should know of each.

Owns finding them, and asking git about the one that is shown, for a bounded time. Never prints and never grades.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables, packing
from agent_tracker.errors import GitError, UsageError
from agent_tracker.git import read_commits, resolve_commit, run
from agent_tracker.journal import GradeFact
from agent_tracker.journal_codec import subject_of
from agent_tracker.projects import find_project
from agent_tracker.records import RewriteFact, main_agent
from agent_tracker.registration import Roster
from agent_tracker.verbs.judged import buggy_commits
from agent_tracker.verbs.reading import agents_of
from agent_tracker.views.review import reverts_of, ungraded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_tracker.context import Context
    from agent_tracker.records import Commit
    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot

__all__ = ["Look", "Outline", "Pending", "Review", "diff_command", "find_since", "look", "outlines", "review"]

STAT_TIMEOUT_S = 5.0
REFS_TIMEOUT_S = 2.0
MAX_ORIGINS = 100
MAX_REFS = 3
STAT_COMMITS = 200
"""How many commits one git is asked about at a time: those that were answered in time stay."""
SKEW_S = 7 * 86400
"""By how much a commit may seem older than one that it leads to, where clocks differ."""
PREFIXES = ("refs/heads/", "refs/remotes/")
UNIT_S = {"minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400, "year": 365 * 86400}
LETTERS = {"h": "hour", "d": "day", "w": "week"}
FORMATS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


class Pending(NamedTuple):
    """A commit that the user has not graded. `committed_at` is Unix seconds.

    `amends`, `rebases` and `copies` are how often its work was made anew, `parts` of how many commits it was put
    together, 1 where it was of none. `origins` are the earlier commits; `reverts` those that may have reverted it.
    `agent_grade` is empty where the agent gave none.
    """

    oid: bytes
    agent: str
    model: str
    subject: str
    operation: str
    committed_at: int
    amends: int
    rebases: int
    copies: int
    parts: int
    origins: tuple[bytes, ...]
    reverts: tuple[bytes, ...]
    bugs: int
    agent_grade: str
    agent_note: str


class Review(NamedTuple):
    """The commits that wait for a grade, newest first; `is_cut`: older ones were not looked at."""

    commits: tuple[Pending, ...]
    is_cut: bool


class Look(NamedTuple):
    """What git says of a commit: its diffstat, a line each, and what leads to it.

    `branches` and `remotes` are short names of refs, None where git took too long; `reverted_by` is empty where nothing
    known did.
    """

    stat: tuple[str, ...]
    branches: tuple[str, ...] | None
    remotes: tuple[str, ...] | None
    reverted_by: bytes


class Outline(NamedTuple):
    """What git says of one of many commits, each None where it does not have it, or took too long.

    `branches` and `remotes` are short names of refs that lead to it, at most MAX_REFS each.
    """

    branches: tuple[str, ...] | None = None
    remotes: tuple[str, ...] | None = None
    files: int | None = None
    insertions: int | None = None
    deletions: int | None = None


class _Past(NamedTuple):
    amends: int
    rebases: int
    copies: int
    parts: int
    origins: tuple[bytes, ...]


# -- what waits


def review(  # noqa: PLR0913 -- one argument an option
    snapshot: Snapshot | None,
    repository: Repository,
    context: Context,
    *,
    since: int | None = None,
    agent: str = "",
    limit: int | None = None,
) -> Review:
    """Return the agents' commits of a repository's project that the user has not graded.

    Args:
        snapshot: The store; None where there is none yet.
        repository: Its clones are looked at as well.
        context: For the agents that only the registry knows.
        since: Only what was committed later (Unix seconds); without it, the newest commits alone are looked at.
        agent: Only those of the agent that this names by id or name; empty for all.
        limit: At most so many; None for all.

    Raises:
        RegistrationError: There is no such agent.
    """
    agents = agents_of(snapshot, context)
    wanted = Roster(agents).one(agent).id if agent else ""
    project = find_project(repository)
    if snapshot is None or not project:
        return Review((), is_cut=False)

    def is_graded(oid: bytes) -> bool:
        graded = journal_tables.graded(snapshot, subject_of(oid, ""))
        return graded is not None and any(given.side == "user" for given in graded.grades)

    numbers = snapshot.joined_projects(project)
    found = ungraded(snapshot, is_graded, projects=numbers, since=since, agent=wanted, limit=limit)
    models = {each.id: each.model for each in agents}
    bugs = Counter(buggy_commits(snapshot))
    commits = [_pending(snapshot, commit, models, bugs, reverts_of(commit, found.reverts)) for commit in found.commits]
    return Review(tuple(commits), found.is_cut)


def _pending(
    snapshot: Snapshot, commit: Commit, models: dict[str, str], bugs: dict[bytes, int], reverts: tuple[bytes, ...]
) -> Pending:
    agent = main_agent(commit.credits)
    past = _past(snapshot, commit.oid)
    grade, note = _own_grade(snapshot, (commit.oid, *past.origins))
    return Pending(
        commit.oid,
        agent,
        models.get(agent, ""),
        commit.subject,
        commit.operation,
        commit.committed_at,
        *past,
        reverts,
        bugs.get(commit.oid, 0),
        grade,
        note,
    )


def _past(snapshot: Snapshot, oid: bytes) -> _Past:
    """Return from what a commit was made, so far back as is worth saying."""
    counts = {"amend": 0, "rebase": 0, "copy": 0}
    origins: list[bytes] = []
    pending, parts = [oid], 1
    while pending and len(origins) < MAX_ORIGINS:
        current = pending.pop()
        sources = [old for old in snapshot.sources(current) if old not in origins and old != oid]
        parts += max(0, len(sources) - 1)
        operations = {_operation(snapshot, old, current) for old in sources}
        for operation in operations & counts.keys():
            counts[operation] += 1
        origins += sources
        pending += sources
    return _Past(counts["amend"], counts["rebase"], counts["copy"], parts, tuple(origins))


def _operation(snapshot: Snapshot, old: bytes, new: bytes) -> str:
    key = b"w" + old + new
    value = snapshot.table("events").get(key)
    fact = packing.unpack_event(key, value) if value else None
    return fact.operation if isinstance(fact, RewriteFact) else ""


def _own_grade(snapshot: Snapshot, oids: tuple[bytes, ...]) -> tuple[str, str]:
    """Return the agent's own grade in force for the work of a commit, and its note."""
    graded = journal_tables.graded(snapshot, subject_of(oids[0], ""))
    given = next((each for each in graded.grades if each.side == "agent"), None) if graded else None
    if given is None:
        return "", ""
    facts = (fact for oid in oids for fact in journal_tables.facts_about(snapshot, GradeFact, oid))
    return given.grade, next((fact.note for fact in facts if fact.id == given.id), "")


# -- since when


def find_since(text: str, repository: Repository, *, now: int) -> int:
    """Return the time (Unix seconds) that a date, an age or a revision means.

    Args:
        text: `2026-11-20`, `2026-11-20 14:30` (local time; UTC with a Z), `today`, `yesterday`, `3d`, `2 weeks ago`, or
            any revision, for when it was committed.
        repository: Where a revision is looked up.
        now: Unix seconds.

    Raises:
        UsageError: It means none of these.
    """
    at = _parse_time(text.strip(), now)
    if at is not None:
        return at
    try:
        oid = resolve_commit(text, git_dir=repository.git_dir)
        return read_commits(repository.common_dir, [oid])[oid].committed_at
    except (GitError, KeyError) as error:
        raise UsageError(
            f"--since {text[:40]!r} is neither a time nor a revision",
            "for example: --since yesterday, --since 3d, --since 2026-11-20, --since v1.0",
        ) from error


def _parse_time(text: str, now: int) -> int | None:
    words = text.lower().split()
    if words in (["today"], ["yesterday"]):
        year, month, day = time.localtime(now)[:3]
        start = (year, month, day - (words == ["yesterday"]), 0, 0, 0, 0, 0, -1)
        return int(time.mktime(start)) - 1
    if len(words) == 1 and words[0][:-1].isdecimal() and words[0][-1] in LETTERS:
        return now - int(words[0][:-1]) * UNIT_S[LETTERS[words[0][-1]]]
    if words[2:] in ([], ["ago"]) and len(words) > 1 and words[0].isdecimal() and words[1].removesuffix("s") in UNIT_S:
        return now - int(words[0]) * UNIT_S[words[1].removesuffix("s")]
    for form in FORMATS:
        with suppress(ValueError, OverflowError):
            if text[-1:] in {"Z", "z"}:
                import calendar  # noqa: PLC0415 -- for this form alone

                return calendar.timegm(time.strptime(text[:-1], form)) - 1
            return int(time.mktime(time.strptime(text, form))) - 1
    return None


# -- what git says of one


def look(repository: Repository, pending: Pending, *, columns: int, rows: int) -> Look:
    """Ask git about one commit. Whatever it cannot say in time is left out.

    Args:
        repository: Where the commit is.
        pending: The commit.
        columns: How wide the diffstat may be.
        rows: How many files it may name.

    Source: git-diff-tree(1), --stat; git-for-each-ref(1), --contains.
    """
    try:
        found = read_commits(repository.common_dir, [pending.oid, *pending.reverts])
    except GitError:
        found = {}
    commit = found.get(pending.oid)
    if commit is None:
        return Look(("this clone does not have the commit",), None, None, b"")
    stat = _stat(repository, pending.oid, commit.parents[:1], columns=columns, rows=rows)
    names = [oid.hex() for oid in (pending.oid, *pending.origins)]
    reverted_by = next(
        (oid for oid in pending.reverts if oid in found and any(name in found[oid].message for name in names)), b""
    )
    return Look(stat, *_leading(repository, pending.oid), reverted_by)


def _stat(
    repository: Repository, oid: bytes, parents: tuple[bytes, ...], *, columns: int, rows: int
) -> tuple[str, ...]:
    shape = [f"--stat={columns},{columns * 2 // 3},{rows}", "-M", "-r", "--no-ext-diff", "--no-textconv", "--no-color"]
    which = [*(parent.hex() for parent in parents), oid.hex()] if parents else ["--root", "--no-commit-id", oid.hex()]
    argv = [f"--git-dir={repository.git_dir}", "-c", "core.quotePath=true", "diff-tree", *shape, *which]
    try:
        out = run(argv, cwd=repository.common_dir, timeout_s=STAT_TIMEOUT_S)
    except GitError as error:
        return (f"no diffstat: {error.message}",)
    return tuple(out.decode("utf-8", "replace").splitlines()) or ("no change to any file",)


def _leading(repository: Repository, oid: bytes) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Return the short names of some branches and remote ones that lead to a commit, None where git took too long."""
    argv = [f"--git-dir={repository.git_dir}", "for-each-ref", f"--contains={oid.hex()}", "--format=%(refname)"]
    try:
        out = run([*argv, *PREFIXES], cwd=repository.common_dir, timeout_s=REFS_TIMEOUT_S)
    except GitError:
        return None, None
    names = [name for name in out.decode("utf-8", "surrogateescape").splitlines() if not name.endswith("/HEAD")]
    branches, remotes = (
        tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))[:MAX_REFS] for prefix in PREFIXES
    )
    return branches, remotes


# -- what git says of many


def outlines(repository: Repository, commits: Iterable[Pending]) -> dict[bytes, Outline]:
    """Return what git says of each commit, by oid: a few processes for all of them, and a time limit for each answer.

    Source: git-log(1), --no-walk and --shortstat; git-rev-list(1), --parents and --max-age.
    """
    wanted = list(commits)
    if not wanted:
        return {}
    leading = _all_leading(repository, {each.oid for each in wanted}, min(each.committed_at for each in wanted))
    counts = _all_counts(repository, [each.oid for each in wanted])
    return {
        each.oid: Outline(*leading.get(each.oid, (None, None)), *counts.get(each.oid, (None, None, None)))
        for each in wanted
    }


def _all_counts(repository: Repository, oids: list[bytes]) -> dict[bytes, tuple[int, int, int]]:
    """Return the files, insertions and deletions of the commits that are here, against their first parents."""
    shape = ["--shortstat", "-M", "-m", "--first-parent", "--no-ext-diff", "--no-textconv", "--format=%x00%H"]
    settings = ["-c", "log.showRoot=true", "-c", "log.showSignature=false"]
    argv = [f"--git-dir={repository.git_dir}", *settings, "log", "--ignore-missing", "--no-walk=unsorted", *shape]
    until = time.monotonic() + STAT_TIMEOUT_S
    found: dict[bytes, tuple[int, int, int]] = {}
    with suppress(GitError):
        for at in range(0, len(oids), STAT_COMMITS):
            some = "".join(f"{oid.hex()}\n" for oid in oids[at : at + STAT_COMMITS]).encode()
            left_s = max(0.0, until - time.monotonic())
            out = run([*argv, "--stdin"], cwd=repository.common_dir, stdin=some, timeout_s=left_s)
            for part in out.decode("ascii", "replace").split("\0")[1:]:
                oid, _, stat = part.partition("\n")
                found[bytes.fromhex(oid)] = _counted(stat)
    return found


def _counted(stat: str) -> tuple[int, int, int]:
    """Return the numbers of ` 3 files changed, 4 insertions(+), 1 deletion(-)`, which leaves out what is none."""
    numbers = {words[1][:4]: int(words[0]) for words in map(str.split, stat.split(",")) if len(words) > 1}
    return numbers.get("file", 0), numbers.get("inse", 0), numbers.get("dele", 0)


def _all_leading(
    repository: Repository, oids: set[bytes], oldest_at: int
) -> dict[bytes, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the short names of some branches and remote ones that lead to each commit, empty where git failed.

    A commit is led to by what leads to its children, and they come first; the first few names of each are all it takes.
    """
    where = f"--git-dir={repository.git_dir}"
    since = f"--max-age={max(0, oldest_at - SKEW_S)}"
    walk = [where, "rev-list", "--topo-order", "--parents", since, "--branches", "--remotes"]
    try:
        tips = run([where, "for-each-ref", "--format=%(objectname) %(refname)", *PREFIXES], cwd=repository.common_dir)
        graph = run(walk, cwd=repository.common_dir, timeout_s=REFS_TIMEOUT_S)
    except GitError:
        return {}
    names: dict[str, tuple[list[str], ...]] = {}
    for line in tips.decode("utf-8", "surrogateescape").splitlines():
        tip, _, name = line.partition(" ")
        for index, prefix in enumerate(PREFIXES):
            if name.startswith(prefix) and not name.endswith("/HEAD"):
                names.setdefault(tip, ([], []))[index].append(name.removeprefix(prefix))
    wanted = {oid.hex(): oid for oid in oids}
    found: dict[bytes, tuple[tuple[str, ...], tuple[str, ...]]] = dict.fromkeys(oids, ((), ()))
    for line in graph.decode("ascii").splitlines():
        child, *parents = line.split(" ")
        branches, remotes = (sorted(set(each))[:MAX_REFS] for each in names.pop(child, ([], [])))
        if child in wanted:
            found[wanted[child]] = tuple(branches), tuple(remotes)
        for parent in parents:
            known = names.setdefault(parent, ([], []))
            known[0].extend(branches)
            known[1].extend(remotes)
    return found


def diff_command(repository: Repository, oid: bytes) -> list[str]:
    """Return the command that shows a commit whole, through git's pager."""
    where = [f"--git-dir={repository.git_dir}", f"--work-tree={repository.work_tree}"]
    how = ["--stat", "--patch", "-M", "-m", "--first-parent", "--no-ext-diff", "--no-textconv"]
    return ["git", *where, "show", *how, oid.hex(), "--"]
