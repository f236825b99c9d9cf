"""Setups: recorded with every commit at the flush, compared by the view, shown by the commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from agent_tracker.cli.setups import setups_app
from agent_tracker.context import open_store
from agent_tracker.errors import UsageError
from agent_tracker.instructions import NONE, Files, setup_marks, setup_of
from agent_tracker.lines import commit_line
from agent_tracker.paths import RepositoryPaths
from agent_tracker.records import HUMAN, UNCLAIMED, CommitFact, ProjectFact, SeenCommit
from agent_tracker.repository import find_repository
from agent_tracker.spool import append
from agent_tracker.verbs.judged import read_judgements
from agent_tracker.views.setups import SetupUse, find_setups, setups
from facts import (
    NOW,
    PROJECT,
    agent_fact,
    apply_all,
    bug,
    by_agent,
    commit_fact,
    grade,
    oid,
    project_fact,
    reading,
    rewrite,
    store_at,
)
from gitrepo import GitRepo, run
from test_ways import Place, context, make_place

if TYPE_CHECKING:
    from pathlib import Path

    from agent_tracker.records import Commit, Fact, Marks
    from agent_tracker.store import Store

A, B = "a" * 40, "b" * 40
ONE: Files = (("AGENTS.md", A),)
TWO: Files = (("AGENTS.md", B), ("CLAUDE.md", A))
OTHER = "99999999-2222-3333-4444-555555555555"


def fingerprint(files: Files | None) -> str:
    """Return the fingerprint of these files."""
    return setup_of(setup_marks(files)).fingerprint


# -- recorded at the flush


@pytest.fixture(params=["main", "main-flushing", "linked", "sha256"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A worktree with hooks and agents."""
    return make_place(tmp_path, request.param)


def marks_of(place: Place, subject: str) -> Marks:
    """Return a counted commit's marks."""
    found = next(commit for commit in place.counted() if commit.subject == subject)
    store, _ = open_store(context())
    return reading(store, lambda snapshot: snapshot.marks(found.marks))


def files_of(place: Place, subject: str) -> Files | None:
    """Return a counted commit's instruction files as they are recorded, None where nobody looked; none twice."""
    marks = marks_of(place, subject)
    values = [value for name, value in marks if name == "setup"]
    assert len(set(values)) == len(values)
    setup = setup_of(marks)
    return setup.files if setup.fingerprint else None


def expected_files(place: Place, revision: str, *paths: str) -> Files:
    """Return what git says of these paths."""
    return tuple((path, place.repo.head(f"{revision}:{path}")) for path in sorted(paths))


def test_each_commit_has_the_setup_of_its_own_tree(place: Place) -> None:
    """None at first, a file, another content, a directory beside it, and none again."""
    place.commit("none", by="one")
    place.commit("added", "Be brief.", by="one", file="AGENTS.md")
    place.commit("kept", by="two")
    place.commit("changed", "Be long.", by="one", file="AGENTS.md")
    place.commit("more", "rule", by="one", file=".cursor/rules/a.md")
    place.git("rm", "--quiet", "-r", "AGENTS.md", ".cursor")
    place.git("commit", "--quiet", "-m", "removed", by="two")
    place.flush()
    assert {
        subject: files_of(place, subject) for subject in ("none", "added", "kept", "changed", "more", "removed")
    } == {
        "none": (),
        "added": expected_files(place, "HEAD~4", "AGENTS.md"),
        "kept": expected_files(place, "HEAD~4", "AGENTS.md"),
        "changed": expected_files(place, "HEAD~2", "AGENTS.md"),
        "more": expected_files(place, "HEAD~1", "AGENTS.md", ".cursor/rules"),
        "removed": (),
    }


def test_a_setup_changes_nothing_about_whose_a_commit_is(place: Place) -> None:
    """With instruction files for several clients, each commit is its own agent's, or a person's."""
    place.commit("a", "for all", by="one", file="AGENTS.md")
    place.commit("b", "for one", by="two", file="CLAUDE.md")
    place.commit("c", "for another", file=".github/copilot-instructions.md")
    place.flush()
    assert place.credited() == {"a": "one", "b": "two", "c": "human"}


def test_a_hook_that_speaks_late_leaves_the_setup_as_it_was(place: Place) -> None:
    """A commit that the reflog told of first has its setup once, before and after the hook's word."""
    place.write("AGENTS.md", "Be brief.")
    place.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "late")
    place.flush()
    before = files_of(place, "late")
    repository = find_repository(str(place.repo.path), {})
    seen = SeenCommit(bytes.fromhex(place.repo.head()), "", "", "", (("AGENT_TRACKER_AGENT", place.ids["one"]),))
    append(RepositoryPaths(repository.common_dir).spool_dir, commit_line(seen))
    place.flush()
    assert place.credited() == {"late": "one"}
    assert files_of(place, "late") == before == expected_files(place, "HEAD", "AGENTS.md")
    store, _ = open_store(context())
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert [use.files for use in setups(snapshot, project=None, judged={})] == [before]


def test_a_rewritten_commit_has_the_setup_of_what_it_became(place: Place) -> None:
    """An amend that changes the instructions counts with the new ones."""
    place.commit("a", "Be brief.", by="one", file="AGENTS.md")
    place.write("AGENTS.md", "Be long.")
    place.git("commit", "--quiet", "--amend", "--no-edit", by="one")
    place.flush()
    assert files_of(place, "a") == expected_files(place, "HEAD", "AGENTS.md")


def test_a_squash_merge_from_elsewhere_has_its_setup(place: Place, tmp_path: Path) -> None:
    """What a forge made of work that was made here is looked into though it came by a fetch."""
    run("git", "clone", "--quiet", "--bare", place.repo.path, tmp_path / "remote.git", cwd=tmp_path)
    run("git", "clone", "--quiet", "--branch", "base", tmp_path / "remote.git", tmp_path / "forge", cwd=tmp_path)
    forge = GitRepo(tmp_path / "forge")
    place.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    place.branch("topic")
    place.commit("a", "Be brief.", by="one", file="AGENTS.md")
    place.commit("b", *"123456", by="one")
    place.git("push", "--quiet", "--set-upstream", "origin", "topic")
    forge.git("fetch", "--quiet")
    forge.git("merge", "--quiet", "--squash", "origin/topic")
    forge.git("commit", "--quiet", "-m", "Add both (#1)")
    forge.git("push", "--quiet", "origin", "base")
    place.switch("base")
    place.git("pull", "--quiet", "--ff-only", "origin", "base")
    place.git("branch", "--quiet", "-D", "topic")
    place.flush()
    assert place.credited() == {"Add both (#1)": "one"}
    assert files_of(place, "Add both (#1)") == expected_files(place, "HEAD", "AGENTS.md")


def test_a_tree_that_is_lost_does_not_stop_the_flush(tmp_path: Path) -> None:
    """The commit counts, and its setup is not known."""
    place = make_place(tmp_path, "main")
    place.commit("whole", "Be brief.", by="one", file="AGENTS.md")
    place.commit("broken", "rule", by="one", file=".cursor/rules/a.md")
    lost = place.repo.head("HEAD:.cursor")
    (place.repo.path / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    place.flush()
    assert place.credited() == {"whole": "one", "broken": "one"}
    assert files_of(place, "whole") is not None
    assert files_of(place, "broken") is None


# -- compared by the view


def commit(  # noqa: PLR0913 -- one argument a field
    name: str, files: Files | None, *, by: str = "", at: int = NOW, project: str = PROJECT, marks: Marks | None = None
) -> CommitFact:
    """Return a commit with these instruction files, made by an agent or else by a person."""
    who = marks if marks is not None else by_agent(by or HUMAN)
    return CommitFact(oid(name), project, "commit", (*who, *setup_marks(files)), at, at, name)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that knows one project and two agents."""
    made = store_at(tmp_path)
    apply_all(made, [project_fact(), agent_fact("coder"), agent_fact("writer")])
    return made


def uses(store: Store, *facts: Fact, project: str | None = PROJECT) -> list[SetupUse]:
    """Return what the view says once the facts are stored."""
    apply_all(store, facts)
    return reading(store, lambda snapshot: setups(snapshot, project=project, judged=read_judgements(snapshot)))


def test_setups_are_listed_by_when_they_came_into_use(store: Store) -> None:
    """The latest first, each with its files, its commits, their first and last time, and what changed since."""
    found = uses(
        store,
        commit("a", (), at=NOW),
        commit("b", ONE, at=NOW + 10),
        commit("c", ONE, at=NOW + 20),
        commit("d", TWO, at=NOW + 30),
        commit("e", ONE, at=NOW + 40),
    )
    assert [(use.fingerprint, use.files, use.commits, use.first_at - NOW, use.last_at - NOW) for use in found] == [
        (fingerprint(TWO), TWO, 1, 30, 30),
        (fingerprint(ONE), ONE, 3, 10, 40),
        (NONE, (), 1, 0, 0),
    ]
    assert [use.change for use in found] == [
        (("CLAUDE.md",), (), ("AGENTS.md",)),
        (("AGENTS.md",), (), ()),
        ((), (), ()),
    ]


def test_files_that_went_are_told(store: Store) -> None:
    """Taking all instructions away is a change like another."""
    found = uses(store, commit("a", TWO, at=NOW), commit("b", (), at=NOW + 1))
    assert found[0].change == ((), ("AGENTS.md", "CLAUDE.md"), ())


def test_setups_of_the_same_second_keep_the_order_of_arrival(store: Store) -> None:
    """A script that commits several times in a second is understood."""
    found = uses(store, *(commit(name, files) for name, files in (("a", ()), ("b", TWO), ("c", ONE))))
    assert [use.fingerprint for use in found] == [fingerprint(ONE), fingerprint(TWO), NONE]
    assert found[0].change == ((), ("CLAUDE.md",), ("AGENTS.md",))


def test_who_made_how_much_with_a_setup(store: Store) -> None:
    """Agents, people and what nobody claims, the most first."""
    found = uses(
        store,
        commit("a", ONE, by="writer"),
        commit("b", ONE, by="coder"),
        commit("c", ONE, by="coder"),
        commit("d", ONE),
        commit("e", ONE, marks=(("found", "1"),)),
    )
    coder, writer = agent_fact("coder").id, agent_fact("writer").id
    assert [use.agents for use in found] == [((coder, 2), (UNCLAIMED, 1), (HUMAN, 1), (writer, 1))]
    assert [(use.grades, use.score, use.bugs) for use in found] == [(0, 0, 0)]


def test_what_nobody_looked_at_stands_apart(store: Store) -> None:
    """It is listed as unknown, is not taken for a setup without files, and nothing is compared with it."""
    found = uses(store, commit("a", ONE, at=NOW), commit("b", None, at=NOW + 1), commit("c", TWO, at=NOW + 2))
    assert [use.fingerprint for use in found] == [fingerprint(TWO), "", fingerprint(ONE)]
    assert [use.change for use in found] == [(("CLAUDE.md",), (), ("AGENTS.md",)), ((), (), ()), ((), (), ())]


def test_only_commits_that_count_are_counted(store: Store) -> None:
    """What was rewritten counts in what it became."""
    found = uses(store, commit("old", ONE), commit("new", TWO, at=NOW + 1), rewrite("old", "new"))
    assert [(use.fingerprint, use.commits) for use in found] == [(fingerprint(TWO), 1)]


def test_projects_are_compared_each_by_itself(store: Store) -> None:
    """The same setup in two projects is two uses; what is new in one is not new since the other."""
    facts: list[Fact] = [
        project_fact(OTHER, path=b"/home/someone/other"),
        commit("a", ONE, at=NOW),
        commit("b", TWO, at=NOW + 1, project=OTHER),
        commit("c", ONE, at=NOW + 2, project=OTHER),
    ]
    found = uses(store, *facts, project=None)
    other, mine = b"/home/someone/other", b"/home/someone/repo"
    assert [(use.project_path, use.files) for use in found] == [(other, ONE), (other, TWO), (mine, ONE)]
    assert [use.change for use in found] == [((), ("CLAUDE.md",), ("AGENTS.md",)), ((), (), ()), ((), (), ())]
    assert [use.files for use in uses(store, project=OTHER)] == [ONE, TWO]


def test_clones_are_one_project(store: Store) -> None:
    """What was committed in two clones is listed once."""
    clones = [ProjectFact(project, b"/" + project.encode(), b"r" * 20, NOW) for project in (PROJECT, OTHER)]
    found = uses(store, *clones, commit("a", ONE), commit("b", ONE, project=OTHER), project=None)
    assert [(use.fingerprint, use.commits) for use in found] == [(fingerprint(ONE), 2)]


def test_a_setup_is_found_by_the_beginning_of_its_fingerprint(store: Store) -> None:
    """By as many digits as tell it from the others, or by the word for none."""
    found = uses(store, commit("a", ONE), commit("b", TWO), commit("c", ()), commit("d", None))
    assert [use.files for use in find_setups(found, fingerprint(TWO)[:6])] == [TWO]
    assert [use.fingerprint for use in find_setups(found, "none")] == [NONE]


@pytest.mark.parametrize("text", ["", "zz", "\x1b[31m"])
def test_a_setup_that_is_not_there(store: Store, text: str) -> None:
    """One line, and how to see which there are."""
    with pytest.raises(UsageError, match="no setup") as raised:
        find_setups(uses(store, commit("a", ONE), commit("d", None)), text)
    assert "\x1b" not in raised.value.message


def test_a_beginning_of_several_fingerprints(store: Store) -> None:
    """Those that it may mean are named."""
    files = [(("AGENTS.md", f"{i:040x}"),) for i in range(40)]
    found = uses(store, *(commit(str(i), each) for i, each in enumerate(files)))
    digits = [use.fingerprint[0] for use in found]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(UsageError, match="several") as raised:
        find_setups(found, twice)
    assert all(use.fingerprint in raised.value.hint for use in found if use.fingerprint.startswith(twice))


# -- shown by the commands


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A repository with two setups, in which the commands are run."""
    made = make_place(tmp_path, "main")
    made.commit("a", by="one")
    made.commit("b", "Be brief.", by="one", file="AGENTS.md")
    made.commit("c", "name: x", file=".claude/agents/x.md")
    made.flush()
    monkeypatch.chdir(made.repo.path)
    return made


def shown(*argv: str) -> str:
    """Return what a command prints."""
    done = CliRunner().invoke(setups_app, argv)
    assert done.exit_code == 0, done.output
    return done.stdout


def as_json(*argv: str) -> list[dict[str, Any]]:
    """Return what a command prints as JSON."""
    document = json.loads(shown(*argv, "--json"))
    assert document["version"] == 1
    assert isinstance(document["setups"], list)
    return document["setups"]


def test_the_list_as_json(work: Place) -> None:
    """Every field, under names that stay."""
    agents, brief, nothing = as_json()
    files = dict(expected_files(work, "HEAD", ".claude/agents", "AGENTS.md"))
    assert agents["files"] == files
    assert agents["changes"] == {"added": [".claude/agents"], "removed": [], "changed": []}
    assert agents["agents"] == [{"agent_id": None, "claim": "human", "commits": 1}]
    assert brief["agents"] == [{"agent_id": work.ids["one"], "claim": "agent", "commits": 1}]
    assert (nothing["fingerprint"], nothing["files"]) == ("none", {})
    assert agents.keys() == {
        "fingerprint",
        "project_path",
        "files",
        "commits",
        "first_commit_at",
        "last_commit_at",
        "agents",
        "changes",
        "grades",
        "score",
        "bugs",
    }
    assert as_json("list") == as_json("--all") == as_json("list", "--all")


def test_the_list_for_people(work: Place) -> None:
    """A line a setup, of at most 80 characters; with all projects, the project's name."""
    lines = shown().splitlines()
    assert lines[0].split() == ["SETUP", "SINCE", "COMMITS", "AGENTS", "CHANGES"]
    assert [line.split()[0] for line in lines[1:]] == [each["fingerprint"] for each in as_json()]
    assert [line.split()[-1] for line in lines[1:]] == ["+.claude/agents", "+AGENTS.md", "-"]
    assert max(map(len, lines)) <= 80
    assert "PROJECT" in shown("--all")
    assert work.repo.path.name in shown("--all")


def test_one_setup_for_people(work: Place) -> None:
    """Its files with their oids, and who made how many commits with it."""
    text = shown("show", as_json()[0]["fingerprint"][:8])
    for path, file_oid in expected_files(work, "HEAD", ".claude/agents", "AGENTS.md"):
        assert f"{path.ljust(14)}  {file_oid[:12]}\n" in text
    assert "made by  human 1\n" in text
    assert "changes  +.claude/agents\n" in text
    assert "0 instruction files" in shown("show", "none")


def test_one_setup_as_json(work: Place) -> None:
    """The same shape as in the list, one for each project."""
    first = as_json()[0]
    assert as_json("show", str(first["fingerprint"])) == [first]
    assert work.repo.path.name in first["project_path"]


def test_what_was_just_committed_is_there(work: Place) -> None:
    """The commands flush first, unless they are told not to."""
    work.flushing = False
    work.commit("d", "Be long.", by="two", file="AGENTS.md")
    before = as_json("--no-flush")
    after = as_json()
    assert len(after) == len(before) + 1
    assert after[0]["changes"] == {"added": [], "removed": [], "changed": ["AGENTS.md"]}


def test_nothing_recorded_yet(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said so, with what to do; no setups as JSON."""
    monkeypatch.chdir(repo.path)
    assert shown().startswith("No commits recorded here yet")
    assert as_json() == []


def test_an_unknown_fingerprint_is_the_users_mistake(work: Place) -> None:
    """The error goes up to where errors are shown."""
    done = CliRunner().invoke(setups_app, ["show", "ffff" * 3])
    assert isinstance(done.exception, UsageError)
    assert work.counted()


def test_each_commit_is_in_one_setup(work: Place) -> None:
    """The setups together have all the commits that count."""
    counted: list[Commit] = work.counted()
    assert sum(each["commits"] for each in as_json()) == len(counted) == 3


def test_what_was_said_of_commits_counts_for_their_setup(store: Store) -> None:
    """Grades, their sum, and bugs: of the work as it lives now."""
    marked = [
        commit_fact(name, marks=(*by_agent("coder"), ("setup", f"AGENTS.md {name * 20}"))) for name in ("aa", "bb")
    ]
    apply_all(store, [project_fact(), agent_fact("coder"), *marked])
    apply_all(store, [grade("g", "aa", "excellence"), grade("h", "aa", "bad", side="agent"), bug("b", "bb")])
    found = reading(store, lambda snapshot: setups(snapshot, project=None, judged=read_judgements(snapshot)))
    assert {use.files[0][1][:2]: (use.grades, use.score, use.bugs) for use in found} == {
        "aa": (2, 4, 0),
        "bb": (0, 0, 1),
    }
