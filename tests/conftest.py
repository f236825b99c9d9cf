"""Every test runs in a sealed world: its own home, no system configuration, fixed people and no real store."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.config import MAX_SIZE_BYTES
from agent_tracker.errors import AgentTrackerError
from agent_tracker.marks import VARIABLES
from agent_tracker.store import Store, classify
from agent_tracker.verify import verify
from gitrepo import GitRepo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


FAULTS = Path(__file__).resolve().parent / "faults"
LEAST_FAULTS = 1000
"""So many strike at the least where all of them are to."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let every fault strike, and not an even sample: minutes instead of seconds."""
    parser.addoption("--faults", choices=("sample", "all"), default="sample", help="how many faults strike")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what installs whole programs unless it is asked for by its mark."""
    if "clients" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("clients")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many faults of which kind struck, how often a law was broken, and whether too few struck."""
    counts = _faults_struck(terminalreporter)
    for what, (struck, broken) in sorted(counts.items()):
        terminalreporter.write_line(f"faults: {what} struck {struck} times, laws broken {broken} times")
    if _are_too_few(terminalreporter, config):
        total = sum(struck for struck, _ in counts.values())
        terminalreporter.write_line(f"faults: {total} struck; {LEAST_FAULTS} are to strike in a whole run", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a whole run of all faults in which too few of them struck."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and session.exitstatus == pytest.ExitCode.OK and _are_too_few(reporter, session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _faults_struck(reporter: pytest.TerminalReporter) -> dict[str, tuple[int, int]]:
    """Return how many faults of each kind struck, and how many laws they broke."""
    counts: dict[str, tuple[int, int]] = {}
    for report in (*reporter.getreports("passed"), *reporter.getreports("failed")):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "faults":
                before = counts.get(value[0], (0, 0))
                counts[value[0]] = (before[0] + value[1], before[1] + value[2])
    return counts


def _are_too_few(reporter: pytest.TerminalReporter, config: pytest.Config) -> bool:
    """Tell whether all faults of all tests were to strike, and did not."""
    option = config.option
    is_whole = option.faults == "all" and not (option.keyword or option.markexpr or option.collectonly)
    paths = [Path(arg.partition("::")[0]).resolve() for arg in config.args]
    is_whole = is_whole and any(path in (FAULTS, *FAULTS.parents) for path in paths)
    return is_whole and sum(struck for struck, _ in _faults_struck(reporter).values()) < LEAST_FAULTS


@pytest.fixture(autouse=True)
def sealed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test an empty home and an environment in which nothing of the user's or an agent's is left."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("GIT_", "XDG_", "AGENT_TRACKER_", "LC_")) or name in VARIABLES:
            monkeypatch.delenv(name)
    for name, value in {
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_TERMINAL_PROMPT": "0",
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "COLUMNS": "200",
        # No process that outlives the test: those about backups ask for them.
        "AGENT_TRACKER_BACKUP_INTERVAL": "0",
    }.items():
        monkeypatch.setenv(name, value)
    (home / ".gitconfig").write_text(
        "[user]\n\tname = A Person\n\temail = person@example.org\n[init]\n\tdefaultBranch = main\n"
        "[core]\n\teditor = true\n[advice]\n\tdetachedHead = false\n[gc]\n\tauto = 0\n"
    )
    yield home
    assert not (home / ".agent-tracker-escaped").exists()


@pytest.fixture(autouse=True)
def verified(request: pytest.FixtureRequest, sealed: Path) -> Iterator[None]:
    """After the test, find every standing in every store that it left equal to the fold over all facts.

    A test that damages a store, or leaves one that another program would have to read, says so: `damages`.
    """
    places = [sealed]
    if "tmp_path" in request.fixturenames:
        places.append(request.getfixturevalue("tmp_path"))
    yield
    if not request.node.get_closest_marker("damages"):
        for database in _stores(places):
            with Store(str(database), MAX_SIZE_BYTES).snapshot() as snapshot:
                assert snapshot is not None
                assert verify(snapshot).problems == (), database


def _stores(places: list[Path]) -> Iterator[Path]:
    """Yield the LMDB databases of ours in these directories."""
    for place in places:
        for path in place.rglob("*.lmdb"):
            with suppress(AgentTrackerError):
                if path.is_file() and classify(str(path)).kind == "lmdb":
                    yield path


@pytest.fixture
def home(sealed: Path) -> Path:
    """The test's own home directory."""
    return sealed


@pytest.fixture
def make_repo(tmp_path: Path) -> Callable[..., GitRepo]:
    """Return a function that makes a real repository under the test's directory."""

    def make(name: str = "repo") -> GitRepo:
        return GitRepo.init(tmp_path / name)

    return make


@pytest.fixture
def repo(make_repo: Callable[..., GitRepo]) -> GitRepo:
    """An empty repository."""
    return make_repo()
