"""The marks by which coding agents are known: what they set in the environment, and what they leave in commits.

Owns the tables, and looking one mark up in them. Pure; which mark is believed, `registration` decides.

Sources: environment variables as observed in each client's own shell (OpenCode 1.18, Claude Code 2.1, Codex 0.169,
Gemini CLI 0.61, Copilot CLI 1.0, Qwen Code 0.15); trailers and addresses as observed in public histories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.errors import RegistrationError
from agent_tracker.records import HUMAN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tracker.records import Marks

__all__ = [
    "AGENT_VARIABLE",
    "ALIASES",
    "CLIENTS",
    "EXACT_VALUES",
    "IDENTITY_TRAILERS",
    "SESSION_VARIABLE",
    "SESSION_VARIABLES",
    "VARIABLES",
    "client_name",
    "client_of_address",
    "find_clients",
    "is_person",
    "named_sessions",
]

MAX_WORD = 100

AGENT_VARIABLE = "AGENT_TRACKER_AGENT"
SESSION_VARIABLE = "AGENT_TRACKER_SESSION"
NAMING_VARIABLES = (AGENT_VARIABLE, SESSION_VARIABLE, "AI_AGENT")

CLIENTS: dict[str, tuple[str, ...]] = {
    "claude": ("CLAUDECODE",),
    "opencode": ("OPENCODE",),
    "codex": ("CODEX_CI", "CODEX_THREAD_ID", "CODEX_SANDBOX"),
    "gemini": ("GEMINI_CLI",),
    "copilot": ("COPILOT_CLI",),
    "qwen": ("QWEN_CODE",),
    "cursor": ("CURSOR_AGENT",),
    "amp": ("AMP_CURRENT_THREAD_ID",),
    "crush": ("CRUSH",),
    "goose": ("GOOSE_TERMINAL",),
    "augment": ("AUGMENT_AGENT",),
    "antigravity": ("ANTIGRAVITY_AGENT",),
    "pi": ("PI_CODING_AGENT",),
    "aider": (),
    "devin": (),
    "droid": (),
    "jules": (),
    "openhands": (),
    "roo": (),
}
"""Each client's strong variables: any one of them, set and not empty, says that this client runs the command."""

EXACT_VALUES = {"OPENCODE": "1", "CRUSH": "1"}
"""Variables that say so only with this value."""

SESSION_VARIABLES = ("CLAUDE_CODE_SESSION_ID", "CODEX_SESSION_ID", "COPILOT_AGENT_SESSION_ID", "OPENCODE_PID")
"""Recorded with the commit, never identifying alone."""

CLIENT_SESSIONS = {
    "claude": ("CLAUDE_CODE_SESSION_ID",),
    "codex": ("CODEX_SESSION_ID", "CODEX_THREAD_ID"),
    "copilot": ("COPILOT_AGENT_SESSION_ID",),
    "amp": ("AMP_CURRENT_THREAD_ID",),
}
"""The variables in which a client gives the id of its own session: the number of a process is none, it comes again."""

VARIABLES = (*NAMING_VARIABLES, *(v for variables in CLIENTS.values() for v in variables), *SESSION_VARIABLES)
"""Every variable that is recorded, in the order in which the shell writes them."""

ALIASES = {
    "claude-code": "claude",
    "codex-cli": "codex",
    "copilot-cli": "copilot",
    "gemini-cli": "gemini",
    "github-copilot": "copilot",
    "qwen-code": "qwen",
}

ADDRESSES = {
    "aider@aider.chat": "aider",
    "amp@ampcode.com": "amp",
    "codex@openai.com": "codex",
    "crush@charm.land": "crush",
    "cursoragent@cursor.com": "cursor",
    "droid@factory.ai": "droid",
    "noreply@anthropic.com": "claude",
    "noreply@openai.com": "codex",
    "noreply@opencode.ai": "opencode",
    "openhands@all-hands.dev": "openhands",
    "qwen-coder@alibabacloud.com": "qwen",
    "roomote@roocode.com": "roo",
}
ADDRESS_PARTS = {
    "198982749+copilot@users.noreply.github.com": "copilot",
    "223556219+copilot@users.noreply.github.com": "copilot",
    "+copilot-swe-agent[bot]@users.noreply.github.com": "copilot",
    "+devin-ai-integration[bot]@users.noreply.github.com": "devin",
    "+factory-droid[bot]@users.noreply.github.com": "droid",
    "+google-labs-jules[bot]@users.noreply.github.com": "jules",
}
"""Ends of the addresses of accounts that carry a number before their name."""

IDENTITY_TRAILERS = ("agent", "assisted-by", "co-authored-by")
"""Trailers kept with a commit, in lower case."""


def client_name(name: str) -> str:
    """Return the client's name as it is stored.

    Raises:
        RegistrationError: No such client is known.
    """
    lowered = name.strip().lower()
    found = ALIASES.get(lowered, lowered)
    if found not in CLIENTS:
        raise RegistrationError(f"unknown client {name[:40]!r}", f"clients are: {', '.join(sorted(CLIENTS))}")
    return found


def find_clients(variables: Marks) -> list[str]:
    """Return the clients that announce themselves in the environment, in the table's order.

    AI_AGENT counts only where no variable of a client's own is set: a tool may set it for whatever it starts.
    """
    values = dict(variables)
    found = [client for client, names in CLIENTS.items() if any(_announces(name, values) for name in names)]
    generic = values.get("AI_AGENT", "")
    return found or ([_generic_client(generic)] if generic else [])


def is_person(env: Mapping[str, str]) -> bool:
    """Tell whether a person runs this: no agent announces itself in the environment, or it says `human`."""
    named = env.get(AGENT_VARIABLE, "")
    return named == HUMAN or not (named or env.get(SESSION_VARIABLE) or find_clients(tuple(env.items())))


def _announces(variable: str, values: dict[str, str]) -> bool:
    value = values.get(variable, "")
    return value == EXACT_VALUES[variable] if variable in EXACT_VALUES else bool(value)


def _generic_client(value: str) -> str:
    word = value.lower().partition("_")[0].partition("/")[0].partition("@")[0]
    return ALIASES.get(word, word)[:MAX_WORD]


def named_sessions(marks: Marks) -> tuple[str, ...]:
    """Return the ids of sessions that the environment names, the one that is believed first first.

    A client's own counts only where that client announces itself, and none does where a person said so outright.
    """
    values = dict(marks)
    if values.get(AGENT_VARIABLE) == HUMAN:
        return ()
    names = [SESSION_VARIABLE, *(name for client in find_clients(marks) for name in CLIENT_SESSIONS.get(client, ()))]
    return tuple(dict.fromkeys(values[name] for name in names if values.get(name)))


def client_of_address(person: str) -> str:
    """Return the client whose address is that of `Name <address>`, empty where it is none's."""
    address = person.rpartition("<")[2].rstrip("> ").lower()
    if address in ADDRESSES:
        return ADDRESSES[address]
    return next((client for end, client in ADDRESS_PARTS.items() if address.endswith(end)), "")
