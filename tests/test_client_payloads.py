"""What clients tell their hooks, as they really did, and what anybody might."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.clients.payload import exit_code_behind, parse
from agent_tracker.clients.registry import ADAPTERS
from agent_tracker.marks import CLIENTS
from facts import UNHURRIED

if TYPE_CHECKING:
    from agent_tracker.clients.base import Told

PAYLOADS = Path(__file__).parent / "clients" / "payloads"
CHILD = "af6485336cbda9f6d"
SAID: dict[str, list[str]] = {
    "claude": [
        "begin",
        "use command",
        "use command failed",
        "use tool failed",
        "use tool",
        f"begin of {CHILD}",
        f"end of {CHILD}",
        "use tool",
        "idle",
        "end",
        "compact",
    ],
    "codex": [
        "begin",
        "use command",
        "use tool",
        "idle",
        "end",
        "begin of 01a1ff96-82e0-7880-bd3d-6e7e02f4882e",
        "use command of 01a1ff96-82e0-7880-bd3d-6e7e02f4882e",
        "end of 01a1ff96-82e0-7880-bd3d-6e7e02f4882e",
    ],
    "gemini": ["begin", "turn", "use command", "idle", "end"],
    "copilot": [
        "begin",
        "use command",
        "use tool failed",
        "use tool",
        "idle",
        "end",
        "begin of 079b707b-1757-470f-8601-c43ab15e9706",
        "use command of 079b707b-1757-470f-8601-c43ab15e9706",
        "end of 079b707b-1757-470f-8601-c43ab15e9706",
    ],
    "qwen": ["use command", "idle"],
}


def samples(name: str) -> list[bytes]:
    """Return a client's payloads."""
    return (PAYLOADS / f"{name}.jsonl").read_bytes().splitlines()


def in_words(told: Told) -> str:
    """Return what was told, in a few words."""
    words = [told.what, *((["tool", "command"][told.is_command],) if told.what == "use" else ())]
    return " ".join([*words, *(["failed"] if told.has_failed else []), *(["of", told.session] if told.parent else [])])


@pytest.mark.parametrize("name", SAID)
def test_what_a_client_tells_is_understood(name: str) -> None:
    """Each real payload says what it means; what is nothing of ours says nothing."""
    told = [found for line in samples(name) if (found := ADAPTERS[name].told(parse(line)))]
    assert [in_words(found) for found in told] == SAID[name]
    assert {found.cwd for found in told} == {"/home/dev/repo"}


@pytest.mark.parametrize(
    ("name", "models"),
    [("claude", {""}), ("codex", {"gpt-5.2-codex", ""}), ("gemini", {""}), ("copilot", {""}), ("qwen", {""})],
)
def test_the_model_is_taken_where_it_is_told(name: str, models: set[str]) -> None:
    """Codex names it, others have it in a transcript, whose place is known."""
    told = [found for line in samples(name) if (found := ADAPTERS[name].told(parse(line)))]
    assert {found.model for found in told} == models
    assert any(found.transcript for found in told)


@pytest.mark.parametrize(
    ("name", "response", "has_failed"),
    [
        ("codex", {"tool_response": {"isError": True}}, True),
        ("codex", {"tool_response": "Exit Code: 1"}, False),
        ("gemini", {"tool_response": {"llmContent": "Output: x\nExit Code: 3\nProcess Group PGID: 1"}}, True),
        ("gemini", {"tool_response": {"llmContent": "Output: Exit Code: 3\n"}}, False),
        ("gemini", {"tool_response": {"llmContent": "x", "error": {"message": "no"}}}, True),
        ("copilot", {"tool_result": {"text_result_for_llm": "\n<shellId: 1 completed with exit code 3>"}}, True),
        ("copilot", {"tool_result": {"text_result_for_llm": "\n<shellId: 1 completed with exit code 0>"}}, False),
        ("copilot", {"tool_result": {"result_type": "failure"}}, True),
        ("qwen", {"tool_response": {"llmContent": "Error: x\nExit Code: 2\nSignal: 0"}}, True),
        ("qwen", {"tool_response": {"llmContent": "Error: (none)\nExit Code: 0\nSignal: 0"}}, False),
    ],
)
def test_a_failure_is_found_where_the_client_calls_it_a_success(name: str, response: Any, has_failed: bool) -> None:  # noqa: ANN401, FBT001 -- JSON
    """The exit code that stands in the answer decides."""
    event = "AfterTool" if name == "gemini" else "PostToolUse"
    told = ADAPTERS[name].told({"hook_event_name": event, "session_id": "s", "tool_name": "x", **response})
    assert told is not None
    assert told.has_failed is has_failed


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"hook_event_name": "sessionStart", "model": "m", "workspace_roots": ["/w"]}, "begin"),
        ({"hook_event_name": "postToolUse", "tool_name": "Shell"}, "use command"),
        ({"hook_event_name": "postToolUseFailure", "tool_name": "Write"}, "use tool failed"),
        ({"hook_event_name": "preCompact"}, "compact"),
        ({"hook_event_name": "stop"}, "idle"),
        ({"hook_event_name": "sessionEnd"}, "end"),
        ({"hook_event_name": "preToolUse"}, ""),
    ],
    ids=["start", "command", "failure", "compact", "stop", "end", "other"],
)
def test_cursors_events_are_understood(payload: dict[str, object], said: str) -> None:
    """As Cursor's documentation has them."""
    told = ADAPTERS["cursor"].told({"conversation_id": "c", **payload})
    assert (in_words(told) if told else "") == said


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.just("x" * 300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
EVENTS = sorted({event for client in ADAPTERS.values() for event in client.EVENTS})
FIELDS = ["session_id", "agent_id", "parent_agent_id", "model", "cwd", "transcript_path", "tool_name", "tool_response"]
FIELDS += ["tool_result", "conversation_id", "workspace_roots", "what", "process", "parent_id", "agent_transcript_path"]


@pytest.mark.parametrize("name", ADAPTERS)
@UNHURRIED
@given(data=st.data())
def test_no_payload_makes_an_adapter_fail(name: str, data: st.DataObject) -> None:
    """Whatever the fields hold, what comes out can be kept: ids and models are short, printable words."""
    payload = data.draw(st.dictionaries(st.sampled_from(FIELDS), JSON))
    payload["hook_event_name"] = data.draw(st.sampled_from(EVENTS) | JSON)
    told = ADAPTERS[name].told(payload)
    if told is not None:
        assert told.session
        for word in (told.session, told.parent, told.model):
            assert len(word) <= 200
            assert word.isprintable()
        for path in (told.cwd, told.transcript):
            assert not path or path.startswith("/")
            assert "\0" not in path
        assert told.process in range(1 << 31)


@UNHURRIED
@given(JSON)
def test_json_is_read_as_the_standard_library_reads_it(value: object) -> None:
    """The part of it that is used alone gives the same: an object, or an error."""
    text = json.dumps({"a": value})
    assert repr(parse(text.encode())) == repr(json.loads(text, parse_int=float))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"1", b"{", b'{"a": }', b"\xff\xfe{}", b'"x"', b"null", b"{} {" + b"[" * 10],
    ids=["nothing", "list", "number", "open", "no value", "bytes", "text", "null", "more"],
)
def test_what_is_no_object_is_an_error(data: bytes) -> None:
    """It is said by an error of one kind, or passed over where an object came first."""
    try:
        found = parse(data)
    except ValueError:
        return
    assert data.startswith(b"{}")
    assert found == {}


def test_what_is_nested_too_deeply_is_an_error() -> None:
    """It does not end the interpreter."""
    with pytest.raises((RecursionError, ValueError)):
        parse(b'{"a":' + b"[" * 200_000)


@pytest.mark.parametrize(
    ("text", "code"),
    [("x: 3", 3), ("x:3>", 3), ("x: 0\nx: 12 y", 12), ("x: -1", 0), ("3", 0), ("x: ", 0), ("x: " + "9" * 50, 99999999)],
)
def test_the_last_exit_code_counts(text: str, code: int) -> None:
    """Behind the mark, up to a number of digits."""
    assert exit_code_behind("x:", text) == code


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_keeps_its_contract(name: str) -> None:
    """It is a client that commits are known by, and says what it misses."""
    client = ADAPTERS[name]
    assert name == client.NAME
    assert name in CLIENTS
    assert client.TITLE
    assert all(client.MISSES)
    assert bool(client.EVENTS) == bool(client.config_path({}, "/home/x"))
    assert bool(client.EVENTS) == bool(client.settings("call", "/state"))
