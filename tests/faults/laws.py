"""The laws that hold whatever goes wrong, and the world in which it goes wrong.

1. Every standing equals what follows from the stored facts.
2. Nothing is lost: each commit that git has since the hooks were installed, and what each line says that was appended
   whole, of whatever kind, is in the store after a flush in which nothing goes wrong.
3. Nothing is invented: no commit, agent, grade or experience that did not happen, and nothing is counted twice.
4. `git commit` and `git push` do what they do without us, with at most a line of ours.
5. Another flush changes nothing.

What happened is known from git and from the spools' own lines alone. The maker of a commit stands in its subject,
`NAME: text`, so that it is known whose it is, whatever the hooks noted of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from observing import look

from gitrepo import Done

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from observing import Look

__all__ = ["Happened", "Violation", "World", "check", "commit", "is_whole", "push", "waiting", "whole_lines"]

DEADLINE_S = 60
"""How long anything here may take: more means that it hangs."""
HUMAN = "human"
BOOKKEEPING = frozenset({"spools", "health", "schema"})
"""Sub-databases that say how far was read and when was looked: no facts, and nothing that follows from any."""
READ = ("commits", "agents", "grades", "bugs", "sessions", "retrospectives", "activities")
_COMMANDS = {
    "commits": ("log", "--all", "--limit", "1000000"),
    "agents": ("agents", "list"),
    "grades": ("grades", "--all"),
    "bugs": ("bugs", "--all"),
    "sessions": ("session", "list", "--all"),
    "retrospectives": ("retro", "list", "--all"),
    "activities": ("activity", "list", "--all"),
}
_IDS = {"agent": "agents", "grade": "grades", "bug": "bugs", "retro": "retrospectives", "activity": "activities"}
"""The kinds of lines whose third field is an id, and where it must show."""
_EXPORT = ["export", "--jsonl", "-"]
_SAID: dict[str, tuple[tuple[int, str], ...]] = {
    **dict.fromkeys(("grade", "bug", "retro", "activity", "session", "pulse", "withdrawal"), ((2, "id"),)),
    "binding": ((2, "session"), (4, "recorded_ns")),
    "agent": ((2, "id"),),
    "state": ((2, "agent"), (3, "state"), (4, "recorded_ns")),
    "credit": ((2, "oid"), (3, "recorded_ns")),
    "forget": ((2, "target"),),
    "rewrite": ((3, "old"), (4, "new")),
    "commit": ((2, "oid"),),
}
"""Which fields of a line of each kind are which of the fact that it becomes; a `squash` becomes rewrites."""
_XP_OF_COMMIT, _XP_OF_GRADED, _XP_OF_PUSH, _FIRST_CS = 5, 1, 10, 60
_WORTH = {"bad": -1, "neutral": 1, "good": 2, "excellence": 5}


class Violation(AssertionError):  # noqa: N818 -- the word for it
    """A law was broken; the message says which one, and by what."""


class World(NamedTuple):
    """A user's home and repositories in one directory of their own, which may be copied away and back.

    `older` are the commits from before the hooks, by repository.
    """

    home: Path
    repositories: tuple[Path, ...]
    older: frozenset[str]
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def database(self) -> Path:
        """Where the store is."""
        return self.home / ".config" / "opencode" / "agent-tracker.lmdb"

    @property
    def env(self) -> dict[str, str]:
        """The whole environment: nothing of the user's or an agent's."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig"),
            "GIT_TERMINAL_PROMPT": "0",
            "TZ": "UTC",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "AGENT_TRACKER_BACKUP_INTERVAL": "0",
            **dict(self.extra),
        }

    @classmethod
    def make(cls, root: Path, *, repositories: int = 1, extra: Mapping[str, str] | None = None) -> World:
        """Make a home, and repositories with a commit each that is older than the hooks, and a bare remote each."""
        home = root / "home"
        home.mkdir(parents=True)
        (home / ".gitconfig").write_text(
            "[user]\n\tname = A Person\n\temail = person@example.org\n[init]\n\tdefaultBranch = main\n"
            "\ttemplateDir =\n[core]\n\teditor = true\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
        )
        paths = tuple(root / f"repo{number}" for number in range(repositories))
        world = cls(home, paths, frozenset(), tuple((extra or {}).items()))
        for path in paths:
            world.git("init", "--quiet", path, cwd=root)
            world.git("commit", "--quiet", "--allow-empty", "-m", f"human: before the hooks of {path.name}", cwd=path)
            world.git("init", "--quiet", "--bare", f"{path}.git", cwd=root)
            world.git("remote", "add", "origin", f"{path}.git", cwd=path)
            world.tracker("install-hooks", "--style", "files", cwd=path)
        older = frozenset(oid for path in paths for oid in world.git("rev-list", "--all", cwd=path).split())
        return world._replace(older=older)

    def run(self, *argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Done:
        """Run a process here, whatever comes of it; one that hangs breaks a law."""
        words = [str(word) for word in argv]
        try:
            done = subprocess.run(
                words,
                cwd=cwd or self.repositories[0],
                env={**self.env, **(env or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Violation(f"law 4: {words} had not ended after {DEADLINE_S} s") from error
        return Done(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def git(self, *argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run git and return what it prints; it must succeed."""
        done = self.run("git", *argv, cwd=cwd, env=env)
        assert done.code == 0, (argv, done)
        return done.out.strip()

    def tracker(self, *argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run agent-tracker in a process of its own and return what it prints; it must succeed."""
        done = self.run(*self.program, *argv, cwd=cwd, env=env)
        assert done.code == 0, (argv, done)
        return done.out

    @property
    def program(self) -> tuple[str, ...]:
        """The words with which agent-tracker is started."""
        return (sys.executable, "-P", "-m", "agent_tracker")

    def spools(self) -> list[Path]:
        """Return the directories in which a spool may be: the user's own, and each repository's."""
        return [self.home / ".local/state/agent-tracker/spool", *(p / ".git/agent-tracker" for p in self.repositories)]


class Happened(NamedTuple):
    """What happened besides what git knows: the lines that were appended whole, ever.

    `unsure`: commits whose hook may not have been able to say who made them; the others must be their makers'.
    """

    lines: frozenset[bytes] = frozenset()
    unsure: frozenset[str] = frozenset()

    def seen(self, world: World, *, unsure: Iterable[str] = ()) -> Happened:
        """Return this with the lines that lie in the spools now."""
        return Happened(self.lines | whole_lines(world), self.unsure | set(unsure))


def whole_lines(world: World) -> frozenset[bytes]:
    """Return the lines in all spools and segments that were appended whole, told without any of our own code."""
    lines: set[bytes] = set()
    for directory in world.spools():
        for path in directory.glob("*") if directory.is_dir() else ():
            if path.name == "spool" or (path.name.startswith("seg-") and not path.name.endswith(".rejected")):
                lines.update(line for line in path.read_bytes().split(b"\n") if is_whole(line))
    return frozenset(lines)


def is_whole(line: bytes) -> bool:
    """Tell whether a line has all of its record: as many bytes as it says, and the checksum, if it has any of it."""
    record, mark, trailer = line.rpartition(b" =")
    length, _, crc = trailer.partition(b":")
    is_long = bool(mark) and length.isdigit() and int(length) == len(record)
    return is_long and (not crc or crc == b"%08x" % zlib.crc32(record))


def waiting(world: World) -> dict[str, set[str]]:
    """Return the ids that the lines in the spools name, by kind of line."""
    return _ids(whole_lines(world))


def _ids(lines: Iterable[bytes]) -> dict[str, set[str]]:
    ids: dict[str, set[str]] = {}
    for fields in map(_fields, lines):
        if len(fields) > 2:
            ids.setdefault(fields[1], set()).add(fields[2])
    return ids


def _fields(line: bytes) -> list[str]:
    return line.rpartition(b" =")[0].decode("utf-8", "surrogateescape").split("\t")


# -- what git must do, whatever happens to us


def commit(
    world: World, subject: str, *options: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Make a commit, find it unharmed, and return its oid.

    Args:
        world: Where.
        subject: `NAME: text`; the hooks are told of that agent, unless it is `human`.
        options: More of `git commit`.
        cwd: The repository, by default the first.
        env: On top of the world's.

    Raises:
        Violation: The fourth law was broken.
    """
    name = subject.partition(":")[0]
    before = world.git("rev-parse", "HEAD", cwd=cwd)
    argv = ("git", "commit", "--quiet", "--allow-empty", "-m", subject, *options)
    done = world.run(*argv, cwd=cwd, env={"AGENT_TRACKER_AGENT": name, **(env or {})})
    _unharmed(argv, done)
    after = world.git("rev-parse", "HEAD", cwd=cwd)
    if before == after:
        raise Violation(f"law 4: {argv} said that it was done, and HEAD is where it was")
    return after


def push(world: World, *options: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Push the branch to the bare remote and find that unharmed.

    Raises:
        Violation: The fourth law was broken.
    """
    argv = ("git", "push", "--quiet", "origin", "HEAD", *options)
    _unharmed(argv, world.run(*argv, cwd=cwd, env=env))
    branch = world.git("symbolic-ref", "HEAD", cwd=cwd)
    there = world.git("ls-remote", "origin", branch, cwd=cwd).partition("\t")[0]
    if there != world.git("rev-parse", "HEAD", cwd=cwd):
        raise Violation(f"law 4: {argv} said that it was done, and the remote's branch is at {there or 'nothing'}")


def _unharmed(argv: tuple[str, ...], done: Done) -> None:
    if done.code:
        raise Violation(f"law 4: {argv} ended with {done.code}: {done.err.strip()}")
    ours = [line for line in done.err.splitlines() if line.strip()]
    if len(ours) > 1:
        raise Violation(f"law 4: {argv} said more than a line: {ours}")


# -- what must hold then


def check(world: World, happened: Happened | None = None, *, altered: str = "as it is") -> None:
    """Flush without anything going wrong, and find every law kept.

    Args:
        world: As it is after whatever went wrong, the cause of it gone.
        happened: The lines that are known to have been appended; those that lie in the spools now are added.
        altered: What to try the laws on, of `altered.ALTERATIONS`.

    Raises:
        Violation: A law was broken; the message says by what.
    """
    happened = (happened or Happened()).seen(world)
    # Whose line is whole has said who made it.
    happened = happened._replace(unsure=happened.unsure - _ids(happened.lines).get("commit", set()))
    hints = [str(path / name) for path in world.spools() for name in ("settled", "refs")]
    reads = [[*_COMMANDS[name], "--json", "--no-flush"] for name in READ]
    flush_all = [["flush", "--json"], *(["flush", "--all", "--json"] for _ in world.repositories[1:2])]
    dump = ["dump", str(world.database)]
    first = [["alter", altered], *flush_all]
    commands = [*first, ["verify", "--json"], dump, *reads, _EXPORT, ["remove", *hints], *flush_all, dump]
    answers = look(commands, cwd=world.repositories[0], env=world.env)
    if len(answers) < len(commands) or any(answer.code for answer in answers):
        index, bad = next((i, each) for i, each in enumerate(answers) if each.code)
        raise Violation(
            f"law {_law_of(commands[index])}: {commands[index]} ended with {bad.code}: {bad.err or bad.out}"
        )
    middle = len(first) + 2
    _standing_follows(answers[len(first)])
    found = {name: json.loads(answer.out)[name] for name, answer in zip(READ, answers[middle:], strict=False)}
    _nothing_invented(world, happened, found)
    _nothing_lost(world, happened, found)
    _nothing_said_in_vain(world, happened, answers[middle + len(reads)])
    _no_project_invented(world, json.loads(answers[middle - 1].out))
    _nothing_rejected(world)
    _nothing_changed(answers[middle - 1], answers[-1])


def _law_of(command: list[str]) -> int:
    return {"verify": 1, "flush": 2}.get(command[0], 1)


def _standing_follows(answer: Look) -> None:
    report = json.loads(answer.out)["verify"]
    if not report["clean"]:
        raise Violation(f"law 1: what is stored does not follow from the facts: {report['problems']}")


def _nothing_lost(world: World, happened: Happened, found: Mapping[str, Any]) -> None:
    listed = {each["commit_hash"] for each in found["commits"]}
    missing = [f"{oid} {subject}" for oid, subject in _commits_in_git(world).items() if oid not in listed]
    if missing:
        raise Violation(f"law 2: commits that git has are not in the store: {missing}")
    ids = _ids(happened.lines)
    for kind, where in _IDS.items():
        lost = ids.get(kind, set()) - {each["id"] for each in found[where]}
        if lost:
            raise Violation(f"law 2: {where} of which a line was appended are not in the store: {sorted(lost)}")
    owners = _names(found)
    unsure = happened.unsure | ids.get("credit", set())
    for each in found["commits"]:
        oid, maker = each["commit_hash"], each["task_description"].partition(":")[0]
        if oid not in unsure and owners.get(each["agent_id"], each["claim"]) != maker:
            raise Violation(f"law 2: {oid} {each['task_description']!r} is {each['agent_id'] or each['claim']}'s")


def _nothing_said_in_vain(world: World, happened: Happened, exported: Look) -> None:
    """Find what every whole line says among all facts."""
    facts: dict[str, list[dict[str, Any]]] = {}
    for fact in map(json.loads, exported.out.splitlines()[1:-1]):
        facts.setdefault(fact["kind"], []).append(fact)
    known = {
        kind: {tuple(str(fact[name]) for _, name in pairs) for fact in facts.get(kind, ())}
        for kind, pairs in _SAID.items()
    }
    marks: dict[str, set[str]] = {}
    for fact in (*facts.get("commit", ()), *facts.get("sighting", ())):
        pairs = zip(fact["marks"][::2], fact["marks"][1::2], strict=True)
        marks.setdefault(fact["oid"], set()).update("=".join(pair) for pair in pairs)
    lost: list[list[str]] = []
    for fields in map(_fields, happened.lines):
        kind = fields[1]
        if kind == "squash":
            lost += _unsquashed(world, fields, known["rewrite"])
            continue
        is_known = tuple(fields[at] for at, _ in _SAID[kind]) in known[kind]
        if not is_known or (kind == "commit" and not {"hook=1", *fields[6:]} <= marks[fields[2]]):
            lost.append(fields)
    if lost:
        raise Violation(f"law 2: whole lines say what is not in the store: {sorted(lost)}")


def _unsquashed(world: World, fields: list[str], rewrites: set[tuple[str, ...]]) -> Iterator[list[str]]:
    """Yield a line that says of what the commit after some other is made, if that was made and is not known for it.

    Of a commit that changes no file nothing can be in another one.
    """
    _, _, head, *oids = fields
    for path in world.repositories:
        made = list(_made_upon(world, path, head))
        old = [oid for oid in oids if made and world.git("diff-tree", "-r", f"{oid}^", oid, cwd=path)]
        if old and not any((oid, new) in rewrites for oid in old for new in made):
            yield fields


def _made_upon(world: World, repository: Path, head: str) -> Iterator[str]:
    """Yield the commits of which another one is the only parent, on the branch that is checked out."""
    for line in world.git("log", "--format=%H %P", cwd=repository).splitlines():
        oid, _, parents = line.partition(" ")
        if parents == head:
            yield oid


def _names(found: Mapping[str, Any]) -> dict[str, str]:
    return {agent["id"]: agent["name"] for agent in found["agents"]}


def _commits_in_git(world: World) -> dict[str, str]:
    """Return the commits on all branches since the hooks were installed, each with its subject."""
    lines: list[str] = []
    for path in world.repositories:
        lines += world.git("log", "--branches", "--format=%H %s", cwd=path).splitlines()
    pairs = (line.partition(" ") for line in lines)
    return {oid: subject for oid, _, subject in pairs if oid not in world.older}


def _nothing_invented(world: World, happened: Happened, found: Mapping[str, Any]) -> None:
    in_git = _commits_in_git(world)
    listed = [each["commit_hash"] for each in found["commits"]]
    invented = sorted(set(listed) - set(in_git))
    if invented or len(listed) != len(set(listed)):
        raise Violation(f"law 3: counted: {len(listed)} commits, git has {len(in_git)}; not in git: {invented}")
    owners = _names(found)
    for each in found["commits"]:
        maker = each["task_description"].partition(":")[0]
        name = owners.get(each["agent_id"], each["claim"])
        if name not in {maker, "unclaimed", HUMAN}:
            raise Violation(f"law 3: {each['commit_hash']} of {maker} is credited to {name}")
    ids = _ids(happened.lines)
    for kind, where in _IDS.items():
        shown = [each["id"] for each in found[where]]
        if set(shown) - ids.get(kind, set()) or len(shown) != len(set(shown)):
            raise Violation(
                f"law 3: {where} that nobody appended: {sorted(set(shown) - ids.get(kind, set()))}, {shown}"
            )
    if not ids.get("session") and not ids.get("bug"):
        _nothing_earned_for_nothing(world, found)


def _no_project_invented(world: World, dump: Mapping[str, str]) -> None:
    projects = int(dump["projects"].partition(" ")[0])
    if projects > len(world.repositories):
        raise Violation(f"law 3: {len(world.repositories)} repositories are {projects} projects")


def _nothing_earned_for_nothing(world: World, found: Mapping[str, Any]) -> None:
    """Find each agent's commits, experience and score to be what follows by hand; without sessions and bugs."""
    pushed = {oid for path in world.repositories for oid in _pushed(path)}
    graded = {each["commit_hash"] for each in found["grades"] if each["in_force"]}
    for agent in found["agents"]:
        shares = {
            each["commit_hash"]: sum(part["share"] for part in each["credits"] if part["agent_id"] == agent["id"])
            for each in found["commits"]
        }
        own = {each["commit_hash"] for each in found["commits"] if each["agent_id"] == agent["id"]}
        earned = sum(shares.values()) * _XP_OF_COMMIT + len(own & graded) * _XP_OF_GRADED
        earned += len(own & pushed) * _XP_OF_PUSH
        score = _FIRST_CS
        for each in reversed(found["grades"]):  # the oldest first: a score that has sunk to nothing rises from there
            if each["in_force"] and each["commit_hash"] in own:
                score = max(0, score + _WORTH[each["grade"]])
        expected = (len(own), earned, score)
        shown = (agent["total_commits"], agent["experience_earned"], agent["communication_score"])
        if expected != shown:
            raise Violation(f"law 3: {agent['name']} has (commits, XP, CS) {shown}; by hand it is {expected}")


def _pushed(repository: Path) -> Iterator[str]:
    """Yield the commits to which a push moved a remote's branch."""
    logs = repository / ".git" / "logs" / "refs" / "remotes"
    for path in logs.rglob("*"):
        for line in path.read_text().splitlines() if path.is_file() else ():
            if line.endswith("\tupdate by push"):
                yield line.split(" ")[1]


def _nothing_rejected(world: World) -> None:
    """Find no whole line among those that were set aside as not ours."""
    for directory in world.spools():
        for path in directory.glob("*.rejected") if directory.is_dir() else ():
            whole = [line for line in path.read_bytes().split(b"\n") if is_whole(line)]
            if whole:
                raise Violation(f"law 2: whole lines were set aside in {path.name}: {whole}")


def _nothing_changed(first: Look, again: Look) -> None:
    before, after = json.loads(first.out), json.loads(again.out)
    changed = {
        name: f"{before.get(name)} became {after.get(name)}"
        for name in sorted((before.keys() | after.keys()) - BOOKKEEPING)
        if before.get(name) != after.get(name)
    }
    if changed:
        raise Violation(f"law 5: another flush changed what is stored: {changed}")
