from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_tracker.context import MERGE, Context, Counts, open_store
from agent_tracker.errors import SourceError, StoreBusyError
from agent_tracker.every_fact import every_fact
from agent_tracker.flush import flush
from agent_tracker.journal import GradeFact
from agent_tracker.migration import merge_waiting, migrate_database
from agent_tracker.paths import user_paths
from agent_tracker.plugin_files import INSIDE, find_waiting, remember
from agent_tracker.records import CommitFact
from agent_tracker.registration import agent_id
from agent_tracker.registry import read_agents
from agent_tracker.repository import find_repository
from facts import NOW, UNHURRIED, agent_fact, apply_all, by_agent, grade, oid, problems, project_fact, reading
from lmdbjs_samples import unpacked
from lmdbjs_writing import moment, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.records import Commit, Fact
    from agent_tracker.repository import Repository
    from gitrepo import GitRepo

NS = 10**9
ADA = agent_id("ada", "gpt-5", "docs")


def at_home(tmp_path: Path, **env: str) -> Context:
    """Return what a verb is given in a home of its own, where databases are merged."""
    env = {"HOME": str(tmp_path / "home"), "AGENT_TRACKER_BACKUP_INTERVAL": "0", **env}
    return Context(user_paths(env), env, (NOW + 10**8) * NS, plugin=MERGE)


def entries(*names: str, project: str = "/srv/shop", **changed: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 -- of fields
    """Return a small database: ada, and a commit and a grade of hers for each name."""
    ada = {"id": "ada", "name": "ada", "model": "gpt-5", "scope": "docs", "active": True, "created_at": moment(0)}
    found: dict[str, dict[str, Any]] = {"agents": {"ada": {**ada, **changed}}, "commits": {}, "communication": {}}
    for name in names:
        digits = oid(name).hex()
        said = {"agent_id": "ada", "commit_hash": digits, "project_path": project, "timestamp": moment(5)}
        found["commits"][f"{project}:{digits}"] = {**said, "task_description": name}
        found["communication"][f"ada:{digits}:1"] = {**said, "grade": 2}
    return found


def held(context: Context) -> list[Fact]:
    """Return every fact of a home's store."""
    return reading(open_store(context)[0], lambda snapshot: list(every_fact(snapshot)))


def commit(context: Context, name: str) -> Commit:
    """Return a commit of a home's store."""
    found = reading(open_store(context)[0], lambda snapshot: snapshot.commit(oid(name)))
    assert found is not None
    return found


def digest(path: Path) -> dict[str, str]:
    """Return what lies below a directory, each file by its bytes and time."""
    return {
        str(each.relative_to(path)): f"{hashlib.sha256(each.read_bytes()).hexdigest()} {each.stat().st_mtime_ns}"
        for each in path.rglob("*")
        if each.is_file()
    }


# -- one database


@pytest.mark.parametrize("name", ["old", "new"])
def test_a_database_of_the_plugin_is_merged(tmp_path: Path, name: str) -> None:
    """Commits are their agents', grades count, and every standing is what follows from the facts."""
    context = at_home(tmp_path)
    done = migrate_database(context, str(unpacked(name, tmp_path / "p")), None)
    wanted = {
        "old": {"agents": 3, "totals": 0, "commits": 6, "communication": 6},
        "new": {
            "agents": 2,
            "totals": 0,
            "commits": 6,
            "communication": 12,
            "retrospectives": 6,
            "activities": 6,
            "migrations": 0,
            "projects": 0,
        },
    }[name]
    assert {kind: counts.migrated for kind, counts in done.counts.items()} == wanted
    assert done.total.unreadable == done.total.known == 0
    agents = {agent.name: agent for agent in reading(open_store(context)[0], lambda s: s.agents())}
    assert {who: each.standing.total_commits for who, each in agents.items()} == (
        {"ada": 2, "bob": 2, "Zoë": 2} if name == "old" else {"ada": 3, "bob": 3}
    )
    assert agents["ada"].standing.communication_score > 60
    assert not agents["bob"].active
    assert problems(open_store(context)[0]) == ()


def test_merging_twice_adds_nothing(tmp_path: Path) -> None:
    """The second time everything is known."""
    context = at_home(tmp_path)
    path = str(unpacked("new", tmp_path / "p"))
    first = migrate_database(context, path, None)
    before = held(context)
    second = migrate_database(context._replace(now_ns=context.now_ns + 10**15), path, None)
    assert held(context) == before
    assert second.facts == {}
    assert second.total.known == first.total.migrated


def test_what_a_dry_run_says_is_what_is_done(tmp_path: Path) -> None:
    """And it does nothing of it."""
    context = at_home(tmp_path)
    path = str(unpacked("new", tmp_path / "p"))
    planned = migrate_database(context, path, None, dry_run=True)
    assert not open_store(context)[0].exists()
    done = migrate_database(context, path, None)
    assert planned._replace(applied=done.applied) == done
    assert migrate_database(context, path, None, dry_run=True).total.migrated == 0


def test_the_database_stays_as_it_is(tmp_path: Path) -> None:
    """Not a byte changes, and nothing appears beside it, a lock least of all."""
    path = unpacked("old", tmp_path / "p")
    path.chmod(0o400)
    path.parent.chmod(0o500)
    before = digest(tmp_path / "p")
    migrate_database(at_home(tmp_path), str(path), None)
    path.parent.chmod(0o700)
    assert digest(tmp_path / "p") == before


def test_what_is_here_already_stays_as_it_is(tmp_path: Path) -> None:
    """A commit that a hook saw, a grade, an agent that was retired: the plugin does not know better."""
    context = at_home(tmp_path)
    bob = agent_fact("bob")
    ours = CommitFact(oid("c"), project_fact().id, "commit", by_agent("bob"), NOW, NOW, "ours")
    apply_all(open_store(context)[0], [project_fact(), bob, ours, grade("g", "c", "bad")])
    before = held(context)
    done = migrate_database(context, str(write(tmp_path / "p.lmdb", entries("c"))), None)
    assert [fact for fact in held(context) if fact in before] == before
    assert commit(context, "c").credits[0][0] == bob.id
    assert done.counts["commits"] == Counts(known=1)
    assert done.counts["agents"] == Counts(migrated=1)


def test_what_is_new_there_is_added(tmp_path: Path) -> None:
    """A plugin that goes on is merged again."""
    context = at_home(tmp_path)
    path = str(write(tmp_path / "p.lmdb", entries("c")))
    migrate_database(context, path, None)
    write(tmp_path / "p.lmdb", entries("c", "d"))
    assert migrate_database(context, path, None).facts == {"commit": 1, "grade": 1}
    assert commit(context, "d").credits[0][0] == ADA


def test_both_databases_that_hold_an_entry_say_it_once(tmp_path: Path) -> None:
    """The plugin copied a project's entries into the central one, some of them under another key."""
    context = at_home(tmp_path)
    central = entries("c")
    old: dict[str, dict[str, Any]] = {"": {f"agent:{key}": value for key, value in central["agents"].items()}}
    old[""] |= {f"commit:{key}": value for key, value in central["commits"].items()}
    old[""] |= {f"communication:{key}9": value for key, value in central["communication"].items()}
    migrate_database(context, str(write(tmp_path / "old.lmdb", old)), None)
    again = migrate_database(context, str(write(tmp_path / "central.lmdb", central)), None)
    assert again.total.migrated == 0
    assert len([fact for fact in held(context) if isinstance(fact, GradeFact)]) == 1


def test_an_agent_that_can_be_read_later_gets_its_commits(tmp_path: Path) -> None:
    """Its entry needed the dictionary; its commits were nobody's until that was found."""
    context = at_home(tmp_path)
    unread = entries("c")
    unread["agents"]["ada"] = b"\xfe\x00\x00\x20\x10a\xff\x7f"
    path = tmp_path / "p.lmdb"
    done = migrate_database(context, str(write(path, unread)), None)
    assert (done.total.unreadable, commit(context, "c").credits[0][0]) == (1, "")
    migrate_database(context, str(write(path, entries("c"))), None)
    assert commit(context, "c").credits[0][0] == ADA
    assert migrate_database(context, str(path), None).facts == {}


def test_of_two_entries_about_one_commit_the_first_holds(tmp_path: Path) -> None:
    """Each time: the other one is not late."""
    context = at_home(tmp_path)
    content = entries("c")
    bob = {"name": "bob", "model": "m", "scope": "s", "active": True}
    content["agents"]["bob"] = bob
    (said,) = content["commits"].values()
    content["commits"]["/srv/other:c"] = {**said, "agent_id": "bob", "project_path": "/srv/other"}
    path = str(write(tmp_path / "p.lmdb", content))
    first = migrate_database(context, path, None)
    whose = commit(context, "c").credits
    assert first.counts["commits"] == Counts(migrated=1, known=1)
    assert migrate_database(context, path, None).facts == {}
    assert commit(context, "c").credits == whose


LONG = "/srv/" + "x" * 5000
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "agent_id": st.sampled_from(("ada", "bob", "x\x1b\0", "")) | st.integers(-9, 9),
        "commit_hash": st.sampled_from([oid(name).hex() for name in "abc"]) | st.text(max_size=8),
        "commit": st.sampled_from([oid(name).hex() for name in "abc"]) | st.text(max_size=300),
        "project_path": st.sampled_from(("/srv/shop", LONG, "rel", "/a\0b", "/srv/../etc")) | st.none(),
        "timestamp": st.integers(0, 59).map(moment)
        | st.sampled_from(("2026-03-01T09:00:00Z", "9999-12-31T00:00:00Z", datetime(1969, 1, 1, tzinfo=UTC), 2**62)),
        "grade": st.sampled_from((-1, 1, 2, 5, 3)),
        "agent_grade": st.sampled_from((-1, 2, 9)),
        **dict.fromkeys(("name", "model", "scope", "task_description", "task", "reason"), st.text(max_size=150)),
        "active": st.booleans() | st.none(),
        "created_at": st.integers(0, 59).map(moment) | st.floats(allow_nan=False),
        "updated_at": st.integers(0, 59).map(moment),
    },
)
KEYS = st.sampled_from(("ada", "bob", f"ada:{oid('a').hex()}", "ada:2026-03-01T09:00:00Z", "agent:x", "commit:/p:abc"))
DATABASES = ("", "agents", "commits", "communication", "retrospectives", "activities", "projects", "else")


@settings(UNHURRIED, max_examples=60)
@given(
    st.dictionaries(st.sampled_from(DATABASES), st.dictionaries(KEYS | st.text("ab:/", max_size=9), FIELDS, max_size=4))
)
def test_any_database_leaves_the_store_sound(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, dict[str, Any]]
) -> None:
    """Whatever the entries say: what is migrated can be verified, and once more adds nothing."""
    place = tmp_path_factory.mktemp("any")
    context = at_home(place)
    path = str(write(place / "plugin", content))
    done = migrate_database(context, path, None)
    store, _ = open_store(context)
    assert not store.exists() or problems(store) == ()
    assert migrate_database(context, path, None).facts == {}
    assert done.total.entries >= sum(map(len, content.values()))


def test_an_agent_that_was_resumed_here_stays_so(tmp_path: Path) -> None:
    """Only a new one takes over that it was not active."""
    context = at_home(tmp_path)
    path = str(write(tmp_path / "p.lmdb", entries("c", active=False)))
    migrate_database(context, path, None)
    (ada,) = reading(open_store(context)[0], lambda s: s.agents())
    assert not ada.active
    apply_all(open_store(context)[0], [agent_fact("x")])
    write(tmp_path / "p.lmdb", entries("c", active=False, updated_at=moment(50)))
    assert migrate_database(context, path, None).facts == {}


def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is one transaction."""
    context = at_home(tmp_path)
    apply_all(open_store(context)[0], [project_fact(), agent_fact("bob")])
    before = held(context)

    def fail(*_: object) -> None:
        raise StoreBusyError("something went wrong")

    monkeypatch.setattr("agent_tracker.journal_apply.JournalApplication.close_sessions", fail)
    with pytest.raises(StoreBusyError):
        migrate_database(context, str(write(tmp_path / "p.lmdb", entries("c"))), None)
    assert held(context) == before


def test_what_it_finds_out_survives_a_check_of_everything(tmp_path: Path) -> None:
    """Facts of another program are facts like any other: exported, verified, folded anew."""
    context = at_home(tmp_path)
    apply_all(open_store(context)[0], [project_fact(), agent_fact("bob")])
    for name in ("old", "new"):
        migrate_database(context, str(unpacked(name, tmp_path / name)), None)
    assert problems(open_store(context)[0]) == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "nothing there yet"),
        (b"", "an empty file"),
        (b"SQLite format 3\0" + b"x" * 9000, "no LMDB database"),
        (b"\0" * 16 + b"\xde\xc0\xef\xbe\x01\0\0\0" + b"\0" * 9000, "lmdb-js did not write"),
        (b"\0" * 24 + b"\xde\xc0\xef\xbe\x03\0\0\0" + b"\0" * 9000, "newer LMDB"),
        (b"\0" * 24 + b"\xde\xc0\xef\xbe\x02\0\0\0" + b"\0" * 9000, "no page that says"),
    ],
    ids=["missing", "empty", "sqlite", "lmdb", "newer", "stub"],
)
def test_another_file_is_an_error_with_a_hint(tmp_path: Path, content: bytes | None, words: str) -> None:
    """In a line that names it."""
    path = tmp_path / "a file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        migrate_database(at_home(tmp_path), str(path), None)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


# -- which project a path means


def test_a_path_of_a_known_project_is_that_project(tmp_path: Path) -> None:
    """Whether it is still there or not."""
    context = at_home(tmp_path)
    apply_all(open_store(context)[0], [project_fact(path=b"/srv/shop")])
    migrate_database(context, str(write(tmp_path / "p.lmdb", entries("c"))), None)
    assert commit(context, "c").project == project_fact().id


def test_a_path_of_a_repository_with_hooks_is_its_project(tmp_path: Path, repo: GitRepo) -> None:
    """Even if nothing of it was flushed yet."""
    repo.ok("install-hooks")
    context = at_home(tmp_path)
    migrate_database(context, str(write(tmp_path / "p.lmdb", entries("c", project=str(repo.path)))), None)
    own = (repo.path / ".git" / "agent-tracker" / "project").read_text().split()[0]
    assert commit(context, "c").project == own


def test_a_path_of_a_repository_without_hooks_joins_it_later(tmp_path: Path, repo: GitRepo) -> None:
    """By the root commit that both have in common."""
    repo.commit("first")
    context = at_home(tmp_path)
    migrate_database(context, str(write(tmp_path / "p.lmdb", entries("c", project=str(repo.path)))), None)
    (project,) = reading(open_store(context)[0], lambda s: s.projects())
    assert project.root.hex() == repo.head()


def test_a_path_that_is_gone_is_a_project_of_its_own(tmp_path: Path) -> None:
    """The same one each time."""
    one, other = at_home(tmp_path / "a"), at_home(tmp_path / "b")
    path = str(write(tmp_path / "p.lmdb", entries("c")))
    for context in (one, other):
        migrate_database(context, path, None)
    assert commit(one, "c").project == commit(other, "c").project


def test_a_project_s_own_database_is_about_that_project(tmp_path: Path, repo: GitRepo) -> None:
    """Wherever it lay when the plugin wrote it; another project's repository keeps what is its own."""
    repo.ok("install-hooks")
    path = write(repo.path / INSIDE, entries("c", project="/moved/away"))
    context = at_home(tmp_path)
    migrate_database(context, str(path), None)
    own = (repo.path / ".git" / "agent-tracker" / "project").read_text().split()[0]
    assert commit(context, "c").project == own


def test_a_commit_that_is_named_in_short_is_looked_up(tmp_path: Path, repo: GitRepo) -> None:
    """In its project's repository; one that git does not know is skipped, with the reason."""
    head = repo.commit("first")
    content = entries("c", project=str(repo.path))
    (said,) = content["commits"].values()
    content["commits"] = {"a": {**said, "commit_hash": head[:9]}, "b": {**said, "commit_hash": "deadbeef1"}}
    context = at_home(tmp_path)
    done = migrate_database(context, str(write(tmp_path / "p.lmdb", content)), None)
    assert done.counts["commits"] == Counts(migrated=1, left_out=1)
    assert [each.key for each in done.listed if each.kind == "commits"] == ["b"]
    found = reading(open_store(context)[0], lambda s: s.commit(bytes.fromhex(head)))
    assert found is not None
    assert found.credits[0][0] == ADA


# -- by itself


@pytest.fixture
def placed(repo: GitRepo) -> Repository:
    """A repository with hooks, and a database of the plugin in its work tree."""
    repo.ok("install-hooks")
    write(repo.path / INSIDE, entries("c", project=str(repo.path)))
    return find_repository(str(repo.path), {})


def test_a_flush_merges_what_lies_here(tmp_path: Path, placed: Repository) -> None:
    """Once: the next one has nothing to do with it, and the hooks know the agent."""
    context = at_home(tmp_path)
    report = flush(placed, context)
    assert [each.total.migrated for each in report.migrated] == [3]
    assert report.warnings == ()
    assert [each.name for each in read_agents(context.paths.registry)] == ["ada"]
    assert flush(placed, context).migrated == ()


def test_a_flush_merges_the_central_one(tmp_path: Path, repo: GitRepo) -> None:
    """Beside which ours lies."""
    repo.ok("install-hooks")
    context = at_home(tmp_path)
    path = write(tmp_path / "home" / ".config" / "opencode" / "agent-tracker.lmdb", entries("c"))
    report = flush(find_repository(str(repo.path), {}), context)
    assert [each.path for each in report.migrated] == [str(path)]
    assert report.database == str(path.with_name("agent-tracker-2.lmdb"))
    assert commit(context, "c").credits[0][0] == ADA


def test_a_database_that_changed_is_merged_again(tmp_path: Path, placed: Repository) -> None:
    """The plugin may go on writing."""
    context = at_home(tmp_path)
    flush(placed, context)
    write(tmp_path / "repo" / INSIDE, entries("c", "d", project=placed.main_path))
    assert [each.facts for each in flush(placed, context).migrated] == [{"commit": 1, "grade": 1}]


def test_a_new_store_gets_it_again(tmp_path: Path, placed: Repository) -> None:
    """What a lost one had of it is not lost."""
    context = at_home(tmp_path)
    flush(placed, context)
    for path in (tmp_path / "home" / ".config" / "opencode").iterdir():
        path.unlink()
    flush(None, context._replace(plugin="leave"))
    assert [each.total.migrated for each in flush(placed, context).migrated] == [2]


@pytest.mark.parametrize(
    "env", [{"CLAUDECODE": "1"}, {"AGENT_TRACKER_AGENT": "bob"}, {}], ids=["claude", "named", "push"]
)
def test_an_agent_and_a_push_only_mention_it(tmp_path: Path, placed: Repository, env: dict[str, str]) -> None:
    """What an agent may have written is merged by a person alone, and a push waits for nothing."""
    context = at_home(tmp_path, **env)
    report = flush(placed, context if env else context._replace(plugin="mention"))
    assert report.migrated == ()
    assert [line for line in report.warnings if "is not merged yet" in line and "agent-tracker migrate" in line]
    assert len(report.warnings) == 1


def test_one_that_git_tracks_is_not_merged_by_itself(tmp_path: Path, repo: GitRepo, placed: Repository) -> None:
    """Anybody who can write the repository may have written it."""
    repo.git("add", "--all")
    repo.commit("with it")
    context = at_home(tmp_path)
    report = flush(placed, context)
    assert report.migrated == ()
    assert "git tracks" in report.warnings[0]
    assert flush(placed, context).warnings == ()


@pytest.mark.parametrize("link", ["~", "~/.config", "~/.config/opencode", INSIDE])
def test_a_link_in_a_work_tree_is_not_followed(tmp_path: Path, repo: GitRepo, link: str) -> None:
    """It may lead anywhere."""
    repo.ok("install-hooks")
    elsewhere = write(tmp_path / "elsewhere" / INSIDE, entries("c")).parents[3]
    path = repo.path / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(elsewhere / link)
    assert (repo.path / INSIDE).is_file()
    assert find_waiting(at_home(tmp_path).paths, find_repository(str(repo.path), {}), "") == []


def test_another_user_s_database_is_not_looked_into(tmp_path: Path, placed: Repository) -> None:
    """He may have put it there."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(Path(placed.main_path, INSIDE), 12345, 12345)
    assert find_waiting(at_home(tmp_path).paths, placed, "") == []


@pytest.mark.parametrize(
    "content",
    [b"", b"x" * 50_000, b"\0" * 24 + b"\xde\xc0\xef\xbe\x02\0\0\0" + b"\0" * 9000],
    ids=["empty", "foreign", "damaged"],
)
def test_a_database_that_cannot_be_read_stops_nothing(
    tmp_path: Path, repo: GitRepo, placed: Repository, content: bytes
) -> None:
    """The flush goes on, and says so in one line, once; what is no database of the plugin is passed over."""
    repo.commit("mine")
    (repo.path / INSIDE).write_bytes(content)
    context = at_home(tmp_path)
    report = flush(placed, context)
    assert report.applied.commits == 1
    assert len(report.warnings) == (b"\xde\xc0" in content)
    assert flush(placed, context).warnings == ()


def test_a_store_that_cannot_be_written_is_tried_again(tmp_path: Path, placed: Repository) -> None:
    """It was not the plugin's database that was wrong."""
    context = at_home(tmp_path)
    flush(placed, context._replace(plugin="leave"))
    store, _ = open_store(context)
    waiting = find_waiting(context.paths, placed, store.path)
    with store.writer(timeout_s=5):
        merged, lines = merge_waiting(context._replace(timeout_s=0.05), placed, store.path, waiting)
    assert (merged, len(lines)) == ((), 1)
    assert find_waiting(context.paths, placed, store.path) == waiting


def test_a_list_that_cannot_be_written_stops_nothing(tmp_path: Path, placed: Repository) -> None:
    """It is a hint: all is known the next time."""
    context = at_home(tmp_path)
    flush(placed, context._replace(plugin="leave"))
    Path(context.paths.migrated).mkdir(parents=True)
    assert [each.total.migrated for each in flush(placed, context).migrated] == [3]
    assert [each.total.migrated for each in flush(placed, context).migrated] == [0]


def test_the_list_does_not_grow_without_end(tmp_path: Path) -> None:
    """A file has one line, and the oldest go."""
    paths = at_home(tmp_path).paths
    for number in range(3):
        for name in ("one", "two\n"):
            (tmp_path / name).write_text("x" * number)
            remember(paths, str(tmp_path / name), "")
    assert len(Path(paths.migrated).read_text().splitlines()) == 2


def test_the_old_hook_of_a_push_mentions_it(
    repo: GitRepo, placed: Repository, make_repo: Callable[..., GitRepo]
) -> None:
    """One line on stderr, and the push goes on."""
    assert placed.main_path == str(repo.path)
    make_repo("remote").git("config", "receive.denyCurrentBranch", "ignore")
    repo.commit("mine")
    done = repo.try_git("push", "../remote", "HEAD:refs/heads/main")
    assert done.code == 0
    assert done.err.count("a database of the OpenCode plugin is not merged yet") == 1
    assert repo.json("agents", "list", "--no-flush")["agents"] == []


@pytest.mark.parametrize("command", [("flush",), ("log",), ("status",), ("agents", "list")], ids=" ".join)
def test_a_command_by_hand_merges_it(repo: GitRepo, placed: Repository, command: tuple[str, ...]) -> None:
    """And says so once, on stderr."""
    assert placed.main_path == str(repo.path)
    done = repo.tracker(*command)
    assert (done.code, done.err.count("agent-tracker: merged 3 entries of ")) == (0, 1)
    assert [each["name"] for each in repo.json("agents", "list", "--no-flush")["agents"]] == ["ada"]
    assert repo.tracker(*command).err == ""


def test_a_flush_with_nothing_else_to_do_says_what_it_merged(repo: GitRepo, placed: Repository) -> None:
    """For people and for programs; settled again, it has nothing to do."""
    repo.ok("flush")
    write(repo.path / INSIDE, entries("c", "d", project=placed.main_path))
    (found,) = repo.json("flush")["repositories"]
    assert [each["migrated"] for each in found["migrated"]] == [2]
    assert repo.ok("flush") == "Nothing to flush.\n"


def test_what_refers_to_nothing_that_is_known_is_sound(tmp_path: Path) -> None:
    """A grade of a commit without an entry, a retrospective of half an oid, an activity of nobody's."""
    said = {"agent_id": "gone", "commit_hash": oid("x").hex(), "project_path": "rel/ative\0", "timestamp": moment(1)}
    content: dict[str, dict[str, Any]] = {
        "commits": {"a": {**said, "commit_hash": oid("y").hex()}},
        "communication": {"gone:x:1": {**said, "grade": 5}},
        "retrospectives": {"gone:abc": {"commit": "abc", "timestamp": "2026-03-01T09:00:00Z", "task": "t"}},
        "activities": {"gone:2026-03-01T09:00:00Z": {"timestamp": "2026-03-01T09:00:00Z", "task": "t"}},
    }
    context = at_home(tmp_path)
    done = migrate_database(context, str(write(tmp_path / "p.lmdb", content)), None)
    assert done.total.migrated == 3
    assert [each.key for each in done.listed] == ["a"]
    assert problems(open_store(context)[0]) == ()
