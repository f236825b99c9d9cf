"""The replay: whatever is made from whatever, the work counts once and belongs to those who did it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.credit import Node, blend, replay
from agent_tracker.records import (
    ABANDONED,
    COUNTED,
    HUMAN,
    MICRO,
    PROVISIONAL,
    REWRITTEN,
    UNCLAIMED,
    CommitState,
    Credits,
    RewriteFact,
)
from agent_tracker.registration import whole
from facts import UNHURRIED, oid, rewrite

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable


def node(who: str, operation: str = "commit", *, corrected: Credits | None = None) -> Node:
    """Return a commit made by `who`."""
    return Node(operation, whole(who), corrected)


def replayed(nodes: dict[str, Node], *rewrites: RewriteFact, lost: Iterable[str] = ()) -> dict[str, CommitState]:
    """Return the states by the names of the commits."""
    gone = {oid(name) for name in lost}
    states = replay({oid(name): of for name, of in nodes.items()}, rewrites, lost=gone).states
    return {name: states[oid(name)] for name in nodes}


def statuses(states: dict[str, CommitState]) -> dict[str, str]:
    """Return the statuses alone."""
    return {name: state.status for name, state in states.items()}


def counted(states: dict[str, CommitState]) -> set[str]:
    """Return the names of the commits that count."""
    return {name for name, state in states.items() if state.status == COUNTED}


@pytest.mark.parametrize(
    ("operation", "status"),
    [("commit", COUNTED), ("merge", COUNTED), ("amend", COUNTED), ("earlier", COUNTED), ("rebase", PROVISIONAL)],
)
def test_a_commit_by_itself(operation: str, status: str) -> None:
    """Every commit counts, but what a rebase made is not new work."""
    assert replayed({"a": node("x", operation)}) == {"a": CommitState(status, whole("x"))}


def test_an_amend_takes_its_original_s_place() -> None:
    """The new oid counts, the old one does not, and a mere rewording changes no credit."""
    states = replayed({"a": node("x"), "b": node("y", "amend")}, rewrite("a", "b", old_lines=9))
    assert states == {"a": CommitState(REWRITTEN, whole("x")), "b": CommitState(COUNTED, whole("x"))}


def test_an_amend_of_another_s_commit_shares_by_lines() -> None:
    """Three lines of the first, one of the second: three quarters to one."""
    states = replayed({"a": node("x"), "b": node("y", "amend")}, rewrite("a", "b", old_lines=3, own_lines=1))
    assert states["b"].credits == (("x", 750_000), ("y", 250_000))


def test_a_chain_of_amends_counts_once() -> None:
    """Only the last one counts, and each amender keeps a part."""
    states = replayed(
        {"a": node("x"), "b": node("y", "amend"), "c": node("x", "amend"), "d": node("x", "amend")},
        rewrite("a", "b", at=1, old_lines=1, own_lines=1),
        rewrite("b", "c", at=2, old_lines=2),
        rewrite("c", "d", at=3, old_lines=2),
    )
    assert counted(states) == {"d"}
    assert dict(states["d"].credits) == {"x": 500_000, "y": 500_000}


def test_a_squash_of_three_is_shared_by_their_lines() -> None:
    """Each commit weighs as many lines as it brought; a person's part is a person's."""
    states = replayed(
        {"a": node("x"), "b": node("y"), "c": node(HUMAN), "squashed": node(HUMAN, "rebase")},
        rewrite("a", "squashed", "rebase", old_lines=50),
        rewrite("b", "squashed", "rebase", old_lines=30),
        rewrite("c", "squashed", "rebase", old_lines=20),
    )
    assert counted(states) == {"squashed"}
    assert states["squashed"].credits == (("x", 500_000), ("y", 300_000), (HUMAN, 200_000))


def test_a_commit_without_lines_still_weighs_one() -> None:
    """An empty or binary commit is not forgotten in a squash."""
    states = replayed(
        {"a": node("x"), "b": node("y"), "s": node("z", "rebase")},
        rewrite("a", "s", "rebase", old_lines=0),
        rewrite("b", "s", "rebase", old_lines=3),
    )
    assert states["s"].credits == (("y", 750_000), ("x", 250_000))


def test_a_rebase_is_provisional_until_it_says_from_what() -> None:
    """Between the rebased commit and post-rewrite nothing counts twice."""
    nodes = {"a": node("x"), "rebased": node(HUMAN, "rebase")}
    assert statuses(replayed(nodes)) == {"a": COUNTED, "rebased": PROVISIONAL}
    states = replayed(nodes, rewrite("a", "rebased", "rebase", old_lines=4))
    assert states == {"a": CommitState(REWRITTEN, whole("x")), "rebased": CommitState(COUNTED, whole("x"))}


def test_an_amend_during_a_rebase_is_as_provisional_as_what_it_amends() -> None:
    """`edit` in a rebase: picked, amended, then mapped."""
    nodes = {"a": node("x"), "picked": node("y", "rebase"), "amended": node("y", "amend")}
    amend = rewrite("picked", "amended", at=1, old_lines=3, own_lines=1)
    assert counted(replayed(nodes, amend)) == {"a"}
    states = replayed(nodes, amend, rewrite("a", "amended", "rebase", at=2, old_lines=3))
    assert counted(states) == {"amended"}
    assert states["picked"].status == PROVISIONAL
    assert dict(states["amended"].credits)["x"] >= 500_000


def test_undone_by_reset_and_amended_again_counts_once() -> None:
    """Two amends of one commit: its work lives in the later one, and the earlier one is thrown away."""
    states = replayed(
        {"a": node("x"), "first": node("x", "amend"), "second": node("x", "amend")},
        rewrite("a", "first", at=1),
        rewrite("a", "second", at=2),
    )
    assert counted(states) == {"second"}


def test_a_rebase_undone_and_done_again_counts_once() -> None:
    """The reflog led back, then a second rebase made other oids."""
    nodes = {"a": node("x"), "b": node("x"), **{f"{n}{i}": node("h", "rebase") for n in "ab" for i in (1, 2)}}
    states = replayed(nodes, *(rewrite(n, f"{n}{i}", "rebase", at=i) for n in "ab" for i in (1, 2)))
    assert counted(states) == {"a2", "b2"}


def test_one_commit_split_in_two_counts_once() -> None:
    """Two commits made from one: the work is where it went last."""
    states = replayed(
        {"a": node("x"), "b": node("x", "rebase"), "c": node("x", "rebase")},
        rewrite("a", "b", "rebase", at=5),
        rewrite("a", "c", "rebase", at=5),
    )
    assert len(counted(states)) == 1


def test_a_commit_split_by_lines_counts_in_each_part() -> None:
    """Where its lines went to several commits, each of them counts, for whoever wrote the lines."""
    states = replayed(
        {"a": node("x"), "b": node("y"), "c": node("y"), "c2": node("y", "amend")},
        rewrite("a", "b", "split", at=1, old_lines=3),
        rewrite("a", "c", "split", at=2, old_lines=1, own_lines=1),
        rewrite("c", "c2", at=3),
    )
    assert counted(states) == {"b", "c2"}
    assert states["b"].credits == whole("x")
    assert dict(states["c"].credits) == {"x": MICRO // 2, "y": MICRO // 2}


def test_work_lives_where_something_leads() -> None:
    """Of two copies the newer one counts; lost, the older one; all lost, the work is abandoned."""
    nodes = {"a": node("x"), "b": node("y", "cherry-pick"), "c": node("y", "cherry-pick")}
    edges = [rewrite("a", "b", "copy", at=1), rewrite("a", "c", "copy", at=2)]
    assert counted(replayed(nodes, *edges)) == {"c"}
    assert counted(replayed(nodes, *edges, lost=["c"])) == {"b"}
    assert counted(replayed(nodes, *edges, lost=["b", "c"])) == {"a"}
    gone = replayed(nodes, *edges, lost=["a", "b", "c"])
    assert statuses(gone) == {"a": REWRITTEN, "b": REWRITTEN, "c": ABANDONED}
    assert gone["c"].credits == whole("x")


def test_what_arrived_counts_only_as_what_it_was_made_of() -> None:
    """A forge's commit is nobody's by itself."""
    assert replayed({"s": node("", "arrived")})["s"].status == PROVISIONAL
    states = replayed({"a": node("x"), "s": node("", "arrived")}, rewrite("a", "s", "copy"))
    assert (counted(states), states["s"].credits) == ({"s"}, whole("x"))


def test_a_part_thrown_away_takes_no_other_part_along() -> None:
    """A squash of two, one of which was amended later on its own: both works live, each somewhere."""
    states = replayed(
        {"a": node("x"), "b": node("y"), "s": node("h", "rebase"), "a2": node("x", "amend")},
        rewrite("a", "s", "rebase", at=1),
        rewrite("b", "s", "rebase", at=1),
        rewrite("a", "a2", at=2),
    )
    assert counted(states) == {"s", "a2"}


def test_a_correction_wins_over_what_would_be_inherited_and_is_inherited() -> None:
    """What a person said holds for that commit and for all that is made from it."""
    nodes = {"a": node("x"), "b": node("x", "amend", corrected=whole("y")), "c": node("x", "amend")}
    states = replayed(nodes, rewrite("a", "b", at=1, own_lines=5), rewrite("b", "c", at=2, old_lines=5))
    assert states["b"].credits == states["c"].credits == whole("y")
    assert states["a"].credits == whole("x")


def test_a_rewrite_of_an_unknown_commit_is_passed_over() -> None:
    """Until its commit is there, a rewrite says nothing; a rewrite to itself never does."""
    nodes = {"a": node("x")}
    assert counted(replayed(nodes, rewrite("a", "gone"), rewrite("gone", "a"), rewrite("a", "a"))) == {"a"}


def test_an_oid_that_came_back_is_the_one_that_counts() -> None:
    """Amended to and fro until git made the first oid again."""
    states = replayed({"a": node("x"), "b": node("x", "amend")}, rewrite("a", "b", at=1), rewrite("b", "a", at=2))
    assert len(counted(states)) == 1


@pytest.mark.parametrize("length", [2, 3, 4, 7])
def test_a_cycle_has_one_live_commit(length: int) -> None:
    """However long the way back is, the work counts once."""
    names = [f"c{i}" for i in range(length)]
    edges = [rewrite(names[i], names[(i + 1) % length], at=i + 1) for i in range(length)]
    states = replayed({name: node("x") for name in names}, *edges)
    assert len(counted(states)) == 1
    assert all(state.credits == whole("x") for state in states.values())


def test_a_long_chain_is_no_deep_recursion() -> None:
    """Thousands of amends of one commit are replayed."""
    names = [f"c{i}" for i in range(5000)]
    edges = [rewrite(old, new, at=i) for i, (old, new) in enumerate(pairwise(names))]
    assert counted(replayed({name: node("x") for name in names}, *edges)) == {names[-1]}


NAMES = [f"c{i}" for i in range(6)]
NODES = st.fixed_dictionaries(
    {
        name: st.builds(
            Node,
            st.sampled_from(["commit", "amend", "rebase", "cherry-pick", "arrived"]),
            st.sampled_from([whole("x"), whole("y"), whole(HUMAN), whole(UNCLAIMED)]),
            st.sampled_from([None, None, None, whole("z")]),
        )
        for name in NAMES
    }
)
EDGES = st.lists(
    st.builds(
        rewrite,
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.sampled_from(["amend", "split"]),
        at=st.integers(0, 3),
        old_lines=st.integers(-1, 9),
        own_lines=st.integers(0, 9),
    ),
    max_size=12,
    unique_by=lambda edge: (edge.old, edge.new),
)
LOST = st.sets(st.sampled_from(NAMES))


@UNHURRIED
@given(NODES, EDGES, LOST)
def test_any_component_has_a_result(nodes: dict[str, Node], edges: list[RewriteFact], lost: set[str]) -> None:
    """Every commit gets a status, and shares that add to one; nothing that is lost counts."""
    states = replayed(nodes, *edges, lost=lost)
    assert not counted(states) & lost
    assert states.keys() == nodes.keys()
    for state in states.values():
        assert state.status in {COUNTED, REWRITTEN, PROVISIONAL, ABANDONED}
        assert sum(share for _, share in state.credits) == MICRO


@UNHURRIED
@given(NODES, EDGES, LOST)
def test_work_never_vanishes(nodes: dict[str, Node], edges: list[RewriteFact], lost: set[str]) -> None:
    """Where no rebase is unmapped, every component keeps a commit that counts, or one that was abandoned."""
    all_made = {name: of._replace(operation="commit") for name, of in nodes.items()}
    states = replayed(all_made, *edges, lost=lost)
    for members in components(edges):
        assert any(states[name].status in {COUNTED, ABANDONED} for name in members)
        if not members & lost:
            assert any(states[name].status == COUNTED for name in members)


@UNHURRIED
@given(NODES, EDGES, st.randoms(use_true_random=False))
def test_the_order_of_the_rewrites_does_not_show(
    nodes: dict[str, Node], edges: list[RewriteFact], order: random.Random
) -> None:
    """The same facts in any order give the same states."""
    shuffled_nodes, shuffled_edges = list(nodes.items()), list(edges)
    order.shuffle(shuffled_nodes)
    order.shuffle(shuffled_edges)
    assert replayed(dict(shuffled_nodes), *shuffled_edges) == replayed(nodes, *edges)


def components(edges: Iterable[RewriteFact]) -> list[set[str]]:
    """Return the names of the commits that rewrites connect; a commit without rewrites is one by itself."""
    groups = [{name} for name in NAMES]
    names = {oid(name): name for name in NAMES}
    for edge in edges:
        joined = [group for group in groups if names[edge.old] in group or names[edge.new] in group]
        groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return groups


AGENTS = st.sampled_from(["", HUMAN, "a", "b", "c"])


@UNHURRIED
@given(
    st.lists(st.tuples(st.dictionaries(AGENTS, st.integers(1, MICRO), min_size=1), st.integers(1, 10**6)), min_size=1)
)
def test_a_blend_adds_to_a_million(parts: list[tuple[dict[str, int], int]]) -> None:
    """Whatever is blended, the shares are positive, largest first, and add to one."""
    found = blend((blend([(tuple(shares.items()), 1)]), weight) for shares, weight in parts)
    assert sum(share for _, share in found) == MICRO
    assert all(share > 0 for _, share in found)
    assert sorted((share for _, share in found[1:]), reverse=True) == [share for _, share in found[1:]]
    assert found[0][1] == max(share for _, share in found)


@UNHURRIED
@given(st.lists(st.tuples(AGENTS.map(whole), st.integers(1, 100)), min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_the_parts_does_not_show(parts: list[tuple[Credits, int]], order: random.Random) -> None:
    """A blend is a sum."""
    shuffled = list(parts)
    order.shuffle(shuffled)
    assert blend(shuffled) == blend(parts)


def test_what_rounding_leaves_goes_to_the_largest() -> None:
    """Thirds: the first of them by name has a millionth more; nobody named comes before nobody."""
    thirds = blend([(whole("b"), 1), (whole(""), 1), (whole("a"), 1)])
    assert thirds == (("a", 333_334), ("b", 333_333), ("", 333_333))


def test_a_share_too_small_to_be_written_is_dropped() -> None:
    """One line among many millions is no millionth."""
    assert blend([(whole("a"), 10**7), (whole("b"), 1)]) == (("a", MICRO),)
