"""The check: a clean store passes, and each kind of tampering is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_tracker import packing
from agent_tracker.errors import StoreError
from agent_tracker.records import COUNTED, HUMAN, MICRO, REWRITTEN
from agent_tracker.tables import time_key
from agent_tracker.verify import verify
from facts import (
    NOW,
    agent_fact,
    apply_all,
    by_agent,
    commit_fact,
    correction,
    earned_standing,
    oid,
    problems,
    project_fact,
    rewrite,
    sighting,
    state_fact,
    store_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent_tracker.store import Store
    from agent_tracker.tables import Writer

CODER, OTHER = agent_fact("coder"), agent_fact("other")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with everything in it: agents, amended and squashed commits, a correction, a sighting."""
    made = store_at(tmp_path)
    apply_all(
        made,
        [
            project_fact(),
            CODER,
            OTHER,
            state_fact(OTHER, "retired", NOW + 50),
            commit_fact("one", marks=by_agent("coder")),
            commit_fact("two", marks=by_agent("other"), operation="amend"),
            rewrite("one", "two", old_lines=3, own_lines=1),
            commit_fact("three", marks=by_agent("coder")),
            correction("three", HUMAN),
            commit_fact("four", marks=(("found", "1"),)),
            sighting("four", by_agent("coder")),
            commit_fact("five"),
            commit_fact("six"),
        ],
    )
    return made


def test_a_clean_store_has_no_problems(store: Store) -> None:
    """And says how much was checked."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        report = verify(snapshot)
    assert report[1:] == (6, 2, ())
    assert report.records > 20


def test_an_empty_store_is_clean(tmp_path: Path) -> None:
    """Nothing is nothing wrong."""
    apply_all(store_at(tmp_path), [])
    assert problems(store_at(tmp_path)) == ()


def wrong_standing(writer: Writer) -> None:
    """Give an agent a hundred points."""
    agent = writer.agent(CODER.id)
    assert agent is not None
    writer.put_agent(agent._replace(standing=earned_standing(100 * MICRO, 2)))


def wrong_registration(writer: Writer) -> None:
    """Give an agent another model than it was registered with."""
    agent = writer.agent(CODER.id)
    assert agent is not None
    writer.put_agent(agent._replace(model="another"))


def retired_agent_active(writer: Writer) -> None:
    """Resume an agent without a fact."""
    agent = writer.agent(OTHER.id)
    assert agent is not None
    writer.put_agent(agent._replace(active=True, transitions=()))


def agent_without_fact(writer: Writer) -> None:
    """Add an agent that was never registered."""
    agent = writer.agent(CODER.id)
    assert agent is not None
    writer.put_agent(agent._replace(id="stranger-1"))


def fact_without_agent(writer: Writer) -> None:
    """Add a registration that nothing was derived from."""
    fact = agent_fact("silent")
    writer.table("events").put(packing.event_key(fact), packing.pack_event(fact))


def wrong_status(writer: Writer) -> None:
    """Let a rewritten commit count."""
    put_state(writer, "one", COUNTED, [(CODER.id, MICRO)])


def wrong_credit(writer: Writer) -> None:
    """Give a commit to another agent."""
    put_state(writer, "three", COUNTED, [(OTHER.id, MICRO)])


def shares_not_whole(writer: Writer) -> None:
    """Take a share away."""
    put_state(writer, "two", COUNTED, [(CODER.id, 500_000), (OTHER.id, 1)])


def put_state(writer: Writer, name: str, status: str, credits: list[tuple[str, int]]) -> None:
    """Write another derived state of a commit."""
    shares = tuple((writer.credit_number(agent), share) for agent, share in credits)
    writer.put_commit_state(oid(name), status, shares, None)


def state_without_fact(writer: Writer) -> None:
    """Add a commit's state without the commit."""
    writer.table("commits.oid").put(
        writer.state_key(oid("ghost")), packing.pack_commit_state(1, REWRITTEN, ((1, MICRO),))
    )


def fact_without_state(writer: Writer) -> None:
    """Take a commit's state away."""
    writer.table("commits.oid").delete(writer.state_key(oid("three")))


def missing_index(name: str) -> Callable[[Writer], None]:
    """Return what takes an entry out of an index."""

    def act(writer: Writer) -> None:
        writer.table(name).delete(next(iter(writer.table(name).keys())))

    return act


def extra_index(name: str, key: bytes) -> Callable[[Writer], None]:
    """Return what puts an entry into an index that does not belong there."""

    def act(writer: Writer) -> None:
        writer.table(name).mark(key)

    return act


def event_lost(writer: Writer) -> None:
    """Lose a rewrite."""
    writer.table("events").delete(b"w" + oid("one") + oid("two"))


def correction_added(writer: Writer) -> None:
    """Add a correction that nothing was derived from."""
    fact = correction("two", HUMAN)
    writer.table("events").put(packing.event_key(fact), packing.pack_event(fact))


def sighting_lost(writer: Writer) -> None:
    """Lose a hook's late word."""
    writer.table("events").delete(b"h" + oid("four"))


def marks_exchanged(writer: Writer) -> None:
    """Let a commit's marks say something else."""
    commit = writer.commit(oid("one"))
    assert commit is not None
    writer.table("marks").put(commit.marks.to_bytes(4, "big"), packing.pack_marks(by_agent("other")))


def marks_lost(writer: Writer) -> None:
    """Lose a commit's marks."""
    commit = writer.commit(oid("two"))
    assert commit is not None
    writer.table("marks").delete(commit.marks.to_bytes(4, "big"))


def numbers_exchanged(writer: Writer) -> None:
    """Exchange the sequence numbers of two commits that are alike in everything else."""
    keys = [writer.state_key(oid(name)) for name in ("five", "six")]
    values = [writer.table("commits.oid").get(key) for key in keys]
    (five, *state), (six, *_) = [packing.unpack_commit_state(value or b"") for value in values]
    for key, sequence in zip(keys, (six, five), strict=True):
        writer.table("commits.oid").put(key, packing.pack_commit_state(sequence, *state))  # type: ignore[arg-type]


def marks_number_wrong(writer: Writer) -> None:
    """Let marks be found under the number of others: later commits would get those."""
    key = next(iter(writer.table("marks.number").keys()))
    value = writer.table("marks.number").get(key)
    writer.table("marks.number").put(key, b"\0\0\0\x02" if value != b"\0\0\0\x02" else b"\0\0\0\x01")


def checksum_wrong(table: str) -> Callable[[Writer], None]:
    """Return what changes the last byte of a record of a table."""

    def act(writer: Writer) -> None:
        key, body = next(iter(writer.table(table).items()))
        sealed = writer.table(table).sealed(key, body)
        writer.table(table).put_many([(key, sealed[:-1] + bytes([sealed[-1] ^ 1]))])

    return act


@pytest.mark.damages
@pytest.mark.parametrize(
    ("tamper", "word"),
    [
        pytest.param(wrong_standing, f"agent {CODER.id}: standing", id="standing"),
        pytest.param(wrong_registration, f"agent {CODER.id}: stored differently", id="registration"),
        pytest.param(retired_agent_active, f"agent {OTHER.id}: stored differently", id="transition"),
        pytest.param(agent_without_fact, "agent stranger-1: a standing without a registration", id="stranger"),
        pytest.param(fact_without_agent, "registered but without a standing", id="silent-registration"),
        pytest.param(wrong_status, f"commit {oid('one').hex()}: stored as counted", id="status"),
        pytest.param(wrong_credit, f"commit {oid('three').hex()}: stored as counted ({OTHER.id} 1)", id="credit"),
        pytest.param(shares_not_whole, "its shares do not add to 1", id="shares"),
        pytest.param(state_without_fact, "7 commits have a derived state, 6 a fact", id="state-without-fact"),
        pytest.param(fact_without_state, f"commit {oid('three').hex()} has no derived state", id="fact-without-state"),
        pytest.param(missing_index("commits.project"), "commits.project: 1 entries", id="project-index"),
        pytest.param(missing_index("events.rewrite"), "events.rewrite does not match", id="rewrite-index"),
        pytest.param(
            extra_index("commits.project", time_key(9, NOW, 1)), "commits.project: 1", id="extra-project-index"
        ),
        pytest.param(extra_index("events.rewrite", oid("x") + oid("y")), "events.rewrite", id="extra-rewrite-index"),
        pytest.param(event_lost, f"commit {oid('one').hex()}: stored as rewritten", id="rewrite-lost"),
        pytest.param(correction_added, f"commit {oid('two').hex()}: stored as counted", id="correction-added"),
        pytest.param(sighting_lost, f"commit {oid('four').hex()}: stored as counted", id="sighting-lost"),
        pytest.param(marks_exchanged, f"commit {oid('two').hex()}: stored as counted", id="marks-exchanged"),
        pytest.param(numbers_exchanged, f"commit {oid('five').hex()}", id="numbers-exchanged"),
        pytest.param(marks_number_wrong, "marks.number", id="marks-number"),
        pytest.param(marks_lost, "are referred to but not there", id="marks-lost"),
        *(
            pytest.param(checksum_wrong(table), f"damaged record in {table}:", id=f"checksum-{table}")
            for table in ("commits", "commits.oid", "agents", "events", "marks", "marks.number", "projects")
        ),
    ],
)
def test_tampering_is_found(store: Store, tamper: Callable[[Writer], None], word: str) -> None:
    """Whatever was changed past `apply`, a line says what and where."""
    with store.writer(timeout_s=1) as writer:
        tamper(writer)
    found = problems(store)
    assert any(word in line for line in found), found
    assert all("\n" not in line for line in found)


@pytest.mark.damages
def test_a_damaged_version_is_found_on_opening(store: Store) -> None:
    """Without it nothing is known of the layout."""
    with store.writer(timeout_s=1) as writer:
        checksum_wrong("schema")(writer)
    with pytest.raises(StoreError, match="damaged record in schema"):
        problems(store)


@pytest.mark.damages
def test_at_most_a_hundred_problems_are_listed(tmp_path: Path) -> None:
    """A store gone wrong altogether does not flood the terminal."""
    store = store_at(tmp_path)
    apply_all(store, [project_fact(), *(commit_fact(f"c{i}") for i in range(150))])
    with store.writer(timeout_s=1) as writer:
        for i in range(150):
            put_state(writer, f"c{i}", REWRITTEN, [(HUMAN, MICRO)])
    found = problems(store)
    assert (len(found), found[-1]) == (101, "... and more")


@pytest.mark.damages
def test_verify_changes_nothing(store: Store) -> None:
    """Checking twice finds the same, and what is wrong stays wrong."""
    with store.writer(timeout_s=1) as writer:
        wrong_standing(writer)
    assert problems(store) == problems(store) != ()
