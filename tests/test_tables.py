"""Keys, checksums and typed reads inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.durability import fingerprint
from agent_tracker.errors import StoreError
from agent_tracker.records import COUNTED, HUMAN, UNCLAIMED, Marks, ReflogPosition
from agent_tracker.registration import whole
from agent_tracker.tables import MAX_TIME, TABLES, number_key, time_key
from facts import (
    NOW,
    PROJECT,
    SIZE_BYTES,
    UNHURRIED,
    agent_fact,
    apply_all,
    by_agent,
    commit_fact,
    correction,
    oid,
    problems,
    project_fact,
    reading,
    state_fact,
    store_at,
)

if TYPE_CHECKING:
    from pathlib import Path

    from agent_tracker.store import Store

CODER = agent_fact("coder")
OTHER_PROJECT = "99999999-2222-3333-4444-555555555555"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with an agent, three commits and two projects."""
    made = store_at(tmp_path)
    commits = [
        commit_fact("first", marks=by_agent("coder"), at=NOW + 1),
        commit_fact("third", at=NOW + 3),
        commit_fact("second", marks=(("found", "1"),), at=NOW + 2)._replace(project=OTHER_PROJECT),
    ]
    apply_all(made, [project_fact(), project_fact(OTHER_PROJECT, path=b"/else"), CODER, *commits])
    return made


def tamper(store: Store, table: str, key: bytes, value: bytes | None) -> None:
    """Write through lmdb, past our own code and unnoticed by it; None takes the record out."""
    env = lmdb.open(store.path, subdir=False, max_dbs=len(TABLES) + 8, map_size=SIZE_BYTES)
    with env.begin(write=True) as txn:
        handle = env.open_db(table.encode(), txn=txn, create=False)
        if value is None:
            assert txn.delete(key, db=handle)
        else:
            txn.put(key, value, db=handle)
    env.close()
    fingerprint.remember(store.path, {})


# -- keys


@UNHURRIED
@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
def test_number_keys_sort_as_numbers(one: int, other: int) -> None:
    """Bytes and numbers have the same order."""
    assert (number_key(one) < number_key(other)) == (one < other)


PLACES = st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, MAX_TIME), st.integers(0, (1 << 32) - 1))


@UNHURRIED
@given(PLACES, PLACES)
def test_time_keys_sort_by_whose_when_and_which(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    """That is what makes a range of them a history."""
    assert (time_key(*one) < time_key(*other)) == (one < other)


@pytest.mark.parametrize(("at", "clamped"), [(-1, 0), (1 << 60, MAX_TIME)])
def test_a_time_out_of_range_is_clamped(at: int, clamped: int) -> None:
    """A commit may claim any date."""
    assert time_key(1, at, 1) == time_key(1, clamped, 1)


# -- checksums


@pytest.mark.damages
@pytest.mark.parametrize("table", ["commits", "commits.oid", "agents", "projects", "marks", "events"])
def test_a_damaged_value_is_an_error_that_names_its_table(store: Store, table: str) -> None:
    """Whichever bit of it changed."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        key, body = next(iter(snapshot.table(table).items()))
        sealed = snapshot.table(table).sealed(key, body)
    for position in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[position] ^= 0x40
        tamper(store, table, key, bytes(damaged))
        with pytest.raises(StoreError, match=f"damaged record in {table}: key {key.hex()}"):
            reading(store, lambda snapshot: snapshot.table(table).get(key))


@pytest.mark.damages
@pytest.mark.parametrize("value", [b"", b"\0", b"\0\0\0\0", b"abcdefgh"], ids=repr)
def test_a_value_without_a_checksum_is_damaged(store: Store, value: bytes) -> None:
    """Too short to have one, or foreign."""
    tamper(store, "agents", CODER.id.encode(), value)
    with pytest.raises(StoreError, match="damaged record in agents"):
        reading(store, lambda snapshot: snapshot.agent(CODER.id))


@pytest.mark.damages
def test_a_value_in_another_table_is_damaged(store: Store) -> None:
    """The checksum covers the table, too."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        key, body = next(iter(snapshot.table("commits").items()))
        sealed = snapshot.table("commits").sealed(key, body)
    tamper(store, "projects", key, sealed)
    with pytest.raises(StoreError, match="damaged record in projects"):
        reading(store, lambda snapshot: snapshot.projects())


@pytest.mark.damages
@pytest.mark.parametrize(
    ("table", "key", "message"),
    [
        ("commits", number_key(1), "commit number 1 has a state but is not there"),
        ("marks", number_key(1), "marks number 1 are referred to but not there"),
        ("projects", number_key(1), "project number 1 is referred to but not there"),
        ("agents", CODER.id.encode(), "agent number 2, which is not there"),
    ],
)
def test_a_record_that_is_missing_is_an_error(store: Store, table: str, key: bytes, message: str) -> None:
    """What another record refers to must be there."""
    tamper(store, table, key, None)
    with pytest.raises(StoreError, match=message):
        reading(store, lambda snapshot: (snapshot.commit(oid("first")), snapshot.marks(1)))


# -- reading


def test_a_commit_is_read_with_what_is_derived(store: Store) -> None:
    """The fact's own fields, its status and its credits."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        commit = snapshot.commit(oid("first"))
        assert commit is not None
        assert snapshot.marks(commit.marks) == by_agent("coder")
    assert commit[:3] == (oid("first"), PROJECT, "commit")
    assert commit[4:] == (NOW + 1, NOW + 1, "subject of first", COUNTED, whole(CODER.id), NOW + 1)


def test_what_is_not_there_is_none(store: Store) -> None:
    """An unknown commit, agent, segment, worktree."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert snapshot.commit(oid("unknown")) is None
        assert not snapshot.has_commit(oid("unknown"))
        assert snapshot.agent("unknown") is None
        assert snapshot.applied_size("seg-x") is None
        assert snapshot.reflog_position("/repo/.git") is None


def test_people_and_nobody_have_credit(store: Store) -> None:
    """A hook saw the one; nobody saw the other."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        commits = [snapshot.commit(oid(name)) for name in ("third", "second")]
    assert [commit.credits for commit in commits if commit] == [whole(HUMAN), whole(UNCLAIMED)]


def test_commits_come_newest_first(store: Store) -> None:
    """Of all projects by time, or of one, in whatever order they arrived."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        numbers = {fact.id: number for number, fact in snapshot.numbered_projects().items()}
        assert [commit.oid for commit in snapshot.commits()] == [oid(n) for n in ("third", "second", "first")]
        assert [c.oid for c in snapshot.commits([numbers[PROJECT]])] == [oid("third"), oid("first")]
        assert list(snapshot.commits([])) == list(snapshot.commits([77])) == []


def test_clones_that_share_a_root_are_one_history(tmp_path: Path) -> None:
    """A repository whose root commit is unknown is joined to none."""
    store = store_at(tmp_path)
    ids = [f"{n}1111111-2222-3333-4444-555555555555" for n in range(4)]
    roots = [oid("root"), oid("root"), b"", b""]
    apply_all(store, [project_fact(id_, root=root) for id_, root in zip(ids, roots, strict=True)])
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert [len(snapshot.joined_projects(id_)) for id_ in ids] == [2, 2, 1, 1]
        assert snapshot.joined_projects("unknown") == []


def test_oids_that_begin_alike_are_told_apart(store: Store) -> None:
    """The key is an oid's beginning, and a whole one where that is taken: in one transaction or two."""
    oids = [oid("x")[:12] + bytes([n]) * length for n, length in ((1, 8), (2, 8), (3, 8), (3, 20))]
    facts = [commit_fact(f"x{n}", marks=by_agent("coder"))._replace(oid=one) for n, one in enumerate(oids)]
    assert apply_all(store, facts[:2]).commits == 2
    assert apply_all(store, facts).commits == 2
    assert apply_all(store, [correction("x", HUMAN)._replace(oid=oids[2])]).corrections == 1
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert [commit.oid for commit in map(snapshot.commit, oids) if commit] == oids
        assert [commit.subject for commit in map(snapshot.commit, oids) if commit] == [fact.subject for fact in facts]
        assert [commit.credits == whole(HUMAN) for commit in map(snapshot.commit, oids) if commit] == [0, 0, 1, 0]
        assert snapshot.commit(oids[0][:12] + bytes(8)) is None
    assert problems(store) == ()


# -- writing


def test_marks_are_stored_once(store: Store) -> None:
    """Equal marks have one number, also very long ones and none at all."""
    long: Marks = (("AI_AGENT", "x" * 4000),)
    with store.writer(timeout_s=1) as writer:
        numbers = [writer.intern_marks(marks) for marks in (long, (), by_agent("coder"), long, ())]
        assert numbers[0] == numbers[3]
        assert numbers[1] == numbers[4]
        assert len(set(numbers)) == 3
        assert [writer.marks(n) for n in numbers[:3]] == [long, (), by_agent("coder")]
    with store.writer(timeout_s=1) as writer:
        assert writer.intern_marks(long) == numbers[0]


def test_sizes_and_positions_are_kept(store: Store) -> None:
    """Also for a git directory whose path is longer than a key, and one that is no UTF-8."""
    paths = ["/repo/.git", "/" + "x" * 3000, "/" + "x" * 2999 + "y", "/caf\udce9"]
    with store.writer(timeout_s=1) as writer:
        writer.put_applied_size("seg-1", 77)
        for offset, path in enumerate(paths):
            writer.put_reflog_position(path, ReflogPosition(offset, "ab" * 20))
    with store.snapshot() as snapshot:
        assert snapshot is not None
        assert snapshot.applied_size("seg-1") == 77
        assert [snapshot.reflog_position(path) for path in paths] == [ReflogPosition(n, "ab" * 20) for n in range(4)]
    with store.writer(timeout_s=1) as writer:
        writer.forget_segment("seg-1")
        writer.forget_segment("seg-1")
        assert writer.applied_size("seg-1") is None


def test_an_agent_keeps_its_number(store: Store) -> None:
    """New ones are numbered on, known ones stay."""
    with store.writer(timeout_s=1) as writer:
        before = writer.credit_number(CODER.id)
    apply_all(store, [agent_fact("another"), state_fact(CODER, "retired", NOW + 9)])
    with store.snapshot() as snapshot:
        assert snapshot is not None
        numbers = {agent_id: number for agent_id, (_, number) in snapshot.numbered_agents().items()}
    assert numbers == {CODER.id: before, agent_fact("another").id: before + 1}
    assert problems(store) == ()


def test_keys_are_listed_both_ways(store: Store) -> None:
    """With a prefix, the last one first: also where nothing comes after it."""
    with store.writer(timeout_s=1) as writer:
        table = writer.table("events.rewrite")
        for key in (b"a1", b"a2", b"b1", b"\xff\xff1", b"\xff\xff2"):
            table.mark(key)
        for prefix in (b"a", b"b", b"\xff\xff", b"c", b"0"):
            forwards = list(table.keys(prefix))
            assert list(table.keys(prefix, newest_first=True)) == forwards[::-1]
        assert list(table.keys(b"a")) == [b"a1", b"a2"]
        assert table.count() == 5
        for key in list(table.keys()):
            table.delete(key)
        assert not table.count()
