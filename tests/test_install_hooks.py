"""Hooks in and out of real repositories, beside whatever was there before."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from agent_tracker.errors import AgentTrackerError, GitError, SpoolError
from agent_tracker.installation.hook_scripts import TextValues
from agent_tracker.installation.install import (
    EVENTS,
    SHARED,
    InstallReport,
    UninstallReport,
    hook_files_dir,
    hook_texts,
    install_hooks,
    missing_hooks,
    uninstall_hooks,
)
from agent_tracker.repository import find_repository
from gitrepo import GitRepo, run, tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.installation.hook_files import HookChange

KEPT = ".agent-tracker-kept"


def install(
    path: Path, *, python: str = sys.executable, sys_path: str = "/nowhere", validate_in: str = "pre-commit"
) -> InstallReport:
    """Install as the command does, into files, for a registry that is empty."""
    values = TextValues(python, [sys_path], str(path / "registry"))
    return install_hooks(find_repository(str(path), {}), values, style="files", validate_in=validate_in)


def uninstall(path: Path, *, is_flushed: bool = False) -> UninstallReport:
    """Uninstall as the command does."""
    return uninstall_hooks(find_repository(str(path), {}), is_flushed=is_flushed)


def change_of(report: InstallReport | UninstallReport, event: str) -> HookChange:
    """Return what became of one event's hook."""
    return next(change for change in report.changes if change.event == event)


def script(path: Path, body: str, *, mode: int = 0o755) -> Path:
    """Write a shell script."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


def hooks_of(repo: GitRepo) -> Path:
    """Return the repository's own hooks directory."""
    return repo.path / ".git/hooks"


def changes(report: InstallReport) -> list[str]:
    """Return what became of each event's hook."""
    return [change.change for change in report.changes]


def records(repo: GitRepo) -> list[str]:
    """Return the kinds and oids in the spool."""
    text = (repo.path / ".git/agent-tracker/spool").read_text()
    return [" ".join(line.split("\t")[1:3]) for line in text.split("\n") if line]


def test_hooks_are_put_in_and_record(repo: GitRepo) -> None:
    """After installing, a commit stands in the spool, and the files are those that ship."""
    report = install(repo.path)
    oid = repo.commit("first")
    assert records(repo) == [f"commit {oid}"]
    assert changes(report) == ["installed"] * len(EVENTS)
    texts = hook_texts(sys.executable, ["/nowhere"], str(repo.path / "registry"))
    for name in (*EVENTS, *SHARED):
        text = texts[name]
        assert (hooks_of(repo) / name).read_text() == text
        assert (hooks_of(repo) / name).stat().st_mode & 0o700 == (0o700 if name in EVENTS else 0o600)
    assert (repo.path / ".git/agent-tracker").stat().st_mode & 0o777 == 0o700
    assert (report.foreign_hooks_dir, report.lines_to_add) == ("", ())


def test_installing_three_times_changes_nothing(repo: GitRepo) -> None:
    """The second and third time every byte, mode and name stays, and the project keeps its id."""
    script(hooks_of(repo) / "pre-commit", "true")
    first = install(repo.path)
    before = tree(repo.path)
    for _ in range(2):
        again = install(repo.path)
        assert (again.project, changes(again)) == (first.project, ["unchanged"] * len(EVENTS))
    assert tree(repo.path) == before
    assert str(UUID(first.project)) == first.project


def test_what_the_shell_is_told_is_only_data(make_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    """Paths with quotes and substitutions reach the shell as they are."""
    repo = make_repo('it\'s $(touch PWN) "here"')
    modules = tmp_path / "a'b $(touch PWN)"
    (modules / "agent_tracker").mkdir(parents=True)
    (modules / "agent_tracker/hook.py").touch()
    python = script(tmp_path / "py't`hon", 'printf "%s" "$3" >&2; exit 42')
    install(repo.path, python=str(python), sys_path=str(modules))
    done = repo.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert (done.code, done.err) == (1, str(modules))
    assert not list(tmp_path.rglob("PWN"))


@pytest.mark.parametrize(
    ("python", "sys_path"), [("python3", "/a"), ("/python3", "modules"), ("/python3", "/a:b"), ("/python3", "")]
)
def test_a_path_that_no_hook_can_use_is_refused(repo: GitRepo, python: str, sys_path: str) -> None:
    """Relative paths and colons would make a hook import from somewhere else: nothing is installed."""
    before = tree(repo.path)
    with pytest.raises(AgentTrackerError, match=r"absolute|colon"):
        install(repo.path, python=python, sys_path=sys_path)
    assert tree(repo.path) == before


def test_an_installation_without_a_script_says_so(
    repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that is gone is named before anything is changed."""
    copy = tmp_path / "hooks"
    shutil.copytree(hook_files_dir(), copy)
    (copy / "parts/where.sh").unlink()
    monkeypatch.setattr("agent_tracker.installation.hook_scripts.hook_files_dir", lambda: str(copy))
    before = tree(repo.path)
    with pytest.raises(AgentTrackerError, match=r"parts/where\.sh"):
        install(repo.path)
    assert tree(repo.path) == before


def test_a_foreign_hook_is_kept_and_runs(repo: GitRepo) -> None:
    """The hook that was there is renamed, runs behind ours, and still decides."""
    script(hooks_of(repo) / "pre-commit", "echo theirs >&2; exit 9")
    report = install(repo.path)
    assert report.changes[0].kept == str(hooks_of(repo) / f"pre-commit{KEPT}")
    done = repo.try_git("commit", "--allow-empty", "-qm", "x")
    assert (done.code, done.err) == (1, "theirs\n")


def test_a_linked_foreign_hook_runs_where_it_lies(repo: GitRepo) -> None:
    """A hook that is a relative symbolic link stays one, and is run under its own name."""
    (repo.path / "tools").mkdir()
    script(repo.path / "tools/hook", 'echo "$0" >&2')
    (hooks_of(repo) / "post-commit").symlink_to("../../tools/hook")
    install(repo.path)
    kept = hooks_of(repo) / f"post-commit{KEPT}"
    assert str(kept.readlink()) == "../../tools/hook"
    said = repo.try_git("commit", "--allow-empty", "-qm", "x").err
    assert said == ".git/hooks-agent-tracker-kept/post-commit\n"


@pytest.mark.parametrize("event", ["pre-commit", "post-commit", "post-rewrite"])
@pytest.mark.parametrize("form", ["link-out", "link-beside", "name", "program"])
def test_a_hook_that_looks_at_its_own_name_sees_it(repo: GitRepo, event: str, form: str) -> None:
    """One program for several events, what it sources from its directory, and its exit code; all of it comes back."""
    hooks = hooks_of(repo)
    repo.commit("first")
    (hooks / "beside.txt").write_text("beside")
    body = 'echo "${0##*/} $(cat "$(dirname "$0")/beside.txt")" >>"$GIT_DIR/said"; exit 3'
    if form == "name":
        script(hooks / event, body)
    elif form == "link-beside":
        script(hooks / "dispatch", body)
        (hooks / event).symlink_to("dispatch")
    elif form == "link-out":
        script(repo.path / "dispatch", body)
        (hooks / event).symlink_to("../../dispatch")
    else:
        interpreter = f"#!{sys.executable}\nimport os, sys\n"
        said = "open(os.environ['GIT_DIR'] + '/said', 'w').write(os.path.basename(__file__) + ' beside\\n')"
        (hooks / event).write_text(f"{interpreter}{said}\nsys.exit(3)\n")
        (hooks / event).chmod(0o755)
    before = tree(repo.path)
    for _ in range(2):
        install(repo.path)
    done = run(hooks / event, "amend", cwd=repo.path, env={"GIT_DIR": ".git"})
    assert (done.code, done.err) == (3, "")
    assert (repo.path / ".git/said").read_text() == f"{event} beside\n"
    (repo.path / ".git/said").unlink()
    uninstall(repo.path, is_flushed=True)
    (repo.path / ".git/agent-tracker/spool").unlink(missing_ok=True)
    uninstall(repo.path)
    assert tree(repo.path) == before


def test_a_hook_that_is_indifferent_to_its_name_gets_no_link(repo: GitRepo) -> None:
    """No directory is made for it."""
    script(hooks_of(repo) / "post-commit", "true")
    install(repo.path)
    assert not (repo.path / ".git/hooks-agent-tracker-kept").exists()


@pytest.mark.parametrize("kind", ["link", "directory", "file"])
def test_what_has_the_name_of_our_directory_of_links_is_left(repo: GitRepo, tmp_path: Path, kind: str) -> None:
    """Anything but links in it, or a link in its place, and it is not ours: nothing is written or removed there."""
    place = repo.path / ".git/hooks-agent-tracker-kept"
    (tmp_path / "aim").mkdir()
    (tmp_path / "aim/file").write_text("theirs")
    if kind == "link":
        place.symlink_to(tmp_path / "aim")
    elif kind == "directory":
        shutil.copytree(tmp_path / "aim", place)
    else:
        place.write_text("theirs")
    script(hooks_of(repo) / "post-commit", 'echo "${0##*/}" >&2')
    before = tree(repo.path), tree(tmp_path / "aim")
    install(repo.path)
    assert repo.try_git("commit", "--allow-empty", "-qm", "x").err == f"post-commit{KEPT}\n"
    repo.git("update-ref", "-d", "HEAD")
    assert tree(tmp_path / "aim") == before[1]
    uninstall(repo.path, is_flushed=True)
    assert place.lstat()
    assert tree(tmp_path / "aim") == before[1]


@pytest.mark.parametrize("where", ["source", "moved", "kept-before"])
def test_a_link_to_a_hook_of_ours_is_not_kept(repo: GitRepo, where: str) -> None:
    """Ours would run itself without end: the link is replaced, the file that it leads to is not."""
    hooks = hooks_of(repo)
    aim = Path(hook_files_dir()) / "post-commit"
    if where != "source":
        install(repo.path)
        aim = (hooks / "post-commit").rename(repo.path / "moved")
    name = f"post-commit{KEPT}" if where == "kept-before" else "post-commit"
    (hooks / name).symlink_to(aim)
    text = aim.read_text()
    assert not change_of(install(repo.path), "post-commit").kept
    assert not (hooks / f"post-commit{KEPT}").is_symlink()
    assert aim.read_text() == text
    oid = repo.commit("first")
    assert records(repo) == [f"commit {oid}"]


def test_a_kept_hook_that_leads_back_to_ours_ends(repo: GitRepo) -> None:
    """A link that somebody made themselves is no endless loop either."""
    install(repo.path)
    repo.commit("first")
    hooks = hooks_of(repo)
    for event in ("post-commit", "pre-commit", "post-rewrite"):
        (hooks / f"{event}{KEPT}").symlink_to(event)
        done = run("timeout", "20", hooks / event, "amend", cwd=repo.path, env={"GIT_DIR": ".git"})
        assert (done.code, done.out, done.err) == (0, "", "")


def test_a_kept_link_to_a_directory_is_passed_over(repo: GitRepo) -> None:
    """As git passes it over."""
    for event in ("post-commit", "post-rewrite"):
        (hooks_of(repo) / event).symlink_to("../..")
    install(repo.path)
    assert repo.try_git("commit", "--allow-empty", "-qm", "x") == (0, "", "")
    assert repo.try_git("commit", "--allow-empty", "--amend", "-qm", "y") == (0, "", "")


def test_a_hook_that_only_speaks_of_ours_is_foreign(repo: GitRepo) -> None:
    """Our id further down in a file does not make the file ours."""
    script(hooks_of(repo) / "pre-commit", "true\n# agent-tracker-hook 1")
    assert install(repo.path).changes[0].kept


def test_an_older_version_of_ours_is_replaced(repo: GitRepo) -> None:
    """A hook with our id of any version is brought up to date and not kept."""
    script(hooks_of(repo) / "pre-commit", "# agent-tracker-hook 0: older\nexit 1")
    (hooks_of(repo) / "agent-tracker.sh").write_text("# agent-tracker-hook 0: older\n")
    report = install(repo.path)
    assert (report.changes[0].change, report.changes[0].kept) == ("upgraded", "")
    repo.commit("first")


def test_the_layout_of_one_shared_file_is_brought_up_to_date(repo: GitRepo) -> None:
    """Hooks that knew one file beside them become hooks that know several, and all of them go again."""
    for name in (*EVENTS, "agent-tracker.sh"):
        script(hooks_of(repo) / name, "# agent-tracker-hook 1: the layout before\nexit 1")
    report = install(repo.path)
    assert changes(report) == ["upgraded"] * len(EVENTS)
    assert not [change.kept for change in report.changes if change.kept]
    oid = repo.commit("first", env={"CLAUDECODE": "1"})
    assert records(repo) == [f"commit {oid}"]
    uninstall(repo.path, is_flushed=True)
    assert not [path for path in hooks_of(repo).iterdir() if path.suffix != ".sample"]


def test_a_lost_mode_is_mended(repo: GitRepo) -> None:
    """A hook of ours that git would not run is made executable again."""
    install(repo.path)
    (hooks_of(repo) / "pre-push").chmod(0o644)
    assert change_of(install(repo.path), "pre-push").change == "upgraded"


def test_a_foreign_hook_put_over_ours_is_kept(repo: GitRepo) -> None:
    """Where another tool replaced our hook, the next installation puts ours before it."""
    install(repo.path)
    script(hooks_of(repo) / "pre-commit", "exit 9")
    assert install(repo.path).changes[0].kept
    assert repo.try_git("commit", "--allow-empty", "-qm", "x").code == 1


def test_a_second_foreign_hook_is_an_error(repo: GitRepo) -> None:
    """Two foreign hooks for one event cannot both be kept: nothing is touched, and the error names them."""
    script(hooks_of(repo) / "post-rewrite", "one")
    install(repo.path)
    script(hooks_of(repo) / "post-rewrite", "two")
    before = tree(repo.path)
    with pytest.raises(AgentTrackerError, match=f"post-rewrite.*post-rewrite{KEPT}"):
        install(repo.path)
    assert tree(repo.path) == before


@pytest.mark.parametrize("name", [*SHARED, "pre-push"])
def test_what_is_in_the_way_is_an_error(repo: GitRepo, name: str) -> None:
    """A foreign file of our own name, or a directory where a hook should be, is left alone."""
    path = hooks_of(repo) / name
    path.write_text("mine\n") if name.endswith(".sh") else path.mkdir()
    before = tree(repo.path)
    with pytest.raises(AgentTrackerError, match="in the way"):
        install(repo.path)
    assert tree(repo.path) == before


def test_uninstalling_gives_everything_back(repo: GitRepo) -> None:
    """Files, modes, links, a hook that was not executable: the repository is as it was."""
    repo.commit("first")
    script(hooks_of(repo) / "pre-commit", "exit 0", mode=0o700)
    script(hooks_of(repo) / "pre-push", "exit 0", mode=0o644)
    (hooks_of(repo) / "post-commit").symlink_to("nowhere")
    before = tree(repo.path)
    install(repo.path)
    report = uninstall(repo.path)
    restored = {change.event for change in report.changes if change.change == "restored"}
    assert restored == {"pre-commit", "pre-push", "post-commit"}
    assert report.unflushed == ()
    assert tree(repo.path) == before


def test_uninstalling_without_hooks_changes_nothing(repo: GitRepo) -> None:
    """Where nothing was installed there is nothing to take out."""
    before = tree(repo.path)
    assert {change.change for change in uninstall(repo.path).changes} == {"absent"}
    assert tree(repo.path) == before


def test_facts_that_wait_keep_their_directory(repo: GitRepo) -> None:
    """Commits that were never flushed survive the hooks, and the report names their file."""
    install(repo.path)
    repo.commit("first")
    report = uninstall(repo.path)
    spool = repo.path / ".git/agent-tracker/spool"
    assert report.unflushed == (str(spool),)
    assert "commit" in spool.read_text()
    assert not list(hooks_of(repo).glob("agent-tracker*"))


def test_a_segment_keeps_the_directory_too(repo: GitRepo) -> None:
    """An empty spool does not; a sealed segment does."""
    install(repo.path)
    ours = repo.path / ".git/agent-tracker"
    (ours / "spool").touch()
    (ours / "seg-1-a").write_text("x")
    assert uninstall(repo.path).unflushed == (str(ours / "seg-1-a"),)
    (ours / "seg-1-a").unlink()
    assert uninstall(repo.path).unflushed == ()
    assert not ours.exists()


def test_flushed_segments_go_but_a_grown_spool_stays(repo: GitRepo) -> None:
    """After a flush the segments are spare copies; a commit made since then is not."""
    install(repo.path)
    ours = repo.path / ".git/agent-tracker"
    (ours / "seg-1-a").write_text("x")
    (ours / "spool").write_text("x")
    assert uninstall(repo.path, is_flushed=True).unflushed == (str(ours / "spool"),)
    (ours / "spool").write_text("")
    assert uninstall(repo.path, is_flushed=True).unflushed == ()
    assert not ours.exists()


def test_a_hook_that_replaced_ours_is_left(repo: GitRepo) -> None:
    """Uninstalling never removes what somebody else put there meanwhile, nor what is kept beside it."""
    script(hooks_of(repo) / "pre-commit", "one")
    install(repo.path)
    theirs = script(hooks_of(repo) / "pre-commit", "two")
    report = uninstall(repo.path)
    assert (report.changes[0].change, report.changes[0].kept) == ("left", f"{theirs}{KEPT}")
    assert theirs.read_text() == "#!/bin/sh\ntwo\n"


def test_a_kept_hook_comes_back_where_ours_is_gone(repo: GitRepo) -> None:
    """Somebody deleted our hook: what was there before it is given back."""
    theirs = script(hooks_of(repo) / "pre-commit", "one")
    install(repo.path)
    theirs.unlink()
    assert uninstall(repo.path).changes[0].change == "restored"
    assert theirs.read_text() == "#!/bin/sh\none\n"


def test_an_interrupted_installation_is_completed(repo: GitRepo) -> None:
    """Killed between putting the foreign hook aside and writing ours: the next run carries on."""
    theirs = script(hooks_of(repo) / "pre-commit", "exit 9")
    theirs.rename(f"{theirs}{KEPT}")
    assert install(repo.path).changes[0].change == "installed"
    assert repo.try_git("commit", "--allow-empty", "-qm", "x").code == 1


KILLED = """
import os, signal, sys
from agent_tracker.installation import install
from agent_tracker.installation.hook_scripts import TextValues
from agent_tracker.repository import find_repository
path, name, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
done = getattr(os, name)
def dying(*argv, **options):
    global number
    number -= 1
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done(*argv, **options)
setattr(os, name, dying)
repository = find_repository(path, {})
if sys.argv[4] == "in":
    install.install_hooks(repository, TextValues(sys.executable, ["/nowhere"], path), style="files")
else:
    install.uninstall_hooks(repository)
"""


def test_killed_beside_a_program_that_runs_legacy_ones(repo: GitRepo) -> None:
    """The hook that it wraps has two names for a moment: uninstalling then leaves the one that it had."""
    script(hooks_of(repo) / "post-commit", "# File generated by pre-commit: x")
    script(hooks_of(repo) / "post-commit.legacy", "true")
    before = tree(hooks_of(repo))
    (hooks_of(repo) / f"post-commit{KEPT}").hardlink_to(hooks_of(repo) / "post-commit.legacy")
    uninstall(repo.path)
    assert tree(hooks_of(repo)) == before


@pytest.mark.parametrize("call", ["link", "replace", "unlink", "symlink"])
@pytest.mark.parametrize("way", ["in", "out"])
def test_killed_at_any_moment_no_foreign_hook_is_lost(repo: GitRepo, call: str, way: str) -> None:
    """A commit made right then still meets the hook that was there, and everything comes back all the same."""
    script(hooks_of(repo) / "pre-commit", "exit 9")
    script(hooks_of(repo) / "post-commit", 'echo "${0##*/}"')
    before = tree(repo.path)
    for number in range(1, 40):
        if way == "out":
            install(repo.path)
        done = run(sys.executable, "-c", KILLED, repo.path, call, str(number), way, cwd=repo.path)
        assert run("git", "hook", "run", "pre-commit", cwd=repo.path).code == 9
        install(repo.path)
        uninstall(repo.path)
        assert tree(repo.path) == before
        if done.code == 0:
            return
    raise AssertionError(call)


def test_where_there_are_no_hard_links_a_hook_is_renamed(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that has none."""

    def refused(*_argv: object, **_options: object) -> None:
        raise OSError(1, "not permitted")

    script(hooks_of(repo) / "pre-commit", "exit 9")
    before = tree(hooks_of(repo))
    monkeypatch.setattr("os.link", refused)
    install(repo.path)
    assert repo.try_git("commit", "--allow-empty", "-qm", "x").code == 1
    uninstall(repo.path)
    assert tree(hooks_of(repo)) == before


def test_unfinished_files_of_ours_go(repo: GitRepo) -> None:
    """What a killed installation began is removed by the next one, and on the way out; others' files are not."""
    before = tree(hooks_of(repo))
    for verb in (install, uninstall):
        (hooks_of(repo) / "pre-push.17.tmp").write_text("#!/bin/sh\n")
        (hooks_of(repo) / "agent-tracker.sh.17.tmp").write_text("")
        verb(repo.path)
        assert not list(hooks_of(repo).glob("*.tmp"))
    assert tree(hooks_of(repo)) == before
    (hooks_of(repo) / "mine.17.tmp").write_text("mine")
    install(repo.path)
    assert (hooks_of(repo) / "mine.17.tmp").exists()


def test_uninstalling_where_the_hooks_directory_is_gone(tmp_path: Path) -> None:
    """We made it, somebody removed it: the rest goes."""
    repo = GitRepo.init(tmp_path / "bare", "--template=")
    install(repo.path)
    shutil.rmtree(repo.path / ".git/hooks")
    uninstall(repo.path)
    assert not (repo.path / ".git/agent-tracker").exists()


@pytest.mark.parametrize("name", ["lib", "hooks", ""])
def test_nothing_is_written_or_removed_through_a_link(repo: GitRepo, tmp_path: Path, name: str) -> None:
    """Our directory, or one in it, replaced by a link: installing refuses, uninstalling leaves what it leads to."""
    aim = tmp_path / "aim"
    for path in ("lib", "hooks"):
        (aim / path).mkdir(parents=True)
        (aim / path / "precious").write_text("theirs")
    install(repo.path)
    place = repo.path / ".git/agent-tracker" / name
    if place.exists():
        shutil.rmtree(place)
    place.symlink_to(aim)
    before = tree(aim)
    with pytest.raises(SpoolError, match="symbolic link"):
        install(repo.path)
    uninstall(repo.path)
    assert tree(aim) == before


def test_hooks_that_only_others_call_are_said_to_go(repo: GitRepo, tmp_path: Path) -> None:
    """Where core.hooksPath leads elsewhere, uninstalling names what it took out."""
    repo.git("config", "core.hooksPath", tmp_path)
    install(repo.path)
    assert [change.change for change in uninstall(repo.path).changes].count("removed") == len(EVENTS)


def test_the_baseline_is_written_once(repo: GitRepo) -> None:
    """It holds each worktree's reflog as it was at the first installation, and stays."""
    install(repo.path)
    baseline = repo.path / ".git/agent-tracker/reflog"
    assert baseline.read_text() == ".\t0\t-\t0\n"
    repo.commit("first")
    install(repo.path)
    assert baseline.read_text() == ".\t0\t-\t0\n"


def test_the_baseline_covers_every_worktree(repo: GitRepo) -> None:
    """One line a worktree and one a branch: its name, the size of its reflog, the last oid there and its time."""
    oid = repo.commit("first")
    repo.git("worktree", "add", "-q", repo.path.parent / "side")
    install(repo.path.parent / "side")
    git_dir = repo.path / ".git"
    logs = {
        ".": git_dir / "logs/HEAD",
        "side": git_dir / "worktrees/side/logs/HEAD",
        "refs/heads/main": git_dir / "logs/refs/heads/main",
        "refs/heads/side": git_dir / "logs/refs/heads/side",
    }
    texts = {name: log.read_text() for name, log in logs.items()}
    times = {name: text.rpartition("> ")[2].split()[0] for name, text in texts.items()}
    expected = [f"{name}\t{len(text)}\t{oid}\t{times[name]}" for name, text in texts.items()]
    assert (git_dir / "agent-tracker/reflog").read_text().splitlines() == expected


def test_a_linked_worktree_gets_the_common_hooks(repo: GitRepo) -> None:
    """Installing from a linked worktree serves all of them; uninstalling clears what `use` left in it."""
    repo.commit("first")
    side = GitRepo(repo.path.parent / "side")
    repo.git("worktree", "add", "-q", side.path)
    install(side.path)
    oid = side.commit("second")
    assert records(repo) == [f"commit {oid}"]
    (repo.path / ".git/worktrees/side/agent-tracker").mkdir()
    uninstall(side.path)
    assert not (repo.path / ".git/worktrees/side/agent-tracker").exists()


@pytest.mark.parametrize("scope", ["--local", "--global"])
@pytest.mark.parametrize("where", ["relative", "absolute", "nowhere"])
def test_somebody_elses_hooks_directory_is_left_alone(repo: GitRepo, tmp_path: Path, scope: str, where: str) -> None:
    """Where core.hooksPath points elsewhere nothing is written there; the lines to add then do the work."""
    value = {"relative": ".githooks", "absolute": str(tmp_path / "shared"), "nowhere": "/dev/null"}[where]
    directory = repo.path / value
    if where != "nowhere":
        directory.mkdir()
        script(directory / "pre-commit", "true")
    repo.git("config", scope, "core.hooksPath", value)
    before = tree(directory), tree(hooks_of(repo))
    report = install(repo.path)
    assert (tree(directory), tree(hooks_of(repo))) == before
    assert report.foreign_hooks_dir == str(directory)
    assert [line.path for line in report.lines_to_add] == [str(directory / event) for event in EVENTS]
    assert (repo.path / ".git/agent-tracker/reflog").exists()


def test_the_lines_to_add_work(repo: GitRepo, tmp_path: Path) -> None:
    """Added to another tool's hooks they record commits and rewrites, in worktrees too, and are not asked for again."""
    (tmp_path / "shared").mkdir()
    repo.git("config", "core.hooksPath", tmp_path / "shared")
    for line in install(repo.path).lines_to_add:
        script(Path(line.path), line.line)
    first = repo.commit("first")
    repo.git("commit", "-q", "--amend", "-m", "again")
    repo.git("worktree", "add", "-q", tmp_path / "side")
    third = GitRepo(tmp_path / "side").commit("third")
    assert records(repo) == [f"commit {first}", f"commit {repo.head()}", "rewrite amend", f"commit {third}"]
    assert install(repo.path).lines_to_add == ()
    uninstall(repo.path)
    repo.commit("fourth")
    assert records(repo)[-1] == f"commit {third}"


def test_a_refusal_passes_through_the_added_line(repo: GitRepo, tmp_path: Path) -> None:
    """An unregistered agent is stopped there as well."""
    (tmp_path / "agent_tracker").mkdir()
    (tmp_path / "agent_tracker/hook.py").touch()
    python = script(tmp_path / "python", "exit 42")
    repo.git("config", "core.hooksPath", tmp_path)
    report = install(repo.path, python=str(python), sys_path=str(tmp_path))
    script(Path(report.lines_to_add[0].path), f"{report.lines_to_add[0].line}\necho reached >&2")
    done = repo.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert (done.code, done.err) == (1, "")


def test_a_hooks_path_that_names_our_own_directory_is_plain(repo: GitRepo) -> None:
    """core.hooksPath may point at the repository's own hooks."""
    repo.git("config", "core.hooksPath", ".git/hooks")
    assert install(repo.path).foreign_hooks_dir == ""


def test_a_linked_hooks_directory_is_somebody_elses(repo: GitRepo) -> None:
    """`.git/hooks` as a link into the work tree would put our files under version control."""
    shutil.rmtree(hooks_of(repo))
    (repo.path / "hooks").mkdir()
    hooks_of(repo).symlink_to("../hooks")
    assert install(repo.path).foreign_hooks_dir
    assert list((repo.path / "hooks").iterdir()) == []


def test_a_repository_without_hooks_directory_gets_one(tmp_path: Path) -> None:
    """`git init --template=` makes none; it goes again with the hooks."""
    repo = GitRepo.init(tmp_path / "bare-bones", "--template=")
    before = tree(repo.path / ".git")
    for _ in range(2):
        install(repo.path)
    assert uninstall(repo.path).unflushed == ()
    assert tree(repo.path / ".git") == before
    install(repo.path)
    oid = repo.commit("first")
    assert records(repo) == [f"commit {oid}"]


@pytest.mark.parametrize("kind", ["bare", "none"])
def test_only_a_repository_with_a_work_tree_will_do(tmp_path: Path, kind: str) -> None:
    """A bare repository and a plain directory are errors with a hint."""
    path = tmp_path / "here"
    path.mkdir()
    if kind == "bare":
        run("git", "init", "-q", "--bare", path, cwd=tmp_path)
    before = tree(path)
    with pytest.raises(GitError, match="bare" if kind == "bare" else "not a git repository") as caught:
        install(path)
    assert caught.value.hint
    assert tree(path) == before


def test_a_linked_spool_directory_is_refused(repo: GitRepo, tmp_path: Path) -> None:
    """A symbolic link in the place of our directory stops the installation, and uninstalling does not follow it."""
    (tmp_path / "aim").mkdir()
    (repo.path / ".git/agent-tracker").symlink_to(tmp_path / "aim")
    with pytest.raises(SpoolError, match="agent-tracker"):
        install(repo.path)
    uninstall(repo.path)
    assert (tmp_path / "aim").exists()


def test_missing_hooks_are_named(repo: GitRepo, tmp_path: Path) -> None:
    """Status can tell which events are not ours, in our own directory and in another tool's."""
    found = find_repository(str(repo.path), {})
    assert missing_hooks(found) == EVENTS
    install(repo.path)
    (hooks_of(repo) / "pre-push").unlink()
    assert missing_hooks(found) == ("pre-push",)
    (tmp_path / "shared").mkdir()
    repo.git("config", "core.hooksPath", tmp_path / "shared")
    line = install(repo.path).lines_to_add[1]
    script(Path(line.path), line.line)
    assert missing_hooks(found) == tuple(event for event in EVENTS if event != Path(line.path).name)


def test_a_hooks_directory_that_is_none_is_an_error(repo: GitRepo) -> None:
    """What the system refuses ends in one line that names the file."""
    shutil.rmtree(hooks_of(repo))
    hooks_of(repo).write_text("a file")
    with pytest.raises(AgentTrackerError, match=r"cannot install hooks in .*\.git/hooks"):
        install(repo.path)
