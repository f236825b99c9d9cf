"""The main job: installed hooks, real commits, a push to a bare remote, and what the store has then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepo import GitRepo, run

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def work(repo: GitRepo, tmp_path: Path) -> GitRepo:
    """A repository with hooks, one commit older than they are, and a bare remote."""
    run("git", "init", "--quiet", "--bare", tmp_path / "remote.git", cwd=tmp_path)
    repo.commit("older: before the hooks")
    repo.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    repo.ok("install-hooks")
    return repo


def clean(repo: GitRepo) -> None:
    """Assert that verify finds nothing wrong."""
    found = repo.json("verify")["verify"]
    assert found["clean"], found


def as_agent(agent: str) -> dict[str, str]:
    """Return the environment of an agent that names itself."""
    return {"AGENT_TRACKER_AGENT": agent}


def test_a_push_brings_agents_commits_to_the_store(work: GitRepo) -> None:
    """Two agents and a person commit; the push alone puts every commit where it belongs."""
    one, two = work.register("one"), work.register("two")
    work.commit("feat: by one", env=as_agent(one))
    work.commit("feat2: by two", env=as_agent("two"))
    work.commit("docs: by a person")
    work.git("push", "--quiet", "--set-upstream", "origin", "main")
    assert work.credited() == {"feat: by one": one, "feat2: by two": two, "docs: by a person": "human"}
    agents = {agent["id"]: agent for agent in work.json("agents")["agents"]}
    assert {key: agents[one][key] for key in ("experience_points", "total_commits", "skill_points")} == {
        "experience_points": 5,
        "total_commits": 1,
        "skill_points": 1,
    }
    clean(work)


def test_json_keeps_the_data_models_names(work: GitRepo) -> None:
    """`log --json` and `agents --json` carry every promised field."""
    agent = work.register("one", client="claude")
    oid = work.commit("feat: a", env={"CLAUDECODE": "1"})
    work.ok("flush")
    (commit,) = work.commits()
    assert commit["commit_hash"] == oid
    assert commit["agent_id"] == agent
    assert commit["claim"] == "agent"
    assert commit["credits"] == [{"agent_id": agent, "share": 1}]
    assert commit["project_path"] == str(work.path)
    assert commit["task_description"] == "feat: a"
    assert commit["experience_gained"] == 5
    assert commit["timestamp"].endswith("Z")
    names = "id name model scope skill_points experience_points communication_score total_commits total_bugs"
    (found,) = work.json("agents")["agents"]
    assert {*names.split(), "active", "created_at", "updated_at"} <= found.keys()
    assert work.json("log")["version"] == work.json("agents")["version"] == 1


@pytest.mark.parametrize("options", [("--no-verify",), ("--allow-empty",), ("--signoff",)], ids=str)
def test_every_commit_counts_once(work: GitRepo, options: tuple[str, ...]) -> None:
    """A commit made with an odd option is counted once."""
    agent = work.register("one")
    work.commit("feat: a", *options, env=as_agent(agent))
    work.ok("flush")
    work.ok("flush")
    assert work.credited() == {"feat: a": agent}
    clean(work)


def test_an_amend_counts_once(work: GitRepo) -> None:
    """Amending twice leaves one commit, with the last oid and the same agent."""
    agent = work.register("one")
    work.commit("feat: a", env=as_agent(agent))
    work.git("commit", "--quiet", "--amend", "-m", "feat: b", env=as_agent(agent))
    work.ok("flush")
    oid = work.commit("feat: c", "--amend", env=as_agent(agent))
    work.ok("flush")
    assert [(c["commit_hash"], c["agent_id"], c["operation"]) for c in work.commits()] == [(oid, agent, "amend")]
    assert work.json("agents")["agents"][0]["experience_points"] == 5
    clean(work)


def test_an_amend_undone_and_made_again_counts_once(work: GitRepo) -> None:
    """Reset to the commit before the amend, amend differently: still one piece of work, the last one."""
    agent = work.register("one")
    first = work.commit("feat: a", env=as_agent(agent))
    work.git("commit", "--quiet", "--amend", "-m", "feat: b", env=as_agent(agent))
    work.git("reset", "--quiet", "--hard", first)
    work.git("commit", "--quiet", "--amend", "-m", "feat: c", env=as_agent(agent))
    work.ok("flush")
    assert work.credited() == {"feat: c": agent}
    clean(work)


def test_a_persons_amend_of_an_agents_commit_shares_by_lines(work: GitRepo) -> None:
    """Thirty lines by the agent and ten added by a person: the agent keeps three quarters."""
    agent = work.register("one")
    work.commit("feat: a", text="line\n" * 30, env=as_agent(agent))
    work.write("more.txt", "mine\n" * 10)
    work.git("add", "--all")
    work.git("commit", "--quiet", "--amend", "--no-edit")
    work.ok("flush")
    (commit,) = work.commits()
    assert commit["agent_id"] == agent
    assert commit["credits"] == [{"agent_id": agent, "share": 0.75}, {"agent_id": None, "share": 0.25}]
    assert commit["experience_gained"] == 3.75
    clean(work)


def test_an_agents_new_message_earns_it_nothing(work: GitRepo) -> None:
    """An agent that only rewords a commit older than the hooks gets no credit for it."""
    agent = work.register("one")
    work.git("commit", "--quiet", "--amend", "-m", "reworded", env=as_agent(agent))
    work.ok("flush")
    assert work.credited() == {"reworded": "unclaimed"}
    clean(work)


@pytest.mark.parametrize("backend", ["--merge", "--apply"])
def test_a_rebase_keeps_each_commits_agent(work: GitRepo, backend: str) -> None:
    """Commits of two agents, rebased by a person: new oids, the same credit, counted once."""
    one, two = work.register("one"), work.register("two")
    work.git("switch", "--quiet", "--create", "topic")
    work.commit("a: by one", env=as_agent(one))
    work.commit("b: by two", env=as_agent(two))
    work.git("switch", "--quiet", "main")
    work.commit("c: by a person")
    work.ok("flush")
    work.git("switch", "--quiet", "topic")
    work.git("rebase", "--quiet", backend, "main")
    work.ok("flush")
    assert work.credited() == {"a: by one": one, "b: by two": two, "c: by a person": "human"}
    assert {c["commit_hash"] for c in work.commits()} == set(work.git("rev-list", "-3", "HEAD").split())
    clean(work)


def test_fixup_and_squash_share_one_commit(work: GitRepo) -> None:
    """An autosquashed fixup by another agent shares the credit by lines, in one commit."""
    one, two = work.register("one"), work.register("two")
    work.commit("a: by one", text="line\n" * 30, env=as_agent(one))
    work.write("b.txt", "line\n" * 10)
    work.git("add", "--all")
    work.git("commit", "--quiet", "--fixup", "HEAD", env=as_agent(two))
    work.git("rebase", "--quiet", "--interactive", "--autosquash", "HEAD~2", env={"GIT_SEQUENCE_EDITOR": "true"})
    work.ok("flush")
    (commit,) = work.commits()
    assert commit["commit_hash"] == work.head()
    assert {c["agent_id"]: c["share"] for c in commit["credits"]} == {one: 0.75, two: 0.25}
    clean(work)


def test_a_flush_in_the_middle_of_a_rebase_counts_nothing_twice(work: GitRepo) -> None:
    """Stopped at `edit`, flushed, amended, flushed, continued, flushed: as many pieces of work as before."""
    agent = work.register("one")
    for name in ("a", "b", "c"):
        work.commit(f"{name}: work", env=as_agent(agent))
    work.ok("flush")
    sequence = {"GIT_SEQUENCE_EDITOR": "sed -i '1s/pick/edit/'"}
    work.git("rebase", "--quiet", "--interactive", "HEAD~3", env=sequence)
    work.git("commit", "--quiet", "--amend", "-m", "a: amended")
    work.ok("flush")
    assert len(work.commits()) == 3
    work.git("rebase", "--continue")
    work.ok("flush")
    assert work.credited() == {"a: amended": agent, "b: work": agent, "c: work": agent}
    assert {c["commit_hash"] for c in work.commits()} == set(work.git("rev-list", "-3", "HEAD").split())
    clean(work)


def test_commits_no_hook_saw_come_from_the_reflog(work: GitRepo) -> None:
    """A merge --no-ff, an am of what is there already, and a commit with the hooks turned away are found, each once."""
    work.git("switch", "--quiet", "--create", "topic")
    work.commit("topic: work")
    patch = work.git("format-patch", "-1", "--stdout") + "\n"
    work.git("switch", "--quiet", "main")
    work.commit("other: work")
    work.git("merge", "--quiet", "--no-ff", "-m", "merged", "topic")
    work.git("switch", "--quiet", "--create", "mailed", "HEAD~1")
    work.git("am", "--quiet", stdin=patch)
    work.write("d.txt", "d")
    work.git("add", "--all")
    work.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "hidden")
    work.ok("flush")
    found = [(c["task_description"], c["claim"]) for c in work.commits()]
    assert sorted(found) == [
        ("hidden", "unclaimed"),
        ("merged", "human"),
        ("other: work", "human"),
        ("topic: work", "human"),
    ]
    clean(work)


def test_a_hidden_amend_is_paired_by_the_reflog(work: GitRepo) -> None:
    """An amend that no hook saw replaces the commit it amended."""
    agent = work.register("one")
    work.commit("feat: a", env=as_agent(agent))
    work.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--amend", "-m", "feat: b")
    work.ok("flush")
    assert work.credited() == {"feat: b": agent}
    clean(work)


def test_what_was_fetched_does_not_count(work: GitRepo, tmp_path: Path) -> None:
    """Commits that came by a pull are not this repository's work."""
    work.git("push", "--quiet", "origin", "main")
    other = work.clone(tmp_path / "other")
    other.git("remote", "set-url", "origin", str(tmp_path / "remote.git"))
    other.commit("theirs: work")
    other.git("push", "--quiet", "origin", "main")
    work.git("pull", "--quiet", "--ff-only", "origin", "main")
    work.git("push", "--quiet", "origin", "main")
    work.ok("flush")
    assert work.credited() == {}


def test_a_stranger_is_refused_and_the_hint_mends_it(work: GitRepo) -> None:
    """An unregistered client cannot commit; the command in the message, run as it stands, lets it."""
    work.write("a.txt", "a")
    work.git("add", "--all")
    refused = work.try_git("commit", "-m", "feat: a", env={"CLAUDECODE": "1"})
    assert refused.code == 1
    command = next(line for line in refused.err.splitlines() if "agent-tracker register" in line).strip()
    words = command.replace("MODEL", "m").replace("SCOPE", "s").split()
    work.ok(*words[1:])
    work.git("commit", "--quiet", "-m", "feat: a", env={"CLAUDECODE": "1"})
    work.ok("flush")
    assert [c["claim"] for c in work.commits()] == ["agent"]


@pytest.mark.parametrize(("policy", "code", "is_warned"), [("enforce", 1, True), ("warn", 0, True), ("off", 0, False)])
def test_the_policy_decides(work: GitRepo, policy: str, code: int, *, is_warned: bool) -> None:
    """Enforce refuses an unregistered agent, warn says so, off says nothing."""
    work.ok("config", "set", "policy", policy, "--repo")
    done = work.try_git("commit", "--allow-empty", "-m", "feat: a", env=as_agent("nobody"))
    assert done.code == code
    assert ("agent-tracker register" in done.err) is is_warned


def test_an_unregistered_agents_commit_is_credited_when_it_is_registered(work: GitRepo) -> None:
    """What --no-verify let through stays unclaimed, and is the agent's once it is registered."""
    work.commit("feat: a", "--no-verify", env=as_agent("late"))
    work.ok("flush")
    assert work.credited() == {"feat: a": "unclaimed"}
    agent = work.register("late")
    assert work.credited() == {"feat: a": agent}
    clean(work)


def test_a_retired_agent_is_refused_until_resumed(work: GitRepo) -> None:
    """Retiring stops its commits, resuming lets them through."""
    agent = work.register("one")
    work.ok("agents", "retire", "one")
    refused = work.try_git("commit", "--allow-empty", "-m", "feat: a", env=as_agent(agent))
    assert refused.code == 1
    assert f"agent-tracker agents resume {agent}" in refused.err
    work.ok("agents", "resume", "one")
    work.git("commit", "--quiet", "--allow-empty", "-m", "feat: a", env=as_agent(agent))
    work.ok("flush")
    assert work.credited() == {"feat: a": agent}
    clean(work)


def test_use_credits_this_worktree_alone(work: GitRepo, tmp_path: Path) -> None:
    """`use` in one worktree leaves the commits of another to the person."""
    agent = work.register("one")
    work.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "linked")
    linked = GitRepo(tmp_path / "linked")
    linked.ok("use", "one")
    linked.commit("a: by the agent")
    work.commit("b: by a person")
    work.ok("flush")
    assert work.credited() == {"a: by the agent": agent, "b: by a person": "human"}


def test_use_expires(work: GitRepo) -> None:
    """After its hours `use` credits nobody."""
    work.register("one")
    work.ok("use", "one", "--hours", "0.0003")
    run("sleep", "1.5", cwd=work.path)
    work.commit("a: by a person")
    work.ok("flush")
    assert work.credited() == {"a: by a person": "human"}


def test_a_person_may_say_so(work: GitRepo) -> None:
    """AGENT_TRACKER_AGENT=human makes a commit in a client's shell a person's."""
    work.commit("a: mine", env={"CLAUDECODE": "1", "AGENT_TRACKER_AGENT": "human"})
    work.ok("flush")
    assert work.credited() == {"a: mine": "human"}


def test_credit_puts_a_wrong_one_right(work: GitRepo) -> None:
    """A person's correction moves the commit and its experience, and can be corrected again."""
    agent = work.register("one")
    work.commit("a: work", env=as_agent(agent))
    work.ok("flush")
    work.ok("credit", "HEAD", "human", "--why", "I wrote it")
    assert work.credited() == {"a: work": "human"}
    assert work.json("agents")["agents"][0]["experience_points"] == 0
    work.ok("credit", "HEAD", "one")
    assert work.credited() == {"a: work": agent}
    clean(work)


def test_credit_says_what_became_of_a_commit(work: GitRepo) -> None:
    """The credit of a commit that was amended is that of the amended one, which the error names."""
    work.register("one")
    old = work.commit("a: work")
    work.git("commit", "--quiet", "--amend", "-m", "b: work")
    done = work.tracker("credit", old, "one")
    new = work.head()[:12]
    assert (done.code, done.out) == (1, "")
    assert f"became {new}" in done.err
    assert f"agent-tracker credit {new} one" in done.err
    work.ok("credit", new, "one")


def test_a_commit_in_two_clones_is_one_fact(work: GitRepo, tmp_path: Path) -> None:
    """A clone's log shows what the first clone recorded, and nothing twice."""
    agent = work.register("one")
    work.commit("a: work", env=as_agent(agent))
    work.git("push", "--quiet", "origin", "main")
    clone = GitRepo(tmp_path / "clone")
    run("git", "clone", "--quiet", tmp_path / "remote.git", clone.path, cwd=tmp_path)
    clone.ok("install-hooks")
    clone.commit("b: work", env=as_agent(agent))
    clone.ok("flush")
    assert clone.credited() == {"a: work": agent, "b: work": agent}
    assert work.credited() == clone.credited()
    clean(work)


def test_flush_all_reaches_every_repository(make_repo: Callable[..., GitRepo]) -> None:
    """One command flushes every repository in which hooks were installed."""
    first, second = make_repo("first"), make_repo("second")
    for repo in (first, second):
        repo.ok("install-hooks")
    agent = first.register("one")
    for repo in (first, second):
        repo.commit(f"{repo.path.name}: work", env=as_agent(agent))
    found = json.loads(first.ok("flush", "--all", "--json"))
    assert [r["commits"] for r in found["repositories"]] == [1, 1]
    assert len(first.json("log", "--all")["commits"]) == 2


def test_a_damaged_or_missing_store_never_stops_git(work: GitRepo, home: Path) -> None:
    """With a directory at the database's path commits and pushes go on, and a later flush has them all."""
    agent = work.register("one")
    database = home / ".config/opencode/agent-tracker.lmdb"
    database.rename(database.with_suffix(".away"))
    database.mkdir()
    work.commit("a: work", env=as_agent(agent))
    pushed = work.try_git("push", "--quiet", "origin", "main")
    assert pushed.code == 0
    assert len(pushed.err.strip().splitlines()) == 1, pushed.err
    database.rmdir()
    database.with_suffix(".away").rename(database)
    work.ok("flush")
    assert work.credited() == {"a: work": agent}


def test_the_hooks_of_a_removed_package_are_harmless(work: GitRepo) -> None:
    """With the interpreter gone people commit, agents commit, and pushes go through."""
    core = work.path / ".git/hooks/agent-tracker.sh"
    text = core.read_text()
    core.write_text(text.replace("AT_PYTHON='", "AT_PYTHON='/gone", 1))
    work.commit("a: by a person")
    work.commit("b: by a stranger", env=as_agent("nobody"))
    work.git("push", "--quiet", "origin", "main")
    core.write_text(text)
    work.ok("flush")
    assert work.credited() == {"a: by a person": "human", "b: by a stranger": "unclaimed"}


def test_work_added_at_an_edit_stop_is_the_adders(work: GitRepo) -> None:
    """A commit added where a rebase stopped is new work, and the commit it stopped at keeps its own agent."""
    one, two = work.register("one"), work.register("two")
    work.commit("a: by one", env=as_agent(one))
    work.commit("b: by one", env=as_agent(one))
    work.git("rebase", "--quiet", "--interactive", "HEAD~2", env={"GIT_SEQUENCE_EDITOR": "sed -i '1s/pick/edit/'"})
    work.commit("extra: by two", env=as_agent(two))
    work.git("rebase", "--continue")
    work.ok("flush")
    assert work.credited() == {"a: by one": one, "b: by one": one, "extra: by two": two}
    clean(work)


def test_a_skipped_commit_takes_no_share(work: GitRepo) -> None:
    """`rebase --skip` drops a commit: the one before keeps its agent whole."""
    one, two = work.register("one"), work.register("two")
    work.commit("base: file", text="0\n")
    work.git("switch", "--quiet", "--create", "topic")
    work.commit("a: by one", env=as_agent(one))
    work.write("base.txt", "topic\n")
    work.git("commit", "--quiet", "--all", "-m", "b: by two", env=as_agent(two))
    work.git("switch", "--quiet", "main")
    work.write("base.txt", "main\n")
    work.git("commit", "--quiet", "--all", "-m", "c: by a person")
    work.git("switch", "--quiet", "topic")
    assert work.try_git("rebase", "main").code == 1
    work.git("rebase", "--skip")
    work.ok("flush")
    assert work.credited() == {"a: by one": one, "base: file": "human", "c: by a person": "human"}
    clean(work)


def test_a_retired_agent_in_use_is_refused(work: GitRepo) -> None:
    """`use` holds no longer than the agent's registration."""
    work.register("one")
    work.ok("use", "one")
    work.ok("agents", "retire", "one")
    refused = work.try_git("commit", "--allow-empty", "-m", "a")
    assert refused.code == 1
    assert "agents resume one-" in refused.err


def test_a_retired_client_agent_is_named_by_its_id(work: GitRepo) -> None:
    """The one command that mends it works as it stands."""
    agent = work.register("one", client="claude")
    work.ok("agents", "retire", "one")
    refused = work.try_git("commit", "--allow-empty", "-m", "a", env={"CLAUDECODE": "1"})
    assert refused.code == 1
    command = next(line for line in refused.err.splitlines() if "resume" in line).split()
    work.ok(*command[1:])
    work.git("commit", "--quiet", "--allow-empty", "-m", "a", env={"CLAUDECODE": "1"})
    work.ok("flush")
    assert work.credited() == {"a": agent}


@pytest.mark.parametrize("place", ["variable", "git", "file"])
def test_a_policy_set_past_the_command_holds(work: GitRepo, home: Path, place: str) -> None:
    """The environment, git's configuration and a file edited by hand are obeyed, not only what `config` mirrors."""
    env = as_agent("nobody") | ({"AGENT_TRACKER_POLICY": "off"} if place == "variable" else {})
    if place == "git":
        work.git("config", "agenttracker.policy", "off")
    if place == "file":
        (home / ".config/agent-tracker").mkdir(parents=True)
        (home / ".config/agent-tracker/config.toml").write_text('policy = "off"\n')
    done = work.try_git("commit", "--allow-empty", "-m", "a", env=env)
    assert (done.code, done.err) == (0, "")


def test_a_policy_in_the_environment_goes_over_the_mirror(work: GitRepo) -> None:
    """A repository that is off is enforced where the environment says so."""
    work.ok("config", "set", "policy", "off", "--repo")
    env = as_agent("nobody") | {"AGENT_TRACKER_POLICY": "enforce"}
    assert work.try_git("commit", "--allow-empty", "-m", "a", env=env).code == 1


def test_a_lost_store_comes_back_with_its_agents(work: GitRepo, home: Path) -> None:
    """With the database and the user's segments gone, the agents come from the registry, the commits from segments."""
    agent = work.register("one")
    work.commit("a: work", env=as_agent(agent))
    work.ok("flush")
    for path in (home / ".config/opencode").iterdir():
        path.unlink()
    for path in (home / ".local/state/agent-tracker/spool").glob("seg-*"):
        path.unlink()
    work.ok("flush")
    assert work.credited() == {"a: work": agent}
    clean(work)


def test_forty_registrations_at_once(repo: GitRepo) -> None:
    """Every agent is registered, and every hook knows it."""
    argv = [sys.executable, "-m", "agent_tracker", "register"]
    started = [
        subprocess.Popen([*argv, f"p{n}", "--model", "m", "--scope", "s"], stdout=subprocess.DEVNULL) for n in range(40)
    ]
    assert [process.wait(timeout=100) for process in started] == [0] * 40
    found = {agent["id"] for agent in repo.json("agents")["agents"]}
    assert len(found) == 40
    markers = Path.home() / ".local/state/agent-tracker/registry/ids"
    assert {path.name for path in markers.iterdir()} == found


def test_an_expired_reflog_brings_nothing_old(work: GitRepo) -> None:
    """Where the reflog was rewritten, commits from before the installation stay uncounted."""
    run("sleep", "1.1", cwd=work.path)
    work.commit("a: work")
    work.ok("flush")
    work.git("reflog", "delete", "HEAD@{0}")
    work.commit("b: work")
    work.ok("flush")
    assert work.credited() == {"a: work": "human", "b: work": "human"}


def test_an_undone_amend_gives_the_work_back(work: GitRepo) -> None:
    """After `reset --hard` to the commit before two amends, that commit counts, and is its own agent's alone."""
    one, two = work.register("one"), work.register("two")
    first = work.commit("a: by one", env=as_agent(one))
    for text in ("more", "and more"):
        work.write("b.txt", text)
        work.git("add", "--all")
        work.git("commit", "--quiet", "--amend", "-m", text, env=as_agent(two))
    work.ok("flush")
    work.git("reset", "--quiet", "--hard", first)
    work.ok("flush")
    assert [(c["commit_hash"], c["agent_id"], len(c["credits"])) for c in work.commits()] == [(first, one, 1)]
    clean(work)


def test_an_aborted_rebase_leaves_everything_as_it_was(work: GitRepo) -> None:
    """What was amended and added before `rebase --abort` is gone, what was there before counts."""
    one, two = work.register("one"), work.register("two")
    before = {work.commit(f"{name}: by one", env=as_agent(one)) for name in ("a", "b")}
    work.git("rebase", "--quiet", "--interactive", "HEAD~2", env={"GIT_SEQUENCE_EDITOR": "sed -i '1s/pick/edit/'"})
    work.git("commit", "--quiet", "--amend", "-m", "amended", env=as_agent(two))
    work.commit("extra: by two", env=as_agent(two))
    work.git("rebase", "--abort")
    work.ok("flush")
    assert {c["commit_hash"]: c["agent_id"] for c in work.commits()} == dict.fromkeys(before, one)
    clean(work)


def test_an_amend_undone_and_made_again_as_it_was_counts(work: GitRepo) -> None:
    """With the dates fixed the second amend has the oid of the first: it is not taken for undone."""
    agent = work.register("one")
    env = as_agent(agent) | {"GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}
    first = work.commit("a: work", env=env)
    for _ in range(2):
        work.git("reset", "--quiet", "--hard", first)
        work.git("commit", "--quiet", "--amend", "-m", "b: work", env=env)
    work.ok("flush")
    assert work.credited() == {"b: work": agent}
    clean(work)


def test_a_push_takes_up_what_a_failed_flush_sealed(work: GitRepo, home: Path) -> None:
    """A flush that could not open the database leaves its segment to the next push, and status says that it waits."""
    agent = work.register("one")
    database = home / ".config/opencode/agent-tracker.lmdb"
    database.rename(database.with_suffix(".away"))
    database.mkdir()
    work.commit("a: work", env=as_agent(agent))
    assert work.tracker("flush").code == 1
    database.rmdir()
    database.with_suffix(".away").rename(database)
    assert work.json("status", "--no-flush")["status"]["waiting_bytes"] > 0
    work.git("push", "--quiet", "origin", "main")
    assert work.credited() == {"a: work": agent}
    assert work.json("status", "--no-flush")["status"]["waiting_bytes"] == 0


def test_use_is_said_where_only_python_can_write_the_line(work: GitRepo) -> None:
    """A session id that no line of the shell's can hold goes by way of Python, which says whom it credits as well."""
    agent = work.register("one")
    work.ok("use", "one")
    work.write("a.txt", "a")
    work.git("add", "--all")
    done = work.try_git("commit", "--quiet", "-m", "a: work", env={"AGENT_TRACKER_SESSION": "two\nlines"})
    assert (done.code, done.err.strip()) == (0, f"agent-tracker: credited to {agent} (agent-tracker use)")
    work.ok("flush")
    assert work.credited() == {"a: work": agent}
