"""The exports: what is written into a work tree, when, and what is never touched there."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from agent_tracker.config import find_setting
from agent_tracker.derived import Tally
from agent_tracker.errors import ConfigError
from agent_tracker.export import journal, status
from agent_tracker.export.base import ProjectView
from agent_tracker.export.registry import EXPORTERS
from agent_tracker.export.writing import BEGIN, END
from agent_tracker.journal import ActivityFact, RetroFact
from agent_tracker.rules import DEFAULT_RULES
from agent_tracker.views.journal import ActivityEntry, RetroEntry
from facts import NOW, PROJECT, agent, fact_id, oid
from gitrepo import GitRepo, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gitrepo import Done

HOSTILE = (
    "# heading\n===\n<script>alert(1)</script> [a](http://b) ![c](d) `e`\n    code\n- item\n1. item\n\x1b[2J\u202e&lt;"
)


@pytest.fixture
def coder(repo: GitRepo) -> Iterator[str]:
    """An agent that made a commit here; at the end the store is in order."""
    repo.ok("install-hooks")
    found = repo.register("coder")
    repo.commit("one", env={"AGENT_TRACKER_AGENT": found})
    repo.ok("flush")
    yield found
    assert repo.json("verify")["verify"]["clean"]


def turn_on(repo: GitRepo, value: str = "true") -> Done:
    """Turn the exports on in a repository and flush it."""
    repo.ok("config", "set", "export", value, "--repo")
    done = repo.tracker("flush")
    assert done.code == 0, done
    return done


def exported(root: Path) -> list[str]:
    """Return the files of the exports in a work tree."""
    places = (root / ".agent", root / ".journal")
    return sorted(str(path.relative_to(root)) for place in places for path in place.rglob("*") if path.is_file())


def sheet(root: Path) -> Any:  # noqa: ANN401 -- JSON
    """Return what `.agent/status.json` says."""
    return json.loads((root / ".agent" / "status.json").read_text())


def excluded(repo: GitRepo) -> str:
    """Return what git is told to leave alone."""
    return (repo.path / ".git" / "info" / "exclude").read_text()


@pytest.mark.usefixtures("coder")
def test_nothing_is_written_unless_it_was_asked_for(repo: GitRepo) -> None:
    """Off is the default, and leaves git's files as they are."""
    repo.ok("activity", "add", "--agent", "coder", "--task", "t")
    assert exported(repo.path) == []
    assert BEGIN not in excluded(repo)


def test_the_sheet_and_the_journal_are_written_at_flush(repo: GitRepo, coder: str) -> None:
    """Git sees nothing of them, and they follow what happens."""
    before = repo.git("status", "--porcelain")
    turn_on(repo)
    assert exported(repo.path) == [".agent/status.json"]
    found = sheet(repo.path)
    assert list(found) == ["written_by", "format_version", "project_id", "agents"]
    assert (found["written_by"], found["format_version"]) == ("agent-tracker", 1)
    (one,) = found["agents"]
    assert (one["id"], one["experience_points"], one["trust_tier"]) == (coder, 5, "probation")
    assert (one["here"]["commits"], one["here"]["experience_earned"]) == (1, 5)
    repo.ok("retro", "add", "--task", "the task", "--user-grade", "good")
    months = [name for name in exported(repo.path) if name.startswith(".journal/2")]
    assert exported(repo.path) == [".agent/status.json", *months, ".journal/index.md"]
    text = (repo.path / months[0]).read_text()
    assert "retrospective by coder" in text
    assert "- user's grade: good\n- score: 60 to 62\n\nTask:\n\n> the task\n" in text
    assert sheet(repo.path)["agents"][0]["here"]["grades"] == 1
    assert repo.git("status", "--porcelain") == before
    assert excluded(repo).count(BEGIN) == excluded(repo).count(END) == 1


@pytest.mark.parametrize(
    ("value", "directories"),
    [("status", {".agent"}), ("journal", {".journal"}), ("true", {".agent", ".journal"}), ("false", set())],
)
@pytest.mark.usefixtures("coder")
def test_each_is_turned_on_alone(repo: GitRepo, value: str, directories: set[str]) -> None:
    """By its name; what is not wanted is not kept out of git either."""
    turn_on(repo, value)
    repo.ok("activity", "add", "--agent", "coder", "--task", "t")
    assert {name.partition("/")[0] for name in exported(repo.path)} == directories
    for directory in (".agent", ".journal"):
        assert (f"/{directory}/" in excluded(repo)) is (directory in directories)


@pytest.mark.usefixtures("coder")
def test_a_setting_by_hand_is_heeded(repo: GitRepo, home: Path) -> None:
    """In the repository's or the user's git configuration, an included file, the user's file, or the environment."""
    repo.git("config", "agenttracker.export", "yes")
    repo.ok("activity", "add", "--agent", "coder", "--task", "t")
    assert ".agent/status.json" in exported(repo.path)
    other = GitRepo.init(repo.path.parent / "other")
    other.ok("install-hooks")
    with (home / ".gitconfig").open("a") as file:
        file.write(f"[include]\n\tpath = {home}/more\n")
    (home / "more").write_text("[agentTracker]\n\texport = status\n")
    other.commit("x", env={"AGENT_TRACKER_AGENT": "coder"})
    other.ok("flush")
    assert exported(other.path) == [".agent/status.json"]
    (home / "more").unlink()
    third = GitRepo.init(repo.path.parent / "third")
    third.ok("install-hooks")
    third.commit("x", env={"AGENT_TRACKER_AGENT": "coder"})
    third.ok("flush", env={"AGENT_TRACKER_EXPORT": "status"})
    assert exported(third.path) == [".agent/status.json"]


@pytest.mark.usefixtures("coder")
def test_it_is_turned_on_where_nothing_waits(repo: GitRepo) -> None:
    """By git itself, behind our back; and what was deleted is back after a flush, or a look."""
    repo.git("config", "agenttracker.export", "true")
    repo.ok("activity", "add", "--agent", "coder", "--task", "t")
    before = exported(repo.path)
    assert len(before) == 3
    for words in (("flush",), ("status",)):
        assert "Nothing" in repo.ok("flush")
        shutil.rmtree(repo.path / ".agent")
        shutil.rmtree(repo.path / ".journal")
        repo.ok(*words)
        assert exported(repo.path) == before
    repo.git("config", "--unset", "agenttracker.export")
    repo.ok("flush")
    shutil.rmtree(repo.path / ".agent")
    repo.ok("flush")
    assert exported(repo.path) == before[1:]


@pytest.mark.usefixtures("coder")
@pytest.mark.parametrize("place", ["git", "file", "environment"])
def test_a_setting_that_is_not_valid_stops_nothing(repo: GitRepo, home: Path, place: str) -> None:
    """A flush, a look and a push go on, with a warning; `config` and `doctor` call it an error."""
    env = {"AGENT_TRACKER_EXPORT": "markdown"} if place == "environment" else {}
    if place == "git":
        repo.git("config", "agenttracker.export", "markdown")
    elif place == "file":
        path = home / ".config" / "agent-tracker" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('export = "markdown"\n')
    remote = repo.path.parent / "remote"
    run("git", "init", "--quiet", "--bare", remote, cwd=repo.path)
    for words in (("flush",), ("status",), ("flush", "--all")):
        repo.commit(words[-1], env={"AGENT_TRACKER_AGENT": "coder"})
        done = repo.tracker(*words, env=env)
        assert (done.code, done.err.count("not 'markdown'")) == (0, 1), (words, done)
    repo.commit("pushed", env={"AGENT_TRACKER_AGENT": "coder"})
    done = repo.try_git("push", "--quiet", remote, "HEAD", env=env)
    assert (done.code, done.err.count("not 'markdown'")) == (0, 1), done
    assert len(repo.commits()) == 5
    assert repo.tracker("config", "list", env=env).code == 1


@pytest.mark.parametrize(("raw", "value"), [(True, "true"), ("ON", "true"), (False, "false"), ("0", "false")])
def test_words_for_yes_and_no(raw: object, value: str) -> None:
    """TOML has truth values of its own, git has several words."""
    assert find_setting("export").check(raw) == value


def test_an_unknown_value_is_an_error(repo: GitRepo) -> None:
    """The message lists what there is."""
    done = repo.tracker("config", "set", "export", "markdown", "--repo")
    assert (done.code, "false, true, status, journal" in done.err) == (1, True)
    with pytest.raises(ConfigError):
        find_setting("exports")


@pytest.mark.usefixtures("coder")
def test_what_has_not_changed_is_not_written(repo: GitRepo) -> None:
    """A second flush leaves the file as it is, to its time."""
    turn_on(repo)
    path = repo.path / ".agent" / "status.json"
    os.utime(path, ns=(1, 1))
    repo.commit("by hand", env={"AGENT_TRACKER_AGENT": "human"})
    repo.ok("flush")
    assert path.stat().st_mtime_ns == 1
    repo.commit("two", env={"AGENT_TRACKER_AGENT": "coder"})
    repo.ok("flush")
    assert path.stat().st_mtime_ns != 1


@pytest.mark.usefixtures("coder")
def test_an_edited_export_is_overwritten_and_never_read(repo: GitRepo) -> None:
    """Whatever it holds, as long as it begins as ours do."""
    turn_on(repo)
    path = repo.path / ".agent" / "status.json"
    before = path.read_bytes()
    path.write_bytes(status.MARK.encode() + b'"agents": [' * 100_000)
    repo.commit("by hand", env={"AGENT_TRACKER_AGENT": "human"})
    done = repo.tracker("flush")
    assert (done.code, done.err) == (0, "")
    assert path.read_bytes() == before
    path.unlink()
    repo.commit("by hand too", env={"AGENT_TRACKER_AGENT": "human"})
    repo.ok("flush")
    assert path.read_bytes() == before


@pytest.mark.usefixtures("coder")
def test_turning_it_off_leaves_what_is_there(repo: GitRepo) -> None:
    """Git is told nothing of it any more, and what it was told by others stays, to the byte."""
    path = repo.path / ".git" / "info" / "exclude"
    path.write_text("mine\n*.tmp")
    turn_on(repo)
    assert excluded(repo).startswith(f"mine\n*.tmp\n{BEGIN}")
    path.write_text(excluded(repo) + "after\n")
    repo.ok("config", "set", "export", "false", "--repo")
    assert excluded(repo) == "mine\n*.tmp\nafter\n"
    assert ".agent/" in repo.git("status", "--porcelain")
    repo.ok("config", "set", "export", "true", "--repo")
    repo.ok("flush")
    assert ".agent/" not in repo.git("status", "--porcelain")
    repo.git("config", "--unset", "agenttracker.export")
    repo.commit("by hand", env={"AGENT_TRACKER_AGENT": "human"})
    repo.ok("flush")
    assert BEGIN not in excluded(repo)
    assert exported(repo.path) == [".agent/status.json"]


# -- what is left alone


def link_to_directory(repo: GitRepo) -> None:
    """The directory is a link out of the work tree."""
    (repo.path.parent / "outside").mkdir()
    (repo.path / ".agent").symlink_to(repo.path.parent / "outside")


def dangling_link(repo: GitRepo) -> None:
    """The directory is a link to nothing."""
    (repo.path / ".agent").symlink_to(repo.path.parent / "nothing")


def file_in_place(repo: GitRepo) -> None:
    """The directory is a file."""
    (repo.path / ".agent").write_text("mine")


def foreign_file(repo: GitRepo) -> None:
    """There is another's file of this name."""
    (repo.path / ".agent").mkdir()
    (repo.path / ".agent" / "status.json").write_text('{"written_by": "somebody"}')


def link_to_file(repo: GitRepo) -> None:
    """The file is a link to one that begins as ours do."""
    (repo.path.parent / "outside").write_text(status.MARK)
    (repo.path / ".agent").mkdir()
    (repo.path / ".agent" / "status.json").symlink_to(repo.path.parent / "outside")


def pipe_in_place(repo: GitRepo) -> None:
    """The file is a pipe, which would never end."""
    (repo.path / ".agent").mkdir()
    os.mkfifo(repo.path / ".agent" / "status.json")


def tracked(repo: GitRepo) -> None:
    """The directory is the repository's own."""
    repo.write(".agent/other", "tracked")
    repo.git("add", "--force", ".agent/other")


def cannot_be_written(repo: GitRepo) -> None:
    """Something is where the new file is made."""
    (repo.path / ".agent" / ".status.json.agent-tracker-tmp").mkdir(parents=True)


@pytest.mark.parametrize(
    ("obstacle", "words"),
    [
        (link_to_directory, "is a link or a file"),
        (dangling_link, "is a link or a file"),
        (file_in_place, "is a link or a file"),
        (foreign_file, "did not write"),
        (link_to_file, "that is no file"),
        (pipe_in_place, "that is no file"),
        (tracked, "is tracked by git"),
        (cannot_be_written, "cannot export to"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_not_ours_is_left_alone(repo: GitRepo, coder: str, obstacle: Any, words: str) -> None:  # noqa: ANN401 -- a function
    """One warning, nothing overwritten, and the flush does all the rest; the journal is written all the same."""
    obstacle(repo)

    def others() -> list[tuple[str, bytes]]:
        places = [repo.path / ".agent", repo.path.parent / "outside", repo.path / ".agent" / "status.json"]
        return [(str(path), path.read_bytes()) for path in places if path.is_file()]

    before = others()
    done = turn_on(repo)
    assert done.err.count("\n") == 1
    assert words in done.err
    assert others() == before
    assert list((repo.path.parent / "outside").rglob("*")) == []
    repo.ok("activity", "add", "--agent", coder, "--task", "t")
    assert (repo.path / ".journal" / "index.md").is_file()


# -- where


@pytest.mark.usefixtures("coder")
def test_a_linked_worktree_writes_into_the_main_one(repo: GitRepo) -> None:
    """It is the project's, and lies in one place."""
    linked = repo.path.parent / "linked"
    repo.git("worktree", "add", "--quiet", linked)
    turn_on(GitRepo(linked))
    assert exported(linked) == []
    assert exported(repo.path) == [".agent/status.json"]


def test_a_bare_repository_gets_nothing(repo: GitRepo, coder: str) -> None:
    """Its worktrees are not the main one, whatever its name."""
    bare = repo.path.parent / "place" / ".git"
    run("git", "clone", "--quiet", "--bare", repo.path, bare, cwd=repo.path.parent)
    linked = repo.path.parent / "place" / "linked"
    run("git", "worktree", "add", "--quiet", linked, "main", cwd=bare)
    worktree = GitRepo(linked)
    worktree.ok("install-hooks")
    worktree.commit("two", env={"AGENT_TRACKER_AGENT": coder})
    turn_on(worktree)
    assert exported(linked) == exported(bare.parent) == []


def test_a_git_directory_elsewhere(tmp_path: Path, repo: GitRepo, coder: str) -> None:
    """The work tree whose `.git` leads there is the main one; a hook that knows the git directory alone writes none."""
    (tmp_path / "elsewhere").mkdir()
    place = GitRepo.init(tmp_path / "tree", "--separate-git-dir", str(tmp_path / "elsewhere" / "git"))
    place.ok("install-hooks")
    turn_on(place)
    place.commit("one", env={"AGENT_TRACKER_AGENT": coder})
    place.ok("flush")
    assert exported(place.path) == [".agent/status.json"]
    remote = tmp_path / "remote"
    run("git", "init", "--quiet", "--bare", remote, cwd=tmp_path)
    place.commit("two", env={"AGENT_TRACKER_AGENT": coder})
    place.git("push", "--quiet", remote, "HEAD")
    assert exported(tmp_path / "elsewhere") == exported(tmp_path / "elsewhere" / "git") == []
    assert repo


def test_a_submodule_has_its_own(repo: GitRepo, coder: str) -> None:
    """Its git directory lies in the other's, its work tree does not; pushing it writes nothing into either's."""
    inner = GitRepo.init(repo.path.parent / "inner")
    inner.commit("one")
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.path, "sub")
    sub = GitRepo(repo.path / "sub")
    sub.ok("install-hooks")
    turn_on(sub)
    sub.commit("two", env={"AGENT_TRACKER_AGENT": coder})
    remote = repo.path.parent / "remote"
    run("git", "init", "--quiet", "--bare", remote, cwd=repo.path)
    sub.git("push", "--quiet", remote, "HEAD")
    assert exported(sub.path) == [".agent/status.json"]
    assert exported(repo.path) == exported(repo.path / ".git") == exported(repo.path / ".git" / "modules") == []


def test_a_push_writes_too(repo: GitRepo, coder: str) -> None:
    """Its flush is one like any other."""
    turn_on(repo)
    repo.commit("two", env={"AGENT_TRACKER_AGENT": coder})
    remote = repo.path.parent / "remote"
    run("git", "init", "--quiet", "--bare", remote, cwd=repo.path)
    repo.git("push", "--quiet", remote, "HEAD")
    assert sheet(repo.path)["agents"][0]["here"]["commits"] == 2


def test_forgetting_goes_through_the_exports(repo: GitRepo, coder: str) -> None:
    """Also through those that were turned off since."""
    turn_on(repo)
    done = json.loads(repo.ok("activity", "add", "--agent", coder, "--task", "hunter2", "--json"))["activity"]
    (month,) = (repo.path / ".journal").glob("2*.md")
    assert "hunter2" in month.read_text()
    repo.ok("config", "set", "export", "false", "--repo")
    repo.ok("forget", done["id"], "--yes")
    assert "hunter2" not in month.read_text()
    assert "(forgotten)" in month.read_text()
    assert not list((repo.path / ".journal").glob(".*"))


# -- the texts


def view(text: str) -> ProjectView:
    """Return a project in which every text is this one."""
    retro = RetroFact(fact_id("r"), oid("c"), "", text, text, "good", "", text, text, PROJECT, NOW * 10**9)
    activity = ActivityFact(fact_id("v"), text, text, b"", text, text, text, text, PROJECT, (NOW + 1) * 10**9)
    return ProjectView(
        PROJECT,
        (),
        (RetroEntry(retro, oid("d"), 60, 62, is_forgotten=False),),
        (ActivityEntry(activity, is_forgotten=False),),
        DEFAULT_RULES,
    )


def written(text: str) -> dict[str, str]:
    """Return the journal of a project in which every text is this one."""
    out: dict[str, str] = {}
    journal.write(view(text), out)
    return out


@given(st.one_of(st.text(max_size=60), st.text("#=-*_`~[]()<>!&\\\n \t1.+|:/ahtps", max_size=60), st.just(HOSTILE)))
def test_no_text_forges_markdown(text: str) -> None:
    """Whatever it holds, a reader of Markdown finds our headings, lists and quotations alone."""
    files = written(text)
    assert sorted(files) == ["2023-11.md", "index.md"]
    source = files["2023-11.md"]
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(source)
    headings = [token for token in tokens if token.type == "heading_open"]
    assert [token.tag for token in headings] == ["h1", "h2", "h2"]
    # Our own mark is the one comment.
    assert [token.content for token in tokens if token.type == "html_block"] == [source.split("\n")[0] + "\n"]
    blocks = {token.type for token in tokens if token.nesting >= 0 and token.type != "inline"}
    allowed = {"heading_open", "html_block", "bullet_list_open", "list_item_open", "paragraph_open", "blockquote_open"}
    assert blocks <= allowed
    inline = {child.type for token in tokens for child in token.children or ()}
    assert inline <= {"text", "text_special", "softbreak"}
    assert all(character.isprintable() or character == "\n" for character in source)


def test_a_quotation_reads_as_it_was_written() -> None:
    """What is escaped in the source is what was typed, to a reader."""
    tokens = MarkdownIt().parse(written("*a* <b> \\c & #d\nsecond")["2023-11.md"])
    texts = ["".join(child.content or "\n" for child in token.children or ()) for token in tokens]
    assert "*a* <b> \\c & #d\nsecond" in texts


def test_the_same_view_makes_the_same_files() -> None:
    """Two entries of one moment stand in the order of their ids."""
    one = view("a")
    first = written("a")
    twice: dict[str, str] = {}
    journal.write(one, twice)
    assert first == twice
    assert "- [2023-11](2023-11.md): 1 retrospective, 1 activity\n" in first["index.md"]


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_exporter_keeps_the_contract(name: str) -> None:
    """Its files begin with its mark, there are none of nothing, and they lie in a directory that git is not told of."""
    exporter = EXPORTERS[name]
    out: dict[str, str] = {}
    empty = ProjectView(PROJECT, (), (), (), DEFAULT_RULES)
    exporter.write(empty, out)
    assert out == {}
    exporter.write(view(HOSTILE)._replace(agents=((agent("coder"), Tally(1, 2, 3, 4, 5)),)), out)
    assert out
    assert all(text.startswith(exporter.MARK) for text in out.values())
    assert all(pattern.startswith(f"/{exporter.DIRECTORY}/") for pattern in exporter.IGNORED)
    assert exporter.FORMAT_VERSION == 1
