"""What the shell hooks hand over: the cases in which builtins cannot know.

Owns the decision to refuse a commit, odd values' way into the spool, and the flush on push. Never imports pygit2,
typer, rich or dataclasses, and opens the store for a push alone. Whatever goes wrong here, git goes on.

Source: githooks(5).
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from agent_tracker.errors import AgentTrackerError, ConfigError
from agent_tracker.escaping import escape
from agent_tracker.files import read_text
from agent_tracker.lines import commit_line
from agent_tracker.marks import CLIENTS, VARIABLES, named_sessions
from agent_tracker.paths import RepositoryPaths, UserPaths, user_paths
from agent_tracker.records import UNCLAIMED, Agent, AgentFact, Marks, SeenCommit, Turns, is_agent
from agent_tracker.registration import Identity, Roster, identify
from agent_tracker.registry import read_agents, read_policy, read_session
from agent_tracker.repository import Repository, repository_at
from agent_tracker.spool import append

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "REFUSED",
    "current_identity",
    "environment_marks",
    "explain",
    "halted_identity",
    "hooks_roster",
    "main",
    "read_use",
]

REFUSED = 42
"""The exit code that stops a commit; any other lets git go on."""

PUSH_DEADLINE_S = 5
CHECK_TIMEOUT_S = 2.0
"""How long a push waits where the database has to be checked; the rest is done when it is over."""

MAX_VALUE = 1000
PROGRAM = "agent-tracker"


def main(argv: list[str]) -> int:
    """Handle one event: `argv` is the event and the git directory.

    Returns:
        REFUSED where a commit must not be made, else 0.
    """
    try:
        event, git_dir = argv[:2]
        repository = repository_at(git_dir)
        paths = user_paths(os.environ)
        match event:
            case "pre-commit" | "pre-merge-commit" | "pre-applypatch" | "commit-msg":
                return _validate(repository, paths, os.environ, time.time_ns())
            case "post-commit" | "post-merge" | "post-applypatch":
                _record(repository, paths, os.environ, time.time_ns(), event=event)
            case "pre-push":
                _pre_push(repository, paths)
            case _:
                _say(f"unknown event {event!r}")
    except AgentTrackerError as error:
        _say(error.message)
    except Exception as error:  # noqa: BLE001 -- a hook must not block: one line, and git goes on
        _say(f"unexpected {type(error).__name__}: {error}")
    return 0


def _say(message: str) -> None:
    _tell(f"agent-tracker: {escape(message)}; git goes on")


def _tell(text: str) -> None:
    """Write to stderr in one go, or not at all: what is decided holds even where nobody reads."""
    with suppress(OSError):
        os.write(2, (text + "\n").encode("utf-8", "backslashreplace"))


def environment_marks(env: Mapping[str, str]) -> Marks:
    """Return the identity variables that are set, in the table's order."""
    return tuple((name, env[name][:MAX_VALUE]) for name in VARIABLES if env.get(name))


def read_use(git_dir: str, *, now_ns: int) -> str:
    """Return the agent that `agent-tracker use` named for this worktree, empty where none or expired.

    The file's modification time is when it expires.
    """
    path = os.path.join(git_dir, "agent-tracker", "use")
    try:
        if os.lstat(path).st_mtime_ns <= now_ns:
            return ""
    except OSError:
        return ""
    return read_text(path).partition("\n")[0][:200].strip()


def current_identity(
    repository: Repository, agents: list[Agent], env: Mapping[str, str], *, now_ns: int
) -> tuple[Identity, str]:
    """Return who a commit here and now would be credited to, and the agent that `use` names, empty where none."""
    use = read_use(repository.git_dir, now_ns=now_ns)
    marks = (("hook", "1"), *((("use", use),) if use else ()), *environment_marks(env))
    return identify(marks, hooks_roster(agents, user_paths(env).registry), at_ns=now_ns), use


def hooks_roster(agents: list[Agent], registry: str) -> Roster:
    """Return the agents, and whose sessions are now as the registry has it."""

    def turns_of(session: str) -> Turns:
        agent = read_session(registry, session)
        return ((0, agent),) if agent else ()

    return Roster(agents, turns_of)


def _validate(repository: Repository, paths: UserPaths, env: Mapping[str, str], now_ns: int) -> int:
    agents = read_agents(paths.registry)
    identity, _ = current_identity(repository, agents, env, now_ns=now_ns)
    if not identity.problem:
        identity = halted_identity(identity, agents)
    if not identity.problem:
        return 0
    policy, is_registering = _settings(repository, paths, env)
    if policy == "off" or (is_registering and _is_enrolled(repository, paths, env, identity, now_ns)):
        return 0
    is_refused = policy == "enforce" and identity.problem != "ambiguous"
    lenient = "the agent should not commit" if identity.problem == "halted" else "the commit stays unclaimed"
    verdict = "commit refused" if is_refused else lenient
    message, command = explain(identity, env)
    advice = _advice(identity, env, is_refused=is_refused)
    _tell("\n".join((f"agent-tracker: {verdict}: {message}", f"  {command}", *advice)))
    return REFUSED if is_refused else 0


def _is_enrolled(
    repository: Repository, paths: UserPaths, env: Mapping[str, str], identity: Identity, now_ns: int
) -> bool:
    """Register the client that announces itself, if that is what is missing; tell whether the commit may go on.

    What we cannot write down does not keep it: the setting says that nobody is to be asked.
    """
    from agent_tracker.announced import agent_for, model_told, only_client  # noqa: PLC0415 -- for newcomers alone
    from agent_tracker.enrolment import bind, enrol, scope_here  # noqa: PLC0415 -- as above

    marks = environment_marks(env)
    client, sessions = only_client(marks), named_sessions(marks)
    if identity.basis != "client" or identity.problem not in {"unregistered", "ambiguous"} or not client:
        return False
    scope, model = scope_here(repository.work_tree), model_told(client, env)
    agents = read_agents(paths.registry)
    found = agent_for(client, model, agents, now=now_ns // 10**9, scope=scope, auto_register=True)
    # Without a session nothing would tell that it is this one of several.
    if isinstance(found, Identity) or (not sessions and (isinstance(found, Agent) or identity.problem == "ambiguous")):
        return False
    try:
        if isinstance(found, AgentFact):
            found = enrol(paths, found)
            setup = escape(f"{found.name}, {found.model}, {found.scope}")
            _tell(f"agent-tracker: registered {found.id} ({setup}): autoRegister is on")
        if sessions:
            bind(paths, sessions[0], found.id, now_ns=now_ns)
    except AgentTrackerError as error:
        _say(error.message)
    return True


def _advice(identity: Identity, env: Mapping[str, str], *, is_refused: bool) -> list[str]:
    """Return what an agent must know to run the command that registers it; nothing for other problems."""
    if identity.problem != "unregistered":
        return []
    then = "git commit again" if is_refused else "the commit is credited, too"
    lines = [
        "Put for MODEL the name of the language model that you are, as exactly as you know it,",
        "and for SCOPE what you work on here: backend, docs, 'whole repository' ...",
        f"Run it in the shell in which you commit; then {then}.",
    ]
    program = program_here(env)
    if program != PROGRAM:
        lines.append(f"{PROGRAM} is not on your PATH; in its place: {program}")
    return [f"  {line}" for line in lines]


def halted_identity(identity: Identity, agents: list[Agent]) -> Identity:
    """Return an identity with the problem that its agent is halted, if it is."""
    halted = {agent.id for agent in agents if agent.standing.is_halted}
    who = next((name for name, _ in identity.credits if name in halted), "")
    return identity._replace(problem="halted", who=who) if who else identity


def _settings(repository: Repository, paths: UserPaths, env: Mapping[str, str]) -> tuple[str, bool]:
    """Return the policy in force, and whether clients are registered by themselves.

    What the shell sees of the policy is a copy, which a person may have gone past.
    """
    from agent_tracker.config import read_settings  # noqa: PLC0415 -- only where a commit may be refused
    from agent_tracker.configuring import repository_values  # noqa: PLC0415

    try:
        values = read_settings(paths, env, repository=repository_values(repository))
    except ConfigError as error:
        _say(error.message)
        return read_policy(RepositoryPaths(repository.common_dir).policy, paths.registry), False
    return str(values["policy"].value), values["autoRegister"].value == "true"


def explain(identity: Identity, env: Mapping[str, str]) -> tuple[str, str]:
    """Return why an agent that was named gets no credit, and the one command that mends it."""
    who = escape(identity.who)[:100]
    if identity.problem == "ambiguous":
        # A client may give each command a shell of its own: nothing exported lasts there.
        has_session = identity.basis == "client" and named_sessions(environment_marks(env))
        command = "agent-tracker session start --agent ID" if has_session else "export AGENT_TRACKER_AGENT=ID"
        return f"{who} may be several agents", f"{command}   (agent-tracker agents lists the ids)"
    if identity.problem in {"retired", "halted"}:
        return f"agent {who} is {identity.problem}", f"agent-tracker agents resume {_quoted(identity.who)}"
    register = f"agent-tracker register {_quoted(identity.who)} --model MODEL --scope SCOPE"
    if identity.basis == "client" and identity.who in CLIENTS:
        return f"no agent is registered for {who}", f"{register} --client {identity.who}"
    if identity.basis == "client":
        return f"agent {who} is not registered", f"{register} && export AGENT_TRACKER_AGENT={_quoted(identity.who)}"
    return f"agent {who} is not registered", register


def program_here(env: Mapping[str, str]) -> str:
    """Return what a shell with this environment must be given to run agent-tracker.

    It need not be on the path: whoever installed the hooks may have had it in an environment of its own. `-P` keeps
    Python from taking for it what lies in the work tree.
    """
    for directory in env.get("PATH", "").split(os.pathsep):
        if os.path.isabs(directory) and os.access(os.path.join(directory, PROGRAM), os.X_OK):
            return PROGRAM
    return f"{_quoted(sys.executable, '/')} -P -m agent_tracker"


def _quoted(text: str, plain: str = "") -> str:
    """Return `text` as one word of a shell command that may be copied; `plain` are more characters that are safe."""
    shown = escape(text)[:MAX_VALUE]
    is_plain = shown.isascii() and all(c.isalnum() or c in "-_." + plain for c in shown)
    return shown if is_plain else "'" + shown.replace("'", "'\\''") + "'"


def _record(repository: Repository, paths: UserPaths, env: Mapping[str, str], now_ns: int, *, event: str) -> None:
    from agent_tracker.git import resolve_commit  # noqa: PLC0415 -- only for refs that a shell cannot read

    identity, use = current_identity(repository, read_agents(paths.registry), env, now_ns=now_ns)
    oid = resolve_commit("HEAD", git_dir=repository.git_dir)
    agent = identity.credits[0][0]
    resolved = agent if agent != UNCLAIMED else ""
    during = _during(repository.git_dir, event)
    seen = SeenCommit(oid, resolved, use, during, environment_marks(env))
    append(RepositoryPaths(repository.common_dir).spool_dir, commit_line(seen))
    if identity.basis == "use" and is_agent(agent) and during not in {"rebase", "merge"}:
        _tell(f"agent-tracker: credited to {escape(agent)} (agent-tracker use)")


def _during(git_dir: str, event: str) -> str:
    """Return what was under way, as far as a hook can know: the same as the shell writes."""
    patches = os.path.join(git_dir, "rebase-apply")
    is_am = os.path.isfile(os.path.join(patches, "applying"))
    if os.path.isdir(os.path.join(git_dir, "rebase-merge")) or (os.path.isdir(patches) and not is_am):
        return "rebase"
    return {"post-merge": "merge", "post-applypatch": "am"}.get(event, "")


def _pre_push(repository: Repository, paths: UserPaths) -> None:
    from agent_tracker.announcing import milestone_lines  # noqa: PLC0415 -- as above
    from agent_tracker.context import Context  # noqa: PLC0415 -- only a push opens the store
    from agent_tracker.flush import flush  # noqa: PLC0415 -- only a push opens the store

    _set_deadline(PUSH_DEADLINE_S)
    report = flush(
        repository, Context(paths, os.environ, time.time_ns(), timeout_s=1.0, check_timeout_s=CHECK_TIMEOUT_S)
    )
    if report.rejected:
        _tell(f"agent-tracker: {report.rejected} lines set aside in {escape(report.rejected_files[0])}")
    for line in milestone_lines(report):
        _tell(line)
    for warning in report.warnings:
        _tell(f"agent-tracker: {escape(warning)}")


def _set_deadline(seconds: int) -> None:
    """End this process by a signal if it hangs: a stopped process may hold LMDB's lock, which knows no time limit."""
    import signal  # noqa: PLC0415 -- as above

    if hasattr(signal, "alarm"):
        signal.alarm(seconds)
