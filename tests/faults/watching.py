"""A person at work while something is broken: what each command said, and what of it breaks a promise."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from laws import Violation, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from gitrepo import Done

    Record = Callable[[str, object], None]
    Fault = Callable[..., AbstractContextManager[None]]

__all__ = [
    "COMMANDS",
    "OUT_OF_TIME",
    "broken",
    "git_at_work",
    "is_told",
    "is_warned",
    "make_commits",
    "register",
    "seen",
    "struck",
    "wrong",
]

CRASHES = (
    "Traceback",
    "a bug in agent-tracker",
    "its Python part ended with code",
    "agent-tracker: unexpected ",
    "cannot start, git goes on",
)
GOOD_NEWS = " SP now"
"""How a line of a push ends that says what an agent reached: not what went wrong."""
VOLATILE = frozenset(
    {"database_bytes", "segments", "waiting_bytes", "trouble", "updated_at", "records", "pending_changes"}
)
"""What may change although nothing happened, and what is no figure."""
BUG, KILLED = 3, 131
"""Exit codes: a bug of ours, and from where on a shell tells of a signal; git has some right below."""


@contextmanager
def struck(what: str, record: Record) -> Iterator[Fault]:
    """Yield what counts one fault and keeps what it broke, so that the next one strikes all the same.

    At the end it is recorded how many there were, and it fails if anything broke.
    """
    count = 0
    found: list[str] = []

    @contextmanager
    def fault(*names: object) -> Iterator[None]:
        nonlocal count
        count += 1
        try:
            yield
        except AssertionError as error:
            found.append(f"{what} {names}: {error}")

    yield fault
    record("faults", [what, count, len(found)])
    assert not found, "\n".join(found)


def register(world: World, name: str) -> None:
    """Register an agent."""
    world.tracker("register", name, "--model", "m-1", "--scope", "all")


def make_commits(world: World, name: str, count: int, *, cwd: Path | None = None) -> None:
    """Make an agent's commits, all from one shell."""
    loop = f'for n in $(seq {count}); do git commit --quiet --allow-empty -m "{name}: piece $n" || exit 1; done'
    done = world.run("sh", "-c", loop, cwd=cwd, env={"AGENT_TRACKER_AGENT": name})
    assert (done.code, done.err) == (0, "")


OUT_OF_TIME = "ended with code 142"
"""What is said of a push's flush that was not done in time: no harm, and no crash."""


def broken(done: Done) -> list[str]:
    """Return what no process may do, whatever is broken around it: die of a signal, show a traceback."""
    found = [mark for mark in CRASHES if mark in done.out + done.err]
    if done.code < 0 or done.code >= KILLED:
        found.append(f"died: {done.code}")
    elif done.code == BUG:
        found.append("a bug: code 3")
    return [f"{what}: {_last(done)}" for what in found]


def _last(done: Done) -> str:
    return " | ".join((done.err.strip() or done.out.strip()).splitlines()[-3:])[:400]


def is_told(done: Done, world: World) -> bool:
    """Tell whether a command names the database, and what mends it or that it did so and kept the damaged file."""
    said = done.out + done.err
    mended = ("agent-tracker recover", "The damaged file is kept:")
    return world.database.name in said and any(words in said for words in mended)


def is_warned(done: Done, world: World) -> bool:
    """Tell whether a command speaks of damage at all."""
    return is_told(done, world) or "damaged" in done.out + done.err


# -- what is shown


def _steady(value: Any) -> Any:  # noqa: ANN401 -- JSON
    if isinstance(value, dict):
        return {name: _steady(below) for name, below in value.items() if name not in VOLATILE}
    return [_steady(below) for below in value] if isinstance(value, list) else value


def _newly_flushed(shown: Any) -> Any:  # noqa: ANN401 -- JSON
    counted = ("commits", "rewrites", "registrations", "corrections", "entries", "rejected")
    return [sum(each[name] for each in shown["repositories"]) for name in counted]


def _ailing(shown: Any) -> Any:  # noqa: ANN401 -- JSON
    return [problem["check"] for problem in shown["problems"]]


COMMANDS: Mapping[str, tuple[Sequence[str], Callable[[Any], Any]]] = {
    "status": (("status", "--json"), _steady),
    "agents": (("agents", "--json"), _steady),
    "log": (("log", "--all", "--json"), _steady),
    "verify": (("verify", "--json"), _steady),
    "doctor": (("doctor", "--json"), _ailing),
    "flush": (("flush", "--json"), _newly_flushed),
}
"""What a person starts, and what of its answer stays the same while nothing happens."""


def seen(world: World) -> dict[str, object]:
    """Return what each command shows while all is well."""
    world.tracker("flush")
    # The doctor may have something to say of the place, whose exit code is 1 then: a small disk is nearly full.
    shown = {name: json.loads(world.run(*world.program, *argv).out) for name, (argv, _) in COMMANDS.items()}
    return {name: COMMANDS[name][1](each) for name, each in shown.items()}


def wrong(
    world: World,
    before: Mapping[str, object],
    commands: Iterable[str] = tuple(COMMANDS),
    told: Callable[[Done, World], bool] = is_told,
) -> tuple[list[str], set[str]]:
    """Return every broken promise of the commands that a person starts, and the names of those that tell of damage.

    Each shows what it showed before, or names the file and what mends it.

    Args:
        world: Where something is broken.
        before: What was shown while all was well.
        commands: Which are started, in this order.
        told: What counts as telling.

    Raises:
        Violation: One of them does not end.
    """
    found: list[str] = []
    telling: set[str] = set()
    for name in commands:
        argv, figures = COMMANDS[name]
        done = world.run(*world.program, *argv)
        found += [f"{name}: {what}" for what in broken(done)]
        if told(done, world):
            telling.add(name)
        elif done.code and name != "doctor":
            found.append(f"{name}: fails without saying what is damaged and what mends it: {_last(done)}")
        elif (shown := figures(json.loads(done.out))) != before[name]:
            found.append(f"{name}: a wrong figure is shown as right: {_difference(shown, before[name])}")
    return found + _bugs(world), telling


def _difference(shown: object, before: object) -> str:
    now, then = (json.dumps(each, indent=0, sort_keys=True).splitlines() for each in (shown, before))
    pairs = [pair for pair in zip(now, then, strict=False) if pair[0] != pair[1]]
    return f"{len(now)} lines for {len(then)}, first {pairs[:1]}"


def _bugs(world: World) -> list[str]:
    log = world.home / ".local" / "state" / "agent-tracker" / "error.log"
    return [f"error.log: {log.read_text()[-600:]}"] if log.exists() else []


def git_at_work(world: World, name: str, *, cwd: Path | None = None) -> None:
    """Commit and push as an agent, and find git unharmed: it does its work, and a line of ours at most is said.

    Raises:
        Violation: Git was harmed.
    """
    env = {"AGENT_TRACKER_AGENT": name}
    before = world.git("rev-parse", "HEAD", cwd=cwd)
    commit = ("git", "commit", "--quiet", "--allow-empty", "-m", f"{name}: meanwhile")
    push = ("git", "push", "--quiet", "origin", "HEAD:refs/heads/main")
    found = []
    for argv in (commit, push):
        done = world.run(*argv, cwd=cwd, env=env)
        lines = [line for line in done.err.strip().splitlines() if not line.endswith(GOOD_NEWS)]
        found += [f"{argv[1]}: {what}" for what in broken(done)]
        if done.code or len(lines) > 1:
            found.append(f"{argv[1]}: exit code {done.code}, {len(lines)} lines: {done.err.strip()}")
    head = world.git("rev-parse", "HEAD", cwd=cwd)
    if head == before:
        found.append("commit: HEAD is where it was")
    if world.git("ls-remote", "origin", "refs/heads/main", cwd=cwd).partition("\t")[0] != head:
        found.append("push: the remote's branch is where it was")
    if found + _bugs(world):
        raise Violation(f"law 4: {found + _bugs(world)}")
