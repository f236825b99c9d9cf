"""Spool lines: what is written is read back, and whatever else comes is a RecordError."""

from __future__ import annotations

import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.errors import RecordError
from agent_tracker.escaping import escape, unescape
from agent_tracker.lines import (
    agent_line,
    commit_line,
    credit_line,
    format_line,
    parse_line,
    parse_oid,
    squash_line,
    state_line,
)
from agent_tracker.records import AgentFact, CreditFact, Seen, SeenCommit, SeenRewrite, SeenSquash, StateFact
from facts import UNHURRIED

SHA1, OTHER = bytes(range(20)), bytes(range(20, 40))
SHA256 = bytes(range(32))
ODD = "tab\t newline\n return\r back\\slash esc\x1b del\x7f é \udcff"


def seen_commit(resolved: str, use: str, *variables: tuple[str, str], during: str = "") -> SeenCommit:
    """Return what a hook says of a commit."""
    return SeenCommit(SHA1, resolved, use, during, variables)


WRITTEN: dict[str, tuple[bytes, Seen]] = {}
for _name, _seen in {
    "commit": seen_commit("a-1", "b-2", ("CLAUDECODE", "1"), ("AGENT_TRACKER_AGENT", ODD), during="rebase"),
    "commit-bare": seen_commit("", "")._replace(oid=SHA256),
    "commit-equals": seen_commit("human", "", ("AI_AGENT", "a=b =12")),
}.items():
    WRITTEN[_name] = (commit_line(_seen), _seen)
_rewrite = SeenRewrite(SHA1, OTHER, "rebase")
WRITTEN["rewrite"] = (format_line("rewrite", "rebase", _rewrite.old.hex(), _rewrite.new.hex()), _rewrite)
_squash = SeenSquash(OTHER, (SHA1, OTHER))
WRITTEN["squash"] = (squash_line(_squash), _squash)
_agent = AgentFact("a-1", ODD, "model", "", "claude", 1_700_000_000)
WRITTEN["agent"] = (agent_line(_agent), _agent)
_state = StateFact("a-1", "retired", 1_700_000_000_000_000_000)
WRITTEN["state"] = (state_line(_state), _state)
_credit = CreditFact(SHA256, (("a:1", 600_000), ("human", 300_000), ("", 100_000)), 17, ODD)
WRITTEN["credit"] = (credit_line(_credit), _credit)


def framed(record: bytes) -> bytes:
    """Return a record framed as the shell does it, without newlines."""
    return b"%s =%d" % (record, len(record))


def shell_record(*fields: str) -> bytes:
    """Return a line of the shell's, without newlines."""
    return framed("\t".join(("1", *fields)).encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("name", WRITTEN)
def test_every_kind_of_record_is_read_back(name: str) -> None:
    """What a line was made from is what it is parsed to."""
    line, seen = WRITTEN[name]
    assert parse_line(line.strip(b"\n")) == seen


@pytest.mark.parametrize("name", WRITTEN)
def test_a_line_is_one_line(name: str) -> None:
    """Nothing in a field can end the line: newlines stand around it only."""
    line, _ = WRITTEN[name]
    assert line[:1] == line[-1:] == b"\n"
    assert line.count(b"\n") == 2


@pytest.mark.parametrize("name", WRITTEN)
def test_a_line_torn_at_any_byte_is_rejected(name: str) -> None:
    """However much of the line was written, it is an error; only the checksum may be missing, as the shell's is."""
    line, seen = WRITTEN[name]
    whole = line.strip(b"\n")
    record_and_length = whole.rindex(b":")
    for end in range(len(whole)):
        if end in {record_and_length, record_and_length + 1}:
            assert parse_line(whole[:end]) == seen
        else:
            with pytest.raises(RecordError):
                parse_line(whole[:end])


@pytest.mark.parametrize("name", WRITTEN)
def test_a_line_without_its_beginning_is_rejected(name: str) -> None:
    """A line whose first bytes are lost does not have the length it says."""
    whole = WRITTEN[name][0].strip(b"\n")
    for start in range(1, len(whole)):
        with pytest.raises(RecordError):
            parse_line(whole[start:])


@pytest.mark.parametrize("name", WRITTEN)
def test_every_altered_byte_of_a_record_is_noticed(name: str) -> None:
    """The CRC covers each byte of the record."""
    whole = WRITTEN[name][0].strip(b"\n")
    for position in range(whole.rindex(b" =")):
        altered = bytearray(whole)
        altered[position] ^= 1
        with pytest.raises(RecordError, match="altered"):
            parse_line(bytes(altered))


def test_an_altered_crc_is_noticed() -> None:
    """A checksum that is not the record's is an error, even in upper case or with a digit too many."""
    record = b"1\trewrite\tamend\t" + SHA1.hex().encode() + b"\t" + OTHER.hex().encode()
    good = b"%08x" % zlib.crc32(record)
    assert parse_line(framed(record) + b":" + good) == SeenRewrite(SHA1, OTHER, "amend")
    for bad in (b"00000000", good + b"0", good[:-1], good.swapcase() + b" "):
        with pytest.raises(RecordError):
            parse_line(framed(record) + b":" + bad)


def test_a_line_of_the_shell_needs_no_crc() -> None:
    """The shell writes the length alone."""
    line = shell_record("commit", SHA1.hex(), "human", "", "rebase", "CLAUDECODE=1")
    assert parse_line(line) == seen_commit("human", "", ("CLAUDECODE", "1"), during="rebase")


def test_bytes_that_are_no_utf8_survive() -> None:
    """A variable in a foreign encoding is kept as it is."""
    said = parse_line(framed(b"1\tcommit\t" + SHA1.hex().encode() + b"\t\t\t\tAI_AGENT=\xff\xfe"))
    assert isinstance(said, SeenCommit)
    assert said.variables == (("AI_AGENT", "\udcff\udcfe"),)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="foreign"),
        pytest.param(framed(b"2\tcommit"), id="newer-version"),
        pytest.param(framed(b"1"), id="no-kind"),
        pytest.param(framed(b""), id="empty-record"),
        pytest.param(framed(b"1\tpush\tx"), id="unknown-kind"),
        pytest.param(b"1\tcommit =-8", id="negative-length"),
        pytest.param(b"1\tcommit =99999999999", id="huge-length"),
        pytest.param(shell_record("commit"), id="commit-without-oid"),
        pytest.param(shell_record("commit", "abcd", "", "", ""), id="short-oid"),
        pytest.param(shell_record("commit", "g" * 40, "", "", ""), id="oid-not-hex"),
        pytest.param(shell_record("commit", "ab " * 13 + " ", "", "", ""), id="oid-with-blanks"),
        pytest.param(shell_record("commit", SHA1.hex(), "", "", "", "no equals"), id="variable-without-value"),
        pytest.param(shell_record("commit", SHA1.hex(), "", "", "", "A B=1"), id="variable-name"),
        pytest.param(shell_record("commit", SHA1.hex(), "", "", "", "A=" + "x" * 5000), id="long-value"),
        pytest.param(shell_record("commit", SHA1.hex(), "", "", "", "A=\\x00"), id="nul"),
        pytest.param(shell_record("commit", SHA1.hex(), "\\q", "", ""), id="unknown-escape"),
        pytest.param(shell_record("commit", SHA1.hex(), "\\xzz", "", ""), id="escape-not-hex"),
        pytest.param(shell_record("commit", SHA1.hex(), "a\\", "", ""), id="escape-of-nothing"),
        pytest.param(shell_record("rewrite", "squash", SHA1.hex(), OTHER.hex()), id="unknown-rewrite"),
        pytest.param(shell_record("rewrite", "amend", SHA1.hex()), id="rewrite-to-nothing"),
        pytest.param(shell_record("agent", "a", "b", "c", "d", "e", "soon"), id="time-not-a-number"),
        pytest.param(shell_record("agent", "a", "b", "c", "d", "e", "-1"), id="negative-time"),
        pytest.param(shell_record("agent", "a", "b", "c", "d", "e", str(1 << 63)), id="time-too-large"),
        pytest.param(shell_record("agent", "a", "b", "c", "d", "e", "9" * 5000), id="time-enormous"),
        pytest.param(shell_record("agent", "a", "b"), id="too-few-fields"),
        pytest.param(shell_record("state", "a", "halted", "1"), id="unknown-state"),
        pytest.param(shell_record("credit", SHA1.hex(), "1", "", "a:999999"), id="shares-below-1"),
        pytest.param(shell_record("credit", SHA1.hex(), "1", "", "a:2000000", "b:-1000000"), id="negative-share"),
        pytest.param(shell_record("credit", SHA1.hex(), "1", "", "nobody"), id="share-missing"),
        pytest.param(shell_record("credit", SHA1.hex(), "1", ""), id="no-shares"),
    ],
)
def test_what_is_wrong_with_a_line_is_a_record_error(line: bytes) -> None:
    """Hostile or broken lines are refused."""
    with pytest.raises(RecordError):
        parse_line(line)


@UNHURRIED
@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_record_error(line: bytes) -> None:
    """No input whatever makes the parser fail in another way."""
    with suppress(RecordError):
        assert isinstance(parse_line(line), tuple)


@UNHURRIED
@given(
    kind=st.sampled_from(["commit", "rewrite", "agent", "state", "credit", "other"]),
    fields=st.lists(
        st.text(max_size=20)
        | st.integers().map(str)
        | st.sampled_from([SHA1.hex(), SHA256.hex(), "amend", "active", "rebase", "A=1", "a:1000000", "\\x", "\\"]),
        max_size=8,
    ),
    is_escaped=st.booleans(),
)
def test_any_fields_are_a_record_or_a_record_error(kind: str, fields: list[str], *, is_escaped: bool) -> None:
    """Well-framed lines with anything in them are parsed or refused, and nothing else."""
    line = format_line(kind, *fields).strip(b"\n") if is_escaped else shell_record(kind, *fields)
    with suppress(RecordError):
        assert isinstance(parse_line(line), tuple)


FIELDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.binary(max_size=60).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)


@UNHURRIED
@given(FIELDS)
def test_unescape_undoes_escape(text: str) -> None:
    """Any text comes back as it was, and has no tab or newline on the way."""
    escaped = escape(text)
    assert unescape(escaped) == text
    assert not any(ord(c) < 0x20 or ord(c) == 0x7F for c in escaped)


@UNHURRIED
@given(FIELDS.filter(lambda text: "\0" not in text), st.integers(0, (1 << 40) - 1))
def test_a_registration_with_any_text_is_read_back(text: str, recorded_at: int) -> None:
    """Names, models and scopes are the user's own text."""
    fact = AgentFact("id-1", text, f"{text}\t", "", text, recorded_at)
    assert parse_line(agent_line(fact).strip(b"\n")) == fact


@pytest.mark.parametrize("text", ["", "ab", "x" * 40, "a" * 39, "a" * 41, "ab " * 13 + "a", "é" * 40])
def test_an_oid_is_20_or_32_bytes_in_hexadecimal(text: str) -> None:
    """Nothing else passes for an oid."""
    with pytest.raises(ValueError, match=r"."):
        parse_oid(text)


def test_both_lengths_of_oid_are_read() -> None:
    """SHA-1 and SHA-256 repositories have different ones."""
    assert parse_oid(SHA1.hex()) == SHA1
    assert parse_oid(SHA256.hex()) == SHA256
