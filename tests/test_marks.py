"""The table of marks: what is strong, what is weak, and that its version says when it changed."""

from __future__ import annotations

import hashlib

import pytest

from agent_tracker import marks
from agent_tracker.hook import environment_marks
from agent_tracker.marks import CLIENTS, EXACT_VALUES, MODEL_VARIABLES, find_clients
from agent_tracker.records import HUMAN
from agent_tracker.registration import Roster, identify, whole
from facts import NOW, agent

WEAK = {
    "COPILOT_MODEL": "gpt-5",
    "COPILOT_GITHUB_TOKEN": "secret",
    "GOOSE_PROVIDER": "openai",
    "GOOSE_MODEL": "gpt-5",
    "CURSOR_TRACE_ID": "0123",
    "REPL_ID": "0123",
    "OPENCODE_PID": "4711",
    "OPENCODE_CONFIG": "/home/someone/opencode.json",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE": "true",
    "CRUSH": "yes",
    "ANTHROPIC_MODEL": "opus",
    "ANTHROPIC_API_KEY": "secret",
    "GEMINI_MODEL": "pro",
    "GEMINI_API_KEY": "secret",
    "CLAUDE_CODE_SESSION_ID": "0123",
    "CODEX_SESSION_ID": "0123",
    "CODEX_HOME": "/home/someone/.codex",
    "COPILOT_AGENT_SESSION_ID": "0123",
    "AGENT": "1",
    "TERM_PROGRAM": "vscode",
}
"""What a person's terminal has too."""

EVERYBODY = Roster([agent(f"of-{client}", client=client) for client in CLIENTS])


@pytest.mark.parametrize("variable", [*WEAK, "all"])
def test_a_weak_mark_never_attributes(variable: str) -> None:
    """Not alone, and not together with all others of its kind, though every client has an agent."""
    env = WEAK if variable == "all" else {variable: WEAK[variable]}
    found = environment_marks(env)
    assert find_clients(found) == []
    assert identify((("hook", "1"), *found), EVERYBODY, at_ns=NOW * 10**9).credits == whole(HUMAN)


def test_secrets_are_not_recorded() -> None:
    """Nor what a model is called: of the environment only what tells identities is kept."""
    recorded = {name for name, _ in environment_marks(WEAK)}
    assert recorded <= {name for name in WEAK if name.endswith(("SESSION_ID", "_PID"))} | {"OPENCODE", "CRUSH"}
    assert not set(MODEL_VARIABLES.values()) & set(marks.VARIABLES)


@pytest.mark.parametrize(
    ("client", "variable"), [(client, name) for client, names in CLIENTS.items() for name in names]
)
def test_a_strong_mark_attributes_among_all_weak_ones(client: str, variable: str) -> None:
    """One is enough."""
    found = environment_marks(WEAK | {variable: EXACT_VALUES.get(variable, "1")})
    assert find_clients(found) == [client]
    identity = identify((("hook", "1"), *found), EVERYBODY, at_ns=NOW * 10**9)
    assert identity.basis == "client"
    assert EVERYBODY.by_id[identity.credits[0][0]].client == client


TABLES = ("ADDRESSES", "ADDRESS_PARTS", "ALIASES", "CLIENTS", "CLIENT_SESSIONS", "EXACT_VALUES", "IDENTITY_TRAILERS")
DIGEST = "22bc3ec643341b3d"
"""Of the version below."""


def test_the_version_of_the_table_says_that_it_changed() -> None:
    """Whoever changes a table raises MARKS_VERSION and puts the new digest here: stores tell older credits by it."""
    told = repr(
        [(name, sorted(table.items()) if isinstance(table := getattr(marks, name), dict) else table) for name in TABLES]
    )
    assert (marks.MARKS_VERSION, hashlib.sha256(told.encode()).hexdigest()[:16]) == (2, DIGEST)
