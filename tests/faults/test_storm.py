"""Eight repositories at once, with readers, a process stopped now and then, one killed each second."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import laws
import pytest
from laws import Happened, World
from watching import OUT_OF_TIME, broken, register

from agent_tracker.config import MAX_SIZE_BYTES
from agent_tracker.store import Store
from gitrepo import Done

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

REPOSITORIES = 8
SECONDS = {"sample": int(os.environ.get("STORM_SECONDS") or 20), "all": 600}
STOPS_S = {"sample": (0.2, 2.5), "all": (0.2, 12.5)}
"""How long a process is stopped; longer than any lock is waited for where all faults strike."""
SLACK_S = 15
"""What two busy cores may add to any deadline, beside a stop."""
DEADLINES_S = {"commit": 0, "push": 5, "flush": 30, "grade": 30, "read": 0, "verify": 0, "backup": 60, "export": 0}
"""How long each may wait for others: a flush for three locks, one after the other; who only reads waits for nobody."""
BUSY = re.compile(
    "error: (?:another flush is running: .*|the database is being written or checked by another process: .*|"
    "another process writes the database: .*|the database is being checked, which takes longer than .*)"
)
"""What a command may say that has waited for others until its deadline."""
NOBODYS = "is nobody's, and only an agent's can be judged"
"""What is said of a commit that was made by a process which was killed before its hook could say whose it is."""
SUMS = """
import sys
from agent_tracker.records import COUNTED
from agent_tracker.store import Store
path, size = sys.argv[1:]
with Store(path, int(size)).snapshot() as store:
    credited = [commit.credits for commit in store.commits() if commit.status == COUNTED]
    agents = {agent.id: agent.standing.total_commits for agent in store.agents()}
    wrong = [shares for shares in credited if sum(share for _, share in shares) != 1_000_000]
    own = sum(shares[0][0] in agents for shares in credited)
    if wrong or own != sum(agents.values()):
        sys.exit(f"{own} commits in the log, {agents} of the agents; shares that do not add to 1: {wrong}")
"""
"""Whether what one reading finds agrees with itself: each commit's shares, and the agents' commits with the log's."""


class Running(NamedTuple):
    """A command under way: what kind it is, and its process, the leader of a group of its own."""

    kind: str
    process: subprocess.Popen[str]


class Storm:
    """Commands at work on one store, what was done to them, and what they did that they may not."""

    def __init__(self, world: World, seconds: float, stops_s: tuple[float, float]) -> None:
        self.world = world
        self.stops_s = stops_s
        self.violations: list[str] = []
        self.done: Counter[str] = Counter()
        self.succeeded: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.unsure: set[str] = set()
        self._end = time.monotonic() + seconds
        self._guard = threading.Lock()
        self._running: dict[int, Running] = {}
        self._killed: set[int] = set()

    @property
    def is_over(self) -> bool:
        """Whether its time has passed."""
        return time.monotonic() >= self._end

    def run(self, kind: str, *argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Done | None:
        """Run a command that may be stopped, and killed, in which case it is None; note what it may not do."""
        process = subprocess.Popen(
            argv,
            cwd=cwd or self.world.repositories[0],
            env={**self.world.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        with self._guard:
            self._running[process.pid] = Running(kind, process)
        try:
            out, err = process.communicate(timeout=DEADLINES_S[kind] + SLACK_S + self.stops_s[1])
        except subprocess.TimeoutExpired:
            self.violations.append(f"{kind}: {argv[-3:]} still waits after its deadline")
            self._signal(process.pid, signal.SIGKILL)
            process.communicate()
            return None
        finally:
            with self._guard:
                del self._running[process.pid]
        if process.pid in self._killed:
            return None
        done = Done(process.returncode, out, err)
        self.done[kind] += 1
        self.succeeded[kind] += not done.code
        self.violations += [f"{kind}: {what}" for what in broken(done) if OUT_OF_TIME not in what]
        return done

    def tracker(self, kind: str, *words: str, cwd: Path | None = None) -> Done | None:
        """Run agent-tracker as `run` does."""
        return self.run(kind, *self.world.program, *words, cwd=cwd)

    def _signal(self, pid: int, number: int) -> bool:
        with self._guard, suppress(ProcessLookupError):
            if pid in self._running and self._running[pid].process.poll() is None:
                os.killpg(pid, number)
                return True
        return False

    # -- who is at work

    def work(self, number: int) -> None:
        """Commit, amend, grade, push and flush in one repository until the storm is over."""
        rng = Random(number)
        repository = self.world.repositories[number]
        actions: list[Callable[[Path, str], None]] = [self._commit, self._commit, self._grade, self._push, self._flush]
        while not self.is_over:
            rng.choice(actions)(repository, f"w{number}")

    def _commit(self, repository: Path, name: str) -> None:
        """Make a commit, and amend it at once: nobody has graded or pushed it yet."""
        subject = f"{name}: {self.done['commit']}"
        for options in ((), ("--amend",)):
            argv = ("git", "commit", "--quiet", "--allow-empty", "-m", f"{subject} {len(options)}", *options)
            done = self.run("commit", *argv, cwd=repository, env={"AGENT_TRACKER_AGENT": name})
            if done is None:
                self._clear_up(repository)
                return
            if done.code or done.err.count("\n") > 1:
                self.violations.append(f"commit: {done}")

    def _clear_up(self, repository: Path) -> None:
        """Do what a person does after a killed git: take its locks away. Who made its commit may not be known."""
        for lock in (repository / ".git").rglob("*.lock"):
            if "agent-tracker" not in lock.parts:
                lock.unlink(missing_ok=True)
        self.unsure.update(self.world.git("rev-list", "--max-count=2", "HEAD", cwd=repository).split())

    def _push(self, repository: Path, name: str) -> None:
        done = self.run("push", "git", "push", "--quiet", "origin", "HEAD", cwd=repository)
        if done is None:
            for place in (repository, repository.with_name(f"{repository.name}.git")):
                for lock in place.rglob("*.lock"):
                    if "agent-tracker" not in lock.parts:
                        lock.unlink(missing_ok=True)
        elif done.code:
            self.violations.append(f"push: {name} {done}")

    def _grade(self, repository: Path, name: str) -> None:
        head = self.world.git("rev-parse", "HEAD", cwd=repository)
        done = self.tracker("grade", "grade", "HEAD", Random(name).choice(("bad", "good")), cwd=repository)
        if not (done and NOBODYS in done.err and head in self.unsure):
            self._expect("grade", done)

    def _flush(self, repository: Path, name: str) -> None:
        del name
        self._expect("flush", self.tracker("flush", "flush", cwd=repository))

    def _expect(self, kind: str, done: Done | None) -> None:
        """Find that a command is done, or says that others were at work for too long."""
        if done and done.code and not BUSY.match(done.err):
            self.violations.append(f"{kind}: {done}")

    # -- who looks on

    def look(self) -> None:
        """Read until the storm is over: what each reading shows agrees with itself."""
        rng = Random("look")
        while not self.is_over:
            rng.choice((self._read_sums, self._read_agents, self._read_log, self._read_status))()

    def _read_sums(self) -> None:
        argv = (sys.executable, "-c", SUMS, str(self.world.database), str(MAX_SIZE_BYTES))
        done = self.run("read", *argv)
        if done and done.code:
            self.violations.append(f"one reading: {done.err.strip().splitlines()[-1:]}")

    def _shown(self, kind: str, *words: str) -> Any:  # noqa: ANN401 -- JSON
        done = self.tracker(kind, *words, "--json")
        if done and done.code:
            self.violations.append(f"{kind}: {words} {done}")
        return json.loads(done.out) if done and not done.code else None

    def _read_agents(self) -> None:
        for agent in (self._shown("read", "agents", "--no-flush") or {"agents": []})["agents"]:
            sums = [sum(place[name] for place in agent["projects"]) for name in ("commits", "experience_earned")]
            if sums != [agent["total_commits"], agent["experience_earned"]]:
                self.violations.append(f"agents: the projects add up to {sums}: {agent}")

    def _read_log(self) -> None:
        commits = (self._shown("read", "log", "--all", "--no-flush") or {"commits": []})["commits"]
        oids = [commit["commit_hash"] for commit in commits]
        if len(oids) != len(set(oids)):
            self.violations.append("log: a commit is listed twice")
        owned = [commit for commit in commits if commit["credits"] or commit["commit_hash"] not in self.unsure]
        if any(round(sum(part["share"] for part in commit["credits"]), 6) != 1 for commit in owned):
            self.violations.append("log: the shares of a commit do not add to 1")

    def _read_status(self) -> None:
        self._shown("read", "status", "--no-flush")

    def keep(self) -> None:
        """Verify, back up and export until the storm is over."""
        while not self.is_over:
            shown = self._shown("verify", "verify", "--no-flush")
            if shown and not shown["verify"]["clean"]:
                self.violations.append(f"verify: {shown['verify']['problems'][:3]}")
            self._expect("backup", self.tracker("backup", "backup"))
            done = self.tracker("export", "export", "--jsonl", "--force", str(self.world.home / "facts.jsonl"))
            self._expect("export", done)

    # -- what happens to them

    def kill(self) -> None:
        """Kill one command each second."""
        rng = Random("kill")
        while not self.is_over:
            time.sleep(1)
            with self._guard:
                pids = list(self._running)
                pid = rng.choice(pids) if pids else 0
                self._killed.add(pid)
            if self._signal(pid, signal.SIGKILL):
                self.faults["killed"] += 1

    def stop(self) -> None:
        """Stop a command now and then for a while, by turns any one and one that holds the store's write lock."""
        rng = Random("stop")
        while not self.is_over:
            with self._guard:
                pids = list(self._running)
            for what, pid in (("stopped", rng.choice(pids) if pids else 0), ("stopped with the lock", self._holder())):
                if self._signal(pid, signal.SIGSTOP):
                    is_held = what == "stopped" or self._writer() == pid
                    self.faults[what if is_held else "stopped"] += 1
                    time.sleep(min(rng.uniform(*self.stops_s), max(self._end - time.monotonic(), 0.2)))
                    self._signal(pid, signal.SIGCONT)

    def _holder(self) -> int:
        """Wait a little for a process of the storm to hold the write lock, and return its group, 0 if none does."""
        until = min(time.monotonic() + 3, self._end)
        while time.monotonic() < until:
            if pid := self._writer():
                return pid
            time.sleep(0.001)
        return 0

    def _writer(self) -> int:
        """Return the group of the process that holds the store's write lock now, 0 if none of ours does."""
        with suppress(OSError):
            database = self.world.database
            inode = f":{database.with_name(database.name + '.write').stat().st_ino}"
            held = [line.split() for line in Path("/proc/locks").read_text("ascii").splitlines() if "->" not in line]
            pids = [int(fields[4]) for fields in held if fields[1] == "FLOCK" and fields[5].endswith(inode)]
            groups = {os.getpgid(pid) for pid in pids if pid > 0}
            with self._guard:
                return next((group for group in groups if group in self._running), 0)
        return 0

    def blow(self) -> None:
        """Let everybody work at once until it is over."""
        threads = [threading.Thread(target=self.work, args=(number,)) for number in range(REPOSITORIES)]
        others = (self.look, self.look, self.keep, self.kill, self.stop)
        threads += [threading.Thread(target=target) for target in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def made(directory: Path, count: int) -> World:
    """Make so many repositories, and an agent and a commit of its own for each."""
    world = World.make(directory / "world", repositories=count)
    for number, repository in enumerate(world.repositories):
        register(world, f"w{number}")
        laws.commit(world, f"w{number}: the first", cwd=repository)
    return world


def test_a_storm_over_eight_repositories(
    request: pytest.FixtureRequest, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Everything is counted once, nobody waits beyond a deadline, and no reading disagrees with itself."""
    faults = str(request.config.getoption("--faults"))
    storm = Storm(made(tmp_path, REPOSITORIES), SECONDS[faults], STOPS_S[faults])
    storm.blow()
    record_property("faults", ["storm", storm.faults.total(), len(storm.violations)])
    print(dict(storm.done), dict(storm.faults))  # noqa: T201 -- shown where it fails
    assert storm.violations == []
    laws.check(storm.world, Happened(unsure=frozenset(storm.unsure)))
    assert storm.faults["killed"] > SECONDS[faults] / 4
    assert storm.faults["stopped with the lock"] > 0
    assert set(+storm.succeeded) == set(DEADLINES_S)
    backups = json.loads(storm.world.tracker("backups", "--json"))["backups"]
    assert len(backups) >= min(storm.succeeded["backup"], 2)
    assert (storm.world.home / "facts.jsonl").exists()


# -- the test itself


@pytest.mark.parametrize(
    ("said", "is_harmless"),
    [
        ("error: another flush is running: /x/flush.lock\nhint: try again: agent-tracker flush", True),
        ("error: the database is being written or checked by another process: /x.lmdb", True),
        ("error: the database /x.lmdb is another user's", False),
        ("error: nothing else can be said", False),
    ],
)
def test_only_what_waits_for_others_may_fail(calm: Storm, said: str, *, is_harmless: bool) -> None:
    """Control: any other error of a command is a violation."""
    calm._expect("flush", Done(1, "", said))
    assert (calm.violations == []) is is_harmless


@pytest.fixture
def calm(tmp_path: Path) -> Storm:
    """A storm in which nothing happens by itself."""
    storm = Storm(made(tmp_path, 1), 60, (0.1, 0.1))
    storm.world.tracker("flush")
    return storm


@pytest.mark.damages
def test_a_reading_that_disagrees_would_be_seen(calm: Storm) -> None:
    """Control: an agent's standing says one commit more than there are."""
    calm._read_sums()
    calm._read_agents()
    assert calm.violations == []
    with Store(str(calm.world.database), MAX_SIZE_BYTES).writer(timeout_s=5) as writer:
        agent = next(agent for agent in writer.agents() if agent.name == "w0")
        writer.put_agent(agent._replace(standing=agent.standing._replace(total_commits=2)))
    calm._read_sums()
    calm._read_agents()
    assert len(calm.violations) == 2


def test_a_wait_would_be_seen(calm: Storm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: a command that does not end by its deadline, one that dies, and one that was killed on purpose."""
    monkeypatch.setitem(DEADLINES_S, "read", 1 - SLACK_S)
    assert calm.run("read", "sleep", "60") is None
    assert [words.partition(":")[0] for words in calm.violations] == ["read"]
    calm.run("commit", "sh", "-c", "kill -BUS $$")
    assert len(calm.violations) == 2


def test_the_holder_of_the_lock_is_found(calm: Storm) -> None:
    """Control: the process that is stopped is the one that holds the write lock."""
    words = (
        "import sys, time; from agent_tracker.locking import locked\n"
        "with locked(sys.argv[1], timeout_s=5): time.sleep(60)"
    )
    argv = (sys.executable, "-c", words, f"{calm.world.database}.write")
    thread = threading.Thread(target=calm.run, args=("flush", *argv))
    thread.start()
    holder = calm._holder()
    assert holder
    calm._killed.add(holder)
    assert calm._signal(holder, signal.SIGKILL)
    thread.join()
    assert calm.violations == []
