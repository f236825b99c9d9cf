"""A flush is killed, or fails, at every one of its calls: by hand, in a push, with no store, with much to delete."""

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
        Act("flush", scenes.flush, {"KILL": 14, "ENOSPC": 8, "EIO": 14}),
        Act("first flush", scenes.flush, {"KILL": 8, "ENOSPC": 6, "EIO": 8}, is_stored=False),
        Act(
            "flush that deletes",
            scenes.flush_later,
            {"KILL": 3, "ENOSPC": 2, "EIO": 3},
            always=("unlink", "agent-tracker/seg-"),
        ),
        Act("push", scenes.push_all, {"KILL": 5, "ENOSPC": 5, "EIO": 5}, hook=scenes.PYTHON),
    )
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make the tests."""
    struck_tests(ACTS, metafunc)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_flush_breaks_no_law_wherever_it_is_struck(
    act: str,
    what: str,
    part: int | None,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Callable[[str, object], None],
) -> None:
    """The next flush brings in what this one did not, once."""
    outcome = strike(make_scene(tmp_path_factory.getbasetemp() / "scene"), ACTS[act], what, part)
    record_property("faults", [what, outcome.struck, len(outcome.violations)])
    missed = outcome.tried - outcome.struck
    assert missed <= max(1, outcome.tried // 10), "a process makes other calls each time: many did not strike"
    assert not outcome.violations, "\n".join(outcome.violations)
