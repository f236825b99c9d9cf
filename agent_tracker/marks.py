"""The marks by which coding agents are known: what they set in the environment, and what they leave in commits.

Owns the tables, and looking marks up in them. Pure; which mark is believed, `registration` decides.

Sources: environment variables as observed in each client's own shell (OpenCode 1.18, Claude Code 2.1, Codex 0.169,
Gemini CLI 0.61, Copilot CLI 1.0, Qwen Code 0.15); trailers and addresses as observed in public histories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
    "HISTORY_TRAILERS",
    "IDENTITY_TRAILERS",
    "IMPORTED",
    "MARKS_VERSION",
    "MODEL_VARIABLE",
    "MODEL_VARIABLES",
    "SESSION_VARIABLE",
    "SESSION_VARIABLES",
    "SEVERAL_VERSIONS",
    "UNKNOWN_MODEL",
    "VARIABLES",
    "Sign",
    "client_name",
    "client_of_address",
    "find_clients",
    "find_signs",
    "is_person",
    "named_sessions",
    "setups_of",
]

MARKS_VERSION = 2
"""Raised whenever the tables below, or the order in which `registration` believes them, may say something else of a
commit. A store notes under which one its credits were derived: what they said is shown before it is changed.
Version 1 is that of stores which note none."""

SEVERAL_VERSIONS = 0
"""What a store notes where programs of several versions had a part in it: to each some credits may be another's."""

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

MODEL_VARIABLE = "AGENT_TRACKER_MODEL"
"""In which an adapter of ours tells the shell the session's model. Not recorded."""

MODEL_VARIABLES = {
    "claude": "ANTHROPIC_MODEL",
    "copilot": "COPILOT_MODEL",
    "gemini": "GEMINI_MODEL",
    "goose": "GOOSE_MODEL",
}
"""Where a client may be told which model to begin with: a guess at what it runs, believed where nothing better is known
and the client announces itself. A person's terminal may have it too, and it names nobody. Not recorded."""

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
    "+claude[bot]@users.noreply.github.com": "claude",
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

IMPORTED = "imported"
"""Names three things of what was found in history: the mark on its commits, their operation, and its agents' scope."""

UNKNOWN_MODEL = "unknown"
"""The model of an agent whose marks do not say it."""

SESSION_TRAILERS = {"amp-thread-id": "amp", "claude-session": "claude"}
"""Trailers that a client writes and no other, whatever they say."""

NAMING_TRAILERS = ("assisted-by", "generated-by", "made-with")
"""Trailers that say a client's name, and some of them its model."""

HISTORY_TRAILERS = (*IDENTITY_TRAILERS, *SESSION_TRAILERS, *NAMING_TRAILERS[1:], "entire-checkpoint")
"""Trailers kept with a commit that was found in history. Entire's says that there was an agent, and not which."""

SPOKEN = {
    "amp code": "amp",
    "claude code": "claude",
    "codex cli": "codex",
    "copilot cli": "copilot",
    "copilot swe agent": "copilot",
    "cursor agent": "cursor",
    "devin ai": "devin",
    "devin ai integration": "devin",
    "factory droid": "droid",
    "gemini cli": "gemini",
    "github copilot": "copilot",
    "github copilot cli": "copilot",
    "google jules": "jules",
    "google labs jules": "jules",
    "openai codex": "codex",
    "qwen code": "qwen",
    "qwen coder": "qwen",
    "roo code": "roo",
}
"""What people and programs call the clients, in lower case and with spaces, besides their own names and ALIASES."""

FAMILIES = (
    "claude",
    "codex",
    "composer",
    "deepseek",
    "devstral",
    "fable",
    "gemini",
    "glm",
    "gpt",
    "grok",
    "haiku",
    "kimi",
    "llama",
    "minimax",
    "mistral",
    "o1",
    "o3",
    "o4",
    "opus",
    "qwen",
    "sonnet",
    "swe-1",
)
"""How the names of models begin: what else stands behind a client's name is no model."""

_NO_MODELS = frozenset({"", "auto", "default"})
_MODEL_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")
_TOOL_LETTERS = _MODEL_LETTERS - frozenset("._")
MAX_MODEL = 60
DATE_DIGITS = 8


class Sign(NamedTuple):
    """One mark of an agent on a commit: the client, its model (UNKNOWN_MODEL where it is not said), and where it is.

    `source` is `author`, `committer`, `mailmap`, `footer`, `note`, or a trailer's name in lower case.
    """

    client: str
    model: str
    source: str


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


def find_signs(marks: Marks) -> list[Sign]:
    """Return the marks of agents on a commit that was found in history, in their order.

    Args:
        marks: `author`, `committer` and `mailmap` are `Name <address>`, `trailer` is a line of the message's trailers,
            `footer` what one of its last lines names, `note` a tool and its model; all others say nothing.

    Source: trailers, footers and addresses as they stand in public histories; notes by the Git AI Standard 3.0.0.
    """
    found = []
    for name, value in marks:
        if name == "trailer":
            sign = _sign_of_trailer(value)
        elif name in {"author", "committer", "mailmap"}:
            sign = _sign_of_person(value, name)
        elif name == "footer":
            sign = _sign_of_name(value, name)
        elif name == "note":
            sign = _sign_of_note(value)
        else:
            continue
        if sign:
            found.append(sign)
    return found


def setups_of(signs: list[Sign]) -> list[tuple[str, str]]:
    """Return the (client, model) that marks amount to, in order; no model adds nothing where another mark says one."""
    pairs = sorted({(sign.client, sign.model) for sign in signs})
    told = {client for client, model in pairs if model != UNKNOWN_MODEL}
    return [(client, model) for client, model in pairs if model != UNKNOWN_MODEL or client not in told]


def _sign_of_trailer(line: str) -> Sign | None:
    key, _, content = line.partition(":")
    key, content = key.strip().lower(), content.strip()
    if key in SESSION_TRAILERS:
        return Sign(SESSION_TRAILERS[key], UNKNOWN_MODEL, key) if content else None
    if key == "co-authored-by":
        return _sign_of_person(content, key)
    if key not in NAMING_TRAILERS:
        return None
    if "@" in content:
        return _sign_of_person(content, key)
    name, mark, model = content.partition(":")
    if not mark:
        return _sign_of_name(content, key)
    client = _spoken_client(name)
    return Sign(client, _model(model.split(maxsplit=1)[0]) if model.strip() else UNKNOWN_MODEL, key) if client else None


def _sign_of_person(person: str, source: str) -> Sign | None:
    """Return what `Name <address>` says: the address says who, and the name may say the model.

    Aider alone is known by its name: `aider (<model>)`, and `(aider)` behind that of the person it works for.
    """
    name, _, address = person.rpartition("<" if "<" in person else " ")
    lowered = name.strip().lower()
    if lowered.startswith("aider (") and lowered.endswith(")") and "@aider." in address.lower():
        return Sign("aider", _model(lowered[len("aider (") : -1]), source)
    if source != "co-authored-by" and lowered.endswith(" (aider)"):
        return Sign("aider", UNKNOWN_MODEL, source)
    client = client_of_address(f"<{address}")
    return Sign(client, _model_behind(client, name), source) if client else None


def _sign_of_name(text: str, source: str) -> Sign | None:
    """Return what a name alone says: a client's, or a client's with its model behind it."""
    bare = text.partition("(")[0].strip()
    client = _spoken_client(bare)
    if client:
        return Sign(client, UNKNOWN_MODEL, source)
    client = _spoken_client(bare.partition(" ")[0])
    model = _model_behind(client, bare) if client else UNKNOWN_MODEL
    return Sign(client, model, source) if model != UNKNOWN_MODEL else None


def _sign_of_note(text: str) -> Sign | None:
    tool, _, model = text.partition(":")
    lowered = tool.strip().lower()
    client = _spoken_client(lowered) or lowered
    is_name = 0 < len(client) <= MAX_WORD and _TOOL_LETTERS.issuperset(client) and client not in {HUMAN, UNKNOWN_MODEL}
    return Sign(client, _model(model), "note") if is_name else None


def _spoken_client(name: str) -> str:
    """Return the client that is called so, empty where none is."""
    lowered = name.strip().lower()
    spoken = " ".join(lowered.removesuffix("[bot]").replace("-", " ").split())
    found = SPOKEN.get(spoken) or ALIASES.get(lowered, lowered)
    return found if found in CLIENTS else ""


def _model_behind(client: str, name: str) -> str:
    """Return the model that stands behind a client's name: `Claude Opus 4.5 (1M context)`, `OpenHands-GPT-5`."""
    words = name.partition("(")[0].lower().replace("-", " ").split()
    if words[:1] == [client] and client != "claude":
        words = words[1:]
    model = _model("-".join(words))
    return model if model.startswith(FAMILIES) and model != client else UNKNOWN_MODEL


def _model(text: str) -> str:
    """Return a model's name as agents have it: without its provider, the word claude before it, or a date behind it.

    `claude-opus-4-5-20251101`, `anthropic/claude-opus-4.5` and `Opus 4.5` are all `opus-4.5`.
    """
    words = text.strip().lower().rpartition("/")[2].replace(" ", "-").partition("[")[0].split("-")
    if len(words) > 1 and words[0] == "claude":
        words = words[1:]
        if words[-1].isdigit() and len(words[-1]) == DATE_DIGITS:
            words = words[:-1]
        numbers = [word for word in words if word.replace(".", "").isdigit()]
        words = [word for word in words if word not in numbers]
        words[1:1] = [".".join(numbers)] if numbers else []
    model = "-".join(words)
    is_name = len(model) <= MAX_MODEL and _MODEL_LETTERS.issuperset(model) and model.strip("-._") not in _NO_MODELS
    return model if is_name else UNKNOWN_MODEL
