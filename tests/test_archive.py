"""Old journals out of the store and back: none is lost on the way, whatever happens, and no standing moves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.apply import apply
from agent_tracker.context import Context, open_store
from agent_tracker.errors import RegistrationError, StoreBusyError, UsageError
from agent_tracker.every_fact import every_fact
from agent_tracker.fact_files import ARCHIVE, FactReader
from agent_tracker.journal import ActivityFact, ForgetFact, RetroFact
from agent_tracker.locking import locked
from agent_tracker.paths import user_paths
from agent_tracker.verbs.archive import archive, gone, parse_before
from agent_tracker.verbs.moving import export_facts, import_facts
from facts import (
    NOW,
    PROJECT,
    agent_fact,
    apply_all,
    by_agent,
    commit_fact,
    fact_id,
    grade,
    listed,
    oid,
    problems,
    project_fact,
    reading,
    session,
)

if TYPE_CHECKING:
    from agent_tracker.journal import JournalFact
    from agent_tracker.records import Fact, Standing
    from agent_tracker.store import Store
    from agent_tracker.tables import Writer
    from gitrepo import GitRepo

DAY_S = 86_400
BOB = agent_fact("bob")


def activity(number: int, *, at: int, task: str = "") -> ActivityFact:
    """Return what was done on a day."""
    text = task or f"task {number}"
    return ActivityFact(fact_id(f"v{number}"), BOB.id, "s1", b"", text, "did", "done", "none", PROJECT, at * 10**9)


def retro(number: int, *, at: int) -> RetroFact:
    """Return a look back at the commit of that number."""
    about = oid(f"c{number}")
    return RetroFact(
        fact_id(f"r{number}"), about, "", BOB.id, "a task", "good", "", "what the agent says", "", PROJECT, at * 10**9
    )


def journals(count: int) -> list[ActivityFact | RetroFact]:
    """Return an activity and a look back for each of so many days."""
    days = range(count)
    return [fact for day in days for fact in (activity(day, at=NOW + day * DAY_S), retro(day, at=NOW + day * DAY_S))]


def here(**env: str) -> Context:
    """Return what a verb is given in a person's shell, a hundred days on."""
    return Context(user_paths(os.environ), {**os.environ, **env}, (NOW + 100 * DAY_S) * 10**9, timeout_s=5.0)


@pytest.fixture
def store() -> Store:
    """The store of the configuration, with ten commits, their grades, a session, and journals of ten days."""
    made, _ = open_store(here())
    commits = [commit_fact(f"c{n}", marks=by_agent("bob"), at=NOW + n) for n in range(10)]
    grades = [grade(f"g{n}", f"c{n}", at=NOW + n) for n in range(5)]
    apply_all(made, [project_fact(), BOB, *commits, *grades, session("s1", BOB.id), *journals(10)])
    return made


def facts_in(store: Store) -> list[Fact]:
    """Return every fact of a store."""
    return reading(store, lambda snapshot: list(every_fact(snapshot)))


def journals_in(store: Store) -> set[Fact]:
    """Return the journals of a store."""
    return {fact for fact in facts_in(store) if isinstance(fact, ActivityFact | RetroFact)}


def journals_of(path: Path | str) -> set[Fact]:
    """Return the journals in a file of facts, read to its end."""
    with Path(path).open("rb") as file:
        return {fact for fact, _ in FactReader(file, str(path)) if isinstance(fact, ActivityFact | RetroFact)}


def standing(store: Store) -> Standing:
    """Return how the agent stands."""
    return reading(store, lambda snapshot: snapshot.agents()[0].standing)


# -- which


@pytest.mark.parametrize(
    ("text", "at"),
    [
        pytest.param("2023-11-20", 1_700_438_400, id="date"),
        pytest.param("90d", NOW + 10 * DAY_S, id="days"),
        pytest.param("2w", NOW + 86 * DAY_S, id="weeks"),
        pytest.param("0d", NOW + 100 * DAY_S, id="now"),
        pytest.param("99y", 0, id="before-there-was-time"),
    ],
)
def test_dates_and_ages_are_read(text: str, at: int) -> None:
    """A date is midnight, UTC; an age is counted from now."""
    assert parse_before(text, now=NOW + 100 * DAY_S) == at


@pytest.mark.parametrize("text", ["", "d", "-1d", "90", "9999999d", "2023-13-01", "2023-1", "soon", "²d", "2999-01-01"])
def test_anything_else_is_refused(text: str) -> None:
    """Also a day to come."""
    with pytest.raises(UsageError):
        parse_before(text, now=NOW)


# -- out and back


def test_old_journals_move_and_everything_else_stays(store: Store, tmp_path: Path) -> None:
    """What the file holds is what the store has no more; standings, grades and commits are what they were."""
    before, stands = facts_in(store), standing(store)
    done = archive(None, here(), NOW + 4 * DAY_S, str(tmp_path / "old.jsonl"))
    old = {fact for fact in journals(10) if fact.recorded_ns < (NOW + 4 * DAY_S) * 10**9}
    assert done.counts == {"retro": 4, "activity": 4}
    assert done.size == (tmp_path / "old.jsonl").stat().st_size
    assert (tmp_path / "old.jsonl").stat().st_mode & 0o777 == 0o600
    assert journals_of(tmp_path / "old.jsonl") == old
    assert facts_in(store) == [fact for fact in before if fact not in old]
    assert standing(store) == stands
    assert problems(store) == ()
    assert listed(tmp_path) == ["old.jsonl"]


def test_an_import_brings_them_back(store: Store, tmp_path: Path) -> None:
    """All of them, and a second import finds nothing new."""
    before = facts_in(store)
    archive(None, here(), NOW + 100 * DAY_S, str(tmp_path / "old.jsonl"))
    assert journals_in(store) == set()
    assert import_facts(here(), [str(tmp_path / "old.jsonl")], dry_run=True).new == {"retro": 10, "activity": 10}
    assert journals_in(store) == set()
    assert import_facts(here(), [str(tmp_path / "old.jsonl")]).new == {"retro": 10, "activity": 10}
    assert facts_in(store) == before
    assert reading(store, lambda snapshot: snapshot.table("archived").count()) == 0
    assert import_facts(here(), [str(tmp_path / "old.jsonl")]).new == {}
    assert problems(store) == ()


def test_the_file_can_be_read_by_another_store(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the projects that its journals are of, and says that it is an archive."""
    archive(None, here(), NOW + 100 * DAY_S, str(tmp_path / "old.jsonl"))
    with (tmp_path / "old.jsonl").open("rb") as file:
        assert FactReader(file, "it").header.kind == ARCHIVE
    monkeypatch.setenv("AGENT_TRACKER_DATABASE_PATH", str(tmp_path / "other.lmdb"))
    import_facts(here(), [str(tmp_path / "old.jsonl")])
    other, _ = open_store(here())
    assert other.path != store.path
    assert journals_in(other) == set(journals(10))


def test_what_was_archived_does_not_come_back_by_itself(store: Store, tmp_path: Path) -> None:
    """Neither from a segment that is read again, nor from an export of before."""
    export_facts(None, here(), str(tmp_path / "all.jsonl"))
    archive(None, here(), NOW + 100 * DAY_S, str(tmp_path / "old.jsonl"))
    assert apply_all(store, journals(10)).entries == 0
    assert import_facts(here(), [str(tmp_path / "all.jsonl")], dry_run=True).new == {}
    assert import_facts(here(), [str(tmp_path / "all.jsonl")]).new == {}
    assert journals_in(store) == set()
    assert import_facts(here(), [str(tmp_path / "all.jsonl"), str(tmp_path / "old.jsonl")]).new == {
        "retro": 10,
        "activity": 10,
    }


def test_a_text_forgotten_meanwhile_stays_forgotten(store: Store, tmp_path: Path) -> None:
    """What comes back from a file comes back without it."""
    archive(None, here(), NOW + 100 * DAY_S, str(tmp_path / "old.jsonl"))
    apply_all(store, [ForgetFact(fact_id("v3"), (NOW + 99 * DAY_S) * 10**9)])
    import_facts(here(), [str(tmp_path / "old.jsonl")])
    (found,) = [fact for fact in journals_in(store) if isinstance(fact, ActivityFact) and fact.id == fact_id("v3")]
    assert (found.task, found.actions, found.outcome, found.decisions) == ("", "", "", "")


def test_archiving_twice_moves_each_once(store: Store, tmp_path: Path) -> None:
    """The second file has what is new, and where there is nothing there is no file."""
    archive(None, here(), NOW + 2 * DAY_S, str(tmp_path / "1.jsonl"))
    archive(None, here(), NOW + 4 * DAY_S, str(tmp_path / "2.jsonl"))
    assert archive(None, here(), NOW + 4 * DAY_S, str(tmp_path / "3.jsonl")).counts == {}
    assert listed(tmp_path) == ["1.jsonl", "2.jsonl"]
    assert not journals_of(tmp_path / "1.jsonl") & journals_of(tmp_path / "2.jsonl")
    assert len(journals_of(tmp_path / "2.jsonl")) == 4
    assert reading(store, lambda snapshot: gone(snapshot, RetroFact)) == (4, NOW + 4 * DAY_S)


def test_nothing_is_gone_where_nothing_was_archived(store: Store) -> None:
    """Nobody is told of what is not so; and where all went there is no oldest one."""
    assert reading(store, lambda snapshot: gone(snapshot, RetroFact)) is None
    archive(None, here(), NOW + 100 * DAY_S)
    assert reading(store, lambda snapshot: gone(snapshot, ActivityFact)) == (10, 0)


def test_without_a_name_the_file_lies_in_the_state_directory(store: Store) -> None:
    """Private, as everything there."""
    done = archive(None, here(), NOW + 100 * DAY_S)
    assert Path(done.path).parent == Path(here().paths.state_dir) / "archives"
    assert Path(done.path).parent.stat().st_mode & 0o777 == 0o700
    assert journals_of(done.path) == set(journals(10))
    assert journals_in(store) == set()


# -- what is refused


def test_a_file_that_is_there_is_never_written_over(store: Store, tmp_path: Path) -> None:
    """Nothing is taken out either."""
    (tmp_path / "old.jsonl").write_text("precious")
    with pytest.raises(UsageError, match="already"):
        archive(None, here(), NOW + 100 * DAY_S, str(tmp_path / "old.jsonl"))
    assert (tmp_path / "old.jsonl").read_text() == "precious"
    assert journals_in(store) == set(journals(10))


def test_an_agent_may_not_archive(store: Store) -> None:
    """It may ask how much it would be."""
    with pytest.raises(RegistrationError, match="person"):
        archive(None, here(AGENT_TRACKER_AGENT="bob"), NOW + 100 * DAY_S)
    assert archive(None, here(AGENT_TRACKER_AGENT="bob"), NOW + 100 * DAY_S, dry_run=True).counts["retro"] == 10
    assert journals_in(store) == set(journals(10))


def test_a_dry_run_tells_the_size_and_changes_nothing(store: Store, tmp_path: Path) -> None:
    """The size is that of the file that is written then."""
    told = archive(None, here(), NOW + 100 * DAY_S, str(tmp_path / "old.jsonl"), dry_run=True)
    assert listed(tmp_path) == []
    assert journals_in(store) == set(journals(10))
    assert archive(None, here(), NOW + 100 * DAY_S, str(tmp_path / "old.jsonl")).size == told.size


def test_no_file_is_left_where_somebody_else_writes_the_store(store: Store, tmp_path: Path) -> None:
    """Who comes too late finds all as it was, and may name the same file again."""
    with locked(store.path + ".write", timeout_s=0), pytest.raises(StoreBusyError):
        archive(None, here()._replace(timeout_s=0.1), NOW + 100 * DAY_S, str(tmp_path / "old.jsonl"))
    assert listed(tmp_path) == []
    assert journals_in(store) == set(journals(10))


def test_a_text_forgotten_while_the_file_was_written_stays_out(store: Store, tmp_path: Path) -> None:
    """The store's own record is kept as it is now; what else the file holds has gone."""
    from agent_tracker.verbs import archive as verb  # noqa: PLC0415 -- its parts

    path = str(tmp_path / "old.jsonl")
    reading(store, lambda snapshot: verb._write_file(snapshot, path, NOW + 100 * DAY_S, here()))
    apply_all(store, [ForgetFact(fact_id("v3"), (NOW + 99 * DAY_S) * 10**9)])
    assert verb._take_out(store, path, here()) == 19
    (left,) = journals_in(store)
    assert isinstance(left, ActivityFact)
    assert (left.id, left.task) == (fact_id("v3"), "")


@pytest.mark.parametrize("where", ["database", "backups/x/old.jsonl", "old.jsonl", "config"])
def test_an_archive_never_takes_the_place_of_a_file_of_ours(store: Store, where: str, home: Path) -> None:
    """Neither beside the database, nor in the state directory but where archives go, nor as the configuration."""
    paths = here().paths
    places = {"database": f"{store.path}.before-restore-x", "config": paths.config_file}
    place = places.get(where) or str(Path(paths.state_dir) / where)
    with pytest.raises(UsageError, match=r"own|configuration"):
        archive(None, here(), NOW + 100 * DAY_S, place)
    assert journals_in(store) == set(journals(10))
    (home / "link").symlink_to(paths.state_dir)
    with pytest.raises(UsageError, match="own directory"):
        archive(None, here(), NOW + 100 * DAY_S, str(home / "link" / "old.jsonl"))
    assert archive(None, here(), NOW + 100 * DAY_S, str(home / "link" / "archives" / "mine.jsonl")).counts


def test_a_large_archive_leaves_no_byte_in_the_database_and_a_small_one_says_so(store: Store, tmp_path: Path) -> None:
    """The file is written anew where much went out of it; otherwise the free pages have it, which the JSON tells."""
    small = archive(None, here(), NOW + 2 * DAY_S, str(tmp_path / "small.jsonl"))
    assert not small.is_compacted
    texts = [activity(n, at=NOW + 20 * DAY_S + n, task=f"a secret of {n} " * 40) for n in range(600)]
    apply_all(store, texts)
    large = archive(None, here(), NOW + 100 * DAY_S, str(tmp_path / "large.jsonl"))
    assert large.is_compacted
    assert b"a secret of" not in Path(store.path).read_bytes()
    assert b"a secret of" in (tmp_path / "large.jsonl").read_bytes()
    assert problems(store) == ()


# -- a full store, and kills


def test_a_store_that_is_full_can_be_archived(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Taking out needs room to write down what goes, which is given this once."""
    monkeypatch.setenv("AGENT_TRACKER_MAX_DATABASE_SIZE", "1000000")
    small, _ = open_store(here())
    apply_all(small, [project_fact(), BOB])
    number = 0
    with pytest.raises(Exception, match="full"):  # noqa: PT012 -- fills it to the brim
        while True:
            facts = [activity(number + n, at=NOW + number + n, task="t" * 500) for n in range(10)]
            small.write(partial(apply, facts=facts, now=NOW), timeout_s=5)
            number += 10
    done = archive(None, here(), NOW + 100 * DAY_S, str(tmp_path / "old.jsonl"))
    assert done.counts == {"activity": number}
    assert done.is_compacted
    assert Path(small.path).stat().st_size < 1_000_000 // 4
    assert len(journals_of(tmp_path / "old.jsonl")) == number
    assert journals_in(small) == set()
    assert apply_all(small, [commit_fact("fits")]).commits == 1


def test_the_file_stays_once_anything_was_taken_out(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it cannot go on after the first portion, all is still in the file or in the store."""
    from agent_tracker.verbs import archive as verb  # noqa: PLC0415 -- its parts

    monkeypatch.setattr(verb, "PORTION", 6)
    path, moved = str(tmp_path / "old.jsonl"), verb._move
    taken: list[JournalFact] = []

    def one_portion(writer: Writer, facts: list[JournalFact]) -> int:
        if taken:
            raise StoreBusyError("somebody else came first", "")
        taken.extend(facts)
        return moved(writer, facts)

    monkeypatch.setattr(verb, "_move", one_portion)
    with pytest.raises(StoreBusyError, match="somebody") as caught:
        archive(None, here(), NOW + 100 * DAY_S, path)
    assert f"the journals are in {path}" in caught.value.message
    assert journals_of(path) == set(journals(10))
    assert journals_in(store) == set(journals(10)) - set(taken)
    assert len(taken) == 6


_ARCHIVE = """
import os, signal, sys
from agent_tracker.cli import app
left = int(sys.argv.pop())
WATCHED = {"open", "os.link", "os.rename", "os.remove"}
def count(event, arguments):
    global left
    about = " ".join(map(str, arguments))
    if event in WATCHED and (".jsonl" in about or ".lmdb" in about) and "-lock" not in about and ".write" not in about:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
sys.exit(app.main())
"""


@pytest.mark.slow
def test_killed_in_the_middle_each_is_in_the_store_or_in_the_file(store: Store, tmp_path: Path) -> None:
    """Or in both: at every file that is opened, linked, renamed or removed on the way."""
    original = Path(store.path).read_bytes()
    number, states = 1, set()
    while True:
        place = tmp_path / str(number)
        place.mkdir()
        for leftover in Path(store.path).parent.iterdir():
            leftover.unlink()
        Path(store.path).write_bytes(original)
        argv = [sys.executable, "-c", _ARCHIVE, "archive", "--before", "0d", str(place / "old.jsonl"), str(number)]
        done = subprocess.run(argv, cwd=place, capture_output=True, check=False, timeout=120)
        filed = journals_of(place / "old.jsonl") if (place / "old.jsonl").exists() else set()
        assert journals_in(store) | filed == set(journals(10)), number
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            break
        states.add((bool(filed), bool(journals_in(store))))
        number += 1
    assert journals_in(store) == set()
    assert states == {(False, True), (True, True), (True, False)}


# -- the command line


@pytest.fixture
def noted(repo: GitRepo) -> GitRepo:
    """A repository with an agent's commit, a look back and an activity."""
    repo.ok("install-hooks")
    bob = repo.register("bob")
    repo.commit("one", env={"AGENT_TRACKER_AGENT": bob})
    repo.ok("retro", "add", "--task", "looked back", "--user-note", "fine")
    repo.ok("activity", "add", "--agent", bob, "--task", "did it")
    return repo


def test_the_command_line_moves_and_brings_back(noted: GitRepo, tmp_path: Path) -> None:
    """In words and as JSON; what was moved is not listed, and a spool that is read again changes nothing."""
    path = tmp_path / "old.jsonl"
    shown_ids = {
        kind: noted.json(group, "list")[kind][0]["id"]
        for group, kind in (("retro", "retrospectives"), ("activity", "activities"))
    }
    assert "Would move 1 retrospective and 1 activity" in noted.ok("archive", "--before", "0d", "-n", path)
    shown = json.loads(noted.ok("archive", "--before", "0d", path, "--json"))["archived"]
    assert shown["counts"] == {"retrospectives": 1, "activities": 1}
    assert noted.json("retro", "list")["retrospectives"] == []
    assert noted.json("activity", "list")["activities"] == []
    assert noted.ok("retro", "list") == "1 older retrospective was archived\n"
    assert noted.ok("activity", "list") == "1 older activity was archived\n"
    (segment,) = [
        each for each in (noted.path / ".git" / "agent-tracker").glob("seg-*") if "did it" in each.read_text()
    ]
    segment.with_name(segment.name[:-1] + ("0" if segment.name[-1] != "0" else "1")).write_bytes(segment.read_bytes())
    noted.ok("flush")
    assert noted.json("activity", "list")["activities"] == []
    assert "Clean" in noted.ok("verify")
    assert "Nothing to archive" in noted.ok("archive", "--before", "0d")
    for group, kind in (("retro", "retrospectives"), ("activity", "activities")):
        done = noted.tracker(group, "show", shown_ids[kind])
        assert (done.code, f"{shown_ids[kind]} was archived" in done.err) == (2, True), done
    noted.ok("import", path)
    assert [each["task_description"] for each in noted.json("activity", "list")["activities"]] == ["did it"]


def test_the_command_line_says_what_is_wrong(noted: GitRepo, tmp_path: Path) -> None:
    """Exit codes 2 and 1, a line and a hint."""
    assert noted.tracker("archive").code == 2
    done = noted.tracker("archive", "--before", "some day")
    assert (done.code, done.err.count("\n")) == (2, 2)
    done = noted.tracker("archive", "--before", "0d", tmp_path / "no" / "where.jsonl")
    assert (done.code, done.err.count("\n")) == (1, 2)
    assert "No such file or directory" in done.err
    done = noted.tracker("archive", "--before", "0d", env={"AGENT_TRACKER_AGENT": "bob"})
    assert (done.code, "person" in done.err) == (1, True)
    assert len(noted.json("activity", "list")["activities"]) == 1
