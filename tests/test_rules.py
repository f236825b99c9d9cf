"""The rules shown and changed, and everything derived anew under them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker import journal_tables
from agent_tracker.config import read_rules, write_rule
from agent_tracker.context import Context, open_store
from agent_tracker.derived import Tally
from agent_tracker.errors import ConfigError
from agent_tracker.paths import user_paths
from agent_tracker.rules import RULES
from agent_tracker.verbs.rules import rederive_all
from agent_tracker.views.rules import Change, rules_history
from facts import NOW, problems, rules_fact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitrepo import GitRepo


def context() -> Context:
    """Return what a verb is given."""
    return Context(user_paths(os.environ), os.environ, time.time_ns())


@pytest.fixture
def coder(repo: GitRepo) -> Iterator[str]:
    """An agent that made two commits here; at the end the store is in order."""
    repo.ok("install-hooks")
    agent = repo.register("coder")
    for subject in ("one", "two"):
        repo.commit(subject, env={"AGENT_TRACKER_AGENT": agent})
    repo.ok("flush")
    yield agent
    assert repo.json("verify")["verify"]["clean"]


def in_force(repo: GitRepo) -> dict[str, dict[str, Any]]:
    """Return the rules as they are shown, by name."""
    return {rule["name"]: rule for rule in repo.json("rules")["rules"]["in_force"]}


def standing(repo: GitRepo, agent: str) -> tuple[int, float, int]:
    """Return an agent's SP, XP and CS."""
    found = repo.json("agents", "show", agent)["agent"]
    return found["skill_points"], found["experience_points"], found["communication_score"]


def test_every_rule_is_shown_with_its_source(repo: GitRepo) -> None:
    """Without any configuration each rule has its default, for all time."""
    shown = in_force(repo)
    assert list(shown) == [rule.name for rule in RULES]
    assert all(each["value"] == each["default"] and each["since"] is None for each in shown.values())
    assert all(each["meaning"] and each["source"].startswith("README, Standing: ") for each in shown.values())
    assert "commitXp" in repo.ok("rules")


@pytest.mark.usefixtures("coder")
def test_a_rule_that_is_set_holds_from_then_on(repo: GitRepo) -> None:
    """What was earned before stays; the change is noted at once, with its time."""
    agent = repo.json("agents")["agents"][0]["id"]
    assert standing(repo, agent)[1] == 10
    assert "commitXp is 7 from now on" in repo.ok("rules", "set", "COMMITXP", "7")
    shown = in_force(repo)["commitXp"]
    assert (shown["value"], shown["default"]) == (7, 5)
    assert shown["since"] is not None
    assert standing(repo, agent)[1] == 10
    time.sleep(1.1)  # a commit's time is in whole seconds
    repo.commit("three", env={"AGENT_TRACKER_AGENT": agent})
    assert standing(repo, agent)[1] == 17
    versions = repo.json("rules")["rules"]["versions"]
    assert versions[-1]["changes"] == [{"name": "commitXp", "before": 5, "after": 7}]
    assert not versions[-1]["for_all"]
    assert "commitXp 5 -> 7" in repo.ok("rules")


@pytest.mark.usefixtures("coder")
def test_unset_brings_the_default_back(repo: GitRepo) -> None:
    """It holds from then on, like any other change."""
    repo.ok("rules", "set", "commitXp", "7")
    repo.ok("rules", "unset", "commitxp")
    assert in_force(repo)["commitXp"]["value"] == 5
    assert len([v for v in repo.json("rules")["rules"]["versions"] if v["changes"]]) == 2
    done = repo.tracker("rules", "unset", "commitXp")
    assert (done.code, "is not set" in done.err) == (1, True)


def test_a_negative_value_needs_no_dashes(repo: GitRepo) -> None:
    """`rules set gradeBad -3` is what anybody would type."""
    repo.ok("rules", "set", "gradeBad", "-3")
    assert in_force(repo)["gradeBad"]["value"] == -3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("set", "comitXp", "7"), 1, "unknown rule"),
        (("set", "commitXp", "seven"), 2, "whole number"),
        (("set", "commitXp", "٣"), 2, "whole number"),
        (("set", "commitXp", "1_0"), 2, "whole number"),
        (("set", "commitXp", " 7"), 2, "whole number"),
        (("set", "commitXp", "-1"), 1, "from 0 to"),
        (("set", "commitXp", "9" * 30), 1, "from 0 to"),
        (("set", "trustJunior", "9"), 1, "must rise"),
    ],
    ids=str,
)
def test_what_no_rule_can_be_is_refused(repo: GitRepo, words: tuple[str, ...], code: int, message: str) -> None:
    """One line and a hint; the file stays as it is."""
    done = repo.tracker("rules", *words)
    assert (done.code, len(done.err.strip().split("\n"))) == (code, 2)
    assert message in done.err
    assert not Path(context().paths.config_file).exists()


@pytest.mark.parametrize(
    "words", [("rules", "set", "commitXp", "9"), ("rules", "unset", "commitXp"), ("rederive", "--yes")]
)
def test_an_agent_does_not_change_its_rules(repo: GitRepo, words: tuple[str, ...]) -> None:
    """In an agent's shell they are shown and not changed, unless a person says who types."""
    repo.ok("rules", "set", "commitXp", "7")
    done = repo.tracker(*words, env={"CLAUDECODE": "1"})
    assert done.code == 1
    assert "AGENT_TRACKER_AGENT=human" in done.err
    assert in_force(repo)["commitXp"]["value"] == 7
    repo.ok(*words, env={"CLAUDECODE": "1", "AGENT_TRACKER_AGENT": "human"})


def test_config_points_to_the_rules(repo: GitRepo) -> None:
    """A rule is no setting; the hint is the command that sets it."""
    done = repo.tracker("config", "set", "commitXp", "7")
    assert done.code == 1
    assert "agent-tracker rules set commitXp" in done.err


def test_the_file_keeps_its_comments(home: Path) -> None:
    """A rule is written into the table of rules, and all else stays as it was."""
    paths = user_paths(os.environ)
    path = Path(paths.config_file)
    path.parent.mkdir(parents=True)
    path.write_text('# mine\npolicy = "warn" # too\n\n[rules]\n# why\npushXp = 3\n')
    assert not write_rule(paths, "commitXp", 7)
    assert write_rule(paths, "commitXp", 8)
    assert path.read_text() == '# mine\npolicy = "warn" # too\n\n[rules]\n# why\npushXp = 3\ncommitXp = 8\n'
    assert read_rules(paths)[0]["commitXp"] == 8
    assert write_rule(paths, "commitXp", None)
    assert "commitXp" not in path.read_text()
    assert home


def test_a_rule_that_is_not_known_can_be_taken_out(repo: GitRepo) -> None:
    """Until it is, no rule is set beside it."""
    path = Path(context().paths.config_file)
    path.parent.mkdir(parents=True)
    path.write_text("[rules]\ncomitXp = 7\n")
    assert repo.tracker("rules", "set", "commitXp", "7").code == 1
    repo.ok("rules", "unset", "comitXp")
    assert repo.tracker("rules").err == ""


def test_rules_that_are_not_valid_stop_no_command(repo: GitRepo, coder: str) -> None:
    """The store's own hold on, each reading says what is wrong once, and only what changes rules fails."""
    path = Path(context().paths.config_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[rules]\nbogus = 1\n")
    for words in (("status",), ("log",), ("agents",), ("rules",), ("flush",)):
        repo.commit(words[0], env={"AGENT_TRACKER_AGENT": coder})
        done = repo.tracker(*words)
        assert (done.code, done.err.count("unknown rule 'bogus'")) == (0, 1), (words, done)
    assert repo.tracker("log").err.count("unknown rule 'bogus'") == 1
    remote = repo.path.parent / "remote"
    repo.git("init", "--quiet", "--bare", remote)
    repo.commit("pushed", env={"AGENT_TRACKER_AGENT": coder})
    done = repo.try_git("push", "--quiet", remote, "HEAD")
    assert (done.code, done.err.count("unknown rule 'bogus'")) == (0, 1), done
    assert "unknown rule 'bogus'" in repo.tracker("doctor").out
    for command in ("rules set pushXp 1", "rederive --yes"):
        done = repo.tracker(*command.split())
        assert (done.code, "unknown rule 'bogus'" in done.err) == (1, True)
    path.unlink()


def test_rules_set_at_once_all_arrive(repo: GitRepo) -> None:
    """Each waits for the others: none writes over what another has just written."""
    names = [rule.name for rule in RULES if rule.name.endswith("Xp")] + ["bugSp", "gradeGood", "newCs"]
    argv = [sys.executable, "-m", "agent_tracker", "rules", "set"]
    running = [subprocess.Popen([*argv, name, "3"], cwd=repo.path, stdout=subprocess.DEVNULL) for name in names]
    assert [process.wait(timeout=120) for process in running] == [0] * len(names)
    configured, _ = read_rules(context().paths)
    assert {name: configured[name] for name in names} == dict.fromkeys(names, 3)


def test_a_commit_right_after_a_change_has_the_new_rule(repo: GitRepo, coder: str) -> None:
    """And one right before it the old one, though a commit's time is in whole seconds."""
    before = standing(repo, coder)[1]
    repo.commit("old", env={"AGENT_TRACKER_AGENT": coder})
    repo.ok("rules", "set", "commitXp", "20")
    repo.commit("new", env={"AGENT_TRACKER_AGENT": coder})
    assert standing(repo, coder)[1] == before + 5 + 20
    repo.ok("rules", "unset", "commitXp")
    repo.commit("last", env={"AGENT_TRACKER_AGENT": coder})
    assert standing(repo, coder)[1] == before + 5 + 20 + 5


@pytest.mark.damages
def test_a_rule_is_set_where_the_store_cannot_be_used(repo: GitRepo, coder: str) -> None:
    """The file is changed, and it is said from when on it holds."""
    store, _ = open_store(context())
    content = Path(store.path).read_bytes()
    Path(store.path).write_bytes(b"no database")
    done = repo.tracker("rules", "set", "commitXp", "9")
    assert (done.code, done.out) == (0, "commitXp is 9 in config.toml, in force at the next flush\n")
    assert done.err.startswith("warning: ")
    assert read_rules(context().paths)[0]["commitXp"] == 9
    Path(store.path).write_bytes(content)
    assert in_force(repo)["commitXp"]["value"] == 9
    assert coder


def test_rules_fit_into_a_line(repo: GitRepo) -> None:
    """Also in a pipe."""
    assert max(map(len, repo.ok("rules").splitlines())) <= 100


def test_a_table_that_is_none_is_an_error(home: Path) -> None:
    """`rules` must be a table."""
    paths = user_paths(os.environ)
    path = Path(paths.config_file)
    path.parent.mkdir(parents=True)
    path.write_text("rules = 7\n")
    with pytest.raises(ConfigError, match="not a table"):
        write_rule(paths, "commitXp", 7)
    assert home


def test_the_history_says_what_changed_when() -> None:
    """Facts in any order; a version for all that happened leaves no value with a beginning."""
    first, second = rules_fact(at=NOW, commitXp=7), rules_fact(at=NOW + 10, commitXp=7, pushXp=3)
    history = rules_history([second, first])
    since = {row.name: row.since_ns for row in history.rules if row.since_ns}
    assert since == {"commitXp": NOW * 10**9, "pushXp": (NOW + 10) * 10**9}
    assert [version.changes for version in history.versions] == [
        (Change("commitXp", 5, 7),),
        (Change("pushXp", 10, 3),),
    ]
    whole = rules_history([second, first, rules_fact(at=NOW + 20, is_for_all=True, commitXp=7)])
    assert whole.is_for_all
    assert {row.name: row.value for row in whole.rules}["pushXp"] == 10


def test_rederive_puts_the_rules_in_force_for_all(repo: GitRepo, coder: str) -> None:
    """A dry run changes nothing and says the same as the real one, which a second one finds nothing to do after."""
    repo.ok("rules", "set", "commitXp", "60")
    other = repo.register("idle")
    planned = repo.json("rederive", "--dry-run")["rederivation"]
    assert standing(repo, coder) == (1, 10, 60)
    done = json.loads(repo.ok("rederive", "--yes", "--json"))["rederivation"]
    assert {**planned, "dry_run": False} == done
    assert done["rules_change"]
    assert done["unchanged"] == 1
    (shift,) = done["changed"]
    assert (shift["agent_id"], shift["before"]["experience_points"], shift["after"]["experience_points"]) == (
        coder,
        10,
        20,
    )
    assert shift["after"]["skill_points"] == 2
    assert standing(repo, coder) == (2, 20, 60)
    assert standing(repo, other) == (1, 0, 60)
    again = json.loads(repo.ok("rederive", "--yes", "--json"))["rederivation"]
    assert (again["changed"], again["unchanged"], again["rules_change"]) == ([], 2, False)
    assert in_force(repo)["commitXp"]["since"] is None


def test_rederive_shows_a_table_of_what_changed(repo: GitRepo, coder: str) -> None:
    """Only the rows that change, with both values, and how many do not."""
    repo.ok("rules", "set", "commitXp", "60")
    shown = repo.ok("rederive", "--dry-run")
    assert coder in shown
    assert "1 -> 2" in shown
    assert "10 -> 20" in shown
    assert "1 agent would change, 0 unchanged." in shown


def test_rederive_in_a_pipe_needs_a_yes(repo: GitRepo, coder: str) -> None:
    """Nothing is changed without being asked for."""
    done = repo.tracker("rederive")
    assert done.code == 2
    assert "agent-tracker rederive --yes" in done.err
    assert standing(repo, coder) == (1, 10, 60)


def test_rederive_without_a_store_has_nothing_to_do(repo: GitRepo) -> None:
    """Neither run makes an error of it."""
    assert "0 agents" in repo.ok("rederive", "--dry-run")
    assert "0 agents" in repo.ok("rederive", "--yes")


def test_rederive_mends_what_was_derived_wrongly(coder: str) -> None:
    """A tally that does not follow from the facts, and a standing, are as they must be afterwards."""
    store, _ = open_store(context())
    with store.writer(timeout_s=5) as writer:
        place = next(iter(journal_tables.tallies(writer)))
        journal_tables.put_tally(writer, place, Tally(77, 1, 2, 3, 4))
        agent = writer.agents()[0]
        writer.put_agent(agent._replace(standing=agent.standing._replace(total_commits=99)))
    assert problems(store)
    done = rederive_all(context(), dry_run=False)
    assert problems(store) == ()
    assert [(shift.agent, shift.after.total_commits) for shift in done.shifts] == [(coder, 2)]
    assert not done.is_rules_change


def test_a_damaged_derived_record_is_mended(repo: GitRepo, coder: str) -> None:
    """One whose checksum is wrong is replaced like any other."""
    store, _ = open_store(context())
    with store.writer(timeout_s=5) as writer:
        table = writer.table("metrics")
        key = next(table.keys(b"t"))
        table._txn.put(key, b"nonsense", db=table._handle)
    assert problems(store)
    repo.ok("rederive", "--yes")
    assert problems(store) == ()
    assert standing(repo, coder) == (1, 10, 60)
