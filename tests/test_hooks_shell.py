"""The hook scripts themselves: real git, every shell that is here, and a stand-in for the Python they call."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from agent_tracker.installation.install import SHARED, hook_texts
from agent_tracker.marks import CLIENTS, EXACT_VALUES, VARIABLES
from agent_tracker.registry import write_session
from gitrepo import Done, GitRepo, run

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(__file__).parent.parent / "hooks"
VALIDATING = ("pre-commit", "pre-merge-commit", "pre-applypatch", "commit-msg")
RECORDING = ("post-commit", "post-merge", "post-applypatch")
EVENTS = (*VALIDATING, *RECORDING, "post-rewrite", "pre-push")
KEPT = ".agent-tracker-kept"
SHELLS = {"dash": "dash", "bash": "bash --posix", "busybox": "busybox ash"}
PRESENT = {name: which for name, words in SHELLS.items() if (which := shutil.which(words.split()[0]))}
OLD, NEW = "1" * 40, "2" * 40


class Hooked(NamedTuple):
    """A repository with our hooks, all run by one shell; `python` is the stand-in, `calls` what it was called with."""

    repo: GitRepo
    hooks: Path
    ours: Path
    registry: Path
    python: Path
    calls: Path

    @property
    def spool(self) -> Path:
        """The file of lines."""
        return self.ours / "spool"

    def lines(self) -> list[str]:
        """Return the records of the spool after checking each one's frame."""
        data = self.spool.read_bytes() if self.spool.exists() else b""
        assert not data or (data.startswith(b"\n") and data.endswith(b"\n"))
        records = []
        for line in filter(None, data.split(b"\n")):
            record, _, length = line.rpartition(b" =")
            assert len(record) == int(length), line
            records.append(record.decode("utf-8", "surrogateescape"))
        return records

    def called(self) -> list[list[str]]:
        """Return the arguments of each call of Python, without the program text and the import path."""
        text = self.calls.read_text() if self.calls.exists() else ""
        return [call.split("\x1f")[:-1] for call in text.split("\x1e")[:-1]]

    def run(self, event: str, *argv: str, env: dict[str, str] | None = None, stdin: str = "") -> Done:
        """Run one hook as git would."""
        return run(self.hooks / event, *argv, cwd=self.repo.path, env=env, stdin=stdin)

    def mark(self, kind: str, key: str, agent: str, name: str = "Front End") -> None:
        """Write a marker into the registry."""
        (self.registry / kind).mkdir(exist_ok=True)
        (self.registry / kind / key).write_text(f"{agent}\n{name}\n")

    def begin(self, session: str, agent: str) -> None:
        """Write down whose a session is, as its beginning does."""
        write_session(str(self.registry), session, agent, now_ns=time.time_ns())

    def keep(self, event: str, body: str, *, mode: int = 0o755) -> None:
        """Put a foreign hook where ours finds it."""
        write_script(self.hooks / (event + KEPT), body, mode=mode)

    def answer(self, body: str) -> None:
        """Let Python, when called, do this after it has noted the call."""
        note = f'shift 3; printf "%s\\037" "$@" >>"{self.calls}"; printf "\\036" >>"{self.calls}"'
        write_script(self.python, f"{note}\n{body}")

    def choose(self, event: str) -> None:
        """Validate in commit-msg, in the place of pre-commit, if that is the event."""
        if event == "commit-msg":
            (self.hooks / "commit-msg.sample").rename(self.hooks / "commit-msg")
            (self.hooks / "pre-commit").unlink()

    def apply_patches(self) -> None:
        """Leave the traces of a `git am` under way."""
        (self.repo.path / ".git/rebase-apply").mkdir()
        (self.repo.path / ".git/rebase-apply/applying").touch()

    def use(self, text: str, *, seconds: float) -> None:
        """Write a `use` file that expires so many seconds from now."""
        path = self.ours / "use"
        path.write_text(text)
        os.utime(path, (time.time() + seconds, time.time() + seconds))


def write_script(path: Path, body: str, *, mode: int = 0o755) -> None:
    """Write a script for /bin/sh."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)


def put_hooks(hooks: Path, shell: str, texts: dict[str, str]) -> None:
    """Write the hook scripts as the installer does, but with another interpreter."""
    hooks.mkdir(exist_ok=True)
    interpreter = " ".join([PRESENT[shell], *SHELLS[shell].split()[1:]])
    for name, text in texts.items():
        (hooks / name).write_text(text.replace("#!/bin/sh\n", f"#!{interpreter}\n", 1))
        (hooks / name).chmod(0o755)


def hooked_in(root: Path, shell: str) -> Hooked:
    """Make a repository under `root` with hooks run by `shell`."""
    repo = GitRepo.init(root / "repo")
    modules, registry = root / "modules", root / "registry"
    (modules / "agent_tracker").mkdir(parents=True)
    (modules / "agent_tracker" / "hook.py").touch()
    registry.mkdir()
    hooked = Hooked(
        repo, repo.path / ".git/hooks", repo.path / ".git/agent-tracker", registry, root / "python", root / "calls"
    )
    hooked.ours.mkdir(mode=0o700)
    hooked.answer("exit 0")
    (hooked.ours / "project").write_text("a-project\n")
    put_hooks(hooked.hooks, shell, hook_texts(str(hooked.python), ["/nowhere", str(modules)], str(registry)))
    (hooked.hooks / "commit-msg").rename(hooked.hooks / "commit-msg.sample")
    return hooked


@pytest.fixture(params=sorted(PRESENT))
def hooked(request: pytest.FixtureRequest, tmp_path: Path) -> Hooked:
    """A repository with our hooks, once for each shell."""
    return hooked_in(tmp_path, request.param)


@pytest.fixture
def dashed(tmp_path: Path) -> Hooked:
    """A repository with our hooks, run by whatever shell comes first."""
    return hooked_in(tmp_path, max(PRESENT))


def test_a_persons_commit_is_one_line(hooked: Hooked) -> None:
    """A person's commit adds exactly one framed line and starts no Python."""
    oid = hooked.repo.commit("first")
    record = f"1\tcommit\t{oid}\thuman\t\t"
    assert hooked.spool.read_text() == f"\n{record} ={len(record)}\n"
    assert hooked.called() == []


def test_a_clients_agent_is_resolved(hooked: Hooked) -> None:
    """A client with one active agent is credited without Python, and its variables are recorded."""
    hooked.mark("clients", "claude", "ag-1")
    oid = hooked.repo.commit("first", env={"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "0-1"})
    assert hooked.lines() == [f"1\tcommit\t{oid}\tag-1\t\t\tCLAUDECODE=1\tCLAUDE_CODE_SESSION_ID=0-1"]
    assert hooked.called() == []


@pytest.mark.parametrize(
    ("value", "kind", "key", "marker", "resolved"),
    [
        pytest.param("front", "ids", "front", "front\nFront\n", "front", id="by-id"),
        pytest.param("front", "names", "front", "ag-1\nfront\n", "ag-1", id="by-name"),
        pytest.param("Front", "mixed", "Front", "ag-1\nFront\n", "ag-1", id="by-name-with-capitals"),
        pytest.param("FRONT", "mixed", "FRONT", "ag-1\nFront\n", "", id="found-by-a-file-system-that-folds-case"),
        pytest.param("FRONT", "names", "FRONT", "ag-1\nfront\n", "", id="capitals-among-names"),
        pytest.param("FRONT", "ids", "FRONT", "FRONT\nfront\n", "", id="capitals-among-ids"),
        pytest.param("Front", "mixed", "Front", "", "", id="empty-marker-of-capitals"),
    ],
)
def test_a_named_agent_is_looked_up(  # noqa: PLR0913, PLR0917 -- one marker
    hooked: Hooked, value: str, kind: str, key: str, marker: str, resolved: str
) -> None:
    """AGENT_TRACKER_AGENT counts where a marker stands for exactly that id or name; else Python decides."""
    (hooked.registry / kind).mkdir()
    (hooked.registry / kind / key).write_text(marker)
    oid = hooked.repo.commit("first", env={"AGENT_TRACKER_AGENT": value})
    assert hooked.lines() == [f"1\tcommit\t{oid}\t{resolved}\t\t\tAGENT_TRACKER_AGENT={value}"]
    assert [call[0] for call in hooked.called()] == ([] if resolved else ["pre-commit"])


@pytest.mark.parametrize("env", [{"AGENT_TRACKER_AGENT": "front"}, {"CLAUDECODE": "1"}, {"GEMINI_CLI": "1"}])
@pytest.mark.parametrize("marker", ["", "\n", "../x\nfront\n", "a b\nfront\n", "a\tb\nfront\n", "active ag-1 front\n"])
def test_a_damaged_marker_breaks_no_line(hooked: Hooked, marker: str, env: dict[str, str]) -> None:
    """What is no id leaves the agent open, for the flush to find by the marks."""
    for kind, key in (("names", "front"), ("clients", "claude"), ("clients", "gemini")):
        (hooked.registry / kind).mkdir(exist_ok=True)
        (hooked.registry / kind / key).write_text(marker)
    oid = hooked.repo.commit("first", env=env)
    fields = "\t".join("=".join(pair) for pair in env.items())
    assert hooked.lines() == [f"1\tcommit\t{oid}\t\t\t\t{fields}"]


@pytest.mark.parametrize(
    ("env", "resolved"),
    [
        pytest.param({"AGENT_TRACKER_AGENT": "front", "CLAUDECODE": "1"}, "ag-2", id="named-in-a-client"),
        pytest.param({"AGENT_TRACKER_AGENT": "nobody", "CLAUDECODE": "1"}, "", id="stranger-in-a-client"),
        pytest.param({"AGENT_TRACKER_AGENT": "front", "OPENCODE": "1"}, "ag-2", id="named-in-another-client"),
        pytest.param({"AGENT_TRACKER_AGENT": "Back", "GEMINI_CLI": "1"}, "ag-3", id="capitals-in-a-client"),
        pytest.param({"AGENT_TRACKER_AGENT": "1"}, "", id="named-like-a-value"),
        pytest.param({"AGENT_TRACKER_AGENT": "front", "AGENT_TRACKER_SESSION": "s"}, "ag-2", id="named-session"),
        pytest.param({"AI_AGENT": "x", "CLAUDECODE": "1"}, "ag-1", id="client-with-AI_AGENT"),
        pytest.param({"AGENT_TRACKER_SESSION": "1", "CLAUDECODE": "1"}, "ag-1", id="client-with-session"),
        pytest.param({"CLAUDECODE": "1", "GEMINI_CLI": "1"}, "", id="two-clients"),
        pytest.param({"CLAUDECODE": "yes"}, "ag-1", id="client-by-another-value"),
        pytest.param({"CLAUDECODE": "1", "CODEX_SESSION_ID": "c"}, "ag-1", id="client-with-anothers-session"),
        pytest.param({"AGENT_TRACKER_SESSION": "1"}, "human", id="session-alone"),
        pytest.param({"CLAUDE_CODE_SESSION_ID": "1"}, "human", id="client-session-alone"),
        pytest.param({"AI_AGENT": "1"}, "", id="AI_AGENT-like-a-value"),
    ],
)
def test_whatever_else_is_set_is_recorded(hooked: Hooked, env: dict[str, str], resolved: str) -> None:
    """The agent that is named goes before the client's; every variable stands in the line, in order."""
    hooked.mark("clients", "claude", "ag-1")
    hooked.mark("names", "front", "ag-2")
    hooked.mark("mixed", "Back", "ag-3", "Back")
    oid = hooked.repo.commit("first", env=env)
    fields = "\t".join(f"{name}={env[name]}" for name in VARIABLES if name in env)
    assert hooked.lines() == [f"1\tcommit\t{oid}\t{resolved}\t\t\t{fields}"]
    assert [call[0] for call in hooked.called()] == ([] if resolved else ["pre-commit"])


@pytest.mark.parametrize(
    ("session", "env", "resolved", "is_asked"),
    [
        pytest.param("ses_1aB", {}, "ag-1", False, id="known"),
        pytest.param("ses_1aB", {"CLAUDECODE": "1"}, "ag-1", False, id="in-a-client"),
        pytest.param("ses_1aB", {"CLAUDECODE": "1", "GEMINI_CLI": "1"}, "ag-1", False, id="in-two-clients"),
        pytest.param("ses_1aB", {"AGENT_TRACKER_AGENT": "front"}, "ag-2", False, id="beside-a-name"),
        pytest.param("ses_1aB", {"AGENT_TRACKER_AGENT": "human"}, "human", False, id="beside-a-person"),
        pytest.param("of-nobody", {}, "", True, id="of-an-agent-that-may-not-commit"),
        pytest.param("of-nobody", {"CLAUDECODE": "1"}, "", True, id="of-such-an-agent-in-a-client"),
        pytest.param("other", {}, "human", False, id="unknown"),
        pytest.param("other", {"CLAUDECODE": "1"}, "ag-4", False, id="unknown-in-a-client"),
        pytest.param("SES_1Ab", {}, "human", False, id="another-spelling"),
        pytest.param("../ids/ag-1", {}, "", True, id="no-file-name"),
        pytest.param(".hidden", {}, "", True, id="a-dot"),
    ],
)
def test_a_session_tells_whose_a_commit_is(
    hooked: Hooked, session: str, env: dict[str, str], resolved: str, *, is_asked: bool
) -> None:
    """Its agent's, before a client's; Python decides where that one may not commit, or the id is no file name."""
    hooked.mark("ids", "ag-1", "ag-1")
    hooked.mark("names", "front", "ag-2")
    hooked.mark("clients", "claude", "ag-4")
    hooked.begin("ses_1aB", "ag-1")
    hooked.begin("of-nobody", "ag-3")
    env = {"AGENT_TRACKER_SESSION": session, **env}
    oid = hooked.repo.commit("first", env=env)
    fields = "\t".join(f"{name}={env[name]}" for name in VARIABLES if name in env)
    assert hooked.lines() == [f"1\tcommit\t{oid}\t{resolved}\t\t\t{fields}"]
    assert [call[0] for call in hooked.called()] == (["pre-commit"] if is_asked else [])


OWN_SESSIONS = [
    ("claude", "CLAUDECODE", "CLAUDE_CODE_SESSION_ID"),
    ("codex", "CODEX_CI", "CODEX_SESSION_ID"),
    ("codex", "CODEX_CI", "CODEX_THREAD_ID"),
    ("copilot", "COPILOT_CLI", "COPILOT_AGENT_SESSION_ID"),
    ("amp", "", "AMP_CURRENT_THREAD_ID"),
]


@pytest.mark.parametrize("marked", ["client", ""])
@pytest.mark.parametrize(
    ("session", "resolved", "is_asked"),
    [
        pytest.param("ses_1aB", "ag-1", False, id="known"),
        pytest.param("of-nobody", "", True, id="of-an-agent-that-may-not-commit"),
        pytest.param("SES_1Ab", "ag-4", False, id="another-spelling"),
        pytest.param("a:b", "", True, id="no-file-name"),
        pytest.param(".hidden", "", True, id="a-dot"),
        pytest.param("other", "ag-4", False, id="unknown"),
    ],
)
@pytest.mark.parametrize(("client", "variable", "naming"), OWN_SESSIONS)
def test_a_client_s_own_session_goes_before_its_agent(  # noqa: PLR0913, PLR0917 -- one commit
    dashed: Hooked, client: str, variable: str, naming: str, session: str, resolved: str, marked: str, *, is_asked: bool
) -> None:
    """Whether or not an agent is tied to the client; where that one may not commit, Python decides."""
    dashed.mark("ids", "ag-1", "ag-1")
    if marked:
        dashed.mark("clients", client, "ag-4")
    dashed.begin("ses_1aB", "ag-1")
    dashed.begin("of-nobody", "ag-3")
    env = {name: value for name, value in ((variable, "1"), (naming, session)) if name}
    dashed.repo.commit("first", env=env)
    expected = resolved if marked or resolved != "ag-4" else ""
    assert [line.split("\t")[3] for line in dashed.lines()] == [expected]
    assert [call[0] for call in dashed.called()] == (["pre-commit"] if is_asked or not expected else [])


@pytest.mark.parametrize(("session", "is_refused"), [("ses_1", False), ("of-nobody", True), ("other", False)])
def test_use_does_not_stand_in_for_a_session(hooked: Hooked, session: str, *, is_refused: bool) -> None:
    """The agent in use commits only where no session is known."""
    for agent in ("ag-1", "ag-2"):
        hooked.mark("ids", agent, agent)
    hooked.begin("ses_1", "ag-1")
    hooked.begin("of-nobody", "ag-3")
    hooked.use("ag-2\n", seconds=60)
    hooked.answer("exit 42")
    env = {"AGENT_TRACKER_SESSION": session}
    assert (hooked.repo.try_git("commit", "--allow-empty", "-qm", "a", env=env).code != 0) is is_refused
    assert is_refused or hooked.lines()[0].split("\t")[3] == {"ses_1": "ag-1", "other": "ag-2"}[session]


def test_every_variable_is_recorded_in_order(hooked: Hooked) -> None:
    """All identity variables stand in the line, in the table's order; several clients leave the agent open."""
    env = {name: f"v{i}" for i, name in enumerate(VARIABLES) if name != "AGENT_TRACKER_AGENT"}
    oid = hooked.repo.commit("first", env=env)
    fields = "\t".join(f"{name}={value}" for name, value in env.items())
    assert hooked.lines() == [f"1\tcommit\t{oid}\t\t\t\t{fields}"]


@pytest.mark.parametrize("client", [name for name, variables in CLIENTS.items() if variables])
def test_each_client_is_known_by_its_variables(dashed: Hooked, client: str) -> None:
    """Each strong variable of the table leads to its client's marker."""
    dashed.mark("clients", client, "ag-1")
    for variable in CLIENTS[client]:
        dashed.repo.commit("first", "--allow-empty", env={variable: EXACT_VALUES.get(variable, "x")})
    assert [line.split("\t")[3] for line in dashed.lines()] == ["ag-1"] * len(CLIENTS[client])


@pytest.mark.parametrize("variable", EXACT_VALUES)
def test_an_exact_variable_with_another_value_is_no_client(hooked: Hooked, variable: str) -> None:
    """OPENCODE and CRUSH prove a client only where they are 1; other values are recorded, and the rest decides."""
    oid = hooked.repo.commit("first", env={variable: "11"})
    assert hooked.lines() == [f"1\tcommit\t{oid}\thuman\t\t\t{variable}=11"]


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({"AI_AGENT": "x"}, id="AI_AGENT-alone"),
        pytest.param({"AI_AGENT": ":"}, id="AI_AGENT-colon"),
        pytest.param({"OPENCODE": "1", "CRUSH": "1"}, id="two-clients"),
        pytest.param({"GEMINI_CLI": "1"}, id="unregistered"),
    ],
)
def test_what_the_shell_cannot_tell_python_decides(hooked: Hooked, env: dict[str, str]) -> None:
    """Pre-commit hands over where identity is open; the commit is recorded with its agent left empty."""
    hooked.repo.commit("first", env=env)
    assert hooked.called() == [["pre-commit", ".git"]]
    assert [line.split("\t")[3] for line in hooked.lines()] == [""]


def test_a_person_may_say_so(hooked: Hooked) -> None:
    """AGENT_TRACKER_AGENT=human outweighs the variables of a client."""
    oid = hooked.repo.commit("first", env={"AGENT_TRACKER_AGENT": "human", "CLAUDECODE": "1"})
    assert hooked.lines() == [f"1\tcommit\t{oid}\thuman\t\t\tAGENT_TRACKER_AGENT=human\tCLAUDECODE=1"]


@pytest.mark.parametrize("name", ["AGENT_TRACKER_AGENT", "AI_AGENT", "CLAUDE_CODE_SESSION_ID"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a\nb", id="newline"),
        pytest.param("a\tCLAUDECODE=1", id="tab"),
        pytest.param("a\\b", id="backslash"),
        pytest.param("\x1b[31m", id="escape"),
        pytest.param("caf\u00e9", id="accent"),
        pytest.param("a" * 10_000, id="10kB"),
    ],
)
def test_an_odd_value_goes_to_python(hooked: Hooked, name: str, value: str) -> None:
    """What would not fit a plain line is left to Python; the shell writes nothing."""
    hooked.repo.commit("first", env={name: value})
    assert hooked.called()[-1] == ["post-commit", ".git"]
    assert hooked.lines() == []


@pytest.mark.parametrize(
    "value",
    [
        "../../x",
        "..",
        "/etc/passwd",
        "$(touch PWN)",
        "`touch PWN`",
        "*",
        "[a-z]",
        "x;touch PWN",
        "-n",
        "!",
        "%s%n",
        "'",
    ],
)
def test_a_hostile_name_is_data(hooked: Hooked, value: str) -> None:
    """No value of AGENT_TRACKER_AGENT is run, expanded, or followed out of the registry."""
    (hooked.registry / "ids").mkdir()
    (hooked.registry.parent / "x").write_text("x\nx\n")
    hooked.repo.commit("first", env={"AGENT_TRACKER_AGENT": value})
    assert hooked.called()[0][0] == "pre-commit"
    assert not list(hooked.repo.path.rglob("PWN"))
    for line in hooked.lines():
        assert line.endswith(f"\t\t\t\tAGENT_TRACKER_AGENT={value}")


def test_a_hostile_branch_is_data(hooked: Hooked) -> None:
    """A branch named like a command is only a path."""
    hooked.repo.git("checkout", "-q", "-b", 'we$(touch${IFS}PWN)r;d"b`touch${IFS}PWN`')
    oid = hooked.repo.commit("first")
    assert hooked.lines() == [f"1\tcommit\t{oid}\thuman\t\t"]
    assert not list(hooked.repo.path.rglob("PWN"))


@pytest.mark.parametrize("name", ["with space", "a\nb", "quo'te\"s", "$(touch PWN)", "-n", "*"])
def test_a_hostile_directory_is_data(tmp_path: Path, name: str) -> None:
    """The repository may lie anywhere; a linked worktree of it too."""
    for shell in PRESENT:
        root = tmp_path / shell / name
        root.mkdir(parents=True)
        hooked = hooked_in(root, shell)
        hooked.repo.commit("first")
        hooked.repo.git("worktree", "add", "-q", root / "tree")
        oid = GitRepo(root / "tree").commit("second")
        assert [line.split("\t")[2] for line in hooked.lines()][1:] == [oid]
    assert not list(tmp_path.rglob("PWN"))


def test_a_detached_head_is_read(hooked: Hooked) -> None:
    """A commit on no branch is recorded."""
    hooked.repo.commit("first")
    hooked.repo.git("checkout", "-q", "--detach")
    oid = hooked.repo.commit("second")
    assert hooked.lines()[-1] == f"1\tcommit\t{oid}\thuman\t\t"


def test_sha256_is_read(tmp_path: Path) -> None:
    """An oid of 64 digits is as good."""
    hooked = hooked_in(tmp_path, min(PRESENT))
    run("git", "init", "-q", "--object-format=sha256", hooked.repo.path / "other", cwd=tmp_path)
    shutil.copytree(hooked.hooks, hooked.repo.path / "other/.git/hooks", dirs_exist_ok=True)
    (hooked.repo.path / "other/.git/agent-tracker").mkdir()
    oid = GitRepo(hooked.repo.path / "other").commit("first")
    assert len(oid) == 64
    assert f"\t{oid}\t" in (hooked.repo.path / "other/.git/agent-tracker/spool").read_text()


@pytest.mark.parametrize(
    "content", ["", "ref: refs/heads/x", "z" * 40, "a" * 39, "0aaa", ":" * 40, "A" * 40, "ref: refs/heads/.invalid"]
)
def test_a_ref_that_no_shell_can_read_goes_to_python(hooked: Hooked, content: str) -> None:
    """A packed ref, a reftable, a symbolic or damaged one: Python asks git."""
    hooked.repo.commit("first")
    hooked.spool.unlink()
    hooked.repo.git("pack-refs", "--all")
    if content:
        (hooked.repo.path / ".git/refs/heads/main").write_text(f"{content}\n")
    assert hooked.run("post-commit").code == 0
    assert hooked.called() == [["post-commit", ".git"]]
    assert hooked.lines() == []


def test_a_linked_worktree_writes_the_common_spool(hooked: Hooked) -> None:
    """A commit in a linked worktree stands in the one spool, and `use` is that worktree's own."""
    hooked.repo.commit("first")
    tree = hooked.repo.path.parent / "tree"
    hooked.repo.git("worktree", "add", "-q", tree)
    hooked.use("ag-1\n", seconds=60)
    hooked.mark("ids", "ag-1", "ag-1")
    oid = GitRepo(tree).commit("second")
    assert hooked.lines()[-1] == f"1\tcommit\t{oid}\thuman\t\t"
    done = run(hooked.hooks / "post-commit", cwd=tree)
    assert (done.code, hooked.lines()[-1]) == (0, f"1\tcommit\t{oid}\thuman\t\t")


@pytest.mark.parametrize("form", ["absolute", "relative", "GIT_DIR names the gitfile", "GIT_DIR and GIT_COMMON_DIR"])
def test_the_git_directory_is_found(hooked: Hooked, form: str) -> None:
    """A gitfile is followed, absolute or relative to itself, and the variables of git are honoured."""
    oid = hooked.repo.commit("first")
    (hooked.repo.path / ".git").rename(hooked.repo.path / "real")
    hooks = hooked.repo.path / "real/hooks"
    target = "real" if form != "absolute" else str(hooked.repo.path / "real")
    (hooked.repo.path / ".git").write_text(f"gitdir: {target}\n")
    env = {"GIT_DIR": str(hooked.repo.path / ".git")} if "gitfile" in form else {}
    if "COMMON" in form:
        env = {"GIT_DIR": "real", "GIT_COMMON_DIR": str(hooked.repo.path / "real")}
    (hooked.repo.path / "real/agent-tracker/spool").unlink()
    cwd = hooked.repo.path if "gitfile" not in form else hooked.repo.path.parent
    assert run(hooks / "post-commit", cwd=cwd, env=env) == Done(0, "", "")
    assert f"\t{oid}\thuman" in (hooked.repo.path / "real/agent-tracker/spool").read_text()


def test_without_our_directory_nothing_happens(hooked: Hooked) -> None:
    """Where agent-tracker was never set up, no hook leaves a trace."""
    shutil.rmtree(hooked.ours)
    hooked.repo.commit("first", env={"CLAUDECODE": "1"})
    assert not hooked.ours.exists()
    assert hooked.called() == []


def test_a_linked_directory_is_not_ours(hooked: Hooked) -> None:
    """A symbolic link in the place of our directory is not followed."""
    elsewhere = hooked.repo.path.parent / "elsewhere"
    hooked.ours.rename(elsewhere)
    hooked.ours.symlink_to(elsewhere)
    hooked.repo.commit("first")
    assert [path.name for path in elsewhere.iterdir()] == ["project"]


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "directory", "busy"])
def test_a_spool_that_cannot_be_trusted_or_written_costs_one_line(hooked: Hooked, kind: str) -> None:
    """Git goes on, one line says so, and nothing is written through a link or into a pipe."""
    aim = hooked.repo.path.parent / "aim"
    sleeper = None
    match kind:
        case "link" | "dangling link":
            hooked.spool.symlink_to(aim)
            if kind == "link":
                aim.write_text("")
        case "pipe":
            os.mkfifo(hooked.spool)
        case "directory":
            hooked.spool.mkdir()
        case _:
            shutil.copy(shutil.which("sleep") or "", hooked.spool)
            sleeper = subprocess.Popen([hooked.spool, "60"])
    done = hooked.repo.try_git("commit", "--allow-empty", "-qm", "x", env={"LC_ALL": "C"})
    if sleeper:
        sleeper.kill()
        sleeper.wait()
    assert (done.code, done.err.count("\n")) == (0, 1), done.err
    assert re.match("agent-tracker: .* nothing was recorded", done.err)
    assert not aim.exists() or aim.read_text() == ""


@pytest.mark.parametrize("env", [{}, {"CLAUDECODE": "1"}, {"GEMINI_CLI": "1"}], ids=["person", "client", "other"])
@pytest.mark.parametrize("gone", [SHARED, *((name,) for name in SHARED)], ids=["all", *SHARED])
def test_a_missing_file_is_harmless(hooked: Hooked, gone: tuple[str, ...], env: dict[str, str]) -> None:
    """Without what they share the hooks say nothing, stop nothing, and run what was there before."""
    hooked.repo.commit("first")
    hooked.spool.unlink()
    for name in gone:
        (hooked.hooks / name).unlink()
    hooked.keep("pre-commit", "exit 7")
    assert hooked.run("post-commit", env=env) == Done(0, "", "")
    assert hooked.run("pre-commit", env=env).code == 7
    is_known = bool(hooked.lines()) or "post-commit" in [call[0] for call in hooked.called()]
    assert is_known == (not env or gone != SHARED)
    assert hooked.run("pre-push").code == hooked.run("post-rewrite", "amend", stdin="x y").code == 0


def test_without_its_core_an_odd_place_is_left_alone(hooked: Hooked) -> None:
    """A plain repository goes on recording; what the core would have to find is passed over in silence."""
    hooked.repo.commit("first")
    before = hooked.lines()
    (hooked.repo.path / ".git").rename(hooked.repo.path / "real")
    (hooked.repo.path / ".git").write_text("gitdir: real\n")
    hooks = hooked.repo.path / "real/hooks"
    (hooks / "agent-tracker.sh").unlink()
    write_script(hooks / f"post-commit{KEPT}", "echo ran")
    assert run(hooks / "post-commit", cwd=hooked.repo.path) == Done(0, "ran\n", "")
    (hooked.repo.path / ".git").unlink()
    (hooked.repo.path / "real").rename(hooked.repo.path / ".git")
    assert hooked.lines() == before


@pytest.mark.parametrize("gone", ["nothing", "core", "project"])
def test_a_linked_worktree_is_found(hooked: Hooked, gone: str) -> None:
    """By its path, or by its `commondir` where our directory is not in order."""
    hooked.repo.commit("first")
    tree = hooked.repo.path.parent / "tree"
    hooked.repo.git("worktree", "add", "-q", tree)
    if gone == "core":
        (hooked.hooks / "agent-tracker.sh").unlink()
    if gone == "project":
        (hooked.ours / "project").unlink()
    oid = GitRepo(tree).commit("second")
    assert hooked.lines()[-1] == f"1\tcommit\t{oid}\thuman\t\t"


def test_a_repository_in_a_directory_of_worktrees_is_its_own(hooked: Hooked) -> None:
    """A path that only looks like a linked worktree's leads to no other repository."""
    repo = GitRepo.init(hooked.repo.path / ".git/worktrees")
    shutil.copytree(hooked.hooks, repo.path / ".git/hooks", dirs_exist_ok=True)
    repo.git("commit", "-q", "--allow-empty", "-m", "x", env={"GIT_DIR": str(repo.path / ".git")})
    assert hooked.lines() == []
    (repo.path / ".git/agent-tracker").mkdir()
    repo.git("commit", "-q", "--allow-empty", "-m", "x", env={"GIT_DIR": str(repo.path / ".git")})
    assert hooked.lines() == []
    assert repo.head() in (repo.path / ".git/agent-tracker/spool").read_text()


def test_a_repository_without_its_project_file_is_found_all_the_same(hooked: Hooked) -> None:
    """The file that tells a plain repository at a glance may be missing."""
    (hooked.ours / "project").unlink()
    oid = hooked.repo.commit("first")
    assert hooked.lines() == [f"1\tcommit\t{oid}\thuman\t\t"]


@pytest.mark.parametrize("gone", ["python", "modules", "executable"])
def test_a_missing_python_costs_one_line(hooked: Hooked, gone: str) -> None:
    """After `pip uninstall` the commit is made all the same."""
    match gone:
        case "python":
            hooked.python.unlink()
        case "modules":
            shutil.rmtree(hooked.python.parent / "modules")
        case _:
            hooked.python.chmod(0o644)
    done = hooked.repo.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert done.err.startswith("agent-tracker: its Python part is gone, git goes on")


@pytest.mark.parametrize(
    ("body", "refused", "said"),
    [
        pytest.param("exit 42", True, "", id="refuses"),
        pytest.param("exit 0", False, "", id="agrees"),
        pytest.param("exit 1", False, "agent-tracker: its Python part ended with code 1, git goes on\n", id="fails"),
        pytest.param(
            "kill -SEGV $$", False, "agent-tracker: its Python part ended with code 139, git goes on\n", id="dies"
        ),
        pytest.param("echo word >&2; exit 42", True, "word\n", id="speaks"),
    ],
)
def test_only_code_42_stops_git(hooked: Hooked, body: str, said: str, *, refused: bool) -> None:
    """Python may refuse a commit; its failure or death may not, and what it says is heard."""
    hooked.answer(body)
    done = hooked.repo.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert (done.code != 0, done.err) == (refused, said)


def test_python_reads_neither_stdin_nor_the_work_tree(hooked: Hooked) -> None:
    """Python is started isolated, without site, and with nothing on its stdin."""
    arguments = hooked.python.parent / "arguments"
    write_script(hooked.python, f'printf "%s\\n" "$1" "$3" >"{arguments}"; read line && exit 42; exit 0')
    hooked.run("pre-commit", env={"CLAUDECODE": "1"}, stdin="x\n")
    assert arguments.read_text() == f"-ISc\n/nowhere:{hooked.python.parent}/modules\n"


@pytest.mark.parametrize(
    ("environment", "repository", "user", "asked"),
    [
        ("", "off", "", 0),
        ("", "", "off", 0),
        ("", "warn", "off", 1),
        ("", "", "", 1),
        ("off", "enforce", "enforce", 0),
        ("enforce", "off", "off", 1),
        ("nonsense", "off", "off", 1),
    ],
)
def test_policy_off_asks_nobody(hooked: Hooked, environment: str, repository: str, user: str, asked: int) -> None:
    """The environment goes before the repository's policy, that before the user's; `off` passes without Python."""
    for directory, policy in ((hooked.ours, repository), (hooked.registry, user)):
        if policy:
            (directory / "policy").write_text(f"{policy}\n")
    hooked.run("pre-commit", env={"CLAUDECODE": "1", "AGENT_TRACKER_POLICY": environment})
    assert len(hooked.called()) == asked


def test_an_agent_in_use_is_credited_aloud(hooked: Hooked) -> None:
    """A `use` file that has not expired names the agent, and post-commit says whom it credits."""
    hooked.mark("ids", "ag-1", "ag-1")
    hooked.use("ag-1\n", seconds=60)
    done = hooked.repo.try_git("commit", "--allow-empty", "-qm", "x")
    assert done.err == "agent-tracker: credited to Front End (agent-tracker use)\n"
    assert hooked.lines() == [f"1\tcommit\t{hooked.repo.head()}\tag-1\tag-1\t"]
    assert hooked.called() == []


def test_an_expired_use_is_nothing(hooked: Hooked) -> None:
    """After its time a `use` file credits nobody, silently."""
    hooked.use("ag-1\n", seconds=-5)
    done = hooked.repo.try_git("commit", "--allow-empty", "-qm", "x")
    assert (done.err, hooked.called()) == ("", [])
    assert hooked.lines() == [f"1\tcommit\t{hooked.repo.head()}\thuman\t\t"]


def test_a_client_outweighs_use(hooked: Hooked) -> None:
    """A client's own agent is credited in silence; `use` is recorded beside it."""
    hooked.mark("clients", "claude", "ag-2")
    hooked.use("ag-1\n", seconds=60)
    done = hooked.repo.try_git("commit", "--allow-empty", "-qm", "x", env={"CLAUDECODE": "1"})
    assert done.err == ""
    assert hooked.lines() == [f"1\tcommit\t{hooked.repo.head()}\tag-2\tag-1\t\tCLAUDECODE=1"]


@pytest.mark.parametrize("content", ["ag-1\n", "../x\n", "", "a b\n", "$(touch PWN)\n"])
def test_a_use_that_names_no_active_agent_goes_to_python(hooked: Hooked, content: str) -> None:
    """An unknown, unsafe or empty `use` is for Python to judge."""
    hooked.use(content, seconds=60)
    hooked.repo.commit("first")
    assert hooked.called() == [["pre-commit", ".git"]]
    assert [line.split("\t")[3] for line in hooked.lines()] == [""]
    assert not list(hooked.repo.path.rglob("PWN"))


@pytest.mark.parametrize("name", ["use", "now"])
def test_a_linked_use_is_not_followed(hooked: Hooked, name: str) -> None:
    """Neither `use` nor its clock is read or written through a symbolic link."""
    hooked.mark("ids", "ag-1", "ag-1")
    aim = hooked.repo.path.parent / "aim"
    hooked.use("ag-1\n", seconds=60)
    if name == "use":
        (hooked.ours / "use").rename(aim)
    else:
        aim.write_text("precious")
    (hooked.ours / name).symlink_to(aim)
    hooked.repo.commit("first")
    assert [line.split("\t")[3] for line in hooked.lines()] == [""]
    assert aim.read_text() in {"precious", "ag-1\n"}


@pytest.mark.parametrize(
    ("traces", "flags"),
    [
        pytest.param([], ["", "merge", "am"], id="nothing"),
        pytest.param(["rebase-merge/"], ["rebase", "rebase", "rebase"], id="rebase"),
        pytest.param(["rebase-apply/", "rebase-apply/rebasing"], ["rebase", "rebase", "rebase"], id="rebase-apply"),
        pytest.param(["rebase-apply/", "rebase-apply/applying"], ["", "merge", "am"], id="am"),
        pytest.param(
            ["rebase-merge/", "rebase-apply/", "rebase-apply/applying"], ["rebase", "rebase", "rebase"], id="both"
        ),
    ],
)
def test_a_commit_says_how_it_came_about(hooked: Hooked, traces: list[str], flags: list[str]) -> None:
    """A rebase under way outweighs what the event itself tells; `git am` is none."""
    oid = hooked.repo.commit("first")
    hooked.spool.unlink()
    for trace in traces:
        path = hooked.repo.path / ".git" / trace
        path.mkdir() if trace.endswith("/") else path.touch()
    for event in RECORDING:
        assert hooked.run(event, "0") == Done(0, "", "")
    assert hooked.lines() == [f"1\tcommit\t{oid}\thuman\t\t{flag}" for flag in flags]


def diverge(repo: GitRepo) -> None:
    """Make two branches, `main` and `side`, each with a commit of its own; `main` is checked out."""
    repo.commit("base")
    repo.git("checkout", "-q", "-b", "side")
    repo.commit("one")
    repo.git("checkout", "-q", "main")
    repo.commit("two")


def test_a_merge_is_recorded_and_flagged(hooked: Hooked) -> None:
    """`merge --no-ff` runs post-merge in the place of post-commit, and so does a fast-forward."""
    diverge(hooked.repo)
    hooked.spool.unlink()
    hooked.repo.git("merge", "-q", "--no-ff", "-m", "m", "side")
    merge = hooked.repo.head()
    hooked.repo.git("checkout", "-q", "side")
    hooked.repo.git("merge", "-q", "--ff-only", "main")
    assert hooked.lines() == [f"1\tcommit\t{merge}\thuman\t\tmerge"] * 2


def test_applied_patches_are_recorded_and_flagged(hooked: Hooked) -> None:
    """Each commit that `git am` makes is a line of its own."""
    diverge(hooked.repo)
    patch = hooked.repo.git("format-patch", "--stdout", "-1", "side") + "\n"
    hooked.spool.unlink()
    hooked.repo.git("am", "-q", stdin=patch)
    assert hooked.lines() == [f"1\tcommit\t{hooked.repo.head()}\thuman\t\tam"]


def test_a_commit_in_the_middle_of_applying_is_no_rebase(hooked: Hooked) -> None:
    """Where a patch does not apply and a person commits by hand, that is a plain commit."""
    diverge(hooked.repo)
    patch = hooked.repo.git("format-patch", "--stdout", "-1", "side").replace("one.txt", "two.txt") + "\n"
    assert hooked.repo.try_git("am", "-q", stdin=patch).code != 0
    oid = hooked.repo.commit("three")
    assert hooked.lines()[-1] == f"1\tcommit\t{oid}\thuman\t\t"


def test_a_rebase_by_patches_is_a_rebase(hooked: Hooked) -> None:
    """The other back end runs the hooks of `git am`, which see through it, and post-rewrite."""
    diverge(hooked.repo)
    old = hooked.repo.head("side")
    hooked.spool.unlink()
    hooked.repo.git("rebase", "-q", "--apply", "main", "side")
    new = hooked.repo.head("side")
    assert hooked.lines() == [f"1\tcommit\t{new}\thuman\t\trebase", f"1\trewrite\trebase\t{old}\t{new}"]


@pytest.mark.parametrize(
    ("command", "is_refused"),
    [
        pytest.param(["commit", "--allow-empty", "-m", "x"], True, id="commit"),
        pytest.param(["merge", "--no-ff", "-m", "m", "side"], True, id="merge"),
        pytest.param(["am"], True, id="am"),
        pytest.param(["rebase", "--apply", "side"], False, id="rebase-by-patches"),
        pytest.param(["rebase", "--merge", "side"], False, id="rebase"),
        pytest.param(["cherry-pick", "side"], False, id="cherry-pick"),
        pytest.param(["merge", "--squash", "side"], False, id="squash"),
    ],
)
def test_what_makes_new_commits_can_be_refused(hooked: Hooked, command: list[str], *, is_refused: bool) -> None:
    """A commit, a merge and an applied patch are refused; a rebase is never stopped in its middle."""
    diverge(hooked.repo)
    patch = hooked.repo.git("format-patch", "--stdout", "-1", "side") + "\n"
    hooked.answer("exit 42")
    head = hooked.repo.head()
    done = hooked.repo.try_git(*command, env={"GEMINI_CLI": "1"}, stdin=patch)
    assert (done.code != 0) == is_refused, done
    assert (hooked.repo.head() == head) == (is_refused or "--squash" in command)


@pytest.mark.parametrize("event", VALIDATING)
def test_each_validating_hook_decides_alike(hooked: Hooked, event: str) -> None:
    """Python is told the event; code 42 refuses, an agent's marker or a person passes, the hook kept decides then."""
    hooked.choose(event)
    hooked.apply_patches()
    hooked.mark("clients", "claude", "ag-1")
    hooked.keep(event, 'printf "<%s>" "$@"; exit 3')
    for env in ({}, {"CLAUDECODE": "1"}):
        assert hooked.run(event, "a message", env=env) == Done(3, "<a message>", "")
    assert hooked.called() == []
    hooked.answer("exit 42")
    assert hooked.run(event, "a message", env={"GEMINI_CLI": "1"}) == Done(1, "", "")
    assert hooked.called() == [[event, ".git"]]


def test_commit_msg_stands_in_for_pre_commit(hooked: Hooked) -> None:
    """It refuses a commit and a merge, lets a message be edited by the hook kept, and --no-verify goes past it."""
    hooked.choose("commit-msg")
    (hooked.hooks / "pre-merge-commit").unlink()
    diverge(hooked.repo)
    hooked.keep("commit-msg", 'echo "$(cat "$1") edited" >"$1"')
    hooked.repo.commit("three")
    assert hooked.repo.git("log", "-1", "--format=%s") == "three edited"
    hooked.answer("exit 42")
    for argv in (["commit", "--allow-empty", "-m", "x"], ["merge", "--no-ff", "-m", "m", "side"]):
        assert hooked.repo.try_git(*argv, env={"GEMINI_CLI": "1"}).code == 1
    assert hooked.called() == [["commit-msg", ".git"]] * 2
    hooked.repo.git("commit", "-q", "--allow-empty", "--no-verify", "-m", "x", env={"GEMINI_CLI": "1"})


def test_patches_of_a_rebase_are_not_judged(hooked: Hooked) -> None:
    """Outside of `git am` pre-applypatch asks nobody, and the hook kept runs."""
    hooked.answer("exit 42")
    hooked.keep("pre-applypatch", "exit 3")
    (hooked.repo.path / ".git/rebase-apply").mkdir()
    assert hooked.run("pre-applypatch", env={"GEMINI_CLI": "1"}) == Done(3, "", "")
    assert hooked.called() == []


@pytest.mark.parametrize("event", RECORDING)
def test_python_records_what_the_shell_cannot(hooked: Hooked, event: str) -> None:
    """A value that is no plain text goes to Python with the event's name."""
    hooked.repo.commit("first")
    hooked.spool.unlink()
    assert hooked.run(event, "0", env={"AI_AGENT": "a\tb"}) == Done(0, "", "")
    assert hooked.called() == [[event, ".git"]]
    assert hooked.lines() == []


def test_whom_use_credits_is_said_only_where_it_is_certain(hooked: Hooked) -> None:
    """After a merge that may have been a fast-forward, and within a rebase, nobody is told of a credit."""
    hooked.mark("ids", "ag-1", "ag-1")
    hooked.repo.commit("first")
    hooked.use("ag-1\n", seconds=60)
    said = "agent-tracker: credited to Front End (agent-tracker use)\n"
    assert [hooked.run(event, "0").err for event in RECORDING] == [said, "", said]
    (hooked.repo.path / ".git/rebase-merge").mkdir()
    assert [hooked.run(event, "0").err for event in RECORDING] == ["", "", ""]


@pytest.mark.parametrize(
    "setting", ["log.date=raw", "log.decorate=full", "log.showSignature=true", "format.pretty=raw"]
)
def test_a_squash_names_what_it_squashes(hooked: Hooked, setting: str) -> None:
    """`merge --squash` makes no commit: what it brings together is one line, newest first, behind what HEAD is."""
    diverge(hooked.repo)
    hooked.repo.git("checkout", "-q", "side")
    two = hooked.repo.commit("three", "-m", f"commit {OLD}\n\ncommit {NEW}")
    one = hooked.repo.head("side~1")
    hooked.repo.git("checkout", "-q", "main")
    hooked.spool.unlink()
    hooked.repo.git("-c", setting, "merge", "-q", "--squash", "side")
    assert hooked.lines() == [f"1\tsquash\t{hooked.repo.head()}\t{two}\t{one}"]
    oid = hooked.repo.commit("squashed")
    assert hooked.lines()[1:] == [f"1\tcommit\t{oid}\thuman\t\t"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("\n\n\\\n", id="blank"),
        pytest.param(f"commit {OLD}", id="torn"),
        pytest.param(f" commit {OLD}\n    commit {OLD}\n\tcommit {OLD}\n", id="indented"),
        pytest.param(f"commit  {OLD}\ncommit\t{OLD}\ncommits {OLD}\n", id="other-words"),
        pytest.param(f"commit {OLD[1:]}\ncommit {OLD}1\ncommit {'g' * 40}\ncommit {'A' * 40}\n", id="no-oids"),
        pytest.param(f"commit {'*' * 40}\ncommit $(touch PWN){'1' * 28}\ncommit {'?' * 40}\ncommit\n", id="hostile"),
        pytest.param("commit " + "\u00e9" * 40 + "\n", id="not-ascii"),
        pytest.param("commit " + "a" * 200_000 + "\n", id="long"),
        pytest.param(None, id="absent"),
        pytest.param("link", id="link"),
        pytest.param("directory", id="directory"),
    ],
)
def test_a_squash_message_that_names_nothing_leaves_nothing(hooked: Hooked, text: str | None) -> None:
    """Nothing in the file is trusted: what is no oid in its place does not count."""
    message = hooked.repo.path / ".git/SQUASH_MSG"
    if text == "link":
        (message.parent / "aim").write_text(f"commit {OLD}\n")
        message.symlink_to("aim")
    elif text == "directory":
        message.mkdir()
    elif text is not None:
        message.write_text(text)
    assert hooked.run("post-merge", "1") == Done(0, "", "")
    assert hooked.lines() == []
    assert not list(hooked.repo.path.rglob("PWN"))


@pytest.mark.parametrize("digits", [40, 64])
def test_a_long_squash_is_written_in_parts(hooked: Hooked, digits: int) -> None:
    """A thousand oids are noted in lines that can be appended whole; more are not, and other text is passed over."""
    oids = [f"{number:0{digits}x}" for number in range(1100)]
    text = "".join(f"commit {oid} (HEAD -> x)\nAuthor: A\n\n    commit {OLD}\n" for oid in oids)
    (hooked.repo.path / ".git/SQUASH_MSG").write_text(text)
    (hooked.repo.path / ".git/HEAD").write_text("e" * digits + "\n")
    hooked.keep("post-merge", 'printf "<%s>" "$@"; exit 3')
    assert hooked.run("post-merge", "1") == Done(3, "<1>", "")
    fields = [line.split("\t") for line in hooked.lines()]
    assert {tuple(field[:3]) for field in fields} == {("1", "squash", "e" * digits)}
    assert [oid for field in fields for oid in field[3:]] == oids[:1000]
    assert max(len(line) for line in hooked.lines()) < 3600


def test_a_squash_message_without_end_is_left_in_time(hooked: Hooked) -> None:
    """Behind 20,000 lines nothing is read."""
    text = "\n" * 19_999 + f"commit {OLD}\ncommit {NEW}\n"
    (hooked.repo.path / ".git/SQUASH_MSG").write_text(text)
    hooked.run("post-merge", "1")
    assert hooked.lines() == [f"1\tsquash\t\t{OLD}"]


@pytest.mark.parametrize("head", ["ref: refs/heads/.invalid", f"ref: refs/heads/{OLD}", "g" * 40, OLD[1:], "", "a\tb"])
def test_a_squash_onto_what_the_shell_cannot_tell_says_so(hooked: Hooked, head: str) -> None:
    """Where HEAD's commit is in no file of its own its field is empty."""
    (hooked.repo.path / ".git/SQUASH_MSG").write_text(f"commit {NEW}\n")
    (hooked.repo.path / ".git/HEAD").write_text(f"{head}\n")
    assert hooked.run("post-merge", "1") == Done(0, "", "")
    assert hooked.lines() == [f"1\tsquash\t\t{NEW}"]


def test_a_squash_onto_a_packed_branch_is_written_without_it(hooked: Hooked) -> None:
    """What is squashed is noted all the same."""
    diverge(hooked.repo)
    hooked.repo.git("pack-refs", "--all")
    hooked.spool.unlink()
    hooked.repo.git("merge", "-q", "--squash", "side")
    assert hooked.lines() == [f"1\tsquash\t\t{hooked.repo.head('side')}"]


def test_an_amend_is_recorded(hooked: Hooked) -> None:
    """Git's own post-rewrite of an amend becomes a rewrite record behind the new commit's."""
    old = hooked.repo.commit("first")
    hooked.repo.git("commit", "-q", "--amend", "-m", "again")
    new = hooked.repo.head()
    assert hooked.lines()[1:] == [f"1\tcommit\t{new}\thuman\t\t", f"1\trewrite\tamend\t{old}\t{new}"]


def test_a_rebase_is_recorded(hooked: Hooked) -> None:
    """Each commit that a rebase moved is a rewrite record."""
    hooked.repo.commit("base")
    hooked.repo.git("checkout", "-q", "-b", "side")
    olds = [hooked.repo.commit("one"), hooked.repo.commit("two")]
    hooked.repo.git("checkout", "-q", "main")
    hooked.repo.commit("three")
    hooked.repo.git("rebase", "-q", "main", "side")
    news = [hooked.repo.head("side~1"), hooked.repo.head("side")]
    rewrites = [line for line in hooked.lines() if "\trewrite\t" in line]
    assert rewrites == [f"1\trewrite\trebase\t{old}\t{new}" for old, new in zip(olds, news, strict=True)]


def test_a_long_rewrite_is_written_in_parts(hooked: Hooked) -> None:
    """Two hundred rewrites all arrive, as does what git may add behind the oids, for the hook that was there."""
    hooked.keep("post-rewrite", 'printf "%s:" "$@"; cat; exit 5')
    stdin = "".join(f"{i:040x} {i + 1:040x}{' more  words' if i % 3 else ''}\n" for i in range(200)) + "torn"
    done = hooked.run("post-rewrite", "rebase", stdin=stdin)
    assert done == Done(5, f"rebase:{stdin}", "")
    assert hooked.lines() == [f"1\trewrite\trebase\t{i:040x}\t{i + 1:040x}" for i in range(200)]


@pytest.mark.parametrize(
    ("argument", "stdin"),
    [
        ("other", f"{OLD} {NEW}\n"),
        ("amend", "x y\n"),
        ("amend", f"{OLD}\n{NEW}\n"),
        ("amend", ""),
        ("", f"{OLD} {NEW}\n"),
    ],
)
def test_a_rewrite_that_is_none_is_passed_over(hooked: Hooked, argument: str, stdin: str) -> None:
    """Unknown commands and lines without two oids leave no record."""
    assert hooked.run("post-rewrite", argument, stdin=stdin) == Done(0, "", "")
    assert hooked.lines() == []


def test_a_rewrite_that_cannot_be_written_still_reaches_the_other_hook(hooked: Hooked) -> None:
    """A spool that is a directory costs one line, however long the rewrite is."""
    hooked.spool.mkdir()
    hooked.keep("post-rewrite", "cat")
    stdin = f"{OLD} {NEW}\n" * 100
    done = hooked.run("post-rewrite", "amend", stdin=stdin)
    assert (done.code, done.out, done.err.count("\n")) == (0, stdin, 1)


def test_a_push_with_nothing_to_flush_does_nothing(hooked: Hooked) -> None:
    """An absent or empty spool starts no Python on push."""
    hooked.run("pre-push", "origin", "url")
    hooked.spool.touch()
    hooked.run("pre-push", "origin", "url")
    assert hooked.called() == []


@pytest.mark.parametrize("code", [0, 1, 42, 139])
def test_a_push_never_fails_by_us(hooked: Hooked, code: int) -> None:
    """With facts waiting Python is called once, and no exit code of its stops the push."""
    hooked.answer(f"read line && exit 9; exit {code}")
    remote = hooked.repo.path.parent / "remote"
    run("git", "init", "-q", "--bare", remote, cwd=hooked.repo.path)
    hooked.repo.commit("first")
    hooked.repo.git("push", "-q", remote, "main")
    assert hooked.called() == [["pre-push", ".git"]]


@pytest.mark.parametrize("state", ["nothing", "facts"])
def test_a_kept_pre_push_hook_gets_everything(hooked: Hooked, state: str) -> None:
    """The hook that was there sees git's arguments and stdin untouched, and its exit code decides."""
    if state == "facts":
        hooked.spool.write_text("\nx =1\n")
    hooked.keep("pre-push", 'printf "<%s>" "$@"; cat; exit 3')
    done = hooked.run("pre-push", "origin", "a b", stdin="refs/heads/main 1 refs 2\nno newline")
    assert done == Done(3, "<origin><a b>refs/heads/main 1 refs 2\nno newline", "")


@pytest.mark.parametrize("locale", [None, "", "C.UTF-8", "C", "xx_YY.UTF-8"])
@pytest.mark.parametrize("event", EVENTS)
def test_a_kept_hook_sees_its_own_environment(hooked: Hooked, event: str, locale: str | None) -> None:
    """What git gave us, the locale above all, is what the hook that was there gets; nothing of ours leaks."""
    hooked.mark("clients", "claude", "ag-1")
    hooked.repo.commit("first")
    hooked.choose(event)
    hooked.keep(event, f'"{shutil.which("env")}"')
    env = {"CLAUDECODE": "1", **({} if locale is None else {"LC_ALL": locale})}
    out = hooked.run(event, "amend", env=env, stdin="").out
    seen = dict(line.partition("=")[::2] for line in out.splitlines())
    assert seen.get("LC_ALL") == locale
    assert not [name for name in seen if name.lower().startswith("at_")]


def test_a_kept_hook_decides(hooked: Hooked) -> None:
    """A foreign pre-commit hook stops a person's and an agent's commit as it always did."""
    hooked.mark("clients", "claude", "ag-1")
    hooked.keep("pre-commit", "echo no >&2; exit 1")
    for env in ({}, {"CLAUDECODE": "1"}):
        done = hooked.repo.try_git("commit", "--allow-empty", "-qm", "x", env=env)
        assert (done.code, done.err) == (1, "no\n")


def test_a_refused_commit_reaches_no_other_hook(hooked: Hooked) -> None:
    """Where Python refuses, the hook that was there is not run."""
    hooked.answer("exit 42")
    hooked.keep("pre-commit", "echo ran")
    assert hooked.run("pre-commit", env={"CLAUDECODE": "1"}) == Done(1, "", "")


@pytest.mark.parametrize("event", EVENTS)
def test_a_hook_that_another_tool_moved_aside_runs_what_it_kept(hooked: Hooked, event: str) -> None:
    """Under its new name it still finds the hook it kept, and runs that, unless it is the tool's own."""
    hooked.choose(event)
    legacy = (hooked.hooks / event).rename(hooked.hooks / f"{event}.legacy")
    hooked.keep(event, "cat; exit 3")
    assert run(legacy, "amend", cwd=hooked.repo.path, stdin="x y\n") == Done(3, "x y\n", "")
    hooked.keep(event, "# File generated by something: https://example.org\nexit 3")
    assert run(legacy, "amend", cwd=hooked.repo.path, stdin="x y\n") == Done(0, "", "")
    legacy.rename(hooked.hooks / event)
    assert hooked.run(event, "amend").code == 3


def test_a_kept_hook_that_is_not_executable_is_not_run(hooked: Hooked) -> None:
    """As git itself would not have run it."""
    hooked.keep("post-commit", "echo ran", mode=0o644)
    assert hooked.run("post-commit").out == ""


def test_an_empty_environment_is_enough(hooked: Hooked) -> None:
    """`env -i git commit` records: no HOME, no PATH, no locale."""
    git = shutil.which("git") or ""
    argv = [git, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "--allow-empty", "-qm", "x"]
    subprocess.run(argv, cwd=hooked.repo.path, env={}, check=True)
    assert hooked.lines() == [f"1\tcommit\t{hooked.repo.head()}\thuman\t\t"]


@pytest.mark.skipif("bash" not in PRESENT, reason="only bash takes options from the environment")
def test_inherited_shell_options_do_no_harm(tmp_path: Path) -> None:
    """SHELLOPTS as strict as it gets changes nothing."""
    hooked = hooked_in(tmp_path, "bash")
    hooked.use("ag-1\n", seconds=60)
    hooked.mark("ids", "ag-1", "ag-1")
    env = {"SHELLOPTS": "errexit:nounset:noclobber:noglob:pipefail", "IFS": "/-x"}
    for number in range(2):
        done = hooked.repo.try_git("commit", "--allow-empty", "-qm", str(number), env=env)
        assert done.code == 0, done
    assert [line.split("\t")[3] for line in hooked.lines()] == ["ag-1", "ag-1"]
    hooked.answer("exit 1")
    assert hooked.run("pre-push", env=env).code == 0
    assert hooked.run("pre-commit", env={**env, "AGENT_TRACKER_AGENT": "x"}).code == 0


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize(
    "env",
    [
        pytest.param({}, id="person"),
        pytest.param({"CLAUDECODE": "1"}, id="client"),
        pytest.param({"OPENCODE": "1", "OPENCODE_PID": "7"}, id="another-client"),
        pytest.param({"AGENT_TRACKER_AGENT": "ag-1"}, id="id"),
        pytest.param({"AGENT_TRACKER_AGENT": "front", "CLAUDECODE": "1"}, id="name-in-a-client"),
        pytest.param({"AGENT_TRACKER_AGENT": "Front"}, id="name-with-a-capital"),
        pytest.param({"AGENT_TRACKER_SESSION": "ses_1aB"}, id="session"),
        pytest.param({"AGENT_TRACKER_SESSION": "unknown"}, id="unknown-session"),
        pytest.param({"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "ses_1aB"}, id="session-of-a-client"),
        pytest.param({"CODEX_CI": "1", "CODEX_THREAD_ID": "ses_1aB"}, id="session-of-another-client"),
    ],
)
@pytest.mark.parametrize(
    ("event", "argument"),
    [*((event, "amend") for event in EVENTS), pytest.param("post-merge", "1", id="merge --squash")],
)
def test_the_hot_path_starts_nothing(hooked: Hooked, event: str, argument: str, env: dict[str, str]) -> None:
    """No hook forks or executes anything beyond its own shell, and one line is written."""
    hooked.repo.commit("first")
    hooked.spool.write_text("")
    (hooked.repo.path / ".git/SQUASH_MSG").write_text(f"commit {OLD}\n")
    for kind, key in (("clients", "claude"), ("clients", "opencode"), ("ids", "ag-1"), ("names", "front")):
        hooked.mark(kind, key, "ag-1")
    hooked.mark("mixed", "Front", "ag-1", "Front")
    hooked.begin("ses_1aB", "ag-1")
    hooked.choose(event)
    if event.endswith("-applypatch"):
        hooked.apply_patches()
    trace = hooked.repo.path.parent / "trace"
    argv = ["strace", "-f", "-o", str(trace), "-e", "trace=%process", str(hooked.hooks / event), argument]
    done = run(*argv, cwd=hooked.repo.path, env=env, stdin=f"{OLD} {NEW}\n")
    if "ptrace" in done.err.lower():
        pytest.skip("strace may not trace here")
    calls = re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE)
    assert calls.count("execve") == 1
    assert not {"fork", "vfork", "clone", "clone3", "wait4"} & set(calls)
    assert len(hooked.lines()) == (1 if event.startswith("post-") else 0)


def test_eight_writers_do_not_tear_lines(hooked: Hooked) -> None:
    """Hooks that append at the same time leave whole lines."""
    hooked.repo.commit("first")
    hooked.mark("clients", "claude", "ag-1")
    env = {**os.environ, "CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "s" * 3000}
    hooks = [subprocess.Popen([hooked.hooks / "post-commit"], cwd=hooked.repo.path, env=env) for _ in range(64)]
    assert [hook.wait() for hook in hooks] == [0] * 64
    assert len(hooked.lines()) == 65


def test_the_sources_work_as_they_lie(tmp_path: Path) -> None:
    """In a checkout the hooks source the parts that `install-hooks` pastes in."""
    hooked = hooked_in(tmp_path, min(PRESENT))
    shutil.rmtree(hooked.hooks)
    shutil.copytree(SOURCES, hooked.hooks)
    oid = hooked.repo.commit("first")
    assert hooked.run("post-rewrite", "amend", stdin=f"{OLD} {NEW}\n").code == 0
    assert hooked.lines() == [f"1\tcommit\t{oid}\thuman\t\t", f"1\trewrite\tamend\t{OLD}\t{NEW}"]


def shell_lists() -> Iterator[tuple[str, list[str]]]:
    """Yield the lists of variables that the scripts spell out, by the name of what they are for."""
    texts = {name: text.replace("\\\n", "") for name, text in hook_texts("/python", ["/path"], "/registry").items()}
    for event in (*VALIDATING, *RECORDING):
        values = re.findall(r"^at_values=(.*)", texts[event], re.MULTILINE)[0]
        yield event, re.findall(r"\$\{(\w+)-\}", values)
    marks = re.findall(r"^at_marks=(.*)", texts["agent-tracker-rare.sh"], re.MULTILINE)[0]
    assert re.fullmatch(r"(\$\{(\w+):\+\$\{at_t\}\2=\$\2\})+", marks)
    yield "marks", re.findall(r"\$\{([A-Z_]+):\+", marks)


@pytest.mark.parametrize(("what", "names"), list(shell_lists()))
def test_the_shell_lists_the_tables_variables(what: str, names: list[str]) -> None:
    """Shell and Python know the same identity variables, in the same order."""
    assert names == list(VARIABLES), what


@pytest.mark.parametrize("name", [*EVENTS, *SHARED])
def test_the_scripts_look_like_nobody_elses(name: str) -> None:
    """LF, no carriage return, our id within the first two lines, and no word by which another tool knows its own."""
    text = hook_texts("/python", ["/path"], "/registry")[name].encode()
    assert b"\r" not in text
    assert b"parts/" not in text.split(b"# Notes")[0]
    assert text.startswith(b"#!/bin/sh\n") == (name in EVENTS)
    assert any(line.startswith(b"# agent-tracker-hook 1") for line in text.split(b"\n")[:2])
    assert not re.search(
        rb"LEFTHOOK|OVERCOMMIT|husky|138fd403232d2ddd5efb44317e38bf03|\beval\b|\$\((?!\()|`[^`]*`.*\|", text
    )
    assert bool((SOURCES / name).stat().st_mode & 0o100) == (name in EVENTS)
