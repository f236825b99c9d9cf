"""The check: a clean store passes, and each kind of tampering is found."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_tracker import packing
from agent_tracker.errors import StoreBusyError, StoreError
from agent_tracker.journal import ActivityFact, RetroFact
from agent_tracker.locking import locked
from agent_tracker.records import COUNTED, HUMAN, MICRO, REWRITTEN, CreditFact
from agent_tracker.tables import TABLES, time_key
from agent_tracker.verify import verify, verify_file
from facts import (
    NOW,
    PROJECT,
    UNHURRIED,
    agent_fact,
    apply_all,
    bug,
    by_agent,
    commit_fact,
    correction,
    earned_standing,
    fact_id,
    grade,
    oid,
    problems,
    project_fact,
    pulse,
    push,
    rewrite,
    session,
    sighting,
    state_fact,
    store_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_tracker.journal import JournalFact
    from agent_tracker.store import Store
    from agent_tracker.tables import Writer
    from gitrepo import GitRepo

CODER, OTHER = agent_fact("coder"), agent_fact("other")
RETRO = RetroFact(fact_id("retro"), oid("five"), "", CODER.id, "a task", "good", "", "a note", "", PROJECT, NOW * 10**9)
ACTIVITY = ActivityFact(
    fact_id("done"), CODER.id, "talk", b"", "a task", "read, wrote", "it works", "none", PROJECT, NOW * 10**9
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with everything in it: agents, amended commits, a correction, a sighting, and a journal."""
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
            grade("well done", "two"),
            bug("wrong", "two"),
            push("two"),
            session("talk", CODER.id),
            pulse("beat", "talk", tools=2),
            session("over", OTHER.id),
            pulse("last", "over", "end"),
            RETRO,
            ACTIVITY,
        ],
    )
    return made


def test_a_clean_store_has_no_problems(store: Store) -> None:
    """And says how much was checked."""
    with store.snapshot() as snapshot:
        assert snapshot is not None
        report = verify(snapshot)
    assert report[1:] == (6, 2, (), 0)
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


def state_of_number(number: int, shares: tuple[tuple[int, int], ...]) -> Callable[[Writer], None]:
    """Return what writes a state of commit "five" that refers to other numbers."""

    def act(writer: Writer) -> None:
        value = packing.pack_commit_state(number, COUNTED, shares)
        writer.table("commits.oid").put(writer.state_key(oid("five")), value)

    return act


def project_dangling(writer: Writer) -> None:
    """Let a commit be of a project that nobody knows."""
    key, value = list(writer.table("commits").items())[-1]
    of, _, operation, marks, committed_at, recorded_at, subject = packing.unpack_commit(value)
    writer.table("commits").put(
        key, packing.pack_commit(of, 9, operation, marks, committed_at, recorded_at, subject.encode())
    )


def number_skipped(writer: Writer) -> None:
    """Give the last commit a number that is not the next one; it is the same commit in everything else."""
    key, value = list(writer.table("commits").items())[-1]
    writer.table("commits").delete(key)
    writer.table("commits").put((9).to_bytes(4, "big"), value)
    state = writer.table("commits.oid").get(oid("six")[:12]) or b""
    _, status, shares, earned_at = packing.unpack_commit_state(state)
    writer.table("commits.oid").put(oid("six")[:12], packing.pack_commit_state(9, status, shares, earned_at))


def agent_number(number: int) -> Callable[[Writer], None]:
    """Return what gives the second agent another number."""

    def act(writer: Writer) -> None:
        agent = writer.agent(OTHER.id)
        assert agent is not None
        writer.table("agents").put(OTHER.id.encode(), packing.pack_agent(agent, number))

    return act


def project_twice(writer: Writer) -> None:
    """Let two numbers be of the same project."""
    writer.table("projects").put((2).to_bytes(4, "big"), packing.pack_project(project_fact()))


def changed(table: str, letter: bytes) -> Callable[[Writer], None]:
    """Return what changes a number in the first record of this kind: the last byte of it."""

    def act(writer: Writer) -> None:
        key, body = next(iter(writer.table(table).items(letter)))
        writer.table(table).put(key, body[:-1] + bytes([body[-1] ^ 1]))

    return act


def dropped(table: str, letter: bytes) -> Callable[[Writer], None]:
    """Return what takes the first record of this kind out."""

    def act(writer: Writer) -> None:
        key, _ = next(iter(writer.table(table).items(letter)))
        writer.table(table).delete(key)

    return act


def put(table: str, key: bytes, value: bytes) -> Callable[[Writer], None]:
    """Return what writes a record."""

    def act(writer: Writer) -> None:
        writer.table(table).put(key, value)

    return act


def cut(table: str) -> Callable[[Writer], None]:
    """Return what leaves only the first byte of a table's first record, with the right checksum."""

    def act(writer: Writer) -> None:
        key, body = next(iter(writer.table(table).items()))
        writer.table(table).put(key, body[:1])

    return act


def fact_at(fact: JournalFact | CreditFact, table: str, key: bytes | None = None) -> Callable[[Writer], None]:
    """Return what writes a fact into a table, at another key than its own if one is given."""
    return put(table, packing.event_key(fact) if key is None else key, packing.pack_event(fact))


HALF = CreditFact(oid("five"), ((CODER.id, MICRO // 2),), NOW * 10**9, "half of it")


def checksum_wrong(table: str, key: bytes = b"") -> Callable[[Writer], None]:
    """Return what changes the last byte of a record of a table."""

    def act(writer: Writer) -> None:
        found, body = next(iter(writer.table(table).items(key)))
        damage(writer, found, body)

    def damage(writer: Writer, key: bytes, body: bytes) -> None:
        sealed = writer.table(table).sealed(key, body)
        writer.table(table).put_many([(key, sealed[:-1] + bytes([sealed[-1] ^ 1]))], 0)

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
        pytest.param(project_dangling, f"commit {oid('six').hex()}: project number 9 is referred to", id="project"),
        pytest.param(state_of_number(5, ((77, MICRO),)), "commit number 5: agent number 77 is", id="agent-number"),
        pytest.param(
            state_of_number(99, ((1, MICRO),)), "commit number 99 is referred to but not there", id="sequence"
        ),
        pytest.param(number_skipped, "the last commit has number 9, of 6", id="number-skipped"),
        pytest.param(agent_number(2), f"{CODER.id} and {OTHER.id} have the same number 2", id="agents-number-twice"),
        pytest.param(agent_number(9), "agents: there is no number 3, but higher ones", id="agents-number-skipped"),
        pytest.param(project_twice, f"projects number 1 and 2 have the same id {PROJECT}", id="project-twice"),
        pytest.param(dropped("marks", b""), "marks: there is no number 1", id="marks-number-skipped"),
        pytest.param(changed("metrics", b"t"), "metrics: the tally of people in project number 1 says", id="tally"),
        pytest.param(dropped("metrics", b"t"), "in project number 1 follows from the facts, and is", id="tally-lost"),
        pytest.param(changed("metrics", b"l"), f"metrics: the ledger of agent {CODER.id} says", id="ledger"),
        pytest.param(put("metrics", b"q", b""), "metrics: the record at 71 does not follow", id="stray-metric"),
        pytest.param(changed("communication", b"s"), "communication: the grades of ", id="grades"),
        pytest.param(dropped("communication", b"a"), "in the index, ", id="grade-index"),
        pytest.param(changed("health", b"b"), f"health: the bug {fact_id('wrong')} of {oid('two').hex()}", id="bug"),
        pytest.param(dropped("health", b"a"), "health: a bug of agent ", id="bug-index"),
        pytest.param(changed("health", b"y"), f"health: the push of commit {oid('two').hex()} says", id="push"),
        pytest.param(changed("sessions", b"s"), "sessions: session over says something else", id="session"),
        pytest.param(dropped("sessions", b"o"), "sessions: session talk in the index of open ones follows", id="open"),
        pytest.param(put("sessions", b"oover", b""), "session over in the index of open ones does not", id="not-open"),
        pytest.param(fact_at(session("a", CODER.id), "events", b"ob"), "says something else than its key", id="key"),
        pytest.param(fact_at(HALF, "events"), f"commit {oid('five').hex()} by shares that do not add to 1", id="half"),
        pytest.param(fact_at(RETRO, "activities"), "activities: the record at 72", id="wrong-table"),
        pytest.param(put("events", b"Q", b"\1"), "an event of unknown kind b'Q'", id="unknown-kind"),
        pytest.param(put("events", b"s", b"\1"), "events: the record at 73 cannot be read", id="short-event"),
        pytest.param(put("marks", b"\0\0\0\1", b"odd"), "marks: the record at 00000001 cannot be read", id="odd-marks"),
        pytest.param(put("marks.number", b"x", b"1"), "marks.number: the record at 78 is no number", id="no-number"),
        pytest.param(put("spools", b"sx", b"1"), "spools: the record at 7378 is of no known kind", id="spool"),
        pytest.param(put("schema", b"x", b"\xff"), "schema: the record at 78 cannot be read", id="schema-text"),
        *(
            pytest.param(cut(table), f"{table}: ", id=f"cut-{table}")
            for table in (
                *("commits", "commits.oid", "agents", "events", "projects", "retrospectives", "activities"),
                "metrics",
            )
        ),
        *(
            pytest.param(checksum_wrong(table), f"damaged record in {table}:", id=f"checksum-{table}")
            for table in (
                *("commits", "commits.oid", "agents", "events", "marks", "marks.number", "projects"),
                *("retrospectives", "activities", "communication", "health", "metrics", "sessions"),
            )
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
        checksum_wrong("schema", b"version")(writer)
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


@pytest.mark.damages
def test_each_damaged_record_is_named(store: Store) -> None:
    """One does not hide the others, nor those that only refer to what is not there."""
    with store.writer(timeout_s=1) as writer:
        project_dangling(writer)
        for table in ("commits", "events", "marks", "retrospectives"):
            checksum_wrong(table)(writer)
    found = problems(store)
    for table in ("commits", "events", "marks", "retrospectives"):
        assert sum(f"damaged record in {table}:" in line for line in found) >= 1, found
    assert any("project number 9 is referred to" in line for line in found), found
    assert any(line.startswith("nothing was compared with the facts: ") for line in found), found


class UndoneError(Exception):
    """Takes everything back that was written in a transaction."""


WRITTEN = st.lists(
    st.tuples(
        st.sampled_from([name for name in TABLES if name != "schema"]),
        st.integers(0, 30) | st.binary(min_size=1, max_size=40),
        st.sampled_from(["replace", "flip", "cut", "delete", "append"]),
        st.binary(max_size=60),
    ),
    min_size=1,
    max_size=4,
)
"""What becomes of which record of a table: of one that is there, by its place, or of one at any key."""


def write_anything(writer: Writer, name: str, at: int | bytes, how: str, data: bytes) -> None:
    """Change a record, or put one there, with the right checksum."""
    table = writer.table(name)
    keys = list(table.keys())
    key = at if isinstance(at, bytes) else keys[at % len(keys)] if keys else b"key"
    if name in {"commits.project", "events.rewrite", "archived"}:
        if how == "delete":
            table.delete(key)
        else:
            table.mark(data or b"key")
        return
    old = table.get(key) or b""
    place = (data or b"\0")[0] % max(1, len(old))
    flipped = old[:place] + bytes([old[place] ^ (data or b"\1")[-1]]) + old[place + 1 :] if old else data
    new = {"replace": data, "flip": flipped, "cut": old[:place], "append": old + data}
    if how == "delete":
        table.delete(key)
    else:
        table.put(key, new[how])


@settings(UNHURRIED, max_examples=200, suppress_health_check=list(HealthCheck))
@given(changes=WRITTEN)
def test_nothing_that_a_record_holds_is_too_much(
    store: Store, changes: list[tuple[str, int | bytes, str, bytes]]
) -> None:
    """Whatever is written with the right checksum, the check comes to its end and says it in lines."""
    with suppress(UndoneError), store.writer(timeout_s=5) as writer:
        for change in changes:
            write_anything(writer, *change)
        found = verify(writer).problems
        assert len(found) <= 101
        assert all(len(line) <= 500 and line.encode() and len(line.splitlines()) == 1 for line in found)
        raise UndoneError


def test_it_is_told_how_far_it_is(store: Store) -> None:
    """From some to all of the records, never backwards."""
    told: list[tuple[int, int]] = []
    with store.snapshot() as snapshot:
        assert snapshot is not None
        report = verify(snapshot, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert {total for _, total in told} == {report.records}
    assert told[-1] == (report.records, report.records)


# -- the file, and the command


def test_a_sound_file_is_clean(store: Store) -> None:
    """Its pages, its checksums and its counts."""
    report = verify_file(store.path, timeout_s=5)
    assert report[1:] == (6, 2, (), 0)
    assert report.records > 20


def zero(database: Path) -> None:
    """Write zeros over every page but the first ones."""
    content = database.read_bytes()
    database.write_bytes(content[: 3 * 4096] + bytes(len(content) - 3 * 4096))


@pytest.mark.damages
def test_a_damaged_page_is_found_without_opening_the_file(store: Store) -> None:
    """A process of its own reads it, which it may end."""
    zero(Path(store.path))
    assert verify_file(store.path, timeout_s=5).problems


def test_a_file_that_is_written_is_not_checked(store: Store) -> None:
    """What is under way looks like damage to who reads past the locks."""
    with locked(f"{store.path}.write", timeout_s=1), pytest.raises(StoreBusyError, match="another process writes"):
        verify_file(store.path, timeout_s=0.05)


@pytest.fixture
def work(repo: GitRepo) -> GitRepo:
    """A repository with a commit that is in the database."""
    repo.ok("install-hooks")
    repo.commit("a: work", env={"AGENT_TRACKER_AGENT": repo.register("one")})
    repo.ok("flush")
    return repo


@pytest.mark.parametrize(("options", "level"), [((), "full"), (("--quick",), "quick")], ids=["full", "quick"])
def test_the_command_says_what_it_checked(work: GitRepo, options: tuple[str, ...], level: str) -> None:
    """The same fields whichever it is; a person is told that a quick one is not all."""
    found = work.json("verify", *options)["verify"]
    assert found.keys() == {"records", "commits", "agents", "problems", "outdated", "clean", "level"}
    assert (found["commits"], found["agents"], found["clean"], found["level"]) == (1, 1, True, level)
    assert ("not compared" in work.ok("verify", *options)) is bool(options)


@pytest.mark.damages
@pytest.mark.parametrize("options", [(), ("--quick",)], ids=["full", "quick"])
def test_a_damaged_file_is_never_opened_here(work: GitRepo, home: Path, options: tuple[str, ...]) -> None:
    """Its problems are listed, and the last line says what to do."""
    database = home / ".config/opencode/agent-tracker.lmdb"
    zero(database)
    done = work.tracker("verify", *options)
    assert done.code == 1
    assert done.out.startswith("problem: ")
    assert done.err.splitlines() == [f"error: the database {database} is damaged", "hint: agent-tracker recover"]


@pytest.mark.damages
def test_a_wrong_state_is_no_matter_of_the_file(work: GitRepo, home: Path) -> None:
    """A quick check passes what only the facts can tell; the full one ends with 1 and names it."""
    from agent_tracker.store import Store  # noqa: PLC0415 -- the type alone is needed elsewhere

    database = home / ".config/opencode/agent-tracker.lmdb"
    with Store(str(database), 1 << 24).writer(timeout_s=5) as writer:
        agent = writer.agents()[0]
        writer.put_agent(agent._replace(standing=earned_standing(100 * MICRO, 2)))
    assert work.tracker("verify", "--quick").code == 0
    done = work.tracker("verify")
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith(f"problem: agent {agent.id}: standing ")


SHOW = """
from agent_tracker.rendering.text import progress
with progress("checking", is_long=True) as say:
    say(1, 2)
    say(1, 2)
"""


def test_progress_is_shown_on_a_terminal_and_taken_away() -> None:
    """Nothing of it is left on the line, and the same is not written twice."""
    master, slave = os.openpty()
    subprocess.run([sys.executable, "-c", SHOW], stderr=slave, env={**os.environ, "TERM": "xterm"}, check=True)
    os.close(slave)
    shown = os.read(master, 1000)
    os.close(master)
    assert shown == b"\r\x1b[Kchecking\r\x1b[Kchecking 50 %\r\x1b[K"


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_progress_is_not_shown_in_a_pipe(term: str) -> None:
    """Nobody watches one."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW], capture_output=True, env={**os.environ, "TERM": term}, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")
