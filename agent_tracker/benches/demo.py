"""The whole way for real, in a throwaway repository and home: what a new user sees first.

Owns the story and the check that each step did what the story says. Never touches the user's own home, configuration,
database or repositories, and leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_tracker.benches.throwaway import NO_PROGRAMS_HINT, throwaway
from agent_tracker.errors import AgentTrackerError

if TYPE_CHECKING:
    from typing import TextIO

    from agent_tracker.benches.throwaway import Done, Throwaway

__all__ = ["demo"]


class Step(NamedTuple):
    """A few words, a command as a person types it, its exit code, and what its output must hold."""

    words: str
    command: str
    expected: tuple[str, ...] = ()
    code: int = 0


FILES = ("README.md", "cart.py", "guide.md")
INTRODUCTION = """\
# agent-tracker: which setup of coding agents does good work here?
# All of this happens for real, in a throwaway home and repository:
# {place}

"""
STORY = (
    Step(
        "Two setups to compare. A setup is a name, a model and a scope.",
        "agent-tracker register ada --model opus --scope backend",
        ("Registered ada-",),
    ),
    Step("", "agent-tracker register bob --model gpt-5 --scope docs", ("Registered bob-",)),
    Step(
        "Git hooks in this repository. Each costs about what an empty hook costs.",
        "agent-tracker install-hooks",
        ("Installed 8 hooks",),
    ),
    Step(
        "A person commits as ever: nothing to declare, nothing in the way.",
        "git add README.md && git commit -qm 'Start the shop'",
    ),
    Step(
        "Agents commit. A variable in an agent's shell says which one it is.",
        "git add cart.py && AGENT_TRACKER_AGENT=ada git commit -qm 'Add the cart'",
    ),
    Step("", "git add guide.md && AGENT_TRACKER_AGENT=bob git commit -qm 'Write a guide'"),
    Step(
        "A stranger: Claude Code sets CLAUDECODE, but no agent is registered for it.\n"
        "It is stopped before its work is nobody's, and told what mends that.",
        "CLAUDECODE=1 git commit --allow-empty -qm 'Tidy up'",
        ("commit refused", "claude", "agent-tracker register"),
        code=1,
    ),
    Step(
        "bob amends: another commit, but the same work. It counts once.",
        "AGENT_TRACKER_AGENT=bob git commit -q --amend -m 'Write the guide'",
    ),
    Step(
        "A push brings what the hooks noted into one database in your home directory,\n"
        "shared by all your repositories.",
        "git push -q origin main",
    ),
    Step(
        "Who made which commit.",
        "agent-tracker log",
        ("Start the shop", "human", "Add the cart", "ada-", "Write the guide", "bob-"),
    ),
    Step("How the setups stand: experience (XP) for work, skill points (SP) for XP.", "agent-tracker agents"),
    Step(
        "All standings derived anew from the facts; what was amended is still a fact.",
        "agent-tracker verify",
        ("Clean: ",),
    ),
)
CREDITED = {"Start the shop": "human", "Add the cart": "ada", "Write the guide": "bob"}
CLOSING = """\
# {place} is gone again. In a repository of your own:

  agent-tracker install-hooks
  agent-tracker register NAME --model MODEL --scope SCOPE
"""


def demo(out: TextIO) -> int:
    """Run the story, writing each step to `out` as it happens; return the exit code.

    Raises:
        GitError: Git is not installed.
        AgentTrackerError: A step did not do what it must.
    """
    with throwaway("at-demo-") as place:
        repository = _prepare(place)
        _write(out, INTRODUCTION.format(place=place.root))
        for step in STORY:
            _tell(out, step)
            done = place.run(["sh", "-c", step.command], cwd=repository)
            _write(out, done.output)
            _check(step, done)
        _check_store(place, repository)
    _write(out, "\n" + CLOSING.format(place=place.root))
    return 0


def _prepare(place: Throwaway) -> str:
    """Make a repository with files to commit and a bare remote; return its path."""
    # A program of that name, so that what is shown is to the letter what is run.
    place.add_program("agent-tracker", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m agent_tracker "$@"\n')
    repository, remote = place.path("shop"), place.path("shop.git")
    place.must(["git", "init", "--quiet", repository])
    place.must(["git", "init", "--quiet", "--bare", remote])
    place.must(["git", "remote", "add", "origin", remote], cwd=repository)
    for name in FILES:
        with open(os.path.join(repository, name), "w", encoding="utf-8") as file:
            file.write(f"{name}\n")
    return repository


def _tell(out: TextIO, step: Step) -> None:
    if step.words:
        first = step is STORY[0]
        comment = "".join(f"# {line}\n" for line in step.words.splitlines())
        _write(out, comment if first else "\n" + comment)
    command = f"$ {step.command}"
    is_plain = not out.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    _write(out, f"{command}\n" if is_plain else f"\x1b[1m{command}\x1b[0m\n")


def _write(out: TextIO, text: str) -> None:
    out.write(text)
    out.flush()


def _check(step: Step, done: Done) -> None:
    missing = [fragment for fragment in step.expected if fragment not in done.output]
    if done.code != step.code:
        raise _failure(step.command, f"ended with exit code {done.code}, not {step.code}")
    if missing:
        raise _failure(step.command, f"did not say {missing[0]!r}")


def _failure(command: str, what: str) -> AgentTrackerError:
    return AgentTrackerError(f"the demonstration failed: `{command}` {what}", NO_PROGRAMS_HINT)


def _check_store(place: Throwaway, repository: str) -> None:
    """Check by what the store holds that every commit counts once and is credited to who made it."""
    commits = _read_json(place, repository, "log", "commits")
    agents = _read_json(place, repository, "agents", "agents")
    names = {agent["id"]: agent["name"] for agent in agents}
    credited = {c["task_description"]: names.get(c["agent_id"], c["claim"]) for c in commits}
    if credited != CREDITED or len(commits) != len(CREDITED):
        raise _failure("agent-tracker log", f"lists {len(commits)} commits: {credited}")
    for agent in agents:
        if agent["total_commits"] != 1 or not agent["experience_points"]:
            raise _failure("agent-tracker agents", f"gives {agent['name']} {agent['total_commits']} commits, not 1")


def _read_json(place: Throwaway, repository: str, command: str, key: str) -> list[dict[str, Any]]:
    found = json.loads(place.must(["sh", "-c", f"agent-tracker {command} --json"], cwd=repository).output)[key]
    assert isinstance(found, list)  # noqa: S101 -- the documented shape
    return found
