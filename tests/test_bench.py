from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from agent_tracker.benches.bench import Codec, Figures, Machine, StoreSpeed
from agent_tracker.benches.bench_durability import DurabilityCost
from agent_tracker.benches.bench_hooks import (
    BenchRepository,
    CommitCost,
    FlushCost,
    PushCost,
    RebaseCost,
    added,
    alternate,
    ratio,
)
from agent_tracker.benches.bench_others import SET_UPS, Other, OthersCost, find_program, measure_others
from agent_tracker.benches.bench_reading import ReadingCost
from agent_tracker.benches.throwaway import throwaway
from agent_tracker.errors import AgentTrackerError
from agent_tracker.rendering.bench import as_lines, as_mapping
from gitrepo import agent_tracker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIGURES = Figures(
    Machine(4, 0.5, "A CPU", "Linux 6.1", "ext4", "/bin/dash", "2.39.5", "CPython 3.11.7"),
    "median",
    CommitCost(100, 5.0, 2.0, 2.2, 1.1, (1.05, 1.15), 2.5, 1.25, (1.2, 1.3)),
    PushCost(100, 15.0, 1.0, 1.02, 1.02, (0.9, 1.1), 20, 10, 35.5),
    FlushCost(40, 13.5, 9.0, 1.5),
    StoreSpeed(100_000, 200_000.4, 200.6, 10_000, 500_000.0, 600_000.0),
    (Codec("struct", 1e6, 2e6, 86.0, 0.4), Codec("json", 4e5, 3e5, 131.0, 7.0)),
    17.2,
    RebaseCost(20, 30, 300.0, 30.0, 36.0, 1.2, (1.15, 1.25)),
    OthersCost(
        20,
        5.0,
        2.0,
        2.3,
        1.15,
        (1.1, 1.21),
        (
            Other("pre-commit", "4.1.0", ("pre-commit", "post-commit"), 400.0, 200.0, (190.0, 210.0), ""),
            Other("husky", "", (), 0.0, 0.0, (0.0, 0.0), "absent"),
        ),
    ),
    ReadingCost(20, 1000, 200_000, 80.25, 120.5, 1.53, 3.25, 35.75, 4.5),
    DurabilityCost(100_000, 0.45, 0.9, 0.22, 2.25),
)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where this test's temporary files go, empty."""
    path = tmp_path / "tmp"
    path.mkdir()
    return path


def numbers(value: Any) -> list[float]:  # noqa: ANN401 -- JSON
    """Return every number in a JSON value."""
    if isinstance(value, dict):
        return [n for part in value.values() for n in numbers(part)]
    if isinstance(value, list):
        return [n for part in value for n in numbers(part)]
    return [value] if isinstance(value, int | float) else []


def test_it_measures_for_real_and_leaves_nothing(temporary: Path, home: Path) -> None:
    """`bench --json` has every figure; nothing remains in the home or elsewhere, and a pipe sees no progress."""
    options = ("--commits", "3", "--facts", "200", "--json")
    done = agent_tracker("bench", *options, cwd=temporary.parent, env={"TMPDIR": str(temporary)})
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["version"] == 1
    figures = found["figures"]
    assert shape(figures) == shape(as_mapping(FIGURES))
    assert figures["commit"]["rounds"] == 3
    assert figures["push"]["flushed_commits"] == 10
    assert figures["rebase"]["rebased_commits"] == 30
    assert [other["name"] for other in figures["others"]["others"]] == list(SET_UPS)
    assert figures["store"]["facts"] == 200
    assert (figures["reading"]["agents"], figures["reading"]["commits"]) == (2, 400)
    assert [codec["name"] for codec in figures["codecs"]] == ["struct", "json", "msgspec"]
    always = (
        "import_ms",
        "status_ms",
        "status_ratio",
        "no_hooks_ms",
        "no_hook_ms",
        "nothing_to_do_ms",
        "import_lmdb_ms",
        "facts_per_s",
        "commit_reads_per_s",
    )
    present = {name: value for part in figures.values() if isinstance(part, dict) for name, value in part.items()}
    assert all(present[name] > 0 for name in always)
    assert all(abs(number) < 1e12 for number in numbers(figures))
    assert list(temporary.iterdir()) == []
    assert [entry.name for entry in home.iterdir()] == [".gitconfig"]


def shape(value: object) -> object:
    """Return the names in a JSON value, a list's by its first item."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(value[0]) if value else None]
    return None


def test_people_read_every_figure() -> None:
    """The lines hold the machine, the baselines by name, each ratio and each rate, in 100 columns."""
    lines = as_lines(FIGURES)
    text = "\n".join(lines)
    for words in (
        "4 CPUs (A CPU)",
        "ext4",
        "/bin/dash",
        "git 2.39.5",
        "CPython 3.11.7",
        "two empty sh hooks",
        "baseline",
    ):
        assert words in text
    for figure in (
        "1.10 x (1.05 to 1.15)",
        "1.25 x (1.20 to 1.30)",
        "35.50",
        "1.50 x",
        "1.53 x",
        "with 1,000 agents and 200,000 commits",
        "35.75",
        "200,000",
        "500,000",
        "600,000",
        "1.20 x (1.15 to 1.25)",
        "1.15 x (1.10 to 1.21)",
        "pre-commit 4.1.0              400.00  200.00 x",
        "husky                              -  absent",
    ):
        assert figure in text
    assert "busy" not in text
    assert max(map(len, lines)) <= 100


def test_a_busy_machine_is_mentioned() -> None:
    """Figures that others disturbed say so."""
    busy = FIGURES._replace(machine=FIGURES.machine._replace(load=3.5))
    assert any("busy (load 3.5)" in line for line in as_lines(busy))


def test_each_kind_runs_once_a_round() -> None:
    """The kinds alternate, and the rounds that warm up are left out of the times."""
    called: list[str] = []

    def kind(name: str, took_s: float) -> Callable[[], float]:
        def run() -> float:
            called.append(name)
            return took_s

        return run

    times = alternate(5, {"a": kind("a", 0.001), "b": kind("b", 0.002)})
    assert times == {"a": [1.0] * 5, "b": [2.0] * 5}
    rounds = [called[i : i + 2] for i in range(0, len(called), 2)]
    assert all(sorted(pair) == ["a", "b"] for pair in rounds)
    assert ["b", "a"] in rounds
    assert ["a", "b"] in rounds


def test_the_estimate_is_the_median_difference_in_a_round() -> None:
    """A slow round moves neither the difference nor the ratio."""
    times = {"none": [1.0, 50.0, 2.0], "empty": [3.0, 52.0, 4.0], "ours": [4.0, 53.0, 5.0]}
    assert added(times, "empty", "none") == 2.0
    assert ratio(times, "ours") == (1.5, (1.5, 1.5))


def test_noise_larger_than_the_baseline_gives_no_ratio() -> None:
    """Where empty hooks seem to cost nothing, nothing is divided by it."""
    times = {"none": [2.0], "empty": [1.0], "ours": [3.0]}
    assert ratio(times, "ours") == (0.0, (0.0, 0.0))


def test_hooks_that_do_nothing_are_not_measured(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fast because broken is an error, not a figure."""
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with throwaway("t-") as place:
        ours = BenchRepository(place, "ours", is_ours=True)
        ours.commit()
        ours.expect_spooled(1)
        empty = BenchRepository(place, "empty", empty_hooks=("post-commit",))
        empty.commit()
        with pytest.raises(AgentTrackerError, match="recorded 0 of 1 commits"):
            empty.expect_spooled(1)


def test_without_git_it_says_so(temporary: Path) -> None:
    """One line and a hint, exit code 1."""
    done = agent_tracker("bench", cwd=temporary.parent, env={"PATH": str(temporary)})
    assert done.code == 1
    assert done.err.startswith("error: cannot find git on the PATH\nhint: ")


@pytest.mark.parametrize("option", ["--commits", "--facts"])
def test_too_few_is_a_usage_error(temporary: Path, option: str) -> None:
    """A median needs something to be taken of."""
    assert agent_tracker("bench", option, "1", cwd=temporary.parent).code == 2


@pytest.mark.parametrize("name", SET_UPS)
def test_a_manager_that_is_here_is_measured(temporary: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With its real program on the PATH, a commit goes through its hooks and has a time of its own."""
    if not find_program(name, str(temporary)):
        pytest.skip(f"{name} is not installed")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with throwaway("t-") as place:
        others = measure_others(place, 3, str(temporary)).others
    (found,) = (other for other in others if other.name == name)
    assert found.trouble == ""
    assert found.version[0].isdigit()
    assert "post-commit" in found.hooks
    assert found.add_ms != 0


def test_absent_managers_are_said_to_be_absent(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours is measured all the same, in its own right."""
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    git = temporary / "bin/git"
    git.parent.mkdir()
    git.symlink_to(shutil.which("git") or "git")
    monkeypatch.setenv("PATH", str(git.parent))
    monkeypatch.setattr("sys.executable", str(temporary / "bin/python3"))
    with throwaway("t-") as place:
        cost = measure_others(place, 3, str(temporary))
    assert [other.trouble for other in cost.others] == ["absent"] * len(SET_UPS)
    assert cost.no_hooks_ms > 0


def test_a_manager_that_cannot_be_set_up_does_not_stop_the_rest(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of that name that fails is reported with its last line."""
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("PATH", f"{temporary / 'bin'}:{os.environ['PATH']}")
    (temporary / "bin").mkdir()
    program = temporary / "bin/lefthook"
    program.write_text("#!/bin/sh\necho broken here; exit 3\n")
    program.chmod(0o755)
    with throwaway("t-") as place:
        found = {other.name: other for other in measure_others(place, 3, str(temporary)).others}
    assert "broken here" in found["lefthook"].trouble


def test_a_program_is_found_in_node_modules(tmp_path: Path) -> None:
    """Not only on the PATH."""
    program = tmp_path / "node_modules/.bin/some-hook-manager"
    program.parent.mkdir(parents=True)
    assert find_program("some-hook-manager", str(tmp_path)) == ""
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_program("some-hook-manager", str(tmp_path)) == str(program)
