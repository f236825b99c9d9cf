"""Appending is killed, or fails, at every one of its calls: in the shell's hooks, in Python's, in a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import scenes
from scenes import Act, make_scene, strike, struck_tests

if TYPE_CHECKING:
    from collections.abc import Callable

ACTS = {
    act.name: act
    for act in (
        Act("post-commit", scenes.commit_twice, {"KILL": 8, "ENOSPC": 4, "EIO": 8}, hook="post-commit"),
        Act("post-rewrite", scenes.amend, {"KILL": 5, "ENOSPC": 3, "EIO": 5}, hook="post-rewrite"),
        # A hook that runs before the commit stops it when it dies, which is git's own rule.
        Act("pre-commit", scenes.commit_twice, {"EIO": 6}, hook="pre-commit"),
        Act("post-commit's Python", scenes.commit_oddly, {"KILL": 5, "ENOSPC": 3, "EIO": 5}, hook=scenes.PYTHON),
        Act("grade", scenes.grade, {"KILL": 4, "ENOSPC": 4, "EIO": 4}),
    )
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make the tests."""
    struck_tests(ACTS, metafunc)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_appending_breaks_no_law_wherever_it_is_struck(
    act: str,
    what: str,
    part: int | None,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Callable[[str, object], None],
) -> None:
    """Git goes on, a line is there whole or not at all, and so is the next one."""
    outcome = strike(make_scene(tmp_path_factory.getbasetemp() / "scene"), ACTS[act], what, part)
    record_property("faults", [what, outcome.struck, len(outcome.violations)])
    missed = outcome.tried - outcome.struck
    assert missed <= max(1, outcome.tried // 10), "a process makes other calls each time: many did not strike"
    assert not outcome.violations, "\n".join(outcome.violations)
