"""Facts into the store: once, in any order, with all that follows from them."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from agent_tracker.store import Store

from agent_tracker.books import Gain
from agent_tracker.errors import RecordError
from agent_tracker.lines import agent_line, parse_line, state_line
from agent_tracker.records import (
    COUNTED,
    HUMAN,
    MICRO,
    PROVISIONAL,
    REWRITTEN,
    UNCLAIMED,
    Agent,
    AgentFact,
    CommitState,
    Fact,
    Marks,
    Standing,
    StateFact,
)
from agent_tracker.registration import Roster, whole
from agent_tracker.stored_facts import known_credits
from agent_tracker.xp import NEW_STANDING
from facts import (
    NOW,
    PROJECT,
    UNHURRIED,
    agent,
    agent_fact,
    apply_all,
    by_agent,
    commit_fact,
    correction,
    loss,
    oid,
    problems,
    project_fact,
    rewrite,
    sighting,
    state_fact,
    store_at,
    undone,
)

CODER = agent_fact("coder", client="claude")
OTHER = agent_fact("other")
FIVE = 5 * MICRO


class Derived(NamedTuple):
    """All that follows from the facts, without what only the order of arrival decides."""

    states: dict[bytes, CommitState]
    agents: list[Agent]


def derived(store: Store) -> Derived:
    """Return everything derived that a reader sees."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        states = {commit.oid: CommitState(commit.status, commit.credits) for commit in snapshot.commits()}
        return Derived(states, [one._replace(updated_at=0) for one in snapshot.agents()])


def standing_of(store: Store, agent_id: str) -> Standing:
    """Return an agent's standing."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        found = snapshot.agent(agent_id)
    assert found is not None
    return found.standing


def state_of(store: Store, name: str) -> CommitState:
    """Return what is derived for a commit."""
    return derived(store).states[oid(name)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that knows one project and two agents."""
    made = store_at(tmp_path)
    apply_all(made, [project_fact(), CODER, OTHER])
    return made


# -- once


def test_a_commit_gives_experience(store: Store) -> None:
    """Five points for a whole commit, and the report says who gained."""
    applied = apply_all(store, [commit_fact("one", marks=by_agent("coder"))])
    assert (applied.commits, applied.gains, applied.unclaimed) == (1, (Gain(CODER.id, 1, FIVE),), ())
    assert standing_of(store, CODER.id) == (1, FIVE, 60, 1, 0, FIVE)
    assert standing_of(store, OTHER.id) == NEW_STANDING
    assert problems(store) == ()


def test_applying_twice_changes_nothing(store: Store) -> None:
    """In the same transaction or a later one."""
    facts: list[Fact] = [
        commit_fact("one", marks=by_agent("coder")),
        commit_fact("two", marks=by_agent("other")),
        rewrite("one", "two", old_lines=1, own_lines=1),
        correction("two", HUMAN),
        sighting("one", by_agent("other")),
        state_fact(OTHER, "retired", NOW + 1),
    ]
    first = apply_all(store, [*facts, *facts])
    before = derived(store)
    second = apply_all(store, facts)
    assert (first.commits, first.rewrites, first.registrations, first.corrections) == (2, 1, 1, 1)
    assert second == (0, 0, 0, 0, (), (), 0, (), ())
    assert derived(store) == before
    assert problems(store) == ()


def test_the_first_of_two_facts_about_one_commit_stays(store: Store) -> None:
    """A commit's id is its oid alone: three clones hold one fact."""
    apply_all(store, [commit_fact("one", marks=by_agent("coder"))])
    applied = apply_all(store, [commit_fact("one", marks=by_agent("other"))])
    assert applied.commits == 0
    assert state_of(store, "one") == (COUNTED, whole(CODER.id))


def test_levels_rise_with_experience(store: Store) -> None:
    """Twenty commits make a hundred points: the second skill point."""
    apply_all(store, [commit_fact(f"c{i}", marks=by_agent("coder")) for i in range(21)])
    assert standing_of(store, CODER.id) == (2, FIVE, 60, 21, 0, 21 * FIVE)


# -- late


def test_a_late_registration_credits_earlier_commits(store: Store) -> None:
    """Unclaimed until then, and reported so once."""
    late = agent_fact("late", at=NOW + 100)
    applied = apply_all(store, [commit_fact("one", marks=by_agent("late"))])
    assert [(one.problem, one.who) for one in applied.unclaimed] == [("unregistered", "late")]
    assert state_of(store, "one").credits == whole(UNCLAIMED)
    applied = apply_all(store, [late])
    assert (applied.registrations, applied.gains) == (1, (Gain(late.id, 1, FIVE),))
    assert state_of(store, "one").credits == whole(late.id)
    assert problems(store) == ()


def test_a_second_agent_of_a_name_takes_what_is_no_longer_clear(store: Store) -> None:
    """What nothing tells apart any more is nobody's."""
    apply_all(store, [commit_fact("one", marks=by_agent("coder"), at=NOW + 5)])
    applied = apply_all(store, [agent_fact("coder", model="m-2", at=NOW + 1)])
    assert applied.gains == (Gain(CODER.id, -1, -FIVE),)
    assert state_of(store, "one").credits == whole(UNCLAIMED)
    assert standing_of(store, CODER.id) == NEW_STANDING
    assert problems(store) == ()


def test_a_retirement_that_arrives_late_counts_from_its_time(store: Store) -> None:
    """Commits from before it keep their credit, later ones lose it."""
    apply_all(store, [commit_fact(name, marks=by_agent("coder"), at=NOW + at) for name, at in (("a", 1), ("b", 9))])
    apply_all(store, [state_fact(CODER, "retired", NOW + 5)])
    assert state_of(store, "a").credits == whole(CODER.id)
    assert state_of(store, "b").credits == whole(UNCLAIMED)
    assert standing_of(store, CODER.id).total_commits == 1
    assert problems(store) == ()


def test_a_state_may_arrive_before_its_registration(tmp_path: Path) -> None:
    """Two spools need not be flushed in order."""
    store = store_at(tmp_path)
    apply_all(store, [project_fact(), state_fact(CODER, "retired", NOW + 5)])
    apply_all(store, [CODER])
    assert not derived(store).agents[0].active
    assert problems(store) == ()


def test_a_rewrite_may_arrive_before_its_commits(store: Store) -> None:
    """Before the one, the other or both: in the end the work counts once."""
    one, two = (
        commit_fact("one", marks=by_agent("coder")),
        commit_fact("two", marks=by_agent("coder"), operation="amend"),
    )
    applied = apply_all(store, [rewrite("one", "two")])
    assert applied.rewrites == 1
    apply_all(store, [two])
    assert standing_of(store, CODER.id).total_commits == 1
    assert apply_all(store, [one]).gains == ()
    assert (state_of(store, "one").status, state_of(store, "two").status) == (REWRITTEN, COUNTED)
    assert problems(store) == ()


def test_a_rebase_is_provisional_until_it_is_mapped(store: Store) -> None:
    """The old commit counts until post-rewrite says what became of it; then the new one does."""
    apply_all(store, [commit_fact("one", marks=by_agent("coder")), commit_fact("two", operation="rebase")])
    assert (state_of(store, "one").status, state_of(store, "two").status) == (COUNTED, PROVISIONAL)
    assert apply_all(store, [rewrite("one", "two", "rebase")]).gains == ()
    assert state_of(store, "one").status == REWRITTEN
    assert state_of(store, "two") == (COUNTED, whole(CODER.id))
    assert problems(store) == ()


def test_a_squash_shares_experience(store: Store) -> None:
    """Three lines to one: 3.75 to 1.25 points, and one commit each."""
    apply_all(
        store,
        [
            commit_fact("a", marks=by_agent("coder")),
            commit_fact("b", marks=by_agent("other")),
            commit_fact("s", operation="rebase"),
            rewrite("a", "s", "rebase", old_lines=3),
            rewrite("b", "s", "rebase", old_lines=1),
        ],
    )
    assert standing_of(store, CODER.id)[3:] == (1, 0, 3_750_000)
    assert standing_of(store, OTHER.id)[3:] == (1, 0, 1_250_000)
    assert problems(store) == ()


# -- put right


@pytest.mark.parametrize("is_before", [True, False], ids=["before-the-commit", "after-it"])
def test_a_correction_moves_the_credit(store: Store, *, is_before: bool) -> None:
    """Whichever arrives first."""
    commit = commit_fact("one", marks=by_agent("coder"))
    for fact in (correction("one", OTHER.id), commit) if is_before else (commit, correction("one", OTHER.id)):
        apply_all(store, [fact])
    assert state_of(store, "one").credits == whole(OTHER.id)
    assert standing_of(store, CODER.id) == NEW_STANDING
    assert standing_of(store, OTHER.id).total_commits == 1
    assert problems(store) == ()


def test_the_latest_correction_holds(store: Store) -> None:
    """By its own time, not by its arrival."""
    apply_all(store, [commit_fact("one"), correction("one", CODER.id, at=NOW + 9)])
    apply_all(store, [correction("one", OTHER.id, at=NOW + 5)])
    assert state_of(store, "one").credits == whole(CODER.id)
    apply_all(store, [correction("one", HUMAN, at=NOW + 10)])
    assert state_of(store, "one").credits == whole(HUMAN)
    assert problems(store) == ()


def test_a_correction_to_an_agent_not_known_yet_waits_for_it(store: Store) -> None:
    """Nobody has the credit meanwhile."""
    late = agent_fact("late")
    apply_all(store, [commit_fact("one", marks=by_agent("coder")), correction("one", late.id)])
    assert state_of(store, "one").credits == whole(UNCLAIMED)
    apply_all(store, [late])
    assert state_of(store, "one").credits == whole(late.id)
    assert problems(store) == ()


def test_a_sighting_after_the_reflog_says_who_it_was(store: Store) -> None:
    """A flush met the commit before its hook had written: the hook's word counts."""
    apply_all(store, [commit_fact("one", marks=(("found", "1"),))])
    assert state_of(store, "one").credits == whole(UNCLAIMED)
    apply_all(store, [sighting("one", by_agent("coder"))])
    assert state_of(store, "one").credits == whole(CODER.id)
    assert problems(store) == ()


def test_an_agent_of_a_sighting_may_be_registered_later(store: Store) -> None:
    """The late word names an agent that comes later still."""
    late = agent_fact("late")
    apply_all(store, [commit_fact("one", marks=(("found", "1"),)), sighting("one", by_agent("late"))])
    apply_all(store, [late])
    assert state_of(store, "one").credits == whole(late.id)
    assert problems(store) == ()


def test_credits_of_agents_that_are_not_known_are_nobody_s() -> None:
    """Several of them are one nobody, and people stay people."""
    known = agent("known")
    credits = (("gone", 400_000), (HUMAN, 300_000), (known.id, 200_000), ("gone too", 100_000))
    assert known_credits(credits, Roster([known])) == ((UNCLAIMED, 500_000), (HUMAN, 300_000), (known.id, 200_000))


# -- details


def test_a_project_s_path_follows_and_its_root_stays(store: Store) -> None:
    """A repository that was moved is the same project."""
    apply_all(store, [project_fact(path=b"/new", root=oid("root"))])
    apply_all(store, [project_fact(path=b"/newer")])
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert [(p.id, p.path, p.root) for p in snapshot.projects()] == [(PROJECT, b"/newer", oid("root"))]


@pytest.mark.parametrize(
    ("subject", "kept"),
    [("x" * 400, "x" * 300), ("é" * 200, "é" * 150), ("a" + "é" * 200, "a" + "é" * 149), ("\udcff", "\udcff")],
)
def test_a_long_subject_is_cut_between_characters(store: Store, subject: str, kept: str) -> None:
    """Three hundred bytes are enough for a line."""
    apply_all(store, [commit_fact("one")._replace(subject=subject)])
    with store.snapshot() as snapshot:
        assert snapshot is not None
        commit = snapshot.commit(oid("one"))
    assert commit is not None
    assert commit.subject == kept


def test_both_lengths_of_oid_live_side_by_side(store: Store) -> None:
    """A SHA-256 repository beside a SHA-1 one, whose oids may begin alike."""
    short, long = oid("x"), oid("x", length=32)
    facts = [commit_fact("x")._replace(oid=one, marks=by_agent("coder")) for one in (short, long)]
    apply_all(store, [*facts, rewrite("x", "y")._replace(old=long, new=oid("y", length=32))])
    apply_all(store, [commit_fact("y", marks=by_agent("coder"))._replace(oid=oid("y", length=32))])
    states = derived(store).states
    assert (states[short].status, states[long].status) == (COUNTED, REWRITTEN)
    assert standing_of(store, CODER.id).total_commits == 2
    assert problems(store) == ()


@pytest.mark.parametrize(
    "agent_id",
    ["caf\udce9", "x" * 1000, "", "a b/../c", "\x1b[2J"],
    ids=["no-utf8", "longer-than-a-key", "empty", "path", "escape"],
)
def test_a_hostile_registration_stops_nobody(store: Store, agent_id: str) -> None:
    """Either its line is refused or it is stored: what comes with it is never held up."""
    facts: list[Fact] = [commit_fact("one")]
    for line in (
        agent_line(CODER._replace(id=agent_id)),
        state_line(state_fact(CODER, "retired", NOW)._replace(agent=agent_id)),
    ):
        with suppress(RecordError):
            said = parse_line(line.strip(b"\n"))
            assert isinstance(said, AgentFact | StateFact)
            facts.append(said)
    apply_all(store, facts)
    assert state_of(store, "one").status == COUNTED


def test_a_time_that_fits_no_32_bits_stops_nobody(store: Store) -> None:
    """A segment's name may give any time up to 2262, the latest that the spool lets through."""
    apply_all(store, [commit_fact("one", marks=by_agent("coder"), at=((1 << 63) - 1) // 10**9)])
    assert state_of(store, "one").credits == whole(CODER.id)
    assert problems(store) == ()


# -- any order

TWIN_1, TWIN_2 = agent_fact("twin", model="m-1", at=NOW), agent_fact("twin", model="m-2", at=NOW + 20)
AGENT_FACTS: list[Fact] = [
    CODER,
    OTHER,
    TWIN_1,
    TWIN_2,
    state_fact(CODER, "retired", NOW + 10),
    state_fact(CODER, "active", NOW + 30),
    state_fact(TWIN_1, "retired", NOW + 15),
]
NAMES = [f"c{i}" for i in range(6)]
MARKS: list[Marks] = [
    (("hook", "1"),),
    (("found", "1"),),
    by_agent("coder"),
    by_agent("twin"),
    (("hook", "1"), ("CLAUDECODE", "1")),
    (("hook", "1"), ("CLAUDECODE", "1"), ("CODEX_CI", "1")),
    (("hook", "1"), ("use", OTHER.id)),
    (("hook", "1"), ("resolved", CODER.id), ("CLAUDECODE", "1")),
    (("found", "1"), ("trailer", "Agent: twin"), ("trailer", "Agent: other")),
]
TIMES = st.sampled_from([NOW + 5, NOW + 12, NOW + 18, NOW + 25, NOW + 40])
COMMITS = st.tuples(
    *(
        st.builds(
            commit_fact,
            st.just(name),
            marks=st.sampled_from(MARKS),
            operation=st.sampled_from(["commit", "amend", "rebase", "arrived"]),
            at=TIMES,
        )
        for name in NAMES
    )
)
REWRITES = st.lists(
    st.builds(
        rewrite,
        st.sampled_from(NAMES),
        st.sampled_from([*NAMES, "unknown"]),
        st.sampled_from(["amend", "rebase", "split"]),
        at=TIMES,
        old_lines=st.integers(0, 5),
        own_lines=st.integers(0, 5),
    ),
    max_size=6,
    unique_by=lambda fact: (fact.old, fact.new),
)
CORRECTIONS = st.lists(
    st.builds(correction, st.sampled_from(NAMES), st.sampled_from([HUMAN, CODER.id, TWIN_2.id, "gone-1"]), at=TIMES),
    max_size=3,
    unique_by=lambda fact: (fact.oid, fact.recorded_ns),
)
SIGHTINGS = st.lists(
    st.builds(sighting, st.sampled_from(NAMES), st.sampled_from(MARKS), at=TIMES),
    max_size=2,
    unique_by=lambda fact: fact.oid,
)
LOSSES = st.lists(
    st.builds(loss, st.sampled_from(NAMES), is_lost=st.booleans(), at=TIMES),
    max_size=4,
    unique_by=lambda fact: (fact.oid, fact.recorded_ns),
)
UNDONE = st.lists(
    st.builds(undone, st.sampled_from(NAMES), st.sampled_from(["", *NAMES]), at=TIMES),
    max_size=2,
    unique_by=lambda fact: (fact.oid, fact.back_to),
)


@st.composite
def orders(draw: st.DrawFn) -> tuple[list[Fact], list[list[Fact]]]:
    """Return facts, and the same facts in another order, cut into transactions."""
    facts: list[Fact] = [
        *draw(st.lists(st.sampled_from(AGENT_FACTS), unique=True)),
        *draw(COMMITS),
        *draw(REWRITES),
        *draw(CORRECTIONS),
        *draw(SIGHTINGS),
        *draw(LOSSES),
        *draw(UNDONE),
    ]
    shuffled = draw(st.permutations(facts))
    cuts = sorted(draw(st.lists(st.integers(0, len(facts)), max_size=3)))
    parts = [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(facts)], strict=True)]
    return facts, parts


@settings(UNHURRIED, max_examples=60)
@given(orders())
def test_the_order_of_arrival_does_not_show(drawn: tuple[list[Fact], list[list[Fact]]]) -> None:
    """The same facts in any order, in one transaction or several, give the same state, and `verify` agrees."""
    facts, parts = drawn
    with tempfile.TemporaryDirectory() as directory:
        at_once, in_parts = store_at(Path(directory, "a")), store_at(Path(directory, "b"))
        apply_all(at_once, [project_fact(), *facts])
        for part in parts:
            apply_all(in_parts, [project_fact(), *part])
            assert problems(in_parts) == ()
        assert problems(at_once) == ()
        assert derived(in_parts) == derived(at_once)
