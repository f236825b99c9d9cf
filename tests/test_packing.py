"""The packed form: what goes in comes out, for every type, every operation and both lengths of oid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker import packing
from agent_tracker.errors import RecordError
from agent_tracker.records import (
    COUNTED,
    MICRO,
    OPERATIONS,
    PROVISIONAL,
    REWRITTEN,
    Agent,
    AgentFact,
    CreditFact,
    LossFact,
    Marks,
    ProjectFact,
    RewriteFact,
    ScanPosition,
    SightingFact,
    Standing,
    StateFact,
    UndoneFact,
)
from facts import UNHURRIED

if TYPE_CHECKING:
    from collections.abc import Callable

U32, U64 = (1 << 32) - 1, (1 << 64) - 1
NUMBERS = st.integers(0, U32)
TIMES = st.integers(0, (1 << 63) - 1)
OIDS = st.binary(min_size=20, max_size=20) | st.binary(min_size=32, max_size=32)
PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
FOREIGN = st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
TEXT = PLAIN | FOREIGN
MARKS = st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=5).map(tuple)
SHARES = st.one_of(
    NUMBERS.map(lambda number: ((number, MICRO),)),
    st.lists(st.tuples(st.integers(0, U32), st.integers(1, MICRO)), min_size=2, max_size=5).map(tuple),
)
EVENTS = st.one_of(
    st.integers(0, 1).flatmap(
        lambda long: st.builds(
            RewriteFact,
            st.binary(min_size=20 + 12 * long, max_size=20 + 12 * long),
            st.binary(min_size=20 + 12 * long, max_size=20 + 12 * long),
            st.sampled_from(["amend", "rebase"]),
            TIMES,
            st.integers(0, (1 << 31) - 1),
            st.integers(0, (1 << 31) - 1),
        )
    ),
    st.builds(StateFact, PLAIN, st.sampled_from(["active", "retired"]), TIMES),
    st.builds(
        CreditFact,
        OIDS,
        st.lists(st.tuples(TEXT, st.integers(1, MICRO)), min_size=1, max_size=4).map(tuple),
        TIMES,
        TEXT,
    ),
    st.builds(AgentFact, PLAIN, TEXT, TEXT, TEXT, TEXT, TIMES),
    st.builds(SightingFact, OIDS, MARKS, TIMES),
    st.builds(UndoneFact, OIDS, st.just(b"") | OIDS, TIMES),
    st.builds(LossFact, OIDS, st.booleans(), TIMES),
)


@UNHURRIED
@given(OIDS, NUMBERS, st.sampled_from(OPERATIONS), NUMBERS, st.integers(0, (1 << 40) - 1), NUMBERS, TEXT)
def test_a_commit_comes_back(  # noqa: PLR0913, PLR0917 -- one argument a field
    oid: bytes, project: int, operation: str, marks: int, committed_at: int, recorded_at: int, subject: str
) -> None:
    """All seven fields are kept, whatever bytes the subject is made of."""
    packed = packing.pack_commit(
        oid, project, operation, marks, committed_at, recorded_at, subject.encode("utf-8", "surrogateescape")
    )
    assert packing.unpack_commit(packed) == (oid, project, operation, marks, committed_at, recorded_at, subject)


@UNHURRIED
@given(st.integers(0, U32), st.sampled_from([COUNTED, REWRITTEN, PROVISIONAL]), SHARES)
def test_a_state_comes_back(sequence: int, status: str, shares: tuple[tuple[int, int], ...]) -> None:
    """One whole share and several shares are packed differently and read alike."""
    packed = packing.pack_commit_state(sequence, status, shares)
    assert packing.unpack_commit_state(packed) == (sequence, status, shares, None)


STANDINGS = st.builds(
    Standing,
    st.integers(0, U32),
    st.integers(0, U64),
    st.integers(0, U32),
    st.integers(0, U32),
    st.integers(0, U32),
    st.integers(0, U64),
)
AGENTS = st.builds(
    Agent,
    st.just("id-1"),
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    st.booleans(),
    TIMES,
    TIMES,
    STANDINGS,
    st.lists(st.tuples(TIMES, st.booleans()), max_size=5).map(tuple),
)


@UNHURRIED
@given(AGENTS, st.integers(0, U32))
def test_an_agent_comes_back(agent: Agent, number: int) -> None:
    """Registration, transitions and standing are kept together; the id is the key."""
    assert packing.unpack_agent("id-1", packing.pack_agent(agent, number)) == (agent, number)


@UNHURRIED
@given(MARKS)
def test_marks_come_back(marks: Marks) -> None:
    """Marks keep their order, their repetitions and their empty values."""
    assert packing.unpack_marks(packing.pack_marks(marks)) == marks


@UNHURRIED
@given(MARKS, MARKS)
def test_different_marks_are_packed_differently(marks: Marks, others: Marks) -> None:
    """The blob is what interning goes by."""
    assert (packing.pack_marks(marks) == packing.pack_marks(others)) == (marks == others)


@UNHURRIED
@given(st.uuids().map(str), st.binary(max_size=80).filter(lambda path: b"\0" not in path), OIDS | st.just(b""), TIMES)
def test_a_project_comes_back(project: str, path: bytes, root: bytes, recorded_at: int) -> None:
    """A path is bytes, and the root commit may be unknown."""
    fact = ProjectFact(project, path, root, recorded_at)
    assert packing.unpack_project(packing.pack_project(fact)) == fact


@UNHURRIED
@given(st.sampled_from([20, 32]), st.integers(0, 5), TIMES, NUMBERS, NUMBERS)
def test_a_scan_s_position_comes_back(length: int, count: int, since: int, shallow: int, refs: int) -> None:
    """Any number of tips, of either length."""
    position = ScanPosition(tuple(bytes([n]) * length for n in range(count)), since, shallow, refs)
    assert packing.unpack_scan_position(packing.pack_scan_position(position)) == position


@UNHURRIED
@given(EVENTS)
def test_an_event_comes_back_from_key_and_value(fact: packing.EventFact) -> None:
    """Key and value together say all that the fact said."""
    assert packing.unpack_event(packing.event_key(fact), packing.pack_event(fact)) == fact


@pytest.mark.parametrize(
    ("unpack", "value"),
    [
        pytest.param(packing.unpack_commit, b"\x09", id="commit"),
        pytest.param(packing.unpack_commit_state, b"\x90", id="state"),
        pytest.param(lambda value: packing.unpack_commit_state(value[:7]), b"\x90", id="state-of-one-share"),
        pytest.param(lambda value: packing.unpack_agent("id-1", value), b"\x09", id="agent"),
        pytest.param(packing.unpack_project, b"\x09", id="project"),
        pytest.param(packing.unpack_scan_position, b"\x09", id="scan-position"),
        pytest.param(lambda value: packing.unpack_event(b"a-1", value), b"\x09", id="event"),
    ],
)
def test_a_newer_format_version_is_named(unpack: Callable[[bytes], object], value: bytes) -> None:
    """A value of another version is not misread."""
    with pytest.raises(RecordError, match="version 9"):
        unpack(value + bytes(100))


def test_an_unknown_kind_of_event_is_named() -> None:
    """A newer program may write kinds that this one does not know."""
    with pytest.raises(RecordError, match="unknown kind"):
        packing.unpack_event(b"!-1", bytes([packing.VERSION]) + bytes(20))
