"""Who made a commit: the order in which marks are believed, each client by its own variable, and what is not enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_tracker.errors import RegistrationError
from agent_tracker.marks import CLIENTS, SESSION_VARIABLES, VARIABLES, client_name, find_clients
from agent_tracker.records import HUMAN, MICRO, UNCLAIMED, Agent, Marks
from agent_tracker.registration import Identity, Roster, agent_id, check_registration, identify, whole
from facts import NOW, UNHURRIED, agent

EXPLICIT, BY_CLIENT, BY_TRAILER, BY_USE = (
    agent("explicit"),
    agent("coder", client="claude"),
    agent("trailing", client="aider"),
    agent("used"),
)
ROSTER = Roster([EXPLICIT, BY_CLIENT, BY_TRAILER, BY_USE])
ALL_MARKS: Marks = (
    ("hook", "1"),
    ("use", BY_USE.id),
    ("AGENT_TRACKER_AGENT", "explicit"),
    ("CLAUDECODE", "1"),
    ("author", "Person <p@example.org>"),
    ("trailer", "Co-authored-by: aider (gpt) <aider@aider.chat>"),
)


def identified(*marks: tuple[str, str], roster: Roster = ROSTER, at: int = NOW + 10) -> Identity:
    """Return who made a commit with these marks, recorded at so many seconds."""
    return identify(marks, roster, at_ns=at * 10**9)


def without(*names: str) -> Marks:
    """Return all marks but those of these names."""
    return tuple(mark for mark in ALL_MARKS if mark[0] not in names)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        pytest.param(ALL_MARKS, EXPLICIT.id, id="variable"),
        pytest.param(without("AGENT_TRACKER_AGENT"), BY_CLIENT.id, id="client"),
        pytest.param(without("AGENT_TRACKER_AGENT", "CLAUDECODE"), BY_TRAILER.id, id="commit-mark"),
        pytest.param(without("AGENT_TRACKER_AGENT", "CLAUDECODE", "trailer"), BY_USE.id, id="use"),
        pytest.param((("hook", "1"), ("author", "Person <p@example.org>")), HUMAN, id="human"),
        pytest.param((("found", "1"), ("author", "Person <p@example.org>")), UNCLAIMED, id="unclaimed"),
        pytest.param((), UNCLAIMED, id="nothing"),
    ],
)
def test_marks_are_believed_in_order(marks: Marks, expected: str) -> None:
    """Variable, client, commit, use, human: the first that says something decides."""
    identity = identified(*marks)
    assert identity.credits == whole(expected)
    assert not identity.problem
    assert identity.reason


def test_human_says_so_outright() -> None:
    """A person inside an agent's shell can claim a commit."""
    assert identified(("CLAUDECODE", "1"), ("AGENT_TRACKER_AGENT", "human")).credits == whole(HUMAN)


@pytest.mark.parametrize(
    ("client", "variable"), [(client, variable) for client, variables in CLIENTS.items() for variable in variables]
)
def test_each_client_is_known_by_each_of_its_variables(client: str, variable: str) -> None:
    """Any one variable says which client runs, and the client's one agent is credited."""
    mine = agent("mine", client=client)
    assert find_clients(((variable, "1"),)) == [client]
    assert identified((variable, "1"), roster=Roster([mine, BY_USE])).credits == whole(mine.id)


@pytest.mark.parametrize("variable", ["OPENCODE", "CRUSH"])
@pytest.mark.parametrize("value", ["", "0", "true", "11", "/opt/opencode"])
def test_variables_with_a_common_name_must_be_exactly_1(variable: str, value: str) -> None:
    """A person may have such a variable for something else."""
    assert find_clients(((variable, value),)) == []
    assert identified(("hook", "1"), (variable, value)).credits == whole(HUMAN)


@pytest.mark.parametrize("variable", SESSION_VARIABLES)
def test_a_session_alone_identifies_nobody(variable: str) -> None:
    """Session ids are recorded, not believed."""
    assert identified(("hook", "1"), (variable, "1234")).credits == whole(HUMAN)


def test_every_variable_is_listed_once() -> None:
    """The shell writes each of them once."""
    assert len(set(VARIABLES)) == len(VARIABLES)


def test_two_clients_with_an_agent_each_leave_it_open() -> None:
    """Where two clients announce themselves nobody is credited, and both are named."""
    roster = Roster([BY_CLIENT, agent("other", client="codex")])
    identity = identified(("CLAUDECODE", "1"), ("CODEX_CI", "1"), roster=roster)
    assert identity.credits == whole(UNCLAIMED)
    assert identity.problem == "ambiguous"
    assert identity.who == "claude, codex"


def test_of_two_clients_the_registered_one_is_credited() -> None:
    """A client inside another one's shell decides nothing where only one has an agent."""
    assert identified(("CLAUDECODE", "1"), ("CODEX_CI", "1")).credits == whole(BY_CLIENT.id)


def test_of_two_clients_without_credit_the_registered_one_is_reported() -> None:
    """A retired agent is worth more words than a client nobody registered."""
    retired = agent("gone", client="codex", transitions=((NOW + 5, False),))
    identity = identified(("CLAUDECODE", "1"), ("CODEX_CI", "1"), roster=Roster([retired]))
    assert (identity.problem, identity.who) == ("retired", retired.id)


@pytest.mark.parametrize("text", ["explicit", EXPLICIT.id])
def test_an_agent_is_named_by_name_or_id(text: str) -> None:
    """Both mean the same."""
    assert identified(("AGENT_TRACKER_AGENT", text)).credits == whole(EXPLICIT.id)


def test_an_id_wins_over_a_name_that_looks_like_it() -> None:
    """What is another agent's name cannot take over an id."""
    impostor = agent(EXPLICIT.id)
    assert identified(("AGENT_TRACKER_AGENT", EXPLICIT.id), roster=Roster([impostor, EXPLICIT])).credits == whole(
        EXPLICIT.id
    )


@pytest.mark.parametrize(
    "marks",
    [
        pytest.param((("AGENT_TRACKER_AGENT", "twin"),), id="name"),
        pytest.param((("CLAUDECODE", "1"),), id="client"),
        pytest.param((("trailer", "Agent: twin"),), id="trailer"),
    ],
)
def test_two_active_agents_leave_it_open(marks: Marks) -> None:
    """Nothing tells two agents of one name or client apart, unless it was resolved when the commit was made."""
    twins = [agent("twin", client="claude", model=model) for model in ("m-1", "m-2")]
    identity = identified(*marks, roster=Roster(twins))
    assert (identity.credits, identity.problem) == (whole(UNCLAIMED), "ambiguous")
    resolved = identified(*marks, ("resolved", twins[1].id), roster=Roster(twins))
    if marks[0][0] != "trailer":
        assert resolved.credits == whole(twins[1].id)


def test_what_was_resolved_counts_only_among_those_meant() -> None:
    """An id resolved then does not outweigh the name that was given."""
    identity = identified(("AGENT_TRACKER_AGENT", "explicit"), ("resolved", BY_CLIENT.id))
    assert identity.credits == whole(EXPLICIT.id)


def test_the_one_active_agent_of_a_name_is_meant() -> None:
    """A retired predecessor with another model does not make its successor's commits ambiguous."""
    old = agent("twin", model="m-1", transitions=((NOW + 1, False),))
    new = agent("twin", model="m-2", created_at=NOW + 2)
    roster = Roster([old, new])
    assert identified(("AGENT_TRACKER_AGENT", "twin"), roster=roster).credits == whole(new.id)
    assert identified(("AGENT_TRACKER_AGENT", "twin"), roster=roster, at=NOW).credits == whole(old.id)


@pytest.mark.parametrize(
    ("at", "is_credited"),
    [(NOW + 1, True), (NOW + 5, False), (NOW + 7, False), (NOW + 9, True)],
    ids=["before", "at-retirement", "while-retired", "resumed"],
)
def test_an_agent_is_credited_while_it_was_active(at: int, *, is_credited: bool) -> None:
    """What counts is how things stood when the commit was recorded, not how they stand now."""
    retired = agent("coder", client="claude", transitions=((NOW + 5, False), (NOW + 8, True)))
    identity = identified(("CLAUDECODE", "1"), roster=Roster([retired]), at=at)
    assert identity.credits == whole(retired.id if is_credited else UNCLAIMED)
    assert identity.problem == ("" if is_credited else "retired")


@pytest.mark.parametrize(
    "marks",
    [(("AGENT_TRACKER_AGENT", "nobody"),), (("CODEX_CI", "1"),), (("use", "nobody-1"),), (("trailer", "Agent: x"),)],
)
def test_an_unregistered_agent_gets_no_credit_and_a_reason(marks: Marks) -> None:
    """The commit is kept, unclaimed, and not taken for a person's."""
    identity = identified(("hook", "1"), *marks)
    assert (identity.credits, identity.problem) == (whole(UNCLAIMED), "unregistered")
    assert identity.who


def test_an_agent_registered_later_gets_its_earlier_commits() -> None:
    """Of several registered later, the first one is meant."""
    first, second = agent("late", created_at=NOW + 50), agent("late", created_at=NOW + 60, model="m-2")
    assert identified(("AGENT_TRACKER_AGENT", "late"), roster=Roster([second, first])).credits == whole(first.id)


@pytest.mark.parametrize(
    ("mark", "client"),
    [
        (("trailer", "Co-authored-by: Claude <noreply@anthropic.com>"), "claude"),
        (("trailer", "co-AUTHORED-by: Claude Opus 4 <NoReply@Anthropic.com>"), "claude"),
        (("trailer", "Co-authored-by: Cursor <cursoragent@cursor.com>"), "cursor"),
        (("trailer", "Assisted-by: Claude:opus"), "claude"),
        (("trailer", "Assisted-by: claude-code:opus"), "claude"),
        (("trailer", "Agent: codex"), "codex"),
        (("author", "devin <158243242+devin-ai-integration[bot]@users.noreply.github.com>"), "devin"),
        (("author", "Copilot <198982749+Copilot@users.noreply.github.com>"), "copilot"),
        (("committer", "aider <aider@aider.chat>"), "aider"),
    ],
)
def test_marks_in_the_commit_name_a_client(mark: tuple[str, str], client: str) -> None:
    """Trailers and addresses as they are seen in public histories."""
    mine = agent("mine", client=client)
    assert identified(mark, roster=Roster([mine])).credits == whole(mine.id)


@pytest.mark.parametrize(
    "mark",
    [
        ("trailer", "Co-authored-by: A Friend <friend@example.org>"),
        ("author", "Claude Monet <monet@example.org>"),
        ("author", "aider@aider.chat.example.org"),
        ("trailer", "Agent:"),
        ("trailer", ""),
    ],
)
def test_other_marks_name_nobody(mark: tuple[str, str]) -> None:
    """A co-author who is a person, a namesake, a look-alike address."""
    roster = Roster([agent("mine", client="claude"), BY_TRAILER])
    assert identified(("hook", "1"), mark, roster=roster).credits == whole(HUMAN)


def test_marks_of_several_agents_share_the_commit() -> None:
    """Two co-authors that are agents have a half each."""
    identity = identified(
        ("trailer", "Co-authored-by: Claude <noreply@anthropic.com>"),
        ("trailer", "Co-authored-by: a <aider@aider.chat>"),
    )
    assert dict(identity.credits) == {BY_CLIENT.id: MICRO // 2, BY_TRAILER.id: MICRO // 2}


def test_three_shares_still_add_to_one() -> None:
    """What a third leaves over goes to someone."""
    three = [agent("a"), agent("b"), agent("c")]
    identity = identified(*(("trailer", f"Agent: {a.name}") for a in three), roster=Roster(three))
    assert sorted(share for _, share in identity.credits) == [333_333, 333_333, 333_334]


def test_a_mark_repeated_is_one_mark() -> None:
    """Author, committer and trailer of the same agent make it no two."""
    identity = identified(
        ("author", "aider <aider@aider.chat>"), ("trailer", "Agent: trailing"), ("committer", "x <aider@aider.chat>")
    )
    assert identity.credits == whole(BY_TRAILER.id)


@pytest.mark.parametrize(
    "value",
    ["claude", "Claude", "claude-code", "claude_1.2", "claude/2.1 (x)", "claude-code@2.1", "claude-code_2-1_agent"],
)
def test_ai_agent_names_a_client(value: str) -> None:
    """The generic variable is understood where no client's own is set."""
    assert identified(("AI_AGENT", value)).credits == whole(BY_CLIENT.id)


def test_ai_agent_yields_to_a_client_s_own_variable() -> None:
    """A tool may set it for whatever it starts."""
    assert find_clients((("AI_AGENT", "codex"), ("CLAUDECODE", "1"))) == ["claude"]


def test_ai_agent_of_an_unknown_client_is_an_agent_all_the_same() -> None:
    """It is not taken for a person."""
    identity = identified(("hook", "1"), ("AI_AGENT", "newcomer"))
    assert (identity.credits, identity.problem, identity.who) == (whole(UNCLAIMED), "unregistered", "newcomer")


NAMES = st.sampled_from([*VARIABLES, "hook", "resolved", "use", "author", "committer", "trailer"])
VALUES = st.text(max_size=20) | st.sampled_from(
    ["1", "human", "explicit", EXPLICIT.id, "Agent: used", "Agent: explicit"]
)


@UNHURRIED
@given(st.lists(st.tuples(NAMES, VALUES), max_size=6).map(tuple), st.integers(0, 1 << 34))
def test_any_marks_give_shares_that_add_to_one(marks: Marks, at: int) -> None:
    """Whatever the environment says, there is an answer, and it credits only agents that are registered."""
    identity = identify(marks, ROSTER, at_ns=at * 10**9)
    assert sum(share for _, share in identity.credits) == MICRO
    assert {who for who, _ in identity.credits} <= {*ROSTER.by_id, HUMAN, UNCLAIMED}
    assert not identity.problem or identity.credits == whole(UNCLAIMED)


def test_one_names_an_active_agent_before_retired_ones() -> None:
    """A name means the agent that works now; a retired one can still be named where it is the only one."""
    retired, active = agent("twin", transitions=((NOW, False),)), agent("twin", model="m-2")
    assert Roster([retired, active]).one("twin") == active
    assert Roster([retired]).one("twin") == retired


@pytest.mark.parametrize(
    ("text", "message"), [("nobody", "unknown agent 'nobody'"), ("twin", "'twin' names several agents")]
)
def test_one_refuses_what_names_none_or_several(text: str, message: str) -> None:
    """The error says which, and the hint lists the ids to choose from."""
    twins = [agent("twin", model=model) for model in ("m-1", "m-2")]
    with pytest.raises(RegistrationError, match=message) as caught:
        Roster(twins).one(text)
    assert text == "nobody" or all(twin.id in caught.value.hint for twin in twins)


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Backend Bot", "backend-bot-"), ("../../etc", "etc-"), ("日本", ""), ("x" * 90, "x" * 40 + "-"), ("-a-", "a-")],
)
def test_an_id_is_safe_as_a_file_name(name: str, slug: str) -> None:
    """A path, a foreign script or a long name cannot leave the registry's directory."""
    found = agent_id(name, "m", "s")
    assert found[: -len("12345678")] == slug
    assert all(c.isascii() and (c.isalnum() or c == "-") for c in found)


def test_the_id_depends_on_name_model_and_scope() -> None:
    """A new model is a new agent; the same three are the same one."""
    assert agent_id("a", "m", "s") == agent_id("a", "m", "s")
    assert (
        len({agent_id("a", "m", "s"), agent_id("a", "m2", "s"), agent_id("a", "m", "s2"), agent_id("am", "", "s")}) == 4
    )


@pytest.mark.parametrize(
    ("strings", "message"),
    [
        (("", "m", "s"), "name is empty"),
        (("n", " ", "s"), "model is empty"),
        (("n", "m", "\n"), "scope is empty"),
        (("n" * 101, "m", "s"), "101 characters"),
        (("n\x1b[2J", "m", "s"), "control characters"),
        (("Human", "m", "s"), "stands for people"),
    ],
)
def test_a_registration_that_cannot_be_kept_is_refused(strings: tuple[str, str, str], message: str) -> None:
    """Empty, too long, not printable, or the word for people."""
    with pytest.raises(RegistrationError, match=message):
        check_registration(*strings)


@pytest.mark.parametrize(
    ("given_name", "stored"), [("Claude-Code", "claude"), (" opencode ", "opencode"), ("aider", "aider")]
)
def test_a_client_has_one_name(given_name: str, stored: str) -> None:
    """Other spellings are understood."""
    assert client_name(given_name) == stored


def test_an_unknown_client_is_refused() -> None:
    """The hint lists those that are known."""
    with pytest.raises(RegistrationError, match="unknown client 'emacs'") as caught:
        client_name("emacs")
    assert "claude" in caught.value.hint


def of_sessions(**agents: Agent) -> Roster:
    """Return a roster of these agents, each with a session: `s_` and its argument's name."""
    sessions = {f"s_{name}": each.id for name, each in agents.items()}
    return Roster(agents.values(), lambda session: ((0, sessions[session]),) if session in sessions else ())


ONE, TWO = (agent("claude", client="claude", model=model) for model in ("m-1", "m-2"))
PLAIN = agent("plain")
SESSIONS = of_sessions(one=ONE, two=TWO, plain=PLAIN)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        pytest.param({"AGENT_TRACKER_SESSION": "s_plain"}, PLAIN.id, id="session"),
        pytest.param({"AGENT_TRACKER_SESSION": "s_plain", "CLAUDECODE": "1"}, PLAIN.id, id="before-a-client"),
        pytest.param({"AGENT_TRACKER_SESSION": "s_one", "AGENT_TRACKER_AGENT": "plain"}, PLAIN.id, id="after-a-name"),
        pytest.param({"AGENT_TRACKER_SESSION": "s_one", "AGENT_TRACKER_AGENT": "human"}, HUMAN, id="after-human"),
        pytest.param({"AGENT_TRACKER_SESSION": "unknown"}, HUMAN, id="unknown"),
        pytest.param({"AGENT_TRACKER_SESSION": "unknown", "AGENT_TRACKER_AGENT": ""}, HUMAN, id="empty-name"),
        pytest.param({"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "s_two"}, TWO.id, id="one-of-a-client"),
        pytest.param({"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "s_plain"}, PLAIN.id, id="none-of-the-client"),
        pytest.param({"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "s_gone"}, UNCLAIMED, id="of-nobody-known"),
        pytest.param({"AI_AGENT": "claude-code", "CLAUDE_CODE_SESSION_ID": "s_plain"}, PLAIN.id, id="generic"),
        pytest.param(
            {"AGENT_TRACKER_SESSION": "s_gone", "CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "s_two"},
            TWO.id,
            id="after-one-that-is-not-known",
        ),
        pytest.param(
            {"CLAUDECODE": "1", "GEMINI_CLI": "1", "CLAUDE_CODE_SESSION_ID": "s_plain"}, PLAIN.id, id="two-clients"
        ),
        pytest.param({"CLAUDECODE": "1", "CODEX_SESSION_ID": "s_two"}, UNCLAIMED, id="another-clients-variable"),
        pytest.param({"CODEX_CI": "1", "CODEX_THREAD_ID": "s_plain"}, PLAIN.id, id="client-without-agents"),
        pytest.param({"CLAUDE_CODE_SESSION_ID": "s_two"}, HUMAN, id="no-client"),
        pytest.param({"OPENCODE": "1", "OPENCODE_PID": "s_plain"}, UNCLAIMED, id="a-process-is-no-session"),
    ],
)
def test_a_session_tells_the_agent(env: dict[str, str], expected: str) -> None:
    """Right after the name of an agent, and a client's own before the client, whoever is tied to that."""
    assert identified(("hook", "1"), *env.items(), roster=SESSIONS).credits == whole(expected)


def test_a_retired_agent_s_session_is_not_given_to_its_client_s_other_agent() -> None:
    """Nor does what the hook resolved by the client change whose the session is."""
    gone, other = agent("gone", transitions=((NOW + 5, False),)), agent("other", client="claude")
    roster = of_sessions(gone=gone, other=other)
    marks = (("hook", "1"), ("CLAUDECODE", "1"), ("CLAUDE_CODE_SESSION_ID", "s_gone"))
    for more in ((), (("resolved", other.id),)):
        found = identified(*marks, *more, roster=roster, at=NOW + 10)
        assert (found.credits, found.problem, found.who) == (whole(UNCLAIMED), "retired", gone.id)


def test_a_session_s_agent_was_resolved_then() -> None:
    """Resumed in the second in which it committed, it may, as the hook saw."""
    back = agent("back", transitions=((NOW, False), (NOW + 11, True)))
    marks = (("hook", "1"), ("AGENT_TRACKER_SESSION", "s_back"))
    assert identified(*marks, roster=of_sessions(back=back), at=NOW + 10).problem == "retired"
    seen = identified(*marks, ("resolved", back.id), roster=of_sessions(back=back), at=NOW + 10)
    assert (seen.credits, seen.reason) == (whole(back.id), "session s_back")


def test_what_a_session_is_called_is_safe_to_show() -> None:
    """The reason is for people."""
    roster = Roster([PLAIN], lambda _: ((0, PLAIN.id),))
    assert identified(("AGENT_TRACKER_SESSION", "a\x1b[2J"), roster=roster).reason == "session 'a\\x1b[2J'"
