"""The registry: what the shell reads of the agents is what the agents are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.files import replace_file
from agent_tracker.registry import read_agents, read_policy, write_agents
from facts import NOW, UNHURRIED, agent, listed

if TYPE_CHECKING:
    from pathlib import Path

    from agent_tracker.records import Agent

ACTIVE = agent("coder", client="claude")
RETIRED = agent("coder", client="claude", model="m-2", transitions=((NOW + 1, False),))
OTHER = agent("coder", client="claude", model="m-3")


def written(registry: Path, *agents: Agent) -> dict[str, str]:
    """Write the agents and return all marker files by `kind/key`."""
    write_agents(str(registry), agents)
    return {
        f"{kind}/{name}": (registry / kind / name).read_text()
        for kind in ("ids", "names", "mixed", "clients")
        for name in listed(registry / kind)
    }


def test_an_agent_has_a_marker_by_id_name_and_client(tmp_path: Path) -> None:
    """Two lines each: id, name."""
    text = f"{ACTIVE.id}\ncoder\n"
    assert written(tmp_path, ACTIVE) == {f"ids/{ACTIVE.id}": text, "names/coder": text, "clients/claude": text}


def test_a_retired_agent_has_none(tmp_path: Path) -> None:
    """The hook takes a marker for a yes without reading it; what to say about the agent is for Python."""
    assert written(tmp_path, RETIRED) == {}


@pytest.mark.parametrize("is_first", [True, False], ids=["active-first", "retired-first"])
def test_the_active_agent_of_a_name_has_the_marker(tmp_path: Path, *, is_first: bool) -> None:
    """A retired namesake does not hide it, whichever is listed first."""
    markers = written(tmp_path, *((ACTIVE, RETIRED) if is_first else (RETIRED, ACTIVE)))
    assert markers["names/coder"] == markers["clients/claude"] == f"{ACTIVE.id}\ncoder\n"
    assert f"ids/{RETIRED.id}" not in markers


@pytest.mark.parametrize(
    "agents", [(ACTIVE, OTHER), (ACTIVE, OTHER, RETIRED), (RETIRED, ACTIVE, OTHER), (ACTIVE, RETIRED, OTHER)]
)
def test_several_active_agents_of_a_name_are_ambiguous(tmp_path: Path, agents: tuple[Agent, ...]) -> None:
    """The shell then leaves it to Python; by their ids they are known all the same."""
    assert set(written(tmp_path, *agents)) == {f"ids/{ACTIVE.id}", f"ids/{OTHER.id}"}


@pytest.mark.parametrize("name", ["a b", "../up", ".hidden", "日本", "a/b", "..", "x\ty", ".Up", "Ä"])
def test_a_name_that_is_no_safe_file_name_has_no_marker(tmp_path: Path, name: str) -> None:
    """It is known by its id alone, and no file is written elsewhere."""
    markers = written(tmp_path / "registry", agent(name))
    assert [key.partition("/")[0] for key in markers] == ["ids"]
    assert listed(tmp_path) == ["registry"]


def test_a_name_with_a_capital_stands_apart(tmp_path: Path) -> None:
    """Where a file system folds case, no other spelling of it finds a marker among the names."""
    upper, lower = agent("Coder"), agent("coder", model="m-2")
    markers = written(tmp_path, upper, lower)
    assert markers["mixed/Coder"] == f"{upper.id}\nCoder\n"
    assert markers["names/coder"] == f"{lower.id}\ncoder\n"
    assert len(markers) == 4


def test_a_marker_is_two_lines_whatever_the_name(tmp_path: Path) -> None:
    """What a name may hold does not become a line of its own."""
    odd = agent("a\nb\\", client="claude")
    assert written(tmp_path, odd)["clients/claude"] == f"{odd.id}\na\\nb\\\\\n"


def test_markers_that_no_longer_hold_are_taken_out(tmp_path: Path) -> None:
    """What was written before is synchronised, not added to."""
    written(tmp_path, ACTIVE, agent("other", client="codex"))
    assert set(written(tmp_path, ACTIVE)) == {f"ids/{ACTIVE.id}", "names/coder", "clients/claude"}
    assert written(tmp_path) == {}


def test_writing_twice_changes_no_file(tmp_path: Path) -> None:
    """A marker that is right stays the very same file."""
    written(tmp_path, ACTIVE)
    before = (tmp_path / "ids" / ACTIVE.id).stat()
    written(tmp_path, ACTIVE)
    after = (tmp_path / "ids" / ACTIVE.id).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_agents_are_read_back(tmp_path: Path) -> None:
    """With their transitions; the standing is a new agent's, which only the store knows better."""
    both = [ACTIVE, RETIRED, agent("tab\there \\ 日本", client="aider")]
    write_agents(str(tmp_path), both)
    assert read_agents(str(tmp_path)) == both


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@UNHURRIED
@given(
    st.lists(st.tuples(TEXT, TEXT, st.lists(st.tuples(st.integers(0, 1 << 33), st.booleans()), max_size=3)), max_size=3)
)
def test_any_agents_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, setups: list[tuple[str, str, list[tuple[int, bool]]]]
) -> None:
    """Names and models are the user's own text."""
    agents = [agent(name, model=model, transitions=tuple(changes)) for name, model, changes in setups]
    registry = str(tmp_path_factory.mktemp("registry"))
    write_agents(registry, agents)
    assert read_agents(registry) == agents


@pytest.mark.parametrize(
    "line",
    ["", "garbage", "a\tb", "a\tb\tc\td\te\tsoon\t", "a\tb\tc\td\te\t1\tx:y", "a\\q\tb\tc\td\te\t1\t", "\x00\udcff"],
)
def test_a_line_that_is_not_ours_is_passed_over(tmp_path: Path, line: str) -> None:
    """The agents around it are read."""
    write_agents(str(tmp_path), [ACTIVE])
    path = tmp_path / "agents"
    path.write_bytes(line.encode("utf-8", "surrogateescape") + b"\n" + path.read_bytes())
    assert read_agents(str(tmp_path)) == [ACTIVE]


def test_no_registry_has_no_agents(tmp_path: Path) -> None:
    """A fresh machine."""
    assert read_agents(str(tmp_path / "gone")) == []


@pytest.mark.parametrize(
    ("of_repository", "of_user", "in_force"),
    [
        ("", "", "enforce"),
        ("warn", "off", "warn"),
        ("", "off", "off"),
        ("nonsense", "warn", "warn"),
        ("nonsense", "nonsense", "enforce"),
        ("enforce", "off", "enforce"),
    ],
)
def test_the_repository_s_policy_goes_before_the_user_s(
    tmp_path: Path, of_repository: str, of_user: str, in_force: str
) -> None:
    """A word that is none does not switch anything off."""
    (tmp_path / "policy-here").write_text(f"{of_repository}\n")
    replace_file(str(tmp_path / "registry" / "policy"), of_user + "\n")
    assert read_policy(str(tmp_path / "policy-here"), str(tmp_path / "registry")) == in_force
