"""One fact and one line of JSON: what goes out comes in again, and nothing else comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent_tracker import journal_codec, packing
from agent_tracker.errors import RecordError
from agent_tracker.fact_json import FACTS, MAX_LINE_BYTES, fact_from_json, fact_to_json, format_object, parse_object
from agent_tracker.journal import (
    GRADES,
    MAX_COUNT,
    MAX_NOTE,
    MAX_WORD,
    PULSES,
    SIDES,
    ActivityFact,
    BindingFact,
    BugFact,
    ForgetFact,
    GradeFact,
    JournalFact,
    PulseFact,
    PushFact,
    RetroFact,
    RulesFact,
    SessionFact,
    WithdrawalFact,
)
from agent_tracker.records import (
    HUMAN,
    MICRO,
    OPERATIONS,
    UNCLAIMED,
    AgentFact,
    CommitFact,
    CreditFact,
    Fact,
    LossFact,
    ProjectFact,
    RewriteFact,
    SightingFact,
    StateFact,
    UndoneFact,
)
from facts import UNHURRIED, agent_fact, commit_fact, fact_id, grade, oid, project_fact, rules_fact, session

OIDS = st.binary(min_size=20, max_size=20) | st.binary(min_size=32, max_size=32)
SECONDS = st.integers(0, (1 << 40) - 1)
NS = st.integers(0, (1 << 63) - 1)
DECODED = st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
TEXT = DECODED | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
PRINTABLE = TEXT.map(lambda text: "".join(filter(str.isprintable, text)))
ANY_TEXT = st.text(st.characters(), max_size=60)
WORD = ANY_TEXT.map(lambda text: text.replace("\0", "")[:MAX_WORD])
AGENT_IDS = st.text("abcxyz0189-", min_size=1, max_size=60).filter(lambda text: text.strip("-") not in {"", HUMAN})
IDS = st.binary(min_size=6, max_size=6).map(bytes.hex)
PROJECTS = st.uuids().map(str)
MARKS = st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=6).map(tuple)
LINES = st.integers(-(1 << 31) + 1, (1 << 31) - 1)
COUNTS = st.integers(0, MAX_COUNT)


@st.composite
def credited(draw: st.DrawFn) -> tuple[tuple[str, int], ...]:
    """Return credits of which the shares add to one."""
    names = draw(st.lists(AGENT_IDS | st.sampled_from([HUMAN, UNCLAIMED]), min_size=1, max_size=4))
    shares = [draw(st.integers(1, MICRO // 8)) for _ in names[1:]]
    return tuple(zip(names, [MICRO - sum(shares), *shares], strict=True))


def rewrites(length: int) -> st.SearchStrategy[RewriteFact]:
    """Return rewrites between oids of one length."""
    oids = st.binary(min_size=length, max_size=length)
    return st.builds(RewriteFact, oids, oids, st.sampled_from(["amend", "rebase", "split"]), NS, LINES, LINES)


ABOUT_ONE = st.tuples(OIDS, st.just("")) | st.tuples(st.just(b""), WORD.filter(bool))
KINDS: dict[type, st.SearchStrategy[Fact]] = {
    ProjectFact: st.builds(
        ProjectFact,
        PROJECTS,
        st.binary(max_size=80).map(lambda path: path.replace(b"\0", b"")),
        OIDS | st.just(b""),
        SECONDS,
    ),
    AgentFact: st.builds(AgentFact, AGENT_IDS, PRINTABLE, PRINTABLE, PRINTABLE, PRINTABLE, SECONDS),
    StateFact: st.builds(StateFact, AGENT_IDS, st.sampled_from(["active", "retired"]), NS),
    CommitFact: st.builds(
        CommitFact,
        OIDS,
        PROJECTS,
        st.sampled_from(OPERATIONS),
        MARKS,
        SECONDS,
        st.integers(0, (1 << 32) - 1),
        DECODED | TEXT,
    ),
    RewriteFact: rewrites(20) | rewrites(32),
    CreditFact: st.builds(CreditFact, OIDS, credited(), NS, TEXT),
    SightingFact: st.builds(SightingFact, OIDS, MARKS, SECONDS),
    UndoneFact: st.builds(UndoneFact, OIDS, OIDS | st.just(b""), NS),
    LossFact: st.builds(LossFact, OIDS, st.booleans(), NS),
    GradeFact: st.builds(
        lambda of, *rest: GradeFact(rest[0], *of, *rest[1:]),
        ABOUT_ONE,
        IDS,
        st.sampled_from(SIDES),
        st.sampled_from(GRADES),
        ANY_TEXT,
        NS,
    ),
    BugFact: st.builds(
        lambda of, *rest: BugFact(rest[0], *of, *rest[1:]), ABOUT_ONE, IDS, ANY_TEXT, OIDS | st.just(b""), WORD, NS
    ),
    WithdrawalFact: st.builds(WithdrawalFact, IDS, ANY_TEXT, NS),
    RetroFact: st.builds(
        RetroFact,
        IDS,
        OIDS,
        WORD,
        WORD,
        ANY_TEXT,
        st.sampled_from(["", *GRADES]),
        st.sampled_from(["", *GRADES]),
        ANY_TEXT,
        ANY_TEXT,
        WORD,
        NS,
    ),
    ActivityFact: st.builds(
        ActivityFact, IDS, WORD, WORD, OIDS | st.just(b""), ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT, WORD, NS
    ),
    SessionFact: st.builds(
        SessionFact,
        WORD.filter(bool),
        WORD,
        WORD,
        WORD,
        ANY_TEXT,
        WORD,
        st.integers(0, 1 << 32),
        WORD,
        st.integers(0, 1 << 16),
        ANY_TEXT,
        WORD,
        NS,
    ),
    BindingFact: st.builds(BindingFact, WORD.filter(bool), WORD.filter(bool), NS),
    PulseFact: st.builds(
        PulseFact,
        IDS,
        WORD.filter(bool),
        st.sampled_from(PULSES),
        COUNTS,
        COUNTS,
        COUNTS,
        COUNTS,
        st.integers(0, 1 << 40),
        st.integers(0, 1 << 40),
        NS,
    ),
    PushFact: st.builds(PushFact, OIDS, NS),
    RulesFact: st.builds(
        lambda at, is_for_all, xp: rules_fact(at=at, is_for_all=is_for_all, commitXp=xp),
        st.integers(0, 1 << 33),
        st.booleans(),
        st.integers(0, 100_000),
    ),
    ForgetFact: st.builds(ForgetFact, IDS | OIDS.map(bytes.hex), NS),
}
FACTS_OF_ANY_KIND = st.sampled_from(sorted(KINDS, key=lambda kind: kind.__name__)).flatmap(KINDS.__getitem__)
UNPAIRED = GradeFact(fact_id("g"), oid("a"), "", "user", "good", "\ud83d\ude00 \ud800 \udcff 😀 \x1b[2J", 1)


def line_of(fact: Fact) -> bytes:
    """Return a fact's line."""
    return format_object(fact_to_json(fact))


def read(line: bytes) -> Fact:
    """Return what a line says."""
    return fact_from_json(parse_object(line))


def test_every_kind_is_tried_here() -> None:
    """A kind of fact that is new cannot be forgotten in the format, nor in these tests."""
    stored: set[type] = {
        CommitFact,
        ProjectFact,
        AgentFact,
        StateFact,
        RewriteFact,
        CreditFact,
        SightingFact,
        UndoneFact,
        LossFact,
    }
    stored |= {kind.fact for kind in journal_codec.KINDS}
    assert KINDS.keys() == stored
    assert set(FACTS.values()) == stored


@UNHURRIED
@given(FACTS_OF_ANY_KIND)
@example(UNPAIRED)
def test_a_fact_comes_back(fact: Fact) -> None:
    """Each field of each kind is kept, undecodable bytes, lone surrogates and control characters among them."""
    line = line_of(fact)
    assert read(line) == fact
    assert line_of(read(line)) == line


@UNHURRIED
@given(FACTS_OF_ANY_KIND)
@example(UNPAIRED)
def test_a_line_is_plain_and_any_reader_of_json_reads_it(fact: Fact) -> None:
    """A line is printable ASCII, so that a terminal can be shown it, and strict JSON with the fields by their names."""
    line = line_of(fact)
    assert line.endswith(b"\n")
    assert line[:-1].decode("ascii").isprintable()
    value = json.loads(line)
    assert list(value) == ["kind", *fact._fields]


@UNHURRIED
@given(FACTS_OF_ANY_KIND)
def test_what_is_read_can_be_stored(fact: Fact) -> None:
    """A fact that was read has a packed form, from which it comes back: an import cannot fail on it later."""
    found = read(line_of(fact))
    if not isinstance(found, CommitFact | ProjectFact):
        key = packing.event_key(found)
        assert len(key) <= 400
        assert packing.unpack_event(key, packing.pack_event(found)) == found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@UNHURRIED
@given(FACTS_OF_ANY_KIND, st.data())
def test_a_field_that_holds_anything_else_is_refused_or_right(fact: Fact, data: st.DataObject) -> None:
    """Any value in the place of any field either makes a fact that comes back and can be stored, or a RecordError."""
    value: dict[str, Any] = fact_to_json(fact)
    name = data.draw(st.sampled_from(sorted(value)))
    value[name] = data.draw(JSON)
    try:
        found = fact_from_json(value)
    except RecordError:
        return
    assert read(line_of(found)) == found
    if not isinstance(found, CommitFact | ProjectFact):
        packing.pack_event(found)


@UNHURRIED
@given(FACTS_OF_ANY_KIND, st.data())
def test_any_mutation_of_a_line_is_refused_or_a_fact(fact: Fact, data: st.DataObject) -> None:
    """Bytes changed, taken out and put in, anywhere: a RecordError or a fact, and nothing else."""
    line = bytearray(line_of(fact))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(line)))
        line[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"[", b"\\u"])
        )
    try:
        found = read(bytes(line))
    except RecordError:
        return
    assert read(line_of(found)) == found


@UNHURRIED
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_a_fact(line: bytes) -> None:
    """What was never a line is a RecordError."""
    with pytest.raises(RecordError):
        read(line)


NESTED = 100_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[" * NESTED, "nested too deeply"),
        (b'{"kind":' + b'{"a":' * NESTED, "nested too deeply"),
        (b'{"kind":"commit","marks":' + b"[" * NESTED + b"]" * NESTED + b"}", "nested too deeply"),
        (b'{"kind":"push","kind":"push"}', "'kind' stands there twice"),
        (b'{"kind":NaN}', "not a whole number: NaN"),
        (b'{"kind":-Infinity}', "not a whole number: -Infinity"),
        (b'{"kind":1e999}', "not a whole number: 1e999"),
        (b'{"kind":1.5}', "not a whole number: 1.5"),
        (b'{"kind":' + b"9" * 5000 + b"}", "Exceeds the limit"),
        (b'{"kind":"\xff"}', "not UTF-8: byte 10"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"{}", "no kind of fact"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"", "not JSON"),
        (b'{"kind":"messages"}', "unknown kind of fact 'messages'"),
        (b'{"kind":["commit"]}', "unknown kind of fact of type list"),
        (b'{"kind":"push","oid":""}', "malformed push: recorded_ns is missing"),
        (b'{"kind":"push","oid":"","recorded_ns":1,"more":1}', "malformed push: unknown field 'more'"),
        (b" " * (MAX_LINE_BYTES + 1), "longer than"),
    ],
    ids=range(20),
)
def test_a_bomb_or_nonsense_is_refused_in_words(line: bytes, reason: str) -> None:
    """Nesting, huge numbers, names given twice: each has its own message."""
    with pytest.raises(RecordError) as caught:
        read(line)
    assert reason in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("fact", "name", "value", "reason"),
    [
        (commit_fact("a"), "oid", "ab", "not a full oid"),
        (commit_fact("a"), "oid", 7, "oid: not a text"),
        (commit_fact("a"), "project", "../../etc", "not a project's id"),
        (commit_fact("a"), "operation", "magic", "operation: unknown"),
        (commit_fact("a"), "marks", ["hook"], "names and values in turn"),
        (commit_fact("a"), "marks", [["hook", "1"]], "not a list of texts"),
        (commit_fact("a"), "marks", ["", "1"], "names and values in turn"),
        (commit_fact("a"), "marks", ["hook", "a\0b"], "a NUL character"),
        (commit_fact("a"), "marks", ["hook", "\ud800"], "a surrogate that stands for no byte"),
        (commit_fact("a"), "committed_at", -1, "not a whole number from 0"),
        (commit_fact("a"), "committed_at", True, "not a whole number from 0"),
        (commit_fact("a"), "committed_at", 1 << 40, "not a whole number from 0"),
        (commit_fact("a"), "committed_at", 10**4000, "a huge number"),
        (commit_fact("a"), "recorded_at", 1 << 32, "not a whole number from 0"),
        (commit_fact("a"), "subject", "x" * 5000, "over the limit"),
        (agent_fact("a"), "id", "../a", "not an agent's id"),
        (agent_fact("a"), "id", HUMAN, "stands for people"),
        (agent_fact("a"), "name", "a\0b", "control characters"),
        (agent_fact("a"), "client", "\udcff", "control characters"),
        (project_fact(), "path", "a\0b", "a NUL character"),
        (project_fact(), "root", "abc", "not a full oid"),
        (grade("g", "a"), "session", "s", "about a commit or about a session"),
        (grade("g", "a"), "note", "x" * (MAX_NOTE + 1), "over the limit"),
        (grade("g", "a"), "note", {"hex": "zz"}, "not a text in hexadecimal digits"),
        (grade("g", "a"), "note", {"hex": "ff"}, "not a text in hexadecimal digits"),
        (grade("g", "a"), "note", {"text": "a"}, "note: not a text"),
        (session("s", "a"), "process", (1 << 32) + 1, "not a number up to"),
        (session("s", "a"), "recorded_ns", "1", "not a whole number"),
        (rules_fact(), "values", "commitXp=\u00b2", "not NAME=NUMBER"),
        (rules_fact(), "values", "levelXp=0", "must be a whole number from 1"),
        (rules_fact(), "values", "trustJunior=9 trustExpert=1", "the tiers must rise"),
        (rules_fact(), "values", "commitXp=1 ", "not NAME=NUMBER"),
    ],
)
def test_a_field_that_may_not_hold_this_says_so(fact: Fact, name: str, value: object, reason: str) -> None:
    """The message names the kind, the field and what is wrong with it."""
    with pytest.raises(RecordError) as caught:
        fact_from_json(fact_to_json(fact) | {name: value})
    assert reason in caught.value.message


def test_a_rewrite_joins_oids_of_one_kind() -> None:
    """Where one of them is longer, nobody could tell them apart in a key."""
    value = fact_to_json(RewriteFact(oid("a"), oid("b"), "amend", 1, 0, 0)) | {"new": oid("b", length=32).hex()}
    with pytest.raises(RecordError, match="another kind"):
        fact_from_json(value)


def test_rules_of_a_newer_program_are_passed_over() -> None:
    """A rule that is not known here does not keep a file out: it is kept, for a program that knows it."""
    fact = RulesFact(5, is_for_all=False, values="commitXp=7 somethingNew=3")
    assert read(line_of(fact)) == fact


@UNHURRIED
@given(st.sampled_from([kind.fact for kind in journal_codec.KINDS]).flatmap(KINDS.__getitem__))
def test_a_fact_whose_texts_were_forgotten_comes_back(fact: JournalFact) -> None:
    """Without its texts it is a fact like any other."""
    blanked = journal_codec.blanked(fact)
    assert read(line_of(blanked)) == blanked
