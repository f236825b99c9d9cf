"""Notes of git-ai: who wrote lines of a commit, and what is no note."""

from __future__ import annotations

import json

import pytest

from agent_tracker.notes import note_marks


def note(attested: str, **tables: object) -> bytes:
    """Return a note with these lines attested."""
    data = {"schema_version": "authorship/3.0.0", "prompts": {}, **tables}
    return f"{attested}\n---\n{json.dumps(data, indent=2)}".encode()


def agent(tool: str, model: str) -> dict[str, object]:
    """Return the record of a session."""
    return {"agent_id": {"tool": tool, "id": "1", "model": model}, "human_author": "A <a@b>"}


SESSIONS = {"s_c9883b05a2487d": agent("cursor", "claude-sonnet-4-5"), "s_e7f2a90b31cc48": agent("codex", "gpt-5")}


def test_a_session_counts_where_its_lines_are() -> None:
    """One whose lines did not get in is named in the object and wrote nothing of the commit."""
    text = "a.rs\n  s_c9883b05a2487d::t_9f8e7d6c5b4a32 1-10\n  h_31dce776f88375 12"
    humans = {"h_31dce776f88375": {"author": "A <a@b>"}}
    assert note_marks(note(text, sessions=SESSIONS, humans=humans)) == (("note", "cursor:claude-sonnet-4-5"),)


@pytest.mark.parametrize("key", ["d9978a8723e02b52", "d9978a8"])
def test_the_older_form_counts_too(key: str) -> None:
    """Prompts by bare digits, of which the first versions wrote seven."""
    prompts = {"d9978a8723e02b52": agent("claude", "opus")}
    assert note_marks(note(f"a.rs\n  {key} 1", prompts=prompts)) == (("note", "claude:opus"),)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"a remark", id="text"),
        pytest.param(b"\xff\xfe\x00", id="bytes"),
        pytest.param(b"a\n  s_1 1\n---\n{", id="broken"),
        pytest.param(b"a\n  s_1 1\n---\n[]", id="a-list"),
        pytest.param(b"a\n  s_1 1\n---\n" + b"[" * 200_000, id="deep"),
        pytest.param(b"a\n  s_1 1\n---\n" + b'{"a":' * 200_000, id="deep-objects"),
        pytest.param(note("a\n  s_1 1", sessions=[1]), id="sessions-are-a-list"),
        pytest.param(note("a\n  s_1 1", sessions={"s_1": 1}), id="a-session-is-a-number"),
        pytest.param(note("a\n  s_1 1", sessions={"s_1": {"agent_id": {"tool": 5}}}), id="a-tool-is-a-number"),
        pytest.param(note("a\n  s_1 1", sessions={"s_1": agent("\x1b[31m", "")}), id="control-characters"),
        pytest.param(note("", sessions=SESSIONS), id="nothing-attested"),
    ],
)
def test_what_is_no_note_says_nothing(text: bytes) -> None:
    """It is untrusted, and never an error."""
    assert note_marks(text) == ()
