"""The doctor: real broken repositories and homes, what it says of each, what it mends, and that it is then content."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import agent_tracker as agent_tracker_package
from agent_tracker.benches.bench_others import find_program
from agent_tracker.checks.doctor import REPOSITORY_CHECKS, USER_CHECKS, doctor
from agent_tracker.checks.hook_checks import hooks_slow
from agent_tracker.checks.mending import DEEDS
from agent_tracker.checks.spool_checks import flush_lock, index_size, spool_size
from agent_tracker.checks.user_checks import (
    database_access,
    database_disk,
    database_file_system,
    database_leftovers,
    database_owner,
    database_size,
    spool_disk,
)
from agent_tracker.context import Context
from agent_tracker.errors import ForeignOwnerError, NetworkFileSystemError
from agent_tracker.installation.hook_scripts import EVENTS
from agent_tracker.installation.neighbours import lines_for
from agent_tracker.paths import user_paths
from agent_tracker.repository import find_repository
from gitrepo import GitRepo, agent_tracker, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


HOLD_LOCK = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
is_root = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A healthy repository: hooks, an agent, a commit of each, everything flushed."""
    repo.git("config", "agenttracker.hookStyle", "files")
    repo.ok("install-hooks")
    agent = repo.register("one")
    repo.commit("first: by a person")
    repo.commit("second: by one", env={"AGENT_TRACKER_AGENT": agent})
    repo.ok("flush")
    return repo


def problems(repo: GitRepo, *options: str, env: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Return what the doctor finds by check, having made sure that the exit code says the same."""
    done = repo.tracker("doctor", "--json", *options, env=env)
    assert done.err == ""
    found = json.loads(done.out)
    assert done.code == (1 if found["problems"] else 0)
    return {problem["check"]: problem for problem in found["problems"]}


def mended(repo: GitRepo, *options: str) -> None:
    """Assert that `--fix` leaves nothing, and that the next look finds nothing."""
    done = repo.tracker("doctor", "--fix", *options)
    assert (done.code, done.out.splitlines()[-1].split()[:3]) == (0, ["All", "is", "well"]), done
    assert done.out.startswith("mended: ")
    assert problems(repo, *options) == {}


def context() -> Context:
    """Return what every verb is given, here and now."""
    return Context(user_paths(os.environ), os.environ, time.time_ns())


def found_in(repo: GitRepo) -> Any:  # noqa: ANN401 -- a repository
    """Return the repository as the checks are given it."""
    return find_repository(str(repo.path), {})


def hook(repo: GitRepo, event: str) -> Path:
    """Return the path of an event's hook."""
    return repo.path / ".git/hooks" / event


def spool_dir(repo: GitRepo) -> Path:
    """Return our directory in the repository."""
    return repo.path / ".git/agent-tracker"


# -- a healthy world ---------------------------------------------------------------------------------------------------


def test_a_healthy_repository_is_said_to_be_well(work: GitRepo) -> None:
    """One line, exit code 0, and every check's name in the JSON."""
    done = work.tracker("doctor")
    assert (done.code, done.err) == (0, "")
    count = len(USER_CHECKS) + len(REPOSITORY_CHECKS) + 1
    assert done.out == f"All is well in {work.path}: {count} checks.\n"
    found = work.json("doctor")
    assert found == {
        "version": 1,
        "repository": str(work.path),
        "repositories": [str(work.path)],
        "problems": [],
        "checked": [*USER_CHECKS, "repository", *REPOSITORY_CHECKS],
        "mended": [],
    }


def test_a_look_changes_nothing(work: GitRepo, home: Path) -> None:
    """Without --fix not a byte, mode or name changes, in the repository or the home."""

    def everything() -> list[tuple[str, int, bytes]]:
        # LMDB notes its readers in the lock file.
        paths = [p for top in (work.path, home) for p in sorted(top.rglob("*")) if not p.name.endswith(".lmdb-lock")]
        return [(str(p), p.lstat().st_mode, p.read_bytes() if p.is_file() else b"") for p in paths]

    hook(work, "post-commit").unlink()
    before = everything()
    assert set(problems(work)) == {"hooks-missing"}
    assert everything() == before


def test_outside_of_any_repository_the_users_side_is_checked(tmp_path: Path, home: Path) -> None:
    """A plain directory is fine; a broken configuration is found there too."""
    done = agent_tracker("doctor", cwd=tmp_path)
    assert (done.code, done.out) == (0, f"All is well outside of any repository: {len(USER_CHECKS)} checks.\n")
    config = home / ".config/agent-tracker/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("nonsense = 1\n")
    found = json.loads(agent_tracker("doctor", "--json", cwd=tmp_path).out)
    assert [problem["check"] for problem in found["problems"]] == ["configuration"]
    assert found["repository"] is None
    assert found["problems"][0]["remedy"] == "agent-tracker config unset nonsense"


def test_another_directory_can_be_named(work: GitRepo, tmp_path: Path) -> None:
    """From elsewhere the remedy leads there; a directory that is not there is a usage error."""
    hook(work, "pre-push").unlink()
    done = agent_tracker("doctor", work.path, cwd=tmp_path)
    assert done.code == 1
    assert f"cd {work.path} && agent-tracker install-hooks" in done.out
    assert agent_tracker("doctor", tmp_path / "nowhere", cwd=tmp_path).code == 2


def test_every_line_of_a_problem_is_one_line(work: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """A repository's name cannot add lines or act on a terminal."""
    del work
    odd = make_repo("a\nb\x1b[31m'$(touch PWN)")
    done = odd.tracker("doctor")
    assert done.code == 1
    assert len(done.out.splitlines()) == 1
    assert "\x1b" not in done.out
    assert json.loads(odd.tracker("doctor", "--json").out)["problems"][0]["check"] == "hooks-missing"


@pytest.mark.parametrize("check", DEEDS)
def test_what_can_be_mended_is_a_check(check: str) -> None:
    """No deed waits for a name that no check has."""
    assert check in {*USER_CHECKS, *REPOSITORY_CHECKS, "repositories"}


# -- hooks -------------------------------------------------------------------------------------------------------------


def test_hooks_never_installed(repo: GitRepo) -> None:
    """It says so, and --fix does not install what nobody asked for."""
    (problem,) = problems(repo, "--fix").values()
    assert (problem["check"], problem["is_fixable"]) == ("hooks-missing", False)
    assert problem["remedy"] == "agent-tracker install-hooks"
    assert not hook(repo, "post-commit").exists()


def break_missing(repo: GitRepo) -> None:
    """Delete a hook."""
    hook(repo, "post-commit").unlink()


def break_shared(repo: GitRepo) -> None:
    """Delete what the hooks source."""
    hook(repo, "agent-tracker-rare.sh").unlink()


def break_old(repo: GitRepo) -> None:
    """Change a hook."""
    with hook(repo, "pre-push").open("a") as file:
        file.write("# of another version\n")


def break_mode(repo: GitRepo) -> None:
    """Take the executable bit away."""
    hook(repo, "pre-commit").chmod(0o644)


def break_displaced(repo: GitRepo) -> None:
    """Move our hook away, as an installer does that puts nothing in its place."""
    hook(repo, "post-commit").rename(hook(repo, "post-commit.old"))


def bake(repo: GitRepo, name: str, value: str) -> None:
    """Write another value into every file of ours."""
    for path in hook(repo, "").iterdir():
        lines = path.read_text().split("\n")
        path.write_text("\n".join(f"AT_{name}='{value}'" if x.startswith(f"AT_{name}=") else x for x in lines))


def break_interpreter(repo: GitRepo) -> None:
    """Let the hooks start an interpreter that was there when they were installed."""
    bake(repo, "PYTHON", "/gone/bin/python3")


def break_package(repo: GitRepo) -> None:
    """Let the hooks look for the package where it was."""
    bake(repo, "PATH", "/gone/site-packages")


def break_registry_path(repo: GitRepo) -> None:
    """Let the hooks look for agents in another state directory."""
    bake(repo, "REGISTRY", "/gone/registry")


def break_open_spool(repo: GitRepo) -> None:
    """Open our directory to others."""
    spool_dir(repo).chmod(0o755)


def break_stale(repo: GitRepo) -> None:
    """Leave what a killed process leaves."""
    path = spool_dir(repo) / "project.4711.tmp"
    path.write_text("half")
    os.utime(path, (1, 1))


def break_use(repo: GitRepo) -> None:
    """Let `use` expire."""
    repo.ok("use", "one")
    os.utime(repo.path / ".git/agent-tracker/use", (1, 1))


def break_registry(repo: GitRepo) -> None:
    """Lose what hooks know of agents."""
    shutil.rmtree(context().paths.registry)
    assert repo.path.exists()


def break_marker(_repo: GitRepo) -> None:
    """Leave a marker of an agent that the database does not know."""
    (Path(context().paths.registry) / "ids/ghost-00000000").write_text("ghost-00000000\nghost\n")


def break_database_mode(_repo: GitRepo) -> None:
    """Let others read the database."""
    Path(context().paths.default_database).chmod(0o644)


MENDABLE = {
    "hooks-missing": break_missing,
    "hooks-missing (shared)": break_shared,
    "hooks-old": break_old,
    "hooks-mode": break_mode,
    "hooks-displaced": break_displaced,
    "hooks-interpreter": break_interpreter,
    "hooks-interpreter (package)": break_package,
    "hooks-registry": break_registry_path,
    "spool": break_open_spool,
    "stale-files": break_stale,
    "use": break_use,
    "registry": break_registry,
    "registry (marker)": break_marker,
    "database-access": break_database_mode,
}


@pytest.mark.parametrize("what", MENDABLE)
def test_it_is_found_and_mended(work: GitRepo, what: str) -> None:
    """What is broken is named as mendable; after --fix the doctor is content, and a commit is recorded."""
    MENDABLE[what](work)
    found = problems(work)
    assert set(found) == {what.partition(" ")[0]}
    assert all(problem["is_fixable"] and problem["remedy"] for problem in found.values())
    mended(work)
    work.commit("third: a commit", env={"AGENT_TRACKER_AGENT": "one"})
    work.ok("flush")
    assert work.credited()["third: a commit"].startswith("one-")


def test_hooks_in_the_configuration(work: GitRepo) -> None:
    """Bodies that were changed, and a file gone that they source, are found and mended there."""
    if not _reads_config():
        pytest.skip("this git has no hooks in its configuration")
    work.git("config", "agenttracker.hookStyle", "config")
    work.ok("install-hooks")
    assert problems(work) == {}
    work.git("config", "hook.agent-tracker-post-commit.command", "# agent-tracker-hook 0: old")
    (spool_dir(work) / "lib/agent-tracker.sh").unlink()
    assert set(problems(work)) == {"hooks-old", "hooks-missing"}
    mended(work)


def _reads_config() -> bool:
    words = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()
    return tuple(int(part) for part in words[2].split(".")[:2]) >= (2, 54)


LEFTHOOK_LIKE = '#!/bin/sh\nif [ "$LEFTHOOK" = "0" ]; then\n  exit 0\nfi\n'


def test_another_manager_owns_the_hooks(work: GitRepo) -> None:
    """It is named, with what it must be told; the doctor does not touch its hooks."""
    for event in ("pre-commit", "post-commit"):
        hook(work, event).rename(hook(work, f"{event}.old"))
        hook(work, event).write_text(LEFTHOOK_LIKE)
        hook(work, event).chmod(0o755)
    (problem,) = problems(work, "--fix").values()
    assert problem["check"] == "hooks-owner"
    assert problem["message"].startswith("lefthook has the hooks")
    assert "pre-commit, post-commit" in problem["message"]
    assert hook(work, "post-commit").read_text() == LEFTHOOK_LIKE


def test_a_real_manager_beside_ours(work: GitRepo, tmp_path: Path) -> None:
    """pre-commit runs ours, and all is well; what lefthook needs is said until it is there, and then all is well."""
    pre_commit, lefthook = (find_program(name, str(tmp_path)) for name in ("pre-commit", "lefthook"))
    if not (pre_commit and lefthook):
        pytest.skip("pre-commit and lefthook are not both installed")
    work.write(".pre-commit-config.yaml", "repos: []\n")
    run(pre_commit, "install", "--hook-type=pre-commit", "--hook-type=post-commit", cwd=work.path)
    assert problems(work) == {}
    run(pre_commit, "uninstall", "--hook-type=pre-commit", "--hook-type=post-commit", cwd=work.path)
    work.write("lefthook.yml", "pre-commit:\n  commands:\n    nothing:\n      run: ':'\n")
    run(lefthook, "install", cwd=work.path)
    (problem,) = problems(work).values()
    assert (problem["check"], problem["remedy"].split("   ")[0]) == ("hooks-owner", "agent-tracker install-hooks")
    (line,) = lines_for(found_in(work), ("pre-commit",))
    Path(line.path).write_text(line.line + "\n")
    assert set(problems(work)) == {"hooks-missing"}
    mended(work)


def test_hooks_path_leads_elsewhere(work: GitRepo, home: Path, tmp_path: Path) -> None:
    """The file that sets it is named, and the line to add works; a directory that is not there is said to be so."""
    work.git("config", "--global", "core.hooksPath", str(tmp_path / "shared"))
    (problem,) = problems(work).values()
    assert problem["check"] == "hooks-path"
    assert str(home / ".gitconfig") in problem["message"]
    assert problem["remedy"] == "git config --global --unset-all core.hooksPath"
    (tmp_path / "shared").mkdir()
    work.ok("install-hooks")
    (problem,) = problems(work).values()
    assert (problem["check"], problem["is_fixable"]) == ("hooks-path", False)
    _, _, line = problem["remedy"].partition(": ")
    for event in ("pre-commit", "pre-merge-commit", "pre-applypatch", "pre-push"):
        _call_from(tmp_path / "shared" / event, line)
    assert "pre-commit" not in problems(work)["hooks-path"]["message"]
    for event in ("post-commit", "post-merge", "post-applypatch", "post-rewrite"):
        _call_from(tmp_path / "shared" / event, line)
    assert problems(work) == {}
    shutil.rmtree(spool_dir(work) / "hooks")
    assert set(problems(work)) == {"hooks-missing"}
    mended(work)


def _call_from(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def test_a_kept_hook_that_nothing_runs(work: GitRepo) -> None:
    """Another hook took our place: the one that ours kept is not lost from sight."""
    for name, text in {"post-merge.agent-tracker-kept": "mine", "post-merge": "theirs"}.items():
        hook(work, name).write_text(f"#!/bin/sh\necho {text}\n")
        hook(work, name).chmod(0o755)
    found = problems(work)
    assert set(found) == {"hooks-displaced"}
    assert found["hooks-displaced"]["remedy"].startswith(f"merge it into {hook(work, 'post-merge')}, then: rm ")
    assert not found["hooks-displaced"]["is_fixable"]


def test_a_kept_hook_behind_a_program_that_runs_legacy_ones(work: GitRepo) -> None:
    """Installing again is the remedy, for nothing of that program's may be moved; by it all three run."""
    _call_from(hook(work, "post-commit"), "echo mine >>mine")
    work.ok("install-hooks")
    theirs = '#!/bin/sh\n# File generated by prek: x\n"$0.legacy" "$@"\n'
    hook(work, "post-commit").write_text(theirs)
    found = problems(work)
    assert found["hooks-displaced"]["remedy"] == "agent-tracker install-hooks"
    mended(work)
    assert hook(work, "post-commit").read_text() == theirs
    work.commit("third")
    assert (work.path / "mine").read_text() == "mine\n"


@pytest.mark.parametrize("is_commented", [False, True])
def test_a_hook_that_only_seems_to_call_ours(work: GitRepo, tmp_path: Path, *, is_commented: bool) -> None:
    """A file that git passes over, or a line that is a comment, runs nothing of ours."""
    work.git("config", "core.hooksPath", str(tmp_path / "shared"))
    (tmp_path / "shared").mkdir()
    work.ok("install-hooks")
    line = lines_for(found_in(work), ["post-commit"])[0].line
    for event in EVENTS:
        _call_from(tmp_path / "shared" / event, line)
    assert problems(work) == {}
    place = tmp_path / "shared/post-commit"
    if is_commented:
        _call_from(place, f"  # {line}")
        assert "do not call ours: post-commit" in problems(work)["hooks-path"]["message"]
    else:
        place.chmod(0o644)
        assert problems(work)["hooks-mode"]["remedy"] == f"chmod +x {place}"


def test_a_program_whose_hook_lost_its_mode(work: GitRepo) -> None:
    """Ours is run by it, so by nobody."""
    hook(work, "post-commit").write_text("#!/bin/sh\n# File generated by pre-commit: x\n")
    hook(work, "post-commit").chmod(0o755)
    work.ok("install-hooks")
    assert problems(work) == {}
    hook(work, "post-commit").chmod(0o644)
    (problem,) = problems(work).values()
    assert (problem["check"], problem["remedy"]) == ("hooks-mode", f"chmod +x {hook(work, 'post-commit')}")


def test_an_interpreter_that_does_not_start(work: GitRepo, tmp_path: Path) -> None:
    """It is there, and ends at once: found by starting it, and mended."""
    _call_from(tmp_path / "python", "exit 1")
    bake(work, "PYTHON", str(tmp_path / "python"))
    assert "does not start" in problems(work)["hooks-interpreter"]["message"]
    mended(work)


def test_a_hollow_lmdb(work: GitRepo, tmp_path: Path) -> None:
    """Directories of the right names are no packages."""
    (tmp_path / "modules/lmdb").mkdir(parents=True)
    shutil.copytree(Path(agent_tracker_package.__file__).parent, tmp_path / "modules/agent_tracker")
    bake(work, "PATH", str(tmp_path / "modules"))
    assert "does not start" in problems(work)["hooks-interpreter"]["message"]
    mended(work)


@pytest.mark.parametrize("name", ["PYTHON", "PATH"])
def test_what_a_repository_brings_is_not_started(work: GitRepo, name: str) -> None:
    """An interpreter, or modules, in the repository itself may be anybody's."""
    place = work.path / "brought"
    (place / "lmdb").mkdir(parents=True)
    (place / "agent_tracker").mkdir()
    (place / "agent_tracker/hook.py").touch()
    (place / "lmdb/__init__.py").write_text(f"open({str(place / 'ran')!r}, 'w')")
    _call_from(place / "python", f"touch '{place}/ran'")
    bake(work, name, str(place / "python" if name == "PYTHON" else place))
    work.tracker("doctor")
    assert not (place / "ran").exists()


def test_a_relative_hooks_path_is_looked_at_in_every_worktree(work: GitRepo, tmp_path: Path) -> None:
    """Git resolves it in each of them anew, so that what is there in one is not in another."""
    work.git("config", "core.hooksPath", ".git/hooks")
    assert problems(work) == {}
    work.git("worktree", "add", "-q", tmp_path / "linked")
    (problem,) = problems(work).values()
    assert (problem["check"], str(tmp_path / "linked") in problem["message"]) == ("hooks-path", True)
    work.git("config", "--unset-all", "core.hooksPath")
    assert problems(work) == {}


def test_validation_that_was_moved_without_the_hooks(work: GitRepo) -> None:
    """The setting alone changes nothing: said, and mended."""
    work.git("config", "agenttracker.validateIn", "commit-msg")
    assert "validateIn is commit-msg" in problems(work)["hooks-old"]["message"]
    mended(work)
    assert hook(work, "commit-msg").exists()


def test_git_lfs_that_is_gone(work: GitRepo, tmp_path: Path) -> None:
    """A kept hook of its stops every push: which file that is."""
    hook(work, "pre-push").unlink()
    _call_from(hook(work, "pre-push"), 'git lfs pre-push "$@"')
    work.ok("install-hooks")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(shutil.which("git") or "")
    (problem,) = problems(work, env={"PATH": str(tmp_path / "bin")}).values()
    assert (problem["check"], problem["message"].startswith("git-lfs is not on the PATH")) == ("hooks-displaced", True)
    assert "pre-push.agent-tracker-kept" in problem["remedy"]


@pytest.mark.parametrize("where", ["several", "included", "environment", "hooks-link"])
def test_the_remedy_of_a_hooks_path_helps(work: GitRepo, tmp_path: Path, where: str) -> None:
    """Done as it is said, git runs our hooks again."""
    env = {}
    if where == "several":
        work.git("config", "core.hooksPath", "/nowhere/a")
        work.git("config", "--add", "core.hooksPath", "/nowhere/b")
    elif where == "included":
        (tmp_path / "more").write_text("[core]\n\thooksPath = /nowhere\n")
        work.git("config", "include.path", str(tmp_path / "more"))
    elif where == "environment":
        env = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "/nowhere"}
        assert problems(work, env=env) == {}  # our own gits run in a clean environment
        return
    else:
        shutil.rmtree(work.path / ".git/hooks")
        (work.path / ".git/hooks").symlink_to("nowhere")
    found = problems(work)
    assert "is not there" in found["hooks-path"]["message"]
    remedy = found["hooks-path"]["remedy"].replace("agent-tracker install-hooks", "true")
    assert run("sh", "-c", remedy, cwd=work.path).code == 0
    work.ok("install-hooks")
    assert problems(work) == {}


def test_a_file_in_the_place_of_the_hooks(work: GitRepo) -> None:
    """It is moved aside first: without that, installing cannot help."""
    shutil.rmtree(work.path / ".git/hooks")
    (work.path / ".git/hooks").write_text("x")
    (problem,) = problems(work).values()
    assert (problem["check"], problem["is_fixable"]) == ("hooks-missing", False)
    assert problem["remedy"].startswith(f"mv {work.path}/.git/hooks {work.path}/.git/hooks.aside && ")


def test_husky_is_told_to_come_to_a_linked_worktree(work: GitRepo, tmp_path: Path) -> None:
    """Its directory is ignored by git, so that a new worktree has none; unsetting the path would end husky."""
    work.git("config", "core.hooksPath", ".husky/_")
    work.git("worktree", "add", "-q", tmp_path / "linked")
    assert problems(GitRepo(tmp_path / "linked"))["hooks-path"]["remedy"] == "npx husky"


def test_what_a_killed_installation_left(work: GitRepo) -> None:
    """Unfinished files are mended; a lock of git's is named, for git might be running."""
    hook(work, "pre-push.17.tmp").write_text("")
    assert "left behind" in problems(work)["hooks-old"]["message"]
    mended(work)
    lock = work.path / ".git/config.lock"
    lock.touch()
    assert problems(work) == {}
    os.utime(lock, (1, 1))
    (problem,) = problems(work).values()
    assert (problem["check"], problem["remedy"]) == ("hooks-old", f"rm {lock}")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_nothing_waits_for_what_is_no_file(work: GitRepo, tmp_path: Path, kind: str) -> None:
    """A pipe or a device where a hook should be, in the repository's own directory or in another."""
    (tmp_path / "shared").mkdir()
    for number, place in enumerate((hook(work, "post-commit"), tmp_path / "shared/post-commit")):
        place.unlink(missing_ok=True)
        os.mkfifo(place) if kind == "pipe" else place.symlink_to("/dev/zero")
        if number:
            work.git("config", "core.hooksPath", str(tmp_path / "shared"))
        assert problems(work)
        assert work.tracker("install-hooks").code == 0


def test_our_hooks_are_timed_where_they_lie(work: GitRepo) -> None:
    """The check runs the real hooks, finds any limit of 0 exceeded, and records nothing in the repository."""
    marker = work.path / "RAN"
    kept = hook(work, "pre-commit.agent-tracker-kept")
    kept.write_text(f"#!/bin/sh\ntouch '{marker}'\n")
    kept.chmod(0o755)
    (finding,) = hooks_slow(found_in(work), context(), limit_ms=-1000.0)
    assert "ms together, two empty hooks" in finding.message
    assert not marker.exists()
    assert not (spool_dir(work) / "spool").exists()


def test_what_is_not_ours_to_the_byte_is_not_run(work: GitRepo, tmp_path: Path) -> None:
    """A hook that only claims to be ours is not started."""
    with hook(work, "pre-commit").open("a") as file:
        file.write(f"touch '{tmp_path}/PWN'\n")
    assert list(hooks_slow(found_in(work), context(), limit_ms=-1000.0)) == []
    assert not (tmp_path / "PWN").exists()


# -- the repository ----------------------------------------------------------------------------------------------------


def test_no_reflog(work: GitRepo) -> None:
    """Where git keeps none, the remedy turns it on."""
    work.git("config", "core.logAllRefUpdates", "false")
    (problem,) = problems(work).values()
    assert problem["check"] == "reflog"
    run("sh", "-c", problem["remedy"], cwd=work.path)
    assert problems(work) == {}
    work.git("config", "core.logAllRefUpdates", "always")
    assert problems(work) == {}


def test_a_spool_directory_that_is_a_link(work: GitRepo, tmp_path: Path) -> None:
    """A symbolic link is not trusted, and --fix does not follow it."""
    spool_dir(work).rename(tmp_path / "elsewhere")
    spool_dir(work).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o755)
    found = problems(work, "--fix")
    assert "is not a directory" in found["spool"]["message"]
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o755


def test_a_spool_that_is_no_file(work: GitRepo) -> None:
    """A pipe in the spool's place: nothing is recorded, and that is said without waiting for a reader."""
    os.mkfifo(spool_dir(work) / "spool")
    (problem,) = problems(work).values()
    assert problem["check"] == "spool"
    run("sh", "-c", problem["remedy"], cwd=work.path)
    assert problems(work) == {}


@pytest.mark.skipif(is_root, reason="root may write everywhere")
def test_a_spool_that_cannot_be_written(work: GitRepo) -> None:
    """A directory without write permission is found and mended."""
    spool_dir(work).chmod(0o500)
    assert "spool" in problems(work)
    mended(work)


def test_a_spool_that_is_very_big(work: GitRepo) -> None:
    """Its size is compared with a limit; a flush is the remedy."""
    work.commit("third: waits")
    (finding,) = spool_size(str(spool_dir(work)), limit_bytes=10)
    assert finding.remedy == "agent-tracker flush"
    assert list(spool_size(str(spool_dir(work)))) == []


def test_lines_that_were_set_aside(work: GitRepo) -> None:
    """What a flush could not read is mentioned until a person has looked at it."""
    with (spool_dir(work) / "spool").open("a") as file:
        file.write("\nnot a line of ours\n")
    work.ok("flush")
    (problem,) = problems(work).values()
    assert problem["check"] == "rejected-lines"
    assert problem["message"].startswith("1 unreadable line was set aside")
    run("sh", "-c", problem["remedy"].partition("then: ")[2], cwd=work.path)
    assert problems(work) == {}


def test_a_flush_that_hangs(work: GitRepo) -> None:
    """Another process that holds the lock is noticed, and its end too."""
    path = spool_dir(work) / "flush.lock"
    argv = [sys.executable, "-c", HOLD_LOCK, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        (finding,) = flush_lock(str(spool_dir(work)), wait_s=0.0)
        assert str(path) in finding.message
        holder.communicate(b"\n")
    assert list(flush_lock(str(spool_dir(work)), wait_s=0.0)) == []


def test_facts_that_wait_for_long(work: GitRepo) -> None:
    """A flush that failed two days ago and was never done again."""
    work.commit("third: waits")
    path = spool_dir(work) / "pending"
    path.touch()
    os.utime(path, (time.time() - 2 * 86400,) * 2)
    (problem,) = problems(work).values()
    assert (problem["check"], problem["remedy"]) == ("spool-waiting", "agent-tracker flush")
    work.ok("flush")
    assert problems(work) == {}


@pytest.mark.parametrize("layout", ["plain", "split"])
def test_a_large_index(work: GitRepo, layout: str) -> None:
    """Its entries are counted, those of a split index too; the remedy moves the check to commit-msg."""
    if layout == "split":
        work.git("update-index", "--split-index")
    blob = work.git("hash-object", "-w", "--stdin", stdin="x")
    rows = "".join(f"100644 {blob}\tf{number}\n" for number in range(30))
    work.git("update-index", "--add", "--index-info", stdin=rows)
    (finding,) = index_size(found_in(work), context(), limit=31)
    if layout == "plain":
        assert finding.message.startswith("the index has 32 entries")
    assert list(index_size(found_in(work), context(), limit=34)) == []
    assert list(index_size(found_in(work), context())) == []
    assert finding.remedy.startswith("cd ")
    done = run(
        "sh", "-c", finding.remedy.replace("agent-tracker ", f"{sys.executable} -m agent_tracker "), cwd=work.path
    )
    assert done.code == 0
    assert list(index_size(found_in(work), context(), limit=31)) == []
    assert problems(work) == {}


def test_an_agent_in_use_that_was_retired(work: GitRepo) -> None:
    """Its commits would be refused; ending the use is the remedy, for a person to choose."""
    work.ok("use", "one")
    work.ok("agents", "retire", "one")
    (problem,) = problems(work, "--fix").values()
    assert (problem["check"], problem["is_fixable"]) == ("use", False)
    work.ok("use", "--stop")
    assert problems(work) == {}


def test_use_in_a_linked_worktree_is_mended_there(work: GitRepo, tmp_path: Path) -> None:
    """An expired use of one worktree is ended in that one."""
    work.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = GitRepo(tmp_path / "linked")
    linked.ok("use", "one")
    work.ok("use", "one")
    os.utime(work.path / ".git/worktrees/linked/agent-tracker/use", (1, 1))
    assert set(problems(linked)) == {"use"}
    mended(linked)
    assert work.json("whoami")["identity"]["reason"] == "agent-tracker use"


def test_a_repository_that_is_broken(work: GitRepo, tmp_path: Path) -> None:
    """A worktree whose repository is gone is a problem and no traceback."""
    work.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    shutil.rmtree(work.path)
    found = problems(GitRepo(tmp_path / "linked"))
    assert "repository" in found


@pytest.mark.parametrize(
    ("path", "text"),
    [("config", "[core\n"), ("agent-tracker/spool", "\0\0\n"), ("index", "junk"), ("HEAD", "\0"), ("hooks", "a file")],
)
def test_whatever_is_broken_it_does_not_raise(work: GitRepo, path: str, text: str) -> None:
    """Each check's own failure is a line among the others."""
    target = work.path / ".git" / path
    if target.is_dir():
        shutil.rmtree(target)
    target.write_text(text)
    done = work.tracker("doctor", "--fix")
    assert done.code in (0, 1)
    assert done.err == ""
    assert all(line.startswith(("problem: ", "mended: ", "All is well")) for line in done.out.splitlines()[:-1]), done
    assert "Traceback" not in done.out


# -- the user's side ---------------------------------------------------------------------------------------------------


def test_git_that_is_not_there(work: GitRepo, tmp_path: Path) -> None:
    """One line for it, not one for each check that would have asked git."""
    found = problems(work, env={"PATH": str(tmp_path)})
    assert set(found) == {"git"}


def test_git_that_is_too_old(work: GitRepo, tmp_path: Path) -> None:
    """A version before 2.30 is named."""
    old = tmp_path / "bin/git"
    old.parent.mkdir()
    real = shutil.which("git")
    old.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec echo git version 2.29.1\nexec {real} "$@"\n')
    old.chmod(0o755)
    found = problems(work, env={"PATH": f"{old.parent}:{os.environ['PATH']}"})
    assert set(found) == {"git"}
    assert "2.29.1" in found["git"]["message"]


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"\0" * 24 + b"\xde\xc0\xef\xbe"], ids=["foreign", "js"]
)
def test_a_database_that_is_not_ours(work: GitRepo, content: bytes) -> None:
    """Foreign: left alone, and named. The OpenCode plugin's: ours lies beside it, and may be tied to that path."""
    path = Path(context().paths.default_database)
    path.write_bytes(content)
    path.chmod(0o644)
    found = problems(work)
    work.tracker("doctor", "--fix")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (content, 0o644)
    if content.startswith(b"no"):
        assert set(found) == {"database"}
        return
    assert set(found) == {"database-place"}
    assert found["database-place"]["remedy"].endswith("agent-tracker-2.lmdb")
    work.ok(*found["database-place"]["remedy"].split()[1:])
    assert problems(work) == {}


@pytest.mark.damages
def test_a_database_that_is_cut_off(work: GitRepo) -> None:
    """Damage is one problem, though several checks meet it."""
    path = Path(context().paths.default_database)
    os.truncate(path, path.stat().st_size // 2)
    found = problems(work)
    assert set(found) == {"database"}
    assert "damaged" in found["database"]["message"]


@pytest.mark.damages
def test_a_database_of_a_newer_version(work: GitRepo) -> None:
    """It is left alone, and an upgrade is the remedy."""
    path = Path(context().paths.default_database)
    content = path.read_bytes()
    assert b"version" in content
    program = (
        "import sys, lmdb\n"
        "with lmdb.open(sys.argv[1], subdir=False, max_dbs=40) as env, env.begin(write=True) as txn:\n"
        "    names = list(txn.cursor().iternext(values=False))\n"
        "    for name in names:\n"
        "        if b'schema' in name:\n"
        "            db = env.open_db(name, txn)\n"
        "            [txn.put(key, b'999', db=db) for key in list(txn.cursor(db).iternext(values=False))]\n"
    )
    run(sys.executable, "-c", program, path, cwd=work.path)
    assert set(problems(work)) == {"database"}


@pytest.mark.usefixtures("work")
def test_a_database_that_is_nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is compared with what it may grow to; twice that is the remedy, and at the ceiling to archive."""
    assert list(database_size(context())) == []
    (finding,) = database_size(context(), share=0.0001)
    assert finding.remedy == f"agent-tracker config set maxDatabaseSize {1 << 30}"
    assert "of what it may take (536.9 MB, maxDatabaseSize)" in finding.message
    monkeypatch.setenv("AGENT_TRACKER_MAX_DATABASE_SIZE", str(2 << 30))
    (finding,) = database_size(context()._replace(now_ns=1_700_000_000 * 10**9), share=0.00001)
    assert finding.remedy == "agent-tracker archive --before 2022-11-14"


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that mounts something; skips where that cannot be done."""
    point = tmp_path / "drive"
    point.mkdir()

    def mounted(*argv: str | Path) -> Path:
        if not is_root or not shutil.which(str(argv[0])):
            pytest.skip(f"mounting needs root, and {argv[0]}")
        done = run(*argv, point, cwd=tmp_path)
        if done.code:
            pytest.skip(f"cannot mount here: {done.err.strip()}")
        return point

    yield mounted
    run("umount", "-l", point, cwd=tmp_path)


def test_a_database_on_a_network_drive(
    tmp_path: Path, drive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before it is made, and the remedy names the setting."""
    (tmp_path / "source").mkdir()
    place = drive("bindfs", "-o", "subtype=sshfs", tmp_path / "source")
    monkeypatch.setenv("AGENT_TRACKER_DATABASE_PATH", str(place / "agent-tracker.lmdb"))
    with pytest.raises(NetworkFileSystemError) as caught:
        database_file_system(context())
    assert f"mounted at {place}" in caught.value.message
    assert caught.value.hint.startswith("agent-tracker config set databasePath ")
    monkeypatch.delenv("AGENT_TRACKER_DATABASE_PATH")
    assert list(database_file_system(context())) == []


def test_a_disk_with_little_room(work: GitRepo, drive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than the database may still take; less than a spool needs; the remedy lists what is large."""
    place = drive("mount", "-t", "tmpfs", "-o", "size=4m", "none")
    (place / "large").write_bytes(b"x" * 1_000_000)
    monkeypatch.setenv("AGENT_TRACKER_DATABASE_PATH", str(place / "deep/agent-tracker.lmdb"))
    (finding,) = database_disk(context())
    assert f"MB free on {place}, and the database may grow by 536.9 MB" in finding.message
    assert "large" in run("sh", "-c", finding.remedy.partition(": ")[2].replace("-xhd2", "-axhd2"), cwd=work.path).out
    monkeypatch.setenv("AGENT_TRACKER_MAX_DATABASE_SIZE", "1000000")
    assert list(database_disk(context())) == []
    (finding,) = spool_disk(str(place))
    assert str(place) in finding.message
    assert list(spool_disk(str(spool_dir(work)), needed_bytes=0)) == []


@pytest.mark.skipif(not is_root, reason="only root can give a file away")
def test_a_database_of_another_user(work: GitRepo) -> None:
    """Root leaves it alone and is told who it belongs to: one problem, though several checks meet it."""
    path = Path(context().paths.default_database)
    os.chown(path, 65534, -1)
    with pytest.raises(ForeignOwnerError) as caught:
        database_owner(context())
    assert "belongs to nobody" in caught.value.message
    assert list(database_access(context())) == []
    os.chown(path, 0, -1)
    assert list(database_owner(context())) == []
    assert problems(work) == {}


@pytest.mark.parametrize("suffix", ["", "-lock", ".write"])
def test_a_file_of_the_database_that_others_may_read(work: GitRepo, suffix: str) -> None:
    """Each of its files is the user's alone, and closed by --fix."""
    path = Path(context().paths.default_database + suffix)
    path.touch()
    path.chmod(0o644)
    (finding,) = database_access(context())
    assert finding.remedy == f"chmod 600 {path}"
    mended(work)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("lying", ["directory", "circle", "pipe"])
def test_what_is_no_file_is_one_problem(work: GitRepo, lying: str) -> None:
    """Only the check that opens the database speaks of it, and the others wait for nothing."""
    path = Path(context().paths.default_database)
    path.unlink()
    if lying == "circle":
        path.symlink_to(path)
    else:
        (os.mkdir if lying == "directory" else os.mkfifo)(path)
    (problem,) = problems(work).values()
    assert problem["check"] == "database"
    assert problem["remedy"] == (f"rm {path}" if lying == "circle" else "agent-tracker config set databasePath FILE")


def test_what_was_left_beside_the_database(work: GitRepo) -> None:
    """Unfinished copies once they are old, and what a recovery set aside: named with their size, and what to do."""
    path = Path(context().paths.default_database)
    leftovers = [Path(f"{path}.{name}") for name in ("123.new", "123.new-lock", "damaged-20260101T000000Z")]
    for leftover in leftovers:
        leftover.write_bytes(b"x" * 1500)
    Path(f"{path}.another").touch()
    report = Path(context().paths.backups_of(str(path)), "recovered-20260101T000000Z.txt")
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(f"The damaged file is kept: {leftovers[-1]}\n")
    assert ["set aside" in finding.message for finding in database_leftovers(context())] == [True]
    later = context()._replace(now_ns=time.time_ns() + 2 * 3600 * 10**9)
    found = list(database_leftovers(later))
    assert [finding.remedy.split()[-1] for finding in found] == [str(leftover) for leftover in leftovers]
    assert all("(1.5 kB)" in finding.message for finding in found)
    for finding in found:
        assert run("sh", "-c", finding.remedy.rpartition(": ")[2], cwd=work.path).code == 0
    assert list(database_leftovers(later)) == []
    assert Path(f"{path}.another").exists()


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"AGENT_TRACKER_AGENT": "nobody"}, "agent nobody is not registered"),
        ({"CLAUDECODE": "1"}, "no agent is registered for claude"),
        ({"AGENT_TRACKER_AGENT": "one"}, ""),
        ({"AGENT_TRACKER_AGENT": "human"}, ""),
    ],
    ids=["unregistered", "client", "registered", "human"],
)
def test_who_would_commit_now(work: GitRepo, env: dict[str, str], words: str) -> None:
    """An agent in the environment that gets no credit is a problem, with the command that registers it."""
    found = problems(work, env=env)
    assert set(found) == ({"agent"} if words else set())
    if words:
        assert words in found["agent"]["message"]
        assert found["agent"]["remedy"].startswith("agent-tracker register ")


def test_all_repositories_and_those_that_are_gone(work: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """Each problem names its repository; one that is gone is taken off the list."""
    other, gone = make_repo("other"), make_repo("gone")
    for each in (other, gone):
        each.ok("install-hooks")
    shutil.rmtree(gone.path)
    hook(other, "pre-push").unlink()
    found = problems(work, "--all")
    assert found["hooks-missing"]["repository"] == str(other.path)
    assert str(gone.path) in found["repositories"]["message"]
    mended(work, "--all")
    listed = Path(context().paths.repositories).read_text().split()
    assert sorted(listed) == sorted([str(work.path), str(other.path)])


def test_the_same_trouble_in_two_repositories_is_mended_in_both(
    work: GitRepo, make_repo: Callable[..., GitRepo]
) -> None:
    """An interpreter that is gone from both is a problem of each."""
    other = make_repo("other")
    other.git("config", "agenttracker.hookStyle", "files")
    other.ok("install-hooks")
    for each in (work, other):
        break_interpreter(each)
    found = work.tracker("doctor", "--all").out
    assert found.count("the interpreter in the hooks is gone") == 2
    assert "2 of 2 can be mended: add --fix" in found
    mended(work, "--all")
    assert problems(other) == {}


def test_without_all_nobody_elses_repository_is_looked_at(work: GitRepo, make_repo: Callable[..., GitRepo]) -> None:
    """Another repository's trouble is not this one's."""
    other = make_repo("other")
    other.ok("install-hooks")
    hook(other, "pre-push").unlink()
    assert problems(work) == {}


def test_the_user_spool_is_checked_as_well(work: GitRepo) -> None:
    """The user's own spool is open to others: found and mended, apart from the repository's."""
    Path(context().paths.spool_dir).chmod(0o755)
    assert set(problems(work)) == {"user-spool"}
    mended(work)


def test_a_failed_deed_is_a_problem(work: GitRepo) -> None:
    """What --fix cannot do is said with its reason: something foreign is in the way."""
    hook(work, "agent-tracker-rare.sh").write_text("somebody else's\n")
    found = doctor(str(work.path), context(), is_fix=True)
    assert found.mended == ()
    assert any("not ours is in the way" in problem.message for problem in found.problems)


def test_looking_changes_nothing_around_it(work: GitRepo, tmp_path: Path) -> None:
    """What the doctor writes for comparison, it writes in a place of its own: the directory of that stays as it is."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    temporary.chmod(0o1777)
    for argv in (["doctor"], ["doctor", "--fix"]):
        work.tracker(*argv, env={"TMPDIR": str(temporary)})
        assert (temporary.stat().st_mode & 0o7777, list(temporary.iterdir())) == (0o1777, [])
