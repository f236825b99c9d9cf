"""What a person gets wrong, and what a disk does: one clear line, a hint, the right exit code, nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gitrepo import Done, GitRepo, agent_tracker, run

if TYPE_CHECKING:
    from pathlib import Path


def is_clear(done: Done, code: int, *words: str) -> None:
    """Assert that a command failed with one line and a hint, no traceback, and these words in it."""
    assert done.code == code, done
    lines = done.err.strip().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, (word, done.err)


READING = [
    ("status",),
    ("log",),
    ("whoami",),
    ("flush",),
    ("install-hooks",),
    ("uninstall-hooks",),
    ("use", "one"),
    ("scan",),
]


@pytest.mark.parametrize("argv", READING, ids=lambda argv: argv[0])
def test_outside_of_a_repository(argv: tuple[str, ...], tmp_path: Path) -> None:
    """A command that needs a repository says that this is none."""
    is_clear(agent_tracker(*argv, cwd=tmp_path), 1, "not a git repository", str(tmp_path))


@pytest.mark.parametrize("argv", READING, ids=lambda argv: argv[0])
def test_in_a_bare_repository(argv: tuple[str, ...], tmp_path: Path) -> None:
    """A bare repository has no commits made in it."""
    bare = GitRepo.init(tmp_path / "bare.git", "--bare")
    is_clear(bare.tracker(*argv), 1, "bare repository")


@pytest.mark.parametrize("size", ["512", str(3 * 1024**3), "-1", "lots", "true"])
def test_a_database_size_out_of_limits(repo: GitRepo, home: Path, size: str) -> None:
    """A size out of limits is refused where it is set, and where it was written by hand."""
    is_clear(repo.tracker("config", "set", "maxDatabaseSize", "--", size), 1, "maxDatabaseSize", "2147483648")
    config = home / ".config/agent-tracker/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f"maxDatabaseSize = {size.replace('lots', repr('lots'))}\n")
    is_clear(repo.tracker("agents"), 1, str(config), "maxDatabaseSize")


@pytest.mark.parametrize("size", ["1000000", "1048576", str(2 * 1024**3)])
def test_a_database_size_within_limits(repo: GitRepo, size: str) -> None:
    """From 1 MB to 2 GB an agent can be registered."""
    repo.ok("config", "set", "maxDatabaseSize", size)
    repo.register("one")
    assert len(repo.json("agents")["agents"]) == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("databasePath = ", "config.toml"),
        ("databasePath = 5", "databasePath"),
        ('databasePath = ""', "databasePath"),
        ('policy = "maybe"', "policy"),
        ('polcy = "warn"', "polcy"),
        ("\x00\x01", "config.toml"),
    ],
    ids=["syntax", "type", "empty", "choice", "unknown", "binary"],
)
@pytest.mark.parametrize(
    "argv", [(c,) for c in ("agents", "log", "status", "flush", "config")], ids=lambda argv: argv[0]
)
def test_a_malformed_configuration(repo: GitRepo, home: Path, text: str, word: str, argv: tuple[str, ...]) -> None:
    """The file and the key are named, by every command."""
    repo.ok("install-hooks")
    repo.commit("a: work")
    config = home / ".config/agent-tracker/config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)
    is_clear(repo.tracker(*argv), 1, str(config), word)


def test_a_malformed_configuration_never_stops_git(repo: GitRepo, home: Path, tmp_path: Path) -> None:
    """Commits and pushes go on, one line says why, and nothing is lost."""
    run("git", "init", "--quiet", "--bare", tmp_path / "remote.git", cwd=tmp_path)
    repo.ok("install-hooks")
    config = home / ".config/agent-tracker/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("databasePath = 5")
    repo.commit("a: work")
    done = repo.try_git("push", "--quiet", str(tmp_path / "remote.git"), "main")
    assert done.code == 0
    assert len(done.err.splitlines()) == 1
    assert "databasePath" in done.err
    config.unlink()
    repo.ok("flush")
    assert len(repo.commits()) == 1


def test_a_directory_at_the_databases_path(repo: GitRepo, tmp_path: Path) -> None:
    """It is named, and left alone."""
    repo.ok("config", "set", "databasePath", str(tmp_path))
    is_clear(repo.tracker("agents"), 1, "is a directory", str(tmp_path))


def test_a_file_in_the_databases_path(repo: GitRepo, tmp_path: Path) -> None:
    """A path that leads through a file is no path."""
    (tmp_path / "file").write_text("x")
    repo.ok("config", "set", "databasePath", str(tmp_path / "file" / "x.lmdb"))
    is_clear(repo.tracker("agents"), 1, "file")


def test_a_foreign_file_at_the_databases_path_is_left_alone(repo: GitRepo, tmp_path: Path) -> None:
    """Somebody else's file is named, and not a byte of it changes."""
    path = tmp_path / "precious.txt"
    path.write_text("precious " * 100)
    repo.ok("config", "set", "databasePath", str(path))
    is_clear(repo.tracker("agents"), 1, str(path))
    done = repo.tracker("register", "one", "--model", "m", "--scope", "s")
    assert str(path) in done.err
    assert path.read_text() == "precious " * 100


def test_the_plugins_database_is_left_alone(repo: GitRepo, home: Path) -> None:
    """Where an lmdb-js file lies at the default path, ours is beside it."""
    path = home / ".config/opencode/agent-tracker.lmdb"
    path.parent.mkdir(parents=True)
    data = b"\0" * 24 + b"\xde\xc0\xef\xbe" + b"\2\0\0\0" + b"\0" * 8000
    path.write_bytes(data)
    repo.register("one")
    assert path.read_bytes() == data
    assert (path.parent / "agent-tracker-2.lmdb").exists()
    assert len(repo.json("agents")["agents"]) == 1


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="needs another user")
def test_a_read_only_home_keeps_the_commit(repo: GitRepo, home: Path, tmp_path: Path) -> None:
    """With a home that cannot be written, git goes on and the spool keeps the fact."""
    repo.ok("install-hooks")
    agent = repo.register("one")
    run("git", "init", "--quiet", "--bare", tmp_path / "remote.git", cwd=tmp_path)
    with (home / ".gitconfig").open("a") as config:
        config.write("[safe]\n\tdirectory = *\n")
    commands = [
        ["git", "commit", "--quiet", "--allow-empty", "-m", "a: work"],
        ["git", "push", "--quiet", str(tmp_path / "remote.git"), "main"],
    ]
    for path in (tmp_path, repo.path, tmp_path / "remote.git"):
        run("chmod", "-R", "a+rwX", path, cwd=tmp_path)
    run("chmod", "-R", "a+rX,a-w", home, cwd=tmp_path)
    ours = [parent for parent in (*tmp_path.parents, *home.parents) if "pytest" in str(parent)]
    run("chmod", "a+rx", *ours, cwd=tmp_path)
    as_other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = [run(*as_other, *c, cwd=repo.path, env={"AGENT_TRACKER_AGENT": agent}) for c in commands]
    run("chmod", "-R", "u+w", home, cwd=tmp_path)
    assert [d.code for d in done] == [0, 0], done
    repo.ok("flush")
    assert repo.credited() == {"a: work": agent}


def test_a_full_disk_keeps_the_commit(repo: GitRepo, home: Path) -> None:
    """With a database that reached its limit, the spool keeps everything until there is room."""
    repo.ok("config", "set", "maxDatabaseSize", "1000000")
    repo.ok("install-hooks")
    agent = repo.register("one")
    for number in range(6):
        repo.git("commit", "--quiet", "--allow-empty", "-m", f"{number}", env={"AGENT_TRACKER_AGENT": agent})
    spool = repo.path / ".git/agent-tracker/spool"
    lines = spool.read_bytes()
    oids = [f"{number:040x}" for number in range(20000)]
    made_up = (f"1\tcommit\t{oid}\t{agent}\t\t\tAGENT_TRACKER_AGENT={agent}" for oid in oids)
    spool.write_bytes(lines + b"".join(b"\n%s =%d\n" % (line.encode(), len(line)) for line in made_up))
    is_clear(repo.tracker("flush"), 1, "full", "maxDatabaseSize")
    repo.ok("config", "unset", "maxDatabaseSize")
    repo.ok("flush")
    assert len(repo.commits()) == 6
    assert repo.json("verify")["verify"]["clean"]
    assert home.exists()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("agents", "retire", "nobody"), ("unknown agent",)),
        (("use", "nobody"), ("unknown agent",)),
        (("credit", "HEAD", "nobody"), ("unknown agent",)),
        (("log", "--agent", "nobody"), ("unknown agent",)),
        (("register", "human", "--model", "m", "--scope", "s"), ("people",)),
        (("register", "a\x1b[31m", "--model", "m", "--scope", "s"), ("control",)),
        (("register", " ", "--model", "m", "--scope", "s"), ("empty",)),
        (("register", "x" * 200, "--model", "m", "--scope", "s"), ("200",)),
        (("register", "a", "--model", "m", "--scope", "s", "--client", "nothing"), ("unknown client",)),
        (("agents", "resume", "one"), ("already",)),
        (("use", "one", "--hours", "-1"), ("hours",)),
        (("credit", "no-such-thing", "human"), ("no-such-thing",)),
        (("config", "set", "nothing", "1"), ("unknown setting",)),
        (("config", "set", "databasePath", "x", "--repo"), ("user's",)),
        (("config", "unset", "policy"), ("not set",)),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else None,
)
def test_what_a_person_gets_wrong(repo: GitRepo, argv: tuple[str, ...], words: tuple[str, ...]) -> None:
    """Each mistake has its own line and its own hint."""
    repo.ok("install-hooks")
    repo.register("one")
    repo.commit("a: work")
    is_clear(repo.tracker(*argv), 1, *words)


def test_a_second_registration(repo: GitRepo) -> None:
    """The same name, model and scope is the same agent: it is named."""
    agent = repo.register("one")
    is_clear(repo.tracker("register", "one", "--model", "model-1", "--scope", "all"), 1, "already", agent)


def test_an_ambiguous_name(repo: GitRepo) -> None:
    """A name that two agents have is answered with both ids."""
    ids = [repo.register("one", model=model) for model in ("m1", "m2")]
    is_clear(repo.tracker("agents", "show", "one"), 1, *ids)


@pytest.mark.parametrize("missing", ["NAME", "--model", "--scope"])
def test_a_missing_option_in_a_pipe(repo: GitRepo, missing: str) -> None:
    """Without a terminal nothing is asked: the option is named, and it is a usage error."""
    options = {"NAME": ["one"], "--model": ["--model", "m"], "--scope": ["--scope", "s"]}
    argv = [word for name, words in options.items() if name != missing for word in words]
    is_clear(repo.tracker("register", *argv), 2, missing)


@pytest.mark.parametrize("argv", [("log", "--nothing"), ("nothing",), ("log", "-n", "x"), ("flush", "--nothing")])
def test_usage_errors_exit_with_2(repo: GitRepo, argv: tuple[str, ...]) -> None:
    """What the command line does not know is a usage error."""
    done = repo.tracker(*argv)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_a_foreign_line_in_the_spool(repo: GitRepo) -> None:
    """It is set aside with its reason, the rest is flushed, and it is said once."""
    repo.ok("install-hooks")
    repo.commit("a: work")
    with (repo.path / ".git/agent-tracker/spool").open("ab") as spool:
        spool.write(b"\x1b[31mnot ours\n\n1\tcommit\ttorn")
    repo.commit("b: work")
    first = repo.tracker("flush")
    second = repo.tracker("flush")
    assert "2 lines" in first.err
    assert second.err == ""
    assert len(repo.commits()) == 2
    (aside,) = (repo.path / ".git/agent-tracker").glob("*.rejected")
    assert b"\x1b[31mnot ours" in aside.read_bytes()


def test_a_spool_cannot_register_an_agent(repo: GitRepo) -> None:
    """A repository's spool may have come with the repository: a registration in it is set aside."""
    repo.ok("install-hooks")
    record = b"1\tagent\tevil-1\tevil\tm\ts\t\t1"
    (repo.path / ".git/agent-tracker/spool").write_bytes(b"\n%s =%d\n" % (record, len(record)))
    assert "set aside" in repo.tracker("flush").err
    assert repo.json("agents")["agents"] == []


def test_terminal_codes_in_a_subject_are_shown_escaped(repo: GitRepo) -> None:
    """A subject cannot act on the terminal of whoever reads the log."""
    repo.ok("install-hooks")
    repo.commit("a: \x1b[2Jgone\x07")
    repo.ok("flush")
    assert "\x1b" not in repo.ok("log")
    assert "\\x1b[2Jgone" in repo.ok("log")


def test_without_git(repo: GitRepo, tmp_path: Path) -> None:
    """A machine without git is told so."""
    repo.ok("install-hooks")
    repo.commit("a: work")
    is_clear(repo.tracker("flush", env={"PATH": str(tmp_path)}), 1, "git")


def test_a_closed_pipe_is_no_error(repo: GitRepo) -> None:
    """`agent-tracker log | head` ends quietly."""
    repo.ok("install-hooks")
    for number in range(30):
        repo.git("commit", "--quiet", "--allow-empty", "-m", f"{number}" * 100)
    repo.ok("flush")
    command = f"{sys.executable} -m agent_tracker log --json | head -n 1"
    done = subprocess.run(["sh", "-c", command], cwd=repo.path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1])
@pytest.mark.parametrize("argv", [("flush",), ("verify",)], ids=lambda argv: argv[0])
def test_a_truncated_database_is_an_error_and_no_signal(
    repo: GitRepo, home: Path, kept: float, argv: tuple[str, ...]
) -> None:
    """A file that was cut off is named with what to do, which brings everything back."""
    repo.ok("install-hooks")
    agent = repo.register("one")
    repo.commit("a: work", env={"AGENT_TRACKER_AGENT": agent})
    repo.ok("flush")
    repo.commit("b: work", env={"AGENT_TRACKER_AGENT": agent})
    database = home / ".config/opencode/agent-tracker.lmdb"
    os.truncate(database, int(database.stat().st_size * kept))
    done = repo.tracker(*argv)
    if argv == ("flush",):
        assert (done.code, "was damaged" in done.err) == (0, True), done
    else:
        is_clear(done, 1, "damaged", str(database))
    repo.ok("flush", "--all")
    assert repo.credited() == {"a: work": agent, "b: work": agent}


def test_a_registration_waits_for_a_database_that_can_be_written(repo: GitRepo) -> None:
    """It is an error with its reason; the hooks know the agent at once, the database after the next flush."""
    repo.ok("install-hooks")
    repo.ok("config", "set", "databasePath", "/proc/nowhere/x.lmdb")
    is_clear(repo.tracker("register", "one", "--model", "m", "--scope", "s"), 1, "/proc/nowhere", "waits")
    repo.commit("a: work", env={"AGENT_TRACKER_AGENT": "one"})
    is_clear(repo.tracker("flush"), 1, "/proc/nowhere")
    repo.ok("config", "unset", "databasePath")
    repo.ok("flush")
    assert [c["claim"] for c in repo.commits()] == ["agent"]
