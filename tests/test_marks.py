"""The marks of agents: what is strong or weak, what history's say; the table's version tells a change."""

from __future__ import annotations

import hashlib

import pytest

from agent_tracker import marks as marks_module
from agent_tracker.errors import RegistrationError
from agent_tracker.hook import environment_marks
from agent_tracker.marks import (
    CLIENTS,
    EXACT_VALUES,
    IMPORTED,
    MODEL_VARIABLES,
    UNKNOWN_MODEL,
    Sign,
    find_clients,
    find_signs,
    setups_of,
)
from agent_tracker.records import HUMAN, MICRO, UNCLAIMED, Agent, Marks
from agent_tracker.registration import Roster, agent_id, check_registration, identify, whole
from facts import NOW, agent

U = UNKNOWN_MODEL

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
    assert not set(MODEL_VARIABLES.values()) & set(marks_module.VARIABLES)


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


TABLES = (
    "ADDRESSES",
    "ADDRESS_PARTS",
    "ALIASES",
    "CLIENTS",
    "CLIENT_SESSIONS",
    "EXACT_VALUES",
    "FAMILIES",
    "HISTORY_TRAILERS",
    "IDENTITY_TRAILERS",
    "NAMING_TRAILERS",
    "SESSION_TRAILERS",
    "SPOKEN",
)
DIGEST = "2c15fa52a2e5aa34"
"""Of the version below."""


def test_the_version_of_the_table_says_that_it_changed() -> None:
    """Whoever changes a table raises MARKS_VERSION and puts the new digest here: stores tell older credits by it."""
    tables = {name: getattr(marks_module, name) for name in TABLES}
    told = repr([(name, sorted(each.items()) if isinstance(each, dict) else each) for name, each in tables.items()])
    assert (marks_module.MARKS_VERSION, hashlib.sha256(told.encode()).hexdigest()[:16]) == (2, DIGEST)


# -- history


def imported(client: str, model: str = U) -> Agent:
    """Return an agent as a scan registers it."""
    return agent(client, model=model)._replace(id=agent_id(client, model, IMPORTED), scope=IMPORTED)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Co-Authored-By: Claude <noreply@anthropic.com>", ("claude", U)),
        ("Co-Authored-By: Claude Opus 4.6 (1M context) <noreply@anthropic.com>", ("claude", "opus-4.6")),
        ("co-authored-by: Claude Sonnet 4.5 <NoReply@Anthropic.com>", ("claude", "sonnet-4.5")),
        ("Co-Authored-By: Claude 3.5 Sonnet <noreply@anthropic.com>", ("claude", "sonnet-3.5")),
        ("Co-authored-by: aider (gemini/gemini-2.5-pro) <aider@aider.chat>", ("aider", "gemini-2.5-pro")),
        ("Co-authored-by: aider (openai/gpt-4.1) <noreply@aider.dev>", ("aider", "gpt-4.1")),
        ("Co-authored-by: OpenHands-GPT-5 openhands@all-hands.dev", ("openhands", "gpt-5")),
        ("Co-authored-by: Copilot <198982749+Copilot@users.noreply.github.com>", ("copilot", U)),
        ("Co-authored-by: Copilot <223556219+Copilot@users.noreply.github.com>", ("copilot", U)),
        ("Co-authored-by: Cursor <cursoragent@cursor.com>", ("cursor", U)),
        ("Co-authored-by: Codex <noreply@openai.com>", ("codex", U)),
        ("Co-authored-by: Qwen-Coder <qwen-coder@alibabacloud.com>", ("qwen", U)),
        ("Co-authored-by: factory-droid[bot] <138933559+factory-droid[bot]@users.noreply.github.com>", ("droid", U)),
        ("Co-authored-by: google-labs-jules[bot] <1+google-labs-jules[bot]@users.noreply.github.com>", ("jules", U)),
        ("Assisted-by: Claude:claude-opus-4-5-20251101 coccinelle sparse", ("claude", "opus-4.5")),
        ("Assisted-by: Claude Opus 4.6 <noreply@anthropic.com>", ("claude", "opus-4.6")),
        ("Assisted-by: GitHub Copilot:gpt-5", ("copilot", "gpt-5")),
        ("Assisted-by: Claude Sonnet 4.5", ("claude", "sonnet-4.5")),
        ("Generated-by: Claude Code", ("claude", U)),
        ("Made-with: Cursor", ("cursor", U)),
        ("Claude-Session: https://claude.ai/code/session_01", ("claude", U)),
        ("Amp-Thread-ID: https://ampcode.com/threads/T-1", ("amp", U)),
    ],
)
def test_a_trailer_names_a_client_and_its_model(line: str, expected: tuple[str, str]) -> None:
    """As observed in public histories."""
    assert [sign[:2] for sign in find_signs((("trailer", line),))] == [expected]


@pytest.mark.parametrize(
    "mark",
    [
        pytest.param(
            ("trailer", "Co-authored-by: Copilot <175728472+Copilot@users.noreply.github.com>"),
            id="review-suggestion",
        ),
        pytest.param(
            (
                "trailer",
                "Co-authored-by: gemini-code-assist[bot] <176961590+gemini-code-assist[bot]@users.noreply.github.com>",
            ),
            id="a-reviewer",
        ),
        pytest.param(
            ("trailer", "Co-authored-by: dependabot[bot] <49699333+dependabot[bot]@users.noreply.github.com>"),
            id="dependabot",
        ),
        pytest.param(("author", "ci <41898282+github-actions[bot]@users.noreply.github.com>"), id="ci"),
        pytest.param(("author", "gemini-cli-robot <gemini-cli-robot@google.com>"), id="a-release-robot"),
        pytest.param(("author", "Ashwin <ashwin@anthropic.com>"), id="an-employee"),
        pytest.param(("trailer", "Co-authored-by: Calvin <calvin@all-hands.dev>"), id="another-employee"),
        pytest.param(("author", "Claude <claude@example.org>"), id="a-person-called-claude"),
        pytest.param(("author", "Claude <81847+claude@users.noreply.github.com>"), id="an-account-called-claude"),
        pytest.param(("trailer", "Assisted-by: Claude Dupont"), id="help-from-a-person"),
        pytest.param(("trailer", "Assisted-by: Claude Dupont <claude@dupont.example>"), id="with-an-address"),
        pytest.param(("author", "JV <aider@codewithjv.example>"), id="an-address-called-aider"),
        pytest.param(("trailer", "Co-authored-by: Paul (aider) <paul@example.org>"), id="a-co-author-s-nickname"),
        pytest.param(("trailer", "Reviewed-by: Claude <noreply@anthropic.com>"), id="a-review"),
        pytest.param(("trailer", "Entire-Checkpoint: 0123456789ab"), id="an-agent-nobody-names"),
        pytest.param(("footer", "parse-options"), id="generated-by-a-program"),
        pytest.param(("note", "human:"), id="a-note-on-people"),
        pytest.param(("note", "../../etc:x"), id="a-path"),
        pytest.param(("setup", "CLAUDE.md " + "a" * 40), id="an-instruction-file"),
    ],
)
def test_what_only_looks_like_a_mark_says_nothing(mark: tuple[str, str]) -> None:
    """Nobody is credited who was not there."""
    assert find_signs((mark,)) == []


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (("author", "Claude <noreply@anthropic.com>"), Sign("claude", U, "author")),
        (
            ("author", "claude[bot] <209825114+claude[bot]@users.noreply.github.com>"),
            Sign("claude", U, "author"),
        ),
        (("committer", "Paul Gauthier (aider) <paul@example.org>"), Sign("aider", U, "committer")),
        (("footer", "Claude Code"), Sign("claude", U, "footer")),
        (("note", "cursor:claude-4.5-sonnet-thinking"), Sign("cursor", "sonnet-4.5-thinking", "note")),
        (("note", "github-copilot:openai/gpt-5"), Sign("copilot", "gpt-5", "note")),
        (("note", "windsurf:default"), Sign("windsurf", U, "note")),
        (("note", "claude:" + "x" * 200), Sign("claude", U, "note")),
    ],
)
def test_people_footers_and_notes_name_a_client(mark: tuple[str, str], expected: Sign) -> None:
    """By the address or aider's own form; a note says the tool and its model."""
    assert find_signs((mark,)) == [expected]


def test_a_mark_without_a_model_adds_nothing_to_one_with_it() -> None:
    """A footer beside a trailer with the model is the same agent; two models are two."""
    marks: Marks = (
        ("footer", "Claude Code"),
        ("trailer", "Co-Authored-By: Claude Opus 4.5 <noreply@anthropic.com>"),
        ("trailer", "Co-Authored-By: Claude Haiku 4.5 <noreply@anthropic.com>"),
        ("author", "Devin <1+devin-ai-integration[bot]@users.noreply.github.com>"),
    )
    assert setups_of(find_signs(marks)) == [("claude", "haiku-4.5"), ("claude", "opus-4.5"), ("devin", U)]


CLAUDE: Marks = (("imported", "1"), ("trailer", "Co-Authored-By: Claude <noreply@anthropic.com>"))


def test_history_credits_its_own_setups_alone() -> None:
    """A registered agent of the same client gets nothing, whether it was there before or after."""
    theirs = imported("claude")
    for created_at in (NOW - 99, NOW + 99):
        registered = agent("claude", client="claude", created_at=created_at)
        found = identify(CLAUDE, Roster([registered, theirs]), at_ns=NOW * 10**9)
        assert found.credits == whole(theirs.id)
        assert identify(CLAUDE, Roster([registered]), at_ns=NOW * 10**9).credits == whole(UNCLAIMED)


def test_an_imported_agent_is_never_who_commits_now() -> None:
    """It has no name in the way of one that is registered, and nothing live means it by its name or client."""
    theirs, ours = imported("claude"), agent("claude", client="claude")
    named = (("AGENT_TRACKER_AGENT", theirs.id),)
    assert identify(named, Roster([theirs, ours]), at_ns=(NOW + 1) * 10**9).problem == "unregistered"
    for marks in ((("AGENT_TRACKER_AGENT", "claude"),), (("CLAUDECODE", "1"),), (("trailer", "Agent: claude"),)):
        assert identify(marks, Roster([theirs, ours]), at_ns=(NOW + 1) * 10**9).credits == whole(ours.id)
        assert identify(marks, Roster([theirs]), at_ns=(NOW + 1) * 10**9).problem == "unregistered"
    assert Roster([theirs]).one("claude") == theirs
    assert Roster([theirs, ours]).one("claude") == ours


def test_our_own_trailer_names_a_registered_agent() -> None:
    """The credit travels with the commit to a clone in which it is history."""
    ours = agent("coder")
    marks = (*CLAUDE, ("trailer", f"Agent: {ours.id}"))
    assert identify(marks, Roster([ours, imported("claude")]), at_ns=NOW * 10**9).credits == whole(ours.id)


def test_what_a_hook_saw_counts_before_what_history_says() -> None:
    """A hook's late word on a commit that a scan had found."""
    ours = agent("coder")
    marks = (("hook", "1"), ("AGENT_TRACKER_AGENT", "coder"), *CLAUDE)
    assert identify(marks, Roster([ours, imported("claude")]), at_ns=(NOW + 1) * 10**9).credits == whole(ours.id)


def test_several_setups_share_a_commit_of_history() -> None:
    """Equally, as marks of a live commit do."""
    marks = (*CLAUDE, ("author", "Devin <1+devin-ai-integration[bot]@users.noreply.github.com>"))
    roster = Roster([imported("claude"), imported("devin")])
    credits = identify(marks, roster, at_ns=0).credits
    assert credits == tuple((agent_id(name, U, IMPORTED), MICRO // 2) for name in ("claude", "devin"))


def test_nobody_may_register_in_the_scope_of_history() -> None:
    """Such an agent would be taken for an imported one."""
    with pytest.raises(RegistrationError, match="imported"):
        check_registration("mine", "m", IMPORTED)
