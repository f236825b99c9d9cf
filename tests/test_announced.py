"""The agent that a client announces: which of those registered, when a new one, and what a client tells of itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.announced import (
    WHOLE_SCOPE,
    agent_for,
    is_same_model,
    model_told,
    only_client,
    scope_told,
)
from agent_tracker.marks import CLIENTS, MODEL_VARIABLES, UNKNOWN_MODEL
from agent_tracker.records import Agent, AgentFact
from agent_tracker.registration import Identity, agent_id, check_registration
from facts import NOW, UNHURRIED, agent

OPUS, SONNET = (agent("claude", client="claude", model=model) for model in ("claude-opus-4.1", "claude-sonnet-4-5"))
RETIRED = agent("claude", client="claude", model="old", transitions=((NOW + 1, False),))
DOCS = OPUS._replace(id="docs-1", scope="docs")
OTHERS = agent("codex", client="codex", model="gpt-5")


def found(model: str, *agents: Agent, auto: bool = False, scope: str = WHOLE_SCOPE) -> Agent | AgentFact | Identity:
    """Return whose a session of Claude Code is."""
    return agent_for("claude", model, agents, now=NOW, scope=scope, auto_register=auto)


@pytest.mark.parametrize("auto", [False, True], ids=["asked", "by-itself"])
@pytest.mark.parametrize(
    ("model", "agents", "expected"),
    [
        pytest.param("claude-opus-4.1", (OPUS, SONNET), OPUS, id="same"),
        pytest.param("anthropic/claude-opus-4-1-20250805", (SONNET, OPUS), OPUS, id="provider-and-date"),
        pytest.param("", (OPUS, OTHERS), OPUS, id="unknown-model-only-agent"),
        pytest.param("Claude Sonnet 4.5", (RETIRED, OPUS, SONNET), SONNET, id="in-words"),
    ],
)
def test_an_agent_with_the_model_is_the_one(
    model: str, agents: tuple[Agent, ...], expected: Agent, *, auto: bool
) -> None:
    """Whatever else is registered, and whether agents register by themselves or not."""
    assert found(model, *agents, auto=auto) == expected


def test_of_two_with_the_model_the_scope_decides() -> None:
    """Where it decides; else it is open."""
    assert found("claude-opus-4-1", OPUS, DOCS, scope="docs") == DOCS
    left_open = found("claude-opus-4-1", OPUS, DOCS, scope="tests", auto=True)
    assert isinstance(left_open, Identity)
    assert (left_open.problem, left_open.who) == ("ambiguous", "claude")


@pytest.mark.parametrize(
    ("model", "agents", "problem"),
    [
        pytest.param("m", (OTHERS,), "unregistered", id="none-of-the-client"),
        pytest.param("m", (RETIRED,), "unregistered", id="retired"),
        pytest.param("", (), "unregistered", id="none-at-all"),
        pytest.param("m", (OPUS, SONNET), "ambiguous", id="two-of-other-models"),
        pytest.param("", (OPUS, SONNET), "ambiguous", id="two-and-no-model"),
    ],
)
def test_without_leave_to_register_there_is_a_problem(model: str, agents: tuple[Agent, ...], problem: str) -> None:
    """The one that a commit's identity would have."""
    identity = found(model, *agents)
    assert isinstance(identity, Identity)
    assert (identity.problem, identity.who, identity.basis) == (problem, "claude", "client")


def test_without_leave_to_register_another_model_is_the_only_agents() -> None:
    """A person may have called the model something else."""
    assert found("m-2", OPUS) == OPUS


@pytest.mark.parametrize(
    ("model", "agents", "registered"),
    [
        pytest.param("m-2", (), "m-2", id="none"),
        pytest.param("m-2", (OPUS,), "m-2", id="another-model"),
        pytest.param("m-2", (OPUS, SONNET), "m-2", id="two-other-models"),
        pytest.param("", (OTHERS,), UNKNOWN_MODEL, id="unknown"),
        pytest.param("\x1b[2J", (), UNKNOWN_MODEL, id="not-printable"),
        pytest.param("m" * 101, (), UNKNOWN_MODEL, id="too-long"),
    ],
)
def test_a_new_setup_registers_by_itself(model: str, agents: tuple[Agent, ...], registered: str) -> None:
    """Its name is the client's, and it is tied to that."""
    setup = agent_id("claude", registered, "docs")
    assert found(model, *agents, auto=True, scope="docs") == AgentFact(
        setup, "claude", registered, "docs", "claude", NOW
    )


def test_what_a_person_retired_does_not_register_again() -> None:
    """By itself, that is."""
    retired = RETIRED._replace(id=agent_id("claude", "old", WHOLE_SCOPE), scope=WHOLE_SCOPE)
    identity = found("old", retired, auto=True)
    assert isinstance(identity, Identity)
    assert (identity.problem, identity.who) == ("retired", retired.id)


def test_a_setup_that_was_registered_without_its_client_is_found() -> None:
    """It has the id that the new one would have."""
    known = OPUS._replace(id=agent_id("claude", "m-2", WHOLE_SCOPE), model="m-2", scope=WHOLE_SCOPE, client="")
    assert found("m-2", known, auto=True) == known


@UNHURRIED
@given(
    st.text(max_size=120),
    st.lists(st.sampled_from([OPUS, SONNET, RETIRED, DOCS, OTHERS]), unique_by=lambda each: each.id),
    st.booleans(),
)
def test_whatever_a_client_says_the_answer_can_be_kept(model: str, agents: list[Agent], auto: bool) -> None:  # noqa: FBT001
    """A new setup is a registration that may be written down, and an agent is an active one of this client."""
    answer = found(model, *agents, auto=auto)
    if isinstance(answer, AgentFact):
        check_registration(answer.name, answer.model, answer.scope)
        assert auto
    elif isinstance(answer, Agent):
        assert answer.active
        assert answer.client == "claude"
    else:
        assert answer.problem


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("gpt-5", "gpt-5-mini", False),
        ("gpt-5", "openai/GPT-5", True),
        ("claude-opus-4-1", "claude-opus-4-1-20250805", True),
        ("m-12345678", "m", False),
        ("20250805", "", False),
        ("", "", True),
    ],
)
def test_two_names_of_one_model(one: str, other: str, *, expected: bool) -> None:
    """Spelling, provider and date make no other model, everything else does."""
    assert is_same_model(one, other) is expected


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("", WHOLE_SCOPE),
        ("# Rules\n\nagent-tracker scope: backend\n", "backend"),
        ("<!-- agent-tracker scope: the docs -->\r\n", "the docs"),
        ("- **agent-tracker scope:** x", "x"),
        ("about the agent-tracker scope: backend", WHOLE_SCOPE),
        ("agent-tracker scope:\n", WHOLE_SCOPE),
        ("agent-tracker scope: \x1b[2J", WHOLE_SCOPE),
        (f"agent-tracker scope: {'x' * 200}", WHOLE_SCOPE),
    ],
)
def test_the_instructions_may_say_the_scope(text: str, scope: str) -> None:
    """In a line of its own, or a comment; what a registration could not hold is passed over."""
    assert scope_told(text) == scope


def test_a_models_variable_is_read_for_its_own_client_alone() -> None:
    """And only where it can be a model's name."""
    env = dict.fromkeys(MODEL_VARIABLES.values(), "m-1")
    assert {client for client in CLIENTS if model_told(client, env)} == set(MODEL_VARIABLES)
    assert model_told("claude", {"ANTHROPIC_MODEL": "a\nb"}) == ""


@pytest.mark.parametrize(
    ("marks", "client"),
    [
        ((("CLAUDECODE", "1"),), "claude"),
        ((("AI_AGENT", "claude-code"),), "claude"),
        ((("AI_AGENT", "newcomer"),), ""),
        ((("CLAUDECODE", "1"), ("CODEX_CI", "1")), ""),
        ((), ""),
    ],
)
def test_one_known_client_is_meant_or_none(marks: tuple[tuple[str, str], ...], client: str) -> None:
    """Two leave it open, and an unknown one cannot be tied to anything."""
    assert only_client(marks) == client
