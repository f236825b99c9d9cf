"""The agents compared: figures, sorting, filters, CSV, and what a narrow terminal leaves out."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agent_tracker.cli.agents import FIELDS
from agent_tracker.commit_search import commits_of
from agent_tracker.derived import Tally
from agent_tracker.errors import UsageError
from agent_tracker.records import MICRO
from agent_tracker.registration import whole
from agent_tracker.rendering.text import cells
from agent_tracker.rules import DEFAULT_RULES
from agent_tracker.verbs.sheets import seen_since
from agent_tracker.views.sheet import Sheet, sheet
from agent_tracker.views.standings import SORTS, Query, standings
from facts import (
    NOW,
    PROJECT,
    agent,
    agent_fact,
    apply_all,
    by_agent,
    commit_fact,
    correction,
    loss,
    project_fact,
    reading,
    rewrite,
    store_at,
)
from test_sheet import ESCAPE, HUMAN, on_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent_tracker.records import CommitFact, Fact
    from agent_tracker.tables import Snapshot
    from gitrepo import GitRepo

HEADINGS = ["AGENT", "NAME", "MODEL", "SCOPE", "TIER", "SP", "XP", "CS", "COMMITS", "BUGS", "LAST SEEN"]
OTHER = "99999999-2222-3333-4444-555555555555"


@pytest.fixture
def work(repo: GitRepo, make_repo: Callable[..., GitRepo]) -> GitRepo:
    """A repository with two commits of ada's and one of bob's, which was graded; ada has one more in another one."""
    repo.register("ada", model="claude-opus", scope="backend", client="claude")
    repo.register("bob", model="gpt-5", scope="docs")
    repo.register("idle", model="Claude-Haiku", scope="all")
    repo.ok("install-hooks")
    for subject in ("a: work", "b: work"):
        repo.commit(subject, env={"AGENT_TRACKER_AGENT": "ada"})
    repo.commit("c: work", env={"AGENT_TRACKER_AGENT": "bob"})
    repo.ok("grade", "HEAD", "good", "--by", "user", env=HUMAN)
    other = make_repo("other")
    other.ok("install-hooks")
    other.commit("x: work", env={"AGENT_TRACKER_AGENT": "ada"})
    other.ok("flush")
    return repo


def names(repo: GitRepo, *options: str) -> list[str]:
    """Return the names of the agents that are listed, in their order."""
    return [found["name"] for found in repo.json("agents", "list", *options)["agents"]]


def rows(text: str) -> dict[str, list[str]]:
    """Return a table's cells by the name in the second column."""
    return {cell[1]: cell for cell in (re.split(r"\s{2,}", line) for line in text.splitlines())}


# -- figures


def test_the_table_has_every_figure(work: GitRepo) -> None:
    """Over all projects; the number of grades stands behind the score that rests on them."""
    table = rows(work.ok("agents"))
    assert table["NAME"] == HEADINGS
    assert table["ada"][2:10] == ["claude-opus", "backend", "probation", "1", "15", "60 (0)", "3", "0"]
    assert table["bob"][2:10] == ["gpt-5", "docs", "probation", "1", "6", "62 (1)", "1", "0"]
    assert table["idle"][10] == "-"
    assert work.ok("agents") == work.ok("agents", "list")


def test_here_counts_this_project_alone(work: GitRepo) -> None:
    """Commits, XP, grades, bugs and last seen are this project's, standing is not, and the heading says so."""
    caption, *lines = work.ok("agents", "list", "--here").splitlines()
    assert caption.endswith("TIER, SP and CS are over all projects.")
    assert work.path.name in caption
    table = rows("\n".join(lines))
    assert [table[name][6] for name in ("ada", "bob")] == ["10", "6"]
    assert [table[name][8] for name in ("ada", "bob")] == ["2", "1"]
    assert "idle" not in table
    assert work.ok("agents", "--here").splitlines() == [caption, *lines]
    found = {each["name"]: each for each in work.json("agents", "--here")["agents"]}
    assert (found["ada"]["here"]["commits"], found["ada"]["total_commits"]) == (2, 3)


def test_json_has_the_figures_of_each_project(work: GitRepo) -> None:
    """By path; the sheet's other figures stand beside the old names."""
    found = {each["name"]: each for each in work.json("agents")["agents"]}
    places = {each["project_path"]: each["commits"] for each in found["ada"]["projects"]}
    assert places == {str(work.path): 2, str(work.path.parent / "other"): 1}
    assert (found["bob"]["grades"], found["bob"]["halted"], found["bob"]["score_tier"]) == (1, False, "neutral")
    assert found["idle"]["last_seen"] is None
    assert found["idle"]["projects"] == []


def test_here_needs_a_repository(work: GitRepo) -> None:
    """Outside of any there is no project; the list over all works there."""
    outside = work.path.parent
    assert "ada" in type(work)(outside).ok("agents")
    done = type(work)(outside).tracker("agents", "list", "--here")
    assert done.code == 1
    assert done.err.startswith("error: ")


# -- sorting and filters


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ["ada", "bob", "idle"]),
        (("--sort", "name"), ["ada", "bob", "idle"]),
        (("--sort", "-name"), ["idle", "bob", "ada"]),
        (("--sort", "cs"), ["bob", "ada", "idle"]),
        (("--sort", "model"), ["idle", "ada", "bob"]),
        (("--sort", "XP", "--reverse"), ["idle", "bob", "ada"]),
        (("--sort", "-xp", "--reverse"), ["ada", "bob", "idle"]),
        (("--model", "CLAUDE"), ["ada", "idle"]),
        (("--scope", "doc"), ["bob"]),
        (("--client", "claude-code"), ["ada"]),
        (("--seen-since", "1d"), ["ada", "bob"]),
        (("--seen-since", "2100-01-01"), []),
        (("-n", "1"), ["ada"]),
        (("--active",), ["ada"]),
        (("--retired",), ["idle"]),
        (("--halted",), ["bob"]),
        (("--retired", "--halted"), ["bob", "idle"]),
    ],
    ids=" ".join,
)
def test_sorting_and_filters(work: GitRepo, options: tuple[str, ...], expected: list[str]) -> None:
    """Each option alone; states are added up."""
    if {"--active", "--retired", "--halted"} & set(options):
        work.ok("bug", "HEAD", env=HUMAN)
        work.ok("agents", "retire", "idle")
    assert names(work, *options) == expected


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--sort", "colour"), "colour"),
        (("--seen-since", "whenever"), "whenever"),
        (("--seen-since", "2026-13-01"), "2026-13-01"),
        (("--csv", "--json"), "--csv"),
    ],
    ids=lambda value: " ".join(value)[:20] if isinstance(value, tuple) else None,
)
def test_what_a_person_gets_wrong(work: GitRepo, options: tuple[str, ...], word: str) -> None:
    """One line, a hint, and the exit code for usage."""
    done = work.tracker("agents", "list", *options)
    assert (done.code, done.out) == (2, "")
    assert word in done.err
    assert len(done.err.splitlines()) == 2


def test_where_the_filters_leave_nobody_it_says_so(work: GitRepo) -> None:
    """A person gets a line, a program an empty list."""
    assert work.ok("agents", "list", "--model", "none").startswith("None of 3 agents")
    assert work.json("agents", "list", "--model", "none")["agents"] == []


def sheets(*figures: tuple[str, int, int]) -> list[Sheet]:
    """Return sheets of agents by name, with so many commits, last seen then."""
    found = []
    for name, commits, last_at in figures:
        known = agent(name)
        known = known._replace(standing=known.standing._replace(total_commits=commits, earned_micro=commits * MICRO))
        done = {1: Tally(commits, commits * MICRO, 0, 0, last_at)}
        found.append(sheet(known, DEFAULT_RULES, done=done, places={1: (1, b"/x")}, here=(1,)))
    return found


def test_the_help_names_every_field() -> None:
    """What `--sort` says it takes is what it takes."""
    assert FIELDS.split(", ") == list(SORTS)


@pytest.mark.parametrize("word", SORTS)
def test_equals_are_sorted_by_their_ids(word: str) -> None:
    """Whatever the field and the direction, the order of arrival never shows among equals."""
    alike = sheets(*((name, 1, NOW) for name in "cab"))
    for is_reversed in (False, True):
        query = Query(word, is_reversed=is_reversed)
        found = [each.agent.id for each in standings(alike, query)]
        assert found == [each.agent.id for each in standings(alike[::-1], query)]
        if word not in {"name", "id"}:
            assert found == sorted(found)


def test_an_unknown_field_names_those_that_are_known() -> None:
    """The hint is the list of them."""
    with pytest.raises(UsageError) as raised:
        standings([], Query("colour"))
    assert "commits" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "expected"), [("0d", NOW), ("2d", NOW - 172800), ("1970-01-02", 86400), ("99999d", 1)]
)
def test_days(text: str, expected: int) -> None:
    """A day in local time (here UTC), or so many days ago; never so long ago that who was never seen was seen since."""
    assert seen_since(text, NOW) == expected


# -- CSV


def test_csv_is_what_spreadsheets_expect(work: GitRepo) -> None:
    """RFC 4180: a header, CR LF, quotes where they are needed, as many cells in every row."""
    work.register('a,"b"', model="m")
    text = work.ok("agents", "list", "--csv", "--sort", "name")
    assert work.ok("agents", "--csv").splitlines()[0] == text.splitlines()[0]
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["name"] for row in found] == ['a,"b"', "ada", "bob", "idle"]
    assert (found[1]["commits"], found[1]["communication_score"], found[1]["client"]) == ("3", "60", "claude")
    assert found[3]["last_seen"] == ""
    assert all(None not in row and None not in row.values() for row in found)


def test_csv_lines_end_as_the_standard_says(work: GitRepo) -> None:
    """In the bytes themselves."""
    done = subprocess.run(
        [sys.executable, "-m", "agent_tracker", "agents", "--csv"], cwd=work.path, capture_output=True, check=True
    )
    assert done.stdout.count(b"\r\n") == done.stdout.count(b"\n") == 4


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_csv_holds_no_formula(repo: GitRepo, name: str) -> None:
    """A text that a spreadsheet would compute begins with an apostrophe."""
    repo.ok("register", f"--model={name}", f"--scope={name}", "--", name)
    (row,) = csv.DictReader(io.StringIO(repo.ok("agents", "--csv"), newline=""))
    assert {row["name"], row["model"], row["scope"]} == {f"'{name}"}


# -- terminals


@pytest.mark.parametrize("columns", [10, 24, 40, 60, 80, 100, 200])
def test_a_narrow_terminal_leaves_columns_out(work: GitRepo, columns: int) -> None:
    """Never a line wider than the terminal, an agent a line, and what matters least goes first."""
    work.register("開発者ボット", model="a-very-long-model-name-that-goes-on-and-on")
    out = ESCAPE.sub("", on_terminal(work.path, columns, "agents"))
    lines = out.splitlines()
    assert len(lines) == 5
    assert max(map(cells, lines)) <= columns
    shown = [heading for heading in HEADINGS if re.search(rf"\b{heading}\b", lines[0])]
    if columns == 200:
        assert shown == HEADINGS
    if columns == 80:
        assert {"MODEL", "SP", "CS", "COMMITS"} <= set(shown)
        assert "TIER" not in shown
    if columns == 24:
        assert shown == ["AGENT", "CS"]


def test_a_pipe_gets_everything(work: GitRepo) -> None:
    """Nothing is cut and no column is left out, whatever the width of the terminal that started it."""
    model = "a-very-long-model-name-that-goes-on-and-on-and-on-and-on"
    work.register("long", model=model)
    out = work.ok("agents", env={"COLUMNS": "40"})
    assert model in out
    assert "LAST SEEN" in out


# -- an agent's commits among many


def fill(directory: Path) -> Callable[[str, int, list[str] | None], list[bytes]]:
    """Return a function that finds an agent's commits, in a store where they are far between."""
    store = store_at(directory)
    facts = [agent_fact(name) for name in ("often", "rare", "never")]
    commits: list[CommitFact] = []
    for number in range(120):
        marks = by_agent("rare" if number in {3, 50, 51} else "often")
        fact = commit_fact(f"c{number}", marks=marks, at=NOW + number // 2)
        commits.append(fact._replace(project=OTHER) if number % 3 == 0 else fact)
    changes: list[Fact] = [
        correction("c60", ((facts[1].id, 400_000), (facts[0].id, 600_000)), at=NOW + 500),
        correction("c61", whole("human"), at=NOW + 500),
        rewrite("c50", "c52", at=NOW + 500),
        loss("c51", at=NOW + 500),
    ]
    apply_all(store, [*facts, project_fact(), project_fact(OTHER, path=b"/other"), *commits, *changes])
    ids = {fact.name: fact.id for fact in facts}

    def found(name: str, patience: int, projects: list[str] | None) -> list[bytes]:
        def read(snapshot: Snapshot) -> list[bytes]:
            numbers = None if projects is None else [n for each in projects for n in snapshot.joined_projects(each)]
            every = [
                commit.oid
                for commit in snapshot.commits(numbers)
                if commit.status == "counted" and any(who == ids[name] for who, _ in commit.credits)
            ]
            searched = [commit.oid for commit in commits_of(snapshot, ids[name], numbers, patience=patience)]
            assert searched == every
            return searched

        return reading(store, read)

    return found


@pytest.mark.parametrize("patience", [0, 1, 30, 59, 119, 120, 1000])
@pytest.mark.parametrize("name", ["often", "rare", "never"])
@pytest.mark.parametrize("projects", [None, [PROJECT], [OTHER], [PROJECT, OTHER]], ids=str)
def test_an_agents_commits_are_found_wherever_they_are(
    tmp_path: Path, patience: int, name: str, projects: list[str] | None
) -> None:
    """By going through some and searching for the rest, the same ones in the same order as by going through all."""
    find = fill(tmp_path)
    found = find(name, patience, projects)
    assert bool(found) is (name != "never")


def test_nobody_has_no_commits(tmp_path: Path) -> None:
    """An id that is not registered is no error here."""
    store = store_at(tmp_path)
    apply_all(store, [project_fact(), commit_fact("a")])
    assert reading(store, lambda snapshot: list(commits_of(snapshot, "nobody"))) == []


def test_log_of_an_agent_has_its_commits_alone(work: GitRepo) -> None:
    """In this project, over all, and no more than were asked for; each with its setup's fingerprint."""
    work.write("AGENTS.md", "be good\n")
    work.commit("d: work", env={"AGENT_TRACKER_AGENT": "ada"})

    def subjects(*options: str) -> list[str]:
        return [each["task_description"] for each in work.json("log", "--agent", "ada", *options)["commits"]]

    assert subjects() == ["d: work", "b: work", "a: work"]
    assert sorted(subjects("--all")) == ["a: work", "b: work", "d: work", "x: work"]
    assert subjects("-n", "1") == ["d: work"]
    commits = work.json("log", "--agent", "ada")["commits"]
    (setup,) = {each["fingerprint"] for each in work.json("setups")["setups"]} & {commits[0]["setup"]}
    assert setup
    assert commits[0]["setup"] != commits[1]["setup"]
