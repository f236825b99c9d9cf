from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker.lmdbjs import dictionaries
from agent_tracker.lmdbjs.dictionaries import find_dictionary, is_known, read_dictionary
from agent_tracker.plugin_files import INSIDE
from agent_tracker.registration import agent_id
from facts import oid
from gitrepo import agent_tracker
from lmdbjs_samples import unpacked
from lmdbjs_writing import moment, write

if TYPE_CHECKING:
    from gitrepo import GitRepo

LINE = "\x1b[31mred\nX"


def entries(*names: str, project: str = "/srv/shop") -> dict[str, dict[str, Any]]:
    """Return a small database: ada, and a commit of hers for each name."""
    ada = {"name": "ada", "model": "gpt-5", "scope": "docs", "active": True, "skill_points": 3, "created_at": moment(0)}
    said = {"agent_id": "ada", "project_path": project, "timestamp": moment(5)}
    commits = {
        f"{project}:{name}": {**said, "commit_hash": oid(name).hex(), "task_description": name} for name in names
    }
    return {"agents": {"ada": ada}, "commits": commits}


def migrated(done: Any) -> dict[str, Any]:  # noqa: ANN401 -- a finished process
    """Return what the command said in JSON."""
    found = json.loads(done.out)
    assert found["version"] == 1
    result = found["migrated"]
    assert isinstance(result, dict)
    return result


def test_the_table_counts_what_came_of_each_kind(tmp_path: Path) -> None:
    """And what is not here of it stands below, with the reason."""
    path = unpacked("new-worn", tmp_path / "x")
    done = agent_tracker("migrate", path, cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"Migrated 26 entries of {path}"
    assert (
        lines[1:10]
        == [
            "KIND            ENTRIES  MIGRATED  SKIPPED  KNOWN  UNREADABLE",
            "agents                2         2        0      0           0",
            "totals                2         0        2      0           0",
            "commits               6         6        0      0           0",
            "communication        12         9        0      0           3",
            "retrospectives        6         3        0      0           3",
            "activities            6         6        0      0           0",
            "migrations            1         0        1      0           0",
            "projects              1         0        1      0           0",
        ]
        or lines[1:10]
    )
    assert "  totals skipped, a standing follows from facts: ada, bob" in lines
    assert lines[-1].startswith("No dictionary of the npm package lmdb was found: agent-tracker migrate --dictionary")
    assert [line for line in lines if "unreadable, it is compressed" in line]
    assert [line for line in lines if line.startswith("  ada-") and "commits, +" in line]


def test_the_json_names_every_entry(tmp_path: Path) -> None:
    """As docs/json.md has it."""
    content = entries("c", "d")
    content["commits"]["short"] = {"commit_hash": "abc", "timestamp": moment(1)}
    content["commits"]["broken"] = b"\x05"
    done = agent_tracker("migrate", write(tmp_path / "x.lmdb", content), "--json", cwd=tmp_path)
    (found,) = migrated(done)["databases"]
    assert found == {
        "path": str(tmp_path / "x.lmdb"),
        "entries": 6,
        "migrated": 3,
        "skipped": 2,
        "known": 0,
        "unreadable": 1,
        "kinds": {
            "agents": {"entries": 1, "migrated": 1, "skipped": 0, "known": 0, "unreadable": 0},
            "totals": {"entries": 1, "migrated": 0, "skipped": 1, "known": 0, "unreadable": 0},
            "commits": {"entries": 4, "migrated": 2, "skipped": 1, "known": 0, "unreadable": 1},
        },
        "listed": [
            {
                "kind": "totals",
                "key": "ada",
                "outcome": "skipped",
                "reason": "a standing follows from facts",
                "detail": "skill_points 3",
            },
            {
                "kind": "commits",
                "key": "short",
                "outcome": "skipped",
                "reason": "it does not name its commit in full",
                "detail": None,
            },
            {
                "kind": "commits",
                "key": "broken",
                "outcome": "unreadable",
                "reason": "it is no record",
                "detail": None,
            },
        ],
        "agents": [{"plugin_id": "ada", "agent_id": agent_id("ada", "gpt-5", "docs")}],
        "gains": [{"agent_id": agent_id("ada", "gpt-5", "docs"), "commits": 2, "experience_gained": 10}],
        "new": {"agent": 1, "commit": 2},
        "dictionary": False,
    }


def test_a_dry_run_changes_nothing(tmp_path: Path, home: Path) -> None:
    """It says what would be, and an agent may ask for it."""
    path = write(tmp_path / "x.lmdb", entries("c"))
    done = agent_tracker("migrate", path, "--dry-run", "--json", cwd=tmp_path, env={"CLAUDECODE": "1"})
    assert (done.code, migrated(done)["dry_run"], migrated(done)["databases"][0]["migrated"]) == (0, True, 2)
    assert list(home.rglob("*.lmdb")) == []
    assert agent_tracker("migrate", path, "-n", cwd=tmp_path).out.startswith("Would migrate 2 entries of ")


def test_an_agent_in_its_own_shell_migrates_nothing(tmp_path: Path, home: Path) -> None:
    """Another program's history is for a person to bring in."""
    path = write(tmp_path / "x.lmdb", entries("c"))
    done = agent_tracker("migrate", path, cwd=tmp_path, env={"CLAUDECODE": "1"})
    assert (done.code, done.out) == (1, "")
    assert list(home.rglob("*.lmdb")) == []


def test_a_second_run_says_that_all_is_known(tmp_path: Path) -> None:
    """And adds nothing."""
    path = write(tmp_path / "x.lmdb", entries("c"))
    agent_tracker("migrate", path, cwd=tmp_path)
    done = agent_tracker("migrate", path, cwd=tmp_path)
    assert (done.code, done.out.splitlines()[0]) == (0, f"Migrated nothing new of {path}")
    again = migrated(agent_tracker("migrate", path, "--json", cwd=tmp_path))["databases"][0]
    assert (again["migrated"], again["skipped"], again["known"], again["new"]) == (0, 3, 2, {})


def test_without_a_path_all_that_lie_here_are_migrated(repo: GitRepo, home: Path) -> None:
    """That of the repository and the central one; a commit that waits in the spool comes first."""
    repo.ok("install-hooks")
    bob = repo.register("bob")
    head = repo.commit("mine", env={"AGENT_TRACKER_AGENT": "bob"})
    content = entries("c", project=str(repo.path))
    (said,) = content["commits"].values()
    content["commits"]["mine"] = {**said, "commit_hash": head}
    write(repo.path / INSIDE, content)
    central = home / ".config" / "opencode"
    for path in central.glob("agent-tracker.lmdb*"):
        path.unlink()
    write(central / "agent-tracker.lmdb", entries("d"))
    found = migrated(repo.tracker("migrate", "--json"))
    assert [(Path(each["path"]).parent, each["migrated"]) for each in found["databases"]] == [
        ((repo.path / INSIDE).parent, 2),
        (central, 1),
    ]
    assert repo.credited() == {"mine": bob, "c": agent_id("ada", "gpt-5", "docs")}
    assert repo.tracker("flush").err == ""


def test_nothing_to_migrate_is_no_error(repo: GitRepo) -> None:
    """It says where was looked."""
    assert repo.ok("migrate") == "No database of the OpenCode plugin here, nor in the home directory.\n"
    assert migrated(repo.tracker("migrate", "--json")) == {
        "databases": [],
        "failed": [],
        "dry_run": False,
        "trouble": None,
    }


@pytest.mark.parametrize("inside", [INSIDE, "agent-tracker.lmdb"])
def test_a_directory_means_the_database_in_it(tmp_path: Path, inside: str) -> None:
    """A project's, or that of OpenCode's configuration."""
    write(tmp_path / "p" / inside, entries("c"))
    assert agent_tracker("migrate", "p", cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [("gone", "there is nothing at"), ("empty", "no database of the OpenCode plugin in"), ("text", "no LMDB database")],
)
def test_a_wrong_path_is_an_error_with_a_hint(tmp_path: Path, name: str, words: str) -> None:
    """Exit code 1, a line and a hint, and nothing on standard output."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text" * 5000)
    done = agent_tracker("migrate", name, "--json", cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert done.err.splitlines()[1].startswith("hint: ")


def test_one_that_cannot_be_read_does_not_stop_the_others(repo: GitRepo, home: Path) -> None:
    """The exit code tells, and so does the JSON."""
    repo.ok("install-hooks")
    broken = b"\0" * 24 + b"\xde\xc0\xef\xbe\x02\0\0\0" + b"\0" * 9000
    (repo.path / INSIDE).parent.mkdir(parents=True)
    (repo.path / INSIDE).write_bytes(broken)
    write(home / ".config" / "opencode" / "agent-tracker.lmdb", entries("d"))
    done = repo.tracker("migrate", "--json")
    assert done.code == 1
    found = migrated(done)
    assert [each["migrated"] for each in found["databases"]] == [2]
    (failed,) = found["failed"]
    assert failed["path"] == str(repo.path / INSIDE)
    assert "no page that says what is in it" in failed["problem"]
    assert done.err.startswith("error: cannot migrate ")


def test_one_that_git_tracks_is_migrated_where_it_is_named(repo: GitRepo) -> None:
    """Otherwise whoever wrote the repository would have a say in who did what."""
    repo.ok("install-hooks")
    write(repo.path / INSIDE, entries("c", project=str(repo.path)))
    repo.commit("with it")
    done = repo.tracker("migrate", "--json")
    assert done.code == 1
    assert [each["problem"].startswith("git tracks ") for each in migrated(done)["failed"]] == [True]
    assert migrated(repo.tracker("migrate", INSIDE, "--json"))["databases"][0]["migrated"] == 2


def test_flushing_every_repository_merges_the_central_one(tmp_path: Path, home: Path) -> None:
    """Also where no repository is known."""
    write(home / ".config" / "opencode" / "agent-tracker.lmdb", entries("d"))
    done = agent_tracker("flush", "--all", cwd=tmp_path)
    assert (done.code, done.err.count("agent-tracker: merged 2 entries of ")) == (0, 1)


def test_what_entries_say_does_nothing_to_a_terminal(tmp_path: Path) -> None:
    """Names, keys and reasons are escaped wherever they are shown."""
    content: dict[str, dict[str, Any]] = {
        "agents": {LINE: {"name": LINE, "scope": LINE}},
        LINE: {LINE: {"a": 1}},
        "commits": {LINE: b"\x05"},
    }
    path = write(tmp_path / "x.lmdb", content)
    for options in ((), ("--json",), ("--dry-run",)):
        done = agent_tracker("migrate", path, *options, cwd=tmp_path)
        assert done.code == 0
        assert "\x1b" not in done.out + done.err
        assert "red\nX" not in done.out


def test_migrated_entries_are_read_like_any_other(repo: GitRepo, tmp_path: Path) -> None:
    """Retrospectives, activities, grades, the reason why a commit is whose."""
    repo.ok("install-hooks")
    path = unpacked("new", tmp_path / "x")
    repo.ok("migrate", path)
    assert len(repo.json("log", "--all")["commits"]) == 6
    assert len(repo.json("retro", "list", "--all")["retrospectives"]) == 6
    assert len(repo.json("activity", "list", "--all")["activities"]) == 6
    assert len(repo.json("grades", "--all")["grades"]) == 12
    assert repo.ok("verify").startswith("Clean: ")


def test_what_was_migrated_moves_on(repo: GitRepo, tmp_path: Path, home: Path) -> None:
    """By an export, to another home."""
    repo.ok("migrate", unpacked("new", tmp_path / "x"))
    repo.ok("export", "--jsonl", tmp_path / "all.jsonl")
    other = {"HOME": str(tmp_path / "other")}
    (tmp_path / "other").mkdir()
    assert agent_tracker("import", tmp_path / "all.jsonl", cwd=tmp_path, env=other).code == 0
    ours, theirs = (agent_tracker("agents", "list", "--json", cwd=tmp_path, env=env).out for env in ({}, other))
    assert home.is_dir()
    strip = [{**each, "updated_at": ""} for each in json.loads(ours)["agents"]]
    assert [{**each, "updated_at": ""} for each in json.loads(theirs)["agents"]] == strip


# -- the dictionary


def test_a_dictionary_that_is_named_is_used(tmp_path: Path) -> None:
    """One that is not the package's own is used with a warning, and texts may come out wrong."""
    needed = b"\xfe\x00\x00\x08" + b"\x11\x81\x06\x00" + b"\x20\xa1x"
    path = write(tmp_path / "x.lmdb", {"agents": {"a": needed}})
    (tmp_path / "dict.txt").write_bytes(b"abc\xa4name" + b"rest")
    assert migrated(agent_tracker("migrate", path, "-n", "--json", cwd=tmp_path))["databases"][0]["unreadable"] == 1
    done = agent_tracker("migrate", path, "--dictionary", "dict.txt", "--json", cwd=tmp_path)
    assert done.err.startswith("warning: no version of lmdb that is known here has this dictionary")
    (found,) = migrated(done)["databases"]
    assert found["agents"] == [{"plugin_id": "a", "agent_id": agent_id("x", "unknown", "unknown")}]


def test_a_dictionary_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """With the place where it should be."""
    path = write(tmp_path / "x.lmdb", entries("c"))
    done = agent_tracker("migrate", path, "--dictionary", "no", cwd=tmp_path)
    assert (done.code, done.err) == (
        1,
        "error: no dictionary: no\nhint: it is dict/dict.txt in the directory node_modules/lmdb\n",
    )


@pytest.mark.parametrize(
    "place",
    [
        "p/node_modules",
        "p/~/.config/opencode/node_modules",
        "p/.opencode/node_modules",
        "p/node_modules/.pnpm/lmdb@3.5.6/node_modules",
        "p/node_modules/opencode-agent-tracker/node_modules",
        "p/node_modules/@of/plugin/node_modules",
        "home/.config/opencode/node_modules",
        "home/.config/opencode/plugins/tracker/node_modules",
        "home/.cache/opencode/packages/tracker/node_modules",
        "home/.nvm/versions/node/v20/lib/node_modules",
        "xdg/opencode/node_modules",
    ],
)
def test_a_dictionary_is_found_where_packages_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Near the database, in OpenCode's directories, and in those of npm, pnpm and bun."""
    monkeypatch.setattr(dictionaries, "_DIGEST", hashlib.sha256(b"right").hexdigest())
    for name, content in (("home/node_modules", b"wrong"), (place, b"right")):
        path = tmp_path / name / "lmdb" / "dict" / "dict.txt"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    env = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert find_dictionary(str(tmp_path / "p" / INSIDE), str(tmp_path / "home"), env) == b"right"


@pytest.mark.parametrize("place", ["p/node_modules", "home/.config/opencode/node_modules", "home/.cache/opencode/x"])
def test_a_dictionary_that_is_none_of_lmdb_s_is_passed_over(tmp_path: Path, place: str) -> None:
    """A work tree may hold anything; a text must not come out wrong because of it."""
    path = tmp_path / place / "lmdb" / "dict" / "dict.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 5480)
    assert find_dictionary(str(tmp_path / "p" / INSIDE), str(tmp_path / "home"), {}) == b""
    assert not is_known(read_dictionary(str(path.parents[1])))


def test_looking_for_a_dictionary_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    """Nor reads what is far too long."""
    directory = tmp_path / "p" / "node_modules" / "lmdb" / "dict"
    directory.mkdir(parents=True)
    os.mkfifo(directory / "dict.txt")
    assert find_dictionary(str(tmp_path / "p" / "x.lmdb"), str(tmp_path), {}) == b""
    (directory / "dict.txt").unlink()
    (directory / "dict.txt").write_bytes(b"x" * 100_000)
    assert find_dictionary(str(tmp_path / "p" / "x.lmdb"), str(tmp_path), {}) == b""
