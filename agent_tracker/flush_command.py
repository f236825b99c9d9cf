"""`agent-tracker flush`, without Typer: it is started often, by hooks and by hand.

Owns that one command's options and what it prints. Anything it does not know it leaves to the full command line,
which has the same options and the help.
"""

from __future__ import annotations

import os
import sys
import time

from agent_tracker.ending import complain, run_to_end
from agent_tracker.errors import AgentTrackerError, DamageError, GitError
from agent_tracker.escaping import escape, shown_path
from agent_tracker.paths import RepositoryPaths, user_paths
from agent_tracker.repository import find_repository, known_repository, working_directory
from agent_tracker.settled import is_settled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent_tracker.context import Context, FlushReport

__all__ = ["run", "run_all", "run_here", "warn"]

OPTIONS = frozenset({"--json", "--all", "--quiet", "-q"})
JSON_VERSION = 1
SHORT_XP = 100_000
"""From here on experience is written without a fraction, and never as a power of ten."""
_recovered: list[str] = []
"""What a recovery brought in, which is what there is to say where nothing was left to flush."""
_said: set[str] = set()
"""The warnings that this process printed: one command may flush more than once."""

PROBLEMS = {
    "unregistered": "is not registered; once it is, they are its own",
    "retired": "was retired; agent-tracker credit puts that right",
    "ambiguous": "may be several agents; agent-tracker credit puts that right",
}


def run(arguments: list[str]) -> int | None:
    """Run the command and return its exit code; None where the arguments are not plain options of it."""
    if not OPTIONS.issuperset(arguments):
        return None
    as_json = "--json" in arguments
    is_quiet = "--quiet" in arguments or "-q" in arguments
    work = run_all if "--all" in arguments else run_here
    return run_to_end(lambda: work(as_json=as_json, is_quiet=is_quiet))


def run_here(*, as_json: bool, is_quiet: bool) -> int:
    """Flush the repository of the working directory, and the user's own spool.

    Raises:
        AgentTrackerError: As `flush.flush`; besides, this is no repository or the hooks were never installed.
    """
    paths = user_paths(os.environ)
    repository = find_repository(working_directory(), os.environ)
    if is_settled(paths, os.environ, repository, now=int(time.time())):
        _print_nothing(as_json=as_json, is_quiet=is_quiet)
        return 0
    from agent_tracker.context import MERGE, Context, open_store  # noqa: PLC0415 -- not needed where nothing is to do
    from agent_tracker.durability.unfinished import is_unfinished  # noqa: PLC0415 -- as above
    from agent_tracker.flush import flush  # noqa: PLC0415 -- as above

    if not os.path.isdir(RepositoryPaths(repository.common_dir).spool_dir):
        raise GitError(f"nothing is recorded in {repository.main_path}", "agent-tracker install-hooks")
    context = Context(paths, os.environ, time.time_ns(), plugin=MERGE)
    try:
        report = flush(repository, context)
    except DamageError:
        _recover(context)
        report = flush(repository, _again(context))
    if is_unfinished(open_store(context)[0]):
        _recover(_again(context))
    _print([(repository.main_path, report)], as_json=as_json, is_quiet=is_quiet)
    return 0


def run_all(*, as_json: bool, is_quiet: bool) -> int:
    """Flush every repository that the store or the list of installations knows; one that fails does not stop the rest.

    Returns:
        1 where one of them failed, else 0.
    """
    from agent_tracker.context import MERGE, Context, open_store  # noqa: PLC0415 -- as above
    from agent_tracker.durability.unfinished import is_unfinished  # noqa: PLC0415 -- as above
    from agent_tracker.flush import flush, known_repositories  # noqa: PLC0415 -- as above

    context = Context(user_paths(os.environ), os.environ, time.time_ns(), plugin=MERGE)
    reports = []
    code = 0
    if is_unfinished(open_store(context)[0]):
        _recover(context)
    try:
        known = known_repositories(context)
    except DamageError:
        _recover(context)
        known = known_repositories(context)
    for path in known:
        try:
            repository = known_repository(path)
            reports.append((repository.main_path, flush(repository, _again(context))))
        except DamageError:
            _recover(_again(context))
        except AgentTrackerError as error:
            code = complain(error)
    if not reports:
        warn(flush(None, _again(context)))
    _print(reports, as_json=as_json, is_quiet=is_quiet)
    return code


def _recover(context: Context) -> None:
    """Put a sound database in the place of a damaged one, and say what came of it."""
    from agent_tracker.durability.recovery import recover, report_lines  # noqa: PLC0415 -- rarely needed

    done = recover(context)
    if done:
        _recovered.append(_counted(done.from_spools + done.from_damaged, "fact"))
    for line in report_lines(done) if done else ():
        print(f"warning: {escape(line.strip())}", file=sys.stderr)


def _again(context: Context) -> Context:
    return context._replace(now_ns=time.time_ns())


def _print_nothing(*, as_json: bool, is_quiet: bool) -> None:
    if as_json:
        print(f'{{"version": {JSON_VERSION}, "repositories": []}}')
    elif not is_quiet:
        print("Nothing to flush.")


def _print(reports: list[tuple[str, FlushReport]], *, as_json: bool, is_quiet: bool) -> None:
    for _, report in reports:
        warn(report)
    if as_json:
        import json  # noqa: PLC0415 -- 6 ms, for this option alone

        print(json.dumps({"version": JSON_VERSION, "repositories": [as_mapping(p, r) for p, r in reports]}, indent=2))
        return
    if is_quiet:
        return
    lines = [line for path, report in reports for line in _summary(path, report)]
    brought = [f"Recovered the database: {said or 'no fact'} beside the backup." for said in _recovered]
    # What was merged of another program's, `warn` said.
    if brought or lines or not any(report.migrated for _, report in reports):
        print("\n".join([*brought, *lines]) or "Nothing to flush.")


def warn(report: FlushReport) -> None:
    """Print what a flush has to announce to stderr: lines set aside, levels and halts, commits that stay unclaimed."""
    from agent_tracker.announcing import merged_lines, milestone_lines  # noqa: PLC0415 -- not needed where nothing is to do

    if report.rejected:
        lines = "1 line" if report.rejected == 1 else f"{report.rejected} lines"
        print(
            f"warning: {lines} not written by agent-tracker, set aside in {escape(report.rejected_files[0])}",
            file=sys.stderr,
        )
    counts: dict[tuple[str, str], int] = {}
    for identity in report.applied.unclaimed:
        counts[identity.who, identity.problem] = counts.get((identity.who, identity.problem), 0) + 1
    for line in merged_lines(report) + milestone_lines(report):
        print(line, file=sys.stderr)
    for warning in report.warnings:
        if warning not in _said:
            _said.add(warning)
            print(f"warning: {escape(warning)}", file=sys.stderr)
    for (who, problem), count in counts.items():
        commits = "1 commit stays" if count == 1 else f"{count} commits stay"
        print(f"warning: {commits} unclaimed: {escape(who)} {PROBLEMS[problem]}", file=sys.stderr)


def as_mapping(path: str, report: FlushReport) -> dict[str, object]:
    """Return what one repository's flush did, as `flush --json` shows it."""
    applied = report.applied
    return {
        "project_path": path,
        "database": report.database,
        "commits": applied.commits,
        "rewrites": applied.rewrites,
        "registrations": applied.registrations,
        "corrections": applied.corrections,
        "entries": applied.entries,
        "segments": report.segments,
        "rejected": report.rejected,
        "agents": [
            {"agent_id": gain.agent, "commits": gain.commits, "experience_gained": gain.experience_micro / 1_000_000}
            for gain in applied.gains
        ],
        "migrated": [
            {"path": each.path, "migrated": each.total.migrated, "unreadable": each.total.unreadable}
            for each in report.migrated
        ],
    }


def _summary(path: str, report: FlushReport) -> list[str]:
    applied = report.applied
    counts = [
        _counted(applied.commits, "commit"),
        _counted(applied.rewrites, "rewrite"),
        _counted(applied.registrations, "registration"),
        _counted(applied.corrections, "correction"),
        _counted(applied.entries, "entry"),
    ]
    done = ", ".join(count for count in counts if count)
    if not done and not applied.gains:
        return []
    home = user_paths(os.environ).home
    place, database = shown_path(path, home), shown_path(report.database, home)
    lines = [f"Flushed {place}: {done or 'standings'} into {database}"]
    for gain in applied.gains:
        earned = gain.experience_micro / 1_000_000
        xp = f"{earned:+g} XP" if abs(earned) < SHORT_XP else f"{earned:+.0f} XP"
        lines.append(
            f"  {escape(gain.agent)}: {gain.commits:+d} {'commit' if abs(gain.commits) == 1 else 'commits'}, {xp}"
        )
    return lines


def _counted(number: int, noun: str) -> str:
    if not number:
        return ""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"
