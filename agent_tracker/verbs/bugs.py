"""Reporting a bug in a commit or against an agent, withdrawing it, listing them, naming it in the commit that fixes it.

Owns those verbs: only what a person reports moves a standing. Never prints. History is changed in one place alone, by
git itself, and only where nobody else can have seen it: a trailer added to a HEAD that was not pushed.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from agent_tracker import journal_tables
from agent_tracker.context import Context, FlushReport, open_store
from agent_tracker.errors import GitError, RegistrationError, UsageError
from agent_tracker.flush import flush, known_agents
from agent_tracker.git import read_commits, resolve_commit, run
from agent_tracker.journal import MAX_NOTE, BugFact, ForgetFact, WithdrawalFact
from agent_tracker.paths import RepositoryPaths
from agent_tracker.records import main_agent
from agent_tracker.registration import Roster
from agent_tracker.verbs.grading import check_person
from agent_tracker.verbs.judged import buggy_commits
from agent_tracker.verbs.noting import check_installed, find_work, home_of, new_id, note
from agent_tracker.verbs.reading import agents_of
from agent_tracker.verbs.writing import check_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_tracker.repository import Repository
    from agent_tracker.tables import Snapshot

__all__ = ["BugEntry", "FixOffer", "Reported", "Withdrawn", "add_trailer", "bugs", "report", "withdraw"]

MIN_DIGITS, ID_DIGITS = 4, 12
GIT_TIMEOUT_S = 5.0
AMEND_TIMEOUT_S = 600.0
"""How long other people's hooks may take over an amended commit."""
TRAILER_GIT = (2, 32)
"""The git that `commit --trailer` came with."""
UNDER_WAY = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
}
"""What git has under way while such a file is in its directory."""
LEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


class FixOffer(NamedTuple):
    """The trailer by which a fixing commit may name the bug's commit.

    `command` adds it, empty where no one command can; `why_not` is empty where it may be done now.
    """

    trailer: str
    command: str
    why_not: str


class Reported(NamedTuple):
    """A bug that was reported.

    `oid`, `home` (where its work lives now) and `subject` are empty for one against an agent. `in_commit` is how many
    bugs are reported in that commit, this one included. `points_after` is None while it waits in the spool, and
    `trouble` says why. `reports` are those of the flushes.
    """

    id: str
    oid: bytes
    home: bytes
    subject: str
    agent: str
    note: str
    fixed_by: bytes
    offer: FixOffer | None
    in_commit: int
    points_before: int
    points_after: int | None
    recorded_ns: int
    trouble: str
    reports: tuple[FlushReport, ...]


class Withdrawn(NamedTuple):
    """A bug that was none after all; as for `Reported`."""

    id: str
    agent: str
    points_before: int
    points_after: int | None
    recorded_ns: int
    trouble: str
    reports: tuple[FlushReport, ...]


class BugEntry(NamedTuple):
    """A bug as it is listed. Times are Unix nanoseconds; `withdrawn_ns` is 0 where it stands.

    `agent` is empty where nobody has credit for the commit. `fixed_by` is where the fixing commit's work lives now.
    """

    id: str
    oid: bytes
    home: bytes
    subject: str
    agent: str
    note: str
    fixed_by: bytes
    recorded_ns: int
    withdrawn_ns: int
    why: str
    is_forgotten: bool


class _Culprit(NamedTuple):
    """What a bug is reported in or against."""

    oid: bytes
    home: bytes
    subject: str
    agent: str


# -- reporting


def report(  # noqa: PLR0913 -- one argument an option
    repository: Repository | None,
    context: Context,
    target: str,
    *,
    kind: str = "",
    note_text: str = "",
    fixed_by: str = "",
    is_amending: bool = False,
) -> Reported:
    """Report a bug: its agent loses skill points, and at none is halted.

    Args:
        repository: Where revisions are looked up; None outside of any, for a bug against an agent.
        context: Paths, environment, time.
        target: A revision, or an agent by id or name.
        kind: `commit` or `agent` to say which `target` is; empty to find out.
        note_text: At most MAX_NOTE characters.
        fixed_by: A revision: the commit that mends it; may be empty.
        is_amending: Raise unless the fixing commit can be given the trailer now.

    Raises:
        RegistrationError: An agent runs this, no agent has credit for the commit, or there is no such agent.
        UsageError: The target is both a revision and an agent's name, or the note is too long.
        GitError: A revision names no commit, or none that is known here; or the trailer cannot be added.
        SpoolError: It cannot be written down.
        StoreError: The store cannot be used.
    """
    check_person(context.env, "a report of a bug", f"bug {target}")
    check_text("the note", note_text, MAX_NOTE)
    place = _installed(repository)
    if kind == "commit" and place is None:
        # Says what is missing.
        check_installed(_in_repository(repository))
    first = flush(place, context)
    culprit = _culprit(repository, context, target, kind or _kind(repository, context, target))
    fix = resolve_commit(fixed_by, git_dir=_in_repository(repository).git_dir) if fixed_by else b""
    if fix and fix in (culprit.oid, culprit.home):
        raise UsageError(f"commit {fix.hex()[:12]} cannot fix the bug that is in it", "name the commit that mends it")
    offer = _fix_offer(repository, fix, culprit.home) if repository and fix and culprit.home else None
    if is_amending:
        _check_offer(offer)
    before, points_before = _state(context, culprit)
    now_ns = max(context.now_ns, before + 1)
    fact = BugFact(new_id(), culprit.home, "" if culprit.home else culprit.agent, note_text, fix, "", now_ns)
    noted = note(place, context._replace(now_ns=max(now_ns, time.time_ns())), fact)
    _, points_after = _state(context, culprit) if noted.report else (0, None)
    return Reported(
        fact.id,
        culprit.oid,
        culprit.home,
        culprit.subject,
        culprit.agent,
        note_text,
        fix,
        offer,
        _count_in(context, culprit.home),
        points_before,
        points_after,
        now_ns,
        noted.trouble,
        (first, noted.report) if noted.report else (first,),
    )


def _installed(repository: Repository | None) -> Repository | None:
    """Return the repository whose spool takes the fact, None where nothing is recorded in this one."""
    if repository and os.path.isdir(RepositoryPaths(repository.common_dir).spool_dir):
        return repository
    return None


def _in_repository(repository: Repository | None) -> Repository:
    if repository is None:
        raise GitError("a revision needs a repository, and this is none", "cd into a repository")
    return repository


def _kind(repository: Repository | None, context: Context, target: str) -> str:
    """Return whether a word is a commit's or an agent's.

    Raises:
        UsageError: It is both.
        RegistrationError: It is neither.
    """
    named = Roster(known_agents(context)).named(target)
    if any(agent.id == target for agent in named):
        return "agent"
    try:
        oid = resolve_commit(target, git_dir=repository.git_dir) if repository else b""
    except GitError:
        oid = b""
    if oid and oid.hex() == target.lower():
        return "commit"
    if oid and named:
        raise UsageError(
            f"{target[:40]!r} is a revision and an agent's name",
            f"agent-tracker bug --commit {oid.hex()[:12]}, or: agent-tracker bug --agent {named[0].id}",
        )
    if not oid and not named:
        raise RegistrationError(
            f"{target[:40]!r} is neither a commit here nor an agent", "agent-tracker log, or: agent-tracker agents"
        )
    return "commit" if oid else "agent"


def _culprit(repository: Repository | None, context: Context, target: str, kind: str) -> _Culprit:
    if kind == "agent":
        return _Culprit(b"", b"", "", Roster(known_agents(context)).one(target).id)
    work = find_work(_in_repository(repository), context, target)
    return _Culprit(work.oid, work.home.oid, work.home.subject, work.agent)


def _state(context: Context, culprit: _Culprit) -> tuple[int, int]:
    """Return when the culprit's last bug was reported (Unix nanoseconds, 0 for never), and its agent's skill points."""
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        known = snapshot.numbered_agents().get(culprit.agent) if snapshot else None
        if snapshot is None or known is None:
            return 0, 1
        agent, number = known
        return max(journal_tables.career_bugs(snapshot, number), default=0), agent.standing.skill_points


def _count_in(context: Context, home: bytes) -> int:
    """Return how many bugs in force are in the work that lives in a commit."""
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        if snapshot is None or not home:
            return 0
        return buggy_commits(snapshot).count(home)


# -- withdrawing


def withdraw(repository: Repository | None, context: Context, text: str, *, why: str = "") -> Withdrawn:
    """Take a report of a bug back: its agent has the skill points again, and is no longer halted for it.

    Args:
        repository: What waits in its spool is flushed first; None outside of any.
        context: Paths, environment, time.
        text: The bug's id, or the beginning of it, four digits or more.
        why: At most MAX_NOTE characters.

    Raises:
        RegistrationError: An agent runs this.
        UsageError: No bug has that id, several have, it was withdrawn before, or the reason is too long.
        SpoolError: It cannot be written down.
        StoreError: The store cannot be used.
    """
    check_person(context.env, "withdrawing a bug", f"bug --withdraw {text}")
    check_text("the reason", why, MAX_NOTE)
    place = _installed(repository)
    first = flush(place, context)
    store, _ = open_store(context)
    with store.snapshot() as snapshot:
        fact = _find_bug(snapshot, text)
        agent = _blamed(snapshot, fact) if snapshot else ""
    culprit = _Culprit(b"", b"", "", agent)
    _, points_before = _state(context, culprit)
    now_ns = max(context.now_ns, fact.recorded_ns + 1)
    taken_back = WithdrawalFact(fact.id, why, now_ns)
    noted = note(place, context._replace(now_ns=max(now_ns, time.time_ns())), taken_back)
    _, points_after = _state(context, culprit) if noted.report else (0, None)
    reports = (first, noted.report) if noted.report else (first,)
    return Withdrawn(fact.id, agent, points_before, points_after, now_ns, noted.trouble, reports)


def _find_bug(snapshot: Snapshot | None, text: str) -> BugFact:
    digits = text.strip().lower()
    known = list(journal_tables.facts(snapshot, BugFact)) if snapshot else []
    found = [fact for fact in known if len(digits) >= MIN_DIGITS and fact.id.startswith(digits)]
    if not found:
        reason = f"no bug {text[:40]!r} is known" if len(digits) >= MIN_DIGITS else f"{text!r} is too short for an id"
        raise UsageError(reason, "agent-tracker bugs --all lists them")
    if len(found) > 1:
        ids = ", ".join(sorted(fact.id for fact in found))
        raise UsageError(f"{text!r} begins several bugs' ids", f"one of: {ids}")
    (fact,) = found
    if snapshot and any(each.id == fact.id for each in journal_tables.facts(snapshot, WithdrawalFact)):
        raise UsageError(f"bug {fact.id} was withdrawn already", "agent-tracker bugs")
    return fact


def _blamed(snapshot: Snapshot, fact: BugFact) -> str:
    """Return the agent that a bug is put down to, empty where nobody has credit for the commit."""
    if not fact.oid:
        return fact.agent
    commit = snapshot.commit(home_of(snapshot, fact.oid))
    return main_agent(commit.credits) if commit else ""


# -- listing


def bugs(
    snapshot: Snapshot | None, context: Context, *, project: str | None, agent: str = "", limit: int | None = None
) -> list[BugEntry]:
    """Return the bugs that were reported, newest first, the withdrawn ones included.

    Args:
        snapshot: The store; None where there is none yet.
        context: For the agents that only the registry knows.
        project: A project's UUID, its clones included, and what was reported outside of any; None for all.
        agent: Only those of the agent that this names by id or name; empty for all.
        limit: At most so many; None for all.

    Raises:
        RegistrationError: There is no such agent.
    """
    wanted = Roster(agents_of(snapshot, context)).one(agent).id if agent else ""
    if snapshot is None:
        return []
    entries = [entry for entry in _entries(snapshot, project) if wanted in {"", entry.agent}]
    return sorted(entries, key=lambda entry: (entry.recorded_ns, entry.id), reverse=True)[:limit]


def _entries(snapshot: Snapshot, project: str | None) -> Iterator[BugEntry]:
    numbered = snapshot.numbered_projects()
    here = {""} | {numbered[number].id for number in (snapshot.joined_projects(project) if project else [])}
    withdrawals = {fact.id: fact for fact in journal_tables.facts(snapshot, WithdrawalFact)}
    forgotten = {fact.target for fact in journal_tables.facts(snapshot, ForgetFact)}
    for fact in journal_tables.facts(snapshot, BugFact):
        home = home_of(snapshot, fact.oid) if fact.oid else b""
        commit = snapshot.commit(home) if home else None
        place = commit.project if commit else fact.project
        if project is None or place in here:
            withdrawal = withdrawals.get(fact.id)
            yield BugEntry(
                fact.id,
                fact.oid,
                home,
                commit.subject if commit else "",
                _blamed(snapshot, fact),
                fact.note,
                home_of(snapshot, fact.fixed_by) if fact.fixed_by else b"",
                fact.recorded_ns,
                withdrawal.recorded_ns if withdrawal else 0,
                withdrawal.why if withdrawal else "",
                fact.id in forgotten,
            )


# -- the fixing commit's trailer


def _fix_offer(repository: Repository, fix: bytes, culprit: bytes) -> FixOffer:
    """Return the trailer that a fixing commit may be given, and whether that can be done now."""
    trailer = f"Fixes: {culprit.hex()}"
    message = read_commits(repository.common_dir, [fix])[fix].message
    if trailer in message.splitlines():
        return FixOffer(trailer, "", "it says so already")
    why_not = _why_not(repository, fix)
    if why_not:
        return FixOffer(trailer, "", why_not)
    if _git_version() < TRAILER_GIT:
        add = f"git log -1 --format=%B | git interpret-trailers --trailer '{trailer}' | git commit --amend -F -"
        return FixOffer(trailer, add, "git is older than 2.32")
    return FixOffer(trailer, f"git commit --amend --no-edit --trailer '{trailer}'", "")


def _why_not(repository: Repository, fix: bytes) -> str:
    """Return why a commit had better stay as it is, empty where it may be amended."""
    if resolve_commit("HEAD", git_dir=repository.git_dir) != fix:
        return "it is not HEAD"
    for name, what in UNDER_WAY.items():
        if os.path.lexists(os.path.join(repository.git_dir, name)):
            return f"{what} is under way"
    where = [f"--git-dir={repository.git_dir}"]
    pushed = [*where, "for-each-ref", "--count=1", f"--contains={fix.hex()}", "refs/remotes"]
    if run(pushed, cwd=repository.git_dir, timeout_s=GIT_TIMEOUT_S):
        return "it was pushed"
    staged = [*where, f"--work-tree={repository.work_tree}", "diff-index", "--cached", "--name-only", "HEAD", "--"]
    if run(staged, cwd=repository.work_tree, timeout_s=GIT_TIMEOUT_S):
        return "something is staged, which would go into it"
    return ""


def _git_version() -> tuple[int, ...]:
    words = run(["version"], cwd="/", timeout_s=GIT_TIMEOUT_S).decode("ascii", "replace").split()
    numbers = words[2].split(".")[:2] if len(words) > 2 else []  # noqa: PLR2004 -- "git version 2.39.5"
    return tuple(int(number) for number in numbers if number.isdigit())


def _check_offer(offer: FixOffer | None) -> None:
    if offer is None:
        raise UsageError("there is no commit to name in a trailer", "--amend goes with a commit and --fixed-by HEAD")
    if offer.why_not:
        raise GitError(f"the fixing commit cannot be amended: {offer.why_not}", offer.command or "leave --amend out")


def add_trailer(repository: Repository, context: Context, done: Reported) -> bytes:
    """Amend the fixing commit, which is HEAD, with the trailer that was offered, and return its new oid.

    Git does it, and all hooks run; the commit stays whose it was, for the amend adds no line to it.

    Raises:
        GitError: It can no longer be done, or git or somebody's hook refused.
        UsageError: Nothing was offered.
    """
    import subprocess  # noqa: PLC0415 -- only where a person asked for it

    offer = _fix_offer(repository, done.fixed_by, done.home) if done.offer else None
    _check_offer(offer)
    env = {name: value for name, value in context.env.items() if name not in LEADING}
    where = [f"--git-dir={repository.git_dir}", f"--work-tree={repository.work_tree}"]
    amend = ["commit", "--quiet", "--amend", "--no-edit", "--allow-empty", "--trailer", offer.trailer if offer else ""]
    hint = offer.command if offer else ""
    try:
        ended = subprocess.run(
            ["git", *where, *amend],
            cwd=repository.work_tree,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=AMEND_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(f"cannot amend {done.fixed_by.hex()[:12]}: {error}", hint) from error
    if ended.returncode:
        said = (ended.stderr or ended.stdout).decode("utf-8", "replace").strip().splitlines()
        reason = said[-1] if said else f"exit {ended.returncode}"
        raise GitError(f"git did not amend {done.fixed_by.hex()[:12]}: {reason}", hint)
    return resolve_commit("HEAD", git_dir=repository.git_dir)
