"""Grades, bugs, sessions, pushes and rules: what follows from them, in any order of arrival."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_tracker import journal_tables
from agent_tracker.books import Milestone
from agent_tracker.errors import RecordError
from agent_tracker.journal import GRADES, SIDES, BindingFact, BugFact, ForgetFact, GradeFact
from agent_tracker.lines import fact_line, parse_line
from agent_tracker.records import HUMAN, MICRO, Agent, Fact, Marks, Standing, StateFact
from facts import (
    NOW,
    PROJECT,
    UNHURRIED,
    agent_fact,
    apply_all,
    binding,
    bug,
    by_agent,
    commit_fact,
    correction,
    fact_id,
    grade,
    loss,
    oid,
    problems,
    project_fact,
    pulse,
    push,
    reading,
    rewrite,
    rules_fact,
    session,
    sighting,
    state_fact,
    store_at,
    undone,
    withdrawal,
)

if TYPE_CHECKING:
    from agent_tracker.derived import Ledger, Place, SessionState, Tally
    from agent_tracker.store import Store
    from agent_tracker.tables import Snapshot

CODER = agent_fact("coder", at=NOW - 100)
OTHER = agent_fact("other", at=NOW - 100)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that knows one project and two agents."""
    made = store_at(tmp_path)
    apply_all(made, [project_fact(), CODER, OTHER])
    return made


def standing_of(store: Store, fact: object = CODER) -> Standing:
    """Return an agent's standing."""
    agent_id = getattr(fact, "id", "")
    found = reading(store, lambda snapshot: snapshot.agent(agent_id))
    assert found is not None
    return found.standing


def xp(store: Store) -> float:
    """Return all that the first agent earned, in points."""
    return standing_of(store).earned_micro / MICRO


def commits(count: int, *, at: int = NOW) -> list[Fact]:
    """Return commits by the first agent, one a second."""
    return [commit_fact(f"c{i}", marks=by_agent("coder"), at=at + i) for i in range(count)]


# -- grades


@pytest.mark.parametrize(("word", "score"), [("bad", 59), ("neutral", 61), ("good", 62), ("excellence", 65)])
def test_a_grade_moves_the_score(store: Store, word: str, score: int) -> None:
    """Each word by its own amount."""
    apply_all(store, [*commits(1), grade("g", "c0", word)])
    assert standing_of(store).communication_score == score
    assert problems(store) == ()


def test_both_sides_grade_a_commit(store: Store) -> None:
    """From -2 to +10."""
    apply_all(store, [*commits(1), grade("g", "c0", "excellence"), grade("h", "c0", "excellence", side="agent")])
    assert standing_of(store).communication_score == 70


def test_a_later_grade_of_the_same_side_replaces_the_earlier(store: Store) -> None:
    """The earlier one stays in the record."""
    apply_all(store, [*commits(1), grade("g", "c0", "bad"), grade("h", "c0", "excellence", at=NOW + 9)])
    assert standing_of(store).communication_score == 65
    kept = reading(store, lambda snapshot: journal_tables.facts_about(snapshot, GradeFact, oid("c0")))
    assert {fact.grade for fact in kept} == {"bad", "excellence"}


def test_the_score_is_never_below_zero(store: Store) -> None:
    """What went below is not owed."""
    bad = [grade(f"g{i}", f"c{i}", "bad", at=NOW + i) for i in range(70)]
    apply_all(store, [*commits(71), *bad])
    assert standing_of(store).communication_score == 0
    apply_all(store, [grade("last", "c70", "good", at=NOW + 99)])
    assert standing_of(store).communication_score == 2


def test_a_graded_commit_earns_one_point_once(store: Store) -> None:
    """Whoever graded it, and however often."""
    apply_all(
        store, [*commits(1), grade("g", "c0"), grade("h", "c0", side="agent"), grade("i", "c0", "bad", at=NOW + 1)]
    )
    assert xp(store) == 6


def test_a_grade_follows_an_amend(store: Store) -> None:
    """The work is graded, not the oid."""
    apply_all(store, [*commits(1), grade("g", "c0")])
    apply_all(store, [commit_fact("new", marks=by_agent("coder"), operation="amend"), rewrite("c0", "new")])
    kept = reading(store, lambda snapshot: [subject for subject, _ in journal_tables.graded_subjects(snapshot)])
    assert kept == [bytes([20]) + oid("new")]
    assert (standing_of(store).communication_score, xp(store)) == (62, 6)


def test_a_grade_follows_a_correction_of_the_credit(store: Store) -> None:
    """It is the other agent's then; a person's commit has none."""
    apply_all(store, [*commits(1), grade("g", "c0")])
    apply_all(store, [correction("c0", OTHER.id)])
    assert (standing_of(store).communication_score, standing_of(store, OTHER).communication_score) == (60, 62)
    apply_all(store, [correction("c0", HUMAN, at=NOW + 1)])
    assert standing_of(store, OTHER).communication_score == 60
    assert problems(store) == ()


def test_a_session_without_a_commit_can_be_graded(store: Store) -> None:
    """It moves the score of the session's agent."""
    apply_all(store, [session("s", CODER.id), grade("g", session="s", word="excellence")])
    assert (standing_of(store).communication_score, xp(store)) == (65, 0)
    assert problems(store) == ()


# -- bugs


def test_a_bug_takes_a_skill_point(store: Store) -> None:
    """And is counted; XP stays."""
    apply_all(store, commits(21))
    assert standing_of(store)[:2] == (2, 5 * MICRO)
    apply_all(store, [bug("b", "c0", at=NOW + 99)])
    assert standing_of(store)[:2] == (1, 5 * MICRO)
    assert standing_of(store).total_bugs == 1


def test_an_agent_without_skill_points_is_halted_until_it_is_resumed(store: Store) -> None:
    """It is announced once; while halted it earns, but rises no level."""
    halted = apply_all(store, [*commits(1), bug("b", "c0", at=NOW + 9)])
    assert halted.milestones == (Milestone(CODER.id, "halted", 0),)
    more = [commit_fact(f"more{i}", marks=by_agent("coder"), at=NOW + 10) for i in range(25)]
    assert apply_all(store, more).milestones == ()
    assert standing_of(store)[:2] == (0, 130 * MICRO)
    resumed = apply_all(store, [StateFact(CODER.id, "active", (NOW + 20) * 10**9)])
    assert resumed.milestones == (Milestone(CODER.id, "resumed", 1),)
    level = apply_all(store, [commit_fact("next", marks=by_agent("coder"), at=NOW + 21)])
    assert level.milestones == (Milestone(CODER.id, "level", 2),)
    assert standing_of(store)[:2] == (2, 35 * MICRO)
    assert problems(store) == ()


def test_a_withdrawn_bug_never_was(store: Store) -> None:
    """Whether the withdrawal arrives before or after."""
    apply_all(store, [*commits(21), bug("b", "c0", at=NOW + 50)])
    apply_all(store, [withdrawal("b", at=NOW + 60)])
    assert standing_of(store)[:2] == (2, 5 * MICRO)
    apply_all(store, [withdrawal("early"), bug("early", agent=CODER.id)])
    assert standing_of(store).total_bugs == 0
    assert problems(store) == ()


def test_a_bug_reported_late_counts_from_its_time(store: Store) -> None:
    """A standing is the fold in the order of time, not of arrival."""
    apply_all(store, commits(25))
    apply_all(store, [bug("b", agent=CODER.id, at=NOW + 10)])
    in_order = standing_of(store)
    # Halted at the eleventh commit: no level since.
    assert in_order[:2] == (0, 125 * MICRO)
    assert problems(store) == ()


def test_a_rebase_after_a_bug_does_not_halt(store: Store) -> None:
    """Work counts from when it was first committed, whenever it was rewritten."""
    apply_all(store, [*commits(21), bug("b", agent=CODER.id, at=NOW + 50)])
    assert standing_of(store).skill_points == 1
    rebased = [commit_fact(f"r{i}", marks=by_agent("coder"), operation="rebase", at=NOW + 90) for i in range(21)]
    apply_all(store, [*rebased, *(rewrite(f"c{i}", f"r{i}", "rebase", at=NOW + 91) for i in range(21))])
    assert standing_of(store)[:2] == (1, 5 * MICRO)
    assert standing_of(store).total_commits == 21
    assert problems(store) == ()


def test_facts_that_share_an_id_are_kept_apart_by_what_they_are_about(store: Store) -> None:
    """An id drawn twice, or forged, in another commit."""
    apply_all(
        store, [*commits(30), bug("b", "c0", at=NOW + 50), grade("g", "c0", "bad"), grade("g", "c1", "excellence")]
    )
    apply_all(store, [bug("b", "c1", at=NOW + 51), correction("c1", OTHER.id, at=NOW + 52)])
    assert (standing_of(store).total_bugs, standing_of(store, OTHER).total_bugs) == (1, 1)
    assert (standing_of(store).communication_score, standing_of(store, OTHER).communication_score) == (59, 65)
    assert problems(store) == ()


def test_a_sum_that_fits_no_number_stops_nobody(store: Store) -> None:
    """Hostile counts under hostile rules."""
    apply_all(store, [session("s", CODER.id), rules_fact(toolXp=10**15, at=NOW - 5)])
    apply_all(store, [pulse(f"p{i}", "s", tools=10_000, at=NOW + i) for i in range(9)])
    assert standing_of(store).earned_micro == 1 << 58
    assert problems(store) == ()


# -- sessions, pushes


def test_tools_and_commands_earn(store: Store) -> None:
    """One and two points."""
    apply_all(store, [session("s", CODER.id), pulse("p", "s", tools=3, commands=2)])
    assert xp(store) == 7


def test_pulses_may_arrive_before_their_session_and_its_agent(tmp_path: Path) -> None:
    """They earn once both are known."""
    made = store_at(tmp_path)
    apply_all(made, [project_fact(), pulse("p", "s", tools=3)])
    apply_all(made, [session("s", CODER.id)])
    apply_all(made, [CODER, pulse("q", "s", commands=1)])
    assert xp(made) == 5
    assert problems(made) == ()


def test_what_a_session_uses_earns_for_whoever_it_is_bound_to_then(tmp_path: Path) -> None:
    """Before a binding the one who began it, after it the other, in whatever order it is told."""
    told = [CODER, OTHER, session("s", CODER.id), binding("s", OTHER.id, at=NOW + 5), *pulses_around(NOW + 5)]
    for number, facts in enumerate((told, told[::-1], [*told[3:], *told[:3]])):
        made = store_at(tmp_path / str(number))
        apply_all(made, [project_fact()])
        for fact in facts:
            apply_all(made, [fact])
        assert (xp(made), standing_of(made, OTHER).earned_micro) == (1, 10 * MICRO)
        assert problems(made) == ()


def pulses_around(at: int) -> list[Fact]:
    """Return a sign of life before that time, with one tool, and one at it, with ten."""
    return [pulse("p", "s", tools=1, at=at - 1), pulse("q", "s", tools=10, at=at)]


def test_a_push_earns_for_the_agent_of_the_commit_that_was_pushed(store: Store) -> None:
    """Once for each commit; nothing for one that nobody knows."""
    apply_all(store, [*commits(1), push("c0"), push("c0", at=NOW + 5), push("unknown")])
    assert xp(store) == 15
    apply_all(store, [correction("c0", OTHER.id)])
    assert (xp(store), standing_of(store, OTHER).earned_micro) == (0, 15 * MICRO)
    assert problems(store) == ()


def test_a_session_ends_and_lives_again(store: Store) -> None:
    """A dead one that gives a sign of life was not dead; an ended one needs to be resumed."""
    apply_all(store, [session("s", CODER.id), pulse("a", "s", at=NOW + 1), pulse("b", "s", "interrupted", at=NOW + 9)])

    def state() -> SessionState:
        found = reading(store, lambda snapshot: journal_tables.session_state(snapshot, "s"))
        assert found is not None
        return found

    assert (state().end, state().ended_ns) == ("interrupted", (NOW + 1) * 10**9)
    apply_all(store, [pulse("c", "s", at=NOW + 10)])
    assert (state().end, state().ended_ns) == ("", 0)
    apply_all(store, [pulse("d", "s", "end", at=NOW + 11), pulse("e", "s", at=NOW + 12)])
    assert (state().end, state().ended_ns) == ("end", (NOW + 11) * 10**9)
    apply_all(store, [pulse("f", "s", "resume", at=NOW + 13)])
    assert state().end == ""
    assert problems(store) == ()


# -- rules


def test_other_rules_hold_from_their_time_on(store: Store) -> None:
    """What was earned before stays as it is."""
    apply_all(store, [*commits(2), rules_fact(at=NOW + 10, commitXp=7, gradeGood=20)])
    apply_all(store, [commit_fact("late", marks=by_agent("coder"), at=NOW + 11), grade("g", "late", at=NOW + 12)])
    assert (xp(store), standing_of(store).communication_score) == (18, 80)
    assert problems(store) == ()


def test_rules_for_all_hold_for_what_was_before(store: Store) -> None:
    """That is what deriving anew is for."""
    apply_all(store, [*commits(2), rules_fact(at=NOW + 10, commitXp=7)])
    apply_all(store, [rules_fact(at=NOW + 20, is_for_all=True, commitXp=7)])
    assert xp(store) == 14
    assert problems(store) == ()


# -- texts that must go


def test_a_text_that_must_go_is_taken_out_and_stays_out(store: Store) -> None:
    """Whether it came before the word to forget it or comes after."""
    secret = grade("g", "c0", note="hunter2")
    apply_all(store, [*commits(1), secret])
    apply_all(store, [ForgetFact(fact_id("g"), NOW), ForgetFact(fact_id("b"), NOW)])
    apply_all(store, [bug("b", "c0", note="hunter2", at=NOW + 9), secret])

    def notes(snapshot: Snapshot) -> list[str]:
        grades = [fact.note for fact in journal_tables.facts(snapshot, GradeFact)]
        return grades + [fact.note for fact in journal_tables.facts(snapshot, BugFact)]

    assert reading(store, notes) == ["", ""]
    assert standing_of(store)[:3] == (0, 6 * MICRO, 62)
    assert problems(store) == ()


@pytest.mark.parametrize("target", ["", " ", "ab", "ABCDEF012345", "0123456789abcd", "g" * 12])
def test_only_a_whole_id_can_be_forgotten(target: str) -> None:
    """A line that would take all texts along, or those of half an id, is no fact."""
    with pytest.raises(RecordError):
        parse_line(fact_line(ForgetFact(target, NOW)).strip(b"\n"))


# -- any order


class Everything(NamedTuple):
    """All that follows from the facts, without what only the order of arrival decides."""

    agents: list[Agent]
    ledgers: dict[str, Ledger]
    tallies: dict[tuple[str, int], Tally]
    graded: dict[bytes, tuple[str, object]]
    sessions: dict[bytes, SessionState]


def everything(store: Store) -> Everything:
    """Return everything derived; agents by id, since their numbers follow the order of arrival."""

    def read(snapshot: Snapshot) -> Everything:
        def name(place: Place) -> tuple[str, int]:
            return (str(place.agent) if place.agent > 1 << 30 else snapshot.agent_id(place.agent), place.project)

        return Everything(
            [agent._replace(updated_at=0) for agent in snapshot.agents()],
            {
                snapshot.agent_id(number): kept._replace(last_ns=0)
                for number, kept in journal_tables.ledgers(snapshot).items()
                if any(kept.sums) or kept.boundaries
            },
            {name(place): tally for place, tally in journal_tables.tallies(snapshot).items()},
            {about: (name(each.place)[0], each.grades) for about, each in journal_tables.graded_subjects(snapshot)},
            journal_tables.session_states(snapshot),
        )

    return reading(store, read)


def by_session(name: str) -> Marks:
    """Return the marks of a commit that says in which session it was made."""
    return (("hook", "1"), ("AGENT_TRACKER_SESSION", name))


def in_client(name: str) -> Marks:
    """Return the marks of a commit that was made in a client's session."""
    return (("hook", "1"), ("CLAUDECODE", "1"), ("CLAUDE_CODE_SESSION_ID", name))


NAMES = [f"c{i}" for i in range(5)]
TIMES = st.integers(NOW, NOW + 30)
FIRST_TWIN = agent_fact("twin", client="claude", at=NOW - 100)
SECOND_TWIN = agent_fact("twin", client="claude", at=NOW - 100, model="model-2")
AGENTS: list[Fact] = [
    CODER,
    OTHER,
    FIRST_TWIN,
    SECOND_TWIN,
    state_fact(FIRST_TWIN, "retired", NOW + 12),
    state_fact(CODER, "retired", NOW + 10),
    state_fact(CODER, "active", NOW + 20),
    state_fact(OTHER, "active", NOW + 15),
]
FACTS = st.one_of(
    st.builds(
        commit_fact,
        st.sampled_from(NAMES),
        marks=st.sampled_from(
            [
                by_agent("coder"),
                by_agent("other"),
                (("hook", "1"),),
                by_session("s"),
                by_session("t"),
                in_client("s"),
                in_client("t"),
            ]
        ),
        operation=st.sampled_from(["commit", "rebase"]),
        at=TIMES,
    ),
    st.builds(
        rewrite,
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.sampled_from(["amend", "split"]),
        at=TIMES,
        old_lines=st.integers(0, 3),
        own_lines=st.integers(0, 3),
    ),
    st.builds(
        sighting,
        st.sampled_from(NAMES),
        st.sampled_from([by_session("s"), in_client("t"), by_agent("other")]),
        at=TIMES,
    ),
    st.builds(correction, st.sampled_from(NAMES), st.sampled_from([HUMAN, CODER.id, OTHER.id]), at=TIMES),
    st.builds(loss, st.sampled_from(NAMES), is_lost=st.booleans(), at=TIMES),
    st.builds(undone, st.sampled_from(NAMES), st.sampled_from(["", *NAMES]), at=TIMES),
    st.builds(
        grade,
        st.sampled_from([f"g{i}" for i in range(6)]),
        st.sampled_from(NAMES),
        st.sampled_from(GRADES),
        side=st.sampled_from(SIDES),
        at=TIMES,
    ),
    st.builds(
        grade, st.sampled_from(["s1", "s2"]), st.just(""), st.sampled_from(GRADES), session=st.just("s"), at=TIMES
    ),
    st.builds(bug, st.sampled_from(["b1", "b2"]), st.sampled_from(NAMES), at=TIMES),
    st.builds(bug, st.sampled_from(["b3", "b4"]), agent=st.sampled_from([CODER.id, OTHER.id]), at=TIMES),
    st.builds(withdrawal, st.sampled_from(["b1", "b3"]), at=TIMES),
    st.builds(
        session,
        st.sampled_from(["s", "t"]),
        st.sampled_from([CODER.id, OTHER.id, FIRST_TWIN.id, SECOND_TWIN.id]),
        at=TIMES,
    ),
    st.builds(
        binding,
        st.sampled_from(["s", "t"]),
        st.sampled_from([CODER.id, OTHER.id, FIRST_TWIN.id, SECOND_TWIN.id]),
        at=TIMES,
    ),
    st.builds(
        pulse,
        st.sampled_from([f"p{i}" for i in range(5)]),
        st.sampled_from(["s", "t"]),
        st.sampled_from(["beat", "idle", "end", "interrupted", "resume"]),
        tools=st.integers(0, 60),
        commands=st.integers(0, 60),
        at=TIMES,
    ),
    st.builds(push, st.sampled_from(NAMES), at=TIMES),
    st.builds(
        rules_fact,
        at=TIMES,
        is_for_all=st.booleans(),
        commitXp=st.sampled_from([5, 70]),
        bugSp=st.sampled_from([1, 2]),
        gradeBad=st.sampled_from([-1, -50]),
    ),
)


def identity(fact: Fact) -> tuple[object, ...]:
    """Return what two facts must not have in common: the first of them to arrive would be the one that stays."""
    match fact:
        case BindingFact():
            return (type(fact), fact.session, fact.recorded_ns)
        case (str(), *_):
            return (type(fact), fact[0])
    values = fact._asdict()
    return (type(fact), *(values.get(name) for name in ("oid", "old", "new", "back_to", "is_for_all")), *times(fact))


def times(fact: Fact) -> tuple[object, ...]:
    """Return the time of a fact of which there may be several about one commit."""
    is_timed = type(fact).__name__ in {"CreditFact", "LossFact", "RulesFact"}
    return (fact._asdict()["recorded_ns"],) if is_timed else ()


@st.composite
def orders(draw: st.DrawFn) -> tuple[list[Fact], list[list[Fact]]]:
    """Return facts, and the same facts in another order, cut into transactions."""
    facts: list[Fact] = [
        *draw(st.lists(st.sampled_from(AGENTS), unique=True)),
        *draw(st.lists(FACTS, max_size=20, unique_by=identity)),
    ]
    shuffled = draw(st.permutations(facts))
    cuts = sorted(draw(st.lists(st.integers(0, len(facts)), max_size=3)))
    parts = [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(facts)], strict=True)]
    return facts, parts


@settings(UNHURRIED, max_examples=150)
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
        assert everything(in_parts) == everything(at_once)


@pytest.mark.parametrize("name", ["s", "sé", "s" * 150])
@pytest.mark.parametrize("is_sighted", [False, True], ids=["mark", "late-word"])
def test_a_session_that_arrives_late_has_its_commits(store: Store, name: str, *, is_sighted: bool) -> None:
    """They are its agent's then, and a person's until then."""
    marks = (("hook", "1"),) if is_sighted else by_session(name)
    late: list[Fact] = [sighting("c0", by_session(name))] if is_sighted else []
    apply_all(store, [commit_fact("c0", marks=marks), *late])
    assert xp(store) == 0
    apply_all(store, [session(name, CODER.id)])
    assert xp(store) == 5
    assert problems(store) == ()


def test_a_session_whose_agent_arrives_late_has_its_commits(store: Store) -> None:
    """Whichever of the three comes last."""
    apply_all(store, [session("s", FIRST_TWIN.id), commit_fact("c0", marks=by_session("s"))])
    apply_all(store, [FIRST_TWIN])
    assert standing_of(store, FIRST_TWIN).earned_micro == 5 * MICRO
    assert problems(store) == ()


def test_of_two_agents_of_a_client_its_session_tells(store: Store) -> None:
    """Before the session is known the commit is nobody's."""
    apply_all(store, [FIRST_TWIN, SECOND_TWIN, commit_fact("c0", marks=in_client("s"))])
    assert standing_of(store, SECOND_TWIN).earned_micro == 0
    apply_all(store, [session("s", SECOND_TWIN.id)])
    assert standing_of(store, SECOND_TWIN).earned_micro == 5 * MICRO
    assert problems(store) == ()


def test_an_agent_retired_at_a_whole_second_has_what_it_made_before(store: Store) -> None:
    """And nothing that was made in that second, in one transaction."""
    late = commit_fact("late", marks=by_agent("coder"), at=NOW + 10)
    apply_all(store, [state_fact(CODER, "retired", NOW + 10), *commits(1), late])
    assert xp(store) == 5
    assert problems(store) == ()


def test_a_tally_tells_projects_apart(store: Store) -> None:
    """What an agent did in each of them."""
    apply_all(store, [*commits(2), grade("g", "c0"), bug("b", "c1", at=NOW + 9), project_fact("2" * 36, path=b"/else")])
    found = reading(store, lambda snapshot: journal_tables.tallies(snapshot, snapshot.credit_number(CODER.id)))
    assert [(tally.commits, tally.grades, tally.bugs, tally.last_at) for tally in found.values()] == [
        (2, 1, 1, NOW + 1)
    ]
    assert PROJECT


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([bug("b", "c3", at=NOW + 5)], id="about-a-commit"),
        pytest.param([bug("b", agent=CODER.id, at=NOW + 5)], id="about-an-agent"),
        pytest.param([rewrite("c1", "c2"), bug("b", "c3", at=NOW + 5)], id="with-a-rewrite"),
    ],
)
def test_a_bug_in_the_midst_of_the_commits_it_comes_with(tmp_path: Path, others: list[Fact]) -> None:
    """What was earned before it and after it is told apart, though nothing was known of it when they were counted."""
    store = store_at(tmp_path)
    commits = [commit_fact(f"c{number}", marks=by_agent("coder"), at=NOW + number) for number in range(10)]
    apply_all(store, [project_fact(), CODER, *commits, *others])
    assert problems(store) == ()
